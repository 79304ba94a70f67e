/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of values, lists and maps: what they hold, who owns them, and what is refused. */
#include "value/value.h"

#include "value/random_value.h"

#include <lithops/executor.h>

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void readers_give_what_constructors_took(void **state)
{
    (void)state;
    lithops_value *v = lithops_value_int(INT64_MIN);
    assert_int_equal(lithops_value_type(v), LITHOPS_INT);
    assert_true(lithops_value_get_int(v) == INT64_MIN);
    assert_true(lithops_value_get_double(v) == -0x1p63);
    lithops_value_free(v);

    v = lithops_value_double(0.1);
    assert_true(lithops_value_get_double(v) == 0.1);
    assert_int_equal(lithops_value_get_int(v), 0);
    lithops_value_free(v);

    v = lithops_value_string_n("a\0b", 3);
    assert_memory_equal(lithops_value_get_string(v), "a\0b", 4);
    assert_int_equal(lithops_value_get_bytes(v).len, 3);
    lithops_value_free(v);

    v = lithops_value_bytes("\xff\0", 2);
    assert_null(lithops_value_get_string(v));
    assert_memory_equal(lithops_value_get_bytes(v).ptr, "\xff\0", 2);
    assert_int_equal((uintptr_t)lithops_value_get_bytes(v).ptr % 16, 0);
    lithops_value_free(v);

    assert_true(lithops_value_get_bool(lithops_value_bool(true)));
    assert_false(lithops_value_get_bool(lithops_value_bool(false)));
    assert_int_equal(lithops_value_type(lithops_value_null()), LITHOPS_NULL);
    lithops_value_free(lithops_value_null());
    lithops_value_free(lithops_value_null());
}

static void wrong_types_read_as_nothing(void **state)
{
    (void)state;
    lithops_value *values[] = {
        NULL,
        lithops_value_null(),
        lithops_value_bool(true),
        lithops_value_int(7),
        lithops_value_double(7),
        lithops_value_string("7"),
        lithops_value_bytes("7", 1),
        lithops_pack("[i]", 7),
        lithops_pack("{s:i}", "7", 7),
        lithops_range(7, 8),
    };
    for (size_t i = 0; i < sizeof values / sizeof(lithops_value *); i++) {
        const lithops_value *v = values[i];
        lithops_type type = lithops_value_type(v);
        assert_true(lithops_value_get_bool(v) == (type == LITHOPS_BOOL));
        assert_true(lithops_value_get_int(v) == (type == LITHOPS_INT ? 7 : 0));
        assert_true(lithops_value_get_double(v) ==
                    (type == LITHOPS_INT || type == LITHOPS_DOUBLE ? 7.0 : 0.0));
        assert_true((lithops_value_get_string(v) != NULL) == (type == LITHOPS_STRING));
        assert_true((lithops_value_get_bytes(v).ptr != NULL) ==
                    (type == LITHOPS_STRING || type == LITHOPS_BYTES));
        assert_true((lithops_value_size(v) == 1) == (type == LITHOPS_LIST || type == LITHOPS_MAP));
        assert_true((lithops_value_at(v, 0) != NULL) == (type == LITHOPS_LIST));
        assert_null(lithops_value_at(v, 1));
        assert_null(lithops_value_at(v, SIZE_MAX));
        assert_true((lithops_value_get(v, "7") != NULL) == (type == LITHOPS_MAP));
        assert_null(lithops_value_get(v, NULL));
        assert_null(lithops_value_get(v, "8"));
        assert_true((lithops_value_pair(v, 0, NULL) != NULL) == (type == LITHOPS_MAP));
        assert_null(lithops_value_pair(v, 1, NULL));
        assert_int_equal(lithops_value_append(values[i], NULL), LITHOPS_EUSAGE);
        assert_int_equal(lithops_value_set(values[i], "7", NULL), LITHOPS_EUSAGE);
        if (type != LITHOPS_MAP)
            assert_int_equal(lithops_value_set(values[i], "7", lithops_value_int(1)),
                             v ? LITHOPS_ETYPE : LITHOPS_EUSAGE);
        if (type != LITHOPS_LIST)
            assert_int_equal(lithops_value_append(values[i], lithops_value_int(1)),
                             v ? LITHOPS_ETYPE : LITHOPS_EUSAGE);
        struct lithops__list_view view;
        assert_true(lithops__value_list_view(v, &view) == (type == LITHOPS_LIST));
    }
    for (size_t i = 0; i < sizeof values / sizeof(lithops_value *); i++)
        lithops_value_free(values[i]);
    assert_string_equal(lithops_type_name(LITHOPS_MAP), "map");
    assert_string_equal(lithops_type_name((lithops_type)99), "unknown type");
}

