/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a worker process: look for calls, take them, run them, sleep.
 *
 * Which calls it takes, and how, is ipc/take.h: a claim in a span, each call of it by a CAS on
 * its state; when nothing is offered, calls from the ends of other workers' claims. With nothing to
 * do it spins briefly, one process at a time, and then sleeps.
 *
 * Clock readings cost as much as a tiny call, so calls are timed in groups that grow while they
 * take less than a microsecond, and shrink to one call as soon as they do not. */
#include "worker/loop.h"

#include "base/clock.h"
#include "base/error.h"
#include "ipc/area.h"
#include "ipc/bell.h"
#include "ipc/call_error.h"
#include "ipc/gate.h"
#include "ipc/layout.h"
#include "ipc/queue.h"
#include "ipc/region.h"
#include "ipc/take.h"
#include "worker/call.h"
#include "worker/job.h"
#include "worker/limits.h"
#include "worker/load.h"
#include "worker/process.h"
#include "worker/quiet.h"
#include "worker/result.h"
#include "worker/room.h"
#include "worker/tidy.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

enum {
    GROUP_CALLS = 32,   /* timed together, at most */
    LONG_CALL_US = 500, /* from here on, resources are read before a call too */
    TRUSTED_US = 20,    /* so long, calls are taken for harmless without a look */
    MOST_LEFT_OUT = 15, /* times that it sleeps without spinning */
};

/* One stay in a range. */
struct visit {
    struct lithops__worker_process *process;
    struct lithops__range *range;
    lithops__state *states;
    struct lithops__record *records;
    uint32_t *extras;
    struct lithops__function_slot *function;
    uint64_t group_start, group_first, group_len, group_limit;
    bool long_calls;
    const struct lithops__span *span; /* what is left of it others are woken for; NULL: nothing */
    uint64_t position;
};

static void store_error(lithops_call *call)
{
    struct lithops__region *region = &call->process->region;
    lithops_bytes data = {call->error_data, call->error_data_len};
    size_t len = lithops__call_error_size(&call->error, data);
    call->pending = lithops__call_room(call, len);
    if (!call->pending && data.len) {
        data.len = 0;
        len = lithops__call_error_size(&call->error, data);
        call->pending = lithops__region_alloc(region, len);
    }
    call->result_content = LITHOPS__CONTENT_ERROR;
    call->result_payload = call->pending;
    call->pending_len = len;
    if (call->pending)
        lithops__call_error_write(lithops__at(&call->process->area, call->pending), &call->error,
                                  data);
}

/* Run the function and leave its outcome in `call`. */
static unsigned run_function(lithops_call *call)
{
    struct lithops__job_context *job = call->job;
    if (job->load_error.code == LITHOPS__NOT_LOADED)
        lithops__job_load(job, &call->process->area, call->range);
    int rc = job->load_error.code;
    if (rc == 0) {
        rc = lithops__callable_run(&job->callable, call);
        if (!atomic_load_explicit(call->process->alive, memory_order_relaxed))
            _exit(1); /* not this process: a child that the function forked has returned */
        if (rc == 0 && call->input_failed)
            rc = call->error.code;
        if (rc == 0 && call->stream)
            rc = lithops_stream_error(call->stream, &call->error);
    } else {
        call->error = job->load_error;
        call->used = true;
    }
    if (rc == 0)
        return LITHOPS__SUCCESS;
    lithops__call_drop_result(call);
    if (call->error.code == 0)
        lithops__fail(&call->error, LITHOPS_ECALL, "the function returned %d (%s)", rc,
                      lithops_error_word(rc));
    call->used = true;
    store_error(call);
    return LITHOPS__FAILED;
}

/* Something that stdio has buffered, so that it must be flushed for this call. Per call, so without
 * a function call where possible. */
static inline bool has_output(void)
{
#if defined(__GLIBC__)
    return stdout->_IO_write_ptr > stdout->_IO_write_base;
#else
    return __fpending(stdout) > 0;
#endif
}

