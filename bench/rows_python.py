# SPDX-License-Identifier: Apache-2.0
"""The rows of the Python API. {python} in a command is the interpreter of the side's environment
(see pythons.py), {here} the folder of its programs."""
from rows import Goal, Row, Side, reported, wall_rate

ROW_NOTE_FEWER = 'upstream with fewer calls: it starts a process for each'


def python(name, program, read, environment='lithops'):
    """A side that runs a program of bench/python."""
    return Side(name, '{python} {here}/' + program, read, environment=environment)


def started(name, arguments, environment='lithops'):
    """A side that measures a Python program from start to exit, and checks that it prints 49."""
    return Side(name, 'spawn {spawns} 49 {python} ' + arguments, reported('seconds', 1e3),
                environment=environment)


def started_upstream(arguments):
    return Side('upstream', 'spawn 1 49 {python} ' + arguments, reported('seconds', 1e3),
                environment='upstream')


def map_row(name, peer, side, goal=None, aim=None, limit=None, environment='peers', module=None,
            notes=()):
    other = python(peer, f'map.py {side}', reported('calls_per_s', 1e-3), environment)
    other.module = module
    return Row(f'py_map_{name}', f'Python: map of no-op calls / {peer}', 'k/s',
               python('lithops', 'map.py lithops {py_calls} 5', reported('calls_per_s', 1e-3)),
               goal, aim,
               peer=other, limit=limit, notes=list(notes))


def results_row(kind, title, count):
    return Row(f'py_{kind}', f'Python: results, {title}', 'GB/s',
               python('lithops', f'results.py lithops {kind} {{{count}}}',
                      reported('bytes_per_s', 1e-9)),
               Goal('ratio', 'peer', '>=', 5), Goal('ratio', 'peer', '>=', 15),
               peer=python('Pool', f'results.py pool {kind} {{{count}}}',
                           reported('bytes_per_s', 1e-9)))


def text_row(name, title, same, program, chunk_kib, goal, notes=()):
    def side(name):
        command = program.replace('{side}', name) + ' {text_upstream} ' + str(chunk_kib)
        return python(name, command, wall_rate('text_upstream_mib'), name)
    return Row(f'py_{name}', f'Python: {title} / upstream', 'GB/s', side('lithops'), goal,
               peer=side('upstream'), same=same, rounds=3,
               notes=['whole programs, from start to exit; less text, and 3 rounds: upstream '
                      'starts a process for each chunk', *notes])


ROWS = [
    Row('py_import', 'Python: import lithops', 'ms',
        started('lithops', "-c 'import lithops; print(49)'"),
        Goal('difference', 'limit', '<=', 25), Goal('difference', 'limit', '<=', 10),
        limit=started('python3 -c pass', "-c 'print(49)'")),
    Row('py_worker', 'Python: start of a worker to its first result', 'ms',
        python('lithops', 'worker.py lithops {spawns}', reported('seconds', 1e3)),
        Goal('ratio', 'limit', '<=', 1.2),
        limit=python('python3 -c imports', 'worker.py bare {spawns}', reported('seconds', 1e3)),
        notes=['executor, call and result are in it; the limit imports what a worker does']),
    Row('py_first', 'Python: script to first result to exit', 'ms',
        started('lithops', '{here}/first.py lithops'),
        Goal('ratio', 'peer', '<=', 1.5), Goal('ratio', 'peer', '<=', 0.5),
        peer=started('Pool', '{here}/first.py pool')),
    Row('py_first_upstream', 'Python: the same / upstream', 'ms',
        started('lithops', '{here}/first.py lithops'),
        Goal('ratio', 'peer', '<=', 1 / 8),
        peer=started_upstream('{here}/first.py lithops')),
    Row('py_ping', 'Python: call_async + get_result, warm', 'us',
        python('lithops', 'ping.py lithops {py_pings}', reported('seconds', 1e6)),
        Goal('ratio', 'peer', '<=', 1 / 5), Goal('ratio', 'peer', '<=', 1 / 35),
        peer=python('Pool.apply', 'ping.py pool {py_pings}', reported('seconds', 1e6))),
    map_row('pool', 'Pool.map, chunksize 1', 'pool-1 {py_calls} 2',
            Goal('ratio', 'peer', '>=', 10), Goal('ratio', 'limit', '>=', 1),
            python('Pool.map as it is', 'map.py pool {py_calls} 5',
                   reported('calls_per_s', 1e-3)), 'lithops',
            notes=['ours has a future for each call, Pool.map has none']),
    map_row('joblib', 'joblib', 'joblib {py_calls} 2', environment='lithops'),
    map_row('dask', 'dask.distributed', 'dask {py_calls_few} 2', module='distributed'),
    map_row('ray', 'Ray', 'ray {py_calls_few} 2', module='ray'),
    map_row('upstream', 'upstream', 'upstream 20 1', environment='upstream',
            notes=[ROW_NOTE_FEWER]),
    results_row('bytes', 'bytes of 1 MiB', 'py_bytes'),
    results_row('numpy', 'arrays of 8 MiB', 'py_arrays'),
    Row('py_future_bytes', 'Python: 1 M futures of a map', 'B each',
        python('lithops', 'futures.py {py_futures}', reported('bytes')),
        Goal('value', None, '<=', 150), Goal('value', None, '<=', 64)),
    Row('py_words', 'Python: word count, map_reduce', 'GB/s',
        python('lithops', 'words.py lithops {text_python} {py_chunk_kib}',
               wall_rate('text_python_mib')),
        Goal('ratio', 'peer', '>=', 1.1),
        peer=python('Pool.imap', 'words.py pool {text_python} {py_chunk_kib}',
                    wall_rate('text_python_mib')),
        same='words', notes=['whole programs, from start to exit']),
    text_row('words_upstream', 'the same, chunks of 256 KiB', 'words', 'words.py {side}', 256,
             Goal('ratio', 'peer', '>=', 20)),
    text_row('words_upstream_4m', 'the same, chunks of 4 MiB', 'words', 'words.py {side}', 4096,
             None, ['counting itself takes most of the time, on both sides']),
    text_row('lines', 'line count through data_stream', 'lines', 'lines.py', 4096,
             Goal('ratio', 'peer', '>=', 20)),
    Row('py_map_reduce', 'Python: map_reduce of 100, warm', 'ms',
        python('lithops', 'reduce.py 100 {py_reduces}', reported('seconds', 1e3)),
        Goal('value', None, '<=', 5), Goal('value', None, '<=', 1)),
    Row('py_link_ping', 'Python: over a link, call_async + get_result', 'us',
        python('lithops', 'ping.py links {links_hot}', reported('seconds', 1e6)),
        Goal('ratio', 'limit', '<=', 2),
        limit=Side('the same in C', 'ours_ping links=1 hot {links_hot}', reported('seconds', 1e6))),
    Row('py_link_map', 'Python: over 2 links, map of no-op calls', 'k/s',
        python('lithops', 'map.py links {calls} 3', reported('calls_per_s', 1e-3)),
        Goal('value', None, '>=', 500)),
    Row('py_map_storage', 'Python: 1,000 no-op calls through a storage', 'k/s',
        python('lithops', 'map.py storage 1000 5', reported('calls_per_s', 1e-3)),
        Goal('ratio', 'peer', '>=', 20),
        peer=python('upstream', 'map.py upstream 20 1', reported('calls_per_s', 1e-3), 'upstream'),
        notes=['two workers and a folder; upstream on localhost', ROW_NOTE_FEWER]),
]
