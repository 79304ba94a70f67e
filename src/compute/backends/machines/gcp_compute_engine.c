/* SPDX-License-Identifier: Apache-2.0 */
/* Machines of Google Compute Engine, by version 1 of its REST API.
 *
 * A machine's id is its name, which is the token of the wish: so a request that is made twice makes
 * one machine. One that is turned off from within is stopped, and its disk costs money. So it is
 * deleted, by two others:
 * - the machine, with the token of the service account that it has, if it has one that may;
 * - Google, once it has run for the wish's limit. */
#include "base/error.h"
#include "base/log.h"
#include "compute/backends/machines/machines.h"
#include "net/aws_remote.h"
#include "net/oauth.h"
#include "net/sign.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define API "/compute/v1/"
#define UBUNTU "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-"
#define CLOUD_PLATFORM "https://www.googleapis.com/auth/cloud-platform"
#define METADATA "http://169.254.169.254"

enum { PLACE = 128, PAGE = 500, SHORTEST_RUN_S = 30, LONGEST_RUN_S = 120 * 86400 };

struct gce {
    struct lithops__cloud_rest rest;
    char *project;
    char zone[PLACE];
    pthread_mutex_t lock;
    /* under lock */
    bool is_image_known; /* it is there, and good */
    bool is_told;        /* what is left of machines that cannot delete themselves */
};

static const char *text_of(const struct gce *gce, const char *key)
{
    return lithops__cloud_setting(gce->rest.settings, key);
}

static bool is_on(const struct gce *gce, const char *key)
{
    return lithops__cloud_is_on(gce->rest.settings, key);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static const char quota[] = "; lower max_workers, or ask Google for a higher quota";
static const char capacity[] =
    "; try later, or another worker_instance_type or gcp_compute_engine.zone";

/* Those of requests, and those of operations, which are in capitals. */
static const struct lithops__web_code codes[] = {
    {"authError", LITHOPS_EDENIED, false, "; check the key of the service account and the clock"},
    {"forbidden", LITHOPS_EDENIED, false, "; the account needs the permission"},
    {"insufficientPermissions", LITHOPS_EDENIED, false,
     "; this machine's service account needs the scope cloud-platform"},
    {"accessNotConfigured", LITHOPS_EDENIED, false,
     "; allow it: gcloud services enable compute.googleapis.com"},
    {"rateLimitExceeded", LITHOPS_ETHROTTLED, true, NULL},
    {"userRateLimitExceeded", LITHOPS_ETHROTTLED, true, NULL},
    {"quotaExceeded", LITHOPS_ETHROTTLED, false, quota},
    {"QUOTA_EXCEEDED", LITHOPS_ETHROTTLED, false, quota},
    {"QUOTA_EXCEEDED_FOR_RESOURCE", LITHOPS_ETHROTTLED, false, quota},
    {"ZONE_RESOURCE_POOL_EXHAUSTED", LITHOPS_ETHROTTLED, false, capacity},
    {"ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", LITHOPS_ETHROTTLED, false, capacity},
    {"RESOURCE_POOL_EXHAUSTED", LITHOPS_ETHROTTLED, false, capacity},
    {"STOCKOUT", LITHOPS_ETHROTTLED, false, capacity},
    {"PERMISSIONS_ERROR", LITHOPS_EDENIED, false, "; the account needs the permission"},
    {"resourceNotReady", LITHOPS_EBACKEND, true, NULL},
    {"RESOURCE_OPERATION_RATE_EXCEEDED", LITHOPS_ETHROTTLED, true, NULL},
    {NULL, 0, false, NULL},
};
static const char *const expired[] = {"authError", "UNAUTHENTICATED", NULL};

/* ---- opening --------------------------------------------------------------------------------- */

static int find_place(struct gce *gce, const char *own_project, lithops_error *err)
{
    const char *project = text_of(gce, "project_name"), *zone = text_of(gce, "zone");
    project = project ? project : own_project;
    if (!zone)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the backend gcp_compute_engine needs the key 'zone', as in "
                             "us-east1-b");
    if (strlen(zone) >= PLACE || zone[strspn(zone, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "gcp_compute_engine.zone is '%.100s', which is no zone", zone);
    if (!project)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the backend gcp_compute_engine needs a project: set project_name in "
                             "its section or in the section 'gcp'");
    if (strpbrk(project, "/?#% \r\n"))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "gcp_compute_engine.project_name is '%.100s', which is no project",
                             project);
    snprintf(gce->zone, sizeof gce->zone, "%s", zone);
    gce->project = strdup(project);
    return gce->project
               ? lithops__cloud_rest_find(&gce->rest, "https://compute.googleapis.com", err)
               : lithops__cloud_fail_memory(&gce->rest, err);
}

