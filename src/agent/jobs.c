/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs and activations as they come: each activation becomes a range of the table. */
#include "agent/agent.h"

#include "base/error.h"
#include "function/image.h"
#include "ipc/bell.h"
#include "value/value.h"
#include "wire/numbers.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- jobs ------------------------------------------------------------------------------------ */

static const char *string_of(const lithops_value *map, const char *key)
{
    return lithops_value_get_string(lithops_value_get(map, key));
}

static int64_t number_of(const lithops_value *map, const char *key)
{
    return lithops_value_get_int(lithops_value_get(map, key));
}

static int read_function(struct lithops__agent_job *job, lithops_error *err)
{
    const lithops_value *map = lithops_value_get(job->map, "function");
    lithops_bytes code = lithops_value_get_bytes(lithops_value_get(map, "code"));
    job->library = string_of(map, "library");
    job->function = (lithops_function){.magic = LITHOPS_FUNCTION_MAGIC,
                                       .name = string_of(map, "name"),
                                       .symbol = string_of(map, "symbol"),
                                       .signature = string_of(map, "signature")};
    if (!job->function.name || !job->function.symbol || (job->library && job->files.count == 0))
        return lithops__fail(err, LITHOPS_EPARSE, "the function of a job is not complete");
    uint64_t id = (uint64_t)number_of(map, "code_id");
    if (id == 0)
        return 0;
    job->code = malloc(sizeof *job->code + code.len);
    if (!job->code)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    job->code->id = id;
    job->code->len = code.len;
    atomic_init(&job->code->hint, SIZE_MAX);
    if (code.len)
        memcpy(job->code->bytes, code.ptr, code.len);
    job->function.code = job->code;
    return 0;
}

static int read_job(const struct lithops__agent *agent, struct lithops__agent_job *job,
                    lithops_error *err)
{
    const char *kind = string_of(job->map, "kind");
    if (!kind || !strchr("AMR", kind[0]) || !kind[0])
        return lithops__fail(err, LITHOPS_EPARSE, "unknown kind of job");
    uint64_t per_ms = agent->table.area.control->ticks_per_ms;
    uint64_t timeout_ms = (uint64_t)number_of(job->map, "timeout_ms");
    job->kind = kind[0];
    job->number = (uint32_t)number_of(job->map, "number");
    job->retries = (uint32_t)number_of(job->map, "retries");
    job->chunk = (uint32_t)number_of(job->map, "chunk");
    job->memory_bytes = (uint64_t)number_of(job->map, "memory_bytes");
    job->timeout_ticks = timeout_ms > UINT64_MAX / 2 / per_ms ? 0 : timeout_ms * per_ms;
    job->spec = lithops_value_get_bytes(lithops_value_get(job->map, "spec"));
    int rc = lithops__files_read(&job->files, job->map, err);
    return rc == 0 ? read_function(job, err) : rc;
}

