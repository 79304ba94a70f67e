/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of the backend k8s. */
#include "compute/backends/k8s/k8s.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "compute/linked.h"
#include "compute/oci/oci.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAKE_S = 60,     /* for the requests that make a Job, with the tries while the server is away */
    MAKE_TRIES = 12, /* more than fit into that */
    NO_POD_MS = 3000, /* without a pod: by then a Job has one, or there is a reason */
    LOOK_MS = 5000,   /* between looks why, */
    LOOKS_MS = 250,   /* and between those of all workers */
    TELL_S = 10,      /* a pod that waits for so long is spoken of, */
    TELL_EACH = 5,    /* each of the first ones; then one in so long for all */
    MAKERS = 16,      /* Jobs that are made at a time: others wait for their turn */
    PROBE_S = 20,
};
static const uint64_t second_ns = 1000000000;

struct k8s {
    lithops_value *settings; /* what the options borrow from */
    struct lithops__k8s_options options;
    struct lithops__k8s_api *api;
    struct lithops__k8s_pods *pods;
    struct lithops__k8s_sweeper *sweeper;
    struct lithops__k8s_turns *turns;
    uint32_t *serials;        /* one per worker: of the Job it has, or had last */
    _Atomic uint32_t waiting; /* pods */
    _Atomic uint32_t told;    /* how often one was spoken of */
    _Atomic uint64_t tell_ns; /* when one may be spoken of again */
    _Atomic uint64_t look_ns; /* when one may look again why it has no pod */
    pthread_mutex_t lock;     /* of: */
    char no_pod[600];         /* what the last look has found */
};

/* ---- open, close ----------------------------------------------------------------------------- */

static void k8s_close(void *state)
{
    struct k8s *k8s = state;
    lithops__k8s_sweeper_free(k8s->sweeper);
    lithops__k8s_pods_free(k8s->pods);
    lithops__k8s_turns_free(k8s->turns);
    pthread_mutex_destroy(&k8s->lock);
    lithops__k8s_api_free(k8s->api);
    lithops__k8s_options_deinit(&k8s->options);
    free(k8s->serials);
    lithops_value_free(k8s->settings);
}

static int k8s_open(const lithops_link_driver *driver, void *state, const lithops_value *settings,
                    const char *program, lithops_workers *ret_workers, lithops_error *err)
{
    (void)driver;
    (void)program; /* the image has it, by the name that it is called */
    struct k8s *k8s = state;
    pthread_mutex_init(&k8s->lock, NULL);
    k8s->settings = lithops_value_copy(settings);
    int rc = k8s->settings ? lithops__k8s_options_read(k8s->settings, &k8s->options, err)
                           : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = lithops__k8s_open_api(k8s->settings, &k8s->api, &k8s->options.namespace, err);
    if (rc == 0)
        rc = lithops__k8s_pods_new(k8s->api, &k8s->options, &k8s->pods, err);
    if (rc == 0)
        rc = lithops__k8s_sweeper_new(k8s->api, &k8s->options, &k8s->sweeper, err);
    if (rc == 0)
        rc = lithops__k8s_turns_new(MAKERS, &k8s->turns, err);
    k8s->serials = rc == 0 ? calloc(k8s->options.max_workers, sizeof *k8s->serials) : NULL;
    if (rc == 0 && !k8s->serials)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc != 0) {
        k8s_close(k8s);
        return rc;
    }
    *ret_workers = (lithops_workers){
        .workers = k8s->options.max_workers,
        .lost_timeout_ms = k8s->options.lost_timeout_ms,
        .worker_processes = k8s->options.worker_processes,
        .idle_timeout_ms = k8s->options.idle_timeout_ms,
        .through_storage = true,
    };
    return 0;
}

static void k8s_name(void *state, uint32_t worker, char *buf, size_t size)
{
    (void)state;
    snprintf(buf, size, "k8s-%u", worker);
}

/* ---- making a Job ---------------------------------------------------------------------------- */

static bool is_canceled(void *user)
{
    struct pollfd cancel = {.fd = *(const int *)user, .events = POLLIN};
    return poll(&cancel, 1, 0) > 0;
}

/* One POST or GET, with the tries that it gets. */
static int ask(struct k8s *k8s, const char *method, const char *path, const lithops_value *body,
               int *cancel_fd, lithops_value **ret_answer, lithops_error *err)
{
    const struct lithops__k8s_request request = {
        .method = method,
        .path = path,
        .body = body,
        .attempts = MAKE_TRIES,
        .bounds = {.deadline_ns = lithops__now_ns() + MAKE_S * second_ns,
                   .interrupted = is_canceled,
                   .user = cancel_fd}};
    return lithops__k8s_ask(k8s->api, &request, ret_answer, err);
}

