/* SPDX-License-Identifier: Apache-2.0 */
/* Runtimes of aws_batch: job definitions, and what jobs run on.
 *
 * The image itself is made and pushed with other tools. What is deployed for it is a definition for
 * each image and size; a compute environment and a queue for each version and kind of machines are
 * made once, and are taken as they are where the configuration names others. */
#include "base/clock.h"
#include "base/error.h"
#include "compute/backends/batch/aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ALL_S = 600, FIRST_DELAY_MS = 200, PAGES_MAX = 1000 };

struct deploying {
    struct lithops__aws_batch aws;
    struct lithops__bounds bounds;
    lithops_value *settings;
};

static bool set(lithops_value *map, const char *key, lithops_value *value)
{
    return value && lithops_value_set(map, key, value) == 0;
}

/* For end(), on failure too. */
static int begin(struct deploying *deploying, const struct lithops__config *config,
                 const struct lithops__runtime_wish *wish, lithops_error *err)
{
    *deploying = (struct deploying){
        .settings = lithops__linked_settings(config, "aws_batch"),
        .bounds = {lithops__now_ns() + ALL_S * (uint64_t)1000000000, NULL, NULL}};
    return deploying->settings
               ? lithops__aws_batch_open(&deploying->aws, deploying->settings,
                                         wish ? wish->name : NULL, wish ? wish->memory_mb : 0, err)
               : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

static void end(struct deploying *deploying)
{
    if (deploying->settings)
        lithops__aws_batch_close(&deploying->aws);
    lithops_value_free(deploying->settings);
}

static int ask(struct deploying *deploying, const char *action, lithops_value *body,
               const char *what, lithops_value **ret_answer, lithops_error *err)
{
    return lithops__aws_batch_ask(&deploying->aws, action, body, what, &deploying->bounds,
                                  ret_answer, err);
}

/* ---- what jobs run on ------------------------------------------------------------------------ */

/* A compute environment, or a queue: how it is asked for, and where the answer has it. */
struct place {
    const char *action, *wanted, *list, *what;
};
static const struct place environment_place = {"describecomputeenvironments", "computeEnvironments",
                                               "computeEnvironments", "the compute environment"};
static const struct place queue_place = {"describejobqueues", "jobQueues", "jobQueues",
                                         "the queue"};

/* @param ret_is_there  and not on its way out */
static int look(struct deploying *deploying, const struct place *place, const char *name,
                bool *ret_is_there, bool *ret_is_ready, lithops_error *err)
{
    lithops_value *answer = NULL;
    char what[64];
    snprintf(what, sizeof what, "cannot ask for %s", place->what);
    int rc = ask(deploying, place->action, lithops_pack("{s:[s]}", place->wanted, name), what,
                 &answer, err);
    const lithops_value *one = lithops_value_at(lithops__batch_get(answer, place->list), 0);
    const char *status = lithops__batch_text(one, "status"),
               *state = lithops__batch_text(one, "state"),
               *why = lithops__batch_text(one, "statusReason");
    *ret_is_there = rc == 0 && status && strcmp(status, "DELETED") != 0;
    *ret_is_ready = *ret_is_there && strcmp(status, "VALID") == 0;
    if (*ret_is_there && (strcmp(status, "INVALID") == 0 || strcmp(status, "DELETING") == 0 ||
                          (state && strcmp(state, "DISABLED") == 0)))
        rc = lithops__fail(err, LITHOPS_EBACKEND, "%s %s of AWS Batch is %s, %s%s%s", place->what,
                           name, state ? state : "?", status, why ? ": " : "", why ? why : "");
    lithops_value_free(answer);
    return rc;
}

static int await_ready(struct deploying *deploying, const struct place *place, const char *name,
                       lithops_error *err)
{
    struct lithops__retry retry = {
        .attempts = UINT32_MAX, .first_delay_ms = FIRST_DELAY_MS, .bounds = deploying->bounds};
    bool is_there, is_ready = false;
    for (;;) {
        int rc = look(deploying, place, name, &is_there, &is_ready, err);
        if (rc != 0 || is_ready)
            return rc;
        lithops_error waits = LITHOPS_ERROR_INIT;
        lithops__fail(&waits, LITHOPS_ETIMEDOUT, "%s %s of AWS Batch is not ready", place->what,
                      name);
        waits.retryable = true;
        if (!lithops__retry_again(&retry, &waits, 0)) {
            *err = waits;
            return waits.code;
        }
    }
}

static int need(const lithops_value *settings, const char *key, const char *what,
                lithops_error *err)
{
    const lithops_value *value = lithops__batch_get(settings, key);
    bool is_there = lithops_value_type(value) == LITHOPS_LIST
                        ? lithops_value_size(value) > 0
                        : lithops__batch_text(settings, key) != NULL;
    return is_there ? 0
                    : lithops__fail(err, LITHOPS_ECONFIG,
                                    "the backend aws_batch needs the key '%s' in the section "
                                    "'aws_batch': %s",
                                    key, what);
}

static lithops_value *make_resources(const struct deploying *deploying)
{
    const lithops_value *settings = deploying->settings,
                        *types = lithops__batch_get(settings, "instance_types");
    const char *type = deploying->aws.type;
    lithops_value *map =
        lithops_pack("{s:s,s:I,s:O,s:O}", "type", type, "maxvCpus",
                     lithops_value_get_int(lithops__batch_get(settings, "env_max_cpus")), "subnets",
                     lithops__batch_get(settings, "subnets"), "securityGroupIds",
                     lithops__batch_get(settings, "security_groups"));
    bool good = map != NULL;
    if (good && !deploying->aws.is_fargate)
        good = set(map, "minvCpus", lithops_value_int(0)) &&
               set(map, "instanceRole",
                   lithops_value_string(lithops__batch_text(settings, "instance_role"))) &&
               set(map, "instanceTypes",
                   lithops_value_size(types) ? lithops_value_copy(types)
                                             : lithops_pack("[s]", "optimal")) &&
               set(map, "allocationStrategy",
                   lithops_value_string(strcmp(type, "SPOT") == 0 ? "SPOT_CAPACITY_OPTIMIZED"
                                                                  : "BEST_FIT_PROGRESSIVE"));
    if (good)
        return map;
    lithops_value_free(map);
    return NULL;
}

static int make_environment(struct deploying *deploying, lithops_error *err)
{
    const lithops_value *settings = deploying->settings;
    const char *role = lithops__batch_text(settings, "service_role");
    bool is_there, is_ready;
    int rc =
        look(deploying, &environment_place, deploying->aws.environment, &is_there, &is_ready, err);
    if (rc != 0 || is_there)
        return rc;
    if (lithops__batch_text(settings, "compute_environment"))
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "AWS Batch has no compute environment %s, which "
                             "aws_batch.compute_environment names",
                             deploying->aws.environment);
    rc = need(settings, "subnets", "the subnets that jobs run in", err);
    if (rc == 0)
        rc = need(settings, "security_groups", "the security groups of jobs", err);
    if (rc == 0 && !deploying->aws.is_fargate)
        rc = need(settings, "instance_role", "the instance profile of its machines", err);
    if (rc != 0)
        return rc;
    lithops_value *resources = make_resources(deploying);
    lithops_value *tags = lithops__aws_batch_tags(&deploying->aws);
    lithops_value *body = NULL;
    if (resources && tags)
        body = lithops_pack("{s:s,s:s,s:s,s:o,s:o}", "computeEnvironmentName",
                            deploying->aws.environment, "type", "MANAGED", "state", "ENABLED",
                            "computeResources", resources, "tags", tags);
    else {
        lithops_value_free(resources);
        lithops_value_free(tags);
    }
    if (body && role && !set(body, "serviceRole", lithops_value_string(role))) {
        lithops_value_free(body);
        body = NULL;
    }
    return ask(deploying, "createcomputeenvironment", body, "cannot make the compute environment",
               NULL, err);
}

