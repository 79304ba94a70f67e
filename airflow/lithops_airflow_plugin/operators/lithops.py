# SPDX-License-Identifier: Apache-2.0
"""The operators: a task submits one job to Lithops, waits for it, and returns its result.

`LithopsOperator` is what they share; each of the others turns its parameters into one call of the
futures API (`_arguments()`) and says whether its result is a list (`_gives_list()`). How a task
waits is in job_operator.py, the job itself in job.py. An operator's attributes are what its author
gave; `execute()` changes none of them, so a retry, or another run of the same object, starts from
the same values.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from lithops_airflow_plugin import lineage, spellings
from lithops_airflow_plugin._airflow import AirflowException
from lithops_airflow_plugin.durable import KeptJob
from lithops_airflow_plugin.hooks.lithops import LithopsHook
from lithops_airflow_plugin.job import LithopsJob, job_of, remember
from lithops_airflow_plugin.operators.job_operator import JobOperator
from lithops_airflow_plugin.values import handle_of, mapping_of, names_of, number_of


def _copied(names: Sequence[str] | str | None) -> list[str] | str | None:
    return list(names) if isinstance(names, list | tuple) else names


class LithopsOperator(JobOperator):
    """Common base of the operators that begin a job. Besides the parameters of JobOperator:

    :param durable: a retry, also after the task's process was killed, takes the job up that an
        earlier try has begun
    :param async_invoke: return the job's handle without waiting for its calls
    :param get_result: False: wait, but return what identifies the job in place of its result
    :param clean_data: delete the job's temporary data when it is done
    :param extra_env: environment variables for the functions
    :param runtime_memory: limit of each call, in MiB; None: from the configuration
    :param timeout: seconds that a call may run; None: from the configuration
    :param include_modules: modules that travel with a function; empty: what it needs; None: none
    :param exclude_modules: modules that do not
    :param mode, backend, storage, monitoring, runtime, log_level: options of the executor
    :param activation_retries: how often a failed call runs again before the task fails
    """

    template_fields: Sequence[str] = (
        *JobOperator.template_fields,
        "extra_env",
        "backend",
        "storage",
        "runtime",
        "mode",
        "monitoring",
        "log_level",
        "runtime_memory",
        "timeout",
        "activation_retries",
        "include_modules",
        "exclude_modules",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **JobOperator.template_fields_renderers,
        "extra_env": "json",
    }
    _spellings: ClassVar[Mapping[str, spellings.Spelling]] = spellings.COMMON

    def __init__(
        self,
        *,
        durable: bool = False,
        async_invoke: bool = False,
        get_result: bool = True,
        clean_data: bool = False,
        extra_env: Mapping[str, str] | None = None,
        runtime_memory: int | None = 256,
        timeout: int | None = None,
        include_modules: Sequence[str] | str | None = (),
        exclude_modules: Sequence[str] | str | None = (),
        mode: str | None = None,
        backend: str | None = None,
        storage: str | None = None,
        monitoring: str | None = None,
        runtime: str | None = None,
        log_level: str | None = None,
        activation_retries: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.durable = durable
        self.async_invoke = async_invoke
        self.get_result = get_result
        self.clean_data = clean_data
        self.extra_env = extra_env
        self.runtime_memory = runtime_memory
        self.timeout = timeout
        self.include_modules = _copied(include_modules)
        self.exclude_modules = _copied(exclude_modules)
        self.mode = mode
        self.backend = backend
        self.storage = storage
        self.monitoring = monitoring
        self.runtime = runtime
        self.log_level = log_level
        self.activation_retries = activation_retries

    def _hook_apply_defaults(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        # Airflow calls this with all arguments before the __init__ of each class sees them; the
        # outermost comes first, and is the only one to look at the DAG's default_args.
        defaults = {} if hasattr(self, "_named") else kwargs.get("default_args") or {}
        object.__setattr__(self, "_named", True)
        kwargs = spellings.renamed(type(self).__name__, self._spellings, kwargs, defaults)
        inherited = getattr(super(), "_hook_apply_defaults", None)
        return inherited(*args, **kwargs) if inherited else (args, kwargs)

    def execute(self, context: Any) -> Any:
        """Run the job. Returns its result, or what identifies it, as JSON.

        :raises AirflowException: a call has failed (the error names it), or the task was killed
        :raises ValueError: the configuration or an argument is wrong
        """
        job = LithopsJob(self.log)
        remember(self, job)
        try:
            self._begin(job, context)
            if not self.async_invoke:
                return self._finish(job, context)
            if job.handle is not None:
                job.leave()
            return job.identity
        finally:
            if not self.async_invoke or job.handle is not None:
                job.close()

    def _begin(self, job: LithopsJob, context: Any) -> None:
        """Submit the job, or attach to the one that an earlier try has begun."""
        kept = KeptJob(context, self.log) if self.durable else None
        handle = kept.take() if kept is not None else None
        if handle is not None:
            job.attach(self._hook().attach(handle))
            self._resumed(job)
            return
        method, arguments = self._arguments(context)
        if method == "call_async":
            job.inputs = lineage.objects(arguments["func"], [arguments["data"]])
        else:
            job.inputs = lineage.objects(arguments["map_function"], arguments["map_iterdata"])
        is_detached = self.async_invoke or self.durable or self.deferrable
        executor = self._hook().get_conn(detached=is_detached)
        executor_id = job.open(executor)
        if kept is not None:
            kept.begin(executor_id, method)
        job.start(method, is_detached, **self._common_arguments(), **arguments)
        if job.handle is not None:
            job.handle["gives_list"] = self._gives_list()
            if kept is not None:
                kept.keep(job.handle)

    def _taken(self, job: LithopsJob) -> Any:
        if not self.get_result:
            job.is_kept = True
            return job.identity
        results = job.fetch()
        if self.clean_data:
            job.clean()
        return results if self._gives_list() else results[0]

    def _resumed(self, job: LithopsJob) -> None:
        job.inputs = self._known_inputs()

    def get_openlineage_facets_on_start(self) -> Any:
        """Inputs that are known before the task runs."""
        return lineage.facets(self._known_inputs(), [])

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Objects that the job has read, and objects that its results name."""
        job = job_of(self)
        if job is None:
            return self.get_openlineage_facets_on_start()
        return lineage.facets(job.inputs, job.outputs)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """As on completion."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _arguments(self, context: Any) -> tuple[str, dict[str, Any]]:
        """(method of the executor, its arguments besides the common ones)"""
        raise NotImplementedError

    def _gives_list(self) -> bool:
        """Whether the job's result is the list of its calls' results, or that of one call."""
        return True

    def _known_inputs(self) -> list[str]:
        return []

    def _hook(self) -> LithopsHook:
        return LithopsHook(
            self.lithops_conn_id,
            mapping_of(self, "lithops_config"),
            mode=self.mode,
            backend=self.backend,
            storage=self.storage,
            monitoring=self.monitoring,
            runtime=self.runtime,
            log_level=self.log_level,
            activation_retries=number_of(self, "activation_retries"),
        )

    def _common_arguments(self) -> dict[str, Any]:
        return {
            "extra_env": mapping_of(self, "extra_env"),
            "timeout": number_of(self, "timeout"),
            "include_modules": names_of(self, "include_modules"),
            "exclude_modules": names_of(self, "exclude_modules"),
        }


class LithopsCallAsyncOperator(LithopsOperator):
    """One call of a function: `LithopsCallAsyncOperator(func=add, data={"x": 1, "y": 3})` gives 4.

    :param func: the function
    :param data: its arguments: a dict of keywords, a tuple of positions, or one argument
    :param data_from_task: arguments that other tasks have returned, {keyword: task_id}
    """

    template_fields = (*LithopsOperator.template_fields, "data")
    template_fields_renderers = LithopsOperator.template_fields_renderers | {"data": "json"}
    shallow_copy_attrs = ("func",)

    def __init__(
        self,
        *,
        func: Callable,
        data: Any = None,
        data_from_task: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_callable(self, "func", func)
        self.func = func
        self.data = {} if data is None else data
        self.data_from_task = data_from_task

    def _arguments(self, context: Any) -> tuple[str, dict[str, Any]]:
        data = self.data
        pulled = {
            keyword: context["ti"].xcom_pull(task_ids=task_id)
            for keyword, task_id in (self.data_from_task or {}).items()
        }
        if pulled and isinstance(data, Mapping):
            data = {**data, **pulled}
        elif pulled and isinstance(data, list | tuple):
            data = type(data)([*data, *pulled.values()])
        elif pulled:
            raise ValueError(
                f"{type(self).__name__}: data_from_task needs data that is a dict or a list, not a "
                f"{type(data).__name__}"
            )
        arguments = {
            "func": self.func,
            "data": data,
            "runtime_memory": number_of(self, "runtime_memory"),
        }
        return "call_async", arguments

    def _gives_list(self) -> bool:
        return False

    def _known_inputs(self) -> list[str]:
        return lineage.objects(self.func, [self.data])


_SIZES = ("chunk_size", "chunk_n", "chunksize")
_REDUCER = ("extra_args_reduce", "map_runtime_memory", "reduce_runtime_memory", "spawn_reducer")


class _Mapping(LithopsOperator):
    """What map and map_reduce share: where the items come from, and how objects are cut."""

    template_fields = (
        *LithopsOperator.template_fields,
        "map_iterdata",
        "extra_params",
        *_SIZES,
    )
    template_fields_renderers = LithopsOperator.template_fields_renderers | {
        "map_iterdata": "json",
        "extra_params": "json",
    }
    _spellings = spellings.MAP

    def __init__(
        self,
        *,
        map_function: Callable,
        map_iterdata: Any = None,
        iterdata_from_task: str | Mapping[str, str] | None = None,
        extra_params: Any = None,
        chunk_size: int | None = None,
        chunk_n: int | None = None,
        chunksize: int | None = None,
        obj_newline: str | None = "\n",
        remote_invocation: bool = False,
        invoke_pool_threads: int = 500,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        _check_callable(self, "map_function", map_function)
        if map_iterdata is None and iterdata_from_task is None:
            raise AirflowException(f"{name}: map_iterdata or iterdata_from_task must be given")
        is_given = map_iterdata is not None and not _is_empty_list(map_iterdata)
        if is_given and iterdata_from_task is not None:
            raise ValueError(f"{name}: map_iterdata and iterdata_from_task exclude each other")
        _check_chunks(name, map_function, chunk_size, chunk_n, chunksize)
        self.map_function = map_function
        self.map_iterdata = map_iterdata
        self.iterdata_from_task = iterdata_from_task
        self.extra_params = extra_params
        self.chunk_size = chunk_size
        self.chunk_n = chunk_n
        self.chunksize = chunksize
        self.obj_newline = obj_newline
        self.remote_invocation = remote_invocation
        self.invoke_pool_threads = invoke_pool_threads

    def _known_inputs(self) -> list[str]:
        items = [] if self.map_iterdata is None else self.map_iterdata
        return lineage.objects(self.map_function, [items] if isinstance(items, str) else items)

    def _map_arguments(self, context: Any) -> dict[str, Any]:
        return {
            "map_function": self.map_function,
            "map_iterdata": self._items(context),
            "extra_args": self.extra_params,
            "chunksize": number_of(self, "chunksize"),
            "obj_chunk_size": number_of(self, "chunk_size"),
            "obj_chunk_number": number_of(self, "chunk_n"),
            "obj_newline": self.obj_newline,
        }

    def _items(self, context: Any) -> Any:
        source = self.iterdata_from_task
        if source is None:
            return self._checked(self.map_iterdata, "map_iterdata")
        ti = context["ti"]
        if isinstance(source, str):
            return self._checked(ti.xcom_pull(task_ids=source), f"task {source!r}")
        columns = [
            self._checked(ti.xcom_pull(task_ids=task_id), f"task {task_id!r}")
            for task_id in source.values()
        ]
        if len({len(column) for column in columns}) > 1:
            raise ValueError(
                f"{type(self).__name__}: iterdata_from_task: the lists of {list(source.values())} "
                f"have different lengths: {[len(column) for column in columns]}"
            )
        return [dict(zip(source, values, strict=True)) for values in zip(*columns, strict=True)]

    def _checked(self, items: Any, source: str) -> Any:
        name = type(self).__name__
        if isinstance(items, str):
            if items.lstrip()[:1] in ("[", "{"):
                raise ValueError(
                    f"{name}: {source} is the text of a list, not a list; give an XComArg "
                    "(task.output), or set render_template_as_native_obj=True on the DAG"
                )
            return [items]  # a bucket, or an object
        if isinstance(items, bytes | Mapping) or not isinstance(items, Iterable):
            raise ValueError(f"{name}: {source} must give a list, not a {type(items).__name__}")
        return items if isinstance(items, list | range) else list(items)


class LithopsMapOperator(_Mapping):
    """A call of a function for each item: `add` over [1, 2, 3] with {"y": 1} gives [2, 3, 4].

    :param map_function: the function
    :param map_iterdata: the items; names of buckets or objects for a function of `obj`
    :param iterdata_from_task: the task that has returned the items; {keyword: task_id} gives each
        item to the function under that keyword
    :param extra_params: further arguments of every call
    :param chunk_size: objects are cut into chunks of so many *bytes*, on line ends
    :param chunk_n: objects are cut into so many chunks
    :param chunksize: so many *items* go to a worker at a time
    :param obj_newline: what ends a line; None: chunks are cut anywhere
    :param remote_invocation, invoke_pool_threads: for backends that are called over HTTP
    """

    shallow_copy_attrs = ("map_function",)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def _arguments(self, context: Any) -> tuple[str, dict[str, Any]]:
        return "map", self._map_arguments(context) | {
            "runtime_memory": number_of(self, "runtime_memory")
        }


class LithopsMapReduceOperator(_Mapping):
    """As LithopsMapOperator, and a function that gets the list of the results.

    :param reduce_function: it; its result is the task's
    :param extra_args_reduce: further arguments for it
    :param map_runtime_memory, reduce_runtime_memory: limits in MiB; None: runtime_memory where that
        was given, else from the configuration
    :param reducer_one_per_object: a reducer for the chunks of each object; the task returns a list
    :param reducer_wait_local: start the reducer when all other calls are done: spawn_reducer=100
    :param spawn_reducer: start it when so many per cent of the others are done (20)
    """

    template_fields = (*_Mapping.template_fields, *_REDUCER)
    template_fields_renderers = _Mapping.template_fields_renderers | {"extra_args_reduce": "json"}
    _spellings = spellings.MAP_REDUCE
    shallow_copy_attrs = ("map_function", "reduce_function")

    def __init__(
        self,
        *,
        reduce_function: Callable | None = None,
        extra_args_reduce: Any = None,
        map_runtime_memory: int | None = None,
        reduce_runtime_memory: int | None = None,
        reducer_one_per_object: bool = False,
        reducer_wait_local: bool = False,
        spawn_reducer: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        if reduce_function is None:  # not in the signature: there is an old spelling
            raise TypeError(f"{name}: missing keyword argument 'reduce_function'")
        _check_callable(self, "reduce_function", reduce_function)
        if reducer_wait_local and spawn_reducer not in (None, 100):
            raise ValueError(
                f"{name}: reducer_wait_local means spawn_reducer=100, but spawn_reducer is "
                f"{spawn_reducer}; give spawn_reducer alone"
            )
        memory = kwargs.get("runtime_memory")  # its default is for the other operators
        self.reduce_function = reduce_function
        self.extra_args_reduce = extra_args_reduce
        self.map_runtime_memory = memory if map_runtime_memory is None else map_runtime_memory
        self.reduce_runtime_memory = (
            memory if reduce_runtime_memory is None else reduce_runtime_memory
        )
        self.reducer_one_per_object = reducer_one_per_object
        self.reducer_wait_local = reducer_wait_local
        self.spawn_reducer = spawn_reducer

    def _arguments(self, context: Any) -> tuple[str, dict[str, Any]]:
        spawn_reducer = number_of(self, "spawn_reducer")
        if spawn_reducer is None:
            spawn_reducer = 20
        arguments = self._map_arguments(context) | {
            "reduce_function": self.reduce_function,
            "extra_args_reduce": self.extra_args_reduce,
            "map_runtime_memory": number_of(self, "map_runtime_memory"),
            "reduce_runtime_memory": number_of(self, "reduce_runtime_memory"),
            "obj_reduce_by_key": self.reducer_one_per_object,
            "spawn_reducer": 100 if self.reducer_wait_local else spawn_reducer,
        }
        return "map_reduce", arguments

    def _gives_list(self) -> bool:
        return self.reducer_one_per_object


class LithopsResultOperator(JobOperator):
    """The results of a job that another task has begun with `async_invoke=True`: waits until it is
    done, and gives what that task would have given.

    :param handle: of the job: what the other task has returned, in XCom
    :param release: the job's results go when they were taken; False: they can be taken again, and
        `lithops clean` removes them when the job has expired
    """

    template_fields = (*JobOperator.template_fields, "handle")
    template_fields_renderers = JobOperator.template_fields_renderers | {"handle": "json"}

    def __init__(
        self, *, handle: Any, release: bool = True, cancel_on_kill: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(cancel_on_kill=cancel_on_kill, **kwargs)
        self.handle = handle
        self.release = release

    def execute(self, context: Any) -> Any:
        """Wait for the job, and return its result.

        :raises AirflowException: a call has failed (the error names it), or the task was killed
        :raises FileNotFoundError: the job was released, has expired, or is on another machine
        """
        job = LithopsJob(self.log)
        remember(self, job)
        try:
            job.attach(self._hook().attach(handle_of(self)))
            return self._finish(job, context)
        finally:
            job.close()

    def _taken(self, job: LithopsJob) -> Any:
        job.is_kept = not self.release
        results = job.fetch()
        gives_list = handle_of(self).get("gives_list", job.gives_list)
        return results if gives_list else results[0]


def _is_empty_list(value: Any) -> bool:
    return isinstance(value, list) and not value


def _check_callable(operator: LithopsOperator, name: str, value: Any) -> None:
    if not callable(value):
        raise TypeError(
            f"{type(operator).__name__}: {name} must be a function, not a {type(value).__name__}"
        )


def _check_chunks(
    name: str, function: Callable, chunk_size: Any, chunk_n: Any, chunksize: Any
) -> None:
    for parameter, value in (("chunk_size", chunk_size), ("chunk_n", chunk_n)):
        if value is not None and not lineage.takes_objects(function):
            raise ValueError(
                f"{name}: {parameter} cuts objects, in "
                f"{'bytes' if parameter == 'chunk_size' else 'chunks per object'}, for a function "
                "with a parameter 'obj', which this one has not; items per call are chunksize"
            )
    if chunksize is not None and chunk_size is None and lineage.takes_objects(function):
        if isinstance(chunksize, int) and chunksize >= 65536:
            raise ValueError(
                f"{name}: chunksize={chunksize} counts items that go to a worker at a time; bytes "
                "per chunk of an object are chunk_size"
            )
