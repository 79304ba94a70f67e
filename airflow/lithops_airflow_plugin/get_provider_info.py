# SPDX-License-Identifier: Apache-2.0
"""What Airflow asks a provider about itself. Imports nothing: Airflow reads it in every process."""

from typing import Any


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


CONNECTION_FIELDS: dict[str, Any] = {
    "backend": _text("Compute backend", "Where functions run, e.g. localhost"),
    "storage": _text("Storage backend", "Where Lithops keeps its data; default: as the backend"),
    "mode": _text("Mode", "localhost, serverless or standalone; follows from the backend"),
    "monitoring": _text("Monitoring", "How outcomes come back; default: as the backend"),
    "log_level": _text("Log level", "Lithops' own log records: debug, info, warning, error"),
    "config_file": _text("Configuration file", "A file of Lithops, on the worker; default: none"),
}

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["host", "schema", "login", "password", "port"],
    "relabeling": {"extra": "Lithops configuration (JSON)"},
    "placeholders": {"extra": '{"lithops": {"backend": "localhost"}, "localhost": {}}'},
}


def get_provider_info() -> dict[str, Any]:
    """The provider's entry of `airflow providers`."""
    return {
        "package-name": "airflow-provider-lithops",
        "name": "Lithops",
        "description": "Tasks that fan out over Lithops: one call, a map, a map and a reduce.",
        "integrations": [
            {
                "integration-name": "Lithops",
                "external-doc-url": "https://github.com/lithops-cloud/lithops",
                "tags": ["service"],
            }
        ],
        "operators": [
            {
                "integration-name": "Lithops",
                "python-modules": ["lithops_airflow_plugin.operators.lithops"],
            }
        ],
        "sensors": [
            {
                "integration-name": "Lithops",
                "python-modules": ["lithops_airflow_plugin.sensors.lithops"],
            }
        ],
        "triggers": [
            {
                "integration-name": "Lithops",
                "python-modules": ["lithops_airflow_plugin.triggers.lithops"],
            }
        ],
        "hooks": [
            {
                "integration-name": "Lithops",
                "python-modules": ["lithops_airflow_plugin.hooks.lithops"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "lithops",
                "hook-class-name": "lithops_airflow_plugin.hooks.lithops.LithopsHook",
                "hook-name": "Lithops",
                "conn-fields": CONNECTION_FIELDS,
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
            }
        ],
        "task-decorators": [
            {
                "name": "lithops",
                "class-name": "lithops_airflow_plugin.decorators.lithops.lithops_task",
            },
            {
                "name": "lithops_map",
                "class-name": "lithops_airflow_plugin.decorators.lithops.lithops_map_task",
            },
            {
                "name": "lithops_map_reduce",
                "class-name": "lithops_airflow_plugin.decorators.lithops.lithops_map_reduce_task",
            },
        ],
        "extra-links": ["lithops_airflow_plugin.links.LithopsTimelineLink"],
    }
