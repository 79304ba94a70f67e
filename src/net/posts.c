/* SPDX-License-Identifier: Apache-2.0 */
/* Open requests over libcurl's multi interface, which one thread drives.
 *
 * Other threads put requests into the list `posts->changes` and ask for their end by it; only the
 * thread touches what is libcurl's. The lock guards the list and the states; no callback is called
 * with it held. Sockets are watched by epoll, so that what is idle costs nothing, however many
 * requests are open. Handles of libcurl's are used again, with what does not change between
 * requests, and there is a descriptor to wait at only for those that are waited for. Over TLS
 * libcurl agrees on HTTP/2 where the server can, and a connection carries as many requests as it
 * allows. */
#include "net/posts.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "net/authorities.h"
#include "net/transfer.h"

#include <curl/curl.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECT_MS = 10000,
    PIECE = 4 << 10, /* answers are short, and each open request has a buffer */
    UPLOAD_PIECE = 16 << 10,
    EVENTS = 256,
    SPARES = 256, /* handles that are kept for the next requests */
};

enum stage { WAITING, ATTACHED, DETACHED };

/* A handle of libcurl's, and what it is known to be set to. */
struct handle {
    struct handle *next;
    CURL *easy;
    char *url;   /* good, and set */
    bool shares; /* the authorities that others have read */
};

struct lithops__post {
    struct lithops__posts *posts;
    struct handle *handle; /* NULL: it is over */
    struct curl_slist *headers;
    char *wanted, *body;
    bool is_short;
    void (*changed)(void *user);
    void *user;
    char message[CURL_ERROR_SIZE];
    /* [lock] */
    struct lithops__post *next_change;
    bool is_listed; /* in posts->changes */
    enum stage stage;
    bool is_unwanted;
    int event_fd; /* readable once it is answered or over; -1: nobody has waited */
    struct lithops__post_state state;
    size_t text_len;
    char *kept; /* the answer's body, of `most` bytes at most */
    size_t most, kept_len;
};

struct watch {
    uint32_t wanted, known;
    bool is_own;    /* a connection's; others, as of resolvers, may be closed unseen */
    bool is_listed; /* its change is to be told to epoll */
    int next;       /* and one more; 0: none */
};

struct lithops__posts {
    CURLM *multi;
    pid_t pid; /* a child has the connections, too, but they are not its own */
    int epoll_fd, wake_fd;
    struct watch *watches; /* by descriptor */
    size_t watch_count;
    int changed_fd;    /* the list of those that changed, as in `next` */
    uint64_t timer_ns; /* when libcurl wants to be called though nothing comes */
    pthread_mutex_t lock;
    pthread_cond_t detached;
    struct lithops__post *changes, **last_change; /* [lock] to be attached, or to be detached */
    struct handle *spares;                        /* [lock] */
    unsigned spare_count;                         /* [lock] */
    bool is_awake, is_closing;                    /* [lock] */
    const struct lithops__post *calling;          /* [lock] its `changed` is running */
    bool has_thread;
    pthread_t thread;
};

/* [lock] */
static void list_change(struct lithops__post *post)
{
    struct lithops__posts *posts = post->posts;
    if (post->is_listed)
        return;
    post->is_listed = true;
    post->next_change = NULL;
    *posts->last_change = post;
    posts->last_change = &post->next_change;
}

/* [lock] The thread looks at the list. */
static void wake(struct lithops__posts *posts)
{
    if (posts->is_awake)
        return;
    posts->is_awake = true;
    (void)eventfd_write(posts->wake_fd, 1);
}

/* ---- handles --------------------------------------------------------------------------------- */

