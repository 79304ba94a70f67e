/* SPDX-License-Identifier: Apache-2.0 */
/* Requests over libcurl, pulled.
 *
 * libcurl pushes: it calls back with bytes when they come. The multi interface is driven only
 * during a pull, and the callback pauses the transfer once the pull has what it wanted, so that a
 * slow reader holds one block and the kernel's socket buffer, not the object.
 *
 * The callback gets up to CURL_BLOCK bytes at a time and cannot take a part of them: what does not
 * fit into the puller's buffer goes to `spill`, from which the next pull takes first. */
#include "net/transfer.h"

#include "base/clock.h"
#include "base/error.h"
#include "net/authorities.h"
#include "net/http.h"
#include "net/plain.h"

#include <curl/curl.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CURL_BLOCK (256 * 1024L)
#define SHORT_BODY (32 * 1024)
#define NOT_PLAIN_MAX 3 /* a server that answers so, or not, is not asked that way any more */

struct lithops__transfer {
    CURLM *multi;
    CURL *easy;
    struct curl_slist *connect_to;
    char *shown_url;            /* of the request; NULL before the first */
    struct curl_slist *headers; /* a list in one piece: nodes, then their texts */
    size_t headers_room, header_count;
    struct lithops__http_request request; /* what is borrowed of it */
    uint64_t body_at;                     /* what was sent of the request's body */
    unsigned times_made;                  /* the request was, by libcurl */
    bool body_lacks;                      /* the file could not be read, or was too short */
    char *error_text;
    size_t error_len;
    long connect_timeout_ms, stall_timeout_ms;
    struct lithops__plain *plain; /* NULL: not needed yet */
    bool is_plain;                /* the request is made by that, not by libcurl */
    unsigned not_plain;           /* how often in a row libcurl had to make it again */
    bool trusts_system;           /* and reads its authorities by itself */
    bool attached;                /* a request is under way in multi */
    bool headed;                  /* the head of the answer has come to its end */
    bool answered;                /* the head of the answer is in `answer` */
    bool done;                    /* no more bytes will come */
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

static const char *header_at(struct lithops__transfer *transfer, const char *name, size_t i)
{
    struct curl_header *found;
    if (transfer->is_plain)
        return lithops__plain_header(transfer->plain, name, i);
    return curl_easy_header(transfer->easy, name, i, CURLH_HEADER, -1, &found) == CURLHE_OK
               ? found->value
               : NULL;
}

static const char *header(struct lithops__transfer *transfer, const char *name)
{
    return header_at(transfer, name, 0);
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
    curl_off_t length = -1, retry_after = 0;
    if (transfer->is_plain) {
        const char *after = header(transfer, "Retry-After"); /* or a date, which counts as none */
        answer->status = lithops__plain_status(transfer->plain);
        length = (curl_off_t)lithops__plain_length(transfer->plain);
        retry_after = after && *after >= '0' ? strtol(after, NULL, 10) : 0;
    } else {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &answer->status);
        curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
    }
    answer->length = length >= 0 ? (uint64_t)length : UINT64_MAX;
    answer->total = answer->status == 200 ? answer->length : UINT64_MAX;
    if (answer->status == 206 || answer->status == 416)
        parse_content_range(header(transfer, "Content-Range"), answer);
    const char *accepts = header(transfer, "Accept-Ranges");
    answer->accepts_ranges = accepts && strcasecmp(accepts, "bytes") == 0;
    answer->retry_after_s = (long)retry_after;
    const char *etag = header(transfer, "ETag");
    if (etag && strlen(etag) < sizeof answer->etag)
        memcpy(answer->etag, etag, strlen(etag) + 1);
    transfer->answered = true;
}

/* Line by line, and the last one is empty. libcurl takes a head for whole that the end of the
 * connection cuts off. */
static size_t on_head(char *data, size_t one, size_t len, void *user)
{
    struct lithops__transfer *transfer = user;
    (void)one;                                     /* always 1 */
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) /* perhaps after "100 Continue" */
        transfer->headed = false;
    else if (len > 0 && (data[0] == '\r' || data[0] == '\n'))
        transfer->headed = true;
    return len;
}

/* ---- the body -------------------------------------------------------------------------------- */

