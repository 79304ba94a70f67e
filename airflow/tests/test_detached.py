# SPDX-License-Identifier: Apache-2.0
"""Jobs that outlive their task's process: deferred, durable, begun by one and taken by another."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowTaskTimeout,
    TaskDeferred,
)
from lithops_airflow_plugin import durable
from lithops_airflow_plugin.durable import KEY, FileStore
from lithops_airflow_plugin.hooks.lithops import LithopsHook
from lithops_airflow_plugin.job import LithopsJob
from lithops_airflow_plugin.operators.lithops import (
    LithopsCallAsyncOperator,
    LithopsMapOperator,
    LithopsMapReduceOperator,
    LithopsResultOperator,
)
from lithops_airflow_plugin.sensors.lithops import LithopsJobSensor
from lithops_airflow_plugin.triggers.lithops import LithopsJobTrigger
from lithops_airflow_plugin.watcher import watcher
from my_functions import add, add_up, counted, fail_at, say_and_double

import lithops
from lithops import detached

LIMIT_S = 200


def until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No job, and no supervisor."""
    yield
    left = [job["handle"] for job in detached.jobs()]
    for handle in left:
        detached.release(handle)
    assert left == []
    until(lambda: not supervisors())


def supervisors(folder=None):
    """Processes of this test session's detached jobs, or of those of one folder."""
    found, wanted = [], (folder or os.environ["XDG_STATE_HOME"]).encode()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as words:
                words = words.read().split(b"\0")
        except OSError:  # it has ended meanwhile
            continue
        if b"supervisor" in words and any(word.startswith(wanted) for word in words):
            found.append(int(name))
    return found


class Store(dict):
    """A task state store; in a file, where other processes are to see it."""

    def __init__(self, path=None):
        self.path = path
        if path and path.exists():
            self.update(json.loads(path.read_text()))

    def set(self, key, value):
        self[key] = json.loads(json.dumps(value))
        self._write()

    def delete(self, key):
        self.pop(key, None)
        self._write()

    def _write(self):
        if self.path:
            self.path.write_text(json.dumps(self))


class Task:
    """A task instance, as far as operators ask one."""

    dag_id, run_id, task_id, map_index = "d", "r", "t", -1

    def __init__(self, try_number=1, max_tries=1, state="running"):
        self.try_number, self.max_tries, self.state = try_number, max_tries, state

    def xcom_push(self, key, value):
        pass

    def get_task_states(self, **kwargs):
        return {self.run_id: {self.task_id: self.state}}


def context(store=None, **kwargs):
    return {"ti": Task(**kwargs)} | ({} if store is None else {"task_state_store": store})


def execute(operator, given=None):
    """execute(), as Airflow calls it."""
    with DAG("alone", schedule=None) as dag:
        dag.add_task(operator)
    return type(operator).execute.__wrapped__(operator, given or context())


def again(trigger):
    """The trigger as another process gets it."""
    from airflow.sdk.serde import deserialize, serialize

    path, arguments = trigger.serialize()
    assert path.endswith(".LithopsJobTrigger")
    return LithopsJobTrigger(**deserialize(json.loads(json.dumps(serialize(arguments)))))


async def event_of(trigger):
    async for event in trigger.run():
        return event.payload
    return None


def fired(trigger):
    return asyncio.run(asyncio.wait_for(event_of(trigger), LIMIT_S))


def deferred(operator, given=None):
    """The trigger that the operator waits with."""
    with pytest.raises(TaskDeferred) as caught:
        execute(operator, given)
    assert caught.value.method_name == "execute_complete"
    return again(caught.value.trigger)


@pytest.fixture
def gate(tmp_path):
    (tmp_path / "gate").touch()
    return tmp_path / "gate"


@pytest.fixture
def runs(tmp_path):
    """The folder of the function `counted`."""
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def count_of(runs):
    return {int(path.name): len(path.read_text()) for path in runs.iterdir()}


def map_of(runs, gate, items=range(3), **kwargs):
    return LithopsMapOperator(
        task_id="t",
        map_function=counted,
        map_iterdata=list(items),
        extra_params={"folder": str(runs), "gate": str(gate)},
        poll_interval=0.05,
        **kwargs,
    )


