# SPDX-License-Identifier: Apache-2.0
"""The client's side of the extension: executors, futures, waits, without the package on top."""

import gc
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import CancelledError

import pytest

import client_functions
from client_functions import Odd
from lithops import _lithops
from lithops._client.function import VERSION
from lithops._shared.failure import load_failure
from lithops._client.worker_command import worker_command
from lithops.future import ResponseFuture, _load_failure

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 30.0


class Closed(RuntimeError):
    pass


class Forked(RuntimeError):
    pass


class Canceled(Exception):
    pass


class Crashed(RuntimeError):
    pass


def configure():
    _lithops.configure(future_type=_lithops.Future, load=load_failure, errors={
        'closed': Closed, 'forked': Forked, 'canceled': Canceled, 'crash': Crashed})


@pytest.fixture(scope='module', autouse=True)
def configured():
    """Settings of these tests; those of the package are back after them."""
    configure()
    yield
    _lithops.configure(future_type=ResponseFuture, load=_load_failure, errors={
        'closed': RuntimeError, 'forked': RuntimeError, 'canceled': CancelledError,
        'crash': RuntimeError})


def new_executor(workers=2):
    return _lithops.Executor(worker_command=worker_command(),
                             settings={'worker_processes': workers})


def code(function, mode='item'):
    parts = (VERSION, function, None, (), mode, 0)
    return _lithops.Function(function.__name__, _lithops.dumps(parts))


same, negate, fail, sleep, die = (
    code(getattr(client_functions, name)) for name in ('same', 'negate', 'fail', 'sleep', 'die'))
fail_for_odd, wait_for_file, wait_for_own_file = (
    code(getattr(client_functions, name))
    for name in ('fail_for_odd', 'wait_for_file', 'wait_for_own_file'))


@pytest.fixture(scope='module')
def executor():
    executor = new_executor()
    yield executor
    executor.close()


@pytest.fixture
def native():
    return _lithops.Function.open('libc.so.6:labs:long(long)')


