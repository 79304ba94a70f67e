/* SPDX-License-Identifier: Apache-2.0 */
/* How inputs reach the variables of a function: lithops_args() with inputs and extra_args of every
 * shape, and the readers of the input. */
#include "api.h"

#include <stdio.h>

/* Two required arguments and two optional ones. */
LITHOPS_FUNCTION(bind_four)
{
    int64_t count;
    const char *name, *mark = "none";
    double scale = 0.5;
    if (lithops_args(call, "Is|fs", "count", &count, "name", &name, "scale", &scale, "mark",
                     &mark) != 0)
        return LITHOPS_EARG;
    return lithops_return(call, "[Isfs]", count, name, scale, mark);
}

LITHOPS_FUNCTION(bind_nothing)
{
    if (lithops_args(call, "") != 0)
        return LITHOPS_EARG;
    return lithops_return(call, "s", "bound");
}

LITHOPS_FUNCTION(bind_every_type)
{
    int i;
    int64_t l;
    bool b;
    double f;
    const char *s, *t;
    size_t t_len;
    lithops_bytes y;
    const lithops_value *o;
    if (lithops_args(call, "iIbfss%yo", "i", &i, "I", &l, "b", &b, "f", &f, "s", &s, "t", &t,
                     &t_len, "y", &y, "o", &o) != 0)
        return LITHOPS_EARG;
    return lithops_return(call, "[iIbfss%yO]", i, l, b, f, s, t, t_len, y.ptr, y.len, o);
}

/* Errors of the readers that take no format. */
LITHOPS_FUNCTION(read_input)
{
    const lithops_value *input = lithops_call_input(call);
    lithops_bytes bytes = lithops_call_bytes(call);
    if (input != lithops_call_input(call))
        return lithops_fail(call, "two inputs");
    return lithops_return(
        call, "[s,I,o,O]", lithops_type_name(lithops_value_type(input)), lithops_call_int(call),
        bytes.ptr ? lithops_value_bytes(bytes.ptr, bytes.len) : lithops_value_null(),
        lithops_call_extra_args(call) ? lithops_call_extra_args(call) : lithops_value_null());
}

static lithops_futures *map_one(const lithops_function *function, const char *input,
                                const char *extra)
{
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *extra_args = extra ? api_json(extra) : NULL, *list = lithops_value_list();
    assert_int_equal(lithops_value_append(list, api_json(input)), 0);
    options.extra_args = extra_args;
    lithops_futures *futures = lithops_map(fexec, function, list, &options, &err);
    lithops_value_free(extra_args); /* borrowed for the call only */
    return not_null(futures);
}

struct binding {
    const char *input, *extra, *result;
};

