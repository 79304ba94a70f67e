# SPDX-License-Identifier: Apache-2.0
"""What a function can be called with, to find wrong arguments before a job starts.

For plain functions this reads their code, as importing `inspect` takes longer than a first call.
"""

from __future__ import annotations

import sys
from types import FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

RESERVED = ('id', 'storage', 'ibm_cos', 'rabbitmq')  # parameters that worker processes fill in


class Parameters:
    """The parameters of a function.

    names       positional ones, in order, all
    user_names  those without the reserved ones
    defaults    names of those (also keyword-only) that have a default
    posonly     names of those that cannot be given by keyword
    kwonly      names of those that can only be given by keyword, without the reserved ones
    varargs, varkw   names of *args and **kwargs, or None
    takes_names it takes any names, though its signature does not say so: a decorator's
    inject      the reserved ones that it has
    takes_obj   it has a parameter ``obj``
    takes_one   a single positional argument is enough
    is_plain    nothing else has to be known: it takes one, and no object
    shuffled    a reserved parameter stands before one of the user's
    """

    __slots__ = ('names', 'user_names', 'defaults', 'posonly', 'kwonly', 'varargs', 'varkw',
                 'takes_names', 'inject', 'takes_obj', 'takes_one', 'is_plain', 'shuffled')

    def __init__(self, names: tuple, posonly: Iterable, kwonly: tuple, defaults: frozenset,
                 varargs: str | None, varkw: str | None, takes_names: bool = False):
        self.names = names
        self.posonly = frozenset(posonly)
        self.inject = tuple(name for name in RESERVED
                            if (name in names and name not in self.posonly) or name in kwonly)
        self.user_names = tuple(name for name in names if name not in self.inject)
        self.kwonly = tuple(name for name in kwonly if name not in self.inject)
        self.defaults = defaults
        self.varargs = varargs
        self.varkw = varkw
        self.takes_names = takes_names or varkw is not None
        # names of positional-only parameters mean nothing: len(obj, /) is not a function over
        # objects
        self.takes_obj = ('obj' in names and 'obj' not in self.posonly) or 'obj' in kwonly
        self.shuffled = self.user_names != names[:len(self.user_names)]
        self.takes_one = self.problem(1) is None
        self.is_plain = self.takes_one and not self.takes_obj

    def problem(self, count: int, keywords: Iterable[str] = ()) -> str | None:
        """Why `count` positional arguments and these keywords do not fit; None: they do."""
        if count > len(self.user_names) and self.varargs is None:
            return 'too many positional arguments'
        given = set(self.user_names[:count])
        for name in keywords:
            if name in self.kwonly or (name in self.user_names and name not in self.posonly):
                if name in given:
                    return f'multiple values for argument {name!r}'
                given.add(name)
            elif not self.takes_names and name not in self.inject:
                return f'got an unexpected keyword argument {name!r}'
        for name in (*self.user_names, *self.kwonly):
            if name not in given and name not in self.defaults:
                return f'missing a required argument: {name!r}'
        return None

    def check(self, count: int, keywords: Iterable[str] = ()) -> None:
        """Raises TypeError with `problem`."""
        problem = self.problem(count, keywords)
        if problem:
            raise TypeError(problem)

    def check_dict(self, item: Iterable[str], more: Iterable[str] = ()) -> None:
        """Raises ValueError if the keys of a dict (and `more`) do not have the names of all
        parameters and do not fit, and, as the call itself would, TypeError if they have more."""
        keys = {*item, *more}
        if not all(isinstance(key, str) for key in keys):
            raise ValueError(f'keys of a dict are names of arguments, so they must be str: '
                             f'{sorted(keys, key=str)}')
        if self.varargs in keys or self.varkw in keys:
            return  # expanded in the worker process, so its names are not known here
        problem = self.problem(0, keys)
        if problem:
            kind = TypeError if keys.issuperset((*self.user_names, *self.kwonly)) else ValueError
            raise kind(f'the names in the data do not fit: {problem}. The data has '
                       f'{sorted(keys)}, the function takes {[*self.user_names, *self.kwonly]}')


def _of_plain(function: FunctionType, skip: int) -> Parameters:
    code = function.__code__
    count = code.co_argcount
    names = code.co_varnames
    end = count + code.co_kwonlyargcount
    varargs = varkw = None
    if code.co_flags & 0x04:
        varargs = names[end]
    if code.co_flags & 0x08:
        varkw = names[end + (varargs is not None)]
    defaults = function.__defaults__ or ()
    with_default = {*names[count - len(defaults):count], *(function.__kwdefaults__ or ())}
    return Parameters(names[skip:count], names[skip:code.co_posonlyargcount], names[count:end],
                      frozenset(with_default), varargs, varkw)


def _of_signature(callable_: Callable) -> Parameters | None:
    import inspect
    lazily = {}
    if sys.version_info >= (3, 14):  # evaluating annotations may fail, and they are not needed
        from annotationlib import Format
        lazily['annotation_format'] = Format.STRING
    try:
        signature = inspect.signature(callable_, **lazily)
    except (ValueError, TypeError):  # implemented in C, without a signature
        return None
    by_kind: dict = {}
    for parameter in signature.parameters.values():
        by_kind.setdefault(parameter.kind, []).append(parameter.name)
    posonly = by_kind.get(inspect.Parameter.POSITIONAL_ONLY, [])
    names = posonly + by_kind.get(inspect.Parameter.POSITIONAL_OR_KEYWORD, [])
    kwonly = by_kind.get(inspect.Parameter.KEYWORD_ONLY, [])
    defaults = (parameter.name for parameter in signature.parameters.values()
                if parameter.default is not inspect.Parameter.empty)
    return Parameters(tuple(names), posonly, tuple(kwonly), frozenset(defaults),
                      by_kind.get(inspect.Parameter.VAR_POSITIONAL, [None])[0],
                      by_kind.get(inspect.Parameter.VAR_KEYWORD, [None])[0],
                      _takes_names(callable_))


def _takes_names(callable_: Any) -> bool:
    """True if what is really called has ``**kwargs``: `__signature__` and `__wrapped__` may say
    less than that."""
    from functools import partial
    while isinstance(callable_, partial):
        callable_ = callable_.func
    called = (callable_,)
    if isinstance(callable_, type):
        called = callable_.__new__, callable_.__init__
    elif not isinstance(callable_, (FunctionType, MethodType)):
        called = (getattr(type(callable_), '__call__', None),)
    codes = (getattr(each, '__code__', None) for each in called)
    return any(code is not None and code.co_flags & 0x08 for code in codes)


def parameters_of(function: Callable) -> Parameters | None:
    """The parameters of a callable; None where Python cannot tell them."""
    plain, skip = function, 0
    if type(function) is MethodType:
        plain, skip = function.__func__, 1
    if type(plain) is FunctionType and plain.__code__.co_argcount >= skip:
        attributes = plain.__dict__
        if '__wrapped__' not in attributes and '__signature__' not in attributes:
            return _of_plain(plain, skip)
    return _of_signature(function)