static int gce_open(void *state, const lithops_value *settings, lithops_error *err)
{
    struct gce *gce = state;
    struct lithops__cloud_rest *rest = &gce->rest;
    char *project = NULL;
    rest->settings = settings;
    rest->section = "gcp_compute_engine";
    rest->title = "Google Compute Engine";
    rest->makes = "instances.insert";
    rest->codes = codes;
    rest->expired = expired;
    pthread_mutex_init(&gce->lock, NULL);
    const char *path = text_of(gce, "credentials_path");
    path = path ? path : lithops__environment("GOOGLE_APPLICATION_CREDENTIALS");
    int rc = lithops__web_init(&rest->web, "gcp_compute_engine", NULL, NULL, err);
    if (rc == 0 && path && !rest->web.crypto)
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                           "gcp_compute_engine needs the module crypto, to sign with the key of a "
                           "service account");
    if (rc == 0)
        rc = path ? lithops__google_open(rest->web.http, rest->web.crypto, path, CLOUD_PLATFORM,
                                         &rest->tokens, &project, err)
                  : lithops__google_machine_open(rest->web.http, &rest->tokens, err);
    if (rc == 0)
        rc = find_place(gce, project, err);
    free(project);
    return rc;
}

static void gce_close(void *state)
{
    struct gce *gce = state;
    lithops__cloud_rest_close(&gce->rest);
    free(gce->project);
    pthread_mutex_destroy(&gce->lock);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* @param path  as of a question */
static int ask(struct gce *gce, const char *method, const char *what, char *path,
               lithops_value *body, const struct lithops__bounds *bounds,
               lithops_value **ret_answer, lithops_error *err)
{
    const struct lithops__cloud_question question = {method, what, path, body};
    return lithops__cloud_ask(&gce->rest, &question, bounds, ret_answer, err);
}

/* The path of those of a kind, of one of them, or of what is to be done with one: NULL where it is
 * not said. */
static char *in_zone(const struct gce *gce, const char *kind, const char *name, const char *verb)
{
    struct lithops__buffer path = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&path, API "projects/%s/zones/%s/%s", gce->project, gce->zone, kind);
    if (name)
        lithops__buffer_printf(&path, "/%s", name);
    if (verb)
        lithops__buffer_printf(&path, "/%s", verb);
    return lithops__buffer_steal(&path);
}

/* ---- images ---------------------------------------------------------------------------------- */

/* The path of a resource that the user names by its URL, its path, or its name alone.
 * @param otherwise  what is before the name then */
static char *path_of(const char *name, const char *otherwise)
{
    struct lithops__buffer path = LITHOPS__BUFFER_INIT;
    const char *project = strstr(name, "projects/");
    if (project)
        lithops__buffer_append_string(&path, project);
    else
        lithops__buffer_printf(&path, "%s%s", otherwise, name);
    char *text = lithops__buffer_steal(&path);
    for (char *c = text; c && *c; c++)
        if (strchr("?#% \r\n", *c))
            *c = '_';
    return text;
}

static char *image_path(const struct gce *gce)
{
    char before[2 * PLACE + 64];
    const char *image = text_of(gce, "source_image");
    bool is_arm = lithops__machines_are_arm();
    snprintf(before, sizeof before, "projects/%.128s/global/images/", gce->project);
    return path_of(image ? image : is_arm ? UBUNTU "arm64" : UBUNTU "amd64", before);
}

static int find_image(struct gce *gce, const struct lithops__bounds *bounds, lithops_error *err)
{
    lithops_value *image = NULL;
    char *name = image_path(gce), *path = NULL;
    if (name && asprintf(&path, API "%s", name) < 0)
        path = NULL;
    free(name);
    int rc = ask(gce, "GET", "images.get", path, NULL, bounds, &image, err);
    const char *machine = lithops__cloud_text(image, "architecture");
    const char *own = lithops__machines_are_arm() ? "ARM64" : "X86_64";
    if (rc == LITHOPS_ENOTFOUND)
        lithops__fail(err, rc = LITHOPS_ECONFIG,
                      "Google Compute Engine has no image '%s': set "
                      "gcp_compute_engine.source_image to one",
                      text_of(gce, "source_image") ? text_of(gce, "source_image")
                                                   : "of Ubuntu 24.04");
    if (rc == 0 && *machine && strcmp(machine, own) != 0)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "the image '%s' is for %s, and the engine that would be sent there is "
                           "for %s: set gcp_compute_engine.source_image to another one",
                           lithops__cloud_text(image, "name"), machine, own);
    lithops_value_free(image);
    return rc;
}

