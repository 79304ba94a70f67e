# SPDX-License-Identifier: Apache-2.0
"""Tasks that go wrong, each in its own way; the live tests look at how."""

import os
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG
from lithops_airflow_plugin.operators.lithops import LithopsCallAsyncOperator, LithopsMapOperator
from my_functions import fail_at


def die_at(x, bad):
    """Killed as the kernel or an administrator would."""
    if x == bad:
        os.kill(os.getpid(), 9)
    return x


def sleep(number, name):
    """Notes its process under the name of the task, and sleeps."""
    folder = Path(os.environ["AIRFLOW_HOME"], "pids", name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(os.getpid())).touch()
    time.sleep(300)


def fail_once(name):
    """Fails the first time."""
    marker = Path(os.environ["AIRFLOW_HOME"], name)
    if not marker.exists():
        marker.touch()
        raise RuntimeError("not yet")
    return "at last"


with DAG("faults", schedule=None, catchup=False):
    LithopsMapOperator(
        task_id="failing",
        map_function=fail_at,
        map_iterdata=[1, 2, 3],
        extra_params={"bad": 2},
    )
    LithopsMapOperator(
        task_id="killed",
        map_function=die_at,
        map_iterdata=range(10),
        extra_params={"bad": 4},
    )
    LithopsCallAsyncOperator(
        task_id="misconfigured",
        func=abs,
        data=-1,
        lithops_config={"lithops": {"strict": True}, "localhost": {"worker_proceses": 2}},
    )
    LithopsCallAsyncOperator(
        task_id="no_connection", func=abs, data=-1, lithops_conn_id="not_there"
    )
    LithopsMapOperator(
        task_id="timed_out",
        map_function=sleep,
        map_iterdata=[0, 1],
        extra_params={"name": "timed_out"},
        execution_timeout=timedelta(seconds=3),
    )
    LithopsCallAsyncOperator(
        task_id="retried",
        func=fail_once,
        data={"name": "retried"},
        retries=1,
        retry_delay=timedelta(seconds=1),
    )

with DAG("slow", schedule=None, catchup=False):
    LithopsMapOperator(
        task_id="sleeping",
        map_function=sleep,
        map_iterdata=[0, 1, 2, 3],
        extra_params={"name": "sleeping"},
        lithops_config={"localhost": {"worker_processes": 2}},
    )
