/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that a batch service starts.
 *
 * A worker is a part of a job: `lithops worker --batch` in a container, which meets its client in
 * the storage. Those that are wanted at about the same time are one job, an array, so that a
 * thousand of them are some requests: the first thread that wants one waits a moment for others,
 * then submits for all (`leader`). Each thread then waits until its part runs.
 *
 * One thread watches: it asks for many parts at a time what has become of them, for those that wait
 * at each look and for those that run in turn, and ends those that were abandoned, or did not start
 * in time. A part whose link is over is watched on for a while: a worker ends when it is told to,
 * and one that does not is terminated, as is what is left at the end, with what a submission may
 * have left whose answer was lost. What even so stays is ended by the service after `lifetime`.
 *
 * `lock` guards all of it. A part belongs to its worker's slot, or is leaving; the watcher frees
 * it. It looks at the list only under the lock, and asks without. */
#include "compute/backends/batch/batch.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "compute/client.h"
#include "net/batch_job.h"
#include "net/credentials.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GATHER_MS = 30, /* that the first waits for others */
    SUBMIT_S = 60,
    ASK_S = 20,
    LOOK_S = 10,            /* workers that run wait for less than 30 s until they are greeted */
    ENDS_AT_A_TIME = 10,    /* between two looks */
    REQUESTS_AT_A_TIME = 2, /* of a look, for parts that run */
    LEAVE_S = 20,           /* in which a worker ends that was told to */
    LAST_S = 8,             /* for all that is terminated at the end */
    TELL_S = 30,            /* a part that waits for so long is spoken of */
    MARGIN_S = 5,           /* before the service's end */
};
static const uint64_t second_ns = 1000000000, ms_ns = 1000000;

/* A job, as long as parts of it may be there. */
struct job {
    struct job *next;
    char id[LITHOPS__BATCH_ID];
    uint32_t left;    /* parts that are not known to have ended */
    uint32_t leaving; /* those of them that have to leave, when it was counted */
    bool is_gone;     /* nothing of it is kept by the service */
    uint64_t keep_ns; /* it is not removed before, as that has failed */
};

struct part {
    struct part *next; /* of all */
    struct job *job;
    char id[LITHOPS__BATCH_ID];
    struct lithops__batch_seen seen;
    uint64_t ask_ns;    /* when it is asked for again */
    uint64_t waited_ns; /* it did not run yet then */
    uint64_t leaves_ns; /* when it is terminated, if it is still there; UINT64_MAX: it stays */
    bool has_worker;    /* the slot of one, or a thread that starts it, points here */
    bool is_over;       /* it has ended, or was terminated: without a worker, it is freed */
    bool is_told;       /* that it cannot be terminated */
};

/* A worker that waits to be submitted. On the stack of its thread. */
struct wish {
    struct wish *next;
    const char *key, *config;
    bool is_taken, is_done;
    struct part *part; /* once it is done, unless it failed */
    lithops_error error;
};

struct batch {
    const char *name; /* of the backend */
    const struct lithops__batch_service *service;
    void *own; /* the service's */
    uint32_t count, start_timeout_s, lifetime_s;
    char client[LITHOPS__CLIENT_MARK];
    struct part **workers; /* by number; NULL: it has none */
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct wish *wishes;
    bool has_leader;
    struct job *jobs;
    struct part *parts;
    char trouble[LITHOPS__BATCH_WHY]; /* why the last look failed; "" */
    char
        doubtful[LITHOPS__BATCH_NAME]; /* name of our jobs, if there may be more than we know; "" */
    bool is_started;
    atomic_bool stop; /* [lock] to set it */
    pthread_t thread;
};

static uint64_t from_now_ns(uint64_t ms)
{
    return lithops__now_ns() + ms * ms_ns;
}

static bool is_readable(void *user)
{
    struct pollfd look = {.fd = *(const int *)user, .events = POLLIN};
    return look.fd >= 0 && poll(&look, 1, 0) > 0;
}

/* [lock] Until something is new, or the time has come. */
static void await_news(struct batch *batch, uint64_t until_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / second_ns),
                                   .tv_nsec = (long)(until_ns % second_ns)};
    pthread_cond_timedwait(&batch->news, &batch->lock, &until);
}

/* ---- open ------------------------------------------------------------------------------------ */

static void free_all(struct batch *batch)
{
    for (struct part *part = batch->parts, *next; part; part = next) {
        next = part->next;
        free(part);
    }
    for (struct job *job = batch->jobs, *next; job; job = next) {
        next = job->next;
        free(job);
    }
    if (batch->own)
        batch->service->close(batch->own);
    free(batch->own);
    free(batch->workers);
    pthread_cond_destroy(&batch->news);
    pthread_mutex_destroy(&batch->lock);
}

