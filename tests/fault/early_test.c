/* SPDX-License-Identifier: Apache-2.0 */
/* Reducers that begin on links before their map calls are done: whatever becomes of these, the
 * reducer hears of it, and never keeps from them the process that they need. */
#include "fault.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/lithops-early-XXXXXX";

static void path_of(const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", folder, name);
}

static bool is_there(const char *name)
{
    char path[64];
    path_of(name, path, sizeof path);
    return access(path, F_OK) == 0;
}

static void make(const char *name)
{
    char path[64];
    path_of(name, path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
}

static void await(const char *name)
{
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while (!is_there(name) && fault_now() < limit)
        sched_yield();
    CHECK(is_there(name));
}

static lithops_executor *open_links(int workers, int processes, int retries)
{
    char command[64];
    path_of("worker", command, sizeof command);
    return fault_open_links("process", retries,
                            lithops_pack("{s:i,s:i,s:s}", "workers", workers, "worker_processes",
                                         processes, "command", command));
}

/* ---- functions ------------------------------------------------------------------------------- */

/* The first `held` calls wait until they may go; `folder` is an argument, as the worker process is
 * no child of the test's. */
LITHOPS_FUNCTION(hold)
{
    const char *in;
    int64_t x, held;
    char path[96];
    if (lithops_args(call, "I|sI", "x", &x, "in", &in, "held", &held) != 0)
        return LITHOPS_EARG;
    snprintf(path, sizeof path, "%s/go", in);
    while (lithops_call_id(call) < held && access(path, F_OK) != 0)
        usleep(1000);
    return lithops_return_int(call, x);
}

/* Says where it runs, and adds. */
LITHOPS_FUNCTION(add)
{
    const char *in;
    char path[96];
    if (lithops_args(call, "s", "in", &in) != 0)
        return LITHOPS_EARG;
    snprintf(path, sizeof path, "%s/%d", in, (int)getppid());
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    snprintf(path, sizeof path, "%s/begun", in);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    int64_t total = 0, x;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &x)) > 0)
        total += x;
    return rc ? rc : lithops_return_int(call, total);
}

static lithops_futures *start(lithops_executor *fexec, int64_t calls, int64_t held)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures = NULL;
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    lithops_value *maps = lithops_pack("{s:s,s:I}", "in", folder, "held", held);
    lithops_value *reduces = lithops_pack("{s:s}", "in", folder);
    options.extra_args = maps;
    options.extra_args_reduce = reduces;
    options.spawn_reducer = 0;
    options.chunksize = 1;
    CHECK_INT(
        lithops_map_reduce(fexec, hold, lithops_range(0, calls), add, &options, &futures, &err), 0);
    lithops_value_free(maps);
    lithops_value_free(reduces);
    return futures;
}

/* What became of the reducer, the last call. */
static int outcome(lithops_futures *futures, int64_t *ret_total, lithops_error *err)
{
    fault_await_all(futures);
    int rc = lithops_futures_int(futures, lithops_futures_size(futures) - 1, ret_total, err);
    lithops_futures_unref(futures);
    return rc;
}

/* ---- cases ----------------------------------------------------------------------------------- */

/* Its map calls run on the other worker, which is lost, and nothing takes its place. */
FAULT_CASE(the_other_worker_is_lost)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links(2, 2, 1);
    lithops_futures *futures = start(fexec, 20, 3); /* and the reducer: all four processes */
    pid_t workers[2];
    char name[16];
    int64_t total = 0;
    await("begun");
    CHECK_INT(fault_children(workers, 2), 2);
    snprintf(name, sizeof name, "%d", (int)workers[0]);
    make("no-more");
    CHECK_INT(kill(workers[is_there(name) ? 1 : 0], SIGKILL), 0);
    make("go");
    CHECK_INT(outcome(futures, &total, &err), 0);
    CHECK_INT(total, 190);
    lithops_executor_close(fexec);
}

/* The same, where calls that have begun may not run again: the reducer hears that they have failed.
 */
FAULT_CASE(lost_calls_end_the_reducer)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links(2, 2, 0);
    fault_check_works(fexec, 100);
    lithops_futures *futures = start(fexec, 20, 3);
    pid_t workers[2];
    char name[16];
    int64_t total = 0;
    await("begun");
    CHECK_INT(fault_children(workers, 2), 2);
    snprintf(name, sizeof name, "%d", (int)workers[0]);
    CHECK_INT(kill(workers[is_there(name) ? 1 : 0], SIGKILL), 0);
    make("go");
    if (outcome(futures, &total, &err) == 0) /* none of them had begun */
        CHECK_INT(total, 190);
    else
        CHECK(strstr(err.message, "was lost") != NULL);
    lithops_executor_close(fexec);
}

