/* SPDX-License-Identifier: Apache-2.0 */
/* One request to Infinispan: its URL, who makes it, and turning statuses into errors. */
#include "base/buffer.h"
#include "base/error.h"
#include "net/credentials.h"
#include "net/sign.h"
#include "storage/backends/infinispan/infinispan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As the entry's key has it. */
static void append_key(struct lithops__buffer *out, const char *key)
{
    for (const unsigned char *c = (const unsigned char *)key; *c; c++)
        if (*c < 0x20 || *c > 0x7e || strchr("\"%\\", *c))
            lithops__buffer_printf(out, "%%%02X", *c);
        else
            lithops__buffer_append(out, c, 1);
}

static bool write_url(const struct lithops__infinispan *infinispan,
                      const struct lithops__infinispan_request *request,
                      struct lithops__web_request *out)
{
    struct lithops__buffer url = LITHOPS__BUFFER_INIT, key = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&url, "%s/rest/v2/caches/", infinispan->endpoint);
    lithops__url_encode(&url, request->bucket, strlen(request->bucket), false);
    if (request->key) {
        append_key(&key, request->key);
        lithops__buffer_append_string(&url, "/");
        lithops__url_encode(&url, key.data, key.len, false);
        url.failed |= key.failed;
    }
    if (request->query)
        lithops__buffer_printf(&url, "?%s", request->query);
    lithops__buffer_deinit(&key);
    out->url = lithops__buffer_steal(&url);
    lithops__buffer_deinit(&url);
    return out->url != NULL;
}

/* ---- who makes it ---------------------------------------------------------------------------- */

static char *write_basic(const struct lithops__infinispan *infinispan)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT, out = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&text, "%s:%s", infinispan->user, infinispan->password);
    char *plain = lithops__buffer_steal(&text), *value = NULL;
    lithops__buffer_append_string(&out, "Basic ");
    char *room = plain ? lithops__buffer_reserve(&out, 4 * (strlen(plain) / 3) + 5) : NULL;
    if (room) {
        lithops__base64((const unsigned char *)plain, strlen(plain), room);
        out.len += strlen(room);
        value = lithops__buffer_steal(&out);
    }
    lithops__buffer_deinit(&out);
    lithops__secret_free(plain);
    return value;
}

/* A challenge is answered by one request at a time: a server may refuse an answer whose count comes
 * after a greater one, as those of two connections may. */
static void take_challenge(struct lithops__infinispan *infinispan,
                           struct lithops__digest_challenge *ret_challenge)
{
    *ret_challenge = (struct lithops__digest_challenge){.count = 0};
    pthread_mutex_lock(&infinispan->lock);
    if (infinispan->idle_count)
        *ret_challenge = infinispan->idle[--infinispan->idle_count];
    pthread_mutex_unlock(&infinispan->lock);
}

static void keep_challenge(struct lithops__infinispan *infinispan,
                           const struct lithops__digest_challenge *challenge)
{
    pthread_mutex_lock(&infinispan->lock);
    if (*challenge->nonce && infinispan->idle_count < LITHOPS__WEB_IDLE)
        infinispan->idle[infinispan->idle_count++] = *challenge;
    pthread_mutex_unlock(&infinispan->lock);
}

/* Of several, the best one that is there. */
static bool read_challenge(const struct lithops__infinispan *infinispan,
                           struct lithops__transfer *transfer,
                           struct lithops__digest_challenge *ret_challenge)
{
    struct lithops__digest_challenge found;
    bool has = false;
    const char *header;
    for (size_t i = 0;
         (header = infinispan->web.http->header_at(transfer, "WWW-Authenticate", i)) != NULL; i++)
        if (lithops__digest_read(header, &found) && (!has || found.is_sha256)) {
            *ret_challenge = found;
            has = true;
        }
    return has;
}

/* The value of the header "Authorization". *ret_value NULL: none, which makes a server of digests
 * tell a challenge. */
