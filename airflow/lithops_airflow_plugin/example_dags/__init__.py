# SPDX-License-Identifier: Apache-2.0
"""DAGs that show the operators and the decorators; `make airflow-demo` runs one."""
