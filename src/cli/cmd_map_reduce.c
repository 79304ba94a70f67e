/* SPDX-License-Identifier: Apache-2.0 */
/* lithops map-reduce FUNCTION --over INPUT... --reduce FUNCTION.
 *
 * All inputs must be known when the job starts, so standard input is read to its end first. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/stream.h"

#include <string.h>

/* How many of the futures belong to the map; the reducers' follow. */
static size_t count_map_calls(const lithops_futures *futures)
{
    size_t count = lithops_futures_size(futures);
    while (count > 0) {
        lithops_future *future = lithops_futures_get(futures, count - 1);
        bool reducer = lithops_future_is_reducer(future);
        lithops_future_unref(future);
        if (!reducer)
            break;
        count--;
    }
    return count;
}

static int map_reduce(struct cli_run *run, const lithops_function *map,
                      const lithops_function *reduce, const struct cli_job *job, bool stream,
                      lithops_error *err)
{
    const struct cli_options *o = run->options;
    bool objects = cli_inputs_are_objects(o);
    lithops_value *inputs = stream
                                ? cli_stream_read_all(run, err)
                                : cli_values_from_list(&o->over, cli_input_form(o), objects, err);
    if (!inputs)
        return err->code;
    if (objects)
        inputs = lithops_objects(inputs);
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    options.chunksize = job->map.chunksize;
    options.extra_args = job->extra;
    options.extra_args_reduce = job->extra_reduce;
    options.extra_env = job->env;
    options.map_runtime_memory_mb = o->memory_mb;
    options.reduce_runtime_memory_mb = o->reduce_memory_mb;
    options.timeout_ms = o->timeout_ms;
    options.obj_chunk_size = o->chunk_size;
    options.obj_chunk_number = o->chunk_number;
    options.obj_newline = job->map.obj_newline;
    options.obj_reduce_by_key = o->reduce_by_object;
    if (o->spawn_reducer != LITHOPS_DEFAULT)
        options.spawn_reducer = o->spawn_reducer;
    options.include_modules = job->map.include_modules;
    options.exclude_modules = job->map.exclude_modules;
    lithops_futures *futures;
    int rc = lithops_map_reduce(run->fexec, map, inputs, reduce, &options, &futures, err);
    if (rc != 0)
        return rc;
    rc = cli_run_add(run, futures, count_map_calls(futures), 0, err);
    return rc == 0 ? cli_run_all(run, err) : rc;
}

int cmd_map_reduce(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct cli_options *o = &cli->options;
    bool stream = false;
    if (!o->over_given)
        lithops__fail(&err, LITHOPS_EUSAGE,
                      "map-reduce: --over is missing; name the inputs, as in --over 1 2 3");
    else if (!o->reduce)
        lithops__fail(&err, LITHOPS_EUSAGE, "map-reduce: --reduce FUNCTION is missing");
    else
        cli_over_is_stream(o, &stream, &err);
    if (err.code)
        return cli_report(&err);

    struct cli_job job;
    int rc = cli_job_init(&job, o, &err);
    lithops_function *map = rc == 0 ? lithops_function_open(cli->arguments.items[0], &err) : NULL;
    lithops_function *reduce = map ? lithops_function_open(o->reduce, &err) : NULL;
    int status;
    if (reduce) {
        struct cli_run run;
        rc = cli_run_open(&run, cli, map->code || reduce->code, &err);
        if (rc == 0)
            rc = map_reduce(&run, map, reduce, &job, stream, &err);
        status = cli_run_finish(&run, rc, &err);
    } else {
        status = cli_report(&err);
    }
    lithops_function_free(reduce);
    lithops_function_free(map);
    cli_job_deinit(&job);
    return status;
}
