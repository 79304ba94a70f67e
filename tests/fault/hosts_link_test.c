/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts behind links that are slow, or fail for a while, and hosts with another clock: results are
 * right, no worker is lost that is there, and times are the client's. */
#include "hosts.h"
#include "slow.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static char proxy_file[512];

/* A host behind the proxy; `more` is JSON of further keys, or "". */
static lithops_executor *open_slow(int delay_ms, long bytes_per_s, int retries, const char *more)
{
    char option[5000], settings[6000];
    snprintf(proxy_file, sizeof proxy_file, "%s/proxy.%ld", hosts_folder, (long)getpid());
    slow_option(delay_ms, bytes_per_s, proxy_file, option, sizeof option);
    snprintf(settings, sizeof settings,
             "{\"hosts\": [\"host1\"], \"worker_processes\": 2, \"ssh_options\": [\"%s\"]%s}",
             option, more);
    return hosts_open(settings, retries);
}

/* The worker's process: another one, if it was lost and started anew. */
LITHOPS_FUNCTION(worker_of)
{
    return lithops_return(call, "I", (int64_t)getppid());
}

static int64_t worker_now(lithops_executor *fexec)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_future *future = lithops_call_async(fexec, worker_of, lithops_value_int(0), NULL, &err);
    int64_t worker = 0;
    if (lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &worker) != 0)
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_future_unref(future);
    return worker;
}

/* The engine is there: it would take long through a slow link. */
static void send_engine(const char *host)
{
    char settings[128];
    snprintf(settings, sizeof settings, "{\"hosts\": [\"%s\"], \"worker_processes\": 1}", host);
    lithops_executor *fexec = hosts_open(settings, 0);
    fault_check_works(fexec, 1);
    lithops_executor_close(fexec);
}

/* ---- slow links ------------------------------------------------------------------------------ */

FAULT_CASE(a_delay)
{
    send_engine("host1");
    lithops_executor *fexec = open_slow(80, 100000000, 0, "");
    int64_t worker = worker_now(fexec);
    double start = fault_now();
    CHECK_INT(worker_now(fexec), worker);
    CHECK(fault_now() - start >= 0.160); /* there and back */
    fault_check_works(fexec, 10000);
    CHECK_INT(worker_now(fexec), worker);
    lithops_executor_close(fexec);
}

LITHOPS_FUNCTION(turn)
{
    lithops_bytes in;
    if (lithops_args(call, "y", "bytes", &in) != 0)
        return LITHOPS_EARG;
    char *out = malloc(in.len);
    for (size_t i = 0; out && i < in.len; i++)
        out[i] = ((const char *)in.ptr)[in.len - 1 - i];
    int rc = out ? lithops_return(call, "y", out, in.len) : LITHOPS_ENOMEM;
    free(out);
    return rc;
}

/* Some seconds of bytes in each direction, longer than a worker may be silent. */
FAULT_CASE(a_narrow_link)
{
    enum { BYTES = 3000000, CALLS = 2 };
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slow(50, 1000000, 0, ", \"worker_lost_timeout\": 2");
    int64_t worker = worker_now(fexec);
    unsigned char *bytes = malloc(BYTES);
    CHECK(bytes != NULL);
    unsigned seed = 1;
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)rand_r(&seed);
    lithops_future *futures[CALLS];
    for (size_t c = 0; c < CALLS; c++)
        futures[c] = lithops_call_async(fexec, turn, lithops_value_bytes(bytes, BYTES), NULL, &err);
    for (size_t c = 0; c < CALLS; c++) {
        lithops_bytes out;
        if (lithops_future_result(futures[c], FAULT_WAIT_MS, &err, "y", &out) != 0)
            fault_fail(__FILE__, __LINE__, err.message);
        CHECK_INT(out.len, BYTES);
        for (size_t i = 0; i < BYTES; i++)
            if (((const unsigned char *)out.ptr)[i] != bytes[BYTES - 1 - i])
                fault_fail(__FILE__, __LINE__, "another result");
        lithops_future_unref(futures[c]);
    }
    free(bytes);
    CHECK_INT(worker_now(fexec), worker);
    lithops_executor_close(fexec);
}

/* ---- links that fail for a while ------------------------------------------------------------- */

FAULT_CASE(cut_and_restored_in_time)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slow(10, 100000000, 0, ", \"worker_lost_timeout\": 30");
    int64_t worker = worker_now(fexec);
    lithops_futures *futures = lithops_map(fexec, fault_square, lithops_range(0, 1000), NULL, &err);
    CHECK_INT(kill(slow_pid(proxy_file), SIGSTOP), 0);
    poll(NULL, 0, 3000); /* that the network is away for, not a wait for something */
    CHECK_INT(kill(slow_pid(proxy_file), SIGCONT), 0);
    fault_await_all(futures);
    CHECK_INT(fault_check_squares(futures, 1000, 0), 0);
    lithops_futures_unref(futures);
    CHECK_INT(worker_now(fexec), worker);
    lithops_executor_close(fexec);
}

/* Calls that had begun run again, over a new link; what they were on ends by itself. */
static void away_for_long(int how)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slow(10, 100000000, 2, ", \"worker_lost_timeout\": 2");
    int64_t worker = worker_now(fexec);
    lithops_future *nap = lithops_call_async(fexec, fault_nap, lithops_value_int(3000), NULL, &err);
    fault_check_works(fexec, 10); /* it has begun */
    pid_t proxy = slow_pid(proxy_file);
    double start = fault_now();
    CHECK_INT(kill(proxy, how), 0);
    CHECK_INT(fault_outcome(nap, &err), 0);
    CHECK(fault_now() - start >= 3);
    CHECK(worker_now(fexec) != worker);
    (void)kill(proxy, SIGCONT);
    lithops_executor_close(fexec);
}

