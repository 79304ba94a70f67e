/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a worker process: look for calls, take them, run them, sleep.
 *
 * It claims a block of calls from a span (about 20 us of work, as far as it can tell), and then
 * takes each call of the block by a CAS on its state. When nothing is offered it takes calls out
 * of the blocks of other workers, from their ends: so a call that turns out long never keeps
 * others waiting behind it. When there is nothing at all it spins for a short time, one process
 * for all, and then sleeps.
 *
 * Clock readings cost as much as a tiny call, so calls are timed in groups that grow while they
 * take less than a microsecond, and shrink to one call as soon as they do not. */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/error.h"
#include "ipc/bell.h"
#include "ipc/queue.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK_US = 20,      /* work that a block should hold */
    BLOCK_CALLS = 4096, /* at most */
    GROUP_CALLS = 32,   /* timed together, at most */
    SERIAL_US = 50,     /* work that is not worth waking another process for */
    LONG_CALL_US = 500, /* from here on, resources are read before a call too */
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
};

static void store_error(lithops_call *call)
{
    struct lithops__region *region = &call->process->region;
    lithops_bytes data = {call->error_data, call->error_data_len};
    size_t len = lithops__call_error_size(&call->error, data);
    call->pending = lithops__region_alloc(region, len);
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
            _exit(1); /* not this process: a child of the function's that returned */
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

/* Something that stdio has buffered, so that it must be flushed for this call. Per call, so it
 * must not cost a function call where that can be had. */
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

/* The group ended at `end`: times for its calls, and what they tell about the next ones. */
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
static bool is_worth_tidying(const struct visit *visit, uint64_t elapsed)
{
    uint64_t us = visit->process->ticks_per_us;
    return elapsed > us / 4 + visit->group_len * us / 80;
}

/* Undo what can be undone of what a function did to its process, keep what it wrote and used.
 * @param buffered  the output, if there is any, was seen in stdio's buffer
 * @return where struct lithops__call_extra is, 0: nothing to tell */
static uint32_t tidy_up(struct visit *visit, uint64_t elapsed, bool buffered)
{
    struct lithops__worker_process *process = visit->process;
    struct lithops__call_extra extra;
    if (!lithops__tidy(process, elapsed, &extra))
        return 0;
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
 * nobody can tell which of them it was, so the last one gets it. */
static void cut_group(struct visit *visit)
{
    uint64_t end = now(visit->process), elapsed = end - visit->group_start;
    uint64_t last = visit->group_first + visit->group_len - 1;
    bool tidy = is_worth_tidying(visit, elapsed);
    end_group(visit, end);
    uint32_t extra = tidy ? tidy_up(visit, elapsed, false) : 0;
    if (extra)
        visit->extras[last] = extra;
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
    if (outcome == LITHOPS__FAILED) /* first, so that who sees the state sees that too */
        atomic_fetch_add(&visit->range->failed, 1);
    atomic_store_explicit(&visit->states[index], lithops__state_make(outcome, process->slot),
                          memory_order_release);
    if (outcome == LITHOPS__FAILED && atomic_load(&visit->range->want_end))
        lithops__bell_landed(process->area.control);
}

/* After a full fence: does anybody wait for what has landed? */
static void wake_waiters(struct visit *visit, bool at_end)
{
    struct lithops__range *range = visit->range;
    bool wake = atomic_load(&range->want_each) > 0 || at_end;
    uint64_t wanted = atomic_load(&range->want_call);
    if (wanted && lithops__state_is_done(atomic_load(&visit->states[wanted - 1]))) {
        atomic_compare_exchange_strong(&range->want_call, &wanted, 0);
        wake = true;
    }
    if (wake)
        lithops__bell_landed(visit->process->area.control);
}

static bool is_wanted(const struct lithops__range *range)
{
    return atomic_load_explicit(&range->want_each, memory_order_relaxed) ||
           atomic_load_explicit(&range->want_call, memory_order_relaxed);
}

static void finish_block(struct visit *visit, uint64_t done)
{
    struct lithops__range *range = visit->range;
    if (visit->group_len > 0)
        cut_group(visit);
    if (done == 0)
        return;
    uint64_t all = atomic_fetch_add(&range->done_hint, done) + done;
    atomic_thread_fence(memory_order_seq_cst); /* states before wants, and before other states */
    bool at_end = atomic_load(&range->want_end) > 0 &&
                  (all >= atomic_load(&range->count) || atomic_load(&range->recount));
    wake_waiters(visit, at_end);
}

/* Run those calls of [begin, end) that nobody has taken. @return how many */
static uint64_t run_block(struct visit *visit, lithops_call *call, uint64_t begin, uint64_t end)
{
    struct lithops__worker *line = visit->process->line;
    uint64_t done = 0;
    start_group(visit, now(visit->process));
    uint16_t running = lithops__state_make(LITHOPS__RUNNING, visit->process->slot);
    for (uint64_t i = begin; i < end; i++) {
        uint16_t pending = LITHOPS__PENDING;
        atomic_store_explicit(&line->current, i, memory_order_relaxed);
        if (!atomic_compare_exchange_strong(&visit->states[i], &pending, running)) {
            if (visit->group_len > 0) /* a group is calls in a row */
                cut_group(visit);
            continue;
        }
        if (done && is_wanted(visit->range))
            wake_waiters(visit, false); /* the CAS was the fence */
        run_call(visit, call, i);
        done++;
        if (visit->process->is_spoilt) { /* the rest of the block is offered again */
            finish_block(visit, done);
            _exit(0);
        }
    }
    finish_block(visit, done);
    if (done)
        visit->process->cold = 0;
    atomic_store_explicit(&line->busy_since, 0, memory_order_relaxed);
    return done;
}

/* The memory limit of the job. A process that uses more than that already, for what earlier calls
 * have left in it, makes room for a fresh one. */
static void enter_limits(struct visit *visit, lithops_call *call)
{
    struct lithops__worker_process *process = visit->process;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops__limits_enter(process, visit->range->memory_bytes, &err) == 0)
        return;
    if (!process->cold)
        _exit(0); /* it runs nothing: what it has claimed is offered again */
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
    if (visit->range->memory_bytes != process->memory_bytes && call->job->load_error.code >= 0)
        enter_limits(visit, call);
}

/* ---- reducers: they run when their gate is open ---------------------------------------------- */

/* Every block ends with a look at the gate. So it goes on where the last one has stopped, and
 * passes each call once; only when all were taken does somebody look at all. */
static bool were_taken(const struct visit *maps, const struct lithops__gate *gate)
{
    struct lithops__gate_look *look = &maps->process->look;
    uint32_t generation = atomic_load_explicit(&maps->range->generation, memory_order_relaxed);
    if (look->range != gate->range || look->generation != generation || look->begin != gate->begin)
        *look = (struct lithops__gate_look){gate->range, generation, gate->begin, gate->begin};
    while (look->taken < gate->end &&
           lithops__state_of(atomic_load_explicit(&maps->states[look->taken],
                                                  memory_order_relaxed)) >= LITHOPS__RUNNING)
        look->taken++;
    return look->taken == gate->end;
}

/* All calls of the gate were taken, and enough are done: whoever runs the reducer now waits only
 * for calls that run. (One that was taken may wait again: to be run once more.) */
static bool gate_is_open(const struct visit *maps, const struct lithops__gate *gate)
{
    if (!were_taken(maps, gate))
        return false;
    uint64_t done = 0;
    for (uint64_t i = gate->end; i-- > gate->begin;) { /* calls are taken in order: ask the last */
        uint16_t state = atomic_load_explicit(&maps->states[i], memory_order_acquire);
        if (lithops__state_of(state) < LITHOPS__RUNNING)
            return false;
        done += lithops__state_is_done(state);
    }
    return done * 100 >= (gate->end - gate->begin) * gate->percent;
}

static const struct lithops__gate *gate_of(const struct lithops__area *area,
                                           const struct lithops__range *reducers, uint64_t call)
{
    const struct lithops__slot *slots = lithops__at(area, reducers->inputs);
    return lithops__at(area, slots[call].payload);
}

/* The first reducer whose gate ends after `index`; gates are in order and do not overlap. */
static uint64_t first_reducer_after(const struct lithops__area *area,
                                    const struct lithops__range *reducers, uint64_t index)
{
    uint64_t low = 0, high = atomic_load(&reducers->count);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (gate_of(area, reducers, middle)->end > index)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Run the reducers that map calls [first, last) have made ready; their range is announced. */
static void run_ready(const struct visit *maps, lithops_call *call, uint32_t id, uint64_t first,
                      uint64_t last)
{
    struct lithops__worker_process *process = maps->process;
    struct lithops__area *area = &process->area;
    const struct lithops__range *reducers = &area->ranges[id];
    const lithops__state *states = lithops__range_states(area, reducers);
    uint64_t count = atomic_load(&reducers->count);
    for (uint64_t r = first_reducer_after(area, reducers, first); r < count; r++) {
        const struct lithops__gate *gate = gate_of(area, reducers, r);
        if (gate->begin >= last)
            return;
        if (atomic_load(&states[r]) != LITHOPS__PENDING || !gate_is_open(maps, gate))
            continue;
        atomic_store(&process->line->begin, r);
        atomic_store(&process->line->end, r + 1);
        struct visit visit;
        visit_begin(&visit, call, process, id);
        (void)run_block(&visit, call, r, r + 1);
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
        const struct lithops__gate *gate = gate_of(area, visit->range, r);
        struct visit maps = {.process = visit->process,
                             .range = &area->ranges[gate->range],
                             .states = lithops__range_states(area, &area->ranges[gate->range])};
        if (gate_is_open(&maps, gate))
            (void)run_block(visit, call, r, r + 1);
    }
}

/* ---- finding calls --------------------------------------------------------------------------- */

static uint64_t average_ns(const struct visit *visit)
{
    return (atomic_load_explicit(&visit->function->average_ps, memory_order_relaxed) + 999) / 1000;
}

static uint64_t block_size(const struct visit *visit, const struct lithops__span *span)
{
    if (visit->range->chunk)
        return visit->range->chunk;
    uint64_t average = average_ns(visit);
    if (average == 0)
        return 1;
    const struct lithops__control *control = visit->process->area.control;
    uint64_t size = BLOCK_US * 1000 / average;
    uint64_t share = lithops__queue_left(&visit->process->area, span) / (2 * control->max_workers);
    size = size < BLOCK_CALLS ? size : BLOCK_CALLS;
    size = size < share ? size : share;
    return size ? size : 1;
}

/* There is more than this process should do alone: wake another one, which does the same. */
static void share_work(const struct visit *visit, const struct lithops__span *span,
                       uint64_t position, uint64_t claimed)
{
    struct lithops__control *control = visit->process->area.control;
    if (!lithops__bell_anyone_parked(control))
        return;
    uint64_t left = lithops__queue_left(&visit->process->area, span);
    bool other_spans = atomic_load_explicit(&control->tail, memory_order_acquire) > position + 1;
    if (left == 0 && claimed == 1 && !other_spans)
        return;
    uint64_t average = average_ns(visit);
    if (!other_spans && average && (left + claimed) * average < SERIAL_US * 1000)
        return;
    lithops__bell_wake_one(control);
}

static bool is_reducer(const struct visit *visit)
{
    return visit->range->job_kind == 'R';
}

static void work_on(struct lithops__worker_process *process, lithops_call *call,
                    struct lithops__span *span, uint64_t position)
{
    struct visit visit;
    visit_begin(&visit, call, process, process->line->range - 1);
    uint64_t begin, count;
    while ((count = lithops__queue_claim(&process->area, process->line, span, position,
                                         block_size(&visit, span), &begin)) > 0) {
        share_work(&visit, span, position, count);
        if (is_reducer(&visit)) {
            run_open_reducers(&visit, call, begin, begin + count);
            continue;
        }
        (void)run_block(&visit, call, begin, begin + count);
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
    uint32_t range = atomic_load(&victim->range);
    uint64_t end = atomic_load(&victim->end), current = atomic_load(&victim->current);
    if (range == 0 || atomic_load(&victim->claiming) || end <= current + 1)
        return false;
    if (!lithops__queue_join(&process->area, process->line, range - 1))
        return false;
    struct lithops__range *target = &process->area.ranges[range - 1];
    bool stolen = false;
    if (target->chunk == 0 && target->job_kind != 'R' && end <= atomic_load(&target->count)) {
        const lithops__state *states = lithops__range_states(&process->area, target);
        uint64_t i = end - 1;
        while (i > current && atomic_load(&states[i]) != LITHOPS__PENDING)
            i--;
        if (i > current) {
            struct visit visit;
            visit_begin(&visit, call, process, range - 1);
            atomic_store(&process->line->begin, i);
            atomic_store(&process->line->end, i + 1);
            stolen = run_block(&visit, call, i, i + 1) > 0;
            if (stolen && target->dependents)
                (void)run_reducers(&visit, call, i, i + 1);
        }
    }
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
        /* Whoever counts as spinning must be free to look: not while it runs a stolen call. */
        lithops__bell_stop_spinning(control);
        if (rung || steal(process, call))
            return true;
        if (atomic_load(&control->shutdown) || lithops__ticks() - start > control->spin_ticks)
            return false;
    }
    return false;
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
        else if (!steal(process, &call) && !spin(process, &call, doorbell)) {
            lithops__crash_prepare();
            lithops__bell_park(control, process->slot, doorbell);
        }
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
