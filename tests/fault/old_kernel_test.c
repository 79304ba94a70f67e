/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels without pidfds (before 5.4), clone3 and close_range: a filter refuses these system calls
 * as such a kernel does, and the engine works as usual. */
#include "fault.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define REFUSE_IF(value, error)                                                                    \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1),                                            \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

/* Also for child processes. */
static void be_an_old_kernel(void)
{
    struct sock_filter code[] = {
        LOAD(offsetof(struct seccomp_data, nr)),
        REFUSE_IF(SYS_pidfd_open, ENOSYS),
        REFUSE_IF(SYS_pidfd_send_signal, ENOSYS),
        REFUSE_IF(SYS_close_range, ENOSYS),
        REFUSE_IF(SYS_clone3, ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_waitid, 0, 3),
        LOAD(offsetof(struct seccomp_data, args[0])),
        REFUSE_IF(3 /* P_PIDFD */, EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        fault_skip("this kernel has no seccomp filters");
    CHECK(syscall(SYS_pidfd_open, getpid(), 0) < 0 && errno == ENOSYS);
}

LITHOPS_FUNCTION(kill_oneself)
{
    (void)call;
    kill(getpid(), SIGKILL);
    return 0;
}

LITHOPS_FUNCTION(leave_with)
{
    _exit((int)lithops_call_int(call));
}

/* Closes the pipe that would show its end, and goes on. */
LITHOPS_FUNCTION(close_everything)
{
    for (int fd = 3; fd < 2000; fd++)
        close(fd);
    return lithops_return_int(call, 1);
}

/* Leave a child, in its own group, that outlives the worker and holds the pipe. It ends once the
 * process it is named after is gone. */
LITHOPS_FUNCTION(leave_a_child)
{
    pid_t client = (pid_t)lithops_call_int(call);
    if (fork() == 0) {
        setpgid(0, 0);
        while (kill(client, 0) == 0)
            usleep(1000);
        _exit(0);
    }
    kill(getpid(), SIGKILL);
    return 0;
}

FAULT_CASE(calls_and_deaths)
{
    be_an_old_kernel();
    lithops_error err;
    lithops_executor *fexec = fault_open(3, NULL);
    fault_check_works(fexec, 1000);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(fault_call(fexec, kill_oneself, lithops_value_null(), &err), LITHOPS_ECRASH);
        CHECK_INT(err.signal, SIGKILL);
        CHECK_INT(fault_call(fexec, leave_with, lithops_value_int(7), &err), LITHOPS_ECRASH);
        CHECK(strstr(err.message, "exit status 7") != NULL);
    }
    fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
}

FAULT_CASE(timeouts_and_cancellation)
{
    be_an_old_kernel();
    lithops_error err;
    lithops_executor *fexec = fault_open(2, NULL);
    CHECK_INT(
        fault_call_limited(fexec, fault_nap, lithops_value_int(600000), 50, LITHOPS_DEFAULT, &err),
        LITHOPS_ETIMEOUT);
    lithops_future *f = lithops_call_async(fexec, fault_nap, lithops_value_int(600000), NULL, &err);
    while (lithops_future_state(f) != LITHOPS_RUNNING)
        usleep(100);
    CHECK(lithops_future_cancel(f));
    CHECK_INT(fault_outcome(f, &err), LITHOPS_ECANCELED);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
}

FAULT_CASE(without_the_pipe)
{
    be_an_old_kernel();
    lithops_error err;
    lithops_executor *fexec = fault_open(1, NULL);
    CHECK_INT(fault_call(fexec, close_everything, lithops_value_null(), &err), 0);
    CHECK_INT(fault_call(fexec, kill_oneself, lithops_value_null(), &err), LITHOPS_ECRASH);
    fault_check_works(fexec, 100);
    CHECK_INT(fault_call(fexec, leave_a_child, lithops_value_int(getpid()), &err), LITHOPS_ECRASH);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
}

/* The program may wait for all its children itself. */
FAULT_CASE(the_program_waits_too)
{
    be_an_old_kernel();
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(1, NULL);
    fault_check_works(fexec, 10);
    lithops_future *f = lithops_call_async(fexec, kill_oneself, lithops_value_null(), NULL, &err);
    /* Not for ever: if the engine reaps it first, the next process lives. */
    while (!lithops_future_is_done(f))
        if (waitpid(-1, NULL, WNOHANG) <= 0)
            usleep(100);
    CHECK_INT(fault_outcome(f, &err), LITHOPS_ECRASH);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_and_deaths),
        cmocka_unit_test(timeouts_and_cancellation),
        cmocka_unit_test(without_the_pipe),
        cmocka_unit_test(the_program_waits_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