static void free_handle(struct handle *handle)
{
    if (!handle)
        return;
    curl_easy_cleanup(handle->easy);
    free(handle->url);
    free(handle);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* [lock] The head of an answer has come; not that of "100 Continue". */
static void note_answer(struct lithops__post *post)
{
    struct lithops__post_state *state = &post->state;
    CURL *easy = post->handle->easy;
    struct curl_header *found;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &state->status);
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
    state->retry_after_s = (long)retry_after;
    if (post->wanted &&
        curl_easy_header(easy, post->wanted, 0, CURLH_HEADER, -1, &found) == CURLHE_OK &&
        strlen(found->value) < sizeof state->header)
        memcpy(state->header, found->value, strlen(found->value) + 1);
    state->is_answered = true;
}

/* [lock], which is left while `changed` runs; that may end the request if it is over. */
static void tell(struct lithops__post *post)
{
    struct lithops__posts *posts = post->posts;
    if (post->event_fd >= 0)
        (void)eventfd_write(post->event_fd, 1);
    if (!post->changed || post->is_unwanted)
        return;
    posts->calling = post;
    pthread_mutex_unlock(&posts->lock);
    post->changed(post->user);
    pthread_mutex_lock(&posts->lock);
    posts->calling = NULL;
    pthread_cond_broadcast(&posts->detached);
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

/* [lock] All of it, or nothing. */
static bool keep_all(struct lithops__post *post, const char *data, size_t len)
{
    if (len > post->most - post->kept_len)
        return false;
    char *longer = realloc(post->kept, post->kept_len + len + 1);
    if (!longer)
        return false;
    memcpy(longer + post->kept_len, data, len);
    post->kept = longer;
    post->kept_len += len;
    longer[post->kept_len] = '\0';
    return true;
}

/* Line by line, and the last one is empty. libcurl takes a head for whole that the end of the
 * connection cuts off. */
static size_t on_head(char *data, size_t one, size_t len, void *user)
{
    struct lithops__post *post = user;
    (void)one;
    bool begins = len >= 5 && memcmp(data, "HTTP/", 5) == 0; /* perhaps after "100 Continue" */
    bool ends = len > 0 && (data[0] == '\r' || data[0] == '\n');
    if (begins || ends) {
        pthread_mutex_lock(&post->posts->lock);
        post->state.is_headed = ends;
        pthread_mutex_unlock(&post->posts->lock);
    }
    return len;
}

static size_t on_body(char *data, size_t one, size_t len, void *user)
{
    struct lithops__post *post = user;
    (void)one; /* always 1 */
    pthread_mutex_lock(&post->posts->lock);
    bool is_first = !post->state.is_answered && !post->is_short;
    if (is_first)
        note_answer(post);
    keep(post, data, len);
    bool goes_on = post->most == 0 || keep_all(post, data, len);
    if (is_first)
        tell(post);
    pthread_mutex_unlock(&post->posts->lock);
    return goes_on ? len : 0; /* which ends it */
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
    if (result == CURLE_OK) {
        if (!state->is_answered) /* it had no body */
            note_answer(post);
    } else {
        lithops__fail(&state->failure, LITHOPS_EBACKEND, "%s",
                      post->message[0] ? post->message : curl_easy_strerror(result));
        state->failure.retryable = may_pass(result);
    }
    state->is_over = true;
}

/* [lock] What a request that is over needs no more goes to the next one. */
static void detach(struct lithops__post *post)
{
    struct lithops__posts *posts = post->posts;
    struct handle *handle = post->handle;
    post->stage = DETACHED;
    if (handle && posts->spare_count < SPARES) {
        (void)curl_easy_setopt(handle->easy, CURLOPT_ERRORBUFFER, NULL);
        (void)curl_easy_setopt(handle->easy, CURLOPT_HTTPHEADER, NULL);
        (void)curl_easy_setopt(handle->easy, CURLOPT_POSTFIELDS, NULL);
        handle->next = posts->spares;
        posts->spares = handle;
        posts->spare_count++;
        post->handle = NULL;
    }
    pthread_cond_broadcast(&posts->detached);
}

/* [lock], which is left for a while. It may be freed then. */
static void finish(struct lithops__post *post, CURLcode result)
{
    note_end(post, result);
    detach(post);
    tell(post);
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
        curl_multi_remove_handle(posts->multi, post->handle->easy);
        pthread_mutex_lock(&posts->lock);
        finish(post, result);
        pthread_mutex_unlock(&posts->lock);
    }
}

