/* SPDX-License-Identifier: Apache-2.0 */
/* The localhost backend: warm worker processes over shared memory, and their supervisor.
 *
 * Calls do not pass through here: the client writes them into shared memory and workers take them.
 * The supervisor thread starts processes when calls outnumber them, notices when one dies, and ends
 * those whose call has run past its timeout or was cancelled (deadline.c). When nothing is pending
 * it sleeps without a timer. */
#include "base/cgroup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/process_stat.h"
#include "base/thread.h"
#include "compute/backends/localhost/pool.h"
#include "ipc/bell.h"
#include "ipc/queue.h"
#include "ipc/settle.h"
#include "ipc/slotlog.h"
#include "worker/init.h"
#include "worker/leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FAILED_STARTS = 3,  /* in a row are enough to give up ... */
    KILLED_STARTS = 30, /* ... or so many that were killed, which says little about the program */
    START_PAUSE_NS = 1000000000,
};

static void wake_supervisor(struct lithops__pool *pool)
{
    uint64_t one = 1;
    (void)!write(pool->event_fd, &one, sizeof one);
}

/* ---- starting -------------------------------------------------------------------------------- */

static void note_end(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status);

/* Start a process in the slot. The lock is released while the process is created. */
static int start_process(struct lithops__pool *pool, uint32_t slot, lithops_error *err)
{
    struct lithops__slot_process *process = &pool->slots[slot];
    struct lithops__worker *line = &pool->table->area.control->workers[slot];
    int log_fd = lithops__slotlog_open(pool->table, slot, err);
    if (log_fd < 0)
        return err->code;
    process->reason = LITHOPS__KILL_NONE;
    process->oom_kills = lithops__group_oom_kills(pool->table->area.control, slot);
    process->started_ns = lithops__now_ns();
    process->start = ++pool->starts;
    process->log_start = lithops__slotlog_size(pool->table, slot);
    atomic_store(&line->state, LITHOPS__WORKER_STARTING);
    struct lithops__watch watch;
    pthread_mutex_unlock(&pool->table->lock);
    int rc = lithops__spawn_worker(&pool->table->area, slot, log_fd, pool->lifeline[0],
                                   process->start, pool->command, &watch, err);
    uint64_t own_oom_kills = lithops__own_oom_kills(); /* reading it must not delay the start */
    pthread_mutex_lock(&pool->table->lock);
    process->own_oom_kills = own_oom_kills;
    if (rc != 0) {
        /* one that could not be watched was killed, perhaps after it took a call */
        lithops__pool_bury(pool, slot, &(siginfo_t){.si_pid = 0});
        return rc;
    }
    process->watch = watch;
    atomic_store(&line->pid, watch.pid);
    pool->alive++;
    if (watch.is_over) { /* it may have taken a call in its short life */
        note_end(pool, slot, &(siginfo_t){.si_pid = 0});
        wake_supervisor(pool);
    }
    return 0;
}

static void give_up_starting(struct lithops__pool *pool)
{
    lithops__log(LITHOPS_LOG_ERROR, "localhost", "%s", pool->start_error.message);
    lithops__settle_waiting(pool->table, &pool->start_error);
    pool->wanted = 0;
    pool->failed_starts = 0;
}

/* As long as any process runs, calls only wait longer. */
static void pause_starting(struct lithops__pool *pool)
{
    pool->wanted = pool->alive;
    pool->start_again_ns = lithops__now_ns() + START_PAUSE_NS;
}

