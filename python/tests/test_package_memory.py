# SPDX-License-Identifier: Apache-2.0
"""Which results are kept in memory, and when they are freed."""

import gc
import os
import re
import subprocess
import sys
import time
import weakref

import numpy
import pytest

import lithops
from lithops.constants import LITHOPS_TEMP_DIR
from lithops.wait import executors

MIB = 1 << 20


def megabyte(x):
    return bytes([x % 256]) * MIB


def array(x):
    return numpy.full(MIB, float(x))


def small(x):
    return b'x' * 1000


def shared_mib():
    with open('/proc/self/status') as status:
        return int(re.search(r'RssShmem:\s+(\d+) kB', status.read())[1]) // 1024


@pytest.fixture
def fexec():
    with lithops.FunctionExecutor(worker_processes=2) as fexec:
        yield fexec


@pytest.mark.parametrize('function, count', [(megabyte, 64), (array, 8)])
def test_results_that_nobody_can_reach_make_room(fexec, function, count):
    for _ in range(4):
        fexec.map(function, range(count)).get_result()
    after_four = shared_mib()
    for _ in range(12):
        fexec.map(function, range(count)).get_result()
    assert shared_mib() < after_four + 2 * 64 + 32


def test_the_last_batch_goes_with_its_futures(fexec):
    fexec.get_result(fexec.map_reduce(small, range(4), len))  # from now on lists are looked through
    before = shared_mib()
    for batch in range(3):
        fexec.get_result(fexec.map(megabyte, range(100 + batch)))
    futures = fexec.map(megabyte, range(100))
    fexec.get_result(futures)
    del futures
    end = time.monotonic() + 30  # the supervisor gives unused memory back after a while
    while shared_mib() >= before + 64:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_results_in_somebodys_hands_stay(fexec):
    held = fexec.map(megabyte, range(40))
    arrays = fexec.map(array, range(5)).get_result()  # the arrays alone
    first = held.get_result()
    for _ in range(12):
        fexec.map(megabyte, range(40)).get_result()
    gc.collect()
    assert held.get_result() == first == [megabyte(x) for x in range(40)]
    assert all((one == x).all() for x, one in enumerate(arrays))
    chained = fexec.map(len, held)
    assert chained.get_result() == [MIB] * 40


def test_untaken_and_held_results_stay(fexec):
    held = fexec.map(small, range(100))
    held.get_result()
    references = sys.getrefcount(fexec.futures[0])
    untaken = fexec.map(megabyte, range(20))
    untaken.wait()
    del untaken
    for _ in range(10):
        fexec.get_result(fexec.map(megabyte, range(40)))
    assert held[0].result() == small(0)
    assert fexec.futures[100].result() == megabyte(0)
    assert sys.getrefcount(fexec.futures[0]) < references + 3  # not one for each of ten jobs


def test_what_was_released_says_so(fexec):
    for _ in range(10):
        fexec.map(megabyte, range(40)).get_result()
    fexec.call_async(small, 1).result()
    with pytest.raises(Exception, match='hold futures whose results are to be read twice'):
        fexec.futures[0].result()
    assert fexec.futures[0].stats['worker_func_exec_time'] >= 0


def test_little_shared_memory_is_enough():
    with lithops.FunctionExecutor(worker_processes=1, shared_memory=64) as fexec:
        for x in range(40):
            assert fexec.call_async(array, x).result()[-1] == x


def test_bytes_in_warm_memory_are_like_others(fexec):
    """Memory of dropped results is reused; results that are held never change."""
    held = {}
    for turn in range(6):
        results = fexec.map(megabyte, range(turn * 40, turn * 40 + 40)).get_result()
        assert results == [megabyte(x) for x in range(turn * 40, turn * 40 + 40)]
        assert len({hash(result) for result in results}) == 40
        held[turn] = results[turn], hash(results[turn]), memoryview(results[turn + 1])
        del results
    for turn, (result, hashed, view) in held.items():
        assert result == megabyte(turn * 41) and hash(result) == hashed == hash(bytes(result))
        assert bytes(view) == megabyte(turn * 41 + 1)


def test_results_of_calls_over_futures_make_room():
    with lithops.FunctionExecutor(worker_processes=1, shared_memory=64) as fexec:
        for _ in range(30):
            assert len(fexec.call_async(eight_megabytes, fexec.call_async(small, 1)).result()) > MIB


def eight_megabytes(x):
    return bytes(8 * MIB)


def first_and_size(data):
    return data[0], len(data)


