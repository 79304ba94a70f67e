/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges in the client.
 *
 * Freeing is in two steps. First the generation becomes odd: no worker can enter the range any
 * more. Then it waits in `retired` until the ring has moved past its spans and no worker announces
 * it; only then is its memory reused. */
#include "ipc/table.h"

#include "base/clock.h"
#include "base/error.h"
#include "function/code.h"
#include "ipc/bell.h"
#include "ipc/call_error.h"
#include "ipc/queue.h"
#include "ipc/region.h"
#include "ipc/release.h"
#include "ipc/slotlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECLAIM_AT_MOST = 64,   /* ranges that are looked at again whenever one is made */
    SWEEP_BYTES = 32 << 20, /* of new inputs are worth a look at all ranges */
    HEAP_STOCK = 8 << 20,   /* free memory that stays for what comes next */
    REGION_STOCK = 16 << 20,
    MANY_INPUTS = 8 << 20, /* are looked after when they may be used up */
    LOOK_AGAIN_NS = 1000000000,
    TRIM_SPANS = 8192, /* 256 KiB of the ring */
};

int lithops__table_open(struct lithops__table *table, const char *executor_id, uint32_t max_workers,
                        uint64_t memory_limit, lithops_error *err)
{
    memset(table, 0, sizeof *table);
    int rc = lithops__area_create(&table->area, executor_id, max_workers, memory_limit, err);
    if (rc != 0)
        return rc;
    pthread_mutex_init(&table->lock, NULL);
    lithops__meter_init(&table->meter);
    pthread_cond_init(&table->service_left, NULL);
    lithops__heap_init(&table->heap, &table->area);
    return 0;
}

void lithops__table_name_memory(struct lithops__table *table, const char *key)
{
    struct lithops__control *control = table->area.control;
    snprintf(control->memory_key, sizeof control->memory_key, "%s", key);
}

int lithops__table_name_worker(struct lithops__table *table, uint32_t slot, const char *name,
                               lithops_error *err)
{
    if (!table->workers)
        table->workers = calloc(table->area.control->max_workers, sizeof *table->workers);
    if (!table->workers)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    snprintf(table->workers[slot].name, sizeof table->workers[slot].name, "%s", name);
    return 0;
}

void lithops__table_set_processes(struct lithops__table *table, uint32_t slot, uint32_t processes)
{
    if (table->workers)
        table->workers[slot].processes = processes;
}

const char *lithops__table_worker_name(const struct lithops__table *table, uint32_t slot)
{
    bool is_named = table->workers && slot < table->area.control->max_workers;
    return is_named ? table->workers[slot].name : NULL;
}

uint32_t lithops__table_workers(struct lithops__table *table, uint32_t *ret_processes)
{
    uint32_t count = 0, processes = 0;
    pthread_mutex_lock(&table->lock);
    for (uint32_t i = 0; table->workers && i < table->area.control->max_workers; i++) {
        count += table->workers[i].processes > 0;
        processes += table->workers[i].processes;
    }
    pthread_mutex_unlock(&table->lock);
    *ret_processes = processes;
    return count;
}

void lithops__table_close(struct lithops__table *table)
{
    free(table->workers);
    lithops__slotlogs_close(table);
    lithops__heap_deinit(&table->heap);
    free(table->ranges);
    free(table->free_ids);
    free(table->retired);
    free(table->function_uses);
    free(table->free_functions);
    pthread_cond_destroy(&table->service_left);
    lithops__meter_deinit(&table->meter);
    pthread_mutex_destroy(&table->lock);
    lithops__area_detach(&table->area);
}

/* There is room for every id in each of the lists, so that freeing needs no memory. */
static bool make_room(uint32_t **ids, size_t capacity)
{
    uint32_t *more = realloc(*ids, capacity * sizeof *more);
    if (more)
        *ids = more;
    return more != NULL;
}

/* One range fewer uses the function. All but code stays: it is small, and will be used again. */
static void release_function(struct lithops__table *table, uint32_t index)
{
    struct lithops__function_slot *slot = &table->area.functions[index];
    if (--table->function_uses[index] > 0 || slot->code_id == 0)
        return;
    lithops__heap_free(&table->heap, slot->code);
    lithops__heap_free(&table->heap, slot->symbol);
    slot->code_id = 0;
    slot->symbol = 0;
    table->free_functions[table->free_function_count++] = index;
}