static void text_must_be_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "plain, then \xe2\x82\xac, then plain again"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xc2\xc0",
                                      "\xe0\x9f\xbf",
                                      "\xe0\xa0",
                                      "\xe2\x82",
                                      "\xe2\x82\x41",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x90\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "eight by\xe2\x82",
                                      "1234567\xff"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        lithops_value *v = lithops_value_string(good[i]);
        assert_non_null(v);
        lithops_value_free(v);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(lithops_value_string(bad[i]));
        /* the same in every place of a longer text */
        for (size_t at = 0; at < 20; at++) {
            char text[64];
            memset(text, 'x', sizeof text);
            memcpy(text + at, bad[i], strlen(bad[i]));
            assert_false(lithops__utf8_valid(text, sizeof text));
        }
    }
    assert_null(lithops_value_string(NULL));
    assert_null(lithops_value_string_n(NULL, 1));
    assert_null(lithops_value_bytes(NULL, 1));
    assert_null(lithops_value_bytes("x", SIZE_MAX));
    lithops_value *map = lithops_value_map();
    assert_int_equal(lithops_value_set(map, "\xff", lithops_value_int(1)), LITHOPS_EUSAGE);
    assert_int_equal(lithops_value_set(map, NULL, lithops_value_int(1)), LITHOPS_EUSAGE);
    assert_int_equal(lithops_value_size(map), 0);
    lithops_value_free(map);
}

/* Compare our check with an encoder: it must accept exactly the bytes that the encoder makes. */
static void utf8_is_what_an_encoder_makes(void **state)
{
    (void)state;
    size_t valid = 0;
    for (uint32_t bytes = 0; bytes < 1 << 24; bytes++) {
        unsigned char text[3] = {(unsigned char)(bytes >> 16), (unsigned char)(bytes >> 8),
                                 (unsigned char)bytes};
        valid += lithops__utf8_valid(text, 3);
    }
    /* three bytes: all mixes of one-byte, two-byte and three-byte characters */
    size_t one = 0x80, two = 0x800 - 0x80, three = 0x10000 - 0x800 - 0x800 /* surrogates */;
    assert_int_equal(valid, one * one * one + 2 * one * two + three);
}

static void a_value_has_one_owner(void **state)
{
    (void)state;
    lithops_value *list = lithops_value_list(), *map = lithops_value_map();
    lithops_value *item = lithops_value_int(5);
    assert_int_equal(lithops_value_append(list, item), 0);
    lithops_value_free(item); /* belongs to the list: nothing happens */
    assert_int_equal(lithops_value_append(list, item), LITHOPS_EUSAGE);
    assert_int_equal(lithops_value_set(map, "x", item), LITHOPS_EUSAGE);
    assert_int_equal(lithops_value_get_int(lithops_value_at(list, 0)), 5);
    assert_int_equal(lithops_value_size(list), 1);
    assert_int_equal(lithops_value_size(map), 0);

    assert_int_equal(lithops_value_append(list, list), LITHOPS_EUSAGE);
    assert_int_equal(lithops_value_set(map, "self", map), LITHOPS_EUSAGE);
    assert_int_equal(lithops_value_set(map, "list", list), 0);
    assert_int_equal(lithops_value_append(list, map), LITHOPS_EUSAGE); /* a cycle */
    assert_int_equal(lithops_value_append(list, lithops_value_string("more")), 0);
    assert_int_equal(lithops_value_size(lithops_value_get(map, "list")), 2);

    /* nobody owns constants */
    assert_int_equal(lithops_value_append(list, lithops_value_null()), 0);
    assert_int_equal(lithops_value_append(list, lithops_value_null()), 0);

    /* setting again frees the old value, and setting the same one again is refused */
    item = lithops_value_string("new");
    assert_int_equal(lithops_value_set(map, "list", item), 0);
    assert_int_equal(lithops_value_set(map, "list", item), LITHOPS_EUSAGE);
    assert_string_equal(lithops_value_get_string(lithops_value_get(map, "list")), "new");
    lithops_value_free(map);
}

