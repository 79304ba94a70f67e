/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint is the region's, unless the key `endpoint` or a variable of the environment, as
 * AWS_ENDPOINT_URL_LAMBDA, names another one. Credentials are those of the section, or of the
 * section `aws`, or where AWS's tools find them. Thread-safe; each request has a connection of its
 * own, but invocations share them. */
#include "compute/aws.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/module.h"
#include "net/aws_chain.h"
#include "net/http.h"
#include "net/sign.h"

#include <lithops/value.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 64 << 10,
    ANSWER_MAX = 32 << 20,
    HEADERS = 10,
    FIRST_DELAY_MS = 100,
    URL_BYTES = sizeof((struct lithops__aws_place *)0)->endpoint + 512,
};

/* ---- opening --------------------------------------------------------------------------------- */

static const char *setting(const lithops_value *settings, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : NULL;
}

int lithops__aws_find(const struct lithops__aws_service *service, const lithops_value *settings,
                      struct lithops__aws_place *ret_place, lithops_error *err)
{
    const char *region = setting(settings, "region"), *endpoint = setting(settings, "endpoint");
    char *own = ret_place->region;
    if (!region)
        region = setting(settings, "region_name");
    if (region)
        snprintf(own, sizeof ret_place->region, "%s", region);
    else if (!lithops__aws_region(own, sizeof ret_place->region))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the backend %s needs the key 'region' in the section '%s', or "
                             "AWS_REGION, as in us-east-1",
                             service->section, service->section);
    if (own[strspn(own, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return lithops__fail(err, LITHOPS_ECONFIG, "%s.region is '%s', which is no region",
                             service->section, own);
    if (!endpoint)
        endpoint = lithops__environment(service->variable);
    if (!endpoint)
        endpoint = lithops__environment("AWS_ENDPOINT_URL");
    if (endpoint && strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the endpoint '%s' of %s is not a URL, as in https://host", endpoint,
                             service->section);
    size_t len = endpoint ? strlen(endpoint) : 0;
    while (len > 0 && endpoint[len - 1] == '/')
        len--;
    if (endpoint &&
        (len < 8 || len >= sizeof ret_place->endpoint || memchr(endpoint + 8, '/', len - 8)))
        return lithops__fail(
            err, LITHOPS_ECONFIG,
            "the endpoint '%.100s' of %s must be a scheme and a host, without a path", endpoint,
            service->section);
    if (endpoint)
        snprintf(ret_place->endpoint, sizeof ret_place->endpoint, "%.*s", (int)len, endpoint);
    else
        snprintf(ret_place->endpoint, sizeof ret_place->endpoint, "https://%s.%s.amazonaws.com%s",
                 service->name, own, strncmp(own, "cn-", 3) == 0 ? ".cn" : "");
    return 0;
}

int lithops__aws_login(const struct lithops__aws_service *service, const lithops_value *settings,
                       const struct lithops__transfer_api *http,
                       const struct lithops__crypto_api *crypto, const char *region,
                       struct lithops__credential_store **ret_credentials, lithops_error *err)
{
    const char *access_key = setting(settings, "access_key_id"),
               *secret_key = setting(settings, "secret_access_key");
    if (!access_key != !secret_key)
        return lithops__fail(
            err, LITHOPS_ECONFIG,
            "the section '%s' has one of access_key_id and secret_access_key: both "
            "are needed, or neither",
            service->section);
    if (!access_key)
        return lithops__aws_chain_open(http, crypto, region, ret_credentials, err);
    if (strpbrk(access_key, "\r\n"))
        return lithops__fail(err, LITHOPS_ECONFIG, "%s.access_key_id has a line break in it",
                             service->section);
    *ret_credentials =
        lithops__credential_store_of(access_key, secret_key, setting(settings, "session_token"));
    return *ret_credentials ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

int lithops__aws_open(struct lithops__aws_api *api, const struct lithops__aws_service *service,
                      const lithops_value *settings, lithops_error *err)
{
    *api = (struct lithops__aws_api){.service = service};
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", err);
    api->http = http ? &http->transfer : NULL;
    api->post = http ? &http->posts : NULL;
    api->crypto = http ? lithops__module_symbol("crypto", "lithops__crypto", err) : NULL;
    if (!api->crypto)
        return LITHOPS_EUNSUPPORTED;
    int rc = lithops__aws_find(service, settings, &api->place, err);
    return rc ? rc
              : lithops__aws_login(service, settings, api->http, api->crypto, api->place.region,
                                   &api->credentials, err);
}

void lithops__aws_close(struct lithops__aws_api *api)
{
    lithops__credential_store_free(api->credentials);
    api->credentials = NULL;
}

/* ---- one request ----------------------------------------------------------------------------- */

struct headers {
    const char *lines[HEADERS + 1]; /* the first is not signed, and not owned */
    size_t count;
    bool failed;
};

static void add(struct headers *headers, const char *name, const char *value)
{
    char *line = NULL;
    if (headers->count == HEADERS || asprintf(&line, "%s: %s", name, value) < 0) {
        headers->failed = true;
        return;
    }
    headers->lines[headers->count++] = line;
}

static void free_headers(struct headers *headers)
{
    for (size_t i = 1; i < headers->count; i++)
        lithops__secret_free((char *)(uintptr_t)headers->lines[i]);
}

/* All headers that are sent are signed, but libcurl's own. */
static int sign(const struct lithops__aws_api *api, const struct lithops__aws_request *request,
                const struct lithops__credentials *credentials, struct headers *headers,
                lithops_error *err)
{
    const size_t len = request->body ? strlen(request->body) : 0;
    char date[LITHOPS__AMZ_DATE], hash[LITHOPS__HEX_HASH];
    lithops__amz_date(time(NULL), date);
    add(headers, "host", strstr(api->place.endpoint, "://") + 3);
    add(headers, "x-amz-date", date);
    if (request->body)
        add(headers, "content-type", "application/json");
    if (request->type)
        add(headers, "x-amz-invocation-type", request->type);
    if (credentials->session_token)
        add(headers, "x-amz-security-token", credentials->session_token);
    const struct lithops__sign_key key = {.access_key = credentials->access_key,
                                          .secret_key = credentials->secret_key,
                                          .region = api->place.region,
                                          .service = api->service->name};
    const struct lithops__sign_request to_sign = {.method = request->method,
                                                  .path = request->path,
                                                  .query = request->query ? request->query : "",
                                                  .headers = headers->lines + 1,
                                                  .payload_hash = hash};
    struct lithops__buffer value = LITHOPS__BUFFER_INIT;
    bool good = !headers->failed && credentials->access_key &&
                lithops__hex_sha256(api->crypto, (lithops_bytes){request->body, len}, hash) == 0 &&
                lithops__sign(api->crypto, &key, &to_sign, date, &value) == 0;
    char *text = lithops__buffer_steal(&value);
    if (good && text)
        add(headers, "authorization", text);
    free(text);
    return good && text && !headers->failed
               ? 0
               : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a request to %s",
                               api->service->title);
}

static int pull_all(const struct lithops__aws_api *api, struct lithops__transfer *transfer,
                    struct lithops__buffer *out, lithops_error *err)
{
    size_t got = PIECE;
    int rc = 0;
    while (rc == 0 && got == PIECE && out->len < ANSWER_MAX) {
        void *room = lithops__buffer_reserve(out, PIECE);
        if (!room)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an answer of %s",
                                 api->service->title);
        rc = api->http->pull(transfer, room, PIECE, &got, err);
        out->len += got;
    }
    return rc;
}

static void copy_header(const struct lithops__aws_api *api, struct lithops__transfer *transfer,
                        const char *name, char *buf, size_t size)
{
    const char *value = api->http->header(transfer, name);
    snprintf(buf, size, "%.*s", value ? (int)strcspn(value, ":,") : 0, value ? value : "");
}

static void make_url(const struct lithops__aws_api *api, const struct lithops__aws_request *request,
                     char url[URL_BYTES])
{
    snprintf(url, URL_BYTES, "%s%s%s%s", api->place.endpoint, request->path,
             request->query && *request->query ? "?" : "", request->query ? request->query : "");
}

/* @param ret_answer  of any status */
static int make_once(struct lithops__aws_api *api, struct lithops__transfer *transfer,
                     const struct lithops__aws_request *request,
                     const struct lithops__credentials *credentials,
                     struct lithops__aws_answer *ret_answer, lithops_error *err)
{
    char url[URL_BYTES];
    struct headers headers = {.lines = {"Expect:"}, .count = 1};
    struct lithops__buffer document = LITHOPS__BUFFER_INIT;
    make_url(api, request, url);
    struct lithops__http_request out = LITHOPS__HTTP_REQUEST(request->method, url);
    out.has_body = request->body != NULL;
    out.body = (lithops_bytes){request->body, request->body ? strlen(request->body) : 0};
    out.bounds = request->bounds;
    int rc = sign(api, request, credentials, &headers, err);
    out.headers = headers.lines;
    if (rc == 0)
        rc = api->http->start(transfer, &out, err);
    if (rc == 0)
        rc = pull_all(api, transfer, &document, err);
    if (rc == 0) {
        const struct lithops__answer *answer = api->http->answer(transfer);
        ret_answer->status = answer->status;
        copy_header(api, transfer, "x-amzn-errortype", ret_answer->error, sizeof ret_answer->error);
        if (answer->status >= 400) {
            document.len = 0;
            lithops__buffer_append_string(&document, answer->error_text);
        }
        ret_answer->document = lithops__buffer_steal(&document);
        if (!ret_answer->document)
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an answer of %s",
                               api->service->title);
    }
    lithops__buffer_deinit(&document);
    free_headers(&headers);
    return rc;
}