static bool authorize(const struct lithops__infinispan *infinispan, const char *method,
                      const char *url, struct lithops__digest_challenge *challenge,
                      char **ret_value)
{
    *ret_value = NULL;
    if (infinispan->auth == LITHOPS__INFINISPAN_BASIC)
        return (*ret_value = write_basic(infinispan)) != NULL;
    if (infinispan->auth == LITHOPS__INFINISPAN_NONE || !*challenge->nonce)
        return true;
    const char *authority = strstr(url, "://") + 3, *path = strchr(authority, '/');
    *ret_value = lithops__digest_answer(infinispan->crypto, challenge, infinispan->user,
                                        infinispan->password, method, path ? path : "/", NULL);
    return *ret_value != NULL;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct lithops__web_code codes[] = {
    {"401", LITHOPS_EDENIED, false, "; check username, password and auth_mech"},
    {"403", LITHOPS_EDENIED, false, "; give the user a role with the permission"},
    {"409", LITHOPS_EEXIST, false, NULL},
    {"413", LITHOPS_ENOSPACE, false,
     "; raise max-content-length of the server's REST connector, which is 10 MB by default"},
    {.code = NULL},
};

static int fail_status(const struct lithops__infinispan *infinispan,
                       const struct lithops__infinispan_request *request,
                       struct lithops__transfer *transfer, const lithops_storage_op *op)
{
    const struct lithops__answer *answer = infinispan->web.http->answer(transfer);
    char code[24], message[256] = "";
    snprintf(code, sizeof code, "%ld", answer->status);
    if (answer->error_text)
        snprintf(message, sizeof message, "%.*s", (int)strcspn(answer->error_text, "\r\n"),
                 answer->error_text);
    const struct lithops__web_failure failure = {.method = request->method,
                                                 .bucket = request->bucket,
                                                 .key = request->key,
                                                 .where = infinispan->endpoint,
                                                 .status = answer->status,
                                                 .code = code,
                                                 .message = message,
                                                 .no_bucket = strstr(message, "ISPN012010")};
    return lithops__web_fail(&failure, codes, op);
}

/* ---- making it ------------------------------------------------------------------------------- */

static bool prepare(const struct lithops__infinispan *infinispan,
                    const struct lithops__infinispan_request *request,
                    struct lithops__digest_challenge *challenge, struct lithops__web_request *out)
{
    char *value = NULL;
    bool good = write_url(infinispan, request, out) &&
                authorize(infinispan, request->method, out->url, challenge, &value) &&
                lithops__web_add_header(out, "Authorization", value) &&
                lithops__web_add_header(out, "If-Match", request->if_match) &&
                lithops__web_add_header(out, "Content-Type",
                                        request->has_body ? request->content_type : NULL);
    lithops__secret_free(value);
    return good;
}

/* What could not be made ready: a policy may forbid MD5, as FIPS does. */
static int fail_prepare(const struct lithops__infinispan *infinispan,
                        const struct lithops__digest_challenge *challenge,
                        const lithops_storage_op *op)
{
    unsigned char hash[LITHOPS__MD5_BYTES];
    bool is_md5 = infinispan->auth == LITHOPS__INFINISPAN_DIGEST && *challenge->nonce &&
                  !challenge->is_sha256;
    if (is_md5 && infinispan->crypto->md5((lithops_bytes){"", 0}, hash) != 0)
        return lithops__fail(op->err, LITHOPS_EUNSUPPORTED,
                             "%s wants a digest by MD5, which this machine's policy forbids (as "
                             "FIPS does); have the server offer SHA-256, or set auth_mech to BASIC "
                             "and use https",
                             infinispan->endpoint);
    return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a request");
}

/* *ret_again: whether a new challenge may be answered, and then whether to make another attempt. */
static int attempt(struct lithops__infinispan *infinispan,
                   const struct lithops__infinispan_request *request, const lithops_storage_op *op,
                   struct lithops__transfer *transfer, struct lithops__digest_challenge *challenge,
                   bool *ret_again)
{
    struct lithops__web_request out = {
        .method = request->method, .has_body = request->has_body, .body = request->body};
    int rc = prepare(infinispan, request, challenge, &out)
                 ? lithops__web_send(&infinispan->web, transfer, &out, op)
                 : fail_prepare(infinispan, challenge, op);
    lithops__web_request_deinit(&out);
    long status = rc ? 0 : infinispan->web.http->answer(transfer)->status;
    *ret_again = *ret_again && status == 401 && infinispan->auth == LITHOPS__INFINISPAN_DIGEST &&
                 read_challenge(infinispan, transfer, challenge);
    if (rc || *ret_again || status < 300)
        return rc;
    return fail_status(infinispan, request, transfer, op);
}

/* A body is not sent only to be refused for want of an answer to a challenge. */
static int learn_challenge(struct lithops__infinispan *infinispan, const char *bucket,
                           struct lithops__transfer *transfer,
                           struct lithops__digest_challenge *challenge,
                           const lithops_storage_op *op)
{
    const struct lithops__infinispan_request ask = {.method = "HEAD", .bucket = bucket};
    bool again = true;
    if (*challenge->nonce || infinispan->auth != LITHOPS__INFINISPAN_DIGEST)
        return 0;
    int rc = attempt(infinispan, &ask, op, transfer, challenge, &again);
    if (rc && op->err->http_status) { /* the request itself will show whether that matters */
        *op->err = (lithops_error)LITHOPS_ERROR_INIT;
        rc = 0;
    }
    return rc;
}

int lithops__infinispan_begin(struct lithops__infinispan *infinispan,
                              const struct lithops__infinispan_request *request,
                              const lithops_storage_op *op, struct lithops__transfer **ret_transfer)
{
    struct lithops__transfer *transfer;
    struct lithops__digest_challenge challenge;
    int rc = lithops__web_take(&infinispan->web, &transfer, op->err);
    if (rc)
        return rc;
    take_challenge(infinispan, &challenge);
    bool again = true;
    if (request->has_body)
        rc = learn_challenge(infinispan, request->bucket, transfer, &challenge, op);
    if (rc == 0)
        rc = attempt(infinispan, request, op, transfer, &challenge, &again);
    if (rc == 0 && again) {
        again = false;
        rc = attempt(infinispan, request, op, transfer, &challenge, &again);
    }
    if (rc == 0 || (op->err->http_status && op->err->http_status != 401))
        keep_challenge(infinispan, &challenge);
    if (rc == 0)
        *ret_transfer = transfer;
    else
        lithops__web_end(&infinispan->web, transfer);
    return rc;
}

int lithops__infinispan_do(struct lithops__infinispan *infinispan,
                           const struct lithops__infinispan_request *request,
                           const lithops_storage_op *op)
{
    struct lithops__transfer *transfer;
    char *document;
    size_t len;
    int rc = lithops__infinispan_begin(infinispan, request, op, &transfer);
    if (rc)
        return rc;
    if (request->key && infinispan->web.http->answer(transfer)->status != 204) {
        rc = lithops__web_fail_stranger(&infinispan->web, transfer, "has not status 204", op);
        lithops__web_end(&infinispan->web, transfer);
        return rc;
    }
    rc = lithops__web_document(&infinispan->web, transfer, op, &document, &len);
    if (rc == 0)
        free(document);
    return rc;
}

/* An answer to HEAD does not have the size: so it is a GET, whose value is not read. A range is
 * what is behind the bytes that are skipped. */
int lithops__infinispan_ask(void *state, const char *method, const char *bucket, const char *key,
                            const char *if_match, const char *range, const lithops_storage_op *op,
                            struct lithops__transfer **ret_transfer)
{
    struct lithops__infinispan *infinispan = state;
    const struct lithops__infinispan_request request = {
        .method = "GET", .bucket = bucket, .key = key, .if_match = if_match};
    struct lithops__transfer *transfer;
    unsigned long long start = 0;
    (void)method;
    int rc = lithops__infinispan_begin(infinispan, &request, op, &transfer);
    if (rc)
        return rc;
    if (range && sscanf(range, "bytes=%llu-", &start) == 1 && start > 0) {
        if (start >= infinispan->web.http->answer(transfer)->length) {
            lithops__web_end(&infinispan->web, transfer);
            rc = lithops__fail(op->err, LITHOPS_EUSAGE, "the object has no such bytes");
            op->err->http_status = 416;
            return rc;
        }
        infinispan->web.http->skip(transfer, start);
    }
    *ret_transfer = transfer;
    return 0;
}
