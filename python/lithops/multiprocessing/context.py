# SPDX-License-Identifier: Apache-2.0
"""Contexts, as ``multiprocessing.get_context()`` gives them. Here they are all the same one."""

from __future__ import annotations

import importlib
import logging
import sys

import lithops

from . import config
from .errors import AuthenticationError, BufferTooShort, ProcessError, TimeoutError

_METHODS = ['cloud', 'spawn', 'fork', 'forkserver']


def cpu_count() -> int:
    """How many calls run at once with the present configuration."""
    arguments = config.executor_arguments()
    if 'worker_processes' in arguments:
        return arguments['worker_processes']
    settings = lithops.config.default_config(config_data=arguments.get('config'))
    return int(settings[settings['lithops']['backend']]['worker_processes'])


def get_context(method: str | None = None) -> CloudContext:
    """The context of a start method; ValueError for an unknown one."""
    if method is not None and method not in _METHODS:
        raise ValueError(f'cannot find context for {method!r}; there are: {" ".join(_METHODS)}')
    return _context


def get_all_start_methods() -> list[str]:
    return list(_METHODS)


def get_start_method(allow_none: bool = False) -> str:
    return 'cloud'


def set_start_method(method: str | None, force: bool = False) -> None:
    """No effect: worker processes are always started in the same way."""
    get_context(method)


def freeze_support() -> None:
    """No effect: a worker process does not run the script again."""


def allow_connection_pickling() -> None:
    """No effect: connections can be pickled."""


def set_executable(executable) -> None:
    """No effect: worker processes run the interpreter of the program."""


def set_forkserver_preload(module_names) -> None:
    """No effect: there is no fork server."""


def get_logger() -> logging.Logger:
    """The logger of this package."""
    return logging.getLogger(__package__)


def log_to_stderr(level: int | str | None = None) -> logging.Logger:
    """Send the log of this package to standard error."""
    logger = get_logger()
    if not any(getattr(handler, 'is_of_log_to_stderr', False) for handler in logger.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.is_of_log_to_stderr = True
        handler.setFormatter(logging.Formatter('[%(levelname)s/%(processName)s] %(message)s'))
        logger.addHandler(handler)
    if level is not None:
        logger.setLevel(level)
    return logger


class CloudContext:
    """Everything of `lithops.multiprocessing`, as attributes."""

    ProcessError = ProcessError
    BufferTooShort = BufferTooShort
    TimeoutError = TimeoutError
    AuthenticationError = AuthenticationError

    def __getattr__(self, name: str):
        package = importlib.import_module(__package__)
        if name in package.__all__:
            return getattr(package, name)
        raise AttributeError(f"the context has no attribute '{name}'")

    def get_context(self, method: str | None = None) -> CloudContext:
        return get_context(method)


_context = CloudContext()
