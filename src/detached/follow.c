/* SPDX-License-Identifier: Apache-2.0 */
/* Following jobs that run elsewhere, by their journals.
 *
 * One thread, which sleeps on the page's bell. Each half second without one it looks whether there
 * is a supervisor, and starts one if not: so a job goes on as long as somebody waits for it. What
 * [L] guards is said there; the rest is the thread's. */
#include "detached/follow.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "detached/handle.h"
#include "detached/outcome.h"
#include "detached/watch.h"
#include "ipc/bell.h"
#include "ipc/take.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOOK_MS = 500,
    ROOM_MS = 50,      /* between two looks for memory */
    IDLE_MS = 60000,   /* nothing is followed */
    MOST_CANCELS = 64, /* parts of a job, at a time; more: all of it */
    BATCH = 256,       /* outcomes, under one lock */
};
static const uint64_t patience_ns = 60000000000;

struct cancel {
    uint64_t begin, end;
};

struct followed {
    struct followed *next;
    uint32_t range, generation, number;
    char kind;
    bool is_same_boot;
    uint64_t token, calls;
    struct lithops__journal journal; /* until all outcomes are there */
    lithops_bytes rest; /* outcomes of a record that were not published yet, in its buffer */
    uint64_t left;
    struct cancel cancels[MOST_CANCELS]; /* [L] */
    uint32_t cancel_count;               /* [L] */
    bool stops;                          /* [L] all of it */
    bool told;                           /* [L] of all that */
};

struct follower {
    struct lithops__table *table;
    struct lithops__home home;
    bool has_home, has_thread;
    pthread_t thread;
    atomic_bool is_closing;
    struct followed *jobs;     /* [L] for others; only the thread takes out */
    _Atomic uint64_t progress; /* outcomes that came, and jobs */
    struct lithops__watch watch;
    uint64_t lack_ns; /* since when there is no room; 0: there is */
};

/* ---- outcomes -------------------------------------------------------------------------------- */

/* [L] */
static bool is_there(const struct follower *follower, const struct followed *job)
{
    return atomic_load(&follower->table->area.ranges[job->range].generation) == job->generation;
}

/* There was no room for a result in all this time: the call gets that as its error. */
static void put_no_room(struct follower *follower, const struct followed *job, uint64_t call)
{
    struct lithops__table *table = follower->table;
    struct lithops__settlement settlement = {.error = LITHOPS_ERROR_INIT};
    lithops__fail(
        &settlement.error, LITHOPS_ENOSPACE,
        "no shared memory left for the result: release or clean results, or raise %s, and "
        "attach to the job again",
        table->area.control->memory_key);
    uint16_t state =
        atomic_load(&lithops__range_states(&table->area, &table->area.ranges[job->range])[call]);
    (void)lithops__table_settle(table, job->range, call, state, &settlement);
}

/* [L] Publish some of what was read. 1: there is more; 0; ENOSPACE: not now; EPARSE. */
static int put_some(struct follower *follower, struct followed *job, lithops_error *err)
{
    struct lithops__table *table = follower->table;
    uint64_t done = 0;
    int rc = 0;
    if (!is_there(follower, job)) { /* nobody holds its futures, and it was cleaned */
        job->left = job->rest.len = 0;
        return 0;
    }
    for (unsigned n = 0; n < BATCH && job->rest.len; n++) {
        struct lithops__outcome outcome;
        lithops_bytes rest = job->rest;
        rc = lithops__outcome_read(&rest, &outcome, err);
        if (rc == 0)
            rc = lithops__outcome_put(table, job->range, &outcome, true, job->is_same_boot, err);
        if (rc == LITHOPS_ENOSPACE && follower->lack_ns &&
            lithops__now_ns() - follower->lack_ns > patience_ns) {
            put_no_room(follower, job, outcome.call);
            rc = 1;
        }
        if (rc < 0)
            break;
        done += (unsigned)rc;
        job->rest = rest;
        rc = 0;
    }
    if (done) {
        job->left -= done;
        follower->lack_ns = 0;
        lithops__take_finish(&table->area, &table->area.ranges[job->range], done);
        lithops__bell_landed(table->area.control);
    }
    return rc < 0 ? rc : job->rest.len != 0;
}