static void keep_error_text(struct lithops__transfer *transfer, const char *data, size_t len)
{
    size_t room = LITHOPS__HTTP_ERROR_TEXT - transfer->error_len, kept = len < room ? len : room;
    memcpy(transfer->error_text + transfer->error_len, data, kept);
    transfer->error_len += kept;
    transfer->error_text[transfer->error_len] = '\0';
}

static size_t on_body(char *data, size_t one, size_t len, void *user)
{
    (void)one; /* always 1 */
    struct lithops__transfer *transfer = user;
    transfer->heard_ns = lithops__now_ns();
    if (!transfer->answered)
        read_head(transfer);
    if (transfer->answer.status >= 400) {
        keep_error_text(transfer, data, len);
        return len;
    }
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

/* ---- the body of the request ----------------------------------------------------------------- */

static size_t on_send(char *buf, size_t one, size_t len, void *user)
{
    (void)one; /* always 1 */
    struct lithops__transfer *transfer = user;
    const struct lithops__http_request *request = &transfer->request;
    transfer->heard_ns = lithops__now_ns(); /* the server accepts data, so it has not stalled */
    uint64_t all = request->body_fd >= 0 ? request->body_fd_len : request->body.len;
    uint64_t left = all - transfer->body_at;
    len = left < len ? (size_t)left : len;
    if (request->body_fd >= 0 && len) {
        ssize_t got =
            pread(request->body_fd, buf, len, (off_t)(request->body_fd_start + transfer->body_at));
        transfer->body_lacks = got <= 0;
        if (got <= 0)
            return CURL_READFUNC_ABORT;
        len = (size_t)got;
    } else if (len) {
        memcpy(buf, (const char *)request->body.ptr + transfer->body_at, len);
    }
    transfer->body_at += len;
    return len;
}

/* libcurl starts over where it needs the body twice. */
static int on_seek(void *user, curl_off_t offset, int origin)
{
    (void)origin; /* always SEEK_SET */
    ((struct lithops__transfer *)user)->body_at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static bool has_long_body(const struct lithops__http_request *request)
{
    return request->has_body && (request->body_fd >= 0 || request->body.len > SHORT_BODY);
}

#if LIBCURL_VERSION_NUM >= 0x075000
/* On a reused connection that turns out to be dead libcurl makes the request again, by itself. With
 * a body that is unsafe: version 7.88 then sends no more than the head now and then, and both sides
 * wait. So it fails, and is made again as after any other failure. */
static int on_request(void *user, char *to, char *from, int to_port, int from_port)
{
    struct lithops__transfer *transfer = user;
    (void)to, (void)from, (void)to_port, (void)from_port;
    return ++transfer->times_made > 1 && has_long_body(&transfer->request) ? CURL_PREREQFUNC_ABORT
                                                                           : CURL_PREREQFUNC_OK;
}

static bool set_on_request(struct lithops__transfer *transfer)
{
    return curl_easy_setopt(transfer->easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK &&
           curl_easy_setopt(transfer->easy, CURLOPT_PREREQDATA, transfer) == CURLE_OK;
}

/* See on_request(). */
static bool set_reuse(const struct lithops__transfer *transfer)
{
    (void)transfer;
    return true;
}
#else
static bool set_on_request(const struct lithops__transfer *transfer)
{
    (void)transfer;
    return true;
}

/* It makes requests again on reused connections only, which may have died; with a body that is
 * unsafe. */
static bool set_reuse(const struct lithops__transfer *transfer)
{
    return curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT,
                            (long)has_long_body(&transfer->request)) == CURLE_OK;
}
#endif

/* ---- handles --------------------------------------------------------------------------------- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void lithops__curl_init(void)
{
    pthread_once(&curl_once, init_curl);
}

/* With "://"; 0: it is not one of ours. */
static size_t scheme_length(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 ? 7 : strncasecmp(url, "https://", 8) == 0 ? 8 : 0;
}

/* A URL that cannot be parsed is not shown: its secrets cannot be located. */
static int fail_url(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EUSAGE,
                         "not an http or https URL (check host, port and blanks in it)");
}

int lithops__transfer_check_url(const char *url, lithops_error *err)
{
    CURLU *parts = curl_url();
    bool good = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK;
    curl_url_cleanup(parts);
    return good && scheme_length(url) ? 0 : fail_url(err);
}

/* Keep a copy for messages, without possible secrets. libcurl parses the URL anyway. */
static int show_url(const char *url, char **ret_shown, lithops_error *err)
{
    size_t scheme = scheme_length(url);
    if (!scheme)
        return fail_url(err);
    const char *host = url + scheme + strspn(url + scheme, "/"); /* libcurl takes three as two */
    const char *path = host + strcspn(host, "/?#");
    const char *user_end = memrchr(host, '@', (size_t)(path - host));
    host = user_end ? user_end + 1 : host;
    size_t len = (size_t)(path - host) + strcspn(path, "?#");
    char *shown = malloc(scheme + len + 1);
    if (!shown)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    memcpy(shown, url, scheme);
    memcpy(shown + scheme, host, len);
    shown[scheme + len] = '\0';
    *ret_shown = shown;
    return 0;
}

static bool set_options(struct lithops__transfer *transfer)
{
    CURL *easy = transfer->easy;
    return lithops__authorities_set(easy) &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L) == CURLE_OK &&
           /* No SIGALRM for slow name servers: signals are the program's. */
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, transfer->connect_timeout_ms) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "lithops/" LITHOPS_VERSION) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, CURL_BLOCK) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, CURL_BLOCK) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->message) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer) == CURLE_OK &&
           set_on_request(transfer);
}

