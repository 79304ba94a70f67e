/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that stand still, and links that misbehave: the job ends elsewhere, and each call has one
 * outcome. */
#include "../sanitizers.h"
#include "fault.h"
#include "proxy.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROCESSES = 2, LOST_S = 2 };

struct wanted {
    int workers, retries;
    const char *command;
    int lost_s; /* 0: LOST_S */
};

static lithops_executor *open_links(struct wanted wanted)
{
    lithops_value *settings =
        lithops_pack("{s:i,s:i,s:i}", "workers", wanted.workers, "worker_processes", PROCESSES,
                     "worker_lost_timeout", wanted.lost_s ? wanted.lost_s : LOST_S);
    if (wanted.command)
        (void)lithops_value_set(settings, "command", lithops_value_string(wanted.command));
    return fault_open_links("process", wanted.retries, settings);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static lithops_futures *start(lithops_executor *fexec, const lithops_function *function, int64_t x,
                              size_t count)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *list = lithops_value_list();
    for (size_t i = 0; i < count; i++)
        (void)lithops_value_append(list, lithops_value_int(x));
    lithops_futures *futures = lithops_map(fexec, function, list, NULL, &err);
    if (!futures)
        fault_fail(__FILE__, __LINE__, err.message);
    return futures;
}

/* Wait for all. @return how many failed, with this text in their errors */
static size_t count_failed(lithops_futures *futures, const char *text)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    size_t failed = 0;
    fault_await_all(futures);
    for (size_t i = 0; i < lithops_futures_size(futures); i++) {
        int64_t result;
        int rc = lithops_futures_int(futures, i, &result, &err);
        if (rc == 0)
            continue;
        CHECK_INT(rc, LITHOPS_ECRASH);
        if (!strstr(err.message, text))
            fault_fail(__FILE__, __LINE__, err.message);
        failed++;
    }
    lithops_futures_unref(futures);
    return failed;
}

static void await_running(const lithops_futures *futures, size_t count)
{
    for (size_t running = 0; running < count; sched_yield()) {
        running = 0;
        for (size_t i = 0; i < lithops_futures_size(futures); i++)
            running += lithops_futures_state(futures, i) == LITHOPS_RUNNING;
    }
}

/* ---- processes ------------------------------------------------------------------------------- */

static bool is_among(pid_t pid, const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* Start all worker processes of both workers, and find one of each. */
static void start_all(lithops_executor *fexec, pid_t workers[2])
{
    lithops_error err = LITHOPS_ERROR_INIT;
    size_t used = 0;
    while (used < 4) { /* each takes a nap at the same time */
        lithops_futures *naps = start(fexec, fault_nap, 100, 4);
        pid_t pids[4];
        fault_await_all(naps);
        used = 0;
        for (size_t i = 0; i < 4; i++) {
            int64_t pid;
            CHECK_INT(lithops_futures_int(naps, i, &pid, &err), 0);
            if (!is_among((pid_t)pid, pids, used))
                pids[used++] = (pid_t)pid;
        }
        lithops_futures_unref(naps);
    }
    CHECK_INT(fault_children(workers, 2), 2);
}

static void signal_all(const pid_t *pids, size_t count, int signal)
{
    for (size_t i = 0; i < count; i++)
        CHECK_INT(kill(pids[i], signal), 0);
}

/* ---- workers that stand still
 * ----------------------------------------------------------------------- */

/* A worker lives, but runs nothing. The other one runs the calls that were sent to it. */
FAULT_CASE(stopped_processes)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links((struct wanted){2, 0, NULL, 0});
    pid_t workers[2], stopped[8];
    start_all(fexec, workers);
    size_t count = fault_children_of(workers[0], stopped, 8);
    CHECK(count >= PROCESSES);
    for (int round = 0; round < 3; round++) {
        signal_all(stopped, count, SIGSTOP);
        lithops_futures *naps = start(fexec, fault_nap, 3, 60);
        fault_await_all(naps);
        for (size_t i = 0; i < 60; i++) {
            int64_t pid;
            CHECK_INT(lithops_futures_int(naps, i, &pid, &err), 0);
            CHECK(!is_among((pid_t)pid, stopped, count));
        }
        lithops_futures_unref(naps);
        signal_all(stopped, count, SIGCONT);
        fault_check_works(fexec, 1000);
    }
    pid_t now[2];
    CHECK_INT(fault_children(now, 2), 2); /* no worker was lost */
    CHECK(is_among(now[0], workers, 2) && is_among(now[1], workers, 2));
    lithops_executor_close(fexec);
}

