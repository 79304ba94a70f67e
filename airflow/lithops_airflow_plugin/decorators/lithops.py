# SPDX-License-Identifier: Apache-2.0
"""@task.lithops, @task.lithops_map and @task.lithops_map_reduce: the operators as decorators.

The decorated function runs in worker processes of Lithops. Its arguments are those of the task's
call, `@task.lithops_map` and `@task.lithops_map_reduce` map over the first of them:

    @task.lithops_map
    def add(x, y):
        return x + y

    add([1, 2, 3], y=1)     # [2, 3, 4]

A parameter that is named after a value of Airflow's context (`ds`, `run_id`, ...) and not given
gets it, where that value is plain: text, a number, a date. Parameters that Lithops fills (`id`,
`storage`, `rabbitmq`, `ibm_cos`) come last and are not given.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Any, ClassVar

from lithops_airflow_plugin._airflow import DecoratedOperator, task_decorator_factory
from lithops_airflow_plugin.operators.lithops import (
    _REDUCER,
    _SIZES,
    LithopsCallAsyncOperator,
    LithopsMapOperator,
    LithopsMapReduceOperator,
    LithopsOperator,
)

_FILLED_BY_LITHOPS = ("id", "storage", "rabbitmq", "ibm_cos")


class _Decorated(LithopsOperator, DecoratedOperator):
    """The arguments of a decorated function; which operator it is, is the subclass's other base."""

    template_fields = (*LithopsOperator.template_fields, *DecoratedOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **LithopsOperator.template_fields_renderers,
        "op_args": "py",
        "op_kwargs": "py",
    }

    def __init__(
        self,
        *,
        python_callable: Callable,
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # Airflow checks that all parameters are given.
        parameters = inspect.signature(python_callable).parameters
        filled = {name: None for name in _FILLED_BY_LITHOPS if name in parameters}
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs={**filled, **(op_kwargs or {})},
            **kwargs,
        )

    def _bound(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name, in the order of the parameters."""
        signature = inspect.signature(self.python_callable)
        bound = signature.bind_partial(*self.op_args, **self.op_kwargs).arguments
        named: dict[str, Any] = {}
        for name, parameter in signature.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise TypeError(
                    f"{self.custom_operator_name}: arguments travel by name, so "
                    f"{self.python_callable.__name__}() cannot have the parameter {parameter}"
                )
            if parameter.kind == parameter.VAR_KEYWORD:
                named |= bound.get(name, {})
            elif name in _FILLED_BY_LITHOPS and bound.get(name) is None:
                continue
            elif name in bound:
                named[name] = bound[name]
            elif isinstance(context.get(name), str | int | float | date):
                named[name] = context[name]
        return named


class _LithopsDecorated(_Decorated, LithopsCallAsyncOperator):
    custom_operator_name = "@task.lithops"
    shallow_copy_attrs = ("python_callable", "func")

    def __init__(self, *, python_callable: Callable, **kwargs: Any) -> None:
        super().__init__(python_callable=python_callable, func=python_callable, **kwargs)

    def _arguments(self, context: Any) -> tuple[str, dict[str, Any]]:
        method, arguments = super()._arguments(context)
        return method, arguments | {"data": self._bound(context)}


class _MappedDecorated(_Decorated):
    """A decorated function that is mapped over its first argument."""

    # What the decorated function is given takes the place of the operator's own data.
    template_fields = (*_Decorated.template_fields, *_SIZES)

    def __init__(self, *, python_callable: Callable, **kwargs: Any) -> None:
        super().__init__(
            python_callable=python_callable, map_function=python_callable, map_iterdata=[], **kwargs
        )

    def _arguments(self, context: Any) -> tuple[str, dict[str, Any]]:
        method, arguments = super()._arguments(context)
        return method, arguments | self._mapped(context)

    def _mapped(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as parameters of a map: items of the first one, and all others."""
        named = self._bound(context)
        first = next(iter(named), None)
        if first is None:
            raise TypeError(f"{self.custom_operator_name}: nothing to map over: give a list")
        items = self._checked(named.pop(first), f"argument {first!r}")
        # A tuple or a dict would be taken for several arguments.
        items = [{first: item} if isinstance(item, tuple | dict) else item for item in items]
        return {"map_iterdata": items, "extra_args": named or None}


class _LithopsMapDecorated(_MappedDecorated, LithopsMapOperator):
    custom_operator_name = "@task.lithops_map"
    shallow_copy_attrs = ("python_callable", "map_function")


class _LithopsMapReduceDecorated(_MappedDecorated, LithopsMapReduceOperator):
    template_fields = (*_MappedDecorated.template_fields, *_REDUCER)
    custom_operator_name = "@task.lithops_map_reduce"
    shallow_copy_attrs = ("python_callable", "map_function", "reduce_function")


def lithops_task(
    python_callable: Callable | None = None, multiple_outputs: bool | None = None, **kwargs: Any
) -> Any:
    """@task.lithops: one call; parameters are those of LithopsCallAsyncOperator."""
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=_LithopsDecorated,
        **kwargs,
    )


def lithops_map_task(
    python_callable: Callable | None = None, multiple_outputs: bool | None = None, **kwargs: Any
) -> Any:
    """@task.lithops_map: a call per item; parameters are those of LithopsMapOperator."""
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=_LithopsMapDecorated,
        **kwargs,
    )


def lithops_map_reduce_task(
    python_callable: Callable | None = None, multiple_outputs: bool | None = None, **kwargs: Any
) -> Any:
    """@task.lithops_map_reduce(reduce_function=...): as LithopsMapReduceOperator."""
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=_LithopsMapReduceDecorated,
        **kwargs,
    )
