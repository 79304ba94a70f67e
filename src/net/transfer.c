/* SPDX-License-Identifier: Apache-2.0 */
/* Requests over libcurl, pulled.
 *
 * libcurl pushes: it calls back with bytes when they come. The multi interface is driven only
 * while somebody pulls, and the callback pauses the transfer when the puller has what it wanted,
 * so that a slow reader holds one block and the kernel's socket buffer, not the object.
 *
 * The callback gets up to CURL_BLOCK bytes at a time and cannot take a part of them: what does not
 * fit into the puller's buffer goes to `spill`, which is given first in the next pull. */
#include "net/transfer.h"

#include "base/clock.h"
#include "base/error.h"

#include <curl/curl.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CURL_BLOCK (256 * 1024L)

struct lithops__transfer {
    CURLM *multi;
    CURL *easy;
    char *shown_url;
    long stall_timeout_ms;
    bool attached; /* a request is under way in multi */
    bool answered; /* the head of the answer is in `answer` */
    bool done;     /* no more bytes will come */
    bool paused;
    CURLcode result;   /* once done */
    uint64_t heard_ns; /* when the last bytes came, or the pull began */
    struct lithops__answer answer;
    uint64_t skip;
    unsigned char *out; /* the puller's buffer: room bytes left */
    size_t room;
    unsigned char *spill;
    size_t spill_start, spill_end;
    char message[CURL_ERROR_SIZE];
};

/* ---- the head of an answer ------------------------------------------------------------------- */

static const char *header(struct lithops__transfer *transfer, const char *name)
{
    struct curl_header *found;
    return curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK
               ? found->value
               : NULL;
}

static bool parse_number(const char **text, uint64_t *ret_number)
{
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    *ret_number = strtoull(*text, &end, 10);
    *text = end;
    return true;
}

/* "bytes 0-99/1234", "bytes 0-99/" and a star when the size is unknown, "bytes " star "/1234". */
static void parse_content_range(const char *text, struct lithops__answer *answer)
{
    if (!text || strncasecmp(text, "bytes ", 6) != 0)
        return;
    text += 6;
    uint64_t start = UINT64_MAX, last, total = UINT64_MAX;
    if (*text == '*')
        text++;
    else if (!parse_number(&text, &start) || *text++ != '-' || !parse_number(&text, &last))
        return;
    if (*text++ != '/' || (*text != '*' && !parse_number(&text, &total)))
        return;
    answer->has_range = true;
    answer->range_start = start;
    answer->total = total;
}

static void read_head(struct lithops__transfer *transfer)
{
    struct lithops__answer *answer = &transfer->answer;
    curl_off_t length = -1;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    answer->length = length >= 0 ? (uint64_t)length : UINT64_MAX;
    answer->total = answer->status == 200 ? answer->length : UINT64_MAX;
    if (answer->status == 206 || answer->status == 416)
        parse_content_range(header(transfer, "Content-Range"), answer);
    const char *accepts = header(transfer, "Accept-Ranges");
    answer->accepts_ranges = accepts && strcasecmp(accepts, "bytes") == 0;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
    answer->retry_after_s = (long)retry_after;
    const char *etag = header(transfer, "ETag");
    if (etag && strlen(etag) < sizeof answer->etag)
        memcpy(answer->etag, etag, strlen(etag) + 1);
    transfer->answered = true;
}

/* ---- the body -------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t one, size_t len, void *user)
{
    (void)one; /* always 1 */
    struct lithops__transfer *transfer = user;
    transfer->heard_ns = lithops__now_ns();
    if (!transfer->answered)
        read_head(transfer);
    if (transfer->answer.status >= 400)
        return len;
    if (transfer->skip >= len) {
        transfer->skip -= len;
        return len;
    }
    if (transfer->room == 0 || transfer->spill_end) {
        transfer->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    size_t skip = (size_t)transfer->skip, fits = len - skip;
    transfer->skip = 0;
    if (fits > transfer->room)
        fits = transfer->room;
    memcpy(transfer->out, data + skip, fits);
    transfer->out += fits;
    transfer->room -= fits;
    size_t rest = len - skip - fits;
    if (rest) {
        memcpy(transfer->spill, data + skip + fits, rest);
        transfer->spill_start = 0;
        transfer->spill_end = rest;
    }
    return len;
}

