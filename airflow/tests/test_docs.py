# SPDX-License-Identifier: Apache-2.0
"""Each example of the pages on Airflow: it is run, and its tasks give what their comments say."""

import ast
import re
from pathlib import Path

import pytest
from conftest import BUNDLES

PAGE = Path(__file__).parents[2] / "docs" / "airflow.md"
TUTORIAL = PAGE.parent / "tutorials" / "airflow.md"
EXAMPLES = [
    example
    for page in (PAGE, TUTORIAL)
    for example in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(number, run_dag):
    example = EXAMPLES[number]
    said = re.findall(r"# (\w+) gives (.+)$", example, re.MULTILINE)
    assert said
    name = f"example_{number}"
    (BUNDLES["documentation"] / f"{name}.py").write_text(example)
    results = run_dag("documentation", name)
    for task_id, value in said:
        expected = ast.literal_eval(value)
        if task_id not in results:  # a task for each item
            results[task_id] = [results[task_id, index] for index in range(len(expected))]
        assert results[task_id] == expected, task_id


def test_every_parameter_is_on_the_page():
    import inspect

    from lithops_airflow_plugin import spellings
    from lithops_airflow_plugin.operators import lithops
    from lithops_airflow_plugin.sensors.lithops import LithopsJobSensor

    words = set(re.findall(r"`(\w+)[`=]", PAGE.read_text()))
    for operator in (
        lithops.LithopsOperator,
        lithops.LithopsCallAsyncOperator,
        lithops.LithopsMapOperator,
        lithops.LithopsMapReduceOperator,
        lithops.LithopsResultOperator,
        LithopsJobSensor,
    ):
        for cls in operator.__mro__[:-1]:
            if cls.__module__.startswith("lithops_airflow_plugin."):
                assert set(inspect.signature(cls.__init__).parameters) - {"self", "kwargs"} <= words
    assert set(spellings.MAP_REDUCE) <= words
