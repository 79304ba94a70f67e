/* SPDX-License-Identifier: Apache-2.0 */
/* The options of an executor and of a job, from the command line. */
#ifndef LITHOPS_CLI_JOB_H
#define LITHOPS_CLI_JOB_H

#include "cli/input.h"
#include "cli/options.h"

#include <lithops/lithops.h>

/* `python`: the worker processes run Python functions. NULL on failure. */
lithops_executor *cli_executor_open(const struct cli_options *options, bool python,
                                    lithops_error *err);

/* For commands that open no executor: check that the backend of --backend or --config exists. */
int cli_check_backend(const struct cli_options *options, lithops_error *err);
/* For those that ask hosts: the configuration, for lithops__config_free(). *ret_config is NULL with
 * --here, as no host is asked then. */
struct lithops__config;
int cli_load_hosts(const struct cli_options *options, struct lithops__config **ret_config,
                   lithops_error *err);

struct cli_job {
    lithops_map_options map;
    lithops_value *extra, *extra_reduce, *env;
    char *newline;
};
/* From --extra, --env, --timeout, ...; owned by the caller, also on failure. */
int cli_job_init(struct cli_job *job, const struct cli_options *options, lithops_error *err);
void cli_job_deinit(struct cli_job *job);
/* Whether --objects, --chunk-size or --chunk-number makes inputs names of objects. */
bool cli_inputs_are_objects(const struct cli_options *options);
/* How to read inputs, by --strings and --json-lines. */
enum cli_text cli_input_form(const struct cli_options *options);

#endif
