/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a Runtime API that answers as it likes. */
#include "agent/runtime_api.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUEST_MAX = 4096, ANSWERS = 8 };

/* Each answer is for one request: '|' ends a piece that is sent on its own, '!' closes the
 * connection, '?' keeps it without an answer until the client closes it. */
static struct {
    int listener;
    char place[32], requests[ANSWERS][REQUEST_MAX];
    const char *answers[ANSWERS];
    size_t count, connections;
    atomic_size_t taken; /* requests */
    pthread_t thread;
} server;

static bool read_request(int fd, char *request)
{
    size_t len = 0;
    const char *end = NULL;
    do {
        ssize_t n = read(fd, request + len, REQUEST_MAX - 1 - len);
        if (n <= 0)
            return false;
        len += (size_t)n;
        request[len] = '\0';
        end = strstr(request, "\r\n\r\n");
    } while (!end || (strstr(request, "Content-Length: 5") && strlen(end + 4) < 5));
    return true;
}

/* @return whether the connection stays */
static bool send_answer(int fd, const char *answer)
{
    while (*answer && *answer != '!' && *answer != '?') {
        size_t len = strcspn(answer, "|!?");
        if (send(fd, answer, len, MSG_NOSIGNAL) != (ssize_t)len)
            return false;
        answer += len + (answer[len] == '|');
        if (*answer)
            usleep(2000); /* or the pieces may arrive together, which is no harm */
    }
    return *answer != '!';
}

static void *serve(void *user)
{
    (void)user;
    for (size_t next = 0; next < server.count;) {
        int fd = accept(server.listener, NULL, NULL);
        server.connections++;
        while (next < server.count && read_request(fd, server.requests[next])) {
            atomic_fetch_add(&server.taken, 1);
            if (!send_answer(fd, server.answers[next++]))
                break;
        }
        if (next == server.count) {
            struct pollfd look = {.fd = fd, .events = POLLIN};
            const char *last = server.answers[next - 1];
            if (last[strlen(last) - 1] == '?')
                (void)poll(&look, 1, 60000); /* until it hangs up */
        }
        close(fd);
    }
    return NULL;
}

static struct lithops__runtime_api *begin(const char *const *answers, size_t count, int stop_fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    struct lithops__runtime_api *api = NULL;
    memset(&server, 0, sizeof server);
    for (server.count = 0; server.count < count; server.count++)
        server.answers[server.count] = answers[server.count];
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server.listener, 8), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&address, &size), 0);
    snprintf(server.place, sizeof server.place, "127.0.0.1:%d", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    assert_int_equal(lithops__runtime_api_open(server.place, stop_fd, &api, NULL), 0);
    return api;
}

static void end(struct lithops__runtime_api *api)
{
    lithops__runtime_api_close(api);
    pthread_join(server.thread, NULL);
    close(server.listener);
}

static int get(struct lithops__runtime_api *api, lithops_error *err)
{
    const struct lithops__runtime_request request = {.method = "GET", .path = "/next"};
    return lithops__runtime_api_ask(api, &request, err);
}

static void expect_body(struct lithops__runtime_api *api, const char *body)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (get(api, &err) != 0)
        fail_msg("%s", err.message);
    assert_string_equal((const char *)lithops__runtime_api_body(api).ptr, body);
    assert_int_equal(lithops__runtime_api_body(api).len, strlen(body));
}

/* ---- answers --------------------------------------------------------------------------------- */

static void one_connection_for_all(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nA-Name: one \t\r\na-name: two\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno"};
    struct lithops__runtime_api *api = begin(answers, 4, -1);
    expect_body(api, "hello");
    assert_int_equal(lithops__runtime_api_status(api), 200);
    assert_string_equal(lithops__runtime_api_header(api, "A-NAME"), "one");
    assert_null(lithops__runtime_api_header(api, "A"));
    const struct lithops__runtime_request post = {.method = "POST",
                                                  .path = "/x/response",
                                                  .header = "X-Mark: 1",
                                                  .has_body = true,
                                                  .body = {"after", 5}};
    assert_int_equal(lithops__runtime_api_ask(api, &post, NULL), 0);
    assert_int_equal(lithops__runtime_api_status(api), 202);
    assert_int_equal(lithops__runtime_api_body(api).len, 0);
    expect_body(api, "");
    expect_body(api, "no");
    assert_int_equal(lithops__runtime_api_status(api), 404);
    end(api);
    assert_int_equal(server.connections, 1);
    char expected[256];
    snprintf(expected, sizeof expected,
             "POST /x/response HTTP/1.1\r\nHost: %s\r\nUser-Agent: lithops/" LITHOPS_VERSION
             "\r\nAccept: */*\r\nContent-Length: 5\r\nX-Mark: 1\r\n\r\nafter",
             server.place);
    assert_string_equal(server.requests[1], expected);
}

static void chunks_and_pieces(void **state)
{
    (void)state;
    static const char *const answers[] = {
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "5\r\nhello\r\n1;a=b\r\n,\r\n0000A\r\n0123456789\r\n0\r\nX: y\r\n\r\n"),
        "HT|TP/1.1 200 OK\r|\nTransfer-Encoding: chunked\r\n\r|\n3|\r\nab|c\r|\n0|\r\n\r|\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r|\nab|cd|ef",
        "HTTP/1.0 200 OK\r\n\r\nuntil |the end!",
        "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\n1",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2 and more"};
    struct lithops__runtime_api *api = begin(answers, 6, -1);
    expect_body(api, "hello,0123456789");
    expect_body(api, "abc");
    expect_body(api, "abcdef");
    assert_int_equal(server.connections, 1);
    expect_body(api, "until the end");
    expect_body(api, "1");
    expect_body(api, "2");
    end(api);
    assert_int_equal(server.connections, 3);
}

