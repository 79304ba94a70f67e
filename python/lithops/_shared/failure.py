# SPDX-License-Identifier: Apache-2.0
"""Transports the exception of a failed call from the worker process to the client.

It travels as a pickle (the codec's, `_lithops.dumps`) of `(exceptions, text)`: the exception, its
`__cause__`, that one's `__cause__` and so on, and the traceback as text; or of the text alone where
the exception does not survive pickling. A traceback itself cannot be pickled.
"""

from __future__ import annotations

from lithops import _lithops

_COMMAND, _SHELL = b"LITHCMD1", 1  # src/function/command.h
_HERE = __file__.rpartition("/_shared/")[0] + "/"  # the package


class RemoteTraceback(Exception):
    """Where an exception happened in its worker process: the cause of what `result()` raises."""

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'

    def __reduce__(self):
        return RemoteTraceback, (self.text,)


def describe(exception: BaseException) -> tuple[str, str, bytes]:
    """An exception as it is sent: one line, the traceback, and the data for `load_failure()`.

    Never raises, whatever the exception does when it is formatted or pickled.
    """
    text = _sendable(_traceback_of(exception))
    return _sendable(_one_line(exception)), text, _pickle_of(exception, text)


def load_failure(data: bytes) -> BaseException:
    """The exception to raise in the client, from the data of a failed call.

    Its `__cause__` is a RemoteTraceback, whose `__cause__` is the original cause, if any. For a
    command, it is what subprocess.run() would have raised: CalledProcessError, or OSError.
    A RuntimeError stands for an exception that could not be pickled. Raises what loading a pickle
    can raise.
    """
    if data.startswith(_COMMAND):
        return _end_of_command(data)
    what = _lithops.loads(data)
    if isinstance(what, str):
        exceptions, text = (RuntimeError(what.strip().rpartition("\n")[2]),), what
    else:
        exceptions, text = what
    first = exceptions[0]
    for exception, cause in zip(exceptions, exceptions[1:]):
        exception.__cause__ = cause
    remote = RemoteTraceback(text)
    remote.__cause__ = first.__cause__
    first.__cause__ = remote
    return first


def _end_of_command(data: bytes) -> Exception:
    """How the program of a command has ended: struct lithops__command_failure, its words, output
    and errors."""
    import os
    from struct import Struct
    from subprocess import CalledProcessError
    head = Struct("=8siiiIQQQ")
    _, status, signal, errno, flags, words_len, out_len, _ = head.unpack_from(data)
    out_at = head.size + words_len
    words = [os.fsdecode(word) for word in data[head.size:out_at].split(b"\0")[:-1]]
    output, errors = data[out_at:out_at + out_len], data[out_at + out_len:]
    if errno:
        return OSError(errno, errors.decode(errors="replace"), words[0])
    command = words[0] if flags & _SHELL else words
    return CalledProcessError(-signal or status, command, output, errors)


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _one_line(exception: BaseException) -> str:
    name = type(exception).__name__
    try:
        text = str(exception).strip().partition("\n")[0]
    except BaseException:
        text = "<no text: __str__ raises an exception>"
    return f"{name}: {text}" if text else name


def _traceback_of(exception: BaseException) -> str:
    """The text that Python prints, from the first frame that is the user's on."""
    try:
        import traceback
        frames = exception.__traceback__
        while frames and frames.tb_frame.f_code.co_filename.startswith(_HERE):
            frames = frames.tb_next
        return "".join(traceback.format_exception(type(exception), exception, frames))
    except BaseException:  # an exception with properties that raise
        return f"{_one_line(exception)}\n(the traceback cannot be formatted)\n"


def _chain_of(exception: BaseException) -> tuple[BaseException, ...]:
    chain = [exception]
    while len(chain) < 32:
        cause = chain[-1].__cause__
        if cause is None or any(cause is known for known in chain):  # `in` would call __eq__
            break
        chain.append(cause)
    return tuple(chain)


class _Bare:
    """An exception whose pickle would call its class with `args`, which wants others: without any
    code of the class."""

    def __init__(self, exception: BaseException):
        self.exception = exception

    def __reduce__(self):
        cls = type(self.exception)
        base = next(kind for kind in cls.__mro__ if not kind.__flags__ & _HEAP_TYPE)
        _, args, *state = base.__reduce__(self.exception)
        return make_again, (cls, base, args, *state)


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement


def make_again(cls: type, base: type, args: tuple, attributes: dict | None = None) -> BaseException:
    exception = base.__new__(cls, *args)
    base.__init__(exception, *args)
    vars(exception).update(attributes or {})
    return exception


def _as_sent(exceptions: tuple[BaseException, ...]) -> tuple[BaseException | _Bare, ...]:
    """Those that do not come through by themselves, bare."""
    return tuple(exception if _comes_through(exception) else _Bare(exception)
                 for exception in exceptions)


def _comes_through(exception: BaseException) -> bool:
    try:
        return type(_lithops.loads(_lithops.dumps(exception))) is type(exception)
    except BaseException:
        return False


def _alone(exception: BaseException) -> tuple[BaseException]:
    return (exception,)


def _pickle_of(exception: BaseException, text: str) -> bytes:
    """With its causes, alone, or only the text: the first that can be pickled and loaded again."""
    for chain_of, as_sent in ((_chain_of, tuple), (_chain_of, _as_sent),
                              (_alone, tuple), (_alone, _as_sent)):
        try:
            exceptions = chain_of(exception)
            data = _lithops.dumps((as_sent(exceptions), text))
            loaded = _lithops.loads(data)[0]
            if all(type(a) is type(b) for a, b in zip(exceptions, loaded)):
                return data
        except BaseException:
            continue
    return _lithops.dumps(text)
