/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker's side needs of the codec besides extension.h. */
#ifndef LITHOPS_PYTHON_CODEC_H
#define LITHOPS_PYTHON_CODEC_H

#include "extension.h"

/* Return an object as the call's result; big ones are written where the client reads them.
 * @return 0; the code of the call's error; 1 with a Python exception */
int codec_return(struct module_state *state, lithops_call *call, PyObject *object);

#endif
