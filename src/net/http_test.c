/* SPDX-License-Identifier: Apache-2.0 */
/* Reading URLs from nginx and from a server that fails by script. */
#include "net/http.h"

#include "base/clock.h"
#include "base/module.h"
#include "net/test_server.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIG = 3000017 };

static const struct lithops__http_api *http;
static struct nginx nginx;
static char folder[64];
static unsigned char *big;
static lithops_error err;

static void write_file(const char *name, const void *data, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/files/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static int set_up(void **state)
{
    (void)state;
    char files[80];
    setenv("no_proxy", "*", 1);
    http = lithops__module_symbol("http", "lithops__http", &err);
    snprintf(folder, sizeof folder, "/tmp/lithops-test-XXXXXX");
    big = malloc(BIG);
    if (!http || !mkdtemp(folder) || chmod(folder, 0755) != 0 || !big)
        return -1;
    snprintf(files, sizeof files, "%s/files", folder);
    mkdir(files, 0755);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (unsigned char)(i * 7 + i / 256 + i / 65536);
    write_file("big", big, BIG);
    write_file("empty", "", 0);
    write_file("small", "0123456789", 10);
    if (!nginx_start(&nginx, folder))
        print_message("no nginx here: some tests are skipped (Debian: nginx-light)\n");
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    nginx_stop(&nginx);
    free(big);
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const struct lithops__http_limits quick = {
    .attempts = 3, .first_delay_ms = 1, .stall_timeout_ms = 400, .connect_timeout_ms = 2000};

static struct lithops__http *open_at(int port, const char *path)
{
    char url[256];
    struct lithops__http *opened;
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    err = (lithops_error)LITHOPS_ERROR_INIT;
    assert_int_equal(http->open(url, &quick, &opened, &err), 0);
    return opened;
}

static char mark[16]; /* of the requests of the last handle, in nginx's log */

static struct lithops__http *open_nginx(const char *path)
{
    static unsigned number;
    char marked[128];
    if (!nginx.pid)
        skip();
    snprintf(mark, sizeof mark, "?m%u ", ++number);
    snprintf(marked, sizeof marked, "%s?m%u", path, number);
    return open_at(nginx.port, marked);
}

static void expect_requests(size_t count)
{
    assert_int_equal(nginx_count_requests(&nginx, mark, count), count);
}

static void expect_info(const char *path, uint64_t size, bool ranges)
{
    struct lithops__http *opened = open_nginx(path);
    struct lithops__http_info info;
    if (http->info(opened, &info, &err) != 0)
        fail_msg("%s: %s", path, err.message);
    assert_true(info.size_bytes == size);
    assert_int_equal(info.ranges, ranges);
    http->close(opened);
}

static void expect_bytes(struct lithops__http *opened, uint64_t offset, uint64_t expect_end,
                         size_t len, const void *expected, size_t expected_len)
{
    char *buf = malloc(len + 1);
    size_t got = 0;
    if (http->read(opened, offset, expect_end, buf, len, &got, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(got, expected_len);
    assert_true(memcmp(buf, expected, got) == 0);
    free(buf);
}

/* ---- nginx ----------------------------------------------------------------------------------- */

static void sizes_and_ranges_are_found(void **state)
{
    (void)state;
    expect_info("/big", BIG, true);
    expect_info("/small", 10, true);
    expect_info("/empty", 0, true);
    expect_info("/noranges/big", BIG, false);
    expect_info("/nohead/big", BIG, true);
    expect_info("/nohead/empty", 0, false);
    expect_info("/nosize/big", UINT64_MAX, false);
    expect_info("/to/big", BIG, true);
}

static void read_everywhere(const char *path)
{
    struct lithops__http *opened = open_nginx(path);
    expect_bytes(opened, 0, 10, 10, big, 10);
    expect_bytes(opened, 100000, BIG, 300000, big + 100000, 300000);
    expect_bytes(opened, 400000, BIG, 300000, big + 400000, 300000); /* goes on */
    expect_bytes(opened, 700000, 700001, 300000, big + 700000, 300000);
    expect_bytes(opened, 5, UINT64_MAX, 1, big + 5, 1);
    expect_bytes(opened, BIG - 3, UINT64_MAX, 100, big + BIG - 3, 3);
    expect_bytes(opened, BIG, UINT64_MAX, 100, big, 0);
    expect_bytes(opened, BIG + 1000, BIG + 2000, 100, big, 0);
    expect_bytes(opened, 0, UINT64_MAX, 2 * BIG, big, BIG);
    expect_bytes(opened, 1, 3, 0, big, 0);
    http->close(opened);
}

static void any_range_can_be_read(void **state)
{
    (void)state;
    read_everywhere("/big");
    read_everywhere("/noranges/big");
    read_everywhere("/nosize/big");
    read_everywhere("/to/nohead/big");
}

static void reads_in_a_row_are_one_request(void **state)
{
    (void)state;
    const char *const paths[] = {"/big", "/noranges/big", "/nosize/big"};
    for (int i = 0; i < 3; i++) {
        struct lithops__http *opened = open_nginx(paths[i]);
        uint64_t at = 0;
        for (; at < BIG; at += 10007) {
            size_t left = BIG - at < 10007 ? (size_t)(BIG - at) : 10007;
            expect_bytes(opened, at, BIG, 10007, big + at, left);
        }
        http->close(opened);
        expect_requests(1);
    }
    /* Only what the reader expects to need is requested; the rest takes a second request. */
    struct lithops__http *opened = open_nginx("/big");
    expect_bytes(opened, 0, 1000, 600, big, 600);
    expect_bytes(opened, 600, 1000, 600, big + 600, 600);
    http->close(opened);
    expect_requests(2);
}

static void expect_status(const char *path, int code, int status, bool retryable, size_t requests)
{
    struct lithops__http *opened = open_nginx(path);
    struct lithops__http_info info;
    char byte;
    size_t len;
    for (int i = 0; i < 2; i++) {
        int rc =
            i ? http->info(opened, &info, &err) : http->read(opened, 0, 1, &byte, 1, &len, &err);
        if (rc != code || err.code != code)
            fail_msg("%s gives %d: %s", path, rc, err.message);
        assert_int_equal(err.http_status, status);
        assert_int_equal(err.retryable, retryable);
        assert_non_null(strstr(err.message, path));
        if (i == 0)
            expect_requests(requests);
    }
    assert_int_equal(http->info(opened, &info, NULL), code);
    http->close(opened);
}

static void answers_become_errors(void **state)
{
    (void)state;
    expect_status("/none", LITHOPS_ENOTFOUND, 404, false, 1);
    expect_status("/status/410", LITHOPS_ENOTFOUND, 410, false, 1);
    expect_status("/status/401", LITHOPS_EDENIED, 401, false, 1);
    expect_status("/status/403", LITHOPS_EDENIED, 403, false, 1);
    expect_status("/status/429", LITHOPS_ETHROTTLED, 429, true, 3);
    expect_status("/status/503", LITHOPS_ETHROTTLED, 503, true, 3);
    expect_status("/status/500", LITHOPS_EBACKEND, 500, true, 3);
}

static void redirects_have_limits(void **state)
{
    (void)state;
    const char *const paths[] = {"/loop", "/to-file", "/nowhere"};
    for (int i = 0; i < 3; i++) {
        struct lithops__http *opened = open_nginx(paths[i]);
        struct lithops__http_info info;
        assert_int_equal(http->info(opened, &info, &err), LITHOPS_EBACKEND);
        assert_false(err.retryable);
        assert_non_null(strstr(err.message, paths[i]));
        http->close(opened);
    }
}

/* ---- URLs ------------------------------------------------------------------------------------ */

static void bad_urls_are_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               "x",
                               "/etc/passwd",
                               "file:///etc/passwd",
                               "ftp://x/y",
                               "http://",
                               "http://a b/c",
                               "http://h:99999/",
                               "https://",
                               "gopher://x/http://"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lithops__http *opened = NULL;
        if (http->open(bad[i], NULL, &opened, &err) != LITHOPS_EUSAGE)
            fail_msg("'%s' was taken", bad[i]);
        assert_null(opened);
    }
    http->close(NULL);
}

static void secrets_are_not_shown(void **state)
{
    (void)state;
    if (!nginx.pid)
        skip();
    char url[128], byte;
    size_t len;
    struct lithops__http *opened;
    snprintf(url, sizeof url, "http://user:pa55@127.0.0.1:%d/none?signature=c0de#frag", nginx.port);
    assert_int_equal(http->open(url, &quick, &opened, &err), 0);
    assert_int_equal(http->read(opened, 0, 1, &byte, 1, &len, &err), LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "/none"));
    assert_null(strstr(err.message, "pa55"));
    assert_null(strstr(err.message, "c0de"));
    http->close(opened);
    assert_int_equal(http->open("http://user:pa55@bad host/", &quick, &opened, &err),
                     LITHOPS_EUSAGE);
    assert_null(strstr(err.message, "pa55"));
}

static void nobody_listens(void **state)
{
    (void)state;
    struct script script; /* to get a port that was free a moment ago */
    script_start(&script, NULL, 0);
    int port = script.port;
    script_stop(&script);
    struct lithops__http *opened = open_at(port, "/x");
    struct lithops__http_info info;
    assert_int_equal(http->info(opened, &info, &err), LITHOPS_EBACKEND);
    assert_true(err.retryable);
    assert_int_equal(err.http_status, 0);
    assert_non_null(strstr(err.message, "127.0.0.1"));
    http->close(opened);
    assert_int_equal(http->open("http://no-such-host.invalid/x", &quick, &opened, &err), 0);
    assert_int_equal(http->info(opened, &info, &err), LITHOPS_EBACKEND);
    http->close(opened);
}

/* ---- faults ---------------------------------------------------------------------------------- */

#define PART(first, last, etag, body)                                                              \
    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " first "-" last "/10\r\nETag: " etag    \
    "\r\nConnection: close\r\n\r\n" body
#define FULL(length, body)                                                                         \
    "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\nConnection: close\r\n\r\n" body

/* Read ten bytes from a script; "0123456789" must come, or an error. */
static void expect_script(const char *const *answers, size_t count, int code, size_t requests,
                          struct script *script)
{
    script_start(script, answers, count);
    struct lithops__http *opened = open_at(script->port, "/x");
    char buf[11] = "";
    size_t len = 0;
    int rc = http->read(opened, 0, 10, buf, 10, &len, &err);
    http->close(opened);
    script_stop(script);
    if (rc != code)
        fail_msg("%d instead of %d: %s", rc, code, err.message);
    if (rc == 0)
        assert_string_equal(buf, "0123456789");
    else
        assert_int_equal(err.code, code);
    assert_int_equal(script->count, requests);
}

#define SCRIPT(code, requests, ...)                                                                \
    expect_script((const char *const[]){__VA_ARGS__},                                              \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), code, requests,     \
                  &script)

