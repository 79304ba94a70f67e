# SPDX-License-Identifier: Apache-2.0
"""`Pool`: the standard library's pool whose worker processes are those of an executor."""

from __future__ import annotations

import collections
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import lithops
from lithops import _lithops
from lithops._client.frames import empty_frames
from lithops._shared.pooled import PooledFunction, call_later

from . import _details, config
from ._shared import wait_in_steps
from .context import cpu_count
from .errors import TimeoutError as ProcessTimeoutError
from .process import CloudProcess

__all__ = ['Pool', 'ThreadPool', 'ApplyResult', 'AsyncResult', 'MapResult', 'IMapIterator']

logger = logging.getLogger(__name__)

RUN, CLOSE, TERMINATE = range(3)


class Pool:
    """Worker processes that apply functions.

    Parameters:
        processes: how many calls run at once; `cpu_count()` by default
        initializer, initargs: called once in each worker process, before its first call
        maxtasksperchild: calls that a worker process runs before a fresh one takes its place; items
            of a map count one by one, whatever the chunksize
        context: no effect
    """

    Process = CloudProcess

    def __init__(self, processes: int | None = None, initializer: Callable | None = None,
                 initargs: Iterable = (), maxtasksperchild: int | None = None, context=None):
        if processes is not None and processes < 1:
            raise ValueError('Number of processes must be at least 1')
        if initializer is not None and not callable(initializer):
            raise TypeError('initializer must be a callable')
        if maxtasksperchild is not None and (not isinstance(maxtasksperchild, int)
                                             or maxtasksperchild <= 0):
            raise ValueError('maxtasksperchild must be a positive int or None')
        self._processes = processes or cpu_count()
        arguments = {**config.executor_arguments(), 'worker_processes': self._processes}
        if maxtasksperchild is not None:
            arguments['max_tasks_per_child'] = maxtasksperchild
        self._executor = lithops.FunctionExecutor(**arguments)
        self._pooled = PooledFunction.factory(initializer, initargs or ())
        self._has_initializer = initializer is not None
        self._state = RUN
        self._lock = threading.Lock()
        self._unfinished: set[ApplyResult] = set()

    # ---- applying ----

    def apply(self, func: Callable, args: Iterable = (), kwds: dict | None = None) -> Any:
        """``func(*args, **kwds)``, in a worker process."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(self, func: Callable, args: Iterable = (), kwds: dict | None = None,
                    callback: Callable | None = None,
                    error_callback: Callable | None = None) -> ApplyResult:
        """apply() that does not wait."""
        args, kwds = tuple(args), dict(kwds or {})
        # by its name where that will do: then it is pickled once
        function, call = ((self._pooled(func, 'call'), (args, kwds)) if self._has_initializer
                          else (call_later, (func, args, kwds)))
        return self._start(ApplyResult, lambda options: [self._executor.call_async(
            function, (call,), **options)], (func, args, kwds), callback, error_callback)

    def map(self, func: Callable, iterable: Iterable, chunksize: int | None = None) -> list:
        """``[func(x) for x in iterable]``, in worker processes.

        `chunksize`: items that a worker process takes at a time; the engine adapts it by default.
        """
        return self.map_async(func, iterable, chunksize).get()

    def map_async(self, func: Callable, iterable: Iterable, chunksize: int | None = None,
                  callback: Callable | None = None,
                  error_callback: Callable | None = None) -> MapResult:
        """map() that does not wait."""
        return self._map_async(func, iterable, chunksize, callback, error_callback)

    def starmap(self, func: Callable, iterable: Iterable[Iterable],
                chunksize: int | None = None) -> list:
        """``[func(*x) for x in iterable]``, in worker processes."""
        return self.starmap_async(func, iterable, chunksize).get()

    def starmap_async(self, func: Callable, iterable: Iterable[Iterable],
                      chunksize: int | None = None, callback: Callable | None = None,
                      error_callback: Callable | None = None) -> MapResult:
        """starmap() that does not wait."""
        return self._map_async(func, iterable, chunksize, callback, error_callback, 'spread')

    def imap(self, func: Callable, iterable: Iterable, chunksize: int | None = None
             ) -> IMapIterator:
        """An iterator over the results, in the order of the items, as they come. All items are
        taken from `iterable` first."""
        result = self._map_async(func, iterable, chunksize)
        left = result._futures = collections.deque(result._futures)  # dropping one frees its result
        return IMapIterator(_in_order(left))

    def imap_unordered(self, func: Callable, iterable: Iterable, chunksize: int | None = None
                       ) -> IMapIterator:
        """imap() in the order in which the calls end."""
        result = self._map_async(func, iterable, chunksize)
        futures, left = result._futures, set(result._futures)
        result._futures = left
        return IMapIterator(_as_they_end(len(futures), _lithops.as_completed(futures), left))

    def _map_async(self, func, iterable, chunksize, callback=None, error_callback=None,
                   how='item'):
        if chunksize is not None and chunksize < 1:
            raise ValueError('Chunksize must be 1+, not {}'.format(chunksize))
        if not callable(func):
            raise TypeError(f'{func!r} is not callable')
        items = [(item,) for item in iterable]  # each item is one argument, even a tuple
        return self._start(MapResult, lambda options: self._executor.map(
            self._pooled(func, how), items, chunksize=chunksize, **options) if items else [],
            (func, items), callback, error_callback)

    def _start(self, result_type, start_job, kept, callback, error_callback):
        with self._lock:
            if self._state != RUN:
                raise ValueError('Pool not running')
            env = config.get_parameter(config.ENV_VARS)
            futures = start_job({'extra_env': env} if env else {})
            self._executor.futures.clear()  # only the AsyncResult keeps the results
            result = result_type(self, futures, kept, callback, error_callback)
            self._unfinished = {each for each in self._unfinished if not each.ready()}
            self._unfinished.add(result)
        result._watch()
        return result

    # ---- the end ----

    def close(self) -> None:
        """Take no more work."""
        with self._lock:
            if self._state == RUN:
                self._state = CLOSE

    def terminate(self) -> None:
        """End the worker processes and their calls at once."""
        with self._lock:
            self._state = TERMINATE
            unfinished, self._unfinished = self._unfinished, set()
        for result in unfinished:
            _lithops.cancel(result._futures)
        self._executor.close()

    def join(self) -> None:
        """Wait for the calls and their callbacks; close() or terminate() comes first."""
        if self._state == RUN:
            raise ValueError('Pool is still running')
        with self._lock:
            unfinished, self._unfinished = self._unfinished, set()
        for result in unfinished:
            result.wait()
        self._executor.close()

    def __enter__(self) -> Pool:
        if self._state != RUN:
            raise ValueError('Pool not running')
        return self

    def __exit__(self, *exc_info) -> None:
        self.terminate()

    def __repr__(self) -> str:
        state = ('RUN', 'CLOSE', 'TERMINATE')[self._state]
        return (f'<{type(self).__module__}.{type(self).__qualname__} state={state} '
                f'pool_size={self._processes}>')

    def __reduce__(self):
        raise NotImplementedError('pool objects cannot be passed between processes or pickled')


class ThreadPool(Pool):
    """In place of ``multiprocessing.pool.ThreadPool``; calls run in processes all the same, and
    share no memory with the caller."""


class ApplyResult:
    """The pending result of one call."""

    def __init__(self, pool: Pool, futures: list, kept: Any, callback, error_callback):
        self._pool = pool
        self._futures = futures
        self._kept = kept  # keeps what the arguments refer to alive while the calls run
        self._callback = callback
        self._error_callback = error_callback
        self._left = len(futures)
        self._lock = threading.Lock()
        # Set after the callbacks; without callbacks, the futures are enough.
        needed = callback or error_callback or _details.are_wanted()
        self._event = threading.Event() if needed else None

    def _watch(self) -> None:
        if self._event is None:
            return
        for future in self._futures:
            future.on_done(self._one_done)
        if not self._futures:
            self._finish()

    def _one_done(self, future) -> None:
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._finish()

    def _finish(self) -> None:
        try:
            _details.give(self._pool._executor, self._futures)
            try:
                value = self._outcome()
            except Exception as exc:
                if self._error_callback and not any(each.canceled for each in self._futures):
                    self._error_callback(exc)
            else:
                if self._callback:
                    self._callback(value)
        except Exception:
            logger.exception('a callback of a pool has failed')
        finally:
            self._event.set()

    def _outcome(self) -> Any:
        return _lithops.results(self._futures)[0]

    def ready(self) -> bool:
        """Whether the calls are done, and the callbacks."""
        if self._event is not None:
            return self._event.is_set()
        return _lithops.done_count(self._futures) == len(self._futures)

    def successful(self) -> bool:
        """Whether no call has failed; ValueError if they are not done."""
        if not self.ready():
            raise ValueError(f'{self!r} not ready')
        return all(future.success for future in self._futures)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until ready, `timeout` seconds at most."""
        if self._event is not None:
            wait_in_steps(self._event.wait, timeout)
            return
        try:
            _wait(self._futures, timeout)
        except ProcessTimeoutError:
            pass

    def get(self, timeout: float | None = None) -> Any:
        """The result; raises what the call has raised, and after `timeout` seconds
        ``multiprocessing.TimeoutError``."""
        self.wait(timeout)
        if not self.ready():
            raise ProcessTimeoutError(f'no result after {timeout} seconds')
        self._kept = None
        with self._pool._lock:
            self._pool._unfinished.discard(self)
        try:
            return self._outcome()
        except Exception as error:
            empty_frames(error)
            del self  # the exception refers to this frame
            raise


