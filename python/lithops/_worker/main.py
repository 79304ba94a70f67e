# SPDX-License-Identifier: Apache-2.0
"""A worker process of Python functions: what runs in it around a call.

How it is started: `worker_command()` of the client gives the command; the engine appends one
argument of its own.

    python -S -c "import sys; sys.path[:] = ...; from lithops._worker.main import main; main(...)"

There is no `site`: it would take as long as all the rest. The client's `sys.path` is given, and
`site` is run when an import fails without it (import hooks of editable installs). So nothing here
may import more than it must; `tests/test_extension_worker.py` watches the modules that are loaded.

CODE: what a job runs, made once per job by the client (`_client/function.py`), loaded once per worker
process. It is one of two:

1. A pickle (by the codec's rules: `_lithops.dumps` or cloudpickle) of the tuple

       (version, function, extra_args, inject, mode, flags)

   version     2
   function    the callable
   extra_args  None | tuple: positional arguments after the item's | dict: keyword arguments. The
               function gets a copy of its own in each call, unless they are immutable
   inject      tuple of the reserved parameters to fill in, out of "id", "storage", "ibm_cos",
               "rabbitmq". ("obj" is what the mode "object" does.)
   mode        "item"    a tuple is positional arguments, a dict keyword arguments, anything else
                         one argument
               "single"  the item is one argument, whatever it is
               "object"  the item names a chunk of an object; it is the argument `obj`. What
                         `call.object_extra()` holds is a pickle of a tuple (positional, after
                         `obj`) or of a dict (keywords)
               "reduce"  the first argument is the list of the results
   flags       1: the function is loaded again for each call, since a call may change it: what
               one call leaves behind is not there for the next one

   Where the job has variables of its own (`extra_env`), or the client's environment or working
   directory have changed since its first executor (`_shared/surroundings.py`), these are in place
   when the pickle is loaded, since modules may look at them when they are imported, and the tuple
   has two more items:

   environment dict of str or None (the variable is not there)
   folder      the working directory, or None: it is as it was

2. b"import package.module:function": from the `lithops` command and the C face. Plain values in
   and out, bound as for C functions: a list by position, a map by name, null is no argument of a
   function that takes none. Reserved parameters are filled in by name, `obj` too.

A FAILED CALL carries data for the client: a pickle of

    (exceptions, text)     exceptions: a tuple: the exception, its __cause__, the cause's __cause__,
                           ...; text: the traceback, without the frames of this package
    text                   alone, where the exception cannot be pickled and loaded again

`load_failure(data)` in `_shared/failure.py` is the other side.

WHAT THE PACKAGE OFFERS TO WORKERS, found by name when it is needed:

    lithops.storage.Storage._of(native)       the injected `storage`, over an _lithops.Storage
    future.result() of a _lithops.Future; FuturesList.get_result(): what a function returns is
    waited for when it is one of these, or a list that begins with a future
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
from _collections_abc import Callable  # collections.abc imports a third of the library

from lithops import _lithops
from lithops._shared.adapters import Spread, spread
from lithops._shared.failure import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VERSION = 2
_FRESH = 1
_RESERVED = ("id", "storage", "ibm_cos", "rabbitmq")


# ---- starting ------------------------------------------------------------------------------------


def main(argument: str, argv: list[str] | None = None, folder: str | None = None,
         log_level: int | None = None) -> None:
    """Be a worker process, and end it.

    `argument` is what the engine has given; `argv` is the client's, for functions that look at it.
    `folder` is the working directory: the client may have left it since it started this process.
    `log_level` is that of the client's root logger, if it shows more than warnings.
    """
    if folder is not None:
        try:
            os.chdir(folder)
        except OSError:
            pass  # it was removed
    sys.argv[:] = argv or sys.argv[:1]
    space = vars(sys.modules["__main__"])
    for name in [name for name in space if not name.startswith("__")]:
        del space[name]
    os.environ["LITHOPS_WORKER"] = "True"
    if log_level is not None:
        _show_records(log_level)
    if sys.flags.no_site:
        _add_exit()
        sys.meta_path.append(_Site())
    os.register_at_fork(before=_flush)
    faulthandler.enable(2, all_threads=False)  # a crash prints its stack into the call's output
    status = _lithops.worker_main(argument, _load, describe, _settle, _open_streams)
    _flush()
    os._exit(status)  # does not wait for threads left behind by functions


def _show_records(level: int) -> None:
    """Log records of functions are output of their calls. There is no handler: functions may still
    call basicConfig()."""
    import logging
    logging.root.setLevel(level)
    logging.lastResort.setLevel(level)


def _add_exit() -> None:
    """exit() and quit(), which `site` would have made."""
    import builtins

    from _sitebuiltins import Quitter
    builtins.exit, builtins.quit = Quitter("exit", "Ctrl-D"), Quitter("quit", "Ctrl-D")


class _Site:
    """The last finder tried: runs `site`, whose .pth files may install further finders."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if path is not None:  # inside a package that was found without `site`
            return None
        sys.meta_path.remove(self)
        import site
        site.main()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


