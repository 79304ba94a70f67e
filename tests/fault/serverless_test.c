/* SPDX-License-Identifier: Apache-2.0 */
/* `lithops worker --http` under requests that it has to refuse, and the backend knative at an
 * endpoint that throttles, resets, answers late, twice, or something else. Storage is what
 * tests/servers/with-redis has started. */
#include "../conformance/worker_server.h"
#include "../integration/api.h"
#include "base/module.h"
#include "net/activation.h"
#include "net/test_server.h"

#include <lithops/plugin/runtime.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NOT_A_KEY "nonsense\n{\"lithops\": {\"storage\": \"localhost\"}}"

static const struct lithops__crypto_api *crypto;

/* ---- requests -------------------------------------------------------------------------------- */

static struct lithops__buffer make_request(const char *secret, const char *text, int age_s)
{
    struct lithops__buffer body = LITHOPS__BUFFER_INIT, request = LITHOPS__BUFFER_INIT;
    char header[LITHOPS__ACTIVATION_HEADER], proof[LITHOPS__HEX_HASH];
    succeeds(lithops__activation_seal(crypto, secret, text, time(NULL) - age_s, header, proof,
                                      &body, &err));
    lithops__buffer_printf(&request,
                           "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %zu\r\n"
                           "X-Lithops-Activation: %s\r\n\r\n",
                           body.len, header);
    lithops__buffer_append(&request, body.data, body.len);
    lithops__buffer_deinit(&body);
    assert_false(request.failed);
    return request;
}

static void is_answered(const struct worker_server *server, struct lithops__buffer request,
                        const char *status, const char *text)
{
    char *answer = worker_server_ask(server->port, request.data, request.len);
    if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || strncmp(answer + 9, status, 3) != 0 ||
        !strstr(answer, text))
        fail_msg("expected %s %s, got: %s", status, text, answer);
    free(answer);
}

static void asks(const struct worker_server *server, const char *request, const char *status)
{
    is_answered(server, (struct lithops__buffer){(unsigned char *)request, strlen(request), 0, 0},
                status, "");
}

static void test_what_is_not_signed_and_new_is_refused(void **state)
{
    (void)state;
    struct worker_server server;
    worker_server_start(&server, 1);
    asks(&server, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "401");
    asks(&server, "POST / HTTP/1.1\r\n\r\n", "411");
    asks(&server, "PUT / HTTP/1.1\r\n\r\n", "405");
    asks(&server, "GET /config HTTP/1.1\r\n\r\n", "404");
    asks(&server, "\x16\x03\x01 hello\r\n\r\n", "400");

    struct lithops__buffer request =
        make_request("another secret of 32 characters..", NOT_A_KEY, 0);
    is_answered(&server, request, "401", "signature");
    lithops__buffer_deinit(&request);
    request = make_request(WORKER_SERVER_SECRET, NOT_A_KEY, 400);
    is_answered(&server, request, "403", "old");
    lithops__buffer_deinit(&request);
    request = make_request(WORKER_SERVER_SECRET, NOT_A_KEY, -400);
    is_answered(&server, request, "403", "old");
    lithops__buffer_deinit(&request);

    request = make_request(WORKER_SERVER_SECRET, NOT_A_KEY, 0);
    request.data[request.len - 1] ^= 1;
    is_answered(&server, request, "401", "signature");
    request.data[request.len - 1] ^= 1;
    is_answered(&server, request, "200", "is not the key of a link");
    is_answered(&server, request, "409", "here before");
    lithops__buffer_deinit(&request);

    assert_int_equal(worker_server_health(&server, "started"), 1);
    assert_int_equal(worker_server_health(&server, "unsigned"), 1);
    assert_int_equal(worker_server_health(&server, "forged"), 2);
    assert_int_equal(worker_server_health(&server, "stale"), 2);
    assert_int_equal(worker_server_health(&server, "replayed"), 1);
    assert_int_equal(worker_server_health(&server, "malformed"), 2);
    assert_int_equal(worker_server_health(&server, "running"), 0);
    assert_int_equal(worker_server_stop(&server), 0);
}

/* ---- connections of workers that wait for their client --------------------------------------- */

