/* SPDX-License-Identifier: Apache-2.0 */
/* What a kind of broker implements. All functions but open and close are called by one thread. */
#ifndef LITHOPS_BROKER_DRIVER_H
#define LITHOPS_BROKER_DRIVER_H

#include "base/retry.h"
#include "broker/broker.h"

#include <lithops/error.h>
#include <lithops/value.h>

struct lithops__broker_driver {
    const char *name; /* of `monitoring`, and of the section */
    size_t state_size;
    size_t longest; /* bytes of a notice; 0: LITHOPS__BROKER_NOTICE */
    /* Other sections whose keys stand for those that the own one lacks, the first one first; ends
     * with NULL. May be NULL. */
    const char *const *sections;
    /* Read the section, which may be NULL; no request. The state is zeroed. ECONFIG names the key
     * that is wrong; EUNSUPPORTED, ENOMEM. */
    int (*open)(void *state, const lithops_value *settings, lithops_error *err);
    void (*close)(void *state); /* also of one that did not open; it is not connected */
    /* Connect, and listen at `inbox`. A failure names the server, and never a password. */
    int (*connect)(void *state, const char *inbox, const struct lithops__bounds *bounds,
                   lithops_error *err);
    /* Leave nothing of the inbox, as far as the server can be reached. */
    void (*disconnect)(void *state);
    /* After a failure of this one or of the next two, disconnect is called. */
    int (*send)(void *state, const char *inbox, lithops_bytes notice,
                const struct lithops__bounds *bounds, lithops_error *err);
    /* Begin to delete the inbox of somebody who is gone. NULL: such an inbox deletes itself. */
    int (*drop)(void *state, const char *inbox, const struct lithops__bounds *bounds,
                lithops_error *err);
    /* Deliver what has come, without waiting for more. */
    int (*receive)(void *state, void (*deliver)(lithops_bytes notice, void *user), void *user,
                   const struct lithops__bounds *bounds, lithops_error *err);
    /* Readable when something may have come. */
    int (*fd)(void *state);
    /* `receive` is to be called so often though nothing comes: */
    unsigned beat_ms;
    unsigned (*wait_ms)(void *state); /* or then, from now on, where there is this */
    /* Delete (with dry_run: only count) what killed clients have left at the server. May be NULL:
     * they leave nothing. Needs no state. Adds to *ret_removed. */
    int (*clean)(const lithops_value *settings, bool dry_run, uint64_t *ret_removed,
                 lithops_error *err);
};

/* As lithops__broker_open(), of the driver whose section is `settings`. */
int lithops__broker_start(const struct lithops__broker_driver *driver,
                          const lithops_value *settings, const char *inbox,
                          const struct lithops__broker_events *events, struct lithops__broker **ret,
                          lithops_error *err);

extern const struct lithops__broker_driver lithops__broker_redis, lithops__broker_rabbitmq,
    lithops__broker_azure_queue, lithops__broker_aws_sqs, lithops__broker_gcp_pubsub;

#endif
