/* SPDX-License-Identifier: Apache-2.0 */
/* Client and worker of a link over TCP, in one process, and strangers on both sides. */
#include "tcp/tcp.h"

#include "base/module.h"
#include "tcp/pump.h"
#include "tcp/secret.h"

#include <lithops/log.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG_MS = 60000, WORKERS = 3, LONG_BYTES = 32 << 20, TRIES = 300 };

static lithops_error err = LITHOPS_ERROR_INIT;
static struct lithops__tcplink *tcp;
static char secret[LITHOPS__TCP_SECRET];

static lithops_value *here(void)
{
    return lithops_pack("{s:s,s:i}", "tcp_address", "127.0.0.1", "tcp_port", 0);
}

static int open_port(void **state)
{
    (void)state;
    lithops_value *settings = here();
    int rc = lithops__tcplink_open(settings, "process", WORKERS, &tcp, &err);
    lithops_value_free(settings);
    return rc;
}

static int close_port(void **state)
{
    (void)state;
    lithops__tcplink_close(tcp);
    return 0;
}

/* ---- workers --------------------------------------------------------------------------------- */

struct joining {
    char where[LITHOPS__TCP_WHERE], secret[LITHOPS__TCP_SECRET];
    struct lithops__pump *pump;
    int fd, rc;
    lithops_error err;
    pthread_t thread;
};

static void *join(void *user)
{
    struct joining *joining = user;
    joining->rc = lithops__tcplink_join(joining->where, joining->secret, &joining->pump,
                                        &joining->fd, &joining->err);
    if (joining->rc != 0)
        print_message("%s\n", joining->err.message);
    return NULL;
}

static void begin(struct joining *joining, const char *where, const char *with)
{
    *joining = (struct joining){.err = LITHOPS_ERROR_INIT};
    snprintf(joining->where, sizeof joining->where, "%s", where);
    snprintf(joining->secret, sizeof joining->secret, "%s", with);
    assert_int_equal(pthread_create(&joining->thread, NULL, join, joining), 0);
}

/* A worker that knows its secret, and the client's end of its link. */
static int link_up(uint32_t worker, struct joining *joining)
{
    int fd;
    assert_int_equal(lithops__tcplink_expect(tcp, worker, secret, &err), 0);
    begin(joining, lithops__tcplink_where(tcp), secret);
    assert_int_equal(lithops__tcplink_await(tcp, worker, -1, -1, LONG_MS, &fd, &err), 0);
    pthread_join(joining->thread, NULL);
    assert_int_equal(joining->rc, 0);
    return fd;
}

static void link_down(uint32_t worker, struct joining *joining)
{
    lithops__tcplink_forget(tcp, worker);
    lithops__tcplink_leave(joining->pump);
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void assert_hears(int fd, const char *text)
{
    char buf[64] = "";
    size_t len = 0;
    while (len < strlen(text)) {
        ssize_t n = read(fd, buf + len, strlen(text) - len);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_string_equal(buf, text);
}

/* All that comes is nothing, or no answer to what strangers say. */
static void assert_ends(int fd)
{
    char buf[4096];
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) > 0) {
    }
    assert_true(n == 0 || errno == ECONNRESET);
}

static void test_both_know_it(void **state)
{
    (void)state;
    struct joining joining;
    int fd = link_up(1, &joining);
    say(fd, "hello worker");
    assert_hears(joining.fd, "hello worker");
    say(joining.fd, "hello client");
    assert_hears(fd, "hello client");
    say(joining.fd, "the last word");
    close(joining.fd);
    lithops__tcplink_leave(joining.pump);
    assert_hears(fd, "the last word");
    assert_ends(fd);
    close(fd);
    lithops__tcplink_forget(tcp, 1);
    assert_int_equal(lithops__tcplink_refused(tcp), 0);
}

struct writer {
    int fd;
    unsigned seed;
};

