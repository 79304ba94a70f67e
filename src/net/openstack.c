/* SPDX-License-Identifier: Apache-2.0 */
#include "net/openstack.h"

#include "base/buffer.h"
#include "base/error.h"
#include "net/date.h"
#include "net/fetch.h"

#include <lithops/value.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LIFE_S = 3600 }; /* of a token whose end is not told */

struct openstack {
    const struct lithops__transfer_api *http;
    char *url;
    bool is_v1;
    char *body;            /* version 3: what is posted */
    char *user, *password; /* version 1: headers */
    char *region, *interface;
};

static void close_openstack(void *user)
{
    struct openstack *login = user;
    free(login->url);
    lithops__secret_free(login->body);
    lithops__secret_free(login->user);
    lithops__secret_free(login->password);
    free(login->region);
    free(login->interface);
    free(login);
}

static int fail_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a token");
}

/* ---- answers --------------------------------------------------------------------------------- */

/* What the headers of an answer say. */
struct told {
    char *token, *endpoint;
    double life_s;
};

static void keep_header(const struct lithops__transfer_api *http,
                        struct lithops__transfer *transfer, const char *name, char **ret_text)
{
    const char *text = http->header(transfer, name);
    if (text && !*ret_text)
        *ret_text = strdup(text);
}

static void on_answer(const struct lithops__transfer_api *http, struct lithops__transfer *transfer,
                      void *user)
{
    struct told *told = user;
    keep_header(http, transfer, "X-Subject-Token", &told->token);
    keep_header(http, transfer, "X-Auth-Token", &told->token);
    keep_header(http, transfer, "X-Storage-Url", &told->endpoint);
    const char *life = http->header(transfer, "X-Auth-Token-Expires");
    if (life)
        told->life_s = strtod(life, NULL);
}

static const char *text_in(const lithops_value *map, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, name));
    return text ? text : "";
}

static bool is_of_region(const lithops_value *endpoint, const char *region)
{
    return !region || strcmp(text_in(endpoint, "region"), region) == 0 ||
           strcmp(text_in(endpoint, "region_id"), region) == 0;
}

/* The URL of the object store in a token's catalog; NULL if it has none. */
static const char *find_endpoint(const struct openstack *login, const lithops_value *token)
{
    const lithops_value *catalog = lithops_value_get(token, "catalog");
    for (size_t i = 0; i < lithops_value_size(catalog); i++) {
        const lithops_value *service = lithops_value_at(catalog, i),
                            *endpoints = lithops_value_get(service, "endpoints");
        if (strcmp(text_in(service, "type"), "object-store") != 0)
            continue;
        for (size_t j = 0; j < lithops_value_size(endpoints); j++) {
            const lithops_value *endpoint = lithops_value_at(endpoints, j);
            if (strcmp(text_in(endpoint, "interface"), login->interface) == 0 &&
                is_of_region(endpoint, login->region) && *text_in(endpoint, "url"))
                return text_in(endpoint, "url");
        }
    }
    return NULL;
}

static int refuse(const struct openstack *login, long status, const lithops_value *document,
                  lithops_error *err)
{
    const char *reason = text_in(lithops_value_get(document, "error"), "message");
    lithops__fail(err, LITHOPS_EDENIED, "%s gives no token (HTTP %ld)%s%.200s; check %s",
                  login->url, status, *reason ? ": " : "", reason,
                  login->is_v1 ? "user_id and password"
                               : "user_id, user_domain_name, password and project_id");
    if (err)
        err->http_status = (int)status;
    return LITHOPS_EDENIED;
}

static int read_answer(const struct openstack *login, const char *text, long status,
                       const struct told *told, struct lithops__credentials *ret_credentials,
                       lithops_error *err)
{
    lithops_value *document = lithops_value_from_json(text, strlen(text), NULL);
    const lithops_value *token = lithops_value_get(document, "token");
    const char *endpoint = login->is_v1 ? told->endpoint : find_endpoint(login, token);
    double expires = lithops__iso_date(text_in(token, "expires_at"));
    int rc = 0;
    if (status >= 300)
        rc = refuse(login, status, document, err);
    else if (!told->token)
        rc =
            lithops__fail(err, LITHOPS_EBACKEND, "the answer of %s has no token in it", login->url);
    else if (!endpoint)
        rc = lithops__fail(err, LITHOPS_ECONFIG,
                           "the catalog of %s has no object store in region '%s' (interface "
                           "'%s'); check region, interface and project_id",
                           login->url, login->region ? login->region : "", login->interface);
    else {
        size_t len = strlen(endpoint);
        while (len && endpoint[len - 1] == '/')
            len--;
        *ret_credentials = (struct lithops__credentials){
            .bearer = strdup(told->token),
            .endpoint = strndup(endpoint, len),
            .expires = expires > 0
                           ? expires
                           : (double)time(NULL) + (told->life_s > 0 ? told->life_s : LIFE_S)};
        if (!ret_credentials->bearer || !ret_credentials->endpoint) {
            lithops__credentials_deinit(ret_credentials);
            rc = fail_memory(err);
        }
    }
    lithops_value_free(document);
    return rc;
}

