/* SPDX-License-Identifier: Apache-2.0 */
/* The backend k8s: workers in pods, each of which is a Job of its own.
 *
 * Nothing but the storage is between client and workers (docs/jobs-through-storage.md). The client
 * asks the API server for a Job, and for a Secret with the worker's configuration that belongs to
 * it and so goes with it; one watch tells what becomes of all pods. A Job has a deadline, and is
 * deleted by the cluster soon after its end, so nothing is left however the client ends.
 *
 *     kubeconfig.c   where the cluster is, and how one logs in
 *     plugin.c       programs that give credentials
 *     api.c          requests to the API server
 *     job.c          the documents of a Job and its Secret
 *     explain.c      what a pod's status means
 *     pods.c         the watch
 *     turns.c        who makes its Job now, and who waits
 *     sweep.c        Jobs that are over are deleted; and those of dead clients
 *     k8s.c          the driver */
#ifndef LITHOPS_K8S_H
#define LITHOPS_K8S_H

#include "base/retry.h"
#include "compute/backends/k8s/kubeconfig.h"
#include "compute/client.h"
#include "compute/compute.h"
#include "net/http.h"

#include <lithops/value.h>

#include <pthread.h>
#include <stdatomic.h>

enum { LITHOPS__K8S_RUN = 17, LITHOPS__K8S_NAME = 64, LITHOPS__K8S_PAGE = 1400 };

/* ---- plugin.c -------------------------------------------------------------------------------- */

/* What a plugin gave. */
struct lithops__k8s_granted {
    char *token, *certificate, *key; /* for lithops__secret_free() */
    double expires;                  /* seconds since 1970; 0: not said */
};
int lithops__k8s_plugin(const struct lithops__k8s_access *access,
                        const struct lithops__bounds *bounds,
                        struct lithops__k8s_granted *ret_granted, lithops_error *err);
/* Of what it printed. */
int lithops__k8s_read_grant(const char *text, size_t len, struct lithops__k8s_granted *ret_granted,
                            lithops_error *err);

/* ---- api.c ----------------------------------------------------------------------------------- */

struct lithops__k8s_api;
/* Nothing is requested yet. Takes over what `access` has. ECONFIG, ENOMEM, EUNSUPPORTED */
int lithops__k8s_api_new(struct lithops__k8s_access *access, struct lithops__k8s_api **ret_api,
                         lithops_error *err);
void lithops__k8s_api_free(struct lithops__k8s_api *api); /* NULL is fine */
/* Of the cluster that the section names, and the namespace to work in, for free(). */
int lithops__k8s_open_api(const lithops_value *settings, struct lithops__k8s_api **ret_api,
                          char **ret_namespace, lithops_error *err);
const struct lithops__k8s_access *lithops__k8s_api_access(const struct lithops__k8s_api *api);

struct lithops__k8s_request {
    const char *method, *path;
    const lithops_value *body; /* NULL: none */
    const char *type;          /* of the body; NULL: JSON */
    unsigned attempts;         /* while the server is away or asks to wait; 0: 1 */
    struct lithops__bounds bounds;
};
/* Thread-safe.
 * @param ret_answer  NULL: it does not matter
 * @return 0; ENOTFOUND; EEXIST; EDENIED, which a quota is, too (`is_quota`); EBACKEND; EUSAGE: the
 *         server does not accept the document; ETHROTTLED, ETIMEDOUT, ECANCELED, ENOMEM. */
int lithops__k8s_ask(struct lithops__k8s_api *api, const struct lithops__k8s_request *request,
                     lithops_value **ret_answer, lithops_error *err);
bool lithops__k8s_is_quota(const lithops_error *err);
/* What follows a page of a list, for "&continue="; "": nothing. EBACKEND: it is no token. */
int lithops__k8s_next_page(const lithops_value *answer, char *buf, size_t size, lithops_error *err);
/* Append a name that comes after "/" or "=" in a path. */
void lithops__k8s_path(char *buf, size_t size, const char *format, ...) LITHOPS_PRINTF(3, 4);

/* A watch: `came` gets each line as it comes, and says whether to go on. Ends when the server ends
 * it, which it does from time to time: 0. Errors as above. */
int lithops__k8s_watch(struct lithops__k8s_api *api, const char *path,
                       const struct lithops__bounds *bounds,
                       bool (*came)(void *user, const char *line, size_t len), void *user,
                       lithops_error *err);

/* ---- job.c ----------------------------------------------------------------------------------- */

struct lithops__k8s_options {
    const lithops_value *settings; /* the section */
    char *namespace;
    char run[LITHOPS__K8S_RUN];        /* tells this executor's Jobs from all others */
    char client[LITHOPS__CLIENT_MARK]; /* this user on this machine */
    uint32_t max_workers, worker_processes, idle_timeout_ms, start_timeout_s, lifetime_s,
        lost_timeout_ms;
};
/* `settings` is borrowed. ECONFIG, ENOMEM */
int lithops__k8s_options_read(const lithops_value *settings,
                              struct lithops__k8s_options *ret_options, lithops_error *err);
void lithops__k8s_options_deinit(struct lithops__k8s_options *options);