static void *write_long(void *user)
{
    const struct writer *writer = user;
    unsigned char *bytes = malloc(LONG_BYTES);
    size_t done = 0;
    for (size_t i = 0; bytes && i < LONG_BYTES; i++)
        bytes[i] = (unsigned char)((i * 31 + i / 4099) ^ writer->seed);
    while (bytes && done < LONG_BYTES) {
        ssize_t n = send(writer->fd, bytes + done, LONG_BYTES - done, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    free(bytes);
    return NULL;
}

static void read_long(int fd, unsigned seed)
{
    static unsigned char bytes[1 << 16];
    for (size_t i = 0; i < LONG_BYTES;) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        assert_true(n > 0);
        for (ssize_t k = 0; k < n; k++, i++)
            if (bytes[k] != (unsigned char)((i * 31 + i / 4099) ^ seed))
                fail_msg("byte %zu is another one", i);
    }
}

/* Neither direction waits for the other. */
static void test_much_goes_both_ways(void **state)
{
    (void)state;
    struct joining joining;
    int fd = link_up(0, &joining);
    struct writer writers[] = {{fd, 1}, {joining.fd, 2}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_long, &writers[i]), 0);
    read_long(joining.fd, 1);
    read_long(fd, 2);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    close(fd);
    assert_ends(joining.fd);
    close(joining.fd);
    link_down(0, &joining);
}

/* An end that nobody reads from any more is ended in spite of that. */
static void test_ending_waits_for_nobody(void **state)
{
    (void)state;
    struct joining joining;
    int fd = link_up(0, &joining);
    struct writer writer = {fd, 1};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_long, &writer), 0);
    char byte;
    assert_int_equal(read(joining.fd, &byte, 1), 1); /* and no more */
    shutdown(fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(fd);
    lithops__tcplink_forget(tcp, 0); /* the test's time limit is the judge */
    close(joining.fd);
    lithops__tcplink_leave(joining.pump);
}

/* ---- strangers at the client's port ---------------------------------------------------------- */

