# SPDX-License-Identifier: Apache-2.0
"""Programs for multiprocessing with their import changed: pools, processes, and what they share."""
import collections
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import lithops.multiprocessing as mp
import pytest
from lithops.multiprocessing import config as mp_config
from lithops.multiprocessing.connection import wait as wait_ready
from lithops.multiprocessing.managers import BaseManager
from lithops.multiprocessing.queues import Empty, Full


@pytest.fixture(scope='module')
def pool():
    with mp.Pool(2) as pool:
        yield pool


def square(x):
    return x * x


def divide(a, b=1):
    return a / b


def identity(x):
    return x


def nap(seconds):
    time.sleep(seconds)
    return seconds


# ---- pools ----

def test_map_and_its_relatives(pool):
    assert pool.map(square, range(20)) == [x * x for x in range(20)]
    assert pool.map(square, (x for x in (1, 2)), chunksize=2) == [1, 4]
    assert pool.starmap(divide, [(4, 2), (9,)]) == [2, 9]
    assert pool.apply(divide, (1,), {'b': 4}) == 0.25
    assert list(pool.imap(square, range(10))) == [x * x for x in range(10)]
    assert sorted(pool.imap_unordered(square, range(10))) == [x * x for x in range(10)]
    assert pool.map(square, []) == [] == pool.starmap(divide, []) == list(pool.imap(square, []))
    assert list(pool.imap_unordered(square, [])) == []


def test_map_gives_each_item_as_one_argument(pool):
    items = [(1, 2), {'x': 1}, [3], None, 'id', ((),)]
    assert pool.map(identity, items) == items
    assert pool.map(lambda id: id, [7, 8]) == [7, 8]


def test_imap_unordered_gives_what_ends_first(pool):
    assert list(pool.imap_unordered(nap, [0.6, 0.01])) == [0.01, 0.6]


def test_imap_can_be_asked_again_after_a_timeout(pool):
    results = pool.imap(nap, [0.5, 0.0])
    with pytest.raises(mp.TimeoutError):
        results.next(timeout=0.01)
    assert results.next(timeout=60) == 0.5
    assert next(results) == 0.0
    with pytest.raises(StopIteration):
        next(results)


def test_results_to_be(pool):
    result = pool.apply_async(nap, (0.3,))
    assert not result.ready()
    with pytest.raises(ValueError):
        result.successful()
    with pytest.raises(mp.TimeoutError):
        result.get(timeout=0.01)
    result.wait()
    assert result.ready() and result.successful() and result.get() == 0.3


def test_an_error_is_raised_where_the_result_is_taken(pool):
    result = pool.map_async(divide, [1, 'x', 2])
    with pytest.raises(TypeError):
        result.get()
    assert not result.successful()
    results = pool.imap(divide, [1, 'x', 2])
    assert next(results) == 1
    with pytest.raises(TypeError):
        next(results)
    assert next(results) == 2


def test_callbacks_run_once_and_before_the_result_is_ready(pool):
    seen, errors = [], []
    pool.map_async(square, [1, 2, 3], callback=seen.append).wait()
    pool.apply_async(square, (4,), callback=seen.append, error_callback=errors.append).get()
    pool.apply_async(square, ('x',), callback=seen.append, error_callback=errors.append).wait()
    pool.map_async(square, [], callback=seen.append).get()
    assert seen == [[1, 4, 9], 16, []]
    assert [type(error) for error in errors] == [TypeError]


def test_a_callback_may_start_more_work(pool):
    done = threading.Event()
    pool.apply_async(square, (2,), callback=lambda n: pool.apply_async(
        square, (n,), callback=lambda n: n == 16 and done.set()))
    assert done.wait(60)


def remember(value):
    global remembered
    remembered = value, globals().get('remembered', (None, 0))[1] + 1


def in_process(_):
    return os.getpid()


def recall(_):
    return remembered


def test_the_initializer_runs_once_in_each_worker_process():
    with mp.Pool(2, remember, ('it',)) as pool:
        assert set(pool.map(recall, range(20), chunksize=1)) == {('it', 1)}
        assert pool.apply(recall, (0,)) == ('it', 1)


def test_the_life_of_a_pool():
    pool = mp.Pool(1)
    with pytest.raises(ValueError):
        pool.join()
    result = pool.apply_async(nap, (0.2,))
    pool.close()
    with pytest.raises(ValueError):
        pool.map(square, [1])
    pool.join()
    assert result.get() == 0.2
    with pytest.raises(NotImplementedError):
        pickle.dumps(pool)
    with pytest.raises(ValueError), pool:
        pass
    assert 'state=CLOSE pool_size=1' in repr(pool)
    for wrong in ({'processes': 0}, {'processes': -1}, {'processes': 1, 'maxtasksperchild': 0},
                  {'processes': 1, 'maxtasksperchild': 'a'}):
        with pytest.raises(ValueError):
            mp.Pool(**wrong)
    with pytest.raises(TypeError):
        mp.Pool(1, initializer=3)


