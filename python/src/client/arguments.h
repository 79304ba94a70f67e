/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of methods. */
#ifndef LITHOPS_PYTHON_CLIENT_ARGUMENTS_H
#define LITHOPS_PYTHON_CLIENT_ARGUMENTS_H

#include "extension.h"

/* What a METH_FASTCALL | METH_KEYWORDS method takes. Names end with NULL. */
struct signature {
    const char *method;
    int required, positional; /* number of required arguments; of those that can be positional */
    const char *const *names;
};
/* Sort the arguments into ret_values, one for each name; NULL: not given. Borrowed. */
int take_arguments(const struct signature *signature, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames, PyObject **ret_values);
/* Seconds (an int or float; NULL and None: `none`) as milliseconds, rounded up. */
int take_ms(PyObject *seconds, const char *name, int64_t none, int64_t *ret_ms);
/* An int; NULL and None: LITHOPS_DEFAULT. */
int take_int(PyObject *object, const char *name, int64_t *ret_int);
/* A str; NULL and None: NULL. Borrowed from the object. */
int take_text(PyObject *object, const char *name, const char **ret_text);
/* A dict of str, as a map for lithops_value_free(); NULL and None: NULL. */
int take_env(PyObject *object, lithops_value **ret_env);
/* True or false; NULL: `missing`. */
int take_bool(PyObject *object, bool missing, bool *ret_bool);

/* A NULL-terminated array of C strings out of a sequence of str. */
struct text_list {
    const char **texts; /* NULL for None */
    PyObject *sequence; /* what they are borrowed from */
};
int text_list_open(PyObject *object, const char *name, struct text_list *ret_list);
void text_list_close(struct text_list *list);

#endif