def test_dag_of_detached_jobs(run_dag):
    results = run_dag("tests", "detached")
    assert results["deferred_call"] == 4
    assert results["deferred_reduce"] == 12
    assert results["deferred_map"] == [5, 10]
    assert results["begun"]["type"] == "lithops.job"
    assert results["poked"] == results["waited"] == results["begun"]
    assert results["taken"] == [2, 4]
    assert results["taken_by_text"] == 9


# ---- deferred ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["call", "map", "reduce"])
def test_a_deferred_task_gives_what_others_give(how, caplog):
    caplog.set_level(logging.INFO)
    operator = {
        "call": lambda: LithopsCallAsyncOperator(
            task_id="t", func=slow_add, data=(1, 2), deferrable=True
        ),
        "map": lambda: LithopsMapOperator(
            task_id="t", map_function=slow_add, map_iterdata=[(1, 2)], deferrable=True
        ),
        "reduce": lambda: LithopsMapReduceOperator(
            task_id="t",
            map_function=slow_add,
            map_iterdata=[(1, 2), (3, 4)],
            reduce_function=add_up,
            deferrable=True,
        ),
    }[how]()
    event = fired(deferred(operator))
    assert event["outcome"] == "done"
    expected = {"call": 3, "map": [3], "reduce": 10}[how]
    assert operator.execute_complete(context(), event) == expected


def slow_add(x, y):
    time.sleep(0.5)
    return x + y


def test_a_job_that_is_done_at_once_is_not_deferred():
    operator = LithopsMapOperator(task_id="t", map_function=add, map_iterdata=[], deferrable=True)
    assert execute(operator) == []


def test_what_calls_of_a_deferred_task_print_is_logged(gate, runs, caplog):
    def talk(number, folder, gate):
        print("line one of", number)
        print("::group::of the function")
        print("line two of", number)
        return counted(number, folder, gate)

    operator = map_of(runs, gate, deferrable=True)
    operator.map_function = talk
    trigger = deferred(operator)
    gate.unlink()
    event = fired(trigger)
    caplog.clear()
    caplog.set_level(logging.INFO)
    lines = log_of(operator, event)
    begin = next(n for n, line in enumerate(lines) if "what 3 calls have printed" in line)
    assert lines[begin].startswith("::group::Lithops job ")
    assert lines[begin + 1 : begin + 5] == [
        "call 00000 (talk): line one of 0",
        "::group::call 00000 (talk): of the function",
        "call 00000 (talk): line two of 0",
        "::endgroup::",
    ]
    assert lines[begin + 13] == "::endgroup::"


def log_of(operator, event):
    """What execute_complete() logs."""

    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    lines = []
    job = LithopsJob(logging.Logger("job"))
    job._log.addHandler(Lines())
    with job:
        job.attach(LithopsHook().attach(event["handle"]))
        job.wait()
    return lines


