/* SPDX-License-Identifier: Apache-2.0 */
#include "net/oauth.h"

#include "base/buffer.h"
#include "base/error.h"
#include "net/aws_profile.h"
#include "net/fetch.h"
#include "net/sign.h"

#include <lithops/value.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GOOGLE_TOKENS "https://oauth2.googleapis.com/token"
#define IBM_TOKENS "https://iam.cloud.ibm.com"
#define GOOGLE_METADATA "metadata.google.internal"
enum {
    LIFE_S = 3600, /* of a statement that was signed; of an ID token */
    METADATA_MS = 3000,
};

struct oauth {
    const struct lithops__transfer_api *http;
    const struct lithops__crypto_api *crypto; /* NULL: IBM */
    char *url;
    char *email, *key, *key_id; /* of the service account */
    char *api_key;
    char *audience;    /* of ID tokens; NULL: access tokens */
    const char *scope; /* of access tokens; of a machine's, which has its own: "" */
};

static void close_oauth(void *user)
{
    struct oauth *oauth = user;
    free(oauth->url);
    free(oauth->email);
    lithops__secret_free(oauth->key);
    free(oauth->key_id);
    lithops__secret_free(oauth->api_key);
    free(oauth->audience);
    free(oauth);
}

static int fail_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a token");
}

/* ---- statements ------------------------------------------------------------------------------ */

static void append_base64url(struct lithops__buffer *out, const unsigned char *in, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < len; i += 3) {
        size_t some = len - i < 3 ? len - i : 3;
        unsigned bits = (unsigned)in[i] << 16 | (some > 1 ? (unsigned)in[i + 1] << 8 : 0) |
                        (some > 2 ? in[i + 2] : 0);
        const char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], digits[bits >> 6 & 63],
                              digits[bits & 63]};
        lithops__buffer_append(out, four, some + 1);
    }
}

static bool append_json(struct lithops__buffer *out, lithops_value *value)
{
    char *text = NULL;
    bool good = value && lithops_value_to_json(value, &text, NULL) == 0;
    if (good)
        append_base64url(out, (const unsigned char *)text, strlen(text));
    free(text);
    lithops_value_free(value);
    return good;
}

static int sign_statement(const struct oauth *oauth, struct lithops__buffer *out,
                          lithops_error *err)
{
    int64_t now = (int64_t)time(NULL);
    unsigned char signature[LITHOPS__RSA_BYTES];
    size_t len = 0;
    bool good = append_json(out, lithops_pack("{s:s,s:s,s:s}", "alg", "RS256", "typ", "JWT", "kid",
                                              oauth->key_id ? oauth->key_id : ""));
    lithops__buffer_append(out, ".", 1);
    bool is_id = oauth->audience != NULL;
    good = good && append_json(out, lithops_pack("{s:s,s:s,s:s,s:I,s:I}", "iss", oauth->email,
                                                 is_id ? "target_audience" : "scope",
                                                 is_id ? oauth->audience : oauth->scope, "aud",
                                                 oauth->url, "iat", now, "exp", now + LIFE_S));
    if (!good || out->failed)
        return fail_memory(err);
    if (oauth->crypto->rs256(oauth->key, (lithops_bytes){out->data, out->len}, signature, &len) !=
        0)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the private_key of %s is not an RSA key in PEM; download the key of "
                             "the service account again",
                             oauth->email);
    lithops__buffer_append(out, ".", 1);
    append_base64url(out, signature, len);
    return out->failed ? fail_memory(err) : 0;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static int read_token(const char *text, long status, const char *service, const char *name,
                      struct lithops__credentials *ret_credentials, lithops_error *err)
{
    lithops_value *document = lithops_value_from_json(text, strlen(text), NULL);
    const char *token = lithops_value_get_string(lithops_value_get(document, name));
    const char *reason = lithops_value_get_string(lithops_value_get(document, "errorMessage"));
    reason = reason ? reason
                    : lithops_value_get_string(lithops_value_get(document, "error_description"));
    const lithops_value *life = lithops_value_get(document, "expires_in");
    const char *life_text = lithops_value_get_string(life); /* Azure's machines send a text */
    int64_t life_s = life_text ? strtoll(life_text, NULL, 10) : lithops_value_get_int(life);
    if (life_s <= 0)
        life_s = LIFE_S;
    int rc = 0;
    if (status != 200) {
        rc = lithops__fail(err, LITHOPS_EDENIED, "%s gives no token (HTTP %ld)%s%.200s", service,
                           status, reason ? ": " : "; check the key", reason ? reason : "");
        if (err)
            err->http_status = (int)status;
    } else if (!token) {
        rc = lithops__fail(err, LITHOPS_EBACKEND, "the answer of %s has no token in it", service);
    } else {
        *ret_credentials = (struct lithops__credentials){
            .bearer = strdup(token), .expires = (double)time(NULL) + (double)life_s};
        rc = ret_credentials->bearer ? 0 : fail_memory(err);
    }
    lithops_value_free(document);
    return rc;
}

static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

