/* SPDX-License-Identifier: Apache-2.0 */
/* lithops clean: remove what is left of programs that have ended.
 *
 * Shared memory goes with its processes, always. What stays is the kept output of calls, memory
 * groups of clients that were killed and processes that their functions had started, and with --all
 * what Lithops itself put into the storage (cloudobjects without a name of their own, function
 * images). Objects of users stay. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "core/inspect.h"
#include "core/logfile.h"

#include <dirent.h>
#include <errno.h>
#include <lithops/storage.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int clean_logs(int64_t *ret_removed, lithops_error *err)
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
        if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
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
                                       &deleted, err);
    if (rc == LITHOPS_ENOTFOUND) /* no bucket, so nothing was ever stored */
        rc = 0;
    *ret_removed = (int64_t)deleted;
    lithops_storage_close(storage);
    return rc;
}

static void print_removed(const struct cli *cli, int64_t logs, struct lithops__tidied tidied,
                          int64_t objects)
{
    if (!cli->options.json) {
        printf("removed: %lld logs, %lld process groups, %lld memory groups, %lld objects\n",
               (long long)logs, (long long)tidied.process_groups, (long long)tidied.memory_groups,
               (long long)objects);
        return;
    }
    lithops_value *line = lithops_pack("{s:I,s:I,s:I,s:I}", "logs", logs, "process_groups",
                                       (int64_t)tidied.process_groups, "memory_groups",
                                       (int64_t)tidied.memory_groups, "objects", objects);
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
    int64_t logs = 0, objects = 0;
    int rc = clean_logs(&logs, &err);
    struct lithops__tidied tidied = lithops__inspect_tidy();
    if (rc == 0 && cli->options.all)
        rc = clean_storage(&cli->options, &objects, &err);
    if (rc != 0)
        return cli_report(&err);
    print_removed(cli, logs, tidied, objects);
    return 0;
}
