# SPDX-License-Identifier: Apache-2.0
"""What the calls of test_extension_client.py run; worker processes import this and little else."""

import os
import signal
import threading
import time


class Odd(Exception):
    """An exception with more than a message."""

    def __init__(self, message, number):
        super().__init__(message, number)
        self.number = number


class Slow:
    """An object whose unpickling can be stopped half way."""

    loading, go = threading.Event(), threading.Event()
    go.set()

    def __init__(self, text):
        self.text = text

    def __reduce__(self):
        return Slow, ('',), _Stop(self.text)

    def __setstate__(self, state):
        self.text = state.text


class _Stop:
    def __init__(self, text):
        self.text = text

    def __reduce__(self):
        return _stop, (), self.text

    def __setstate__(self, text):
        self.text = text


def _stop():
    Slow.loading.set()
    Slow.go.wait(30)
    return _Stop('')


def same(x):
    return x


def negate(x):
    return -x


def fail_for_odd(x):
    if x % 2:
        raise Odd('it is odd', x)
    return x


def fail(x):
    raise ValueError(x)


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def wait_for_file(path):
    while not os.path.exists(path):
        time.sleep(0.001)
    return path


def wait_for_own_file(folder, number):
    return wait_for_file(os.path.join(folder, str(number))) and number


def die(number):
    os.kill(os.getpid(), number or signal.SIGKILL)


def array(count):
    import numpy
    return numpy.arange(count)


def arrays(count):
    import numpy
    return {'a': numpy.arange(count), 'b': [numpy.ones(count), 'text']}


def text(count):
    return 'ä' * count


def pair(count):
    return b'x' * count, count


def length(results):
    return sum(map(len, results))


def speak(text):
    print(text)


def total(results):
    return sum(results)


def count_bytes(obj):
    return len(obj.data_stream.read())
