/* SPDX-License-Identifier: Apache-2.0 */
/* Open requests over libcurl's multi interface, which one thread drives.
 *
 * Other threads put requests into `posts->all` and ask for their end; only the thread touches what
 * is libcurl's. The lock guards the list and the states; no callback of libcurl's is called with it
 * held. Over TLS libcurl agrees on HTTP/2 where the server can, and a connection carries as many
 * requests as it allows. */
#include "net/posts.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "net/certificates.h"
#include "net/transfer.h"

#include <curl/curl.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CONNECT_MS = 10000, TURN_MS = 1000, PIECE = 16 << 10 };

enum stage { WAITING, ATTACHED, DETACHED };

struct lithops__post {
    struct lithops__post *next;
    struct lithops__posts *posts;
    CURL *easy;
    struct curl_slist *headers;
    char *wanted;
    int event_fd; /* readable once it is answered or over */
    char message[CURL_ERROR_SIZE];
    /* [lock] */
    enum stage stage;
    bool is_unwanted;
    struct lithops__post_state state;
    size_t text_len;
};

struct lithops__posts {
    CURLM *multi;
    pthread_mutex_t lock;
    pthread_cond_t detached;
    struct lithops__post *all; /* [lock] */
    bool is_closing;           /* [lock] */
    bool has_thread;
    pthread_t thread;
};

/* ---- the thread ------------------------------------------------------------------------------ */

/* [lock] The head of an answer has come; not that of "100 Continue". */
static void note_answer(struct lithops__post *post)
{
    struct lithops__post_state *state = &post->state;
    struct curl_header *found;
    curl_off_t retry_after = 0;
    if (state->is_answered)
        return;
    curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &state->status);
    curl_easy_getinfo(post->easy, CURLINFO_RETRY_AFTER, &retry_after);
    state->retry_after_s = (long)retry_after;
    if (curl_easy_header(post->easy, post->wanted, 0, CURLH_HEADER, -1, &found) == CURLHE_OK &&
        strlen(found->value) < sizeof state->header)
        memcpy(state->header, found->value, strlen(found->value) + 1);
    state->is_answered = true;
    (void)eventfd_write(post->event_fd, 1);
}

/* The last bytes are kept. */
static void keep(struct lithops__post *post, const char *data, size_t len)
{
    char *text = post->state.text;
    const size_t room = sizeof post->state.text - 1;
    if (len > room) {
        data += len - room;
        len = room;
    }
    if (post->text_len + len > room) {
        size_t dropped = post->text_len + len - room;
        memmove(text, text + dropped, post->text_len - dropped);
        post->text_len -= dropped;
    }
    memcpy(text + post->text_len, data, len);
    post->text_len += len;
    text[post->text_len] = '\0';
}

static size_t on_body(char *data, size_t one, size_t len, void *user)
{
    struct lithops__post *post = user;
    (void)one; /* always 1 */
    pthread_mutex_lock(&post->posts->lock);
    note_answer(post);
    keep(post, data, len);
    pthread_mutex_unlock(&post->posts->lock);
    return len;
}

static bool may_pass(CURLcode result)
{
    return result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST ||
           result == CURLE_OPERATION_TIMEDOUT || result == CURLE_SEND_ERROR ||
           result == CURLE_RECV_ERROR || result == CURLE_GOT_NOTHING ||
           result == CURLE_PARTIAL_FILE || result == CURLE_HTTP2 || result == CURLE_HTTP2_STREAM ||
           /* something that is not HTTP: */
           result == CURLE_WEIRD_SERVER_REPLY || result == CURLE_UNSUPPORTED_PROTOCOL;
}

/* [lock] */
static void note_end(struct lithops__post *post, CURLcode result)
{
    struct lithops__post_state *state = &post->state;
    state->is_over = true;
    if (result == CURLE_OK) {
        note_answer(post); /* it had no body */
    } else {
        lithops__fail(&state->failure, LITHOPS_EBACKEND, "%s",
                      post->message[0] ? post->message : curl_easy_strerror(result));
        state->failure.retryable = may_pass(result);
    }
    (void)eventfd_write(post->event_fd, 1);
}

