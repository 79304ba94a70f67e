# SPDX-License-Identifier: Apache-2.0
"""A task's job across its tries: the handle, in Airflow's task state store (Airflow 3.3), or in a
file beside the jobs.

What is kept says which job the task has begun, and survives the task's process, its worker and the
scheduler; the next try attaches to that job. It is kept twice: the executor's id before the job
begins, so that a process that was killed between the two leaves no job that nobody knows, and the
handle right after. `max_tries` tells a retry from a task that a user has cleared: clearing raises
it, and means that what has begun is not wanted any more.

Before 3.3 Airflow has no place that outlives a try: it clears a task's XComs when a try begins. A
file does it as well, as a handle is good on its machine alone.
"""

import hashlib
import json
import logging
import os
import pwd
import socket
import time
from pathlib import Path
from typing import Any

from airflow.configuration import AIRFLOW_HOME

from lithops_airflow_plugin._airflow import AirflowException

#: The key in the task state store.
KEY = "lithops_job"

_DAY_S = 86400.0

#: What a user makes of a running task: by marking it, or by clearing it.
_STATES_OF_USERS = ("failed", "success", "skipped", "restarting", "removed")


class FileStore:
    """Of one task instance, in place of Airflow's task state store: a file named after it."""

    def __init__(self, ti: Any) -> None:
        name = [AIRFLOW_HOME, ti.dag_id, ti.run_id, ti.task_id, ti.map_index]
        self._folder = _state_folder() / "lithops" / "airflow"
        self._path = self._folder / hashlib.sha256(json.dumps(name).encode()).hexdigest()

    def get(self, key: str) -> Any:
        """What was set; None: nothing, or the file is damaged."""
        try:
            return _kept(self._path, key)
        except FileNotFoundError:
            return None

    def set(self, key: str, value: Any) -> None:
        """Any reader sees all of it or what was there before, also after a power cut."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_suffix(f".{os.getpid()}")
        with new.open("w") as file:
            file.write(json.dumps({key: value}))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        self._sweep()

    def delete(self, key: str) -> None:
        """The file goes."""
        self._path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Files go whose tasks have not come back, when their jobs are gone."""
        for path in self._folder.iterdir():
            try:
                if time.time() - path.stat().st_mtime > _DAY_S and _is_gone(path):
                    path.unlink()
            except OSError:  # somebody else was there
                pass


def _state_folder() -> Path:
    """Where detached jobs are, too: as src/base/user_folder.c has it, relative paths do not count."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return Path(state)
    home = os.environ.get("HOME", "")
    if not os.path.isabs(home):
        home = pwd.getpwuid(os.geteuid()).pw_dir
    return Path(home, ".local", "state")


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    """What a file keeps; None: nothing that could be a job's."""
    try:
        kept = json.loads(path.read_text())[key]
        if "handle" in kept:
            os.fspath(kept["handle"]["folder"])
        else:
            os.fspath(kept["executor_id"])
    except (ValueError, KeyError, TypeError):
        return None
    return dict(kept)


def _is_gone(path: Path) -> bool:
    kept = _kept(path, KEY)
    if kept is None:
        return True
    folder = path.parent.parent / "jobs" / kept.get("executor_id", "")
    return not os.path.exists(kept["handle"]["folder"] if "handle" in kept else folder)


class KeptJob:
    """The job of a task instance, whichever of its tries has begun it.

    :param context: of the task
    """

    def __init__(self, context: Any, log: logging.Logger) -> None:
        self._log = log
        store = context.get("task_state_store")
        self._store = FileStore(context["ti"]) if store is None else store
        self._max_tries = getattr(context.get("ti"), "max_tries", None)

    def begin(self, executor_id: str, method: str) -> None:
        """A job is about to begin."""
        self._set({"executor_id": executor_id, "method": method})

    def keep(self, handle: dict[str, Any]) -> None:
        """It has begun."""
        self._set({"handle": handle})

    def forget(self) -> None:
        """It is over."""
        self._store.delete(KEY)

    def take(self) -> dict[str, Any] | None:
        """The handle of a job that an earlier try has begun and that goes on or is done.

        :raises AirflowException: it is where this process cannot see it
        """
        kept = self._store.get(KEY)
        if not kept:
            return None
        handle = kept.get("handle") or _found(kept["executor_id"], kept.get("method", ""))
        if handle is None:
            return None
        if kept.get("max_tries") != self._max_tries:
            self._log.info("Lithops: the task was cleared: its earlier job is cancelled")
            _release(handle)
            return None
        return self._checked(handle)

    def _checked(self, handle: dict[str, Any]) -> dict[str, Any] | None:
        from lithops import detached

        try:
            state = detached.state(handle)
        except FileNotFoundError as error:
            here = socket.gethostname()
            if handle.get("host") != here:
                raise AirflowException(
                    f"the task's job was begun on {handle.get('host')!r}, and may run there: this "
                    f"is {here!r}. Clear the task to start the job again"
                ) from error
            self._log.warning("Lithops: the job of an earlier try is gone (%s)", error)
            return None
        if state["canceled"]:
            self._log.info("Lithops: the job of an earlier try was cancelled")
            _release(handle)
            return None
        done = state["success"] + state["failed"]
        self._log.info(
            "Lithops: an earlier try has begun the job: %d of %d calls done", done, state["calls"]
        )
        return handle

    def _set(self, value: dict[str, Any]) -> None:
        self._store.set(KEY, {**value, "max_tries": self._max_tries})


def ended_by_user(context: Any) -> bool:
    """Whether the task's process is to end because a user has acted on the task, in the eyes of
    Airflow's database, and not because its worker ends, or because the scheduler has missed its
    heartbeat: then it is up for a retry, or on its way into one, and that is to take the job up."""
    ti = context["ti"]
    try:
        if not hasattr(ti, "get_task_states"):  # Airflow 2
            return ti.current_state() in _STATES_OF_USERS
        states = ti.get_task_states(
            dag_id=ti.dag_id,
            task_ids=[ti.task_id],
            run_ids=[ti.run_id],
            map_index=None if ti.map_index is None or ti.map_index < 0 else ti.map_index,
        )
    except Exception:  # there is no API server at this moment: no user has been there
        return False
    return any(state in _STATES_OF_USERS for tasks in states.values() for state in tasks.values())


def may_try_again(context: Any) -> bool:
    """Whether there is a next try, should this one fail."""
    ti = context["ti"]
    return ti.try_number <= (ti.max_tries or 0)


def _found(executor_id: str, method: str) -> dict[str, Any] | None:
    """The whole job of an executor; None: it has not begun, or not all of it."""
    from lithops import detached

    handles = [
        job["handle"] for job in detached.jobs() if job["key"].startswith(f"{executor_id}-")
    ]
    handles.sort(key=lambda handle: handle["jobs"][0]["job"])  # M000 before R000
    if len(handles) == (2 if method == "map_reduce" else 1):
        return {**handles[0], "jobs": [job for handle in handles for job in handle["jobs"]]}
    for handle in handles:
        _release(handle)
    return None


def _release(handle: dict[str, Any]) -> None:
    from lithops import detached

    try:
        detached.release(handle)
    except (OSError, ValueError, RuntimeError):  # it is not there
        pass
