/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LITHOPS_CORE_SUPERVISE_H
#define LITHOPS_CORE_SUPERVISE_H

#include <lithops/error.h>

/* Run the detached jobs in this folder, and those that come, until there were none for a while.
 * Returns at once where another process does. The process is this one's alone: its environment and
 * working directory become those of the client. The program must have called lithops_init(). */
int lithops__supervise(const char *folder, lithops_error *err);

#endif
