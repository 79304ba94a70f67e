# SPDX-License-Identifier: Apache-2.0
"""Waiting for futures, of one executor or of several.

Functions here take a future or a list of futures. What is a percentage, an exception, a timeout is
the engine's to know; Python adds the progress bar and futures that came from elsewhere.
"""

from __future__ import annotations

import time

from lithops import _lithops
from lithops._client import logging as _logging
from lithops._client import progress as _progress
from lithops._client.frames import empty_frames
from lithops._client.futures_list import FuturesList
from lithops._shared.adapters import spread
from lithops.future import ResponseFuture, SettledFuture, has_settled, use_cancelled_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

ALWAYS = 0
ANY_COMPLETED = -1
ALL_COMPLETED = 100

THREADPOOL_SIZE = 64
WAIT_DUR_SEC = 1

_LOOK, _ANY = -1, 0  # what the engine calls ALWAYS and ANY_COMPLETED

_has_reduced = False

executors: dict[str, Any] = {}  # weak references by their ids


def as_list(fs: Any) -> list:
    """The futures in an argument: a future, or an iterable of them."""
    if type(fs) is ResponseFuture or type(fs) is SettledFuture:
        return [fs]
    if not isinstance(fs, (list, tuple, set, frozenset)) and not hasattr(fs, '__next__'):
        raise TypeError(f'a future or a list of futures expected, {type(fs).__name__} given')
    futures = fs if isinstance(fs, list) else list(fs)
    for future in futures[:1] if not SettledFuture.seen else futures:
        if not isinstance(future, ResponseFuture):  # the engine rejects others
            raise TypeError(f'futures expected, {type(future).__name__} given')
    return futures


def wait_for(futures: list, return_when: float = ALL_COMPLETED, timeout: float | None = None,
             throw_except: bool = True, show_progressbar: bool = True,
             throw_cancelled: bool = True) -> None:
    """Wait until this share of the futures is done.

    Raises TimeoutError; with `throw_except` what the first failed call has raised, or, unless
    `throw_cancelled` is false, CancelledError of one that was cancelled.
    """
    share = _share_of(return_when)
    end = None if timeout is None else time.monotonic() + timeout
    if has_settled(futures):
        settled = [future for future in futures if type(future) is SettledFuture]
        if throw_except:
            results_of(settled)
        futures, share = _leave_out(futures, settled, share)
    while futures and share is not None:
        left = None if end is None else end - time.monotonic()
        if _wait(futures, share, left, throw_except, show_progressbar, throw_cancelled):
            return
        cancelled = [future for future in futures if future.canceled]
        futures, share = _leave_out(futures, cancelled, share)


def _wait(futures: list, share: int, timeout: float | None, throw_except: bool,
          show_progressbar: bool, throw_cancelled: bool) -> bool:
    """False if a cancelled call ended it."""
    if share != _LOOK and show_progressbar and _progress.is_wanted():
        return _wait_with_bar(futures, share, timeout, throw_except, throw_cancelled)
    if timeout is not None and timeout <= 0:
        return _look(futures, share, throw_except, throw_cancelled)
    return _lithops.wait(futures, share, timeout, throw_except, throw_cancelled)