static int connect_to(int port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Ask for a worker that finds no client for half a minute. @return the connection, which has the
 * head of the answer */
static int begin_waiting(const struct worker_server *server)
{
    char text[2048], answer[4096] = "";
    size_t len = 0;
    snprintf(text, sizeof text,
             "lithops.jobs/nobody/0-0\n{\"lithops\": {\"storage\": \"redis\"}, \"redis\": %s}",
             getenv("LITHOPS_TEST_STORAGE"));
    struct lithops__buffer request = make_request(WORKER_SERVER_SECRET, text, 0);
    int fd = connect_to(server->port);
    assert_int_equal(send(fd, request.data, request.len, MSG_NOSIGNAL), request.len);
    lithops__buffer_deinit(&request);
    for (ssize_t n; !strstr(answer, "\r\n\r\n"); len += (size_t)n) {
        n = read(fd, answer + len, sizeof answer - 1 - len);
        assert_true(n > 0);
    }
    assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
    return fd;
}

static void await_workers(const struct worker_server *server, int count)
{
    double limit = api_now() + LIMIT_MS / 1000.0;
    while (worker_server_count(server) != count) {
        assert_true(api_now() < limit);
        poll(NULL, 0, 10);
    }
}

static void test_a_full_server_says_so(void **state)
{
    (void)state;
    struct worker_server server;
    worker_server_start(&server, 1);
    int fd = begin_waiting(&server);
    struct lithops__buffer request = make_request(WORKER_SERVER_SECRET, NOT_A_KEY, 0);
    is_answered(&server, request, "429", "Retry-After: 1");
    lithops__buffer_deinit(&request);
    assert_int_equal(worker_server_health(&server, "busy"), 1);
    close(fd);
    await_workers(&server, 0); /* it ends though it waits */
    assert_int_equal(worker_server_stop(&server), 0);
}

/* Its client waits for half a minute for a sign of it, and then could not say what is wrong. */
static void test_a_worker_without_the_storage_says_so(void **state)
{
    (void)state;
    struct worker_server server;
    worker_server_start(&server, 1);
    double begun = api_now();
    struct lithops__buffer request =
        make_request(WORKER_SERVER_SECRET,
                     "lithops.jobs/nobody/0-0\n{\"lithops\": {\"storage\": \"redis\"}, \"redis\": "
                     "{\"host\": \"127.0.0.1\", \"port\": 1}}",
                     0);
    is_answered(&server, request, "200", "cannot connect to 127.0.0.1:1");
    assert_true(api_now() - begun < 45); /* it takes some 20 s, and 52 if it went on asking */
    lithops__buffer_deinit(&request);
    assert_int_equal(worker_server_stop(&server), 0);
}

static pid_t signal_waiting(const struct worker_server *server, int number)
{
    double limit = api_now() + LIMIT_MS / 1000.0;
    pid_t pid;
    while ((pid = worker_server_signal_waiting(server, number)) == 0) {
        assert_true(api_now() < limit);
        poll(NULL, 0, 10);
    }
    return pid;
}

static void test_a_worker_that_died_while_it_waited_is_replaced(void **state)
{
    (void)state;
    struct worker_server server;
    worker_server_start(&server, 1);
    pid_t pid = signal_waiting(&server, SIGKILL);
    double limit = api_now() + LIMIT_MS / 1000.0;
    while (worker_server_is_alive(pid)) {
        assert_true(api_now() < limit);
        poll(NULL, 0, 10);
    }
    struct lithops__buffer request = make_request(WORKER_SERVER_SECRET, NOT_A_KEY, 0);
    is_answered(&server, request, "200", "is not the key of a link");
    lithops__buffer_deinit(&request);
    assert_int_equal(worker_server_stop(&server), 0);
}

/* What it is told is more than a pipe holds. */
static void test_a_worker_that_does_not_read_stops_nobody_else(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    struct worker_server server;
    char *text = not_null(malloc(SIZE + 1)), answer[4096] = "";
    memset(text, ' ', SIZE);
    memcpy(text, NOT_A_KEY, sizeof NOT_A_KEY - 1);
    text[SIZE] = '\0';
    struct lithops__buffer request = make_request(WORKER_SERVER_SECRET, text, 0);
    free(text);
    worker_server_start(&server, 1);
    pid_t pid = signal_waiting(&server, SIGSTOP);
    int fd = connect_to(server.port);
    assert_int_equal(send(fd, request.data, request.len, MSG_NOSIGNAL), request.len);
    lithops__buffer_deinit(&request);
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && !strstr(answer, "is not the key of a link"); len += (size_t)n) {
        n = read(fd, answer + len, sizeof answer - 1 - len); /* first the head */
        assert_true(n > 0);
        assert_int_equal(worker_server_health(&server, "started"), 1);
        if (len == 0)
            assert_int_equal(kill(pid, SIGCONT), 0);
    }
    close(fd);
    await_workers(&server, 0);
    assert_int_equal(worker_server_stop(&server), 0);
}

