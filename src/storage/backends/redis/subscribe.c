/* SPDX-License-Identifier: Apache-2.0 */
/* Listening to a channel. What is published comes unasked, several messages at a time or parts of
 * one, each as the array "message", channel, text. */
#include "base/error.h"
#include "storage/backends/redis/redis.h"

#include <string.h>

int lithops__redis_subscribe(struct lithops__redis *redis, const char *channel,
                             const lithops_storage_op *op,
                             struct lithops__redis_connection **ret_connection)
{
    const lithops_bytes words[] = {{"SUBSCRIBE", 9}, {channel, strlen(channel)}};
    struct lithops__redis_connection *connection = NULL;
    struct lithops__resp reply;
    int rc = lithops__redis_connect(redis, op, &connection);
    if (rc)
        return rc;
    rc = lithops__redis_ask(redis, connection, words, 2, op, &reply);
    if (rc == 0) {
        if (reply.type == LITHOPS__RESP_ERROR)
            rc = lithops__redis_fail_reply(redis, "listen to a channel", &reply, op);
        lithops__resp_free(&reply);
    }
    connection->received.len = 0;
    if (rc)
        lithops__redis_disconnect(redis, connection);
    else
        *ret_connection = connection;
    return rc;
}

/* Deliver the messages at the front, and keep what is left. */
static int deliver_all(const struct lithops__redis *redis, struct lithops__buffer *received,
                       void (*deliver)(lithops_bytes message, void *user), void *user,
                       lithops_error *err)
{
    size_t at = 0;
    enum lithops__resp_outcome outcome = LITHOPS__RESP_WHOLE;
    while (at < received->len && outcome == LITHOPS__RESP_WHOLE) {
        struct lithops__resp reply;
        size_t len, missing;
        const lithops_bytes rest = {received->data + at, received->len - at};
        outcome = lithops__resp_read_front(rest, &reply, &len, &missing);
        if (outcome != LITHOPS__RESP_WHOLE)
            break;
        if (reply.type == LITHOPS__RESP_ARRAY && reply.count == 3 && reply.items[0].text.len == 7 &&
            memcmp(reply.items[0].text.ptr, "message", 7) == 0)
            deliver(reply.items[2].text, user);
        lithops__resp_free(&reply);
        at += len;
    }
    if (at > 0)
        memmove(received->data, received->data + at, received->len - at);
    received->len -= at;
    return outcome == LITHOPS__RESP_BROKEN ? lithops__redis_fail_broken(redis, err) : 0;
}

int lithops__redis_hear(struct lithops__redis *redis, struct lithops__redis_connection *connection,
                        void (*deliver)(lithops_bytes message, void *user), void *user,
                        lithops_error *err)
{
    enum { PIECE = 64 << 10 };
    const struct lithops__bounds at_once = {.deadline_ns = 1};
    for (;;) {
        size_t got;
        lithops_error failure = LITHOPS_ERROR_INIT;
        void *room = lithops__buffer_reserve(&connection->received, PIECE);
        if (!room)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an answer of Redis");
        int rc = redis->tcp->receive(connection->tcp, room, PIECE, &got, &at_once, &failure);
        if (rc == LITHOPS_ETIMEDOUT)
            return 0;
        if (rc) {
            *err = failure;
            return rc;
        }
        connection->received.len += got;
        rc = deliver_all(redis, &connection->received, deliver, user, err);
        if (rc)
            return rc;
    }
}

int lithops__redis_fd(const struct lithops__redis *redis,
                      const struct lithops__redis_connection *connection)
{
    return redis->tcp->fd(connection->tcp);
}
