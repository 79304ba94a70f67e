/* SPDX-License-Identifier: Apache-2.0 */
/* The localhost backend: warm worker processes over shared memory, and their supervisor.
 *
 * Calls do not pass through here: the client writes them into shared memory and workers take them.
 * The supervisor thread starts processes when there is more to do than processes to do it, notices
 * when one dies, and ends those whose call has run past its timeout or was cancelled. When nothing
 * is open it sleeps without a timer.
 *
 * A call is killed by killing its process. So that this never hits the next call, which the process
 * may have begun meanwhile, the process is stopped first, then its line is looked at, and only then
 * is it killed or set going again. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "compute/backends/localhost/pool.h"
#include "ipc/bell.h"
#include "ipc/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FAILED_STARTS = 3,  /* in a row are enough to give up ... */
    KILLED_STARTS = 30, /* ... or so many that were killed, which says little about the program */
    START_TIMEOUT_S = 60,
    START_PAUSE_NS = 1000000000,
};

static void wake_supervisor(struct lithops__pool *pool)
{
    uint64_t one = 1;
    (void)!write(pool->event_fd, &one, sizeof one);
}

static int signal_process(const struct lithops__slot_process *process, int signal)
{
    return (int)syscall(SYS_pidfd_send_signal, process->pidfd, signal, NULL, 0);
}

/* ---- starting -------------------------------------------------------------------------------- */

static int open_log(lithops_error *err)
{
    int fd = lithops__high_fd(memfd_create(LITHOPS__LOG_NAME, MFD_CLOEXEC));
    if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) != 0) {
        lithops__fail_errno(err, errno, "cannot make a log file for a worker process");
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    return fd;
}

static void note_end(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status);

/* Start a process in the slot. The lock is let go of while the process is made. */
static int start_process(struct lithops__pool *pool, uint32_t slot, lithops_error *err)
{
    struct lithops__slot_process *process = &pool->slots[slot];
    struct lithops__worker *line = &pool->table->area.control->workers[slot];
    if (process->log_fd < 0 && (process->log_fd = open_log(err)) < 0)
        return err->code;
    process->reason = LITHOPS__KILL_NONE;
    process->oom_kills = lithops__group_oom_kills(pool->table->area.control, slot);
    process->started_ns = lithops__now_ns();
    off_t log_end = lseek(process->log_fd, 0, SEEK_END);
    process->log_start = log_end < 0 ? 0 : (uint64_t)log_end;
    atomic_store(&line->state, LITHOPS__WORKER_STARTING);
    pid_t pid;
    int pidfd;
    pthread_mutex_unlock(&pool->table->lock);
    int rc = lithops__spawn_worker(&pool->table->area, slot, process->log_fd, pool->command, &pid,
                                   &pidfd, err);
    uint64_t own_oom_kills = lithops__own_oom_kills(); /* not before: it would wait for that */
    pthread_mutex_lock(&pool->table->lock);
    process->own_oom_kills = own_oom_kills;
    if (rc != 0) { /* one that could not be watched was killed; it may have taken a call by then */
        lithops__pool_bury(pool, slot, &(siginfo_t){.si_pid = 0});
        return rc;
    }
    process->pid = pid;
    process->pidfd = pidfd;
    atomic_store(&line->pid, pid);
    pool->alive++;
    if (pidfd < 0) { /* it may have taken a call in its short life */
        note_end(pool, slot, &(siginfo_t){.si_pid = 0});
        wake_supervisor(pool);
    }
    return 0;
}

static void give_up_starting(struct lithops__pool *pool)
{
    lithops__log(LITHOPS_LOG_ERROR, "localhost", "%s", pool->start_error.message);
    lithops__pool_fail_all(pool, &pool->start_error);
    pool->wanted = 0;
    pool->failed_starts = 0;
}

/* As long as some process runs, calls only wait longer. */
static void pause_starting(struct lithops__pool *pool)
{
    pool->wanted = pool->alive;
    pool->start_again_ns = lithops__now_ns() + START_PAUSE_NS;
}

