# SPDX-License-Identifier: Apache-2.0
"""Handles of shared objects, and the process that holds the objects (see `_server`).

That process is started by the first program that makes an object. A process that was passed a
handle makes further objects in the same place. Handles are picklable, and their pickles work in
every process of the same user on this machine.
"""

from __future__ import annotations

import atexit
import collections
import os
import pickle
import secrets
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from multiprocessing.connection import Client, answer_challenge, deliver_challenge
from typing import Any, NamedTuple

from lithops._shared.cloudpickle import dumps

from ._server import Pickled, Reference

_LOOK_MS = 100  # how often a wait of the main thread lets signals be handled
_PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes))


class Where(NamedTuple):
    """A server: the name of its socket, and the key that authenticates clients."""

    address: str
    authkey: bytes


class _State:
    """Of this process; a forked child starts anew, but for the server of its parent."""

    def __init__(self, where: Where | None = None):
        self.pid = os.getpid()
        self.name = f'{self.pid}-{secrets.token_hex(4)}'
        self.where = where
        self.server: subprocess.Popen | None = None  # if this process started it
        self.is_ending = False
        self.lock = threading.Lock()
        self.threads = threading.local()
        self.presence: dict[Where, Any] = {}  # connections that prove this process alive
        self.dropped: dict[Where, collections.deque] = collections.defaultdict(collections.deque)


_state = _State()


def _after_fork() -> None:
    global _state
    server = _state.server
    if server is not None:
        server.stdin.raw.close()  # only the parent's end may stop the server
        server.stdin = None
    _state = _State(_state.where)


os.register_at_fork(after_in_child=_after_fork)


# ---- the server ----------------------------------------------------------------------------------

def where() -> Where:
    """The server for new objects of this process; started if there is none yet."""
    with _state.lock:
        if _state.where is None:
            _state.where = _start_server()
        return _state.where


def _start_server() -> Where:
    if not sys.executable:
        raise RuntimeError('shared objects need a Python interpreter to hold them, and '
                           'sys.executable is empty')
    new = Where(f'\0lithops-mp-{os.getpid()}-{secrets.token_hex(8)}', secrets.token_bytes(32))
    script = os.path.join(os.path.dirname(__file__), '_server.py')
    process = subprocess.Popen([sys.executable, '-I', '-S', script], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, start_new_session=True)
    pickle.dump(tuple(new), process.stdin)
    process.stdin.flush()
    with process.stdout:
        if process.stdout.readline() != b'ready\n':
            raise RuntimeError('the process for shared objects does not start')
    _state.server = process
    atexit.register(_end_server, _state)
    return new


def _end_server(state: _State) -> None:
    if state is not _state:
        return  # a forked child's exit
    state.is_ending = True
    process = state.server
    try:
        process.stdin.write(b'.')
        process.stdin.close()
    except BrokenPipeError:  # it was killed
        pass
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- calls ---------------------------------------------------------------------------------------

def _connect(server: Where):
    connection = _open(server)
    with _state.lock:
        if server not in _state.presence:
            _state.presence[server] = _open(server)
    return connection


def _open(server: Where):
    try:
        connection = Client(server.address, 'AF_UNIX')
        answer_challenge(connection, server.authkey)
        deliver_challenge(connection, server.authkey)
        connection.send(_state.name)
        connection.recv()  # the server knows of it, so that another connection may end
    except (EOFError, OSError) as exc:  # a server that is ending may still accept, and then hang up
        raise RuntimeError('the process that holds the shared objects has ended, and with it '
                           'the program that started it') from exc
    return connection