/* [lock], which is left for a while. */
static void take_change(struct lithops__post *post)
{
    struct lithops__posts *posts = post->posts;
    bool attach = post->stage == WAITING && !post->is_unwanted;
    if (post->stage == DETACHED || (post->stage == WAITING && !attach)) {
        detach(post);
        return;
    }
    post->stage = ATTACHED; /* nobody frees it as long as it is that */
    CURL *easy = post->handle->easy;
    pthread_mutex_unlock(&posts->lock);
    CURLMcode failed = attach ? curl_multi_add_handle(posts->multi, easy)
                              : curl_multi_remove_handle(posts->multi, easy);
    pthread_mutex_lock(&posts->lock);
    if (attach && failed)
        finish(post, CURLE_OUT_OF_MEMORY);
    else if (!attach)
        detach(post);
}

/* @return whether the thread goes on */
static bool take_changes(struct lithops__posts *posts)
{
    pthread_mutex_lock(&posts->lock);
    posts->is_awake = false;
    for (struct lithops__post *post; (post = posts->changes);) {
        posts->changes = post->next_change;
        if (!posts->changes)
            posts->last_change = &posts->changes;
        post->is_listed = false;
        take_change(post);
    }
    bool goes_on = !posts->is_closing;
    pthread_mutex_unlock(&posts->lock);
    return goes_on;
}

/* ---- sockets and the timer of libcurl's ------------------------------------------------------ */

/* What libcurl wants of a socket, and what epoll knows. Between two requests of a connection
 * libcurl wants nothing for a moment, and then the same again: that costs no call of the kernel. */
static struct watch *watch_of(struct lithops__posts *posts, curl_socket_t fd)
{
    size_t count = posts->watch_count;
    if ((size_t)fd >= count) {
        size_t more = (size_t)fd * 2 + 64;
        struct watch *longer = realloc(posts->watches, more * sizeof *longer);
        if (!longer)
            return NULL;
        memset(longer + count, 0, (more - count) * sizeof *longer);
        posts->watches = longer;
        posts->watch_count = more;
    }
    return &posts->watches[fd];
}