static uint64_t now(const struct lithops__worker_process *process)
{
    return lithops__ticks() - process->area.control->epoch_ticks;
}

static void start_group(struct visit *visit, uint64_t start)
{
    visit->group_start = start;
    visit->group_len = 0;
    atomic_store_explicit(&visit->process->line->busy_since, start + 1, memory_order_relaxed);
}

/* The group ended at `end`: set the times of its calls, and adapt to them. */
static void end_group(struct visit *visit, uint64_t end)
{
    uint64_t n = visit->group_len, elapsed = end - visit->group_start, average = elapsed / n;
    uint64_t at = visit->group_start;
    for (uint64_t k = 0; k < n; k++, at += average) {
        struct lithops__record *record = &visit->records[visit->group_first + k];
        record->start_and_content = at << 8 | (record->start_and_content & 0xff);
        record->end = at + average;
    }
    uint64_t us = visit->process->ticks_per_us;
    if (elapsed < us)
        visit->group_limit =
            visit->group_limit < GROUP_CALLS ? visit->group_limit * 2 : GROUP_CALLS;
    else if (elapsed > 2 * us)
        visit->group_limit = 1;
    if (atomic_load_explicit(&visit->function->writes, memory_order_relaxed))
        visit->group_limit = 1;
    visit->long_calls = average > LONG_CALL_US * us;
    uint64_t old = atomic_load_explicit(&visit->function->average_ps, memory_order_relaxed);
    uint64_t new = elapsed * 1000000 / us / n + 1;
    atomic_store_explicit(&visit->function->average_ps, old ? (old * 3 + new) / 4 : new,
                          memory_order_relaxed);
    start_group(visit, end);
}

/* May the calls of the group have made a system call? One takes 150 ns and more, a call some 10. */
static bool may_have_harmed(const struct visit *visit, uint64_t elapsed)
{
    uint64_t us = visit->process->ticks_per_us;
    return elapsed > us / 4 + visit->group_len * us / 80;
}

/* Is the group to be tidied up after? Where calls take longer than that by themselves, the measure
 * is the time of those that were looked at and had done no harm; a look costs as much as two of
 * them. What slips through is found when calls have run for 20 us more, and before another job. */
static bool is_worth_tidying(const struct visit *visit, uint64_t elapsed)
{
    if (!may_have_harmed(visit, elapsed))
        return false;
    struct lithops__worker_process *process = visit->process;
    uint64_t us = process->ticks_per_us, average = elapsed / visit->group_len;
    uint64_t pace = atomic_load_explicit(&visit->function->clean_ticks, memory_order_relaxed);
    process->trusted_ticks += elapsed;
    if (average <= us / 2 && elapsed <= visit->group_len * pace + us / 8 &&
        process->trusted_ticks <= TRUSTED_US * us) {
        process->unseen_ticks += elapsed;
        return false;
    }
    process->timers_due = true;
    process->trusted_ticks = 0;
    if (average > us / 2 || lithops__is_memory_unseen(process) || !lithops__is_tidy(process))
        return true;
    process->unseen_ticks += elapsed;
    pace = pace ? (pace * 7 + average + 4) / 8 : average;
    atomic_store_explicit(&visit->function->clean_ticks, pace, memory_order_relaxed);
    return false;
}

/* What the last job's calls did to the process must not reach the next one's. */
static void tidy_between_jobs(struct lithops__worker_process *process,
                              const struct lithops__job_context *job)
{
    if (process->trusted_range == job->range && process->trusted_generation == job->generation)
        return;
    struct lithops__call_extra extra;
    if (process->trusted_ticks && !lithops__is_tidy(process))
        (void)lithops__tidy(process, 0, &extra);
    process->trusted_ticks = 0;
    process->trusted_range = job->range;
    process->trusted_generation = job->generation;
}

/* Undo what a function did to its process as far as possible; keep what it wrote and used.
 * @param buffered  the output, if there is any, was seen in stdio's buffer
 * @return where struct lithops__call_extra is, 0: nothing to tell */
