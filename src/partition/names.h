/* SPDX-License-Identifier: Apache-2.0 */
/* What the names that users give to map() stand for. docs/partitions.md has the rules. */
#ifndef LITHOPS_PARTITION_NAMES_H
#define LITHOPS_PARTITION_NAMES_H

#include "storage/storage.h"

#include <lithops/stream.h>

/* One object that a name stands for: where it is, its size (UINT64_MAX: unknown), and whether parts
 * of it can be read. Strings are borrowed for the visit. */
typedef int lithops__names_visitor(const lithops_object *object, bool parts, void *user,
                                   lithops_error *err);

/* The URL that `name` is, borrowed from it; NULL when it is something else. */
const char *lithops__names_url(const lithops_value *name);

/* Visit the object, or the objects in key order, that `name` (a string, bytes, or a cloudobject)
 * stands for: at least one. `storage` may be NULL; then only paths and URLs are found. `base` is
 * the folder of relative paths, an absolute path.
 * @return 0; what `visit` returned; ENOTFOUND, which says what was tried; EUSAGE */
int lithops__names_expand(const lithops_value *name, const char *base, lithops_storage *storage,
                          lithops__names_visitor *visit, void *user, lithops_error *err);

#endif