def run(script, *args, timeout=60):
    """Run a script in a process of its own; what it prints."""
    head = f'''\
        import os, sys, threading, time, gc
        sys.path[:0] = [{HERE!r}]
        from test_extension_client import *
        from lithops import _lithops
        configure()
        '''
    text = textwrap.dedent(head) + textwrap.dedent(script)
    quiet = '-Wignore:This process:DeprecationWarning'  # of threads beside a fork, from 3.12 on
    done = subprocess.run([sys.executable, quiet, '-c', text, *args], timeout=timeout, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ''
    return done.stdout


# ---- calls and results ---------------------------------------------------------------------------


@pytest.mark.parametrize('value', [
    None, True, False, 0, -1, 2**63 - 1, -2**63, 2**63, -2**200, 0.0, -0.5, math.inf, '', 'text',
    'ä\0\U0001f600', '\ud800', b'', b'\0bytes', (1, 2), [1, (2, {3: 'x'})], {'x': 1}, {1, 2},
    'x' * 300000, b'y' * 300000, [b'z' * 100000] * 3])
def test_a_value_there_and_back(executor, value):
    one = code(client_functions.same, 'single')
    for future in [executor.call_async(one, value), *executor.map(one, [value, value])]:
        result = future.result_value(LIMIT)
        assert result == value and type(result) is type(value)


@pytest.mark.parametrize('items', [
    [], (), range(0), range(5), range(3, -3, -2), range(2**63 - 3, 2**63 - 1),
    range(2**63 - 2, 2**63 + 3), range(-2**70, -2**70 + 3), [1], [1, 2, 3], (1, 2, 3), [1, True],
    [1, 2**70], [2**70, 1], [1.0, 2.5], [1.0, 2], [None, 'x', b'y', 3], ['a'] * 100])
def test_items_of_all_kinds(executor, items):
    futures = executor.map(code(client_functions.same, 'single'), items)
    _lithops.wait(futures, 100, LIMIT)
    results = _lithops.results(futures)
    assert results == list(items)
    assert [type(x) for x in results] == [type(x) for x in items]


@pytest.mark.parametrize('kind', [list, tuple])
@pytest.mark.parametrize('items', [(1, 2), (1.5, 2.5)])
def test_items_whose_length_is_not_true(executor, kind, items):
    class Liar(kind):
        def __len__(self):
            return 1 << 40
    futures = executor.map(code(client_functions.same, 'single'), Liar(items))
    assert _lithops.results(_wait(futures)) == list(items)


def test_nan_is_one_float(executor):
    result, = _lithops.results(_wait(executor.map(same, [math.nan])))
    assert math.isnan(result)


def _wait(futures, **how):
    _lithops.wait(futures, timeout=LIMIT, **how)
    return futures


def test_a_large_map_of_numbers(executor, native):
    futures = executor.map(native, range(-50000, 50000))
    assert _lithops.results(_wait(futures)) == [abs(x) for x in range(-50000, 50000)]
    assert [f.index for f in futures[::9999]] == list(range(0, 100000, 9999))


def test_native_functions_take_values(executor):
    power = _lithops.Function.open('libm.so.6:pow:double(double,double)')
    assert power.native and power.name.endswith('pow')
    assert executor.call_async(power, (2.0, 10.0)).result_value(LIMIT) == 1024.0
    futures = executor.map(power, [(2.0, 3.0), [3.0, 2.0]])
    assert _lithops.results(_wait(futures)) == [8.0, 9.0]
    futures = executor.map(power, [2.0, 3.0], extra_args=(2.0,))
    assert _lithops.results(_wait(futures)) == [4.0, 9.0]
    with pytest.raises(TypeError):
        executor.call_async(power, object())
    with pytest.raises(TypeError):
        executor.map(power, [1.0, object()])


def test_a_result_is_decoded_once(executor):
    future = executor.call_async(same, ([1, 2],))
    assert future.result_value(LIMIT) is future.result_value()
    futures = executor.map(same, [([i],) for i in range(100)])
    first = _lithops.results(_wait(futures))
    assert all(a is b for a, b in zip(first, _lithops.results(futures)))
    assert futures[7].result_value() is first[7]


def test_what_a_future_is(executor):
    future = executor.call_async(same, 7)
    assert future.result_value(LIMIT) == 7
    assert future.key == f'{future.executor_id}-{future.job_id}-{future.call_id}'
    assert future.executor_id == executor.id
    assert future.job_id[0] == 'A' and future.call_id == '00000'
    assert future.function_name == 'same' and future.index == 0
    assert future.state == 'Success'
    assert (future.done, future.ready, future.success) == (True, True, True)
    assert (future.error, future.running, future.canceled) == (False, False, False)
    assert (future.gives_list, future.is_reduce, future.feeds_reducer) == (False,) * 3
    assert not future.native and future.read
    assert future.exception_value() is None and future.traceback_text is None
    assert future.stats['worker_func_exec_time'] >= 0
    assert 'same' not in repr(future) and future.key in repr(future)
    assert hash(future) == hash(future) and future == future and len({future, future}) == 1
    with pytest.raises(AttributeError):
        future.unknown = 1
    with pytest.raises(TypeError):
        type(future)()
    with pytest.raises(TypeError):
        object.__new__(type(future))


def test_futures_are_small(executor, native):
    import tracemalloc
    tracemalloc.start()
    futures = executor.map(native, range(100000))
    size = tracemalloc.get_traced_memory()[0] / len(futures)
    tracemalloc.stop()
    assert size <= 48  # with the place in the list
    assert not gc.is_tracked(futures[0])
    _wait(futures)


def test_logs_belong_to_their_call(executor):
    futures = executor.map(code(client_functions.speak), ['one', 'two', 'zwölf'])
    _wait(futures)
    assert [f.logs for f in futures] == ['one\n', 'two\n', 'zwölf\n']
    assert _wait(executor.map(same, [1]))[0].logs is None


# ---- failures ------------------------------------------------------------------------------------


def test_an_exception_of_a_call(executor):
    future = executor.call_async(fail_for_odd, 3)
    for _ in range(2):
        with pytest.raises(Odd) as caught:
            future.result_value(LIMIT)
        assert caught.value.number == 3
        assert 'fail_for_odd' in str(caught.value.__cause__)
    assert future.state == 'Failed' and future.error and future.done and not future.success
    assert isinstance(future.exception_value(), Odd)
    assert 'fail_for_odd' in future.traceback_text


def test_results_with_failures(executor):
    futures = executor.map(fail_for_odd, range(6))
    _wait(futures, throw_except=False)
    with pytest.raises(Odd) as caught:
        _lithops.results(futures)
    assert caught.value.number == 1
    assert [f.read for f in futures] == [True, True, False, False, False, False]
    assert _lithops.results(futures, 'none') == [0, None, 2, None, 4, None]
    assert all(f.read for f in futures)
    back = _lithops.results(futures, errors='return')
    assert [x if isinstance(x, int) else x.number for x in back] == list(range(6))
    with pytest.raises(Odd):
        _lithops.wait(futures)


def test_a_failure_comes_before_cancelled_calls(tmp_path):
    executor = new_executor(1)
    futures = [executor.call_async(fail, 'words'),
               executor.call_async(wait_for_file, str(tmp_path / 'never'))]
    futures[0].wait(LIMIT)
    futures[1].cancel()
    _wait(futures, throw_except=False)
    for raise_it in (lambda: _lithops.wait(futures[::-1]), lambda: _lithops.results(futures[::-1])):
        with pytest.raises(ValueError, match='words'):
            raise_it()
    with pytest.raises(Canceled):
        _lithops.wait(futures[1:])
    executor.close()


def test_a_wait_ends_with_the_first_failure(executor, tmp_path):
    path = str(tmp_path / 'go')
    futures = [executor.call_async(wait_for_file, path), executor.call_async(fail, 'first')]
    with pytest.raises(ValueError, match='first'):
        _lithops.wait(futures, 100, LIMIT)
    assert not futures[0].done
    open(path, 'w').close()
    _wait(futures, throw_except=False)


def test_a_native_failure_goes_by_its_code(executor, native):
    future = executor.call_async(native, 'text')
    with pytest.raises(TypeError, match='int'):
        future.result_value(LIMIT)
    assert isinstance(future.exception_value(), TypeError)


def test_a_crash(executor):
    with pytest.raises(Crashed, match='SIGKILL|signal 9|killed'):
        executor.call_async(die, int(signal.SIGKILL)).result_value(LIMIT)
    assert executor.call_async(same, 1).result_value(LIMIT) == 1


def test_a_timeout_of_a_call(executor):
    future = executor.call_async(sleep, 60, timeout=0.2)
    with pytest.raises(TimeoutError, match='0.2|200'):
        future.result_value(LIMIT)
    assert future.state == 'Failed'


def test_data_that_cannot_be_loaded_leaves_the_message(executor):
    future = executor.call_async(fail, 'the words')
    future.wait(LIMIT)

    def load(data):
        raise OSError('cannot load')
    try:
        _lithops.configure(load=load)
        with pytest.raises(RuntimeError, match='the words') as caught:
            future.result_value()
        assert isinstance(caught.value.__cause__, OSError)
        _lithops.configure(load=lambda data: 'no exception')
        with pytest.raises(RuntimeError, match='the words') as caught:
            future.result_value()
        assert isinstance(caught.value.__cause__, TypeError)

        def stop(data):
            raise KeyboardInterrupt
        _lithops.configure(load=stop)
        with pytest.raises(KeyboardInterrupt):
            future.result_value()
    finally:
        _lithops.configure(load=load_failure)


# ---- waiting -------------------------------------------------------------------------------------


def test_waiting_for_some(executor, tmp_path):
    futures = [executor.call_async(wait_for_own_file, (str(tmp_path), i)) for i in range(2)]
    assert _lithops.done_count(futures) == 0
    assert _lithops.split(futures) == ([], futures)
    _lithops.wait(futures, -1)
    with pytest.raises(TimeoutError):
        _lithops.wait(futures, 0, 0.05)
    with pytest.raises(TimeoutError):
        _lithops.wait(futures, 50, 0)
    for read in (futures[1].wait, futures[1].result_value):
        with pytest.raises(TimeoutError):
            read(timeout=0.02)
        with pytest.raises(TimeoutError):
            read(0)
    with pytest.raises(TimeoutError):
        _lithops.results(futures)
    (tmp_path / '1').touch()
    _lithops.wait(futures, 50, LIMIT)
    assert _lithops.split(futures) == ([futures[1]], [futures[0]])
    assert _lithops.done_count(futures) == 1
    _lithops.wait(futures, 0, LIMIT)
    _lithops.wait(futures, return_when=1, timeout=LIMIT)
    (tmp_path / '0').touch()
    _lithops.wait(futures, 100, LIMIT)
    assert _lithops.results(futures[::-1]) == [1, 0]
    assert _lithops.split(tuple(futures)) == (futures, [])


def test_futures_of_several_executors(executor):
    other = new_executor(1)
    mixed = []
    for i in range(20):
        mixed.append((other if i % 3 else executor).call_async(negate, i))
    mixed[5:5] = executor.map(negate, range(100, 110))
    assert sorted(_lithops.results(_wait(mixed))) == sorted(
        [-i for i in range(20)] + [-i for i in range(100, 110)])
    other.close()


def test_as_completed_in_the_order_of_ends(executor, tmp_path):
    executor = new_executor(4)
    futures = [executor.call_async(wait_for_own_file, (str(tmp_path), i)) for i in range(4)]
    ending = _lithops.as_completed(futures)
    for i in (2, 0, 3, 1):
        with pytest.raises(TimeoutError):
            ending.next(0)
        (tmp_path / str(i)).touch()
        assert (ending.next(LIMIT) if i % 2 else next(ending)) is futures[i]
    for end in (lambda: next(ending), lambda: ending.next(), lambda: ending.next(0)):
        with pytest.raises(StopIteration):
            end()
    executor.close()


def test_as_completed_gives_each_once(executor, native):
    futures = executor.map(native, range(5000))
    assert {f.index for f in _lithops.as_completed(futures)} == set(range(5000))
    twice = futures[:3] * 2
    assert sorted(f.index for f in _lithops.as_completed(twice)) == [0, 0, 1, 1, 2, 2]
    assert list(_lithops.as_completed([])) == []


def test_nothing_to_wait_for():
    _lithops.wait([])
    assert _lithops.results(()) == [] and _lithops.split([]) == ([], [])
    assert _lithops.done_count([]) == _lithops.cancel([]) == 0
    _lithops.release([])


def test_any_iterable_of_futures(executor):
    futures = _wait(executor.map(negate, range(5)))
    assert _lithops.results(f for f in futures) == [0, -1, -2, -3, -4]
    assert _lithops.split(iter(futures)) == (futures, [])
    assert {f.index for f in _lithops.as_completed(set(futures))} == set(range(5))
    assert _lithops.results([futures[3], futures[1], futures[1], futures[2]]) == [-3, -1, -1, -2]


def test_cancelling(tmp_path):
    executor = new_executor(1)
    path = str(tmp_path / 'never')
    futures = [executor.call_async(wait_for_file, path) for _ in range(4)]
    assert futures[3].cancel()
    assert _lithops.cancel(futures) == 3
    assert _lithops.cancel(futures) == 0 and not futures[3].cancel()
    _wait(futures, throw_except=False)
    assert {f.state for f in futures} == {'Canceled'} and all(f.error for f in futures)
    for future in futures:
        with pytest.raises(Canceled):
            future.result_value(LIMIT)
    assert executor.call_async(same, 5).result_value(LIMIT) == 5
    executor.close()


# ---- interrupts ----------------------------------------------------------------------------------


class Stop(Exception):
    pass


@pytest.mark.parametrize('block', [
    lambda futures: _lithops.wait(futures),
    lambda futures: _lithops.wait(futures, 0, 60),
    lambda futures: futures[0].wait(),
    lambda futures: futures[0].result_value(60),
    lambda futures: list(_lithops.as_completed(futures)),
    lambda futures: _lithops.as_completed(futures).next(60)])
def test_a_signal_handler_ends_a_wait(executor, tmp_path, block):
    futures = executor.map(wait_for_file, [str(tmp_path / 'go')] * 2)

    def handler(number, frame):
        raise Stop
    old = signal.signal(signal.SIGALRM, handler)
    try:
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Stop):
            block(futures)
        assert time.monotonic() - began < 1
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.signal(signal.SIGALRM, old)
        (tmp_path / 'go').touch()
    _wait(futures)


