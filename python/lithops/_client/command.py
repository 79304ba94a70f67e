# SPDX-License-Identifier: Apache-2.0
"""The `lithops` command as pip installs it: the native one, with this interpreter for functions of
Python."""

import os
import sys


def main() -> None:
    """Become the command. Never returns."""
    command = os.path.join(os.path.dirname(os.path.dirname(__file__)), 'lithops-command')
    os.environ.setdefault('LITHOPS_PYTHON', sys.executable)
    os.execv(command, ['lithops', *sys.argv[1:]])
