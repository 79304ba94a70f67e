/* SPDX-License-Identifier: Apache-2.0 */
/* Starting jobs: options checked, inputs put into shared memory, calls offered.
 *
 * Single calls (call_async) of one function share a range, a *page*, that grows: starting one is
 * then writing a slot and counting up. A page is left when it is full, or when so many other jobs
 * were started meanwhile that keeping it open would hold up the ring. */
#include "base/error.h"
#include "base/log.h"
#include "core/core.h"
#include "function/code.h"
#include "function/function.h"
#include "function/image.h"
#include "ipc/bell.h"
#include "value/value.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FIRST_PAGE = 16, LARGEST_PAGE = 4096, PAGE_DISTANCE = 16 };

/* ---- inputs ---------------------------------------------------------------------------------- */

static int fail_space(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOSPACE,
                         "no shared memory left for the inputs: release or clean results, or raise "
                         "localhost.shared_memory");
}

static lithops__offset store_pieces(struct lithops__table *table, const lithops_bytes *pieces,
                                    size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].len;
    lithops__offset offset = lithops__table_alloc_input(table, len);
    char *to = offset ? lithops__at(&table->area, offset) : NULL;
    for (size_t i = 0; to && i < count; i++) {
        if (pieces[i].len)
            memcpy(to, pieces[i].ptr, pieces[i].len);
        to += pieces[i].len;
    }
    return offset;
}

static int fill_packed(struct lithops__table *table, struct lithops__slot *slot,
                       const lithops_value *value, lithops_error *err)
{
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    int rc = lithops__value_encode(value, &buffer, err);
    if (rc == 0) {
        slot->content = LITHOPS__CONTENT_PACKED;
        slot->payload =
            store_pieces(table, &(lithops_bytes){(const char *)buffer.data, buffer.len}, 1);
        if (!slot->payload)
            rc = fail_space(err);
    }
    lithops__buffer_deinit(&buffer);
    return rc;
}

static int fill_bytes(struct lithops__table *table, struct lithops__slot *slot,
                      lithops_content content, lithops_bytes bytes, lithops_error *err)
{
    bool in_pieces = content == LITHOPS_CONTENT_PIECES;
    slot->payload =
        in_pieces ? store_pieces(table, bytes.ptr, bytes.len) : store_pieces(table, &bytes, 1);
    if (!slot->payload) {
        slot->content = LITHOPS__CONTENT_NULL;
        return fail_space(err);
    }
    slot->content = in_pieces ? LITHOPS__CONTENT_PICKLE : (uint64_t)content;
    return 0;
}

static int fill_payload(struct lithops__table *table, struct lithops__slot *slot,
                        const lithops_payload *payload, lithops_error *err)
{
    slot->content = (uint64_t)payload->content;
    slot->payload = 0;
    if (payload->content > LITHOPS_CONTENT_PICKLE && payload->content != LITHOPS_CONTENT_PIECES)
        return lithops__fail(err, LITHOPS_EUSAGE, "an input has the unknown content %d",
                             (int)payload->content);
    if (payload->content == LITHOPS_CONTENT_BOOL)
        slot->payload = payload->b;
    else if (payload->content == LITHOPS_CONTENT_INT || payload->content == LITHOPS_CONTENT_DOUBLE)
        memcpy(&slot->payload, &payload->i, sizeof slot->payload);
    else if (payload->content > LITHOPS_CONTENT_DOUBLE)
        return fill_bytes(table, slot, payload->content, payload->bytes, err);
    return 0;
}

int lithops__slot_fill(struct lithops__table *table, struct lithops__slot *slot,
                       const lithops_value *value, lithops_error *err)
{
    lithops_payload payload;
    slot->content = LITHOPS__CONTENT_NULL;
    slot->payload = 0;
    if (!value)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "an input is NULL: a wrong format, a string that is not UTF-8, or no "
                             "memory; for a null input use lithops_value_null()");
    return lithops__value_payload(value, &payload) ? fill_payload(table, slot, &payload, err)
                                                   : fill_packed(table, slot, value, err);
}

