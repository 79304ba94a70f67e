# SPDX-License-Identifier: Apache-2.0
"""Importing the package: what is there, how it looks, and what it costs."""

import ast
import importlib.metadata
import inspect
import pathlib
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


def test_version_satisfies_clients_of_upstream():
    assert lithops.__version__ == importlib.metadata.version('lithops')
    upstream, _, engine = lithops.__version__.partition('+c')
    assert [int(part) for part in upstream.split('.')][:2] == [3, 8]
    assert engine == lithops.version.engine_version


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


# ---- which module imports which ------------------------------------------------------------------

PACKAGE = pathlib.Path(lithops.__file__).parent


def imports_of(file):
    """Modules of the package that a file imports, at its top or later, but not for type hints."""
    tree = ast.parse(file.read_text())
    hints = {inner for node in ast.walk(tree)
             if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING'
             for inner in ast.walk(node)}
    here = ('lithops', *file.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree):
        if node in hints:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = '.'.join(here[:len(here) - node.level + 1]) if node.level else ''
            home = '.'.join(filter(None, (package, node.module)))
            yield from (f'{home}.{alias.name}' for alias in node.names)


def graph():
    """What each module of the package imports, by name."""
    files = {'.'.join(('lithops', *file.relative_to(PACKAGE).with_suffix('').parts)): file
             for file in PACKAGE.rglob('*.py')}
    files = {name.removesuffix('.__init__'): file for name, file in files.items()}
    found = {}
    for name, file in files.items():
        homes = (each if each in files else each.rpartition('.')[0] for each in imports_of(file))
        found[name] = {home for home in homes if home in files} - {name, 'lithops'}
    return found


def test_no_module_imports_what_imports_it():
    left = graph()
    assert len(left) > 40 and left['lithops._client.watch'] == {'lithops._shared.names'}
    while True:
        ends = {name for name, used in left.items() if not used & left.keys()}
        if not ends:
            break
        left = {name: used for name, used in left.items() if name not in ends}
    assert not {name: used & left.keys() for name, used in left.items()}


def test_what_both_sides_share_knows_neither():
    for name, used in graph().items():
        others = {each for each in used if not each.startswith('lithops._shared')}
        if name.startswith('lithops._shared'):
            assert not others, name
        if name.startswith('lithops._worker'):
            assert not {each for each in others if each.startswith('lithops._client')}, name
