/* SPDX-License-Identifier: Apache-2.0 */
/* map, map_reduce, and maps over futures.
 *
 * A reduce job is made with its map job and never offered by the client: the worker that runs the
 * last map call of a reducer's gate runs the reducer next, without a wake-up in between. */
#include "base/clock.h"
#include "base/error.h"
#include "base/options_read.h"
#include "core/cancel.h"
#include "core/detach.h"
#include "core/executor_ref.h"
#include "core/fork.h"
#include "core/future.h"
#include "core/futures.h"
#include "core/inputs.h"
#include "core/job.h"
#include "core/outcome.h"
#include "core/pages.h"
#include "core/start.h"
#include "function/function.h"
#include "ipc/area.h"
#include "ipc/bell.h"
#include "ipc/layout.h"
#include "ipc/table.h"
#include "partition/partition.h"
#include "value/value.h"

#include <stdlib.h>
#include <string.h>

static int check_iterdata(const lithops_value *iterdata, lithops_error *err)
{
    if (!iterdata)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "iterdata is NULL: a wrong format, a string that is not UTF-8, or no "
                             "memory");
    if (lithops_value_type(iterdata) != LITHOPS_LIST)
        return lithops__fail(err, LITHOPS_EUSAGE, "iterdata is a %s: a list is needed",
                             lithops_type_name(lithops_value_type(iterdata)));
    return 0;
}

static bool names_objects(const lithops_value *iterdata, const lithops_map_options *options)
{
    struct lithops__list_view view;
    return options->obj_chunk_size != LITHOPS_DEFAULT ||
           options->obj_chunk_number != LITHOPS_DEFAULT ||
           (lithops__value_list_view(iterdata, &view) && view.objects);
}

/* What a map needs to know of its objects; for map_reduce by key. */
struct chunks {
    size_t *counts;
    size_t object_count;
};

/* Replace names of objects by the specs of their chunks. */
static int split_objects(lithops_executor *fexec, lithops_value **iterdata,
                         const lithops_map_options *options, struct chunks *chunks,
                         lithops_error *err)
{
    struct lithops__partition_options split = {.chunk_size = options->obj_chunk_size,
                                               .chunk_number = options->obj_chunk_number,
                                               .newline = options->obj_newline};
    lithops_storage *storage = lithops__executor_storage(fexec, err);
    if (!storage)
        return err ? err->code : LITHOPS_ECONFIG;
    lithops_value *specs;
    int rc = lithops__partition_plan(storage, *iterdata, &split, &specs, &chunks->counts,
                                     &chunks->object_count, err);
    if (rc == 0) {
        lithops_value_free(*iterdata);
        *iterdata = specs;
    }
    return rc;
}

/* Make the map job; it is not offered yet. Consumes iterdata. */
static int start_map(lithops_executor *fexec, const lithops_function *func, lithops_value *iterdata,
                     const lithops_map_options *options, struct chunks *chunks,
                     struct lithops__job **ret_job, lithops_error *err)
{
    struct lithops__job_plan plan = {.kind = 'M',
                                     .function = func,
                                     LITHOPS__PLAN_OPTIONS(options),
                                     .extra_args = options->extra_args,
                                     .runtime_memory_mb = options->runtime_memory_mb,
                                     .chunksize = options->chunksize,
                                     .call_retries = options->call_retries,
                                     .created = lithops__ticks()};
    lithops_error own = LITHOPS_ERROR_INIT;
    err = err ? err : &own;
    int rc = lithops__executor_check(fexec, err);
    if (rc == 0)
        rc = lithops__function_check(func, err);
    if (rc == 0)
        rc = check_iterdata(iterdata, err);
    if (rc == 0 && names_objects(iterdata, options)) {
        rc = split_objects(fexec, &iterdata, options, chunks, err);
        plan.partitioned = lithops__ticks();
    }
    if (rc != 0) {
        lithops_value_free(iterdata);
        return rc;
    }
    plan.inputs = iterdata;
    rc = lithops__job_start(fexec, &plan, ret_job, err);
    if (rc == 0)
        (*ret_job)->gives_list = true;
    return rc;
}

