# SPDX-License-Identifier: Apache-2.0
"""`FuturesList`, and small things that upstream programs import from here."""

from __future__ import annotations

import os
import sys

from lithops._progress import is_notebook
from lithops.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from lithops._function import AnyFunction
    from lithops.future import ResponseFuture

__all__ = ['CURRENT_PY_VERSION', 'FuturesList', '__version__', 'create_executor_id',
           'create_futures_list', 'get_executor_id', 'get_mode', 'is_lithops_worker', 'is_notebook',
           'is_unix_system', 'iterchunks', 'setup_lithops_logger', 'sizeof_fmt', 'split_object_url',
           'split_path', 'uuid_str', 'version_str']


class FuturesList(list):
    """A list of futures that knows their executor.

    ``fexec.map(f, data).map(g).get_result()``: `map` and `map_reduce` start a job over the results
    of these, which stay where they are; the list then holds the futures of the new job, and
    `alt_list` those of all jobs of the chain.
    """

    executor: Any = None
    config: dict | None = None

    def _executor(self) -> Any:
        if self.executor is None:
            from lithops.executors import FunctionExecutor
            self.executor = FunctionExecutor(config=self.config)
        return self.executor

    def _all(self) -> list[ResponseFuture]:
        return self.__dict__.get('alt_list') or self

    def _follow(self, futures: list[ResponseFuture]) -> FuturesList:
        self.alt_list = [*self._all(), *futures]
        self[:] = futures
        return self

    def map(self, map_function: AnyFunction, sync: bool = False, **kwargs: Any) -> FuturesList:
        """Start a call of `map_function` over each result, when it is there.

        sync: wait for all results first. kwargs: as of `FunctionExecutor.map`. Returns this list.
        """
        executor = self._executor()
        if sync:
            executor.wait(self)
        return self._follow(executor.map(map_function, self, **kwargs))

    def map_reduce(self, map_function: AnyFunction, reduce_function: AnyFunction,
                   sync: bool = False, **kwargs: Any) -> FuturesList:
        """The same with a reducer over the new results: see `FunctionExecutor.map_reduce`."""
        executor = self._executor()
        if sync:
            executor.wait(self)
        return self._follow(executor.map_reduce(map_function, self, reduce_function, **kwargs))

    def wait(self, **kwargs: Any) -> tuple[FuturesList, FuturesList]:
        """Wait for all jobs of the chain: see `FunctionExecutor.wait`."""
        return self._executor().wait(self._all(), **kwargs)

    def get_result(self, **kwargs: Any) -> Any:
        """Results of the last job of the chain: see `FunctionExecutor.get_result`."""
        return self._executor().get_result(self, **kwargs)

    def as_completed(self, timeout: float | None = None) -> Iterator[ResponseFuture]:
        """These futures as their calls end: see `lithops.as_completed`."""
        from lithops.wait import as_completed
        return as_completed(self, timeout)

    def __reduce__(self):
        state = {key: value for key, value in self.__dict__.items() if key != 'executor'}
        return FuturesList, (), state or None, iter(list(self))


def create_futures_list(futures: list, executor: Any) -> FuturesList:
    """A `FuturesList` of an executor."""
    made = FuturesList(futures)
    made.executor = executor
    made.config = getattr(executor, '_config', None)
    return made


def get_executor_id() -> str:
    """The id of the executor that this process opened last; KeyError if there is none."""
    executors = sys.modules.get('lithops.executors')
    if executors is None or executors.last_executor_id is None:
        raise KeyError('no executor was opened in this process')
    return executors.last_executor_id


def is_lithops_worker() -> bool:
    """True in a worker process."""
    return 'LITHOPS_WORKER' in os.environ


def is_unix_system() -> bool:
    """True: there is no other."""
    return os.name == 'posix'


def setup_lithops_logger(log_level: str | int | None = 'info', log_format: str | None = None,
                         stream: Any = None, filename: str | None = None) -> None:
    """Show log records of Lithops of this level and above."""
    from lithops._logging import setup
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
    """A number of bytes for people, as '1.5KiB'."""
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
