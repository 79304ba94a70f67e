/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the compute backends that reach workers over links: everything but the links. Their
 * state is a struct lithops__linked, their slots are those below, and each has its own `open`. */
#ifndef LITHOPS_COMPUTE_LINKED_H
#define LITHOPS_COMPUTE_LINKED_H

#include "compute/compute.h"
#include "relay/relay.h"

struct lithops__linked {
    struct lithops__relay *relay;
};

/* Slots of struct lithops__compute_ops. */
void lithops__linked_close(void *state);
void lithops__linked_offered(void *state, uint32_t range, uint64_t calls);
void lithops__linked_cancel(void *state, uint32_t range, uint64_t begin, uint64_t end);

/* The section of a backend, with what the section `standalone`, or that of its provider (as `ibm`
 * is of ibm_cf), says and it does not. NULL: out of memory */
lithops_value *lithops__linked_settings(const struct lithops__config *config, const char *section);
/* Open a relay over `driver`, whose settings are the section of its name. */
int lithops__linked_open(void *state, const lithops_link_driver *driver,
                         struct lithops__table *table, const struct lithops__config *config,
                         const char *const *worker_command, lithops_error *err);
/* Capacity of that many workers; the section has the key shared_memory. */
void lithops__linked_capacity(const struct lithops__config *config, const char *section,
                              const char *memory_key, uint32_t workers,
                              struct lithops__capacity *ret_capacity);

/* Path of the lithops command that belongs to this library; if it is not found, "lithops", to be
 * searched on PATH. */
void lithops__own_command(char *buf, size_t size);

#endif
