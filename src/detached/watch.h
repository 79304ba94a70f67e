/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for jobs sees to it that they have a supervisor. */
#ifndef LITHOPS_DETACHED_WATCH_H
#define LITHOPS_DETACHED_WATCH_H

#include "detached/home.h"

/* Of one who waits, for all of that time; zeros at first. One thread at a time. */
struct lithops__watch {
    uint64_t progress;
    uint64_t start_ns; /* of the last supervisor that was started; 0: none was */
    unsigned starts;   /* in a row, that came to nothing */
};

/* To be called some times a second. Starts a supervisor if there is none, less often each time that
 * it comes to nothing.
 * @param progress  any number that changes when calls have ended, or new ones have come
 * @return 0; EBACKEND: none stays, or none can be started */
int lithops__watch_look(struct lithops__watch *watch, const struct lithops__home *home,
                        uint64_t progress, lithops_error *err);

#endif
