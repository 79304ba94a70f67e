/* SPDX-License-Identifier: Apache-2.0 */
#include "net/skew.h"

#include "base/log.h"
#include "net/date.h"

#include <stdlib.h>

time_t lithops__skew_time(const struct lithops__skew *skew)
{
    return time(NULL) + (time_t)atomic_load(&skew->ahead_s);
}

bool lithops__skew_correct(struct lithops__skew *skew, const char *date, int least_s,
                           const char *part, const char *section)
{
    double server = date ? lithops__http_date(date) : 0;
    if (server == 0)
        return false;
    long long ahead_s = (long long)server - (long long)time(NULL);
    if (llabs(ahead_s - atomic_load(&skew->ahead_s)) < least_s)
        return false;
    lithops__log(LITHOPS_LOG_WARNING, part,
                 "%s: this machine's clock is off by %lld s; requests are signed with the server's "
                 "time",
                 section, -ahead_s);
    atomic_store(&skew->ahead_s, ahead_s);
    return true;
}