/* The path that the library has or will have. */
static int name_library(struct lithops__agent_job *job, lithops_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", job->files.folder, job->library);
    job->function.library = job->library_path = strdup(path);
    return job->library_path ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* The included files are in the folder of the job's files. */
static int move_manifest(struct lithops__agent_job *job, lithops_error *err)
{
    lithops_value *spec =
        job->spec.len ? lithops__value_decode(job->spec.ptr, job->spec.len, err) : NULL;
    if (job->spec.len && !spec)
        return err->code;
    const lithops_value *manifest = lithops_value_get(spec, "manifest");
    int rc = 0;
    if (manifest) {
        lithops_value *moved = lithops__image_move_manifest(manifest, job->files.folder);
        if (!moved || lithops_value_set(spec, "manifest", moved) != 0)
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        if (rc == 0)
            rc = lithops__value_encode(spec, &job->moved_spec, err);
        job->spec = (lithops_bytes){job->moved_spec.data, job->moved_spec.len};
    }
    lithops_value_free(spec);
    return rc;
}

int lithops__agent_job_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                            lithops_error *err)
{
    int rc = 0;
    struct lithops__agent_job *job = calloc(1, sizeof *job);
    if (!job)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops__agent_forget_job(agent, frame->stream); /* another job had the number */
    job->id = frame->stream;
    job->files.receiving.fd = -1;
    if (frame->payload.len == sizeof(uint32_t)) { /* the map was too long for a frame */
        lithops__offset at = 0;
        pthread_mutex_lock(&agent->table.lock);
        rc = lithops__agent_take_blob(agent, lithops__get_u32(frame->payload.ptr), &at, err);
        if (rc == 0 && at) {
            struct lithops__frame whole = {.map = lithops__payload_bytes(&agent->table.area, at)};
            job->map = lithops__frame_map(&whole, err);
        } else if (rc == 0) {
            rc = lithops__fail(err, LITHOPS_ENOSPACE, "no shared memory left for a function");
        }
        lithops__heap_free(&agent->table.heap, at);
        pthread_mutex_unlock(&agent->table.lock);
    } else {
        job->map = lithops__frame_map(frame, err);
    }
    if (rc == 0)
        rc = job->map ? read_job(agent, job, err) : err->code;
    if (rc == 0 && job->files.count)
        rc = lithops__files_ask(agent, &job->files, job->id + 1, err);
    if (rc == 0 && job->library)
        rc = name_library(job, err);
    if (rc == 0 && job->files.count)
        rc = move_manifest(job, err);
    if (rc != 0) {
        lithops__agent_free_job(job);
        return rc;
    }
    pthread_mutex_lock(&agent->table.lock);
    job->has_files = job->files.missing == 0;
    job->next = agent->jobs;
    agent->jobs = job;
    pthread_mutex_unlock(&agent->table.lock);
    return 0;
}

void lithops__agent_free_jobs(struct lithops__agent *agent)
{
    while (agent->runs) {
        struct lithops__agent_run *run = agent->runs;
        agent->runs = run->next;
        free(run);
    }
    while (agent->jobs) {
        struct lithops__agent_job *job = agent->jobs;
        agent->jobs = job->next;
        lithops__agent_free_job(job);
    }
    while (agent->blobs)
        (void)lithops__blobs_drop(&agent->blobs);
}

/* ---- activations ----------------------------------------------------------------------------- */

static void fill_range(struct lithops__agent *agent, struct lithops__range *range,
                       const struct lithops__agent_job *job)
{
    range->timeout_ticks = job->timeout_ticks;
    range->memory_bytes = job->memory_bytes;
    range->chunk = job->chunk;
    range->retries = job->retries;
    atomic_store(&range->want_each, 1); /* as the reporter asked */
    if (job->retries)
        memset(lithops__range_extras(&agent->table.area, range), 0,
               range->capacity * sizeof(uint32_t));
}

/* [L] */
static int store_rest(struct lithops__agent *agent, struct lithops__range *range,
                      const struct lithops__agent_job *job, const struct lithops__run *message,
                      lithops_error *err)
{
    if (job->spec.len) {
        range->spec = lithops__table_store(&agent->table, job->spec.ptr, job->spec.len);
        range->spec_len = job->spec.len;
        if (!range->spec)
            return lithops__agent_fail_space(agent, err);
    }
    if (message->has_numbers) {
        range->numbers =
            lithops__table_store(&agent->table, message->numbers.ptr, message->numbers.len);
        if (!range->numbers)
            return lithops__agent_fail_space(agent, err);
    }
    return 0;
}

