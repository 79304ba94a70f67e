/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor of an executor's detached jobs: an ordinary executor, of whatever backend, which
 * is given the jobs that lie in a folder, and whose outcomes are written into their journals.
 *
 *     file -> journal read, outcomes of before settled -> started -> outcomes written -> ended
 *
 * Two threads. The main one starts and cancels jobs, as the bell tells. The reporter sleeps until
 * calls have landed, and writes their outcomes; a result's memory is given back when it is written.
 * Where that fails, as on a full disk, it tries again each second, and calls go on as long as
 * there is memory for their results. So does the main one with jobs that cannot begin for that
 * reason, or for want of memory that others have. `lock` guards the list of jobs: the main thread
 * adds, the reporter removes. See docs/detached-jobs.md. */
#include "core/supervise.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "core/cancel.h"
#include "core/detached_jobs.h"
#include "core/draft.h"
#include "core/executor.h"
#include "core/executor_open.h"
#include "core/job.h"
#include "core/stats.h"
#include "core/supervised.h"
#include "detached/home.h"
#include "function/elsewhere.h"
#include "function/image.h"
#include "ipc/bell.h"
#include "ipc/service.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    LONGEST_PAUSE_NS = 20000000,
    RETRY_MS = 1000,
    FIRST_MS = 5000, /* at least so long one waits for its first job: its client is writing it */
};

struct supervisor {
    struct lithops__home home;
    lithops_executor *fexec; /* NULL: it could not be opened */
    lithops_error refusal;   /* then why not */
    int lock_fd, bell_fd, event_fd;
    pthread_t reporter;
    bool has_reporter;
    atomic_bool is_ending;
    bool has_put_off;  /* main thread: jobs that are to be taken up again in a while */
    bool has_seen_job; /* main thread: in whatever state, or was told of one */
    pthread_mutex_t lock;
    struct lithops__supervised *jobs; /* under lock */
};

/* ---- outcomes -------------------------------------------------------------------------------- */

/* It is tried again in a while. */
static void note_trouble(struct supervisor *supervisor, struct lithops__supervised *job,
                         const lithops_error *err)
{
    int os_errno = err->os_errno ? err->os_errno : err->code == LITHOPS_ENOMEM ? ENOMEM : EIO;
    if (atomic_exchange(&job->journal.header->trouble, os_errno) == 0)
        lithops__log(LITHOPS_LOG_ERROR, "supervisor", "%s", err->message);
    lithops__home_ring(&supervisor->home);
}

/* 1: some of what was to be written is; 0: there was nothing; less: not now. */
static int write_some(struct supervisor *supervisor, struct lithops__supervised *job, bool *is_more)
{
    struct lithops__tick_clock clock = lithops__executor_clock(supervisor->fexec);
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = 0;
    *is_more = job->out.len != 0 || lithops__supervised_collect(job, &clock);
    if (job->out.len)
        rc = lithops__supervised_write(job, &err);
    else if (*is_more)
        rc = lithops__fail(&err, LITHOPS_ENOMEM, "out of memory for outcomes");
    else
        return 0;
    if (rc != 0) {
        note_trouble(supervisor, job, &err);
        return rc;
    }
    lithops__home_ring(&supervisor->home);
    return 1;
}

/* True: outcomes were written. */
static bool look_at(struct supervisor *supervisor, struct lithops__supervised *job)
{
    bool is_more = true;
    uint64_t left = job->left;
    while (is_more && !atomic_load(&supervisor->is_ending)) {
        int rc = write_some(supervisor, job, &is_more);
        if (rc == 0)
            break;
        struct pollfd ending = {.fd = supervisor->event_fd};
        if (rc < 0)
            (void)poll(&ending, 1, RETRY_MS);
        is_more |= rc < 0;
    }
    return job->left != left;
}

static void remove_ended(struct supervisor *supervisor)
{
    struct lithops__supervised *ended = NULL;
    pthread_mutex_lock(&supervisor->lock);
    for (struct lithops__supervised **at = &supervisor->jobs; *at;) {
        struct lithops__supervised *job = *at;
        if (job->left > 0) {
            at = &job->next;
            continue;
        }
        lithops__supervised_end(job); /* before it is not known any more */
        *at = job->next;
        job->next = ended;
        ended = job;
    }
    bool is_last = ended && !supervisor->jobs;
    pthread_mutex_unlock(&supervisor->lock);
    while (ended) {
        struct lithops__supervised *next = ended->next;
        lithops__supervised_free(ended);
        ended = next;
        lithops__home_ring(&supervisor->home);
    }
    if (is_last)
        (void)eventfd_write(supervisor->event_fd, 1);
}

