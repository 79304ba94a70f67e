/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the backend aws_lambda: the service's API, names, and packages. */
#ifndef LITHOPS_COMPUTE_AWS_LAMBDA_H
#define LITHOPS_COMPUTE_AWS_LAMBDA_H

#include "base/buffer.h"
#include "base/crypto_module.h"
#include "compute/compute.h"
#include "net/credentials.h"
#include "net/posts.h"
#include "net/transfer.h"

enum {
    LITHOPS__LAMBDA_NAME = 65,          /* of a function, with its NUL */
    LITHOPS__LAMBDA_GLIBC_MINOR = 34,   /* of Amazon Linux 2023, on which functions run */
    LITHOPS__LAMBDA_ZIP_MAX = 50 << 20, /* of a package that comes with the request */
};

/* ---- api.c: requests ------------------------------------------------------------------------- */

struct lithops__lambda_api {
    const struct lithops__transfer_api *http;
    const struct lithops__posts_api *post;
    const struct lithops__crypto_api *crypto;
    struct lithops__credential_store *credentials;
    char region[64];
    char endpoint[256]; /* scheme and host */
};
/* Read the settings; nothing is requested. ECONFIG, EUNSUPPORTED, ENOMEM; close it then, too. */
int lithops__lambda_open(struct lithops__lambda_api *api, const lithops_value *settings,
                         lithops_error *err);
void lithops__lambda_close(struct lithops__lambda_api *api);

struct lithops__lambda_request {
    const char *method, *path, *query; /* query "" or encoded */
    const char *type;                  /* of an invocation: "Event", "RequestResponse"; or NULL */
    const char *body;                  /* JSON, or NULL */
    bool waits;                        /* 409 is made again, too: others may be at the function */
    long stall_timeout_ms;             /* 0: a minute */
    struct lithops__bounds bounds;
};
struct lithops__lambda_answer {
    long status;
    char *document; /* for free() */
    char error[64]; /* name of the service's error: "ResourceNotFoundException"; or "" */
};
/* Make a request, and again after 429, 5xx and lost connections, with growing pauses. 0,
 * *ret_answer then is of any other status, and for lithops__lambda_answer_deinit(); ETHROTTLED,
 * EBACKEND, ETIMEDOUT, ECANCELED. */
int lithops__lambda_do(struct lithops__lambda_api *api,
                       const struct lithops__lambda_request *request,
                       struct lithops__lambda_answer *ret_answer, lithops_error *err);
void lithops__lambda_answer_deinit(struct lithops__lambda_answer *answer);
/* The error that an answer of status 400 and more tells of.
 * @param what  what could not be done: "cannot deploy the function x" */
int lithops__lambda_fail(const struct lithops__lambda_answer *answer, const char *what,
                         lithops_error *err);
/* Begin an invocation, as one of `posts`. Nothing is retried.
 * @param ret_used  by which it is signed; for the caller to deinit, on failure too */
int lithops__lambda_begin(struct lithops__lambda_api *api, struct lithops__posts *posts,
                          const struct lithops__lambda_request *request,
                          struct lithops__credentials *ret_used, struct lithops__post **ret_post,
                          lithops_error *err);
/* What has become of it, once it is answered or over. 0: it was taken; else err->retryable says
 * whether it may be taken later.
 * @param used  renewed if they have expired; NULL: they are not. Nothing is fetched here */
int lithops__lambda_judge(struct lithops__lambda_api *api, const struct lithops__post_state *state,
                          const struct lithops__credentials *used, lithops_error *err);

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
int lithops__lambda_look(struct lithops__lambda_api *api, const char *name,
                         const struct lithops__bounds *bounds,
                         struct lithops__lambda_function *ret_function, lithops_error *err);
/* The same until it is ready, or has failed (EBACKEND), or the bounds end. */
int lithops__lambda_await(struct lithops__lambda_api *api, const char *name,
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
