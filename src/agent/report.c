/* SPDX-License-Identifier: Apache-2.0 */
/* The reporter: sends the outcomes of calls, and gives the client credit for more.
 *
 * It sleeps like a client that waits for each call, and when woken looks at all activations. While
 * calls land so fast that a wake-up for each would slow them down, it lets them gather for up to 1
 * ms, and no one has to wake it meanwhile. It also reports calls that have begun, so that after a
 * loss the client knows which calls may run elsewhere: a call that begins as another one ends is
 * seen by the next look, at most 1 ms later.
 *
 * For a few calls of some microseconds, waking the reporter would take longer than the calls. Then
 * the reader clears the `waiting` flag, so that no one wakes the reporter, waits for the calls, and
 * looks as the reporter would. After it has waited in vain, as when the worker process finds no
 * CPU, it does not do so for a while.
 *
 * Credit is how many calls the client may send in all: enough for about 50 ms of work for each
 * process (more where messages take long), judged by recent calls, and at least one for each
 * process. */
#include "agent/agent.h"

#include "base/error.h"
#include "ipc/bell.h"
#include "ipc/call_error.h"
#include "ipc/queue.h"
#include "ipc/release.h"
#include "ipc/slotlog.h"
#include "storage/storage.h"
#include "wire/numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    AHEAD_CALLS = 16384,    /* at most */
    SEND_BYTES = 128 << 10, /* bytes worth a write */
    GATHER_NS = 500000,
    GATHER_CALLS = 8, /* landed in one look: they come fast */
    LOOK_NS = 1000000,
    LEND_NS = 50000000, /* patience of processes without memory, at a time */
    LOOKS = 8,          /* looks for calls that do not begin; the interval doubles each time */
    SHORT_US = 30,      /* work that the reader waits for */
    WATCH_US = 50,      /* at most, with the wake-up of a worker process */
    WATCH_CALLS = 8,
    MOST_LEFT_OUT = 15, /* watches */
};

/* What is being reported, and by whom: one looks at a time. */
struct lithops__agent_reports {
    struct lithops__agent *agent;
    pthread_mutex_t lock; /* taken before the table's, or tried */
    uint64_t patience_ns; /* with a client that takes nothing */
    bool is_stuck;
    unsigned left_out, to_leave_out; /* watches, since they were in vain */
    struct lithops__buffer out;
    size_t frame; /* where the open frame begins; SIZE_MAX: none is */
    uint32_t next_blob;
    uint64_t outcomes;   /* of this look */
    bool waits;          /* some call has not begun */
    bool any;            /* there are calls */
    bool holds;          /* results for which the client has no room */
    bool spills;         /* one of them goes all the same: here is no room for one that is wanted */
    bool may_spill;      /* in this look */
    uint64_t slowest_ps; /* average time of a call */
};

/* ---- sending --------------------------------------------------------------------------------- */

static uint64_t window_of(const struct lithops__agent_reports *report)
{
    uint64_t ahead = 1, ps = report->slowest_ps;
    if (ps)
        ahead = report->agent->ahead_us * 1000000 / ps;
    if (ahead > AHEAD_CALLS)
        ahead = AHEAD_CALLS;
    return report->agent->processes * (ahead ? ahead : 1);
}

static void begin_frame(struct lithops__agent_reports *report)
{
    const uint64_t later[3] = {0}; /* credit, and requests */
    bool has_spent = report->agent->storage != NULL;
    if (report->frame != SIZE_MAX)
        return;
    report->frame = lithops__frame_begin(&report->out, LITHOPS__MESSAGE_OUTCOMES, 0, 0);
    lithops__buffer_append(&report->out, later, has_spent ? sizeof later : sizeof *later);
}

