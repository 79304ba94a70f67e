# SPDX-License-Identifier: Apache-2.0
"""Functions that the tests of the package run; worker processes import this by its name."""

import collections
import functools
import os
import sys
import time


Pair = collections.namedtuple('Pair', 'x y')


def one(x):
    return x


def none(x):
    return None


def add(x, y):
    return x + y


def double(x):
    return 2 * x


def add_default(x, y=3):
    return x + y


def keywords(**kwargs):
    return kwargs


def positional(*args):
    return args


def everything(a, b, c=0, *args, d, e=5, **kwargs):
    return sum([a, b, c, d, e, *args, *kwargs.values()])


def with_id(x, id):
    return x, id


def id_first(id, x, y=0):
    return id, x, y


def with_storage(storage):
    return storage.backend, storage.bucket


def nothing():
    return 7


def total(results):
    return sum(results)


def total_and(results, more, factor=1):
    return (sum(results) + more) * factor


def environment(name):
    return os.environ.get(name)


def process(x):
    return os.getpid()


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def wait_for_file(path):
    """A straggler: the caller says when it ends. With None it ends at once."""
    limit = time.monotonic() + 30
    while path and not os.path.exists(path):
        if time.monotonic() > limit:
            raise TimeoutError(f'nobody made {path}')
        time.sleep(0.001)
    return path


def sleep_with_mark(path, seconds):
    with open(path, 'w') as file:
        file.write(str(os.getpid()))
    time.sleep(seconds)
    return seconds


def fail_on_two(x):
    if x == 2:
        raise ValueError('two', x)
    return x


class OddError(Exception):
    """Wants more than its args say, and has an attribute."""

    def __init__(self, code, *, hint):
        super().__init__(f'code {code}')
        self.code = code
        self.hint = hint

    def __reduce__(self):
        return _odd, (self.code, self.hint)


def _odd(code, hint):
    return OddError(code, hint=hint)


def fail_oddly(x):
    raise OddError(x, hint='look there')


class TwoPartError(Exception):
    """As most are written: its args are not what it is called with."""

    def __init__(self, code, text):
        super().__init__(f'{code}: {text}')
        self.code = code


def fail_in_two_parts(x):
    try:
        raise TwoPartError(x, 'inner')
    except TwoPartError as exc:
        raise TwoPartError(x + 1, 'outer') from exc


def fail_unpicklably(x):
    error = ValueError('cannot travel')
    error.lock = sys._getframe()
    raise error


def die(x):
    os.kill(os.getpid(), x)


def print_and_return(x):
    print('printed', x)
    return x


def append(item, to=[]):
    to.append(item)
    return to


def change(item, extra):
    extra.append(item)
    return len(extra)


def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return 'traced', function(*args, **kwargs)
    return wrapper


@traced
def decorated(x, y):
    return x - y


class Adder:
    def __init__(self, n):
        self.n = n

    def __call__(self, x):
        return x + self.n

    def add(self, x):
        return x + self.n

    @classmethod
    def made(cls, x):
        return cls.__name__, x

    @staticmethod
    def plain(x):
        return -x


def read_object(obj):
    return obj.data_stream.read().decode()


def describe_object(obj, id):
    return {'id': id, 'part': obj.part, 'total': obj.total_parts, 'key': getattr(obj, 'key', None),
            'range': obj.data_byte_range, 'size': obj.chunk_size,
            'text': obj.data_stream.read().decode()}


def object_and_more(obj, x, y=0):
    return obj.data_stream.read().decode(), x, y


def nested_call(x):
    import lithops
    with lithops.FunctionExecutor(worker_processes=1) as executor:
        return executor.get_result(executor.call_async(double, x))


def nested_to(depth):
    import lithops
    if depth == 0:
        return 0
    with lithops.FunctionExecutor(worker_processes=1) as executor:
        return 1 + executor.get_result(executor.call_async(nested_to, depth - 1))


def gives_future(x):
    import lithops
    return lithops.FunctionExecutor(worker_processes=1).call_async(double, x)


def gives_futures(x):
    import lithops
    return lithops.FunctionExecutor(worker_processes=1).map(double, range(x))


def gives_deep_futures(x):
    import lithops
    return [lithops.FunctionExecutor(worker_processes=1).call_async(gives_futures, x)]


def gives_reduced_futures(x):
    import lithops
    return lithops.FunctionExecutor(worker_processes=1).map_reduce(double, range(x), total)


def fail_until(path, attempts):
    """Fails until it was called so often."""
    with open(path, 'a') as file:
        file.write('.')
    count = os.path.getsize(path)
    if count < attempts:
        raise RuntimeError(f'attempt {count}')
    return count


def shouting(function):
    def inner(self, x):
        return function(self, x).upper()
    return inner


class Greeter:
    """Its methods have other names than their functions."""
    word = 'hello'

    def __private(self, x):
        return f'{self.word} {x}'

    @shouting
    def decorated(self, x):
        return self.__private(x)

    def methods(self):
        return self.__private, self.decorated
