# SPDX-License-Identifier: Apache-2.0
"""The decorators, on functions of this file that use others of it."""

import os

from airflow.sdk import DAG, task
from my_functions import add_up

OFFSET = 10


def shifted(x):
    return x + OFFSET


with DAG("decorators", schedule=None):

    @task.lithops
    def one(x, y=2, run_id=None):
        return [shifted(x) + y, run_id]

    @task.lithops_map(extra_env={"FACTOR": "3"})
    def many(x, y):
        return x * y * int(os.environ["FACTOR"])

    @task.lithops_map_reduce(reduce_function=add_up, task_id="reduced")
    def pairs(pair):
        a, b = pair
        return a * b

    @task.lithops(multiple_outputs=True)
    def split(values):
        return {"low": min(values), "high": max(values)}

    @task.lithops
    def with_storage(name, storage):
        storage.put_object("decorated", name, b"body")
        return storage.get_object("decorated", name).decode()

    @task
    def numbers():
        return [1, 2, 3]

    one(1)
    mapped = many(numbers(), y=2)
    pairs([(1, 2), (3, 4)])
    one.override(task_id="high")(split(mapped)["high"])
    one.override(task_id="each").partial(y=0).expand(x=mapped)
    many.override(task_id="lists").partial(y=1).expand(x=[[1], [2, 3]])
    with_storage("key")
