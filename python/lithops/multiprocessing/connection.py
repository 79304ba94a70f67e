# SPDX-License-Identifier: Apache-2.0
"""Pipes between processes. `Listener` and `Client` are those of the standard library.

A pipe's end travels: it may be given to any number of processes, as an argument, a result or an
item of a queue. A message goes to one of those that receive at an end. EOFError comes when no
process has the other end any more.
"""

from __future__ import annotations

import io
import pickle
import time
from multiprocessing.connection import Client, Listener
from multiprocessing.connection import wait as _wait_fds
from typing import Any

from lithops._shared.cloudpickle import dumps

from ._shared import Shared, call, where
from .errors import BufferTooShort

__all__ = ['Pipe', 'Connection', 'Client', 'Listener', 'wait']

_LONGEST_NAP_S = 0.02


class _End(Shared):
    """A receiving or a sending end of one direction."""


class Connection:
    """One end of a pipe."""

    def __init__(self, receiving: _End | None, sending: _End | None):
        self._receiving = receiving
        self._sending = sending

    @property
    def closed(self) -> bool:
        return self._receiving is None and self._sending is None

    @property
    def readable(self) -> bool:
        return self._receiving is not None

    @property
    def writable(self) -> bool:
        return self._sending is not None

    def fileno(self) -> int:
        raise io.UnsupportedOperation('a connection of lithops.multiprocessing is not a file; wait '
                                      'for it with poll() or lithops.multiprocessing.connection.'
                                      'wait()')

    def close(self) -> None:
        """Give up this process's handle of the end."""
        ends = [end for end in (self._receiving, self._sending) if end is not None]
        self._receiving = self._sending = None
        for end in ends:
            end._drop()
        if ends:
            call(ends[0]._server, 0, 'count')  # takes the news there

    def send(self, obj: Any) -> None:
        self._put(dumps(obj))

    def send_bytes(self, buf, offset: int = 0, size: int | None = None) -> None:
        """Send bytes of a buffer as one message; `size` of them from `offset`."""
        view = memoryview(buf).cast('B')
        if offset < 0 or offset > len(view):
            raise ValueError('offset is outside of the buffer')
        if size is not None and (size < 0 or offset + size > len(view)):
            raise ValueError('size is negative or goes beyond the end of the buffer')
        self._put(bytes(view[offset:len(view) if size is None else offset + size]))

    def recv(self) -> Any:
        """The next object; waits for it. EOFError if none can come."""
        return pickle.loads(self._get())

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """The next message; OSError if it is longer than `maxlength`, which ends the connection."""
        if maxlength is not None:
            if maxlength < 0:
                raise ValueError('negative maxlength')
            if self._size_of_next() > maxlength:
                self.close()
                raise OSError('bad message length')
        return self._get()

    def recv_bytes_into(self, buf, offset: int = 0) -> int:
        """Put the next message into a buffer; gives its size. BufferTooShort holds one that does
        not fit."""
        view = memoryview(buf).cast('B')
        if offset < 0 or offset > len(view):
            raise ValueError('offset is outside of the buffer')
        message = self._get()
        if len(message) > len(view) - offset:
            raise BufferTooShort(message)
        view[offset:offset + len(message)] = message
        return len(message)

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether recv() would return at once, or does within `timeout` seconds (None: waits)."""
        return self._end('_receiving')._call('poll', timeout)

    def _end(self, name: str) -> _End:
        end = getattr(self, name)
        if end is None:
            raise OSError('the connection is closed' if self.closed else
                          'connection is write-only' if name == '_receiving' else
                          'connection is read-only')
        return end

    def _put(self, message: bytes) -> None:
        self._end('_sending')._call('put', message)

    def _get(self) -> bytes:
        return self._end('_receiving')._call('get')

    def _size_of_next(self) -> int:
        return self._end('_receiving')._call('peek_size')

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()


def Pipe(duplex: bool = True, conn_type: str | None = None) -> tuple[Connection, Connection]:
    """Two connected ends; unless `duplex`, the first receives and the second sends.

    `conn_type` chooses among upstream's servers, and has no effect.
    """
    receiving, sending = _one_way()
    if not duplex:
        return Connection(receiving, None), Connection(None, sending)
    back_receiving, back_sending = _one_way()
    return Connection(receiving, back_sending), Connection(back_receiving, sending)


def _one_way() -> tuple[_End, _End]:
    server = where()
    ends = []
    for ident in call(server, 0, 'create_pipe'):
        end = _End.__new__(_End)
        end._adopt(server, ident)
        ends.append(end)
    return ends[0], ends[1]


def wait(object_list, timeout: float | None = None) -> list:
    """Those of some connections, sentinels of processes and files that are ready; waits for one.

    `timeout`: seconds; None waits without limit.
    """
    objects = list(object_list)
    pipes = [each for each in objects if isinstance(each, Connection)]
    files = [each for each in objects if not isinstance(each, Connection)]
    if not pipes:
        return _wait_fds(files, timeout)
    end = None if timeout is None else time.monotonic() + timeout
    nap_s = 0.0005
    while True:  # nothing can wait for several pipes, or pipes and files, at once
        ready = [pipe for pipe in pipes if pipe.poll()] + _wait_fds(files, 0)
        left = _LONGEST_NAP_S if end is None else end - time.monotonic()
        if ready or left <= 0:
            return [each for each in objects if any(each is other for other in ready)]
        nap_s = min(2 * nap_s, _LONGEST_NAP_S, left)
        if len(pipes) == 1 and not files:
            pipes[0].poll(left if end is not None else None)
        else:
            time.sleep(nap_s)
