/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of standard input as a stream of jobs. */
#ifndef LITHOPS_CLI_STREAM_H
#define LITHOPS_CLI_STREAM_H

#include "cli/job.h"
#include "cli/run.h"

/* Map `function` over the lines of standard input until it ends, and write the results as they
 * come. Memory is bounded however long the input is. */
int cli_stream_map(struct cli_run *run, const lithops_function *function, const struct cli_job *job,
                   lithops_error *err);

/* Read standard input to its end: a list, owned by the caller. */
lithops_value *cli_stream_read_all(struct cli_run *run, lithops_error *err);

/* Whether "-" is --over's only argument. LITHOPS_EUSAGE if it is among others. */
int cli_over_is_stream(const struct cli_options *options, bool *ret_stream, lithops_error *err);

#endif
