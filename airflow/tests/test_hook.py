# SPDX-License-Identifier: Apache-2.0
"""The hook: which configuration an executor gets, from which connection."""

import json
import logging
import os

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException
from lithops_airflow_plugin._airflow import AirflowProviderDeprecationWarning
from lithops_airflow_plugin.hooks.lithops import LithopsHook

SECTIONS = {"lithops": {"backend": "localhost"}, "localhost": {"worker_processes": 1}}


@pytest.fixture
def connection(monkeypatch):
    """Defines a connection by its extra."""

    def define(conn_id, extra, conn_type="lithops"):
        connection = {"conn_type": conn_type, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    return define


def test_without_connection_the_file_counts():
    assert LithopsHook().executor_arguments() == {"log_level": None}


def test_named_connection(connection):
    connection("mine", SECTIONS | {"log_level": "info", "storage": ""})
    arguments = LithopsHook("mine").executor_arguments()
    assert arguments == {"config": SECTIONS, "log_level": None}  # see test_log_level


def test_missing_connection_is_an_error():
    with pytest.raises(AirflowNotFoundException, match="nowhere"):
        LithopsHook("nowhere").get_conn()


@pytest.mark.parametrize(
    "conn_id", ["lithops_default", "lithops_config", "lithops_engine_config"]
)
def test_connections_that_need_not_be_named(connection, conn_id):
    connection(conn_id, SECTIONS, conn_type="http")
    assert LithopsHook().executor_arguments()["config"] == SECTIONS
    assert LithopsHook(conn_id).executor_arguments()["config"] == SECTIONS


def test_what_wins(connection):
    connection("mine", SECTIONS | {"backend": "a", "storage": "a", "mode": "a"})
    hook = LithopsHook("mine", {"localhost": {"spin_us": 0}, "storage": "b", "mode": "b"}, mode="c")
    arguments = hook.executor_arguments()
    assert (arguments["backend"], arguments["storage"], arguments["mode"]) == ("a", "b", "c")
    assert arguments["config"]["localhost"] == {"worker_processes": 1, "spin_us": 0}
    assert LithopsHook("mine").executor_arguments()["config"]["localhost"] == {
        "worker_processes": 1
    }


def test_get_conn_runs_a_call(connection):
    connection("mine", SECTIONS)
    with LithopsHook("mine").get_conn() as fexec:
        assert fexec.get_result(fexec.call_async(abs, -3)) == 3


@pytest.mark.parametrize(
    "extra", [{"log_level": "debug"}, {"log_level": 10}, {"lithops": {"log_level": "DEBUG"}}]
)
def test_log_level_adds_no_handler(connection, caplog, capfd, extra):
    """Airflow's own handlers write the records; on standard error each would be an error."""
    connection("mine", extra)
    logger = logging.getLogger("lithops")
    try:
        with LithopsHook("mine").get_conn() as fexec:
            fexec.get_result(fexec.call_async(abs, -3))
        assert logger.level == logging.DEBUG
        assert logger.propagate
        assert not logger.handlers
        assert "DEBUG" in {record.levelname for record in caplog.records}
        assert "Executor" not in capfd.readouterr().err
    finally:
        logger.setLevel(logging.NOTSET)


def test_log_level_that_is_none(connection):
    connection("mine", {"log_level": "loud"})
    with pytest.raises(ValueError, match="log_level is 'loud': debug, info"):
        LithopsHook("mine").get_conn()


def test_worker_processes_import_airflow_without_its_database(monkeypatch):
    """Airflow 3 has such a URL in the process of each task."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    monkeypatch.setenv("PYTHON_OPERATORS_VIRTUAL_ENV_MODE", "")
    monkeypatch.delenv("PYTHON_OPERATORS_VIRTUAL_ENV_MODE")

    def import_airflow():
        from airflow.sdk.exceptions import AirflowSkipException

        return AirflowSkipException.__name__

    with LithopsHook().get_conn() as fexec:
        found = fexec.get_result(fexec.call_async(import_airflow, {}, extra_env={"X": "1"}))
    assert found == "AirflowSkipException"
    assert os.environ["PYTHON_OPERATORS_VIRTUAL_ENV_MODE"] == "1"


def test_the_database_is_left_where_there_is_one(monkeypatch):
    monkeypatch.delenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", raising=False)
    LithopsHook().get_conn().close()
    assert "PYTHON_OPERATORS_VIRTUAL_ENV_MODE" not in os.environ


def test_old_signature(connection):
    connection("mine", SECTIONS)
    with pytest.warns(AirflowProviderDeprecationWarning, match="lithops_conn_id"):
        hook = LithopsHook(conn_id="mine")
    with pytest.warns(AirflowProviderDeprecationWarning, match="lithops_conn_id"):
        assert LithopsHook("mine", conn_id="other").options == {}
    with hook.get_conn({"log_level": "warning"}) as fexec:
        assert fexec.get_result(fexec.call_async(abs, -3)) == 3


def test_test_connection(connection):
    connection("mine", SECTIONS)
    works, message = LithopsHook("mine").test_connection()
    assert works
    assert message.startswith("a call ran on localhost in ")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"lithops": {"strict": True}, "localhost": {"worker_proceses": 1}}, "worker_processes"),
        ({"backend": "nope"}, "nope"),
        ({"config": 5}, "connection 'wrong': 'config' must be an object, but is a int"),
    ],
)
def test_test_connection_says_what_is_wrong(connection, extra, message):
    connection("wrong", extra)
    works, said = LithopsHook("wrong").test_connection()
    assert not works
    assert message in said


def test_retries_go_into_the_configuration(connection, tmp_path, monkeypatch):
    connection("mine", SECTIONS)
    arguments = LithopsHook("mine", activation_retries=3).executor_arguments()
    assert arguments["config"] == SECTIONS | {"lithops": {"backend": "localhost", "call_retries": 3}}
    monkeypatch.delenv("LITHOPS_CONFIG")
    file = tmp_path / "config"
    file.write_text("localhost:\n  worker_processes: 2\n")
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", str(file))
    arguments = LithopsHook(activation_retries=3).executor_arguments()
    assert arguments["config"] == {"localhost": {"worker_processes": 2}, "lithops": {"call_retries": 3}}
