/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OK = HOSTILE_SUCCEEDS,
    DIES = HOSTILE_CRASHES,
    HANGS = HOSTILE_HANGS,
    FAILS = HOSTILE_FAILS,
    TIMEOUT_MS = 400 * FAULT_SLOWER,
    OUTPUT_MIB = UNDER_SANITIZER ? 64 : 1024,
};

/* `static int NAME(lithops_call *call)` with a body that need not return. */
#define HARM(name, ...)                                                                            \
    static int name(lithops_call *call)                                                            \
    {                                                                                              \
        (void)call;                                                                                \
        __VA_ARGS__;                                                                               \
        return 0;                                                                                  \
    }

static void limit(int resource, rlim_t soft)
{
    struct rlimit old;
    getrlimit(resource, &old);
    old.rlim_cur = soft < old.rlim_max ? soft : old.rlim_max;
    setrlimit(resource, &old);
}

static volatile bool done; /* never */

static void *spin_for_ever(void *unused)
{
    (void)unused;
    while (!done)
        sched_yield();
    return NULL;
}

static void *write_for_a_while(void *unused)
{
    (void)unused;
    for (int i = 0; i < 50; i++)
        usleep(1000);
    return NULL;
}

static void start_thread(void *(*body)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, NULL) == 0)
        pthread_detach(thread);
}

static void loop_in_handler(int signal)
{
    (void)signal;
    for (;;)
        sched_yield();
}

static void return_from_handler(int signal)
{
    (void)signal;
}

static void abort_at_exit(void)
{
    abort();
}

static void loop_at_exit(void)
{
    for (;;)
        sched_yield();
}

static void handle_all(void (*handler)(int))
{
    for (int s = 1; s < NSIG; s++)
        signal(s, handler);
}

static int overflow(volatile char *above)
{
    volatile char room[4096];
    room[0] = *above;
    return done ? 0 : overflow(room) + room[0];
}

static void flood(int fd)
{
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < OUTPUT_MIB; i++)
        if (write(fd, block, sizeof block) < 0)
            return;
}

static void refuse_calls_strictly(void)
{
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    (void)getppid();
}

static int *volatile nowhere = (int *)16;
static volatile int zero;

/* processes */
HARM(child_exits, if (fork() == 0) exit(0))
HARM(child_returns, (void)!fork())
HARM(child_stays, if (fork() == 0) pause())
HARM(many_children, for (int i = 0; i < 20; i++) if (fork() == 0) pause())
HARM(
    vfork_hangs, if (vfork() == 0) {
        pause();
        _exit(0);
    })
HARM(execs, execl("/bin/true", "true", (char *)NULL))
HARM(execs_nothing, execl("/nonexistent", "nothing", (char *)NULL))
HARM(waits_for_all, while (wait(NULL) > 0);)
HARM(new_session, setsid())
HARM(kills_its_group, kill(0, SIGTERM))
HARM(is_traced, ptrace(PTRACE_TRACEME, 0, 0, 0); raise(SIGUSR1))
/* ends */
HARM(exits, exit(0))
HARM(exits_3, exit(3))
HARM(exits_at_once, _exit(0))
HARM(exits_quickly, quick_exit(0))
HARM(aborts, abort())
HARM(aborts_at_exit, atexit(abort_at_exit); exit(0))
HARM(loops_at_exit, atexit(loop_at_exit); exit(0))
HARM(thread_exits, pthread_exit(NULL))
HARM(loops, for (;;) sched_yield())
HARM(sleeps, for (;;) pause())
HARM(stops_itself, raise(SIGSTOP))
HARM(terminates_itself, raise(SIGTERM))
HARM(kills_itself, raise(SIGKILL))
/* memory */
HARM(writes_nowhere, *nowhere = 1)
HARM(divides_by_zero, zero = 7 / zero)
HARM(traps, __builtin_trap())
HARM(overflows, volatile char c = 0; (void)overflow(&c))
HARM(calls_nowhere, ((void (*)(void))(uintptr_t)nowhere)())
HARM(frees_twice, void *volatile p = malloc(100); free(p); free((void *)p))
HARM(breaks_the_heap, char *volatile p = malloc(40); memset(p - 16, 0xff, 64); free(malloc(40));
     free(p))
HARM(protects_its_code, const volatile unsigned *allowed = &hostile_table[0].allowed;
     mprotect((void *)((uintptr_t)allowed & ~4095ul), 4096, PROT_NONE); zero = *allowed != 0)
