/* SPDX-License-Identifier: Apache-2.0 */
/* The client's storage, as used by a remote worker.
 *
 * A sequential reader requests pieces ahead, more of them the longer it reads, which hides the
 * latency of the link. Answers come in the order of the questions, so a reader that jumps takes a
 * new connection, and the worker drops the pieces no longer wanted. Each piece carries the object's
 * version, so a mixture is noticed. */
#include "storage/backends/client/client.h"

#include "base/error.h"
#include "base/retry.h"
#include "storage/backends/client/channel.h"
#include "wire/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Pieces requested ahead: at first; as many as the pipe holds; while the reader waits for them. */
enum { FIRST_AHEAD = 1, USUAL_AHEAD = 2, MOST_AHEAD = 4 };
enum { PUT_AHEAD = 2 };

/* A wait that long is for the link, not for a CPU. */
static const uint64_t slow_ns = 2000000;

bool lithops__client_is_elsewhere(void)
{
    const char *name = getenv(LITHOPS__CLIENT_SOCKET);
    return name && *name;
}

bool lithops__client_has_file(const char *path)
{
    const char *shared = getenv(LITHOPS__CLIENT_SHARED);
    while (shared && *shared) {
        size_t len = strcspn(shared, ":"), folder = len;
        while (folder > 0 && shared[folder - 1] == '/')
            folder--;
        if (len && strncmp(path, shared, folder) == 0 && (path[folder] == '/' || !path[folder]))
            return false;
        shared += len + (shared[len] == ':');
    }
    return lithops__client_is_elsewhere();
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The file or object to read. */
struct what {
    const char *path;
    const char *bucket, *key;
};

static lithops_value *text(const char *what)
{
    return lithops_value_bytes(what, strlen(what));
}

/* A question about it; NULL: no memory. */
static lithops_value *question(const char *verb, const struct what *what)
{
    lithops_value *map = lithops_pack("{s:s}", "do", verb);
    int failed = !map;
    if (map && what->path)
        failed = lithops_value_set(map, "path", text(what->path));
    if (map && !what->path)
        failed = lithops_value_set(map, "bucket", text(what->bucket)) ||
                 (what->key && lithops_value_set(map, "key", text(what->key)));
    if (!failed)
        return map;
    lithops_value_free(map);
    return NULL;
}

static int64_t number(const lithops_value *map, const char *key)
{
    return lithops_value_get_int(lithops_value_get(map, key));
}

/* The answer being read, and the requested ones after it. */
struct reading {
    struct lithops__channel channel;
    bool is_last;       /* the object ends with the answer */
    bool is_live;       /* what was read may have been changed since its version was found */
    uint64_t offset;    /* of the next byte */
    uint64_t asked_end; /* everything up to here was requested */
    size_t ahead;
};

static void end_reading(struct reading *reading)
{
    lithops__channel_give_back(&reading->channel);
    free(reading);
}

void lithops__client_end_read(lithops_storage_cursor *cursor)
{
    if (cursor->connection)
        end_reading(cursor->connection);
    cursor->connection = NULL;
}

/* Start over at `offset`, whatever was requested before. */
static int begin_reading(struct reading **reading, uint64_t offset, const lithops_storage_op *op)
{
    struct reading *old = *reading;
    int rc = 0;
    if (old && (old->channel.asked || old->channel.left)) { /* what comes now is not wanted */
        end_reading(old);
        old = *reading = NULL;
    }
    if (!old) {
        *reading = calloc(1, sizeof **reading);
        if (!*reading)
            return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory");
        rc = lithops__channel_open(&(*reading)->channel, op);
    }
    if (rc != 0) {
        free(*reading);
        *reading = NULL;
        return rc;
    }
    (*reading)->is_last = (*reading)->is_live = false;
    (*reading)->offset = (*reading)->asked_end = offset;
    (*reading)->ahead = FIRST_AHEAD;
    return 0;
}

/* @param live  it may be sent from where it may be changed: more follows, and then check_version()
 */
static lithops_value *read_question(const struct what *what, uint64_t offset, uint64_t len,
                                    bool live)
{
    lithops_value *map = question("read", what);
    if (map && lithops_value_set(map, "offset", lithops_value_int((int64_t)offset)) == 0 &&
        lithops_value_set(map, "length", lithops_value_int((int64_t)len)) == 0 &&
        (!live || lithops_value_set(map, "live", lithops_value_bool(true)) == 0))
        return map;
    lithops_value_free(map);
    return NULL;
}

/* Request [asked_end, end), as far ahead as is good, but at least one piece. */
static int ask_ahead(struct reading *reading, const struct what *what, uint64_t end,
                     const lithops_storage_op *op)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    size_t count = 0;
    int rc = 0;
    do {
        uint64_t offset = reading->asked_end, len = end > offset ? end - offset : 0;
        if (len > LITHOPS__OBJECT_PIECE)
            len = LITHOPS__OBJECT_PIECE;
        lithops_value *map = read_question(what, offset, len, offset + len < end);
        rc = lithops__channel_add(&out, map, (lithops_bytes){NULL, 0}, op);
        reading->asked_end = offset + len;
        count++;
    } while (rc == 0 && reading->asked_end < end &&
             reading->channel.asked + count < reading->ahead);
    if (rc == 0)
        rc = lithops__channel_ask(&reading->channel, &out, count, op);
    lithops__buffer_deinit(&out);
    return rc;
}

