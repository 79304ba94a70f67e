# SPDX-License-Identifier: Apache-2.0
"""Detached jobs: handles, attaching, futures that cross processes."""

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import lithops
from lithops import detached

LIMIT_S = 100


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """Jobs are kept in a folder of the test; at the end there is no supervisor any more."""
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path))
    monkeypatch.setenv('LITHOPS_TEST_GATE', str(tmp_path / 'gate'))
    yield tmp_path
    start = time.monotonic()
    while any(job['supervised'] for job in detached.jobs()) and time.monotonic() - start < LIMIT_S:
        time.sleep(0.01)


CONFIG = {'lithops': {'backend': 'localhost', 'detached_idle': 0.05},
          'localhost': {'worker_processes': 2}}


def square(x):
    return x * x


def gated(x):
    """Waits as long as the gate is there."""
    while x >= 2 and os.path.exists(os.environ['LITHOPS_TEST_GATE']):
        time.sleep(0.002)
    print('ran', x)
    return {'x': x}


def failing(x):
    if x == 1:
        raise KeyError('one')
    return x


@pytest.fixture
def gate(state):
    (state / 'gate').touch()
    return state / 'gate'


def workers_over(transport, folder):
    """Jobs run in workers that are reached over sockets, or through a storage alone."""
    return {'lithops': {'backend': 'process', 'storage': 'localhost', 'detached_idle': 0.05},
            'process': {'workers': 2, 'worker_processes': 1, 'transport': transport},
            'localhost': {'storage_root': str(folder / 'objects')}}


def kill_supervisor(handle):
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{name}/cmdline', 'rb') as words:
                if words.read().split(b'\0')[1:3] == [b'supervisor', handle['folder'].encode()]:
                    os.kill(int(name), signal.SIGKILL)
        except OSError:  # it has ended meanwhile
            pass


def until(holds):
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < LIMIT_S
        time.sleep(0.01)


def client(text, *words):
    """Run a program in another process; what it wrote."""
    text = f'from test_detached import *\n{textwrap.dedent(text)}'
    folder = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, '-c', text, *words], stdout=subprocess.PIPE,
                          timeout=LIMIT_S, env={**os.environ, 'PYTHONPATH': folder})
    return done.returncode, done.stdout.decode()


def test_results_are_as_always():
    with lithops.FunctionExecutor(config=CONFIG, detached=True) as fexec:
        assert fexec.map(square, range(5)).get_result() == [0, 1, 4, 9, 16]
        assert fexec.call_async(square, 7).result() == 49
        futures = fexec.map(failing, range(3))
        assert [future.result() for future in (futures[0], futures[2])] == [0, 2]
        with pytest.raises(KeyError, match='one'):
            futures[1].result()
        assert fexec.map_reduce(square, range(5), sum).get_result() == 30
        assert fexec.map(square, fexec.map(square, [2, 3])).get_result() == [16, 81]


def test_one_job_of_an_executor_is_detached():
    with lithops.FunctionExecutor(config=CONFIG) as fexec:
        futures = fexec.map(square, [1, 2], detached=True)
        other = fexec.map(square, [3])
        handle = futures.handle()
        assert fexec.get_result(futures) == [1, 4]
        assert fexec.call_async(square, 3, detached=True).job_handle()['jobs']
        with pytest.raises(ValueError, match='detached'):
            other.handle()
    assert lithops.attach(handle).get_result() == [1, 4]
    detached.release(handle)


def test_a_job_outlives_its_client(gate):
    code, text = client('''
        fexec = lithops.FunctionExecutor(config=CONFIG, detached=True)
        print(json.dumps(fexec.map(gated, range(6)).handle()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    ''')
    assert code == -signal.SIGKILL
    handle = json.loads(text)
    futures = lithops.attach(text)
    assert len(futures) == 6
    assert futures[0].result() == {'x': 0}
    assert not futures[5].done
    assert detached.state(handle)['calls'] == 6
    assert [job['handle'] for job in detached.jobs()] == [handle]
    gate.unlink()
    assert futures.get_result() == [{'x': x} for x in range(6)]
    assert futures[5].logs == 'ran 5\n'
    assert futures[5].stats['worker_exec_time'] >= 0
    assert lithops.attach(handle).get_result() == [{'x': x} for x in range(6)]  # and once more
    state = detached.state(handle)
    assert (state['done'], state['success'], state['function']) == (True, 6, 'gated')
    detached.release(handle)
    with pytest.raises(FileNotFoundError, match='not there any more'):
        lithops.attach(handle)


