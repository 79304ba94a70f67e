/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of bridges: binding, calling through libffi, results. */
#include "function/signature.h"
#include "worker/bridge.h"
#include "worker/load.h"

#include <dlfcn.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *plain, *libm;
static struct lithops__bridge_result result;
static lithops_error error;

static int set_up(void **state)
{
    (void)state;
    plain = dlopen(TESTLIB "/libplain.so", RTLD_NOW | RTLD_LOCAL);
    libm = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
    return !plain || !libm;
}

/* Call a function of libplain or libm; the input is consumed. */
static int run(const char *name, const char *signature_text, lithops_value *input,
               const lithops_value *extra_args)
{
    struct lithops__signature signature;
    struct lithops__callable callable;
    error = (lithops_error)LITHOPS_ERROR_INIT;
    result = (struct lithops__bridge_result){.type = LITHOPS_MAP};
    void *address = dlsym(plain, name);
    address = address ? address : dlsym(libm, name);
    assert_non_null(address);
    assert_int_equal(lithops__signature_parse(signature_text, &signature, &error), 0);
    if (lithops__bridge_make(name, address, &signature, &callable, &error) != 0)
        fail_msg("%s", error.message);
    int code = lithops__bridge_call(callable.state, input, extra_args, &result, &error);
    lithops_value_free(input);
    return code;
}

static void assert_int(const char *name, const char *signature, lithops_value *input, int64_t i)
{
    if (run(name, signature, input, NULL) != 0)
        fail_msg("%s", error.message);
    assert_int_equal(result.type, LITHOPS_INT);
    assert_int_equal(result.i, i);
}

static void assert_double(const char *name, const char *signature, lithops_value *input, double d)
{
    if (run(name, signature, input, NULL) != 0)
        fail_msg("%s", error.message);
    assert_int_equal(result.type, LITHOPS_DOUBLE);
    assert_true(result.d == d);
}

static void assert_refused(const char *name, const char *signature, lithops_value *input,
                           const char *says)
{
    assert_non_null(input);
    assert_int_equal(run(name, signature, input, NULL), LITHOPS_EARG);
    if (!strstr(error.message, says))
        fail_msg("%s (expected: %s)", error.message, says);
    assert_int_equal(result.type, LITHOPS_MAP); /* not written on failure */
}

static void ints_of_each_type_at_their_limits(void **state)
{
    (void)state;
    assert_int("negate_int", "int(int)", lithops_value_int(INT_MAX), -INT_MAX);
    assert_int("negate_int", "int(int)", lithops_value_int(-5), 5);
    assert_int("same_uint", "uint(uint)", lithops_value_int(UINT_MAX), UINT_MAX);
    assert_int("same_long", "long(long)", lithops_value_int(LONG_MIN), LONG_MIN);
    assert_int("same_ulong", "ulong(ulong)", lithops_value_int(LONG_MAX), LONG_MAX);
    assert_int("same_int32", "int32(int32)", lithops_value_int(INT32_MIN), INT32_MIN);
    assert_int("same_int32", "int32(int32)", lithops_value_int(-1), -1);
    assert_int("same_int64", "int64(int64)", lithops_value_int(INT64_MIN), INT64_MIN);
    assert_int("same_uint32", "uint32(uint32)", lithops_value_int(UINT32_MAX), UINT32_MAX);
    assert_int("before_uint64", "uint64(uint64)", lithops_value_int(INT64_MAX), INT64_MAX - 1);
}

static void ints_out_of_range_are_refused(void **state)
{
    (void)state;
    assert_refused("negate_int", "int(int)", lithops_value_int((int64_t)INT_MAX + 1),
                   "argument 1 of negate_int: 2147483648 is outside of -2147483648 .. 2147483647");
    assert_refused("negate_int", "int(int)", lithops_value_int((int64_t)INT_MIN - 1),
                   "is outside of");
    assert_refused("same_uint", "uint(uint)", lithops_value_int(-1),
                   "-1 is outside of 0 .. 4294967295");
    assert_refused("same_uint", "uint(uint)", lithops_value_int((int64_t)UINT_MAX + 1),
                   "is outside of");
    assert_refused("same_ulong", "ulong(ulong)", lithops_value_int(-1), "is outside of");
    assert_refused("same_int32", "int32(int32)", lithops_value_int(INT64_MIN), "is outside of");
    assert_refused("same_uint32", "uint32(uint32)", lithops_value_int(INT64_MAX), "is outside of");
    assert_refused("before_uint64", "uint64(uint64)", lithops_value_int(-1), "is outside of");
}

