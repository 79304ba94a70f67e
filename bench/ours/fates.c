/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of calls whose workers never say anything. For bench/kubernetes-scale; the
 * configuration is in LITHOPS_CONFIG_FILE.
 *
 *     fates CALLS    how many are done and have failed, what the first of them says, seconds to the
 *                    last outcome and for closing, and what this process needed for it */
#include "ours/ours.h"

#include <sys/resource.h>

LITHOPS_FUNCTION(nothing)
{
    return lithops_return_int(call, 0);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    int calls = argc == 2 ? atoi(argv[1]) : 0;
    if (calls < 1)
        bench_die("usage: fates CALLS");
    lithops_executor *fexec = ours_have(lithops_executor_open(NULL, &ours_error));
    double begin = bench_now();
    lithops_futures *fs =
        ours_have(lithops_map(fexec, nothing, lithops_range(0, calls), NULL, &ours_error));
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.throw_except = false;
    ours_check(lithops_wait(fexec, fs, &options, NULL, NULL, &ours_error));
    bench_report("seconds", bench_now() - begin);
    int failed = 0, silent = 0;
    for (int i = 0; i < calls; i++) {
        lithops_future *f = ours_have(lithops_futures_get(fs, (size_t)i));
        lithops_error why = LITHOPS_ERROR_INIT;
        if (lithops_future_error(f, &why) != 0) {
            if (failed == 0)
                printf("says %s\n", why.message);
            failed++;
            silent += why.message[0] == '\0';
        }
        lithops_future_unref(f);
    }
    bench_report("done", (double)lithops_futures_done(fs));
    bench_report("failed", failed);
    bench_report("failed_without_a_word", silent);
    lithops_futures_unref(fs);
    begin = bench_now();
    lithops_executor_close(fexec);
    bench_report("close_seconds", bench_now() - begin);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    bench_report("cpu_seconds", seconds_of(used.ru_utime) + seconds_of(used.ru_stime));
    bench_report("most_mib", (double)used.ru_maxrss / 1024);
    return 0;
}
