# SPDX-License-Identifier: Apache-2.0
"""Futures: states, outcomes, statistics, callbacks, pickling."""

import asyncio
import concurrent.futures
import copy
import pickle
import threading
import time
import traceback

import package_functions as f
import pytest

import lithops
from lithops.future import ResponseFuture


def test_identity(fexec):
    futures = fexec.map(f.one, [1, 2])
    first, second = futures
    assert isinstance(first, ResponseFuture) and type(first) is ResponseFuture
    assert (first.call_id, second.call_id) == ('00000', '00001')
    assert first.executor_id == fexec.executor_id and first.job_id.startswith('M')
    assert first.job_key == f'{first.executor_id}-{first.job_id}'
    assert first.activation_id != second.activation_id
    assert first.function_name == 'one' and first.backend == fexec.backend
    assert len({first, second, first}) == 2 and first != second
    assert fexec.call_async(f.one, 1).job_id.startswith('A')
    assert not hasattr(first, '__dict__')


def test_attributes_of_programs(fexec):
    first, second = fexec.map(f.one, [1, 2])
    first.note = 'mine'
    assert fexec.futures[-2].note == first.note == 'mine' and not hasattr(second, 'note')
    second.note = [first.note]
    del first.note
    with pytest.raises(AttributeError, match="no attribute 'note'"):
        first.note
    for wrong in (lambda: delattr(first, 'note'), lambda: setattr(first, 'call_id', 'x'),
                  lambda: setattr(first, 'result', None), lambda: delattr(first, 'done')):
        with pytest.raises(AttributeError):
            wrong()
    assert second.note == ['mine'] and fexec.get_result([first, second]) == [1, 2]


def test_states(fexec):
    future = fexec.call_async(f.one, 5)
    assert future.result() == 5
    assert future.done and future.ready and future.success
    assert not (future.error or future.running or future.invoked or future.new or future.futures)
    assert future.cancelled() is False and future.cancel() is False
    failed = fexec.call_async(f.fail_on_two, 2)
    failed.wait()
    assert failed.done and failed.error and not failed.success
    assert (future._state, failed._state) == (
        ResponseFuture.State.Done, ResponseFuture.State.Error)


def test_running_and_waiting():
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        running = fexec.call_async(f.sleep, 30)
        waiting = fexec.call_async(f.one, 1)
        end = time.time() + 20
        while not running.running and time.time() < end:
            time.sleep(0.01)
        assert running.running and not running.done
        assert waiting.invoked and not waiting.running
        assert waiting.status(check_only=True) is None
        with pytest.raises(TimeoutError):
            waiting.exception(timeout=0.05)


# Every key that upstream's statistics have.
STATS = '''func_data_size_bytes func_module_size_bytes func_result_size host_data_upload_time
    host_func_upload_time host_job_create_tstamp host_job_created_time host_job_serialize_time
    host_result_done_tstamp host_result_query_count host_status_done_tstamp
    host_status_query_count host_submit_tstamp worker_calls worker_cold_start worker_end_tstamp
    worker_exec_time worker_func_cpu_system_time worker_func_cpu_usage worker_func_cpu_user_time
    worker_func_end_tstamp worker_func_exec_time worker_func_recv_net_io worker_func_rss
    worker_func_sent_net_io worker_func_start_tstamp worker_func_uss worker_func_vms
    worker_peak_memory_end worker_peak_memory_start worker_result_upload_time
    worker_start_tstamp'''.split()


def test_stats_and_status(fexec):
    future = fexec.call_async(f.sleep, 0.05)
    assert future.result() == 0.05
    stats = future.stats
    assert set(STATS) <= set(stats)
    assert 0.05 <= stats['worker_func_exec_time'] <= stats['worker_exec_time'] < 10
    assert stats['host_submit_tstamp'] <= stats['worker_start_tstamp'] <= stats['worker_end_tstamp']
    status = future.status()
    assert status['exception'] is False and status['type'] == '__end__'
    assert status['call_id'] == '00000' and status['activation_id'] == future.activation_id
    # The later one asks, the better the clock rate is known.
    assert status['worker_end_tstamp'] == pytest.approx(stats['worker_end_tstamp'], abs=0.001)


def test_status_of_a_failed_call(fexec):
    future = fexec.call_async(f.fail_on_two, 2)
    with pytest.raises(ValueError):
        future.status()
    assert future.status(throw_except=False)['exception'] is True
    assert future.result(throw_except=False) is None


