/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of jobs when something on a host is killed or stands still, when there is no memory
 * or the cache is spoiled, and when one of two clients is killed. */
#include "hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- processes of a host --------------------------------------------------------------------- */

enum kind { WORKER_PROCESS, WORKER, CONNECTION, ALL };

static enum kind kind_of(pid_t pid)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    FILE *file = fopen(path, "re");
    if (file)
        (void)!fgets(name, sizeof name, file);
    if (file)
        fclose(file);
    return strncmp(name, "sshd", 4) == 0        ? CONNECTION
           : strncmp(name, "lithops\n", 8) == 0 ? WORKER
                                                : WORKER_PROCESS;
}

/* All that run there but the first one, the sshd that it comes back with. */
static size_t processes_of(const char *host, enum kind kind, pid_t *pids, size_t most)
{
    size_t count = fault_children_of(hosts_pid(host), pids, most), kept = 0;
    for (size_t i = 0; i < count && count < most; i++)
        count += fault_children_of(pids[i], pids + count, most - count);
    for (size_t i = 0; i < count; i++)
        if (kind == ALL || kind_of(pids[i]) == kind)
            pids[kept++] = pids[i];
    return kept;
}

static void await_quiet(const char *host)
{
    pid_t pids[64];
    double start = fault_now();
    while (processes_of(host, ALL, pids, 64) > 0) {
        CHECK(fault_now() - start < 20 * FAULT_SLOWER);
        poll(NULL, 0, 20);
    }
}

/* ---- killed, or standing still --------------------------------------------------------------- */

LITHOPS_FUNCTION(square_slowly)
{
    int64_t n = lithops_call_int(call);
    poll(NULL, 0, (int)(n % 7));
    return lithops_return_int(call, n * n);
}

static void await_done(const lithops_futures *futures, size_t count)
{
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while (lithops_futures_done(futures) < count && fault_now() < limit)
        sched_yield();
    CHECK(lithops_futures_done(futures) >= count);
}

/* In the middle of a job something on host1 gets the signal; all results are right. */
static void survives(enum kind kind, int signal)
{
    enum { CALLS = 600 };
    lithops_error err = LITHOPS_ERROR_INIT;
    pid_t pids[64];
    lithops_executor *fexec =
        hosts_open("{\"hosts\": [\"host1\", \"host2\"], \"worker_processes\": 2, "
                   "\"min_hosts\": 2, \"worker_lost_timeout\": 2}",
                   3);
    fault_check_works(fexec, 1000);
    lithops_futures *futures =
        lithops_map(fexec, square_slowly, lithops_range(0, CALLS), NULL, &err);
    CHECK(futures != NULL);
    await_done(futures, CALLS / 4);
    size_t count = processes_of("host1", kind, pids, 64);
    CHECK(count > 0);
    for (size_t i = 0; i < count; i++)
        CHECK(kill(pids[i], signal) == 0 || errno == ESRCH);
    if (signal == SIGSTOP && kind == WORKER_PROCESS) /* the calls that it runs wait for it */
        await_done(futures, CALLS - 2);
    else
        fault_await_all(futures);
    for (size_t i = 0; signal == SIGSTOP && i < count; i++)
        (void)kill(pids[i], SIGCONT);
    fault_await_all(futures);
    CHECK_INT(fault_check_squares(futures, CALLS, 0), 0);
    lithops_futures_unref(futures);
    fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
    await_quiet("host1");
}

FAULT_CASE(worker_processes_are_killed)
{
    survives(WORKER_PROCESS, SIGKILL);
}

FAULT_CASE(a_worker_is_killed)
{
    survives(WORKER, SIGKILL);
}

FAULT_CASE(the_sshd_of_a_connection_is_killed)
{
    survives(CONNECTION, SIGKILL);
}

FAULT_CASE(worker_processes_stand_still)
{
    survives(WORKER_PROCESS, SIGSTOP);
}

FAULT_CASE(a_worker_stands_still)
{
    survives(WORKER, SIGSTOP);
}

FAULT_CASE(the_sshd_of_a_connection_stands_still)
{
    survives(CONNECTION, SIGSTOP);
}

FAULT_CASE(a_host_stands_still)
{
    survives(ALL, SIGSTOP);
}

/* ---- no memory, no cache --------------------------------------------------------------------- */

FAULT_CASE(a_host_without_memory)
{
    char path[512], kept[520];
    lithops_error err = LITHOPS_ERROR_INIT;
    snprintf(path, sizeof path, "%s/host1.home/.bashrc", hosts_folder);
    snprintf(kept, sizeof kept, "%s.kept", path);
    bool was_there = rename(path, kept) == 0;
    FILE *file = fopen(path, "we");
    CHECK(file && fputs("ulimit -v 100000\n", file) >= 0 && fclose(file) == 0);
    lithops_executor *fexec = hosts_open("{\"hosts\": [\"host1\"]}", 0);
    CHECK_INT(fault_call(fexec, fault_square, lithops_value_int(3), &err), LITHOPS_ENOSPACE);
    if (!strstr(err.message, "worker host1 was lost: no address space for shared memory: raise") ||
        strstr(err.message, "lithops: ")) /* once is enough */
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_executor_close(fexec);
    CHECK_INT(was_there ? rename(kept, path) : unlink(path), 0);
}

