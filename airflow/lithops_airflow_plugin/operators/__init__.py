# SPDX-License-Identifier: Apache-2.0
"""The operators: call_async, map, map_reduce."""