static int make_queue(struct deploying *deploying, lithops_error *err)
{
    bool is_there, is_ready;
    int rc = look(deploying, &queue_place, deploying->aws.queue, &is_there, &is_ready, err);
    if (rc != 0 || is_there)
        return rc;
    if (lithops__batch_text(deploying->settings, "job_queue"))
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "AWS Batch has no queue %s, which aws_batch.job_queue names",
                             deploying->aws.queue);
    rc = make_environment(deploying, err);
    if (rc == 0)
        rc = await_ready(deploying, &environment_place, deploying->aws.environment, err);
    if (rc != 0)
        return rc;
    lithops_value *tags = lithops__aws_batch_tags(&deploying->aws);
    lithops_value *body =
        tags ? lithops_pack("{s:s,s:s,s:i,s:[{s:i,s:s}],s:o}", "jobQueueName", deploying->aws.queue,
                            "state", "ENABLED", "priority", 1, "computeEnvironmentOrder", "order",
                            1, "computeEnvironment", deploying->aws.environment, "tags", tags)
             : NULL;
    return ask(deploying, "createjobqueue", body, "cannot make the queue", NULL, err);
}

/* ---- definitions ----------------------------------------------------------------------------- */

static lithops_value *make_container(const struct deploying *deploying)
{
    const struct lithops__aws_batch *aws = &deploying->aws;
    const char *job_role = lithops__batch_text(deploying->settings, "job_role"),
               *execution_role = lithops__batch_text(deploying->settings, "execution_role");
    char cpus[32], memory[32];
    snprintf(cpus, sizeof cpus, "%g", aws->cpus);
    snprintf(memory, sizeof memory, "%lld", (long long)aws->memory_mb);
    lithops_value *map =
        lithops_pack("{s:s,s:[s,s,s],s:s,s:[{s:s,s:s},{s:s,s:s}]}", "image", aws->image, "command",
                     "lithops", "worker", "--batch", "jobRoleArn", job_role, "resourceRequirements",
                     "type", "VCPU", "value", cpus, "type", "MEMORY", "value", memory);
    bool good = map != NULL;
    if (good && execution_role)
        good = set(map, "executionRoleArn", lithops_value_string(execution_role));
    if (good && aws->is_fargate)
        good = set(map, "networkConfiguration",
                   lithops_pack("{s:s}", "assignPublicIp",
                                lithops_value_get_bool(
                                    lithops__batch_get(deploying->settings, "assign_public_ip"))
                                    ? "ENABLED"
                                    : "DISABLED"));
    if (good)
        return map;
    lithops_value_free(map);
    return NULL;
}