def test_inputs_of_calls_that_are_done_make_room():
    """320 MiB of them go through 64 MiB of shared memory, though all futures are held."""
    with lithops.FunctionExecutor(worker_processes=2, shared_memory=64) as fexec:
        futures = []
        for i in range(40):
            futures.append(fexec.call_async(first_and_size, bytes([i]) * (8 * MIB)))
            futures[max(0, i - 2)].result()
        assert [future.result() for future in futures] == [(i, 8 * MIB) for i in range(40)]
        for i in range(10):
            futures = fexec.map(first_and_size, [numpy.full(8 * MIB, i, 'u1')] * 4)
            assert fexec.get_result(futures) == [(i, 8 * MIB)] * 4


# ---- the steady state ----------------------------------------------------------------------------

def pss_mib(pid):
    try:
        with open(f'/proc/{pid}/smaps_rollup') as file:
            return int(re.search(r'Pss:\s+(\d+)', file.read())[1]) // 1024
    except OSError:
        return 0


def used_mib():
    """Of this process and its workers; shared memory counts once."""
    total = pss_mib('self')
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat') as file:
                parent = int(file.read().rpartition(')')[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            total += pss_mib(pid)
    return total


def ends_within_64_mib(start):
    deadline = time.monotonic() + 20  # memory goes back a moment after the last result
    while used_mib() > start + 64 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert used_mib() <= start + 64


def begin(fexec):
    assert fexec.call_async(abs, -1).result() == 1
    return used_mib()


def test_batches_that_are_cleaned(fexec):
    start = begin(fexec)
    for _ in range(20):
        assert len(fexec.get_result(fexec.map(bytes, [10_000] * 2000))) == 2000
        fexec.clean()
    assert not fexec.futures
    ends_within_64_mib(start)


def test_batches_never_read_that_are_cleaned(fexec):
    start = begin(fexec)
    for _ in range(20):
        fexec.wait(fexec.map(bytes, [10_000] * 2000))
        fexec.clean()
    ends_within_64_mib(start)


@pytest.mark.parametrize('empty', [lambda fexec: fexec.futures.clear(),
                                   lambda fexec: setattr(fexec, 'futures', []),
                                   lambda fexec: fexec.futures.__delitem__(slice(None)),
                                   lambda fexec: None])
def test_batches_whose_futures_are_cleared(fexec, empty):
    start = begin(fexec)
    for _ in range(20):
        fexec.get_result(fexec.map(bytes, [10_000] * 2000))
        empty(fexec)
    ends_within_64_mib(start)


def test_a_stream(fexec):
    start = begin(fexec)
    for count, future in enumerate(lithops.as_completed(fexec.map(bytes, [200_000] * 2000))):
        assert len(future.result()) == 200_000
        del future
    assert count == 1999
    ends_within_64_mib(start)


def test_huge_results_one_after_the_other(fexec):
    start = begin(fexec)
    for _ in range(3):
        assert len(fexec.get_result(fexec.call_async(bytes, 300_000_000))) == 300_000_000
    fexec.clean()
    ends_within_64_mib(start)


def many_objects(x):
    return len([(i, str(i)) for i in range(500_000)])


def many_blocks(x):
    return len([bytearray(5000) for _ in range(20_000)])


@pytest.mark.parametrize('function', [many_objects, many_blocks])
def test_memory_of_calls(fexec, function):
    start = begin(fexec)
    assert fexec.get_result(fexec.map(function, range(6)))
    ends_within_64_mib(start)


def test_pools_keep_nothing():
    from lithops.concurrent.futures import ProcessPoolExecutor
    from lithops.multiprocessing import Pool
    start = used_mib()
    with Pool(2) as pool:
        for _ in range(15):
            assert len(pool.map(bytes, [10_000] * 2000)) == 2000
        ends_within_64_mib(start)
        assert sum(map(len, pool.imap(bytes, [200_000] * 1000))) == 200_000_000
        assert sum(map(len, pool.imap_unordered(bytes, [200_000] * 1000))) == 200_000_000
        ends_within_64_mib(start)
    with ProcessPoolExecutor(2) as pool:
        for _ in range(15):
            assert len(list(pool.map(bytes, [10_000] * 2000))) == 2000
    ends_within_64_mib(start)


def memory_group(limit):
    """A control group with this limit; skips where none can be made."""
    for root, name in (('/sys/fs/cgroup/memory', 'memory.limit_in_bytes'),
                       ('/sys/fs/cgroup', 'memory.max')):
        folder = f'{root}/lithops-test-{os.getpid()}'
        try:
            os.mkdir(folder)
        except OSError:
            continue
        try:
            with open(f'{folder}/{name}', 'w') as file:
                file.write(str(limit))
            swap = f'{folder}/memory.swap.max'
            if os.path.exists(swap):
                with open(swap, 'w') as file:
                    file.write('0')
            return folder
        except OSError:
            os.rmdir(folder)
    pytest.skip('no memory control group can be made here')


def test_a_container_that_is_out_of_memory(tmp_path):
    """The kernel ends the call's process; the call has no limit of its own."""
    folder = memory_group(300 * MIB)
    script = tmp_path / 'script.py'
    script.write_text(f'''if True:
        with open({folder + '/cgroup.procs'!r}, 'w') as file:
            file.write('0')
        import lithops

        def fill(mib):
            return len(bytearray(mib << 20))

        with lithops.FunctionExecutor(worker_processes=1) as fexec:
            assert fexec.call_async(fill, 1).result() == 1 << 20
            try:
                fexec.call_async(fill, 1000).result()
            except MemoryError as exc:
                print(exc)
            assert fexec.call_async(fill, 2).result() == 2 << 20
            try:
                fexec.call_async(lambda x: __import__('os').kill(__import__('os').getpid(), 9),
                                 1).result()
            except RuntimeError as exc:
                print(exc)
        ''')
    try:
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True,
                              timeout=120)
    finally:
        for _ in range(100):  # the kernel lets go of the processes a moment after their end
            try:
                os.rmdir(folder)
                break
            except OSError:
                time.sleep(0.05)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert 'out-of-memory killer' in first and 'signal 9' in second


def test_what_calls_leave_in_their_process_is_no_later_calls_harm(tmp_path, monkeypatch):
    (tmp_path / 'keeping.py').write_text('kept = []\n')
    monkeypatch.syspath_prepend(str(tmp_path))

    def keep(x):
        import keeping
        keeping.kept.append(bytearray(os.urandom(1) * 20_000_000))
        return len(keeping.kept)
    with lithops.FunctionExecutor(worker_processes=1, runtime_memory=300) as fexec:
        kept = fexec.map(keep, range(30)).get_result()
    assert len(kept) == 30 and 1 < max(kept) < 15 and kept.count(1) >= 3

# ---- every way to come to an end ------------------------------------------------------------------

def some_fail(x):
    if x == 7:
        raise ValueError(x)
    return bytes(MIB)


def total(results):
    return sum(map(len, results))


def slow_and_big(path):
    with open(path):  # a pipe: until somebody writes
        return bytes(MIB)


def fits_50_mib(fexec):
    return len(fexec.call_async(bytes, 50 * MIB).result()) == 50 * MIB


@pytest.fixture
def small_fexec():
    with lithops.FunctionExecutor(worker_processes=1, shared_memory=100) as fexec:
        yield fexec


def get_failed(fexec):
    with pytest.raises(ValueError):
        fexec.get_result(fexec.map(some_fail, range(20)))


def get_failed_of_all(fexec):
    fexec.map(some_fail, range(20))
    with pytest.raises(ValueError):
        fexec.get_result()


def wait_failed(fexec):
    with pytest.raises(ValueError):
        fexec.wait(fexec.map(some_fail, range(20)))


def wait_without_raising(fexec):
    fexec.wait(fexec.map(some_fail, range(20)), throw_except=False)


def return_exceptions(fexec):
    results = fexec.get_result(fexec.map(some_fail, range(20)), return_exceptions=True)
    assert isinstance(results[7], ValueError)


def reduce_failed(fexec):
    with pytest.raises(ValueError):
        fexec.get_result(fexec.map_reduce(some_fail, range(20), total))


def cancel_all(fexec):
    futures = fexec.map(megabyte, range(20))
    for future in futures:
        future.cancel()


def drop_some(fexec):
    for future in lithops.as_completed(fexec.map(megabyte, range(20))):
        future.result()
        break


def call_back(fexec):
    seen = []
    futures = fexec.map(megabyte, range(20))
    for future in futures:
        future.add_done_callback(lambda future: seen.append(len(future.result())))
    fexec.wait(futures)


def retry(fexec):
    retrying = lithops.RetryingFunctionExecutor(fexec)
    futures = retrying.map(some_fail, range(20), retries=1)
    retrying.wait(futures, throw_except=False)
    retrying.clean(futures)


WAYS = [get_failed, get_failed_of_all, wait_failed, wait_without_raising, return_exceptions,
        reduce_failed, cancel_all, drop_some, call_back, retry]


@pytest.mark.parametrize('way', WAYS)
def test_nothing_is_left_however_a_job_ends(small_fexec, way):
    for _ in range(8):
        way(small_fexec)
        small_fexec.clean(force=True)
    assert fits_50_mib(small_fexec)


def test_a_job_is_cleaned_whichever_of_its_futures_is_given(small_fexec):
    for _ in range(8):
        futures = small_fexec.map(megabyte, range(20))
        small_fexec.wait(futures)
        small_fexec.clean(futures[3])
        assert not small_fexec.futures
        del futures
    assert fits_50_mib(small_fexec)
    small_fexec.clean()
    small_fexec.map(some_fail, [7])
    kept = small_fexec.call_async(small, 1)
    small_fexec.wait(throw_except=False)
    small_fexec.clean(small_fexec.futures[:1])
    assert small_fexec.futures == [kept] and small_fexec.get_result() == small(1)


def test_input_of_other_jobs_makes_room(small_fexec):
    """Nothing is read by the client, nothing cleaned."""
    for _ in range(12):
        assert small_fexec.map(megabyte, range(20)).map(len).get_result() == [MIB] * 20
    for _ in range(12):
        assert small_fexec.map_reduce(megabyte, range(20), total).get_result() == 20 * MIB
    for _ in range(200):
        assert small_fexec.call_async(len, small_fexec.call_async(bytes, MIB)).result() == MIB


def test_a_result_that_is_held_stays_though_other_jobs_have_read_it(small_fexec):
    held = small_fexec.map(megabyte, range(10))
    for _ in range(30):
        assert small_fexec.map(len, held).get_result() == [MIB] * 10
        small_fexec.map_reduce(megabyte, range(10), total).get_result()
    assert held.get_result() == [megabyte(x) for x in range(10)]


def test_exceptions_hold_no_results(small_fexec):
    held = []
    for way in range(20):
        futures = small_fexec.map(some_fail, range(20))
        try:
            if way % 5 == 0:
                small_fexec.get_result(futures)
            elif way % 5 == 1:
                lithops.get_result(futures)
            elif way % 5 == 2:
                futures.get_result()
            elif way % 5 == 3:
                small_fexec.wait(futures)
            else:
                small_fexec.wait(futures, throw_except=False)
                futures[7].result()
        except ValueError as error:
            held.append(error)
        del futures
        small_fexec.clean(force=True)
    assert len(held) == 20 and fits_50_mib(small_fexec)


def test_the_executor_keeps_nothing_of_jobs_that_were_cleaned():
    def count(value):
        return len(value) if hasattr(value, '__len__') else 0
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        def run():
            fexec.call_async(len, fexec.call_async(bytes, 3)).result()
            get_failed(fexec)
            fexec.wait(fexec.map(some_fail, range(10)), throw_except=False)
            fexec.clean(force=True)
            return {name: count(value) for name, value in vars(fexec).items()}
        before = run()
        for _ in range(20):
            after = run()
        del before['_cleaned'], after['_cleaned']
        assert after == before
        for _ in range(11):
            for _ in range(1000):
                fexec.call_async(small, 1)
            fexec.clean(force=True)
        assert len(fexec.cleaned_jobs) == 10_000


def test_attributes_go_with_their_future(fexec):
    class Note:
        pass
    future = fexec.call_async(small, 1)
    future.note = note = Note()
    gone = weakref.ref(note)
    del note
    fexec.wait()
    fexec.clean()
    assert future.note is gone()
    del future
    assert gone() is None


def test_results_read_one_by_one_are_not_remembered_for_ever(fexec):
    futures = fexec.map(abs, range(340_000))
    for future in futures:
        future.result()
    del futures, future
    assert fexec.call_async(abs, -1).result() == 1
    assert fexec.call_async(abs, -2).result() == 2
    assert 200_000 < len(fexec.futures) < 300_000
    assert len(fexec.get_result()) == len(fexec.futures)


def test_many_executors():
    """Each goes without a trace: threads, descriptors, children, folders, memory."""
    sessions = []

    def open_one(how):
        fexec = lithops.FunctionExecutor(worker_processes=1)
        sessions.append(fexec.executor_id.partition('-')[0])
        assert len(fexec.get_result(fexec.map(small, range(10)))) == 10
        if how == 0:
            fexec.close()
        elif how == 1:
            fexec.clean(on_exit=True)

    def traces():
        gc.collect()
        names = [name for _, folders, files in os.walk(LITHOPS_TEMP_DIR)
                 for name in folders + files if sessions[0] in name]
        return (len(os.listdir('/proc/self/task')), len(os.listdir('/proc/self/fd')), len(names),
                len(executors))
    for how in range(3):
        open_one(how)
    before, start = traces(), used_mib()
    for count in range(60):
        open_one(count % 3)
    deadline = time.monotonic() + 10
    while any(map(int.__gt__, traces(), before)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(int.__gt__, traces(), before)), (traces(), before)
    ends_within_64_mib(start)

