/* SPDX-License-Identifier: Apache-2.0 */
#include "core/supervised.h"

#include "base/error.h"
#include "core/draft.h"
#include "core/executor.h"
#include "core/job.h"
#include "core/start.h"
#include "detached/outcome.h"
#include "ipc/take.h"
#include "value/value.h"

#include <stdlib.h>
#include <string.h>

enum { WRITE_BYTES = 1 << 20, BATCH = 512 };

/* ---- reading --------------------------------------------------------------------------------- */

int lithops__supervised_open(const struct lithops__home *home, const char *name,
                             struct lithops__supervised **ret, lithops_error *err)
{
    struct lithops__supervised *job = calloc(1, sizeof *job);
    if (!job)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = lithops__journal_open(&job->journal, home->fd, name, err);
    if (rc != 0) {
        free(job);
        return rc;
    }
    job->count = job->left = job->journal.header->calls;
    *ret = job;
    return 0;
}

void lithops__supervised_free(struct lithops__supervised *job)
{
    if (!job)
        return;
    lithops__journal_close(&job->journal);
    if (job->job)
        lithops__job_unref(job->job);
    lithops_value_free(job->plan);
    lithops__buffer_deinit(&job->inputs);
    lithops__buffer_deinit(&job->out);
    lithops__buffer_deinit(&job->indices);
    free(job->written);
    free(job);
}

static bool is_written(const struct lithops__supervised *job, uint64_t index)
{
    return job->written[index / 64] >> index % 64 & 1;
}

/* True: it is the first one. */
static bool note_written(struct lithops__supervised *job, uint64_t index)
{
    uint64_t bit = 1ull << index % 64;
    if (index >= job->count || job->written[index / 64] & bit)
        return false;
    job->written[index / 64] |= bit;
    job->left--;
    return true;
}

static void count_state(struct lithops__supervised *job, unsigned state)
{
    job->success += state == LITHOPS__SUCCESS;
    job->failed += state == LITHOPS__FAILED;
    job->canceled += state == LITHOPS__CANCELED;
}

static int read_outcomes(struct lithops__supervised *job, lithops_bytes bytes, lithops_error *err)
{
    int rc = 0;
    while (rc == 0 && bytes.len) {
        struct lithops__outcome outcome;
        rc = lithops__outcome_read(&bytes, &outcome, err);
        if (rc == 0 && note_written(job, outcome.call))
            count_state(job, outcome.state);
    }
    return rc;
}

static int read_record(struct lithops__supervised *job, uint32_t type, lithops_bytes bytes,
                       lithops_error *err)
{
    if (type == LITHOPS__JOURNAL_PLAN && !job->plan) {
        job->plan = lithops__value_decode(bytes.ptr, bytes.len, err);
        return job->plan ? 0 : err->code;
    }
    if (type == LITHOPS__JOURNAL_INPUTS && job->inputs.len == 0) {
        lithops__buffer_append(&job->inputs, bytes.ptr, bytes.len);
        return job->inputs.failed ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory") : 0;
    }
    job->was_supervised |= type == LITHOPS__JOURNAL_SUPERVISED;
    return type == LITHOPS__JOURNAL_OUTCOMES ? read_outcomes(job, bytes, err) : 0;
}

/* The counters of the header may be behind: a supervisor was killed between the two. */
static void set_counters(struct lithops__supervised *job)
{
    struct lithops__journal_header *header = job->journal.header;
    atomic_store(&header->success, job->success);
    atomic_store(&header->failed, job->failed);
    atomic_store(&header->canceled, job->canceled);
    atomic_store(&header->trouble, 0);
    job->success = job->failed = job->canceled = 0;
}

