/* SPDX-License-Identifier: Apache-2.0 */
/* Caches, puts, lists and deleting. A list of the server's is one of all keys, in no order; the
 * size of a value is found by asking for it. */
#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/retry.h"
#include "net/sign.h"
#include "storage/backends/infinispan/infinispan.h"

#include <lithops/value.h>

#include <stdlib.h>
#include <string.h>

/* ---- caches ---------------------------------------------------------------------------------- */

static bool says(const lithops_storage_op *op, const char *code)
{
    return strstr(op->err->message, code) != NULL;
}

static int create(struct lithops__infinispan *infinispan, const char *bucket, const char *query,
                  const char *kind, const lithops_storage_op *op)
{
    struct lithops__buffer body = LITHOPS__BUFFER_INIT;
    if (kind)
        lithops__buffer_printf(
            &body, "{\"%s\":{\"encoding\":{\"media-type\":\"application/octet-stream\"}}}", kind);
    const struct lithops__infinispan_request request = {.method = "POST",
                                                        .bucket = bucket,
                                                        .query = query,
                                                        .content_type = "application/json",
                                                        .has_body = true,
                                                        .body = {body.data, body.len}};
    int rc = body.failed ? lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a request")
                         : lithops__infinispan_do(infinispan, &request, op);
    lithops__buffer_deinit(&body);
    if (rc && says(op, "ISPN000507")) { /* somebody else was sooner */
        *op->err = (lithops_error)LITHOPS_ERROR_INIT;
        rc = 0;
    }
    return rc;
}

/* Without a template: distributed over the servers; of a server that is alone, which can do no
 * such thing, local. */
int lithops__infinispan_make_bucket(void *state, const char *bucket, const lithops_storage_op *op)
{
    struct lithops__infinispan *infinispan = state;
    if (infinispan->template) {
        struct lithops__buffer query = LITHOPS__BUFFER_INIT;
        lithops__buffer_append_string(&query, "template=");
        lithops__url_encode(&query, infinispan->template, strlen(infinispan->template), false);
        char *text = lithops__buffer_steal(&query);
        int rc = text ? create(infinispan, bucket, text, NULL, op)
                      : lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a request");
        free(text);
        return rc;
    }
    int rc = create(infinispan, bucket, NULL, "distributed-cache", op);
    if (rc && says(op, "ISPN000343")) {
        *op->err = (lithops_error)LITHOPS_ERROR_INIT;
        rc = create(infinispan, bucket, NULL, "local-cache", op);
    }
    return rc;
}

bool lithops__infinispan_makes(const struct lithops__infinispan *infinispan, const char *bucket)
{
    if (infinispan->bucket && strcmp(infinispan->bucket, bucket) == 0)
        return true;
    for (size_t i = 0; i < lithops_value_size(infinispan->cache_names); i++) {
        const char *name = lithops_value_get_string(lithops_value_at(infinispan->cache_names, i));
        if (name && strcmp(name, bucket) == 0)
            return true;
    }
    return false;
}

/* ---- puts and deleting ----------------------------------------------------------------------- */

/* Again if it was a cache of ours that is missing, and is there now. */
static int store(struct lithops__infinispan *infinispan, const char *method, const char *bucket,
                 const char *key, lithops_bytes body, const lithops_storage_op *op)
{
    const struct lithops__infinispan_request request = {.method = method,
                                                        .bucket = bucket,
                                                        .key = key,
                                                        .content_type = "application/octet-stream",
                                                        .has_body = true,
                                                        .body = body};
    int rc = lithops__infinispan_do(infinispan, &request, op);
    if (rc != LITHOPS_ENOTFOUND || !lithops__infinispan_makes(infinispan, bucket))
        return rc;
    lithops__log(LITHOPS_LOG_INFO, "storage", "infinispan: creating the cache '%s'", bucket);
    *op->err = (lithops_error)LITHOPS_ERROR_INIT;
    rc = lithops__infinispan_make_bucket(infinispan, bucket, op);
    return rc ? rc : lithops__infinispan_do(infinispan, &request, op);
}

int lithops__infinispan_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                            const lithops_storage_op *op)
{
    return store(state, "PUT", bucket, key, body, op);
}

int lithops__infinispan_put_new(void *state, const char *bucket, const char *key,
                                lithops_bytes body, const lithops_storage_op *op)
{
    return store(state, "POST", bucket, key, body, op);
}

