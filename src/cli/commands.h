/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, one file each: cmd_<name>.c. Each returns the program's exit status, and has said
 * on standard error what went wrong. */
#ifndef LITHOPS_CLI_COMMANDS_H
#define LITHOPS_CLI_COMMANDS_H

#include <lithops/storage.h>

struct cli;

/* Delete all objects whose key starts with `prefix` (NULL: all). In cmd_storage.c. */
int cli_storage_delete_prefix(lithops_storage *storage, const char *bucket, const char *prefix,
                              size_t *ret_count, lithops_error *err);

int cmd_map(const struct cli *cli);
int cmd_map_reduce(const struct cli *cli);
int cmd_call(const struct cli *cli);
int cmd_hello(const struct cli *cli);
int cmd_test(const struct cli *cli);
int cmd_clean(const struct cli *cli);
int cmd_logs(const struct cli *cli);
int cmd_storage_put(const struct cli *cli);
int cmd_storage_get(const struct cli *cli);
int cmd_storage_list(const struct cli *cli);
int cmd_storage_delete(const struct cli *cli);
int cmd_config_show(const struct cli *cli);
int cmd_config_check(const struct cli *cli);
int cmd_config_path(const struct cli *cli);
int cmd_job_list(const struct cli *cli);
int cmd_job_stop(const struct cli *cli);
int cmd_completion(const struct cli *cli);

#endif
