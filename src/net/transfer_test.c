/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of all kinds: to nginx, which stores and deletes, and to a server that answers by
 * script.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/module.h"
#include "net/http.h"
#include "net/test_server.h"

#include "../../tests/sanitizers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIG = 3000017 };

static const struct lithops__transfer_api *http;
static const struct lithops__posts_api *posts_api;
static struct lithops__transfer *transfer;
static struct nginx nginx;
static char folder[64], url[256];
static unsigned char *big;
static lithops_error err;

static int set_up(void **state)
{
    (void)state;
    char files[80];
    setenv("no_proxy", "*", 1);
    const struct lithops__http_api *api = lithops__module_symbol("http", "lithops__http", &err);
    snprintf(folder, sizeof folder, "/tmp/lithops-test-XXXXXX");
    big = malloc(BIG);
    if (!api || !mkdtemp(folder) || chmod(folder, 0777) != 0 || !big)
        return -1;
    http = &api->transfer;
    posts_api = &api->posts;
    snprintf(files, sizeof files, "%s/files", folder);
    if (mkdir(files, 0777) != 0 || chmod(files, 0777) != 0)
        return -1;
    for (size_t i = 0; i < BIG; i++)
        big[i] = (unsigned char)(i * 7 + i / 256 + i / 65536);
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

static int open_one(void **state)
{
    (void)state;
    static const struct lithops__http_limits quick = {.stall_timeout_ms = 5000,
                                                      .connect_timeout_ms = 2000};
    return http->open(&quick, &transfer, &err);
}

static int close_one(void **state)
{
    (void)state;
    http->close(transfer);
    return 0;
}

static const char *at(int port, const char *path)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    return url;
}

/* The status; the body's bytes are at `buf`, which has room for one more than are expected. */
static long run(const struct lithops__http_request *request, void *buf, size_t size,
                size_t *ret_len)
{
    size_t none;
    if (http->start(transfer, request, &err) != 0 ||
        http->pull(transfer, NULL, 0, &none, &err) != 0 ||
        http->pull(transfer, buf, size, ret_len, &err) != 0)
        fail_msg("%s %s: %s", request->method, request->url, err.message);
    return http->answer(transfer)->status;
}

static void expect_big(const char *path)
{
    unsigned char *copy = malloc(BIG + 1);
    size_t len;
    struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", at(nginx.port, path));
    assert_int_equal(run(&get, copy, BIG + 1, &len), 200);
    assert_int_equal(len, BIG);
    assert_memory_equal(copy, big, BIG);
    free(copy);
}

/* ---- nginx ----------------------------------------------------------------------------------- */

static void put_get_delete(void **state)
{
    (void)state;
    if (nginx.pid == 0)
        skip();
    char none[64];
    size_t len;
    struct lithops__http_request put = LITHOPS__HTTP_REQUEST("PUT", at(nginx.port, "/dav/a/big"));
    put.has_body = true;
    put.body = (lithops_bytes){big, BIG};
    assert_int_equal(run(&put, none, sizeof none, &len), 201);
    expect_big("/dav/a/big");

    struct lithops__http_request head = LITHOPS__HTTP_REQUEST("HEAD", at(nginx.port, "/dav/a/big"));
    assert_int_equal(run(&head, none, sizeof none, &len), 200);
    assert_int_equal(http->answer(transfer)->length, BIG);
    assert_int_equal(len, 0);

    struct lithops__http_request del =
        LITHOPS__HTTP_REQUEST("DELETE", at(nginx.port, "/dav/a/big"));
    assert_int_equal(run(&del, none, sizeof none, &len), 204);
    assert_int_equal(run(&del, none, sizeof none, &len), 404);
    assert_non_null(strstr(http->answer(transfer)->error_text, "404 Not Found"));
    assert_int_equal(len, 0);
}

