/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a RabbitMQ server: the module "rabbitmq" (librabbitmq).
 *
 *     const struct lithops__amqp_api *amqp = lithops__module_symbol("rabbitmq", "lithops__amqp",
 * err);
 *
 * A connection is for one thread at a time. After a failure it is good for nothing but closing. */
#ifndef LITHOPS_BROKER_AMQP_H
#define LITHOPS_BROKER_AMQP_H

#include <lithops/base.h>
#include <lithops/error.h>

struct lithops__amqp;

/* Strings are borrowed during the call; NULL: the default. */
struct lithops__amqp_target {
    const char *url;
    bool any_certificate;                    /* that of the server is not verified */
    const char *authorities_file;            /* of trusted authorities */
    const char *certificate_file, *key_file; /* of this client */
};

struct lithops__amqp_api {
    /* ECONFIG: not a URL of AMQP. */
    int (*check)(const char *url, lithops_error *err);
    /* Connect, and make the queue `inbox`, which the server deletes when the connection is over.
     * Gives up after some seconds. EDENIED (user, password, virtual host, certificate), EBACKEND.
     */
    int (*open)(const struct lithops__amqp_target *target, const char *inbox,
                struct lithops__amqp **ret, lithops_error *err);
    /* `is_well`: nothing has failed, so say goodbye. NULL is fine. */
    void (*close)(struct lithops__amqp *amqp, bool is_well);
    /* To the queue `inbox`; if there is none, the server drops it. EBACKEND. */
    int (*send)(struct lithops__amqp *amqp, const char *inbox, lithops_bytes body,
                lithops_error *err);
    /* Deliver and acknowledge what has come, without waiting for more. EBACKEND. */
    int (*receive)(struct lithops__amqp *amqp, void (*deliver)(lithops_bytes body, void *user),
                   void *user, lithops_error *err);
    int (*fd)(const struct lithops__amqp *amqp);
};

enum { LITHOPS__AMQP_BEAT_MS = 5000 }; /* receive is to be called so often */

#endif
