/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting many blobs by one request: a batch, whose parts are requests of their own, each with an
 * authorization of its own. What the answer does not confirm is deleted by itself, so that whatever
 * is wrong with it is said as always. */
#include "base/buffer.h"
#include "base/error.h"
#include "storage/backends/azure/azure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BATCH_MAX = 256, BOUNDARY = 40 }; /* what the service takes; and a name */

static int make_boundary(char ret_boundary[BOUNDARY], const lithops_storage_op *op)
{
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return lithops__fail_errno(op->err, errno, "no random numbers");
    memcpy(ret_boundary, "batch_", 6);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(ret_boundary + 6 + 2 * i, 3, "%02x", random[i]);
    return 0;
}

static int write_body(const struct lithops__azure *azure, const char *bucket,
                      const char *const *keys, size_t count, const char *boundary,
                      struct lithops__buffer *body, const lithops_storage_op *op)
{
    struct lithops__credentials now = {.expires = 0};
    const struct lithops__bounds bounds = {op->deadline_ns, op->interrupted, op->user};
    int rc =
        azure->tokens ? lithops__credential_store_get(azure->tokens, &bounds, &now, op->err) : 0;
    if (rc)
        return rc;
    for (size_t i = 0; i < count && !body->failed; i++) {
        const struct lithops__azure_request part = {
            .method = "DELETE", .bucket = bucket, .key = keys[i], .is_part = true};
        lithops__buffer_printf(body,
                               "--%s\r\nContent-Type: application/http\r\n"
                               "Content-Transfer-Encoding: binary\r\nContent-ID: %zu\r\n\r\n",
                               boundary, i);
        body->failed |= !lithops__azure_write_part(azure, &part, now.bearer, body);
    }
    lithops__buffer_printf(body, "--%s--\r\n", boundary);
    lithops__credentials_deinit(&now);
    return body->failed ? lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a deletion")
                        : 0;
}

/* Each part of the answer names that of the request by its Content-ID, and has a status line. */
static void read_answer(const char *document, size_t count, bool *done)
{
    size_t id = SIZE_MAX;
    for (const char *line = document; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncasecmp(line, "Content-ID:", 11) == 0)
            id = strtoul(line + 11, NULL, 10);
        if (strncmp(line, "HTTP/1.1 ", 9) != 0)
            continue;
        long status = strtol(line + 9, NULL, 10);
        if (id < count)
            done[id] = (status >= 200 && status < 300) || status == 404;
        id = SIZE_MAX;
    }
}

static int delete_batch(struct lithops__azure *azure, const char *bucket, const char *const *keys,
                        size_t count, bool *done, bool *ret_no_bucket, const lithops_storage_op *op)
{
    struct lithops__buffer body = LITHOPS__BUFFER_INIT;
    struct lithops__transfer *transfer;
    char boundary[BOUNDARY], type[BOUNDARY + 40], *document;
    size_t len;
    int rc = make_boundary(boundary, op);
    rc = rc ? rc : write_body(azure, bucket, keys, count, boundary, &body, op);
    snprintf(type, sizeof type, "multipart/mixed; boundary=%s", rc ? "" : boundary);
    const struct lithops__azure_request request = {
        .method = "POST",
        .bucket = bucket,
        .query = {{"comp", "batch"}, {"restype", "container"}},
        .content_type = type,
        .ret_no_bucket = ret_no_bucket,
        .has_body = true,
        .body = {body.data, body.len}};
    rc = rc ? rc : lithops__azure_begin(azure, &request, op, &transfer);
    if (body.data) /* signatures, or a token, are in it */
        explicit_bzero(body.data, body.len);
    lithops__buffer_deinit(&body);
    if (rc == 0)
        rc = lithops__web_document(&azure->web, transfer, op, &document, &len);
    if (rc)
        return rc;
    read_answer(document, count, done);
    free(document);
    return 0;
}

static bool must_end(int rc, const lithops_storage_op *op)
{
    return rc && (op->err->retryable || rc == LITHOPS_ECANCELED || rc == LITHOPS_ETIMEDOUT);
}

int lithops__azure_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                            const lithops_storage_op *op)
{
    lithops_error first = LITHOPS_ERROR_INIT;
    for (size_t i = 0; i < count; i += BATCH_MAX) {
        size_t some = count - i < BATCH_MAX ? count - i : BATCH_MAX;
        bool done[BATCH_MAX] = {false}, no_bucket = false;
        int rc = delete_batch(state, bucket, keys + i, some, done, &no_bucket, op);
        if (rc == LITHOPS_ENOTFOUND && no_bucket) { /* so that nothing is there to delete */
            *op->err = (lithops_error)LITHOPS_ERROR_INIT;
            continue;
        }
        /* Azurite answers 500 to a batch with a SAS of an account; 404 without the service's code
         * is of something between that knows no batches. */
        if (rc && (op->err->http_status < 400 || rc == LITHOPS_ETHROTTLED))
            return rc;
        for (size_t k = 0; k < some; k++) {
            *op->err = (lithops_error)LITHOPS_ERROR_INIT;
            rc = done[k] ? 0 : lithops__azure_del(state, bucket, keys[i + k], op);
            if (must_end(rc, op))
                return rc;
            if (rc && !first.code)
                first = *op->err;
        }
    }
    *op->err = first;
    return (int)first.code;
}
