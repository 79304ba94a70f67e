/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/backends/http/service.h"

#include "base/error.h"
#include "base/module.h"
#include "net/activation.h"
#include "net/aws_profile.h"
#include "net/fetch.h"
#include "net/oauth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASYNC_MIN_S = 30 };
static const uint64_t s_ns = 1000000000;

/* ---- opening --------------------------------------------------------------------------------- */

void lithops__service_close(struct lithops__service *http)
{
    if (http->api)
        http->api->close(http->posts);
    free(http->endpoint);
    free(http->host);
    lithops__secret_free(http->secret);
    lithops__secret_free(http->token);
    free(http->token_file);
    lithops__secret_free(http->function_key);
    free(http->account);
    free(http->audience);
    lithops__credential_store_free(http->store);
    http->kind->close(http);
    lithops__secret_free(http->basic);
    lithops__secret_free(http->iam_key);
    free(http->iam_endpoint);
    free(http->workers);
}

char *lithops__service_base(const char *url)
{
    size_t len = strlen(url);
    while (len && url[len - 1] == '/')
        len--;
    return strndup(url, len);
}

bool lithops__service_text(const lithops_value *settings, const char *key, char **ret_text)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, key));
    if (!text || !*text)
        return true;
    *ret_text = strdup(text);
    return *ret_text != NULL;
}

int lithops__service_check_url(const struct lithops__service *http, const char *url,
                               const char *what, lithops_error *err)
{
    return lithops__is_safe_url(url)
               ? 0
               : lithops__fail(err, LITHOPS_ECONFIG,
                               "%s.endpoint is not https: others could read the %s", http->backend,
                               what);
}

static int check(const struct lithops__service *http, lithops_error *err)
{
    if (!http->secret)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.secret is missing: what its workers have in "
                             "LITHOPS_WORKER_SECRET, as 'openssl rand -hex 32' makes it",
                             http->backend);
    if (strlen(http->secret) < LITHOPS__ACTIVATION_SECRET_MIN)
        return lithops__fail(err, LITHOPS_ECONFIG, "%s.secret has less than %d characters",
                             http->backend, LITHOPS__ACTIVATION_SECRET_MIN);
    if (http->kind->is_async && http->request_ns < ASYNC_MIN_S * s_ns)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.request_timeout is less than %d s, and workers leave 16 s "
                             "before that: give the %s more time",
                             http->backend, ASYNC_MIN_S, http->kind->noun);
    return 0;
}

int lithops__service_settings(struct lithops__service *http, const lithops_value *settings,
                              lithops_error *err)
{
    http->count = (uint32_t)lithops_value_get_int(lithops_value_get(settings, "max_workers"));
    http->sends_credentials =
        lithops_value_get_bool(lithops_value_get(settings, "send_credentials"));
    http->start_ns =
        s_ns * (uint64_t)lithops_value_get_int(lithops_value_get(settings, "start_timeout"));
    http->request_ns =
        s_ns * (uint64_t)lithops_value_get_int(lithops_value_get(settings, "request_timeout"));
    http->workers = calloc(http->count, sizeof(struct lithops__post *));
    if (!http->workers || !lithops__service_text(settings, "endpoint", &http->endpoint) ||
        !lithops__service_text(settings, "host", &http->host) ||
        !lithops__service_text(settings, "secret", &http->secret) ||
        !lithops__service_text(settings, "token", &http->token) ||
        !lithops__service_text(settings, "token_file", &http->token_file) ||
        !lithops__service_text(settings, "function_key", &http->function_key) ||
        !lithops__service_text(settings, "credentials_path", &http->account) ||
        !lithops__service_text(settings, "audience", &http->audience) ||
        (!http->endpoint && !lithops__service_text(settings, "ingress_endpoint", &http->endpoint)))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    http->is_machine =
        !http->account && lithops_value_get_bool(lithops_value_get(settings, "metadata_identity"));
    int rc = http->kind->open(http, settings, err);
    return rc == 0 ? check(http, err) : rc;
}

