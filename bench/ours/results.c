/* SPDX-License-Identifier: Apache-2.0 */
/* Results of 1 MiB, written in place, read and dropped as they come; 64 calls at a time.
 *
 *     results [links=N|tcp=N] COUNT */
#include "ours/ours.h"

enum { SIZE = 1 << 20, AHEAD = 64 };

static char source[SIZE];

LITHOPS_FUNCTION(fill)
{
    char *result = lithops_call_alloc(call, SIZE);
    if (!result)
        return LITHOPS_ENOSPACE;
    memcpy(result, source, SIZE);
    result[0] = result[SIZE - 1] = (char)lithops_call_int(call);
    return lithops_return_bytes(call, result, SIZE);
}

static lithops_future *start(lithops_executor *fexec, int64_t i)
{
    return ours_have(lithops_call_async(fexec, fill, lithops_value_int(i), NULL, &ours_error));
}

static void run(lithops_executor *fexec, int64_t count)
{
    lithops_future *ahead[AHEAD] = {NULL};
    for (int64_t i = 0; i < AHEAD && i < count; i++)
        ahead[i] = start(fexec, i);
    for (int64_t i = 0; i < count; i++) {
        lithops_future **f = &ahead[i % AHEAD];
        lithops_bytes bytes;
        ours_check(lithops_future_bytes(*f, LITHOPS_FOREVER, &bytes, &ours_error));
        const char *result = bytes.ptr;
        if (bytes.len != SIZE || result[0] != (char)i || result[SIZE - 1] != (char)i)
            bench_die("a wrong result");
        lithops_future_release(*f);
        *f = i + AHEAD < count ? start(fexec, i + AHEAD) : NULL;
    }
}

int main(int argc, char **argv)
{
    memset(source, 1, SIZE); /* before lithops_init(): in the worker processes too */
    lithops_init(&argc, &argv);
    lithops_executor *fexec = ours_open_over(&argc, argv);
    int64_t count = bench_argument(argc, argv, 1, 2000);
    run(fexec, 4 * AHEAD);
    double begin = bench_now();
    run(fexec, count);
    bench_report("bytes_per_s", (double)count * SIZE / (bench_now() - begin));
    lithops_executor_close(fexec);
    return 0;
}