/* A reducer, too. */
FAULT_CASE(stopped_processes_and_a_reducer)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links((struct wanted){2, 0, NULL, 0});
    pid_t workers[2], stopped[8];
    start_all(fexec, workers);
    for (int w = 0; w < 2; w++) {
        size_t count = fault_children_of(workers[w], stopped, 8);
        signal_all(stopped, count, SIGSTOP);
        for (int i = 0; i < 3; i++) {
            lithops_futures *futures = NULL;
            CHECK_INT(lithops_map_reduce(fexec, fault_square, lithops_range(0, 10), fault_sum, NULL,
                                         &futures, &err),
                      0);
            fault_await_all(futures);
            int64_t result = 0;
            CHECK_INT(lithops_futures_int(futures, 10, &result, &err), 0);
            CHECK_INT(result, 285);
            lithops_futures_unref(futures);
        }
        signal_all(stopped, count, SIGCONT);
    }
    lithops_executor_close(fexec);
}

/* ---- calls that are taken back --------------------------------------------------------------- */

/* A path -> how often this call was begun, with a mark each in the file PATH-<number>. */
LITHOPS_FUNCTION(die_at_first)
{
    char name[300];
    const char *path;
    struct stat status;
    if (lithops_args(call, "s", "path", &path) != 0)
        return LITHOPS_EARG;
    snprintf(name, sizeof name, "%s-%d", path, (int)lithops_call_id(call));
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &status) != 0)
        return lithops_fail(call, "cannot write to %s", name);
    close(fd);
    if (status.st_size == 1)
        (void)raise(SIGKILL);
    return lithops_return_int(call, status.st_size);
}

static bool is_marked(const char *path, size_t call)
{
    char name[80];
    snprintf(name, sizeof name, "%s-%zu", path, call);
    return access(name, F_OK) == 0;
}

/* Each worker is sent calls that cannot begin yet. Then the first one stands still, but for its
 * processes: its calls begin there and die, which it cannot tell; the other has nothing to do, so
 * they are asked back. When it goes on it finds both: the calls that are to be tried once more, and
 * the question. */
static void die_and_be_asked_back(lithops_executor *fexec, const char *path)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *list = lithops_value_list();
    pid_t workers[2], now[2], processes[2][8];
    size_t counts[2];
    start_all(fexec, workers);
    for (int w = 0; w < 2; w++) {
        counts[w] = fault_children_of(workers[w], processes[w], 8);
        signal_all(processes[w], counts[w], SIGSTOP);
    }
    for (int i = 0; i < 2 * PROCESSES; i++)
        (void)lithops_value_append(list, lithops_value_string(path));
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.chunksize = 1;
    lithops_futures *futures = lithops_map(fexec, die_at_first, list, &options, &err);
    CHECK(futures != NULL);
    await_running(futures, 2 * PROCESSES);
    usleep(20000); /* by now it has most likely received them */
    signal_all(workers, 1, SIGSTOP);
    for (int w = 0; w < 2; w++)
        signal_all(processes[w], counts[w], SIGCONT);
    const double limit = fault_now() + 2; /* if it has not: then this round finds nothing */
    for (size_t i = 0; i < 2 * PROCESSES; i++)
        while (!is_marked(path, i) && fault_now() < limit)
            sched_yield();
    while (lithops_futures_done(futures) < PROCESSES && fault_now() < limit)
        sched_yield();
    usleep(50000); /* by now the others are most likely asked for */
    signal_all(workers, 1, SIGCONT);
    fault_await_all(futures);
    for (size_t i = 0; i < 2 * PROCESSES; i++) {
        int64_t begun = 0;
        CHECK_INT(lithops_futures_int(futures, i, &begun, &err), 0);
        CHECK_INT(begun, 2);
    }
    CHECK_INT(fault_children(now, 2), 2);
    CHECK(is_among(now[0], workers, 2) && is_among(now[1], workers, 2)); /* no link was lost */
    lithops_futures_unref(futures);
}

