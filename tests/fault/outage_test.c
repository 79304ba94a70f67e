/* SPDX-License-Identifier: Apache-2.0 */
/* What may happen to an S3 server, started by tests/servers/with-s3, in the middle of a job that
 * travels through it: it is stopped for a while, killed and started again, and no call is lost;
 * credentials expire, and are renewed by client and workers; the clock is set; the bucket is full,
 * or gone, which is said. */
#include "../conformance/http_proxy.h"
#include "fault.h"

#include <lithops/plugin/runtime.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 600, NAP_MS = 20, AWAY_MS = 500 };

extern char **environ;
static lithops_error err = LITHOPS_ERROR_INIT;

static lithops_value *section(const char *endpoint, const char *bucket, bool has_keys)
{
    lithops_value *made = lithops_pack("{s:s,s:s,s:s}", "endpoint", endpoint, "storage_bucket",
                                       bucket, "region", "us-east-1");
    const char *const keys[][2] = {{"access_key_id", "LITHOPS_TEST_S3_ACCESS_KEY"},
                                   {"secret_access_key", "LITHOPS_TEST_S3_SECRET_KEY"}};
    for (size_t i = 0; has_keys && i < 2; i++)
        CHECK(lithops_value_set(made, keys[i][0], lithops_value_string(getenv(keys[i][1]))) == 0);
    return made;
}

static lithops_executor *open_over(lithops_value *storage)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = lithops_pack(
        "{s:{s:s,s:s,s:f,s:f},s:o,s:{s:s,s:i,s:i}}", "lithops", "backend", "process", "storage",
        "aws_s3", "monitoring_interval", 0.2, "status_interval", 0.2, "aws_s3", storage, "process",
        "transport", "storage", "workers", 2, "worker_processes", 1);
    options.config = config;
    lithops_executor *fexec = lithops_executor_open(&options, &err);
    lithops_value_free(config);
    if (!fexec)
        fault_fail(__FILE__, __LINE__, err.message);
    return fexec;
}

/* In the middle: some calls have ended, and are known to have. */
static lithops_futures *begin(lithops_executor *fexec)
{
    lithops_value *naps = lithops_value_list();
    for (int i = 0; i < CALLS; i++)
        CHECK(lithops_value_append(naps, lithops_value_int(NAP_MS)) == 0);
    lithops_futures *calls = lithops_map(fexec, fault_nap, naps, NULL, &err);
    CHECK(calls != NULL);
    while (lithops_futures_done(calls) < 10)
        poll(NULL, 0, 5);
    return calls;
}

/* @return how many calls have failed; each of them with `reason` in its message */
static size_t end(lithops_executor *fexec, lithops_futures *calls, const char *reason)
{
    size_t failed = 0;
    fault_await_all(calls);
    for (size_t i = 0; i < CALLS; i++) {
        int64_t pid = 0;
        lithops_error error = LITHOPS_ERROR_INIT;
        if (lithops_futures_int(calls, i, &pid, &error) == 0) {
            CHECK(pid > 0);
            continue;
        }
        failed++;
        if (!reason || !strstr(error.message, reason))
            fault_fail(__FILE__, __LINE__, error.message);
    }
    lithops_futures_unref(calls);
    lithops_executor_close(fexec);
    return failed;
}

/* ---- the server ------------------------------------------------------------------------------ */

static pid_t server(void)
{
    return (pid_t)atoi(getenv("LITHOPS_TEST_S3_PID"));
}

static int count_one(const lithops_object_info *info, void *user)
{
    fprintf(stderr, "the bucket still has %s\n", info->key);
    ++*(int *)user;
    return 0;
}

static lithops_storage *open_storage(const char *bucket)
{
    lithops_value *config =
        lithops_pack("{s:o}", "aws_s3", section(getenv("LITHOPS_TEST_S3_ENDPOINT"), bucket, true));
    lithops_storage *storage = lithops_storage_open_config("aws_s3", config, &err);
    lithops_value_free(config);
    CHECK(storage != NULL);
    return storage;
}

static int count_left(const char *bucket)
{
    int left = 0;
    lithops_storage *storage = open_storage(bucket);
    CHECK_INT(lithops_storage_list(storage, bucket, NULL, count_one, &left, &err), 0);
    lithops_storage_close(storage);
    return left;
}