static void batch_close(void *state)
{
    struct batch *batch = state;
    pthread_mutex_lock(&batch->lock);
    batch->stop = true;
    pthread_cond_broadcast(&batch->news);
    pthread_mutex_unlock(&batch->lock);
    if (batch->is_started)
        pthread_join(batch->thread, NULL);
    free_all(batch);
}

static uint32_t number_of(const lithops_value *settings, const char *key)
{
    return (uint32_t)lithops_value_get_double(lithops_value_get(settings, key));
}

static int batch_open(const lithops_link_driver *driver, void *state, const lithops_value *settings,
                      const char *program, lithops_workers *ret_workers, lithops_error *err)
{
    struct batch *batch = state;
    pthread_condattr_t monotonic;
    (void)program; /* the image has it, by the name that it is called */
    batch->name = driver->name;
    batch->service = ((const struct lithops__batch_links *)driver)->service;
    batch->count = number_of(settings, "max_workers");
    batch->start_timeout_s = number_of(settings, "start_timeout");
    batch->lifetime_s = number_of(settings, "lifetime");
    lithops__client_mark(batch->client);
    pthread_mutex_init(&batch->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&batch->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    batch->own = calloc(1, batch->service->state_size);
    batch->workers = calloc(batch->count, sizeof(struct part *));
    int rc = batch->own && batch->workers ? batch->service->open(batch->own, settings, err)
                                          : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc != 0) {
        free_all(batch);
        return rc;
    }
    const lithops_value *processes = lithops_value_get(settings, "worker_processes");
    *ret_workers = (lithops_workers){
        .workers = batch->count,
        .lost_timeout_ms = (uint32_t)(1000 * lithops_value_get_double(lithops_value_get(
                                                 settings, "worker_lost_timeout"))),
        .worker_processes = lithops_value_type(processes) == LITHOPS_INT
                                ? (uint32_t)lithops_value_get_int(processes)
                                : 0,
        .idle_timeout_ms = (uint32_t)(1000 * lithops_value_get_double(
                                                 lithops_value_get(settings, "idle_timeout"))),
        .through_storage = true,
        .keeps_secrets = !batch->service->takes_secrets,
        .ends_when_told = true,
    };
    return 0;
}

static void batch_name(void *state, uint32_t worker, char *buf, size_t size)
{
    const struct batch *batch = state;
    snprintf(buf, size, "%s-%u", batch->name, worker);
}

/* ---- the watcher ----------------------------------------------------------------------------- */

/* [lock] */
static void set_over(struct part *part)
{
    if (part->is_over)
        return;
    part->is_over = true;
    if (part->job->left > 0)
        part->job->left--;
}

static bool is_kept(const struct batch *batch, const struct job *job)
{
    return batch->service->keeps_ended && !job->is_gone;
}

static bool is_removable(const struct batch *batch, const struct job *job)
{
    return job->left == 0 && is_kept(batch, job);
}

/* [lock] */
static void free_over(struct batch *batch)
{
    for (struct part **at = &batch->parts, *part; (part = *at);) {
        if (!part->is_over || part->has_worker) {
            at = &part->next;
            continue;
        }
        *at = part->next;
        free(part);
    }
    for (struct job **at = &batch->jobs, *job; (job = *at);) {
        if (job->left > 0 || is_kept(batch, job)) {
            at = &job->next;
            continue;
        }
        bool is_used = false;
        for (const struct part *part = batch->parts; part && !is_used; part = part->next)
            is_used = part->job == job;
        if (is_used) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        free(job);
    }
}

static bool is_stopped(void *user)
{
    return ((const struct batch *)user)->stop;
}

/* [lock], which is let go meanwhile. */
static int terminate(struct batch *batch, const char *id, const char *reason,
                     const struct lithops__bounds *bounds, bool is_told)
{
    char own[LITHOPS__BATCH_ID];
    lithops_error err = LITHOPS_ERROR_INIT;
    snprintf(own, sizeof own, "%s", id);
    pthread_mutex_unlock(&batch->lock);
    int rc = batch->service->terminate(batch->own, own, reason, bounds, &err);
    if (rc != 0 && rc != LITHOPS_ECANCELED)
        lithops__log(is_told ? LITHOPS_LOG_DEBUG : LITHOPS_LOG_WARNING, batch->name,
                     "%s cannot be terminated: %s", own, err.message);
    pthread_mutex_lock(&batch->lock);
    return rc;
}

static bool has_to_leave(const struct part *part, uint64_t now)
{
    return !part->is_over && now >= part->leaves_ns;
}

/* [lock] One that can be ended, with what is to leave of its job counted; NULL: there is none.
 * Where jobs end as a whole, all that is left of its job has to leave. */