/* A call that is to be tried once more is not given back: its attempts would be forgotten. */
FAULT_CASE(calls_that_have_begun_are_not_given_back)
{
    enum { ROUNDS = 10 };
    char folder[] = "/tmp/silence-XXXXXX", path[40], name[80];
    CHECK(mkdtemp(folder) != NULL);
    lithops_executor *fexec = open_links((struct wanted){2, 1, NULL, FAULT_WAIT_MS / 1000});
    for (int round = 0; round < ROUNDS; round++) {
        snprintf(path, sizeof path, "%s/%d", folder, round);
        die_and_be_asked_back(fexec, path);
        for (int i = 0; i < 2 * PROCESSES; i++) {
            snprintf(name, sizeof name, "%s-%d", path, i);
            CHECK_INT(unlink(name), 0);
        }
    }
    lithops_executor_close(fexec);
    CHECK_INT(rmdir(folder), 0);
}

/* With one worker there is no other to take them; they wait for it. */
FAULT_CASE(stopped_processes_of_the_only_worker)
{
    lithops_executor *fexec = open_links((struct wanted){1, 0, NULL, 0});
    pid_t worker, stopped[8];
    fault_check_works(fexec, 100);
    CHECK_INT(fault_children(&worker, 1), 1);
    size_t count = fault_children_of(worker, stopped, 8);
    signal_all(stopped, count, SIGSTOP);
    lithops_futures *naps = start(fexec, fault_nap, 1, 20);
    await_running(naps, 1);
    signal_all(stopped, count, SIGCONT);
    CHECK_INT(count_failed(naps, ""), 0);
    lithops_executor_close(fexec);
}

/* A silent worker counts as lost: calls that ran there end with an error that says so, or run
 * again; the rest run elsewhere. */
static size_t silent_worker(int retries)
{
    lithops_executor *fexec = open_links((struct wanted){2, retries, NULL, 0});
    pid_t workers[2];
    start_all(fexec, workers);
    lithops_futures *naps = start(fexec, fault_nap, 500, 20);
    await_running(naps, 2 * PROCESSES);
    usleep(200000); /* by now it has most likely reported what it has begun */
    signal_all(workers, 1, SIGSTOP);
    size_t failed = count_failed(naps, "was lost: it said nothing for 2 s");
    CHECK(failed <= PROCESSES);
    CHECK(fault_is_gone(workers[0], FAULT_WAIT_MS));
    fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
    return failed;
}

FAULT_CASE(stopped_worker)
{
    size_t failed = 0;
    for (int round = 0; round < 5 && failed == 0; round++)
        failed = silent_worker(0);
    CHECK(failed > 0);
}

FAULT_CASE(stopped_worker_and_retries)
{
    CHECK_INT(silent_worker(1), 0);
}

/* An idle worker is not asked, and so is not lost. */
FAULT_CASE(stopped_while_idle)
{
    lithops_executor *fexec = open_links((struct wanted){1, 0, NULL, 0});
    pid_t worker, now;
    fault_check_works(fexec, 100);
    CHECK_INT(fault_children(&worker, 1), 1);
    CHECK_INT(kill(worker, SIGSTOP), 0);
    CHECK_INT(kill(worker, SIGCONT), 0);
    fault_check_works(fexec, 100);
    CHECK_INT(fault_children(&now, 1), 1);
    CHECK_INT(now, worker);
    lithops_executor_close(fexec);
}

/* The time of a silence begins with the first call that is sent, however long nothing was said
 * before it, and whoever sends it: the relay or a thread that waits. */
