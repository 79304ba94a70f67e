/* SPDX-License-Identifier: Apache-2.0 */
/* The guard of a program that holds something elsewhere: lithops --guard UNDO... -- PROGRAM...
 *
 * For the backend slurm, whose srun waits in a queue without a look at its standard input, so that
 * it would not notice that the client is gone; and where it is killed, its allocation stays. The
 * guard has the same socket as standard input, reads nothing of it, and sees its other end close
 * however the client ends. Then it gives the program a moment to end by itself, ends it and runs
 * UNDO, again and again for a minute until the program is gone and UNDO has succeeded, since what
 * that asks may not answer at once. SIGTERM is the same without the moment. It ends as the program
 * does. */
#include "base/clock.h"
#include "base/spawn.h"
#include "cli/commands.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GRACE_MS = 1000, AGAIN_MS = 3000, MOST_TRIES = 20, USAGE = 2, CANNOT_START = 127 };

struct guard {
    char **undo;
    sigset_t mask;         /* of what it starts */
    pid_t program, undoer; /* 0: does not run */
    int status;            /* of the program */
    int tries;             /* how often it was ended */
    bool counts;           /* the undoer was started after the program's end */
    bool has_failed;       /* the last undoer */
    bool is_undone;        /* one that counts has succeeded */
    bool is_over;          /* no child is left, nor an orphan of one */
    uint64_t due_ns;       /* when it is ended next; UINT64_MAX: it may run */
};

/* In the guard's own process group: who kills that ends all. */
static pid_t start(const struct guard *guard, char *const *words)
{
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &guard->mask);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int failed = lithops__spawn(&pid, words[0], NULL, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    if (failed)
        fprintf(stderr, "cannot start '%s': %s\n", words[0], strerror(failed));
    return failed ? 0 : pid;
}

static void end_program(struct guard *guard)
{
    if (guard->program)
        kill(guard->program, ++guard->tries < MOST_TRIES ? SIGTERM : SIGKILL);
    else
        guard->tries++;
    if (!guard->undoer) {
        guard->counts = guard->program == 0;
        guard->undoer = start(guard, guard->undo);
    }
    guard->due_ns = lithops__now_ns() + AGAIN_MS * (uint64_t)1000000;
}

static bool is_to_be_undone(const struct guard *guard)
{
    return guard->tries > 0 && guard->tries < MOST_TRIES && !guard->is_undone;
}

static void reap(struct guard *guard)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == guard->undoer) {
            guard->undoer = 0;
            guard->has_failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
            guard->is_undone = guard->counts && !guard->has_failed;
        }
        if (pid != guard->program)
            continue;
        guard->program = 0;
        guard->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (WIFSIGNALED(status)) /* it could not undo anything itself */
            end_program(guard);
        else if (guard->due_ns == UINT64_MAX) /* so long for what it has started itself */
            guard->due_ns = lithops__now_ns() + GRACE_MS * (uint64_t)1000000;
    }
    if (guard->program || guard->undoer)
        return;
    if (is_to_be_undone(guard) && !guard->has_failed) /* once more, now that it is gone */
        guard->due_ns = 0;
    guard->is_over = pid < 0 && !is_to_be_undone(guard);
}

static bool is_due(const struct guard *guard, int *ret_left_ms)
{
    uint64_t now = lithops__now_ns();
    *ret_left_ms = -1;
    if (guard->due_ns == UINT64_MAX)
        return false;
    *ret_left_ms = now < guard->due_ns ? (int)((guard->due_ns - now) / 1000000) + 1 : 0;
    return *ret_left_ms == 0;
}

static void watch(struct guard *guard, int signal_fd)
{
    struct pollfd fds[] = {{signal_fd, POLLIN, 0}, {STDIN_FILENO, 0, 0}};
    struct signalfd_siginfo got;
    int left_ms;
    while (!guard->is_over) {
        if (is_due(guard, &left_ms)) {
            if (!guard->program && !is_to_be_undone(guard))
                return;
            end_program(guard);
            continue;
        }
        (void)poll(fds, 2, left_ms);
        while (read(signal_fd, &got, sizeof got) == sizeof got)
            if (got.ssi_signo != SIGCHLD && guard->tries == 0)
                guard->due_ns = 0;
        reap(guard);
        if (fds[1].revents) { /* the client is gone */
            fds[1].fd = -1;
            if (guard->due_ns == UINT64_MAX)
                guard->due_ns = lithops__now_ns() + GRACE_MS * (uint64_t)1000000;
        }
    }
}

int cli_guard(char **words)
{
    struct guard guard = {.undo = words, .due_ns = UINT64_MAX};
    char **program = words;
    sigset_t signals;
    while (*program && strcmp(*program, "--") != 0)
        program++;
    if (!*program || program == words || !program[1])
        return USAGE;
    *program++ = NULL;
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* srun leaves processes behind that end by themselves */
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, &guard.mask);
    int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    guard.program = signal_fd >= 0 ? start(&guard, program) : 0;
    if (!guard.program)
        return CANNOT_START;
    watch(&guard, signal_fd);
    close(signal_fd);
    return guard.status;
}
