# SPDX-License-Identifier: Apache-2.0
"""Programs over hosts that are reached over SSH, which tests/servers/with-hosts makes: they have no
file of this build, and a Python of their own."""

import pytest
from server_programs import PYTHON, needs_python
from server_programs import run as run_beside

pytestmark = needs_python

CONFIG = '''\
lithops:
  backend: vm
vm:
  hosts: [host1, host2, {name: host3, weight: 2}]
  worker_processes: 2
  min_hosts: 3
'''


def run(folder, program, config=CONFIG, server='with-hosts', **files):
    return run_beside(server, folder, program, config, **files)


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('hosts')


def test_a_program_with_modules(folder):
    """Its own modules go along, a package with all its parts; what it prints and raises comes back,
    and statistics name the hosts' calls."""
    assert run(folder, '''\
        import collections
        import logging
        import socket
        import time

        import lithops
        from helper import double
        import family

        def where(x):
            time.sleep(0.002)
            print('now', x)
            return socket.gethostname(), double(x), family.child.triple(x)

        def fails(x):
            raise KeyError(f'no {x} here')

        class Point:
            def __init__(self, x):
                self.x = x

            def __eq__(self, other):
                return self.x == other.x

        def move(point):
            return Point(point.x + 1)

        with lithops.FunctionExecutor() as fexec:
            assert fexec.backend == 'vm'
            results = fexec.get_result(fexec.map(where, range(300)))
            assert [(x * 2, x * 3) for x in range(300)] == [r[1:] for r in results]
            print(*sorted({r[0] for r in results}))
            assert fexec.call_async(move, Point(3)).result() == Point(4)
            try:
                fexec.call_async(fails, 7).result()
            except KeyError as error:
                print(error)
            future = fexec.call_async(where, 5)
            future.result()
            print(future.logs.strip())
            assert future.stats['worker_exec_time'] >= 0.002
            assert fexec.get_result(fexec.map_reduce(double, range(10), sum)) == 90

        with lithops.StandaloneExecutor() as fexec:
            print(fexec.call_async(double, 4).result())
        ''', helper='''\
        def double(x):
            return 2 * x
        ''', family__in____init__='''\
        from . import child
        ''', family__in__child='''\
        def triple(x):
            return 3 * x
        ''') == "host1 host2 host3\n'no 7 here'\nnow 5\n8\n"


def test_a_job_that_outlives_its_client(folder):
    """The client is killed, then the supervisor: the next one sends what the client's would have."""
    assert run(folder, """\
        import json
        import os
        import pathlib
        import signal
        import subprocess
        import sys
        import time

        os.environ['XDG_STATE_HOME'] = os.getcwd() + '/state'
        import lithops
        from lithops import detached

        if sys.argv[1:]:
            from helper import work
            fexec = lithops.FunctionExecutor(detached=True)
            print(json.dumps(fexec.map(work, range(60)).handle()), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        def until(holds):
            start = time.monotonic()
            while not holds():
                assert time.monotonic() - start < 100
                time.sleep(0.01)

        done = subprocess.run([sys.executable, 'program.py', 'client'], stdout=subprocess.PIPE)
        assert done.returncode == -signal.SIGKILL
        handle = json.loads(done.stdout)
        until(lambda: detached.state(handle)['success'] >= 3)
        for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
            try:
                words = path.read_bytes().split(b'\\0')
                if words[1:3] == [b'supervisor', handle['folder'].encode()]:
                    os.kill(int(path.parent.name), signal.SIGKILL)
            except OSError:
                pass
        until(lambda: not detached.state(handle)['supervised'])
        assert not detached.state(handle)['done']
        futures = lithops.attach(handle)
        results = futures.get_result()
        assert [x * 2 for x in range(60)] == [r[0] for r in results]
        print(*sorted({r[1] for r in results}))
        print(futures[7].logs, end='')
        futures.executor.close()
        detached.release(handle)
        until(lambda: not os.path.exists(handle['folder']))
        """, CONFIG.replace('backend: vm', 'backend: vm\n  detached_idle: 0.05'), helper="""\
        import socket
        import time

        def work(x):
            time.sleep(0.1)
            print('now', x)
            return 2 * x, socket.gethostname()
        """) == 'host1 host2 host3\nnow 7\n'


