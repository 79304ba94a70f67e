/* SPDX-License-Identifier: Apache-2.0 */
/* The options of an executor and of a job. Ranges are checked when the command line is parsed; what
 * only the engine knows, as whether a file to include is there, it says itself. */
#include "cli/job.h"

#include "config/config.h"

#include <stdlib.h>

/* Open an executor whose worker processes are Python's: the interpreter that the configuration
 * names, else that of LITHOPS_PYTHON, else the first in the PATH. */
static lithops_executor *open_python(lithops_executor_options *options, lithops_error *err)
{
    struct lithops__config *config = NULL;
    if (lithops__config_load(options, &config, err) != 0)
        return NULL;
    const char *runtime = lithops__config_string(config, "localhost", "runtime");
    if (!runtime)
        runtime = getenv("LITHOPS_PYTHON"); /* the command that pip installs knows its own */
    const char *const command[] = {runtime ? runtime : "python3", "-m", "lithops._worker", NULL};
    options->worker_command = command;
    lithops_executor *fexec = lithops_executor_open(options, err);
    options->worker_command = NULL;
    lithops__config_free(config);
    return fexec;
}

lithops_executor *cli_executor_open(const struct cli_options *o, bool python, lithops_error *err)
{
    lithops_value *settings;
    if (cli_named_values(&o->set, "set", false, &settings, err) != 0)
        return NULL;
    if (o->workers != LITHOPS_DEFAULT) {
        if (!settings)
            settings = lithops_value_map();
        lithops_value_set(settings, "worker_processes", lithops_value_int(o->workers));
    }
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.mode = o->mode;
    options.backend = o->backend;
    options.storage = o->storage;
    options.config_file = o->config_file;
    options.log_level = o->debug ? "debug" : o->log_level;
    options.settings = settings;
    lithops_executor *fexec =
        python ? open_python(&options, err) : lithops_executor_open(&options, err);
    lithops_value_free(settings);
    return fexec;
}

bool cli_inputs_are_objects(const struct cli_options *options)
{
    return options->objects || options->chunk_size != LITHOPS_DEFAULT ||
           options->chunk_number != LITHOPS_DEFAULT;
}

enum cli_text cli_input_form(const struct cli_options *options)
{
    return options->strings      ? CLI_TEXT_STRING
           : options->json_lines ? CLI_TEXT_JSON
                                 : CLI_TEXT_GUESS;
}

int cli_job_init(struct cli_job *job, const struct cli_options *o, lithops_error *err)
{
    *job = (struct cli_job){.map = LITHOPS_MAP_OPTIONS_INIT};
    int rc = cli_named_values(&o->extra, "extra", true, &job->extra, err);
    if (rc == 0)
        rc = cli_named_values(&o->extra_reduce, "extra-reduce", true, &job->extra_reduce, err);
    if (rc == 0)
        rc = cli_environment(&o->env, &job->env, err);
    if (rc == 0 && o->newline) {
        job->newline = cli_unescape(o->newline, err);
        rc = job->newline ? 0 : LITHOPS_EUSAGE;
        job->map.obj_newline = job->newline && *job->newline ? job->newline : NULL;
    }
    job->map.chunksize = o->group;
    job->map.extra_args = job->extra;
    job->map.extra_env = job->env;
    job->map.runtime_memory_mb = o->memory_mb;
    job->map.obj_chunk_size = o->chunk_size;
    job->map.obj_chunk_number = o->chunk_number;
    job->map.timeout_ms = o->timeout_ms;
    job->map.include_modules = o->include.items;
    job->map.exclude_modules = o->exclude.items;
    return rc;
}

void cli_job_deinit(struct cli_job *job)
{
    lithops_value_free(job->extra);
    lithops_value_free(job->extra_reduce);
    lithops_value_free(job->env);
    free(job->newline);
}