static int read_map_options(lithops_map_options *own, const lithops_map_options *options,
                            lithops_error *err)
{
    static const char init[] = "LITHOPS_MAP_OPTIONS_INIT";
    int rc = lithops__options_read(own, sizeof *own, options, init, err);
    return rc ? rc : lithops__options_begun(own->timeout_ms, own->runtime_memory_mb, init, err);
}

lithops_futures *lithops_map(lithops_executor *fexec, const lithops_function *func,
                             lithops_value *iterdata, const lithops_map_options *options,
                             lithops_error *err)
{
    lithops_map_options own = LITHOPS_MAP_OPTIONS_INIT;
    if (read_map_options(&own, options, err) != 0) {
        lithops_value_free(iterdata);
        return NULL;
    }
    struct chunks chunks = {NULL, 0};
    struct lithops__job *job;
    int rc = start_map(fexec, func, iterdata, &own, &chunks, &job, err);
    free(chunks.counts);
    if (rc != 0)
        return NULL;
    lithops_futures *futures = lithops__futures_of_job(job);
    if (!futures) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        lithops__job_discard(job);
    } else if (lithops__job_submit(job, err) != 0) {
        futures = lithops_futures_unref(futures);
    }
    lithops__job_unref(job);
    return futures;
}

/* ---- reduce ---------------------------------------------------------------------------------- */

enum { SPAWN_REDUCER = 20 }; /* per cent, as in LITHOPS_MAP_REDUCE_OPTIONS_INIT */

static int start_reduce(struct lithops__job *maps, const lithops_function *func,
                        const lithops_map_reduce_options *options, struct chunks *chunks,
                        struct lithops__job **ret_job, lithops_error *err)
{
    lithops_executor *fexec = maps->fexec;
    if (!options->obj_reduce_by_key)
        chunks->object_count = 0;
    struct lithops__job_plan plan = {.kind = 'R',
                                     .function = func,
                                     LITHOPS__PLAN_OPTIONS(options),
                                     .extra_args = options->extra_args_reduce,
                                     .runtime_memory_mb = options->reduce_runtime_memory_mb,
                                     .chunksize = LITHOPS_DEFAULT,
                                     .call_retries = LITHOPS_DEFAULT,
                                     .maps = maps,
                                     .created = lithops__ticks(),
                                     .count = chunks->object_count ? chunks->object_count : 1};
    struct lithops__job *job;
    int rc = lithops__job_start(fexec, &plan, &job, err);
    if (rc != 0)
        return rc;
    job->maps = lithops__job_ref(maps);
    job->gives_list = options->obj_reduce_by_key;
    int64_t percent =
        options->spawn_reducer == LITHOPS_DEFAULT ? SPAWN_REDUCER : options->spawn_reducer;
    const size_t all = lithops__job_count(maps),
                 *counts = chunks->object_count ? chunks->counts : &all;
    if (job->draft)
        rc = lithops__detach_reduce(maps, job, counts, percent, err);
    pthread_mutex_lock(&fexec->table.lock);
    if (!job->draft)
        rc = lithops__add_gates(job, maps, counts, percent, err);
    if (rc != 0)
        lithops__job_abandon(job);
    else
        maps->feeds_reducer = true;
    pthread_mutex_unlock(&fexec->table.lock);
    job->submitted = lithops__ticks();
    if (rc != 0)
        lithops__job_unref(job);
    else
        *ret_job = job;
    return rc;
}

static int check_reduce(const lithops_function *func, const lithops_map_reduce_options *options,
                        bool of_objects, lithops_error *err)
{
    if (options->obj_reduce_by_key && !of_objects)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "obj_reduce_by_key makes a reducer per object, and the inputs are not "
                             "objects: name them with lithops_objects(), or set obj_chunk_size or "
                             "obj_chunk_number");
    if (options->spawn_reducer != LITHOPS_DEFAULT &&
        (options->spawn_reducer < 0 || options->spawn_reducer > 100))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "spawn_reducer is %lld: a percentage from 0 to 100 is needed",
                             (long long)options->spawn_reducer);
    return lithops__function_check(func, err);
}

