/* SPDX-License-Identifier: Apache-2.0 */
/* How containers that run `lithops worker --http` are workers: a request is answered as soon as the
 * worker runs, and stays open for as long as it does. */
#include "base/error.h"
#include "compute/backends/http/functions.h"
#include "compute/backends/http/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Google's functions have an address that is made of their names. */
static bool make_endpoint(const lithops_value *settings, char **ret_endpoint)
{
    const char *region = lithops_value_get_string(lithops_value_get(settings, "region"));
    const char *project = lithops_value_get_string(lithops_value_get(settings, "project_name"));
    const char *name = lithops_value_get_string(lithops_value_get(settings, "function"));
    if (!region || !*region || !project || !*project || !name || !*name)
        return true;
    if (asprintf(ret_endpoint, "https://%s-%s.cloudfunctions.net/%s", region, project, name) < 0)
        *ret_endpoint = NULL;
    return *ret_endpoint != NULL;
}

static int container_open(struct lithops__service *http, const lithops_value *settings,
                          lithops_error *err)
{
    if (!http->endpoint && !make_endpoint(settings, &http->endpoint))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    char how[LITHOPS__FUNCTIONS_DEPLOY];
    const char *deploy =
        lithops__functions_deploy(http->backend, (long long)(http->request_ns / 1000000000), how);
    if (!http->endpoint && deploy)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.endpoint is missing: the URL of the function. 'lithops runtime "
                             "build' makes its package; %s",
                             http->backend, deploy);
    if (!http->endpoint)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.endpoint is missing: the URL of the service whose container runs "
                             "'lithops worker --http'",
                             http->backend);
    bool has_token = http->token || http->token_file || http->account || http->is_machine;
    return has_token || http->function_key
               ? lithops__service_check_url(http, http->endpoint,
                                            http->function_key ? "key" : "token", err)
               : 0;
}

static void container_close(struct lithops__service *http)
{
    (void)http;
}

static int container_address(struct lithops__service *http, lithops_bytes body,
                             const struct lithops__bounds *bounds,
                             struct lithops__service_head *head, lithops_error *err)
{
    (void)body;
    (void)bounds;
    head->url = strdup(http->endpoint);
    return head->url ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

static bool container_is_taken(struct lithops__service *http, uint32_t worker,
                               const struct lithops__post_state *state, const char *proof)
{
    (void)http;
    (void)worker;
    return state->status == 200 && strcmp(state->header, proof) == 0;
}

static bool container_has_ended(struct lithops__service *http, uint32_t worker)
{
    return http->api->is_over(http->workers[worker]);
}

/* {"ended": "it was killed by signal 9"}, after blanks. */
static void read_end(const struct lithops__post_state *state, char *ret_how, size_t size)
{
    const char *json = strchr(state->text, '{');
    lithops_value *value = json ? lithops_value_from_json(json, strlen(json), NULL) : NULL;
    const char *ended = lithops_value_get_string(lithops_value_get(value, "ended"));
    if (ended)
        snprintf(ret_how, size, "%s", ended);
    else
        snprintf(ret_how, size, "its request ended%s%s",
                 state->failure.code ? ": " : " without a word of it",
                 state->failure.code ? state->failure.message : "");
    lithops_value_free(value);
}

static void container_tell_end(struct lithops__service *http, uint32_t worker, char *ret_how,
                               size_t size)
{
    struct lithops__post_state now;
    http->api->look(http->workers[worker], &now);
    if (now.is_over)
        read_end(&now, ret_how, size);
}

static char *health_url(const char *endpoint)
{
    char *base = lithops__service_base(endpoint), *url = NULL;
    if (!base || asprintf(&url, "%s/health", base) < 0)
        url = NULL;
    free(base);
    return url;
}

static int container_probe(struct lithops__service *http, lithops__probe_say say, void *user,
                           lithops_error *err)
{
    char *url = health_url(http->endpoint);
    int rc = url ? lithops__service_ask(http, url, http->endpoint, "/health of the endpoint", true,
                                        say, user, err)
                 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    free(url);
    return rc;
}

const struct lithops__service_kind lithops__container_kind = {
    .stranger = "'lithops worker --http' with the same secret",
    .open = container_open,
    .close = container_close,
    .address = container_address,
    .is_taken = container_is_taken,
    .has_ended = container_has_ended,
    .tell_end = container_tell_end,
    .probe = container_probe,
};
