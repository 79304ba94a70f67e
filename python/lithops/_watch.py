# SPDX-License-Identifier: Apache-2.0
"""Is a function still what it was when it was pickled?

A pickle of a function may be used again only while nothing has changed of what went into it. What
can be watched cheaply is *identity*: of the code, the defaults, the closure, the attributes, and
the globals that the code names, as long as all of these are constants, modules, or things that are
pickled by name. A list or an object can change without a trace; a function that uses one is not
watched, but pickled for each job.
"""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CONSTANTS = frozenset((int, float, complex, str, bytes, bool, type(None), type(...)))
_MISSING = object()
_importable: dict[str, tuple[ModuleType, bool]] = {}
_specs: dict[str, Any] = {}  # of the modules in _importable: reloading one gives it a new spec
_reloads: dict[str, int] = {}  # how often that was seen


def is_importable(name: str) -> bool:
    """True if another process with this `sys.path` gets the same module by this name."""
    module = sys.modules.get(name)
    if module is None or name in ('__main__', '__mp_main__'):
        return False
    known = _importable.get(name)
    if known is None or known[0] is not module:
        known = _importable[name] = (module, _is_found(module, name))
    spec = getattr(module, '__spec__', None)
    if _specs.setdefault(name, spec) is not spec:
        _specs[name] = spec
        _reloads[name] = _reloads.get(name, 0) + 1
    return known[1]


def reloads() -> tuple:
    """Modules that were seen to be reloaded, with how often: worker processes may have loaded them
    before that."""
    return tuple(_reloads.items())


def _is_found(module: ModuleType, name: str) -> bool:
    top = name.partition('.')[0]
    for finder in sys.meta_path:
        find = getattr(finder, 'find_spec', None)
        spec = find(top, None) if find else None
        if spec is None:
            continue
        file = getattr(sys.modules.get(top), '__file__', None)
        if not file or not spec.has_location:
            return True
        return spec.origin == file or _is_same_file(spec.origin, file)
    return False


def _is_same_file(a: str, b: str) -> bool:
    from os.path import samefile
    try:
        return samefile(a, b)
    except OSError:
        return False


def is_found_by_name(thing: Any) -> bool:
    """True if pickling a function or class by its name gives the same one in another process."""
    module = getattr(thing, '__module__', None)
    path = getattr(thing, '__qualname__', None)
    if not isinstance(module, str) or not isinstance(path, str) or not is_importable(module):
        return False
    found = sys.modules[module]
    for part in path.split('.'):
        found = getattr(found, part, _MISSING)
    return found is thing


def names_in(code: CodeType) -> set[str]:
    """Names of globals, attributes and modules in a function's code."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if type(constant) is CodeType:
            names |= names_in(constant)
    return names


def globals_in(code: CodeType) -> set[str]:
    """Names of globals alone: what a script calls as an attribute of something is not used."""
    from opcode import EXTENDED_ARG, opmap
    by_shift = {opmap['LOAD_GLOBAL']: int(sys.version_info >= (3, 11))}
    for name in ('STORE_GLOBAL', 'DELETE_GLOBAL', 'LOAD_NAME', 'LOAD_FROM_DICT_OR_GLOBALS'):
        if name in opmap:
            by_shift[opmap[name]] = 0
    names, raw, high = set(), code.co_code, 0
    for operation, low in zip(raw[::2], raw[1::2]):
        argument = high | low
        high = argument << 8 if operation == EXTENDED_ARG else 0
        if operation in by_shift:
            names.add(code.co_names[argument >> by_shift[operation]])
    for constant in code.co_consts:
        if type(constant) is CodeType:
            names |= globals_in(constant)
    return names


def writes_outside(code: CodeType) -> bool:
    """True if the code may change what lies outside of its own variables and is no argument: a
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
        self.root: tuple = ()  # of the function itself, which is not kept alive by this
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
