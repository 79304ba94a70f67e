# SPDX-License-Identifier: Apache-2.0
"""Look for lost references: run with a debug build of Python, which counts all there are.

Each scenario runs until caches are warm and then many times. References that come with each run
are a leak: of the client, or, in the scenarios of worker processes, of those. Prints one line for
each scenario, and ends with status 1 if one leaks.
"""
import gc
import sys

import lithops
from lithops import _lithops

WARM, RUNS = 8, 40
LEAST = 0.5  # references a run; less comes of caches


class Point:
    def __init__(self, x):
        self.x = x


def plus(x, y=1):
    return x + y


def move(point):
    return Point(point.x + 1)


def fail(x):
    raise KeyError(x)


def read(obj):
    with obj.data_stream as stream:
        return sum(len(line) for line in stream)


def references(*_):
    gc.collect()
    return sys.gettotalrefcount()


class Scenarios:
    """Each method is one; those that begin with `worker` return what a worker process counts."""

    def __init__(self, fexec, storage):
        self.fexec = fexec
        self.storage = storage
        self.place = storage.put_cloudobject(b'line\n' * 1000)

    def pickles(self):
        for value in (None, 1, 'text', b'bytes', (1, [2, {'x': Point(3)}]), bytearray(1 << 17)):
            _lithops.loads(_lithops.dumps(value))

    def pickles_that_fail(self):
        for value in (sys._getframe(), (x for x in ())):
            try:
                _lithops.dumps(value)
            except Exception:
                pass

    def call(self):
        self.fexec.call_async(plus, (1, 2)).result()

    def map(self):
        self.fexec.get_result(self.fexec.map(move, [Point(1)] * 20))

    def map_of_a_lambda(self):
        self.fexec.get_result(self.fexec.map(lambda x: x, range(20), extra_env={'A': 'b'}))

    def map_with_arguments(self):
        self.fexec.get_result(self.fexec.map(plus, [{'x': 1}, {'x': 2}], extra_args={'y': 3}))

    def map_reduce(self):
        self.fexec.map_reduce(plus, range(10), sum).get_result()

    def chained(self):
        self.fexec.get_result(self.fexec.map(plus, self.fexec.map(plus, range(5))))

    def error(self):
        try:
            self.fexec.call_async(fail, ('x',)).result()
        except KeyError:
            pass

    def errors_kept(self):
        futures = self.fexec.map(fail, range(5))
        self.fexec.wait(futures, throw_except=False)
        _lithops.results(list(futures), errors='return')

    def wait_and_flags(self):
        done, not_done = self.fexec.wait(self.fexec.map(plus, range(5)))
        for future in done:
            (future.done, future.success, future.error, future.stats, future.call_id, future.key,
             repr(future), hash(future), future == future)
        _lithops.split(list(done))

    def as_completed(self):
        for future in lithops.as_completed(self.fexec.map(plus, range(10))):
            future.result()

    def callbacks(self):
        seen = []
        futures = self.fexec.map(plus, range(5))
        for future in futures:
            future.on_done(seen.append)
        self.fexec.get_result(futures)
        while len(seen) < 5:
            pass

    def canceled(self):
        futures = self.fexec.map(plus, range(5))
        _lithops.cancel(list(futures))
        self.fexec.wait(futures, throw_except=False)

    def wrong_arguments(self):
        for call in (lambda: self.fexec.call_async(plus, {'z': 1}), lambda: _lithops.Future(),
                     lambda: _lithops.wait([3]), lambda: self.fexec.map(3, [1]),
                     lambda: self.storage.get_object('bucket', None)):
            try:
                call()
            except Exception:
                pass

    def objects(self):
        self.storage.put_object(self.storage.bucket, 'leaks/a', b'x' * 1000)
        self.storage.get_object(self.storage.bucket, 'leaks/a')
        self.storage.get_object(self.storage.bucket, 'leaks/a', stream=True).read()
        self.storage.head_object(self.storage.bucket, 'leaks/a')
        self.storage.list_objects(self.storage.bucket, 'leaks/')
        self.storage.delete_object(self.storage.bucket, 'leaks/a')
        try:
            self.storage.get_object(self.storage.bucket, 'leaks/a')
        except Exception:
            pass

    def chunks(self):
        path = f'{self.place.bucket}/{self.place.key}'
        self.fexec.get_result(self.fexec.map(read, [path], obj_chunk_size=1000))

    def worker_calls(self):
        self.fexec.get_result(self.fexec.map(move, [Point(1)] * 20))
        return self.fexec.call_async(references, (0,)).result()

    def worker_errors(self):
        self.fexec.wait(self.fexec.map(fail, range(20)), throw_except=False)
        return self.fexec.call_async(references, (0,)).result()

    def worker_streams(self):
        self.chunks()
        return self.fexec.call_async(references, (0,)).result()


def measure(scenario, fexec):
    """@return references that come with each run"""
    def run():
        count = scenario()
        fexec.futures.clear()  # by design
        return references() if count is None else count
    for _ in range(WARM):
        before = run()
    for _ in range(RUNS):
        after = run()
    return (after - before) / RUNS


def main():
    if not hasattr(sys, 'gettotalrefcount'):
        print('this Python does not count references')
        return 77
    leaks = 0
    with lithops.FunctionExecutor(worker_processes=1, log_level='ERROR') as fexec:
        scenarios = Scenarios(fexec, lithops.Storage())
        names = [name for name in vars(Scenarios) if not name.startswith('_')]
        for name in names:
            each = measure(getattr(scenarios, name), fexec)
            leaks += each >= LEAST
            print(f"{'LEAK ' if each >= LEAST else 'none '} {each:8.2f}  {name}", flush=True)
    print(f'references: {len(names)} scenarios, {leaks} leak')
    return leaks > 0


if __name__ == '__main__':
    sys.exit(main())
