/* SPDX-License-Identifier: Apache-2.0 */
/* The client is killed, forks, uses signals, descriptors and memory, or cannot be started again. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static lithops_wait_options within_limit(void)
{
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.timeout_ms = FAULT_WAIT_MS;
    return options;
}

/* Wait for a child, which must return 0. */
static void check_child(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        fprintf(stderr, "the child ended by signal %d\n", WTERMSIG(status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* In a child: end it, with what runs at exit. LeakSanitizer, which runs there too, takes for lost
 * what other threads of the parent held on their stacks. */
static _Noreturn void end_child(void)
{
    if (UNDER_SANITIZER)
        _exit(0);
    exit(0);
}

/* ---- killed
 * ----------------------------------------------------------------------------------------- */

FAULT_CASE(workers_of_a_killed_client_end)
{
    enum { WORKERS = 4 };
    int to_parent[2];
    CHECK(pipe(to_parent) == 0);
    pid_t client = fork();
    if (client == 0) {
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_executor *fexec = fault_open(WORKERS, NULL);
        lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
        options.chunksize = 1;
        lithops_futures *futures =
            lithops_map(fexec, fault_nap, lithops_range(60000, 60004), &options, &err);
        for (size_t i = 0; i < WORKERS; i++)
            while (lithops_futures_state(futures, i) != LITHOPS_RUNNING)
                sched_yield();
        pid_t pids[WORKERS];
        CHECK_INT(fault_children(pids, WORKERS), WORKERS);
        CHECK(write(to_parent[1], pids, sizeof pids) == (ssize_t)sizeof pids);
        for (;;)
            pause();
    }
    pid_t workers[WORKERS];
    CHECK(read(to_parent[0], workers, sizeof workers) == (ssize_t)sizeof workers);
    double start = fault_now();
    kill(client, SIGKILL);
    for (int i = 0; i < WORKERS; i++)
        CHECK(fault_is_gone(workers[i], 5000)); /* at once, but the machine may be loaded */
    CHECK(fault_now() - start < 5);
    waitpid(client, NULL, 0);
}

/* At any moment of its start; the runner of the cases finds what is left. */
FAULT_CASE(client_killed_as_it_starts)
{
    for (int i = 0; i < 60 / FAULT_SLOWER; i++) {
        pid_t client = fork();
        if (client == 0) {
            lithops_error err = LITHOPS_ERROR_INIT;
            lithops_executor *fexec = fault_open(2, NULL);
            for (;;)
                (void)fault_call(fexec, fault_square, lithops_value_int(1), &err);
        }
        nanosleep(&(struct timespec){0, 100000L * i * FAULT_SLOWER}, NULL);
        kill(client, SIGKILL);
        waitpid(client, NULL, 0);
    }
}

/* ---- fork
 * ------------------------------------------------------------------------------------------- */

/* Everything that a child may try with handles of its parent. */
static void use_inherited(lithops_executor *fexec, lithops_futures *futures, lithops_future *future)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_wait_options options = within_limit();
    int64_t result;
    CHECK(lithops_call_async(fexec, fault_square, lithops_value_int(1), NULL, &err) == NULL);
    CHECK_INT(err.code, LITHOPS_EFORKED);
    err.code = 0;
    CHECK(lithops_map(fexec, fault_square, lithops_range(0, 10), NULL, &err) == NULL);
    CHECK_INT(err.code, LITHOPS_EFORKED);
    err.code = 0;
    CHECK(lithops_map_futures(fexec, fault_square, futures, NULL, &err) == NULL);
    CHECK_INT(err.code, LITHOPS_EFORKED);
    CHECK_INT(lithops_map_reduce(fexec, fault_square, lithops_range(0, 10), fault_square, NULL,
                                 NULL, &err),
              LITHOPS_EFORKED);
    CHECK_INT(lithops_future_wait(future, 100, &err), LITHOPS_EFORKED);
    CHECK_INT(lithops_future_result(future, 100, &err, "I", &result), LITHOPS_EFORKED);
    CHECK_INT(lithops_wait(NULL, futures, &options, NULL, NULL, &err), LITHOPS_EFORKED);
    CHECK_INT(lithops_get_result(fexec, NULL, &options, &err, "I", &result), LITHOPS_EFORKED);
    CHECK_INT(lithops_clean(fexec, NULL, NULL, &err), LITHOPS_EFORKED);
    CHECK_INT(lithops_clean(fexec, futures, NULL, &err), LITHOPS_EFORKED);
    CHECK(lithops_futures_as_completed(futures, 100) == NULL);
    CHECK(!lithops_future_cancel(future));
    CHECK_INT(lithops_futures_cancel(futures), 0);
    CHECK_INT(lithops_job_summary(fexec, 0, NULL, NULL, &err), LITHOPS_EFORKED);
    char *logs = lithops_future_logs(future);
    free(logs);
    lithops_value_free(lithops_future_stats(future));
    (void)lithops_future_state(future);
    lithops_future_unref(lithops_future_ref(future));
    lithops_future_release(future);
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
}

static void use_own(void)
{
    lithops_executor *own = fault_open(2, NULL);
    fault_check_works(own, 100);
    lithops_executor_close(own);
}

FAULT_CASE(child_cannot_use_the_parents_executor)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, NULL);
    lithops_future *future =
        lithops_call_async(fexec, fault_nap, lithops_value_int(300), NULL, &err);
    lithops_futures *futures = lithops_map(fexec, fault_square, lithops_range(0, 1000), NULL, &err);
    pid_t child = fork();
    if (child == 0) {
        alarm(FAULT_CASE_S);
        use_inherited(fexec, futures, future);
        end_child();
    }
    check_child(child);
    lithops_wait_options options = within_limit();
    CHECK_INT(lithops_wait(NULL, futures, &options, NULL, NULL, &err), 0);
    CHECK_INT(fault_outcome(future, &err), 0);
    lithops_futures_unref(futures);
    fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
}