/* ---- handles --------------------------------------------------------------------------------- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Check the URL, and keep it without what may be a secret. */
static int parse_url(const char *url, char **ret_shown, lithops_error *err)
{
    CURLU *parts = curl_url();
    char *scheme = NULL, *shown = NULL;
    bool good = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    static const CURLUPart hidden[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
                                       CURLUPART_FRAGMENT};
    for (size_t i = 0; good && i < sizeof hidden / sizeof *hidden; i++)
        curl_url_set(parts, hidden[i], NULL, 0);
    good = good && curl_url_get(parts, CURLUPART_URL, &shown, 0) == CURLUE_OK;
    char *copy = good ? strdup(shown) : NULL;
    curl_free(shown);
    curl_free(scheme);
    curl_url_cleanup(parts);
    *ret_shown = copy;
    /* A URL that cannot be parsed is not shown: nobody can say where its secrets are. */
    return copy ? 0
                : lithops__fail(err, LITHOPS_EUSAGE,
                                "not an http or https URL (check host, port "
                                "and blanks in it)");
}

static bool set_options(struct lithops__transfer *transfer, const char *url,
                        const struct lithops__http_limits *limits)
{
    CURL *easy = transfer->easy;
    long connect_ms = limits && limits->connect_timeout_ms ? limits->connect_timeout_ms : 10000;
    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L) == CURLE_OK &&
           /* No SIGALRM for slow name servers: signals are the program's. */
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "lithops/" LITHOPS_VERSION) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, CURL_BLOCK) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->message) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK;
}

int lithops__transfer_new(const char *url, const struct lithops__http_limits *limits,
                          struct lithops__transfer **ret_transfer, lithops_error *err)
{
    pthread_once(&curl_once, init_curl);
    char *shown_url;
    int rc = parse_url(url, &shown_url, err);
    if (rc)
        return rc;
    struct lithops__transfer *transfer = calloc(1, sizeof *transfer);
    if (!transfer) {
        free(shown_url);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    }
    transfer->shown_url = shown_url;
    transfer->stall_timeout_ms =
        limits && limits->stall_timeout_ms ? limits->stall_timeout_ms : 60000;
    transfer->multi = curl_multi_init();
    transfer->easy = curl_easy_init();
    transfer->spill = malloc(CURL_BLOCK);
    if (!transfer->multi || !transfer->easy || !transfer->spill ||
        !set_options(transfer, url, limits)) {
        lithops__transfer_free(transfer);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    }
    *ret_transfer = transfer;
    return 0;
}

void lithops__transfer_free(struct lithops__transfer *transfer)
{
    if (!transfer)
        return;
    lithops__transfer_stop(transfer);
    curl_easy_cleanup(transfer->easy);
    curl_multi_cleanup(transfer->multi);
    free(transfer->spill);
    free(transfer->shown_url);
    free(transfer);
}

const char *lithops__transfer_url(const struct lithops__transfer *transfer)
{
    return transfer->shown_url;
}

const struct lithops__answer *lithops__transfer_answer(const struct lithops__transfer *transfer)
{
    return &transfer->answer;
}

void lithops__transfer_skip(struct lithops__transfer *transfer, uint64_t len)
{
    transfer->skip = len;
}

/* ---- requests -------------------------------------------------------------------------------- */

void lithops__transfer_stop(struct lithops__transfer *transfer)
{
    if (transfer->attached)
        curl_multi_remove_handle(transfer->multi, transfer->easy);
    transfer->attached = transfer->answered = transfer->done = transfer->paused = false;
    transfer->skip = 0;
    transfer->spill_start = transfer->spill_end = 0;
    transfer->result = CURLE_OK;
    transfer->message[0] = '\0';
    transfer->answer = (struct lithops__answer){.length = UINT64_MAX, .total = UINT64_MAX};
}

static int start(struct lithops__transfer *transfer, long no_body, const char *range,
                 lithops_error *err)
{
    lithops__transfer_stop(transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_NOBODY, no_body);
    if (!no_body)
        curl_easy_setopt(transfer->easy, CURLOPT_HTTPGET, 1L);
    if (curl_easy_setopt(transfer->easy, CURLOPT_RANGE, range) != CURLE_OK ||
        curl_multi_add_handle(transfer->multi, transfer->easy) != CURLM_OK)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    transfer->attached = true;
    return 0;
}

