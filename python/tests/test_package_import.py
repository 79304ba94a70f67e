# SPDX-License-Identifier: Apache-2.0
"""Importing the package: what is there, how it looks, and what it costs."""

import inspect
import subprocess
import sys

import pytest

import lithops


def python(code, *flags):
    return subprocess.run([sys.executable, *flags, '-c', code], capture_output=True, text=True,
                          timeout=60, check=True).stdout


def loaded_by(code):
    """The modules that some code brings in."""
    return set(python(f'import sys; before = set(sys.modules); {code}; '
                      'print(*(set(sys.modules) - before))').split())


def test_import_loads_nothing():
    assert loaded_by('import lithops') == {'lithops'}


def test_executors_load_little():
    heavy = {'cloudpickle', 'numpy', 'tqdm', 'inspect', 'logging', 'asyncio', 'yaml', 'typing',
             'concurrent.futures', 'threading', 'subprocess', 'tempfile', 'dataclasses'}
    assert not heavy & loaded_by('import lithops; lithops.FunctionExecutor')


def test_names():
    for name in lithops.__all__:
        assert getattr(lithops, name) is not None
    assert set(lithops.__all__) <= set(dir(lithops))
    with pytest.raises(AttributeError, match='no_such_thing'):
        lithops.no_such_thing


@pytest.mark.parametrize('module,names', [
    ('lithops.executors',
     'FunctionExecutor LocalhostExecutor ServerlessExecutor StandaloneExecutor'),
    ('lithops.future', 'ResponseFuture'),
    ('lithops.wait', 'wait get_result ALWAYS ANY_COMPLETED ALL_COMPLETED'),
    ('lithops.retries', 'RetryingFunctionExecutor RetryingFuture'),
    ('lithops.utils', 'FuturesList get_executor_id create_executor_id'),
    ('lithops.storage', 'Storage InternalStorage'),
    ('lithops.storage.storage', 'Storage InternalStorage'),
    ('lithops.storage.utils',
     'CloudObject CloudObjectUrl CloudObjectLocal StorageNoSuchKeyError'),
    ('lithops.config', 'default_config load_yaml_config extract_storage_config'),
    ('lithops.constants', 'LOCALHOST SERVERLESS STANDALONE TEMP_DIR JOBS_PREFIX'),
    ('lithops.version', '__version__'),
])
def test_modules(module, names):
    found = __import__(module, fromlist=['x'])
    for name in names.split():
        assert hasattr(found, name), name


def test_constants_of_wait():
    from lithops.wait import ALL_COMPLETED, ALWAYS, ANY_COMPLETED
    assert (ALWAYS, ANY_COMPLETED, ALL_COMPLETED) == (0, -1, 100)


def test_wait_is_a_function_whatever_is_imported():
    assert python('import lithops.wait, lithops; print(callable(lithops.wait))') == 'True\n'
    assert python('from lithops.wait import ALWAYS; import lithops;'
                  'print(lithops.wait([]))') == '([], [])\n'
    assert python('from lithops import wait; print(wait([]))') == '([], [])\n'


# What upstream 3.8 has; more may follow it, by keyword alone.
SIGNATURES = {
    'call_async': 'func, data, extra_env=None, runtime_memory=None, timeout=None, '
                  'include_modules=[], exclude_modules=[]',
    'map': 'map_function, map_iterdata, chunksize=None, extra_args=None, extra_env=None, '
           "runtime_memory=None, obj_chunk_size=None, obj_chunk_number=None, obj_newline='\\n', "
           'timeout=None, include_modules=[], exclude_modules=[]',
    'map_reduce': 'map_function, map_iterdata, reduce_function, chunksize=None, extra_args=None, '
                  'extra_args_reduce=None, extra_env=None, map_runtime_memory=None, '
                  'reduce_runtime_memory=None, timeout=None, obj_chunk_size=None, '
                  "obj_chunk_number=None, obj_newline='\\n', obj_reduce_by_key=False, "
                  'spawn_reducer=20, include_modules=[], exclude_modules=[]',
    'wait': 'fs=None, throw_except=True, return_when=100, download_results=False, timeout=None, '
            'threadpool_size=64, wait_dur_sec=None, show_progressbar=True, clean_jobs=None',
    'get_result': 'fs=None, throw_except=True, timeout=None, threadpool_size=64, '
                  'wait_dur_sec=None, show_progressbar=True',
    'plot': 'fs=None, dst=None, figsize=(10, 6)',
    'job_summary': 'cloud_objects_n=0',
    'clean': 'fs=None, cs=None, clean_cloudobjects=True, clean_fn=False, force=False, '
             'on_exit=False',
    '__init__': 'mode=None, config=None, config_file=None, backend=None, storage=None, '
                'monitoring=None, log_level=False, **kwargs',
}


@pytest.mark.parametrize('method', SIGNATURES)
def test_signatures(method):
    parameters = list(inspect.signature(
        getattr(lithops.FunctionExecutor, method)).parameters.values())[1:]
    shown = [str(p.replace(annotation=p.empty)) for p in parameters
             if p.kind is not p.KEYWORD_ONLY]
    assert ', '.join(shown) == SIGNATURES[method]


@pytest.mark.parametrize('name', ['LocalhostExecutor', 'ServerlessExecutor', 'StandaloneExecutor'])
def test_signatures_of_fixed_modes(name):
    names = list(inspect.signature(getattr(lithops, name)).parameters)
    assert names[:2] == ['config', 'config_file'] and names[-1] == 'kwargs'
    assert ('backend' in names) == (name != 'LocalhostExecutor')


def test_everything_public_says_what_it_is():
    for thing in (lithops.FunctionExecutor, lithops.Storage, lithops.RetryingFunctionExecutor):
        assert thing.__doc__
        for name, member in vars(thing).items():
            if not name.startswith('_') and callable(member):
                assert member.__doc__, name
