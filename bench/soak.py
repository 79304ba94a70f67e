#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory in the steady state: many calls of all kinds and sizes, again and again.

    soak.py [--calls N] [--quick] [--only KIND] [--without KIND] [--seed N] [--png PATH]

After each tenth of the calls everything is dropped and cleaned; then the client's own memory, the
worker processes' and the shared memory must each be within 64 MiB of their values after the
warm-up, or it ends with status 1. Results are checked. --png draws memory over calls with
matplotlib; without it, the figures go to a CSV file instead.
"""

import argparse
import gc
import os
import random
import re
import sys
import time

import lithops
from lithops.concurrent.futures import ProcessPoolExecutor
from lithops.multiprocessing import Pool

MIB = 1 << 20
BOUND_MIB = 64
PARTS = ('client', 'workers', 'shared')


def sized(size):
    return bytes([size % 251]) * size


def odd_fails(x):
    if x % 2:
        raise ValueError(x)
    return bytes(x)


def total(results):
    return sum(map(len, results))


def check(condition, what):
    if not condition:
        sys.exit(f'soak: a wrong result: {what}')


class Kinds:
    """Each method makes some calls, and returns how many."""

    def __init__(self, fexec, pool, standard, rng):
        self.fexec, self.pool, self.standard, self.rng = fexec, pool, standard, rng

    def tiny(self):
        count = self.rng.randrange(500, 3000)
        check(self.fexec.map(abs, range(-count, 0)).get_result() == list(range(count, 0, -1)),
              'of abs')
        return count

    def single(self):
        futures = [self.fexec.call_async(abs, -x) for x in range(500)]
        check([future.result() for future in futures] == list(range(500)), 'of single calls')
        return 500

    def _sized(self, size, count):
        results = self.fexec.map(sized, [size] * count).get_result()
        check(len(results) == count and all(one == results[0] for one in results)
              and results[0] == sized(size), f'of {size} bytes')
        return count

    def ten_kb(self):
        return self._sized(self.rng.randrange(5_000, 20_000), 500)

    def one_mb(self):
        return self._sized(self.rng.randrange(MIB // 2, 2 * MIB), 10)

    def ten_mb(self):
        return self._sized(self.rng.randrange(5 * MIB, 15 * MIB), 2)

    def failing(self):
        try:
            self.fexec.get_result(self.fexec.map(odd_fails, range(0, 400)))
        except ValueError:
            self.fexec.wait(self.fexec.map(odd_fails, range(400)), throw_except=False)
            return 800
        return check(False, 'calls that should have failed')

    def reduced(self):
        futures = self.fexec.map_reduce(sized, [2000] * 500, total)
        check(self.fexec.get_result(futures) == 1_000_000, 'of a reducer')
        return 501

    def chained(self):
        check(self.fexec.map(sized, [20_000] * 200).map(len).get_result() == [20_000] * 200,
              'of a chain')
        return 400

    def dropped(self):
        self.fexec.wait(self.fexec.map(sized, [20_000] * 300))
        self.fexec.futures.clear()
        return 300

    def cancelled(self):
        futures = self.fexec.map(sized, [1000] * 300)
        self.fexec.wait(futures[:10])
        lithops._lithops.cancel(list(futures))
        self.fexec.wait(futures, throw_except=False)
        return 300

    def pooled(self):
        check(sum(map(len, self.pool.map(sized, [1000] * 300))) == 300_000, 'of Pool.map')
        check(sum(map(len, self.pool.imap(sized, [1000] * 100))) == 100_000, 'of Pool.imap')
        check(self.pool.apply_async(sized, (1000,)).get() == sized(1000), 'of apply_async')
        return 401

    def executor(self):
        futures = [self.standard.submit(sized, 1000) for _ in range(50)]
        check(sum(map(len, self.standard.map(sized, [1000] * 200))) == 200_000, 'of map')
        check(all(future.result() == sized(1000) for future in futures), 'of submit')
        return 250


KINDS = [name for name in vars(Kinds) if not name.startswith('_')]


def rollup(pid):
    with open(f'/proc/{pid}/smaps_rollup') as file:
        text = file.read()
    return [int(re.search(rf'^{key}:\s+(\d+)', text, re.M)[1]) / 1024
            for key in ('Pss_Anon', 'Pss_Shmem')]


def used():
    """Memory in MiB: the client's own, the workers' own, and shared."""
    own, shared = rollup('self')
    workers = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat') as file:
                parent = int(file.read().rpartition(')')[2].split()[1])
            if parent == os.getpid():
                theirs = rollup(pid)
                workers += theirs[0]
                shared += theirs[1]
        except (OSError, TypeError):  # the process has ended
            pass
    return own, workers, shared


def settled(fexec, start):
    """Measure after cleaning; memory is returned a moment later."""
    fexec.clean(force=True)
    gc.collect()
    deadline = time.monotonic() + 20
    while True:
        now = used()
        if start is None or time.monotonic() > deadline or all(
                a <= b + BOUND_MIB for a, b in zip(now, start)):
            return now
        time.sleep(0.05)


def draw(path, samples):
    try:
        import matplotlib
    except ImportError:
        path = os.path.splitext(path)[0] + '.csv'
        with open(path, 'w') as file:
            file.write('calls,' + ','.join(PARTS) + '\n')
            file.writelines(','.join(f'{x:.1f}' for x in sample) + '\n' for sample in samples)
        return print(f'soak: matplotlib is not installed; the figures are in {path}')
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(10, 5))
    calls, *columns = zip(*samples)
    for name, column in zip(PARTS, columns):
        axes.plot(calls, column, label=name, linewidth=1)
    axes.set(xlabel='calls', ylabel='MiB', ylim=0)
    axes.legend()
    figure.savefig(path, dpi=100)
    print(f'soak: drawn in {path}')


def run(kinds, names, count, rng, samples, done):
    """At least `count` calls, of kinds chosen at random."""
    end, step = done + count, max(1, count // 30)
    looked_at = done
    while done < end:
        done += getattr(kinds, rng.choice(names))()
        if samples is not None and done >= looked_at + step:
            samples.append((done, *used()))
            looked_at = done
    return done


def main():
    parser = argparse.ArgumentParser(description='memory in the steady state')
    parser.add_argument('--calls', type=int, default=1_000_000)
    parser.add_argument('--quick', action='store_true', help='30,000 calls')
    parser.add_argument('--only', action='append', choices=KINDS)
    parser.add_argument('--without', action='append', choices=KINDS, default=[])
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--png')
    options = parser.parse_args()
    calls = 30_000 if options.quick else options.calls
    names = [name for name in options.only or KINDS if name not in options.without]
    rng = random.Random(options.seed)
    samples, failed = [], False
    with lithops.FunctionExecutor(worker_processes=2) as fexec, Pool(2) as pool, \
            ProcessPoolExecutor(2) as standard:
        kinds = Kinds(fexec, pool, standard, rng)
        for name in names:  # each kind at least once
            getattr(kinds, name)()
        run(kinds, names, calls // 20, rng, None, 0)
        start, done, began = settled(fexec, None), 0, time.monotonic()
        for tenth in range(1, 11):
            done = run(kinds, names, calls * tenth // 10 - done, rng, samples, done)
            now = settled(fexec, start)
            samples.append((done, *now))
            failed |= any(a > b + BOUND_MIB for a, b in zip(now, start))
            print(f'{done:9} calls, {time.monotonic() - began:6.0f} s: ' + ', '.join(
                f'{name} {b:.0f} {b - a:+.0f} MiB' for name, a, b in zip(PARTS, start, now)),
                flush=True)
    if options.png:
        draw(options.png, samples)
    print(f'soak: {done} calls, {"more" if failed else "never more"} than {BOUND_MIB} MiB above '
          f'the beginning')
    return failed


if __name__ == '__main__':
    sys.exit(main())
