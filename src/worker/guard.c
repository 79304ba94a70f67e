/* SPDX-License-Identifier: Apache-2.0 */
/* The guard: a process that does nothing until the client is gone, and then ends what the functions
 * had started.
 *
 * The kernel ends the workers of a client that was killed, but not the programs that their
 * functions have started. So the first worker process forks a guard, which holds only the reading
 * end of a pipe. The client writes a byte into it when it closes the executor; an end without that
 * byte is the client's death. Children of the client hold the other end too, so the guard also
 * watches a pidfd of the client, where the kernel has them.
 *
 * It is cloned without an exit signal, so that wait() does not see it: a function that waits for
 * all its children must not wait for the guard. */
#include "worker/guard.h"

#include "base/process_stat.h"
#include "base/spawn.h"
#include "worker/init.h"
#include "worker/leftovers.h"
#include "worker/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 400, ROUND_MS = 5, START_MS = 200 };

static bool is_of(const struct lithops__origin *origin, void *executor_id)
{
    return strcmp(origin->executor_id, executor_id) == 0;
}

/* Wait for the end of the executor, or of the client. The client's last word; 0: it died without.
 */
static char last_word(int lifeline, int client)
{
    struct pollfd fds[] = {{lifeline, POLLIN, 0}, {client, POLLIN, 0}};
    char word = LITHOPS__GUARD_LOOK;
    while (poll(fds, 2, -1) < 0)
        if (errno != EINTR)
            return word;
    return !fds[1].revents && read(lifeline, &word, 1) == 1 ? word : 0;
}

/* The groups of the workers, which are dead with the client or about to be: whatever programs of
 * theirs are in it, marked or not. (A worker's id cannot be another's while its group has members.)
 * @return some worker or program was there still */
static bool end_worker_groups(const struct lithops__control *control)
{
    bool found = false;
    for (uint32_t w = 0; w < control->max_workers; w++) {
        pid_t pid = atomic_load(&control->workers[w].pid);
        if (pid > 1)
            found |= !lithops__is_gone(pid) || kill(-pid, SIGKILL) == 0;
    }
    return found;
}

static void keep_guard(struct lithops__worker_process *process)
{
    char executor_id[sizeof process->area.control->executor_id];
    memcpy(executor_id, process->area.control->executor_id, sizeof executor_id);
    pid_t client_pid = process->area.control->client_pid;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setpgid(0, 0); /* the worker's group is killed with the worker */
    lithops__mark_remove();
    prctl(PR_SET_NAME, "lithops-guard");
    atomic_store(&process->area.control->guard_pid, getpid());
    syscall(SYS_futex, &process->area.control->guard_pid, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    dup2(LITHOPS__WORKER_LIFELINE_FD, 0);
    lithops__close_fds_from(1);
    (void)!chdir("/");
    int client = (int)syscall(SYS_pidfd_open, client_pid, 0);
    /* At the end of the executor the workers are dead. With the client they die at about the same
     * time, and may start something until then. */
    const char word = last_word(0, client);
    const int looks = word ? 1 : 3;
    /* A client that called setsid() started later workers in another session. */
    const pid_t session = word == LITHOPS__GUARD_LOOK ? getsid(0) : -1;
    for (int i = 0, quiet = 0; i < ROUNDS && quiet < looks; i++) {
        bool found = !word && end_worker_groups(process->area.control);
        found |= lithops__leftovers_kill(session, is_of, executor_id, false) > 0;
        quiet = found ? 0 : quiet + 1;
        if (quiet < looks)
            nanosleep(&(struct timespec){0, ROUND_MS * 1000000}, NULL);
    }
    _exit(0);
}

/* Valgrind has no children without a signal. What it runs is not killed either. */
static bool is_emulated(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded && strstr(preloaded, "vgpreload");
}

/* Before a call may start anything the guard is there, whichever worker starts it. One that is
 * killed as it does so is replaced. */
static bool is_mine_to_start(struct lithops__control *control)
{
    uint32_t nobody = 0, another = 1;
    if (atomic_compare_exchange_strong(&control->has_guard, &nobody, 1))
        return true;
    const struct timespec limit = {0, START_MS * 1000000};
    if (atomic_load(&control->guard_pid) == 0)
        syscall(SYS_futex, &control->guard_pid, FUTEX_WAIT, 0, &limit, NULL, 0);
    return atomic_load(&control->guard_pid) == 0 &&
           atomic_compare_exchange_strong(&control->has_guard, &another, 2);
}

void lithops__guard_start(struct lithops__worker_process *process)
{
    atomic_store(&process->line->pid, getpid()); /* the client may not have come to it */
    if (!is_emulated() && is_mine_to_start(process->area.control) &&
        syscall(SYS_clone, 0, 0, 0, 0, 0) == 0)
        keep_guard(process);
    close(LITHOPS__WORKER_LIFELINE_FD);
}
