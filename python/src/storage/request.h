/* SPDX-License-Identifier: Apache-2.0 */
/* How storage.c and reader.c make requests: without the GIL, and so that signal handlers run. */
#ifndef LITHOPS_PYTHON_REQUEST_H
#define LITHOPS_PYTHON_REQUEST_H

#include "extension.h"

struct request {
    PyThreadState *thread; /* while the GIL is released */
    uint64_t started_ns;
    struct request
        *outer; /* enclosing request of this thread: a visitor of a listing may make requests */
};
void request_begin(struct request *request);
void request_end(struct request *request);

#define REQUEST_BEGIN                                                                              \
    {                                                                                              \
        struct request request_;                                                                   \
        request_begin(&request_);
#define REQUEST_END                                                                                \
    request_end(&request_);                                                                        \
    }

/* Let signal handlers run while requests of this handle wait. Call before the first request. */
void request_make_interruptible(lithops_storage *storage);
/* Keep the exception that a signal handler has raised, or else raise the error. @return NULL */
PyObject *request_fail(struct module_state *state, const lithops_error *err);

#endif