static void start_wanted(struct lithops__pool *pool)
{
    for (uint32_t slot = 0; slot < pool->count && pool->alive < pool->wanted; slot++) {
        if (pool->slots[slot].pid || pool->closing)
            continue;
        lithops_error err = LITHOPS_ERROR_INIT;
        if (start_process(pool, slot, &err) != 0) {
            pool->start_error = err;
            if (pool->alive == 0)
                give_up_starting(pool);
            else
                pause_starting(pool);
            return;
        }
    }
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* A process that ends before it was ready: a library is missing, or main() does not come as far as
 * lithops_init(). */
static void note_failed_start(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status)
{
    char output[400]; /* the end of what it said: there an interpreter has the reason */
    off_t start = (off_t)pool->slots[slot].log_start;
    off_t end = lseek(pool->slots[slot].log_fd, 0, SEEK_END);
    if (end - start > (off_t)sizeof output - 1)
        start = end - (off_t)sizeof output + 1;
    ssize_t len = pread(pool->slots[slot].log_fd, output, sizeof output - 1, start);
    output[len > 0 ? len : 0] = '\0';
    const char *how = status->si_code == CLD_EXITED ? "exit status" : "signal";
    if (pool->command)
        lithops__fail(&pool->start_error, LITHOPS_EBACKEND,
                      "worker processes end as they start (%s %d): is Lithops installed for %s? %s",
                      how, status->si_status, pool->command[0], output);
    else
        lithops__fail(&pool->start_error, LITHOPS_EBACKEND,
                      "worker processes end as they start (%s %d): is lithops_init() the first "
                      "line of main()? %s",
                      how, status->si_status, output);
    bool killed = status->si_code == CLD_KILLED && status->si_status == SIGKILL;
    pool->failed_starts += killed ? 1 : KILLED_STARTS / FAILED_STARTS;
    if (pool->failed_starts < KILLED_STARTS)
        return;
    if (pool->alive == 0)
        give_up_starting(pool);
    else
        pause_starting(pool);
}

static void reap(struct lithops__pool *pool, uint32_t slot)
{
    struct lithops__slot_process *process = &pool->slots[slot];
    siginfo_t status;
    memset(&status, 0, sizeof status);
    if (waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &status, WEXITED | WNOWAIT) == 0) {
        /* What the function has started ends with it; before the id may be somebody else's. */
        kill(-process->pid, SIGKILL);
        waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &status, WEXITED);
    } else {
        memset(&status, 0, sizeof status); /* the program waits for all its children itself */
    }
    close(process->pidfd);
    note_end(pool, slot, &status);
}

static void note_end(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status)
{
    struct lithops__slot_process *process = &pool->slots[slot];
    bool was_starting =
        atomic_load(&pool->table->area.control->workers[slot].state) == LITHOPS__WORKER_STARTING;
    process->pid = 0;
    pool->alive--;
    if (was_starting && process->reason == LITHOPS__KILL_NONE && !pool->closing)
        note_failed_start(pool, slot, status);
    else
        pool->failed_starts = 0;
    lithops__pool_bury(pool, slot, status);
    process->reason = LITHOPS__KILL_NONE;
}

/* Stop the process; false when it is not stopped within 50 ms (it ends, or hangs in the kernel). */
static bool stop_process(const struct lithops__slot_process *process)
{
    if (signal_process(process, SIGSTOP) != 0)
        return false;
    for (int i = 0; i < 500; i++) {
        siginfo_t status;
        memset(&status, 0, sizeof status);
        if (waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &status,
                   WSTOPPED | WEXITED | WNOWAIT | WNOHANG) != 0)
            return false;
        if (status.si_pid)
            return status.si_code == CLD_STOPPED;
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    return false;
}

/* End the process if it still runs call `index` of `range`, for this reason; if that is the time
 * that it takes, the same run of the call as began at `busy`. */
