/* SPDX-License-Identifier: Apache-2.0 */
/* call_async: every type in and out, names of calls, environment, included files, and how calls can
 * end. */
#include "api.h"

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

LITHOPS_FUNCTION(echo)
{
    return lithops_return_value(call, lithops_value_copy(lithops_call_input(call)));
}

LITHOPS_FUNCTION(nothing)
{
    (void)call;
    return 0;
}

LITHOPS_FUNCTION(return_by_way)
{
    switch (lithops_call_int(call)) {
    case 0:
        return lithops_return_int(call, INT64_MIN);
    case 1:
        return lithops_return_double(call, -0.5);
    case 2:
        return lithops_return_bytes(call, "a\0b", 3);
    case 3:
        return lithops_return(call, "n");
    case 4: /* the last one counts */
        (void)lithops_return(call, "s", "a string");
        (void)lithops_return(call, "[ii]", 1, 2);
        return lithops_return(call, "b", 1);
    case 5:
        (void)lithops_return_int(call, 1);
        return lithops_return(call, "{s:y}", "k", "", (size_t)0);
    case 6:
        (void)lithops_return(call, "s", "a string");
        return 0;
    default:
        return lithops_return(call, "s?", (const char *)NULL);
    }
}

LITHOPS_FUNCTION(return_badly)
{
    switch (lithops_call_int(call)) {
    case 0:
        return lithops_return(call, "s", "\xff\xfe");
    case 1:
        return lithops_return(call, "s", (const char *)NULL);
    case 2:
        return lithops_return(call, "[i", 1);
    case 3:
        return lithops_return(call, "q", 1);
    case 4:
        return lithops_return_value(call, NULL);
    default:
        return lithops_return(call, "");
    }
}

static void round_trip(lithops_value *value)
{
    lithops_value *expected = lithops_value_copy(not_null(value));
    lithops_future *future = not_null(lithops_call_async(fexec, echo, value, NULL, &err));
    const lithops_value *result = NULL;
    succeeds(lithops_future_value(future, LIMIT_MS, &result, &err));
    assert_int_equal(lithops_value_type(result), lithops_value_type(expected));
    assert_true(lithops_value_equal(result, expected));
    if (lithops_value_type(expected) == LITHOPS_STRING)
        assert_string_equal(lithops_value_get_string(result), lithops_value_get_string(expected));
    lithops_value_free(expected);
    lithops_future_unref(future);
}

static void test_scalars(void **state)
{
    (void)state;
    round_trip(lithops_value_null());
    round_trip(lithops_value_bool(true));
    round_trip(lithops_value_bool(false));
    static const int64_t ints[] = {0,    1,     -1,        127,       128,
                                   -128, 65536, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++)
        round_trip(lithops_value_int(ints[i]));
    static const double doubles[] = {0.0, 0.1, -1e308, 5e-324, INFINITY, -INFINITY, 1.0};
    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++)
        round_trip(lithops_value_double(doubles[i]));
    for (int i = 0; i < 2; i++) {
        lithops_future *future = not_null(
            lithops_call_async(fexec, echo, lithops_value_double(i ? NAN : -0.0), NULL, &err));
        double d = 1;
        succeeds(lithops_future_result(future, LIMIT_MS, &err, "f", &d));
        assert_true(i ? isnan(d) : d == 0 && signbit(d));
        lithops_future_unref(future);
    }
}

static void test_strings_and_bytes(void **state)
{
    (void)state;
    static const char *const strings[] = {"",
                                          " ",
                                          "a",
                                          "line\nline\r\n\t",
                                          "\x01\x7f",
                                          "\xc3\xa9",
                                          "\xe2\x82\xac",
                                          "\xf0\x9f\x98\x80",
                                          "%s%n%d",
                                          "\"\\'`$(x)",
                                          "--lithops-worker=0"};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        round_trip(lithops_value_string(strings[i]));
        round_trip(lithops_pack("[s{s:s}]", strings[i], strings[i], strings[i]));
    }
    round_trip(lithops_value_string_n("\0", 1));
    round_trip(lithops_value_string_n("a\0b\0", 4));
    unsigned char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (unsigned char)i;
    round_trip(lithops_value_bytes(all, sizeof all));
    round_trip(lithops_value_bytes(NULL, 0));
    char *large = not_null(malloc(1 << 20));
    memset(large, 'x', 1 << 20);
    round_trip(lithops_value_string_n(large, 1 << 20));
    free(large);
}

