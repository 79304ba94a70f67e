# SPDX-License-Identifier: Apache-2.0
"""The hook: from an Airflow connection, or none, to a Lithops executor.

What a connection's *extra* and an operator's `lithops_config` may hold is the same: sections of a
Lithops configuration, which are objects ({"lithops": {...}, "localhost": {...}}), and beside them
plain values, which are options of the executor ({"backend": "localhost", "log_level": "info"}).
"""

import logging
import os
import time
import warnings
from collections.abc import Mapping
from typing import Any

from lithops_airflow_plugin._airflow import (
    AirflowNotFoundException,
    AirflowProviderDeprecationWarning,
    BaseHook,
)

#: Looked for where no connection is named: the usual name, and those of earlier versions.
DEFAULT_CONN_IDS = ("lithops_default", "lithops_config", "lithops_engine_config")


class LithopsHook(BaseHook):
    """Opens executors of Lithops.

    :param lithops_conn_id: the connection; without it the first of DEFAULT_CONN_IDS that is there,
        and where there is none, Lithops' own configuration file
    :param lithops_config: sections and options that win over those of the connection
    :param options: options of the executor (mode, backend, storage, monitoring, log_level,
        config_file, and any key of the backend's section); they win over all others, None is unset
    """

    conn_name_attr = "lithops_conn_id"
    default_conn_name = "lithops_default"
    conn_type = "lithops"
    hook_name = "Lithops"

    def __init__(
        self,
        lithops_conn_id: str | None = None,
        lithops_config: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if "conn_id" in options:
            warnings.warn(
                "LithopsHook: parameter 'conn_id' is deprecated; use 'lithops_conn_id'",
                AirflowProviderDeprecationWarning,
                stacklevel=2,
            )
            conn_id = options.pop("conn_id")
            lithops_conn_id = lithops_conn_id or conn_id
        self.lithops_conn_id = lithops_conn_id
        self.lithops_config = lithops_config or {}
        self.options = options

    def executor_arguments(self) -> dict[str, Any]:
        """Arguments for `lithops.FunctionExecutor`, which must not set up logging: Airflow has.

        :raises AirflowNotFoundException: the connection that was named does not exist
        :raises ValueError: the extra of the connection or `lithops_config` is wrong
        """
        return self._arguments_of(*self._merged())

    @staticmethod
    def _arguments_of(sections: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        return options | {"log_level": None} | ({"config": sections} if sections else {})

    def _merged(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(sections, options) from all sources, merged."""
        where, extra = self._extra()
        sections, options = _split(where, extra)
        for more in (_split("lithops_config", self.lithops_config), ({}, self.options)):
            for name, keys in more[0].items():
                sections[name] = {**sections.get(name, {}), **keys}
            options |= {key: value for key, value in more[1].items() if value is not None}
        retries = options.pop("activation_retries", None)
        if retries is not None:
            sections = sections or _configuration_of_file(options.get("config_file"))
            sections["lithops"] = {**(sections.get("lithops") or {}), "call_retries": retries}
        return sections, options

    def get_conn(
        self, executor_config: Mapping[str, Any] | None = None, detached: bool = False
    ) -> Any:
        """A new `lithops.FunctionExecutor`, for the caller to close.

        :param executor_config: as `lithops_config`, for this executor
        :param detached: its jobs outlive it
        :raises ValueError: the configuration is wrong
        """
        import lithops

        if executor_config:
            merged = {**self.lithops_config, **executor_config}
            hook = LithopsHook(self.lithops_conn_id, merged, **self.options)
            return hook.get_conn(detached=detached)
        more = {"detached": True} if detached else {}
        return lithops.FunctionExecutor(**self._prepared(), **more)

    def attach(self, handle: Mapping[str, Any] | str) -> Any:
        """The futures of a detached job, a `FuturesList`; `futures.executor` is for the caller to
        close, which leaves the job alone.

        :param handle: what an operator with `async_invoke`, or `FuturesList.handle()`, has given
        :raises FileNotFoundError: the job was released, has expired, or is on another machine
        """
        import lithops

        arguments = self._prepared()
        wanted = {name: arguments[name] for name in ("config", "config_file") if name in arguments}
        return lithops.attach(handle, log_level=None, **wanted)

    def _prepared(self) -> dict[str, Any]:
        """Arguments of an executor, when the process is ready for one."""
        sections, options = self._merged()
        _show_records(options.get("log_level") or (sections.get("lithops") or {}).get("log_level"))
        _let_functions_import_airflow()
        return self._arguments_of(sections, options)

    def test_connection(self) -> tuple[bool, str]:
        """Test the connection by running one call: (whether it worked, a message)."""
        from lithops_airflow_plugin.probe import successor

        try:
            with self.get_conn() as fexec:
                start = time.monotonic()
                future = fexec.call_async(successor, {"x": 41}, timeout=60)
                answer = fexec.get_result(future, show_progressbar=False)
                took_ms = (time.monotonic() - start) * 1e3
                if answer != 42:
                    return False, f"a call on {fexec.backend} gave {answer!r} in place of 42"
                return True, f"a call ran on {fexec.backend} in {took_ms:.0f} ms"
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"

    def _extra(self) -> tuple[str, Mapping[str, Any]]:
        if self.lithops_conn_id:
            extra = self.get_connection(self.lithops_conn_id).extra_dejson
            return f"connection {self.lithops_conn_id!r}", extra
        for conn_id in DEFAULT_CONN_IDS:
            try:
                extra = self.get_connection(conn_id).extra_dejson
            except AirflowNotFoundException:
                continue
            if conn_id != self.default_conn_name:
                self.log.info("Lithops: using connection %r; name it with lithops_conn_id", conn_id)
            return f"connection {conn_id!r}", extra
        return "", {}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The form's fields for Airflow before 3.2; later ones read get_provider_info()."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import StringField

        from lithops_airflow_plugin.get_provider_info import CONNECTION_FIELDS

        return {
            name: StringField(
                field["label"], description=field["description"], widget=BS3TextFieldWidget()
            )
            for name, field in CONNECTION_FIELDS.items()
        }

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The form's other properties, likewise."""
        from lithops_airflow_plugin.get_provider_info import UI_FIELD_BEHAVIOUR

        return {name.replace("-", "_"): value for name, value in UI_FIELD_BEHAVIOUR.items()}


def _split(where: str, mixed: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(sections, options) of what may hold both; options that a form left empty are omitted."""
    if not isinstance(mixed, Mapping):
        raise ValueError(f"{where}: must be an object, but is a {type(mixed).__name__}")
    mixed = dict(mixed)
    nested = mixed.pop("config", None) or {}
    if not isinstance(nested, Mapping):
        raise ValueError(f"{where}: 'config' must be an object, but is a {type(nested).__name__}")
    sections = {name: dict(value) for name, value in mixed.items() if isinstance(value, Mapping)}
    options = {
        name: value
        for name, value in mixed.items()
        if name not in sections and value not in ("", None)
    }
    return {**sections, **nested}, options


def _configuration_of_file(config_file: str | None) -> dict[str, Any]:
    from lithops.config import get_default_config_filename, load_yaml_config

    path = config_file or get_default_config_filename()
    return dict(load_yaml_config(path)) if path else {}


def _show_records(level: Any) -> None:
    """Let Lithops' records of this level and above into the task's log, as what they are.

    The executor's own `log_level` would write them to standard error, where all is an error.
    """
    if level is None or str(level).lower() == "none":
        return
    number = level if isinstance(level, int) else logging.getLevelName(str(level).upper())
    if not isinstance(number, int):
        raise ValueError(
            f"log_level is {level!r}: debug, info, warning, error, critical or none is expected"
        )
    logging.getLogger("lithops").setLevel(number)


def _let_functions_import_airflow() -> None:
    """Airflow 3 denies task processes access to the database. The task itself has imported
    Airflow by then; worker processes inherit an unusable database URL, so that importing
    Airflow would fail there. This variable, which Airflow's own operators set for functions in
    other interpreters, says that there is no database to connect to."""
    if os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "").startswith("airflow-db-not"):
        os.environ.setdefault("PYTHON_OPERATORS_VIRTUAL_ENV_MODE", "1")
