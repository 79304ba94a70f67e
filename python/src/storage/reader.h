/* SPDX-License-Identifier: Apache-2.0 */
/* Reader: one object as a file. */
#ifndef LITHOPS_PYTHON_STORAGE_READER_H
#define LITHOPS_PYTHON_STORAGE_READER_H

#include "extension.h"

PyObject *reader_new(struct module_state *state, PyObject *owner, lithops_storage *storage,
                     PyObject *bucket, PyObject *key, uint64_t offset, uint64_t len);
int reader_add_type(PyObject *module);

#endif