static void watch_socket(struct lithops__posts *posts, int fd)
{
    struct watch *watch = &posts->watches[fd];
    struct epoll_event event = {.events = watch->wanted, .data.fd = fd};
    if (watch->wanted == watch->known)
        return;
    int how = !watch->wanted ? EPOLL_CTL_DEL : !watch->known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    int rc = epoll_ctl(posts->epoll_fd, how, fd, &event);
    if (rc != 0 && how == EPOLL_CTL_MOD && errno == ENOENT) /* another socket, as it was closed */
        rc = epoll_ctl(posts->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    watch->known = rc == 0 ? watch->wanted : 0;
}

static void watch_sockets(struct lithops__posts *posts)
{
    while (posts->changed_fd > 0) {
        int fd = posts->changed_fd - 1;
        posts->changed_fd = posts->watches[fd].next;
        posts->watches[fd].is_listed = false;
        watch_socket(posts, fd);
    }
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
    struct lithops__posts *posts = user;
    struct watch *watch = watch_of(posts, fd);
    (void)easy;
    (void)known;
    if (!watch)
        return -1;
    watch->wanted = what == CURL_POLL_REMOVE ? 0
                                             : (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                                                   (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (!watch->is_own) {
        watch_socket(posts, fd);
    } else if (!watch->is_listed) {
        watch->is_listed = true;
        watch->next = posts->changed_fd;
        posts->changed_fd = fd + 1;
    }
    return 0;
}

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct lithops__posts *posts = user;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    struct watch *watch = fd >= 0 ? watch_of(posts, fd) : NULL;
    if (watch) {
        watch->wanted = watch->known = 0;
        watch->is_own = true;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return CURL_SOCKET_BAD;
}

/* A connection, perhaps of a request that is long over. A child of this process may have it, too:
 * then close() alone would end nothing, neither for epoll nor for the server. */
static int on_close(void *user, curl_socket_t fd)
{
    struct lithops__posts *posts = user;
    bool is_known = (size_t)fd < posts->watch_count;
    if (posts->pid == getpid()) {
        if (is_known && posts->watches[fd].known)
            (void)epoll_ctl(posts->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        (void)shutdown(fd, SHUT_RDWR);
    }
    if (is_known) {
        posts->watches[fd].known = posts->watches[fd].wanted = 0;
        posts->watches[fd].is_own = false;
    }
    return close(fd);
}

static int on_timer(CURLM *multi, long wait_ms, void *user)
{
    struct lithops__posts *posts = user;
    (void)multi;
    posts->timer_ns = wait_ms < 0 ? UINT64_MAX : lithops__now_ns() + (uint64_t)wait_ms * 1000000;
    return 0;
}

static int time_left_ms(const struct lithops__posts *posts)
{
    uint64_t now = lithops__now_ns();
    if (posts->timer_ns == UINT64_MAX)
        return -1;
    return posts->timer_ns <= now ? 0 : (int)((posts->timer_ns - now) / 1000000 + 1);
}

static void turn(struct lithops__posts *posts)
{
    struct epoll_event events[EVENTS];
    watch_sockets(posts);
    int running, n = epoll_wait(posts->epoll_fd, events, EVENTS, time_left_ms(posts));
    for (int i = 0; i < n; i++) {
        eventfd_t times;
        uint32_t seen = events[i].events;
        int what = (seen & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (seen & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (seen & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        if (events[i].data.fd == posts->wake_fd)
            (void)eventfd_read(posts->wake_fd, &times);
        else
            (void)curl_multi_socket_action(posts->multi, events[i].data.fd, what, &running);
    }
    if (posts->timer_ns <= lithops__now_ns()) {
        long left_ms = -1;
        (void)curl_multi_socket_action(posts->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        /* It is called in full milliseconds: where that was too early, on_timer() was not. */
        (void)curl_multi_timeout(posts->multi, &left_ms);
        (void)on_timer(posts->multi, left_ms, posts);
    }
}

static void *drive(void *user)
{
    struct lithops__posts *posts = user;
    while (take_changes(posts)) {
        turn(posts);
        take_ends(posts);
    }
    return NULL;
}

/* ---- all ------------------------------------------------------------------------------------- */

static int open_watch(struct lithops__posts *posts, lithops_error *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    posts->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    posts->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    event.data.fd = posts->wake_fd;
    return posts->epoll_fd < 0 || posts->wake_fd < 0 ||
                   epoll_ctl(posts->epoll_fd, EPOLL_CTL_ADD, posts->wake_fd, &event) != 0
               ? lithops__fail_errno(err, errno, "cannot watch connections")
               : 0;
}

static int open_multi(struct lithops__posts *posts, lithops_error *err)
{
    posts->multi = curl_multi_init();
    return posts->multi &&
                   curl_multi_setopt(posts->multi, CURLMOPT_SOCKETFUNCTION, on_socket) ==
                       CURLM_OK &&
                   curl_multi_setopt(posts->multi, CURLMOPT_SOCKETDATA, posts) == CURLM_OK &&
                   curl_multi_setopt(posts->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
                   curl_multi_setopt(posts->multi, CURLMOPT_TIMERDATA, posts) == CURLM_OK
               ? 0
               : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for HTTP requests");
}

int lithops__posts_open(struct lithops__posts **ret_posts, lithops_error *err)
{
    lithops__curl_init();
    struct lithops__posts *posts = calloc(1, sizeof *posts);
    if (!posts)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for HTTP requests");
    pthread_mutex_init(&posts->lock, NULL);
    pthread_cond_init(&posts->detached, NULL);
    posts->epoll_fd = posts->wake_fd = -1;
    posts->pid = getpid();
    posts->timer_ns = UINT64_MAX;
    posts->last_change = &posts->changes;
    int rc = open_watch(posts, err);
    if (rc == 0)
        rc = open_multi(posts, err);
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
        wake(posts);
        pthread_mutex_unlock(&posts->lock);
        pthread_join(posts->thread, NULL);
    }
    for (struct handle *handle = posts->spares, *next; handle; handle = next) {
        next = handle->next;
        free_handle(handle);
    }
    curl_multi_cleanup(posts->multi); /* its sockets are closed, and on_close() hears of it */
    free(posts->watches);
    if (posts->epoll_fd >= 0)
        close(posts->epoll_fd);
    if (posts->wake_fd >= 0)
        close(posts->wake_fd);
    pthread_cond_destroy(&posts->detached);
    pthread_mutex_destroy(&posts->lock);
    free(posts);
}

/* ---- one ------------------------------------------------------------------------------------- */

static bool has_type(const char *const *headers)
{
    while (headers && *headers && strncasecmp(*headers, "content-type:", 13) != 0)
        headers++;
    return headers && *headers;
}

static int take_headers(struct lithops__post *post, const struct lithops__post_request *request,
                        lithops_error *err)
{
    const char *const own[] = {"Expect:",
                               has_type(request->headers) ? NULL
                               : request->method
                                   ? "Content-Type:" /* or libcurl has one of its own */
                                   : "Content-Type: application/octet-stream",
                               NULL};
    const char *const *lists[] = {own, request->headers};
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

/* What is the same for all requests. */
static bool set_usual(struct lithops__posts *posts, CURL *easy)
{
    return lithops__authorities_set(easy) &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "lithops/" LITHOPS_VERSION) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)PIECE) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_PIECE) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, posts) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, posts) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
}

static struct handle *take_handle(struct lithops__posts *posts)
{
    pthread_mutex_lock(&posts->lock);
    struct handle *handle = posts->spares;
    if (handle) {
        posts->spares = handle->next;
        posts->spare_count--;
    }
    pthread_mutex_unlock(&posts->lock);
    if (handle)
        return handle;
    handle = calloc(1, sizeof *handle);
    if (!handle)
        return NULL;
    handle->easy = curl_easy_init();
    if (handle->easy && set_usual(posts, handle->easy))
        return handle;
    free_handle(handle);
    return NULL;
}

static bool has_body(const struct lithops__post_request *request)
{
    const char *method = request->method;
    return method ? request->body.len || strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0
                  : !request->is_get;
}

static bool set_method(CURL *easy, const struct lithops__post *post,
                       const struct lithops__post_request *request)
{
    if (curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL) != CURLE_OK)
        return false;
    bool good = has_body(request)
                    ? curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
                          curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                           (curl_off_t)request->body.len) == CURLE_OK &&
                          curl_easy_setopt(easy, CURLOPT_POSTFIELDS, post->body) == CURLE_OK
                    : curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    return good && (!request->method ||
                    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK);
}

static bool set_options(struct lithops__post *post, const struct lithops__post_request *request)
{
    CURL *easy = post->handle->easy;
    return curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, post->message) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, post) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, post) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, post) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, post->headers) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PIPEWAIT, request->is_urgent ? 0L : 1L) == CURLE_OK &&
           set_method(easy, post, request);
}

