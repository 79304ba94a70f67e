/* SPDX-License-Identifier: Apache-2.0 */
/* Results that came and find no room in shared memory: they are parked in memory of the client's
 * own until results are given back, and the link goes on.
 *
 * What is parked is little. The worker is told to hold further results of this size and larger;
 * they fill its own shared memory, and then its processes wait, as on localhost. So only what was
 * on its way is parked. Once nothing of the link is, the worker sends again.
 *
 * The rules of who has memory, and for how long one waits for it, are those of worker/room.c. An
 * older call may be among those that are held: its worker is asked for it. All of it is the relay's
 * thread's. */
#include "base/clock.h"
#include "base/error.h"
#include "ipc/bell.h"
#include "ipc/take.h"
#include "relay/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- order ----------------------------------------------------------------------------------- */

/* Where a call stands: jobs in the order of their start, and calls by index. */
struct age {
    uint64_t submit_ticks, index;
};

static struct age age_of(const struct lithops__relay *relay,
                         const struct lithops__activation *activation, uint32_t call)
{
    const struct lithops__range *range = &relay->table->area.ranges[activation->range];
    return (struct age){range->submit_ticks, activation->begin + call};
}

static bool is_older(struct age a, struct age b)
{
    return a.submit_ticks != b.submit_ticks ? a.submit_ticks < b.submit_ticks : a.index < b.index;
}

static const struct lithops__activation *activation_of(const struct lithops__parked *parked)
{
    return &parked->link->activations[parked->outcome.activation];
}

static struct age age_of_parked(const struct lithops__parked *parked)
{
    return age_of(parked->link->relay, activation_of(parked), parked->outcome.call);
}

/* The first call of the activation that no result has come of; `count`: there is none. */
static uint32_t first_open(const struct lithops__activation *activation)
{
    uint32_t call = 0;
    while (call < activation->count &&
           activation->marks[call] & (LITHOPS__MARK_DONE | LITHOPS__MARK_PARKED))
        call++;
    return call;
}

/* The oldest call on a link that no result has come of. False: there is none. */
static bool oldest_open(const struct lithops__link *link, struct age *ret_age,
                        uint32_t *ret_activation)
{
    bool any = false;
    for (uint32_t a = 0; a < link->capacity; a++) {
        const struct lithops__activation *activation = &link->activations[a];
        uint32_t call = activation->in_use ? first_open(activation) : 0;
        if (!activation->in_use || call == activation->count)
            continue;
        struct age age = age_of(link->relay, activation, call);
        if (any && !is_older(age, *ret_age))
            continue;
        *ret_age = age;
        *ret_activation = a;
        any = true;
    }
    return any;
}

static bool is_older_open(const struct lithops__relay *relay, struct age than)
{
    for (uint32_t i = 0; i < relay->link_count; i++) {
        struct age age;
        uint32_t activation;
        if (oldest_open(&relay->links[i], &age, &activation) && is_older(age, than))
            return true;
    }
    return false;
}

/* ---- room ------------------------------------------------------------------------------------ */

/* An older call is parked that lacks no more. */
static bool has_to_wait(const struct lithops__relay *relay, struct age age, uint64_t len)
{
    for (const struct lithops__parked *parked = relay->parked; parked; parked = parked->next)
        if (parked->bytes <= len && is_older(age_of_parked(parked), age))
            return true;
    return false;
}

lithops__offset lithops__link_room(struct lithops__link *link,
                                   const struct lithops__activation *activation, uint32_t call,
                                   uint64_t len, bool impatient)
{
    struct lithops__relay *relay = link->relay;
    struct lithops__region *region = &link->region;
    if (!relay->parked && !lithops__region_is_scarce(region, len))
        return lithops__region_alloc(region, len);
    const struct lithops__range *range = &relay->table->area.ranges[activation->range];
    struct age age = age_of(relay, activation, call);
    bool next = lithops__take_is_next(range, age.index);
    if (!next && has_to_wait(relay, age, len))
        return 0;
    bool leave =
        !impatient && lithops__take_is_ahead(range, age.index) && is_older_open(relay, age);
    if (leave && !lithops__region_has_room(region, len, 2))
        return 0;
    lithops__offset room = lithops__region_alloc(region, len);
    if (room && activation->marks[call] & LITHOPS__MARK_PARKED)
        lithops__bell_got_memory(relay->table->area.control);
    return room;
}

