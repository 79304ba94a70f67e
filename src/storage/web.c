/* SPDX-License-Identifier: Apache-2.0 */
/* What backends over HTTP have in common.
 *
 * A cursor keeps the answer that it reads from. Consecutive reads share one GET. Each further GET
 * uses If-Match with the ETag of the first, so that an object replaced meanwhile is detected and
 * versions are never mixed. If an answer breaks off after some bytes, the rest is requested again;
 * if it made no progress, the engine decides about a retry.
 *
 * What an answer has a checksum for is checked when its last byte has come: the caller has used
 * some of the bytes by then, so it is the caller who begins again. */
#include "storage/web.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/module.h"
#include "net/date.h"
#include "net/http.h"
#include "storage/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the pool of HTTP handles ---------------------------------------------------------------- */

int lithops__web_init(struct lithops__web *web, const char *section, lithops__web_ask *ask,
                      void *state, lithops_error *err)
{
    pthread_mutex_init(&web->lock, NULL);
    web->section = section;
    web->ask = ask;
    web->state = state;
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", err);
    web->http = http ? &http->transfer : NULL;
    web->crypto = lithops__module_symbol("crypto", "lithops__crypto", NULL);
    return http ? 0 : LITHOPS_EUNSUPPORTED;
}

void lithops__web_deinit(struct lithops__web *web)
{
    for (size_t i = 0; i < web->idle_count; i++)
        web->http->close(web->idle[i]);
    pthread_mutex_destroy(&web->lock);
}

int lithops__web_take(struct lithops__web *web, struct lithops__transfer **ret_transfer,
                      lithops_error *err)
{
    struct lithops__transfer *transfer = NULL;
    pthread_mutex_lock(&web->lock);
    if (web->idle_count)
        transfer = web->idle[--web->idle_count];
    pthread_mutex_unlock(&web->lock);
    if (!transfer)
        return web->http->open(NULL, ret_transfer, err);
    *ret_transfer = transfer;
    return 0;
}

void lithops__web_end(struct lithops__web *web, struct lithops__transfer *transfer)
{
    if (!transfer)
        return;
    web->http->stop(transfer);
    pthread_mutex_lock(&web->lock);
    if (web->idle_count < LITHOPS__WEB_IDLE) {
        web->idle[web->idle_count++] = transfer;
        transfer = NULL;
    }
    pthread_mutex_unlock(&web->lock);
    web->http->close(transfer);
}

int lithops__web_document(struct lithops__web *web, struct lithops__transfer *transfer,
                          const lithops_storage_op *op, char **ret_document, size_t *ret_len)
{
    enum { PIECE = 64 << 10, MOST = 64 << 20 };
    struct lithops__buffer document = LITHOPS__BUFFER_INIT;
    size_t got = PIECE;
    int rc = 0;
    while (rc == 0 && got == PIECE) {
        void *room = lithops__buffer_reserve(&document, PIECE);
        if (!room || document.len > MOST)
            rc = lithops__fail(op->err, LITHOPS_ENOMEM, "an answer of %s is too long",
                               web->http->url(transfer));
        else
            rc = web->http->pull(transfer, room, PIECE, &got, op->err);
        document.len += rc ? 0 : got;
    }
    lithops__web_end(web, transfer);
    *ret_len = document.len;
    char *text = rc ? NULL : lithops__buffer_steal(&document);
    if (rc == 0 && !text)
        rc = lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for an answer");
    lithops__buffer_deinit(&document);
    if (rc == 0)
        *ret_document = text;
    return rc;
}

int lithops__web_fail_stranger(const struct lithops__web *web, struct lithops__transfer *transfer,
                               const char *why, const lithops_storage_op *op)
{
    lithops__fail(op->err, LITHOPS_EBACKEND,
                  "the answer from %s %s, so it is not one of %s; is a proxy in between?",
                  web->http->url(transfer), why, web->section);
    op->err->retryable = true;
    return LITHOPS_EBACKEND;
}

int lithops__web_check_etag(const struct lithops__web *web, struct lithops__transfer *transfer,
                            const lithops_storage_op *op)
{
    return web->http->answer(transfer)->etag[0]
               ? 0
               : lithops__web_fail_stranger(web, transfer, "has no ETag", op);
}

/* ---- reads ----------------------------------------------------------------------------------- */

enum { CHECK_PIECE = 256 << 10 }; /* checked while it is in the CPU's cache */

struct name {
    const char *bucket, *key;
};

struct stream {
    struct lithops__transfer *transfer; /* NULL: none under way */
    uint64_t at, end;                   /* the next byte it yields, and its end */
    struct lithops__check check;        /* goes on over answers to the same question */
};

static void end_stream(struct lithops__web *web, struct stream *stream)
{
    lithops__web_end(web, stream->transfer);
    stream->transfer = NULL;
}

