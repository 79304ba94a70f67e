# SPDX-License-Identifier: Apache-2.0
"""Operators and decorators in DAGs that run in this process, on the real engine: dag.test()."""

import copy
import json
import os
import time

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from lithops_airflow_plugin.operators.lithops import (
    LithopsCallAsyncOperator,
    LithopsMapOperator,
    LithopsMapReduceOperator,
)
from my_functions import add, add_up, count_words, fail_at, mult_array, shifted


class Tasks:
    """A task instance, as far as execute() asks one."""

    def __init__(self):
        self.pushed = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value


def run(operator):
    """execute(), as Airflow calls it."""
    ti = Tasks()
    with DAG("alone", schedule=None) as dag:
        dag.add_task(operator)
    return operator.execute.__wrapped__(operator, {"ti": ti}), ti.pushed


def test_examples_of_the_table(run_dag):
    results = run_dag("tests", "operators")
    assert results["add_task_1"] == 4
    assert results["add_task_2"] == 8
    assert results["map_task"] == [2, 3, 4]
    assert results["mapreduce_task"] == 24
    assert results["thousand"] == list(range(1, 1001))
    (job,) = results["identity"]["jobs"]
    assert (job["job_id"], job["function"], job["calls"]) == ("A000", "add", 1)
    assert job["job_key"] == f"{results['identity']['executor_id']}-A000"


def test_example_dags(run_dag):
    results = run_dag("examples", "lithops_example")
    assert results["add_num"] == results["gen_number"] + 7
    assert results["mult_num_map"] == [n * 10 for n in results["gen_list"]]
    assert results["map_reduce"] == sum(n * 20 for n in results["gen_list"])
    results = run_dag("examples", "lithops_example_taskflow")
    assert results["report"].endswith(f": the largest is {(999 + 100) * 2}")
    results = run_dag("examples", "lithops_example_objects")
    assert results["count_words"] == 30000
    assert results["count_words_of_each"] == [5000, 10000, 15000]
    results = run_dag("examples", "lithops_example_detached")
    assert results["deferred"] == sum(range(0, 200, 2))
    assert results["durable"] == [3 * n for n in range(100)]
    assert results["results"] == [4 * n for n in range(100)]


def test_templates_xcomargs_and_expand(run_dag):
    results = run_dag("tests", "templates")
    assert results["first"] == [6, 7]
    assert results["second"] == "templates/x"
    assert results["third"] == 13
    assert [results["each", 0], results["each", 1]] == [7, 8]
    assert results["gathered"] == results["output"] == [17, 18]
    assert [results["lists", 0], results["lists", 1]] == [[11, 12], [13]]


def test_decorators(run_dag):
    results = run_dag("tests", "decorators")
    assert results["one"][0] == 13
    assert results["one"][1].startswith("manual__")
    assert results["many"] == [6, 12, 18]
    assert results["reduced"] == 14
    assert results["high"][0] == 18 + 12
    assert [results["each", n][0] for n in range(3)] == [16, 22, 28]
    assert [results["lists", n] for n in range(2)] == [[3], [6, 9]]
    assert results["with_storage"] == "body"


def test_decorators_check_their_arguments():
    with DAG("wrong", schedule=None):

        @task.lithops
        def f(x):
            return x

        with pytest.raises(TypeError):
            f()
        with pytest.raises(TypeError):
            f(1, 2)

        @task.lithops_map_reduce
        def g(x):
            return x

        with pytest.raises(TypeError, match="reduce_function"):
            g([1])


def test_attributes_never_change():
    operator = LithopsMapOperator(
        task_id="same",
        map_function=add,
        map_iterdata=[1, 2],
        extra_params={"y": 1},
        lithops_config={"log_level": "warning"},
    )
    before = {
        name: (id(value), copy.copy(value))
        for name, value in vars(operator).items()
        if name not in ("dag", "_dag", "task_group")
    }
    for _ in range(2):
        assert operator.execute.__wrapped__(operator, {"ti": Tasks()}) == [2, 3]
    after = vars(operator)
    assert set(after) >= set(before)
    for name, (identity, value) in before.items():
        assert id(after[name]) == identity, name
        if isinstance(value, list | dict | tuple | str | int):
            assert after[name] == value, name


def test_get_result_false_waits(tmp_path):
    def touch(path):
        time.sleep(0.5)
        open(path, "w").close()

    operator = LithopsCallAsyncOperator(
        task_id="t", func=touch, data=(str(tmp_path / "done"),), get_result=False
    )
    identity, _ = run(operator)
    assert (tmp_path / "done").exists()
    assert json.loads(json.dumps(identity)) == identity
    assert identity["jobs"][0]["calls"] == 1


