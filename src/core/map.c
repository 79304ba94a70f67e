/* SPDX-License-Identifier: Apache-2.0 */
/* map, map_reduce, and maps over futures.
 *
 * A reduce job is made with its map job and never offered by the client: the worker that runs the
 * last map call of a reducer's gate runs the reducer next, without a wake-up in between. */
#include "base/error.h"
#include "core/core.h"
#include "function/function.h"
#include "ipc/bell.h"
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
                                     .extra_args = options->extra_args,
                                     .extra_env = options->extra_env,
                                     .runtime_memory_mb = options->runtime_memory_mb,
                                     .timeout_ms = options->timeout_ms,
                                     .chunksize = options->chunksize,
                                     .include_modules = options->include_modules,
                                     .exclude_modules = options->exclude_modules,
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

static lithops_futures *fail_map(struct lithops__job *job)
{
    lithops__job_unref(job);
    return NULL;
}

lithops_futures *lithops_map(lithops_executor *fexec, const lithops_function *func,
                             lithops_value *iterdata, const lithops_map_options *options,
                             lithops_error *err)
{
    const lithops_map_options defaults = LITHOPS_MAP_OPTIONS_INIT;
    struct chunks chunks = {NULL, 0};
    struct lithops__job *job;
    int rc = start_map(fexec, func, iterdata, options ? options : &defaults, &chunks, &job, err);
    free(chunks.counts);
    if (rc != 0)
        return NULL;
    if (lithops__job_submit(job, err) != 0)
        return fail_map(job);
    lithops_futures *futures = lithops__futures_of_job(job);
    lithops__job_unref(job);
    if (!futures)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return futures;
}

/* ---- reduce ---------------------------------------------------------------------------------- */

enum { SPAWN_REDUCER = 20 }; /* per cent, as in LITHOPS_MAP_REDUCE_OPTIONS_INIT */

/* [L] One gate per reducer: all map calls, or those of one object each. */
static int add_gates(struct lithops__job *reduce, const struct lithops__job *maps,
                     const struct chunks *chunks, int64_t percent, lithops_error *err)
{
    struct lithops__table *table = &reduce->fexec->table;
    struct lithops__range *range = lithops__job_range(reduce);
    struct lithops__slot *slots = lithops__at(&table->area, range->inputs);
    uint64_t count = lithops__job_count(reduce), begin = 0;
    for (uint64_t r = 0; r < count; r++) {
        uint64_t calls = chunks->object_count ? chunks->counts[r] : lithops__job_count(maps);
        struct lithops__gate gate = {maps->range, (uint32_t)percent, begin, begin + calls};
        slots[r].payload = lithops__table_store(table, &gate, sizeof gate);
        if (!slots[r].payload)
            return lithops__fail(err, LITHOPS_ENOSPACE, "no shared memory left");
        slots[r].content = LITHOPS__CONTENT_GATE;
        begin += calls;
    }
    return 0;
}

