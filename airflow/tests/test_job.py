# SPDX-License-Identifier: Apache-2.0
"""One job: what it logs, and how it ends when it is cancelled in the midst of anything."""

import logging
import os
import signal
import threading
import time

import lithops
import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from lithops_airflow_plugin import job as job_module
from lithops_airflow_plugin.job import LithopsJob
from my_functions import Sleepers


@pytest.fixture
def lines():
    """What was logged through `log_of(lines)`."""
    return []


@pytest.fixture
def job(lines):
    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    log = logging.Logger("job")
    log.addHandler(Lines())
    with LithopsJob(log) as job:
        yield job


def start(job, function, items, **arguments):
    job.submit(
        lithops.FunctionExecutor, "map", map_function=function, map_iterdata=items, **arguments
    )


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_progress(job, lines, monkeypatch, tmp_path):
    def wait_for(path):
        while not os.path.exists(path):
            time.sleep(0.01)

    monkeypatch.setattr(job_module, "PROGRESS_S", 0.0)
    start(job, wait_for, ["/", "/", str(tmp_path / "go")])
    until(lambda: job.poll(0.01) is False and "M000 2 of 3 calls done, after " in lines[-1])
    (tmp_path / "go").touch()
    job.wait()
    assert job.fetch() == [None, None, None]
    executor_id = job.identity["executor_id"]
    assert lines[0] == f"Lithops job {executor_id}-M000: 3 calls of wait_for"
    assert lines[-1].startswith(f"Lithops job {executor_id}: M000 3 of 3 calls done, after ")


def test_every_failed_call_is_logged(job, lines):
    def fail(x):
        print("about to fail")
        if x % 2:
            raise KeyError(x)

    start(job, fail, [0, 1])
    with pytest.raises(AirflowException, match=r"call 00001 .* \(fail\) failed: KeyError: 1"):
        job.wait()
    text = "\n".join(lines)
    assert "call 00001" in text
    assert "about to fail" in text
    assert "Traceback" in text


def test_what_calls_print_is_logged_in_their_order(job, lines):
    def talk(x):
        print("line", x)
        if x == 1:
            time.sleep(0.3)

    start(job, talk, range(4))
    job.wait()
    begin = lines.index(
        f"::group::Lithops job {job.identity['executor_id']}: what 4 calls have printed"
    )
    assert lines[begin + 1 : begin + 6] == [
        *(f"call 0000{n} (talk): line {n}" for n in range(4)),
        "::endgroup::",
    ]


def test_groups_of_a_function_end_with_it(job, lines):
    def talk():
        print("before")
        print("::group::inner")
        print("within")
        print("::endgroup::\n::endgroup::")
        print("::group::left open")

    job.submit(lithops.FunctionExecutor, "call_async", func=talk, data={})
    job.wait()
    begin = next(n for n, line in enumerate(lines) if "what 1 calls have printed" in line)
    assert lines[begin + 1 : begin + 8] == [
        "call 00000 (talk): before",
        "::group::call 00000 (talk): inner",
        "call 00000 (talk): within",
        "::endgroup::",
        "::group::call 00000 (talk): left open",
        "::endgroup::",
        "::endgroup::",
    ]


def test_a_call_that_prints_is_heard_before_all_are_done(job, lines, monkeypatch, tmp_path):
    monkeypatch.setattr(job_module, "PROGRESS_S", 0.0)
    go = tmp_path / "go"

    def talk(x):
        print("early", x)
        while x and not go.exists():
            time.sleep(0.01)

    start(job, talk, [0, 1])
    deadline = time.monotonic() + 20
    while not any("early 0" in line for line in lines):
        assert not job.poll(0.05)
        assert time.monotonic() < deadline
    go.touch()
    job.wait()
    text = "\n".join(lines)
    assert (text.count("early 0"), text.count("early 1")) == (1, 1)


def test_output_in_the_log_has_a_bound(job, lines, monkeypatch):
    monkeypatch.setattr(job_module, "OUTPUT_OF_CALL", 100)
    monkeypatch.setattr(job_module, "OUTPUT_OF_JOB", 250)

    def talk(x):
        print("x" * 199 + f" end of {x}")

    start(job, talk, range(6))
    job.wait()
    printed = [line for line in lines if line.startswith("call ")]
    assert len(printed) == 3
    assert all(len(line) < 250 for line in printed)
    left_out = "call 00000 (talk): ... (108 characters before this are left out)"
    assert printed[0].startswith(f"{left_out}\ncall 00000 (talk): xxx")
    assert printed[0].endswith("x end of 0")
    (said,) = [line for line in lines if "left out of this log" in line]
    assert f"`lithops logs {job.identity['executor_id']}`" in said


def test_a_crash_is_logged_once(job, lines):
    def crash():
        print("last words")
        os.abort()

    job.submit(lithops.FunctionExecutor, "call_async", func=crash, data={})
    with pytest.raises(AirflowException, match="the function crashed: Aborted"):
        job.wait()
    text = "\n".join(lines)
    assert text.count("last words") == text.count("Fatal Python error") == 1
    assert text.count("in crash") == 1


