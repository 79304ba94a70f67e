/* SPDX-License-Identifier: Apache-2.0 */
/* Multipart uploads.
 *
 * The server gives each part an ETag, and wants all of them at the end. The answer to the end has
 * status 200 before the server knows how it ends: only its document tells. If that answer is lost
 * and the request repeated, the upload is gone: then the object tells, whose ETag is made of those
 * of its parts. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/sign.h"
#include "net/xml.h"
#include "storage/backends/s3/s3.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outcome {
    char *id;       /* of an upload that began */
    char etag[128]; /* of the object that an upload became */
    struct lithops__s3_error error;
};

static void take_text(const char *path, const char *text, size_t len, void *user)
{
    struct outcome *outcome = user;
    (void)len;
    if (strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0 && !outcome->id)
        outcome->id = strdup(text);
    else if (strcmp(path, "CompleteMultipartUploadResult/ETag") == 0)
        snprintf(outcome->etag, sizeof outcome->etag, "%s", text);
    else if (strcmp(path, "Error/Code") == 0)
        snprintf(outcome->error.code, sizeof outcome->error.code, "%s", text);
    else if (strcmp(path, "Error/Message") == 0)
        snprintf(outcome->error.message, sizeof outcome->error.message, "%s", text);
}

/* Make a request and read its answer. The caller frees outcome->id. */
static int ask(struct lithops__s3 *s3, const struct lithops__s3_request *request,
               struct outcome *outcome, const lithops_storage_op *op)
{
    const struct lithops__xml_visitor visitor = {.text = take_text, .user = outcome};
    char *document;
    size_t len;
    int rc = lithops__s3_fetch(s3, request, op, &document, &len);
    if (rc)
        return rc;
    int broken = lithops__xml_read(document, len, &visitor);
    free(document);
    if (outcome->error.code[0])
        return lithops__s3_fail(s3, request, 200, outcome->error.code, outcome->error.message, op);
    if (!broken && (outcome->id || outcome->etag[0]))
        return 0;
    rc = lithops__fail(op->err, LITHOPS_EBACKEND,
                       "the answer of %s to a multipart upload of '%s/%s' cannot be read",
                       s3->dialect->section, request->bucket, request->key);
    op->err->retryable = true;
    return rc;
}

int lithops__s3_upload_begin(void *state, lithops_storage_upload *upload,
                             const lithops_storage_op *op)
{
    struct outcome outcome = {.id = NULL};
    const struct lithops__s3_request request = {
        .method = "POST",
        .bucket = upload->bucket,
        .key = upload->key,
        .query = "uploads=",
        .headers = {"content-type: application/octet-stream"},
        .has_body = true};
    int rc = ask(state, &request, &outcome, op);
    if (rc == LITHOPS_ENOTFOUND && lithops__s3_makes(state, upload->bucket)) {
        rc = lithops__s3_make_bucket(state, upload->bucket, op);
        outcome = (struct outcome){.id = NULL};
        rc = rc ? rc : ask(state, &request, &outcome, op);
    }
    if (rc == 0)
        upload->id = outcome.id;
    else
        free(outcome.id);
    return rc;
}

/* The query that names the upload, after `before`. The caller frees it. */
static char *query_of(const lithops_storage_upload *upload, const char *before)
{
    struct lithops__buffer query = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&query, "%suploadId=", before);
    lithops__url_encode(&query, upload->id, strlen(upload->id), false);
    return lithops__buffer_steal(&query);
}

static int fail_memory(const lithops_storage_op *op)
{
    return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a multipart upload");
}

/* @param file  or NULL: the part is `body` */
static int upload_part(struct lithops__s3 *s3, lithops_storage_upload *upload, size_t number,
                       lithops_bytes body, const struct lithops__web_file *file,
                       const lithops_storage_op *op)
{
    struct lithops__transfer *transfer;
    char part[40];
    snprintf(part, sizeof part, "partNumber=%zu&", number + 1);
    char *query = query_of(upload, part);
    if (!query)
        return fail_memory(op);
    const struct lithops__s3_request request = {.method = "PUT",
                                                .bucket = upload->bucket,
                                                .key = upload->key,
                                                .query = query,
                                                .has_body = true,
                                                .is_expected = true,
                                                .body = body,
                                                .file = file};
    int rc = lithops__s3_begin(s3, &request, op, &transfer);
    free(query);
    if (rc)
        return rc;
    char byte;
    size_t none;
    rc = s3->http->pull(transfer, &byte, 1, &none, op->err); /* to keep the connection */
    if (rc == 0)
        rc = lithops__web_check_etag(&s3->web, transfer, op);
    if (rc == 0)
        memcpy(upload->etags[number], s3->http->answer(transfer)->etag,
               sizeof upload->etags[number]);
    lithops__s3_end(s3, transfer);
    return rc;
}

