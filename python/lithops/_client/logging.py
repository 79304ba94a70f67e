# SPDX-License-Identifier: Apache-2.0
"""Log records under the name "lithops", at no cost for programs that do not log.

`logging` is imported only when records are wanted; a program that has configured it has imported
it already. The engine writes its records to a pipe, because it cannot wait for the GIL; a thread
here passes them on.
"""

from __future__ import annotations

import os
import sys

DEBUG, INFO, WARNING = 10, 20, 30

_logger = None
_followed: int | None = None  # the pipe that is read; -1: none


def is_enabled(level: int) -> bool:
    """True if a record of this level would go anywhere."""
    global _logger
    if _logger is None:
        logging = sys.modules.get('logging')
        if logging is None or not hasattr(logging, 'getLogger'):
            return False
        _logger = logging.getLogger('lithops')
    return _logger.isEnabledFor(level)


def is_set_up() -> bool:
    """True if the program, or LITHOPS_LOG_LEVEL, says what becomes of records."""
    is_enabled(WARNING)  # finds the logger
    return 'LITHOPS_LOG_LEVEL' in os.environ or (_logger is not None and _logger.hasHandlers())


def log(level: int, text: str, *args: object) -> None:
    """Log ``text % args``."""
    if is_enabled(level):
        _logger.log(level, text, *args, stacklevel=3)


def setup(level: str | int | None, log_format: str | None = None, stream: object = None,
          filename: str | None = None) -> None:
    """Show records of this level and above: on standard error, or in a file.

    level: a name in any case, or a number; None or 'none' changes nothing
    """
    import logging
    if level is None or str(level).lower() == 'none':
        return
    if isinstance(level, str):
        number = logging.getLevelName({'WARN': 'WARNING'}.get(level.upper(), level.upper()))
        if not isinstance(number, int):
            raise ValueError(f'log_level is {level!r}: debug, info, warning, error, critical or '
                             f'none is expected')
        level = number
    if not log_format:
        from lithops.constants import LOGGER_FORMAT
        log_format = LOGGER_FORMAT
    if stream in (None, 'ext://sys.stderr'):
        stream = sys.stderr
    elif stream == 'ext://sys.stdout':
        stream = sys.stdout
    logger = logging.getLogger('lithops')
    handler = logging.FileHandler(filename) if filename else logging.StreamHandler(stream)
    handler.is_lithops = True
    handler.setFormatter(logging.Formatter(log_format))
    old = [handler for handler in logger.handlers if getattr(handler, 'is_lithops', 0)]
    # In one step, so that a record made meanwhile is neither lost nor written twice.
    logger.handlers = [other for other in logger.handlers if other not in old] + [handler]
    for handler in old:
        handler.close()
    logger.setLevel(level)
    logger.propagate = False


def follow_engine() -> None:
    """Pass on the engine's records that `logging` is set up to show.

    If it shows none, what LITHOPS_LOG_LEVEL says is left to the engine, and in a worker process
    what the configuration says.
    """
    logging = sys.modules.get('logging')
    if logging is not None and is_enabled(logging.ERROR) and _logger.hasHandlers():
        levels = {'debug': logging.DEBUG, 'info': logging.INFO, 'warning': logging.WARNING}
        wanted = next((word for word, level in levels.items() if is_enabled(level)), 'error')
    elif 'LITHOPS_LOG_LEVEL' in os.environ or 'LITHOPS_WORKER' in os.environ:
        return
    else:
        wanted = 'none'
    global _followed
    if _followed is None:
        _followed = -1
        os.register_at_fork(after_in_child=_forget_pipe)
    from lithops import _lithops
    _read(_lithops.log_to_pipe(wanted))


def _read(descriptor: int) -> None:
    global _followed
    if descriptor in (-1, _followed):
        return
    from threading import Thread
    _followed = descriptor
    Thread(target=_pass_on, args=(descriptor,), name='lithops-log', daemon=True).start()


def _forget_pipe() -> None:
    """In a forked child: the pipe and its reading thread belong to the parent."""
    global _followed
    from lithops import _lithops
    _lithops.log_close()
    _followed = -1


def _pass_on(descriptor: int) -> None:
    import logging
    with open(descriptor, encoding='utf-8', errors='replace') as lines:
        for line in lines:
            level, where, text = line.rstrip('\n').split(' ', 2)
            logging.getLogger('lithops.' + where).log(
                getattr(logging, level.upper(), logging.INFO), '%s', text)
