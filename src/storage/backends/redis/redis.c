/* SPDX-License-Identifier: Apache-2.0 */
/* The Redis backend: its settings, named as upstream's client has them, and its driver. */
#include "storage/backends/redis/redis.h"

#include "base/error.h"
#include "base/module.h"
#include "net/http.h"
#include "storage/storage.h"

#include <lithops/plugin/config.h>

#include <stdlib.h>
#include <string.h>

static const char *text_of(const lithops_value *settings, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : NULL;
}

static long milliseconds(const lithops_value *settings, const char *name)
{
    double seconds = lithops_value_get_double(lithops_value_get(settings, name));
    return seconds > 0 ? (long)(seconds * 1000) + 1 : 0;
}

static void take_settings(struct lithops__redis *redis)
{
    const lithops_value *settings = redis->settings;
    const char *verify = text_of(settings, "ssl_cert_reqs");
    const lithops_value *check_host = lithops_value_get(settings, "ssl_check_hostname");
    redis->username = text_of(settings, "username");
    redis->password = text_of(settings, "password");
    redis->db = lithops_value_get_int(lithops_value_get(settings, "db"));
    redis->target = (struct lithops__tcp_target){
        .host = text_of(settings, "host"),
        .port = (unsigned)lithops_value_get_int(lithops_value_get(settings, "port")),
        .unix_path = text_of(settings, "unix_socket_path"),
        .tls = lithops_value_get_bool(lithops_value_get(settings, "ssl")),
        .any_certificate = verify && strcmp(verify, "none") == 0,
        .any_host = check_host && !lithops_value_get_bool(check_host),
        .authorities_file = text_of(settings, "ssl_ca_certs"),
        .authorities_folder = text_of(settings, "ssl_ca_path"),
        .certificate_file = text_of(settings, "ssl_certfile"),
        .key_file = text_of(settings, "ssl_keyfile"),
        .key_password = text_of(settings, "ssl_password"),
        .connect_timeout_ms = milliseconds(settings, "socket_connect_timeout"),
        .stall_timeout_ms = milliseconds(settings, "socket_timeout")};
    if (!redis->target.host && redis->target.unix_path)
        redis->target.host = "localhost";
}

static int redis_open(void *state, const lithops_value *settings, const lithops_storage_op *op)
{
    struct lithops__redis *redis = state;
    pthread_mutex_init(&redis->lock, NULL);
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", op->err);
    if (!http)
        return LITHOPS_EUNSUPPORTED;
    redis->tcp = &http->tcp;
    redis->settings = settings ? lithops_value_copy(settings) : lithops_value_map();
    if (!redis->settings)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a storage handle");
    take_settings(redis);
    if (!redis->target.host)
        return lithops__fail(op->err, LITHOPS_ECONFIG,
                             "storage backend 'redis' needs a host; set it in its section");
    return 0;
}

static void redis_close(void *state)
{
    struct lithops__redis *redis = state;
    lithops__redis_close_idle(redis);
    pthread_mutex_destroy(&redis->lock);
    lithops_value_free(redis->settings);
}

#define TEXT(name_, help_)                                                                         \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_STRING, .help = (help_)                               \
    }
#define SECRET(name_, help_)                                                                       \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_STRING, .secret = true, .help = (help_)               \
    }
#define SECONDS(name_, help_)                                                                      \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_DOUBLE, .min = 0, .max = 86400, .help = (help_)       \
    }
#define INERT(name_, help_)                                                                        \
    {                                                                                              \
        .name = (name_), .type = LITHOPS_KEY_ANY, .inert = true, .help = (help_)                   \
    }

static const lithops_config_key redis_keys[] = {
    TEXT("storage_bucket", "Bucket for Lithops' own data. Default: storage."),
    TEXT("host", "Host of the server."),
    {.name = "port",
     .type = LITHOPS_KEY_INT,
     .fallback = "6379",
     .min = 1,
     .max = 65535,
     .help = "Its port."},
    SECRET("password", "Password, if the server wants one."),
    TEXT("username", "User, where the server has some. Default: the one that it calls default."),
    {.name = "db",
     .type = LITHOPS_KEY_INT,
     .fallback = "0",
     .min = 0,
     .max = 1e6,
     .help = "Number of the database."},
    TEXT("unix_socket_path", "Socket of a server of this machine, in place of host and port."),
    {.name = "ssl", .type = LITHOPS_KEY_BOOL, .fallback = "false", .help = "Whether to use TLS."},
    TEXT("ssl_ca_certs", "File with the certificates of trusted authorities. Default: the "
                         "system's."),
    TEXT("ssl_ca_path", "Folder with the certificates of trusted authorities."),
    TEXT("ssl_certfile", "File with the certificate of this client, if the server wants one."),
    TEXT("ssl_keyfile", "File with its key."),
    SECRET("ssl_password", "Password of that file."),
    {.name = "ssl_cert_reqs",
     .type = LITHOPS_KEY_STRING,
     .fallback = "required",
     .choices = "none|optional|required",
     .help = "Whether the server's certificate must be valid; not with none."},
    {.name = "ssl_check_hostname",
     .type = LITHOPS_KEY_BOOL,
     .fallback = "true",
     .help = "Whether the certificate must be for this host."},
    SECONDS("socket_timeout", "Seconds without a byte after which a request has failed. Default: "
                              "60."),
    SECONDS("socket_connect_timeout", "Seconds for making a connection. Default: 10."),
    INERT("socket_keepalive", "Of upstream's client; connections are always kept alive."),
    INERT("retry_on_timeout", "Of upstream's client; requests are always tried again."),
    INERT("max_connections", "Of upstream's client; there are as many as requests at once."),
    INERT("health_check_interval", "Of upstream's client; a dead connection is always replaced."),
    INERT("decode_responses", "Of upstream's client; objects are bytes."),
    INERT("encoding", "Of upstream's client; objects are bytes."),
    INERT("encoding_errors", "Of upstream's client; objects are bytes."),
    INERT("client_name", "Of upstream's client."),
    INERT("protocol", "Of upstream's client; version 2 is spoken, which every server knows."),
    {.name = NULL},
};

static const lithops_storage_ops redis_ops = {
    .open = redis_open,
    .close = redis_close,
    .put = lithops__redis_put,
    .put_new = lithops__redis_put_new,
    .upload_begin = lithops__redis_upload_begin,
    .upload_part = lithops__redis_upload_part,
    .upload_complete = lithops__redis_upload_complete,
    .upload_abort = lithops__redis_upload_abort,
    .read = lithops__redis_read,
    .head = lithops__redis_head,
    .list = lithops__redis_list,
    .del = lithops__redis_del,
    .del_many = lithops__redis_del_many,
    .make_bucket = lithops__redis_make_bucket,
    .describe = lithops__redis_describe,
};

const lithops_storage_driver lithops__storage_redis = {
    .abi = LITHOPS_STORAGE_ABI,
    .name = "redis",
    .summary = "Objects in a Redis server.",
    .state_size = sizeof(struct lithops__redis),
    .ops = &redis_ops,
    .config_keys = redis_keys,
};
