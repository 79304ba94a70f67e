# SPDX-License-Identifier: Apache-2.0
"""A program for concurrent.futures, with its import changed."""
import json
import operator

from lithops.concurrent.futures import (
    ALL_COMPLETED, FIRST_COMPLETED, ProcessPoolExecutor, as_completed, wait)


def power(base, exponent=2, *, minus=0):
    return base ** exponent - minus


def fail(x):
    raise KeyError(x)


if __name__ == '__main__':
    answers = []
    with ProcessPoolExecutor() as pool:
        answers.append(pool.submit(pow, 2, 8).result())
        answers.append(pool.submit(power, 3, exponent=3, minus=7).result(timeout=60))
        answers.append(list(pool.map(power, range(10), [3] * 10)))
        answers.append(list(pool.map(operator.neg, [])))
        futures = [pool.submit(power, n) for n in range(6)]
        answers.append(sorted(future.result() for future in as_completed(futures)))
        done, not_done = wait(futures, return_when=ALL_COMPLETED)
        answers.append([len(done), len(not_done)])
        answers.append(len(wait([pool.submit(power, 2)], return_when=FIRST_COMPLETED).done))
        failed = pool.submit(fail, 'name')
        answers.append([type(failed.exception()).__name__, failed.exception().args[0]])
        seen = []
        future = pool.submit(power, 9)
        future.result()
        future.add_done_callback(lambda done: seen.append(done.result()))
        answers.append(seen)
    try:
        pool.submit(pow, 1, 1)
    except RuntimeError:
        answers.append('shut down')
    print(json.dumps(answers))
