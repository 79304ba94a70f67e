/* SPDX-License-Identifier: Apache-2.0 */
#include "net/aws_remote.h"

#include "base/buffer.h"
#include "base/error.h"
#include "net/aws_json.h"
#include "net/date.h"
#include "net/sign.h"
#include "net/xml.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

const char *lithops__environment(const char *name)
{
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

/* ---- STS ------------------------------------------------------------------------------------- */

struct sts_answer {
    struct lithops__credentials credentials;
    char code[64], message[256];
};

static bool ends_with(const char *path, const char *end)
{
    size_t len = strlen(path), end_len = strlen(end);
    return len >= end_len && strcmp(path + len - end_len, end) == 0;
}

static void keep_once(char **kept, const char *text)
{
    if (!*kept)
        *kept = strdup(text);
}

static void take_sts(const char *path, const char *text, size_t len, void *user)
{
    struct sts_answer *answer = user;
    (void)len;
    if (ends_with(path, "/Credentials/AccessKeyId"))
        keep_once(&answer->credentials.access_key, text);
    else if (ends_with(path, "/Credentials/SecretAccessKey"))
        keep_once(&answer->credentials.secret_key, text);
    else if (ends_with(path, "/Credentials/SessionToken"))
        keep_once(&answer->credentials.session_token, text);
    else if (ends_with(path, "/Credentials/Expiration"))
        answer->credentials.expires = lithops__iso_date(text);
    else if (strcmp(path, "ErrorResponse/Error/Code") == 0)
        snprintf(answer->code, sizeof answer->code, "%s", text);
    else if (strcmp(path, "ErrorResponse/Error/Message") == 0)
        snprintf(answer->message, sizeof answer->message, "%s", text);
}

static void append_field(struct lithops__buffer *form, const char *name, const char *value)
{
    if (!value)
        return;
    lithops__buffer_printf(form, "&%s=", name);
    lithops__url_encode(form, value, strlen(value), false);
}

static void begin_form(struct lithops__buffer *form, const char *action,
                       const struct lithops__aws_role *role)
{
    lithops__buffer_printf(form, "Action=%s&Version=2011-06-15", action);
    append_field(form, "RoleArn", role->arn);
    append_field(form, "RoleSessionName", role->session_name ? role->session_name : "lithops");
    append_field(form, "ExternalId", role->external_id);
    append_field(form, "DurationSeconds", role->duration_seconds);
}

static char *sts_url(const struct lithops__aws_context *context)
{
    const char *named = lithops__environment("AWS_ENDPOINT_URL_STS");
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    bool china = strncmp(context->region, "cn-", 3) == 0;
    if (named)
        lithops__buffer_printf(&url, "%s%s", named, named[strlen(named) - 1] == '/' ? "" : "/");
    else if (!context->region[0])
        lithops__buffer_append_string(&url, "https://sts.amazonaws.com/");
    else
        lithops__buffer_printf(&url, "https://sts.%s.amazonaws.com%s/", context->region,
                               china ? ".cn" : "");
    return lithops__buffer_steal(&url);
}

static int read_sts(char *document, long status, const struct lithops__aws_role *role,
                    struct lithops__credentials *ret_credentials, lithops_error *err)
{
    struct sts_answer answer = {.code = ""};
    const struct lithops__xml_visitor visitor = {.text = take_sts, .user = &answer};
    int broken = lithops__xml_read(document, strlen(document), &visitor);
    if (!broken && status == 200 && answer.credentials.access_key &&
        answer.credentials.secret_key && answer.credentials.session_token) {
        *ret_credentials = answer.credentials;
        return 0;
    }
    lithops__credentials_deinit(&answer.credentials);
    if (status == 200)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "the answer of STS for the role %s cannot be "
                             "read",
                             role->arn);
    int rc = lithops__fail(err, LITHOPS_EDENIED,
                           "STS does not give the role %s: %s%s%s (HTTP %ld); check the role's "
                           "trust policy",
                           role->arn, answer.code, answer.message[0] ? ": " : "", answer.message,
                           status);
    if (err)
        err->http_status = (int)status;
    return rc;
}

static int ask_sts(const struct lithops__aws_context *context, const char *url,
                   const struct lithops__buffer *form, const char *const *headers,
                   const struct lithops__aws_role *role,
                   struct lithops__credentials *ret_credentials, lithops_error *err)
{
    const struct lithops__fetch fetch = {.http = context->http,
                                         .bounds = context->bounds,
                                         .method = "POST",
                                         .url = url,
                                         .headers = headers,
                                         .body = (const char *)form->data};
    char *document;
    long status;
    int rc = lithops__fetch(&fetch, &status, &document, err);
    if (rc)
        return rc;
    rc = read_sts(document, status, role, ret_credentials, err);
    lithops__document_free(document);
    return rc;
}

static void free_form(struct lithops__buffer *form)
{
    if (form->data)
        explicit_bzero(form->data, form->len);
    lithops__buffer_deinit(form);
}

#define FORM "content-type: application/x-www-form-urlencoded; charset=utf-8"