static bool set_blob(CURL *easy, CURLoption option, lithops_bytes bytes)
{
    struct curl_blob blob = {
        .data = (void *)(uintptr_t)bytes.ptr, .len = bytes.len, .flags = CURL_BLOB_COPY};
    return !bytes.ptr || curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

/* Authorities that are named take the place of the system's. */
static bool set_identity(struct lithops__transfer *transfer,
                         const struct lithops__http_identity *identity)
{
    CURL *easy = transfer->easy;
    transfer->trusts_system =
        !identity || (!identity->authorities.ptr && !identity->any_certificate);
    if (!identity)
        return true;
    if (identity->connect_to)
        transfer->connect_to = curl_slist_append(NULL, identity->connect_to);
    return set_blob(easy, CURLOPT_CAINFO_BLOB, identity->authorities) &&
           (!identity->authorities.ptr ||
            curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK) &&
           set_blob(easy, CURLOPT_SSLCERT_BLOB, identity->certificate) &&
           set_blob(easy, CURLOPT_SSLKEY_BLOB, identity->key) &&
           (!identity->any_certificate ||
            (curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK)) &&
           (!identity->connect_to ||
            (transfer->connect_to &&
             curl_easy_setopt(easy, CURLOPT_CONNECT_TO, transfer->connect_to) == CURLE_OK)) &&
           (!identity->proxy || curl_easy_setopt(easy, CURLOPT_PROXY, identity->proxy) == CURLE_OK);
}

int lithops__transfer_new(const struct lithops__http_limits *limits,
                          struct lithops__transfer **ret_transfer, lithops_error *err)
{
    lithops__curl_init();
    struct lithops__transfer *transfer = calloc(1, sizeof *transfer);
    if (!transfer)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    transfer->connect_timeout_ms =
        limits && limits->connect_timeout_ms ? limits->connect_timeout_ms : 10000;
    transfer->not_plain = limits && limits->identity ? NOT_PLAIN_MAX : 0;
    transfer->stall_timeout_ms =
        limits && limits->stall_timeout_ms ? limits->stall_timeout_ms : 60000;
    transfer->multi = curl_multi_init();
    transfer->easy = curl_easy_init();
    transfer->spill = malloc(CURL_BLOCK);
    transfer->error_text = calloc(1, LITHOPS__HTTP_ERROR_TEXT + 1);
    if (!transfer->multi || !transfer->easy || !transfer->spill || !transfer->error_text ||
        !set_options(transfer) || !set_identity(transfer, limits ? limits->identity : NULL)) {
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
    lithops__plain_free(transfer->plain);
    curl_easy_cleanup(transfer->easy);
    curl_multi_cleanup(transfer->multi);
    curl_slist_free_all(transfer->connect_to);
    free(transfer->headers);
    free(transfer->error_text);
    free(transfer->spill);
    free(transfer->shown_url);
    free(transfer);
}

const char *lithops__transfer_url(const struct lithops__transfer *transfer)
{
    return transfer->shown_url ? transfer->shown_url : "";
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
    if (transfer->is_plain)
        lithops__plain_end(transfer->plain);
    transfer->is_plain = false;
    transfer->attached = transfer->answered = transfer->done = transfer->paused = false;
    transfer->headed = false;
    transfer->skip = 0;
    transfer->spill_start = transfer->spill_end = 0;
    transfer->result = CURLE_OK;
    transfer->message[0] = '\0';
    transfer->error_len = 0;
    if (transfer->error_text) /* there is none where there was no memory for it */
        transfer->error_text[0] = '\0';
    transfer->answer = (struct lithops__answer){
        .length = UINT64_MAX, .total = UINT64_MAX, .error_text = transfer->error_text};
}

static void append_header(struct lithops__transfer *transfer, const char *text)
{
    struct curl_slist *node = &transfer->headers[transfer->header_count++];
    *node = (struct curl_slist){.data = (char *)text}; /* libcurl only reads it */
    if (node > transfer->headers)
        node[-1].next = node;
}

/* The list keeps its room for the next request: libcurl's would take two pieces of memory for each
 * header. There is room for one more. */
static int take_headers(struct lithops__transfer *transfer, const char *const *headers,
                        lithops_error *err)
{
    size_t count = 0, len = 0;
    transfer->header_count = 0;
    for (; headers && headers[count]; count++) {
        if (strpbrk(headers[count], "\r\n"))
            return lithops__fail(err, LITHOPS_EUSAGE, "an HTTP header has a line break in it");
        len += strlen(headers[count]) + 1;
    }
    const size_t nodes = (count + 1) * sizeof *transfer->headers, needed = nodes + len;
    if (needed > transfer->headers_room) {
        free(transfer->headers);
        transfer->headers = malloc(needed);
        transfer->headers_room = transfer->headers ? needed : 0;
        if (!transfer->headers)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    }
    char *text = (char *)transfer->headers + nodes;
    for (size_t i = 0; i < count; i++) {
        append_header(transfer, text);
        text = stpcpy(text, headers[i]) + 1;
    }
    return 0;
}

/* A short body goes out together with the head, in one packet, if libcurl has it as a form. It then
 * would say that it is one. */
static bool set_short_body(struct lithops__transfer *transfer)
{
    const struct lithops__http_request *request = &transfer->request;
    bool has_type = false;
    for (size_t i = 0; i < transfer->header_count; i++)
        has_type = has_type || strncasecmp(transfer->headers[i].data, "content-type:", 13) == 0;
    if (!has_type)
        append_header(transfer, "Content-Type:");
    return curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t)request->body.len) == CURLE_OK &&
           curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS,
                            request->body.len ? request->body.ptr : "") == CURLE_OK;
}

