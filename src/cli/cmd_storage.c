/* SPDX-License-Identifier: Apache-2.0 */
/* lithops storage put|get|head|list|delete: the objects of the configured storage.
 *
 * Contents pass through in pieces, whatever their size. */
#include "cli/cmd_storage.h"
#include "base/error.h"
#include "cli/output.h"
#include "cli/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 };

static bool was_interrupted(void *user)
{
    (void)user;
    return cli_signals_caught() != 0;
}

/* On Ctrl-C a request ends in order: no parts of an object stay behind. */
lithops_storage *cli_storage_open(const struct cli *cli, lithops_error *err)
{
    lithops_storage *storage =
        lithops_storage_open(cli->options.storage, cli->options.config_file, err);
    if (storage) {
        cli_signals_catch(-1);
        lithops_storage_set_bounds(storage, LITHOPS_FOREVER, was_interrupted, NULL, NULL);
    }
    return storage;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- put ------------------------------------------------------------------------------------- */

static int put_folder(const struct cli *cli, const char *folder, lithops_error *err)
{
    lithops_storage *storage = cli_storage_open(cli, err);
    if (storage)
        cli_storage_put_folder(
            storage,
            cli->arguments.count > 1 ? cli->arguments.items[1] : lithops_storage_bucket(storage),
            folder, cli->options.key ? cli->options.key : "", cli->options.progress, err);
    lithops_storage_close(storage);
    return err->code;
}

int cmd_storage_put(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const char *file = cli->arguments.items[0];
    bool from_stdin = strcmp(file, "-") == 0;
    const char *key = cli->options.key ? cli->options.key : from_stdin ? "" : last_part(file);
    lithops_storage *storage = NULL;
    struct stat st;
    int fd = -1;
    if (!from_stdin && stat(file, &st) == 0 && S_ISDIR(st.st_mode))
        return put_folder(cli, file, &err) ? cli_report(&err) : 0;
    if (!*key)
        lithops__fail(&err, LITHOPS_EUSAGE,
                      "storage put: --key is missing, and '%s' has no file name to use as the key",
                      file);
    else if ((fd = from_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC)) < 0)
        lithops__fail_errno(&err, errno, "storage put: '%s' cannot be read", file);
    else if ((storage = cli_storage_open(cli, &err)) != NULL)
        lithops_storage_put_fd(storage,
                               cli->arguments.count > 1 ? cli->arguments.items[1]
                                                        : lithops_storage_bucket(storage),
                               key, fd, &err);
    lithops_storage_close(storage);
    if (fd > STDERR_FILENO)
        close(fd);
    return err.code ? cli_report(&err) : 0;
}

/* ---- get ------------------------------------------------------------------------------------- */

/* Write to a temporary file beside the target and rename it, so the target is always complete. */
int cli_storage_get_file(lithops_storage *storage, const char *bucket, const char *key,
                         const char *name, lithops_error *err)
{
    char part[4096 + 8];
    uint64_t len;
    if (snprintf(part, sizeof part, "%s.part", name) >= (int)sizeof part)
        return lithops__fail(err, LITHOPS_EUSAGE, "storage get: the name '%s' is too long", name);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return lithops__fail_errno(err, errno, "storage get: '%s' cannot be written", part);
    int rc = lithops_storage_get_fd(storage, bucket, key, fd, &len, err);
    if (close(fd) != 0 && rc == 0)
        rc = lithops__fail_errno(err, errno, "storage get: '%s' cannot be written", name);
    if (rc == 0 && rename(part, name) != 0)
        rc = lithops__fail_errno(err, errno, "storage get: '%s' cannot be written", name);
    if (rc != 0)
        unlink(part);
    return rc;
}

static int get_one(const struct cli *cli, lithops_storage *storage, const char *name,
                   lithops_error *err)
{
    const char *bucket = cli->arguments.items[0], *key = cli->arguments.items[1];
    uint64_t len;
    return strcmp(name, "-") == 0
               ? lithops_storage_get_fd(storage, bucket, key, STDOUT_FILENO, &len, err)
               : cli_storage_get_file(storage, bucket, key, name, err);
}

int cmd_storage_get(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct cli_options *options = &cli->options;
    const char *bucket = cli->arguments.items[0],
               *key = cli->arguments.count > 1 ? cli->arguments.items[1] : NULL;
    const char *name = options->out ? options->out : key ? last_part(key) : ".";
    lithops_storage *storage = NULL;
    int rc = 0;
    if (!key == !options->prefix)
        rc = lithops__fail(&err, LITHOPS_EUSAGE, "storage get: give either a key or --prefix");
    else if (!*name)
        rc = lithops__fail(
            &err, LITHOPS_EUSAGE,
            "storage get: --out is missing, and the key '%s' does not end in a file name", key);
    else if ((storage = cli_storage_open(cli, &err)) == NULL)
        rc = err.code;
    else if (key)
        rc = get_one(cli, storage, name, &err);
    else
        rc =
            cli_storage_get_prefix(storage, bucket, options->prefix, name, options->progress, &err);
    lithops_storage_close(storage);
    return rc ? cli_report(&err) : 0;
}

