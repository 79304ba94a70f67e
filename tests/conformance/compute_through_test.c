/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the backend process, when nothing but the storage is between client
 * and workers: a folder, or the storage and the monitor that tests/servers/configured names. */
#include "../integration/api.h"
#include "compute_parts.h"
#include "compute_suite.h"

#include <lithops/plugin/runtime.h>

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static lithops_value *settings(int workers, int processes)
{
    return lithops_pack("{s:s,s:i,s:i}", "transport", "storage", "workers", workers,
                        "worker_processes", processes);
}

/* What tests/servers/configured has made; NULL: a folder of the test's, and no broker. */
static lithops_value *config;

static const char *name_of(const char *key)
{
    return lithops_value_get_string(lithops_value_get(lithops_value_get(config, "lithops"), key));
}

static lithops_value *storage_settings(void)
{
    return lithops_value_copy(lithops_value_get(config, name_of("storage")));
}

static lithops_value *monitoring_settings(void)
{
    return lithops_value_copy(lithops_value_get(config, name_of("monitoring")));
}

static bool kill_worker(void)
{
    pid_t pid = 0;
    return api_child(&pid) && kill(pid, SIGKILL) == 0;
}

static atomic_uint requests;

static void note_requests(lithops_log_level level, const char *where, const char *text, void *user)
{
    unsigned count;
    (void)level, (void)where, (void)user;
    if (sscanf(text, "%u requests to the storage", &count) == 1)
        atomic_store(&requests, count);
}

/* Where one puts three objects for each call and asks for each, a thousand calls are 4000 requests
 * at least. A tenth is the limit for both sides; the worker makes as many as the client. */
static void test_a_thousand_calls_are_few_requests(void **state)
{
    (void)state;
    lithops_executor *own = suite_open(2, 1, 0);
    lithops_futures *futures =
        not_null(lithops_map(own, suite_square, lithops_range(0, 1000), NULL, &err));
    suite_settle(futures);
    assert_int_equal(lithops_futures_done(futures), 1000);
    lithops_futures_unref(futures);
    lithops_log_to(LITHOPS_LOG_DEBUG, note_requests, NULL);
    lithops_executor_close(own);
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    assert_in_range(atomic_load(&requests), 1, 200);
}

static atomic_uint complaints;

static void note_complaints(lithops_log_level level, const char *where, const char *text,
                            void *user)
{
    (void)level, (void)where, (void)user;
    if (strstr(text, "has no effect"))
        atomic_fetch_add(&complaints, 1);
}

/* Whatever `monitoring` is here, it counts. */
static void test_the_monitor_has_an_effect(void **state)
{
    (void)state;
    lithops_log_to(LITHOPS_LOG_WARNING, note_complaints, NULL);
    lithops_executor_close(suite_open(1, 1, 0));
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    assert_int_equal(atomic_load(&complaints), 0);
}

/* What it had made is deleted, as compute_suite_left() and its like see. */
static void test_a_worker_that_hangs_at_the_end_leaves_no_queue(void **state)
{
    (void)state;
    pid_t pid = 0;
    SKIP_UNLESS(suite->monitoring &&
                    (strstr(suite->monitoring, "sqs") || strstr(suite->monitoring, "pubsub") ||
                     strstr(suite->monitoring, "queue")),
                "no monitor whose queues stay when a worker is killed");
    lithops_executor *own = suite_open(1, 1, 0);
    lithops_futures *futures =
        not_null(lithops_map(own, suite_square, lithops_range(0, 10), NULL, &err));
    suite_settle(futures);
    assert_int_equal(lithops_futures_done(futures), 10);
    lithops_futures_unref(futures);
    assert_true(api_child(&pid) && kill(pid, SIGSTOP) == 0);
    lithops_executor_close(own);
}

/* ---- the storage's secret -------------------------------------------------------------------- */

/* Where it was found. */
static struct leaks {
    const char *secret; /* NULL: there is none here */
    size_t arguments, objects, seen;
    atomic_uint logs;
} leaks;

static bool has_secret(const void *data, size_t len)
{
    return memmem(data, len, leaks.secret, strlen(leaks.secret)) != NULL;
}

static void note_log(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)level, (void)where, (void)user;
    if (has_secret(text, strlen(text)))
        atomic_fetch_add(&leaks.logs, 1);
}