int lithops__aws_web_identity(const struct lithops__aws_context *context,
                              const struct lithops__aws_role *role, const char *token_file,
                              struct lithops__credentials *ret_credentials, lithops_error *err)
{
    static const char *const headers[] = {FORM, NULL};
    char *token = lithops__read_small_file(token_file);
    if (!token)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the web identity token in '%s' cannot be read; it is named by "
                             "AWS_WEB_IDENTITY_TOKEN_FILE or web_identity_token_file",
                             token_file);
    token[strcspn(token, "\r\n")] = '\0';
    struct lithops__buffer form = LITHOPS__BUFFER_INIT;
    begin_form(&form, "AssumeRoleWithWebIdentity", role);
    append_field(&form, "WebIdentityToken", token);
    lithops__buffer_append(&form, "", 1);
    lithops__secret_free(token);
    char *url = sts_url(context);
    int rc = url && !form.failed ? ask_sts(context, url, &form, headers, role, ret_credentials, err)
                                 : lithops__aws_fail_memory(err);
    free_form(&form);
    free(url);
    return rc;
}

/* The headers of a signed request; strings are owned. */
struct signed_headers {
    char *items[6];
    size_t count;
};

static bool add(struct signed_headers *headers, const char *name, const char *value)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&text, "%s: %s", name, value);
    headers->items[headers->count] = lithops__buffer_steal(&text);
    return headers->items[headers->count++] != NULL;
}

static bool sign_form(const struct lithops__aws_context *context, const char *url,
                      const struct lithops__buffer *form, const struct lithops__credentials *by,
                      struct signed_headers *headers)
{
    char date[LITHOPS__AMZ_DATE], hash[LITHOPS__HEX_HASH], host[256];
    const char *authority = strstr(url, "://");
    authority = authority ? authority + 3 : url;
    size_t host_len = strcspn(authority, "/");
    snprintf(host, sizeof host, "%.*s", (int)host_len, authority);
    lithops__amz_date(time(NULL), date);
    bool good = add(headers, "content-type", strchr(FORM, ' ') + 1) && add(headers, "host", host) &&
                add(headers, "x-amz-date", date) &&
                (!by->session_token || add(headers, "x-amz-security-token", by->session_token)) &&
                lithops__hex_sha256(context->crypto,
                                    (lithops_bytes){form->data, strlen((const char *)form->data)},
                                    hash) == 0;
    const struct lithops__sign_key key = {.access_key = by->access_key,
                                          .secret_key = by->secret_key,
                                          .region =
                                              context->region[0] ? context->region : "us-east-1",
                                          .service = "sts"};
    const char *names[7] = {NULL};
    memcpy(names, headers->items, headers->count * sizeof *names);
    const struct lithops__sign_request request = {.method = "POST",
                                                  .path = authority[host_len] ? authority + host_len
                                                                              : "/",
                                                  .query = "",
                                                  .headers = names,
                                                  .payload_hash = hash};
    struct lithops__buffer value = LITHOPS__BUFFER_INIT;
    good = good && lithops__sign(context->crypto, &key, &request, date, &value) == 0;
    char *text = lithops__buffer_steal(&value);
    good = good && text && add(headers, "authorization", text);
    free(text);
    return good;
}

int lithops__aws_assume_role(const struct lithops__aws_context *context,
                             const struct lithops__aws_role *role,
                             const struct lithops__credentials *by,
                             struct lithops__credentials *ret_credentials, lithops_error *err)
{
    struct lithops__buffer form = LITHOPS__BUFFER_INIT;
    struct signed_headers headers = {.count = 0};
    begin_form(&form, "AssumeRole", role);
    lithops__buffer_append(&form, "", 1);
    char *url = sts_url(context);
    const char *items[7] = {NULL};
    bool good = url && !form.failed && sign_form(context, url, &form, by, &headers);
    memcpy(items, headers.items, headers.count * sizeof *items);
    int rc = good ? ask_sts(context, url, &form, items, role, ret_credentials, err)
                  : lithops__aws_fail_memory(err);
    for (size_t i = 0; i < headers.count; i++)
        lithops__secret_free(headers.items[i]);
    free_form(&form);
    free(url);
    return rc;
}

/* ---- containers ------------------------------------------------------------------------------ */

bool lithops__aws_is_container(void)
{
    return lithops__environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
           lithops__environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

/* Without TLS a token may go to this machine and to the agents of ECS and EKS alone. */
static bool is_trusted(const char *url)
{
    static const char *const hosts[] = {"localhost",     "127.0.0.1",      "[::1]",
                                        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    if (strncmp(url, "https://", 8) == 0)
        return true;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t len = strlen(hosts[i]);
        if (strncmp(url, "http://", 7) == 0 && strncmp(url + 7, hosts[i], len) == 0 &&
            strchr(":/?", url[7 + len])) /* the end, too */
            return true;
    }
    return false;
}

/* ECS gives the token in the environment, EKS in a file that changes. */
static char *authorization(void)
{
    const char *file = lithops__environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
               *token = lithops__environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    char *text = file ? lithops__read_small_file(file) : token ? strdup(token) : NULL;
    if (!text)
        return NULL;
    text[strcspn(text, "\r\n")] = '\0';
    struct lithops__buffer header = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&header, "Authorization: %s", text);
    lithops__secret_free(text);
    return lithops__buffer_steal(&header);
}

