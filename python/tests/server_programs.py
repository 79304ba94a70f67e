# SPDX-License-Identifier: Apache-2.0
"""Runs programs of tests beside servers that tests/servers/ starts."""

import pathlib
import subprocess
import sys
import textwrap

import pytest

PYTHON = '/usr/bin/python%d.%d' % sys.version_info[:2]  # what the machines of these servers have
SERVERS = pathlib.Path(__file__).parents[2] / 'tests' / 'servers'

needs_python = pytest.mark.skipif(not pathlib.Path(PYTHON).exists(),
                                  reason=f'the hosts and nodes of the tests have no {PYTHON}')


def run(server, folder, program, config, **files):
    """What the program says, in a folder with these files beside it; `__in__` in a name is a slash.
    server: the name of a script, and options for it."""
    script, *options = server.split()
    (folder / '.lithops_config').write_text(config)
    (folder / 'program.py').write_text(textwrap.dedent(program))
    for name, text in files.items():
        path = folder / name.replace('__in__', '/')
        path.parent.mkdir(exist_ok=True)
        path.with_suffix('.py').write_text(textwrap.dedent(text))
    done = subprocess.run([SERVERS / script, *options, sys.executable, 'program.py'], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=280)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout
