# SPDX-License-Identifier: Apache-2.0
"""Executors: opening, closing, configuration, forks, nesting, what comes afterwards."""

import copy
import csv
import gc
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
import weakref

import package_functions as f
import pytest

import lithops
from lithops.config import (
    default_config, dump_yaml_config, extract_localhost_config, extract_storage_config, load_config,
    load_yaml_config)
from lithops.utils import get_executor_id


def test_context_manager():
    with lithops.LocalhostExecutor(worker_processes=1) as fexec:
        assert fexec.map(f.add, [(3, 4)]).get_result() == [7]
        assert (fexec.mode, fexec.backend) == ('localhost', 'localhost')
        assert get_executor_id() == fexec.executor_id
        assert fexec.is_lithops_worker is False and fexec.total_jobs == 1
    with pytest.raises(RuntimeError, match='closed'):
        fexec.map(f.one, [1])
    fexec.close()


def test_arguments_that_are_for_somebody_else():
    with pytest.warns(UserWarning, match='is not an argument of executors') as warned:
        with lithops.FunctionExecutor(worker_processes=1, retries=3, batch={}) as fexec:
            assert fexec.config['localhost']['worker_processes'] == 1
            assert fexec.call_async(f.one, 1).result() == 1
    assert sorted(str(each.message).split()[0] for each in warned) == ['batch', 'retries']
    assert {each.filename for each in warned} == {__file__}
    with pytest.raises(ValueError, match="did you mean 'worker_processes'"):
        lithops.FunctionExecutor(worker_proceses=1)
    with pytest.raises(ValueError, match='worker_processes'):
        lithops.FunctionExecutor(worker_processes='many', retries=3)


def test_closing_cancels(tmp_path):
    start = time.time()
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        futures = fexec.map(f.sleep, [60, 60])
    import concurrent.futures
    with pytest.raises(concurrent.futures.CancelledError):
        futures[0].result()
    assert time.time() - start < 20


@pytest.mark.parametrize('make,error', [
    (lambda: lithops.FunctionExecutor(backend='no_such_cloud'), 'no_such_cloud'),
    (lambda: lithops.FunctionExecutor(backend='localhots'), 'localhots'),
    (lambda: lithops.FunctionExecutor(storage='aws_s4'), 'aws_s4'),
    (lambda: lithops.FunctionExecutor(worker_proceses=2), 'worker_processes'),
    (lambda: lithops.FunctionExecutor(worker_processes='two'), 'worker_processes'),
    (lambda: lithops.FunctionExecutor(config={'lithops': {'bakend': 'x', 'strict': True}}), 'backend'),
    (lambda: lithops.FunctionExecutor(config={'localhost': {'worker_processes': -1}}),
     'worker_processes'),
    (lambda: lithops.FunctionExecutor(log_level='loud'), 'loud'),
    (lambda: lithops.FunctionExecutor(config='text'), 'config'),
    (lambda: lithops.FunctionExecutor(config_file='/no/such/file'), '/no/such/file'),
])
def test_wrong_configurations(make, error):
    with pytest.raises((ValueError, NotImplementedError, TypeError, FileNotFoundError),
                       match=error):
        make()


@pytest.mark.parametrize('executor,backend', [
    ('ServerlessExecutor()', 'aws_lambda'), ('StandaloneExecutor()', 'aws_ec2'),
    ('FunctionExecutor(mode="standalone")', 'aws_ec2')])
def test_what_an_executor_lacks_is_named(executor, backend):
    """In a process of its own, as this one has loaded more modules than hosts get."""
    names = 'AWS_REGION', 'AWS_DEFAULT_REGION', 'LITHOPS_CONFIG', 'LITHOPS_CONFIG_FILE'
    done = subprocess.run([sys.executable, '-c', f'import lithops; lithops.{executor}'],
                          env={k: v for k, v in os.environ.items() if k not in names},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"'region' in the section '{backend}'" in done.stderr, done


def test_configuration_files(tmp_path, monkeypatch, caplog):
    path = tmp_path / 'config.yaml'
    path.write_text('lithops:\n  backend: localhost\nlocalhost:\n  worker_processes: 1\n')
    with lithops.FunctionExecutor(config_file=str(path)) as fexec:
        assert fexec.config['localhost']['worker_processes'] == 1
    with lithops.FunctionExecutor(config_file=str(path), worker_processes=2) as fexec:
        assert fexec.config['localhost']['worker_processes'] == 2
    monkeypatch.setenv('LITHOPS_CONFIG_FILE', str(path))
    assert default_config()['localhost']['worker_processes'] == 1
    path.write_text('lithops:\n  backend: localhost\n  data_celaner: true\nmine: {token: secret}\n')
    with lithops.FunctionExecutor() as fexec:  # a shared file: warnings
        assert fexec.config['mine'] == {'token': 'secret'}
    deadline = time.monotonic() + 30  # the engine's records come through a pipe
    said: list = []
    while len(said) < 2 and time.monotonic() < deadline:
        said = [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
        time.sleep(0.01)
    assert any('config.yaml:3' in text and "'data_cleaner'" in text for text in said), said
    assert any("config.yaml:4: unknown section 'mine'" in text for text in said), said
    assert 'secret' not in caplog.text
    path.write_text('lithops:\n  backend: localhost\n  data_celaner: true\n  strict: true\n')
    with pytest.raises(ValueError, match=r'config.yaml:3.*data_cleaner'):
        lithops.FunctionExecutor()
    monkeypatch.setenv('LITHOPS_CONFIG', '{"localhost": {"worker_processes": 3}}')
    assert default_config()['localhost']['worker_processes'] == 3


def test_config_functions(tmp_path):
    config = default_config(config_data={'lithops': {'backend': 'localhost'}}, config_overwrite={
        'lithops': {'monitoring': None}, 'backend': {'worker_processes': 1}})
    assert config['lithops']['mode'] == 'localhost'
    assert config['lithops']['storage'] == 'localhost'
    assert extract_localhost_config(config)['worker_processes'] == 1
    assert extract_storage_config(config)['localhost']['storage_bucket'] == 'storage'
    with lithops.FunctionExecutor(config=config) as fexec:  # what comes out can go in
        assert fexec.config == config


def test_yaml(tmp_path):
    path = str(tmp_path / 'folder' / 'c')
    assert load_yaml_config(path) == {}
    data = {'a': {'b': 1, 'no': [1.5, None, True, 'yes', ['x: y', []], {'k': {}}], 'sp ace': '\u00e9\n"'},
            'empty': {}, 'text': '~'}
    dump_yaml_config(path, data)
    assert load_yaml_config(path) == data
    (tmp_path / 'c').write_text('# nothing\n')
    assert load_yaml_config(str(tmp_path / 'c')) is None
    (tmp_path / 'c').write_text('a: [1, {b: *c}]\n')
    with pytest.raises(ValueError, match='c:1:'):
        load_yaml_config(str(tmp_path / 'c'))
    with pytest.raises(TypeError):
        dump_yaml_config(path, {'a': object()})
    assert load_yaml_config(path) == data
    try:
        import yaml
    except ImportError:
        return
    with open(path) as file:
        assert yaml.safe_load(file) == data
    (tmp_path / 'c').write_text(yaml.dump(data))
    assert load_yaml_config(str(tmp_path / 'c')) == data


OTHERS = {'another_backend': {'host': 'h', 'password': 'hidden', 'port': 6379}, 'ibm_cos': None,
          'aws': {'secret_access_key': 'hidden'}, 'ibm': {'labels': {'a': 'hidden'}},
          'rabbitmq': {'amqp_url': 'amqp://user:hidden@host', 'other': 'hidden'}}


def test_a_configuration_is_handed_on_whole(tmp_path, monkeypatch):
    given = {'lithops': {'backend': 'localhost', 'telemetry_intervall': 3},
             'localhost': {'mine': [1, {'a': 2}]}, **OTHERS}
    with lithops.FunctionExecutor(config=given) as fexec:
        first = fexec.config
        future = fexec.call_async(f.one, 1)
        assert future.result() == 1 and not future.logs
    second = default_config(config_data=first)
    with lithops.FunctionExecutor(config=second, worker_processes=1) as fexec:
        assert fexec.call_async(f.one, 1).result() == 1
        third = copy.deepcopy(fexec.config)
    monkeypatch.setenv('LITHOPS_CONFIG', json.dumps(given))
    for config in (first, second, third, default_config(), load_config()):
        assert all(config[name] == section for name, section in OTHERS.items()), config
        assert config['lithops']['telemetry_intervall'] == 3
        assert config['localhost']['mine'] == [1, {'a': 2}]
        assert 'hidden' not in repr(config) + str(config) and "'port': 6379" in repr(config)
        assert 'hidden' in json.dumps(config) and config['aws']['secret_access_key'] == 'hidden'
    assert load_config() == given and 'execution_timeout' in default_config()['lithops']
    dump_yaml_config(str(tmp_path / 'config'), first)
    assert load_config(str(tmp_path / 'config')) == first


def test_unknown_names_are_warnings_without_logging(run_script):
    """Where logging is set up they are records, see test_configuration_files."""
    done = run_script("""
import warnings
import lithops
from lithops.config import default_config
config = {'lithops': {'worker_proceses': 1}, 'mine': {}, 'redis': {}}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    lithops.FunctionExecutor(config=config).close()
print(*[str(each.message) for each in caught], caught[0].filename == __file__, sep='|')
import logging
logging.basicConfig(level=logging.CRITICAL)
with warnings.catch_warnings(record=True) as caught:
    lithops.FunctionExecutor(config=config).close()
print(len(caught))
print(default_config(config_overwrite={'backend': {'batch': 3}})['localhost']['batch'])
""")
    said, count, batch = done.stdout.splitlines()
    assert "did you mean 'worker_processes' of section 'localhost'" in said
    assert "unknown section 'mine'" in said and 'redis' not in said and said.endswith('|True')
    assert (count, batch) == ('0', '3')


def test_arguments_for_others_are_handed_on():
    """As upstream's; in a strict configuration they could not be read again."""
    with pytest.warns(UserWarning, match='batch'), lithops.FunctionExecutor(batch='x') as fexec:
        assert fexec.config['localhost']['batch'] == 'x'
        assert "'x'" not in repr(fexec.config)
    with pytest.warns(UserWarning, match='batch'), lithops.FunctionExecutor(
            config={'lithops': {'strict': True}}, batch='x') as fexec:
        assert 'batch' not in fexec.config['localhost']
        assert fexec.call_async(f.with_storage, ()).result() == ('localhost', 'storage')


def test_load_config_without_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path))
    if not os.path.exists('/etc/lithops/config'):
        assert load_config()['lithops'] == dict.fromkeys(('mode', 'backend', 'storage'),
                                                         'localhost')