static uint32_t tidy_up(struct visit *visit, uint64_t elapsed, bool buffered)
{
    struct lithops__worker_process *process = visit->process;
    struct lithops__call_extra extra;
    if (!lithops__tidy(process, elapsed, &extra))
        return 0;
    if (extra.log_end > extra.log_begin)
        atomic_store_explicit(&visit->range->wrote, 1, memory_order_relaxed);
    if (!buffered && extra.log_end > extra.log_begin)
        atomic_store_explicit(&visit->function->writes, 1, memory_order_relaxed);
    lithops__offset at = lithops__region_alloc(&process->region, sizeof extra);
    if (at == 0)
        return 0;
    memcpy(lithops__at(&process->area, at), &extra, sizeof extra);
    lithops__region_publish(&process->region, at, sizeof extra);
    uint64_t units = (at - process->region.base) / 16;
    if (units >> 31) { /* a region of 32 GiB and more: too far for the word that leads there */
        lithops__region_release(&process->area, at);
        return 0;
    }
    return (uint32_t)units;
}

/* The group ends before it is full. What its calls wrote and did must not reach those of others;
 * which of them it was is unknown, so the last one gets it. */
static void cut_group(struct visit *visit)
{
    uint64_t end = now(visit->process), elapsed = end - visit->group_start;
    uint64_t last = visit->group_first + visit->group_len - 1;
    bool tidy = is_worth_tidying(visit, elapsed);
    end_group(visit, end);
    uint32_t extra = tidy ? tidy_up(visit, elapsed, false) : 0;
    if (extra) {
        lithops__take_note_block(visit->range);
        visit->extras[last] = extra;
    }
    if (tidy)
        start_group(visit, now(visit->process));
}

/* The call has failed: may it run once more? */
static bool may_retry(struct visit *visit, uint64_t index)
{
    const struct lithops__range *range = visit->range;
    if (visit->extras[index] >= range->retries || atomic_load(&range->canceled))
        return false;
    visit->extras[index]++;
    atomic_fetch_add_explicit(&visit->range->retried, 1, memory_order_relaxed);
    atomic_store(&visit->process->line->busy_since, now(visit->process) + 1);
    return true;
}

static unsigned run_attempts(struct visit *visit, lithops_call *call, uint64_t index)
{
    unsigned outcome = run_function(call);
    while (outcome == LITHOPS__FAILED && visit->range->retries && may_retry(visit, index)) {
        lithops__call_drop_result(call);
        lithops__call_clear(call);
        outcome = run_function(call);
    }
    return outcome;
}

/* Run call `index`, which this process owns, and publish its outcome. */
static void run_call(struct visit *visit, lithops_call *call, uint64_t index)
{
    struct lithops__worker_process *process = visit->process;
    struct lithops__record *record = &visit->records[index];
    call->index = index;
    call->input_known = false;
    call->result_content = LITHOPS__CONTENT_NULL;
    call->result_payload = 0;
    call->pending = 0;
    if (visit->long_calls)
        lithops__tidy_before_long_call(process);
    if (visit->group_len == 0) {
        visit->group_first = index;
        atomic_store_explicit(&process->line->busy_first, index, memory_order_relaxed);
    }

    unsigned outcome = run_attempts(visit, call, index);

    if (call->used)
        lithops__call_clear(call);
    if (call->pending && outcome == LITHOPS__SUCCESS &&
        lithops__take_is_unwanted(&process->area, visit->range, index))
        lithops__call_drop_result(call);
    if (call->pending)
        lithops__region_publish(&process->region, call->pending, call->pending_len);
    record->payload = call->result_payload;
    record->start_and_content = visit->group_start << 8 | call->result_content | process->cold;
    record->end = 0;
    visit->group_len++;
    uint32_t extra = 0;
    bool wrote = has_output() || call->wrote;
    call->wrote = false;
    if (wrote || visit->group_len >= visit->group_limit) {
        uint64_t end = now(process), elapsed = end - visit->group_start;
        bool tidy = wrote || is_worth_tidying(visit, elapsed);
        end_group(visit, end);
        if (tidy) {
            extra = tidy_up(visit, elapsed, wrote);
            start_group(visit, now(process));
        }
    }
    visit->extras[index] = extra;
    if (call->pending || extra)
        lithops__take_note_block(visit->range);
    lithops__take_publish(&process->area, visit->range, &visit->states[index], outcome,
                          process->slot);
}

