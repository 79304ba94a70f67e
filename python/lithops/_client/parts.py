# SPDX-License-Identifier: Apache-2.0
"""`executor.invoker`, `compute_handler` and `job_monitor`: the parts that upstream's executors are
made of, for programs that reach for them.

The engine starts calls, runs them and learns of their ends by itself, so most methods have nothing
to do. Those that a program sees the effect of have it: `clear` cancels.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ['ComputeHandler', 'Invoker', 'JobMonitor']


class _Part:
    def __init__(self, executor: Any):
        self._executor = executor
        self.executor_id = executor.executor_id
        self.config = executor.config
        self.backend = executor.backend

    @property
    def internal_storage(self) -> Any:
        """See `FunctionExecutor.internal_storage`."""
        return self._executor.internal_storage

    def __repr__(self) -> str:
        return f'<{type(self).__name__} of {self.executor_id}>'


class Invoker(_Part):
    """What starts calls. Started calls belong to the engine: `stop` leaves them alone."""

    def __init__(self, executor: Any):
        super().__init__(executor)
        self.mode = executor.mode
        self.runtime_info = executor.compute_handler.get_runtime_info()
        self.runtime_name = self.runtime_info['runtime_name']
        self.max_workers = self.runtime_info['max_workers']

    @property
    def compute_handler(self) -> ComputeHandler:
        """See `FunctionExecutor.compute_handler`."""
        return self._executor.compute_handler

    @property
    def job_monitor(self) -> JobMonitor:
        """See `FunctionExecutor.job_monitor`."""
        return self._executor.job_monitor

    def stop(self, wait: bool = False) -> None:
        """Nothing is left to stop: jobs are started when `map` returns."""

    def discard_pending(self, job_keys: Any, job_ids: Any = None) -> None:
        """Cancel the calls of these jobs that do not run yet."""
        self._executor._cancel([future for future in list(self._executor.futures)
                                if future.job_key in job_keys and future.invoked])


class ComputeHandler(_Part):
    """What runs calls."""

    def __init__(self, executor: Any):
        super().__init__(executor)
        self.runtime_name = (executor.config.get(self.backend) or {}).get(
            'runtime') or sys.executable

    def init(self) -> None:
        """Nothing: worker processes start by themselves."""

    def get_backend_type(self) -> str:
        """'batch': jobs are submitted whole."""
        return 'batch'

    def get_runtime_key(self, runtime_name: str, *args: Any) -> str:
        """A name of an interpreter or image that can be a part of a key."""
        return f'{self.backend}/{runtime_name.strip("/")}'

    def get_runtime_info(self) -> dict:
        """'runtime_name', 'runtime_memory' (MiB or None), 'runtime_timeout' (seconds or None) and
        'max_workers' (worker processes)."""
        section = self.config.get(self.backend) or {}
        return {'runtime_name': self.runtime_name,
                'runtime_memory': section.get('runtime_memory'),
                'runtime_timeout': section.get('runtime_timeout'),
                'max_workers': section.get('worker_processes')}

    def clear(self, job_keys: Any = None, exception: Any = None) -> None:
        """Cancel what is not done of these jobs; None: of all of the executor."""
        self._executor._cancel([future for future in list(self._executor.futures)
                                if job_keys is None or future.job_key in job_keys])

    def clean(self, **kwargs: Any) -> None:
        """Nothing: nothing was deployed."""


class JobMonitor(_Part):
    """What learns of the ends of calls: the engine, as long as the executor is open."""

    def __init__(self, executor: Any):
        super().__init__(executor)
        self.type = executor.config['lithops']['monitoring']

    def start(self, fs: Any, job_id: Any = None, chunksize: Any = None,
              generate_tokens: bool = False) -> None:
        """Nothing: all futures are watched."""

    def is_alive(self) -> bool:
        """Whether the executor is open."""
        return not self._executor._is_closed

    def remove(self, fs: Any) -> None:
        """Nothing: watching a future costs nothing."""

    def close_jobs(self, job_ids: Any) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing: waiting goes on."""

    def cleanup(self) -> None:
        """Nothing: there are no queues."""
