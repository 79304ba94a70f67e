# SPDX-License-Identifier: Apache-2.0
"""One call after the other, warm: ping.py lithops|links|pool COUNT. Reports the median time of a
call. (links: over one link.)"""
import statistics
import sys
import time


def same(x):
    return x


def measure(call, count):
    times = []
    for n in range(count + count // 10):
        start = time.perf_counter()
        if call(n) != n:
            sys.exit('a wrong result')
        times.append(time.perf_counter() - start)
    print('seconds', statistics.median(times[count // 10:]))


if __name__ == '__main__':
    side, count = sys.argv[1], int(sys.argv[2])
    if side in ('lithops', 'links'):
        import lithops
        over = {'lithops': {'backend': 'process'}, 'process': {'workers': 1, 'worker_processes': 1}}
        with lithops.FunctionExecutor(config=over if side == 'links' else None) as fexec:
            measure(lambda n: fexec.get_result(fexec.call_async(same, n)), count)
    else:
        import multiprocessing
        with multiprocessing.Pool() as pool:
            measure(lambda n: pool.apply(same, (n,)), count)