int lithops__infinispan_del(void *state, const char *bucket, const char *key,
                            const lithops_storage_op *op)
{
    const struct lithops__infinispan_request request = {
        .method = "DELETE", .bucket = bucket, .key = key};
    int rc = lithops__infinispan_do(state, &request, op);
    return rc == LITHOPS_ENOTFOUND ? 0 : rc;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The object's key of an entry's. */
static char *read_key(const char *text)
{
    char *key = strdup(text), *out = key;
    if (!key)
        return NULL;
    for (const char *in = text; *in; in++) {
        bool is_code = *in == '%' && digit(in[1]) >= 0 && digit(in[2]) >= 0;
        *out++ = is_code ? (char)(digit(in[1]) << 4 | digit(in[2])) : *in;
        in += is_code ? 2 : 0;
    }
    *out = '\0';
    return key;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_keys(char **keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(keys[i]);
    free(keys);
}

/* The keys with the prefix that are greater than `after`, in their order. */
static int choose(const lithops_value *all, const char *prefix, const char *after, char ***ret_keys,
                  size_t *ret_count, const lithops_storage_op *op)
{
    size_t size = lithops_value_size(all), count = 0, prefix_len = strlen(prefix);
    char **keys = calloc(size + 1, sizeof *keys);
    for (size_t i = 0; keys && i < size; i++) {
        const char *text = lithops_value_get_string(lithops_value_at(all, i));
        char *key = text ? read_key(text) : NULL;
        if (text && !key) {
            free_keys(keys, count);
            keys = NULL;
        } else if (key && strncmp(key, prefix, prefix_len) == 0 && strcmp(key, after) > 0) {
            keys[count++] = key;
        } else {
            free(key);
        }
    }
    if (!keys)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a list");
    qsort(keys, count, sizeof *keys, compare);
    *ret_keys = keys;
    *ret_count = count;
    return 0;
}

static int fetch_keys(struct lithops__infinispan *infinispan, const char *bucket,
                      lithops_value **ret_all, const lithops_storage_op *op)
{
    const struct lithops__infinispan_request request = {
        .method = "GET", .bucket = bucket, .query = "action=keys"};
    struct lithops__transfer *transfer;
    char *document;
    size_t len;
    int rc = lithops__infinispan_begin(infinispan, &request, op, &transfer);
    if (rc == 0)
        rc = lithops__web_document(&infinispan->web, transfer, op, &document, &len);
    if (rc)
        return rc;
    lithops_value *all = lithops_value_from_json(document, len, NULL);
    free(document);
    if (lithops_value_type(all) == LITHOPS_LIST) {
        *ret_all = all;
        return 0;
    }
    lithops_value_free(all);
    rc = lithops__fail(op->err, LITHOPS_EBACKEND,
                       "the answer of infinispan to a list of bucket '%s' is not one", bucket);
    op->err->retryable = true;
    return rc;
}

static int visit_all(struct lithops__infinispan *infinispan, const char *bucket, char **keys,
                     size_t count, int (*visit)(const lithops_object_info *info, void *user),
                     void *user, const lithops_storage_op *op)
{
    const struct lithops__bounds bounds = {op->deadline_ns, op->interrupted, op->user};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        lithops_object_info info;
        rc = lithops__bounds_check(&bounds, op->err);
        rc = rc ? rc : lithops__web_head(&infinispan->web, bucket, keys[i], &info, op);
        if (rc == 0)
            rc = visit(&info, user);
        else if (rc == LITHOPS_ENOTFOUND) { /* deleted meanwhile */
            *op->err = (lithops_error)LITHOPS_ERROR_INIT;
            rc = 0;
        }
    }
    return rc;
}

int lithops__infinispan_list(void *state, const char *bucket, const char *prefix, const char *after,
                             int (*visit)(const lithops_object_info *info, void *user), void *user,
                             const lithops_storage_op *op)
{
    lithops_value *all = NULL;
    char **keys = NULL;
    size_t count = 0;
    int rc = fetch_keys(state, bucket, &all, op);
    if (rc)
        return rc;
    rc = choose(all, prefix, after, &keys, &count, op);
    lithops_value_free(all);
    if (rc)
        return rc;
    rc = visit_all(state, bucket, keys, count, visit, user, op);
    free_keys(keys, count);
    return rc;
}
