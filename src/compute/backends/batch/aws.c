/* SPDX-License-Identifier: Apache-2.0 */
/* AWS Batch: what jobs need of its API.
 *
 * A job refers to a definition, which has the image, its size and roles, and to a queue: runtime
 * deploy makes them (aws_runtimes.c), unless the configuration names others. Two or more parts are
 * an array job, whose parts are called ID:0, ID:1, and so on. Nothing is repeated by the service:
 * the engine knows which calls may run again. */
#include "compute/backends/batch/aws.h"

#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of containerOverrides all characters count, of which 8192 are allowed; escapes double some. */
enum { MOST_PARTS = 1000, MOST_BYTES = 3500, MOST_DESCRIBED = 100, PAGES_MAX = 1000 };

static const struct lithops__aws_service aws_service = {"batch", "AWS Batch", "aws_batch",
                                                        "AWS_ENDPOINT_URL_BATCH"};

/* ---- names ----------------------------------------------------------------------------------- */

/* What Fargate gives: for each number of CPUs, memory from and to, in steps of so much. */
static const struct size {
    double cpus;
    int64_t from_mb, to_mb, step_mb;
} sizes[] = {
    {0.25, 512, 2048, 512},    {0.5, 1024, 4096, 1024}, {1, 2048, 8192, 1024},
    {2, 4096, 16384, 1024},    {4, 8192, 30720, 1024},  {8, 16384, 61440, 4096},
    {16, 32768, 122880, 8192},
};

static int check_size(double cpus, int64_t memory_mb, lithops_error *err)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct size *size = &sizes[i];
        if (fabs(size->cpus - cpus) > 1e-6)
            continue;
        /* the smallest one has 512, 1024 and 2048 */
        bool is_there = memory_mb >= size->from_mb && memory_mb <= size->to_mb &&
                        memory_mb % size->step_mb == 0 && !(i == 0 && memory_mb == 1536);
        return is_there
                   ? 0
                   : lithops__fail(err, LITHOPS_ECONFIG,
                                   "with %g CPUs Fargate has from %lld to %lld MiB of memory, "
                                   "in steps of %lld: aws_batch.runtime_memory is %lld",
                                   cpus, (long long)size->from_mb, (long long)size->to_mb,
                                   (long long)(i == 0 ? 512 : size->step_mb), (long long)memory_mb);
    }
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "Fargate has 0.25, 0.5, 1, 2, 4, 8 or 16 CPUs: aws_batch.runtime_cpu is "
                         "%g",
                         cpus);
}

/* Our names have the version of the engine in them, as upstream's have: what another one has made
 * is not taken for ours. Letters, digits, '-' and '_'. */
static void make_names(struct lithops__aws_batch *aws, const lithops_value *settings)
{
    char version[32], part[33];
    lithops__batch_plain(LITHOPS_VERSION, version, sizeof version);
    lithops__batch_image(aws->image, part, sizeof part);
    const char *own = lithops__batch_text(settings, "compute_environment");
    if (own)
        snprintf(aws->environment, sizeof aws->environment, "%s", own);
    else
        snprintf(aws->environment, sizeof aws->environment, "lithops_%s_%s_env", version,
                 aws->type);
    own = lithops__batch_text(settings, "job_queue");
    if (own)
        snprintf(aws->queue, sizeof aws->queue, "%s", own);
    else
        snprintf(aws->queue, sizeof aws->queue, "lithops_%s_%s_queue", version, aws->type);
    own = lithops__batch_text(settings, "job_definition");
    if (own)
        snprintf(aws->definition, sizeof aws->definition, "%s", own);
    else
        snprintf(aws->definition, sizeof aws->definition, "lithops_%s_%s_%s_%08x_%lldmb_%dm",
                 version, aws->type, part, lithops__batch_hash(aws->image),
                 (long long)aws->memory_mb, (int)lround(aws->cpus * 1000));
}