def test_many_calls(folder):
    assert run(folder, '''\
        import lithops

        def square(x):
            return x * x

        with lithops.FunctionExecutor() as fexec:
            results = fexec.map(square, range(20000)).get_result()
            print(sum(results) == sum(x * x for x in range(20000)))
        ''') == 'True\n'


def test_a_host_without_the_python(folder):
    said = run(folder, '''\
        import lithops

        try:
            with lithops.FunctionExecutor() as fexec:
                fexec.call_async(abs, -3).result()
        except Exception as error:
            print(error)
        ''', '''\
lithops:
  backend: vm
vm:
  hosts: [{name: host1, python: /opt/nothing/python3}]
''')
    assert "host host1: '/opt/nothing/python3' is not Python 3." in said


def test_hosts_with_another_python(folder):
    """One has none, one has another version: each is named, and the calls run on the third."""
    said = run(folder, """\
        import logging
        import subprocess
        import sys
        import lithops

        def hide(host, program):
            version = '%d.%d' % sys.version_info[:2]
            script = (f'echo "#!/bin/sh\\n{program}" >/run/python; chmod 755 /run/python; '
                      f'for i in /usr/bin/python{version} /usr/bin/python3 '
                      f'/usr/local/bin/python{version} /usr/local/bin/python3 '
                      f'~/.pyenv/versions/{version}.*/bin/python{version}; do '
                      f'[ ! -e $i ] || mount --bind /run/python $i; done')
            subprocess.run(['ssh', host, f"sh -c '{script}'"], check=True)

        def where(_):
            import socket
            return socket.gethostname()

        hide('host2', 'exit 127')
        hide('host3', 'echo')
        with lithops.FunctionExecutor() as fexec:
            print(*set(fexec.get_result(fexec.map(where, range(50)))))
        for hosts, least in (['host2'], 1), (['host3'], 1), (['host1', 'host2'], 2):
            try:
                with lithops.FunctionExecutor(config={
                        'lithops': {'backend': 'vm'},
                        'vm': {'hosts': hosts, 'min_hosts': least}}) as fexec:
                    fexec.call_async(where, 0).result()
            except Exception as error:
                print(error)
        """, CONFIG.replace('min_hosts: 3', 'min_hosts: 1')).splitlines()
    assert said[0] == 'host1'
    assert 'host host2: it has no Python 3.' in said[1]
    assert 'host host3: it has no Python 3.' in said[2]
    assert 'install it there, or say where it is by its python in vm.hosts' in said[2]
    assert 'host host2: it has no Python 3.' in said[3]
    assert '(1 of 2 workers are there, 2 are needed)' in said[3]


@pytest.mark.parametrize('keys', ['hosts: [{name: host1, python: %s}]',
                                  'hosts: [host1]\n  runtime: %s'])
def test_the_python_of_a_host(folder, keys):
    assert run(folder, '''\
        import lithops

        def interpreter(_):
            import sys
            return sys.executable

        with lithops.FunctionExecutor() as fexec:
            print(fexec.call_async(interpreter, 0).result())
        ''', f'''\
lithops:
  backend: vm
vm:
  {keys % PYTHON}
  worker_processes: 1
''') == f'{PYTHON}\n'


def test_modules_that_are_imported_late(folder):
    """After the executor was opened: they travel with the functions that use them."""
    assert run(folder, '''\
        import lithops

        def use(x):
            import socket
            return late.double(x), family.child.triple(x), socket.gethostname()[:4]

        with lithops.FunctionExecutor() as fexec:
            assert fexec.call_async(abs, -1).result() == 1
            import late
            import family.child
            assert fexec.get_result(fexec.map(use, range(3))) == [(0, 0, 'host'), (2, 3, 'host'),
                                                                  (4, 6, 'host')]
            assert fexec.get_result(fexec.map(late.double, range(3))) == [0, 2, 4]
            assert fexec.call_async(late.make, 4).result().x == 4
        print('right')
    ''', late="""\
        FACTOR = 2

        class Point:
            def __init__(self, x):
                self.x = x

        def double(x):
            return FACTOR * x

        def make(x):
            return Point(x)
    """, family__in____init__='', family__in__child='def triple(x): return 3 * x') == 'right\n'