static void start_wanted(struct lithops__pool *pool)
{
    for (uint32_t slot = 0; slot < pool->count && pool->alive < pool->wanted; slot++) {
        if (pool->slots[slot].watch.pid || pool->closing)
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
    char output[400]; /* the end of its output: an interpreter puts the reason there */
    uint64_t start = pool->slots[slot].log_start;
    uint64_t end = lithops__slotlog_size(pool->table, slot);
    if (end > start + sizeof output - 1)
        start = end - (sizeof output - 1);
    output[lithops__slotlog_read(pool->table, slot, start, output, sizeof output - 1)] = '\0';
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
    siginfo_t status;
    lithops__watch_reap(&pool->slots[slot].watch, &status);
    note_end(pool, slot, &status);
}

static void note_end(struct lithops__pool *pool, uint32_t slot, const siginfo_t *status)
{
    struct lithops__slot_process *process = &pool->slots[slot];
    bool was_starting =
        atomic_load(&pool->table->area.control->workers[slot].state) == LITHOPS__WORKER_STARTING;
    process->watch.pid = 0;
    pool->alive--;
    if (was_starting && process->reason == LITHOPS__KILL_NONE && !pool->closing)
        note_failed_start(pool, slot, status);
    else
        pool->failed_starts = 0;
    lithops__pool_bury(pool, slot, status);
    process->reason = LITHOPS__KILL_NONE;
    process->doom.reason = LITHOPS__KILL_NONE;
}

static uint32_t count_busy(const struct lithops__pool *pool)
{
    uint32_t busy = 0;
    for (uint32_t slot = 0; slot < pool->count; slot++)
        busy += atomic_load_explicit(&pool->table->area.control->workers[slot].range,
                                     memory_order_relaxed) != 0;
    return busy;
}

/* Running and pending calls, at most as many as there can be processes. */
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

/* ---- processes that functions started
 * --------------------------------------------------------------
 */

static bool is_over(const struct lithops__origin *origin, void *user)
{
    const struct lithops__pool *pool = user;
    if (strcmp(origin->executor_id, pool->table->area.control->executor_id) != 0)
        return false;
    for (uint32_t slot = 0; slot < pool->count; slot++)
        if (pool->slots[slot].watch.pid && pool->slots[slot].start == origin->start)
            return false;
    return true;
}

/* For lithops__leftovers_kill(): a client that has called setsid() has workers in two sessions. */
static pid_t sessions(const struct lithops__pool *pool)
{
    return getsid(0) == pool->session ? pool->session : -1;
}

/* Those of dead processes. It reads /proc, so without the lock; only the supervisor, which this is,
 * starts and buries processes. If the program has closed its standard streams, output of its other
 * threads would land in a descriptor opened here: that case is left to the guard. */
static void end_leftovers(struct lithops__pool *pool)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            return;
    (void)lithops__leftovers_kill(sessions(pool), is_over, pool, false);
}

/* The executor closes: the guard ends what is left, and itself. As a child of this process (of
 * process 1 of a container, or a subreaper) the guard has to be reaped. */
static void dismiss_guard(struct lithops__pool *pool)
{
    pid_t pid = atomic_load(&pool->table->area.control->guard_pid);
    char name[32], parent[16];
    char word = sessions(pool) < 0 ? LITHOPS__GUARD_LOOK_AT_ALL : LITHOPS__GUARD_LOOK;
    (void)!write(pool->lifeline[1], &word, 1);
    close(pool->lifeline[0]);
    close(pool->lifeline[1]);
    if (pid > 1 && lithops__process_stat(pid, LITHOPS__STAT_NAME, name, sizeof name) &&
        strcmp(name, "lithops-guard") == 0 &&
        lithops__process_stat(pid, LITHOPS__STAT_PARENT, parent, sizeof parent) &&
        atoi(parent) == getpid())
        (void)waitpid(pid, NULL, 0);
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
    struct pollfd *fds = pool->fds;
    uint32_t *slot_of = pool->slot_of;
    pthread_mutex_lock(&pool->table->lock);
    while (!pool->closing) {
        want_processes(pool);
        start_wanted(pool);
        pool->look_ns = lithops__pool_check_deadlines(pool);
        if (lithops__pool_end_doomed(pool))
            continue;                                        /* time has passed: look again */
        uint64_t tend_ns = lithops__table_tend(pool->table); /* it may let go of the lock */
        uint64_t look_ns = pool->look_ns < tend_ns ? pool->look_ns : tend_ns;
        nfds_t n = 0;
        fds[n++] = (struct pollfd){pool->event_fd, POLLIN, 0};
        for (uint32_t slot = 0; slot < pool->count; slot++)
            if (pool->slots[slot].watch.pid) {
                slot_of[n] = slot;
                fds[n++] = (struct pollfd){pool->slots[slot].watch.fd, POLLIN, 0};
                uint64_t again_ns = lithops__watch_look_again(&pool->slots[slot].watch);
                look_ns = again_ns < look_ns ? again_ns : look_ns;
            }
        int timeout_ms = pool->closing ? 0 : poll_timeout_ms(look_ns);
        pthread_mutex_unlock(&pool->table->lock);
        (void)poll(fds, n, timeout_ms);
        uint64_t events;
        if (fds[0].revents)
            (void)!read(pool->event_fd, &events, sizeof events);
        pthread_mutex_lock(&pool->table->lock);
        bool any = false;
        for (nfds_t i = 1; i < n; i++)
            if (lithops__watch_is_over(&pool->slots[slot_of[i]].watch, fds[i].revents)) {
                reap(pool, slot_of[i]);
                any = true;
            }
        if (any && !pool->closing) {
            pthread_mutex_unlock(&pool->table->lock);
            end_leftovers(pool);
            pthread_mutex_lock(&pool->table->lock);
        }
    }
    pthread_mutex_unlock(&pool->table->lock);
    return NULL;
}

