/* SPDX-License-Identifier: Apache-2.0 */
#include "detached/watch.h"

#include "base/clock.h"
#include "base/error.h"

enum { MOST_STARTS = 4 }; /* in 7.5 s: on a busy machine a process takes its time to begin */
static const uint64_t pause_ns = 500000000, stay_ns = 30000000000;

static bool was_in_vain(const struct lithops__watch *watch, bool is_supervised, uint64_t now)
{
    return !is_supervised || now - watch->start_ns < stay_ns;
}

int lithops__watch_look(struct lithops__watch *watch, const struct lithops__home *home,
                        uint64_t progress, lithops_error *err)
{
    uint64_t now = lithops__now_ns();
    bool is_supervised = lithops__home_is_supervised(home);
    if (progress != watch->progress || !was_in_vain(watch, is_supervised, now))
        watch->starts = 0;
    watch->progress = progress;
    /* One that has closed its ears and still ends its workers keeps the lock: its successor would
     * only wait for that. */
    if (is_supervised || lithops__home_is_locked(home) ||
        (watch->starts && now < watch->start_ns + (pause_ns << (watch->starts - 1))))
        return 0;
    if (watch->starts == MOST_STARTS)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "no supervisor stays to run the job: '%s/log' may say why",
                             home->path);
    watch->starts++;
    watch->start_ns = now;
    return lithops__home_supervise(home, err);
}
