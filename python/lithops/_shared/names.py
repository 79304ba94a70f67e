# SPDX-License-Identifier: Apache-2.0
"""What can be pickled by its name, and the names that a function's code uses."""

from __future__ import annotations

import sys
from types import CodeType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MISSING = object()
_importable: dict[str, tuple[ModuleType, bool]] = {}
_specs: dict[str, Any] = {}  # of the modules in _importable: reloading one gives it a new spec
_reloads: dict[str, int] = {}  # how often a reload was noticed
_sent: set[str] = set()  # modules and packages that hosts have got
_own_folders: set[str] = set()  # of the program, where there are hosts without them
_find_own_folders: Callable[[], list[str]] = list  # those of now: more may have come to `sys.path`


def is_importable(name: str) -> bool:
    """True if another process with this `sys.path` gets the same module by this name."""
    module = sys.modules.get(name)
    if module is None or name in ('__main__', '__mp_main__'):
        return False
    known = _importable.get(name)
    if known is None or known[0] is not module:
        known = _importable[name] = (module, _is_found(module, name) and not _is_late(name))
    spec = getattr(module, '__spec__', None)
    if _specs.setdefault(name, spec) is not spec:
        _specs[name] = spec
        _reloads[name] = _reloads.get(name, 0) + 1
    return known[1]


def note_sent(names: set[str], find_own_folders: Callable[[], list[str]]) -> None:
    """Hosts get these modules and packages. What the program loads later from its own folders they
    do not have: it has to be pickled by value, here too."""
    global _find_own_folders
    _sent.update(names)
    _find_own_folders = find_own_folders
    _note_folders()


def _note_folders() -> None:
    from os.path import realpath
    _own_folders.update(realpath(folder) + '/' for folder in _find_own_folders())


def has_hosts() -> bool:
    """True if this process has sent modules to hosts, which have none of its folders."""
    return bool(_sent)


def _is_late(name: str) -> bool:
    from os.path import realpath
    top = name.partition('.')[0]
    file = getattr(sys.modules.get(top), '__file__', None)
    if not _sent or top in _sent or not isinstance(file, str):
        return False
    _note_folders()
    return realpath(file).startswith(tuple(_own_folders))


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
