/* SPDX-License-Identifier: Apache-2.0 */
/* Brokers that are queues of a cloud, over HTTP. queue.c has what they have in common: requests
 * under way, waiting, taking, acknowledging, failures. A service has the shapes of its requests.
 *
 * All functions are called by the broker's thread. */
#ifndef LITHOPS_BROKER_QUEUE_H
#define LITHOPS_BROKER_QUEUE_H

#include "base/buffer.h"
#include "broker/driver.h"
#include "net/posts.h"
#include "storage/web_request.h"

enum {
    LITHOPS__QUEUE_NAME = 64,    /* "lithops-jobs-" and 40 digits: valid with each service */
    LITHOPS__QUEUE_FLIGHTS = 16, /* requests under way, beside the one that waits */
    LITHOPS__QUEUE_CODE = 64
};

enum lithops__queue_step {
    LITHOPS__QUEUE_MAKE,      /* the queue; one that is there is ours */
    LITHOPS__QUEUE_FIND,      /* one that is there, if the service `has_urls` */
    LITHOPS__QUEUE_MAKE_MORE, /* and what else it needs, if the service `has_more` */
    LITHOPS__QUEUE_RECEIVE,
    LITHOPS__QUEUE_SEND,
    LITHOPS__QUEUE_FORGET, /* what has been taken */
    LITHOPS__QUEUE_DROP_MORE,
    LITHOPS__QUEUE_DROP,
    LITHOPS__QUEUE_LIST, /* queues of ours, also of others that are dead */
    LITHOPS__QUEUE_STEPS
};

/* What is asked for; borrowed. */
struct lithops__queue_question {
    enum lithops__queue_step step;
    const char *name;            /* of the queue */
    const char *text;            /* SEND: the notice in base64 */
    const char *const *receipts; /* FORGET */
    size_t count;                /* of them */
    const char *after;           /* LIST: where the last answer ended; NULL: from the first */
};

/* A request as it goes out. */
struct lithops__queue_request {
    struct lithops__web_request web; /* method, URL and headers */
    struct lithops__buffer body;
};

/* What is found in an answer; texts are borrowed for the call. */
struct lithops__queue_reader {
    /* RECEIVE: in base64, decoded in place. */
    void (*message)(char *text, const char *receipt, void *user);
    /* LIST: a queue, whosever it is; and where to go on. */
    void (*name)(const char *name, void *user);
    void (*after)(const char *after, void *user);
    void *user;
};

struct lithops__queue_service {
    const char *name; /* of `monitoring`, and of the section */
    size_t state_size;
    bool has_more;
    bool has_urls;      /* names of its own for queues, which MAKE, FIND and LIST tell */
    unsigned wait_s;    /* that it waits with an answer to RECEIVE; 0: it does not */
    size_t receipts;    /* of one FORGET */
    const char *wanted; /* the header of an answer that `explain` and `renew` get; or NULL */
    const struct lithops__web_code *codes;
    const char *needs[LITHOPS__QUEUE_STEPS]; /* permissions, for messages */
    /* As those of a driver. */
    int (*open)(void *state, const lithops_value *settings, lithops_error *err);
    void (*close)(void *state);
    const char *(*where)(const void *state); /* for messages: the server, without secrets */
    /* Write a request; `out` is zeroed, and freed by the caller whatever comes. */
    int (*ask)(void *state, const struct lithops__queue_question *question,
               const struct lithops__bounds *bounds, struct lithops__queue_request *out,
               lithops_error *err);
    /* Read a good answer of MAKE, FIND, RECEIVE or LIST, which may be changed. False: it is none.
     */
    bool (*read)(void *state, enum lithops__queue_step step, char *text, size_t len,
                 const struct lithops__queue_reader *reader);
    /* Of an answer that tells of an error: its code, from the wanted header or the text. */
    void (*explain)(const char *header, const char *text, char ret_code[LITHOPS__QUEUE_CODE]);
    /* If this code says that the credentials of the last request are not taken any more, or not at
     * this time: true where there may be others now, or another time. Fetches none. */
    bool (*renew)(void *state, const char *code, const char *header);
};