def call(server: Where, ident: int, method: str, *args: Any) -> Any:
    """Call a method of an object there; blocks as long as it does. Raises what it raises."""
    connections = _state.threads.__dict__
    try:
        connection = connections.get(server)
        if connection is None:
            connection = connections[server] = _connect(server)
        pending, dropped = _state.dropped[server], []
        while pending:
            dropped.append(pending.popleft())
        connection.send((dropped, ident, method, args))
        if _is_main_thread():
            _wait_for_answer(connection)
        done, value = connection.recv()
    except BaseException as exc:
        # After Ctrl-C an answer may still arrive, and must not be taken for that of the next call.
        # Closing the connection also releases the locks that this thread holds.
        connection = connections.pop(server, None)
        if connection is not None:
            connection.close()
        _state.threads.was_interrupted = True
        if _state.is_ending and not _is_main_thread():
            _wait_for_the_end()
        if isinstance(exc, (EOFError, ConnectionError)):
            raise RuntimeError('the process that holds the shared objects has ended') from exc
        raise
    if not done:
        raise value
    return value


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _wait_for_answer(connection) -> None:
    """Python handles signals between bytecodes of the main thread. A signal that arrives just
    before a system call, or on another thread, does not interrupt the call; so no call may block
    for long."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    while not poll.poll(_LOOK_MS):
        pass


def wait_in_steps(wait: Callable[[float], Any], timeout: float | None) -> Any:
    """``wait(timeout)`` for anything other than a server's object; signals are handled in time."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if end is None else end - time.monotonic()
        step = _LOOK_MS / 1000 if left is None else max(0, min(left, _LOOK_MS / 1000))
        result = wait(step)
        if result or step == left or (left is not None and left <= 0):
            return result


def _wait_for_the_end() -> None:
    """The program is over, and with it the server: what a daemon thread was doing is moot."""
    while True:
        time.sleep(3600)


def was_interrupted() -> bool:
    """Whether a call of this thread was, and the locks that it held are released."""
    return _state.threads.__dict__.get('was_interrupted', False)


class Shared:
    """A handle of an object of the server; `_ident` there. Copies and pickles name the same one."""

    def __init__(self, typeid: str, *args: Any):
        server = where()
        args = tuple(Reference(arg._ident) if isinstance(arg, Shared) else arg for arg in args)
        self._adopt(server, call(server, 0, 'create', typeid, *args))

    def _adopt(self, server: Where, ident: int) -> None:
        """Become the handle of an object that counts this handle already."""
        self._server = server
        self._ident = ident
        self._drop = weakref.finalize(self, _state.dropped[server].append, ident)
        self._drop.atexit = False  # the server notices the end of the process

    def _call(self, method: str, *args: Any) -> Any:
        return call(self._server, self._ident, method, *args)

    def _extra(self) -> dict:
        """What a pickle holds besides the object's name."""
        return {}

    def __reduce__(self):
        kept = _values.__dict__.get('idents')
        if kept is not None:
            kept.append(self._ident)
        else:
            call(self._server, 0, 'depart', self._ident)
        return _arrive, (type(self), self._server, self._ident, kept is None, self._extra())

    def __eq__(self, other):
        return (type(other) is type(self) and other._ident == self._ident
                and other._server == self._server)

    def __hash__(self):
        return hash((self._server, self._ident))


def _arrive(cls: type, server: Where, ident: int, travelled: bool, extra: dict) -> Shared:
    server = Where(*server)
    call(server, 0, 'arrive', ident, travelled)
    handle = cls.__new__(cls)
    handle.__dict__.update(extra)
    handle._adopt(server, ident)
    with _state.lock:
        if _state.where is None:
            _state.where = server
    return handle


# ---- values --------------------------------------------------------------------------------------

_values = threading.local()


def encode(value: Any) -> Any:
    """A value as the server keeps it: plain ones as they are, which makes them good keys."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple and all(type(item) in _PLAIN for item in value):
        return value
    outer = _values.__dict__.get('idents')
    _values.idents = idents = []
    try:
        return Pickled(dumps(value), tuple(idents))
    finally:
        if outer is None:
            del _values.idents
        else:
            _values.idents = outer


def decode(value: Any) -> Any:
    return pickle.loads(value.data) if type(value) is Pickled else value