HARM(protects_its_stack, char c; mprotect((void *)((uintptr_t)&c & ~4095ul), 4096, PROT_READ);
     c = 1; zero = c)
/* signals */
HARM(blocks_signals, sigset_t s; sigfillset(&s); sigprocmask(SIG_SETMASK, &s, NULL))
HARM(ignores_signals, handle_all(SIG_IGN))
HARM(handles_signals, handle_all(return_from_handler))
HARM(loops_in_handler, signal(SIGSEGV, loop_in_handler); *nowhere = 1)
HARM(has_no_signal_stack, stack_t s = {.ss_flags = SS_DISABLE}; sigaltstack(&s, NULL);
     volatile char c = 0; (void)overflow(&c))
HARM(blocks_and_loops, sigset_t s; sigfillset(&s); sigprocmask(SIG_SETMASK, &s, NULL);
     for (;;) sched_yield())
/* limits and rights */
HARM(few_files, limit(RLIMIT_NOFILE, 4))
HARM(no_file_size, limit(RLIMIT_FSIZE, 0))
HARM(little_address_space, limit(RLIMIT_AS, 1 << 20))
HARM(little_data, limit(RLIMIT_DATA, 4096))
HARM(little_stack, limit(RLIMIT_STACK, 16384))
HARM(no_processes, limit(RLIMIT_NPROC, 0))
HARM(no_core, limit(RLIMIT_CORE, 0))
HARM(another_user, (void)!setuid(65534))
HARM(
    another_root, char d[] = "/tmp/lithops-hostile-XXXXXX"; if (mkdtemp(d)) {
        int tmp = open("/tmp", O_PATH | O_CLOEXEC);
        (void)!chroot(d);
        unlinkat(tmp, strrchr(d, '/') + 1, AT_REMOVEDIR);
        close(tmp);
    })
HARM(not_dumpable, prctl(PR_SET_DUMPABLE, 0))
HARM(no_parent_signal, prctl(PR_SET_PDEATHSIG, 0))
HARM(strict_seccomp, refuse_calls_strictly())
HARM(nice_to_all, (void)!nice(19))
HARM(one_cpu, cpu_set_t s; CPU_ZERO(&s); CPU_SET(0, &s); sched_setaffinity(0, sizeof s, &s))
/* descriptors and output */
HARM(closes_all, for (int fd = 0; fd < 1024; fd++) close(fd))
HARM(closes_range, syscall(436 /* close_range */, 3, ~0u, 0))
HARM(closes_output, close(1); close(2))
HARM(closes_streams, fclose(stdout); fclose(stderr))
HARM(
    breaks_its_pipe, int p[2]; if (pipe(p) == 0) {
        close(p[0]);
        dup2(p[1], 1);
        printf("lost");
        fflush(stdout);
    })
HARM(buffers_on_its_stack, char room[256]; setvbuf(stdout, room, _IOFBF, sizeof room); printf("x");
     fflush(stdout); setvbuf(stdout, NULL, _IONBF, 0))
HARM(floods, flood(1))
HARM(floods_errors, flood(2))
HARM(reads_input, char c; (void)!read(0, &c, 1))
/* surroundings */
HARM(deleted_folder, char d[] = "/tmp/lithops-hostile-XXXXXX";
     if (mkdtemp(d) && chdir(d) == 0) rmdir(d))
HARM(strict_umask, umask(0777))
HARM(no_environment, clearenv())
HARM(environment_of_nothing, environ = NULL)
HARM(rounds_up, fesetround(FE_UPWARD))
HARM(another_locale, setlocale(LC_ALL, "C.UTF-8"))
/* threads */
HARM(leaves_a_thread, start_thread(write_for_a_while))
HARM(leaves_a_busy_thread, start_thread(spin_for_ever))

#define ROW(name, allowed)                                                                         \
    {                                                                                              \
#name, name, allowed                                                                       \
    }
