/* SPDX-License-Identifier: Apache-2.0 */
/* Large bytes objects whose memory is reused. */
#ifndef LITHOPS_PYTHON_CODEC_WARM_BYTES_H
#define LITHOPS_PYTHON_CODEC_WARM_BYTES_H

#include "extension.h"

/* A bytes object with this content. */
PyObject *warm_bytes(struct module_state *state, lithops_bytes content);
void warm_bytes_forget(struct module_state *state);

#endif