/* An array that is taken over as it is. */
static int copy_array(struct lithops__table *table, struct lithops__range *range,
                      enum lithops__input_kind kind, const void *data, uint64_t item_bytes,
                      uint64_t count, lithops_error *err)
{
    if (item_bytes > UINT32_MAX || (item_bytes && count > UINT64_MAX / 2 / item_bytes))
        return lithops__fail(err, LITHOPS_EUSAGE, "items of %llu bytes are too large",
                             (unsigned long long)item_bytes);
    range->input_kind = kind;
    range->input_bytes = (uint32_t)item_bytes;
    range->inputs = store_pieces(table, &(lithops_bytes){data, (size_t)(count * item_bytes)}, 1);
    return range->inputs ? 0 : fail_space(err);
}

static int make_slots(struct lithops__table *table, struct lithops__range *range, uint64_t capacity,
                      lithops_error *err)
{
    range->input_kind = LITHOPS__INPUT_SLOTS;
    range->inputs = lithops__table_alloc(table, capacity * sizeof(struct lithops__slot));
    if (!range->inputs)
        return fail_space(err);
    memset(lithops__at(&table->area, range->inputs), 0, capacity * sizeof(struct lithops__slot));
    return 0;
}

static int store_inputs(struct lithops__table *table, struct lithops__range *range,
                        const lithops_value *inputs, lithops_error *err)
{
    struct lithops__list_view view;
    (void)lithops__value_list_view(inputs, &view);
    switch (view.kind) {
    case LITHOPS__LIST_RANGE:
        range->input_kind = LITHOPS__INPUT_RANGE;
        range->input_start = view.start;
        return 0;
    case LITHOPS__LIST_INTS:
        return copy_array(table, range, LITHOPS__INPUT_INTS, view.data, 8, view.count, err);
    case LITHOPS__LIST_DOUBLES:
        return copy_array(table, range, LITHOPS__INPUT_DOUBLES, view.data, 8, view.count, err);
    case LITHOPS__LIST_ITEMS:
        return copy_array(table, range, LITHOPS__INPUT_ITEMS, view.data, view.item_bytes,
                          view.count, err);
    case LITHOPS__LIST_VALUES:
    case LITHOPS__LIST_PAYLOADS:
        break;
    }
    int rc = make_slots(table, range, view.count, err);
    struct lithops__slot *slots = rc == 0 ? lithops__at(&table->area, range->inputs) : NULL;
    if (view.kind == LITHOPS__LIST_PAYLOADS) {
        for (size_t i = 0; rc == 0 && i < view.count; i++)
            rc = fill_payload(table, &slots[i], (const lithops_payload *)view.data + i, err);
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < view.count; i++)
        rc = lithops__slot_fill(table, &slots[i], lithops_value_at(inputs, i), err);
    return rc;
}

/* Size of the inputs as they travel. */
static uint64_t input_bytes(const struct lithops__table *table, const struct lithops__range *range)
{
    uint64_t count = atomic_load(&range->count);
    if (range->input_kind == LITHOPS__INPUT_RANGE)
        return 0;
    if (range->input_kind != LITHOPS__INPUT_SLOTS)
        return count * range->input_bytes;
    const struct lithops__slot *slots = lithops__at(&table->area, range->inputs);
    uint64_t bytes = count * sizeof *slots;
    for (uint64_t i = 0; i < count; i++)
        if (slots[i].content > LITHOPS__CONTENT_INLINE)
            bytes += lithops__payload_bytes(&table->area, slots[i].payload).len;
    return bytes;
}

/* Size of the file that holds the function. The program's does not change while it runs. */
static uint64_t image_bytes(const lithops_function *function)
{
    static _Atomic uint64_t program;
    struct stat status;
    if (function->code)
        return function->code->len;
    if (function->library)
        return stat(function->library, &status) == 0 ? (uint64_t)status.st_size : 0;
    uint64_t size = atomic_load(&program);
    if (size == 0 && stat("/proc/self/exe", &status) == 0)
        atomic_store(&program, size = (uint64_t)status.st_size);
    return size;
}

/* ---- options --------------------------------------------------------------------------------- */

static int check_positive(int64_t value, const char *name, const char *unit, lithops_error *err)
{
    if (value == LITHOPS_DEFAULT || value > 0)
        return 0;
    return lithops__fail(err, LITHOPS_EUSAGE, "%s is %lld%s: it must be more than 0", name,
                         (long long)value, unit);
}