size_t lithops__table_reclaim(struct lithops__table *table)
{
    size_t kept = 0, looked_at = 0;
    if (table->retired_count)
        lithops__queue_advance(&table->area);
    for (size_t i = 0; i < table->retired_count; i++) {
        uint32_t id = table->retired[i];
        uint64_t last = table->ranges[id].last_position;
        if (!lithops__queue_is_past(&table->area, id, last)) {
            table->retired[kept++] = id;
            looked_at += atomic_load(&table->area.control->head) > last;
            continue;
        }
        lithops__release_range(table, &table->area.ranges[id]);
        release_function(table, table->area.ranges[id].function);
        table->free_ids[table->free_count++] = id;
    }
    if (kept < table->retired_count)
        lithops__release_note(table, 0);
    table->retired_count = kept;
    return looked_at;
}

void lithops__table_free_range(struct lithops__table *table, uint32_t range)
{
    lithops__table_close_open(table, range);
    if ((atomic_load(&table->area.ranges[range].generation) & 1) == 0) /* it was published */
        atomic_fetch_add(&table->area.ranges[range].generation, 1);
    table->retired[table->retired_count++] = range;
    (void)lithops__table_reclaim(table);
    if (table->freed)
        table->freed(table->wake_user, range);
}

/* An id that is free, or a new one. */
static int take_id(struct lithops__table *table, uint32_t *ret_id, lithops_error *err)
{
    struct lithops__control *control = table->area.control;
    if (table->retired_count && (table->free_count == 0 || table->retired_count < RECLAIM_AT_MOST))
        (void)lithops__table_reclaim(table);
    if (table->free_count > 0) {
        *ret_id = table->free_ids[--table->free_count];
        return 0;
    }
    uint64_t high = atomic_load(&control->ranges_high);
    if (high == LITHOPS__MAX_RANGES)
        return lithops__fail(err, LITHOPS_ENOSPACE, "a million jobs are open: clean some");
    if (high == table->ranges_capacity) {
        size_t capacity = high ? high * 2 : 64;
        struct lithops__table_range *more = realloc(table->ranges, capacity * sizeof *more);
        if (more)
            table->ranges = more;
        if (!more || !make_room(&table->free_ids, capacity) ||
            !make_room(&table->retired, capacity))
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        table->ranges_capacity = capacity;
    }
    *ret_id = (uint32_t)high;
    atomic_store(&table->area.ranges[high].generation, 1); /* free */
    atomic_store(&control->ranges_high, high + 1);
    return 0;
}

int lithops__table_new_range(struct lithops__table *table, uint32_t function, uint64_t count,
                             uint64_t capacity, unsigned first_state,
                             const struct lithops__job_name *name, uint32_t *ret_range,
                             lithops_error *err)
{
    uint32_t id = 0;
    table->function_uses[function]++;
    int rc = take_id(table, &id, err);
    if (rc != 0) {
        release_function(table, function);
        return rc;
    }
    uint64_t per_call = sizeof(struct lithops__record) + sizeof(uint32_t) + sizeof(lithops__state);
    lithops__offset block = 0;
    if (capacity <= table->area.control->heap_bytes / per_call) /* more may overflow */
        block = lithops__table_alloc(table, capacity * per_call);
    if (!block) {
        table->free_ids[table->free_count++] = id;
        release_function(table, function);
        return lithops__fail(err, LITHOPS_ENOSPACE,
                             "no shared memory left for %llu calls: release or clean results, or "
                             "raise %s",
                             (unsigned long long)capacity, table->area.control->memory_key);
    }
    struct lithops__range *range = &table->area.ranges[id];
    memset((char *)range + sizeof range->generation, 0, sizeof *range - sizeof range->generation);
    range->function = function;
    range->capacity = capacity;
    atomic_store(&range->count, count);
    range->records = block;
    range->extras = block + capacity * sizeof(struct lithops__record);
    range->states = range->extras + capacity * sizeof(uint32_t);
    range->submit_ticks = lithops__ticks();
    snprintf(range->executor_id, sizeof range->executor_id, "%s", name->executor_id);
    range->job_kind = name->kind;
    range->job_number = name->number;
    range->first_id = name->first_id;
    uint16_t first = lithops__state_make(first_state, 0);
    if (first == 0)
        memset(lithops__at(&table->area, range->states), 0, capacity * sizeof first);
    else
        for (uint64_t i = 0; i < capacity; i++)
            atomic_init(&lithops__range_states(&table->area, range)[i], first);
    table->ranges[id] = (struct lithops__table_range){UINT64_MAX, UINT64_MAX, 0};
    *ret_range = id;
    return 0;
}

void lithops__table_publish_range(struct lithops__table *table, uint32_t range)
{
    atomic_fetch_add(&table->area.ranges[range].generation, 1);
}

