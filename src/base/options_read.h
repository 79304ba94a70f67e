/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the option structs of the public headers.
 *
 * Each begins with its size, as the caller's compiler knew it. An older program's struct ends
 * early, and missing members keep their defaults; a newer one's unknown members are ignored. So
 * members can be appended without a new ABI. */
#ifndef LITHOPS_BASE_OPTIONS_READ_H
#define LITHOPS_BASE_OPTIONS_READ_H

#include <lithops/error.h>

#include <stddef.h>
#include <stdint.h>

/* Copy the caller's options (NULL: none) over the defaults in `own`, whose size stays.
 * `init` is the name of the initialiser, for the message.
 * @return 0; LITHOPS_EUSAGE: `given` does not begin with a plausible size */
int lithops__options_read(void *own, size_t own_size, const void *given, const char *init,
                          lithops_error *err);

/* Of two members that are never 0 both are: only the size was set, as in `{.size = sizeof o}`. One
 * may be meant to be 0, and is an error that names it.
 * @return 0; LITHOPS_EUSAGE */
int lithops__options_begun(int64_t one, int64_t other, const char *init, lithops_error *err);

#endif