/* The answer that begins at reading->offset. */
static int next_answer(struct reading *reading, lithops_storage_cursor *cursor, bool is_first,
                       const lithops_storage_op *op)
{
    uint64_t asked = reading->asked_end - reading->offset;
    lithops_value *map = NULL;
    int rc = lithops__channel_hear(&reading->channel, &map, op);
    if (rc != 0)
        return rc;
    const char *etag = lithops_value_get_string(lithops_value_get(map, "etag"));
    uint64_t size = (uint64_t)number(map, "size");
    if (lithops_value_get_bool(lithops_value_get(map, "replaced")) ||
        (!is_first && (size != cursor->size_bytes || strcmp(etag ? etag : "", cursor->etag) != 0)))
        cursor->replaced = true;
    cursor->size_bytes = size;
    snprintf(cursor->etag, sizeof cursor->etag, "%s", etag ? etag : "");
    reading->is_live |= lithops_value_get_bool(lithops_value_get(map, "live"));
    lithops_value_free(map);
    if (asked > LITHOPS__OBJECT_PIECE)
        asked = LITHOPS__OBJECT_PIECE;
    reading->is_last = reading->channel.left < asked;
    uint64_t waited_ns = reading->channel.waited_ns;
    if (reading->ahead < USUAL_AHEAD || (waited_ns >= slow_ns && reading->ahead < MOST_AHEAD))
        reading->ahead++;
    if (reading->ahead == USUAL_AHEAD)
        lithops__channel_widen(&reading->channel);
    return 0;
}

/* What is needed to read on: questions, and an answer if there is nothing left of the last one. */
static int prepare(struct reading *reading, const struct what *what, lithops_storage_cursor *cursor,
                   uint64_t end, bool *is_first, const lithops_storage_op *op)
{
    struct lithops__channel *channel = &reading->channel;
    uint64_t known_end = cursor->has_begun && cursor->size_bytes < end ? cursor->size_bytes : end;
    bool is_used_up = channel->left == 0;
    int rc = 0;
    if ((is_used_up && channel->asked == 0) ||
        (reading->asked_end < known_end && channel->asked <= reading->ahead / 2))
        rc = ask_ahead(reading, what, known_end, op);
    if (rc == 0 && is_used_up) {
        rc = next_answer(reading, cursor, *is_first, op);
        *is_first = false;
    }
    return rc;
}

/* All that was asked for has been read, some of it from where it may be changed: the version that
 * it has now is the one that was read, or it was replaced. */
static int check_version(struct reading *reading, const struct what *what,
                         lithops_storage_cursor *cursor, const lithops_storage_op *op)
{
    bool is_last = reading->is_last;
    int rc = ask_ahead(reading, what, reading->asked_end, op); /* no bytes of it */
    if (rc == 0)
        rc = next_answer(reading, cursor, false, op);
    reading->is_last = is_last;
    reading->is_live = false;
    return rc;
}

static int read_on(struct reading **reading, const struct what *what,
                   lithops_storage_cursor *cursor, uint64_t offset, char *buf, size_t len,
                   size_t *ret_len, const lithops_storage_op *op)
{
    bool is_first = true; /* and has the version that the others must have */
    size_t done = 0;
    int rc = 0;
    uint64_t end = len > UINT64_MAX - offset ? UINT64_MAX : offset + len;
    if (cursor->expect_end > end)
        end = cursor->expect_end;
    do {
        if (!*reading || (*reading)->offset != offset + done)
            rc = begin_reading(reading, offset + done, op);
        struct reading *now = *reading;
        if (rc == 0 && now->is_last && now->channel.left == 0 && len)
            break;
        if (rc == 0)
            rc = prepare(now, what, cursor, end, &is_first, op);
        if (rc != 0 || cursor->replaced)
            break;
        size_t part = now->channel.left < len - done ? now->channel.left : len - done;
        if (part == 0)
            break;
        rc = lithops__channel_take(&now->channel, buf + done, part, op);
        now->offset += part;
        done += part;
        if (rc == 0 && now->is_live && now->channel.left == 0 && now->channel.asked == 0)
            rc = check_version(now, what, cursor, op);
    } while (rc == 0 && done < len && !cursor->replaced);
    *ret_len = done;
    return rc;
}