static int check_env(const lithops_value *env, lithops_error *err)
{
    if (env && lithops_value_type(env) != LITHOPS_MAP)
        return lithops__fail(err, LITHOPS_EUSAGE, "extra_env is a %s: a map of strings is needed",
                             lithops_type_name(lithops_value_type(env)));
    const char *name;
    const lithops_value *value;
    for (size_t i = 0; env && (value = lithops_value_pair(env, i, &name)) != NULL; i++) {
        if (lithops_value_type(value) != LITHOPS_STRING)
            return lithops__fail(err, LITHOPS_EUSAGE, "extra_env '%s' is a %s: a string is needed",
                                 name, lithops_type_name(lithops_value_type(value)));
        if (strlen(lithops_value_get_string(value)) != lithops_value_get_bytes(value).len)
            return lithops__fail(err, LITHOPS_EUSAGE, "extra_env '%s' holds a NUL", name);
        if (name[0] == '\0' || strchr(name, '='))
            return lithops__fail(err, LITHOPS_EUSAGE, "extra_env: '%s' is no name for a variable",
                                 name);
    }
    return 0;
}

static int check_plan(const struct lithops__job_plan *plan, lithops_error *err)
{
    const int64_t most_mb = (int64_t)1 << 40;
    if (plan->runtime_memory_mb > most_mb)
        return lithops__fail(err, LITHOPS_EUSAGE, "runtime_memory_mb is %lld: that is no memory",
                             (long long)plan->runtime_memory_mb);
    int rc = lithops__function_check(plan->function, err);
    if (rc == 0)
        rc = check_positive(plan->timeout_ms, "timeout_ms", " ms", err);
    if (rc == 0)
        rc = check_positive(plan->runtime_memory_mb, "runtime_memory_mb", " MB", err);
    if (rc == 0)
        rc = check_positive(plan->chunksize, "chunksize", "", err);
    if (rc == 0)
        rc = check_env(plan->extra_env, err);
    if (rc == 0 && plan->extra_args && lithops_value_type(plan->extra_args) != LITHOPS_LIST &&
        lithops_value_type(plan->extra_args) != LITHOPS_MAP)
        rc = lithops__fail(err, LITHOPS_EUSAGE,
                           "extra_args is a %s: a list (by position) or a map "
                           "(by name) is needed",
                           lithops_type_name(lithops_value_type(plan->extra_args)));
    return rc;
}

