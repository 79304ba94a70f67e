# SPDX-License-Identifier: Apache-2.0
"""OpenLineage: which objects a job has read, and which ones it has made."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# OpenLineage's words for stores that Lithops calls by its backends' names.
_SCHEMES = {"aws_s3": "s3", "gcp_storage": "gs", "azure_storage": "wasbs"}


def takes_objects(function: Callable) -> bool:
    """Whether the function reads objects, that is, has a parameter `obj`."""
    try:
        parameter = inspect.signature(function).parameters.get("obj")
    except (TypeError, ValueError):  # builtins without a signature
        return False
    # len(obj, /) is not a function over objects
    return parameter is not None and parameter.kind is not parameter.POSITIONAL_ONLY


def objects(function: Callable, items: Iterable[Any]) -> list[str]:
    """The objects, buckets and URLs among `items`, where the function takes such."""
    if not takes_objects(function):
        return []
    names = (item.get("obj") if isinstance(item, Mapping) else item for item in items)
    return [name for name in names if isinstance(name, str)]


def dataset(uri: str) -> tuple[str, str]:
    """(namespace, name) of an object: s3://bucket/key is ("s3://bucket", "key")."""
    scheme, colon, rest = uri.rpartition("://")
    if not colon and uri.startswith("/"):
        return "file", uri
    bucket, _, key = rest.partition("/")
    namespace = _SCHEMES.get(scheme, scheme) or "lithops"
    return f"{namespace}://{bucket}", key or "/"


def facets(inputs: Iterable[str], outputs: Iterable[str]) -> Any:
    """An OperatorLineage of the OpenLineage provider, which asks for it."""
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    def datasets(uris: Iterable[str]) -> list[Any]:
        unique = dict.fromkeys(dataset(uri) for uri in uris)
        return [Dataset(namespace=namespace, name=name) for namespace, name in unique]

    return OperatorLineage(inputs=datasets(inputs), outputs=datasets(outputs))
