/* SPDX-License-Identifier: Apache-2.0 */
/* Runtimes of aws_lambda: functions are made, brought up to date, listed and deleted.
 *
 * A function is deployed once for each runtime and memory, and then invoked by all jobs. The
 * service would run an event up to twice more when it fails, and calls with it: it is told not to,
 * as the engine itself knows which calls to run again. */
#include "base/error.h"
#include "compute/backends/aws_lambda/aws_lambda.h"
#include "compute/linked.h"
#include "compute/package.h"
#include "net/sign.h"
#include "relay/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

enum {
    ALL_MS = 600000,  /* a deployment */
    ROLE_TRIES = 20,  /* a role that was just made is not known everywhere at once */
    EVENT_AGE_S = 60, /* clients wait for a worker for 30 s; this is the least that is possible */
    DESCRIBE_MS = 120000,
    PAGES_MAX = 1000,
};

struct deploying {
    struct lithops__aws_api api;
    struct lithops__lambda_wanted wanted;
    struct lithops__bounds bounds;
    lithops_value *settings;
};

static int begin(struct deploying *deploying, const struct lithops__config *config,
                 const struct lithops__runtime_wish *wish, lithops_error *err)
{
    struct timespec now;
    *deploying = (struct deploying){.settings = lithops__linked_settings(config, "aws_lambda")};
    clock_gettime(CLOCK_MONOTONIC, &now);
    deploying->bounds.deadline_ns =
        (uint64_t)now.tv_sec * 1000000000u + (uint64_t)ALL_MS * 1000000u;
    int rc = deploying->settings
                 ? lithops__lambda_want(deploying->settings, wish->name, NULL, wish->memory_mb,
                                        wish->timeout_s, &deploying->wanted, err)
                 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = lithops__aws_open(&deploying->api, &lithops__lambda_service, deploying->settings, err);
    return rc;
}

static void end(struct deploying *deploying)
{
    lithops__aws_close(&deploying->api);
    lithops_value_free(deploying->settings);
}

