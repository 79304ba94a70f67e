# SPDX-License-Identifier: Apache-2.0
"""Detached jobs: they run under a supervisor and outlive the program that starts them.

    with lithops.FunctionExecutor(detached=True) as fexec:
        handle = fexec.map(function, data).handle()     # a dict: keep it as JSON

    futures = lithops.attach(handle)                    # in another process, now or tomorrow
    print(futures.get_result())
    lithops.detached.release(handle)

A handle holds no secret. Any process of the same user on the same machine may attach to it, at any
time and as often as it likes.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict

from lithops import _lithops
from lithops._client.futures_list import FuturesList, create_futures_list
from lithops.executors import FunctionExecutor
from lithops.wait import note_reduce

_WAIT_S = 0.5  # between two looks at signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lithops.future import ResponseFuture


def _dict_of(handle: Any) -> dict:
    return json.loads(handle) if isinstance(handle, (str, bytes)) else handle


class AttachedExecutor(FunctionExecutor):
    """The executor of jobs that were started elsewhere: for waiting, results and plots.

    It starts no jobs; closing it leaves those that it is attached to alone.
    """

    def __init__(self, handle: dict, **kwargs: Any):
        self._handle = handle
        super().__init__(**kwargs)
        self._futures.extend(self._attached)
        if any(job['job'].startswith('R') for job in handle['jobs']):
            note_reduce()
        del self._attached

    def _open_engine(self, settings: dict, worker_command: Any, **options: Any) -> Any:
        engine, self._attached = _lithops.attach(self._handle, settings=settings or None,
                                                 foreign_settings=True, **options)
        return engine


def attach(handle: dict | str | bytes, **kwargs: Any) -> FuturesList:
    """The futures of a handle: a dict, or its JSON text.

    kwargs: as of `FunctionExecutor`, for the memory of results here. Raises FileNotFoundError if
    the job was released, has expired, or is on another machine, PermissionError if it is another
    user's, and ValueError if this is no handle, or one of a version that cannot be read.
    """
    executor = AttachedExecutor(_dict_of(handle), **kwargs)
    return create_futures_list(list(executor._futures), executor)


def state(handle: dict | str | bytes) -> dict:
    """How far its jobs are: 'calls', 'success', 'failed', 'canceled', 'done', and more."""
    return _lithops.job_state(_dict_of(handle))


def wait(handle: dict | str | bytes, timeout: float | None = None) -> bool:
    """Wait, for at most so many seconds, until all calls are done; whether they are.

    Makes no futures. Where the supervisor was killed, another one is started.
    """
    handle = _dict_of(handle)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = _WAIT_S if deadline is None else max(0.0, deadline - time.monotonic())
        if _lithops.job_wait(handle, max(1, int(min(left, _WAIT_S) * 1e3))):
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False


def cancel(handle: dict | str | bytes) -> None:
    """End all calls that are not done, without waiting for it."""
    _lithops.job_cancel(_dict_of(handle))


def release(handle: dict | str | bytes) -> None:
    """Nobody needs its jobs any more: results go, and what still runs is cancelled."""
    _lithops.job_release(_dict_of(handle))


def jobs() -> list[dict]:
    """All detached jobs of this user on this machine, with their handles."""
    return _lithops.job_list()


# Futures that were pickled one by one come back one by one: they share what attached them. Those of
# the jobs that were asked for last are kept.
_attached: OrderedDict[tuple, FuturesList] = OrderedDict()
_MOST_ATTACHED = 4


def _future_of(handle: dict) -> ResponseFuture:
    """The one future that a handle is of."""
    job = handle['jobs'][0]
    key = handle['folder'], job['job'], job['token']
    futures = _attached.get(key)
    if futures is None:
        futures = attach({**handle, 'jobs': [{**job, 'begin': 0, 'end': job['calls']}]})
        _attached[key] = futures
        while len(_attached) > _MOST_ATTACHED:
            _attached.popitem(last=False)
    return futures[job['begin']]