def test_the_same_object_again(fexec):
    future = fexec.call_async(f.one, [1, 2])
    assert future.result() is future.result()
    assert future.result() is fexec.get_result(future)


def test_exceptions(fexec):
    future = fexec.call_async(f.fail_oddly, 42)
    for _ in range(2):
        with pytest.raises(f.OddError, match='code 42') as caught:
            future.result()
        assert (caught.value.code, caught.value.hint) == (42, 'look there')
    assert isinstance(future.exception(), f.OddError)
    assert fexec.call_async(f.one, 1).exception() is None


def test_the_remote_traceback_is_shown(fexec):
    with pytest.raises(ValueError) as caught:
        fexec.call_async(f.fail_on_two, 2).result()
    assert caught.value.args == ('two', 2)
    text = ''.join(traceback.format_exception(caught.value))
    assert 'fail_on_two' in text and "raise ValueError('two', x)" in text


def test_an_exception_that_is_called_otherwise(fexec):
    with pytest.raises(f.TwoPartError) as caught:
        fexec.call_async(f.fail_in_two_parts, 1).result()
    assert caught.value.args == ('2: outer',) and caught.value.code == 2
    cause = caught.value.__cause__.__cause__
    assert type(cause) is f.TwoPartError and str(cause) == '1: inner' and cause.code == 1
    assert 'in fail_in_two_parts' in str(caught.value.__cause__)


def test_an_unpicklable_exception(fexec):
    with pytest.raises(Exception, match='cannot travel'):
        fexec.call_async(f.fail_unpicklably, 1).result()


def test_exit_in_a_call(fexec):
    with pytest.raises(SystemExit) as caught:
        fexec.call_async(exit, 3).result()
    assert caught.value.code == 3


@pytest.mark.parametrize('number,word', [(11, 'Segmentation fault'), (9, 'Killed')])
def test_a_crash(fexec, number, word):
    futures = fexec.map(f.die, [number])
    with pytest.raises(RuntimeError, match=word):
        fexec.get_result(futures)
    assert fexec.call_async(f.one, 1).result() == 1


def test_a_timeout(fexec):
    start = time.time()
    with pytest.raises(TimeoutError):
        fexec.call_async(f.sleep, 60, timeout=1).result()
    assert time.time() - start < 20


def test_too_much_memory():
    with lithops.FunctionExecutor(worker_processes=1, runtime_memory=300) as fexec:
        with pytest.raises(MemoryError):
            fexec.call_async(lambda n: len(b'x' * n), 2_000_000_000).result()
        assert fexec.call_async(f.one, 1).result() == 1


def test_cancel(tmp_path):
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        mark = tmp_path / 'mark'
        running = fexec.call_async(f.sleep_with_mark, (str(mark), 60))
        waiting = fexec.call_async(f.one, 1)
        end = time.time() + 20
        while not mark.exists() and time.time() < end:
            time.sleep(0.01)
        assert waiting.cancel() and waiting.cancelled()
        assert running.cancel() and running.cancelled() and running.done and not running.cancel()
        for future in (waiting, running):
            with pytest.raises(concurrent.futures.CancelledError):
                future.result()
            assert future.cancelled() and future.canceled and future.error and future.done
            with pytest.raises(concurrent.futures.CancelledError):
                future.exception()
        assert fexec.call_async(f.one, 2).result() == 2


def test_output_with_a_nul(fexec):
    future = fexec.call_async(f.print_nul, 1)
    future.wait()
    assert future.logs == 'a\ufffd1\n'


def test_sizes_of_inputs(fexec):
    small, big = fexec.call_async(f.one, 1), fexec.call_async(len, b'x' * 100_000)
    more = fexec.map(len, [b'x' * 1000, b'x' * 2000])
    assert fexec.get_result([small, big, *more]) == [1, 100_000, 1000, 2000]
    assert 0 < small.stats['func_data_size_bytes'] < 100
    assert 100_000 <= big.stats['func_data_size_bytes'] < 101_000
    assert 3000 <= more[0].stats['func_data_size_bytes'] < 4000


@pytest.mark.parametrize('count', [128_950, 1 << 20])
def test_long_messages(fexec, count):
    with pytest.raises(ValueError) as raised:
        fexec.call_async(f.raise_long, count).result()
    assert str(raised.value) == 'm' * count