static int read_what(const struct what *what, lithops_storage_cursor *cursor, uint64_t offset,
                     void *buf, size_t len, size_t *ret_len, const lithops_storage_op *op)
{
    lithops_storage_cursor after = *cursor; /* which is changed on success only */
    struct reading *reading = cursor->connection;
    int rc = read_on(&reading, what, &after, offset, buf, len, ret_len, op);
    if (rc != 0 && reading) {
        end_reading(reading);
        reading = NULL;
    }
    if (rc == 0)
        *cursor = after;
    cursor->connection = reading;
    return rc;
}

static int client_read(void *state, const char *bucket, const char *key,
                       lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                       size_t *ret_len, const lithops_storage_op *op)
{
    (void)state;
    const struct what what = {.bucket = bucket, .key = key};
    return read_what(&what, cursor, offset, buf, len, ret_len, op);
}

static void client_end_read(void *state, lithops_storage_cursor *cursor)
{
    (void)state;
    lithops__client_end_read(cursor);
}

int lithops__client_read_file(const char *path, lithops_storage_cursor *cursor, uint64_t offset,
                              void *buf, size_t len, size_t *ret_len, lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    const lithops_storage_op op = {.deadline_ns = UINT64_MAX, .err = err ? err : &own};
    const struct what what = {.path = path};
    const lithops_storage_cursor before = *cursor;
    size_t got = 0;
    int rc = read_what(&what, cursor, offset, buf, len, &got, &op);
    if (rc == 0 && before.has_begun &&
        (before.size_bytes != cursor->size_bytes || strcmp(before.etag, cursor->etag) != 0))
        cursor->replaced = true;
    if (rc == 0 && cursor->replaced)
        rc =
            lithops__fail(op.err, LITHOPS_EIO,
                          "the file '%s' has changed while it was being read; read it again", path);
    if (rc != 0)
        return rc;
    cursor->has_begun = true;
    *ret_len = got;
    return 0;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int client_open(void *state, const lithops_value *settings, const lithops_storage_op *op)
{
    (void)state, (void)settings, (void)op;
    return 0;
}

static void client_close(void *state)
{
    (void)state;
}

/* A body: bytes, or a descriptor to read. */
struct source {
    lithops_bytes bytes;
    int fd;
    char *buf; /* for a piece read from it */
};

static int next_piece(struct source *source, lithops_bytes *ret_piece, const lithops_storage_op *op)
{
    size_t len = 0;
    if (source->fd < 0) {
        len = source->bytes.len < LITHOPS__OBJECT_PIECE ? source->bytes.len : LITHOPS__OBJECT_PIECE;
        *ret_piece = (lithops_bytes){source->bytes.ptr, len};
        source->bytes =
            (lithops_bytes){(const char *)source->bytes.ptr + len, source->bytes.len - len};
        return 0;
    }
    while (len < LITHOPS__OBJECT_PIECE) {
        ssize_t n = read(source->fd, source->buf + len, LITHOPS__OBJECT_PIECE - len);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return lithops__fail_errno(op->err, errno, "cannot read what is to be stored");
        len += n > 0 ? (size_t)n : 0;
    }
    *ret_piece = (lithops_bytes){source->buf, len};
    return 0;
}

/* The client keeps all pieces until the last one comes. A piece is on its way while the client
 * writes the one before. */
static int put(const char *bucket, const char *key, struct source *source,
               const lithops_storage_op *op)
{
    const struct what what = {.bucket = bucket, .key = key};
    struct lithops__channel channel;
    lithops_bytes piece;
    int rc = lithops__channel_open(&channel, op);
    bool is_last = false;
    while (rc == 0 && (!is_last || channel.asked)) {
        struct lithops__buffer out = LITHOPS__BUFFER_INIT;
        lithops_value *map = NULL;
        if (!is_last && channel.asked < PUT_AHEAD) {
            rc = next_piece(source, &piece, op);
            is_last = rc == 0 && piece.len < LITHOPS__OBJECT_PIECE;
            if (rc == 0)
                rc = lithops__channel_add(&out, question(is_last ? "put" : "keep", &what), piece,
                                          op);
            if (rc == 0)
                rc = lithops__channel_ask(&channel, &out, 1, op);
        } else {
            rc = lithops__channel_hear(&channel, &map, op);
        }
        lithops__buffer_deinit(&out);
        lithops_value_free(map);
    }
    if (rc == 0)
        lithops__channel_give_back(&channel);
    lithops__channel_close(&channel); /* the client drops what it has kept */
    return rc;
}

static int client_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                      const lithops_storage_op *op)
{
    (void)state;
    struct source source = {.bytes = body, .fd = -1};
    return put(bucket, key, &source, op);
}

