# SPDX-License-Identifier: Apache-2.0
"""Big results: results.py lithops|pool bytes|numpy COUNT. Reports bytes per second.

A call makes 1 MiB of bytes, or an array of 8 MiB; the client reads both ends of it and drops
it.
"""
import sys
import time

SIZES = {'bytes': 1 << 20, 'numpy': 8 << 20}


def make_bytes(n):
    return bytes([n % 256]) * SIZES['bytes']


def make_numpy(n):
    import numpy
    return numpy.full(SIZES['numpy'] // 8, n, dtype=numpy.int64)


def measure(results, kind, count):
    """@param results  an iterator over `count` results, warm-up included"""
    start = None
    warm_up = max(2, count // 10)
    for i, result in enumerate(results):
        if i == warm_up:
            start = time.perf_counter()
        n = i % 256 if kind == 'bytes' else i
        if result[0] != n or result[-1] != n or len(result) < 1 << 20:
            sys.exit('a wrong result')
    print('bytes_per_s', SIZES[kind] * (count - warm_up) / (time.perf_counter() - start))


if __name__ == '__main__':
    side, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    make = make_bytes if kind == 'bytes' else make_numpy
    if side == 'lithops':
        import lithops
        with lithops.FunctionExecutor() as fexec:
            measure((fexec.call_async(make, n).result() for n in range(count)), kind, count)
    else:
        import multiprocessing
        with multiprocessing.Pool() as pool:
            measure((pool.apply(make, (n,)) for n in range(count)), kind, count)
