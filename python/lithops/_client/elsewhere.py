# SPDX-License-Identifier: Apache-2.0
"""What worker processes need on hosts that have none of this machine's files.

The engine asks for it when an executor opens whose workers are there; `<lithops/plugin/runtime.h>`
says what the answer is. The interpreter is found on the host, by its version, with the packages
that are installed there. What is sent is this package, cloudpickle, and the program's own modules:
those that are loaded and lie in no folder of the interpreter's. A module of a package brings the
whole package. Modules that it loads later travel with the functions that use them, by value. Each
file goes to a host once, since it is known there by its hash. What the record of an image has
(`lithops runtime deploy`) stays here.
"""

from __future__ import annotations

import os
import sys

from lithops import _lithops
from lithops._client.runtimes import lent_packages, own_folders
from lithops._client.worker_command import arguments_of_main, interpreter_flags
from lithops._shared.names import note_sent

_MOST_BYTES = 64 << 20  # of the program's own modules: more is data, or a folder that is no program


def kit() -> dict:
    """The program, its arguments, and the files."""
    start = ('import os, sys; sys.path.insert(0, os.environ["LITHOPS_WORKER_FILES"]); '
             f'from lithops._worker.main import main; main({arguments_of_main(None)})')
    files = _of_packages()
    files.update(_of_program())
    return {'program': 'python%d.%d' % sys.version_info[:2],
            'arguments': [*interpreter_flags(), '-c', start],
            'files': [[path, name] for name, path in files.items()],
            'own': list(lent_packages())}


def _of_packages() -> dict[str, str]:
    """Name there -> path here."""
    files: dict[str, str] = {}
    for package, folder in lent_packages().items():
        files.update(_sources(folder, package))
    files['lithops/' + os.path.basename(_lithops.__file__)] = os.path.abspath(_lithops.__file__)
    return files


def _sources(folder: str, package: str) -> dict[str, str]:
    """The source files and extensions of a package."""
    files = {}
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name.isidentifier()
                            and name != '__pycache__'
                            and os.path.isfile(os.path.join(here, name, '__init__.py')))
        inside = os.path.relpath(here, folder).split(os.sep)
        for name in sorted(names):
            if name.endswith('.py'):
                parts = [package, *(part for part in inside if part != '.'), name]
                files['/'.join(parts)] = os.path.abspath(os.path.join(here, name))
    return files


def _of_program() -> dict[str, str]:
    folders = [os.path.realpath(folder) for folder in own_folders()]
    known = set(lent_packages())
    files: dict[str, str] = {}
    sent = set(known)
    for name, module in list(sys.modules.items()):
        top = name.partition('.')[0]
        path = getattr(module, '__file__', None)
        if top in known or top in ('__main__', '__mp_main__') or not isinstance(path, str) \
                or '.' in name:
            continue
        path = os.path.realpath(path)
        if not any(path.startswith(folder + os.sep) for folder in folders):
            continue
        sent.add(name)
        if hasattr(module, '__path__'):
            files.update(_sources(os.path.dirname(path), name))
        elif path.endswith(('.py', '.so')):
            files[os.path.basename(path)] = path
    size = sum(os.path.getsize(path) for path in files.values())
    if size > _MOST_BYTES:
        raise ValueError(f'the modules of this program have {size >> 20} MiB, and up to '
                         f'{_MOST_BYTES >> 20} are sent: install them on the hosts')
    note_sent(sent, own_folders)
    return files
