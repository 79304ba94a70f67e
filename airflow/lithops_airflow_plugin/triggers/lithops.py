# SPDX-License-Identifier: Apache-2.0
"""The trigger that waits for a detached job while its task takes no slot of a worker."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from lithops_airflow_plugin._airflow import BaseTrigger, TriggerEvent
from lithops_airflow_plugin.watcher import Watch, watcher


class LithopsJobTrigger(BaseTrigger):
    """Fires when all calls of a job are done.

    Nothing in it blocks the triggerer's loop: one thread of the process looks at the jobs of all
    triggers (watcher.py). It keeps nothing but its arguments: another triggerer goes on with them.

    :param handle: the handle of a detached job
    :param poll_interval: seconds between two looks
    :param deadline: seconds since 1970, after which the event says "timed_out"
    :param cancel_on_kill: the job is cancelled, and its results go, when a user ends the task
    """

    def __init__(
        self,
        handle: dict[str, Any],
        poll_interval: float = 1.0,
        deadline: float | None = None,
        cancel_on_kill: bool = True,
    ) -> None:
        super().__init__()
        self.handle = handle
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Its class and its arguments."""
        return (
            "lithops_airflow_plugin.triggers.lithops.LithopsJobTrigger",
            {
                "handle": self.handle,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "cancel_on_kill": self.cancel_on_kill,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: the last news of the job (watcher.py), with its handle."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        watch = watcher.add(
            Watch(
                self.handle,
                self.poll_interval,
                self.deadline,
                lambda news: loop.call_soon_threadsafe(heard.put_nowait, news),
            )
        )
        try:
            while (news := await heard.get())["outcome"] == "running":
                self.log.info("Lithops: %d of %d calls done", news["done"], news["calls"])
            yield TriggerEvent({**news, "handle": self.handle})
        finally:
            watcher.remove(watch)

    async def on_kill(self) -> None:
        """A user has ended the task."""
        if not self.cancel_on_kill:
            return
        loop = asyncio.get_running_loop()
        is_over = loop.create_future()

        def release() -> None:
            from lithops import detached

            try:
                detached.release(self.handle)
                problem = None
            except FileNotFoundError:
                problem = None
            except Exception as error:
                problem = error
            loop.call_soon_threadsafe(tell, problem)

        def tell(problem: Exception | None) -> None:
            if not is_over.done():  # whoever waits may have been cancelled
                is_over.set_result(problem)

        watcher.run(release)
        problem = await is_over
        if problem is None:
            self.log.info("Lithops: the job is cancelled")
        else:
            self.log.warning("Lithops: the job cannot be cancelled: %s", problem)