static int take_url(struct handle *handle, const char *url, lithops_error *err)
{
    if (handle->url && strcmp(handle->url, url) == 0)
        return 0;
    bool is_https = strncasecmp(url, "https://", 8) == 0,
         is_http = is_https || strncasecmp(url, "http://", 7) == 0;
    CURLU *parts = curl_url();
    free(handle->url);
    handle->url = NULL;
    bool good = is_http && parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_easy_setopt(handle->easy, CURLOPT_URL, url) == CURLE_OK;
    curl_url_cleanup(parts);
    if (good && is_https && !handle->shares)
        good = handle->shares = lithops__authorities_share(handle->easy);
    if (good)
        handle->url = strdup(url);
    /* It is not shown: secrets in it cannot be located. */
    return good ? 0
                : lithops__fail(err, LITHOPS_EUSAGE,
                                "not an http or https URL (check host, port and blanks in it)");
}

static void free_post(struct lithops__post *post)
{
    free_handle(post->handle);
    curl_slist_free_all(post->headers);
    free(post->wanted);
    free(post->body);
    free(post->kept);
    if (post->event_fd >= 0)
        close(post->event_fd);
    free(post);
}

static int fill(struct lithops__post *post, const struct lithops__post_request *request,
                lithops_error *err)
{
    size_t len = request->body.len;
    post->handle = take_handle(post->posts);
    post->wanted = request->wanted ? strdup(request->wanted) : NULL;
    post->body = malloc(len + 1);
    if (!post->handle || !post->body || (request->wanted && !post->wanted))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    if (len)
        memcpy(post->body, request->body.ptr, len);
    post->body[len] = '\0';
    int rc = take_url(post->handle, request->url, err);
    if (rc == 0)
        rc = take_headers(post, request, err);
    if (rc == 0 && !set_options(post, request))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    return rc;
}

