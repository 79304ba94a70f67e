# SPDX-License-Identifier: Apache-2.0
"""The names of Airflow that this provider uses, from where Airflow 3 or 2 keeps them."""

from airflow.exceptions import AirflowProviderDeprecationWarning

from airflow.triggers.base import BaseTrigger, TriggerEvent

try:
    from airflow.sdk import (
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        PokeReturnValue,
    )
    from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory
    from airflow.sdk.configuration import conf

    AIRFLOW_3 = True
except ImportError:  # Airflow 2.10 and 2.11
    from airflow.configuration import conf
    from airflow.decorators.base import DecoratedOperator, task_decorator_factory
    from airflow.hooks.base import BaseHook
    from airflow.models import BaseOperator, BaseOperatorLink
    from airflow.sensors.base import BaseSensorOperator, PokeReturnValue

    AIRFLOW_3 = False

try:
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
    )
except ImportError:  # before Airflow 3.1
    from airflow.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
    )

__all__ = [
    "AIRFLOW_3",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowProviderDeprecationWarning",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "DEFAULT_DEFERRABLE",
    "DecoratedOperator",
    "PokeReturnValue",
    "TriggerEvent",
    "task_decorator_factory",
]

#: What the configuration says of operators that do not say whether they are deferrable.
DEFAULT_DEFERRABLE: bool = conf.getboolean("operators", "default_deferrable", fallback=False)