static int check_image(struct gce *gce, const struct lithops__bounds *bounds, lithops_error *err)
{
    pthread_mutex_lock(&gce->lock);
    int rc = gce->is_image_known ? 0 : find_image(gce, bounds, err);
    gce->is_image_known |= rc == 0;
    pthread_mutex_unlock(&gce->lock);
    return rc;
}

/* ---- making ---------------------------------------------------------------------------------- */

static const char *type_of(const struct gce *gce)
{
    const char *type = text_of(gce, "worker_instance_type");
    return type ? type : lithops__machines_are_arm() ? "t2a-standard-2" : "e2-standard-2";
}

/* The number in its name; where there is none, it is a small one that shares 2. */
static uint32_t gce_cpus(const void *state)
{
    const char *type = type_of(state);
    static const char *const shared[] = {"e2-micro", "e2-small", "e2-medium"};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        if (strcmp(type, shared[i]) == 0)
            return 2;
    if (strcmp(type, "f1-micro") == 0 || strcmp(type, "g1-small") == 0)
        return 1;
    for (const char *c = strchr(type, '-'); c; c = strchr(c + 1, '-')) {
        char *end;
        unsigned long cpus = strtoul(c + 1, &end, 10);
        if (end != c + 1 && (*end == '\0' || *end == '-'))
            return cpus <= 1024 ? (uint32_t)cpus : 0;
    }
    return 0;
}

static const char *account_of(const struct gce *gce)
{
    const char *account = text_of(gce, "service_account");
    return account ? account : text_of(gce, "service_account_email");
}

static void gce_describe(const void *state, struct lithops__buffer *out)
{
    const struct gce *gce = state;
    static const char *const keys[] = {"source_image", "boot_disk_type", "network_name",
                                       "subnet_name"};
    lithops__buffer_printf(out, "%s %s %s %s|%d", gce->project, gce->zone, type_of(gce),
                           account_of(gce) ? account_of(gce) : "",
                           lithops__cloud_is_public(gce->rest.settings));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        lithops__buffer_printf(out, "|%s", text_of(gce, keys[i]) ? text_of(gce, keys[i]) : "");
    lithops__buffer_printf(
        out, "|%lld%d%d",
        (long long)lithops_value_get_int(lithops_value_get(gce->rest.settings, "boot_disk_size")),
        is_on(gce, "request_spot_instances"), is_on(gce, "delete_on_dismantle"));
}

static lithops_value *disk_of(const struct gce *gce, const lithops__machine_tags tags)
{
    const char *type = text_of(gce, "boot_disk_type");
    char size[24], full[2 * PLACE];
    lithops_value *labels = lithops__cloud_pack_tags(tags);
    char *image = image_path(gce);
    snprintf(
        size, sizeof size, "%lld",
        (long long)lithops_value_get_int(lithops_value_get(gce->rest.settings, "boot_disk_size")));
    snprintf(full, sizeof full, "zones/%s/diskTypes/%.60s", gce->zone, type ? type : "pd-standard");
    lithops_value *disk =
        labels && image ? lithops_pack("{s:b,s:b,s:{s:s,s:s,s:s,s:O}}", "boot", 1, "autoDelete", 1,
                                       "initializeParams", "sourceImage", image, "diskSizeGb", size,
                                       "diskType", full, "labels", labels)
                        : NULL;
    lithops_value_free(labels);
    free(image);
    return disk;
}

