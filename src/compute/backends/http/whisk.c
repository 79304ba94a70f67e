/* SPDX-License-Identifier: Apache-2.0 */
/* How actions of OpenWhisk are workers: the answer to an invocation is the name of an activation,
 * which is asked now and then how it has ended. */
#include "compute/backends/http/whisk.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "compute/backends/http/service.h"
#include "net/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ID_BYTES = 65, /* of an activation, with its NUL; usually 33 */
    HOW_BYTES = 512,
};
static const uint64_t look_ns = 2000000000;     /* between two looks at an activation */
static const uint64_t no_look_ns = 30000000000; /* after one for which there was no token */

struct activation {
    char id[ID_BYTES];
    uint64_t look_ns; /* when it is to be looked at again */
    bool has_ended;
    char *how; /* NULL: not known */
};

/* ---- settings -------------------------------------------------------------------------------- */

static const char *text_of(const lithops_value *settings, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, key));
    return text && *text ? text : NULL;
}

/* What goes into a URL as it is: no escapes are needed, nor possible. */
static bool is_plain(const char *text, const char *more)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.@";
    for (; *text; text++)
        if (!strchr(plain, *text) && !strchr(more, *text))
            return false;
    return true;
}

static int check(const char *backend, const char *endpoint, const char *region, const char *space,
                 const char *action, lithops_error *err)
{
    if (!endpoint && !region)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.endpoint is missing: the URL of the API of OpenWhisk", backend);
    if (!space)
        return lithops__fail(err, LITHOPS_ECONFIG, "%s is missing: the action's namespace",
                             strcmp(backend, "ibm_cf") == 0 ? "ibm_cf.namespace_id"
                                                            : "openwhisk.namespace");
    if (!is_plain(space, "") || !is_plain(action, "/") || (region && !is_plain(region, "")))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s: a namespace, an action ([package/]name) and a region have "
                             "letters, digits and -_.@ only",
                             backend);
    return 0;
}

static int make_urls(struct lithops__whisk *whisk, const char *backend,
                     const lithops_value *settings, lithops_error *err)
{
    const char *endpoint = text_of(settings, "endpoint"), *region = text_of(settings, "region");
    const char *space = text_of(settings, "namespace_id"), *action = text_of(settings, "action");
    char made[256];
    if (!space && strcmp(backend, "ibm_cf") != 0)
        space = text_of(settings, "namespace");
    int rc = check(backend, endpoint, region, space, action ? action : "", err);
    if (rc != 0)
        return rc;
    if (lithops_value_get_bool(lithops_value_get(settings, "insecure")))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.insecure: certificates are always verified; name a file with that "
                             "of your authority by SSL_CERT_FILE in the environment",
                             backend);
    if (!endpoint) {
        snprintf(made, sizeof made, "https://%.100s.functions.cloud.ibm.com", region);
        endpoint = made;
    }
    char *root = lithops__service_base(endpoint), *base = NULL;
    if (!root || asprintf(&base, "%s/api/v1/namespaces/%s", root, space) < 0)
        base = NULL;
    free(root);
    if (!base || asprintf(&whisk->action_url, "%s/actions/%s", base, action) < 0)
        whisk->action_url = NULL;
    if (!base || asprintf(&whisk->invoke_url, "%s?blocking=false", whisk->action_url) < 0)
        whisk->invoke_url = NULL;
    if (!base || asprintf(&whisk->activations_url, "%s/activations/", base) < 0)
        whisk->activations_url = NULL;
    free(base);
    return whisk->action_url && whisk->invoke_url && whisk->activations_url
               ? 0
               : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

static bool make_basic(const lithops_value *settings, char **ret_basic)
{
    const char *key = text_of(settings, "api_key");
    if (!key)
        return true;
    size_t len = strlen(key);
    char *coded = malloc(4 * (len / 3) + 5);
    if (coded)
        lithops__base64((const unsigned char *)key, len, coded);
    if (!coded || asprintf(ret_basic, "Authorization: Basic %s", coded) < 0)
        *ret_basic = NULL;
    lithops__secret_free(coded);
    return *ret_basic != NULL;
}

static int whisk_open(struct lithops__service *http, const lithops_value *settings,
                      lithops_error *err)
{
    http->whisk.activations = calloc(http->count, sizeof *http->whisk.activations);
    if (!http->whisk.activations || !make_basic(settings, &http->basic) ||
        !lithops__service_text(settings, "iam_api_key", &http->iam_key) ||
        !lithops__service_text(settings, "iam_endpoint", &http->iam_endpoint))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = make_urls(&http->whisk, http->backend, settings, err);
    if (rc == 0 && !http->basic && !http->iam_key)
        rc = lithops__fail(err, LITHOPS_ECONFIG, "%s is missing",
                           strcmp(http->backend, "ibm_cf") == 0 ? "ibm_cf.iam_api_key"
                                                                : "openwhisk.api_key");
    return rc == 0 ? lithops__service_check_url(http, http->whisk.invoke_url, "token", err) : rc;
}

static void whisk_close(struct lithops__service *http)
{
    struct lithops__whisk *whisk = &http->whisk;
    free(whisk->action_url);
    free(whisk->invoke_url);
    free(whisk->activations_url);
    for (uint32_t i = 0; whisk->activations && i < http->count; i++)
        free(whisk->activations[i].how);
    free(whisk->activations);
}

/* ---- activations ----------------------------------------------------------------------------- */

