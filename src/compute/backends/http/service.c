/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/backends/http/service.h"

#include "base/error.h"
#include "base/module.h"
#include "compute/backends/http/functions.h"
#include "net/activation.h"
#include "net/aws_profile.h"
#include "net/oauth.h"
#include "net/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHISK_MIN_S = 30 };
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
    if (http->is_oracle)
        lithops__oracle_close(&http->oracle);
    lithops__whisk_close(&http->whisk);
    lithops__secret_free(http->basic);
    lithops__secret_free(http->iam_key);
    free(http->iam_endpoint);
    for (uint32_t i = 0; http->activations && i < http->count; i++)
        free(http->activations[i].how);
    free(http->activations);
    free(http->workers);
}

static bool take_text(const lithops_value *settings, const char *key, char **ret_text)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, key));
    if (!text || !*text)
        return true;
    *ret_text = strdup(text);
    return *ret_text != NULL;
}

static int check(const struct lithops__service *http, lithops_error *err)
{
    const char *url = http->is_whisk ? http->whisk.invoke_url : http->endpoint;
    char how[LITHOPS__FUNCTIONS_DEPLOY];
    const char *deploy =
        lithops__functions_deploy(http->backend, (long long)(http->request_ns / s_ns), how);
    if (!url && deploy)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.endpoint is missing: the URL of the function. 'lithops runtime "
                             "build' makes its package; %s",
                             http->backend, deploy);
    if (!url && !http->is_oracle)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.endpoint is missing: the URL of the service whose container runs "
                             "'lithops worker --http'",
                             http->backend);
    if (!http->secret)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.secret is missing: what its workers have in "
                             "LITHOPS_WORKER_SECRET, as 'openssl rand -hex 32' makes it",
                             http->backend);
    if (strlen(http->secret) < LITHOPS__ACTIVATION_SECRET_MIN)
        return lithops__fail(err, LITHOPS_ECONFIG, "%s.secret has less than %d characters",
                             http->backend, LITHOPS__ACTIVATION_SECRET_MIN);
    if (http->is_whisk && !http->basic && !http->iam_key)
        return lithops__fail(err, LITHOPS_ECONFIG, "%s is missing",
                             strcmp(http->backend, "ibm_cf") == 0 ? "ibm_cf.iam_api_key"
                                                                  : "openwhisk.api_key");
    if ((http->token || http->token_file || http->account || http->is_machine || http->is_whisk ||
         http->function_key || http->is_oracle) &&
        url && !lithops__is_safe_url(url))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.endpoint is not https: others could read the %s", http->backend,
                             http->function_key ? "key"
                             : http->is_oracle  ? "requests"
                                                : "token");
    return 0;
}

static bool make_basic(const lithops_value *settings, char **ret_basic)
{
    const char *key = lithops_value_get_string(lithops_value_get(settings, "api_key"));
    if (!key || !*key)
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

static int check_time(const struct lithops__service *http, lithops_error *err)
{
    return http->request_ns >= WHISK_MIN_S * s_ns
               ? 0
               : lithops__fail(err, LITHOPS_ECONFIG,
                               "%s.request_timeout is less than %d s, and workers leave 16 s "
                               "before that: give the %s more time",
                               http->backend, WHISK_MIN_S, http->is_oracle ? "function" : "action");
}

static int take_oracle(struct lithops__service *http, const lithops_value *settings,
                       lithops_error *err)
{
    http->is_oracle = true;
    int rc = lithops__oracle_open(&http->oracle, settings, err);
    return rc ? rc : check_time(http, err);
}

static int take_whisk(struct lithops__service *http, const lithops_value *settings,
                      lithops_error *err)
{
    http->is_whisk = true;
    int rc = check_time(http, err);
    if (rc != 0)
        return rc;
    http->activations = calloc(http->count, sizeof *http->activations);
    if (!http->activations || !make_basic(settings, &http->basic) ||
        !take_text(settings, "iam_api_key", &http->iam_key) ||
        !take_text(settings, "iam_endpoint", &http->iam_endpoint))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return lithops__whisk_open(&http->whisk, http->backend, settings, err);
}

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
    if (!http->workers || !take_text(settings, "endpoint", &http->endpoint) ||
        !take_text(settings, "host", &http->host) ||
        !take_text(settings, "secret", &http->secret) ||
        !take_text(settings, "token", &http->token) ||
        !take_text(settings, "token_file", &http->token_file) ||
        !take_text(settings, "function_key", &http->function_key) ||
        !take_text(settings, "credentials_path", &http->account) ||
        !take_text(settings, "audience", &http->audience) ||
        (!http->endpoint && !take_text(settings, "ingress_endpoint", &http->endpoint)) ||
        (!http->endpoint && !make_endpoint(settings, &http->endpoint)))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    http->is_machine =
        !http->account && lithops_value_get_bool(lithops_value_get(settings, "metadata_identity"));
    if (strcmp(http->backend, "openwhisk") == 0 || strcmp(http->backend, "ibm_cf") == 0) {
        int rc = take_whisk(http, settings, err);
        if (rc != 0)
            return rc;
    }
    if (strcmp(http->backend, "oracle_f") == 0) {
        int rc = take_oracle(http, settings, err);
        if (rc != 0)
            return rc;
    }
    return check(http, err);
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
