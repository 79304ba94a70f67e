# SPDX-License-Identifier: Apache-2.0
"""Objects as payloads and back: `_lithops.dumps` and `loads`, and what travels through a call."""

import gc
import math
import pickle
import struct
import sys

import pytest
from worker_client import Client

from lithops import _lithops

np = pytest.importorskip("numpy")

BIG = 64 << 10  # bytes: buffers of this size and more are out of band


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    client = Client(tmp_path_factory.mktemp("codec"))
    yield client
    client.close()


def is_pickle_alone(data):
    return data[:1] == b"\x80"


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return type(other) is Point and (self.x, self.y) == (other.x, other.y)


PLAIN = [
    None, True, False, 0, -1, 2**63 - 1, -2**63, 0.0, -0.0, 1e308, math.inf, "", "a", "\0", "ü€😀",
    "x" * 100_000, b"", b"\0\xff", b"z" * 1_000_000,
]
PICKLED = [
    2**63, -2**63 - 1, 10**100, "\ud800 alone", "a\udcffb", bytearray(b"abc"), (), (1,), [], [[]],
    {}, {"a": {1: {None}}}, {1, 2}, frozenset("ab"), 1j, range(5), slice(1, 2), Ellipsis, int, len,
    [None] * 1000, {"k" * 70_000: b"v" * 200_000}, ["__main__", b"__main__"],
]


@pytest.mark.parametrize("value", PLAIN + PICKLED, ids=lambda value: repr(value)[:20])
def test_there_and_back(value):
    again = _lithops.loads(_lithops.dumps(value))
    assert again == value and type(again) is type(value)


@pytest.mark.parametrize("value", PLAIN + PICKLED, ids=lambda value: repr(value)[:20])
def test_through_a_call(client, value):
    def give(got):
        return got
    again = client.run(give, value, mode="single")
    assert again == value and type(again) is type(value)


def test_not_a_number_and_minus_zero(client):
    got = client.map(lambda x: x, [math.nan, -0.0])
    assert math.isnan(got[0]) and math.copysign(1, got[1]) == -1


def test_bool_is_no_int_and_subclasses_keep_their_class(client):
    class Name(str):
        pass
    assert client.run(lambda x: x, True) is True
    got = client.run(lambda x: x, Name("a"))
    assert got == "a" and type(got) is Name


def test_classes_pickled_by_value_are_the_same_class_after_a_round_trip(client):
    class Pair(tuple):
        pass
    Pair.__module__ = "__main__"
    pair = client.run(lambda p: type(p)((p[1], p[0])), Pair((1, 2)), mode="single")
    assert type(pair) is Pair and pair == (2, 1)


def test_what_pickles_as_a_name_of_main_travels_by_value(client):
    """The module __main__ of a worker has nothing in it."""
    import __main__
    __main__.Odd = type("Odd", (), {"__module__": "__main__", "value": 7})
    try:
        assert client.run(lambda odd: odd.value, __main__.Odd()) == 7
        assert type(client.run(lambda odd: odd, __main__.Odd())) is __main__.Odd
    finally:
        del __main__.Odd


def test_small_buffers_stay_in_the_pickle():
    assert is_pickle_alone(_lithops.dumps(np.zeros(BIG - 1, np.uint8)))
    assert not is_pickle_alone(_lithops.dumps(np.zeros(BIG, np.uint8)))


