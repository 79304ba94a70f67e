/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of many parts: segments, and the manifest that makes an object of them.
 *
 * A segment is `<key>/<upload>/<number>` in the container `<bucket>_segments`; of a long key only
 * the beginning. Servers limit the segments of a manifest, so that an object of more is a
 * manifest of manifests, which are beside the segments. Its metadata names the upload, so that
 * whoever replaces or deletes the object knows what to remove; a bucket without a container of
 * segments has no such objects, and costs no request. If two replace an object at once, the
 * segments of one that neither saw stay. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "storage/backends/swift/swift.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    STEM = 900, /* bytes of a key that stand in the names of its segments */
    NAME = STEM + LITHOPS__SWIFT_UPLOAD + 32,
};
#define META "X-Object-Meta-Lithops-Upload"
#define ASK_AGAIN_NS 10000000000u /* somebody else may have stored the first large object */

static void container_of(const char *bucket, char ret_name[LITHOPS__SWIFT_NAME])
{
    snprintf(ret_name, LITHOPS__SWIFT_NAME, "%s_segments", bucket);
}

/* Bytes of the key that begin the names of its segments; whole characters. */
static int stem_len(const char *key)
{
    size_t len = strlen(key);
    if (len > STEM)
        for (len = STEM; len && ((unsigned char)key[len] & 0xc0) == 0x80;)
            len--;
    return (int)len;
}

static int fail_memory(const lithops_storage_op *op)
{
    return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a large object");
}

/* ---- which there are ------------------------------------------------------------------------- */

static void remember(struct lithops__swift *swift, const char *bucket, bool has)
{
    pthread_mutex_lock(&swift->lock);
    snprintf(swift->asked, sizeof swift->asked, "%s", bucket);
    swift->has_segments = has;
    swift->asked_ns = lithops__now_ns();
    pthread_mutex_unlock(&swift->lock);
}

static int has_segments(struct lithops__swift *swift, const char *bucket, bool *ret_has,
                        const lithops_storage_op *op)
{
    char container[LITHOPS__SWIFT_NAME];
    pthread_mutex_lock(&swift->lock);
    bool known = strcmp(swift->asked, bucket) == 0 &&
                 (swift->has_segments || lithops__now_ns() < swift->asked_ns + ASK_AGAIN_NS);
    *ret_has = swift->has_segments;
    pthread_mutex_unlock(&swift->lock);
    if (known)
        return 0;
    container_of(bucket, container);
    const struct lithops__swift_request request = {.method = "HEAD", .bucket = container};
    int rc = lithops__swift_do(swift, &request, op);
    if (rc && rc != LITHOPS_ENOTFOUND)
        return rc;
    *op->err = (lithops_error)LITHOPS_ERROR_INIT;
    *ret_has = rc == 0;
    remember(swift, bucket, *ret_has);
    return 0;
}

int lithops__swift_upload_of(struct lithops__swift *swift, const char *bucket, const char *key,
                             char ret_id[LITHOPS__SWIFT_UPLOAD], const lithops_storage_op *op)
{
    const struct lithops__swift_request request = {.method = "HEAD", .bucket = bucket, .key = key};
    struct lithops__transfer *transfer;
    bool has;
    ret_id[0] = '\0';
    int rc = has_segments(swift, bucket, &has, op);
    if (rc || !has)
        return rc;
    rc = lithops__swift_begin(swift, &request, op, &transfer);
    if (rc == LITHOPS_ENOTFOUND) {
        *op->err = (lithops_error)LITHOPS_ERROR_INIT;
        return 0;
    }
    if (rc)
        return rc;
    const char *id = swift->web.http->header(transfer, META);
    if (id && strlen(id) == LITHOPS__SWIFT_UPLOAD - 1)
        memcpy(ret_id, id, LITHOPS__SWIFT_UPLOAD);
    lithops__web_end(&swift->web, transfer);
    return 0;
}

struct finding {
    const char *const *keys;
    size_t count;
    bool *has;
    char last[NAME]; /* the stem that was seen last */
};

static int find(const lithops_object_info *info, void *user)
{
    struct finding *finding = user;
    const char *end = strrchr(info->key, '/');
    while (end && end > info->key && end[-1] != '/') /* before the number, then before the upload */
        end--;
    size_t len = end && end > info->key ? (size_t)(end - 1 - info->key) : 0;
    if (len == 0 || len >= sizeof finding->last ||
        (strncmp(finding->last, info->key, len) == 0 && !finding->last[len]))
        return 0;
    snprintf(finding->last, sizeof finding->last, "%.*s", (int)len, info->key);
    for (size_t i = 0; i < finding->count; i++)
        if ((size_t)stem_len(finding->keys[i]) == len &&
            strncmp(finding->keys[i], info->key, len) == 0)
            finding->has[i] = true;
    return 0;
}

