/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the compute backends that reach workers over links: everything but the links. Their
 * state is a struct lithops__linked, and their slots those below, for which the driver says what
 * its links are (compute/compute.h). */
#ifndef LITHOPS_COMPUTE_LINKED_H
#define LITHOPS_COMPUTE_LINKED_H

#include "compute/compute.h"
#include "relay/relay.h"

struct lithops__linked {
    struct lithops__relay *relay;
};

/* Slots of struct lithops__compute_ops. The section has the keys shared_memory, and `workers_key`
 * of the driver. */
int lithops__linked_capacity(const struct lithops__compute_driver *driver,
                             const struct lithops__config *config,
                             struct lithops__capacity *ret_capacity, lithops_error *err);
int lithops__linked_open(const struct lithops__compute_driver *driver, void *state,
                         struct lithops__table *table, const struct lithops__config *config,
                         const char *const *worker_command, lithops_error *err);
void lithops__linked_close(void *state);
void lithops__linked_offered(void *state, uint32_t range, uint64_t calls);
void lithops__linked_cancel(void *state, uint32_t range, uint64_t begin, uint64_t end);
/* All of them. */
#define LITHOPS__LINKED_SLOTS                                                                      \
    .capacity = lithops__linked_capacity, .open = lithops__linked_open,                            \
    .close = lithops__linked_close, .offered = lithops__linked_offered,                            \
    .cancel = lithops__linked_cancel

/* Capacity of that many workers, for a backend that does not count them by a key. */
void lithops__linked_capacity_of(const struct lithops__config *config, const char *section,
                                 uint32_t workers, struct lithops__capacity *ret_capacity);

/* The section of a backend, with what the section `standalone` (of a backend of that mode) and that
 * of its provider (as `ibm` is of ibm_cf) say and it does not. NULL: out of memory */
lithops_value *lithops__linked_settings(const struct lithops__config *config, const char *section);

/* As `check` of a driver whose workers have a role of AWS, and get no secrets. */
int lithops__linked_check_role(const struct lithops__compute_driver *driver,
                               const struct lithops__config *config, lithops_error *err);
/* The same of one whose workers have nothing of this machine. */
int lithops__linked_check_storage(const struct lithops__compute_driver *driver,
                                  const struct lithops__config *config, lithops_error *err);
/* What `invoke` is given as `config`, without secrets. Workers hear of no broker either, which
 * would need some. */
int lithops__linked_public_config(const char *config, lithops_value **ret_config,
                                  lithops_error *err);

/* Path of the lithops command that belongs to this library; if it is not found, "lithops", to be
 * searched on PATH. */
void lithops__own_command(char *buf, size_t size);

#endif
