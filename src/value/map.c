/* SPDX-License-Identifier: Apache-2.0 */
/* Maps: string keys in insertion order.
 *
 * The pairs are an array. Up to SMALL_PAIRS a key is found by comparing, which is faster than
 * hashing for the maps that programs write by hand; a bigger map gets an index beside the array,
 * an open-addressed table of pair numbers. Keys cannot be removed, so the index needs no marks
 * for removed ones, and a pair keeps its number. */
#include "value/tree.h"

#include <stdlib.h>
#include <string.h>

#define SMALL_PAIRS 8u
#define NOT_FOUND SIZE_MAX

lithops_value *lithops_value_map(void)
{
    struct map *map = lithops__value_new(sizeof *map, LITHOPS_MAP);
    if (!map)
        return NULL;
    struct lithops_value head = map->head;
    head.levels = 1;
    *map = (struct map){.head = head};
    return &map->head;
}

void lithops__map_deinit(struct map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        free(map->entries[i].key);
        lithops__value_destroy(map->entries[i].value);
    }
    free(map->entries);
    free(map->index);
}

/* ---- finding --------------------------------------------------------------------------------- */

/* FNV-1a, folded. */
static uint32_t hash_of(const char *key, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)key[i]) * 0x100000001b3u;
    return (uint32_t)(hash ^ hash >> 32);
}

static bool is_key(const struct map_entry *entry, const char *key, size_t len)
{
    return entry->key_len == len && memcmp(entry->key, key, len) == 0;
}

size_t lithops__map_find(const struct map *map, const char *key, size_t key_len)
{
    if (!map->index) {
        for (size_t i = 0; i < map->count; i++)
            if (is_key(&map->entries[i], key, key_len))
                return i;
        return NOT_FOUND;
    }
    uint32_t hash = hash_of(key, key_len);
    size_t mask = map->index_size - 1;
    for (size_t slot = hash & mask; map->index[slot]; slot = (slot + 1) & mask) {
        size_t i = map->index[slot] - 1;
        if (map->entries[i].hash == hash && is_key(&map->entries[i], key, key_len))
            return i;
    }
    return NOT_FOUND;
}

static void index_add(struct map *map, size_t entry)
{
    size_t mask = map->index_size - 1;
    size_t slot = map->entries[entry].hash & mask;
    while (map->index[slot])
        slot = (slot + 1) & mask;
    map->index[slot] = (uint32_t)entry + 1;
}

/* Make the index, or double it, so that half of it is free after one more pair. */
static int index_reserve(struct map *map)
{
    if (map->count < SMALL_PAIRS || (map->index && 2 * (map->count + 1) <= map->index_size))
        return LITHOPS_OK;
    size_t size = map->index ? map->index_size * 2 : 4 * SMALL_PAIRS;
    uint32_t *index = calloc(size, sizeof *index);
    if (!index)
        return LITHOPS_ENOMEM;
    if (!map->index)
        for (size_t i = 0; i < map->count; i++)
            map->entries[i].hash = hash_of(map->entries[i].key, map->entries[i].key_len);
    free(map->index);
    map->index = index;
    map->index_size = size;
    for (size_t i = 0; i < map->count; i++)
        index_add(map, i);
    return LITHOPS_OK;
}

/* ---- building -------------------------------------------------------------------------------- */

bool lithops__map_key_valid(const char *key, size_t key_len)
{
    return !memchr(key, '\0', key_len) && lithops__utf8_valid(key, key_len);
}

static int entries_reserve(struct map *map)
{
    if (map->count < map->capacity)
        return LITHOPS_OK;
    size_t capacity = map->capacity ? map->capacity * 2 : 4;
    if (map->count >= UINT32_MAX - 1)
        return LITHOPS_ENOMEM; /* pair numbers have 32 bits */
    struct map_entry *entries = realloc(map->entries, capacity * sizeof *entries);
    if (!entries)
        return LITHOPS_ENOMEM;
    map->entries = entries;
    map->capacity = capacity;
    return LITHOPS_OK;
}

/* Everything that can fail comes before the pair is added. */
static int add(struct map *map, const char *key, size_t key_len, lithops_value *item)
{
    int code = entries_reserve(map);
    if (code == 0)
        code = index_reserve(map);
    if (code != 0)
        return code;
    char *own_key = key_len <= UINT32_MAX ? malloc(key_len + 1) : NULL;
    if (!own_key)
        return LITHOPS_ENOMEM;
    code = lithops__value_attach(&map->head, item);
    if (code != 0) {
        free(own_key);
        return code;
    }
    memcpy(own_key, key, key_len);
    own_key[key_len] = '\0';
    map->entries[map->count] =
        (struct map_entry){.key = own_key, .value = item, .key_len = (uint32_t)key_len};
    if (map->index) {
        map->entries[map->count].hash = hash_of(key, key_len);
        index_add(map, map->count);
    }
    map->count++;
    return LITHOPS_OK;
}

int lithops__map_set(struct map *map, const char *key, size_t key_len, lithops_value *item)
{
    int code;
    size_t i = lithops__map_find(map, key, key_len);
    if (i == NOT_FOUND) {
        code = add(map, key, key_len, item);
    } else if ((code = lithops__value_attach(&map->head, item)) == 0) {
        lithops__value_destroy(map->entries[i].value);
        map->entries[i].value = item;
    }
    if (code != 0)
        lithops__value_reject(&map->head, item);
    return code;
}

int lithops_value_set(lithops_value *value, const char *key, lithops_value *item)
{
    int code = LITHOPS_OK;
    size_t key_len = key ? strlen(key) : 0;
    if (!value || !item || !key || !lithops__utf8_valid(key, key_len))
        code = LITHOPS_EUSAGE;
    else if (value->type != LITHOPS_MAP)
        code = LITHOPS_ETYPE;
    if (code == 0)
        return lithops__map_set((struct map *)value, key, key_len, item);
    lithops__value_reject(value, item);
    return code;
}

lithops_value *lithops__map_copy(const struct map *map)
{
    lithops_value *copy = lithops_value_map();
    for (size_t i = 0; copy && i < map->count; i++) {
        const struct map_entry *entry = &map->entries[i];
        lithops_value *item = lithops_value_copy(entry->value);
        if (!item || lithops__map_set((struct map *)copy, entry->key, entry->key_len, item) != 0) {
            lithops_value_free(copy);
            return NULL;
        }
    }
    return copy;
}

/* ---- reading --------------------------------------------------------------------------------- */

const lithops_value *lithops_value_get(const lithops_value *value, const char *key)
{
    if (lithops_value_type(value) != LITHOPS_MAP || !key)
        return NULL;
    const struct map *map = (const struct map *)value;
    size_t i = lithops__map_find(map, key, strlen(key));
    return i == NOT_FOUND ? NULL : map->entries[i].value;
}

const lithops_value *lithops_value_pair(const lithops_value *value, size_t index,
                                        const char **ret_key)
{
    const struct map *map = (const struct map *)value;
    if (lithops_value_type(value) != LITHOPS_MAP || index >= map->count)
        return NULL;
    if (ret_key)
        *ret_key = map->entries[index].key;
    return map->entries[index].value;
}

/* The order of the pairs does not matter. */
bool lithops__map_equal(const struct map *a, const struct map *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct map_entry *entry = &a->entries[i];
        size_t j = lithops__map_find(b, entry->key, entry->key_len);
        if (j == NOT_FOUND || !lithops_value_equal(entry->value, b->entries[j].value))
            return false;
    }
    return true;
}