FAULT_CASE(a_map_call_is_cancelled)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links(2, 2, 0);
    lithops_futures *futures = start(fexec, 20, 3);
    int64_t total = 0;
    await("begun");
    for (size_t i = 0; i < 3; i++) {
        lithops_future *held = lithops_futures_get(futures, i);
        (void)lithops_future_cancel(held);
        lithops_future_unref(held);
    }
    CHECK_INT(outcome(futures, &total, &err), LITHOPS_ECANCELED);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
}

/* Where workers have one process each, none waits for a map call. */
FAULT_CASE(one_process_each)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links(2, 1, 0);
    lithops_futures *held = start(fexec, 20, 1), *others[4];
    int64_t total = 0;
    for (int i = 0; i < 4; i++)
        others[i] = start(fexec, 20, 0);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(outcome(others[i], &total, &err), 0);
        CHECK_INT(total, 190);
    }
    make("go");
    CHECK_INT(outcome(held, &total, &err), 0);
    lithops_executor_close(fexec);
}

/* More reducers than processes, all of which could begin. */
FAULT_CASE(more_reducers_than_processes)
{
    enum { JOBS = 40 };
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links(2, 3, 0);
    lithops_futures *futures[JOBS];
    int64_t total = 0;
    for (int i = 0; i < JOBS; i++)
        futures[i] = start(fexec, 10, 1);
    make("go");
    for (int i = 0; i < JOBS; i++) {
        CHECK_INT(outcome(futures[i], &total, &err), 0);
        CHECK_INT(total, 45);
    }
    lithops_executor_close(fexec);
}

LITHOPS_FUNCTION(long_result)
{
    size_t len = (size_t)3 << 20;
    void *bytes = lithops_call_alloc(call, len);
    if (!bytes)
        return LITHOPS_ENOMEM;
    memset(bytes, (int)lithops_call_id(call), len);
    return lithops_return_bytes(call, bytes, len);
}

LITHOPS_FUNCTION(reads_one)
{
    lithops_bytes bytes;
    int rc = lithops_call_next_bytes(call, &bytes);
    return rc < 0 ? rc : lithops_return_int(call, (int64_t)bytes.len);
}

/* It ends while the rest of its results is on its way. */
FAULT_CASE(a_reducer_that_reads_one_result)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links(2, 2, 0);
    for (int i = 0; i < 5 + 15 / FAULT_SLOWER; i++) {
        lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
        lithops_futures *futures = NULL;
        int64_t len = 0;
        options.spawn_reducer = i % 2 * 100;
        CHECK_INT(lithops_map_reduce(fexec, long_result, lithops_range(0, 12), reads_one, &options,
                                     &futures, &err),
                  0);
        CHECK_INT(outcome(futures, &len, &err), 0);
        CHECK_INT(len, 3 << 20);
        CHECK_INT(lithops_clean(fexec, NULL, NULL, &err), 0);
        fault_check_works(fexec, 100);
    }
    lithops_executor_close(fexec);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* A worker, until there are to be no more. */
static int make_folder(void **state)
{
    (void)state;
    char path[64];
    FILE *script =
        mkdtemp(folder) ? (path_of("worker", path, sizeof path), fopen(path, "we")) : NULL;
    if (!script)
        return -1;
    fprintf(script, "#!/bin/sh\n[ ! -e %s/no-more ] && exec %s \"$@\"\n", folder, FAULT_COMMAND);
    fchmod(fileno(script), 0700);
    return fclose(script);
}

static int forget(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "cd %s && ls | grep -vx worker | xargs rm -f", folder);
    return system(command);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_other_worker_is_lost, forget),
        cmocka_unit_test_teardown(lost_calls_end_the_reducer, forget),
        cmocka_unit_test_teardown(a_map_call_is_cancelled, forget),
        cmocka_unit_test_teardown(one_process_each, forget),
        cmocka_unit_test_teardown(more_reducers_than_processes, forget),
        cmocka_unit_test_teardown(a_reducer_that_reads_one_result, forget),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