/* Make a request whose answer of 2xx is wanted. `body` is freed. `ret_document` may be NULL. */
static int request(struct deploying *deploying, const char *method, const char *path,
                   const char *query, lithops_value *body, const char *what, char **ret_document,
                   lithops_error *err)
{
    char *text = NULL, message[256];
    struct lithops__aws_answer answer = {.document = NULL};
    int rc = body ? lithops_value_to_json(body, &text, err) : 0;
    lithops_value_free(body);
    struct lithops__aws_request made = {.method = method,
                                        .path = path,
                                        .query = query,
                                        .body = text,
                                        .waits = strcmp(method, "PUT") == 0,
                                        .bounds = deploying->bounds};
    if (rc == 0)
        rc = lithops__aws_do(&deploying->api, &made, &answer, err);
    free(text);
    if (rc != 0)
        return rc;
    snprintf(message, sizeof message, "cannot %s %s", what, deploying->wanted.name);
    if (answer.status >= 300)
        rc = lithops__aws_fail(&deploying->api, &answer, message, err);
    else if (ret_document) {
        *ret_document = answer.document;
        answer.document = NULL;
    }
    lithops__aws_answer_deinit(&answer);
    return rc;
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static const lithops_value *get(const lithops_value *map, const char *key)
{
    const lithops_value *value = lithops_value_get(map, key);
    return lithops_value_type(value) == LITHOPS_NULL ? NULL : value;
}

static lithops_value *copy_or(const lithops_value *value, lithops_type type, lithops_value *other)
{
    if (!value || lithops_value_type(value) != type)
        return other;
    lithops_value_free(other);
    return lithops_value_copy(value);
}

static bool has_interpreter(const struct lithops__lambda_wanted *wanted)
{
    return strncmp(wanted->runtime, "python3.", 8) == 0;
}

/* The variables of the function. Numbers are texts there. */
static lithops_value *make_variables(const struct deploying *deploying)
{
    const lithops_value *own = get(deploying->settings, "env_vars");
    lithops_value *map = lithops_value_map();
    int failed = map ? 0 : 1;
    for (size_t i = 0; !failed && i < lithops_value_size(own); i++) {
        const char *key;
        const lithops_value *value = lithops_value_pair(own, i, &key);
        char *text = NULL;
        if (lithops_value_type(value) == LITHOPS_STRING)
            failed = lithops_value_set(map, key, lithops_value_copy(value));
        else if (lithops_value_to_json(value, &text, NULL) == 0)
            failed = lithops_value_set(map, key, lithops_value_string(text));
        free(text);
    }
    /* Where the platform has an interpreter it runs that, unless a wrapper says otherwise. */
    if (!failed && has_interpreter(&deploying->wanted))
        failed = lithops_value_set(map, "AWS_LAMBDA_EXEC_WRAPPER",
                                   lithops_value_string("/var/task/bootstrap"));
    if (!failed)
        return map;
    lithops_value_free(map);
    return NULL;
}

static lithops_value *make_file_systems(const lithops_value *efs)
{
    lithops_value *list = lithops_value_list();
    for (size_t i = 0; list && i < lithops_value_size(efs); i++) {
        const lithops_value *one = lithops_value_at(efs, i);
        const char *point = lithops_value_get_string(get(one, "access_point"));
        const char *path = lithops_value_get_string(get(one, "mount_path"));
        if (lithops_value_append(list, lithops_pack("{s:s,s:s}", "Arn", point ? point : "",
                                                    "LocalMountPath", path ? path : "")) != 0) {
            lithops_value_free(list);
            return NULL;
        }
    }
    return list;
}

static int check_settings(const struct deploying *deploying, lithops_error *err)
{
    const char *role = lithops_value_get_string(get(deploying->settings, "execution_role"));
    const char *machine = lithops_value_get_string(get(deploying->settings, "architecture"));
    const lithops_value *efs = get(deploying->settings, "efs");
    struct utsname system;
    if (!role || !*role)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the backend aws_lambda needs the key 'execution_role' in the section "
                             "'aws_lambda': the ARN of the role that functions have");
    for (size_t i = 0; i < lithops_value_size(efs); i++) {
        const char *path = lithops_value_get_string(get(lithops_value_at(efs, i), "mount_path"));
        if (!path || strncmp(path, "/mnt/", 5) != 0 ||
            !lithops_value_get_string(get(lithops_value_at(efs, i), "access_point")))
            return lithops__fail(err, LITHOPS_ECONFIG,
                                 "each of the key 'efs' needs an access_point, and a mount_path "
                                 "below /mnt/");
    }
    if (lithops__lambda_is_image(deploying->wanted.runtime) || uname(&system) != 0)
        return 0;
    bool is_arm = machine && strcmp(machine, "arm64") == 0;
    if (strcmp(system.machine, is_arm ? "aarch64" : "x86_64") != 0)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "the key 'architecture' is %s, and this engine runs on %s: deploy "
                             "from such a machine",
                             is_arm ? "arm64" : "x86_64", system.machine);
    return 0;
}

static bool set(lithops_value *map, const char *key, lithops_value *value)
{
    return value && lithops_value_set(map, key, value) == 0;
}

/* What UpdateFunctionConfiguration takes, and CreateFunction among others. */
static lithops_value *make_configuration(const struct deploying *deploying)
{
    const struct lithops__lambda_wanted *wanted = &deploying->wanted;
    const lithops_value *settings = deploying->settings, *vpc = get(settings, "vpc");
    char description[320];
    int64_t storage = lithops_value_get_int(get(settings, "ephemeral_storage"));
    snprintf(description, sizeof description, "Lithops %s, protocol %d, %.200s", LITHOPS_VERSION,
             lithops__relay_protocol(), wanted->runtime);
    lithops_value *subnets = copy_or(get(vpc, "subnets"), LITHOPS_LIST, lithops_value_list());
    lithops_value *groups =
        copy_or(get(vpc, "security_groups"), LITHOPS_LIST, lithops_value_list());
    lithops_value *map = lithops_pack(
        "{s:s,s:I,s:I,s:s,s:{s:o},s:{s:o,s:o},s:{s:I}}", "Role",
        lithops_value_get_string(get(settings, "execution_role")), "MemorySize", wanted->memory_mb,
        "Timeout", wanted->timeout_s, "Description", description, "Environment", "Variables",
        make_variables(deploying), "VpcConfig", "SubnetIds", subnets, "SecurityGroupIds", groups,
        "EphemeralStorage", "Size", storage ? storage : 512);
    bool good = map && set(map, "FileSystemConfigs", make_file_systems(get(settings, "efs")));
    if (good && !lithops__lambda_is_image(wanted->runtime))
        good = set(map, "Runtime", lithops_value_string(wanted->runtime)) &&
               set(map, "Handler", lithops_value_string("lithops.worker"));
    if (good)
        return map;
    lithops_value_free(map);
    return NULL;
}

