/* SPDX-License-Identifier: Apache-2.0 */
/* Reading bytes of an object, whatever it is.
 *
 * An object of a storage whose objects are files of this machine is read like a file: one open,
 * then reads from the page cache. */
#include "partition/source.h"

#include "base/error.h"
#include "base/module.h"
#include "net/http.h"
#include "partition/sequence.h"
#include "storage/backends/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct lithops__source {
    const lithops_object *object;
    int fd; /* of a file or pipe, or -1 */
    bool is_pipe;
    struct lithops__sequence *sequence; /* of a pipe or packed object, or NULL */
    const struct lithops__http_api *api;
    struct lithops__http *http; /* of a URL, or NULL */
    bool is_clients;            /* it is a file of the client, which is elsewhere */
    lithops_storage *storage;   /* otherwise; both with */
    lithops_storage_cursor cursor;
};

static int open_file(struct lithops__source *source, const char *path, lithops_error *err)
{
    struct stat st;
    /* Opening a named pipe waits for a writer; opening a device must not wait. */
    bool waits = stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
    do
        source->fd = open(path, O_RDONLY | O_CLOEXEC | (waits ? 0 : O_NONBLOCK));
    while (source->fd < 0 && errno == EINTR);
    if (source->fd < 0 || fstat(source->fd, &st) != 0)
        return lithops__fail_errno(err, errno, "cannot open '%s'", path);
    source->is_pipe = S_ISFIFO(st.st_mode);
    if (!source->is_pipe && !S_ISREG(st.st_mode))
        return lithops__fail(err, LITHOPS_EUSAGE, "'%s' is neither a regular file nor a pipe",
                             path);
    return 0;
}

static int open_object(struct lithops__source *source, lithops_storage *storage, lithops_error *err)
{
    const lithops_object *object = source->object;
    if (!storage)
        return lithops__fail(err, LITHOPS_EUSAGE, "no storage was given to read '%s/%s' from",
                             object->bucket, object->key);
    source->storage = storage;
    if (!(lithops__storage_caps(storage) & LITHOPS_STORAGE_LOCAL_FILES))
        return 0;
    char path[PATH_MAX];
    int rc = lithops__storage_path(storage, object->bucket, object->key, path, sizeof path, err);
    return rc ? rc : open_file(source, path, err);
}

static int open_sequence(struct lithops__source *source, enum lithops__packing packing,
                         lithops_error *err);

int lithops__source_open(const lithops_object *object, enum lithops__packing packing,
                         bool of_client, lithops_storage *storage,
                         struct lithops__source **ret_source, lithops_error *err)
{
    struct lithops__source *source = calloc(1, sizeof *source);
    if (!source)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an object");
    source->object = object;
    source->fd = -1;
    int rc;
    if (object->path && of_client && lithops__client_has_file(object->path)) {
        source->is_clients = true;
        rc = 0;
    } else if (object->path) {
        rc = open_file(source, object->path, err);
    } else if (object->url) {
        source->api = lithops__module_symbol("http", "lithops__http", err);
        rc = source->api ? source->api->open(object->url, NULL, &source->http, err)
                         : LITHOPS_EUNSUPPORTED;
    } else {
        rc = open_object(source, storage, err);
    }
    if (rc == 0 && (packing != LITHOPS__PACKING_NONE || source->is_pipe))
        rc = open_sequence(source, packing, err);
    if (rc) {
        lithops__source_close(source);
        return rc;
    }
    *ret_source = source;
    return 0;
}

void lithops__source_close(struct lithops__source *source)
{
    if (!source)
        return;
    lithops__sequence_close(source->sequence);
    if (source->fd >= 0)
        close(source->fd);
    if (source->http)
        source->api->close(source->http);
    if (source->is_clients)
        lithops__client_end_read(&source->cursor);
    if (source->storage)
        lithops__storage_end_read(source->storage, &source->cursor);
    free(source);
}

bool lithops__source_is_file(const struct lithops__source *source)
{
    return source->fd >= 0 || source->is_clients;
}

static int read_stored(struct lithops__source *source, uint64_t offset, uint64_t expect_end,
                       void *buf, size_t len, size_t *ret_len, lithops_error *err);

int lithops__source_size(struct lithops__source *source, uint64_t *ret_size, bool *ret_parts,
                         lithops_error *err)
{
    int rc = 0;
    *ret_parts = true;
    if (source->fd >= 0) {
        struct stat st;
        if (fstat(source->fd, &st) != 0)
            return lithops__fail_errno(err, errno, "cannot read the size of a file");
        *ret_size = (uint64_t)st.st_size;
    } else if (source->http) {
        struct lithops__http_info info;
        rc = source->api->info(source->http, &info, err);
        if (rc == 0) {
            *ret_size = info.size_bytes;
            *ret_parts = info.ranges;
        }
    } else if (source->is_clients) {
        size_t none;
        rc = read_stored(source, 0, 0, NULL, 0, &none, err);
        *ret_size = source->cursor.size_bytes;
    } else {
        lithops_object_info info;
        rc = lithops_storage_head(source->storage, source->object->bucket, source->object->key,
                                  &info, err);
        if (rc == 0)
            *ret_size = info.size_bytes;
    }
    return rc;
}

static int read_file(const struct lithops__source *source, uint64_t offset, void *buf, size_t len,
                     size_t *ret_len, lithops_error *err)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = source->is_pipe ? read(source->fd, (char *)buf + done, len - done)
                                      : pread(source->fd, (char *)buf + done, len - done,
                                              (off_t)(offset + done));
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR) {
            const lithops_object *object = source->object;
            return lithops__fail_errno(err, errno, "cannot read '%s%s%s' at byte %llu",
                                       object->path ? object->path : object->bucket,
                                       object->path ? "" : "/", object->path ? "" : object->key,
                                       (unsigned long long)offset + done);
        }
        done += got > 0 ? (size_t)got : 0;
    }
    *ret_len = done;
    return 0;
}

/* The object's own bytes. */
static int read_stored(struct lithops__source *source, uint64_t offset, uint64_t expect_end,
                       void *buf, size_t len, size_t *ret_len, lithops_error *err)
{
    if (source->fd >= 0)
        return read_file(source, offset, buf, len, ret_len, err);
    if (source->http)
        return source->api->read(source->http, offset, expect_end, buf, len, ret_len, err);
    source->cursor.expect_end = expect_end;
    if (source->is_clients)
        return lithops__client_read_file(source->object->path, &source->cursor, offset, buf, len,
                                         ret_len, err);
    return lithops__storage_read(source->storage, source->object->bucket, source->object->key,
                                 &source->cursor, offset, buf, len, ret_len, err);
}

static int read_packed(void *user, uint64_t offset, void *buf, size_t len, size_t *ret_len,
                       lithops_error *err)
{
    return read_stored(user, offset, UINT64_MAX, buf, len, ret_len, err);
}

static int open_sequence(struct lithops__source *source, enum lithops__packing packing,
                         lithops_error *err)
{
    return lithops__sequence_open(packing, source->is_pipe, read_packed, source, &source->sequence,
                                  err);
}

int lithops__source_read(struct lithops__source *source, uint64_t offset, uint64_t expect_end,
                         void *buf, size_t len, size_t *ret_len, lithops_error *err)
{
    return source->sequence
               ? lithops__sequence_read(source->sequence, offset, buf, len, ret_len, err)
               : read_stored(source, offset, expect_end, buf, len, ret_len, err);
}
