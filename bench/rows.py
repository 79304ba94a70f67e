# SPDX-License-Identifier: Apache-2.0
"""The rows of the benchmark: what each side runs, and the goals.

A side is a command and a way to read one number from it: a value that the program reports, or the
time from its start to its exit ("wall"). In a command {text} and {text_small} stand for text files,
{lithops} for the command, {out} for a private file of the side; for {python} and {here} see
rows_python.py. A name without a slash is a program built from this folder, or a tool of the system.
A pipeline is run by the shell.
"""
from dataclasses import dataclass, field
from typing import Callable, Optional


@dataclass
class Side:
    name: str
    command: str
    read: Callable  # (reported: dict, wall_s: float, sizes: dict) -> number in the row's unit
    needs: tuple = ()
    environment: Optional[str] = None  # the Python environment, for {python}: see pythons.py
    module: Optional[str] = None  # that must be importable


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
    same: Optional[str] = None  # a reported value, the same on all sides
    expected: Optional[Callable] = None  # sizes -> the right value
    same_words: bool = False  # the word counts in {out} must agree
    notes: list = field(default_factory=list)
    rounds: Optional[int] = None  # an upper limit, as the peer is slow
    # One that runs meanwhile: 'files' (bench/with-files), 'smalls', 's3', 'hosts', 'redis',
    # 'brokers', or that of a queue: 'azure_queue', 'aws_sqs', 'gcp_pubsub'.
    server: Optional[str] = None


def reported(key, scale=1.0):
    return lambda values, wall_s, sizes: values[key] * scale


def wall_rate(size):
    return lambda values, wall_s, sizes: sizes[size] * 2**20 / wall_s / 1e9


def programs_per_s(values, wall_s, sizes):
    return sizes['programs'] / wall_s


def rate(key):
    """Millions a second, from the seconds for `calls`."""
    return lambda values, wall_s, sizes: sizes['calls'] / values[key] / 1e6


def times(seconds_to):
    return reported('seconds', seconds_to)


