# SPDX-License-Identifier: Apache-2.0
"""A whole Airflow on this machine, in a scratch home: for the live tests and for the demo.

Database, API server, scheduler, DAG processor and triggerer are the real programs, as processes of
their own that listen on 127.0.0.1 alone and are ended by their ids. Everything they write is under
the home that the caller gives.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("api-server", "dag-processor", "scheduler", "triggerer")
WORKERS = ("one", "two")


class LocalAirflow:
    """An Airflow that runs between start() and stop(), or in a `with` statement.

    :param home: an empty folder for everything it writes
    :param dags: the folder of its DAG files
    :param database: URL of a database; default: SQLite in `home`
    :param broker: URL of a Redis: tasks run in two Celery workers, not beside the scheduler
    """

    def __init__(
        self, home: Path, dags: Path, database: str | None = None, broker: str | None = None
    ) -> None:
        self.home = home
        self._commands = {program: [program] for program in PROGRAMS}
        self._processes: dict[str, subprocess.Popen] = {}
        self._token = ""
        self._passwords = home / "passwords.json"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.env = {
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords),
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database or f"sqlite:///{home}/airflow.db",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            # Triggers of a triggerer that was killed go to the next one after this time.
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
            # Detached jobs of Lithops.
            "XDG_STATE_HOME": str(home / "state"),
            # A task whose API server is slow is not to fail: this machine may have other work.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            # Airflow's own proxies, if any, are not for the loopback interface.
            "no_proxy": "127.0.0.1,localhost",
        }
        if broker:
            self._use_celery(broker)

    def __enter__(self) -> "LocalAirflow":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout_s: float = 400) -> None:
        """Make the database and start the programs; returns when all of them are healthy."""
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        try:
            self.airflow("db", "migrate", timeout_s=timeout_s)
            for program in self._commands:
                self._processes[program] = self._spawn(program)
            self._until(timeout_s, "healthy", self._healthy)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the programs, politely at first."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + 20
        for process in self._processes.values():
            self._end(process, deadline)
        self._processes.clear()

    def _use_celery(self, broker: str) -> None:
        self.env |= {
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": broker,
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            # Tasks of a worker that was killed are tried again after this time.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        }
        for name in WORKERS:
            where = ["--celery-hostname", f"{name}@%h", "--pid", str(self.home / f"{name}.pid")]
            self._commands[name] = [
                *("celery", "worker", "--concurrency", "3", "--skip-serve-logs"),
                *where,
            ]

    def program_of(self, process: int) -> str | None:
        """Which program has started a process, say a task's."""
        session = os.getsid(process)
        for program, started in self._processes.items():
            if started.pid == session:
                return program
        return None

    def kill(self, program: str) -> None:
        """Kill one of the programs, with its children, as the kernel would."""
        killed = self._processes.pop(program)
        for pid in self.processes(killed.pid):
            os.kill(pid, signal.SIGKILL)
        killed.wait()

    def spawn(self, program: str) -> None:
        """Start a program again that was killed."""
        self._processes[program] = self._spawn(program)

    @contextmanager
    def without(self, program: str) -> Iterator[None]:
        """In a `with` statement: one of the programs does not run meanwhile."""
        process = self._processes.pop(program)
        process.terminate()
        self._end(process, time.monotonic() + 20)
        try:
            yield
        finally:
            self._processes[program] = self._spawn(program)
            self._until(1000, "healthy", self._healthy)

    def _end(self, process: subprocess.Popen, deadline: float) -> None:
        """Wait for a program that was told to end, and kill what is left at the deadline."""
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        for pid in self.processes(process.pid):  # what it has left: tasks that run
            os.kill(pid, signal.SIGKILL)
        process.wait()

    def restart(self, program: str) -> None:
        """Kill one of the programs, with its children, as the kernel would; and start it again."""
        self.kill(program)
        self.spawn(program)

    def airflow(self, *arguments: str, timeout_s: float = 400) -> str:
        """Run the `airflow` command; what it prints."""
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(
            command, env=self.env, cwd=self.home, capture_output=True, text=True, timeout=timeout_s
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    @property
    def password(self) -> str:
        """Of the user admin; the API server makes it up when it starts."""
        return json.loads(self._passwords.read_text())["admin"]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the API, /api/v2; the answer's JSON."""
        answer = self.fetch(method, f"/api/v2{path}", body)
        return json.loads(answer) if answer else None

    def fetch(self, method: str, path: str, body: Any = None, signed_in: bool = True) -> bytes:
        """One request; the answer's bytes.

        :raises urllib.error.HTTPError: the status is not one of success
        """
        if signed_in and not self._token:
            who = {"username": "admin", "password": self.password}
            answer = self.fetch("POST", "/auth/token", who, signed_in=False)
            self._token = json.loads(answer)["access_token"]
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Accept": "*/*"},
            method=method,
        )
        if signed_in:
            request.add_header("Authorization", f"Bearer {self._token}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as response:
            return response.read()

    def trigger(self, dag_id: str, conf: Any = None, timeout_s: float = 400) -> str:
        """Start a run of a DAG, once it is known; the run's id."""
        self._until(timeout_s, f"{dag_id} known", lambda: self._known(dag_id))
        self.api("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})
        run = self.api(
            "POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}}
        )
        return run["dag_run_id"]

    def wait(self, dag_id: str, run_id: str, timeout_s: float = 400) -> str:
        """Wait until a run is over; its state."""
        path = f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}"

        def over() -> str | None:
            state = self.api("GET", path)["state"]
            return state if state in ("success", "failed") else None

        return self._until(timeout_s, f"{dag_id} over", over)

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """A task instance, as the API gives it."""
        return self.api("GET", self._path(dag_id, run_id, task_id))

    def until_task(self, dag_id: str, run_id: str, task_id: str, *states: str) -> str:
        """Wait until a task instance is in one of the states; that state."""

        def there() -> str | None:
            state = self.task(dag_id, run_id, task_id)["state"]
            return state if state in states else None

        return self._until(600, f"{task_id} {' or '.join(states)}", there)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task has returned, or left under another key."""
        path = self._path(dag_id, run_id, task_id)
        return self.api("GET", f"{path}/xcomEntries/{key}?stringify=false")["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """A task's log, as the web page shows it, without colours."""
        path = f"{self._path(dag_id, run_id, task_id)}/logs/{attempt}?full_content=true"
        lines = self.api("GET", path)["content"]
        return "\n".join(
            json.dumps(line) if isinstance(line, dict) else str(line) for line in lines
        )

    def processes(self, session: int | None = None) -> list[int]:
        """Ids of all processes that belong to this Airflow: tasks and their children too."""
        sessions = {process.pid for process in self._processes.values()}
        found = []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.getsid(int(name)) in ({session} if session else sessions):
                    found.append(int(name))
            except ProcessLookupError:
                pass
        return found

    @staticmethod
    def _path(dag_id: str, run_id: str, task_id: str) -> str:
        return f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances/{task_id}"

    def _spawn(self, program: str) -> subprocess.Popen:
        log = (self.home / "logs" / f"{program}.log").open("wb")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "airflow", *self._commands[program]],
                env=self.env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _healthy(self) -> bool:
        for program, process in self._processes.items():
            if process.poll() is not None:
                log = (self.home / "logs" / f"{program}.log").read_text(errors="replace")
                raise RuntimeError(f"{program} has ended: {log[-3000:]}")
        try:
            health = self.api("GET", "/monitor/health")
        except (OSError, ValueError):  # not listening yet
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all(health[part]["status"] == "healthy" for part in parts)

    def _known(self, dag_id: str) -> bool:
        errors = self.api("GET", "/importErrors")["import_errors"]
        if errors:
            raise RuntimeError(f"{errors[0]['filename']}: {errors[0]['stack_trace']}")
        try:
            return bool(self.api("GET", f"/dags/{dag_id}"))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return False

    @staticmethod
    def _until(timeout_s: float, what: str, ask: Any) -> Any:
        # Airflow sends no notifications: its API has to be polled.
        deadline = time.monotonic() + timeout_s
        while True:
            answer = ask()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {what} after {timeout_s:.0f} s")
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
