/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs: puts, whole and by blocks, lists and deleting.
 *
 * Blocks belong to the name of a blob, not to one upload: so their numbers have a random part, or
 * two uploads at once would mix. Azure itself discards blocks that no list names, when the blob is
 * stored or after a week; nobody sees them, and there is no request that removes them. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "net/date.h"
#include "net/sign.h"
#include "net/xml.h"
#include "storage/backends/azure/azure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- puts ------------------------------------------------------------------------------------ */

int lithops__azure_make_bucket(void *state, const char *bucket, const lithops_storage_op *op)
{
    const struct lithops__azure_request request = {.method = "PUT",
                                                   .bucket = bucket,
                                                   .query = {{"restype", "container"}},
                                                   .has_body = true,
                                                   .body = {"", 0}};
    int rc = lithops__azure_do(state, &request, op);
    if (rc != LITHOPS_EEXIST)
        return rc;
    *op->err = (lithops_error)LITHOPS_ERROR_INIT; /* it is ours */
    return 0;
}

/* Again if it was Lithops' own container that is missing, and is there now. */
static int store(struct lithops__azure *azure, const struct lithops__azure_request *request,
                 const lithops_storage_op *op)
{
    int rc = lithops__azure_do(azure, request, op);
    if (rc != LITHOPS_ENOTFOUND || !azure->bucket || strcmp(request->bucket, azure->bucket) != 0)
        return rc;
    lithops__log(LITHOPS_LOG_INFO, "storage", "azure_storage: creating the bucket '%s'",
                 azure->bucket);
    *op->err = (lithops_error)LITHOPS_ERROR_INIT;
    rc = lithops__azure_make_bucket(azure, azure->bucket, op);
    return rc ? rc : lithops__azure_do(azure, request, op);
}

static int put(struct lithops__azure *azure, const char *bucket, const char *key,
               lithops_bytes body, const char *if_none_match, const lithops_storage_op *op)
{
    const struct lithops__azure_request request = {.method = "PUT",
                                                   .bucket = bucket,
                                                   .key = key,
                                                   .if_none_match = if_none_match,
                                                   .blob_type = "BlockBlob",
                                                   .has_body = true,
                                                   .body = body};
    return store(azure, &request, op);
}

int lithops__azure_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                       const lithops_storage_op *op)
{
    return put(state, bucket, key, body, NULL, op);
}