/* ---- telling workers ------------------------------------------------------------------------- */

static void tell(struct lithops__link *link, uint16_t type, uint32_t stream, const void *ptr,
                 size_t len)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__parcel *parcel = lithops__parcel_new();
    if (!parcel || lithops__frame_write(&parcel->frame, type, stream, NULL,
                                        (lithops_bytes){ptr, len}, &err) != 0)
        lithops__link_break(link, ENOMEM, "no memory for what is sent");
    if (parcel)
        lithops__link_send(link, parcel);
}

/* What it is to hold follows from what is parked. */
static void tell_hold(struct lithops__link *link)
{
    uint64_t least = UINT64_MAX;
    for (const struct lithops__parked *parked = link->relay->parked; parked; parked = parked->next)
        if (parked->link == link && parked->bytes < least)
            least = parked->bytes;
    if (least == link->held_bytes || link->state != LITHOPS__LINK_READY)
        return;
    link->held_bytes = least;
    tell(link, LITHOPS__MESSAGE_HOLD, 0, &least, sizeof least);
}

/* It may hold the result of a call that is before what is parked anywhere. */
static void tell_want(struct lithops__link *link, struct age parked)
{
    struct age age;
    uint32_t at;
    if (link->held_bytes == UINT64_MAX || link->state != LITHOPS__LINK_READY ||
        !oldest_open(link, &age, &at) || !is_older(age, parked))
        return;
    struct lithops__activation *activation = &link->activations[at];
    uint32_t call = (uint32_t)(age.index - activation->begin);
    if (activation->wanted > call)
        return;
    activation->wanted = call + 1;
    tell(link, LITHOPS__MESSAGE_WANT, at, &call, sizeof call);
}

void lithops__relay_tell_parked(struct lithops__relay *relay)
{
    for (uint32_t i = 0; i < relay->link_count; i++)
        tell_hold(&relay->links[i]);
    for (uint32_t i = 0; relay->parked && i < relay->link_count; i++)
        tell_want(&relay->links[i], age_of_parked(relay->parked));
}

/* ---- parking --------------------------------------------------------------------------------- */

static void *copy(void *to, lithops_bytes *bytes)
{
    if (bytes->len)
        memcpy(to, bytes->ptr, bytes->len);
    bytes->ptr = to;
    return (char *)to + bytes->len;
}

int lithops__link_park(struct lithops__link *link, const struct lithops__outcome *outcome,
                       uint64_t bytes, lithops_error *err)
{
    struct lithops__relay *relay = link->relay;
    struct lithops__parked *parked =
        malloc(sizeof *parked + outcome->result.bytes.len + outcome->output.bytes.len);
    if (!parked)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    *parked = (struct lithops__parked){.link = link, .outcome = *outcome, .bytes = bytes};
    (void)copy(copy(parked + 1, &parked->outcome.result.bytes), &parked->outcome.output.bytes);
    struct lithops__parked **at = &relay->parked;
    while (*at && is_older(age_of_parked(*at), age_of_parked(parked)))
        at = &(*at)->next;
    parked->next = *at;
    *at = parked;
    link->activations[outcome->activation].marks[outcome->call] |=
        LITHOPS__MARK_PARKED | LITHOPS__MARK_BEGUN;
    atomic_fetch_add(&relay->table->area.control->lacking, 1);
    (void)lithops__bell_want_memory(relay->table->area.control);
    tell_hold(link);
    return 0;
}
