# SPDX-License-Identifier: Apache-2.0
"""Lithops operators for Apache Airflow: a task fans out over Lithops, not over Airflow's workers.

Kept empty of imports: worker processes of Lithops import it too, and must not load Airflow.
"""

__version__ = "1.0.0"
