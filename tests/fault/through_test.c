/* SPDX-License-Identifier: Apache-2.0 */
/* Workers behind a storage that end at the wrong time, and what of them is left in it. */
#include "through.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONG_RESULT = 12 << 20 };

static lithops_error err = LITHOPS_ERROR_INIT;

/* Each worker has a cache of its own, and says its number to what it starts. */
static const char *worker_script(void)
{
    return through_script("worker", "WORKER=$$ XDG_CACHE_HOME=$FOLDER/cache-$$\nexport WORKER "
                                    "FOLDER XDG_CACHE_HOME\nexec $LITHOPS \"$@\"");
}

/* Silence would tell nothing for an hour. */
static lithops_executor *open_executor(int workers, int retries)
{
    return through_open(lithops_pack("{s:i,s:i,s:s,s:i}", "workers", workers, "worker_processes", 1,
                                     "command", worker_script(), "worker_lost_timeout", 1000),
                        lithops_pack("{s:i}", "call_retries", retries));
}

static void make_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", through_folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
}

/* The workers that run a call of `stay`. */
static size_t find_stayers(pid_t *pids, size_t most)
{
    size_t count = 0;
    DIR *dir = opendir(through_folder);
    struct dirent *entry;
    CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        int pid;
        if (sscanf(entry->d_name, "stays-%d", &pid) == 1 && count < most)
            pids[count++] = pid;
    }
    closedir(dir);
    return count;
}

static void await_stayers(pid_t *pids, size_t count)
{
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while (find_stayers(pids, count) < count) {
        CHECK(fault_now() < limit);
        poll(NULL, 0, 5);
    }
}

/* Until there is a file `go`. */
LITHOPS_FUNCTION(stay)
{
    char path[256];
    const char *at = getenv("FOLDER"), *worker = getenv("WORKER");
    snprintf(path, sizeof path, "%s/stays-%s", at, worker);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return lithops_fail(call, "cannot write '%s'", path);
    close(fd);
    snprintf(path, sizeof path, "%s/go", at);
    while (access(path, F_OK) != 0)
        poll(NULL, 0, 5);
    return lithops_return_int(call, lithops_call_int(call));
}

/* While the other one goes on. A call whose beginning the worker has not told yet runs elsewhere,
 * others fail. */
FAULT_CASE(a_killed_worker_is_known_by_its_backend)
{
    pid_t pids[3];
    int64_t result;
    through_set_up();
    lithops_executor *fexec = open_executor(2, 0);
    lithops_futures *calls = lithops_map(fexec, stay, lithops_range(0, 2), NULL, &err);
    await_stayers(pids, 2);
    CHECK(kill(pids[0], SIGKILL) == 0);
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while (lithops_futures_done(calls) == 0 && find_stayers(pids, 3) < 3) {
        CHECK(fault_now() < limit);
        poll(NULL, 0, 5);
    }
    make_file("go");
    fault_await_all(calls);
    int failed = 0;
    for (size_t i = 0; i < 2; i++) {
        int rc = lithops_futures_int(calls, i, &result, &err);
        CHECK(rc == 0 || rc == LITHOPS_ECRASH);
        CHECK(rc == 0 || strstr(err.message, "killed by signal 9"));
        failed += rc != 0;
    }
    CHECK(failed <= 1);
    lithops_futures_unref(calls);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    CHECK_INT(through_list("", NULL, 0, NULL), 0);
    through_tear_down();
}

FAULT_CASE(its_calls_run_again_elsewhere)
{
    pid_t pids[2];
    int64_t result;
    through_set_up();
    lithops_executor *fexec = open_executor(2, 1);
    lithops_futures *calls = lithops_map(fexec, stay, lithops_range(0, 2), NULL, &err);
    await_stayers(pids, 2);
    CHECK(kill(pids[0], SIGKILL) == 0);
    make_file("go");
    fault_await_all(calls);
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(lithops_futures_int(calls, i, &result, &err), 0);
        CHECK_INT(result, (int64_t)i);
    }
    lithops_futures_unref(calls);
    lithops_executor_close(fexec);
    CHECK_INT(through_list("", NULL, 0, NULL), 0);
    through_tear_down();
}

