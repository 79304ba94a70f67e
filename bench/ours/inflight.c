/* SPDX-License-Identifier: Apache-2.0 */
/* The client's memory for calls that were sent to workers elsewhere and are not done.
 *
 *     inflight CALLS */
#include "ours/ours.h"
#include "processes.h"

enum { LINKS = 4, PROCESSES = 2 };

/* 0 ends at once; anything else never does. */
LITHOPS_FUNCTION(step)
{
    while (lithops_call_int(call) != 0)
        bench_sleep_ms(1000);
    return 0;
}

/* This process alone. */
static double own_bytes(void)
{
    char text[4096];
    const char *pss =
        processes_read("self", "smaps_rollup", text, sizeof text) ? strstr(text, "\nPss:") : NULL;
    return pss ? strtod(pss + 5, NULL) * 1024 : 0;
}

static int64_t count_running(const lithops_futures *fs)
{
    int64_t running = 0;
    for (size_t i = 0; i < lithops_futures_size(fs); i++)
        running += lithops_futures_state(fs, i) == LITHOPS_RUNNING;
    return running;
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    int64_t calls = bench_argument(argc, argv, 1, 100000);
    lithops_executor *fexec = ours_open_links(LINKS, PROCESSES);
    lithops_value *zeros = ours_have(lithops_value_list());
    for (int i = 0; i < 300000; i++)
        ours_check(lithops_value_append(zeros, lithops_value_int(0)));
    lithops_futures *fs = ours_have(lithops_map(fexec, step, zeros, NULL, &ours_error));
    ours_check(lithops_wait(fexec, fs, NULL, NULL, NULL, &ours_error)); /* they are short: credit */
    ours_check(lithops_clean(fexec, fs, NULL, &ours_error));
    lithops_futures_unref(fs);
    double before = own_bytes();
    fs = ours_have(lithops_map(fexec, step, lithops_range(1, 2 * calls), NULL, &ours_error));
    double limit = bench_now() + 20;
    while (count_running(fs) < calls && bench_now() < limit)
        bench_sleep_ms(10);
    bench_report("in_flight", (double)count_running(fs));
    bench_report("bytes", own_bytes() - before);
    lithops_futures_cancel(fs);
    lithops_futures_unref(fs);
    lithops_executor_close(fexec);
    return 0;
}