def test_terminate_ends_what_runs():
    pool = mp.Pool(2)
    begun = mp.Event()
    result = pool.apply_async(lambda: (begun.set(), time.sleep(600)))
    assert begun.wait(60)
    start = time.monotonic()
    pool.terminate()
    pool.join()
    assert time.monotonic() - start < 30
    with pytest.raises(Exception):
        result.get()


def test_pools_in_pools(pool):
    def inner(n):
        with mp.Pool(2) as own:
            return sum(own.map(square, range(n)))
    assert pool.map(inner, [3, 4]) == [5, 14]


# ---- processes ----

def put(queue, *values, **named):
    for value in values:
        queue.put(value)
    queue.put(named)


def test_process():
    queue = mp.Queue()
    process = mp.Process(target=put, args=(queue, 1, [2]), kwargs={'x': 3}, name='putter')
    assert (process.exitcode, process.pid, process.is_alive()) == (None, None, False)
    with pytest.raises(AssertionError, match='can only join a started process'):
        process.join()
    with pytest.raises(AssertionError):
        mp.Process(group=1)
    process.start()
    process.join()
    assert [queue.get(timeout=60) for _ in range(3)] == [1, [2], {'x': 3}]
    assert (process.exitcode, process.is_alive(), process.name) == (0, False, 'putter')
    assert len(process.pid.split('/')) == 3
    with pytest.raises(AssertionError):
        process.start()
    process.close()
    with pytest.raises(ValueError):
        process.is_alive()