static struct part *find_leaver(struct batch *batch, uint64_t now)
{
    for (struct job *job = batch->jobs; job; job = job->next)
        job->leaving = 0;
    for (struct part *part = batch->parts; part; part = part->next)
        part->job->leaving += has_to_leave(part, now);
    for (struct part *part = batch->parts; part; part = part->next)
        if (has_to_leave(part, now) &&
            (!batch->service->ends_whole || part->job->leaving == part->job->left))
            return part;
    return NULL;
}

/* [lock], which is let go meanwhile. A part, or its job where all of it leaves; only this thread
 * frees them. What cannot be ended is tried again later. */
static void end_leaver(struct batch *batch, struct part *leaver, uint64_t now)
{
    const struct lithops__bounds bounds = {from_now_ns(ASK_S * 1000), is_stopped, batch};
    struct job *job = leaver->job;
    bool is_whole = batch->service->ends_whole || (job->leaving > 1 && job->leaving == job->left);
    int rc = terminate(batch, is_whole ? job->id : leaver->id, "Lithops needs it no more", &bounds,
                       leaver->is_told);
    for (struct part *part = batch->parts; part; part = part->next) {
        if (part != leaver && !(is_whole && part->job == job && has_to_leave(part, now)))
            continue;
        if (rc == 0)
            set_over(part);
        part->is_told = rc != 0 && rc != LITHOPS_ECANCELED;
        part->leaves_ns = from_now_ns(LEAVE_S * 1000);
    }
    job->is_gone = job->is_gone || (is_whole && rc == 0);
}

/* [lock], which is let go meanwhile. Some of them: then there is another look. */
static void end_leavers(struct batch *batch)
{
    for (int i = 0; i < ENDS_AT_A_TIME && !batch->stop; i++) {
        uint64_t now = lithops__now_ns();
        struct part *part = find_leaver(batch, now);
        if (!part)
            break;
        end_leaver(batch, part, now);
    }
}

/* [lock], which is let go meanwhile; only this thread frees jobs. What has ended is removed where
 * it is kept: some of it. What cannot be is tried again later. */
static void remove_ended(struct batch *batch)
{
    const struct lithops__bounds bounds = {from_now_ns(ASK_S * 1000), is_stopped, batch};
    int left = ENDS_AT_A_TIME;
    for (struct job *job = batch->jobs; job && left > 0 && !batch->stop; job = job->next) {
        const uint64_t now = lithops__now_ns();
        if (now >= bounds.deadline_ns)
            break;
        if (!is_removable(batch, job) || now < job->keep_ns)
            continue;
        left--;
        job->is_gone = terminate(batch, job->id, "it has ended", &bounds, true) == 0;
        job->keep_ns = from_now_ns(LEAVE_S * 1000);
    }
}

/* [lock] When there is something to do, if nothing is new: not before `next_ns`. */
static uint64_t next_round_ns(const struct batch *batch, uint64_t next_ns)
{
    uint64_t soonest_ns = batch->parts ? 0 : from_now_ns(3600 * 1000);
    for (const struct job *job = batch->jobs; job; job = job->next)
        if (is_removable(batch, job) && job->keep_ns < soonest_ns)
            soonest_ns = job->keep_ns;
    return soonest_ns > next_ns ? soonest_ns : next_ns;
}

/* [lock] What is to be asked for, first that which waits. They are copied: parts may go meanwhile.
 * @param running_ms  until one that runs is asked for again
 * @return how many */
static size_t choose(const struct batch *batch, uint64_t look_ns, uint64_t running_ms, size_t most,
                     char (*ids)[LITHOPS__BATCH_ID], const char **texts)
{
    size_t count = 0;
    for (int is_running = 0; is_running < 2; is_running++)
        for (struct part *part = batch->parts; part && count < most; part = part->next) {
            if (part->is_over || part->ask_ns > look_ns ||
                (part->seen.phase == LITHOPS__BATCH_RUNS) != is_running)
                continue;
            part->ask_ns = look_ns + 1 + (is_running ? running_ms * ms_ns : 0);
            snprintf(ids[count], LITHOPS__BATCH_ID, "%s", part->id);
            texts[count] = ids[count];
            count++;
        }
    return count;
}

/* [lock] */
static void note(struct batch *batch, const char *id, const struct lithops__batch_seen *seen,
                 uint64_t asked_ns)
{
    struct part *part = batch->parts;
    while (part && strcmp(part->id, id) != 0)
        part = part->next;
    if (!part || part->is_over || !seen->is_known || (seen->is_gone && !part->seen.is_known))
        return;
    if (part->seen.phase != seen->phase)
        lithops__log(LITHOPS_LOG_DEBUG, batch->name, "%s %s%s%s", id,
                     seen->phase == LITHOPS__BATCH_WAITS  ? "waits"
                     : seen->phase == LITHOPS__BATCH_RUNS ? "runs"
                                                          : "has ended",
                     seen->why[0] ? ": " : "", seen->why);
    part->seen = *seen;
    if (seen->phase == LITHOPS__BATCH_WAITS)
        part->waited_ns = asked_ns;
    if (seen->phase == LITHOPS__BATCH_ENDED)
        set_over(part);
}

