/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the backends aws_batch and code_engine, by tests/servers/with-batch:
 * what stands for the service keeps jobs, which are processes here. And tests of batch services
 * alone: runtimes, array jobs, jobs that wait, fail, or are terminated; secrets. */
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

/* ---- the services ---------------------------------------------------------------------------- */

static lithops_value *aws_section(void)
{
    return lithops_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:f}", "region", "us-east-1", "access_key_id",
        getenv("LITHOPS_TEST_BATCH_KEY"), "secret_access_key", getenv("LITHOPS_TEST_BATCH_SECRET"),
        "execution_role", "arn:aws:iam::123456789012:role/lithops", "job_role",
        "arn:aws:iam::123456789012:role/lithops", "runtime", "registry.example.com/me/lithops:1",
        "env_type", "FARGATE", "idle_timeout", 5.0);
}

static lithops_value *ibm_section(void)
{
    return lithops_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:f}", "iam_api_key",
                        getenv("LITHOPS_TEST_BATCH_KEY"), "resource_group_id", "a-group", "runtime",
                        "us.icr.io/me/lithops:1", "docker_user", "iamapikey", "docker_password",
                        getenv("LITHOPS_TEST_BATCH_SECRET"), "runtime_memory", 512, "idle_timeout",
                        5.0);
}

static void aws_runtimes(void)
{
    says("runtime delete -m 2048", 2, "there is no job definition");
    says("runtime update -m 2048", 2, "there is no job definition");
    says("runtime deploy -m 500", 2, "with 0.5 CPUs Fargate has from 1024 to 4096 MiB");
    says("runtime build", 2, "docker or podman");
    says("runtime deploy -m 2048", 0, "_2048mb_500m: Lithops " LITHOPS_VERSION);
    says("runtime list", 0, "registry.example.com/me/lithops:1");
    says("runtime list --json", 0, "\"memory\": 2048");
    says("runtime update -m 2048", 0, "Lithops " LITHOPS_VERSION);
    says("runtime delete -m 2048", 0, "deleted");
    says("runtime delete -m 2048", 2, "there is no job definition");
    says("config check --online", 0, "go to the queue lithops_");
}

static void ibm_runtimes(void)
{
    says("runtime delete -m 1024", 2, "there is no job lithops-");
    says("runtime update -m 1024", 2, "there is no job lithops-");
    says("runtime deploy -m 500", 2, "with 0.125 CPUs Code Engine has 256 or 512 or 1024 MB");
    says("runtime deploy -m 1024", 0, "-1024mb-125m: Lithops " LITHOPS_VERSION);
    says("runtime deploy -m 1024", 0, "-1024mb-125m: Lithops " LITHOPS_VERSION);
    says("runtime list", 0, "us.icr.io/me/lithops:1");
    says("runtime list --json", 0, "\"memory\": 1024");
    says("runtime update -m 1024", 0, "Lithops " LITHOPS_VERSION);
    says("runtime delete -m 1024", 0, "deleted");
    says("runtime delete -m 1024", 2, "there is no job lithops-");
    says("config check --online", 0, "go to the project lithops-us-south");
}

static const struct service {
    const char *name, *storage;
    lithops_value *(*section)(void);
    void (*runtimes)(void);
    const char *submits, *is_array; /* in the log: a submission, and one of several parts */
    const char *keeps;            /* a request with what is kept as a secret; NULL: there is none */
    int memory_mb;                /* that nothing is deployed for */
    const char *no_image, *waits; /* what the service says of jobs */
    const char *fault;            /* another one that submissions outlive; or "" */
} services[] = {
    {"aws_batch", "aws_s3", aws_section, aws_runtimes, "/v1/submitjob", "arrayProperties", NULL,
     4096, "CannotPullContainerError", "RUNNABLE", ""},
    {"code_engine", "ibm_cos", ibm_section, ibm_runtimes, "create_job_run", "\"0-", "create_secret",
     256, "ImagePullBackOff", "pending", "expire\n"},
};
static const struct service *service;

static lithops_value *section(void)
{
    const char *text = not_null(getenv("LITHOPS_TEST_BATCH_PLACE"));
    lithops_value *map = not_null(lithops_value_from_json(text, strlen(text), &err));
    lithops_value *more = not_null(service->section());
    for (size_t i = 0; i < lithops_value_size(more); i++) {
        const char *key;
        const lithops_value *value = lithops_value_pair(more, i, &key);
        assert_int_equal(lithops_value_set(map, key, lithops_value_copy(value)), 0);
    }
    lithops_value_free(more);
    return map;
}

static lithops_value *settings(int workers, int processes)
{
    return aws_pool(section(), workers, processes);
}

/* ---- processes of jobs ----------------------------------------------------------------------- */