static void test_containers(void **state)
{
    (void)state;
    round_trip(lithops_value_list());
    round_trip(lithops_value_map());
    round_trip(lithops_pack("[n,b,I,f,s,y,[],{}]", 1, INT64_MIN, 0.5, "s", "\0\xff", (size_t)2));
    round_trip(lithops_pack("{s:n,s:{s:{s:[[[i]]]}},s:s}", "", "a", "b", "c", 1, "\xc3\xa9", "e"));
    lithops_value *deep = lithops_value_int(1);
    for (int i = 0; i < 500; i++)
        deep = lithops_pack("[o]", deep);
    round_trip(deep);
    lithops_value *wide = lithops_value_list();
    for (int i = 0; i < 100000; i++)
        assert_int_equal(lithops_value_append(wide, lithops_value_int(i)), 0);
    round_trip(wide);
    double doubles[] = {1.5, -2.5};
    round_trip(lithops_doubles(doubles, 2)); /* as a single input, it is a list like any other */
    round_trip(lithops_range(-3, 3));
    round_trip(lithops_items("abcdef", 3, 2));
}

static lithops_future *call_int(const lithops_function *function, int64_t i)
{
    return not_null(lithops_call_async(fexec, function, lithops_value_int(i), NULL, &err));
}

static void test_returns(void **state)
{
    (void)state;
    result_is(call_int(nothing, 0), "null");
    result_is(call_int(return_by_way, 0), "-9223372036854775808");
    result_is(call_int(return_by_way, 1), "-0.5");
    result_is(call_int(return_by_way, 2), "{\"$bytes\":\"YQBi\"}");
    result_is(call_int(return_by_way, 3), "null");
    result_is(call_int(return_by_way, 4), "true");
    result_is(call_int(return_by_way, 5), "{\"k\":{\"$bytes\":\"\"}}");
    result_is(call_int(return_by_way, 6), "\"a string\"");
    result_is(call_int(return_by_way, 7), "null");
    for (int i = 0; i < 6; i++)
        call_fails(call_int(return_badly, i), LITHOPS_EUSAGE, "");
}

static void test_unpacked(void **state)
{
    (void)state;
    lithops_value *input =
        lithops_pack("{s:i,s:[f,s],s:y}", "i", 7, "l", 1.5, "text", "y", "abc", (size_t)3);
    lithops_future *future = not_null(lithops_call_async(fexec, echo, input, NULL, &err));
    int i;
    double f;
    const char *s;
    lithops_bytes y;
    succeeds(lithops_future_result(future, LIMIT_MS, &err, "{s:i,s:[f,s!],s:y!}", "i", &i, "l", &f,
                                   &s, "y", &y));
    assert_int_equal(i, 7);
    assert_true(f == 1.5);
    assert_string_equal(s, "text");
    assert_memory_equal(y.ptr, "abc", 3);
    fails(lithops_future_result(future, LIMIT_MS, &err, "{s:s}", "i", &s), LITHOPS_ETYPE, "'i'");
    fails(lithops_future_result(future, LIMIT_MS, &err, "{s:s}", "x", &s), LITHOPS_ENOTFOUND,
          "'x'");
    fails(lithops_future_result(future, LIMIT_MS, &err, "I", &i), LITHOPS_ETYPE, "map");
    fails(lithops_future_result(future, LIMIT_MS, &err, "{s:i", "i", &i), LITHOPS_EUSAGE, "");
    fails(lithops_future_result(future, LIMIT_MS, &err, NULL), LITHOPS_EUSAGE, "NULL");
    assert_string_equal(s, "text"); /* still owned by the future */
    lithops_future_unref(future);
}

/* ---- names ----------------------------------------------------------------------------------- */

LITHOPS_FUNCTION(names)
{
    return lithops_return(call, "[s,I]", lithops_call_job_key(call), lithops_call_id(call));
}

static int next_job;

static void expect_name(lithops_future *future, char kind, int64_t id)
{
    char expected[64], key[64], tiny[5];
    snprintf(expected, sizeof expected, "%s-%c%03d-%05d", lithops_executor_id(fexec), kind,
             next_job, (int)id);
    assert_string_equal(lithops_future_key(future, key, sizeof key), expected);
    lithops_future_key(future, tiny, sizeof tiny); /* cut, and not past the end */
    assert_memory_equal(tiny, expected, sizeof tiny - 1);
    const char *job_key;
    int64_t call_id;
    succeeds(lithops_future_result(future, LIMIT_MS, &err, "[sI]", &job_key, &call_id));
    assert_int_equal(call_id, id);
    expected[strlen(expected) - 6] = '\0';
    assert_string_equal(job_key, expected);
    lithops_future_unref(future);
}

