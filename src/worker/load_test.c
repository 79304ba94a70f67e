/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of loading functions in a worker. Functions here return a number in place of using their
 * call, so that no worker is needed to run them. */
#include "worker/load.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

LITHOPS_FUNCTION(own_answer)
{
    (void)call;
    return 17;
}

static int load_and_run(const char *library, const char *symbol, const char *signature)
{
    struct lithops__callable callable;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops__function_load(library, symbol, signature, &callable, &err) != 0)
        fail_msg("%s: %s", symbol, err.message);
    assert_int_equal(err.code, 0);
    return lithops__callable_run(&callable, NULL);
}

static void assert_fails(const char *library, const char *symbol, const char *signature, int code,
                         const char *says)
{
    struct lithops__callable callable = {0};
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__function_load(library, symbol, signature, &callable, &err), code);
    if (!strstr(err.message, says))
        fail_msg("%s (expected: %s)", err.message, says);
    assert_null(callable.run);
    assert_null(callable.bridge);
}

static void functions_of_the_program(void **state)
{
    (void)state;
    assert_int_equal(load_and_run(NULL, "own_answer", NULL), 17);
    assert_fails(NULL, "own_anwser", NULL, LITHOPS_ENOTFOUND, "did you mean 'own_answer'?");
    assert_fails(NULL, "other", NULL, LITHOPS_ENOTFOUND, "lithops_function_open(\"lib.so:other\")");
}

static void declared_functions_of_a_library(void **state)
{
    (void)state;
    assert_int_equal(load_and_run(TESTLIB "/libdeclared.so", "count", NULL), 41);
    assert_int_equal(load_and_run(TESTLIB "/libdeclared.so", "count_words", NULL), 42);
    /* Its constructor is handed the C library's basename: the library's own one is found. */
    assert_int_equal(load_and_run(TESTLIB "/libdeclared.so", "basename", NULL), 43);
}

static void two_libraries_with_one_name(void **state)
{
    (void)state;
    assert_int_equal(load_and_run(TESTLIB "/libsame_a.so", "same", NULL), 1);
    assert_int_equal(load_and_run(TESTLIB "/libsame_b.so", "same", NULL), 2);
    assert_int_equal(load_and_run(TESTLIB "/libsame_a.so", "same", NULL), 1);
}

static void functions_that_take_the_call(void **state)
{
    (void)state;
    assert_int_equal(load_and_run(TESTLIB "/libplain.so", "takes_call", "call"), 8);
}

static void plain_functions_get_a_bridge(void **state)
{
    (void)state;
    struct lithops__callable callable = {0};
    assert_int_equal(
        lithops__function_load(TESTLIB "/libplain.so", "negate_int", "int(int)", &callable, NULL),
        0);
    assert_non_null(callable.bridge);
    assert_null(callable.run);
}

static void the_loader_explains(void **state)
{
    (void)state;
    assert_fails(TESTLIB "/libbroken.so", "upper_answer", "int()", LITHOPS_ENOTFOUND,
                 "libgone.so.1: cannot open shared object file");
    assert_fails("/nonexistent/lib.so", "f", NULL, LITHOPS_ENOTFOUND, "/nonexistent/lib.so");
    assert_fails(TESTLIB "/libplain.so", "missing", "int()", LITHOPS_ENOTFOUND, "missing");
    assert_fails(TESTLIB "/libplain.so", "negate_int", "int(char)", LITHOPS_EUSAGE, "'char'");
}

static void what_is_no_declared_function_is_not_run(void **state)
{
    (void)state;
    assert_fails(TESTLIB "/libplain.so", "looks_declared", NULL, LITHOPS_ENOTFOUND,
                 "is no longer a function declared with LITHOPS_FUNCTION");
    assert_fails(TESTLIB "/libplain.so", "negate_int", NULL, LITHOPS_ENOTFOUND, "no longer");
}

static void without_the_ffi_module(void **state)
{
    (void)state;
    const char *given = getenv("LITHOPS_MODULE_PATH");
    char *before = strdup(given ? given : "");
    assert_int_equal(setenv("LITHOPS_MODULE_PATH", "/nonexistent", 1), 0);
    assert_fails(TESTLIB "/libplain.so", "same_long", "long(long)", LITHOPS_EUNSUPPORTED, "'ffi'");
    assert_int_equal(load_and_run(TESTLIB "/libplain.so", "takes_call", "call"), 8);
    assert_int_equal(setenv("LITHOPS_MODULE_PATH", before, 1), 0);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_the_program),
        cmocka_unit_test(declared_functions_of_a_library),
        cmocka_unit_test(two_libraries_with_one_name),
        cmocka_unit_test(functions_that_take_the_call),
        cmocka_unit_test(plain_functions_get_a_bridge),
        cmocka_unit_test(the_loader_explains),
        cmocka_unit_test(what_is_no_declared_function_is_not_run),
        cmocka_unit_test(without_the_ffi_module),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
