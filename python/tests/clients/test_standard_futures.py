# SPDX-License-Identifier: Apache-2.0
"""lithops.concurrent.futures where it does more than the standard library's own, or less."""
import asyncio
import collections
import concurrent.futures as standard
import os
import threading
import time

import lithops
import pytest
from lithops.concurrent import futures as cf
from lithops.concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor


@pytest.fixture(scope='module')
def pool():
    with ProcessPoolExecutor(2) as pool:
        yield pool


def nap(seconds, value=None):
    time.sleep(seconds)
    return value


def test_the_standard_functions_take_them_beside_others(pool):
    with standard.ThreadPoolExecutor() as threads:
        both = [pool.submit(nap, 0.01, 1), threads.submit(nap, 0.01, 2)]
        assert sorted(future.result() for future in standard.as_completed(both, 60)) == [1, 2]
        assert standard.wait(both).not_done == set()
    assert isinstance(both[0], standard.Future) and cf.wait is standard.wait


def test_a_running_call_is_canceled(pool):
    future = pool.submit(nap, 600)
    while not future.running():
        time.sleep(0.001)
    assert future.cancel() and future.cancelled() and future.done() and future.cancel()
    with pytest.raises(cf.CancelledError):
        future.result()
    assert standard.wait([future], 60).done == {future}
    done = pool.submit(nap, 0)
    assert done.result() is None and not done.cancel()


def test_timeouts(pool):
    future = pool.submit(nap, 0.5, 'late')
    with pytest.raises(cf.TimeoutError):
        future.result(0.01)
    assert future.result(60) == 'late'
    with pytest.raises(cf.TimeoutError):
        list(pool.map(nap, [600], timeout=0.05))


def test_map_takes_several_iterables_and_stops_at_the_shortest(pool):
    assert list(pool.map(pow, [2, 3, 4], [3, 2])) == [8, 9]
    assert list(pool.map(max, [(1, 2)], [(0, 9)], chunksize=2)) == [(1, 2)]
    with pytest.raises(ValueError):
        pool.map(pow, [1], [1], chunksize=0)


def test_wrong_numbers_of_tasks():
    for wrong, error in ((0, ValueError), ('a', TypeError)):
        with pytest.raises(error, match='max_tasks_per_child'):
            cf.ProcessPoolExecutor(1, max_tasks_per_child=wrong)


def test_map_with_a_buffer_takes_items_as_results_are_taken(pool):
    taken = []

    def items():
        for n in range(100):
            taken.append(n)
            yield n
    results = pool.map(abs, items(), buffersize=3)
    assert len(taken) == 3
    assert [next(results) for _ in range(5)] == list(range(5)) and len(taken) <= 9
    results.close()
    assert len(taken) <= 9


def test_an_error_in_map_comes_in_its_place(pool):
    results = pool.map(lambda x: 1 / x, [1, 0, 2])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_result_that_cannot_be_unpickled_is_an_error(pool):
    future = pool.submit(Unreadable)
    assert isinstance(future.exception(60), BaseException)


class Unreadable:
    def __reduce__(self):
        return _no_object, ()


def _no_object():
    if os.environ.get('LITHOPS_WORKER_TEST') is None:
        raise RuntimeError('not here')


def greet():
    return greeting


def set_greeting(text):
    global greeting
    greeting = text


def test_initializer():
    with ProcessPoolExecutor(1, initializer=set_greeting, initargs=('hello',)) as pool:
        assert pool.submit(greet).result() == 'hello'
        assert list(pool.map(lambda _: greet(), range(3))) == ['hello'] * 3


def test_an_initializer_and_functions_that_travel_by_value():
    space = {'__name__': '__main__', 'word': 'none'}
    exec('def prepare(text):\n    global word\n    word = text\n'
         'def say(n):\n    return n, word\n', space)
    with ProcessPoolExecutor(1, initializer=space['prepare'], initargs=('hi',)) as pool:
        assert list(pool.map(space['say'], range(4))) == [(n, 'hi') for n in range(4)]
        assert [pool.submit(space['say'], n).result() for n in range(3)] == [
            (n, 'hi') for n in range(3)]


def test_names_of_parameters_mean_nothing(pool):
    assert pool.submit(lambda id, storage=2: (id, storage), 'mine').result() == ('mine', 2)
    assert pool.submit(lambda **named: named, obj=1, id=2).result() == {'obj': 1, 'id': 2}
    assert pool.submit(dict, fn=1, call=2, self=3).result() == {'fn': 1, 'call': 2, 'self': 3}


def test_asyncio(pool):
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(pool, abs, -n) for n in range(5)))
    assert asyncio.run(main()) == list(range(5))


def test_shutdown():
    pool = ThreadPoolExecutor(1, thread_name_prefix='ignored')
    begun = [pool.submit(nap, 0.3, n) for n in range(3)]
    pool.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(RuntimeError):
        pool.submit(nap, 0)
    with pytest.raises(RuntimeError):
        pool.map(nap, [0])
    standard.wait(begun, 60)
    outcomes = [future.cancelled() or future.result() for future in begun]
    assert True in outcomes[1:] and all(each in (True, 0, 1, 2) for each in outcomes)
    pool.shutdown()


def wait_for_file(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def test_shutdown_cancels_all_that_do_not_run(tmp_path):
    """The standard library's lets one more run, which its queue holds."""
    pool = ProcessPoolExecutor(1)
    running, *waiting = [pool.submit(wait_for_file, str(tmp_path / 'go')) for _ in range(3)]
    while not running.running():
        time.sleep(0.01)
    pool.shutdown(wait=False, cancel_futures=True)
    assert [future.cancelled() for future in waiting] == [True, True]
    (tmp_path / 'go').touch()
    assert running.result(60) is None
    pool.shutdown()


def test_an_executor_that_is_lent_stays_open():
    with lithops.FunctionExecutor() as fexec:
        with ProcessPoolExecutor(executor=fexec) as pool:
            future = pool.submit(pow, 2, 2)
            assert future.result() == 4 and future.lithops_future.success and future.stats
        assert pool.lithops_executor is fexec
        assert fexec.call_async(abs, -1).result() == 1
        with pytest.raises(TypeError, match='FunctionExecutor'):
            ProcessPoolExecutor(executor=object())
    for wrong, error in (({'max_workers': 0}, ValueError), ({'initializer': 3}, TypeError)):
        with pytest.raises(error):
            ProcessPoolExecutor(**wrong)


def test_many_futures_and_callbacks(pool):
    left, finished = [3000], threading.Event()

    def count(future):
        left[0] -= 1
        if left[0] == 0:
            finished.set()
    futures = [pool.submit(abs, n) for n in range(3000)]
    for future in futures:
        future.add_done_callback(count)
    assert finished.wait(120) and sum(f.result() for f in futures) == sum(range(3000))


def test_a_future_of_ones_own_is_the_standard_one():
    future = Future()
    assert not future.running() and future.stats == {} and future.lithops_future is None
    assert future.cancel() and future.cancelled()


def in_process(_):
    return os.getpid()


def test_processes_are_replaced_after_so_many_tasks():
    with ProcessPoolExecutor(2, max_tasks_per_child=3) as pool:
        pids = collections.Counter(pool.map(in_process, range(30)))
        assert set(pids.values()) <= {1, 2, 3} and len(pids) >= 10
        assert pool.submit(in_process, 0).result() not in (pid for pid in pids if pids[pid] == 3)
    with ProcessPoolExecutor(1, max_tasks_per_child=None) as pool:
        assert len(set(pool.map(in_process, range(30)))) == 1
