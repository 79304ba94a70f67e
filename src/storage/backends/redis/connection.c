/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and their replies over a pool of connections; replies that are errors.
 *
 * A connection that fails is closed, and with it all that are idle: the server has probably gone,
 * and attempts that find one dead connection after the other would be used up by them. */
#include "base/error.h"
#include "storage/backends/redis/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD(text)                                                                                 \
    (lithops_bytes)                                                                                \
    {                                                                                              \
        (text), strlen(text)                                                                       \
    }

static struct lithops__bounds bounds_of(const lithops_storage_op *op)
{
    return (struct lithops__bounds){op->deadline_ns, op->interrupted, op->user};
}

/* ---- the pool -------------------------------------------------------------------------------- */

void lithops__redis_disconnect(struct lithops__redis *redis,
                               struct lithops__redis_connection *connection)
{
    if (!connection)
        return;
    redis->tcp->close(connection->tcp);
    lithops__buffer_deinit(&connection->received);
    free(connection);
}

void lithops__redis_close_idle(struct lithops__redis *redis)
{
    struct lithops__redis_connection *idle[LITHOPS__REDIS_IDLE];
    pthread_mutex_lock(&redis->lock);
    size_t count = redis->idle_count;
    memcpy(idle, redis->idle, count * sizeof *idle);
    redis->idle_count = 0;
    pthread_mutex_unlock(&redis->lock);
    for (size_t i = 0; i < count; i++)
        lithops__redis_disconnect(redis, idle[i]);
}

static struct lithops__redis_connection *take_idle(struct lithops__redis *redis)
{
    struct lithops__redis_connection *connection = NULL;
    pthread_mutex_lock(&redis->lock);
    if (redis->idle_count)
        connection = redis->idle[--redis->idle_count];
    pthread_mutex_unlock(&redis->lock);
    return connection;
}

static void keep_idle(struct lithops__redis *redis, struct lithops__redis_connection *connection)
{
    pthread_mutex_lock(&redis->lock);
    if (redis->idle_count < LITHOPS__REDIS_IDLE) {
        redis->idle[redis->idle_count++] = connection;
        connection = NULL;
    }
    pthread_mutex_unlock(&redis->lock);
    lithops__redis_disconnect(redis, connection);
}

void lithops__redis_end(struct lithops__redis *redis, struct lithops__redis_request *request)
{
    struct lithops__redis_connection *connection = request->connection;
    lithops__resp_free(&request->reply);
    request->connection = NULL;
    if (connection->received.capacity > 256 << 10) /* of a large reply */
        lithops__buffer_deinit(&connection->received);
    connection->received.len = 0;
    keep_idle(redis, connection);
}

void lithops__redis_prepare(struct lithops__redis *redis, const lithops_storage_op *op)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__redis_connection *connection;
    lithops_storage_op own = *op;
    own.err = &err;
    if (lithops__redis_connect(redis, &own, &connection) != 0)
        return;
    connection->received.len = 0;
    keep_idle(redis, connection);
}

/* ---- replies --------------------------------------------------------------------------------- */

int lithops__redis_fail_broken(const struct lithops__redis *redis, lithops_error *err)
{
    return lithops__fail(
        err, LITHOPS_EBACKEND, "the answer of %s:%u cannot be read; is that a Redis server%s?",
        redis->target.host, redis->target.port, redis->target.tls ? "" : ", without TLS");
}

