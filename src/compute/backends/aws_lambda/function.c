/* SPDX-License-Identifier: Apache-2.0 */
/* A function of Lambda: what it is called, which state it is in, and which engine it has.
 *
 * Its name is made of runtime and memory, so that each pair has one: lithops-python3-12-256. Its
 * description says which engine is in it: "Lithops 0.1.0, protocol 1, provided.al2023". */
#include "base/error.h"
#include "compute/backends/aws_lambda/aws_lambda.h"
#include "relay/relay.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 1000 };

const struct lithops__aws_service lithops__lambda_service = {"lambda", "Lambda", "aws_lambda",
                                                             "AWS_ENDPOINT_URL_LAMBDA"};

/* ---- what is wanted -------------------------------------------------------------------------- */

bool lithops__lambda_is_image(const char *runtime)
{
    return strchr(runtime, '/') != NULL;
}

static uint32_t hash_of(const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

/* Of an image, the last part of its name, and a hash of the whole. */
static void make_name(const char *runtime, int64_t memory_mb, char *ret_name)
{
    char part[33];
    const char *slash = strrchr(runtime, '/');
    snprintf(part, sizeof part, "%s", slash ? slash + 1 : runtime);
    for (char *at = part; *at; at++)
        if (!isalnum((unsigned char)*at))
            *at = '-';
    if (slash)
        snprintf(ret_name, LITHOPS__LAMBDA_NAME, "lithops-%.24s-%08x-%lld", part, hash_of(runtime),
                 (long long)memory_mb);
    else
        snprintf(ret_name, LITHOPS__LAMBDA_NAME, "lithops-%s-%lld", part, (long long)memory_mb);
}

int lithops__lambda_want(const lithops_value *settings, const char *runtime, const char *program,
                         int64_t memory_mb, int64_t timeout_s,
                         struct lithops__lambda_wanted *ret_wanted, lithops_error *err)
{
    if (!runtime)
        runtime = lithops_value_get_string(lithops_value_get(settings, "runtime"));
    if (runtime && program && strncmp(runtime, "python3.", 8) == 0 &&
        strncmp(program, "python3.", 8) == 0 && strcmp(runtime, program) != 0)
        return lithops__fail(
            err, LITHOPS_ECONFIG,
            "aws_lambda.runtime is %s, and functions here are of %s: leave the key "
            "out, and run 'lithops runtime deploy %s'",
            runtime, program, program);
    if (!runtime)
        runtime = program ? program : "provided.al2023";
    if ((strncmp(runtime, "python3.", 8) != 0 && strncmp(runtime, "provided.", 9) != 0 &&
         !lithops__lambda_is_image(runtime)) ||
        strlen(runtime) >= sizeof ret_wanted->runtime)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "'%.100s' is no runtime of aws_lambda: it is provided.al2023, for "
                             "programs in C, python3.12, or the URI of a container image",
                             runtime);
    *ret_wanted = (struct lithops__lambda_wanted){
        .memory_mb = memory_mb > 0
                         ? memory_mb
                         : lithops_value_get_int(lithops_value_get(settings, "runtime_memory")),
        .timeout_s = timeout_s > 0
                         ? timeout_s
                         : lithops_value_get_int(lithops_value_get(settings, "runtime_timeout"))};
    if (ret_wanted->memory_mb < 128 || ret_wanted->memory_mb > 10240)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "a function of Lambda has from 128 to 10240 MB of memory, not %lld",
                             (long long)ret_wanted->memory_mb);
    if (ret_wanted->timeout_s < 1 || ret_wanted->timeout_s > 900)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "a function of Lambda has from 1 to 900 seconds of time, not %lld",
                             (long long)ret_wanted->timeout_s);
    snprintf(ret_wanted->runtime, sizeof ret_wanted->runtime, "%s", runtime);
    make_name(runtime, ret_wanted->memory_mb, ret_wanted->name);
    return 0;
}

/* ---- what is there --------------------------------------------------------------------------- */

static const char *text_at(const lithops_value *map, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, key));
    return text ? text : "";
}

