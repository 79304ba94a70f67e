# SPDX-License-Identifier: Apache-2.0
"""Executors: where functions run, and the calls that start jobs.

An executor here holds one of the engine's and remembers its futures: all of them, and those whose
results nobody has taken yet. Everything that lasts is in the engine.
"""

from __future__ import annotations

import os
from _thread import RLock

from lithops import _lithops, _logging, _progress, _surroundings
from lithops._adapters import spread
from lithops._function import Job, NativeFunction
from lithops._inputs import (
    bind, bind_one, environment_of, extra_of, futures_in, items_of, notice_no_objects, objects_in)
from lithops.future import ResponseFuture, SettledFuture, has_settled, use_cancelled_error
from lithops.utils import FuturesList, create_futures_list, is_lithops_worker
from lithops.wait import (
    ALL_COMPLETED, THREADPOOL_SIZE, as_list, note_reduce, results_of, split,
    wait_for, without_reduced)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from lithops._function import AnyFunction
    from lithops.storage import InternalStorage, Storage
    from lithops.storage.utils import CloudObject

__all__ = ['FunctionExecutor', 'LocalhostExecutor', 'ServerlessExecutor', 'StandaloneExecutor']

_NOTHING: list = []  # default of lists that are never changed
_SIMPLE = frozenset((int, float, complex, str, bytes, bool, type(None)))

last_executor_id: str | None = None


