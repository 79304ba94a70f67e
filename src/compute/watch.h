/* SPDX-License-Identifier: Apache-2.0 */
/* Watching one child process: learning of its end, signalling it, reaping it.
 *
 * With a pidfd, where the kernel has them (5.4): nothing can be mistaken for the process. Else with
 * a pipe whose other end only the child holds, so that a hang-up means that the child ends. But
 * processes forked by a function hold it too, and a function may close it, so the child is also
 * polled from time to time. SIGCHLD is not used: signal handlers belong to the program. */
#ifndef LITHOPS_COMPUTE_WATCH_H
#define LITHOPS_COMPUTE_WATCH_H

#include <lithops/error.h>

#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>

struct lithops__watch {
    pid_t pid; /* 0: none */
    int fd;    /* for poll(): a pidfd, or the reading end of the pipe; -1: see next look */
    bool has_pidfd;
    bool is_over;     /* it ended at once, and was reaped by the program */
    uint64_t hung_up; /* when the pipe ended, by lithops__now_ns(); 0: not yet */
};

/* Call before starting the child: *ret_child_end is its end of the pipe, to be closed here once the
 * child has it; -1 if there are pidfds. */
int lithops__watch_prepare(struct lithops__watch *watch, int *ret_child_end, lithops_error *err);
/* The child runs. On failure it was killed. */
int lithops__watch_begin(struct lithops__watch *watch, pid_t pid, lithops_error *err);
/* Undo prepare: there is no child. */
void lithops__watch_abandon(struct lithops__watch *watch);

void lithops__watch_signal(const struct lithops__watch *watch, int signal);
/* Whether it was stopped by a signal, or is dead. */
bool lithops__watch_has_stopped(const struct lithops__watch *watch);
/* Whether it is dead, or reaped by the program. */
bool lithops__watch_has_ended(const struct lithops__watch *watch);
/* `revents` of poll() on `fd`. */
bool lithops__watch_is_over(struct lithops__watch *watch, short revents);
/* When to call is_over() again without news from poll(); UINT64_MAX: never. */
uint64_t lithops__watch_look_again(const struct lithops__watch *watch);
/* Wait for the end, kill what is left of the process group, which is the child's, and take the
 * status. `ret_status->si_pid` is 0 when the program waits for all its children itself. */
void lithops__watch_reap(struct lithops__watch *watch, siginfo_t *ret_status);

/* For posix_spawn(): the child starts with no signal blocked or ignored, whatever the program does
 * with its own, and in a group or session of its own.
 * @param apart  POSIX_SPAWN_SETPGROUP or POSIX_SPAWN_SETSID
 * @return 0 or an errno; the attributes are the caller's to destroy */
int lithops__child_attributes(posix_spawnattr_t *attributes, short apart);
/* For posix_spawn(): the child closes its descriptors from `first` on. 0 or an errno. */
int lithops__close_from(posix_spawn_file_actions_t *actions, int first);

#endif
