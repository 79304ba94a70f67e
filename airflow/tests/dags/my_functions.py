# SPDX-License-Identifier: Apache-2.0
"""Functions of a module beside the DAG files, as users keep them: it does not import Airflow, which
every worker process would have to load."""

import os
import time


def add(x, y):
    return x + y


def mult_array(results):
    product = 1
    for result in results:
        product *= result
    return product


def fail_at(x, bad):
    if x == bad:
        raise ValueError(f"cannot do {x}")
    return x


def count_words(obj):
    return sum(len(line.split()) for line in obj.data_stream)


def add_up(results):
    return sum(results)


def shifted(x):
    return x + 10


def say_and_double(x):
    print("doubles", x)
    return 2 * x


def counted(number, folder, gate):
    """Leaves a line for each time that it runs, and waits for as long as the gate is there."""
    with open(os.path.join(folder, str(number)), "a") as runs:
        runs.write("x")
    while number and os.path.exists(gate):
        time.sleep(0.01)
    return number


class Sleepers:
    """Calls that write the ids of their processes into a folder, and sleep."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, number):
        (self.folder / str(os.getpid())).touch()
        time.sleep(60)

    def pids(self):
        return [int(path.name) for path in self.folder.iterdir()]
