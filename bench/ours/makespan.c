/* SPDX-License-Identifier: Apache-2.0 */
/* One long call in the middle of many short ones: how long all take, over the ideal, which is the
 * sum of their times over the number of worker processes; and how long worker processes were idle
 * before the last call began, that is, while calls waited.
 *
 *     makespan SHORTS SHORT_US LONG_MS */
#include "ours/ours.h"

struct ran {
    int64_t pid;
    double begin, end;
};

LITHOPS_FUNCTION(spin)
{
    struct ran ran = {.pid = getpid(), .begin = bench_now()};
    double end = ran.begin + (double)lithops_call_int(call) * 1e-6;
    while ((ran.end = bench_now()) < end)
        bench_pause();
    return lithops_return_bytes(call, &ran, sizeof ran);
}

enum { MAX_PIDS = 1024 };

struct worker {
    int64_t pid;
    double busy; /* before the last begin */
};

static struct worker *find_worker(struct worker *workers, int *count, int64_t pid)
{
    for (int i = 0; i < *count; i++)
        if (workers[i].pid == pid)
            return &workers[i];
    if (*count == MAX_PIDS)
        bench_die("too many worker processes");
    workers[*count] = (struct worker){.pid = pid};
    return &workers[(*count)++];
}

static struct ran get_ran(const lithops_futures *fs, size_t i)
{
    lithops_bytes bytes;
    struct ran ran;
    ours_check(lithops_futures_bytes(fs, i, &bytes, &ours_error));
    if (bytes.len != sizeof ran)
        bench_die("a wrong result");
    memcpy(&ran, bytes.ptr, sizeof ran);
    return ran;
}

static void report(const lithops_futures *fs, double start, double seconds, double work)
{
    static struct worker workers[MAX_PIDS];
    int count = 0;
    double last_begin = 0, idle = 0;
    for (size_t i = 0; i < lithops_futures_size(fs); i++) {
        double begin = get_ran(fs, i).begin;
        last_begin = begin > last_begin ? begin : last_begin;
    }
    for (size_t i = 0; i < lithops_futures_size(fs); i++) {
        struct ran ran = get_ran(fs, i);
        struct worker *worker = find_worker(workers, &count, ran.pid);
        double end = ran.end < last_begin ? ran.end : last_begin;
        worker->busy += end - ran.begin;
    }
    for (int i = 0; i < count; i++)
        idle += last_begin - start - workers[i].busy;
    bench_report("over_ideal", seconds / (work / count));
    bench_report("workers", count);
    bench_report("idle", idle / (last_begin - start) / count);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    size_t shorts = (size_t)bench_argument(argc, argv, 1, 10000);
    int64_t short_us = bench_argument(argc, argv, 2, 100);
    int64_t long_us = bench_argument(argc, argv, 3, 500) * 1000;
    int64_t *inputs = calloc(shorts + 1, sizeof *inputs);
    if (!inputs)
        bench_die("no memory");
    for (size_t i = 0; i <= shorts; i++)
        inputs[i] = i == shorts / 2 ? long_us : short_us;
    lithops_executor *fexec = ours_open();
    ours_warm_up(fexec, spin, 1000); /* 0 to 999 us each: every worker process is needed */
    double start = bench_now();
    lithops_futures *fs =
        ours_have(lithops_map(fexec, spin, lithops_ints(inputs, shorts + 1), NULL, &ours_error));
    ours_check(lithops_wait(fexec, fs, NULL, NULL, NULL, &ours_error));
    double seconds = bench_now() - start;
    report(fs, start, seconds, ((double)shorts * (double)short_us + (double)long_us) * 1e-6);
    lithops_futures_unref(fs);
    lithops_executor_close(fexec);
    free(inputs);
    return 0;
}
