# SPDX-License-Identifier: Apache-2.0
"""The rows of the benchmark: what is run on each side, and what is hoped for.

A side is a command and a way to read one number from it: a value that the program reports, or the
time from its start to its exit ("wall"). In a command {text} and {text_small} stand for text files,
{out} for a file of the side's own, {python} and {here} for what rows_python.py says; a name without
a slash is a program of this folder's build, or a tool of the system. A pipeline goes through the
shell.
"""
from dataclasses import dataclass, field
from typing import Callable, Optional


@dataclass
class Side:
    name: str
    command: str
    read: Callable  # (reported: dict, wall_s: float, sizes: dict) -> number in the row's unit
    needs: tuple = ()
    environment: Optional[str] = None  # of Python, for {python}: see pythons.py
    module: Optional[str] = None  # that must be there


@dataclass
class Goal:
    """`what` is 'ratio' (ours / other), 'difference' (ours - other) or 'value' (ours)."""
    what: str
    other: Optional[str]  # 'peer' or 'limit'
    sign: str  # '<=' or '>='
    number: float

    def text(self, unit):
        if self.what == 'ratio':
            return f'{self.sign} {self.number:g}x {self.other}'
        more = '+' if self.what == 'difference' else ''
        tail = f' {self.other}' if self.what == 'difference' else ''
        return f'{self.sign} {more}{self.number:g} {unit}{tail}'.replace('  ', ' ')


@dataclass
class Row:
    name: str
    title: str
    unit: str
    ours: Side
    goal: Goal
    aim: Optional[Goal] = None
    peer: Optional[Side] = None
    limit: Optional[Side] = None
    same: Optional[str] = None  # a reported value that all sides must agree on
    expected: Optional[Callable] = None  # sizes -> what it must be
    same_words: bool = False  # the word counts in {out} must agree
    notes: list = field(default_factory=list)
    rounds: Optional[int] = None  # at most: the peer is slow


def reported(key, scale=1.0):
    return lambda values, wall_s, sizes: values[key] * scale


def wall_rate(size):
    return lambda values, wall_s, sizes: sizes[size] * 2**20 / wall_s / 1e9


def rate(key):
    """Millions a second, out of the seconds for `calls`."""
    return lambda values, wall_s, sizes: sizes['calls'] / values[key] / 1e6


def times(seconds_to):
    return reported('seconds', seconds_to)


# In the full run and with --quick. Counts are chosen so that a round of a row takes a second or two.
SIZES = {
    'full': dict(calls=1000000, text_mib=1024, text_small_mib=512, hot=100000, parked=200,
                 results=4000, spawns=60, text_python_mib=512, text_upstream_mib=64,
                 py_calls=100000, py_calls_few=10000, py_pings=20000, py_bytes=2000, py_arrays=400,
                 py_futures=1000000, py_chunk_kib=8192, py_reduces=200),
    'quick': dict(calls=1000000, text_mib=256, text_small_mib=128, hot=20000, parked=50,
                  results=1000, spawns=20, text_python_mib=64, text_upstream_mib=16,
                  py_calls=100000, py_calls_few=5000, py_pings=5000, py_bytes=500, py_arrays=100,
                  py_futures=1000000, py_chunk_kib=4096, py_reduces=100),
}


def sum_to_calls(sizes):
    return sizes['calls'] * (sizes['calls'] - 1) / 2


