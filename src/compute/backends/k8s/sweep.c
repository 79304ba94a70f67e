/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes Jobs, and with them their pods and Secrets: of workers that are over, in a thread, so
 * that nobody waits for the API server; what is left of an executor when it closes, in one request;
 * and those of clients that are dead (`lithops clean`). What is not deleted here ends by its
 * deadline, and is deleted by the cluster a minute later. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "compute/backends/k8s/k8s.h"
#include "compute/linked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* LAST_S: for what is left at the end, and a second more for so many of these. */
enum {
    ONE_S = 10,
    LAST_S = 8,
    JOBS_A_SECOND = 10,
    MOST_LAST_S = 120,
    ALL_S = 30,
    TRIES = 4,
    PAGE = 500
};

struct name {
    struct name *next;
    char text[LITHOPS__K8S_NAME];
};

struct lithops__k8s_sweeper {
    struct lithops__k8s_api *api;
    const struct lithops__k8s_options *options;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct name *names;
    uint32_t jobs; /* that were asked for and are not deleted */
    bool is_started, stop;
    uint64_t last_ns; /* when the last request must be over; 0: it is not time yet */
    pthread_t thread;
};

static const char jobs_path[] = "/apis/batch/v1/namespaces/%s/jobs%s%s%s";

/* With the pods, which are ended in the cluster's own time. Gone is as good. */
static int delete_one(struct lithops__k8s_api *api, const char *namespace, const char *job,
                      uint64_t deadline_ns, lithops_error *err)
{
    char path[512];
    lithops__k8s_path(path, sizeof path, jobs_path, namespace, "/", job,
                      "?propagationPolicy=Background");
    const struct lithops__k8s_request request = {.method = "DELETE",
                                                 .path = path,
                                                 .attempts = TRIES,
                                                 .bounds = {.deadline_ns = deadline_ns}};
    int rc = lithops__k8s_ask(api, &request, NULL, err);
    return rc == LITHOPS_ENOTFOUND ? 0 : rc;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static struct name *take(struct lithops__k8s_sweeper *sweeper)
{
    pthread_mutex_lock(&sweeper->lock);
    while (!sweeper->names && !sweeper->stop)
        pthread_cond_wait(&sweeper->more, &sweeper->lock);
    struct name *first = sweeper->names;
    if (first)
        sweeper->names = first->next;
    pthread_mutex_unlock(&sweeper->lock);
    return first;
}

/* In one request, if we may do that. */
static bool delete_all(struct lithops__k8s_sweeper *sweeper)
{
    char path[512], selector[96];
    lithops_error err = LITHOPS_ERROR_INIT;
    snprintf(selector, sizeof selector,
             "?propagationPolicy=Background&labelSelector=lithops%%2Frun%%3D%s",
             sweeper->options->run);
    lithops__k8s_path(path, sizeof path, jobs_path, sweeper->options->namespace, selector, "", "");
    const struct lithops__k8s_request request = {.method = "DELETE",
                                                 .path = path,
                                                 .attempts = TRIES,
                                                 .bounds = {.deadline_ns = sweeper->last_ns}};
    if (lithops__k8s_ask(sweeper->api, &request, NULL, &err) == 0)
        return true;
    lithops__log(LITHOPS_LOG_DEBUG, "k8s", "Jobs are deleted one by one: %s", err.message);
    return false;
}

static void *run(void *user)
{
    struct lithops__k8s_sweeper *sweeper = user;
    bool is_all_gone = false, is_tried = false;
    size_t failed = 0;
    lithops_error err = LITHOPS_ERROR_INIT, why = LITHOPS_ERROR_INIT;
    for (struct name *name = NULL;; free(name)) {
        name = take(sweeper);
        pthread_mutex_lock(&sweeper->lock);
        bool is_last = sweeper->stop;
        pthread_mutex_unlock(&sweeper->lock);
        if (is_last && !is_tried)
            is_all_gone = delete_all(sweeper);
        is_tried |= is_last;
        if (!name)
            break;
        uint64_t until =
            is_last ? sweeper->last_ns : lithops__now_ns() + ONE_S * (uint64_t)1000000000;
        if (!is_all_gone &&
            delete_one(sweeper->api, sweeper->options->namespace, name->text, until, &err) != 0) {
            failed++;
            why = err;
        }
        pthread_mutex_lock(&sweeper->lock);
        sweeper->jobs -= sweeper->jobs > 0;
        pthread_mutex_unlock(&sweeper->lock);
    }
    if (failed > 0 && !is_all_gone)
        lithops__log(LITHOPS_LOG_WARNING, "k8s",
                     "%zu Jobs of this run stay until their time is over: they cannot be deleted: "
                     "%s",
                     failed, why.message);
    return NULL;
}

int lithops__k8s_sweeper_new(struct lithops__k8s_api *api,
                             const struct lithops__k8s_options *options,
                             struct lithops__k8s_sweeper **ret_sweeper, lithops_error *err)
{
    struct lithops__k8s_sweeper *sweeper = calloc(1, sizeof *sweeper);
    if (!sweeper)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    sweeper->api = api;
    sweeper->options = options;
    pthread_mutex_init(&sweeper->lock, NULL);
    pthread_cond_init(&sweeper->more, NULL);
    *ret_sweeper = sweeper;
    return 0;
}

void lithops__k8s_sweeper_free(struct lithops__k8s_sweeper *sweeper)
{
    if (!sweeper)
        return;
    pthread_mutex_lock(&sweeper->lock);
    sweeper->stop = true;
    uint32_t last_s = LAST_S + sweeper->jobs / JOBS_A_SECOND;
    sweeper->last_ns =
        lithops__now_ns() + (last_s < MOST_LAST_S ? last_s : MOST_LAST_S) * (uint64_t)1000000000;
    pthread_cond_signal(&sweeper->more);
    pthread_mutex_unlock(&sweeper->lock);
    if (sweeper->is_started)
        pthread_join(sweeper->thread, NULL);
    for (struct name *name = sweeper->names, *next; name; name = next) {
        next = name->next;
        free(name);
    }
    pthread_cond_destroy(&sweeper->more);
    pthread_mutex_destroy(&sweeper->lock);
    free(sweeper);
}

/* [lock] */
static void have_thread(struct lithops__k8s_sweeper *sweeper)
{
    if (!sweeper->is_started)
        sweeper->is_started = lithops__thread_start(&sweeper->thread, run, sweeper) == 0;
}

void lithops__k8s_sweeper_expect(struct lithops__k8s_sweeper *sweeper)
{
    pthread_mutex_lock(&sweeper->lock);
    sweeper->jobs++;
    have_thread(sweeper);
    pthread_mutex_unlock(&sweeper->lock);
}

void lithops__k8s_sweeper_add(struct lithops__k8s_sweeper *sweeper, const char *job)
{
    struct name *name = calloc(1, sizeof *name);
    if (!name) /* its time will be over */
        return;
    snprintf(name->text, sizeof name->text, "%s", job);
    pthread_mutex_lock(&sweeper->lock);
    name->next = sweeper->names;
    sweeper->names = name;
    pthread_cond_signal(&sweeper->more);
    have_thread(sweeper);
    pthread_mutex_unlock(&sweeper->lock);
}

/* ---- lithops clean --------------------------------------------------------------------------- */

/* Delete those of a list whose executor is not alive. */
static int clean_list(struct lithops__k8s_api *api, const char *namespace,
                      const lithops_value *items, bool (*is_alive)(const char *executor_id),
                      bool dry_run, uint64_t deadline_ns, uint64_t *ret_removed, lithops_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(items); i++) {
        const lithops_value *metadata = lithops_value_get(lithops_value_at(items, i), "metadata");
        const char *name = lithops_value_get_string(lithops_value_get(metadata, "name"));
        const char *executor = lithops_value_get_string(
            lithops_value_get(lithops_value_get(metadata, "labels"), "lithops/executor"));
        if (!name || !executor || strncmp(name, "lithops-", 8) != 0 || is_alive(executor))
            continue;
        rc = dry_run ? 0 : delete_one(api, namespace, name, deadline_ns, err);
        *ret_removed += rc == 0;
    }
    return rc;
}