static void a_part_of_a_file_is_sent(void **state)
{
    (void)state;
    if (nginx.pid == 0)
        skip();
    char none[64];
    size_t len;
    int fd = memfd_create("transfer_test", MFD_CLOEXEC);
    assert_int_equal(pwrite(fd, "head", 4, 0), 4);
    assert_int_equal(pwrite(fd, big, BIG, 4), BIG);
    struct lithops__http_request put = LITHOPS__HTTP_REQUEST("PUT", at(nginx.port, "/dav/file"));
    put.has_body = true;
    put.body_fd = fd;
    put.body_fd_start = 4;
    put.body_fd_len = BIG;
    assert_int_equal(run(&put, none, sizeof none, &len), 201);
    assert_int_equal(run(&put, none, sizeof none, &len), 204); /* again, and replaced */
    expect_big("/dav/file");
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_int_equal(http->start(transfer, &put, &err), 0);
    assert_int_equal(http->pull(transfer, none, 1, &len, &err), LITHOPS_EIO);
    assert_non_null(strstr(err.message, "became shorter"));
    assert_false(err.retryable);
    expect_big("/dav/file"); /* what could not be sent whole is not stored */
    close(fd);
}

/* ---- by script ------------------------------------------------------------------------------- */

static void methods_headers_and_bodies_arrive(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Token: t1\r\n\r\nhello",
        "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    struct script script;
    char buf[16];
    size_t len;
    script_start(&script, answers, 3);
    const char *const headers[] = {"Authorization: one", "X-Amz-Date: two", NULL};
    struct lithops__http_request post = LITHOPS__HTTP_REQUEST("POST", at(script.port, "/f?x=1"));
    post.headers = headers;
    post.has_body = true;
    post.body = (lithops_bytes){"{\"a\":1}", 7};
    assert_int_equal(run(&post, buf, sizeof buf, &len), 200);
    assert_int_equal(len, 5);
    assert_memory_equal(buf, "hello", 5);
    assert_string_equal(http->header(transfer, "x-token"), "t1");
    assert_null(http->header(transfer, "x-other"));
    post.body.len = 0;
    assert_int_equal(run(&post, buf, sizeof buf, &len), 202);
    struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", at(script.port, "/g"));
    assert_int_equal(run(&get, buf, sizeof buf, &len), 200); /* nothing is left of the last one */
    script_stop(&script);

    assert_memory_equal(script.requests[0], "POST /f?x=1 HTTP/1.1\r\n", 22);
    assert_non_null(strstr(script.requests[0], "\r\nAuthorization: one\r\n"));
    assert_non_null(strstr(script.requests[0], "\r\nX-Amz-Date: two\r\n"));
    assert_non_null(strstr(script.requests[0], "\r\nContent-Length: 7\r\n"));
    assert_non_null(strstr(script.requests[0], "\r\n\r\n{\"a\":1}"));
    assert_non_null(strstr(script.requests[1], "\r\nContent-Length: 0\r\n"));
    assert_memory_equal(script.requests[2], "GET /g HTTP/1.1\r\n", 17);
    assert_null(strstr(script.requests[2], "Authorization"));
    assert_null(strstr(script.requests[2], "Content-Length"));
}

static void what_an_error_says_is_kept(void **state)
{
    (void)state;
    static const char *const answers[] = {"HTTP/1.1 403 Forbidden\r\nContent-Length: 40\r\n\r\n"
                                          "<Error><Code>RequestTimeTooSkewed</Code>",
                                          "HTTP/1.1 302 Found\r\nLocation: /other\r\n"
                                          "Content-Length: 0\r\n\r\n"};
    struct script script;
    char buf[16];
    size_t len;
    script_start(&script, answers, 2);
    struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", at(script.port, "/"));
    assert_int_equal(run(&get, buf, sizeof buf, &len), 403);
    assert_string_equal(http->answer(transfer)->error_text,
                        "<Error><Code>RequestTimeTooSkewed</Code>");
    assert_int_equal(run(&get, buf, sizeof buf, &len), 302); /* not followed unless wanted */
    assert_string_equal(http->header(transfer, "Location"), "/other");
    script_stop(&script);
}

static bool at_once(void *user)
{
    ++*(int *)user;
    return true;
}