/* [L] */
static void end_frame(struct lithops__agent_reports *report)
{
    struct lithops__agent *agent = report->agent;
    if (report->frame == SIZE_MAX)
        return;
    uint64_t window = window_of(report), may = agent->reported + window;
    uint64_t here = agent->received - agent->reported;
    if (may > agent->granted)
        agent->granted = may;
    uint16_t flags = here <= agent->processes || here < window / 4 ? LITHOPS__FRAME_SOON : 0;
    uint64_t numbers[3] = {agent->granted};
    if (agent->storage) {
        flags |= LITHOPS__FRAME_SPENT;
        lithops__storage_made(agent->storage, &numbers[1], &numbers[2]);
    }
    if (!report->out.failed) {
        lithops__put_u16(report->out.data + report->frame + 6, flags);
        memcpy(report->out.data + report->frame + LITHOPS__FRAME_HEADER, numbers,
               agent->storage ? sizeof numbers : sizeof *numbers);
    }
    lithops__frame_end(&report->out, report->frame);
    report->frame = SIZE_MAX;
}

/* [L] The lock is released meanwhile. No one else frees what the reporter is working on. */
static void send_with(struct lithops__agent_reports *report, lithops_bytes more)
{
    pthread_mutex_unlock(&report->agent->table.lock);
    if (!lithops__agent_send_with(report->agent, &report->out, more, report->patience_ns))
        report->is_stuck |= errno == ETIMEDOUT; /* else the reader sees that the client is gone */
    report->out.len = 0;
    pthread_mutex_lock(&report->agent->table.lock);
}

/* [L] As send_with(). */
static void flush(struct lithops__agent_reports *report)
{
    end_frame(report);
    if (report->out.len > 0)
        send_with(report, (lithops_bytes){NULL, 0});
}

/* [L] Send long bytes ahead of their outcome, in pieces, from where they lie. */
static uint32_t send_blob(struct lithops__agent_reports *report, lithops_bytes bytes)
{
    uint32_t number = ++report->next_blob ? report->next_blob : ++report->next_blob;
    uint64_t length = bytes.len;
    size_t at = 0;
    flush(report);
    do {
        size_t len =
            bytes.len - at < 4 * LITHOPS__FRAME_PIECE ? bytes.len - at : 4 * LITHOPS__FRAME_PIECE;
        size_t frame = lithops__frame_begin(&report->out, LITHOPS__MESSAGE_BLOB,
                                            at == 0 ? LITHOPS__FRAME_FIRST : 0, number);
        if (at == 0)
            lithops__buffer_append(&report->out, &length, sizeof length);
        lithops__frame_end_before(&report->out, frame, len);
        send_with(report, (lithops_bytes){(const char *)bytes.ptr + at, len});
        at += len;
    } while (at < bytes.len);
    return number;
}

/* [L] */
static void carry(struct lithops__agent_reports *report, uint8_t content, lithops_bytes bytes,
                  struct lithops__carried *ret)
{
    *ret = (struct lithops__carried){content, LITHOPS__CARRIED_BYTES, 0, bytes};
    if (bytes.len >= LITHOPS__FRAME_PIECE) {
        ret->payload = send_blob(report, bytes);
        ret->how = LITHOPS__CARRIED_BLOB;
    }
}

/* ---- outcomes -------------------------------------------------------------------------------- */

static uint64_t ns_of(const struct lithops__agent *agent, uint64_t ticks)
{
    const struct lithops__tick_clock *clock = &agent->clock;
    uint64_t at = agent->table.area.control->epoch_ticks + ticks;
    return clock->mono0 + (uint64_t)((double)(at - clock->ticks0) * clock->ns_per_tick);
}

/* [L] The error of a call; `keep` holds its bytes. */
static void carry_failure(struct lithops__agent_reports *report,
                          const struct lithops__record *record, struct lithops__buffer *keep,
                          struct lithops__carried *ret)
{
    lithops_error error = LITHOPS_ERROR_INIT;
    lithops_bytes data = {NULL, 0};
    if (record->payload) {
        const void *block = lithops__at(&report->agent->table.area, record->payload);
        lithops__call_error_read(block, &error);
        data = lithops__call_error_data(block);
    } else {
        lithops__fail(&error, LITHOPS_ECALL,
                      "the call failed, and there was no shared memory left to say why");
    }
    lithops__failure_write(keep, &error, data);
    carry(report, LITHOPS__CONTENT_ERROR, (lithops_bytes){keep->data, keep->len}, ret);
}

