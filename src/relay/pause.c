/* SPDX-License-Identifier: Apache-2.0 */
/* Where workers come and go: starts that fail again and again are paused, and waiting calls learn
 * why if no worker is left. */
#include "base/clock.h"
#include "base/log.h"
#include "relay/link.h"

enum { MOST_FAILURES = 3 };
static const uint64_t second_ns = 1000000000, pause_ns = 60000000000;

void lithops__relay_start_failed(struct lithops__relay *relay, const lithops_error *err)
{
    struct lithops__size *size = &relay->size;
    size->failures = err->retryable ? size->failures + 1 : MOST_FAILURES;
    size->loss = *err;
    bool is_paused = size->failures >= MOST_FAILURES;
    size->retry_ns = lithops__now_ns() + (is_paused ? pause_ns : second_ns);
    if (is_paused)
        lithops__log(LITHOPS_LOG_WARNING, "relay", "no worker is started for %u s, after %s",
                     (unsigned)(pause_ns / second_ns), err->message);
}

bool lithops__relay_is_paused(const struct lithops__relay *relay)
{
    return relay->size.failures >= MOST_FAILURES;
}

void lithops__relay_unstick(struct lithops__relay *relay)
{
    relay->size.failures = MOST_FAILURES - 1;
    relay->size.retry_ns = 0;
}
