# SPDX-License-Identifier: Apache-2.0
"""The examples of the operators' table, and more of what their parameters do."""

from airflow.sdk import DAG
from lithops_airflow_plugin.operators.lithops import (
    LithopsCallAsyncOperator,
    LithopsMapOperator,
    LithopsMapReduceOperator,
)
from my_functions import add, mult_array

with DAG("operators", schedule=None, catchup=False):
    add_task_1 = LithopsCallAsyncOperator(task_id="add_task_1", func=add, data={"x": 1, "y": 3})
    add_task_2 = LithopsCallAsyncOperator(
        task_id="add_task_2", func=add, data={"x": 4}, data_from_task={"y": "add_task_1"}
    )
    map_task = LithopsMapOperator(
        task_id="map_task", map_function=add, map_iterdata=[1, 2, 3], extra_params={"y": 1}
    )
    mapreduce_task = LithopsMapReduceOperator(
        task_id="mapreduce_task",
        map_function=add,
        reduce_function=mult_array,
        map_iterdata=[1, 2, 3],
        extra_params={"y": 1},
    )
    LithopsCallAsyncOperator(task_id="identity", func=add, data={"x": 1, "y": 3}, get_result=False)
    LithopsMapOperator(
        task_id="thousand", map_function=add, map_iterdata=range(1000), extra_params={"y": 1}
    )
    add_task_1 >> add_task_2
