# SPDX-License-Identifier: Apache-2.0
"""Check a site that was built: check_site.py FOLDER

Each link and image leads to a file of the site, and to an anchor that is there; nothing is loaded
from elsewhere when a page is looked at; every page is in the search; no '--' has become a dash.
"""
import html.parser
import pathlib
import re
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded, self.dashes = set(), [], [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors.update(found[key] for key in ('id', 'name') if found.get(key))
        if tag == 'a' and 'href' in found:
            self.links.append(found['href'])
        elif tag == 'link' and found.get('rel') in ('index', 'search', 'next', 'prev', 'genindex'):
            self.links.append(found['href'])
        elif tag == 'link' and 'href' in found:
            self.loaded.append(found['href'])
        elif found.get('src'):
            self.loaded.append(found['src'])

    def handle_data(self, data):
        self.dashes += re.findall(r'(?:^|\s)[–—][a-z][\w-]*', data)


def main():
    root = pathlib.Path(sys.argv[1])
    pages = {path: Page(path) for path in sorted(root.rglob('*.html'))}
    wrong, count = [], 0
    for path, page in pages.items():
        name = path.relative_to(root)
        wrong += [f"{name}: an option's '--' has become a dash: {dash}" for dash in page.dashes]
        for link in page.links + page.loaded:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != 'data':
                    wrong.append(f'{name} loads {link}')
                continue
            count += 1
            target = path
            if parts.path:
                target = (path.parent / urllib.parse.unquote(parts.path)).resolve()
                target = target / 'index.html' if target.is_dir() else target
            if not target.exists():
                wrong.append(f'{name}: there is no {link}')
            elif parts.fragment and target.suffix == '.html':
                known = pages[target if target in pages else root / target.relative_to(
                    root.resolve())].anchors
                if urllib.parse.unquote(parts.fragment) not in known:
                    wrong.append(f'{name}: {link} has no such anchor')
    for sheet in root.rglob('*.css'):
        for url in re.findall(r'(?:url\(|@import\s)["\']?((?:https?:)?//[^"\')]+)',
                              sheet.read_text()):
            wrong.append(f'{sheet.relative_to(root)} loads {url}')
    index = (root / 'searchindex.js').read_text()
    for path in pages:
        name = str(path.relative_to(root).with_suffix(''))
        if name not in ('genindex', 'search', 'py-modindex') and f'"{name}"' not in index:
            wrong.append(f'{name} is not in the search')
    if wrong:
        sys.exit('\n'.join(wrong))
    print(f'{len(pages)} pages, {count} links inside, nothing loaded from elsewhere')


if __name__ == '__main__':
    main()