static void test_names(void **state)
{
    (void)state;
    lithops_executor *shared = fexec;
    fexec = api_open("{\"worker_processes\":1}");
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.timeout_ms = LIMIT_MS;
    next_job = 0;
    for (; next_job < 3; next_job++)
        expect_name(lithops_call_async(fexec, names, lithops_value_null(), NULL, &err), 'A', 0);
    expect_name(lithops_call_async(fexec, names, lithops_value_null(), &options, &err), 'A', 0);
    next_job++;
    lithops_futures *futures = lithops_map(fexec, names, lithops_range(5, 15), NULL, &err);
    for (size_t i = 0; i < 10; i++)
        expect_name(lithops_futures_get(futures, i), 'M', (int64_t)i);
    lithops_futures_unref(futures);
    next_job++;
    expect_name(lithops_call_async(fexec, names, lithops_value_null(), NULL, &err), 'A', 0);
    lithops_executor_close(fexec);
    fexec = shared;
}

static void test_executor_ids(void **state)
{
    (void)state;
    lithops_executor *other = api_open("{\"worker_processes\":1}");
    unsigned session, number, session2, number2;
    assert_int_equal(sscanf(lithops_executor_id(fexec), "%6x-%u", &session, &number), 2);
    assert_int_equal(sscanf(lithops_executor_id(other), "%6x-%u", &session2, &number2), 2);
    assert_int_equal(session, session2);
    assert_true(number2 > number);
    assert_int_equal(strcspn(lithops_executor_id(fexec), "-"), 6);
    lithops_executor_close(other);
}

/* ---- environment ----------------------------------------------------------------------------- */

LITHOPS_FUNCTION(getenv_of)
{
    const char *name = "LITHOPS_TEST_A";
    (void)lithops_args(call, "|s", "name", &name);
    const char *value = getenv(name);
    return lithops_return(call, "s?", value);
}

static void expect_variable(const char *env, const char *name, const char *json)
{
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    lithops_value *extra_env = env ? api_json(env) : NULL;
    options.extra_env = extra_env;
    lithops_future *future = lithops_call_async(fexec, getenv_of, lithops_value_string(name),
                                                env ? &options : NULL, &err);
    lithops_value_free(extra_env);
    result_is(future, json);
}

static void test_environment(void **state)
{
    (void)state;
    lithops_executor *shared = fexec;
    setenv("LITHOPS_TEST_B", "outer", 1);
    fexec = api_open("{\"worker_processes\":1}"); /* all calls meet the same process */
    for (int i = 0; i < 3; i++) {
        expect_variable(NULL, "LITHOPS_TEST_A", "null");
        expect_variable(NULL, "LITHOPS_TEST_B", "\"outer\"");
        expect_variable("{\"LITHOPS_TEST_A\":\"x y=z\"}", "LITHOPS_TEST_A", "\"x y=z\"");
        expect_variable("{\"LITHOPS_TEST_A\":\"second\"}", "LITHOPS_TEST_A", "\"second\"");
        expect_variable("{\"LITHOPS_TEST_B\":\"inner\"}", "LITHOPS_TEST_A", "null");
        expect_variable("{\"LITHOPS_TEST_B\":\"inner\"}", "LITHOPS_TEST_B", "\"inner\"");
        expect_variable("{\"LITHOPS_TEST_B\":\"\"}", "LITHOPS_TEST_B", "\"\"");
        expect_variable("{}", "LITHOPS_TEST_B", "\"outer\"");
    }
    assert_string_equal(getenv("LITHOPS_TEST_B"), "outer"); /* the client's environment */
    lithops_executor_close(fexec);
    fexec = shared;
    unsetenv("LITHOPS_TEST_B");
}

/* ---- included files -------------------------------------------------------------------------- */

LITHOPS_FUNCTION(read_included)
{
    const char *name;
    char text[64] = "";
    if (lithops_args(call, "s", "name", &name) != 0)
        return LITHOPS_EARG;
    const char *path = lithops_call_file(call, name);
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file)
        return lithops_return(call, "n");
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    return lithops_return(call, "s%", text, len);
}