static void finish_claim(struct visit *visit, uint64_t done)
{
    if (visit->group_len > 0)
        cut_group(visit);
    if (done == 0)
        return;
    lithops__take_finish(&visit->process->area, visit->range, done);
}

/* Run those calls of [begin, end) that are not taken yet. @return how many */
static uint64_t run_claim(struct visit *visit, lithops_call *call, uint64_t begin, uint64_t end)
{
    struct lithops__worker *line = visit->process->line;
    uint64_t done = 0;
    start_group(visit, now(visit->process));
    for (uint64_t i = begin; i < end; i++) {
        atomic_store_explicit(&line->current, i, memory_order_relaxed);
        bool owned = lithops__take_own(&visit->states[i], visit->process->slot);
        /* Once the first is owned: who is woken may run before this process goes on, and opens no
         * gate while a call is not taken. */
        if (i == begin && visit->span)
            lithops__take_share(&visit->process->area, visit->range, visit->span, visit->position,
                                end - begin);
        if (!owned) {
            if (visit->group_len > 0) /* a group is calls in a row */
                cut_group(visit);
            continue;
        }
        if (done && lithops__take_is_wanted(visit->range)) /* the CAS was the fence */
            lithops__take_wake_waiters(&visit->process->area, visit->range, false);
        run_call(visit, call, i);
        done++;
        if (--visit->process->calls_left == 0 || visit->process->is_spoilt) {
            /* Still announced: what is left of the claim, and reducers, are offered again. */
            finish_claim(visit, done);
            _exit(0);
        }
    }
    finish_claim(visit, done);
    if (done) {
        visit->process->cold = 0;
        visit->process->has_run = true;
    }
    atomic_store_explicit(&line->busy_since, 0, memory_order_relaxed);
    return done;
}

/* The memory limit of the job. A process in which earlier calls have left too much for it is
 * replaced by a fresh one. */
static void enter_limits(struct visit *visit, lithops_call *call)
{
    struct lithops__worker_process *process = visit->process;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__memory memory;
    int rc = lithops__limits_enter(process, visit->range->memory_bytes, &err);
    if (!process->cold) {
        lithops__memory_read(&memory);
        if (rc != 0 || lithops__limits_are_worn(process, &memory))
            _exit(0); /* it runs nothing: what it has claimed is offered again */
    }
    if (rc != 0)
        call->job->load_error = err;
}

static void visit_begin(struct visit *visit, lithops_call *call,
                        struct lithops__worker_process *process, uint32_t range)
{
    struct lithops__area *area = &process->area;
    memset(visit, 0, sizeof *visit);
    visit->process = process;
    visit->range = &area->ranges[range];
    visit->states = lithops__range_states(area, visit->range);
    visit->records = lithops__range_records(area, visit->range);
    visit->extras = lithops__range_extras(area, visit->range);
    visit->function = &area->functions[visit->range->function];
    visit->group_limit = 1;
    call->process = process;
    call->range = visit->range;
    call->job = lithops__job_enter(process, range);
    tidy_between_jobs(process, call->job);
    if (visit->range->memory_bytes != process->memory_bytes && call->job->load_error.code >= 0)
        enter_limits(visit, call);
}

/* ---- reducers: they run when their gate is open ---------------------------------------------- */