/* The executor's id, which the key has in it: lithops.jobs/<executor>-<random>/<link>. */
static void executor_of(const char *key, char *buf, size_t size)
{
    const char *start = strchr(key, '/');
    start = start ? start + 1 : key;
    snprintf(buf, size, "%.*s", (int)strcspn(start, "/"), start);
    char *random = strrchr(buf, '-');
    if (random)
        *random = '\0';
}

/* @param ret_is_there  it may be there: no answer says that it is not */
static int make_job(struct k8s *k8s, const struct lithops__k8s_link *link, int *cancel_fd,
                    bool *ret_is_there, char *ret_uid, size_t size, lithops_error *err)
{
    char path[256], name[LITHOPS__K8S_NAME];
    lithops_value *job = NULL, *answer = NULL;
    *ret_is_there = false;
    lithops__k8s_name(&k8s->options, link->worker, link->serial, name);
    lithops__k8s_path(path, sizeof path, "/apis/batch/v1/namespaces/%s/jobs",
                      k8s->options.namespace);
    int rc = lithops__k8s_job(&k8s->options, link, &job, err);
    if (rc == 0) {
        rc = ask(k8s, "POST", path, job, cancel_fd, &answer, err);
        *ret_is_there = rc == 0 || rc == LITHOPS_EEXIST || rc == LITHOPS_ECANCELED ||
                        err->retryable || err->http_status == 0;
    }
    lithops_value_free(job);
    if (rc == LITHOPS_EEXIST) { /* made by a try whose answer was lost */
        lithops__k8s_path(path, sizeof path, "/apis/batch/v1/namespaces/%s/jobs/%s",
                          k8s->options.namespace, name);
        rc = ask(k8s, "GET", path, NULL, cancel_fd, &answer, err);
    }
    if (rc == 0) {
        const char *uid = lithops_value_get_string(
            lithops_value_get(lithops_value_get(answer, "metadata"), "uid"));
        snprintf(ret_uid, size, "%s", uid ? uid : "");
    }
    lithops_value_free(answer);
    return rc;
}

/* After the Job, to which it belongs; the pod waits for it, if it is quicker. */
static int make_secret(struct k8s *k8s, const struct lithops__k8s_link *link, const char *uid,
                       const char *config, int *cancel_fd, lithops_error *err)
{
    char path[256];
    lithops_value *secret = NULL;
    lithops__k8s_path(path, sizeof path, "/api/v1/namespaces/%s/secrets", k8s->options.namespace);
    int rc = lithops__k8s_secret(&k8s->options, link, uid, config, &secret, err);
    if (rc == 0)
        rc = ask(k8s, "POST", path, secret, cancel_fd, NULL, err);
    lithops_value_free(secret);
    return rc == LITHOPS_EEXIST ? 0 : rc;
}

/* ---- waiting for its pod --------------------------------------------------------------------- */

/* Why a Job that has no pod has none. EBACKEND: it will never have one. */
static int look_at_job(struct k8s *k8s, const char *name, int *cancel_fd, char *why, size_t size,
                       lithops_error *err)
{
    char path[384];
    lithops_value *job = NULL, *events = NULL;
    lithops__k8s_path(path, sizeof path, "/apis/batch/v1/namespaces/%s/jobs/%s",
                      k8s->options.namespace, name);
    int rc = ask(k8s, "GET", path, NULL, cancel_fd, &job, err);
    if (rc == LITHOPS_ENOTFOUND)
        return lithops__fail(err, LITHOPS_EBACKEND, "its Job was deleted");
    if (rc != 0)
        return rc == LITHOPS_ECANCELED ? rc : 0; /* the server may be away */
    const lithops_value *spec = lithops_value_get(job, "spec");
    bool is_suspended = lithops_value_get_bool(lithops_value_get(spec, "suspend"));
    lithops_value_free(job);
    if (is_suspended) {
        snprintf(why, size, "its Job is suspended, as by a queue that has not admitted it");
        return 0;
    }
    lithops__k8s_path(path, sizeof path,
                      "/api/v1/namespaces/%s/events?fieldSelector=involvedObject.kind%%3DJob%%2C"
                      "involvedObject.name%%3D%s",
                      k8s->options.namespace, name);
    if (ask(k8s, "GET", path, NULL, cancel_fd, &events, err) == 0)
        lithops__k8s_read_events(events, why, size);
    lithops_value_free(events);
    return 0;
}

