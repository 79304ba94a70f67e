# SPDX-License-Identifier: Apache-2.0
"""Tasks in a pool, and with fewer worker processes than the connection says."""

from airflow.sdk import DAG
from lithops_airflow_plugin.operators.lithops import LithopsMapOperator

with DAG("sized", schedule=None, default_args={"pool": "lithops", "log_level": "info"}):
    LithopsMapOperator(task_id="small", map_function=abs, map_iterdata=range(-3, 0))
    LithopsMapOperator(
        task_id="narrow",
        map_function=abs,
        map_iterdata=range(-3, 0),
        lithops_config={"localhost": {"worker_processes": 1}},
        pool_slots=2,
    )