def test_a_handler_that_returns_does_not_end_a_wait(executor, tmp_path):
    future = executor.call_async(wait_for_file, str(tmp_path / 'go'))
    seen = []

    def handler(number, frame):
        seen.append(number)
        if len(seen) == 3:
            (tmp_path / 'go').touch()
            signal.setitimer(signal.ITIMER_REAL, 0)
    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        future.wait(LIMIT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(seen) >= 3


def test_ctrl_c():
    assert run('''
        executor = new_executor()
        future = executor.call_async(sleep, 60)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        try:
            future.result_value()
        except KeyboardInterrupt:
            print(time.monotonic() - began < 1.5)
        ''') == 'True\n'


# ---- done-callbacks ------------------------------------------------------------------------------


def test_done_callbacks(executor, tmp_path):
    path = str(tmp_path / 'go')
    called, event = [], threading.Event()

    def note(future):
        called.append((future, future.done, threading.get_ident()))
        event.set()
    future = executor.call_async(wait_for_file, path)
    future.on_done(note)
    assert called == []
    open(path, 'w').close()
    assert event.wait(LIMIT)
    event.clear()
    future.on_done(note)  # it is done
    assert event.wait(LIMIT)
    assert [x[:2] for x in called] == [(future, True)] * 2
    assert threading.get_ident() not in [x[2] for x in called]


def test_many_done_callbacks(executor, native):
    futures = executor.map(native, range(3000))
    seen, event = [], threading.Event()

    def note(future):
        seen.append(future.result_value())
        if len(seen) == 3000:
            event.set()
    for future in futures:
        future.on_done(note)
    assert event.wait(LIMIT)
    assert sorted(seen) == list(range(3000))


def test_callbacks_run_on_one_thread():
    executor = new_executor(1)
    threads, local, event = [], threading.local(), threading.Event()

    def note(future):
        threads.append(threading.current_thread())
        local.count = getattr(local, 'count', 0) + 1
        if local.count == 20:
            event.set()
    for i in range(20):
        executor.call_async(same, i).on_done(note)
    assert event.wait(LIMIT)
    assert len(set(threads)) == 1 and threads[0] is not threading.main_thread()
    executor.close()


def test_a_callback_that_raises(executor, monkeypatch):
    event, caught = threading.Event(), []

    def hook(info):
        caught.append((info.exc_type, str(info.exc_value)))
        event.set()

    def bad(future):
        raise Stop('in a callback')
    monkeypatch.setattr(sys, 'unraisablehook', hook)
    executor.call_async(same, 1).on_done(bad)
    assert event.wait(LIMIT)
    assert caught == [(Stop, 'in a callback')]


def test_a_callback_after_close():
    executor = new_executor(1)
    future = executor.call_async(same, 1)
    future.wait(LIMIT)
    executor.close()
    seen = []
    future.on_done(seen.append)
    assert seen == [future]


def test_a_callback_while_it_closes(tmp_path):
    seen = []

    def add(future, end):
        while not end.is_set():
            future.on_done(lambda future: seen.append(future.done))
            time.sleep(0.0001)
    for _ in range(5):
        executor = new_executor(1)
        end = threading.Event()
        future = executor.call_async(wait_for_file, str(tmp_path / 'never'))
        while not future.running:
            time.sleep(0.001)
        thread = threading.Thread(target=add, args=(future, end))
        thread.start()
        executor.close()
        end.set()
        thread.join()
    assert seen and all(seen)


def test_close_calls_back_for_what_it_cancels(tmp_path):
    executor = new_executor(1)
    seen = []
    futures = executor.map(wait_for_file, [str(tmp_path / 'never')] * 3)
    for future in futures:
        future.on_done(lambda future: seen.append(future.state))
    executor.close()
    assert seen == ['Canceled'] * 3


def test_an_executor_that_ends_in_a_callback():
    assert run('''
        executor = new_executor(1)
        event = threading.Event()
        def close(future, box=[executor]):
            box.pop().close()
            event.set()
        future = executor.call_async(same, 1)
        future.on_done(close)
        del executor
        print(event.wait(30))

        executor = new_executor(1)
        box = [executor]
        def drop(future, box=box):
            box.clear()
            event.set()
        event.clear()
        future = executor.call_async(same, 2)
        del executor
        future.on_done(drop)
        del future
        print(event.wait(30))
        ''') == 'True\nTrue\n'


# ---- memory --------------------------------------------------------------------------------------

numpy = pytest.importorskip('numpy')
COUNT = 100000  # 800 kB


def areas_of_shared_memory():
    """Addresses that are the engine's."""
    with open('/proc/self/maps') as maps:
        return [tuple(int(x, 16) for x in line.split()[0].split('-'))
                for line in maps if 'memfd:lithops' in line]


def is_shared(array):
    start = array.__array_interface__['data'][0]
    return any(begin <= start < end for begin, end in areas_of_shared_memory())


def test_arrays_are_handed_over(executor):
    future = executor.call_async(code(client_functions.array), COUNT)
    array = future.result_value(LIMIT)
    assert is_shared(array) and array is future.result_value()
    copy = array.copy()
    del future
    gc.collect()
    for i in range(20):  # nothing writes where it lies
        executor.call_async(code(client_functions.array), COUNT + i).result_value(LIMIT)
    assert (array == copy).all()
    array[:] = 1  # it may be written to
    assert array.sum() == COUNT


def test_an_array_outlives_everything():
    executor = new_executor(1)
    futures = executor.map(code(client_functions.arrays), [COUNT, COUNT + 1])
    result = _lithops.results(_wait(futures))[1]
    executor.clean(None, None, True, True, True, False)
    executor.close()
    del futures, executor
    gc.collect()
    assert is_shared(result['a']) and is_shared(result['b'][0])
    assert result['a'].sum() == (COUNT + 1) * COUNT // 2
    part = result['a'][5:10]
    del result
    assert part.tolist() == [5, 6, 7, 8, 9]
    areas = areas_of_shared_memory()
    del part
    assert len(areas_of_shared_memory()) < len(areas)


def shared_bytes():
    """How much memory the engine's files take."""
    total = 0
    for fd in os.listdir('/proc/self/fd'):
        try:
            if 'memfd:lithops' in os.readlink(f'/proc/self/fd/{fd}'):
                total += os.stat(f'/proc/self/fd/{fd}').st_blocks * 512
        except FileNotFoundError:  # of the listing itself
            pass
    return total


def test_release(executor):
    futures = _wait(executor.map(code(client_functions.array), [COUNT, COUNT, 3, 4]))
    first, second, third = _lithops.results(futures[:3])
    kept = first[10:20]
    _lithops.release(futures)
    _lithops.release(futures)
    for _ in range(10):
        _wait(executor.map(code(client_functions.array), [COUNT] * 2))
    assert kept.tolist() == list(range(10, 20))
    assert _lithops.results(futures[:3])[1] is second  # those were read
    with pytest.raises(Closed, match='released'):
        futures[3].result_value()
    del first, second, futures
    assert third.tolist() == [0, 1, 2] and kept.tolist() == list(range(10, 20))
    numbers = _wait(executor.map(negate, [1, 2.5]))
    _lithops.release(numbers)
    assert _lithops.results(numbers) == [-1, -2.5]  # they take no memory


def test_results_that_others_need_are_not_released(executor, tmp_path):
    items = [('x' * 5000, i) for i in range(20)]
    whole = code(client_functions.same, 'single')
    first = executor.map(whole, items)
    assert _lithops.results(_wait(first)) == items
    hold = executor.map(wait_for_file, [str(tmp_path / 'go')] * 2)
    second = executor.map_futures(whole, first)
    _lithops.release(first)
    del first
    (tmp_path / 'go').touch()
    assert _lithops.results(_wait(second)) == items
    _wait(hold)
    length = code(client_functions.length, 'reduce')
    maps, reduces = executor.map_reduce(same, ['x' * 5000] * 20, length, spawn_reducer=100)
    assert all(f.result_value(LIMIT) == 'x' * 5000 for f in maps)
    _lithops.release(maps)
    del maps
    assert reduces[0].result_value(LIMIT) == 100000


@pytest.mark.parametrize('kind', ['array', 'text', 'pair'])
def test_memory_of_results_that_are_gone_is_used_again(kind):
    executor = new_executor(2)
    function = code(getattr(client_functions, kind))

    def step():
        futures = executor.map(function, [1 << 17] * 3)
        result = _lithops.results(_wait(futures))[1]
        del futures
        return result
    result = step()
    for _ in range(5):
        step()
    before = shared_bytes()
    for _ in range(40):
        step()
        executor.call_async(function, 1 << 17).result_value(LIMIT)
    assert shared_bytes() - before < 8 << 20  # 20 to 160 MB were made
    assert len(result) > 1
    executor.close()


def test_release_while_another_thread_decodes(executor):
    import client_functions as functions
    future = executor.call_async(same, (functions.Slow('x' * 1000),))
    future.wait(LIMIT)
    functions.Slow.loading.clear()
    functions.Slow.go.clear()
    found = []
    thread = threading.Thread(target=lambda: found.append(future.result_value()))
    thread.start()
    assert functions.Slow.loading.wait(LIMIT)
    _lithops.release([future])
    for _ in range(50):
        executor.call_async(same, ('y' * 1000,)).result_value(LIMIT)
    functions.Slow.go.set()
    thread.join(LIMIT)
    assert found[0].text == 'x' * 1000


def test_release_of_what_is_not_done(executor, tmp_path):
    futures = executor.map(wait_for_file, [str(tmp_path / 'go')])
    _lithops.release(futures)
    (tmp_path / 'go').touch()
    assert _lithops.results(_wait(futures)) == [str(tmp_path / 'go')]


def test_results_go_with_their_futures(executor):
    class Witness:
        gone = []

        def __init__(self, name):
            self.name = name

        def __del__(self):
            self.gone.append(self.name)
    futures = _wait(executor.map(same, [(Witness(i).__class__.__name__,) for i in range(2)]))
    assert len(_lithops.results(futures)) == 2


def rss():
    with open('/proc/self/statm') as statm:
        resident, shared = statm.read().split()[1:3]
    return (int(resident) - int(shared)) * os.sysconf('SC_PAGE_SIZE')


total_references = getattr(sys, 'gettotalrefcount', lambda: 0)  # of a debug build of Python


def left_after(step):
    """How many more blocks, bytes of memory and references 300 steps leave."""
    for _ in range(30):
        step()
    gc.collect()
    before = sys.getallocatedblocks(), rss(), total_references()
    for _ in range(300):
        step()
    gc.collect()
    return (sys.getallocatedblocks() - before[0], rss() - before[1],
            total_references() - before[2])


def step_calls(executor):
    executor.call_async(same, 'text').result_value(LIMIT)
    executor.call_async(same, ({'a': [1]},), timeout=20).result_value(LIMIT)
    try:
        executor.call_async(fail, 'words').result_value(LIMIT)
    except ValueError:
        pass


def step_maps(executor):
    for items in (range(30), list(range(30)), ['x'] * 30, [1.5] * 30, [([1],)] * 30):
        futures = executor.map(same, items)
        _wait(futures)
        _lithops.results(futures)
        _lithops.split(futures)
        for future in _lithops.as_completed(futures):
            future.stats, future.key, future.logs
        _lithops.release(futures)
        futures = executor.map_futures(same, futures)
        _lithops.cancel(futures)
        _wait(futures, throw_except=False)
        _lithops.results(futures, 'return')
    executor.clean(None, None, True, False, False, False)


def step_errors(executor):
    for bad in (lambda: executor.map(same, 5), lambda: executor.call_async(same),
                lambda: executor.call_async(5, 5), lambda: _lithops.wait([1]),
                lambda: executor.map(same, [1, lambda: 5, threading.Lock()]),
                lambda: executor.map(same, [1], chunksize='x', include=['x']),
                lambda: executor.map(same, [1], include=['x', 5]),
                lambda: executor.call_async(same, threading.Lock()),
                lambda: _lithops.Function.open('libnone.so:thing'),
                lambda: _lithops.configure(errors={'usage': int}),
                lambda: _lithops.Executor(backend='none')):
        with pytest.raises(Exception):
            bad()


def step_arrays(executor):
    _lithops.results(_wait(executor.map(code(client_functions.array), [20000, 5])))
    executor.clean(None, None, True, True, False, False)


def step_callbacks(executor):
    event = threading.Event()
    executor.call_async(same, 'x').on_done(lambda future: event.set())
    assert event.wait(LIMIT)


@pytest.mark.parametrize('step', [step_calls, step_maps, step_errors, step_arrays, step_callbacks])
def test_nothing_leaks(step):
    executor = new_executor(2)
    blocks, memory, references = left_after(lambda: step(executor))
    if memory >= 6 << 20:  # room that a process makes once; what leaks goes on
        memory = left_after(lambda: step(executor))[1]
    executor.close()
    assert blocks < 290  # less than one for each step
    assert references < 290 or step is step_arrays  # numpy does not count its own
    assert memory < 6 << 20


def test_no_references_leak(executor):
    shared = [object(), 'text that is not interned ' + str(time.time()), b'b' * 5000, [1], (2,)]
    shared = shared[1:]
    before = [sys.getrefcount(x) for x in shared]
    for _ in range(50):
        futures = _wait(executor.map(code(client_functions.same, 'single'), shared))
        _lithops.results(futures)
        executor.call_async(same, shared[0]).result_value(LIMIT)
        with pytest.raises(Exception):
            executor.map(same, [*shared, threading.Lock()])
    del futures
    gc.collect()
    assert [sys.getrefcount(x) for x in shared] == before


def test_closed_executors_leave_nothing():
    def step():
        executor = new_executor(1)
        event = threading.Event()
        future = executor.call_async(same, 1)
        future.on_done(lambda future: event.set())
        assert future.result_value(LIMIT) == 1 and event.wait(LIMIT)
        executor.close()
    for _ in range(3):
        step()
    gc.collect()
    before = sys.getallocatedblocks(), rss(), len(os.listdir('/proc/self/fd'))
    for _ in range(20):
        step()
    gc.collect()
    assert sys.getallocatedblocks() - before[0] < 20
    assert rss() - before[1] < 4 << 20
    assert len(os.listdir('/proc/self/fd')) == before[2]
    assert areas_of_shared_memory() is not None


# ---- executors -----------------------------------------------------------------------------------


def test_what_an_executor_is(executor):
    assert executor.id.count('-') == 1 and executor.id in repr(executor)
    assert executor.config[0]['lithops']['backend'] == 'localhost'
    assert executor.config[0] is not executor.config[0] and executor.forked is False


def test_options_of_an_executor(tmp_path):
    executor = _lithops.Executor(mode='localhost', config={'localhost': {'worker_processes': 3}},
                                 log_level='error', worker_command=tuple(worker_command()))
    assert executor.config[0]['localhost']['worker_processes'] == 3
    executor.close()
    file = tmp_path / 'config.yaml'
    file.write_text('localhost:\n  worker_processes: 2\n')
    executor = _lithops.Executor(config_file=str(file), worker_command=worker_command())
    assert executor.config[0]['localhost']['worker_processes'] == 2
    executor.close()


@pytest.mark.parametrize('options, error', [
    ({'backend': 'none'}, NotImplementedError), ({'mode': 5}, TypeError),
    ({'config': {'lithops': {'worker_proceses': 3, 'strict': True}}}, ValueError),
    ({'config': []}, TypeError),
    ({'config': {1: 2}}, TypeError), ({'settings': 'x'}, TypeError),
    ({'settings': {'worker_processes': -1}}, ValueError), ({'log_level': 'loud'}, ValueError),
    ({'worker_command': 'python3'}, TypeError), ({'worker_command': [1]}, TypeError),
    ({'worker_command': ['a\0b']}, ValueError), ({'worker_command': [None]}, TypeError),
    ({'worker_command': []}, ValueError), ({'unknown': 1}, TypeError),
    ({'worker_command': lambda runtime: None}, ValueError),
    ({'worker_command': lambda runtime: [runtime]}, TypeError),
    ({'worker_command': lambda runtime: 1 / 0}, ZeroDivisionError),
    ({'config_file': '/no/such/file'}, FileNotFoundError)])
def test_wrong_options_of_an_executor(options, error):
    with pytest.raises(error):
        _lithops.Executor(**{'worker_command': worker_command(), **options})


def test_closing():
    executor = new_executor(1)
    futures = _wait(executor.map(same, ['x', 'y']))
    executor.close()
    executor.close()
    assert 'closed' in repr(executor)
    assert _lithops.results(futures) == ['x', 'y']
    for use in (lambda: executor.call_async(same, 1), lambda: executor.map(same, [1]),
                lambda: executor.map_futures(same, futures), lambda: executor.config,
                lambda: executor.map_reduce(same, [1], same),
                lambda: executor.clean(None, None, True, True, True, True)):
        with pytest.raises(Closed, match='closed'):
            use()
    assert futures[0].stats and futures[0].key and futures[0].logs is None


def test_futures_keep_their_executor(tmp_path):
    futures = new_executor(1).map(wait_for_file, [str(tmp_path / 'go')])
    gc.collect()
    (tmp_path / 'go').touch()
    assert _lithops.results(_wait(futures)) == [str(tmp_path / 'go')]


def test_close_from_another_thread_while_all_are_in_use(native):
    executor = new_executor(2)
    refused, wrong, started = [], [], threading.Semaphore(0)

    def work(start):
        try:
            while True:
                start()
                started.release()
        except (Closed, Canceled):
            refused.append(1)
        except BaseException as error:
            wrong.append(error)
    items = [b'x' * 1000] * 2000

    def calls():
        executor.call_async(native, -1).result_value(LIMIT)

    def maps():
        _lithops.results(_wait(executor.map(same, items)))
    threads = [threading.Thread(target=work, args=(start,)) for start in (calls, maps) * 2]
    for thread in threads:
        thread.start()
    for _ in range(100):
        assert started.acquire(timeout=LIMIT)
    executor.close()
    for thread in threads:
        thread.join(LIMIT)
    assert wrong == [] and len(refused) == 4


def test_threads_share_an_executor(executor, native):
    wrong = []

    def work(number):
        for i in range(200):
            if executor.call_async(native, -i).result_value(LIMIT) != i:
                wrong.append(i)
            if i % 20 == 0:
                futures = executor.map(same, [f'{number}-{j}' for j in range(50)])
                if _lithops.results(_wait(futures)) != [f'{number}-{j}' for j in range(50)]:
                    wrong.append(-i)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LIMIT)
    assert wrong == [] and not any(thread.is_alive() for thread in threads)


