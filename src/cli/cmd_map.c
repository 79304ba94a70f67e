/* SPDX-License-Identifier: Apache-2.0 */
/* lithops map FUNCTION --over INPUT...: one call per input. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/stream.h"

/* All inputs as one job: a detached one has to be known when this ends. */
static int map_arguments(struct cli_run *run, const lithops_function *function,
                         const struct cli_job *job, bool stream, lithops_error *err)
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
    lithops_futures *futures = lithops_map(run->fexec, function, inputs, &job->map, err);
    if (!futures)
        return err->code;
    int rc = cli_run_add(run, futures, 0, 0, err);
    return rc == 0 ? cli_run_all(run, err) : rc;
}

int cmd_map(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct cli_options *o = &cli->options;
    bool stream = false;
    if (!o->over_given)
        lithops__fail(&err, LITHOPS_EUSAGE,
                      "map: --over is missing; name the inputs, as in --over 1 2 3");
    else
        cli_over_is_stream(o, &stream, &err);
    if (err.code)
        return cli_report(&err);

    /* Open the function first, to report a wrong name before any worker process starts. */
    struct cli_job job;
    int rc = cli_job_init(&job, o, &err);
    lithops_function *function =
        rc == 0 ? lithops_function_open(cli->arguments.items[0], &err) : NULL;
    int status;
    if (function) {
        struct cli_run run;
        rc = cli_run_open(&run, cli, function->code, &err);
        if (rc == 0)
            rc = stream && !o->detach ? cli_stream_map(&run, function, &job, &err)
                                      : map_arguments(&run, function, &job, stream, &err);
        status = cli_run_finish(&run, rc, &err);
    } else {
        status = cli_report(&err);
    }
    lithops_function_free(function);
    cli_job_deinit(&job);
    return status;
}
