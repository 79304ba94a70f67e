# SPDX-License-Identifier: Apache-2.0
"""wait, get_result, as_completed: what they return, when, and what they raise."""

import concurrent.futures
import inspect
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import package_functions as f
import pytest

import lithops
from lithops.utils import FuturesList
from lithops.wait import ALL_COMPLETED, ALWAYS, ANY_COMPLETED


def test_get_result_of_everything_unread(fexec):
    fexec.map(f.add, [(1, 1), (2, 2)])
    fexec.map(f.add, [(3, 3), (4, 4)])
    fexec.call_async(f.one, 'last')
    assert fexec.get_result() == [2, 4, 6, 8, 'last']
    assert fexec.get_result() == []
    fexec.map(f.one, [1])
    assert fexec.get_result() == [1]
    fexec.call_async(f.one, 1)
    assert fexec.get_result() == 1
    futures = fexec.map(f.one, [5, 6])
    assert fexec.get_result(fs=futures) == [5, 6]  # named futures stay unread, as upstream
    assert fexec.get_result() == [5, 6]
    fexec.call_async(f.one, 1).result()
    assert fexec.get_result() == 1


def test_get_result_follows_the_list_of_futures(fexec):
    """What was given is noted of each call, not of its place in the list."""
    for number in range(4):
        fexec.call_async(f.one, number)
    assert fexec.get_result()[-4:] == [0, 1, 2, 3] and fexec.get_result() == []
    last = fexec.futures.pop()
    fexec.call_async(f.one, 4)
    assert fexec.get_result() == 4
    fexec.call_async(f.one, 5)
    fexec.futures.insert(0, fexec.futures.pop())
    assert fexec.get_result() == 5 and fexec.get_result() == []
    fexec.futures.append(last)
    assert fexec.get_result() == []
    fexec.map(f.one, [6, 7])
    fexec.futures = fexec.futures[::-1]
    assert fexec.get_result() == [7, 6]
    fexec.map(f.one, [8, 9])
    del fexec.futures[:-1]
    assert fexec.get_result() == [9]
    fexec.map(f.one, [1])
    fexec.futures.clear()
    assert fexec.get_result() == [] == fexec.futures
    fexec.call_async(f.one, 2)
    assert fexec.get_result() == 2


def test_get_result_of_one_future(fexec):
    future = fexec.map(f.one, [[1], 2])[0]
    assert fexec.get_result(future) == [1]
    assert lithops.get_result(future) == [1]
    assert fexec.get_result([future]) == [[1]]
    single = fexec.call_async(f.one, 3)
    assert fexec.get_result(single) == fexec.get_result([single]) == 3  # the list too: no map
    assert lithops.get_result([single]) == [3]


def test_the_shape_of_results_is_that_of_their_job(fexec):
    """Whatever job was started last, by whatever thread."""
    mapped, called = fexec.map(f.one, [7]), fexec.call_async(f.one, 8)
    assert fexec.get_result(mapped) == [7]
    reduced = fexec.map_reduce(f.one, [1, 2], f.total)
    assert fexec.get_result(mapped) == [7]
    fexec.get_result(fexec.map(f.one, [1]))
    assert fexec.get_result([called]) == 8
    assert fexec.get_result(reduced) == 3


@pytest.mark.parametrize('start', [lambda fexec: fexec.call_async(f.fail_on_two, 2),
                                   lambda fexec: fexec.map(f.fail_on_two, [2]),
                                   lambda fexec: fexec.map(f.fail_on_two, [1, 2])])
def test_an_error_is_raised_once(fexec, start):
    with pytest.raises(ValueError):
        fexec.get_result(start(fexec))
    fexec.call_async(f.one, 5)
    assert fexec.get_result() == 5


def test_none_is_a_result(fexec):
    assert fexec.get_result(fexec.map(lambda x: None if x % 2 else x, [1, 2, 3])) == [None, 2, None]
    assert fexec.get_result(fexec.call_async(f.none, 1)) is None