def _open_streams() -> tuple[io.TextIOWrapper, io.TextIOWrapper]:
    """New standard streams in `sys`, whose output the engine attributes to the call."""
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(_lithops.Output(descriptor), encoding="utf-8", errors="backslashreplace",
                         newline="\n", write_through=True)
        for descriptor in (1, 2))
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    return sys.stdout, sys.stderr


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or replaced by something else


# ---- code ----------------------------------------------------------------------------------------


def _load(code: bytes) -> tuple[Callable, Callable | None, bool]:
    """What `worker_main` keeps of a code: see its documentation."""
    if code.startswith(b"import "):
        return _entry_by_name(_import(code[7:].decode())), None, True
    version, function, extra_args, inject, mode, flags, *place = parts = _lithops.loads(code)
    if version != _VERSION:
        raise RuntimeError(f"the client's code is of version {version}, this worker's lithops "
                           f"knows {_VERSION}: install the same version on both sides")
    if flags & _FRESH:
        entry = _fresh(code, parts)
    elif mode in _PLAIN_ENTRIES and not (extra_args or inject or place):
        return _PLAIN_ENTRIES[mode](function), function, False
    else:
        entry = _entry(function, _BINDERS[mode], _copier(extra_args), inject)
    return (_in_place(entry, *place) if place else entry), None, False


def _fresh(code: bytes, parts: tuple) -> Callable:
    """Loads the code for each call; `parts` is what was loaded to look at it."""
    loaded = [parts]

    def entry(call, item):
        _, function, extra_args, inject, mode, *_ = (
            loaded.pop() if loaded else _lithops.loads(code))
        return _entry(function, _BINDERS[mode], lambda: extra_args or (), inject)(call, item)
    return entry


def _spread(function: Callable) -> Callable:
    def entry(call, item):
        return function(*item) if isinstance(item, tuple) else function(**item)
    return entry


_PLAIN_ENTRIES = {"item": _spread, "single": lambda function: lambda call, item: function(item)}


def _entry(function: Callable, bind: Callable, extra_args: Callable, inject: tuple) -> Callable:
    def entry(call, item):
        args, kwargs = bind(call, item)
        extra = extra_args()
        if isinstance(extra, dict):
            kwargs.update(extra)
        else:
            args += extra
        for name in inject:
            kwargs[name] = _inject(name, call)
        return function(*args, **kwargs)
    return entry


def _bind_item(call: Any, item: Any) -> tuple[tuple, dict]:
    if isinstance(item, tuple):
        return tuple(item), {}
    return ((), dict(item)) if isinstance(item, dict) else ((item,), {})


def _bind_object(call: Any, item: Any) -> tuple[tuple, dict]:
    data = call.object_extra()
    extra = () if data is None else _lithops.loads(data)
    if isinstance(extra, dict):
        return (), {**extra, "obj": Partition(call.object())}
    return (Partition(call.object()), *extra), {}


_BINDERS = {
    "item": _bind_item,
    "single": lambda call, item: ((item,), {}),
    "object": _bind_object,
    "reduce": lambda call, item: ((spread(call.results()),), {}),
}


def _copier(extra: tuple | dict | None) -> Callable:
    """Gives each call its own copy of the extra arguments, so that others do not see changes."""
    if not extra:
        return tuple
    if all(map(_is_constant, extra.values() if isinstance(extra, dict) else extra)):
        return lambda: extra
    data = _lithops.dumps(extra)
    return lambda: _lithops.loads(data)