/* Extra arguments, environment and modules, if there are any, as one packed map. */
static int store_spec(struct lithops__table *table, struct lithops__range *range,
                      const struct lithops__job_plan *plan, const lithops_value *manifest,
                      lithops_error *err)
{
    if (!plan->extra_args && !plan->extra_env && !manifest)
        return 0;
    lithops_value *spec = lithops_value_map();
    if (plan->extra_args)
        lithops_value_set(spec, "extra_args", lithops_value_copy(plan->extra_args));
    if (plan->extra_env)
        lithops_value_set(spec, "env", lithops_value_copy(plan->extra_env));
    if (manifest)
        lithops_value_set(spec, "manifest", lithops_value_copy(manifest));
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    int rc = lithops__value_encode(spec, &buffer, err);
    if (rc == 0) {
        range->spec = lithops__table_store(table, buffer.data, buffer.len);
        range->spec_len = buffer.len;
        rc = range->spec ? 0 : fail_space(err);
    }
    lithops__buffer_deinit(&buffer);
    lithops_value_free(spec);
    return rc;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static struct lithops__job *new_job(lithops_executor *fexec, char kind, const char *function)
{
    struct lithops__job *job = calloc(1, sizeof *job);
    if (!job || !(job->function = strdup(function))) {
        free(job);
        return NULL;
    }
    atomic_init(&job->refs, 1);
    pthread_mutex_init(&job->seen_lock, NULL);
    job->fexec = lithops__executor_ref(fexec);
    job->range = UINT32_MAX;
    job->kind = kind;
    return job;
}

static void set_limits(lithops_executor *fexec, struct lithops__job *job,
                       struct lithops__range *range, const struct lithops__job_plan *plan)
{
    uint64_t per_ms = fexec->table.area.control->ticks_per_ms;
    uint64_t ms = (uint64_t)plan->timeout_ms;
    if (plan->timeout_ms == LITHOPS_DEFAULT)
        range->timeout_ticks = fexec->timeout_ticks;
    else /* 0, no limit, for what the clock cannot count */
        range->timeout_ticks = ms > UINT64_MAX / 2 / per_ms ? 0 : ms * per_ms;
    range->memory_bytes = plan->runtime_memory_mb == LITHOPS_DEFAULT
                              ? fexec->memory_bytes
                              : (uint64_t)plan->runtime_memory_mb << 20;
    int64_t chunk = plan->chunksize == LITHOPS_DEFAULT ? fexec->chunksize : plan->chunksize;
    range->chunk = chunk == LITHOPS_DEFAULT ? 0 : chunk > UINT32_MAX ? UINT32_MAX : (uint32_t)chunk;
    range->retries = fexec->retries;
    if (range->retries)
        memset(lithops__range_extras(&fexec->table.area, range), 0,
               range->capacity * sizeof(uint32_t));
    range->job_kind = plan->kind;
    range->job_number = job->number;
    job->memory_mb = (int64_t)(range->memory_bytes >> 20);
    if (range->memory_bytes && !fexec->limits_prepared) {
        fexec->driver->ops->prepare_limits(fexec->compute);
        fexec->limits_prepared = true;
    }
}

/* [L] */
static int build(lithops_executor *fexec, struct lithops__job_plan *plan, struct lithops__job *job,
                 const lithops_value *manifest, lithops_error *err)
{
    struct lithops__table *table = &fexec->table;
    uint64_t count = plan->inputs ? lithops_value_size(plan->inputs) : plan->count;
    uint32_t function;
    int rc = lithops__executor_check(fexec, err);
    if (rc == 0)
        rc = lithops__table_function(table, plan->function, &function, err);
    if (rc == 0)
        rc = lithops__table_new_range(table, function, count, count ? count : 1, plan->first_state,
                                      &job->range, err);
    if (rc != 0)
        return rc;
    struct lithops__range *range = lithops__job_range(job);
    job->number = plan->maps ? plan->maps->number : fexec->next_number++;
    set_limits(fexec, job, range, plan);
    rc = plan->inputs ? store_inputs(table, range, plan->inputs, err)
                      : make_slots(table, range, count ? count : 1, err);
    job->data_bytes = rc == 0 ? input_bytes(table, range) : 0;
    if (fexec->data_limit_bytes && job->data_bytes > fexec->data_limit_bytes)
        rc = lithops__fail(err, LITHOPS_EUSAGE,
                           "the inputs take %llu bytes, more than data_limit of the configuration",
                           (unsigned long long)job->data_bytes);
    if (rc == 0)
        rc = store_spec(table, range, plan, manifest, err);
    if (rc == 0)
        rc = lithops__job_keep(fexec, job, err);
    if (rc != 0) {
        lithops__job_abandon(job);
        return rc;
    }
    lithops__job_ref(job); /* the executor's */
    lithops__table_publish_range(table, job->range);
    return 0;
}

void lithops__job_abandon(struct lithops__job *job)
{
    struct lithops__range *range = lithops__job_range(job);
    atomic_store(&range->count, 0); /* nothing was offered, so there is nothing to settle */
    if (range->input_kind == LITHOPS__INPUT_SLOTS && range->inputs) {
        struct lithops__table *table = &job->fexec->table;
        struct lithops__slot *slots = lithops__at(&table->area, range->inputs);
        for (uint64_t i = 0; i < range->capacity; i++)
            if (slots[i].content > LITHOPS__CONTENT_INLINE)
                lithops__heap_free(&table->heap, slots[i].payload);
    }
}

int lithops__job_start(lithops_executor *fexec, struct lithops__job_plan *plan,
                       struct lithops__job **ret_job, lithops_error *err)
{
    lithops_value *manifest = NULL;
    int rc = check_plan(plan, err);
    if (rc == 0)
        rc = lithops__image_plan(plan->function, plan->include_modules, plan->exclude_modules,
                                 &manifest, err);
    struct lithops__job *job = rc == 0 ? new_job(fexec, plan->kind, plan->function->name) : NULL;
    if (rc == 0 && !job)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (job) {
        job->created = plan->created;
        job->partitioned = plan->partitioned;
        job->image_bytes = image_bytes(plan->function);
        pthread_mutex_lock(&fexec->table.lock);
        rc = build(fexec, plan, job, manifest, err);
        pthread_mutex_unlock(&fexec->table.lock);
        job->serialized = lithops__ticks();
    }
    lithops_value_free(manifest);
    lithops_value_free(plan->inputs);
    plan->inputs = NULL;
    if (rc != 0) {
        lithops__job_unref(job);
        return rc;
    }
    *ret_job = job;
    return 0;
}

int lithops__job_submit(struct lithops__job *job, lithops_error *err)
{
    lithops_executor *fexec = job->fexec;
    uint64_t count = lithops__job_count(job);
    job->submitted = lithops__ticks();
    lithops__job_range(job)->submit_ticks = job->submitted;
    if (count == 0)
        return 0;
    pthread_mutex_lock(&fexec->table.lock);
    lithops__pages_retire(fexec);
    int rc = fexec->closed ? lithops__fail(err, LITHOPS_ECLOSED, "the executor is closed")
                           : lithops__table_offer(&fexec->table, job->range, 0, count, err);
    if (rc == 0)
        fexec->driver->ops->offered(fexec->compute, job->range, count);
    else
        lithops__job_abandon(job);
    pthread_mutex_unlock(&fexec->table.lock);
    if (rc == 0)
        lithops__bell_ring(fexec->table.area.control);
    return rc;
}

/* [L] An open page far behind the others would hold up the ring: nothing behind it is freed. */
void lithops__pages_retire(lithops_executor *fexec)
{
    uint64_t tail = atomic_load(&fexec->table.area.control->tail);
    for (unsigned i = 0; i < LITHOPS__OPEN_PAGES; i++) {
        struct lithops__page_ref *page = &fexec->pages[i];
        if (page->job &&
            tail - fexec->table.ranges[page->job->range].open_position >= PAGE_DISTANCE)
            lithops__page_close(page);
    }
}

/* ---- single calls ---------------------------------------------------------------------------- */

/* A function that is not the program's may have been freed, and another one made at its address. */
static bool is_page_of(const lithops_executor *fexec, const struct lithops__page_ref *page,
                       const lithops_function *function)
{
    return page->function == function &&
           ((!function->library && !function->code) || !page->job ||
            lithops__table_is_function(&fexec->table, page->function_index, function));
}

static struct lithops__page_ref *find_page(lithops_executor *fexec,
                                           const lithops_function *function)
{
    for (unsigned i = 0; i < LITHOPS__OPEN_PAGES; i++)
        if (is_page_of(fexec, &fexec->pages[i], function))
            return &fexec->pages[i];
    struct lithops__page_ref *page = &fexec->pages[fexec->next_page++ % LITHOPS__OPEN_PAGES];
    lithops__page_close(page);
    *page = (struct lithops__page_ref){.function = function, .next_capacity = FIRST_PAGE};
    return page;
}

/* [L] Room for one more call in the page? */
static bool page_has_room(lithops_executor *fexec, const struct lithops__page_ref *page)
{
    if (!page->job)
        return false;
    const struct lithops__range *range = lithops__job_range(page->job);
    uint64_t tail = atomic_load(&fexec->table.area.control->tail);
    return atomic_load(&range->count) < range->capacity &&
           tail - fexec->table.ranges[page->job->range].open_position < PAGE_DISTANCE;
}

/* [L] */
static int open_page(lithops_executor *fexec, struct lithops__page_ref *page, lithops_error *err)
{
    lithops__page_close(page);
    const lithops_function *function = page->function;
    struct lithops__job *job = new_job(fexec, 'A', function->name);
    if (!job)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    uint64_t capacity = page->next_capacity;
    struct lithops__table *table = &fexec->table;
    struct lithops__job_plan plan = {.kind = 'A',
                                     .timeout_ms = LITHOPS_DEFAULT,
                                     .runtime_memory_mb = LITHOPS_DEFAULT,
                                     .chunksize = LITHOPS_DEFAULT};
    int rc = lithops__table_function(table, function, &page->function_index, err);
    if (rc == 0)
        rc = lithops__table_new_range(table, page->function_index, 0, capacity, LITHOPS__PENDING,
                                      &job->range, err);
    if (rc == 0) {
        struct lithops__range *range = lithops__job_range(job);
        set_limits(fexec, job, range, &plan);
        range->numbers = lithops__table_alloc(table, capacity * sizeof(uint32_t));
        rc = range->numbers ? make_slots(table, range, capacity, err) : fail_space(err);
    }
    job->is_page = true;
    job->image_bytes = image_bytes(function);
    job->handles = calloc(capacity, sizeof *job->handles);
    job->submit_times = malloc(capacity * sizeof *job->submit_times);
    if (rc == 0 && (!job->handles || !job->submit_times))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0) {
        lithops__table_publish_range(table, job->range);
        rc = lithops__table_offer_open(table, job->range, err);
    }
    if (rc == 0)
        rc = lithops__job_keep(fexec, job, err);
    if (rc != 0) {
        pthread_mutex_unlock(&table->lock);
        lithops__job_unref(job);
        pthread_mutex_lock(&table->lock);
        return rc;
    }
    page->job = job;
    page->next_capacity = capacity < LARGEST_PAGE ? (uint32_t)capacity * 2 : LARGEST_PAGE;
    return 0;
}

