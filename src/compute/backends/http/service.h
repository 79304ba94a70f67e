/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the services that HTTP requests start: where one is, who asks it, and in
 * what the kinds of them differ. */
#ifndef LITHOPS_COMPUTE_SERVICE_H
#define LITHOPS_COMPUTE_SERVICE_H

#include "compute/backends/http/oracle.h"
#include "compute/backends/http/whisk.h"
#include "compute/compute.h"
#include "net/credentials.h"
#include "net/http.h"

enum { LITHOPS__SERVICE_LINES = 5 };

struct lithops__service {
    const char *backend; /* "knative" */
    const struct lithops__service_kind *kind;
    const struct lithops__posts_api *api;
    const struct lithops__crypto_api *crypto;
    const struct lithops__transfer_api *transfer;
    struct lithops__posts *posts;
    char *endpoint, *host, *secret, *token, *token_file;
    char *function_key;                      /* of a function of Azure; NULL: none */
    char *account, *audience;                /* of ID tokens of Google's */
    bool is_machine;                         /* they are the machine's */
    char *basic;                             /* the API key, as HTTP has it; NULL: there is none */
    char *iam_key, *iam_endpoint;            /* of IBM's tokens */
    struct lithops__credential_store *store; /* tokens come from there; NULL: none do */
    bool sends_credentials;
    uint64_t start_ns, request_ns;  /* how long starting, and a request, may take */
    struct lithops__post **workers; /* requests by number; NULL: there is none */
    uint32_t count;
    struct lithops__oracle_function oracle; /* of that kind alone */
    struct lithops__whisk whisk;            /* the same */
};

/* Where a request goes to, and what it says of who makes it. */
struct lithops__service_head {
    char *url;
    char *lines[LITHOPS__SERVICE_LINES]; /* "Name: value"; NULL ends them */
};

/* What the services of one kind do their own way. */
struct lithops__service_kind {
    /* What is invoked runs on its own: its answer says no more than that it was taken. Otherwise it
     * stays open for as long as the worker runs. */
    bool is_async;
    /* Nobody tells how it has ended: a worker is lost when no sign of life has come for as long as
     * the key worker_lost_timeout says. */
    bool is_silent;
    const char *noun;     /* what is invoked, if it is asynchronous: "action" */
    const char *stranger; /* what else answers there is not this */
    const char *missing;  /* what status 404 means; NULL: nothing in particular */
    /* Take what only this kind has. ECONFIG names what is missing, and how to get it. What it has
     * allocated by then, close frees. */
    int (*open)(struct lithops__service *http, const lithops_value *settings, lithops_error *err);
    void (*close)(struct lithops__service *http);
    /* Of a request with this body. What it has allocated by then, the caller frees, on failure too.
     */
    int (*address)(struct lithops__service *http, lithops_bytes body,
                   const struct lithops__bounds *bounds, struct lithops__service_head *head,
                   lithops_error *err);
    /* Whether that answer means that a worker runs there, or will. */
    bool (*is_taken)(struct lithops__service *http, uint32_t worker,
                     const struct lithops__post_state *state, const char *proof);
    bool (*has_ended)(struct lithops__service *http, uint32_t worker);
    /* How it has ended, as far as it is known; nothing is waited for. */
    void (*tell_end)(struct lithops__service *http, uint32_t worker, char *ret_how, size_t size);
    /* Whether it is there, without starting a worker, which costs money. */
    int (*probe)(struct lithops__service *http, lithops__probe_say say, void *user,
                 lithops_error *err);
};
extern const struct lithops__service_kind lithops__container_kind, lithops__whisk_kind,
    lithops__oracle_kind;

/* A copy of a setting; what is empty, or not there, leaves *ret_text as it is. False: out of
 * memory. */
bool lithops__service_text(const lithops_value *settings, const char *key, char **ret_text);
/* A copy of a URL without the slashes that end it. NULL: out of memory. */
char *lithops__service_base(const char *url);
/* Take what the section says; `backend` and `kind` are set. ECONFIG names what is missing, and how
 * to get it. */
int lithops__service_settings(struct lithops__service *http, const lithops_value *settings,
                              lithops_error *err);
/* Then, what makes requests, and whoever gives tokens for them. EUNSUPPORTED: not in this build. */
int lithops__service_open(struct lithops__service *http, lithops_error *err);
/* All of it, whatever has been opened. */
void lithops__service_close(struct lithops__service *http);

/* ECONFIG: `url` is such that others could read `what`. */
int lithops__service_check_url(const struct lithops__service *http, const char *url,
                               const char *what, lithops_error *err);
/* "Authorization: Bearer ...", or what else says who asks, or NULL: nothing does. A file is read
 * each time: who keeps it there renews it.
 * @param ret_used  what the store gave, if there is one; the caller's, on failure too */
int lithops__service_authorization(const struct lithops__service *http,
                                   const struct lithops__bounds *bounds, char **ret_header,
                                   struct lithops__credentials *ret_used, lithops_error *err);
/* GET that URL, as who asks, and say how it went; `what` is in the error where the status is not
 * 200, the first line of the document in what is said if it `has_words` for it. */
int lithops__service_ask(const struct lithops__service *http, const char *url, const char *name,
                         const char *what, bool has_words, lithops__probe_say say, void *user,
                         lithops_error *err);

#endif
