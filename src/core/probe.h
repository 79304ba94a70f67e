/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LITHOPS_CORE_PROBE_H
#define LITHOPS_CORE_PROBE_H

#include "compute/compute.h"

/* Reach what the backend of a configuration would run calls on, and say what is there, part by
 * part. EUNSUPPORTED: no such backend is built in; else as the backend's probe. */
int lithops__probe_backend(const struct lithops__config *config, bool start, lithops__probe_say say,
                           void *user, lithops_error *err);

/* As the backend's ask; nothing is said where all is on this machine. */
int lithops__ask_backend(const struct lithops__config *config, const char *machine,
                         const char *arguments, lithops__probe_say say, void *user,
                         lithops_error *err);

/* As the backend's clean; 0 where it has none, or is not built in. */
int lithops__clean_backend(const struct lithops__config *config, bool dry_run,
                           uint64_t *ret_removed, lithops_error *err);

/* As the backend's attach; EUNSUPPORTED where it has none. */
int lithops__attach_backend(const struct lithops__config *config, const char *machine,
                            lithops_error *err);

/* Whether it is a backend that never met the service that it is named after. */
bool lithops__probe_is_untested(const char *backend);

#endif
