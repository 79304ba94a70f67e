/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs through an S3 server behind a proxy that cuts, delays, repeats and answers requests of
 * clients and workers, by plans that seeds make; in half of them workers are killed, too.
 *
 * Each call has one outcome: its own, or an error that says what was lost. Nothing is left in the
 * bucket. plans_test [COUNT [FIRST]] runs COUNT plans; `make soak-plans PLANS=1000`. */
#include "../conformance/http_proxy.h"
#include "fault.h"

#include <lithops/plugin/runtime.h>

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { SQUARES = 60, LONG = 6, LONG_BYTES = 300000, ODD = 20, MANY_PLANS = 3 };

static unsigned seed;
static lithops_error err = LITHOPS_ERROR_INIT;

static unsigned draw(unsigned *state, unsigned below)
{
    return (unsigned)rand_r(state) % below;
}

/* ---- jobs -------------------------------------------------------------------------------------
 */

LITHOPS_FUNCTION(long_result)
{
    unsigned char *bytes = malloc(LONG_BYTES);
    if (!bytes)
        return LITHOPS_ENOMEM;
    memset(bytes, (int)lithops_call_int(call), LONG_BYTES);
    int rc = lithops_return_bytes(call, bytes, LONG_BYTES);
    free(bytes);
    return rc;
}

LITHOPS_FUNCTION(fail_at_odds)
{
    int64_t x = lithops_call_int(call);
    return x % 2 ? lithops_fail(call, "%lld is odd", (long long)x) : lithops_return_int(call, x);
}

static lithops_value *storage_section(const char *endpoint)
{
    return lithops_pack("{s:s,s:s,s:s,s:s}", "endpoint", endpoint, "access_key_id",
                        getenv("LITHOPS_TEST_S3_ACCESS_KEY"), "secret_access_key",
                        getenv("LITHOPS_TEST_S3_SECRET_KEY"), "storage_bucket", "plans");
}

static lithops_executor *open_executor(const char *endpoint, bool kills)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config =
        lithops_pack("{s:{s:s,s:s,s:i,s:f},s:o,s:{s:s,s:i,s:i}}", "lithops", "backend", "process",
                     "storage", "aws_s3", "call_retries", kills ? 2 : 0, "monitoring_interval", 0.2,
                     "aws_s3", storage_section(endpoint), "process", "transport", "storage",
                     "workers", 2, "worker_processes", 1);
    options.config = config;
    lithops_executor *fexec = lithops_executor_open(&options, &err);
    lithops_value_free(config);
    if (!fexec)
        fault_fail(__FILE__, __LINE__, err.message);
    return fexec;
}

/* What a worker or the storage may do to a call. */
static bool is_lost(int code)
{
    return code == LITHOPS_ECRASH || code == LITHOPS_EBACKEND || code == LITHOPS_ETIMEDOUT ||
           code == LITHOPS_EIO || code == LITHOPS_EPARSE || code == LITHOPS_ETHROTTLED;
}

/* A call that did not end with its own outcome says why. */
static void check_loss(const lithops_error *error, const char *what, size_t call)
{
    if (!is_lost(error->code) || !error->message[0]) {
        char text[900];
        snprintf(text, sizeof text, "plan %u: %s %zu: code %d: %s", seed, what, call, error->code,
                 error->message);
        fault_fail(__FILE__, __LINE__, text);
    }
}

static size_t check_long(lithops_futures *calls)
{
    size_t lost = 0;
    for (size_t i = 0; i < LONG; i++) {
        lithops_bytes bytes;
        lithops_error error = LITHOPS_ERROR_INIT;
        lithops_future *call = lithops_futures_get(calls, i);
        if (lithops_future_result(call, 0, &error, "y", &bytes.ptr, &bytes.len) != 0) {
            check_loss(&error, "long result", i);
            lost++;
        } else {
            CHECK_INT(bytes.len, LONG_BYTES);
            for (size_t b = 0; b < bytes.len; b++)
                CHECK(((const unsigned char *)bytes.ptr)[b] == i);
        }
        lithops_future_unref(call);
    }
    return lost;
}

