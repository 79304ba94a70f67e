/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the services of AWS that backends use: signed, made again where that helps, and their
 * errors. */
#ifndef LITHOPS_COMPUTE_AWS_H
#define LITHOPS_COMPUTE_AWS_H

#include "base/crypto_module.h"
#include "net/credentials.h"
#include "net/posts.h"
#include "net/transfer.h"

#include <lithops/value.h>

/* Which service it is. */
struct lithops__aws_service {
    const char *name;     /* in signatures and host names: "lambda" */
    const char *title;    /* in messages: "Lambda" */
    const char *section;  /* of the configuration: "aws_lambda" */
    const char *variable; /* of the environment, which has another endpoint */
};

struct lithops__aws_place {
    char region[64];
    char endpoint[256]; /* scheme and host */
};
/* What the settings and the environment say; nothing is requested. ECONFIG */
int lithops__aws_find(const struct lithops__aws_service *service, const lithops_value *settings,
                      struct lithops__aws_place *ret_place, lithops_error *err);
/* The keys of the settings, or what AWS's tools would use. ECONFIG, ENOMEM */
int lithops__aws_login(const struct lithops__aws_service *service, const lithops_value *settings,
                       const struct lithops__transfer_api *http,
                       const struct lithops__crypto_api *crypto, const char *region,
                       struct lithops__credential_store **ret_credentials, lithops_error *err);

struct lithops__aws_api {
    const struct lithops__aws_service *service;
    const struct lithops__transfer_api *http;
    const struct lithops__posts_api *post;
    const struct lithops__crypto_api *crypto;
    struct lithops__credential_store *credentials;
    struct lithops__aws_place place;
};
/* Read the settings; nothing is requested. ECONFIG, EUNSUPPORTED, ENOMEM; close it then, too. */
int lithops__aws_open(struct lithops__aws_api *api, const struct lithops__aws_service *service,
                      const lithops_value *settings, lithops_error *err);
void lithops__aws_close(struct lithops__aws_api *api);

struct lithops__aws_request {
    const char *method, *path, *query; /* query "" or encoded */
    const char *type;                  /* of an invocation: "Event", "RequestResponse"; or NULL */
    const char *body;                  /* JSON, or NULL */
    bool waits;                        /* 409 is made again, too: others may be at the function */
    long stall_timeout_ms;             /* 0: a minute */
    struct lithops__bounds bounds;
};
struct lithops__aws_answer {
    long status;
    char *document;   /* for free() */
    char error[64];   /* name of the service's error: "ResourceNotFoundException"; or "" */
    bool is_doubtful; /* an attempt before, or the failed one, may have been carried out as well */
};
/* Make a request, and again after 429, 5xx and lost connections, with growing pauses. 0,
 * *ret_answer then is of any other status, and for lithops__aws_answer_deinit(); ETHROTTLED,
 * EBACKEND, ETIMEDOUT, ECANCELED. */
int lithops__aws_do(struct lithops__aws_api *api, const struct lithops__aws_request *request,
                    struct lithops__aws_answer *ret_answer, lithops_error *err);
void lithops__aws_answer_deinit(struct lithops__aws_answer *answer);
/* The error that an answer of status 400 and more tells of.
 * @param what  what could not be done: "cannot deploy the function x" */
int lithops__aws_fail(const struct lithops__aws_api *api, const struct lithops__aws_answer *answer,
                      const char *what, lithops_error *err);
/* Begin an invocation, as one of `posts`. Nothing is retried.
 * @param ret_used  by which it is signed; for the caller to deinit, on failure too */
int lithops__aws_begin(struct lithops__aws_api *api, struct lithops__posts *posts,
                       const struct lithops__aws_request *request,
                       struct lithops__credentials *ret_used, struct lithops__post **ret_post,
                       lithops_error *err);
/* What has become of it, once it is answered or over. 0: it was taken; else err->retryable says
 * whether it may be taken later.
 * @param used  renewed if they have expired; NULL: they are not. Nothing is fetched here */
int lithops__aws_judge(struct lithops__aws_api *api, const struct lithops__post_state *state,
                       const struct lithops__credentials *used, lithops_error *err);

#endif