/* ---- until it is answered -------------------------------------------------------------------- */

static bool have_expired(const struct lithops__aws_answer *answer)
{
    return answer->status == 403 && (strcmp(answer->error, "ExpiredTokenException") == 0 ||
                                     strcmp(answer->error, "ExpiredToken") == 0);
}

/* 409: the function is being made or updated. */
static bool may_pass(long status, bool waits)
{
    return status == 429 || status >= 500 || (waits && status == 409);
}

/* An attempt. Answers that will be others later are errors, which are retryable. */
static int attempt(struct lithops__aws_api *api, struct lithops__transfer *transfer,
                   const struct lithops__aws_request *request, bool *renewed,
                   struct lithops__aws_answer *ret_answer, lithops_error *err)
{
    struct lithops__credentials credentials = {.expires = 0};
    int rc = lithops__credential_store_get(api->credentials, &request->bounds, &credentials, err);
    if (rc == 0)
        rc = make_once(api, transfer, request, &credentials, ret_answer, err);
    if (rc == 0 && have_expired(ret_answer) && !*renewed &&
        lithops__credential_store_expire(api->credentials, &credentials)) {
        *renewed = true;
        rc = lithops__aws_fail(api, ret_answer, "a request was refused", err);
        err->retryable = true;
    } else if (rc == 0 && may_pass(ret_answer->status, request->waits)) {
        rc = lithops__aws_fail(api, ret_answer, "no request is taken now", err);
        err->retryable = true;
    }
    lithops__credentials_deinit(&credentials);
    return rc;
}