static void read_function(const lithops_value *map, struct lithops__lambda_function *function)
{
    const char *state = text_at(map, "State"), *update = text_at(map, "LastUpdateStatus");
    bool has_state = *state, has_update = *update;
    function->exists = true;
    function->timeout_s = lithops_value_get_int(lithops_value_get(map, "Timeout"));
    if (sscanf(text_at(map, "Description"), "Lithops %31[^,], protocol %d", function->engine,
               &function->protocol) != 2)
        function->engine[0] = '\0';
    function->has_failed = strcmp(state, "Failed") == 0 || strcmp(update, "Failed") == 0;
    /* One that was not used for weeks is Inactive, and comes back when it is invoked. */
    function->is_ready =
        (!has_state || strcmp(state, "Active") == 0 || strcmp(state, "Inactive") == 0) &&
        (!has_update || strcmp(update, "Successful") == 0);
    snprintf(function->reason, sizeof function->reason, "%s",
             *text_at(map, "StateReason") ? text_at(map, "StateReason")
                                          : text_at(map, "LastUpdateStatusReason"));
}

int lithops__lambda_look(struct lithops__aws_api *api, const char *name,
                         const struct lithops__bounds *bounds,
                         struct lithops__lambda_function *ret_function, lithops_error *err)
{
    char path[256], what[128];
    struct lithops__aws_answer answer;
    *ret_function = (struct lithops__lambda_function){.exists = false};
    snprintf(path, sizeof path, "/2015-03-31/functions/%s/configuration", name);
    const struct lithops__aws_request request = {.method = "GET", .path = path, .bounds = *bounds};
    int rc = lithops__aws_do(api, &request, &answer, err);
    if (rc != 0)
        return rc;
    snprintf(what, sizeof what, "cannot ask for the function %s", name);
    if (answer.status == 200) {
        lithops_value *map = lithops_value_from_json(answer.document, strlen(answer.document), err);
        rc = map ? 0 : err->code;
        if (map)
            read_function(map, ret_function);
        lithops_value_free(map);
    } else if (answer.status != 404) {
        rc = lithops__aws_fail(api, &answer, what, err);
    }
    lithops__aws_answer_deinit(&answer);
    return rc;
}

int lithops__lambda_await(struct lithops__aws_api *api, const char *name,
                          const struct lithops__bounds *bounds,
                          struct lithops__lambda_function *ret_function, lithops_error *err)
{
    for (;;) {
        int rc = lithops__lambda_look(api, name, bounds, ret_function, err);
        if (rc != 0 || !ret_function->exists || ret_function->is_ready)
            return rc;
        if (ret_function->has_failed)
            return lithops__fail(err, LITHOPS_EBACKEND,
                                 "the function %s has failed: %s: run 'lithops runtime update', or "
                                 "'lithops runtime delete' and 'deploy'",
                                 name, ret_function->reason);
        struct lithops__retry pause = {.attempts = 2, .first_delay_ms = LOOK_MS, .bounds = *bounds};
        lithops_error waiting = LITHOPS_ERROR_INIT;
        lithops__fail(&waiting, LITHOPS_ETIMEDOUT, "the function %s is not ready: %s", name,
                      ret_function->reason);
        waiting.retryable = true;
        if (!lithops__retry_again(&pause, &waiting, LOOK_MS)) {
            if (err)
                *err = waiting;
            return waiting.code;
        }
    }
}

int lithops__lambda_check(const struct lithops__lambda_function *function,
                          const struct lithops__lambda_wanted *wanted, lithops_error *err)
{
    if (!function->exists)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "there is no function %s in this region: run 'lithops runtime deploy "
                             "%s --memory %lld' first",
                             wanted->name, wanted->runtime, (long long)wanted->memory_mb);
    if (!function->engine[0] || strcmp(function->engine, LITHOPS_VERSION) != 0 ||
        function->protocol != lithops__relay_protocol())
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "the function %s has Lithops %s (protocol %d), and this is "
                             "Lithops " LITHOPS_VERSION " (protocol %d): run 'lithops runtime "
                             "update %s --memory %lld'",
                             wanted->name, function->engine[0] ? function->engine : "?",
                             function->protocol, lithops__relay_protocol(), wanted->runtime,
                             (long long)wanted->memory_mb);
    return 0;
}