/* [lock] So that a look takes a few requests, however many run. */
static uint64_t running_ms(const struct batch *batch)
{
    const size_t at_a_time = (size_t)REQUESTS_AT_A_TIME * batch->service->most_described;
    size_t count = 0;
    for (const struct part *part = batch->parts; part; part = part->next)
        count += !part->is_over && part->seen.phase == LITHOPS__BATCH_RUNS;
    return batch->service->look_ms * (uint64_t)(count / at_a_time);
}

/* [lock], which is let go meanwhile. */
static void look(struct batch *batch)
{
    const size_t most = batch->service->most_described;
    char(*ids)[LITHOPS__BATCH_ID] = calloc(most, sizeof *ids);
    const char **texts = calloc(most, sizeof *texts);
    struct lithops__batch_seen *seen = calloc(most, sizeof *seen);
    const uint64_t look_ns = lithops__now_ns(), later_ms = running_ms(batch);
    size_t count;
    while (ids && texts && seen && !batch->stop &&
           (count = choose(batch, look_ns, later_ms, most, ids, texts)) > 0) {
        const uint64_t asked_ns = lithops__now_ns();
        const struct lithops__bounds bounds = {from_now_ns(LOOK_S * 1000), is_stopped, batch};
        lithops_error err = LITHOPS_ERROR_INIT;
        memset(seen, 0, count * sizeof *seen);
        pthread_mutex_unlock(&batch->lock);
        int rc = batch->service->describe(batch->own, texts, count, seen, &bounds, &err);
        pthread_mutex_lock(&batch->lock);
        snprintf(batch->trouble, sizeof batch->trouble, "%.*s", LITHOPS__BATCH_WHY - 1,
                 rc ? err.message : "");
        if (rc != 0) {
            lithops__log(LITHOPS_LOG_DEBUG, batch->name, "%s", err.message);
            break;
        }
        for (size_t i = 0; i < count; i++)
            note(batch, ids[i], &seen[i], asked_ns);
        pthread_cond_broadcast(&batch->news);
    }
    free(ids);
    free(texts);
    free(seen);
}

struct last {
    struct batch *batch;
    const struct lithops__bounds *bounds;
};

/* A job of ours. */
static int end_unknown(const char *id, const char *name, void *user)
{
    const struct last *last = user;
    struct batch *batch = last->batch;
    bool is_known = false;
    pthread_mutex_lock(&batch->lock);
    for (const struct job *job = batch->jobs; job && !is_known; job = job->next)
        is_known = strcmp(job->id, id) == 0;
    if (!is_known && strcmp(name, batch->doubtful) == 0)
        (void)terminate(batch, id, "its Lithops client has lost it", last->bounds, false);
    pthread_mutex_unlock(&batch->lock);
    return 0;
}

/* [lock] All that is left is of no use now: whole jobs, of which some parts may have ended; and
 * what nobody knows of. */
static void end_all(struct batch *batch)
{
    const struct lithops__bounds bounds = {from_now_ns(LAST_S * 1000), NULL, NULL};
    struct last last = {batch, &bounds};
    lithops_error err = LITHOPS_ERROR_INIT;
    for (struct job *job = batch->jobs; job; job = job->next)
        if (job->left > 0 || is_kept(batch, job))
            (void)terminate(batch, job->id, "its Lithops client has ended", &bounds, false);
    if (!batch->doubtful[0])
        return;
    pthread_mutex_unlock(&batch->lock);
    if (batch->service->list(batch->own, batch->doubtful, end_unknown, &last, &bounds, &err) != 0)
        lithops__log(LITHOPS_LOG_WARNING, batch->name,
                     "jobs whose submission was not answered may be left; 'lithops clean' finds "
                     "them: %s",
                     err.message);
    pthread_mutex_lock(&batch->lock);
}

static void *watch(void *user)
{
    struct batch *batch = user;
    pthread_mutex_lock(&batch->lock);
    while (!batch->stop) {
        uint64_t next_ns = from_now_ns(batch->service->look_ms);
        end_leavers(batch);
        look(batch);
        remove_ended(batch);
        free_over(batch);
        pthread_cond_broadcast(&batch->news);
        const uint64_t soonest_ns = from_now_ns(batch->service->look_ms / 2);
        next_ns = next_ns > soonest_ns ? next_ns : soonest_ns;
        uint64_t until_ns;
        while (!batch->stop && lithops__now_ns() < (until_ns = next_round_ns(batch, next_ns)))
            await_news(batch, until_ns);
    }
    end_all(batch);
    pthread_mutex_unlock(&batch->lock);
    return NULL;
}