static void kill_call(struct lithops__pool *pool, uint32_t slot, uint32_t range, uint64_t index,
                      uint64_t busy, enum lithops__kill_reason reason)
{
    struct lithops__table *table = pool->table;
    struct lithops__slot_process *process = &pool->slots[slot];
    const struct lithops__worker *line = &table->area.control->workers[slot];
    const lithops__state *states = lithops__range_states(&table->area, &table->area.ranges[range]);
    (void)stop_process(process); /* if it cannot be stopped, what is read now has to do */
    if (atomic_load(&line->range) == range + 1 && atomic_load(&line->current) == index &&
        (reason != LITHOPS__KILL_TIMEOUT || atomic_load(&line->busy_since) == busy) &&
        atomic_load(&states[index]) == lithops__state_make(LITHOPS__RUNNING, slot)) {
        process->reason = reason;
        signal_process(process, SIGKILL);
    } else {
        signal_process(process, SIGCONT);
    }
}

/* ---- deadlines and cancellation -------------------------------------------------------------- */

static bool is_idle(struct lithops__pool *pool)
{
    const struct lithops__control *control = pool->table->area.control;
    for (uint32_t slot = 0; slot < pool->count; slot++)
        if (atomic_load(&control->workers[slot].range) ||
            atomic_load(&control->workers[slot].state) == LITHOPS__WORKER_STARTING)
            return false;
    lithops__queue_advance(&pool->table->area);
    for (uint64_t at = atomic_load(&control->head); at < atomic_load(&control->tail); at++)
        if (lithops__queue_left(&pool->table->area, lithops__span_at(&pool->table->area, at)))
            return false;
    return true;
}

/* Since when the call has been running, as far as can be told. The worker notes the time once for a
 * group of short calls; if not the first of them turns out to be long, it is given its whole time
 * from when it was first seen here. */
static uint64_t running_since(struct lithops__slot_process *process,
                              const struct lithops__worker *line,
                              const struct lithops__seen_call *call)
{
    struct lithops__seen_call *seen = &process->seen;
    if (atomic_load(&line->busy_first) == call->index)
        return call->busy - 1;
    if (seen->range != call->range || seen->index != call->index || seen->busy != call->busy)
        *seen = *call;
    return seen->since;
}

/* End calls that have run too long; when to look next. */
static uint64_t check_deadlines(struct lithops__pool *pool)
{
    const struct lithops__area *area = &pool->table->area;
    uint64_t now_ns = lithops__now_ns(), next_ns = UINT64_MAX;
    for (uint32_t slot = 0; slot < pool->count; slot++) {
        const struct lithops__worker *line = &area->control->workers[slot];
        uint32_t range = atomic_load(&line->range);
        uint64_t busy = atomic_load(&line->busy_since), index = atomic_load(&line->current);
        if (pool->slots[slot].pid == 0 || pool->slots[slot].reason != LITHOPS__KILL_NONE)
            continue;
        if (atomic_load(&line->state) == LITHOPS__WORKER_STARTING) {
            uint64_t limit_ns = pool->slots[slot].started_ns + START_TIMEOUT_S * 1000000000ull;
            if (now_ns >= limit_ns)
                signal_process(&pool->slots[slot], SIGKILL);
            else if (limit_ns < next_ns)
                next_ns = limit_ns;
            continue;
        }
        if (range == 0 || busy == 0 || area->ranges[range - 1].timeout_ticks == 0)
            continue;
        uint64_t now = lithops__ticks() - area->control->epoch_ticks;
        struct lithops__seen_call call = {range, index, busy, now};
        uint64_t ran = now - running_since(&pool->slots[slot], line, &call);
        uint64_t limit = area->ranges[range - 1].timeout_ticks;
        if ((int64_t)ran < 0)
            ran = 0;
        if (ran >= limit) {
            kill_call(pool, slot, range - 1, index, busy, LITHOPS__KILL_TIMEOUT);
        } else {
            double left_ms = (double)(limit - ran) / (double)area->control->ticks_per_ms;
            uint64_t at_ns = now_ns + (uint64_t)(left_ms * 1e6) + 100000;
            next_ns = at_ns < next_ns ? at_ns : next_ns;
        }
    }
    /* A worker that takes a call between the two halves of the look would not be seen: only two
     * looks in a row, a timeout apart, count. */
    bool idle = is_idle(pool), again = idle && pool->was_idle;
    pool->was_idle = idle;
    if (again) {
        pool->shortest_ns = UINT64_MAX;
        return UINT64_MAX;
    }
    if (pool->start_again_ns > now_ns && pool->start_again_ns < next_ns)
        next_ns = pool->start_again_ns;
    uint64_t any_ns = pool->shortest_ns == UINT64_MAX ? UINT64_MAX : now_ns + pool->shortest_ns;
    return any_ns < next_ns ? any_ns : next_ns;
}