/* Run the reducers that map calls [first, last) have made ready; their range is announced. */
static void run_ready(const struct visit *maps, lithops_call *call, uint32_t id, uint64_t first,
                      uint64_t last)
{
    struct lithops__worker_process *process = maps->process;
    struct lithops__area *area = &process->area;
    const struct lithops__range *reducers = &area->ranges[id];
    const lithops__state *states = lithops__range_states(area, reducers);
    uint64_t count = atomic_load(&reducers->count);
    for (uint64_t r = lithops__gate_first_after(area, reducers, first); r < count; r++) {
        const struct lithops__gate *gate = lithops__gate_of(area, reducers, r);
        if (gate->begin >= last)
            return;
        if (atomic_load(&states[r]) != LITHOPS__PENDING ||
            !lithops__gate_is_open(area, gate, &process->look))
            continue;
        atomic_store(&process->line->begin, r);
        atomic_store(&process->line->end, r + 1);
        struct visit visit;
        visit_begin(&visit, call, process, id);
        (void)run_claim(&visit, call, r, r + 1);
    }
}

/* Calls [begin, end) of a range were run here: run the reducers that this has made ready. Their
 * range is announced meanwhile in place of the maps'; the client does not free that one as long as
 * its reducers are there. But another process may have run them, and both ranges be gone by now.
 * @return false: the maps' are gone, and may not be touched any more */
static bool run_reducers(const struct visit *maps, lithops_call *call, uint64_t begin, uint64_t end)
{
    struct lithops__area *area = &maps->process->area;
    struct lithops__worker *line = maps->process->line;
    uint32_t reducers = maps->range->dependents - 1;
    uint32_t own = (uint32_t)(maps->range - area->ranges);
    uint32_t generation = atomic_load(&maps->range->generation);
    if (lithops__queue_enter(area, line, reducers, maps->range->dependents_generation))
        run_ready(maps, call, reducers, begin, end);
    return lithops__queue_enter(area, line, own, generation);
}

/* A span that offers reducers: skip those whose gate is closed, a map call will open it. */
static void run_open_reducers(struct visit *visit, lithops_call *call, uint64_t begin, uint64_t end)
{
    struct lithops__area *area = &visit->process->area;
    for (uint64_t r = begin; r < end; r++) {
        const struct lithops__gate *gate = lithops__gate_of(area, visit->range, r);
        if (lithops__gate_is_open(area, gate, &visit->process->look))
            (void)run_claim(visit, call, r, r + 1);
    }
}

/* ---- finding calls --------------------------------------------------------------------------- */

static bool is_reducer(const struct visit *visit)
{
    return visit->range->job_kind == 'R';
}

static uint64_t claim_size(const struct visit *visit, const struct lithops__span *span)
{
    const struct lithops__worker_process *process = visit->process;
    uint64_t size = lithops__take_claim_size(&process->area, visit->range, span);
    return size < process->calls_left ? size : process->calls_left;
}

static void work_on(struct lithops__worker_process *process, lithops_call *call,
                    struct lithops__span *span, uint64_t position)
{
    struct visit visit;
    visit_begin(&visit, call, process, process->line->range - 1);
    uint64_t begin, count;
    while ((count = lithops__queue_claim(&process->area, process->line, span, position,
                                         claim_size(&visit, span), &begin)) > 0) {
        if (is_reducer(&visit)) {
            lithops__take_share(&process->area, visit.range, span, position, count);
            run_open_reducers(&visit, call, begin, begin + count);
            continue;
        }
        visit.span = span;
        visit.position = position;
        (void)run_claim(&visit, call, begin, begin + count);
        if (visit.range->dependents) {
            if (!run_reducers(&visit, call, begin, begin + count))
                break;
            visit_begin(&visit, call, process, process->line->range - 1);
        }
    }
    lithops__queue_leave(process->line);
}

/* Take one call that another worker has claimed but not begun. */
static bool steal_from(struct lithops__worker_process *process, lithops_call *call,
                       struct lithops__worker *victim)
{
    uint64_t index;
    if (!lithops__take_from(&process->area, process->line, victim, &index))
        return false;
    struct visit visit;
    visit_begin(&visit, call, process, process->line->range - 1);
    bool stolen = run_claim(&visit, call, index, index + 1) > 0;
    if (stolen && visit.range->dependents)
        (void)run_reducers(&visit, call, index, index + 1);
    lithops__queue_leave(process->line);
    return stolen;
}

