/* SPDX-License-Identifier: Apache-2.0 */
/* IBM Code Engine: what jobs need of its API, version 2.
 *
 * A run belongs to a project and refers to a job, which has the image and its size: runtime deploy
 * makes both (code_engine_runtimes.c). Its instances are numbered. What they are told is a secret
 * of the project, which has the name of the run, and which they see as a file: a run itself may
 * have 10 KiB, and everybody who may look at it sees its environment. A secret is made before its
 * run, and removed after it, so whoever knows the secrets knows the runs.
 *
 * Names are chosen here, so a request that is made again makes nothing twice. A run can only be
 * ended as a whole, by being deleted, and stays until it is. Nothing is repeated by the service:
 * the engine knows which calls may run again. */
#include "compute/backends/batch/code_engine.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/batch_job.h"
#include "net/sign.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All instances of a run are told of in one answer, with some 150 bytes for each. */
enum { MOST_PARTS = 1000, MOST_BYTES = 200000, PAGES_MAX = 1000, REMOVE_S = 5 };

#define FOLDER "/lithops" /* of instances, where the file is */
#define FILE_NAME "job"

static const struct lithops__ibm_service service = {
    "Code Engine", "code_engine", "https://api.%s.codeengine.cloud.ibm.com", "2026-09-01"};

/* ---- opening --------------------------------------------------------------------------------- */

/* What the service gives: 2, 4 or 8 GB for each CPU, 48 at most. */
static int check_size(double cpus, double memory_gb, lithops_error *err)
{
    static const double known[] = {0.125, 0.25, 0.5, 1, 2, 4, 6, 8, 10, 12};
    bool is_there = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        is_there = is_there || fabs(known[i] - cpus) < 1e-6;
    if (!is_there)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "Code Engine has 0.125, 0.25, 0.5, 1, 2, 4, 6, 8, 10 or 12 CPUs: "
                             "code_engine.runtime_cpu is %g",
                             cpus);
    double each = memory_gb / cpus;
    if (memory_gb <= 48 && (each == 2 || each == 4 || each == 8))
        return 0;
    char most[32] = "";
    if (cpus * 8 <= 48)
        snprintf(most, sizeof most, " or %g", cpus * 8 * 1024);
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "with %g CPUs Code Engine has %g or %g%s MB of memory: "
                         "code_engine.runtime_memory is %g",
                         cpus, cpus * 2 * 1024, cpus * 4 * 1024, most, memory_gb * 1024);
}

/* Ours have the version of the engine in them, as upstream's have: what another one has made is not
 * taken for ours. Small letters, digits and '-', 63 at most. */
static void make_names(struct lithops__code_engine *engine, const lithops_value *settings,
                       int64_t memory_mb, double cpus)
{
    char version[9], part[13];
    const char *project = lithops__batch_text(settings, "project_name");
    lithops__batch_plain(LITHOPS_VERSION, version, sizeof version);
    lithops__batch_image(engine->image, part, sizeof part);
    snprintf(engine->job, sizeof engine->job, "lithops-%s-%s-%08x-%lldmb-%dm", version, part,
             lithops__batch_hash(engine->image), (long long)memory_mb, (int)lround(cpus * 1000));
    for (char *at = engine->job; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    snprintf(engine->project_name, sizeof engine->project_name, "%s%s",
             project ? project : "lithops-", project ? "" : engine->api.region);
}

int lithops__code_engine_open(struct lithops__code_engine *engine, const lithops_value *settings,
                              const char *image, int64_t memory_mb, lithops_error *err)
{
    *engine = (struct lithops__code_engine){.settings = lithops_value_copy(settings)};
    pthread_mutex_init(&engine->lock, NULL);
    if (!engine->settings)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    image = image ? image : lithops__batch_text(settings, "runtime");
    if (!image || strlen(image) >= sizeof engine->image)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "code_engine.runtime must name an image, as us.icr.io/me/lithops:1: "
                             "'lithops runtime build' makes one");
    snprintf(engine->image, sizeof engine->image, "%s", image);
    if (memory_mb <= 0)
        memory_mb = lithops_value_get_int(lithops__batch_get(settings, "runtime_memory"));
    double cpus = lithops_value_get_double(lithops__batch_get(settings, "runtime_cpu"));
    double memory_gb = (double)memory_mb / 1024;
    snprintf(engine->cpus, sizeof engine->cpus, "%g", cpus);
    snprintf(engine->memory, sizeof engine->memory, "%gG", memory_gb);
    const char *project = lithops__batch_text(settings, "project_id");
    if (project && (strlen(project) >= sizeof engine->project ||
                    strspn(project, "0123456789abcdefABCDEF-") != strlen(project)))
        return lithops__fail(
            err, LITHOPS_ECONFIG,
            "code_engine.project_id '%.80s' is no id of a project, as 'ibmcloud ce "
            "project list' shows them",
            project);
    snprintf(engine->project, sizeof engine->project, "%s", project ? project : "");
    int rc = check_size(cpus, memory_gb, err);
    if (rc == 0)
        rc = lithops__ibm_api_open(&engine->api, &service, settings, err);
    if (rc == 0)
        make_names(engine, settings, memory_mb, cpus);
    return rc;
}

