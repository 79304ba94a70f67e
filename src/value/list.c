/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: built item by item, or backed by an array of the caller.
 *
 * A list over an array (ints, doubles, equal pieces of bytes, a range) stores no items: handing a
 * million inputs to map() costs one small allocation. Code in this library reads such a list with
 * lithops__list_item(), which puts the item on the stack; only lithops_value_at(), whose result
 * must outlive the call, creates items, a block at a time. Appending to such a list is refused,
 * since its array is not ours to grow. A copy owns its array. */
#include "value/tree.h"

#include <lithops/executor.h>

#include <stdlib.h>
#include <string.h>

/* Items are made in blocks: walking a list allocates once per block, asking for one item does not
 * make all. */
#define BLOCK_ITEMS 256u

static struct list *list_new(enum lithops__list_kind kind, size_t own_bytes)
{
    if (own_bytes > SIZE_MAX - sizeof(struct list))
        return NULL;
    struct list *list = lithops__value_new(sizeof *list + own_bytes, LITHOPS_LIST);
    if (!list)
        return NULL;
    struct lithops_value head = list->head;
    head.levels = 1;
    *list = (struct list){.head = head, .kind = kind};
    return list;
}

lithops_value *lithops_value_list(void)
{
    struct list *list = list_new(LITHOPS__LIST_VALUES, 0);
    return list ? &list->head : NULL;
}

lithops_value *lithops_strings(char *const *strings)
{
    if (!strings)
        return NULL;
    struct list *list = list_new(LITHOPS__LIST_VALUES, 0);
    for (size_t i = 0; list && strings[i]; i++)
        if (lithops_value_append(&list->head, lithops_value_string(strings[i])) != 0) {
            lithops_value_free(&list->head);
            return NULL;
        }
    return list ? &list->head : NULL;
}

/* A list over `data`; NULL if the size overflows. */
static lithops_value *list_over(enum lithops__list_kind kind, const void *data, size_t count,
                                size_t item_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, item_bytes, &bytes) || bytes > PTRDIFF_MAX ||
        (!data && bytes))
        return NULL;
    struct list *list = list_new(kind, 0);
    if (!list)
        return NULL;
    list->data = data ? data : "";
    list->count = count;
    list->item_bytes = item_bytes;
    return &list->head;
}

lithops_value *lithops_ints(const int64_t *ints, size_t count)
{
    return list_over(LITHOPS__LIST_INTS, ints, count, sizeof *ints);
}

lithops_value *lithops_doubles(const double *doubles, size_t count)
{
    return list_over(LITHOPS__LIST_DOUBLES, doubles, count, sizeof *doubles);
}

lithops_value *lithops_items(const void *items, size_t count, size_t item_bytes)
{
    return list_over(LITHOPS__LIST_ITEMS, items, count, item_bytes);
}

lithops_value *lithops_range(int64_t start, int64_t end)
{
    struct list *list = list_new(LITHOPS__LIST_RANGE, 0);
    if (!list)
        return NULL;
    list->start = start;
    list->count = end > start ? (size_t)((uint64_t)end - (uint64_t)start) : 0;
    return &list->head;
}

lithops_value *lithops_payloads(const lithops_payload *payloads, size_t count)
{
    return list_over(LITHOPS__LIST_PAYLOADS, payloads, count, sizeof *payloads);
}

lithops_value *lithops_objects(lithops_value *list)
{
    if (lithops_value_type(list) == LITHOPS_LIST)
        list->is_objects = true;
    return list;
}

/* Items that lithops_value_at() has made of payloads may have made terminated copies of strings. */
static void free_copies(const struct list *list, size_t block)
{
    size_t first = block * BLOCK_ITEMS;
    if (list->kind != LITHOPS__LIST_PAYLOADS || !list->blocks[block])
        return;
    for (size_t i = 0; i < BLOCK_ITEMS && first + i < list->count; i++)
        if (list->blocks[block][i].head.is_view)
            free(list->blocks[block][i].view.terminated);
}

void lithops__list_deinit(struct list *list)
{
    if (list->kind == LITHOPS__LIST_VALUES) {
        for (size_t i = 0; i < list->count; i++)
            lithops__value_destroy(list->items[i]);
        free(list->items);
    } else if (list->blocks) {
        for (size_t i = 0; i <= (list->count - 1) / BLOCK_ITEMS; i++) {
            free_copies(list, i);
            free(list->blocks[i]);
        }
        free(list->blocks);
    }
}

/* ---- building -------------------------------------------------------------------------------- */

int lithops__list_reserve(struct list *list, size_t count)
{
    if (count <= list->capacity)
        return LITHOPS_OK;
    size_t capacity = list->capacity ? list->capacity * 2 : 4;
    if (capacity < count)
        capacity = count;
    if (capacity > PTRDIFF_MAX / sizeof(lithops_value *))
        return LITHOPS_ENOMEM;
    lithops_value **items = realloc(list->items, capacity * sizeof(lithops_value *));
    if (!items)
        return LITHOPS_ENOMEM;
    list->items = items;
    list->capacity = capacity;
    return LITHOPS_OK;
}

int lithops_value_append(lithops_value *value, lithops_value *item)
{
    struct list *list = (struct list *)value;
    int code;
    if (!value || !item)
        code = LITHOPS_EUSAGE;
    else if (value->type != LITHOPS_LIST || list->kind != LITHOPS__LIST_VALUES)
        code = LITHOPS_ETYPE;
    else if ((code = lithops__list_reserve(list, list->count + 1)) == 0)
        code = lithops__value_attach(value, item);
    if (code != 0)
        lithops__value_reject(value, item);
    else
        list->items[list->count++] = item;
    return code;
}