static lithops_future *read_with(const char *name, const char *const *include)
{
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.include_modules = include;
    return lithops_call_async(fexec, read_included, lithops_value_string(name), &options, &err);
}

static void test_included_files(void **state)
{
    (void)state;
    const char *one = api_write_file("one.txt", "first", 5);
    const char *two = api_write_file("two words.txt", "second", 6);
    const char *const both[] = {one, two, NULL}, *const first[] = {one, NULL},
                      *const none[] = {NULL};
    result_is(read_with("one.txt", both), "\"first\"");
    result_is(read_with("two words.txt", both), "\"second\"");
    result_is(read_with("two words.txt", first), "null");
    result_is(read_with("one.txt", none), "null");
    result_is(lithops_call_async(fexec, read_included, lithops_value_string("one.txt"), NULL, &err),
              "null");
    const char *const missing[] = {"/nonexistent/model.bin", NULL};
    is_refused(read_with("x", missing), LITHOPS_ENOTFOUND, "model.bin");
    lithops_map_options map = LITHOPS_MAP_OPTIONS_INIT;
    map.include_modules = both;
    results_are(
        lithops_map(fexec, read_included, api_json("[\"one.txt\",\"two words.txt\"]"), &map, &err),
        "[\"first\",\"second\"]");
}

/* ---- endings --------------------------------------------------------------------------------- */

LITHOPS_FUNCTION(fail_with_text)
{
    const char *text;
    if (lithops_args(call, "s", "text", &text) != 0)
        return LITHOPS_EARG;
    return lithops_fail(call, "%s", text);
}

LITHOPS_FUNCTION(return_code)
{
    (void)lithops_return(call, "s", "not to be seen");
    return (int)lithops_call_int(call);
}

LITHOPS_FUNCTION(fail_with_error)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    own.code = LITHOPS_EDENIED;
    own.os_errno = 13;
    snprintf(own.message, sizeof own.message, "no access to '%s'", "x");
    snprintf(own.traceback, sizeof own.traceback, "here\nand there");
    return lithops_fail_error(call, &own);
}

LITHOPS_FUNCTION(misbehave)
{
    switch (lithops_call_int(call)) {
    case 0:
        raise(SIGSEGV);
        break;
    case 1:
        abort();
    case 2:
        _exit(3);
    case 3:
        exit(0);
    case 4:
        raise(SIGKILL);
        break;
    default:
        for (;;)
            pause();
    }
    return 0;
}

static void test_fail(void **state)
{
    (void)state;
    static const char *const texts[] = {"plain", "100%s %n", "\xc3\xa9\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        call_fails(
            lithops_call_async(fexec, fail_with_text, lithops_value_string(texts[i]), NULL, &err),
            LITHOPS_ECALL, texts[i]);
    call_fails(
        lithops_call_async(fexec, fail_with_text, lithops_value_string("two\nlines"), NULL, &err),
        LITHOPS_ECALL, "two lines"); /* a message is one line */
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    lithops_future *future =
        not_null(lithops_call_async(fexec, fail_with_text, lithops_value_string(text), NULL, &err));
    succeeds(lithops_future_wait(future, LIMIT_MS, &err));
    assert_int_equal(lithops_future_state(future), LITHOPS_FAILED);
    lithops_error error = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops_future_error(future, &error), LITHOPS_ECALL);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    char key[64], origin[80];
    snprintf(origin, sizeof origin, "call %s", lithops_future_key(future, key, sizeof key));
    assert_string_equal(error.origin, origin);
    assert_null(lithops_future_traceback(future));
    lithops_future_unref(future);
}

static void test_codes(void **state)
{
    (void)state;
    static const int codes[] = {1, 42, -1, -2, -11, -12, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", codes[i]);
        call_fails(call_int(return_code, codes[i]), LITHOPS_ECALL, number);
    }
    lithops_future *future = call_int(fail_with_error, 0);
    fails(lithops_future_bytes(future, LIMIT_MS, &(lithops_bytes){NULL, 0}, &err), LITHOPS_EDENIED,
          "no access to 'x'");
    assert_int_equal(err.os_errno, 13);
    assert_string_equal(err.traceback, "here\nand there");
    char *traceback = not_null(lithops_future_traceback(future));
    assert_string_equal(traceback, "here\nand there");
    free(traceback);
    lithops_future_unref(future);
}

