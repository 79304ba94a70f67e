# SPDX-License-Identifier: Apache-2.0
"""Functions of a script are pickled without cloudpickle where possible, with the same result."""

import subprocess
import sys

import pytest

SCRIPT = '''
import concurrent.futures
import functools
import math
import os.path
import sys

import cloudpickle

import lithops
from lithops._shared.by_value import dumps

FACTOR = 5
TABLE = {"a": [1, (2, 3)]}


def helper(x):
    return x * FACTOR

def plain(x, y=2, *, z=3):
    "its text"
    return helper(x) + y + z + math.floor(1.5) + len(TABLE["a"])

def factorial(n):
    return 1 if n == 0 else n * factorial(n - 1)

def even(n):
    return True if n == 0 else odd(n - 1)

def odd(n):
    return False if n == 0 else even(n - 1)

def modules(x):
    return os.path.join("a", str(x)), concurrent.futures.ThreadPoolExecutor.__name__

def name(x):
    return __name__

def counts(x):
    global COUNT
    COUNT = 1
    return COUNT + x

def generator(x):
    return sum(n for n in range(x) if n % FACTOR)

def local_import(x):
    import json
    return json.dumps([x])

def decorate(function):
    @functools.wraps(function)
    def wrapper(*args):
        return [function(*args), wrapper.calls]
    wrapper.calls = 7
    return wrapper

@decorate
def decorated(x):
    return x + FACTOR

def closure(n):
    def add(x):
        nonlocal n
        n += x
        return n, down(x)
    def down(x):
        return 0 if x <= 0 else 1 + down(x - 1)
    return add

def annotated(x: int, y: "str" = "a") -> "float":
    return x

class Local:
    def __init__(self, x):
        self.x = x
    def method(self, x):
        return self.x + x

def makes(x):
    return type(Local(x)).__name__

@functools.lru_cache
def cached(x):
    return x * FACTOR

def uses_cached(x):
    return cached(x), cached.cache_info().misses

FUNCTIONS = [helper, helper]
def hidden(x):
    return FUNCTIONS[0](x)

LIGHT = [plain, factorial, even, modules, name, counts, generator, local_import, decorated,
         closure(10), annotated, lambda x: x + FACTOR, functools.partial(plain, y=1), helper,
         uses_cached]
HEAVY = [makes, hidden, Local(3).method, Local, functools.partial(makes)]

if __name__ == "__main__":
    for function in LIGHT:
        again = cloudpickle.loads(dumps((1, function, None)))[1]
        other = function if function is uses_cached else (
            cloudpickle.loads(cloudpickle.dumps(function)))
        for what in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__",
                     "__kwdefaults__", "__annotations__"):
            ours, theirs = getattr(again, what, None), getattr(other, what, None)
            assert ours == theirs, (function, what, ours, theirs)
    for function in HEAVY:
        assert dumps((1, function, None)) is None, function
    with lithops.FunctionExecutor() as fexec:
        for function in [*LIGHT, *HEAVY[:-2], cached]:
            expected = function(4) if function is not LIGHT[9] else closure(10)(4)
            got = fexec.get_result(fexec.call_async(function, 4))
            assert got == expected, (function, got, expected)
        assert fexec.get_result(fexec.call_async(Local, 4)).x == 4
        assert fexec.get_result(fexec.map(plain, [1, 2], extra_args={"z": 9})) == [19, 24]
    print("all of them")
'''


def run(tmp_path, text):
    script = tmp_path / "script.py"
    script.write_text(text)
    got = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120,
                         cwd=tmp_path)
    assert got.returncode == 0, got.stderr
    return got.stdout


def test_as_with_cloudpickle(tmp_path):
    assert run(tmp_path, SCRIPT) == "all of them\n"


def test_neither_side_imports_cloudpickle(tmp_path):
    assert run(tmp_path, '''
import sys
import lithops

OFFSET = 3

def function(x):
    return x + OFFSET

def look(_):
    import sys
    return "cloudpickle" in sys.modules

if __name__ == "__main__":
    with lithops.FunctionExecutor() as fexec:
        print(fexec.get_result(fexec.map(function, [1, 2])))
        print(fexec.get_result(fexec.call_async(look, 0)), "cloudpickle" in sys.modules)
''') == "[4, 5]\nFalse False\n"


@pytest.mark.parametrize("statement, expected", [
    ("lambda x: missing", "NameError"),
    ("lambda x: x + 'a'", "TypeError"),
])
def test_what_fails_fails_as_ever(tmp_path, statement, expected):
    assert expected in run(tmp_path, f'''
import threading
import lithops
function = {statement}
with lithops.FunctionExecutor() as fexec:
    try:
        print(fexec.get_result(fexec.call_async(function, 1)))
    except Exception as error:
        print(type(error).__name__, error)
''')


def test_a_lock_cannot_travel(tmp_path):
    assert "lock" in run(tmp_path, '''
import threading
import lithops
lock = threading.Lock()
def function(x):
    with lock:
        return x
with lithops.FunctionExecutor() as fexec:
    try:
        fexec.call_async(function, 1)
    except TypeError as error:
        print(error)
''')


