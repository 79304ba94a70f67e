/* SPDX-License-Identifier: Apache-2.0 */
/* RabbitMQ: its section, and what the module says in the terms of a driver. */
#include "base/error.h"
#include "base/module.h"
#include "broker/amqp.h"
#include "broker/driver.h"

#include <stdlib.h>
#include <string.h>

struct rabbitmq {
    const struct lithops__amqp_api *api;
    lithops_value *settings; /* a copy of the section */
    struct lithops__amqp_target target;
    struct lithops__amqp *amqp;
    bool is_broken;
};

static const char *text_of(const lithops_value *settings, const char *name)
{
    const char *text = lithops_value_get_string(lithops_value_get(settings, name));
    return text && *text ? text : NULL;
}

static int rabbitmq_open(void *state, const lithops_value *settings, lithops_error *err)
{
    struct rabbitmq *rabbitmq = state;
    if (!settings || !text_of(settings, "amqp_url"))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "'monitoring: rabbitmq' needs the server's URL: set 'amqp_url' in the "
                             "section 'rabbitmq', as amqp://USER:PASSWORD@HOST:5672/VHOST");
    rabbitmq->api = lithops__module_symbol("rabbitmq", "lithops__amqp", err);
    if (!rabbitmq->api)
        return LITHOPS_EUNSUPPORTED;
    rabbitmq->settings = lithops_value_copy(settings);
    if (!rabbitmq->settings)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    const char *verify = text_of(rabbitmq->settings, "ssl_cert_reqs");
    rabbitmq->target = (struct lithops__amqp_target){
        .url = text_of(rabbitmq->settings, "amqp_url"),
        .any_certificate = verify && strcmp(verify, "none") == 0,
        .authorities_file = text_of(rabbitmq->settings, "ssl_ca_certs"),
        .certificate_file = text_of(rabbitmq->settings, "ssl_certfile"),
        .key_file = text_of(rabbitmq->settings, "ssl_keyfile")};
    return rabbitmq->api->check(rabbitmq->target.url, err);
}

static void rabbitmq_close(void *state)
{
    struct rabbitmq *rabbitmq = state;
    lithops_value_free(rabbitmq->settings);
}

static int rabbitmq_connect(void *state, const char *inbox, const struct lithops__bounds *bounds,
                            lithops_error *err)
{
    struct rabbitmq *rabbitmq = state;
    (void)bounds; /* the module has its own */
    rabbitmq->is_broken = false;
    return rabbitmq->api->open(&rabbitmq->target, inbox, &rabbitmq->amqp, err);
}

static void rabbitmq_disconnect(void *state)
{
    struct rabbitmq *rabbitmq = state;
    rabbitmq->api->close(rabbitmq->amqp, !rabbitmq->is_broken);
    rabbitmq->amqp = NULL;
}

static int rabbitmq_send(void *state, const char *inbox, lithops_bytes notice,
                         const struct lithops__bounds *bounds, lithops_error *err)
{
    struct rabbitmq *rabbitmq = state;
    (void)bounds;
    int rc = rabbitmq->api->send(rabbitmq->amqp, inbox, notice, err);
    rabbitmq->is_broken = rc != 0;
    return rc;
}

static int rabbitmq_receive(void *state, void (*deliver)(lithops_bytes notice, void *user),
                            void *user, const struct lithops__bounds *bounds, lithops_error *err)
{
    struct rabbitmq *rabbitmq = state;
    (void)bounds;
    int rc = rabbitmq->api->receive(rabbitmq->amqp, deliver, user, err);
    rabbitmq->is_broken = rc != 0;
    return rc;
}

static int rabbitmq_fd(void *state)
{
    const struct rabbitmq *rabbitmq = state;
    return rabbitmq->api->fd(rabbitmq->amqp);
}

const struct lithops__broker_driver lithops__broker_rabbitmq = {
    .name = "rabbitmq",
    .state_size = sizeof(struct rabbitmq),
    .open = rabbitmq_open,
    .close = rabbitmq_close,
    .connect = rabbitmq_connect,
    .disconnect = rabbitmq_disconnect,
    .send = rabbitmq_send,
    .receive = rabbitmq_receive,
    .fd = rabbitmq_fd,
    .beat_ms = LITHOPS__AMQP_BEAT_MS,
};
