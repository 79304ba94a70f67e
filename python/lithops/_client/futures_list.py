# SPDX-License-Identifier: Apache-2.0
"""`FuturesList`: what `map` and its kind return. It starts jobs and waits as programs do, by the
names of the package: executors and waiting are built on it."""

from __future__ import annotations

import sys

import lithops
from lithops import _lithops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from lithops._client.function import AnyFunction
    from lithops.future import ResponseFuture


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
            self.executor = lithops.FunctionExecutor(config=self.config)
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
        try:
            return self._executor().wait(self._all(), **kwargs)
        except Exception:
            del self  # the exception refers to this frame
            raise

    def get_result(self, **kwargs: Any) -> Any:
        """Results of the last job of the chain: see `FunctionExecutor.get_result`."""
        try:
            return self._executor().get_result(self, **kwargs)
        except Exception:
            del self
            raise

    def handle(self) -> dict:
        """The handle of a detached job, for `lithops.attach` in any process; see
        `lithops.detached`."""
        return _lithops.job_handle(self._all())

    def as_completed(self, timeout: float | None = None) -> Iterator[ResponseFuture]:
        """These futures as their calls end: see `lithops.as_completed`."""
        return lithops.as_completed(self, timeout)

    def __del__(self, is_finalizing: Any = sys.is_finalizing) -> None:  # globals are gone at exit
        executor = self.executor
        if executor is not None and not is_finalizing():
            self.clear()
            self.__dict__.pop('alt_list', None)
            executor._tidy()  # it alone has held these, perhaps, since this list let go

    def __reduce__(self):
        if self and not self.__dict__.get('alt_list') and _are_detached(self):
            return lithops.attach, (self.handle(),)
        state = {key: value for key, value in self.__dict__.items() if key != 'executor'}
        return FuturesList, (), state or None, iter(list(self))


def _are_detached(futures: list) -> bool:
    """They are of a detached job, and not all of them are done."""
    if all(future.done for future in futures):
        return False
    try:
        return bool(_lithops.job_handle(futures))
    except Exception:  # they are not, or of several executors
        return False


def create_futures_list(futures: list, executor: Any) -> FuturesList:
    """A `FuturesList` of an executor."""
    made = FuturesList(futures)
    made.executor = executor
    made.config = getattr(executor, '_config', None)
    return made
