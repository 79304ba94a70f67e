# SPDX-License-Identifier: Apache-2.0
"""A script with one call in it: first.py lithops|pool. Prints 49."""
import sys


def square(x):
    return x * x


if __name__ == '__main__':
    if sys.argv[1] == 'lithops':
        import lithops
        with lithops.FunctionExecutor() as fexec:
            print(fexec.get_result(fexec.call_async(square, 7), show_progressbar=False))
    else:
        import multiprocessing
        with multiprocessing.Pool() as pool:
            print(pool.apply(square, (7,)))