/* ---- submitting ------------------------------------------------------------------------------ */

/* Where the last part of a key begins: what is before it is the same for all of an executor. */
static size_t prefix_length(const char *key)
{
    const char *slash = strrchr(key, '/');
    return slash ? (size_t)(slash - key) + 1 : 0;
}

/* The executor's id, which the key has in it: lithops.jobs/<executor>-<random>/<link>; and ours, by
 * which a later client knows whose it was. */
static void make_job_name(const struct batch *batch, const char *key,
                          char name[LITHOPS__BATCH_NAME])
{
    const char *start = strchr(key, '/');
    start = start ? start + 1 : key;
    int used = snprintf(name, LITHOPS__BATCH_NAME, "lithops-%s-%.*s", batch->client,
                        (int)strcspn(start, "/"), start);
    if (used >= LITHOPS__BATCH_NAME)
        used = LITHOPS__BATCH_NAME - 1;
    for (int i = 0; i < used; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", name[i]))
            name[i] = '_';
}

/* The configuration that travels. NULL: *err says why. */
static lithops_value *config_of(const struct batch *batch, const struct wish *wish,
                                lithops_error *err)
{
    lithops_value *config = NULL;
    if (batch->service->takes_secrets)
        return lithops_value_from_json(wish->config, strlen(wish->config), err);
    return lithops__linked_public_config(wish->config, &config, err) == 0 ? config : NULL;
}

/* What the parts of a job for these wishes are told: for lithops__secret_free(). */
static char *make_value(const struct batch *batch, const struct wish *wishes, uint32_t count,
                        lithops_error *err)
{
    size_t prefix = prefix_length(wishes->key), size = 1;
    const struct wish *wish = wishes;
    char *links = NULL, *text = NULL;
    for (uint32_t i = 0; i < count; i++, wish = wish->next)
        size += strlen(wish->key + prefix) + 1;
    lithops_value *config = config_of(batch, wishes, err);
    if (!config)
        return NULL;
    links = calloc(1, size);
    wish = wishes;
    for (uint32_t i = 0; links && i < count; i++, wish = wish->next) {
        strncat(links, i ? "," : "", size - strlen(links) - 1);
        strncat(links, wish->key + prefix, size - strlen(links) - 1);
    }
    lithops_value *map = links ? lithops_pack("{s:s%,s:s,s:o}", "prefix", wishes->key, prefix,
                                              "links", links, "config", config)
                               : (lithops_value_free(config), NULL);
    if (!map || lithops_value_to_json(map, &text, NULL) != 0)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(map);
    free(links);
    return text;
}

/* [lock] Those that go together: as many as the service takes. */
static uint32_t take_wishes(struct batch *batch, struct wish **ret_first)
{
    struct wish *first = batch->wishes, *last = first;
    const size_t prefix = prefix_length(first->key);
    size_t bytes = 2 * strlen(first->config); /* escapes make it longer */
    uint32_t count = 1;
    first->is_taken = true;
    for (struct wish *next = first->next; next; next = next->next) {
        bytes += strlen(next->key + prefix) + 1;
        if (count == batch->service->most_parts || bytes > batch->service->most_bytes ||
            strncmp(next->key, first->key, prefix) != 0)
            break;
        next->is_taken = true;
        last = next;
        count++;
    }
    batch->wishes = last->next;
    last->next = NULL;
    *ret_first = first;
    return count;
}

static struct part *new_part(struct batch *batch, struct job *job, uint32_t index, uint32_t count,
                             uint64_t submitted_ns)
{
    struct part *part = calloc(1, sizeof *part);
    if (part) {
        part->job = job;
        part->leaves_ns = UINT64_MAX;
        part->waited_ns = submitted_ns;
        part->has_worker = true;
        batch->service->part(job->id, index, count, part->id);
    }
    return part;
}

/* Submit a job for these, which nobody else touches. Its parts are theirs. */
static int submit(struct batch *batch, struct wish *first, uint32_t count, int *cancel_fd,
                  lithops_error *err)
{
    char name[LITHOPS__BATCH_NAME];
    struct job *job = calloc(1, sizeof *job);
    char *value = job ? make_value(batch, first, count, err)
                      : (lithops__fail(err, LITHOPS_ENOMEM, "out of memory"), NULL);
    const uint64_t submitted_ns = lithops__now_ns();
    bool is_doubtful = false;
    if (!value) {
        free(job);
        return err->code;
    }
    make_job_name(batch, first->key, name);
    const struct lithops__batch_order order = {
        .name = name,
        .parts = count,
        .variable = LITHOPS__BATCH_VARIABLE,
        .value = value,
        .lifetime_s = batch->lifetime_s,
        .bounds = {from_now_ns(SUBMIT_S * 1000), is_readable, cancel_fd}};
    int rc = strlen(value) > 2 * batch->service->most_bytes
                 ? lithops__fail(err, LITHOPS_ECONFIG,
                                 "what a worker is told has %zu bytes, most of which are the "
                                 "configuration of the storage, and %s takes fewer",
                                 strlen(value), batch->name)
                 : batch->service->submit(batch->own, &order, job->id, &is_doubtful, err);
    lithops__secret_free(value);
    if (is_doubtful) {
        pthread_mutex_lock(&batch->lock);
        snprintf(batch->doubtful, sizeof batch->doubtful, "%s", name);
        pthread_mutex_unlock(&batch->lock);
    }
    if (rc != 0) {
        free(job);
        return rc;
    }
    lithops__log(LITHOPS_LOG_INFO, batch->name, "job %s: %u workers", job->id, count);
    pthread_mutex_lock(&batch->lock);
    job->left = count;
    job->next = batch->jobs;
    batch->jobs = job;
    uint32_t index = 0;
    for (struct wish *wish = first; wish; wish = wish->next, index++) {
        wish->part = new_part(batch, job, index, count, submitted_ns);
        if (!wish->part) {
            lithops__fail(&wish->error, LITHOPS_ENOMEM, "out of memory");
            continue; /* what is left of the job is terminated at the end */
        }
        wish->part->next = batch->parts;
        batch->parts = wish->part;
    }
    pthread_mutex_unlock(&batch->lock);
    return 0;
}

/* [lock], which is let go meanwhile. Wait for others, and submit for all. */
static void lead(struct batch *batch, const struct wish *own, int *cancel_fd)
{
    struct wish *first;
    lithops_error err = LITHOPS_ERROR_INIT;
    uint64_t until_ns = from_now_ns(GATHER_MS);
    batch->has_leader = true;
    while (lithops__now_ns() < until_ns)
        await_news(batch, until_ns);
    uint32_t count = take_wishes(batch, &first);
    pthread_mutex_unlock(&batch->lock);
    int rc = submit(batch, first, count, cancel_fd, &err);
    pthread_mutex_lock(&batch->lock);
    for (struct wish *wish = first, *next; wish; wish = next) {
        next = wish->next;                            /* who made it may go */
        if (rc == LITHOPS_ECANCELED && wish != own) { /* they were not */
            lithops__fail(&wish->error, LITHOPS_EBACKEND, "the job was not submitted");
            wish->error.retryable = true;
        } else if (rc != 0) {
            wish->error = err;
        }
        wish->is_done = true;
    }
    batch->has_leader = false;
    pthread_cond_broadcast(&batch->news);
}

/* [lock] Take it off the list. */
static void withdraw(struct batch *batch, const struct wish *wish)
{
    struct wish **at = &batch->wishes;
    while (*at != wish)
        at = &(*at)->next;
    *at = wish->next;
}

/* [lock], which is let go meanwhile. Until there is a part for it. */
static int get_part(struct batch *batch, struct wish *wish, int *cancel_fd)
{
    struct wish **end = &batch->wishes;
    while (*end)
        end = &(*end)->next;
    *end = wish;
    while (!wish->is_done) {
        if (!wish->is_taken && is_readable(cancel_fd)) {
            withdraw(batch, wish);
            return lithops__fail(&wish->error, LITHOPS_ECANCELED, "it was canceled");
        }
        if (!wish->is_taken && !batch->has_leader)
            lead(batch, wish, cancel_fd);
        else
            await_news(batch, from_now_ns(100));
    }
    return wish->part ? 0 : wish->error.code ? wish->error.code : LITHOPS_EBACKEND;
}

/* ---- waiting until it runs ------------------------------------------------------------------- */

/* [lock] */
static int await_start(struct batch *batch, uint32_t worker, struct part *part, int *cancel_fd,
                       lithops_error *err)
{
    uint64_t start_ns = lithops__now_ns(), end_ns = start_ns + batch->start_timeout_s * second_ns;
    bool is_told = false;
    for (;;) {
        const struct lithops__batch_seen *seen = &part->seen;
        const char *why = seen->why[0]        ? seen->why
                          : batch->trouble[0] ? batch->trouble
                                              : "no reason is given";
        if (seen->phase == LITHOPS__BATCH_RUNS ||
            (seen->phase == LITHOPS__BATCH_ENDED && seen->has_run && !seen->is_hopeless))
            return 0;
        if (seen->phase == LITHOPS__BATCH_ENDED) {
            lithops__fail(err, LITHOPS_EBACKEND, "%s-%u: job %s has not run: %s", batch->name,
                          worker, part->id, why);
            err->retryable = !seen->is_hopeless;
            return err->code;
        }
        uint64_t now = lithops__now_ns();
        if (now >= end_ns)
            return lithops__fail(err, LITHOPS_EBACKEND,
                                 "%s-%u: job %s does not run after %u s, which %s.start_timeout "
                                 "allows: %s",
                                 batch->name, worker, part->id, batch->start_timeout_s, batch->name,
                                 why);
        if (is_readable(cancel_fd))
            return lithops__fail(err, LITHOPS_ECANCELED, "it was canceled");
        if (!is_told && now - start_ns > TELL_S * second_ns) {
            is_told = true;
            lithops__log(LITHOPS_LOG_WARNING, batch->name, "job %s has waited for %d s: %s",
                         part->id, TELL_S, why);
        }
        await_news(batch, from_now_ns(100));
    }
}

static int start_watching(struct batch *batch, lithops_error *err)
{
    int failed = batch->is_started ? 0 : lithops__thread_start(&batch->thread, watch, batch);
    if (failed)
        return lithops__fail_errno(err, failed, "cannot start a thread");
    batch->is_started = true;
    return 0;
}

static int batch_invoke(void *state, uint32_t worker, const char *key, const char *config,
                        int cancel_fd, lithops_link *ret_link, lithops_error *err)
{
    struct batch *batch = state;
    struct wish wish = {.key = key, .config = config, .error = LITHOPS_ERROR_INIT};
    pthread_mutex_lock(&batch->lock);
    int rc = start_watching(batch, err);
    if (rc == 0 && (rc = get_part(batch, &wish, &cancel_fd)) != 0)
        *err = wish.error;
    if (rc == 0) {
        batch->workers[worker] = wish.part;
        pthread_cond_broadcast(&batch->news);
        rc = await_start(batch, worker, wish.part, &cancel_fd, err);
    }
    if (rc == 0) /* it may run since it was last seen to wait */
        *ret_link = (lithops_link){
            .read_fd = -1,
            .write_fd = -1,
            .id = worker,
            .time_left_ms = ((int64_t)batch->lifetime_s - MARGIN_S) * 1000 -
                            (int64_t)((lithops__now_ns() - wish.part->waited_ns) / ms_ns),
        };
    else if (wish.part) {
        wish.part->leaves_ns = lithops__now_ns();
        wish.part->has_worker = false;
        batch->workers[worker] = NULL;
        pthread_cond_broadcast(&batch->news);
    }
    pthread_mutex_unlock(&batch->lock);
    return rc;
}

/* ---- its end --------------------------------------------------------------------------------- */

static bool batch_has_ended(void *state, const lithops_link *link)
{
    struct batch *batch = state;
    pthread_mutex_lock(&batch->lock);
    const struct part *part = batch->workers[link->id];
    bool has_ended = part && part->seen.phase == LITHOPS__BATCH_ENDED;
    pthread_mutex_unlock(&batch->lock);
    return has_ended;
}

static void batch_abandon(void *state, const lithops_link *link)
{
    struct batch *batch = state;
    pthread_mutex_lock(&batch->lock);
    struct part *part = batch->workers[link->id];
    if (part)
        part->leaves_ns = lithops__now_ns(); /* disconnect follows */
    pthread_mutex_unlock(&batch->lock);
}

static void batch_disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    struct batch *batch = state;
    ret_how[0] = '\0';
    pthread_mutex_lock(&batch->lock);
    struct part *part = batch->workers[link->id];
    batch->workers[link->id] = NULL;
    if (part) {
        part->has_worker = false;
        if (part->seen.phase == LITHOPS__BATCH_ENDED)
            snprintf(ret_how, size, "job %s has ended%s%s", part->id, part->seen.why[0] ? ": " : "",
                     part->seen.why);
        if (part->leaves_ns == UINT64_MAX)
            part->leaves_ns = from_now_ns(LEAVE_S * 1000);
        pthread_cond_broadcast(&batch->news);
    }
    pthread_mutex_unlock(&batch->lock);
}

