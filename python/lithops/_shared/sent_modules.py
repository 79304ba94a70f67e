# SPDX-License-Identifier: Apache-2.0
"""Modules that come with a function, as the bytes of their files: those that `include_modules` names
by path, where workers have none of the client's folders. They are kept in memory, so that nothing
is left on a host."""

from __future__ import annotations

import os
import sys
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import decode_source, spec_from_file_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def read(files: Iterable[str]) -> tuple[tuple[str, str, bytes], ...]:
    """Of each file the module's name, the path, and the content."""
    modules = []
    for path in files:
        with open(path, 'rb') as file:
            modules.append((os.path.basename(path).partition('.')[0], os.path.abspath(path),
                            file.read()))
    return tuple(modules)


class _Loader(InspectLoader):
    def __init__(self, path: str, content: bytes):
        self.path = path
        self.content = content

    def get_filename(self, fullname: str) -> str:
        return self.path

    def get_source(self, fullname: str) -> str:
        return decode_source(self.content)

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.content, self.path)


class _Finder(MetaPathFinder):
    """The last finder, as the folder of the file is the last one on localhost."""

    def __init__(self) -> None:
        self.modules: dict[str, tuple[str, bytes]] = {}

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname not in self.modules:
            return None
        file, content = self.modules[fullname]
        if file.endswith('.py'):
            return spec_from_file_location(fullname, file, loader=_Loader(file, content))
        descriptor = os.memfd_create(fullname, os.MFD_CLOEXEC)  # stays open, as the library does
        with open(descriptor, 'wb', closefd=False) as library:
            library.write(content)
        here = f'/proc/self/fd/{descriptor}'
        return spec_from_file_location(fullname, here, loader=ExtensionFileLoader(fullname, here))


_finder = _Finder()


def add(modules: tuple[tuple[str, str, bytes], ...]) -> None:
    """From now on they can be imported; one that has changed is imported anew."""
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
    for name, path, content in modules:
        known = _finder.modules.get(name)
        _finder.modules[name] = path, content
        loaded = getattr(getattr(sys.modules.get(name), '__spec__', None), 'loader', None)
        if known is not None and known[1] != content and isinstance(loaded, _Loader):
            del sys.modules[name]
