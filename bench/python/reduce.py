# SPDX-License-Identifier: Apache-2.0
"""A map_reduce of calls that do nothing, warm: reduce.py CALLS TIMES. Reports its median time."""
import statistics
import sys
import time

import lithops


def same(x):
    return x


if __name__ == '__main__':
    calls, times = int(sys.argv[1]), int(sys.argv[2])
    with lithops.FunctionExecutor() as fexec:
        seconds = []
        for _ in range(times + 5):
            start = time.perf_counter()
            if fexec.map_reduce(same, range(calls), sum).get_result() != sum(range(calls)):
                sys.exit('a wrong result')
            seconds.append(time.perf_counter() - start)
        print('seconds', statistics.median(seconds[5:]))
