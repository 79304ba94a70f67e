# SPDX-License-Identifier: Apache-2.0
"""Jobs that outlive their task's process: one deferred, one across retries, one begun by a task and
taken by another."""

from airflow.sdk import DAG

from lithops_airflow_plugin.example_dags.lithops_example_functions import mul_num, sum_list
from lithops_airflow_plugin.operators.lithops import (
    LithopsMapOperator,
    LithopsMapReduceOperator,
    LithopsResultOperator,
)
from lithops_airflow_plugin.sensors.lithops import LithopsJobSensor

with DAG(
    "lithops_example_detached", schedule=None, catchup=False, tags=["lithops"], doc_md=__doc__
):
    LithopsMapReduceOperator(
        task_id="deferred",
        map_function=mul_num,
        map_iterdata=range(100),
        extra_params={"b": 2},
        reduce_function=sum_list,
        deferrable=True,
    )
    LithopsMapOperator(
        task_id="durable",
        map_function=mul_num,
        map_iterdata=range(100),
        extra_params={"b": 3},
        durable=True,
        retries=2,
    )
    begun = LithopsMapOperator(
        task_id="begun",
        map_function=mul_num,
        map_iterdata=range(100),
        extra_params={"b": 4},
        async_invoke=True,
    )
    sensor = LithopsJobSensor(
        task_id="sensor", handle=begun.output, poke_interval=1, mode="reschedule"
    )
    LithopsResultOperator(task_id="results", handle=sensor.output)