def test_wait_returns_lists(fexec):
    futures = fexec.map(f.one, [1, 2])
    done, not_done = fexec.wait(futures)
    assert type(done) is FuturesList and done == futures and not_done == []
    assert fexec.wait(futures[0]) == ([futures[0]], [])
    assert lithops.wait(futures) == (futures, [])
    assert fexec.wait(tuple(futures))[0] == futures
    everything, _ = fexec.wait()
    assert everything == fexec.futures
    assert done.get_result() == [1, 2]


@pytest.mark.parametrize('junk', [1, 'futures', [1], [None], {'a': 1}])
def test_what_is_no_future(fexec, junk):
    for function in (fexec.wait, fexec.get_result, lithops.wait, lithops.get_result,
                     lithops.as_completed):
        with pytest.raises(TypeError):
            function(junk)


def test_return_when(fexec):
    futures = fexec.map(f.sleep, [0, 30])
    done, not_done = fexec.wait(futures, return_when=ANY_COMPLETED)
    assert (done, not_done) == (futures[:1], futures[1:])
    assert fexec.wait(futures, return_when=ANY_COMPLETED)[0] == futures[:1]
    assert fexec.wait(futures, return_when=50)[0] == futures[:1]
    assert fexec.wait(futures, return_when=ALWAYS)[1] == futures[1:]
    with pytest.raises(TimeoutError):
        fexec.wait(futures, return_when=51, timeout=0.2)
    with pytest.raises(TimeoutError):
        fexec.wait(futures, return_when=ALL_COMPLETED, timeout=0)
    assert fexec.wait(futures, return_when=50, timeout=0)[0] == futures[:1]
    assert futures[1].cancel()
    for wrong in (101, -2, 'all', 1000):
        with pytest.raises(ValueError, match='return_when'):
            fexec.wait(futures, return_when=wrong)


def test_a_timeout_loses_nothing(fexec):
    fexec.map(f.sleep, [0.5, 0.1])
    with pytest.raises(TimeoutError):
        fexec.get_result(timeout=0.05)
    assert fexec.get_result() == [0.5, 0.1]
    fexec.call_async(f.sleep, 0.5)
    with pytest.raises(TimeoutError):
        fexec.get_result(timeout=0.05)
    assert fexec.get_result(timeout=20) == 0.5


def test_throw_except(fexec):
    futures = fexec.map(f.fail_on_two, [1, 2, 3])
    with pytest.raises(ValueError, match='two'):
        fexec.get_result()
    assert fexec.get_result() == []  # reported once, as upstream
    assert fexec.wait()[1] == []
    with pytest.raises(ValueError):
        fexec.get_result(futures)
    futures = fexec.map(f.fail_on_two, [1, 2, 3])
    assert fexec.get_result(throw_except=False) == [1, None, 3]
    done, not_done = fexec.wait(futures, throw_except=False)
    assert [future.error for future in done] == [False, True, False] and not_done == []
    with pytest.raises(ValueError):
        lithops.get_result(futures)
    assert lithops.get_result(futures, throw_except=False) == [1, None, 3]


def test_a_failure_cancels_the_rest():
    with lithops.FunctionExecutor(worker_processes=2) as fexec:
        start = time.time()
        futures = fexec.map(f.sleep, [60, 'not a number', 60, 60])
        other = fexec.map(f.one, [5])
        with pytest.raises(TypeError):
            fexec.get_result(futures)
        assert fexec.get_result() == [5] == fexec.get_result(other)
        assert fexec.wait(futures, throw_except=False, timeout=20)[1] == []
        assert time.time() - start < 30
        fexec.map(f.one, [1, 2])
        assert fexec.get_result() == [1, 2]


def test_cancelled_calls_do_not_end_a_wait(fexec):
    from concurrent.futures import CancelledError
    futures = fexec.map(f.sleep, [30, 0.5, 30])
    futures[0].cancel()
    futures[2].cancel()
    assert fexec.wait(futures) == (futures, []) == lithops.wait(futures)
    assert fexec.wait(futures, return_when=ANY_COMPLETED)[0] == futures
    assert fexec.wait()[1] == []
    with pytest.raises(CancelledError):
        fexec.get_result(futures)
    assert fexec.get_result(futures, throw_except=False) == [None, 0.5, None]


class CancelledError(Exception):
    """Has the name of the exception of concurrent.futures."""


def raise_own(error):
    raise error


