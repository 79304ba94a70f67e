/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs of a job for the engine. */
#ifndef LITHOPS_PYTHON_CLIENT_INPUTS_H
#define LITHOPS_PYTHON_CLIENT_INPUTS_H

#include "codec/codec.h"
#include "extension.h"

/* Inputs, and the memory they are borrowed from. */
struct inputs {
    lithops_value *value; /* consumed by the call that starts the job; NULL then */
    void *array;          /* of ints, doubles or payloads */
    struct encoded *encoded;
    size_t encoded_count;
    struct encoded one; /* what `encoded` is for one input */
};
/* One input of call_async. */
int inputs_of_one(struct module_state *state, PyObject *object, bool is_native,
                  struct inputs *ret_inputs);
/* The items of map: a list, tuple or range. */
int inputs_of_items(struct module_state *state, PyObject *items, bool is_native,
                    struct inputs *ret_inputs);
/* The same, where each item names an object. */
int inputs_of_objects(PyObject *items, struct inputs *ret_inputs);
void inputs_release(struct inputs *inputs);

#endif