static void unsigned_results_must_fit(void **state)
{
    (void)state;
    assert_int_equal(run("before_uint64", "uint64(uint64)", lithops_value_int(0), NULL),
                     LITHOPS_ECALL);
    assert_non_null(strstr(error.message, "18446744073709551615"));
}

static void reals(void **state)
{
    (void)state;
    assert_double("half", "float(float)", lithops_value_double(5), 2.5);
    assert_double("half", "float(float)", lithops_value_double(FLT_MAX), (double)(FLT_MAX / 2));
    assert_double("half", "float(float)", lithops_value_double(INFINITY), INFINITY);
    assert_double("weigh", "double(int64,double,float)", lithops_pack("[i,f,f]", 10, 2.5, 50.0),
                  12.5);
    assert_double("weigh", "double(int64,double,float)", lithops_pack("[i,i,i]", 10, 2, 50), 10);
    assert_double("pow", "double(double,double)", lithops_pack("[f,f]", 2.0, 10.0), 1024);
    assert_double("sin", "double(double)", lithops_value_int(0), 0);
    assert_refused("half", "float(float)", lithops_value_double(1e39), "too large for a float");
    assert_int_equal(run("sqrt", "double(double)", lithops_value_double(NAN), NULL), 0);
    assert_true(isnan(result.d));
}

static void strings_and_bytes(void **state)
{
    (void)state;
    assert_int("string_length", "int64(string)", lithops_value_string("gr\xc3\xbc\xc3\x9f"), 6);
    assert_int("string_length", "int64(string)", lithops_value_string(""), 0);
    assert_int("sum_bytes", "int64(int,bytes,int)",
               lithops_pack("[i,y,i]", 10, "\x00\x01\xff", (size_t)3, 7), 2567);
    assert_int("sum_bytes", "int64(int,bytes,int)", lithops_pack("[i,s,i]", 1, "ab", 0), 195);
    assert_int("sum_bytes", "int64(int,bytes,int)", lithops_pack("[i,y,i]", 1, "", (size_t)0, 3),
               3);
    assert_refused("string_length", "int64(string)", lithops_value_string_n("a\0b", 3),
                   "holds a NUL");
    assert_refused("string_length", "int64(string)", lithops_value_null(),
                   "string expected, null given");
    assert_refused("string_length", "int64(string)", lithops_value_bytes("ab", 2),
                   "string expected, bytes given");
    assert_refused("sum_bytes", "int64(int,bytes,int)", lithops_pack("[i,n,i]", 1, 1),
                   "argument 2 of sum_bytes: bytes expected, null given");
}

static void string_results(void **state)
{
    (void)state;
    assert_int_equal(run("greeting", "string(string)", lithops_value_string("you"), NULL), 0);
    assert_int_equal(result.type, LITHOPS_STRING);
    assert_string_equal(result.s, "hello");
    assert_int_equal(run("greeting", "string(string)", lithops_value_string("nobody"), NULL), 0);
    assert_int_equal(result.type, LITHOPS_NULL);
    assert_int_equal(run("greeting", "string(string)", lithops_value_string("latin"), NULL),
                     LITHOPS_ECALL);
    assert_non_null(strstr(error.message, "not UTF-8"));
}

static void nothing_in_nothing_out(void **state)
{
    (void)state;
    assert_int_equal(run("touch", "void(int)", lithops_value_int(3), NULL), 0);
    assert_int_equal(result.type, LITHOPS_NULL);
    assert_int("how_touched", "int()", lithops_value_null(), 3);
    assert_int("how_touched", "int(void)", lithops_value_list(), 3);
    assert_refused("how_touched", "int()", lithops_value_int(1), "takes 0 arguments, 1 given");
    assert_refused("touch", "void(int)", lithops_value_null(), "int expected, null given");
}

