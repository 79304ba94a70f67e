/* SPDX-License-Identifier: Apache-2.0 */
/* Done-callbacks: each is called once, on one thread, may use the API, and is not lost on close. */
#include "api.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

LITHOPS_FUNCTION(increment)
{
    return lithops_return_int(call, lithops_call_int(call) + 1);
}

LITHOPS_FUNCTION(talk)
{
    printf("call %d\n", (int)lithops_call_id(call));
    return lithops_return_int(call, lithops_call_int(call));
}

LITHOPS_FUNCTION(for_ever)
{
    while (!lithops_call_is_canceled(call)) /* killed before it can see this */
        pause();
    return 0;
}

/* What the callbacks of a test saw. */
static struct {
    sem_t done;
    atomic_int count, wrong;
    atomic_llong sum;
    pthread_t thread;
} seen;

static int reset(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    return sem_init(&seen.done, 0, 0);
}

static void wait_for(int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LIMIT_MS / 1000;
    for (int i = 0; i < count; i++)
        if (sem_timedwait(&seen.done, &until) != 0)
            fail_msg("%d of %d callbacks came", atomic_load(&seen.count), count);
}

static void note(lithops_future *future, void *user)
{
    (void)user;
    int64_t x;
    if (atomic_fetch_add(&seen.count, 1) == 0)
        seen.thread = pthread_self();
    else if (!pthread_equal(seen.thread, pthread_self()))
        atomic_fetch_add(&seen.wrong, 1);
    if (!lithops_future_is_done(future))
        atomic_fetch_add(&seen.wrong, 1);
    if (lithops_future_result(future, 0, NULL, "I", &x) == 0)
        atomic_fetch_add(&seen.sum, x);
    sem_post(&seen.done);
}

static lithops_future *start(int64_t x)
{
    return not_null(lithops_call_async(fexec, increment, lithops_value_int(x), NULL, &err));
}

static void test_before_and_after(void **state)
{
    (void)state;
    lithops_future *future = start(1);
    succeeds(lithops_future_on_done(future, note, NULL, &err));
    wait_for(1);
    succeeds(lithops_future_on_done(future, note, NULL, &err)); /* it is done */
    succeeds(lithops_future_on_done(future, note, NULL, &err));
    lithops_future_unref(future); /* the callbacks hold it */
    wait_for(2);
    assert_int_equal(atomic_load(&seen.sum), 6);
    assert_int_equal(atomic_load(&seen.wrong), 0);
    assert_false(pthread_equal(seen.thread, pthread_self()));
}

enum { ORDERED = 600 };
static int order[ORDERED];
static atomic_int ordered;

static void note_order(lithops_future *future, void *user)
{
    (void)future;
    order[atomic_fetch_add(&ordered, 1)] = (int)(intptr_t)user;
    sem_post(&seen.done);
}

/* More callbacks than are called at a time, among others whose calls are not done. */
static void test_order(void **state)
{
    (void)state;
    lithops_future *slow[2];
    for (int i = 0; i < 2; i++)
        slow[i] = not_null(lithops_call_async(fexec, for_ever, lithops_value_int(0), NULL, &err));
    lithops_future *future = start(1);
    for (intptr_t i = 0; i < ORDERED; i++) {
        succeeds(lithops_future_on_done(future, note_order, (void *)i, &err));
        if (i % 100 == 0)
            succeeds(lithops_future_on_done(slow[i / 100 % 2], note, NULL, &err));
    }
    for (int i = 0; i < 2; i++)
        lithops_future_cancel(slow[i]);
    wait_for(ORDERED + 6);
    for (int i = 0; i < ORDERED; i++)
        assert_int_equal(order[i], i);
    for (int i = 0; i < 2; i++)
        lithops_future_unref(slow[i]);
    lithops_future_unref(future);
}

