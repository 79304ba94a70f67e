# SPDX-License-Identifier: Apache-2.0
"""Looks at detached jobs from one thread, however many they are.

A job's state is a few words in the header of a file, so that a look takes some 50 microseconds;
what would wait for the job is not here. The thread starts with the first job, sleeps between looks,
and ends when there was none for LINGER_S. Where a supervisor was killed, it starts another one.

What it finds is told by callbacks, on its thread: news of a job is a dict with "outcome",

    running     how far it is, each PROGRESS_S seconds if that has changed
    done        all its calls are
    timed_out   its deadline has passed
    lost        nobody can wait for it: "message" says why

and all but the first are the last.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

PROGRESS_S = 10.0
LINGER_S = 2.0
MOST_STARTS = 3  # of supervisors, in a row, that came to nothing


class Watch:
    """One job that is looked at."""

    def __init__(
        self,
        handle: dict[str, Any],
        interval_s: float,
        deadline: float | None,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self.handle = handle
        self.interval_s = max(0.01, interval_s)
        self.deadline = deadline
        self.tell = tell
        self.due = time.monotonic()
        self._told = time.monotonic()
        self._done = -1
        self._told_done = 0
        self._lonely = self._starts = 0

    def look(self) -> dict[str, Any] | None:
        """News, if there is any."""
        from lithops import detached

        try:
            state = detached.state(self.handle)
            done = state["success"] + state["failed"] + state["canceled"]
            news = {"done": done, "failed": state["failed"], "calls": state["calls"]}
            if state["done"]:
                return {"outcome": "done", **news}
            if self.deadline is not None and time.time() >= self.deadline:
                return {"outcome": "timed_out", **news}
            self._see_to_supervisor(detached, state, done)
        except Exception as error:
            return {"outcome": "lost", "message": f"{type(error).__name__}: {error}"}
        if done != self._told_done and time.monotonic() - self._told >= PROGRESS_S:
            self._told, self._told_done = time.monotonic(), done
            return {"outcome": "running", **news}
        return None

    def _see_to_supervisor(self, detached: Any, state: dict[str, Any], done: int) -> None:
        if state["supervised"] or done != self._done:
            self._lonely = 0
            if done != self._done:
                self._starts = 0
        else:
            self._lonely += 1
        self._done = done
        if self._lonely < 2:  # it may begin at this moment
            return
        self._lonely = 0
        self._starts += 1
        if self._starts > MOST_STARTS:
            folder = self.handle.get("folder")
            raise RuntimeError(f"no supervisor stays to run the job: '{folder}/log' may say why")
        detached.wait(self.handle, 0)


class Watcher:
    """The thread, and what it is to look at."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watches: set[Watch] = set()
        self._errands: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None

    def add(self, watch: Watch) -> Watch:
        """Look at a job until the last news of it is told, or it is removed."""
        with self._changed:
            self._watches.add(watch)
            self._wake()
        return watch

    def remove(self, watch: Watch) -> None:
        """Look at it no more. The callback may be at work at this moment."""
        with self._changed:
            self._watches.discard(watch)

    def run(self, errand: Callable[[], None]) -> None:
        """Call a function on the thread, soon."""
        with self._changed:
            self._errands.append(errand)
            self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._loop, name="lithops-job-watcher", daemon=True
            )
            self._thread.start()
        self._changed.notify()

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._errands and not self._are_due():
                    if not self._changed.wait(self._time_to_sleep()) and not self._watches:
                        if not self._errands:
                            self._thread = None
                            return
                errands, due = list(self._errands), self._are_due()
                self._errands.clear()
            for errand in errands:
                errand()
            for watch in due:
                self._look_at(watch)

    def _are_due(self) -> list[Watch]:
        now = time.monotonic()
        return [watch for watch in self._watches if watch.due <= now]

    def _time_to_sleep(self) -> float:
        if not self._watches:
            return LINGER_S
        return max(0.0, min(watch.due for watch in self._watches) - time.monotonic())

    def _look_at(self, watch: Watch) -> None:
        news = watch.look()
        # Those of one interval are due together: so there is one wake-up for all of them.
        watch.due = (time.monotonic() // watch.interval_s + 1) * watch.interval_s
        if news is None:
            return
        if news["outcome"] != "running":
            self.remove(watch)
        try:
            watch.tell(news)
        except RuntimeError:  # the loop that was to hear it is closed
            self.remove(watch)


#: The watcher of this process.
watcher = Watcher()