static size_t check_ints(lithops_futures *calls, size_t count, bool are_squares)
{
    size_t lost = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t result;
        lithops_error error = LITHOPS_ERROR_INIT;
        int rc = lithops_futures_int(calls, i, &result, &error);
        if (rc == 0) {
            CHECK(are_squares || i % 2 == 0);
            CHECK_INT(result, are_squares ? i * i : i);
        } else if (are_squares || rc != LITHOPS_ECALL || !strstr(error.message, "is odd")) {
            check_loss(&error, are_squares ? "square" : "odd", i);
            lost++;
        }
    }
    return lost;
}

static void kill_some(unsigned *random)
{
    pid_t pids[16];
    for (unsigned i = 0; i < 2; i++) {
        poll(NULL, 0, (int)draw(random, 300));
        size_t count = fault_children(pids, 16);
        if (count > 0)
            (void)kill(pids[draw(random, (unsigned)count)], SIGKILL);
    }
}

static size_t run_jobs(lithops_executor *fexec, bool kills, unsigned *random)
{
    size_t lost = 0;
    lithops_futures *squares =
        lithops_map(fexec, fault_square, lithops_range(0, SQUARES), NULL, &err);
    lithops_futures *longs = lithops_map(fexec, long_result, lithops_range(0, LONG), NULL, &err);
    lithops_futures *odds = lithops_map(fexec, fail_at_odds, lithops_range(0, ODD), NULL, &err);
    CHECK(squares && longs && odds);
    if (kills)
        kill_some(random);
    fault_await_all(squares);
    fault_await_all(longs);
    fault_await_all(odds);
    lost += check_ints(squares, SQUARES, true);
    lost += check_long(longs);
    lost += check_ints(odds, ODD, false);
    lithops_futures_unref(squares);
    lithops_futures_unref(longs);
    lithops_futures_unref(odds);
    return lost;
}

/* ---- plans ------------------------------------------------------------------------------------
 */

struct left {
    lithops_storage *storage;
    size_t count;
};

static int complain(const lithops_object_info *info, void *user)
{
    struct left *left = user;
    lithops_object_info seen;
    int rc = lithops_storage_head(left->storage, "plans", info->key, &seen, NULL);
    fprintf(stderr, "plan %u: the bucket still has %s%s\n", seed, info->key,
            rc == LITHOPS_ENOTFOUND ? ", which is listed and not there" : "");
    left->count++;
    return 0;
}

static size_t count_left(const char *server)
{
    lithops_value *config = lithops_pack("{s:o}", "aws_s3", storage_section(server));
    struct left left = {.storage = lithops_storage_open_config("aws_s3", config, &err)};
    lithops_value_free(config);
    if (!left.storage)
        fault_fail(__FILE__, __LINE__, err.message);
    int rc = lithops_storage_list(left.storage, "plans", NULL, complain, &left, &err);
    CHECK(rc == 0 || rc == LITHOPS_ENOTFOUND);
    lithops_storage_close(left.storage);
    return left.count;
}

static void run_plan(void)
{
    const char *server = getenv("LITHOPS_TEST_S3_ENDPOINT");
    char endpoint[64];
    unsigned random = seed;
    unsigned one_of = 3 + draw(&random, 24);
    bool kills = draw(&random, 2);
    int port;
    struct http_proxy *proxy = http_proxy_start(server, seed, one_of, &port);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", port);
    double start = fault_now();
    lithops_executor *fexec = open_executor(endpoint, kills);
    size_t lost = run_jobs(fexec, kills, &random);
    lithops_executor_close(fexec);
    size_t disturbed = http_proxy_stop(proxy);
    fprintf(stderr, "plan %u: one of %u, %zu requests disturbed%s, %zu calls lost, %.1f s\n", seed,
            one_of, disturbed, kills ? ", workers killed" : "", lost, fault_now() - start);
    CHECK_INT(count_left(server), 0);
}

static int plans = MANY_PLANS;

static void all_plans(void **state)
{
    (void)state;
    for (int i = 0; i < plans; i++, seed++)
        fault_run("plan", run_plan);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (!getenv("LITHOPS_TEST_S3_ENDPOINT")) {
        print_message("run this by tests/servers/with-s3\n");
        return 1;
    }
    setenv("no_proxy", "*", 1);
    plans = argc > 1 ? atoi(argv[1]) : MANY_PLANS;
    seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_plans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