static void copy_usage(struct lithops__outcome *outcome, const struct lithops__call_extra *extra)
{
    outcome->has_usage = true;
    outcome->usage = (struct lithops__usage_record){
        extra->user_us, extra->system_us, extra->peak_start_kb, extra->peak_end_kb, extra->rss_kb,
        extra->vms_kb,  extra->uss_kb,    extra->net_sent,      extra->net_received};
}

/* [L] */
static void write_done(struct lithops__agent_reports *report, const struct lithops__agent_run *run,
                       uint32_t call, uint16_t state)
{
    struct lithops__agent *agent = report->agent;
    struct lithops__area *area = &agent->table.area;
    const struct lithops__range *range = &area->ranges[run->range];
    const struct lithops__record *record = &lithops__range_records(area, range)[call];
    struct lithops__outcome outcome = {
        .activation = run->id, .call = call, .state = (uint8_t)lithops__state_of(state)};
    struct lithops__buffer failure = LITHOPS__BUFFER_INIT, output = LITHOPS__BUFFER_INIT;
    outcome.never_ran = state == LITHOPS__NEVER_RAN;
    if (!outcome.never_ran) {
        const struct lithops__call_extra *extra = lithops__table_extra(area, range, call);
        enum lithops__content content = lithops__record_content(record);
        uint64_t start = lithops__record_start(record), end = record->end;
        outcome.is_cold = record->start_and_content & LITHOPS__CONTENT_COLD;
        outcome.start_ns = start || end ? ns_of(agent, start) : 0;
        outcome.end_ns = start || end ? ns_of(agent, end < start ? start : end) : 0;
        if (extra)
            copy_usage(&outcome, extra);
        if (content == LITHOPS__CONTENT_ERROR)
            carry_failure(report, record, &failure, &outcome.result);
        else if (content > LITHOPS__CONTENT_INLINE)
            carry(report, (uint8_t)content, lithops__payload_bytes(area, record->payload),
                  &outcome.result);
        else
            outcome.result = (struct lithops__carried){
                (uint8_t)content, LITHOPS__CARRIED_VALUE, record->payload, {NULL, 0}};
        if (extra && extra->log_end > extra->log_begin)
            lithops__slotlog_append(&agent->table, lithops__state_worker(state), extra->log_begin,
                                    extra->log_end, &output);
        if (output.len)
            carry(report, LITHOPS__CONTENT_BYTES, (lithops_bytes){output.data, output.len},
                  &outcome.output);
    }
    begin_frame(report);
    lithops__outcome_write(&report->out, &outcome);
    lithops__buffer_deinit(&failure);
    lithops__buffer_deinit(&output);
}

/* [L] Report a call that has not begun, and will not begin here. */
static void write_back(struct lithops__agent_reports *report, const struct lithops__agent_run *run,
                       uint32_t call)
{
    struct lithops__outcome outcome = {
        .activation = run->id, .call = call, .state = LITHOPS__PENDING};
    begin_frame(report);
    lithops__outcome_write(&report->out, &outcome);
}

/* [L] Report a call of an activation that could not be set up. */
static void write_refused(struct lithops__agent_reports *report,
                          const struct lithops__agent_run *run, uint32_t call)
{
    struct lithops__buffer failure = LITHOPS__BUFFER_INIT;
    struct lithops__outcome outcome = {
        .activation = run->id, .call = call, .state = LITHOPS__FAILED};
    lithops__failure_write(&failure, &run->refusal, (lithops_bytes){NULL, 0});
    outcome.result = (struct lithops__carried){
        LITHOPS__CONTENT_ERROR, LITHOPS__CARRIED_BYTES, 0, {failure.data, failure.len}};
    begin_frame(report);
    lithops__outcome_write(&report->out, &outcome);
    lithops__buffer_deinit(&failure);
}

