# SPDX-License-Identifier: Apache-2.0
"""The operators' parameters: names, defaults, old spellings, and what is refused."""

import copy
import inspect
import pickle
import warnings

import pytest
from lithops_airflow_plugin._airflow import AirflowProviderDeprecationWarning
from lithops_airflow_plugin.operators.lithops import (
    LithopsCallAsyncOperator,
    LithopsMapOperator,
    LithopsMapReduceOperator,
)
from my_functions import add, add_up, count_words


def call(**kwargs):
    return LithopsCallAsyncOperator(**{"task_id": "t", "func": add} | kwargs)


def over(**kwargs):
    given = {"task_id": "t", "map_function": add, "map_iterdata": [1, 2]}
    return LithopsMapOperator(**given | kwargs)


def reduced(**kwargs):
    given = {"task_id": "t", "map_function": add, "map_iterdata": [1], "reduce_function": add_up}
    return LithopsMapReduceOperator(**given | kwargs)


COMMON = {
    "lithops_config": {},
    "async_invoke": False,
    "get_result": True,
    "clean_data": False,
    "extra_env": None,
    "runtime_memory": 256,
    "timeout": None,
    "include_modules": [],
    "exclude_modules": [],
    "lithops_conn_id": None,
}
MAP = {
    "iterdata_from_task": None,
    "extra_params": None,
    "chunk_size": None,
    "chunk_n": None,
    "remote_invocation": False,
    "invoke_pool_threads": 500,
    "chunksize": None,
    "obj_newline": "\n",
}
REDUCE = {
    "map_runtime_memory": None,
    "reduce_runtime_memory": None,
    "reducer_one_per_object": False,
    "reducer_wait_local": False,
    "extra_args_reduce": None,
}


@pytest.mark.parametrize(
    ("make", "defaults"),
    [
        (call, COMMON | {"data": {}, "data_from_task": None}),
        (over, COMMON | MAP),
        (reduced, COMMON | MAP | REDUCE),
    ],
)
def test_defaults(make, defaults):
    operator = make()
    assert {name: getattr(operator, name) for name in defaults} == defaults


def test_defaults_are_not_shared():
    one, two = call(), call()
    for name in ("lithops_config", "data", "include_modules", "exclude_modules"):
        assert getattr(one, name) is not getattr(two, name)
    for operator in (LithopsCallAsyncOperator, LithopsMapOperator, LithopsMapReduceOperator):
        for cls in operator.__mro__:
            if not cls.__module__.startswith("lithops_airflow_plugin"):
                continue
            for parameter in inspect.signature(cls.__init__).parameters.values():
                assert not isinstance(parameter.default, list | dict | set), parameter


@pytest.mark.parametrize(
    "missing",
    [
        lambda: LithopsCallAsyncOperator(task_id="t"),
        lambda: LithopsMapOperator(task_id="t", map_iterdata=[1]),
        lambda: LithopsMapOperator(task_id="t", map_function=add),
        lambda: LithopsMapReduceOperator(task_id="t", map_function=add, map_iterdata=[1]),
    ],
)
def test_mandatory(missing):
    with pytest.raises(Exception, match="func|map_function|map_iterdata|reduce_function"):
        missing()


