/* SPDX-License-Identifier: Apache-2.0 */
/* How Oracle's functions are workers: they are invoked "detached", and nobody says how they end. */
#include "compute/backends/http/oracle.h"

#include "base/error.h"
#include "compute/backends/http/service.h"
#include "net/aws_profile.h"
#include "net/credentials.h"
#include "net/date.h"
#include "net/fetch.h"
#include "net/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- settings -------------------------------------------------------------------------------- */

static const char *text_of(const lithops_value *settings, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, key));
    return text && *text ? text : NULL;
}

/* What goes into URLs and headers as it is. */
static bool is_plain(const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:";
    return strspn(text, plain) == strlen(text);
}

static int check(const lithops_value *settings, lithops_error *err)
{
    static const char *const keys[] = {"user", "tenancy", "fingerprint", "function_id", "region"};
    if (!text_of(settings, "function_id"))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "oracle_f.function_id is missing: the OCID of the function. 'lithops "
                             "runtime build' makes its image, and 'oci fn function create "
                             "--application-id ID --display-name lithops --image IMAGE "
                             "--memory-in-mbs 256 --config {\"LITHOPS_WORKER_SECRET\":...}' a "
                             "function of it");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = text_of(settings, keys[i]);
        bool is_region = strcmp(keys[i], "region") == 0;
        if (!text && is_region && text_of(settings, "api_endpoint"))
            continue;
        if (!text)
            return lithops__fail(err, LITHOPS_ECONFIG,
                                 "the backend oracle_f needs the key '%s' in the section 'oracle', "
                                 "as ~/.oci/config has it",
                                 keys[i]);
        if (!is_plain(text))
            return lithops__fail(err, LITHOPS_ECONFIG,
                                 "'%s' of oracle_f or oracle has letters, digits and -_.: only",
                                 keys[i]);
    }
    return text_of(settings, "key_file")
               ? 0
               : lithops__fail(err, LITHOPS_ECONFIG,
                               "the backend oracle_f needs the key 'key_file' in the section "
                               "'oracle': the private key of the user, in PEM");
}

static int read_key(const char *name, char **ret_pem, lithops_error *err)
{
    const char *home = getenv("HOME");
    char *path = NULL;
    int len = strncmp(name, "~/", 2) == 0 && home ? asprintf(&path, "%s%s", home, name + 1)
                                                  : asprintf(&path, "%s", name);
    if (len < 0)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    *ret_pem = lithops__read_small_file(path);
    int rc = *ret_pem ? 0
                      : lithops__fail(err, LITHOPS_ECONFIG,
                                      "'%s', the key_file of oracle, cannot be read", path);
    free(path);
    return rc;
}

static char *api_base(const lithops_value *settings)
{
    const char *url = text_of(settings, "api_endpoint"), *region = text_of(settings, "region");
    char *base = NULL;
    if (url)
        return lithops__service_base(url);
    return asprintf(&base, "https://functions.%s.oci.oraclecloud.com", region) < 0 ? NULL : base;
}

static char *join(const char *base, const char *path, const char *more)
{
    char *url = NULL;
    return asprintf(&url, "%s%s%s", base, path, more) < 0 ? NULL : url;
}

static int oracle_open(struct lithops__service *http, const lithops_value *settings,
                       lithops_error *err)
{
    struct lithops__oracle_function *function = &http->oracle;
    const char *endpoint = text_of(settings, "endpoint");
    pthread_mutex_init(&function->lock, NULL);
    int rc = check(settings, err);
    if (rc == 0)
        rc = read_key(text_of(settings, "key_file"), &function->pem, err);
    if (rc != 0)
        return rc;
    function->timeout_s = lithops_value_get_int(lithops_value_get(settings, "request_timeout"));
    char *api = api_base(settings);
    char *own = endpoint ? lithops__service_base(endpoint) : NULL;
    function->path = join("/20181201/functions/", text_of(settings, "function_id"), "");
    if (asprintf(&function->key_id, "%s/%s/%s", text_of(settings, "tenancy"),
                 text_of(settings, "user"), text_of(settings, "fingerprint")) < 0)
        function->key_id = NULL;
    if (api && function->path)
        function->url = join(api, function->path, "");
    if (own && function->path)
        function->invoke_url = join(own, function->path, "/actions/invoke");
    bool is_whole = function->key_id && function->url && (!endpoint || function->invoke_url);
    free(api);
    free(own);
    if (!is_whole)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return endpoint ? lithops__service_check_url(http, endpoint, "requests", err) : 0;
}

