/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects are compressed: those whose name says so (.gz, .bgz, .zst, .bz2, ...) and whose
 * first bytes agree. A name alone may lie, and first bytes alone may be anybody's data. */
#ifndef LITHOPS_PARTITION_PACKING_H
#define LITHOPS_PARTITION_PACKING_H

#include "storage/storage.h"

#include <lithops/stream.h>

enum lithops__packing {
    LITHOPS__PACKING_NONE,
    LITHOPS__PACKING_GZIP,
    LITHOPS__PACKING_ZSTD,
    LITHOPS__PACKING_BZIP2,
    LITHOPS__PACKING_OTHER, /* a format that is known, but not read: xz, lz4 */
};

/* "gzip"; the name of the module that reads it, but for _NONE ("none") and _OTHER. */
const char *lithops__packing_name(enum lithops__packing packing);
/* LITHOPS_EPARSE for a name of none. */
int lithops__packing_from_name(lithops_bytes name, enum lithops__packing *ret_packing,
                               lithops_error *err);

/* Only objects whose names say that they are compressed are opened, and 6 bytes of them read. What
 * can be read only once (a pipe) is not looked into: _NONE. */
int lithops__packing_of(const lithops_object *object, lithops_storage *storage,
                        enum lithops__packing *ret_packing, lithops_error *err);

#endif
