/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of the pods of an executor: one list, then one watch, in a thread for all workers.
 *
 * The thread begins with the first Job. A watch is ended by the server from time to time and goes
 * on from the version of what was heard last; when the server does not know that version any more
 * (410), or was away for long, the list is read again, and what is not in it is gone.
 *
 * `lock` guards the lines. Who waits for one has an eventfd there, which the thread writes to. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "compute/backends/k8s/k8s.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* WATCH_S: the server ends a watch then, so that one whose connection is cut is not trusted for
 * long. LATE_S: what a node may need beyond a pod's grace to say that it is gone. GOOD_MS: a watch
 * that lasted for so long, or told something, was one. */
enum {
    WATCH_S = 50,
    LATE_S = 15,
    FIRST_PAUSE_MS = 100,
    LAST_PAUSE_MS = 5000,
    LIST_TRIES = 3,
    PAGE = 500,
    GOOD_MS = 1000
};

struct line {
    uint32_t serial;
    int event_fd;   /* -1: nobody waits */
    unsigned heard; /* how often */
    bool is_listed, has_run;
    uint64_t over_ns; /* when it must have ended; 0: it was not asked to */
    struct lithops__k8s_pod pod;
};

struct lithops__k8s_pods {
    struct lithops__k8s_api *api;
    const struct lithops__k8s_options *options;
    pthread_mutex_t lock;
    struct line *lines; /* one per worker */
    bool is_started;
    pthread_t thread;
    atomic_bool stop;
    int stop_fd;
    char trouble[400]; /* why nothing is heard; "": it is */
    /* The thread's own. */
    char version[64]; /* of what was heard last; "": a list is needed */
    bool has_heard;   /* in this watch */
};

/* ---- lines ----------------------------------------------------------------------------------- */

static void wake(struct line *line)
{
    line->heard++;
    if (line->event_fd >= 0)
        (void)eventfd_write(line->event_fd, 1);
}

static uint32_t number_of(const lithops_value *labels, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(labels, key));
    char *end;
    unsigned long number = text ? strtoul(text, &end, 10) : UINT32_MAX;
    return text && text[0] && *end == '\0' && number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

static struct line *find(struct lithops__k8s_pods *pods, const lithops_value *object)
{
    const lithops_value *labels =
        lithops_value_get(lithops_value_get(object, "metadata"), "labels");
    uint32_t worker = number_of(labels, "lithops/worker");
    struct line *line = worker < pods->options->max_workers ? &pods->lines[worker] : NULL;
    return line && line->serial == number_of(labels, "lithops/serial") ? line : NULL;
}

/* A Job may have a second pod, where the first one was gone before it ran. */
static void apply(struct lithops__k8s_pods *pods, const lithops_value *object, bool is_gone)
{
    struct lithops__k8s_pod pod;
    struct line *line = find(pods, object);
    if (!line)
        return;
    lithops__k8s_read_pod(object, &pod);
    bool is_other = line->pod.phase != LITHOPS__K8S_UNSEEN && strcmp(line->pod.uid, pod.uid) != 0;
    if (is_other && (is_gone || line->has_run || line->pod.phase != LITHOPS__K8S_ENDED))
        return;
    line->is_listed = true;
    if (is_gone && pod.phase != LITHOPS__K8S_ENDED) {
        pod.is_failed = true;
        pod.phase = LITHOPS__K8S_ENDED;
        if (!pod.is_deleted || !pod.why[0] || !line->has_run)
            snprintf(pod.why, sizeof pod.why, "it was deleted");
    }
    line->has_run |= pod.phase == LITHOPS__K8S_RUNNING;
    line->over_ns = !pod.is_deleted ? 0
                    : line->over_ns > 0
                        ? line->over_ns
                        : lithops__now_ns() + (uint64_t)(pod.grace_s + LATE_S) * 1000000000;
    line->pod = pod;
    wake(line);
}

