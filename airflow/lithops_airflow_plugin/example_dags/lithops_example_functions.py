# SPDX-License-Identifier: Apache-2.0
"""What the tasks of the example DAGs run in worker processes of Lithops."""

from typing import Any


def add_num(a: int, b: int) -> int:
    """a + b"""
    return a + b


def mul_num(a: int, b: int) -> int:
    """a * b"""
    return a * b


def sum_list(results: list[int]) -> int:
    """The sum of what the calls of the map have given."""
    return sum(results)


def count_words(obj: Any) -> int:
    """The words of one chunk of an object."""
    return sum(len(line.split()) for line in obj.data_stream)