static void a_silent_server_is_left(void **state)
{
    (void)state;
    static const char *const answers[] = {"\1", "\1"}; /* nothing, and the connection stays open */
    struct script script;
    size_t len;
    int looks = 0;
    char buf[1];
    script_start(&script, answers, 2);
    struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", at(script.port, "/"));
    get.bounds.interrupted = at_once;
    get.bounds.user = &looks;
    assert_int_equal(http->start(transfer, &get, &err), 0);
    assert_int_equal(http->pull(transfer, buf, 1, &len, &err), LITHOPS_ECANCELED);
    assert_int_equal(looks, 1);
    get.bounds = (struct lithops__bounds){.deadline_ns = lithops__now_ns() + 20000000};
    assert_int_equal(http->start(transfer, &get, &err), 0);
    assert_int_equal(http->pull(transfer, buf, 1, &len, &err), LITHOPS_ETIMEDOUT);
    script_stop(&script);
}

/* A server whose first connection dies as its second request begins. */
struct dying {
    int listener;
    bool first_was_reused;
    size_t body_len; /* of the request on the second connection */
    bool is_whole;
    pthread_t thread;
};

static bool read_head(int fd)
{
    char head[2048] = "";
    for (size_t len = 0; len + 1 < sizeof head && !strstr(head, "\r\n\r\n"); len++)
        if (recv(fd, head + len, 1, 0) != 1)
            return false;
    return true;
}

static void *die(void *user)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct dying *dying = user;
    char byte;
    int first = accept(dying->listener, NULL, NULL);
    (void)read_head(first);
    (void)send(first, ok, sizeof ok - 1, MSG_NOSIGNAL);
    struct pollfd next[] = {{first, POLLIN, 0}, {dying->listener, POLLIN, 0}};
    (void)poll(next, 2, -1);
    dying->first_was_reused = next[0].revents && recv(first, &byte, 1, 0) == 1;
    close(first);
    int second = accept(dying->listener, NULL, NULL);
    while (!read_head(second)) { /* made for the request that failed */
        close(second);
        second = accept(dying->listener, NULL, NULL);
    }
    unsigned char *body = malloc(BIG);
    for (ssize_t n = 1; n > 0 && dying->body_len < BIG; dying->body_len += (size_t)n)
        n = recv(second, body + dying->body_len, BIG - dying->body_len, 0);
    dying->is_whole = dying->body_len == BIG && memcmp(body, big, BIG) == 0;
    free(body);
    (void)send(second, ok, sizeof ok - 1, MSG_NOSIGNAL);
    close(second);
    return NULL;
}