/* What a list does not have. */
static void drop_unlisted(struct lithops__k8s_pods *pods)
{
    for (uint32_t i = 0; i < pods->options->max_workers; i++) {
        struct line *line = &pods->lines[i];
        if (line->is_listed || line->pod.phase == LITHOPS__K8S_UNSEEN ||
            line->pod.phase == LITHOPS__K8S_ENDED)
            continue;
        line->pod.phase = LITHOPS__K8S_ENDED;
        line->pod.is_failed = true;
        snprintf(line->pod.why, sizeof line->pod.why, "it is gone");
        wake(line);
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

static bool is_stopped(void *user)
{
    return atomic_load(&((struct lithops__k8s_pods *)user)->stop);
}

static void take_version(struct lithops__k8s_pods *pods, const lithops_value *object)
{
    const char *version = lithops_value_get_string(
        lithops_value_get(lithops_value_get(object, "metadata"), "resourceVersion"));
    if (version && strlen(version) < sizeof pods->version &&
        strspn(version, "0123456789abcdefghijklmnopqrstuvwxyz-") == strlen(version))
        memcpy(pods->version, version, strlen(version) + 1);
}

static void make_path(const struct lithops__k8s_pods *pods, const char *more, char *buf,
                      size_t size)
{
    lithops__k8s_path(buf, size, "/api/v1/namespaces/%s/pods?labelSelector=lithops%%2Frun%%3D%s%s",
                      pods->options->namespace, pods->options->run, more);
}

/* One page of the list; `next`: what follows. */
static int list_page(struct lithops__k8s_pods *pods, char next[LITHOPS__K8S_PAGE],
                     lithops_error *err)
{
    char path[LITHOPS__K8S_PAGE + 512], more[LITHOPS__K8S_PAGE + 64];
    lithops_value *answer = NULL;
    snprintf(more, sizeof more, "&limit=%d%s%s", PAGE, next[0] ? "&continue=" : "", next);
    make_path(pods, more, path, sizeof path);
    const struct lithops__k8s_request request = {
        .method = "GET",
        .path = path,
        .attempts = LIST_TRIES,
        .bounds = {.deadline_ns = UINT64_MAX, .interrupted = is_stopped, .user = pods}};
    int rc = lithops__k8s_ask(pods->api, &request, &answer, err);
    if (rc == 0)
        rc = lithops__k8s_next_page(answer, next, LITHOPS__K8S_PAGE, err);
    if (rc == 0) {
        const lithops_value *items = lithops_value_get(answer, "items");
        pthread_mutex_lock(&pods->lock);
        for (size_t i = 0; i < lithops_value_size(items); i++)
            apply(pods, lithops_value_at(items, i), false);
        pthread_mutex_unlock(&pods->lock);
        take_version(pods, answer);
    }
    lithops_value_free(answer);
    return rc;
}

/* Page by page, as all pods of thousands of workers are some 50 MB. A list whose pages are too old
 * to go on (410) fails, and is read anew. */
static int list(struct lithops__k8s_pods *pods, lithops_error *err)
{
    char next[LITHOPS__K8S_PAGE] = "";
    pthread_mutex_lock(&pods->lock);
    for (uint32_t i = 0; i < pods->options->max_workers; i++)
        pods->lines[i].is_listed = false;
    pthread_mutex_unlock(&pods->lock);
    int rc;
    do
        rc = list_page(pods, next, err);
    while (rc == 0 && next[0]);
    if (rc != 0) {
        pods->version[0] = '\0';
        return rc;
    }
    pthread_mutex_lock(&pods->lock);
    drop_unlisted(pods);
    pods->trouble[0] = '\0';
    pthread_mutex_unlock(&pods->lock);
    return 0;
}

static bool event_came(void *user, const char *text, size_t len)
{
    struct lithops__k8s_pods *pods = user;
    lithops_value *event = lithops_value_from_json(text, len, NULL);
    const char *type = lithops_value_get_string(lithops_value_get(event, "type"));
    const lithops_value *object = lithops_value_get(event, "object");
    bool is_error = !type || strcmp(type, "ERROR") == 0;
    if (is_error) { /* 410: it does not know the version any more */
        pods->version[0] = '\0';
    } else {
        bool is_mark = strcmp(type, "BOOKMARK") == 0;
        pods->has_heard = true;
        pthread_mutex_lock(&pods->lock);
        if (!is_mark)
            apply(pods, object, strcmp(type, "DELETED") == 0);
        pthread_mutex_unlock(&pods->lock);
        take_version(pods, object);
    }
    lithops_value_free(event);
    return !is_error && !is_stopped(pods);
}

static int watch(struct lithops__k8s_pods *pods, lithops_error *err)
{
    char path[640], more[160];
    const struct lithops__bounds bounds = {
        .deadline_ns = UINT64_MAX, .interrupted = is_stopped, .user = pods};
    snprintf(more, sizeof more,
             "&watch=1&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=%s", WATCH_S,
             pods->version);
    make_path(pods, more, path, sizeof path);
    int rc = lithops__k8s_watch(pods->api, path, &bounds, event_came, pods, err);
    if (rc != 0) /* who knows what was missed */
        pods->version[0] = '\0';
    return rc;
}

/* What nobody hears by: for those who wait for a pod. */
static void note_trouble(struct lithops__k8s_pods *pods, const lithops_error *err)
{
    lithops__log(LITHOPS_LOG_DEBUG, "k8s", "the watch of pods begins anew: %s", err->message);
    pthread_mutex_lock(&pods->lock);
    snprintf(pods->trouble, sizeof pods->trouble, "pods cannot be watched: %.360s", err->message);
    lithops__one_line(pods->trouble, sizeof pods->trouble - 1);
    pthread_mutex_unlock(&pods->lock);
}

static void *run(void *user)
{
    struct lithops__k8s_pods *pods = user;
    int pause_ms = 0;
    while (!is_stopped(pods)) {
        lithops_error err = LITHOPS_ERROR_INIT;
        int rc = pods->version[0] ? 0 : list(pods, &err);
        bool is_listed = rc == 0;
        const uint64_t start_ns = lithops__now_ns();
        pods->has_heard = false;
        if (is_listed && !is_stopped(pods))
            rc = watch(pods, &err);
        if (is_stopped(pods))
            break;
        if (rc != 0)
            note_trouble(pods, &err);
        /* Where lists come and watches do not, or end at once, a pause is due just the same. */
        bool is_good = is_listed && (pods->has_heard ||
                                     lithops__now_ns() - start_ns >= GOOD_MS * (uint64_t)1000000);
        pause_ms = is_good ? 0 : pause_ms;
        if (rc == 0 && is_good)
            continue;
        struct pollfd stop = {.fd = pods->stop_fd, .events = POLLIN};
        pause_ms = pause_ms ? 2 * pause_ms : FIRST_PAUSE_MS;
        if (pause_ms > LAST_PAUSE_MS)
            pause_ms = LAST_PAUSE_MS;
        (void)poll(&stop, 1, pause_ms);
    }
    return NULL;
}

/* ---- for others ------------------------------------------------------------------------------ */

int lithops__k8s_pods_new(struct lithops__k8s_api *api, const struct lithops__k8s_options *options,
                          struct lithops__k8s_pods **ret_pods, lithops_error *err)
{
    struct lithops__k8s_pods *pods = calloc(1, sizeof *pods);
    if (pods)
        pods->lines = calloc(options->max_workers, sizeof *pods->lines);
    if (!pods || !pods->lines) {
        free(pods);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    pods->api = api;
    pods->options = options;
    pods->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pods->stop_fd < 0) {
        int failed = errno;
        free(pods->lines);
        free(pods);
        return lithops__fail_errno(err, failed, "cannot watch pods");
    }
    for (uint32_t i = 0; i < options->max_workers; i++)
        pods->lines[i].event_fd = -1;
    pthread_mutex_init(&pods->lock, NULL);
    *ret_pods = pods;
    return 0;
}

void lithops__k8s_pods_free(struct lithops__k8s_pods *pods)
{
    if (!pods)
        return;
    atomic_store(&pods->stop, true);
    (void)eventfd_write(pods->stop_fd, 1);
    if (pods->is_started)
        pthread_join(pods->thread, NULL);
    close(pods->stop_fd);
    pthread_mutex_destroy(&pods->lock);
    free(pods->lines);
    free(pods);
}

int lithops__k8s_pods_expect(struct lithops__k8s_pods *pods, uint32_t worker, uint32_t serial,
                             lithops_error *err)
{
    pthread_mutex_lock(&pods->lock);
    pods->lines[worker] = (struct line){.serial = serial, .event_fd = -1};
    int rc = pods->is_started ? 0 : lithops__thread_start(&pods->thread, run, pods);
    pods->is_started |= rc == 0;
    pthread_mutex_unlock(&pods->lock);
    return rc ? lithops__fail_errno(err, rc, "cannot start a thread that watches pods") : 0;
}

void lithops__k8s_pods_get(struct lithops__k8s_pods *pods, uint32_t worker,
                           struct lithops__k8s_pod *ret_pod)
{
    pthread_mutex_lock(&pods->lock);
    struct line *line = &pods->lines[worker];
    if (line->over_ns > 0 && line->pod.phase != LITHOPS__K8S_ENDED &&
        lithops__now_ns() > line->over_ns) {
        line->pod.phase = LITHOPS__K8S_ENDED;
        line->pod.is_failed = true;
        if (!line->pod.why[0])
            snprintf(line->pod.why, sizeof line->pod.why,
                     "it was to end, and its node does not say that it has");
    }
    *ret_pod = line->pod;
    ret_pod->heard = line->heard;
    pthread_mutex_unlock(&pods->lock);
}

void lithops__k8s_pods_trouble(struct lithops__k8s_pods *pods, char *buf, size_t size)
{
    pthread_mutex_lock(&pods->lock);
    snprintf(buf, size, "%s", pods->trouble);
    pthread_mutex_unlock(&pods->lock);
}

int lithops__k8s_pods_wait(struct lithops__k8s_pods *pods, uint32_t worker, unsigned heard,
                           int cancel_fd, int timeout_ms, lithops_error *err)
{
    struct pollfd fds[] = {{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), POLLIN, 0},
                           {cancel_fd, POLLIN, 0}};
    if (fds[0].fd < 0)
        return lithops__fail_errno(err, errno, "cannot wait for a pod");
    pthread_mutex_lock(&pods->lock);
    pods->lines[worker].event_fd = fds[0].fd;
    bool is_new = pods->lines[worker].heard != heard;
    pthread_mutex_unlock(&pods->lock);
    int ready = poll(fds, 2, is_new ? 0 : timeout_ms);
    pthread_mutex_lock(&pods->lock);
    pods->lines[worker].event_fd = -1;
    pthread_mutex_unlock(&pods->lock);
    close(fds[0].fd);
    return ready > 0 && fds[1].revents
               ? lithops__fail(err, LITHOPS_ECANCELED, "no worker is needed any more")
               : 0;
}
