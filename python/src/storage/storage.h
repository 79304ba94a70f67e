/* SPDX-License-Identifier: Apache-2.0 */
/* Storage. */
#ifndef LITHOPS_PYTHON_STORAGE_STORAGE_H
#define LITHOPS_PYTHON_STORAGE_STORAGE_H

#include "extension.h"

/* A Storage over a handle that lives as long as the process, and is closed elsewhere. */
PyObject *storage_of_process(struct module_state *state, lithops_storage *storage);

#endif