/* ---- list ------------------------------------------------------------------------------------ */

struct listing {
    struct cli_output out;
    lithops_error *err;
};

static void format_time(double seconds, char *buf, size_t size)
{
    time_t time = (time_t)seconds;
    struct tm tm;
    gmtime_r(&time, &tm);
    strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int print_object(const lithops_object_info *info, void *user)
{
    struct listing *listing = user;
    struct cli_output *out = &listing->out;
    char time[32];
    format_time(info->last_modified, time, sizeof time);
    if (!out->json) {
        lithops__buffer_printf(&out->buffer, "%12llu  %s  %s\n",
                               (unsigned long long)info->size_bytes, time, info->key);
        return out->buffer.len > PIECE_BYTES ? cli_output_flush(out, listing->err) : 0;
    }
    lithops_value *line =
        lithops_pack("{s:s,s:I,s:s,s:s}", "key", info->key, "size", (int64_t)info->size_bytes,
                     "last_modified", time, "etag", info->etag ? info->etag : "");
    int rc = cli_output_line(out, line, listing->err);
    lithops_value_free(line);
    return rc;
}

int cmd_storage_head(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct listing listing = {.err = &err};
    lithops_object_info info;
    int rc = cli_output_init(&listing.out, cli->options.json, false, NULL, &err);
    lithops_storage *storage = rc == 0 ? cli_storage_open(cli, &err) : NULL;
    rc = storage ? lithops_storage_head(storage, cli->arguments.items[0], cli->arguments.items[1],
                                        &info, &err)
                 : err.code;
    if (rc == 0)
        rc = print_object(&info, &listing);
    if (rc == 0)
        rc = cli_output_flush(&listing.out, &err);
    lithops_storage_close(storage);
    cli_output_deinit(&listing.out);
    return rc ? cli_report(&err) : 0;
}

int cmd_storage_list(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct listing listing = {.err = &err};
    int rc = cli_output_init(&listing.out, cli->options.json, false, NULL, &err);
    lithops_storage *storage = rc == 0 ? cli_storage_open(cli, &err) : NULL;
    rc = storage ? 0 : err.code;
    if (rc == 0)
        rc = lithops_storage_list(storage,
                                  cli->arguments.count > 0 ? cli->arguments.items[0]
                                                           : lithops_storage_bucket(storage),
                                  cli->options.prefix, print_object, &listing, &err);
    if (rc == 0)
        rc = cli_output_flush(&listing.out, &err);
    lithops_storage_close(storage);
    cli_output_deinit(&listing.out);
    return rc ? cli_report(&err) : 0;
}

/* ---- delete ---------------------------------------------------------------------------------- */

static int collect_key(const lithops_object_info *info, void *user)
{
    return cli_list_append_copy(user, info->key);
}

int cli_storage_delete_prefix(lithops_storage *storage, const char *bucket, const char *prefix,
                              bool dry_run, size_t *ret_count, lithops_error *err)
{
    struct cli_list keys = {NULL, 0, 0};
    int rc = lithops_storage_list(storage, bucket, prefix, collect_key, &keys, err);
    if (rc == 0 && keys.count > 0 && !dry_run)
        rc = lithops_storage_delete_many(storage, bucket, keys.items, keys.count, err);
    *ret_count = rc == 0 ? keys.count : 0;
    cli_list_free_copies(&keys);
    return rc;
}

int cmd_storage_delete(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const char *bucket = cli->arguments.items[0];
    const char *const *keys = cli->arguments.items + 1;
    size_t count = cli->arguments.count - 1;
    const char *prefix = cli->options.prefix;
    lithops_storage *storage = NULL;
    size_t deleted;
    int rc = 0;
    if ((count > 0) + (prefix != NULL) + cli->options.all != 1)
        rc = lithops__fail(&err, LITHOPS_EUSAGE,
                           "storage delete: give either keys, or --prefix, or --all");
    else if ((storage = cli_storage_open(cli, &err)) == NULL)
        rc = err.code;
    else if (count > 0)
        rc = lithops_storage_delete_many(storage, bucket, keys, count, &err);
    else
        rc = cli_storage_delete_prefix(storage, bucket, prefix, false, &deleted, &err);
    lithops_storage_close(storage);
    return rc ? cli_report(&err) : 0;
}
