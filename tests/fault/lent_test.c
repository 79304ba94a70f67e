/* SPDX-License-Identifier: Apache-2.0 */
/* Links that are lent to threads that wait for calls: whatever happens meanwhile is seen to, as if
 * the relay's own thread served them. */
#include "fault.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { HOT_CALLS = 500, NAP_MS = 60000 };

static lithops_executor *open_links(int workers)
{
    return fault_open_links("process", 0,
                            lithops_pack("{s:i,s:i}", "workers", workers, "worker_processes", 1));
}

/* One call after the other: the links are lent to this thread. */
static void call_hot(lithops_executor *fexec, int calls)
{
    for (int64_t i = 0; i < calls; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        int64_t result = -1;
        lithops_future *future =
            lithops_call_async(fexec, fault_square, lithops_value_int(i), NULL, &err);
        CHECK(future != NULL);
        CHECK_INT(lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &result), 0);
        CHECK_INT(result, i * i);
        lithops_future_unref(future);
    }
}

static void *call_hot_in_thread(void *fexec)
{
    call_hot(fexec, HOT_CALLS);
    return NULL;
}

FAULT_CASE(many_threads)
{
    enum { THREADS = 4, MAPS = 20 };
    pthread_t threads[THREADS];
    lithops_executor *fexec = open_links(2);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, call_hot_in_thread, fexec) == 0);
    for (int i = 0; i < MAPS; i++)
        fault_check_works(fexec, 50);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    lithops_executor_close(fexec);
}

/* The first time: long. It may run again where its beginning was not heard of before its worker was
 * gone. */
LITHOPS_FUNCTION(nap_once)
{
    const char *mark = lithops_value_get_string(lithops_call_input(call));
    int fd = open(mark, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        sleep(NAP_MS / 1000);
    }
    return 0;
}

/* A thread that waits for a long call, once the links were lent to it. */
struct long_wait {
    lithops_executor *fexec;
    lithops_future *_Atomic future;
    int code;
    char mark[64];
};

static void *wait_long(void *user)
{
    struct long_wait *wait = user;
    lithops_error err = LITHOPS_ERROR_INIT;
    call_hot(wait->fexec, HOT_CALLS);
    lithops_future *future =
        lithops_call_async(wait->fexec, nap_once, lithops_value_string(wait->mark), NULL, &err);
    CHECK(future != NULL);
    atomic_store(&wait->future, future);
    wait->code = lithops_future_wait(future, NAP_MS / 2, &err);
    return NULL;
}

static pthread_t begin_long_wait(struct long_wait *wait)
{
    pthread_t thread;
    wait->fexec = open_links(1);
    snprintf(wait->mark, sizeof wait->mark, "/tmp/lithops-lent-%ld", (long)getpid());
    (void)unlink(wait->mark);
    CHECK(pthread_create(&thread, NULL, wait_long, wait) == 0);
    while (!atomic_load(&wait->future))
        sched_yield();
    while (access(wait->mark, F_OK) != 0)
        sched_yield();
    return thread;
}

/* @return the call's code */
static int end_long_wait(struct long_wait *wait, pthread_t thread)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    pthread_join(thread, NULL);
    CHECK_INT(wait->code, 0);
    int code = fault_outcome(wait->future, &err);
    fault_check_works(wait->fexec, 20);
    lithops_executor_close(wait->fexec);
    CHECK(unlink(wait->mark) == 0);
    return code;
}

FAULT_CASE(cancelled_by_another)
{
    struct long_wait wait = {.code = 1};
    pthread_t thread = begin_long_wait(&wait);
    CHECK(lithops_future_cancel(wait.future));
    CHECK_INT(end_long_wait(&wait, thread), LITHOPS_ECANCELED);
}

FAULT_CASE(worker_killed)
{
    struct long_wait wait = {.code = 1};
    pid_t worker;
    pthread_t thread = begin_long_wait(&wait);
    CHECK_INT(fault_children(&worker, 1), 1);
    CHECK_INT(kill(worker, SIGKILL), 0);
    int code = end_long_wait(&wait, thread);
    CHECK(code == 0 || code == LITHOPS_ECRASH);
}

/* Who offers a call writes to a socket that nobody reads any more. */
FAULT_CASE(worker_killed_between_calls)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links(1);
    for (int i = 0; i < 10; i++) {
        pid_t worker;
        call_hot(fexec, HOT_CALLS / 10);
        CHECK_INT(fault_children(&worker, 1), 1);
        CHECK_INT(kill(worker, SIGKILL), 0);
        int rc = fault_call(fexec, fault_square, lithops_value_int(i), &err);
        CHECK(rc == 0 || rc == LITHOPS_ECRASH);
        while (fault_children(&worker, 1) != 1)
            sched_yield();
    }
    lithops_executor_close(fexec);
}

/* What is sent by who offers it is heard though no thread waits. */
FAULT_CASE(nobody_waits)
{
    lithops_executor *fexec = open_links(1);
    for (int64_t i = 0; i < 200; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        call_hot(fexec, 10);
        lithops_future *future =
            lithops_call_async(fexec, fault_square, lithops_value_int(i), NULL, &err);
        while (lithops_future_state(future) < LITHOPS_SUCCESS)
            sched_yield();
        CHECK_INT(lithops_future_state(future), LITHOPS_SUCCESS);
        lithops_future_unref(future);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(closed_at_once)
{
    for (int i = 0; i < 5; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_executor *fexec = open_links(1);
        int64_t result;
        call_hot(fexec, 100);
        lithops_future *future =
            lithops_call_async(fexec, fault_nap, lithops_value_int(NAP_MS), NULL, &err);
        double begin = fault_now();
        lithops_executor_close(fexec);
        CHECK(fault_now() - begin < NAP_MS / 2000.0);
        CHECK_INT(lithops_future_result(future, 0, &err, "I", &result), LITHOPS_ECANCELED);
        lithops_future_unref(future);
    }
}

/* A wait that ends before its call does, again and again. */
FAULT_CASE(short_waits)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links(1);
    call_hot(fexec, 100);
    lithops_future *future =
        lithops_call_async(fexec, fault_nap, lithops_value_int(300), NULL, &err);
    int rc, waits = 0;
    while ((rc = lithops_future_wait(future, 3, &err)) == LITHOPS_ETIMEDOUT)
        waits++;
    CHECK_INT(rc, 0);
    CHECK(waits > 0);
    lithops_future_unref(future);
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads),  cmocka_unit_test(cancelled_by_another),
        cmocka_unit_test(worker_killed), cmocka_unit_test(worker_killed_between_calls),
        cmocka_unit_test(nobody_waits),  cmocka_unit_test(closed_at_once),
        cmocka_unit_test(short_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
