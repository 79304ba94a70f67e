# SPDX-License-Identifier: Apache-2.0
"""The backend of joblib whose batches are calls of an executor.

An executor and its worker processes outlive a `Parallel`: the next one finds them
warm. Big arguments go to the storage once for all calls of a `Parallel` that have them; worker
processes keep the last ones they have read. They are read-only there, as joblib's own backends
make big arrays.
"""

from __future__ import annotations

import collections
import functools
import os
import pickle
from collections.abc import Callable
from typing import Any

import lithops
from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase
from lithops import _lithops
from lithops.multiprocessing import config, cpu_count
from lithops.storage import Storage

BIG_BYTES = 1 << 20  # as joblib's max_nbytes
MOST_KEPT = 8  # of big arguments, in a worker process

_read: collections.OrderedDict[tuple, Any] = collections.OrderedDict()


@functools.lru_cache(maxsize=2)
def _executor(pid: int, n_jobs: int, arguments: tuple):
    return lithops.FunctionExecutor(**{'worker_processes': n_jobs, **dict(arguments)})


class LithopsBackend(AutoBatchingMixin, ParallelBackendBase):
    """``Parallel(backend='lithops')``. `lithops_args`: a dict, the arguments of the executor."""

    default_n_jobs = -1
    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    supports_sharedmem = False

    def __init__(self, nesting_level: int | None = None, inner_max_num_threads: int | None = None,
                 lithops_args: dict | None = None, **kwargs):
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads,
                         **kwargs)
        self._arguments = dict(lithops_args or {})
        if lithops_args:  # they also apply to lithops.multiprocessing, in the calls and here
            config.set_parameter(config.LITHOPS_CONFIG, lithops_args)
        self._running: set = set()
        self._shared = _SharedArguments(self._arguments)

    def __reduce__(self):
        # A backend travels with calls that may nest `Parallel`; its running state does not.
        return functools.partial(type(self), self.nesting_level, self.inner_max_num_threads,
                                 self._arguments), ()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls run at once: -1 all that the configuration has, -2 one less, and so on."""
        if n_jobs == 0:
            raise ValueError('n_jobs == 0 in Parallel has no meaning')
        if n_jobs is None:
            n_jobs = self.default_n_jobs
        if n_jobs > 0:
            return n_jobs
        return max(1, self._arguments.get('worker_processes', cpu_count()) + 1 + n_jobs)

    def configure(self, n_jobs: int = 1, parallel=None, prefer=None, require=None, **kwargs) -> int:
        self.parallel = parallel
        n_jobs = self.effective_n_jobs(n_jobs)
        arguments = tuple(sorted(self._arguments.items()))
        try:
            self._executor = _executor(os.getpid(), n_jobs, arguments)
        except TypeError:  # an argument that cannot be a key, such as a dict
            self._executor = _executor.__wrapped__(os.getpid(), n_jobs, arguments)
        self._env = self._prepare_worker_env(n_jobs)
        return n_jobs

    def submit(self, func: Callable, callback: Callable | None = None):
        """Start a batch; the callback is called with its future when it is done."""
        func.items = [self._shared.replace(item) for item in func.items]
        future = self._executor.call_async(_run_batch, (func,), extra_env=self._env)
        self._running.add(future)
        future.on_done(functools.partial(self._done, callback))
        return future

    apply_async = submit  # its name before joblib 1.5

    def _done(self, callback: Callable | None, future) -> None:
        self._running.discard(future)
        if callback is not None and not future.canceled:
            callback(future)

    def retrieve_result_callback(self, out):
        return out.result_value()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End what still runs, after an error or a time-out."""
        _lithops.cancel(list(self._running))

    def stop_call(self) -> None:
        self._shared.clear()

    def terminate(self) -> None:
        self._shared.clear()
        self._executor = None
        self.reset_batch_stats()


def _run_batch(batch: Callable) -> list:
    batch.items = [(function, tuple(map(_restore, args)),
                    {key: _restore(value) for key, value in kwargs.items()})
                   for function, args, kwargs in batch.items]
    return batch()


# ---- big arguments -------------------------------------------------------------------------------

class _SharedArgument:
    """Stands for a big argument, which is in the storage."""

    def __init__(self, place, arguments: dict):
        self.place = place
        self.arguments = arguments


class _SharedArguments:
    """The big arguments of the calls of one `Parallel`."""

    def __init__(self, arguments: dict):
        self._arguments = {'backend': arguments.get('storage'), 'config': arguments.get('config')}
        self._known: dict[int, tuple[Any, _SharedArgument]] = {}
        self._storage = None

    def replace(self, item: tuple) -> tuple:
        function, args, kwargs = item
        return (function, tuple(self._place(arg) for arg in args),
                {key: self._place(value) for key, value in kwargs.items()})

    def _place(self, arg: Any) -> Any:
        if _size_of(arg) < BIG_BYTES:
            return arg
        known = self._known.get(id(arg))
        if known is None:
            self._storage = self._storage or Storage(**self._arguments)
            place = self._storage.put_cloudobject(pickle.dumps(arg, protocol=5))
            known = self._known[id(arg)] = arg, _SharedArgument(place, self._arguments)
        return known[1]

    def clear(self) -> None:
        known, self._known = self._known, {}
        if known:
            self._storage.delete_cloudobjects([each.place for _, each in known.values()])


def _size_of(arg: Any) -> int:
    """Bytes of arrays and of frames; 0 of other things, which are sent with each call."""
    size = getattr(arg, 'nbytes', None)
    if isinstance(size, int) and not isinstance(arg, memoryview):
        return size
    if type(arg).__module__.startswith('pandas.') and hasattr(arg, 'memory_usage'):
        usage = arg.memory_usage(index=True)
        return int(usage.sum()) if hasattr(usage, 'sum') else int(usage)
    return 0


def _restore(arg: Any) -> Any:
    if not isinstance(arg, _SharedArgument):
        return arg
    key = arg.place.backend, arg.place.bucket, arg.place.key
    if key in _read:
        _read.move_to_end(key)
        return _read[key]
    value = pickle.loads(Storage(**arg.arguments).get_cloudobject(arg.place))
    if hasattr(value, 'setflags'):
        value.setflags(write=False)  # the next call gets the same array
    _read[key] = value
    if len(_read) > MOST_KEPT:
        _read.popitem(last=False)
    return value
