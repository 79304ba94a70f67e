/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the backend aws_lambda, by tests/servers/with-lambda: functions are
 * deployed as packages, and run in Amazon's Runtime Interface Emulator. And tests of Lambda alone:
 * runtimes, events, requests that are refused, environments that die, secrets. */
#include "../integration/api.h"
#include "aws_parts.h"
#include "compute_parts.h"
#include "compute_suite.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *invocation = "request";

static lithops_value *section(void)
{
    return lithops_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:s}", "region", "us-east-1", "endpoint",
                        getenv("LITHOPS_TEST_LAMBDA_ENDPOINT"), "access_key_id",
                        getenv("LITHOPS_TEST_LAMBDA_KEY"), "secret_access_key",
                        getenv("LITHOPS_TEST_LAMBDA_SECRET"), "execution_role",
                        "arn:aws:iam::123456789012:role/lithops", "runtime_memory", 3008,
                        "runtime_timeout", 300, "invocation", invocation);
}

static lithops_value *settings(int workers, int processes)
{
    return aws_pool(section(), workers, processes);
}

/* ---- processes of functions ------------------------------------------------------------------ */

/* Whether its command has this word, and it is of a function of this test's server. */
static bool is_of_function(const char *pid, const char *word)
{
    char text[8192], root[300];
    const char *log = getenv("LITHOPS_TEST_LAMBDA_LOG");
    size_t len = aws_read_proc(pid, "cmdline", text, sizeof text);
    if (!memmem(text, len, word, strlen(word)))
        return false;
    snprintf(root, sizeof root, "LAMBDA_TASK_ROOT=%.*s/", (int)(strrchr(log, '/') - log), log);
    len = aws_read_proc(pid, "environ", text, sizeof text);
    return memmem(text, len, root, strlen(root)) != NULL;
}

static pid_t parent_of(pid_t pid)
{
    char text[1024], name[16];
    snprintf(name, sizeof name, "%d", (int)pid);
    aws_read_proc(name, "stat", text, sizeof text);
    const char *end = strrchr(text, ')');
    int parent = 0;
    return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool is_worker(pid_t pid)
{
    char name[16];
    snprintf(name, sizeof name, "%d", (int)pid);
    return pid > 1 && is_of_function(name, "--through");
}

/* Kill a worker of a function: one that has processes. Others may wait for the hello of a client
 * that has closed before they came, and will find none. */
static bool kill_worker(void)
{
    bool killed = false;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && !killed && (entry = readdir(dir));) {
        pid_t parent = isdigit((unsigned char)entry->d_name[0])
                           ? parent_of((pid_t)strtol(entry->d_name, NULL, 10))
                           : 0;
        killed = is_worker(parent) && kill(parent, SIGKILL) == 0;
    }
    if (dir)
        closedir(dir);
    return killed;
}

static void print_processes(void)
{
    char line[512];
    FILE *pipe = popen("ps -eo pid,ppid,pgid,sid,stat,args", "re"); /* NOLINT(cert-env33-c) */
    while (pipe && fgets(line, sizeof line, pipe))
        print_error("%s", line);
    if (pipe)
        pclose(pipe);
}

/* Kill the environment that a process is in: above the worker are the runtime that has started it,
 * and the emulator that has started that. What they have started ends by itself. */
static void kill_environment_of(pid_t pid)
{
    pid_t worker = pid;
    while (worker > 1 && !is_worker(worker))
        worker = parent_of(worker);
    pid_t runtime = parent_of(worker), emulator = parent_of(runtime);
    assert_true(worker > 1 && runtime > 1 && emulator > 1);
    assert_int_equal(kill(emulator, SIGKILL), 0);
    (void)kill(runtime, SIGKILL); /* the emulator does not end it, though the server may have */
    double limit = api_now() + LIMIT_MS / 1000.0;
    while (is_worker(worker) && api_now() < limit)
        usleep(1000);
    if (is_worker(worker)) {
        print_processes();
        fail_msg("worker %d has outlived its runtime, %d", (int)worker, (int)runtime);
    }
}

