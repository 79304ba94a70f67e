/* SPDX-License-Identifier: Apache-2.0 */
/* The result side of a call, over a real area and region, without a worker process: what ends up in
 * the call, and that results which are given again or dropped take no memory. */
#include "ipc/area.h"
#include "ipc/payload.h"
#include "ipc/region.h"
#include "worker/call.h"
#include "worker/process.h"
#include "worker/result.h"

#include <lithops/plugin/runtime.h>

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT = 64 << 20 };
static struct lithops__worker_process process;
static lithops_call call;

static int setup(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    memset(&process, 0, sizeof process);
    memset(&call, 0, sizeof call);
    assert_int_equal(lithops__area_create(&process.area, "test-0", 1, LIMIT, &err), 0);
    assert_int_equal(lithops__region_init(&process.region, &process.area, 0), 0);
    snprintf(process.area.control->memory_key, sizeof process.area.control->memory_key, "%s",
             "test.shared_memory");
    call.process = &process;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lithops__call_clear(&call);
    for (int i = 0; i < LITHOPS__REGION_CLASSES; i++)
        free(process.region.retired[i].pages);
    lithops__area_detach(&process.area);
    return 0;
}

/* The result as the client would read it. */
static lithops_value *result(void)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (call.pending)
        lithops__region_publish(&process.region, call.pending, call.pending_len);
    call.pending = 0;
    lithops_value *value =
        lithops__payload_value(&process.area, call.result_content, call.result_payload, &err);
    assert_non_null(value);
    return value;
}

static void result_is(const char *json)
{
    char *text;
    lithops_value *value = result();
    assert_int_equal(lithops_value_to_json(value, &text, NULL), 0);
    assert_string_equal(text, json);
    free(text);
    lithops_value_free(value);
}

static void fails(int rc, int code, const char *text)
{
    assert_int_equal(rc, code);
    assert_int_equal(call.error.code, code);
    assert_true(call.used); /* so that it is cleared before the next call */
    if (!strstr(call.error.message, text))
        fail_msg("'%s' does not say '%s'", call.error.message, text);
}

/* ---- results --------------------------------------------------------------------------------- */

static void each_type_arrives(void **state)
{
    (void)state;
    result_is("null");
    assert_int_equal(lithops_return_int(&call, INT64_MIN), 0);
    result_is("-9223372036854775808");
    assert_int_equal(lithops_return_double(&call, -0.5), 0);
    result_is("-0.5");
    assert_int_equal(lithops_return_bytes(&call, "\0\1", 2), 0);
    result_is("{\"$bytes\": \"AAE=\"}");
    assert_int_equal(lithops_return_bytes(&call, NULL, 0), 0);
    result_is("{\"$bytes\": \"\"}");
    assert_int_equal(lithops_return(&call, "I", (int64_t)7), 0);
    result_is("7");
    assert_int_equal(lithops_return(&call, "i", -7), 0);
    result_is("-7");
    assert_int_equal(lithops_return(&call, "s", "\xe2\x82\xac"), 0);
    result_is("\"\xe2\x82\xac\"");
    assert_int_equal(lithops_return(&call, "b", 1), 0);
    result_is("true");
    assert_int_equal(lithops_return(&call, "n"), 0);
    result_is("null");
    assert_int_equal(lithops_return(&call, "{s:[i,n],s:{}}", "a", 1, "b"), 0);
    result_is("{\"a\": [1, null], \"b\": {}}");
}

static void payloads_arrive(void **state)
{
    (void)state;
    lithops_payload payload = {.content = LITHOPS_CONTENT_BOOL, .b = true};
    assert_int_equal(lithops_return_payload(&call, &payload), 0);
    result_is("true");
    payload = (lithops_payload){.content = LITHOPS_CONTENT_DOUBLE, .d = 1.5};
    assert_int_equal(lithops_return_payload(&call, &payload), 0);
    result_is("1.5");
    payload = (lithops_payload){.content = LITHOPS_CONTENT_STRING, .bytes = {"text", 4}};
    assert_int_equal(lithops_return_payload(&call, &payload), 0);
    result_is("\"text\"");
    payload = (lithops_payload){.content = LITHOPS_CONTENT_PACKED, .bytes = {"\x92\x01\xc0", 3}};
    assert_int_equal(lithops_return_payload(&call, &payload), 0);
    result_is("[1, null]");
    payload.content = (lithops_content)99;
    fails(lithops_return_payload(&call, &payload), LITHOPS_EUSAGE, "not a payload");
    fails(lithops_return_payload(&call, NULL), LITHOPS_EUSAGE, "not a payload");
}

static void the_last_one_counts(void **state)
{
    (void)state;
    assert_int_equal(lithops_return_bytes(&call, "first", 5), 0);
    assert_int_equal(lithops_return_bytes(&call, "second", 6), 0);
    assert_int_equal(lithops_return(&call, "[s]", "third"), 0);
    result_is("[\"third\"]");
    assert_int_equal(lithops_return_bytes(&call, "x", 1), 0);
    assert_int_equal(lithops_return_int(&call, 3), 0);
    assert_int_equal(call.pending, 0);
    result_is("3");
    assert_int_equal(lithops_return_bytes(&call, "x", 1), 0);
    lithops__call_drop_result(&call);
    result_is("null");
}