def test_five_hundred_triggers_have_one_thread(gate):
    def wait_for(gate):
        while os.path.exists(gate):
            time.sleep(0.01)

    with lithops.FunctionExecutor(detached=True) as fexec:
        handles = [fexec.call_async(wait_for, str(gate)).job_handle() for _ in range(500)]
    threads = threading.active_count()
    gaps, most = [], []

    async def beat():
        while True:
            begin = time.thread_time()
            await asyncio.sleep(0.01)
            gaps.append(time.thread_time() - begin)
            most.append(threading.active_count())

    async def run():
        pulse = asyncio.create_task(beat())
        triggers = [LithopsJobTrigger(handle, poll_interval=0.5) for handle in handles]
        events = [asyncio.create_task(event_of(trigger)) for trigger in triggers]
        await asyncio.sleep(2)
        assert not any(event.done() for event in events)
        gaps.clear()  # what it takes to start them is Airflow's
        await asyncio.sleep(1)
        steady = list(gaps)
        gate.unlink()
        answers = await asyncio.wait_for(asyncio.gather(*events), LIMIT_S)
        pulse.cancel()
        return steady, answers

    steady, answers = asyncio.run(run())
    assert {answer["outcome"] for answer in answers} == {"done"}
    assert max(most) <= threads + 1
    # CPU time of the loop's thread between two beats: it does nothing while nothing happens.
    assert sorted(steady)[len(steady) // 2] < 0.005
    until(lambda: watcher._thread is None)
    for handle in handles:
        detached.release(handle)


def test_a_triggerer_that_ends_leaves_the_job_alone(gate, runs):
    operator = map_of(runs, gate, deferrable=True)
    trigger = deferred(operator)

    async def begin_and_end():
        waiting = asyncio.create_task(event_of(trigger))
        await asyncio.sleep(0.2)
        waiting.cancel()  # as a triggerer that ends does: without a word
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(begin_and_end())
    assert detached.state(trigger.handle)["canceled"] == 0
    gate.unlink()
    assert operator.execute_complete(context(), fired(again(trigger))) == [0, 1, 2]
    assert count_of(runs) == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_a_user_ends_a_deferred_task(gate, runs, cancel_on_kill):
    trigger = deferred(map_of(runs, gate, deferrable=True, cancel_on_kill=cancel_on_kill))
    asyncio.run(trigger.on_kill())
    if cancel_on_kill:
        with pytest.raises(FileNotFoundError):
            detached.state(trigger.handle)
        asyncio.run(trigger.on_kill())  # and once more
    else:
        assert not detached.state(trigger.handle)["done"]
        detached.release(trigger.handle)


def test_execution_timeout_of_a_deferred_task(gate, runs):
    from datetime import timedelta

    operator = map_of(runs, gate, deferrable=True, execution_timeout=timedelta(seconds=3))
    trigger = deferred(operator)
    trigger.deadline = time.time() + 0.2
    event = fired(again(trigger))
    assert event["outcome"] == "timed_out"
    with pytest.raises(AirflowTaskTimeout, match="of 3 calls were done when execution_timeout"):
        operator.execute_complete(context(), event)


def test_a_supervisor_that_is_killed_while_a_trigger_waits(gate, runs):
    operator = map_of(runs, gate, deferrable=True)
    trigger = deferred(operator)
    until(lambda: detached.state(trigger.handle)["success"] == 1)
    for process in supervisors(trigger.handle["folder"]):
        os.kill(process, signal.SIGKILL)
    until(lambda: not detached.state(trigger.handle)["supervised"])
    gate.unlink()
    assert operator.execute_complete(context(), fired(trigger)) == [0, 1, 2]
    assert count_of(runs)[0] == 1  # what was done stays done


def test_a_job_that_is_gone(gate, runs):
    operator = map_of(runs, gate, deferrable=True)
    trigger = deferred(operator)
    detached.release(trigger.handle)
    event = fired(trigger)
    assert event["outcome"] == "lost"
    with pytest.raises(AirflowException, match="cannot be waited for: .*not there any more"):
        operator.execute_complete(context(), event)


def test_a_call_of_a_deferred_task_fails():
    operator = LithopsMapOperator(
        task_id="t",
        map_function=fail_at,
        map_iterdata=[1, 2, 3],
        extra_params={"bad": 2},
        deferrable=True,
    )
    with pytest.raises((AirflowException, TaskDeferred)) as caught:
        execute(operator)
    if isinstance(caught.value, TaskDeferred):  # it has not failed at once
        event = fired(again(caught.value.trigger))
        with pytest.raises(AirflowException) as caught:
            operator.execute_complete(context(), event)
    assert "call 00001" in str(caught.value)
    assert "(fail_at) failed: ValueError: cannot do 2" in str(caught.value)


def test_the_default_comes_from_airflow():
    code = (
        "from lithops_airflow_plugin.operators.lithops import *\n"
        "from lithops_airflow_plugin.sensors.lithops import *\n"
        "assert LithopsCallAsyncOperator(task_id='t', func=abs, data=-1).deferrable\n"
        "assert not LithopsCallAsyncOperator(task_id='t', func=abs, deferrable=False).deferrable\n"
        "assert LithopsJobSensor(task_id='t', handle={}).deferrable\n"
    )
    environ = os.environ | {"AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True"}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=LIMIT_S)
    assert not LithopsCallAsyncOperator(task_id="t", func=abs, data=-1).deferrable


# ---- durable -------------------------------------------------------------------------------------