AsyncResult = ApplyResult


class MapResult(ApplyResult):
    """The pending results of a map."""

    def _outcome(self) -> list:
        return _lithops.results(self._futures)


class IMapIterator:
    """Results as they come."""

    def __init__(self, steps: Iterator[Callable]):
        self._steps = steps
        self._step = None

    def __iter__(self) -> IMapIterator:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """The next result; ``multiprocessing.TimeoutError`` after `timeout` seconds, and then it
        can be asked for again."""
        if self._step is None:
            self._step = next(self._steps)
        future = self._step(timeout)
        self._step = None
        return future.result_value()


def _in_order(left: collections.deque) -> Iterator[Callable]:
    def step(timeout):
        _wait([left[0]], timeout)
        return left.popleft()
    while left:
        yield step


def _as_they_end(count: int, ending: Any, left: set) -> Iterator[Callable]:
    def step(timeout):
        try:
            future = ending.next(timeout)
        except TimeoutError as exc:
            raise ProcessTimeoutError(*exc.args) from None
        left.discard(future)
        return future
    for _ in range(count):
        yield step


def _wait(futures: list, timeout: float | None) -> None:
    if timeout is not None and timeout <= 0:
        if _lithops.done_count(futures) < len(futures):
            raise ProcessTimeoutError('not ready')
        return
    try:
        _lithops.wait(futures, timeout=timeout, throw_except=False)
    except TimeoutError as exc:
        raise ProcessTimeoutError(*exc.args) from None
