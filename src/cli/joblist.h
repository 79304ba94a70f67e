/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of programs on this machine and on hosts of the configuration, each once. */
#ifndef LITHOPS_CLI_JOBLIST_H
#define LITHOPS_CLI_JOBLIST_H

#include "config/config.h"

#include <lithops/value.h>

/* Each job is a map: job, client, pid (of a client here), is_part, function, calls, pending,
 * running, success, failed, canceled, age_s; with `is_part` its client is elsewhere, and what hosts
 * have of it now is counted. */
struct cli_joblist {
    lithops_value **jobs; /* those with a client first */
    size_t count, room;
    int unreachable; /* exit status where a host was not reached, which was reported; else 0 */
};

/* List what is here, and on the hosts of `config`; NULL: not there. */
int cli_joblist_make(const struct lithops__config *config, struct cli_joblist *ret_list,
                     lithops_error *err);
void cli_joblist_deinit(struct cli_joblist *list);

#endif
