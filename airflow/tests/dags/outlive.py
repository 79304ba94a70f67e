# SPDX-License-Identifier: Apache-2.0
"""Jobs whose tasks lose what waits for them, one in each way; the live tests do that to them."""

import os
from datetime import timedelta

from airflow.sdk import DAG
from lithops_airflow_plugin.operators.lithops import LithopsMapOperator, LithopsResultOperator
from lithops_airflow_plugin.sensors.lithops import LithopsJobSensor
from my_functions import counted

HOME = os.environ["AIRFLOW_HOME"]


def begin(task_id, **kwargs):
    """Calls that leave a line each time they run, and wait, all but the first, for the gate."""
    folder = os.path.join(HOME, "outlive", task_id)
    return LithopsMapOperator(
        task_id=task_id,
        map_function=counted,
        map_iterdata=[0, 1, 2],
        extra_params={"folder": folder, "gate": os.path.join(HOME, "outlive", "gate")},
        lithops_config={"localhost": {"worker_processes": 1}},
        **kwargs,
    )


with DAG("outlive", schedule=None, catchup=False):
    begin("retried", durable=True, retries=1, retry_delay=timedelta(seconds=1))
    begin("deferred", deferrable=True)
    begin("supervised", deferrable=True, poll_interval=0.2)
    begin("marked", deferrable=True)
    begin("timed", deferrable=True, execution_timeout=timedelta(seconds=20))
    begun = begin("begun", async_invoke=True)
    sensor = LithopsJobSensor(
        task_id="sensor", handle=begun.output, mode="reschedule", poke_interval=8
    )
    LithopsResultOperator(task_id="taken", handle=sensor.output)