int lithops__supervised_read(struct lithops__supervised *job, lithops_error *err)
{
    uint32_t type;
    lithops_bytes bytes;
    int rc;
    job->written = calloc(job->count / 64 + 1, sizeof *job->written);
    if (!job->written)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    while ((rc = lithops__journal_read(&job->journal, true, &type, &bytes, err)) == 1)
        if ((rc = read_record(job, type, bytes, err)) != 0)
            return rc;
    if (rc == 0)
        rc = lithops__journal_cut(&job->journal, err);
    if (rc == 0)
        set_counters(job);
    return rc;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* [L] Outcomes of before. Results are put back where a reducer is to read them. */
static int settle_read(struct lithops__supervised *job, lithops_bytes bytes, bool with_results,
                       lithops_error *err)
{
    struct lithops__table *table = &job->job->fexec->table;
    int rc = 0;
    while (rc == 0 && bytes.len) {
        struct lithops__outcome outcome;
        rc = lithops__outcome_read(&bytes, &outcome, err);
        if (rc == 0 && !with_results)
            outcome = (struct lithops__outcome){.call = outcome.call, .state = LITHOPS__SUCCESS};
        if (rc == 0)
            rc = lithops__outcome_put(table, job->job->range, &outcome, false, false, err);
        if (rc > 0)
            rc = 0;
    }
    return rc;
}

static int settle_all_read(struct lithops__supervised *job, bool with_results, lithops_error *err)
{
    uint64_t end = job->journal.at;
    uint32_t type;
    lithops_bytes bytes;
    int rc = 0, more = 0;
    if (job->left == job->count)
        return 0;
    job->journal.at = LITHOPS__JOURNAL_HEADER;
    while (rc == 0 &&
           (more = lithops__journal_read(&job->journal, true, &type, &bytes, err)) == 1) {
        pthread_mutex_lock(&job->job->fexec->table.lock);
        if (type == LITHOPS__JOURNAL_OUTCOMES)
            rc = settle_read(job, bytes, with_results, err);
        pthread_mutex_unlock(&job->job->fexec->table.lock);
    }
    job->journal.at = end;
    if (rc == 0 && more < 0)
        rc = more;
    lithops__take_finish(&job->job->fexec->table.area, lithops__job_range(job->job),
                         job->count - job->left);
    return rc;
}

static int start_one(lithops_executor *fexec, struct lithops__supervised *job,
                     const lithops_value *plan, lithops_bytes inputs,
                     const struct lithops__job *maps, lithops_error *err)
{
    const struct lithops__journal_header *header = job->journal.header;
    struct lithops__redraft draft;
    int rc = lithops__draft_read(plan, inputs, job->count, &draft, err);
    if (rc != 0)
        return rc;
    if (!maps && !draft.plan.inputs) {
        lithops__redraft_deinit(&draft);
        return lithops__fail(err, LITHOPS_EPARSE, "the journal has no inputs");
    }
    draft.plan.kind = header->kind;
    draft.plan.maps = maps;
    draft.plan.created = lithops__ticks();
    pthread_mutex_lock(&fexec->table.lock);
    if (!maps)
        fexec->next_number = header->number;
    pthread_mutex_unlock(&fexec->table.lock);
    rc = lithops__job_start(fexec, &draft.plan, &job->job, err);
    lithops__redraft_deinit(&draft);
    if (rc != 0)
        return rc;
    job->job->gives_list = header->flags & LITHOPS__JOURNAL_GIVES_LIST;
    atomic_fetch_add(&lithops__job_range(job->job)->want_each, 1); /* the reporter */
    return 0;
}

static int start_reduce(lithops_executor *fexec, struct lithops__supervised *job,
                        struct lithops__supervised *reduce, lithops_error *err)
{
    const lithops_value *gates = lithops_value_get(job->plan, "gates");
    int64_t percent = lithops_value_get_int(lithops_value_get(job->plan, "spawn_reducer"));
    uint64_t all = 0;
    size_t *counts = calloc(reduce->count + 1, sizeof *counts);
    if (!counts)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (uint64_t r = 0; r < reduce->count; r++)
        all += counts[r] = (size_t)lithops_value_get_int(lithops_value_at(gates, r));
    int rc = lithops_value_size(gates) != reduce->count || all > job->count || percent < 0 ||
                     percent > 100
                 ? lithops__fail(err, LITHOPS_EPARSE, "the gates of the reducers are damaged")
                 : start_one(fexec, reduce, lithops_value_get(job->plan, "reduce"),
                             (lithops_bytes){NULL, 0}, job->job, err);
    if (rc == 0) {
        reduce->job->maps = lithops__job_ref(job->job);
        pthread_mutex_lock(&fexec->table.lock);
        rc = lithops__add_gates(reduce->job, job->job, counts, percent, err);
        job->job->feeds_reducer = true;
        pthread_mutex_unlock(&fexec->table.lock);
    }
    free(counts);
    return rc;
}

static void discard(struct lithops__supervised *job)
{
    if (!job || !job->job)
        return;
    lithops__job_discard(job->job);
    lithops__job_unref(job->job);
    job->job = NULL;
}

int lithops__supervised_start(lithops_executor *fexec, struct lithops__supervised *job,
                              struct lithops__supervised *reduce, lithops_error *err)
{
    int rc = job->plan ? 0 : lithops__fail(err, LITHOPS_EPARSE, "the journal has no plan");
    if (rc == 0)
        rc = start_one(fexec, job, job->plan, (lithops_bytes){job->inputs.data, job->inputs.len},
                       NULL, err);
    if (rc == 0 && reduce)
        rc = start_reduce(fexec, job, reduce, err);
    if (rc == 0)
        rc = settle_all_read(job, reduce && reduce->left > 0, err);
    if (rc == 0 && reduce)
        rc = settle_all_read(reduce, false, err);
    lithops_value_free(job->plan);
    job->plan = NULL;
    lithops__buffer_deinit(&job->inputs);
    job->inputs = (struct lithops__buffer)LITHOPS__BUFFER_INIT;
    if (rc != 0) {
        discard(reduce);
        discard(job);
    }
    return rc;
}

int lithops__supervised_claim(struct lithops__supervised *job, struct lithops__supervised *reduce,
                              lithops_error *err)
{
    int rc = lithops__journal_append(&job->journal, LITHOPS__JOURNAL_SUPERVISED,
                                     (lithops_bytes){NULL, 0}, err);
    if (rc != 0) {
        discard(reduce);
        discard(job);
    }
    return rc;
}

int lithops__supervised_offer(struct lithops__supervised *job, struct lithops__supervised *reduce,
                              lithops_error *err)
{
    struct lithops__job *maps = job->job;
    int rc = lithops__job_submit(maps, err);
    if (rc == 0 && reduce && job->count == 0)
        rc = lithops__job_submit(reduce->job, err);
    if (rc == 0 && reduce) { /* it may wait for calls that were done before */
        pthread_mutex_lock(&maps->fexec->table.lock);
        lithops__table_kick_dependents(&maps->fexec->table, maps->range);
        pthread_mutex_unlock(&maps->fexec->table.lock);
    }
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* An outcome was appended behind `len` bytes. False: there was no memory for it, and nothing of it
 * is there: its call has none yet. */
static bool take_outcome(struct lithops__supervised *job, size_t len, uint64_t index,
                         unsigned state)
{
    size_t count = job->indices.len;
    if (job->job) /* there is a result to release */
        lithops__buffer_append(&job->indices, &index, sizeof index);
    if (job->out.failed || job->indices.failed) {
        job->out.len = len;
        job->indices.len = count;
        job->out.failed = job->indices.failed = false;
        return false;
    }
    count_state(job, state);
    (void)note_written(job, index);
    return true;
}

int lithops__supervised_refuse(struct lithops__supervised *job, const lithops_error *why,
                               lithops_error *err)
{
    int rc = 0;
    unsigned state = why->code == LITHOPS_ECANCELED ? LITHOPS__CANCELED : LITHOPS__FAILED;
    for (uint64_t i = 0; rc == 0 && i < job->count; i++) {
        size_t len = job->out.len;
        if (is_written(job, i))
            continue;
        lithops__outcome_append_error(i, why, &job->out);
        if (!take_outcome(job, len, i, state))
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for outcomes");
        else if (job->out.len >= WRITE_BYTES)
            rc = lithops__supervised_write(job, err);
    }
    return rc == 0 && job->out.len ? lithops__supervised_write(job, err) : rc;
}

/* [L] Some of the calls from *index on. False: there is no memory for one. */
static bool collect_some(struct lithops__supervised *job, const struct lithops__tick_clock *clock,
                         uint64_t *index)
{
    struct lithops__table *table = &job->job->fexec->table;
    for (unsigned n = 0; n < BATCH && *index < job->count && job->out.len < WRITE_BYTES; ++*index) {
        uint16_t state = lithops__job_state(job->job, *index);
        size_t len = job->out.len;
        if (is_written(job, *index) || !lithops__state_is_done(state))
            continue;
        lithops__outcome_append(table, clock, job->job->range, *index, &job->out);
        if (!take_outcome(job, len, *index, lithops__state_of(state)))
            return false;
        n++;
    }
    return true;
}

bool lithops__supervised_collect(struct lithops__supervised *job,
                                 const struct lithops__tick_clock *clock)
{
    bool has_memory = true;
    while (job->first < job->count && is_written(job, job->first))
        job->first++;
    uint64_t index = job->first;
    while (has_memory && index < job->count && job->out.len < WRITE_BYTES) {
        if (is_written(job, index) ||
            !lithops__state_is_done(lithops__job_state(job->job, index))) {
            index++;
            continue;
        }
        pthread_mutex_lock(&job->job->fexec->table.lock);
        has_memory = collect_some(job, clock, &index);
        pthread_mutex_unlock(&job->job->fexec->table.lock);
    }
    return index < job->count;
}

/* What is in the journal need not be in memory. */
static void release_results(struct lithops__supervised *job)
{
    if (!job->job)
        return;
    const uint64_t *indices = (const uint64_t *)(const void *)job->indices.data;
    size_t count = job->indices.len / sizeof *indices;
    for (size_t at = 0; at < count; at += BATCH) {
        pthread_mutex_lock(&job->job->fexec->table.lock);
        for (size_t i = at; i < count && i < at + BATCH; i++)
            lithops__job_release(job->job, indices[i]);
        lithops__unlock(job->job->fexec);
    }
}

int lithops__supervised_write(struct lithops__supervised *job, lithops_error *err)
{
    struct lithops__journal_header *header = job->journal.header;
    int rc = lithops__journal_write(&job->journal, LITHOPS__JOURNAL_OUTCOMES,
                                    (lithops_bytes){job->out.data, job->out.len}, err);
    if (rc != 0)
        return rc;
    /* Before the outcomes can be read: who has read the last one finds the job done. */
    atomic_fetch_add(&header->success, job->success);
    atomic_fetch_add(&header->failed, job->failed);
    atomic_fetch_add(&header->canceled, job->canceled);
    atomic_store(&header->trouble, 0);
    lithops__journal_show(&job->journal);
    job->success = job->failed = job->canceled = 0;
    release_results(job);
    job->out.len = job->indices.len = 0;
    return 0;
}

void lithops__supervised_end(struct lithops__supervised *job)
{
    struct lithops__journal_header *header = job->journal.header;
    if (atomic_load(&header->ended_wall_ns))
        return; /* before: its age counts from then */
    atomic_store(&header->ended_ns, lithops__boot_ns());
    atomic_store(&header->ended_wall_ns, lithops__wall_ns());
}