static int offer(struct lithops__table *table, uint32_t range, uint64_t begin, uint64_t end,
                 bool open, lithops_error *err)
{
    uint64_t position = lithops__queue_push(&table->area, range, begin, end, open);
    if (position % TRIM_SPANS == 0)
        table->ring_trimmed = lithops__queue_trim(&table->area, table->ring_trimmed);
    if (position == UINT64_MAX)
        return lithops__fail(err, LITHOPS_ENOSPACE,
                             "a million jobs are waiting to run: wait for "
                             "some of them");
    table->ranges[range].last_position = position;
    if (open)
        table->ranges[range].open_position = position;
    return 0;
}

int lithops__table_offer(struct lithops__table *table, uint32_t range, uint64_t begin, uint64_t end,
                         lithops_error *err)
{
    return begin < end ? offer(table, range, begin, end, false, err) : 0;
}

int lithops__table_offer_open(struct lithops__table *table, uint32_t range, lithops_error *err)
{
    return offer(table, range, 0, 0, true, err);
}

void lithops__table_close_open(struct lithops__table *table, uint32_t range)
{
    if (table->ranges[range].open_position != UINT64_MAX)
        lithops__queue_close_span(&table->area, table->ranges[range].open_position);
    table->ranges[range].open_position = UINT64_MAX;
}

/* The gates of reducers are looked at as long as the range is there. */
static bool is_sweepable(const struct lithops__range *range)
{
    return (atomic_load(&range->generation) & 1) == 0 && range->job_kind != 'R' && range->inputs;
}

static bool all_done(const lithops__state *states, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (!lithops__state_is_done(atomic_load_explicit(&states[i], memory_order_acquire)))
            return false;
    return true;
}

/* True: no input is left. */
static bool sweep_slots(struct lithops__table *table, const struct lithops__range *range,
                        uint64_t *swept)
{
    const lithops__state *states = lithops__range_states(&table->area, range);
    struct lithops__slot *slots = lithops__at(&table->area, range->inputs);
    uint64_t count = atomic_load(&range->count);
    for (uint64_t i = *swept; i < count; i++) {
        if (!lithops__state_is_done(atomic_load_explicit(&states[i], memory_order_acquire)))
            continue;
        if (slots[i].content > LITHOPS__CONTENT_INLINE)
            lithops__heap_free(&table->heap, slots[i].payload);
        slots[i] = (struct lithops__slot){.content = LITHOPS__CONTENT_GONE};
        *swept += *swept == i;
    }
    return *swept == count;
}

bool lithops__table_sweep_inputs(struct lithops__table *table)
{
    bool all = true;
    const struct lithops__area *area = &table->area;
    uint64_t high = atomic_load(&area->control->ranges_high);
    table->unswept_bytes = 0;
    for (uint64_t id = 0; id < high; id++) {
        struct lithops__range *range = &area->ranges[id];
        if (!is_sweepable(range)) {
            continue;
        } else if (range->input_kind == LITHOPS__INPUT_SLOTS) {
            all &= sweep_slots(table, range, &table->ranges[id].swept);
        } else if (all_done(lithops__range_states(area, range), atomic_load(&range->count))) {
            lithops__heap_free(&table->heap, range->inputs);
            range->inputs = 0;
        } else {
            all = false;
        }
    }
    lithops__release_note(table, 0);
    return all;
}

void lithops__table_trim(struct lithops__table *table)
{
    (void)lithops__table_reclaim(table);
    bool had_inputs = table->unswept_bytes > 0;
    bool swept = lithops__table_sweep_inputs(table);
    table->freed_bytes = 0;
    table->trim_ns = had_inputs && !swept ? lithops__now_ns() + LOOK_AGAIN_NS : 0;
    table->unswept_bytes = table->trim_ns != 0;
    lithops__heap_trim(&table->heap, HEAP_STOCK);
    lithops__regions_trim(&table->area, REGION_STOCK);
}

void lithops__table_look_later(struct lithops__table *table, uint64_t delay_ns)
{
    uint64_t at_ns = lithops__now_ns() + delay_ns;
    if (table->look_ns && table->look_ns <= at_ns)
        return;
    table->look_ns = at_ns;
    if (table->wake)
        table->wake(table->wake_user);
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns - 1 < b_ns - 1 ? a_ns : b_ns; /* 0: never */
}

uint64_t lithops__table_tend(struct lithops__table *table)
{
    if (table->look_ns && lithops__now_ns() >= table->look_ns) {
        table->look_ns = 0;
        pthread_mutex_unlock(&table->lock);
        table->look(table->look_user);
        pthread_mutex_lock(&table->lock);
    }
    if (table->trim_ns && lithops__now_ns() >= table->trim_ns)
        lithops__table_trim(table);
    uint64_t next_ns = earlier(table->look_ns, table->trim_ns);
    return next_ns ? next_ns : UINT64_MAX;
}

