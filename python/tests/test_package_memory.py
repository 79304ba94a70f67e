# SPDX-License-Identifier: Apache-2.0
"""What is remembered of results: all that somebody can still ask for, but not for ever."""

import gc
import os
import re
import subprocess
import sys
import time

import numpy
import pytest

import lithops

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


def test_small_and_untaken_results_stay(fexec):
    fexec.map(small, range(100)).get_result()
    untaken = fexec.map(megabyte, range(20))
    untaken.wait()
    del untaken
    for _ in range(10):
        fexec.get_result(fexec.map(megabyte, range(40)))
    assert fexec.futures[0].result() == small(0)
    assert fexec.futures[100].result() == megabyte(0)
    assert sys.getrefcount(fexec.futures[0]) < 10


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
    """Results that are dropped lend their memory to new ones; those that are held never change."""
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
    assert 'memory was out' in first and 'signal 9' in second
