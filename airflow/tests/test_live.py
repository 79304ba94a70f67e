# SPDX-License-Identifier: Apache-2.0
"""A real Airflow, with all its programs: `tests/run live`.

LITHOPS_AIRFLOW_DATABASE may name another database than SQLite, by its URL.
"""

import os
import re
import shlex
import shutil
import signal
import time
import urllib.error
from pathlib import Path

import pytest
from conftest import BUNDLES
from local_airflow import LocalAirflow

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    dags.mkdir()
    for folder in (BUNDLES["tests"], BUNDLES["examples"]):
        for file in folder.glob("[!_]*.py"):
            shutil.copy(file, dags)
    os.environ.pop("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST")
    os.environ["AIRFLOW_VAR_OF_THE_TESTS"] = "variable"
    with LocalAirflow(home, dags, os.environ.get("LITHOPS_AIRFLOW_DATABASE")) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def runs(airflow):
    """All DAGs that need nobody to look at them, started together: {dag_id: run_id}."""
    dag_ids = (
        "operators",
        "decorators",
        "lithops_example",
        "lithops_example_objects",
        "lithops_example_taskflow",
        "faults",
    )
    return {dag_id: airflow.trigger(dag_id) for dag_id in dag_ids}


@pytest.fixture(scope="module")
def says(airflow, runs):
    """The run of the DAG `says`, when it is over. It takes a while: its functions import Airflow."""
    run_id = airflow.trigger("says")
    airflow.wait("says", run_id, 400)
    return run_id


def results(airflow, runs, dag_id, *task_ids):
    assert airflow.wait(dag_id, runs[dag_id]) == "success"
    return [airflow.xcom(dag_id, runs[dag_id], task_id) for task_id in task_ids]


def test_examples_of_the_table(airflow, runs):
    found = results(
        airflow, runs, "operators", "add_task_1", "add_task_2", "map_task", "mapreduce_task"
    )
    assert found == [4, 8, [2, 3, 4], 24]


def test_thousand_items(airflow, runs):
    (thousand,) = results(airflow, runs, "operators", "thousand")
    assert thousand == list(range(1, 1001))
    log = airflow.log("operators", runs["operators"], "thousand")
    assert "1000 calls of add" in log
    assert "1000 of 1000 calls done" in log


def test_example_dags(airflow, runs):
    number, added, numbers, multiplied, total = results(
        airflow,
        runs,
        "lithops_example",
        "gen_number",
        "add_num",
        "gen_list",
        "mult_num_map",
        "map_reduce",
    )
    assert added == number + 7
    assert multiplied == [n * 10 for n in numbers]
    assert total == sum(n * 20 for n in numbers)


def test_functions_of_the_dag_file(airflow, runs):
    (report,) = results(airflow, runs, "lithops_example_taskflow", "report")
    assert report.endswith(": the largest is 2198")
    many, reduced = results(airflow, runs, "decorators", "many", "reduced")
    assert (many, reduced) == ([6, 12, 18], 14)


def test_objects_of_a_bucket(airflow, runs):
    found = results(airflow, runs, "lithops_example_objects", "count_words", "count_words_of_each")
    assert found == [30000, [5000, 10000, 15000]]


def test_timeline_behind_the_link(airflow, runs):
    results(airflow, runs, "operators")
    path = airflow._path("operators", runs["operators"], "map_task")
    link = airflow.api("GET", f"{path}/links")["extra_links"]["Lithops timeline"]
    assert link.startswith(airflow.url)
    nothing = airflow._path("faults", runs["faults"], "misconfigured")
    airflow.wait("faults", runs["faults"])
    assert airflow.api("GET", f"{nothing}/links")["extra_links"] == {"Lithops timeline": None}
    picture = airflow.fetch("GET", link.removeprefix(airflow.url))
    assert picture.startswith(b"\x89PNG")
    with pytest.raises(urllib.error.HTTPError) as refused:
        airflow.fetch("GET", link.removeprefix(airflow.url), signed_in=False)
    assert refused.value.code == 401
    with pytest.raises(urllib.error.HTTPError) as missing:
        airflow.fetch("GET", link.removeprefix(airflow.url).replace("map_task", "no_task"))
    assert missing.value.code == 404


