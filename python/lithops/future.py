# SPDX-License-Identifier: Apache-2.0
"""Futures: what `FunctionExecutor.call_async` and `map` return.

`ResponseFuture` is the engine's object, of a few bytes, with methods. A pickled future contains its
outcome and is loaded as a `SettledFuture`, which can be read even if the executor, the client and
its machine are gone. So pickling waits until the call is done.
"""

from __future__ import annotations

import sys

import lithops
from lithops import _lithops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any


def has_settled(futures: list) -> bool:
    """True if a `SettledFuture` is among them."""
    return SettledFuture.seen and SettledFuture in set(map(type, futures))


def use_cancelled_error() -> None:
    """From now on a cancelled call raises ``concurrent.futures.CancelledError``.

    Done before the first cancellation, as that module takes long to import.
    """
    from concurrent.futures import CancelledError
    _lithops.configure(errors={'canceled': CancelledError})


class _Kind(type):
    """Makes a `SettledFuture` an instance of `ResponseFuture`, whose memory it cannot share."""

    def __instancecheck__(cls, thing: Any) -> bool:
        return type.__instancecheck__(cls, thing) or type(thing) is SettledFuture


class _State:
    New = 'New'
    Invoked = 'Invoked'
    Running = 'Running'
    Ready = 'Ready'
    Success = 'Success'
    Error = 'Error'
    Done = 'Done'
    Unknown = 'Unknown'


_STATES = {'Pending': _State.Invoked, 'Running': _State.Running, 'Success': _State.Done,
           'Failed': _State.Error, 'Canceled': _State.Error}