/* Its worker is told to end while it is still being started, with the server's signal handlers. */
static void test_who_hangs_up_at_once_ends_nobody_else(void **state)
{
    (void)state;
    enum { TIMES = 40 };
    struct worker_server server;
    worker_server_start(&server, TIMES);
    for (int i = 0; i < TIMES; i++) {
        struct lithops__buffer request = make_request(WORKER_SERVER_SECRET, NOT_A_KEY, 0);
        int fd = connect_to(server.port);
        assert_int_equal(send(fd, request.data, request.len, MSG_NOSIGNAL), request.len);
        lithops__buffer_deinit(&request);
        close(fd);
    }
    asks(&server, "GET /health HTTP/1.1\r\n\r\n", "200");
    await_workers(&server, 0);
    asks(&server, "GET /health HTTP/1.1\r\n\r\n", "200"); /* it does not drain */
    assert_int_equal(worker_server_stop(&server), 0);
}

static void test_it_ends_with_its_workers(void **state)
{
    (void)state;
    struct worker_server server;
    worker_server_start(&server, 2);
    int first = begin_waiting(&server), second = begin_waiting(&server);
    await_workers(&server, 2);
    assert_int_equal(worker_server_stop(&server), 0);
    close(first);
    close(second);
}

static void test_its_workers_end_with_it(void **state)
{
    (void)state;
    struct worker_server server;
    worker_server_start(&server, 1);
    int fd = begin_waiting(&server);
    pid_t pid = server.pid;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(worker_server_stop(&server), -SIGKILL);
    close(fd);
    /* api_finish() finds what is left */
}

/* ---- an endpoint that does what services do -------------------------------------------------- */

enum behaviour { PASS, THROTTLE, BREAK, RESET, GARBAGE, LATE, TWICE, STRANGE, EMPTY, ACCEPT, DENY };

struct endpoint {
    const enum behaviour *behaviours; /* of the first connections, then the last one again */
    size_t count;
    const struct worker_server *server;
    int fd, port;
    pthread_t thread;
    atomic_bool is_over, cut; /* cut: what passes now is cut off, once */
    atomic_int connections, replays;
    pthread_mutex_t lock;
    struct lithops__buffer seen; /* [lock] all that clients have sent */
};

struct relayed {
    struct endpoint *endpoint;
    int fd;
    enum behaviour behaviour;
};

static const char *answer_of(enum behaviour behaviour)
{
    return behaviour == THROTTLE  ? "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
           : behaviour == BREAK   ? "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\n"
                                    "<html"
           : behaviour == GARBAGE ? "\x16\x03\x01\r\n\r\n"
           : behaviour == DENY    ? "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
           : behaviour == STRANGE ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
           : behaviour == EMPTY   ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                                  : "";
}

/* The whole request. */
static struct lithops__buffer read_request(int fd)
{
    struct lithops__buffer request = LITHOPS__BUFFER_INIT;
    for (;;) {
        char *room = lithops__buffer_reserve(&request, 65536);
        ssize_t n = room ? read(fd, room, 65536) : 0;
        if (n <= 0)
            return request;
        request.len += (size_t)n;
        const char *end = memmem(request.data, request.len, "\r\n\r\n", 4);
        const char *length = memmem(request.data, request.len, "Content-Length: ", 16);
        if (end && length &&
            request.len >=
                (size_t)(end + 4 - (char *)request.data) + strtoul(length + 16, NULL, 10))
            return request;
    }
}

