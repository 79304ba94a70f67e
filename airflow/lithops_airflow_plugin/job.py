# SPDX-License-Identifier: Apache-2.0
"""One job of Lithops, as an Airflow task sees it: submit or attach, poll, fetch, cancel, close.

All that the operators do with a running job is here, and nothing of Airflow but exceptions. A job
that is detached has a `handle`, and goes on when the task's process ends, however it does: a retry,
or the task after it was deferred, attaches to it. `close()` releases it, unless it `is_kept`.

A job is used by one thread. `cancel()` and `interrupt()` may come at any time, also from a signal
handler that has interrupted any other method: they set a flag, `cancel()` asks the engine to cancel
too, and whoever waits sees it. Nothing here touches signals or timers: SIGALRM and SIGTERM are
Airflow's.
"""

import base64
import logging
import tempfile
import time
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lithops_airflow_plugin._airflow import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)

POLL_S = 0.5
PROGRESS_S = 10.0
ERRORS_LOGGED = 20
#: How much of what calls have printed goes into the task's log: of a call, and of all.
OUTPUT_OF_CALL = 64 << 10
OUTPUT_OF_JOB = 1 << 20
LAST_WORDS_S = 2.0

_MARKS = ("::group::", "::endgroup::")

# The last job of each operator object, by its id(): not an attribute, which would be a change.
_jobs: dict[int, "LithopsJob"] = {}


def job_of(operator: Any) -> "LithopsJob | None":
    """The last job of an operator object."""
    return _jobs.get(id(operator))


def remember(operator: Any, job: "LithopsJob") -> None:
    """Let `job_of()` know, for as long as the operator is there."""
    key = id(operator)
    if key not in _jobs:
        weakref.finalize(operator, _jobs.pop, key, None)
    _jobs[key] = job


class TaskKilled(Exception):
    """Whoever waits for the job is to end: `interrupt()` was called."""


