# SPDX-License-Identifier: Apache-2.0
"""cloudpickle, also for annotations that cannot be evaluated, and for slots.

A class with ``__slots__`` is rebuilt with them. Otherwise its objects, made in a worker process,
would have a ``__dict__``, for which the client's class has no place.

From Python 3.14 on annotations are evaluated when somebody asks for them, as cloudpickle does.

- Those that only type checkers can make sense of (a name imported under TYPE_CHECKING) travel as
  text, as all did with ``from __future__ import annotations``.
- A class that names itself in its fields (a dataclass) keeps a ForwardRef, which holds all globals
  of the script: it travels without.
"""

from __future__ import annotations

import io
import sys
from types import FunctionType
from typing import Any

import cloudpickle

from lithops._shared.by_value import annotations_of

_make_class = cloudpickle.cloudpickle._make_skeleton_class


def _make_reference(text: str, module: str | None, is_class: bool) -> Any:
    from annotationlib import ForwardRef
    return ForwardRef(text, module=module, is_class=is_class)


def _has_slots(cls: type) -> bool:
    slots = vars(cls).get('__slots__')
    return bool(slots) and isinstance(slots, str | tuple | list | dict)  # an iterator is used up


class _Pickler(cloudpickle.Pickler):

    def reducer_override(self, thing):
        annotationlib = sys.modules.get('annotationlib')  # it is there if the thing is of it
        if annotationlib and type(thing) is getattr(annotationlib, 'ForwardRef', None):
            return _make_reference, (thing.__forward_arg__, thing.__forward_module__,
                                     thing.__forward_is_class__)
        if isinstance(thing, type) and _has_slots(thing):
            return self.reduce_with_slots(thing)
        if type(thing) is FunctionType and sys.version_info >= (3, 14):
            try:
                thing.__annotations__
            except Exception:
                return self.reduce_with_text(thing)
        return super().reducer_override(thing)

    def reduce_with_slots(self, cls):
        reduced = super().reducer_override(cls)
        if not isinstance(reduced, tuple) or reduced[0] is not _make_class:
            return reduced
        constructor, name, bases, namespace, *rest = reduced[1]
        namespace = {**namespace, '__slots__': cls.__slots__}
        return reduced[0], (constructor, name, bases, namespace, *rest), *reduced[2:]

    def reduce_with_text(self, function):
        annotate = function.__annotate__
        function.__annotations__ = annotations_of(function)
        try:
            return super().reducer_override(function)
        finally:
            function.__annotate__ = annotate


def dumps(thing: Any, protocol: int | None = None, buffer_callback: Any = None) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol, buffer_callback).dump(thing)
    return file.getvalue()
