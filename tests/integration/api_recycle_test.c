/* SPDX-License-Identifier: Apache-2.0 */
/* Worker processes are replaced after a number of calls, or when calls left too much memory in
 * them. No call is lost, and none fails because of what others left. */
#include "../sanitizers.h"
#include "api.h"

#include <lithops/plugin/runtime.h>

#include <stdio.h>
#include <unistd.h>

enum { CALLS = 2000, EACH = 9, WORKERS = 2, LEAK = 20 << 20 };

/* The process that ran each call. */
static int return_both(lithops_call *call)
{
    return lithops_return_int(call, (int64_t)getpid() << 20 | lithops_call_int(call));
}

LITHOPS_FUNCTION(process)
{
    return return_both(call);
}

static char *volatile kept; /* the last allocation; earlier ones leak */

/* Leaks that much in its process. */
LITHOPS_FUNCTION(leak)
{
    kept = malloc(LEAK);
    if (!kept)
        return LITHOPS_ENOMEM;
    memset(kept, 1, LEAK);
    return return_both(call);
}

/* The same in small pieces, each in a call too short to be checked separately. */
LITHOPS_FUNCTION(leak_little)
{
    kept = malloc(LEAK / 100);
    if (!kept)
        return LITHOPS_ENOMEM;
    memset(kept, 1, LEAK / 100);
    return return_both(call);
}

LITHOPS_FUNCTION(sum)
{
    int64_t total = 0, one;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &one)) > 0)
        total += one & 0xfffff;
    return rc ? rc : lithops_return_int(call, total);
}

/* ---- counting -------------------------------------------------------------------------------- */

struct tally {
    size_t processes, most, fewer; /* fewer: processes that ran fewer than `most` calls */
};

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static struct tally tally_of(int64_t *pids, size_t calls)
{
    struct tally tally = {0};
    qsort(pids, calls, sizeof *pids, by_number);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0, n; i < calls; i += n) {
            for (n = 1; i + n < calls && pids[i + n] == pids[i]; n++)
                ;
            tally.most = n > tally.most ? n : tally.most;
            tally.processes += pass;
            tally.fewer += pass && n < tally.most;
        }
    return tally;
}

/* Call i must have returned i; drops the futures. */
static struct tally tally_map(lithops_executor *opened, const lithops_function *function,
                              int64_t calls, const lithops_map_options *options)
{
    static int64_t pids[CALLS];
    lithops_futures *futures =
        not_null(lithops_map(opened, function, lithops_range(0, calls), options, &err));
    succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
    assert_int_equal(lithops_futures_size(futures), calls);
    for (int64_t i = 0; i < calls; i++) {
        lithops_payload out;
        succeeds(lithops_futures_payload(futures, (size_t)i, &out, &err));
        assert_int_equal(out.content, LITHOPS_CONTENT_INT);
        assert_int_equal(out.i & 0xfffff, i);
        pids[i] = out.i >> 20;
    }
    lithops_futures_unref(futures);
    return tally_of(pids, (size_t)calls);
}

/* ---- after a number of calls
 * --------------------------------------------------------------------- */

static void test_no_process_runs_more_calls_than_it_may(void **state)
{
    (void)state;
    lithops_map_options in_chunks = LITHOPS_MAP_OPTIONS_INIT;
    in_chunks.chunksize = 50;
    const lithops_map_options *options[] = {NULL, &in_chunks};
    for (int i = 0; i < 2; i++) {
        lithops_executor *opened =
            api_open("{\"worker_processes\": 2, \"max_tasks_per_child\": 9}");
        struct tally tally = tally_map(opened, process, CALLS, options[i]);
        assert_int_equal(tally.most, EACH);
        assert_in_range(tally.processes, CALLS / EACH, CALLS / EACH + WORKERS);
        assert_in_range(tally.fewer, 0, WORKERS); /* those that still exist */
        lithops_executor_close(opened);
    }
}

static void test_each_call_in_a_process_of_its_own(void **state)
{
    (void)state;
    lithops_executor *opened = api_open("{\"worker_processes\": 2, \"max_tasks_per_child\": 1}");
    struct tally tally = tally_map(opened, process, 100, NULL);
    assert_int_equal(tally.processes, 100);
    for (int i = 0; i < 10; i++)
        (void)tally_map(opened, process, 1, NULL);
    lithops_futures *futures; /* also reducers, which the last map call makes ready */
    for (int i = 0; i < 10; i++) {
        succeeds(
            lithops_map_reduce(opened, process, lithops_range(0, 11), sum, NULL, &futures, &err));
        results_are(futures, "55");
    }
    lithops_executor_close(opened);
}

static void test_without_the_key_processes_stay(void **state)
{
    (void)state;
    assert_in_range(tally_map(fexec, process, CALLS, NULL).processes, 1, WORKERS);
}

/* ---- memory that calls leave ----------------------------------------------------------------- */

#define SKIP_UNDER_TSAN()                                                                          \
    do {                                                                                           \
        if (UNDER_TSAN) {                                                                          \
            print_message("skipped: its shadow memory is most of what a process has\n");           \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void test_what_calls_leave_is_no_later_calls_harm(void **state)
{
    (void)state;
    SKIP_UNDER_TSAN();
    lithops_executor *opened = api_open("{\"worker_processes\": 1, \"runtime_memory\": 300}");
    struct tally tally = tally_map(opened, leak, 40, NULL);
    assert_in_range(tally.processes, 4, 8); /* each runs some, up to half of the limit */
    tally = tally_map(opened, leak_little, CALLS, NULL);
    assert_in_range(tally.processes, 2, 5);
    lithops_executor_close(opened);
}

static void test_a_job_with_a_lower_limit_finds_its_half(void **state)
{
    (void)state;
    SKIP_UNDER_TSAN();
    lithops_executor *opened = api_open("{\"worker_processes\": 1}");
    assert_int_equal(tally_map(opened, leak, 10, NULL).processes, 1);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.runtime_memory_mb = 100;
    (void)tally_map(opened, leak, 6, &options);
    lithops_executor_close(opened);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_process_runs_more_calls_than_it_may),
        cmocka_unit_test(test_each_call_in_a_process_of_its_own),
        cmocka_unit_test(test_without_the_key_processes_stay),
        cmocka_unit_test(test_what_calls_leave_is_no_later_calls_harm),
        cmocka_unit_test(test_a_job_with_a_lower_limit_finds_its_half),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