class LithopsJob:
    """A job from its submission to its result.

    :param log: where progress and errors of calls go
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._executor: Any = None
        self._futures: list[Any] = []
        self._canceled = self._interrupted = False
        self._started = self._reported = time.monotonic()
        self._executor_id = ""
        self._unheard: list[Any] = []  # futures whose output is not in the log yet
        self._output_left = 0
        self._has_told_bound = False
        #: of a detached job: the handle, with the words of `identity`; else None
        self.handle: dict[str, Any] | None = None
        #: a detached job is not released in the end; and it is not over
        self.is_kept = self.goes_on = False
        #: whether a picture was left behind the task's link
        self.has_picture = False
        #: URIs of the objects that the job reads, and of those that its results name
        self.inputs: list[str] = []
        self.outputs: list[str] = []

    def __enter__(self) -> "LithopsJob":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, executor: Any) -> str:
        """Take an executor over; its id. A job of one that is detached has a handle when it has
        begun."""
        self._executor = executor
        self._executor_id = executor.executor_id
        self._raise_if_canceled()
        return self._executor_id

    def start(self, method: str, detached: bool = False, **arguments: Any) -> None:
        """Start the calls.

        :param method: of the executor: "call_async", "map" or "map_reduce"
        :param detached: the executor is
        :raises ValueError: an argument is wrong
        """
        self._raise_if_canceled()
        futures = getattr(self._executor, method)(**arguments)
        self._listen(list(futures) if isinstance(futures, list) else [futures])
        if detached and self._futures:
            is_one = method == "call_async"
            self._name(futures.job_handle() if is_one else futures.handle())
        if self._canceled:  # meanwhile, so it has not seen the futures
            self.cancel()
        for job in self.identity["jobs"]:
            self._log.info(
                "Lithops job %s: %d calls of %s", job["job_key"], job["calls"], job["function"]
            )

    def submit(self, open_executor: Callable[[], Any], method: str, **arguments: Any) -> None:
        """Open an executor and start the calls.

        :raises ValueError: a configuration or an argument is wrong
        """
        self._raise_if_canceled()
        self.open(open_executor())
        self.start(method, **arguments)

    def attach(self, futures: Any) -> None:
        """Take up a detached job: `futures` are what `lithops.attach()` gives."""
        self._executor = futures.executor
        self._executor_id = futures[0].executor_id
        self._listen(list(futures))
        self._name(futures.handle())

    def _listen(self, futures: list[Any]) -> None:
        self._futures = self._unheard = futures
        self._output_left = OUTPUT_OF_JOB

    def _name(self, handle: dict[str, Any]) -> None:
        identity = self.identity
        named = {job["job_id"]: job for job in identity["jobs"]}
        jobs = [{**named.get(job["job"], {}), **job} for job in handle["jobs"]]
        self.handle = {**identity, **handle, "jobs": jobs}

    @property
    def identity(self) -> dict[str, Any]:
        """What identifies the job, as JSON: the executor's id, and key, function and number of
        calls of each of its stages. Of a detached job it is a handle."""
        if self.handle is not None:
            return self.handle
        calls = Counter((future.job_id, future.function_name) for future in self._futures)
        executor_id = self._executor_id
        return {
            "executor_id": executor_id,
            "backend": self._executor.backend,
            "jobs": [
                {
                    "job_id": job_id,
                    "job_key": f"{executor_id}-{job_id}",
                    "function": function,
                    "calls": count,
                }
                for (job_id, function), count in calls.items()
            ],
        }

    @property
    def gives_list(self) -> bool:
        """Whether the results are those of several calls: a map's, or of reducers for objects."""
        last = self._futures[-1].job_id if self._futures else "M"
        reducers = sum(future.job_id.startswith("R") for future in self._futures)
        return last.startswith("M") or reducers > 1

    def poll(self, timeout_s: float) -> bool:
        """Wait for at most `timeout_s` seconds; True when all calls are done.

        Progress, and what calls have printed, is logged every PROGRESS_S seconds.

        :raises AirflowException: a call has failed, or the job was cancelled
        :raises TaskKilled: interrupt() was called
        """
        from lithops.wait import wait

        try:
            self._raise_if_interrupted()
            wait(self._futures, timeout=timeout_s, show_progressbar=False)
            finished = True
        except TaskKilled:
            raise
        except BaseException as error:  # the time has passed, or a call has failed
            self._raise_if_interrupted()
            self._raise_if_canceled()
            if isinstance(error, Exception) or self._is_of_a_call(error):
                self._raise_if_failed()
            if not isinstance(error, TimeoutError):
                raise
            finished = False
        self._raise_if_interrupted()
        self._raise_if_canceled()  # a wait does not tell of it
        if finished or time.monotonic() - self._reported >= PROGRESS_S:
            self._log_output()
            self._report()
        return finished

    def wait(self) -> None:
        """Wait until all calls are done.

        :raises AirflowException: a call has failed, or the job was cancelled
        """
        while not self.poll(POLL_S):
            pass

    def fetch(self) -> list[Any]:
        """The results of a job that is done: of its calls or, with a reducer, of the reducers.
        Objects that were stored (CloudObject) are named by their URIs."""
        reducers = [future for future in self._futures if future.job_id.startswith("R")]
        return [self._with_uris(future.result()) for future in reducers or self._futures]

    def cancel(self) -> None:
        """Cancel all calls that are not done. Harmless at any time, and more than once."""
        self._canceled = True
        if self.handle is not None and self._executor is not None:
            self._end_detached("cancel")
        for future in self._futures:
            future.cancel()

    def interrupt(self) -> None:
        """Let whoever waits for a detached job decide what becomes of it. Harmless as cancel()."""
        self._interrupted = True

    def leave(self) -> None:
        """A detached job goes on: `close()` does not touch it."""
        self.is_kept = self.goes_on = True
        self._unheard = []

    def clean(self) -> None:
        """Delete what the job has stored besides the objects that its functions made."""
        if self.handle is None:
            self._executor.clean(self._futures, clean_cloudobjects=False)

    def picture(self) -> str | None:
        """The timeline of the calls, a PNG in base64; None where there is nothing to draw."""
        if not self._futures:
            return None
        with tempfile.TemporaryDirectory(prefix="lithops-airflow-") as folder:
            self._executor.plot(self._futures, dst=f"{folder}/job")
            pictures = sorted(Path(folder).glob("*timeline.png"))
            return base64.b64encode(pictures[0].read_bytes()).decode() if pictures else None

    def close(self) -> None:
        """Cancel what still runs, and end the executor with its worker processes. Of a detached
        job, that is to release it, unless it `is_kept`."""
        executor, self._executor = self._executor, None
        if executor is None:
            return
        try:
            self._log_last_words()
        finally:
            if self.handle is not None and not self.is_kept:
                self._end_detached("release")
            executor.__exit__(None, None, None)
            self._futures = self._unheard = []

    def _end_detached(self, how: str) -> None:
        from lithops import detached

        try:
            getattr(detached, how)(self.handle)
        except FileNotFoundError:  # somebody else has released it
            pass
        except Exception as error:
            self._log.warning("Lithops job %s: cannot %s it: %s", self._executor_id, how, error)

    def _raise_if_interrupted(self) -> None:
        if self._interrupted:
            raise TaskKilled

    def _raise_if_canceled(self) -> None:
        if self._canceled:
            raise AirflowException("the Lithops job was cancelled: its task was killed")

    def _is_of_a_call(self, error: BaseException) -> bool:
        # Functions too can raise SystemExit or AirflowTaskTimeout, which mean something else here.
        kinds = {type(_error_of(future)) for future in self._futures if future.error}
        return type(error) in kinds

    def _raise_if_failed(self) -> None:
        failed = [future for future in self._futures if future.error]
        if not failed:
            return
        self._log_output()
        for future in failed[:ERRORS_LOGGED]:
            error = _error_of(future)
            if isinstance(error, AirflowSkipException):
                self._log.info("%s skips the task: %s", _call_name(future), error)
                continue
            self._log.error("%s failed: %s", _call_name(future), _one_line(error))
            text = _traceback_of(future, error)
            if text:
                self._log.error("%s, traceback:\n%s", _call_name(future), text.rstrip())
        if len(failed) > ERRORS_LOGGED:
            self._log.error("... and %d more calls failed", len(failed) - ERRORS_LOGGED)
        future, error = _weightiest(failed)
        # What a function says to Airflow itself goes through: skip this task, do not try again.
        if isinstance(error, (AirflowSkipException, AirflowFailException)):
            raise error
        raise AirflowException(
            f"{_call_name(future)} failed: {_one_line(error)}"
            + (f" (and {len(failed) - 1} more calls)" if len(failed) > 1 else "")
        ) from error

    def _log_output(self) -> None:
        """Log what the calls that are done by now have printed: once, in their order, and in a
        group, which the log's page shows folded."""
        waiting, texts = [], []
        for future in self._unheard:
            if not future.done:
                waiting.append(future)
            elif self._output_left > 0:
                text = future.logs
                if text:
                    texts.append((future, self._bounded(text.rstrip("\n"))))
            elif self._output_left == 0 and future.logs:
                self._output_left = -1
        self._unheard = waiting
        if texts:
            self._log.info(
                "::group::Lithops job %s: what %d calls have printed", self._executor_id, len(texts)
            )
            for future, text in texts:
                self._log_printed(f"{_short_name(future)}: ", text)
            self._log.info("::endgroup::")
        if self._output_left < 0 and not self._has_told_bound:
            self._has_told_bound = True
            self._log.warning(
                "Lithops job %s: what more calls have printed is left out of this log%s",
                self._executor_id,
                "; when the task has ended, `lithops logs "
                f"{self._executor_id}` shows it, where the task ran"
                if self.handle is None
                else "",
            )

    def _bounded(self, text: str) -> str:
        limit = min(OUTPUT_OF_CALL, self._output_left)
        self._output_left -= min(len(text), limit)
        if len(text) <= limit:
            return text
        # the end says most
        return f"... ({len(text) - limit} characters before this are left out)\n{text[-limit:]}"

    def _log_printed(self, name: str, text: str) -> None:
        """Each line with the call in front; groups that the function itself has made are records
        of their own, as Airflow wants them, and end with the function."""
        depth, lines = 0, []

        def put() -> None:
            if lines:
                self._log.info("%s", "\n".join(lines))
                lines.clear()

        for line in text.split("\n"):
            mark = next((mark for mark in _MARKS if mark in line), None)
            if mark is None:
                lines.append(name + line)
                continue
            put()
            if mark == "::endgroup::":
                if depth:
                    self._log.info(mark)
                depth = max(0, depth - 1)
            else:
                self._log.info("%s%s%s", mark, name, line.split(mark, 1)[1])
                depth += 1
        put()
        for _ in range(depth):
            self._log.info("::endgroup::")

    def _log_last_words(self) -> None:
        # Calls that are cut short say what they have printed only when they have ended.
        if not self._unheard or self._output_left <= 0:
            return
        from lithops.wait import wait

        try:
            for future in self._unheard:
                future.cancel()
            wait(self._unheard, timeout=LAST_WORDS_S, throw_except=False, show_progressbar=False)
        except TimeoutError:
            pass
        self._log_output()

    def _report(self) -> None:
        self._reported = time.monotonic()
        done = Counter(future.job_id for future in self._futures if future.done)
        total = Counter(future.job_id for future in self._futures)
        self._log.info(
            "Lithops job %s: %s, after %.1f s",
            self._executor_id,
            "; ".join(f"{job_id} {done[job_id]} of {n} calls done" for job_id, n in total.items()),
            self._reported - self._started,
        )

    def _with_uris(self, value: Any) -> Any:
        from lithops.storage.utils import CloudObject

        kind = type(value)
        if kind is list or kind is tuple:
            return kind(self._with_uris(item) for item in value)
        if kind is dict:
            return {key: self._with_uris(item) for key, item in value.items()}
        if isinstance(value, CloudObject):
            uri = f"{value.backend}://{value.bucket}/{value.key}"
            self.outputs.append(uri)
            return uri
        return value