void lithops__code_engine_close(struct lithops__code_engine *engine)
{
    lithops__ibm_api_close(&engine->api);
    lithops_value_free(engine->settings);
    engine->settings = NULL;
    pthread_mutex_destroy(&engine->lock);
}

int lithops__code_engine_check(const struct lithops__compute_driver *driver,
                               const struct lithops__config *config, lithops_error *err)
{
    const char *secret = lithops__config_string(config, driver->name, "secret");
    if (secret && *secret)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "code_engine.secret is of applications: they are the backend "
                             "code_engine_apps, with a section of that name");
    return lithops__linked_check_storage(driver, config, err);
}

/* ---- requests -------------------------------------------------------------------------------- */

static int each_page(struct lithops__code_engine *engine, const char *path, const char *list,
                     const char *what, int (*visit)(const lithops_value *one, void *user),
                     void *user, const struct lithops__bounds *bounds, lithops_error *err)
{
    struct lithops__buffer start = LITHOPS__BUFFER_INIT; /* "": of the first page */
    char url[1000];
    int rc = 0;
    for (int page = 0; rc == 0 && page < PAGES_MAX; page++) {
        lithops_value *answer = NULL;
        snprintf(url, sizeof url, "%.300s%climit=100%.*s", path, strchr(path, '?') ? '&' : '?',
                 (int)start.len, start.len ? (const char *)start.data : "");
        const struct lithops__ibm_request request = {
            .method = "GET", .path = url, .what = what, .bounds = *bounds};
        rc = lithops__ibm_do(&engine->api, &request, &answer, err);
        const lithops_value *all = lithops__batch_get(answer, list);
        for (size_t i = 0; rc == 0 && i < lithops_value_size(all); i++)
            rc = visit(lithops_value_at(all, i), user);
        const char *next = lithops__batch_text(lithops__batch_get(answer, "next"), "start");
        start.len = 0;
        if (next) {
            lithops__buffer_append_string(&start, "&start=");
            lithops__url_encode(&start, next, strlen(next), false);
        }
        if (rc == 0 && start.failed)
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        lithops_value_free(answer);
        if (!next)
            break;
    }
    lithops__buffer_deinit(&start);
    return rc;
}

struct wanted {
    const char *name;
    char id[LITHOPS__CODE_ENGINE_NAME], status[LITHOPS__CODE_ENGINE_STATUS];
};

static int find_project(const lithops_value *one, void *user)
{
    struct wanted *wanted = user;
    const char *name = lithops__batch_text(one, "name"), *id = lithops__batch_text(one, "id"),
               *status = lithops__batch_text(one, "status");
    if (!name || !id || strcmp(name, wanted->name) != 0 || strlen(id) >= sizeof wanted->id ||
        strcmp(wanted->status, "active") == 0) /* others of that name may be on their way out */
        return 0;
    snprintf(wanted->id, sizeof wanted->id, "%s", id);
    snprintf(wanted->status, sizeof wanted->status, "%.31s", status ? status : "?");
    return 0;
}