static int whisk_address(struct lithops__service *http, lithops_bytes body,
                         const struct lithops__bounds *bounds, struct lithops__service_head *head,
                         lithops_error *err)
{
    (void)body;
    (void)bounds;
    head->url = strdup(http->whisk.invoke_url);
    return head->url ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* The id in the answer to an invocation; false: there is none. */
static bool read_id(const char *text, char ret_id[ID_BYTES])
{
    lithops_value *map = lithops_value_from_json(text, strlen(text), NULL);
    const char *id = lithops_value_get_string(lithops_value_get(map, "activationId"));
    bool good = id && *id && strlen(id) < ID_BYTES && is_plain(id, "");
    if (good)
        memcpy(ret_id, id, strlen(id) + 1);
    lithops_value_free(map);
    return good;
}

static bool whisk_is_taken(struct lithops__service *http, uint32_t worker,
                           const struct lithops__post_state *state, const char *proof)
{
    struct activation *activation = &http->whisk.activations[worker];
    char id[ID_BYTES];
    (void)proof;
    if (state->status != 202 || state->failure.code || !read_id(state->text, id))
        return false;
    memcpy(activation->id, id, ID_BYTES);
    activation->look_ns = lithops__now_ns() + look_ns;
    activation->has_ended = false;
    free(activation->how);
    activation->how = NULL;
    lithops__log(LITHOPS_LOG_DEBUG, http->backend, "worker %u: activation %s", worker, id);
    return true;
}

/* How an activation has ended, by the answer to a request for its result:
 * {"result": {"ended": ...} or {"error": ...}, "status": "success" or another, ...} */
static void read_result(const char *text, char ret_how[HOW_BYTES])
{
    lithops_value *map = lithops_value_from_json(text, strlen(text), NULL);
    const lithops_value *result = lithops_value_get(map, "result");
    const char *ended = lithops_value_get_string(lithops_value_get(result, "ended"));
    const char *error = lithops_value_get_string(lithops_value_get(result, "error"));
    const char *status = lithops_value_get_string(lithops_value_get(map, "status"));
    if (ended)
        snprintf(ret_how, HOW_BYTES, "%s", ended);
    else if (error)
        snprintf(ret_how, HOW_BYTES, "%s", error);
    else
        snprintf(ret_how, HOW_BYTES, "its activation has ended: %s",
                 status ? status : "nothing says how");
    lithops_value_free(map);
}

/* A request for the result of an activation is on its way from now on, if all is well. A token of
 * IAM that has to be renewed for it may take until the next look; if it does not come, nobody looks
 * for a while, as the relay waits for it. */
static void begin_look(struct lithops__service *http, uint32_t worker)
{
    char url[1024], *authorization = NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__credentials used = {.expires = 0};
    const struct lithops__bounds bounds = {lithops__now_ns() + look_ns, NULL, NULL};
    snprintf(url, sizeof url, "%s%s/result", http->whisk.activations_url,
             http->whisk.activations[worker].id);
    if (lithops__service_authorization(http, &bounds, &authorization, &used, &err) == 0) {
        const char *headers[] = {authorization, NULL};
        const struct lithops__post_request request = {
            .url = url, .headers = headers, .is_get = true, .is_short = true};
        (void)http->api->begin(http->posts, &request, &http->workers[worker], &err);
    } else {
        http->whisk.looks_ns = lithops__now_ns() + no_look_ns;
    }
    lithops__credentials_deinit(&used);
    lithops__secret_free(authorization);
}

/* It is not there before the activation has ended (404). Whatever else is amiss: another look will
 * tell, or the silence of the worker. */
static void take_look(const struct lithops__service *http, uint32_t worker)
{
    struct activation *activation = &http->whisk.activations[worker];
    struct lithops__post_state state;
    http->api->look(http->workers[worker], &state);
    http->api->end(http->workers[worker]);
    http->workers[worker] = NULL;
    activation->look_ns = lithops__now_ns() + look_ns;
    if (state.status != 200 || state.failure.code)
        return;
    char how[HOW_BYTES];
    read_result(state.text, how);
    activation->how = strdup(how);
    activation->has_ended = true;
}

static bool whisk_has_ended(struct lithops__service *http, uint32_t worker)
{
    struct activation *activation = &http->whisk.activations[worker];
    uint64_t now = lithops__now_ns();
    if (!activation->has_ended && http->workers[worker] &&
        http->api->is_over(http->workers[worker]))
        take_look(http, worker);
    if (!activation->has_ended && !http->workers[worker] && now >= activation->look_ns &&
        now >= http->whisk.looks_ns)
        begin_look(http, worker);
    return activation->has_ended;
}

static void whisk_tell_end(struct lithops__service *http, uint32_t worker, char *ret_how,
                           size_t size)
{
    const char *how = http->whisk.activations[worker].how;
    snprintf(ret_how, size, "%s", how ? how : "");
}

static int whisk_probe(struct lithops__service *http, lithops__probe_say say, void *user,
                       lithops_error *err)
{
    return lithops__service_ask(http, http->whisk.action_url, http->whisk.action_url, "the action",
                                false, say, user, err);
}

const struct lithops__service_kind lithops__whisk_kind = {
    .is_async = true,
    .noun = "action",
    .stranger = "the API of OpenWhisk",
    .missing = "there is no such action: make one of an image that runs 'lithops worker "
               "--openwhisk', and name it by the key 'action'",
    .open = whisk_open,
    .close = whisk_close,
    .address = whisk_address,
    .is_taken = whisk_is_taken,
    .has_ended = whisk_has_ended,
    .tell_end = whisk_tell_end,
    .probe = whisk_probe,
};