static lithops_value *network_of(const struct gce *gce)
{
    const char *network = text_of(gce, "network_name"), *subnet = text_of(gce, "subnet_name");
    char before[3 * PLACE];
    lithops_value *face = lithops_value_map();
    int rc = face ? 0 : LITHOPS_ENOMEM;
    size_t region = strlen(gce->zone); /* of a zone: what is before the last '-' */
    while (region > 0 && gce->zone[region - 1] != '-')
        region--;
    char *text = NULL;
    if (subnet) {
        snprintf(before, sizeof before, "projects/%.128s/regions/%.*s/subnetworks/", gce->project,
                 region ? (int)region - 1 : 0, gce->zone);
        text = path_of(subnet, before);
    } else if (network) {
        snprintf(before, sizeof before, "projects/%.128s/global/networks/", gce->project);
        text = path_of(network, before);
    }
    if (rc == 0)
        rc = lithops_value_set(face, subnet ? "subnetwork" : "network",
                               lithops_value_string(text ? text : "global/networks/default"));
    if (rc == 0 && lithops__cloud_is_public(gce->rest.settings))
        rc = lithops_value_set(
            face, "accessConfigs",
            lithops_pack("[{s:s,s:s}]", "name", "External NAT", "type", "ONE_TO_ONE_NAT"));
    bool failed = rc != 0 || (!text && (subnet || network));
    free(text);
    if (!failed)
        return face;
    lithops_value_free(face);
    return NULL;
}

/* When it ends without the machine's help. A spot instance is told it, too, when it is preempted.
 */
static lithops_value *schedule_of(const struct gce *gce, uint32_t limit_s)
{
    bool is_spot = is_on(gce, "request_spot_instances");
    const char *end = is_on(gce, "delete_on_dismantle") ? "DELETE" : "STOP";
    lithops_value *schedule =
        lithops_pack("{s:s}", "provisioningModel", is_spot ? "SPOT" : "STANDARD");
    char seconds[24];
    int rc = schedule ? 0 : LITHOPS_ENOMEM;
    snprintf(seconds, sizeof seconds, "%u",
             limit_s < SHORTEST_RUN_S  ? SHORTEST_RUN_S
             : limit_s > LONGEST_RUN_S ? LONGEST_RUN_S
                                       : limit_s);
    bool is_limited = limit_s > 0;
    if (rc == 0 && is_limited)
        rc = lithops_value_set(schedule, "maxRunDuration",
                               lithops_pack("{s:s}", "seconds", seconds));
    if (rc == 0 && (is_limited || is_spot))
        rc = lithops_value_set(schedule, "instanceTerminationAction", lithops_value_string(end));
    if (rc == 0 && is_spot)
        rc = lithops_value_set(schedule, "automaticRestart", lithops_value_bool(false));
    if (rc == 0 && is_spot)
        rc = lithops_value_set(schedule, "onHostMaintenance", lithops_value_string("TERMINATE"));
    if (rc == 0)
        return schedule;
    lithops_value_free(schedule);
    return NULL;
}

/* NULL: out of memory. */
static lithops_value *instance_of(const struct gce *gce, const struct lithops__machine_wish *wish)
{
    const char *account = account_of(gce);
    char type[2 * PLACE];
    snprintf(type, sizeof type, "zones/%s/machineTypes/%.60s", gce->zone, type_of(gce));
    lithops_value *disk = disk_of(gce, wish->tags), *network = network_of(gce),
                  *schedule = schedule_of(gce, wish->limit_s),
                  *labels = lithops__cloud_pack_tags(wish->tags);
    lithops_value *instance = NULL;
    if (disk && network && schedule && labels)
        instance = lithops_pack("{s:s,s:s,s:O,s:[O],s:[O],s:O,s:{s:[{s:s,s:s},{s:s,s:s}]}}", "name",
                                wish->token, "machineType", type, "labels", labels, "disks", disk,
                                "networkInterfaces", network, "scheduling", schedule, "metadata",
                                "items", "key", "user-data", "value", wish->user_data, "key",
                                "enable-oslogin", "value", "FALSE");
    if (instance && account &&
        lithops_value_set(
            instance, "serviceAccounts",
            lithops_pack("[{s:s,s:[s]}]", "email", account, "scopes", CLOUD_PLATFORM)) != 0) {
        lithops_value_free(instance);
        instance = NULL;
    }
    lithops_value_free(disk);
    lithops_value_free(network);
    lithops_value_free(schedule);
    lithops_value_free(labels);
    return instance;
}

/* Whether an operation that is over has failed. */
static int judge(const struct gce *gce, const lithops_value *operation, lithops_error *err)
{
    const lithops_value *error =
        lithops__cloud_first(lithops_value_get(lithops_value_get(operation, "error"), "errors"));
    int64_t status = lithops_value_get_int(lithops_value_get(operation, "httpErrorStatusCode"));
    return error ? lithops__cloud_refuse(gce->rest.title, "instances.insert", codes,
                                         lithops__cloud_text(error, "code"),
                                         lithops__cloud_text(error, "message"), (long)status, err)
                 : 0;
}