@pytest.mark.parametrize(
    ("make", "old", "value", "new", "expected"),
    [
        (call, "config", {"backend": "localhost"}, "lithops_config", {"backend": "localhost"}),
        (call, "cloudbutton_engine_config", {"a": {}}, "lithops_config", {"a": {}}),
        (call, "pywren_executor_config", {"a": {}}, "lithops_config", {"a": {}}),
        (call, "fetch_result", False, "get_result", False),
        (call, "wait_for_result", False, "async_invoke", True),
        (call, "type", "localhost", "mode", "localhost"),
        (call, "rabbitmq_monitor", True, "monitoring", "rabbitmq"),
        (over, "remote_invoker", True, "remote_invocation", True),
        (over, "extra_args", {"y": 1}, "extra_params", {"y": 1}),
        (over, "obj_chunk_size", None, "chunk_size", None),
        (reduced, "obj_reduce_by_key", True, "reducer_one_per_object", True),
        (reduced, "extra_args", {"y": 1}, "extra_params", {"y": 1}),
    ],
)
def test_old_spelling(make, old, value, new, expected):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        operator = make(**{old: value})
    assert getattr(operator, new) == expected
    ours = [w for w in caught if issubclass(w.category, AirflowProviderDeprecationWarning)]
    assert len(ours) == 1, "one warning, not one per class"
    assert repr(old) in str(ours[0].message)
    assert repr(new) in str(ours[0].message)


def test_old_spellings_of_mandatory_parameters():
    with pytest.warns(AirflowProviderDeprecationWarning, match="'iterdata_from_task'"):
        operator = LithopsMapOperator(task_id="t", map_function=add, iterdata_form_task="other")
    assert operator.iterdata_from_task == "other"
    with pytest.warns(AirflowProviderDeprecationWarning, match="'reduce_function'"):
        operator = LithopsMapReduceOperator(
            task_id="t", map_function=add, map_iterdata=[1], reduce_funtion=add_up
        )
    assert operator.reduce_function is add_up


def test_old_spellings_of_chunks():
    with pytest.warns(AirflowProviderDeprecationWarning, match="'chunk_size'"):
        operator = over(map_function=count_words, obj_chunk_size=1 << 20)
    assert operator.chunk_size == 1 << 20
    with pytest.warns(AirflowProviderDeprecationWarning, match="'chunk_n'"):
        operator = over(map_function=count_words, obj_chunk_number=3)
    assert operator.chunk_n == 3


def test_old_spelling_in_default_args():
    with pytest.warns(AirflowProviderDeprecationWarning, match="'extra_params'"):
        operator = over(default_args={"extra_args": {"y": 5}})
    assert operator.extra_params == {"y": 5}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "conflict",
    [
        {"extra_params": {"y": 1}, "extra_args": {"y": 2}},
        {"lithops_config": {"a": {}}, "config": {"b": {}}},
        {"config": {"a": {}}, "cloudbutton_engine_config": {"b": {}}},
        {"remote_invocation": False, "remote_invoker": True},
    ],
)
def test_spellings_in_conflict(conflict):
    with pytest.raises(ValueError, match="spellings of one parameter"):
        over(**conflict)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_spellings_that_agree():
    assert over(extra_params={"y": 1}, extra_args={"y": 1}).extra_params == {"y": 1}


def test_new_spelling_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error", AirflowProviderDeprecationWarning)
        reduced(extra_params={"y": 1}, spawn_reducer=50, lithops_config={"backend": "localhost"})


def test_unknown_parameter():
    with pytest.raises(TypeError, match="extra_parms"):
        over(extra_parms={"y": 1})


def spawned_at(operator):
    return operator._arguments({})[1]["spawn_reducer"]


def test_reducer_wait_local_is_spawn_reducer_100():
    assert spawned_at(reduced()) == 20
    assert spawned_at(reduced(spawn_reducer=0)) == 0
    assert spawned_at(reduced(reducer_wait_local=True)) == 100
    assert spawned_at(reduced(reducer_wait_local=True, spawn_reducer=100)) == 100
    with pytest.raises(ValueError, match="reducer_wait_local"):
        reduced(reducer_wait_local=True, spawn_reducer=20)


def test_memory_of_map_reduce():
    def memory(**kwargs):
        arguments = reduced(**kwargs)._arguments({})[1]
        return arguments["map_runtime_memory"], arguments["reduce_runtime_memory"]

    assert memory() == (None, None)  # from the configuration
    assert memory(runtime_memory=300) == (300, 300)
    assert memory(runtime_memory=300, reduce_runtime_memory=400) == (300, 400)
    assert memory(map_runtime_memory=500) == (500, None)
    assert over()._arguments({})[1]["runtime_memory"] == 256


