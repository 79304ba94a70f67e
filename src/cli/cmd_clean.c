/* SPDX-License-Identifier: Apache-2.0 */
/* lithops clean: remove what ended programs left behind.
 *
 * Shared memory always disappears with its processes. What remains is the logged output of calls,
 * detached jobs whose time is over and, of clients that were killed, memory groups and processes
 * that their functions had started, and pods of a cluster that the configuration names;
 * with --all also what Lithops itself stored (cloudobjects without a given name, function images)
 * and queues of clients at a broker, and with --cache the files that clients sent to workers here.
 * Users' objects are never removed. */
#include "agent/cache.h"
#include "base/error.h"
#include "broker/broker.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/options.h"
#include "cli/output.h"
#include "config/config.h"
#include "core/detached_jobs.h"
#include "core/inspect.h"
#include "core/logfile.h"
#include "core/probe.h"

#include <dirent.h>
#include <errno.h>
#include <lithops/storage.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int clean_logs(bool dry_run, int64_t *ret_removed, lithops_error *err)
{
    char folder[4096];
    lithops__logfile_folder(folder, sizeof folder);
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT ? 0 : lithops__fail_errno(err, errno, "'%s' cannot be read", folder);
    const struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".log") != 0)
            continue;
        if (dry_run || unlinkat(dirfd(dir), entry->d_name, 0) == 0)
            ++*ret_removed;
        else if (errno != ENOENT)
            rc =
                lithops__fail_errno(err, errno, "'%s/%s' cannot be removed", folder, entry->d_name);
    }
    closedir(dir);
    return rc;
}

static int clean_storage(const struct cli_options *options, int64_t *ret_removed,
                         lithops_error *err)
{
    lithops_storage *storage = lithops_storage_open(options->storage, options->config_file, err);
    if (!storage)
        return err->code;
    size_t deleted;
    int rc = cli_storage_delete_prefix(storage, lithops_storage_bucket(storage), "lithops.jobs/",
                                       options->dry_run, &deleted, err);
    if (rc == LITHOPS_ENOTFOUND) /* no bucket, so nothing was ever stored */
        rc = 0;
    *ret_removed = (int64_t)deleted;
    lithops_storage_close(storage);
    return rc;
}

/* The queues of the configured broker. */
static int clean_broker(const struct cli_options *options, int64_t *ret_removed, lithops_error *err)
{
    struct lithops__config *config = NULL;
    uint64_t removed = 0;
    int rc = cli_load_hosts(options, &config, err);
    if (rc == 0 && config)
        rc = lithops__broker_clean(config, options->dry_run, &removed, err);
    lithops__config_free(config);
    *ret_removed = (int64_t)removed;
    return rc;
}

/* What the configured backend has started elsewhere for clients that are dead. */
static int clean_backend(const struct cli_options *options, uint64_t *ret_removed,
                         lithops_error *err)
{
    struct lithops__config *config = NULL;
    int rc = cli_load_hosts(options, &config, err);
    if (rc == 0 && config)
        rc = lithops__clean_backend(config, options->dry_run, ret_removed, err);
    lithops__config_free(config);
    return rc;
}

struct removed {
    int64_t logs, objects, queues;
    uint64_t elsewhere; /* of the configured backend: pods' Jobs */
    struct lithops__tidied tidied;
    struct lithops__cache_trimmed cache;
    struct lithops__job_sweep detached;
};

static void print_removed(const struct cli *cli, const struct removed *removed)
{
    bool cache = cli->options.cache;
    if (!cli->options.json) {
        printf("%s: %lld logs, %lld process groups, %lld memory groups, %lld objects",
               cli->options.dry_run ? "would be removed" : "removed", (long long)removed->logs,
               (long long)removed->tidied.process_groups, (long long)removed->tidied.memory_groups,
               (long long)removed->objects);
        if (removed->detached.jobs)
            printf(", %llu detached jobs whose time is over (%.1f MiB)",
                   (unsigned long long)removed->detached.jobs,
                   (double)removed->detached.bytes / (1 << 20));
        if (removed->queues)
            printf(", %lld queues", (long long)removed->queues);
        if (removed->elsewhere)
            printf(", %llu workers of dead clients", (unsigned long long)removed->elsewhere);
        if (cache)
            printf(", %.1f MiB of the cache (%.1f MiB are in use)",
                   (double)removed->cache.bytes / (1 << 20),
                   (double)removed->cache.left_bytes / (1 << 20));
        printf("\n");
        return;
    }
    lithops_value *line =
        lithops_pack("{s:I,s:I,s:I,s:I,s:I}", "logs", removed->logs, "process_groups",
                     (int64_t)removed->tidied.process_groups, "memory_groups",
                     (int64_t)removed->tidied.memory_groups, "objects", removed->objects,
                     "detached_jobs", (int64_t)removed->detached.jobs);
    (void)lithops_value_set(line, "workers_elsewhere",
                            lithops_value_int((int64_t)removed->elsewhere));
    if (removed->queues)
        (void)lithops_value_set(line, "queues", lithops_value_int(removed->queues));
    if (cache)
        (void)lithops_value_set(line, "cache_bytes",
                                lithops_value_int((int64_t)removed->cache.bytes));
    char *text;
    if (lithops_value_to_json(line, &text, NULL) == 0) {
        printf("%s\n", text);
        free(text);
    }
    lithops_value_free(line);
}

int cmd_clean(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct removed removed = {0};
    int rc = cli_check_backend(&cli->options, &err);
    if (rc == 0)
        rc = clean_logs(cli->options.dry_run, &removed.logs, &err);
    if (rc == 0)
        removed.tidied = lithops__inspect_tidy(cli->options.dry_run);
    if (rc == 0)
        rc = lithops__detached_sweep(cli->options.dry_run, &removed.detached, &err);
    if (rc == 0 && cli->options.all)
        rc = clean_storage(&cli->options, &removed.objects, &err);
    if (rc == 0 && cli->options.cache)
        removed.cache = lithops__cache_clean(cli->options.dry_run);
    if (rc != 0)
        return cli_report(&err);
    rc = clean_backend(&cli->options, &removed.elsewhere, &err); /* which may be away */
    if (rc == 0 && cli->options.all)
        rc = clean_broker(&cli->options, &removed.queues, &err);
    print_removed(cli, &removed);
    return rc == 0 ? 0 : cli_report(&err);
}