lithops__offset lithops__table_alloc(struct lithops__table *table, uint64_t len)
{
    lithops__offset offset = lithops__heap_alloc(&table->heap, len);
    if (!offset) {
        (void)lithops__table_sweep_inputs(table);
        offset = lithops__heap_alloc(&table->heap, len);
    }
    return offset;
}

lithops__offset lithops__table_alloc_input(struct lithops__table *table, uint64_t len)
{
    table->unswept_bytes += len;
    if (table->unswept_bytes >= SWEEP_BYTES)
        (void)lithops__table_sweep_inputs(table);
    else if (table->unswept_bytes >= MANY_INPUTS && table->trim_ns == 0)
        lithops__release_later(table);
    return lithops__table_alloc(table, len);
}

lithops__offset lithops__table_store(struct lithops__table *table, const void *ptr, size_t len)
{
    lithops__offset offset = lithops__table_alloc(table, len);
    if (offset && len)
        memcpy(lithops__at(&table->area, offset), ptr, len);
    return offset;
}

static void settle_record(struct lithops__table *table, struct lithops__range *range,
                          uint64_t index, const struct lithops__settlement *settlement)
{
    const lithops_error *error = &settlement->error;
    struct lithops__record *record = &lithops__range_records(&table->area, range)[index];
    enum lithops__content content = LITHOPS__CONTENT_NULL;
    record->payload = 0;
    if (error->code != LITHOPS_ECANCELED) {
        content = LITHOPS__CONTENT_ERROR;
        record->payload =
            lithops__heap_alloc(&table->heap, lithops__call_error_size(error, settlement->data));
        if (record->payload)
            lithops__call_error_write(lithops__at(&table->area, record->payload), error,
                                      settlement->data);
    }
    record->start_and_content = settlement->start << 8 | content;
    record->end = settlement->start ? lithops__ticks() - table->area.control->epoch_ticks : 0;
    lithops__range_extras(&table->area, range)[index] =
        lithops__table_store_extra(table, settlement->extra);
    if (record->payload || settlement->extra)
        atomic_store_explicit(&range->has_blocks, 1, memory_order_relaxed);
}

bool lithops__table_settle(struct lithops__table *table, uint32_t range_id, uint64_t index,
                           uint16_t from, const struct lithops__settlement *settlement)
{
    struct lithops__range *range = &table->area.ranges[range_id];
    lithops__state *state = &lithops__range_states(&table->area, range)[index];
    bool canceled = settlement->error.code == LITHOPS_ECANCELED;
    struct lithops__settlement stopped;
    if (canceled && table->stop && lithops__state_of(from) == LITHOPS__RUNNING) {
        stopped = *settlement;
        stopped.error = *table->stop;
        settlement = &stopped;
        canceled = false;
    }
    unsigned what = canceled ? LITHOPS__CANCELED : LITHOPS__FAILED, worker = LITHOPS__NO_WORKER;
    atomic_fetch_add(&range->failed, 1); /* before the state says so; too many do no harm */
    atomic_store(&range->recount, 1);
    if (lithops__state_of(from) == LITHOPS__RUNNING) {
        if (atomic_load(state) != from) /* the worker is dead: only this thread changes it */
            return false;
        worker = lithops__state_worker(from);
        settle_record(table, range, index, settlement);
        atomic_store(state, lithops__state_make(what, worker));
    } else if (canceled) {
        if (!atomic_compare_exchange_strong(state, &from, lithops__state_make(what, worker)))
            return false; /* nobody reads the record of a call that never ran */
    } else {
        uint16_t mine = lithops__state_make(LITHOPS__RUNNING, LITHOPS__NO_WORKER);
        if (!atomic_compare_exchange_strong(state, &from, mine))
            return false;
        settle_record(table, range, index, settlement);
        atomic_store(state, lithops__state_make(what, worker));
    }
    return true;
}

void lithops__table_kick_dependents(struct lithops__table *table, uint32_t range)
{
    uint32_t dependents = table->area.ranges[range].dependents;
    if (dependents == 0 || atomic_load(&table->area.ranges[dependents - 1].generation) !=
                               table->area.ranges[range].dependents_generation)
        return;
    uint64_t count = atomic_load(&table->area.ranges[dependents - 1].count);
    (void)lithops__table_offer(table, dependents - 1, 0, count, NULL);
    lithops__bell_ring(table->area.control);
}

