# SPDX-License-Identifier: Apache-2.0
"""What a task does with a job that it has begun, or that another task has: wait for it in its slot
or deferred, give its results, and let it end with the task, or not.

`execute()` of a subclass makes a LithopsJob begin or attach, and hands it to `_finish()`. Where the
task is deferred, `execute_complete()` attaches to the job and goes on there. What becomes of a
detached job:

    its results were taken, or a call has failed    it is released
    the time of the task is over                    it is cancelled and released
    a user has ended the task                       the same, with cancel_on_kill
    the worker ends, and a next try is to come      it goes on (durable)
    the process was killed                          it goes on: nobody has been asked
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from lithops_airflow_plugin._airflow import (
    AIRFLOW_3,
    DEFAULT_DEFERRABLE,
    AirflowException,
    AirflowTaskTimeout,
    BaseOperator,
)
from lithops_airflow_plugin.durable import KeptJob, ended_by_user, may_try_again
from lithops_airflow_plugin.hooks.lithops import LithopsHook
from lithops_airflow_plugin.job import LithopsJob, TaskKilled, job_of, remember
from lithops_airflow_plugin.links import PICTURE_KEY, LithopsTimelineLink
from lithops_airflow_plugin.triggers.lithops import LithopsJobTrigger
from lithops_airflow_plugin.values import mapping_of, number_of

#: Base64 of the largest picture that is left in XCom.
PICTURE_BYTES = 1 << 20


class JobOperator(BaseOperator):
    """Common base of the operators that wait for a job.

    :param lithops_conn_id: connection to take the configuration from; see LithopsHook
    :param lithops_config: sections of a configuration, and options of the executor, that win over
        the connection
    :param deferrable: wait in the triggerer, without a slot of a worker
    :param cancel_on_kill: a detached job is cancelled when a user ends the task
    :param poll_interval: seconds between two looks at the job while the task is deferred
    """

    ui_color = "#c9dfd3"
    template_fields: Sequence[str] = ("lithops_conn_id", "lithops_config", "poll_interval")
    template_fields_renderers: ClassVar[dict[str, str]] = {"lithops_config": "json"}
    operator_extra_links = (LithopsTimelineLink(),)
    #: whether a retry is to find the job
    durable = False

    def __init__(
        self,
        *,
        lithops_conn_id: str | None = None,
        lithops_config: Mapping[str, Any] | None = None,
        deferrable: bool = DEFAULT_DEFERRABLE,
        cancel_on_kill: bool = True,
        poll_interval: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.lithops_conn_id = lithops_conn_id
        self.lithops_config = {} if lithops_config is None else lithops_config
        self.deferrable = deferrable
        self.cancel_on_kill = cancel_on_kill
        self.poll_interval = poll_interval

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Go on after the task was deferred.

        :param event: the trigger's
        :raises AirflowException: as execute()
        """
        if event["outcome"] == "lost":
            raise AirflowException(f"the Lithops job cannot be waited for: {event['message']}")
        job = LithopsJob(self.log)
        remember(self, job)
        try:
            job.attach(self._hook().attach(event["handle"]))
            self._resumed(job)
            if event["outcome"] == "timed_out":
                job.cancel()
                self._forget(context)
                raise AirflowTaskTimeout(
                    f"the Lithops job was cancelled: {event['done']} of {event['calls']} calls "
                    f"were done when execution_timeout, {self.execution_timeout}, was over"
                )
            return self._finish(job, context, may_defer=False)
        finally:
            job.close()

    def on_kill(self) -> None:
        """Cancel the job. `execute()`, which waits for it, then ends the worker processes. What
        becomes of a detached job, `execute()` decides."""
        job = job_of(self)
        if job is None:
            return
        if job.handle is None:
            job.cancel()
        else:
            job.interrupt()

    def _finish(self, job: LithopsJob, context: Any, may_defer: bool = True) -> Any:
        """Wait for the job, in the triggerer where that is wanted, and give its result."""
        try:
            if may_defer and self.deferrable and job.handle is not None and not job.poll(0.01):
                self._defer(job)
            job.wait()
            result = self._taken(job)
        except TaskKilled:
            self._end_killed(job, context)
        finally:
            if not job.goes_on:
                self._leave_picture(job, context)
                self._forget(context)
        return result

    def _taken(self, job: LithopsJob) -> Any:
        """The result of a job that is done."""
        results = job.fetch()
        return results if job.gives_list else results[0]

    def _resumed(self, job: LithopsJob) -> None:
        """The job is attached again after the task was deferred."""

    def _defer(self, job: LithopsJob) -> NoReturn:
        job.leave()
        deadline = None
        if self.execution_timeout is not None:
            deadline = time.time() + self.execution_timeout.total_seconds()
        self.log.info("Lithops: the job goes on; its task is deferred until it is done")
        self.defer(
            trigger=LithopsJobTrigger(
                handle=job.identity,
                poll_interval=number_of(self, "poll_interval") or 1.0,
                deadline=deadline,
                cancel_on_kill=self.cancel_on_kill,
            ),
            method_name="execute_complete",
        )

    def _end_killed(self, job: LithopsJob, context: Any) -> NoReturn:
        if self.durable and may_try_again(context) and not ended_by_user(context):
            job.leave()
            raise AirflowException(
                "the task's process was told to end, but not by a user: its Lithops job goes on, "
                "and the next try takes it up"
            ) from None
        if not self.cancel_on_kill:
            job.leave()
            raise AirflowException(
                "the task was killed; its Lithops job goes on, since cancel_on_kill is False"
            ) from None
        job.cancel()
        raise AirflowException("the Lithops job was cancelled: its task was killed") from None

    def _forget(self, context: Any) -> None:
        """The job is over: no retry is to find it."""
        if self.durable:
            KeptJob(context, self.log).forget()

    def _hook(self) -> LithopsHook:
        return LithopsHook(self.lithops_conn_id, mapping_of(self, "lithops_config"))

    def _leave_picture(self, job: LithopsJob, context: Any) -> None:
        # The picture is a convenience, so no error in it may fail the task. Airflow 2 cannot show
        # it.
        if not AIRFLOW_3 or not self.do_xcom_push:
            return
        try:
            picture = job.picture()
            if picture and len(picture) <= PICTURE_BYTES:
                context["ti"].xcom_push(key=PICTURE_KEY, value=picture)
                job.has_picture = True
        except Exception as error:
            self.log.warning("Lithops: no timeline picture: %s", error)
