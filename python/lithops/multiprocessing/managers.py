# SPDX-License-Identifier: Apache-2.0
"""Managers: dicts, lists and objects of any class, shared by processes.

All managers of a program use the one process that holds shared objects. What is in a dict or a
list is a copy: changing it in place changes nothing there, as with the standard library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from . import synchronize
from ._shared import Shared, decode, encode
from .queues import JoinableQueue, Queue, SimpleQueue

__all__ = ['BaseManager', 'SyncManager', 'Manager', 'BaseProxy', 'ListProxy', 'DictProxy',
           'NamespaceProxy', 'ValueProxy', 'ArrayProxy', 'GenericProxy']


class BaseProxy(Shared):
    """A handle of an object that a manager has made."""

    def _getvalue(self) -> Any:
        """A copy of the object, as it is now."""
        raise NotImplementedError

    def __deepcopy__(self, memo) -> Any:
        return self._getvalue()

    def __repr__(self) -> str:
        return f'<{type(self).__name__} object {self._ident}>'

    def __str__(self) -> str:
        return repr(self._getvalue())


class ListProxy(BaseProxy):
    """A shared list."""

    def __init__(self, iterable: Iterable = ()):
        super().__init__('List', [encode(item) for item in iterable])

    def _getvalue(self) -> list:
        return [decode(item) for item in self._call('get')[1]]

    tolist = _getvalue

    def _update(self, change: Callable[[list], Any]) -> Any:
        """Change a copy, and store it unless another process has changed the object meanwhile."""
        while True:
            version, encoded = self._call('get')
            values = [decode(item) for item in encoded]
            result = change(values)
            if self._call('swap', version, [encode(value) for value in values]):
                return result

    def __getitem__(self, i):
        found = self._call('read', '__getitem__', i)
        return [decode(item) for item in found] if isinstance(i, slice) else decode(found)

    def __setitem__(self, i, value) -> None:
        value = [encode(item) for item in value] if isinstance(i, slice) else encode(value)
        self._call('change', '__setitem__', i, value)

    def __delitem__(self, i) -> None:
        self._call('change', '__delitem__', i)

    def __len__(self) -> int:
        return self._call('read', '__len__')

    def __iter__(self) -> Iterator:
        return iter(self._getvalue())

    def __reversed__(self) -> Iterator:
        return reversed(self._getvalue())

    def __contains__(self, value) -> bool:
        return value in self._getvalue()

    def append(self, value) -> None:
        self._call('change', 'append', encode(value))

    def extend(self, iterable: Iterable) -> None:
        self._call('change', 'extend', [encode(item) for item in iterable])

    def insert(self, index: int, value) -> None:
        self._call('change', 'insert', index, encode(value))

    def pop(self, index: int = -1):
        return decode(self._call('change', 'pop', index))

    def reverse(self) -> None:
        self._call('change', 'reverse')

    def clear(self) -> None:
        self._call('change', 'clear')

    def remove(self, value) -> None:
        self._update(lambda values: values.remove(value))

    def sort(self, *, key=None, reverse: bool = False) -> None:
        self._update(lambda values: values.sort(key=key, reverse=reverse))

    def index(self, value, *limits) -> int:
        return self._getvalue().index(value, *limits)

    def count(self, value) -> int:
        return self._getvalue().count(value)

    def copy(self) -> list:
        return self._getvalue()

    def copy_proxy(self) -> ListProxy:
        """Another shared list with the same items."""
        other = ListProxy.__new__(type(self))
        ListProxy.__init__(other, self._getvalue())
        return other

    def __add__(self, other) -> list:
        return self._getvalue() + list(other)

    def __mul__(self, n: int) -> list:
        return self._getvalue() * n

    __rmul__ = __mul__

    def __iadd__(self, other):
        self.extend(other)
        return self

    def __imul__(self, n: int):
        self._call('repeat', n)
        return self


class ArrayProxy(ListProxy):
    """A shared list of numbers; `typecode` as in the module array is a note. A number in place of
    the sequence stands for so many zeros."""

    def __init__(self, typecode: str = 'Any', sequence: Iterable | int | None = None, lock=True):
        super().__init__([0] * sequence if isinstance(sequence, int) else sequence or ())


class DictProxy(BaseProxy):
    """A shared dict. Keys other than plain values are equal when their pickles are."""

    def __init__(self, *args, **kwargs):
        items = dict(*args, **kwargs).items()
        super().__init__('Dict', [(encode(key), encode(value)) for key, value in items])

    def _getvalue(self) -> dict:
        return {decode(key): decode(value) for key, value in self._call('get')[1].items()}

    todict = copy = _getvalue

    def __getitem__(self, key):
        try:
            return decode(self._call('read', '__getitem__', encode(key)))
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key, value) -> None:
        self._call('change', '__setitem__', encode(key), encode(value))

    def __delitem__(self, key) -> None:
        try:
            self._call('change', '__delitem__', encode(key))
        except KeyError:
            raise KeyError(key) from None

    def __len__(self) -> int:
        return self._call('read', '__len__')

    def __iter__(self) -> Iterator:
        return iter(self.keys())

    def __contains__(self, key) -> bool:
        return self._call('read', '__contains__', encode(key))

    def get(self, key, default=None):
        return decode(self._call('read', 'get', encode(key), encode(default)))

    def setdefault(self, key, default=None):
        return decode(self._call('change', 'setdefault', encode(key), encode(default)))

    def pop(self, key, *default):
        try:
            return decode(self._call('change', 'pop', encode(key), *map(encode, default)))
        except KeyError:
            raise KeyError(key) from None

    def popitem(self) -> tuple:
        key, value = self._call('change', 'popitem')
        return decode(key), decode(value)

    def update(self, *args, **kwargs) -> None:
        items = dict(*args, **kwargs).items()
        self._call('change', 'update', [(encode(key), encode(value)) for key, value in items])

    def clear(self) -> None:
        self._call('change', 'clear')

    def keys(self) -> list:
        return [decode(key) for key in self._call('keys')]

    def values(self) -> list:
        return list(self._getvalue().values())

    def items(self) -> list:
        return list(self._getvalue().items())

    def __or__(self, other) -> dict:
        return self._getvalue() | dict(other)

    def __ior__(self, other):
        self.update(other)
        return self


class NamespaceProxy(BaseProxy):
    """A shared object with attributes; names with a leading underscore stay in the process."""

    def __init__(self, **kwargs):
        super().__init__('Dict', [(key, encode(value)) for key, value in kwargs.items()])

    def _getvalue(self) -> dict:
        return {key: decode(value) for key, value in self._call('get')[1].items()}

    def __getattr__(self, name: str):
        if name.startswith('_'):
            raise AttributeError(name)
        try:
            return decode(self._call('read', '__getitem__', name))
        except KeyError:
            raise AttributeError(f"the namespace has no attribute '{name}'") from None

    def __setattr__(self, name: str, value) -> None:
        if name.startswith('_'):
            object.__setattr__(self, name, value)
        else:
            self._call('change', '__setitem__', name, encode(value))

    def __delattr__(self, name: str) -> None:
        if name.startswith('_'):
            object.__delattr__(self, name)
            return
        try:
            self._call('change', '__delitem__', name)
        except KeyError:
            raise AttributeError(f"the namespace has no attribute '{name}'") from None

    def __str__(self) -> str:
        return f"Namespace({', '.join(f'{k}={v!r}' for k, v in self._getvalue().items())})"


class ValueProxy(BaseProxy):
    """A shared value; `typecode` as in the module array is a note."""

    def __init__(self, typecode: str = 'Any', value: Any = None, lock=True):
        super().__init__('Box', encode(value))

    def get(self) -> Any:
        return decode(self._call('get'))

    def set(self, value: Any) -> None:
        self._call('set', encode(value))

    _getvalue = get
    value = property(get, set)


class GenericProxy(BaseProxy):
    """A shared object of any class.

    A method runs in the process that calls it, on a copy that is put in place afterwards; if
    another process was faster, it runs again. It should therefore do nothing else.
    """

    def __init__(self, obj: Any):
        super().__init__('Box', encode(obj))
        self._kind = type(obj).__name__
        self._methods = frozenset(name for name in dir(obj) if not name.startswith('_')
                                  and callable(getattr(obj, name)))

    def _extra(self) -> dict:
        return {'_kind': self._kind, '_methods': self._methods}

    def _getvalue(self) -> Any:
        return decode(self._call('get'))

    def __getattr__(self, name: str):
        if name.startswith('_') or name not in self._methods:
            raise AttributeError(f"the shared {self.__dict__.get('_kind')} has no method '{name}'")

        def method(*args, **kwargs):
            while True:
                version, encoded = self._call('get_version')
                obj = decode(encoded)
                result = getattr(obj, name)(*args, **kwargs)
                if self._call('swap', version, encode(obj)):
                    return result
        method.__name__ = name
        return method


class BaseManager:
    """A maker of shared objects of the classes that were registered with it."""

    _makers: dict[str, Callable] = {}

    def __init__(self, address=None, authkey=None, serializer='pickle', ctx=None):
        if address is not None:
            raise NotImplementedError('managers of lithops.multiprocessing have no address: they '
                                      'use one process of this program; omit the address')

    @classmethod
    def register(cls, typeid: str, callable: Callable | None = None, proxytype=None, exposed=None,
                 method_to_typeid=None, create_method: bool = True) -> None:
        """Let managers of this class make objects: ``manager.typeid(...)`` shares what
        ``callable(...)`` gives. The other arguments have no effect."""
        if callable is None and proxytype is None:
            raise ValueError('register() needs a callable that makes the object')
        if '_makers' not in cls.__dict__:
            cls._makers = dict(cls._makers)
        make = callable or proxytype
        if isinstance(make, type) and issubclass(make, Shared):
            cls._makers[typeid] = make
        else:
            cls._makers[typeid] = lambda *args, **kwargs: GenericProxy(make(*args, **kwargs))

    def __getattr__(self, name: str):
        try:
            return type(self)._makers[name]
        except KeyError:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'; "
                                 'register() makes one') from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *type(self)._makers})

    def start(self, initializer=None, initargs=()) -> None:
        """Nothing to do: the process starts with the first object."""
        if initializer is not None:
            initializer(*initargs)

    def connect(self) -> None:
        """Nothing to do: see start()."""

    def shutdown(self) -> None:
        """Nothing to do: objects are freed when no process has a handle of them."""

    def join(self, timeout: float | None = None) -> None:
        """Nothing to do: see shutdown()."""

    def __enter__(self):
        return self

    def __exit__(self, *exc_info) -> None:
        self.shutdown()


class SyncManager(BaseManager):
    """A manager of the usual shared objects."""


def _pool(*args, **kwargs):
    from .pool import Pool
    return Pool(*args, **kwargs)


SyncManager._makers = {
    'list': ListProxy, 'dict': DictProxy, 'Namespace': NamespaceProxy, 'Value': ValueProxy,
    'Array': ArrayProxy, 'Queue': Queue, 'SimpleQueue': SimpleQueue,
    'JoinableQueue': JoinableQueue, 'Pool': _pool,
    **{name: getattr(synchronize, name) for name in synchronize.__all__},
}


def Manager() -> SyncManager:
    """A manager that is ready."""
    return SyncManager()
