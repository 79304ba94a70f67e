/* SPDX-License-Identifier: Apache-2.0 */
/* Frames and messages: what is written can be read again, and anything else is refused. */
#include "base/error.h"
#include "wire/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static lithops_error err;

static lithops_bytes bytes_of(const struct lithops__buffer *buffer)
{
    return (lithops_bytes){buffer->data, buffer->len};
}

static void test_frames(void **state)
{
    (void)state;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops_value *map = lithops_pack("{s:i}", "a", 7);
    struct lithops__frame frame;
    size_t used;
    assert_int_equal(lithops__frame_write(&out, LITHOPS__MESSAGE_JOB, 42, map,
                                          (lithops_bytes){"payload", 7}, &err),
                     0);
    size_t first = out.len;
    size_t begin = lithops__frame_begin(&out, LITHOPS__MESSAGE_BYE, LITHOPS__FRAME_LAST, 3);
    lithops__frame_end(&out, begin);
    for (size_t cut = 0; cut < first; cut++) /* no prefix of it is enough */
        assert_int_equal(lithops__frame_read((lithops_bytes){out.data, cut}, &frame, &used, &err),
                         0);
    assert_int_equal(lithops__frame_read(bytes_of(&out), &frame, &used, &err), 1);
    assert_int_equal(used, first);
    assert_int_equal(frame.type, LITHOPS__MESSAGE_JOB);
    assert_int_equal(frame.stream, 42);
    assert_int_equal(frame.payload.len, 7);
    assert_memory_equal(frame.payload.ptr, "payload", 7);
    lithops_value *read = lithops__frame_map(&frame, &err);
    assert_true(lithops_value_equal(read, map));
    lithops_value_free(read);
    lithops_value_free(map);
    assert_int_equal(lithops__frame_read((lithops_bytes){out.data + first, out.len - first}, &frame,
                                         &used, &err),
                     1);
    assert_int_equal(used, LITHOPS__FRAME_HEADER);
    assert_int_equal(frame.flags, LITHOPS__FRAME_LAST);
    assert_null(lithops__frame_map(&frame, &err)); /* it has none */
    assert_int_equal(err.code, LITHOPS_EPARSE);
    lithops__buffer_deinit(&out);
}

static void test_bad_frames(void **state)
{
    (void)state;
    static const unsigned char too_long[16] = {1, 0, 16, 0, 1, 0},
                               map_too_long[16] = {4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0};
    struct lithops__frame frame;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    size_t used;
    assert_int_equal(lithops__frame_read((lithops_bytes){too_long, 16}, &frame, &used, &err),
                     LITHOPS_EPARSE);
    assert_int_equal(lithops__frame_read((lithops_bytes){map_too_long, 16}, &frame, &used, &err),
                     LITHOPS_EPARSE);
    assert_int_equal(lithops__frame_read((lithops_bytes){"SSH-2.0-OpenSSH_9.2p1 Debian", 28},
                                         &frame, &used, &err),
                     LITHOPS_EPARSE);
    char *large = calloc(1, LITHOPS__FRAME_MOST + 1);
    assert_int_equal(lithops__frame_write(&out, 1, 0, NULL,
                                          (lithops_bytes){large, LITHOPS__FRAME_MOST + 1}, &err),
                     LITHOPS_EUSAGE);
    assert_int_equal(out.len, 0); /* nothing of it is sent */
    free(large);
    lithops__buffer_deinit(&out);
}

static void test_runs(void **state)
{
    (void)state;
    const uint32_t numbers[] = {7, 8, 9};
    struct lithops__run run = {.job = 5,
                               .count = 3,
                               .first = 1ull << 40,
                               .input_kind = 4,
                               .has_numbers = true,
                               .input_start = -3,
                               .numbers = {numbers, sizeof numbers},
                               .inputs = {"inputs", 6}},
                        read;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops__run_write(&out, &run);
    assert_int_equal(lithops__run_read(bytes_of(&out), &read, &err), 0);
    assert_int_equal(read.job, 5);
    assert_int_equal(read.first, 1ull << 40);
    assert_int_equal(read.input_start, -3);
    assert_memory_equal(read.numbers.ptr, numbers, sizeof numbers);
    assert_int_equal(read.inputs.len, 6);
    assert_memory_equal(read.inputs.ptr, "inputs", 6);
    for (size_t cut = 0; cut < out.len - run.inputs.len; cut++)
        assert_int_equal(lithops__run_read((lithops_bytes){out.data, cut}, &read, &err),
                         LITHOPS_EPARSE);
    lithops__buffer_deinit(&out);
    const uint32_t counts[] = {0, LITHOPS__RUN_MOST + 1, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        run.count = counts[i];
        lithops__run_write(&out, &run);
        assert_int_equal(lithops__run_read(bytes_of(&out), &read, &err), LITHOPS_EPARSE);
        lithops__buffer_deinit(&out);
    }
}