FAULT_CASE(child_opens_its_own_executor)
{
    if (UNDER_TSAN)
        fault_skip("ThreadSanitizer allows no new threads in a child of a process with threads");
    lithops_executor *fexec = fault_open(2, NULL);
    fault_check_works(fexec, 100);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(FAULT_CASE_S);
            use_own();
            lithops_error err = LITHOPS_ERROR_INIT; /* opening its own executor changes nothing */
            CHECK(lithops_call_async(fexec, fault_square, lithops_value_int(1), NULL, &err) ==
                  NULL);
            CHECK_INT(err.code, LITHOPS_EFORKED);
            use_own();
            end_child();
        }
        fault_check_works(fexec, 1000);
        check_child(child);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(child_opens_one_after_the_parent_closed_its_own)
{
    lithops_executor *fexec = fault_open(2, NULL);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
    pid_t child = fork();
    if (child == 0) {
        alarm(FAULT_CASE_S);
        use_own();
        exit(0);
    }
    check_child(child);
}

static atomic_bool over;

static void *start_calls(void *fexec)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    while (!atomic_load(&over)) {
        fault_check_works(fexec, 50);
        CHECK_INT(fault_call(fexec, fault_square, lithops_value_int(1), &err), 0);
        (void)lithops_clean(fexec, NULL, NULL, NULL);
    }
    return NULL;
}

