# SPDX-License-Identifier: Apache-2.0
"""Log records under the name "lithops", at no cost for programs that do not log.

`logging` is imported only where somebody wants records; a program that has configured it has
imported it.
"""

from __future__ import annotations

import sys

DEBUG, INFO, WARNING = 10, 20, 30

_logger = None


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