static void room_is_used_in_place(void **state)
{
    (void)state;
    char *room = lithops_call_alloc(&call, 100);
    assert_non_null(room);
    memcpy(room, "in place", 8);                               /* NOLINT: not to be a string */
    assert_int_equal(lithops_return_bytes(&call, room, 8), 0); /* shorter than asked for */
    lithops_value *value = result();
    assert_ptr_equal(lithops_value_get_bytes(value).ptr, room);
    assert_int_equal(lithops_value_get_bytes(value).len, 8);
    lithops_value_free(value);

    room = lithops_call_alloc(&call, 10);
    fails(lithops_return_bytes(&call, room, 11), LITHOPS_EUSAGE, "longer than");
    /* a part of it is copied, and may overlap what it is copied to */
    room = lithops_call_alloc(&call, 1000);
    for (int i = 0; i < 1000; i++)
        room[i] = (char)i;
    char expected[900];
    memcpy(expected, room + 100, 900);
    assert_int_equal(lithops_return_bytes(&call, room + 100, 900), 0);
    value = result();
    assert_memory_equal(lithops_value_get_bytes(value).ptr, expected, 900);
    lithops_value_free(value);
}

static void wrong_results_are_refused(void **state)
{
    (void)state;
    fails(lithops_return_bytes(&call, NULL, 5), LITHOPS_EUSAGE, "NULL");
    fails(lithops_return_value(&call, NULL), LITHOPS_EUSAGE, "the result is NULL");
    fails(lithops_return(&call, NULL), LITHOPS_EUSAGE, "format");
    fails(lithops_return(&call, "{s:i", "a", 1), LITHOPS_EUSAGE, "format");
    fails(lithops_return(&call, "s", "\xff"), LITHOPS_EUSAGE, "the string is not UTF-8; use 'y'");
    const char *none = NULL;
    fails(lithops_return(&call, "s", none), LITHOPS_EUSAGE, "the string is NULL; use 's?'");
    fails(lithops_return(&call, "z", 1), LITHOPS_EUSAGE,
          "unknown letter at offset 0 of the format 'z'");
    fails(lithops_return(&call, "[I", INT64_C(1)), LITHOPS_EUSAGE,
          "the format ends too early at offset 2");
    fails(lithops_return(&call, "II", INT64_C(1), INT64_C(2)), LITHOPS_EUSAGE,
          "more than one value at offset 1");
    fails(lithops_return(&call, "{s:[I,s]}", "a", INT64_C(1), "\xff"), LITHOPS_EUSAGE,
          "key 'a': item 1: the string is not");
}

static void results_too_large_are_refused(void **state)
{
    (void)state;
    const size_t lens[] = {LIMIT + 1, SIZE_MAX / 2, SIZE_MAX - 100, SIZE_MAX};
    for (int i = 0; i < 4; i++) {
        call.error.code = 0;
        assert_null(lithops_call_alloc(&call, lens[i]));
        fails(call.error.code, LITHOPS_ENOSPACE, "raise test.shared_memory");
    }
    assert_int_equal(lithops_return(&call, "s", "small ones go on"), 0);
    result_is("\"small ones go on\"");
}

/* A function that changes its mind a hundred thousand times. */
static void dropped_results_take_no_memory(void **state)
{
    (void)state;
    static char bytes[200000];
    uint64_t random = 7;
    for (int i = 0; i < 100000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t len = (random >> 33) % (i % 50 == 0 ? sizeof bytes : 5000);
        if (i % 3 == 0)
            assert_non_null(lithops_call_alloc(&call, len));
        else
            assert_int_equal(lithops_return_bytes(&call, bytes, len), 0);
    }
    lithops__call_drop_result(&call);
    assert_in_range(process.region.high_pages, 1, 20);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void failures_keep_what_was_said(void **state)
{
    (void)state;
    assert_int_equal(lithops_fail(&call, "no city '%s'", "Atlantis"), LITHOPS_ECALL);
    fails(LITHOPS_ECALL, LITHOPS_ECALL, "no city 'Atlantis'");
    lithops_error error = LITHOPS_ERROR_INIT;
    error.code = LITHOPS_ENOTFOUND;
    snprintf(error.message, sizeof error.message, "gone");
    fails(lithops_fail_error(&call, &error), LITHOPS_ENOTFOUND, "gone");
    error.code = 0; /* an error without a code is still an error */
    assert_int_equal(lithops_fail_error(&call, &error), LITHOPS_ECALL);
    fails(lithops_fail_error(&call, NULL), LITHOPS_ECALL, "gave no error");
    error.code = LITHOPS_ECALL;
    assert_int_equal(lithops_fail_data(&call, &error, (lithops_bytes){"data", 4}), LITHOPS_ECALL);
    assert_memory_equal(call.error_data, "data", 4);
    assert_int_equal(lithops_fail_data(&call, &error, (lithops_bytes){NULL, 0}), LITHOPS_ECALL);
    assert_null(call.error_data);
}

/* Nothing of a call is left for the next one. */
static void clearing_leaves_nothing(void **state)
{
    (void)state;
    lithops_error error = LITHOPS_ERROR_INIT;
    error.code = LITHOPS_EIO;
    call.input = lithops_value_string("input");
    call.input_failed = true;
    call.next_result = 3;
    (void)lithops_fail_data(&call, &error, (lithops_bytes){"data", 4});
    lithops__call_clear(&call);
    assert_null(call.input);
    assert_null(call.error_data);
    assert_false(call.input_failed || call.used);
    assert_int_equal(call.error.code, 0);
    assert_string_equal(call.error.message, "");
    assert_int_equal(call.next_result, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_type_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(payloads_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_one_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(room_is_used_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_results_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(results_too_large_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(dropped_results_take_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_keep_what_was_said, setup, teardown),
        cmocka_unit_test_setup_teardown(clearing_leaves_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
