/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/backends/http/whisk.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int lithops__whisk_open(struct lithops__whisk *whisk, const char *backend,
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
    size_t len = strlen(endpoint);
    while (len && endpoint[len - 1] == '/')
        len--;
    char *base = NULL;
    if (asprintf(&base, "%.*s/api/v1/namespaces/%s", (int)len, endpoint, space) < 0)
        base = NULL;
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

void lithops__whisk_close(struct lithops__whisk *whisk)
{
    free(whisk->action_url);
    free(whisk->invoke_url);
    free(whisk->activations_url);
}

int lithops__whisk_wrap(const char *activation, lithops_bytes sealed, struct lithops__buffer *body,
                        lithops_error *err)
{
    char *json = NULL;
    lithops_value *map = lithops_pack("{s:s,s:o}", "activation", activation, "sealed",
                                      lithops_value_bytes(sealed.ptr, sealed.len));
    int rc = map ? lithops_value_to_json(map, &json, err)
                 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(map);
    if (rc != 0)
        return rc;
    body->len = 0;
    lithops__buffer_append_string(body, json);
    free(json);
    return body->failed ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory") : 0;
}

bool lithops__whisk_read_id(const char *text, char ret_id[LITHOPS__WHISK_ID])
{
    lithops_value *map = lithops_value_from_json(text, strlen(text), NULL);
    const char *id = lithops_value_get_string(lithops_value_get(map, "activationId"));
    bool good = id && *id && strlen(id) < LITHOPS__WHISK_ID && is_plain(id, "");
    if (good)
        memcpy(ret_id, id, strlen(id) + 1);
    lithops_value_free(map);
    return good;
}

/* {"result": {"ended": ...} or {"error": ...}, "status": "success" or another, ...} */
void lithops__whisk_read_result(const char *text, char ret_how[LITHOPS__WHISK_HOW])
{
    lithops_value *map = lithops_value_from_json(text, strlen(text), NULL);
    const lithops_value *result = lithops_value_get(map, "result");
    const char *ended = lithops_value_get_string(lithops_value_get(result, "ended"));
    const char *error = lithops_value_get_string(lithops_value_get(result, "error"));
    const char *status = lithops_value_get_string(lithops_value_get(map, "status"));
    if (ended)
        snprintf(ret_how, LITHOPS__WHISK_HOW, "%s", ended);
    else if (error)
        snprintf(ret_how, LITHOPS__WHISK_HOW, "%s", error);
    else
        snprintf(ret_how, LITHOPS__WHISK_HOW, "its activation has ended: %s",
                 status ? status : "nothing says how");
    lithops_value_free(map);
}