static char *header_of(const char *name, const char *value)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&text, "%s: %s", name, value);
    return lithops__buffer_steal(&text);
}

static int fetch_token(void *user, const struct lithops__bounds *bounds,
                       struct lithops__credentials *ret_credentials, lithops_error *err)
{
    const struct openstack *login = user;
    struct told told = {.token = NULL};
    char *who = login->is_v1 ? header_of("X-Auth-User", login->user) : NULL,
         *key = login->is_v1 ? header_of("X-Auth-Key", login->password) : NULL, *document = NULL;
    const char *const v1[] = {who, key, NULL}, *const v3[] = {"Content-Type: application/json",
                                                              NULL};
    const struct lithops__fetch fetch = {.http = login->http,
                                         .bounds = *bounds,
                                         .method = login->is_v1 ? "GET" : "POST",
                                         .url = login->url,
                                         .headers = login->is_v1 ? v1 : v3,
                                         .body = login->body,
                                         .on_answer = on_answer,
                                         .user = &told};
    long status;
    int rc = login->is_v1 && (!who || !key) ? fail_memory(err)
                                            : lithops__fetch(&fetch, &status, &document, err);
    if (rc == 0)
        rc = read_answer(login, document, status, &told, ret_credentials, err);
    lithops__document_free(document);
    lithops__secret_free(who);
    lithops__secret_free(key);
    lithops__secret_free(told.token);
    free(told.endpoint);
    return rc;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool ends_with(const char *text, size_t len, const char *end)
{
    return len >= strlen(end) && strncmp(text + len - strlen(end), end, strlen(end)) == 0;
}

static bool write_url(struct openstack *login, const char *url)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    size_t len = strlen(url);
    while (len && url[len - 1] == '/')
        len--;
    login->is_v1 = ends_with(url, len, "/v1.0") || ends_with(url, len, "/v1");
    lithops__buffer_append(&text, url, len);
    if (!login->is_v1)
        lithops__buffer_printf(&text, "%s/auth/tokens", ends_with(url, len, "/v3") ? "" : "/v3");
    login->url = lithops__buffer_steal(&text);
    return login->url != NULL;
}

static lithops_value *method_of(const struct lithops__openstack_login *login)
{
    if (login->application_id)
        return lithops_pack("{s:[s],s:{s:s,s:s}}", "methods", "application_credential",
                            "application_credential", "id", login->application_id, "secret",
                            login->application_secret);
    return lithops_pack("{s:[s],s:{s:{s:s,s:s,s:{s:s}}}}", "methods", "password", "password",
                        "user", "name", login->user, "password", login->password, "domain",
                        login->user_domain ? "name" : "id",
                        login->user_domain ? login->user_domain : "default");
}

static bool write_body(struct openstack *open, const struct lithops__openstack_login *login)
{
    /* An application's credential has its project already. */
    const char *project = login->application_id ? NULL : login->project;
    lithops_value *identity = method_of(login);
    lithops_value *all = project ? lithops_pack("{s:{s:o,s:{s:{s:s}}}}", "auth", "identity",
                                                identity, "scope", "project", "id", project)
                                 : lithops_pack("{s:{s:o}}", "auth", "identity", identity);
    bool good = all && lithops_value_to_json(all, &open->body, NULL) == 0;
    lithops_value_free(all);
    return good;
}

static bool keep(char **kept, const char *text)
{
    return !text || (*kept = strdup(text)) != NULL;
}

int lithops__openstack_open(const struct lithops__transfer_api *http,
                            const struct lithops__openstack_login *login,
                            struct lithops__credential_store **ret_store, lithops_error *err)
{
    struct openstack *open = calloc(1, sizeof *open);
    if (!open)
        return fail_memory(err);
    open->http = http;
    bool good = write_url(open, login->auth_url) && keep(&open->region, login->region) &&
                keep(&open->interface, login->interface ? login->interface : "public");
    if (good && open->is_v1)
        good = keep(&open->user, login->user) && keep(&open->password, login->password);
    else if (good)
        good = write_body(open, login);
    if (!good) {
        close_openstack(open);
        return fail_memory(err);
    }
    const struct lithops__credential_source source = {
        .fetch = fetch_token, .close = close_openstack, .user = open};
    *ret_store = lithops__credential_store_new(&source);
    return *ret_store ? 0 : fail_memory(err);
}
