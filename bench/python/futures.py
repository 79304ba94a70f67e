# SPDX-License-Identifier: Apache-2.0
"""Memory of the futures of one map: futures.py COUNT. Reports bytes per future, over this process
and its worker processes; shared memory is counted once."""
import gc
import os
import sys

import lithops


def same(x):
    return x


def children(pid):
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/children', encoding='ascii') as file:
            yield from map(int, file.read().split())


def used_bytes():
    total = 0
    for pid in (os.getpid(), *children(os.getpid())):
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
            total += next(int(line.split()[1]) for line in file if line.startswith('Pss:'))
    return total * 1024


if __name__ == '__main__':
    count = int(sys.argv[1])
    with lithops.FunctionExecutor() as fexec:
        fexec.get_result(fexec.map(same, range(1000)))
        gc.collect()
        before = used_bytes()
        futures = fexec.map(same, range(count))
        fexec.wait(futures)
        gc.collect()
        print('bytes', (used_bytes() - before) / count)
        if futures[count - 1].result() != count - 1:
            sys.exit('a wrong result')
