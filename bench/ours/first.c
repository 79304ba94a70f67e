/* SPDX-License-Identifier: Apache-2.0 */
/* The time from opening an executor with hosts to the first result.
 *
 *     first hosts=N [cold]   cold: they have nothing in their caches */
#include "ours/ours.h"

LITHOPS_FUNCTION(square)
{
    int64_t x = lithops_call_int(call);
    return lithops_return_int(call, x * x);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    int hosts = argc > 1 && strncmp(argv[1], "hosts=", 6) == 0 ? atoi(argv[1] + 6) : 0;
    if (hosts < 1)
        bench_die("usage: first hosts=N [cold]");
    for (int i = 1; argc > 2 && strcmp(argv[2], "cold") == 0 && i <= hosts; i++) {
        char command[64];
        snprintf(command, sizeof command, "ssh -Tn host%d rm -rf .cache/lithops", i);
        if (system(command) != 0)
            bench_die("cannot empty the cache of a host");
    }
    double begin = bench_now();
    lithops_executor *fexec = ours_open_over(&argc, argv);
    int64_t result = 0;
    lithops_future *f =
        ours_have(lithops_call_async(fexec, square, lithops_value_int(7), NULL, &ours_error));
    ours_check(lithops_future_result(f, LITHOPS_FOREVER, &ours_error, "I", &result));
    bench_report("seconds", bench_now() - begin);
    if (result != 49)
        bench_die("a wrong result");
    lithops_future_unref(f);
    lithops_executor_close(fexec);
    return 0;
}
