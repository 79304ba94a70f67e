/* SPDX-License-Identifier: Apache-2.0 */
/* How values lie in memory. For the files of src/value alone.
 *
 * Every value starts with `struct lithops_value`; its type says which of the structs below it
 * is. Small values are one allocation: a number is 24 bytes, a string is its header and its text.
 *
 * Three invariants make a tree safe to walk:
 *   - A value has at most one owner: `parent` is set when it is put into a list or map, and such a
 *     value is neither put into another one nor freed alone.
 *   - A tree has at most LITHOPS__MAX_LEVELS lists and maps inside each other, which is checked
 *     where they are joined (lithops__value_attach); so recursion over a tree is bounded.
 *   - There are no cycles, by the same check.
 * null, true and false are constants: shared by all trees and threads, never written, no parent. */
#ifndef LITHOPS_VALUE_TREE_H
#define LITHOPS_VALUE_TREE_H

#include "value/value.h"

#define LITHOPS__MAX_LEVELS 512

/* In JSON, bytes are a map of this one key and a base64 string. */
#define LITHOPS__JSON_BYTES_KEY "$bytes"

struct lithops_value {
    uint8_t type; /* a lithops_type */
    bool is_constant;
    bool is_view;    /* of a string or bytes: struct text_view */
    bool is_objects; /* of a list: marked by lithops_objects() */
    uint16_t levels; /* lists and maps inside each other, this one included; 0 for the others */
    uint8_t opaque;  /* of bytes: LITHOPS_CONTENT_PACKED or _PICKLE, else 0 */
    struct lithops_value *parent;
};

struct scalar { /* null, bool, int, double */
    struct lithops_value head;
    union {
        bool b;
        int64_t i;
        double d;
    } as;
};

struct text { /* string, bytes; its own content follows it, 16-byte aligned, NUL-terminated */
    struct lithops_value head;
    const char *ptr;
    size_t len;
};

struct text_view {
    struct text text; /* ptr is borrowed */
    char *terminated; /* made on first use by any thread, hence accessed atomically */
};

union list_item { /* an item of a list over an array, or of a range */
    struct lithops_value head;
    struct scalar scalar;
    struct text text;
    struct text_view view; /* of a payload */
};

struct list {
    struct lithops_value head;
    enum lithops__list_kind kind;
    size_t count;
    /* LITHOPS__LIST_VALUES: */
    lithops_value **items;
    size_t capacity;
    /* the other kinds: */
    const void *data; /* borrowed, or owned and right behind the struct */
    size_t item_bytes;
    int64_t start;
    union list_item **blocks; /* items that lithops_value_at() has made, a block at a time */
};

struct map_entry {
    char *key; /* NUL-terminated, holds no other NUL */
    lithops_value *value;
    uint32_t key_len;
    uint32_t hash; /* once there is an index */
};

struct map {
    struct lithops_value head;
    size_t count, capacity;
    struct map_entry *entries; /* in insertion order */
    uint32_t *index;           /* NULL while the map is small; entry number + 1, 0: free */
    size_t index_size;         /* a power of two, at least 2 * count */
};

/* ---- value.c --------------------------------------------------------------------------------- */

/* `size` bytes with the head filled in; NULL when memory is out. */
void *lithops__value_new(size_t size, lithops_type type);
/* A string or bytes value with a copy of the content. Does not check UTF-8. */
lithops_value *lithops__text_new(lithops_type type, const void *ptr, size_t len);
/* Free a value whose owner has dropped it, regardless of `parent`. */
void lithops__value_destroy(lithops_value *value);
/* Make `container` the owner of `item`. LITHOPS_EUSAGE when it has an owner, would own itself, or
 * makes the tree too deep; a failing caller then calls lithops__value_reject(). */
int lithops__value_attach(lithops_value *container, lithops_value *item);
/* Free what could not be attached, unless something else still owns it. */
void lithops__value_reject(const lithops_value *container, lithops_value *item);

/* ---- list.c ---------------------------------------------------------------------------------- */

/* The item at `index` (not past the end), without an allocation: `scratch` holds it where the list
 * does not. */
const lithops_value *lithops__list_item(const struct list *list, size_t index,
                                        union list_item *scratch);
/* Reserve room for `count` items, so that appending them cannot fail. */
int lithops__list_reserve(struct list *list, size_t count);
void lithops__list_deinit(struct list *list);
lithops_value *lithops__list_copy(const struct list *list);
bool lithops__list_equal(const struct list *a, const struct list *b);

/* ---- map.c ----------------------------------------------------------------------------------- */

/* The number of the pair, or SIZE_MAX. */
size_t lithops__map_find(const struct map *map, const char *key, size_t key_len);
/* As lithops_value_set(), with a key that is UTF-8 without NULs. */
int lithops__map_set(struct map *map, const char *key, size_t key_len, lithops_value *item);
/* A key may be any UTF-8 without NUL bytes. */
bool lithops__map_key_valid(const char *key, size_t key_len);
void lithops__map_deinit(struct map *map);
lithops_value *lithops__map_copy(const struct map *map);
bool lithops__map_equal(const struct map *a, const struct map *b);

#endif
