/* SPDX-License-Identifier: Apache-2.0 */
/* Room for results where shared memory is short.
 *
 * Workers run ahead of the reader: a stream of results larger than shared memory works if a
 * worker that finds no room waits until results were taken. It holds no lock meanwhile; its call
 * runs, for timeouts and cancellation; others take the calls of its claim.
 *
 * It does not wait for ever, since results that nobody gives back may be all there is: at most 60 s
 * without any memory coming back, 5 s where that cannot be expected: nobody takes a result while he
 * waits for all of them, a reducer waits for those that it reads, and a reader for results of calls
 * that all wait for him. Who comes later, with still nothing given back, does not wait once more.
 *
 * A reader who takes results in order waits for the oldest call, and must find its result even if
 * later calls were faster. So memory goes to older calls first, unless a smaller result fits; and a
 * call leaves room for one more result of its size while an older one runs that may come to need
 * it. It need not if the reader waits for it or for any call, since then he takes what there is. */
#include "worker/room.h"

#include "base/clock.h"
#include "ipc/area.h"
#include "ipc/bell.h"
#include "ipc/region.h"
#include "ipc/take.h"
#include "worker/call.h"
#include "worker/process.h"

enum {
    LOOK_MS = 100,
    LOOKS = 5, /* in a row: a process may be between two calls once */
};

static bool is_awaited(const lithops_call *call)
{
    return lithops__take_is_awaited(call->range, call->index);
}

/* The client waits, and no other call runs that could end. */
static bool all_lack_memory(const struct lithops__control *control)
{
    if (atomic_load(&control->waiters) == 0)
        return false;
    for (uint32_t w = 0; w < control->max_workers; w++)
        if (atomic_load(&control->workers[w].range) &&
            !atomic_load(&control->workers[w].lacks_bytes))
            return false;
    return true;
}

/* When to give up; 0: now. */
static uint64_t patience_until(const lithops_call *call, int *looks)
{
    const struct lithops__control *control = call->process->area.control;
    uint64_t now_ns = lithops__now_ns();
    *looks = all_lack_memory(control) ? *looks + 1 : 0;
    bool little = is_awaited(call) || *looks >= LOOKS;
    uint64_t until_ns = lithops__bell_patience_until(control, little, now_ns);
    if (until_ns <= now_ns || atomic_load(&control->shutdown) || !atomic_load(call->process->alive))
        return 0;
    return lithops__earlier(until_ns, now_ns + LOOK_MS * 1000000ull);
}

/* ---- whose turn it is ------------------------------------------------------------------------ */

/* The call that runs in `line` is one before `call`. (Both may change any time: a guess.) */
static bool is_older(const struct lithops__area *area, const struct lithops__worker *line,
                     const lithops_call *call)
{
    uint32_t id = atomic_load(&line->range);
    if (id == 0 || line == call->process->line || atomic_load(&line->busy_since) == 0)
        return false;
    const struct lithops__range *range = &area->ranges[id - 1];
    if (range == call->range)
        return atomic_load(&line->current) < call->index;
    return range->submit_ticks < call->range->submit_ticks;
}

enum turn { FIRST, LEAVE_ROOM, WAIT };

static enum turn turn_of(const lithops_call *call, uint64_t len)
{
    const struct lithops__area *area = &call->process->area;
    const struct lithops__control *control = area->control;
    enum turn turn = FIRST;
    for (uint32_t w = 0; w < control->max_workers; w++) {
        const struct lithops__worker *line = &control->workers[w];
        if (!is_older(area, line, call))
            continue;
        uint64_t lacks = atomic_load(&line->lacks_bytes);
        if (lacks && lacks <= len)
            turn = WAIT;
        else if (!lacks && turn == FIRST)
            turn = LEAVE_ROOM;
    }
    if (turn == WAIT)
        return lithops__take_is_next(call->range, call->index) ? FIRST : WAIT;
    if (turn == LEAVE_ROOM && !lithops__take_is_ahead(call->range, call->index))
        return FIRST;
    return turn;
}

/* Memory for a result, if it is the call's turn.
 * @param impatient  the last look: room for others need not be left */
static lithops__offset look_for_room(const lithops_call *call, uint64_t len, bool impatient)
{
    struct lithops__region *region = &call->process->region;
    if (!lithops__region_is_scarce(region, len))
        return lithops__region_alloc(region, len);
    enum turn turn = turn_of(call, len);
    bool leave = turn == LEAVE_ROOM && !impatient;
    if (turn == WAIT || (leave && !lithops__region_has_room(region, len, 2)))
        return 0;
    lithops__offset room = lithops__region_alloc(region, len);
    if (room && leave && !lithops__region_has_room(region, len, 1)) { /* two at the same moment */
        lithops__region_undo(region, room);
        return 0;
    }
    return room;
}

static lithops__offset await_room(lithops_call *call, uint64_t len)
{
    struct lithops__control *control = call->process->area.control;
    for (int looks = 0;;) {
        uint32_t seen = lithops__bell_want_memory(control);
        lithops__offset room = look_for_room(call, len, false);
        if (room) {
            lithops__bell_got_memory(control);
            return room;
        }
        uint64_t until_ns = patience_until(call, &looks);
        if (until_ns == 0)
            return look_for_room(call, len, true);
        lithops__bell_await_memory(control, seen, until_ns);
    }
}

lithops__offset lithops__call_room(lithops_call *call, uint64_t len)
{
    struct lithops__worker_process *process = call->process;
    struct lithops__control *control = process->area.control;
    lithops__offset room = look_for_room(call, len, false);
    if (room || !lithops__region_could_hold(&process->region, len))
        return room;
    atomic_store(&process->line->lacks_bytes, len);
    atomic_fetch_add(&control->lacking, 1);
    lithops__bell_wake_one(control); /* for what is left of the claim */
    room = await_room(call, len);
    atomic_store(&process->line->lacks_bytes, 0);
    atomic_fetch_sub(&control->lacking, 1);
    if (room)
        lithops__bell_wake_for_memory(control); /* those behind it: there may be more */
    return room;
}