int lithops__s3_upload_part(void *state, lithops_storage_upload *upload, size_t number,
                            lithops_bytes body, const lithops_storage_op *op)
{
    return upload_part(state, upload, number, body, NULL, op);
}

int lithops__s3_upload_part_fd(void *state, lithops_storage_upload *upload, size_t number, int fd,
                               uint64_t offset, size_t len, const lithops_storage_op *op)
{
    const struct lithops__web_file file = {.fd = fd, .start = offset, .len = len};
    return upload_part(state, upload, number, (lithops_bytes){NULL, 0}, &file, op);
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool parse_md5(const char *etag, unsigned char *ret_md5)
{
    if (strlen(etag) != 34 || etag[0] != '"' || etag[33] != '"' ||
        strspn(etag + 1, "0123456789abcdef") != 32)
        return false;
    for (int i = 0; i < LITHOPS__MD5_BYTES; i++) {
        unsigned byte = 0;
        sscanf(etag + 1 + 2 * i, "%2x", &byte);
        ret_md5[i] = (unsigned char)byte;
    }
    return true;
}

/* The ETag of the object that all parts make; "" if those of the parts are not MD5s. */
static void etag_of_parts(const struct lithops__s3 *s3, const lithops_storage_upload *upload,
                          char *ret_etag, size_t size)
{
    unsigned char *all = malloc(upload->count * LITHOPS__MD5_BYTES), md5[LITHOPS__MD5_BYTES];
    bool good = all != NULL;
    for (size_t i = 0; good && i < upload->count; i++)
        good = parse_md5(upload->etags[i], all + i * LITHOPS__MD5_BYTES);
    good = good && s3->crypto->md5((lithops_bytes){all, upload->count * sizeof md5}, md5) == 0;
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    for (size_t i = 0; good && i < sizeof md5; i++)
        lithops__buffer_printf(&text, "%s%02x", i ? "" : "\"", md5[i]);
    lithops__buffer_printf(&text, "-%zu\"", upload->count);
    snprintf(ret_etag, size, "%.*s", good && !text.failed ? (int)text.len : 0,
             text.data ? (char *)text.data : "");
    lithops__buffer_deinit(&text);
    free(all);
}

/* Whether the object that is there is the one that the parts make. */
static bool is_there(struct lithops__s3 *s3, const lithops_storage_upload *upload,
                     const lithops_storage_op *op)
{
    char expected[128];
    struct lithops__transfer *transfer;
    const struct lithops__s3_request request = {
        .method = "HEAD", .bucket = upload->bucket, .key = upload->key};
    etag_of_parts(s3, upload, expected, sizeof expected);
    lithops_error error = LITHOPS_ERROR_INIT;
    lithops_storage_op asking = *op;
    asking.err = &error;
    if (!expected[0] || lithops__s3_begin(s3, &request, &asking, &transfer) != 0)
        return false;
    const struct lithops__answer *answer = s3->http->answer(transfer);
    bool same = strcmp(answer->etag, expected) == 0 && answer->length == upload->size_bytes;
    lithops__s3_end(s3, transfer);
    return same;
}

int lithops__s3_upload_complete(void *state, const lithops_storage_upload *upload,
                                const lithops_storage_op *op)
{
    struct outcome outcome = {.id = NULL};
    struct lithops__buffer body = LITHOPS__BUFFER_INIT;
    char *query = query_of(upload, "");
    lithops__buffer_append_string(
        &body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < upload->count; i++) {
        lithops__buffer_printf(&body, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
        lithops__s3_append_escaped(&body, upload->etags[i]);
        lithops__buffer_append_string(&body, "</ETag></Part>");
    }
    lithops__buffer_append_string(&body, "</CompleteMultipartUpload>");
    const struct lithops__s3_request request = {.method = "POST",
                                                .bucket = upload->bucket,
                                                .key = upload->key,
                                                .query = query,
                                                .headers = {"content-type: application/xml"},
                                                .has_body = true,
                                                .body = {body.data, body.len}};
    int rc = query && !body.failed ? ask(state, &request, &outcome, op) : fail_memory(op);
    if (rc == LITHOPS_ENOTFOUND && is_there(state, upload, op)) {
        *op->err = (lithops_error)LITHOPS_ERROR_INIT;
        rc = 0;
    }
    free(outcome.id);
    lithops__buffer_deinit(&body);
    free(query);
    return rc;
}

int lithops__s3_upload_abort(void *state, const lithops_storage_upload *upload,
                             const lithops_storage_op *op)
{
    char *query = query_of(upload, "");
    if (!query)
        return fail_memory(op);
    const struct lithops__s3_request request = {
        .method = "DELETE", .bucket = upload->bucket, .key = upload->key, .query = query};
    int rc = lithops__s3_do(state, &request, op);
    free(query);
    return rc == LITHOPS_ENOTFOUND ? 0 : rc;
}
