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