int lithops__code_engine_project(struct lithops__code_engine *engine,
                                 const struct lithops__bounds *bounds,
                                 char ret_id[LITHOPS__CODE_ENGINE_NAME],
                                 char ret_status[LITHOPS__CODE_ENGINE_STATUS], lithops_error *err)
{
    struct wanted wanted = {.name = engine->project_name};
    pthread_mutex_lock(&engine->lock);
    snprintf(ret_id, LITHOPS__CODE_ENGINE_NAME, "%s", engine->project);
    pthread_mutex_unlock(&engine->lock);
    if (ret_id[0])
        return 0;
    int rc = each_page(engine, "/v2/projects", "projects", "cannot ask for projects", find_project,
                       &wanted, bounds, err);
    if (rc != 0)
        return rc;
    if (ret_status)
        snprintf(ret_status, LITHOPS__CODE_ENGINE_STATUS, "%s", wanted.status);
    if (strcmp(wanted.status, "active") != 0)
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "the project %s of Code Engine is %s: 'lithops runtime deploy' makes "
                             "one, and code_engine.project_name or project_id name another",
                             wanted.name, wanted.id[0] ? wanted.status : "not there");
    pthread_mutex_lock(&engine->lock);
    snprintf(engine->project, sizeof engine->project, "%s", wanted.id);
    pthread_mutex_unlock(&engine->lock);
    snprintf(ret_id, LITHOPS__CODE_ENGINE_NAME, "%s", wanted.id);
    return 0;
}

int lithops__code_engine_do(struct lithops__code_engine *engine,
                            const struct lithops__ibm_request *request, lithops_value **ret_answer,
                            lithops_error *err)
{
    char id[LITHOPS__CODE_ENGINE_NAME], path[400];
    struct lithops__ibm_request whole = *request;
    int rc = lithops__code_engine_project(engine, &request->bounds, id, NULL, err);
    if (rc != 0) {
        lithops_value_free(request->body);
        return rc;
    }
    snprintf(path, sizeof path, "/v2/projects/%s%.300s", id, request->path);
    whole.path = path;
    return lithops__ibm_do(&engine->api, &whole, ret_answer, err);
}