static lithops_futures *futures_of_both(struct lithops__job *maps, struct lithops__job *reduce)
{
    lithops_futures *futures = lithops__futures_alloc(2);
    if (futures) {
        lithops__futures_add(futures, maps, 0, lithops__job_count(maps));
        futures->reduce_segment = futures->count;
        lithops__futures_add(futures, reduce, 0, lithops__job_count(reduce));
    }
    return futures;
}

/* Its futures were not asked for: the executor keeps it until its result is read or cleaned. */
static void hold(struct lithops__job *job)
{
    pthread_mutex_lock(&job->fexec->table.lock);
    if (job->is_listed) {
        lithops__job_ref(job);
        job->is_held = true;
    }
    pthread_mutex_unlock(&job->fexec->table.lock);
}

int lithops_map_reduce(lithops_executor *fexec, const lithops_function *map_func,
                       lithops_value *iterdata, const lithops_function *reduce_func,
                       const lithops_map_reduce_options *options, lithops_futures **ret_futures,
                       lithops_error *err)
{
    static const char init[] = "LITHOPS_MAP_REDUCE_OPTIONS_INIT";
    lithops_map_reduce_options own = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    int rc = lithops__options_read(&own, sizeof own, options, init, err);
    if (rc == 0)
        rc = lithops__options_begun(own.timeout_ms, own.map_runtime_memory_mb, init, err);
    options = &own;
    const lithops_map_options map = lithops_map_options_of(options);
    struct chunks chunks = {NULL, 0};
    struct lithops__job *maps = NULL, *reduce = NULL;
    if (rc == 0)
        rc = check_reduce(reduce_func, options, !iterdata || names_objects(iterdata, &map), err);
    if (rc != 0) {
        lithops_value_free(iterdata);
        return rc;
    }
    rc = start_map(fexec, map_func, iterdata, &map, &chunks, &maps, err);
    if (rc == 0 && (rc = start_reduce(maps, reduce_func, options, &chunks, &reduce, err)) != 0)
        lithops__job_discard(maps);
    lithops_futures *futures = rc == 0 && ret_futures ? futures_of_both(maps, reduce) : NULL;
    if (rc == 0 && ret_futures && !futures) {
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        lithops__job_discard(maps);
        lithops__job_discard(reduce);
    }
    if (rc == 0 && (rc = lithops__job_submit(maps, err)) != 0)
        lithops__job_discard(reduce);
    if (rc == 0 && lithops__job_count(maps) == 0 &&
        !fexec->detachment) /* nobody comes by: offer it */
        rc = lithops__job_submit(reduce, err);
    if (rc != 0)
        lithops_futures_unref(futures);
    else if (ret_futures)
        *ret_futures = futures;
    if (rc == 0 && !ret_futures)
        hold(reduce);
    free(chunks.counts);
    lithops__job_unref(maps);
    lithops__job_unref(reduce);
    return rc;
}

/* ---- maps over futures ----------------------------------------------------------------------- */

/* One call that waits for its input. */
struct link {
    struct lithops__job *job;
    uint64_t index;
};

/* [L] Copy the input call's result, which is not released meanwhile, into the slot of the call. */
static int copy_result(struct link *link, const lithops_future *input, lithops_error *err)
{
    struct lithops__job *job = link->job;
    int rc = lithops__outcome_error(input->job, input->index, err);
    if (rc != 0)
        return rc;
    const struct lithops__record *record = lithops__job_record(input->job, input->index);
    struct lithops__slot *slots =
        lithops__at(&job->fexec->table.area, lithops__job_range(job)->inputs);
    return lithops__slot_copy(&job->fexec->table, &slots[link->index],
                              &input->job->fexec->table.area, record, err);
}

/* The input's executor may be another one; its lock is taken alone. */
static void note_read(struct lithops__job *input)
{
    pthread_mutex_lock(&input->fexec->table.lock);
    lithops__job_was_read(input);
    lithops__unlock(input->fexec);
}