@pytest.mark.parametrize(
    ("task_id", "said"),
    [
        ("failing", ["call 00001", "(fail_at) failed: ValueError: cannot do 2"]),
        ("killed", ["call 00004", "(die_at) failed"]),
        ("misconfigured", ["worker_proceses", "worker_processes"]),
        ("no_connection", ["not_there"]),
        ("timed_out", ["AirflowTaskTimeout"]),
    ],
)
def test_tasks_that_go_wrong(airflow, runs, task_id, said):
    assert airflow.until_task("faults", runs["faults"], task_id, "failed", "success") == "failed"
    log = airflow.log("faults", runs["faults"], task_id)
    for text in said:
        assert text in log


@pytest.mark.parametrize(
    ("task_id", "state", "tries"),
    [
        ("skips", "skipped", 1),
        ("skips_by_subclass", "skipped", 1),
        ("fails", "failed", 1),
        ("fails_by_subclass", "failed", 1),
        ("errs", "failed", 2),
        ("errs_by_subclass", "failed", 2),
        ("errs_by_timeout", "failed", 2),
    ],
)
def test_what_functions_say_to_airflow(airflow, says, task_id, state, tries):
    """Their module imports Airflow, in a worker process that has no access to its database."""
    task = airflow.task("says", says, task_id)
    assert (task["state"], task["try_number"]) == (state, tries)
    for attempt in range(1, tries + 1):
        assert f": the function {task_id}" in airflow.log("says", says, task_id, attempt)


def test_functions_use_airflow(airflow, says):
    assert airflow.xcom("says", says, "looks") == "variable"
    assert airflow.xcom("says", says, "by_hook") == 7


def records(airflow, dag_id, run_id, task_id):
    """(level, text) of each record of a task's log."""
    path = f"{airflow._path(dag_id, run_id, task_id)}/logs/1?full_content=true"
    content = airflow.api("GET", path)["content"]
    return [(line.get("level"), line["event"]) for line in content]


def test_what_functions_print_and_log(airflow, says):
    found = records(airflow, "says", says, "talks")
    printed = [(level, text) for level, text in found if " (talk): to stdout" in text]
    assert [level for level, _ in printed] == ["info", "info"]
    for number, (_, text) in enumerate(printed, 1):
        name = f"call 0000{number - 1} (talk): "
        assert f"{name}to stdout {number}\n{name}to stderr {number}\n" in text
        assert f"a record {number}" in text
        assert "too much" not in text
    assert [text for level, text in found if level == "error"] == []
    assert [level for level, text in found if "open: localhost, 1 worker" in text] == ["info"]


def test_a_crash_is_in_the_log_once(airflow, says):
    text = "\n".join(text for _, text in records(airflow, "says", says, "crashes"))
    assert text.count("last words 1") == text.count("Fatal Python error: Aborted") == 1


def test_no_picture_where_nothing_is_to_be_pushed(airflow, says):
    path = airflow._path("says", says, "talks")
    keys = {entry["key"] for entry in airflow.api("GET", f"{path}/xcomEntries")["xcom_entries"]}
    assert keys <= {"_link_LithopsTimelineLink"}
    links = airflow.api("GET", f"{path}/links")["extra_links"]
    assert links == {"Lithops timeline": None}


def test_a_retry_starts_from_the_same_values(airflow, runs):
    assert airflow.until_task("faults", runs["faults"], "retried", "failed", "success") == "success"
    assert airflow.task("faults", runs["faults"], "retried")["try_number"] == 2
    assert airflow.xcom("faults", runs["faults"], "retried") == "at last"


def worker_processes(airflow, task_id):
    """Processes that calls of the task ran in, and that are still there."""
    found = Path(airflow.home, "pids", task_id)
    ids = [path.name for path in found.iterdir()] if found.exists() else []
    return [pid for pid in ids if Path("/proc", pid).exists()]


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_execution_timeout_leaves_no_process(airflow, runs):
    airflow.until_task("faults", runs["faults"], "timed_out", "failed")
    assert list(Path(airflow.home, "pids", "timed_out").iterdir())
    until(lambda: not worker_processes(airflow, "timed_out"))


