# SPDX-License-Identifier: Apache-2.0
"""What happens in a worker process: binding, injection, output, failures, streams, leftovers."""

import os
import subprocess
import sys
import time

import pytest
from worker_client import LIMIT, Client, code_of

from lithops import _lithops
from lithops._shared.failure import RemoteTraceback
from lithops._client.worker_command import worker_command


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    client = Client(tmp_path_factory.mktemp("worker"))
    yield client
    client.close()


@pytest.fixture
def alone(tmp_path):
    """A client with one worker process."""
    client = Client(tmp_path, worker_processes=1)
    yield client
    client.close()


# ---- binding -------------------------------------------------------------------------------------


def three(a, b=10, *rest, c=100, **more):
    return a, b, rest, c, more


@pytest.mark.parametrize("item, parts, expected", [
    (1, {}, (1, 10, (), 100, {})),
    ((1, 2, 3), {}, (1, 2, (3,), 100, {})),
    ([1, 2], {}, ([1, 2], 10, (), 100, {})),
    ({"a": 1, "c": 2, "d": 3}, {}, (1, 10, (), 2, {"d": 3})),
    ((1, 2), {"mode": "single"}, ((1, 2), 10, (), 100, {})),
    ({"a": 1}, {"mode": "single"}, ({"a": 1}, 10, (), 100, {})),
    (1, {"extra_args": (2,)}, (1, 2, (), 100, {})),
    ((1, 2), {"extra_args": (3, [4])}, (1, 2, (3, [4]), 100, {})),
    (1, {"extra_args": {"b": 2, "c": [3]}}, (1, 2, (), [3], {})),
    ({"a": 1}, {"extra_args": {"b": 2}}, (1, 2, (), 100, {})),
    (None, {}, (None, 10, (), 100, {})),
    ({1, 2}, {}, ({1, 2}, 10, (), 100, {})),
], ids=str)
def test_binding(client, item, parts, expected):
    assert client.run(three, item, **parts) == expected


def test_a_named_tuple_is_positional(client):
    from urllib.robotparser import RequestRate
    assert client.run(lambda a, b: a + b, RequestRate("one", "two")) == "onetwo"


def test_a_wrong_item_is_a_type_error(client):
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'b'"):
        client.run(lambda a, b: a, 1)
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        client.run(lambda a: a, (1, 2))


def test_extra_args_are_each_calls_own(client):
    def grow(x, seen, table):
        seen.append(x)
        table[x] = True
        return len(seen), len(table)
    extra = {"seen": [], "table": {}}
    assert client.map(grow, range(50), extra_args=extra) == [(1, 1)] * 50
    assert client.map(grow, range(50), extra_args=([], {})) == [(1, 1)] * 50
    assert extra == {"seen": [], "table": {}}


def test_items_are_each_calls_own(client):
    shared = [0]
    assert client.map(lambda x: x.append(1) or len(x), [shared] * 20) == [2] * 20


def test_kinds_of_callables(client):
    from functools import partial

    class Adder:
        def __init__(self, n):
            self.n = n

        def add(self, x):
            return x + self.n

        __call__ = add
    assert client.map(Adder(3), [1, 2]) == [4, 5]
    assert client.map(Adder(4).add, [1, 2]) == [5, 6]
    assert client.map(partial(pow, 2), [3, 4]) == [8, 9 + 7]
    assert client.map(abs, [-1, 2]) == [1, 2]
    assert client.map(str, [1]) == ["1"]
    assert client.map(len, ["abc", [1]]) == [3, 1]


def test_many_codes_one_after_the_other(alone):
    """More than a worker keeps: the oldest is loaded again."""
    functions = [code_of(lambda x, n=n: x + n) for n in range(150)]
    for _ in range(2):
        futures = [alone.executor.call_async(function, 1000) for function in functions]
        assert [future.result_value(LIMIT) for future in futures] == list(range(1000, 1150))


def test_large_codes_are_not_hoarded(alone):
    def size_with(data):
        def size(_):
            with open("/proc/self/status") as file:
                kib, = (line.split()[1] for line in file if line.startswith("RssAnon:"))
            return len(data), int(kib) >> 10
        return size
    for n in range(40):
        length, mib = alone.run(size_with(bytearray(8 << 20)), n)
        assert length == 8 << 20 and mib < 200
    big = code_of(size_with(bytearray(100 << 20)))  # larger than all together may be
    assert [alone.executor.call_async(big, 0).result_value(LIMIT)[0] for _ in range(2)] == [
        100 << 20] * 2


def test_code_that_does_not_load(client):
    broken = _lithops.Function("broken", b"\x80\x05nonsense")
    future = client.executor.call_async(broken, 1)
    with pytest.raises(Exception) as caught:
        future.result_value(LIMIT)
    assert "Unpickling" in type(caught.value).__name__ or isinstance(caught.value, ValueError)
    newer = _lithops.Function("newer", _lithops.dumps((99, abs, None, (), "item", 0)))
    with pytest.raises(RuntimeError, match="same version"):
        client.executor.call_async(newer, 1).result_value(LIMIT)