def test_async_invoke_does_not_wait():
    operator = LithopsMapOperator(
        task_id="t", map_function=time.sleep, map_iterdata=[20, 20], async_invoke=True
    )
    start = time.monotonic()
    identity, _ = run(operator)
    assert time.monotonic() - start < 10
    assert identity["jobs"][0]["job_id"] == "M000"
    assert identity["jobs"][0]["calls"] == 2
    operator.on_kill()


def test_identity_of_map_reduce():
    identity, _ = run(
        LithopsMapReduceOperator(
            task_id="t",
            map_function=abs,
            map_iterdata=[-1, 2],
            reduce_function=add_up,
            get_result=False,
        )
    )
    assert [(job["job_id"][0], job["calls"]) for job in identity["jobs"]] == [("M", 2), ("R", 1)]


def test_an_error_names_the_call():
    operator = LithopsMapOperator(
        task_id="t", map_function=fail_at, map_iterdata=[1, 2, 3], extra_params={"bad": 3}
    )
    with pytest.raises(AirflowException) as caught:
        run(operator)
    assert "call 00002 of Lithops job" in str(caught.value)
    assert "-M000 (fail_at)" in str(caught.value)
    assert "ValueError: cannot do 3" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_a_function_says_to_airflow():
    def skip(x):
        raise AirflowSkipException(f"nothing to do for {x}")

    with pytest.raises(AirflowSkipException, match="nothing to do for 1"):
        run(LithopsCallAsyncOperator(task_id="t", func=skip, data=(1,)))


def test_include_modules_that_are_not_there():
    operator = LithopsMapOperator(
        task_id="t", map_function=abs, map_iterdata=[1], include_modules=["nothere"]
    )
    with pytest.raises(ValueError, match="include_modules names 'nothere'"):
        run(operator)


def test_numbers_may_be_text():
    """A template makes text of all that it renders."""
    reduced = LithopsMapReduceOperator(
        task_id="t",
        map_function=abs,
        map_iterdata=[-1, 2],
        reduce_function=sum,
        runtime_memory="512",
        map_runtime_memory=" 300 ",
        spawn_reducer="50",
        timeout="1.5",
        chunksize="None",
        activation_retries="2",
    )
    method, arguments = reduced._arguments({})
    assert (arguments["map_runtime_memory"], arguments["spawn_reducer"]) == (300, 50)
    assert (arguments["reduce_runtime_memory"], arguments["chunksize"]) == (512, None)
    assert reduced._common_arguments()["timeout"] == 1.5
    assert run(reduced)[0] == 3
    operator = LithopsCallAsyncOperator(task_id="t", func=abs, data=(-1,), timeout="soon")
    with pytest.raises(ValueError, match="timeout must be a number, but is 'soon'"):
        run(operator)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("['json', 'csv']", ["json", "csv"]),
        ('["json"]', ["json"]),
        ("json, csv", ["json", "csv"]),
        ("json", ["json"]),
        ("", []),
        ("None", None),
        ("null", None),
    ],
)
def test_names_may_be_text(text, names):
    operator = LithopsMapOperator(
        task_id="t", map_function=abs, map_iterdata=[1], include_modules=text, exclude_modules=text
    )
    common = operator._common_arguments()
    assert common["include_modules"] == common["exclude_modules"] == names


@pytest.mark.parametrize("text", ["{'A': 'x'}", '{"A": "x"}'])
def test_mappings_may_be_text(text):
    def look():
        return os.environ["A"], os.environ["A"]

    config = text.replace("A", "localhost").replace("'x'", "{}").replace('"x"', "{}")
    operator = LithopsCallAsyncOperator(
        task_id="t", func=look, extra_env=text, lithops_config=config
    )
    assert run(operator)[0] == ("x", "x")
    operator = LithopsCallAsyncOperator(task_id="t", func=look, extra_env="A=x")
    with pytest.raises(ValueError, match="extra_env must be a mapping, but is 'A=x'"):
        run(operator)


def test_a_dead_worker_process_is_named():
    def die(x):
        if x == 1:
            os.kill(os.getpid(), 9)
        return x

    with pytest.raises(AirflowException, match=r"call 00001 .*\(die\) failed: .*(SIGKILL|9|died)"):
        run(LithopsMapOperator(task_id="t", map_function=die, map_iterdata=[0, 1, 2]))