static int register_definition(struct deploying *deploying, lithops_error *err)
{
    const struct lithops__aws_batch *aws = &deploying->aws;
    lithops_value *container = make_container(deploying);
    lithops_value *tags = lithops__aws_batch_tags(aws), *body = NULL;
    if (container && tags && set(tags, "lithops_runtime", lithops_value_string(aws->image)))
        body = lithops_pack("{s:s,s:s,s:[s],s:o,s:{s:i},s:o}", "jobDefinitionName", aws->definition,
                            "type", "container", "platformCapabilities",
                            aws->is_fargate ? "FARGATE" : "EC2", "containerProperties", container,
                            "retryStrategy", "attempts", 1, "tags", tags);
    else {
        lithops_value_free(container);
        lithops_value_free(tags);
    }
    return ask(deploying, "registerjobdefinition", body, "cannot register the job definition", NULL,
               err);
}

/* Visit the active definitions: with this name, or all. `visit` returns not 0 to end it. */
static int each_definition(struct deploying *deploying, const char *name,
                           int (*visit)(const lithops_value *definition, void *user), void *user,
                           lithops_error *err)
{
    lithops_value *answer = NULL;
    int rc = 0;
    for (int page = 0; rc == 0 && page < PAGES_MAX; page++) {
        const char *next = lithops__batch_text(answer, "nextToken");
        lithops_value *body = lithops_pack("{s:s}", "status", "ACTIVE");
        bool good = body != NULL;
        if (good && name)
            good = set(body, "jobDefinitionName", lithops_value_string(name));
        if (good && next)
            good = set(body, "nextToken", lithops_value_string(next));
        if (!good) {
            lithops_value_free(body);
            body = NULL;
        }
        lithops_value_free(answer);
        answer = NULL;
        rc = ask(deploying, "describejobdefinitions", body, "cannot ask for job definitions",
                 &answer, err);
        const lithops_value *list = lithops__batch_get(answer, "jobDefinitions");
        for (size_t i = 0; rc == 0 && i < lithops_value_size(list); i++)
            rc = visit(lithops_value_at(list, i), user);
        if (rc == 0 && !lithops__batch_text(answer, "nextToken"))
            break;
    }
    lithops_value_free(answer);
    return rc;
}

struct found {
    struct deploying *deploying;
    uint32_t count;
    bool removes;
    int (*visit)(const struct lithops__runtime_seen *seen, void *user);
    void *user;
    lithops_error *err;
};

/* One revision of a definition. */
static int count_one(const lithops_value *definition, void *user)
{
    struct found *found = user;
    const char *arn = lithops__batch_text(definition, "jobDefinitionArn");
    found->count++;
    return found->removes && arn ? ask(found->deploying, "deregisterjobdefinition",
                                       lithops_pack("{s:s}", "jobDefinition", arn),
                                       "cannot deregister the job definition", NULL, found->err)
                                 : 0;
}