def test_one_result_in_many_threads(executor):
    for _ in range(20):
        future = executor.call_async(same, ([{'x': 1}] * 1000,))
        found, barrier = [], threading.Barrier(4)

        def read():
            barrier.wait()
            found.append(future.result_value(LIMIT))
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert len({id(x) for x in found}) == 1


# ---- jobs of jobs --------------------------------------------------------------------------------


def test_map_futures(executor):
    first = executor.map(negate, range(10))
    second = executor.map_futures(negate, [*first[5:], executor.call_async(same, 7)])
    assert _lithops.results(_wait(second)) == [5, 6, 7, 8, 9, -7]
    assert all(f.gives_list for f in second)
    failed = executor.map_futures(negate, executor.map(fail, ['words']))
    with pytest.raises(ValueError, match='words'):
        failed[0].result_value(LIMIT)


def test_map_reduce(executor):
    reduce = code(client_functions.total, 'reduce')
    maps, reduces = executor.map_reduce(negate, range(1, 101), reduce)
    assert len(maps) == 100 and len(reduces) == 1
    assert reduces[0].result_value(LIMIT) == -5050
    assert all(f.feeds_reducer and not f.is_reduce and f.gives_list for f in maps)
    assert reduces[0].is_reduce and not reduces[0].feeds_reducer and not reduces[0].gives_list
    assert maps[0].function_name == 'negate' and reduces[0].function_name == 'total'
    assert maps[0].job_id[0] == 'M'
    assert reduces[0].job_id == 'R' + maps[0].job_id[1:]
    maps, reduces = executor.map_reduce(negate, [5], reduce, spawn_reducer=100,
                                        reduce_runtime_memory=512, extra_args_reduce=None)
    assert reduces[0].result_value(LIMIT) == -5


