# SPDX-License-Identifier: Apache-2.0
"""`runtime`: another interpreter, or the image of a container."""

import os
import pickle
import re
import signal
import subprocess
import sys
import time
import venv

import package_functions as f
import pytest

import lithops
from lithops._client import runtimes

FAKE = """#!/bin/sh
# A container engine that isolates nothing: what it is told, and the image's Python here.
printf '%s\\n' "$@" > "$FAKE_TOLD"
while [ "$1" != --entrypoint ]; do shift; done
shift 3
exec PYTHON "$@"
"""


@pytest.fixture(scope='module')
def interpreter(tmp_path_factory):
    folder = tmp_path_factory.mktemp('other')
    venv.create(folder, with_pip=False)
    return str(folder / 'bin' / 'python')


@pytest.fixture(params=['docker', 'podman'])
def fake_engine(request, tmp_path, monkeypatch):
    """The only container engine in the PATH; gives the path of what it was told last."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    program = folder / request.param
    program.write_text(FAKE.replace('PYTHON', sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(runtimes, 'ENGINES', (request.param,))
    monkeypatch.setenv('PATH', str(folder), prepend=os.pathsep)
    monkeypatch.setenv('FAKE_TOLD', str(tmp_path / 'told'))
    monkeypatch.setattr(runtimes, '_found', {})
    return tmp_path / 'told'


def use(fexec):
    """What goes on in a worker process, wherever it runs."""
    with pytest.raises(RuntimeError, match='signal 11'):
        fexec.call_async(f.crash, ()).result()
    with pytest.raises(RuntimeError, match='exit status 7'):
        fexec.call_async(os._exit, 7).result()
    with pytest.raises(TimeoutError):
        fexec.call_async(time.sleep, 60, timeout=1).result()
    future = fexec.call_async(time.sleep, 60)
    assert future.cancel()
    assert fexec.get_result(fexec.map(f.next_of, range(100))) == list(range(1, 101))
    assert fexec.call_async(f.sum_of, ([1, 4],)).result() == 5
    future = fexec.call_async(print, 'said')
    future.wait()
    assert future.logs == 'said\n'
    with pytest.raises(ValueError, match='two'):
        fexec.call_async(f.fail_on_two, 2).result()


def test_another_interpreter(interpreter):
    with lithops.FunctionExecutor(runtime=interpreter, worker_processes=1) as fexec:
        prefix, folder, _, one = fexec.call_async(f.look, 1).result()
        assert prefix == os.path.dirname(os.path.dirname(interpreter)) != sys.prefix
        assert folder == os.getcwd() and one == 1
        use(fexec)
        future = fexec.call_async(f.look, 1)
        assert fexec.compute_handler.runtime_name == future.runtime_name == interpreter
        assert pickle.loads(pickle.dumps(future)).runtime_name == interpreter
    assert future.runtime_name == interpreter


def test_an_interpreter_of_the_configuration(interpreter, tmp_path):
    path = tmp_path / 'config'
    path.write_text(f'localhost:\n  runtime: {interpreter}\n  worker_processes: 1\n')
    with lithops.FunctionExecutor(config_file=str(path)) as fexec:
        assert fexec.call_async(f.look, 1).result()[0] != sys.prefix
    with lithops.FunctionExecutor(config_file=str(path), runtime=sys.executable) as fexec:
        assert fexec.call_async(f.look, 1).result()[0] == sys.prefix


def test_the_runtime_of_the_backend_in_use(interpreter, tmp_path):
    """Each backend's section has its own, and the configuration is read once."""
    path = tmp_path / 'config'
    path.write_text(f'localhost:\n  runtime: /nonexistent\n'
                    f'process:\n  runtime: {interpreter}\n  worker_processes: 1\n')
    with lithops.FunctionExecutor(config_file=str(path), backend='process') as fexec:
        future = fexec.call_async(f.look, 1)
        assert future.result()[0] == os.path.dirname(os.path.dirname(interpreter))
        assert (future.backend, future.runtime_name) == ('process', interpreter)
        assert fexec.compute_handler.runtime_name == interpreter
    with pytest.raises(FileNotFoundError, match='/nonexistent'):
        lithops.FunctionExecutor(config_file=str(path))
    fifo = tmp_path / 'fifo'  # gives what is written to it to one reader
    os.mkfifo(fifo)
    with subprocess.Popen(['cp', str(path), str(fifo)]):
        lithops.FunctionExecutor(config_file=str(fifo), backend='process').close()


