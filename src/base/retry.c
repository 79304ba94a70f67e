/* SPDX-License-Identifier: Apache-2.0 */
#include "base/retry.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>

#define LOOK_NS 100000000u /* between two looks at `interrupted` */
#define PAUSE_MAX_MS 20000u

int lithops__bounds_check(const struct lithops__bounds *bounds, lithops_error *err)
{
    if (bounds->interrupted && bounds->interrupted(bounds->user))
        return lithops__fail(err, LITHOPS_ECANCELED, "the request was interrupted");
    if (bounds->deadline_ns != UINT64_MAX && lithops__now_ns() >= bounds->deadline_ns)
        return lithops__fail(err, LITHOPS_ETIMEDOUT, "the time for the request has run out");
    return 0;
}

/* False when interrupted. */
static bool sleep_until(uint64_t end_ns, const struct lithops__bounds *bounds)
{
    for (;;) {
        uint64_t now = lithops__now_ns();
        if (bounds->interrupted && bounds->interrupted(bounds->user))
            return false;
        if (now >= end_ns)
            return true;
        uint64_t left = end_ns - now;
        if (bounds->interrupted && left > LOOK_NS)
            left = LOOK_NS;
        struct timespec pause = {.tv_sec = (time_t)(left / 1000000000u),
                                 .tv_nsec = (long)(left % 1000000000u)};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL); /* a signal: look again */
    }
}

bool lithops__retry_again(struct lithops__retry *retry, lithops_error *error, unsigned asked_ms)
{
    if (!error->retryable || ++retry->failed >= retry->attempts)
        return false;
    unsigned doublings = retry->failed - 1 < 20 ? retry->failed - 1 : 20;
    uint64_t delay_ms = (uint64_t)retry->first_delay_ms << doublings;
    uint64_t delay_ns = (delay_ms < PAUSE_MAX_MS ? delay_ms : PAUSE_MAX_MS) * 1000000u;
    delay_ns -= (delay_ns / 2) * (lithops__ticks() % 1024) / 1024;
    if (asked_ms)
        delay_ns = (uint64_t)asked_ms * 1000000u;
    uint64_t end_ns = lithops__now_ns() + delay_ns;
    if (end_ns >= retry->bounds.deadline_ns)
        return false;
    if (sleep_until(end_ns, &retry->bounds))
        return true;
    lithops__fail(error, LITHOPS_ECANCELED, "interrupted while waiting for another attempt");
    error->retryable = false;
    return false;
}
