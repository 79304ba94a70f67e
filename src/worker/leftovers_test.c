/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of finding and killing what functions have started. */
#include "worker/leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { STARTS = 10, MEMORY_BYTES = 64 << 20 };

static char id[32];

static bool is_mine(const struct lithops__origin *origin, void *user)
{
    (void)user;
    return strcmp(origin->executor_id, id) == 0;
}

static uint64_t kill_mine(bool dry_run)
{
    return lithops__leftovers_kill(getsid(0), is_mine, NULL, dry_run);
}

/* The mark is what this process was started with, as for worker processes: start it again. */
static void have_mark(char **argv)
{
    char mark[96];
    snprintf(id, sizeof id, "test%d", (int)getpid());
    lithops__mark_write(mark, sizeof mark, id, 0);
    const char *equals = strchr(mark, '='), *set = getenv("LITHOPS_WORKER_OF");
    if (set && strcmp(set, equals + 1) == 0)
        return;
    putenv(mark);
    execv("/proc/self/exe", argv);
    perror("/proc/self/exe");
    exit(1);
}

/* A program, which ends well by itself in a while. `*ret_fd` reads its end as its exec is nearly
 * through; giving back `bytes` of memory is a part of that. */
static pid_t start_program(size_t bytes, int *ret_fd)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setpgid(0, 0);
        if (bytes)
            (void)mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        execlp("sleep", "sleep", "5", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *ret_fd = ends[0];
    return pid;
}

static pid_t start_ready_program(void)
{
    int fd;
    pid_t pid = start_program(0, &fd);
    struct pollfd end = {fd, POLLIN, 0};
    assert_int_equal(poll(&end, 1, -1), 1);
    close(fd);
    return pid;
}

static bool was_killed(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* There is no environment to read for a while. */
static void a_program_is_found_in_the_middle_of_its_exec(void **state)
{
    (void)state;
    int looks = 0, found = 0;
    for (int i = 0; i < STARTS; i++) {
        int fd;
        pid_t pid = start_program(MEMORY_BYTES, &fd);
        for (; read(fd, &(char){0}, 1) < 0; looks++)
            found += kill_mine(true) == 1;
        close(fd);
        kill(pid, SIGKILL);
        assert_true(was_killed(pid));
    }
    assert_true(looks >= STARTS);
    assert_int_equal(found, looks);
}

/* Its arguments are there to read before its environment is, and that is long. */
static void a_program_is_found_while_its_environment_is_written(void **state)
{
    (void)state;
    enum { LOOKS = 40, VARIABLES = 60000 };
    static char name[] = "sleep", seconds[] = "5", variable[] = "a=";
    char mark[128], **with = calloc(VARIABLES + 2, sizeof *with);
    assert_non_null(with);
    snprintf(mark, sizeof mark, "LITHOPS_WORKER_OF=%s", getenv("LITHOPS_WORKER_OF"));
    for (size_t i = 0; i < VARIABLES; i++)
        with[i] = variable;
    with[VARIABLES] = mark;
    for (int i = 0; i < STARTS; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            setpgid(0, 0);
            execvpe("sleep", (char *[]){name, seconds, NULL}, with);
            _exit(127);
        }
        for (int look = 0; look < LOOKS; look++)
            assert_int_equal(kill_mine(true), 1);
        kill(pid, SIGKILL);
        assert_true(was_killed(pid));
    }
    free(with);
}

static void a_dry_run_counts(void **state)
{
    (void)state;
    pid_t pid = start_ready_program();
    assert_int_equal(kill_mine(true), 1);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    assert_int_equal(kill_mine(false), 1);
    assert_true(was_killed(pid));
    assert_int_equal(kill_mine(false), 0);
}

/* The number of groups, -1 where kill() cannot be refused. */
static void *kill_without_kill(void *user)
{
    int *ret = user;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    int held = (int)syscall(SYS_pidfd_open, getpid(), 0);
    bool can = held >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
               prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
    *ret = can ? (int)kill_mine(false) : -1;
    close(held);
    return NULL;
}

/* A kill by its id could hit another process that has got the id meanwhile. */
static void a_process_is_not_killed_by_its_id(void **state)
{
    (void)state;
    int groups = 0;
    pthread_t thread;
    pid_t pid = start_ready_program();
    assert_int_equal(pthread_create(&thread, NULL, kill_without_kill, &groups), 0);
    pthread_join(thread, NULL);
    if (groups < 0)
        kill(pid, SIGKILL);
    bool killed = was_killed(pid);
    if (groups < 0)
        skip(); /* the kernel has no pidfds (before 5.3) or no filters of system calls */
    assert_int_equal(groups, 1);
    assert_true(killed);
}

int main(int argc, char **argv)
{
    (void)argc;
    have_mark(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_found_in_the_middle_of_its_exec),
        cmocka_unit_test(a_program_is_found_while_its_environment_is_written),
        cmocka_unit_test(a_dry_run_counts),
        cmocka_unit_test(a_process_is_not_killed_by_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