static void test_crashes(void **state)
{
    (void)state;
    static const struct {
        int signal;
        const char *text;
    } ways[] = {{SIGSEGV, "Segmentation"},
                {SIGABRT, "Abort"},
                {0, "exit status 3"},
                {0, "exit status 0"},
                {SIGKILL, "Killed"}};
    for (int way = 0; way < 5; way++) {
        call_fails(call_int(misbehave, way), LITHOPS_ECRASH, ways[way].text);
        assert_int_equal(err.signal, ways[way].signal);
        result_is(call_int(nothing, way), "null"); /* the others go on */
    }
}

static void test_timeout(void **state)
{
    (void)state;
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.timeout_ms = 100;
    double start = api_now();
    lithops_future *future =
        not_null(lithops_call_async(fexec, misbehave, lithops_value_int(9), &options, &err));
    result_is(call_int(echo, 5), "5"); /* beside it */
    assert_false(lithops_future_is_done(future));
    call_fails(future, LITHOPS_ETIMEOUT, "0.1 s");
    assert_true(api_now() - start >= 0.1);
    options.timeout_ms = LITHOPS_FOREVER;
    result_is(lithops_call_async(fexec, echo, lithops_value_int(1), &options, &err), "1");
    options.timeout_ms = INT64_MAX / 1000 + 1;
    result_is(lithops_call_async(fexec, echo, lithops_value_int(1), &options, &err), "1");
}

/* ---- arguments that upstream injects
 * ------------------------------------------------------------------- */

LITHOPS_FUNCTION(use_storage)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_storage *storage = lithops_call_storage(call);
    if (!storage)
        return LITHOPS_ECALL;
    lithops_value *object =
        lithops_cloudobject_put(storage, (lithops_bytes){"body", 4}, NULL, NULL, &own);
    if (!object)
        return lithops_fail_error(call, &own);
    const char *url = lithops_call_rabbitmq(call);
    return lithops_return(call, "[o,s?]", object, url);
}

static void test_injected(void **state)
{
    (void)state;
    lithops_future *future = call_int(use_storage, 0);
    const lithops_value *object, *url;
    succeeds(lithops_future_result(future, LIMIT_MS, &err, "[oo]", &object, &url));
    assert_true(lithops_value_is_cloudobject(object));
    lithops_value *tested = api_config("{}");
    assert_int_equal(lithops_value_type(url),
                     lithops_value_get(tested, "rabbitmq") ? LITHOPS_STRING : LITHOPS_NULL);
    lithops_value_free(tested);
    lithops_future_unref(future);

    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = lithops_pack("{s:{s:s},s:{s:s}}", "localhost", "storage_root", folder,
                                         "rabbitmq", "amqp_url", "amqp://localhost:1");
    options.config = config;
    lithops_executor *other = not_null(lithops_executor_open(&options, &err));
    lithops_value_free(config);
    future = not_null(lithops_call_async(other, use_storage, lithops_value_null(), NULL, &err));
    const char *text;
    succeeds(lithops_future_result(future, LIMIT_MS, &err, "[os]", &object, &text));
    assert_string_equal(text, "amqp://localhost:1");
    lithops_future_unref(future);
    lithops_executor_close(other);
}

static void test_library_functions(void **state)
{
    (void)state;
    lithops_function *power =
        not_null(lithops_function_open("libm.so.6:pow:double(double,double)", &err));
    result_is(lithops_call_async(fexec, power, lithops_pack("[i,f]", 2, 0.5), NULL, &err),
              "1.4142135623730951");
    call_fails(lithops_call_async(fexec, power, lithops_pack("[i]", 2), NULL, &err), LITHOPS_EARG,
               "");
    lithops_function_free(power);
    is_refused(lithops_function_open("libm.so.6:powx:double(double,double)", &err),
               LITHOPS_ENOTFOUND, "pow");
    is_refused(lithops_function_open("libnosuch.so:f", &err), LITHOPS_ENOTFOUND, "libnosuch.so");
    is_refused(lithops_function_open("nothing", &err), LITHOPS_EUSAGE, "");
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_strings_and_bytes),
        cmocka_unit_test(test_containers),
        cmocka_unit_test(test_returns),
        cmocka_unit_test(test_unpacked),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_executor_ids),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_included_files),
        cmocka_unit_test(test_fail),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_injected),
        cmocka_unit_test(test_library_functions),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