/* What the storage has of the runtimes: one record. */
static int count_record(const lithops_object_info *info, void *user)
{
    *(int *)user += strcmp(info->key, "lithops.runtimes/aws_lambda/"
                                      "lithops-provided-al2023-128.meta.json") == 0;
    return 0;
}

static int count_records(void)
{
    int count = 0;
    lithops_storage *storage = not_null(lithops_storage_open(NULL, NULL, &err));
    succeeds(lithops_storage_list(storage, lithops_storage_bucket(storage), "lithops.runtimes/",
                                  count_record, &count, &err));
    lithops_storage_close(storage);
    return count;
}

static void test_runtimes_come_and_go(void **state)
{
    (void)state;
    says("runtime delete -m 128", 2, "ResourceNotFoundException");
    says("runtime update -m 128", 2, "there is no function lithops-provided-al2023-128");
    says("runtime deploy ruby3.3", 2, "'ruby3.3' is no runtime of aws_lambda");
    says("runtime deploy -m 128 -t 60", 0, "lithops-provided-al2023-128: Lithops " LITHOPS_VERSION);
    says("runtime list", 0, "provided.al2023             128 MB      60 s " LITHOPS_VERSION);
    says("runtime list provided.al2023 --json", 0, "\"memory\": 3008");
    says("runtime list python3.12 --json", 0, "");
    assert_int_equal(count_records(), 1);
    says("runtime update -m 128 -t 70", 0, "lithops-provided-al2023-128: Lithops");
    says("runtime list", 0, "128 MB      70 s");
    says("runtime delete -m 128", 0, "lithops-provided-al2023-128 deleted");
    assert_int_equal(count_records(), 0);
    says("config check --online", 0, "lithops-provided-al2023-3008");
}

/* Where the service has an interpreter, the package comes in as a wrapper of it. */
static void test_a_runtime_with_an_interpreter(void **state)
{
    (void)state;
    says("runtime deploy python3.12 -m 128", 0, "lithops-python3-12-128: Lithops");
    says("runtime delete python3.12 -m 128", 0, "deleted");
}

/* ---- workers --------------------------------------------------------------------------------- */

static void test_a_function_that_is_not_there(void **state)
{
    (void)state;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *other = lithops_pack("{s:i}", "runtime_memory", 512);
    options.settings = other;
    lithops_executor *own = not_null(lithops_executor_open(&options, &err));
    call_fails(not_null(lithops_call_async(own, suite_square, lithops_value_int(2), NULL, &err)),
               LITHOPS_EUNSUPPORTED, "run 'lithops runtime deploy provided.al2023 --memory 512'");
    lithops_executor_close(own);
    lithops_value_free(other);
}

static void test_events(void **state)
{
    (void)state;
    invocation = "event";
    lithops_executor *own = suite_open(2, 1, 0);
    invocation = "request";
    suite_works(own);
    lithops_executor_close(own);
}

