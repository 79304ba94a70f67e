# SPDX-License-Identifier: Apache-2.0
"""The part of the provider that lives in Airflow's API server: it serves the timeline pictures.

A user who may read the XComs of a DAG may see its pictures.
"""

import base64
from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from lithops_airflow_plugin._airflow import AIRFLOW_3
from lithops_airflow_plugin.links import PICTURE_KEY, URL_PREFIX


def _timeline(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
    """The picture of a task instance's last job."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from fastapi import HTTPException, Response
    from sqlalchemy import select

    with create_session() as session:
        row = session.scalars(
            select(XComModel)
            .where(
                XComModel.dag_id == dag_id,
                XComModel.run_id == run_id,
                XComModel.task_id == task_id,
                XComModel.map_index == map_index,
                XComModel.key == PICTURE_KEY,
            )
            .limit(1)
        ).first()
        picture = XComModel.deserialize_value(row) if row else None
    if not picture:
        raise HTTPException(404, "this task instance has run no call of Lithops to its end")
    return Response(base64.b64decode(picture), media_type="image/png")


class _Application:
    """The pages' FastAPI application, made on first use: every process of Airflow loads
    its plugins, only the API server serves them."""

    @cached_property
    def _made(self) -> Any:
        from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
        from airflow.api_fastapi.core_api.security import requires_access_dag
        from fastapi import Depends, FastAPI

        application = FastAPI(title="Lithops", docs_url=None, redoc_url=None, openapi_url=None)
        may_read = Depends(requires_access_dag("GET", DagAccessEntity.XCOM))
        application.get("/timeline", dependencies=[may_read])(_timeline)
        return application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._made(scope, receive, send)


class LithopsPlugin(AirflowPlugin):
    """Registers the timeline pages with the API server of Airflow 3."""

    name = "lithops"
    fastapi_apps = (
        [{"app": _Application(), "url_prefix": URL_PREFIX, "name": "Lithops"}] if AIRFLOW_3 else []
    )
