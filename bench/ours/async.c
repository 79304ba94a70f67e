/* SPDX-License-Identifier: Apache-2.0 */
/* Many separate calls, then the result of each.
 *
 *     async CALLS */
#include "ours/ours.h"

LITHOPS_FUNCTION(noop)
{
    return lithops_return_int(call, lithops_call_int(call));
}

static double run(lithops_executor *fexec, lithops_future **fs, int64_t calls, double *ret_sum)
{
    double start = bench_now(), sum = 0;
    for (int64_t i = 0; i < calls; i++)
        fs[i] = ours_have(lithops_call_async(fexec, noop, lithops_value_int(i), NULL, &ours_error));
    for (int64_t i = 0; i < calls; i++) {
        int64_t result = 0;
        ours_check(lithops_future_result(fs[i], LITHOPS_FOREVER, &ours_error, "I", &result));
        lithops_future_unref(fs[i]);
        sum += (double)result;
    }
    *ret_sum = sum;
    return bench_now() - start;
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    int64_t calls = bench_argument(argc, argv, 1, 1000000);
    lithops_future **fs = calloc((size_t)calls, sizeof(lithops_future *));
    if (!fs)
        bench_die("no memory");
    lithops_executor *fexec = ours_open();
    ours_warm_up(fexec, noop, 1000);
    double sum;
    run(fexec, fs, calls / 100, &sum);
    double seconds = run(fexec, fs, calls, &sum);
    bench_report("seconds", seconds);
    bench_report("sum", sum);
    lithops_executor_close(fexec);
    free(fs);
    return 0;
}
