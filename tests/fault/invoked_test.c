/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs on workers that HTTP requests start, at an endpoint that throttles, resets, answers late,
 * twice, half or something else, and kills workers and their containers, by plans that seeds make.
 *
 * Each call has one outcome: its own, or an error that says what was lost. Where no worker was
 * killed or started twice each call has run once, and has its own; where all workers are refused
 * from some request on, no more have run than there are; and where some are started twice, no call
 * with retries left is lost. The containers are `lithops worker --http`, run as processes, of which
 * none is left; the storage is that of tests/servers/with-redis.
 * invoked_test [COUNT [FIRST]] runs COUNT plans; `make soak-invoked PLANS=200`. */
#include "../conformance/worker_server.h"
#include "fault.h"

#include <lithops/plugin/runtime.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SQUARES = 24,
    ODD = 8,
    SERVERS = 3,    /* containers: one is in use, the others take its place */
    REQUESTS = 256, /* of one plan, at most */
    REQUEST_BYTES = 256 << 10,
    MANY_PLANS = 40,
    AT_A_TIME = 4, /* plans: they mostly wait */
    MOST_FAULTS = 6,
    MOST_OWN = 2,
    MOST_DELAY_MS = 250,
    MOST_NAP_MS = 20,
    STEP_MS = 5,
    GONE_MS = 20000 * FAULT_SLOWER,
};

/* What becomes of a request. Those before BOTH let no worker run, or one. */
enum fault {
    NONE,
    THROTTLE,
    FAIL,
    DRAIN,
    RESET,
    GARBAGE,
    HALF, /* of the answer's head */
    LATE,
    TWICE, /* to the same container */
    BOTH,  /* to two containers */
    LOST,  /* the worker runs, the answer is lost */
    CUT,   /* while the worker runs */
    KILL,  /* the worker */
    DEATH, /* of the container */
    DENY,
    MISSING,
    STRANGE,
    FAULTS
};

enum kind {
    PASSING,  /* nothing is lost */
    DOUBLE,   /* and workers are started twice */
    KILLING,  /* workers end while they run */
    REFUSING, /* from some request on */
    KINDS
};

static const char *const kinds[] = {"passing", "double", "killing", "refusing"};

static unsigned seed;
static lithops_error err = LITHOPS_ERROR_INIT;

static unsigned draw(unsigned *state, unsigned below)
{
    return (unsigned)rand_r(state) % below;
}

/* ---- the endpoint ---------------------------------------------------------------------------- */

static struct {
    struct worker_server servers[SERVERS];
    int fd, port;
    enum kind kind;
    enum fault last; /* REFUSING: for good */
    unsigned refuses_from, one_of;
    pthread_t thread;
    atomic_bool is_over;
    pthread_mutex_t lock;
    unsigned random;             /* [lock] */
    unsigned current, disturbed; /* [lock] the container in use; requests */
    unsigned own;                /* [lock] faults of the plan's own kind */
} endpoint;

struct request {
    int fd;
    enum fault fault;
    int delay_ms;
    char data[REQUEST_BYTES];
    size_t len;
};

static const char *answer_of(enum fault fault)
{
    static const char *const answers[FAULTS] = {
        [THROTTLE] = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",
        [FAIL] = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\noops!",
        [DRAIN] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\n<html",
        [GARBAGE] = "\x16\x03\x01\r\n\r\n",
        [HALF] = "HTTP/1.1 200 OK\r\nX-Lithops-Wor",
        [DENY] = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nexpired",
        [MISSING] = "HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nno image",
        [STRANGE] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    };
    return answers[fault];
}

/* Half of them are of the plan's own kind; but not three, after which none would be started for a
 * minute. */
static enum fault draw_fault(unsigned *random)
{
    bool is_own = draw(random, 2) && endpoint.own < MOST_OWN;
    endpoint.own += is_own;
    return is_own && endpoint.kind == DOUBLE    ? BOTH + draw(random, CUT - BOTH)
           : is_own && endpoint.kind == KILLING ? CUT + draw(random, DENY - CUT)
                                                : THROTTLE + draw(random, BOTH - THROTTLE);
}

