/* SPDX-License-Identifier: Apache-2.0 */
/* Storing objects, from memory and from files.
 *
 * A large object goes by parts, several at once, where the driver takes parts. What has been read
 * from a pipe is kept until it is stored, so that a part can be sent again; a thread has one part,
 * which bounds memory. A regular file is not kept where the driver reads it by itself. If anything
 * fails all parts are removed, also when the caller is in a hurry: parts without an object are
 * invisible and are paid for. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "storage/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART ((size_t)LITHOPS_STORAGE_PART_BYTES)
#define PARALLEL 8           /* parts at once */
#define GROWS_AFTER 1000     /* parts of an object whose size is not known: then they double */
#define ABORT_NS 10000000000 /* to remove parts after a failure */

/* ---- sources --------------------------------------------------------------------------------- */

/* Read until `len` bytes have come, or the end. A pipe may be silent for long. */
static int read_full(int fd, unsigned char *buf, size_t len, size_t *ret_len,
                     const struct lithops__bounds *bounds, lithops_error *err)
{
    struct pollfd source = {.fd = fd, .events = POLLIN};
    size_t done = 0;
    *ret_len = 0;
    while (done < len) {
        int rc = lithops__bounds_check(bounds, err);
        if (rc)
            return rc;
        if (poll(&source, 1, 100) <= 0)
            continue;
        ssize_t got = read(fd, buf + done, len - done);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return lithops__fail_errno(err, errno, "cannot read the body");
        done += got > 0 ? (size_t)got : 0;
    }
    *ret_len = done;
    return 0;
}

static int read_all(int fd, struct lithops__buffer *body, const struct lithops__bounds *bounds,
                    lithops_error *err)
{
    enum { PIECE = 1 << 18 };
    size_t got = PIECE;
    while (got == PIECE) {
        void *room = lithops__buffer_reserve(body, PIECE);
        if (!room)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a body of %zu bytes",
                                 body->len);
        int rc = read_full(fd, room, PIECE, &got, bounds, err);
        if (rc)
            return rc;
        body->len += got;
    }
    return 0;
}

/* ---- by parts -------------------------------------------------------------------------------- */

/* An object on its way. Bytes are in memory, or in `fd` behind the first part, or all of them in
 * `fd`, from `fd_start` on. */
struct sending {
    lithops_storage *storage;
    lithops_storage_upload upload;
    lithops_bytes body; /* all of it; of a file the first part */
    int fd;             /* -1: none */
    bool by_fd;         /* the driver reads it */
    uint64_t fd_start;
    size_t part_bytes;
    bool size_is_known;
    uint64_t next; /* offset of the next part */
    size_t number; /* and which it is */
};

static size_t part_bytes(const struct sending *sending)
{
    return sending->size_is_known ? sending->part_bytes
                                  : sending->part_bytes << (sending->number / GROWS_AFTER);
}

/* What is left in a regular file behind `at`; UINT64_MAX: not known. */
static uint64_t size_behind(int fd, off_t at)
{
    struct stat file;
    return at >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_size >= at
               ? (uint64_t)(file.st_size - at)
               : UINT64_MAX;
}

/* Up to `len` bytes, as long as the file is at the moment. Only the last part may be shorter. */
static void take_of_file(const struct sending *sending, struct lithops__part *part, size_t len)
{
    part->offset = sending->fd_start + sending->next;
    uint64_t left = size_behind(sending->fd, (off_t)part->offset);
    part->data = NULL;
    if (left == UINT64_MAX || sending->next % len != 0)
        left = 0;
    part->len = left < len ? (size_t)left : len;
}

