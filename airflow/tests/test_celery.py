# SPDX-License-Identifier: Apache-2.0
"""An Airflow of two Celery workers, over Redis, with PostgreSQL: `tests/run celery`.

One worker is killed, then the scheduler, and all programs are restarted one by one, while jobs run.
No call runs twice, and every task gives its results.
"""

import os
import shutil
import time
import urllib.parse
from pathlib import Path

import pytest
from conftest import BUNDLES
from local_airflow import WORKERS, LocalAirflow

pytestmark = pytest.mark.celery

LIMIT_S = 1000
TASKS = ("killed", "waiting", "deferred", "begun")


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    dags.mkdir()
    for name in ("takeover", "my_functions"):
        shutil.copy(BUNDLES["tests"] / f"{name}.py", dags)
    for task_id in TASKS:
        (home / "takeover" / task_id).mkdir(parents=True)
    (home / "takeover" / "gate").touch()
    os.environ.pop("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST")
    password, port = (os.environ[f"LITHOPS_TEST_REDIS_{name}"] for name in ("PASSWORD", "PORT"))
    broker = f"redis://:{urllib.parse.quote(password, safe='')}@127.0.0.1:{port}/0"
    database = os.environ["LITHOPS_AIRFLOW_DATABASE"]
    airflow = LocalAirflow(home, dags, database, broker)
    try:
        airflow.start(LIMIT_S)
        yield airflow
    finally:
        gate(airflow).unlink(missing_ok=True)  # or its jobs would outlive the tests
        airflow.stop()


def gate(airflow):
    return airflow.home / "takeover" / "gate"


def until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not (answer := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer


def counts(airflow, task_id):
    """How often each call of the task has run."""
    folder = airflow.home / "takeover" / task_id
    return {int(path.name): len(path.read_text()) for path in folder.iterdir()}


def worker_of(airflow, dag_id, run_id, task_id, tries=1):
    """The Celery worker that the task runs in; None while it does not."""
    task = airflow.task(dag_id, run_id, task_id)
    if task["state"] != "running" or task["try_number"] < tries or not task["pid"]:
        return None
    try:
        worker = airflow.program_of(task["pid"])
    except ProcessLookupError:
        return None
    return worker if worker in WORKERS else None


@pytest.fixture(scope="module")
def runs(airflow):
    """Both DAGs' runs, over: {dag_id: run_id}, and the workers of the tries of `killed`."""
    found = {"worker_killed": airflow.trigger("worker_killed", timeout_s=LIMIT_S)}
    where = ("worker_killed", found["worker_killed"], "killed")
    until(lambda: counts(airflow, "killed"))
    first = until(lambda: worker_of(airflow, *where))
    airflow.kill(first)
    second = until(lambda: worker_of(airflow, *where, tries=2))
    airflow.spawn(first)

    found["restarted"] = airflow.trigger("restarted", timeout_s=LIMIT_S)
    where = ("restarted", found["restarted"])
    until(lambda: all(counts(airflow, task_id) for task_id in ("waiting", "deferred", "begun")))
    airflow.until_task(*where, "deferred", "deferred")
    airflow.until_task(*where, "begun", "success")
    airflow.restart("scheduler")
    # Workers get 20 seconds for what they have begun, and are killed then.
    for program in ("api-server", "dag-processor", "scheduler", "triggerer", *WORKERS):
        with airflow.without(program):
            pass
    assert all(2 not in counts(airflow, task_id) for task_id in TASKS)  # they still run
    gate(airflow).unlink()
    for dag_id, run_id in found.items():
        assert airflow.wait(dag_id, run_id, LIMIT_S) == "success"
    return found | {"workers": (first, second)}


def test_the_other_worker_takes_the_job_up(airflow, runs):
    first, second = runs["workers"]
    assert {first, second} == set(WORKERS)
    log = airflow.log("worker_killed", runs["worker_killed"], "killed", 2)
    assert "an earlier try has begun the job" in log


@pytest.mark.parametrize(
    ("dag_id", "task_id", "given_by"),
    [
        ("worker_killed", "killed", "killed"),
        ("restarted", "waiting", "waiting"),
        ("restarted", "deferred", "deferred"),
        ("restarted", "begun", "taken"),
    ],
)
def test_no_call_runs_twice(airflow, runs, dag_id, task_id, given_by):
    assert airflow.xcom(dag_id, runs[dag_id], given_by) == [0, 1, 2]
    assert counts(airflow, task_id) == {0: 1, 1: 1, 2: 1}


def test_nothing_is_left(airflow, runs):
    jobs = Path(airflow.env["XDG_STATE_HOME"], "lithops", "jobs")
    # An empty file tells when the folder was last swept.
    until(lambda: not jobs.exists() or {path.name for path in jobs.iterdir()} <= {".swept"})