/* [L] Add a call to the page of its function. */
static lithops_future *append_call(lithops_executor *fexec, const lithops_function *function,
                                   const lithops_value *input, uint64_t created, lithops_error *err)
{
    struct lithops__page_ref *page = find_page(fexec, function);
    if (!page_has_room(fexec, page) && open_page(fexec, page, err) != 0)
        return NULL;
    struct lithops__job *job = page->job;
    struct lithops__area *area = &fexec->table.area;
    struct lithops__range *range = lithops__job_range(job);
    uint64_t index = atomic_load_explicit(&range->count, memory_order_relaxed);
    struct lithops__slot *slot = (struct lithops__slot *)lithops__at(area, range->inputs) + index;
    if (lithops__slot_fill(&fexec->table, slot, input, err) != 0)
        return NULL;
    if (index == 0)
        job->number = fexec->next_number;
    ((uint32_t *)lithops__at(area, range->numbers))[index] = fexec->next_number++;
    job->submit_times[index] = created;
    lithops_future *future = &job->handles[index];
    future->embedded = true;
    future->job = lithops__job_ref(job);
    future->index = index;
    atomic_store_explicit(&future->refs, 1, memory_order_relaxed);
    atomic_store_explicit(&range->count, index + 1, memory_order_release);
    fexec->driver->ops->offered(fexec->compute, job->range, 1);
    return future;
}

