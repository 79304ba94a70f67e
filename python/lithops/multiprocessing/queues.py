# SPDX-License-Identifier: Apache-2.0
"""Queues for processes. An item is in the queue when put() returns: there is no feeding thread."""

from __future__ import annotations

from queue import Empty, Full
from typing import Any

from ._shared import Shared, decode, encode

__all__ = ['Queue', 'SimpleQueue', 'JoinableQueue', 'Empty', 'Full']


class Queue(Shared):
    """First in, first out; `maxsize` items at most, any number if 0 or less."""

    Empty = Empty
    Full = Full

    def __init__(self, maxsize: int = 0):
        super().__init__('Queue', maxsize)

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; `Full` if there is no room (within `timeout` seconds)."""
        self._check_open()
        self._call('put', encode(obj), block, timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take an item; `Empty` if there is none (within `timeout` seconds)."""
        self._check_open()
        return decode(self._call('get', block, timeout))

    def put_nowait(self, obj: Any) -> None:
        self.put(obj, False)

    def get_nowait(self) -> Any:
        return self.get(False)

    def qsize(self) -> int:
        return self._call('qsize')

    def empty(self) -> bool:
        return self.qsize() == 0

    def full(self) -> bool:
        return self._call('full')

    def close(self) -> None:
        """This process will put and get no more."""
        self._is_closed = True

    def _check_open(self) -> None:
        if self.__dict__.get('_is_closed'):
            raise ValueError(f'Queue {self!r} is closed')

    def join_thread(self) -> None:
        """Nothing to wait for: see above."""

    def cancel_join_thread(self) -> None:
        """Nothing to wait for: see above."""


class SimpleQueue(Queue):
    """A queue without a limit."""

    def __init__(self):
        super().__init__()

    def _check_open(self) -> None:
        if self.__dict__.get('_is_closed'):
            raise OSError('handle is closed')


class JoinableQueue(Queue):
    """A queue that tracks when all items have been processed."""

    def task_done(self) -> None:
        """Mark an item as processed; ValueError if none is outstanding."""
        self._call('task_done')

    def join(self) -> None:
        """Wait until all items have been processed."""
        self._call('join')
