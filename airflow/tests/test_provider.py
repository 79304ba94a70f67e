# SPDX-License-Identifier: Apache-2.0
"""What Airflow finds: the provider's entry, the connection's form, old import paths, the DAGs."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from lithops_airflow_plugin.get_provider_info import get_provider_info


def test_provider_info_is_valid():
    import airflow

    schema = Path(airflow.__path__[0]) / "provider_info.schema.json"
    jsonschema.validate(get_provider_info(), json.loads(schema.read_text()))


def every_name(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from every_name(item)
    elif isinstance(value, list):
        for item in value:
            yield from every_name(item)
    elif isinstance(value, str) and value.startswith("lithops_airflow_plugin"):
        yield value


def test_every_name_in_provider_info_is_there():
    names = list(every_name(get_provider_info()))
    assert len(names) >= 7
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), name


def test_airflow_knows_the_provider():
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    assert "airflow-provider-lithops" in manager.providers
    assert manager.hooks["lithops"].hook_name == "Lithops"
    assert {"lithops", "lithops_map", "lithops_map_reduce"} <= {
        name for name, _ in manager.taskflow_decorators.items()
    }
    assert "lithops_airflow_plugin.links.LithopsTimelineLink" in manager.extra_links_class_names


def test_connection_form():
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    fields = {name for name in manager.connection_form_widgets if "__lithops__" in name}
    assert {f"extra__lithops__{name}" for name in ("backend", "storage", "config_file")} <= fields
    assert "password" in manager.field_behaviours["lithops"]["hidden_fields"]


def test_plugin_is_loaded():
    from airflow.plugins_manager import get_fastapi_plugins

    apps, _ = get_fastapi_plugins()
    assert [app["url_prefix"] for app in apps if app["name"] == "Lithops"] == ["/lithops"]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("operators.lithops_operator", "LithopsCallAsyncOperator"),
        ("operators.lithops_operator", "LithopsMapOperator"),
        ("operators.lithops_operator", "LithopsMapReduceOperator"),
        ("operators.lithops_operator", "LithopsOperator"),
        ("hooks.lithops_hook", "LithopsHook"),
        ("lithops_plugin", "LithopsAirflowPlugin"),
    ],
)
def test_old_import_paths(module, name):
    found = getattr(importlib.import_module(f"lithops_airflow_plugin.{module}"), name)
    assert found.__module__.startswith("lithops_airflow_plugin")


def test_importing_the_provider_warns_of_nothing():
    """Nor does it bring Lithops along: the DAG processor imports it for each DAG file."""
    code = (
        "import sys, airflow.sdk, warnings; warnings.simplefilter('error');"
        "import lithops_airflow_plugin.operators.lithops, lithops_airflow_plugin.decorators.lithops;"
        "import lithops_airflow_plugin.plugin, lithops_airflow_plugin.lineage;"
        "sys.exit('lithops' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_worker_processes_do_not_import_airflow():
    code = (
        "import sys, lithops_airflow_plugin.probe, lithops_airflow_plugin.get_provider_info;"
        "import lithops_airflow_plugin.example_dags.lithops_example_functions;"
        "sys.exit('airflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


FOLDERS = [
    Path(importlib.import_module("lithops_airflow_plugin").__path__[0]) / "example_dags",
    Path(__file__).parent / "dags",
]


@pytest.mark.parametrize("folder", FOLDERS, ids=["examples", "tests"])
def test_dags_have_no_errors(folder, database):
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    bag = DagBag(str(folder))
    assert bag.import_errors == {}
    assert bag.dags
    for dag in bag.dags.values():
        assert dag.tasks
        again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert set(again.task_dict) == set(dag.task_dict)
        for task in dag.tasks:
            if "Lithops" in task.task_type and "Sensor" not in task.task_type:
                assert "Lithops timeline" in again.get_task(task.task_id).extra_links