def _is_constant(value: Any) -> bool:
    if type(value) in (tuple, frozenset):
        return all(map(_is_constant, value))
    return value is None or type(value) in _CONSTANTS


_CONSTANTS = frozenset((int, float, str, bytes, bool, complex, range, type, type(_copier),
                        type(len)))


def _in_place(entry: Callable, environment: dict | None, folder: str | None = None) -> Callable:
    from lithops._shared.surroundings import InPlace

    def in_place(call, item):
        with InPlace(environment, folder):
            return entry(call, item)
    return in_place


# ---- code by name --------------------------------------------------------------------------------


def _import(spec: str) -> Callable:
    module, _, name = spec.partition(":")
    if not module or not name:
        raise ValueError(f"'{spec}' names no function; write package.module:function")
    __import__(module)
    function = sys.modules[module]
    for part in name.split("."):
        function = getattr(function, part)
    if not callable(function):
        raise TypeError(f"{spec} is a {type(function).__name__}, not a function")
    return function


def _entry_by_name(function: Callable) -> Callable:
    code = getattr(function, "__code__", None)
    positional = code.co_varnames[:code.co_argcount] if code else ()
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount] if code else ()
    inject = tuple(name for name in _RESERVED if name in names)
    takes_none = code is not None and not set(positional) - set(inject) and not code.co_flags & 4

    def entry(call, item):
        args, kwargs = (item,), {}
        if call.is_reducer:
            args = (call.results(),)
        elif "obj" in names:
            args, kwargs = (), {"obj": Partition(call.object())}
        elif isinstance(item, list):
            args = tuple(item)
        elif isinstance(item, dict) and "$cloudobject" not in item:
            args, kwargs = (), item
        elif item is None and takes_none:
            args = ()
        extra = call.extra_args
        if isinstance(extra, dict):
            kwargs.update(extra)
        elif extra is not None:
            args += tuple(extra) if isinstance(extra, list) else (extra,)
        for name in inject:
            kwargs[name] = _inject(name, call)
        return function(*args, **kwargs)
    return entry


# ---- what functions are given --------------------------------------------------------------------


_storage: Any = None


def _inject(name: str, call: Any) -> Any:
    """A reserved parameter."""
    global _storage
    if name == "id":
        return call.id
    if name == "storage":
        if _storage is None:
            from lithops.storage import Storage
            _storage = Storage._of(call.storage)
        return _storage
    if name == "rabbitmq":
        url = call.rabbitmq
        if not url:
            raise RuntimeError("the parameter rabbitmq needs rabbitmq.amqp_url to be configured")
        import pika
        return pika.BlockingConnection(pika.URLParameters(url))
    raise RuntimeError(f"the parameter {name} cannot be given here: the storage backend {name} is "
                       "not configured")


class Partition:
    """`obj`: one chunk of an object, and where it is.

    Always there: data_stream (a binary file over the chunk's lines), part (1 .. total_parts),
    total_parts, chunk_size (bytes), data_byte_range (first and last byte of the chunk as it was
    planned), newline (str or None). Of a file: path, bucket (its folder), key (its name). Of a
    stored object: backend, bucket, key. Of a URL: url.
    """

    def __init__(self, stream: Any):
        info = stream.info
        start, end = info["range_start"], info["range_end"]
        self.data_stream = stream
        self.data_byte_range = (start, end - 1)
        self.chunk_size = end - start
        self.part = info["part"] + 1
        self.total_parts = info["total_parts"]
        self.newline = info["newline"]
        if "path" in info:
            self.path = info["path"]
            self.bucket, self.key = os.path.split(self.path)
        for name in ("url", "backend", "bucket", "key"):
            if name in info:
                setattr(self, name, info[name])

    def __str__(self) -> str:
        place = (getattr(self, "path", None) or getattr(self, "url", None)
                 or f"{self.backend}://{self.bucket}/{self.key}")
        return f"<CloudObject at {place}>"


def _settle(result: Any) -> Any:
    """The results of the futures that a function has returned."""
    if isinstance(result, list):
        futures = [item for item in result if not getattr(item, "feeds_reducer", False)]
        return Spread(spread(
            [item.result() if hasattr(item, "result_value") else item for item in futures]))
    return result.result()
