/* SPDX-License-Identifier: Apache-2.0 */
/* lithops storage copy: an object under another name. Where the server does not copy it by itself,
 * it comes through this machine, as a stream: a thread reads it into a pipe, from which it is
 * stored.
 *
 * The pipe's end is the object's end, so a reader that fails must not close it: it says so, which
 * ends the put as if it were interrupted, and nothing is stored. */
#include "base/error.h"
#include "base/thread.h"
#include "cli/cmd_storage.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "storage/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

struct reading {
    lithops_storage *storage;
    const char *bucket, *key;
    int fd;
    lithops_error err;
    atomic_bool failed;
};

static void *read_object(void *user)
{
    struct reading *reading = user;
    uint64_t len;
    if (lithops_storage_get_fd(reading->storage, reading->bucket, reading->key, reading->fd, &len,
                               &reading->err) != 0)
        atomic_store(&reading->failed, true);
    else
        close(reading->fd);
    return NULL;
}

static bool is_over(void *user)
{
    return cli_signals_caught() != 0 || atomic_load(&((struct reading *)user)->failed);
}

static int copy(struct reading *reading, lithops_storage *to, const char *bucket, const char *key,
                lithops_error *err)
{
    int ends[2];
    pthread_t thread;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return lithops__fail_errno(err, errno, "storage copy: no pipe");
    reading->fd = ends[1];
    int failed = lithops__thread_start(&thread, read_object, reading);
    if (failed) {
        close(ends[0]);
        close(ends[1]);
        return lithops__fail_errno(err, failed, "storage copy: no thread");
    }
    lithops_storage_set_bounds(to, LITHOPS_FOREVER, is_over, reading, NULL);
    int rc = lithops_storage_put_fd(to, bucket, key, ends[0], err);
    bool reader_failed = rc && atomic_load(&reading->failed);
    close(ends[0]); /* a reader that still writes fails now */
    pthread_join(thread, NULL);
    if (atomic_load(&reading->failed))
        close(ends[1]);
    if (reader_failed) {
        *err = reading->err;
        rc = err->code;
    }
    return rc;
}

int cmd_storage_copy(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const char *const *names = cli->arguments.items;
    struct reading reading = {.bucket = names[0], .key = names[1], .err = LITHOPS_ERROR_INIT};
    lithops_storage *to = NULL;
    const char *key = cli->arguments.count > 3 ? names[3] : names[1];
    reading.storage = cli_storage_open(cli, &err);
    int rc = reading.storage
                 ? lithops__storage_copy(reading.storage, names[0], names[1], names[2], key, &err)
                 : err.code;
    if (rc == LITHOPS_EUNSUPPORTED) {
        to = cli_storage_open(cli, &err);
        rc = to ? copy(&reading, to, names[2], key, &err) : err.code;
    }
    lithops_storage_close(to);
    lithops_storage_close(reading.storage);
    return rc ? cli_report(&err) : 0;
}