/* Until what is no digit of base64url. */
static void append_decoded(struct lithops__buffer *out, const char *text)
{
    unsigned bits = 0;
    for (int count = 1, digit; (digit = digit_of(*text)) >= 0; text++, count++) {
        bits = bits << 6 | (unsigned)digit;
        const unsigned char byte = (unsigned char)(bits >> (2 * (3 - (count - 1) % 4)));
        if ((count - 1) % 4 != 0)
            lithops__buffer_append(out, &byte, 1);
    }
}

/* When an ID token expires, which may have been kept for a while: it says so itself. */
static double expiry_of(const char *token)
{
    struct lithops__buffer claims = LITHOPS__BUFFER_INIT;
    const char *dot = strchr(token, '.');
    if (dot)
        append_decoded(&claims, dot + 1);
    lithops_value *value =
        claims.data && !claims.failed
            ? lithops_value_from_json((const char *)claims.data, claims.len, NULL)
            : NULL;
    int64_t expires = lithops_value_get_int(lithops_value_get(value, "exp"));
    lithops_value_free(value);
    lithops__buffer_deinit(&claims);
    return expires > 0 ? (double)expires : (double)time(NULL) + LIFE_S;
}

int lithops__oauth_read_token(const char *text, long status, const char *service,
                              struct lithops__credentials *ret_credentials, lithops_error *err)
{
    return read_token(text, status, service, "access_token", ret_credentials, err);
}

static int fetch_token(void *user, const struct lithops__bounds *bounds,
                       struct lithops__credentials *ret_credentials, lithops_error *err)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                          "Accept: application/json", NULL};
    const struct oauth *oauth = user;
    struct lithops__buffer form = LITHOPS__BUFFER_INIT;
    int rc = 0;
    if (oauth->crypto) {
        lithops__buffer_append_string(
            &form, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
        struct lithops__buffer statement = LITHOPS__BUFFER_INIT;
        rc = sign_statement(oauth, &statement, err);
        lithops__buffer_append(&form, statement.data, statement.len);
        lithops__buffer_deinit(&statement);
    } else {
        lithops__buffer_append_string(
            &form, "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=");
        lithops__url_encode(&form, oauth->api_key, strlen(oauth->api_key), false);
    }
    lithops__buffer_append(&form, "", 1);
    const struct lithops__fetch fetch = {.http = oauth->http,
                                         .bounds = *bounds,
                                         .method = "POST",
                                         .url = oauth->url,
                                         .headers = headers,
                                         .body = (const char *)form.data};
    char *document = NULL;
    long status;
    if (rc == 0)
        rc = form.failed ? fail_memory(err) : lithops__fetch(&fetch, &status, &document, err);
    if (rc == 0)
        rc = read_token(document, status, oauth->url, oauth->audience ? "id_token" : "access_token",
                        ret_credentials, err);
    if (rc == 0 && oauth->audience)
        ret_credentials->expires = expiry_of(ret_credentials->bearer);
    lithops__document_free(document);
    if (form.data)
        explicit_bzero(form.data, form.len);
    lithops__buffer_deinit(&form);
    return rc;
}

/* An ID token is given as text. */
static int fetch_of_machine(void *user, const struct lithops__bounds *bounds,
                            struct lithops__credentials *ret_credentials, lithops_error *err)
{
    static const char *const headers[] = {"Metadata-Flavor: Google", NULL};
    const struct oauth *oauth = user;
    const struct lithops__fetch fetch = {.http = oauth->http,
                                         .bounds = *bounds,
                                         .method = "GET",
                                         .url = oauth->url,
                                         .headers = headers,
                                         .connect_timeout_ms = METADATA_MS};
    char *document = NULL;
    long status;
    int rc = lithops__fetch(&fetch, &status, &document, err);
    if (rc != 0)
        return rc;
    if (status != 200) {
        rc = lithops__fail(err, LITHOPS_EDENIED,
                           "the metadata server of this machine gives no %stoken (HTTP %ld): give "
                           "the machine a service account, or set credentials_path",
                           oauth->scope ? "" : "ID ", status);
        if (err)
            err->http_status = (int)status;
        lithops__document_free(document);
        return rc;
    }
    if (oauth->scope) {
        rc = read_token(document, status, "the metadata server of this machine", "access_token",
                        ret_credentials, err);
        lithops__document_free(document);
        return rc;
    }
    document[strcspn(document, "\r\n")] = '\0';
    if (!*document)
        rc = lithops__fail(err, LITHOPS_EBACKEND, "the metadata server's answer is empty");
    else
        *ret_credentials = (struct lithops__credentials){.bearer = strdup(document),
                                                         .expires = expiry_of(document)};
    if (rc == 0 && !ret_credentials->bearer)
        rc = fail_memory(err);
    lithops__document_free(document);
    return rc;
}

static int make_store(struct oauth *oauth, struct lithops__credential_store **ret_store,
                      lithops_error *err)
{
    const struct lithops__credential_source source = {
        .fetch = oauth->key || oauth->api_key ? fetch_token : fetch_of_machine,
        .close = close_oauth,
        .user = oauth};
    *ret_store = lithops__credential_store_new(&source);
    return *ret_store ? 0 : fail_memory(err);
}

