# SPDX-License-Identifier: Apache-2.0
"""Turns the user's data into the items of a job, one per call.

A tuple is positional arguments, a dict keyword arguments, anything else one argument. Whether that
fits the function is checked here, before anything runs, but once per kind of item rather than item
by item: the type of ints, the length of tuples, the keys of dicts.
"""

from __future__ import annotations

import os
import sys
from _collections import deque

from lithops._client import logging
from lithops._client.parameters import RESERVED, Parameters
from lithops.future import ResponseFuture, SettledFuture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DICT_VIEWS = (type({}.keys()), type({}.values()), type({}.items()))
_COLLECTIONS = (range, set, frozenset, deque, *_DICT_VIEWS)


def items_of(iterdata: Any) -> list | range:
    """The items in what is mapped over. A str, a dict, a tuple and the like are one item."""
    kind = type(iterdata)
    if kind is list or kind is range:
        return iterdata
    if isinstance(iterdata, (list, *_COLLECTIONS)) or hasattr(iterdata, '__next__'):
        return list(iterdata)
    if _is_a(iterdata, 'numpy', 'ndarray') and iterdata.ndim:
        return list(iterdata)
    if _is_a(iterdata, 'pandas', 'Series', 'Index') or _is_a(iterdata, 'array', 'array'):
        return list(iterdata)
    return [iterdata]


def _is_a(thing: Any, module: str, *names: str) -> bool:
    """An instance of a class of that module. Without the module loaded, there are none."""
    loaded = sys.modules.get(module)
    return any(isinstance(thing, getattr(loaded, name, ())) for name in names)


def futures_in(iterdata: Any) -> list | None:
    """The futures, where a job is mapped over futures; None where it is over plain data."""
    if not isinstance(iterdata, (list, tuple)) or not iterdata:
        return None
    kinds = set(map(type, iterdata))
    futures = {kind for kind in kinds if kind is ResponseFuture or kind is SettledFuture}
    if not futures:
        return None
    if futures != kinds:
        raise ValueError('the data mixes futures and other values: map over the futures of '
                         'jobs only, or over plain data only')
    return list(iterdata)


# ---- extra arguments -----------------------------------------------------------------------------


def extra_of(extra_args: Any, name: str = 'extra_args') -> tuple | dict | None:
    """Extra arguments as a tuple (by position) or a dict (by name), which are copies."""
    if extra_args is None:
        return None
    if isinstance(extra_args, dict):
        return dict(extra_args) or None
    if isinstance(extra_args, (list, tuple)):
        return tuple(extra_args) or None
    raise TypeError(f'{name} must be a tuple, a list or a dict, not {type(extra_args).__name__}')


def _counted(extra: tuple | dict | None) -> tuple[int, tuple]:
    if isinstance(extra, dict):
        return 0, tuple(extra)
    return len(extra or ()), ()


# ---- binding -------------------------------------------------------------------------------------


def bind(items: list | range, parameters: Parameters | None,
         extra: tuple | dict | None) -> tuple[list | range, bool]:
    """Check the items of a map. Returns them in the form that travels, and whether the function
    must be called by `ByName`. Raises TypeError or ValueError if an item does not fit."""
    kinds = {int} if type(items) is range else set(map(type, items))
    tuples = {kind for kind in kinds if issubclass(kind, tuple)}
    dicts = {kind for kind in kinds if issubclass(kind, dict)}
    count, names = _counted(extra)
    by_name = False
    if parameters is not None and kinds - tuples - dicts:
        parameters.check(1 + count, names)
    if tuples:
        items = _bind_tuples(items, tuples, parameters, extra, kinds != tuples)
    if dicts:
        if isinstance(extra, tuple):
            raise TypeError('extra_args must be a dict where the items are dicts: their order '
                            'among the arguments is not known')
        if dicts != {dict}:
            items = [dict(item) if isinstance(item, dict) else item for item in items]
        by_name = _bind_dicts(items, parameters, names)
    return items, by_name


def _bind_tuples(items: Any, tuples: set, parameters: Parameters | None,
                 extra: tuple | dict | None, mixed: bool) -> Any:
    if tuples != {tuple}:
        # as upstream: a named tuple is positional arguments, but one argument beside extra ones
        wrap = (lambda item: (item,)) if isinstance(extra, tuple) else tuple
        items = [wrap(item) if isinstance(item, tuple) and type(item) is not tuple else item
                 for item in items]
    if parameters is not None:
        count, names = _counted(extra)
        only = [item for item in items if type(item) is tuple] if mixed else items
        for length in set(map(len, only)):
            parameters.check(length + count, names)
    return items


