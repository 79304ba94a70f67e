/* SPDX-License-Identifier: Apache-2.0 */
/* Values: what travels between client and calls when raw bytes are not enough.
 *
 * null, bool, int (64 bit), double, string (UTF-8), bytes, list, map (string keys, in insertion
 * order). A value is a tree with one owner; a value put into a list or map belongs to it. A tree
 * has at most 512 lists and maps inside each other. Values are for one thread at a time; a value
 * that nobody changes may be read by many.
 *
 * Ownership: functions that take a `lithops_value *` say whether they consume it. The calls that
 * start jobs (lithops_call_async, lithops_map, ...) consume their input even when they fail, so
 * `lithops_map(fexec, f, lithops_pack(...), ...)` needs no clean-up.
 *
 * A constructor returns NULL only when memory is out, or on a wrong format; every function takes
 * NULL for a value and reports it as an error, so constructors can be nested unchecked. */
#ifndef LITHOPS_VALUE_H
#define LITHOPS_VALUE_H

#include <lithops/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lithops_value lithops_value;

typedef enum lithops_type {
    LITHOPS_NULL,
    LITHOPS_BOOL,
    LITHOPS_INT,
    LITHOPS_DOUBLE,
    LITHOPS_STRING,
    LITHOPS_BYTES,
    LITHOPS_LIST,
    LITHOPS_MAP
} lithops_type;

/** @name Constructors. The caller owns the result. Strings and bytes are copied; a string must
 * be UTF-8 (NULL otherwise). */
/** @{ */
LITHOPS_PUBLIC lithops_value *lithops_value_null(void);
LITHOPS_PUBLIC lithops_value *lithops_value_bool(bool b);
LITHOPS_PUBLIC lithops_value *lithops_value_int(int64_t i);
LITHOPS_PUBLIC lithops_value *lithops_value_double(double d);
LITHOPS_PUBLIC lithops_value *lithops_value_string(const char *s);
LITHOPS_PUBLIC lithops_value *lithops_value_string_n(const char *s, size_t len);
LITHOPS_PUBLIC lithops_value *lithops_value_bytes(const void *ptr, size_t len);
LITHOPS_PUBLIC lithops_value *lithops_value_list(void);
LITHOPS_PUBLIC lithops_value *lithops_value_map(void);
/** @} */

/** @name Lists that are not built item by item: the cheap way to hand a million inputs to map().
 * All are lists to every reader. `lithops_strings` takes a NULL-terminated array (argv + 1),
 * copies the strings, and can be appended to. The others cannot, and BORROW their array, which
 * must live until the call that consumes the value returns. */
/** @{ */
LITHOPS_PUBLIC lithops_value *lithops_strings(char *const *strings);
LITHOPS_PUBLIC lithops_value *lithops_ints(const int64_t *ints, size_t count);
LITHOPS_PUBLIC lithops_value *lithops_doubles(const double *doubles, size_t count);
/** `count` byte items of `item_bytes` each, one after the other. */
LITHOPS_PUBLIC lithops_value *lithops_items(const void *items, size_t count, size_t item_bytes);
/** start, start + 1, ..., end - 1. */
LITHOPS_PUBLIC lithops_value *lithops_range(int64_t start, int64_t end);
/** @} */

/** NULL is fine; a value that belongs to a list or map is left alone. */
LITHOPS_PUBLIC void lithops_value_free(lithops_value *value);
/** A deep copy that borrows nothing, owned by the caller. NULL when memory is out. */
LITHOPS_PUBLIC lithops_value *lithops_value_copy(const lithops_value *value);
/** By type and content. An int never equals a double, not-a-number equals itself, the order of a
 * map's pairs does not count; how a list is stored makes no difference. */
LITHOPS_PUBLIC bool lithops_value_equal(const lithops_value *a, const lithops_value *b);

