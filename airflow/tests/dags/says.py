# SPDX-License-Identifier: Apache-2.0
"""What functions say to Airflow: by exceptions of its own, and in the task's log."""

from datetime import timedelta

from airflow.sdk import DAG, task
from airflow_functions import ERRORS, crash, look, say, talk
from lithops_airflow_plugin.hooks.lithops import LithopsHook
from lithops_airflow_plugin.operators.lithops import LithopsCallAsyncOperator, LithopsMapOperator

ONE = {"localhost": {"worker_processes": 1}}  # importing Airflow takes seconds of CPU time

with DAG("says", schedule=None, params={"memory": 2048}):
    for word in ERRORS:
        LithopsCallAsyncOperator(
            task_id=word,
            func=say,
            data={"word": word},
            lithops_config=ONE,
            runtime_memory="{{ params.memory }}",
            timeout="{{ 100 * 6 }}",
            retries=1,
            retry_delay=timedelta(seconds=1),
        )
    LithopsCallAsyncOperator(
        task_id="looks",
        func=look,
        data={"name": "of_the_tests"},
        lithops_config=ONE,
        runtime_memory=None,
    )
    LithopsMapOperator(
        task_id="talks",
        map_function=talk,
        map_iterdata=[1, 2],
        lithops_config=ONE,
        runtime_memory=None,
        log_level="info",
        do_xcom_push=False,
    )
    LithopsCallAsyncOperator(
        task_id="crashes", func=crash, data=(1,), lithops_config=ONE, runtime_memory=None
    )

    @task
    def by_hook():
        with LithopsHook(lithops_config=ONE).get_conn() as fexec:
            return fexec.get_result(fexec.call_async(talk, 7))

    by_hook()