static bool steal(struct lithops__worker_process *process, lithops_call *call)
{
    struct lithops__control *control = process->area.control;
    for (uint32_t w = 1; w < control->max_workers; w++)
        if (steal_from(process, call,
                       &control->workers[(process->slot + w) % control->max_workers]))
            return true;
    return false;
}

/* Look around for a short time. True: the doorbell has rung, or a call was stolen and run. */
static bool spin(struct lithops__worker_process *process, lithops_call *call, uint32_t doorbell)
{
    struct lithops__control *control = process->area.control;
    uint64_t start = lithops__ticks();
    while (lithops__bell_start_spinning(control, process->slot)) {
        bool rung = false;
        for (int i = 0; i < LITHOPS__SPINS_PER_LOOK && !rung; i++) {
            lithops__pause();
            rung = atomic_load_explicit(&control->doorbell, memory_order_acquire) != doorbell;
        }
        /* A process that counts as spinning must be free to look, so not while it runs a stolen
         * call. */
        lithops__bell_stop_spinning(control);
        if (rung || steal(process, call))
            return true;
        if (atomic_load(&control->shutdown) || lithops__ticks() - start > control->spin_ticks)
            return false;
    }
    return false;
}

/* Spinning pays where work comes at once, and there is a CPU for who brings it. What comes over a
 * link is brought by others, who sleep until it comes, and are to run on this CPU perhaps: so
 * there, where it did not pay, it is left out once, then three times in a row and so on, until it
 * pays again. A client of this machine spins as well, which moves the two to different CPUs. */
static bool spin_if_it_pays(struct lithops__worker_process *process, lithops_call *call,
                            uint32_t doorbell)
{
    if (process->spins_left_out < process->spins_to_leave_out) {
        process->spins_left_out++;
        return false;
    }
    process->spins_left_out = 0;
    if (spin(process, call, doorbell)) {
        process->spins_to_leave_out = 0;
        return true;
    }
    if (!process->area.control->is_elsewhere)
        return false;
    uint32_t more = process->spins_to_leave_out * 2 + 1;
    process->spins_to_leave_out = more < MOST_LEFT_OUT ? more : MOST_LEFT_OUT;
    return false;
}

static void rest(struct lithops__worker_process *process, uint32_t doorbell)
{
    lithops__tidy_before_rest(process);
    if (!lithops__bell_park(process->area.control, process->slot, doorbell,
                            lithops__quiet_ns(process)))
        lithops__quiet(process);
}

void lithops__worker_run(struct lithops__worker_process *process)
{
    struct lithops__control *control = process->area.control;
    lithops_call call;
    memset(&call, 0, sizeof call);
    process->call = &call;
    while (!atomic_load(&control->shutdown)) {
        uint32_t doorbell = atomic_load(&control->doorbell);
        uint64_t position;
        struct lithops__span *span = lithops__queue_find(&process->area, process->line, &position);
        if (span)
            work_on(process, &call, span, position);
        else if (!steal(process, &call) && !spin_if_it_pays(process, &call, doorbell))
            rest(process, doorbell);
    }
}

void lithops__worker_wait_for(struct lithops__worker_process *process, struct lithops__range *range,
                              uint64_t index)
{
    struct lithops__control *control = process->area.control;
    const lithops__state *states = lithops__range_states(&process->area, range);
    uint64_t start = lithops__ticks();
    while (!lithops__state_is_done(atomic_load_explicit(&states[index], memory_order_acquire))) {
        lithops__pause();
        if (lithops__ticks() - start < control->spin_ticks)
            continue;
        atomic_fetch_add(&range->want_each, 1);
        uint32_t seen = lithops__bell_prepare(control);
        if (!lithops__state_is_done(atomic_load(&states[index])))
            lithops__bell_wait(control, seen, UINT64_MAX);
        atomic_fetch_sub(&range->want_each, 1);
    }
}