/* ---- the slots ------------------------------------------------------------------------------- */

static int build(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                 char **ret_text, lithops_error *err)
{
    (void)config, (void)wish, (void)ret_text;
    return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                         "images for aws_batch are made with docker or podman, and pushed to a "
                         "registry: docs/aws-batch.md says what must be in them");
}

/* The image is not run, so nobody knows which engine it has: workers of another one say so. */
static int deploy(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                  bool must_exist, char **ret_name, lithops_value **ret_meta, lithops_error *err)
{
    struct deploying deploying;
    struct found found = {.deploying = &deploying, .err = err};
    int rc = begin(&deploying, config, wish, err);
    if (rc == 0 && lithops__batch_text(deploying.settings, "job_definition"))
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "aws_batch.job_definition names one that is there: there is nothing to "
                           "deploy");
    if (rc == 0)
        rc = need(deploying.settings, "job_role", "the role by which workers reach the storage",
                  err);
    if (rc == 0 && deploying.aws.is_fargate)
        rc = need(deploying.settings, "execution_role", "the role by which Fargate gets the image",
                  err);
    if (rc == 0)
        rc = each_definition(&deploying, deploying.aws.definition, count_one, &found, err);
    if (rc == 0 && must_exist && found.count == 0)
        rc = lithops__fail(err, LITHOPS_ENOTFOUND,
                           "there is no job definition %s: 'lithops runtime deploy' makes it",
                           deploying.aws.definition);
    if (rc == 0)
        rc = make_queue(&deploying, err);
    if (rc == 0)
        rc = await_ready(&deploying, &queue_place, deploying.aws.queue, err);
    if (rc == 0)
        rc = register_definition(&deploying, err);
    if (rc == 0)
        rc = lithops__batch_deployed(deploying.aws.definition, ret_name, ret_meta, err);
    end(&deploying);
    return rc;
}

/* Those that have our tag. */
static int list_one(const lithops_value *definition, void *user)
{
    struct found *found = user;
    const lithops_value *tags = lithops__batch_get(definition, "tags"),
                        *container = lithops__batch_get(definition, "containerProperties"),
                        *needs = lithops__batch_get(container, "resourceRequirements");
    const char *name = lithops__batch_text(definition, "jobDefinitionName"),
               *version = lithops__batch_text(tags, "lithops_version"),
               *image = lithops__batch_text(container, "image");
    int64_t memory_mb = 0;
    for (size_t i = 0; i < lithops_value_size(needs); i++) {
        const lithops_value *one = lithops_value_at(needs, i);
        const char *type = lithops__batch_text(one, "type"),
                   *value = lithops__batch_text(one, "value");
        if (type && value && strcmp(type, "MEMORY") == 0)
            memory_mb = strtoll(value, NULL, 10);
    }
    if (!name || !version || !image)
        return 0;
    const struct lithops__runtime_seen seen = {
        .name = image, .where = name, .engine = version, .memory_mb = memory_mb};
    return found->visit(&seen, found->user);
}

static int list(const struct lithops__config *config,
                int (*visit)(const struct lithops__runtime_seen *seen, void *user), void *user,
                lithops_error *err)
{
    struct deploying deploying;
    struct lithops__runtime_wish any = {.name = "any"};
    struct found found = {.deploying = &deploying, .visit = visit, .user = user, .err = err};
    int rc = begin(&deploying, config, &any, err);
    if (rc == 0)
        rc = each_definition(&deploying, NULL, list_one, &found, err);
    end(&deploying);
    return rc;
}

static int remove_runtime(const struct lithops__config *config,
                          const struct lithops__runtime_wish *wish, char **ret_name,
                          lithops_error *err)
{
    struct deploying deploying;
    struct found found = {.deploying = &deploying, .removes = true, .err = err};
    int rc = begin(&deploying, config, wish, err);
    if (rc == 0)
        rc = each_definition(&deploying, deploying.aws.definition, count_one, &found, err);
    if (rc == 0 && found.count == 0)
        rc = lithops__fail(err, LITHOPS_ENOTFOUND, "there is no job definition %s",
                           deploying.aws.definition);
    if (rc == 0)
        rc = lithops__batch_deployed(deploying.aws.definition, ret_name, NULL, err);
    end(&deploying);
    return rc;
}

const struct lithops__runtime_ops lithops__batch_aws_runtimes = {
    .build = build, .deploy = deploy, .list = list, .remove = remove_runtime};
