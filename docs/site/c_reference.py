# SPDX-License-Identifier: Apache-2.0
"""The C reference out of the public headers: c_reference.py INCLUDE-FOLDER OUTPUT-FOLDER

Each header becomes a page: what its comment says, then its declarations in their order, functions
with what their `/** */` says of parameters and result, types and options as they are written. The
headers are the text; nothing is said here that they do not say. A public function that is found
twice or not at all is an error.
"""
import pathlib
import re
import sys
import textwrap

ORDER = ['base', 'error', 'value', 'function', 'call', 'command', 'executor', 'future', 'detached', 'stream', 'storage',
         'log', 'plugin/runtime', 'plugin/storage', 'plugin/compute', 'plugin/config']
TITLES = {'base': 'Basics', 'plugin/storage': 'For authors of storage backends',
          'plugin/compute': 'For authors of compute backends',
          'plugin/config': 'Keys of the configuration'}
NOT_SHOWN = re.compile(r'#\s*(?:if|ifdef|ifndef|else|elif|endif|include|undef)\b|extern "C"|\}$')
ATTRIBUTE = re.compile(r'\b(?:LITHOPS_PUBLIC|LITHOPS_MUST_CHECK|LITHOPS_EXTENSION)\b'
                       r'|\bLITHOPS_PRINTF\([^)]*\)|\bextern\b')


def clean(comment):
    """The text of a comment, without its stars."""
    text = re.sub(r'^/\*+ ?|\s*\*+/$', '', comment.strip())
    return '\n'.join(re.sub(r'^\s*\* ?', '', line) for line in text.splitlines()).strip()


class Header:
    """A header, taken apart into comments and declarations."""

    def __init__(self, path):
        self.text = path.read_text()
        self.at = 0
        self.items = list(self.read())

    def read(self):
        """(kind, text) for each part: kind is comment, macro, code or skipped."""
        while True:
            self.at = re.compile(r'\s*').match(self.text, self.at).end()
            if self.at >= len(self.text):
                return
            kind, end = self.measure()
            yield kind, self.text[self.at:end]
            self.at = end

    def measure(self):
        text, at = self.text, self.at
        if text.startswith('/*', at):
            return 'comment', text.index('*/', at) + 2
        line = re.compile(r'(?:[^\\\n]|\\.|\\\n)*').match(text, at)
        if text.startswith('#define', at):
            return 'macro', line.end()
        if NOT_SHOWN.match(line[0]):
            return 'skipped', line.end()
        depth, end = 0, at
        while depth or text[end] != ';':
            if text.startswith('/*', end):
                end = text.index('*/', end) + 2
                continue
            depth += {'{': 1, '(': 1, '}': -1, ')': -1}.get(text[end], 0)
            end += 1
            if depth == 0 and text[end - 1] == '}' and 'inline' in text[at:end].split('{')[0]:
                return 'code', end  # a function with its body
        rest = re.compile(r'[^\n]*').match(text, end + 1)[0]
        trailing = re.match(r'\s*/\*[^*]*\*/$', rest)
        return 'code', end + 1 + (len(rest) if trailing else 0)


def marked_up(text):
    """Names in a text as links and code; what is code already stays."""
    parts = re.split(r'(`[^`]*`)', text)
    for at in range(0, len(parts), 2):
        part = re.sub(r'([<>*])', r'\\\1', parts[at])
        part = re.sub(r'\b(lithops_\w+)\(\)', r'{c:func}`\1`', part)
        parts[at] = re.sub(r'(?<![\w"`])(LITHOPS_[A-Z_]+|NULL)\b', r'`\1`', part)
    return ''.join(parts)


def paragraphs(text):
    """Markdown of a comment: indented lines are code."""
    parts, code = [], []
    for block in re.split(r'\n\s*\n', text):
        if block.startswith('    '):
            code.append(textwrap.dedent(block))
            continue
        if code:
            parts.append('```c\n' + '\n\n'.join(code) + '\n```')
            code = []
        parts.append(marked_up(re.sub(r'\n\s*', '\n', block)))
    if code:
        parts.append('```c\n' + '\n\n'.join(code) + '\n```')
    return '\n\n'.join(parts)


def described(comment):
    """A `/** */` as Markdown with a list of fields."""
    text, *fields = re.split(r'^@(?=param|return)', clean(comment), flags=re.MULTILINE)
    lines = []
    for field in fields:
        field = ' '.join(field.split())
        if field.startswith('return'):
            lines.append(':returns: ' + marked_up(field[6:].strip()))
        else:
            _, name, said = field.split(' ', 2)
            lines.append(f':param {name}: {marked_up(said)}')
    return paragraphs(text.strip()) + ('\n\n' + '\n'.join(lines) if lines else '')


def signature(code):
    """A declaration as the C domain reads it."""
    code = re.sub(r'/\*.*?\*/', '', code, flags=re.DOTALL).split('{')[0].rstrip(';\n ')
    return ' '.join(ATTRIBUTE.sub('', code.replace('static inline', '')).split())