int lithops__aws_do(struct lithops__aws_api *api, const struct lithops__aws_request *request,
                    struct lithops__aws_answer *ret_answer, lithops_error *err)
{
    const struct lithops__http_limits limits = {.stall_timeout_ms = request->stall_timeout_ms};
    struct lithops__retry retry = {
        .attempts = UINT_MAX, .first_delay_ms = FIRST_DELAY_MS, .bounds = request->bounds};
    struct lithops__transfer *transfer;
    bool renewed = false, is_doubtful = false;
    lithops_error error;
    unsigned asked_ms;
    int rc = api->http->open(&limits, &transfer, err);
    if (rc != 0)
        return rc;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        *ret_answer = (struct lithops__aws_answer){.document = NULL};
        rc = attempt(api, transfer, request, &renewed, ret_answer, &error);
        if (rc == 0)
            break;
        is_doubtful = is_doubtful || ret_answer->status == 0 || ret_answer->status >= 500;
        long after_s = ret_answer->status ? api->http->answer(transfer)->retry_after_s : 0;
        asked_ms = after_s > 0 && after_s <= 60 ? (unsigned)after_s * 1000 : 0;
        lithops__aws_answer_deinit(ret_answer);
    } while (lithops__retry_again(&retry, &error, asked_ms));
    api->http->close(transfer);
    ret_answer->is_doubtful = is_doubtful;
    if (rc != 0 && err)
        *err = error;
    return rc ? error.code : 0;
}