const struct hostile hostile_table[] = {
    ROW(child_exits, OK),
    ROW(child_returns, OK),
    ROW(child_stays, OK),
    ROW(many_children, OK),
    ROW(vfork_hangs, UNDER_TSAN ? OK : HANGS), /* ThreadSanitizer makes it a fork */
    ROW(execs, DIES),
    ROW(execs_nothing, OK),
    ROW(waits_for_all, OK | HANGS),
    ROW(new_session, OK),
    ROW(kills_its_group, DIES),
    ROW(is_traced, OK | DIES | HANGS),
    ROW(exits, DIES),
    ROW(exits_3, DIES),
    ROW(exits_at_once, DIES),
    ROW(exits_quickly, DIES),
    ROW(aborts, DIES),
    ROW(aborts_at_exit, DIES),
    ROW(loops_at_exit, HANGS),
    ROW(thread_exits, DIES | HANGS),
    ROW(loops, HANGS),
    ROW(sleeps, HANGS),
    ROW(stops_itself, HANGS),
    ROW(terminates_itself, DIES),
    ROW(kills_itself, DIES),
    ROW(writes_nowhere, DIES),
    ROW(divides_by_zero, DIES),
    ROW(traps, DIES),
    ROW(overflows, DIES),
    ROW(calls_nowhere, DIES),
    ROW(frees_twice, OK | DIES),
    ROW(breaks_the_heap, OK | DIES),
    ROW(protects_its_code, DIES),
    ROW(protects_its_stack, DIES),

    ROW(blocks_signals, OK),
    ROW(ignores_signals, OK),
    ROW(handles_signals, OK),
    ROW(loops_in_handler, DIES | HANGS),
    ROW(has_no_signal_stack, DIES),
    ROW(blocks_and_loops, HANGS),
    ROW(few_files, OK),
    ROW(no_file_size, OK),
    ROW(little_address_space, OK),
    ROW(little_data, OK),
    ROW(little_stack, OK),
    ROW(no_processes, OK),
    ROW(no_core, OK),
    ROW(another_user, OK),
    ROW(another_root, OK),
    ROW(not_dumpable, OK),
    ROW(no_parent_signal, OK),
    ROW(strict_seccomp, DIES),
    ROW(nice_to_all, OK),
    ROW(one_cpu, OK),
    ROW(closes_all, OK),
    ROW(closes_range, OK),
    ROW(closes_output, OK),
    ROW(closes_streams, OK),
    ROW(breaks_its_pipe, OK | DIES),
    ROW(buffers_on_its_stack, OK),
    ROW(floods, OK),
    ROW(floods_errors, OK),
    ROW(reads_input, OK),
    ROW(deleted_folder, OK),
    ROW(strict_umask, OK),
    ROW(no_environment, OK),
    ROW(environment_of_nothing, OK),
    ROW(rounds_up, OK),
    ROW(another_locale, OK),
    ROW(leaves_a_thread, OK),
    ROW(leaves_a_busy_thread, OK),
};
const size_t hostile_count = sizeof hostile_table / sizeof *hostile_table;

LITHOPS_FUNCTION(hostile)
{
    return hostile_table[lithops_call_int(call)].harm(call);
}

static unsigned outcome_of(int code)
{
    switch (code) {
    case 0:
        return HOSTILE_SUCCEEDS;
    case LITHOPS_ECRASH:
        return HOSTILE_CRASHES;
    case LITHOPS_ETIMEOUT:
        return HOSTILE_HANGS;
    default:
        return HOSTILE_FAILS;
    }
}

/* A sanitizer ends a process in which it cannot allocate, even in a later call. */
static bool lacks_memory(size_t i)
{
    return hostile_table[i].harm == little_address_space || hostile_table[i].harm == little_data;
}

void hostile_run_all(lithops_executor *fexec, int calls)
{
    for (size_t i = 0; i < hostile_count; i++) {
        lithops_error err;
        if (UNDER_SANITIZER && lacks_memory(i))
            continue;
        /* Writing a lot takes its time; hanging should be over soon. */
        int64_t limit_ms = hostile_table[i].allowed & HOSTILE_HANGS ? TIMEOUT_MS : LITHOPS_DEFAULT;
        int code = fault_call_limited(fexec, hostile, lithops_value_int((int64_t)i), limit_ms,
                                      LITHOPS_DEFAULT, &err);
        if (!(outcome_of(code) & hostile_table[i].allowed)) {
            fprintf(stderr, "%s: %d %s\n", hostile_table[i].name, code, err.message);
            fault_fail(__FILE__, __LINE__, "an outcome that is allowed");
        }
        if (getenv("HOSTILE_VERBOSE"))
            fprintf(stderr, "%s: %d %s\n", hostile_table[i].name, code, err.message);
        fault_check_works(fexec, calls);
    }
}