def test_any_key_of_the_section_lithops_can_be_overwritten():
    config = default_config(config_data={'lithops': {'chunksize': 2, 'call_retries': 1}, **OTHERS},
                            config_overwrite={'lithops': {'chunksize': 7, 'execution_timeout': 5},
                                              'backend': {'worker_processes': 3}})
    section = config['lithops']
    assert (section['chunksize'], section['execution_timeout'], section['call_retries']) == (7, 5, 1)
    assert config['localhost']['worker_processes'] == 3 and config['another_backend'] == OTHERS['another_backend']
    with pytest.raises(ValueError, match='chunksize'):
        default_config(config_overwrite={'lithops': {'chunksize': 'many'}})


def test_none_as_pythons_word_in_a_file(tmp_path):
    """Upstream's documentation has it so."""
    path = tmp_path / 'config'
    path.write_text('lithops:\n  include_modules: None\n')
    assert default_config(config_file=str(path))['lithops']['include_modules'] is None


def test_the_callers_config_stays_as_it_is():
    config = {'lithops': {'backend': 'localhost'}, 'localhost': {'worker_processes': 1}}
    with lithops.FunctionExecutor(config=config):
        assert config == {'lithops': {'backend': 'localhost'}, 'localhost': {'worker_processes': 1}}


def test_an_executor_cannot_travel(fexec):
    with pytest.raises(TypeError, match='executor'):
        pickle.dumps(fexec)
    with pytest.raises(TypeError, match='executor'):
        fexec.call_async(lambda x: fexec, 1)


# ---- lithops inside lithops ----------------------------------------------------------------------


def test_nested(fexec):
    assert fexec.get_result(fexec.map(f.nested_call, [1, 2, 3])) == [2, 4, 6]
    with lithops.FunctionExecutor(worker_processes=1) as one:
        assert one.call_async(f.nested_to, 3).result() == 3