FAULT_CASE(a_call_after_a_long_rest)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links((struct wanted){1, 0, NULL, 0});
    pid_t worker, now;
    fault_check_works(fexec, 100);
    CHECK_INT(fault_children(&worker, 1), 1);
    for (int i = 0; i < 3; i++) {
        for (int n = 0; n < 20; n++) /* one at a time: soon they are sent by who waits */
            CHECK_INT(fault_call(fexec, fault_square, lithops_value_int(n), &err), 0);
        usleep((LOST_S * 1000 + 300) * 1000);
        if (fault_call(fexec, fault_nap, lithops_value_int(300), &err) != 0)
            fault_fail(__FILE__, __LINE__, err.message);
        CHECK_INT(fault_children(&now, 1), 1);
        CHECK_INT(now, worker);
    }
    lithops_executor_close(fexec);
}

/* A silent worker is lost in time, whatever the others do meanwhile: nothing, calls one at a time,
 * which are sent by who waits, or many.
 * @return false: its calls may have been over when it was stopped */
static bool silent_among_busy(int mix)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_links((struct wanted){2, 0, NULL, 0});
    pid_t workers[2];
    start_all(fexec, workers);
    double begin = fault_now();
    lithops_futures *naps = start(fexec, fault_nap, 1000, 2 * PROCESSES);
    await_running(naps, 2 * PROCESSES);
    usleep(200000); /* as above */
    CHECK_INT(kill(workers[0], SIGSTOP), 0);
    if (fault_now() - begin > 0.9) {
        CHECK_INT(kill(workers[0], SIGCONT), 0);
        (void)count_failed(naps, "was lost: it said nothing for 2 s");
        lithops_executor_close(fexec);
        return false;
    }
    begin = fault_now();
    while (lithops_futures_done(naps) < 2 * PROCESSES) {
        if (mix == 0)
            usleep(1000);
        else if (mix == 1)
            CHECK_INT(fault_call(fexec, fault_square, lithops_value_int(3), &err), 0);
        else
            fault_check_works(fexec, 2000);
        CHECK(fault_now() - begin < FAULT_WAIT_MS / 1000);
    }
    CHECK(count_failed(naps, "was lost: it said nothing for 2 s") <= PROCESSES);
    CHECK(fault_is_gone(workers[0], FAULT_WAIT_MS));
    lithops_executor_close(fexec);
    return true;
}

FAULT_CASE(silent_among_others)
{
    int rounds = 0;
    for (int mix = 0; mix < 3; rounds++) {
        CHECK(rounds < 20);
        mix += silent_among_busy(mix);
    }
}

/* ---- links that misbehave ------------------------------------------------------------ */

#if UNDER_TSAN
/* cut_links() looks at descriptors that the relay closes meanwhile. Its own stack may be lost by
 * the time of the report. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:cut_links\nrace:^close$\n";
}
#endif

/* The client's sockets: its links. @return how many were cut */
static int cut_links(int most)
{
    int cut = 0;
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (dir && cut < most && (entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);
        struct stat status;
        if (fd > 2 && fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode))
            cut += shutdown(fd, SHUT_RDWR) == 0;
    }
    if (dir)
        closedir(dir);
    return cut;
}