static void note(struct endpoint *endpoint, const struct lithops__buffer *request)
{
    pthread_mutex_lock(&endpoint->lock);
    lithops__buffer_append(&endpoint->seen, request->data, request->len);
    pthread_mutex_unlock(&endpoint->lock);
}

/* Until one of both ends. */
static void pump(struct endpoint *endpoint, int client, int server)
{
    char block[4096];
    while (!atomic_load(&endpoint->is_over) && !atomic_exchange(&endpoint->cut, false)) {
        struct pollfd fds[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        if (poll(fds, 2, 20) <= 0)
            continue;
        for (int i = 0; i < 2; i++) {
            ssize_t n = fds[i].revents ? read(fds[i].fd, block, sizeof block) : -1;
            if (fds[i].revents &&
                (n <= 0 || send(fds[1 - i].fd, block, (size_t)n, MSG_NOSIGNAL) != n))
                return;
        }
    }
}

static void pass(struct endpoint *endpoint, int client, const struct lithops__buffer *request,
                 bool twice)
{
    int server = connect_to(endpoint->server->port);
    (void)send(server, request->data, request->len, MSG_NOSIGNAL);
    if (twice) {
        char first;
        (void)recv(server, &first, 1, MSG_PEEK); /* the first one was taken */
        char *answer = worker_server_ask(endpoint->server->port, request->data, request->len);
        atomic_fetch_add(&endpoint->replays, strncmp(answer, "HTTP/1.1 409", 12) == 0);
        free(answer);
    }
    pump(endpoint, client, server);
    close(server);
}

/* What was sealed; for free(). */
static char *unseal(const struct lithops__buffer *request, char proof[LITHOPS__HEX_HASH])
{
    struct lithops__activation_seen seen = {NULL, 0, 0};
    char *text = NULL, header[LITHOPS__ACTIVATION_HEADER] = "";
    const char *at = memmem(request->data, request->len, "X-Lithops-Activation: ", 22);
    const char *end = memmem(request->data, request->len, "\r\n\r\n", 4);
    const char *length = memmem(request->data, request->len, "Content-Length: ", 16);
    if (!at || !end || !length)
        return NULL;
    snprintf(header, sizeof header, "%.*s", (int)strcspn(at + 22, "\r"), at + 22);
    const lithops_bytes body = {end + 4, strtoul(length + 16, NULL, 10)};
    enum lithops__activation_verdict verdict = lithops__activation_open(
        crypto, WORKER_SERVER_SECRET, header, body, time(NULL), &seen, &text, proof);
    lithops__activation_seen_deinit(&seen);
    return verdict == LITHOPS__ACTIVATION_GOOD ? text : NULL;
}

/* Answer as a worker, and be none. */
static void accept_it(const struct endpoint *endpoint, int fd,
                      const struct lithops__buffer *request)
{
    char proof[LITHOPS__HEX_HASH] = "", answer[256];
    free(unseal(request, proof));
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nX-Lithops-Worker: %s\r\n\r\n ", proof);
    (void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    while (!atomic_load(&endpoint->is_over))
        poll(NULL, 0, 20);
}

static void *serve_one(void *user)
{
    struct relayed *one = user;
    struct endpoint *endpoint = one->endpoint;
    struct lithops__buffer request = read_request(one->fd);
    const char *answer = answer_of(one->behaviour);
    note(endpoint, &request);
    if (one->behaviour == LATE)
        poll(NULL, 0, 1200);
    if (one->behaviour == RESET)
        (void)setsockopt(one->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                         sizeof(struct linger));
    else if (*answer)
        (void)send(one->fd, answer, strlen(answer), MSG_NOSIGNAL);
    else if (one->behaviour == ACCEPT)
        accept_it(endpoint, one->fd, &request);
    else
        pass(endpoint, one->fd, &request, one->behaviour == TWICE);
    lithops__buffer_deinit(&request);
    close(one->fd);
    free(one);
    return NULL;
}

static void *serve_all(void *user)
{
    struct endpoint *endpoint = user;
    pthread_t threads[64];
    size_t count = 0;
    while (!atomic_load(&endpoint->is_over) && count < 64) {
        struct pollfd fd = {endpoint->fd, POLLIN, 0};
        if (poll(&fd, 1, 20) <= 0)
            continue;
        struct relayed *one = malloc(sizeof *one);
        size_t last = endpoint->count - 1;
        *one = (struct relayed){endpoint, accept(endpoint->fd, NULL, NULL),
                                endpoint->behaviours[count < last ? count : last]};
        pthread_create(&threads[count++], NULL, serve_one, one);
        atomic_store(&endpoint->connections, (int)count);
    }
    while (count)
        pthread_join(threads[--count], NULL);
    return NULL;
}

static void endpoint_start(struct endpoint *endpoint, const struct worker_server *server,
                           const enum behaviour *behaviours, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    memset(endpoint, 0, sizeof *endpoint);
    endpoint->behaviours = behaviours;
    endpoint->count = count;
    endpoint->server = server;
    pthread_mutex_init(&endpoint->lock, NULL);
    endpoint->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(endpoint->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(endpoint->fd, 64), 0);
    assert_int_equal(getsockname(endpoint->fd, (struct sockaddr *)&address, &size), 0);
    endpoint->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&endpoint->thread, NULL, serve_all, endpoint), 0);
}