FAULT_CASE(a_server_that_stands_still)
{
    lithops_executor *fexec =
        open_over(section(getenv("LITHOPS_TEST_S3_ENDPOINT"), "stopped", true));
    lithops_futures *calls = begin(fexec);
    CHECK_INT(kill(server(), SIGSTOP), 0);
    poll(NULL, 0, AWAY_MS);
    CHECK_INT(kill(server(), SIGCONT), 0);
    CHECK_INT(end(fexec, calls, NULL), 0);
    CHECK_INT(count_left("stopped"), 0);
}

/* By two keys of one user, of which the first expires. A program prints one or the other. */
#define OTHER_KEY "OTHERACCESSKEY"

static void run(const char *command)
{
    FILE *program = popen(command, "r"); /* its output is of no interest */
    char block[4096];
    while (program && fread(block, 1, sizeof block, program) > 0)
        ;
    CHECK(program && pclose(program) == 0);
}

static void use_program(const char *folder)
{
    char path[128], command[512];
    snprintf(command, sizeof command,
             "CEPH_CONF='%s' radosgw-admin -n client.rgw key create --uid=lithops "
             "--access-key=" OTHER_KEY " --secret-key='%s' 2>/dev/null",
             getenv("LITHOPS_TEST_S3_CONF"), getenv("LITHOPS_TEST_S3_SECRET_KEY"));
    run(command);
    snprintf(path, sizeof path, "%s/config", folder);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fprintf(file,
            "[default]\ncredential_process = key=%s; [ ! -e %s/expired ] || key=" OTHER_KEY
            "; echo \"{\\\"Version\\\": 1, \\\"AccessKeyId\\\": \\\"$key\\\", "
            "\\\"SecretAccessKey\\\": \\\"%s\\\", \\\"Expiration\\\": "
            "\\\"2100-01-01T00:00:00Z\\\"}\"\n",
            getenv("LITHOPS_TEST_S3_ACCESS_KEY"), folder, getenv("LITHOPS_TEST_S3_SECRET_KEY"));
    CHECK_INT(fclose(file), 0);
    setenv("AWS_CONFIG_FILE", path, 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
}

FAULT_CASE(credentials_that_expire)
{
    char folder[] = "/tmp/lithops-outage-XXXXXX", mark[64], endpoint[64], path[128];
    int port;
    CHECK(mkdtemp(folder) != NULL);
    use_program(folder);
    struct http_proxy *proxy = http_proxy_start(getenv("LITHOPS_TEST_S3_ENDPOINT"), 1, 0, &port);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", port);
    lithops_executor *fexec = open_over(section(endpoint, "expired", false));
    lithops_futures *calls = begin(fexec);
    snprintf(path, sizeof path, "%s/expired", folder);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
    snprintf(mark, sizeof mark, "Credential=%s/", getenv("LITHOPS_TEST_S3_ACCESS_KEY"));
    http_proxy_refuse(proxy, mark,
                      "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 43\r\n\r\n"
                      "<Error><Code>ExpiredToken</Code></Error>   ");
    CHECK_INT(end(fexec, calls, NULL), 0);
    CHECK(http_proxy_stop(proxy) >= 2); /* the client's, and a worker's */
    CHECK_INT(count_left("expired"), 0);
    CHECK(unlink(path) == 0);
    snprintf(path, sizeof path, "%s/config", folder);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

FAULT_CASE(a_bucket_that_is_full)
{
    char endpoint[64];
    int port;
    struct http_proxy *proxy = http_proxy_start(getenv("LITHOPS_TEST_S3_ENDPOINT"), 1, 0, &port);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", port);
    lithops_executor *fexec = open_over(section(endpoint, "full", true));
    lithops_futures *calls = begin(fexec);
    http_proxy_refuse(proxy, "PUT /full/",
                      "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 44\r\n\r\n"
                      "<Error><Code>QuotaExceeded</Code></Error>   ");
    CHECK(end(fexec, calls, "QuotaExceeded") > 0);
    http_proxy_stop(proxy);
    CHECK_INT(count_left("full"), 0);
}

/* All that names the bucket is refused, and making it again. */
FAULT_CASE(a_bucket_that_goes)
{
    char endpoint[64];
    int port;
    struct http_proxy *proxy = http_proxy_start(getenv("LITHOPS_TEST_S3_ENDPOINT"), 1, 0, &port);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", port);
    lithops_executor *fexec = open_over(section(endpoint, "gone", true));
    lithops_futures *calls = begin(fexec);
    http_proxy_refuse(proxy, " /gone",
                      "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 43\r\n\r\n"
                      "<Error><Code>NoSuchBucket</Code></Error>   ");
    CHECK(end(fexec, calls, "no bucket 'gone'") > 0);
    http_proxy_stop(proxy);
}

/* ---- the clock ------------------------------------------------------------------------------- */

static _Atomic unsigned corrections;

static void note(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)level;
    (void)where;
    (void)user;
    corrections += strstr(text, "clock is off by") != NULL;
}

static void set_clock(const char *offset)
{
    const char *path = getenv("FAKETIME_TIMESTAMP_FILE");
    char next[128];
    snprintf(next, sizeof next, "%s.next", path);
    FILE *file = fopen(next, "w");
    CHECK(file && fprintf(file, "%s\n", offset) > 0 && fclose(file) == 0);
    CHECK_INT(rename(next, path), 0);
}

/* In a process of its own, whose clock and whose workers' is libfaketime's: the server's is right.
 */
FAULT_CASE(a_clock_that_is_set)
{
    if (!getenv("FAKETIME_TIMESTAMP_FILE"))
        fault_skip("no libfaketime, or a sanitizer, which takes no other library before it");
    lithops_log_to(LITHOPS_LOG_WARNING, note, NULL);
    lithops_executor *fexec =
        open_over(section(getenv("LITHOPS_TEST_S3_ENDPOINT"), "skewed", true));
    lithops_futures *calls = begin(fexec);
    CHECK_INT(corrections, 0);
    set_clock("+7200");
    CHECK_INT(end(fexec, calls, NULL), 0);
    CHECK(corrections > 0);
    CHECK_INT(count_left("skewed"), 0);
}

static int with_another_clock(void)
{
    static const char *const libraries[] = {
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"};
    char folder[] = "/tmp/lithops-outage-XXXXXX", path[64];
    const char *library = access(libraries[0], R_OK) == 0 ? libraries[0] : libraries[1];
    if (UNDER_SANITIZER || access(library, R_OK) != 0)
        return 0; /* the case is skipped by itself, in the first process */
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/clock", folder);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setenv("FAKETIME_TIMESTAMP_FILE", path, 1);
        setenv("FAKETIME_NO_CACHE", "1", 1);
        setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
        setenv("DONT_FAKE_MONOTONIC", "1", 1);
        set_clock("+0");
        setenv("LD_PRELOAD", library, 1);
        execl("/proc/self/exe", "outage_test", "clock", (char *)NULL);
        _exit(127);
    }
    int status = -1;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    return status != 0;
}

/* The last one: what is in the server's memory stays, but its process is another one then. */
FAULT_CASE(a_server_that_is_killed)
{
    lithops_executor *fexec =
        open_over(section(getenv("LITHOPS_TEST_S3_ENDPOINT"), "killed", true));
    lithops_futures *calls = begin(fexec);
    CHECK_INT(kill(server(), SIGKILL), 0);
    poll(NULL, 0, AWAY_MS);
    char *const command[] = {
        (char *)"setpriv", (char *)"--pdeathsig", (char *)"KILL",       (char *)"radosgw",
        (char *)"-f",      (char *)"-n",          (char *)"client.rgw", NULL};
    posix_spawn_file_actions_t quiet;
    pid_t again;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&quiet, 1, 2);
    setenv("CEPH_CONF", getenv("LITHOPS_TEST_S3_CONF"), 1);
    CHECK_INT(posix_spawnp(&again, command[0], &quiet, NULL, command, environ), 0);
    posix_spawn_file_actions_destroy(&quiet);
    CHECK_INT(end(fexec, calls, NULL), 0);
    CHECK_INT(count_left("killed"), 0);
    kill(again, SIGKILL);
    waitpid(again, NULL, 0);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (!getenv("LITHOPS_TEST_S3_ENDPOINT")) {
        print_message("run this by tests/servers/with-s3\n");
        return 1;
    }
    setenv("no_proxy", "*", 1);
    if (argc > 1) {
        const struct CMUnitTest clock_tests[] = {cmocka_unit_test(a_clock_that_is_set)};
        return cmocka_run_group_tests(clock_tests, NULL, NULL);
    }
    int failed = with_another_clock();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_stands_still), cmocka_unit_test(credentials_that_expire),
        cmocka_unit_test(a_bucket_that_is_full),      cmocka_unit_test(a_bucket_that_goes),
        cmocka_unit_test(a_server_that_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + failed;
}