/* libcurl has an option for each kind of request; the one set last wins. */
static bool set_request(struct lithops__transfer *transfer)
{
    const struct lithops__http_request *request = &transfer->request;
    CURL *easy = transfer->easy;
    bool head = strcmp(request->method, "HEAD") == 0;
    uint64_t len = request->body_fd >= 0 ? request->body_fd_len : request->body.len;
    bool is_short = request->has_body && !has_long_body(request);
    return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOBODY, (long)head) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_UPLOAD, (long)(request->has_body && !is_short)) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                            request->has_body ? (curl_off_t)len : (curl_off_t)-1) == CURLE_OK &&
           (!is_short || set_short_body(transfer)) && set_reuse(transfer) &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, head ? NULL : request->method) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER,
                            transfer->header_count ? transfer->headers : NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_RANGE, request->range) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, (long)request->follow_redirects) ==
               CURLE_OK;
}

/* Once: for https alone, as that takes time. */
static bool share_authorities(struct lithops__transfer *transfer)
{
    if (!transfer->trusts_system || strncasecmp(transfer->request.url, "https:", 6) != 0)
        return true;
    transfer->trusts_system = false;
    return lithops__authorities_share(transfer->easy);
}

static int begin(struct lithops__transfer *transfer, lithops_error *err)
{
    if (!set_request(transfer) || !share_authorities(transfer) ||
        curl_multi_add_handle(transfer->multi, transfer->easy) != CURLM_OK)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    transfer->attached = true;
    return 0;
}

