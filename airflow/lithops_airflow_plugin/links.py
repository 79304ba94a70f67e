# SPDX-License-Identifier: Apache-2.0
"""The button on a task instance's page that shows the timeline picture of its job.

The task leaves the picture in XCom, where every API server finds it; plugin.py serves it. Airflow 3
asks for the link in the task's process, when the task has run, and offers it where there is one.
"""

from typing import Any
from urllib.parse import urlencode

from lithops_airflow_plugin._airflow import AIRFLOW_3, BaseOperatorLink
from lithops_airflow_plugin.job import job_of

#: XCom key of the picture, a PNG in base64.
PICTURE_KEY = "lithops_timeline"
#: Where plugin.py is mounted on the API server.
URL_PREFIX = "/lithops"


class LithopsTimelineLink(BaseOperatorLink):
    """Link to the timeline of the calls of a task instance's job."""

    name = "Lithops timeline"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The picture's address, "" where there is none; ti_key is a task instance, or a key of
        one."""
        from airflow.configuration import conf

        job = job_of(operator)
        if not AIRFLOW_3 or job is None or not job.has_picture:  # 2: no place for plugin.py
            return ""
        base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
        query = {
            "dag_id": ti_key.dag_id,
            "run_id": ti_key.run_id,
            "task_id": ti_key.task_id,
            "map_index": -1 if ti_key.map_index is None else ti_key.map_index,
        }
        return f"{base}{URL_PREFIX}/timeline?{urlencode(query)}"
