# SPDX-License-Identifier: Apache-2.0
"""Calls that are started again when they fail."""

from __future__ import annotations

from typing import Any

from lithops.future import ResponseFuture
from lithops.wait import (
    ALL_COMPLETED, ALWAYS, ANY_COMPLETED, THREADPOOL_SIZE, WAIT_DUR_SEC, as_list)

__all__ = ['RetryingFuture', 'RetryingFunctionExecutor']


class RetryingFuture:
    """A call that `RetryingFunctionExecutor.wait` starts again when it has failed.

    It behaves as its newest attempt, `response_future`.
    """

    def __init__(self, response_future: ResponseFuture, map_function: Any, input: Any,
                 retries: int | None = None, **kwargs: Any):
        self.response_future = response_future
        self.map_function = map_function
        self.input = input
        self.retries = retries or 0
        self.map_kwargs = kwargs
        self.failure_count = 0
        self.cancelled = False

    def cancel(self) -> None:
        """Do not start it again. An attempt that runs goes on."""
        self.cancelled = True

    def _take_failure(self, executor: Any) -> bool:
        """Count a failure; start another attempt if there is one left."""
        self.failure_count += 1
        if self.cancelled or self.failure_count > self.retries:
            return False
        self.response_future = executor.map(self.map_function, [self.input], **self.map_kwargs)[0]
        return True

    @property
    def done(self) -> bool:
        """The newest attempt has an outcome."""
        return self.response_future.done

    @property
    def success(self) -> bool:
        """It has a result."""
        return self.response_future.success

    @property
    def error(self) -> bool:
        """It failed."""
        return self.response_future.error

    @property
    def stats(self) -> dict:
        """Its statistics."""
        return self.response_future.stats

    def status(self, throw_except: bool = True, internal_storage: Any = None,
               check_only: bool = False) -> dict | None:
        """See `ResponseFuture.status`."""
        return self.response_future.status(throw_except, internal_storage, check_only)

    def result(self, throw_except: bool = True, internal_storage: Any = None) -> Any:
        """See `ResponseFuture.result`."""
        return self.response_future.result(throw_except, internal_storage)

    def __repr__(self) -> str:
        return f'<RetryingFuture {self.response_future!r}, failed {self.failure_count} times>'


class RetryingFunctionExecutor:
    """An executor whose `map` takes a number of retries, which happen in `wait`.

    executor: the `FunctionExecutor` that runs the calls
    """

    def __init__(self, executor: Any):
        self.executor = executor
        self.config = executor.config

    def __enter__(self) -> RetryingFunctionExecutor:
        self.executor.__enter__()
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        self.executor.__exit__(exc_type, exc_value, traceback)

    def map(self, map_function: Any, map_iterdata: Any, chunksize: int | None = None,
            extra_args: Any = None, extra_env: dict | None = None,
            runtime_memory: int | None = None, obj_chunk_size: int | None = None,
            obj_chunk_number: int | None = None, obj_newline: str | None = '\n',
            timeout: float | None = None, include_modules: list | None = [],
            exclude_modules: list = [], retries: int | None = None) -> list[RetryingFuture]:
        """As `FunctionExecutor.map`.

        retries: how often a call is started again; by default what the configuration says
        (``retries`` in the section lithops), else not
        """
        from lithops._client.inputs import items_of
        items = items_of(map_iterdata)
        options = {'chunksize': chunksize, 'extra_args': extra_args, 'extra_env': extra_env,
                   'runtime_memory': runtime_memory, 'obj_chunk_size': obj_chunk_size,
                   'obj_chunk_number': obj_chunk_number, 'obj_newline': obj_newline,
                   'timeout': timeout, 'include_modules': include_modules,
                   'exclude_modules': exclude_modules}
        if retries is None:
            retries = self.config['lithops'].get('retries', 0)
        futures = self.executor.map(map_function, items, **options)
        if len(futures) != len(items) and retries:
            raise ValueError(f'{len(items)} objects became {len(futures)} calls: a chunk cannot be '
                             f'started again by itself; set call_retries in the configuration')
        return [RetryingFuture(future, map_function, item, retries, **options)
                for item, future in zip(items, futures)]

    def wait(self, fs: Any, throw_except: bool = True, return_when: Any = ALL_COMPLETED,
             download_results: bool = False, timeout: float | None = None,
             threadpool_size: int = THREADPOOL_SIZE, wait_dur_sec: float | None = WAIT_DUR_SEC,
             show_progressbar: bool = True
             ) -> tuple[list[RetryingFuture], list[RetryingFuture]]:
        """Wait, and start again what has failed and has retries left.

        As `FunctionExecutor.wait`; `throw_except` is about calls without retries left, and
        `timeout` (seconds) about each round. Returns (done, pending).
        """
        futures = [fs] if isinstance(fs, RetryingFuture) else list(fs)
        settled: set[RetryingFuture] = set()
        while True:
            pending = [future for future in futures if future not in settled]
            if pending:
                self.executor.wait(
                    as_list([future.response_future for future in pending]), throw_except=False,
                    return_when=return_when, timeout=timeout, show_progressbar=show_progressbar)
            for future in pending:
                if future.done and not (future.error and future._take_failure(self.executor)):
                    settled.add(future)
                    if future.error and throw_except:
                        future.result()
            if self._is_over(return_when, futures, settled):
                return ([future for future in futures if future in settled],
                        [future for future in futures if future not in settled])

    @staticmethod
    def _is_over(return_when: Any, futures: list, settled: set) -> bool:
        if return_when == ALWAYS or len(settled) == len(futures):
            return True
        if return_when == ANY_COMPLETED:
            return bool(settled)
        return len(settled) * 100 // len(futures) >= return_when

    def clean(self, fs: Any = None, cs: list | None = None, clean_cloudobjects: bool = True,
              clean_fn: bool = False, force: bool = False) -> None:
        """See `FunctionExecutor.clean`."""
        if fs is not None:
            futures = [fs] if isinstance(fs, (RetryingFuture, ResponseFuture)) else fs
            fs = [getattr(future, 'response_future', future) for future in futures]
        self.executor.clean(fs, cs, clean_cloudobjects, clean_fn, force)
