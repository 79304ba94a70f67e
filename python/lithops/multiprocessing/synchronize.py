# SPDX-License-Identifier: Apache-2.0
"""Locks and other synchronization primitives for processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ._shared import Shared, was_interrupted

__all__ = ['Lock', 'RLock', 'Semaphore', 'BoundedSemaphore', 'Condition', 'Event', 'Barrier']


class _Acquirable(Shared):
    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it; waits for `timeout` seconds at most, not at all unless `block`."""
        return self._call('acquire', block, timeout)

    def release(self) -> None:
        """Give it back; ValueError if it is not taken."""
        try:
            self._call('release')
        except RuntimeError as exc:
            if not was_interrupted():
                raise ValueError('semaphore or lock released too many times') from None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info) -> None:
        self.release()


class Lock(_Acquirable):
    """A lock; any process may release it."""

    def __init__(self):
        super().__init__('Lock')


class RLock(_Acquirable):
    """A lock that the thread which holds it can take again."""

    def __init__(self):
        super().__init__('RLock')

    def release(self) -> None:
        """Give it back; AssertionError if this thread does not hold it."""
        try:
            super().release()
        except ValueError:
            raise AssertionError('attempt to release recursive lock not owned by thread') from None


class Semaphore(_Acquirable):
    """A counter that acquire() takes from and release() adds to."""

    _is_bounded = False

    def __init__(self, value: int = 1):
        if value < 0:
            raise ValueError('semaphore initial value must be >= 0')
        super().__init__('Semaphore', value, value if self._is_bounded else None)

    def get_value(self) -> int:
        return self._call('get_value')


class BoundedSemaphore(Semaphore):
    """A semaphore that is never more than it was at first: ValueError."""

    _is_bounded = True


class Condition(Shared):
    """A condition with its lock, an `RLock` unless given."""

    def __init__(self, lock: Lock | RLock | None = None):
        self._lock = RLock() if lock is None else lock
        if not isinstance(self._lock, (Lock, RLock)):
            raise TypeError('lock must be a Lock or an RLock of lithops.multiprocessing')
        super().__init__('Condition', self._lock)

    def _extra(self) -> dict:
        return {'_lock': self._lock}

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        return self._lock.acquire(block, timeout)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *exc_info) -> None:
        self._lock.__exit__(*exc_info)

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock until notified, `timeout` seconds at most; True if notified."""
        return self._call('wait', timeout)

    def wait_for(self, predicate: Callable[[], object], timeout: float | None = None):
        """Wait until the predicate is true; gives its last value."""
        end = None if timeout is None else time.monotonic() + timeout
        result = predicate()
        while not result:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        self._call('notify', n)

    def notify_all(self) -> None:
        self._call('notify_all')


class Event(Shared):
    """A flag to wait for."""

    def __init__(self):
        super().__init__('Event')

    def is_set(self) -> bool:
        return self._call('is_set')

    def set(self) -> None:
        self._call('set')

    def clear(self) -> None:
        self._call('clear')

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, `timeout` seconds at most; True if it is."""
        return self._call('wait', timeout)


class Barrier(threading.Barrier):
    """Where a number of processes wait for each other.

    The algorithm is the one of threads, over a shared condition and shared numbers; ``action`` is
    run by one of the processes.
    """

    def __init__(self, parties: int, action: Callable | None = None, timeout: float | None = None):
        # Create condition and numbers first: the base class assigns to them.
        object.__setattr__(self, '_numbers', Shared('List', [0, 0]))
        super().__init__(parties, action, timeout)
        object.__setattr__(self, '_cond', Condition())

    def __setattr__(self, name, value):
        if name == '_cond':
            return  # the base class's is for threads
        object.__setattr__(self, name, value)

    @property
    def _state(self) -> int:
        return self._numbers._call('read', '__getitem__', 0)

    @_state.setter
    def _state(self, value: int) -> None:
        self._numbers._call('change', '__setitem__', 0, value)

    @property
    def _count(self) -> int:
        return self._numbers._call('read', '__getitem__', 1)

    @_count.setter
    def _count(self, value: int) -> None:
        self._numbers._call('change', '__setitem__', 1, value)