class Deadly(Store):
    """A task state store whose process is killed when it keeps something."""

    def __init__(self, path, when):
        super().__init__(path)
        self.when = when

    def set(self, key, value):
        if self.when == "before keeping" and "handle" in value:
            os.kill(os.getpid(), signal.SIGKILL)
        super().set(key, value)
        if self.when == "before starting" or (self.when == "after keeping" and "handle" in value):
            os.kill(os.getpid(), signal.SIGKILL)


def killed(when, folder):
    """A try whose process, forked as Airflow's are, is killed."""
    child = os.fork()
    if child == 0:
        try:
            operator = map_of(folder / "runs", folder / "gate", durable=True)
            execute(operator, context(Deadly(folder / "store", when)))
        finally:
            os._exit(1)
    if when == "while waiting":
        until(lambda: 0 in count_of(folder / "runs"))
        os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize(
    "when", ["before starting", "before keeping", "after keeping", "while waiting"]
)
def test_a_retry_takes_the_job_up(when, gate, runs, tmp_path):
    killed(when, tmp_path)
    store = Store(tmp_path / "store")
    assert KEY in store
    gate.unlink()
    retry = map_of(runs, gate, durable=True)
    assert execute(retry, context(store, try_number=2)) == [0, 1, 2]
    assert count_of(runs) == {0: 1, 1: 1, 2: 1}
    assert store == {}


def test_a_deferrable_retry_takes_the_job_up(gate, runs, tmp_path):
    killed("while waiting", tmp_path)
    store = Store(tmp_path / "store")
    retry = map_of(runs, gate, durable=True, deferrable=True)
    trigger = deferred(retry, context(store, try_number=2))
    gate.unlink()
    assert retry.execute_complete(context(store, try_number=2), fired(trigger)) == [0, 1, 2]
    assert count_of(runs) == {0: 1, 1: 1, 2: 1}
    assert store == {}


def test_a_cleared_task_begins_anew(gate, runs, tmp_path):
    killed("while waiting", tmp_path)
    store = Store(tmp_path / "store")
    gate.unlink()
    operator = map_of(runs, gate, durable=True)
    # Clearing raises max_tries.
    assert execute(operator, context(store, try_number=2, max_tries=2)) == [0, 1, 2]
    assert count_of(runs)[0] == 2
    assert store == {}


def test_a_failed_job_is_not_taken_up(tmp_path):
    store = Store()
    for number in (1, 2):
        operator = LithopsMapOperator(
            task_id="t", map_function=fail_at, map_iterdata=[1], extra_params={"bad": 1}
        )
        operator.durable = True
        with pytest.raises(AirflowException, match="cannot do 1"):
            execute(operator, context(store, try_number=number))
        assert store == {}


def test_a_job_on_another_machine_is_not_begun_again(gate, runs, tmp_path):
    killed("while waiting", tmp_path)
    store = Store(tmp_path / "store")
    kept = store[KEY]["handle"]
    store[KEY]["handle"] = {**kept, "host": "elsewhere", "boot": "0" * 16}
    with pytest.raises(AirflowException, match="begun on 'elsewhere', and may run there"):
        execute(map_of(runs, gate, durable=True), context(store, try_number=2))
    detached.release(kept)


class DeadlyFile(FileStore):
    """The same of a file."""

    when = ""

    def set(self, key, value):
        super().set(key, value)
        if ("handle" in value) == (self.when == "after keeping"):
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("when", ["before starting", "after keeping"])
def test_without_a_task_state_store_a_file_keeps_the_job(when, gate, runs, monkeypatch):
    """Before Airflow 3.3."""
    monkeypatch.setattr(durable, "FileStore", DeadlyFile)
    monkeypatch.setattr(DeadlyFile, "when", when)
    child = os.fork()
    if child == 0:
        try:
            execute(map_of(runs, gate, durable=True))
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    monkeypatch.undo()
    (kept,) = kept_files()
    gate.unlink()
    other = context(try_number=2)
    other["ti"].run_id = "another"
    store = FileStore(other["ti"])
    assert store.get(KEY) is None
    assert execute(map_of(runs, gate, durable=True), context(try_number=2)) == [0, 1, 2]
    assert count_of(runs) == {0: 1, 1: 1, 2: 1}
    assert kept_files() == []


def kept_files():
    return list(Path(os.environ["XDG_STATE_HOME"], "lithops", "airflow").iterdir())


