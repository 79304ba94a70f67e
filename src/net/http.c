/* SPDX-License-Identifier: Apache-2.0 */
/* Reading URLs: sizes, ranges, and servers without ranges.
 *
 * A read that continues where the last one ended takes the next bytes of the same answer; any other
 * one makes a new request. An answer of status 200 to a request for a part means that the server
 * has no ranges: it sends everything, and the bytes before the wanted offset are dropped.
 *
 * A request with a transient failure (no connection, a reset, a stall, 429, 5xx) is repeated from
 * the first missing byte, after a pause that doubles, or that the server asked for. Any bytes
 * received reset the count: a long download over a poor line continues as long as it makes
 * progress. Size and ETag of the first answer must stay the same, else the parts would not fit
 * together. */
#include "net/http.h"

#include "base/error.h"
#include "base/retry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_AFTER_MAX_S 30

struct lithops__http {
    struct lithops__transfer *transfer;
    char *url;
    struct lithops__retry retry; /* as each request begins with it */
    bool streaming;              /* a body is being read; its next byte is at `position` */
    uint64_t position;
    uint64_t size; /* UINT64_MAX: unknown */
    bool whole;    /* the body ends where the object ends */
    bool etag_known;
    char etag[128];
};

static int start(struct lithops__http *http, const char *method, const char *range,
                 lithops_error *err)
{
    struct lithops__http_request request = LITHOPS__HTTP_REQUEST(method, http->url);
    request.range = range;
    request.follow_redirects = true;
    return lithops__transfer_start(http->transfer, &request, err);
}

static void http_close(struct lithops__http *http)
{
    if (!http)
        return;
    lithops__transfer_free(http->transfer);
    free(http->url);
    free(http);
}

static int http_open(const char *url, const struct lithops__http_limits *limits,
                     struct lithops__http **ret_http, lithops_error *err)
{
    struct lithops__http *http = calloc(1, sizeof *http);
    if (!http)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a URL");
    http->retry = (struct lithops__retry){
        .attempts = limits && limits->attempts ? limits->attempts : 4,
        .first_delay_ms = limits && limits->first_delay_ms ? limits->first_delay_ms : 200,
        .bounds = LITHOPS__UNBOUNDED};
    http->size = UINT64_MAX;
    http->url = strdup(url);
    int rc = http->url ? lithops__transfer_new(limits, &http->transfer, err)
                       : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a URL");
    if (rc == 0)
        rc = lithops__transfer_check_url(url, err);
    if (rc) {
        http_close(http);
        return rc;
    }
    *ret_http = http;
    return 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static int fail_status(const struct lithops__http *http, long status, lithops_error *err)
{
    const char *url = lithops__transfer_url(http->transfer), *hint = "";
    int code = LITHOPS_EBACKEND;
    bool retryable = false;
    if (status == 404 || status == 410) {
        code = LITHOPS_ENOTFOUND;
        hint = " (there is no such object)";
    } else if (status == 401 || status == 403) {
        code = LITHOPS_EDENIED;
        hint = " (access denied)";
    } else if (status == 429 || status == 503) {
        code = LITHOPS_ETHROTTLED;
        hint = " (the server asks to slow down)";
        retryable = true;
    } else if (status >= 500) {
        retryable = true;
    }
    lithops__fail(err, code, "%s: the server answers with status %ld%s", url, status, hint);
    err->http_status = (int)status;
    err->retryable = retryable;
    return code;
}

static int fail_changed(const struct lithops__http *http, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EIO, "%s has changed while it was being read; run again",
                         lithops__transfer_url(http->transfer));
}

/* Every answer must be about the same version of the object. */
static int check_version(struct lithops__http *http, const struct lithops__answer *answer,
                         lithops_error *err)
{
    /* Many servers leave the ETag out of a 416. */
    bool same_etag =
        strcmp(http->etag, answer->etag) == 0 || (answer->status == 416 && !answer->etag[0]);
    if (http->etag_known && !same_etag)
        return fail_changed(http, err);
    if (http->size != UINT64_MAX && answer->total != UINT64_MAX && http->size != answer->total)
        return fail_changed(http, err);
    if (!http->etag_known && answer->etag[0]) {
        memcpy(http->etag, answer->etag, sizeof http->etag);
        http->etag_known = true;
    }
    if (answer->total != UINT64_MAX)
        http->size = answer->total;
    return 0;
}

