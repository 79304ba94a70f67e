/* SPDX-License-Identifier: Apache-2.0 */
/* map_reduce of no-op calls, hot: from lithops_map_reduce() to the reducer's result.
 *
 *     reduce CALLS ROUNDS */
#include "ours/ours.h"

LITHOPS_FUNCTION(noop)
{
    return lithops_return_int(call, lithops_call_int(call));
}

LITHOPS_FUNCTION(sum)
{
    int64_t total = 0, one;
    int more;
    while ((more = lithops_call_next_result(call, "I", &one)) > 0)
        total += one;
    return more < 0 ? more : lithops_return_int(call, total);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    int64_t calls = bench_argument(argc, argv, 1, 100);
    int rounds = (int)bench_argument(argc, argv, 2, 500);
    double *times = calloc((size_t)rounds + 1, sizeof *times);
    lithops_executor *fexec = ours_open();
    ours_warm_up(fexec, noop, 1000);
    for (int r = -20; r < rounds; r++) {
        int64_t total = 0;
        lithops_futures *fs = NULL;
        double start = bench_now();
        ours_check(
            lithops_map_reduce(fexec, noop, lithops_range(0, calls), sum, NULL, &fs, &ours_error));
        ours_check(lithops_get_result(fexec, fs, NULL, &ours_error, "I", &total));
        if (r >= 0)
            times[r] = bench_now() - start;
        if (total != calls * (calls - 1) / 2)
            bench_die("a wrong result");
        ours_check(lithops_clean(fexec, fs, NULL, &ours_error));
        lithops_futures_unref(fs);
    }
    bench_report("seconds", bench_median(times, rounds));
    lithops_executor_close(fexec);
    free(times);
    return 0;
}