int lithops__aws_batch_open(struct lithops__aws_batch *aws, const lithops_value *settings,
                            const char *image, int64_t memory_mb, lithops_error *err)
{
    const char *type = lithops__batch_text(settings, "env_type");
    *aws = (struct lithops__aws_batch){.settings = lithops_value_copy(settings)};
    if (!aws->settings)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    aws->type = type ? lithops__batch_text(aws->settings, "env_type") : "FARGATE_SPOT";
    aws->is_fargate = strncmp(aws->type, "FARGATE", 7) == 0;
    image = image ? image : lithops__batch_text(settings, "runtime");
    if (!image && !lithops__batch_text(settings, "job_definition"))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "aws_batch.runtime must name an image that has the command lithops "
                             "and, for Python, the client's version of it: docs/aws-batch.md says "
                             "how to make one");
    if (image && strlen(image) >= sizeof aws->image)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the name of the image has %zu bytes: %d at most", strlen(image),
                             (int)sizeof aws->image - 1);
    snprintf(aws->image, sizeof aws->image, "%s", image ? image : "");
    aws->memory_mb = memory_mb > 0
                         ? memory_mb
                         : lithops_value_get_int(lithops__batch_get(settings, "runtime_memory"));
    aws->cpus = lithops_value_get_double(lithops__batch_get(settings, "runtime_cpu"));
    if (!aws->is_fargate) /* machines have whole ones */
        aws->cpus = ceil(aws->cpus);
    int rc = aws->is_fargate && !lithops__batch_text(settings, "job_definition")
                 ? check_size(aws->cpus, aws->memory_mb, err)
                 : 0;
    make_names(aws, settings);
    return rc ? rc : lithops__aws_open(&aws->api, &aws_service, settings, err);
}

void lithops__aws_batch_close(struct lithops__aws_batch *aws)
{
    lithops__aws_close(&aws->api);
    lithops_value_free(aws->settings);
    aws->settings = NULL;
}

/* ---- requests -------------------------------------------------------------------------------- */