static bool same_string(const struct lithops__area *area, lithops__offset offset, const char *s)
{
    if (!offset || !s)
        return !offset && !s;
    return strcmp(lithops__at(area, offset), s) == 0;
}

static lithops__offset store_string(struct lithops__table *table, const char *s)
{
    return s ? lithops__table_store(table, s, strlen(s) + 1) : 0;
}

/* Code is found by its number alone. */
static bool is_code(const struct lithops__table *table, uint64_t index,
                    const struct lithops_function_code *code)
{
    return index < table->function_count && table->area.functions[index].code_id == code->id;
}

bool lithops__table_is_function(const struct lithops__table *table, uint32_t index,
                                const lithops_function *function)
{
    const struct lithops__area *area = &table->area;
    const struct lithops__function_slot *slot = &area->functions[index];
    if (function->code)
        return is_code(table, index, function->code);
    return slot->code_id == 0 && same_string(area, slot->symbol, function->symbol) &&
           same_string(area, slot->library, function->library) &&
           same_string(area, slot->signature, function->signature);
}

/* Most code is entered once and then found by the hint. It is searched for when several executors
 * use it in turns. */
static bool find_code(const struct lithops__table *table, struct lithops_function_code *code,
                      uint32_t *ret_index)
{
    size_t hint = atomic_load_explicit(&code->hint, memory_order_relaxed);
    uint64_t index = hint;
    if (hint == SIZE_MAX)
        return false;
    if (!is_code(table, index, code))
        for (index = 0; index < table->function_count && !is_code(table, index, code);)
            index++;
    *ret_index = (uint32_t)index;
    return index < table->function_count;
}

/* A slot that is free, or a new one. */
static int take_function(struct lithops__table *table, uint32_t *ret_index, lithops_error *err)
{
    if (table->free_function_count > 0) {
        *ret_index = table->free_functions[--table->free_function_count];
        return 0;
    }
    if (table->function_count == LITHOPS__MAX_FUNCTIONS)
        return lithops__fail(err, LITHOPS_ENOSPACE,
                             "the jobs of an executor call at most %d different functions: clean "
                             "some",
                             LITHOPS__MAX_FUNCTIONS);
    if (table->function_count == table->function_capacity) {
        size_t capacity = table->function_capacity ? table->function_capacity * 2 : 16;
        if (!make_room(&table->function_uses, capacity) ||
            !make_room(&table->free_functions, capacity))
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        table->function_capacity = capacity;
    }
    *ret_index = table->function_count++;
    return 0;
}

static int enter_function(struct lithops__table *table, const lithops_function *function,
                          uint32_t index, lithops_error *err)
{
    struct lithops__function_slot *slot = &table->area.functions[index];
    table->function_uses[index] = 0;
    memset(slot, 0, sizeof *slot);
    snprintf(slot->name, sizeof slot->name, "%s", function->name);
    slot->library = store_string(table, function->library);
    slot->symbol = store_string(table, function->symbol);
    slot->signature = store_string(table, function->signature);
    if (function->code) {
        slot->code = lithops__table_store(table, function->code->bytes, function->code->len);
        slot->code_len = function->code->len;
    }
    if (slot->symbol && (!function->library || slot->library) &&
        (!function->signature || slot->signature) && (!function->code || slot->code)) {
        if (function->code)
            slot->code_id = function->code->id;
        return 0;
    }
    lithops__heap_free(&table->heap, slot->library);
    lithops__heap_free(&table->heap, slot->symbol);
    lithops__heap_free(&table->heap, slot->signature);
    lithops__heap_free(&table->heap, slot->code);
    memset(slot, 0, sizeof *slot);
    table->free_functions[table->free_function_count++] = index;
    return lithops__fail(err, LITHOPS_ENOSPACE,
                         "no shared memory left for function '%s': release or clean results, or "
                         "raise %s",
                         function->name, table->area.control->memory_key);
}

int lithops__table_function(struct lithops__table *table, const lithops_function *function,
                            uint32_t *ret_index, lithops_error *err)
{
    struct lithops_function_code *code = function->code;
    if (code && find_code(table, code, ret_index))
        return 0;
    if (!code) {
        for (uint32_t i = 0; i < table->function_count; i++)
            if (lithops__table_is_function(table, i, function)) {
                *ret_index = i;
                return 0;
            }
    }
    int rc = take_function(table, ret_index, err);
    if (rc == 0)
        rc = enter_function(table, function, *ret_index, err);
    if (rc == 0 && code)
        atomic_store_explicit(&code->hint, *ret_index, memory_order_relaxed);
    return rc;
}
