/* SPDX-License-Identifier: Apache-2.0 */
/* What a backend whose workers are reached over links offers to the client's threads: to carry the
 * messages of a call themselves, where handing it to the backend's thread and back would take
 * longer than the call. */
#ifndef LITHOPS_IPC_SERVICE_H
#define LITHOPS_IPC_SERVICE_H

#include "ipc/table.h"

struct lithops__service {
    /* send - calls were offered. True: they are on their way. Must not block. */
    bool (*send)(void *user);
    /* serve - do what the backend's thread does, for some milliseconds at most. Returns when
     * is_done(what), or the deadline is over, or at once where this is not the time for it. */
    void (*serve)(void *user, bool (*is_done)(void *what), void *what, uint64_t deadline_ns);
};

/* Before anybody uses the table. */
void lithops__service_set(struct lithops__table *table, const struct lithops__service *service,
                          void *user);
/* From now on nobody uses it; those that do are waited for. */
void lithops__service_end(struct lithops__table *table);

/* Calls were offered: see that they run. Without the table's lock. */
void lithops__service_offered(struct lithops__table *table);
/* For who is going to wait. Without the table's lock. */
void lithops__service_wait(struct lithops__table *table, bool (*is_done)(void *what), void *what,
                           uint64_t deadline_ns);

#endif