class _Methods:
    """The methods of a future, built on a few primitives.

    Properties: `done` (it has an outcome), `success` (a result), `error` (it failed or was
    cancelled), `running`, `canceled`; `stats` (dict), `logs` (what the call printed) and more.
    """

    __slots__ = ()

    State = _State

    def result(self, throw_except: bool = True, internal_storage: Any = None, retries: int = 10,
               wait_dur_sec: float = 1) -> Any:
        """Wait for the call and return its result; raises what the call has raised.

        throw_except: if false, the result of a failed call is None. Other arguments have no effect.
        """
        if throw_except:
            try:
                return self.result_value()
            except Exception:
                del self  # the exception refers to this frame
                raise
        self.wait()
        return None if self.error else self.result_value()

    def status(self, throw_except: bool = True, internal_storage: Any = None,
               check_only: bool = False, wait_dur_sec: float = 1) -> dict | None:
        """Wait for the call and return how it went: its identity and statistics, as a dict.

        check_only: do not wait; None if the call is not done. throw_except: raise what it raised.
        """
        if not check_only:
            self.wait()
        elif not self.done:
            return None
        if throw_except and self.error:
            raise self.exception_value()
        return {'type': '__end__', 'executor_id': self.executor_id, 'job_id': self.job_id,
                'call_id': self.call_id, 'activation_id': self.activation_id,
                'exception': self.error, **self.stats}

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call and return what it raised, or None.

        Raises TimeoutError after `timeout` seconds, CancelledError if the call was cancelled.
        """
        self.wait(timeout)
        exception = self.exception_value()
        if self.canceled:
            raise exception
        return exception

    def cancelled(self) -> bool:
        """True if the call was cancelled."""
        return self.canceled

    def add_done_callback(self, callback: Callable) -> None:
        """Call ``callback(future)`` once when the call is done, on a thread of the engine."""
        self.on_done(callback)

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def done(_: Any) -> None:
            try:
                loop.call_soon_threadsafe(wake)
            except RuntimeError:  # the loop was closed
                pass

        self.on_done(done)
        try:
            yield from waiter
        except asyncio.CancelledError:
            use_cancelled_error()
            _lithops.Future.cancel(self)  # without waiting, which would block the loop
            raise
        return self.result_value()

    @property
    def _state(self) -> str:
        return _STATES[self.state]

    @property
    def new(self) -> bool:
        """Always False: a future exists only once its call was started."""
        return False

    @property
    def invoked(self) -> bool:
        """The call waits for a worker process."""
        return self.state == 'Pending'

    @property
    def futures(self) -> bool:
        """Always False: futures that a function returns are resolved in the worker process."""
        return False

    @property
    def job_key(self) -> str:
        """``<executor_id>-<job_id>``"""
        return f'{self.executor_id}-{self.job_id}'

    @property
    def activation_id(self) -> str:
        """Name of the call, unique among all."""
        return self.key

    def __reduce__(self):
        self.wait()
        error = self.exception_value()
        result = self.result_value() if error is None else None
        identity = {name: getattr(self, name) for name in _IDENTITY}
        return _settle, (identity, result, error)


_IDENTITY = ('executor_id', 'job_id', 'call_id', 'key', 'index', 'function_name', 'state', 'stats',
             'logs', 'traceback_text', 'is_reduce', 'feeds_reducer', 'backend', 'runtime_name',
             'runtime_memory', 'execution_timeout')


class ResponseFuture(_Methods, _lithops.Future, metaclass=_Kind):
    """One call of a function.

    ``result()``, ``status()``, ``exception()``, ``cancel()``, ``add_done_callback()``, ``await``;
    ``done``, ``success``, ``error``, ``running``; ``stats``, ``logs``, ``call_id``, ``job_id``.
    Programs may give it attributes of their own.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            super().__setattr__(name, value)  # raises the usual error
        self.attributes(True)[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self.attributes(True)[name]
        except KeyError:
            super().__delattr__(name)

    def __getattr__(self, name: str) -> Any:
        attributes = self.attributes(False)
        if attributes is None or name not in attributes:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return attributes[name]

    def job_handle(self) -> dict:
        """The handle of a detached call, for `lithops.attach` in any process; see
        `lithops.detached`."""
        return _lithops.job_handle([self])

    def __reduce__(self):
        if not self.done:
            try:
                return _attach, (self.job_handle(),)
            except Exception:  # it is not detached: its outcome is awaited
                pass
        return super().__reduce__()

    @property
    def runtime_name(self) -> str:
        """The interpreter, or the image, that runs the call."""
        return self.runtime or sys.executable

    def cancel(self) -> bool:
        """Keep the call from running, or end it, and wait until it has ended, which takes a moment.

        False: it was done already, or came to its own end first.
        """
        use_cancelled_error()
        if not _lithops.Future.cancel(self):
            return False
        _lithops.Future.wait(self)
        return self.canceled


class SettledFuture(_Methods):
    """A future from elsewhere, which is done and holds its outcome."""

    __slots__ = (*_IDENTITY, '_result', '_error')

    ready = done = True
    native = running = gives_list = given_up = False

    seen = False  # any, in this process

    def __init__(self, identity: dict, result: Any, error: BaseException | None):
        SettledFuture.seen = True
        for name, value in identity.items():
            setattr(self, name, value)
        self._result = result
        self._error = error

    read = property(lambda self: True)
    error = property(lambda self: self._error is not None)
    success = property(lambda self: self._error is None)
    canceled = property(lambda self: self.state == 'Canceled')

    def wait(self, timeout: float | None = None) -> None:
        """Nothing to wait for."""

    def result_value(self, timeout: float | None = None) -> Any:
        """The result; raises what the call has raised."""
        if self._error is not None:
            raise self._error
        return self._result

    def exception_value(self) -> BaseException | None:
        """What the call has raised."""
        return self._error

    def cancel(self) -> bool:
        """False: it is done."""
        return False

    def on_done(self, callback: Callable) -> None:
        """Calls it now."""
        callback(self)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: Any) -> bool:
        return type(other) is SettledFuture and other.key == self.key

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self.key}, {self.state}>'


def _attach(handle: dict) -> ResponseFuture:
    return lithops.detached._future_of(handle)


def _settle(identity: dict, result: Any, error: BaseException | None) -> SettledFuture:
    return SettledFuture(identity, result, error)


def _load_failure(data: bytes) -> BaseException:
    from lithops._shared.failure import load_failure
    return load_failure(data)


_lithops.configure(future_type=ResponseFuture, load=_load_failure)