def test_functions_that_return_futures(fexec):
    assert fexec.get_result(fexec.call_async(f.gives_future, 5)) == 10
    assert fexec.get_result(fexec.call_async(f.gives_futures, 3)) == [0, 2, 4]
    assert fexec.get_result(fexec.map(f.gives_future, [1, 2])) == [2, 4]
    futures = fexec.map(f.gives_futures, [1, 2])
    assert fexec.get_result(futures) == [0, 0, 2] == lithops.get_result(futures)
    assert futures[1].result() == [0, 2]
    assert fexec.get_result(fexec.call_async(f.gives_futures, 1)) == 0
    assert fexec.get_result(fexec.map_reduce(f.gives_futures, [2, 3], f.total)) == 8
    assert fexec.call_async(f.gives_deep_futures, 2).result() == [0, 2]
    assert fexec.get_result(fexec.call_async(f.gives_reduced_futures, 3)) == 6


# ---- processes -----------------------------------------------------------------------------------


def test_after_a_fork(fexec):
    future = fexec.call_async(f.one, 1)
    assert future.result() == 1
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        words = []
        for call in (lambda: fexec.call_async(f.one, 1), lambda: fexec.map(f.one, [1]),
                     lambda: fexec.get_result(future), lambda: fexec.wait(),
                     lambda: future.result()):
            try:
                call()
                words.append('nothing')
            except RuntimeError as exc:
                words.append('process' if 'process' in str(exc) else str(exc))
            except BaseException as exc:
                words.append(repr(exc))
        try:
            fexec.close()
            with lithops.FunctionExecutor(worker_processes=1) as own:
                words.append(str(own.call_async(f.double, 21).result()))
        except BaseException as exc:
            words.append(repr(exc))
        os.write(writing, '|'.join(words).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    assert told == 'process|process|process|process|process|42'
    assert fexec.call_async(f.one, 2).result() == 2


def test_multiprocessing_children(run_script):
    done = run_script('''
        import lithops, multiprocessing
        def f(x): return x + 1
        def child(queue):
            with lithops.FunctionExecutor(worker_processes=1) as fexec:
                queue.put(fexec.get_result(fexec.map(f, [1, 2])))
        if __name__ == '__main__':
            with lithops.FunctionExecutor(worker_processes=1) as fexec:
                print(fexec.get_result(fexec.map(f, [5])))
                for method in ('fork', 'spawn'):
                    context = multiprocessing.get_context(method)
                    queue = context.Queue()
                    process = context.Process(target=child, args=(queue,))
                    process.start()
                    print(queue.get(timeout=30))
                    process.join(30)
        ''')
    assert done.stdout.split('\n') == ['[6]', '[2, 3]', '[2, 3]', '']


def test_garbage_collection():
    fexec = lithops.FunctionExecutor(worker_processes=1)
    assert fexec.get_result(fexec.map(f.one, [1])) == [1]
    pid = fexec.call_async(f.process, 1).result()
    gone = weakref.ref(fexec)
    del fexec
    gc.collect()
    assert gone() is None
    end = time.time() + 10
    while os.path.exists(f'/proc/{pid}'):
        assert time.time() < end, 'a worker process is left'
        time.sleep(0.02)


@pytest.mark.parametrize('last', ['', 'fexec.map(f.sleep, [60] * 5)', 'sys.exit(0)',
                                  'fexec.close()', 'del fexec', 'fexec.__enter__()'])
def test_the_interpreters_exit(run_script, last):
    start = time.time()
    done = run_script(f'''
        import os, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import lithops, package_functions as f
        fexec = lithops.FunctionExecutor(worker_processes=2)
        print(fexec.get_result(fexec.map(f.process, [1, 2, 3, 4])), flush=True)
        {last}
        ''')
    assert time.time() - start < 20 and done.stderr == ''
    for pid in {int(word) for word in done.stdout.strip('[]\n').split(',')}:
        assert not os.path.exists(f'/proc/{pid}')


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_programs_of_calls_end_with_the_client(tmp_path, number):
    script = tmp_path / 'script.py'
    script.write_text(
        'import lithops, package_functions as f, sys\n'
        'fexec = lithops.FunctionExecutor(worker_processes=1)\n'
        'fexec.get_result(fexec.call_async(f.capture, sys.argv[1]))\n')
    noted = tmp_path / 'pid'
    process = subprocess.Popen([sys.executable, str(script), str(noted)],
                               env={**os.environ, 'PYTHONPATH': os.path.dirname(__file__)})
    end = time.time() + 30
    while not (noted.exists() and noted.read_text().endswith('\n')):
        assert time.time() < end, 'the program does not start'
        time.sleep(0.02)
    pid = int(noted.read_text())
    assert os.path.exists(f'/proc/{pid}')
    process.send_signal(number)
    process.wait(10)
    end = time.time() + 10
    while os.path.exists(f'/proc/{pid}'):
        assert time.time() < end, 'the program is left'
        time.sleep(0.02)


def test_an_exception_at_the_top(run_script):
    done = run_script('''
        import lithops
        def f(x): raise KeyError('missing')
        fexec = lithops.FunctionExecutor()
        fexec.get_result(fexec.map(f, [1]))
        ''', check=False)
    assert done.returncode == 1 and "KeyError: 'missing'" in done.stderr
    assert "raise KeyError('missing')" in done.stderr


def test_a_killed_client_leaves_nothing(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(
        'import lithops, package_functions as f\n'
        'fexec = lithops.FunctionExecutor(worker_processes=2)\n'
        'print(*set(fexec.get_result(fexec.map(f.process, range(100)))), flush=True)\n'
        'fexec.get_result(fexec.map(f.sleep, [60, 60]))\n')
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, 'PYTHONPATH': os.path.dirname(__file__)})
    workers = [int(word) for word in process.stdout.readline().split()]
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    end = time.time() + 10
    while any(os.path.exists(f'/proc/{pid}') for pid in workers):
        assert time.time() < end, 'worker processes are left'
        time.sleep(0.02)