/* Which worker a Job is. */
struct lithops__k8s_link {
    uint32_t worker, serial;
    const char *key, *executor;
};
void lithops__k8s_name(const struct lithops__k8s_options *options, uint32_t worker, uint32_t serial,
                       char ret_name[LITHOPS__K8S_NAME]);
/* ECONFIG: job_template cannot be merged. */
int lithops__k8s_job(const struct lithops__k8s_options *options,
                     const struct lithops__k8s_link *link, lithops_value **ret_job,
                     lithops_error *err);
int lithops__k8s_secret(const struct lithops__k8s_options *options,
                        const struct lithops__k8s_link *link, const char *job_uid,
                        const char *config, lithops_value **ret_secret, lithops_error *err);
/* Lay `over` upon `base`: maps are merged, lists of maps that have names by these, null removes;
 * all else of `over` takes the place of what was there. Consumes `base`. */
lithops_value *lithops__k8s_merge(lithops_value *base, const lithops_value *over);

/* ---- explain.c ------------------------------------------------------------------------------- */

enum lithops__k8s_phase {
    LITHOPS__K8S_UNSEEN,
    LITHOPS__K8S_PENDING,
    LITHOPS__K8S_RUNNING,
    LITHOPS__K8S_ENDED,
};
struct lithops__k8s_pod {
    enum lithops__k8s_phase phase;
    char uid[64], name[128], node[128];
    char why[512];    /* why it is pending, or how it ended; "" where nobody says */
    bool is_hopeless; /* pending for ever: waiting is of no use */
    bool is_failed;   /* ended other than by itself and well */
    bool is_deleted;  /* asked to go, and has `grace_s` for that */
    int64_t grace_s;
    unsigned heard; /* how often it was heard of; of lithops__k8s_pods_get() */
};
/* Of a Pod as the API has it. Whatever is not as expected counts as not said. */
void lithops__k8s_read_pod(const lithops_value *pod, struct lithops__k8s_pod *ret_pod);
/* Why a Job has no pod, of the list of its events; "" where none says it. */
void lithops__k8s_read_events(const lithops_value *list, char *buf, size_t size);

/* ---- pods.c ---------------------------------------------------------------------------------- */

struct lithops__k8s_pods;
/* Of the Jobs of `options->run`; both outlive it. Starts a thread. */
int lithops__k8s_pods_new(struct lithops__k8s_api *api, const struct lithops__k8s_options *options,
                          struct lithops__k8s_pods **ret_pods, lithops_error *err);
void lithops__k8s_pods_free(struct lithops__k8s_pods *pods); /* NULL is fine */
/* A Job is about to be made. */
int lithops__k8s_pods_expect(struct lithops__k8s_pods *pods, uint32_t worker, uint32_t serial,
                             lithops_error *err);
/* What is known of its pod now. */
void lithops__k8s_pods_get(struct lithops__k8s_pods *pods, uint32_t worker,
                           struct lithops__k8s_pod *ret_pod);
/* Why pods are not heard of; "": they are. */
void lithops__k8s_pods_trouble(struct lithops__k8s_pods *pods, char *buf, size_t size);
/* Wait until more than `heard` is heard of it, or for so long. ECANCELED once `cancel_fd` is
 * readable. */
int lithops__k8s_pods_wait(struct lithops__k8s_pods *pods, uint32_t worker, unsigned heard,
                           int cancel_fd, int timeout_ms, lithops_error *err);

/* ---- turns.c --------------------------------------------------------------------------------- */

struct lithops__k8s_turns;
/* So many at a time. */
int lithops__k8s_turns_new(unsigned count, struct lithops__k8s_turns **ret_turns,
                           lithops_error *err);
void lithops__k8s_turns_free(struct lithops__k8s_turns *turns); /* NULL is fine */
/* Wait for a turn, which end() is called after.
 * @return 0; what somebody's turn failed with meanwhile; ECANCELED once `cancel_fd` is readable */
int lithops__k8s_turns_take(struct lithops__k8s_turns *turns, int cancel_fd, lithops_error *err);
/* @param why  NULL: it went well; else who waits now fails with that, too */
void lithops__k8s_turns_end(struct lithops__k8s_turns *turns, const lithops_error *why);

/* ---- sweep.c --------------------------------------------------------------------------------- */

struct lithops__k8s_sweeper;
/* Deletes Jobs in a thread of its own. */
int lithops__k8s_sweeper_new(struct lithops__k8s_api *api,
                             const struct lithops__k8s_options *options,
                             struct lithops__k8s_sweeper **ret_sweeper, lithops_error *err);
/* Deletes what is left of this run, within some seconds, and one more for ten Jobs. NULL is fine.
 */
void lithops__k8s_sweeper_free(struct lithops__k8s_sweeper *sweeper);
/* A Job was asked for, and may be there whatever the answer was. */
void lithops__k8s_sweeper_expect(struct lithops__k8s_sweeper *sweeper);
void lithops__k8s_sweeper_add(struct lithops__k8s_sweeper *sweeper, const char *job);

/* The Jobs of this user's dead clients on this machine; as `clean` of struct lithops__compute_ops.
 */
int lithops__k8s_clean(const struct lithops__compute_driver *driver,
                       const struct lithops__config *config,
                       bool (*is_alive)(const char *executor_id), bool dry_run,
                       uint64_t *ret_removed, lithops_error *err);

#endif
