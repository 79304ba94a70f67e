# SPDX-License-Identifier: Apache-2.0
"""The calls that the documentation of Lithops begins with, in all their spellings."""
import json

import lithops
from lithops.future import ResponseFuture
from lithops.utils import FuturesList

FACTOR = 7


class Adder:
    def __init__(self, n):
        self.n = n

    def add(self, x):
        return x + self.n

    def __call__(self, x):
        return x * self.n


def add(x, y):
    return x + y


def times_factor(x):
    return x * FACTOR


def power(x, exponent=2, *, minus=0):
    return x ** exponent - minus


def who(x, id):
    return [x, id]


def total(results):
    return sum(results)


def fail(x):
    if x == 2:
        raise ValueError(f'no {x}', x)
    return x


def main():
    answers = {}
    fexec = lithops.FunctionExecutor()
    future = fexec.call_async(add, (1, 2))
    answers['a tuple'] = [future.result(), isinstance(future, ResponseFuture), future.done]
    answers['a dict'] = fexec.call_async(add, {'x': 3, 'y': 4}).result()
    answers['one'] = fexec.call_async(times_factor, 6).result()
    answers['get_result'] = fexec.get_result(fexec.call_async(times_factor, 5))

    fexec = lithops.FunctionExecutor()
    answers['map'] = fexec.get_result(fexec.map(times_factor, [1, 2, 3]))
    answers['tuples'] = fexec.get_result(fexec.map(add, [(1, 2), (3, 4)]))
    answers['extra_args'] = fexec.get_result(fexec.map(add, [(2,), (3,)], extra_args=(3,)))
    answers['dicts'] = fexec.get_result(fexec.map(power, [{'x': 2, 'minus': 1}, {'x': 3, 'minus': 0}],
                                                  extra_args={'exponent': 4}))
    fexec = lithops.FunctionExecutor()
    answers['zero'] = fexec.get_result(fexec.map(times_factor, [0, 1, 2, 3]))
    answers['id'] = fexec.get_result(fexec.map(who, ['a', 'b']))

    fexec = lithops.FunctionExecutor()
    fexec.call_async(times_factor, 1).result()
    fexec.map_reduce(times_factor, [1, 2, 3], total)
    answers['all so far'] = fexec.get_result()
    fexec.map_reduce(times_factor, [1, 2, 3], total)
    answers['map_reduce'] = fexec.get_result()

    fexec = lithops.FunctionExecutor()
    adder = Adder(10)
    answers['methods'] = fexec.get_result(fexec.map(adder.add, [1, 2]))
    answers['callables'] = fexec.get_result(fexec.map(adder, [1, 2]))
    answers['lambdas'] = fexec.get_result(fexec.map(lambda x: x + FACTOR, [1, 2]))

    fexec = lithops.FunctionExecutor()
    futures = fexec.map(times_factor, [1, 2, 3])
    answers['a list'] = isinstance(futures, FuturesList)
    answers['chained'] = fexec.get_result(fexec.map(times_factor, futures))
    answers['more chained'] = fexec.map(times_factor, [1, 2]).map(times_factor).get_result()

    done, not_done = fexec.wait(fexec.map(times_factor, [0, 1, 2, 3, 4]))
    answers['wait'] = [len(done), len(not_done), sorted(each.result() for each in done)]
    futures = fexec.map(fail, [1, 2, 3])
    try:
        fexec.get_result(futures)
    except ValueError as exc:
        answers['error'] = [type(exc).__name__, list(exc.args)]
    futures = fexec.map(fail, [1, 2, 3])
    fexec.wait(futures, throw_except=False)
    answers['flags'] = [[each.done, each.success, each.error] for each in futures]
    fexec.clean()
    return answers


if __name__ == '__main__':
    print(json.dumps(main()))
