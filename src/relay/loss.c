/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that do not end normally: cancelled ones, and those of a lost link. */
#include "base/error.h"
#include "ipc/bell.h"
#include "ipc/settle.h"
#include "relay/link.h"

/* ---- cancelling ------------------------------------------------------------------------------ */

static bool mark_stopped(const struct lithops__area *area, struct lithops__activation *activation)
{
    bool any = false;
    if (!activation->in_use)
        return false;
    const struct lithops__range *range = &area->ranges[activation->range];
    bool whole = atomic_load(&range->canceled);
    _Atomic uint32_t *numbers = range->numbers ? lithops__at(area, range->numbers) : NULL;
    for (uint32_t c = 0; c < activation->count; c++) {
        bool is_stopped = whole || (numbers && atomic_load(&numbers[activation->begin + c]) &
                                                   LITHOPS__NUMBER_STOPPED);
        if (is_stopped && activation->cancels[c] == 0) {
            activation->cancels[c] = LITHOPS__CANCEL_ASKED;
            activation->cancel = any = true;
        }
    }
    return any;
}

void lithops__link_tell_cancels(struct lithops__link *link)
{
    for (uint32_t a = 0; a < link->capacity && link->state == LITHOPS__LINK_READY; a++) {
        struct lithops__activation *activation = &link->activations[a];
        if (!activation->in_use || !activation->cancel)
            continue;
        const struct lithops__range *range = &link->relay->table->area.ranges[activation->range];
        struct lithops__parcel *parcel = lithops__parcel_new();
        if (!parcel)
            return; /* has_cancel goes down, `cancel` stays: with the next one */
        uint16_t flags = atomic_load(&range->canceled) ? LITHOPS__FRAME_WHOLE : 0;
        size_t at = lithops__frame_begin(&parcel->frame, LITHOPS__MESSAGE_CANCEL, flags, a);
        for (uint32_t c = 0; c < activation->count; c++) {
            if (activation->cancels[c] == LITHOPS__CANCEL_ASKED) {
                activation->cancels[c] = LITHOPS__CANCEL_TOLD;
                lithops__buffer_append(&parcel->frame, &c, sizeof c);
            }
        }
        lithops__frame_end(&parcel->frame, at);
        activation->cancel = false;
        lithops__link_send(link, parcel); /* behind the activation, which may not be sent yet */
    }
}

/* Another process may stop calls by marks in the table: see core/inspect.c. */
void lithops__relay_find_stops(struct lithops__relay *relay)
{
    struct lithops__area *area = &relay->table->area;
    uint32_t stops = atomic_load(&area->control->stops);
    if (stops == relay->stops)
        return;
    relay->stops = stops;
    pthread_mutex_lock(&relay->table->lock);
    for (uint32_t i = 0; i < relay->link_count; i++) {
        struct lithops__link *link = &relay->links[i];
        for (uint32_t a = 0; a < link->capacity; a++)
            relay->has_cancel |= mark_stopped(area, &link->activations[a]);
    }
    pthread_mutex_unlock(&relay->table->lock);
}

/* ---- loss ------------------------------------------------------------------------------------ */

/* [L] Settle a call that was on a lost link. */
static void settle_lost(struct lithops__link *link, const struct lithops__activation *activation,
                        uint32_t call, const lithops_error *why)
{
    struct lithops__table *table = link->relay->table;
    struct lithops__range *range = &table->area.ranges[activation->range];
    uint64_t index = activation->begin + call;
    lithops__state *state = &lithops__range_states(&table->area, range)[index];
    uint16_t running = lithops__state_make(LITHOPS__RUNNING, link->worker);
    unsigned char marks = activation->marks[call];
    struct lithops__settlement lost = {.error = LITHOPS_ERROR_INIT};
    if (atomic_load(state) != running)
        return;
    if (why->code == LITHOPS_ECANCELED || activation->cancels[call]) {
        lithops__fail(&lost.error, LITHOPS_ECANCELED, "the call was cancelled");
    } else if (!(marks & LITHOPS__MARK_BEGUN)) {
        atomic_store(state, LITHOPS__PENDING); /* and is offered with the others */
        return;
    } else {
        lost.error = *why;
        lost.error.code = LITHOPS_ECRASH;
        if (lithops__settle_try_again(table, activation->range, index, running, &lost.error))
            return;
    }
    (void)lithops__table_settle(table, activation->range, index, running, &lost);
}

void lithops__link_settle_all(struct lithops__link *link, const lithops_error *why)
{
    struct lithops__table *table = link->relay->table;
    pthread_mutex_lock(&table->lock);
    lithops__table_set_processes(table, link->worker, 0);
    for (uint32_t a = 0; a < link->capacity; a++) {
        struct lithops__activation *activation = &link->activations[a];
        if (!activation->in_use)
            continue;
        for (uint32_t c = 0; c < activation->count; c++)
            if (!(activation->marks[c] & LITHOPS__MARK_DONE))
                settle_lost(link, activation, c, why);
        lithops__settle_offer_rest(table, activation->range, activation->begin,
                                   activation->begin + activation->count);
        lithops__table_kick_dependents(table, activation->range);
        lithops__link_free_activation(link, activation);
    }
    pthread_mutex_unlock(&table->lock);
    lithops__bell_landed(table->area.control);
}
