/* SPDX-License-Identifier: Apache-2.0 */
/* What says that an object of a link has been written: its name below the executor's folder, and
 * in a notice of a broker a line feed and, if it is short, the object itself.
 *
 *     <link>/<token>/<number>                      of a list
 *     <link>/<token>/<number>\n[<object>]          of a broker */
#ifndef LITHOPS_CARRIER_NOTICE_H
#define LITHOPS_CARRIER_NOTICE_H

#include "base/buffer.h"

#include <lithops/base.h>

enum { LITHOPS__NOTICE_OBJECT = 64 << 10 }; /* bytes of an object that goes along at most */

struct lithops__notice {
    const char *link, *token; /* borrowed; no NUL follows */
    size_t link_len;
    uint32_t number;
    lithops_bytes object; /* len 0: it is in the storage only */
};

/* Read the name of an object, or a whole notice. False: it is none. */
bool lithops__notice_read_name(lithops_bytes name, struct lithops__notice *ret);
bool lithops__notice_read(lithops_bytes bytes, struct lithops__notice *ret);
/* Append a notice. A long object is left out, also where the notice would exceed `most` bytes. */
void lithops__notice_write(struct lithops__buffer *out, const char *link, const char *token,
                           uint32_t number, lithops_bytes object, size_t most);

#endif
