/* SPDX-License-Identifier: Apache-2.0 */
/* Round numbers for axes, and numbers as people read them. */
#ifndef LITHOPS_PLOT_SCALE_H
#define LITHOPS_PLOT_SCALE_H

#include <stddef.h>

struct lithops__time_unit {
    const char *name; /* "ms" */
    double seconds;
};

/* The unit in which `seconds` reads as a number of some 1 to 1000, from microseconds on. */
struct lithops__time_unit lithops__time_unit_for(double seconds);

/* The smallest of 1, 2, 5 times a power of ten that cuts `range` into at most `most` steps. */
double lithops__tick_step(double range, int most);

/* "0.25" for a tick at 0.25 with steps of 0.05: as many digits as the step needs. */
void lithops__format_tick(char *buf, size_t size, double value, double step);
/* "1,234,567". */
void lithops__format_count(char *buf, size_t size, size_t count);
/* "1.24 ms": three digits; "under 1 µs". */
void lithops__format_time(char *buf, size_t size, double seconds);

#endif
