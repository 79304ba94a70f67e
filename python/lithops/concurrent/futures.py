# SPDX-License-Identifier: Apache-2.0
"""``concurrent.futures`` whose calls run in worker processes of Lithops.

    from lithops.concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor() as pool:
        print(pool.submit(pow, 2, 8).result(), list(pool.map(abs, [-1, 2])))

A `Future` here is a ``concurrent.futures.Future``: ``wait`` and ``as_completed`` are the standard
library's own, and take futures of other executors beside these. The engine reports when a call
is done, on one of its threads; nothing is polled.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, BrokenExecutor, CancelledError, Executor,
    InvalidStateError, TimeoutError, as_completed, wait)
from concurrent.futures import Future as _Future

from lithops import executors as _executors
from lithops._shared.pooled import PooledFunction, call_later
from lithops.future import ResponseFuture

__all__ = [
    'ALL_COMPLETED', 'FIRST_COMPLETED', 'FIRST_EXCEPTION', 'BrokenExecutor', 'CancelledError',
    'Executor', 'FunctionExecutor', 'Future', 'InvalidStateError', 'LocalhostExecutor',
    'ProcessPoolExecutor', 'ServerlessExecutor', 'StandaloneExecutor', 'ThreadPoolExecutor',
    'TimeoutError', 'as_completed', 'wait',
]


class Future(_Future):
    """A standard future for one call of Lithops; `FunctionExecutor.submit` makes it."""

    def __init__(self, lithops_future: ResponseFuture | None = None):
        super().__init__()
        self._call = lithops_future

    @property
    def lithops_future(self) -> ResponseFuture | None:
        """The future of Lithops behind this one."""
        return self._call

    @property
    def stats(self) -> dict:
        """Times (seconds since 1970) and sizes of the call, as far as they are known."""
        return self._call.stats if self._call is not None else {}

    def running(self) -> bool:
        return not self.done() and self._call is not None and self._call.running

    def cancel(self) -> bool:
        """Keep the call from running, or end it: unlike a thread, a worker process can be stopped.

        Returns False if the call is done.
        """
        if self.cancelled():
            return True
        if self.done() or (self._call is not None and not self._call.cancel()):
            return False
        return self._cancel_here()

    def _cancel_here(self) -> bool:
        """Note the end of a call that was canceled, and wake its waiters."""
        with self._condition:
            canceled, first = super().cancel(), self._state == 'CANCELLED'
            if first:
                self.set_running_or_notify_cancel()
        return canceled

    def _take_outcome(self, call: ResponseFuture) -> None:
        try:
            if call.canceled:
                self._cancel_here()
            elif call.success:
                self.set_result(call.result_value())
            else:
                self.set_exception(call.exception_value())
        except InvalidStateError:  # canceled just before
            pass
        except BaseException as exc:  # a result that cannot be unpickled here
            self.set_exception(exc)


class FunctionExecutor(Executor):
    """A ``concurrent.futures.Executor`` that runs calls with Lithops.

    Parameters:
        max_workers: calls that run at once; the configuration's number by default
        executor: a `lithops.FunctionExecutor` to use; it stays open. Otherwise one is opened with
            the remaining arguments (config, backend, storage, log_level, ...) and belongs to this
        max_tasks_per_child: calls that a worker process runs before a fresh one takes its place;
            items of a map count one by one. Of no effect with `executor`
        initializer, initargs: called once in each worker process, before its first call
        runtime_memory: MiB for each call
        extra_env: environment variables for each call
        execution_timeout: seconds that a call may run
        include_modules, exclude_modules: as in `lithops.FunctionExecutor.map`

    Arguments that only make sense for the standard library (mp_context, thread_name_prefix)
    are accepted and have no effect.
    """

    _executor_cls = _executors.FunctionExecutor

    def __init__(self, max_workers: int | None = None, *, executor=None,
                 initializer: Callable | None = None, initargs: tuple = (),
                 runtime_memory: int | None = None, extra_env: dict | None = None,
                 execution_timeout: float | None = None, include_modules: list | None = None,
                 exclude_modules: list | None = None, **kwargs):
        if initializer is not None and not callable(initializer):
            raise TypeError('initializer must be a callable')
        if max_workers is not None and max_workers < 1:
            raise ValueError('max_workers must be greater than 0')
        most = kwargs.get('max_tasks_per_child')
        if most is not None and not isinstance(most, int):
            raise TypeError('max_tasks_per_child must be an integer')
        if most is not None and most <= 0:
            raise ValueError('max_tasks_per_child must be >= 1')
        if executor is not None and not hasattr(executor, 'futures'):
            raise TypeError(f'executor must be a lithops.FunctionExecutor, not '
                            f'{type(executor).__name__}; give the one that it holds')
        for name in ('mp_context', 'thread_name_prefix'):
            kwargs.pop(name, None)
        if most is None:
            kwargs.pop('max_tasks_per_child', None)
        if max_workers is not None:
            kwargs['worker_processes'] = max_workers
        self._is_owner = executor is None
        self._inner = self._executor_cls(**kwargs) if executor is None else executor
        self._pooled = PooledFunction.factory(initializer, initargs)
        self._has_initializer = initializer is not None
        options = {'runtime_memory': runtime_memory, 'extra_env': extra_env,
                   'timeout': execution_timeout, 'include_modules': include_modules,
                   'exclude_modules': exclude_modules}
        self._options = {key: value for key, value in options.items() if value is not None}
        self._lock = threading.Lock()
        self._pending: set[Future] = set()
        self._is_shutdown = False

    @property
    def lithops_executor(self):
        """The executor of Lithops that runs the calls."""
        return self._inner

    def submit(self, fn: Callable, /, *args, **kwargs) -> Future:
        # by name where possible: then it is pickled only once
        function, call = ((self._pooled(fn, 'call'), (args, kwargs)) if self._has_initializer
                          else (call_later, (fn, args, kwargs)))
        return self._start(lambda: [self._inner.call_async(
            function, (call,), **self._options)])[0]

    def map(self, fn: Callable, *iterables: Iterable, timeout: float | None = None,
            chunksize: int | None = None, buffersize: int | None = None) -> Iterator:
        """Results of ``fn`` over the items, in their order.

        All calls are one job, started at once; with `buffersize`, only so many of them are ahead
        of the results that were taken. `chunksize`: items that a worker process takes at a time;
        the engine adapts it by default.
        """
        if chunksize is not None and chunksize < 1:
            raise ValueError('chunksize must be >= 1.')
        if buffersize is not None and buffersize < 1:
            raise ValueError('buffersize must be None or >= 1')
        end = None if timeout is None else time.monotonic() + timeout
        items = zip(*iterables)
        if buffersize is None:
            args = [(item,) for item in items]
            ahead = self._start(lambda: self._inner.map(
                self._pooled(fn, 'spread'), args, chunksize=chunksize, **self._options)
                if args else [])
        else:
            ahead = [self.submit(fn, *item) for _, item in zip(range(buffersize), items)]
        return self._results(fn, collections.deque(ahead), items, end)

    def _results(self, fn, ahead, items, end):
        try:
            while ahead:
                left = None if end is None else end - time.monotonic()
                result = ahead[0].result(left)
                ahead.popleft()
                for item in items:  # without buffersize, all were taken already
                    ahead.append(self.submit(fn, *item))
                    break
                yield result
        finally:
            while ahead:  # abandoning the results cancels the calls
                ahead.popleft().cancel()

    def _start(self, start_job: Callable[[], list[ResponseFuture]]) -> list[Future]:
        with self._lock:  # a shutdown sees all calls or refuses them
            if self._is_shutdown:
                raise RuntimeError('cannot schedule new futures after shutdown')
            futures = [Future(call) for call in start_job()]
            if self._is_owner:
                self._inner.futures.clear()  # each result is in its future
            self._pending.update(futures)
        for future in futures:
            future._call.on_done(_Delivery(future, self._pending))
        return futures

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._lock:
            self._is_shutdown = True
            pending = list(self._pending)
        if cancel_futures:
            for future in pending:
                if not future.running():
                    future.cancel()
        if wait:
            self._finish(pending)
        else:
            threading.Thread(target=self._finish, args=(pending,), daemon=True,
                             name='lithops-shutdown').start()

    def _finish(self, pending: list[Future]) -> None:
        _wait(pending)
        if self._is_owner:
            self._inner.close()


class _Delivery:
    """Passes the outcome of a call to its future; called by the engine."""

    __slots__ = ('future', 'pending')

    def __init__(self, future: Future, pending: set[Future]):
        self.future = future
        self.pending = pending

    def __call__(self, call: ResponseFuture) -> None:
        self.pending.discard(self.future)
        self.future._take_outcome(call)


_wait = wait  # `wait` is a parameter of shutdown()


class LocalhostExecutor(FunctionExecutor):
    """`FunctionExecutor` on this machine."""

    _executor_cls = _executors.LocalhostExecutor


class ServerlessExecutor(FunctionExecutor):
    """`FunctionExecutor` on a serverless backend."""

    _executor_cls = _executors.ServerlessExecutor


class StandaloneExecutor(FunctionExecutor):
    """`FunctionExecutor` on a standalone backend."""

    _executor_cls = _executors.StandaloneExecutor


class ProcessPoolExecutor(FunctionExecutor):
    """In place of ``concurrent.futures.ProcessPoolExecutor``."""


class ThreadPoolExecutor(FunctionExecutor):
    """In place of ``concurrent.futures.ThreadPoolExecutor``; calls run in processes all the same,
    and share no memory with the caller."""