/* Where memory is short for it, or it does not fit, libcurl is there. */
static bool begin_plain(struct lithops__transfer *transfer)
{
    if (!transfer->request.is_long || transfer->not_plain >= NOT_PLAIN_MAX ||
        !lithops__plain_fits(&transfer->request))
        return false;
    if (!transfer->plain)
        transfer->plain =
            lithops__plain_new(transfer->connect_timeout_ms, transfer->stall_timeout_ms);
    transfer->is_plain =
        transfer->plain && lithops__plain_begin(transfer->plain, &transfer->request);
    return transfer->is_plain;
}

int lithops__transfer_start(struct lithops__transfer *transfer,
                            const struct lithops__http_request *request, lithops_error *err)
{
    lithops__transfer_stop(transfer);
    char *shown_url = NULL;
    int rc = show_url(request->url, &shown_url, err);
    if (rc)
        return rc;
    free(transfer->shown_url);
    transfer->shown_url = shown_url;
    transfer->request = *request;
    transfer->body_at = 0;
    transfer->times_made = 0;
    transfer->body_lacks = false;
    rc = take_headers(transfer, request->headers, err);
    if (rc)
        return rc;
    return begin_plain(transfer) ? 0 : begin(transfer, err);
}

const char *lithops__transfer_header(struct lithops__transfer *transfer, const char *name)
{
    return header(transfer, name);
}

const char *lithops__transfer_header_at(struct lithops__transfer *transfer, const char *name,
                                        size_t i)
{
    return header_at(transfer, name, i);
}

static const char *doing(const struct lithops__transfer *transfer)
{
    return transfer->request.has_body ? "cannot send to" : "cannot read";
}

static int fail_transfer(struct lithops__transfer *transfer, lithops_error *err)
{
    CURLcode result = transfer->result;
    if (result == CURLE_ABORTED_BY_CALLBACK && transfer->body_lacks)
        return lithops__fail(err, LITHOPS_EIO,
                             "cannot send to %s: the file cannot be read, or became shorter while "
                             "it was sent",
                             transfer->shown_url);
    if (result == CURLE_ABORTED_BY_CALLBACK && transfer->times_made > 1) {
        result = CURLE_SEND_ERROR; /* on_request() */
        snprintf(transfer->message, sizeof transfer->message, "the connection was lost");
    }
    long status = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result == CURLE_URL_MALFORMAT && status == 0)
        return fail_url(err);
    if (result == CURLE_URL_MALFORMAT) /* another one, of the server's */
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "%s %s: the server redirects to what is not an http or https URL",
                             doing(transfer), transfer->shown_url);
    const char *reason = transfer->message[0] ? transfer->message : curl_easy_strerror(result);
    const char *hint =
        result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE
            ? " (certificates come with the package ca-certificates, or from the file "
              "that SSL_CERT_FILE names)"
            : "";
    lithops__fail(err, result == CURLE_OUT_OF_MEMORY ? LITHOPS_ENOMEM : LITHOPS_EBACKEND,
                  "%s %s: %s%s", doing(transfer), transfer->shown_url, reason, hint);
    if (err)
        err->retryable = result == CURLE_COULDNT_CONNECT || result == CURLE_OPERATION_TIMEDOUT ||
                         result == CURLE_SSL_CONNECT_ERROR || /* as of a server that ends */
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
            if (transfer->result == CURLE_OK && !transfer->headed) {
                transfer->result = CURLE_PARTIAL_FILE;
                snprintf(transfer->message, sizeof transfer->message,
                         "the head of the answer was cut off");
            }
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

/* Wait for the socket, but no longer than until the server counts as stalled. Timed here, because
 * libcurl's low-speed limit averages over five seconds. */
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
    uint64_t look_ms = transfer->request.bounds.interrupted ? 100 : 1000;
    uint64_t deadline_ns = transfer->request.bounds.deadline_ns, now = lithops__now_ns();
    if (deadline_ns > now && (deadline_ns - now) / 1000000 < look_ms)
        look_ms = (deadline_ns - now) / 1000000;
    return curl_multi_poll(transfer->multi, NULL, 0,
                           (int)(left_ms < look_ms ? left_ms : look_ms) + 1, NULL);
}

