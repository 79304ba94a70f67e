# SPDX-License-Identifier: Apache-2.0
"""Turns a callable, and all that the calls of a job share, into code for the engine.

`_worker/main.py` describes code. Making it is most of the work of starting a call, so it is cached:

- A callable that is the same as last time (`watch.py`) is not pickled again: `_jobs`, by identity.
- Code that is the same bytes as before is the same function: `_by_code`. A worker process then has
  loaded it already.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock
from _weakref import ref
from types import FunctionType, MethodType, ModuleType

from lithops import _lithops
from lithops._client.parameters import Parameters, parameters_of
from lithops._client.watch import Watch
from lithops._shared import by_value, surroundings
from lithops._shared.adapters import ByName, InPlaceCode
from lithops._shared.names import globals_in, has_hosts, is_found_by_name, is_importable, reloads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    AnyFunction = Callable[..., Any] | _lithops.Function

VERSION = 2
FRESH = 1  # a flag of code, see _worker/main.py
NativeFunction = _lithops.Function

_KEPT_JOBS, _KEPT_CODES, _KEPT_CODE_BYTES = 1024, 256, 256 << 10

_by_code: dict[tuple[str, bytes], NativeFunction] = {}
_jobs: dict[int, Job] = {}
_pickling = RLock()  # cloudpickle's list of modules to pickle by value is global
os.register_at_fork(after_in_child=_pickling._at_fork_reinit)  # another thread may have held it


def native(spec: str) -> NativeFunction:
    """A function of a shared library, for `FunctionExecutor.map` and the like.

    `spec` is ``libx.so:function``, or ``libm.so.6:pow:double(double,double)`` for one that knows
    nothing of Lithops. Raises FileNotFoundError (library or function), ValueError (the spec).
    """
    return NativeFunction.open(spec)


def command(words: Iterable[Any], *, cwd: Any = None, shell: bool = False,
            pipe: bool = False) -> NativeFunction:
    """Any program as a function, for `FunctionExecutor.map` and the like.

        gzip = lithops.command(['gzip', '-c', '{}'])
        packed = fexec.get_result(fexec.map(gzip, ['a.txt', 'b.txt']))

    Each call runs it in a process of its own, and its standard output is the result, as bytes; what
    it writes to standard error is the output of the call (`future.logs`). No interpreter is in
    between. If it fails, the result raises what `subprocess.run(..., check=True)` would:
    CalledProcessError with `returncode`, `cmd`, `stdout` and `stderr`, or FileNotFoundError or
    PermissionError if it cannot be run.

    Parameters:
        words: the program, which is looked up where the worker runs, and its arguments. In them
            stand ``{}`` for the item, ``{.}`` for it without its extension, ``{/}`` without its
            folder, ``{//}`` for its folder, ``{/.}`` without both, ``{#}`` for the number of the
            call, ``{2}`` for the second one of a tuple. If there are none of these, the item is
            appended. Items are str, bytes, numbers or paths, or a tuple or list of these
        cwd: the folder to run in
        shell: `words` is a line for /bin/sh, in which items are quoted
        pipe: the item is the standard input of the program, and no argument
    """
    if isinstance(words, (str, bytes)):
        if not shell:
            raise TypeError("the words of a command are a list, as ['gzip', '-c', '{}']; "
                            "a line for a shell needs shell=True")
        words = [words]
    encoded = [os.fsencode(str(word) if isinstance(word, int) else word) for word in words]
    folder = None if cwd is None else os.fsencode(cwd)
    return NativeFunction.command(encoded, folder, shell, pipe)


def name_of(function: Callable) -> str:
    """Its name in statistics."""
    if isinstance(function, (FunctionType, MethodType)):
        return function.__name__
    return getattr(function, '__name__', None) or type(function).__name__


# ---- jobs ----------------------------------------------------------------------------------------


class Job:
    """A callable with its parameters; gives the engine's function for each way to call it."""

    __slots__ = ('_ref', '_watch', '_place', '_made', 'function', 'parameters', '__weakref__')

    def __init__(self, function: Callable):
        if not callable(function):
            raise TypeError(f'the function must be callable, not {type(function).__name__}')
        self.function = function
        self.parameters: Parameters | None = parameters_of(function)
        self._watch = Watch.of(function) if type(function) is FunctionType else None
        self._place = surroundings.current()
        self._made: dict[str, NativeFunction] = {}
        self._ref = None
        if self._watch is not None:
            self._ref = ref(function, _forget(id(function)))
            self.function = None

    @classmethod
    def of(cls, function: Callable) -> Job:
        """The job of a callable; a kept one if nothing has changed."""
        job = _jobs.get(id(function))
        if job is not None and job._ref() is function and job._watch.is_fresh(
                function):
            return job
        job = cls(function)
        if job._watch is not None:
            _jobs[id(function)] = job
            if len(_jobs) > _KEPT_JOBS:
                _forget_oldest(_jobs)
        return job

    def plain(self) -> NativeFunction:
        """The function for calls without anything else."""
        made = self._made.get('item')
        if made is not None and self._place == surroundings.current():
            return made
        return self.make('item')

    def make(self, mode: str, extra_args: tuple | dict | None = None, env: dict | None = None,
             include: Iterable[str] | None = (), exclude: Iterable[str] = (),
             by_name: bool = False) -> NativeFunction:
        """The engine's function.

        Parameters:
            mode: "item", "single", "object" or "reduce"
            extra_args: arguments that each call gets besides its item
            env: environment variables of the calls
            include: modules to pickle by value, or paths of modules; None: none
            exclude: modules that are always pickled by name
            by_name: some item has a key that is the name of ``*args`` or ``**kwargs``
        """
        is_plain = not (extra_args or env or include or exclude or by_name) and include is not None
        place = surroundings.current()
        if is_plain and mode in self._made and place == self._place:
            return self._made[mode]
        function = self.function if self._ref is None else self._ref()
        parameters, inject, called = self.parameters, (), function
        if parameters is not None:
            inject = parameters.inject
            if by_name or parameters.shuffled:
                called = ByName(function, parameters.names, parameters.user_names,
                                parameters.varargs, parameters.varkw)
        flags = FRESH if self._keeps_state(function) else 0
        code = _code_of(function, (VERSION, called, extra_args, inject, mode, flags), env,
                        include, exclude, place)
        made = _function_of(name_of(function), code)
        if is_plain:
            if place != self._place:
                self._made.clear()
                self._place = place
            self._made[mode] = made
        return made

    def _keeps_state(self, function: Callable) -> bool:
        """May a call change the function for the next one in the same process? A bound method may,
        or a function with a list among its globals, if they are pickled by value. Those of a pool
        with an initializer live from what it has left there (`_shared/pooled.py`)."""
        if self._watch is not None:
            return self._watch.keeps_state
        return not getattr(function, 'stays_loaded', False) and not is_found_by_name(function)


def _forget(key: int) -> Callable:
    def forget(reference, jobs=_jobs):
        job = jobs.get(key)
        if job is not None and job._ref is reference:
            del jobs[key]
    return forget


def _forget_oldest(kept: dict) -> None:
    try:
        kept.pop(next(iter(kept)), None)
    except (RuntimeError, StopIteration):
        pass  # another thread has changed it; the next call drops more


def _function_of(name: str, code: bytes) -> NativeFunction:
    if len(code) > _KEPT_CODE_BYTES:
        return NativeFunction(name, code)
    key = name, code
    made = _by_code.pop(key, None)
    if made is None:
        made = NativeFunction(name, code)
    _by_code[key] = made  # at the end: the first ones are dropped first
    if len(_by_code) > _KEPT_CODES:
        _forget_oldest(_by_code)
    return made


# ---- pickling ------------------------------------------------------------------------------------


def _code_of(function: Callable, parts: tuple, env: dict | None, include: Iterable[str] | None,
             exclude: Iterable[str], place: tuple) -> bytes:
    include = None if include is None else [name for name in include if name]
    files = [name for name in include or () if name.endswith(('.py', '.so'))]
    names = [name for name in include or () if not name.endswith(('.py', '.so'))]
    folders, environment, folder = place or ((), None, None)
    folders = (*folders, *_folders_of(files))
    if env:
        environment = {**(environment or {}), **env}
    if not names and is_found_by_name(function):
        code = _lithops.dumps(parts)
    else:
        code = _pickle_by_value(parts, function, names, exclude, include is not None)
    if folders or environment or folder or reloads():
        code = _lithops.dumps(InPlaceCode(folders, reloads(), environment, folder, code,
                                          _contents_of(files)))
    return code


def _folders_of(files: Iterable[str]) -> list[str]:
    from os.path import abspath, dirname, isfile
    for file in files:
        if not isfile(file):
            raise ValueError(f'include_modules names {file!r}: there is no such file; give a path '
                             f'that is right from {abspath(".")}')
    return [dirname(abspath(file)) for file in files]


def _contents_of(files: list[str]) -> tuple:
    if not files or not has_hosts():
        return ()
    from lithops._shared.sent_modules import read
    return read(files)


def _pickle_by_value(parts: tuple, function: Callable, names: Iterable[str],
                     exclude: Iterable[str], look_around: bool) -> bytes:
    modules = {module.__name__: module for module in map(_module_named, names)}
    if look_around:
        modules.update(_modules_out_of_reach(function))
    for name in exclude:
        modules.pop(name, None)
    code = None if modules else by_value.dumps(parts)
    if code is not None:
        return code
    import cloudpickle

    from lithops._shared.cloudpickle import dumps
    with _pickling:
        before = cloudpickle.list_registry_pickle_by_value()
        added = [module for name, module in modules.items() if name not in before]
        for module in added:
            cloudpickle.register_pickle_by_value(module)
        try:
            return dumps(parts)
        finally:
            for module in added:
                cloudpickle.unregister_pickle_by_value(module)


def _module_named(name: str) -> ModuleType:
    from importlib import import_module
    try:
        return import_module(name.partition('.')[0])
    except Exception as error:
        raise ValueError(f'include_modules names {name!r}, which cannot be imported: {error}; '
                         f'install it here, or leave it out') from error


def _modules_out_of_reach(function: Callable) -> dict[str, ModuleType]:
    """Modules that a function uses and that a worker process would not find by name."""
    found: dict[str, ModuleType] = {}
    seen: set[int] = set()
    todo: list[Any] = [function]
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        name = thing.__name__ if isinstance(thing, ModuleType) else _home_of(thing)
        module = sys.modules.get(name) if isinstance(name, str) else None
        if module is not None and name not in ('__main__', '__mp_main__') \
                and not is_importable(name):
            found[name] = module
        todo.extend(_used_by(thing))
    return found


def _home_of(thing: Any) -> str | None:
    kind = thing if isinstance(thing, (type, FunctionType)) else type(thing)
    return getattr(kind, '__module__', None)


def _used_by(thing: Any) -> Iterable[Any]:
    if isinstance(thing, MethodType):
        return thing.__func__, thing.__self__
    if type(thing) is FunctionType and not is_found_by_name(thing):
        namespace = thing.__globals__
        used = [namespace[name] for name in globals_in(thing.__code__) if name in namespace]
        for cell in thing.__closure__ or ():
            try:
                used.append(cell.cell_contents)
            except ValueError:
                pass
        return used
    if isinstance(thing, (type, ModuleType)):
        return ()
    return [value for value in (getattr(thing, 'func', None), *getattr(thing, '__dict__', {}).values())
            if callable(value)]