int lithops__swift_find_segments(struct lithops__swift *swift, const char *bucket,
                                 const char *const *keys, size_t count, bool *ret_has,
                                 const lithops_storage_op *op)
{
    char container[LITHOPS__SWIFT_NAME], prefix[STEM + 1];
    struct finding finding = {.keys = keys, .count = count, .has = ret_has};
    bool has;
    int rc = has_segments(swift, bucket, &has, op);
    if (rc || !has)
        return rc;
    size_t common = count ? (size_t)stem_len(keys[0]) : 0;
    for (size_t i = 1; i < count; i++) {
        size_t same = 0;
        while (same < common && keys[i][same] == keys[0][same])
            same++;
        common = same;
    }
    while (common && ((unsigned char)keys[0][common] & 0xc0) == 0x80) /* whole characters */
        common--;
    snprintf(prefix, sizeof prefix, "%.*s", (int)common, keys[0]);
    container_of(bucket, container);
    rc = lithops__swift_list(swift, container, prefix, "", find, &finding, op);
    if (rc != LITHOPS_ENOTFOUND)
        return rc;
    *op->err = (lithops_error)LITHOPS_ERROR_INIT;
    remember(swift, bucket, false); /* somebody has deleted it */
    return 0;
}

/* ---- removing them --------------------------------------------------------------------------- */

struct batch {
    struct lithops__swift *swift;
    const char *container;
    const lithops_storage_op *op;
    char *names[LITHOPS_STORAGE_DELETE_MAX];
    size_t count;
};

static int delete_batch(struct batch *batch)
{
    int rc = batch->count ? lithops__swift_bulk_delete(batch->swift, batch->container,
                                                       (const char *const *)batch->names,
                                                       batch->count, batch->op)
                          : 0;
    for (size_t i = 0; i < batch->count; i++)
        free(batch->names[i]);
    batch->count = 0;
    return rc;
}

static int add_to_batch(const lithops_object_info *info, void *user)
{
    struct batch *batch = user;
    char *name = strdup(info->key);
    if (!name)
        return fail_memory(batch->op);
    batch->names[batch->count++] = name;
    return batch->count == LITHOPS_STORAGE_DELETE_MAX ? delete_batch(batch) : 0;
}

int lithops__swift_drop(struct lithops__swift *swift, const char *bucket, const char *key,
                        const char *id, const lithops_storage_op *op)
{
    char container[LITHOPS__SWIFT_NAME], prefix[NAME];
    if (!*id)
        return 0;
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return fail_memory(op);
    container_of(bucket, container);
    snprintf(prefix, sizeof prefix, "%.*s/%s/", stem_len(key), key, id);
    *batch = (struct batch){.swift = swift, .container = container, .op = op};
    int rc = lithops__swift_list(swift, container, prefix, "", add_to_batch, batch, op);
    int rest = delete_batch(batch);
    free(batch);
    return rc ? rc : rest;
}

void lithops__swift_drop_old(struct lithops__swift *swift, const char *bucket, const char *key,
                             const char *id, const lithops_storage_op *op)
{
    lithops_error error = LITHOPS_ERROR_INIT;
    lithops_storage_op dropping = *op;
    dropping.err = &error;
    if (lithops__swift_drop(swift, bucket, key, id, &dropping) != 0)
        lithops__log(
            LITHOPS_LOG_WARNING, "storage",
            "segments of the object that '%s/%s' has replaced may be left in '%s_segments', "
            "as upload %s: %s",
            bucket, key, bucket, id, error.message);
}

/* ---- uploads --------------------------------------------------------------------------------- */

int lithops__swift_upload_begin(void *state, lithops_storage_upload *upload,
                                const lithops_storage_op *op)
{
    struct lithops__swift *swift = state;
    char container[LITHOPS__SWIFT_NAME];
    unsigned char random[(LITHOPS__SWIFT_UPLOAD - 1) / 2];
    const struct lithops__swift_request ask = {.method = "HEAD", .bucket = upload->bucket};
    int rc = lithops__swift_do(swift, &ask, op);
    if (rc == LITHOPS_ENOTFOUND && swift->bucket && strcmp(upload->bucket, swift->bucket) == 0) {
        *op->err = (lithops_error)LITHOPS_ERROR_INIT;
        rc = lithops__swift_make_bucket(swift, upload->bucket, op);
    }
    container_of(upload->bucket, container);
    rc = rc ? rc : lithops__swift_make_bucket(swift, container, op);
    if (rc)
        return rc;
    remember(swift, upload->bucket, true);
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return lithops__fail_errno(op->err, errno, "no random numbers");
    upload->id = malloc(LITHOPS__SWIFT_UPLOAD);
    for (size_t i = 0; upload->id && i < sizeof random; i++)
        snprintf(upload->id + 2 * i, 3, "%02x", random[i]);
    return upload->id ? 0 : fail_memory(op);
}

static void write_name(const lithops_storage_upload *upload, const char *kind, size_t number,
                       char ret_name[NAME])
{
    snprintf(ret_name, NAME, "%.*s/%.24s/%s%08zu", stem_len(upload->key), upload->key, upload->id,
             kind, number % 100000000);
}

