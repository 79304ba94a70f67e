/* SPDX-License-Identifier: Apache-2.0 */
/* Executors of the backend process over a storage of their own, for cases about it. */
#ifndef LITHOPS_TESTS_THROUGH_H
#define LITHOPS_TESTS_THROUGH_H

#include "fault.h"

extern char through_folder[64]; /* of a case, from set_up to tear_down */

void through_set_up(void);
void through_tear_down(void);
/* A program in the folder that runs these lines of sh; `$LITHOPS` is the command. @return its path,
 * valid until the next one */
const char *through_script(const char *name, const char *lines);
/* The storage is localhost, in the folder. `section` is that of the backend, `own` is added to the
 * section lithops; both are consumed, and may be NULL. */
lithops_executor *through_open(lithops_value *section, lithops_value *own);
lithops_storage *through_storage(void);
/* All objects of the bucket. With `keys` the first `most` that have the prefix, each for free().
 * @return how many there are in all */
size_t through_list(const char *prefix, char **keys, size_t most, size_t *ret_kept);

#endif
