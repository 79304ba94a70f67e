/* SPDX-License-Identifier: Apache-2.0 */
/* The API key is exchanged for tokens (net/oauth.c), which are renewed before they expire, and once
 * when one is refused. Thread-safe; each request has a connection of its own. Bodies have secrets:
 * their texts are wiped, though not the values that they are made of, and never in messages. */
#include "compute/ibm.h"

#include "base/error.h"
#include "base/module.h"
#include "net/fetch.h"
#include "net/http.h"
#include "net/oauth.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 8 << 20 };

/* ---- opening --------------------------------------------------------------------------------- */

static const char *setting(const lithops_value *settings, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : NULL;
}

static bool is_region(const char *text)
{
    return strlen(text) < sizeof((struct lithops__ibm_api *)0)->region &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(text);
}

int lithops__ibm_find(const char *section, const lithops_value *settings,
                      const struct lithops__transfer_api *http, char ret_region[64],
                      struct lithops__credential_store **ret_credentials, lithops_error *err)
{
    const char *region = setting(settings, "region"), *key = setting(settings, "iam_api_key");
    if (!key)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the backend %s needs the key 'iam_api_key' in the section 'ibm': "
                             "'ibmcloud iam api-key-create NAME' makes one",
                             section);
    if (!region && !setting(settings, "endpoint"))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the backend %s needs the key 'region' in the section '%s' or 'ibm', "
                             "as in us-south",
                             section, section);
    if (region && !is_region(region))
        return lithops__fail(err, LITHOPS_ECONFIG, "the region '%.60s' of %s is none, as us-south",
                             region, section);
    snprintf(ret_region, 64, "%s", region ? region : "");
    return lithops__ibm_open(http, key, setting(settings, "iam_endpoint"), ret_credentials, err);
}

static int find_place(struct lithops__ibm_api *api, const lithops_value *settings,
                      lithops_error *err)
{
    const char *section = api->service->section, *endpoint = setting(settings, "endpoint");
    size_t len = endpoint ? strlen(endpoint) : 0;
    while (len > 0 && endpoint[len - 1] == '/')
        len--;
    if (endpoint && (len >= sizeof api->endpoint || !lithops__is_safe_url(endpoint)))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the endpoint '%.100s' of %s is not a URL, as in https://host",
                             endpoint, section);
    if (endpoint)
        snprintf(api->endpoint, sizeof api->endpoint, "%.*s", (int)len, endpoint);
    else
        snprintf(api->endpoint, sizeof api->endpoint, api->service->endpoint, api->region);
    return 0;
}

int lithops__ibm_api_open(struct lithops__ibm_api *api, const struct lithops__ibm_service *service,
                          const lithops_value *settings, lithops_error *err)
{
    *api = (struct lithops__ibm_api){.service = service};
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", err);
    if (!http)
        return LITHOPS_EUNSUPPORTED;
    api->http = &http->transfer;
    int rc = lithops__ibm_find(service->section, settings, api->http, api->region,
                               &api->credentials, err);
    return rc ? rc : find_place(api, settings, err);
}

void lithops__ibm_api_close(struct lithops__ibm_api *api)
{
    lithops__credential_store_free(api->credentials);
    api->credentials = NULL;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* {"errors": [{"code": ..., "message": ...}]}; IAM has others. */
static int fail(const struct lithops__ibm_api *api, const char *what, long status,
                const char *document, lithops_error *err)
{
    int code = status == 404                    ? LITHOPS_ENOTFOUND
               : status == 401 || status == 403 ? LITHOPS_EDENIED
                                                : LITHOPS_ECONFIG;
    lithops_value *map = lithops_value_from_json(document, strlen(document), NULL);
    const lithops_value *first = lithops_value_at(lithops_value_get(map, "errors"), 0);
    const char *message = lithops_value_get_string(lithops_value_get(first, "message"));
    const char *name = lithops_value_get_string(lithops_value_get(first, "code"));
    const char *title = api->service->title;
    if (message)
        lithops__fail(err, code, "%s: %s answers with status %ld%s%s: %.500s", what, title, status,
                      name ? ", " : "", name ? name : "", message);
    else
        lithops__fail(err, code, "%s: %s answers with status %ld: %.300s", what, title, status,
                      document);
    lithops_value_free(map);
    err->http_status = (int)status;
    return code;
}

/* @param ret_used  for lithops__credentials_deinit(), on failure too */
static int make_once(struct lithops__ibm_api *api, const struct lithops__ibm_request *request,
                     const char *body, struct lithops__credentials *ret_used, long *ret_status,
                     char **ret_document, lithops_error *err)
{
    char *url = NULL, *authorization = NULL;
    int rc = lithops__credential_store_get(api->credentials, &request->bounds, ret_used, err);
    if (rc != 0)
        return rc;
    if (asprintf(&url, "%s%s%cversion=%s", api->endpoint, request->path,
                 strchr(request->path, '?') ? '&' : '?', api->service->version) < 0)
        url = NULL;
    if (asprintf(&authorization, "Authorization: Bearer %s", ret_used->bearer) < 0)
        authorization = NULL;
    bool is_patch = strcmp(request->method, "PATCH") == 0;
    const char *const headers[] = {
        authorization,
        is_patch ? "Content-Type: application/merge-patch+json" : "Content-Type: application/json",
        is_patch || strcmp(request->method, "PUT") == 0 ? "If-Match: *" : NULL, NULL};
    const struct lithops__fetch fetch = {.http = api->http,
                                         .bounds = request->bounds,
                                         .method = request->method,
                                         .url = url,
                                         .headers = headers,
                                         .body = body,
                                         .attempts = UINT_MAX,
                                         .most_bytes = ANSWER_MAX};
    rc = url && authorization ? lithops__fetch(&fetch, ret_status, ret_document, err)
                              : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc != 0 && rc != LITHOPS_ECANCELED)
        lithops__error_prefix(err, "%s", request->what);
    free(url);
    lithops__secret_free(authorization);
    return rc;
}

int lithops__ibm_do(struct lithops__ibm_api *api, const struct lithops__ibm_request *request,
                    lithops_value **ret_answer, lithops_error *err)
{
    char *body = NULL, *document = NULL;
    lithops_value *answer = NULL;
    long status = 0;
    int rc = request->body ? lithops_value_to_json(request->body, &body, err) : 0;
    lithops_value_free(request->body);
    for (int tries = 0; rc == 0 && tries < 2; tries++) {
        struct lithops__credentials used = {.expires = 0};
        lithops__document_free(document);
        document = NULL;
        rc = make_once(api, request, body, &used, &status, &document, err);
        bool again =
            rc == 0 && status == 401 && lithops__credential_store_expire(api->credentials, &used);
        lithops__credentials_deinit(&used);
        if (!again)
            break;
    }
    lithops__secret_free(body);
    if (rc == 0 && status >= 300)
        rc = fail(api, request->what, status, document, err);
    if (rc == 0 && ret_answer &&
        !(answer = lithops_value_from_json(document, strlen(document), NULL)))
        rc = lithops__fail(err, LITHOPS_EBACKEND, "%s: %s answers '%.200s'", request->what,
                           api->service->title, document);
    lithops__document_free(document);
    if (rc == 0 && ret_answer)
        *ret_answer = answer;
    return rc;
}
