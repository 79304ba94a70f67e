/* SPDX-License-Identifier: Apache-2.0 */
/* Planning: from names to byte ranges.
 *
 * A plan needs names and sizes only. Finding lines is left to the workers, so planning a terabyte
 * costs one request per object. */
#include "partition/partition.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "partition/names.h"
#include "partition/packing.h"
#include "partition/separator.h"
#include "partition/spec.h"
#include "partition/url_sizes.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL_CHUNK (1 << 20)
/* Beyond this the specs alone take gigabytes: surely a wrong unit. */
#define CHUNKS_MAX 10000000u

struct plan {
    const struct lithops__partition_options *options;
    lithops_storage *storage;
    lithops_value *specs;
    struct lithops__buffer counts; /* size_t per object */
    size_t objects, chunks;
    const lithops_value *item; /* that is planned now: a name, or a list that begins with one */
};

/* The name in an item. */
static const lithops_value *name_of(const lithops_value *item)
{
    return lithops_value_type(item) == LITHOPS_LIST ? lithops_value_at(item, 0) : item;
}

/* The list's other items go with every chunk: a list with the chunk's spec in place of the name.
 * Consumes `spec`. */
static lithops_value *with_arguments(const lithops_value *item, lithops_value *spec)
{
    if (!spec || lithops_value_type(item) != LITHOPS_LIST)
        return spec;
    lithops_value *list = lithops_value_list();
    if (!list || lithops_value_append(list, spec) != 0) {
        if (!list)
            lithops_value_free(spec);
        lithops_value_free(list);
        return NULL;
    }
    for (size_t i = 1; i < lithops_value_size(item); i++) {
        lithops_value *copy = lithops_value_copy(lithops_value_at(item, i));
        if (!copy || lithops_value_append(list, copy) != 0) {
            lithops_value_free(list);
            return NULL;
        }
    }
    return list;
}

static int check_options(const struct lithops__partition_options *options, lithops_error *err)
{
    if (options->chunk_size != LITHOPS_DEFAULT && options->chunk_size <= 0)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "obj_chunk_size is %lld; it is a number of bytes above 0",
                             (long long)options->chunk_size);
    if (options->chunk_number != LITHOPS_DEFAULT && options->chunk_number <= 0)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "obj_chunk_number is %lld; it is a number of chunks above 0",
                             (long long)options->chunk_number);
    if (options->chunk_number == LITHOPS_DEFAULT && options->chunk_size != LITHOPS_DEFAULT &&
        options->chunk_size < SMALL_CHUNK)
        lithops__log(LITHOPS_LOG_WARNING, "partition",
                     "obj_chunk_size is %lld bytes; below 1 MiB, starting calls may cost more than "
                     "the calls",
                     (long long)options->chunk_size);
    if (!options->newline)
        return 0;
    struct lithops__separator separator;
    int rc = lithops__separator_init(
        &separator, (lithops_bytes){options->newline, strlen(options->newline)}, err);
    if (rc == 0)
        lithops__separator_deinit(&separator);
    return rc;
}

/* How many chunks, and how large. By number they differ by one byte at most. */
static uint64_t count_chunks(const struct lithops__partition_options *options, uint64_t size,
                             bool parts, uint64_t *ret_chunk_size)
{
    uint64_t number = 1;
    if (parts && size != UINT64_MAX && size > 0) {
        if (options->chunk_number != LITHOPS_DEFAULT)
            number =
                (uint64_t)options->chunk_number < size ? (uint64_t)options->chunk_number : size;
        else if (options->chunk_size != LITHOPS_DEFAULT)
            number = (size - 1) / (uint64_t)options->chunk_size + 1;
    }
    *ret_chunk_size = number == 1 ? size : (size - 1) / number + 1;
    if (number > 1 && options->chunk_number == LITHOPS_DEFAULT)
        *ret_chunk_size = (uint64_t)options->chunk_size;
    return number;
}

static uint64_t chunk_start(const struct lithops__partition_options *options, uint64_t i,
                            uint64_t number, uint64_t size)
{
    if (i == number)
        return size;
    if (options->chunk_number == LITHOPS_DEFAULT)
        return i ? i * (uint64_t)options->chunk_size : 0;
    return (uint64_t)((unsigned __int128)i * size / number);
}

static const char *name_of_object(const lithops_object *object)
{
    return object->path ? object->path : object->url ? object->url : object->key;
}

/* Lines of a compressed object are those of its content, and finding where one begins takes reading
 * everything before it. */
static int look_into(const struct plan *plan, lithops_object *object, bool *parts,
                     enum lithops__packing *ret_packing, lithops_error *err)
{
    *ret_packing = LITHOPS__PACKING_NONE;
    if (!plan->options->newline)
        return 0;
    int rc = lithops__packing_of(object, plan->storage, ret_packing, err);
    if (rc || *ret_packing == LITHOPS__PACKING_NONE)
        return rc;
    uint64_t ignored;
    const char *name = name_of_object(object);
    if (*parts && count_chunks(plan->options, object->object_size_bytes, true, &ignored) > 1)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "'%s' is compressed and cannot be split: where a line begins is known "
                             "only when all before it was read; leave out the size and number of "
                             "chunks, or decompress it first",
                             name);
    if (*ret_packing == LITHOPS__PACKING_OTHER) {
        lithops__log(LITHOPS_LOG_WARNING, "partition",
                     "'%s' is compressed in a format that is not read here; calls get its bytes as "
                     "they are",
                     name);
        *ret_packing = LITHOPS__PACKING_NONE;
        return 0;
    }
    object->object_size_bytes = UINT64_MAX;
    *parts = false;
    return 0;
}