@pytest.mark.parametrize("array", [
    np.arange(BIG, dtype=np.uint8), np.arange(100_000.0).reshape(100, 1000),
    np.asfortranarray(np.arange(100_000.0).reshape(100, 1000)), np.arange(200_000)[::2],
    np.zeros((0, 5)), np.array(["a", "bc"]), np.array([{"a": 1}, None], dtype=object),
    np.zeros(20_000, dtype=[("a", "i4"), ("b", "f8")]), np.ma.masked_array(np.arange(50_000), 0),
], ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays(client, array):
    for again in (_lithops.loads(_lithops.dumps(array)), client.run(lambda x: x, array)):
        assert again.dtype == array.dtype and again.shape == array.shape
        assert np.array_equal(again, array)
        again[...] = again.flat[0] if again.size else 0  # writable, as what a function returns


def test_read_only_arrays_stay_read_only():
    array = np.arange(100_000.0)
    array.flags.writeable = False
    again = _lithops.loads(_lithops.dumps(array))
    assert not again.flags.writeable and np.array_equal(again, array)


def test_many_buffers_and_one_of_them_twice(client):
    arrays = [np.full(BIG, i, np.uint8) for i in range(40)]
    arrays.append(arrays[0])
    got = client.run(lambda x: x, {"arrays": arrays}, mode="single")["arrays"]
    assert all(np.array_equal(a, b) for a, b in zip(arrays, got))
    assert got[0] is got[-1]
    for view in got:  # each buffer lies where vector instructions like it
        assert view.__array_interface__["data"][0] % 64 == 0


def test_a_result_is_not_copied_and_outlives_its_future(client):
    future = client.start(lambda n: np.ones(n), 1_000_000)
    array = future.result_value(60)
    del future
    gc.collect()
    others = client.map(lambda n: np.zeros(n), [100_000] * 50)
    assert array.sum() == 1_000_000 and len(others) == 50
    assert not array.flags.owndata


def test_an_input_that_a_function_keeps_is_its_own(client):
    def keep(array):
        import builtins
        kept = builtins.__dict__.setdefault("kept_by_test", [])
        kept.append(array)
        array += 1
        return [int(one[0]) for one in kept]
    inputs = [np.full(50_000, i) for i in range(10)]
    got = client.map(keep, inputs)
    assert [row[-1] for row in got] == list(range(1, 11))
    assert [int(array[0]) for array in inputs] == list(range(10))


def test_what_pickle_cannot_do_cloudpickle_does(client):
    factor = 3
    double = _lithops.loads(_lithops.dumps(lambda x: factor * x))
    assert double(2) == 6
    assert client.run(lambda f: f(2), lambda x: factor * x) == 6
    assert client.run(lambda n: (lambda: n + 1), 4)() == 5


def test_what_nobody_can_pickle():
    import threading
    with pytest.raises(TypeError, match="lock"):
        _lithops.dumps(threading.Lock())
    with pytest.raises(TypeError, match="lock"):
        _lithops.dumps([1, {"a": threading.Lock()}])


def test_a_result_that_cannot_be_pickled_fails_its_call(client):
    def lock(_):
        import threading
        return threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        client.run(lock, 0)


class Raises:
    def __reduce__(self):
        raise KeyError("mine")


def test_errors_of_reduce_come_through():
    with pytest.raises(KeyError, match="mine"):
        _lithops.dumps(Raises())


class Stops:
    def __reduce__(self):
        raise KeyboardInterrupt


def test_an_interrupt_is_not_tried_again():
    with pytest.raises(KeyboardInterrupt):
        _lithops.dumps(Stops())


def test_too_deep():
    deep = None
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        _lithops.dumps(deep)
    while deep:
        deep = deep.pop()


@pytest.mark.parametrize("data", [
    b"", b"\x80", b"x", b"BL", b"BL\0\0" + b"\xff" * 12, b"\x80\x05."], ids=repr)
def test_damaged(data):
    with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, IndexError)):
        _lithops.loads(data)


def test_damaged_heads_are_refused():
    good = _lithops.dumps(np.zeros(BIG, np.uint8))
    mark, count, length = struct.unpack_from("<IIQ", good)
    assert count == 1
    for head in [(mark, 2**32 - 1, length), (mark, 1, 2**64 - 1), (mark, 1, len(good)),
                 (mark + 1, 1, length)]:
        with pytest.raises(ValueError, match="damaged"):
            _lithops.loads(struct.pack("<IIQ", *head) + good[16:])
    for piece in [(len(good), 1), (0, 2**64 - 1), (2**64 - 64, 64), (16, len(good))]:
        with pytest.raises(ValueError, match="damaged"):
            _lithops.loads(good[:16] + struct.pack("<QQ", *piece) + good[32:])
    for cut in range(0, len(good), 997):
        with pytest.raises((ValueError, EOFError, pickle.UnpicklingError)):
            _lithops.loads(good[:cut])


def test_no_references_are_lost():
    array, point = np.zeros(BIG), Point(1, 2)
    for value in (array, [point] * 3, "\ud800", 2**70, lambda: 0):
        _lithops.loads(_lithops.dumps(value))
    before = sys.getrefcount(array), sys.getrefcount(point), sys.getrefcount(None)
    for _ in range(200):
        _lithops.loads(_lithops.dumps(array))
        _lithops.loads(_lithops.dumps([point]))
        with pytest.raises(KeyError):
            _lithops.dumps([array, Raises()])
    after = sys.getrefcount(array), sys.getrefcount(point), sys.getrefcount(None)
    assert after[:2] == before[:2] and abs(after[2] - before[2]) < 50


def test_loads_needs_a_buffer():
    with pytest.raises(TypeError):
        _lithops.loads("text")
    assert _lithops.loads(memoryview(bytearray(_lithops.dumps([1])))) == [1]