static void endpoint_stop(struct endpoint *endpoint)
{
    atomic_store(&endpoint->is_over, true);
    pthread_join(endpoint->thread, NULL);
    close(endpoint->fd);
    pthread_mutex_destroy(&endpoint->lock);
}

static const char *service = "knative";
static int max_activations = 1000;

static lithops_executor *open_at(int port, lithops_value *more, int retries)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
    lithops_value *storage = api_json(getenv("LITHOPS_TEST_STORAGE"));
    lithops_value *config =
        lithops_pack("{s:{s:s,s:s,s:i,s:i},s:o,s:{s:s,s:s,s:i,s:i}}", "lithops", "backend", service,
                     "storage", "redis", "call_retries", retries, "max_activations",
                     max_activations, "redis", storage, service, "endpoint", url, "secret",
                     WORKER_SERVER_SECRET, "max_workers", 1, "worker_processes", 1);
    options.config = config;
    options.settings = more;
    lithops_executor *opened = lithops_executor_open(&options, &err);
    lithops_value_free(config);
    lithops_value_free(more);
    return not_null(opened);
}

LITHOPS_FUNCTION(square)
{
    int64_t x = lithops_call_int(call);
    return lithops_return_int(call, x * x);
}

static void runs(lithops_executor *opened)
{
    results_are(not_null(lithops_map(opened, square, lithops_range(0, 5), NULL, &err)),
                "[0,1,4,9,16]");
}

static void test_requests_are_made_again(void **state)
{
    (void)state;
    static const enum behaviour behaviours[] = {THROTTLE, RESET, GARBAGE, BREAK, LATE};
    struct worker_server server;
    struct endpoint endpoint;
    worker_server_start(&server, 4);
    endpoint_start(&endpoint, &server, behaviours, 5);
    lithops_executor *opened = open_at(endpoint.port, NULL, 0);
    runs(opened);
    lithops_executor_close(opened);
    assert_int_equal(atomic_load(&endpoint.connections), 5);
    endpoint_stop(&endpoint);
    lithops__buffer_deinit(&endpoint.seen);
    assert_int_equal(worker_server_stop(&server), 0);
}

static void test_twice_is_once(void **state)
{
    (void)state;
    static const enum behaviour behaviours[] = {TWICE};
    struct worker_server server;
    struct endpoint endpoint;
    worker_server_start(&server, 4);
    endpoint_start(&endpoint, &server, behaviours, 1);
    lithops_executor *opened = open_at(endpoint.port, NULL, 0);
    runs(opened);
    lithops_executor_close(opened);
    endpoint_stop(&endpoint);
    lithops__buffer_deinit(&endpoint.seen);
    assert_int_equal(atomic_load(&endpoint.replays), 1);
    assert_int_equal(worker_server_health(&server, "started"), 1);
    assert_int_equal(worker_server_health(&server, "replayed"), 1);
    assert_int_equal(worker_server_stop(&server), 0);
}

