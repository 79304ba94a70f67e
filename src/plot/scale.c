/* SPDX-License-Identifier: Apache-2.0 */
/* Round numbers for axes, and numbers as people read them. */
#include "plot/scale.h"

#include <math.h>
#include <stdio.h>

struct lithops__time_unit lithops__time_unit_for(double seconds)
{
    static const struct lithops__time_unit units[] = {
        {"h", 3600}, {"min", 60}, {"s", 1}, {"ms", 1e-3}, {"µs", 1e-6}};
    /* Ten minutes still read well in seconds, and three hours in minutes. */
    static const double from[] = {3 * 3600, 600, 1, 1e-3, -INFINITY};
    size_t i = 0;
    while (seconds < from[i])
        i++;
    return units[i];
}

double lithops__tick_step(double range, int most)
{
    double least = range / most;
    double power = pow(10, floor(log10(least)));
    /* Tolerance for rounding, so that 0.2 / 0.1 does not count as more than 2. */
    double factor = least / power * (1 - 1e-9);
    return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

void lithops__format_tick(char *buf, size_t size, double value, double step)
{
    int decimals = (int)-floor(log10(step) + 1e-9);
    snprintf(buf, size, "%.*f", decimals > 0 ? decimals : 0, value);
}

void lithops__format_count(char *buf, size_t size, size_t count)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%zu", count);
    size_t used = 0;
    for (int i = 0; i < len && used + 2 < size; i++) {
        if (i && (len - i) % 3 == 0)
            buf[used++] = ',';
        buf[used++] = digits[i];
    }
    buf[used] = '\0';
}

void lithops__format_time(char *buf, size_t size, double seconds)
{
    struct lithops__time_unit unit = lithops__time_unit_for(seconds);
    double value = seconds / unit.seconds;
    if (value < 1)
        snprintf(buf, size, "under 1 %s", unit.name);
    else
        snprintf(buf, size, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, unit.name);
}