int lithops__swift_upload_part(void *state, lithops_storage_upload *upload, size_t number,
                               lithops_bytes body, const lithops_storage_op *op)
{
    char container[LITHOPS__SWIFT_NAME], name[NAME], md5[LITHOPS__SWIFT_MD5];
    container_of(upload->bucket, container);
    write_name(upload, "", number, name);
    const struct lithops__swift_request request = {.bucket = container, .key = name, .body = body};
    int rc = lithops__swift_store(state, request, md5, op);
    if (rc == 0) /* what the manifest says of it */
        snprintf(upload->etags[number], sizeof upload->etags[number], "%s %zu", md5, body.len);
    return rc;
}

/* A name in JSON, in quotes: UTF-8, of which no more than the ASCII control characters, quotes and
 * backslashes need to be escaped. */
static void append_path(struct lithops__buffer *out, const char *container, const char *name)
{
    lithops__buffer_append_string(out, "{\"path\":\"/");
    for (int i = 0; i < 2; i++) {
        for (const char *text = i ? name : container; *text; text++) {
            unsigned char c = (unsigned char)*text;
            if (c < 0x20 || c == '"' || c == '\\')
                lithops__buffer_printf(out, "\\u%04x", c);
            else
                lithops__buffer_append(out, text, 1);
        }
        lithops__buffer_append_string(out, i ? "\"" : "/");
    }
}

/* Store a manifest. */
static int put_manifest(struct lithops__swift *swift, const char *bucket, const char *key,
                        const char *id, struct lithops__buffer *entries,
                        const lithops_storage_op *op)
{
    lithops__buffer_append_string(entries, "]");
    const struct lithops__swift_request request = {
        .method = "PUT",
        .bucket = bucket,
        .key = key,
        .query = "multipart-manifest=put",
        .headers = {{"Content-Type", "application/octet-stream"}, {META, id}},
        .has_body = true,
        .body = {entries->data, entries->len}};
    int rc = entries->failed ? fail_memory(op) : lithops__swift_do(swift, &request, op);
    lithops__buffer_deinit(entries);
    return rc;
}

/* Manifests of as many segments as may be, beside them; or, if one will do, its entries. */
static int put_inner(struct lithops__swift *swift, const lithops_storage_upload *upload,
                     const char *container, struct lithops__buffer *outer,
                     const lithops_storage_op *op)
{
    const size_t most = swift->manifest;
    char name[NAME];
    size_t inner = 0;
    int rc = 0;
    for (size_t first = 0; rc == 0 && first < upload->count; first += most) {
        struct lithops__buffer entries = LITHOPS__BUFFER_INIT;
        size_t end = first + most < upload->count ? first + most : upload->count;
        for (size_t i = first; i < end; i++) {
            char md5[LITHOPS__SWIFT_MD5] = "";
            size_t len = 0;
            sscanf(upload->etags[i], "%32[0-9a-f] %zu", md5, &len);
            write_name(upload, "", i, name);
            lithops__buffer_append_string(&entries, i == first ? "[" : ",");
            append_path(&entries, container, name);
            lithops__buffer_printf(&entries, ",\"etag\":\"%s\",\"size_bytes\":%zu}", md5, len);
        }
        if (upload->count <= most) { /* it is the only one */
            *outer = entries;
            return 0;
        }
        write_name(upload, "m", inner++, name);
        rc = put_manifest(swift, container, name, NULL, &entries, op);
        lithops__buffer_append_string(outer, first == 0 ? "[" : ",");
        append_path(outer, container, name);
        lithops__buffer_append_string(outer, "}");
    }
    return rc;
}

int lithops__swift_upload_complete(void *state, const lithops_storage_upload *upload,
                                   const lithops_storage_op *op)
{
    struct lithops__swift *swift = state;
    char container[LITHOPS__SWIFT_NAME], old[LITHOPS__SWIFT_UPLOAD];
    struct lithops__buffer entries = LITHOPS__BUFFER_INIT;
    container_of(upload->bucket, container);
    int rc = lithops__swift_upload_of(swift, upload->bucket, upload->key, old, op);
    if (rc == 0)
        rc = put_inner(swift, upload, container, &entries, op);
    if (rc == 0)
        rc = put_manifest(swift, upload->bucket, upload->key, upload->id, &entries, op);
    lithops__buffer_deinit(&entries);
    if (rc == 0 && strcmp(old, upload->id) != 0) /* else it is stored already, and told again */
        lithops__swift_drop_old(swift, upload->bucket, upload->key, old, op);
    return rc;
}

int lithops__swift_upload_abort(void *state, const lithops_storage_upload *upload,
                                const lithops_storage_op *op)
{
    char now[LITHOPS__SWIFT_UPLOAD];
    int rc = lithops__swift_upload_of(state, upload->bucket, upload->key, now, op);
    if (rc || strcmp(now, upload->id) == 0) /* the answer that said so was lost */
        return rc;
    return lithops__swift_drop(state, upload->bucket, upload->key, upload->id, op);
}
