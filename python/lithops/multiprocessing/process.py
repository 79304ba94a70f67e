# SPDX-License-Identifier: Apache-2.0
"""`Process`: a call of its own, which runs at once, whatever else runs.

Processes are calls of one executor that starts a worker process whenever all are busy; one that is
idle is used again. So a process may wait for others (a barrier, a queue) and they still run.
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing as _standard
import os
import signal
import sys
import threading
from collections.abc import Callable

import lithops

from . import _details, config
from ._shared import wait_in_steps

__all__ = ['CloudProcess', 'current_process', 'active_children', 'parent_process']

MOST_PROCESSES = 256  # at the same time

_counter = itertools.count(1)
_children: set[CloudProcess] = set()
_lock = threading.Lock()
_executors: dict[tuple, object] = {}
_was_interrupted = False  # a join(), by Ctrl-C
_current = None  # in a worker process, the `CloudProcess` that runs


def _executor():
    """The executor for processes with the current configuration, which stays open."""
    arguments = config.executor_arguments()
    key = os.getpid(), repr(sorted(arguments.items()))
    with _lock:
        if key not in _executors:
            _executors[key] = lithops.FunctionExecutor(
                **{'worker_processes': MOST_PROCESSES, **arguments})
            atexit.register(_join_at_exit, os.getpid())
        return _executors[key]


def _join_at_exit(pid: int) -> None:
    """At exit the script waits for processes that are not daemons, but not if Ctrl-C ended it.
    Unlike those of the standard library, these processes do not get the Ctrl-C themselves."""
    is_over = _was_interrupted or getattr(sys, 'last_type', None) is KeyboardInterrupt
    if os.getpid() == pid and not is_over:
        for process in active_children():
            if not process.daemon:
                process._future.wait()


def _run(process: CloudProcess) -> int:
    """In the worker process. @return the exit code"""
    global _current
    _current = process
    process._pid = os.getpid()
    try:
        process.run()
        return 0
    except SystemExit as exc:
        if exc.code is None or isinstance(exc.code, int):
            return (exc.code or 0) & 0xff  # as the kernel truncates it
        print(exc.code, file=sys.stderr)
        return 1
    finally:
        _current = None


class CloudProcess:
    """A function that runs in a process of its own; a subclass may override run()."""

    def __init__(self, group=None, target: Callable | None = None, name: str | None = None,
                 args=(), kwargs=None, *, daemon: bool | None = None):
        if group is not None:
            raise AssertionError('group argument must be None: processes have no groups')
        number = next(_counter)
        self._target = target
        self._args = tuple(args or ())
        self._kwargs = dict(kwargs or {})
        self._name = name or f'{type(self).__name__}-{number}'
        self._daemon = bool(daemon)
        self._pid = None
        self._future = None
        self._sentinel = None
        self._is_closed = False
        self._exitcode = None  # of terminate() and kill()
        self._parent = os.getpid(), current_process().name

    def __getstate__(self) -> dict:
        """What travels to the worker process: all that a subclass has added, too."""
        if self._future is not None:
            raise TypeError('a process that was started cannot be pickled')
        return self.__dict__

    def run(self) -> None:
        """What the process does: it calls the target."""
        if self._target:
            self._target(*self._args, **self._kwargs)

    def start(self) -> None:
        """Start the process; once."""
        self._check_open()
        if self._future is not None:
            raise AssertionError('cannot start a process twice')
        if self._parent[0] != os.getpid():
            raise AssertionError('can only start a process object created by current process')
        executor = _executor()
        future = executor.call_async(_run, (self,),
                                     extra_env=config.get_parameter(config.ENV_VARS) or None)
        self._future = future
        self._pid = '/'.join((future.executor_id, future.job_id, future.call_id))
        receiving, self._closing = os.pipe2(os.O_CLOEXEC)
        self._sentinel = receiving
        self._ended = threading.Event()
        _children.add(self)
        future.on_done(lambda future: self._end(executor))

    def _end(self, executor) -> None:
        """On a thread of the engine, when the call is done."""
        _details.give(executor, [self._future])
        _children.discard(self)
        os.close(self._closing)  # makes the sentinel readable
        self._ended.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end, `timeout` seconds at most. Raises what the target has raised."""
        if self._parent[0] != os.getpid():
            raise AssertionError('can only join a child process')
        self._check_started('join')
        global _was_interrupted
        try:
            has_ended = wait_in_steps(self._ended.wait, timeout)
        except KeyboardInterrupt:
            _was_interrupted = True
            raise
        if has_ended and self._exitcode is None and self._future.error:
            raise self._future.exception_value()

    def is_alive(self) -> bool:
        self._check_open()
        return self is _current or (self._future is not None and not self._ended.is_set())

    def terminate(self) -> None:
        """End the process now. Its worker process is killed, so nothing of it runs on."""
        self._stop(signal.SIGTERM)

    def kill(self) -> None:
        """The same as terminate(), but for the exit code."""
        self._stop(signal.SIGKILL)

    def _stop(self, number: int) -> None:
        self._check_started('end')
        if self.is_alive():
            code, self._exitcode = self._exitcode, -number
            if not self._future.cancel():
                self._exitcode = code

    def close(self) -> None:
        """Free what is left of a process that has ended; ValueError if it runs."""
        if self._is_closed:
            return
        if self._future is not None:
            if self.is_alive():
                raise ValueError('Cannot close a process while it is still running. You should '
                                 'first call join() or terminate().')
            os.close(self._sentinel)
        self._is_closed = True
        self._future = self._sentinel = None
        self._target = self._args = self._kwargs = None

    def __del__(self):
        if self.__dict__.get('_sentinel') is not None:
            os.close(self._sentinel)

    @property
    def exitcode(self) -> int | None:
        """None: not started, or running; 0; 1 after an exception; the number given to sys.exit();
        that of a signal, negative, after terminate() and kill()."""
        self._check_open()
        if self._future is None or not self._ended.is_set():
            return None
        if self._exitcode is not None:
            return self._exitcode
        return self._future.result_value() if self._future.success else 1

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError('name must be a string')
        self._name = name

    @property
    def daemon(self) -> bool:
        """Whether the end of the program ends it; otherwise the program waits for it."""
        return self._daemon

    @daemon.setter
    def daemon(self, daemonic: bool) -> None:
        if self._future is not None:
            raise AssertionError('process has already started')
        self._daemon = bool(daemonic)

    @property
    def authkey(self) -> bytes:
        return _standard.current_process().authkey

    @property
    def ident(self) -> str | int | None:
        """executor/job/call, which names the call; in the process itself, its number."""
        return self._pid

    pid = ident

    @property
    def sentinel(self) -> int:
        """A file descriptor that is readable when the process has ended."""
        if self._sentinel is None:
            raise ValueError('process not started')
        return self._sentinel

    def _check_started(self, verb: str) -> None:
        self._check_open()
        if self._future is None:
            raise AssertionError(f'can only {verb} a started process')

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError('process object is closed')

    def __repr__(self) -> str:
        if self._is_closed:
            status = 'closed'
        elif self._future is None and self is not _current:
            status = 'initial'
        else:
            status = 'started' if self.is_alive() else f'stopped exitcode={self.exitcode}'
        return f"<{type(self).__name__} name='{self._name}' {status}>"


class _Parent:
    """What a process knows of the one that started it."""

    def __init__(self, pid: int, name: str):
        self.pid = self.ident = pid
        self.name = name

    def is_alive(self) -> bool:
        return True  # else this process would have been ended


def current_process():
    """The `Process` that runs this; the standard library's object for the program itself."""
    return _current or _standard.current_process()


def parent_process() -> _Parent | None:
    """The process that started this one, with its name and pid; None in the program itself."""
    return _Parent(*_current._parent) if _current else _standard.parent_process()


def active_children() -> list[CloudProcess]:
    """The processes that were started here and run."""
    return [process for process in list(_children) if process._parent[0] == os.getpid()]
