/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of a RabbitMQ server over librabbitmq, in a module of its own.
 *
 * The queue of an inbox is durable, since newer servers want that of queues which several
 * connections may use; the messages are not. It is deleted with its consumer, so also when a client
 * is killed, and an hour later where none came. It is not exclusive: a connection which has died
 * without the server's knowing would keep its successor out. */
#include "broker/amqp.h"

#include "base/error.h"
#include "net/certificates.h"

#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
    CHANNEL = 1,
    FRAME_BYTES = 128 << 10,
    PREFETCH = 256,   /* messages that are not acknowledged */
    CONNECT_S = 5,    /* for each step of it */
    HEARTBEAT_S = 10, /* that the server waits for one, twice */
    STALL_MS = 10000, /* that bytes may wait for the server to read them */
    EXPIRES_MS = 3600000,
};

struct lithops__amqp {
    amqp_connection_state_t connection;
    char *url; /* cut to pieces, which `info` has */
    struct amqp_connection_info info;
    char inbox[256];
};

/* ---- failures -------------------------------------------------------------------------------- */

/* What comes from the server is a text of its own, in which no password is. */
static int fail(const struct lithops__amqp *amqp, const char *doing, amqp_rpc_reply_t reply,
                lithops_error *err)
{
    char said[256] = "it closed the connection";
    int code = 0;
    const amqp_connection_close_t *close = reply.reply.decoded;
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        snprintf(said, sizeof said, "%s", amqp_error_string2(reply.library_error));
    } else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && close &&
               (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD ||
                reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)) {
        /* Both begin with the code and the text. */
        code = close->reply_code;
        snprintf(said, sizeof said, "%.*s", (int)close->reply_text.len,
                 (const char *)close->reply_text.bytes);
    }
    const char *advice = "";
    int means = LITHOPS_EBACKEND;
    switch (code ? code : reply.library_error) {
    case AMQP_ACCESS_REFUSED:
    case AMQP_NOT_ALLOWED:
        advice = "; check user, password and virtual host in 'amqp_url', special characters as %XX";
        means = LITHOPS_EDENIED;
        break;
    case AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
    case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
        advice = "; set 'ssl_ca_certs' in the section 'rabbitmq'";
        means = LITHOPS_EDENIED;
        break;
    case AMQP_STATUS_SSL_CONNECTION_FAILED:
        advice = "; check that the port in 'amqp_url' is the one for TLS";
        break;
    case AMQP_STATUS_SOCKET_ERROR:
    case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED:
    case AMQP_STATUS_TIMEOUT:
        advice = "; check 'amqp_url' in the section 'rabbitmq', and that the server runs";
        break;
    default:
        break;
    }
    return lithops__fail(
        err, means, "cannot %s RabbitMQ at %s:%d, virtual host '%s', as '%s': %s%s", doing,
        amqp->info.host, amqp->info.port, amqp->info.vhost, amqp->info.user, said, advice);
}

static int fail_status(const struct lithops__amqp *amqp, const char *doing, int status,
                       lithops_error *err)
{
    const amqp_rpc_reply_t reply = {.reply_type = AMQP_RESPONSE_LIBRARY_EXCEPTION,
                                    .library_error = status};
    return fail(amqp, doing, reply, err);
}

static int check_reply(const struct lithops__amqp *amqp, const char *doing, lithops_error *err)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(amqp->connection);
    return reply.reply_type == AMQP_RESPONSE_NORMAL ? 0 : fail(amqp, doing, reply, err);
}

/* ---- the URL --------------------------------------------------------------------------------- */

/* A query has settings of other clients. The path "/" alone means the virtual host "/", as other
 * clients have it. */
static int read_url(char *url, struct amqp_connection_info *ret_info, lithops_error *err)
{
    url[strcspn(url, "?#")] = '\0';
    if (amqp_parse_url(url, ret_info) != AMQP_STATUS_OK || !ret_info->host[0])
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "'amqp_url' in the section 'rabbitmq' is not a URL of AMQP: set it to "
                             "amqp://USER:PASSWORD@HOST:5672/VHOST, amqps:// for TLS, with any "
                             "special characters as %%XX");
    static char default_vhost[] = "/";
    if (!ret_info->vhost[0])
        ret_info->vhost = default_vhost;
    return 0;
}