# ---- afterwards ----------------------------------------------------------------------------------


def test_parts_of_upstreams_executors():
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        futures = fexec.map(f.sleep, [0, 30, 30])
        assert fexec.invoker.stop() is None and fexec.job_monitor.stop() is None
        assert fexec.job_monitor.is_alive() and fexec.job_monitor.type == 'direct'
        assert fexec.invoker.compute_handler.get_backend_type() == 'batch'
        assert fexec.compute_handler.get_runtime_info()['max_workers'] == 1
        assert fexec.invoker.runtime_name == sys.executable == futures[0].runtime_name
        futures[0].result()
        fexec.invoker.discard_pending([futures[0].job_key])
        fexec.compute_handler.clear()
        assert fexec.wait(futures, throw_except=False, timeout=20)[1] == []
        assert futures[2].canceled
    assert not fexec.job_monitor.is_alive()


def test_few_descriptors(run_script):
    """The error names the missing resource."""
    for limit in (5, 9, 10, 12, 14):
        done = run_script("""
            import resource, sys
            import lithops
            resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
            try:
                lithops.FunctionExecutor(worker_processes=1).call_async(abs, -1).result()
            except OSError as error:
                print(error)
        """, str(limit))
        short = 'Too many open files' in done.stdout or 'no descriptor is left' in done.stdout
        assert short or not done.stdout, done.stdout


def test_plots_one_by_one(fexec, tmp_path):
    from lithops.plots import create_histogram, create_timeline
    futures = fexec.map(f.one, [1, 2, 3])
    fexec.wait(futures)
    create_timeline(futures, str(tmp_path / 'run'))
    assert [path.name for path in tmp_path.iterdir()] == ['run_timeline.png']
    create_histogram(futures, tmp_path / 'run', figsize=(5, 3))
    assert (tmp_path / 'run_histogram.png').read_bytes().startswith(b'\x89PNG')
    assert len(list(tmp_path.iterdir())) == 2


def test_plot(fexec, tmp_path):
    futures = fexec.map(f.sleep, [0.01, 0.02])
    fexec.get_result(futures)
    fexec.plot(futures, str(tmp_path / 'run'))
    fexec.plot(futures[0], tmp_path / 'one', (5, 3))
    fexec.plot(dst=str(tmp_path / 'all'))
    for name in ('run', 'one', 'all'):
        for kind in ('timeline', 'histogram'):
            assert (tmp_path / f'{name}_{kind}.png').read_bytes().startswith(b'\x89PNG')
    with lithops.FunctionExecutor(worker_processes=1) as other:
        other.plot(dst=str(tmp_path / 'nothing'))
        other.map(f.fail_on_two, [2]).wait(throw_except=False)
        other.plot(dst=str(tmp_path / 'nothing'))
    assert not list(tmp_path.glob('nothing*'))


def test_reports_of_a_closed_executor(tmp_path):
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        fexec.get_result(fexec.map_reduce(f.double, [1, 2], f.total))
    fexec.plot(dst=str(tmp_path / 'run'))
    assert len(list(tmp_path.glob('run_*.png'))) == 2
    fexec.job_summary()
    with open(fexec.log_path) as file:
        rows = list(csv.DictReader(file))
    assert [row['Job_ID'] for row in rows] == ['M000', 'R000', 'Summary']
    assert float(rows[0]['AvgRuntime']) > 0


