/* SPDX-License-Identifier: Apache-2.0 */
/* Redis: an inbox is a channel, to which one connection subscribes; another one publishes. The
 * settings are those of the storage backend. A channel leaves nothing behind. */
#include "storage/backends/redis/redis.h"
#include "base/error.h"
#include "broker/driver.h"
#include "storage/drivers.h"

#include <string.h>

struct subscriber {
    struct lithops__redis redis;
    struct lithops__redis_connection *connection; /* which has subscribed */
};

static int subscriber_open(void *state, const lithops_value *settings, lithops_error *err)
{
    struct subscriber *subscriber = state;
    unsigned pause;
    const lithops_storage_op op = {.deadline_ns = UINT64_MAX, .err = err, .retry_after_s = &pause};
    return lithops__storage_redis.ops->open(&subscriber->redis, settings, &op);
}

static void subscriber_close(void *state)
{
    struct subscriber *subscriber = state;
    lithops__storage_redis.ops->close(&subscriber->redis);
}

static lithops_storage_op op_of(const struct lithops__bounds *bounds, lithops_error *err)
{
    static _Thread_local unsigned pause; /* never asked for by a broker's server */
    return (lithops_storage_op){.deadline_ns = bounds->deadline_ns,
                                .interrupted = bounds->interrupted,
                                .user = bounds->user,
                                .err = err,
                                .retry_after_s = &pause};
}

static int subscriber_connect(void *state, const char *inbox, const struct lithops__bounds *bounds,
                              lithops_error *err)
{
    struct subscriber *subscriber = state;
    const lithops_storage_op op = op_of(bounds, err);
    int rc = lithops__redis_subscribe(&subscriber->redis, inbox, &op, &subscriber->connection);
    if (rc == 0)
        lithops__redis_prepare(&subscriber->redis, &op); /* to publish, before somebody waits */
    return rc;
}

static void subscriber_disconnect(void *state)
{
    struct subscriber *subscriber = state;
    lithops__redis_disconnect(&subscriber->redis, subscriber->connection);
    lithops__redis_close_idle(&subscriber->redis);
    subscriber->connection = NULL;
}

static int subscriber_send(void *state, const char *inbox, lithops_bytes notice,
                           const struct lithops__bounds *bounds, lithops_error *err)
{
    struct subscriber *subscriber = state;
    const lithops_storage_op op = op_of(bounds, err);
    const lithops_bytes words[] = {{"PUBLISH", 7}, {inbox, strlen(inbox)}, notice};
    struct lithops__redis_request request;
    int rc = lithops__redis_begin(&subscriber->redis, "publish", words, 3, &op, &request);
    if (rc == 0)
        lithops__redis_end(&subscriber->redis, &request);
    return rc;
}

static int subscriber_receive(void *state, void (*deliver)(lithops_bytes notice, void *user),
                              void *user, const struct lithops__bounds *bounds, lithops_error *err)
{
    struct subscriber *subscriber = state;
    (void)bounds; /* it does not wait */
    return lithops__redis_hear(&subscriber->redis, subscriber->connection, deliver, user, err);
}

static int subscriber_fd(void *state)
{
    struct subscriber *subscriber = state;
    return lithops__redis_fd(&subscriber->redis, subscriber->connection);
}

const struct lithops__broker_driver lithops__broker_redis = {
    .name = "redis",
    .state_size = sizeof(struct subscriber),
    .open = subscriber_open,
    .close = subscriber_close,
    .connect = subscriber_connect,
    .disconnect = subscriber_disconnect,
    .send = subscriber_send,
    .receive = subscriber_receive,
    .fd = subscriber_fd,
    .beat_ms = 60000,
};
