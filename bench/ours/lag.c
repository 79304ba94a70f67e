/* SPDX-License-Identifier: Apache-2.0 */
/* From a worker's last status to the client's knowing, where a storage, a folder here, is between
 * them, and perhaps a broker: lag storage|rabbitmq|redis|azure_queue|aws_sqs|gcp_pubsub ROUNDS
 *
 * Each call is alone and takes 50 ms. The clock is the same on both sides. */
#include "ours/ours.h"

LITHOPS_FUNCTION(rest)
{
    bench_sleep_ms(50);
    return lithops_return_int(call, lithops_call_int(call));
}

static lithops_value *section_of(const char *monitoring)
{
    if (strcmp(monitoring, "rabbitmq") == 0)
        return lithops_pack("{s:s}", "amqp_url", getenv("LITHOPS_TEST_AMQP_URL"));
    if (strcmp(monitoring, "redis") == 0)
        return lithops_pack("{s:s,s:i,s:s}", "host", "localhost", "port",
                            atoi(getenv("LITHOPS_TEST_REDIS_PORT")), "password",
                            getenv("LITHOPS_TEST_REDIS_PASSWORD"));
    if (strcmp(monitoring, "azure_queue") == 0)
        return lithops_pack("{s:s,s:s,s:s}", "storage_account_name",
                            getenv("LITHOPS_TEST_AZURE_QUEUE_ACCOUNT"), "storage_account_key",
                            getenv("LITHOPS_TEST_AZURE_QUEUE_KEY"), "endpoint",
                            getenv("LITHOPS_TEST_AZURE_QUEUE_ENDPOINT"));
    if (strcmp(monitoring, "aws_sqs") == 0)
        return lithops_pack("{s:s,s:s,s:s,s:s}", "region", "us-east-1", "access_key_id", "x",
                            "secret_access_key", "x", "endpoint",
                            getenv("LITHOPS_TEST_SQS_ENDPOINT"));
    if (strcmp(monitoring, "gcp_pubsub") == 0)
        return lithops_pack("{s:s,s:s}", "credentials_path",
                            getenv("LITHOPS_TEST_PUBSUB_CREDENTIALS"), "endpoint",
                            getenv("LITHOPS_TEST_PUBSUB_ENDPOINT"));
    return lithops_value_map();
}

static lithops_executor *open_through(const char *monitoring)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = ours_have(lithops_pack(
        "{s:{s:s,s:s},s:{s:s,s:i,s:i}}", "lithops", "backend", "process", "storage", "localhost",
        "process", "transport", "storage", "workers", 1, "worker_processes", 1));
    if (strcmp(monitoring, "storage") != 0)
        ours_check(lithops_value_set(config, monitoring, section_of(monitoring)));
    options.config = config;
    options.monitoring = monitoring;
    lithops_executor *fexec = ours_have(lithops_executor_open(&options, &ours_error));
    lithops_value_free(config);
    return fexec;
}

static double lag_of(lithops_executor *fexec, int64_t i)
{
    int64_t result = -1;
    lithops_future *f =
        ours_have(lithops_call_async(fexec, rest, lithops_value_int(i), NULL, &ours_error));
    ours_check(lithops_future_result(f, LITHOPS_FOREVER, &ours_error, "I", &result));
    lithops_value *stats = ours_have(lithops_future_stats(f));
    double lag = lithops_value_get_double(lithops_value_get(stats, "host_status_done_tstamp")) -
                 lithops_value_get_double(lithops_value_get(stats, "worker_end_tstamp"));
    lithops_value_free(stats);
    lithops_future_unref(f);
    if (result != i)
        bench_die("a wrong result");
    return lag;
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    int rounds = (int)bench_argument(argc, argv, 2, 100);
    double *lags = calloc((size_t)rounds, sizeof *lags);
    lithops_executor *fexec = open_through(argc > 1 ? argv[1] : "storage");
    for (int i = 0; i < 5; i++)
        (void)lag_of(fexec, i); /* the worker has come, and notices do */
    for (int i = 0; i < rounds; i++)
        lags[i] = lag_of(fexec, i);
    bench_report("seconds", bench_median(lags, rounds));
    lithops_executor_close(fexec);
    free(lags);
    return 0;
}