ROWS = [
    Row('hot', 'call_async + get_result, hot', 'us',
        Side('lithops', 'ours_ping hot {hot}', times(1e6)),
        Goal('ratio', 'limit', '<=', 5), Goal('ratio', 'limit', '<=', 3),
        limit=Side('spin ping-pong', 'limit_pingpong spin {hot}', times(1e6))),
    Row('parked', 'call_async + get_result, parked', 'us',
        Side('lithops', 'ours_ping parked {parked} 5', times(1e6)),
        Goal('ratio', 'limit', '<=', 1.5),
        limit=Side('futex ping-pong', 'limit_pingpong futex {parked} 5', times(1e6)),
        notes=['both with 5 ms between two calls']),
    Row('idle', 'CPU time in 1 s of idleness', 'ticks',
        Side('lithops', 'ours_ping idle', reported('ticks')),
        Goal('value', None, '<=', 0),
        notes=['client and worker processes together']),
    Row('map', 'map of 1e6 no-op calls', 'M/s',
        Side('lithops', 'ours_map {calls} 15', rate('seconds')),
        Goal('ratio', 'peer', '>=', 1), Goal('value', None, '>=', 250),
        peer=Side('oneTBB parallel_for', 'tbb_for map {calls} 15', rate('seconds')),
        limit=Side('range + claims', 'limit_map {calls} 4096 15', rate('seconds')),
        same='sum', expected=sum_to_calls,
        notes=['the limit starts two processes that spin already']),
    Row('async', '1e6 separate call_async + get', 'M/s',
        Side('lithops', 'ours_async {calls}', rate('seconds')),
        Goal('ratio', 'peer', '>=', 2), Goal('ratio', 'peer', '>=', 10),
        peer=Side('oneTBB task_group + future', 'tbb_async {calls}', rate('seconds')),
        limit=Side('ring, 1 at a time', 'limit_ring {calls}', rate('seconds')),
        same='sum', expected=sum_to_calls,
        notes=['Taskflow is not in Debian 12: its place is taken by oneTBB task_group with '
               'std::packaged_task and std::future']),
    Row('future_bytes', '1 M futures of a map', 'B each',
        Side('lithops', 'ours_map {calls} 1', reported('bytes')),
        Goal('value', None, '<=', 64), Goal('value', None, '<=', 32),
        peer=Side('oneTBB task_group + future', 'tbb_async {calls}', reported('bytes')),
        same='sum', expected=sum_to_calls,
        notes=['growth of the client and the worker processes, shared memory counted once']),
    Row('handle_bytes', '1 M futures of separate calls', 'B each',
        Side('lithops', 'ours_map separate {calls}', reported('bytes')),
        Goal('value', None, '<=', 64), Goal('value', None, '<=', 32),
        peer=Side('oneTBB task_group + future', 'tbb_async {calls}', reported('bytes')),
        same='sum', expected=sum_to_calls),
    Row('results', 'results of 1 MiB', 'GB/s',
        Side('lithops', 'ours_results {results}', reported('bytes_per_s', 1e-9)),
        Goal('ratio', 'limit', '>=', 0.5), Goal('ratio', 'limit', '>=', 0.6),
        peer=Side('pipe', 'limit_handover pipe {results}', reported('bytes_per_s', 1e-9)),
        limit=Side('hand-over', 'limit_handover memory {results}', reported('bytes_per_s', 1e-9))),
    Row('lines', 'line count of a file, in chunks', 'GB/s',
        Side('lithops', 'ours_lines {text} 16', wall_rate('text_mib')),
        Goal('ratio', 'peer', '>=', 2), Goal('ratio', 'limit', '>=', 0.65),
        peer=Side('wc -l', 'wc -l {text}', wall_rate('text_mib'), needs=('wc',)),
        limit=Side('vectors, threads', 'limit_lines {text}', wall_rate('text_mib')),
        same='lines', notes=['whole programs, from start to exit; the file is in the page cache']),
    Row('words', 'word count, map_reduce', 'GB/s',
        Side('lithops', 'ours_words {text_small} 32 {out}', wall_rate('text_small_mib')),
        Goal('ratio', 'peer', '>=', 10), Goal('ratio', 'limit', '>=', 0.9),
        peer=Side('GNU parallel + mawk',
                  "parallel --will-cite --pipepart -a {text_small} --block -4 mawk "
                  "\"'{for(i=1;i<=NF;i++)c[\\$i]++}END{for(w in c)print w,c[w]}'\" | "
                  "mawk '{c[$1]+=$2}END{for(w in c)print w,c[w]}' > {out}",
                  wall_rate('text_small_mib'), needs=('parallel', 'mawk')),
        limit=Side('threads, same counter', 'limit_words {text_small} {out}',
                   wall_rate('text_small_mib')),
        same_words=True,
        notes=['whole programs, from start to exit; the file is in the page cache']),
    Row('start', 'program start to first result to exit', 'ms',
        Side('lithops', 'spawn {spawns} 49 ours_start', times(1e3)),
        Goal('difference', 'limit', '<=', 1.5),
        limit=Side('without Lithops', 'spawn {spawns} 49 limit_start', times(1e3))),
    Row('map_reduce', 'map_reduce of 100 no-op calls, hot', 'us',
        Side('lithops', 'ours_reduce 100 500', times(1e6)),
        Goal('value', None, '<=', 100), Goal('value', None, '<=', 20),
        limit=Side('map of 101', 'limit_map 101 25 500', times(1e6))),
    Row('long_call', 'a long call among many of 100 us', 'x ideal',
        Side('lithops', 'ours_makespan 10000 100 500', reported('over_ideal')),
        Goal('value', None, '<=', 1.1),
        peer=Side('oneTBB parallel_for', 'tbb_for spin 10000 100 500', reported('over_ideal'))),
    Row('long_call_tiny', 'a long call among many of 5 us', 'x ideal',
        Side('lithops', 'ours_makespan 200000 5 500', reported('over_ideal')),
        Goal('value', None, '<=', 1.1),
        peer=Side('oneTBB parallel_for', 'tbb_for spin 200000 5 500', reported('over_ideal'))),
    Row('long_call_idle', 'workers idle while calls wait', '% of time',
        Side('lithops', 'ours_makespan 10000 100 500', reported('idle', 100)),
        Goal('value', None, '<=', 1)),
]