/* Wait before the next attempt; false if there is none. */
static bool again(const struct lithops__http *http, struct lithops__retry *retry,
                  lithops_error *error)
{
    long asked_s = 0;
    if (error->http_status)
        asked_s = lithops__transfer_answer(http->transfer)->retry_after_s;
    if (asked_s > RETRY_AFTER_MAX_S)
        asked_s = RETRY_AFTER_MAX_S;
    return lithops__retry_again(retry, error, asked_s > 0 ? (unsigned)asked_s * 1000 : 0);
}

/* ---- size ------------------------------------------------------------------------------------ */

static int ask_head(struct lithops__http *http, struct lithops__http_info *ret_info,
                    lithops_error *err)
{
    size_t none;
    int rc = start(http, "HEAD", NULL, err);
    if (rc == 0)
        rc = lithops__transfer_pull(http->transfer, NULL, 0, &none, err);
    if (rc)
        return rc;
    const struct lithops__answer *answer = lithops__transfer_answer(http->transfer);
    if (answer->status != 200)
        return fail_status(http, answer->status, err);
    ret_info->size_bytes = answer->total;
    ret_info->ranges = answer->accepts_ranges;
    return 0;
}

/* A GET of the first byte says more than a HEAD: it shows whether ranges work. */
static int ask_first_byte(struct lithops__http *http, struct lithops__http_info *ret_info,
                          lithops_error *err)
{
    size_t none;
    int rc = start(http, "GET", "0-0", err);
    if (rc == 0)
        rc = lithops__transfer_pull(http->transfer, NULL, 0, &none, err);
    if (rc)
        return rc;
    const struct lithops__answer *answer = lithops__transfer_answer(http->transfer);
    bool empty = answer->status == 416 && answer->total == 0;
    if (answer->status != 200 && answer->status != 206 && !empty)
        return fail_status(http, answer->status, err);
    ret_info->size_bytes = answer->total;
    ret_info->ranges = answer->status != 200 && answer->has_range;
    lithops__transfer_stop(http->transfer); /* of a 200, the body need not come */
    return 0;
}

static int http_info(struct lithops__http *http, struct lithops__http_info *ret_info,
                     lithops_error *err)
{
    lithops_error error = LITHOPS_ERROR_INIT;
    struct lithops__http_info info = {UINT64_MAX, false};
    struct lithops__retry retry = http->retry;
    int rc;
    http->streaming = false;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        rc = ask_head(http, &info, &error);
        bool refused = rc && error.http_status && !error.retryable && rc != LITHOPS_ENOTFOUND;
        if (refused || (rc == 0 && (!info.ranges || info.size_bytes == UINT64_MAX)))
            rc = ask_first_byte(http, &info, &error);
    } while (rc && again(http, &retry, &error));
    if (rc == 0)
        *ret_info = info;
    else if (err)
        *err = error;
    return rc;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Ask for [offset, end) and look at the answer. *ret_past: the object ends at or before offset. */
