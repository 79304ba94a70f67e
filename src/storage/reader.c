/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over one object.
 *
 * A reader gives the bytes of one version of the object, even if the object is replaced meanwhile:
 * with local files it holds the file open, elsewhere it notices a change between two requests and
 * ends with an error rather than with a mixture. */
#include "base/error.h"
#include "storage/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lithops_reader {
    lithops_storage *storage;
    char *bucket, *key;
    int fd; /* of the file behind the object, or -1 */
    uint64_t offset, end;
    lithops_storage_cursor cursor; /* without a file */
};

static int open_file(lithops_reader *reader, lithops_error *err)
{
    char path[PATH_MAX];
    int rc =
        lithops__storage_path(reader->storage, reader->bucket, reader->key, path, sizeof path, err);
    if (rc)
        return rc;
    reader->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (reader->fd < 0)
        return lithops__fail_errno(err, errno, "cannot open object '%s/%s'", reader->bucket,
                                   reader->key);
    return 0;
}

/* Reading continues with the answer that had the size. */
static int begin_remote(lithops_reader *reader, lithops_error *err)
{
    size_t none;
    reader->cursor.expect_end = reader->end;
    int rc = lithops__storage_read(reader->storage, reader->bucket, reader->key, &reader->cursor,
                                   reader->offset, NULL, 0, &none, err);
    if (rc == 0 && reader->end > reader->cursor.size_bytes)
        reader->end = reader->cursor.size_bytes;
    return rc;
}

int lithops_storage_open_reader(lithops_storage *storage, const char *bucket, const char *key,
                                uint64_t offset, uint64_t len, lithops_reader **ret_reader,
                                lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    lithops_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a reader");
    reader->storage = lithops__storage_ref(storage);
    reader->fd = -1;
    reader->bucket = strdup(bucket);
    reader->key = strdup(key);
    reader->offset = offset;
    reader->end = len > UINT64_MAX - offset ? UINT64_MAX : offset + len;
    if (!reader->bucket || !reader->key)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a reader");
    else if (lithops__storage_caps(storage) & LITHOPS_STORAGE_LOCAL_FILES)
        rc = open_file(reader, err);
    else
        rc = begin_remote(reader, err);
    if (rc) {
        lithops_reader_close(reader);
        return rc;
    }
    *ret_reader = reader;
    return 0;
}

static int read_file(lithops_reader *reader, void *buf, size_t len, size_t *ret_len,
                     lithops_error *err)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got =
            pread(reader->fd, (char *)buf + done, len - done, (off_t)(reader->offset + done));
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return lithops__fail_errno(err, errno, "cannot read object '%s/%s'", reader->bucket,
                                       reader->key);
        done += got > 0 ? (size_t)got : 0;
    }
    *ret_len = done;
    return 0;
}

static int read_remote(lithops_reader *reader, void *buf, size_t len, size_t *ret_len,
                       lithops_error *err)
{
    size_t got = 0;
    int rc = lithops__storage_read(reader->storage, reader->bucket, reader->key, &reader->cursor,
                                   reader->offset, buf, len, &got, err);
    if (rc)
        return rc;
    if (got < len) /* there is more: `end` is not past the object's end */
        return lithops__fail(err, LITHOPS_EIO,
                             "object '%s/%s' ended before its size was read; read it again",
                             reader->bucket, reader->key);
    *ret_len = got;
    return 0;
}

int lithops_reader_read(lithops_reader *reader, void *buf, size_t len, size_t *ret_len,
                        lithops_error *err)
{
    if (!reader)
        return lithops__fail(err, LITHOPS_EUSAGE, "the reader is NULL");
    if (reader->offset >= reader->end || reader->offset > INT64_MAX)
        len = 0;
    else if (len > reader->end - reader->offset)
        len = (size_t)(reader->end - reader->offset);
    size_t got = 0;
    int rc = 0;
    if (len)
        rc = reader->fd >= 0 ? read_file(reader, buf, len, &got, err)
                             : read_remote(reader, buf, len, &got, err);
    if (rc)
        return rc;
    reader->offset += got;
    *ret_len = got;
    return 0;
}

void lithops_reader_close(lithops_reader *reader)
{
    if (!reader)
        return;
    if (reader->fd >= 0)
        close(reader->fd);
    lithops__storage_end_read(reader->storage, &reader->cursor);
    lithops_storage_close(reader->storage);
    free(reader->bucket);
    free(reader->key);
    free(reader);
}