/* Nothing more will come: the calls that are left end so. */
static void give_up(struct follower *follower, struct followed *job, const lithops_error *error)
{
    struct lithops__table *table = follower->table;
    struct lithops__settlement settlement = {.error = *error};
    pthread_mutex_lock(&table->lock);
    if (is_there(follower, job)) {
        struct lithops__range *range = &table->area.ranges[job->range];
        uint64_t count = atomic_load(&range->count);
        for (uint64_t i = 0; i < count; i++) {
            uint16_t state = atomic_load(&lithops__range_states(&table->area, range)[i]);
            if (!lithops__state_is_done(state))
                (void)lithops__table_settle(table, job->range, i, state, &settlement);
        }
    }
    job->left = 0;
    pthread_mutex_unlock(&table->lock);
    lithops__bell_landed(table->area.control);
}

/* Publish what its journal has. True: there is more, but no room for it. */
static bool deliver(struct follower *follower, struct followed *job)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = 0;
    while (job->left > 0 && !atomic_load(&follower->is_closing)) {
        uint32_t type;
        lithops_bytes bytes;
        if (job->rest.len == 0) {
            rc = lithops__journal_read(&job->journal, false, &type, &bytes, &err);
            if (rc != 1)
                break;
            if (type != LITHOPS__JOURNAL_OUTCOMES)
                continue;
            job->rest = bytes;
            atomic_fetch_add(&follower->progress, 1);
        }
        pthread_mutex_lock(&follower->table->lock);
        rc = put_some(follower, job, &err);
        pthread_mutex_unlock(&follower->table->lock);
        if (rc < 0)
            break;
    }
    if (rc == LITHOPS_ENOSPACE) {
        if (follower->lack_ns == 0)
            follower->lack_ns = lithops__now_ns();
        return true;
    }
    if (rc < 0)
        give_up(follower, job, &err);
    return false;
}

/* ---- the supervisor -------------------------------------------------------------------------- */

/* Somebody has released it, or its time was over. */
static bool is_removed(const struct followed *job)
{
    struct stat status;
    return fstat(job->journal.fd, &status) == 0 && status.st_nlink == 0;
}

static void send_cancels(struct follower *follower, struct followed *job)
{
    struct lithops__table *table = follower->table;
    struct lithops__home_message message = {
        .order = LITHOPS__HOME_CANCEL, .number = job->number, .kind = job->kind};
    struct cancel cancels[MOST_CANCELS];
    pthread_mutex_lock(&table->lock);
    uint32_t count = job->cancel_count;
    memcpy(cancels, job->cancels, sizeof cancels);
    if (job->stops)
        atomic_store(&job->journal.header->stop, 1);
    job->told = true;
    pthread_mutex_unlock(&table->lock);
    if (atomic_load(&job->journal.header->stop)) {
        message.order = LITHOPS__HOME_LOOK;
        (void)lithops__home_tell(&follower->home, &message);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        message.begin = cancels[i].begin;
        message.end = cancels[i].end;
        (void)lithops__home_tell(&follower->home, &message);
    }
}

static void see_to_supervisor(struct follower *follower)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops__watch_look(&follower->watch, &follower->home, atomic_load(&follower->progress),
                            &err) == 0)
        return;
    for (struct followed *job = follower->jobs; job; job = job->next)
        if (job->left)
            give_up(follower, job, &err);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Of jobs that are done nothing is kept but what handles say, and that as long as there are futures
 * to ask for one. */
static void drop_gone(struct follower *follower)
{
    struct followed *gone = NULL;
    pthread_mutex_lock(&follower->table->lock);
    for (struct followed **at = &follower->jobs; *at;) {
        struct followed *job = *at;
        if (job->left || is_there(follower, job)) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job->next = gone;
        gone = job;
    }
    pthread_mutex_unlock(&follower->table->lock);
    while (gone) {
        struct followed *next = gone->next;
        lithops__journal_close(&gone->journal);
        free(gone);
        gone = next;
    }
}