static int start_reduce(struct lithops__job *maps, const lithops_function *func,
                        const lithops_map_reduce_options *options, struct chunks *chunks,
                        struct lithops__job **ret_job, lithops_error *err)
{
    lithops_executor *fexec = maps->fexec;
    if (!options->obj_reduce_by_key)
        chunks->object_count = 0;
    struct lithops__job_plan plan = {.kind = 'R',
                                     .function = func,
                                     .extra_args = options->extra_args_reduce,
                                     .extra_env = options->extra_env,
                                     .runtime_memory_mb = options->reduce_runtime_memory_mb,
                                     .timeout_ms = options->timeout_ms,
                                     .chunksize = LITHOPS_DEFAULT,
                                     .include_modules = options->include_modules,
                                     .exclude_modules = options->exclude_modules,
                                     .maps = maps,
                                     .created = lithops__ticks(),
                                     .count = chunks->object_count ? chunks->object_count : 1};
    struct lithops__job *job;
    int rc = lithops__job_start(fexec, &plan, &job, err);
    if (rc != 0)
        return rc;
    job->maps = lithops__job_ref(maps);
    job->gives_list = options->obj_reduce_by_key;
    pthread_mutex_lock(&fexec->table.lock);
    rc = add_gates(
        job, maps, chunks,
        options->spawn_reducer == LITHOPS_DEFAULT ? SPAWN_REDUCER : options->spawn_reducer, err);
    if (rc != 0) {
        lithops__job_abandon(job);
    } else {
        struct lithops__range *range = lithops__job_range(maps);
        range->dependents_generation = atomic_load(&lithops__job_range(job)->generation);
        range->dependents = job->range + 1;
        maps->feeds_reducer = true;
    }
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
                             "obj_reduce_by_key makes a reducer per object, and the inputs are no "
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

int lithops_map_reduce(lithops_executor *fexec, const lithops_function *map_func,
                       lithops_value *iterdata, const lithops_function *reduce_func,
                       const lithops_map_reduce_options *options, lithops_futures **ret_futures,
                       lithops_error *err)
{
    const lithops_map_reduce_options defaults = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    options = options ? options : &defaults;
    lithops_map_options map = LITHOPS_MAP_OPTIONS_INIT;
    map.chunksize = options->chunksize;
    map.extra_args = options->extra_args;
    map.extra_env = options->extra_env;
    map.runtime_memory_mb = options->map_runtime_memory_mb;
    map.timeout_ms = options->timeout_ms;
    map.obj_chunk_size = options->obj_chunk_size;
    map.obj_chunk_number = options->obj_chunk_number;
    map.obj_newline = options->obj_newline;
    map.include_modules = options->include_modules;
    map.exclude_modules = options->exclude_modules;
    struct chunks chunks = {NULL, 0};
    struct lithops__job *maps = NULL, *reduce = NULL;
    int rc = check_reduce(reduce_func, options, !iterdata || names_objects(iterdata, &map), err);
    if (rc != 0) {
        lithops_value_free(iterdata);
        return rc;
    }
    rc = start_map(fexec, map_func, iterdata, &map, &chunks, &maps, err);
    if (rc == 0) {
        rc = start_reduce(maps, reduce_func, options, &chunks, &reduce, err);
        if (rc != 0) {
            pthread_mutex_lock(&fexec->table.lock);
            lithops__job_abandon(maps);
            pthread_mutex_unlock(&fexec->table.lock);
        }
    }
    if (rc == 0 && (rc = lithops__job_submit(maps, err)) != 0) {
        pthread_mutex_lock(&fexec->table.lock);
        lithops__job_abandon(reduce);
        pthread_mutex_unlock(&fexec->table.lock);
    }
    if (rc == 0 && lithops__job_count(maps) == 0) /* nobody will come by: offer it */
        rc = lithops__job_submit(reduce, err);
    if (rc == 0 && ret_futures && !(*ret_futures = futures_of_both(maps, reduce)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
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

/* The input is done: its result becomes this call's input, or its error this call's error. */
static void input_is_done(lithops_future *input, void *user)
{
    struct link *link = user;
    struct lithops__job *job = link->job;
    lithops_executor *fexec = job->fexec;
    struct lithops__settlement failed = {.error = LITHOPS_ERROR_INIT};
    const lithops_value *value = NULL;
    int rc = lithops_future_value(input, 0, &value, &failed.error);
    if (rc != 0)
        failed.data = lithops__outcome_data(input->job, input->index);
    uint16_t deferred = lithops__state_make(LITHOPS__DEFERRED, 0);
    lithops__state *state =
        &lithops__range_states(&fexec->table.area, lithops__job_range(job))[link->index];
    pthread_mutex_lock(&fexec->table.lock);
    bool offered = false;
    lithops__pages_retire(fexec);
    if (rc == 0 && !fexec->closed && atomic_load(state) == deferred) {
        struct lithops__slot *slots =
            lithops__at(&fexec->table.area, lithops__job_range(job)->inputs);
        rc = lithops__slot_fill(&fexec->table, &slots[link->index], value, &failed.error);
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
        lithops__error_prefix(&failed.error, "input future %llu", (unsigned long long)link->index);
        (void)lithops__table_settle(&fexec->table, job->range, link->index, deferred, &failed);
    }
    if (offered)
        fexec->driver->ops->offered(fexec->compute, job->range, 1);
    pthread_mutex_unlock(&fexec->table.lock);
    if (offered)
        lithops__bell_ring(fexec->table.area.control);
    else
        lithops__bell_landed(fexec->table.area.control);
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
    lithops_error refused = {.code = LITHOPS_ECLOSED}; /* what is done needs no callback */
    if (!lithops_future_is_done(input) &&
        lithops_future_on_done(input, input_is_done, link, &refused) == 0)
        return 0;
    if (refused.code == LITHOPS_ECLOSED) { /* its executor may be closed: then it is done too */
        input_is_done(input, link);
        return 0;
    }
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
    const lithops_map_options defaults = LITHOPS_MAP_OPTIONS_INIT;
    options = options ? options : &defaults;
    if (lithops__executor_check(fexec, err) != 0)
        return NULL;
    if (!inputs) {
        lithops__fail(err, LITHOPS_EUSAGE, "the input futures are NULL");
        return NULL;
    }
    struct lithops__job_plan plan = {.kind = 'M',
                                     .function = func,
                                     .extra_args = options->extra_args,
                                     .extra_env = options->extra_env,
                                     .runtime_memory_mb = options->runtime_memory_mb,
                                     .timeout_ms = options->timeout_ms,
                                     .chunksize = options->chunksize,
                                     .include_modules = options->include_modules,
                                     .exclude_modules = options->exclude_modules,
                                     .created = lithops__ticks(),
                                     .count = lithops_futures_size(inputs),
                                     .first_state = LITHOPS__DEFERRED};
    struct lithops__job *job;
    if (lithops__job_start(fexec, &plan, &job, err) != 0)
        return NULL;
    job->gives_list = true;
    job->submitted = lithops__ticks();
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < plan.count; i++) {
        lithops_future *input = lithops_futures_get(inputs, i);
        rc = link_call(job, i, input, err);
        lithops_future_unref(input);
    }
    if (rc != 0) {
        (void)lithops__cancel_job(job, 0, plan.count);
        return fail_map(job);
    }
    lithops_futures *futures = lithops__futures_of_job(job);
    lithops__job_unref(job);
    return futures;
}
