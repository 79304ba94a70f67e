# SPDX-License-Identifier: Apache-2.0
"""The decorators, with functions that are declared in the DAG file itself."""

from airflow.sdk import DAG, task

OFFSET = 100


def shifted(x: int) -> int:
    return x + OFFSET


with DAG(
    "lithops_example_taskflow", schedule=None, catchup=False, tags=["lithops"], doc_md=__doc__
):

    @task
    def numbers() -> list[int]:
        return list(range(1000))

    @task.lithops_map
    def transform(x: int, factor: int) -> int:
        return shifted(x) * factor

    @task.lithops_map_reduce(reduce_function=max)
    def largest(x: int) -> int:
        return x

    @task.lithops
    def report(top: int, run_id: str | None = None) -> str:
        return f"{run_id}: the largest is {top}"

    report(largest(transform(numbers(), factor=2)))
