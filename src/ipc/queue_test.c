/* SPDX-License-Identifier: Apache-2.0 */
/* The span ring with many takers, ranges, the bells, and errors on their way. Threads here play
 * workers of one process; forked processes play the real thing. */
#include "base/clock.h"
#include "ipc/bell.h"
#include "ipc/call_error.h"
#include "ipc/payload.h"
#include "ipc/queue.h"
#include "ipc/table.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ROUNDS = 50000 };
#else
enum { ROUNDS = 1000000 };
#endif
enum { TAKERS = 4, LIMIT_S = 100 };

static struct lithops__table table;

static int setup(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__table_open(&table, "test-0", 8, 512u << 20, &err), 0);
    alarm(LIMIT_S); /* a lost wake-up ends the test, and not by hanging */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    alarm(0);
    lithops__table_close(&table);
    return 0;
}

static uint32_t make_range(uint64_t count)
{
    static const lithops_function nothing = {.name = "nothing", .symbol = "nothing"};
    const struct lithops__job_name name = {"test-0", 'M', 0, 0};
    uint32_t range, function;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__table_function(&table, &nothing, &function, &err), 0);
    assert_int_equal(lithops__table_new_range(&table, function, count, count, LITHOPS__PENDING,
                                              &name, &range, &err),
                     0);
    lithops__table_publish_range(&table, range);
    return range;
}

/* ---- the ring
 * --------------------------------------------------------------------------------------- */

/* Take all that is offered; a mark for each call taken. @return how many */
static uint64_t take_all(unsigned slot, _Atomic uint8_t *marks, uint64_t most)
{
    struct lithops__area *area = &table.area;
    struct lithops__worker *line = &area->control->workers[slot];
    struct lithops__span *span;
    uint64_t position, begin, count, taken = 0;
    while ((span = lithops__queue_find(area, line, &position)) != NULL) {
        while ((count = lithops__queue_claim(area, line, span, position, most, &begin)) > 0) {
            for (uint64_t i = 0; i < count; i++)
                atomic_fetch_add(&marks[begin + i], 1);
            taken += count;
        }
        lithops__queue_leave(line);
    }
    return taken;
}

static _Atomic uint8_t *marks;

static void *taker(void *slot)
{
    static _Atomic uint64_t total;
    atomic_fetch_add(&total, take_all((unsigned)(uintptr_t)slot, marks, 7));
    return NULL;
}

static void check_marks(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(atomic_load(&marks[i]), 1);
}

static uint64_t offer_in_pieces(uint64_t count)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    uint32_t range = make_range(count);
    for (uint64_t i = 0; i < count; i += 1000)
        assert_int_equal(
            lithops__table_offer(&table, range, i, i + 1000 < count ? i + 1000 : count, &err), 0);
    return count;
}

static void threads_take_every_call_once(void **state)
{
    (void)state;
    marks = calloc(1, 300000);
    uint64_t count = offer_in_pieces(300000);
    pthread_t threads[TAKERS];
    for (uintptr_t t = 0; t < TAKERS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, taker, (void *)t), 0);
    for (int t = 0; t < TAKERS; t++)
        pthread_join(threads[t], NULL);
    check_marks(count);
    free((void *)marks);
}