static void write_begun(struct lithops__agent_reports *report, const struct lithops__agent_run *run,
                        uint32_t call)
{
    struct lithops__outcome outcome = {
        .activation = run->id, .call = call, .state = LITHOPS__RUNNING};
    begin_frame(report);
    lithops__outcome_write(&report->out, &outcome);
}

/* ---- looking --------------------------------------------------------------------------------- */

static struct lithops__record *record_of(const struct lithops__agent *agent,
                                         const struct lithops__agent_run *run, uint32_t call)
{
    const struct lithops__area *area = &agent->table.area;
    return &lithops__range_records(area, &area->ranges[run->range])[call];
}

/* [L] The client has no room for its result. */
static bool is_held(const struct lithops__agent *agent, const struct lithops__agent_run *run,
                    uint32_t call)
{
    const struct lithops__record *record = record_of(agent, run, call);
    enum lithops__content content = lithops__record_content(record);
    return call >= run->wanted && content > LITHOPS__CONTENT_INLINE &&
           content < LITHOPS__CONTENT_ERROR && record->payload &&
           lithops__payload_bytes(&agent->table.area, record->payload).len >= agent->hold_bytes;
}

/* [L] It runs in a process that waits for memory. */
static bool lacks_memory(const struct lithops__agent *agent, const struct lithops__agent_run *run,
                         uint32_t call, uint16_t state)
{
    const struct lithops__worker *line =
        &agent->table.area.control->workers[lithops__state_worker(state)];
    return lithops__state_of(state) == LITHOPS__RUNNING && atomic_load(&line->lacks_bytes) &&
           atomic_load(&line->range) == run->range + 1 && atomic_load(&line->current) == call;
}

/* [L] It cannot go on before the client has room. */
static void note_held(struct lithops__agent_reports *report, struct lithops__agent_run *run,
                      uint32_t call)
{
    report->holds = true;
    if (run->reported[call] == LITHOPS__REPORTED_HELD)
        return;
    struct lithops__outcome outcome = {
        .activation = run->id,
        .call = call,
        .state = LITHOPS__RUNNING,
        .result = {LITHOPS__CONTENT_BOOL, LITHOPS__CARRIED_VALUE, 1, {NULL, 0}}};
    begin_frame(report);
    lithops__outcome_write(&report->out, &outcome);
    run->reported[call] = LITHOPS__REPORTED_HELD;
}

/* [L] Whether the result of a call that is done has to stay. */
static bool stays(struct lithops__agent_reports *report, struct lithops__agent_run *run,
                  uint32_t call, uint16_t state)
{
    if (report->agent->hold_bytes == UINT64_MAX || state == LITHOPS__NEVER_RAN ||
        !is_held(report->agent, run, call))
        return false;
    if (report->may_spill) {
        report->may_spill = false;
        return false;
    }
    note_held(report, run, call);
    return true;
}

/* [L] */
static void look_at_call(struct lithops__agent_reports *report, struct lithops__agent_run *run,
                         uint32_t call)
{
    struct lithops__agent *agent = report->agent;
    if (run->reported[call] == LITHOPS__REPORTED_DONE)
        return;
    uint16_t state = 0;
    if (run->range != UINT32_MAX)
        state = atomic_load_explicit(
            &lithops__range_states(&agent->table.area, &agent->table.area.ranges[run->range])[call],
            memory_order_acquire);
    if (run->reported[call] == LITHOPS__REPORTED_BACK) {
        write_back(report, run, call);
    } else if (run->range == UINT32_MAX) {
        write_refused(report, run, call);
    } else if (lithops__state_is_done(state)) {
        if (stays(report, run, call, state))
            return;
        write_done(report, run, call, state);
        if (state != LITHOPS__NEVER_RAN) /* others may have its memory */
            lithops__release_result(&agent->table, record_of(agent, run, call));
    } else {
        bool has_begun = lithops__state_of(state) == LITHOPS__RUNNING;
        report->waits |= !has_begun;
        if (has_begun && run->reported[call] == LITHOPS__REPORTED_NOTHING) {
            write_begun(report, run, call);
            run->reported[call] = LITHOPS__REPORTED_BEGUN;
        }
        if (agent->hold_bytes != UINT64_MAX && lacks_memory(agent, run, call, state)) {
            report->spills |= call < run->wanted;
            note_held(report, run, call);
        }
        return;
    }
    run->reported[call] = LITHOPS__REPORTED_DONE;
    run->left--;
    agent->reported++;
    report->outcomes++;
}