/* What becomes of the next request. */
static enum fault choose(unsigned number, int *ret_delay_ms)
{
    enum fault fault = NONE;
    pthread_mutex_lock(&endpoint.lock);
    if (endpoint.kind == REFUSING && number >= endpoint.refuses_from)
        fault = endpoint.last;
    else if (draw(&endpoint.random, endpoint.one_of) == 0 && endpoint.disturbed < MOST_FAULTS)
        fault = draw_fault(&endpoint.random);
    *ret_delay_ms = (int)draw(&endpoint.random, MOST_DELAY_MS);
    endpoint.disturbed += fault != NONE;
    pthread_mutex_unlock(&endpoint.lock);
    return fault;
}

/* Sleeps in steps. False: all is over. */
static bool stay(int ms)
{
    for (; ms > 0 && !atomic_load(&endpoint.is_over); ms -= STEP_MS)
        poll(NULL, 0, STEP_MS);
    return !atomic_load(&endpoint.is_over);
}

/* The whole request. False: it is none. */
static bool read_request(struct request *request)
{
    for (;;) {
        ssize_t n = read(request->fd, request->data + request->len,
                         sizeof request->data - 1 - request->len);
        if (n <= 0)
            return false;
        request->len += (size_t)n;
        const char *end = memmem(request->data, request->len, "\r\n\r\n", 4);
        const char *length = memmem(request->data, request->len, "Content-Length: ", 16);
        if (end && length &&
            request->len >= (size_t)(end + 4 - request->data) + strtoul(length + 16, NULL, 10))
            return true;
    }
}

/* @return a connection to a container that has got the request; -1: it is not there */
static int ask(unsigned number, const struct request *request)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)endpoint.servers[number].port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, request->data, request->len, MSG_NOSIGNAL) == (ssize_t)request->len)
        return fd;
    close(fd);
    return -1;
}

/* Blocks pass until one of both ends, all is over, or `ms` are; -1: they never are. */
static void pump(int client, int server, int ms)
{
    char block[4096];
    double end = ms < 0 ? 1e18 : fault_now() + ms / 1e3;
    while (!atomic_load(&endpoint.is_over) && fault_now() < end) {
        struct pollfd fds[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        if (poll(fds, 2, STEP_MS) <= 0)
            continue;
        for (int i = 0; i < 2; i++) {
            ssize_t n = fds[i].revents ? read(fds[i].fd, block, sizeof block) : -1;
            if (fds[i].revents &&
                (n <= 0 || send(fds[1 - i].fd, block, (size_t)n, MSG_NOSIGNAL) != n))
                return;
        }
    }
}

/* It is gone, and another one takes its place. The last one stays. */
static void kill_container(unsigned number)
{
    pthread_mutex_lock(&endpoint.lock);
    if (number == endpoint.current && number + 1 < SERVERS) {
        (void)kill(endpoint.servers[number].pid, SIGKILL);
        endpoint.current++;
    }
    pthread_mutex_unlock(&endpoint.lock);
}

static void pass(const struct request *request)
{
    pthread_mutex_lock(&endpoint.lock);
    unsigned number = endpoint.current;
    pthread_mutex_unlock(&endpoint.lock);
    enum fault fault = request->fault;
    int server = ask(number, request), other = -1;
    if (server < 0)
        return; /* as where a container is gone */
    if (fault == TWICE || fault == BOTH)
        other = ask(fault == TWICE ? number : (number + 1) % SERVERS, request);
    if (fault == CUT || fault == KILL || fault == DEATH)
        pump(request->fd, server, request->delay_ms);
    if (fault == KILL)
        (void)worker_server_kill_worker(&endpoint.servers[number]);
    else if (fault == DEATH)
        kill_container(number);
    if (fault == LOST) {
        shutdown(request->fd, SHUT_RDWR);
        while (stay(1000))
            ;
    } else if (fault != CUT) {
        pump(request->fd, server, -1);
    }
    if (other >= 0)
        close(other);
    close(server);
}

static void *serve_one(void *user)
{
    struct request *request = user;
    const char *answer = answer_of(request->fault);
    if (read_request(request)) {
        bool goes_on = request->fault != LATE || stay(4 * request->delay_ms);
        if (request->fault == RESET)
            (void)setsockopt(request->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                             sizeof(struct linger));
        else if (answer)
            (void)send(request->fd, answer, strlen(answer), MSG_NOSIGNAL);
        else if (goes_on)
            pass(request);
    }
    close(request->fd);
    free(request);
    return NULL;
}

static void *serve_all(void *user)
{
    pthread_t threads[REQUESTS];
    unsigned count = 0;
    (void)user;
    while (!atomic_load(&endpoint.is_over)) {
        struct pollfd fd = {endpoint.fd, POLLIN, 0};
        if (poll(&fd, 1, STEP_MS) <= 0)
            continue;
        struct request *request = malloc(sizeof *request);
        if (!request || count == REQUESTS)
            abort();
        request->fd = accept4(endpoint.fd, NULL, NULL, SOCK_CLOEXEC);
        request->len = 0;
        request->fault = choose(count, &request->delay_ms);
        if (pthread_create(&threads[count++], NULL, serve_one, request) != 0)
            abort();
    }
    while (count)
        pthread_join(threads[--count], NULL);
    return NULL;
}

static void endpoint_start(unsigned *random)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    static const enum fault lasts[] = {THROTTLE, FAIL, RESET, GARBAGE, DENY, MISSING, STRANGE};
    socklen_t size = sizeof address;
    endpoint.kind = (enum kind)(seed % KINDS);
    endpoint.last = lasts[seed / KINDS % (sizeof lasts / sizeof *lasts)];
    endpoint.one_of = 1 + draw(random, 2);
    endpoint.refuses_from = draw(random, 4);
    endpoint.random = (unsigned)rand_r(random);
    pthread_mutex_init(&endpoint.lock, NULL);
    endpoint.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(endpoint.fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(endpoint.fd, 64) == 0);
    CHECK(getsockname(endpoint.fd, (struct sockaddr *)&address, &size) == 0);
    endpoint.port = ntohs(address.sin_port);
    for (int i = 0; i < SERVERS; i++)
        worker_server_start(&endpoint.servers[i], 16);
    CHECK(pthread_create(&endpoint.thread, NULL, serve_all, NULL) == 0);
}