static void *report(void *user)
{
    struct supervisor *supervisor = user;
    struct lithops__control *control = supervisor->fexec->table.area.control;
    while (!atomic_load(&supervisor->is_ending)) {
        uint32_t seen = lithops__bell_prepare(control);
        uint64_t begun_ns = lithops__now_ns();
        bool wrote = false;
        pthread_mutex_lock(&supervisor->lock);
        struct lithops__supervised *job = supervisor->jobs; /* new ones come in front */
        pthread_mutex_unlock(&supervisor->lock);
        for (; job; job = job->next)
            wrote |= look_at(supervisor, job);
        remove_ended(supervisor);
        if (!wrote) {
            lithops__bell_wait(control, seen, UINT64_MAX);
            continue;
        }
        /* A look takes time that grows with the job: it is not to be the supervisor's whole day. */
        uint64_t pause_ns = (lithops__now_ns() - begun_ns) * 2;
        pause_ns = pause_ns < LONGEST_PAUSE_NS ? pause_ns : LONGEST_PAUSE_NS;
        nanosleep(&(struct timespec){0, (long)pause_ns}, NULL);
    }
    return NULL;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void add(struct supervisor *supervisor, struct lithops__supervised *job)
{
    pthread_mutex_lock(&supervisor->lock);
    job->next = supervisor->jobs;
    supervisor->jobs = job;
    pthread_mutex_unlock(&supervisor->lock);
}

static bool is_known(struct supervisor *supervisor, const struct lithops__journal_header *header)
{
    bool known = false;
    pthread_mutex_lock(&supervisor->lock);
    for (const struct lithops__supervised *job = supervisor->jobs; job && !known; job = job->next)
        known = job->journal.header->token == header->token;
    pthread_mutex_unlock(&supervisor->lock);
    return known;
}

static bool is_idle(struct supervisor *supervisor)
{
    pthread_mutex_lock(&supervisor->lock);
    bool idle = supervisor->jobs == NULL;
    pthread_mutex_unlock(&supervisor->lock);
    return idle;
}

/* What cannot or need not run gets its outcomes at once. */
static void refuse(struct supervisor *supervisor, struct lithops__supervised *job,
                   const lithops_error *why)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (!job)
        return;
    if (lithops__supervised_refuse(job, why, &err) == 0) {
        lithops__supervised_end(job);
    } else {
        note_trouble(supervisor, job, &err);
        supervisor->has_put_off = true;
    }
    lithops__supervised_free(job);
    lithops__home_ring(&supervisor->home);
}

/* Let it run. 1: not now, as there is no room on the disk, or not beside other jobs. */
static int start(struct supervisor *supervisor, struct lithops__supervised *job,
                 struct lithops__supervised *reduce, lithops_error *why)
{
    int rc = lithops__supervised_start(supervisor->fexec, job, reduce, why);
    if (rc != 0)
        return (rc == LITHOPS_ENOSPACE || rc == LITHOPS_ENOMEM) && !is_idle(supervisor) ? 1 : rc;
    if (lithops__supervised_claim(job, reduce, why) != 0) {
        note_trouble(supervisor, job, why);
        return 1;
    }
    return lithops__supervised_offer(job, reduce, why);
}

static void run(struct supervisor *supervisor, struct lithops__supervised *job,
                struct lithops__supervised *reduce)
{
    lithops_error why = supervisor->refusal;
    int rc = why.code;
    if (rc == 0 && atomic_load(&job->journal.header->stop))
        rc = lithops__fail(&why, LITHOPS_ECANCELED, "the job was cancelled");
    else if (rc == 0 && job->was_supervised &&
             job->journal.header->flags & LITHOPS__JOURNAL_FAIL_REST)
        rc = lithops__fail(&why, LITHOPS_ECRASH,
                           "the supervisor of the job was lost; with 'on_supervisor_lost: retry' "
                           "the call would run again");
    if (rc == 0)
        rc = start(supervisor, job, reduce, &why);
    if (rc == 1) {
        supervisor->has_put_off = true;
        lithops__supervised_free(reduce);
        lithops__supervised_free(job);
        return;
    }
    if (rc != 0) {
        refuse(supervisor, reduce, &why);
        refuse(supervisor, job, &why);
        return;
    }
    /* From here on they are the reporter's, which may free them at any moment. */
    if (reduce)
        add(supervisor, reduce);
    add(supervisor, job);
    lithops__bell_landed(supervisor->fexec->table.area.control);
}