static void oracle_close(struct lithops__service *http)
{
    struct lithops__oracle_function *function = &http->oracle;
    free(function->key_id);
    lithops__secret_free(function->pem);
    free(function->url);
    free(function->path);
    free(function->invoke_url);
    pthread_mutex_destroy(&function->lock);
}

/* ---- the function ---------------------------------------------------------------------------- */

static int judge(const struct lithops__oracle_function *function, long status,
                 const lithops_value *document, lithops_error *err)
{
    const char *message = lithops_value_get_string(lithops_value_get(document, "message"));
    const char *state = lithops_value_get_string(lithops_value_get(document, "lifecycleState"));
    int64_t timeout_s =
        lithops_value_get_int(lithops_value_get(document, "detachedModeTimeoutInSeconds"));
    if (timeout_s <= 0)
        timeout_s = lithops_value_get_int(lithops_value_get(document, "timeoutInSeconds"));
    if (status == 404)
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "oracle_f.function_id: there is no such function, or the user may not "
                             "see it");
    if (status == 401 || status == 403)
        return lithops__fail(
            err, LITHOPS_EDENIED,
            "the API of functions does not take the signature (status %ld)%s%.200s", status,
            message ? ": " : "", message ? message : "");
    if (status != 200) {
        int rc = lithops__fail(err, LITHOPS_EBACKEND, "%s: status %ld%s%.200s", function->url,
                               status, message ? ": " : "", message ? message : "");
        err->retryable = status == 429 || status >= 500;
        return rc;
    }
    if (state && strcmp(state, "ACTIVE") != 0)
        return lithops__fail(err, LITHOPS_EBACKEND, "the function is %.40s, not ACTIVE", state);
    return timeout_s > 0 && timeout_s < function->timeout_s
               ? lithops__fail(err, LITHOPS_ECONFIG,
                               "oracle_f.request_timeout is %lld s, and the function has %lld s: "
                               "give it more by --detached-mode-timeout-in-seconds, or say less",
                               (long long)function->timeout_s, (long long)timeout_s)
               : 0;
}

static int note_endpoint(struct lithops__oracle_function *function, const lithops_value *document,
                         lithops_error *err)
{
    const char *endpoint = lithops_value_get_string(lithops_value_get(document, "invokeEndpoint"));
    if (!endpoint || !*endpoint)
        return lithops__fail(err, LITHOPS_EBACKEND, "the function has no invoke endpoint");
    char *base = lithops__service_base(endpoint);
    char *url = base ? join(base, function->path, "/actions/invoke") : NULL;
    free(base);
    if (!url)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    pthread_mutex_lock(&function->lock);
    if (!function->invoke_url) {
        function->invoke_url = url;
        url = NULL;
    }
    pthread_mutex_unlock(&function->lock);
    free(url);
    return 0;
}

static int sign(const struct lithops__oracle_function *function,
                const struct lithops__crypto_api *crypto, struct lithops__oracle_request *request,
                struct lithops__oracle_signed *ret_signed, lithops_error *err)
{
    char date[LITHOPS__HTTP_DATE];
    lithops__http_date_write(time(NULL), date);
    request->date = date;
    return lithops__oracle_sign(crypto, function->key_id, function->pem, request, ret_signed, err);
}

/* Ask for the function: where it is invoked, unless the configuration says it, and whether it has
 * enough time. `ret_text`, if it is not NULL, is a line about it, which the caller frees.
 * EDENIED, ENOTFOUND, ECONFIG; EBACKEND */