int lithops__azure_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                           const lithops_storage_op *op)
{
    return put(state, bucket, key, body, "*", op);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

enum { UPLOAD_ID = 25, BLOCK_ID = 64 };

static void write_block_id(const char *upload_id, size_t number, char id[BLOCK_ID])
{
    char text[UPLOAD_ID + 8];
    snprintf(text, sizeof text, "%.24s-%05zu", upload_id, number % 100000); /* of one length */
    lithops__base64((const unsigned char *)text, strlen(text), id);
}

int lithops__azure_upload_begin(void *state, lithops_storage_upload *upload,
                                const lithops_storage_op *op)
{
    (void)state;
    unsigned char random[(UPLOAD_ID - 1) / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return lithops__fail_errno(op->err, errno, "no random numbers");
    upload->id = malloc(UPLOAD_ID);
    if (!upload->id)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for an object");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(upload->id + 2 * i, 3, "%02x", random[i]);
    return 0;
}

int lithops__azure_upload_part(void *state, lithops_storage_upload *upload, size_t number,
                               lithops_bytes body, const lithops_storage_op *op)
{
    char id[BLOCK_ID];
    write_block_id(upload->id, number, id);
    const struct lithops__azure_request request = {.method = "PUT",
                                                   .bucket = upload->bucket,
                                                   .key = upload->key,
                                                   .query = {{"blockid", id}, {"comp", "block"}},
                                                   .has_body = true,
                                                   .body = body};
    return store(state, &request, op);
}

int lithops__azure_upload_complete(void *state, const lithops_storage_upload *upload,
                                   const lithops_storage_op *op)
{
    struct lithops__buffer body = LITHOPS__BUFFER_INIT;
    lithops__buffer_append_string(&body, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    for (size_t i = 0; i < upload->count; i++) {
        char id[BLOCK_ID];
        write_block_id(upload->id, i, id);
        /* Latest: it is committed already where the answer to an attempt was lost. */
        lithops__buffer_printf(&body, "<Latest>%s</Latest>", id);
    }
    lithops__buffer_append_string(&body, "</BlockList>");
    int rc =
        body.failed ? lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for an object") : 0;
    const struct lithops__azure_request request = {.method = "PUT",
                                                   .bucket = upload->bucket,
                                                   .key = upload->key,
                                                   .query = {{"comp", "blocklist"}},
                                                   .has_body = true,
                                                   .body = {body.data, body.len}};
    if (rc == 0)
        rc = lithops__azure_do(state, &request, op);
    lithops__buffer_deinit(&body);
    return rc;
}

int lithops__azure_upload_abort(void *state, const lithops_storage_upload *upload,
                                const lithops_storage_op *op)
{
    (void)state;
    (void)upload;
    (void)op;
    return 0; /* see above */
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct page {
    const char *after;
    int (*visit)(const lithops_object_info *info, void *user);
    void *user;
    int result; /* of visit */
    char key[4096], etag[128], marker[4096];
    lithops_object_info info;
};

#define BLOB "EnumerationResults/Blobs/Blob"

static void on_text(const char *path, const char *text, size_t len, void *user)
{
    struct page *page = user;
    (void)len;
    if (strcmp(path, "EnumerationResults/NextMarker") == 0)
        snprintf(page->marker, sizeof page->marker, "%s", text);
    else if (strcmp(path, BLOB "/Name") == 0)
        snprintf(page->key, sizeof page->key, "%s", text);
    else if (strcmp(path, BLOB "/Properties/Content-Length") == 0)
        page->info.size_bytes = strtoull(text, NULL, 10);
    else if (strcmp(path, BLOB "/Properties/Last-Modified") == 0)
        page->info.last_modified = lithops__http_date(text);
    else if (strcmp(path, BLOB "/Properties/Etag") == 0)
        lithops__web_etag(text, page->etag, sizeof page->etag);
}

static void on_begin(const char *path, void *user)
{
    struct page *page = user;
    if (strcmp(path, BLOB) == 0) {
        page->info = (lithops_object_info){.key = page->key, .etag = page->etag};
        page->key[0] = page->etag[0] = '\0';
    }
}

static void on_end(const char *path, void *user)
{
    struct page *page = user;
    if (page->result == 0 && strcmp(path, BLOB) == 0 && strcmp(page->key, page->after) > 0)
        page->result = page->visit(&page->info, page->user);
}

static int list_page(struct lithops__azure *azure, const char *bucket, const char *prefix,
                     struct page *page, const lithops_storage_op *op)
{
    struct lithops__azure_request request = {.method = "GET", .bucket = bucket};
    char marker[sizeof page->marker];
    size_t count = 0;
    snprintf(marker, sizeof marker, "%s", page->marker);
    request.query[count++] = (struct lithops__azure_parameter){"comp", "list"};
    if (*marker)
        request.query[count++] = (struct lithops__azure_parameter){"marker", marker};
    if (*prefix)
        request.query[count++] = (struct lithops__azure_parameter){"prefix", prefix};
    request.query[count++] = (struct lithops__azure_parameter){"restype", "container"};
    struct lithops__transfer *transfer;
    char *document;
    size_t len;
    int rc = lithops__azure_begin(azure, &request, op, &transfer);
    if (rc == 0)
        rc = lithops__web_document(&azure->web, transfer, op, &document, &len);
    if (rc)
        return rc;
    page->marker[0] = '\0';
    const struct lithops__xml_visitor visitor = {
        .begin = on_begin, .end = on_end, .text = on_text, .user = page};
    /* Some servers begin with a byte order mark. */
    size_t mark = len >= 3 && memcmp(document, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    rc = lithops__xml_read(document + mark, len - mark, &visitor);
    free(document);
    if (page->result)
        return page->result;
    if (rc) {
        rc = lithops__fail(op->err, LITHOPS_EBACKEND,
                           "the list of bucket '%s' from azure_storage is not well-formed XML",
                           bucket);
        op->err->retryable = true;
    }
    return rc;
}

int lithops__azure_list(void *state, const char *bucket, const char *prefix, const char *after,
                        int (*visit)(const lithops_object_info *info, void *user), void *user,
                        const lithops_storage_op *op)
{
    struct page *page = calloc(1, sizeof *page);
    char *start = strdup(after); /* it may be the key that a visitor was given */
    int rc = LITHOPS_ENOMEM;
    if (!page || !start) {
        lithops__fail(op->err, rc, "out of memory for a list");
    } else {
        *page = (struct page){.after = start, .visit = visit, .user = user};
        do
            rc = list_page(state, bucket, prefix, page, op);
        while (rc == 0 && page->marker[0]);
    }
    free(page);
    free(start);
    return rc;
}

/* ---- deleting -------------------------------------------------------------------------------- */

int lithops__azure_del(void *state, const char *bucket, const char *key,
                       const lithops_storage_op *op)
{
    const struct lithops__azure_request request = {
        .method = "DELETE", .bucket = bucket, .key = key};
    int rc = lithops__azure_do(state, &request, op);
    return rc == LITHOPS_ENOTFOUND ? 0 : rc;
}