def test_a_damaged_file_keeps_nothing():
    """Nor is it in the way of others."""
    store = FileStore(Task())
    texts = ["", "{", "\0" * 64, "[]", "1", "null", "{}", json.dumps({KEY: None})]
    texts += [json.dumps({KEY: kept}) for kept in ("x", [1], {}, {"handle": 1}, {"handle": {}})]
    for text in texts:
        store.set(KEY, {"executor_id": "aaaaaa-0"})
        (path,) = kept_files()
        path.write_text(text)
        assert store.get(KEY) is None
        other = Task()
        other.run_id = "other"
        os.utime(path, (0, 0))
        FileStore(other).set(KEY, {"executor_id": "bbbbbb-0"})
        assert not path.exists()
        FileStore(other).delete(KEY)
    assert kept_files() == []


def test_where_files_are(monkeypatch):
    """Beside the jobs."""
    monkeypatch.setenv("XDG_STATE_HOME", "a/relative/one")
    monkeypatch.setenv("HOME", "/somewhere")
    assert durable._state_folder() == Path("/somewhere/.local/state")
    monkeypatch.setenv("HOME", "neither")
    assert durable._state_folder().is_absolute()
    monkeypatch.setenv("XDG_STATE_HOME", "/this")
    assert durable._state_folder() == Path("/this")


@pytest.mark.parametrize("has_handle", [True, False])
def test_files_of_jobs_that_are_there_stay(has_handle):
    """However old they are."""
    folder = Path(os.environ["XDG_STATE_HOME"], "lithops", "jobs", "cccccc-0")
    folder.mkdir(parents=True)
    old, other = FileStore(Task()), Task()
    other.run_id = "other"
    kept = {"handle": {"folder": str(folder)}} if has_handle else {"executor_id": folder.name}
    old.set(KEY, kept)
    (path,) = kept_files()
    for is_there in (True, False):
        if not is_there:
            folder.rmdir()
        os.utime(path, (0, 0))
        FileStore(other).set(KEY, {"executor_id": "bbbbbb-0"})
        assert old.get(KEY) == (kept if is_there else None)
    FileStore(other).delete(KEY)
    assert kept_files() == []


def test_files_of_tasks_that_do_not_come_back_go():
    gone, other = Task(), Task()
    gone.run_id, other.run_id = "gone", "other"
    FileStore(gone).set(KEY, {"executor_id": "aaaaaa-0"})
    (path,) = kept_files()
    FileStore(other).set(KEY, {"executor_id": "bbbbbb-0"})
    assert path.exists()
    os.utime(path, (0, 0))
    FileStore(other).set(KEY, {"executor_id": "bbbbbb-0"})
    assert not path.exists()
    FileStore(other).delete(KEY)
    assert kept_files() == []


@pytest.mark.parametrize(
    ("state", "tries", "goes_on"),
    [
        ("running", 1, True),
        ("up_for_retry", 1, True),
        ("failed", 1, False),
        ("restarting", 1, False),
        ("running", 0, False),
    ],
)
def test_who_ends_the_process(gate, runs, state, tries, goes_on):
    """A user, or the worker that ends, or the scheduler that missed a heartbeat; or there is no
    next try."""
    store = Store()
    operator = map_of(runs, gate, durable=True)

    def kill():
        until(lambda: 0 in count_of(runs))
        operator.on_kill()

    threading.Thread(target=kill).start()
    said = "the next try takes it up" if goes_on else "the Lithops job was cancelled"
    with pytest.raises(AirflowException, match=said):
        execute(operator, context(store, max_tries=tries, state=state))
    assert (KEY in store) == goes_on
    if goes_on:
        gate.unlink()
        retry = map_of(runs, gate, durable=True)
        assert execute(retry, context(store, try_number=2)) == [0, 1, 2]
        assert count_of(runs) == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize(
    ("state", "by_user"),
    [("running", False), ("up_for_retry", False), ("queued", False), ("failed", True)],
)
def test_who_ends_the_process_in_airflow_2(state, by_user):
    class OldTask:
        def current_state(self):
            return state

    assert durable.ended_by_user({"ti": OldTask()}) is by_user


