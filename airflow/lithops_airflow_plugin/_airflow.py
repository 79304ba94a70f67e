# SPDX-License-Identifier: Apache-2.0
"""The names of Airflow that this provider uses, from where Airflow 3 or 2 keeps them."""

from airflow.exceptions import AirflowProviderDeprecationWarning

try:
    from airflow.sdk import BaseHook, BaseOperator, BaseOperatorLink
    from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory

    AIRFLOW_3 = True
except ImportError:  # Airflow 2.10 and 2.11
    from airflow.decorators.base import DecoratedOperator, task_decorator_factory
    from airflow.hooks.base import BaseHook
    from airflow.models import BaseOperator, BaseOperatorLink

    AIRFLOW_3 = False

try:
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSkipException,
    )
except ImportError:  # before Airflow 3.1
    from airflow.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSkipException,
    )

__all__ = [
    "AIRFLOW_3",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowProviderDeprecationWarning",
    "AirflowSkipException",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "DecoratedOperator",
    "task_decorator_factory",
]
