# SPDX-License-Identifier: Apache-2.0
"""Executors: where functions run, and the calls that start jobs.

An executor here wraps one of the engine's and keeps two lists of its futures: all of them, and
those whose results nobody has taken yet. All other state is in the engine.
"""

from __future__ import annotations

import os
from _thread import RLock
from _weakref import ref

from lithops import _lithops
from lithops._client import logging as _logging
from lithops._client import progress as _progress
from lithops._client.frames import empty_frames
from lithops._client.function import Job, NativeFunction
from lithops._client.futures_list import FuturesList, create_futures_list
from lithops._client.inputs import (
    bind, bind_one, environment_of, extra_of, futures_in, items_of, notice_no_objects, objects_in)
from lithops._shared import surroundings as _surroundings
from lithops._shared.adapters import spread
from lithops.future import ResponseFuture, SettledFuture, has_settled, use_cancelled_error
from lithops.wait import (
    ALL_COMPLETED, THREADPOOL_SIZE, as_list, executors, note_reduce, results_of, split, wait_for,
    without_reduced)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from lithops._client.function import AnyFunction
    from lithops._client.parts import ComputeHandler, Invoker, JobMonitor
    from lithops.storage import InternalStorage, Storage
    from lithops.storage.utils import CloudObject

__all__ = ['FunctionExecutor', 'LocalhostExecutor', 'ServerlessExecutor', 'StandaloneExecutor']

_NOTHING: list = []  # shared default, never modified
_SIMPLE = frozenset((int, float, complex, str, bytes, bool, type(None)))

_CLEANED_JOBS = 10_000

last_executor_id: str | None = None


def _open(settings: dict, **options: Any) -> _lithops.Executor:
    """The engine's executor. Arguments that are meant for another library are dropped with a
    warning; one that looks like a typo is an error. Unknown names in the configuration are Python
    warnings if the engine's log records of them are not shown."""
    engine = _lithops.Executor(settings=settings or None, foreign_settings=True, **options)
    for finding in engine.findings:
        if finding['place'] == 'settings':
            text = f"{finding['name']} is not an argument of executors and has no effect"
        elif _logging.is_set_up() or _surroundings.is_lithops_worker():
            continue
        else:
            text = finding['message']
        import warnings
        warnings.warn(text, stacklevel=4)  # of who opens the executor
    return engine