def test_job_summary():
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        fexec.get_result(fexec.map(f.one, [1, 2, 3]))
        fexec.call_async(f.double, 1).result()
        fexec.job_summary()
        with open(fexec.log_path) as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ['Job_ID', 'Function', 'Invocations', 'Memory(MB)', 'AvgRuntime',
                                 'Cost', 'CloudObjects']
        assert [(row['Job_ID'], row['Function'], row['Invocations']) for row in rows[:2]] == [
            ('M000', 'one', '3'), ('A001', 'double', '1')]
        assert rows[2]['Job_ID'] == 'Summary' and rows[2]['Invocations'] == '4'
        path = fexec.log_path
        fexec.job_summary(cloud_objects_n=2)
        fexec.job_summary(cloud_objects_n=3)
        assert fexec.log_path == path
        with open(path) as file:
            assert float(list(csv.DictReader(file))[-1]['CloudObjects']) == 5
        os.unlink(path)


def test_clean():
    with lithops.FunctionExecutor(worker_processes=1) as fexec:
        futures = fexec.map(lambda x: x, [1, 2])
        assert fexec.get_result() == [1, 2]
        fexec.clean(force=True)
        assert fexec.cleaned_jobs == {futures[0].job_key}
        fexec.clean()
        fexec.clean(fs=futures, clean_fn=True)
        assert fexec.get_result(fexec.map(lambda x: x, [3])) == [3]
    fexec.clean()


def test_logging(run_script):
    done = run_script('''
        import lithops
        def f(x): return x
        with lithops.FunctionExecutor(log_level='INFO') as fexec:
            fexec.get_result(fexec.map(f, [1, 2]))
        ''')
    assert '[INFO]' in done.stderr and 'Getting results from 2 function activations' in done.stderr
    assert lines_of(run_script, 'log_level=None') == lines_of(run_script, '') == ''


def test_logging_of_the_configuration(run_script, tmp_path):
    log = tmp_path / 'log'
    done = run_script(f'''
        import lithops, pathlib, time
        config = {{'lithops': {{'backend': 'localhost', 'workers': 1, 'log_level': 'debug',
                              'log_filename': {str(log)!r},
                              'log_format': '%(name)s %(message)s'}}}}
        for _ in range(2):
            with lithops.FunctionExecutor(config=config) as fexec:
                fexec.get_result(fexec.map(abs, [1, 2]))
        end = time.time() + 20
        while pathlib.Path({str(log)!r}).read_text().count('Getting results from 2') < 2:
            assert time.time() < end
            time.sleep(0.01)
        ''')
    lines = log.read_text().splitlines()
    assert sum('Getting results from 2' in line for line in lines) == 2
    assert any(line.startswith('lithops.config') and 'workers' in line for line in lines)
    assert done.stderr == '' == done.stdout


def test_engine_records_go_where_the_configuration_says(run_script):
    done = run_script("""
        import lithops, logging, threading
        seen = threading.Event()

        class Handler(logging.Handler):
            def emit(self, record):
                seen.set()

        logging.getLogger('lithops.core').addHandler(Handler())
        config = {'lithops': {'backend': 'localhost', 'log_level': 'info',
                              'log_stream': 'ext://sys.stdout', 'log_format': '%(name)s! %(message)s'}}
        with lithops.FunctionExecutor(config=config, worker_processes=1):
            assert seen.wait(20)
        """)
    lines = [line for line in done.stdout.splitlines() if line.startswith('lithops.core! ')]
    assert [' open' in line for line in lines].count(True) == 1, done.stdout
    assert done.stderr == ''


def lines_of(run_script, argument):
    return run_script(f'''
        import lithops
        with lithops.FunctionExecutor({argument}) as fexec:
            fexec.get_result(fexec.map(abs, [1, 2]))
        ''').stderr


def test_log_records_of_the_program(fexec, caplog):
    with caplog.at_level(logging.INFO, logger='lithops'):
        fexec.get_result(fexec.map(f.one, [1]))
    assert any('Getting results' in record.message for record in caplog.records)