/* The child has the locks as they were: whatever another thread held stays held in it. */
FAULT_CASE(fork_while_threads_work)
{
    if (UNDER_SANITIZER)
        fault_skip("a sanitizer does not allow fork with threads");
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, NULL);
    pthread_t threads[2];
    for (int t = 0; t < 2; t++)
        CHECK(pthread_create(&threads[t], NULL, start_calls, fexec) == 0);
    for (int i = 0; i < 100; i++) {
        lithops_future *future =
            lithops_call_async(fexec, fault_square, lithops_value_int(1), NULL, &err);
        lithops_futures *futures =
            lithops_map(fexec, fault_square, lithops_range(0, 100), NULL, &err);
        pid_t child = fork();
        if (child == 0) {
            alarm(FAULT_CASE_S / 2);
            use_inherited(fexec, futures, future);
            _exit(0);
        }
        check_child(child);
        CHECK_INT(fault_outcome(future, &err), 0);
        lithops_futures_unref(futures);
    }
    atomic_store(&over, true);
    for (int t = 0; t < 2; t++)
        pthread_join(threads[t], NULL);
    lithops_executor_close(fexec);
}

/* ---- signals
 * ---------------------------------------------------------------------------------------- */

LITHOPS_FUNCTION(crash)
{
    raise(SIGKILL);
    return lithops_call_id(call) != 0;
}

/* The signals of a worker: one bit for each that is blocked or not at its default. */
LITHOPS_FUNCTION(odd_signals)
{
    int64_t odd = 0;
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int s = 1; s < 32; s++) {
        struct sigaction action;
        sigaction(s, NULL, &action);
        if (sigismember(&blocked, s) || action.sa_handler == SIG_IGN)
            odd |= 1 << s;
    }
    return lithops_return_int(call, odd);
}

/* Crashes and timeouts are noticed whoever reaps the processes. */
static void check_deaths_are_seen(void)
{
    lithops_error err;
    lithops_executor *fexec = fault_open(2, NULL);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(fault_call(fexec, crash, lithops_value_null(), &err), LITHOPS_ECRASH);
        CHECK_INT(fault_call_limited(fexec, fault_nap, lithops_value_int(60000), 100 * FAULT_SLOWER,
                                     LITHOPS_DEFAULT, &err),
                  LITHOPS_ETIMEOUT);
        fault_check_works(fexec, 100);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(sigchld_is_ignored)
{
    signal(SIGCHLD, SIG_IGN);
    check_deaths_are_seen();
    CHECK(signal(SIGCHLD, SIG_DFL) == SIG_IGN);
}

static volatile sig_atomic_t reaped, alarms;

static void reap_all(int signal)
{
    (void)signal;
    int saved = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        reaped++;
    errno = saved;
}

FAULT_CASE(sigchld_handler_takes_all_children)
{
    struct sigaction action = {.sa_handler = reap_all};
    sigaction(SIGCHLD, &action, NULL);
    check_deaths_are_seen();
    action.sa_flags = SA_NOCLDWAIT | SA_RESTART;
    sigaction(SIGCHLD, &action, NULL);
    check_deaths_are_seen();
}

static pthread_t main_thread;

static void count_alarm(int signal)
{
    (void)signal;
    if (!pthread_equal(pthread_self(), main_thread))
        _exit(9); /* the engine's threads do not run the program's handlers */
    alarms++;
}

FAULT_CASE(timer_of_the_program_goes_on)
{
    lithops_error err;
    main_thread = pthread_self();
    struct sigaction action = {.sa_handler = count_alarm}, now;
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every_ms = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &every_ms, NULL);
    lithops_executor *fexec = fault_open(2, NULL);
    for (int i = 0; i < 5; i++) {
        fault_check_works(fexec, 1000);
        CHECK_INT(fault_call(fexec, fault_nap, lithops_value_int(20), &err), 0);
        CHECK_INT(fault_call(fexec, crash, lithops_value_null(), &err), LITHOPS_ECRASH);
    }
    lithops_executor_close(fexec);
    CHECK(alarms > 20);
    sigaction(SIGALRM, NULL, &now);
    CHECK(now.sa_handler == count_alarm);
    getitimer(ITIMER_REAL, &every_ms);
    CHECK_INT(every_ms.it_interval.tv_usec, 1000);
}