def entry(kind, code):
    """(directive, signature or name, code to show) of a declaration."""
    if kind == 'macro':
        name = re.match(r'#define\s+(\w+(?:\([^)]*\))?)', code)[1]
        if name.startswith('LITHOPS_FUNCTION(') or name.endswith('_INIT'):
            return 'macro', name, None  # what it expands to helps nobody
        return 'macro', name, code
    declared = re.match(r'typedef (?:struct|enum) (\w+)', code) or re.match(
        r'(?:struct|enum) (\w+)', code)
    if declared:
        return 'type', declared[1], None if '{' not in code else code
    if code.startswith('typedef'):
        return 'type', signature(code).removeprefix('typedef '), None
    if code.startswith('enum'):
        return 'code', None, code
    return 'function', signature(code), None


def fence(directive, argument, body):
    return f'`````{{c:{directive}}} {argument}\n{body}\n`````\n'


class Page:
    def __init__(self, name, path, seen):
        self.name, self.seen, self.parts = name, seen, []
        header = Header(path)
        comments = [clean(text) for kind, text in header.items if kind == 'comment']
        first, _, rest = comments[1].partition('\n\n')
        title, _, more = first.replace('\n', ' ').partition(': ')
        if len(title) < 40 and more:
            more = more[:1].upper() + more[1:]
        else:
            title, more = name, first
        self.title = TITLES.get(name, title.rstrip('.'))
        self.summary = marked_up(' '.join(more.split()).split('. ')[0].rstrip('.')) + '.'
        self.parts += [f'# {self.title}', f'```c\n#include <lithops/{name}.h>\n```',
                       paragraphs(more), paragraphs(rest)]
        self.read(header.items[2:])

    def read(self, items):
        comment, group = None, None
        for kind, text in items:
            if kind == 'comment':
                title = re.match(r'/\* -+ (.*?) -+ \*/', text)
                if title:
                    self.parts.append(f'## {title[1][:1].upper() + title[1][1:]}')
                elif re.match(r'/\*\* @name', text):
                    group = clean(text).removeprefix('@name').strip()
                elif re.match(r'/\*\* @\{', text):
                    self.parts.append(paragraphs(group or ''))
                    group = None
                elif not re.match(r'/\*\* @\}', text):
                    comment = text
            elif kind in ('macro', 'code'):
                self.add(kind, text, comment)
                comment = None

    def add(self, kind, text, comment):
        if kind == 'macro' and (self.name == 'base' and not comment or re.match(
                r'#define \w+_H\b|#define LITHOPS_(?:ERROR_ENUM|EXTERN_C)', text)):
            return
        directive, argument, shown = entry(kind, text)
        if directive == 'code':
            self.parts.append((described(comment) + '\n\n' if comment else '')
                              + f'```c\n{text}\n```')
            return
        name = (re.search(r'\(\*(\w+)\)|(\w+)\(', argument) or [argument])[0].strip('(*)')
        if (directive, name) in self.seen:
            if directive == 'function':
                sys.exit(f'{self.name}.h: {name} is declared twice')
            return
        self.seen.add((directive, name))
        body = described(comment) if comment else ''
        if shown:
            body += f'\n\n```c\n{shown}\n```'
        self.parts.append(fence(directive, argument, '\n' + body))

    def markdown(self):
        return '\n\n'.join(part for part in self.parts if part) + '\n'


def main():
    include, output = map(pathlib.Path, sys.argv[1:])
    names = sorted(str(path.relative_to(include / 'lithops').with_suffix(''))
                   for path in (include / 'lithops').rglob('*.h'))
    missing = set(names) - set(ORDER) - {'lithops'}
    if missing:
        sys.exit(f'these headers have no place in ORDER: {missing}')
    seen, pages = set(), []
    for name in ORDER:
        page = Page(name, include / 'lithops' / (name + '.h'), seen)
        pages.append(page)
        place = output / (name.replace('/', '-') + '.md')
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(page.markdown())
    exported = set((pathlib.Path(__file__).parents[2] / 'tools/exports.txt').read_text().split())
    shown = {name for kind, name in seen if kind == 'function'}
    if exported - shown:
        sys.exit(f'functions that the headers do not declare: {sorted(exported - shown)}')
    rows = '\n'.join(f'| [{page.title}]({page.name.replace("/", "-")}.md) | '
                     f'`<lithops/{page.name}.h>` | {page.summary} |' for page in pages)
    entries = '\n'.join(page.name.replace('/', '-') for page in pages)
    (output / 'index.md').write_text(f'''# C

`#include <lithops/lithops.h>` has all of it but the two headers under `plugin/`. The same is in the manual:
`man 3 lithops_map`.

| | header | |
|---|---|---|
{rows}

```{{toctree}}
:hidden:

{entries}
```
''')


if __name__ == '__main__':
    main()
