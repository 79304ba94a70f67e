# SPDX-License-Identifier: Apache-2.0
"""Functions of every kind travel, and never as they were before they changed."""

import functools
import importlib.util
import pickle
import sys
import types

import package_functions as f
import pytest

import lithops
from lithops._client.function import Job
from lithops._client.watch import Watch
from lithops.concurrent.futures import ProcessPoolExecutor

factor = 10
table = [1]


class Local:
    def __init__(self, n):
        self.n = n

    def times(self, x):
        return self.n * x

    def __call__(self, x):
        return self.n + x


def uses_global(x):
    return x * factor


def uses_table(x):
    return x + table[0]


def calls_other(x):
    return uses_global(x) + 1


def call(fexec, function, *args):
    return fexec.call_async(function, args).result()


def test_lambdas_and_closures(fexec):
    n = 3
    assert call(fexec, lambda x: x + n, 1) == 4

    def inner(x, scale=2):
        def innermost():
            return x * scale + n
        return innermost()

    assert call(fexec, inner, 5) == 13
    n = 100
    assert call(fexec, inner, 5) == 110


def test_recursive_closure(fexec):
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert call(fexec, fibonacci, 10) == 55


def test_callables(fexec):
    assert call(fexec, f.Adder(5), 1) == 6
    assert call(fexec, f.Adder(5).add, 1) == 6
    assert call(fexec, f.Adder.made, 1) == ('Adder', 1)
    assert call(fexec, f.Adder.plain, 1) == -1
    assert call(fexec, functools.partial(f.add, y=7), 1) == 8
    assert call(fexec, functools.partial(lambda a, b: a - b, 7), 1) == 6
    assert call(fexec, f.decorated, 5, 3) == ('traced', 2)
    assert call(fexec, f.traced(lambda x: x), 5) == ('traced', 5)
    assert call(fexec, Local(3), 2) == 5
    assert call(fexec, Local(3).times, 2) == 6
    assert call(fexec, functools.partial(Local(3).times), 2) == 6
    assert call(fexec, 'a-b'.split, '-') == ['a', 'b']
    assert call(fexec, types.SimpleNamespace, ) == types.SimpleNamespace()


def test_changed_state_travels(fexec):
    adder = f.Adder(1)
    assert call(fexec, adder.add, 1) == 2
    adder.n = 10
    assert call(fexec, adder.add, 1) == 11
    assert call(fexec, adder, 1) == 11


def test_changed_globals_travel(fexec, monkeypatch):
    function = types.FunctionType(uses_global.__code__, {'factor': 10, '__name__': '__main__'})
    assert call(fexec, function, 2) == 20
    function.__globals__['factor'] = 11
    assert call(fexec, function, 2) == 22
    del function.__globals__['factor']
    with pytest.raises(NameError):
        call(fexec, function, 2)

    namespace = {'table': [1], '__name__': '__main__'}
    function = types.FunctionType(uses_table.__code__, namespace)
    assert call(fexec, function, 2) == 3
    namespace['table'][0] = 5  # the same list
    assert call(fexec, function, 2) == 7


def test_changed_helpers_travel(fexec):
    namespace = {'__name__': '__main__'}
    exec('def helper(x): return x\ndef outer(x): return helper(x)', namespace)
    outer = namespace['outer']
    assert call(fexec, outer, 1) == 1
    exec('def helper(x): return -x', namespace)
    assert call(fexec, outer, 1) == -1
    namespace['helper'].__code__ = (lambda x: x * 100).__code__
    assert call(fexec, outer, 1) == 100