/* There is something to tell of it: a supervisor that has just begun has not heard it. */
static bool has_cancels(struct follower *follower, const struct followed *job, bool again)
{
    pthread_mutex_lock(&follower->table->lock);
    bool has = (job->stops || job->cancel_count) && (again || !job->told);
    pthread_mutex_unlock(&follower->table->lock);
    return has;
}

/* True: it waits for more. */
static bool look_at(struct follower *follower, struct followed *job, bool is_time, bool *lacks)
{
    if (job->left)
        *lacks |= deliver(follower, job);
    if (job->left && is_removed(job)) {
        lithops_error gone = LITHOPS_ERROR_INIT;
        lithops__fail(&gone, LITHOPS_ENOTFOUND, "the job was released before its calls were done");
        give_up(follower, job, &gone);
    }
    if (job->left == 0)
        lithops__journal_close(&job->journal);
    else if (has_cancels(follower, job, is_time))
        send_cancels(follower, job);
    return job->left != 0;
}

/* [L] is taken: what the table wants done some times a second. */
static int time_to_wait(struct follower *follower, bool lacks, bool waits)
{
    pthread_mutex_lock(&follower->table->lock);
    bool is_due = lithops__table_tend(follower->table) != UINT64_MAX;
    pthread_mutex_unlock(&follower->table->lock);
    return lacks ? ROOM_MS : waits || is_due ? LOOK_MS : IDLE_MS;
}

static void *follow(void *user)
{
    struct follower *follower = user;
    uint64_t look_ns = lithops__now_ns() + (uint64_t)LOOK_MS * 1000000;
    while (!atomic_load(&follower->is_closing)) {
        uint32_t seen = atomic_load(&follower->home.page->bell);
        bool lacks = false, waits = false, is_time = lithops__now_ns() >= look_ns;
        pthread_mutex_lock(&follower->table->lock);
        struct followed *job = follower->jobs; /* new ones come in front */
        pthread_mutex_unlock(&follower->table->lock);
        for (; job; job = job->next)
            waits |= look_at(follower, job, is_time, &lacks);
        drop_gone(follower);
        if (waits && is_time)
            see_to_supervisor(follower);
        if (is_time)
            look_ns = lithops__now_ns() + (uint64_t)LOOK_MS * 1000000;
        int wait_ms = time_to_wait(follower, lacks, waits);
        if (!atomic_load(&follower->is_closing))
            lithops__home_wait(&follower->home, seen, wait_ms);
    }
    return NULL;
}

/* ---- the slots of the backend ---------------------------------------------------------------- */

size_t lithops__follow_size(void)
{
    return sizeof(struct follower);
}

static void follow_wake(void *state)
{
    const struct follower *follower = state;
    if (follower->has_home)
        lithops__home_ring(&follower->home);
}

static int follow_open(const struct lithops__compute_driver *driver, void *state,
                       struct lithops__table *table, const struct lithops__config *config,
                       const char *const *worker_command, lithops_error *err)
{
    (void)driver;
    struct follower *follower = state;
    (void)config;
    (void)worker_command;
    (void)err;
    follower->table = table;
    follower->home = (struct lithops__home)LITHOPS__HOME_INIT;
    table->area.control->is_elsewhere = LITHOPS__FOLLOWS;
    table->wake = follow_wake;
    table->wake_user = follower;
    return 0;
}