/* The arguments of this process, and of all that it has started, or those have.
 * @return how many processes */
static size_t look_at_arguments(pid_t of)
{
    char path[300], text[16384];
    size_t count = 1;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)of);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, sizeof text, file) : 0;
    leaks.arguments += has_secret(text, len);
    if (file)
        fclose(file);
    snprintf(path, sizeof path, "/proc/%d/task", (int)of);
    DIR *threads = opendir(path);
    for (struct dirent *entry; threads && (entry = readdir(threads));) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)of, entry->d_name);
        file = fopen(path, "re");
        for (int child; file && fscanf(file, "%d", &child) == 1;)
            count += look_at_arguments(child);
        if (file)
            fclose(file);
    }
    if (threads)
        closedir(threads);
    return count;
}

/* With the worker and its process. While one of them starts another, the lists may lack some. */
static void look_at_all_arguments(void)
{
    for (int tries = 0; look_at_arguments(getpid()) < 3; tries++) {
        assert_in_range(tries, 0, 1000);
        usleep(10000); /* nothing tells of a child of a child */
    }
}

/* A worker is greeted with its configuration; what comes after that has none. */
static int look_at_object(const lithops_object_info *info, void *user)
{
    lithops_storage *storage = user;
    const char *bucket = lithops_storage_bucket(storage);
    void *data;
    size_t len;
    if (strstr(info->key, "/hello/") ||
        lithops_storage_get(storage, bucket, info->key, 0, SIZE_MAX, &data, &len, NULL) != 0)
        return 0;
    leaks.objects += has_secret(data, len);
    leaks.seen++;
    free(data);
    return 0;
}

/* Workers get it by their environment and what they are greeted with, and in no other way. */
static void test_the_secret_is_in_no_message_argument_or_log(void **state)
{
    (void)state;
    leaks.secret = getenv("LITHOPS_TEST_STORAGE_SECRET");
    SKIP_UNLESS(leaks.secret && suite->storage, "a storage without a secret");
    lithops_log_to(LITHOPS_LOG_DEBUG, note_log, NULL);
    lithops_storage *storage = not_null(lithops_storage_open_config(suite->storage, config, &err));
    lithops_executor *own = suite_open(1, 1, 0);
    lithops_futures *futures = not_null(lithops_map(own, suite_pause, api_json("[1]"), NULL, &err));
    suite_await_running(futures, 1);
    double limit = api_now() + LIMIT_MS / 1000.0;
    while (leaks.seen == 0 && api_now() < limit) /* a list may be behind */
        succeeds(lithops_storage_list(storage, lithops_storage_bucket(storage), "lithops.jobs/",
                                      look_at_object, storage, &err));
    look_at_all_arguments();
    assert_int_equal(lithops_futures_cancel(futures), 1);
    suite_settle(futures);
    lithops_futures_unref(futures);
    lithops_executor_close(own);
    lithops_storage_close(storage);
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    assert_int_equal(leaks.arguments, 0);
    assert_int_equal(leaks.objects, 0);
    assert_true(leaks.seen > 0); /* what was read last stays */
    assert_int_equal(atomic_load(&leaks.logs), 0);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const char *text = getenv("LITHOPS_TEST_CONFIG");
    config = text ? api_json(text) : lithops_value_map();
    const char *storage = name_of("storage"), *monitor = name_of("monitoring");
    bool is_stored = storage && strcmp(storage, "localhost") != 0;
    bool is_notified = monitor && strcmp(monitor, "storage") != 0;
    const struct compute_suite process = {
        .backend = "process",
        .settings = settings,
        .kill_worker = kill_worker,
        .storage = is_stored ? storage : NULL,
        .storage_settings = storage_settings,
        .monitoring = is_notified ? monitor : NULL,
        .monitoring_settings = is_notified ? monitoring_settings : NULL,
        .sees_files = true,
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thousand_calls_are_few_requests),
        cmocka_unit_test(test_the_monitor_has_an_effect),
        cmocka_unit_test(test_a_worker_that_hangs_at_the_end_leaves_no_queue),
        cmocka_unit_test(test_the_secret_is_in_no_message_argument_or_log)};
    int failed = compute_suite_run(&process);
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    failed += compute_suite_left();
    lithops_value_free(config);
    return api_finish(failed);
}