static void take_ends(struct lithops__posts *posts)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(posts->multi, &left))) {
        char *user = NULL;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE ||
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user) != CURLE_OK)
            continue;
        struct lithops__post *post = (struct lithops__post *)(void *)user;
        curl_multi_remove_handle(posts->multi, post->easy);
        pthread_mutex_lock(&posts->lock);
        note_end(post, result);
        post->stage = DETACHED;
        pthread_cond_broadcast(&posts->detached);
        pthread_mutex_unlock(&posts->lock);
    }
}

/* One that is to be attached, or to be detached. [lock] */
static struct lithops__post *find_change(struct lithops__posts *posts)
{
    for (struct lithops__post *post = posts->all; post; post = post->next)
        if (post->stage == WAITING || (post->stage == ATTACHED && post->is_unwanted))
            return post;
    return NULL;
}

/* @return whether the thread goes on */
static bool take_changes(struct lithops__posts *posts)
{
    struct lithops__post *post;
    pthread_mutex_lock(&posts->lock);
    while ((post = find_change(posts))) {
        bool attach = post->stage == WAITING && !post->is_unwanted;
        if (post->stage == WAITING && !attach) {
            post->stage = DETACHED;
            pthread_cond_broadcast(&posts->detached);
            continue;
        }
        post->stage = ATTACHED; /* nobody frees it as long as it is that */
        pthread_mutex_unlock(&posts->lock);
        CURLMcode failed = attach ? curl_multi_add_handle(posts->multi, post->easy)
                                  : curl_multi_remove_handle(posts->multi, post->easy);
        pthread_mutex_lock(&posts->lock);
        if (attach && failed)
            note_end(post, CURLE_OUT_OF_MEMORY);
        if (!attach || failed) {
            post->stage = DETACHED;
            pthread_cond_broadcast(&posts->detached);
        }
    }
    bool goes_on = !posts->is_closing;
    pthread_mutex_unlock(&posts->lock);
    return goes_on;
}

static void *drive(void *user)
{
    struct lithops__posts *posts = user;
    while (take_changes(posts)) {
        int running;
        (void)curl_multi_perform(posts->multi, &running);
        take_ends(posts);
        (void)curl_multi_poll(posts->multi, NULL, 0, TURN_MS, NULL);
    }
    return NULL;
}

/* ---- all ------------------------------------------------------------------------------------- */

int lithops__posts_open(struct lithops__posts **ret_posts, lithops_error *err)
{
    lithops__curl_init();
    struct lithops__posts *posts = calloc(1, sizeof *posts);
    if (!posts)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for HTTP requests");
    pthread_mutex_init(&posts->lock, NULL);
    pthread_cond_init(&posts->detached, NULL);
    posts->multi = curl_multi_init();
    int rc =
        posts->multi ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for HTTP requests");
    if (rc == 0) {
        int failed = lithops__thread_start(&posts->thread, drive, posts);
        posts->has_thread = failed == 0;
        rc = failed ? lithops__fail_errno(err, failed, "cannot start a thread") : 0;
    }
    if (rc == 0)
        *ret_posts = posts;
    else
        lithops__posts_close(posts);
    return rc;
}

void lithops__posts_close(struct lithops__posts *posts)
{
    if (!posts)
        return;
    if (posts->has_thread) {
        pthread_mutex_lock(&posts->lock);
        posts->is_closing = true;
        pthread_mutex_unlock(&posts->lock);
        curl_multi_wakeup(posts->multi);
        pthread_join(posts->thread, NULL);
    }
    curl_multi_cleanup(posts->multi);
    pthread_cond_destroy(&posts->detached);
    pthread_mutex_destroy(&posts->lock);
    free(posts);
}

/* ---- one ------------------------------------------------------------------------------------- */

static int take_headers(struct lithops__post *post, const char *const *headers, lithops_error *err)
{
    static const char *const own[] = {"Expect:", "Content-Type: application/octet-stream", NULL};
    static const char *const less[] = {"Expect:", NULL};
    const char *const *lists[] = {own, headers};
    for (const char *const *header = headers; header && *header; header++)
        if (strncasecmp(*header, "content-type:", 13) == 0)
            lists[0] = less;
    for (size_t i = 0; i < 2; i++)
        for (const char *const *header = lists[i]; header && *header; header++) {
            if (strpbrk(*header, "\r\n"))
                return lithops__fail(err, LITHOPS_EUSAGE, "an HTTP header has a line break in it");
            struct curl_slist *longer = curl_slist_append(post->headers, *header);
            if (!longer)
                return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
            post->headers = longer;
        }
    return 0;
}

