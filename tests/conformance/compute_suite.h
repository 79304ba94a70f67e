/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what every compute backend must do.
 *
 * They use the installed headers only. Where the contract leaves room, a backend states its choice
 * in the table of quirks; all else is the same for every backend. */
#ifndef LITHOPS_TESTS_COMPUTE_SUITE_H
#define LITHOPS_TESTS_COMPUTE_SUITE_H

#include <lithops/lithops.h>

struct compute_suite {
    const char *backend;
    /* The backend's section of the configuration for that many workers with that many processes
     * each, for lithops_value_free(). */
    lithops_value *(*settings)(int workers, int processes);
    /* Kill one worker of this client, as if its machine had died. False: there is none. */
    bool (*kill_worker)(void);

    /* Name of the storage, and its section, for lithops_value_free(). NULL: localhost, in a folder
     * of the test's. */
    const char *storage;
    lithops_value *(*storage_settings)(void);

    /* What `monitoring` is, and its section, for lithops_value_free(); NULL: the default. A section
     * that the storage has, too, is given there. */
    const char *monitoring;
    lithops_value *(*monitoring_settings)(void);

    /* Quirks */
    bool sees_files; /* workers see the client's files under the same names */
};

/* Run all tests; main() has called api_init(), and ends with api_finish() of it.
 * @return the number of failed ones */
int compute_suite_run(const struct compute_suite *suite);
/* All executors are closed, and nothing of them is in the storage of the suite that was run.
 * @return the number of objects that are */
int compute_suite_left(void);

#endif
