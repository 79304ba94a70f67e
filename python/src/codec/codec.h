/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads: objects as bytes and back. */
#ifndef LITHOPS_PYTHON_CODEC_CODEC_H
#define LITHOPS_PYTHON_CODEC_CODEC_H

#include "extension.h"

/* A payload, and the owner of its bytes. */
struct encoded {
    lithops_payload payload; /* a pickle with buffers is a PIECES */
    PyObject *held;          /* a reference, or NULL */
    void *memory;            /* for free(), or NULL */
};
/* None, bool, int of 64 bits, float, str, bytes as they are, all else a pickle. What was filled
 * is for codec_release(); nothing is filled on failure. */
int codec_encode(struct module_state *state, PyObject *object, struct encoded *ret);
void codec_release(struct encoded *encoded);
/* @param owner  keeps the payload's bytes valid while it lives; out-of-band buffers then point into
 * them and hold a reference to it. NULL: they are copied
 */
PyObject *codec_decode(struct module_state *state, const lithops_payload *payload, PyObject *owner);

/* Return an object as the call's result; large ones are written straight into shared memory.
 * @return 0; the code of the call's error; 1 with a Python exception */
int codec_return(struct module_state *state, lithops_call *call, PyObject *object);

#endif