int lithops__post_begin(struct lithops__posts *posts, const struct lithops__post_request *request,
                        struct lithops__post **ret_post, lithops_error *err)
{
    struct lithops__post *post = calloc(1, sizeof *post);
    if (!post)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an HTTP request");
    post->posts = posts;
    post->event_fd = -1;
    post->is_short = request->is_short;
    post->most = request->most;
    post->changed = request->changed;
    post->user = request->user;
    int rc = fill(post, request, err);
    if (rc != 0) {
        free_post(post);
        return rc;
    }
    *ret_post = post; /* before `changed` is called */
    pthread_mutex_lock(&posts->lock);
    list_change(post);
    wake(posts);
    pthread_mutex_unlock(&posts->lock);
    return 0;
}

/* Something to wait at. @return 0: there is nothing to wait for */
static int want_event(struct lithops__post *post, bool *ret_waits, lithops_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&post->posts->lock);
    *ret_waits = !post->state.is_answered && !post->state.is_over;
    if (*ret_waits && post->event_fd < 0) {
        post->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (post->event_fd < 0)
            rc = lithops__fail_errno(err, errno, "cannot wait for an answer");
    }
    pthread_mutex_unlock(&post->posts->lock);
    return rc;
}

int lithops__post_await(struct lithops__post *post, int cancel_fd, uint64_t deadline_ns,
                        lithops_error *err)
{
    bool waits;
    int failed = want_event(post, &waits, err);
    if (failed != 0 || !waits)
        return failed;
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

char *lithops__post_take_body(struct lithops__post *post, size_t *ret_len)
{
    pthread_mutex_lock(&post->posts->lock);
    bool is_whole = post->state.is_over && post->state.failure.code == 0 && post->most;
    char *body = is_whole ? post->kept : NULL;
    if (is_whole && !body && post->kept_len == 0)
        body = strdup(""); /* an answer without one */
    else if (body)
        post->kept = NULL;
    *ret_len = post->kept_len;
    pthread_mutex_unlock(&post->posts->lock);
    return body;
}

void lithops__post_end(struct lithops__post *post)
{
    struct lithops__posts *posts = post->posts;
    pthread_mutex_lock(&posts->lock);
    post->is_unwanted = true;
    if (post->stage != DETACHED) {
        list_change(post);
        wake(posts);
    }
    while (post->stage != DETACHED || post->is_listed ||
           (posts->calling == post && !pthread_equal(posts->thread, pthread_self())))
        pthread_cond_wait(&posts->detached, &posts->lock);
    pthread_mutex_unlock(&posts->lock);
    free_post(post);
}