def test_objects(executor, tmp_path):
    paths = []
    for i in range(3):
        path = tmp_path / f'{i}.txt'
        path.write_text('line\n' * (i + 1) * 100)
        paths.append(str(path))
    count = code(client_functions.count_bytes, 'object')
    futures = executor.map(count, paths, objects=True)
    assert _lithops.results(_wait(futures)) == [500, 1000, 1500]
    futures = executor.map(count, tuple(paths), obj_chunk_number=2)
    assert len(futures) == 6 and sum(_lithops.results(_wait(futures))) == 3000
    reduce = code(client_functions.total, 'reduce')
    maps, reduces = executor.map_reduce(count, paths, reduce, obj_chunk_size=500,
                                        obj_newline=None, obj_reduce_by_key=True)
    assert len(maps) == 6 and len(reduces) == 3
    assert _lithops.results(_wait(reduces)) == [500, 1000, 1500]
    assert all(f.gives_list for f in reduces)
    with pytest.raises(FileNotFoundError):
        executor.map(count, [str(tmp_path / 'none')], objects=True)
    with pytest.raises(TypeError):
        executor.map(count, [object()], objects=True)


def test_afterwards(executor, tmp_path):
    futures = _wait(executor.map(negate, range(5)))
    _lithops.plot(futures, str(tmp_path / 'run'), 10, 6)
    assert (tmp_path / 'run_timeline.png').exists() and (tmp_path / 'run_histogram.png').exists()
    text = _lithops.job_summary(futures, 0, str(tmp_path / 'jobs.csv'))
    assert text.startswith('Job_ID') and (tmp_path / 'jobs.csv').read_text() == text
    assert _lithops.job_summary([], 3, None).startswith('Job_ID')
    executor.clean(futures, [], True, False, False, False)
    for bad in ((1, 'x', 10, 6), (futures, 5, 10, 6), (futures, 'x', 'wide', 6), (futures,)):
        with pytest.raises(TypeError):
            _lithops.plot(*bad)
    with pytest.raises(TypeError):
        _lithops.job_summary(futures, 'x', None)
    with pytest.raises(TypeError):
        executor.clean(futures, [object()], True, False, False, False)


