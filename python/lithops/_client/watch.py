# SPDX-License-Identifier: Apache-2.0
"""Detects whether a function has changed since it was pickled.

A pickle of a function may be used again only while nothing has changed of what went into it. What
can be watched cheaply is *identity*: of the code, the defaults, the closure, the attributes, and
the globals that the code names, as long as all of these are constants, modules, or things that are
pickled by name. A list or an object can change unnoticed, so a function that uses one is not
watched, but pickled for each job.
"""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

from lithops._shared.names import globals_in, is_found_by_name, is_importable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CONSTANTS = frozenset((int, float, complex, str, bytes, bool, type(None), type(...)))
_MISSING = object()


def writes_outside(code: CodeType) -> bool:
    """True if the code may change what is neither its own variable nor an argument: a
    global, a variable of the function around it, an attribute."""
    from opcode import opmap
    names = ['STORE_GLOBAL', 'DELETE_GLOBAL', 'STORE_ATTR', 'DELETE_ATTR']
    if code.co_freevars:
        names += ['STORE_DEREF', 'DELETE_DEREF']
    writing = {opmap[name] for name in names}
    return not writing.isdisjoint(code.co_code[::2]) or any(
        writes_outside(constant) for constant in code.co_consts if type(constant) is CodeType)


def _is_same(function: FunctionType, code: CodeType, defaults: Any, kwdefaults: Any,
             count: int) -> bool:
    return (function.__code__ is code and function.__defaults__ is defaults
            and function.__kwdefaults__ is kwdefaults and len(function.__dict__) == count)


class Watch:
    """What a function was made of. `Watch.of` gives one, or None if it cannot be watched."""

    __slots__ = ('root', 'functions', 'names', 'cells', 'keeps_state', '_seen')

    def __init__(self) -> None:
        self.root: tuple = ()  # of the function itself, to which this keeps no reference
        self.functions: list[tuple] = []
        self.names: list[tuple[dict, str, Any]] = []
        self.cells: list[tuple] = []
        self.keeps_state = False  # a call may leave something behind for the next one
        self._seen: set[int] = set()

    @classmethod
    def of(cls, function: FunctionType) -> Watch | None:
        watch = cls()
        if not watch._add_function(function):
            return None
        if watch.functions:
            watch.root = watch.functions.pop(0)[1:]
        return watch

    def is_fresh(self, root: FunctionType) -> bool:
        """True if the function would be pickled as it was."""
        if self.root and not _is_same(root, *self.root):
            return False
        for function in self.functions:
            if not _is_same(*function):
                return False
        for namespace, name, value in self.names:
            if namespace.get(name, _MISSING) is not value:
                return False
        try:
            for cell, value in self.cells:
                if cell.cell_contents is not value:
                    return False
        except ValueError:  # emptied
            return False
        return True

    def _add(self, value: Any) -> bool:
        kind = type(value)
        if kind in _CONSTANTS:
            return True
        if kind is tuple or kind is frozenset:
            return all(map(self._add, value))
        if kind is FunctionType:
            return self._add_function(value)
        if isinstance(value, ModuleType):
            self._add_spec(vars(value))
            return sys.modules.get(value.__name__) is value and is_importable(value.__name__)
        if kind is BuiltinFunctionType:
            return value.__self__ is None or type(value.__self__) is ModuleType
        return isinstance(value, type) and is_found_by_name(value)

    def _add_function(self, function: FunctionType) -> bool:
        if id(function) in self._seen:
            return True
        self._seen.add(id(function))
        if is_found_by_name(function):
            namespace = getattr(sys.modules[function.__module__], '__dict__', {})
            if '.' not in function.__qualname__:
                self.names.append((namespace, function.__qualname__, function))
            self._add_spec(namespace)
            return True
        code, kwdefaults = function.__code__, function.__kwdefaults__
        self.keeps_state = self.keeps_state or writes_outside(code)
        attributes = function.__dict__
        self.functions.append((function, code, function.__defaults__, kwdefaults, len(attributes)))
        if not all(map(self._add, function.__defaults__ or ())):
            return False
        return (self._add_names(kwdefaults or {}, kwdefaults or ())
                and self._add_names(attributes, attributes)
                and self._add_names(function.__globals__, globals_in(code))
                and all(map(self._add_cell, function.__closure__ or ())))

    def _add_spec(self, namespace: dict) -> None:
        """See that the module is not reloaded."""
        self.names.append((namespace, '__spec__', namespace.get('__spec__', _MISSING)))

    def _add_names(self, namespace: dict, names: Any) -> bool:
        for name in names:
            value = namespace.get(name, _MISSING)
            self.names.append((namespace, name, value))
            if value is not _MISSING and not self._add(value):
                return False
        return True

    def _add_cell(self, cell: Any) -> bool:
        try:
            value = cell.cell_contents
        except ValueError:
            return False
        self.cells.append((cell, value))
        return self._add(value)