static void carry_out_cancels(struct lithops__pool *pool)
{
    const struct lithops__area *area = &pool->table->area;
    for (size_t c = 0; c < pool->cancel_count; c++) {
        const struct lithops__cancel *cancel = &pool->cancels[c];
        for (uint32_t slot = 0; slot < pool->count; slot++) {
            const struct lithops__worker *line = &area->control->workers[slot];
            uint64_t index = atomic_load(&line->current);
            if (pool->slots[slot].pid && pool->slots[slot].reason == LITHOPS__KILL_NONE &&
                atomic_load(&line->range) == cancel->range + 1 && index >= cancel->begin &&
                index < cancel->end &&
                atomic_load(&area->ranges[cancel->range].generation) == cancel->generation)
                kill_call(pool, slot, cancel->range, index, 0, LITHOPS__KILL_CANCEL);
        }
    }
    pool->cancel_count = 0;
}

static uint32_t count_busy(const struct lithops__pool *pool)
{
    uint32_t busy = 0;
    for (uint32_t slot = 0; slot < pool->count; slot++)
        busy += atomic_load_explicit(&pool->table->area.control->workers[slot].range,
                                     memory_order_relaxed) != 0;
    return busy;
}

/* Calls that run or wait, as far as there can be processes for them. */
static uint64_t count_needed(struct lithops__pool *pool)
{
    struct lithops__area *area = &pool->table->area;
    uint64_t needed = count_busy(pool);
    lithops__queue_advance(area);
    uint64_t tail = atomic_load(&area->control->tail);
    for (uint64_t at = atomic_load(&area->control->head); at < tail && needed < pool->count; at++)
        needed += lithops__queue_left(area, lithops__span_at(area, at));
    return needed < pool->count ? needed : pool->count;
}

static void want_processes(struct lithops__pool *pool)
{
    if (pool->wanted >= pool->count ||
        (pool->alive > 0 && lithops__now_ns() < pool->start_again_ns))
        return;
    uint64_t needed = count_needed(pool);
    if (needed > pool->wanted)
        pool->wanted = (uint32_t)needed;
}

/* ---- the supervisor -------------------------------------------------------------------------- */

static int poll_timeout_ms(uint64_t until_ns)
{
    if (until_ns == UINT64_MAX)
        return -1;
    uint64_t now_ns = lithops__now_ns();
    if (until_ns <= now_ns)
        return 0;
    uint64_t ms = (until_ns - now_ns) / 1000000 + 1;
    return ms > 1000000 ? 1000000 : (int)ms;
}

static void *supervise(void *user)
{
    struct lithops__pool *pool = user;
    struct pollfd *fds = calloc(pool->count + 1, sizeof *fds);
    uint32_t *slot_of = calloc(pool->count + 1, sizeof *slot_of);
    pthread_mutex_lock(&pool->table->lock);
    while (fds && slot_of && !pool->closing) {
        want_processes(pool);
        start_wanted(pool);
        carry_out_cancels(pool);
        pool->look_ns = check_deadlines(pool);
        nfds_t n = 0;
        fds[n++] = (struct pollfd){pool->event_fd, POLLIN, 0};
        for (uint32_t slot = 0; slot < pool->count; slot++)
            if (pool->slots[slot].pid) {
                slot_of[n] = slot;
                fds[n++] = (struct pollfd){pool->slots[slot].pidfd, POLLIN, 0};
            }
        int timeout_ms = pool->closing ? 0 : poll_timeout_ms(pool->look_ns);
        pthread_mutex_unlock(&pool->table->lock);
        (void)poll(fds, n, timeout_ms);
        uint64_t events;
        if (fds[0].revents)
            (void)!read(pool->event_fd, &events, sizeof events);
        pthread_mutex_lock(&pool->table->lock);
        for (nfds_t i = 1; i < n; i++)
            if (fds[i].revents)
                reap(pool, slot_of[i]);
    }
    pthread_mutex_unlock(&pool->table->lock);
    free(fds);
    free(slot_of);
    return NULL;
}