static int spoilt;

static int spoil(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)walk;
    if (type != FTW_F || status->st_size < 8)
        return 0;
    int rc = spoilt++ % 3 == 0 ? unlink(path) : truncate(path, status->st_size / 2);
    FILE *file = spoilt % 3 == 2 ? fopen(path, "r+e") : NULL;
    if (file && (fputs("spoiled", file) < 0 || fclose(file) != 0))
        return -1;
    return rc;
}

/* Every file in the cache is gone, cut, or another one. */
FAULT_CASE(a_spoiled_cache)
{
    char path[512];
    snprintf(path, sizeof path, "%s/host2.home/.cache/lithops", hosts_folder);
    for (int i = 0; i < 3; i++) {
        lithops_executor *fexec =
            hosts_open("{\"hosts\": [\"host2\"], \"worker_processes\": 1}", 0);
        fault_check_works(fexec, 10);
        lithops_executor_close(fexec);
        await_quiet("host2");
        CHECK_INT(nftw(path, spoil, 16, FTW_PHYS), 0);
    }
    CHECK(spoilt > 10);
}

static void use_host3(void)
{
    lithops_executor *fexec = hosts_open("{\"hosts\": [\"host3\"], \"worker_processes\": 1}", 0);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    await_quiet("host3");
}

/* The files of an engine are not hashed while they are the same (compute/bootstrap.c); one that has
 * become another one is seen, although its size and time are those it had. */
FAULT_CASE(an_engine_that_was_checked)
{
    char path[512];
    glob_t found;
    snprintf(path, sizeof path, "%s/host3.home/.cache/lithops/engine/*/CHECKED", hosts_folder);
    while (glob(path, 0, NULL, &found) != 0)
        use_host3(); /* not kept before all files are older than the second of the check */
    CHECK_INT(found.gl_pathc, 1);
    snprintf(path, sizeof path, "%.*s/bin/lithops", (int)(strlen(found.gl_pathv[0]) - 8),
             found.gl_pathv[0]);
    struct stat status;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    CHECK_INT(pwrite(fd, "spoiled", 7, 0), 7);
    CHECK_INT(futimens(fd, (struct timespec[]){status.st_atim, status.st_mtim}), 0);
    close(fd);
    use_host3();
    CHECK(access(found.gl_pathv[0], F_OK) != 0); /* a new folder came in the place of this one */
    globfree(&found);
}

/* ---- two clients ----------------------------------------------------------------------------- */

/* What is ended with the one is its own alone. */
FAULT_CASE(one_of_two_clients_is_killed)
{
    static const char settings[] =
        "{\"hosts\": [\"host1\", \"host2\"], \"worker_processes\": 2, \"min_hosts\": 2}";
    enum { CALLS = 2000 };
    lithops_error err = LITHOPS_ERROR_INIT;
    int ready[2];
    char byte;
    CHECK_INT(pipe(ready), 0);
    pid_t other = fork();
    if (other == 0) {
        lithops_executor *fexec = hosts_open(settings, 0);
        fault_check_works(fexec, 100);
        (void)!write(ready[1], "!", 1);
        while (true)
            fault_check_works(fexec, 100);
    }
    CHECK_INT(read(ready[0], &byte, 1), 1);
    lithops_executor *fexec = hosts_open(settings, 0);
    lithops_futures *futures =
        lithops_map(fexec, square_slowly, lithops_range(0, CALLS), NULL, &err);
    CHECK(futures != NULL);
    await_done(futures, CALLS / 4);
    CHECK_INT(kill(other, SIGKILL), 0);
    CHECK_INT(waitpid(other, NULL, 0), other);
    fault_await_all(futures);
    CHECK_INT(fault_check_squares(futures, CALLS, 0), 0);
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
    await_quiet("host1");
    await_quiet("host2");
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    hosts_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_processes_are_killed),
        cmocka_unit_test(a_worker_is_killed),
        cmocka_unit_test(the_sshd_of_a_connection_is_killed),
        cmocka_unit_test(worker_processes_stand_still),
        cmocka_unit_test(a_worker_stands_still),
        cmocka_unit_test(the_sshd_of_a_connection_stands_still),
        cmocka_unit_test(a_host_stands_still),
        cmocka_unit_test(a_host_without_memory),
        cmocka_unit_test(a_spoiled_cache),
        cmocka_unit_test(an_engine_that_was_checked),
        cmocka_unit_test(one_of_two_clients_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
