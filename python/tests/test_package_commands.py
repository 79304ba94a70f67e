# SPDX-License-Identifier: Apache-2.0
"""Commands: any program as a function."""

import errno
import os
import pathlib
import pickle
import subprocess

import pytest

import lithops


def results(fexec, words, items, **options):
    return fexec.get_result(fexec.map(lithops.command(words, **options), items))


def failure(fexec, words, item, **options):
    future = fexec.call_async(lithops.command(words, **options), item)
    with pytest.raises((subprocess.CalledProcessError, OSError)) as caught:
        future.result()
    return caught.value


def test_standard_output_is_the_result(fexec):
    assert results(fexec, ['echo', '-n', '<{}>'], ['a b', '', "$x'", 7]) == [
        b'<a b>', b'<>', b"<$x'>", b'<7>']
    assert results(fexec, ['printf', '%s,'], ['appended', ('x', 'y')]) == [b'appended,', b'x,y,']
    assert results(fexec, ['head', '-c', '{}', '/dev/zero'], [0, 100000]) == [b'', bytes(100000)]
    assert fexec.call_async(lithops.command(['echo', '{2}{1}']), ('a', 'b')).result() == b'ba\n'


def test_words_and_items_may_be_paths(fexec, tmp_path):
    file = tmp_path / 'name.tar.gz'
    file.write_text('content')
    assert results(fexec, [pathlib.Path('/bin/cat')], [file]) == [b'content']
    assert results(fexec, ['echo', '{/.}'], [file, os.fsencode(file)]) == [b'name.tar\n'] * 2
    no_text = os.fsdecode(b'\xff')
    assert results(fexec, ['printf', '%s'], [no_text, b'\xfe', pathlib.Path(no_text)]) == [
        b'\xff', b'\xfe', b'\xff']


def test_where_it_runs(fexec):
    assert results(fexec, ['pwd'], [()], cwd='/usr') == [b'/usr\n']
    assert results(fexec, ['wc', '-c'], ['x' * 300000], pipe=True) == [b'300000\n']
    assert results(fexec, 'echo {} | tr a-z A-Z', ["it's"], shell=True) == [b"IT'S\n"]
    show = lithops.command(['printenv', 'COMMAND_TEST'])
    assert fexec.call_async(show, (), extra_env={'COMMAND_TEST': 'one'}).result() == b'one\n'
    futures = fexec.map(show, [()], extra_env={'COMMAND_TEST': 2})
    assert fexec.get_result(futures) == [b'2\n']
    with pytest.raises(TypeError):
        fexec.map(show, [()], extra_env=['A'])


def test_failures_are_those_of_subprocess(fexec):
    error = failure(fexec, ['sh', '-c', 'echo out; echo why >&2; exit $0'], 3)
    assert type(error) is subprocess.CalledProcessError
    assert (error.returncode, error.stdout, error.stderr) == (3, b'out\n', b'why\n')
    assert error.cmd == ['sh', '-c', 'echo out; echo why >&2; exit $0', '3']
    assert pickle.loads(pickle.dumps(error)).returncode == 3
    error = failure(fexec, 'kill -9 $$ # {}', 1, shell=True)
    assert (error.returncode, error.cmd) == (-9, 'kill -9 $$ # 1')
    error = failure(fexec, ['no-such-program'], 1)
    assert type(error) is FileNotFoundError and 'no-such-program' in str(error)
    assert type(failure(fexec, ['/'], 1)) is PermissionError
    assert failure(fexec, ['echo'], 'x' * 200000).errno == errno.E2BIG


def test_what_it_writes_to_standard_error_is_its_output(fexec):
    future = fexec.call_async(lithops.command('echo {} >&2', shell=True), 'text')
    assert future.result() == b''
    assert future.logs == 'text\n'


def test_with_functions_of_python(fexec, tmp_path):
    for name in 'ab':
        (tmp_path / name).write_text(name * 10)
    count = lithops.command(['wc', '-c', '{}'])
    futures = fexec.map_reduce(count, sorted(tmp_path.iterdir()),
                               lambda results: sum(int(out.split()[0]) for out in results))
    assert fexec.get_result(futures) == 20
    sizes = fexec.map(lambda name: str(tmp_path / name), list('ab'))
    assert fexec.get_result(fexec.map(count, sizes))[0].startswith(b'10 ')


def test_wrong_words():
    with pytest.raises(TypeError, match='list'):
        lithops.command('ls -l')
    with pytest.raises(ValueError):
        lithops.command([])
    with pytest.raises(ValueError):
        lithops.command(['a\0b'])
