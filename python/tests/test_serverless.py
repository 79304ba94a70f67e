# SPDX-License-Identifier: Apache-2.0
"""A program whose functions run in a container's worker, which HTTP requests start: it is a process
of this machine, and meets the client in a Redis server."""

from server_programs import needs_python, run

pytestmark = needs_python


def test_a_program_over_requests(tmp_path):
    assert run('with-redis', tmp_path, '''\
        import json
        import os
        import pathlib
        import subprocess
        import sys

        import lithops
        from helper import double

        def work(x):
            print('now', x)
            return double(x), os.environ.get('LITHOPS_WORKER_SECRET'), os.environ.get('LITHOPS_CONFIG')

        def fails(x):
            raise KeyError(f'no {x} here')

        secret = '0123456789abcdef' * 2
        command = pathlib.Path(sys.executable).parent / 'lithops'
        worker = subprocess.Popen([command, 'worker', '--http', '--port', '0', '--concurrency', '2'],
                                  env={**os.environ, 'LITHOPS_WORKER_SECRET': secret},
                                  stdout=subprocess.PIPE, text=True)
        try:
            port = worker.stdout.readline().split()[-1]
            config = {'lithops': {'backend': 'knative', 'storage': 'redis'},
                      'redis': json.loads(os.environ['LITHOPS_TEST_STORAGE']),
                      'knative': {'endpoint': f'http://127.0.0.1:{port}', 'secret': secret,
                                  'max_workers': 2, 'worker_processes': 1}}
            with lithops.ServerlessExecutor(config=config) as fexec:
                print(fexec.map(work, range(3)).get_result())
                try:
                    fexec.call_async(fails, 5).result()
                except KeyError as exc:
                    print(exc)
                print(fexec.map_reduce(work, range(4), lambda results: sum(r[0] for r in results)).get_result())
        finally:
            worker.terminate()
        print('ended with', worker.wait(60))
        ''', 'lithops: {backend: knative}\n', helper='''\
        def double(x):
            return 2 * x
        ''') == '''\
[(0, None, None), (2, None, None), (4, None, None)]
'no 5 here'
12
ended with 0
'''


def test_a_runtime_of_another_python_and_what_it_has(tmp_path):
    """A record of the runtime, as `lithops runtime deploy` leaves it in the storage: what it has
    stays behind, and a Python that is not the client's is told before anything starts."""
    assert run('with-redis', tmp_path, '''\
        import json
        import os
        import pathlib
        import re
        import subprocess
        import sys
        import tempfile

        import lithops
        from helper import double
        from lithops.version import engine_version

        secret, name = '0123456789abcdef' * 2, 'registry.example.com/science:1'
        mine = '%d.%d' % sys.version_info[:2]
        command = pathlib.Path(sys.executable).parent / 'lithops'
        image = pathlib.Path(tempfile.mkdtemp(dir='.'))
        (image / 'helper.py').write_text('def double(x): return -x')
        worker = subprocess.Popen([command, 'worker', '--http', '--port', '0', '--concurrency', '1'],
                                  env={**os.environ, 'LITHOPS_WORKER_SECRET': secret,
                                       'PYTHONPATH': str(image.absolute())},
                                  cwd=image, stdout=subprocess.PIPE, text=True)
        try:
            port = worker.stdout.readline().split()[-1]
            config = {'lithops': {'backend': 'knative', 'storage': 'redis'},
                      'redis': json.loads(os.environ['LITHOPS_TEST_STORAGE']),
                      'knative': {'endpoint': f'http://127.0.0.1:{port}', 'secret': secret,
                                  'runtime': name, 'max_workers': 1, 'worker_processes': 1}}
            storage = lithops.Storage(config=config)

            def record(pythons, modules, protocol):
                storage.put_object(storage.bucket, f'lithops.runtimes/knative/{name}.meta.json', json.dumps(
                    {'version': engine_version, 'protocol': protocol, 'pythons': pythons,
                     'modules': {python: modules for python in pythons.split()}}))

            def work():
                with lithops.ServerlessExecutor(config=config) as fexec:
                    return fexec.map(double, range(3)).get_result()

            def refused():
                try:
                    work()
                except Exception as exc:
                    return str(exc)

            record(mine, [], 0)
            protocol = int(re.search('this is Lithops .* [(]protocol ([0-9]+)[)]', refused())[1])
            record(mine, [], protocol)
            print(work())
            record(mine, ['helper', 'cloudpickle'], protocol)
            print(work())
            for pythons in ('3.9', ''):
                record(pythons, [], protocol)
                print(refused().replace(mine, 'MINE'))
        finally:
            worker.terminate()
        print('ended with', worker.wait(60))
        ''', 'lithops: {backend: knative}\n', helper='''\
        def double(x):
            return 2 * x
        ''') == '''\
[0, 2, 4]
[0, -1, -2]
the runtime registry.example.com/science:1 has Python 3.9, and functions here are of Python MINE: 'lithops runtime deploy -b knative --base python:MINE-slim registry.example.com/science:1'
the runtime registry.example.com/science:1 has no Python, and functions here are of Python MINE: 'lithops runtime deploy -b knative --base python:MINE-slim registry.example.com/science:1'
ended with 0
'''