class FunctionExecutor:
    """Runs functions: in processes of this machine, or where the configuration says.

    Parameters:
        mode: 'localhost', 'serverless' or 'standalone'
        config: the configuration, as the files have it; no file is read then
        config_file: path of a configuration file
        backend: compute backend; it decides the mode
        storage: storage backend
        monitoring: how outcomes come back
        log_level: show log records of this level and above, as 'INFO' or 'DEBUG'
        detached: jobs go on when this program ends; see `lithops.detached`
        kwargs: keys of the compute backend's section, as ``worker_processes=4``; a warning if there
            is no such key

    It is a context manager; at the end, what still runs is cancelled. It may be used by many
    threads, but after a fork only by the process that made it.
    """

    def __init__(self, mode: str | None = None, config: dict | None = None,
                 config_file: str | os.PathLike | None = None, backend: str | None = None,
                 storage: str | None = None, monitoring: str | None = None,
                 log_level: str | bool | None = False, *, detached: bool = False, **kwargs: Any):
        global last_executor_id
        from lithops._client.worker_command import worker_command
        _surroundings.remember()
        if log_level and log_level is not True:
            _logging.setup(log_level)
        _logging.follow_engine()
        self._engine = self._open_engine(
            {key: value for key, value in kwargs.items() if value is not None}, worker_command,
            mode=mode, backend=backend, storage=storage, monitoring=monitoring,
            config=config or None, config_file=config_file and os.fspath(config_file),
            detached=detached)
        self._config = config
        self._checked_config, self._shown_config = self._engine.config
        if log_level is False:
            self._log_as_configured()
        else:
            _logging.follow_engine()  # the configuration's level is ignored
        self._detached: FunctionExecutor | None = None
        if detached or self._checked_config['lithops'].get('detached'):
            self._detached = self
        self._arguments = {'mode': mode, 'config': config, 'config_file': config_file,
                           'backend': backend, 'storage': storage, 'monitoring': monitoring,
                           **kwargs}
        self._modules: tuple | None = None
        self._internal_storage: InternalStorage | None = None
        self._is_closed = False
        self._lock = RLock()  # signal handlers and __del__ may reenter
        self.executor_id = last_executor_id = self._engine.id
        self.futures = []
        executors[self.executor_id] = ref(self)
        self.last_call: str | None = None
        self.total_jobs = 0
        self._cleaned: dict[str, None] = {}  # job keys, in order
        self.is_lithops_worker = _surroundings.is_lithops_worker()
        self.log_path: str | None = None
        self._cloud_objects_n = 0.0
        _logging.log(_logging.DEBUG, 'Executor %s is open', self.executor_id)

    def _open_engine(self, settings: dict, worker_command: Any, **options: Any) -> Any:
        return _open(settings, worker_command=worker_command, **options)

    def __enter__(self) -> FunctionExecutor:
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self.executor_id}>'

    def __reduce__(self):
        raise TypeError('an executor cannot be pickled: open another one where it is needed')

    def close(self) -> None:
        """Cancel running calls and end the worker processes. Results stay readable."""
        if not self._engine.forked:
            unread = _lithops.uncollected(self._engine, self._futures)
            if unread and _lithops.done_count(unread) < len(unread):
                use_cancelled_error()
        self._is_closed = True
        self._engine.close()
        if self._detached is not None and self._detached is not self:
            self._detached.close()
        _lithops.trim()

    def __del__(self, executors: dict = executors) -> None:  # globals are gone at exit
        executors.pop(getattr(self, 'executor_id', None), None)

    # ---- what it remembers -----------------------------------------------------------------------

    @property
    def futures(self) -> list[ResponseFuture]:
        """The futures of all calls; a program may clear it to drop them."""
        return self._futures

    @futures.setter
    def futures(self, futures: list) -> None:
        self._futures = list(futures)
        _lithops.collect(self._engine, (), False)  # looks at all of the new list

    def _tidy(self, at_once: bool = False) -> None:
        """Release results that were taken and whose futures are held nowhere else."""
        _lithops.tidy(self._engine, self._futures, at_once)

    def _forget(self, futures: list | None, force: bool) -> None:
        """Forget all futures of these jobs (None: of all), except those of running calls."""
        with self._lock:
            known = self._futures
            if futures is None:
                known[:] = [] if force else [one for one in known if not one.done]
            else:
                known[:] = _lithops.without_jobs(known, futures, force)
        _lithops.trim()

    @property
    def cleaned_jobs(self) -> set[str]:
        """Keys of the jobs that `clean` has forgotten; of the last 10,000."""
        return set(self._cleaned)

    def _note_cleaned(self, futures: list) -> None:
        with self._lock:
            self._cleaned.update(dict.fromkeys(future.job_key for future in futures))
            if len(self._cleaned) > _CLEANED_JOBS:
                for key in list(self._cleaned)[:-_CLEANED_JOBS]:
                    del self._cleaned[key]

    # ---- what it is ------------------------------------------------------------------------------

    @property
    def config(self) -> dict:
        """The configuration in force, by section; secrets are masked where it is printed."""
        shown = self._shown_config
        if shown is not None:  # several threads may do this; the result is the same
            from lithops.config import printable
            self._checked_config = printable(self._checked_config, shown)
            self._shown_config = None
        return self._checked_config

    def _log_as_configured(self) -> None:
        section = self._checked_config['lithops']
        if section.get('log_level') and not _surroundings.is_lithops_worker():
            _logging.setup(section['log_level'], section.get('log_format'),
                           section.get('log_stream'), section.get('log_filename'))
            _logging.follow_engine()

    @property
    def backend(self) -> str:
        """The compute backend."""
        return self.config['lithops']['backend']

    @property
    def mode(self) -> str:
        """'localhost', 'serverless' or 'standalone'."""
        return self.config['lithops']['mode']

    @property
    def data_cleaner(self) -> bool:
        """Whether temporary data is deleted when the executor closes."""
        return self.config['lithops'].get('data_cleaner', True)

    @property
    def internal_storage(self) -> InternalStorage:
        """The storage of Lithops' own data."""
        if self._internal_storage is None:
            from lithops.storage import InternalStorage, Storage
            backend = self.config['lithops']['storage']
            section = self.config.get(backend)
            storage = Storage(backend=backend, config=self._config) if self._config else Storage(
                storage_config={'backend': backend, backend: _of_storage(section)})
            self._internal_storage = InternalStorage(storage=storage)
        return self._internal_storage

    @property
    def storage(self) -> Storage:
        """The storage."""
        return self.internal_storage.storage

    # Made on access and not kept, since they refer to the executor.

    @property
    def invoker(self) -> Invoker:
        """What starts calls, as upstream's; see `lithops._client.parts`."""
        from lithops._client.parts import Invoker
        return Invoker(self)

    @property
    def compute_handler(self) -> ComputeHandler:
        """What runs calls, as upstream's."""
        from lithops._client.parts import ComputeHandler
        return ComputeHandler(self)

    @property
    def job_monitor(self) -> JobMonitor:
        """What watches for the end of calls, as upstream's."""
        from lithops._client.parts import JobMonitor
        return JobMonitor(self)

    # ---- starting jobs ---------------------------------------------------------------------------

    def _detached_one(self) -> FunctionExecutor:
        """The executor of jobs that are to outlive this program: itself, or another one like it."""
        if self._detached is None:
            self._detached = FunctionExecutor(detached=True, **self._arguments)
        return self._detached

    def call_async(self, func: AnyFunction, data: Any, extra_env: dict | None = None,
                   runtime_memory: int | None = None, timeout: float | None = None,
                   include_modules: list | None = _NOTHING, exclude_modules: list = _NOTHING,
                   *, detached: bool = False) -> ResponseFuture:
        """Start one call.

        Parameters:
            func: any callable, or what `lithops.native` and `lithops.command` give
            data: a tuple is positional arguments, a dict keyword arguments, anything else one
                argument; a list that does not fit as one argument is several. A future: its
                result, as soon as that is there
            extra_env: environment variables of the call
            runtime_memory: MiB that the call may use; then MemoryError
            timeout: seconds that the call may run; then TimeoutError
            include_modules: modules that travel with the function; None: none
            exclude_modules: modules that do not travel
            detached: the call goes on when this program ends; see `lithops.detached`

        Raises TypeError and ValueError if the data does not fit the function.
        """
        if detached and self._detached is not self:
            return self._detached_one().call_async(func, data, extra_env, runtime_memory, timeout,
                                                   include_modules, exclude_modules)
        self._tidy()
        if type(data) is ResponseFuture or type(data) is SettledFuture:
            return self._call_by_map(func, data, extra_env, runtime_memory, timeout,
                                     include_modules, exclude_modules)
        if type(func) is NativeFunction:
            future = self._engine.call_async(func, data, timeout=timeout,
                                             runtime_memory=runtime_memory,
                                             include=include_modules or None,
                                             extra_env=environment_of(extra_env))
        else:
            job, by_name = Job.of(func), False
            if type(data) not in _SIMPLE or job.parameters is None or not job.parameters.is_plain:
                if job.parameters is not None and job.parameters.takes_obj:
                    return self._call_by_map(func, data, extra_env, runtime_memory, timeout,
                                             include_modules, exclude_modules)
                data, by_name = bind_one(data, job.parameters)
            if (by_name or extra_env or include_modules or exclude_modules
                    or include_modules is None or self._modules is not self._NO_MODULES):
                include, exclude = self._modules_of(include_modules, exclude_modules)
                function = job.make('item', None, environment_of(extra_env), include, exclude,
                                    by_name)
            else:
                function = job.plain()
            future = self._engine.call_async(function, data, timeout=timeout,
                                             runtime_memory=runtime_memory)
        self.last_call = 'call_async'
        self.total_jobs += 1
        with self._lock:
            self._futures.append(future)
        return future

    def map(self, map_function: AnyFunction, map_iterdata: Iterable, chunksize: int | None = None,
            extra_args: Any = None, extra_env: dict | None = None,
            runtime_memory: int | None = None, obj_chunk_size: int | None = None,
            obj_chunk_number: int | None = None, obj_newline: str | None = '\n',
            timeout: float | None = None, include_modules: list | None = _NOTHING,
            exclude_modules: list = _NOTHING, *, detached: bool = False) -> FuturesList:
        """Start one call per item.

        Parameters:
            map_function: any callable, or what `lithops.native` and `lithops.command` give
            map_iterdata: the items: a list or another iterable; each as `data` of `call_async`.
                Futures: each call gets the result of one, as soon as that is there. If the function
                has a parameter ``obj``, items name objects: files, folders, URLs, 'bucket/key',
                'bucket/prefix/', CloudObjects
            chunksize: calls that a worker process takes at a time; adapts by default
            extra_args: further arguments of each call: by position (tuple, list) or by name (dict)
            obj_chunk_size: bytes; objects are split into chunks of about this size, one per call
            obj_chunk_number: so many chunks of each object; wins over `obj_chunk_size`
            obj_newline: chunks end at this separator; None: anywhere

        The others are those of `call_async`. Returns the futures, in the order of the items.
        """
        if detached and self._detached is not self:
            return self._detached_one().map(
                map_function, map_iterdata, chunksize, extra_args, extra_env, runtime_memory,
                obj_chunk_size, obj_chunk_number, obj_newline, timeout, include_modules,
                exclude_modules)
        self._tidy()
        chained = futures_in(map_iterdata) if self._detached is self else None
        if chained is not None:  # its supervisor does not know them: their results must be there
            map_iterdata = self._results_of(chained)
        options = {'chunksize': chunksize, 'timeout': timeout, 'runtime_memory': runtime_memory}
        parts = self._parts_of_map(map_function, map_iterdata, extra_args, extra_env,
                                   include_modules, exclude_modules, options,
                                   obj_chunk_size, obj_chunk_number, obj_newline)
        self.last_call = 'map'
        if parts is None:
            return create_futures_list([], self)
        function, items, chained = parts
        if chained is not None:
            futures = self._engine.map_futures(function, chained, **options)
            self._consume(chained)
        else:
            with _MissingObjects(options):
                futures = self._engine.map(function, items, **options)
        self._add(futures)
        return create_futures_list(futures, self)

    def map_reduce(self, map_function: AnyFunction, map_iterdata: Iterable,
                   reduce_function: AnyFunction, chunksize: int | None = None,
                   extra_args: Any = None, extra_args_reduce: Any = None,
                   extra_env: dict | None = None,
                   map_runtime_memory: int | None = None,
                   reduce_runtime_memory: int | None = None, timeout: float | None = None,
                   obj_chunk_size: int | None = None, obj_chunk_number: int | None = None,
                   obj_newline: str | None = '\n', obj_reduce_by_key: bool = False,
                   spawn_reducer: int = 20, include_modules: list | None = _NOTHING,
                   exclude_modules: list = _NOTHING, *, detached: bool = False) -> FuturesList:
        """Start a map, and one call of `reduce_function` over the list of its results.

        Parameters:
            reduce_function: its first argument is the list of the map's results, in order
            extra_args_reduce: its further arguments, as `extra_args`
            obj_reduce_by_key: one reducer for each object; of no effect without objects
            spawn_reducer: per cent of the map that must be done before a reducer may start

        The others are those of `map`. Returns the futures of the map, then those of the reducers;
        `get_result` of them gives the reducers' results.
        """
        if detached and self._detached is not self:
            return self._detached_one().map_reduce(
                map_function, map_iterdata, reduce_function, chunksize, extra_args,
                extra_args_reduce, extra_env, map_runtime_memory, reduce_runtime_memory, timeout,
                obj_chunk_size, obj_chunk_number, obj_newline, obj_reduce_by_key, spawn_reducer,
                include_modules, exclude_modules)
        self._tidy()
        options = {'chunksize': chunksize, 'timeout': timeout, 'runtime_memory': map_runtime_memory}
        chained = futures_in(map_iterdata)
        if chained is not None:
            map_iterdata = self._results_of(chained)
        parts = self._parts_of_map(map_function, map_iterdata, extra_args, extra_env,
                                   include_modules, exclude_modules, options,
                                   obj_chunk_size, obj_chunk_number, obj_newline, empty_too=True)
        function, items, _ = parts
        reducer = self._reducer(reduce_function, extra_args_reduce, extra_env, include_modules,
                                exclude_modules, options)
        note_reduce()
        with _MissingObjects(options):
            map_futures, reduce_futures = self._engine.map_reduce(
                function, items, reducer, reduce_runtime_memory=reduce_runtime_memory,
                obj_reduce_by_key=bool(obj_reduce_by_key and options.get('objects')),
                spawn_reducer=max(0, min(100, spawn_reducer or 0)), **options)
        self.last_call = 'map_reduce'
        _lithops.consume(self._engine, map_futures)
        futures = map_futures + reduce_futures
        self._add(futures)
        return create_futures_list(futures, self)

    def _call_by_map(self, func: Callable, data: Any, extra_env: Any, runtime_memory: int | None,
                     timeout: float | None, include: Any, exclude: Any) -> ResponseFuture:
        """One call whose input is not known yet, or that names an object."""
        futures = self.map(func, [data], extra_env=extra_env, runtime_memory=runtime_memory,
                           timeout=timeout, include_modules=include, exclude_modules=exclude)
        self.last_call = 'call_async'
        futures[0].set_single()
        return futures[0]

    _NO_MODULES = ((), ())

    def _modules_of(self, include: Any, exclude: Any) -> tuple:
        """What to include and exclude: of the job and of the configuration."""
        if self._modules is None:
            section = self.config['lithops']
            configured = (section.get('include_modules', ()), section.get('exclude_modules') or ())
            if isinstance(configured[0], list):
                configured = tuple(configured[0]), configured[1]
            is_plain = configured[0] == () and not configured[1]
            self._modules = self._NO_MODULES if is_plain else configured
        if isinstance(include, str) or isinstance(exclude, str):
            raise TypeError('include_modules and exclude_modules must be lists of names')
        always, never = self._modules
        if include is None or (always is None and not include):
            return None, (*never, *(exclude or ()))
        return (*(always or ()), *include), (*never, *(exclude or ()))

    def _parts_of_map(self, function: Callable, iterdata: Any, extra_args: Any, extra_env: Any,
                      include: Any, exclude: Any, options: dict, chunk_size: Any,
                      chunk_number: Any, newline: str | None, empty_too: bool = False
                      ) -> tuple | None:
        """The engine's function, and the items or the futures of a map; None if there are none.
        Adds to the engine's options."""
        chained = futures_in(iterdata)
        if chained is not None and has_settled(chained):  # the engine does not know settled futures
            chained, iterdata = None, self._results_of(chained)
        items = items_of(iterdata) if chained is None else chained
        is_empty = not len(items)
        if type(function) is NativeFunction:
            options.update(extra_args=extra_args, include=include or None,
                           extra_env=environment_of(extra_env))
            if chunk_size or chunk_number:
                options.update(objects=True, obj_chunk_size=chunk_size or None,
                               obj_chunk_number=chunk_number or None, obj_newline=newline)
            return None if is_empty and not empty_too else (function, items, chained)
        job = Job.of(function)
        parameters, extra = job.parameters, extra_of(extra_args)
        include, exclude = self._modules_of(include, exclude)
        env = environment_of(extra_env)
        if is_empty and not empty_too:
            return None
        if parameters is not None and parameters.takes_obj and chained is None:
            items = objects_in(items, parameters, extra, _lithops.dumps)
            options.update(objects=True, obj_chunk_size=chunk_size or None,
                           obj_chunk_number=chunk_number or None, obj_newline=newline)
            return job.make('object', None, env, include, exclude), items, None
        notice_no_objects(parameters, chunk_size, chunk_number)
        by_name = False
        if chained is None:
            items, by_name = bind(items, parameters, extra)
        return job.make('item', extra, env, include, exclude, by_name), items, chained

    def _results_of(self, futures: list) -> list:
        """Results that are the input of another job."""
        wait_for(futures, show_progressbar=False)
        self._consume(futures)
        return results_of(futures)

    def _reducer(self, function: Callable, extra_args: Any, extra_env: Any, include: Any,
                 exclude: Any, options: dict) -> NativeFunction:
        if type(function) is NativeFunction:
            options['extra_args_reduce'] = extra_args
            return function
        job = Job.of(function)
        extra = extra_of(extra_args, 'extra_args_reduce')
        if job.parameters is not None:
            by_name = isinstance(extra, dict)
            job.parameters.check(1 + (0 if by_name else len(extra or ())), extra if by_name else ())
        env = {**(environment_of(extra_env) or {}), '__LITHOPS_REDUCE_JOB': 'True'}
        include, exclude = self._modules_of(include, exclude)
        return job.make('reduce', extra, env, include, exclude)

    def _add(self, futures: list) -> None:
        self.total_jobs += 1
        with self._lock:
            self._futures.extend(futures)

    def _consume(self, futures: list) -> None:
        """Their results are input of another job: `get_result` gives that one's."""
        _lithops.consume(self._engine, [future for future in futures
                                        if type(future) is ResponseFuture])

    # ---- waiting ---------------------------------------------------------------------------------

    def wait(self, fs: Any = None, throw_except: bool = True, return_when: Any = ALL_COMPLETED,
             download_results: bool = False, timeout: float | None = None,
             threadpool_size: int = THREADPOOL_SIZE, wait_dur_sec: float | None = None,
             show_progressbar: bool = True, clean_jobs: bool | None = None
             ) -> tuple[FuturesList, FuturesList]:
        """Wait for futures.

        Parameters:
            fs: a future or a list; None: all of this executor
            throw_except: raise what a failed call has raised, as soon as it has; the other calls
                that were waited for are cancelled then
            return_when: percentage that must be done, or ALL_COMPLETED, ANY_COMPLETED, ALWAYS
            timeout: seconds; then TimeoutError, and the calls go on
            show_progressbar: on a terminal, or in a notebook

        Returns (done, not_done). The other parameters have no effect: results arrive together with
        the notification. Ctrl-C ends the wait and cancels all calls of this executor.
        """
        futures = list(self.futures) if fs is None else as_list(fs)
        waited = futures
        if fs is None and throw_except:
            told = {future for future in futures
                    if future.given_up or (future.error and future.read)}
            waited = [future for future in futures if future not in told] if told else futures
            if len(waited) < len(futures) and return_when == ALL_COMPLETED:
                wait_for(list(told), return_when, timeout, False, show_progressbar)
        if waited:
            try:
                self._wait(waited, return_when, timeout, throw_except, show_progressbar, False)
            except Exception as error:
                empty_frames(error)
                fs = futures = waited = told = None
                raise
        if not throw_except:
            _give_up([future for future in waited if future.error])
        parts = split(futures)
        for part in parts:
            part.executor = self
        return parts

    def get_result(self, fs: Any = None, throw_except: bool = True, timeout: float | None = None,
                   threadpool_size: int = THREADPOOL_SIZE, wait_dur_sec: float | None = None,
                   show_progressbar: bool = True, *, return_exceptions: bool = False) -> Any:
        """Wait for results and return them.

        Parameters:
            fs: a future: its result is returned. A list of futures: the list of their results, in
                order (of a map_reduce the reducers'), or the result alone if there is one and it is
                not of a map. None: the same of all futures whose results were not taken yet
            throw_except: if false, None stands for the result of a call that failed
            return_exceptions: exceptions stand among the results

        The others are those of `wait`.
        """
        self._tidy()
        if fs is None:
            with self._lock:
                futures = _lithops.uncollected(self._engine, self._futures)
                _lithops.collect(self._engine, futures, True)
        elif type(fs) is ResponseFuture or type(fs) is SettledFuture:
            futures = [fs]
        else:
            futures = without_reduced(as_list(fs))
        if _logging.is_enabled(_logging.INFO):
            _logging.log(_logging.INFO, 'ExecutorID %s - Getting results from %d function '
                                        'activations', self.executor_id, len(futures))
        if not futures:
            return []
        throws = throw_except and not return_exceptions
        try:
            if throws and len(futures) == 1 and not _progress.is_wanted() and (
                    timeout is None or timeout > 0):
                results = spread([self._result_of(futures[0], timeout)])
            else:
                self._wait(futures, ALL_COMPLETED, timeout, throws, show_progressbar)
                results = results_of(futures, 'return' if return_exceptions else
                                     'raise' if throw_except else 'none')
        except Exception as error:
            if fs is None and not (throws and any(map(_has_failed, futures))):
                # most likely a timeout: the results can still be read
                _lithops.collect(self._engine, [future for future in futures
                                                if not future.canceled], False)
            empty_frames(error)
            del fs, futures
            raise
        is_single = len(results) == 1 and (fs is futures[0] or futures[0].is_reduce
                                           or not futures[0].gives_list)
        del futures  # before `fs` goes: it lets go of results that nobody else holds
        return results[0] if is_single else results

    def _result_of(self, future: ResponseFuture, timeout: float | None) -> Any:
        try:
            return future.result_value(timeout)
        except KeyboardInterrupt:
            self._stop_all([future])
            raise
        except Exception:
            if _has_failed(future):
                self._cancel([future])
            raise

    def _wait(self, futures: list, return_when: Any, timeout: float | None, throw_except: bool,
              show_progressbar: bool, throw_cancelled: bool = True) -> None:
        try:
            wait_for(futures, return_when, timeout, throw_except, show_progressbar,
                     throw_cancelled)
        except KeyboardInterrupt:
            self._stop_all(futures)
            raise
        except Exception:
            if throw_except and any(map(_has_failed, futures)):
                self._cancel(futures)
            raise

    def _stop_all(self, futures: list) -> None:
        """Ctrl-C: end everything of this executor."""
        self._cancel([*self.futures, *futures])

    def _cancel(self, futures: list) -> None:
        """End those that are not done; their results are no longer needed."""
        pending = [future for future in futures if not future.done]
        if pending:
            use_cancelled_error()
            _lithops.cancel(pending)
        _lithops.collect(self._engine, [future for future in futures
                                        if type(future) is ResponseFuture], True)
        _give_up(futures)

    # ---- afterwards ------------------------------------------------------------------------------

    def plot(self, fs: Any = None, dst: str | None = None, figsize: tuple = (10, 6)) -> None:
        """Draw when calls ran, and how many at a time: ``<dst>_timeline.png`` and
        ``<dst>_histogram.png``.

        fs: a future or a list; None: all of this executor. dst: path without the ending; None: in
        the folder ``plots``. figsize: inches. Nothing is drawn if no call has succeeded.
        """
        futures = [future for future in (list(self.futures) if fs is None else as_list(fs))
                   if future.success and type(future) is ResponseFuture]
        if not futures:
            _logging.log(_logging.DEBUG, 'no call is done: nothing to plot')
            return
        from os import fspath
        from os.path import expanduser
        dst = None if dst is None else expanduser(fspath(dst))
        _lithops.plot(futures, dst, float(figsize[0]), float(figsize[1]))

    def job_summary(self, cloud_objects_n: int = 0) -> None:
        """Write what the jobs took as a CSV file in the folder for logs, whose path is `log_path`
        then; a further call replaces it. Costs are reckoned by the price list of the backend
        ('lithops config prices').

        cloud_objects_n: number of cloud objects to add to those of earlier calls.
        """
        import time

        from lithops.constants import LOGS_DIR
        if self.log_path is None:
            os.makedirs(LOGS_DIR, exist_ok=True)
            self.log_path = os.path.join(LOGS_DIR, time.strftime('%Y-%m-%d_%H-%M-%S.csv'))
        self._cloud_objects_n += cloud_objects_n
        futures = [future for future in list(self.futures) if type(future) is ResponseFuture]
        _lithops.job_summary(futures, int(self._cloud_objects_n), self.log_path)
        _logging.log(_logging.INFO, 'View log file logs at %s', self.log_path)

    def clean(self, fs: Any = None, cs: list[CloudObject] | None = None,
              clean_cloudobjects: bool = True, clean_fn: bool = False, force: bool = False,
              on_exit: bool = False) -> None:
        """Delete temporary data, and forget jobs that are done, whether their results were taken
        or not: their futures leave `futures`. What the program holds stays readable.

        Parameters:
            fs: a future or a list, whose jobs are meant; None: all jobs of this executor
            cs: cloudobjects to delete; without `fs`, nothing else is
            clean_cloudobjects: delete the cloudobjects that the jobs have stored, too
            clean_fn: forget functions
            force: also for jobs that are still running; they are cancelled
            on_exit: do it when the executor closes
        """
        if cs:
            self.storage.delete_cloudobjects(list(cs))
            if not fs:
                return
        if self._is_closed:
            return  # closing has already cleaned up
        futures = None if fs is None else [
            future for future in as_list(fs) if type(future) is ResponseFuture]
        if force:
            use_cancelled_error()
        settled = self.futures if futures is None else futures
        self._note_cleaned(_lithops.one_per_job(list(settled), bool(force)))
        self._engine.clean(futures, None, bool(clean_cloudobjects), bool(clean_fn), bool(force),
                           bool(on_exit))
        if not on_exit:
            self._forget(futures, force)