static int connect_plainly(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    address.sin_port = htons((uint16_t)atoi(strrchr(lithops__tcplink_where(tcp), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void assert_lets_in(uint32_t worker)
{
    struct joining joining;
    int fd = link_up(worker, &joining);
    say(joining.fd, "it works");
    assert_hears(fd, "it works");
    close(fd);
    close(joining.fd);
    link_down(worker, &joining);
}

/* Whoever is refused may know it first. */
static void assert_refused(uint64_t count)
{
    while (lithops__tcplink_refused(tcp) < count)
        (void)poll(NULL, 0, 1);
    assert_int_equal(lithops__tcplink_refused(tcp), count);
}

static void refuse(const char *with)
{
    struct joining joining;
    uint64_t before = lithops__tcplink_refused(tcp);
    begin(&joining, lithops__tcplink_where(tcp), with);
    pthread_join(joining.thread, NULL);
    assert_int_equal(joining.rc, LITHOPS_EDENIED);
    assert_non_null(strstr(joining.err.message, "does not accept this worker's secret"));
    assert_null(strstr(joining.err.message, strchr(with, ':') + 1));
    assert_refused(before + 1);
}

static char log_text[4096];

static void note_log(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)level, (void)where, (void)user;
    size_t len = strlen(log_text);
    snprintf(log_text + len, sizeof log_text - len, "%s\n", text);
}

static void test_another_secret_is_refused(void **state)
{
    (void)state;
    char wrong[sizeof secret];
    assert_int_equal(lithops__tcplink_expect(tcp, 0, secret, &err), 0);
    snprintf(wrong, sizeof wrong, "%s", secret);
    char *last = &wrong[strlen(wrong) - 1];
    *last = *last == '0' ? '1' : '0';
    log_text[0] = '\0';
    lithops_log_to(LITHOPS_LOG_WARNING, note_log, NULL);
    refuse(wrong);
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    assert_non_null(strstr(log_text, "refused a connection from 127.0.0.1:"));
    assert_non_null(strstr(log_text, "does not know the secret of a worker"));
    assert_non_null(strstr(log_text, "(1 refused so far)"));
    memcpy(wrong, secret, sizeof wrong);
    wrong[0] = '1'; /* of a worker that is not expected */
    refuse(wrong);
    wrong[0] = '7'; /* nor is there one of that number */
    refuse(wrong);
    struct joining joining; /* the one that is awaited was not disturbed */
    int fd;
    begin(&joining, lithops__tcplink_where(tcp), secret);
    assert_int_equal(lithops__tcplink_await(tcp, 0, -1, -1, LONG_MS, &fd, &err), 0);
    pthread_join(joining.thread, NULL);
    assert_int_equal(joining.rc, 0);
    close(fd);
    close(joining.fd);
    link_down(0, &joining);
    assert_int_equal(lithops__tcplink_refused(tcp), 3);
}

static void test_a_secret_serves_one_connection(void **state)
{
    (void)state;
    struct joining joining;
    int fd = link_up(0, &joining);
    refuse(secret);
    say(fd, "still here");
    assert_hears(joining.fd, "still here");
    close(fd);
    close(joining.fd);
    link_down(0, &joining);
    refuse(secret);
}

static void test_what_is_no_secret(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", ":", "0-1", "0-1:", "0-1:abc", "0-1:xyz"};
    char text[LITHOPS__TCP_SECRET];
    struct lithops__pump *pump;
    struct lithops__tcplink_key key = {.name = "12-34"}, again;
    int fd;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(lithops__tcplink_join("127.0.0.1:1", wrong[i], &pump, &fd, &err),
                         LITHOPS_EUSAGE);
    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (unsigned char)(i * 9);
    lithops__tcplink_key_write(&key, text);
    assert_true(lithops__tcplink_key_read(text, &again));
    assert_string_equal(again.name, "12-34");
    assert_memory_equal(again.bytes, key.bytes, sizeof key.bytes);
    text[strlen(text) - 1] = 'g';
    assert_false(lithops__tcplink_key_read(text, &again));
}

/* More than may be there at a time: the oldest go, and whoever knows the secret gets in. */
static void test_silence(void **state)
{
    (void)state;
    enum { STRANGERS = 80 };
    int fds[STRANGERS];
    for (int i = 0; i < STRANGERS; i++)
        fds[i] = connect_plainly();
    assert_lets_in(2);
    assert_ends(fds[0]);
    for (int i = 0; i < STRANGERS; i++)
        close(fds[i]);
    assert_in_range(lithops__tcplink_refused(tcp), STRANGERS - 64 + 1, STRANGERS);
}

/* More workers than may be strangers at a time, all slow: they do not push each other out. */
static void test_a_burst(void **state)
{
    (void)state;
    enum { BURST = 84 };
    const struct lithops__tls_api *api = lithops__tcplink_tls(&err);
    struct lithops__tcplink *port = tcp; /* connect_plainly() goes to `tcp` */
    lithops_value *settings = here();
    struct lithops__tcplink_key keys[BURST];
    int fds[BURST], ends[BURST];
    assert_int_equal(lithops__tcplink_open(settings, "process", BURST, &tcp, &err), 0);
    lithops_value_free(settings);
    for (uint32_t i = 0; i < BURST; i++) {
        assert_int_equal(lithops__tcplink_expect(tcp, i, secret, &err), 0);
        assert_true(lithops__tcplink_key_read(secret, &keys[i]));
        fds[i] = connect_plainly();
    }
    for (uint32_t i = 0; i < BURST; i++) {
        struct lithops__tls *tls = api->client(fds[i], keys[i].name, keys[i].bytes);
        int rc;
        while ((rc = api->handshake(tls)) != 0 && rc != LITHOPS__TLS_LOST) {
        }
        assert_int_equal(rc, 0);
        assert_int_equal(lithops__tcplink_await(tcp, i, -1, -1, LONG_MS, &ends[i], &err), 0);
        api->free(tls);
    }
    assert_int_equal(lithops__tcplink_refused(tcp), 0);
    for (uint32_t i = 0; i < BURST; i++) {
        close(ends[i]);
        close(fds[i]);
        lithops__tcplink_forget(tcp, i);
    }
    lithops__tcplink_close(tcp);
    tcp = port;
}

static void test_garbage(void **state)
{
    (void)state;
    static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    unsigned char noise[512];
    srandom(1);
    for (int i = 0; i < TRIES; i++) {
        int fd = connect_plainly();
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (unsigned char)random();
        (void)send(fd, i ? (const char *)noise : http, i ? sizeof noise : sizeof http - 1,
                   MSG_NOSIGNAL);
        assert_ends(fd);
        close(fd);
    }
    assert_refused(TRIES);
    assert_lets_in(2);
}

/* The first message of a worker with that secret. */
static size_t first_message(const char *with, unsigned char *buf, size_t size)
{
    struct lithops__tcplink_key key;
    int ends[2];
    const struct lithops__tls_api *api = lithops__tcplink_tls(&err);
    assert_true(lithops__tcplink_key_read(with, &key));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    struct lithops__tls *tls = api->client(ends[0], key.name, key.bytes);
    assert_int_equal(api->handshake(tls), LITHOPS__TLS_READ);
    ssize_t len = read(ends[1], buf, size);
    assert_true(len > 100);
    api->free(tls);
    close(ends[0]);
    close(ends[1]);
    return (size_t)len;
}

/* Cut anywhere, with any byte another one, or said again by who has heard it. */
static void test_spoiled_handshakes(void **state)
{
    (void)state;
    unsigned char message[4096], spoiled[4096];
    uint64_t refused = 0;
    assert_int_equal(lithops__tcplink_expect(tcp, 0, secret, &err), 0);
    size_t len = first_message(secret, message, sizeof message);
    srandom(2);
    for (int i = 0; i < TRIES; i++) {
        size_t sent = i % 3 ? len : (size_t)random() % len;
        memcpy(spoiled, message, len);
        if (i % 3 == 1)
            spoiled[(size_t)random() % len] ^= (unsigned char)(1 + random() % 255);
        int fd = connect_plainly();
        (void)send(fd, spoiled, sent, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        assert_ends(fd);
        close(fd);
        refused += sent > 0; /* who comes and goes without a word is not refused anything */
    }
    assert_refused(refused);
    assert_lets_in(2);
}

/* ---- strangers where the worker connects ----------------------------------------------------- */

struct stranger {
    int fd;
    char where[64];
    const char *says;                          /* NULL: it speaks TLS */
    bool is_silent;                            /* and goes at once */
    unsigned char key[LITHOPS__TLS_KEY_BYTES]; /* that it has for any name */
    pthread_t thread;
};

static bool any_key(void *user, const char *name, unsigned char ret_key[LITHOPS__TLS_KEY_BYTES])
{
    (void)name;
    memcpy(ret_key, ((struct stranger *)user)->key, LITHOPS__TLS_KEY_BYTES);
    return true;
}

static void *receive_one(void *user)
{
    struct stranger *stranger = user;
    const struct lithops__tls_api *api = lithops__tcplink_tls(&err);
    int fd = accept(stranger->fd, NULL, NULL);
    if (stranger->says && !stranger->is_silent)
        (void)send(fd, stranger->says, strlen(stranger->says), MSG_NOSIGNAL);
    if (!stranger->says) {
        struct lithops__tls *tls = api->server(fd, any_key, stranger);
        while (api->handshake(tls) > LITHOPS__TLS_LOST) {
        }
        api->free(tls);
    }
    close(fd);
    return NULL;
}

static void begin_stranger(struct stranger *stranger)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t size = sizeof address;
    stranger->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stranger->fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(stranger->fd, 5), 0);
    assert_int_equal(getsockname(stranger->fd, (struct sockaddr *)&address, &size), 0);
    snprintf(stranger->where, sizeof stranger->where, "127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&stranger->thread, NULL, receive_one, stranger), 0);
}

static void end_stranger(struct stranger *stranger)
{
    pthread_join(stranger->thread, NULL);
    close(stranger->fd);
}

static void test_a_worker_asks_who_it_is(void **state)
{
    (void)state;
    struct stranger strangers[] = {{.says = "", .is_silent = true},
                                   {.says = "HTTP/1.1 400 Bad Request\r\n\r\n"},
                                   {.key = {1}}};
    assert_int_equal(lithops__tcplink_expect(tcp, 0, secret, &err), 0);
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        struct joining joining;
        begin_stranger(&strangers[i]);
        begin(&joining, strangers[i].where, secret);
        pthread_join(joining.thread, NULL);
        assert_int_equal(joining.rc, LITHOPS_EDENIED);
        assert_non_null(strstr(joining.err.message, strangers[i].where));
        end_stranger(&strangers[i]);
    }
}

/* Of several addresses one leads nowhere, one to somebody else, one to the client. */
static void test_the_right_one_of_several(void **state)
{
    (void)state;
    struct stranger stranger = {.says = "220 mail\r\n"};
    char where[LITHOPS__TCP_WHERE];
    struct joining joining;
    int fd;
    begin_stranger(&stranger);
    snprintf(where, sizeof where, "127.0.0.1:1,%s,%s", stranger.where, lithops__tcplink_where(tcp));
    assert_int_equal(lithops__tcplink_expect(tcp, 0, secret, &err), 0);
    begin(&joining, where, secret);
    assert_int_equal(lithops__tcplink_await(tcp, 0, -1, -1, LONG_MS, &fd, &err), 0);
    pthread_join(joining.thread, NULL);
    assert_int_equal(joining.rc, 0);
    shutdown(stranger.fd, SHUT_RDWR);
    end_stranger(&stranger);
    close(fd);
    close(joining.fd);
    link_down(0, &joining);
    begin(&joining, "127.0.0.1:1", secret);
    pthread_join(joining.thread, NULL);
    assert_int_equal(joining.rc, LITHOPS_EIO);
    assert_non_null(strstr(joining.err.message, "127.0.0.1:1: Connection refused"));
    begin(&joining, "nowhere", secret);
    pthread_join(joining.thread, NULL);
    assert_int_equal(joining.rc, LITHOPS_EUSAGE);
}

/* One of several addresses accepts connections and says nothing. */
static void test_a_silent_one_of_several(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t size = sizeof address;
    char where[LITHOPS__TCP_WHERE];
    struct joining joining;
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
    assert_int_equal(bind(silent, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(silent, 5), 0); /* the kernel accepts */
    assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &size), 0);
    int port = ntohs(address.sin_port);
    /* Twice 10 s would be more than the client has patience for. */
    snprintf(where, sizeof where, "127.0.0.1:%d,127.0.0.1:%d,%s", port, port,
             lithops__tcplink_where(tcp));
    assert_int_equal(lithops__tcplink_expect(tcp, 0, secret, &err), 0);
    begin(&joining, where, secret);
    assert_int_equal(lithops__tcplink_await(tcp, 0, -1, -1, LONG_MS, &fd, &err), 0);
    pthread_join(joining.thread, NULL);
    assert_int_equal(joining.rc, 0);
    assert_int_equal(lithops__tcplink_refused(tcp), 0);
    close(fd);
    close(joining.fd);
    close(silent);
    link_down(0, &joining);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void test_waiting_ends(void **state)
{
    (void)state;
    int ends[2], fd;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(lithops__tcplink_expect(tcp, 0, secret, &err), 0);
    assert_int_equal(lithops__tcplink_await(tcp, 0, -1, -1, 1, &fd, &err), LITHOPS_ETIMEDOUT);
    close(ends[1]);
    assert_int_equal(lithops__tcplink_await(tcp, 0, -1, ends[0], LONG_MS, &fd, &err), LITHOPS_EIO);
    assert_int_equal(lithops__tcplink_await(tcp, 0, ends[0], -1, LONG_MS, &fd, &err),
                     LITHOPS_ECANCELED);
    lithops__tcplink_forget(tcp, 0);
    close(ends[0]);
    refuse(secret);
}

/* ---- the port -------------------------------------------------------------------------------- */

static int open_with(const char *address, const char *port, struct lithops__tcplink **ret)
{
    lithops_value *settings = lithops_pack("{s:s,s:s}", "tcp_address", address, "tcp_port", port);
    int rc = lithops__tcplink_open(settings, "slurm", 1, ret, &err);
    lithops_value_free(settings);
    return rc;
}

static void test_ports(void **state)
{
    (void)state;
    static const char *const wrong[] = {"x", "-1", "70000", "5-", "7-5", "0-9", "80x", ""};
    struct lithops__tcplink *first, *second;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(open_with("127.0.0.1", wrong[i], &first), LITHOPS_ECONFIG);
        assert_non_null(strstr(err.message, "slurm.tcp_port must be a port, a range"));
    }
    assert_int_equal(open_with("127.0.0.1", "0", &first), 0);
    const char *taken = strrchr(lithops__tcplink_where(first), ':') + 1;
    assert_int_equal(open_with("127.0.0.1", taken, &second), LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, "set slurm.tcp_port to another one, or to a range"));
    char range[64];
    snprintf(range, sizeof range, "%d-%d", atoi(taken), atoi(taken) + 50);
    assert_int_equal(open_with("127.0.0.1", range, &second), 0);
    assert_string_not_equal(lithops__tcplink_where(first), lithops__tcplink_where(second));
    lithops__tcplink_close(second);
    lithops__tcplink_close(first);
}

