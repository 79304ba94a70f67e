/* SPDX-License-Identifier: Apache-2.0 */
#include "net/date.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

double lithops__http_date(const char *text)
{
    struct tm t = {0};
    char month[4];
    if (sscanf(text, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &t.tm_mday, month, &t.tm_year, &t.tm_hour,
               &t.tm_min, &t.tm_sec) != 6)
        return 0;
    const char *found = strstr(months, month);
    if (!found || (found - months) % 3 != 0)
        return 0;
    t.tm_mon = (int)(found - months) / 3;
    t.tm_year -= 1900;
    return (double)timegm(&t);
}

void lithops__http_date_write(time_t when, char ret_date[LITHOPS__HTTP_DATE])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    struct tm t;
    gmtime_r(&when, &t); /* strftime() would ask the locale for names */
    snprintf(ret_date, LITHOPS__HTTP_DATE, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT",
             days + 3 * t.tm_wday, t.tm_mday, months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour,
             t.tm_min, t.tm_sec);
}

double lithops__iso_date(const char *text)
{
    struct tm t = {0};
    int millis = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3d", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
               &t.tm_min, &t.tm_sec, &millis) < 6)
        return 0;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    return (double)timegm(&t) + millis / 1000.0;
}
