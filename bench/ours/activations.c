/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a client for activations that were taken and have not begun: workers by events of
 * AWS Lambda, through S3, where bench/endpoint.c takes each event and runs none.
 *
 *     endpoint 0 activations COUNT     bytes and threads for each */
#include "ours/ours.h"
#include "processes.h"

LITHOPS_FUNCTION(step)
{
    return lithops_return_int(call, 0);
}

static lithops_value *text(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        bench_die("run this by tests/servers/with-s3, and by endpoint");
    return ours_have(lithops_value_string(value));
}

static lithops_executor *open_with(int64_t workers)
{
    lithops_value *s3 = ours_have(lithops_pack(
        "{s:s,s:s,s:o,s:o,s:o}", "region", "us-east-1", "storage_bucket", "bench", "endpoint",
        text("LITHOPS_TEST_S3_ENDPOINT"), "access_key_id", text("LITHOPS_TEST_S3_ACCESS_KEY"),
        "secret_access_key", text("LITHOPS_TEST_S3_SECRET_KEY")));
    lithops_value *lambda = ours_have(
        lithops_pack("{s:s,s:o,s:s,s:s,s:s,s:s,s:I,s:i}", "region", "us-east-1", "endpoint",
                     text("LITHOPS_BENCH_ENDPOINT"), "access_key_id", "key", "secret_access_key",
                     "secret", "execution_role", "arn:aws:iam::123456789012:role/lithops",
                     "invocation", "event", "max_workers", workers, "worker_processes", 1));
    lithops_value *config =
        ours_have(lithops_pack("{s:{s:s,s:s},s:o,s:o}", "lithops", "backend", "aws_lambda",
                               "storage", "aws_s3", "aws_s3", s3, "aws_lambda", lambda));
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.config = config;
    lithops_executor *fexec = ours_have(lithops_executor_open(&options, &ours_error));
    lithops_value_free(config);
    return fexec;
}

static double own_bytes(void)
{
    char buf[4096];
    const char *pss =
        processes_read("self", "smaps_rollup", buf, sizeof buf) ? strstr(buf, "\nPss:") : NULL;
    return pss ? strtod(pss + 5, NULL) * 1024 : 0;
}

static double own_threads(void)
{
    char buf[4096];
    const char *threads =
        processes_read("self", "status", buf, sizeof buf) ? strstr(buf, "\nThreads:") : NULL;
    return threads ? strtod(threads + 9, NULL) : 0;
}

/* Until it has not grown for a second. */
static void settle(void)
{
    double before = 0, now = own_threads();
    for (int i = 0; i < 60 && now > before; i++) {
        before = now;
        bench_sleep_ms(1000);
        now = own_threads();
    }
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    int64_t count = bench_argument(argc, argv, 1, 300);
    double bytes = 0, threads = 0;
    /* The difference of two, so that what is there once is not counted. */
    for (int i = 0; i < 2; i++) {
        int64_t workers = i == 0 ? 1 : 1 + count;
        double before = own_bytes(), threads_before = own_threads();
        lithops_executor *fexec = open_with(workers);
        lithops_futures *fs =
            ours_have(lithops_map(fexec, step, lithops_range(0, workers), NULL, &ours_error));
        settle();
        bytes = own_bytes() - before - bytes;
        threads = own_threads() - threads_before - threads;
        lithops_futures_cancel(fs);
        lithops_futures_unref(fs);
        lithops_executor_close(fexec);
    }
    bench_report("bytes", bytes / (double)count);
    bench_report("threads", threads / (double)count);
    return 0;
}