static int ask(struct lithops__aws_batch *aws, const char *action, lithops_value *body,
               const char *what, const struct lithops__bounds *bounds, lithops_value **ret_answer,
               bool *ret_is_doubtful, lithops_error *err)
{
    char path[64], *text = NULL;
    struct lithops__aws_answer answer = {.document = NULL};
    snprintf(path, sizeof path, "/v1/%s", action);
    int rc = body ? lithops_value_to_json(body, &text, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(body);
    const struct lithops__aws_request request = {
        .method = "POST", .path = path, .body = text, .bounds = *bounds};
    if (rc == 0)
        rc = lithops__aws_do(&aws->api, &request, &answer, err);
    free(text);
    *ret_is_doubtful = answer.is_doubtful;
    if (rc != 0)
        return rc;
    lithops_value *map = NULL;
    if (answer.status >= 300)
        rc = lithops__aws_fail(&aws->api, &answer, what, err);
    else if (ret_answer &&
             !(map = lithops_value_from_json(answer.document, strlen(answer.document), NULL)))
        rc = lithops__fail(err, LITHOPS_EBACKEND, "%s: AWS Batch answers '%.200s'", what,
                           answer.document);
    lithops__aws_answer_deinit(&answer);
    if (ret_answer && rc == 0)
        *ret_answer = map;
    return rc;
}

int lithops__aws_batch_ask(struct lithops__aws_batch *aws, const char *action, lithops_value *body,
                           const char *what, const struct lithops__bounds *bounds,
                           lithops_value **ret_answer, lithops_error *err)
{
    bool is_doubtful;
    return ask(aws, action, body, what, bounds, ret_answer, &is_doubtful, err);
}

lithops_value *lithops__aws_batch_tags(const struct lithops__aws_batch *aws)
{
    const lithops_value *own = lithops__batch_get(aws->settings, "user_tags");
    lithops_value *tags = lithops_value_map();
    int failed = !tags;
    for (size_t i = 0; !failed && i < lithops_value_size(own); i++) {
        const char *key;
        const lithops_value *value = lithops_value_pair(own, i, &key);
        char *text = NULL;
        if (lithops_value_type(value) == LITHOPS_STRING)
            failed = lithops_value_set(tags, key, lithops_value_copy(value));
        else if (lithops_value_to_json(value, &text, NULL) == 0)
            failed = lithops_value_set(tags, key, lithops_value_string(text));
        free(text);
    }
    if (!failed)
        failed = lithops_value_set(tags, "lithops_version", lithops_value_string(LITHOPS_VERSION));
    if (!failed)
        return tags;
    lithops_value_free(tags);
    return NULL;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static int aws_open(void *state, const lithops_value *settings, lithops_error *err)
{
    return lithops__aws_batch_open(state, settings, NULL, 0, err);
}

static void aws_close(void *state)
{
    lithops__aws_batch_close(state);
}

static lithops_value *make_job(struct lithops__aws_batch *aws,
                               const struct lithops__batch_order *order)
{
    lithops_value *tags = lithops__aws_batch_tags(aws);
    lithops_value *job =
        tags
            ? lithops_pack("{s:s,s:s,s:s,s:{s:i},s:{s:I},s:{s:[{s:s,s:s}]},s:b,s:o}", "jobName",
                           order->name, "jobQueue", aws->queue, "jobDefinition", aws->definition,
                           "retryStrategy", "attempts", 1, "timeout", "attemptDurationSeconds",
                           (int64_t)order->lifetime_s, "containerOverrides", "environment", "name",
                           order->variable, "value", order->value, "propagateTags", 1, "tags", tags)
            : NULL;
    if (job && order->parts > 1 &&
        lithops_value_set(job, "arrayProperties",
                          lithops_pack("{s:I}", "size", (int64_t)order->parts)) != 0) {
        lithops_value_free(job);
        return NULL;
    }
    return job;
}

/* What it lacks is not always said. */
static void name_places(const struct lithops__aws_batch *aws, lithops_error *err)
{
    const lithops_error before = *err;
    lithops__fail(err, before.code,
                  "%.700s (job definition %s, queue %s; 'lithops runtime deploy' makes them)",
                  before.message, aws->definition, aws->queue);
    err->http_status = before.http_status;
    err->retryable = before.retryable;
}

static int aws_submit(void *state, const struct lithops__batch_order *order,
                      char ret_id[LITHOPS__BATCH_ID], bool *ret_is_doubtful, lithops_error *err)
{
    struct lithops__aws_batch *aws = state;
    lithops_value *answer = NULL;
    int rc = ask(aws, "submitjob", make_job(aws, order), "cannot submit a job", &order->bounds,
                 &answer, ret_is_doubtful, err);
    if (rc != 0 && (err->http_status == 400 || err->http_status == 404))
        name_places(aws, err);
    const char *id = lithops__batch_text(answer, "jobId");
    if (rc == 0 && (!id || strlen(id) + 12 >= LITHOPS__BATCH_ID))
        rc = lithops__fail(err, LITHOPS_EBACKEND, "AWS Batch has given a job no id");
    if (rc == 0)
        snprintf(ret_id, LITHOPS__BATCH_ID, "%s", id);
    lithops_value_free(answer);
    return rc;
}

static void aws_part(const char *id, uint32_t index, uint32_t parts, char ret_id[LITHOPS__BATCH_ID])
{
    if (parts > 1)
        snprintf(ret_id, LITHOPS__BATCH_ID, "%.115s:%u", id, index);
    else
        snprintf(ret_id, LITHOPS__BATCH_ID, "%s", id);
}

/* What another job would meet, too. */
static bool is_hopeless(const char *why)
{
    static const char *const reasons[] = {
        "CannotPullContainer",   "ResourceInitializationError", "CannotStartContainer",
        "CannotCreateContainer", "executable file not found",   "MISCONFIGURATION"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strstr(why, reasons[i]))
            return true;
    return false;
}

static void read_job(const lithops_value *job, struct lithops__batch_seen *ret_seen)
{
    const lithops_value *container = lithops__batch_get(job, "container");
    const lithops_value *code = lithops__batch_get(container, "exitCode");
    const char *status = lithops__batch_text(job, "status"),
               *why = lithops__batch_text(job, "statusReason");
    const char *more = lithops__batch_text(container, "reason");
    if (!status)
        return;
    ret_seen->is_known = true;
    ret_seen->has_run = lithops_value_get_int(lithops__batch_get(job, "startedAt")) > 0;
    ret_seen->phase = strcmp(status, "RUNNING") == 0 ? LITHOPS__BATCH_RUNS
                      : strcmp(status, "SUCCEEDED") == 0 || strcmp(status, "FAILED") == 0
                          ? LITHOPS__BATCH_ENDED
                          : LITHOPS__BATCH_WAITS;
    if (ret_seen->phase == LITHOPS__BATCH_RUNS)
        return;
    if (more && why && strcmp(more, why) == 0)
        more = NULL;
    char exit[48] = "";
    if (ret_seen->phase == LITHOPS__BATCH_ENDED && code)
        snprintf(exit, sizeof exit, "exit status %lld", (long long)lithops_value_get_int(code));
    snprintf(ret_seen->why, sizeof ret_seen->why, "%s%s%s%s%s%s%s", status, why ? ": " : "",
             why ? why : "", more ? ": " : "", more ? more : "", exit[0] ? ", " : "", exit);
    ret_seen->is_hopeless = ret_seen->phase == LITHOPS__BATCH_ENDED && is_hopeless(ret_seen->why);
}

static int aws_describe(void *state, const char *const *ids, size_t count,
                        struct lithops__batch_seen *ret_seen, const struct lithops__bounds *bounds,
                        lithops_error *err)
{
    lithops_value *list = lithops_value_list(), *answer = NULL;
    int failed = !list;
    for (size_t i = 0; !failed && i < count; i++)
        failed = lithops_value_append(list, lithops_value_string(ids[i]));
    if (failed) {
        lithops_value_free(list);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    int rc = lithops__aws_batch_ask(state, "describejobs", lithops_pack("{s:o}", "jobs", list),
                                    "cannot ask for jobs", bounds, &answer, err);
    const lithops_value *jobs = lithops__batch_get(answer, "jobs");
    for (size_t i = 0; rc == 0 && i < lithops_value_size(jobs); i++) {
        const lithops_value *job = lithops_value_at(jobs, i);
        const char *id = lithops__batch_text(job, "jobId");
        for (size_t k = 0; id && k < count; k++)
            if (strcmp(id, ids[k]) == 0)
                read_job(job, &ret_seen[k]);
    }
    lithops_value_free(answer);
    return rc;
}

static int aws_terminate(void *state, const char *id, const char *reason,
                         const struct lithops__bounds *bounds, lithops_error *err)
{
    int rc = lithops__aws_batch_ask(state, "terminatejob",
                                    lithops_pack("{s:s,s:s}", "jobId", id, "reason", reason),
                                    "cannot terminate a job", bounds, NULL, err);
    return rc != 0 && err->http_status == 400 && strstr(err->message, "does not exist") ? 0 : rc;
}

static bool has_ended(const lithops_value *job)
{
    const char *status = lithops__batch_text(job, "status");
    return status && (strcmp(status, "SUCCEEDED") == 0 || strcmp(status, "FAILED") == 0);
}

static int aws_list(void *state, const char *prefix,
                    int (*visit)(const char *id, const char *name, void *user), void *user,
                    const struct lithops__bounds *bounds, lithops_error *err)
{
    struct lithops__aws_batch *aws = state;
    char pattern[LITHOPS__BATCH_NAME + 2];
    lithops_value *answer = NULL;
    int rc = 0;
    snprintf(pattern, sizeof pattern, "%s*", prefix);
    for (int page = 0; rc == 0 && page < PAGES_MAX; page++) {
        const char *next = lithops__batch_text(answer, "nextToken");
        lithops_value *body = lithops_pack("{s:s,s:[{s:s,s:[s]}]}", "jobQueue", aws->queue,
                                           "filters", "name", "JOB_NAME", "values", pattern);
        if (body && next && lithops_value_set(body, "nextToken", lithops_value_string(next)) != 0) {
            lithops_value_free(body);
            body = NULL;
        }
        lithops_value_free(answer);
        answer = NULL;
        rc =
            lithops__aws_batch_ask(aws, "listjobs", body, "cannot list jobs", bounds, &answer, err);
        const lithops_value *jobs = lithops__batch_get(answer, "jobSummaryList");
        for (size_t i = 0; rc == 0 && i < lithops_value_size(jobs); i++) {
            const lithops_value *job = lithops_value_at(jobs, i);
            const char *id = lithops__batch_text(job, "jobId"),
                       *name = lithops__batch_text(job, "jobName");
            if (id && name && !has_ended(job) && strncmp(name, prefix, strlen(prefix)) == 0)
                rc = visit(id, name, user);
        }
        if (rc == 0 && !lithops__batch_text(answer, "nextToken"))
            break;
    }
    lithops_value_free(answer);
    return rc;
}

static int aws_probe(void *state, char *ret_text, size_t size, const struct lithops__bounds *bounds,
                     lithops_error *err)
{
    struct lithops__aws_batch *aws = state;
    lithops_value *answer = NULL, *definitions = NULL;
    int rc = lithops__aws_batch_ask(aws, "describejobqueues",
                                    lithops_pack("{s:[s]}", "jobQueues", aws->queue),
                                    "cannot ask for the queue", bounds, &answer, err);
    const lithops_value *queue =
        rc == 0 ? lithops_value_at(lithops__batch_get(answer, "jobQueues"), 0) : NULL;
    const char *status = lithops__batch_text(queue, "status"),
               *enabled = lithops__batch_text(queue, "state");
    if (rc == 0 && !queue)
        rc = lithops__fail(err, LITHOPS_EBACKEND,
                           "AWS Batch has no queue %s: 'lithops runtime deploy' makes it",
                           aws->queue);
    if (rc == 0)
        rc = lithops__aws_batch_ask(
            aws, "describejobdefinitions",
            lithops_pack("{s:s,s:s}", "jobDefinitionName", aws->definition, "status", "ACTIVE"),
            "cannot ask for the job definition", bounds, &definitions, err);
    if (rc == 0 && lithops_value_size(lithops__batch_get(definitions, "jobDefinitions")) == 0)
        rc = lithops__fail(err, LITHOPS_EBACKEND,
                           "AWS Batch has no job definition %s: 'lithops runtime deploy' makes it",
                           aws->definition);
    bool is_fine =
        status && enabled && strcmp(status, "VALID") == 0 && strcmp(enabled, "ENABLED") == 0;
    if (rc == 0 && !is_fine)
        rc = lithops__fail(err, LITHOPS_EBACKEND, "the queue %s of AWS Batch is %s, %s", aws->queue,
                           enabled ? enabled : "?", status ? status : "?");
    if (rc == 0)
        snprintf(ret_text, size, "jobs of %s go to the queue %s", aws->definition, aws->queue);
    lithops_value_free(answer);
    lithops_value_free(definitions);
    return rc;
}

const struct lithops__batch_service lithops__batch_aws = {
    .most_parts = MOST_PARTS,
    .most_bytes = MOST_BYTES,
    .most_described = MOST_DESCRIBED,
    .look_ms = 1000,
    .state_size = sizeof(struct lithops__aws_batch),
    .open = aws_open,
    .close = aws_close,
    .submit = aws_submit,
    .part = aws_part,
    .describe = aws_describe,
    .terminate = aws_terminate,
    .list = aws_list,
    .probe = aws_probe,
};