/* ---- the interface --------------------------------------------------------------------------- */

static uint32_t count_cpus(void)
{
    cpu_set_t set; /* a set larger than that makes the call fail */
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (uint32_t)CPU_COUNT(&set);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : (uint32_t)cpus;
}

static uint32_t localhost_workers(const struct lithops__config *config)
{
    const lithops_value *set = lithops__config_get(config, "localhost", "worker_processes");
    uint32_t count = lithops_value_type(set) == LITHOPS_INT ? (uint32_t)lithops_value_get_int(set)
                                                            : count_cpus();
    return count > LITHOPS__MAX_WORKERS ? LITHOPS__MAX_WORKERS : count;
}

/* The words and their strings in one block. */
static char **copy_command(const char *const *command, lithops_error *err)
{
    size_t count = 0, bytes = 0;
    for (; command[count]; count++)
        bytes += strlen(command[count]) + 1;
    if (count == 0 || count > LITHOPS__MOST_COMMAND) {
        lithops__fail(err, LITHOPS_EUSAGE, "worker_command has %zu words: 1 to %d are needed",
                      count, LITHOPS__MOST_COMMAND);
        return NULL;
    }
    char **copy = malloc((count + 1) * sizeof *copy + bytes);
    if (!copy) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        return NULL;
    }
    char *text = (char *)(copy + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(command[i]) + 1;
        copy[i] = memcpy(text, command[i], len);
        text += len;
    }
    copy[count] = NULL;
    return copy;
}

static int localhost_open(void *state, struct lithops__table *table,
                          const struct lithops__config *config, const char *const *worker_command,
                          lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    err = err ? err : &own;
    struct lithops__pool *pool = state;
    if (worker_command && !(pool->command = copy_command(worker_command, err)))
        return err->code;
    struct lithops__control *control = table->area.control;
    pool->table = table;
    pool->count = control->max_workers;
    pool->wanted = 1; /* the first call comes soon: its process can start meanwhile */
    pool->look_ns = pool->shortest_ns = UINT64_MAX;
    pool->event_fd = -1;
    if (count_cpus() > 1)
        control->spin_ticks = (uint64_t)lithops__config_int(config, "localhost", "spin_us") *
                              control->ticks_per_ms / 1000;
    pool->slots = calloc(pool->count, sizeof *pool->slots);
    if (!pool->slots) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        goto failed;
    }
    for (uint32_t slot = 0; slot < pool->count; slot++)
        pool->slots[slot].log_fd = -1;
    pool->event_fd = lithops__high_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (pool->event_fd < 0) {
        lithops__fail_errno(err, errno, "cannot watch worker processes");
        goto failed;
    }
    sigset_t all, old; /* the program's signals are for the program's threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&pool->thread, NULL, supervise, pool);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        return 0;
    lithops__fail_errno(err, rc, "cannot start a thread");
failed:
    if (pool->event_fd >= 0)
        close(pool->event_fd);
    free(pool->slots);
    free(pool->command);
    return err->code;
}

static void kill_all(struct lithops__pool *pool)
{
    for (uint32_t slot = 0; slot < pool->count; slot++)
        if (pool->slots[slot].pid && pool->slots[slot].reason == LITHOPS__KILL_NONE) {
            pool->slots[slot].reason = LITHOPS__KILL_CANCEL;
            signal_process(&pool->slots[slot], SIGKILL);
        }
}

static void localhost_close(void *state)
{
    struct lithops__pool *pool = state;
    struct lithops__control *control = pool->table->area.control;
    pthread_mutex_lock(&pool->table->lock);
    pool->closing = true;
    atomic_store(&control->shutdown, 1);
    kill_all(pool); /* they end while the supervisor does */
    pthread_mutex_unlock(&pool->table->lock);
    wake_supervisor(pool);
    pthread_join(pool->thread, NULL);
    pthread_mutex_lock(&pool->table->lock);
    kill_all(pool); /* the one that was being started */
    for (uint32_t slot = 0; slot < pool->count; slot++) {
        if (pool->slots[slot].pid)
            reap(pool, slot);
        lithops__group_remove(control, slot);
        if (pool->slots[slot].log_fd >= 0)
            close(pool->slots[slot].log_fd);
    }
    pthread_mutex_unlock(&pool->table->lock);
    close(pool->event_fd);
    free(pool->slots);
    free(pool->command);
    free(pool->cancels);
}

