/* SPDX-License-Identifier: Apache-2.0 */
/* Values as the engine sees them: their MessagePack form, and what makes big lists cheap. */
#ifndef LITHOPS_VALUE_INTERNAL_H
#define LITHOPS_VALUE_INTERNAL_H

#include "base/buffer.h"

#include <lithops/plugin/runtime.h>
#include <lithops/value.h>

/* MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md): str for strings, bin for
 * bytes, the shortest form for everything. */

/* Append one encoded value. 0; LITHOPS_EUSAGE for NULL; LITHOPS_ENOMEM. */
int lithops__value_encode(const lithops_value *value, struct lithops__buffer *out,
                          lithops_error *err);
/* Decode exactly `len` bytes. Copies. NULL with LITHOPS_EPARSE on anything else: truncated or
 * trailing bytes, a key other than a string, ext types, bad UTF-8, more than 512 levels, sizes that
 * the bytes cannot hold. */
lithops_value *lithops__value_decode(const void *data, size_t len, lithops_error *err);

/* A string or bytes value that borrows its content (not NUL-terminated for strings, so that
 * lithops_value_get_string() copies once, on first use). That a string's content is UTF-8 is not
 * checked: it comes from a value. NULL when memory is out, or for another type. */
lithops_value *lithops__value_view(lithops_type type, lithops_bytes content);

/* Text that need not be UTF-8, as names of files: a string, or bytes where it is not. Copies. NULL
 * when memory is out. */
lithops_value *lithops__value_text(const void *ptr, size_t len);

/* Bytes that the engine carries and does not read: LITHOPS_CONTENT_PACKED or LITHOPS_CONTENT_PICKLE
 * (see <lithops/plugin/runtime.h>). To everybody who does not ask they are of type LITHOPS_BYTES.
 */
lithops_value *lithops__value_opaque(lithops_content content, lithops_bytes bytes);
/* The inverse of lithops_payload_value(), for all values but lists and maps: false. Bytes are
 * borrowed from the value. */
bool lithops__value_payload(const lithops_value *value, lithops_payload *ret_payload);

/* How a list stores its items: the engine passes arrays on without making items. */
enum lithops__list_kind {
    LITHOPS__LIST_VALUES,   /* one lithops_value per item */
    LITHOPS__LIST_INTS,     /* data: const int64_t * */
    LITHOPS__LIST_DOUBLES,  /* data: const double * */
    LITHOPS__LIST_ITEMS,    /* data: bytes, item_bytes each */
    LITHOPS__LIST_RANGE,    /* start, start + 1, ... */
    LITHOPS__LIST_PAYLOADS, /* data: const lithops_payload * */
};
struct lithops__list_view {
    enum lithops__list_kind kind;
    size_t count;
    const void *data;
    size_t item_bytes;
    int64_t start;
    bool objects; /* marked by lithops_objects() */
};
/* What `list` is made of; false when it is not a list. With LITHOPS__LIST_VALUES `data` is a
 * lithops_value *const *. */
bool lithops__value_list_view(const lithops_value *list, struct lithops__list_view *ret_view);

/* Strict UTF-8; NULs are allowed. */
bool lithops__utf8_valid(const void *ptr, size_t len);

/* JSON has no word for numbers that are not finite. */
enum lithops__json_numbers {
    LITHOPS__JSON_REFUSE, /* LITHOPS_ETYPE */
    LITHOPS__JSON_NAMES,  /* NaN, Infinity, -Infinity: as Python writes and reads them */
    LITHOPS__JSON_NULLS,  /* null: JSON in the strict sense */
};

/* As lithops_value_to_json(). */
int lithops__json_write(const lithops_value *value, enum lithops__json_numbers numbers,
                        char **ret_text, lithops_error *err);

/* As lithops_value_from_json(). `names`: NaN, Infinity and -Infinity are numbers. *ret_too_big: the
 * text is JSON, but a number in it fits neither int64_t nor double; NULL with LITHOPS_EPARSE. */
lithops_value *lithops__json_read(const char *text, size_t len, bool names, bool *ret_too_big,
                                  lithops_error *err);

/* As lithops_vpack(), and says what was wrong: LITHOPS_EUSAGE (the format, a NULL argument, text
 * that is not UTF-8, with its path), LITHOPS_ENOMEM. */
lithops_value *lithops__vpack(lithops_error *err, const char *format, va_list args);

/* Unpack where the arguments are those of an outer variadic function. As lithops_vunpack(), but
 * *format and *args move past what was used: one format item, for binding arguments one by one. */
int lithops__unpack_one(const lithops_value *value, lithops_error *err, const char **format,
                        va_list *args);

#endif