/* Whether it is a worker of this test's server. */
static bool is_worker(const char *pid)
{
    char text[16384], home[300];
    const char *log = not_null(getenv("LITHOPS_TEST_BATCH_LOG"));
    size_t len = aws_read_proc(pid, "cmdline", text, sizeof text);
    if (!memmem(text, len, "--batch", 8))
        return false;
    snprintf(home, sizeof home, "XDG_CACHE_HOME=%.*s/", (int)(strrchr(log, '/') - log), log);
    len = aws_read_proc(pid, "environ", text, sizeof text);
    return memmem(text, len, home, strlen(home)) != NULL;
}

static long parent_of(const char *pid)
{
    char text[1024];
    aws_read_proc(pid, "stat", text, sizeof text);
    const char *end = strrchr(text, ')');
    long parent = 0;
    return end && sscanf(end + 1, " %*c %ld", &parent) == 1 ? parent : 0;
}

/* One that has processes: others may wait for the hello of a client that has closed before they
 * came. Or count them all. */
static int each_worker(bool kills)
{
    int count = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && !(kills && count) && (entry = readdir(dir));) {
        char name[24];
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(name, sizeof name, "%ld", parent_of(entry->d_name));
        if (!kills)
            count += is_worker(entry->d_name);
        else if (is_worker(name) && kill((pid_t)strtol(name, NULL, 10), SIGKILL) == 0)
            count++;
    }
    if (dir)
        closedir(dir);
    return count;
}

static bool kill_worker(void)
{
    return each_worker(true) > 0;
}