@pytest.mark.parametrize('error', [CancelledError('own'),
                                   concurrent.futures.CancelledError('theirs')])
def test_errors_that_are_called_like_a_cancellation(fexec, error):
    """The future says whether a call was cancelled, not the name of an exception."""
    for wait in (fexec.wait, lithops.wait, fexec.get_result):
        with pytest.raises(type(error), match=str(error)):
            wait(fexec.map(raise_own, [error]), timeout=20)
    futures = fexec.map(raise_own, [error]) + fexec.map(f.sleep, [30])
    assert futures[1].cancel()
    with pytest.raises(type(error), match=str(error)):
        fexec.wait(futures, timeout=20)
    futures = fexec.map(f.sleep, [30, 30])
    futures[0].cancel()
    with pytest.raises(TimeoutError):
        fexec.wait(futures, timeout=0.2)
    assert futures[1].cancel()


def test_wait_for_nothing(fexec):
    assert lithops.wait(None) == lithops.wait([]) == ([], [])


def test_a_cancelled_call_is_reported_once(fexec):
    from concurrent.futures import CancelledError
    futures = fexec.map(f.sleep, [30, 0.3, 1.0])
    futures[0].cancel()
    with pytest.raises(TimeoutError):
        fexec.wait(futures, timeout=0.05)  # not a failure: nothing else is cancelled
    with pytest.raises(CancelledError):
        fexec.get_result()
    assert fexec.get_result() == [0.3, 1.0]


def test_return_exceptions(fexec):
    futures = fexec.map(f.fail_on_two, [1, 2, 3])
    for results in (fexec.get_result(futures, return_exceptions=True),
                    lithops.get_result(futures, return_exceptions=True)):
        assert results[0] == 1 and results[2] == 3
        assert type(results[1]) is ValueError and results[1].args == ('two', 2)
    single = fexec.call_async(f.fail_on_two, 2)
    assert isinstance(fexec.get_result(single, return_exceptions=True), ValueError)


def test_as_completed(fexec, tmp_path):
    end = tmp_path / 'end'
    futures = fexec.map(f.wait_for_file, [str(end), None])
    completed = lithops.as_completed(futures)
    assert next(completed) is futures[1]
    end.touch()
    assert next(completed) is futures[0]
    assert next(completed, None) is None
    failing = fexec.map(f.fail_on_two, [1, 2])
    assert {future.error for future in failing.as_completed()} == {False, True}
    assert list(lithops.as_completed([])) == []
    slow = fexec.map(f.sleep, [0, 30])
    with pytest.raises(TimeoutError):
        list(slow.as_completed(timeout=0.2))
    slow[1].cancel()
    both = fexec.map(f.one, [1]) + fexec.map(f.one, [2])
    assert {future.result() for future in lithops.as_completed(both)} == {1, 2}


def test_unordered_map_with_stragglers(fexec, tmp_path):
    """The first call ends when the others were seen: one process has to run them meanwhile."""
    end = tmp_path / 'end'
    pending = fexec.map(f.wait_for_file, [str(end), None, None, None])
    seen = []
    while pending:
        done, pending = fexec.wait(pending, return_when=ANY_COMPLETED)
        seen += [future.result() for future in done]
        if len(seen) == 3:
            end.touch()
    assert seen == [None, None, None, str(end)]


def test_futures_of_several_executors(fexec):
    with lithops.FunctionExecutor(worker_processes=1) as other:
        futures = fexec.map(f.one, [1, 2]) + other.map(f.one, [3]) + fexec.map(f.one, [4])
        assert lithops.get_result(futures) == [1, 2, 3, 4]
        assert other.get_result(futures) == [1, 2, 3, 4]
        assert fexec.wait(futures) == (futures, [])


def test_chaining(fexec):
    assert fexec.map(f.one, [1, 2, 3]).map(f.double).get_result() == [2, 4, 6]
    futures = fexec.map(f.one, [1, 2])
    assert futures.map(f.double, sync=True).map(f.double) is futures
    assert futures.get_result() == [4, 8] and len(futures.alt_list) == 6
    assert futures.wait()[1] == [] and len(futures.wait()[0]) == 6
    assert fexec.map(f.one, [((1, 2),), ((3, 4),)]).map(f.add).get_result() == [3, 7]
    assert fexec.map(f.one, [2, 3]).map_reduce(f.double, f.total).get_result() == 10


