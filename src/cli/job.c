/* SPDX-License-Identifier: Apache-2.0 */
/* The options of an executor and of a job. Ranges are checked when the command line is parsed; the
 * engine reports what only it can know, such as a missing file to include. */
#include "cli/job.h"

#include "config/config.h"

#include <stdlib.h>

/* The command of Python worker processes: with the interpreter in the configuration, else in
 * LITHOPS_PYTHON, else the first on PATH. `user` is room for the words. */
static const char *const *python_command(void *user, const char *runtime, lithops_error *err)
{
    (void)err;
    const char **command = user;
    if (!runtime)
        runtime = getenv("LITHOPS_PYTHON"); /* set by the command from the Python package */
    command[0] = runtime ? runtime : "python3";
    command[1] = "-m";
    command[2] = "lithops._worker";
    command[3] = NULL;
    return command;
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
    options.detached = o->detach;
    const char *command[4];
    if (python) {
        options.make_worker_command = python_command;
        options.user = command;
    }
    lithops_executor *fexec = lithops_executor_open(&options, err);
    lithops_value_free(settings);
    return fexec;
}

int cli_check_backend(const struct cli_options *o, lithops_error *err)
{
    if (!o->backend && !o->config_file)
        return 0;
    lithops_executor *fexec = cli_executor_open(o, false, err); /* starts no process yet */
    if (!fexec)
        return err->code;
    lithops_executor_close(fexec);
    return 0;
}

int cli_load_hosts(const struct cli_options *o, struct lithops__config **ret_config,
                   lithops_error *err)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.backend = o->backend;
    options.config_file = o->config_file;
    *ret_config = NULL;
    return o->here ? 0 : lithops__config_load(&options, ret_config, err);
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
