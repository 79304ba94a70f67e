# SPDX-License-Identifier: Apache-2.0
"""What `LithopsHook.test_connection()` runs in a worker process. It imports nothing."""


def successor(x: int) -> int:
    """x + 1"""
    return x + 1