@pytest.mark.parametrize('container', [list, tuple, lambda futures: futures[:]])
def test_maps_over_futures(fexec, container):
    first = fexec.map(f.double, [1, 2])
    fexec.map(f.double, container(first))
    assert fexec.get_result() == [4, 8]


def test_maps_over_some_futures(fexec):
    first = fexec.map(f.double, [1, 2])
    fexec.map(f.double, first[:1])
    assert fexec.get_result() == [4, 4]
    with pytest.raises(ValueError, match='mixes futures'):
        fexec.map(f.double, [first[0], 3])
    assert fexec.get_result(fexec.map(f.add, first, extra_args=(100,))) == [102, 104]


def test_a_call_over_a_future(fexec):
    future = fexec.call_async(f.sleep, 0.2)
    assert fexec.call_async(f.double, future).result() == 0.4
    assert fexec.call_async(f.add, fexec.call_async(f.one, ((1, 2),))).result() == 3
    fexec.get_result()
    fexec.call_async(f.double, fexec.call_async(f.one, 4))
    assert fexec.get_result() == 8
    power = lithops.native('libm.so.6:sqrt:double(double)')
    assert fexec.call_async(power, fexec.call_async(power, 16.0)).result() == 2.0


def test_a_failure_goes_down_the_chain(fexec):
    with pytest.raises(ValueError, match='two'):
        fexec.map(f.fail_on_two, [1, 2]).map(f.double).get_result()


def test_progress_is_silent_without_a_terminal(fexec, capfd):
    fexec.get_result(fexec.map(f.sleep, [0.6]))
    assert capfd.readouterr() == ('', '')


def test_progress_on_a_terminal(run_script):
    pytest.importorskip('tqdm')
    text = '''
        import lithops, sys
        sys.stderr.isatty = lambda: True
        def f(x):
            import time; time.sleep(x)
            if x == 0.7: raise ValueError('seven')
            return x
        with lithops.FunctionExecutor() as fexec:
            print(fexec.get_result(fexec.map(f, [0.6, 0.1])))
            print(fexec.get_result(fexec.map(f, [0.6]), show_progressbar=False))
            try: fexec.get_result(fexec.map(f, [0.1, 0.7]))
            except ValueError as e: print(e)
            fexec.map(f, [3])
            try: fexec.get_result(timeout=0.4)
            except TimeoutError as e: print('late')
        '''
    done = run_script(text)
    assert done.stdout.splitlines() == ['[0.6, 0.1]', '[0.6]', 'seven', 'late']
    assert '2/2' in done.stderr and 'Traceback' not in done.stderr


def test_progress_tells_of_workers_elsewhere(run_script):
    pytest.importorskip('tqdm')
    text = '''
        import lithops, sys
        sys.stderr.isatty = lambda: True
        def f(x):
            import time; time.sleep(x)
            return x
        config = {'lithops': {'backend': 'process'},
                  'process': {'workers': 2, 'worker_processes': 3}}
        with lithops.FunctionExecutor(config=config) as fexec:
            fexec.get_result(fexec.map(f, [0, 0]))
            future = fexec.map(f, [1, 1])
            print(fexec.get_result(future), future[0].stats['worker_host'][:8])
        '''
    done = run_script(text)
    assert done.stdout.splitlines() == ['[1, 1] process-']
    assert 'workers, 6 processes' in done.stderr


def children_of(pid):
    out = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(pid)], capture_output=True, text=True)
    return [int(line) for line in out.stdout.split()]


def until_it_sleeps(pid):
    """Wait until a thread waits (of a process: the main one): twenty looks have found it asleep."""
    asleep = 0
    while asleep < 20:
        with open(f'/proc/{pid}/stat') as file:
            asleep = asleep + 1 if file.read().rpartition(')')[2].split()[0] == 'S' else 0
        time.sleep(0.001)


@pytest.mark.parametrize('statement, cancels, takes', [
    ('fexec.get_result()', True, True), ('fexec.wait()', True, True),
    ('fexec.futures[0].result()', False, False), ('lithops.wait(fexec.futures)', True, False),
    ('lithops.get_result(fexec.futures)', True, False),
    ('next(lithops.as_completed(fexec.futures))', False, False)])
