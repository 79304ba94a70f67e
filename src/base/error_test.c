/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of error.c. */
#include "base/error.h"

#include "base/utf8.h"

#include <errno.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LONGEST = sizeof((lithops_error *)NULL)->message - 1 };

static void errors_say_what_happened(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__fail_errno(&err, ENOSPC, "cannot write '%s'", "/x"),
                     LITHOPS_ENOSPACE);
    assert_string_equal(err.message, "cannot write '/x': No space left on device");
    assert_int_equal(err.os_errno, ENOSPC);
    lithops__error_prefix(&err, "bucket '%s'", "b");
    assert_string_equal(err.message, "bucket 'b': cannot write '/x': No space left on device");
    assert_int_equal(lithops__fail(NULL, LITHOPS_EIO, "nobody listens"), LITHOPS_EIO);
    assert_int_equal(lithops__fail_errno(NULL, EROFS, "nobody listens"), LITHOPS_EDENIED);
    lithops__error_prefix(NULL, "nobody listens");
    assert_string_equal(lithops_error_word(LITHOPS_ENOTFOUND), "not found");
}

static void a_record_is_filled_anew(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops__fail_errno(&err, ECONNRESET, "cannot read");
    err.http_status = 500;
    err.traceback[0] = 'x';
    assert_int_equal(lithops__fail(&err, LITHOPS_EIO, "again: %s", err.message), LITHOPS_EIO);
    assert_string_equal(err.message, "again: cannot read: Connection reset by peer");
    assert_int_equal(err.os_errno, 0);
    assert_int_equal(err.http_status, 0);
    assert_false(err.retryable);
    assert_string_equal(err.traceback, "");
}

static void what_may_pass_is_retryable(void **state)
{
    (void)state;
    static const int pass[] = {EAGAIN,       EWOULDBLOCK, EINTR,       ETIMEDOUT,
                               ECONNREFUSED, ECONNRESET,  ENETUNREACH, EHOSTUNREACH};
    static const int stay[] = {ENOENT, EACCES, EINVAL, ENOSPC, EMFILE, ENOMEM, EIO, EBADF, 0, -1};
    lithops_error err = LITHOPS_ERROR_INIT;
    for (size_t i = 0; i < sizeof pass / sizeof pass[0]; i++) {
        lithops__fail_errno(&err, pass[i], "x");
        assert_true(err.retryable);
    }
    for (size_t i = 0; i < sizeof stay / sizeof stay[0]; i++) {
        lithops__fail_errno(&err, stay[i], "x");
        assert_false(err.retryable);
    }
}

static void long_messages_are_cut_not_overrun(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    char text[4096];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    lithops__fail(&err, LITHOPS_EIO, "%s", text);
    assert_int_equal(strlen(err.message), LONGEST);
    lithops__error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), LONGEST);
}

static void the_reason_outlives_a_long_message(void **state)
{
    (void)state;
    static const char reason[] = ": No such file or directory";
    lithops_error err = LITHOPS_ERROR_INIT;
    char text[1024];
    for (size_t len = LONGEST - 40; len < LONGEST + 40; len++) {
        memset(text, 'a', len);
        text[len] = '\0';
        lithops__fail_errno(&err, ENOENT, "%s", text);
        size_t whole = len + sizeof reason - 1;
        assert_int_equal(strlen(err.message), whole < LONGEST ? whole : LONGEST);
        assert_string_equal(err.message + strlen(err.message) - (sizeof reason - 1), reason);
    }
}

static void a_message_is_one_line(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops__fail(&err, LITHOPS_EIO,
                  "a\nb\tc\r\033[2J\177d\xc2\x9b"
                  "e\n\n");
    assert_string_equal(err.message, "a b c  [2J d  e"); /* U+009B is two bytes long */
    lithops__fail_errno(&err, ENOENT, "cannot open '%s'\n", "x\ny");
    assert_string_equal(err.message, "cannot open 'x y': No such file or directory");
    lithops__error_prefix(&err, "line\n%d", 7);
    assert_string_equal(err.message, "line 7: cannot open 'x y': No such file or directory");
    lithops__fail(&err, LITHOPS_EIO, "%s", "\n \n");
    assert_string_equal(err.message, "");
}

