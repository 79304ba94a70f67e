/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that know nothing of large objects: a body, a list, a deletion of many. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/date.h"
#include "net/sign.h"
#include "storage/backends/swift/swift.h"

#include <lithops/value.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bodies ---------------------------------------------------------------------------------- */

int lithops__swift_make_bucket(void *state, const char *bucket, const lithops_storage_op *op)
{
    const struct lithops__swift_request request = {
        .method = "PUT", .bucket = bucket, .has_body = true, .body = {"", 0}};
    return lithops__swift_do(state, &request, op); /* one that exists is a success, 202 */
}

static void write_hex(const unsigned char md5[LITHOPS__MD5_BYTES], char ret_hex[LITHOPS__SWIFT_MD5])
{
    for (size_t i = 0; i < LITHOPS__MD5_BYTES; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", md5[i]);
}

int lithops__swift_store(struct lithops__swift *swift, struct lithops__swift_request request,
                         char ret_md5[LITHOPS__SWIFT_MD5], const lithops_storage_op *op)
{
    unsigned char md5[LITHOPS__MD5_BYTES];
    char hex[LITHOPS__SWIFT_MD5] = "", etag[128];
    struct lithops__transfer *transfer;
    char *document;
    size_t len;
    if (swift->crypto->md5(request.body, md5) == 0) /* it may be forbidden here */
        write_hex(md5, hex);
    request.method = "PUT";
    request.has_body = true;
    request.headers[0] = (struct lithops__swift_header){"Content-Type", "application/octet-stream"};
    request.headers[1] = (struct lithops__swift_header){"ETag", *hex ? hex : NULL};
    int rc = lithops__swift_begin(swift, &request, op, &transfer);
    if (rc)
        return rc;
    lithops__web_etag(swift->web.http->answer(transfer)->etag, etag, sizeof etag);
    bool same = !*hex || strcmp(etag, hex) == 0;
    rc = same ? lithops__web_document(&swift->web, transfer, op, &document, &len)
              : lithops__web_fail_stranger(&swift->web, transfer, "has not the object's MD5", op);
    if (!same)
        lithops__web_end(&swift->web, transfer);
    else if (rc == 0)
        free(document);
    if (rc == 0 && ret_md5)
        snprintf(ret_md5, LITHOPS__SWIFT_MD5, "%.32s", *hex ? hex : etag);
    return rc;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static char *write_query(const struct lithops__swift *swift, const char *prefix, const char *after)
{
    struct lithops__buffer query = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&query, "format=json&limit=%zu", swift->page);
    if (*prefix) {
        lithops__buffer_append_string(&query, "&prefix=");
        lithops__url_encode(&query, prefix, strlen(prefix), false);
    }
    if (*after) {
        lithops__buffer_append_string(&query, "&marker=");
        lithops__url_encode(&query, after, strlen(after), false);
    }
    return lithops__buffer_steal(&query);
}

static const char *text_in(const lithops_value *map, const char *name)
{
    return lithops_value_get_string(lithops_value_get(map, name));
}

static int visit_entry(const lithops_value *entry,
                       int (*visit)(const lithops_object_info *info, void *user), void *user)
{
    char etag[128];
    const char *large = text_in(entry, "slo_etag"), *hash = text_in(entry, "hash"),
               *modified = text_in(entry, "last_modified");
    lithops__web_etag(large ? large : hash ? hash : "", etag, sizeof etag);
    const lithops_object_info info = {
        .key = text_in(entry, "name"),
        .size_bytes = (uint64_t)lithops_value_get_int(lithops_value_get(entry, "bytes")),
        .last_modified = modified ? lithops__iso_date(modified) : 0,
        .etag = etag};
    return visit(&info, user);
}

/* *ret_page: a list; its owner is the caller. */
static int list_page(struct lithops__swift *swift, const char *bucket, const char *prefix,
                     const char *after, const lithops_storage_op *op, lithops_value **ret_page)
{
    struct lithops__transfer *transfer;
    char *query = write_query(swift, prefix, after), *document;
    size_t len;
    if (!query)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a list");
    const struct lithops__swift_request request = {
        .method = "GET", .bucket = bucket, .query = query};
    int rc = lithops__swift_begin(swift, &request, op, &transfer);
    free(query);
    if (rc == 0)
        rc = lithops__web_document(&swift->web, transfer, op, &document, &len);
    if (rc)
        return rc;
    *ret_page = lithops_value_from_json(document, len, NULL);
    free(document);
    if (lithops_value_type(*ret_page) == LITHOPS_LIST)
        return 0;
    lithops_value_free(*ret_page);
    *ret_page = NULL;
    rc = lithops__fail(op->err, LITHOPS_EBACKEND,
                       "the answer of swift to a list of bucket '%s' is not one", bucket);
    op->err->retryable = true;
    return rc;
}

int lithops__swift_list(void *state, const char *bucket, const char *prefix, const char *after,
                        int (*visit)(const lithops_object_info *info, void *user), void *user,
                        const lithops_storage_op *op)
{
    const size_t full = ((struct lithops__swift *)state)->page;
    lithops_value *page = NULL;
    char *start = strdup(after); /* it may be the key that a visitor was given */
    size_t count = full;
    int rc = start ? 0 : lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a list");
    while (rc == 0 && count == full) {
        rc = list_page(state, bucket, prefix, start, op, &page);
        count = rc ? 0 : lithops_value_size(page);
        const char *last = NULL;
        for (size_t i = 0; rc == 0 && i < count; i++)
            if ((last = text_in(lithops_value_at(page, i), "name")) != NULL)
                rc = visit_entry(lithops_value_at(page, i), visit, user);
        char *next = last ? strdup(last) : NULL;
        if (rc == 0 && count == full && !next)
            rc = lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a list");
        free(start);
        start = next;
        lithops_value_free(page);
        page = NULL;
    }
    free(start);
    return rc;
}

/* ---- deleting -------------------------------------------------------------------------------- */

/* The answer has status 200 whatever happened: its document tells. */
static int check_deletion(const char *document, size_t len, const char *bucket,
                          const lithops_storage_op *op)
{
    lithops_value *answer = lithops_value_from_json(document, len, NULL);
    const char *status = text_in(answer, "Response Status");
    const lithops_value *errors = lithops_value_get(answer, "Errors"),
                        *first = lithops_value_at(errors, 0);
    const char *name = lithops_value_get_string(lithops_value_at(first, 0)),
               *why = lithops_value_get_string(lithops_value_at(first, 1));
    int rc = 0;
    if (!status || (strncmp(status, "200", 3) != 0 && strncmp(status, "404", 3) != 0) || first) {
        bool denied = why && (strncmp(why, "403", 3) == 0 || strncmp(why, "401", 3) == 0);
        rc = lithops__fail(op->err, denied ? LITHOPS_EDENIED : LITHOPS_EBACKEND,
                           "deleting from bucket '%s': swift says '%s'%s%.300s%s%.100s", bucket,
                           status ? status : "nothing that can be read", name ? " of " : "",
                           name ? name : "", why ? ": " : "", why ? why : "");
        op->err->retryable = !denied;
    }
    lithops_value_free(answer);
    return rc;
}

int lithops__swift_bulk_delete(struct lithops__swift *swift, const char *bucket,
                               const char *const *keys, size_t count, const lithops_storage_op *op)
{
    struct lithops__buffer body = LITHOPS__BUFFER_INIT;
    struct lithops__transfer *transfer;
    char *document;
    size_t len;
    for (size_t i = 0; i < count; i++) {
        lithops__url_encode(&body, bucket, strlen(bucket), false);
        lithops__buffer_append_string(&body, "/");
        lithops__url_encode(&body, keys[i], strlen(keys[i]), true);
        lithops__buffer_append_string(&body, "\n");
    }
    const struct lithops__swift_request request = {
        .method = "POST",
        .query = "bulk-delete",
        .headers = {{"Content-Type", "text/plain"}, {"Accept", "application/json"}},
        .has_body = true,
        .body = {body.data, body.len}};
    int rc = body.failed ? lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a deletion")
                         : lithops__swift_begin(swift, &request, op, &transfer);
    lithops__buffer_deinit(&body);
    if (rc)
        return rc;
    /* A server without the extension takes it for metadata of the account: 204, and no document. */
    bool lacks = swift->web.http->answer(transfer)->status == 204;
    rc = lithops__web_document(&swift->web, transfer, op, &document, &len);
    if (rc)
        return rc;
    rc = lacks ? LITHOPS_EUNSUPPORTED : check_deletion(document, len, bucket, op);
    free(document);
    for (size_t i = 0; lacks && i < count; i++) {
        const struct lithops__swift_request one = {
            .method = "DELETE", .bucket = bucket, .key = keys[i]};
        int result = lithops__swift_do(swift, &one, op);
        rc = i == 0 || (result && result != LITHOPS_ENOTFOUND) ? result : rc;
        rc = rc == LITHOPS_ENOTFOUND ? 0 : rc;
    }
    return rc;
}