/* The package, or the image. */
static lithops_value *make_code(const struct deploying *deploying, lithops_error *err)
{
    struct lithops__buffer zip = LITHOPS__BUFFER_INIT;
    lithops_value *map = NULL;
    if (lithops__lambda_is_image(deploying->wanted.runtime)) {
        map = lithops_pack("{s:s}", "ImageUri", deploying->wanted.runtime);
    } else if (lithops__lambda_package(&zip, err) == 0) {
        char *text = malloc(4 * (zip.len / 3) + 5);
        if (text) {
            lithops__base64(zip.data, zip.len, text);
            map = lithops_pack("{s:s}", "ZipFile", text);
        }
        free(text);
    } else {
        lithops__buffer_deinit(&zip);
        return NULL;
    }
    lithops__buffer_deinit(&zip);
    if (!map)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a package");
    return map;
}

/* ---- deploy ---------------------------------------------------------------------------------- */

static lithops_value *make_architectures(const struct deploying *deploying)
{
    const char *machine = lithops_value_get_string(get(deploying->settings, "architecture"));
    return lithops_pack("[s]", machine ? machine : "x86_64");
}

static lithops_value *make_creation(const struct deploying *deploying, lithops_error *err)
{
    lithops_value *code = make_code(deploying, err);
    if (!code)
        return NULL;
    lithops_value *map = make_configuration(deploying);
    lithops_value *tags =
        copy_or(get(deploying->settings, "user_tags"), LITHOPS_MAP, lithops_value_map());
    bool good = map && tags && set(tags, "type", lithops_value_string("lithops-runtime")) &&
                set(tags, "lithops_version", lithops_value_string(LITHOPS_VERSION));
    if (!good) {
        lithops_value_free(tags);
        lithops_value_free(code);
    } else {
        good = set(map, "Tags", tags) && set(map, "Code", code) &&
               set(map, "FunctionName", lithops_value_string(deploying->wanted.name)) &&
               set(map, "Architectures", make_architectures(deploying)) &&
               set(map, "PackageType",
                   lithops_value_string(
                       lithops__lambda_is_image(deploying->wanted.runtime) ? "Image" : "Zip"));
    }
    if (good)
        return map;
    lithops_value_free(map);
    lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return NULL;
}

/* A role that was made a moment ago cannot be assumed yet. */
static int create(struct deploying *deploying, lithops_error *err)
{
    struct lithops__retry retry = {
        .attempts = ROLE_TRIES, .first_delay_ms = 1000, .bounds = deploying->bounds};
    lithops_error error;
    int rc;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        lithops_value *body = make_creation(deploying, &error);
        rc = body ? request(deploying, "POST", "/2015-03-31/functions", "", body,
                            "create the function", NULL, &error)
                  : error.code;
        error.retryable = rc != 0 && strstr(error.message, "cannot be assumed") != NULL;
    } while (rc != 0 && lithops__retry_again(&retry, &error, 0));
    if (rc != 0)
        *err = error;
    return rc ? error.code : 0;
}

/* @param is_to_be_mended  one whose making, or last update, has failed is fine */
static int await_ready(struct deploying *deploying, bool is_to_be_mended, lithops_error *err)
{
    struct lithops__lambda_function function;
    int rc = lithops__lambda_await(&deploying->api, deploying->wanted.name, &deploying->bounds,
                                   &function, err);
    if (rc != 0 && is_to_be_mended && function.has_failed) {
        *err = (lithops_error)LITHOPS_ERROR_INIT;
        return 0;
    }
    return rc == 0 && !function.exists
               ? lithops__fail(err, LITHOPS_ENOTFOUND, "the function %s is gone",
                               deploying->wanted.name)
               : rc;
}

