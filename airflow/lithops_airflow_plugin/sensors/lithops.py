# SPDX-License-Identifier: Apache-2.0
"""The sensor that waits until a job is done that another task has begun."""

import time
from typing import Any

from lithops_airflow_plugin._airflow import (
    DEFAULT_DEFERRABLE,
    AirflowException,
    AirflowSensorTimeout,
    BaseSensorOperator,
    PokeReturnValue,
)
from lithops_airflow_plugin.hooks.lithops import LithopsHook
from lithops_airflow_plugin.job import LithopsJob
from lithops_airflow_plugin.triggers.lithops import LithopsJobTrigger
from lithops_airflow_plugin.values import handle_of


class LithopsJobSensor(BaseSensorOperator):
    """Waits until all calls of a job are done, and returns its handle. Fails where one has failed;
    it never cancels the job.

    :param handle: of the job: what the task that has begun it with `async_invoke=True` has returned
    :param lithops_conn_id: connection of the hook that reads errors; see LithopsHook
    :param deferrable: wait in the triggerer; else `mode` says how, "poke" or "reschedule"
    """

    ui_color = "#c9dfd3"
    template_fields = ("handle", "lithops_conn_id")

    def __init__(
        self,
        *,
        handle: Any,
        lithops_conn_id: str | None = None,
        deferrable: bool = DEFAULT_DEFERRABLE,
        poke_interval: float = 5.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.handle = handle
        self.lithops_conn_id = lithops_conn_id
        self.deferrable = deferrable

    def poke(self, context: Any) -> PokeReturnValue:
        """Whether the job is done.

        :raises AirflowException: a call of it has failed or was cancelled
        """
        from lithops import detached

        handle = handle_of(self)
        is_done = detached.wait(handle, 0)  # where its supervisor was killed, starts another one
        state = detached.state(handle)
        self.log.info(
            "Lithops: %d of %d calls done, %d of them failed",
            state["success"] + state["failed"] + state["canceled"],
            state["calls"],
            state["failed"],
        )
        if is_done and state["success"] < state["calls"]:
            self._raise_error(handle)
        return PokeReturnValue(is_done, handle if is_done else None)

    def execute(self, context: Any) -> Any:
        """Wait. Returns the handle, so that the task that takes the results can take it from here.

        :raises AirflowException: as poke()
        """
        if not self.deferrable:
            return super().execute(context)
        result = self.poke(context)
        if result.is_done:
            return result.xcom_value
        self.defer(
            trigger=LithopsJobTrigger(
                handle=handle_of(self),
                poll_interval=float(self.poke_interval),
                deadline=time.time() + float(self.timeout),
                cancel_on_kill=False,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Go on after the task was deferred.

        :param event: the trigger's
        """
        if event["outcome"] == "lost":
            raise AirflowException(f"the Lithops job cannot be waited for: {event['message']}")
        if event["outcome"] == "timed_out":
            raise AirflowSensorTimeout(
                f"{event['done']} of {event['calls']} calls were done after {self.timeout} s"
            )
        return self.poke(context).xcom_value

    def _raise_error(self, handle: dict[str, Any]) -> None:
        job = LithopsJob(self.log)
        try:
            job.attach(LithopsHook(self.lithops_conn_id).attach(handle))
            job.is_kept = True
            job.wait()
        finally:
            job.close()