/* Until it is known whether the machine is made. Where that cannot be learned, it may be: what
 * follows finds out. */
static int await_made(struct gce *gce, lithops_value *operation,
                      const struct lithops__bounds *bounds, lithops_error *err)
{
    struct lithops__retry pause = {
        .attempts = UINT32_MAX, .first_delay_ms = 200, .bounds = *bounds};
    lithops_error again = {.retryable = true}, error = LITHOPS_ERROR_INIT;
    char name[PLACE];
    snprintf(name, sizeof name, "%.100s", lithops__cloud_text(operation, "name"));
    int rc = 0;
    for (bool is_first = true;
         rc == 0 && strcmp(lithops__cloud_text(operation, "status"), "DONE") != 0;
         is_first = false) {
        if (!is_first && !lithops__retry_again(&pause, &again, 0))
            break;
        lithops_value_free(operation);
        operation = NULL;
        rc = ask(gce, "POST", "zoneOperations.wait", in_zone(gce, "operations", name, "wait"),
                 lithops_value_map(), bounds, &operation, &error);
    }
    rc = operation ? judge(gce, operation, err) : 0;
    lithops_value_free(operation);
    return rc;
}

static void tell_what_stays(struct gce *gce, const struct lithops__machine_wish *wish)
{
    pthread_mutex_lock(&gce->lock);
    bool is_first = !gce->is_told;
    gce->is_told = true;
    pthread_mutex_unlock(&gce->lock);
    if (is_first && wish->limit_s && !account_of(gce) && is_on(gce, "delete_on_dismantle"))
        lithops__log(LITHOPS_LOG_WARNING, "gcp_compute_engine",
                     "without service_account a machine that ends itself is stopped, and its disk "
                     "stays until 'lithops clean'");
}

/* What can be known without making one. */
static int try_out(struct gce *gce, const struct lithops__bounds *bounds, lithops_error *err)
{
    lithops_value *type = NULL;
    int rc = ask(gce, "GET", "machineTypes.get", in_zone(gce, "machineTypes", type_of(gce), NULL),
                 NULL, bounds, &type, err);
    lithops_value_free(type);
    if (rc == LITHOPS_ENOTFOUND)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "%s has no machines of type '%s' for %s: set "
                           "gcp_compute_engine.worker_instance_type, or another zone",
                           gce->zone, type_of(gce), gce->project);
    return rc;
}

static int gce_create(void *state, const struct lithops__machine_wish *wish,
                      const struct lithops__bounds *bounds, char ret_id[LITHOPS__MACHINE_ID],
                      lithops_error *err)
{
    struct gce *gce = state;
    lithops_value *operation = NULL;
    int rc = check_image(gce, bounds, err);
    if (wish->is_trial)
        return rc ? rc : try_out(gce, bounds, err);
    tell_what_stays(gce, wish);
    if (rc == 0)
        rc = ask(gce, "POST", "instances.insert", in_zone(gce, "instances", NULL, NULL),
                 instance_of(gce, wish), bounds, &operation, err);
    if (rc == LITHOPS_EEXIST) /* nobody else has that name: the answer before this one was lost */
        rc = 0;
    else if (rc == 0)
        rc = await_made(gce, operation, bounds, err);
    if (rc == 0)
        snprintf(ret_id, LITHOPS__MACHINE_ID, "%s", wish->token);
    return rc;
}

/* ---- looking --------------------------------------------------------------------------------- */

static const struct lithops__cloud_state states[] = {
    {"PENDING", LITHOPS__MACHINE_COMING},      {"PROVISIONING", LITHOPS__MACHINE_COMING},
    {"STAGING", LITHOPS__MACHINE_COMING},      {"REPAIRING", LITHOPS__MACHINE_COMING},
    {"RUNNING", LITHOPS__MACHINE_RUNNING},     {"PENDING_STOP", LITHOPS__MACHINE_STOPPING},
    {"STOPPING", LITHOPS__MACHINE_STOPPING},   {"SUSPENDING", LITHOPS__MACHINE_STOPPING},
    {"TERMINATED", LITHOPS__MACHINE_STOPPED},  {"STOPPED", LITHOPS__MACHINE_STOPPED},
    {"SUSPENDED", LITHOPS__MACHINE_SUSPENDED}, {NULL, LITHOPS__MACHINE_GONE},
};