int lithops__code_engine_each(struct lithops__code_engine *engine, const char *path,
                              const char *list, const char *what,
                              int (*visit)(const lithops_value *one, void *user), void *user,
                              const struct lithops__bounds *bounds, lithops_error *err)
{
    char id[LITHOPS__CODE_ENGINE_NAME], whole[400];
    int rc = lithops__code_engine_project(engine, bounds, id, NULL, err);
    if (rc != 0)
        return rc;
    snprintf(whole, sizeof whole, "/v2/projects/%s%.200s", id, path);
    return each_page(engine, whole, list, what, visit, user, bounds, err);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static int engine_open(void *state, const lithops_value *settings, lithops_error *err)
{
    return lithops__code_engine_open(state, settings, NULL, 0, err);
}

static void engine_close(void *state)
{
    lithops__code_engine_close(state);
}

/* One that is there has been made by this request before. */
static int make(struct lithops__code_engine *engine, const char *path, lithops_value *body,
                const char *what, const struct lithops__bounds *bounds, lithops_error *err)
{
    const struct lithops__ibm_request request = {
        .method = "POST", .path = path, .body = body, .what = what, .bounds = *bounds};
    if (!body)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = lithops__code_engine_do(engine, &request, NULL, err);
    return rc != 0 && err->http_status == 409 ? 0 : rc;
}

static int drop(struct lithops__code_engine *engine, const char *kind, const char *name,
                const char *what, const struct lithops__bounds *bounds, lithops_error *err)
{
    char path[LITHOPS__BATCH_ID + 32];
    snprintf(path, sizeof path, "/%s/%s", kind, name);
    const struct lithops__ibm_request request = {
        .method = "DELETE", .path = path, .what = what, .bounds = *bounds};
    int rc = lithops__code_engine_do(engine, &request, NULL, err);
    return rc != 0 && err->http_status == 404 ? 0 : rc;
}

static int engine_terminate(void *state, const char *id, const char *reason,
                            const struct lithops__bounds *bounds, lithops_error *err)
{
    (void)reason;
    int rc = drop(state, "job_runs", id, "cannot delete a job run", bounds, err);
    return rc ? rc : drop(state, "secrets", id, "cannot delete the secret of a run", bounds, err);
}

static lithops_value *make_run(const struct lithops__code_engine *engine, const char *name,
                               const struct lithops__batch_order *order)
{
    char array[24] = "0";
    if (order->parts > 1)
        snprintf(array, sizeof array, "0-%u", order->parts - 1);
    return lithops_pack(
        "{s:s,s:s,s:s,s:I,s:i,s:[{s:s,s:s,s:s}],s:[{s:s,s:s,s:s}]}", "job_name", engine->job,
        "name", name, "scale_array_spec", array, "scale_max_execution_time",
        (int64_t)order->lifetime_s, "scale_retry_limit", 0, "run_env_variables", "type", "literal",
        "name", LITHOPS__BATCH_FILE_VARIABLE, "value", FOLDER "/" FILE_NAME, "run_volume_mounts",
        "type", "secret", "reference", name, "mount_path", FOLDER);
}

/* Its own and a number, as names are of one run only. */
static int make_run_name(struct lithops__code_engine *engine, const char *given,
                         char name[LITHOPS__CODE_ENGINE_NAME], lithops_error *err)
{
    int len = snprintf(name, LITHOPS__CODE_ENGINE_NAME, "%.60s-%x", given,
                       atomic_fetch_add(&engine->serial, 1));
    if (len >= LITHOPS__CODE_ENGINE_NAME || strlen(given) > 60)
        return lithops__fail(err, LITHOPS_ECONFIG, "the name of the run, '%s', is too long", given);
    for (char *at = name; *at; at++)
        *at = *at == '_' ? '-' : (char)tolower((unsigned char)*at);
    return 0;
}

/* What it lacks is not always said. */
static void name_places(const struct lithops__code_engine *engine, lithops_error *err)
{
    const lithops_error before = *err;
    lithops__fail(err, before.code == LITHOPS_ENOTFOUND ? LITHOPS_ECONFIG : before.code,
                  "%.700s (job %s; 'lithops runtime deploy' makes it. A project has room for 100 "
                  "runs and 100 secrets; 'lithops clean' removes old ones)",
                  before.message, engine->job);
    err->http_status = before.http_status;
    err->retryable = before.retryable;
}

static int engine_submit(void *state, const struct lithops__batch_order *order,
                         char ret_id[LITHOPS__BATCH_ID], bool *ret_is_doubtful, lithops_error *err)
{
    struct lithops__code_engine *engine = state;
    char name[LITHOPS__CODE_ENGINE_NAME], project[LITHOPS__CODE_ENGINE_NAME];
    int rc = make_run_name(engine, order->name, name, err);
    if (rc == 0)
        rc = lithops__code_engine_project(engine, &order->bounds, project, NULL, err);
    if (rc != 0)
        return rc;
    rc = make(engine, "/secrets",
              lithops_pack("{s:s,s:s,s:{s:s}}", "format", "generic", "name", name, "data",
                           FILE_NAME, order->value),
              "cannot make the secret of a run", &order->bounds, err);
    if (rc == 0)
        rc = make(engine, "/job_runs", make_run(engine, name, order), "cannot run a job",
                  &order->bounds, err);
    if (rc == 0) {
        snprintf(ret_id, LITHOPS__BATCH_ID, "%s", name);
        return 0;
    }
    bool is_refused = err->http_status >= 400 && err->http_status < 500 && err->http_status != 429;
    if (is_refused) {
        const struct lithops__bounds bounds = {lithops__now_ns() + REMOVE_S * (uint64_t)1000000000,
                                               NULL, NULL};
        lithops_error ignored = LITHOPS_ERROR_INIT;
        name_places(engine, err);
        is_refused = engine_terminate(engine, name, "", &bounds, &ignored) == 0;
    }
    *ret_is_doubtful = !is_refused;
    return err->code;
}

static void engine_part(const char *id, uint32_t index, uint32_t parts,
                        char ret_id[LITHOPS__BATCH_ID])
{
    (void)parts;
    snprintf(ret_id, LITHOPS__BATCH_ID, "%.100s:%u", id, index);
}

/* ---- what has become of them ----------------------------------------------------------------- */

/* Whether a number is in "0-3,7". */
static bool is_among(const char *list, unsigned long number)
{
    while (list && *list) {
        char *end;
        unsigned long from = strtoul(list, &end, 10), to = from;
        if (end == list)
            return false;
        if (*end == '-')
            to = strtoul(end + 1, &end, 10);
        if (number >= from && number <= to)
            return true;
        list = *end ? end + 1 : NULL;
    }
    return false;
}

/* "pending", "running", "succeeded", "failed", or NULL: nothing is known. Of a run that has just
 * been made there may be no details yet. */
static const char *status_of(const lithops_value *run, const lithops_value *details,
                             const char *index)
{
    static const char *const lists[][2] = {{"pending_indices", "pending"},
                                           {"running_indices", "running"},
                                           {"succeeded_indices", "succeeded"},
                                           {"failed_indices", "failed"}};
    const lithops_value *one =
        lithops__batch_get(lithops__batch_get(details, "indices_details"), index);
    const char *status = lithops__batch_text(one, "status");
    if (status)
        return strcmp(status, "unknown") != 0 ? status : NULL;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (is_among(lithops__batch_text(details, lists[i][0]), strtoul(index, NULL, 10)))
            return lists[i][1];
    const char *whole = lithops__batch_text(run, "status");
    return !whole                            ? NULL
           : strcmp(whole, "failed") == 0    ? "failed"
           : strcmp(whole, "completed") == 0 ? "succeeded"
                                             : "pending";
}

/* What another instance would meet, too: the reasons are those of Kubernetes. 126 and 127 say that
 * the image has no such program. */
static bool is_hopeless(const char *why)
{
    static const char *const reasons[] = {"ErrImage",
                                          "ImagePull",
                                          "ImageInspectError",
                                          "InvalidImageName",
                                          "FetchImage",
                                          "CreateContainer",
                                          "RunContainerError",
                                          "ContainerCannotRun",
                                          "ContainerExitedCode126",
                                          "ContainerExitedCode127"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strstr(why, reasons[i]))
            return true;
    return false;
}

static void read_part(const lithops_value *run, const char *index,
                      struct lithops__batch_seen *ret_seen)
{
    const lithops_value *details = lithops__batch_get(run, "status_details");
    const lithops_value *one =
        lithops__batch_get(lithops__batch_get(details, "indices_details"), index);
    const char *status = status_of(run, details, index),
               *reason = lithops__batch_text(one, "last_failure_reason");
    if (!status)
        return;
    bool has_failed = strcmp(status, "failed") == 0, is_done = strcmp(status, "succeeded") == 0;
    ret_seen->is_known = true;
    ret_seen->phase = strcmp(status, "running") == 0 ? LITHOPS__BATCH_RUNS
                      : has_failed || is_done        ? LITHOPS__BATCH_ENDED
                                                     : LITHOPS__BATCH_WAITS;
    if (ret_seen->phase == LITHOPS__BATCH_RUNS)
        return;
    ret_seen->has_run = is_done || lithops__batch_text(one, "started_at") != NULL;
    snprintf(ret_seen->why, sizeof ret_seen->why, "%s%s%s", status, reason ? ": " : "",
             reason ? reason : "");
    ret_seen->is_hopeless = has_failed && is_hopeless(ret_seen->why);
}

static size_t run_length(const char *id)
{
    const char *colon = strchr(id, ':');
    return colon ? (size_t)(colon - id) : strlen(id);
}

static bool is_of(const char *id, const char *run, size_t len)
{
    return run_length(id) == len && strncmp(id, run, len) == 0;
}

/* All parts of the run of the first one. */
static int describe_run(struct lithops__code_engine *engine, const char *const *ids, size_t count,
                        struct lithops__batch_seen *ret_seen, const struct lithops__bounds *bounds,
                        lithops_error *err)
{
    const size_t len = run_length(ids[0]);
    char path[LITHOPS__BATCH_ID + 16];
    lithops_value *run = NULL;
    snprintf(path, sizeof path, "/job_runs/%.*s", (int)len, ids[0]);
    const struct lithops__ibm_request request = {
        .method = "GET", .path = path, .what = "cannot ask for a job run", .bounds = *bounds};
    int rc = lithops__code_engine_do(engine, &request, &run, err);
    bool is_gone = rc != 0 && err->http_status == 404;
    if (rc != 0 && !is_gone)
        return rc;
    for (size_t i = 0; i < count; i++) {
        if (!is_of(ids[i], ids[0], len))
            continue;
        if (!is_gone)
            read_part(run, ids[i] + len + 1, &ret_seen[i]);
        else
            ret_seen[i] = (struct lithops__batch_seen){.is_known = true,
                                                       .is_gone = true,
                                                       .phase = LITHOPS__BATCH_ENDED,
                                                       .why = "somebody has deleted the run"};
    }
    lithops_value_free(run);
    return 0;
}

static int engine_describe(void *state, const char *const *ids, size_t count,
                           struct lithops__batch_seen *ret_seen,
                           const struct lithops__bounds *bounds, lithops_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        bool is_first = true;
        for (size_t k = 0; is_first && k < i; k++)
            is_first = !is_of(ids[k], ids[i], run_length(ids[i]));
        if (is_first)
            rc = describe_run(state, ids + i, count - i, ret_seen + i, bounds, err);
    }
    return rc;
}

