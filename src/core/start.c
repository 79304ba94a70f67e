/* SPDX-License-Identifier: Apache-2.0 */
/* Starting jobs: options checked, a range and its inputs made, calls offered. */
#include "core/start.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "compute/limits.h"
#include "core/budget.h"
#include "core/counted.h"
#include "core/detach.h"
#include "core/draft.h"
#include "core/executor.h"
#include "core/executor_ref.h"
#include "core/fork.h"
#include "core/inputs.h"
#include "core/job.h"
#include "core/pages.h"
#include "function/code.h"
#include "function/function.h"
#include "function/image.h"
#include "ipc/area.h"
#include "ipc/heap.h"
#include "ipc/layout.h"
#include "ipc/service.h"
#include "ipc/table.h"
#include "value/value.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_RETRIES = 1000 };

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
            return lithops__fail(err, LITHOPS_EUSAGE,
                                 "extra_env: '%s' is not a valid variable name", name);
    }
    return 0;
}

static int check_plan(const struct lithops__job_plan *plan, lithops_error *err)
{
    const int64_t most_mb = (int64_t)1 << 40;
    if (plan->runtime_memory_mb > most_mb)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "runtime_memory_mb is %lld, which is out of range",
                             (long long)plan->runtime_memory_mb);
    int rc = lithops__function_check(plan->function, err);
    if (rc == 0)
        rc = check_positive(plan->timeout_ms, "timeout_ms", " ms", err);
    if (rc == 0)
        rc = check_positive(plan->runtime_memory_mb, "runtime_memory_mb", " MB", err);
    if (rc == 0)
        rc = check_positive(plan->chunksize, "chunksize", "", err);
    if (rc == 0 && plan->call_retries != LITHOPS_DEFAULT &&
        (plan->call_retries < 0 || plan->call_retries > MOST_RETRIES))
        rc = lithops__fail(err, LITHOPS_EUSAGE, "call_retries is %lld: 0 to %d is possible",
                           (long long)plan->call_retries, MOST_RETRIES);
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

/* What the service would end, or has no container for, is not begun. */
static int check_limits(const lithops_executor *fexec, const struct lithops__job_plan *plan,
                        lithops_error *err)
{
    const char *backend = fexec->driver->name;
    if (fexec->most_ms && plan->timeout_ms != LITHOPS_DEFAULT &&
        (uint64_t)plan->timeout_ms > fexec->most_ms)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "timeout_ms is %lld: a worker of %s is ended after %.17g s, which is "
                             "its %s; calls cannot take longer",
                             (long long)plan->timeout_ms, backend, (double)fexec->most_ms / 1000,
                             lithops__limits_time_key(backend));
    if (fexec->most_mb && plan->runtime_memory_mb != LITHOPS_DEFAULT &&
        (uint64_t)plan->runtime_memory_mb > fexec->most_mb)
        return lithops__fail(
            err, LITHOPS_EUSAGE, "runtime_memory_mb is %lld: a container of %s has at most %llu MB",
            (long long)plan->runtime_memory_mb, backend, (unsigned long long)fexec->most_mb);
    return 0;
}

static bool add_part(lithops_value *spec, const char *name, const lithops_value *part)
{
    return !part || lithops_value_set(spec, name, lithops_value_copy(part)) == 0;
}