def _has_failed(future: ResponseFuture) -> bool:
    return future.error and not future.canceled


def _give_up(futures: list) -> None:
    _lithops.give_up([future for future in futures if type(future) is ResponseFuture])


class _MissingObjects:
    """Raises StorageNoSuchKeyError where a job is mapped over objects that are not there."""

    def __init__(self, options: dict):
        self._is_meant = options.get('objects')

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if self._is_meant and kind is FileNotFoundError:
            from lithops.storage.utils import StorageNoSuchKeyError
            raise StorageNoSuchKeyError('', '', str(value)) from value


def _of_storage(section: dict | None) -> dict:
    """The storage keys of a section; that of localhost also has keys of the compute backend."""
    return {key: value for key, value in (section or {}).items()
            if key.startswith('storage_') and value is not None}


class LocalhostExecutor(FunctionExecutor):
    """A `FunctionExecutor` on this machine; see there for the parameters."""

    def __init__(self, config: dict | None = None, config_file: str | os.PathLike | None = None,
                 storage: str | None = None, monitoring: str | None = None,
                 log_level: str | bool | None = False, **kwargs: Any):
        super().__init__(backend='localhost', config=config, config_file=config_file,
                         storage=storage or 'localhost', monitoring=monitoring,
                         log_level=log_level, **kwargs)


class _FixedModeExecutor(FunctionExecutor):
    _mode = ''

    def __init__(self, config: dict | None = None, config_file: str | os.PathLike | None = None,
                 backend: str | None = None, storage: str | None = None,
                 monitoring: str | None = None, log_level: str | bool | None = False,
                 **kwargs: Any):
        super().__init__(mode=self._mode, config=config, config_file=config_file, backend=backend,
                         storage=storage, monitoring=monitoring, log_level=log_level, **kwargs)


class ServerlessExecutor(_FixedModeExecutor):
    """A `FunctionExecutor` on a serverless backend; see there for the parameters."""

    _mode = 'serverless'


class StandaloneExecutor(_FixedModeExecutor):
    """A `FunctionExecutor` on machines; see there for the parameters."""

    _mode = 'standalone'


def _tidy(engine: _lithops.Executor | None) -> None:
    """Results of this executor were taken; None: calls wait for memory, of any."""
    for reference in list(executors.values()) if engine is None else [executors.get(engine.id)]:
        executor = reference and reference()
        if executor is not None:
            executor._tidy(at_once=engine is None)


_lithops.configure(much_taken=_tidy)
