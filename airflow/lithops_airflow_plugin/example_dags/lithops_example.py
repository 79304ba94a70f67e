# SPDX-License-Identifier: Apache-2.0
"""The operators: results of other tasks as data of a call and as items of a map; map and reduce."""

import random

from airflow.sdk import DAG, task

from lithops_airflow_plugin.example_dags.lithops_example_functions import (
    add_num,
    mul_num,
    sum_list,
)
from lithops_airflow_plugin.operators.lithops import (
    LithopsCallAsyncOperator,
    LithopsMapOperator,
    LithopsMapReduceOperator,
)

with DAG("lithops_example", schedule=None, catchup=False, tags=["lithops"], doc_md=__doc__):

    @task
    def gen_number() -> int:
        return random.randint(1, 100)

    @task
    def gen_list() -> list[int]:
        return [random.randint(1, 100) for _ in range(10)]

    add_num_task = LithopsCallAsyncOperator(
        task_id="add_num",
        func=add_num,
        data={"b": 7},
        data_from_task={"a": "gen_number"},
    )
    mult_num_map = LithopsMapOperator(
        task_id="mult_num_map",
        map_function=mul_num,
        iterdata_from_task={"a": "gen_list"},
        extra_params={"b": 10},
    )
    map_reduce = LithopsMapReduceOperator(
        task_id="map_reduce",
        map_function=mul_num,
        map_iterdata=mult_num_map.output,
        extra_params={"b": 2},
        reduce_function=sum_list,
    )

    gen_number() >> add_num_task
    gen_list() >> mult_num_map
