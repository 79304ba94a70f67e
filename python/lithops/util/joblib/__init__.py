# SPDX-License-Identifier: Apache-2.0
"""joblib over Lithops.

    from joblib import Parallel, delayed, parallel_config
    from lithops.util.joblib import register_lithops

    register_lithops()
    with parallel_config('lithops'):
        roots = Parallel()(delayed(math.sqrt)(i) for i in range(10))

Each batch of joblib's is a call; arguments of 1 MiB and more go to the storage, once per Parallel.
"""

from joblib import register_parallel_backend

__all__ = ['register_lithops']


def register_lithops() -> None:
    """Make 'lithops' a backend of joblib."""
    from .lithops_backend import LithopsBackend
    register_parallel_backend('lithops', LithopsBackend)
