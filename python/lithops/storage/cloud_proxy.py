# SPDX-License-Identifier: Apache-2.0
"""Objects of the storage as if they were files: stand-ins for `os` and `open`.

    from lithops.storage.cloud_proxy import os, open

    with open('runs/1/notes.txt', 'w') as file:
        file.write('begun')
    os.listdir('runs')                       # ['1']

A path is a key of the configured bucket; a leading slash or './' does not count. There are no
folders: what lies before a slash in a key looks like one. What Lithops itself keeps in the bucket
is not shown.
"""

from __future__ import annotations

import io
import os as _os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from lithops.config import default_storage_config, extract_storage_config, load_yaml_config
from lithops.constants import JOBS_PREFIX, LOGS_PREFIX, RUNTIMES_PREFIX, TEMP_PREFIX
from lithops.storage import Storage
from lithops.storage.utils import StorageNoSuchKeyError, key_of

__all__ = ['CloudStorage', 'CloudFileProxy', 'cloud_open', 'remove_lithops_keys', 'os', 'open']

_OWN_PREFIXES = JOBS_PREFIX, TEMP_PREFIX, LOGS_PREFIX, RUNTIMES_PREFIX


def remove_lithops_keys(keys: Iterable[str]) -> list[str]:
    """Keys without those of Lithops itself."""
    return [key for key in keys if not key.startswith(_OWN_PREFIXES)]


class CloudStorage(Storage):
    """A storage that knows its bucket, and can be pickled.

    `config`: the path of a configuration, a configuration, or a storage configuration.
    """

    def __init__(self, config: str | dict | None = None):
        if isinstance(config, str):
            config = load_yaml_config(config)
        if config is None:
            config = extract_storage_config(default_storage_config())
        elif 'lithops' in config:
            config = extract_storage_config(config)
        self._proxy_config = config
        super().__init__(storage_config=config)

    def __reduce__(self):
        return CloudStorage, (self._proxy_config,)

    def put_data(self, key: str, data: bytes | str) -> None:
        self.put_object(self.bucket, key, data)

    def get_data(self, key: str) -> bytes:
        return self.get_object(self.bucket, key)

    def delete_data(self, key: str) -> None:
        self.delete_object(self.bucket, key)

    def list_bucket_keys(self, prefix: str | None = None) -> list[str]:
        return self.list_keys(self.bucket, prefix)


def _key(path: str | _os.PathLike) -> str:
    return key_of(_os.fspath(path))


class CloudFileProxy:
    """Stands in for `os`: file functions work on the storage, everything else is that of `os`."""

    def __init__(self, cloud_storage: CloudStorage | None = None):
        self._storage = cloud_storage or CloudStorage()
        self.path = _Path(self._storage)

    def __getattr__(self, name: str) -> Any:
        return getattr(_os, name)

    def open(self, filename: str, mode: str = 'r'):
        """`cloud_open` in this storage."""
        return cloud_open(filename, mode, cloud_storage=self._storage)

    def listdir(self, path: str = '', suffix_dirs: bool = False) -> list[str]:
        """The names right under a path; with `suffix_dirs`, those of folders end in a slash."""
        prefix = self.path._folder(path)
        names = {}
        for key in self.path._keys(prefix):
            name, slash, _ = key[len(prefix):].partition('/')
            if name:
                names[name + '/' if slash and suffix_dirs else name] = None
        return list(names)

    def walk(self, top: str, topdown: bool = True, onerror=None, followlinks: bool = False
             ) -> Iterator[tuple[str, list[str], list[str]]]:
        """(path, names of folders, names of files) for each folder from `top` on."""
        names = self.listdir(top, suffix_dirs=True)
        if not names:
            return
        dirs = [name[:-1] for name in names if name.endswith('/')]
        files = [name for name in names if not name.endswith('/')]
        if topdown:
            yield top, dirs, files
        for name in dirs:
            yield from self.walk(_os.path.join(top, name), topdown, onerror, followlinks)
        if not topdown:
            yield top, dirs, files

    def remove(self, path: str) -> None:
        """Delete an object. A missing one is not an error, as in the storage and upstream."""
        self._storage.delete_data(_key(path))

    unlink = remove

    def mkdir(self, *args, **kwargs) -> None:
        """Nothing to do: a folder is there as soon as something is in it."""

    def makedirs(self, *args, **kwargs) -> None:
        """Nothing to do: see mkdir()."""


class _Path:
    """In place of `os.path`."""

    def __init__(self, cloud_storage: CloudStorage):
        self._storage = cloud_storage

    def __getattr__(self, name: str) -> Any:
        return getattr(_os.path, name)

    def _folder(self, path: str) -> str:
        key = _key(path)
        return key if not key or key.endswith('/') else key + '/'

    def _keys(self, prefix: str) -> list[str]:
        return remove_lithops_keys(self._storage.list_bucket_keys(prefix))

    def isfile(self, path: str) -> bool:
        return _key(path) in self._keys(_key(path))

    def isdir(self, path: str) -> bool:
        return bool(self._keys(self._folder(path)))

    def exists(self, path: str) -> bool:
        return self.isfile(path) or self.isdir(path)

    def getsize(self, path: str) -> int:
        """Bytes of an object."""
        try:
            head = self._storage.head_object(self._storage.bucket, _key(path))
        except StorageNoSuchKeyError:
            raise FileNotFoundError(2, 'there is no such object', path) from None
        return int(head['content-length'])


class _Upload:
    """A buffer whose contents become an object when it is closed, unless an error ends the block
    that writes it."""

    _upload: Callable | None = None

    def close(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload(self.getvalue())
        super().close()

    def __exit__(self, exc_type, *exc_info) -> None:
        if exc_type is not None:
            self._upload = None
        self.close()


class _BytesUpload(_Upload, io.BytesIO):
    pass


class _TextUpload(_Upload, io.StringIO):
    def getvalue(self) -> bytes:
        return super().getvalue().encode()


def cloud_open(filename: str, mode: str = 'r', cloud_storage: CloudStorage | None = None):
    """Open an object: 'r' and 'w', text in UTF-8 or with 'b' bytes.

    Reading takes the whole object into memory; writing makes the object when the file is closed.
    'w+' is 'w'. StorageNoSuchKeyError, a FileNotFoundError, if it is to be read and is not there;
    ValueError for other modes.
    """
    kind = mode.replace('t', '').replace('b', '')
    kind = 'w' if kind == 'w+' else kind
    if kind not in ('r', 'w') or ('t' in mode and 'b' in mode):
        raise ValueError(f"mode '{mode}' is not offered for objects: only 'r' and 'w', with 'b' "
                         "for bytes")
    storage = cloud_storage or CloudStorage()
    if kind == 'w':
        file = _BytesUpload() if 'b' in mode else _TextUpload()
        file._upload = partial(storage.put_data, _key(filename))
        return file
    data = storage.get_data(_key(filename))
    return io.BytesIO(data) if 'b' in mode else io.StringIO(data.decode())


def __getattr__(name: str) -> Any:
    """Make `os` and `open` when they are first asked for, and with them a storage."""
    if name not in ('os', 'open'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    storage = CloudStorage()
    globals().update(os=CloudFileProxy(storage), open=partial(cloud_open, cloud_storage=storage))
    return globals()[name]