/* A chain of `levels` lists and maps, put together from the inside or from the outside. */
static lithops_value *chain(int levels, bool from_inside)
{
    lithops_value *outer = lithops_value_list(), *inner = outer;
    for (int i = 1; i < levels; i++) {
        lithops_value *next = i % 2 ? lithops_value_map() : lithops_value_list();
        lithops_value *parent = from_inside ? next : inner;
        lithops_value *child = from_inside ? outer : next;
        int code = lithops_value_type(parent) == LITHOPS_MAP ? lithops_value_set(parent, "x", child)
                                                             : lithops_value_append(parent, child);
        if (code != 0) {
            assert_int_equal(code, LITHOPS_EUSAGE);
            lithops_value_free(parent == next ? next : outer);
            return NULL;
        }
        if (from_inside)
            outer = next;
        else
            inner = next;
    }
    return outer;
}

static void depth_is_bounded_however_a_tree_grows(void **state)
{
    (void)state;
    for (int from_inside = 0; from_inside < 2; from_inside++) {
        lithops_value *deepest = chain(512, from_inside);
        assert_non_null(deepest);
        assert_null(chain(513, from_inside));
        lithops_value *copy = lithops_value_copy(deepest);
        assert_true(lithops_value_equal(copy, deepest));
        lithops_value *around = lithops_value_list();
        assert_int_equal(lithops_value_append(around, deepest), LITHOPS_EUSAGE); /* and frees it */
        lithops_value_free(around);
        lithops_value_free(copy);
    }
    /* two halves that fit, and two that do not */
    lithops_value *list = lithops_value_list();
    assert_int_equal(lithops_value_append(list, chain(511, false)), 0);
    assert_int_equal(lithops_value_append(list, chain(512, false)), LITHOPS_EUSAGE);
    assert_int_equal(lithops_value_append(list, lithops_value_int(1)), 0);
    lithops_value_free(list);
}

static void lists_grow(void **state)
{
    (void)state;
    lithops_value *list = lithops_value_list();
    for (int i = 0; i < 100000; i++)
        assert_int_equal(lithops_value_append(list, lithops_value_int(i)), 0);
    assert_int_equal(lithops_value_size(list), 100000);
    for (size_t i = 0; i < 100000; i += 977)
        assert_int_equal(lithops_value_get_int(lithops_value_at(list, i)), i);
    lithops_value *range = lithops_range(0, 100000);
    assert_true(lithops_value_equal(list, range));
    assert_true(lithops_value_equal(range, list));
    lithops_value_free(range);
    lithops_value_free(list);
}

static void lists_over_arrays_read_like_lists(void **state)
{
    (void)state;
    const int64_t ints[] = {1, -2, INT64_MAX};
    const double doubles[] = {0.5, -0.0};
    lithops_value *lists[] = {lithops_ints(ints, 3), lithops_doubles(doubles, 2),
                              lithops_items("abcdef", 3, 2), lithops_range(-1, 2)};
    lithops_value *plain[] = {
        lithops_pack("[III]", ints[0], ints[1], ints[2]), lithops_pack("[ff]", 0.5, -0.0),
        lithops_pack("[yyy]", "ab", (size_t)2, "cd", (size_t)2, "ef", (size_t)2),
        lithops_pack("[iii]", -1, 0, 1)};
    for (size_t k = 0; k < 4; k++) {
        assert_true(lithops_value_equal(lists[k], plain[k]));
        assert_true(lithops_value_equal(plain[k], lists[k]));
        lithops_value *copy = lithops_value_copy(lists[k]);
        assert_true(lithops_value_equal(copy, plain[k]));
        const lithops_value *item = lithops_value_at(lists[k], 1);
        assert_true(lithops_value_equal(item, lithops_value_at(plain[k], 1)));
        assert_ptr_equal(item, lithops_value_at(lists[k], 1)); /* stays where it is */
        lithops_value *item_copy = lithops_value_copy(item);
        assert_true(lithops_value_equal(item, item_copy));
        lithops_value_free(item_copy);
        assert_int_equal(lithops_value_append(lists[k], lithops_value_int(1)), LITHOPS_ETYPE);
        lithops_value_free(copy);
        lithops_value_free(lists[k]);
        lithops_value_free(plain[k]);
    }
}

static void a_copy_of_a_list_owns_its_array(void **state)
{
    (void)state;
    int64_t *ints = malloc(3 * sizeof *ints);
    memcpy(ints, (int64_t[]){1, 2, 3}, 3 * sizeof *ints);
    lithops_value *list = lithops_objects(lithops_ints(ints, 3));
    lithops_value *copy = lithops_value_copy(list);
    lithops_value_free(list);
    free(ints);
    assert_int_equal(lithops_value_get_int(lithops_value_at(copy, 2)), 3);
    struct lithops__list_view view;
    assert_true(lithops__value_list_view(copy, &view));
    assert_int_equal(view.kind, LITHOPS__LIST_INTS);
    assert_int_equal(view.count, 3);
    assert_int_equal(view.item_bytes, 8);
    assert_int_equal(((const int64_t *)view.data)[1], 2);
    assert_true(view.objects);
    lithops_value_free(copy);
    assert_null(lithops_objects(NULL));
}