# ---- wrong arguments -----------------------------------------------------------------------------


@pytest.mark.parametrize('use, error', [
    (lambda e: e.call_async(), TypeError), (lambda e: e.call_async(same), TypeError),
    (lambda e: e.call_async('same', 1), TypeError), (lambda e: e.call_async(same, 1, 2), TypeError),
    (lambda e: e.call_async(same, 1, timeout='x'), TypeError),
    (lambda e: e.call_async(same, 1, timeout=-1), ValueError),
    (lambda e: e.call_async(same, 1, timeout=math.nan), ValueError),
    (lambda e: e.call_async(same, 1, timeout=0), ValueError),
    (lambda e: e.call_async(same, 1, runtime_memory=1.5), TypeError),
    (lambda e: e.call_async(same, 1, runtime_memory=-5), ValueError),
    (lambda e: e.call_async(same, 1, runtime_memory=2**70), ValueError),
    (lambda e: e.call_async(same, 1, runtime_memory=-2**63), ValueError),
    (lambda e: e.call_async(same, 1, include='x'), TypeError),
    (lambda e: e.call_async(same, 1, exclude=[b'x']), TypeError),
    (lambda e: e.call_async(same, 1, unknown=1), TypeError),
    (lambda e: e.call_async(same, 1, function=same), TypeError),
    (lambda e: e.call_async(same, threading.Lock()), TypeError),
    (lambda e: e.map(same, 5), TypeError), (lambda e: e.map(same, {1: 2}), TypeError),
    (lambda e: e.map(same, 'text'), TypeError), (lambda e: e.map(same, iter([])), TypeError),
    (lambda e: e.map(None, []), TypeError), (lambda e: e.map(same, [1], 5), TypeError),
    (lambda e: e.map(same, [1], chunksize=0), ValueError),
    (lambda e: e.map(same, [1], chunksize='5'), TypeError),
    (lambda e: e.map(same, [1], obj_newline=5), TypeError),
    (lambda e: e.map(same, [1], extra_args=5), TypeError),
    (lambda e: e.map(same, [1], spawn_reducer=5), TypeError),
    (lambda e: e.map_reduce(same, [1]), TypeError),
    (lambda e: e.map_reduce(same, [1], same, spawn_reducer=101), ValueError),
    (lambda e: e.map_reduce(same, [1], same, spawn_reducer='x'), TypeError),
    (lambda e: e.map_reduce(same, [1], 5), TypeError),
    (lambda e: e.map_futures(same, [1]), TypeError), (lambda e: e.map_futures(same, 1), TypeError),
    (lambda e: _lithops.wait(), TypeError), (lambda e: _lithops.wait(None), TypeError),
    (lambda e: _lithops.wait([None]), TypeError),
    (lambda e: _lithops.wait(e.call_async(same, 1)), TypeError),
    (lambda e: _lithops.as_completed(e.call_async(same, 1)), TypeError),
    (lambda e: _lithops.split(e.call_async(same, 1)), TypeError),
    (lambda e: _lithops.wait([], 101), ValueError), (lambda e: _lithops.wait([], -2), ValueError),
    (lambda e: _lithops.wait([], 1.5), TypeError), (lambda e: _lithops.wait([], 2**40), ValueError),
    (lambda e: _lithops.wait([], 100, -1), ValueError),
    (lambda e: _lithops.results([], 'maybe'), ValueError),
    (lambda e: _lithops.results([], None), ValueError),
    (lambda e: e.call_async(same, 1).on_done(5), TypeError),
    (lambda e: e.call_async(same, 1).result_value('x'), TypeError),
    (lambda e: e.call_async(same, 1).wait(1, 2), TypeError),
    (lambda e: _lithops.Function('x'), TypeError), (lambda e: _lithops.Function(b'x', b''), TypeError),
    (lambda e: _lithops.Function('x', 'text'), TypeError),
    (lambda e: _lithops.Function('a\0b', b''), ValueError),
    (lambda e: _lithops.Function.open('libnone.so:f'), FileNotFoundError),
    (lambda e: _lithops.Function.open('libc.so.6'), ValueError),
    (lambda e: _lithops.Function.open(None), TypeError),
    (lambda e: _lithops.configure(errors={'nonsense': ValueError}), ValueError),
    (lambda e: _lithops.configure(errors={5: ValueError}), ValueError),
    (lambda e: _lithops.configure(errors={'usage': 5}), TypeError),
    (lambda e: _lithops.configure(errors=[]), TypeError),
    (lambda e: _lithops.configure(load=5), TypeError),
    (lambda e: _lithops.configure(future_type=int), TypeError),
    (lambda e: _lithops.configure(future_type=5), TypeError),
    (lambda e: _lithops.configure(5), TypeError)])