/* The input is done: its result becomes this call's input, or its error this call's error. */
static void input_is_done(lithops_future *input, void *user)
{
    struct link *link = user;
    struct lithops__job *job = link->job;
    lithops_executor *fexec = job->fexec;
    struct lithops__settlement failed = {.error = LITHOPS_ERROR_INIT};
    uint16_t deferred = lithops__state_make(LITHOPS__DEFERRED, 0);
    lithops__state *state =
        &lithops__range_states(&fexec->table.area, lithops__job_range(job))[link->index];
    pthread_mutex_lock(&fexec->table.lock);
    bool offered = false;
    int rc = 0;
    lithops__pages_retire(fexec);
    if (!fexec->closed && atomic_load(state) == deferred) {
        rc = copy_result(link, input, &failed.error);
        if (rc == 0 && atomic_compare_exchange_strong(state, &deferred, LITHOPS__PENDING)) {
            rc = lithops__table_offer(&fexec->table, job->range, link->index, link->index + 1,
                                      &failed.error);
            offered = rc == 0;
            if (rc != 0)
                (void)lithops__table_settle(&fexec->table, job->range, link->index,
                                            LITHOPS__PENDING, &failed);
        }
    }
    if (rc != 0) {
        failed.data = lithops__outcome_data(input->job, input->index);
        lithops__error_prefix(&failed.error, "input future %llu", (unsigned long long)link->index);
        (void)lithops__table_settle(&fexec->table, job->range, link->index, deferred, &failed);
    }
    if (offered)
        fexec->driver->ops->offered(fexec->compute, job->range, 1);
    lithops__unlock(fexec);
    if (offered)
        lithops__bell_ring(fexec->table.area.control);
    else
        lithops__bell_landed(fexec->table.area.control);
    note_read(input->job);
    lithops__job_unref(job);
    free(link);
}

static int link_call(struct lithops__job *job, uint64_t index, lithops_future *input,
                     lithops_error *err)
{
    struct link *link = malloc(sizeof *link);
    if (!link || !input) {
        free(link);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    *link = (struct link){lithops__job_ref(job), index};
    pthread_mutex_lock(&input->job->fexec->table.lock);
    input->job->readers++;
    pthread_mutex_unlock(&input->job->fexec->table.lock);
    lithops_error refused = {.code = LITHOPS_ECLOSED}; /* what is done needs no callback */
    if (!lithops_future_is_done(input) &&
        lithops_future_on_done(input, input_is_done, link, &refused) == 0)
        return 0;
    if (refused.code == LITHOPS_ECLOSED) { /* its executor may be closed: then it is done too */
        input_is_done(input, link);
        return 0;
    }
    note_read(input->job);
    lithops__job_unref(job);
    free(link);
    if (err)
        *err = refused;
    return refused.code;
}

lithops_futures *lithops_map_futures(lithops_executor *fexec, const lithops_function *func,
                                     lithops_futures *inputs, const lithops_map_options *options,
                                     lithops_error *err)
{
    lithops_map_options own = LITHOPS_MAP_OPTIONS_INIT;
    if (read_map_options(&own, options, err) != 0 || lithops__executor_check(fexec, err) != 0)
        return NULL;
    options = &own;
    if (!inputs) {
        lithops__fail(err, LITHOPS_EUSAGE, "the input futures are NULL");
        return NULL;
    }
    struct lithops__job_plan plan = {.kind = 'M',
                                     .function = func,
                                     LITHOPS__PLAN_OPTIONS(options),
                                     .extra_args = options->extra_args,
                                     .runtime_memory_mb = options->runtime_memory_mb,
                                     .chunksize = options->chunksize,
                                     .call_retries = options->call_retries,
                                     .created = lithops__ticks(),
                                     .count = lithops_futures_size(inputs),
                                     .first_state = LITHOPS__DEFERRED};
    struct lithops__job *job;
    if (lithops__job_start(fexec, &plan, &job, err) != 0)
        return NULL;
    job->gives_list = true;
    job->submitted = lithops__ticks();
    lithops_futures *futures = lithops__futures_of_job(job);
    int rc = futures ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (uint64_t i = 0; rc == 0 && i < plan.count; i++) {
        lithops_future *input = lithops_futures_get(inputs, i);
        rc = link_call(job, i, input, err);
        lithops_future_unref(input);
    }
    if (rc != 0) {
        (void)lithops__cancel_job(job, 0, plan.count);
        futures = lithops_futures_unref(futures);
    }
    lithops__job_unref(job);
    return futures;
}
