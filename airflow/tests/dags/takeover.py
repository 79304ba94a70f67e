# SPDX-License-Identifier: Apache-2.0
"""Jobs of durable and deferred tasks, whose Airflow is killed and restarted meanwhile."""

import os
from datetime import timedelta

from airflow.sdk import DAG
from lithops_airflow_plugin.operators.lithops import LithopsMapOperator, LithopsResultOperator
from lithops_airflow_plugin.sensors.lithops import LithopsJobSensor
from my_functions import counted

HOME = os.environ["AIRFLOW_HOME"]


def begin(task_id, **kwargs):
    """Calls that leave a line each time they run, and wait, all but the first, for the gate."""
    return LithopsMapOperator(
        task_id=task_id,
        map_function=counted,
        map_iterdata=[0, 1, 2],
        extra_params={
            "folder": os.path.join(HOME, "takeover", task_id),
            "gate": os.path.join(HOME, "takeover", "gate"),
        },
        lithops_config={"localhost": {"worker_processes": 1}},
        retries=5,
        retry_delay=timedelta(seconds=1),
        **kwargs,
    )


with DAG("worker_killed", schedule=None):
    begin("killed", durable=True)

with DAG("restarted", schedule=None):
    begin("waiting", durable=True)
    begin("deferred", durable=True, deferrable=True)
    begun = begin("begun", async_invoke=True)
    sensor = LithopsJobSensor(
        task_id="sensor",
        handle=begun.output,
        mode="reschedule",
        poke_interval=5,
        retries=5,
        retry_delay=timedelta(seconds=1),
    )
    LithopsResultOperator(
        task_id="taken",
        handle=sensor.output,
        retries=5,
        retry_delay=timedelta(seconds=1),
    )