/* Containers that were not killed have nothing that runs, and end well. */
static void endpoint_stop(void)
{
    atomic_store(&endpoint.is_over, true);
    pthread_join(endpoint.thread, NULL);
    close(endpoint.fd);
    for (unsigned i = 0; i < SERVERS; i++) {
        struct worker_server *server = &endpoint.servers[i];
        double limit = fault_now() + GONE_MS / 1e3;
        while (i >= endpoint.current && worker_server_count(server) > 0) {
            CHECK(fault_now() < limit);
            poll(NULL, 0, STEP_MS);
        }
        CHECK_INT(worker_server_stop(server), i < endpoint.current ? -SIGKILL : 0);
    }
}

/* ---- jobs ------------------------------------------------------------------------------------ */

#define RUNS "LITHOPS_TEST_RUNS" /* names a file, with a byte for each run of a call */

static void note_run(void)
{
    const char *path = getenv(RUNS);
    int fd = open(path ? path : "", O_WRONLY | O_APPEND | O_CLOEXEC);
    (void)!write(fd, ".", 1);
    close(fd);
}

LITHOPS_FUNCTION(slow_square)
{
    int64_t x = lithops_call_int(call);
    note_run();
    poll(NULL, 0, (int)(x % MOST_NAP_MS));
    return lithops_return_int(call, x * x);
}

LITHOPS_FUNCTION(fail_at_odds)
{
    int64_t x = lithops_call_int(call);
    note_run();
    return x % 2 ? lithops_fail(call, "%lld is odd", (long long)x) : lithops_return_int(call, x);
}

static lithops_value *storage_section(void)
{
    const char *json = getenv("LITHOPS_TEST_STORAGE");
    return json ? lithops_value_from_json(json, strlen(json), &err) : NULL;
}

static lithops_executor *open_executor(int retries)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d", endpoint.port);
    lithops_value *config = lithops_pack(
        "{s:{s:s,s:s,s:i},s:o,s:{s:s,s:s,s:i,s:i,s:i}}", "lithops", "backend", "knative", "storage",
        "redis", "call_retries", retries, "redis", storage_section(), "knative", "endpoint", url,
        "secret", WORKER_SERVER_SECRET, "max_workers", 2, "worker_processes", 1, "start_timeout",
        endpoint.kind == REFUSING ? 1 : FAULT_CASE_S);
    options.config = config;
    lithops_executor *fexec = lithops_executor_open(&options, &err);
    lithops_value_free(config);
    if (!fexec)
        fault_fail(__FILE__, __LINE__, err.message);
    return fexec;
}

/* A call that did not end with its own outcome says why, and may be lost: also where workers are
 * started twice, as one that has begun calls may be then. */
