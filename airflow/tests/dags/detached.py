# SPDX-License-Identifier: Apache-2.0
"""Jobs that outlive the process of their task: deferred tasks, handles in XCom, sensors."""

from airflow.sdk import DAG, task
from lithops_airflow_plugin.operators.lithops import (
    LithopsCallAsyncOperator,
    LithopsMapOperator,
    LithopsMapReduceOperator,
    LithopsResultOperator,
)
from lithops_airflow_plugin.sensors.lithops import LithopsJobSensor
from my_functions import add, add_up, say_and_double

ONE = {"localhost": {"worker_processes": 1}}

with DAG("detached", schedule=None, default_args={"lithops_config": ONE, "poll_interval": 0.1}):
    LithopsCallAsyncOperator(
        task_id="deferred_call", func=add, data={"x": 1, "y": 3}, deferrable=True
    )
    LithopsMapReduceOperator(
        task_id="deferred_reduce",
        map_function=say_and_double,
        map_iterdata=[1, 2, 3],
        reduce_function=add_up,
        deferrable=True,
        durable=True,
    )

    @task.lithops_map(deferrable=True)
    def deferred_map(x, y):
        return x * y

    deferred_map([1, 2], y=5)

    begun = LithopsMapOperator(
        task_id="begun", map_function=say_and_double, map_iterdata=[1, 2], async_invoke=True
    )
    poked = LithopsJobSensor(task_id="poked", handle=begun.output, poke_interval=0.1)
    waited = LithopsJobSensor(
        task_id="waited", handle=poked.output, poke_interval=0.1, deferrable=True
    )
    LithopsResultOperator(task_id="taken", handle=waited.output)
    one = LithopsCallAsyncOperator(task_id="one", func=add, data=(4, 5), async_invoke=True)
    LithopsResultOperator(
        task_id="taken_by_text",
        handle="{{ ti.xcom_pull(task_ids='one') }}",
        deferrable=True,
    ).set_upstream(one)