/* ---- the driver ------------------------------------------------------------------------------ */

enum { LITHOPS__QUEUE_OWED = 512 };

struct lithops__queue_flight {
    struct lithops__post *post; /* NULL: none */
    enum lithops__queue_step step;
    uint64_t begun_ns;
};

/* The state of each of these drivers. */
struct lithops__queue {
    const struct lithops__queue_service *service;
    void *state; /* the service's */
    const struct lithops__posts_api *api;
    const struct lithops__crypto_api *crypto;
    struct lithops__posts *posts; /* while it is connected */
    int event_fd;                 /* then: one of them has changed */
    char name[LITHOPS__QUEUE_NAME];
    bool may_be_there, is_broken;
    bool is_found;   /* the service has told its URL */
    bool has_warned; /* that notices are refused */
    bool is_renewed; /* what the last answer has refused may be taken now */
    struct lithops__queue_flight receive, flights[LITHOPS__QUEUE_FLIGHTS];
    size_t flying;
    char *owed[LITHOPS__QUEUE_OWED]; /* receipts of what was taken */
    size_t owed_count;
    unsigned failed;                /* times in a row that it could not be received */
    uint64_t looked_ns, traffic_ns; /* the end of the last RECEIVE; what came or went last */
    uint64_t end_ns;                /* when its end must be over; 0: it has not begun */
};

int lithops__queue_open(struct lithops__queue *queue, const struct lithops__queue_service *service,
                        const lithops_value *settings, lithops_error *err);
void lithops__queue_close(void *state);
int lithops__queue_connect(void *state, const char *inbox, const struct lithops__bounds *bounds,
                           lithops_error *err);
void lithops__queue_disconnect(void *state);
int lithops__queue_send(void *state, const char *inbox, lithops_bytes notice,
                        const struct lithops__bounds *bounds, lithops_error *err);
int lithops__queue_drop_inbox(void *state, const char *inbox, const struct lithops__bounds *bounds,
                              lithops_error *err);
int lithops__queue_receive(void *state, void (*deliver)(lithops_bytes notice, void *user),
                           void *user, const struct lithops__bounds *bounds, lithops_error *err);
int lithops__queue_fd(void *state);
unsigned lithops__queue_wait_ms(void *state);
int lithops__queue_clean(const struct lithops__queue_service *service,
                         const lithops_value *settings, bool dry_run, uint64_t *ret_removed,
                         lithops_error *err);

extern const struct lithops__queue_service lithops__queue_azure_queue, lithops__queue_aws_sqs,
    lithops__queue_gcp_pubsub;

/* A driver of the service lithops__queue_<name>. */
#define LITHOPS__QUEUE_DRIVER(name_, longest_, ...)                                                \
    static int open_##name_(void *state, const lithops_value *settings, lithops_error *err)        \
    {                                                                                              \
        return lithops__queue_open(state, &lithops__queue_##name_, settings, err);                 \
    }                                                                                              \
    static int clean_##name_(const lithops_value *settings, bool dry_run, uint64_t *ret_removed,   \
                             lithops_error *err)                                                   \
    {                                                                                              \
        return lithops__queue_clean(&lithops__queue_##name_, settings, dry_run, ret_removed, err); \
    }                                                                                              \
    static const char *const sections_##name_[] = {__VA_ARGS__, NULL};                             \
    const struct lithops__broker_driver lithops__broker_##name_ = {                                \
        .name = #name_,                                                                            \
        .state_size = sizeof(struct lithops__queue),                                               \
        .longest = (longest_),                                                                     \
        .sections = sections_##name_,                                                              \
        .open = open_##name_,                                                                      \
        .close = lithops__queue_close,                                                             \
        .connect = lithops__queue_connect,                                                         \
        .disconnect = lithops__queue_disconnect,                                                   \
        .send = lithops__queue_send,                                                               \
        .drop = lithops__queue_drop_inbox,                                                         \
        .receive = lithops__queue_receive,                                                         \
        .fd = lithops__queue_fd,                                                                   \
        .wait_ms = lithops__queue_wait_ms,                                                         \
        .clean = clean_##name_,                                                                    \
    };

#endif
