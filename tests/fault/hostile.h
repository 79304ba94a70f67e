/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile functions: each harms its process in some way. Every backend must confine the harm to the
 * call: it ends in time, with one of the allowed outcomes, and thousands of later calls are
 * right. */
#ifndef LITHOPS_TESTS_HOSTILE_H
#define LITHOPS_TESTS_HOSTILE_H

#include "fault.h"

enum hostile_outcome {
    HOSTILE_SUCCEEDS = 1,
    HOSTILE_CRASHES = 2,
    HOSTILE_HANGS = 4, /* until its timeout */
    HOSTILE_FAILS = 8, /* with an error of its own */
};

struct hostile {
    const char *name;
    int (*harm)(lithops_call *call);
    unsigned allowed; /* enum hostile_outcome, or-ed */
};

extern const struct hostile hostile_table[];
extern const size_t hostile_count;
extern lithops_function hostile[1]; /* index in the table */

/* Run each function of the table on an executor with few workers, and `calls` good calls after
 * it. */
void hostile_run_all(lithops_executor *fexec, int calls);

#endif