/* A pod that waits, as it is told of. */
struct wait {
    uint64_t start_ns, look_ns, tell_ns;
    char why[600];
};

/* Of what all workers do in turn: whether it is this one's. */
static bool is_due(_Atomic uint64_t *next_ns, uint64_t pause_ns)
{
    uint64_t now = lithops__now_ns(), due = atomic_load(next_ns);
    return now >= due && atomic_compare_exchange_strong(next_ns, &due, now + pause_ns);
}

static void tell(struct k8s *k8s, struct wait *wait, uint32_t worker,
                 const struct lithops__k8s_pod *pod)
{
    uint64_t now = lithops__now_ns();
    char others[64] = "";
    if (now < wait->tell_ns)
        return;
    wait->tell_ns = now + TELL_S * second_ns;
    if (atomic_fetch_add(&k8s->told, 1) < TELL_EACH)
        wait->tell_ns = UINT64_MAX;
    else if (!is_due(&k8s->tell_ns, TELL_S * second_ns))
        return;
    else
        snprintf(others, sizeof others, " (%u pods wait)", atomic_load(&k8s->waiting));
    lithops__log(LITHOPS_LOG_WARNING, "k8s", "k8s-%u: its pod %s waits since %llu s: %s%s", worker,
                 pod->name[0] ? pod->name : "is not there yet, and",
                 (unsigned long long)((now - wait->start_ns) / second_ns),
                 wait->why[0] ? wait->why : "nobody says why", others);
}

/* Why there is no pod: of thousands of Jobs some are asked, and speak for the others. */
static int explain_no_pod(struct k8s *k8s, struct wait *wait, const char *name, int *cancel_fd,
                          lithops_error *err)
{
    int rc = 0;
    if (lithops__now_ns() < wait->look_ns)
        return 0;
    bool looks = is_due(&k8s->look_ns, LOOKS_MS * (second_ns / 1000));
    if (looks)
        rc = look_at_job(k8s, name, cancel_fd, wait->why, sizeof wait->why, err);
    wait->look_ns = lithops__now_ns() + LOOK_MS * (second_ns / 1000);
    pthread_mutex_lock(&k8s->lock);
    if (looks)
        memcpy(k8s->no_pod, wait->why, sizeof k8s->no_pod);
    else if (!wait->why[0])
        memcpy(wait->why, k8s->no_pod, sizeof wait->why);
    pthread_mutex_unlock(&k8s->lock);
    return rc;
}

/* It has ended, or will never run. */
static int fail_start(uint32_t worker, const struct lithops__k8s_pod *pod, bool may_pass,
                      lithops_error *err)
{
    lithops__fail(err, LITHOPS_EBACKEND, "k8s-%u: pod %s does not run: %s", worker, pod->name,
                  pod->why[0] ? pod->why : "nobody says why");
    err->retryable = may_pass;
    return err->code;
}

static int fail_late(const struct k8s *k8s, uint32_t worker, const struct lithops__k8s_pod *pod,
                     const struct wait *wait, lithops_error *err)
{
    return lithops__fail(
        err, LITHOPS_EBACKEND, "k8s-%u: %s%s after %u s, which k8s.start_timeout allows: %s",
        worker, pod->name[0] ? "no worker runs in pod " : "there is no pod", pod->name,
        k8s->options.start_timeout_s, wait->why[0] ? wait->why : "nobody says why");
}

/* How long nothing is to be done unless something is heard of the pod. One that is to go may have
 * to be counted as gone. */
static int pause_of(const struct wait *wait, const struct lithops__k8s_pod *pod, uint64_t end_ns)
{
    uint64_t until = wait->tell_ns < end_ns ? wait->tell_ns : end_ns, now = lithops__now_ns();
    if (pod->phase == LITHOPS__K8S_UNSEEN && wait->look_ns < until)
        until = wait->look_ns;
    if (pod->is_deleted)
        return 1000;
    return until > now ? (int)((until - now) / (second_ns / 1000)) + 1 : 0;
}

