/* SPDX-License-Identifier: Apache-2.0 */
/* One call and its result, again and again.
 *
 *     ping [links=N|tcp=N] hot ROUNDS     back to back
 *     ping parked ROUNDS GAP_MS     with a gap in which the worker processes and the client fall
 *                                   asleep
 *     ping [links=N|tcp=N] idle           CPU time of all processes while nothing runs */
#include "ours/ours.h"
#include "processes.h"

LITHOPS_FUNCTION(echo)
{
    return lithops_return_int(call, lithops_call_int(call));
}

static void call_once(lithops_executor *fexec, int64_t i)
{
    int64_t result = -1;
    lithops_future *f =
        ours_have(lithops_call_async(fexec, echo, lithops_value_int(i), NULL, &ours_error));
    ours_check(lithops_future_result(f, LITHOPS_FOREVER, &ours_error, "I", &result));
    lithops_future_unref(f);
    if (result != i)
        bench_die("a wrong result");
}

/* Back to back, BENCH_BATCH are timed together, as in limits/pingpong.c. */
static void ping(lithops_executor *fexec, int rounds, long gap_ms)
{
    double *times = calloc((size_t)rounds + 1, sizeof *times);
    int count = 0, batch = gap_ms ? 1 : BENCH_BATCH;
    for (int i = 0; i < rounds / 10; i++)
        call_once(fexec, i);
    for (int i = 0; i < rounds; i += batch) {
        if (gap_ms)
            bench_sleep_ms((double)gap_ms);
        double start = bench_now();
        for (int k = 0; k < batch; k++)
            call_once(fexec, i + k);
        times[count++] = (bench_now() - start) / batch;
    }
    bench_report("seconds", bench_median(times, count));
    free(times);
}

static void be_idle(void)
{
    struct process_use before, after;
    bench_sleep_ms(100); /* the end of any spinning */
    processes_use(&before);
    bench_sleep_ms(1000);
    processes_use(&after);
    bench_report("processes", after.processes);
    bench_report("ticks", (double)(after.ticks - before.ticks));
    bench_report("cpu_ns", (double)(after.cpu_ns - before.cpu_ns));
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    lithops_executor *fexec = ours_open_over(&argc, argv);
    const char *mode = argc > 1 ? argv[1] : "";
    ours_warm_up(fexec, echo, 1000);
    if (strcmp(mode, "idle") == 0)
        be_idle();
    else
        ping(fexec, (int)bench_argument(argc, argv, 2, 1000), bench_argument(argc, argv, 3, 0));
    lithops_executor_close(fexec);
    return 0;
}
