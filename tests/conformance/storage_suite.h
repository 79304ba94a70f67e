/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what every storage backend must do.
 *
 * Where the contract leaves room, a backend states its choice in the table of quirks; all else is
 * the same for every backend. */
#ifndef LITHOPS_TESTS_STORAGE_SUITE_H
#define LITHOPS_TESTS_STORAGE_SUITE_H

#include "storage/storage.h"

struct storage_suite {
    const char *name;
    /* A handle on an empty storage; fails the test if it cannot be opened. */
    lithops_storage *(*open)(void);
    void (*close)(lithops_storage *storage); /* and remove what open made */

    /* Quirks */
    bool keys_are_files;       /* parts of keys follow the rules of file names, and "a" and "a/b"
                                  cannot both be */
    bool keys_are_text;        /* a key must be UTF-8 */
    bool answers_are_read_on;  /* reads that follow each other may come out of one answer, so that
                                  they go on with the old object when it is replaced */
    bool copies;               /* the server copies objects by itself */
    bool copies_large;         /* those of many parts, too */
    bool has_no_times;         /* nobody knows when an object was stored */
    bool requests_fail;        /* at times, so that what comes from a pipe cannot be sent again */
    bool reader_keeps_version; /* a reader goes on with the old object when it is replaced; else
                                  it ends with LITHOPS_EIO */
};

/* Run all tests. @return the number of failed ones */
int storage_suite_run(const struct storage_suite *suite);

#endif