def test_wrong_arguments(executor, use, error):
    with pytest.raises(error) as caught:
        use(executor)
    assert str(caught.value)


def test_items_that_change_while_they_are_read(executor):
    items = ['x']

    class Nasty:
        def __reduce__(self):
            items.clear()
            gc.collect()
            return str, ('nasty',)
    items += [Nasty(), *[str(i) for i in range(100)]]
    futures = executor.map(same, items)
    assert _lithops.results(_wait(futures))[:3] == ['x', 'nasty', '0']
    assert len(futures) == 102


def test_the_class_of_futures(executor):
    class Fat(_lithops.Future):
        pass

    class Fat2(_lithops.Future):
        __slots__ = ('x',)

    class Slim(_lithops.Future):
        __slots__ = ()

        def double(self):
            return 2 * self.result_value(LIMIT)
    for bad in (Fat, Fat2):
        with pytest.raises(TypeError, match='slots'):
            _lithops.configure(future_type=bad)
    old = type(executor.call_async(same, 0))
    try:
        _lithops.configure(future_type=Slim)
        future = executor.call_async(same, 4)
        assert type(future) is Slim and future.double() == 8
        assert sys.getsizeof(future) == 32 and not gc.is_tracked(future)
        assert [f.double() for f in executor.map(same, [1, 2])] == [2, 4]
    finally:
        _lithops.configure(future_type=old)
    count = sys.getrefcount(Slim)
    del future
    assert sys.getrefcount(Slim) == count - 1


