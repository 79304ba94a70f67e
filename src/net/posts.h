/* SPDX-License-Identifier: Apache-2.0 */
/* POST requests, or others, that stay open: many at a time, over one thread. Part of the module
 * "http", which offers them to backends as `posts` of struct lithops__http_api.
 *
 * A request is begun, has an answer (its head has come), and is over: its body has come, the
 * connection is lost, or there never was one. Nothing is retried here. All functions are
 * thread-safe; those that concern one request are called by one thread at a time for it. */
#ifndef LITHOPS_NET_POSTS_H
#define LITHOPS_NET_POSTS_H

#include <lithops/base.h>
#include <lithops/error.h>

struct lithops__posts; /* those of one executor */
struct lithops__post;  /* one of them */

enum { LITHOPS__POST_TEXT = 1024, LITHOPS__POST_HEADER = 128 };

struct lithops__post_request {
    const char *method; /* NULL: POST, or what is_get says */
    const char *url;
    const char *const *headers; /* "Name: value" each, ends with NULL; without a Content-Type it is
                                 * application/octet-stream, and where there is a method none */
    lithops_bytes body;
    const char *wanted; /* a header of the answer, or NULL */
    bool is_get;        /* it has no body, and is no POST after all */
    bool is_urgent;     /* it does not wait for what protocol another connection turns out to have,
                         * which may be said by an answer that takes its time */
    size_t most;        /* bytes of the answer's body, which is kept; 0: only its end, as `text` */
    bool is_short;      /* it is answered once all of the answer's body has come */
    /* NULL, or called when it is answered, and when it is over, by the thread of all requests, so
     * it must not block. It may begin requests, and end this one if it is over. */
    void (*changed)(void *user);
    void *user;
};

struct lithops__post_state {
    bool is_answered, is_over;
    bool is_headed;                    /* the answer's head has come to its end */
    long status;                       /* of the answer; 0: there is none yet, or never was one */
    long retry_after_s;                /* 0: not said */
    char header[LITHOPS__POST_HEADER]; /* the wanted one; "": there is none, or a longer one */
    char text[LITHOPS__POST_TEXT];     /* the last of the answer's body */
    lithops_error failure;             /* is_over: code 0, or why there is no whole answer */
};

int lithops__posts_open(struct lithops__posts **ret_posts, lithops_error *err);
/* All requests are ended. NULL is fine. */
void lithops__posts_close(struct lithops__posts *posts);

/* Begin one; `request` is copied. May be called by `changed`. EUSAGE (not an http or https URL, a
 * header with a line break), ENOMEM. */
int lithops__post_begin(struct lithops__posts *posts, const struct lithops__post_request *request,
                        struct lithops__post **ret_post, lithops_error *err);
/* Wait until it is answered or over. ETIMEDOUT; ECANCELED: cancel_fd is readable. */
int lithops__post_await(struct lithops__post *post, int cancel_fd, uint64_t deadline_ns,
                        lithops_error *err);
/* How it is now. Does not block. */
void lithops__post_look(struct lithops__post *post, struct lithops__post_state *ret_state);
bool lithops__post_is_over(struct lithops__post *post);
/* Of one that is over: the body that was kept, which the caller frees; a NUL follows its *ret_len
 * bytes. NULL: it was longer than wanted, or nothing was to be kept, or has been taken. */
char *lithops__post_take_body(struct lithops__post *post, size_t *ret_len);
/* End it, whatever it does, and free it: the other side sees that the connection is closed. */
void lithops__post_end(struct lithops__post *post);

/* The same, for callers outside the module. */
struct lithops__posts_api {
    __typeof__(lithops__posts_open) *open;
    __typeof__(lithops__posts_close) *close;
    __typeof__(lithops__post_begin) *begin;
    __typeof__(lithops__post_await) *await;
    __typeof__(lithops__post_look) *look;
    __typeof__(lithops__post_is_over) *is_over;
    __typeof__(lithops__post_take_body) *take_body;
    __typeof__(lithops__post_end) *end;
};

#endif
