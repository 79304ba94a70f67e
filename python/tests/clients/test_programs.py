# SPDX-License-Identifier: Apache-2.0
"""Programs written for Lithops, run as their users run them.

Each prints its answers as JSON. With UPSTREAM_PYTHON, the interpreter of an environment that has
upstream's package, they run there too and must print the same.
"""
import json
import os
import pathlib
import subprocess
import sys

import pytest

PROGRAMS = pathlib.Path(__file__).parent / 'programs'
UPSTREAM = os.environ.get('UPSTREAM_PYTHON')


def run(python, program, folder, *arguments):
    """Run it in a home of its own. @return its answers"""
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith('LITHOPS')}
    if 'LITHOPS_TEST_CONFIG' in os.environ:  # what tests/servers/configured has made
        environment['LITHOPS_CONFIG'] = os.environ['LITHOPS_TEST_CONFIG']
    environment.update(HOME=str(folder), USER=folder.name, LOGNAME=folder.name,
                       PATH=f"{os.path.dirname(python)}:{os.environ['PATH']}")
    done = subprocess.run([python, PROGRAMS / f'{program}.py', *arguments], cwd=folder,
                          env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


WORDS = {word: 400 for word in 'call me ishmael some years ago never mind how long'.split()}
WORDS.update({word: 300 for word in
              'alice was beginning to get very tired of sitting by her sister'.split()})
WORDS.update(the=5, end=5)

ANSWERS = {
    'pi': 3.137075,
    'words': {'strings': WORDS, 'files': WORDS, 'objects': [
        [['texts/alice'], 18900], [['texts/end'], 40], [['texts/moby'], 20400]]},
    'stages': [[True] * 3, [[10000, 10000, 9], [20000, 20000, 19], [30000, 30000, 29]], 0],
    'retries': [[n, n * n if n != 6 else 'failed'] for n in range(9)],
    'initializers': [[1, 2, 7] * 3, [10, 20, 20, 10], [6, 8] * 3, [1, 2, 7], [107, 102, 101],
                     [7, 7], True],
    'standard_futures': [256, 20, [n**3 for n in range(10)], [], [n**2 for n in range(6)], [6, 0],
                         1, ['KeyError', 'name'], [81], 'shut down'],
    'threads': [[[n, [[x * n for x in range(20)]] * 3] for n in range(1, 6)],
                [[n, [[x * n for x in range(20)]] * 3] for n in range(1, 4)]],
    'tour': {
        'a tuple': [3, True, True], 'a dict': 7, 'one': 42, 'get_result': 35,
        'map': [7, 14, 21], 'tuples': [3, 7], 'extra_args': [5, 6], 'dicts': [15, 81],
        'zero': [0, 7, 14, 21], 'id': [['a', 0], ['b', 1]], 'all so far': [7, 42], 'map_reduce': 42,
        'methods': [11, 12], 'callables': [10, 20], 'lambdas': [8, 9], 'a list': True,
        'chained': [49, 98, 147], 'more chained': [49, 98], 'wait': [5, 0, [0, 7, 14, 21, 28]],
        'error': ['ValueError', ['no 2', 2]],
        'flags': [[True, True, False], [True, False, True], [True, True, False]]},
}
# Upstream 3.8 does not end: it waits for calls that are done, in threads, and now and then when
# many jobs follow each other. Its lithops.multiprocessing needs another package, redis.
ONLY_HERE = {'threads', 'tour', 'initializers'}


@pytest.mark.parametrize('program', ANSWERS)
def test_program(program, tmp_path):
    assert run(sys.executable, program, tmp_path) == ANSWERS[program]


@pytest.mark.skipif(not UPSTREAM, reason='UPSTREAM_PYTHON names no interpreter with upstream')
@pytest.mark.parametrize('program', [name for name in ANSWERS if name not in ONLY_HERE])
def test_program_upstream(program, tmp_path):
    assert run(UPSTREAM, program, tmp_path) == ANSWERS[program]