static int receive_reply(struct lithops__redis *redis, struct lithops__redis_connection *connection,
                         const lithops_storage_op *op, struct lithops__resp *ret_reply)
{
    enum { PIECE = 64 << 10 };
    const struct lithops__bounds bounds = bounds_of(op);
    struct lithops__buffer *received = &connection->received;
    received->len = 0;
    for (size_t missing = 1;;) {
        size_t got, want = missing > PIECE ? missing : PIECE;
        void *room = lithops__buffer_reserve(received, want);
        if (!room)
            return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for an answer of Redis");
        int rc = redis->tcp->receive(connection->tcp, room, want, &got, &bounds, op->err);
        if (rc)
            return rc;
        received->len += got;
        if (got < missing) {
            missing -= got;
            continue;
        }
        switch (lithops__resp_read((lithops_bytes){received->data, received->len}, ret_reply,
                                   &missing)) {
        case LITHOPS__RESP_WHOLE:
            return 0;
        case LITHOPS__RESP_PARTIAL:
            break;
        case LITHOPS__RESP_BROKEN:
            return lithops__redis_fail_broken(redis, op->err);
        }
    }
}

static const struct {
    const char *says; /* somewhere: scripts put words before it */
    int means;
    bool passes;
    const char *advice;
} errors[] = {
    {"NOAUTH", LITHOPS_EDENIED, false, "; set the password in the section 'redis'"},
    {"unauthenticated", LITHOPS_EDENIED, false, "; set the password in the section 'redis'"},
    {"WRONGPASS", LITHOPS_EDENIED, false, "; check username and password"},
    {"invalid password", LITHOPS_EDENIED, false, "; check the password"},
    {"called without any password", LITHOPS_EDENIED, false, "; set no password"},
    {"NOPERM", LITHOPS_EDENIED, false,
     "; let the user run EVAL, SET, GETRANGE, HMGET, ZRANGEBYLEX and their kin on all keys"},
    {"OOM command not allowed", LITHOPS_ENOSPACE, false, "; raise maxmemory, or delete objects"},
    {"MISCONF", LITHOPS_ENOSPACE, false, NULL},
    {"READONLY", LITHOPS_EDENIED, false, "; name the primary, not a replica"},
    {"MOVED", LITHOPS_EUNSUPPORTED, false,
     "; the server belongs to a cluster, which is not supported: name a server that is none"},
    {"LITHOPS-EXISTS", LITHOPS_EEXIST, false, "; there is such an object"},
    {"LITHOPS-EXPIRED", LITHOPS_EBACKEND, true, NULL},
    {"LOADING", LITHOPS_EBACKEND, true, NULL},
    {"BUSY", LITHOPS_EBACKEND, true, NULL},
    {"MASTERDOWN", LITHOPS_EBACKEND, true, NULL},
    {"TRYAGAIN", LITHOPS_EBACKEND, true, NULL},
    {"CLUSTERDOWN", LITHOPS_EBACKEND, true, NULL},
    {"max number of clients", LITHOPS_ETHROTTLED, true, "; raise maxclients"},
};

int lithops__redis_fail_reply(const struct lithops__redis *redis, const char *doing,
                              const struct lithops__resp *reply, const lithops_storage_op *op)
{
    int means = LITHOPS_EBACKEND, len = (int)(reply->text.len < 300 ? reply->text.len : 300);
    bool passes = false;
    const char *advice = "";
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (memmem(reply->text.ptr, reply->text.len, errors[i].says, strlen(errors[i].says))) {
            means = errors[i].means;
            passes = errors[i].passes;
            advice = errors[i].advice ? errors[i].advice : "";
            break;
        }
    lithops__fail(op->err, means, "cannot %s: Redis at %s:%u answers: %.*s%s", doing,
                  redis->target.host, redis->target.port, len, (const char *)reply->text.ptr,
                  advice);
    op->err->retryable = passes;
    return means;
}

/* ---- commands -------------------------------------------------------------------------------- */