static int cut(const lithops_object *found, bool parts, void *user, lithops_error *err)
{
    struct plan *plan = user;
    lithops_object object = *found;
    enum lithops__packing packing;
    int rc = look_into(plan, &object, &parts, &packing, err);
    if (rc)
        return rc;
    uint64_t size = object.object_size_bytes;
    uint64_t number = count_chunks(plan->options, size, parts, &object.chunk_size_bytes);
    if (!parts && packing == LITHOPS__PACKING_NONE &&
        (plan->options->chunk_number != LITHOPS_DEFAULT ||
         plan->options->chunk_size != LITHOPS_DEFAULT))
        lithops__log(LITHOPS_LOG_INFO, "partition", "%s is one chunk: it does not give parts",
                     name_of_object(&object));
    if (number > CHUNKS_MAX - plan->chunks)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "the objects make more than %u chunks; give a larger obj_chunk_size "
                             "or a smaller obj_chunk_number",
                             CHUNKS_MAX);
    for (uint64_t i = 0; i < number; i++) {
        object.part = (int64_t)i;
        object.total_parts = (int64_t)number;
        object.range_start = chunk_start(plan->options, i, number, size);
        object.range_end = chunk_start(plan->options, i + 1, number, size);
        lithops_value *spec = with_arguments(
            plan->item, lithops__spec_encode(&object, plan->options->newline, packing));
        if (!spec || lithops_value_append(plan->specs, spec) != 0)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for %zu chunks",
                                 plan->chunks + number);
    }
    size_t count = (size_t)number;
    lithops__buffer_append(&plan->counts, &count, sizeof count);
    plan->objects++;
    plan->chunks += number;
    return 0;
}

/* The sizes of those of the objects that are URLs, in their order, asked at the same time. */
static int ask_urls(const lithops_value *objects, struct lithops__url_size **ret_sizes,
                    lithops_error *err)
{
    size_t count = lithops_value_size(objects), urls = 0;
    struct lithops__url_size *sizes = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *url = lithops__names_url(name_of(lithops_value_at(objects, i)));
        if (url && !sizes && !(sizes = calloc(count - i, sizeof *sizes)))
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for %zu URLs", count - i);
        if (url)
            sizes[urls++].url = url;
    }
    if (urls)
        lithops__url_sizes(sizes, urls);
    *ret_sizes = sizes;
    return 0;
}

static int cut_url(struct plan *plan, const struct lithops__url_size *asked, lithops_error *err)
{
    if (asked->rc) {
        if (err)
            *err = asked->err;
        return asked->rc;
    }
    lithops_object object = {.url = asked->url, .object_size_bytes = asked->size};
    return cut(&object, asked->parts, plan, err);
}

static int cut_all(struct plan *plan, lithops_storage *storage, const lithops_value *objects,
                   lithops_error *err)
{
    char folder[PATH_MAX];
    const char *base = getcwd(folder, sizeof folder);
    struct lithops__url_size *sizes = NULL, *next;
    int rc = ask_urls(objects, &sizes, err);
    next = sizes;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(objects); i++) {
        plan->item = lithops_value_at(objects, i);
        const lithops_value *name = name_of(plan->item);
        rc = next && lithops__names_url(name)
                 ? cut_url(plan, next++, err)
                 : lithops__names_expand(name, base, storage, cut, plan, err);
    }
    free(sizes);
    return rc;
}

int lithops__partition_plan(lithops_storage *storage, const lithops_value *objects,
                            const struct lithops__partition_options *options,
                            lithops_value **ret_specs, size_t **ret_counts, size_t *ret_objects,
                            lithops_error *err)
{
    int rc = check_options(options, err);
    if (rc == 0 && lithops_value_type(objects) != LITHOPS_LIST)
        rc = lithops__fail(err, LITHOPS_EUSAGE,
                           "a list of names of objects is expected; a value of type %s was given",
                           lithops_type_name(lithops_value_type(objects)));
    if (rc)
        return rc;
    struct plan plan = {.options = options, .storage = storage, .specs = lithops_value_list()};
    if (!plan.specs)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a plan");
    if (rc == 0)
        rc = cut_all(&plan, storage, objects, err);
    if (rc == 0 && !lithops__buffer_reserve(&plan.counts, sizeof(size_t)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a plan");
    if (rc) {
        lithops_value_free(plan.specs);
        lithops__buffer_deinit(&plan.counts);
        return rc;
    }
    *ret_specs = plan.specs;
    *ret_counts = (size_t *)(void *)plan.counts.data;
    *ret_objects = plan.objects;
    return 0;
}