static int take_part(void *user, struct lithops__part *part, bool *ret_more,
                     const struct lithops__bounds *bounds, lithops_error *err)
{
    struct sending *sending = user;
    size_t len = part_bytes(sending);
    if (sending->by_fd) {
        take_of_file(sending, part, len);
    } else if (sending->next < sending->body.len) {
        size_t left = sending->body.len - (size_t)sending->next;
        part->data = (const char *)sending->body.ptr + sending->next;
        part->len = sending->fd < 0 && left > len ? len : left;
    } else if (sending->fd >= 0) {
        unsigned char *room = lithops__part_room(part, len, err);
        int rc = room ? read_full(sending->fd, room, len, &part->len, bounds, err) : LITHOPS_ENOMEM;
        if (rc)
            return rc;
        part->data = room;
    } else {
        part->len = 0;
    }
    *ret_more = part->len > 0;
    if (*ret_more && sending->number == LITHOPS_STORAGE_PARTS_MAX)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "object '%s/%s' has more than %d parts; it grew while it was stored",
                             sending->upload.bucket, sending->upload.key,
                             LITHOPS_STORAGE_PARTS_MAX);
    part->number = sending->number;
    sending->number += *ret_more;
    sending->next += part->len;
    return 0;
}

static int move_part(void *user, struct lithops__part *part, const struct lithops__bounds *bounds,
                     lithops_error *err)
{
    struct sending *sending = user;
    const lithops_storage *storage = sending->storage;
    const lithops_storage_ops *ops = storage->driver->ops;
    const lithops_bytes body = {part->data, part->len};
    struct lithops__request request;
    int rc = 0;
    lithops__request_begin_within(&request, storage, bounds);
    request.kind = LITHOPS__REQUEST_WRITES;
    while (lithops__request_try(&request, &rc))
        rc = sending->by_fd ? ops->upload_part_fd(storage->state, &sending->upload, part->number,
                                                  sending->fd, part->offset, part->len, &request.op)
                            : ops->upload_part(storage->state, &sending->upload, part->number, body,
                                               &request.op);
    return lithops__request_end(&request, rc, err);
}

static int begin_upload(struct sending *sending, uint64_t deadline_ns, lithops_error *err)
{
    const lithops_storage *storage = sending->storage;
    struct lithops__request request;
    int rc = 0;
    sending->upload.etags = calloc(LITHOPS_STORAGE_PARTS_MAX, sizeof *sending->upload.etags);
    if (!sending->upload.etags)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a large object");
    lithops__request_begin_by(&request, storage, deadline_ns);
    request.kind = LITHOPS__REQUEST_WRITES;
    while (lithops__request_try(&request, &rc))
        rc = storage->driver->ops->upload_begin(storage->state, &sending->upload, &request.op);
    return lithops__request_end(&request, rc, err);
}

static int complete_upload(struct sending *sending, uint64_t deadline_ns, lithops_error *err)
{
    const lithops_storage *storage = sending->storage;
    struct lithops__request request;
    int rc = 0;
    sending->upload.count = sending->number;
    sending->upload.size_bytes = sending->next;
    lithops__request_begin_by(&request, storage, deadline_ns);
    request.kind = LITHOPS__REQUEST_WRITES;
    while (lithops__request_try(&request, &rc))
        rc = storage->driver->ops->upload_complete(storage->state, &sending->upload, &request.op);
    return lithops__request_end(&request, rc, err);
}

static void abort_upload(const struct sending *sending)
{
    const lithops_storage *storage = sending->storage;
    const struct lithops__bounds bounds = {.deadline_ns = lithops__now_ns() + ABORT_NS};
    struct lithops__request request;
    int rc = 0;
    lithops__request_begin_within(&request, storage, &bounds);
    request.kind = LITHOPS__REQUEST_DELETES;
    while (lithops__request_try(&request, &rc))
        rc = storage->driver->ops->upload_abort(storage->state, &sending->upload, &request.op);
    if (rc)
        lithops__log(LITHOPS_LOG_WARNING, "storage",
                     "parts of '%s/%s' may be left in the bucket, as upload %s: %s",
                     sending->upload.bucket, sending->upload.key, sending->upload.id,
                     request.error.message);
}

