# SPDX-License-Identifier: Apache-2.0
"""The Python in the documentation runs, and prints what it says."""
import os
import pathlib
import re
import subprocess
import sys

import pytest

PAGES = pathlib.Path(__file__).parents[2] / 'docs'
BLOCKS = [(page.name, number, block)
          for page in sorted(PAGES.glob('coming-from-*.md'))
          for number, block in enumerate(re.findall(r'^```python\n(.*?)^```', page.read_text(),
                                                    re.MULTILINE | re.DOTALL))]


@pytest.mark.parametrize('page, number, block', BLOCKS)
def test_example(page, number, block, tmp_path):
    script = tmp_path / 'example.py'
    script.write_text(block)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120,
                          cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, '')
    for said in re.findall(r'print\(.*# (.*)$', block, re.MULTILINE):
        if '(...)' not in said:
            assert said.partition(':')[0] in done.stdout


def test_tutorial():
    """What docs/tutorials/python.md says to type prints what it says."""
    environment = {**os.environ,
                   'PATH': f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}'}
    done = subprocess.run([PAGES.parent / 'tools/check-tutorial', PAGES / 'tutorials/python.md'],
                          capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