static void test_runtimes_come_and_go(void **state)
{
    (void)state;
    service->runtimes();
    char line[100];
    snprintf(line, sizeof line, "config show | grep %s:", service->name);
    says(line, 0, "untested against the service");
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void go_wrong(const char *how)
{
    FILE *file = not_null(fopen(not_null(getenv("LITHOPS_TEST_BATCH_FAULTS")), "we"));
    assert_int_equal(fputs(how, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
}

/* Requests to this path that the server has seen. */
static int count_requests(const char *path, const char *with)
{
    static char line[1 << 16];
    int count = 0;
    FILE *file = not_null(fopen(not_null(getenv("LITHOPS_TEST_BATCH_LOG")), "re"));
    while (fgets(line, sizeof line, file))
        count += strncmp(line, path, strlen(path)) == 0 && strstr(line, with);
    fclose(file);
    return count;
}

/* Workers that are wanted together are one job. */
static void test_an_array(void **state)
{
    (void)state;
    int jobs = count_requests(service->submits, ""),
        arrays = count_requests(service->submits, service->is_array);
    lithops_executor *own = suite_open(4, 1, 0);
    lithops_futures *futures =
        not_null(lithops_map(own, suite_pause, lithops_range(0, 4), NULL, &err));
    suite_await_running(futures, 4);
    assert_true(count_requests(service->submits, service->is_array) > arrays);
    assert_true(count_requests(service->submits, "") <= jobs + 3);
    lithops_futures_cancel(futures);
    lithops_futures_unref(futures);
    lithops_executor_close(own);
}

/* Nothing is lost where the service is busy. */
static void test_refused_submissions(void **state)
{
    (void)state;
    char faults[100];
    snprintf(faults, sizeof faults, "%srefuse 429\nrefuse 503\nrefuse 500\n", service->fault);
    go_wrong(faults);
    lithops_executor *own = suite_open(2, 1, 0);
    suite_works(own);
    lithops_executor_close(own);
    go_wrong("");
}

static void fails_with(const char *how, const char *key, const lithops_value *value, int code,
                       const char *message)
{
    go_wrong(how);
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *map = lithops_value_map();
    assert_int_equal(lithops_value_set(map, key, lithops_value_copy(value)), 0);
    options.settings = map;
    lithops_executor *own = not_null(lithops_executor_open(&options, &err));
    call_fails(not_null(lithops_call_async(own, suite_square, lithops_value_int(2), NULL, &err)),
               code, message);
    lithops_executor_close(own);
    lithops_value_free(map);
    go_wrong("");
}

static void test_jobs_that_do_not_run(void **state)
{
    (void)state;
    lithops_value *one = lithops_value_int(1), *two = lithops_value_int(2),
                  *memory = lithops_value_int(service->memory_mb);
    fails_with("refuse 403\n", "max_workers", one, LITHOPS_EDENIED, "status 403");
    fails_with("pull\n", "max_workers", one, LITHOPS_EBACKEND, service->no_image);
    fails_with("hold\n", "start_timeout", two, LITHOPS_EBACKEND, service->waits);
    fails_with("", "runtime_memory", memory, LITHOPS_ECONFIG, "'lithops runtime deploy'");
    lithops_value_free(one);
    lithops_value_free(two);
    lithops_value_free(memory);
}

static void await_no_worker(void)
{
    double limit = api_now() + LIMIT_MS / 1000.0;
    while (each_worker(false) > 0 && api_now() < limit)
        usleep(20000);
    assert_int_equal(each_worker(false), 0);
}

/* No secret of the client is in what was sent, though it has some; but where the service keeps
 * secrets. None of them is that by which the service itself is asked. */
static void test_no_secrets_are_sent(void **state)
{
    (void)state;
    static char line[1 << 16];
    static const char *const secrets[] = {"LITHOPS_TEST_BATCH_KEY", "LITHOPS_TEST_BATCH_SECRET",
                                          "LITHOPS_TEST_S3_ACCESS_KEY",
                                          "LITHOPS_TEST_S3_SECRET_KEY"};
    int told = 0, places = 0, kept = 0;
    FILE *file = not_null(fopen(not_null(getenv("LITHOPS_TEST_BATCH_LOG")), "re"));
    while (fgets(line, sizeof line, file)) {
        bool keeps = service->keeps && strncmp(line, service->keeps, strlen(service->keeps)) == 0;
        bool of_registry = strstr(line, "\"registry\"") != NULL;
        told += strstr(line, "LITHOPS_BATCH") != NULL;
        places += strstr(line, not_null(getenv("LITHOPS_TEST_S3_ENDPOINT"))) != NULL;
        kept += keeps;
        for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
            bool may_be = (i >= 2 && keeps) || (i == 1 && of_registry && service->keeps);
            assert_true(may_be || !strstr(line, not_null(getenv(secrets[i]))));
        }
    }
    fclose(file);
    assert_true(told > 0 && places > 0);
    assert_int_equal(kept > 0, service->keeps != NULL);
}

static int complain(const lithops_object_info *info, void *user)
{
    print_error("the storage still has %s\n", info->key);
    ++*(int *)user;
    return 0;
}

static void test_nothing_is_left(void **state)
{
    (void)state;
    int left = 0;
    await_no_worker();
    lithops_storage *storage = not_null(lithops_storage_open(NULL, NULL, &err));
    succeeds(lithops_storage_list(storage, lithops_storage_bucket(storage), "lithops.jobs/",
                                  complain, &left, &err));
    lithops_storage_close(storage);
    assert_int_equal(left, 0);
}

/* What a killed client has left is found by its name, and terminated. */
static void test_left_jobs_are_cleaned(void **state)
{
    (void)state;
    await_no_worker();
    char line[PATH_MAX + 256];
    snprintf(line, sizeof line, "exec '%s' run sleep {} --over 600", aws_command);
    FILE *pipe = not_null(popen(line, "re")); /* NOLINT(cert-env33-c) */
    double limit = api_now() + LIMIT_MS / 1000.0;
    while (each_worker(false) == 0 && api_now() < limit)
        usleep(20000);
    assert_true(each_worker(false) > 0);
    says("clean --dry-run", 0, "");
    assert_true(each_worker(false) > 0);
    /* its process: the one that has our id as its parent */
    char own[24], killed[24] = "";
    snprintf(own, sizeof own, "%ld", (long)getpid());
    DIR *dir = not_null(opendir("/proc"));
    for (struct dirent *entry; (entry = readdir(dir));)
        if (isdigit((unsigned char)entry->d_name[0]) && parent_of(entry->d_name) == getpid())
            snprintf(killed, sizeof killed, "%.20s", entry->d_name);
    closedir(dir);
    assert_int_equal(kill((pid_t)strtol(killed, NULL, 10), SIGKILL), 0);
    pclose(pipe);
    says("clean", 0, "");
    await_no_worker();
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    if (!getenv("LITHOPS_TEST_BATCH_PLACE")) {
        print_message("run this by tests/servers/with-batch\n");
        return 77;
    }
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (strcmp(services[i].name, not_null(getenv("LITHOPS_TEST_BATCH_SERVICE"))) == 0)
            service = &services[i];
    assert_non_null(service);
    const struct compute_suite batch = {
        .backend = service->name,
        .settings = settings,
        .kill_worker = kill_worker,
        .storage = service->storage,
        .storage_settings = aws_storage_settings,
        .sees_files = true,
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runtimes_come_and_go),  cmocka_unit_test(test_an_array),
        cmocka_unit_test(test_refused_submissions),   cmocka_unit_test(test_jobs_that_do_not_run),
        cmocka_unit_test(test_no_secrets_are_sent),   cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_left_jobs_are_cleaned),
    };
    if (!aws_deploy(service->name, section(), service->storage))
        return api_finish(1);
    int failed = compute_suite_run(&batch);
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    return api_finish(failed);
}