static int send_parts(struct sending *sending, size_t threads, uint64_t deadline_ns,
                      lithops_error *err)
{
    const struct lithops__crew_job job = {.take = take_part, .move = move_part, .user = sending};
    int rc = begin_upload(sending, deadline_ns, err);
    if (rc == 0) {
        rc = lithops__crew_run(sending->storage, &job, threads, deadline_ns, err);
        if (rc == 0 && sending->number == 0)
            rc = lithops__fail(err, LITHOPS_EIO, "what is stored as '%s/%s' has become empty",
                               sending->upload.bucket, sending->upload.key);
        if (rc == 0)
            rc = complete_upload(sending, deadline_ns, err);
        if (rc)
            abort_upload(sending);
    }
    free(sending->upload.id);
    free(sending->upload.etags);
    return rc;
}

/* Parts of an object of `size` bytes. */
static size_t size_of_parts(uint64_t size)
{
    const uint64_t step = 1 << 20;
    uint64_t needed = size / LITHOPS_STORAGE_PARTS_MAX + 1;
    return needed <= PART ? PART : (size_t)((needed + step - 1) / step * step);
}

static size_t threads_for(uint64_t size, size_t part)
{
    uint64_t parts = size / part + 1;
    return parts < PARALLEL ? (size_t)parts : PARALLEL;
}

static int put_parts(lithops_storage *storage, const char *bucket, const char *key,
                     lithops_bytes body, uint64_t deadline_ns, lithops_error *err)
{
    struct sending sending = {.storage = storage,
                              .upload = {.bucket = bucket, .key = key},
                              .body = body,
                              .fd = -1,
                              .part_bytes = size_of_parts(body.len),
                              .size_is_known = true};
    return send_parts(&sending, threads_for(body.len, sending.part_bytes), deadline_ns, err);
}

/* ---- from memory ----------------------------------------------------------------------------- */

static int put_whole(lithops_storage *storage, const char *bucket, const char *key,
                     lithops_bytes body, bool only_new, uint64_t deadline_ns, lithops_error *err)
{
    const lithops_storage_ops *ops = storage->driver->ops;
    int rc = 0;
    struct lithops__request request;
    lithops__request_begin_by(&request, storage, deadline_ns);
    request.kind = LITHOPS__REQUEST_WRITES;
    while (lithops__request_try(&request, &rc))
        rc = (only_new ? ops->put_new : ops->put)(storage->state, bucket, key, body, &request.op);
    return lithops__request_end(&request, rc, err);
}

static int put_by(lithops_storage *storage, const char *bucket, const char *key, lithops_bytes body,
                  uint64_t deadline_ns, lithops_error *err)
{
    return body.len > PART && storage->driver->ops->upload_begin
               ? put_parts(storage, bucket, key, body, deadline_ns, err)
               : put_whole(storage, bucket, key, body, false, deadline_ns, err);
}

static int check_body(const lithops_storage *storage, const char *bucket, const char *key,
                      lithops_bytes body, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc == 0 && !body.ptr && body.len)
        rc = lithops__fail(err, LITHOPS_EUSAGE, "the body of '%s/%s' is NULL, its length %zu",
                           bucket, key, body.len);
    return rc;
}

int lithops_storage_put(lithops_storage *storage, const char *bucket, const char *key,
                        lithops_bytes body, lithops_error *err)
{
    int rc = check_body(storage, bucket, key, body, err);
    return rc ? rc : put_by(storage, bucket, key, body, lithops__storage_deadline(storage), err);
}

int lithops_storage_put_new(lithops_storage *storage, const char *bucket, const char *key,
                            lithops_bytes body, lithops_error *err)
{
    int rc = check_body(storage, bucket, key, body, err);
    if (rc == 0 && !storage->driver->ops->put_new)
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                           "the storage backend '%s' cannot put an object only where there is none",
                           storage->driver->name);
    return rc ? rc
              : put_whole(storage, bucket, key, body, true, lithops__storage_deadline(storage),
                          err);
}