def test_log_records_of_the_engine(run_script):
    done = run_script('''
        import logging, os, sys, time, lithops
        records = []
        class Keep(logging.Handler):
            def emit(self, record): records.append((record.name, record.levelno, record.message))
            def format(self, record): return ''
            def handle(self, record):
                record.message = record.getMessage()
                self.emit(record)
        logging.getLogger().addHandler(Keep())
        logging.getLogger('lithops').setLevel(logging.DEBUG)
        config = {'lithops': {'backend': 'localhost', 'workers': 3}}
        with lithops.FunctionExecutor(config=config) as fexec:
            end = time.time() + 10
            while not any(record[:2] == ('lithops.config', logging.WARNING) and 'workers' in record[2]
                          for record in records):
                assert time.time() < end, records
                time.sleep(0.01)
            pid = os.fork()
            if pid == 0:
                with lithops.FunctionExecutor(config=config, worker_processes=1) as other:
                    ok = other.call_async(abs, -1).result() == 1
                os._exit(0 if ok else 1)
            assert os.waitpid(pid, 0)[1] == 0
        print('ok')
        ''')
    assert done.stdout == 'ok\n' and done.stderr.count('Traceback') == 0


def test_output_of_calls_is_not_lost(run_script):
    done = run_script('''
        import lithops
        def f(x):
            print('said', x)
            return x
        with lithops.FunctionExecutor() as fexec:
            future = fexec.call_async(f, 1)
            future.result()
            print('logs:', future.logs)
        ''')
    assert 'said 1' in done.stdout


def test_python_versions_and_memory_options(fexec):
    assert fexec.call_async(lambda: sys.version, ()).result() == sys.version
    assert fexec.call_async(f.one, 1, runtime_memory=512).result() == 1
    assert fexec.get_result(fexec.map(f.one, [1], runtime_memory=512, chunksize=1,
                                      timeout=30)) == [1]


# ---- retries -------------------------------------------------------------------------------------


def test_retries(tmp_path):
    from lithops.retries import RetryingFuture
    from lithops.wait import ALWAYS, ANY_COMPLETED
    with lithops.RetryingFunctionExecutor(lithops.FunctionExecutor(worker_processes=2)) as fexec:
        paths = [str(tmp_path / name) for name in 'ab']
        futures = fexec.map(f.fail_until, [(paths[0], 1), (paths[1], 3)], retries=4)
        assert all(type(future) is RetryingFuture for future in futures)
        done, pending = fexec.wait(futures)
        assert done == futures and pending == []
        assert [future.result() for future in done] == [1, 3]
        assert [future.failure_count for future in done] == [0, 2]
        assert done[1].success and not done[1].error and done[1].stats
        futures = fexec.map(f.fail_on_two, [1, 2], retries=1)
        done, pending = fexec.wait(futures, throw_except=False)
        assert pending == [] and done[1].error and done[1].failure_count == 2
        with pytest.raises(ValueError, match='two'):
            done[1].result()
        with pytest.raises(ValueError, match='two'):
            fexec.wait(fexec.map(f.fail_on_two, [2]))
        futures = fexec.map(f.sleep, [0, 30])
        assert fexec.wait(futures, return_when=ANY_COMPLETED)[0] == futures[:1]
        assert fexec.wait(futures, return_when=ALWAYS)[1] == futures[1:]
        futures = fexec.map(f.fail_on_two, [2], retries=5)
        futures[0].cancel()
        assert fexec.wait(futures, throw_except=False)[0][0].failure_count == 1
        fexec.clean(futures)


def test_retries_of_the_engine(tmp_path):
    config = {'lithops': {'backend': 'localhost', 'call_retries': 3}}
    with lithops.FunctionExecutor(config=config) as fexec:
        assert fexec.call_async(f.fail_until, (str(tmp_path / 'a'), 3)).result() == 3


@pytest.mark.parametrize('retries,attempts', [(2, 3), (0, 1), (None, 4)])
def test_retries_of_the_configuration(tmp_path, retries, attempts):
    """They are the default of this executor, and of nothing else."""
    config = {'lithops': {'backend': 'localhost', 'retries': 3}}
    path = tmp_path / 'attempts'
    with lithops.RetryingFunctionExecutor(lithops.FunctionExecutor(config=config)) as fexec:
        fexec.wait(fexec.map(f.fail_and_count, [str(path)], retries=retries), throw_except=False)
        assert path.read_text() == '.' * attempts
        fexec.executor.wait(fexec.executor.map(f.fail_and_count, [str(path)]), throw_except=False)
        assert path.read_text() == '.' * (attempts + 1)