def test_a_reducer_outlives_its_client(gate):
    code, text = client('''
        fexec = lithops.FunctionExecutor(config=CONFIG, detached=True)
        futures = fexec.map_reduce(gated, range(4), len)
        print(json.dumps(futures.handle()), flush=True)
        os._exit(0)
    ''')
    assert code == 0
    gate.unlink()
    futures = lithops.attach(text)
    assert len(futures) == 5
    assert futures.get_result() == 4
    detached.release(text)


@pytest.mark.parametrize('transport', ['socket', 'storage'])
def test_workers_that_are_reached(transport, gate, tmp_path):
    """Neither the client's death nor the supervisor's costs a call, nor what a worker is made of."""
    code, text = client('''
        config = json.loads(sys.argv[1])
        fexec = lithops.FunctionExecutor(config=config, detached=True)
        print(json.dumps(fexec.map_reduce(gated, range(6), len).handle()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    ''', json.dumps(workers_over(transport, tmp_path)))
    assert code == -signal.SIGKILL
    handle = json.loads(text)
    until(lambda: detached.state(handle)['success'] == 2)
    kill_supervisor(handle)
    until(lambda: not detached.state(handle)['supervised'])
    gate.unlink()
    futures = lithops.attach(handle)
    assert futures.get_result() == 6
    assert futures[5].logs == 'ran 5\n'
    detached.release(handle)


def test_futures_cross_processes_while_they_run(gate, tmp_path):
    """As upstream's example serialize_futures, but that nobody waits before pickling."""
    with lithops.FunctionExecutor(config=CONFIG, detached=True) as fexec:
        futures = fexec.map(gated, range(4))
        (tmp_path / 'futures').write_bytes(pickle.dumps(futures))
        (tmp_path / 'one').write_bytes(pickle.dumps(futures[3]))
        assert not futures[3].done
    code, text = client('''
        folder = sys.argv[1]
        one = pickle.loads(open(folder + '/one', 'rb').read())
        futures = pickle.loads(open(folder + '/futures', 'rb').read())
        assert not one.done
        os.unlink(folder + '/gate')
        print(json.dumps([one.result(), futures.get_result()]))
    ''', str(tmp_path))
    assert code == 0
    assert json.loads(text) == [{'x': 3}, [{'x': x} for x in range(4)]]


def test_done_futures_are_pickled_with_their_outcome():
    with lithops.FunctionExecutor(config=CONFIG, detached=True) as fexec:
        futures = fexec.map(square, [3])
        handle = futures.handle()
        assert futures.get_result() == [9]
        text = pickle.dumps(futures[0])
    detached.release(handle)
    assert pickle.loads(text).result() == 9


def test_cancel(gate):
    with lithops.FunctionExecutor(config=CONFIG, detached=True) as fexec:
        futures = fexec.map(gated, range(4))
        handle = futures.handle()
        assert futures[0].result() == {'x': 0}
        assert futures[3].cancel()
        detached.cancel(handle)
        fexec.wait(futures, throw_except=False)
        assert futures[2].canceled
    assert detached.state(handle)['canceled'] >= 2
    gate.unlink()


def test_waiting_without_futures(gate):
    with lithops.FunctionExecutor(config=CONFIG, detached=True) as fexec:
        handle = fexec.map(gated, range(4)).handle()
    assert not detached.wait(handle, 0.01)
    gate.unlink()
    assert detached.wait(json.dumps(handle))
    assert detached.wait(handle, 0)
    detached.release(handle)
    with pytest.raises(FileNotFoundError):
        detached.wait(handle, 0)


def test_waiting_starts_a_supervisor_where_there_is_none(gate):
    with lithops.FunctionExecutor(config=CONFIG, detached=True) as fexec:
        handle = fexec.map(gated, range(4)).handle()
    until(lambda: detached.state(handle)['success'])
    kill_supervisor(handle)
    until(lambda: not detached.state(handle)['supervised'])
    gate.unlink()
    assert detached.wait(handle, LIMIT_S)
    assert detached.state(handle)['success'] == 4
    detached.release(handle)


def test_wrong_handles_are_refused():
    with pytest.raises(ValueError, match='no handle'):
        lithops.attach({})
    with pytest.raises(ValueError):
        lithops.attach('{')
    with pytest.raises(TypeError):
        lithops.attach(5)


def test_an_attached_executor_starts_nothing():
    with lithops.FunctionExecutor(config=CONFIG, detached=True) as fexec:
        handle = fexec.map(square, [1]).handle()
    futures = lithops.attach(handle)
    with pytest.raises(ValueError, match='starts none'):
        futures.executor.map(square, [1])
    assert futures.get_result() == [1]
    detached.release(handle)