def test_more_processes_than_cpus_wait_for_each_other():
    number = 4 * os.cpu_count()
    barrier, queue = mp.Barrier(number), mp.Queue()
    processes = [mp.Process(target=lambda: queue.put(barrier.wait(120))) for _ in range(number)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert sorted(queue.get_nowait() for _ in processes) == list(range(number))


class Subclass(mp.Process):
    def __init__(self, queue, factor):
        super().__init__()
        self.queue = queue
        self.factor = factor

    def run(self):
        self.queue.put((self.factor * 2, self.name, mp.current_process().name, self.pid))


def test_a_subclass_with_run():
    queue = mp.SimpleQueue()
    process = Subclass(queue, 21)
    process.start()
    process.join()
    answer, name, current, pid = queue.get()
    assert answer == 42 and name == current == process.name and isinstance(pid, int)


def test_how_processes_end():
    def end(how):
        if how == 'raise':
            raise KeyError('why')
        sys.exit(how)
    codes = []
    for how in (0, 3, 256, -1, True, 'a message', 'raise'):
        process = mp.Process(target=end, args=(how,))
        process.start()
        if how == 'raise':
            with pytest.raises(KeyError, match='why'):
                process.join()
        else:
            process.join()
        codes.append(process.exitcode)
    assert codes == [0, 3, 0, 255, 1, 1, 1]


@pytest.mark.parametrize('end, number', [(mp.Process.terminate, signal.SIGTERM),
                                         (mp.Process.kill, signal.SIGKILL)])
def test_terminate_and_sentinel(end, number):
    begun = mp.Event()
    process = mp.Process(target=lambda: (begun.set(), time.sleep(600)), daemon=True)
    process.start()
    assert begun.wait(60)
    assert process in mp.active_children() and wait_ready([process.sentinel], 0) == []
    assert process.join(0.01) is None and process.is_alive()
    with pytest.raises(ValueError):
        process.close()
    end(process)
    assert wait_ready([process.sentinel], 60) == [process.sentinel]
    process.join()
    assert process.exitcode == -number and process not in mp.active_children()


def test_who_runs():
    queue = mp.Queue()

    def tell():
        queue.put((mp.current_process().name, mp.parent_process().pid, mp.parent_process().name,
                   os.getpid() == mp.current_process().pid))
    process = mp.Process(target=tell, name='child')
    process.start()
    process.join()
    assert queue.get(timeout=60) == ('child', os.getpid(), mp.current_process().name, True)
    assert mp.parent_process() is None


def run_script(text, **environment):
    return subprocess.run([sys.executable, '-c', textwrap.dedent(text)], capture_output=True,
                          text=True, timeout=120, env={**os.environ, **environment})


def test_a_script_waits_for_processes_that_are_no_daemons(tmp_path):
    done = run_script(f'''
        import pathlib, time
        import lithops.multiprocessing as mp

        def write(name, seconds):
            time.sleep(seconds)
            pathlib.Path({str(tmp_path)!r}, name).touch()

        mp.Process(target=write, args=('normal', 0.5)).start()
        mp.Process(target=write, args=('daemon', 600), daemon=True).start()
        ''')
    assert (done.returncode, done.stderr) == (0, '')
    assert os.listdir(tmp_path) == ['normal']


# ---- what they share ----

def test_locks_exclude(pool):
    value, lock = mp.Value('i', 0, lock=False), mp.Lock()

    def count(n):
        for _ in range(n):
            with lock:
                before = value.value
                time.sleep(0.0005)
                value.value = before + 1
    processes = [mp.Process(target=count, args=(25,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert value.value == 100


def test_locks():
    lock = mp.Lock()
    assert lock.acquire() and not lock.acquire(False) and not lock.acquire(timeout=0.01)
    lock.release()
    with pytest.raises(ValueError):
        lock.release()
    again = mp.RLock()
    with again, again:
        others = []
        thread = threading.Thread(target=lambda: others.append(again.acquire(block=False)))
        thread.start()
        thread.join()
        assert others == [False]
    with pytest.raises(AssertionError, match='not owned by thread'):
        again.release()
    semaphore = mp.BoundedSemaphore(2)
    assert semaphore.acquire() and semaphore.acquire() and not semaphore.acquire(False)
    semaphore.release()
    assert semaphore.get_value() == 1
    semaphore.release()
    with pytest.raises(ValueError):
        semaphore.release()
    with pytest.raises(ValueError):
        mp.Semaphore(-1)


def until_it_sleeps(pid):
    """Wait until the main thread of a process waits: each of twenty looks has found it asleep."""
    asleep = 0
    while asleep < 20:
        with open(f'/proc/{pid}/stat') as file:
            asleep = asleep + 1 if file.read().rpartition(')')[2].split()[0] == 'S' else 0
        time.sleep(0.001)


def test_a_process_that_is_killed_while_it_waits_takes_nothing():
    queue, lock = mp.Queue(), mp.Lock()
    lock.acquire()

    for wait in (lock.acquire, queue.get):
        receiving, sending = mp.Pipe(duplex=False)
        process = mp.Process(target=lambda: (sending.send(os.getpid()), wait()))
        process.start()
        until_it_sleeps(receiving.recv())
        process.kill()
        process.join()
    lock.release()
    assert lock.acquire(timeout=60)
    queue.put('kept')
    assert queue.get(timeout=60) == 'kept'


def test_condition():
    condition, ready = mp.Condition(), mp.Value('i', 0)

    def wait():
        with condition:
            condition.wait_for(lambda: ready.value, timeout=60)
            ready.value += 1
    processes = [mp.Process(target=wait) for _ in range(3)]
    for process in processes:
        process.start()
    with condition:
        ready.value = 1
        condition.notify_all()
    for process in processes:
        process.join()
    assert ready.value == 4
    with condition:
        assert condition.wait(0.01) is False and condition.wait_for(lambda: False, 0.01) is False
    for unheld in (condition.notify, condition.notify_all, condition.wait):
        with pytest.raises(AssertionError, match='acquire'):
            unheld()


def test_event():
    event = mp.Event()
    assert not event.is_set() and not event.wait(0.01)
    process = mp.Process(target=event.set)
    process.start()
    assert event.wait(60) and event.is_set()
    event.clear()
    assert not event.is_set()
    process.join()


def test_the_action_of_a_barrier_runs_once_and_a_broken_one_says_so():
    seen = []
    barrier = mp.Barrier(2, action=lambda: seen.append(1))
    thread = threading.Thread(target=barrier.wait)
    thread.start()
    barrier.wait(60)
    thread.join()
    assert seen == [1] and not barrier.broken
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0.01)
    assert barrier.broken
    barrier.reset()
    assert not barrier.broken


def test_queues():
    queue = mp.Queue(2)
    queue.put(lambda: 'a lambda')
    queue.put(None)
    assert queue.full() and queue.qsize() == 2 and not queue.empty()
    assert (queue.Full, queue.Empty) == (Full, Empty)
    with pytest.raises(queue.Full):
        queue.put_nowait(3)
    with pytest.raises(Full):
        queue.put(3, timeout=0.01)
    assert queue.get()() == 'a lambda' and queue.get_nowait() is None
    with pytest.raises(Empty):
        queue.get(timeout=0.01)
    simple = mp.SimpleQueue()
    simple.close()
    with pytest.raises(OSError):
        simple.get()
    queue.close()
    queue.join_thread()
    with pytest.raises(ValueError):
        queue.put(1)


def test_joinable_queue():
    queue = mp.JoinableQueue()

    def work():
        for _ in range(3):
            queue.get()
            queue.task_done()
    for n in range(3):
        queue.put(n)
    process = mp.Process(target=work)
    process.start()
    queue.join()
    process.join()
    with pytest.raises(ValueError):
        queue.task_done()


def test_a_queue_in_a_queue():
    queue = mp.Queue()
    queue.put(mp.Queue())
    inner = queue.get()
    inner.put('in')
    assert inner.get() == 'in'


def test_pipe():
    ours, theirs = mp.Pipe()

    def answer(connection):
        with connection:
            while True:
                try:
                    connection.send(connection.recv() * 2)
                except EOFError:
                    break
    process = mp.Process(target=answer, args=(theirs,))
    process.start()
    theirs.close()
    for message in (1, 'a', [None]):
        ours.send(message)
        assert ours.poll(60) and ours.recv() == message * 2
    assert wait_ready([ours], 0.01) == []
    ours.close()
    process.join(60)
    assert process.exitcode == 0 and ours.closed
    with pytest.raises(OSError):
        ours.send(1)


def test_the_end_of_a_pipe_when_the_other_process_is_killed():
    receiving, sending = mp.Pipe(duplex=False)
    process = mp.Process(target=lambda end: (end.send('begun'), time.sleep(600)), args=(sending,))
    process.start()
    sending.close()
    assert receiving.recv() == 'begun'
    process.kill()
    with pytest.raises(EOFError):
        receiving.recv()
    process.join()


def test_bytes_through_a_pipe():
    receiving, sending = mp.Pipe(duplex=False)
    sending.send_bytes(b'0123456789', 2, 5)
    assert receiving.recv_bytes() == b'23456'
    sending.send_bytes(b'')
    assert receiving.recv_bytes() == b''
    buffer = bytearray(8)
    sending.send_bytes(b'abc')
    assert receiving.recv_bytes_into(buffer, 2) == 3 and buffer == b'\0\0abc\0\0\0'
    sending.send_bytes(b'too long for it')
    with pytest.raises(mp.BufferTooShort) as info:
        receiving.recv_bytes_into(buffer)
    assert info.value.args[0] == b'too long for it'
    for wrong in ((-1,), (11,), (0, 11), (0, -1)):
        with pytest.raises(ValueError):
            sending.send_bytes(b'0123456789', *wrong)
    with pytest.raises(OSError):
        sending.recv()
    with pytest.raises(OSError):
        receiving.send(1)
    sending.send_bytes(b'long')
    with pytest.raises(OSError):
        receiving.recv_bytes(maxlength=2)
    assert receiving.closed


class Point(ctypes.Structure):
    _fields_ = [('x', ctypes.c_int), ('y', ctypes.c_double)]


def test_values_and_arrays():
    number, numbers = mp.Value('d', 1.5), mp.Array('i', range(5))
    text, point = mp.Array('c', b'hello'), mp.Value(Point, 1, 2.0)
    raw = mp.RawArray(Point, 3)

    def change():
        with number.get_lock():
            number.value *= 2
        numbers[0] = 9
        numbers[3:] = [7, 8]
        text.value = text.value.upper()
        point.x += 1
        raw[2].y = 0.5
    process = mp.Process(target=change)
    process.start()
    process.join()
    assert number.value == 3 and numbers[:] == [9, 1, 2, 7, 8] and text.value == b'HELLO'
    assert (point.x, point.y) == (2, 2.0) and [each.y for each in raw] == [0, 0, 0.5]
    assert mp.RawValue('i', 4).value == 4 and len(mp.Array('d', 10)) == 10
    with pytest.raises(AttributeError):
        mp.Value('i', lock=3)


def test_values_and_arrays_of_any_object():
    value, names = mp.Value(dict, {'a': 1}), mp.Array(str, ['x', 'y'])
    raw, empty = mp.RawValue(str, 'text'), mp.RawArray(object, 2)

    def change():
        with value.get_lock(), names:
            value.value = {**value.value, 'b': [2]}
            names[1] = names[0] + 'z'
        raw.value = raw.value.upper()
        empty[0] = None
    process = mp.Process(target=change)
    process.start()
    process.join()
    assert value.value == {'a': 1, 'b': [2]} == value.get_obj() and names[:] == ['x', 'xz']
    assert raw.value == 'TEXT' and list(empty) == [None, 0] and not hasattr(raw, 'get_lock')
    with value:
        assert value.acquire() and value.release() is None
    with pytest.raises(TypeError, match="'z' is not a type code"):
        mp.Value('z')


def test_numpy_looks_at_a_shared_array():
    numpy = pytest.importorskip('numpy')
    shared = mp.Array('d', 1000)

    def fill():
        numpy.frombuffer(shared.get_obj())[:] = 2.5
    process = mp.Process(target=fill)
    process.start()
    process.join()
    assert numpy.frombuffer(shared.get_obj()).sum() == 2500


def test_managers():
    with mp.Manager() as manager:
        assert {'dict', 'list', 'Lock', 'Queue', 'Namespace'} <= set(dir(manager))
        table, items = manager.dict(a=1), manager.list([3, 1, 2])
        space, value = manager.Namespace(x=1), manager.Value('i', 5)
        array, lock = manager.Array('i', [1, 2]), manager.Lock()
        assert list(manager.Array('i', 3)) == [0, 0, 0]

        def change(n):
            with lock:
                table[n] = {'n': n}
                items.append(n)
                space.x += n
                value.value += n
                array[0] += n
        processes = [mp.Process(target=change, args=(n,)) for n in (10, 20)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert dict(table) == {'a': 1, 10: {'n': 10}, 20: {'n': 20}}
        assert sorted(items) == [1, 2, 3, 10, 20] and space.x == 31
        assert value.value == 35 and list(array) == [31, 2]


def test_a_shared_dict():
    table = mp.Manager().dict({'a': 1}, b=2)
    table.update(c=3)
    table[(1, 'x')] = [table.pop('a')]
    assert table.get('zz', 'none') == 'none' and table.setdefault('b', 5) == 2
    assert table.pop('zz', 9) == 9 and (1, 'x') in table and len(table) == 3
    assert table.copy() == {'b': 2, 'c': 3, (1, 'x'): [1]} == dict(table.items())
    assert sorted(map(str, table)) == sorted(map(str, table.keys()))
    for wrong in (lambda: table['zz'], lambda: table.pop('zz'), lambda: table.__delitem__('zz')):
        with pytest.raises(KeyError, match='zz'):
            wrong()
    table.clear()
    assert table.values() == [] and str(table) == '{}'
    with pytest.raises(KeyError):
        table.popitem()


def test_a_shared_list():
    items = mp.Manager().list([5, 'a', (1,)])
    items.insert(0, 'first')
    items.extend(range(2))
    items[1:3] = ['b']
    assert items[:] == ['first', 'b', (1,), 0, 1] and items[-1] == 1 and (1,) in items
    assert items.index('b') == 1 and items.count(0) == 1 and items.pop(0) == 'first'
    items.remove((1,))
    del items[0]
    items += [3, 2]
    items.sort(reverse=True)
    items *= 2
    items.reverse()
    other = items.copy_proxy()
    other.append(4)
    assert type(other) is type(items) and other != items and len(other) == len(items) + 1
    assert items.copy() == [0, 1, 2, 3, 0, 1, 2, 3] and items + [4] == [*items, 4]
    with pytest.raises(IndexError):
        items[99]
    with pytest.raises(ValueError):
        items.remove('nothing')


def test_shared_things_in_shared_things_live_as_long():
    manager = mp.Manager()
    table = manager.dict(inner=manager.list([1]))
    for n in range(3):
        table['inner'].append(n)
    assert list(table['inner']) == [1, 0, 1, 2]


class Counter:
    def __init__(self, start=0):
        self.n = start

    def add(self, n=1):
        self.n += n
        return self.n


class OwnManager(BaseManager):
    pass


OwnManager.register('Counter', Counter)


def test_a_manager_of_a_class_of_ones_own():
    with OwnManager() as manager:
        counter = manager.Counter(10)

        def add():
            for _ in range(10):
                counter.add()
        processes = [mp.Process(target=add) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert counter.add(0) == 40
        assert not hasattr(counter, 'n') and not hasattr(counter, 'subtract')
        with pytest.raises(AttributeError, match="Counter has no method 'subtract'"):
            counter.subtract(1)
        with pytest.raises(AttributeError):
            manager.Other
    with pytest.raises(NotImplementedError, match='address'):
        BaseManager(address=('127.0.0.1', 1))


def test_nothing_is_left_of_a_program(tmp_path):
    done = run_script('''
        import lithops.multiprocessing as mp
        from lithops.multiprocessing import _shared

        value, queue = mp.Value('i', 3), mp.Queue()
        print(_shared._state.server.pid)
        if mp.Process(target=queue.put, args=(1,)).start():
            pass
        print(queue.get())
        ''', TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, '')
    server, item = done.stdout.split()
    assert item == '1' and not os.path.exists('/proc/' + server)
    assert not [name for name in os.listdir(tmp_path) if name.startswith('lithops-mp')]


@pytest.mark.parametrize('victim', ['os.getpid()', '_shared._state.server.pid'])
def test_nothing_is_left_of_a_program_or_a_server_that_is_killed(tmp_path, victim):
    done = run_script(f'''
        import os, signal
        import lithops.multiprocessing as mp
        from lithops.multiprocessing import _shared

        mp.Queue()
        os.kill({victim}, signal.SIGKILL)
        ''', TMPDIR=str(tmp_path))
    assert done.stderr == ''
    assert not [name for name in os.listdir(tmp_path) if name.startswith('lithops-mp')]


def test_the_server_ends_with_a_program_that_is_killed():
    program = subprocess.Popen([sys.executable, '-c', textwrap.dedent('''
        import sys, time
        import lithops.multiprocessing as mp
        from lithops.multiprocessing import _shared
        mp.Lock()
        print(_shared.where().address, flush=True)
        time.sleep(600)
        ''')], stdout=subprocess.PIPE, text=True)
    address = program.stdout.readline().strip()
    program.kill()
    program.wait()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and _is_served(address):
        time.sleep(0.01)
    assert not _is_served(address)


class _Client:
    """A connection whose client sends two requests, and dies before the second's reply."""

    def __init__(self, end, queue):
        self.end = end
        self.requests = iter(['process', ((), queue, 'get', ()), ((), queue, 'qsize', ())])
        self.replies = []

    def fileno(self):
        return self.end.fileno()

    def recv(self):
        return next(self.requests)

    def send(self, reply):
        if len(self.replies) == 2:
            raise ConnectionResetError
        self.replies.append(reply)

    def close(self):
        self.end.close()


def test_a_reply_that_was_read_is_not_undone(monkeypatch):
    import socket

    from lithops.multiprocessing import _server
    for name in ('deliver_challenge', 'answer_challenge'):
        monkeypatch.setattr(_server, name, lambda connection, authkey: None)
    server, queue = _server.Server(), _server.Queue()
    ident = server.enter('process', queue)
    queue.put('item', True, None)
    end, other = socket.socketpair()
    with other, server.hang_ups:
        client = _Client(end, ident)
        server.serve(client, b'')
    assert client.replies == [None, (True, 'item')]  # that it is connected, and the first one
    assert queue.qsize() == 0  # it is the client's: the request that came after it shows


def test_a_forked_child_closes_its_parents_pipe_once():
    done = run_script('''
        import os, sys
        import lithops.multiprocessing as mp

        value = mp.Value('i', 7)
        child = os.fork()
        if child == 0:
            os._exit(value.value)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == value.value
        ''', PYTHONDEVMODE='1')
    assert (done.returncode, done.stderr) == (0, '')


def _is_served(address):
    import socket
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(address) == 0


INTERRUPT = '''
import os, signal, sys, threading, time
import lithops.multiprocessing as mp

def until_it_sleeps():
    asleep = 0
    while asleep < 20:
        with open(f'/proc/{os.getpid()}/stat') as file:
            asleep = asleep + 1 if file.read().rpartition(')')[2].split()[0] == 'S' else 0
        time.sleep(0.001)

def interrupt():
    """Ctrl-C, once the main thread waits. The signal comes to this thread: what it waits in goes
    on, as when a signal comes just before a system call begins."""
    until_it_sleeps()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

'''


def test_ctrl_c_in_a_wait_takes_nothing():
    done = run_script(INTERRUPT + textwrap.dedent('''
        queue, lock, condition = mp.Queue(), mp.Lock(), mp.Condition()
        lock.acquire()

        def wait_for_condition():
            with condition, condition:
                condition.wait()

        for wait in (queue.get, lock.acquire, wait_for_condition):
            thread = threading.Thread(target=interrupt)
            try:
                thread.start()
                wait()
                print('not interrupted')
            except KeyboardInterrupt:
                pass
            thread.join()
        queue.put('kept')
        lock.release()
        print(queue.get(timeout=60), lock.acquire(timeout=60), condition.acquire(timeout=60))
        '''))
    assert (done.returncode, done.stderr, done.stdout) == (0, '', 'kept True True\n')


def test_one_ctrl_c_ends_a_program_that_joins():
    done = run_script(INTERRUPT + textwrap.dedent('''
        process = mp.Process(target=time.sleep, args=(600,))
        process.start()
        thread = threading.Thread(target=interrupt)
        try:
            thread.start()
            process.join()
        except KeyboardInterrupt:
            print('interrupted', process.is_alive())
        thread.join()
        '''))
    assert (done.returncode, done.stderr, done.stdout) == (0, '', 'interrupted True\n')


def test_one_ctrl_c_ends_a_program_that_does_something_else():
    done = run_script('''
        import os, signal, time
        import lithops.multiprocessing as mp
        mp.Process(target=time.sleep, args=(600,)).start()
        os.kill(os.getpid(), signal.SIGINT)
        ''')
    assert done.returncode == -signal.SIGINT and 'KeyboardInterrupt' in done.stderr


def test_daemon_threads_that_wait_say_nothing_at_exit():
    done = run_script('''
        import os, threading
        import lithops.multiprocessing as mp
        queue, lock = mp.Queue(), mp.Lock()
        lock.acquire()
        waiting = threading.Barrier(5)
        for wait in (queue.get, lock.acquire) * 2:
            threading.Thread(target=lambda: (waiting.wait(), wait()), daemon=True).start()
        waiting.wait()
        queue.qsize()
        ''')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_an_answer_that_is_not_read_is_taken_back():
    from lithops.multiprocessing import _shared
    queue = mp.Queue()
    queue.put('kept')
    connection = _shared._connect(queue._server)
    connection.send(([], queue._ident, 'get', (True, None)))
    assert wait_ready([connection], 60) == [connection] and queue.empty()
    connection.close()
    assert queue.get(timeout=60) == 'kept'


def test_the_end_of_a_process_that_waits_is_the_end_of_its_pipes():
    receiving, sending = mp.Pipe(duplex=False)
    lock = mp.Lock()
    lock.acquire()
    process = mp.Process(target=lambda end: (end.send(os.getpid()), lock.acquire()),
                         args=(sending,))
    process.start()
    sending.close()
    until_it_sleeps(receiving.recv())
    process.kill()
    with pytest.raises(EOFError):
        receiving.recv()


def test_what_a_thread_has_made_outlives_it():
    done = run_script('''
        import threading
        from lithops.multiprocessing import Queue, _shared
        queues = []
        for _ in range(20):
            made = threading.Thread(target=lambda: queues.append(Queue()))
            made.start()
            made.join()
        print(_shared.call(_shared.where(), 0, 'count'))
        ''')
    assert (done.returncode, done.stderr, done.stdout) == (0, '', '20\n')


def test_objects_that_are_dropped_are_forgotten(monkeypatch):
    from lithops.multiprocessing import _server, _shared
    count = _shared.call(_shared.where(), 0, 'count')
    for _ in range(2000):
        mp.Lock()
    assert _shared.call(_shared.where(), 0, 'count') <= count
    server = _server.Server()
    for _ in range(10_000):
        server.add(server.create('me', 'Queue'), 'me', -1)
    assert len(server.entries) == 10_000 and server.count('me') == 0
    monkeypatch.setattr(time, 'monotonic', lambda: float('inf'))
    server.purge()
    assert not server.entries and not server.unreferenced


def test_the_end_of_the_server_wakes_those_that_wait():
    done = run_script('''
        import os, signal, threading
        import lithops.multiprocessing as mp
        from lithops.multiprocessing import _shared
        lock, queue, event, barrier = mp.Lock(), mp.Queue(), mp.Event(), mp.Barrier(9)
        lock.acquire()
        begun = threading.Barrier(5)

        def waiter(wait):
            begun.wait()
            try:
                wait()
            except RuntimeError as exc:
                print(exc)
        threads = [threading.Thread(target=waiter, args=(wait,))
                   for wait in (lock.acquire, queue.get, event.wait, barrier.wait)]
        for thread in threads:
            thread.start()
        begun.wait()
        os.kill(_shared._state.server.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        ''')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.count('has ended') == 4


def test_the_end_of_the_server_is_an_error_that_says_so():
    done = run_script('''
        import os, signal
        import lithops.multiprocessing as mp
        lock = mp.Lock()
        for child in open(f'/proc/self/task/{os.getpid()}/children').read().split():
            if '_server.py' in open(f'/proc/{child}/cmdline').read():
                os.kill(int(child), signal.SIGKILL)
        for _ in range(2):
            try:
                lock.acquire()
            except RuntimeError as exc:
                print(exc)
        ''')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.count('has ended') == 2


def test_the_end_of_the_server_while_a_thread_connects():
    done = run_script('''
        import os, signal, threading
        import lithops.multiprocessing as mp

        def sockets():
            return len([fd for fd in os.scandir('/proc/self/fd')
                        if os.path.exists(fd) and os.readlink(fd).startswith('socket:')])

        def acquire():
            try:
                lock.acquire()
            except RuntimeError as exc:
                print(exc)

        lock = mp.Lock()
        for child in open(f'/proc/self/task/{os.getpid()}/children').read().split():
            if '_server.py' in open(f'/proc/{child}/cmdline').read():
                server = int(child)
        os.kill(server, signal.SIGSTOP)  # it accepts nobody, but the kernel does
        before = sockets()
        thread = threading.Thread(target=acquire)
        thread.start()
        while sockets() == before:
            pass
        os.kill(server, signal.SIGKILL)
        thread.join()
        ''')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.count('has ended') == 1


def test_a_strangers_connection_is_refused():
    import socket
    import lithops.multiprocessing._shared as shared
    where = shared.where()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(where.address)
        client.sendall(b'\0\0\0\4junk')
    with pytest.raises(mp.AuthenticationError):
        shared.call(where._replace(authkey=b'guessed'), 0, 'count')
    assert mp.Lock().acquire()


def test_processes_start_processes():
    queue = mp.Queue()

    def outer(n):
        inner = mp.Process(target=queue.put, args=(n + 1,))
        inner.start()
        inner.join()
        queue.put(n)
    process = mp.Process(target=outer, args=(1,))
    process.start()
    process.join()
    assert sorted([queue.get(timeout=60), queue.get(timeout=60)]) == [1, 2]


def test_what_a_process_has_made_outlives_it(pool):
    def make():
        queue = mp.Queue()
        queue.put('made there')
        return queue
    mp.Lock()  # so that there is a place already
    assert pool.apply(make).get(timeout=60) == 'made there'


def test_many_threads_use_one_queue():
    queue, total = mp.Queue(), 400
    threads = [threading.Thread(target=lambda: [queue.put(n) for n in range(total // 8)])
               for _ in range(8)]
    for thread in threads:
        thread.start()
    values = [queue.get(timeout=60) for _ in range(total)]
    for thread in threads:
        thread.join()
    assert sorted(values) == sorted(list(range(total // 8)) * 8)


# ---- contexts and parameters ----

def test_contexts():
    for method in mp.get_all_start_methods():
        context = mp.get_context(method)
        assert context.Pool is mp.Pool and context.Queue is mp.Queue
    with pytest.raises(ValueError):
        mp.get_context('magic')
    with pytest.raises(AttributeError):
        mp.get_context().nothing
    assert mp.cpu_count() >= 1 and mp.get_start_method() == 'cloud'
    mp.set_start_method('spawn')
    mp.freeze_support()


def test_parameters(capsys, tmp_path):
    with pytest.raises(KeyError):
        mp_config.set_parameter('NOTHING', 1)
    try:
        mp_config.update({mp_config.ENV_VARS: {'FLAVOUR': 'vanilla'}}, STREAM_STDOUT=True,
                         EXPORT_EXECUTION_DETAILS=str(tmp_path))
        with mp.Pool(1) as pool:
            assert pool.apply(os.getenv, ('FLAVOUR',)) == 'vanilla'
            pool.map(print, ['one', 'two'])
        out = capsys.readouterr().out
        assert 'one\n' in out and 'two\n' in out
        assert [name for name in os.listdir(tmp_path) if name.endswith('_stats.json')]
        # as arguments of an executor, as sections of a configuration, and both
        for given in ({'worker_processes': 1}, {'localhost': {'worker_processes': 1}},
                      {'config': {'localhost': {'worker_processes': 1}}},
                      {'backend': 'localhost', 'lithops': {'storage': 'localhost'},
                       'localhost': {'worker_processes': 1}}):
            mp_config.set_parameter(mp_config.LITHOPS_CONFIG, given)
            assert mp.cpu_count() == 1
            with mp.Pool() as pool:
                assert pool.map(abs, [-1, 2]) == [1, 2]
            process = mp.Process(target=abs, args=(1,))
            process.start()
            process.join()
            assert process.exitcode == 0
    finally:
        mp_config.reset()
    assert mp_config.get_parameter(mp_config.ENV_VARS) == {}


def test_a_pool_replaces_its_processes_after_so_many_calls():
    with mp.Pool(2, remember, ('it',), maxtasksperchild=3) as pool:
        pids = collections.Counter(pool.map(in_process, range(30), chunksize=5))
        assert set(pids.values()) <= {1, 2, 3} and len(pids) >= 10
        assert pool.apply(recall, (0,)) == ('it', 1)


def test_what_a_manager_shows():
    """As upstream's, and said in docs/coming-from-lithops.md; the standard library's differ."""
    with mp.Manager() as manager:
        value, array = manager.Value('i', 3), manager.Array('i', [1, 2])
        assert str(value) == '3'
        assert array[:] == [1, 2] and type(array[:]) is list
        array[0] = 'any object'
        assert array[:] == ['any object', 2] and str(array) == "['any object', 2]"
        with pytest.raises(AttributeError, match='address'):
            manager.address


def test_exit_codes_are_the_standard_librarys():
    codes = {256: 0, 257: 1, -1: 255, 0: 0, True: 1, 'a text': 1, 3.5: 1, None: 0}
    processes = [mp.Process(target=sys.exit, args=(code,)) for code in codes]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
    assert [each.exitcode for each in processes] == list(codes.values())