def _open(settings: dict, **options: Any) -> _lithops.Executor:
    """The engine's executor. Programs pass arguments through that are meant for somebody else:
    these are left out, with a warning. What looks like a slip of the pen is an error."""
    while True:
        try:
            return _lithops.Executor(settings=settings or None, **options)
        except ValueError as error:
            import re
            unknown = re.match("settings: unknown key '(.+)' in section '.*'; see ", str(error))
            if not unknown or unknown[1] not in settings:
                raise
            import warnings
            warnings.warn(f"{unknown[1]} is no argument of executors; it has no effect",
                          stacklevel=3)
            del settings[unknown[1]]


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
        kwargs: keys of the compute backend's section, as ``worker_processes=4``; a warning if there
            is no such key

    It is a context manager; at the end, what still runs is cancelled. It may be used by many
    threads, but after a fork only by the process that made it.
    """

    def __init__(self, mode: str | None = None, config: dict | None = None,
                 config_file: str | os.PathLike | None = None, backend: str | None = None,
                 storage: str | None = None, monitoring: str | None = None,
                 log_level: str | bool | None = False, **kwargs: Any):
        global last_executor_id
        from lithops._worker import worker_command
        _surroundings.remember()
        if log_level and log_level is not True:
            _logging.setup(log_level)
        _logging.follow_engine()
        self._engine = _open(
            {key: value for key, value in kwargs.items() if value is not None},
            mode=mode, backend=backend, storage=storage, monitoring=monitoring,
            config=config or None, config_file=config_file and os.fspath(config_file),
            worker_command=worker_command())
        self._config = config
        self._checked_config = self._engine.config
        if log_level is False:
            self._log_as_configured()
        else:
            _logging.follow_engine()  # the configuration's level does not count
        self._modules: tuple | None = None
        self._internal_storage: InternalStorage | None = None
        self._is_closed = False
        self._lock = RLock()  # signal handlers and __del__ may come back in
        self._unread: list[ResponseFuture] = []
        self._given_up: set[ResponseFuture] = set()
        self._single_maps: set[str] = set()  # keys of jobs that call_async has made
        self.executor_id = last_executor_id = self._engine.id
        self.futures: list[ResponseFuture] = []
        self.last_call: str | None = None
        self.total_jobs = 0
        self.cleaned_jobs: set[str] = set()
        self.is_lithops_worker = is_lithops_worker()
        self.log_path: str | None = None
        self._cloud_objects_n = 0.0
        _logging.log(_logging.DEBUG, 'Executor %s is open', self.executor_id)

    def __enter__(self) -> FunctionExecutor:
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self.executor_id}>'

    def __reduce__(self):
        raise TypeError('an executor cannot be pickled: open another one where it is needed')

    def close(self) -> None:
        """Cancel what still runs and end the worker processes. Results stay readable."""
        unread = self._unread
        if unread and not self._engine.forked and _lithops.done_count(unread) < len(unread):
            use_cancelled_error()
        self._is_closed = True
        self._engine.close()

    # ---- what it is ------------------------------------------------------------------------------

    @property
    def config(self) -> dict:
        """The configuration in force, by section; secrets are masked."""
        return self._checked_config

    def _log_as_configured(self) -> None:
        section = self._checked_config['lithops']
        if section.get('log_level') and not is_lithops_worker():
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

    # ---- starting jobs ---------------------------------------------------------------------------

    def call_async(self, func: AnyFunction, data: Any, extra_env: dict | None = None,
                   runtime_memory: int | None = None, timeout: float | None = None,
                   include_modules: list | None = _NOTHING, exclude_modules: list = _NOTHING
                   ) -> ResponseFuture:
        """Start one call.

        Parameters:
            func: any callable, or what `lithops.native` gives
            data: a tuple is positional arguments, a dict keyword arguments, anything else one
                argument; a list that does not fit as one argument is several. A future: its
                result, as soon as that is there
            extra_env: environment variables of the call
            runtime_memory: MiB that the call may use; then MemoryError
            timeout: seconds that the call may run; then TimeoutError
            include_modules: modules that travel with the function; None: none
            exclude_modules: modules that do not

        Raises TypeError and ValueError if the data does not fit the function.
        """
        _lithops.tidy(self.futures, self._unread)
        if type(data) is ResponseFuture or type(data) is SettledFuture:
            return self._call_by_map(func, data, extra_env, runtime_memory, timeout,
                                     include_modules, exclude_modules)
        if type(func) is NativeFunction:
            if extra_env:
                raise ValueError('extra_env is for Python functions')
            future = self._engine.call_async(func, data, timeout=timeout,
                                             runtime_memory=runtime_memory,
                                             include=include_modules or None)
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
            self.futures.append(future)
            self._unread.append(future)
        return future

    def map(self, map_function: AnyFunction, map_iterdata: Iterable, chunksize: int | None = None,
            extra_args: Any = None, extra_env: dict | None = None,
            runtime_memory: int | None = None, obj_chunk_size: int | None = None,
            obj_chunk_number: int | None = None, obj_newline: str | None = '\n',
            timeout: float | None = None, include_modules: list | None = _NOTHING,
            exclude_modules: list = _NOTHING) -> FuturesList:
        """Start one call per item.

        Parameters:
            map_function: any callable, or what `lithops.native` gives
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
        _lithops.tidy(self.futures, self._unread)
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
        self._add(futures, futures)
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
                   exclude_modules: list = _NOTHING) -> FuturesList:
        """Start a map, and one call of `reduce_function` over the list of its results.

        Parameters:
            reduce_function: its first argument is the list of the map's results, in order
            extra_args_reduce: its further arguments, as `extra_args`
            obj_reduce_by_key: one reducer for each object; of no effect without objects
            spawn_reducer: per cent of the map that must be done before a reducer may start

        The others are those of `map`. Returns the futures of the map, then those of the reducers;
        `get_result` of them gives the reducers' results.
        """
        _lithops.tidy(self.futures, self._unread)
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
        futures = map_futures + reduce_futures
        self._add(futures, reduce_futures)
        return create_futures_list(futures, self)

    def _call_by_map(self, func: Callable, data: Any, extra_env: Any, runtime_memory: int | None,
                     timeout: float | None, include: Any, exclude: Any) -> ResponseFuture:
        """One call whose input is not known yet, or that names an object."""
        futures = self.map(func, [data], extra_env=extra_env, runtime_memory=runtime_memory,
                           timeout=timeout, include_modules=include, exclude_modules=exclude)
        self.last_call = 'call_async'
        self._single_maps.add(futures[0].job_key)
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
        if chained is not None and has_settled(chained):  # the engine does not know them
            chained, iterdata = None, self._results_of(chained)
        items = items_of(iterdata) if chained is None else chained
        is_empty = not len(items)
        if type(function) is NativeFunction:
            if extra_env:
                raise ValueError('extra_env is for Python functions')
            options.update(extra_args=extra_args, include=include or None)
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

    def _add(self, futures: list, unread: list) -> None:
        self.total_jobs += 1
        with self._lock:
            self.futures.extend(futures)
            self._unread.extend(unread)

    def _consume(self, futures: list) -> None:
        """Their results are input of another job: `get_result` gives that one's."""
        consumed = set(futures)
        with self._lock:
            self._unread = [future for future in self._unread if future not in consumed]

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

        Returns (done, not_done). The other parameters have no effect: results come with the news
        that they are there. Ctrl-C ends the wait and cancels all calls of this executor.
        """
        futures = list(self.futures) if fs is None else as_list(fs)
        waited = futures
        if fs is None and throw_except:
            told = {future for future in futures
                    if future in self._given_up or (future.error and future.read)}
            waited = [future for future in futures if future not in told] if told else futures
            if len(waited) < len(futures) and return_when == ALL_COMPLETED:
                wait_for(list(told), return_when, timeout, False, show_progressbar)
        if waited:
            self._wait(waited, return_when, timeout, throw_except, show_progressbar, False)
        if not throw_except:
            self._given_up.update(future for future in waited if future.error)
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
        if fs is None:
            with self._lock:
                futures, self._unread = self._unread, []
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
        except Exception:
            if fs is None and not (throws and any(map(_has_failed, futures))):
                with self._lock:  # a timeout, as a rule: the results can still be had
                    self._unread[:0] = [future for future in futures if not future.canceled]
            raise
        if len(results) == 1 and (fs is futures[0] or not self._gives_list(futures[0])):
            return results[0]
        return results

    def _gives_list(self, future: ResponseFuture) -> bool:
        return (future.gives_list and not future.is_reduce
                and future.job_key not in self._single_maps)

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
        """Ctrl-C: nothing of this executor goes on."""
        self._cancel([*self.futures, *futures])

    def _cancel(self, futures: list) -> None:
        """End those that are not done; nobody waits for their results any more."""
        pending = [future for future in futures if not future.done]
        if pending:
            use_cancelled_error()
            _lithops.cancel(pending)
        with self._lock:
            dropped = set(futures)
            self._unread = [future for future in self._unread if future not in dropped]
            self._given_up |= dropped

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
        then; a further call replaces it.

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
        """Delete temporary data.

        Parameters:
            fs: a future or a list, whose jobs are meant; None: all jobs of this executor
            cs: cloudobjects to delete; without `fs`, nothing else is
            clean_cloudobjects: delete the cloudobjects that the jobs have stored, too
            clean_fn: forget functions
            force: also of jobs that run still or whose results nobody has taken
            on_exit: do it when the executor closes
        """
        if cs:
            self.storage.delete_cloudobjects(list(cs))
            if not fs:
                return
        if self._is_closed:
            return  # closing has cleaned
        futures = None if fs is None else [
            future for future in as_list(fs) if type(future) is ResponseFuture]
        if force:
            use_cancelled_error()
        settled = self.futures if futures is None else futures
        self.cleaned_jobs.update({future.job_key for future in list(settled)
                                  if force or future.done})
        self._engine.clean(futures, None, bool(clean_cloudobjects), bool(clean_fn), bool(force),
                           bool(on_exit))


def _has_failed(future: ResponseFuture) -> bool:
    return future.error and not future.canceled


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
    """Keys of a section that matter to a storage: localhost has the compute backend's too."""
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