FAULT_CASE(cut_for_long)
{
    away_for_long(SIGSTOP);
}

FAULT_CASE(cut_for_good)
{
    away_for_long(SIGKILL);
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static double number_of(const lithops_value *stats, const char *key)
{
    const lithops_value *value = lithops_value_get(stats, key);
    if (!value)
        fault_fail(__FILE__, __LINE__, key);
    return lithops_value_get_double(value);
}

static double wall_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

LITHOPS_FUNCTION(clocks)
{
    struct timespec steady;
    clock_gettime(CLOCK_MONOTONIC, &steady);
    poll(NULL, 0, 200);
    return lithops_return(call, "[ff]", wall_now(),
                          (double)steady.tv_sec + (double)steady.tv_nsec / 1e9);
}

/* A call's times are in order, its duration is right, and no time is the host's. */
static void check_times(lithops_executor *fexec, double off_wall_s, double off_steady_s)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    double wall, steady, before = wall_now();
    struct timespec own;
    clock_gettime(CLOCK_MONOTONIC, &own);
    lithops_future *future = lithops_call_async(fexec, clocks, lithops_value_int(0), NULL, &err);
    if (lithops_future_result(future, FAULT_WAIT_MS, &err, "[ff]", &wall, &steady) != 0)
        fault_fail(__FILE__, __LINE__, err.message);
    double after = wall_now();
    lithops_value *stats = lithops_future_stats(future);
    double start = number_of(stats, "worker_func_start_tstamp");
    double end = number_of(stats, "worker_func_end_tstamp");
    CHECK(before <= start + 0.01 && start < end && end <= after + 0.01);
    CHECK(end - start >= 0.19);
    CHECK(number_of(stats, "host_submit_tstamp") <= start + 0.01);
    CHECK(end <= number_of(stats, "host_status_done_tstamp") + 0.01);
    CHECK(wall - before >= off_wall_s - 10 && wall - after <= off_wall_s + 10);
    double steady_off = steady - ((double)own.tv_sec + (double)own.tv_nsec / 1e9);
    CHECK(steady_off >= off_steady_s && steady_off <= off_steady_s + 100);
    lithops_value_free(stats);
    lithops_future_unref(future);
}

/* A host whose time since it started is a day more, and one whose time of day is an hour more. */
static void other_clock(const char *host, double off_wall_s, double off_steady_s)
{
    char settings[128], usual[512];
    snprintf(usual, sizeof usual, "%s/%s.usual", hosts_folder, host);
    if (access(usual, F_OK) == 0)
        fault_skip("no libfaketime, or no time namespaces");
    snprintf(settings, sizeof settings, "{\"hosts\": [\"%s\"], \"worker_processes\": 2}", host);
    lithops_executor *fexec = hosts_open(settings, 0);
    int64_t worker = worker_now(fexec);
    for (int i = 0; i < 5; i++)
        check_times(fexec, off_wall_s, off_steady_s);
    /* Its time limits are its own: a long one is kept, a short one is missed. */
    lithops_error err = LITHOPS_ERROR_INIT;
    CHECK_INT(
        fault_call_limited(fexec, fault_nap, lithops_value_int(100), 60000, LITHOPS_DEFAULT, &err),
        0);
    CHECK_INT(
        fault_call_limited(fexec, fault_nap, lithops_value_int(600000), 500, LITHOPS_DEFAULT, &err),
        LITHOPS_ETIMEOUT);
    fault_check_works(fexec, 1000);
    CHECK_INT(worker_now(fexec), worker);
    lithops_executor_close(fexec);
}

FAULT_CASE(another_time_since_start)
{
    other_clock("yesterday", 0, 86400);
}

FAULT_CASE(another_time_of_day)
{
    other_clock("ahead", 3600, 0);
}

/* Side by side with one whose clocks are right. */
FAULT_CASE(hosts_with_different_clocks)
{
    lithops_executor *fexec =
        hosts_open("{\"hosts\": [\"host1\", \"ahead\", \"yesterday\"], \"worker_processes\": 2, "
                   "\"min_hosts\": 3}",
                   0);
    lithops_error err = LITHOPS_ERROR_INIT;
    double before = wall_now();
    lithops_futures *futures = lithops_map(fexec, fault_nap, lithops_range(0, 60), NULL, &err);
    fault_await_all(futures);
    double after = wall_now();
    for (size_t i = 0; i < 60; i++) {
        lithops_value *stats = lithops_future_stats(lithops_futures_get(futures, i));
        CHECK(number_of(stats, "worker_func_start_tstamp") >= before - 0.01);
        CHECK(number_of(stats, "worker_func_end_tstamp") <= after + 0.01);
        lithops_value_free(stats);
    }
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    slow_main(argc, argv);
    lithops_init(&argc, &argv);
    hosts_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delay),
        cmocka_unit_test(a_narrow_link),
        cmocka_unit_test(cut_and_restored_in_time),
        cmocka_unit_test(cut_for_long),
        cmocka_unit_test(cut_for_good),
        cmocka_unit_test(another_time_since_start),
        cmocka_unit_test(another_time_of_day),
        cmocka_unit_test(hosts_with_different_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