static int update(struct deploying *deploying, lithops_error *err)
{
    char path[256];
    const char *name = deploying->wanted.name;
    snprintf(path, sizeof path, "/2015-03-31/functions/%s/code", name);
    lithops_value *body = make_code(deploying, err);
    if (!body)
        return err->code;
    if (!set(body, "Architectures", make_architectures(deploying))) {
        lithops_value_free(body);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    int rc = await_ready(deploying, true, err); /* somebody else may be at it */
    if (rc != 0) {
        lithops_value_free(body);
        return rc;
    }
    rc = request(deploying, "PUT", path, "", body, "update the function", NULL, err);
    if (rc == 0)
        rc = await_ready(deploying, false, err);
    body = rc == 0 ? make_configuration(deploying) : NULL;
    if (rc == 0 && !body)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    snprintf(path, sizeof path, "/2015-03-31/functions/%s/configuration", name);
    if (rc == 0)
        rc = request(deploying, "PUT", path, "", body, "configure the function", NULL, err);
    return rc;
}

/* Events that fail are not run again: calls would run twice. */
static int forbid_retries(struct deploying *deploying, lithops_error *err)
{
    char path[256];
    snprintf(path, sizeof path, "/2019-09-25/functions/%s/event-invoke-config",
             deploying->wanted.name);
    lithops_value *body = lithops_pack("{s:i,s:i}", "MaximumRetryAttempts", 0,
                                       "MaximumEventAgeInSeconds", EVENT_AGE_S);
    return body ? request(deploying, "PUT", path, "", body, "forbid retries of the function", NULL,
                          err)
                : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* Have the worker there say what it is: whether it runs at all, and which Pythons it has. */
static int describe(struct deploying *deploying, lithops_value **ret_meta, lithops_error *err)
{
    char path[256], what[128];
    struct lithops__aws_answer answer;
    snprintf(path, sizeof path, "/2015-03-31/functions/%s/invocations", deploying->wanted.name);
    const struct lithops__aws_request made = {.method = "POST",
                                              .path = path,
                                              .type = "RequestResponse",
                                              .body = "{\"describe\": true}",
                                              .waits = true,
                                              .stall_timeout_ms = DESCRIBE_MS,
                                              .bounds = deploying->bounds};
    int rc = lithops__aws_do(&deploying->api, &made, &answer, err);
    if (rc != 0)
        return rc;
    snprintf(what, sizeof what, "cannot run the function %s", deploying->wanted.name);
    lithops_value *meta = NULL;
    if (answer.status >= 300)
        rc = lithops__aws_fail(&deploying->api, &answer, what, err);
    else
        meta = lithops_value_from_json(answer.document, strlen(answer.document), NULL);
    if (rc == 0 && !lithops_value_get_string(get(meta, "version")))
        rc = lithops__fail(err, LITHOPS_EBACKEND, "%s: it answers '%.300s'", what, answer.document);
    lithops__aws_answer_deinit(&answer);
    if (rc == 0)
        *ret_meta = meta;
    else
        lithops_value_free(meta);
    return rc;
}

static int deploy(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                  bool must_exist, char **ret_name, lithops_value **ret_meta, lithops_error *err)
{
    struct deploying deploying;
    struct lithops__lambda_function function = {.exists = false};
    lithops_value *meta = NULL;
    int rc = begin(&deploying, config, wish, err);
    if (rc == 0)
        rc = check_settings(&deploying, err);
    if (rc == 0)
        rc = lithops__lambda_look(&deploying.api, deploying.wanted.name, &deploying.bounds,
                                  &function, err);
    if (rc == 0 && must_exist && !function.exists)
        rc = lithops__fail(err, LITHOPS_ENOTFOUND,
                           "there is no function %s: 'lithops runtime deploy' makes it",
                           deploying.wanted.name);
    if (rc == 0)
        rc = function.exists ? update(&deploying, err) : create(&deploying, err);
    if (rc != 0 && !function.exists && err->http_status == 409) { /* it came in between */
        *err = (lithops_error)LITHOPS_ERROR_INIT;
        rc = update(&deploying, err);
    }
    if (rc == 0)
        rc = await_ready(&deploying, false, err);
    if (rc == 0)
        rc = forbid_retries(&deploying, err);
    if (rc == 0)
        rc = describe(&deploying, &meta, err);
    char *name = rc == 0 ? strdup(deploying.wanted.name) : NULL;
    if (rc == 0 && !name)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    end(&deploying);
    if (rc != 0) {
        lithops_value_free(meta);
        return rc;
    }
    *ret_name = name;
    *ret_meta = meta;
    return 0;
}

/* ---- build, list, remove --------------------------------------------------------------------- */

static int build(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                 char **ret_text, lithops_error *err)
{
    const char *path = wish->file ? wish->file : "lithops-aws_lambda.zip";
    struct lithops__buffer zip = LITHOPS__BUFFER_INIT;
    (void)config;
    if (wish->dockerfile || (wish->name && lithops__lambda_is_image(wish->name)))
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "images are not built here: build '%.200s' with docker, with the "
                             "files of 'lithops runtime build' in /var/task, and push it",
                             wish->name ? wish->name : wish->dockerfile);
    int rc = lithops__lambda_package(&zip, err);
    if (rc == 0)
        rc = lithops__package_write(path, &zip, err);
    if (rc == 0 && asprintf(ret_text, "%s: %zu KiB", path, zip.len >> 10) < 0)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops__buffer_deinit(&zip);
    return rc;
}

static const char *text_at(const lithops_value *map, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, key));
    return text ? text : "";
}