static const struct lithops__aws_names metadata_names = {"AccessKeyId", "SecretAccessKey", "Token",
                                                         "Expiration"};

int lithops__aws_container(const struct lithops__aws_context *context,
                           struct lithops__credentials *ret_credentials, lithops_error *err)
{
    const char *relative = lithops__environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
               *full = lithops__environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&url, "%s%s", relative ? "http://169.254.170.2" : "",
                           relative ? relative : full);
    char *text = lithops__buffer_steal(&url);
    if (!text)
        return lithops__aws_fail_memory(err);
    if (!is_trusted(text)) {
        free(text);
        return lithops__fail(
            err, LITHOPS_ECONFIG,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or of this machine");
    }
    char *header = authorization();
    const char *headers[] = {header, NULL};
    lithops_value *document;
    int rc = lithops__aws_get_json(context, text, headers, 3, "the container's metadata service",
                                   &document, err);
    if (rc == 0) {
        rc = lithops__aws_read_json(document, &metadata_names, "the container's metadata service",
                                    ret_credentials, err);
        lithops_value_free(document);
    }
    lithops__secret_free(header);
    free(text);
    return rc;
}

/* ---- machines of EC2 ------------------------------------------------------------------------- */

bool lithops__aws_may_be_instance(void)
{
    const char *disabled = lithops__environment("AWS_EC2_METADATA_DISABLED");
    return !disabled || strcasecmp(disabled, "true") != 0;
}

static const char *instance_endpoint(void)
{
    const char *named = lithops__environment("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
               *mode = lithops__environment("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    if (named)
        return named;
    return mode && strcasecmp(mode, "IPv6") == 0 ? "http://[fd00:ec2::254]"
                                                 : "http://169.254.169.254";
}

static char *instance_url(const char *path, const char *more)
{
    const char *endpoint = instance_endpoint();
    size_t len = strlen(endpoint);
    struct lithops__buffer url = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&url, "%.*s/latest/%s%s",
                           (int)(endpoint[len - 1] == '/' ? len - 1 : len), endpoint, path, more);
    return lithops__buffer_steal(&url);
}

/* A short answer: a token, or the name of a role. The caller frees it. */
static int ask_instance(const struct lithops__aws_context *context, const char *method,
                        const char *path, const char *header, char **ret_text, lithops_error *err)
{
    char *url = instance_url(path, "");
    const char *headers[] = {header, NULL};
    const struct lithops__fetch fetch = {.http = context->http,
                                         .bounds = context->bounds,
                                         .method = method,
                                         .url = url,
                                         .headers = headers,
                                         .body = strcmp(method, "PUT") == 0 ? "" : NULL,
                                         .connect_timeout_ms = 1000,
                                         .attempts = 2};
    long status;
    char *text;
    int rc = url ? lithops__fetch(&fetch, &status, &text, err) : lithops__aws_fail_memory(err);
    free(url);
    if (rc)
        return rc;
    text[strcspn(text, "\r\n")] = '\0';
    if (status == 200 && *text) {
        *ret_text = text;
        return 0;
    }
    lithops__document_free(text);
    rc = lithops__fail(err, LITHOPS_EDENIED,
                       status == 404 ? "this machine has no role; attach one to the instance"
                                     : "the machine's metadata service refuses (HTTP %ld)",
                       status);
    if (err)
        err->http_status = (int)status;
    return rc;
}

#define ROLES "meta-data/iam/security-credentials/"

static int read_instance(const struct lithops__aws_context *context, const char *header,
                         const char *role, struct lithops__credentials *ret_credentials,
                         lithops_error *err)
{
    char *url = instance_url(ROLES, role);
    const char *headers[] = {header, NULL};
    lithops_value *document;
    int rc = url ? lithops__aws_get_json(context, url, headers, 3, "the machine's metadata service",
                                         &document, err)
                 : lithops__aws_fail_memory(err);
    free(url);
    if (rc)
        return rc;
    rc = lithops__aws_read_json(document, &metadata_names, "the machine's metadata service",
                                ret_credentials, err);
    lithops_value_free(document);
    return rc;
}

int lithops__aws_instance(const struct lithops__aws_context *context,
                          struct lithops__credentials *ret_credentials, lithops_error *err)
{
    char *token = NULL, *role = NULL;
    int rc = ask_instance(context, "PUT", "api/token",
                          "X-aws-ec2-metadata-token-ttl-seconds: 21600", &token, err);
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&text, "X-aws-ec2-metadata-token: %s", token ? token : "");
    char *header = lithops__buffer_steal(&text);
    if (rc == 0 && !header)
        rc = lithops__aws_fail_memory(err);
    if (rc == 0)
        rc = ask_instance(context, "GET", ROLES, header, &role, err);
    if (rc == 0)
        rc = read_instance(context, header, role, ret_credentials, err);
    lithops__secret_free(header);
    lithops__document_free(token);
    lithops__document_free(role);
    return rc;
}
