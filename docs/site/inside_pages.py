# SPDX-License-Identifier: Apache-2.0
"""Pages for those who work on the project, out of the files that stand beside the sources:
inside_pages.py SOURCE-FOLDER

A link of any page to such a file is turned into one to its page. A link to another file outside of
docs/ is an error: a reader of the site does not have it.
"""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ['src/value', 'src/config', 'src/function', 'src/plot', 'python', 'python/src', 'airflow',
           'bench']
LINK = re.compile(r'(?<=\]\()([^)#\s:]+)(?=[)#])')


def page_of(path):
    """The page of a file of the project, in the site's source; None: there is none."""
    if path.parts[0] == 'docs':
        return path.relative_to('docs')
    return {pathlib.Path('README.md'): pathlib.Path('index.md'),
            pathlib.Path('CONTRIBUTING.md'): pathlib.Path('inside/contributing.md')}.get(
                path, pathlib.Path('inside/folders.md')
                if path.name == 'README.md' and str(path.parent) in FOLDERS else None)


def relinked(text, file, page, source):
    """A text of `file`, to stand on `page`."""
    def replace(match):
        target = pathlib.Path(os.path.normpath(file.parent / match[1]))
        found = page_of(target) if target.parts[0] == 'docs' or (ROOT / target).exists() else None
        if found and target.parts[0] == 'docs' and not (source / found).exists():
            found = None
        if found is None:
            sys.exit(f'{file}: the link to {match[1]} leads out of the documentation')
        return os.path.relpath(found, page.parent)
    parts = re.split(r'(^```.*?^```|`[^`\n]*`)', text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = (LINK.sub(replace, part) for part in parts[::2])
    return ''.join(parts)


def main():
    source = pathlib.Path(sys.argv[1])
    for path in source.rglob('*.md'):
        page = path.relative_to(source)
        if (ROOT / 'docs' / page).exists():
            path.write_text(relinked(path.read_text(), 'docs' / page, page, source))
    inside = source / 'inside'
    inside.mkdir(exist_ok=True)
    file = pathlib.Path('CONTRIBUTING.md')
    (inside / 'contributing.md').write_text(
        relinked((ROOT / file).read_text(), file, page_of(file), source))
    parts = ['# The folders of the source\n\nWhat lies where, and roads not taken, as the README of each '
             'folder says it.\n']
    for folder in FOLDERS:
        file = pathlib.Path(folder) / 'README.md'
        text = relinked((ROOT / file).read_text(), file, page_of(file), source)
        text = re.sub(r'^#(?=#* )', '##', text, flags=re.MULTILINE)
        parts.append(re.sub(r'^## .*', f'## `{folder}/`', text, count=1, flags=re.MULTILINE))
    (inside / 'folders.md').write_text('\n'.join(parts))


if __name__ == '__main__':
    main()