def test_callbacks(fexec):
    seen, done = [], threading.Event()

    def note(future):
        seen.append((future.result(), threading.current_thread()))
        if len(seen) == 2:
            done.set()

    future = fexec.call_async(f.sleep, 0.2)
    future.add_done_callback(note)
    future.wait()
    future.add_done_callback(note)  # of a call that is done
    assert done.wait(20)
    assert [result for result, _ in seen] == [0.2, 0.2]


def test_callbacks_of_a_future_run_in_order(fexec):
    for _ in range(20):
        future, seen, last = fexec.call_async(f.sleep, 0.005), [], threading.Event()
        for i in range(6):
            future.add_done_callback(lambda _, i=i: seen.append(i))
        future.add_done_callback(lambda _: last.set())
        assert last.wait(20) and seen == list(range(6))


def test_callbacks_of_failed_calls(fexec):
    done = threading.Event()
    fexec.call_async(f.fail_on_two, 2).add_done_callback(lambda future: done.set())
    assert done.wait(20)


def test_await(fexec):
    async def several():
        futures = fexec.map(f.double, [1, 2, 3])
        assert await futures[0] == 2
        assert await asyncio.gather(*(wrap(future) for future in futures)) == [2, 4, 6]
        with pytest.raises(ValueError):
            await fexec.call_async(f.fail_on_two, 2)
        slow = fexec.call_async(f.sleep, 60)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wrap(slow), 0.2)
        slow.wait(20)
        assert slow.cancelled()
        return 'end'

    async def wrap(future):
        return await future

    assert asyncio.run(several()) == 'end'


def test_pickled_futures_keep_their_outcome(fexec):
    future, failed = fexec.call_async(f.sleep, 0.1), fexec.call_async(f.fail_on_two, 2)
    copies = pickle.loads(pickle.dumps([future, failed]))
    for copied, original in zip(copies, (future, failed)):
        assert isinstance(copied, ResponseFuture)
        assert copied.done and copied.call_id == original.call_id
        assert copied.stats.keys() == original.stats.keys()
        assert copied.success == original.success and copied.cancel() is False
    assert copies[0].result() == 0.1 and copies[0].exception() is None
    with pytest.raises(ValueError, match='two'):
        copies[1].result()
    assert copy.deepcopy(future).result() == 0.1
    assert pickle.loads(pickle.dumps(copies[0])) == copies[0]
    called = []
    copies[0].add_done_callback(called.append)
    assert called == [copies[0]]


def test_pickled_futures_elsewhere(fexec, run_script, tmp_path):
    futures = fexec.map(f.double, [1, 2, 3])
    (tmp_path / 'futures').write_bytes(pickle.dumps(futures))
    done = run_script('''
        import lithops, pickle
        futures = pickle.load(open('futures', 'rb'))
        print(type(futures).__name__, lithops.get_result(futures), futures[0].result())
        with lithops.FunctionExecutor() as fexec:
            print(fexec.get_result(futures), fexec.wait(futures)[1])
            print(fexec.get_result(futures + fexec.map(lambda x: x, [9])))
            print(futures.get_result(), fexec.map(lambda x: -x, futures).get_result())
            print(fexec.map_reduce(lambda x: -x, futures, sum).get_result())
            print(len(list(lithops.as_completed(futures + fexec.map(abs, [1])))))
            print(fexec.wait(futures + fexec.map(abs, [1]), return_when=75)[0][:3] == futures)
        ''')
    assert done.stdout.splitlines() == [
        'FuturesList [2, 4, 6] 2', '[2, 4, 6] []', '[2, 4, 6, 9]', '[2, 4, 6] [-2, -4, -6]', '-12',
        '4', 'True']


def test_futures_as_arguments(fexec):
    future = fexec.call_async(f.sleep, 0.1)
    assert fexec.call_async(lambda x: x.result() * 10, (future,)).result() == 1.0
    assert fexec.call_async(lambda fs: [x.result() for x in fs], {
        'fs': fexec.map(f.one, [1, 2])}).result() == [1, 2]


def test_logs(fexec):
    future = fexec.call_async(f.print_and_return, 5)
    assert future.result() == 5
    assert 'printed 5' in (future.logs or '')


def test_futures_outlive_their_executor():
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        future = fexec.call_async(f.one, [1])
        other = fexec.map(f.double, range(3))
        assert future.result() == [1]
        fexec.wait()
    assert future.result() == [1] and lithops.get_result(other) == [0, 2, 4]
    assert future.stats and repr(future)