def test_limits_of_a_call():
    with pytest.raises(AirflowException, match="TimeoutError"):
        run(LithopsCallAsyncOperator(task_id="t", func=time.sleep, data=(60,), timeout=1))

    def hog():
        return len(bytearray(b"x") * (1 << 30))

    with pytest.raises(AirflowException, match="MemoryError"):
        run(LithopsCallAsyncOperator(task_id="t", func=hog))


def test_retries_of_calls(tmp_path):
    def at_last(path):
        with open(path, "a") as tries:
            tries.write("x")
        if os.path.getsize(path) < 3:
            raise OSError("not yet")
        return os.path.getsize(path)

    operator = LithopsCallAsyncOperator(
        task_id="t", func=at_last, data=(str(tmp_path / "tries"),), activation_retries=5
    )
    assert run(operator)[0] == 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"lithops": {"strict": True}, "localhost": {"worker_proceses": 4}}, "worker_processes"),
        ({"backend": "no_such_backend"}, "no_such_backend"),
        ({"localhost": {"runtime_memory": "lots"}}, "runtime_memory"),
        ({"config": [1]}, "must be an object"),
    ],
)
def test_a_config_error_is_one_clear_line(config, message):
    operator = LithopsCallAsyncOperator(task_id="t", func=abs, data=(-1,), lithops_config=config)
    with pytest.raises(Exception, match=message) as caught:
        run(operator)
    assert not isinstance(caught.value, AttributeError | KeyError | NameError)


def test_configuration_reaches_the_engine():
    operator = LithopsCallAsyncOperator(
        task_id="t",
        func=abs,
        data=(-1,),
        lithops_config={"localhost": {"worker_processes": 1}, "log_level": "warning"},
        backend="localhost",
        clean_data=True,
    )
    assert run(operator)[0] == 1


def test_timeline_picture_is_left():
    import base64

    _, pushed = run(LithopsMapOperator(task_id="t", map_function=shifted, map_iterdata=[1, 2]))
    (picture,) = pushed.values()
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    quiet = LithopsMapOperator(
        task_id="t", map_function=shifted, map_iterdata=[1, 2], do_xcom_push=False
    )
    assert run(quiet)[1] == {}


def test_the_link_is_there_where_a_picture_is():
    from lithops_airflow_plugin.links import LithopsTimelineLink

    class Key:
        dag_id, run_id, task_id, map_index = "d", "r", "t", 3

    def link(**kwargs):
        operator = LithopsMapOperator(
            **{"task_id": "t", "map_function": abs, "map_iterdata": [1]} | kwargs
        )
        assert LithopsTimelineLink().get_link(operator, ti_key=Key) == ""
        try:
            run(operator)
        except (AirflowException, ValueError):
            pass
        return LithopsTimelineLink().get_link(operator, ti_key=Key)

    assert link().endswith("/lithops/timeline?dag_id=d&run_id=r&task_id=t&map_index=3")
    assert link(do_xcom_push=False) == ""
    assert link(async_invoke=True) == ""
    assert link(lithops_config={"config": [1]}) == ""


def test_cloudobjects_are_named_by_uri():
    def store(x, storage):
        return {"made": [storage.put_cloudobject(b"x" * x, "objects", f"n{x}")], "x": x}

    results, _ = run(LithopsMapOperator(task_id="t", map_function=store, map_iterdata=[1, 2]))
    assert results == [
        {"made": ["localhost://objects/n1"], "x": 1},
        {"made": ["localhost://objects/n2"], "x": 2},
    ]


def test_results_of_map_reduce_per_object():
    from lithops import Storage

    storage = Storage()
    storage.put_object("per-object", "a", b"one two\n" * 10)

    def reduced(**kwargs):
        return run(
            LithopsMapReduceOperator(
                task_id="t",
                map_function=count_words,
                map_iterdata=f"{storage.backend}://per-object/",
                reduce_function=add_up,
                **kwargs,
            )
        )[0]

    assert reduced() == 20
    assert reduced(reducer_one_per_object=True) == [20]  # a list for one object too
    assert reduced(chunk_size=16, spawn_reducer=0) == 20


def test_reducers_arguments():
    def reduce(results, offset):
        return sum(results) + offset

    assert (
        run(
            LithopsMapReduceOperator(
                task_id="t",
                map_function=mult_array,
                map_iterdata=[[1, 2], [3, 4]],
                reduce_function=reduce,
                extra_args_reduce={"offset": 100},
                reducer_wait_local=True,
            )
        )[0]
        == 114
    )


def test_empty_map():
    assert run(LithopsMapOperator(task_id="t", map_function=shifted, map_iterdata=[]))[0] == []