static void processes_take_every_call_once(void **state)
{
    (void)state;
    marks = lithops__at(&table.area, lithops__heap_alloc(&table.heap, 300000));
    memset((void *)marks, 0, 300000);
    uint64_t count = offer_in_pieces(300000);
    for (unsigned w = 0; w < TAKERS; w++)
        if (fork() == 0) {
            (void)take_all(w, marks, 13);
            _exit(0);
        }
    int status;
    for (int w = 0; w < TAKERS; w++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    check_marks(count);
}

static uint64_t memory_bytes(void)
{
    struct stat status;
    assert_int_equal(fstat(table.area.fd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

/* More spans than the ring has places, in all: the slots are used in several laps, and those that
 * were passed take no memory. */
static void laps_of_the_ring(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    uint32_t range = make_range(64);
    marks = calloc(1, 64);
    uint64_t start = memory_bytes();
    for (uint64_t push = 0; push < 2 * (uint64_t)LITHOPS__MAX_SPANS + 1000; push++) {
        uint64_t i = push % 64;
        assert_int_equal(lithops__table_offer(&table, range, i, i + 1, &err), 0);
        assert_int_equal(take_all(0, marks, 1), 1);
    }
    assert_true(atomic_load(&table.area.control->head) > 2 * (uint64_t)LITHOPS__MAX_SPANS);
    assert_in_range(memory_bytes(), start, start + (1 << 20));
    free((void *)marks);
}

static void full_ring_is_refused(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    uint32_t range = make_range(1);
    for (uint64_t i = 0; i < LITHOPS__MAX_SPANS; i++)
        assert_int_equal(lithops__table_offer(&table, range, 0, 1, &err), 0);
    assert_int_equal(lithops__table_offer(&table, range, 0, 1, &err), LITHOPS_ENOSPACE);
    assert_true(memory_bytes() >= 32 << 20);
    lithops__queue_drop(&table.area);
    marks = calloc(1, 1);
    for (int i = 0; i < 10000; i++) {
        atomic_store(marks, 0);
        assert_int_equal(lithops__table_offer(&table, range, 0, 1, &err), 0);
        assert_int_equal(take_all(0, marks, 1), 1);
    }
    assert_true(memory_bytes() < 2 << 20);
    free((void *)marks);
}

/* A process that slept for a lap cannot claim from what the slot holds now. */
static void claim_of_an_old_lap_fails(void **state)
{
    (void)state;
    struct lithops__worker *line = &table.area.control->workers[0];
    uint32_t range = make_range(100);
    lithops_error err = LITHOPS_ERROR_INIT;
    uint64_t position, begin;
    assert_int_equal(lithops__table_offer(&table, range, 0, 100, &err), 0);
    struct lithops__span *span = lithops__queue_find(&table.area, line, &position);
    assert_non_null(span);
    assert_int_equal(
        lithops__queue_claim(&table.area, line, span, position + LITHOPS__MAX_SPANS, 5, &begin), 0);
    assert_int_equal(line->claiming, 0);
    assert_int_equal(lithops__queue_claim(&table.area, line, span, position, 5, &begin), 5);
    assert_int_equal(begin, 0);
}

/* ---- ranges
 * ----------------------------------------------------------------------------------------- */

static struct lithops__settlement failure(int code)
{
    struct lithops__settlement settlement = {.error = LITHOPS_ERROR_INIT};
    settlement.error.code = code;
    snprintf(settlement.error.message, sizeof settlement.error.message, "for a test");
    return settlement;
}

static void calls_are_settled_once(void **state)
{
    (void)state;
    const uint16_t from[] = {lithops__state_make(LITHOPS__PENDING, 0),
                             lithops__state_make(LITHOPS__DEFERRED, 0),
                             lithops__state_make(LITHOPS__RUNNING, 3)};
    struct lithops__settlement failed = failure(LITHOPS_ECRASH),
                               canceled = failure(LITHOPS_ECANCELED);
    uint32_t range = make_range(6);
    lithops__state *states = lithops__range_states(&table.area, &table.area.ranges[range]);
    for (uint64_t i = 0; i < 6; i++) {
        atomic_store(&states[i], from[i % 3]);
        assert_false(lithops__table_settle(&table, range, i, from[(i + 1) % 3], &failed));
        assert_int_equal(atomic_load(&states[i]), from[i % 3]);
        assert_true(
            lithops__table_settle(&table, range, i, from[i % 3], i < 3 ? &failed : &canceled));
        assert_int_equal(lithops__state_of(atomic_load(&states[i])),
                         i < 3 ? LITHOPS__FAILED : LITHOPS__CANCELED);
        assert_false(lithops__table_settle(&table, range, i, from[i % 3], &failed));
    }
    lithops_error read;
    lithops__call_error_read(
        lithops__at(&table.area,
                    lithops__range_records(&table.area, &table.area.ranges[range])[0].payload),
        &read);
    assert_int_equal(read.code, LITHOPS_ECRASH);
    assert_string_equal(read.message, "for a test");
}

static void settle_all(uint32_t range, uint64_t count)
{
    struct lithops__settlement canceled = failure(LITHOPS_ECANCELED);
    for (uint64_t i = 0; i < count; i++)
        assert_true(lithops__table_settle(&table, range, i, LITHOPS__PENDING, &canceled));
}

static void range_is_not_reused_while_looked_at(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__worker *line = &table.area.control->workers[5];
    uint32_t range = make_range(10);
    uint32_t generation = atomic_load(&table.area.ranges[range].generation);
    assert_int_equal(lithops__table_offer(&table, range, 0, 10, &err), 0);
    assert_true(lithops__queue_enter(&table.area, line, range, generation));
    settle_all(range, 10);
    lithops__table_free_range(&table, range);
    assert_int_equal(lithops__table_reclaim(&table), 1);
    for (int i = 0; i < 5; i++)
        assert_int_not_equal(make_range(10), range);
    lithops__queue_leave(line);
    assert_int_equal(lithops__table_reclaim(&table), 0);
    assert_int_equal(make_range(10), range);
    assert_false(lithops__queue_enter(&table.area, line, range, generation)); /* an older one */
    lithops__queue_leave(line);
}

static void memory_of_ranges_is_used_again(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    for (int i = 0; i < 2000; i++) {
        uint32_t range = make_range(10000);
        assert_int_equal(lithops__table_offer(&table, range, 0, 10000, &err), 0);
        settle_all(range, 10000);
        lithops__queue_drop(&table.area);
        lithops__table_free_range(&table, range);
    }
    assert_true(atomic_load(&table.area.control->committed) < 64u << 20);
}

/* ---- bells
 * ------------------------------------------------------------------------------------------- */

/* Two processes pass a number to and fro; each sleeps until it is its turn. */
static void ping_pong(void **state)
{
    (void)state;
    struct lithops__control *control = table.area.control;
    _Atomic uint64_t *ball =
        lithops__at(&table.area, lithops__heap_alloc(&table.heap, sizeof *ball));
    atomic_store(ball, 0);
    pid_t pid = fork();
    for (uint64_t turn = pid == 0 ? 1 : 0; turn < ROUNDS; turn += 2) {
        for (;;) {
            uint32_t seen = lithops__bell_prepare(control);
            if (atomic_load(ball) == turn)
                break;
            lithops__bell_wait(control, seen, UINT64_MAX);
        }
        atomic_store(ball, turn + 1);
        lithops__bell_landed(control);
    }
    if (pid == 0)
        _exit(0);
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(atomic_load(ball), ROUNDS);
}

/* Rings meet a worker that is just falling asleep: it must see each one. */
static void no_ring_is_slept_through(void **state)
{
    (void)state;
    struct lithops__control *control = table.area.control;
    _Atomic uint64_t *words =
        lithops__at(&table.area, lithops__heap_alloc(&table.heap, 2 * sizeof *words));
    atomic_store(&words[0], 0); /* asked */
    atomic_store(&words[1], 0); /* answered */
    pid_t pid = fork();
    if (pid == 0) {
        for (uint64_t done = 0; done < ROUNDS / 4;) {
            uint32_t doorbell = atomic_load(&control->doorbell);
            uint64_t asked = atomic_load(&words[0]);
            if (asked > done)
                atomic_store(&words[1], done = asked);
            else
                (void)lithops__bell_park(control, 2, doorbell, UINT64_MAX);
        }
        _exit(0);
    }
    for (uint64_t i = 1; i <= ROUNDS / 4; i++) {
        atomic_store(&words[0], i);
        lithops__bell_ring(control);
        while (atomic_load(&words[1]) < i)
            sched_yield();
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

/* Until a process sleeps in a system call. */
static void await_sleep(pid_t pid)
{
    char name[64], stat[512], state = 0;
    snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
    while (state != 'S') {
        FILE *file = fopen(name, "r");
        assert_non_null(file);
        assert_non_null(fgets(stat, sizeof stat, file));
        fclose(file);
        state = strrchr(stat, ')')[2];
        sched_yield();
    }
}

static pid_t start_sleeper(unsigned slot)
{
    struct lithops__control *control = table.area.control;
    pid_t pid = fork();
    if (pid == 0) {
        (void)lithops__bell_park(control, slot, atomic_load(&control->doorbell), UINT64_MAX);
        _exit(0);
    }
    atomic_store(&control->workers[slot].pid, pid);
    while (!atomic_load(&control->workers[slot].parked) ||
           !(atomic_load(&control->parked[0]) >> slot & 1))
        sched_yield();
    await_sleep(pid);
    return pid;
}

/* What a waker leaves that dies on its way: the bit gone; the bit and the word gone. */
static void sleepers_of_a_dead_waker_wake(void **state)
{
    (void)state;
    struct lithops__control *control = table.area.control;
    pid_t pids[2];
    for (unsigned slot = 0; slot < 2; slot++)
        pids[slot] = start_sleeper(slot);
    atomic_store(&control->parked[0], 0);
    atomic_store(&control->workers[1].parked, 0);
    lithops__bell_wake_one(control); /* finds nobody */
    lithops__bell_wake_everyone(control);
    int status;
    for (int i = 0; i < 2; i++)
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
}

/* The same for a waiter whose flag was taken down. */
static void waiter_of_a_dead_waker_wakes(void **state)
{
    (void)state;
    struct lithops__control *control = table.area.control;
    pid_t pid = fork();
    if (pid == 0) {
        lithops__bell_wait(control, lithops__bell_prepare(control), UINT64_MAX);
        _exit(0);
    }
    while (!atomic_load(&control->waiting))
        sched_yield();
    await_sleep(pid);
    atomic_store(&control->waiting, 0);
    lithops__bell_landed(control); /* thinks that nobody sleeps */
    lithops__bell_wake_everyone(control);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void spinner_that_dies_is_forgotten(void **state)
{
    (void)state;
    struct lithops__control *control = table.area.control;
    control->spin_ticks = 1;
    assert_true(lithops__bell_start_spinning(control, 3));
    assert_false(lithops__bell_start_spinning(control, 4));
    lithops__bell_forget(control, 4);
    assert_false(lithops__bell_start_spinning(control, 4));
    lithops__bell_forget(control, 3);
    assert_true(lithops__bell_start_spinning(control, 4));
}

static void wait_ends_at_its_deadline(void **state)
{
    (void)state;
    struct lithops__control *control = table.area.control;
    uint64_t start = lithops__now_ns();
    lithops__bell_wait(control, lithops__bell_prepare(control), start + 20000000);
    assert_true(lithops__now_ns() - start >= 20000000);
}

/* ---- errors and payloads
 * ------------------------------------------------------------------------------ */

static void errors_travel_whole(void **state)
{
    (void)state;
    lithops_error error = LITHOPS_ERROR_INIT, read;
    error.code = LITHOPS_EMEMORY;
    error.signal = 9;
    error.os_errno = 12;
    for (size_t fill = 0; fill < 2; fill++) {
        memset(error.message, fill ? 'm' : 0, sizeof error.message - 1);
        memset(error.traceback, fill ? 't' : 0, sizeof error.traceback - 1);
        lithops_bytes data = {"of the runtime", fill ? 14 : 0};
        char *block = malloc(lithops__call_error_size(&error, data)); /* exactly: ASan looks */
        lithops__call_error_write(block, &error, data);
        lithops__call_error_read(block, &read);
        lithops_bytes same = lithops__call_error_data(block);
        assert_int_equal(same.len, data.len);
        assert_memory_equal(same.ptr, data.ptr, data.len);
        free(block);
        assert_string_equal(read.message, error.message);
        assert_string_equal(read.traceback, error.traceback);
        assert_int_equal(read.code, error.code);
        assert_int_equal(read.signal, error.signal);
        assert_int_equal(read.os_errno, error.os_errno);
    }
}

static void payloads_are_values(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__area *area = &table.area;
    lithops_value *value = lithops__payload_value(area, LITHOPS__CONTENT_INT, (uint64_t)-5, &err);
    assert_int_equal(lithops_value_get_int(value), -5);
    lithops_value_free(value);
    lithops__offset at = lithops__table_store(&table, "wombat", 6);
    value = lithops__payload_value(area, LITHOPS__CONTENT_BYTES, at, &err);
    assert_int_equal(lithops_value_get_bytes(value).len, 6);
    assert_memory_equal(lithops_value_get_bytes(value).ptr, "wombat", 6);
    lithops_value_free(value);
    assert_null(lithops__payload_value(area, LITHOPS__CONTENT_GONE, 0, &err));
    assert_int_equal(err.code, LITHOPS_ECLOSED);
    value = lithops__payload_value(area, LITHOPS__CONTENT_PICKLE, at, &err);
    assert_non_null(value);
    lithops_value_free(value);
    assert_null(lithops__payload_value(area, (enum lithops__content)99, at, &err));
    assert_int_equal(err.code, LITHOPS_ETYPE);
    assert_null(lithops__payload_value(area, LITHOPS__CONTENT_PACKED,
                                       lithops__table_store(&table, "\xc1", 1), &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(threads_take_every_call_once),
        TEST(processes_take_every_call_once),
        TEST(laps_of_the_ring),
        TEST(full_ring_is_refused),
        TEST(claim_of_an_old_lap_fails),
        TEST(calls_are_settled_once),
        TEST(range_is_not_reused_while_looked_at),
        TEST(memory_of_ranges_is_used_again),
        TEST(ping_pong),
        TEST(no_ring_is_slept_through),
        TEST(sleepers_of_a_dead_waker_wake),
        TEST(waiter_of_a_dead_waker_wakes),
        TEST(spinner_that_dies_is_forgotten),
        TEST(wait_ends_at_its_deadline),
        TEST(errors_travel_whole),
        TEST(payloads_are_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
