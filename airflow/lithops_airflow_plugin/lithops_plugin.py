# SPDX-License-Identifier: Apache-2.0
"""The plugin's old import path."""

from lithops_airflow_plugin.plugin import LithopsPlugin as LithopsAirflowPlugin

__all__ = ["LithopsAirflowPlugin"]