# Of a full run and of --quick. A round of a row takes a second or two.
SIZES = {
    'full': dict(calls=1000000, text_mib=1024, text_small_mib=512, hot=100000, parked=200,
                 results=4000, spawns=60, programs=3000, text_python_mib=512, text_upstream_mib=64,
                 py_calls=100000, py_calls_few=10000, py_pings=20000, py_bytes=2000, py_arrays=400,
                 py_futures=1000000, py_chunk_kib=8192, py_reduces=200, links_hot=20000,
                 link_results=1024, host_programs=60, smalls=20000, smalls_one=3000,
                 smalls_put=10000, lags=50, detached=20,
                 invoked=200000, invoked_few=5000, invoked_slow=20000,
                 s3_calls=1000000),
    'quick': dict(calls=1000000, text_mib=256, text_small_mib=128, hot=20000, parked=50,
                  results=1000, spawns=20, programs=1000, text_python_mib=64, text_upstream_mib=16,
                  py_calls=100000, py_calls_few=5000, py_pings=5000, py_bytes=500, py_arrays=100,
                  py_futures=1000000, py_chunk_kib=4096, py_reduces=100, links_hot=5000,
                  link_results=256, host_programs=30, smalls=10000, smalls_one=1000,
                  smalls_put=5000, lags=20, detached=10,
                  invoked=100000, invoked_few=2000, invoked_slow=5000,
                  s3_calls=100000),
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
        notes=['both with 5 ms between calls']),
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
        notes=['the two processes of the limit are running and spin']),
    Row('map_owned', 'the same / with its duties', 'M/s',
        Side('lithops', 'ours_map {calls} 15', rate('seconds')),
        Goal('ratio', 'limit', '>=', 0.5),
        limit=Side('claims, CAS, records', 'limit_map {calls} 4096 15 owned', rate('seconds')),
        same='sum', expected=sum_to_calls,
        notes=['the limit of the row above, but each call is taken by a compare-and-swap and has '
               'a record with its times']),
    Row('async', '1e6 separate call_async + get', 'M/s',
        Side('lithops', 'ours_async {calls}', rate('seconds')),
        Goal('ratio', 'peer', '>=', 2), Goal('ratio', 'peer', '>=', 10),
        peer=Side('oneTBB task_group + future', 'tbb_async {calls}', rate('seconds')),
        limit=Side('ring, 1 at a time', 'limit_ring {calls}', rate('seconds')),
        same='sum', expected=sum_to_calls,
        notes=['Taskflow is not in Debian 12; the peer is a oneTBB task_group with '
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
    # Detached jobs: their supervisor is the command beside the library.
    Row('detached_start', 'a detached job: executor opened to first result', 'ms',
        Side('lithops', 'ours_detached start {detached}', times(1e3)),
        Goal('ratio', 'limit', '<=', 2),
        limit=Side('attached', 'ours_detached attached {detached}', times(1e3)),
        notes=['with the start of a supervisor']),
    Row('detached_attach', 'attach to 1e6 calls, and their state', 'ms',
        Side('lithops', 'ours_detached attach {calls}', times(1e3)),
        Goal('value', None, '<=', 50)),
    Row('detached_memory', 'memory of that', 'MB',
        Side('lithops', 'ours_detached attach {calls}', reported('megabytes')),
        Goal('value', None, '<=', 32)),
    Row('programs', 'a process per item (/bin/true)', '/s',
        Side('lithops run', 'seq {programs} | {lithops} run /bin/true --over -', programs_per_s,
             needs=('seq',)),
        Goal('ratio', 'peer', '>=', 0.9), Goal('ratio', 'peer', '>=', 1.1),
        peer=Side('xargs -P', 'seq {programs} | xargs -n 1 -P $(nproc) /bin/true', programs_per_s,
                  needs=('seq', 'xargs')),
        notes=['whole programs, from start to exit']),
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
    # Remote workers: `lithops worker` at the other end of a socket pair.
    Row('link_hot', 'over a link: call_async + get_result', 'us',
        Side('lithops', 'ours_ping links=1 hot {links_hot}', times(1e6)),
        Goal('ratio', 'limit', '<=', 3), Goal('ratio', 'limit', '<=', 1.5),
        limit=Side('8 bytes there and back', 'limit_echo {links_hot}', times(1e6))),
    Row('tcp_hot', 'over a link of TCP with TLS: call_async + get_result', 'us',
        Side('lithops', 'ours_ping tcp=1 hot {links_hot}', times(1e6)),
        Goal('ratio', 'peer', '<=', 4), Goal('ratio', 'peer', '<=', 2.5),
        peer=Side('a link', 'ours_ping links=1 hot {links_hot}', times(1e6))),
    Row('tcp_results', 'over a link of TCP with TLS: results of 1 MiB', 'GB/s',
        Side('lithops', 'ours_results tcp=1 {link_results}', reported('bytes_per_s', 1e-9)),
        Goal('ratio', 'peer', '>=', 0.2), Goal('ratio', 'peer', '>=', 0.4),
        peer=Side('a link', 'ours_results links=1 {link_results}', reported('bytes_per_s', 1e-9))),
    Row('link_map', 'over 2 links: map of 1e6 no-op calls', 'M/s',
        Side('lithops', 'ours_map links=2 {calls} 5', rate('seconds')),
        Goal('value', None, '>=', 2), Goal('ratio', 'peer', '>=', 0.3),
        peer=Side('localhost', 'ours_map {calls} 5', rate('seconds')),
        same='sum', expected=sum_to_calls),
    Row('link_results', 'over a link: results of 1 MiB', 'GB/s',
        Side('lithops', 'ours_results links=1 {link_results}',
             reported('bytes_per_s', 1e-9)),
        Goal('ratio', 'limit', '>=', 0.5), Goal('ratio', 'limit', '>=', 0.8),
        limit=Side('bytes through the socket', 'limit_echo cat {link_results}',
                   reported('bytes_per_s', 1e-9))),
    Row('link_lines', 'over 2 links: line count of a file', 'GB/s',
        Side('lithops', 'ours_lines links=2 {text} 16', wall_rate('text_mib')),
        Goal('ratio', 'peer', '>=', 0.45), Goal('ratio', 'peer', '>=', 0.7),
        peer=Side('wc -l', 'wc -l {text}', wall_rate('text_mib'), needs=('wc',)),
        same='lines', notes=['the file is on the client; whole programs, from start to exit']),
    Row('link_memory', 'over links: client, 1e5 calls in flight', 'MB',
        Side('lithops', 'ours_inflight 100000', reported('bytes', 1e-6)),
        Goal('value', None, '<=', 64)),
    Row('link_idle', 'over 2 links: CPU time in 1 s of idleness', 'ticks',
        Side('lithops', 'ours_ping links=2 idle', reported('ticks')),
        Goal('value', None, '<=', 0),
        notes=['client, workers and their processes together']),
    # Hosts: namespaces of this machine, with an sshd each; the same channel, `ssh`, on both sides.
    Row('host_hot', 'over SSH: call_async + get_result', 'us',
        Side('lithops', 'ours_ping hosts=1 hot {links_hot}', times(1e6)),
        Goal('ratio', 'limit', '<=', 3), Goal('ratio', 'limit', '<=', 1.5), server='hosts',
        limit=Side('8 bytes through ssh host cat', 'limit_ssh echo host1 {links_hot}', times(1e6))),
    Row('host_map', 'over SSH, 2 hosts: map of 1e6 no-op calls', 'M/s',
        Side('lithops', 'ours_map hosts=2 {calls} 5', rate('seconds')),
        Goal('value', None, '>=', 2), Goal('ratio', 'peer', '>=', 0.3), server='hosts',
        peer=Side('localhost', 'ours_map {calls} 5', rate('seconds')),
        same='sum', expected=sum_to_calls),
    Row('host_results', 'over SSH: results of 1 MiB', 'GB/s',
        Side('lithops', 'ours_results hosts=1 {link_results}', reported('bytes_per_s', 1e-9)),
        Goal('ratio', 'peer', '>=', 0.8), server='hosts',
        peer=Side('ssh host cat file', 'limit_ssh cat host1 {link_results}',
                  reported('bytes_per_s', 1e-9))),
    Row('host_lines', 'over SSH, 2 hosts: line count of a file', 'GB/s',
        Side('lithops', 'ours_lines hosts=2 {text} 16', wall_rate('text_mib')),
        Goal('ratio', 'peer', '>=', 0.7), server='hosts',
        peer=Side('ssh host wc -l <file', 'limit_ssh lines host1 {text}', wall_rate('text_mib')),
        same='lines', notes=['the file is on the client; whole programs, from start to exit']),
    Row('host_first', '3 hosts: opened to the first result', 'ms',
        Side('lithops', 'ours_first hosts=3', times(1e3)),
        Goal('ratio', 'peer', '<=', 1.2), server='hosts',
        peer=Side('ssh host true, in parallel', 'limit_ssh true host1 host2 host3', times(1e3))),
    Row('host_first_cold', '3 hosts with empty caches: the same', 'ms',
        Side('lithops', 'ours_first hosts=3 cold', times(1e3)),
        Goal('ratio', 'peer', '<=', 1.5), server='hosts',
        peer=Side('ssh host cat <engine, in parallel', 'limit_ssh send host1 host2 host3',
                  times(1e3))),
    Row('host_programs', 'over SSH, 2 hosts: a process per item', '/s',
        Side('lithops run', 'seq {programs} | {lithops} run /bin/true --over - --config '
             '{here}/../hosts.yaml', programs_per_s, needs=('seq',)),
        Goal('ratio', 'peer', '>=', 10), server='hosts',
        peer=Side('GNU parallel', 'seq {host_programs} | parallel --will-cite --sshlogin '
                  'host1,host2 /bin/true', lambda values, wall_s, sizes: sizes['host_programs'] / wall_s,
                  needs=('seq', 'parallel')),
        notes=['whole programs, from start to exit']),
]
