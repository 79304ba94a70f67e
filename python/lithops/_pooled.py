# SPDX-License-Identifier: Apache-2.0
"""Functions as pools call them: no binding of names, and an initializer per worker process.

A pool of the standard library calls ``function(item)`` whatever the function's parameters are
called; executors bind arguments by name and by position, and inject reserved names. What a pool
sends is therefore a `PooledFunction`, which takes one argument.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

_initialized: set[str] = set()  # tokens of the pools whose initializer ran in this process


class PooledFunction:
    """Calls ``function(item)``, or ``function(*item)`` if `spread`.

    `token` names the pool; its initializer runs before the first call in a process.
    """

    def __init__(self, token: str, initializer: Callable | None, initargs: tuple,
                 function: Callable, spread: bool = False):
        self.token = token
        self.initializer = initializer
        self.initargs = initargs
        self.function = function
        self.spread = spread

    def __call__(self, item: Any, /) -> Any:
        if self.initializer is not None and self.token not in _initialized:
            self.initializer(*self.initargs)
            _initialized.add(self.token)
        return self.function(*item) if self.spread else self.function(item)

    @classmethod
    def factory(cls, initializer: Callable | None, initargs: tuple) -> Callable:
        """For one pool: (function, spread=False) -> PooledFunction."""
        return functools.partial(cls, os.urandom(8).hex(), initializer, tuple(initargs))


def call_later(call: tuple[Callable, tuple, dict]) -> Any:
    """Call what (function, args, kwargs) says."""
    function, args, kwargs = call
    return function(*args, **kwargs)
