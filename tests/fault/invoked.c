/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint: a thread for each connection, which has one request. */
#include "invoked.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUESTS = 512, /* of one plan, at most */ MOST_FAULTS = 6, MOST_DELAY_MS = 250 };

struct invoked invoked;

static struct {
    int fd;
    unsigned refuses_from, one_of;
    pthread_t thread;
    atomic_bool is_over;
    pthread_mutex_t lock;
    unsigned random; /* [lock] */
    unsigned asked;  /* [lock] for workers */
    unsigned own;    /* [lock] faults of the plan's own kind */
} endpoint;

static unsigned draw(unsigned *state, unsigned below)
{
    return (unsigned)rand_r(state) % below;
}

/* Half of them are of the plan's own kind; but not three, after which none would be started for a
 * minute. */
static enum fault draw_fault(unsigned *random)
{
    bool is_own = draw(random, 2) && endpoint.own < invoked.platform->most_own;
    endpoint.own += is_own;
    return is_own && invoked.kind == DOUBLE    ? BOTH + draw(random, CUT - BOTH)
           : is_own && invoked.kind == KILLING ? CUT + draw(random, DENY - CUT)
                                               : THROTTLE + draw(random, BOTH - THROTTLE);
}

/* Of a request that asks for no worker, which is refused for now at worst. */
static enum fault draw_of_look(unsigned *random)
{
    static const enum fault faults[] = {THROTTLE, FAIL, DRAIN, RESET, HALF, LATE, AGAIN};
    return faults[draw(random, sizeof faults / sizeof *faults)];
}

/* What becomes of a request. */
static void choose(struct request *request)
{
    const struct platform *platform = invoked.platform;
    bool asks = !platform->invokes || platform->invokes(request);
    pthread_mutex_lock(&endpoint.lock);
    unsigned number = endpoint.asked;
    endpoint.asked += asks;
    request->fault = NONE;
    if (asks && invoked.kind == REFUSING && number >= endpoint.refuses_from)
        request->fault = invoked.last;
    else if (draw(&endpoint.random, endpoint.one_of) == 0 && invoked.disturbed < MOST_FAULTS)
        request->fault = asks ? draw_fault(&endpoint.random) : draw_of_look(&endpoint.random);
    request->delay_ms = (int)draw(&endpoint.random, MOST_DELAY_MS);
    invoked.disturbed += request->fault != NONE;
    pthread_mutex_unlock(&endpoint.lock);
}

bool invoked_stay(int ms)
{
    for (; ms > 0 && !atomic_load(&endpoint.is_over); ms -= INVOKED_STEP_MS)
        poll(NULL, 0, INVOKED_STEP_MS);
    return !atomic_load(&endpoint.is_over);
}

const char *invoked_body(const char *data)
{
    const char *end = strstr(data, "\r\n\r\n");
    return end ? end + 4 : "";
}

bool invoked_read(int fd, char *data, size_t *len)
{
    for (*len = 0;;) {
        ssize_t n = read(fd, data + *len, INVOKED_BYTES - 1 - *len);
        if (n <= 0)
            return false;
        *len += (size_t)n;
        data[*len] = '\0';
        const char *end = memmem(data, *len, "\r\n\r\n", 4);
        const char *length = strcasestr(data, "\r\nContent-Length: ");
        size_t body = length && length < end ? strtoul(length + 18, NULL, 10) : 0;
        if (end && *len >= (size_t)(end + 4 - data) + body)
            return true;
    }
}

int invoked_ask(int port, const char *request, size_t len)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, request, len, MSG_NOSIGNAL) == (ssize_t)len)
        return fd;
    close(fd);
    return -1;
}

int invoked_listen(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(fd, 64) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

void invoked_answer(const struct request *request, const char *answer)
{
    for (int i = request->fault == AGAIN ? 2 : 1; i > 0; i--)
        (void)send(request->fd, answer, strlen(answer), MSG_NOSIGNAL);
}

static void *serve_one(void *user)
{
    struct request *request = user;
    if (invoked_read(request->fd, request->data, &request->len)) {
        choose(request);
        const char *answer = invoked.platform->answers[request->fault];
        bool goes_on = request->fault != LATE || invoked_stay(4 * request->delay_ms);
        if (request->fault == RESET)
            (void)setsockopt(request->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                             sizeof(struct linger));
        else if (answer)
            invoked_answer(request, answer);
        else if (goes_on)
            invoked.platform->pass(request);
    }
    close(request->fd);
    free(request);
    return NULL;
}

static void *serve_all(void *user)
{
    static pthread_t threads[REQUESTS];
    unsigned count = 0;
    (void)user;
    while (!atomic_load(&endpoint.is_over)) {
        struct pollfd fd = {endpoint.fd, POLLIN, 0};
        if (poll(&fd, 1, INVOKED_STEP_MS) <= 0)
            continue;
        struct request *request = malloc(sizeof *request);
        if (!request || count == REQUESTS)
            abort();
        request->fd = accept4(endpoint.fd, NULL, NULL, SOCK_CLOEXEC);
        if (pthread_create(&threads[count++], NULL, serve_one, request) != 0)
            abort();
    }
    while (count)
        pthread_join(threads[--count], NULL);
    return NULL;
}

void invoked_start(const struct platform *platform, enum kind kind, unsigned seed)
{
    static const enum fault lasts[] = {THROTTLE, FAIL, RESET, GARBAGE, DENY, MISSING, STRANGE};
    int port;
    unsigned random = seed * 2654435761u;
    invoked = (struct invoked){.platform = platform, .kind = kind};
    invoked.last = lasts[seed / KINDS % (sizeof lasts / sizeof *lasts)];
    endpoint.one_of = 1 + draw(&random, 2);
    endpoint.refuses_from = draw(&random, 4);
    endpoint.random = (unsigned)rand_r(&random);
    pthread_mutex_init(&endpoint.lock, NULL);
    endpoint.fd = invoked_listen(&port);
    snprintf(invoked.url, sizeof invoked.url, "http://127.0.0.1:%d", port);
    platform->start(seed);
    CHECK(pthread_create(&endpoint.thread, NULL, serve_all, NULL) == 0);
}

void invoked_stop(void)
{
    atomic_store(&endpoint.is_over, true);
    pthread_join(endpoint.thread, NULL);
    close(endpoint.fd);
    invoked.platform->stop();
}
