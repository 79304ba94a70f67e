/* SPDX-License-Identifier: Apache-2.0 */
/* Workers behind links that come and go with the calls, and end at a certain time. */
#include "fault.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

/* `settings` is JSON for the section process. */
static lithops_executor *open_process(const char *settings)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *section = lithops_value_from_json(settings, strlen(settings), &err);
    if (!section)
        fault_fail(__FILE__, __LINE__, err.message);
    return fault_open_links("process", 0, section);
}

static void await_workers(size_t count)
{
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while (fault_children(NULL, 0) != count) {
        if (fault_now() > limit)
            CHECK_INT(fault_children(NULL, 0), count);
        poll(NULL, 0, 5);
    }
}

static lithops_futures *start_naps(lithops_executor *fexec, int64_t count)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures =
        lithops_map(fexec, fault_nap, lithops_range(600000, 600000 + count), NULL, &err);
    CHECK(futures != NULL);
    return futures;
}

FAULT_CASE(they_come_with_calls_and_go)
{
    lithops_executor *fexec =
        open_process("{\"workers\": 3, \"worker_processes\": 2, \"idle_timeout\": 0.1}");
    CHECK_INT(fault_children(NULL, 0), 0);
    for (int i = 0; i < 5; i++) {
        fault_check_works(fexec, 1000);
        await_workers(0);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(as_many_as_the_calls_need)
{
    lithops_executor *fexec =
        open_process("{\"workers\": 4, \"worker_processes\": 2, \"idle_timeout\": 0.1}");
    lithops_futures *few = start_naps(fexec, 1);
    await_workers(1);
    lithops_futures *more = start_naps(fexec, 4); /* five in all */
    await_workers(3);
    lithops_futures *many = start_naps(fexec, 100);
    await_workers(4);
    CHECK(lithops_futures_cancel(many) > 0 && lithops_futures_cancel(more) > 0);
    await_workers(1); /* which runs the first one */
    CHECK(lithops_futures_cancel(few) > 0);
    await_workers(0);
    lithops_futures_unref(few);
    lithops_futures_unref(more);
    lithops_futures_unref(many);
    lithops_executor_close(fexec);
}

FAULT_CASE(some_are_kept)
{
    lithops_executor *fexec = open_process("{\"workers\": 3, \"worker_processes\": 1, "
                                           "\"idle_timeout\": 0.1, \"min_workers\": 1}");
    await_workers(1);
    lithops_futures *naps = start_naps(fexec, 3);
    await_workers(3);
    CHECK(lithops_futures_cancel(naps) > 0);
    await_workers(1);
    fault_check_works(fexec, 10);
    lithops_futures_unref(naps);
    lithops_executor_close(fexec);
}

static int64_t worker_of(lithops_executor *fexec, int64_t timeout_ms)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    int64_t pid = 0;
    options.timeout_ms = timeout_ms;
    lithops_future *future =
        lithops_call_async(fexec, fault_nap, lithops_value_int(1), &options, &err);
    CHECK(future != NULL);
    if (lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &pid) != 0)
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_future_unref(future);
    return pid;
}

/* Calls that come all the time notice nothing of it. */
FAULT_CASE(others_take_their_place)
{
    lithops_executor *fexec = open_process("{\"workers\": 2, \"worker_processes\": 1, "
                                           "\"idle_timeout\": 1000, \"lifetime\": 1}");
    int64_t last = 0;
    for (int changes = 0; changes < 4;) {
        int64_t pid = worker_of(fexec, LITHOPS_DEFAULT);
        changes += pid != last;
        last = pid;
    }
    lithops_executor_close(fexec);
}

/* It counts as fresh for 5 s. */
FAULT_CASE(a_call_goes_where_there_is_time)
{
    lithops_executor *fexec = open_process("{\"workers\": 2, \"worker_processes\": 1, "
                                           "\"idle_timeout\": 1000, \"lifetime\": 600}");
    int64_t first = worker_of(fexec, 599000);
    double start = fault_now();
    CHECK_INT(worker_of(fexec, 500000), first);
    CHECK_INT(worker_of(fexec, LITHOPS_DEFAULT), first); /* which nobody has set */
    CHECK_INT(worker_of(fexec, 3000000), first);         /* more than any has */
    while (fault_now() < start + 5)
        CHECK_INT(worker_of(fexec, LITHOPS_DEFAULT), first);
    CHECK(worker_of(fexec, 599000) != first);
    lithops_executor_close(fexec);
}

/* What fails again and again is paused, and calls are told why; those that come later try again. */
FAULT_CASE(they_cannot_be_started)
{
    lithops_executor *fexec =
        open_process("{\"workers\": 8, \"command\": \"/bin/false\", \"idle_timeout\": 1000}");
    for (int i = 0; i < 2; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        CHECK(fault_call(fexec, fault_square, lithops_value_int(3), &err) != 0);
        if (!strstr(err.message, "it ended with exit status 1"))
            fault_fail(__FILE__, __LINE__, err.message);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(closing_while_they_come_and_go)
{
    for (int i = 0; i < 20; i++) {
        lithops_executor *fexec =
            open_process("{\"workers\": 4, \"worker_processes\": 1, \"idle_timeout\": 0.01}");
        lithops_futures *naps = start_naps(fexec, i % 5);
        if (i % 2)
            await_workers((size_t)(i % 5));
        lithops_futures_unref(naps);
        lithops_executor_close(fexec);
        CHECK_INT(fault_children(NULL, 0), 0);
    }
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_with_calls_and_go),
        cmocka_unit_test(as_many_as_the_calls_need),
        cmocka_unit_test(some_are_kept),
        cmocka_unit_test(others_take_their_place),
        cmocka_unit_test(a_call_goes_where_there_is_time),
        cmocka_unit_test(they_cannot_be_started),
        cmocka_unit_test(closing_while_they_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