void lithops__aws_answer_deinit(struct lithops__aws_answer *answer)
{
    free(answer->document); /* NOLINT(clang-analyzer-unix.Malloc): each attempt has its own */
    answer->document = NULL;
}

/* Of a wrong signature AWS says what should have been signed: a session's token is in it. */
static bool may_have_secrets(const struct lithops__aws_answer *answer)
{
    return strstr(answer->error, "Signature") ||
           (answer->document && strcasestr(answer->document, "security-token"));
}

int lithops__aws_fail(const struct lithops__aws_api *api, const struct lithops__aws_answer *answer,
                      const char *what, lithops_error *err)
{
    int code = answer->status == 404                            ? LITHOPS_ENOTFOUND
               : answer->status == 401 || answer->status == 403 ? LITHOPS_EDENIED
               : answer->status == 429                          ? LITHOPS_ETHROTTLED
               : answer->status >= 500                          ? LITHOPS_EBACKEND
                                                                : LITHOPS_ECONFIG;
    lithops_value *map =
        answer->document ? lithops_value_from_json(answer->document, strlen(answer->document), NULL)
                         : NULL;
    const char *message = lithops_value_get_string(lithops_value_get(map, "message"));
    if (!message)
        message = lithops_value_get_string(lithops_value_get(map, "Message"));
    if (!message)
        message = answer->document ? answer->document : "";
    if (may_have_secrets(answer))
        message = "check the secret key, and this machine's clock";
    lithops__fail(err, code, "%s: %s answers with status %ld%s%s%s%.500s", what,
                  api->service->title, answer->status, answer->error[0] ? ", " : "", answer->error,
                  *message ? ": " : "", message);
    lithops_value_free(map);
    if (err)
        err->http_status = (int)answer->status;
    return code;
}

/* ---- invocations ----------------------------------------------------------------------------- */

int lithops__aws_begin(struct lithops__aws_api *api, struct lithops__posts *posts,
                       const struct lithops__aws_request *request,
                       struct lithops__credentials *ret_used, struct lithops__post **ret_post,
                       lithops_error *err)
{
    char url[URL_BYTES];
    struct headers headers = {.lines = {"Expect:"}, .count = 1};
    make_url(api, request, url);
    int rc = lithops__credential_store_get(api->credentials, &request->bounds, ret_used, err);
    if (rc == 0)
        rc = sign(api, request, ret_used, &headers, err);
    if (rc == 0) {
        const struct lithops__post_request post = {
            .url = url,
            .headers = headers.lines,
            .body = {request->body, strlen(request->body)},
            .wanted = "x-amzn-errortype",
            .is_urgent = request->type && strcmp(request->type, "RequestResponse") == 0};
        rc = api->post->begin(posts, &post, ret_post, err);
    }
    free_headers(&headers);
    return rc;
}

int lithops__aws_judge(struct lithops__aws_api *api, const struct lithops__post_state *state,
                       const struct lithops__credentials *used, lithops_error *err)
{
    struct lithops__aws_answer answer = {.status = state->status,
                                         .document = (char *)(uintptr_t)state->text};
    if (!state->is_answered) {
        lithops__fail(err, LITHOPS_EBACKEND, "cannot invoke the function: %s",
                      state->failure.message);
        err->retryable = state->failure.retryable;
        return err->code;
    }
    if (state->is_over && !state->is_headed) {
        lithops__fail(err, LITHOPS_EBACKEND, "cannot invoke the function: its answer was cut off");
        err->retryable = true;
        return err->code;
    }
    if (state->status < 300)
        return 0;
    snprintf(answer.error, sizeof answer.error, "%.*s", (int)strcspn(state->header, ":,"),
             state->header);
    int rc = lithops__aws_fail(api, &answer, "cannot invoke the function", err);
    err->retryable = may_pass(state->status, true);
    if (used && have_expired(&answer))
        err->retryable = lithops__credential_store_expire(api->credentials, used);
    return rc;
}
