/* SPDX-License-Identifier: Apache-2.0 */
/* Terminates machines: those that this executor needs no more, in a thread, so that nobody waits
 * for the cloud; and those of clients that are dead (`lithops clean`). What is not terminated here
 * turns itself off. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "compute/backends/machines/machines.h"

#include <stdlib.h>
#include <string.h>

enum { ONE_S = 30, SOON_S = 2, LAST_S = 10, ALL_S = 60, MOST = 100 };
static const uint64_t second_ns = 1000000000;

struct name {
    struct name *next;
    char text[LITHOPS__MACHINE_ID];
};

struct lithops__machine_sweeper {
    const struct lithops__machines_options *options;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct name *names;
    bool is_started, stop;
    uint64_t soon_ns; /* when a request from before the stop is given up, and made again */
    pthread_t thread;
};

/* All of them, up to MOST. @return how many; 0: it is over */
static size_t take_names(struct lithops__machine_sweeper *sweeper, struct name *taken[MOST],
                         bool *ret_is_last)
{
    size_t count = 0;
    pthread_mutex_lock(&sweeper->lock);
    while (!sweeper->names && !sweeper->stop)
        pthread_cond_wait(&sweeper->more, &sweeper->lock);
    while (sweeper->names && count < MOST) {
        taken[count++] = sweeper->names;
        sweeper->names = sweeper->names->next;
    }
    *ret_is_last = sweeper->stop;
    pthread_mutex_unlock(&sweeper->lock);
    return count;
}

static void put_names_back(struct lithops__machine_sweeper *sweeper, struct name *taken[MOST],
                           size_t count)
{
    pthread_mutex_lock(&sweeper->lock);
    for (size_t i = 0; i < count; i++) {
        taken[i]->next = sweeper->names;
        sweeper->names = taken[i];
    }
    pthread_mutex_unlock(&sweeper->lock);
}

static bool is_late(void *user)
{
    struct lithops__machine_sweeper *sweeper = user;
    pthread_mutex_lock(&sweeper->lock);
    bool late = sweeper->stop && lithops__now_ns() > sweeper->soon_ns;
    pthread_mutex_unlock(&sweeper->lock);
    return late;
}

static void *run(void *user)
{
    struct lithops__machine_sweeper *sweeper = user;
    const struct lithops__machines_options *options = sweeper->options;
    struct name *taken[MOST];
    const char *ids[MOST];
    bool is_last;
    size_t count;
    while ((count = take_names(sweeper, taken, &is_last)) > 0) {
        const struct lithops__bounds bounds = {
            .deadline_ns = lithops__now_ns() + (is_last ? LAST_S : ONE_S) * second_ns,
            .interrupted = is_last ? NULL : is_late,
            .user = sweeper};
        lithops_error err = LITHOPS_ERROR_INIT;
        for (size_t i = 0; i < count; i++)
            ids[i] = taken[i]->text;
        int rc = options->cloud->terminate(options->api, ids, count, &bounds, &err);
        if (rc == LITHOPS_ECANCELED) {
            put_names_back(sweeper, taken, count);
            continue;
        }
        const char *then = options->is_guarded ? "; what is left turns itself off" : "";
        if (rc != 0 && count == 1)
            lithops__log(LITHOPS_LOG_WARNING, options->cloud->name, "%s is not terminated: %s%s",
                         ids[0], err.message, then);
        else if (rc != 0)
            lithops__log(LITHOPS_LOG_WARNING, options->cloud->name,
                         "of %zu machines, %s among them, not all are terminated: %s%s", count,
                         ids[0], err.message, then);
        for (size_t i = 0; i < count; i++)
            free(taken[i]);
    }
    return NULL;
}

int lithops__machine_sweeper_new(const struct lithops__machines_options *options,
                                 struct lithops__machine_sweeper **ret_sweeper, lithops_error *err)
{
    struct lithops__machine_sweeper *sweeper = calloc(1, sizeof *sweeper);
    if (!sweeper)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    sweeper->options = options;
    pthread_mutex_init(&sweeper->lock, NULL);
    pthread_cond_init(&sweeper->more, NULL);
    *ret_sweeper = sweeper;
    return 0;
}