/* One that is killed as it starts is no reason to think that none can start. */
FAULT_CASE(the_third_attempt_to_start_one_counts)
{
    through_set_up();
    const char *command = through_script("worker", "echo >>$FOLDER/starts\n"
                                                   "[ $(wc -l <$FOLDER/starts) -gt 2 ] || exit 1\n"
                                                   "exec $LITHOPS \"$@\"");
    lithops_executor *fexec = through_open(
        lithops_pack("{s:i,s:i,s:s}", "workers", 1, "worker_processes", 1, "command", command),
        NULL);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    through_tear_down();
}

/* ---- between a result and its status -----------------------------------------------------------
 */

LITHOPS_FUNCTION(long_result)
{
    char *bytes = malloc(LONG_RESULT), path[256];
    if (!bytes)
        return LITHOPS_ENOMEM;
    snprintf(path, sizeof path, "%s/stays-%s", getenv("FOLDER"), getenv("WORKER"));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    memset(bytes, 'x', LONG_RESULT);
    int rc = lithops_return_bytes(call, bytes, LONG_RESULT);
    free(bytes);
    return rc;
}

static int find_long(const lithops_object_info *info, void *user)
{
    (void)user;
    return strstr(info->key, "/from/") && info->size_bytes > (1 << 20);
}

/* Its result takes three objects, and its status is in the last one. It is killed when the first
 * is seen, so mostly before that; if it was quicker, its outcome stands. */
FAULT_CASE(a_result_without_its_status_is_none)
{
    lithops_bytes bytes;
    pid_t pid;
    through_set_up();
    lithops_executor *fexec = open_executor(1, 1);
    lithops_storage *storage = through_storage();
    const char *bucket = lithops_storage_bucket(storage);
    for (int round = 0; round < 5; round++) {
        lithops_future *call =
            lithops_call_async(fexec, long_result, lithops_value_null(), NULL, &err);
        CHECK(call != NULL);
        while (lithops_storage_list(storage, bucket, NULL, find_long, NULL, &err) != 1 &&
               lithops_future_state(call) != LITHOPS_SUCCESS)
            sched_yield();
        if (find_stayers(&pid, 1) == 1) {
            char path[256];
            (void)kill(pid, SIGKILL);
            snprintf(path, sizeof path, "%s/stays-%d", through_folder, (int)pid);
            CHECK(unlink(path) == 0);
        }
        if (lithops_future_result(call, FAULT_WAIT_MS, &err, "y", &bytes.ptr, &bytes.len) != 0)
            fault_fail(__FILE__, __LINE__, err.message);
        CHECK_INT(bytes.len, LONG_RESULT);
        for (size_t i = 0; i < bytes.len; i++)
            CHECK(((const char *)bytes.ptr)[i] == 'x');
        lithops_future_unref(call);
    }
    lithops_storage_close(storage);
    lithops_executor_close(fexec);
    CHECK_INT(through_list("", NULL, 0, NULL), 0);
    through_tear_down();
}

/* ---- twice ------------------------------------------------------------------------------------
 */

LITHOPS_FUNCTION(note_and_square)
{
    char path[256];
    int64_t x = lithops_call_int(call);
    snprintf(path, sizeof path, "%s/ran", getenv("FOLDER"));
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1)
        return lithops_fail(call, "cannot write '%s'", path);
    close(fd);
    return lithops_return_int(call, x * x);
}