static int take_up(const struct lithops__home *home, const char *name, void *user)
{
    struct supervisor *supervisor = user;
    struct lithops__supervised *job = NULL, *reduce = NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    supervisor->has_seen_job = true;
    if (name[0] == 'R') /* it comes with its map */
        return 0;
    int rc = lithops__supervised_open(home, name, &job, &err);
    if (rc == 0 && job->journal.header->flags & LITHOPS__JOURNAL_FEEDS) {
        char reducer[16];
        lithops__home_job_name('R', job->journal.header->number, reducer);
        (void)lithops__home_name_reducer(home, job->journal.header->number);
        rc = lithops__supervised_open(home, reducer, &reduce, &err);
        if (rc == LITHOPS_ENOTFOUND) { /* released alone: the map goes on without */
            err = (lithops_error)LITHOPS_ERROR_INIT;
            rc = 0;
        }
    }
    const struct lithops__supervised *last = reduce ? reduce : job;
    /* A reducer may end before its map calls do. */
    bool is_over = rc == 0 && ((atomic_load(&last->journal.header->ended_wall_ns) &&
                                atomic_load(&job->journal.header->ended_wall_ns)) ||
                               is_known(supervisor, last->journal.header) ||
                               is_known(supervisor, job->journal.header));
    if (rc == 0 && !is_over)
        rc = lithops__supervised_read(job, &err);
    if (rc == 0 && !is_over && reduce)
        rc = lithops__supervised_read(reduce, &err);
    if (rc != 0)
        lithops__log(LITHOPS_LOG_ERROR, "supervisor", "%s: %s", name, err.message);
    supervisor->has_put_off |= rc == LITHOPS_ENOMEM;
    if (rc != 0 || is_over) {
        lithops__supervised_free(job);
        lithops__supervised_free(reduce);
    } else {
        run(supervisor, job, reduce);
    }
    return 0;
}

/* Those that are marked, by who may be gone. */
static void cancel_stopped(struct supervisor *supervisor)
{
    pthread_mutex_lock(&supervisor->lock);
    for (struct lithops__supervised *job = supervisor->jobs; job; job = job->next)
        if (!job->is_stopped && atomic_load(&job->journal.header->stop)) {
            job->is_stopped = true;
            (void)lithops__cancel_job(job->job, 0, job->count);
        }
    pthread_mutex_unlock(&supervisor->lock);
}

static void cancel_calls(struct supervisor *supervisor, const struct lithops__home_message *message)
{
    pthread_mutex_lock(&supervisor->lock);
    for (struct lithops__supervised *job = supervisor->jobs; job; job = job->next) {
        const struct lithops__journal_header *header = job->journal.header;
        if (header->kind == message->kind && header->number == message->number &&
            message->begin < message->end && message->end <= job->count)
            (void)lithops__cancel_job(job->job, message->begin, message->end);
    }
    pthread_mutex_unlock(&supervisor->lock);
}

/* ---- the main thread ------------------------------------------------------------------------- */

static void take_environment(const lithops_value *executor)
{
    const lithops_value *list = lithops_value_get(executor, "environment");
    const char *folder = lithops_value_get_string(lithops_value_get(executor, "folder"));
    if (list)
        clearenv();
    for (size_t i = 0; i < lithops_value_size(list); i++) {
        lithops_bytes text = lithops_value_get_bytes(lithops_value_at(list, i));
        char *pair = malloc(text.len + 1), *equals;
        if (!pair)
            continue;
        memcpy(pair, text.ptr, text.len);
        pair[text.len] = '\0';
        equals = strchr(pair, '=');
        if (equals) {
            *equals = '\0';
            setenv(pair, equals + 1, 1);
        }
        free(pair);
    }
    if (!folder || chdir(folder) != 0)
        (void)!chdir("/");
}

/* The client's runtime cannot be asked what its worker processes are on other machines, nor the
 * client what program it was. */
static int take_workers(const lithops_value *executor, lithops_error *err)
{
    const lithops_value *kit = lithops_value_get(executor, "kit");
    const char *program = lithops_value_get_string(lithops_value_get(executor, "program"));
    const lithops_value *file = lithops_value_get(executor, "program_file");
    int rc = kit ? lithops__runtime_kit_set(kit, err) : 0;
    return rc == 0 && program ? lithops__image_set_program(program, file, err) : rc;
}

static void open_executor(struct supervisor *supervisor)
{
    lithops_error *err = &supervisor->refusal;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *executor = lithops__home_executor(&supervisor->home, err);
    const lithops_value *words = lithops_value_get(executor, "command");
    size_t count = lithops_value_size(words);
    const char **command = calloc(count + 1, sizeof *command);
    for (size_t i = 0; command && i < count; i++)
        command[i] = lithops_value_get_string(lithops_value_at(words, i));
    bool has_program = lithops_value_get(executor, "program") != NULL;
    if (executor && (!command || (count == 0) != has_program)) {
        lithops__fail(err, LITHOPS_EPARSE, "'%s/executor' is damaged", supervisor->home.path);
    } else if (executor && take_workers(executor, err) == 0) {
        take_environment(executor);
        options.config = lithops_value_get(executor, "config");
        options.worker_command = has_program ? NULL : command;
        supervisor->fexec =
            lithops__executor_open(&options, supervisor->home.id, LITHOPS__OPEN_HERE, err);
    }
    if (!supervisor->fexec)
        lithops__log(LITHOPS_LOG_ERROR, "supervisor", "%s", err->message);
    lithops_value_free(executor);
    free(command);
}