def test_relative_imports_in_functions(tmp_path):
    package = tmp_path / 'things'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / 'other.py').write_text('def g(x):\n    return x + 100\n')
    (package / 'run.py').write_text(
        'import sys, lithops\n'
        'def f(x):\n    from .other import g\n    return g(x)\n'
        'with lithops.FunctionExecutor(worker_processes=1) as fexec:\n'
        '    print(fexec.call_async(f, 1).result(), fexec.call_async(lambda x: f(x), 2).result())\n'
        'print("cloudpickle" in sys.modules)\n')
    done = subprocess.run([sys.executable, '-W', 'error', '-m', 'things.run'], cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.stdout == '101 102\nFalse\n', done.stderr


LAZY = '''
import dataclasses
import functools
import threading
import typing

import lithops
import lithops.multiprocessing as mp

if typing.TYPE_CHECKING:
    from nowhere import Missing

def plain(x: Missing, y: int | Missing = 2) -> "Missing":
    return x + y

def names(x):
    return sorted(plain.__annotations__.items())

def wrapped(x: Missing) -> Missing:
    return plain(x)
wrapped.__wrapped__ = plain

def outer(n: Missing):
    def inner(x: Missing, *, k: n = 1) -> n:
        return x + n + k
    return inner

class Local:
    def __init__(self, x: Missing):
        self.x: Missing = x
    def method(self, x: Missing) -> Missing:
        return plain(self.x, x)

def makes(x: Missing) -> Local:
    return Local(x)

def hopeless(x: "Missing" | None):
    return x, hopeless.__annotations__

@dataclasses.dataclass
class Node:
    value: int
    left: Node | None = None
    right: Node | None = None

def grow(node: Node) -> Node:
    return Node(node.value + 1, node)

LOCK = threading.Lock()  # cannot be pickled, and nobody needs it

def call(function: Missing) -> Missing:
    return function(1)

if __name__ == "__main__":
    with lithops.FunctionExecutor() as fexec:
        def value(function, *data):
            return fexec.get_result(fexec.call_async(function, *data))
        for function in [plain, wrapped, outer(3), lambda x: plain(x),
                         functools.partial(plain, y=4), Local(5).method]:
            assert value(function, 1) == function(1), function
        assert value(hopeless, 1) == (1, {})
        assert value(grow, Node(1)) == Node(2, Node(1))
        assert value(makes, 7).x == 7
        assert value(call, (plain,)) == 3  # a function as data
        assert value(call, (Local(5).method,)) == 6
        assert value(names, 0) == [
            ("return", "Missing"), ("x", "Missing"), ("y", "int | Missing")]
    receiver, sender = mp.Pipe(duplex=False)
    sender.send(Local(5).method)
    assert receiver.recv()(2) == 7
    try:
        plain.__annotations__
    except NameError:  # nothing has changed here
        print("all of them")
'''


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated at once")
def test_annotations_that_cannot_be_evaluated(tmp_path):
    assert run(tmp_path, LAZY) == "all of them\n"


SLOTS = '''
import abc, collections, dataclasses, enum, typing
import lithops

class Point:
    __slots__ = ("x", "__hidden")

    def __init__(self, x):
        self.x, self.__hidden = x, -x

    def both(self):
        return self.x, self.__hidden

class Inner(Point):
    __slots__ = ("y",)

class WithDict(Point):
    pass

class Single:
    __slots__ = "value"

class Open:
    __slots__ = ("value", "__dict__", "__weakref__")

class Abstract(abc.ABC):
    __slots__ = ("value",)

@dataclasses.dataclass(slots=True, frozen=True)
class Record:
    value: int

class Named(typing.NamedTuple):
    value: int

Pair = collections.namedtuple("Pair", "value other")
Color = enum.Enum("Color", "RED BLUE")

def make(x):
    inner, outer = Inner(x), WithDict(x)
    inner.y, outer.z = 5, 6
    rest = [Single(), Open(), Abstract()]
    for thing in rest:
        thing.value = x
    rest[1].more = 7
    return [Point(x), inner, outer, *rest, Record(x), Named(x), Pair(x, 1), Color.RED]

def show(things):
    point, inner, outer, single, open_, abstract, *rest = things
    return (point.both(), inner.both(), inner.y, outer.both(), outer.z, single.value, open_.value,
            open_.more, abstract.value, hasattr(point, "__dict__"), hasattr(outer, "__dict__"),
            [str(thing) for thing in rest])

if __name__ == "__main__":
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        made = fexec.call_async(make, 3).result()
        assert [type(a) for a in made] == [type(a) for a in make(3)]
        assert show(made) == show(make(3)), show(made)
        assert fexec.call_async(show, (made,)).result() == show(made)
    print("all of them")
'''


def test_slots(tmp_path):
    assert run(tmp_path, SLOTS) == "all of them\n"