/* A long last word goes out from where it is. */
static int send_command(struct lithops__redis *redis, struct lithops__redis_connection *connection,
                        const lithops_bytes *words, size_t count, const lithops_storage_op *op)
{
    enum { LONG = 16 << 10 };
    const struct lithops__bounds bounds = bounds_of(op);
    struct lithops__buffer *out = &connection->received; /* not in use now */
    bool is_long = words[count - 1].len > LONG;
    out->len = 0;
    lithops__resp_write(out, words, count, is_long);
    if (out->failed)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a request to Redis");
    int rc =
        redis->tcp->send(connection->tcp, (lithops_bytes){out->data, out->len}, &bounds, op->err);
    if (rc == 0 && is_long)
        rc = redis->tcp->send(connection->tcp, words[count - 1], &bounds, op->err);
    if (rc == 0 && is_long)
        rc = redis->tcp->send(connection->tcp, (lithops_bytes){"\r\n", 2}, &bounds, op->err);
    return rc;
}

int lithops__redis_ask(struct lithops__redis *redis, struct lithops__redis_connection *connection,
                       const lithops_bytes *words, size_t count, const lithops_storage_op *op,
                       struct lithops__resp *ret_reply)
{
    int rc = send_command(redis, connection, words, count, op);
    return rc ? rc : receive_reply(redis, connection, op, ret_reply);
}

static int greet_with(struct lithops__redis *redis, struct lithops__redis_connection *connection,
                      const lithops_bytes *words, size_t count, const lithops_storage_op *op)
{
    struct lithops__resp reply;
    int rc = lithops__redis_ask(redis, connection, words, count, op, &reply);
    if (rc)
        return rc;
    if (reply.type == LITHOPS__RESP_ERROR)
        rc = lithops__redis_fail_reply(redis, "log in", &reply, op);
    lithops__resp_free(&reply);
    return rc;
}

int lithops__redis_connect(struct lithops__redis *redis, const lithops_storage_op *op,
                           struct lithops__redis_connection **ret_connection)
{
    const struct lithops__bounds bounds = bounds_of(op);
    struct lithops__redis_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a connection");
    char db[24];
    snprintf(db, sizeof db, "%lld", (long long)redis->db);
    int rc = redis->tcp->open(&redis->target, &bounds, &connection->tcp, op->err);
    if (rc == 0 && redis->password) {
        const lithops_bytes words[] = {WORD("AUTH"),
                                       WORD(redis->username ? redis->username : redis->password),
                                       WORD(redis->password)};
        rc = greet_with(redis, connection, words, redis->username ? 3 : 2, op);
        if (connection->received.data)
            explicit_bzero(connection->received.data, connection->received.capacity);
    }
    if (rc == 0 && redis->db) {
        const lithops_bytes words[] = {WORD("SELECT"), WORD(db)};
        rc = greet_with(redis, connection, words, 2, op);
    }
    if (rc)
        lithops__redis_disconnect(redis, connection);
    else
        *ret_connection = connection;
    return rc;
}

int lithops__redis_begin(struct lithops__redis *redis, const char *doing,
                         const lithops_bytes *words, size_t count, const lithops_storage_op *op,
                         struct lithops__redis_request *ret_request)
{
    struct lithops__redis_connection *connection = take_idle(redis);
    struct lithops__resp reply;
    int rc = -1;
    if (connection) {
        rc = lithops__redis_ask(redis, connection, words, count, op, &reply);
        if (rc) {
            lithops__redis_disconnect(redis, connection);
            lithops__redis_close_idle(redis);
            if (!op->err->retryable)
                return rc;
            *op->err = (lithops_error)LITHOPS_ERROR_INIT;
        }
    }
    if (rc) {
        rc = lithops__redis_connect(redis, op, &connection);
        if (rc)
            return rc;
        rc = lithops__redis_ask(redis, connection, words, count, op, &reply);
        if (rc) {
            lithops__redis_disconnect(redis, connection);
            return rc;
        }
    }
    if (reply.type != LITHOPS__RESP_ERROR) {
        *ret_request = (struct lithops__redis_request){connection, reply};
        return 0;
    }
    rc = lithops__redis_fail_reply(redis, doing, &reply, op);
    struct lithops__redis_request request = {connection, reply};
    lithops__redis_end(redis, &request);
    return rc;
}
