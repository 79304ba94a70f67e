/* SPDX-License-Identifier: Apache-2.0 */
/* The options of an executor and of a job, from those of the command line. */
#ifndef LITHOPS_CLI_JOB_H
#define LITHOPS_CLI_JOB_H

#include "cli/input.h"
#include "cli/options.h"

#include <lithops/lithops.h>

/* `python`: its worker processes are to run Python functions. NULL on failure. */
lithops_executor *cli_executor_open(const struct cli_options *options, bool python,
                                    lithops_error *err);

struct cli_job {
    lithops_map_options map;
    lithops_value *extra, *extra_reduce, *env;
    char *newline;
};
/* By --extra, --env, --timeout, ...; owned by the caller, also when it fails. */
int cli_job_init(struct cli_job *job, const struct cli_options *options, lithops_error *err);
void cli_job_deinit(struct cli_job *job);
/* --objects, --chunk-size or --chunk-number: inputs are names of objects. */
bool cli_inputs_are_objects(const struct cli_options *options);
/* How --strings and --json-lines say that inputs are to be read. */
enum cli_text cli_input_form(const struct cli_options *options);

#endif