static void a_broken_answer_is_continued(void **state)
{
    (void)state;
    struct script script;
    const char *whole = PART("0", "9", "\"v\"", "0123456789");
    SCRIPT(0, 1, whole);
    SCRIPT(0, 2, "HTTP/1.1 206 x\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n0123",
           PART("4", "9", "\"v\"", "456789"));
    assert_non_null(strstr(script.requests[0], "Range: bytes=0-9\r\n"));
    assert_non_null(strstr(script.requests[1], "Range: bytes=4-9\r\n"));
    SCRIPT(0, 2, FULL("10", "01234"), FULL("10", "0123456789")); /* no ranges: skips */
    SCRIPT(0, 2, "", whole);
    SCRIPT(0, 2, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", whole);
    SCRIPT(0, 3, PART("0", "9", "\"v\"", "0123"), PART("4", "9", "\"v\"", "45"),
           PART("6", "9", "\"v\"", "6789")); /* shorter parts than asked for are allowed */
    /* Each byte that comes sets the count of attempts back. */
    SCRIPT(0, 8, FULL("10", "0"), FULL("10", "01"), FULL("10", "012"), FULL("10", "0123"),
           FULL("10", "01234"), FULL("10", "012345"), FULL("10", "0123456"),
           FULL("10", "0123456789"));
    SCRIPT(LITHOPS_EBACKEND, 3, "", "", "", "");
    assert_true(err.retryable);
}

static void a_stalled_answer_is_given_up(void **state)
{
    (void)state;
    struct script script;
    SCRIPT(0, 2, FULL("10", "0123\x01"), FULL("10", "0123456789"));
    struct lithops__http_limits limits = quick;
    const char *const answers[] = {FULL("10", "0123\x01")};
    script_start(&script, answers, 1);
    char url[64], buf[10];
    size_t len;
    struct lithops__http *opened;
    limits.attempts = 1;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x", script.port);
    assert_int_equal(http->open(url, &limits, &opened, &err), 0);
    uint64_t start = lithops__now_ns();
    assert_int_equal(http->read(opened, 0, 10, buf, 10, &len, &err), LITHOPS_EBACKEND);
    assert_true(err.retryable);
    uint64_t took_ms = (lithops__now_ns() - start) / 1000000;
    assert_true(took_ms >= 400 && took_ms < 20000);
    http->close(opened);
    script_stop(&script);
}

static void a_changed_object_is_noticed(void **state)
{
    (void)state;
    struct script script;
    SCRIPT(LITHOPS_EIO, 2, PART("0", "9", "\"v1\"", "0123"), PART("4", "9", "\"v2\"", "456789"));
    assert_non_null(strstr(err.message, "changed"));
    SCRIPT(LITHOPS_EIO, 2, FULL("10", "0123"), FULL("11", "01234567890"));
    SCRIPT(LITHOPS_EIO, 2, PART("0", "9", "\"v\"", "0123"),
           "HTTP/1.1 416 x\r\nContent-Range: bytes */4\r\nETag: \"v\"\r\n\r\n");
}

/* Of an object whose size is not known, a 416 tells where it ends; few servers give it an ETag. */
static void the_end_is_found_without_an_etag(void **state)
{
    (void)state;
    struct script script;
    const char *const part = "HTTP/1.1 206 x\r\nContent-Range: bytes 0-3/*\r\nETag: \"v\"\r\n"
                             "Content-Length: 4\r\nConnection: close\r\n\r\n0123";
    static const struct {
        const char *end;
        int code;
    } ends[] = {
        {"HTTP/1.1 416 x\r\nContent-Length: 0\r\n\r\n", 0},
        {"HTTP/1.1 416 x\r\nContent-Range: bytes */4\r\nContent-Length: 0\r\n\r\n", 0},
        {"HTTP/1.1 416 x\r\nETag: \"v\"\r\nContent-Length: 0\r\n\r\n", 0},
        {"HTTP/1.1 416 x\r\nETag: \"w\"\r\nContent-Length: 0\r\n\r\n", LITHOPS_EIO},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *const answers[] = {part, ends[i].end};
        script_start(&script, answers, 2);
        struct lithops__http *opened = open_at(script.port, "/x");
        char buf[10];
        size_t len = 0;
        assert_int_equal(http->read(opened, 0, 10, buf, 10, &len, &err), ends[i].code);
        if (ends[i].code == 0) {
            assert_int_equal(len, 4);
            assert_memory_equal(buf, "0123", 4);
        }
        http->close(opened);
        script_stop(&script);
    }
    SCRIPT(LITHOPS_EIO, 2, PART("0", "9", "\"v\"", "0123"), /* it was longer */
           "HTTP/1.1 416 x\r\nContent-Length: 0\r\n\r\n");
}

static void wrong_answers_are_refused(void **state)
{
    (void)state;
    struct script script;
    SCRIPT(LITHOPS_EBACKEND, 1, PART("1", "9", "\"v\"", "123456789"));
    assert_non_null(strstr(err.message, "a different range than requested"));
    SCRIPT(LITHOPS_EBACKEND, 1, "HTTP/1.1 206 x\r\n\r\n0123456789");
    SCRIPT(LITHOPS_EBACKEND, 1, "HTTP/1.1 206 x\r\nContent-Range: bytes x\r\n\r\n0123456789");
    SCRIPT(LITHOPS_EBACKEND, 1, "HTTP/1.1 204 No Content\r\n\r\n");
    SCRIPT(LITHOPS_EBACKEND, 1, "this is not HTTP\r\n\r\n");
    SCRIPT(LITHOPS_EIO, 1, PART("0", "9", "\"v\"", "")); /* promises and gives nothing */
}

static void a_server_that_asks_to_wait_is_waited_for(void **state)
{
    (void)state;
    struct script script;
    uint64_t start = lithops__now_ns();
    SCRIPT(0, 2, "HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
           FULL("10", "0123456789"));
    assert_true(lithops__now_ns() - start >= 1000000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_ranges_are_found),
        cmocka_unit_test(any_range_can_be_read),
        cmocka_unit_test(reads_in_a_row_are_one_request),
        cmocka_unit_test(answers_become_errors),
        cmocka_unit_test(redirects_have_limits),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(a_broken_answer_is_continued),
        cmocka_unit_test(a_stalled_answer_is_given_up),
        cmocka_unit_test(a_changed_object_is_noticed),
        cmocka_unit_test(the_end_is_found_without_an_etag),
        cmocka_unit_test(wrong_answers_are_refused),
        cmocka_unit_test(a_server_that_asks_to_wait_is_waited_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