static void test_what_will_not_pass_fails_the_calls(void **state)
{
    (void)state;
    static const enum behaviour behaviours[] = {STRANGE};
    struct worker_server server;
    struct endpoint endpoint;
    worker_server_start(&server, 1);
    endpoint_start(&endpoint, &server, behaviours, 1);
    lithops_executor *opened = open_at(endpoint.port, NULL, 0);
    lithops_future *future =
        not_null(lithops_call_async(opened, square, lithops_value_int(3), NULL, &err));
    call_fails(future, LITHOPS_EBACKEND, "something answers there that is not");
    lithops_executor_close(opened);
    endpoint_stop(&endpoint);
    lithops__buffer_deinit(&endpoint.seen);
    opened = open_at(server.port,
                     lithops_pack("{s:s}", "secret", "this is not what the worker has..."), 0);
    future = not_null(lithops_call_async(opened, square, lithops_value_int(3), NULL, &err));
    call_fails(future, LITHOPS_EDENIED, "status 401");
    lithops_executor_close(opened);
    assert_int_equal(worker_server_health(&server, "started"), 0);
    assert_int_equal(worker_server_stop(&server), 0);
}

/* Nor is a start that is refused one of those there may be. */
static void test_a_refused_start_does_not_count(void **state)
{
    (void)state;
    static const enum behaviour behaviours[] = {STRANGE, EMPTY, PASS};
    struct worker_server server;
    struct endpoint endpoint;
    worker_server_start(&server, 1);
    endpoint_start(&endpoint, &server, behaviours, 3);
    max_activations = 1;
    lithops_executor *opened = open_at(endpoint.port, NULL, 0);
    max_activations = 1000;
    for (int i = 0; i < 2; i++)
        call_fails(not_null(lithops_call_async(opened, square, lithops_value_int(3), NULL, &err)),
                   LITHOPS_EBACKEND, "something answers there that is not");
    runs(opened);
    lithops_executor_close(opened);
    assert_int_equal(atomic_load(&endpoint.connections), 3);
    endpoint_stop(&endpoint);
    lithops__buffer_deinit(&endpoint.seen);
    assert_int_equal(worker_server_stop(&server), 0);
}

/* It stays the first time. */
LITHOPS_FUNCTION(stay_once)
{
    const char *path = lithops_value_get_string(lithops_call_input(call));
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        close(fd);
        for (volatile bool for_ever = true; for_ever;)
            pause();
    }
    return lithops_return_int(call, 7);
}

static void test_a_lost_connection_is_a_lost_worker(void **state)
{
    (void)state;
    static const enum behaviour behaviours[] = {PASS};
    struct worker_server server;
    struct endpoint endpoint;
    char path[128];
    worker_server_start(&server, 4);
    endpoint_start(&endpoint, &server, behaviours, 1);
    lithops_executor *opened = open_at(endpoint.port, NULL, 1);
    snprintf(path, sizeof path, "%s/stays", folder);
    lithops_future *future =
        not_null(lithops_call_async(opened, stay_once, lithops_value_string(path), NULL, &err));
    double limit = api_now() + LIMIT_MS / 1000.0;
    while (access(path, F_OK) != 0) {
        assert_true(api_now() < limit);
        poll(NULL, 0, 10);
    }
    atomic_store(&endpoint.cut, true);
    result_is(future, "7");
    lithops_executor_close(opened);
    endpoint_stop(&endpoint);
    lithops__buffer_deinit(&endpoint.seen);
    assert_int_equal(worker_server_health(&server, "started"), 2);
    assert_int_equal(worker_server_stop(&server), 0);
}

/* ---- credentials ----------------------------------------------------------------------------- */

/* "" is found everywhere. */
static const char *storage_secret(void)
{
    const char *secret = getenv("LITHOPS_TEST_STORAGE_SECRET");
    return secret ? secret : "";
}