/* As a cloud does that is not sure whether its first attempt has succeeded. */
FAULT_CASE(an_invocation_that_starts_twice_runs_calls_once)
{
    enum { CALLS = 300 };
    char path[128];
    struct stat status;
    through_set_up();
    const char *command = through_script("worker", "export FOLDER\n"
                                                   "$LITHOPS \"$@\" & first=$!\n"
                                                   "$LITHOPS \"$@\" & second=$!\n"
                                                   "trap 'kill -INT $first $second' INT\n"
                                                   "wait $first; wait $second; wait");
    lithops_executor *fexec = through_open(
        lithops_pack("{s:i,s:i,s:s}", "workers", 2, "worker_processes", 1, "command", command),
        NULL);
    lithops_futures *calls =
        lithops_map(fexec, note_and_square, lithops_range(0, CALLS), NULL, &err);
    CHECK(calls != NULL);
    fault_await_all(calls);
    CHECK_INT(fault_check_squares(calls, CALLS, 0), 0);
    snprintf(path, sizeof path, "%s/ran", through_folder);
    CHECK(stat(path, &status) == 0);
    CHECK_INT(status.st_size, CALLS);
    lithops_futures_unref(calls);
    lithops_executor_close(fexec);
    CHECK_INT(through_list("", NULL, 0, NULL), 0);
    through_tear_down();
}

/* ---- what is left -----------------------------------------------------------------------------
 */

LITHOPS_FUNCTION(fail_at_odds)
{
    int64_t x = lithops_call_int(call);
    return x % 2 ? lithops_fail(call, "odd") : lithops_return_int(call, x * x);
}

FAULT_CASE(jobs_leave_nothing)
{
    through_set_up();
    lithops_executor *fexec = open_executor(2, 0);
    lithops_futures *some = lithops_map(fexec, fail_at_odds, lithops_range(0, 100), NULL, &err);
    CHECK(some != NULL);
    fault_await_all(some);
    lithops_futures_unref(some);
    lithops_futures *naps =
        lithops_map(fexec, fault_nap, lithops_range(600000, 600010), NULL, &err);
    CHECK(naps != NULL);
    CHECK(lithops_futures_cancel(naps) > 0);
    fault_await_all(naps);
    lithops_futures_unref(naps);
    lithops_executor_close(fexec);
    CHECK_INT(through_list("", NULL, 0, NULL), 0);
    through_tear_down();
}

/* Its worker finds out by itself, and takes its link's objects away; the rest is for the command.
 */
FAULT_CASE(a_killed_client_leaves_what_clean_removes)
{
    char yaml[256], said[1024];
    pid_t worker;
    through_set_up();
    pid_t client = fork();
    CHECK(client >= 0);
    if (client == 0) {
        lithops_executor *fexec =
            through_open(lithops_pack("{s:i,s:i,s:s,s:i}", "workers", 1, "worker_processes", 1,
                                      "command", worker_script(), "worker_lost_timeout", 2),
                         NULL);
        lithops_futures *calls = lithops_map(fexec, stay, lithops_range(0, 20), NULL, &err);
        (void)lithops_wait(fexec, calls, NULL, NULL, NULL, &err);
        _exit(0);
    }
    await_stayers(&worker, 1);
    CHECK(kill(client, SIGKILL) == 0 && waitpid(client, NULL, 0) == client);
    CHECK(fault_is_gone(worker, FAULT_WAIT_MS));
    size_t bundles;
    CHECK_INT(through_list("lithops.jobs/objects/", NULL, 0, &bundles), 1); /* the program */
    snprintf(yaml, sizeof yaml, "localhost: {storage_root: %s}\n", through_folder);
    CHECK_INT(fault_command(FAULT_COMMAND, through_folder, yaml, "clean --all", said, sizeof said),
              0);
    CHECK_INT(through_list("", NULL, 0, NULL), 0);
    through_tear_down();
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_worker_is_known_by_its_backend),
        cmocka_unit_test(its_calls_run_again_elsewhere),
        cmocka_unit_test(the_third_attempt_to_start_one_counts),
        cmocka_unit_test(a_result_without_its_status_is_none),
        cmocka_unit_test(an_invocation_that_starts_twice_runs_calls_once),
        cmocka_unit_test(jobs_leave_nothing),
        cmocka_unit_test(a_killed_client_leaves_what_clean_removes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
