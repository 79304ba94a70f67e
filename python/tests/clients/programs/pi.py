# SPDX-License-Identifier: Apache-2.0
"""Pi by Monte Carlo: each call throws its darts with a seed of its own."""
import json
import random

import lithops

DARTS = 20000


def throw(seed):
    darts = random.Random(seed)
    return sum(darts.random()**2 + darts.random()**2 <= 1 for _ in range(DARTS))


def estimate(results):
    return 4 * sum(results) / (DARTS * len(results))


if __name__ == '__main__':
    with lithops.FunctionExecutor() as fexec:
        fexec.map_reduce(throw, range(8), estimate)
        print(json.dumps(fexec.get_result()))