/* Seconds since 1970 of a time as in 2026-11-30T12:00:00.123-08:00; 0: it is none. */
static uint64_t seconds_of(const char *text)
{
    struct tm when = {.tm_isdst = 0};
    int hours = 0, minutes = 0;
    if (sscanf(text, "%d-%d-%dT%d:%d:%d", &when.tm_year, &when.tm_mon, &when.tm_mday, &when.tm_hour,
               &when.tm_min, &when.tm_sec) != 6)
        return 0;
    when.tm_year -= 1900;
    when.tm_mon--;
    const char *zone = strpbrk(text + strlen("2026-11-30T"), "+-");
    if (zone && sscanf(zone + 1, "%d:%d", &hours, &minutes) != 2)
        return 0;
    int64_t offset = 3600 * hours + 60 * minutes;
    int64_t utc = (int64_t)timegm(&when) + (zone && *zone == '+' ? -offset : offset);
    return utc > 0 ? (uint64_t)utc : 0;
}

struct listing {
    struct gce *gce;
    const struct lithops__machine_query *query;
    lithops__machine_visit *visit;
    void *user;
};

static void visit_one(const lithops_value *instance, void *user)
{
    const struct listing *listing = user;
    struct lithops__machine one = {
        .state = lithops__cloud_state(states, lithops__cloud_text(instance, "status"))};
    const lithops_value *face =
        lithops__cloud_first(lithops_value_get(instance, "networkInterfaces"));
    const lithops_value *schedule =
        lithops_value_get(lithops_value_get(instance, "resourceStatus"), "scheduling");
    if (!lithops__cloud_is_id(lithops__cloud_text(instance, "name")))
        return;
    snprintf(one.id, sizeof one.id, "%s", lithops__cloud_text(instance, "name"));
    snprintf(one.private_ip, sizeof one.private_ip, "%.63s",
             lithops__cloud_text(face, "networkIP"));
    snprintf(one.public_ip, sizeof one.public_ip, "%.63s",
             lithops__cloud_text(lithops__cloud_first(lithops_value_get(face, "accessConfigs")),
                                 "natIP"));
    snprintf(one.why, sizeof one.why, "%.150s", lithops__cloud_text(instance, "statusMessage"));
    lithops__cloud_read_tags(lithops_value_get(instance, "labels"), one.tags);
    one.until_s = seconds_of(lithops__cloud_text(schedule, "terminationTimestamp"));
    listing->visit(&one, listing->user);
}

static char *list_path(const struct gce *gce, const struct lithops__machine_query *query,
                       const char *page)
{
    struct lithops__buffer path = LITHOPS__BUFFER_INIT;
    char filter[3 * LITHOPS__MACHINE_TAG];
    snprintf(filter, sizeof filter, "labels.%s = \"%s\"", lithops__machine_tag_names[query->tag],
             query->value);
    lithops__buffer_printf(&path,
                           API "projects/%s/zones/%s/instances?maxResults=%d&filter=", gce->project,
                           gce->zone, PAGE);
    lithops__url_encode(&path, filter, strlen(filter), false);
    if (*page) {
        lithops__buffer_append_string(&path, "&pageToken=");
        lithops__url_encode(&path, page, strlen(page), false);
    }
    return lithops__buffer_steal(&path);
}

static bool next_page(void *state, const lithops_value *answer, char **ret_path)
{
    const struct listing *listing = state;
    const char *token = lithops__cloud_text(answer, "nextPageToken");
    return !*token || (*ret_path = list_path(listing->gce, listing->query, token)) != NULL;
}