static void a_large_event(void **state)
{
    (void)state;
    enum { SIZE = 6 << 20 };
    static char answer[SIZE + 128];
    int len =
        snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", SIZE);
    memset(answer + len, 'x', SIZE);
    const char *const answers[] = {answer};
    struct lithops__runtime_api *api = begin(answers, 1, -1);
    expect_body(api, answer + len);
    end(api);
}

/* A connection that was closed in the meantime is no failure; one that is lost is, for once. */
static void connections_end(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1!",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2",
        "!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell!",
        "HTTP/1.1 200 O!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell!",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3"};
    struct lithops__runtime_api *api = begin(answers, 7, -1);
    lithops_error err = LITHOPS_ERROR_INIT;
    expect_body(api, "1");
    while (get(api, &err) != 0) /* unless its end comes after the request is sent */
        assert_true(err.retryable);
    for (int i = 0; i < 4; i++) {
        err = (lithops_error)LITHOPS_ERROR_INIT;
        assert_int_equal(get(api, &err), LITHOPS_EBACKEND);
        assert_true(err.retryable);
        assert_non_null(strstr(err.message, "the connection was "));
    }
    expect_body(api, "3");
    end(api);
}

static void what_is_not_http(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000001\r\n"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct lithops__runtime_api *api = begin(answers + i, 1, -1);
        lithops_error err = LITHOPS_ERROR_INIT;
        assert_int_equal(get(api, &err), LITHOPS_EBACKEND);
        assert_false(err.retryable);
        end(api);
    }
}

/* Each is short, and there is no last one. */
static void heads_and_trailers_without_an_end(void **state)
{
    static const char *const pieces[][3] = {
        {"", "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n", "too many heads"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n",
         "too long a head behind"}};
    static char text[100 << 10];
    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const size_t first = strlen(pieces[i][0]), len = strlen(pieces[i][1]);
        memcpy(text, pieces[i][0], first);
        for (size_t at = first; at < sizeof text - 1; at++)
            text[at] = pieces[i][1][(at - first) % len];
        const char *const answers[] = {text};
        struct lithops__runtime_api *api = begin(answers, 1, -1);
        lithops_error err = LITHOPS_ERROR_INIT;
        assert_int_equal(get(api, &err), LITHOPS_EBACKEND);
        assert_non_null(strstr(err.message, pieces[i][2]));
        end(api);
    }
}

static void a_head_without_an_end(void **state)
{
    (void)state;
    static char head[100 << 10];
    memset(head, 'a', sizeof head - 1);
    const char *const answers[] = {head};
    struct lithops__runtime_api *api = begin(answers, 1, -1);
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(get(api, &err), LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, "too long a head"));
    end(api);
}

/* ---- without an answer ----------------------------------------------------------------------- */

static void *stop_soon(void *user)
{
    while (atomic_load(&server.taken) == 0)
        usleep(1000);
    assert_int_equal(eventfd_write(*(int *)user, 1), 0);
    return NULL;
}

static void told_to_end(void **state)
{
    (void)state;
    static const char *const answers[] = {"?"};
    int stop_fd = eventfd(0, EFD_CLOEXEC);
    struct lithops__runtime_api *api = begin(answers, 1, stop_fd);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &stop_fd), 0);
    assert_int_equal(get(api, NULL), LITHOPS_ECANCELED);
    pthread_join(thread, NULL);
    end(api);
    close(stop_fd);
}

static void nobody_there(void **state)
{
    (void)state;
    struct lithops__runtime_api *api;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    char place[32];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, and does not listen */
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(place, sizeof place, "localhost:%d", ntohs(address.sin_port));
    assert_int_equal(lithops__runtime_api_open(place, -1, &api, &err), 0);
    assert_int_equal(get(api, &err), LITHOPS_EBACKEND);
    assert_true(err.retryable);
    assert_non_null(strstr(err.message, "cannot connect"));
    lithops__runtime_api_close(api);
    close(fd);
}

static void places(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "host",    ":1",         "host:", "host:0",
                                      "host:x", "h:65536", "http://h:1", "h/p:1", "h\r\nx:1"};
    static const char *const good[] = {"127.0.0.1:9001", "localhost:1", "[::1]:65535"};
    struct lithops__runtime_api *api;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(lithops__runtime_api_open(bad[i], -1, &api, NULL), LITHOPS_EUSAGE);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(lithops__runtime_api_open(good[i], -1, &api, NULL), 0);
        lithops__runtime_api_close(api);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection_for_all),
        cmocka_unit_test(chunks_and_pieces),
        cmocka_unit_test(a_large_event),
        cmocka_unit_test(connections_end),
        cmocka_unit_test(what_is_not_http),
        cmocka_unit_test(a_head_without_an_end),
        cmocka_unit_test(heads_and_trailers_without_an_end),
        cmocka_unit_test(told_to_end),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