@pytest.mark.parametrize("misused", [{"chunk_size": 10}, {"chunk_n": 2}])
def test_bytes_are_not_items(misused):
    with pytest.raises(ValueError, match="items per call are chunksize"):
        over(**misused)


def test_items_are_not_bytes():
    with pytest.raises(ValueError, match="bytes per chunk of an object are chunk_size"):
        over(map_function=count_words, chunksize=1 << 20)
    assert over(chunksize=1 << 20).chunksize == 1 << 20  # a million items are fine


@pytest.mark.parametrize(
    "wrong", [{"map_function": "add"}, {"map_function": 3}, {"map_function": None}]
)
def test_no_function(wrong):
    with pytest.raises(TypeError, match="map_function must be a function"):
        over(**wrong)


@pytest.mark.parametrize("items", [5, 1.5, {"x": 1}, b"bytes", object()])
def test_no_list(items):
    with pytest.raises(ValueError, match="must give a list"):
        over(map_iterdata=items)._arguments({})


def test_text_of_a_list():
    with pytest.raises(ValueError, match="render_template_as_native_obj"):
        over(map_iterdata="[1, 2, 3]")._arguments({})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("s3://bucket/key", ["s3://bucket/key"]),
        ("bucket", ["bucket"]),
        ((1, 2), [1, 2]),
        (range(3), range(3)),
        (iter([1, 2]), [1, 2]),
        ({4}, [4]),
        ([], []),
    ],
)
def test_items(given, expected):
    assert over(map_iterdata=given)._arguments({})[1]["map_iterdata"] == expected


def test_both_sources():
    with pytest.raises(ValueError, match="exclude each other"):
        over(iterdata_from_task="other")
    assert over(map_iterdata=[], iterdata_from_task="other").iterdata_from_task == "other"


class Tasks:
    """A task instance, as far as operators pull from it."""

    def __init__(self, **results):
        self.results = results

    def xcom_pull(self, task_ids):
        return self.results[task_ids]


def pulled(operator, **results):
    return operator._arguments({"ti": Tasks(**results)})[1]


def test_data_from_task():
    operator = call(data={"x": 4}, data_from_task={"y": "other"})
    assert pulled(operator, other=5)["data"] == {"x": 4, "y": 5}
    assert pulled(operator, other=None)["data"] == {"x": 4, "y": None}
    assert operator.data == {"x": 4}
    operator = call(data=[1], data_from_task={"y": "other"})
    assert pulled(operator, other=5)["data"] == [1, 5]
    assert operator.data == [1]
    with pytest.raises(ValueError, match="dict or a list, not a int"):
        pulled(call(data=7, data_from_task={"y": "other"}), other=5)


def test_iterdata_from_task():
    def source(value):
        return over(map_iterdata=None, iterdata_from_task=value)

    assert pulled(source("a"), a=[1, 2])["map_iterdata"] == [1, 2]
    assert pulled(source({"x": "a"}), a=[1, 2])["map_iterdata"] == [{"x": 1}, {"x": 2}]
    zipped = pulled(source({"x": "a", "y": "b"}), a=[1, 2], b=[3, 4])["map_iterdata"]
    assert zipped == [{"x": 1, "y": 3}, {"x": 2, "y": 4}]
    with pytest.raises(ValueError, match="different lengths"):
        pulled(source({"x": "a", "y": "b"}), a=[1, 2], b=[3])
    with pytest.raises(ValueError, match="task 'a' must give a list, not a NoneType"):
        pulled(source("a"), a=None)


def test_operators_are_copied_and_pickled():
    operator = reduced(extra_params={"y": 1})
    for twin in (copy.deepcopy(operator), pickle.loads(pickle.dumps(operator))):
        assert twin.map_function is add
        assert twin.extra_params == {"y": 1}