/* The call ends while its callbacks are set and looked at. */
static void test_order_at_the_end_of_a_call(void **state)
{
    (void)state;
    for (int round = 0; round < api_times(2000); round++) {
        atomic_store(&ordered, 0);
        lithops_future *future = start(1);
        for (intptr_t i = 0; i < ORDERED; i++)
            succeeds(lithops_future_on_done(future, note_order, (void *)i, &err));
        wait_for(ORDERED);
        for (int i = 0; i < ORDERED; i++)
            assert_int_equal(order[i], i);
        lithops_future_unref(future);
    }
}

static void test_many(void **state)
{
    (void)state;
    enum { N = 3000 };
    for (int64_t i = 0; i < N; i++) {
        lithops_future *future = start(i);
        succeeds(lithops_future_on_done(future, note, NULL, &err));
        lithops_future_unref(future);
    }
    lithops_futures *map = lithops_map(fexec, increment, lithops_range(0, N), NULL, &err);
    for (size_t i = 0; i < N; i++) {
        lithops_future *future = lithops_futures_get(map, i);
        succeeds(lithops_future_on_done(future, note, NULL, &err));
        lithops_future_unref(future);
    }
    lithops_futures_unref(map);
    wait_for(2 * N);
    assert_int_equal(atomic_load(&seen.count), 2 * N);
    assert_int_equal(atomic_load(&seen.sum), 2 * (long long)N * (N + 1) / 2);
    assert_int_equal(atomic_load(&seen.wrong), 0);
}

/* Each callback starts the next call, waits for others, adds callbacks, cancels. */
static void call_back_in(lithops_future *future, void *user)
{
    int64_t x = 0, y = 0;
    lithops_error own = LITHOPS_ERROR_INIT;
    if (lithops_future_result(future, 0, &own, "I", &x) != 0)
        atomic_fetch_add(&seen.wrong, 1);
    lithops_futures *map = lithops_map(fexec, increment, lithops_range(0, 5), NULL, &own);
    lithops_value *list = NULL;
    if (lithops_get_result_value(NULL, map, &within_limit, &list, &own) != 0 ||
        lithops_value_size(list) != 5)
        atomic_fetch_add(&seen.wrong, 1);
    lithops_value_free(list);
    lithops_futures_unref(map);
    lithops_future *never = lithops_call_async(fexec, for_ever, lithops_value_null(), NULL, &own);
    if (!lithops_future_cancel(never) || lithops_future_wait(never, LIMIT_MS, &own) != 0)
        atomic_fetch_add(&seen.wrong, 1);
    lithops_future_unref(never);
    lithops_future *next = lithops_call_async(fexec, increment, lithops_value_int(x), NULL, &own);
    if (lithops_future_result(next, LIMIT_MS, &own, "I", &y) != 0 || y != x + 1)
        atomic_fetch_add(&seen.wrong, 1);
    if (x < 10 && lithops_future_on_done(next, call_back_in, user, &own) != 0)
        atomic_fetch_add(&seen.wrong, 1);
    lithops_future_unref(next);
    lithops_value_free(lithops_future_stats(future));
    free(lithops_future_logs(future));
    atomic_fetch_add(&seen.count, 1);
    sem_post(&seen.done);
}

static void test_calling_back_in(void **state)
{
    (void)state;
    lithops_future *future = start(0);
    succeeds(lithops_future_on_done(future, call_back_in, NULL, &err));
    lithops_future_unref(future);
    wait_for(10);
    assert_int_equal(atomic_load(&seen.count), 10);
    assert_int_equal(atomic_load(&seen.wrong), 0);
}

