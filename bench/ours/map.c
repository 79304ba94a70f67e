/* SPDX-License-Identifier: Apache-2.0 */
/* A map of no-op calls, from lithops_map() to the end of lithops_wait(), each with a result and a
 * status; and the memory of its futures.
 *
 *     map [links=N] CALLS ROUNDS   seconds, and bytes per future
 *     map separate CALLS           bytes per future when each is a call of its own */
#include "ours/ours.h"
#include "processes.h"

LITHOPS_FUNCTION(noop)
{
    return lithops_return_int(call, lithops_call_int(call));
}

static double sum_results(const lithops_futures *fs)
{
    double sum = 0;
    for (size_t i = 0; i < lithops_futures_size(fs); i++) {
        int64_t result = 0;
        ours_check(lithops_futures_int(fs, i, &result, &ours_error));
        if (lithops_futures_state(fs, i) != LITHOPS_SUCCESS)
            bench_die("a call without its status");
        sum += (double)result;
    }
    return sum;
}

/* @return seconds; drops the futures unless the caller wants them */
static double map_once(lithops_executor *fexec, int64_t calls, double *ret_sum,
                       lithops_futures **ret_futures)
{
    double start = bench_now();
    lithops_futures *fs =
        ours_have(lithops_map(fexec, noop, lithops_range(0, calls), NULL, &ours_error));
    ours_check(lithops_wait(fexec, fs, NULL, NULL, NULL, &ours_error));
    double seconds = bench_now() - start;
    *ret_sum = sum_results(fs);
    if (ret_futures) {
        *ret_futures = fs;
        return seconds;
    }
    ours_check(lithops_clean(fexec, fs, NULL, &ours_error));
    lithops_futures_unref(fs);
    return seconds;
}

static void map(lithops_executor *fexec, int64_t calls, int rounds)
{
    struct process_use before, after;
    double sum, times[1000];
    rounds = rounds < 1000 ? rounds : 1000;
    lithops_futures *fs;
    processes_use(&before);
    map_once(fexec, calls, &sum, &fs); /* warms up, too */
    processes_use(&after);
    lithops_futures_unref(fs);
    ours_check(lithops_clean(fexec, NULL, NULL, &ours_error));
    for (int r = 0; r < rounds; r++)
        times[r] = map_once(fexec, calls, &sum, NULL);
    bench_report("seconds", bench_median(times, rounds));
    bench_report("bytes", (double)(after.pss_bytes - before.pss_bytes) / (double)calls);
    bench_report("sum", sum);
}

static void hold_separate(lithops_executor *fexec, int64_t calls)
{
    lithops_future **held = calloc((size_t)calls, sizeof(lithops_future *));
    if (!held)
        bench_die("no memory");
    memset(held, 1,
           (size_t)calls * sizeof(lithops_future *)); /* does not count the program's own array */
    struct process_use before, after;
    processes_use(&before);
    for (int64_t i = 0; i < calls; i++)
        held[i] =
            ours_have(lithops_call_async(fexec, noop, lithops_value_int(i), NULL, &ours_error));
    double sum = 0;
    for (int64_t i = 0; i < calls; i++) {
        int64_t result = 0;
        ours_check(lithops_future_result(held[i], LITHOPS_FOREVER, &ours_error, "I", &result));
        sum += (double)result;
    }
    processes_use(&after);
    bench_report("bytes", (double)(after.pss_bytes - before.pss_bytes) / (double)calls);
    bench_report("sum", sum);
    for (int64_t i = 0; i < calls; i++)
        lithops_future_unref(held[i]);
    free(held);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    lithops_executor *fexec = ours_open_over(&argc, argv);
    ours_warm_up(fexec, noop, 1000);
    if (argc > 1 && strcmp(argv[1], "separate") == 0)
        hold_separate(fexec, bench_argument(argc, argv, 2, 1000000));
    else
        map(fexec, bench_argument(argc, argv, 1, 1000000), (int)bench_argument(argc, argv, 2, 15));
    lithops_executor_close(fexec);
    return 0;
}