/* Where libcurl is to make the request again, there is no answer yet, and it is not plain. */
static int ask_plain(struct lithops__transfer *transfer, lithops_error *err)
{
    bool known;
    int rc = lithops__plain_ask(transfer->plain, &known, err);
    if (rc)
        return rc;
    if (known) {
        transfer->not_plain = 0;
        read_head(transfer);
        return 0;
    }
    transfer->is_plain = false;
    transfer->not_plain++;
    return begin(transfer, err);
}

/* The body of an error. The connection of one that is longer than its text is not kept. */
static int read_plain_error(struct lithops__transfer *transfer, lithops_error *err)
{
    char text[LITHOPS__HTTP_ERROR_TEXT];
    size_t len;
    int rc = lithops__plain_read(transfer->plain, text, sizeof text, &len, err);
    keep_error_text(transfer, text, len);
    return rc;
}

/* As lithops__transfer_pull(). *ret_done: that is all; else libcurl is to do it. */
static int pull_plain(struct lithops__transfer *transfer, void *buf, size_t len, size_t *ret_len,
                      bool *ret_done, lithops_error *err)
{
    const char *text;
    *ret_len = 0;
    *ret_done = true;
    if (transfer->done && transfer->result != CURLE_OK)
        return fail_transfer(transfer, err);
    int rc = transfer->answered ? 0 : ask_plain(transfer, err);
    *ret_done = rc || transfer->is_plain;
    if (!transfer->is_plain)
        return rc;
    bool is_error = rc == 0 && transfer->answer.status >= 400;
    if (is_error && !transfer->done)
        rc = read_plain_error(transfer, err);
    else if (rc == 0 && len && !is_error)
        rc = lithops__plain_read(transfer->plain, buf, len, ret_len, err);
    if (rc && (rc == LITHOPS_EBACKEND || !transfer->answered)) {
        transfer->done = true;
        transfer->result = lithops__plain_failure(transfer->plain, &text);
        snprintf(transfer->message, sizeof transfer->message, "%s", text);
    } else {
        transfer->done = is_error || lithops__plain_left(transfer->plain) == 0;
    }
    return rc == LITHOPS_EBACKEND ? fail_transfer(transfer, err) : rc;
}

int lithops__transfer_pull(struct lithops__transfer *transfer, void *buf, size_t len,
                           size_t *ret_len, lithops_error *err)
{
    if (transfer->is_plain) {
        bool done;
        int rc = pull_plain(transfer, buf, len, ret_len, &done, err);
        if (done)
            return rc;
    }
    transfer->out = buf;
    transfer->room = len;
    if (len && transfer->spill_end)
        give_spill(transfer);
    bool head_only = len == 0;
    size_t most_room = transfer->request.as_it_comes && len ? len - 1 : 0;
    transfer->heard_ns = lithops__now_ns();
    CURLMcode failed = CURLM_OK;
    int rc = 0;
    while (!failed && !rc && !transfer->done &&
           (head_only ? !transfer->answered : transfer->room > most_room)) {
        int running;
        if (transfer->paused) {
            transfer->paused = false;
            curl_easy_pause(transfer->easy, CURLPAUSE_CONT); /* may call on_body at once */
        }
        failed = curl_multi_perform(transfer->multi, &running);
        take_result(transfer);
        bool satisfied = head_only ? transfer->answered : transfer->room <= most_room;
        if (!failed && !transfer->done && !satisfied && !transfer->paused) {
            rc = lithops__bounds_check(&transfer->request.bounds, err);
            failed = rc ? CURLM_OK : wait_for_server(transfer);
        }
    }
    *ret_len = len - transfer->room;
    transfer->room = 0;
    if (rc)
        return rc;
    if (failed)
        return lithops__fail(err, LITHOPS_EBACKEND, "%s %s: %s", doing(transfer),
                             transfer->shown_url, curl_multi_strerror(failed));
    if (transfer->done && !transfer->answered && transfer->result == CURLE_OK)
        read_head(transfer); /* there was no body */
    return transfer->done && transfer->result != CURLE_OK ? fail_transfer(transfer, err) : 0;
}