/* Until there is something to do. False: nothing came in all the time without jobs. */
static bool await_bell(struct supervisor *supervisor, int idle_ms)
{
    struct pollfd fds[] = {{supervisor->bell_fd, POLLIN, 0}, {supervisor->event_fd, POLLIN, 0}};
    struct lithops__home_message message;
    eventfd_t value;
    int timeout_ms = supervisor->has_put_off ? RETRY_MS : is_idle(supervisor) ? idle_ms : -1;
    int ready = poll(fds, 2, timeout_ms);
    if (ready < 0 && errno != EINTR)
        return false;
    (void)eventfd_read(supervisor->event_fd, &value);
    while (read(supervisor->bell_fd, &message, sizeof message) == (ssize_t)sizeof message) {
        supervisor->has_seen_job = true; /* which may be gone already */
        if (message.order == LITHOPS__HOME_CANCEL)
            cancel_calls(supervisor, &message);
    }
    return ready != 0 || supervisor->has_put_off;
}

static void take_up_all(struct supervisor *supervisor)
{
    supervisor->has_put_off = false;
    (void)lithops__home_visit(&supervisor->home, take_up, supervisor);
}

static int serve(struct supervisor *supervisor, lithops_error *err)
{
    int idle_ms = 0;
    if (supervisor->fexec)
        idle_ms = (int)(1000 * lithops__config_double(supervisor->fexec->config, "lithops",
                                                      "detached_idle"));
    for (;;) {
        take_up_all(supervisor);
        cancel_stopped(supervisor);
        int stay_ms = supervisor->has_seen_job || idle_ms > FIRST_MS ? idle_ms : FIRST_MS;
        if (await_bell(supervisor, stay_ms))
            continue;
        /* Who finds the bell without a listener from now on starts another supervisor; what came
         * before that is here. */
        close(supervisor->bell_fd);
        supervisor->bell_fd = -1;
        take_up_all(supervisor);
        if (is_idle(supervisor) && !supervisor->has_put_off)
            return 0;
        supervisor->bell_fd = lithops__home_hear(&supervisor->home, err);
        if (supervisor->bell_fd < 0)
            return supervisor->bell_fd;
    }
}

static void close_supervisor(struct supervisor *supervisor)
{
    atomic_store(&supervisor->is_ending, true);
    if (supervisor->has_reporter) {
        (void)eventfd_write(supervisor->event_fd, 1);
        lithops__bell_landed(supervisor->fexec->table.area.control);
        pthread_join(supervisor->reporter, NULL);
    }
    while (supervisor->jobs) {
        struct lithops__supervised *next = supervisor->jobs->next;
        lithops__supervised_free(supervisor->jobs);
        supervisor->jobs = next;
    }
    lithops_executor_close(supervisor->fexec);
    lithops__detached_sweep_own(&supervisor->home);
    (void)lithops__home_remove(&supervisor->home); /* all was released */
    lithops__home_close(&supervisor->home);
    if (supervisor->bell_fd >= 0)
        close(supervisor->bell_fd);
    if (supervisor->event_fd >= 0)
        close(supervisor->event_fd);
    close(supervisor->lock_fd);
}

int lithops__supervise(const char *folder, lithops_error *err)
{
    struct supervisor supervisor = {
        .bell_fd = -1, .event_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
    int rc = lithops__home_open(&supervisor.home, folder, err);
    if (rc != 0)
        return rc;
    rc = lithops__home_lock(&supervisor.home, &supervisor.lock_fd, err);
    if (rc != 0) {
        lithops__home_close(&supervisor.home);
        return rc < 0 ? rc : 0;
    }
    rc = supervisor.bell_fd = lithops__home_hear(&supervisor.home, err);
    if (rc >= 0 && (supervisor.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        rc = lithops__fail_errno(err, errno, "eventfd");
    if (rc >= 0) {
        atomic_store(&supervisor.home.page->supervisor, (int32_t)getpid());
        open_executor(&supervisor);
        int failed =
            supervisor.fexec ? lithops__thread_start(&supervisor.reporter, report, &supervisor) : 0;
        supervisor.has_reporter = supervisor.fexec && !failed;
        rc = failed ? lithops__fail_errno(err, failed, "cannot start a thread")
                    : serve(&supervisor, err);
    }
    close_supervisor(&supervisor);
    lithops__detached_sweep_at_times();
    return rc;
}
