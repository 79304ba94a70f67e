# SPDX-License-Identifier: Apache-2.0
"""Storage: objects in buckets, wherever the configuration says they are."""

from __future__ import annotations

import contextlib
import fnmatch
import io
import os
from typing import Any, BinaryIO

from lithops import _lithops
from lithops.storage import clients
from lithops.storage.utils import CloudObject, StorageNoSuchKeyError, key_of

__all__ = ['Storage', 'InternalStorage']

_READ_BYTES = 1 << 20


class Storage:
    """A storage backend.

    Parameters:
        config: a configuration, as the files have; by default it is looked for at the usual places
        backend: name of the storage backend; by default what the configuration says
        storage_config: what `get_storage_config` of another one has given

    Methods raise StorageNoSuchKeyError for objects that are not there.
    """

    def __init__(self, config: dict | None = None, backend: str | None = None,
                 storage_config: dict | None = None):
        if storage_config:
            backend = storage_config['backend']
            config = {'lithops': {'storage': backend}}
            section = {key: value for key, value in (storage_config.get(backend) or {}).items()
                       if key != 'user_agent'}
            if section:
                config[backend] = section
        self._native = _lithops.Storage(backend=backend, config=config or None)
        self._config = config

    @classmethod
    def _of(cls, native: Any) -> Storage:
        """Over an open one of the engine."""
        self = cls.__new__(cls)
        self._native = native
        self._config = None
        return self

    def __reduce__(self):
        return Storage, (self._config, self.backend)

    @property
    def backend(self) -> str:
        """Name of the backend."""
        return self._native.backend

    @property
    def bucket(self) -> str:
        """The bucket of Lithops' own data."""
        return self._native.bucket

    @property
    def config(self) -> dict:
        """See `get_storage_config`."""
        return self.get_storage_config()

    @property
    def storage_handler(self) -> Storage:
        """This object, as there is no separate client."""
        return self

    def get_storage_config(self) -> dict:
        """What another process needs to open the same storage."""
        section = dict((self._config or {}).get(self.backend) or {})
        section.setdefault('storage_bucket', self.bucket)
        return {'backend': self.backend, self.backend: section}

    def get_client(self) -> Any:
        """The backend's client, where its library is installed: boto3's for what speaks S3's
        protocol, `google.cloud.storage.Client`, `redis.StrictRedis`, Azure's `BlobServiceClient`, a
        session of requests for Swift and Infinispan; for `aliyun_oss` this object, as upstream's backend gives
        itself. Else an object with the few methods of boto3 that programs use, over any backend."""
        if self.backend == 'aliyun_oss':
            return self
        return _library_client(self.backend, self._config) or _Client(self)

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket; one that is there already, and the caller's, is fine."""
        self._native.create_bucket(bucket)

    def put_object(self, bucket: str, key: str, body: Any) -> None:
        """Store bytes, a str, or what can be read from a file; an existing object of this
        key is replaced atomically."""
        self._native.put(bucket, key_of(key), body)

    def get_object(self, bucket: str, key: str, stream: bool = False,
                   extra_get_args: dict | None = None) -> bytes | BinaryIO:
        """The bytes of an object; with `stream`, a file to read them from.

        extra_get_args: ``{'Range': 'bytes=first-last'}`` for a part of them.
        """
        try:
            offset, length = self._range(bucket, key, (extra_get_args or {}).get('Range'))
            if not stream:
                return self._native.get(bucket, key_of(key), offset, length)
            reader = self._native.reader(bucket, key_of(key), offset, length)
        except FileNotFoundError as exc:
            raise StorageNoSuchKeyError(bucket, key) from exc
        return io.BufferedReader(reader, _READ_BYTES)

    def _range(self, bucket: str, key: str, text: str | None) -> tuple[int, int | None]:
        """(offset, length) of what 'bytes=first-last' says."""
        if not text:
            return 0, None
        first, dash, last = text.partition('=')[2].strip().partition('-')
        try:
            if not text.startswith('bytes=') or not dash:
                raise ValueError
            if not first:
                size = self._native.head(bucket, key_of(key))['size']
                return max(0, size - int(last)), None
            if last and int(last) < int(first):
                raise ValueError
            return int(first), int(last) - int(first) + 1 if last else None
        except ValueError:
            raise ValueError(f"Range is {text!r}; write 'bytes=first-last'") from None

    def head_object(self, bucket: str, key: str) -> dict:
        """What is known of an object: 'content-length' (str), 'last-modified', 'etag'."""
        try:
            info = self._native.head(bucket, key_of(key))
        except FileNotFoundError as exc:
            raise StorageNoSuchKeyError(bucket, key) from exc
        return {'content-length': str(info['size']), 'last-modified': info['last_modified'],
                'etag': info['etag']}

    def head_bucket(self, bucket: str) -> dict:
        """Raises StorageNoSuchKeyError if the bucket is not there."""
        try:
            self._native.list(bucket, '\x7f')
        except FileNotFoundError as exc:
            raise StorageNoSuchKeyError(bucket, '') from exc
        return {'ResponseMetadata': {'HTTPStatusCode': 200}}

    def delete_object(self, bucket: str, key: str) -> None:
        """Delete an object; nothing if there is none."""
        self._native.delete(bucket, key_of(key))

    def delete_objects(self, bucket: str, key_list: list[str]) -> None:
        """Delete many objects."""
        self._native.delete_many(bucket, list(map(key_of, key_list)))

    def list_objects(self, bucket: str, prefix: str | None = None,
                     match_pattern: str | None = None) -> list[dict]:
        """The objects of a bucket, by key: dicts with 'Key', 'Size' (bytes), 'LastModified'
        (seconds since 1970), 'ETag'. `match_pattern`: as in shells, over whole keys."""
        try:
            found = self._native.list(bucket, key_of(prefix))
        except FileNotFoundError:
            found = []
        return [{'Key': info['key'], 'Size': info['size'], 'LastModified': info['last_modified'],
                 'ETag': info['etag']} for info in found
                if match_pattern is None or fnmatch.fnmatchcase(info['key'], match_pattern)]

    def list_keys(self, bucket: str, prefix: str | None = None) -> list[str]:
        """The keys of `list_objects`."""
        try:
            return [info['key'] for info in self._native.list(bucket, key_of(prefix))]
        except FileNotFoundError:
            return []

    def upload_file(self, file_name: str, bucket: str, key: str | None = None,
                    extra_args: dict | None = None, config: Any = None) -> bool:
        """Store a file; its name is the key by default. False if the file cannot be read."""
        try:
            with open(file_name, 'rb') as file:
                self.put_object(bucket, key or os.path.basename(file_name), file)
        except OSError as exc:
            _complain('upload_file', exc)
            return False
        return True

    def download_file(self, bucket: str, key: str, file_name: str | None = None,
                      extra_args: dict | None = None, config: Any = None) -> bool:
        """Write an object to a file, of the key's name by default. False if that fails."""
        path = file_name or key
        try:
            os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
            part = f'{path}.part'
            try:
                with open(part, 'wb') as file:
                    self._native.get_file(bucket, key_of(key), file.fileno())
                os.replace(part, path)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(part)
        except OSError as exc:
            _complain('download_file', exc)
            return False
        return True

    # ---- cloudobjects ----------------------------------------------------------------------------

    def put_cloudobject(self, body: Any, bucket: str | None = None,
                        key: str | None = None) -> CloudObject:
        """Store something under a name of its own, to pass it on by reference."""
        made = self._native.cloudobject_put(body, bucket, key_of(key))
        return CloudObject(made['backend'], made['bucket'], made['key'])

    def get_cloudobject(self, cloudobject: CloudObject, stream: bool = False) -> bytes | BinaryIO:
        """Its bytes; with `stream`, a file to read them from."""
        self._check(cloudobject)
        return self.get_object(cloudobject.bucket, cloudobject.key, stream=stream)

    def delete_cloudobject(self, cloudobject: CloudObject) -> None:
        """Delete the object that it names."""
        self._check(cloudobject)
        self.delete_object(cloudobject.bucket, cloudobject.key)

    def delete_cloudobjects(self, cloudobjects: list[CloudObject]) -> None:
        """Delete many of them."""
        keys: dict[str, list[str]] = {}
        for cloudobject in cloudobjects:
            self._check(cloudobject)
            keys.setdefault(cloudobject.bucket, []).append(cloudobject.key)
        for bucket, of_bucket in keys.items():
            self.delete_objects(bucket, of_bucket)

    def _check(self, cloudobject: CloudObject) -> None:
        if cloudobject.backend != self.backend:
            raise ValueError(f'the cloudobject is in the storage {cloudobject.backend!r}, this is '
                             f'{self.backend!r}')


