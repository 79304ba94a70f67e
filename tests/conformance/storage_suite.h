/* SPDX-License-Identifier: Apache-2.0 */
/* What every storage backend must do, as tests that each backend runs.
 *
 * A backend that differs where the contract leaves room says so in the table of quirks; nothing
 * else is different for it. */
#ifndef LITHOPS_TESTS_STORAGE_SUITE_H
#define LITHOPS_TESTS_STORAGE_SUITE_H

#include "storage/storage.h"

struct storage_suite {
    const char *name;
    /* A handle on a storage that is empty; fails the test when it cannot. */
    lithops_storage *(*open)(void);
    void (*close)(lithops_storage *storage); /* and remove what open made */

    /* Quirks */
    bool keys_are_files;       /* parts of keys follow the rules of file names, and "a" and "a/b"
                                  cannot both be */
    bool reader_keeps_version; /* a reader goes on with the old object when it is replaced; else
                                  it ends with LITHOPS_EIO */
};

/* Run all tests. @return the number of failed ones */
int storage_suite_run(const struct storage_suite *suite);

#endif
