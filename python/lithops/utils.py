# SPDX-License-Identifier: Apache-2.0
"""Small functions that programs for upstream import from here."""

from __future__ import annotations

import os
import sys

from lithops._client.futures_list import FuturesList, create_futures_list
from lithops._client.progress import is_notebook
from lithops._shared.surroundings import is_lithops_worker
from lithops.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ['CURRENT_PY_VERSION', 'FuturesList', '__version__', 'create_executor_id',
           'create_futures_list', 'get_executor_id', 'get_mode', 'is_lithops_worker', 'is_notebook',
           'is_unix_system', 'iterchunks', 'setup_lithops_logger', 'sizeof_fmt', 'split_object_url',
           'split_path', 'uuid_str', 'version_str']


def get_executor_id() -> str:
    """The id of the executor that this process opened last; KeyError if there is none."""
    executors = sys.modules.get('lithops.executors')
    if executors is None or executors.last_executor_id is None:
        raise KeyError('no executor was opened in this process')
    return executors.last_executor_id


def is_unix_system() -> bool:
    """True: there is no other."""
    return os.name == 'posix'


def setup_lithops_logger(log_level: str | int | None = 'info', log_format: str | None = None,
                         stream: Any = None, filename: str | None = None) -> None:
    """Show log records of Lithops of this level and above."""
    from lithops._client.logging import setup
    setup(log_level, log_format, stream, filename)


def get_mode(backend: str | None) -> str:
    """The mode (localhost, serverless, standalone) of a compute backend."""
    from lithops import constants
    if backend is None or backend == constants.LOCALHOST:
        return constants.LOCALHOST
    if backend in constants.SERVERLESS_BACKENDS:
        return constants.SERVERLESS
    if backend in constants.STANDALONE_BACKENDS:
        return constants.STANDALONE
    raise ValueError(f'there is no compute backend {backend!r}')


def create_executor_id(lenght: int = 6) -> str:
    """A random name, as executors have: `lenght` hexadecimal digits and a number."""
    from uuid import uuid4
    return f'{uuid4().hex[:lenght]}-0'


def uuid_str() -> str:
    """A random name."""
    from uuid import uuid4
    return str(uuid4())


def version_str(version_info: Any) -> str:
    """'3.12' of `sys.version_info`."""
    return f'{version_info[0]}.{version_info[1]}'


CURRENT_PY_VERSION = version_str(sys.version_info)


def sizeof_fmt(num: float, suffix: str = 'B') -> str:
    """A number of bytes in readable form, as '1.5KiB'."""
    for unit in ('', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei', 'Zi'):
        if abs(num) < 1024:
            return f'{num:3.1f}{unit}{suffix}'
        num /= 1024
    return f'{num:.1f}Yi{suffix}'


def iterchunks(lst: list, n: int) -> Iterator[list]:
    """Pieces of `n` items."""
    return (lst[at:at + n] for at in range(0, len(lst), n))


def split_object_url(obj_url: str) -> tuple[str | None, str, str, str]:
    """(backend, bucket, prefix, name) of '[backend://]bucket[/prefix][/name]'."""
    backend, _, path = obj_url.rpartition('://')
    bucket, _, key = path.partition('/')
    prefix, _, name = key.rpartition('/')
    return {'cos': 'ibm_cos', 's3': 'aws_s3'}.get(backend, backend) or None, bucket, prefix, name


def split_path(path: str) -> tuple[str, str | None]:
    """(bucket, key) of '/bucket/key'."""
    bucket, slash, key = path.removeprefix('/').partition('/')
    return bucket, key if slash else None
