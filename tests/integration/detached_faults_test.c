/* SPDX-License-Identifier: Apache-2.0 */
/* Detached jobs on a full disk, of other users, past their time, with clocks that are set, and
 * supervisors that do not stay or have nothing to do. */
#include "core/detached_jobs.h"
#include "detached.h"
#include "detached/home.h"
#include "detached/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

LITHOPS_FUNCTION(triple)
{
    int64_t x;
    if (lithops_args(call, "I", "x", &x) != 0)
        return LITHOPS_EARG;
    return lithops_return(call, "I", x * 3);
}

static const char *state_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s%s", getenv("XDG_STATE_HOME"), name);
    return path;
}

static const char *path_in(const lithops_value *handle, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s",
             lithops_value_get_string(lithops_value_get(handle, "folder")), name);
    return path;
}

/* A job of `count` calls that is done, with its executor closed. */
static lithops_value *done_job(double idle_s, double expiry_s, int64_t count)
{
    lithops_executor *opened = open_with("retry", idle_s, expiry_s);
    lithops_futures *futures =
        not_null(lithops_map(opened, triple, lithops_range(0, count), NULL, &err));
    lithops_value *handle = not_null(lithops_job_handle(futures, &err));
    lithops_futures_unref(futures);
    lithops_executor_close(opened);
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    assert_int_equal(state_of(handle).success, count);
    return handle;
}

static void await_end_of_supervisor(const lithops_value *handle)
{
    double start = api_now();
    pid_t pid = supervisor_of(handle);
    while (kill(pid, 0) == 0) {
        assert_true(api_now() - start < LIMIT_MS / 1000);
        usleep(2000);
    }
}

static void await_gone(const lithops_value *handle)
{
    double start = api_now();
    while (access(path_in(handle, ""), F_OK) == 0) {
        assert_true(api_now() - start < LIMIT_MS / 1000);
        usleep(2000);
    }
}

static void is_gone(lithops_value *handle)
{
    lithops_job_state there = LITHOPS_JOB_STATE_INIT;
    fails(lithops_job_state_read(handle, &there, &err), LITHOPS_ENOTFOUND, "not there any more");
    lithops_value_free(handle);
}

static void open_home(const lithops_value *handle, struct lithops__home *ret)
{
    const char *path = lithops_value_get_string(lithops_value_get(handle, "folder"));
    succeeds(lithops__home_open(ret, path, &err));
}

/* ---- full disks ------------------------------------------------------------------------------ */

/* Jobs are kept on a disk of 1 MiB, which only this process and its children see. */
static bool has_small_disk(void)
{
    static bool has;
    if (!has)
        has = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return has && mount("none", state_path(""), "tmpfs", 0, "size=1m,mode=0700") == 0;
}

