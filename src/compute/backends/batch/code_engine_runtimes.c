/* SPDX-License-Identifier: Apache-2.0 */
/* Runtimes of code_engine: jobs, to which runs refer, and the project that has them.
 *
 * The image is made as for other containers (oci/runtimes.c). What is deployed for it is a job for
 * each image and size; a project is made where there is none of the name, and a secret by which the
 * service fetches the image, where the configuration knows of a password for its registry. */
#include "base/clock.h"
#include "base/error.h"
#include "compute/backends/batch/code_engine.h"
#include "compute/oci/oci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_S = 600, FIRST_DELAY_MS = 500 };

struct deploying {
    struct lithops__code_engine engine;
    struct lithops__bounds bounds;
    lithops_value *settings;
};

/* For end(), on failure too. */
static int begin(struct deploying *deploying, const struct lithops__config *config,
                 const struct lithops__runtime_wish *wish, lithops_error *err)
{
    *deploying = (struct deploying){
        .settings = lithops__linked_settings(config, "code_engine"),
        .bounds = {lithops__now_ns() + ALL_S * (uint64_t)1000000000, NULL, NULL}};
    return deploying->settings ? lithops__code_engine_open(&deploying->engine, deploying->settings,
                                                           wish ? wish->name : NULL,
                                                           wish ? wish->memory_mb : 0, err)
                               : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

static void end(struct deploying *deploying)
{
    if (deploying->settings)
        lithops__code_engine_close(&deploying->engine);
    lithops_value_free(deploying->settings);
}

/* Of something in the project. */
static int ask(struct deploying *deploying, const char *method, const char *path,
               lithops_value *body, const char *what, lithops_error *err)
{
    const struct lithops__ibm_request request = {
        .method = method, .path = path, .body = body, .what = what, .bounds = deploying->bounds};
    if (!body && strcmp(method, "GET") != 0 && strcmp(method, "DELETE") != 0)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return lithops__code_engine_do(&deploying->engine, &request, NULL, err);
}

/* Make something, or change what is there to be like that. */
static int put(struct deploying *deploying, const char *kind, const char *name, const char *method,
               lithops_value *body, const char *what, lithops_error *err)
{
    char path[LITHOPS__CODE_ENGINE_NAME + 16];
    lithops_value *again = lithops_value_copy(body);
    if (again && strcmp(method, "PATCH") == 0 && !lithops_value_get(again, "image_secret") &&
        lithops_value_set(again, "image_secret", lithops_value_null()) != 0) {
        lithops_value_free(again); /* one that it had would stay */
        again = NULL;
    }
    if (body && lithops_value_set(body, "name", lithops_value_string(name)) != 0) {
        lithops_value_free(body);
        body = NULL;
    }
    snprintf(path, sizeof path, "/%s", kind);
    int rc = ask(deploying, "POST", path, body, what, err);
    if (rc == 0 || err->http_status != 409) {
        lithops_value_free(again);
        return rc;
    }
    *err = (lithops_error)LITHOPS_ERROR_INIT;
    snprintf(path, sizeof path, "/%s/%s", kind, name);
    return ask(deploying, method, path, again, what, err);
}

/* ---- the project ----------------------------------------------------------------------------- */

static int await_project(struct deploying *deploying, lithops_error *err)
{
    struct lithops__retry retry = {
        .attempts = UINT32_MAX, .first_delay_ms = FIRST_DELAY_MS, .bounds = deploying->bounds};
    char id[LITHOPS__CODE_ENGINE_NAME], status[LITHOPS__CODE_ENGINE_STATUS] = "";
    lithops_error error;
    int rc;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        rc = lithops__code_engine_project(&deploying->engine, &deploying->bounds, id, status,
                                          &error);
        error.retryable = rc == LITHOPS_ENOTFOUND && !strstr(status, "failed");
    } while (rc != 0 && lithops__retry_again(&retry, &error, 0));
    if (rc != 0)
        *err = error;
    return rc;
}