static void write_outcome(struct lithops__buffer *out)
{
    struct lithops__outcome outcome = {
        .activation = 3,
        .call = 70000,
        .state = 4,
        .is_cold = true,
        .has_usage = true,
        .start_ns = 11,
        .end_ns = 22,
        .result = {5, LITHOPS__CARRIED_BYTES, 0, {"result", 6}},
        .usage = {.user_us = 1, .net_received = 9},
        .output = {5, LITHOPS__CARRIED_BLOB, 99, {NULL, 0}},
    };
    lithops__outcome_write(out, &outcome);
}

static void test_outcomes(void **state)
{
    (void)state;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    struct lithops__outcome read;
    write_outcome(&out);
    size_t one = out.len;
    write_outcome(&out);
    lithops_bytes rest = bytes_of(&out);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lithops__outcome_read(&rest, &read, &err), 0);
        assert_int_equal(read.activation, 3);
        assert_int_equal(read.call, 70000);
        assert_true(read.is_cold && read.has_usage && !read.never_ran);
        assert_int_equal(read.end_ns, 22);
        assert_int_equal(read.usage.net_received, 9);
        assert_int_equal(read.result.bytes.len, 6);
        assert_memory_equal(read.result.bytes.ptr, "result", 6);
        assert_int_equal(read.output.how, LITHOPS__CARRIED_BLOB);
        assert_int_equal(read.output.payload, 99);
    }
    assert_int_equal(rest.len, 0);
    for (size_t cut = 0; cut < one; cut++) {
        rest = (lithops_bytes){out.data, cut};
        assert_int_equal(lithops__outcome_read(&rest, &read, &err), LITHOPS_EPARSE);
    }
    lithops__buffer_deinit(&out);
}

/* A length that reaches past the end must be refused, however large. */
static void test_lengths(void **state)
{
    (void)state;
    struct lithops__carried carried = {5, LITHOPS__CARRIED_BYTES, 0, {"0123456789", 10}}, read;
    const uint64_t lengths[] = {11, 1ull << 32, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct lithops__buffer out = LITHOPS__BUFFER_INIT;
        lithops__carried_write(&out, &carried);
        memcpy(out.data + 8, &lengths[i], sizeof lengths[i]);
        lithops_bytes rest = bytes_of(&out);
        assert_int_equal(lithops__carried_read(&rest, &read, &err), LITHOPS_EPARSE);
        lithops__buffer_deinit(&out);
    }
}

static void test_failures(void **state)
{
    (void)state;
    lithops_error error = LITHOPS_ERROR_INIT, read;
    lithops_bytes data;
    lithops__fail(&error, LITHOPS_ECALL, "it went wrong");
    memcpy(error.traceback, "here\n", 6);
    error.signal = 11;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops__failure_write(&out, &error, (lithops_bytes){"\0data", 5});
    assert_int_equal(lithops__failure_read(bytes_of(&out), &read, &data, &err), 0);
    assert_int_equal(read.code, LITHOPS_ECALL);
    assert_int_equal(read.signal, 11);
    assert_string_equal(read.message, "it went wrong");
    assert_string_equal(read.traceback, "here\n");
    assert_memory_equal(data.ptr, "\0data", 5);
    for (size_t cut = 0; cut < out.len; cut++)
        assert_int_equal(lithops__failure_read((lithops_bytes){out.data, cut}, &read, &data, &err),
                         LITHOPS_EPARSE);
    memset(out.data, 0, 4); /* the code of no error */
    assert_int_equal(lithops__failure_read(bytes_of(&out), &read, &data, &err), LITHOPS_EPARSE);
    lithops__buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),  cmocka_unit_test(test_bad_frames),
        cmocka_unit_test(test_runs),    cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
