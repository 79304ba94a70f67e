/* SPDX-License-Identifier: Apache-2.0 */
/* Lack of memory, everywhere: each operation runs again and again, with its first, second, third
 * ... allocation failing, until it runs through. Each failure must be reported as one, and leave
 * nothing behind: as many blocks are live after it as before.
 *
 * The linker replaces malloc() and related functions in the engine's objects by the __wrap_
 * functions below. */
#include "base/error.h"
#include "value/value.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void __real_free(void *ptr);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void __wrap_free(void *ptr);

static long live;               /* blocks */
static long until_failure = -1; /* allocations that still succeed; negative: all do */
static long failures;

static bool fails(void)
{
    if (until_failure < 0 || until_failure-- > 0)
        return false;
    until_failure = -1; /* one failure; what comes after it must cope, and may allocate */
    failures++;
    return true;
}

static void *counted(void *new_block)
{
    live += new_block != NULL;
    return new_block;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *ptr, size_t size)
{
    if (fails())
        return NULL;
    return ptr ? __real_realloc(ptr, size) : counted(__real_malloc(size));
}

void __wrap_free(void *ptr)
{
    live -= ptr != NULL;
    __real_free(ptr);
}

/* Run `operation`, which returns whether it succeeded, with every allocation failing once. */
static void torture(bool (*operation)(lithops_error *err), long at_least)
{
    long n;
    for (n = 0;; n++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        failures = 0;
        long live_before = live;
        until_failure = n;
        bool succeeded = operation(&err);
        until_failure = -1;
        assert_int_equal(live, live_before);
        if (failures == 0) {
            assert_true(succeeded);
            break;
        }
        assert_false(succeeded);
        assert_int_equal(err.code, LITHOPS_ENOMEM);
        assert_true(err.message[0]);
    }
    assert_true(n >= at_least);
}

static lithops_value *sample; /* every type; small and big lists and maps */

static int make_sample(void **state)
{
    (void)state;
    static const int64_t ints[] = {1, 2, 3};
    lithops_value *map = lithops_value_map(), *list = lithops_value_list();
    for (int i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof key, "key %d", i);
        lithops_value_set(map, key, lithops_value_int(i));
        lithops_value_append(list, lithops_value_double(i + 0.1));
    }
    sample =
        lithops_pack("{s:n,s:b,s:I,s:f,s:s,s:y,s:o,s:o,s:o,s:o,s:[[[{s:[]}]]]}", "null", "bool", 1,
                     "int", INT64_MAX, "double", 0.1, "string", "text", "bytes", "\xff", (size_t)1,
                     "map", map, "list", list, "ints", lithops_ints(ints, 3), "items",
                     lithops_items("abcd", 2, 2), "deep", "deeper");
    return sample ? 0 : -1;
}

static int free_sample(void **state)
{
    (void)state;
    lithops_value_free(sample);
    return 0;
}

static bool copy(lithops_error *err)
{
    lithops_value *value = lithops_value_copy(sample);
    if (!value)
        err->code = LITHOPS_ENOMEM, err->message[0] = '-'; /* it has no error argument */
    bool succeeded = value && lithops_value_equal(value, sample);
    lithops_value_free(value);
    return succeeded;
}

static lithops_value *vpack(lithops_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    lithops_value *value = lithops__vpack(err, format, args);
    va_end(args);
    return value;
}

/* The arguments to `o` are made while there is memory, and must be freed in every case. */
static bool pack(lithops_error *err)
{
    long saved = until_failure;
    until_failure = -1;
    lithops_value *one = lithops_value_int(1), *two = lithops_pack("[s]", "two");
    until_failure = saved;
    lithops_value *value =
        vpack(err, "[i,s,s?,y,f,{s:o,s:i,s:[iiiiii],s:O},o]", 5, "text", "text", "\xff", (size_t)1,
              0.5, "one", one, "x", 6, "list", 1, 2, 3, 4, 5, 6, "sample", sample, two);
    lithops_value_free(value);
    return value != NULL;
}

static bool encode(lithops_error *err)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    int code = lithops__value_encode(sample, &out, err);
    assert_true(code == 0 || out.len == 0);
    lithops__buffer_deinit(&out);
    return code == 0;
}

static struct lithops__buffer encoded;