def _library_client(backend: str, config: dict | None) -> Any:
    """None where its library is not installed, or there is nothing that it could be given."""
    if config is None:
        from lithops.config import load_config
        config = load_config(log=False)
    try:
        return clients.make_client(backend, (config or {}).get(backend) or {})
    except ImportError:
        return None


class _Client:
    """What programs use of boto3, over any storage."""

    def __init__(self, storage: Storage):
        self._storage = storage

    def put_object(self, Bucket: str, Key: str, Body: Any, **_: Any) -> None:
        self._storage.put_object(Bucket, Key, Body)

    def get_object(self, Bucket: str, Key: str, **options: Any) -> dict:
        return {'Body': self._storage.get_object(Bucket, Key, True, options)}

    def head_object(self, Bucket: str, Key: str, **_: Any) -> dict:
        return self._storage.head_object(Bucket, Key)

    def delete_object(self, Bucket: str, Key: str, **_: Any) -> None:
        self._storage.delete_object(Bucket, Key)

    def list_objects(self, Bucket: str, Prefix: str | None = None, **_: Any) -> list[dict]:
        return self._storage.list_objects(Bucket, Prefix)

    list_objects_v2 = list_objects

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):
            raise AttributeError(name)
        library = clients.library_of(self._storage.backend)
        install = f'; for a client of {library}, install it' if library else ''
        raise AttributeError(f'the client of storage {self._storage.backend!r} has no {name!r}: it '
                             f'puts, gets, heads, deletes and lists objects{install}')


class InternalStorage:
    """The storage of Lithops' own data: keys of the configured bucket."""

    def __init__(self, storage_config: dict | None = None, storage: Storage | None = None):
        self.storage = storage or Storage(storage_config=storage_config)
        self.backend = self.storage.backend
        self.bucket = self.storage.bucket

    def get_client(self) -> Any:
        """See `Storage.get_client`."""
        return self.storage.get_client()

    def get_storage_config(self) -> dict:
        """See `Storage.get_storage_config`."""
        return self.storage.get_storage_config()

    def put_data(self, key: str, data: Any) -> None:
        """Store an object."""
        self.storage.put_object(self.bucket, key, data)

    def get_data(self, key: str, stream: bool = False, extra_get_args: dict | None = None) -> Any:
        """Read an object."""
        return self.storage.get_object(self.bucket, key, stream, extra_get_args)

    def del_data(self, key: str) -> None:
        """Delete an object."""
        self.storage.delete_object(self.bucket, key)


def _complain(what: str, exc: Exception) -> None:
    import logging
    logging.getLogger('lithops.storage').error('%s: %s', what, exc)