int lithops__transfer_head(struct lithops__transfer *transfer, lithops_error *err)
{
    return start(transfer, 1, NULL, err);
}

int lithops__transfer_get(struct lithops__transfer *transfer, uint64_t first, uint64_t end,
                          lithops_error *err)
{
    char range[64];
    if (end == UINT64_MAX)
        snprintf(range, sizeof range, "%" PRIu64 "-", first);
    else
        snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, first, end - 1);
    return start(transfer, 0, first == 0 && end == UINT64_MAX ? NULL : range, err);
}

static int fail_transfer(const struct lithops__transfer *transfer, lithops_error *err)
{
    CURLcode result = transfer->result;
    const char *reason = transfer->message[0] ? transfer->message : curl_easy_strerror(result);
    lithops__fail(err, result == CURLE_OUT_OF_MEMORY ? LITHOPS_ENOMEM : LITHOPS_EBACKEND,
                  "cannot read %s: %s", transfer->shown_url, reason);
    if (err)
        err->retryable = result == CURLE_COULDNT_CONNECT || result == CURLE_OPERATION_TIMEDOUT ||
                         result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR ||
                         result == CURLE_GOT_NOTHING || result == CURLE_PARTIAL_FILE ||
                         result == CURLE_HTTP2 || result == CURLE_HTTP2_STREAM;
    return err ? err->code : LITHOPS_EBACKEND;
}

static void take_result(struct lithops__transfer *transfer)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(transfer->multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            transfer->result = message->data.result;
            transfer->done = true;
        }
}

static void give_spill(struct lithops__transfer *transfer)
{
    size_t len = transfer->spill_end - transfer->spill_start;
    if (len > transfer->room)
        len = transfer->room;
    memcpy(transfer->out, transfer->spill + transfer->spill_start, len);
    transfer->out += len;
    transfer->room -= len;
    transfer->spill_start += len;
    if (transfer->spill_start == transfer->spill_end)
        transfer->spill_start = transfer->spill_end = 0;
}

/* Wait for the socket, but no longer than until the server counts as stalled. A time of our own,
 * because libcurl's low-speed limit looks at an average over five seconds. */
static CURLMcode wait_for_server(struct lithops__transfer *transfer)
{
    uint64_t silent_ms = (lithops__now_ns() - transfer->heard_ns) / 1000000;
    if (silent_ms >= (uint64_t)transfer->stall_timeout_ms) {
        snprintf(transfer->message, sizeof transfer->message, "nothing came for %ld ms",
                 transfer->stall_timeout_ms);
        transfer->result = CURLE_OPERATION_TIMEDOUT;
        transfer->done = true;
        return CURLM_OK;
    }
    uint64_t left_ms = (uint64_t)transfer->stall_timeout_ms - silent_ms;
    return curl_multi_poll(transfer->multi, NULL, 0, left_ms < 1000 ? (int)left_ms + 1 : 1000,
                           NULL);
}

int lithops__transfer_pull(struct lithops__transfer *transfer, void *buf, size_t len,
                           size_t *ret_len, lithops_error *err)
{
    transfer->out = buf;
    transfer->room = len;
    if (len && transfer->spill_end)
        give_spill(transfer);
    bool head_only = len == 0;
    transfer->heard_ns = lithops__now_ns();
    CURLMcode failed = CURLM_OK;
    while (!failed && !transfer->done && (head_only ? !transfer->answered : transfer->room > 0)) {
        int running;
        if (transfer->paused) {
            transfer->paused = false;
            curl_easy_pause(transfer->easy, CURLPAUSE_CONT); /* may call on_body at once */
        }
        failed = curl_multi_perform(transfer->multi, &running);
        take_result(transfer);
        bool satisfied = head_only ? transfer->answered : transfer->room == 0;
        if (!failed && !transfer->done && !satisfied && !transfer->paused)
            failed = wait_for_server(transfer);
    }
    *ret_len = len - transfer->room;
    transfer->room = 0;
    if (failed)
        return lithops__fail(err, LITHOPS_EBACKEND, "cannot read %s: %s", transfer->shown_url,
                             curl_multi_strerror(failed));
    if (transfer->done && !transfer->answered && transfer->result == CURLE_OK)
        read_head(transfer); /* there was no body */
    return transfer->done && transfer->result != CURLE_OK ? fail_transfer(transfer, err) : 0;
}