/* [L] */
static int make_range(struct lithops__agent *agent, struct lithops__agent_run *run,
                      const struct lithops__run *message, lithops_error *err)
{
    struct lithops__agent_job *job = run->job;
    const struct lithops__job_name name = {agent->executor_id, job->kind, job->number,
                                           message->has_numbers ? 0 : message->first};
    uint32_t function;
    int rc = lithops__table_function(&agent->table, &job->function, &function, err);
    if (rc == 0)
        rc = lithops__table_new_range(&agent->table, function, run->count, run->count,
                                      LITHOPS__PENDING, &name, &run->range, err);
    if (rc != 0) {
        run->range = UINT32_MAX;
        return rc;
    }
    struct lithops__range *range = &agent->table.area.ranges[run->range];
    fill_range(agent, range, job);
    rc = store_rest(agent, range, job, message, err);
    if (rc == 0)
        rc = lithops__agent_store_inputs(agent, run, message, err);
    if (rc == 0)
        lithops__table_publish_range(&agent->table, run->range);
    return rc;
}

/* [L] Free a range that will not run, with its inputs. */
static void drop_range(struct lithops__agent *agent, struct lithops__agent_run *run)
{
    if (run->range == UINT32_MAX)
        return;
    struct lithops__range *range = &agent->table.area.ranges[run->range];
    for (uint64_t i = 0; i < run->count; i++)
        atomic_store(&lithops__range_states(&agent->table.area, range)[i], LITHOPS__NEVER_RAN);
    lithops__table_free_range(&agent->table, run->range);
    run->range = UINT32_MAX;
}

/* [L] */
static bool offer_run(struct lithops__agent *agent, struct lithops__agent_run *run)
{
    if (lithops__table_offer(&agent->table, run->range, 0, run->count, &run->refusal) != 0)
        return false;
    agent->driver->ops->offered(agent->pool, run->range, run->count);
    return true;
}

void lithops__agent_offer(struct lithops__agent *agent)
{
    for (struct lithops__agent_run *run = agent->runs; run && agent->pool; run = run->next) {
        if (run->is_offered || run->job->files.missing)
            continue;
        run->is_offered = true;
        if (run->range == UINT32_MAX)
            continue;
        if (run->refusal.code == 0 && !offer_run(agent, run))
            drop_range(agent, run);
    }
    agent->has_news = true;
    lithops__bell_ring(agent->table.area.control);
}

int lithops__agent_run_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                            lithops_error *err)
{
    struct lithops__run message;
    int rc = lithops__run_read(frame->payload, &message, err);
    pthread_mutex_lock(&agent->table.lock);
    struct lithops__agent_job *job = rc == 0 ? lithops__agent_find_job(agent, message.job) : NULL;
    pthread_mutex_unlock(&agent->table.lock);
    if (rc == 0 && !job)
        rc = lithops__fail(err, LITHOPS_EPARSE, "unknown job %u", message.job);
    if (rc == 0 && job->kind == 'R' && message.count != 1)
        rc = lithops__fail(err, LITHOPS_EPARSE, "%u reducers in one activation", message.count);
    if (rc != 0)
        return rc;
    struct lithops__agent_run *run = calloc(1, sizeof *run + message.count);
    if (!run)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    run->id = frame->stream;
    run->job = job;
    run->count = run->left = message.count;
    run->range = UINT32_MAX;
    bool is_refused = false;
    pthread_mutex_lock(&agent->table.lock);
    rc = make_range(agent, run, &message, &run->refusal);
    if (rc != 0)
        drop_range(agent, run);
    if (rc == LITHOPS_EPARSE) { /* the number sent, not the room for it */
        *err = run->refusal;
        lithops__agent_free_mirror(agent, run);
        free(run);
    } else {
        rc = 0;
        is_refused = run->range == UINT32_MAX;
        job->runs++;
        agent->received += run->count;
        if (agent->last_run)
            agent->last_run->next = run;
        else
            agent->runs = run;
        agent->last_run = run;
        if (!is_refused && !job->files.missing)
            lithops__agent_begin_watch(agent, run);
        lithops__agent_offer(agent);
    }
    pthread_mutex_unlock(&agent->table.lock);
    if (is_refused) /* no one else lands them */
        lithops__bell_landed(agent->table.area.control);
    return rc;
}