/* Page by page; each has the time that one takes. */
static int clean_all(struct lithops__k8s_api *api, const char *namespace,
                     bool (*is_alive)(const char *executor_id), bool dry_run, uint64_t *ret_removed,
                     lithops_error *err)
{
    char client[LITHOPS__CLIENT_MARK], path[2048], selector[1600], next[LITHOPS__K8S_PAGE] = "";
    int rc;
    lithops__client_mark(client);
    do {
        lithops_value *answer = NULL;
        const struct lithops__k8s_request request = {
            .method = "GET",
            .path = path,
            .attempts = TRIES,
            .bounds = {.deadline_ns = lithops__now_ns() + ALL_S * (uint64_t)1000000000}};
        snprintf(selector, sizeof selector, "?limit=%d&labelSelector=lithops%%2Fclient%%3D%s%s%s",
                 PAGE, client, next[0] ? "&continue=" : "", next);
        lithops__k8s_path(path, sizeof path, jobs_path, namespace, selector, "", "");
        rc = lithops__k8s_ask(api, &request, &answer, err);
        if (rc == 0)
            rc = clean_list(api, namespace, lithops_value_get(answer, "items"), is_alive, dry_run,
                            request.bounds.deadline_ns, ret_removed, err);
        if (rc == 0)
            rc = lithops__k8s_next_page(answer, next, sizeof next, err);
        lithops_value_free(answer);
    } while (rc == 0 && next[0]);
    return rc;
}

int lithops__k8s_clean(const struct lithops__compute_driver *driver,
                       const struct lithops__config *config,
                       bool (*is_alive)(const char *executor_id), bool dry_run,
                       uint64_t *ret_removed, lithops_error *err)
{
    lithops_value *settings = lithops__linked_settings(config, driver->name);
    struct lithops__k8s_api *api = NULL;
    char *namespace = NULL;
    int rc = settings ? lithops__k8s_open_api(settings, &api, &namespace, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = clean_all(api, namespace, is_alive, dry_run, ret_removed, err);
    lithops_value_free(settings);
    lithops__k8s_api_free(api);
    free(namespace);
    return rc;
}
