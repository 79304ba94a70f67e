/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the Redis backend: the state of a handle, and making a request.
 *
 * A state is thread-safe: each request takes a connection from a pool. */
#ifndef LITHOPS_STORAGE_REDIS_H
#define LITHOPS_STORAGE_REDIS_H

#include "net/tcp.h"
#include "storage/backends/redis/resp.h"

#include <lithops/plugin/storage.h>

#include <pthread.h>

enum { LITHOPS__REDIS_IDLE = 32 };

struct lithops__redis_connection {
    struct lithops__tcp *tcp;
    struct lithops__buffer received; /* one reply, or a part of it; of a listener, several */
};

struct lithops__redis {
    const struct lithops__tcp_api *tcp;
    struct lithops__tcp_target target; /* its strings are those of `settings` */
    lithops_value *settings;           /* a copy of the section */
    const char *username, *password;   /* of it */
    int64_t db;
    pthread_mutex_t lock;
    /* under lock */
    struct lithops__redis_connection *idle[LITHOPS__REDIS_IDLE];
    size_t idle_count;
};

/* Send a command and wait for its reply, lithops__redis_end() when done with it. Every command is
 * one that may be sent twice: when a connection of the pool turns out to be dead, it is.
 * @param doing  for messages: what the command does, "cannot ..."
 * @return 0; EDENIED, ENOSPACE, EBACKEND, EUNSUPPORTED, ETIMEDOUT, ECANCELED, ENOMEM: then there is
 *         nothing to end */
struct lithops__redis_request {
    struct lithops__redis_connection *connection;
    struct lithops__resp reply;
};
int lithops__redis_begin(struct lithops__redis *redis, const char *doing,
                         const lithops_bytes *words, size_t count, const lithops_storage_op *op,
                         struct lithops__redis_request *ret_request);
void lithops__redis_end(struct lithops__redis *redis, struct lithops__redis_request *request);
void lithops__redis_close_idle(struct lithops__redis *redis);
/* Connect for the next request, as the first one would. What fails is that one's to tell. */
void lithops__redis_prepare(struct lithops__redis *redis, const lithops_storage_op *op);

/* A connection of its own that listens to a channel. As begin; ECONFIG never. */
int lithops__redis_subscribe(struct lithops__redis *redis, const char *channel,
                             const lithops_storage_op *op,
                             struct lithops__redis_connection **ret_connection);
/* Deliver what has been published, without waiting for more. EBACKEND, ENOMEM. */
int lithops__redis_hear(struct lithops__redis *redis, struct lithops__redis_connection *connection,
                        void (*deliver)(lithops_bytes message, void *user), void *user,
                        lithops_error *err);
int lithops__redis_fd(const struct lithops__redis *redis,
                      const struct lithops__redis_connection *connection);
void lithops__redis_disconnect(struct lithops__redis *redis,
                               struct lithops__redis_connection *connection); /* NULL is fine */

/* Shared by the files that make requests. */
int lithops__redis_connect(struct lithops__redis *redis, const lithops_storage_op *op,
                           struct lithops__redis_connection **ret_connection);
int lithops__redis_ask(struct lithops__redis *redis, struct lithops__redis_connection *connection,
                       const lithops_bytes *words, size_t count, const lithops_storage_op *op,
                       struct lithops__resp *ret_reply);
int lithops__redis_fail_reply(const struct lithops__redis *redis, const char *doing,
                              const struct lithops__resp *reply, const lithops_storage_op *op);
int lithops__redis_fail_broken(const struct lithops__redis *redis, lithops_error *err);

/* Slots in files of their own. */
int lithops__redis_describe(void *state, const char *bucket,
                            void (*say)(const char *what, int code, const char *detail, void *user),
                            void *user, const lithops_storage_op *op);
int lithops__redis_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                       const lithops_storage_op *op);
int lithops__redis_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                           const lithops_storage_op *op);
int lithops__redis_make_bucket(void *state, const char *bucket, const lithops_storage_op *op);
int lithops__redis_upload_begin(void *state, lithops_storage_upload *upload,
                                const lithops_storage_op *op);
int lithops__redis_upload_part(void *state, lithops_storage_upload *upload, size_t part,
                               lithops_bytes body, const lithops_storage_op *op);
int lithops__redis_upload_complete(void *state, const lithops_storage_upload *upload,
                                   const lithops_storage_op *op);
int lithops__redis_upload_abort(void *state, const lithops_storage_upload *upload,
                                const lithops_storage_op *op);
int lithops__redis_read(void *state, const char *bucket, const char *key,
                        lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                        size_t *ret_len, const lithops_storage_op *op);
int lithops__redis_head(void *state, const char *bucket, const char *key,
                        lithops_object_info *ret_info, const lithops_storage_op *op);
int lithops__redis_list(void *state, const char *bucket, const char *prefix, const char *after,
                        int (*visit)(const lithops_object_info *info, void *user), void *user,
                        const lithops_storage_op *op);
int lithops__redis_del(void *state, const char *bucket, const char *key,
                       const lithops_storage_op *op);
int lithops__redis_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                            const lithops_storage_op *op);

#endif
