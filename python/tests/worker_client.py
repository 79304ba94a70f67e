# SPDX-License-Identifier: Apache-2.0
"""A client of the extension alone, for tests of the worker's side: no `lithops.executors`."""

import cloudpickle

from lithops import _lithops
from lithops._shared.failure import load_failure
from lithops._client.worker_command import worker_command

LIMIT = 60.0  # seconds that a test waits for a call, at most


def code_of(function, extra_args=None, inject=(), env=None, mode="item"):
    """The engine's function for a callable, as `_worker/main.py` documents code."""
    parts = (2, function, extra_args, inject, mode, 0, *((env, None) if env else ()))
    return _lithops.Function(getattr(function, "__name__", "object"), cloudpickle.dumps(parts))


class Client:
    """An executor with two worker processes."""

    def __init__(self, tmp_path, **settings):
        config = {"lithops": {"storage": "localhost"},
                  "localhost": {"storage_root": str(tmp_path / "root"), "worker_processes": 2,
                                **settings}}
        _lithops.configure(load=load_failure)
        self.executor = _lithops.Executor(config=config, worker_command=worker_command())

    def start(self, function, item, **parts):
        return self.executor.call_async(code_of(function, **parts), item)

    def run(self, function, item, **parts):
        return self.start(function, item, **parts).result_value(LIMIT)

    def map(self, function, items, options=None, **parts):
        futures = self.executor.map(code_of(function, **parts), items, **(options or {}))
        return [future.result_value(LIMIT) for future in futures]

    def close(self):
        self.executor.close()