static int client_put_fd(void *state, const char *bucket, const char *key, int fd,
                         const lithops_storage_op *op)
{
    (void)state;
    struct source source = {.fd = fd, .buf = malloc(LITHOPS__OBJECT_PIECE)};
    int rc = source.buf ? put(bucket, key, &source, op)
                        : lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory");
    free(source.buf);
    return rc;
}

/* `key` and `etag` hold the strings. */
static void describe(const lithops_value *map, char *key, size_t key_size, char *etag,
                     size_t etag_size, lithops_object_info *ret_info)
{
    lithops_bytes name = lithops_value_get_bytes(lithops_value_get(map, "key"));
    const char *version = lithops_value_get_string(lithops_value_get(map, "etag"));
    snprintf(key, key_size, "%.*s", name.len < key_size ? (int)name.len : 0,
             name.ptr ? (const char *)name.ptr : "");
    snprintf(etag, etag_size, "%s", version ? version : "");
    *ret_info = (lithops_object_info){
        .key = key,
        .size_bytes = (uint64_t)number(map, "size"),
        .last_modified = lithops_value_get_double(lithops_value_get(map, "modified")),
        .etag = etag};
}

static int client_head(void *state, const char *bucket, const char *key,
                       lithops_object_info *ret_info, const lithops_storage_op *op)
{
    (void)state;
    static _Thread_local char name[1100], etag[128];
    const struct what what = {.bucket = bucket, .key = key};
    lithops_value *answer = NULL;
    int rc = lithops__channel_once(question("head", &what), &answer, op);
    if (rc != 0)
        return rc;
    describe(answer, name, sizeof name, etag, sizeof etag, ret_info);
    ret_info->key = key;
    lithops_value_free(answer);
    return 0;
}

static int visit_page(const lithops_value *objects, char *last, size_t last_size,
                      int (*visit)(const lithops_object_info *info, void *user), void *user)
{
    char etag[128];
    for (size_t i = 0; i < lithops_value_size(objects); i++) {
        lithops_object_info info;
        describe(lithops_value_at(objects, i), last, last_size, etag, sizeof etag, &info);
        int rc = info.key[0] ? visit(&info, user) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int client_list(void *state, const char *bucket, const char *prefix, const char *after,
                       int (*visit)(const lithops_object_info *info, void *user), void *user,
                       const lithops_storage_op *op)
{
    (void)state;
    char last[1100];
    bool more = true;
    int rc = 0;
    snprintf(last, sizeof last, "%s", after ? after : "");
    while (rc == 0 && more) {
        const struct what what = {.bucket = bucket, .key = prefix};
        lithops_value *answer = NULL, *map = question("list", &what);
        if (map && lithops_value_set(map, "after", text(last)) != 0) {
            lithops_value_free(map);
            map = NULL;
        }
        rc = lithops__channel_once(map, &answer, op);
        if (rc != 0)
            break;
        const lithops_value *objects = lithops_value_get(answer, "objects");
        more = lithops_value_get_bool(lithops_value_get(answer, "more")) &&
               lithops_value_size(objects) > 0;
        rc = visit_page(objects, last, sizeof last, visit, user);
        lithops_value_free(answer);
    }
    return rc;
}

static int client_del(void *state, const char *bucket, const char *key,
                      const lithops_storage_op *op)
{
    (void)state;
    const struct what what = {.bucket = bucket, .key = key};
    lithops_value *answer = NULL;
    int rc = lithops__channel_once(question("delete", &what), &answer, op);
    lithops_value_free(answer);
    return rc;
}

lithops_value *lithops__client_find(const lithops_value *name, lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    const lithops_storage_op op = {.deadline_ns = UINT64_MAX, .err = err ? err : &own};
    lithops_value *answer = NULL;
    if (lithops__channel_once(lithops_pack("{s:s,s:O}", "do", "find", "name", name), &answer,
                              &op) != 0)
        return NULL;
    const lithops_value *found = lithops_value_get(answer, "object");
    lithops_value *object = found ? lithops_value_copy(found) : NULL;
    if (!object)
        lithops__fail(op.err, LITHOPS_ENOMEM, "out of memory for the name of an object");
    lithops_value_free(answer);
    return object;
}

static const lithops_storage_ops client_ops = {
    .open = client_open,
    .close = client_close,
    .put = client_put,
    .put_fd = client_put_fd,
    .read = client_read,
    .end_read = client_end_read,
    .head = client_head,
    .list = client_list,
    .del = client_del,
};

/* It has the name of the storage that it reaches, so that cloudobjects of that storage are valid
 * here. */
const lithops_storage_driver lithops__storage_client = {
    .abi = LITHOPS_STORAGE_ABI,
    .name = "localhost",
    .summary = "The localhost storage of the client, for workers elsewhere.",
    .state_size = 0,
    .ops = &client_ops,
};