def test_limits_are_those_of_the_call():
    with lithops.FunctionExecutor(worker_processes=1, runtime_timeout=50) as fexec:
        plain = fexec.call_async(f.next_of, 1)
        asked = fexec.map(f.next_of, [1], runtime_memory=512, timeout=1.5)[0]
        both = fexec.map_reduce(f.next_of, [1], sum, map_runtime_memory=600,
                                reduce_runtime_memory=700)
        assert (plain.runtime_memory, plain.execution_timeout) == (None, 50)
        assert (asked.runtime_memory, asked.execution_timeout) == (512, 1.5)
        assert [one.runtime_memory for one in both] == [600, 700]
        assert (plain.backend, plain.runtime_name) == ('localhost', sys.executable)
        assert pickle.loads(pickle.dumps(asked)).execution_timeout == 1.5
        fexec.wait()
    with lithops.FunctionExecutor(runtime_memory=800, worker_processes=1) as fexec:
        assert fexec.call_async(f.next_of, 1).runtime_memory == 800


@pytest.mark.parametrize('runtime,error,text', [
    ('/nonexistent/python', FileNotFoundError, 'no such interpreter'),
    ('python3.99', FileNotFoundError, 'no such interpreter'),
    ('/bin/false', ValueError, 'no Python runs there: exit status 1'),
    ('Not An Image', ValueError, 'the name of an image is expected'),
])
def test_what_is_no_runtime(runtime, error, text):
    with pytest.raises(error, match=re.escape(f'runtime is {runtime!r}') + '.*' + text):
        lithops.FunctionExecutor(runtime=runtime)


def test_another_version_of_python(tmp_path):
    program = tmp_path / 'python'
    program.write_text('#!/bin/sh\necho cpython-999\n')
    program.chmod(0o755)
    with pytest.raises(ValueError, match=f"{program}.*'cpython-999'.*same version"):
        lithops.FunctionExecutor(runtime=str(program))


def test_an_image_without_a_container_engine(monkeypatch):
    monkeypatch.setattr(runtimes, 'ENGINES', ('no-docker',))
    with pytest.raises(FileNotFoundError, match="'me/science:1'.*install docker or podman"):
        lithops.FunctionExecutor(runtime='me/science:1')


def test_an_image(fake_engine):
    """All but the isolation: what the engine is told, descriptors, ends."""
    with lithops.FunctionExecutor(runtime='me/science:1', worker_processes=1) as fexec:
        assert fexec.call_async(f.look, 1).result()[3] == 1
        told = fake_engine.read_text().splitlines()
        assert told[:2] == ['run', '--rm']
        assert told[told.index('--user') + 1] == f'{os.getuid()}:{os.getgid()}'
        assert told[told.index('--entrypoint'):][:3] == ['--entrypoint', 'python3', 'me/science:1']
        assert f'{os.getcwd()}:{os.getcwd()}' in told and told[told.index('--ipc') + 1] == 'host'
        assert f'{os.path.dirname(lithops.__file__)}:{os.path.dirname(lithops.__file__)}:ro' in told
        use(fexec)


def test_a_container_ends_with_its_client(fake_engine, tmp_path):
    script = tmp_path / 'client.py'
    script.write_text("""
import os, time
import lithops
def hold():
    print(os.getpid(), flush=True)
    with open(os.environ['PID_FILE'] + '.new', 'w') as file:
        file.write(str(os.getpid()))
    os.rename(os.environ['PID_FILE'] + '.new', os.environ['PID_FILE'])
    time.sleep(600)
from lithops._client import runtimes
runtimes.ENGINES = (os.environ['ENGINE'],)
lithops.FunctionExecutor(runtime='me/science:1', worker_processes=1).call_async(hold, ()).result()
""")
    pid_file = tmp_path / 'pid'
    client = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, 'PID_FILE': str(pid_file), 'ENGINE': runtimes.ENGINES[0]})
    until = time.monotonic() + 60
    while not pid_file.exists() and time.monotonic() < until:
        time.sleep(0.05)
    held = os.pidfd_open(int(pid_file.read_text()))
    client.send_signal(signal.SIGKILL)
    client.wait()
    import select
    assert select.select([held], [], [], 30)[0] == [held]
    os.close(held)


@pytest.mark.skipif('LITHOPS_TEST_IMAGE' not in os.environ,
                    reason='LITHOPS_TEST_IMAGE names no image with this version of Python')
def test_a_real_image():
    with lithops.FunctionExecutor(runtime=os.environ['LITHOPS_TEST_IMAGE'],
                                  worker_processes=2) as fexec:
        prefix, folder, number, one = fexec.call_async(f.look, 1).result()
        assert prefix != sys.prefix and folder == os.getcwd() and number < 100 and one == 1
        use(fexec)
