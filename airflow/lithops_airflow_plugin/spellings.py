# SPDX-License-Identifier: Apache-2.0
"""Old spellings of the operators' parameters, and what they are called now.

A table per operator maps an old name to the new one and, where the meaning was turned round, to a
function for the value. `renamed()` is called before an operator's `__init__` sees anything.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lithops_airflow_plugin._airflow import AirflowProviderDeprecationWarning


class Spelling(NamedTuple):
    """What an old parameter is called now."""

    name: str
    convert: Callable[[Any], Any] | None = None


COMMON: dict[str, Spelling] = {
    "config": Spelling("lithops_config"),
    "cloudbutton_engine_config": Spelling("lithops_config"),
    "pywren_executor_config": Spelling("lithops_config"),
    "type": Spelling("mode"),
    "rabbitmq_monitor": Spelling("monitoring", lambda value: "rabbitmq" if value else None),
    "fetch_result": Spelling("get_result"),
    "wait_for_result": Spelling("async_invoke", lambda value: not value),
    "remote_invoker": Spelling("remote_invocation"),
}

MAP: dict[str, Spelling] = COMMON | {
    "iterdata_form_task": Spelling("iterdata_from_task"),
    "extra_args": Spelling("extra_params"),
    "obj_chunk_size": Spelling("chunk_size"),
    "obj_chunk_number": Spelling("chunk_n"),
}

MAP_REDUCE: dict[str, Spelling] = MAP | {
    "reduce_funtion": Spelling("reduce_function"),
    "obj_reduce_by_key": Spelling("reducer_one_per_object"),
}


def renamed(
    operator: str, table: Mapping[str, Spelling], given: dict[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments `given` to an operator, under their new names.

    An old name in the DAG's `default_args` counts where the argument is not given under any name.

    :param operator: name of the operator's class, for messages
    :raises ValueError: two spellings of one parameter have different values
    """
    new = {name: value for name, value in given.items() if name not in table}
    first = {name: name for name in new}  # how each parameter was spelled first
    for source in (given, defaults):
        late = set(new) if source is defaults else set()
        for old, (name, convert) in table.items():
            if old not in source or name in late:
                continue
            value = convert(source[old]) if convert else source[old]
            warnings.warn(
                f"{operator}: parameter {old!r} is deprecated, say {name!r}",
                AirflowProviderDeprecationWarning,
                stacklevel=4,
            )
            if name in new and not _same(new[name], value):
                raise ValueError(
                    f"{operator}: {first[name]!r} and {old!r} are spellings of one parameter, but "
                    f"have different values; give {name!r} alone"
                )
            new[name] = value
            first.setdefault(name, old)
    return new


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return bool(a == b)
    except Exception:  # arrays, whose comparison is not one answer
        return False