static void refuse(const char *statuses)
{
    FILE *file = not_null(fopen(getenv("LITHOPS_TEST_LAMBDA_FAULTS"), "we"));
    assert_int_equal(fputs(statuses, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
}

/* Nothing is lost where the service is busy: invocations are made again. */
static void test_refused_invocations(void **state)
{
    (void)state;
    const char *const ways[] = {"event", "request"};
    for (size_t i = 0; i < 2; i++) {
        refuse("429\n503\n429\n500\n");
        invocation = ways[i];
        lithops_executor *own = suite_open(2, 1, 0);
        suite_works(own);
        lithops_executor_close(own);
    }
}

/* What will not pass is not tried again and again. */
static void test_a_refusal_for_good(void **state)
{
    (void)state;
    refuse("403\n403\n403\n403\n403\n403\n403\n403\n403\n403\n403\n403\n");
    lithops_executor *own = suite_open(1, 1, 0);
    call_fails(not_null(lithops_call_async(own, suite_square, lithops_value_int(2), NULL, &err)),
               LITHOPS_EDENIED, "status 403");
    lithops_executor_close(own);
    refuse("");
}

/* The first call of it leaves a mark, its process, and never ends, any other one ends at once. */
LITHOPS_FUNCTION(lambda_once)
{
    const char *mark = lithops_value_get_string(lithops_call_input(call));
    if (access(mark, F_OK) == 0)
        return lithops_return_int(call, 7);
    FILE *file = fopen(mark, "we");
    if (file) {
        fprintf(file, "%d\n", (int)getpid());
        fclose(file);
    }
    for (volatile bool for_ever = true; for_ever;)
        pause();
    return LITHOPS_EIO;
}

/* The environment of a function dies, as when it has no memory left: known from the answer. Whether
 * the client had heard that the call has begun decides whether it runs again. */
static void test_an_environment_that_dies(void **state)
{
    (void)state;
    char mark[128];
    snprintf(mark, sizeof mark, "%s/mark", folder);
    lithops_executor *own = suite_open(1, 1, 0);
    lithops_future *running =
        not_null(lithops_call_async(own, lambda_once, lithops_value_string(mark), NULL, &err));
    int pid = 0;
    for (char end = 0; end != '\n'; usleep(1000)) {
        FILE *file = fopen(mark, "re");
        if (file && fscanf(file, "%d%c", &pid, &end) != 2)
            end = 0;
        if (file)
            fclose(file);
    }
    double begin = api_now();
    kill_environment_of((pid_t)pid);
    const lithops_value *value = NULL;
    int rc = lithops_future_value(running, LIMIT_MS, &value, &err);
    if (rc != 0 && rc != LITHOPS_ECRASH)
        print_processes();
    if (rc == 0)
        assert_int_equal(lithops_value_get_int(value), 7);
    else
        assert_int_equal(rc, LITHOPS_ECRASH);
    assert_true(api_now() - begin < 45); /* 60 s and more if it were known by silence */
    lithops_future_unref(running);
    suite_works(own);
    lithops_executor_close(own);
}

/* No secret of the client is in what was sent, though it has some. */
static void test_no_secrets_are_sent(void **state)
{
    (void)state;
    static char text[8 << 20];
    FILE *file = not_null(fopen(getenv("LITHOPS_TEST_LAMBDA_LOG"), "re"));
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    assert_non_null(strstr(text, "\"key\":"));
    assert_non_null(strstr(text, getenv("LITHOPS_TEST_S3_ENDPOINT")));
    const char *const secrets[] = {"LITHOPS_TEST_S3_ACCESS_KEY", "LITHOPS_TEST_S3_SECRET_KEY",
                                   "LITHOPS_TEST_LAMBDA_KEY", "LITHOPS_TEST_LAMBDA_SECRET"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        assert_null(strstr(text, getenv(secrets[i])));
}

static int complain(const lithops_object_info *info, void *user)
{
    print_error("the storage still has %s\n", info->key);
    ++*(int *)user;
    return 0;
}

/* Nothing ends functions but what they are told; yet none of them writes after its executor has
 * ended. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    int left = 0;
    lithops_storage *storage = not_null(lithops_storage_open(NULL, NULL, &err));
    succeeds(lithops_storage_list(storage, lithops_storage_bucket(storage), "lithops.jobs/",
                                  complain, &left, &err));
    lithops_storage_close(storage);
    assert_int_equal(left, 0);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    if (!getenv("LITHOPS_TEST_LAMBDA_ENDPOINT")) {
        print_message("run this by tests/servers/with-lambda\n");
        return 77;
    }
    const struct compute_suite lambda = {
        .backend = "aws_lambda",
        .settings = settings,
        .kill_worker = kill_worker,
        .storage = "aws_s3",
        .storage_settings = aws_storage_settings,
        .sees_files = true,
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runtimes_come_and_go),
        cmocka_unit_test(test_a_runtime_with_an_interpreter),
        cmocka_unit_test(test_a_function_that_is_not_there),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_refused_invocations),
        cmocka_unit_test(test_a_refusal_for_good),
        cmocka_unit_test(test_an_environment_that_dies),
        cmocka_unit_test(test_no_secrets_are_sent),
        cmocka_unit_test(test_nothing_is_left),
    };
    if (!aws_deploy("aws_lambda", section(), "aws_s3"))
        return api_finish(1);
    int failed = compute_suite_run(&lambda);
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    return api_finish(failed);
}
