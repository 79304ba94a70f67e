/* SPDX-License-Identifier: Apache-2.0 */
/* A sequence of Futures in the engine's form. */
#ifndef LITHOPS_PYTHON_CLIENT_SELECTION_H
#define LITHOPS_PYTHON_CLIENT_SELECTION_H

#include "extension.h"

struct job;

struct selection {
    size_t count; /* pieces */
    lithops_futures_piece *pieces;
    struct job **jobs;        /* of each piece, a reference */
    lithops_futures *futures; /* all of them */
};
/* Out of a list or another iterable of Futures. */
int selection_open(struct module_state *state, PyObject *futures, struct selection *ret_selection);
void selection_close(struct selection *selection);
/* Visit each call of what selection_open() takes. @return None, or NULL with an exception */
PyObject *selection_visit(struct module_state *state, PyObject *futures,
                          void (*visit)(struct job *job, size_t index));
/* Raise the exception of the first failed call. A cancelled call counts only if none has failed,
 * since a failure may have caused the cancellation; without `throw_cancelled` it is reported in
 * *ret_cancelled instead. False: nothing was raised. */
bool selection_raise_failure(const struct selection *selection, bool throw_cancelled,
                             bool *ret_cancelled);

#endif
