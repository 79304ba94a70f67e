/* SPDX-License-Identifier: Apache-2.0 */
/* Localhost storage in a temporary folder, for tests. */
#ifndef LITHOPS_TESTS_STORAGE_FOLDER_H
#define LITHOPS_TESTS_STORAGE_FOLDER_H

#include "storage/storage.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char storage_folder[64];

static inline lithops_storage *open_in_folder(const lithops_storage_driver *driver)
{
    snprintf(storage_folder, sizeof storage_folder, "/tmp/lithops-test-XXXXXX");
    if (!mkdtemp(storage_folder))
        return NULL;
    lithops_value *settings = lithops_pack("{s:s}", "storage_root", storage_folder);
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_storage *storage = lithops__storage_open_driver(driver, settings, NULL, &err);
    if (!storage)
        fprintf(stderr, "%s\n", err.message);
    lithops_value_free(settings);
    return storage;
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline void close_in_folder(lithops_storage *storage)
{
    lithops_storage_close(storage);
    nftw(storage_folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