FAULT_CASE(cut_link)
{
    lithops_executor *fexec = open_links((struct wanted){2, 0, NULL, 0});
    for (int i = 0; i < 5; i++) {
        lithops_futures *naps = start(fexec, fault_nap, 5, 200);
        while (lithops_futures_done(naps) < 20)
            sched_yield();
        CHECK(cut_links(1) == 1);
        CHECK(count_failed(naps, "was lost: it ended") <= PROCESSES);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(all_links_cut)
{
    lithops_executor *fexec = open_links((struct wanted){2, 9, NULL, 0});
    lithops_futures *naps = start(fexec, fault_nap, 5, 400);
    for (size_t i = 1; i <= 5; i++) {
        while (lithops_futures_done(naps) < i * 50)
            sched_yield();
        (void)cut_links(2);
    }
    CHECK_INT(count_failed(naps, ""), 0);
    lithops_executor_close(fexec);
}

/* At any byte: in hello, in the first outcomes, during a job. */
static void link_with(enum proxy_fault fault, const char *text)
{
    static const size_t places[] = {1, 40, 200, 3000, 20000};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        proxy_set(fault, places[i]);
        lithops_executor *fexec = open_links((struct wanted){2, 0, proxy_command(), 0});
        lithops_futures *naps = start(fexec, fault_nap, 1, 600);
        CHECK(count_failed(naps, text) <= 4 * PROCESSES);
        fault_check_works(fexec, 1000);
        lithops_executor_close(fexec);
    }
    proxy_clear();
}

FAULT_CASE(noise_to_the_client)
{
    link_with(PROXY_NOISE_UP, "was lost: ");
}

FAULT_CASE(noise_to_the_worker)
{
    link_with(PROXY_NOISE_DOWN, "not the protocol of a worker");
}

FAULT_CASE(link_that_is_cut_at_any_byte)
{
    link_with(PROXY_CUT, "was lost: it ended");
}

FAULT_CASE(worker_that_ends_by_itself)
{
    link_with(PROXY_EXIT, "it ended with exit status 3");
}

/* ---- what users see of it
 * ---------------------------------------------------------------------- */

struct seen {
    pthread_mutex_t lock;
    char text[65536];
};

static void keep(lithops_log_level level, const char *where, const char *text, void *user)
{
    struct seen *seen = user;
    (void)level, (void)where;
    pthread_mutex_lock(&seen->lock);
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%s\n", text);
    pthread_mutex_unlock(&seen->lock);
}

FAULT_CASE(the_log_tells_the_life_of_links)
{
    static struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    static const char *const texts[] = {
        "starting worker process-",
        "starting worker process-",
        "is ready after",
        "was lost: it ended",
        "starting worker process-",
        "is ready after",
        "is closed",
        "is closed",
    };
    lithops_log_to(LITHOPS_LOG_DEBUG, keep, &seen);
    lithops_executor *fexec = open_links((struct wanted){2, 0, NULL, 0});
    pid_t workers[2];
    start_all(fexec, workers);
    CHECK_INT(kill(workers[0], SIGKILL), 0);
    CHECK(fault_is_gone(workers[0], FAULT_WAIT_MS));
    start_all(fexec, workers);
    lithops_executor_close(fexec);
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    const char *at = seen.text;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        at = strstr(at, texts[i]);
        if (!at)
            fault_fail(__FILE__, __LINE__, texts[i]);
        at += strlen(texts[i]);
    }
}

/* ---- many kills ------------------------------------------------------------------------------ */

/* A worker, or a process of one. */
static bool kill_one(unsigned *seed)
{
    pid_t pids[16];
    size_t count = fault_children(pids, 2);
    if (rand_r(seed) % 2 && count)
        count = fault_children_of(pids[(size_t)rand_r(seed) % count], pids, 16);
    return count && kill(pids[(size_t)rand_r(seed) % count], SIGKILL) == 0;
}

FAULT_CASE(many_kills)
{
    lithops_executor *fexec = open_links((struct wanted){2, 0, NULL, 0});
    fault_many_kills(fexec, 20000, 40, kill_one);
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    proxy_main(argc, argv);
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_processes),
        cmocka_unit_test(stopped_processes_and_a_reducer),
        cmocka_unit_test(calls_that_have_begun_are_not_given_back),
        cmocka_unit_test(stopped_processes_of_the_only_worker),
        cmocka_unit_test(stopped_worker),
        cmocka_unit_test(stopped_worker_and_retries),
        cmocka_unit_test(stopped_while_idle),
        cmocka_unit_test(a_call_after_a_long_rest),
        cmocka_unit_test(silent_among_others),
        cmocka_unit_test(cut_link),
        cmocka_unit_test(all_links_cut),
        cmocka_unit_test(noise_to_the_client),
        cmocka_unit_test(noise_to_the_worker),
        cmocka_unit_test(link_that_is_cut_at_any_byte),
        cmocka_unit_test(worker_that_ends_by_itself),
        cmocka_unit_test(the_log_tells_the_life_of_links),
        cmocka_unit_test(many_kills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
