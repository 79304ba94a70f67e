# SPDX-License-Identifier: Apache-2.0
"""Functions called as pools do: without binding arguments, with an initializer per process.

A pool of the standard library calls ``function(item)`` whatever the function's parameters are
called; executors bind arguments by name and by position, and inject reserved names. What a pool
sends is therefore a `PooledFunction`, which takes one argument.

The usual initializer sets globals of the script for the pool's functions to read. Functions of a
script share globals only with what is pickled together with them, so the initializer travels with
each function, runs when the two are first called in a process, and they stay loaded from then on.
An initializer that is a module's own function is found by its name, once for all functions.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from lithops._shared.names import is_found_by_name

_initialized: set[str] = set()  # tokens of the pools whose initializer ran in this process


class PooledFunction:
    """Calls ``function(item)``; ``function(*item)`` if `how` is "spread", and what
    (args, kwargs) says if it is "call".

    `token` names a pool whose initializer is found by name; None: it came with the function.
    """

    def __init__(self, token: str | None, initializer: Callable | None, initargs: tuple,
                 function: Callable, how: str = 'item'):
        self.token = token
        self.initializer = initializer
        self.initargs = initargs
        self.function = function
        self.how = how
        self.stays_loaded = initializer is not None

    def __call__(self, item: Any, /) -> Any:
        if self.initializer is not None:
            if self.token not in _initialized:
                self.initializer(*self.initargs)
                if self.token is not None:
                    _initialized.add(self.token)
            self.initializer = None
        if self.how == 'item':
            return self.function(item)
        args, kwargs = (item, {}) if self.how == 'spread' else item
        return self.function(*args, **kwargs)

    @classmethod
    def factory(cls, initializer: Callable | None, initargs: tuple) -> Callable:
        """For one pool: (function, how='item') -> PooledFunction."""
        is_named = initializer is not None and is_found_by_name(initializer)
        token = os.urandom(8).hex() if is_named else None
        return functools.partial(cls, token, initializer, tuple(initargs))


def call_later(call: tuple[Callable, tuple, dict]) -> Any:
    """Call what (function, args, kwargs) says."""
    function, args, kwargs = call
    return function(*args, **kwargs)