/* ---- all of them ----------------------------------------------------------------------------- */

struct listing {
    const char *prefix;
    lithops_value *names;
};

static int note_name(const lithops_value *one, void *user)
{
    const struct listing *listing = user;
    const char *name = lithops__batch_text(one, "name");
    return name && strncmp(name, listing->prefix, strlen(listing->prefix)) == 0
               ? lithops_value_append(listing->names, lithops_value_string(name))
               : 0;
}

/* First all, then each: visitors delete them. */
static int engine_list(void *state, const char *prefix,
                       int (*visit)(const char *id, const char *name, void *user), void *user,
                       const struct lithops__bounds *bounds, lithops_error *err)
{
    const struct listing listing = {prefix, lithops_value_list()};
    int rc = listing.names ? lithops__code_engine_each(state, "/secrets?format=generic", "secrets",
                                                       "cannot list secrets", note_name,
                                                       (void *)(uintptr_t)&listing, bounds, err)
                           : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < lithops_value_size(listing.names); i++) {
        const char *id = lithops_value_get_string(lithops_value_at(listing.names, i));
        char name[LITHOPS__BATCH_NAME];
        snprintf(name, sizeof name, "%s", id);
        char *number = strrchr(name, '-');
        if (!number || strlen(id) >= sizeof name)
            continue;
        *number = '\0';
        rc = visit(id, name, user);
    }
    lithops_value_free(listing.names);
    return rc;
}

