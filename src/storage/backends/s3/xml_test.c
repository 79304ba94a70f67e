/* SPDX-License-Identifier: Apache-2.0 */
/* The XML reader, and reading S3's error documents and dates. */
#include "net/date.h"
#include "net/xml.h"
#include "storage/backends/s3/s3.h"

#include "base/buffer.h"

#include <lithops/error.h>

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void note(const char *path, const char *text, size_t len, void *user)
{
    assert_int_equal(text[len], '\0');
    lithops__buffer_printf(user, "%s=%s;", path, text);
}

static void note_end(const char *path, void *user)
{
    lithops__buffer_printf(user, "/%s;", path);
}

/* In memory of its exact size, so that a sanitizer notices reads past the end. */
static int read_into(const char *document, struct lithops__buffer *out)
{
    size_t len = strlen(document);
    char *copy = malloc(len ? len : 1);
    memcpy(copy, document, len);
    const struct lithops__xml_visitor visitor = {.text = note, .end = note_end, .user = out};
    int rc = lithops__xml_read(copy, len, &visitor);
    free(copy);
    return rc;
}

static void expect(const char *document, const char *expected)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    assert_int_equal(read_into(document, &out), 0);
    char *text = lithops__buffer_steal(&out);
    assert_string_equal(text, expected);
    free(text);
}

static void documents_are_read(void **state)
{
    (void)state;
    expect("<a/>", "a=;/a;");
    expect("<?xml version=\"1.0\"?>\n<!-- x --><a b='/>' c=\"'\"><b>1</b> <b>2</b><c /></a>\n",
           "a/b=1;/a/b;a/b=2;/a/b;a/c=;/a/c;/a;");
    expect("\xef\xbb\xbf<k>&lt;&amp;&gt;&quot;&apos;&#10;&#x20ac;&#128512;</k >",
           "k=<&>\"'\n\xe2\x82\xac\xf0\x9f\x98\x80;/k;");
    expect("<ns:k xmlns:ns=\"u\"> x </ns:k>", "ns:k= x ;/ns:k;");
}

static void what_is_not_well_formed_is_an_error(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               " ",
                               "text",
                               "<a>",
                               "<a",
                               "<",
                               "<>",
                               "</a>",
                               "<a></b>",
                               "<a></ab>",
                               "<a><b></a></b>",
                               "<a/><b/>",
                               "<a>&none;</a>",
                               "<a>&#0;</a>",
                               "<a>&#xd800;</a>",
                               "<a>&#x110000;</a>",
                               "<a>&#-1;</a>",
                               "<a>&</a>",
                               "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
                               "<a><![CDATA[x]]></a>",
                               "<a b='></a>",
                               "<a/>x",
                               "<a><b><c><d><e><f><g><h><i><j><k><l><m><n><o><p><q></q>"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lithops__buffer out = LITHOPS__BUFFER_INIT;
        if (read_into(bad[i], &out) != LITHOPS_EPARSE)
            fail_msg("'%s' was taken", bad[i]);
        lithops__buffer_deinit(&out);
    }
}

static void errors_have_code_message_and_region(void **state)
{
    (void)state;
    struct lithops__s3_error error;
    const char *document = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is "
                           "wrong</Message><Region>eu-west-1</Region></Error>";
    assert_true(lithops__s3_read_error(document, strlen(document), &error));
    assert_string_equal(error.code, "AuthorizationHeaderMalformed");
    assert_string_equal(error.message, "the region is wrong");
    assert_string_equal(error.region, "eu-west-1");
    assert_false(lithops__s3_read_error("<html>503</html>", 16, &error));
    assert_string_equal(error.code, "");
    assert_false(lithops__s3_read_error("", 0, &error));
}

static void dates_are_read(void **state)
{
    (void)state;
    assert_true(lithops__http_date("Fri, 24 May 2013 00:00:07 GMT") == 1369353607.0);
    assert_true(lithops__iso_date("2013-05-24T00:00:07.250Z") == 1369353607.25);
    assert_true(lithops__iso_date("2013-05-24T00:00:07Z") == 1369353607.0);
    const char *const bad[] = {"", "yesterday", "Fri, 24 Xxx 2013 00:00:00 GMT",
                               "Fri, 24 anF 2013 00:00:00 GMT"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(lithops__http_date(bad[i]) == 0);
        assert_true(lithops__iso_date(bad[i]) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_read),
        cmocka_unit_test(what_is_not_well_formed_is_an_error),
        cmocka_unit_test(errors_have_code_message_and_region),
        cmocka_unit_test(dates_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
