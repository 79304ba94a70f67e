/* SPDX-License-Identifier: Apache-2.0 */
/* Values: numbers and text, ownership, and what is said of every type.
 *
 * Lists are in list.c, maps in map.c; how values lie in memory, and what always holds, is in
 * tree.h. Joining two values (lithops__value_attach) is the one place where a tree grows and the
 * one place that has to be right: it ensures that each value has one owner and that depth is
 * bounded, so that everything else may recurse safely. */
#include "base/error.h"
#include "value/tree.h"

#include <stdlib.h>
#include <string.h>

static const struct scalar value_null = {.head = {.type = LITHOPS_NULL, .is_constant = true}};
static const struct scalar value_false = {.head = {.type = LITHOPS_BOOL, .is_constant = true}};
static const struct scalar value_true = {.head = {.type = LITHOPS_BOOL, .is_constant = true},
                                         .as.b = true};

/* ---- constructors ---------------------------------------------------------------------------- */

void *lithops__value_new(size_t size, lithops_type type)
{
    lithops_value *value = malloc(size);
    if (value)
        *value = (lithops_value){.type = (uint8_t)type};
    return value;
}

/* The constants are returned as non-const; is_constant protects them from being written or freed.
 */
lithops_value *lithops_value_null(void)
{
    return (lithops_value *)&value_null.head;
}

lithops_value *lithops_value_bool(bool b)
{
    return (lithops_value *)(b ? &value_true.head : &value_false.head);
}

lithops_value *lithops_value_int(int64_t i)
{
    struct scalar *scalar = lithops__value_new(sizeof *scalar, LITHOPS_INT);
    if (!scalar)
        return NULL;
    scalar->as.i = i;
    return &scalar->head;
}

lithops_value *lithops_value_double(double d)
{
    struct scalar *scalar = lithops__value_new(sizeof *scalar, LITHOPS_DOUBLE);
    if (!scalar)
        return NULL;
    scalar->as.d = d;
    return &scalar->head;
}

lithops_value *lithops__text_new(lithops_type type, const void *ptr, size_t len)
{
    struct text *text = NULL;
    if (len < SIZE_MAX - sizeof *text)
        text = lithops__value_new(sizeof *text + len + 1, type);
    if (!text)
        return NULL;
    char *content = (char *)(text + 1);
    if (len)
        memcpy(content, ptr, len);
    content[len] = '\0';
    text->ptr = content;
    text->len = len;
    return &text->head;
}

lithops_value *lithops_value_string_n(const char *s, size_t len)
{
    if ((!s && len) || !lithops__utf8_valid(s, len))
        return NULL;
    return lithops__text_new(LITHOPS_STRING, s, len);
}

lithops_value *lithops__value_text(const void *ptr, size_t len)
{
    return lithops__text_new(lithops__utf8_valid(ptr, len) ? LITHOPS_STRING : LITHOPS_BYTES, ptr,
                             len);
}

lithops_value *lithops_value_string(const char *s)
{
    return s ? lithops_value_string_n(s, strlen(s)) : NULL;
}

lithops_value *lithops_value_bytes(const void *ptr, size_t len)
{
    if (!ptr && len)
        return NULL;
    return lithops__text_new(LITHOPS_BYTES, ptr, len);
}

lithops_value *lithops__value_view(lithops_type type, lithops_bytes content)
{
    if ((type != LITHOPS_STRING && type != LITHOPS_BYTES) || (!content.ptr && content.len))
        return NULL;
    struct text_view *view = lithops__value_new(sizeof *view, type);
    if (!view)
        return NULL;
    view->text.head.is_view = true;
    view->text.ptr = content.ptr ? content.ptr : "";
    view->text.len = content.len;
    view->terminated = NULL;
    return &view->text.head;
}

lithops_value *lithops__value_opaque(lithops_content content, lithops_bytes bytes)
{
    lithops_value *value = lithops__value_view(LITHOPS_BYTES, bytes);
    if (value)
        value->opaque = (uint8_t)content;
    return value;
}

/* ---- ownership ------------------------------------------------------------------------------- */

int lithops__value_attach(lithops_value *container, lithops_value *item)
{
    if (item->is_constant)
        return LITHOPS_OK;
    if (item->parent)
        return LITHOPS_EUSAGE;
    if (item->levels > 0) {
        size_t above = 0;
        for (const lithops_value *v = container; v; v = v->parent) {
            if (v == item)
                return LITHOPS_EUSAGE;
            above++;
        }
        if (above + item->levels > LITHOPS__MAX_LEVELS)
            return LITHOPS_EUSAGE;
        unsigned levels = item->levels + 1u;
        for (lithops_value *v = container; v && v->levels < levels; v = v->parent)
            v->levels = (uint16_t)levels++;
    }
    item->parent = container;
    return LITHOPS_OK;
}

void lithops__value_reject(const lithops_value *container, lithops_value *item)
{
    for (const lithops_value *v = container; v; v = v->parent)
        if (v == item)
            return; /* freeing it would free the container that the caller still holds */
    lithops_value_free(item);
}

void lithops__value_destroy(lithops_value *value)
{
    if (value->is_constant)
        return;
    if (value->type == LITHOPS_LIST)
        lithops__list_deinit((struct list *)value);
    else if (value->type == LITHOPS_MAP)
        lithops__map_deinit((struct map *)value);
    else if (value->is_view)
        free(((struct text_view *)value)->terminated);
    free(value);
}