lithops_value *lithops__list_copy(const struct list *list)
{
    bool by_item = list->kind == LITHOPS__LIST_VALUES || list->kind == LITHOPS__LIST_PAYLOADS;
    size_t bytes = by_item ? 0 : list->count * list->item_bytes; /* 0 for ranges too */
    struct list *copy = list_new(by_item ? LITHOPS__LIST_VALUES : list->kind, bytes);
    if (!copy)
        return NULL;
    copy->head.is_objects = list->head.is_objects;
    if (by_item) {
        bool failed = lithops__list_reserve(copy, list->count) != 0;
        for (size_t i = 0; i < list->count && !failed; i++) {
            union list_item scratch;
            const lithops_value *item = lithops__list_item(list, i, &scratch);
            failed = lithops_value_append(&copy->head, lithops_value_copy(item)) != 0;
        }
        if (!failed)
            return &copy->head;
        lithops_value_free(&copy->head);
        return NULL;
    }
    copy->count = list->count;
    copy->item_bytes = list->item_bytes;
    copy->start = list->start;
    copy->data = copy + 1;
    if (bytes)
        memcpy(copy + 1, list->data, bytes);
    return &copy->head;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void make_payload_item(const lithops_payload *payload, struct lithops_value head,
                              union list_item *item)
{
    static const lithops_type types[] = {LITHOPS_NULL, LITHOPS_BOOL, LITHOPS_INT, LITHOPS_DOUBLE,
                                         LITHOPS_STRING};
    head.type = (uint8_t)(payload->content <= LITHOPS_CONTENT_STRING ? types[payload->content]
                                                                     : LITHOPS_BYTES);
    if (payload->content > LITHOPS_CONTENT_BYTES)
        head.opaque = (uint8_t)payload->content;
    head.is_view = payload->content > LITHOPS_CONTENT_DOUBLE;
    if (head.is_view)
        item->view = (struct text_view){
            {head, payload->bytes.len ? payload->bytes.ptr : "", payload->bytes.len}, NULL};
    else if (payload->content == LITHOPS_CONTENT_BOOL)
        item->scalar = (struct scalar){head, {.b = payload->b}};
    else
        item->scalar = (struct scalar){head, {.i = payload->i}}; /* a double has the same bits */
}

static const lithops_value *make_item(const struct list *list, size_t index, union list_item *item)
{
    struct lithops_value head = {.parent = (lithops_value *)&list->head};
    if (list->kind == LITHOPS__LIST_PAYLOADS) {
        make_payload_item((const lithops_payload *)list->data + index, head, item);
    } else if (list->kind == LITHOPS__LIST_ITEMS) {
        head.type = LITHOPS_BYTES;
        item->text = (struct text){head, (const char *)list->data + index * list->item_bytes,
                                   list->item_bytes};
    } else if (list->kind == LITHOPS__LIST_DOUBLES) {
        head.type = LITHOPS_DOUBLE;
        item->scalar = (struct scalar){head, {.d = ((const double *)list->data)[index]}};
    } else {
        int64_t i = list->kind == LITHOPS__LIST_INTS ? ((const int64_t *)list->data)[index]
                                                     : (int64_t)((uint64_t)list->start + index);
        head.type = LITHOPS_INT;
        item->scalar = (struct scalar){head, {.i = i}};
    }
    return &item->head;
}

const lithops_value *lithops__list_item(const struct list *list, size_t index,
                                        union list_item *scratch)
{
    return list->kind == LITHOPS__LIST_VALUES ? list->items[index]
                                              : make_item(list, index, scratch);
}

const lithops_value *lithops_value_at(const lithops_value *value, size_t index)
{
    struct list *list = (struct list *)value;
    if (lithops_value_type(value) != LITHOPS_LIST || index >= list->count)
        return NULL;
    if (list->kind == LITHOPS__LIST_VALUES)
        return list->items[index];
    if (!list->blocks &&
        !(list->blocks = calloc((list->count - 1) / BLOCK_ITEMS + 1, sizeof(union list_item *))))
        return NULL;
    union list_item **block = &list->blocks[index / BLOCK_ITEMS];
    if (!*block) {
        size_t first = index - index % BLOCK_ITEMS;
        size_t count = list->count - first < BLOCK_ITEMS ? list->count - first : BLOCK_ITEMS;
        if (!(*block = malloc(count * sizeof **block)))
            return NULL;
        for (size_t i = 0; i < count; i++)
            make_item(list, first + i, &(*block)[i]);
    }
    return &(*block)[index % BLOCK_ITEMS].head;
}

bool lithops__list_equal(const struct list *a, const struct list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        union list_item from_a, from_b;
        if (!lithops_value_equal(lithops__list_item(a, i, &from_a),
                                 lithops__list_item(b, i, &from_b)))
            return false;
    }
    return true;
}

bool lithops__value_list_view(const lithops_value *value, struct lithops__list_view *ret_view)
{
    if (lithops_value_type(value) != LITHOPS_LIST)
        return false;
    const struct list *list = (const struct list *)value;
    *ret_view = (struct lithops__list_view){
        .kind = list->kind,
        .count = list->count,
        .data = list->kind == LITHOPS__LIST_VALUES ? list->items : list->data,
        .item_bytes = list->item_bytes,
        .start = list->start,
        .objects = list->head.is_objects,
    };
    return true;
}
