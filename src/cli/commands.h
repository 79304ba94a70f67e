/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, one file each: cmd_<name>.c. Each returns the program's exit status and reports
 * errors on standard error itself. */
#ifndef LITHOPS_CLI_COMMANDS_H
#define LITHOPS_CLI_COMMANDS_H

#include <lithops/storage.h>

struct cli;

/* What `lithops --guard` is; see guard.c. @return exit status */
int cli_guard(char **words);

/* Delete (with dry_run: count) all objects whose key starts with `prefix` (NULL: all). In
 * cmd_storage.c. */
int cli_storage_delete_prefix(lithops_storage *storage, const char *bucket, const char *prefix,
                              bool dry_run, size_t *ret_count, lithops_error *err);

/* job list --detached. In cmd_detached.c. */
int cli_list_detached(const struct cli *cli);

int cmd_map(const struct cli *cli);
int cmd_map_reduce(const struct cli *cli);
int cmd_call(const struct cli *cli);
int cmd_run(const struct cli *cli);
int cmd_hello(const struct cli *cli);
int cmd_test(const struct cli *cli);
int cmd_clean(const struct cli *cli);
int cmd_logs(const struct cli *cli);
int cmd_logs_poll(const struct cli *cli);
int cmd_storage_put(const struct cli *cli);
int cmd_storage_get(const struct cli *cli);
int cmd_storage_copy(const struct cli *cli);
int cmd_storage_head(const struct cli *cli);
int cmd_storage_check(const struct cli *cli);
int cmd_storage_list(const struct cli *cli);
int cmd_storage_delete(const struct cli *cli);
int cmd_config_show(const struct cli *cli);
int cmd_config_check(const struct cli *cli);
int cmd_config_path(const struct cli *cli);
int cmd_config_prices(const struct cli *cli);
int cmd_job_list(const struct cli *cli);
int cmd_job_stop(const struct cli *cli);
int cmd_worker(const struct cli *cli);
int cmd_worker_list(const struct cli *cli);
int cmd_worker_start(const struct cli *cli);
int cmd_worker_stop(const struct cli *cli);
int cmd_job_status(const struct cli *cli);
int cmd_job_wait(const struct cli *cli);
int cmd_job_result(const struct cli *cli);
int cmd_job_cancel(const struct cli *cli);
int cmd_job_logs(const struct cli *cli);
int cmd_job_plot(const struct cli *cli);
int cmd_job_release(const struct cli *cli);
int cmd_supervisor(const struct cli *cli);
int cmd_runtime_build(const struct cli *cli);
int cmd_runtime_deploy(const struct cli *cli);
int cmd_runtime_update(const struct cli *cli);
int cmd_runtime_list(const struct cli *cli);
int cmd_runtime_delete(const struct cli *cli);
int cmd_attach(const struct cli *cli);
int cmd_completion(const struct cli *cli);

#endif