def test_clear_and_mark_failed_leave_no_process(airflow, runs):
    airflow.wait("faults", runs["faults"])
    run_id = airflow.trigger("slow")
    until(lambda: len(worker_processes(airflow, "sleeping")) == 2, 60)
    first = worker_processes(airflow, "sleeping")
    cleared = {
        "dry_run": False,
        "only_failed": False,
        "only_running": True,
        "dag_run_id": run_id,
        "task_ids": ["sleeping"],
    }
    airflow.api("POST", "/dags/slow/clearTaskInstances", cleared)
    until(lambda: set(worker_processes(airflow, "sleeping")) - set(first), 60)
    assert not set(worker_processes(airflow, "sleeping")) & set(first)
    airflow.api("PATCH", airflow._path("slow", run_id, "sleeping"), {"new_state": "failed"})
    until(lambda: not worker_processes(airflow, "sleeping"))
    assert airflow.wait("slow", run_id) == "failed"
    assert "the Lithops job was cancelled" in airflow.log("slow", run_id, "sleeping", 2)


def test_a_killed_task_leaves_no_process(airflow):
    """The process of the task is killed, which can do nothing any more: Lithops notices."""
    run_id = airflow.trigger("slow")
    until(lambda: len(worker_processes(airflow, "sleeping")) == 2, 60)
    status = Path("/proc", worker_processes(airflow, "sleeping")[0], "status").read_text()
    task = int(re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE)[1])
    assert task in airflow.processes()
    os.kill(task, signal.SIGKILL)
    until(lambda: not worker_processes(airflow, "sleeping"))
    assert airflow.wait("slow", run_id) == "failed"


@pytest.fixture(scope="module")
def outlive(airflow):
    """The run of the DAG `outlive`, when its tasks have lost what they have to lose."""
    home = Path(airflow.home, "outlive")
    for task_id in ("retried", "deferred", "supervised", "marked", "timed", "begun"):
        (home / task_id).mkdir(parents=True)
    gate = home / "gate"
    gate.touch()
    try:
        run_id = airflow.trigger("outlive")
        take_away(airflow, run_id)
    finally:
        gate.unlink()  # or its jobs would outlive the tests
    assert airflow.wait("outlive", run_id) == "failed"
    return run_id


def take_away(airflow, run_id):
    """End what waits for the jobs: a task's process, a supervisor, the triggerer, and by a user."""
    until(lambda: counts(airflow, "retried"), 200)
    os.kill(airflow.task("outlive", run_id, "retried")["pid"], signal.SIGKILL)
    for task_id in ("deferred", "supervised", "marked"):
        assert airflow.until_task("outlive", run_id, task_id, "deferred", "failed") == "deferred"
        until(lambda task_id=task_id: counts(airflow, task_id), 200)
    # Airflow calls on_kill() of triggers that it has started.
    until(lambda: re.search(r"trigger .* starting", airflow.log("outlive", run_id, "marked")), 200)
    airflow.api("PATCH", airflow._path("outlive", run_id, "marked"), {"new_state": "failed"})
    until(lambda: supervisors(airflow, run_id, "marked") == [], 200)
    assert airflow.until_task("outlive", run_id, "timed", "failed", "success") == "failed"
    for process in supervisors(airflow, run_id, "supervised"):
        os.kill(process, signal.SIGKILL)
    airflow.restart("triggerer")


def counts(airflow, task_id):
    """How often each call of the task has run."""
    folder = Path(airflow.home, "outlive", task_id)
    return {int(path.name): len(path.read_text()) for path in folder.iterdir()}


def supervisors(airflow, run_id, task_id):
    """Supervisors of the task's detached jobs, by their folder, which its log names."""
    names = set(re.findall(r"Lithops job (\S+?)-M000: ", airflow.log("outlive", run_id, task_id)))
    assert names
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if "supervisor" in words and any(Path(word).name in names for word in words if word):
            found.append(int(path.parent.name))
    return found


def test_the_process_of_a_durable_task_was_killed(airflow, outlive):
    task = airflow.task("outlive", outlive, "retried")
    assert (task["state"], task["try_number"]) == ("success", 2)
    assert airflow.xcom("outlive", outlive, "retried") == [0, 1, 2]
    assert counts(airflow, "retried") == {0: 1, 1: 1, 2: 1}
    assert "an earlier try has begun the job" in airflow.log("outlive", outlive, "retried", 2)


