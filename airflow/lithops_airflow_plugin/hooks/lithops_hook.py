# SPDX-License-Identifier: Apache-2.0
"""The hook's old import path."""

from lithops_airflow_plugin.hooks.lithops import LithopsHook

__all__ = ["LithopsHook"]