def _call_name(future: Any) -> str:
    return (
        f"call {future.call_id} of Lithops job {future.executor_id}-{future.job_id} "
        f"({future.function_name})"
    )


def _short_name(future: Any) -> str:
    """The call alone; the job stands over it."""
    stage = "" if future.job_id.startswith(("M", "A")) else f"{future.job_id}/"
    return f"call {stage}{future.call_id} ({future.function_name})"


def _weightiest(failed: list[Any]) -> tuple[Any, BaseException]:
    """The failed call that decides, and its error: one that forbids a retry before other errors,
    and these before those that ask to skip the task."""

    def weight(error: BaseException) -> int:
        kinds = (AirflowFailException, AirflowSkipException)
        return {AirflowFailException: 0, AirflowSkipException: 2}.get(
            next((kind for kind in kinds if isinstance(error, kind)), None), 1
        )

    return min(((future, _error_of(future)) for future in failed), key=lambda one: weight(one[1]))


def _traceback_of(future: Any, error: BaseException) -> str | None:
    """The traceback in the function. A call that has crashed has left its stack in its output."""
    remote = getattr(error.__cause__, "text", None)
    return remote or (None if future.logs else future.traceback_text)


def _error_of(future: Any) -> BaseException:
    try:
        return future.exception()
    except Exception as error:  # the call was cancelled
        return error


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
