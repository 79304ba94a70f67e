/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/intake.h"

#include "wire/message.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

enum {
    READ_BYTES = 256 << 10,
    BEHIND_BYTES = 4 << 10, /* are read behind the rest of a piece: what follows begins there */
    WORTH_BYTES = 16 << 10, /* of a rest that is read into place, or passed on */
};

void lithops__intake_deinit(struct lithops__intake *intake)
{
    lithops__buffer_deinit(&intake->in);
    *intake = (struct lithops__intake){.in = LITHOPS__BUFFER_INIT};
}

static void end_rest(struct lithops__intake *intake)
{
    intake->rest = (struct lithops__rest){NULL, NULL, NULL};
}

static ssize_t pass_rest(struct lithops__intake *intake, int fd)
{
    ssize_t n = intake->rest.pass(intake->rest.user, fd, intake->rest_len);
    intake->rest_len -= n > 0 ? (size_t)n : 0;
    if (intake->rest_len == 0)
        end_rest(intake);
    return n;
}

ssize_t lithops__intake_read(struct lithops__intake *intake, int fd)
{
    if (intake->rest.pass)
        return pass_rest(intake, fd);
    size_t size = intake->was_long ? BEHIND_BYTES : READ_BYTES, rest = intake->rest_len;
    void *room = lithops__buffer_reserve(&intake->in, size);
    if (!room) {
        errno = ENOMEM;
        return -1;
    }
    struct iovec parts[2] = {{intake->rest.room, rest}, {room, size}};
    ssize_t n = readv(fd, rest ? parts : parts + 1, rest ? 2 : 1);
    if (n <= 0)
        return n;
    size_t placed = (size_t)n < rest ? (size_t)n : rest;
    intake->rest_len -= placed;
    if (intake->rest_len == 0)
        end_rest(intake);
    else
        intake->rest.room += placed;
    intake->in.len += (size_t)n - placed;
    return n;
}

/* What is left in the buffer may be the beginning of a long piece. */
static int begin_piece(struct lithops__intake *intake, lithops_bytes *bytes,
                       const struct lithops__intake_user *ops, void *user, lithops_error *err)
{
    struct lithops__frame frame = {.type = 0}; /* as it stays where none has begun */
    size_t left = lithops__frame_begun(*bytes, &frame);
    bool is_blob = frame.type == LITHOPS__MESSAGE_BLOB && frame.map.len == 0 &&
                   frame.payload.len >= sizeof(uint64_t); /* its length, if it is the first one */
    if (left < WORTH_BYTES || (!is_blob && frame.type != LITHOPS__MESSAGE_ANSWER))
        return 0;
    int rc = ops->began(user, &frame, left, &intake->rest, err);
    if (rc != 0 || (!intake->rest.room && !intake->rest.pass))
        return rc;
    intake->rest_len = left;
    intake->was_long = true;
    bytes->len = 0;
    return 0;
}

int lithops__intake_take(struct lithops__intake *intake, const struct lithops__intake_user *ops,
                         void *user, lithops_error *err)
{
    struct lithops__buffer *in = &intake->in;
    lithops_bytes bytes = {in->data, in->len};
    struct lithops__frame frame;
    size_t used = 0;
    int rc = 0, found = 0;
    bool was_long = in->len == 0 && intake->was_long;
    while (rc == 0 && (found = lithops__frame_read(bytes, &frame, &used, err)) > 0) {
        was_long = used >= WORTH_BYTES;
        rc = ops->came(user, &frame, err);
        bytes = (lithops_bytes){(const char *)bytes.ptr + used, bytes.len - used};
    }
    intake->was_long = was_long;
    if (rc == 0 && found == 0 && intake->rest_len == 0)
        rc = begin_piece(intake, &bytes, ops, user, err);
    if (bytes.len && bytes.ptr != in->data)
        memmove(in->data, bytes.ptr, bytes.len);
    in->len = bytes.len;
    return rc ? rc : found;
}
