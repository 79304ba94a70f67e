/* SPDX-License-Identifier: Apache-2.0 */
/* Python objects as lithops_value and back: configurations, statistics, inputs of native functions.
 */
#ifndef LITHOPS_PYTHON_CODEC_VALUE_H
#define LITHOPS_PYTHON_CODEC_VALUE_H

#include "extension.h"

/* Converts None, bool, int, float, str, bytes, list, tuple and dict with str keys, nested in any
 * way. Returns a copy; TypeError names what cannot be converted. */
lithops_value *value_from_python(PyObject *object);
/* The same of an input, which may be paths (os.PathLike), and names of files that are not UTF-8, as
 * os.listdir() gives them: these become bytes. */
lithops_value *value_from_item(PyObject *object);
/* NULL gives None. */
PyObject *value_to_python(const lithops_value *value);

#endif