def test_the_triggerer_of_a_deferred_task_was_killed(airflow, outlive):
    task = airflow.task("outlive", outlive, "deferred")
    assert (task["state"], task["try_number"]) == ("success", 1)
    assert airflow.xcom("outlive", outlive, "deferred") == [0, 1, 2]
    assert counts(airflow, "deferred") == {0: 1, 1: 1, 2: 1}


def test_the_supervisor_of_a_deferred_task_was_killed(airflow, outlive):
    assert airflow.task("outlive", outlive, "supervised")["state"] == "success"
    assert airflow.xcom("outlive", outlive, "supervised") == [0, 1, 2]
    assert counts(airflow, "supervised")[0] == 1  # what was done stays done


def test_a_deferred_task_was_marked_failed(airflow, outlive):
    assert airflow.task("outlive", outlive, "marked")["state"] == "failed"
    assert 2 not in counts(airflow, "marked")


def test_the_time_of_a_deferred_task_was_over(airflow, outlive):
    assert airflow.task("outlive", outlive, "timed")["state"] == "failed"
    assert "when execution_timeout, 0:00:20, was over" in airflow.log("outlive", outlive, "timed")
    assert 2 not in counts(airflow, "timed")


def test_a_job_was_begun_by_one_task_and_taken_by_another(airflow, outlive):
    assert airflow.xcom("outlive", outlive, "taken") == [0, 1, 2]
    assert counts(airflow, "begun") == {0: 1, 1: 1, 2: 1}


def test_connection_form_and_test(airflow):
    forms = airflow.fetch("GET", "/ui/connections/hook_meta").decode()
    assert '"connection_type":"lithops"' in forms.replace(" ", "")
    assert "worker_processes" in str(
        airflow.api(
            "POST",
            "/connections/test",
            {
                "connection_id": "mine",
                "conn_type": "lithops",
                "extra": '{"lithops": {"strict": true}, "localhost": {"worker_proceses": 1}}',
            },
        )
    )
    tested = airflow.api(
        "POST",
        "/connections/test",
        {"connection_id": "mine", "conn_type": "lithops", "extra": '{"backend": "localhost"}'},
    )
    assert tested["status"], tested
    assert tested["message"].startswith("a call ran on localhost")


def test_the_commands_of_the_page_limit_tasks(airflow):
    """They make a pool and a connection; a task that names neither uses the connection."""
    page = Path(__file__).parents[2] / "docs" / "airflow.md"
    commands = re.findall(r"^airflow (.*)$", page.read_text(), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        airflow.airflow(*shlex.split(command))
    assert airflow.api("GET", "/pools/lithops")["slots"] == 2
    run_id = airflow.trigger("sized")
    try:
        assert airflow.wait("sized", run_id) == "success"
        assert airflow.task("sized", run_id, "small")["pool"] == "lithops"
        assert airflow.xcom("sized", run_id, "small") == [3, 2, 1]
        log = airflow.log("sized", run_id, "small")
        assert "localhost, 3 worker processes" in log
        assert "localhost, 1 worker processes" in airflow.log("sized", run_id, "narrow")
    finally:
        airflow.airflow("connections", "delete", "lithops_default")


def test_the_command_line_runs_a_dag(airflow):
    """The command runs the tasks itself: a scheduler would take them up, too, and one would fail."""
    with airflow.without("scheduler"):
        out = airflow.airflow("dags", "test", "lithops_example_objects", timeout_s=400)
    assert "state=success" in out


def test_nothing_is_left(airflow):
    """After all of that: no worker process of Lithops that belongs to this Airflow."""

    def left():
        found = []
        for pid in airflow.processes():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"lithops._worker" in command:
                found.append(pid)
        return found

    until(lambda: not left(), 10)
    jobs = Path(airflow.env["XDG_STATE_HOME"], "lithops", "jobs")
    # An empty file tells when the folder was last swept.
    until(lambda: not jobs.exists() or {path.name for path in jobs.iterdir()} <= {".swept"}, 60)
