# SPDX-License-Identifier: Apache-2.0
"""The documentation site: `make docs` runs Sphinx with this over a copy of docs/ (tools/build-docs).

Nothing is fetched when a page is looked at: fonts are the system's, the search is Sphinx's own and
works without a server.
"""
import pathlib
import re
import sys

# Where this file is really, and where the pages are: the second is a copy.
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'python'))

project = 'Lithops in C'
author = 'the authors of Lithops in C'
copyright = author + ', Apache License 2.0'
release = re.search(r'project\(lithops VERSION ([0-9.]+)',
                    (ROOT / 'CMakeLists.txt').read_text())[1]

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx_copybutton']
myst_enable_extensions = ['fieldlist', 'deflist', 'colon_fence']
myst_heading_anchors = 3
exclude_patterns = ['site', '**/README.md']
nitpicky = False  # the standard library and the system's headers are not linked
smartquotes = False  # '--over' is an option, not a dash
highlight_language = 'text'
pygments_dark_style = 'github-dark'
copybutton_exclude = '.linenos, .gp, .go'

# ---- Python: docstrings are read with the extension mocked, so that nothing need be built ---------

autodoc_mock_imports = ['lithops._lithops', 'joblib', 'cloudpickle', 'tqdm']
autodoc_typehints = 'none'  # they are in no docstring twice; signatures stay readable
autodoc_member_order = 'bysource'
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # those of the standard library are its own
autodoc_default_options = {'members': True, 'undoc-members': False, 'exclude-members': '__init__'}
default_role = 'code'
napoleon_numpy_docstring = False
napoleon_use_param = True
add_module_names = False
python_use_unqualified_type_names = True

# ---- how it looks --------------------------------------------------------------------------------

html_theme = 'furo'
html_title = f'Lithops in C {release}'
html_static_path = [str(ROOT / 'docs/site/static')]
html_css_files = ['site.css']
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    'light_css_variables': {'color-brand-primary': '#0b5c94', 'color-brand-content': '#0b5c94',
                            'color-brand-visited': '#5a3d8a'},
    'dark_css_variables': {'color-brand-primary': '#6cb6ee', 'color-brand-content': '#6cb6ee',
                           'color-brand-visited': '#b79ce8'},
}


# ---- docstrings ----------------------------------------------------------------------------------

def show_code(app, what, name, obj, options, lines):
    """In a docstring an indented paragraph is code, as in Markdown."""
    blank, at = False, 0
    while at < len(lines):
        is_code = blank and lines[at].startswith('    ') and lines[at].strip()
        if is_code:
            lines[at:at] = ['.. code-block:: python', '']
            at += 2
            while at < len(lines) and (not lines[at].strip() or lines[at].startswith('    ')):
                at += 1
            lines[at:at] = ['']
        blank = at < len(lines) and not lines[at].strip()
        at += 1


def setup(app):
    app.connect('autodoc-process-docstring', show_code, priority=400)