static int note_hello(const lithops_object_info *info, void *user)
{
    char *key = user;
    if (strstr(info->key, "/hello/"))
        snprintf(key, 256, "%s", info->key);
    return 0;
}

/* What the client puts into the storage for its worker; for free(). */
static char *await_hello(void)
{
    char key[256] = "", *text;
    void *data = NULL;
    size_t len = 0;
    double limit = api_now() + LIMIT_MS / 1000.0;
    lithops_value *config =
        lithops_pack("{s:o}", "redis", api_json(getenv("LITHOPS_TEST_STORAGE")));
    lithops_storage *storage = not_null(lithops_storage_open_config("redis", config, &err));
    const char *bucket = lithops_storage_bucket(storage);
    while (!key[0]) {
        assert_true(api_now() < limit);
        succeeds(lithops_storage_list(storage, bucket, "lithops.jobs/", note_hello, key, &err));
        poll(NULL, 0, 10);
    }
    succeeds(lithops_storage_get(storage, bucket, key, 0, SIZE_MAX, &data, &len, &err));
    text = calloc(1, len + 1);
    for (size_t i = 0; i < len; i++) /* it is not text, but what is looked for is */
        text[i] = ((char *)data)[i] ? ((char *)data)[i] : ' ';
    free(data);
    lithops_storage_close(storage);
    lithops_value_free(config);
    return text;
}

/* What a client sends in a request, and in hello; both are for free(). */
static void look_at(bool sends_credentials, char **ret_text, char **ret_hello)
{
    static const enum behaviour behaviours[] = {THROTTLE, ACCEPT};
    static const char *const words[] = {"redis", "password", "lithops.jobs", WORKER_SERVER_SECRET};
    const char *secret = storage_secret();
    char proof[LITHOPS__HEX_HASH];
    struct endpoint endpoint;
    endpoint_start(&endpoint, NULL, behaviours, 2);
    lithops_executor *opened =
        open_at(endpoint.port, lithops_pack("{s:b}", "send_credentials", sends_credentials), 0);
    lithops_future *future =
        not_null(lithops_call_async(opened, square, lithops_value_int(3), NULL, &err));
    *ret_hello = await_hello();
    lithops_future_unref(future);
    lithops_executor_close(opened);
    endpoint_stop(&endpoint);
    const struct lithops__buffer *seen = &endpoint.seen;
    assert_true(seen->len > 0);
    assert_null(memmem(seen->data, seen->len, secret, strlen(secret)));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_null(memmem(seen->data, seen->len, words[i], strlen(words[i])));
    *ret_text = unseal(seen, proof);
    assert_non_null(*ret_text);
    lithops__buffer_deinit(&endpoint.seen);
}

static void test_no_credential_is_in_clear(void **state)
{
    (void)state;
    const char *secret = storage_secret();
    char *text, *hello;
    look_at(true, &text, &hello);
    assert_non_null(strstr(text, secret)); /* so it is looked for in the right place */
    assert_non_null(strstr(hello, secret));
    assert_null(strstr(text, WORKER_SERVER_SECRET));
    assert_null(strstr(hello, WORKER_SERVER_SECRET));
    free(text);
    free(hello);
}

static void test_workers_may_have_their_own_credentials(void **state)
{
    (void)state;
    const char *secret = storage_secret();
    char *text, *hello;
    look_at(false, &text, &hello);
    assert_non_null(strstr(text, "localhost")); /* the host of the storage */
    assert_non_null(strstr(hello, "localhost"));
    assert_null(strstr(text, secret));
    assert_null(strstr(hello, secret));
    free(text);
    free(hello);
}

/* Cloud Run's, of the machine's account, as its metadata server gives them. One that is refused is
 * asked for again. */
