/* SPDX-License-Identifier: Apache-2.0 */
/* Walking a pack or unpack format. For pack.c and unpack.c. */
#ifndef LITHOPS_VALUE_FORMAT_H
#define LITHOPS_VALUE_FORMAT_H

#include "base/error.h"

struct format {
    const char *start;
    const char *at;
};

/* The next letter that means something, not moved past; '\0' at the end. */
static inline char format_peek(struct format *format)
{
    while (*format->at == ' ' || *format->at == '\t' || *format->at == '\n' || *format->at == ',' ||
           *format->at == ':')
        format->at++;
    return *format->at;
}

/* Move past `letter` if it comes next. */
static inline bool format_take(struct format *format, char letter)
{
    if (format_peek(format) != letter)
        return false;
    format->at++;
    return true;
}

/* LITHOPS_EUSAGE, and where in the format it went wrong. */
static inline int format_fail(const struct format *format, lithops_error *err, const char *what)
{
    return lithops__fail(err, LITHOPS_EUSAGE, "%s at offset %d of the format '%s'", what,
                         (int)(format->at - format->start), format->start);
}

#endif