/* ---- opening --------------------------------------------------------------------------------- */

static char *copied(const lithops_value *document, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(document, name));
    return text && *text ? strdup(text) : NULL;
}

/* @param audience     NULL: access tokens are wanted
 * @param ret_project  NULL: it is not */
static int open_account(const struct lithops__transfer_api *http,
                        const struct lithops__crypto_api *crypto, const char *path,
                        const char *audience, const char *scope,
                        struct lithops__credential_store **ret_store, char **ret_project,
                        lithops_error *err)
{
    char *text = lithops__read_small_file(path);
    if (!text)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "'%s', which credentials_path names, cannot be read", path);
    lithops_value *document = lithops_value_from_json(text, strlen(text), NULL);
    lithops__secret_free(text);
    struct oauth *oauth = calloc(1, sizeof *oauth);
    if (!oauth) {
        lithops_value_free(document);
        return fail_memory(err);
    }
    *oauth = (struct oauth){.http = http,
                            .crypto = crypto,
                            .url = copied(document, "token_uri"),
                            .email = copied(document, "client_email"),
                            .key = copied(document, "private_key"),
                            .key_id = copied(document, "private_key_id"),
                            .audience = audience ? strdup(audience) : NULL,
                            .scope = scope};
    char *project = copied(document, "project_id");
    lithops_value_free(document);
    if (!oauth->url)
        oauth->url = strdup(GOOGLE_TOKENS);
    bool has_memory = oauth->url && (oauth->audience || !audience);
    if (has_memory && oauth->email && oauth->key) {
        if (ret_project)
            *ret_project = project;
        else
            free(project);
        return make_store(oauth, ret_store, err);
    }
    int rc = has_memory ? lithops__fail(err, LITHOPS_ECONFIG,
                                        "'%s' is not the key of a service account: it lacks "
                                        "client_email or private_key",
                                        path)
                        : fail_memory(err);
    close_oauth(oauth);
    free(project);
    return rc;
}

int lithops__google_open(const struct lithops__transfer_api *http,
                         const struct lithops__crypto_api *crypto, const char *path,
                         const char *scope, struct lithops__credential_store **ret_store,
                         char **ret_project, lithops_error *err)
{
    *ret_project = NULL;
    return open_account(http, crypto, path, NULL, scope, ret_store, ret_project, err);
}

/* @param what  of it is asked for at the metadata server */
static int open_machine(const struct lithops__transfer_api *http, const char *host,
                        const char *what, const char *scope,
                        struct lithops__credential_store **ret_store, lithops_error *err)
{
    const char *named = host ? host : getenv("GCE_METADATA_HOST");
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    struct oauth *oauth = calloc(1, sizeof *oauth);
    if (!oauth)
        return fail_memory(err);
    lithops__buffer_printf(&url,
                           "http://%s/computeMetadata/v1/instance/service-accounts/default/%s",
                           named && *named ? named : GOOGLE_METADATA, what);
    *oauth = (struct oauth){.http = http, .url = lithops__buffer_steal(&url), .scope = scope};
    if (oauth->url)
        return make_store(oauth, ret_store, err);
    close_oauth(oauth);
    return fail_memory(err);
}

int lithops__google_identity_open(const struct lithops__transfer_api *http,
                                  const struct lithops__crypto_api *crypto, const char *path,
                                  const char *host, const char *audience,
                                  struct lithops__credential_store **ret_store, lithops_error *err)
{
    if (path)
        return open_account(http, crypto, path, audience, NULL, ret_store, NULL, err);
    struct lithops__buffer question = LITHOPS__BUFFER_INIT;
    lithops__buffer_append_string(&question, "identity?audience=");
    lithops__url_encode(&question, audience, strlen(audience), false);
    char *what = lithops__buffer_steal(&question);
    int rc = what ? open_machine(http, host, what, NULL, ret_store, err) : fail_memory(err);
    free(what);
    return rc;
}

int lithops__google_machine_open(const struct lithops__transfer_api *http,
                                 struct lithops__credential_store **ret_store, lithops_error *err)
{
    return open_machine(http, NULL, "token", "", ret_store, err);
}

int lithops__ibm_open(const struct lithops__transfer_api *http, const char *api_key,
                      const char *endpoint, struct lithops__credential_store **ret_store,
                      lithops_error *err)
{
    struct oauth *oauth = calloc(1, sizeof *oauth);
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    if (!oauth)
        return fail_memory(err);
    lithops__buffer_printf(&url, "%s/identity/token", endpoint ? endpoint : IBM_TOKENS);
    *oauth = (struct oauth){
        .http = http, .url = lithops__buffer_steal(&url), .api_key = strdup(api_key)};
    if (oauth->url && oauth->api_key)
        return make_store(oauth, ret_store, err);
    close_oauth(oauth);
    return fail_memory(err);
}
