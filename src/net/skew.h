/* SPDX-License-Identifier: Apache-2.0 */
/* The clock by which requests to a server are signed, if that of this machine is wrong. */
#ifndef LITHOPS_NET_SKEW_H
#define LITHOPS_NET_SKEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

/* How far the server's clock is ahead of this machine's. Thread-safe; zeroed, they are the same. */
struct lithops__skew {
    atomic_llong ahead_s;
};

/* What the server's clock says now. */
time_t lithops__skew_time(const struct lithops__skew *skew);
/* From now on it is that of the header "Date" of an answer; the log says so. False: there is none
 * (NULL, or ""), or it is known already, but for `least_s` seconds.
 * @param part     of the log, as in "storage"
 * @param section  whose server it is */
bool lithops__skew_correct(struct lithops__skew *skew, const char *date, int least_s,
                           const char *part, const char *section);

#endif
