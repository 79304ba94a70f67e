/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of libraries in real calls: through an executor and its worker processes. */
#include <lithops/lithops.h>

#include <dlfcn.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static lithops_executor *fexec;
static lithops_future *last; /* results are borrowed from it */
static lithops_error error;

static int set_up(void **state)
{
    (void)state;
    fexec = lithops_localhost_executor_open(NULL, &error);
    if (!fexec)
        print_error("%s\n", error.message);
    return fexec ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    lithops_future_unref(last);
    lithops_executor_close(fexec);
    return 0;
}

/* One call; its result is valid until the next one. */
static int call(const char *spec, lithops_value *input, const lithops_call_options *options,
                const lithops_value **ret_value)
{
    error = (lithops_error)LITHOPS_ERROR_INIT;
    lithops_function *function = lithops_function_open(spec, &error);
    if (!function) {
        fail_msg("%s", error.message);
        return -1;
    }
    lithops_future_unref(last);
    last = lithops_call_async(fexec, function, input, options, &error);
    lithops_function_free(function); /* the job has its own copy of the names */
    return last ? lithops_future_value(last, 20000, ret_value, &error) : error.code;
}

static void assert_fails(const char *spec, lithops_value *input, int code, const char *says)
{
    const lithops_value *value;
    int given = call(spec, input, NULL, &value);
    if (given != code || !strstr(error.message, says))
        fail_msg("%s: %d: %s (expected: %s)", spec, given, error.message, says);
}

static void a_map_over_the_c_library(void **state)
{
    (void)state;
    lithops_function *power = lithops_function_open("libm.so.6:pow:double(double,double)", NULL);
    assert_non_null(power);
    lithops_value *inputs = lithops_value_list();
    for (int i = 0; i < 100; i++)
        lithops_value_append(inputs, lithops_pack("[i,f]", i, 2.0));
    lithops_futures *squares = lithops_map(fexec, power, inputs, NULL, &error);
    lithops_function_free(power);
    const lithops_value *values;
    assert_int_equal(lithops_get_result(fexec, squares, NULL, &error, "o", &values), 0);
    assert_int_equal(lithops_value_size(values), 100);
    for (int i = 0; i < 100; i++)
        assert_true(lithops_value_get_double(lithops_value_at(values, (size_t)i)) == i * i);
    lithops_futures_unref(squares);
}

static void results_of_each_kind(void **state)
{
    (void)state;
    const lithops_value *value = NULL;
    assert_int_equal(
        call("libc.so.6:strlen:ulong(string)", lithops_value_string("four"), NULL, &value), 0);
    assert_int_equal(lithops_value_get_int(value), 4);
    assert_int_equal(call(TESTLIB "/libplain.so:greeting:string(string)",
                          lithops_value_string("you"), NULL, &value),
                     0);
    assert_string_equal(lithops_value_get_string(value), "hello");
    assert_int_equal(call(TESTLIB "/libplain.so:greeting:string(string)",
                          lithops_value_string("nobody"), NULL, &value),
                     0);
    assert_int_equal(lithops_value_type(value), LITHOPS_NULL);
    assert_int_equal(call(TESTLIB "/libplain.so:sum_bytes:int64(int,bytes,int)",
                          lithops_pack("[i,y,i]", 10, "\x01\x02", (size_t)2, 1), NULL, &value),
                     0);
    assert_int_equal(lithops_value_get_int(value), 31);
}

static void bad_arguments_fail_the_call(void **state)
{
    (void)state;
    assert_fails("libm.so.6:sin:double(double)", lithops_value_string("x"), LITHOPS_EARG,
                 "argument 1 of sin: double expected, string given");
    assert_fails("libm.so.6:sin:double(double)", lithops_pack("{s:f}", "x", 1.0), LITHOPS_EARG,
                 "have no names");
    assert_fails(TESTLIB "/libplain.so:greeting:string(string)", lithops_value_string("latin"),
                 LITHOPS_ECALL, "not UTF-8");
}

static void the_loader_explains_in_the_call(void **state)
{
    (void)state;
    assert_fails(TESTLIB "/libbroken.so:upper_answer:int()", lithops_value_null(),
                 LITHOPS_ENOTFOUND, "libgone.so.1: cannot open shared object file");
}

static void a_library_that_crashes_costs_the_call(void **state)
{
    (void)state;
    const lithops_value *value;
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    lithops_value *env = lithops_pack("{s:s}", "TESTLIB_FATAL", "1");
    options.extra_env = env;
    int code = call(TESTLIB "/libdeclared.so:count", lithops_value_null(), &options, &value);
    if (code != LITHOPS_ECRASH)
        fail_msg("%d: %s", code, error.message);
    lithops_value_free(env);
    assert_fails(TESTLIB "/libdeclared.so:count", lithops_value_null(), LITHOPS_ECALL, "41");
}

LITHOPS_FUNCTION(read_model)
{
    const char *path = lithops_call_file(call, "model.bin");
    char text[32] = "";
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file)
        return lithops_fail(call, "no model");
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    bool loaded = dlsym(RTLD_DEFAULT, "lower_answer") != NULL;
    return lithops_return(call, "{s:s%,s:b}", "model", text, len, "loaded", (int)loaded);
}

static void included_files_and_libraries_are_there(void **state)
{
    (void)state;
    char folder[] = "/tmp/lithops-call-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.bin", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("weights", file);
    fclose(file);

    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.include_modules = WORDS(path, TESTLIB "/liblower.so");
    lithops_future *future =
        lithops_call_async(fexec, read_model, lithops_value_null(), &options, &error);
    assert_non_null(future);
    const char *model;
    bool loaded;
    int code = lithops_future_result(future, 20000, &error, "{s:s,s:b}", "model", &model, "loaded",
                                     &loaded);
    if (code != 0)
        fail_msg("%s", error.message);
    assert_string_equal(model, "weights");
    assert_true(loaded);
    lithops_future_unref(future);

    options.include_modules = NULL;
    future = lithops_call_async(fexec, read_model, lithops_value_null(), &options, &error);
    assert_int_equal(lithops_future_wait(future, 20000, &error), 0);
    assert_int_equal(lithops_future_error(future, &error), LITHOPS_ECALL);
    assert_non_null(strstr(error.message, "no model"));
    lithops_future_unref(future);

    unlink(path);
    options.include_modules = WORDS(path);
    assert_null(lithops_call_async(fexec, read_model, lithops_value_null(), &options, &error));
    assert_int_equal(error.code, LITHOPS_ENOTFOUND);
    assert_non_null(strstr(error.message, "does not exist"));
    rmdir(folder);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_over_the_c_library),
        cmocka_unit_test(results_of_each_kind),
        cmocka_unit_test(bad_arguments_fail_the_call),
        cmocka_unit_test(the_loader_explains_in_the_call),
        cmocka_unit_test(a_library_that_crashes_costs_the_call),
        cmocka_unit_test(included_files_and_libraries_are_there),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
