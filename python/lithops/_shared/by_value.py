# SPDX-License-Identifier: Apache-2.0
"""Functions that pickle cannot name (those of a script, lambdas, closures), without cloudpickle.

Importing cloudpickle takes longer than starting Python, in the client and again in each worker
process. Most functions of scripts do not need it: what they use besides their own code is modules,
things that have a name in a module, data, and other functions of this kind. `dumps()` pickles
these, and returns None for everything else, which is left to cloudpickle: above all anything that
involves a class of the script, which must be the same class when it returns.

A function is its code (by `marshal`: both sides run the same Python), the globals that the code
names, closure, defaults and attributes. Functions of one module share their globals on the other
side too, and may refer to each other.
"""

from __future__ import annotations

import builtins
import marshal
import sys
from types import CellType, FunctionType, MethodType, ModuleType

from _pickle import PicklingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# ---- in the worker process -----------------------------------------------------------------------


def make_function(code: bytes, space: dict, cells: tuple | None) -> FunctionType:
    """A function with the globals `space`, which are filled in later."""
    space.setdefault("__name__", "__main__")
    space.setdefault("__builtins__", builtins)
    return FunctionType(marshal.loads(code), space, None, None, cells)


def fill_function(function: FunctionType, state: tuple) -> None:
    (function.__name__, function.__qualname__, function.__defaults__, function.__kwdefaults__,
     function.__annotations__, attributes) = state
    function.__dict__.update(attributes)


def make_cell() -> CellType:
    return CellType()


def fill_cell(cell: CellType, state: tuple) -> None:
    cell.cell_contents, = state


def make_cached(function: FunctionType, maxsize: int | None, typed: bool) -> Any:
    from functools import lru_cache
    return lru_cache(maxsize, typed)(function)


def load_module(name: str, parts: tuple) -> ModuleType:
    """The module, with those of its submodules that the functions name."""
    for each in (name, *parts):
        __import__(each)
    return sys.modules[name]


# ---- in the client -------------------------------------------------------------------------------


def dumps(thing: Any) -> bytes | None:
    """A pickle, or None if there is something in it that needs cloudpickle."""
    from io import BytesIO
    file = BytesIO()
    try:
        _pickler(file).dump(thing)
    except Exception:  # cloudpickle can do it, or has a better error message
        return None
    data = file.getvalue()
    # Some objects are pickled as names in a module that is a different one in the worker process.
    return None if b"__main__" in data or b"__mp_main__" in data else data


def annotations_of(function: FunctionType) -> dict:
    """Its annotations; as text if they cannot be evaluated, as from Python 3.14 on may happen."""
    try:
        return function.__annotations__
    except Exception:
        from annotationlib import Format, get_annotations
        try:
            return get_annotations(function, format=Format.STRING)
        except Exception:  # "text" | None
            return {}


def is_found_at_its_object(method: MethodType) -> bool:
    """False if it is private or decorated, or was bound explicitly."""
    try:
        return getattr(method.__self__, method.__name__, None) == method
    except Exception:  # code of the object's, or of what was bound
        return False


def _pickler(file: Any) -> Any:
    """The class is made on first use, as worker processes do not need it."""
    from _pickle import Pickler
    from functools import _lru_cache_wrapper

    from lithops._shared.names import globals_in, is_found_by_name, is_importable, names_in

    class ByValue(Pickler):
        def __init__(self, file):
            super().__init__(file, 5)
            self.spaces: dict[int, dict] = {}  # id of a module's globals -> what is sent of them
            self.names: set[str] = set()
            self.known: set[int] = set()
            self.kept: list[FunctionType] = []  # keeps their ids from being reused

        def reducer_override(self, thing):
            kind = type(thing)
            if kind is FunctionType and not is_found_by_name(thing):
                return self.reduce_function(thing)
            if kind is MethodType and not is_found_at_its_object(thing):
                return MethodType, (thing.__func__, thing.__self__)  # private, or decorated
            if kind is CellType:
                return self.reduce_cell(thing)
            if kind is _lru_cache_wrapper and not is_found_by_name(thing):
                limits = thing.cache_parameters()
                return make_cached, (thing.__wrapped__, limits["maxsize"], limits["typed"])
            if isinstance(thing, ModuleType):
                return self.reduce_module(thing)
            if isinstance(thing, type) and not is_found_by_name(thing):
                raise PicklingError("a class of the script")
            return NotImplemented

        def reduce_function(self, function):
            if id(function) not in self.known:
                self.collect(function)
            state = (function.__name__, function.__qualname__, function.__defaults__,
                     function.__kwdefaults__, annotations_of(function), function.__dict__)
            space = self.spaces[id(function.__globals__)]
            return (make_function, (marshal.dumps(function.__code__), space, function.__closure__),
                    state, None, None, fill_function)

        def collect(self, function):
            """Fill the globals to send, of this function and those that it leads to."""
            if self.known:  # its module's may be written already
                raise PicklingError("a function that the first one does not lead to")
            todo = [function]
            while todo:
                function = todo.pop()
                if id(function) in self.known:
                    continue
                self.known.add(id(function))
                self.kept.append(function)
                todo += self.collect_one(function)

        def collect_one(self, function):
            source = function.__globals__
            space = self.spaces.setdefault(id(source), {})
            home = source.get("__name__")
            if home not in ("__main__", "__mp_main__"):
                if not is_importable(home):
                    raise PicklingError("whether such modules go by value is cloudpickle's to know")
                space["__name__"] = home
            if source.get("__package__"):  # for imports relative to it
                space["__package__"] = source["__package__"]
            names = globals_in(function.__code__) - {"__name__"}
            self.names |= names_in(function.__code__)
            space.update((name, source[name]) for name in names if name in source)
            used = [source[name] for name in names if name in source]
            used += [cell.cell_contents for cell in function.__closure__ or ()]
            used += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(),
                     *function.__dict__.values()]
            used = [thing.__wrapped__ if type(thing) is _lru_cache_wrapper else thing
                    for thing in used]
            return [thing for thing in used
                    if type(thing) is FunctionType and not is_found_by_name(thing)]

        def reduce_cell(self, cell):
            return make_cell, (), (cell.cell_contents,), None, None, fill_cell

        def reduce_module(self, module):
            name = module.__name__
            if sys.modules.get(name) is not module or not is_importable(name):
                raise PicklingError("a module that has no name")
            parts = [other for other in list(sys.modules) if other.startswith(name + ".")
                     and self.names.issuperset(other[len(name) + 1:].split("."))]
            return load_module, (name, tuple(parts))

    return ByValue(file)