def _bind_dicts(items: Any, parameters: Parameters | None, names: tuple) -> bool:
    if parameters is None:
        return False
    by_name = False
    only = [item for item in items if type(item) is dict]
    for keys in set(map(frozenset, only)):
        parameters.check_dict(keys, names)
        _warn_of_reserved(keys, parameters)
        by_name = by_name or parameters.varargs in keys or parameters.varkw in keys
    return by_name


def _warn_of_reserved(keys: Any, parameters: Parameters) -> None:
    taken = [name for name in parameters.inject if name in keys]
    if taken:
        import warnings
        warnings.warn(f'the data has values for {taken}: these parameters are filled in by '
                      f'Lithops, the values are not used', UserWarning, stacklevel=6)


def bind_one(data: Any, parameters: Parameters | None) -> tuple[Any, bool]:
    """The input of one call, as `bind`. A list is one argument if that fits, else several."""
    if isinstance(data, (tuple, dict)):
        items, by_name = bind([data], parameters, None)
        return items[0], by_name
    if parameters is None or parameters.takes_one:
        return data, False
    if isinstance(data, list) and parameters.problem(len(data)) is None:
        return tuple(data), False
    parameters.check(1)
    return data, False


# ---- objects -------------------------------------------------------------------------------------


def objects_in(items: Any, parameters: Parameters, extra: tuple | dict | None,
               dumps: Any) -> list:
    """The items of a map over objects: what names the object, or [that, pickle of a dict]: the
    other arguments, by name."""
    count, names = _counted(extra)
    found = []
    for item in items:
        if isinstance(item, dict):
            if isinstance(extra, tuple):
                raise TypeError('extra_args must be a dict where the items are dicts')
            parameters.check_dict(item, names)
            _warn_of_reserved(item, parameters)
            arguments = {**item, **(extra or {})}
        else:
            given = (*(item if isinstance(item, tuple) else (item,)),
                     *(extra if isinstance(extra, tuple) else ()))
            more = extra if isinstance(extra, dict) else {}
            parameters.check(len(given), more)
            if len(given) > len(parameters.user_names):
                raise TypeError('a function over objects cannot have *args')
            arguments = {**dict(zip(parameters.user_names, given)), **more}
        if 'obj' not in arguments:
            raise ValueError("an item of a map over objects names the object as 'obj'")
        named = object_name(arguments.pop('obj'))
        arguments = {name: value for name, value in arguments.items() if name not in RESERVED}
        found.append([named, dumps(arguments)] if arguments else named)
    return found


def object_name(thing: Any) -> str | bytes | dict:
    """What the engine calls an object: a str, bytes for a file whose name is not UTF-8, or a dict
    for a cloudobject."""
    if isinstance(thing, str):
        return thing if thing.isascii() else _name_of_file(thing)
    if isinstance(thing, bytes):
        return _name_of_file(os.fsdecode(thing))
    utils = sys.modules.get('lithops.storage.utils')
    if utils is not None:
        if isinstance(thing, utils.CloudObject):
            return {'$cloudobject': True, 'backend': thing.backend, 'bucket': thing.bucket,
                    'key': thing.key}
        if isinstance(thing, utils.CloudObjectUrl):
            return thing.url
        if isinstance(thing, utils.CloudObjectLocal):
            return _name_of_file(thing.path)
    if hasattr(thing, '__fspath__'):
        return _name_of_file(os.fsdecode(os.path.abspath(thing)))
    raise TypeError(f'an object is named by a str or a CloudObject, not {type(thing).__name__}')


def _name_of_file(name: str) -> str | bytes:
    """As bytes if it contains surrogates, which stand for bytes that are not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def environment_of(extra_env: dict | None) -> dict | None:
    """Environment variables as str."""
    if not extra_env:
        return None
    if not isinstance(extra_env, dict):
        raise TypeError(f'extra_env must be a dict, not {type(extra_env).__name__}')
    for name, value in extra_env.items():
        if not isinstance(name, str) or not isinstance(value, (str, int, float)):
            raise TypeError(f'extra_env must be a dict of str, but {name!r} is {value!r}')
    return {name: str(value) for name, value in extra_env.items()}


def notice_no_objects(parameters: Parameters | None, chunk_size: Any, chunk_number: Any) -> None:
    """Warn when options of chunks are given to a function that takes no object."""
    if chunk_size or chunk_number:
        logging.log(logging.WARNING, 'obj_chunk_size and obj_chunk_number have no effect: the '
                                       'function has no parameter "obj"')