def test_a_module_that_is_not_there(client):
    import types
    module = types.ModuleType("module_that_is_nowhere")
    sys.modules["module_that_is_nowhere"] = module
    exec("def f(x): return x", module.__dict__)
    module.f.__module__ = "module_that_is_nowhere"
    code = _lithops.dumps((2, module.f, None, (), "item", 0))
    del sys.modules["module_that_is_nowhere"]
    with pytest.raises(ModuleNotFoundError, match="module_that_is_nowhere"):
        client.executor.call_async(_lithops.Function("f", code), 1).result_value(LIMIT)


# ---- what is injected, environment ---------------------------------------------------------------


def test_id(client):
    assert client.map(lambda x, id: (x, id), "abc".split() * 5, inject=("id",)) == \
        [("abc", n) for n in range(5)]
    assert client.run(lambda x, id: id, {"x": 1}, inject=("id",)) == 0


def test_rabbitmq_and_ibm_cos_must_be_configured(client):
    with pytest.raises(RuntimeError, match="amqp_url"):
        client.run(lambda x, rabbitmq: 0, 1, inject=("rabbitmq",))
    with pytest.raises(RuntimeError, match="ibm_cos"):
        client.run(lambda x, ibm_cos: 0, 1, inject=("ibm_cos",))


def test_environment_is_the_jobs(alone):
    def look(names):
        import os
        return [os.environ.get(name) for name in names], os.getenv("HOME")
    os_home = os.environ.get("HOME")
    names = ["EXTRA_ONE", "HOME"]
    env = {"EXTRA_ONE": "1", "HOME": "/nowhere"}
    assert alone.run(look, names, env=env) == (["1", "/nowhere"], "/nowhere")
    assert alone.run(look, names) == ([None, os_home], os_home)

    def change(names):
        import os
        os.environ["EXTRA_ONE"] = "changed"
        raise ValueError
    with pytest.raises(ValueError):
        alone.run(change, names, env=env)
    assert alone.run(look, names) == ([None, os_home], os_home)

    with pytest.raises(ValueError):
        alone.run(look, names, env={"EXTRA_ONE": "1", "NO=NAME": "2"})
    assert alone.run(look, names) == ([None, os_home], os_home)

    def child(_):
        import subprocess
        return subprocess.check_output(["sh", "-c", "echo $EXTRA_ONE"])
    assert alone.run(child, 0, env=env) == b"1\n"


def test_a_worker_says_so(client):
    def look(_):
        import os
        import sys
        import __main__
        names = [name for name in vars(__main__) if not name.startswith("__")]
        return os.environ["LITHOPS_WORKER"], sys.argv, names
    assert client.run(look, 0) == ("True", sys.argv, [])


# ---- output --------------------------------------------------------------------------------------


def test_output_of_each_call_is_its_own(alone):
    def speak(x):
        import sys
        if x % 3 == 0:
            print("number", x)
        if x % 5 == 0:
            print("five", x, file=sys.stderr, end="")
    futures = alone.executor.map(code_of(speak), range(300))
    _lithops.wait(futures)
    for x, future in enumerate(futures):
        expected = f"number {x}\n" if x % 3 == 0 else ""
        expected += f"five {x}" if x % 5 == 0 else ""
        assert (future.logs or "").rstrip("\n") == expected.rstrip("\n"), x


def test_order_of_output_and_error(alone):
    def speak(_):
        import sys
        for i in range(3):
            print("out", i)
            print("err", i, file=sys.stderr)
        sys.stdout.write("no newline")
        sys.stdout.buffer.write(b" and bytes \xff")
    future = alone.start(speak, 0)
    future.result_value(LIMIT)
    expected = "".join(f"out {i}\nerr {i}\n" for i in range(3)) + "no newline and bytes "
    assert future.logs.startswith(expected)


def test_large_output(alone):
    future = alone.start(lambda n: print("x" * n), 100_000)
    future.result_value(LIMIT)
    assert future.logs.count("x") == 100_000 or "..." in future.logs
    future = alone.start(lambda n: [print(i) for i in range(n)] and None, 2000)
    future.result_value(LIMIT)
    assert future.logs.split()[-1] == "1999"


