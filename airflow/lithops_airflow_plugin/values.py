# SPDX-License-Identifier: Apache-2.0
"""Values of operators' parameters: templates make text of all that they render."""

import ast
import json
from collections.abc import Mapping
from typing import Any


def of_text(value: Any) -> Any:
    """What a template has made text of: Python's spelling, or JSON's; other text stays."""
    if not isinstance(value, str):
        return value
    for parse in (ast.literal_eval, json.loads):
        try:
            return parse(value.strip())
        except (ValueError, SyntaxError):
            pass
    return value


def number_of(operator: Any, name: str) -> int | float | None:
    """The value of a parameter that may have been templated, and so be a str."""
    value = getattr(operator, name)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text in ("", "None"):
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    raise ValueError(f"{type(operator).__name__}: {name} must be a number, but is {value!r}")


def names_of(operator: Any, name: str) -> list[str] | None:
    """The names that a parameter lists: as a list, the text of one, or with commas between."""
    value = of_text(getattr(operator, name))
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    return None if value is None else list(value)


def mapping_of(operator: Any, name: str) -> dict[str, Any] | None:
    """The value of a parameter that is a mapping, or the text of one."""
    value = of_text(getattr(operator, name))
    if value in (None, ""):
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"{type(operator).__name__}: {name} must be a mapping, but is {value!r}")
    return dict(value)


def handle_of(operator: Any, name: str = "handle") -> dict[str, Any]:
    """The handle of a job: a dict, or the text of one."""
    handle = mapping_of(operator, name)
    if not handle or handle.get("type") != "lithops.job":
        raise ValueError(
            f"{type(operator).__name__}: {name} must be the handle of a job, as an operator with "
            f"async_invoke=True returns it, but is {getattr(operator, name)!r}"
        )
    return handle