static void a_message_is_valid_utf8(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops__fail(&err, LITHOPS_EIO, "'%s'", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_string_equal(err.message, "'gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80'");
    lithops__fail(&err, LITHOPS_EIO, "%s.", "\xff \xc3 \xed\xa0\x80 \xc0\x80 \xe2\x82 \x80\xc3");
    assert_string_equal(err.message, "? ? ??? ?? ?? ??.");
}

/* Three-byte characters after 0 to 3 letters: the cut falls on each of their bytes. */
static void cuts_are_between_characters(void **state)
{
    (void)state;
    char text[1024] = "";
    for (size_t letters = 0; letters < 4; letters++) {
        memset(text, 'a', letters);
        for (size_t at = letters; at + 3 < sizeof text; at += 3)
            memcpy(text + at, "\xe2\x82\xac", 4);
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops__fail(&err, LITHOPS_EIO, "%s", text);
        size_t len = strlen(err.message);
        assert_int_equal(len, LONGEST - (LONGEST - letters) % 3);
        assert_memory_equal(err.message, text, len);
        lithops__fail_errno(&err, EIO, "%s", text);
        char *reason = strstr(err.message, ": Input/output error");
        assert_non_null(reason);
        assert_memory_equal(err.message, text, (size_t)(reason - err.message));
        assert_int_equal((size_t)(reason - err.message - (ptrdiff_t)letters) % 3, 0);
        assert_true(strlen(err.message) > LONGEST - 3);
    }
}

static void assert_clean(const char *message)
{
    const unsigned char *p = (const unsigned char *)message;
    size_t left = strlen(message);
    assert_true(left <= LONGEST);
    while (left > 0) {
        size_t width = *p < 0x80 ? *p >= 0x20 && *p != 0x7F : lithops__utf8_length(p, left);
        assert_true(width > 0);
        p += width;
        left -= width;
    }
}

static void any_bytes_end_in_a_clean_message(void **state)
{
    (void)state;
    static const unsigned char odd[] = {0x80, 0xBF, 0xC2, 0xC3, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0xFF};
    unsigned short seed[3] = {1, 2, 3};
    for (int round = 0; round < 2000; round++) {
        char text[800];
        size_t len = (size_t)nrand48(seed) % sizeof text;
        for (size_t i = 0; i < len; i++) {
            unsigned char byte = (unsigned char)(nrand48(seed) % 255 + 1);
            text[i] = (char)(round % 2 ? byte : odd[byte % sizeof odd]);
        }
        text[len] = '\0';
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops__fail(&err, LITHOPS_EIO, "%s", text);
        assert_clean(err.message);
        lithops__fail_errno(&err, EIO, "%s", text);
        assert_clean(err.message);
        lithops__error_prefix(&err, "%s", text);
        assert_clean(err.message);
    }
}

static int status_of(int code)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    FILE *out = tmpfile();
    assert_non_null(out);
    if (code != LITHOPS_OK)
        lithops__fail(&err, code, "what happened");
    int status = lithops_error_print(&err, out);
    long printed = ftell(out);
    fclose(out);
    assert_int_equal(printed, code == LITHOPS_OK ? 0 : strlen("lithops: what happened\n"));
    return status;
}

static void exit_statuses_are_as_documented(void **state)
{
    (void)state;
    static const int running[] = {LITHOPS_EIO,       LITHOPS_ENOSPACE, LITHOPS_ENOMEM,
                                  LITHOPS_ECANCELED, LITHOPS_ECALL,    LITHOPS_EARG,
                                  LITHOPS_ECRASH,    LITHOPS_ETIMEOUT, LITHOPS_EMEMORY,
                                  LITHOPS_EFORKED,   LITHOPS_ECLOSED,  -1000};
    static const int asking[] = {LITHOPS_EUSAGE, LITHOPS_ECONFIG, LITHOPS_ENOTFOUND,
                                 LITHOPS_EEXIST, LITHOPS_EDENIED, LITHOPS_EUNSUPPORTED,
                                 LITHOPS_ETYPE,  LITHOPS_EPARSE};
    for (size_t i = 0; i < sizeof running / sizeof running[0]; i++)
        assert_int_equal(status_of(running[i]), 1);
    for (size_t i = 0; i < sizeof asking / sizeof asking[0]; i++)
        assert_int_equal(status_of(asking[i]), 2);
    assert_int_equal(status_of(LITHOPS_EBACKEND), 3);
    assert_int_equal(status_of(LITHOPS_ETHROTTLED), 3);
    assert_int_equal(status_of(LITHOPS_ETIMEDOUT), 124);
    assert_int_equal(status_of(LITHOPS_OK), 0);
    assert_int_equal(lithops_error_print(NULL, stderr), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_say_what_happened),
        cmocka_unit_test(a_record_is_filled_anew),
        cmocka_unit_test(what_may_pass_is_retryable),
        cmocka_unit_test(long_messages_are_cut_not_overrun),
        cmocka_unit_test(the_reason_outlives_a_long_message),
        cmocka_unit_test(a_message_is_one_line),
        cmocka_unit_test(a_message_is_valid_utf8),
        cmocka_unit_test(cuts_are_between_characters),
        cmocka_unit_test(any_bytes_end_in_a_clean_message),
        cmocka_unit_test(exit_statuses_are_as_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