static void test_bound(void **state)
{
    (void)state;
    static const struct binding cases[] = {
        {"[1,\"a\"]", NULL, "[[1,\"a\",0.5,\"none\"]]"},
        {"[1,\"a\",2.5]", NULL, "[[1,\"a\",2.5,\"none\"]]"},
        {"[1,\"a\",2,\"m\"]", NULL, "[[1,\"a\",2.0,\"m\"]]"},
        {"{\"name\":\"a\",\"count\":-1}", NULL, "[[-1,\"a\",0.5,\"none\"]]"},
        {"{\"mark\":\"m\",\"name\":\"a\",\"count\":3}", NULL, "[[3,\"a\",0.5,\"m\"]]"},
        {"7", "[\"a\"]", "[[7,\"a\",0.5,\"none\"]]"},
        {"7", "[\"a\",1.25,\"m\"]", "[[7,\"a\",1.25,\"m\"]]"},
        {"[7]", "[\"a\"]", "[[7,\"a\",0.5,\"none\"]]"},
        {"7", "{\"name\":\"a\"}", "[[7,\"a\",0.5,\"none\"]]"},
        {"7", "{\"mark\":\"m\",\"name\":\"a\"}", "[[7,\"a\",0.5,\"m\"]]"},
        {"[7,\"a\"]", "{\"scale\":4}", "[[7,\"a\",4.0,\"none\"]]"},
        {"{\"count\":7}", "{\"name\":\"a\",\"scale\":4}", "[[7,\"a\",4.0,\"none\"]]"},
        {"{\"count\":7}", "[\"a\"]", "[[7,\"a\",0.5,\"none\"]]"},
        {"[7,\"a\"]", "[]", "[[7,\"a\",0.5,\"none\"]]"},
        {"[7,\"a\"]", "{}", "[[7,\"a\",0.5,\"none\"]]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        results_are(map_one(bind_four, cases[i].input, cases[i].extra), cases[i].result);
}

/* `result` is part of the message. */
static void test_not_bound(void **state)
{
    (void)state;
    static const struct binding cases[] = {
        {"[]", NULL, "'count'"},
        {"[1]", NULL, "'name'"},
        {"1", NULL, "'name'"},
        {"null", NULL, "'count'"},
        {"{}", NULL, "'count'"},
        {"{\"count\":1}", NULL, "'name'"},
        {"{\"name\":\"a\"}", "[]", "'count'"},
        {"[\"a\",1]", NULL, "'count'"},
        {"[1,2]", NULL, "'name'"},
        {"[1.5,\"a\"]", NULL, "'count'"},
        {"[true,\"a\"]", NULL, "'count'"},
        {"[null,\"a\"]", NULL, "'count'"},
        {"[1,\"a\",\"x\"]", NULL, "'scale'"},
        {"[1,\"a\",1.5,9]", NULL, "'mark'"},
        {"{\"count\":1,\"name\":\"a\",\"colour\":1}", NULL, "'colour'"},
        {"[1,\"a\"]", "{\"colour\":1}", "'colour'"},
        {"[1,\"a\",2.5,\"m\",5]", NULL, "5 arguments"},
        {"[1,\"a\",2.5,\"m\"]", "[5]", "5 arguments"},
        {"[1,\"a\"]", "{\"count\":2}", "'count' is in the input and"},
        {"{\"count\":1,\"name\":\"a\"}", "{\"count\":2}", "'count' is in the input and"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lithops_futures *futures = map_one(bind_four, cases[i].input, cases[i].extra);
        call_fails(lithops_futures_get(futures, 0), LITHOPS_EARG, cases[i].result);
        lithops_futures_unref(futures);
    }
}

static void test_no_arguments(void **state)
{
    (void)state;
    results_are(map_one(bind_nothing, "[]", NULL), "[\"bound\"]");
    results_are(map_one(bind_nothing, "{}", NULL), "[\"bound\"]");
    results_are(map_one(bind_nothing, "null", NULL), "[\"bound\"]");
    lithops_futures *futures = map_one(bind_nothing, "1", NULL);
    call_fails(lithops_futures_get(futures, 0), LITHOPS_EARG, "1 argument");
    lithops_futures_unref(futures);
}

static void test_every_type(void **state)
{
    (void)state;
    lithops_value *input =
        lithops_pack("[iIbfss%yo]", -7, INT64_MIN, 1, 2.5, "text", "a\0b", (size_t)3, "\xff\0\x01",
                     (size_t)3, lithops_pack("{s:[n]}", "k"));
    lithops_value *expected = lithops_value_copy(input);
    lithops_future *future =
        not_null(lithops_call_async(fexec, bind_every_type, input, NULL, &err));
    const lithops_value *result;
    succeeds(lithops_future_value(future, LIMIT_MS, &result, &err));
    assert_true(lithops_value_equal(result, expected));
    lithops_value_free(expected);
    lithops_future_unref(future);
    /* an int that `int` cannot hold is an error, not another number */
    input = lithops_pack("[IIbfssyn]", (int64_t)INT32_MAX + 1, (int64_t)0, 0, 0.0, "", "", "",
                         (size_t)0);
    call_fails(lithops_call_async(fexec, bind_every_type, input, NULL, &err), LITHOPS_EARG, "'i'");
}

static void test_readers(void **state)
{
    (void)state;
    results_are(map_one(read_input, "41", NULL), "[[\"int\",41,null,null]]");
    results_are(map_one(read_input, "4.5", NULL), "[[\"double\",0,null,null]]");
    results_are(map_one(read_input, "true", NULL), "[[\"bool\",0,null,null]]");
    results_are(map_one(read_input, "null", NULL), "[[\"null\",0,null,null]]");
    results_are(map_one(read_input, "\"ab\"", NULL), "[[\"string\",0,{\"$bytes\":\"YWI=\"},null]]");
    results_are(map_one(read_input, "\"\"", NULL), "[[\"string\",0,{\"$bytes\":\"\"},null]]");
    results_are(map_one(read_input, "[1,2]", "[3]"), "[[\"list\",0,null,[3]]]");
    results_are(map_one(read_input, "{\"a\":1}", "{\"b\":{\"c\":2}}"),
                "[[\"map\",0,null,{\"b\":{\"c\":2}}]]");
}

static void test_extra_args_checked(void **state)
{
    (void)state;
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *wrong = lithops_value_int(1);
    options.extra_args = wrong;
    is_refused(lithops_map(fexec, bind_four, lithops_range(0, 2), &options, &err), LITHOPS_EUSAGE,
               "extra_args");
    lithops_value_free(wrong);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),        cmocka_unit_test(test_not_bound),
        cmocka_unit_test(test_no_arguments), cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_readers),      cmocka_unit_test(test_extra_args_checked),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