void lithops__machine_sweeper_free(struct lithops__machine_sweeper *sweeper)
{
    if (!sweeper)
        return;
    pthread_mutex_lock(&sweeper->lock);
    sweeper->stop = true;
    sweeper->soon_ns = lithops__now_ns() + SOON_S * second_ns;
    pthread_cond_signal(&sweeper->more);
    pthread_mutex_unlock(&sweeper->lock);
    if (sweeper->is_started)
        pthread_join(sweeper->thread, NULL);
    else /* there may be names whose thread could not be started */
        (void)run(sweeper);
    pthread_cond_destroy(&sweeper->more);
    pthread_mutex_destroy(&sweeper->lock);
    free(sweeper);
}

void lithops__machine_sweeper_add(struct lithops__machine_sweeper *sweeper, const char *id)
{
    struct name *name = calloc(1, sizeof *name);
    if (!name) {
        lithops__log(LITHOPS_LOG_WARNING, sweeper->options->cloud->name,
                     "%s is not terminated: out of memory%s", id,
                     sweeper->options->is_guarded ? "; it turns itself off" : "");
        return;
    }
    snprintf(name->text, sizeof name->text, "%s", id);
    pthread_mutex_lock(&sweeper->lock);
    name->next = sweeper->names;
    sweeper->names = name;
    if (!sweeper->is_started)
        sweeper->is_started = lithops__thread_start(&sweeper->thread, run, sweeper) == 0;
    pthread_cond_signal(&sweeper->more);
    pthread_mutex_unlock(&sweeper->lock);
}

/* ---- lithops clean --------------------------------------------------------------------------- */

/* A machine whose guard should have ended it long ago is nobody's, whoever made it. One that is
 * off is, too, where it was to be deleted: the guard could not. */
static bool is_left(const struct lithops__machine *machine, const char *client,
                    bool (*is_alive)(const char *executor_id))
{
    bool is_ours = strcmp(machine->tags[LITHOPS__TAG_CLIENT], client) == 0;
    char *rest;
    long long until_s = strtoll(machine->tags[LITHOPS__TAG_EXPIRES], &rest, 10);
    bool is_off = machine->state == LITHOPS__MACHINE_STOPPED ||
                  machine->state == LITHOPS__MACHINE_SUSPENDED ||
                  machine->state == LITHOPS__MACHINE_FAILED;
    if (machine->state == LITHOPS__MACHINE_GONE || !machine->tags[LITHOPS__TAG_EXECUTOR][0])
        return false;
    if (is_ours)
        return !is_alive(machine->tags[LITHOPS__TAG_EXECUTOR]);
    return (machine->state == LITHOPS__MACHINE_RUNNING ||
            (is_off && strcmp(rest, "-delete") == 0)) &&
           until_s > 0 && (uint64_t)until_s < lithops__wall_ns() / second_ns;
}

static int clean_list(const struct lithops__machines_options *options,
                      const struct lithops__machine_list *list,
                      bool (*is_alive)(const char *executor_id), bool dry_run,
                      const struct lithops__bounds *bounds, uint64_t *ret_removed,
                      lithops_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        const char *id = list->each[i].id;
        if (!is_left(&list->each[i], options->client, is_alive))
            continue;
        rc = dry_run ? 0 : options->cloud->terminate(options->api, &id, 1, bounds, err);
        *ret_removed += rc == 0;
    }
    return rc;
}

int lithops__machines_clean(const struct lithops__machines_options *options,
                            bool (*is_alive)(const char *executor_id), bool dry_run,
                            uint64_t *ret_removed, lithops_error *err)
{
    const struct lithops__bounds bounds = {.deadline_ns = lithops__now_ns() + ALL_S * second_ns};
    const struct lithops__machine_query queries[] = {
        {.tag = LITHOPS__TAG_CLIENT, .value = options->client},
        {.tag = LITHOPS__TAG_OWNER, .value = options->owner},
        /* the host of a container is another one each time */
        {.tag = LITHOPS__TAG_GROUP, .value = options->group}};
    int rc = 0;
    for (size_t q = 0; rc == 0 && q < sizeof queries / sizeof *queries; q++) {
        struct lithops__machine_list list = {.count = 0};
        rc = lithops__machines_list(options, &queries[q], &bounds, &list, err);
        /* each once: it may be in a list before */
        for (size_t i = 0; i < list.count; i++)
            for (size_t before = 0; before < q; before++)
                if (strcmp(list.each[i].tags[queries[before].tag], queries[before].value) == 0)
                    list.each[i].state = LITHOPS__MACHINE_GONE;
        if (rc == 0)
            rc = clean_list(options, &list, is_alive, dry_run, &bounds, ret_removed, err);
        free(list.each);
    }
    return rc;
}