static void check_loss(const lithops_error *error, size_t call)
{
    int code = error->code;
    bool is_lost =
        endpoint.kind != PASSING &&
        (code == LITHOPS_ECRASH || code == LITHOPS_EBACKEND || code == LITHOPS_ETIMEDOUT ||
         (endpoint.kind == REFUSING && code == LITHOPS_EDENIED));
    if (!is_lost || !error->message[0]) {
        char text[900];
        snprintf(text, sizeof text, "plan %u (%s): call %zu: code %d: %s", seed,
                 kinds[endpoint.kind], call, code, error->message);
        fault_fail(__FILE__, __LINE__, text);
    }
}

static size_t check_ints(lithops_futures *calls, size_t count, bool are_squares)
{
    size_t lost = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t result;
        lithops_error error = LITHOPS_ERROR_INIT;
        int rc = lithops_futures_int(calls, i, &result, &error);
        if (rc == 0) {
            CHECK(are_squares || i % 2 == 0);
            CHECK_INT(result, are_squares ? i * i : i);
        } else if (are_squares || rc != LITHOPS_ECALL || !strstr(error.message, "is odd")) {
            check_loss(&error, i);
            lost++;
        }
    }
    lithops_futures_unref(calls);
    return lost;
}

/* Of workers that are started twice MOST_OWN may be lost, and no call runs out of retries by that
 * alone. */
static size_t run_jobs(lithops_executor *fexec, int retries)
{
    lithops_futures *squares =
        lithops_map(fexec, slow_square, lithops_range(0, SQUARES), NULL, &err);
    lithops_futures *odds = lithops_map(fexec, fail_at_odds, lithops_range(0, ODD), NULL, &err);
    CHECK(squares && odds);
    fault_await_all(squares);
    fault_await_all(odds);
    size_t lost = check_ints(squares, SQUARES, true);
    if (endpoint.kind == DOUBLE && retries >= MOST_OWN)
        CHECK_INT(lost, 0);
    return lost + check_ints(odds, ODD, false);
}

/* ---- plans ----------------------------------------------------------------------------------- */

static long take_runs(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long runs = (long)lseek(fd, 0, SEEK_END);
    close(fd);
    unlink(path);
    return runs;
}

static void run_plan(void)
{
    char path[] = "/tmp/lithops-invoked-XXXXXX";
    unsigned random = seed * 2654435761u;
    double start = fault_now();
    close(mkstemp(path));
    setenv(RUNS, path, 1); /* the containers, and so their workers, get it, too */
    int retries = draw(&random, 2) ? 2 : 0;
    endpoint_start(&random);
    lithops_executor *fexec = open_executor(retries);
    size_t lost = run_jobs(fexec, retries);
    lithops_executor_close(fexec);
    endpoint_stop();
    long runs = take_runs(path);
    fprintf(stderr, "plan %u: %s, %u requests disturbed, %zu calls lost, %ld runs, %.1f s\n", seed,
            kinds[endpoint.kind], endpoint.disturbed, lost, runs, fault_now() - start);
    long all = SQUARES + ODD + ODD / 2 * retries; /* one that fails by itself is run again, too */
    if (endpoint.kind == PASSING)
        CHECK_INT(runs, all);
    else if (endpoint.kind == REFUSING) /* none is run again for that */
        CHECK(runs <= all);
    CHECK(runs + (long)lost >= SQUARES + ODD);
}

static int plans = MANY_PLANS;

/* Every AT_A_TIME-th plan, in a process: fault_run() ends it when one fails. */
static void run_some(unsigned first, unsigned end)
{
    for (seed = first; seed < end; seed += AT_A_TIME)
        fault_run("plan", run_plan);
    exit(0);
}

static void all_plans(void **state)
{
    pid_t pids[AT_A_TIME];
    unsigned end = seed + (unsigned)plans;
    bool good = true;
    (void)state;
    for (unsigned i = 0; i < AT_A_TIME; i++)
        if ((pids[i] = fork()) == 0)
            run_some(seed + i, end);
    for (unsigned i = 0; i < AT_A_TIME; i++) {
        int status = 1;
        while (waitpid(pids[i], &status, 0) < 0)
            continue;
        good = good && status == 0;
    }
    assert_true(good);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (!getenv("LITHOPS_TEST_STORAGE")) {
        print_message("run this by tests/servers/with-redis\n");
        return 1;
    }
    setenv("no_proxy", "*", 1);
    plans = argc > 1 ? atoi(argv[1]) : MANY_PLANS;
    seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_plans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
