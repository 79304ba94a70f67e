# SPDX-License-Identifier: Apache-2.0
"""Values and arrays of C types in memory that processes share.

They are real ctypes objects over mapped memory, so reading and writing cost the same as within one
process, and numpy can view them (``numpy.frombuffer(array.get_obj())``). Of a type that is
none of C's (``Value(dict)``, ``Array(str, ['a', 'b'])``) the objects are pickled and held by the
process that holds locks and queues.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
from multiprocessing import sharedctypes as _standard
from typing import Any

from ._shared import Shared
from .managers import ListProxy, ValueProxy
from .synchronize import RLock

__all__ = ['RawValue', 'RawArray', 'Value', 'Array', 'copy', 'synchronized']

copy = _standard.copy


class _Memory(Shared):
    """Mapped memory; the mapping is made when it is first needed."""

    def __init__(self, size: int):
        super().__init__('Memory', size)

    def map(self) -> mmap.mmap:
        fd = os.open(self._call('path'), os.O_RDWR)
        try:
            return mmap.mmap(fd, 0)
        finally:
            os.close(fd)


_travelling_types: dict[type, type] = {}


def _travelling(ctype: type) -> type:
    """A subclass of a C type whose pickles name the memory, and do not copy it."""
    if ctype not in _travelling_types:
        _travelling_types[ctype] = type(ctype.__name__, (ctype,), {'__reduce__': _reduce_raw})
    return _travelling_types[ctype]


def _reduce_raw(self):
    return _raw, (_describe(type(self).__mro__[1]), self._memory)


def _describe(ctype: type) -> Any:
    """What is needed to rebuild a type in another process. The types of arrays have no name to be
    found by, and the structures of a script cannot be pickled by value."""
    if issubclass(ctype, ctypes.Array):
        return ctype._length_, _describe(ctype._type_)
    if ctype.__module__ == '__main__' and issubclass(ctype, ctypes.Structure):
        return ctype.__name__, tuple((name, _describe(kind)) for name, kind in ctype._fields_)
    return ctype


@functools.lru_cache(maxsize=256)
def _type_from(description: Any) -> type:
    if isinstance(description, type):
        return description
    first, second = description
    if isinstance(first, int):
        return _type_from(second) * first
    fields = [(name, _type_from(kind)) for name, kind in second]
    return type(first, (ctypes.Structure,), {'_fields_': fields})


def _raw(description: Any, memory: _Memory):
    ctype = _type_from(description)
    raw = _travelling(ctype).from_buffer(memory.map())
    raw._memory = memory
    return raw


def _type_of(typecode_or_type: str | type) -> type:
    return _standard.typecode_to_type.get(typecode_or_type, typecode_or_type)


def _is_of_c(kind: Any) -> bool:
    if isinstance(kind, str):
        raise TypeError(f'{kind!r} is not a type code; there are: '
                        f'{" ".join(_standard.typecode_to_type)}')
    try:
        ctypes.sizeof(kind)
    except TypeError:
        return False
    return True


def RawValue(typecode_or_type: str | type, *args: Any):
    """A C object in shared memory, made of `args`; as ``multiprocessing.sharedctypes.RawValue``."""
    ctype = _type_of(typecode_or_type)
    if not _is_of_c(ctype):
        return ValueProxy(ctype.__name__, *args or (0,))
    raw = _raw(ctype, _Memory(ctypes.sizeof(ctype)))
    raw.__init__(*args)
    return raw


def RawArray(typecode_or_type: str | type, size_or_initializer):
    """A C array in shared memory, of zeros or of the items of a sequence."""
    ctype = _type_of(typecode_or_type)
    if isinstance(size_or_initializer, int):
        length, items = size_or_initializer, ()
    else:
        items = tuple(size_or_initializer)
        length = len(items)
    if not _is_of_c(ctype):
        return ListProxy(items or [0] * length)
    raw = _raw(ctype * length, _Memory(length * ctypes.sizeof(ctype)))
    raw.__init__(*items)
    return raw


def Value(typecode_or_type: str | type, *args: Any, lock=True, ctx=None):
    """A `RawValue` behind a lock: True makes one, False gives the raw value."""
    return _locked(RawValue(typecode_or_type, *args), lock)


def Array(typecode_or_type: str | type, size_or_initializer, *, lock=True, ctx=None):
    """A `RawArray` behind a lock: True makes one, False gives the raw array."""
    return _locked(RawArray(typecode_or_type, size_or_initializer), lock)


def _locked(raw, lock):
    if lock is False:
        return raw
    if lock is True or lock is None:
        lock = RLock()
    if not hasattr(lock, 'acquire'):
        raise AttributeError(f'{lock!r} has no method acquire')
    if isinstance(raw, Shared):
        return _locked_type(type(raw))._of(raw, lock)
    return synchronized(raw, lock)


class _Locked:
    """What a lock adds to the handle of an object."""

    @classmethod
    def _of(cls, handle, lock):
        handle.__class__ = cls
        handle._lock = lock
        handle.acquire, handle.release = lock.acquire, lock.release
        return handle

    def __reduce__(self):
        make, (_, *rest) = super().__reduce__()
        return _arrive_locked, (make, (type(self).__bases__[1], *rest), self._lock)

    def get_lock(self):
        return self._lock

    def get_obj(self) -> Any:
        """A copy of the object."""
        return self._getvalue()

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *exc_info) -> None:
        self._lock.__exit__(*exc_info)


@functools.lru_cache(maxsize=None)
def _locked_type(base: type) -> type:
    return type('Synchronized' + base.__name__, (_Locked, base), {})


def _arrive_locked(make, arguments, lock):
    handle = make(*arguments)
    return _locked_type(type(handle))._of(handle, lock)


_synchronized_types: dict[type, type] = {}


def synchronized(obj, lock=None, ctx=None):
    """A wrapper of a raw value or array that takes the lock for each access."""
    wrapper = _standard.synchronized(obj, lock or RLock())
    base = type(wrapper)
    if base not in _synchronized_types:
        _synchronized_types[base] = type(base.__name__, (base,), {'__reduce__': _reduce_wrapper})
    wrapper.__class__ = _synchronized_types[base]
    return wrapper


def _reduce_wrapper(self):
    return synchronized, (self.get_obj(), self.get_lock())