static int open_identity(struct lithops__service *http,
                         const struct lithops__transfer_api *transfer, lithops_error *err)
{
    if (http->iam_key && !http->basic)
        return lithops__ibm_open(transfer, http->iam_key, http->iam_endpoint, &http->store, err);
    return !http->token && !http->token_file && (http->account || http->is_machine)
               ? lithops__google_identity_open(transfer, http->crypto, http->account, NULL,
                                               http->audience ? http->audience : http->endpoint,
                                               &http->store, err)
               : 0;
}

int lithops__service_open(struct lithops__service *http, lithops_error *err)
{
    const struct lithops__http_api *module = lithops__module_symbol("http", "lithops__http", err);
    http->crypto = module ? lithops__module_symbol("crypto", "lithops__crypto", err) : NULL;
    if (!http->crypto)
        return LITHOPS_EUNSUPPORTED;
    http->transfer = &module->transfer;
    int rc = open_identity(http, http->transfer, err);
    if (rc != 0)
        return rc;
    http->api = &module->posts;
    return http->api->open(&http->posts, err);
}

/* ---- who asks ---------------------------------------------------------------------------------
 */

int lithops__service_authorization(const struct lithops__service *http,
                                   const struct lithops__bounds *bounds, char **ret_header,
                                   struct lithops__credentials *ret_used, lithops_error *err)
{
    *ret_header = NULL;
    if (http->function_key) {
        if (asprintf(ret_header, "x-functions-key: %.*s",
                     (int)strcspn(http->function_key, " \t\r\n"), http->function_key) < 0)
            *ret_header = NULL;
        return *ret_header ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    if (http->basic) {
        *ret_header = strdup(http->basic);
        return *ret_header ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    if (http->store) {
        int rc = lithops__credential_store_get(http->store, bounds, ret_used, err);
        if (rc == 0 && asprintf(ret_header, "Authorization: Bearer %s", ret_used->bearer) < 0) {
            *ret_header = NULL;
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        }
        return rc;
    }
    if (!http->token && !http->token_file)
        return 0;
    char *read = http->token_file ? lithops__read_small_file(http->token_file) : NULL;
    if (http->token_file && !read)
        return lithops__fail(err, LITHOPS_ECONFIG, "'%s', the token_file of %s, cannot be read",
                             http->token_file, http->backend);
    const char *token = read ? read : http->token;
    int len =
        asprintf(ret_header, "Authorization: Bearer %.*s", (int)strcspn(token, " \t\r\n"), token);
    lithops__secret_free(read);
    if (len >= 0)
        return 0;
    *ret_header = NULL;
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int ask(const struct lithops__service *http, const char *url, long *ret_status,
               char **ret_document, lithops_error *err)
{
    const struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    struct lithops__credentials used = {.expires = 0};
    char *authorization = NULL, host[512];
    int rc = lithops__service_authorization(http, &bounds, &authorization, &used, err);
    if (rc == 0) {
        const char *headers[3] = {NULL};
        size_t count = 0;
        snprintf(host, sizeof host, "Host: %s", http->host ? http->host : "");
        if (http->host)
            headers[count++] = host;
        if (authorization)
            headers[count++] = authorization;
        const struct lithops__fetch fetch = {.http = http->transfer,
                                             .bounds = bounds,
                                             .method = "GET",
                                             .url = url,
                                             .headers = headers};
        rc = lithops__fetch(&fetch, ret_status, ret_document, err);
    }
    lithops__credentials_deinit(&used);
    lithops__secret_free(authorization);
    return rc;
}

int lithops__service_ask(const struct lithops__service *http, const char *url, const char *name,
                         const char *what, bool has_words, lithops__probe_say say, void *user,
                         lithops_error *err)
{
    char *document = NULL, text[512];
    long status = 0;
    int rc = ask(http, url, &status, &document, err);
    if (rc != 0)
        return rc;
    snprintf(text, sizeof text, "status %ld: %.*s", status,
             has_words || status != 200 ? (int)strcspn(document, "\r\n") : 0, document);
    say(user, name, status == 200, text);
    if (status != 200)
        rc =
            lithops__fail(err, LITHOPS_EBACKEND, "%s: %s: status %ld", http->backend, what, status);
    lithops__document_free(document);
    return rc;
}