def test_a_long_traceback_is_whole(job, lines):
    def fail():
        raise ValueError("x" * 20_000)

    job.submit(lithops.FunctionExecutor, "call_async", func=fail, data={})
    with pytest.raises(AirflowException):
        job.wait()
    (text,) = [line for line in lines if "traceback:" in line]
    assert "traceback:\nTraceback (most recent call last):" in text
    assert text.endswith("x" * 20_000)


def test_what_a_call_had_printed_when_it_was_cut_short(job, lines, tmp_path):
    def talk(path):
        print("so far")
        open(path, "w").close()
        time.sleep(60)

    job.submit(lithops.FunctionExecutor, "call_async", func=talk, data=(str(tmp_path / "said"),))
    until((tmp_path / "said").exists)
    job.close()
    assert any(line.endswith("): so far") for line in lines)


@pytest.mark.parametrize(
    ("errors", "raised"),
    [
        ((AirflowSkipException, ValueError), AirflowException),
        ((AirflowSkipException, AirflowFailException, ValueError), AirflowFailException),
        ((AirflowSkipException, AirflowSkipException), AirflowSkipException),
    ],
)
def test_which_of_several_errors_decides(job, lines, errors, raised):
    def fail(error):
        raise error("said")

    start(job, fail, list(errors))
    lithops.wait(job._futures, throw_except=False)
    with pytest.raises(AirflowException) as caught:
        job.wait()
    assert caught.type is raised
    skips = [line for line in lines if "(fail) skips the task: said" in line]
    assert len(skips) == errors.count(AirflowSkipException)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, AirflowTaskTimeout])
def test_functions_do_not_end_the_task_by_exceptions_of_its_own(job, kind):
    def fail():
        raise kind("said by a function")

    job.submit(lithops.FunctionExecutor, "call_async", func=fail, data={})
    with pytest.raises(AirflowException, match=r"\(fail\) failed: .*said by a function"):
        job.wait()


def test_many_errors_are_counted(job, lines):
    def fail(x):
        raise KeyError(x)

    start(job, fail, range(100))
    lithops.wait(job._futures, throw_except=False)
    with pytest.raises(AirflowException, match=r"\(and 99 more calls\)"):
        job.wait()
    assert "... and 80 more calls failed" in lines


def test_a_failure_ends_the_wait_at_once(job):
    def fail_or_sleep(x):
        if x == 0:
            raise ValueError("no")
        time.sleep(60)

    start(job, fail_or_sleep, [0, 1])
    begin = time.monotonic()
    with pytest.raises(AirflowException, match="ValueError: no"):
        job.wait()
    assert time.monotonic() - begin < 10


def test_an_error_of_several_lines(job):
    def fail():
        raise ValueError("first\nsecond")

    job.submit(lithops.FunctionExecutor, "call_async", func=fail, data={})
    with pytest.raises(AirflowException, match="ValueError: first$"):
        job.wait()


def test_an_error_that_cannot_be_pickled(job):
    def fail():
        class Local(Exception):
            def __reduce__(self):
                raise TypeError("never")

        raise Local("odd")

    job.submit(lithops.FunctionExecutor, "call_async", func=fail, data={})
    with pytest.raises(AirflowException, match="odd"):
        job.wait()


def test_cancel_from_another_thread_leaves_no_process(job, tmp_path):
    sleepers = Sleepers(tmp_path)
    start(job, sleepers, range(100))
    until(sleepers.pids)
    threading.Timer(0.1, job.cancel).start()
    begin = time.monotonic()
    with pytest.raises(AirflowException, match="cancelled"):
        job.wait()
    assert time.monotonic() - begin < 10
    job.close()
    until(lambda: not any(alive(pid) for pid in sleepers.pids()))


def test_cancel_from_a_signal_handler(job, tmp_path):
    sleepers = Sleepers(tmp_path)
    start(job, sleepers, range(4))
    until(sleepers.pids)
    before = signal.signal(signal.SIGUSR1, lambda *_: job.cancel())
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(AirflowException, match="cancelled"):
            job.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_cancel_before_and_after(job):
    job.cancel()
    with pytest.raises(AirflowException, match="cancelled"):
        start(job, abs, [1])
    job.close()
    job.cancel()
    job.close()


def test_alarms_are_not_touched(job):
    fired = []
    before = signal.signal(signal.SIGALRM, lambda *_: fired.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        start(job, time.sleep, [0.6], timeout=30)
        job.wait()
        assert job.fetch() == [None]
        assert fired == [1]
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_alarm_that_raises_ends_the_wait(job, tmp_path):
    class Late(BaseException):
        pass

    def late(*_):
        raise Late

    sleepers = Sleepers(tmp_path)
    before = signal.signal(signal.SIGALRM, late)
    try:
        start(job, sleepers, range(2))
        until(sleepers.pids)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Late):
            job.wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    job.close()
    until(lambda: not any(alive(pid) for pid in sleepers.pids()))


def test_nothing_to_draw():
    assert LithopsJob(logging.getLogger()).picture() is None