static void wake_for_table(void *user)
{
    wake_supervisor(user);
}

/* ---- the interface --------------------------------------------------------------------------- */

static int localhost_capacity(const struct lithops__compute_driver *driver,
                              const struct lithops__config *config,
                              struct lithops__capacity *ret_capacity, lithops_error *err)
{
    (void)driver;
    (void)err;
    const lithops_value *set = lithops__config_get(config, "localhost", "worker_processes");
    uint32_t count = lithops_value_type(set) == LITHOPS_INT ? (uint32_t)lithops_value_get_int(set)
                                                            : lithops__cpus();
    int64_t mb = lithops__config_int(config, "localhost", "shared_memory");
    *ret_capacity = (struct lithops__capacity){
        .hosts = 1,
        .workers = count > LITHOPS__MAX_WORKERS ? LITHOPS__MAX_WORKERS : count,
        .memory_bytes = mb > 0 ? (uint64_t)mb << 20 : lithops__memory_bytes() / 4 * 3,
        .memory_key = "localhost.shared_memory",
    };
    return 0;
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

static bool open_lifeline(struct lithops__pool *pool)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pool->lifeline[0] = lithops__high_fd(ends[0]);
    int saved = errno;
    pool->lifeline[1] = lithops__high_fd(ends[1]);
    errno = pool->lifeline[0] < 0 ? saved : errno;
    return pool->lifeline[0] >= 0 && pool->lifeline[1] >= 0;
}

static void free_memory(struct lithops__pool *pool)
{
    free(pool->slots);
    free(pool->fds);
    free(pool->slot_of);
    free(pool->command);
}