void lithops_value_free(lithops_value *value)
{
    if (value && !value->parent)
        lithops__value_destroy(value);
}

static lithops_value *text_copy(const struct text *text)
{
    lithops_value *copy = lithops__text_new((lithops_type)text->head.type, text->ptr, text->len);
    if (copy)
        copy->opaque = text->head.opaque;
    return copy;
}

lithops_value *lithops_value_copy(const lithops_value *value)
{
    if (!value)
        return NULL;
    const struct text *text = (const struct text *)value;
    switch ((lithops_type)value->type) {
    case LITHOPS_INT:
        return lithops_value_int(((const struct scalar *)value)->as.i);
    case LITHOPS_DOUBLE:
        return lithops_value_double(((const struct scalar *)value)->as.d);
    case LITHOPS_STRING:
    case LITHOPS_BYTES:
        return text_copy(text);
    case LITHOPS_LIST:
        return lithops__list_copy((const struct list *)value);
    case LITHOPS_MAP:
        return lithops__map_copy((const struct map *)value);
    default:
        return value->type == LITHOPS_BOOL
                   ? lithops_value_bool(((const struct scalar *)value)->as.b)
                   : lithops_value_null();
    }
}

/* Doubles are equal when a program could not tell them apart by arithmetic; so a copy of
 * not-a-number equals it. An int never equals a double. */
static bool scalar_equal(const struct scalar *a, const struct scalar *b)
{
    switch ((lithops_type)a->head.type) {
    case LITHOPS_BOOL:
        return a->as.b == b->as.b;
    case LITHOPS_INT:
        return a->as.i == b->as.i;
    case LITHOPS_DOUBLE:
        return a->as.d == b->as.d || (a->as.d != a->as.d && b->as.d != b->as.d);
    default:
        return true;
    }
}

bool lithops_value_equal(const lithops_value *a, const lithops_value *b)
{
    if (!a || !b || a->type != b->type)
        return a == b;
    if (a->type == LITHOPS_LIST)
        return lithops__list_equal((const struct list *)a, (const struct list *)b);
    if (a->type == LITHOPS_MAP)
        return lithops__map_equal((const struct map *)a, (const struct map *)b);
    if (a->type == LITHOPS_STRING || a->type == LITHOPS_BYTES) {
        const struct text *s = (const struct text *)a, *t = (const struct text *)b;
        return s->len == t->len && memcmp(s->ptr, t->ptr, s->len) == 0;
    }
    return scalar_equal((const struct scalar *)a, (const struct scalar *)b);
}

/* ---- readers --------------------------------------------------------------------------------- */

lithops_type lithops_value_type(const lithops_value *value)
{
    return value ? (lithops_type)value->type : LITHOPS_NULL;
}

const char *lithops_type_name(lithops_type type)
{
    static const char *const names[] = {"null",   "bool",  "int",  "double",
                                        "string", "bytes", "list", "map"};
    return (size_t)type < sizeof names / sizeof *names ? names[type] : "unknown type";
}

bool lithops_value_get_bool(const lithops_value *value)
{
    return lithops_value_type(value) == LITHOPS_BOOL && ((const struct scalar *)value)->as.b;
}

int64_t lithops_value_get_int(const lithops_value *value)
{
    return lithops_value_type(value) == LITHOPS_INT ? ((const struct scalar *)value)->as.i : 0;
}

double lithops_value_get_double(const lithops_value *value)
{
    const struct scalar *scalar = (const struct scalar *)value;
    switch (lithops_value_type(value)) {
    case LITHOPS_INT:
        return (double)scalar->as.i;
    case LITHOPS_DOUBLE:
        return scalar->as.d;
    default:
        return 0;
    }
}

/* Several threads may read a value that nobody changes, so the first copy made wins. */
static const char *view_string(struct text_view *view)
{
    char *terminated = __atomic_load_n(&view->terminated, __ATOMIC_ACQUIRE);
    if (terminated)
        return terminated;
    char *copy = malloc(view->text.len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, view->text.ptr, view->text.len);
    copy[view->text.len] = '\0';
    if (__atomic_compare_exchange_n(&view->terminated, &terminated, copy, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return copy;
    free(copy);
    return terminated;
}

const char *lithops_value_get_string(const lithops_value *value)
{
    if (lithops_value_type(value) != LITHOPS_STRING)
        return NULL;
    return value->is_view ? view_string((struct text_view *)value)
                          : ((const struct text *)value)->ptr;
}

lithops_bytes lithops_value_get_bytes(const lithops_value *value)
{
    lithops_type type = lithops_value_type(value);
    if (type != LITHOPS_STRING && type != LITHOPS_BYTES)
        return (lithops_bytes){NULL, 0};
    const struct text *text = (const struct text *)value;
    return (lithops_bytes){text->ptr, text->len};
}

size_t lithops_value_size(const lithops_value *value)
{
    switch (lithops_value_type(value)) {
    case LITHOPS_LIST:
        return ((const struct list *)value)->count;
    case LITHOPS_MAP:
        return ((const struct map *)value)->count;
    default:
        return 0;
    }
}