static void test_addresses(void **state)
{
    (void)state;
    struct lithops__tcplink *opened;
    static const struct {
        const char *address, *where;
    } cases[] = {{"lo", "127.0.0.1:"},
                 {"127.0.0.1", "127.0.0.1:"},
                 {"192.0.2.7", "192.0.2.7:"}, /* of a router that passes it on */
                 {"2001:db8::7", "[2001:db8::7]:"},
                 {"login.example.org", "login.example.org:"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(open_with(cases[i].address, "0", &opened), 0);
        assert_int_equal(
            strncmp(lithops__tcplink_where(opened), cases[i].where, strlen(cases[i].where)), 0);
        assert_null(strchr(lithops__tcplink_where(opened), ','));
        lithops__tcplink_close(opened);
    }
    assert_int_equal(open_with("a b", "0", &opened), LITHOPS_ECONFIG);
    assert_int_equal(open_with("", "0", &opened), LITHOPS_ECONFIG);
    lithops_value *nothing = lithops_value_map();
    assert_int_equal(lithops__tcplink_open(nothing, "slurm", 1, &opened, &err), 0);
    lithops_value_free(nothing);
    assert_non_null(strchr(lithops__tcplink_where(opened), ':'));
    struct lithops__tcplink *own = tcp;
    tcp = opened; /* whatever was found leads there */
    assert_lets_in(0);
    tcp = own;
    lithops__tcplink_close(opened);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_port, close_port)

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as in a worker */
    const struct CMUnitTest tests[] = {
        TEST(test_both_know_it),
        TEST(test_much_goes_both_ways),
        TEST(test_ending_waits_for_nobody),
        TEST(test_another_secret_is_refused),
        TEST(test_a_secret_serves_one_connection),
        TEST(test_what_is_no_secret),
        TEST(test_silence),
        TEST(test_a_burst),
        TEST(test_garbage),
        TEST(test_spoiled_handshakes),
        TEST(test_a_worker_asks_who_it_is),
        TEST(test_the_right_one_of_several),
        TEST(test_a_silent_one_of_several),
        TEST(test_waiting_ends),
        TEST(test_ports),
        TEST(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