static bool is_plain(const lithops_call_options *options)
{
    return !options || (!options->extra_env && options->runtime_memory_mb == LITHOPS_DEFAULT &&
                        options->timeout_ms == LITHOPS_DEFAULT && !options->include_modules &&
                        !options->exclude_modules);
}

static lithops_future *call_with_options(lithops_executor *fexec, const lithops_function *func,
                                         lithops_value *input, const lithops_call_options *options,
                                         uint64_t created, lithops_error *err)
{
    lithops_value *inputs = lithops_value_list();
    if (lithops_value_append(inputs, input) != 0) {
        lithops_value_free(inputs);
        lithops__fail(err, LITHOPS_EUSAGE, "the input is NULL, or memory is out");
        return NULL;
    }
    struct lithops__job_plan plan = {.kind = 'A',
                                     .function = func,
                                     .inputs = inputs,
                                     .extra_env = options->extra_env,
                                     .runtime_memory_mb = options->runtime_memory_mb,
                                     .timeout_ms = options->timeout_ms,
                                     .chunksize = LITHOPS_DEFAULT,
                                     .include_modules = options->include_modules,
                                     .exclude_modules = options->exclude_modules,
                                     .created = created};
    struct lithops__job *job;
    if (lithops__job_start(fexec, &plan, &job, err) != 0)
        return NULL;
    lithops_future *future = lithops__job_submit(job, err) == 0 ? lithops__future_of(job, 0) : NULL;
    lithops__job_unref(job);
    return future;
}

lithops_future *lithops_call_async(lithops_executor *fexec, const lithops_function *func,
                                   lithops_value *input, const lithops_call_options *options,
                                   lithops_error *err)
{
    uint64_t created = lithops__ticks();
    if (lithops__executor_check(fexec, err) != 0 || lithops__function_check(func, err) != 0) {
        lithops_value_free(input);
        return NULL;
    }
    if (!is_plain(options))
        return call_with_options(fexec, func, input, options, created, err);
    pthread_mutex_lock(&fexec->table.lock);
    lithops_future *future = NULL;
    if (fexec->closed)
        lithops__fail(err, LITHOPS_ECLOSED, "the executor is closed");
    else
        future = append_call(fexec, func, input, created, err);
    pthread_mutex_unlock(&fexec->table.lock);
    lithops_value_free(input);
    if (future)
        lithops__bell_ring(fexec->table.area.control);
    return future;
}
