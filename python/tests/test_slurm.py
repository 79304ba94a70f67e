# SPDX-License-Identifier: Apache-2.0
"""Programs over nodes that a Slurm allocates, which tests/servers/with-slurm starts."""

from server_programs import needs_python
from server_programs import run as run_beside

pytestmark = needs_python

CONFIG = '''\
lithops:
  backend: slurm

slurm:
  partition: batch
  time: "0:30:00"
  cpus_per_worker: 4
  memory: 1G
  max_workers: 2
'''


def run(folder, program, config=CONFIG, **files):
    return run_beside('with-slurm', folder, program, config, **files)


def test_a_program_with_a_module(tmp_path):
    """Its module goes along, errors come back, objects of the client are read, and no job stays."""
    assert run(tmp_path, '''\
        import pathlib
        import subprocess

        import lithops
        from helper import double

        def where(x):
            import os
            import socket
            print('now', x)
            return socket.gethostname(), os.environ['SLURM_CPUS_PER_TASK'], double(x)

        def fails(x):
            raise KeyError(f'no {x} here')

        def count(obj):
            return len(obj.data_stream.read().split())

        def jobs():
            return subprocess.run(['squeue', '--noheader', '--states=PENDING,RUNNING'], text=True,
                                  stdout=subprocess.PIPE, check=True).stdout.splitlines()

        pathlib.Path('words.txt').write_text('one two three\\n' * 1000)
        with lithops.FunctionExecutor() as fexec:
            assert fexec.backend == 'slurm'
            futures = fexec.map(where, range(40))
            results = fexec.get_result(futures)
            assert [r[2] for r in results] == [2 * x for x in range(40)]
            assert {r[0] for r in results} <= {'n1', 'n2', 'n3'}
            assert {r[1] for r in results} == {'4'}
            assert futures[3].logs.strip() == 'now 3'
            try:
                fexec.call_async(fails, 7).result()
            except KeyError as error:
                assert error.args == ('no 7 here',)
            words = fexec.map(count, 'words.txt', obj_chunk_number=4)
            assert sum(fexec.get_result(words)) == 3000
            assert 1 <= len(jobs()) <= 2
        assert not jobs()
        print('done')
        ''', helper='def double(x):\n    return 2 * x\n') == 'done\n'


def test_a_node_without_the_interpreter(tmp_path):
    """The message names the node and the key, and no second allocation is asked for."""
    config = CONFIG + '  python: /nowhere/python\n'
    said = run(tmp_path, '''\
        import lithops
        with lithops.FunctionExecutor() as fexec:
            try:
                fexec.call_async(abs, -1).result()
            except Exception as error:
                print(error)
        ''', config)
    assert 'node n' in said
    assert "'/nowhere/python' is not Python" in said
    assert 'correct slurm.python' in said


def test_a_refused_option(tmp_path):
    """It is an error of the executor, at once."""
    said = run(tmp_path, '''\
        import lithops
        try:
            lithops.FunctionExecutor()
        except Exception as error:
            print(error)
        ''', CONFIG.replace('batch', 'nowhere'))
    assert 'set slurm.partition' in said
    assert 'invalid partition specified: nowhere' in said
