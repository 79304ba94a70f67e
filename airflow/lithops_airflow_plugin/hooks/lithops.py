# SPDX-License-Identifier: Apache-2.0
"""The hook: from an Airflow connection, or none, to a Lithops executor.

What a connection's *extra* and an operator's `lithops_config` may hold is the same: sections of a
Lithops configuration, which are objects ({"lithops": {...}, "localhost": {...}}), and beside them
plain values, which are options of the executor ({"backend": "localhost", "log_level": "info"}).
"""

import time
import warnings
from collections.abc import Mapping
from typing import Any

from lithops_airflow_plugin._airflow import (
    AirflowNotFoundException,
    AirflowProviderDeprecationWarning,
    BaseHook,
)

#: Connections that users of earlier versions have: looked for where none is named.
OLD_CONN_IDS = ("lithops_config", "lithops_engine_config")


class LithopsHook(BaseHook):
    """Opens executors of Lithops.

    :param lithops_conn_id: the connection; without it one called lithops_config or
        lithops_engine_config is used, and where there is none, Lithops' own configuration file
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
                "LithopsHook: parameter 'conn_id' is deprecated, say 'lithops_conn_id'",
                AirflowProviderDeprecationWarning,
                stacklevel=2,
            )
            lithops_conn_id = lithops_conn_id or options.pop("conn_id")
        self.lithops_conn_id = lithops_conn_id
        self.lithops_config = lithops_config or {}
        self.options = options

    def executor_arguments(self) -> dict[str, Any]:
        """The arguments for `lithops.FunctionExecutor`.

        :raises AirflowNotFoundException: the connection that was named does not exist
        :raises ValueError: the extra of the connection or `lithops_config` is wrong
        """
        where, extra = self._extra()
        sections, options = _split(where, extra)
        for more in (_split("lithops_config", self.lithops_config), ({}, self.options)):
            for name, keys in more[0].items():
                sections[name] = {**sections.get(name, {}), **keys}
            options |= {key: value for key, value in more[1].items() if value is not None}
        retries = options.pop("activation_retries", None)
        if retries is not None:
            sections = sections or _configuration_of_file(options.get("config_file"))
            sections["lithops"] = {**(sections.get("lithops") or {}), "retries": retries}
        # Airflow has set logging up; Lithops must not do so once more.
        return {"log_level": None} | options | ({"config": sections} if sections else {})

    def get_conn(self, executor_config: Mapping[str, Any] | None = None) -> Any:
        """A new `lithops.FunctionExecutor`, for the caller to close.

        :param executor_config: as `lithops_config`, for this executor
        :raises ValueError: the configuration is wrong
        """
        import lithops

        if executor_config:
            merged = {**self.lithops_config, **executor_config}
            return LithopsHook(self.lithops_conn_id, merged, **self.options).get_conn()
        return lithops.FunctionExecutor(**self.executor_arguments())

    def test_connection(self) -> tuple[bool, str]:
        """Run one call where the connection says; whether that worked, and a line for people."""
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
        for conn_id in OLD_CONN_IDS:
            try:
                extra = self.get_connection(conn_id).extra_dejson
            except AirflowNotFoundException:
                continue
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
    """(sections, options) of what may hold both; options that a form left empty are left away."""
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