static bool decode(lithops_error *err)
{
    lithops_value *value = lithops__value_decode(encoded.data, encoded.len, err);
    bool succeeded = lithops_value_equal(value, sample);
    lithops_value_free(value);
    return succeeded;
}

static bool write_json(lithops_error *err)
{
    char *text = NULL;
    int code = lithops_value_to_json(sample, &text, err);
    assert_true((code == 0) == (text != NULL));
    free(text);
    return code == 0;
}

static char *json_text;

static bool read_json(lithops_error *err)
{
    lithops_value *value = lithops_value_from_json(json_text, strlen(json_text), err);
    bool succeeded = lithops_value_equal(value, sample);
    lithops_value_free(value);
    return succeeded;
}

static bool read_views(lithops_error *err)
{
    lithops_value *view = lithops__value_view(LITHOPS_STRING, (lithops_bytes){"text", 4});
    lithops_value *range = lithops_range(0, 1000);
    const char *s;
    const lithops_value *first, *last = NULL;
    int code = !view || !range ? lithops__fail(err, LITHOPS_ENOMEM, "-")
                               : lithops_unpack(view, err, "s", &s);
    if (code == 0)
        code = lithops_unpack(range, err, "[o]", &first);
    if (code == 0 && !(last = lithops_value_at(range, 999)))
        code = lithops__fail(err, LITHOPS_ENOMEM, "-");
    if (code == 0)
        assert_int_equal(lithops_value_get_int(first) + lithops_value_get_int(last), 999);
    lithops_value_free(view);
    lithops_value_free(range);
    return code == 0;
}

static lithops_value *big_map;

/* A map of more than 64 pairs takes an allocation; the right answer is that keys are left over. */
static bool unpack_strictly(lithops_error *err)
{
    int i;
    return lithops_unpack(big_map, err, "{s:i!}", "key 5", &i) == LITHOPS_ETYPE;
}

static void copying(void **state)
{
    (void)state;
    torture(copy, 100);
}

static void packing(void **state)
{
    (void)state;
    torture(pack, 20);
}

static void encoding(void **state)
{
    (void)state;
    torture(encode, 2);
}

static void decoding(void **state)
{
    (void)state;
    lithops__value_encode(sample, &encoded, NULL);
    torture(decode, 100);
    lithops__buffer_deinit(&encoded);
}

static void json(void **state)
{
    (void)state;
    torture(write_json, 2);
    assert_int_equal(lithops_value_to_json(sample, &json_text, NULL), 0);
    torture(read_json, 100);
    free(json_text);
}

static void reading(void **state)
{
    (void)state;
    torture(read_views, 6);
    big_map = lithops_value_map();
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "key %d", i);
        lithops_value_set(big_map, key, lithops_value_null());
    }
    lithops_value_set(big_map, "key 5", lithops_value_int(5));
    torture(unpack_strictly, 1);
    lithops_value_free(big_map);
}

static void building(void **state)
{
    (void)state;
    lithops_value *list = lithops_value_list(), *map = lithops_value_map();
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        for (long n = 0;; n++) { /* until nothing fails any more, each time from the same state */
            lithops_value *item = lithops_value_int(i);
            failures = 0;
            until_failure = n;
            int code = lithops_value_set(map, key, item);
            until_failure = -1;
            assert_int_equal(code, failures ? LITHOPS_ENOMEM : 0);
            assert_int_equal(lithops_value_size(map), i + (code == 0));
            if (code == 0)
                break;
            assert_null(lithops_value_get(map, key));
        }
        lithops_value *item = lithops_value_int(i);
        until_failure = 0;
        if (lithops_value_append(list, item) != 0)
            assert_int_equal(lithops_value_append(list, lithops_value_int(i)), 0);
        until_failure = -1;
    }
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        assert_int_equal(lithops_value_get_int(lithops_value_get(map, key)), i);
        assert_int_equal(lithops_value_get_int(lithops_value_at(list, (size_t)i)), i);
    }
    lithops_value_free(list);
    lithops_value_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copying),  cmocka_unit_test(packing), cmocka_unit_test(encoding),
        cmocka_unit_test(decoding), cmocka_unit_test(json),    cmocka_unit_test(reading),
        cmocka_unit_test(building),
    };
    return cmocka_run_group_tests(tests, make_sample, free_sample);
}