def test_output_of_threads(alone):
    def speak(n):
        import sys
        import threading
        threads = [threading.Thread(target=lambda c=c: [sys.stdout.write(c * 3900)
                                                        for _ in range(n)]) for c in "abcdef"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    future = alone.start(speak, 300)
    future.result_value(LIMIT)
    assert {c: future.logs.count(c) for c in "abcdef"} == dict.fromkeys("abcdef", 300 * 3900)


def test_output_of_subprocesses_keeps_its_place(alone):
    def speak(_):
        import os
        import subprocess
        print("before")
        subprocess.run(["echo", "child"])
        print("between", end=" ", flush=True)
        os.system("echo the lines")
        print("after")
    future = alone.start(speak, 0)
    future.result_value(LIMIT)
    assert future.logs == "before\nchild\nbetween the lines\nafter\n"


@pytest.mark.parametrize("by_hand", [True, False])
def test_output_before_a_crash_is_there(alone, by_hand):
    def crash(_):
        import os
        print("last words")
        if _:
            os.kill(os.getpid(), 11)
        import ctypes
        ctypes.string_at(0)
    future = alone.start(crash, by_hand)
    with pytest.raises(RuntimeError, match="signal 11"):
        future.result_value(LIMIT)
    assert future.logs.startswith("last words\nFatal Python error: Segmentation fault")
    assert "in crash" in future.logs


@pytest.mark.parametrize("harm", [
    "import sys; sys.stdout.close()",
    "import sys; sys.stderr.close(); sys.stdout.close()",
    "import sys; sys.stdout = None",
    "import sys, io; sys.stdout = io.StringIO()",
    "import sys; del sys.stdout",
    "import sys, io; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'latin-1')",
    "import sys; sys.stdout.detach()",
    "import os; os.close(1); os.close(2)",
    "import os; os.closerange(0, 3)",
], ids=lambda text: text.partition("; ")[2])
def test_who_closes_its_output_harms_only_itself(alone, harm):
    def do(text):
        exec(text)

    def speak(_):
        import sys
        print("heard")
        print("too", file=sys.stderr)
    alone.run(do, harm)
    alone.run(speak, 0)
    future = alone.start(speak, 0)
    future.result_value(LIMIT)
    assert future.logs == "heard\ntoo\n"


def test_redirect_stdout(alone):
    def quiet(_):
        import contextlib
        import io
        with contextlib.redirect_stdout(io.StringIO()) as text:
            print("inside")
        print("outside")
        return text.getvalue()
    future = alone.start(quiet, 0)
    assert future.result_value(LIMIT) == "inside\n" and future.logs == "outside\n"


# ---- failures ------------------------------------------------------------------------------------


def failure_of(client, function, item=0, **parts):
    future = client.start(function, item, **parts)
    with pytest.raises(BaseException) as caught:
        future.result_value(LIMIT)
    return caught.value, future


def test_type_arguments_attributes_notes_cause(client):
    def fail(_):
        try:
            {}["missing"]
        except KeyError as cause:
            error = OSError(28, "No space", "file")
            error.tag = {"n": 1}
            error.__notes__ = ["a note"]
            raise error from cause
    error, future = failure_of(client, fail)
    assert type(error) is OSError and error.args == (28, "No space")
    assert (error.errno, error.filename, error.tag) == (28, "file", {"n": 1})
    assert error.__notes__ == ["a note"]
    remote = error.__cause__
    assert type(remote) is RemoteTraceback and "in fail" in remote.text
    assert "The above exception was the direct cause" in remote.text
    assert "/_worker/" not in remote.text
    assert type(remote.__cause__) is KeyError and remote.__cause__.args == ("missing",)
    assert "in fail" in future.traceback_text and future.state == "Failed"


def test_a_long_traceback_keeps_its_end(client):
    def even(depth):
        return odd(depth - 1)

    def odd(depth):
        if depth < 0:
            raise ValueError("x" * 100)
        return even(depth - 1)
    _, future = failure_of(client, even, 40)
    text = future.traceback_text
    assert 1000 < len(text) < 1280
    first, second = text.splitlines()[:2]
    assert first == "..." and second.startswith(("  File ", "    "))
    assert text.endswith("ValueError: " + "x" * 100 + "\n")


@pytest.mark.parametrize("text", ["", "two\nlines", "ü€", "x" * 5000, "\ud800", "nul\0"], ids=repr)
def test_texts(client, text):
    def fail(text):
        raise ValueError(text)
    error, _ = failure_of(client, fail, text)
    assert type(error) is ValueError and error.args == (text,)


class NeedsTwo(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_an_exception_whose_class_wants_other_arguments(client):
    class NeedsTwo(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    def fail(_):
        raise NeedsTwo(1, 2)
    error, _ = failure_of(client, fail)
    assert type(error).__name__ == "NeedsTwo" and error.args == ("1 and 2",)
    assert "in fail" in error.__cause__.text


def test_exceptions_that_python_knows_more_of(client):
    class OwnOSError(OSError):
        def __init__(self, path):
            super().__init__(2, "not here", path)
            self.hint = "look"

    class OwnDecodeError(UnicodeDecodeError):
        def __init__(self, text):
            super().__init__("utf-8", b"\xff", 0, 1, text)

    class Refuses(Exception):
        def __new__(cls, one, *, two):
            return super().__new__(cls, one, two)

        def __init__(self, one, *, two):
            super().__init__(one, two)

    def fail(kind):
        if kind == 0:
            raise OwnOSError("a file") from Refuses(1, two=2)
        if kind == 1:
            raise FileNotFoundError(2, "no such file", "data.csv") from Refuses(1, two=2)
        raise OwnDecodeError("odd")
    error, _ = failure_of(client, fail, 0)
    assert (error.errno, error.filename, error.hint) == (2, "a file", "look")
    assert error.__cause__.__cause__.args == (1, 2)
    error, _ = failure_of(client, fail, 1)
    assert (error.errno, error.filename) == (2, "data.csv")
    error, _ = failure_of(client, fail, 2)
    assert (error.reason, error.object) == ("odd", b"\xff")


def test_an_exception_that_cannot_be_pickled_comes_as_text(client):
    def fail(_):
        import threading
        raise ValueError("has a lock", threading.Lock())
    error, _ = failure_of(client, fail)
    assert type(error) is RuntimeError and "has a lock" in str(error)


def test_a_cause_that_cannot_be_pickled_is_left_out(client):
    def fail(_):
        import threading
        raise ValueError("outer") from RuntimeError(threading.Lock())
    error, _ = failure_of(client, fail)
    assert type(error) is ValueError and error.args == ("outer",)
    assert "direct cause" in error.__cause__.text


def test_exceptions_that_misbehave(client):
    class Mute(Exception):
        def __str__(self):
            raise ValueError("no text")
        __repr__ = __str__

    class Exits(Exception):
        def __reduce__(self):
            raise SystemExit

        def __str__(self):
            raise KeyboardInterrupt

    class Incomparable(Exception):
        def __eq__(self, other):
            raise KeyboardInterrupt

    class Blank(Exception):
        __cause__ = __traceback__ = property(lambda self: 1 / 0)
    for kind in (Mute, Exits, Incomparable, Blank):
        def fail(_, kind=kind):
            raise kind from kind()
        error, future = failure_of(client, fail)
        if type(error) is not kind:
            assert type(error) is RuntimeError and kind.__name__ in str(error)
            assert "could not be described" not in str(error)
        assert future.state == "Failed"
    assert client.run(abs, -1) == 1


def test_exceptions_of_classes_by_value_keep_their_class(client):
    class Mine(Exception):
        pass
    Mine.__module__ = "__main__"

    def fail(_):
        raise Mine(1)
    error, _ = failure_of(client, fail)
    assert type(error) is Mine and error.args == (1,)


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "MemoryError",
                                  "StopIteration", "AssertionError", "BaseException"])
def test_every_exception_is_a_failure_of_its_call(client, name):
    def fail(name):
        import builtins
        raise getattr(builtins, name)(3)
    error, _ = failure_of(client, fail, name)
    assert type(error).__name__ == name and error.args == (3,)
    assert client.run(abs, -1) == 1


def test_ways_to_exit(client):
    def leave(how):
        import sys
        exec(how, {"sys": sys})
    for how in ("sys.exit(3)", "exit(3)", "quit(3)"):
        error, _ = failure_of(client, leave, how)
        assert type(error) is SystemExit and error.code == 3
    error, _ = failure_of(client, leave, "import os; os._exit(3)")
    assert isinstance(error, RuntimeError)


def test_recursion(client):
    def forever(n):
        return forever(n + 1)
    error, _ = failure_of(client, forever)
    assert type(error) is RecursionError and len(error.__cause__.text) < 20_000
    assert client.run(abs, -1) == 1


def test_exception_groups(client):
    if sys.version_info < (3, 11):
        pytest.skip("exception groups came with 3.11")

    def fail(_):
        raise ExceptionGroup("many", [ValueError(1), TypeError("two")])  # noqa: F821
    error, _ = failure_of(client, fail)
    assert [type(one) for one in error.exceptions] == [ValueError, TypeError]


def test_a_cause_that_is_its_own_cause(client):
    def fail(_):
        one, two = ValueError(1), ValueError(2)
        one.__cause__, two.__cause__ = two, one
        raise one
    error, _ = failure_of(client, fail)
    assert type(error) is ValueError


def test_frames_of_a_failed_call_are_let_go(alone):
    def fail(_):
        import gc
        import weakref

        class Big:
            pass
        big = Big()
        gc.collect()
        __builtins__["big_of_test"] = weakref.ref(big)
        raise ValueError
    failure_of(alone, fail)
    assert alone.run(lambda _: __builtins__["big_of_test"]() is None, 0)


# ---- reducers ------------------------------------------------------------------------------------


def reduce(client, function, items, reducer, **parts):
    _, futures = client.executor.map_reduce(
        code_of(function), items, code_of(reducer, mode="reduce", **parts))
    return futures[0]


def test_reduce(client):
    def add(results, *more, **names):
        return results, more, names
    future = reduce(client, lambda x: [x] * 2, range(20), add)
    assert future.result_value(LIMIT) == ([[x] * 2 for x in range(20)], (), {})
    future = reduce(client, abs, [-1, 2], add, extra_args=(5,), inject=("id",))
    assert future.result_value(LIMIT) == ([1, 2], (5,), {"id": 0})


def test_a_failed_map_call_fails_the_reducer(client):
    def fail(x):
        if x == 3:
            raise ZeroDivisionError("three")
        return x

    def forgive(results):
        return "never"
    future = reduce(client, fail, range(6), forgive)
    with pytest.raises(ZeroDivisionError, match="three"):
        future.result_value(LIMIT)


def test_large_results_reach_the_reducer(client):
    np = pytest.importorskip("numpy")
    future = reduce(client, np.ones, [100_000] * 6, lambda arrays: float(sum(map(np.sum, arrays))))
    assert future.result_value(LIMIT) == 600_000


# ---- objects -------------------------------------------------------------------------------------


TEXT = b"".join(b"line %d of the text\n" % i for i in range(3000)) + b"the last one"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text file.txt"
    path.write_bytes(TEXT)
    return str(path)


def over(client, function, item, options=None, **parts):
    futures = client.executor.map(code_of(function, mode="object", **parts), [item], objects=True,
                                  **{"obj_chunk_size": 10_000, **(options or {})})
    return [future.result_value(LIMIT) for future in futures]


def read_with(expression):
    def read(obj):
        stream = obj.data_stream
        return eval(expression, {"stream": stream, "obj": obj})
    return read


@pytest.mark.parametrize("expression", [
    "stream.read()", "b''.join(stream)", "b''.join(stream.readlines())",
    "b''.join(iter(stream.readline, b''))", "b''.join(iter(lambda: stream.read(7), b''))",
    "b''.join(iter(lambda: stream.read(100_000), b''))", "stream.readline() + stream.read()",
    "stream.read(5) + stream.readline() + b''.join(stream)", "stream.read(None)",
    "b''.join(iter(lambda: stream.readline(3), b''))",
])
@pytest.mark.parametrize("newline", ["\n", "ne", " of the text\n", None, "absent"])
def test_ways_to_read(client, file, expression, newline):
    pieces = over(client, read_with(expression), file, {"obj_newline": newline})
    assert len(pieces) == -(-len(TEXT) // 10_000) and b"".join(pieces) == TEXT


@pytest.mark.parametrize("newline", ["\n", "ne", " of the text\n", "absent"])
def test_lines(client, file, newline):
    lines = sum(over(client, read_with("list(stream)"), file, {"obj_newline": newline}), [])
    mark = newline.encode()
    expected = [line + mark for line in TEXT.split(mark)]
    expected[-1] = expected[-1][:-len(mark)]
    assert lines == [line for line in expected if line]


@pytest.mark.parametrize("before", ["", "stream.readline() and 0 or", "stream.read(3) and 0 or",
                                    "stream.read(2500) and 0 or", "stream.read() and 0 or"])
def test_count_lines(client, file, before):
    for newline in ("\n", None):
        def count(obj, before=before):
            stream = obj.data_stream
            if before:
                eval(before + " 0", {}, {"stream": stream})
            position = stream.tell()
            return stream.count_lines(), position, stream.read()
        counts = over(client, count, file, {"obj_newline": newline})
        pieces = over(client, read_with("stream.read()"), file, {"obj_newline": newline})
        for (lines, position, rest), piece in zip(counts, pieces):
            left = piece[position:]
            assert rest == b"" and lines == left.count(b"\n") + (left[-1:] not in (b"", b"\n"))


def test_readinto_and_attributes_of_a_file(client, file):
    def look(obj):
        stream = obj.data_stream
        with stream as same:
            buffer = bytearray(4)
            got = same.readinto(buffer), bytes(buffer)
            flags = (stream.readable(), stream.writable(), stream.seekable(), stream.closed,
                     stream.isatty(), same is stream)
        try:
            stream.read()
        except ValueError:
            return got, flags, stream.closed
    assert over(client, look, file)[0] == ((4, b"line"), (True, False, True, False, False, True),
                                           True)


def test_seek(client, file):
    def jump(obj):
        stream = obj.data_stream
        start = stream.read(10)
        steps = [stream.seek(0), stream.seek(-4, 2), stream.read(), stream.seek(5),
                 stream.seek(2, 1), stream.read(3) == start[7:10], stream.seek(0, 2), stream.read()]
        stream.seek(0)
        return steps, stream.read(), stream.tell()
    whole, = over(client, jump, file, {"obj_chunk_size": 10**9})
    size = len(TEXT)
    assert whole == ([0, size - 4, TEXT[-4:], 5, 7, True, size, b""], TEXT, size)



def test_seek_to_what_was_dropped(client, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(b"".join(b"%07d\n" % i for i in range(400_000)))

    def jump(obj):
        stream = obj.data_stream
        whole = stream.read()
        steps = [stream.seek(0) == 0, stream.read() == whole, stream.seek(-8, 2) == len(whole) - 8,
                 stream.read() == whole[-8:]]
        return all(steps), whole[:7], len(whole)

    def jump_while_reading(obj):
        stream = obj.data_stream
        first = next(stream)
        for line in stream:
            pass
        return stream.seek(0) == 0, stream.read(8) == first, stream.readline() > first, line[:7]
    chunks = over(client, jump, str(big), {"obj_chunk_size": 1_000_001})
    assert all(chunk[0] for chunk in chunks) and sum(chunk[2] for chunk in chunks) == 3_200_000
    assert len(chunks) == 4 and chunks[1][1] == b"%07d" % (chunks[0][2] // 8)
    assert over(client, jump_while_reading, str(big), {"obj_chunk_size": 10**9}) == [
        (True, True, True, b"0399999")]


def compare_with_a_file(obj, seed):
    """Random calls on a stream, and the same on what io has."""
    import io
    import random
    rng = random.Random(seed)
    stream = obj.data_stream
    with open(obj.path, "rb") as file:
        model = io.BytesIO(file.read())
    if seed % 2:
        stream.seek(0)  # from now on all is kept, and any position can be sought
    for _ in range(400):
        size = rng.choice([-1, 0, 1, 7, 100, 5000, 70_000, 300_000])
        size = min(size, 5000) if rng.random() < 0.9 else size
        name = rng.choice(["read", "readline", "tell", "readinto", "next"] + ["seek"] * (seed % 2))
        if name == "next":
            got, expected = next(stream, b""), next(model, b"")
        elif name == "tell":
            got, expected = stream.tell(), model.tell()
        elif name == "readinto":
            buffers = bytearray(max(size, 0)), bytearray(max(size, 0))
            got = stream.readinto(buffers[0]), buffers[0]
            expected = model.readinto(buffers[1]), buffers[1]
        elif name == "seek":
            end = len(model.getvalue())
            position, whence = rng.choice(
                [(rng.randrange(end), 0), (0, 1), (-rng.randrange(end), 2)])
            got, expected = stream.seek(position, whence), model.seek(position, whence)
        else:
            got, expected = getattr(stream, name)(size), getattr(model, name)(size)
        assert got == expected, (seed, name, size)
    return stream.read() == model.read()


def test_a_stream_is_like_a_file(client, tmp_path):
    import random
    rng = random.Random(1)
    path = tmp_path / "odd lines"
    lines = [rng.choice([b"", b"x" * rng.randrange(100), b"y" * rng.randrange(9000), b"\0\xff\r"])
             for _ in range(600)]
    path.write_bytes(b"\n".join(lines) + b"\nend")
    for seed in range(24):
        for newline in ("\n", None):
            assert over(client, compare_with_a_file, str(path), extra_args={"seed": seed},
                        options={"obj_chunk_size": None, "obj_newline": newline}) == [True]


def test_libraries_over_a_stream(client, tmp_path):
    import gzip
    import zipfile
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("name", b"content" * 1000)
    with gzip.open(tmp_path / "a.gz", "wb") as packed:
        packed.write(b"content" * 1000)

    def unzip(obj):
        import zipfile
        return zipfile.ZipFile(obj.data_stream).read("name")

    def gunzip(obj):
        import gzip
        return gzip.open(obj.data_stream).read()

    def decode(obj):
        import io
        return io.TextIOWrapper(obj.data_stream, "latin-1").read(2)
    whole = {"obj_chunk_size": None, "obj_newline": None}
    assert over(client, unzip, str(tmp_path / "a.zip"), whole) == [b"content" * 1000]
    assert over(client, gunzip, str(tmp_path / "a.gz"), whole) == [b"content" * 1000]
    assert over(client, decode, str(tmp_path / "a.zip"), whole) == ["PK"]


def test_what_obj_tells(client, file):
    def look(obj):
        told = {name: value for name, value in vars(obj).items() if name != "data_stream"}
        return told, str(obj)
    looks = over(client, look, file)
    total = len(looks)
    for n, (told, text) in enumerate(looks):
        start, end = n * 10_000, min((n + 1) * 10_000, len(TEXT))
        assert told == {"path": file, "bucket": os.path.dirname(file),
                        "key": os.path.basename(file), "part": n + 1, "total_parts": total,
                        "chunk_size": end - start, "data_byte_range": (start, end - 1),
                        "newline": "\n"}
        assert file in text


def test_stored_objects(client, tmp_path):
    root = tmp_path / "root"
    client = Client(tmp_path)
    try:
        storage = _lithops.Storage(config={"localhost": {"storage_root": str(root)}})
        storage.put("bucket", "a/key", TEXT)
        storage.put("bucket", "a/key2", b"")
        look = read_with("(obj.backend, obj.bucket, obj.key, hasattr(obj, 'path'), stream.read())")
        got = over(client, look, "bucket/a/key", {"obj_chunk_size": None})
        assert got == [("localhost", "bucket", "a/key", False, TEXT)]
        assert over(client, look, "localhost://bucket/a/key2")[0][-1] == b""
    finally:
        client.close()


def test_extra_arguments_of_objects(client, file):
    def both(obj, y, z=0):
        return obj.part, y, z
    parts = -(-len(TEXT) // 10_000)
    for extra in ((7, 8), {"z": 8, "y": 7}):
        got = over(client, both, [file, _lithops.dumps(extra)])
        assert got == [(n + 1, 7, 8) for n in range(parts)]
    got = over(client, both, file, extra_args={"y": 1})
    assert got == [(n + 1, 1, 0) for n in range(parts)]


def test_a_stream_ends_with_its_call(alone, file):
    def keep(obj):
        import builtins
        builtins.stream_of_test = obj.data_stream

    def use(_):
        import builtins
        return builtins.stream_of_test.read()
    over(alone, keep, file)
    error, _ = failure_of(alone, use)
    assert type(error) is ValueError and "closed" in str(error)


def test_a_stream_that_is_read_while_its_call_ends(alone, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"some words in a line\n" * 1_000_000)

    def leave(obj):
        import threading
        stream = obj.data_stream
        reads = threading.Event()

        def read():
            try:
                while stream.read(100_000):
                    reads.set()
            except ValueError:  # it was closed
                pass
        threading.Thread(target=read).start()
        reads.wait()
    for _ in range(30):
        assert over(alone, leave, str(path), {"obj_chunk_size": 100_000_000}) == [None]


def test_an_object_that_goes_away_is_an_error(alone, file):
    def remove(obj):
        import os
        os.truncate(obj.path, 10)
        return obj.data_stream.read()
    with pytest.raises(OSError):
        over(alone, remove, file, {"obj_chunk_size": 50_000})


def test_one_long_line(client, tmp_path):
    path = tmp_path / "long"
    path.write_bytes(b"x" * 3_000_000 + b"\nshort\n")
    lengths = over(client, read_with("list(map(len, stream))"), str(path),
                   {"obj_chunk_size": 1_000_000})
    assert sum(lengths, []) == [3_000_001, 6]


# ---- what functions leave behind -----------------------------------------------------------------


def test_threads_go_on(alone):
    def begin(_):
        import builtins
        import threading
        import time

        def tick():
            for n in range(10_000):
                builtins.ticks_of_test = n
                time.sleep(0.001)
        threading.Thread(target=tick, daemon=False).start()
    alone.run(begin, 0)
    first = alone.run(lambda _: __builtins__["ticks_of_test"], 0)
    deadline = time.monotonic() + LIMIT
    while alone.run(lambda _: __builtins__["ticks_of_test"], 0) < first + 20:
        assert time.monotonic() < deadline
    # and closing the client does not wait for the thread


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing_inside(client, method):
    def inside(method):
        import math
        import multiprocessing
        with multiprocessing.get_context(method).Pool(2) as pool:
            return pool.map(math.factorial, range(6))
    assert client.run(inside, method) == [1, 1, 2, 6, 24, 120]


def test_output_of_forked_children_comes_once(alone):
    def fork(_):
        import multiprocessing
        print("parent")
        process = multiprocessing.get_context("fork").Process(target=print, args=("child",))
        process.start()
        process.join()
        print("done")
    future = alone.start(fork, 0)
    future.result_value(LIMIT)
    assert future.logs == "parent\nchild\ndone\n"


def test_a_child_that_returns_does_not_run_calls(alone):
    def fork(_):
        import os
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return os.getpid()
    pids = [alone.run(fork, 0) for _ in range(3)]
    assert len(set(pids)) == 1


def test_working_directory_and_signals(alone):
    def wander(_):
        import os
        import signal
        os.chdir("/")
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        return os.getcwd()
    assert alone.run(wander, 0) == "/"
    assert alone.run(lambda _: __import__("os").getcwd(), 0) == os.getcwd()
    assert alone.map(abs, range(-2000, 0)) == list(range(2000, 0, -1))


# ---- code by name --------------------------------------------------------------------------------


@pytest.fixture
def named(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "named_functions.py").write_text("""
def add(x, y=0, *, id=None): return [x, y, id]
def nothing(): return "nothing"
def odd(x): return {1, 2}
def numbers(x): return {"a": [1, 2.5, None, True], "b": b"\\xff"}
def size(obj, label="none"): return {"lines": obj.data_stream.count_lines(), "label": label}
def total(results): return sum(results)
class Tools:
    @staticmethod
    def double(x): return 2 * x
value = 3
""")
    sys.path.insert(0, str(tmp_path / "lib"))
    client = Client(tmp_path)
    sys.path.pop(0)
    yield client, lambda name: _lithops.Function(name, b"import named_functions:" + name.encode())
    client.close()


def test_code_by_name(named, file):
    client, function = named

    def run(name, item):
        return client.executor.call_async(function(name), item).result_value(LIMIT)
    assert run("add", 1) == [1, 0, 0] and run("nothing", None) == "nothing"
    assert run("numbers", 1) == {"a": [1, 2.5, None, True], "b": b"\xff"}
    assert run("Tools.double", 4) == 8
    futures = client.executor.map(function("size"), [file], objects=True, obj_chunk_size=10_000)
    assert sum(future.result_value(LIMIT)["lines"] for future in futures) == 3001
    _, futures = client.executor.map_reduce(function("Tools.double"), range(5), function("total"))
    assert futures[0].result_value(LIMIT) == 20


@pytest.mark.parametrize("name, error, text", [
    ("odd", TypeError, "set"), ("absent", AttributeError, "absent"), ("value", TypeError, "int"),
    ("", ValueError, "module:function"), ("add.x", AttributeError, "x"),
])
def test_code_by_wrong_name(named, name, error, text):
    client, function = named
    with pytest.raises(error, match=text):
        client.executor.call_async(function(name), 1).result_value(LIMIT)


# ---- the process ---------------------------------------------------------------------------------


def test_a_worker_imports_little(client):
    """A worker process starts in the time that these take."""
    heavy = ["cloudpickle", "re", "inspect", "logging", "tempfile", "typing", "pickle", "traceback",
             "threading", "subprocess", "enum", "json", "site", "ast", "dataclasses", "socket"]
    program = (worker_command()[-1].partition("main(sys.argv")[0]
               + f"print([name for name in {heavy!r} if name in sys.modules])")
    command = [*worker_command()[:-1], program]
    got = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True).stdout
    assert got == "[]\n"


def test_without_an_interpreter(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(RuntimeError, match="sys.executable"):
        worker_command()


def test_a_worker_by_hand_is_refused():
    got = subprocess.run([*worker_command(), "--lithops-worker=0"], capture_output=True, text=True,
                         timeout=LIMIT)
    assert got.returncode == 2 and "starts itself" in got.stderr
    got = subprocess.run([sys.executable, "-m", "lithops._worker", "x"], capture_output=True,
                         text=True, timeout=LIMIT, cwd="/")
    assert got.returncode == 2


def test_finders_of_site_are_found(tmp_path):
    """A module that only an import hook of a .pth file knows, as editable installs have them."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "hook.pth").write_text("import hook_of_test\n")
    (packages / "hook_of_test.py").write_text("""
import importlib.util, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "module_of_hook":
            return importlib.util.spec_from_loader(name, Finder)
    @staticmethod
    def create_module(spec): return None
    @staticmethod
    def exec_module(module): module.value = 42
sys.meta_path.append(Finder)
""")
    program = tmp_path / "program.py"
    program.write_text(f"""
import site, sys
site.addsitedir({str(packages)!r})
import module_of_hook
sys.path.insert(0, {os.path.dirname(__file__)!r})
from worker_client import Client
import pathlib
client = Client(pathlib.Path({str(tmp_path)!r}))
def use(_):
    import site
    site.addsitedir({str(packages)!r})
    import module_of_hook
    return module_of_hook.value
print(client.run(use, 0))
def absent(_):
    try:
        import module_that_is_nowhere
    except ImportError:
        return "absent"
print(client.run(absent, 0), client.run(absent, 0))
client.close()
""")
    got = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=LIMIT)
    assert got.stdout == "42\nabsent absent\n", got.stderr


def test_the_interpreters_flags_are_passed_on(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(f"""
import sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from worker_client import Client
import pathlib
client = Client(pathlib.Path({str(tmp_path)!r}))
def look(_):
    import sys
    return sys.flags.optimize, sys.dont_write_bytecode, sys.warnoptions, sys.prefix, sys.argv
assert client.run(look, 0) == look(0), client.run(look, 0)
client.close()
print("the same")
""")
    command = [sys.executable, "-OO", "-B", "-W", "error::UserWarning", program, "argument"]
    got = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert got.stdout == "the same\n", got.stderr


def fail_with_a_cause(_):
    raise ValueError("text") from KeyError(1)


LEAK_CASES = {  # function, parts of its code, items of 200 calls, options of map
    "plain": (abs, {}, range(200), {}),
    "pickled": (lambda a, b: [a, {b}, 2**70], {}, [(str(n), n) for n in range(200)], {}),
    "large": (bytearray, {}, [bytearray(100_000)] * 20, {}),
    "failing": (fail_with_a_cause, {}, range(20), {}),
    "object": (read_with("list(stream)"), {"mode": "object"}, None,
               {"objects": True, "obj_chunk_size": len(TEXT) // 50}),
    "printing": (print, {}, range(200), {}),
    "injected": (lambda x, id, y: id, {"inject": ("id",), "extra_args": {"y": []},
                                       "env": {"NAME": "value"}}, range(200), {}),
}


@pytest.mark.parametrize("case", LEAK_CASES)
def test_calls_leave_no_memory_behind(alone, file, case):
    function, parts, items, options = LEAK_CASES[case]
    code = code_of(function, **parts)

    def count(_):
        import gc
        import sys
        gc.collect()
        return sys.getallocatedblocks()
    blocks = code_of(count)

    def run():
        futures = alone.executor.map(code, items or [file], **options)
        _lithops.wait(futures, throw_except=False)
        assert all(future.error is (case == "failing") for future in futures)
    counts = []
    for _ in range(4):  # the interpreter's own caches fill in the first rounds
        for _ in range(10):
            run()
        counts.append(alone.executor.call_async(blocks, 0).result_value(LIMIT))
    assert counts[3] - counts[2] < 150, f"{counts} blocks after each 200 calls and more"
