/* SPDX-License-Identifier: Apache-2.0 */
/* Files by hash in the storage: what many workers need is put once, and read by each.
 *
 * A bundle is one object with the content of some files, one after the other. Long files are alone
 * in theirs; short ones share, or a few hundred modules would be a few hundred requests. The key
 * says which files those are, so whoever has the same list finds the same objects, and an object is
 * right if each of its files has its hash. Nobody writes different bytes to one key: to put it
 * again does no harm, and where it is gone it is put again. */
#ifndef LITHOPS_CARRIER_BUNDLE_H
#define LITHOPS_CARRIER_BUNDLE_H

#include <lithops/error.h>
#include <lithops/storage.h>

enum { LITHOPS__BUNDLE_KEY = 96 };
#define LITHOPS__BUNDLE_PREFIX "lithops.jobs/objects/"

struct lithops__bundle_file {
    const char *sha256; /* 64 digits */
    uint64_t size;      /* as it was when it was hashed */
    const char *path;   /* to put it; else NULL */
};

/* Files [first, first + count) of the list that was planned. */
struct lithops__bundle {
    size_t first, count;
    uint64_t size;
    char key[LITHOPS__BUNDLE_KEY];
};

/* Which objects have these files. *ret_bundles is the caller's, for free(). ENOMEM; EUNSUPPORTED
 * without OpenSSL. */
int lithops__bundle_plan(const struct lithops__bundle_file *files, size_t count,
                         struct lithops__bundle **ret_bundles, size_t *ret_count,
                         lithops_error *err);
/* Put one. `files` is the list that was planned. Fails if a file is not as long as it was. */
int lithops__bundle_put(lithops_storage *storage, const struct lithops__bundle *bundle,
                        const struct lithops__bundle_file *files, lithops_error *err);

#endif
