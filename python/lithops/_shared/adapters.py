# SPDX-License-Identifier: Apache-2.0
"""Wrappers, in worker processes, for functions with special arguments or results.

These are loaded in worker processes: this module imports next to nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Spread(list):
    """Results of the futures that a function has returned, in their place: see `spread`."""

    seen = False  # any, in this process

    def __init__(self, results: list):
        super().__init__(results)
        Spread.seen = True

    def __reduce__(self):
        return Spread, (list(self),)


def spread(results: list) -> list:
    """Results, where those of a function that returned many futures count as many."""
    if not Spread.seen or Spread not in set(map(type, results)):
        return results
    flat: list = []
    for result in results:
        if type(result) is Spread:
            flat.extend(result)
        else:
            flat.append(result)
    return flat


class ByName:
    """Calls a function whose parameters cannot all be given in the usual order.

    `names` are its positional parameters, and `user_names` those of them that the user's positional
    arguments mean: the others, like ``id``, are filled in by keyword, and may stand before them.
    `varargs` and `varkw` are the names of ``*args`` and ``**kwargs``: a keyword argument of such a
    name is taken apart.
    """

    def __init__(self, function: Callable, names: tuple, user_names: tuple,
                 varargs: str | None, varkw: str | None):
        self.function = function
        self.names = names
        self.user_names = user_names
        self.varargs = varargs
        self.varkw = varkw

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self.varkw in kwargs:
            kwargs.update(kwargs.pop(self.varkw) or {})
        if self.varargs in kwargs:
            return self.function(*args, *(kwargs.pop(self.varargs) or ()), **kwargs)
        kwargs.update(zip(self.user_names, args))
        rest = args[len(self.user_names):]
        if rest:
            rest = (*[kwargs.pop(name) for name in self.names if name in kwargs], *rest)
        return self.function(*rest, **kwargs)


_reloaded: dict[str, int] = {}  # modules that this process has loaded again: how often


def load_in_place(folders: tuple, reloads: tuple, environment: dict | None, folder: str | None,
                  pickled: bytes, modules: tuple = ()) -> tuple:
    """Unpickle what needs modules of `folders`, which from now on are looked at for modules, those
    that the client has reloaded as they are now (`reloads`: pairs of name and number), and an
    environment and working directory: a tuple, to which the last two are added. `modules`: what
    hosts get of files in such folders, see `sent_modules`."""
    from lithops import _lithops
    for path in folders:
        if path not in sys.path:
            sys.path.append(path)
    if modules:
        from lithops._shared.sent_modules import add
        add(modules)
    if not environment and folder is None:
        _reload(reloads)
        return _lithops.loads(pickled)
    from lithops._shared.surroundings import InPlace
    with InPlace(environment, folder):
        _reload(reloads)
        return (*_lithops.loads(pickled), environment, folder)


def _reload(reloads: tuple) -> None:
    for name, number in reloads:
        if _reloaded.get(name, 0) < number:
            _reloaded[name] = number
            if name in sys.modules:
                from importlib import invalidate_caches, reload
                invalidate_caches()
                reload(sys.modules[name])


class InPlaceCode:
    """Pickled in place of code: it is loaded by `load_in_place`."""

    def __init__(self, *state: Any):
        self.state = state

    def __reduce__(self):
        return load_in_place, self.state