def test_ctrl_c(tmp_path, statement, cancels, takes):
    """`cancels`: nothing of it is left to wait for; `takes`: nor to be read."""
    script = tmp_path / 'script.py'
    script.write_text(f'''
import lithops, sys, time, package_functions as f
fexec = lithops.FunctionExecutor(worker_processes=2)
folder = {str(tmp_path)!r}
fexec.map(f.sleep_with_mark, [(folder + '/a', 60), (folder + '/b', 60), (folder + '/c', 60)])
try:
    {statement}
except KeyboardInterrupt:
    print('interrupted', flush=True)
    if {cancels}:
        print('left', fexec.wait(throw_except=False, timeout=10)[1], flush=True)
    if {takes}:
        print('unread', fexec.get_result(), flush=True)
''')
    start = time.time()
    process = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, 'PYTHONPATH': os.path.dirname(__file__)})
    try:
        while not ((tmp_path / 'a').exists() and (tmp_path / 'b').exists()):
            assert time.time() - start < 20 and process.poll() is None
            time.sleep(0.02)
        until_it_sleeps(process.pid)
        workers = children_of(process.pid)
        assert len(workers) >= 2
        interrupted = time.time()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert time.time() - interrupted < 10
    expected = ['interrupted'] + ['left []'] * cancels + ['unread []'] * takes
    assert out.splitlines() == expected, err
    assert not (tmp_path / 'c').exists()
    end = time.time() + 5
    while any(os.path.exists(f'/proc/{pid}') for pid in workers):
        assert time.time() < end, 'processes are left'
        time.sleep(0.05)


def test_signal_handlers_are_the_programs(fexec):
    """SIGALRM is not used; a handler that raises ends the wait, and the calls go on."""
    class Alarm(Exception):
        pass

    def ring(number, frame):
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        futures = fexec.map(f.sleep, [1.0])
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Alarm):
            fexec.get_result(timeout=30)
        signal.setitimer(signal.ITIMER_REAL, 50)
        assert fexec.get_result(futures, timeout=20) == [1.0]
        assert signal.getsignal(signal.SIGALRM) is ring
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_several_threads(fexec):
    failures = []

    def work(n):
        try:
            for i in range(30):
                assert fexec.call_async(f.double, n * i).result() == 2 * n * i
            assert fexec.get_result(fexec.map(f.double, range(n))) == list(range(0, 2 * n, 2))
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


def test_a_result_that_cannot_be_loaded(fexec):
    """Only that call fails, and the error names it."""
    futures = fexec.map(f.return_needs_two, [0, 1, 2])
    for _ in range(2):
        results = fexec.get_result(futures, return_exceptions=True)
        assert results[::2] == [0, 2] and futures[1].key in str(results[1])
        assert 'NeedsTwo' in str(results[1]) or 'second' in str(results[1])
        assert isinstance(results[1].__cause__, TypeError)
    assert fexec.get_result(futures, throw_except=False) == [0, None, 2]
    with pytest.raises(ValueError, match=f'{futures[1].key} cannot be loaded'):
        fexec.get_result(futures)
    with pytest.raises(ValueError, match='cannot be loaded'):
        futures[1].result()
    assert futures[0].result() == 0 and not futures[1].error


def test_daemon_threads_at_exit(run_script):
    """They stay blocked, and no cancellation error is printed."""
    done = run_script(inspect.getsource(until_it_sleeps) + textwrap.dedent("""
        import threading, time
        import lithops
        fexec = lithops.FunctionExecutor(worker_processes=1)
        futures = fexec.map(time.sleep, [60, 60])
        fexec.config
        waiting = [lambda: futures[0].result(), lambda: fexec.get_result(futures),
                   lambda: fexec.wait(futures), lambda: list(lithops.as_completed(futures)),
                   lambda: lithops.wait(futures)]
        threads = [threading.Thread(target=wait, daemon=True) for wait in waiting]
        for thread in threads:
            thread.start()
        for thread in threads:
            until_it_sleeps(thread.native_id)
    """))
    assert done.stderr == ''
