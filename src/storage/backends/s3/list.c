/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, and deleting many objects: the requests whose answers or bodies are documents.
 *
 * By start-after, each page of a list begins after the last key of the previous one, so nothing has
 * to be kept between them. Keys come URL-encoded, as XML cannot hold all of them. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/date.h"
#include "net/sign.h"
#include "net/xml.h"
#include "storage/backends/s3/s3.h"

#include <stdlib.h>
#include <string.h>

/* ---- lists ----------------------------------------------------------------------------------- */

struct page {
    int (*visit)(const lithops_object_info *info, void *user);
    void *user;
    int result; /* of visit */
    bool is_list, is_truncated, is_encoded;
    size_t count;
    char key[3 * 1024 + 1], etag[128];
    lithops_object_info info;
    char *last; /* the key that was visited last, as sent in start-after */
    size_t last_size;
};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void url_decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        int high = *in == '%' ? hex_digit(in[1]) : -1, low = high >= 0 ? hex_digit(in[2]) : -1;
        if (low >= 0) {
            *out++ = (char)(high << 4 | low);
            in += 2;
        } else {
            *out++ = *in == '+' ? ' ' : *in;
        }
    }
    *out = '\0';
}

static void on_text(const char *path, const char *text, size_t len, void *user)
{
    struct page *page = user;
    (void)len;
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    if (strcmp(path, "ListBucketResult/IsTruncated") == 0)
        page->is_truncated = strcmp(text, "true") == 0;
    else if (strcmp(path, "ListBucketResult/EncodingType") == 0)
        page->is_encoded = strcmp(text, "url") == 0;
    else if (strncmp(path, "ListBucketResult/Contents/", 26) != 0)
        return;
    else if (strcmp(name, "Key") == 0)
        snprintf(page->key, sizeof page->key, "%s", text);
    else if (strcmp(name, "Size") == 0)
        page->info.size_bytes = strtoull(text, NULL, 10);
    else if (strcmp(name, "LastModified") == 0)
        page->info.last_modified = lithops__iso_date(text);
    else if (strcmp(name, "ETag") == 0) {
        lithops__web_etag(text, page->etag, sizeof page->etag);
    }
}

static void on_begin(const char *path, void *user)
{
    struct page *page = user;
    if (strcmp(path, "ListBucketResult") == 0)
        page->is_list = true;
    if (strcmp(path, "ListBucketResult/Contents") == 0) {
        page->info = (lithops_object_info){.key = page->key, .etag = page->etag};
        page->key[0] = page->etag[0] = '\0';
    }
}

static void on_end(const char *path, void *user)
{
    struct page *page = user;
    if (page->result || strcmp(path, "ListBucketResult/Contents") != 0)
        return;
    if (page->is_encoded)
        url_decode(page->key);
    snprintf(page->last, page->last_size, "%s", page->key);
    page->count++;
    page->result = page->visit(&page->info, page->user);
}

static bool write_query(const char *prefix, const char *after, char **ret_query)
{
    struct lithops__buffer query = LITHOPS__BUFFER_INIT;
    lithops__buffer_append_string(&query, "encoding-type=url&list-type=2");
    if (*prefix) {
        lithops__buffer_append_string(&query, "&prefix=");
        lithops__url_encode(&query, prefix, strlen(prefix), false);
    }
    if (*after) {
        lithops__buffer_append_string(&query, "&start-after=");
        lithops__url_encode(&query, after, strlen(after), false);
    }
    *ret_query = lithops__buffer_steal(&query);
    return *ret_query != NULL;
}

static int list_page(struct lithops__s3 *s3, const char *bucket, const char *prefix,
                     struct page *page, const lithops_storage_op *op)
{
    char *query, *document;
    size_t len;
    if (!write_query(prefix, page->last, &query))
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a list");
    const struct lithops__s3_request request = {.method = "GET", .bucket = bucket, .query = query};
    int rc = lithops__s3_fetch(s3, &request, op, &document, &len);
    free(query);
    if (rc)
        return rc;
    page->is_list = page->is_truncated = page->is_encoded = false;
    page->count = 0;
    /* Most servers send EncodingType before the keys, but they need not. */
    page->is_encoded = memmem(document, len, "<EncodingType>url<", 18) != NULL;
    const struct lithops__xml_visitor visitor = {
        .begin = on_begin, .end = on_end, .text = on_text, .user = page};
    rc = lithops__xml_read(document, len, &visitor);
    free(document);
    if (page->result)
        return page->result;
    if (rc || !page->is_list) { /* a page of a proxy may be well-formed, too */
        rc = lithops__fail(op->err, LITHOPS_EBACKEND,
                           "the answer of %s to a list of bucket '%s' is not one",
                           s3->dialect->section, bucket);
        op->err->retryable = true;
    }
    return rc;
}