static int await_pod(struct k8s *k8s, uint32_t worker, const char *name, int cancel_fd,
                     lithops_error *err)
{
    struct wait wait = {.start_ns = lithops__now_ns()};
    const uint64_t end_ns = wait.start_ns + k8s->options.start_timeout_s * second_ns;
    wait.look_ns = wait.start_ns + NO_POD_MS * (second_ns / 1000);
    wait.tell_ns = wait.start_ns + TELL_S * second_ns;
    struct lithops__k8s_pod pod;
    for (int rc = 0;;) {
        lithops__k8s_pods_get(k8s->pods, worker, &pod);
        uint64_t now = lithops__now_ns();
        if (pod.phase == LITHOPS__K8S_RUNNING) {
            lithops__log(LITHOPS_LOG_INFO, "k8s", "k8s-%u: pod %s on node %s", worker, pod.name,
                         pod.node);
            return 0;
        }
        if (pod.phase == LITHOPS__K8S_ENDED || pod.is_hopeless)
            return fail_start(worker, &pod, pod.phase == LITHOPS__K8S_ENDED && !pod.is_hopeless,
                              err);
        if (pod.phase == LITHOPS__K8S_PENDING)
            snprintf(wait.why, sizeof wait.why, "%s", pod.why);
        else
            rc = explain_no_pod(k8s, &wait, name, &cancel_fd, err);
        if (rc != 0)
            return rc;
        if (pod.phase == LITHOPS__K8S_UNSEEN && !wait.why[0])
            lithops__k8s_pods_trouble(k8s->pods, wait.why, sizeof wait.why);
        tell(k8s, &wait, worker, &pod);
        if (now >= end_ns)
            return fail_late(k8s, worker, &pod, &wait, err);
        rc = lithops__k8s_pods_wait(k8s->pods, worker, pod.heard, cancel_fd,
                                    pause_of(&wait, &pod, end_ns), err);
        if (rc != 0)
            return rc;
    }
}

/* @param ret_is_there  as of make_job() */
static int make_worker(struct k8s *k8s, const struct lithops__k8s_link *link, const char *config,
                       int *cancel_fd, bool *ret_is_there, lithops_error *err)
{
    char uid[64];
    int rc = lithops__k8s_turns_take(k8s->turns, *cancel_fd, err);
    if (rc != 0)
        return rc;
    rc = make_job(k8s, link, cancel_fd, ret_is_there, uid, sizeof uid, err);
    if (rc == 0)
        rc = make_secret(k8s, link, uid, config, cancel_fd, err);
    if (rc != 0) {
        err->retryable = err->retryable || lithops__k8s_is_quota(err);
        if (rc == LITHOPS_EUSAGE)
            rc = err->code = LITHOPS_EBACKEND;
    }
    lithops__k8s_turns_end(k8s->turns, rc == 0 || rc == LITHOPS_ECANCELED ? NULL : err);
    return rc;
}

static int k8s_invoke(void *state, uint32_t worker, const char *key, const char *config,
                      int cancel_fd, lithops_link *ret_link, lithops_error *err)
{
    struct k8s *k8s = state;
    char executor[128], name[LITHOPS__K8S_NAME];
    bool is_there = false;
    executor_of(key, executor, sizeof executor);
    const struct lithops__k8s_link link = {
        .worker = worker, .serial = ++k8s->serials[worker], .key = key, .executor = executor};
    lithops__k8s_name(&k8s->options, worker, link.serial, name);
    int rc = lithops__k8s_pods_expect(k8s->pods, worker, link.serial, err);
    if (rc == 0) {
        rc = make_worker(k8s, &link, config, &cancel_fd, &is_there, err);
        if (is_there)
            lithops__k8s_sweeper_expect(k8s->sweeper);
    }
    if (rc == 0) {
        atomic_fetch_add(&k8s->waiting, 1);
        rc = await_pod(k8s, worker, name, cancel_fd, err);
        atomic_fetch_sub(&k8s->waiting, 1);
    }
    if (rc != 0 && is_there)
        lithops__k8s_sweeper_add(k8s->sweeper, name);
    if (rc == 0)
        *ret_link = (lithops_link){.read_fd = -1,
                                   .write_fd = -1,
                                   .id = worker,
                                   .time_left_ms = (int64_t)k8s->options.lifetime_s * 1000};
    return rc;
}

/* ---- its end --------------------------------------------------------------------------------- */

static bool k8s_has_ended(void *state, const lithops_link *link)
{
    struct k8s *k8s = state;
    struct lithops__k8s_pod pod;
    lithops__k8s_pods_get(k8s->pods, (uint32_t)link->id, &pod);
    return pod.phase == LITHOPS__K8S_ENDED;
}

