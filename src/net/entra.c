/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of Microsoft Entra ID: for a client with a secret, for a workload whose token is in a file
 * (Kubernetes, GitHub Actions), or for the identity of the machine or app itself. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/aws_profile.h"
#include "net/aws_remote.h"
#include "net/fetch.h"
#include "net/oauth.h"
#include "net/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AUTHORITY "https://login.microsoftonline.com"
#define MACHINE "http://169.254.169.254/metadata/identity/oauth2/token"

struct entra {
    const struct lithops__transfer_api *http;
    char *url;
    char *resource, *client, *secret, *token_file;
    char *header; /* of the machine's service; NULL: another login */
};

static void close_entra(void *user)
{
    struct entra *entra = user;
    free(entra->url);
    free(entra->resource);
    free(entra->client);
    lithops__secret_free(entra->secret);
    free(entra->token_file);
    lithops__secret_free(entra->header);
    free(entra);
}

static int fail_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a token");
}

static void append_field(struct lithops__buffer *form, const char *name, const char *value)
{
    lithops__buffer_printf(form, "%s%s=", form->len ? "&" : "", name);
    lithops__url_encode(form, value, strcspn(value, "\r\n"), false);
}

static int write_form(const struct entra *entra, struct lithops__buffer *form, lithops_error *err)
{
    char scope[256];
    append_field(form, "client_id", entra->client);
    append_field(form, "grant_type", "client_credentials");
    snprintf(scope, sizeof scope, "%s.default", entra->resource);
    append_field(form, "scope", scope);
    if (entra->secret) {
        append_field(form, "client_secret", entra->secret);
    } else {
        char *token = lithops__read_small_file(entra->token_file);
        if (!token)
            return lithops__fail(err, LITHOPS_ECONFIG,
                                 "'%s', AZURE_FEDERATED_TOKEN_FILE, cannot be read",
                                 entra->token_file);
        append_field(form, "client_assertion_type",
                     "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        append_field(form, "client_assertion", token);
        lithops__secret_free(token);
    }
    lithops__buffer_append(form, "", 1);
    return form->failed ? fail_memory(err) : 0;
}

static int fetch_token(void *user, const struct lithops__bounds *bounds,
                       struct lithops__credentials *ret_credentials, lithops_error *err)
{
    const struct entra *entra = user;
    const char *const headers[] = {
        entra->header ? entra->header : "Content-Type: application/x-www-form-urlencoded", NULL};
    struct lithops__buffer form = LITHOPS__BUFFER_INIT;
    int rc = entra->header ? 0 : write_form(entra, &form, err);
    const struct lithops__fetch fetch = {.http = entra->http,
                                         .bounds = *bounds,
                                         .method = entra->header ? "GET" : "POST",
                                         .url = entra->url,
                                         .headers = headers,
                                         .body = (const char *)form.data};
    char *document = NULL;
    long status;
    if (rc == 0)
        rc = lithops__fetch(&fetch, &status, &document, err);
    if (rc == 0)
        rc = lithops__oauth_read_token(document, status,
                                       entra->header ? "the machine's identity" : entra->url,
                                       ret_credentials, err);
    lithops__document_free(document);
    if (form.data)
        explicit_bzero(form.data, form.len);
    lithops__buffer_deinit(&form);
    return rc;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool keep(char **kept, const char *text)
{
    return !text || (*kept = strdup(text)) != NULL;
}

static bool use_machine(struct entra *entra, const struct lithops__entra_login *login)
{
    struct lithops__buffer url = LITHOPS__BUFFER_INIT, header = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(
        &url, "%s?api-version=%s&resource=", login->metadata ? login->metadata : MACHINE,
        login->metadata_secret ? "2019-08-01" : "2018-02-01");
    lithops__url_encode(&url, login->resource, strlen(login->resource), false);
    if (login->client) {
        lithops__buffer_append_string(&url, "&client_id=");
        lithops__url_encode(&url, login->client, strlen(login->client), false);
    }
    if (login->metadata_secret)
        lithops__buffer_printf(&header, "X-IDENTITY-HEADER: %s", login->metadata_secret);
    else
        lithops__buffer_append_string(&header, "Metadata: true");
    entra->url = lithops__buffer_steal(&url);
    entra->header = lithops__buffer_steal(&header);
    return entra->url && entra->header;
}

static bool use_client(struct entra *entra, const struct lithops__entra_login *login)
{
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    const char *authority = login->authority ? login->authority : AUTHORITY;
    size_t len = strlen(authority);
    while (len && authority[len - 1] == '/')
        len--;
    lithops__buffer_printf(&url, "%.*s/", (int)len, authority);
    lithops__url_encode(&url, login->tenant, strlen(login->tenant), false);
    lithops__buffer_append_string(&url, "/oauth2/v2.0/token");
    entra->url = lithops__buffer_steal(&url);
    return entra->url && keep(&entra->client, login->client) &&
           keep(&entra->secret, login->secret) && keep(&entra->token_file, login->token_file);
}

int lithops__entra_open(const struct lithops__transfer_api *http,
                        const struct lithops__entra_login *login,
                        struct lithops__credential_store **ret_store, lithops_error *err)
{
    struct entra *entra = calloc(1, sizeof *entra);
    if (!entra)
        return fail_memory(err);
    entra->http = http;
    bool is_client = login->secret || login->token_file;
    if (!keep(&entra->resource, login->resource) ||
        !(is_client ? use_client : use_machine)(entra, login)) {
        close_entra(entra);
        return fail_memory(err);
    }
    const struct lithops__credential_source source = {
        .fetch = fetch_token, .close = close_entra, .user = entra};
    *ret_store = lithops__credential_store_new(&source);
    return *ret_store ? 0 : fail_memory(err);
}

/* ---- what a configuration says --------------------------------------------------------------- */

/* A setting, or what Azure's tools take in its place; NULL: neither. */
static const char *text_or(const lithops_value *settings, const char *name, const char *variable)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : variable ? lithops__environment(variable) : NULL;
}

int lithops__entra_find(const struct lithops__transfer_api *http, const lithops_value *settings,
                        const char *section, const char *resource,
                        struct lithops__credential_store **ret_store, lithops_error *err)
{
    const char *token = text_or(settings, "token", NULL);
    *ret_store = NULL;
    if (token && strpbrk(token, "\r\n"))
        return lithops__fail(err, LITHOPS_ECONFIG, "token of '%s' contains an invalid character",
                             section);
    if (token) {
        *ret_store = lithops__credential_store_of_token(token, NULL);
        return *ret_store ? 0 : fail_memory(err);
    }
    struct lithops__entra_login login = {
        .resource = resource,
        .authority = lithops__environment("AZURE_AUTHORITY_HOST"),
        .tenant = text_or(settings, "tenant_id", "AZURE_TENANT_ID"),
        .client = text_or(settings, "client_id", "AZURE_CLIENT_ID"),
        .secret = text_or(settings, "client_secret", "AZURE_CLIENT_SECRET"),
        .token_file = lithops__environment("AZURE_FEDERATED_TOKEN_FILE"),
        .metadata = lithops__environment("IDENTITY_ENDPOINT"),
        .metadata_secret = lithops__environment("IDENTITY_HEADER")};
    if (lithops_value_get_bool(lithops_value_get(settings, "managed_identity")))
        login.secret = login.token_file = NULL;
    else if (!login.tenant || !login.client || (!login.secret && !login.token_file))
        return 0;
    return lithops__entra_open(http, &login, ret_store, err);
}