/* Extra arguments, environment and modules, if there are any, as one packed map. */
static int store_spec(struct lithops__table *table, struct lithops__range *range,
                      const struct lithops__job_plan *plan, const lithops_value *manifest,
                      lithops_error *err)
{
    if (!plan->extra_args && !plan->extra_env && !manifest)
        return 0;
    lithops_value *spec = lithops_value_map();
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    int rc = 0;
    if (!add_part(spec, "extra_args", plan->extra_args) ||
        !add_part(spec, "env", plan->extra_env) || !add_part(spec, "manifest", manifest))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = lithops__value_encode(spec, &buffer, err);
    if (rc == 0) {
        range->spec = lithops__table_store(table, buffer.data, buffer.len);
        range->spec_len = buffer.len;
        rc = range->spec ? 0 : lithops__fail_no_space(table, err);
    }
    lithops__buffer_deinit(&buffer);
    lithops_value_free(spec);
    return rc;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/* Size of the file that holds the function. The program's does not change while it runs. */
uint64_t lithops__image_bytes(const lithops_function *function)
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

void lithops__job_set_limits(lithops_executor *fexec, struct lithops__job *job,
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
    range->retries =
        plan->call_retries == LITHOPS_DEFAULT ? fexec->retries : (uint32_t)plan->call_retries;
    if (range->retries)
        memset(lithops__range_extras(&fexec->table.area, range), 0,
               range->capacity * sizeof(uint32_t));
    job->memory_mb = (int64_t)(range->memory_bytes >> 20);
}

void lithops__prepare_limits(lithops_executor *fexec)
{
    if (atomic_load_explicit(&fexec->limits_prepared, memory_order_acquire))
        return;
    pthread_mutex_lock(&fexec->limits_lock);
    if (!fexec->limits_prepared && fexec->driver->ops->prepare_limits)
        fexec->driver->ops->prepare_limits(fexec->compute);
    atomic_store_explicit(&fexec->limits_prepared, true, memory_order_release);
    pthread_mutex_unlock(&fexec->limits_lock);
}

/* [L] */
static int build(lithops_executor *fexec, struct lithops__job_plan *plan, struct lithops__job *job,
                 const lithops_value *manifest, lithops_error *err)
{
    struct lithops__table *table = &fexec->table;
    uint64_t count = plan->inputs ? lithops_value_size(plan->inputs) : plan->count;
    job->number = plan->maps ? plan->maps->number : fexec->next_number;
    const struct lithops__job_name name = {fexec->id, plan->kind, job->number, 0};
    uint32_t function;
    int rc = lithops__executor_check(fexec, err);
    if (rc == 0)
        rc = lithops__table_function(table, plan->function, &function, err);
    if (rc == 0)
        rc = lithops__table_new_range(table, function, count, count ? count : 1, plan->first_state,
                                      &name, &job->range, err);
    if (rc != 0)
        return rc;
    struct lithops__range *range = lithops__job_range(job);
    fexec->next_number += plan->maps == NULL;
    lithops__job_set_limits(fexec, job, range, plan);
    if (!lithops__marks_init(&job->marks, count)) /* now that the table has room for so many */
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    else
        rc = plan->inputs        ? lithops__store_inputs(table, range, plan->inputs, err)
             : plan->is_followed ? 0
                                 : lithops__make_slots(table, range, count ? count : 1, err);
    if (!plan->is_followed)
        job->data_bytes = rc == 0 ? lithops__input_bytes(table, range) : 0;
    if (rc == 0 && fexec->data_limit_bytes && job->data_bytes > fexec->data_limit_bytes)
        rc = lithops__fail(err, LITHOPS_EUSAGE,
                           "the inputs take %llu bytes, more than data_limit of the configuration",
                           (unsigned long long)job->data_bytes);
    if (rc == 0 && !plan->is_followed)
        rc = store_spec(table, range, plan, manifest, err);
    if (rc != 0) {
        lithops__job_abandon(job);
        return rc;
    }
    lithops__job_keep(job);
    lithops__table_publish_range(table, job->range);
    return 0;
}

int lithops__add_gates(struct lithops__job *reduce, const struct lithops__job *maps,
                       const size_t *counts, int64_t percent, lithops_error *err)
{
    struct lithops__table *table = &reduce->fexec->table;
    struct lithops__range *range = lithops__job_range(reduce), *read = lithops__job_range(maps);
    struct lithops__slot *slots = lithops__at(&table->area, range->inputs);
    uint64_t count = lithops__job_count(reduce), begin = 0;
    for (uint64_t r = 0; r < count; r++) {
        struct lithops__gate gate = {maps->range, (uint32_t)percent, begin, begin + counts[r]};
        slots[r].payload = lithops__table_store(table, &gate, sizeof gate);
        if (!slots[r].payload)
            return lithops__fail(err, LITHOPS_ENOSPACE, "no shared memory left");
        slots[r].content = LITHOPS__CONTENT_GATE;
        begin += counts[r];
    }
    read->dependents_generation = atomic_load(&range->generation);
    read->dependents = reduce->range + 1;
    return 0;
}

void lithops__job_abandon(struct lithops__job *job)
{
    struct lithops__range *range = lithops__job_range(job);
    job->is_forgotten = true;
    atomic_store(&range->count, 0); /* nothing was offered, so there is nothing to settle */
    if (range->input_kind == LITHOPS__INPUT_SLOTS && range->inputs) {
        struct lithops__table *table = &job->fexec->table;
        struct lithops__slot *slots = lithops__at(&table->area, range->inputs);
        for (uint64_t i = 0; i < range->capacity; i++)
            if (slots[i].content > LITHOPS__CONTENT_INLINE)
                lithops__heap_free(&table->heap, slots[i].payload);
    }
}

void lithops__job_discard(struct lithops__job *job)
{
    pthread_mutex_lock(&job->fexec->table.lock);
    lithops__job_abandon(job);
    pthread_mutex_unlock(&job->fexec->table.lock);
}

int lithops__job_start(lithops_executor *fexec, struct lithops__job_plan *plan,
                       struct lithops__job **ret_job, lithops_error *err)
{
    lithops_value *manifest = NULL;
    int rc = lithops__executor_check(fexec, err);
    if (rc == 0)
        rc = check_plan(plan, err);
    if (rc == 0)
        rc = check_limits(fexec, plan, err);
    if (rc == 0)
        rc = lithops__budget_admit(
            fexec, plan->inputs ? lithops_value_size(plan->inputs) : plan->count, err);
    if (rc == 0)
        rc = lithops__image_plan(plan->function, plan->include_modules, plan->exclude_modules,
                                 &manifest, err);
    struct lithops__draft *draft = NULL;
    if (rc == 0 && fexec->detachment)
        rc = lithops__detach_plan(fexec, plan, &draft, err);
    struct lithops__job *job =
        rc == 0 ? lithops__job_new(fexec, plan->kind, plan->function->name) : NULL;
    if (rc == 0 && !job)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (!job)
        lithops__draft_free(draft);
    if (job) {
        job->draft = draft;
        job->data_bytes = draft ? draft->inputs.len : 0;
        if (plan->runtime_memory_mb != LITHOPS_DEFAULT || fexec->memory_bytes)
            lithops__prepare_limits(fexec);
        job->created = plan->created;
        job->partitioned = plan->partitioned;
        job->image_bytes = lithops__image_bytes(plan->function);
        pthread_mutex_lock(&fexec->table.lock);
        rc = build(fexec, plan, job, manifest, err);
        lithops__unlock(fexec);
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
    if (job->draft) {
        int failed = lithops__detach_submit(job, err);
        if (failed)
            lithops__job_discard(job);
        else
            lithops__count_job(job);
        return failed;
    }
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
    lithops__unlock(fexec);
    if (rc == 0) {
        lithops__service_offered(&fexec->table);
        lithops__count_job(job);
    }
    return rc;
}