static int check_url(const char *url, lithops_error *err)
{
    struct amqp_connection_info info;
    char *copy = strdup(url);
    int rc = copy ? read_url(copy, &info, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a URL");
    free(copy);
    return rc;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static amqp_socket_t *make_tls_socket(struct lithops__amqp *amqp,
                                      const struct lithops__amqp_target *target, lithops_error *err)
{
    amqp_socket_t *socket = amqp_ssl_socket_new(amqp->connection);
    if (!socket) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a connection");
        return NULL;
    }
    const char *file = target->authorities_file;
    if (!file)
        file = lithops__certificate_file("");
    if (!file && !target->any_certificate) {
        lithops__fail(err, LITHOPS_EDENIED,
                      "there are no certificates of trusted authorities: set 'ssl_ca_certs' in the "
                      "section 'rabbitmq'");
        return NULL;
    }
    amqp_ssl_socket_set_verify_peer(socket, !target->any_certificate);
    amqp_ssl_socket_set_verify_hostname(socket, !target->any_certificate);
    if (!target->any_certificate && amqp_ssl_socket_set_cacert(socket, file) != AMQP_STATUS_OK) {
        lithops__fail(err, LITHOPS_EDENIED,
                      "the certificates in '%s' cannot be read; set 'ssl_ca_certs' in the section "
                      "'rabbitmq'",
                      file);
        return NULL;
    }
    if (target->certificate_file &&
        amqp_ssl_socket_set_key(socket, target->certificate_file,
                                target->key_file ? target->key_file : target->certificate_file) !=
            AMQP_STATUS_OK) {
        lithops__fail(err, LITHOPS_EDENIED,
                      "the certificate '%s' and its key cannot be read; check 'ssl_certfile' and "
                      "'ssl_keyfile' in the section 'rabbitmq'",
                      target->certificate_file);
        return NULL;
    }
    return socket;
}

static int connect_to(struct lithops__amqp *amqp, const struct lithops__amqp_target *target,
                      lithops_error *err)
{
    const struct timeval limit = {.tv_sec = CONNECT_S};
    const unsigned stall_ms = STALL_MS;
    amqp_socket_t *socket =
        amqp->info.ssl ? make_tls_socket(amqp, target, err) : amqp_tcp_socket_new(amqp->connection);
    if (!socket)
        return amqp->info.ssl
                   ? err->code
                   : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a connection");
    (void)amqp_set_handshake_timeout(amqp->connection, &limit);
    (void)amqp_set_rpc_timeout(amqp->connection, &limit);
    int status = amqp_socket_open_noblock(socket, amqp->info.host, amqp->info.port, &limit);
    if (status != AMQP_STATUS_OK)
        return fail_status(amqp, "connect to", status, err);
    /* Or a server which does not read, for want of memory, would hold us for ever. */
    (void)setsockopt(amqp_get_sockfd(amqp->connection), IPPROTO_TCP, TCP_USER_TIMEOUT, &stall_ms,
                     sizeof stall_ms);
    /* The server is to say so when somebody deletes our queue. */
    amqp_table_entry_t cancels = {.key = amqp_cstring_bytes("consumer_cancel_notify"),
                                  .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
    amqp_table_entry_t can = {
        .key = amqp_cstring_bytes("capabilities"),
        .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {1, &cancels}}};
    const amqp_table_t properties = {1, &can};
    amqp_rpc_reply_t reply = amqp_login_with_properties(
        amqp->connection, amqp->info.vhost, 0, FRAME_BYTES, HEARTBEAT_S, &properties,
        AMQP_SASL_METHOD_PLAIN, amqp->info.user, amqp->info.password);
    return reply.reply_type == AMQP_RESPONSE_NORMAL ? 0 : fail(amqp, "log in to", reply, err);
}

static int listen_at(struct lithops__amqp *amqp, lithops_error *err)
{
    const amqp_bytes_t queue = amqp_cstring_bytes(amqp->inbox);
    amqp_table_entry_t expires = {
        .key = amqp_cstring_bytes("x-expires"),
        .value = {.kind = AMQP_FIELD_KIND_I32, .value = {.i32 = EXPIRES_MS}}};
    const amqp_table_t arguments = {1, &expires};
    amqp_channel_open(amqp->connection, CHANNEL);
    int rc = check_reply(amqp, "open a channel of", err);
    if (rc)
        return rc;
    amqp_queue_declare(amqp->connection, CHANNEL, queue, 0, 1, 0, 1, arguments);
    rc = check_reply(amqp, "make a queue of", err);
    if (rc)
        return rc;
    amqp_basic_qos(amqp->connection, CHANNEL, 0, PREFETCH, 0);
    rc = check_reply(amqp, "read a queue of", err);
    if (rc)
        return rc;
    amqp_basic_consume(amqp->connection, CHANNEL, queue, amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    return check_reply(amqp, "read a queue of", err);
}

static void close_amqp(struct lithops__amqp *amqp, bool is_well)
{
    const struct timeval limit = {.tv_sec = 1};
    if (!amqp)
        return;
    if (is_well) {
        (void)amqp_set_rpc_timeout(amqp->connection, &limit);
        amqp_queue_delete(amqp->connection, CHANNEL, amqp_cstring_bytes(amqp->inbox), 0, 0);
        if (amqp_get_rpc_reply(amqp->connection).reply_type == AMQP_RESPONSE_NORMAL)
            (void)amqp_connection_close(amqp->connection, AMQP_REPLY_SUCCESS);
    }
    if (amqp->connection)
        (void)amqp_destroy_connection(amqp->connection);
    if (amqp->url)
        explicit_bzero(amqp->url, strlen(amqp->url));
    free(amqp->url);
    free(amqp);
}

static int open_amqp(const struct lithops__amqp_target *target, const char *inbox,
                     struct lithops__amqp **ret, lithops_error *err)
{
    struct lithops__amqp *amqp = calloc(1, sizeof *amqp);
    if (!amqp)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a connection");
    snprintf(amqp->inbox, sizeof amqp->inbox, "%s", inbox);
    amqp->url = strdup(target->url);
    amqp->connection = amqp_new_connection();
    int rc = amqp->url && amqp->connection
                 ? read_url(amqp->url, &amqp->info, err)
                 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a connection");
    if (rc == 0)
        rc = connect_to(amqp, target, err);
    if (rc == 0)
        rc = listen_at(amqp, err);
    if (rc == 0)
        *ret = amqp;
    else
        close_amqp(amqp, false);
    return rc;
}

/* ---- messages -------------------------------------------------------------------------------- */

static int send_body(struct lithops__amqp *amqp, const char *inbox, lithops_bytes body,
                     lithops_error *err)
{
    const amqp_bytes_t bytes = {body.len, (void *)(uintptr_t)body.ptr};
    int status = amqp_basic_publish(amqp->connection, CHANNEL, amqp_empty_bytes,
                                    amqp_cstring_bytes(inbox), 0, 0, NULL, bytes);
    return status == AMQP_STATUS_OK ? 0 : fail_status(amqp, "send to", status, err);
}

/* Something that is no message. */
static int take_method(struct lithops__amqp *amqp, lithops_error *err)
{
    const struct timeval now = {0};
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame_noblock(amqp->connection, &frame, &now);
    if (status == AMQP_STATUS_TIMEOUT)
        return 0;
    if (status != AMQP_STATUS_OK)
        return fail_status(amqp, "hear from", status, err);
    if (frame.frame_type != AMQP_FRAME_METHOD)
        return 0;
    const amqp_rpc_reply_t reply = {.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION,
                                    .reply = frame.payload.method};
    switch (frame.payload.method.id) {
    case AMQP_CONNECTION_CLOSE_METHOD:
    case AMQP_CHANNEL_CLOSE_METHOD:
        return fail(amqp, "hear from", reply, err);
    case AMQP_BASIC_CANCEL_METHOD:
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "somebody has deleted the queue '%s' of RabbitMQ at %s:%d",
                             amqp->inbox, amqp->info.host, amqp->info.port);
    default:
        return 0;
    }
}

static int receive_all(struct lithops__amqp *amqp, void (*deliver)(lithops_bytes body, void *user),
                       void *user, lithops_error *err)
{
    const struct timeval now = {0};
    for (;;) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(amqp->connection);
        amqp_rpc_reply_t reply = amqp_consume_message(amqp->connection, &envelope, &now, 0);
        if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
            const amqp_bytes_t body = envelope.message.body;
            deliver((lithops_bytes){body.bytes, body.len}, user);
            int status = amqp_basic_ack(amqp->connection, CHANNEL, envelope.delivery_tag, 0);
            amqp_destroy_envelope(&envelope);
            if (status != AMQP_STATUS_OK)
                return fail_status(amqp, "hear from", status, err);
            continue;
        }
        bool is_library = reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION;
        if (is_library && reply.library_error == AMQP_STATUS_TIMEOUT)
            return 0;
        if (!is_library || reply.library_error != AMQP_STATUS_UNEXPECTED_STATE)
            return fail(amqp, "hear from", reply, err);
        int rc = take_method(amqp, err);
        if (rc)
            return rc;
    }
}

static int get_fd(const struct lithops__amqp *amqp)
{
    return amqp_get_sockfd(amqp->connection);
}

LITHOPS_PUBLIC extern const struct lithops__amqp_api lithops__amqp;
const struct lithops__amqp_api lithops__amqp = {
    .check = check_url,
    .open = open_amqp,
    .close = close_amqp,
    .send = send_body,
    .receive = receive_all,
    .fd = get_fd,
};
