# SPDX-License-Identifier: Apache-2.0
"""Calls run where the client is when it starts them, and leave each other alone."""

import os
import signal
import time

import package_functions as f
import pytest

import lithops
from lithops import _surroundings


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
