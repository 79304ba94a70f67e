/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the files of AWS's tools. */
#include "net/aws_profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct lithops__aws_profile profile;

static int tear_down(void **state)
{
    (void)state;
    lithops__aws_profile_deinit(&profile);
    return 0;
}

static void parse(const char *text, const char *name)
{
    lithops__aws_profile_deinit(&profile);
    assert_true(lithops__aws_profile_parse(text, strlen(text), name, &profile));
}

static const char file[] = "aws_access_key_id = of-no-section\n"
                           "[default]\r\n"
                           "aws_access_key_id=of-default\r\n"
                           "# aws_secret_access_key = a comment\n"
                           ";region = a comment\n"
                           "[ profile  work ]\n"
                           "s3 =\n"
                           "  region = of-s3\n"
                           "  aws_access_key_id = of-s3\n"
                           "aws_access_key_id =  of-work  \n"
                           "  aws_secret_access_key=a=b # no comment\n"
                           "region = eu-west-3\n"
                           "region = the-second\n"
                           "a line that makes no sense\n"
                           "[sso-session work]\n"
                           "sso_start_url = https://x/\n"
                           "[work]\n"
                           "aws_session_token = token";

static void a_profile_is_found(void **state)
{
    (void)state;
    parse(file, "work");
    assert_true(profile.found);
    assert_string_equal(profile.access_key, "of-work");
    assert_string_equal(profile.secret_key, "a=b # no comment");
    assert_string_equal(profile.region, "eu-west-3");
    assert_string_equal(profile.session_token, "token");
    assert_null(profile.sso_start_url);
    parse(file, "default");
    assert_string_equal(profile.access_key, "of-default");
    assert_null(profile.secret_key);
    assert_null(profile.region);
    parse(file, "wor");
    assert_false(profile.found);
    assert_null(profile.access_key);
}

static void a_session_is_found(void **state)
{
    (void)state;
    parse("", "work");
    assert_true(lithops__aws_session_parse(file, strlen(file), "work", &profile));
    assert_string_equal(profile.sso_start_url, "https://x/");
    assert_null(profile.session_token);
}

static void what_is_known_stays(void **state)
{
    (void)state;
    static const char more[] = "[work]\naws_access_key_id=other\nrole_arn=arn:x";
    parse(file, "work");
    assert_true(lithops__aws_profile_parse(more, strlen(more), "work", &profile));
    assert_string_equal(profile.access_key, "of-work");
    assert_string_equal(profile.role_arn, "arn:x");
}

static void odd_files_are_read(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "[",
                                        "[]",
                                        "[work",
                                        "[work]",
                                        "=",
                                        "[work]\n=",
                                        "\n\n",
                                        "[work]\nregion",
                                        "[work]\nregion=",
                                        "[profile]\nregion=x"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        parse(texts[i], "work");
        assert_null(profile.region);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_profile_is_found, tear_down),
        cmocka_unit_test_teardown(a_session_is_found, tear_down),
        cmocka_unit_test_teardown(what_is_known_stays, tear_down),
        cmocka_unit_test_teardown(odd_files_are_read, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
