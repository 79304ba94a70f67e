# SPDX-License-Identifier: Apache-2.0
"""Handles of shared objects, and the process that holds the objects (see `_server`).

That process is started by the first program that makes an object. A process that was handed one
makes its own in the same place. Handles are picklable, and their pickles work in every process of
the same user on this machine.
"""

from __future__ import annotations

import atexit
import collections
import os
import pickle
import secrets
import subprocess
import sys
import tempfile
import threading
import weakref
from multiprocessing.connection import Client, answer_challenge, deliver_challenge
from typing import Any, NamedTuple

from lithops._cloudpickle import dumps

from ._server import Pickled, Reference

_PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes))


class Where(NamedTuple):
    """A server: the path of its socket, and the key that it knows its clients by."""

    address: str
    authkey: bytes


class _State:
    """Of this process; a forked child starts anew, but for the server of its parent."""

    def __init__(self, where: Where | None = None):
        self.pid = os.getpid()
        self.name = f'{self.pid}-{secrets.token_hex(4)}'
        self.where = where
        self.lock = threading.Lock()
        self.threads = threading.local()
        self.dropped: dict[Where, collections.deque] = collections.defaultdict(collections.deque)


_state = _State()


def _after_fork() -> None:
    global _state
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
    folder = tempfile.mkdtemp(prefix='lithops-mp-')
    if len(folder) > 90:  # a socket's name has 107 bytes
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix='lithops-mp-', dir='/tmp')
    new = Where(os.path.join(folder, 'socket'), secrets.token_bytes(32))
    script = os.path.join(os.path.dirname(__file__), '_server.py')
    process = subprocess.Popen([sys.executable, '-I', '-S', script], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, start_new_session=True)
    pickle.dump(tuple(new), process.stdin)
    process.stdin.flush()
    with process.stdout:
        if process.stdout.readline() != b'ready\n':
            raise RuntimeError('the process for shared objects does not start')
    atexit.register(_end_server, process, folder, os.getpid())
    return new


def _end_server(process: subprocess.Popen, folder: str, pid: int) -> None:
    if os.getpid() != pid:
        return
    process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)


# ---- calls ---------------------------------------------------------------------------------------

def _connect(server: Where):
    try:
        connection = Client(server.address, 'AF_UNIX')
        answer_challenge(connection, server.authkey)
        deliver_challenge(connection, server.authkey)
        connection.send(_state.name)
    except (EOFError, OSError) as exc:  # one that is ending still accepts, and then hangs up
        raise RuntimeError('the process that holds the shared objects has ended, and with it '
                           'the program that started it') from exc
    return connection


def call(server: Where, ident: int, method: str, *args: Any) -> Any:
    """Call a method of an object there; blocks as long as it does. Raises what it raises."""
    connections = _state.threads.__dict__
    connection = connections.get(server)
    if connection is None:
        connection = connections[server] = _connect(server)
    pending, dropped = _state.dropped[server], []
    while pending:
        dropped.append(pending.popleft())
    try:
        connection.send((dropped, ident, method, args))
        done, value = connection.recv()
    except BaseException as exc:
        # An answer may still come (Ctrl-C): it must not be taken for that of the next call. The
        # locks that belong to threads are released with the connection.
        connections.pop(server, None)
        connection.close()
        _state.threads.was_interrupted = True
        if isinstance(exc, (EOFError, ConnectionError)):
            raise RuntimeError('the process that holds the shared objects has ended') from exc
        raise
    if not done:
        raise value
    return value


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
        self._drop.atexit = False  # the server sees the process end

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