FAULT_CASE(workers_have_default_signals)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGALRM);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (int s = 1; s < 32; s++)
        if (s != SIGALRM)
            signal(s, SIG_IGN);
    lithops_executor *fexec = fault_open(1, NULL);
    lithops_future *future =
        lithops_call_async(fexec, odd_signals, lithops_value_null(), NULL, &err);
    int64_t odd = -1;
    CHECK_INT(lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &odd), 0);
    CHECK_INT(odd, 0);
    lithops_future_unref(future);
    lithops_executor_close(fexec);
}

/* ---- descriptors and memory
 * ------------------------------------------------------------------------- */

FAULT_CASE(standard_descriptors_are_closed)
{
    int kept = dup(2);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    lithops_error err;
    lithops_executor *fexec = fault_open(3, NULL);
    for (int i = 0; i < 3; i++) {
        fault_check_works(fexec, 1000);
        CHECK_INT(fault_call(fexec, crash, lithops_value_null(), &err), LITHOPS_ECRASH);
    }
    bool taken = false;
    for (int fd = 0; fd < 3; fd++)
        taken = taken || fcntl(fd, F_GETFD) >= 0;
    lithops_executor_close(fexec);
    CHECK_INT(dup2(kept, 2), 2);
    CHECK(!taken); /* the program's output must not end up in a descriptor of the engine */
}

/* A program that the client starts gets no descriptor of the engine. */
FAULT_CASE(descriptors_are_close_on_exec)
{
    bool before[256];
    for (int fd = 0; fd < 256; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    lithops_error err;
    lithops_executor *fexec = fault_open(3, NULL);
    fault_check_works(fexec, 1000);
    CHECK_INT(fault_call(fexec, fault_nap, lithops_value_int(5), &err), 0);
    int own = 0;
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || before[fd])
            continue;
        own++;
        CHECK(flags & FD_CLOEXEC);
    }
    CHECK(own >= 3);
    lithops_executor_close(fexec);
    for (int fd = 0; fd < 256; fd++)
        CHECK_INT(fcntl(fd, F_GETFD) >= 0, before[fd]);
}

LITHOPS_FUNCTION(count_descriptors)
{
    return lithops_return_int(call, (int64_t)fault_open_descriptors());
}

/* A worker gets none of the program's descriptors, though those are not close-on-exec. */
FAULT_CASE(workers_get_no_descriptors)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    for (int i = 0; i < 50; i++)
        CHECK(dup(2) >= 0);
    lithops_executor *fexec = fault_open(1, NULL);
    lithops_future *future =
        lithops_call_async(fexec, count_descriptors, lithops_value_null(), NULL, &err);
    int64_t count = -1;
    CHECK_INT(lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &count), 0);
    CHECK(count < 15);
    lithops_future_unref(future);
    lithops_executor_close(fexec);
}

static double time_to_first_result(void)
{
    lithops_error err;
    double start = fault_now();
    lithops_executor *fexec = fault_open(1, NULL);
    CHECK_INT(fault_call(fexec, fault_square, lithops_value_int(1), &err), 0);
    double seconds = fault_now() - start;
    lithops_executor_close(fexec);
    return seconds;
}

/* Starting processes does not copy the client's memory: that would cost 12 ms per GiB. */
FAULT_CASE(large_client_starts_workers_as_fast)
{
    if (UNDER_SANITIZER)
        fault_skip("a sanitizer makes this slow");
    double small = 1, large = 1;
    for (int i = 0; i < 10; i++) {
        double t = time_to_first_result();
        small = t < small ? t : small;
    }
    size_t len = 1 << 30;
    char *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fault_skip("no memory");
    for (size_t i = 0; i < len; i += 4096)
        memory[i] = 1;
    /* The shortest counts: on a loaded machine it takes more attempts to see it. */
    for (int i = 0; i < 10 || (i < 200 && large >= small + 0.005); i++) {
        double t = time_to_first_result();
        large = t < large ? t : large;
    }
    fprintf(stderr, "first result after %.2f ms, with 1 GiB %.2f ms\n", small * 1e3, large * 1e3);
    CHECK(large < small + 0.005);
}

