# SPDX-License-Identifier: Apache-2.0
"""The interface of the standard library's ``concurrent.futures`` over Lithops."""

from .futures import *  # noqa: F401,F403
from .futures import __all__  # noqa: F401
