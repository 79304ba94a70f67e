/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of signatures. */
#include "function/signature.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static void each_word_is_known(void **state)
{
    (void)state;
    struct lithops__signature s;
    lithops_error err = LITHOPS_ERROR_INIT;
    const char *text = "void(int,uint,long,ulong,int32,int64,uint32,uint64,float,double,string,"
                       "bytes)";
    assert_int_equal(lithops__signature_parse(text, &s, &err), 0);
    assert_int_equal(s.result, LITHOPS__C_VOID);
    assert_int_equal(s.count, 12);
    for (int i = 0; i < 12; i++)
        assert_int_equal(s.arguments[i], LITHOPS__C_INT + i);
    assert_false(s.takes_call);
}

static void blanks_and_nothing(void **state)
{
    (void)state;
    struct lithops__signature s;
    const char *const nothing[] = {"int()", "int(void)", " int ( ) ", "\tint( void )\n"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(lithops__signature_parse(nothing[i], &s, NULL), 0);
        assert_int_equal(s.result, LITHOPS__C_INT);
        assert_int_equal(s.count, 0);
    }
    assert_int_equal(lithops__signature_parse("  double ( double ,\tint )  ", &s, NULL), 0);
    assert_int_equal(s.count, 2);
    assert_int_equal(lithops__signature_parse("call", &s, NULL), 0);
    assert_true(s.takes_call);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "a type is missing"},
        {"   ", "a type is missing"},
        {"()", "a type is missing"},
        {"int(,)", "a type is missing"},
        {"int(int,)", "a type is missing"},
        {"int(-)", "a type is missing"},
        {"dubble(int)", "no type 'dubble'; did you mean 'double'?"},
        {"int(char)", "(types: void int uint"},
        {"Int(int)", "did you mean 'int'"},
        {"int32_t(int)", "no type 'int32_t'; did you mean 'int32'"},
        {"int", "'(' expected"},
        {"double double", "'(' expected"},
        {"calls", "no type 'calls'"},
        {"int(int", "',' or ')' expected"},
        {"int(int;int)", "',' or ')' expected at ';int)'"},
        {"int(int *)", "',' or ')' expected at ' *)'"},
        {"int(int) x", "'x' behind the last ')'"},
        {"int(void,int)", "void is not allowed as the type of an argument"},
        {"int(int,void)", "void is not allowed as the type of an argument"},
        {"bytes(int)", "cannot return bytes"},
        {"int(int,int,int,int,int,int,int,int,int,int,int,int,int,int,int,int,int)",
         "more than 16 arguments"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        struct lithops__signature s = {.count = 77};
        assert_int_equal(lithops__signature_parse(cases[i].text, &s, &err), LITHOPS_EUSAGE);
        if (!strstr(err.message, cases[i].says))
            fail_msg("'%s' gave: %s", cases[i].text, err.message);
        assert_int_equal(s.count, 77); /* nothing is written on failure */
    }
}

static void a_very_long_word_is_safe(void **state)
{
    (void)state;
    char text[5000];
    struct lithops__signature s;
    memset(text, 'i', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(lithops__signature_parse(text, &s, NULL), LITHOPS_EUSAGE);
    memset(text, ' ', sizeof text - 1);
    assert_int_equal(lithops__signature_parse(text, &s, NULL), LITHOPS_EUSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_word_is_known),
        cmocka_unit_test(blanks_and_nothing),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_very_long_word_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