/* [L] */
static void look_at_run(struct lithops__agent_reports *report, struct lithops__agent_run *run)
{
    const struct lithops__agent *agent = report->agent;
    if (run->range != UINT32_MAX) {
        const struct lithops__range *range = &agent->table.area.ranges[run->range];
        uint64_t ps = atomic_load_explicit(&agent->table.area.functions[range->function].average_ps,
                                           memory_order_relaxed);
        if (ps > report->slowest_ps)
            report->slowest_ps = ps;
    }
    for (uint32_t i = run->first; i < run->count; i++) {
        look_at_call(report, run, i);
        if (report->out.len >= SEND_BYTES)
            flush(report);
    }
    while (run->first < run->count && run->reported[run->first] == LITHOPS__REPORTED_DONE)
        run->first++;
}

/* [L] */
static void free_run(struct lithops__agent *agent, struct lithops__agent_run *run)
{
    if (run->range != UINT32_MAX)
        lithops__table_free_range(&agent->table, run->range);
    lithops__agent_free_mirror(agent, run);
    run->job->runs--;
    lithops__agent_drop_job(agent, run->job);
    free(run);
}

/* [L] Look at all activations. Only the reader adds new ones, and only at the end. */
static void look(struct lithops__agent_reports *report)
{
    struct lithops__agent *agent = report->agent;
    report->outcomes = 0;
    report->waits = report->any = report->holds = false;
    report->may_spill = report->spills;
    report->spills = false;
    report->slowest_ps = 0;
    struct lithops__agent_run *before = NULL, *run = agent->runs;
    while (run) {
        look_at_run(report, run);
        struct lithops__agent_run *next = run->next;
        if (run->left == 0) {
            if (before)
                before->next = next;
            else
                agent->runs = next;
            if (agent->last_run == run)
                agent->last_run = before;
            free_run(agent, run);
        } else {
            before = run;
            report->any = true;
        }
        run = next;
    }
    if (agent->granted < agent->reported + window_of(report))
        begin_frame(report); /* credit alone */
    flush(report);
}

/* Results that are held here fill the memory, and processes wait until the client has room again.
 * It is the client who says when that takes too long. */
static void lend_patience(struct lithops__agent *agent)
{
    struct lithops__control *control = agent->table.area.control;
    if (atomic_load(&control->short_since_ns))
        atomic_store(&control->short_since_ns, lithops__now_ns());
}

/* No one who lands calls needs to wake anyone now. */
static void gather(void)
{
    nanosleep(&(struct timespec){0, GATHER_NS}, NULL);
}