/* ---- programs that cannot be started again
 * ------------------------------------------------------------ */

/* Run fault_program (program.c) with an argument; what it prints, in `text`. */
static int run_program(const char *argument, char *text, size_t size)
{
    int output[2];
    CHECK(pipe(output) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(output[1], 1);
        dup2(output[1], 2);
        close(output[0]);
        close(output[1]);
        execl(FAULT_PROGRAM, FAULT_PROGRAM, argument, (char *)NULL);
        _exit(127);
    }
    close(output[1]);
    size_t used = 0;
    ssize_t len;
    while (used + 1 < size && (len = read(output[0], text + used, size - used - 1)) > 0)
        used += (size_t)len;
    text[used] = '\0';
    close(output[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

FAULT_CASE(program_that_forgot_to_initialize)
{
    char text[4096];
    CHECK_INT(run_program("forgot", text, sizeof text), 2);
    CHECK(strstr(text, "lithops_init") != NULL);
    /* nor with the argument that workers get */
    CHECK_INT(run_program("--lithops-worker=0", text, sizeof text), 2);
}

/* The program prints the error, the seconds it took, and how many processes were started. */
static void check_stillborn(const char *how, int most_started, bool works)
{
    char text[8192];
    int rc = run_program(how, text, sizeof text);
    if (rc != 0)
        fprintf(stderr, "%s: %d: %s\n", how, rc, text);
    CHECK_INT(rc, 0);
    const char *started = strstr(text, "started "), *seconds = strstr(text, "seconds ");
    CHECK(started && seconds);
    if (strtol(started + 8, NULL, 10) > most_started)
        fprintf(stderr, "%s\n", text);
    CHECK(strtol(started + 8, NULL, 10) <= most_started);
    CHECK(strtod(seconds + 8, NULL) < 30 * FAULT_SLOWER);
    CHECK((strstr(text, "error: ") == NULL) == works);
    CHECK(works || strstr(text, "worker processes end as they start") != NULL);
}

/* Four maps: in each, three starts that fail are enough, and two more may be on their way. */
FAULT_CASE(workers_that_end_as_they_start)
{
    check_stillborn("exit", 40, false);
    check_stillborn("crash", 40, false);
    check_stillborn("return", 40, false);
}

/* All but the first: calls run there, and there is no storm of new processes. */
FAULT_CASE(some_workers_end_as_they_start)
{
    check_stillborn("exit-but-0", 60, true);
}

FAULT_CASE(program_file_is_deleted)
{
    char text[4096];
    CHECK_INT(run_program("deleted", text, sizeof text), 0);
    CHECK(strstr(text, "error: ") == NULL);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_of_a_killed_client_end),
        cmocka_unit_test(client_killed_as_it_starts),
        cmocka_unit_test(child_cannot_use_the_parents_executor),
        cmocka_unit_test(child_opens_its_own_executor),
        cmocka_unit_test(child_opens_one_after_the_parent_closed_its_own),
        cmocka_unit_test(fork_while_threads_work),
        cmocka_unit_test(sigchld_is_ignored),
        cmocka_unit_test(sigchld_handler_takes_all_children),
        cmocka_unit_test(timer_of_the_program_goes_on),
        cmocka_unit_test(workers_have_default_signals),
        cmocka_unit_test(standard_descriptors_are_closed),
        cmocka_unit_test(descriptors_are_close_on_exec),
        cmocka_unit_test(workers_get_no_descriptors),
        cmocka_unit_test(large_client_starts_workers_as_fast),
        cmocka_unit_test(program_that_forgot_to_initialize),
        cmocka_unit_test(workers_that_end_as_they_start),
        cmocka_unit_test(some_workers_end_as_they_start),
        cmocka_unit_test(program_file_is_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
