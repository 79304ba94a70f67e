/* SPDX-License-Identifier: Apache-2.0 */
/* Cancelling many running calls keeps no other thread from starting calls: the executor's lock is
 * not held while processes are stopped. */
#include "fault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 32, STOP_MS = 50 }; /* how long the engine waits for each process */

/* Cannot be stopped: a process that waits for its vforked child can only be killed. */
LITHOPS_FUNCTION(unstoppable)
{
    pid_t child = vfork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    return lithops_return_int(call, child);
}

static lithops_executor *fexec;
static atomic_bool is_over;

/* The longest of all lithops_call_async() until `is_over`, and how many there were. */
struct starts {
    double longest;
    int count;
};

static double start_one(void)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    double before = fault_now();
    lithops_future *f = lithops_call_async(fexec, fault_square, lithops_value_int(2), NULL, &err);
    double took = fault_now() - before;
    CHECK(f != NULL);
    lithops_future_unref(f);
    return took;
}

static void *start_calls(void *user)
{
    struct starts *starts = user;
    while (!atomic_load(&is_over)) {
        double took = start_one();
        starts->longest = took > starts->longest ? took : starts->longest;
        starts->count++;
        nanosleep(&(struct timespec){0, 50000}, NULL);
    }
    return NULL;
}

/* Wait until all run, each in its process. */
static lithops_futures *start_many(lithops_error *err)
{
    lithops_futures *fs = lithops_map(fexec, unstoppable, lithops_range(0, CALLS), NULL, err);
    CHECK(fs != NULL);
    for (int i = 0; i < CALLS; i++) {
        lithops_future *f = lithops_futures_get(fs, (size_t)i);
        while (lithops_future_state(f) != LITHOPS_RUNNING)
            usleep(200);
        lithops_future_unref(f);
    }
    return fs;
}

/* With the lock held meanwhile, a call would be started only after CALLS * STOP_MS. */
FAULT_CASE(others_start_calls_meanwhile)
{
    if (UNDER_TSAN)
        fault_skip("a thread sanitizer makes vfork a fork: such a process can be stopped");
    lithops_error err = LITHOPS_ERROR_INIT;
    fexec = fault_open(CALLS + 1, NULL);
    for (int round = 0; round < 2; round++) {
        lithops_futures *fs = start_many(&err);
        struct starts starts = {0, 0};
        pthread_t thread;
        atomic_store(&is_over, false);
        CHECK(pthread_create(&thread, NULL, start_calls, &starts) == 0);
        double before = fault_now();
        CHECK_INT(lithops_futures_cancel(fs), CALLS);
        lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
        wait.throw_except = false;
        CHECK_INT(lithops_wait(NULL, fs, &wait, NULL, NULL, &err), 0);
        double took = fault_now() - before;
        atomic_store(&is_over, true);
        pthread_join(thread, NULL);
        fprintf(stderr, "all cancelled after %.1f ms; longest of %d starts meanwhile: %.2f ms\n",
                took * 1e3, starts.count, starts.longest * 1e3);
        CHECK(starts.count > 0);
        CHECK(starts.longest * 1e3 < CALLS * STOP_MS / 4 * FAULT_SLOWER);
        for (size_t i = 0; i < CALLS; i++) {
            lithops_future *f = lithops_futures_get(fs, i);
            CHECK_INT(lithops_future_error(f, &err), LITHOPS_ECANCELED);
            lithops_future_unref(f);
        }
        lithops_futures_unref(fs);
    }
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_start_calls_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
