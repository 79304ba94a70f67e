# SPDX-License-Identifier: Apache-2.0
"""Calls run where the client is when it starts them, and leave each other alone."""

import ctypes
import os
import resource
import signal
import time

import package_functions as f
import pytest

import lithops
from lithops._shared import surroundings as _surroundings


def look(_):
    return os.getcwd(), os.environ.get('LITHOPS_TEST_A'), os.environ.get('LITHOPS_TEST_B')


def look_in_reducer(results):
    return [*results, look(0)]


@pytest.fixture
def fexec():
    """Processes of its own: these tests change what is around them."""
    with lithops.FunctionExecutor(worker_processes=2) as fexec:
        yield fexec


def test_the_working_directory_and_environment_of_now(fexec, monkeypatch, tmp_path):
    home, other = os.getcwd(), tmp_path / 'öther folder'
    other.mkdir()
    assert fexec.map(look, [0] * 4).get_result() == [(home, None, None)] * 4
    monkeypatch.chdir(other)
    monkeypatch.setenv('LITHOPS_TEST_A', 'a')
    assert fexec.call_async(look, 0).result() == (str(other), 'a', None)
    assert fexec.map(look, [0] * 4).get_result() == [(str(other), 'a', None)] * 4
    assert fexec.map_reduce(look, [0], look_in_reducer).get_result() == [(str(other), 'a', None)] * 2
    (other / 'file').write_text('one two')
    assert fexec.call_async(lambda name: open(name).read(), 'file').result() == 'one two'
    monkeypatch.setenv('LITHOPS_TEST_A', 'b')
    assert fexec.call_async(look, 0, extra_env={'LITHOPS_TEST_B': 'e'}).result() == (
        str(other), 'b', 'e')
    monkeypatch.delenv('LITHOPS_TEST_A')
    monkeypatch.chdir(home)
    assert fexec.map(look, [0] * 4).get_result() == [(home, None, None)] * 4


def test_a_process_that_starts_later(fexec, monkeypatch):
    monkeypatch.setenv('LITHOPS_TEST_A', 'a')
    for future in fexec.map(f.sleep, [30, 30]):
        while not future.running:
            time.sleep(0.001)
        future.cancel()  # its process is ended, and another one starts, with the variable
    monkeypatch.delenv('LITHOPS_TEST_A')
    assert {a for _, a, _ in fexec.map(look, [0] * 20).get_result()} == {None}


def test_functions_log_at_the_level_of_the_program(run_script):
    script = """
        import logging, sys, lithops
        {0}
        def f(x):
            import logging
            logging.getLogger('mine').debug('quiet %d', x)
            logging.getLogger('mine').info('plain %d', x)
            logging.info('root %d', x)
        with lithops.FunctionExecutor(worker_processes=1) as fexec:
            futures = fexec.map(f, [1])
            fexec.wait(futures)
            print(repr(futures[0].logs))
        """
    heard = run_script(script.format('logging.basicConfig(level=logging.INFO, stream=sys.stdout)'))
    assert heard.stdout.splitlines()[-1] == repr('plain 1\nINFO:root:root 1\n')
    assert run_script(script.format('')).stdout.splitlines()[-1] == 'None'


def test_who_moves_on_before_the_processes_have_started(run_script, tmp_path):
    (tmp_path / 'other').mkdir()
    run_script('''
        import lithops, os
        start = os.getcwd()
        for _ in range(5):
            with lithops.FunctionExecutor(worker_processes=2) as fexec:
                futures = fexec.map(lambda x: os.getcwd(), range(4))
                os.chdir('other')
                assert futures.get_result() == [start] * 4, futures.get_result()
                os.chdir('..')
        ''')


def test_a_folder_that_is_gone(fexec, monkeypatch, tmp_path):
    home = os.getcwd()
    (tmp_path / 'gone').mkdir()
    monkeypatch.chdir(tmp_path / 'gone')
    futures = fexec.map(f.sleep, [0.2] * 4)
    (tmp_path / 'gone').rmdir()
    assert futures.get_result() == [0.2] * 4
    assert fexec.call_async(f.one, 1).result() == 1
    os.chdir(home)
    assert fexec.call_async(look, 0).result()[0] == home


def test_a_name_that_is_refused(fexec):
    with pytest.raises(ValueError):
        fexec.call_async(look, 0, extra_env={'LITHOPS_TEST_A': 'a', 'x=y': 'z'}).result()
    assert fexec.map(look, [0] * 4).get_result() == [(os.getcwd(), None, None)] * 4


def test_what_has_not_changed_costs_nothing(fexec, monkeypatch):
    monkeypatch.setenv('LITHOPS_TEST_A', 'a')
    first = _surroundings.current()
    monkeypatch.setenv('LITHOPS_TEST_A', 'a')
    assert _surroundings.current() == first


def set_alarm(how):
    if how == 'alarm':
        signal.alarm(1)
    else:
        signal.signal(signal.SIGALRM, raise_value_error)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
    return how


def raise_value_error(*_):
    raise ValueError('too late')


@pytest.mark.parametrize('how', ['alarm', 'handler'])
def test_alarms_end_with_their_call(how):
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        assert fexec.call_async(set_alarm, how).result() == how
        assert fexec.call_async(f.sleep, 1.2).result() == 1.2


def leave_limits(_):
    for number, value in (resource.RLIMIT_AS, 1 << 46), (resource.RLIMIT_CPU, 10_000), (
            resource.RLIMIT_FSIZE, 1 << 40):
        resource.setrlimit(number, (value, resource.getrlimit(number)[1]))
    library = ctypes.CDLL('librt.so.1')
    timer, in_an_hour = ctypes.c_void_p(), (ctypes.c_long * 4)(0, 0, 3600, 0)
    assert library.timer_create(1, None, ctypes.byref(timer)) == 0
    assert library.timer_settime(timer, 0, ctypes.byref(in_an_hour), None) == 0
    time.sleep(0.01)
    return timer.value


def look_at_limits(timer):
    left = (ctypes.c_long * 4)()
    is_there = ctypes.CDLL('librt.so.1').timer_gettime(ctypes.c_void_p(timer), left) == 0
    return [resource.getrlimit(number)[0] for number in (
        resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)], is_there and left[2] > 0


def test_which_limits_and_timers_stay():
    """What docs/coming-from-lithops.md says of them."""
    before = [resource.getrlimit(number)[0] for number in (resource.RLIMIT_CPU,
                                                           resource.RLIMIT_FSIZE)]
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        timer = fexec.call_async(leave_limits, 0).result()
        limits, has_timer = fexec.call_async(look_at_limits, timer).result()
    assert limits == [1 << 46, *before] and has_timer
