# SPDX-License-Identifier: Apache-2.0
"""References to objects, and the errors of storages."""

from __future__ import annotations

import os


def key_of(path: str) -> str:
    """The key for a path that a program has built from a prefix, a slash and a name: as with files,
    leading slashes and parts that are '.' or empty are ignored."""
    if not isinstance(path, str) or not ('//' in path or path.startswith(('/', './'))
                                         or '/./' in path or path == '.'):
        return path
    parts = [part for part in path.split('/') if part not in ('', '.')]
    return '/'.join(parts) + '/' * (path.endswith('/') and parts != [])


class StorageNoSuchKeyError(FileNotFoundError):
    """There is no object of this key in the bucket."""

    def __init__(self, bucket: str, key: str, message: str | None = None):
        super().__init__(message or f'there is no object {key!r} in the bucket {bucket!r}')
        self.bucket = bucket
        self.key = key

    def __reduce__(self):
        return type(self), (self.bucket, self.key, self.args[0])


class StorageConfigMismatchError(Exception):
    """Data is in another storage than the configured one."""

    def __init__(self, current_path: list, prev_path: list):
        super().__init__(f'the data is at {prev_path}, but the storage in use is {current_path}')
        self.current_path = current_path
        self.prev_path = prev_path

    def __reduce__(self):
        return type(self), (self.current_path, self.prev_path)


class _Reference:
    """Equal when they name the same object."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self).__name__, str(self)))

    def __repr__(self) -> str:
        return str(self)


class CloudObject(_Reference):
    """An object of a storage: names of the backend and the bucket, and the key."""

    def __init__(self, backend: str, bucket: str, key: str):
        self.backend = backend
        self.bucket = bucket
        self.key = key

    def __str__(self) -> str:
        return f'<CloudObject at {self.backend}://{self.bucket}/{self.key}>'


class CloudObjectUrl(_Reference):
    """An object that an http(s) URL names."""

    def __init__(self, url: str):
        self.url = url

    def __str__(self) -> str:
        return f'<CloudObject at {self.url}>'


class CloudObjectLocal(_Reference):
    """A file of this machine, as an object."""

    def __init__(self, path: str):
        self.path = path
        self.bucket = os.path.dirname(path)
        self.key = os.path.basename(path)

    def __str__(self) -> str:
        return f'<CloudObject at {self.path}>'
