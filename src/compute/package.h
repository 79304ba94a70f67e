/* SPDX-License-Identifier: Apache-2.0 */
/* Packages of function services: zip archives with the engine in them. */
#ifndef LITHOPS_COMPUTE_PACKAGE_H
#define LITHOPS_COMPUTE_PACKAGE_H

#include "base/buffer.h"

#include <lithops/error.h>

struct lithops__package_file {
    const char *name, *text;
};

/* Append an archive of the files, which end with a name of NULL, and of this engine: bin/lithops,
 * and lib/. All may be executed. */
int lithops__package(const struct lithops__package_file *files, struct lithops__buffer *out,
                     lithops_error *err);
int lithops__package_write(const char *path, const struct lithops__buffer *zip, lithops_error *err);

#endif