static int look(struct lithops__service *http, const struct lithops__bounds *bounds,
                char **ret_text, lithops_error *err)
{
    struct lithops__oracle_function *function = &http->oracle;
    struct lithops__oracle_request request = {.method = "get", .url = function->url};
    struct lithops__oracle_signed made;
    char *text = NULL;
    long status = 0;
    int rc = sign(function, http->crypto, &request, &made, err);
    if (rc != 0)
        return rc;
    const char *headers[] = {made.date, made.authorization, NULL};
    const struct lithops__fetch fetch = {.http = http->transfer,
                                         .bounds = *bounds,
                                         .method = "GET",
                                         .url = function->url,
                                         .headers = headers};
    rc = lithops__fetch(&fetch, &status, &text, err);
    free(made.authorization);
    if (rc != 0)
        return rc;
    lithops_value *document = lithops_value_from_json(text, strlen(text), NULL);
    const char *name = lithops_value_get_string(lithops_value_get(document, "displayName"));
    rc = judge(function, status, document, err);
    if (rc == 0)
        rc = note_endpoint(function, document, err);
    if (rc == 0 && ret_text &&
        asprintf(ret_text, "status %ld: %.100s, %lld MB", status, name ? name : "a function",
                 (long long)lithops_value_get_int(lithops_value_get(document, "memoryInMBs"))) < 0)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(document);
    lithops__document_free(text);
    return rc;
}

static char *copy_url(struct lithops__oracle_function *function, bool *ret_is_known)
{
    pthread_mutex_lock(&function->lock);
    *ret_is_known = function->invoke_url != NULL;
    char *url = function->invoke_url ? strdup(function->invoke_url) : NULL;
    pthread_mutex_unlock(&function->lock);
    return url;
}

/* The URL of invocations; the function is asked for if nobody knows it. The caller frees it. */
static int find_url(struct lithops__service *http, const struct lithops__bounds *bounds,
                    char **ret_url, lithops_error *err)
{
    bool is_known;
    *ret_url = copy_url(&http->oracle, &is_known);
    if (!is_known) {
        int rc = look(http, bounds, NULL, err);
        if (rc != 0)
            return rc;
        *ret_url = copy_url(&http->oracle, &is_known);
    }
    return *ret_url ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* ---- workers --------------------------------------------------------------------------------- */

static int oracle_address(struct lithops__service *http, lithops_bytes body,
                          const struct lithops__bounds *bounds, struct lithops__service_head *head,
                          lithops_error *err)
{
    int rc = find_url(http, bounds, &head->url, err);
    if (rc != 0)
        return rc;
    struct lithops__oracle_request request = {
        .method = "post", .url = head->url, .type = "application/json", .body = body};
    struct lithops__oracle_signed made;
    rc = sign(&http->oracle, http->crypto, &request, &made, err);
    if (rc != 0)
        return rc;
    char **lines = head->lines;
    lines[0] = made.authorization;
    if ((lines[1] = strdup("fn-invoke-type: detached")) && (lines[2] = strdup(made.date)) &&
        (lines[3] = strdup(made.hash)))
        return 0;
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

static bool oracle_is_taken(struct lithops__service *http, uint32_t worker,
                            const struct lithops__post_state *state, const char *proof)
{
    (void)http;
    (void)worker;
    (void)proof;
    return state->status == 202 && !state->failure.code;
}

static bool oracle_has_ended(struct lithops__service *http, uint32_t worker)
{
    (void)http;
    (void)worker;
    return false;
}

static void oracle_tell_end(struct lithops__service *http, uint32_t worker, char *ret_how,
                            size_t size)
{
    (void)http;
    (void)worker;
    snprintf(ret_how, size, "%s", "");
}

static int oracle_probe(struct lithops__service *http, lithops__probe_say say, void *user,
                        lithops_error *err)
{
    const struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    char *text = NULL;
    int rc = look(http, &bounds, &text, err);
    if (rc == 0)
        say(user, http->oracle.url, true, text);
    free(text);
    return rc;
}

const struct lithops__service_kind lithops__oracle_kind = {
    .is_async = true,
    .is_silent = true,
    .noun = "function",
    .stranger = "the API of Oracle's functions",
    .open = oracle_open,
    .close = oracle_close,
    .address = oracle_address,
    .is_taken = oracle_is_taken,
    .has_ended = oracle_has_ended,
    .tell_end = oracle_tell_end,
    .probe = oracle_probe,
};