static void free_stream(struct lithops__web *web, struct stream *stream)
{
    end_stream(web, stream);
    lithops__check_drop(&stream->check);
    free(stream);
}

void lithops__web_end_read(struct lithops__web *web, lithops_storage_cursor *cursor)
{
    free_stream(web, cursor->connection);
    cursor->connection = NULL;
}

/* Size and version alone: for empty reads, and reads past the end. */
static int read_head(struct lithops__web *web, struct name name, lithops_storage_cursor *cursor,
                     const lithops_storage_op *op)
{
    struct lithops__transfer *transfer;
    int rc = web->ask(web->state, "HEAD", name.bucket, name.key, NULL, NULL, op, &transfer);
    if (rc)
        return rc;
    const struct lithops__answer *answer = web->http->answer(transfer);
    rc = lithops__web_check_etag(web, transfer, op);
    if (rc == 0) {
        cursor->size_bytes = answer->length == UINT64_MAX ? 0 : answer->length;
        memcpy(cursor->etag, answer->etag, sizeof cursor->etag);
    }
    lithops__web_end(web, transfer);
    return rc;
}

/* Go on with the check of what was cut off, or begin another one. */
static void begin_check(struct lithops__web *web, struct stream *stream, bool is_whole)
{
    struct lithops__check *check = &stream->check;
    if (check->is_on && check->at == stream->at && check->end == stream->end)
        return;
    if (is_whole || !atomic_load(&web->ranges_lack))
        lithops__check_begin(check, web->crypto, web->http, stream->transfer, stream->at,
                             stream->end, is_whole);
    else
        lithops__check_drop(check);
}

/* Request [offset, end) of the object. Status 416 says that the object has no such bytes. */
static int start_stream(struct lithops__web *web, struct stream *stream, struct name name,
                        uint64_t offset, uint64_t end, lithops_storage_cursor *cursor,
                        const lithops_storage_op *op)
{
    char range[64];
    const char *if_match = cursor->etag[0] ? cursor->etag : NULL; /* of what has been read so far */
    if (end > INT64_MAX)
        snprintf(range, sizeof range, "bytes=%" PRIu64 "-", offset);
    else
        snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, offset, end - 1);
    int rc =
        web->ask(web->state, "GET", name.bucket, name.key, if_match, range, op, &stream->transfer);
    if (rc)
        return rc;
    rc = lithops__web_check_etag(web, stream->transfer, op);
    if (rc) {
        end_stream(web, stream);
        return rc;
    }
    const struct lithops__answer *answer = web->http->answer(stream->transfer);
    uint64_t total = answer->total;
    if (total == UINT64_MAX || answer->length == UINT64_MAX ||
        (answer->has_range ? answer->range_start != offset : offset > 0 && !web->no_ranges)) {
        end_stream(web, stream);
        return lithops__fail(op->err, LITHOPS_EBACKEND,
                             "'%s/%s': %s sent a different range than requested", name.bucket,
                             name.key, web->section);
    }
    if (cursor->etag[0] && strcmp(cursor->etag, answer->etag) != 0) { /* If-Match is not known */
        end_stream(web, stream);
        op->err->http_status = 412;
        return LITHOPS_EEXIST;
    }
    stream->at = offset;
    stream->end = answer->has_range || !web->no_ranges ? offset + answer->length : total;
    if (web->checks)
        begin_check(web, stream, answer->length == total);
    cursor->size_bytes = total;
    memcpy(cursor->etag, answer->etag, sizeof cursor->etag);
    return 0;
}

/* A range does not match the checksum that came with it: whether that is the object's. */
static bool is_of_object(struct lithops__web *web, struct name name,
                         const struct lithops__check *check, const lithops_storage_cursor *cursor,
                         const lithops_storage_op *op)
{
    struct lithops__transfer *transfer;
    if (!check->header)
        return false;
    if (web->ask(web->state, "HEAD", name.bucket, name.key, cursor->etag, NULL, op, &transfer) !=
        0) {
        *op->err = (lithops_error)LITHOPS_ERROR_INIT; /* who asks for the range again is told */
        return false;
    }
    const struct lithops__answer *answer = web->http->answer(transfer);
    bool is = strcmp(answer->etag, cursor->etag) == 0 && answer->length == cursor->size_bytes &&
              lithops__check_is_of(check, web->http, transfer);
    lithops__web_end(web, transfer);
    if (is && !atomic_exchange(&web->ranges_lack, true))
        lithops__log(LITHOPS_LOG_DEBUG, "storage",
                     "%s sends an object's checksum with a part of it: parts are not checked",
                     web->section);
    return is;
}