static void k8s_disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    struct k8s *k8s = state;
    uint32_t worker = (uint32_t)link->id;
    char name[LITHOPS__K8S_NAME];
    struct lithops__k8s_pod pod;
    lithops__k8s_pods_get(k8s->pods, worker, &pod);
    lithops__k8s_name(&k8s->options, worker, k8s->serials[worker], name);
    lithops__k8s_sweeper_add(k8s->sweeper, name);
    bool is_over = pod.phase == LITHOPS__K8S_ENDED || pod.is_deleted;
    const char *how = pod.why[0]       ? pod.why
                      : pod.is_deleted ? "it was deleted"
                      : is_over        ? "it has ended"
                                       : "it runs still, and is deleted";
    snprintf(ret_how, size, "pod %s on node %s: %s", pod.name, pod.node, how);
}

static const lithops_link_ops link_ops = {
    .open = k8s_open,
    .close = k8s_close,
    .name = k8s_name,
    .invoke = k8s_invoke,
    .has_ended = k8s_has_ended,
    .disconnect = k8s_disconnect,
};

static const lithops_link_driver link_driver = {
    .abi = LITHOPS_COMPUTE_ABI,
    .name = "k8s",
    .is_elsewhere = true,
    .state_size = sizeof(struct k8s),
    .ops = &link_ops,
};

/* ---- the compute backend --------------------------------------------------------------------- */

/* Whether the server is there, and would take a Job as ours are: it checks one, and makes none; and
 * whether it tells of pods. */
static int probe_server(struct k8s *k8s, lithops__probe_say say, void *user, lithops_error *err)
{
    const struct lithops__k8s_access *access = lithops__k8s_api_access(k8s->api);
    const struct lithops__k8s_link link = {.key = "lithops.jobs/probe", .executor = "probe"};
    char path[256], text[600];
    lithops_value *version = NULL, *job = NULL;
    struct lithops__k8s_request request = {
        .method = "GET",
        .path = "/version",
        .attempts = 2,
        .bounds = {.deadline_ns = lithops__now_ns() + PROBE_S * second_ns}};
    int rc = lithops__k8s_ask(k8s->api, &request, &version, err);
    if (rc == 0)
        rc = lithops__k8s_job(&k8s->options, &link, &job, err);
    lithops__k8s_path(path, sizeof path, "/apis/batch/v1/namespaces/%s/jobs?dryRun=All",
                      k8s->options.namespace);
    request.method = "POST";
    request.path = path;
    request.body = job;
    if (rc == 0)
        rc = lithops__k8s_ask(k8s->api, &request, NULL, err);
    lithops__k8s_path(path, sizeof path, "/api/v1/namespaces/%s/pods?limit=1",
                      k8s->options.namespace);
    request.method = "GET";
    request.body = NULL;
    if (rc == 0)
        rc = lithops__k8s_ask(k8s->api, &request, NULL, err);
    if (rc == 0) {
        const char *number = lithops_value_get_string(lithops_value_get(version, "gitVersion"));
        snprintf(text, sizeof text, "Kubernetes %.40s at %.200s takes Jobs in the namespace %s",
                 number ? number : "?", access->server, k8s->options.namespace);
        say(user, "k8s", true, text);
    } else {
        say(user, "k8s", false, err->message);
    }
    lithops_value_free(version);
    lithops_value_free(job);
    return rc == 0 ? 0 : LITHOPS_EBACKEND;
}

static int probe(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 bool start, lithops__probe_say say, void *user, lithops_error *err)
{
    (void)driver;
    struct k8s k8s = {.settings = NULL};
    lithops_workers workers = {.workers = 0};
    if (start)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "Kubernetes starts pods for calls that wait for them, and they end "
                             "when they have none");
    lithops_value *settings = lithops__linked_settings(config, "k8s");
    int rc = settings ? k8s_open(&link_driver, &k8s, settings, NULL, &workers, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(settings);
    if (rc != 0)
        return rc;
    rc = probe_server(&k8s, say, user, err);
    k8s_close(&k8s);
    return rc;
}

static const struct lithops__compute_ops k8s_ops = {
    LITHOPS__LINKED_SLOTS,
    .probe = probe,
    .clean = lithops__k8s_clean,
};

const struct lithops__compute_driver lithops__compute_k8s = {
    .name = "k8s",
    .mode = "serverless",
    .summary = "Pods of Kubernetes.",
    .is_elsewhere = true,
    .state_size = sizeof(struct lithops__linked),
    .ops = &k8s_ops,
    .links = &link_driver,
    .workers_key = "max_workers",
    .runtimes = &lithops__image_runtimes,
};
