# SPDX-License-Identifier: Apache-2.0
"""OpenLineage: the objects that a task has read and made."""

import pytest
from lithops_airflow_plugin import lineage
from lithops_airflow_plugin.operators.lithops import LithopsCallAsyncOperator, LithopsMapOperator
from my_functions import add, count_words
from test_operators import run


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("aws_s3://bucket/a/b.csv", ("s3://bucket", "a/b.csv")),
        ("s3://bucket", ("s3://bucket", "/")),
        ("gcp_storage://bucket/key", ("gs://bucket", "key")),
        ("localhost://bucket/key", ("localhost://bucket", "key")),
        ("bucket/key", ("lithops://bucket", "key")),
        ("https://host:80/path/x.csv", ("https://host:80", "path/x.csv")),
        ("/data/x.csv", ("file", "/data/x.csv")),
    ],
)
def test_dataset(uri, expected):
    assert lineage.dataset(uri) == expected


def names(datasets):
    return [(dataset.namespace, dataset.name) for dataset in datasets]


def test_what_a_job_has_read_and_made():
    pytest.importorskip("airflow.providers.openlineage")
    from lithops import Storage

    storage = Storage()
    storage.put_object("lineage", "in", b"one two\n")

    def copied(obj, storage):
        return storage.put_cloudobject(obj.data_stream.read(), "lineage", "out")

    operator = LithopsMapOperator(
        task_id="t", map_function=copied, map_iterdata=["localhost://lineage/in"]
    )
    start = operator.get_openlineage_facets_on_start()
    assert names(start.inputs) == [("localhost://lineage", "in")]
    assert names(start.outputs) == []
    run(operator)
    complete = operator.get_openlineage_facets_on_complete(None)
    assert names(complete.inputs) == [("localhost://lineage", "in")]
    assert names(complete.outputs) == [("localhost://lineage", "out")]


def test_plain_data_has_no_lineage():
    pytest.importorskip("airflow.providers.openlineage")
    for operator in (
        LithopsMapOperator(task_id="t", map_function=add, map_iterdata=["s3://not/read"]),
        LithopsCallAsyncOperator(task_id="t", func=add, data={"x": "s3://not/read"}),
    ):
        assert names(operator.get_openlineage_facets_on_start().inputs) == []
    operator = LithopsCallAsyncOperator(task_id="t", func=count_words, data={"obj": "b/k"})
    assert names(operator.get_openlineage_facets_on_failure(None).inputs) == [("lithops://b", "k")]