/* Whether the bytes of an answer are wrong, which its last ones show. */
static bool is_spoiled(struct lithops__web *web, struct stream *stream, struct name name,
                       const lithops_storage_cursor *cursor, const void *data, size_t len,
                       const lithops_storage_op *op)
{
    const struct lithops__check said = stream->check;
    if (len == 0 || lithops__check_add(&stream->check, data, len))
        return false;
    return said.is_whole || !is_of_object(web, name, &said, cursor, op);
}

static int read_on(struct lithops__web *web, struct stream *stream, struct name name,
                   uint64_t offset, uint64_t wanted_end, lithops_storage_cursor *cursor, void *buf,
                   size_t len, size_t *ret_len, bool *ret_spoiled, const lithops_storage_op *op)
{
    size_t done = 0;
    for (;;) {
        size_t got = 0, before = done, most = len - done;
        int rc = 0;
        if (!stream->transfer || stream->at != offset + done || stream->at == stream->end) {
            end_stream(web, stream);
            rc = start_stream(web, stream, name, offset + done, wanted_end, cursor, op);
        }
        if (rc == 0 && len) {
            if (stream->check.is_on && most > CHECK_PIECE)
                most = CHECK_PIECE;
            rc = web->http->pull(stream->transfer, (char *)buf + done, most, &got, op->err);
            *ret_spoiled = is_spoiled(web, stream, name, cursor, (const char *)buf + done, got, op);
            stream->at += got;
            done += got;
        }
        if (rc) {
            end_stream(web, stream);
            if (!op->err->retryable || done == before)
                return rc;
            *op->err = (lithops_error)LITHOPS_ERROR_INIT;
        }
        if (done == len || *ret_spoiled || (rc == 0 && offset + done >= cursor->size_bytes))
            break;
    }
    *ret_len = done;
    return 0;
}

int lithops__web_read(struct lithops__web *web, const char *bucket, const char *key,
                      lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                      size_t *ret_len, const lithops_storage_op *op)
{
    const struct name name = {bucket, key};
    lithops_storage_cursor seen = *cursor;
    struct stream *stream = cursor->connection;
    if (!stream && !(stream = calloc(1, sizeof *stream)))
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a read");
    const struct lithops__check before = stream->check;
    uint64_t end = len > UINT64_MAX - offset ? UINT64_MAX : offset + len;
    if (end < cursor->expect_end)
        end = cursor->expect_end;
    if (cursor->has_begun && end > cursor->size_bytes)
        end = cursor->size_bytes;
    int rc = 0;
    size_t got = 0;
    bool behind = offset > INT64_MAX || end <= offset, spoiled = false;
    if (!behind) {
        rc = read_on(web, stream, name, offset, end, &seen, buf, len, &got, &spoiled, op);
        behind = rc && op->err->http_status == 416;
    }
    if (behind) {
        *op->err = (lithops_error)LITHOPS_ERROR_INIT;
        rc = read_head(web, name, &seen, op);
    }
    bool replaced = rc && op->err->http_status == 412;
    if (replaced)
        *op->err = (lithops_error)LITHOPS_ERROR_INIT;
    if (rc && !replaced && !cursor->connection) {
        free_stream(web, stream);
        return rc;
    }
    if (rc && !replaced) {
        if (before.is_on && !before.digest)
            stream->check = before; /* the same bytes will come again */
        else
            lithops__check_drop(&stream->check);
        return rc;
    }
    void *keep = stream;
    *cursor = seen;
    cursor->connection = keep;
    cursor->replaced = replaced;
    cursor->spoiled = spoiled;
    *ret_len = got;
    return 0;
}

/* ---- head ------------------------------------------------------------------------------------ */

void lithops__web_etag(const char *raw, char *ret_etag, size_t size)
{
    size_t len = strlen(raw);
    bool quoted = len >= 2 && raw[0] == '"' && raw[len - 1] == '"';
    snprintf(ret_etag, size, "%.*s", (int)(quoted ? len - 2 : len), raw + quoted);
}

int lithops__web_head(struct lithops__web *web, const char *bucket, const char *key,
                      lithops_object_info *ret_info, const lithops_storage_op *op)
{
    static _Thread_local char etag[128];
    struct lithops__transfer *transfer;
    int rc = web->ask(web->state, "HEAD", bucket, key, NULL, NULL, op, &transfer);
    if (rc)
        return rc;
    rc = lithops__web_check_etag(web, transfer, op);
    if (rc) {
        lithops__web_end(web, transfer);
        return rc;
    }
    const struct lithops__answer *answer = web->http->answer(transfer);
    const char *modified = web->http->header(transfer, "Last-Modified");
    lithops__web_etag(answer->etag, etag, sizeof etag);
    *ret_info =
        (lithops_object_info){.key = key,
                              .size_bytes = answer->length == UINT64_MAX ? 0 : answer->length,
                              .last_modified = modified ? lithops__http_date(modified) : 0,
                              .etag = etag};
    lithops__web_end(web, transfer);
    return 0;
}