static void arguments_are_counted(void **state)
{
    (void)state;
    assert_int("negate_int", "int(int)", lithops_pack("[i]", 4), -4);
    assert_refused("negate_int", "int(int)", lithops_value_list(), "takes 1 argument, 0 given");
    assert_refused("negate_int", "int(int)", lithops_pack("[i,i]", 1, 2),
                   "negate_int takes 1 argument, 2 given");
    assert_refused("weigh", "double(int64,double,float)", lithops_value_int(1),
                   "takes 3 arguments, 1 given");
}

static void extra_args_come_after(void **state)
{
    (void)state;
    lithops_value *extra = lithops_pack("[f,f]", 2.5, 50.0);
    assert_int_equal(run("weigh", "double(int64,double,float)", lithops_value_int(10), extra), 0);
    assert_true(result.d == 12.5);
    assert_int_equal(run("weigh", "double(int64,double,float)", lithops_pack("[i]", 10), extra), 0);
    assert_true(result.d == 12.5);
    assert_int_equal(run("weigh", "double(int64,double,float)", lithops_pack("[i,i]", 1, 1), extra),
                     LITHOPS_EARG);
    lithops_value_free(extra);
    extra = lithops_pack("{s:f}", "each", 2.5);
    assert_int_equal(run("weigh", "double(int64,double,float)", lithops_value_int(10), extra),
                     LITHOPS_EARG);
    assert_non_null(strstr(error.message, "give extra_args as a list"));
    lithops_value_free(extra);
}

static void wrong_types_are_refused(void **state)
{
    (void)state;
    assert_refused("negate_int", "int(int)", lithops_value_double(1), "int expected, double given");
    assert_refused("negate_int", "int(int)", lithops_value_bool(true), "int expected, bool given");
    assert_refused("negate_int", "int(int)", lithops_value_string("1"),
                   "int expected, string given");
    assert_refused("half", "float(float)", lithops_value_string("1"),
                   "double expected, string given");
    assert_refused("negate_int", "int(int)", lithops_pack("[[i]]", 1), "int expected, list given");
    assert_refused("negate_int", "int(int)", lithops_pack("{s:i}", "i", 1),
                   "its arguments have no names: give them as a list");
    assert_refused("negate_int", "int(int)", lithops_pack("[{}]"), "int expected, map given");
}

static void more_arguments_than_registers(void **state)
{
    (void)state;
    double expected = 0;
    lithops_value *input = lithops_value_list();
    for (int i = 1; i <= 16; i++) {
        expected += i * (i % 2 ? (double)i : i + 0.5);
        lithops_value_append(input, i % 2 ? lithops_value_int(i) : lithops_value_double(i + 0.5));
    }
    assert_double("many",
                  "double(int,double,int,double,int,double,int,double,int,double,int,"
                  "double,int,double,int,double)",
                  input, expected);
}

static void ifuncs_are_called(void **state)
{
    (void)state;
    assert_int("add_thousand", "int(int)", lithops_value_int(7), 1007);
}

static void one_function_has_one_bridge(void **state)
{
    (void)state;
    struct lithops__signature signature, other;
    struct lithops__callable a, b, c;
    void *address = dlsym(plain, "negate_int");
    assert_int_equal(lithops__signature_parse("int(int)", &signature, NULL), 0);
    assert_int_equal(lithops__signature_parse("int32(int32)", &other, NULL), 0);
    assert_int_equal(lithops__bridge_make("negate_int", address, &signature, &a, NULL), 0);
    assert_int_equal(lithops__bridge_make("negate_int", address, &signature, &b, NULL), 0);
    assert_int_equal(lithops__bridge_make("negate_int", address, &other, &c, NULL), 0);
    assert_ptr_equal(a.state, b.state);
    assert_ptr_not_equal(a.state, c.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ints_of_each_type_at_their_limits),
        cmocka_unit_test(ints_out_of_range_are_refused),
        cmocka_unit_test(unsigned_results_must_fit),
        cmocka_unit_test(reals),
        cmocka_unit_test(strings_and_bytes),
        cmocka_unit_test(string_results),
        cmocka_unit_test(nothing_in_nothing_out),
        cmocka_unit_test(arguments_are_counted),
        cmocka_unit_test(extra_args_come_after),
        cmocka_unit_test(wrong_types_are_refused),
        cmocka_unit_test(more_arguments_than_registers),
        cmocka_unit_test(ifuncs_are_called),
        cmocka_unit_test(one_function_has_one_bridge),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
