# SPDX-License-Identifier: Apache-2.0
"""The command that starts a worker process: see `_worker/main.py` for what it runs."""

from __future__ import annotations

import os
import sys

from lithops._shared import surroundings

_MOST_ARGV_BYTES = 64 << 10


def worker_command(runtime: str | None = None) -> list[str]:
    """The program and arguments that start a worker process: of this interpreter, with its paths,
    or of the one that the configuration names, or in a container (`runtimes.py`).

    RuntimeError where the interpreter is a part of another program that has not named it.
    """
    if not sys.executable:
        raise RuntimeError("worker processes run this interpreter, whose path Python does not know: set "
                           "sys.executable to its path")
    flags = interpreter_flags()
    if runtime is not None:
        from lithops._client.runtimes import is_own, start_command
        if not is_own(runtime):
            return start_command(runtime, flags, (_argv(), surroundings.home(), _log_level()))
    here = os.path.abspath(__file__).rpartition("/lithops/_client/")[0]
    path = [_absolute(folder) for folder in sys.path if isinstance(folder, str)]
    if here not in path:
        path.append(here)
    start = (f"import sys; sys.path[:] = {path!a}; sys.prefix = {sys.prefix!a}; "
             f"sys.exec_prefix = {sys.exec_prefix!a}; "
             "from lithops._worker.main import main; "
             f"main({arguments_of_main(surroundings.home())})")
    return [sys.executable, "-S", *flags, "-c", start]


def arguments_of_main(folder: str | None) -> str:
    """The arguments of the worker's main(), as text of a call in a program after `-c`."""
    return f"sys.argv[-1], {_argv()!a}, {folder!a}, {_log_level()}"


def interpreter_flags() -> list[str]:
    """The options of this interpreter that worker processes have too."""
    flags = []
    if sys.flags.optimize:
        flags.append("-" + "O" * sys.flags.optimize)
    if sys.dont_write_bytecode:
        flags.append("-B")
    if sys.flags.ignore_environment:
        flags.append("-E")
    for name in ("dev", "utf8", "int_max_str_digits"):
        if name in sys._xoptions:
            flags += ["-X", f"{name}={int(sys._xoptions[name])}"]
    for option in sys.warnoptions[-16:]:  # the command may have at most 64 words
        flags += ["-W", option]
    return flags


def _argv() -> list[str]:
    """One argument of a program has at most 128 KiB; a script may have had thousands."""
    return sys.argv if len(ascii(sys.argv)) < _MOST_ARGV_BYTES else sys.argv[:1]


def _log_level() -> int | None:
    """The level of the root logger, if this program shows more than warnings."""
    root = getattr(sys.modules.get("logging"), "root", None)
    return root.level if root is not None and root.handlers and root.level < 30 else None


def _absolute(folder: str) -> str:
    try:
        return os.path.abspath(folder)
    except OSError:  # the working directory was removed
        return folder