static void follow_close(void *state)
{
    struct follower *follower = state;
    lithops_error closed = LITHOPS_ERROR_INIT;
    lithops__fail(&closed, LITHOPS_ECLOSED,
                  "the executor was closed; the call goes on: attach to its job");
    atomic_store(&follower->is_closing, true);
    if (follower->has_thread) {
        lithops__home_ring(&follower->home);
        pthread_join(follower->thread, NULL);
    }
    while (follower->jobs) {
        struct followed *job = follower->jobs;
        if (job->left)
            give_up(follower, job, &closed);
        pthread_mutex_lock(&follower->table->lock);
        follower->jobs = job->next;
        pthread_mutex_unlock(&follower->table->lock);
        lithops__journal_close(&job->journal);
        free(job);
    }
    pthread_mutex_lock(&follower->table->lock);
    follower->table->wake = NULL; /* the table lives as long as its futures */
    pthread_mutex_unlock(&follower->table->lock);
    if (follower->has_home) {
        (void)lithops__home_remove(&follower->home); /* everything was released */
        lithops__home_close(&follower->home);
    }
}

static void follow_offered(void *state, uint32_t range, uint64_t calls)
{
    (void)state;
    (void)range;
    (void)calls;
}

static struct followed *find(const struct follower *follower, uint32_t range)
{
    for (struct followed *job = follower->jobs; job; job = job->next)
        if (job->range == range && is_there(follower, job))
            return job;
    return NULL;
}

static void follow_cancel(void *state, uint32_t range, uint64_t begin, uint64_t end)
{
    struct follower *follower = state;
    struct followed *job = find(follower, range);
    if (!job)
        return;
    if ((begin == 0 && end >= atomic_load(&follower->table->area.ranges[range].count)) ||
        job->cancel_count == MOST_CANCELS)
        job->stops = true;
    else
        job->cancels[job->cancel_count++] = (struct cancel){begin, end};
    job->told = false;
    lithops__home_ring(&follower->home);
}

const struct lithops__compute_ops lithops__follow_ops = {
    .open = follow_open,
    .close = follow_close,
    .offered = follow_offered,
    .cancel = follow_cancel,
};

/* ---- jobs ------------------------------------------------------------------------------------ */

struct lithops__home *lithops__follow_home(void *state)
{
    struct follower *follower = state;
    return follower->has_home ? &follower->home : NULL;
}

int lithops__follow_start(void *state, struct lithops__home *home, lithops_error *err)
{
    struct follower *follower = state;
    follower->home = *home;
    int failed = lithops__thread_start(&follower->thread, follow, follower);
    if (failed) {
        (void)lithops__home_remove(&follower->home);
        lithops__home_close(&follower->home);
        return lithops__fail_errno(err, failed, "cannot start a thread");
    }
    pthread_mutex_lock(&follower->table->lock);
    follower->has_home = follower->has_thread = true;
    pthread_mutex_unlock(&follower->table->lock);
    return 0;
}

int lithops__follow_job(void *state, uint32_t range, struct lithops__journal *journal,
                        lithops_error *err)
{
    struct follower *follower = state;
    struct followed *job = calloc(1, sizeof *job);
    if (!job) {
        lithops__journal_close(journal);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    const struct lithops__journal_header *header = journal->header;
    job->range = range;
    job->generation = atomic_load(&follower->table->area.ranges[range].generation);
    job->kind = header->kind;
    job->number = header->number;
    job->token = header->token;
    job->calls = header->calls;
    job->is_same_boot = header->boot == lithops__boot();
    job->left = header->calls;
    job->journal = *journal;
    job->journal.at = LITHOPS__JOURNAL_HEADER;
    job->next = follower->jobs;
    follower->jobs = job;
    atomic_fetch_add(&follower->progress, 1);
    lithops__home_ring(&follower->home);
    return 0;
}

bool lithops__follow_tell(const void *state)
{
    static const struct lithops__home_message look = {.order = LITHOPS__HOME_LOOK};
    const struct follower *follower = state;
    return lithops__home_tell(&follower->home, &look);
}

bool lithops__follow_name(void *state, uint32_t range, struct lithops__handle_job *ret)
{
    const struct followed *job = find(state, range);
    if (!job)
        return false;
    lithops__home_job_name(job->kind, job->number, ret->name);
    ret->token = job->token;
    ret->calls = job->calls;
    return true;
}
