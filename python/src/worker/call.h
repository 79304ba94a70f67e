/* SPDX-License-Identifier: Apache-2.0 */
/* Call. */
#ifndef LITHOPS_PYTHON_WORKER_CALL_H
#define LITHOPS_PYTHON_WORKER_CALL_H

#include "extension.h"

/* A Call object for `call`, usable for as long as it runs. */
PyObject *call_new(struct module_state *state, lithops_call *call);
/* The call has ended: whoever kept its object gets RuntimeError. Consumes the reference.
 * @return the code of the error that a map call has left in a reducer, or 0 */
int call_end(PyObject *call);

#endif