/* libcurl makes it again by itself, and may lose the body. Here it fails, and can be made again. */
static void a_long_body_is_not_sent_again_unasked(void **state)
{
    (void)state;
    struct dying dying = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t size = sizeof address;
    char buf[1];
    size_t len;
    assert_int_equal(bind(dying.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(dying.listener, 5), 0);
    assert_int_equal(getsockname(dying.listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pthread_create(&dying.thread, NULL, die, &dying), 0);
    struct lithops__http_request get =
        LITHOPS__HTTP_REQUEST("GET", at(ntohs(address.sin_port), "/"));
    assert_int_equal(run(&get, buf, 1, &len), 200);
    struct lithops__http_request put = LITHOPS__HTTP_REQUEST("PUT", get.url);
    const char *const headers[] = {"Expect:", NULL};
    put.headers = headers;
    put.has_body = true;
    put.body = (lithops_bytes){big, BIG};
    assert_int_equal(http->start(transfer, &put, &err), 0);
    int rc = http->pull(transfer, buf, 1, &len, &err);
    if (rc !=
        0) { /* not with a libcurl that cannot be asked, where it goes by another connection */
        assert_int_equal(rc, LITHOPS_EBACKEND);
        assert_true(err.retryable);
        assert_int_equal(run(&put, buf, 1, &len), 200);
    }
    pthread_join(dying.thread, NULL);
    assert_int_equal(rc != 0, dying.first_was_reused);
    assert_true(dying.is_whole);
    close(dying.listener);
}

/* libcurl takes it for an answer without a body. */
static void a_head_that_is_cut_off_is_no_answer(void **state)
{
    (void)state;
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Len"};
    struct script script;
    char buf[1];
    size_t len;
    script_start(&script, answers, 1);
    struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", at(script.port, "/"));
    assert_int_equal(http->start(transfer, &get, &err), 0);
    assert_int_equal(http->pull(transfer, buf, 1, &len, &err), LITHOPS_EBACKEND);
    assert_true(err.retryable);
    assert_non_null(strstr(err.message, "cut off"));
    script_stop(&script);
}

/* Of an answer that does not end, as a watch's. */
static void what_has_come_is_given(void **state)
{
    (void)state;
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\n\r\nhello\1"};
    struct script script;
    size_t len;
    char buf[16];
    script_start(&script, answers, 1);
    struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", at(script.port, "/"));
    get.as_it_comes = true;
    assert_int_equal(http->start(transfer, &get, &err), 0);
    assert_int_equal(http->pull(transfer, buf, 2, &len, &err), 0);
    assert_int_equal(len, 2);
    assert_int_equal(http->pull(transfer, buf + 2, sizeof buf - 2, &len, &err), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(http->answer(transfer)->status, 200);
    http->stop(transfer);
    script_stop(&script);
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    const char *const headers[] = {"X-A: 1\r\nX-B: 2", NULL};
    struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", "http://127.0.0.1:9/");
    get.headers = headers;
    assert_int_equal(http->start(transfer, &get, &err), LITHOPS_EUSAGE);
    get.headers = NULL;
    get.url = "ftp://127.0.0.1/";
    assert_int_equal(http->start(transfer, &get, &err), LITHOPS_EUSAGE);
    static const char *const bad[] = {"http://127.0.0.1:99999/secret", "http://a host/secret",
                                      "http://127.0.0.1/a secret"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t len;
        get.url = bad[i];
        err = (lithops_error)LITHOPS_ERROR_INIT;
        assert_int_equal(http->start(transfer, &get, &err), 0);
        assert_int_equal(http->pull(transfer, NULL, 0, &len, &err), LITHOPS_EUSAGE);
        assert_null(strstr(err.message, "secret"));
        assert_false(err.retryable);
    }
}

static void secrets_of_a_url_are_not_shown(void **state)
{
    (void)state;
    static const char *const urls[][2] = {
        {"http://user:secret@127.0.0.1:9/x?token=secret", "http://127.0.0.1:9/x"},
        {"HTTPS://us@er:secret@host/x#secret", "HTTPS://host/x"},
        {"http://host?secret@x", "http://host"},
        {"http://secret@host", "http://host"},
        {"http:///secret@host/x", "http://host/x"},
        {"http://host/a@b", "http://host/a@b"},
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", urls[i][0]);
        assert_int_equal(http->start(transfer, &get, &err), 0);
        assert_string_equal(http->url(transfer), urls[i][1]);
    }
}

/* ---- parts of objects, without libcurl's buffer -------------------------------------------- */

#define PART_HEAD(length) "HTTP/1.1 206 Partial Content\r\nETag: \"e\"\r\n" length

static struct lithops__http_request long_get(const char *where, const char *const *headers)
{
    struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", where);
    get.headers = headers;
    get.is_long = true;
    return get;
}

static void a_long_part_comes_from_nginx(void **state)
{
    (void)state;
    if (!nginx.pid)
        skip();
    enum { FROM = 1000003 };
    unsigned char *copy = malloc(BIG);
    char range[64], path[128];
    size_t len, more;
    snprintf(range, sizeof range, "Range: bytes=%d-", FROM);
    snprintf(path, sizeof path, "%s/files/long", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(big, 1, BIG, file), BIG);
    assert_int_equal(fclose(file), 0);
    const char *const headers[] = {range, "Expect:", NULL}, *const past[] = {
                                                                "range: bytes=3000017-", NULL};
    for (int i = 0; i < 2; i++) { /* over the same connection */
        struct lithops__http_request get = long_get(at(nginx.port, "/long"), headers);
        assert_int_equal(http->start(transfer, &get, &err), 0);
        assert_int_equal(http->pull(transfer, NULL, 0, &len, &err), 0);
        const struct lithops__answer *answer = http->answer(transfer);
        assert_int_equal(answer->status, 206);
        assert_int_equal(answer->length, BIG - FROM);
        assert_int_equal(answer->total, BIG);
        assert_int_equal(answer->range_start, FROM);
        assert_true(answer->has_range && answer->etag[0]);
        assert_string_equal(http->header(transfer, "etag"), answer->etag);
        assert_null(http->header(transfer, "e"));
        assert_null(http->header_at(transfer, "ETag", 1));
        assert_int_equal(http->pull(transfer, copy, 5, &len, &err), 0);
        assert_int_equal(len, 5);
        assert_int_equal(http->pull(transfer, copy + 5, BIG - FROM, &more, &err), 0);
        assert_int_equal(more, BIG - FROM - 5);
        assert_memory_equal(copy, big + FROM, BIG - FROM);
        assert_int_equal(http->pull(transfer, copy, 5, &len, &err), 0);
        assert_int_equal(len, 0);
    }
    struct lithops__http_request get = long_get(at(nginx.port, "/long"), past);
    assert_int_equal(http->start(transfer, &get, &err), 0);
    assert_int_equal(http->pull(transfer, NULL, 0, &len, &err), 0);
    assert_int_equal(http->answer(transfer)->status, 416);
    free(copy);
}

/* What is not a part whose length is said is asked for again, by libcurl; so is what cannot be
 * asked on a connection that has ended meanwhile. */
static void what_a_long_part_is_asked_for(void **state)
{
    (void)state;
    static const char *const answers[] = {
        PART_HEAD("Content-Length: 5\r\n\r\n") "first",
        PART_HEAD("content-length:6  \r\nConnection: close\r\nx-a: 1\r\nX-A:2\r\n\r\n") "second",
        PART_HEAD("Transfer-Encoding: chunked\r\n\r\n5\r\nthird\r\n0\r\n\r\n"),
        PART_HEAD("Transfer-Encoding: chunked\r\n\r\n5\r\nthird\r\n0\r\n\r\n"),
        PART_HEAD("Content-Length: 6\r\n\r\n") "fourth"};
    static const char *const headers[] = {"host: example.org", "range: bytes=0-4",
                                          "Expect:", "X-Empty;", NULL};
    struct script script;
    char buf[16];
    size_t len;
    script_start(&script, answers, 5);
    struct lithops__http_request get = long_get(at(script.port, "/f%20x?y=/z"), headers);
    assert_int_equal(run(&get, buf, sizeof buf, &len), 206);
    assert_int_equal(len, 5);
    assert_memory_equal(buf, "first", 5);
    assert_int_equal(run(&get, buf, sizeof buf, &len), 206); /* the connection has ended */
    assert_int_equal(len, 6);
    assert_memory_equal(buf, "second", 6);
    assert_string_equal(http->header_at(transfer, "x-a", 0), "1");
    assert_string_equal(http->header_at(transfer, "x-a", 1), "2");
    assert_null(http->header_at(transfer, "x-a", 2));
    assert_int_equal(run(&get, buf, sizeof buf, &len), 206); /* twice */
    assert_int_equal(len, 5);
    assert_memory_equal(buf, "third", 5);
    assert_int_equal(run(&get, buf, sizeof buf, &len), 206);
    assert_memory_equal(buf, "fourth", 6);
    script_stop(&script);
    assert_memory_equal(script.requests[0], "GET /f%20x?y=/z HTTP/1.1\r\n", 26);
    assert_non_null(strstr(script.requests[0], "\r\nhost: example.org\r\n"));
    assert_null(strstr(script.requests[0], "Host:"));
    assert_null(strstr(script.requests[0], "Expect"));
    assert_non_null(strstr(script.requests[0], "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(script.requests[0], "\r\nrange: bytes=0-4\r\n"));
    for (size_t i = 1; i < 5; i++)
        assert_non_null(strstr(script.requests[i], "\r\nrange: bytes=0-4\r\n"));
}

/* An error is one answer as others are: a server that has too much to do is not asked twice. */
static void an_error_for_a_long_part_is_final(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 503 Slow Down\r\nRetry-After: 9\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 206 P\nContent-Length: 5\n\nhello", "HTTP/1.1 206 P\nContent-Length: 5\n\nhello"};
    struct script script;
    char buf[16];
    size_t len;
    script_start(&script, answers, 3);
    struct lithops__http_request get = long_get(at(script.port, "/"), NULL);
    assert_int_equal(run(&get, buf, sizeof buf, &len), 503);
    assert_int_equal(len, 0);
    assert_string_equal(http->answer(transfer)->error_text, "busy");
    assert_int_equal(http->answer(transfer)->retry_after_s, 9);
    assert_int_equal(run(&get, buf, sizeof buf, &len), 206); /* libcurl knows lines without CR */
    assert_int_equal(len, 5);
    assert_memory_equal(buf, "hello", 5);
    http->stop(transfer);
    script_stop(&script);
    assert_int_equal(script.count, 3);
}

/* What is to go through a proxy does. */
static void a_long_part_comes_through_the_proxy(void **state)
{
    (void)state;
    static const char *const names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    static const char *const answers[] = {PART_HEAD("Content-Length: 5\r\n\r\n") "proxy"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct script script, origin;
        char buf[16], proxy[64], line[sizeof url + 8];
        size_t len;
        script_start(&script, answers, 1);
        script_start(&origin, answers, 1);
        snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", script.port);
        assert_int_equal(setenv(names[i], proxy, 1), 0);
        assert_int_equal(unsetenv("no_proxy"), 0);
        struct lithops__http_request get = long_get(at(origin.port, "/there"), NULL);
        assert_int_equal(run(&get, buf, sizeof buf, &len), 206);
        assert_memory_equal(buf, "proxy", 5);
        http->stop(transfer);
        assert_int_equal(unsetenv(names[i]), 0);
        assert_int_equal(setenv("no_proxy", "*", 1), 0);
        script_stop(&origin);
        script_stop(&script);
        assert_int_equal(origin.count, 0);
        snprintf(line, sizeof line, "GET %s ", url);
        assert_memory_equal(script.requests[0], line, strlen(line));
    }
}

static void a_long_part_may_be_cut_off(void **state)
{
    (void)state;
    static const char *const answers[] = {PART_HEAD("Content-Length: 9\r\n\r\n") "first",
                                          PART_HEAD("Content-Len"), "",
                                          PART_HEAD("Content-Length: 5\r\n\r\n") "stays\1", "\1"};
    struct script script;
    char buf[16];
    size_t len;
    int looks = 0;
    script_start(&script, answers, 5);
    struct lithops__http_request get = long_get(at(script.port, "/"), NULL);
    assert_int_equal(http->start(transfer, &get, &err), 0);
    assert_int_equal(http->pull(transfer, buf, sizeof buf, &len, &err), LITHOPS_EBACKEND);
    assert_int_equal(len, 5);
    assert_memory_equal(buf, "first", 5);
    for (int i = 0; i < 2; i++) {
        assert_true(err.retryable);
        assert_non_null(strstr(err.message, "cut off"));
        assert_int_equal(http->start(transfer, &get, &err), 0);
        assert_int_equal(http->pull(transfer, buf, sizeof buf, &len, &err), LITHOPS_EBACKEND);
    }
    assert_non_null(strstr(err.message, "Empty reply"));
    assert_true(err.retryable);
    assert_int_equal(run(&get, buf, sizeof buf, &len), 206);
    http->stop(transfer);
    get.url = at(script.port, "/other");
    get.bounds.interrupted = at_once;
    get.bounds.user = &looks;
    assert_int_equal(http->start(transfer, &get, &err), 0);
    assert_int_equal(http->pull(transfer, buf, 1, &len, &err), LITHOPS_ECANCELED);
    assert_int_equal(http->pull(transfer, buf, 1, &len, &err), LITHOPS_EBACKEND); /* it is over */
    script_stop(&script);
}

/* ---- TLS ------------------------------------------------------------------------------------- */

static char *read_whole(const char *name)
{
    char path[128], *text = calloc(1, 8192);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    assert_non_null(text);
    assert_non_null(file);
    assert_true(fread(text, 1, 8191, file) > 0);
    fclose(file);
    return text;
}

static FILE *tls_said;

/* A server that wants a certificate, and says its port. @return its process */
static pid_t start_tls(int *ret_port)
{
    char command[1024], line[256];
    int ends[2];
    snprintf(
        command, sizeof command,
        "cd %s && for name in server client; do openssl req -x509 -newkey ec -pkeyopt "
        "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=$name -addext "
        "subjectAltName=DNS:$name.test -keyout $name.key -out $name.pem 2>/dev/null || exit 1; "
        "done; exec openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key "
        "-CAfile client.pem -Verify 1 -verify_return_error -www 2>/dev/null",
        folder);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    tls_said = fdopen(ends[0], "re"); /* open to the end: it may say more */
    *ret_port = 0;
    while (*ret_port == 0 && fgets(line, sizeof line, tls_said))
        (void)!sscanf(line, "ACCEPT 127.0.0.1:%d", ret_port);
    assert_int_not_equal(*ret_port, 0);
    return pid;
}

/* The status, or a negative code. */
static long ask_as(const struct lithops__http_identity *identity, const char *host, int port)
{
    const struct lithops__http_limits limits = {
        .stall_timeout_ms = 20000, .connect_timeout_ms = 20000, .identity = identity};
    struct lithops__transfer *own;
    char where[96], body[256];
    size_t len;
    assert_int_equal(http->open(&limits, &own, &err), 0);
    snprintf(where, sizeof where, "https://%s:%d/", host, port);
    struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", where);
    get.as_it_comes = true;
    int rc = http->start(own, &get, &err);
    if (rc == 0)
        rc = http->pull(own, body, sizeof body, &len, &err);
    long status = rc ? rc : http->answer(own)->status;
    http->close(own);
    return status;
}

static void whom_a_handle_trusts(void **state)
{
    (void)state;
    int port;
    pid_t server = start_tls(&port);
    char *authority = read_whole("server.pem"), *certificate = read_whole("client.pem"),
         *key = read_whole("client.key"), connect_to[96];
    snprintf(connect_to, sizeof connect_to, "server.test:%d:127.0.0.1:%d", port, port);
    struct lithops__http_identity identity = {.certificate = {certificate, strlen(certificate)},
                                              .key = {key, strlen(key)},
                                              .connect_to = connect_to};
    assert_int_equal(ask_as(&identity, "server.test", port), LITHOPS_EBACKEND); /* of a stranger */
    assert_false(err.retryable);
    identity.authorities = (lithops_bytes){authority, strlen(authority)};
    assert_int_equal(ask_as(&identity, "server.test", port), 200);
    assert_int_equal(ask_as(&identity, "127.0.0.1", port), LITHOPS_EBACKEND); /* another's name */
    identity.certificate.ptr = identity.key.ptr = NULL;
    assert_int_equal(ask_as(&identity, "server.test", port), LITHOPS_EBACKEND); /* it wants one */
    identity.certificate.ptr = certificate;
    identity.key.ptr = key;
    identity.authorities.ptr = NULL;
    identity.any_certificate = true;
    assert_int_equal(ask_as(&identity, "127.0.0.1", port), 200);
    kill(server, SIGKILL);
    assert_int_equal(waitpid(server, NULL, 0), server);
    fclose(tls_said);
    free(authority);
    free(certificate);
    free(key);
}

static void name_authorities(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* All handles share what was read of it. */
static void a_file_of_authorities_that_changes_is_read_again(void **state)
{
    (void)state;
    int port;
    pid_t server = start_tls(&port);
    char *authority = read_whole("server.pem"), *certificate = read_whole("client.pem"),
         *key = read_whole("client.key"), connect_to[96], path[128];
    snprintf(path, sizeof path, "%s/authorities.pem", folder);
    snprintf(connect_to, sizeof connect_to, "server.test:%d:127.0.0.1:%d", port, port);
    const struct lithops__http_identity identity = {
        .certificate = {certificate, strlen(certificate)},
        .key = {key, strlen(key)},
        .connect_to = connect_to};
    name_authorities(path, certificate);
    assert_int_equal(setenv("SSL_CERT_FILE", path, 1), 0);
    assert_int_equal(ask_as(&identity, "server.test", port), LITHOPS_EBACKEND); /* of a stranger */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ask_as(&identity, "server.test", port), LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, path)); /* it is not there */
    name_authorities(path, authority);
    assert_int_equal(ask_as(&identity, "server.test", port), 200);
    assert_int_equal(ask_as(&identity, "127.0.0.1", port), LITHOPS_EBACKEND); /* another's name */
    name_authorities(path, "none");
    assert_int_equal(ask_as(&identity, "server.test", port), LITHOPS_EBACKEND);
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
    assert_int_equal(ask_as(&identity, "server.test", port), LITHOPS_EBACKEND); /* of a stranger */
    kill(server, SIGKILL);
    assert_int_equal(waitpid(server, NULL, 0), server);
    fclose(tls_said);
    free(authority);
    free(certificate);
    free(key);
}

static void begin_one(void)
{
    static const struct lithops__http_limits usual = {0};
    const struct lithops__http_request get = LITHOPS__HTTP_REQUEST("GET", "https://127.0.0.1:9/");
    struct lithops__transfer *other;
    lithops_error own = LITHOPS_ERROR_INIT;
    if (http->open(&usual, &other, &own) != 0 || http->start(other, &get, &own) != 0)
        abort();
    http->close(other);
}

static atomic_bool is_over;

static void *begin_many(void *user)
{
    (void)user;
    while (!atomic_load(&is_over))
        begin_one();
    return NULL;
}

/* Whatever other threads of its parent were about. */
static void a_child_reads_the_authorities(void **state)
{
    (void)state;
    pthread_t threads[2];
    if (UNDER_SANITIZER) /* does not allow fork with threads */
        skip();
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, begin_many, NULL), 0);
    for (int i = 0; i < 50; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            begin_one();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* Connections are reset before they have said anything. */
static void *reset_all(void *user)
{
    const struct linger at_once = {.l_onoff = 1};
    int fd;
    while ((fd = accept(*(const int *)user, NULL, NULL)) >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
    return NULL;
}

/* A server that ends, or has just begun, is worth another try; a stranger's certificate is not. */
static void a_lost_handshake_may_be_made_again(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t size = sizeof address;
    pthread_t thread;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pthread_create(&thread, NULL, reset_all, &listener), 0);
    assert_int_equal(ask_as(NULL, "127.0.0.1", ntohs(address.sin_port)), LITHOPS_EBACKEND);
    assert_true(err.retryable);
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_one, close_one)

/* Whoever else has the connection's descriptor, as a child that was forked meanwhile. */
static void a_post_that_is_ended_closes_its_connection(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    struct lithops__posts *posts;
    struct lithops__post *post;
    char bytes[4096];
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&address, &len), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    const struct lithops__post_request request = {.url = url, .body = {"x", 1}};
    assert_int_equal(posts_api->open(&posts, &err), 0);
    assert_int_equal(posts_api->begin(posts, &request, &post, &err), 0);
    int connection = accept(server, NULL, NULL);
    assert_true(connection >= 0);
    assert_true(read(connection, bytes, sizeof bytes) > 0);
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    assert_true(child > 0);
    posts_api->end(post);
    struct pollfd fd = {connection, POLLIN, 0};
    ssize_t count;
    do
        count = poll(&fd, 1, 30000) == 1 ? read(connection, bytes, sizeof bytes) : -2;
    while (count > 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(count, 0);
    posts_api->close(posts);
    close(connection);
    close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(put_get_delete),
        TEST(a_part_of_a_file_is_sent),
        TEST(methods_headers_and_bodies_arrive),
        TEST(what_an_error_says_is_kept),
        TEST(a_silent_server_is_left),
        TEST(a_long_body_is_not_sent_again_unasked),
        TEST(a_head_that_is_cut_off_is_no_answer),
        TEST(what_has_come_is_given),
        TEST(a_long_part_comes_from_nginx),
        TEST(what_a_long_part_is_asked_for),
        TEST(a_long_part_may_be_cut_off),
        TEST(an_error_for_a_long_part_is_final),
        TEST(a_long_part_comes_through_the_proxy),
        TEST(whom_a_handle_trusts),
        TEST(a_file_of_authorities_that_changes_is_read_again),
        TEST(a_child_reads_the_authorities),
        TEST(a_lost_handshake_may_be_made_again),
        TEST(what_is_no_request_is_refused),
        TEST(secrets_of_a_url_are_not_shown),
        TEST(a_post_that_is_ended_closes_its_connection),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
