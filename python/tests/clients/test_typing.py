# SPDX-License-Identifier: Apache-2.0
"""The hints of the package, as a type checker sees them."""

import os
import subprocess
import sys

import pytest

pytest.importorskip('mypy')
PROGRAM = os.path.join(os.path.dirname(__file__), 'programs', 'typed.py')


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300)


def test_a_typed_program(tmp_path):
    checked = run('-m', 'mypy', '--strict', '--cache-dir', str(tmp_path), PROGRAM)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ran = run(PROGRAM)
    assert ran.returncode == 0, ran.stderr
    assert '[2, 3, 4] [2, 3, 4]' in ran.stdout


def test_what_is_wrong_is_told(tmp_path):
    program = tmp_path / 'wrong.py'
    program.write_text('import lithops\n'
                       'lithops.FunctionExecutor().map(len, [1], bogus=3)\n'
                       'lithops.FunctionExecutor().call_async(5, [1])\n'
                       'lithops.nothing\n')
    checked = run('-m', 'mypy', '--cache-dir', str(tmp_path), str(program))
    assert checked.returncode == 1 and checked.stdout.count('error:') == 3, checked.stdout
