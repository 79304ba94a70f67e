/* SPDX-License-Identifier: Apache-2.0 */
/* Partition specs as values:
 *
 *     {"$partition": [part, total_parts, start, end, object_size, chunk_size],
 *      "path": ...  |  "url": ...  |  "backend": ..., "bucket": ..., "key": ...,
 *      "newline": ..., "packing": "gzip"}
 *
 * The numbers share one list, because a job can have a million specs. A size that is not known is
 * -1. Names of files need not be UTF-8; those that are not travel as bytes. */
#include "partition/spec.h"

#include "base/error.h"
#include "partition/partition.h"
#include "value/value.h"

#include <stdlib.h>
#include <string.h>

#define MARK "$partition"

bool lithops__is_partition(const lithops_value *value)
{
    return lithops_value_type(value) == LITHOPS_MAP &&
           lithops_value_type(lithops_value_get(value, MARK)) == LITHOPS_LIST;
}

static bool set_text(lithops_value *map, const char *key, const char *text)
{
    return !text || lithops_value_set(map, key, lithops__value_text(text, strlen(text))) == 0;
}

lithops_value *lithops__spec_encode(const lithops_object *object, const char *newline,
                                    enum lithops__packing packing)
{
    lithops_value *spec =
        lithops_pack("{s:[IIIIII]}", MARK, object->part, object->total_parts,
                     (int64_t)object->range_start, (int64_t)object->range_end,
                     (int64_t)object->object_size_bytes, (int64_t)object->chunk_size_bytes);
    const char *packed = packing == LITHOPS__PACKING_NONE ? NULL : lithops__packing_name(packing);
    if (spec && set_text(spec, "packing", packed) && set_text(spec, "path", object->path) &&
        set_text(spec, "url", object->url) && set_text(spec, "backend", object->backend) &&
        set_text(spec, "bucket", object->bucket) && set_text(spec, "key", object->key) &&
        set_text(spec, "newline", newline))
        return spec;
    lithops_value_free(spec);
    return NULL;
}

/* ---- copies of the strings ------------------------------------------------------------------- */

struct texts {
    lithops_bytes path, url, backend, bucket, key, newline;
};

static char *place(char **next, lithops_bytes text)
{
    if (!text.ptr)
        return NULL;
    char *start = *next;
    memcpy(start, text.ptr, text.len);
    start[text.len] = '\0';
    *next += text.len + 1;
    return start;
}

static int copy_texts(const struct texts *texts, struct lithops__spec *ret_spec, lithops_error *err)
{
    size_t size = texts->path.len + texts->url.len + texts->backend.len + texts->bucket.len +
                  texts->key.len + texts->newline.len + 6;
    char *next = malloc(size);
    if (!next)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a partition");
    ret_spec->text = next;
    ret_spec->object.path = place(&next, texts->path);
    ret_spec->object.url = place(&next, texts->url);
    ret_spec->object.backend = place(&next, texts->backend);
    ret_spec->object.bucket = place(&next, texts->bucket);
    ret_spec->object.key = place(&next, texts->key);
    ret_spec->newline = (lithops_bytes){place(&next, texts->newline), texts->newline.len};
    return 0;
}

void lithops__spec_deinit(struct lithops__spec *spec)
{
    free(spec->text);
    *spec = (struct lithops__spec){.text = NULL};
}

static lithops_bytes bytes_of(const char *text)
{
    return (lithops_bytes){text, text ? strlen(text) : 0};
}

int lithops__spec_of(const lithops_object *object, const char *newline,
                     struct lithops__spec *ret_spec, lithops_error *err)
{
    *ret_spec = (struct lithops__spec){.object = *object};
    ret_spec->object.part = 0;
    ret_spec->object.total_parts = 1;
    ret_spec->object.range_start = 0;
    ret_spec->object.range_end = object->object_size_bytes;
    ret_spec->object.chunk_size_bytes = object->object_size_bytes;
    struct texts texts = {bytes_of(object->path),    bytes_of(object->url),
                          bytes_of(object->backend), bytes_of(object->bucket),
                          bytes_of(object->key),     bytes_of(newline)};
    return copy_texts(&texts, ret_spec, err);
}

/* ---- from values ----------------------------------------------------------------------------- */

/* A string or bytes without NULs; not there is fine. */
static bool read_text(const lithops_value *map, const char *key, lithops_bytes *ret_text)
{
    const lithops_value *value = lithops_value_get(map, key);
    if (!value)
        return true;
    lithops_type type = lithops_value_type(value);
    *ret_text = lithops_value_get_bytes(value);
    return (type == LITHOPS_STRING || type == LITHOPS_BYTES) && ret_text->len &&
           !memchr(ret_text->ptr, '\0', ret_text->len);
}

static bool read_numbers(const lithops_value *list, lithops_object *object)
{
    int64_t n[6];
    if (lithops_value_size(list) != 6)
        return false;
    for (size_t i = 0; i < 6; i++) {
        const lithops_value *value = lithops_value_at(list, i);
        if (lithops_value_type(value) != LITHOPS_INT)
            return false;
        n[i] = lithops_value_get_int(value);
    }
    object->part = n[0];
    object->total_parts = n[1];
    object->range_start = (uint64_t)n[2];
    object->range_end = (uint64_t)n[3];
    object->object_size_bytes = (uint64_t)n[4];
    object->chunk_size_bytes = (uint64_t)n[5];
    bool known = n[4] >= 0;
    return n[0] >= 0 && n[0] < n[1] && n[2] >= 0 && n[4] >= -1 && n[5] >= -1 &&
           (known ? n[2] <= n[3] && n[3] <= n[4] : n[2] == 0 && n[3] == -1 && n[1] == 1);
}

int lithops__spec_decode(const lithops_value *value, struct lithops__spec *ret_spec,
                         lithops_error *err)
{
    *ret_spec = (struct lithops__spec){.text = NULL};
    struct texts texts = {{0}, {0}, {0}, {0}, {0}, {0}};
    lithops_bytes packing = {NULL, 0};
    bool good = lithops__is_partition(value) &&
                read_numbers(lithops_value_get(value, MARK), &ret_spec->object) &&
                read_text(value, "path", &texts.path) && read_text(value, "url", &texts.url) &&
                read_text(value, "backend", &texts.backend) &&
                read_text(value, "bucket", &texts.bucket) && read_text(value, "key", &texts.key) &&
                read_text(value, "newline", &texts.newline) &&
                read_text(value, "packing", &packing);
    bool stored = texts.bucket.ptr && texts.key.ptr;
    if (!good || !!texts.path.ptr + !!texts.url.ptr + stored != 1)
        return lithops__fail(err, LITHOPS_EPARSE, "not the partition of an object");
    int rc = packing.ptr ? lithops__packing_from_name(packing, &ret_spec->packing, err) : 0;
    if (rc)
        return rc;
    return copy_texts(&texts, ret_spec, err);
}