def test_a_kill_that_leaves_the_job(gate, runs):
    operator = map_of(runs, gate, durable=True, cancel_on_kill=False)
    store = Store()

    def kill():
        until(lambda: 0 in count_of(runs))
        operator.on_kill()

    threading.Thread(target=kill).start()
    with pytest.raises(AirflowException, match="goes on, since cancel_on_kill is False"):
        execute(operator, context(store, state="failed"))
    handle = store[KEY]["handle"]
    assert not detached.state(handle)["done"]
    detached.release(handle)


# ---- begun by one task, taken by another ---------------------------------------------------------


def begun(**kwargs):
    return execute(
        LithopsMapOperator(
            task_id="t",
            map_function=say_and_double,
            map_iterdata=[1, 2],
            async_invoke=True,
            **kwargs,
        )
    )


def taken(handle, **kwargs):
    return execute(LithopsResultOperator(task_id="t", handle=handle, **kwargs))


def test_results_can_be_taken_more_than_once():
    handle = begun()
    assert taken(handle, release=False, deferrable=False) == [2, 4]
    assert taken(json.dumps(handle)) == [2, 4]
    with pytest.raises(FileNotFoundError, match="not there any more"):
        taken(handle)


def test_results_have_their_shape():
    handle = execute(
        LithopsMapReduceOperator(
            task_id="t",
            map_function=abs,
            map_iterdata=[-1, 2],
            reduce_function=sum,
            async_invoke=True,
        )
    )
    assert taken(handle) == 3
    handle = execute(
        LithopsCallAsyncOperator(task_id="t", func=abs, data=-1, get_result=False, durable=True),
        context(Store()),
    )
    assert taken(handle) == 1


def test_the_hook_attaches():
    futures = LithopsHook().attach(begun())
    assert futures.get_result() == [2, 4]
    detached.release(futures.handle())
    futures.executor.close()


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_sensor_waits(gate, runs, deferrable):
    handle = execute(map_of(runs, gate, async_invoke=True))
    sensor = LithopsJobSensor(
        task_id="t", handle=handle, deferrable=deferrable, poke_interval=0.1, timeout=100
    )
    if deferrable:
        trigger = deferred(sensor)
        assert trigger.cancel_on_kill is False
        gate.unlink()
        assert sensor.execute_complete(context(), fired(trigger)) == handle
    else:
        assert not sensor.poke(context()).is_done
        gate.unlink()
        assert execute(sensor) == handle
    assert taken(handle) == [0, 1, 2]


def test_a_sensor_has_a_timeout(gate, runs):
    handle = execute(map_of(runs, gate, async_invoke=True))
    sensor = LithopsJobSensor(task_id="t", handle=handle, deferrable=True, timeout=0.2)
    with pytest.raises(AirflowSensorTimeout, match="of 3 calls were done after 0.2 s"):
        sensor.execute_complete(context(), fired(deferred(sensor)))
    assert not detached.state(handle)["done"]
    detached.release(handle)


def test_a_sensor_fails_with_the_error_of_the_call():
    handle = execute(
        LithopsMapOperator(
            task_id="t",
            map_function=fail_at,
            map_iterdata=[1, 2],
            extra_params={"bad": 2},
            async_invoke=True,
        )
    )
    sensor = LithopsJobSensor(task_id="t", handle=handle, poke_interval=0.1)
    with pytest.raises(AirflowException, match="call 00001 .*cannot do 2"):
        execute(sensor)
    with pytest.raises(AirflowException, match="call 00001 .*cannot do 2"):
        taken(handle)


@pytest.mark.parametrize("handle", [None, {}, "", "none", {"jobs": []}])
def test_what_is_no_handle(handle):
    with pytest.raises(ValueError, match="handle must be"):
        taken(handle)


@pytest.mark.parametrize("transport", ["socket", "storage"])
def test_workers_that_are_reached(gate, runs, transport):
    """As on hosts, and with nothing but a storage in between."""
    config = {
        "backend": "process",
        "process": {"workers": 1, "worker_processes": 1, "transport": transport},
    }
    trigger = deferred(map_of(runs, gate, lithops_config=config, deferrable=True))
    gate.unlink()
    event = fired(trigger)
    operator = map_of(runs, gate, lithops_config=config, deferrable=True)
    assert operator.execute_complete(context(), event) == [0, 1, 2]
    assert count_of(runs) == {0: 1, 1: 1, 2: 1}
