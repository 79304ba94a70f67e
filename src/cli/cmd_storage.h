/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of `lithops storage`. */
#ifndef LITHOPS_CLI_CMD_STORAGE_H
#define LITHOPS_CLI_CMD_STORAGE_H

#include "base/buffer.h"
#include "cli/commands.h"
#include "cli/options.h"

#include <lithops/storage.h>

/* The storage that the options name; NULL, and *err. */
lithops_storage *cli_storage_open(const struct cli *cli, lithops_error *err);
/* An object as a file, which appears when it is whole. */
int cli_storage_get_file(lithops_storage *storage, const char *bucket, const char *key,
                         const char *name, lithops_error *err);

/* All files below a folder; their keys are `prefix` and their paths below it.
 * @param progress  as cli_progress_init() has it */
int cli_storage_put_folder(lithops_storage *storage, const char *bucket, const char *folder,
                           const char *prefix, int progress, lithops_error *err);
/* All objects with a prefix, as files below a folder, named after what follows the last '/' of the
 * prefix. */
int cli_storage_get_prefix(lithops_storage *storage, const char *bucket, const char *prefix,
                           const char *folder, int progress, lithops_error *err);

#endif