static bool set_options(struct lithops__post *post, const struct lithops__post_request *request)
{
    CURL *easy = post->easy;
    const char *authorities = lithops__certificate_file(curl_version_info(CURLVERSION_NOW)->cainfo);
    return (!authorities || curl_easy_setopt(easy, CURLOPT_CAINFO, authorities) == CURLE_OK) &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "lithops/" LITHOPS_VERSION) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)PIECE) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, post->message) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, post) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, post) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, post->headers) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS,
                            request->body.len ? request->body.ptr : "") == CURLE_OK;
}

static int check_url(struct lithops__post *post, const char *url, lithops_error *err)
{
    bool is_http = strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
    CURLU *parts = curl_url();
    bool good = is_http && parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_easy_setopt(post->easy, CURLOPT_URL, url) == CURLE_OK;
    curl_url_cleanup(parts);
    /* It is not shown: secrets in it cannot be located. */
    return good ? 0
                : lithops__fail(err, LITHOPS_EUSAGE,
                                "not an http or https URL (check host, port and blanks in it)");
}

static void free_post(struct lithops__post *post)
{
    curl_easy_cleanup(post->easy);
    curl_slist_free_all(post->headers);
    free(post->wanted);
    if (post->event_fd >= 0)
        close(post->event_fd);
    free(post);
}

int lithops__post_begin(struct lithops__posts *posts, const struct lithops__post_request *request,
                        struct lithops__post **ret_post, lithops_error *err)
{
    struct lithops__post *post = calloc(1, sizeof *post);
    if (!post)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    post->posts = posts;
    post->easy = curl_easy_init();
    post->wanted = strdup(request->wanted);
    post->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = post->event_fd < 0 ? lithops__fail_errno(err, errno, "cannot wait for an answer") : 0;
    if (rc == 0 && (!post->easy || !post->wanted))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    if (rc == 0)
        rc = check_url(post, request->url, err);
    if (rc == 0)
        rc = take_headers(post, request->headers, err);
    if (rc == 0 && !set_options(post, request))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    if (rc != 0) {
        free_post(post);
        return rc;
    }
    pthread_mutex_lock(&posts->lock);
    post->next = posts->all;
    posts->all = post;
    pthread_mutex_unlock(&posts->lock);
    curl_multi_wakeup(posts->multi);
    *ret_post = post;
    return 0;
}

int lithops__post_await(struct lithops__post *post, int cancel_fd, uint64_t deadline_ns,
                        lithops_error *err)
{
    for (;;) {
        struct pollfd fds[] = {{post->event_fd, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
        uint64_t now = lithops__now_ns();
        uint64_t left_ms = deadline_ns > now ? (deadline_ns - now) / 1000000 + 1 : 0;
        int rc = poll(fds, 2, left_ms < 60000 ? (int)left_ms : 60000);
        if (rc > 0 && fds[1].revents)
            return lithops__fail(err, LITHOPS_ECANCELED, "the request was interrupted");
        if (rc > 0 && fds[0].revents)
            return 0;
        if (rc == 0 && left_ms == 0)
            return lithops__fail(err, LITHOPS_ETIMEDOUT, "no answer came in time");
    }
}

void lithops__post_look(struct lithops__post *post, struct lithops__post_state *ret_state)
{
    pthread_mutex_lock(&post->posts->lock);
    *ret_state = post->state;
    pthread_mutex_unlock(&post->posts->lock);
}

bool lithops__post_is_over(struct lithops__post *post)
{
    pthread_mutex_lock(&post->posts->lock);
    bool is_over = post->state.is_over;
    pthread_mutex_unlock(&post->posts->lock);
    return is_over;
}

void lithops__post_end(struct lithops__post *post)
{
    struct lithops__posts *posts = post->posts;
    pthread_mutex_lock(&posts->lock);
    post->is_unwanted = true;
    if (post->stage != DETACHED)
        curl_multi_wakeup(posts->multi);
    while (post->stage != DETACHED)
        pthread_cond_wait(&posts->detached, &posts->lock);
    struct lithops__post **at = &posts->all;
    while (*at != post)
        at = &(*at)->next;
    *at = post->next;
    pthread_mutex_unlock(&posts->lock);
    free_post(post);
}