def test_stubs_name_what_there_is():
    import ast

    import lithops
    with open(os.path.join(os.path.dirname(lithops.__file__), '_lithops.pyi')) as file:
        stubs = ast.parse(file.read()).body

    def names(body):
        found = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        found |= {node.target.id for node in body if isinstance(node, ast.AnnAssign)}
        return {name for name in found if not name.startswith('_')}

    def real(thing):
        return {name for name in dir(thing) if not name.startswith('_')}
    assert names(stubs) == real(_lithops)
    classes = {node.name: node for node in stubs if isinstance(node, ast.ClassDef)}
    for name in names(classes.values()):
        node = classes[name]
        stubbed = names(node.body)
        for base in node.bases:
            stubbed |= names(classes[base.id].body)
        assert stubbed == real(getattr(_lithops, name)), name


def test_signatures_can_be_asked_for():
    import inspect
    for kind in (_lithops.Executor, _lithops.Future):
        for name, method in vars(kind).items():
            if callable(method) and not name.startswith('__'):
                assert list(inspect.signature(method).parameters)[0] == 'self'
    assert 'worker_command' in inspect.signature(_lithops.Executor).parameters


# ---- the ends of processes -----------------------------------------------------------------------


def test_exit_with_an_open_executor():
    assert run('''
        executor = new_executor()
        futures = executor.map(sleep, [60] * 4)
        done = executor.call_async(same, 'x')
        for future in futures:
            future.on_done(lambda future: print(future.state))
        print('end')
        ''') == 'end\n' + 'Canceled\n' * 4


def test_exit_while_threads_wait():
    assert run('''
        executor = new_executor()
        future = executor.call_async(sleep, 60)
        threading.excepthook = lambda info: None  # they may see their calls cancelled
        def state_of(thread):
            with open(f'/proc/self/task/{thread.native_id}/stat') as file:
                return file.read().rpartition(')')[2].split()[0]
        threads = [threading.Thread(target=wait, daemon=True) for wait in (
            future.result_value, lambda: _lithops.wait([future]),
            lambda: list(_lithops.as_completed([future])))]
        for thread in threads:
            thread.start()
        asleep = 0
        while asleep < 20:  # looks, one after the other
            asleep = asleep + 1 if all(state_of(thread) == 'S' for thread in threads) else 0
            time.sleep(0.001)
        print('end')
        ''') == 'end\n'


def test_no_executor_while_python_exits():
    assert run('''
        class Late:
            def __del__(self, open=_lithops.Executor, command=worker_command()):
                try:
                    open(worker_command=command)
                except RuntimeError as error:
                    print(error)
        keep = Late()
        ''') == 'no executor can be opened while Python exits\n'


def test_fork():
    assert run('''
        executor = new_executor()
        future = executor.call_async(same, ['x'])
        waiting = executor.call_async(sleep, 60)
        future.wait(30)
        ending = _lithops.as_completed([waiting])
        array = executor.call_async(code(client_functions.array), 100000).result_value(30)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            uses = [
                lambda: executor.call_async(same, 1), lambda: executor.map(same, [1]),
                lambda: executor.config, lambda: executor.clean(None, None, 1, 1, 1, 1),
                lambda: executor.map_futures(same, [future]), lambda: future.result_value(),
                lambda: future.stats, lambda: future.state, lambda: future.done,
                lambda: future.key, lambda: future.logs, lambda: waiting.wait(5),
                lambda: waiting.cancel(), lambda: waiting.on_done(print),
                lambda: _lithops.wait([waiting], 100, 5), lambda: _lithops.results([future]),
                lambda: _lithops.cancel([waiting]), lambda: _lithops.release([future]),
                lambda: _lithops.done_count([future]), lambda: ending.next(1),
                lambda: waiting.exception_value()]
            for use in uses:
                try:
                    print('no error', use())
                except Forked as error:
                    assert 'fork' in str(error)
            print(executor.forked, 'parent' in repr(future), executor.id != '')
            executor.close()
            del array
            other = new_executor(1)
            print(other.forked, other.call_async(same, 5).result_value(30))
            del other
            del executor, future, waiting, ending, uses, use
            gc.collect()
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), executor.forked)
        print(future.result_value(), waiting.state)
        ''') == "True True True\nFalse 5\n7 False\n['x'] Running\n"


def test_a_child_cannot_change_the_parents_results(executor):
    array = executor.call_async(code(client_functions.array), COUNT).result_value(LIMIT)
    assert is_shared(array)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of threads: the engine's
        child = os.fork()
    if child == 0:
        array[5] = 70
        os._exit(int(array[5] + array[6]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 76
    assert array[5] == 5
    array[5] = 8
    assert executor.call_async(same, -3).result_value(LIMIT) == -3


def test_fork_while_another_thread_is_in_the_engine():
    assert run('''
        executor = new_executor()
        items = [b'x' * 2000] * 20000
        def work():
            while not stop:
                begun.release()
                executor.map(same, items)
                executor.clean(None, None, True, False, True, False)
        stop, begun = [], threading.Semaphore(0)
        thread = threading.Thread(target=work)
        thread.start()
        future = executor.call_async(same, 1)
        for i in range(4):
            begun.acquire()  # what follows comes when the thread lets go of Python: in the engine
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                del executor, future
                gc.collect()
                sys.exit(3)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if status != 3:
                print('child', status)
        stop.append(1)
        thread.join()
        executor.close()
        print('end')
        ''') == 'end\n'


def test_a_module_can_be_loaded_again():
    assert run('''
        import importlib
        executor = new_executor(1)
        before = sys.modules.pop('lithops._lithops')
        import lithops
        del lithops._lithops
        again = importlib.import_module('lithops._lithops')
        assert again is not before and again.Future is not before.Future
        other = again.Executor(worker_command=worker_command())
        function = again.Function.open('libc.so.6:labs:long(long)')
        print(other.call_async(function, -3).result_value(30))
        try:
            other.call_async(same, 1)
        except TypeError as error:
            print('Function expected' in str(error))
        print(executor.call_async(same, 4).result_value(30))
        ''') == '3\nTrue\n4\n'