static void test_requests_have_id_tokens(void **state)
{
    (void)state;
    static const enum behaviour behaviours[] = {DENY, PASS};
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhead.old.signature",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhead.claims.signature"};
    static const char old[] = "\r\nAuthorization: Bearer head.old.signature\r\n",
                      header[] = "\r\nAuthorization: Bearer head.claims.signature\r\n";
    struct script metadata;
    struct worker_server server;
    struct endpoint endpoint;
    char host[32], audience[64];
    script_start(&metadata, answers, 2);
    snprintf(host, sizeof host, "127.0.0.1:%d", metadata.port);
    setenv("GCE_METADATA_HOST", host, 1);
    setenv("no_proxy", "*", 1);
    worker_server_start(&server, 4);
    endpoint_start(&endpoint, &server, behaviours, 2);
    service = "gcp_cloudrun";
    lithops_executor *opened =
        open_at(endpoint.port, lithops_pack("{s:b}", "metadata_identity", true), 0);
    service = "knative";
    runs(opened);
    lithops_executor_close(opened);
    endpoint_stop(&endpoint);
    assert_int_equal(atomic_load(&endpoint.connections), 2);
    assert_non_null(memmem(endpoint.seen.data, endpoint.seen.len, old, sizeof old - 1));
    assert_non_null(memmem(endpoint.seen.data, endpoint.seen.len, header, sizeof header - 1));
    lithops__buffer_deinit(&endpoint.seen);
    assert_int_equal(worker_server_stop(&server), 0);
    script_stop(&metadata);
    snprintf(audience, sizeof audience, "?audience=http%%3A%%2F%%2F127.0.0.1%%3A%d ",
             endpoint.port);
    assert_non_null(strstr(metadata.requests[0], audience));
}

/* ---- the end --------------------------------------------------------------------------------- */

static int count_one(const lithops_object_info *info, void *user)
{
    (void)info;
    ++*(unsigned *)user;
    return 0;
}

static unsigned count_objects(void)
{
    unsigned count = 0;
    lithops_value *config =
        lithops_pack("{s:o}", "redis", api_json(getenv("LITHOPS_TEST_STORAGE")));
    lithops_storage *storage = not_null(lithops_storage_open_config("redis", config, &err));
    succeeds(lithops_storage_list(storage, lithops_storage_bucket(storage), "lithops.jobs/",
                                  count_one, &count, &err));
    lithops_storage_close(storage);
    lithops_value_free(config);
    return count;
}

/* A worker whose client hangs up writes nothing after the client has deleted what there was. It is
 * waited for, but for seconds only, which a busy machine may not give it. */
static void test_executors_leave_nothing(void **state)
{
    (void)state;
    enum { TIMES = 20 };
    if (getenv("LITHOPS_TEST_SANITIZED")) /* carrier_test has it, without processes */
        skip();
    unsigned before = count_objects();
    struct worker_server server;
    worker_server_start(&server, 1);
    for (int i = 0; i < TIMES; i++) {
        lithops_executor *opened = open_at(server.port, NULL, 0);
        runs(opened);
        lithops_executor_close(opened);
    }
    assert_int_equal(worker_server_health(&server, "started"), TIMES);
    assert_int_equal(worker_server_stop(&server), 0); /* and its workers have ended */
    assert_int_equal(count_objects() - before, 0);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    crypto = not_null(lithops__module_symbol("crypto", "lithops__crypto", &err));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_signed_and_new_is_refused),
        cmocka_unit_test(test_a_full_server_says_so),
        cmocka_unit_test(test_a_worker_without_the_storage_says_so),
        cmocka_unit_test(test_a_worker_that_died_while_it_waited_is_replaced),
        cmocka_unit_test(test_a_worker_that_does_not_read_stops_nobody_else),
        cmocka_unit_test(test_who_hangs_up_at_once_ends_nobody_else),
        cmocka_unit_test(test_it_ends_with_its_workers),
        cmocka_unit_test(test_its_workers_end_with_it),
        cmocka_unit_test(test_requests_are_made_again),
        cmocka_unit_test(test_requests_have_id_tokens),
        cmocka_unit_test(test_twice_is_once),
        cmocka_unit_test(test_what_will_not_pass_fails_the_calls),
        cmocka_unit_test(test_a_refused_start_does_not_count),
        cmocka_unit_test(test_a_lost_connection_is_a_lost_worker),
        cmocka_unit_test(test_no_credential_is_in_clear),
        cmocka_unit_test(test_workers_may_have_their_own_credentials),
        cmocka_unit_test(test_executors_leave_nothing),
    };
    return api_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
