# SPDX-License-Identifier: Apache-2.0
"""Log records under the name "lithops", at no cost for programs that do not log.

`logging` is imported only where somebody wants records; a program that has configured it has
imported it. The engine writes its records to a pipe, and a thread here passes them on, as it may
make them where nobody can wait for Python.
"""

from __future__ import annotations

import os
import sys

DEBUG, INFO, WARNING = 10, 20, 30

_logger = None
_pipe_end: int | None = None  # where the engine writes


def is_enabled(level: int) -> bool:
    """True if a record of this level would go anywhere."""
    global _logger
    if _logger is None:
        logging = sys.modules.get('logging')
        if logging is None or not hasattr(logging, 'getLogger'):
            return False
        _logger = logging.getLogger('lithops')
    return _logger.isEnabledFor(level)


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
    for handler in [handler for handler in logger.handlers if getattr(handler, 'is_lithops', 0)]:
        logger.removeHandler(handler)
        handler.close()
    handler = logging.FileHandler(filename) if filename else logging.StreamHandler(stream)
    handler.is_lithops = True
    handler.setFormatter(logging.Formatter(log_format))
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False


def follow_engine() -> None:
    """Pass on the engine's records, if `logging` is set up to show any."""
    logging = sys.modules.get('logging')
    if logging is None or not is_enabled(logging.ERROR) or not _logger.hasHandlers():
        return
    from lithops import _lithops
    levels = {'debug': logging.DEBUG, 'info': logging.INFO, 'warning': logging.WARNING}
    wanted = next((word for word, level in levels.items() if is_enabled(level)), 'error')
    _lithops.log_to(wanted, _open_pipe())


def _open_pipe() -> int:
    global _pipe_end
    if _pipe_end is None:
        from threading import Thread
        reading, _pipe_end = os.pipe()
        os.set_blocking(_pipe_end, False)
        Thread(target=_pass_on, args=(reading,), name='lithops-log', daemon=True).start()
        os.register_at_fork(after_in_child=_stop_following)
    return _pipe_end


def _stop_following() -> None:
    """The thread is the parent's."""
    global _pipe_end
    if _pipe_end is not None:
        from lithops import _lithops
        _lithops.log_to('none', -1)
        os.close(_pipe_end)
        _pipe_end = None


def _pass_on(descriptor: int) -> None:
    import logging
    with open(descriptor, encoding='utf-8', errors='replace') as lines:
        for line in lines:
            level, where, text = line.rstrip('\n').split(' ', 2)
            logging.getLogger('lithops.' + where).log(
                getattr(logging, level.upper(), logging.INFO), '%s', text)