/** @name Readers. A wrong type (or NULL) gives NULL-like results: LITHOPS_NULL, false, 0, NULL. */
/** @{ */
LITHOPS_PUBLIC lithops_type lithops_value_type(const lithops_value *value);
LITHOPS_PUBLIC const char *lithops_type_name(lithops_type type); /* "int", "list", ... */
LITHOPS_PUBLIC bool lithops_value_get_bool(const lithops_value *value);
LITHOPS_PUBLIC int64_t lithops_value_get_int(const lithops_value *value);
/** An int is converted. */
LITHOPS_PUBLIC double lithops_value_get_double(const lithops_value *value);
/** NUL-terminated; may hold NULs inside, see lithops_value_get_bytes. Borrowed. */
LITHOPS_PUBLIC const char *lithops_value_get_string(const lithops_value *value);
/** Of bytes and strings. Borrowed. */
LITHOPS_PUBLIC lithops_bytes lithops_value_get_bytes(const lithops_value *value);
/** Items of a list, pairs of a map. */
LITHOPS_PUBLIC size_t lithops_value_size(const lithops_value *value);
/** The item at `index` of a list; borrowed. For `lithops_ints` and its kin the item is made on
 * first use (so, with these, one thread at a time). */
LITHOPS_PUBLIC const lithops_value *lithops_value_at(const lithops_value *list, size_t index);
/** The value for `key` of a map, or NULL; borrowed. */
LITHOPS_PUBLIC const lithops_value *lithops_value_get(const lithops_value *map, const char *key);
/** The pair at `index` of a map in insertion order; borrowed. NULL past the end. */
LITHOPS_PUBLIC const lithops_value *lithops_value_pair(const lithops_value *map, size_t index,
                                                       const char **ret_key);
/** @} */

/** @name Builders. They consume `item`, also on failure, unless it belongs to another value.
 * 0; LITHOPS_ENOMEM; LITHOPS_ETYPE (not a list or map); LITHOPS_EUSAGE: NULL, a key that is not
 * UTF-8, an item that belongs to a list or map already, more than 512 levels. */
/** @{ */
LITHOPS_PUBLIC int lithops_value_append(lithops_value *list, lithops_value *item);
/** Replaces the value of a key that is there. */
LITHOPS_PUBLIC int lithops_value_set(lithops_value *map, const char *key, lithops_value *item);
/** @} */

/** Build a value from a format, in the manner of jansson's json_pack().
 *
 *     n            null                       (no argument)
 *     b            bool                       (int)
 *     i  I         int                        (int, int64_t)
 *     f            double                     (double)
 *     s  s%        string                     (const char *) (const char *, size_t)
 *     y            bytes                      (const void *, size_t)
 *     o  O         value, consumed / copied   (lithops_value *)
 *     [ ... ]      list
 *     { s:x ... }  map; each pair a key and a value format
 *
 * A NULL string with `s?` is null. Blanks, `,` and `:` are ignored.
 * @return the value; NULL when the format is wrong, a string is not UTF-8 or NULL, or memory is
 *         out. The arguments to `o` are consumed in every case (where the format itself is wrong:
 *         those before the fault). */
LITHOPS_PUBLIC lithops_value *lithops_pack(const char *format, ...);
LITHOPS_PUBLIC lithops_value *lithops_vpack(const char *format, va_list args);

/** Take a value apart; the same letters with pointers: n, b (bool *), i (int *), I (int64_t *),
 * f (double *, accepts ints), s (const char **), s% (const char **, size_t *), y (lithops_bytes *,
 * accepts strings), o (const lithops_value **). `{s?:i}` skips a missing key; after the last
 * item `!` demands that nothing is left, `*` allows more (the default).
 * All stored pointers are borrowed from `value`.
 * @return 0; LITHOPS_ETYPE or LITHOPS_ENOTFOUND, naming the path ("key 'x': int expected, string
 *         given"), LITHOPS_EUSAGE for a wrong format; what was stored before stays stored */
LITHOPS_PUBLIC int lithops_unpack(const lithops_value *value, lithops_error *err,
                                  const char *format, ...);
LITHOPS_PUBLIC int lithops_vunpack(const lithops_value *value, lithops_error *err,
                                   const char *format, va_list args);

/** @name JSON text. Bytes have no JSON form: they are written as {"$bytes": "<base64>"} and read
 * back so. Not-a-number and infinities are refused (LITHOPS_ETYPE). */
/** @{ */
/** @return the value, owned by the caller; NULL with LITHOPS_EPARSE naming line and column */
LITHOPS_PUBLIC lithops_value *lithops_value_from_json(const char *text, size_t len,
                                                      lithops_error *err);
/** One line, no final newline, map keys in insertion order; `ret_text` is freed with free(). */
LITHOPS_PUBLIC int lithops_value_to_json(const lithops_value *value, char **ret_text,
                                         lithops_error *err);
/** @} */

#ifdef __cplusplus
}
#endif
#endif