/* Functions of ours have our description. */
static int visit_page(const lithops_value *functions,
                      int (*visit)(const struct lithops__runtime_seen *seen, void *user),
                      void *user)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(functions); i++) {
        const lithops_value *map = lithops_value_at(functions, i);
        char engine[32], runtime[256];
        int protocol;
        if (strncmp(text_at(map, "FunctionName"), "lithops-", 8) != 0 ||
            sscanf(text_at(map, "Description"), "Lithops %31[^,], protocol %d, %255s", engine,
                   &protocol, runtime) != 3)
            continue;
        const struct lithops__runtime_seen seen = {
            .name = runtime,
            .where = text_at(map, "FunctionName"),
            .engine = engine,
            .memory_mb = lithops_value_get_int(get(map, "MemorySize")),
            .timeout_s = lithops_value_get_int(get(map, "Timeout"))};
        rc = visit(&seen, user);
    }
    return rc;
}

static int list(const struct lithops__config *config,
                int (*visit)(const struct lithops__runtime_seen *seen, void *user), void *user,
                lithops_error *err)
{
    const struct lithops__runtime_wish any = {.name = NULL};
    struct deploying deploying;
    char *marker = NULL;
    int rc = begin(&deploying, config, &any, err);
    for (int page = 0; rc == 0 && page < PAGES_MAX; page++) {
        struct lithops__buffer query = LITHOPS__BUFFER_INIT;
        char *document = NULL;
        if (marker) {
            lithops__buffer_append_string(&query, "Marker=");
            lithops__url_encode(&query, marker, strlen(marker), false);
            lithops__buffer_append_string(&query, "&");
        }
        lithops__buffer_append_string(&query, "MaxItems=50");
        char *text = lithops__buffer_steal(&query);
        rc = text ? request(&deploying, "GET", "/2015-03-31/functions", text, NULL,
                            "list functions like", &document, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        free(text);
        lithops_value *map =
            rc == 0 ? lithops_value_from_json(document, strlen(document), err) : NULL;
        free(document);
        if (rc == 0 && !map)
            rc = err->code;
        if (rc == 0)
            rc = visit_page(lithops_value_get(map, "Functions"), visit, user);
        free(marker);
        marker = rc == 0 && *text_at(map, "NextMarker") ? strdup(text_at(map, "NextMarker")) : NULL;
        lithops_value_free(map);
        if (!marker)
            break;
    }
    free(marker);
    end(&deploying);
    return rc;
}

static int remove_one(const struct lithops__config *config,
                      const struct lithops__runtime_wish *wish, char **ret_name, lithops_error *err)
{
    struct deploying deploying;
    char path[256];
    int rc = begin(&deploying, config, wish, err);
    snprintf(path, sizeof path, "/2015-03-31/functions/%s", deploying.wanted.name);
    if (rc == 0)
        rc = request(&deploying, "DELETE", path, "", NULL, "delete the function", NULL, err);
    if (rc == 0 && !(*ret_name = strdup(deploying.wanted.name)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    end(&deploying);
    return rc;
}

const struct lithops__runtime_ops lithops__lambda_runtimes = {
    .build = build, .deploy = deploy, .list = list, .remove = remove_one};
