/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of requests that a worker takes, and such that it refuses. */
#include "agent/http_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct lithops__http_head head;

static int look(const char *text)
{
    return lithops__http_head_read(text, strlen(text), "X-Mark", 1000, &head);
}

static void a_post(void **state)
{
    (void)state;
    static const char text[] = "POST /a/b?c=d HTTP/1.1\r\nHost: here\r\nx-mark: \t one two \r\n"
                               "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
    assert_int_equal(look(text), 1);
    assert_string_equal(head.method, "POST");
    assert_string_equal(head.path, "/a/b");
    assert_string_equal(head.header, "one two");
    assert_int_equal(head.len, sizeof text - 1 - 5);
    assert_int_equal(head.body_len, 5);
    assert_true(head.has_header && head.wants_continue && !head.is_old);
    for (size_t len = 0; len < head.len; len++)
        assert_int_equal(lithops__http_head_read(text, len, "X-Mark", 1000, &head), 0);
}

static void a_get_needs_no_headers(void **state)
{
    (void)state;
    assert_int_equal(look("GET /health HTTP/1.0\r\n\r\n"), 1);
    assert_string_equal(head.path, "/health");
    assert_int_equal(head.body_len, 0);
    assert_false(head.has_header || head.wants_continue);
    assert_true(head.is_old);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"\r\n\r\n", 400},
        {"GET\r\n\r\n", 400},
        {"GET /\r\n\r\n", 400},
        {"GET http://here/ HTTP/1.1\r\n\r\n", 400},
        {"G(T / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1 \r\n\r\n", 400},
        {"GET / HTTP/2.0\r\n\r\n", 505},
        {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nname : x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\na: x\ry\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nX-Mark: 1\r\nX-Mark: 2\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n\r\n", 411},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: \r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 0x10\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", 413},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(look(cases[i].text), cases[i].status);
}

static void a_body_in_chunks(void **state)
{
    (void)state;
    static const char text[] = "5\r\nhello\r\nA;name=1\r\n, chunks: \r\n0\r\nTrailer: x\r\n\r\n";
    char copy[sizeof text];
    size_t got = 0;
    assert_int_equal(look("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 1);
    assert_true(head.is_chunked);
    for (size_t len = 0; len < sizeof text - 1; len++) {
        memcpy(copy, text, sizeof text);
        assert_int_equal(lithops__http_chunks_read(copy, len, 15, &got), 0);
        assert_memory_equal(copy, text, sizeof text);
    }
    assert_int_equal(lithops__http_chunks_read(copy, sizeof text - 1, 15, &got), 1);
    assert_int_equal(got, 15);
    assert_memory_equal(copy, "hello, chunks: ", 15);
    memcpy(copy, text, sizeof text);
    assert_int_equal(lithops__http_chunks_read(copy, sizeof text - 1, 14, &got), 413);
    static const char *const wrong[] = {"\r\n", "x\r\n", "-1\r\n", "1x\r\n", "1\r\nab\r\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(copy, sizeof copy, "%s", wrong[i]);
        assert_int_equal(lithops__http_chunks_read(copy, strlen(copy), 15, &got), 400);
    }
    snprintf(copy, sizeof copy, "ffffffffffffffffff\r\n");
    assert_int_equal(lithops__http_chunks_read(copy, strlen(copy), 15, &got), 413);
}

static void a_long_head_is_refused(void **state)
{
    (void)state;
    static char text[LITHOPS__HTTP_HEAD_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_int_equal(lithops__http_head_read(text, LITHOPS__HTTP_HEAD_MAX, "X-Mark", 1000, &head),
                     0);
    assert_int_equal(lithops__http_head_read(text, sizeof text, "X-Mark", 1000, &head), 431);
    snprintf(text, sizeof text, "GET /%0300d HTTP/1.1\r\n\r\n", 0);
    assert_int_equal(lithops__http_head_read(text, sizeof text, "X-Mark", 1000, &head), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post),
        cmocka_unit_test(a_get_needs_no_headers),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(a_body_in_chunks),
        cmocka_unit_test(a_long_head_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
