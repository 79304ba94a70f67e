# SPDX-License-Identifier: Apache-2.0
"""Where calls run: `sys.path`, the environment and the working directory of the client, as they are
when a job starts.

Worker processes start with those of the client and stay. Later changes travel with the code of each
job: the client compares with the state when it opened its first executor, and a worker process
applies the difference for the duration of a call.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock

from lithops import _lithops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OURS = ('LITHOPS_WORKER', '__LITHOPS_SESSION_ID')  # of worker processes, which may be clients too

_path: list[str] = []  # what the first worker processes were started with
_environment: dict[str, str] = {}
_folder: str | None = None

_changed: set[str] = set()  # names of variables that have ever changed
_has_moved = False
_place: tuple = ()
_looking = RLock()
os.register_at_fork(after_in_child=_looking._at_fork_reinit)  # another thread may have held it


def is_lithops_worker() -> bool:
    """True in a worker process."""
    return 'LITHOPS_WORKER' in os.environ


def remember() -> None:
    """Note what worker processes start with."""
    global _folder
    if _path:
        return
    _path.extend(sys.path)
    _lithops.surroundings_changed()
    _environment.update(os.environ)
    _folder = _working_directory()


def home() -> str | None:
    """The working directory that all worker processes start in, whenever that is."""
    return _folder


def current() -> tuple:
    """What has changed: (folders that came to sys.path, environment, working directory), or ()."""
    global _place
    if not _path:
        return ()
    with _looking:
        if _lithops.surroundings_changed():
            _place = _look()
    if sys.path == _path:
        return ((), *_place) if _place else ()
    folders = tuple(folder for folder in sys.path
                    if folder not in _path and isinstance(folder, str))
    return (folders, *(_place or (None, None))) if folders or _place else ()


def _look() -> tuple:
    """Includes every name that has ever changed: worker processes do not all start at once."""
    global _has_moved
    environment = dict(os.environ)
    _changed.update(name for name in environment.keys() | _environment.keys()
                    if environment.get(name) != _environment.get(name) and name not in _OURS)
    folder = _working_directory()
    _has_moved = _has_moved or folder != _folder
    if not _changed and not _has_moved:
        return ()
    return ({name: environment.get(name) for name in sorted(_changed)},
            folder if _has_moved else None)


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


class InPlace:
    """In a worker process: an environment and a working directory, as long as the block lasts.

    environment: values of variables; None: it is not there. folder: None: as it is. One that is
    not there any more is passed over.
    """

    __slots__ = ('_environment', '_folder', '_saved', '_home')

    def __init__(self, environment: dict[str, str | None] | None, folder: str | None = None):
        self._environment = environment or {}
        self._folder = folder

    def __enter__(self) -> None:
        self._saved = {name: os.environ.get(name) for name in self._environment}
        self._home = None
        if self._folder is not None:
            self._home = _working_directory()
            _change_to(self._folder)
        try:
            _set_variables(self._environment)
        except BaseException:  # some names are refused
            self.__exit__()
            raise

    def __exit__(self, *failure: Any) -> None:
        _set_variables(self._saved)
        if self._home is not None:
            _change_to(self._home)


def _set_variables(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is not None:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


def _change_to(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError:
        pass
