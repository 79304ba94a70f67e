# SPDX-License-Identifier: Apache-2.0
"""Templates, results of other tasks as arguments, and dynamic task mapping."""

import os.path

from airflow.sdk import DAG
from lithops_airflow_plugin.operators.lithops import LithopsCallAsyncOperator, LithopsMapOperator
from my_functions import add

OFFSET = 10


def shifted(x):
    return x + OFFSET


with DAG("templates", schedule=None, render_template_as_native_obj=True):
    first = LithopsMapOperator(
        task_id="first",
        map_function=add,
        map_iterdata="{{ params.numbers }}",
        extra_params={"y": "{{ params.y }}"},
        params={"numbers": [1, 2], "y": 5},
    )
    LithopsCallAsyncOperator(
        task_id="second", func=os.path.join, data=("{{ dag.dag_id }}", "x"), runtime_memory=None
    )
    LithopsCallAsyncOperator(task_id="third", func=sum, data=(first.output,))
    each = LithopsCallAsyncOperator.partial(task_id="each", func=add).expand(
        data=first.output.map(lambda x: {"x": x, "y": 1})
    )
    gathered = LithopsMapOperator(
        task_id="gathered", map_function=shifted, iterdata_from_task="each"
    )
    each >> gathered
    LithopsMapOperator(task_id="output", map_function=shifted, map_iterdata=each.output)
    LithopsMapOperator.partial(task_id="lists", map_function=shifted).expand(
        map_iterdata=[[1, 2], [3]]
    )