static void fill_disk(void)
{
    static const char bytes[4096] = "filler";
    int fd = open(state_path("/filler"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, bytes, sizeof bytes) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void make_room(void)
{
    assert_int_equal(unlink(state_path("/filler")), 0);
}

/* The next record needs another page. */
static void fill_page(const lithops_value *handle)
{
    static const char zeros[4096];
    struct lithops__home home;
    struct lithops__journal journal;
    uint32_t type;
    lithops_bytes bytes;
    open_home(handle, &home);
    succeeds(lithops__journal_open(&journal, home.fd, "M000", &err));
    while (lithops__journal_read(&journal, true, &type, &bytes, &err) == 1)
        ;
    bytes = (lithops_bytes){zeros, (size_t)(-(journal.at + LITHOPS__JOURNAL_RECORD) % 4096)};
    succeeds(lithops__journal_append(&journal, 99, bytes, &err)); /* readers pass over it */
    assert_int_equal(journal.at % 4096, 0);
    lithops__journal_close(&journal);
    lithops__home_close(&home);
}

static void await_trouble(const lithops_value *handle)
{
    double start = api_now();
    while (state_of(handle).trouble != ENOSPC) {
        assert_true(api_now() - start < LIMIT_MS / 1000);
        usleep(2000);
    }
}

/* Outcomes wait in memory; a new job is refused; then there is room. */
static void full_disk_delays_outcomes(void **state)
{
    (void)state;
    if (!has_small_disk())
        skip();
    const uint64_t count = 1000; /* more than what there is room for in a page */
    lithops_value *handle = leave_job("retry", (int64_t)count);
    lithops_executor *opened = open_detached("retry");
    results_are(lithops_map(opened, triple, lithops_range(0, 2), NULL, &err), "[0,3]");
    fill_disk();
    is_refused(lithops_map(opened, triple, lithops_range(0, 2), NULL, &err), LITHOPS_ENOSPACE,
               "file");
    open_gate();
    await_trouble(handle);
    assert_true(state_of(handle).success < count);
    make_room();
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    assert_int_equal(state_of(handle).success, count);
    assert_int_equal(state_of(handle).trouble, 0);
    results_are(lithops_map(opened, triple, lithops_range(0, 2), NULL, &err), "[0,3]");
    lithops_executor_close(opened);
    release(handle);
    umount2(state_path(""), MNT_DETACH);
}

/* A supervisor that finds the disk full does not give the job up: neither to run nor to end it.
 * Each job has a disk of its own: processes of another one that end late would make room on it. */
static void full_disk_delays_a_start(void **state)
{
    (void)state;
    for (int cancels = 0; cancels < 2; cancels++) {
        if (!has_small_disk())
            skip();
        lithops_value *handle = leave_job("retry", 20);
        end_supervisor(handle);
        fill_page(handle);
        fill_disk();
        if (cancels)
            succeeds(lithops_job_cancel(handle, &err));
        fails(lithops_job_wait(handle, 200, &err), LITHOPS_ETIMEDOUT, "not done");
        await_trouble(handle);
        open_gate();
        make_room();
        succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
        assert_int_equal(state_of(handle).success, cancels ? 4 : 20);
        assert_int_equal(state_of(handle).canceled, cancels ? 16 : 0);
        release(handle);
        umount2(state_path(""), MNT_DETACH);
    }
}

/* ---- other users, other files ---------------------------------------------------------------- */

/* In a process of another user; 0: it is refused as it should. */
static int try_as_other(const lithops_value *handle)
{
    lithops_futures *futures;
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_job_state there = LITHOPS_JOB_STATE_INIT;
    lithops_value *forged = lithops_value_copy(handle);
    if (setgid(65534) != 0 || setuid(65534) != 0 ||
        lithops_value_set(forged, "user", lithops_value_int(65534)) != 0)
        return 1;
    if (lithops_job_state_read(handle, &there, &own) != LITHOPS_EDENIED ||
        !strstr(own.message, "belongs to user"))
        return 2;
    if (lithops_attach(handle, NULL, &futures, &own) || own.code != LITHOPS_EDENIED)
        return 3;
    if (lithops_job_state_read(forged, &there, &own) != LITHOPS_EDENIED)
        return 4;
    if (lithops_job_cancel(forged, &own) != LITHOPS_EDENIED ||
        lithops_job_release(forged, &own) != LITHOPS_EDENIED)
        return 5;
    return 0;
}

/* All folders from `folder` to this one can be read by anybody. */
static void let_others_in(const char *path)
{
    char at[512];
    snprintf(at, sizeof at, "%s", path);
    for (char *end = at + strlen(folder); end; end = strchr(end + 1, '/')) {
        *end = '\0';
        assert_int_equal(chmod(at, 0755), 0);
        *end = '/';
    }
}

static void other_users_are_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    lithops_value *handle = done_job(0.05, 86400, 3);
    for (int open = 0; open < 2; open++) { /* closed to others, and a folder that they may read */
        int status;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(try_as_other(handle));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        let_others_in(path_in(handle, ""));
    }
    assert_int_equal(state_of(handle).success, 3);
    assert_int_equal(chmod(path_in(handle, ""), 0777), 0);
    lithops_job_state there = LITHOPS_JOB_STATE_INIT;
    fails(lithops_job_state_read(handle, &there, &err), LITHOPS_EDENIED,
          "may be written by others");
    assert_int_equal(chmod(path_in(handle, ""), 0700), 0);
    release(handle);
}

/* In place of the journal there is one of another job, and something that is none. */
static void exchanged_files_are_refused(void **state)
{
    (void)state;
    char other[512];
    lithops_job_state there = LITHOPS_JOB_STATE_INIT;
    lithops_value *handle = done_job(0.05, 86400, 3), *second = done_job(0.05, 86400, 3);
    snprintf(other, sizeof other, "%s", path_in(second, "M000"));
    assert_int_equal(rename(other, path_in(handle, "M000")), 0);
    fails(lithops_job_state_read(handle, &there, &err), LITHOPS_ENOTFOUND, "not there any more");
    fails(lithops_job_wait(second, 0, &err), LITHOPS_ENOTFOUND, "not there any more");
    FILE *file = not_null(fopen(path_in(handle, "M000"), "w"));
    fputs("no journal", file);
    fclose(file);
    fails(lithops_job_state_read(handle, &there, &err), LITHOPS_EPARSE, "is none");
    assert_int_equal(unlink(path_in(handle, "M000")), 0);
    lithops_value_free(handle);
    lithops_value_free(second);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* Since the job ended. */
static void let_a_minute_pass(const lithops_value *handle)
{
    const uint64_t minute_ns = (uint64_t)61 * 1000000000;
    struct lithops__home home;
    struct lithops__journal journal;
    open_home(handle, &home);
    succeeds(lithops__journal_open(&journal, home.fd, "M000", &err));
    for (double start = api_now(); atomic_load(&journal.header->ended_wall_ns) == 0; usleep(2000))
        assert_true(api_now() - start < LIMIT_MS / 1000); /* its last outcome comes first */
    atomic_fetch_sub(&journal.header->ended_ns, minute_ns);
    atomic_fetch_sub(&journal.header->ended_wall_ns, minute_ns);
    lithops__journal_close(&journal);
    lithops__home_close(&home);
}

static struct lithops__job_sweep sweep(bool dry_run)
{
    struct lithops__job_sweep found;
    succeeds(lithops__detached_sweep(dry_run, &found, &err));
    return found;
}

static void reader_of_an_expired_job_reads_on(void **state)
{
    (void)state;
    const int64_t count = 20000;
    lithops_futures *futures;
    lithops_value *handle = done_job(0.05, 60, count), *results;
    lithops_executor *attached = not_null(lithops_attach(handle, NULL, &futures, &err));
    let_a_minute_pass(handle);
    double start = api_now();
    while (access(path_in(handle, "M000"), F_OK) == 0) { /* the supervisor may be quicker */
        assert_true(api_now() - start < LIMIT_MS / 1000);
        (void)sweep(false);
    }
    succeeds(lithops_get_result_value(attached, futures, &within_limit, &results, &err));
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(lithops_value_get_int(lithops_value_at(results, (size_t)i)), i * 3);
    lithops_value_free(results);
    lithops_futures_unref(futures);
    lithops_executor_close(attached);
    await_gone(handle);
    is_gone(handle);
}

/* Nobody calls for it: the next supervisor that ends, of whatever folder, sees to it. */
static void supervisors_remove_what_has_expired(void **state)
{
    (void)state;
    lithops_value *kept = done_job(0.05, 86400, 3), *expired = done_job(0.05, 60, 3), *other;
    await_end_of_supervisor(kept);
    await_end_of_supervisor(expired);
    let_a_minute_pass(expired);
    unlink(state_path("/lithops/jobs/.swept"));
    other = done_job(0.05, 86400, 3);
    await_end_of_supervisor(other);
    await_gone(expired);
    is_gone(expired);
    assert_int_equal(state_of(kept).success, 3);
    release(kept);
    release(other);
}

static void live_jobs_are_not_swept(void **state)
{
    (void)state;
    lithops_value *handle = leave_job("retry", 8); /* with a supervisor */
    assert_int_equal(sweep(false).jobs, 0);
    end_supervisor(handle); /* and without */
    struct lithops__job_sweep found = sweep(false);
    assert_int_equal(found.jobs, 0);
    assert_int_equal(found.kept, 1);
    open_gate();
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    release(handle);
}

/* What clients leave that are killed while they make their folder or write a job. */
static void remains_are_swept(void **state)
{
    (void)state;
    lithops_value *handle = done_job(0.05, 86400, 3);
    await_end_of_supervisor(handle);
    assert_int_equal(mkdir(state_path("/lithops/jobs/abcdef-0"), 0700), 0);
    assert_int_equal(mkdir(state_path("/lithops/jobs/abcdef-1"), 0700), 0);
    static const char *const files[] = {"page", "M000.new", "R000.new"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[64];
        snprintf(name, sizeof name, "/lithops/jobs/abcdef-1/%s", files[i]);
        int fd = open(state_path(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(sweep(true).jobs, 0);
    assert_int_equal(access(state_path("/lithops/jobs/abcdef-0"), F_OK), 0);
    assert_int_equal(sweep(false).jobs, 0);
    assert_int_not_equal(access(state_path("/lithops/jobs/abcdef-0"), F_OK), 0);
    assert_int_not_equal(access(state_path("/lithops/jobs/abcdef-1"), F_OK), 0);
    release(handle);
}

/* As if the clock had been set by two years, in either direction, since the job ended. */
static void clock_may_be_set(void **state)
{
    (void)state;
    const int64_t years_ns = (int64_t)63072000 * 1000000000;
    for (int sign = -1; sign <= 1; sign += 2) {
        struct lithops__home home;
        struct lithops__journal journal;
        lithops_value *handle = done_job(0.05, 60, 3);
        await_end_of_supervisor(handle);
        open_home(handle, &home);
        succeeds(lithops__journal_open(&journal, home.fd, "M000", &err));
        atomic_fetch_add(&journal.header->ended_wall_ns, (uint64_t)(sign * years_ns));
        assert_int_equal(sweep(false).jobs, 0);
        assert_true(state_of(handle).is_done);
        let_a_minute_pass(handle);
        assert_int_equal(sweep(false).jobs, 1);
        lithops__journal_close(&journal);
        lithops__home_close(&home);
        (void)sweep(false);
        is_gone(handle);
    }
}

/* ---- supervisors ----------------------------------------------------------------------------- */

/* However short the waits are. */
static void wait_in_slices_ends_without_supervisor(void **state)
{
    (void)state;
    lithops_value *handle = leave_job("retry", 8);
    end_supervisor(handle);
    assert_int_equal(unlink(path_in(handle, "bell")), 0); /* none can stay without */
    struct lithops__watch watch = {0};
    double start = api_now();
    int rc;
    lithops_futures *futures; /* those who follow are told as well */
    lithops_executor *attached = not_null(lithops_attach(handle, NULL, &futures, &err));
    while ((rc = lithops__job_wait_on(handle, 20, &watch, &err)) == LITHOPS_ETIMEDOUT)
        assert_true(api_now() - start < LIMIT_MS / 1000);
    assert_int_equal(rc, LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, "no supervisor stays"));
    call_fails(lithops_futures_get(futures, 7), LITHOPS_EBACKEND, "no supervisor stays");
    result_is(lithops_futures_get(futures, 3), "9");
    lithops_futures_unref(futures);
    lithops_executor_close(attached);
    open_gate();
    release(handle);
}

/* One that ends its workers has no ears, and the lock: it is no sign that none stays. */
static void one_that_is_closing_is_waited_for(void **state)
{
    (void)state;
    struct lithops__home home;
    int lock_fd;
    lithops_value *handle = leave_job("retry", 8);
    end_supervisor(handle);
    open_home(handle, &home);
    double start = api_now();
    while (!lithops__home_try_lock(&home, &lock_fd))
        assert_true(api_now() - start < LIMIT_MS / 1000);
    struct lithops__watch watch = {.starts = 4};
    assert_int_equal(lithops__watch_look(&watch, &home, 0, &err), 0);
    fails(lithops__job_wait_on(handle, 50, &watch, &err), LITHOPS_ETIMEDOUT, "not done");
    close(lock_fd);
    open_gate();
    succeeds(lithops_job_wait(handle, LIMIT_MS, &err));
    lithops__home_close(&home);
    release(handle);
}

/* What a process and its children have run for; nanoseconds. */
static uint64_t cpu_of(pid_t pid)
{
    char path[64];
    unsigned long long ns, sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = not_null(opendir(path));
    const struct dirent *entry;
    while ((entry = readdir(tasks)) != NULL) {
        char name[400];
        snprintf(name, sizeof name, "%s/%s/schedstat", path, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(name, "r");
        if (!file)
            continue;
        if (fscanf(file, "%llu", &ns) == 1)
            sum += ns;
        fclose(file);
    }
    closedir(tasks);
    return sum;
}

static void idle_supervisor_does_nothing(void **state)
{
    (void)state;
    if (getenv("LITHOPS_TEST_SANITIZED")) /* has a thread of its own */
        skip();
    lithops_value *handle = done_job(600, 86400, 100);
    pid_t supervisor = supervisor_of(handle);
    uint64_t used = UINT64_MAX;
    for (int tries = 0; used > 0 && tries < 20; tries++) { /* it may still tidy up */
        uint64_t before = cpu_of(supervisor);
        usleep(1200000);
        used = cpu_of(supervisor) - before;
        if (tries)
            print_message("%.3f ms in 1.2 s\n", (double)used / 1e6);
    }
    assert_int_equal(used, 0);
    end_supervisor(handle);
    release(handle);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(full_disk_delays_outcomes, prepare),
        cmocka_unit_test_setup(full_disk_delays_a_start, prepare),
        cmocka_unit_test_setup(other_users_are_refused, prepare),
        cmocka_unit_test_setup(exchanged_files_are_refused, prepare),
        cmocka_unit_test_setup(reader_of_an_expired_job_reads_on, prepare),
        cmocka_unit_test_setup(supervisors_remove_what_has_expired, prepare),
        cmocka_unit_test_setup(live_jobs_are_not_swept, prepare),
        cmocka_unit_test_setup(remains_are_swept, prepare),
        cmocka_unit_test_setup(clock_may_be_set, prepare),
        cmocka_unit_test_setup(wait_in_slices_ends_without_supervisor, prepare),
        cmocka_unit_test_setup(one_that_is_closing_is_waited_for, prepare),
        cmocka_unit_test_setup(idle_supervisor_does_nothing, prepare),
    };
    return api_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