static int make_project(struct deploying *deploying, bool must_exist, lithops_error *err)
{
    const char *group = lithops__batch_text(deploying->settings, "resource_group_id");
    char id[LITHOPS__CODE_ENGINE_NAME], status[LITHOPS__CODE_ENGINE_STATUS] = "";
    int rc = lithops__code_engine_project(&deploying->engine, &deploying->bounds, id, status, err);
    if (rc != LITHOPS_ENOTFOUND || must_exist)
        return rc;
    if (!status[0]) {
        lithops_value *body = lithops_pack("{s:s}", "name", deploying->engine.project_name);
        if (body && group &&
            lithops_value_set(body, "resource_group_id", lithops_value_string(group)) != 0) {
            lithops_value_free(body);
            body = NULL;
        }
        const struct lithops__ibm_request request = {.method = "POST",
                                                     .path = "/v2/projects",
                                                     .body = body,
                                                     .what = "cannot make the project",
                                                     .bounds = deploying->bounds};
        *err = (lithops_error)LITHOPS_ERROR_INIT;
        rc = body ? lithops__ibm_do(&deploying->engine.api, &request, NULL, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        if (rc != 0 && err->http_status != 409)
            return rc;
    }
    *err = (lithops_error)LITHOPS_ERROR_INIT;
    return await_project(deploying, err);
}

/* ---- the registry ---------------------------------------------------------------------------- */

/* @param ret_name  of the secret by which the image is fetched; "": it is public */
static int make_registry(struct deploying *deploying, char ret_name[LITHOPS__CODE_ENGINE_NAME],
                         lithops_error *err)
{
    const lithops_value *settings = deploying->settings;
    const char *own = lithops__batch_text(settings, "image_secret"),
               *user = lithops__batch_text(settings, "docker_user"),
               *password = lithops__batch_text(settings, "docker_password"),
               *server = lithops__batch_text(settings, "docker_server");
    struct lithops__oci_name name;
    snprintf(ret_name, LITHOPS__CODE_ENGINE_NAME, "%s", own ? own : "");
    if (own || !user || !password)
        return 0;
    int rc = lithops__oci_name(deploying->engine.image, &name, err);
    if (rc != 0)
        return rc;
    if (!server)
        server = name.registry;
    if (strcmp(server, "docker.io") == 0) /* where it is noted by this name */
        server = "https://index.docker.io/v1/";
    snprintf(ret_name, LITHOPS__CODE_ENGINE_NAME, "lithops-registry-%08x-%08x",
             lithops__batch_hash(server), lithops__batch_hash(user));
    return put(deploying, "secrets", ret_name, "PUT",
               lithops_pack("{s:s,s:{s:s,s:s,s:s}}", "format", "registry", "data", "server", server,
                            "username", user, "password", password),
               "cannot make the secret of the registry", err);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static int make_job(struct deploying *deploying, const char *registry, lithops_error *err)
{
    const struct lithops__code_engine *engine = &deploying->engine;
    lithops_value *body =
        lithops_pack("{s:s,s:[s],s:[s,s],s:[{s:s,s:s,s:s}],s:s,s:s,s:i}", "image_reference",
                     engine->image, "run_commands", "lithops", "run_arguments", "worker", "--batch",
                     "run_env_variables", "type", "literal", "name", LITHOPS__CODE_ENGINE_MARK,
                     "value", LITHOPS_VERSION, "scale_cpu_limit", engine->cpus,
                     "scale_memory_limit", engine->memory, "scale_retry_limit", 0);
    if (body && registry[0] &&
        lithops_value_set(body, "image_secret", lithops_value_string(registry)) != 0) {
        lithops_value_free(body);
        body = NULL;
    }
    return put(deploying, "jobs", engine->job, "PATCH", body, "cannot deploy the job", err);
}

/* @param method  "GET": whether it is there; "DELETE" */
static int find_job(struct deploying *deploying, const char *method, lithops_error *err)
{
    char path[LITHOPS__CODE_ENGINE_NAME + 16];
    snprintf(path, sizeof path, "/jobs/%s", deploying->engine.job);
    int rc = ask(deploying, method, path, NULL, "cannot ask for the job", err);
    return rc != 0 && err->http_status == 404
               ? lithops__fail(err, LITHOPS_ENOTFOUND,
                               "there is no job %s: 'lithops runtime deploy' makes it",
                               deploying->engine.job)
               : rc;
}

/* ---- the slots ------------------------------------------------------------------------------- */

static int build(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                 char **ret_text, lithops_error *err)
{
    return lithops__image_runtimes.build(config, wish, ret_text, err);
}

/* The image is not looked at, so nobody knows which engine it has: workers of another one say so.
 */
static int deploy(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                  bool must_exist, char **ret_name, lithops_value **ret_meta, lithops_error *err)
{
    struct deploying deploying;
    char registry[LITHOPS__CODE_ENGINE_NAME];
    int rc = begin(&deploying, config, wish, err);
    if (rc == 0)
        rc = make_project(&deploying, must_exist, err);
    if (rc == 0 && must_exist)
        rc = find_job(&deploying, "GET", err);
    if (rc == 0)
        rc = make_registry(&deploying, registry, err);
    if (rc == 0)
        rc = make_job(&deploying, registry, err);
    if (rc == 0)
        rc = lithops__batch_deployed(deploying.engine.job, ret_name, ret_meta, err);
    end(&deploying);
    return rc;
}

struct visitor {
    int (*visit)(const struct lithops__runtime_seen *seen, void *user);
    void *user;
};

/* "0.25G" or "256M". */
static int64_t read_memory(const char *text)
{
    char *unit;
    double number = text ? strtod(text, &unit) : 0;
    return text ? (int64_t)(*unit == 'G' ? number * 1024 : number) : 0;
}

/* Those that have our mark. */
static int list_one(const lithops_value *job, void *user)
{
    const struct visitor *visitor = user;
    const lithops_value *variables = lithops__batch_get(job, "run_env_variables");
    const char *name = lithops__batch_text(job, "name"),
               *image = lithops__batch_text(job, "image_reference"), *version = NULL;
    for (size_t i = 0; i < lithops_value_size(variables); i++) {
        const lithops_value *one = lithops_value_at(variables, i);
        const char *variable = lithops__batch_text(one, "name");
        if (variable && strcmp(variable, LITHOPS__CODE_ENGINE_MARK) == 0)
            version = lithops__batch_text(one, "value");
    }
    if (!name || !version || !image)
        return 0;
    const struct lithops__runtime_seen seen = {
        .name = image,
        .where = name,
        .engine = version,
        .memory_mb = read_memory(lithops__batch_text(job, "scale_memory_limit"))};
    return visitor->visit(&seen, visitor->user);
}

static int list(const struct lithops__config *config,
                int (*visit)(const struct lithops__runtime_seen *seen, void *user), void *user,
                lithops_error *err)
{
    struct deploying deploying;
    struct lithops__runtime_wish any = {.name = "any"};
    struct visitor visitor = {visit, user};
    int rc = begin(&deploying, config, &any, err);
    if (rc == 0)
        rc = lithops__code_engine_each(&deploying.engine, "/jobs", "jobs", "cannot list jobs",
                                       list_one, &visitor, &deploying.bounds, err);
    end(&deploying);
    return rc;
}

static int remove_runtime(const struct lithops__config *config,
                          const struct lithops__runtime_wish *wish, char **ret_name,
                          lithops_error *err)
{
    struct deploying deploying;
    int rc = begin(&deploying, config, wish, err);
    if (rc == 0)
        rc = find_job(&deploying, "DELETE", err);
    if (rc == 0)
        rc = lithops__batch_deployed(deploying.engine.job, ret_name, NULL, err);
    end(&deploying);
    return rc;
}

const struct lithops__runtime_ops lithops__batch_code_engine_runtimes = {
    .build = build, .deploy = deploy, .list = list, .remove = remove_runtime};