def test_an_image(folder):
    """A Python that only the image has; one without a Python is refused, and other hosts go on."""
    said = run(folder, '''\
        import lithops
        from helper import double

        def where(x):
            import os
            return double(x), os.path.exists('/run/.containerenv'), os.path.exists('/usr/bin/perl')

        with lithops.FunctionExecutor(runtime='localhost/whole:1') as fexec:
            print(*sorted(set(fexec.get_result(fexec.map(where, [2, 2, 2])))))
            storage = fexec.storage
            storage.put_object('a', 'key', b'of the client')
            print(fexec.call_async(lambda obj: obj.data_stream.read(),
                                   {'obj': 'a/key'}).result())
        with lithops.FunctionExecutor() as fexec:
            print(*fexec.get_result(fexec.map(where, [3])))
        try:
            with lithops.FunctionExecutor(runtime='localhost/bare:1') as fexec:
                fexec.call_async(where, 1).result()
        except Exception as error:
            print(error)
        ''', '''\
lithops:
  backend: vm
vm:
  hosts: [host1, host2]
  worker_processes: 2
standalone:
  exec_mode: consume
  runtime: localhost/whole:1
''', server='with-hosts -i', helper='''\
        def double(x):
            return 2 * x
        ''').splitlines()
    assert said[0] == '(4, True, False)'
    assert said[1] == "b'of the client'"
    assert said[2] == '(6, True, False)'
    assert 'host1' in said[3] or 'host2' in said[3]
    assert ": in image 'localhost/bare:1': it has no Python 3." in said[3]


def test_modules_by_path(folder):
    """Files that `include_modules` names are imported there, what has changed is imported anew, and
    what is excluded is the host's own matter."""
    assert run(folder, """\
        import os
        import pathlib
        import subprocess
        import lithops

        subprocess.run(['ssh', 'host1', f'mount -t tmpfs none {os.getcwd()}'], check=True)
        pathlib.Path('apart').mkdir(exist_ok=True)
        file = pathlib.Path('apart/by_path.py')
        file.write_text('def double(x):\\n    return 2 * x\\n')

        def use(x):
            import inspect
            import socket
            import by_path
            return by_path.double(x), 'double' in inspect.getsource(by_path), socket.gethostname()[:4]

        def fails(x):
            import other
            return other.MARK

        with lithops.FunctionExecutor(config={
                'lithops': {'backend': 'vm'},
                'vm': {'hosts': ['host1'], 'worker_processes': 1}}) as fexec:
            paths = [str(file)]
            assert fexec.call_async(use, 3, include_modules=paths).result() == (6, True, 'host')
            results = fexec.map(use, range(3), include_modules=paths).get_result()
            assert results == [(0, True, 'host'), (2, True, 'host'), (4, True, 'host')]
            file.write_text('def double(x):\\n    return 2 * x + 0.5\\n')
            assert fexec.call_async(use, 3, include_modules=paths).result()[0] == 6.5
            reduced = fexec.map_reduce(use, range(2), len, include_modules=paths)
            assert reduced.get_result() == 2
            import helper
            assert fexec.call_async(helper.mark, 0).result() == 'file'
            helper.MARK = 'client'
            included = fexec.call_async(helper.mark, 0, include_modules=['helper'])
            assert included.result() == 'client'
            excluded = fexec.call_async(helper.mark, 0, include_modules=['helper'],
                                        exclude_modules=['helper'])
            try:
                excluded.result()
            except ModuleNotFoundError as error:
                print(error)
        """, helper="""\
        MARK = 'file'

        def mark(_):
            return MARK
        """) == "No module named 'helper'\n"


def test_storage_with_the_executors_configuration(folder):
    """`Storage()` in a function is the executor's storage: that of the client, over the link."""
    assert run(folder, """\
        import lithops
        from lithops import Storage

        def keep(x):
            import socket
            mine = Storage()
            mine.put_object(mine.bucket, f'from/{x}', socket.gethostname())
            return mine.backend, mine.bucket, mine.put_cloudobject(f'cloud {x}')

        def read(x, storage):
            return storage.get_object(storage.bucket, f'from/{x}').decode()[:4]

        with lithops.FunctionExecutor() as fexec:
            kept = fexec.map(keep, range(20)).get_result()
            storage = fexec.storage
            assert {k[:2] for k in kept} == {(storage.backend, storage.bucket)}
            assert fexec.map(read, range(20)).get_result() == ['host'] * 20
            assert sorted(storage.list_keys(storage.bucket, 'from/')) == sorted(
                f'from/{x}' for x in range(20))
            assert [storage.get_cloudobject(k[2]) for k in kept] == [b'cloud %d' % x for x in range(20)]
        print('right')
        """) == 'right\n'