def test_changed_functions_travel(fexec):
    namespace = {'__name__': '__main__'}
    exec('def function(x, y=1, *, z=1): return x, y, z, function.mark', namespace)
    namespace['function'].mark = 1
    function = namespace['function']
    assert call(fexec, function, 0) == (0, 1, 1, 1)
    function.__defaults__ = (2,)
    assert call(fexec, function, 0) == (0, 2, 1, 1)
    function.__kwdefaults__ = {'z': 3}
    assert call(fexec, function, 0) == (0, 2, 3, 1)
    function.__kwdefaults__['z'] = 4
    assert call(fexec, function, 0) == (0, 2, 4, 1)
    function.mark = 5
    assert call(fexec, function, 0) == (0, 2, 4, 5)
    function.__code__ = (lambda x, y, *, z: 'other').__code__
    assert call(fexec, function, 0) == 'other'


def test_changed_builtins_travel(fexec):
    namespace = {'__name__': '__main__'}
    exec('def function(x): return len(x)', namespace)
    assert call(fexec, namespace['function'], 'abc') == 3
    namespace['len'] = f.one
    assert call(fexec, namespace['function'], 'abc') == 'abc'


def test_new_functions_in_place_of_old_ones(fexec):
    for i in range(300):  # ids are used again
        function = eval(f'lambda x: x + {i}')
        assert call(fexec, function, 1) == 1 + i
        del function


