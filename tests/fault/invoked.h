/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint of a service that starts workers by HTTP requests, and disturbs them by the plan of
 * a seed; and the services that it can be. */
#ifndef LITHOPS_TESTS_INVOKED_H
#define LITHOPS_TESTS_INVOKED_H

#include "fault.h"

#include <stdbool.h>

enum { INVOKED_BYTES = 256 << 10, INVOKED_STEP_MS = 5 };

/* What becomes of a request. Those before BOTH let no worker run, or one. */
enum fault {
    NONE,
    THROTTLE,
    FAIL,
    DRAIN,
    RESET,
    GARBAGE,
    HALF, /* of the answer's head */
    LATE,
    AGAIN, /* the answer, once more */
    TWICE, /* to the same container */
    BOTH,  /* to two containers */
    LOST,  /* the worker runs, the answer is lost */
    CUT,   /* while the worker runs */
    KILL,  /* the worker */
    DEATH, /* of the container */
    DENY,
    MISSING,
    STRANGE,
    FAULTS
};

enum kind {
    PASSING,  /* nothing is lost */
    DOUBLE,   /* and workers are started twice */
    KILLING,  /* workers end while they run */
    REFUSING, /* from some request on */
    KINDS
};

struct request {
    int fd;
    enum fault fault;
    int delay_ms;
    size_t len;
    char data[INVOKED_BYTES];
};

struct platform {
    const char *backend, *storage;
    const char *quota;          /* what an error says of one that is reached */
    const char *const *answers; /* of a request, by fault; NULL: it passes */
    /* The section of the backend. `kind` decides how soon a silent worker is lost. */
    lithops_value *(*section)(const char *url, int start_s, enum kind kind);
    /* In the main thread, to which containers belong. */
    void (*start)(unsigned seed);
    void (*stop)(void);
    bool (*invokes)(const struct request *request); /* NULL: all do; others look at something */
    void (*pass)(const struct request *request);
    unsigned most_own; /* faults of its own kind that a plan may have */
};
extern const struct platform invoked_knative, invoked_openwhisk, invoked_aws_lambda;

/* ---- the endpoint ---------------------------------------------------------------------------- */

extern struct invoked {
    const struct platform *platform;
    enum kind kind;
    enum fault last;    /* REFUSING: for good */
    unsigned disturbed; /* requests */
    char url[64];
} invoked;

void invoked_start(const struct platform *platform, enum kind kind, unsigned seed);
/* Nothing of it is left. */
void invoked_stop(void);

/* ---- for platforms --------------------------------------------------------------------------- */

/* Sleeps in steps. False: all is over. */
bool invoked_stay(int ms);
/* A whole request. False: it is none. */
bool invoked_read(int fd, char *data, size_t *len);
/* @return a connection to a port here that has got the request; -1: nobody is there */
int invoked_ask(int port, const char *request, size_t len);
int invoked_listen(int *ret_port);
const char *invoked_body(const char *data);
void invoked_answer(const struct request *request, const char *answer);

#endif