/* ---- cancelling ------------------------------------------------------------------------------ */

/* [L] A call that waits may have begun before, and failed: it is to be tried once more here, where
 * its attempts are counted. */
static bool has_begun(const struct lithops__agent *agent, const struct lithops__range *range,
                      uint32_t call)
{
    return range->retries && lithops__range_extras(&agent->table.area, range)[call] > 0;
}

/* [L] `is_back`: only if it has not begun; it is then given back to the client. */
static void cancel_call(struct lithops__agent *agent, struct lithops__agent_run *run, uint32_t call,
                        bool is_back)
{
    struct lithops__settlement canceled = {.error = LITHOPS_ERROR_INIT};
    lithops__fail(&canceled.error, LITHOPS_ECANCELED, "the call was cancelled");
    const struct lithops__range *range = &agent->table.area.ranges[run->range];
    const lithops__state *state = &lithops__range_states(&agent->table.area, range)[call];
    if (is_back && has_begun(agent, range, call))
        return;
    if (lithops__table_settle(&agent->table, run->range, call, LITHOPS__PENDING, &canceled)) {
        if (is_back)
            run->reported[call] = LITHOPS__REPORTED_BACK;
        return;
    }
    if (!is_back && lithops__state_of(atomic_load(state)) == LITHOPS__RUNNING && agent->pool)
        agent->driver->ops->cancel(agent->pool, run->range, call, call + 1);
}

int lithops__agent_cancel_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                               lithops_error *err)
{
    if (frame->payload.len % sizeof(uint32_t))
        return lithops__fail(err, LITHOPS_EPARSE, "a truncated cancel");
    pthread_mutex_lock(&agent->table.lock);
    struct lithops__agent_run *run = agent->runs;
    while (run && run->id != frame->stream)
        run = run->next;
    if (run && run->range != UINT32_MAX) { /* else it is done: its outcome crossed this message */
        if (frame->flags & LITHOPS__FRAME_WHOLE)
            atomic_store(&agent->table.area.ranges[run->range].canceled, 1);
        const char *calls = frame->payload.ptr;
        for (size_t at = 0; at < frame->payload.len; at += sizeof(uint32_t)) {
            uint32_t call = lithops__get_u32(calls + at);
            if (call < run->count)
                cancel_call(agent, run, call, frame->flags & LITHOPS__FRAME_BACK);
        }
    }
    pthread_mutex_unlock(&agent->table.lock);
    lithops__bell_landed(agent->table.area.control);
    return 0;
}

/* ---- results that stay ----------------------------------------------------------------------- */

int lithops__agent_hold_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                             lithops_error *err)
{
    if (frame->payload.len != sizeof(uint64_t))
        return lithops__fail(err, LITHOPS_EPARSE, "a hold that is none");
    pthread_mutex_lock(&agent->table.lock);
    agent->hold_bytes = lithops__get_u64(frame->payload.ptr);
    pthread_mutex_unlock(&agent->table.lock);
    lithops__bell_landed(agent->table.area.control);
    return 0;
}

int lithops__agent_want_came(struct lithops__agent *agent, const struct lithops__frame *frame,
                             lithops_error *err)
{
    if (frame->payload.len != sizeof(uint32_t))
        return lithops__fail(err, LITHOPS_EPARSE, "a wish that is none");
    uint32_t call = lithops__get_u32(frame->payload.ptr);
    pthread_mutex_lock(&agent->table.lock);
    struct lithops__agent_run *run = agent->runs;
    while (run && run->id != frame->stream)
        run = run->next;
    if (run && call < run->count && call >= run->wanted)
        run->wanted = call + 1;
    pthread_mutex_unlock(&agent->table.lock);
    lithops__bell_landed(agent->table.area.control);
    return 0;
}
