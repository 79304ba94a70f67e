/* SPDX-License-Identifier: Apache-2.0 */
/* Notices through a message broker, for those who otherwise see each other in a storage only: what
 * would be found there at the next look is known at once.
 *
 * A notice may be lost, or come twice: the storage has the truth, and whoever waits looks there,
 * too. So nothing here fails once a broker is open. While the server is away, notices are dropped,
 * and a connection is tried again and again; the log says so, once.
 *
 * All functions are thread-safe. */
#ifndef LITHOPS_BROKER_H
#define LITHOPS_BROKER_H

#include "config/config.h"

#include <lithops/error.h>

struct lithops__broker;

/* Called by the broker's thread. */
struct lithops__broker_events {
    /* A notice has come. It is acknowledged when this returns. */
    void (*notice)(lithops_bytes notice, void *user);
    /* The server is away: what is sent now does not come. */
    void (*lost)(void *user);
    void *user;
};

enum { LITHOPS__BROKER_NOTICE = 96 << 10 }; /* bytes of one at most */

/* The section of the broker that `lithops: monitoring` names; NULL: it names none. */
const char *lithops__broker_section(const struct lithops__config *config);
/* What it says, with what other sections say in its place, for the caller to free; empty: nothing.
 * NULL: out of memory. It may hold secrets. */
lithops_value *lithops__broker_settings(const struct lithops__config *config);
/* Open it, which connects in a thread. *ret is NULL where there is none. `inbox` is the name under
 * which notices are sent to us; it is gone with the broker. ECONFIG, EUNSUPPORTED (the module is
 * missing), ENOMEM. */
int lithops__broker_open(const struct lithops__config *config, const char *inbox,
                         const struct lithops__broker_events *events, struct lithops__broker **ret,
                         lithops_error *err);
/* Bytes of a notice that it carries at most. */
size_t lithops__broker_longest(const struct lithops__broker *broker);
/* Send a notice to somebody's inbox. Never waits for the server. */
void lithops__broker_send(struct lithops__broker *broker, const char *inbox, lithops_bytes notice);
/* Whether there are inboxes that their owners leave behind. */
bool lithops__broker_drops(const struct lithops__broker *broker);
/* The owner of this inbox is gone, and may have left it behind: delete it, as far as the server can
 * be reached. Never waits for it. */
void lithops__broker_drop(struct lithops__broker *broker, const char *inbox);
/* Sends what is left, but not for longer than a second or two; deletes the inbox of a service that
 * keeps it, but not for longer than seven. NULL is fine. */
void lithops__broker_close(struct lithops__broker *broker);

/* Delete (with dry_run: only count) the queues that clients have left at the broker's server, those
 * of clients that live, too: they make new ones. Adds to *ret_removed. EDENIED, EBACKEND, ... */
int lithops__broker_clean(const struct lithops__config *config, bool dry_run, uint64_t *ret_removed,
                          lithops_error *err);

#endif