static int begin(struct lithops__http *http, uint64_t offset, uint64_t end, bool *ret_past,
                 lithops_error *err)
{
    size_t none;
    http->streaming = false;
    char range[64];
    if (end == UINT64_MAX)
        snprintf(range, sizeof range, "%" PRIu64 "-", offset);
    else
        snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, offset, end - 1);
    int rc = start(http, "GET", offset == 0 && end == UINT64_MAX ? NULL : range, err);
    if (rc == 0)
        rc = lithops__transfer_pull(http->transfer, NULL, 0, &none, err);
    if (rc)
        return rc;
    const struct lithops__answer *answer = lithops__transfer_answer(http->transfer);
    *ret_past = answer->status == 416;
    if (*ret_past) /* no one asks past a known size */
        return http->size != UINT64_MAX ? fail_changed(http, err)
                                        : check_version(http, answer, err);
    if (answer->status != 200 && answer->status != 206)
        return fail_status(http, answer->status, err);
    if (answer->status == 206 && (!answer->has_range || answer->range_start != offset))
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "%s: the server sent a different range than requested",
                             lithops__transfer_url(http->transfer));
    rc = check_version(http, answer, err);
    if (rc)
        return rc;
    http->whole = answer->status == 200 || end == UINT64_MAX;
    if (answer->status == 200)
        lithops__transfer_skip(http->transfer, offset);
    http->streaming = true;
    http->position = offset;
    return 0;
}

/* Read on, with a new request if necessary. *ret_end: the object ends here. */
static int read_some(struct lithops__http *http, uint64_t offset, uint64_t expect_end, void *buf,
                     size_t len, size_t *ret_len, bool *ret_end, lithops_error *err)
{
    *ret_len = 0;
    *ret_end = offset >= http->size;
    if (*ret_end)
        return 0;
    bool fresh = !http->streaming || http->position != offset;
    if (fresh) {
        int rc = begin(http, offset, expect_end > offset + len ? expect_end : offset + len, ret_end,
                       err);
        if (rc || *ret_end)
            return rc;
    }
    int rc = lithops__transfer_pull(http->transfer, buf, len, ret_len, err);
    http->position = offset + *ret_len;
    if (rc || *ret_len < len)
        http->streaming = false;
    if (rc == 0 && *ret_len < len && http->whole) {
        if (http->size != UINT64_MAX && http->position < http->size)
            return fail_changed(http, err);
        http->size = http->position;
        *ret_end = true;
    }
    /* An old answer may be used up; a new one without a byte would be asked for forever. */
    if (rc == 0 && fresh && *ret_len == 0 && !*ret_end)
        return fail_changed(http, err);
    return rc;
}

static int http_read(struct lithops__http *http, uint64_t offset, uint64_t expect_end, void *buf,
                     size_t len, size_t *ret_len, lithops_error *err)
{
    size_t done = 0;
    struct lithops__retry retry = http->retry;
    bool end = false;
    while (done < len && !end) {
        lithops_error error = LITHOPS_ERROR_INIT;
        size_t got;
        int rc = read_some(http, offset + done, expect_end, (char *)buf + done, len - done, &got,
                           &end, &error);
        done += got;
        if (got)
            retry.failed = 0;
        if (rc && !again(http, &retry, &error)) {
            if (err)
                *err = error;
            return rc;
        }
    }
    *ret_len = done;
    return 0;
}

/* Found by name: the one symbol that a module exports. */
LITHOPS_PUBLIC extern const struct lithops__http_api lithops__http;
const struct lithops__http_api lithops__http = {
    .transfer = {.open = lithops__transfer_new,
                 .close = lithops__transfer_free,
                 .start = lithops__transfer_start,
                 .pull = lithops__transfer_pull,
                 .skip = lithops__transfer_skip,
                 .answer = lithops__transfer_answer,
                 .header = lithops__transfer_header,
                 .header_at = lithops__transfer_header_at,
                 .url = lithops__transfer_url,
                 .stop = lithops__transfer_stop},
    .tcp = {.open = lithops__tcp_open,
            .close = lithops__tcp_close,
            .send = lithops__tcp_send,
            .receive = lithops__tcp_receive,
            .fd = lithops__tcp_fd},
    .posts = {.open = lithops__posts_open,
              .close = lithops__posts_close,
              .begin = lithops__post_begin,
              .await = lithops__post_await,
              .look = lithops__post_look,
              .is_over = lithops__post_is_over,
              .take_body = lithops__post_take_body,
              .end = lithops__post_end},
    .prepare = lithops__curl_init,
    .open = http_open,
    .close = http_close,
    .info = http_info,
    .read = http_read,
};
