/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the backend aws_lambda: names, functions, and packages. */
#ifndef LITHOPS_COMPUTE_AWS_LAMBDA_H
#define LITHOPS_COMPUTE_AWS_LAMBDA_H

#include "base/buffer.h"
#include "compute/aws.h"
#include "compute/compute.h"

enum {
    LITHOPS__LAMBDA_NAME = 65,          /* of a function, with its NUL */
    LITHOPS__LAMBDA_GLIBC_MINOR = 34,   /* of Amazon Linux 2023, on which functions run */
    LITHOPS__LAMBDA_ZIP_MAX = 50 << 20, /* of a package that comes with the request */
};

extern const struct lithops__aws_service lithops__lambda_service;

/* ---- function.c: functions ------------------------------------------------------------------- */

/* What the configuration says of the function. */
struct lithops__lambda_wanted {
    char runtime[256]; /* "provided.al2023", "python3.12", or the URI of an image */
    char name[LITHOPS__LAMBDA_NAME];
    int64_t memory_mb, timeout_s;
};
/* @param runtime  as named; NULL: that of the settings, else of `program`; 0 as memory, timeout:
 *                 those of the settings */
int lithops__lambda_want(const lithops_value *settings, const char *runtime, const char *program,
                         int64_t memory_mb, int64_t timeout_s,
                         struct lithops__lambda_wanted *ret_wanted, lithops_error *err);
/* Whether such a runtime is an image. */
bool lithops__lambda_is_image(const char *runtime);

/* What the service says of a function. */
struct lithops__lambda_function {
    bool exists;
    int64_t timeout_s; /* 0: nobody has said */
    char engine[32];   /* version of the engine in it; "": it is not one of ours */
    int protocol;
    char reason[256]; /* why it is not ready, as the service says it */
    bool is_ready, has_failed;
};
/* Ask for the function; EDENIED, if that is not allowed. */
int lithops__lambda_look(struct lithops__aws_api *api, const char *name,
                         const struct lithops__bounds *bounds,
                         struct lithops__lambda_function *ret_function, lithops_error *err);
/* The same until it is ready, or has failed (EBACKEND), or the bounds end. */
int lithops__lambda_await(struct lithops__aws_api *api, const char *name,
                          const struct lithops__bounds *bounds,
                          struct lithops__lambda_function *ret_function, lithops_error *err);
/* Check that this engine can use it. EUNSUPPORTED says what to do. */
int lithops__lambda_check(const struct lithops__lambda_function *function,
                          const struct lithops__lambda_wanted *wanted, lithops_error *err);

/* ---- package.c ------------------------------------------------------------------------------- */

/* Append a zip archive: this engine, and the program `bootstrap` that starts it. EUNSUPPORTED: it
 * does not run on the service's machines. */
int lithops__lambda_package(struct lithops__buffer *out, lithops_error *err);

/* ---- runtimes.c ------------------------------------------------------------------------------ */

extern const struct lithops__runtime_ops lithops__lambda_runtimes;

#endif