static void odd_arrays(void **state)
{
    (void)state;
    assert_null(lithops_ints(NULL, 1));
    assert_null(lithops_ints((int64_t[]){1}, SIZE_MAX / 4));
    assert_null(lithops_doubles(NULL, 1));
    assert_null(lithops_items(NULL, 1, 1));
    assert_null(lithops_items("x", SIZE_MAX, SIZE_MAX));
    assert_null(lithops_strings(NULL));
    assert_null(lithops_strings((char *[]){(char *)"ok", (char *)"\xff", NULL}));

    lithops_value *empty[] = {lithops_ints(NULL, 0), lithops_items(NULL, 0, 4), lithops_range(5, 5),
                              lithops_range(INT64_MAX, INT64_MIN),
                              lithops_strings((char *[]){NULL})};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(lithops_value_size(empty[i]), 0);
        assert_null(lithops_value_at(empty[i], 0));
        assert_true(lithops_value_equal(empty[0], empty[i]));
    }
    for (size_t i = 0; i < 5; i++)
        lithops_value_free(empty[i]);
    lithops_value *items = lithops_items(NULL, 3, 0); /* three empty ones */
    assert_int_equal(lithops_value_get_bytes(lithops_value_at(items, 2)).len, 0);
    lithops_value_free(items);

    lithops_value *strings = lithops_strings((char *[]){(char *)"a", (char *)"", NULL});
    assert_int_equal(lithops_value_append(strings, lithops_value_string("b")), 0);
    assert_string_equal(lithops_value_get_string(lithops_value_at(strings, 2)), "b");
    lithops_value_free(strings);
}

/* By default sanitizers end the program where malloc() would return NULL, which is tested here. */
LITHOPS_PUBLIC const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
LITHOPS_PUBLIC const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void huge_ranges_cost_nothing(void **state)
{
    (void)state;
    lithops_value *range = lithops_range(INT64_MIN, INT64_MAX);
    assert_true(lithops_value_size(range) == SIZE_MAX);
    lithops_value *copy = lithops_value_copy(range);
    assert_null(lithops_value_at(copy, 0)); /* more blocks than there is memory for */
    lithops_value_free(copy);
    lithops_value_free(range);
    range = lithops_range(-500000, 500000);
    assert_int_equal(lithops_value_get_int(lithops_value_at(range, 999999)), 499999);
    assert_int_equal(lithops_value_get_int(lithops_value_at(range, 256)), -499744);
    lithops_value_free(range);
}

static void maps_keep_order_and_replace(void **state)
{
    (void)state;
    lithops_value *map = lithops_value_map();
    char key[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20000; i++) {
            snprintf(key, sizeof key, "key %d", i * 7919 % 20000);
            assert_int_equal(lithops_value_set(map, key, lithops_value_int(i + round)), 0);
        }
    assert_int_equal(lithops_value_size(map), 20000);
    for (int i = 0; i < 20000; i++) {
        const char *found;
        snprintf(key, sizeof key, "key %d", i * 7919 % 20000);
        assert_int_equal(lithops_value_get_int(lithops_value_get(map, key)), i + 1);
        assert_int_equal(lithops_value_get_int(lithops_value_pair(map, (size_t)i, &found)), i + 1);
        assert_string_equal(found, key);
    }
    assert_null(lithops_value_get(map, "key"));
    lithops_value *copy = lithops_value_copy(map);
    assert_true(lithops_value_equal(copy, map));
    lithops_value_set(copy, "key 5", lithops_value_null());
    assert_false(lithops_value_equal(copy, map));
    lithops_value_free(copy);
    lithops_value_free(map);
}

static double seconds_for_map_of(int count)
{
    struct timespec start, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    lithops_value *map = lithops_value_map();
    char key[32];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%d", i);
        lithops_value_set(map, key, lithops_value_null());
    }
    lithops_value_free(map);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
}

static void big_maps_are_not_quadratic(void **state)
{
    (void)state;
    double small = seconds_for_map_of(20000), big = seconds_for_map_of(320000);
    assert_true(big < small * 100); /* 16 times as many; a quadratic one takes 256 times as long */
}

