/* SPDX-License-Identifier: Apache-2.0 */
/* Repeating requests after transient failures: the one place that decides how often and how soon.
 *
 *     struct lithops__retry retry = {.attempts = 5, .first_delay_ms = 100, .bounds = ...};
 *     do {
 *         error = (lithops_error)LITHOPS_ERROR_INIT;
 *         rc = request(..., &error);
 *     } while (rc && lithops__retry_again(&retry, &error, 0));
 *
 * Pauses double from one attempt to the next, up to 20 s, each shortened at random by up to a half,
 * so that clients that failed together do not return together. */
#ifndef LITHOPS_BASE_RETRY_H
#define LITHOPS_BASE_RETRY_H

#include <lithops/error.h>

/* How long something may go on. */
struct lithops__bounds {
    uint64_t deadline_ns;            /* CLOCK_MONOTONIC; UINT64_MAX: none */
    bool (*interrupted)(void *user); /* asked at least every 100 ms; NULL: never */
    void *user;
};
#define LITHOPS__UNBOUNDED ((struct lithops__bounds){.deadline_ns = UINT64_MAX})

/* 0; LITHOPS_ETIMEDOUT once the deadline has passed, LITHOPS_ECANCELED when interrupted. */
int lithops__bounds_check(const struct lithops__bounds *bounds, lithops_error *err);

struct lithops__retry {
    unsigned attempts, first_delay_ms;
    struct lithops__bounds bounds;
    unsigned failed; /* attempts that have failed so far, since there was progress */
};

/* Wait before the next attempt. False if there is none: `error` is not retryable, the
 * attempts are used up, or the pause would end after the deadline. False, too, and *error replaced,
 * when the pause is interrupted.
 * @param asked_ms  the pause that the server asked for; 0: ours */
bool lithops__retry_again(struct lithops__retry *retry, lithops_error *error, unsigned asked_ms);

#endif