/* ---- from a file ----------------------------------------------------------------------------- */

/* A regular file that has more than one part. Its offset is moved as if it had been read. */
static int put_file_parts(lithops_storage *storage, const char *bucket, const char *key, int fd,
                          off_t start, uint64_t size, lithops_error *err)
{
    struct sending sending = {.storage = storage,
                              .upload = {.bucket = bucket, .key = key},
                              .fd = fd,
                              .by_fd = true,
                              .fd_start = (uint64_t)start,
                              .part_bytes = size_of_parts(size),
                              .size_is_known = true};
    int rc = send_parts(&sending, threads_for(size, sending.part_bytes),
                        lithops__storage_deadline(storage), err);
    if (rc == 0 && lseek(fd, start + (off_t)sending.next, SEEK_SET) < 0)
        rc = lithops__fail_errno(err, errno, "cannot read the body");
    return rc;
}

/* A first part that is not full is the whole object. */
static int put_fd_parts(lithops_storage *storage, const char *bucket, const char *key, int fd,
                        lithops_error *err)
{
    const off_t start = lseek(fd, 0, SEEK_CUR);
    const uint64_t size = size_behind(fd, start);
    if (size != UINT64_MAX && size > PART && storage->driver->ops->upload_part_fd)
        return put_file_parts(storage, bucket, key, fd, start, size, err);
    struct lithops__request reading;
    lithops__request_begin(&reading, storage);
    const uint64_t deadline_ns = reading.op.deadline_ns;
    size_t part = size == UINT64_MAX ? PART : size_of_parts(size), got = 0;
    unsigned char *first = malloc(part);
    if (!first)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a part of %zu bytes", part);
    int rc = read_full(fd, first, part, &got, &reading.retry.bounds, err);
    struct sending sending = {.storage = storage,
                              .upload = {.bucket = bucket, .key = key},
                              .body = {first, got},
                              .fd = fd,
                              .part_bytes = part,
                              .size_is_known = size != UINT64_MAX};
    if (rc == 0)
        rc = got < part ? put_whole(storage, bucket, key, sending.body, false, deadline_ns, err)
                        : send_parts(&sending, threads_for(size, part), deadline_ns, err);
    free(first);
    return rc;
}

static int put_fd_whole(lithops_storage *storage, const char *bucket, const char *key, int fd,
                        lithops_error *err)
{
    struct lithops__buffer body = LITHOPS__BUFFER_INIT;
    struct lithops__request reading;
    lithops__request_begin(&reading, storage);
    int rc = read_all(fd, &body, &reading.retry.bounds, err);
    if (rc == 0)
        rc = put_by(storage, bucket, key, (lithops_bytes){body.data, body.len},
                    reading.op.deadline_ns, err);
    lithops__buffer_deinit(&body);
    return rc;
}

int lithops_storage_put_fd(lithops_storage *storage, const char *bucket, const char *key, int fd,
                           lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    if (fcntl(fd, F_GETFD) < 0)
        return lithops__fail_errno(err, errno, "cannot read what is to be stored as '%s/%s'",
                                   bucket, key);
    if (!storage->driver->ops->put_fd)
        return (storage->driver->ops->upload_begin ? put_fd_parts : put_fd_whole)(storage, bucket,
                                                                                  key, fd, err);
    off_t start = lseek(fd, 0, SEEK_CUR); /* -1 for a pipe: bytes read from it are gone */
    struct lithops__request request;
    lithops__request_begin(&request, storage);
    request.kind = LITHOPS__REQUEST_WRITES;
    while (lithops__request_try(&request, &rc)) {
        rc = storage->driver->ops->put_fd(storage->state, bucket, key, fd, &request.op);
        if (rc && (start < 0 || lseek(fd, start, SEEK_SET) != start))
            break;
    }
    return lithops__request_end(&request, rc, err);
}