static void localhost_offered(void *state, uint32_t range, uint64_t calls)
{
    struct lithops__pool *pool = state;
    const struct lithops__control *control = pool->table->area.control;
    (void)calls;
    uint32_t wanted = pool->wanted;
    want_processes(pool);
    bool wake = pool->wanted > wanted;
    uint64_t ticks = pool->table->area.ranges[range].timeout_ticks;
    if (ticks) {
        uint64_t timeout_ns = (uint64_t)((double)ticks / (double)control->ticks_per_ms * 1e6);
        if (timeout_ns < pool->shortest_ns) {
            pool->shortest_ns = timeout_ns;
            wake = true;
        }
    }
    if (wake)
        wake_supervisor(pool);
}

static void localhost_cancel(void *state, uint32_t range, uint64_t begin, uint64_t end)
{
    struct lithops__pool *pool = state;
    if (pool->cancel_count == pool->cancel_capacity) {
        size_t capacity = pool->cancel_capacity ? pool->cancel_capacity * 2 : 16;
        struct lithops__cancel *cancels = realloc(pool->cancels, capacity * sizeof *cancels);
        if (!cancels)
            return;
        pool->cancels = cancels;
        pool->cancel_capacity = capacity;
    }
    pool->cancels[pool->cancel_count++] = (struct lithops__cancel){
        range, atomic_load(&pool->table->area.ranges[range].generation), begin, end};
    wake_supervisor(pool);
}

static void localhost_prepare_limits(void *state)
{
    struct lithops__pool *pool = state;
    if (!pool->group_tried)
        lithops__group_prepare(pool->table->area.control);
    pool->group_tried = true;
}

static void localhost_logs(void *state, unsigned worker, uint64_t begin, uint64_t end,
                           struct lithops__buffer *out)
{
    const struct lithops__pool *pool = state;
    if (worker >= pool->count || pool->slots[worker].log_fd < 0 || end <= begin)
        return;
    void *room = lithops__buffer_reserve(out, end - begin);
    ssize_t len = room ? pread(pool->slots[worker].log_fd, room, end - begin, (off_t)begin) : -1;
    if (len > 0)
        out->len += (size_t)len;
}

static void localhost_tidy(bool (*is_alive)(const char *executor_id),
                           struct lithops__tidied *tidied)
{
    tidied->process_groups += lithops__orphans_kill(); /* first: they hold memory groups */
    tidied->memory_groups += lithops__group_tidy(is_alive);
}

static const struct lithops__compute_ops localhost_ops = {
    .workers = localhost_workers,
    .open = localhost_open,
    .close = localhost_close,
    .offered = localhost_offered,
    .cancel = localhost_cancel,
    .prepare_limits = localhost_prepare_limits,
    .logs = localhost_logs,
    .tidy = localhost_tidy,
};

const struct lithops__compute_driver lithops__compute_localhost = {
    .name = "localhost",
    .mode = "localhost",
    .summary = "Worker processes of this machine, over shared memory.",
    .state_size = sizeof(struct lithops__pool),
    .ops = &localhost_ops,
};
