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


def takes_shift(function):
    @functools.wraps(function)
    def shifted(*args, **kwargs):
        shift = kwargs.pop('shift', 0)
        return function(*args, **kwargs) + shift
    return shifted


@takes_shift
def shiftable(x):
    return x


def fail_and_count(path):
    with open(path, 'a') as file:
        file.write('.')
    raise ValueError('not this time')


def raise_long(count):
    raise ValueError('m' * count)


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


def fail_at_length(length):
    raise ValueError('x' * length)


class OddError(Exception):
    """Its constructor needs more than `args`, and it has an attribute."""

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
    """Like most exceptions: `args` differs from the constructor's arguments."""

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


def capture(path):
    """Run a program that writes its process id to `path` and stays."""
    import subprocess
    return subprocess.run(['sh', '-c', f'echo $$ > {path}; exec sleep 600'], capture_output=True)


class NeedsTwo(Exception):
    """Its pickle makes it with one argument."""

    def __init__(self, first, second):
        super().__init__(f'{first}{second}')


def return_needs_two(x):
    return NeedsTwo(1, 2) if x == 1 else x


def print_nul(x):
    print(f'a\0{x}')


def path_and_data(obj):
    return obj.path, obj.data_stream.read()


def look(x):
    return sys.prefix, os.getcwd(), os.getpid(), x


def crash():
    os.kill(os.getpid(), 11)


def next_of(x):
    return x + 1


def sum_of(numbers):
    return sum(numbers)