static void equality_is_by_content(void **state)
{
    (void)state;
    lithops_value *v[] = {
        lithops_value_null(),
        lithops_value_bool(false),
        lithops_value_bool(true),
        lithops_value_int(1),
        lithops_value_double(1),
        lithops_value_string("1"),
        lithops_value_bytes("1", 1),
        lithops_pack("[i]", 1),
        lithops_pack("[ii]", 1, 1),
        lithops_pack("[f]", 1.0),
        lithops_pack("{s:i}", "1", 1),
        lithops_pack("{s:i}", "2", 1),
        lithops_pack("{s:i,s:i}", "1", 1, "2", 1),
        lithops_value_string(""),
        lithops_value_list(),
        lithops_value_map(),
    };
    size_t count = sizeof v / sizeof(lithops_value *);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            assert_true(lithops_value_equal(v[i], v[k]) == (i == k));
    assert_true(lithops_value_equal(NULL, NULL));
    assert_false(lithops_value_equal(NULL, v[0]));
    assert_null(lithops_value_copy(NULL));
    for (size_t i = 0; i < count; i++)
        lithops_value_free(v[i]);

    lithops_value *a = lithops_pack("{s:i,s:f}", "x", 1, "y", NAN);
    lithops_value *b = lithops_pack("{s:f,s:i}", "y", NAN, "x", 1);
    assert_true(lithops_value_equal(a, b)); /* order does not count; not-a-number equals itself */
    lithops_value_free(a);
    lithops_value_free(b);
}

static void copies_are_equal_and_apart(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        lithops_value *v = random_value(4);
        lithops_value *copy = lithops_value_copy(v);
        assert_non_null(copy);
        assert_true(lithops_value_equal(v, copy));
        assert_true(lithops_value_equal(copy, v));
        lithops_value_free(v);
        lithops_value *again = lithops_value_copy(copy);
        assert_true(lithops_value_equal(again, copy));
        lithops_value_free(again);
        lithops_value_free(copy);
    }
}

static void views_borrow(void **state)
{
    (void)state;
    char shared[] = "text and more";
    lithops_value *view = lithops__value_view(LITHOPS_STRING, (lithops_bytes){shared, 4});
    assert_ptr_equal(lithops_value_get_bytes(view).ptr, shared);
    assert_string_equal(lithops_value_get_string(view), "text");
    assert_ptr_equal(lithops_value_get_string(view), lithops_value_get_string(view));
    assert_ptr_equal(lithops_value_get_bytes(view).ptr, shared);
    lithops_value *text = lithops_value_string("text");
    assert_true(lithops_value_equal(view, text));
    lithops_value *copy = lithops_value_copy(view);
    lithops_value_free(view);
    shared[0] = 'T';
    assert_string_equal(lithops_value_get_string(copy), "text");
    lithops_value_free(copy);
    lithops_value_free(text);

    view = lithops__value_view(LITHOPS_BYTES, (lithops_bytes){NULL, 0});
    assert_int_equal(lithops_value_get_bytes(view).len, 0);
    assert_null(lithops_value_get_string(view));
    lithops_value_free(view);
    assert_null(lithops__value_view(LITHOPS_INT, (lithops_bytes){"x", 1}));
    assert_null(lithops__value_view(LITHOPS_BYTES, (lithops_bytes){NULL, 1}));
}

static void *read_view(void *view)
{
    return (void *)lithops_value_get_string(view);
}

static void many_threads_may_read_a_view(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        lithops_value *view = lithops__value_view(LITHOPS_STRING, (lithops_bytes){"shared", 4});
        pthread_t threads[4];
        void *read[4];
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, read_view, view), 0);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], &read[i]);
        for (int i = 0; i < 4; i++)
            assert_ptr_equal(read[i], read[0]);
        assert_string_equal(read[0], "shar");
        lithops_value_free(view);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_give_what_constructors_took),
        cmocka_unit_test(wrong_types_read_as_nothing),
        cmocka_unit_test(text_must_be_utf8),
        cmocka_unit_test(utf8_is_what_an_encoder_makes),
        cmocka_unit_test(a_value_has_one_owner),
        cmocka_unit_test(depth_is_bounded_however_a_tree_grows),
        cmocka_unit_test(lists_grow),
        cmocka_unit_test(lists_over_arrays_read_like_lists),
        cmocka_unit_test(a_copy_of_a_list_owns_its_array),
        cmocka_unit_test(odd_arrays),
        cmocka_unit_test(huge_ranges_cost_nothing),
        cmocka_unit_test(maps_keep_order_and_replace),
        cmocka_unit_test(big_maps_are_not_quadratic),
        cmocka_unit_test(equality_is_by_content),
        cmocka_unit_test(copies_are_equal_and_apart),
        cmocka_unit_test(views_borrow),
        cmocka_unit_test(many_threads_may_read_a_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
