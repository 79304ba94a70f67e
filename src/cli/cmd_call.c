/* SPDX-License-Identifier: Apache-2.0 */
/* lithops call FUNCTION [ARGUMENT...]: one call.
 *
 * No argument is null, one is the input itself, several are a list, bound by position; --extra
 * alone is a map, bound by name. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/run.h"

static lithops_value *input_of(const struct cli *cli, const struct cli_job *job, lithops_error *err)
{
    const struct cli_list *args = &cli->arguments;
    if (job->extra && args->count > 1) {
        lithops__fail(err, LITHOPS_EUSAGE,
                      "call: give arguments by position, or by name with --extra; not both");
        return NULL;
    }
    if (job->extra)
        return lithops_value_copy(job->extra);
    if (args->count == 1)
        return lithops_value_null();
    struct cli_list rest = {args->items + 1, args->count - 1, 0};
    lithops_value *list = cli_values_from_list(&rest, cli_input_form(&cli->options), false, err);
    if (!list || rest.count > 1)
        return list;
    lithops_value *only = lithops_value_copy(lithops_value_at(list, 0));
    lithops_value_free(list);
    return only;
}

static int start_call(struct cli_run *run, const lithops_function *function, lithops_value *input,
                      const struct cli_job *job, lithops_error *err)
{
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.extra_env = job->env;
    options.runtime_memory_mb = job->map.runtime_memory_mb;
    options.timeout_ms = job->map.timeout_ms;
    options.include_modules = job->map.include_modules;
    options.exclude_modules = job->map.exclude_modules;
    lithops_future *future = lithops_call_async(run->fexec, function, input, &options, err);
    lithops_futures *futures = future ? lithops_futures_new(&future, 1) : NULL;
    lithops_future_unref(future);
    if (!futures)
        return future ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a call") : err->code;
    int rc = cli_run_add(run, futures, 0, 0, err);
    return rc == 0 ? cli_run_all(run, err) : rc;
}

int cmd_call(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct cli_job job;
    int rc = cli_job_init(&job, &cli->options, &err);
    lithops_value *input = rc == 0 ? input_of(cli, &job, &err) : NULL;
    lithops_function *function =
        input ? lithops_function_open(cli->arguments.items[0], &err) : NULL;
    int status;
    if (function) {
        struct cli_run run;
        rc = cli_run_open(&run, cli, function->code, &err);
        if (rc == 0)
            rc = start_call(&run, function, input, &job, &err);
        else
            lithops_value_free(input);
        status = cli_run_finish(&run, rc, &err);
    } else {
        lithops_value_free(input);
        status = cli_report(&err);
    }
    lithops_function_free(function);
    cli_job_deinit(&job);
    return status;
}
