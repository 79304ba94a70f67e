# SPDX-License-Identifier: Apache-2.0
"""One executor used by several threads, and one executor in each of several threads."""
import json
import threading

import lithops


def scale(x, factor):
    return x * factor


def use(fexec, factor, answers):
    for round_ in range(3):
        futures = fexec.map(scale, range(20), extra_args=(factor,))
        answers.setdefault(factor, []).append(fexec.get_result(futures))


def in_threads(targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def own(factor, answers):
    with lithops.FunctionExecutor() as fexec:
        use(fexec, factor, answers)


if __name__ == '__main__':
    shared, each = {}, {}
    with lithops.FunctionExecutor() as fexec:
        in_threads([lambda n=n: use(fexec, n, shared) for n in range(1, 6)])
    in_threads([lambda n=n: own(n, each) for n in range(1, 4)])
    print(json.dumps([sorted(shared.items()), sorted(each.items())]))