static int engine_probe(void *state, char *ret_text, size_t size,
                        const struct lithops__bounds *bounds, lithops_error *err)
{
    struct lithops__code_engine *engine = state;
    char path[LITHOPS__CODE_ENGINE_NAME + 16];
    lithops_value *job = NULL;
    snprintf(path, sizeof path, "/jobs/%s", engine->job);
    const struct lithops__ibm_request request = {
        .method = "GET", .path = path, .what = "cannot ask for the job", .bounds = *bounds};
    int rc = lithops__code_engine_do(engine, &request, &job, err);
    lithops_value_free(job);
    if (rc != 0 && err->http_status == 404)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "Code Engine has no job %s: 'lithops runtime deploy' makes it",
                             engine->job);
    if (rc == LITHOPS_ENOTFOUND)
        rc = err->code = LITHOPS_EBACKEND;
    if (rc == 0)
        snprintf(ret_text, size, "runs of the job %s go to the project %s", engine->job,
                 lithops__batch_text(engine->settings, "project_id") ? engine->project
                                                                     : engine->project_name);
    return rc;
}

const struct lithops__batch_service lithops__batch_code_engine = {
    .most_parts = MOST_PARTS,
    .most_bytes = MOST_BYTES,
    .most_described = MOST_PARTS,
    .look_ms = 1000,
    .state_size = sizeof(struct lithops__code_engine),
    .takes_secrets = true,
    .ends_whole = true,
    .keeps_ended = true,
    .open = engine_open,
    .close = engine_close,
    .submit = engine_submit,
    .part = engine_part,
    .describe = engine_describe,
    .terminate = engine_terminate,
    .list = engine_list,
    .probe = engine_probe,
};