static int localhost_open(const struct lithops__compute_driver *driver, void *state,
                          struct lithops__table *table, const struct lithops__config *config,
                          const char *const *worker_command, lithops_error *err)
{
    (void)driver;
    lithops_error own = LITHOPS_ERROR_INIT;
    err = err ? err : &own;
    struct lithops__pool *pool = state;
    if (!worker_command && !lithops__init_was_called())
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "lithops_init(&argc, &argv) must be the first line of main(): worker "
                             "processes are this program, started again");
    if (worker_command && !(pool->command = copy_command(worker_command, err)))
        return err->code;
    struct lithops__control *control = table->area.control;
    pool->table = table;
    pool->session = getsid(0);
    pool->count = control->max_workers;
    pool->wanted = 1; /* the first call comes soon: start its process now */
    pool->look_ns = pool->shortest_ns = UINT64_MAX;
    pool->event_fd = pool->lifeline[0] = pool->lifeline[1] = -1;
    if (lithops__cpus() > 1)
        control->spin_ticks = (uint64_t)lithops__config_int(config, "localhost", "spin_us") *
                              control->ticks_per_ms / 1000;
    control->calls_per_process =
        (uint64_t)lithops__config_int(config, "localhost", "max_tasks_per_child");
    pool->slots = calloc(pool->count, sizeof *pool->slots);
    pool->fds = calloc(pool->count + 1, sizeof *pool->fds);
    pool->slot_of = calloc(pool->count + 1, sizeof *pool->slot_of);
    if (!pool->slots || !pool->fds || !pool->slot_of) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        goto failed;
    }
    table->wake = wake_for_table;
    table->wake_user = pool;
    pool->event_fd = lithops__high_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (pool->event_fd < 0) {
        lithops__fail_errno(err, errno, "cannot watch worker processes");
        goto failed;
    }
    if (!open_lifeline(pool)) {
        lithops__fail_errno(err, errno, "cannot watch worker processes");
        goto failed;
    }
    int rc = lithops__thread_start(&pool->thread, supervise, pool);
    if (rc == 0)
        return 0;
    lithops__fail_errno(err, rc, "cannot start a thread");
failed:
    for (int i = 0; i < 2; i++)
        if (pool->lifeline[i] >= 0)
            close(pool->lifeline[i]);
    if (pool->event_fd >= 0)
        close(pool->event_fd);
    free_memory(pool);
    return err->code;
}

static void kill_all(struct lithops__pool *pool)
{
    for (uint32_t slot = 0; slot < pool->count; slot++)
        if (pool->slots[slot].watch.pid && pool->slots[slot].reason == LITHOPS__KILL_NONE) {
            pool->slots[slot].reason = LITHOPS__KILL_CANCEL;
            lithops__watch_signal(&pool->slots[slot].watch, SIGKILL);
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
        if (pool->slots[slot].watch.pid)
            reap(pool, slot);
    }
    pthread_mutex_unlock(&pool->table->lock);
    for (uint32_t slot = 0; slot < pool->count; slot++)
        lithops__group_remove(control, slot); /* waits for the kernel */
    dismiss_guard(pool);
    pool->table->wake = NULL;
    close(pool->event_fd);
    free_memory(pool);
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
    if (lithops__pool_doom_canceled(pool, range, begin, end))
        wake_supervisor(pool);
}

static void localhost_prepare_limits(void *state)
{
    struct lithops__table *table = ((struct lithops__pool *)state)->table;
    struct lithops__control *control = table->area.control;
    char folder[sizeof control->cgroup];
    lithops__group_find(control->executor_id, folder, sizeof folder);
    pthread_mutex_lock(&table->lock);
    memcpy(control->cgroup, folder, sizeof folder);
    pthread_mutex_unlock(&table->lock);
}

static bool has_no_client(const struct lithops__origin *origin, void *user)
{
    bool (*const *is_alive)(const char *executor_id) = user;
    return origin->executor_id[0] == '\0' || !(*is_alive)(origin->executor_id);
}

static void localhost_tidy(bool (*is_alive)(const char *executor_id), bool dry_run,
                           struct lithops__tidied *tidied)
{
    /* first: they hold memory groups */
    tidied->process_groups += lithops__leftovers_kill(-1, has_no_client, &is_alive, dry_run);
    tidied->memory_groups += lithops__group_tidy(is_alive, dry_run);
}

static const struct lithops__compute_ops localhost_ops = {
    .capacity = localhost_capacity,
    .open = localhost_open,
    .close = localhost_close,
    .offered = localhost_offered,
    .cancel = localhost_cancel,
    .prepare_limits = localhost_prepare_limits,
    .tidy = localhost_tidy,
};

const struct lithops__compute_driver lithops__compute_localhost = {
    .name = "localhost",
    .mode = "localhost",
    .summary = "Worker processes of this machine, over shared memory.",
    .is_direct = true,
    .state_size = sizeof(struct lithops__pool),
    .ops = &localhost_ops,
};
