/* SPDX-License-Identifier: Apache-2.0 */
/* One object at a time: put, read, head, delete. */
#include "base/error.h"
#include "base/log.h"
#include "storage/backends/s3/s3.h"

#include <stdio.h>
#include <string.h>

/* ---- buckets and puts ------------------------------------------------------------------------ */

int lithops__s3_make_bucket(void *state, const char *bucket, const lithops_storage_op *op)
{
    struct lithops__s3 *s3 = state;
    char body[256] = "", region[LITHOPS__S3_REGION];
    pthread_mutex_lock(&s3->lock);
    memcpy(region, s3->region, sizeof region);
    pthread_mutex_unlock(&s3->lock);
    if (s3->dialect->sends_location && strcmp(region, "us-east-1") != 0)
        snprintf(body, sizeof body,
                 "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                 "<LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>",
                 region);
    const struct lithops__s3_request request = {.method = "PUT",
                                                .bucket = bucket,
                                                .headers = {s3->new_bucket_header},
                                                .has_body = true,
                                                .body = {body, strlen(body)}};
    int rc = lithops__s3_do(s3, &request, op);
    return rc == LITHOPS_EEXIST ? 0 : rc; /* it is ours */
}

bool lithops__s3_makes(const struct lithops__s3 *s3, const char *bucket)
{
    if (!s3->bucket || strcmp(bucket, s3->bucket) != 0)
        return false;
    lithops__log(LITHOPS_LOG_INFO, "storage", "%s: creating the bucket '%s'", s3->dialect->section,
                 bucket);
    return true;
}

static int put_once(struct lithops__s3 *s3, const struct lithops__s3_request *request,
                    const lithops_storage_op *op)
{
    struct lithops__transfer *transfer;
    char byte;
    size_t none;
    int rc = lithops__s3_begin(s3, request, op, &transfer);
    if (rc)
        return rc;
    rc = s3->http->pull(transfer, &byte, 1, &none, op->err);
    if (rc == 0)
        rc = lithops__web_check_etag(&s3->web, transfer, op);
    lithops__s3_end(s3, transfer);
    return rc;
}

static int put(struct lithops__s3 *s3, const char *bucket, const char *key, lithops_bytes body,
               const char *condition, const lithops_storage_op *op)
{
    const struct lithops__s3_request request = {
        .method = "PUT",
        .bucket = bucket,
        .key = key,
        .headers = {"content-type: application/octet-stream", condition},
        .has_body = true,
        .body = body};
    int rc = put_once(s3, &request, op);
    if (rc != LITHOPS_ENOTFOUND || !lithops__s3_makes(s3, bucket))
        return rc;
    rc = lithops__s3_make_bucket(s3, bucket, op);
    return rc ? rc : put_once(s3, &request, op);
}

int lithops__s3_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                    const lithops_storage_op *op)
{
    return put(state, bucket, key, body, NULL, op);
}

int lithops__s3_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                        const lithops_storage_op *op)
{
    const struct lithops__s3 *s3 = state;
    if (!s3->new_object_header)
        return lithops__fail(op->err, LITHOPS_EUNSUPPORTED,
                             "%s cannot put an object only where there is none",
                             s3->dialect->section);
    int rc = put(state, bucket, key, body, s3->new_object_header, op);
    if (rc == 0 || op->err->http_status != 412)
        return rc;
    lithops__fail(op->err, LITHOPS_EEXIST, "object '%s' in bucket '%s' exists already", key,
                  bucket);
    op->err->http_status = 412;
    return LITHOPS_EEXIST;
}

/* ---- reads and deleting ---------------------------------------------------------------------- */

int lithops__s3_ask(void *state, const char *method, const char *bucket, const char *key,
                    const char *if_match, const char *range, const lithops_storage_op *op,
                    struct lithops__transfer **ret_transfer)
{
    char match_header[160], range_header[80];
    struct lithops__s3_request request = {.method = method, .bucket = bucket, .key = key};
    if (if_match) {
        snprintf(match_header, sizeof match_header, "if-match: %s", if_match);
        request.headers[0] = match_header;
    }
    if (range) {
        snprintf(range_header, sizeof range_header, "range: %s", range);
        request.headers[1] = range_header;
    }
    if (((struct lithops__s3 *)state)->web.checks && (if_match || strcmp(method, "GET") == 0))
        request.headers[2] = "x-amz-checksum-mode: ENABLED";
    return lithops__s3_begin(state, &request, op, ret_transfer);
}

int lithops__s3_read(void *state, const char *bucket, const char *key,
                     lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                     size_t *ret_len, const lithops_storage_op *op)
{
    struct lithops__s3 *s3 = state;
    return lithops__web_read(&s3->web, bucket, key, cursor, offset, buf, len, ret_len, op);
}

void lithops__s3_end_read(void *state, lithops_storage_cursor *cursor)
{
    lithops__web_end_read(&((struct lithops__s3 *)state)->web, cursor);
}

int lithops__s3_head(void *state, const char *bucket, const char *key,
                     lithops_object_info *ret_info, const lithops_storage_op *op)
{
    return lithops__web_head(&((struct lithops__s3 *)state)->web, bucket, key, ret_info, op);
}

int lithops__s3_del(void *state, const char *bucket, const char *key, const lithops_storage_op *op)
{
    const struct lithops__s3_request request = {.method = "DELETE", .bucket = bucket, .key = key};
    int rc = lithops__s3_do(state, &request, op);
    return rc == LITHOPS_ENOTFOUND ? 0 : rc;
}