static int gce_list(void *state, const struct lithops__machine_query *query,
                    const struct lithops__bounds *bounds, lithops__machine_visit *visit, void *user,
                    lithops_error *err)
{
    struct gce *gce = state;
    struct listing listing = {gce, query, visit, user};
    const struct lithops__cloud_pages pages = {"instances.list", "items", next_page, visit_one,
                                               &listing};
    lithops_value *answer = NULL;
    if (!query->id)
        return lithops__cloud_ask_pages(&gce->rest, &pages, list_path(gce, query, ""), bounds, err);
    if (!lithops__cloud_is_id(query->id))
        return lithops__fail(err, LITHOPS_ECONFIG, "'%.100s' is no name of a machine of Google's",
                             query->id);
    int rc = ask(gce, "GET", "instances.get", in_zone(gce, "instances", query->id, NULL), NULL,
                 bounds, &answer, err);
    if (rc == 0)
        visit_one(answer, &listing);
    lithops_value_free(answer);
    return rc;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int gce_start(void *state, const char *id, const struct lithops__bounds *bounds,
                     lithops_error *err)
{
    return ask(state, "POST", "instances.start", in_zone(state, "instances", id, "start"),
               lithops_value_map(), bounds, NULL, err);
}

static int delete_one(void *state, const char *id, const struct lithops__bounds *bounds,
                      lithops_error *err)
{
    return ask(state, "DELETE", "instances.delete", in_zone(state, "instances", id, NULL), NULL,
               bounds, NULL, err);
}

static int gce_terminate(void *state, const char *const *ids, size_t count,
                         const struct lithops__bounds *bounds, lithops_error *err)
{
    return lithops__cloud_each(state, ids, count, bounds, delete_one, err);
}

/* Labels are replaced as a whole, unless somebody has changed them since they were read. */
static int set_labels(struct gce *gce, const char *id, const lithops__machine_tags tags,
                      const struct lithops__bounds *bounds, lithops_error *err)
{
    lithops_value *instance = NULL;
    int rc = ask(gce, "GET", "instances.get", in_zone(gce, "instances", id, NULL), NULL, bounds,
                 &instance, err);
    const lithops_value *old = lithops_value_get(instance, "labels");
    lithops_value *labels = lithops__cloud_pack_tags(tags);
    for (size_t i = 0; rc == 0 && labels && i < lithops_value_size(old); i++) {
        const char *name;
        const lithops_value *value = lithops_value_pair(old, i, &name);
        if (!lithops_value_get(labels, name) &&
            lithops_value_set(labels, name, lithops_value_copy(value)) != 0)
            rc = lithops__cloud_fail_memory(&gce->rest, err);
    }
    if (rc == 0 && labels)
        rc = ask(gce, "POST", "instances.setLabels", in_zone(gce, "instances", id, "setLabels"),
                 lithops_pack("{s:O,s:s}", "labels", labels, "labelFingerprint",
                              lithops__cloud_text(instance, "labelFingerprint")),
                 bounds, NULL, err);
    else if (rc == 0)
        rc = lithops__cloud_fail_memory(&gce->rest, err);
    lithops_value_free(labels);
    lithops_value_free(instance);
    return rc;
}

static int gce_tag(void *state, const char *id, const lithops__machine_tags tags,
                   const struct lithops__bounds *bounds, lithops_error *err)
{
    enum { TRIES = 5 };
    int rc = 0;
    for (int i = 0; i < TRIES; i++) {
        *err = (lithops_error)LITHOPS_ERROR_INIT;
        rc = set_labels(state, id, tags, bounds, err);
        if (rc == 0 || err->http_status != 412)
            break;
    }
    return rc;
}

/* It has no token where it has no service account, and then is just turned off. */
static void gce_add_end(const void *state, enum lithops__machine_ending how,
                        struct lithops__buffer *out)
{
    const struct gce *gce = state;
    if (how != LITHOPS__ENDING_DELETES || !account_of(gce))
        return;
    lithops__cloud_add_call(out);
    lithops__buffer_printf(
        out,
        "m=" METADATA "/computeMetadata/v1/instance\n"
        "ask() { curl -sf -m 20 --retry 3 -H 'Metadata-Flavor: Google' \"$m/$1\"; }\n"
        "t=$(ask service-accounts/default/token | sed 's/.*\"access_token\" *: *\"//; s/\".*//')\n"
        "call DELETE \"%s" API "$(ask zone)/instances/$(ask name)\" >/dev/null\n",
        gce->rest.endpoint);
}

const struct lithops__cloud lithops__cloud_gcp_compute_engine = {
    .name = "gcp_compute_engine",
    .title = "Google Compute Engine",
    .trial = "the type and the image of its machines are there",
    .id_key = "instance_name",
    .state_size = sizeof(struct gce),
    .open = gce_open,
    .close = gce_close,
    .describe = gce_describe,
    .cpus = gce_cpus,
    .create = gce_create,
    .list = gce_list,
    .start = gce_start,
    .terminate = gce_terminate,
    .tag = gce_tag,
    .add_end = gce_add_end,
};