void *lithops__agent_report(void *user)
{
    struct lithops__agent *agent = user;
    struct lithops__agent_reports *report = agent->reports;
    struct lithops__control *control = agent->table.area.control;
    unsigned looks = 0; /* looks in vain while calls wait */
    bool closing = false;
    while (!closing) {
        uint32_t seen = lithops__bell_prepare(control);
        pthread_mutex_lock(&report->lock);
        pthread_mutex_lock(&agent->table.lock);
        if (agent->look_again)
            looks = 0;
        agent->look_again = false;
        report->patience_ns = UINT64_MAX;
        look(report);
        closing = agent->is_closing;
        pthread_mutex_unlock(&agent->table.lock);
        uint64_t outcomes = report->outcomes;
        bool any = report->any, holds = report->holds;
        pthread_mutex_unlock(&report->lock);
        if (outcomes >= GATHER_CALLS) {
            looks = 0;
            gather();
        } else if (outcomes == 0 && !closing) {
            uint64_t until = UINT64_MAX;
            if (any && looks < LOOKS)
                until = lithops__now_ns() + ((uint64_t)LOOK_NS << looks++);
            if (holds) {
                uint64_t soon = lithops__now_ns() + LEND_NS;
                lend_patience(agent);
                until = soon < until ? soon : until;
            }
            lithops__bell_wait(control, seen, until);
        } else {
            looks = 0;
        }
    }
    return NULL;
}

/* ---- the reader ------------------------------------------------------------------------------ */

struct lithops__agent_reports *lithops__reports_new(struct lithops__agent *agent)
{
    struct lithops__agent_reports *reports = calloc(1, sizeof *reports);
    if (!reports)
        return NULL;
    reports->agent = agent;
    reports->frame = SIZE_MAX;
    pthread_mutex_init(&reports->lock, NULL);
    return reports;
}

void lithops__reports_free(struct lithops__agent_reports *reports)
{
    if (!reports)
        return;
    pthread_mutex_destroy(&reports->lock);
    lithops__buffer_deinit(&reports->out);
    free(reports);
}

void lithops__agent_begin_watch(struct lithops__agent *agent, const struct lithops__agent_run *run)
{
    struct lithops__area *area = &agent->table.area;
    uint64_t ps = atomic_load_explicit(
        &area->functions[area->ranges[run->range].function].average_ps, memory_order_relaxed);
    if (agent->watches || !area->control->spin_ticks || !agent->pool || ps == 0 ||
        run->count > WATCH_CALLS || run->count * ps > SHORT_US * 1000000ull ||
        pthread_mutex_trylock(&agent->reports->lock) != 0)
        return;
    struct lithops__agent_reports *report = agent->reports;
    if (report->left_out < report->to_leave_out) {
        report->left_out++;
        pthread_mutex_unlock(&report->lock);
        return;
    }
    agent->watches = true;
    atomic_store(&area->control->waiting, 0);
}

static bool is_done(const struct lithops__agent *agent, const struct lithops__agent_run *run)
{
    const struct lithops__area *area = &agent->table.area;
    const lithops__state *states = lithops__range_states(area, &area->ranges[run->range]);
    for (uint32_t i = 0; i < run->count; i++)
        if (!lithops__state_is_done(atomic_load_explicit(&states[i], memory_order_acquire)))
            return false;
    return true;
}

/* What lands after the watch wakes the reporter again, which sleeps all the while. */
bool lithops__agent_end_watch(struct lithops__agent *agent)
{
    struct lithops__agent_reports *report = agent->reports;
    struct lithops__control *control = agent->table.area.control;
    if (!agent->watches)
        return true;
    const struct lithops__agent_run *run =
        agent->last_run; /* the reader's, while it holds the lock */
    uint64_t start = lithops__ticks(), limit = WATCH_US * control->ticks_per_ms / 1000;
    bool done = run->range == UINT32_MAX;
    while (!done && !(done = is_done(agent, run)) && lithops__ticks() - start < limit)
        lithops__pause();
    unsigned more = report->to_leave_out * 2 + 1;
    report->to_leave_out = done ? 0 : more < MOST_LEFT_OUT ? more : MOST_LEFT_OUT;
    report->left_out = 0;
    (void)lithops__bell_prepare(control);
    pthread_mutex_lock(&agent->table.lock);
    report->patience_ns = agent->silent_ns;
    look(report);
    agent->has_news = agent->runs != NULL;
    pthread_mutex_unlock(&agent->table.lock);
    bool is_there = !report->is_stuck;
    agent->watches = false;
    pthread_mutex_unlock(&report->lock);
    return is_there;
}