def test_reloaded_modules_are_reloaded(fexec, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / 'grown_by_hand.py'
    file.write_text('def f(x):\n    return "first", x\n')
    module = importlib.import_module('grown_by_hand')

    def uses(x):
        return module.f(x)
    with lithops.FunctionExecutor(worker_processes=1) as executor:
        assert call(executor, module.f, 1) == call(executor, uses, 1) == ('first', 1)
        file.write_text('def f(x):\n    return "second", x\n')
        importlib.reload(module)
        assert call(executor, uses, 1) == ('second', 1)
        assert call(executor, module.f, 1) == ('second', 1)
        file.write_text('def f(x):\n    return "the third", x\n')
        del sys.modules['grown_by_hand']
        module = importlib.import_module('grown_by_hand')
        assert call(executor, module.f, 1) == ('the third', 1)
        assert call(executor, uses, 1) == ('the third', 1)


class Unpicklable:
    def __reduce__(self):
        raise ValueError('nobody asked for this')


items = Unpicklable()


def test_names_of_attributes_are_no_globals(fexec):
    def method(x):
        return list(x.items())
    assert call(fexec, method, {1: 2}) == [(1, 2)]
    assert Watch.of(method) is not None

    def deep(x):
        return [[y for y in z.items()] for z in x], len(x), sorted(map(str, x))
    assert call(fexec, deep, [{1: 2}])[:2] == ([[(1, 2)]], 1)
    space = {f'attribute{i}': items for i in range(300)} | {f'global{i}': i for i in range(300)}
    exec('def long(x):\n' + ''.join(f'    hasattr(x, "") or x.attribute{i}\n' for i in range(300))
         + '    return [' + ', '.join(f'global{i}' for i in range(300)) + ']', space)
    many = types.SimpleNamespace(**dict.fromkeys(space, 0))
    assert call(fexec, space['long'], many) == list(range(300))


def test_what_is_pickled_once():
    def count(n):
        return n + 1

    def grow(n, to=[]):
        return to

    assert Job.of(f.one).plain() is Job.of(f.one).plain()
    assert Job.of(count) is Job.of(count)
    assert Watch.of(count) is not None and Watch.of(grow) is None
    assert Job.of(grow) is not Job.of(grow)
    assert Job.of(grow).plain() is Job.of(grow).plain()  # the same bytes
    with pytest.raises(TypeError, match='callable'):
        Job.of(3)


def test_jobs_go_with_their_functions():
    import gc

    from lithops._client import function as _function
    before = len(_function._jobs)
    for _ in range(10):
        Job.of(eval('lambda x: x'))
    gc.collect()
    assert len(_function._jobs) <= before + 1


def test_main_script(run_script):
    done = run_script('''
        import lithops, dataclasses

        LIMIT = 3
        seen = []

        @dataclasses.dataclass
        class Point:
            x: int
            def norm(self): return abs(self.x) + LIMIT

        class Base:
            def run(self, x): return ('base', x)
        class Derived(Base):
            def run(self, x): return super().run(x + LIMIT)

        def helper(x): return x + LIMIT
        def function(x): return helper(x)
        def takes(point): return Point(point.norm())

        if __name__ == '__main__':
            with lithops.FunctionExecutor(worker_processes=2) as fexec:
                print(fexec.get_result(fexec.map(function, [1, 2])))
                LIMIT = 10
                print(fexec.get_result(fexec.map(function, [1, 2])))
                point = fexec.call_async(takes, Point(-4)).result()
                print(point, type(point) is Point)
                print(fexec.call_async(Derived().run, 1).result())
                print(fexec.call_async(Point(-7).norm, ()).result())
        ''')
    assert done.stdout.splitlines() == [
        '[4, 5]', '[11, 12]', 'Point(x=14) True', "('base', 11)", '17']


def test_a_script_with_many_arguments(run_script):
    text = """
        import sys
        import lithops

        def arguments(x):
            import sys
            return sys.argv

        with lithops.FunctionExecutor(worker_processes=1) as fexec:
            seen = fexec.call_async(arguments, 1).result()
        print(seen == sys.argv, seen[0] == sys.argv[0])
        """
    assert run_script(text, *map(str, range(100))).stdout == 'True True\n'
    many = [f'data/of/the/year/{n:060}.csv' for n in range(5000)]
    assert run_script(text, *many).stdout == 'False True\n'


def test_a_script_in_a_folder_that_is_gone(run_script):
    assert run_script("""
        import os, sys
        os.mkdir('gone')
        os.chdir('gone')
        os.rmdir('../gone')
        sys.path.insert(0, '')
        sys.warnoptions += ['ignore::UserWarning:module%d' % n for n in range(100)]
        import lithops
        with lithops.FunctionExecutor(worker_processes=1) as fexec:
            print(fexec.map(lambda x: x + 1, [1, 2]).get_result())
        """).stdout == '[2, 3]\n'


def test_a_fork_while_another_thread_pickles(run_script):
    run_script("""
        import os, signal, sys, threading
        import lithops

        begun, go_on = threading.Event(), threading.Event()

        class Slow:
            def __reduce__(self):
                begun.set()
                go_on.wait()
                return int, ()

        class Local:
            def __call__(self, x):
                return x + 1

        with lithops.FunctionExecutor(worker_processes=1) as fexec:
            local, slow = Local(), Local()
            slow.data = Slow()
            thread = threading.Thread(target=fexec.call_async, args=(slow, 1))
            thread.start()
            begun.wait()
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                with lithops.FunctionExecutor(worker_processes=1) as own:
                    os._exit(own.call_async(local, 6).result())
            status = os.waitpid(child, 0)[1]
            go_on.set()
            thread.join()
            sys.exit(os.waitstatus_to_exitcode(status) != 7)
        """)


def test_modules_beside_the_script(run_script, tmp_path):
    (tmp_path / 'beside.py').write_text('import deeper.leaf\ndef go(x): return deeper.leaf.f(x)\n')
    (tmp_path / 'deeper').mkdir()
    (tmp_path / 'deeper' / '__init__.py').touch()
    (tmp_path / 'deeper' / 'leaf.py').write_text('def f(x): return x + 1\n')
    (tmp_path / 'late').mkdir()
    (tmp_path / 'late' / 'later.py').write_text('def f(x): return x + 2\n')
    done = run_script('''
        import lithops, sys, beside
        def direct(x): return beside.go(x)
        def inside(x):
            from deeper import leaf
            return leaf.f(x)
        with lithops.FunctionExecutor() as fexec:
            for function in (beside.go, direct, inside):
                print(fexec.call_async(function, 1).result())
            sys.path.insert(0, 'late')
            import later
            print(fexec.call_async(later.f, 1).result())
            print(fexec.call_async(lambda x: later.f(x), 1).result())
        ''')
    assert done.stdout.split() == ['2', '2', '2', '3', '3']


def test_a_module_that_cannot_be_imported(fexec, tmp_path):
    path = tmp_path / 'elsewhere_xyz.py'
    path.write_text('K = 5\ndef f(x): return g(x) + K\ndef g(x): return x\n')
    spec = importlib.util.spec_from_file_location('elsewhere_xyz', path)
    module = sys.modules['elsewhere_xyz'] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        assert call(fexec, module.f, 1) == 6
        assert call(fexec, lambda x: module.f(x), 1) == 6
        with pytest.raises(ModuleNotFoundError):
            fexec.call_async(module.f, 1, include_modules=None).result()
        with pytest.raises(ModuleNotFoundError):
            fexec.call_async(module.f, 1, exclude_modules=['elsewhere_xyz']).result()
    finally:
        del sys.modules['elsewhere_xyz']


def test_include_modules(fexec, monkeypatch, tmp_path):
    (tmp_path / 'included_xyz.py').write_text('MARK = "file"\ndef f(x): return MARK\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    import included_xyz
    monkeypatch.setattr(included_xyz, 'MARK', 'client')
    assert call(fexec, included_xyz.f, 1) == 'file'
    assert fexec.call_async(
        included_xyz.f, 1, include_modules=['included_xyz']).result() == 'client'
    assert fexec.get_result(fexec.map(
        included_xyz.f, [1], include_modules=['included_xyz'],
        exclude_modules=['included_xyz'])) == ['file']
    with pytest.raises(TypeError, match='lists'):
        fexec.call_async(included_xyz.f, 1, include_modules='included_xyz')


def test_include_modules_by_path(fexec, tmp_path):
    (tmp_path / 'by_path_xyz.py').write_text('def f(x): return x + 1\n')

    def function(x):
        import by_path_xyz
        return by_path_xyz.f(x)

    with pytest.raises(ModuleNotFoundError):
        call(fexec, function, 1)
    path = str(tmp_path / 'by_path_xyz.py')
    assert fexec.call_async(function, 1, include_modules=[path]).result() == 2


@pytest.mark.parametrize('name', ['no_such_module', 'broken_xyz', 'no/such.py', 'no_such.so'])
def test_include_modules_that_are_not_there(fexec, monkeypatch, tmp_path, name):
    (tmp_path / 'broken_xyz.py').write_text('import no_such_module')
    monkeypatch.syspath_prepend(str(tmp_path))
    for start in (lambda: fexec.call_async(f.one, 1, include_modules=[name]),
                  lambda: fexec.map(f.one, [1], include_modules=['json', name])):
        with pytest.raises(ValueError, match=f"include_modules names '{name}'"):
            start()


def test_include_modules_of_the_configuration(tmp_path, monkeypatch):
    (tmp_path / 'configured_xyz.py').write_text('MARK = "file"\ndef f(x): return MARK\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    import configured_xyz
    monkeypatch.setattr(configured_xyz, 'MARK', 'client')
    config = {'lithops': {'backend': 'localhost', 'include_modules': ['configured_xyz']}}
    with lithops.FunctionExecutor(config=config) as fexec:
        assert call(fexec, configured_xyz.f, 1) == 'client'


def test_extra_env_is_there_when_modules_are_imported(fexec, monkeypatch, tmp_path):
    (tmp_path / 'looks_xyz.py').write_text(
        'import os\nSEEN = os.environ.get("EXTRA_XYZ")\n'
        'def f(x): return SEEN, os.environ.get("EXTRA_XYZ")\n'
        'def g(results): return results, *f(0)\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    import looks_xyz
    env = {'EXTRA_XYZ': 'early'}
    assert fexec.call_async(looks_xyz.f, 1, extra_env=env).result() == ('early', 'early')
    assert fexec.get_result(fexec.map_reduce(looks_xyz.f, [1], looks_xyz.g, extra_env=env)) == (
        [('early', 'early')], 'early', 'early')
    assert looks_xyz.SEEN is None


def test_what_cannot_be_pickled(fexec):
    import threading
    lock = threading.Lock()
    count = len(fexec.futures)
    with pytest.raises(TypeError, match='pickle'):
        fexec.call_async(lambda x: lock, 1)
    with pytest.raises(TypeError, match='pickle'):
        fexec.call_async(f.one, [lock])
    with pytest.raises(TypeError, match='pickle'):
        fexec.map(f.one, [1, (lock,)])
    with pytest.raises(TypeError, match='pickle'):
        fexec.call_async(lambda x: threading.Lock(), 1).result()
    assert len(fexec.futures) == count + 1


def test_big_arguments_of_functions_in_new_folders(monkeypatch, tmp_path):
    (tmp_path / 'came_later.py').write_text('def f(x, data):\n    return x + len(data)\n')
    with lithops.FunctionExecutor(worker_processes=1) as executor:
        monkeypatch.syspath_prepend(tmp_path)
        module = importlib.import_module('came_later')
        data = pickle.PickleBuffer(bytearray(1_000_000))
        assert executor.map(module.f, [1], extra_args=(data,)).get_result() == [1_000_001]


def test_big_closures(fexec):
    data = b'x' * (3 << 20)
    assert call(fexec, lambda n: len(data) + n, 1) == len(data) + 1


def test_native(fexec):
    power = lithops.native('libm.so.6:pow:double(double,double)')
    assert fexec.get_result(fexec.map(power, [(2, 3), [3, 2]])) == [8.0, 9.0]
    assert fexec.call_async(power, (2, 10)).result() == 1024.0
    assert fexec.get_result(fexec.map(power, [2.0, 3.0], extra_args=(2,))) == [4.0, 9.0]
    assert fexec.get_result(fexec.map(power, [])) == []
    with pytest.raises(FileNotFoundError):
        lithops.native('libnone.so:f')
    with pytest.raises(FileNotFoundError, match='powx'):
        lithops.native('libm.so.6:powx:double(double)')
    with pytest.raises(ValueError):
        lithops.native('libm.so.6')


def test_calls_start_from_what_the_client_has(run_script):
    """As upstream, which loads the function for each call: no result depends on which calls the
    same process has run before."""
    done = run_script('''
        import functools
        import lithops

        seen, count = [], 0

        def grow_a_global(x):
            seen.append(x)
            return len(seen)

        def count_in_a_global(x):
            global count
            count += 1
            return count

        def count_in_an_attribute(x):
            count_in_an_attribute.n = getattr(count_in_an_attribute, 'n', 0) + 1
            return count_in_an_attribute.n

        def grow_a_default(x, items=[]):
            items.append(x)
            return len(items)

        def counting():
            n = 0
            def count(x):
                nonlocal n
                n += 1
                return n
            return count

        class Counting:
            n = 0
            def __call__(self, x):
                self.n += 1
                return self.n

        if __name__ == '__main__':
            with lithops.FunctionExecutor(worker_processes=1) as fexec:
                for function in (grow_a_global, count_in_a_global, count_in_an_attribute,
                                 grow_a_default, counting(), Counting(), Counting().__call__,
                                 functools.partial(grow_a_default, items=[])):
                    print(fexec.map(function, [1] * 4).get_result())
    ''')
    assert done.stdout.splitlines() == ['[1, 1, 1, 1]'] * 8


def test_methods_that_are_not_found_by_their_names(fexec):
    greeter = f.Greeter()
    greeter.word = 'hi'
    private, decorated = greeter.methods()
    outside = types.MethodType(f.one, 'five')  # str has no method of that name
    assert fexec.get_result(fexec.map(private, [1, 2])) == ['hi 1', 'hi 2']
    assert fexec.get_result(fexec.map(decorated, [1, 2])) == ['HI 1', 'HI 2']
    assert fexec.call_async(outside, ()).result() == 'five'
    with ProcessPoolExecutor(1) as pool:
        assert list(pool.map(private, [1])) == ['hi 1']
        assert list(pool.map(decorated, [1])) == ['HI 1']
