# SPDX-License-Identifier: Apache-2.0
"""A scratch home for Airflow, before any test imports it: its settings are read on import."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = Path(importlib.util.find_spec("lithops_airflow_plugin").origin).parent
_scratch = tempfile.TemporaryDirectory(prefix="lithops-airflow-")
BUNDLES = {
    "tests": HERE / "dags",
    "examples": PACKAGE / "example_dags",
    "documentation": Path(_scratch.name) / "documentation",
}
BUNDLES["documentation"].mkdir()
os.environ |= {
    "AIRFLOW_HOME": _scratch.name,
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
        [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(path)},
            }
            for name, path in BUNDLES.items()
        ]
    ),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "LITHOPS_CONFIG": json.dumps(
        {
            "lithops": {"backend": "localhost", "detached_idle": 0.2},
            "localhost": {"storage_root": str(Path(_scratch.name) / "storage")},
        }
    ),
    # Detached jobs are kept there.
    "XDG_STATE_HOME": str(Path(_scratch.name) / "state"),
}
sys.path[:0] = [str(HERE), str(HERE / "dags")]

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def database() -> None:
    """Airflow's tables, in SQLite."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, timeout=120)


@pytest.fixture
def run_dag(database):
    """Runs a DAG file in this process, loaded as Airflow loads it; what its tasks have returned:
    {task_id: result}, and {(task_id, index): result} of mapped tasks."""
    return _run_dag


def _run_dag(bundle: str, name: str) -> dict:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    bag = DagBag(str(BUNDLES[bundle] / f"{name}.py"))
    assert bag.import_errors == {}
    (dag,) = bag.dags.values()
    run = dag.test()
    failed = [ti.task_id for ti in run.get_task_instances() if ti.state != "success"]
    assert not failed, f"tasks that did not succeed: {failed}"
    with create_session() as session:
        rows = session.query(XComModel).filter_by(run_id=run.run_id, key="return_value").all()
        return {
            (row.task_id if row.map_index < 0 else (row.task_id, row.map_index)): (
                XComModel.deserialize_value(row)
            )
            for row in rows
        }