def _leave_out(futures: list, done: list, share: int) -> tuple[list, int | None]:
    """Futures without some that are done, and which share of them is asked for; None: enough."""
    left_out = set(done)
    live = [future for future in futures if future not in left_out]
    if not live or share == _ANY:
        return live, None
    if share > 0:
        wanted = len(futures) * share / 100 - len(done)
        share = min(100, -int(-100 * wanted // len(live))) if wanted > 0 else _LOOK
    return live, share


def _share_of(return_when: float) -> int:
    if return_when == ALWAYS:
        return _LOOK
    if return_when == ANY_COMPLETED:
        return _ANY
    if isinstance(return_when, (int, float)) and 0 < return_when <= 100:
        return max(1, int(return_when))
    raise ValueError(f'return_when is {return_when!r}: a percentage, ALWAYS, ANY_COMPLETED or '
                     f'ALL_COMPLETED is expected')


def _is_enough(futures: list, share: int) -> bool:
    done = _lithops.done_count(futures)
    return done > 0 if share == _ANY else done * 100 // len(futures) >= share


def _look(futures: list, share: int, throw_except: bool, throw_cancelled: bool) -> bool:
    if not _lithops.wait(futures, _LOOK, None, throw_except, throw_cancelled):
        return False
    if share != _LOOK and not _is_enough(futures, share):
        raise TimeoutError(f'{_lithops.done_count(futures)} of {len(futures)} calls were done '
                           f'when the time was over')
    return True


def _wait_with_bar(futures: list, share: int, timeout: float | None, throw_except: bool,
                   throw_cancelled: bool) -> bool:
    end = None if timeout is None else time.monotonic() + timeout
    pause, bar = _progress.PATIENCE_S, None
    try:
        while True:
            left = None if end is None else end - time.monotonic()
            try:
                if left is None or left > 0:
                    _lithops.wait(futures, share, pause if left is None else min(left, pause),
                                  False)
            except TimeoutError:
                pass
            if not _lithops.wait(futures, _LOOK, None, throw_except, throw_cancelled):
                return False
            if bar is not None:
                bar.show(_lithops.done_count(futures), *_lithops.workers(futures))
            if _is_enough(futures, share):
                return True
            if end is not None and time.monotonic() >= end:
                return _look(futures, share, throw_except, throw_cancelled)
            if bar is None:
                bar, pause = _progress.Bar(len(futures)), _progress.INTERVAL_S
    finally:
        if bar is not None:
            bar.close()


def split(futures: list) -> tuple[FuturesList, FuturesList]:
    """Those that are done, and the others, in order."""
    if has_settled(futures):
        done = [future for future in futures if future.done]
        not_done = [future for future in futures if not future.done]
    else:
        done, not_done = _lithops.split(futures)
    return FuturesList(done), FuturesList(not_done)


def results_of(futures: list, errors: str = 'raise') -> list:
    """Results of calls that are done. errors: 'raise', 'return' (exceptions) or 'none' (None)."""
    if not has_settled(futures):
        return spread(_lithops.results(futures, errors))
    results = []
    for future in futures:
        if future.error and errors != 'raise':
            results.append(future.exception_value() if errors == 'return' else None)
        else:
            results.append(future.result_value())
    return spread(results)


def wait(fs: ResponseFuture | Iterable[ResponseFuture] | None, internal_storage: Any = None,
         job_monitor: Any = None, throw_except: bool = True, return_when: Any = ALL_COMPLETED,
         download_results: bool = False, timeout: float | None = None,
         threadpool_size: int = THREADPOOL_SIZE, wait_dur_sec: float | None = None,
         show_progressbar: bool = True, futures_from_executor_wait: bool = False
         ) -> tuple[FuturesList, FuturesList]:
    """Wait for futures, also of different executors.

    Parameters:
        fs: a future or a list of them
        throw_except: raise what a failed call has raised, as soon as it has. A cancelled call has
            not failed
        return_when: percentage that must be done, or ALL_COMPLETED, ANY_COMPLETED, ALWAYS (look
            only)
        timeout: seconds; then TimeoutError, and the calls go on
        show_progressbar: on a terminal, or in a notebook

    Returns (done, not_done). The other parameters have no effect: results arrive together with
    the notification. Ctrl-C ends the wait and cancels the calls.
    """
    futures = [] if fs is None else as_list(fs)  # None, as with upstream: nothing to wait for
    if not futures:
        return FuturesList(), FuturesList()
    try:
        with _LeavingNothing(futures):
            wait_for(futures, return_when, timeout, throw_except, show_progressbar,
                     throw_cancelled=False)
    except Exception as error:
        empty_frames(error)
        del fs, futures
        raise
    return split(futures)


def get_result(fs: ResponseFuture | Iterable[ResponseFuture], internal_storage: Any = None,
               throw_except: bool = True, timeout: float | None = None,
               threadpool_size: int = THREADPOOL_SIZE, wait_dur_sec: float | None = None,
               show_progressbar: bool = True, *, return_exceptions: bool = False) -> Any:
    """Wait for the results of futures, also of different executors.

    Of a list the list of the results, in order (of a map_reduce those of the reducers); of one
    future its result. With `return_exceptions`, exceptions stand among the results; with
    `throw_except` false, None stands for the result of a call that failed. Otherwise as `wait`.
    """
    futures = without_reduced(as_list(fs))
    _logging.log(_logging.INFO, 'Getting results from %d function activations', len(futures))
    try:
        with _LeavingNothing(futures):
            wait_for(futures, ALL_COMPLETED, timeout, throw_except and not return_exceptions,
                     show_progressbar)
        results = results_of(futures, 'return' if return_exceptions else
                             'raise' if throw_except else 'none')
    except Exception as error:
        empty_frames(error)
        del fs, futures
        raise
    if (type(fs) is ResponseFuture or type(fs) is SettledFuture) and len(results) == 1:
        return results[0]
    return results


class _LeavingNothing:
    """Cancels the futures on Ctrl-C."""

    def __init__(self, futures: list):
        self._futures = futures

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            pending = [future for future in self._futures if not future.done]
            if pending:
                use_cancelled_error()
                _lithops.cancel(pending)


def note_reduce() -> None:
    """A map_reduce was started: from now on `without_reduced` must check."""
    global _has_reduced
    _has_reduced = True


def without_reduced(futures: list) -> list:
    """Without the calls whose results go to a reducer."""
    if _has_reduced or has_settled(futures):
        return [future for future in futures if not future.feeds_reducer]
    return futures


def as_completed(fs: ResponseFuture | Iterable[ResponseFuture],
                 timeout: float | None = None) -> Iterator[ResponseFuture]:
    """Futures one by one, as their calls end, whether well or not.

    Raises TimeoutError if not all are done `timeout` seconds after the first one was asked for.
    """
    futures = as_list(fs)
    settled = [future for future in futures if type(future) is SettledFuture]
    live = [future for future in futures if type(future) is not SettledFuture] if settled else (
        futures)
    executor = executors.get(live[0].executor_id) if live else None
    return _as_completed(settled, len(live), _lithops.as_completed(live), timeout, executor)


def _as_completed(settled: list, count: int, completed: Any, timeout: float | None, executor: Any
                  ) -> Iterator[ResponseFuture]:
    end = None if timeout is None else time.monotonic() + timeout
    yield from settled
    for _ in range(count):
        yield completed.next(None if end is None else max(0, end - time.monotonic()))
        owner = executor and executor()
        if owner is not None:  # free results that were taken and whose futures were dropped
            owner._tidy()
        del owner
