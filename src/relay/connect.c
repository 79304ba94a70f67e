/* SPDX-License-Identifier: Apache-2.0 */
/* Making a link and ending it: the backend's work, and the carrier's where a storage carries its
 * bytes. Both may take long, and happen on any thread. */
#include "relay/link.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The carrier has a link's bytes, the backend only starts the worker. */
static int invoke(struct lithops__link *link, lithops_link *ret_wire, lithops_error *err)
{
    struct lithops__relay *relay = link->relay;
    char key[LITHOPS__CARRIER_KEY], how[8] = "";
    int fd;
    int rc = lithops__carrier_connect(relay->carrier, link->worker, key, &fd, err);
    if (rc != 0)
        return rc;
    rc = relay->driver->ops->invoke(relay->state, link->worker, key,
                                    lithops__carrier_config(relay->carrier), link->start.cancel_fd,
                                    ret_wire, err);
    ret_wire->read_fd = ret_wire->write_fd = fd;
    if (rc != 0) {
        close(fd);
        lithops__carrier_disconnect(relay->carrier, link->worker, how, sizeof how);
    }
    return rc;
}

int lithops__link_connect(struct lithops__link *link, lithops_link *ret_wire, lithops_error *err)
{
    const struct lithops__relay *relay = link->relay;
    if (relay->carrier)
        return invoke(link, ret_wire, err);
    return relay->driver->ops->connect(relay->state, link->worker, link->start.cancel_fd, ret_wire,
                                       err);
}

void lithops__link_told(const struct lithops__link *link)
{
    const struct lithops__relay *relay = link->relay;
    if (relay->carrier && relay->workers.ends_when_told)
        lithops__carrier_told(relay->carrier, link->worker);
}

void lithops__link_disconnect(struct lithops__link *link, const lithops_link *wire, char *ret_how,
                              size_t size)
{
    struct lithops__relay *relay = link->relay;
    char broken[sizeof((lithops_error *)0)->message + 32] = "";
    bool tells = relay->carrier && relay->workers.ends_when_told;
    if (tells) /* before it may hear of it otherwise: then it looks for BYE once more */
        lithops__carrier_disconnect(relay->carrier, link->worker, broken, sizeof broken);
    relay->driver->ops->disconnect(relay->state, wire, ret_how, size);
    size_t len = strlen(ret_how);
    if (broken[0])
        snprintf(ret_how + len, size - len, "%s%s", len ? "; " : "", broken);
    if (relay->carrier && !tells)
        lithops__carrier_disconnect(relay->carrier, link->worker, ret_how, size);
}