/* A callback that runs while its executor closes can read everything and start nothing. */
static void look_at_close(lithops_future *future, void *user)
{
    lithops_executor *executor = user;
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_state state = lithops_future_state(future);
    if (state != LITHOPS_CANCELED && state != LITHOPS_SUCCESS)
        atomic_fetch_add(&seen.wrong, 1);
    (void)lithops_future_error(future, &own);
    lithops_value_free(lithops_future_stats(future));
    free(lithops_future_logs(future));
    (void)lithops_future_cancel(future);
    lithops_future *next =
        lithops_call_async(executor, increment, lithops_value_int(1), NULL, &own);
    if (next || own.code != LITHOPS_ECLOSED)
        atomic_fetch_add(&seen.wrong, 1);
    lithops_futures *map = lithops_map(executor, increment, lithops_range(0, 3), NULL, &own);
    if (map || own.code != LITHOPS_ECLOSED)
        atomic_fetch_add(&seen.wrong, 1);
    int64_t x;
    if (lithops_get_result(executor, NULL, NULL, &own, "I", &x) != LITHOPS_ECLOSED)
        atomic_fetch_add(&seen.wrong, 1);
    (void)lithops_wait(executor, NULL, NULL, NULL, NULL, &own);
    if (lithops_future_on_done(future, look_at_close, executor, &own) != LITHOPS_ECLOSED)
        atomic_fetch_add(&seen.wrong, 1);
    atomic_fetch_add(&seen.count, 1);
}

static void test_at_close(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        reset(NULL);
        lithops_executor *own = api_open("{\"worker_processes\":2}");
        lithops_futures *done = lithops_map(own, talk, lithops_range(0, 3), NULL, &err);
        lithops_futures *running = lithops_map(own, for_ever, lithops_range(0, 6), NULL, &err);
        succeeds(lithops_wait(NULL, done, &within_limit, NULL, NULL, &err));
        for (size_t i = 0; round % 2 && i < 100000; i++)
            if (lithops_futures_state(running, 0) == LITHOPS_RUNNING)
                break;
            else
                usleep(100);
        for (size_t i = 0; i < 6; i++) {
            lithops_future *future = lithops_futures_get(running, i);
            succeeds(lithops_future_on_done(future, look_at_close, own, &err));
            lithops_future_unref(future);
        }
        lithops_executor_close(own);
        assert_int_equal(atomic_load(&seen.count), 6); /* all were called before close returned */
        assert_int_equal(atomic_load(&seen.wrong), 0);
        lithops_futures_unref(done);
        lithops_futures_unref(running);
    }
}

/* Callbacks of failed and cancelled calls are called, too. */
static void test_other_ends(void **state)
{
    (void)state;
    lithops_futures *futures = lithops_map(fexec, for_ever, lithops_range(0, 6), NULL, &err);
    for (size_t i = 0; i < 6; i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        succeeds(lithops_future_on_done(future, note, NULL, &err));
        lithops_future_unref(future);
    }
    lithops_futures_cancel(futures);
    wait_for(6);
    assert_int_equal(atomic_load(&seen.count), 6);
    assert_int_equal(atomic_load(&seen.wrong), 0);
    lithops_futures_unref(futures);
}

static void test_wrong_use(void **state)
{
    (void)state;
    lithops_future *future = start(1);
    fails(lithops_future_on_done(NULL, note, NULL, &err), LITHOPS_EUSAGE, "future");
    fails(lithops_future_on_done(future, NULL, NULL, &err), LITHOPS_EUSAGE, "callback");
    lithops_future_unref(future);
}

/* Signals go to the program's own threads: the engine's threads block them all. */
static void look_at_signals(lithops_future *future, void *user)
{
    (void)future, (void)user;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (!sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGINT) || !sigismember(&mask, SIGCHLD))
        atomic_fetch_add(&seen.wrong, 1);
    sem_post(&seen.done);
}

static void test_signals_stay_outside(void **state)
{
    (void)state;
    lithops_future *future = start(1);
    succeeds(lithops_future_on_done(future, look_at_signals, NULL, &err));
    wait_for(1);
    assert_int_equal(atomic_load(&seen.wrong), 0);
    lithops_future_unref(future);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_before_and_after, reset),
        cmocka_unit_test_setup(test_order, reset),
        cmocka_unit_test_setup(test_order_at_the_end_of_a_call, reset),
        cmocka_unit_test_setup(test_many, reset),
        cmocka_unit_test_setup(test_calling_back_in, reset),
        cmocka_unit_test_setup(test_at_close, reset),
        cmocka_unit_test_setup(test_other_ends, reset),
        cmocka_unit_test_setup(test_wrong_use, reset),
        cmocka_unit_test_setup(test_signals_stay_outside, reset),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
