# SPDX-License-Identifier: Apache-2.0
"""The operators' old import path."""

from lithops_airflow_plugin.operators.lithops import (
    LithopsCallAsyncOperator,
    LithopsMapOperator,
    LithopsMapReduceOperator,
    LithopsOperator,
)

__all__ = [
    "LithopsCallAsyncOperator",
    "LithopsMapOperator",
    "LithopsMapReduceOperator",
    "LithopsOperator",
]
