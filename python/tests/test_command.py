# SPDX-License-Identifier: Apache-2.0
"""The command that pip installs, and functions of Python modules in it."""

import json
import os
import subprocess
import sys

import pytest

MODULE = '''
import os

def double(x):
    return 2 * x

def join(x, y, sep="-"):
    return f"{x}{sep}{y}"

def count(obj):
    return {"part": obj.part, "words": len(obj.data_stream.read().split())}

def total(results):
    return sum(one["words"] for one in results)

def crash(x):
    os.kill(os.getpid(), 9)

class Tools:
    @staticmethod
    def triple(x):
        return 3 * x
'''


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('command')
    (path / 'usermod.py').write_text(MODULE)
    return path


def run(folder, *arguments, status=0, stdin=''):
    command = os.path.join(os.path.dirname(sys.executable), 'lithops')
    done = subprocess.run([command, *arguments], cwd=folder, input=stdin, text=True,
                          capture_output=True, timeout=100)
    assert done.returncode == status, done.stderr
    return done


def results(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_version(folder):
    import lithops
    assert run(folder, '--version').stdout.split() == ['lithops', lithops.version.engine_version]


def test_map(folder):
    assert results(run(folder, 'map', 'usermod:double', '--over', '1', '2.5', 'x')) == [
        2, 5.0, 'xx']
    assert results(run(folder, 'map', 'usermod:Tools.triple', '--over', '1', '2')) == [3, 6]


def test_binding(folder):
    lines = '[1, 2]\n{"y": 1, "x": 2, "sep": "+"}\n'
    assert results(run(folder, 'map', 'usermod:join', '--over', '-', stdin=lines)) == [
        '1-2', '2+1']


def test_map_reduce_over_objects(folder):
    (folder / 'text').write_text('one two\n' * 10000)
    done = run(folder, 'map-reduce', 'usermod:count', '--over', 'text', '--chunk-number', '3',
               '--reduce', 'usermod:total')
    assert results(done) == [20000]


def test_failures(folder):
    assert "has no attribute 'nope'" in run(folder, 'call', 'usermod:nope', '1', status=1).stderr
    assert 'no_such_module' in run(folder, 'call', 'no_such_module:f', '1', status=1).stderr
    assert 'signal 9' in run(folder, 'call', 'usermod:crash', '1', status=1).stderr
    assert 'complex' in run(folder, 'call', 'builtins:complex', '1', status=1).stderr


def test_an_interpreter_without_the_package(folder):
    done = run(folder, 'call', 'usermod:double', '1', '--set', 'runtime=/bin/false', status=1)
    assert '/bin/false' in done.stderr