const lithops_link_ops lithops__batch_link_ops = {
    .open = batch_open,
    .close = batch_close,
    .name = batch_name,
    .invoke = batch_invoke,
    .has_ended = batch_has_ended,
    .abandon = batch_abandon,
    .disconnect = batch_disconnect,
};

const size_t lithops__batch_state_size = sizeof(struct batch);

/* ---- the compute backends ---------------------------------------------------------------------
 */

/* The service of a configuration, without links. For close_service(). */
static int open_service(const struct lithops__compute_driver *driver,
                        const struct lithops__config *config, void **ret_own, lithops_error *err)
{
    const struct lithops__batch_service *service =
        ((const struct lithops__batch_links *)driver->links)->service;
    lithops_value *settings = lithops__linked_settings(config, driver->name);
    *ret_own = settings ? calloc(1, service->state_size) : NULL;
    int rc = *ret_own ? service->open(*ret_own, settings, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(settings);
    return rc;
}

static void close_service(const struct lithops__compute_driver *driver, void *own)
{
    if (own)
        ((const struct lithops__batch_links *)driver->links)->service->close(own);
    free(own);
}

/* A worker costs money, so none is started. */
static int probe(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 bool start, lithops__probe_say say, void *user, lithops_error *err)
{
    const struct lithops__batch_service *service =
        ((const struct lithops__batch_links *)driver->links)->service;
    const struct lithops__bounds bounds = {from_now_ns(ASK_S * 1000), NULL, NULL};
    char text[600];
    void *own;
    (void)start;
    int rc = open_service(driver, config, &own, err);
    if (rc == 0 && (rc = service->probe(own, text, sizeof text, &bounds, err)) == 0)
        say(user, driver->name, true, text);
    else if (rc != LITHOPS_ECONFIG)
        say(user, driver->name, false, err->message);
    close_service(driver, own);
    return rc;
}

struct cleaning {
    const struct lithops__batch_service *service;
    void *own;
    size_t skip; /* of a name, what is before the executor's id */
    bool (*is_alive)(const char *executor_id);
    bool dry_run;
    struct lithops__bounds bounds;
    uint64_t *removed;
    lithops_error *err;
};

/* The name is lithops-<client>-<executor>-<random>. */
static int clean_job(const char *id, const char *name, void *user)
{
    struct cleaning *cleaning = user;
    char executor[LITHOPS__BATCH_NAME];
    snprintf(executor, sizeof executor, "%s", name + cleaning->skip);
    char *random = strrchr(executor, '-');
    if (random)
        *random = '\0';
    if (!random || cleaning->is_alive(executor))
        return 0;
    int rc = cleaning->dry_run
                 ? 0
                 : cleaning->service->terminate(cleaning->own, id, "its Lithops client has ended",
                                                &cleaning->bounds, cleaning->err);
    *cleaning->removed += rc == 0;
    return rc;
}

static int clean(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 bool (*is_alive)(const char *executor_id), bool dry_run, uint64_t *ret_removed,
                 lithops_error *err)
{
    char client[LITHOPS__CLIENT_MARK], prefix[LITHOPS__BATCH_NAME];
    void *own;
    lithops__client_mark(client);
    int skip = snprintf(prefix, sizeof prefix, "lithops-%s-", client);
    int rc = open_service(driver, config, &own, err);
    struct cleaning cleaning = {.service =
                                    ((const struct lithops__batch_links *)driver->links)->service,
                                .own = own,
                                .skip = (size_t)skip,
                                .is_alive = is_alive,
                                .dry_run = dry_run,
                                .bounds = {from_now_ns(SUBMIT_S * 1000), NULL, NULL},
                                .removed = ret_removed,
                                .err = err};
    if (rc == 0)
        rc = cleaning.service->list(own, prefix, clean_job, &cleaning, &cleaning.bounds, err);
    close_service(driver, own);
    return rc;
}

static const struct lithops__compute_ops batch_ops = {
    LITHOPS__LINKED_SLOTS,
    .probe = probe,
    .clean = clean,
};

#define SERVICE(name_, title_, service_, runtimes_, check_)                                        \
    static const struct lithops__batch_links links_##name_ = {                                     \
        .driver = {.abi = LITHOPS_COMPUTE_ABI,                                                     \
                   .name = #name_,                                                                 \
                   .is_elsewhere = true,                                                           \
                   .state_size = sizeof(struct batch),                                             \
                   .ops = &lithops__batch_link_ops},                                               \
        .service = &(service_),                                                                    \
    };                                                                                             \
    const struct lithops__compute_driver lithops__compute_##name_ = {                              \
        .name = #name_,                                                                            \
        .mode = "serverless",                                                                      \
        .summary = "Jobs of " title_ ", reached through the storage.",                             \
        .is_elsewhere = true,                                                                      \
        .untested = true,                                                                          \
        .state_size = sizeof(struct lithops__linked),                                              \
        .ops = &batch_ops,                                                                         \
        .runtimes = &(runtimes_),                                                                  \
        .links = &links_##name_.driver,                                                            \
        .workers_key = "max_workers",                                                              \
        .check = (check_),                                                                         \
    };

SERVICE(aws_batch, "AWS Batch", lithops__batch_aws, lithops__batch_aws_runtimes,
        lithops__linked_check_role)
SERVICE(code_engine, "IBM Code Engine", lithops__batch_code_engine,
        lithops__batch_code_engine_runtimes, lithops__code_engine_check)
