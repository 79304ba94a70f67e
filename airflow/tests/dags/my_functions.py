# SPDX-License-Identifier: Apache-2.0
"""Functions of a module beside the DAG files, as users keep them."""


def add(x, y):
    return x + y


def mult_array(results):
    product = 1
    for result in results:
        product *= result
    return product


def fail_at(x, bad):
    if x == bad:
        raise ValueError(f"cannot do {x}")
    return x


def count_words(obj):
    return sum(len(line.split()) for line in obj.data_stream)


def add_up(results):
    return sum(results)
