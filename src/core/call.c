/* SPDX-License-Identifier: Apache-2.0 */
/* Single calls: one that has no options of its own becomes a slot of its function's page, any other
 * one is a job of one call. */
#include "base/clock.h"
#include "base/error.h"
#include "base/options_read.h"
#include "core/budget.h"
#include "core/counted.h"
#include "core/executor.h"
#include "core/executor_ref.h"
#include "core/fork.h"
#include "core/future.h"
#include "core/inputs.h"
#include "core/job.h"
#include "core/pages.h"
#include "core/start.h"
#include "function/function.h"
#include "ipc/area.h"
#include "ipc/heap.h"
#include "ipc/layout.h"
#include "ipc/service.h"
#include "ipc/table.h"

#include <stdlib.h>

enum { LARGEST_PAGE = 4096 };

/* [L] *ret_failed is the rest of a page that could not be opened: unref it without the lock. */
static int open_page(lithops_executor *fexec, struct lithops__page_ref *page,
                     struct lithops__job **ret_failed, lithops_error *err)
{
    lithops__page_close(page);
    const lithops_function *function = page->function;
    uint64_t capacity = page->next_capacity;
    struct lithops__job *job = lithops__job_new(fexec, 'A', function->name);
    if (!job)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    struct lithops__table *table = &fexec->table;
    struct lithops__job_plan plan = {.kind = 'A',
                                     .timeout_ms = LITHOPS_DEFAULT,
                                     .call_retries = LITHOPS_DEFAULT,
                                     .runtime_memory_mb = LITHOPS_DEFAULT,
                                     .chunksize = LITHOPS_DEFAULT};
    const struct lithops__job_name name = {fexec->id, plan.kind, 0, 0}; /* see `numbers` */
    int rc = lithops__table_function(table, function, &page->function_index, err);
    if (rc == 0)
        rc = lithops__table_new_range(table, page->function_index, 0, capacity, LITHOPS__PENDING,
                                      &name, &job->range, err);
    if (rc == 0) {
        struct lithops__range *range = lithops__job_range(job);
        lithops__job_set_limits(fexec, job, range, &plan);
        range->numbers = lithops__table_alloc(table, capacity * sizeof(uint32_t));
        rc = range->numbers ? lithops__make_slots(table, range, capacity, err)
                            : lithops__fail_no_space(table, err);
    }
    job->is_page = true;
    job->image_bytes = lithops__image_bytes(function);
    job->handles = calloc(capacity, sizeof *job->handles);
    job->submit_times = malloc(capacity * sizeof *job->submit_times);
    job->data_sizes = malloc(capacity * sizeof *job->data_sizes);
    if (rc == 0 && (!job->handles || !job->submit_times || !job->data_sizes ||
                    !lithops__marks_init(&job->marks, capacity)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0) {
        lithops__table_publish_range(table, job->range);
        rc = lithops__table_offer_open(table, job->range, err);
    }
    if (rc != 0) {
        *ret_failed = job;
        return rc;
    }
    lithops__job_keep(job);
    page->job = job;
    page->next_capacity = capacity < LARGEST_PAGE ? (uint32_t)capacity * 2 : LARGEST_PAGE;
    return 0;
}

/* [L] Add a call to the page of its function. */
static lithops_future *append_call(lithops_executor *fexec, const lithops_function *function,
                                   const lithops_value *input, uint64_t created,
                                   struct lithops__job **ret_failed, lithops_error *err)
{
    struct lithops__page_ref *page = lithops__page_find(fexec, function);
    if (!lithops__page_has_room(fexec, page) && open_page(fexec, page, ret_failed, err) != 0)
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
    uint64_t bytes = lithops__slot_bytes(&fexec->table, slot);
    job->data_sizes[index] = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
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
    return !options->extra_env && options->runtime_memory_mb == LITHOPS_DEFAULT &&
           options->timeout_ms == LITHOPS_DEFAULT && !options->include_modules &&
           !options->exclude_modules;
}

static lithops_future *call_with_options(lithops_executor *fexec, const lithops_function *func,
                                         lithops_value *input, const lithops_call_options *options,
                                         uint64_t created, lithops_error *err)
{
    lithops_value *inputs = lithops_value_list();
    if (!input) {
        lithops_value_free(inputs);
        (void)lithops__fail_null_input(err);
        return NULL;
    }
    if (lithops_value_append(inputs, input) != 0) {
        lithops_value_free(inputs);
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        return NULL;
    }
    struct lithops__job_plan plan = {.kind = 'A',
                                     .function = func,
                                     .inputs = inputs,
                                     LITHOPS__PLAN_OPTIONS(options),
                                     .runtime_memory_mb = options->runtime_memory_mb,
                                     .chunksize = LITHOPS_DEFAULT,
                                     .call_retries = LITHOPS_DEFAULT,
                                     .created = created};
    struct lithops__job *job;
    if (lithops__job_start(fexec, &plan, &job, err) != 0)
        return NULL;
    lithops_future *future = lithops__future_of(job, 0);
    if (!future) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        lithops__job_discard(job);
    } else if (lithops__job_submit(job, err) != 0) {
        future = lithops_future_unref(future);
    }
    lithops__job_unref(job);
    return future;
}

lithops_future *lithops_call_async(lithops_executor *fexec, const lithops_function *func,
                                   lithops_value *input, const lithops_call_options *options,
                                   lithops_error *err)
{
    uint64_t created = lithops__ticks();
    lithops_call_options own = LITHOPS_CALL_OPTIONS_INIT;
    static const char init[] = "LITHOPS_CALL_OPTIONS_INIT";
    if (lithops__options_read(&own, sizeof own, options, init, err) != 0 ||
        (options &&
         lithops__options_begun(own.timeout_ms, own.runtime_memory_mb, init, err) != 0) ||
        lithops__executor_check(fexec, err) != 0 || lithops__function_check(func, err) != 0 ||
        (fexec->budget && lithops__budget_admit(fexec, 1, err) != 0)) {
        lithops_value_free(input);
        return NULL;
    }
    if (fexec->detachment || (options && !is_plain(&own)))
        return call_with_options(fexec, func, input, &own, created, err);
    if (fexec->memory_bytes)
        lithops__prepare_limits(fexec);
    pthread_mutex_lock(&fexec->table.lock);
    lithops_future *future = NULL;
    struct lithops__job *failed = NULL;
    if (fexec->closed)
        lithops__fail(err, LITHOPS_ECLOSED, "the executor is closed");
    else
        future = append_call(fexec, func, input, created, &failed, err);
    lithops__unlock(fexec);
    lithops__job_unref(failed);
    lithops_value_free(input);
    if (future) {
        lithops__service_offered(&fexec->table);
        if (fexec->telemetry)
            lithops__count_single(future->job, future->index);
    }
    return future;
}