int lithops__s3_list(void *state, const char *bucket, const char *prefix, const char *after,
                     int (*visit)(const lithops_object_info *info, void *user), void *user,
                     const lithops_storage_op *op)
{
    char last[3 * 1024 + 1];
    struct page *page = calloc(1, sizeof *page);
    if (!page)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a list");
    *page = (struct page){.visit = visit, .user = user, .last = last, .last_size = sizeof last};
    snprintf(last, sizeof last, "%s", after);
    int rc;
    do
        rc = list_page(state, bucket, prefix, page, op);
    while (rc == 0 && page->is_truncated && page->count);
    free(page);
    return rc;
}

/* ---- deleting many --------------------------------------------------------------------------- */

void lithops__s3_append_escaped(struct lithops__buffer *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || strchr("<>&\"'", c))
            lithops__buffer_printf(out, "&#%u;", c);
        else
            lithops__buffer_append(out, text, 1);
    }
}

struct deletion {
    char key[1100];
    struct lithops__s3_error error; /* the first one */
    bool has_result;
};

static void on_deleted(const char *path, const char *text, size_t len, void *user)
{
    struct deletion *deletion = user;
    (void)len;
    bool first = !deletion->error.code[0];
    if (first && strcmp(path, "DeleteResult/Error/Key") == 0)
        snprintf(deletion->key, sizeof deletion->key, "%s", text);
    else if (first && strcmp(path, "DeleteResult/Error/Code") == 0)
        snprintf(deletion->error.code, sizeof deletion->error.code, "%s", text);
}

static void on_result(const char *path, void *user)
{
    ((struct deletion *)user)->has_result |= strcmp(path, "DeleteResult") == 0;
}

static int check_deletion(struct lithops__s3 *s3, const struct lithops__s3_request *request,
                          char *document, size_t len, const lithops_storage_op *op)
{
    struct deletion deletion = {.key = ""};
    const struct lithops__xml_visitor visitor = {
        .begin = on_result, .text = on_deleted, .user = &deletion};
    if (lithops__xml_read(document, len, &visitor) != 0 || !deletion.has_result) {
        int rc = lithops__fail(op->err, LITHOPS_EBACKEND,
                               "the answer of %s to a deletion in '%s' cannot be read",
                               s3->dialect->section, request->bucket);
        op->err->retryable = true;
        return rc;
    }
    if (!deletion.error.code[0] || strcmp(deletion.error.code, "NoSuchKey") == 0)
        return 0;
    struct lithops__s3_request one = *request;
    one.key = deletion.key;
    one.method = "DELETE";
    return lithops__s3_fail(s3, &one, 200, deletion.error.code, "", op);
}

int lithops__s3_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                         const lithops_storage_op *op)
{
    struct lithops__s3 *s3 = state;
    struct lithops__buffer body = LITHOPS__BUFFER_INIT;
    lithops__buffer_append_string(&body, "<Delete><Quiet>true</Quiet>");
    for (size_t i = 0; i < count; i++) {
        lithops__buffer_append_string(&body, "<Object><Key>");
        lithops__s3_append_escaped(&body, keys[i]);
        lithops__buffer_append_string(&body, "</Key></Object>");
    }
    lithops__buffer_append_string(&body, "</Delete>");
    unsigned char md5[LITHOPS__MD5_BYTES];
    char md5_header[64] = "content-md5: ";
    if (body.failed || s3->crypto->md5((lithops_bytes){body.data, body.len}, md5) != 0) {
        lithops__buffer_deinit(&body);
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a deletion");
    }
    lithops__base64(md5, sizeof md5, md5_header + strlen(md5_header));
    const struct lithops__s3_request request = {
        .method = "POST",
        .bucket = bucket,
        .query = "delete=",
        .headers = {md5_header, "content-type: application/xml"},
        .has_body = true,
        .body = {body.data, body.len}};
    char *document;
    size_t len;
    int rc = lithops__s3_fetch(s3, &request, op, &document, &len);
    lithops__buffer_deinit(&body);
    if (rc)
        return rc == LITHOPS_ENOTFOUND ? 0 : rc;
    rc = check_deletion(s3, &request, document, len, op);
    free(document);
    return rc;
}
