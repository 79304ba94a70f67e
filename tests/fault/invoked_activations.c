/* SPDX-License-Identifier: Apache-2.0 */
/* Services that take an activation and run it on their own, in containers of one at a time:
 * OpenWhisk and AWS Lambda, by the control side of what each has published. The containers are
 * `lithops worker --openwhisk` and `--lambda`; there are so many that a plan cannot use them up. An
 * activation that is given twice runs in two of them, and the first one's end is its end. */
#include "invoked.h"

#include "../conformance/worker_server.h"
#include "relay/relay.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONTAINERS = 6, RUNS = 128, ACTIVATIONS = 128, TEXT = 2048, LIFE_S = 60, LOOK_MS = 20 };

struct container {
    struct worker_server server;
    int listener, fd; /* Lambda's: of its Runtime API, and its connection there; -1: none */
    atomic_bool is_gone;
    bool is_busy, is_lost; /* [lock] */
    bool was_killed;       /* [lock] by the plan */
};

struct activation {
    char id[40];
    char *body;                  /* of the request */
    bool runs_again;             /* in the same container, once it has ended */
    bool is_done, has_failed;    /* [lock] */
    struct container *container; /* [lock] in which it was begun last; NULL: in none */
    char how[TEXT];              /* [lock] as the container says it */
};

/* Runs it. False: the container is gone. */
typedef bool run_fn(struct container *container, const struct activation *activation, char *ret_how,
                    bool *ret_failed);

static struct {
    run_fn *run;
    bool by_request; /* Lambda: the answer is that of the function */
    struct container containers[CONTAINERS];
    pthread_t threads[RUNS];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct activation activations[ACTIVATIONS]; /* [lock] */
    unsigned activation_count, run_count;       /* [lock] */
} platform;

/* ---- activations ----------------------------------------------------------------------------- */

static void await_change(void)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += LOOK_MS * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&platform.changed, &platform.lock, &end);
}

/* [lock] One that is idle; NULL: all is over. */
static struct container *take_container(void)
{
    while (invoked_stay(0)) {
        for (int i = 0; i < CONTAINERS; i++)
            if (!platform.containers[i].is_busy && !platform.containers[i].is_lost) {
                platform.containers[i].is_busy = true;
                return &platform.containers[i];
            }
        await_change();
    }
    return NULL;
}

static void *run_one(void *user)
{
    struct activation *activation = user;
    char how[TEXT];
    bool has_failed = true;
    pthread_mutex_lock(&platform.lock);
    struct container *container = take_container();
    activation->container = container;
    pthread_mutex_unlock(&platform.lock);
    for (int i = activation->runs_again ? 2 : 1; container && i > 0; i--) {
        bool is_there = platform.run(container, activation, how, &has_failed);
        pthread_mutex_lock(&platform.lock);
        if (!activation->is_done) {
            activation->is_done = true;
            activation->has_failed = has_failed;
            memcpy(activation->how, how, sizeof how);
        }
        if (!is_there)
            container->is_lost = true, i = 1;
        pthread_cond_broadcast(&platform.changed);
        pthread_mutex_unlock(&platform.lock);
    }
    pthread_mutex_lock(&platform.lock);
    if (container)
        container->is_busy = false;
    if (activation->container == container)
        activation->container = NULL;
    pthread_cond_broadcast(&platform.changed);
    pthread_mutex_unlock(&platform.lock);
    return NULL;
}

static struct activation *begin(const struct request *request)
{
    pthread_mutex_lock(&platform.lock);
    if (platform.activation_count == ACTIVATIONS || platform.run_count + 2 > RUNS)
        abort();
    struct activation *activation = &platform.activations[platform.activation_count++];
    snprintf(activation->id, sizeof activation->id, "%08x-0000-4000-8000-%012x",
             platform.activation_count, (unsigned)getpid());
    activation->body = strdup(invoked_body(request->data));
    activation->runs_again = request->fault == TWICE;
    for (int i = request->fault == BOTH ? 2 : 1; i > 0; i--)
        if (pthread_create(&platform.threads[platform.run_count++], NULL, run_one, activation) != 0)
            abort();
    pthread_mutex_unlock(&platform.lock);
    return activation;
}

/* Its worker, or its container, a while after that runs there. */
static void kill_in(struct activation *activation, enum fault fault, int delay_ms)
{
    bool is_killed = false, is_done = false;
    while ((fault == KILL || fault == DEATH) && !is_killed && !is_done && invoked_stay(LOOK_MS)) {
        pthread_mutex_lock(&platform.lock);
        struct container *container = activation->container;
        is_done = activation->is_done;
        pthread_mutex_unlock(&platform.lock);
        if (!container || worker_server_count(&container->server) == 0 || !invoked_stay(delay_ms))
            continue;
        pthread_mutex_lock(&platform.lock);
        if (activation->container == container && fault == KILL)
            is_killed = worker_server_kill_worker(&container->server);
        else if (activation->container == container && fault == DEATH)
            is_killed = container->was_killed = kill(container->server.pid, SIGKILL) == 0;
        pthread_mutex_unlock(&platform.lock);
    }
}

/* False: all is over before. */
static bool await(struct activation *activation)
{
    pthread_mutex_lock(&platform.lock);
    while (!activation->is_done && invoked_stay(0))
        await_change();
    bool is_done = activation->is_done;
    pthread_mutex_unlock(&platform.lock);
    return is_done;
}

/* What the client is told: all of it, half of it, or nothing. */
static void answer_json(const struct request *request, const char *status, const char *header,
                        const char *json)
{
    char text[2 * TEXT + 512];
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                       "%sConnection: close\r\n\r\n%s",
                       status, strlen(json), header, json);
    if (request->fault == LOST)
        text[request->delay_ms % 2 ? len - 10 : 0] = '\0';
    invoked_answer(request, text);
    if (request->fault == LOST)
        shutdown(request->fd, SHUT_RDWR);
}

/* ---- containers ------------------------------------------------------------------------------ */

static void start(run_fn *run)
{
    platform.run = run;
    pthread_mutex_init(&platform.lock, NULL);
    pthread_cond_init(&platform.changed, NULL);
}

/* What still runs there is told to end, as where a service takes its containers away. */
static void stop(void)
{
    for (int i = 0; i < CONTAINERS; i++) {
        struct container *container = &platform.containers[i];
        int status = worker_server_stop(&container->server);
        atomic_store(&container->is_gone, true);
        CHECK_INT(status, container->was_killed ? -SIGKILL : 0);
    }
    for (unsigned i = 0; i < platform.run_count; i++)
        pthread_join(platform.threads[i], NULL);
    for (unsigned i = 0; i < platform.activation_count; i++)
        free(platform.activations[i].body);
}

/* ---- OpenWhisk ------------------------------------------------------------------------------- */

#define API_KEY "user:api-key-of-the-namespace"
#define NAMESPACE "/api/v1/namespaces/guest"

static const char *const whisk_answers[FAULTS] = {
    [THROTTLE] =
        ("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 90\r\n\r\n"
         "{\"error\": \"Too many concurrent requests in flight (count: 31, allowed: 30).\","
         " \"code\": \"x\"}"),
    [FAIL] = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\noops!",
    [DRAIN] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\n<html",
    [GARBAGE] = "\x16\x03\x01\r\n\r\n",
    [HALF] = "HTTP/1.1 202 Accepted\r\nX-Openwhisk-Acti",
    [DENY] = ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 51\r\n\r\n"
              "{\"error\":\"The supplied authentication is invalid.\"}"),
    [MISSING] = ("HTTP/1.1 404 Not Found\r\nContent-Length: 52\r\n\r\n"
                 "{\"error\": \"The requested resource does not exist.\"} "),
    [STRANGE] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
};

static lithops_value *whisk_section(const char *url, int start_s, enum kind kind)
{
    (void)kind;
    return lithops_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:i}", "endpoint", url, "namespace", "guest",
                        "api_key", API_KEY, "secret", WORKER_SERVER_SECRET, "max_workers", 2,
                        "worker_processes", 1, "start_timeout", start_s);
}

/* The body of the answer of a container. @return its status; 0: it is gone */
static int ask_container(int port, const char *path, const char *body, char *ret_text, size_t size)
{
    char *request = NULL;
    int status = 0;
    size_t len = 0;
    if (asprintf(&request,
                 "POST %s HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 path, strlen(body), body) < 0)
        abort();
    int fd = invoked_ask(port, request, strlen(request));
    free(request);
    if (fd < 0)
        return 0;
    for (ssize_t n; (n = read(fd, ret_text + len, size - 1 - len)) > 0;)
        len += (size_t)n;
    close(fd);
    ret_text[len] = '\0';
    if (sscanf(ret_text, "HTTP/1.1 %d", &status) == 1) {
        const char *answer = invoked_body(ret_text);
        memmove(ret_text, answer, strlen(answer) + 1);
    }
    return status;
}

static bool whisk_run(struct container *container, const struct activation *activation,
                      char *ret_how, bool *ret_failed)
{
    char *body = NULL;
    if (asprintf(&body,
                 "{\"value\": %s, \"namespace\": \"guest\", \"action_name\": \"/guest/lithops\", "
                 "\"api_key\": \"" API_KEY "\", \"activation_id\": \"%s\", \"deadline\": \"%lld\"}",
                 activation->body, activation->id, (long long)(time(NULL) + LIFE_S) * 1000) < 0)
        abort();
    int status = ask_container(container->server.port, "/run", body, ret_how, TEXT);
    free(body);
    *ret_failed = status != 200;
    if (status == 0)
        snprintf(ret_how, TEXT, "{\"error\": \"the container is gone\"}");
    return status != 0;
}

static void whisk_start(unsigned seed)
{
    static const char init[] =
        "{\"value\": {\"name\": \"lithops\", \"main\": \"main\", \"code\": \"\", \"binary\": false,"
        " \"env\": {\"__OW_API_KEY\": \"" API_KEY
        "\", \"LITHOPS_WORKER_SECRET\": \"" WORKER_SERVER_SECRET "\"}}}";
    char text[TEXT];
    (void)seed;
    start(whisk_run);
    for (int i = 0; i < CONTAINERS; i++) {
        struct worker_server *server = &platform.containers[i].server;
        worker_server_start_action(server);
        CHECK_INT(ask_container(server->port, "/init", init, text, sizeof text), 200);
    }
}

static bool whisk_invokes(const struct request *request)
{
    return strncmp(request->data, "POST ", 5) == 0;
}

static void whisk_look(const struct request *request)
{
    static const char missing[] = "{\"error\": \"The requested resource does not exist.\"}";
    char json[TEXT + 128] = "";
    pthread_mutex_lock(&platform.lock);
    for (unsigned i = 0; i < platform.activation_count; i++) {
        const struct activation *activation = &platform.activations[i];
        char path[128];
        snprintf(path, sizeof path, "GET " NAMESPACE "/activations/%s/result ", activation->id);
        if (activation->is_done && strncmp(request->data, path, strlen(path)) == 0)
            snprintf(json, sizeof json, "{\"result\": %s, \"status\": \"%s\", \"success\": %s}",
                     activation->how, activation->has_failed ? "whisk internal error" : "success",
                     activation->has_failed ? "false" : "true");
    }
    pthread_mutex_unlock(&platform.lock);
    answer_json(request, json[0] ? "200 OK" : "404 Not Found", "", json[0] ? json : missing);
}

static void whisk_pass(const struct request *request)
{
    static const char invocation[] = "POST " NAMESPACE "/actions/lithops?blocking=false ";
    char json[128];
    if (!whisk_invokes(request)) {
        whisk_look(request);
        return;
    }
    if (strncmp(request->data, invocation, sizeof invocation - 1) != 0)
        fault_fail(__FILE__, __LINE__, request->data);
    struct activation *activation = begin(request);
    snprintf(json, sizeof json, "{\"activationId\": \"%s\"}", activation->id);
    answer_json(request, "202 Accepted", "", json);
    kill_in(activation, request->fault, request->delay_ms);
}

const struct platform invoked_openwhisk = {.backend = "openwhisk",
                                           .storage = "redis",
                                           .quota = "Too many concurrent requests",
                                           .answers = whisk_answers,
                                           .section = whisk_section,
                                           .start = whisk_start,
                                           .stop = stop,
                                           .invokes = whisk_invokes,
                                           .pass = whisk_pass,
                                           .most_own = 2};

/* ---- AWS Lambda ------------------------------------------------------------------------------ */

#define INVOCATIONS "/runtime/invocation/"

static const char *const lambda_answers[FAULTS] = {
    [THROTTLE] = ("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 86\r\n"
                  "x-amzn-ErrorType: TooManyRequestsException\r\n\r\n"
                  "{\"Reason\":\"ConcurrentInvocationLimitExceeded\",\"Type\":\"User\","
                  "\"message\":\"Rate Exceeded\"}"),
    [FAIL] = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\noops!",
    [DRAIN] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\n<html",
    [GARBAGE] = "\x16\x03\x01\r\n\r\n",
    [HALF] = "HTTP/1.1 202 Accepted\r\nx-amzn-Reque",
    [DENY] = ("HTTP/1.1 403 Forbidden\r\nContent-Length: 67\r\n"
              "x-amzn-ErrorType: ExpiredTokenException\r\n\r\n"
              "{\"message\":\"The security token included in the request is expired\"}"),
    [MISSING] = ("HTTP/1.1 404 Not Found\r\nContent-Length: 52\r\n"
                 "x-amzn-ErrorType: ResourceNotFoundException\r\n\r\n"
                 "{\"Type\":\"User\",\"Message\":\"Function not found: it\"}  "),
    [STRANGE] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
};

/* A worker that nobody tells of is lost after four times that long. */
static lithops_value *lambda_section(const char *url, int start_s, enum kind kind)
{
    return lithops_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:i}", "endpoint", url, "region", "us-east-1",
        "access_key_id", "CLIENTKEY", "secret_access_key", "client+secret/key", "invocation",
        platform.by_request ? "request" : "event", "max_workers", 2, "worker_processes", 1,
        "start_timeout", start_s, "worker_lost_timeout", kind == KILLING ? 2 : 15);
}

/* The next request of the runtime. False: it has ended. */
static bool next_request(struct container *container, char *data)
{
    size_t len;
    for (;;) {
        int at = container->fd >= 0 ? container->fd : container->listener;
        struct pollfd fd = {at, POLLIN, 0};
        if (poll(&fd, 1, LOOK_MS) <= 0) {
            if (atomic_load(&container->is_gone))
                return false;
        } else if (container->fd < 0) {
            container->fd = accept4(container->listener, NULL, NULL, SOCK_CLOEXEC);
        } else if (invoked_read(container->fd, data, &len)) {
            return true;
        } else {
            close(container->fd);
            container->fd = -1;
            return false;
        }
    }
}

static void give_event(const struct container *container, const struct activation *activation)
{
    char head[512];
    int len =
        snprintf(head, sizeof head,
                 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                 "Lambda-Runtime-Aws-Request-Id: %s\r\nLambda-Runtime-Deadline-Ms: %lld\r\n"
                 "Content-Length: %zu\r\n\r\n",
                 activation->id, (long long)(time(NULL) + LIFE_S) * 1000, strlen(activation->body));
    (void)send(container->fd, head, (size_t)len, MSG_NOSIGNAL);
    (void)send(container->fd, activation->body, strlen(activation->body), MSG_NOSIGNAL);
}

/* `next` has been asked for since the runtime came up, or since the last event. */
static bool lambda_run(struct container *container, const struct activation *activation,
                       char *ret_how, bool *ret_failed)
{
    static const char taken[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    char *data = malloc(INVOKED_BYTES), mark[64];
    if (!data)
        abort();
    *ret_failed = true;
    snprintf(ret_how, TEXT,
             "{\"errorType\": \"Runtime.ExitError\", \"errorMessage\": "
             "\"Error: Runtime exited\"}");
    bool is_there = next_request(container, data);
    if (is_there) {
        CHECK(strstr(data, INVOCATIONS "next ") != NULL);
        give_event(container, activation);
        is_there = next_request(container, data);
    }
    if (is_there) {
        snprintf(mark, sizeof mark, INVOCATIONS "%s/", activation->id);
        const char *at = strstr(data, mark);
        CHECK(at != NULL);
        *ret_failed = strncmp(at + strlen(mark), "error ", 6) == 0;
        snprintf(ret_how, TEXT, "%s", invoked_body(data));
        (void)send(container->fd, taken, sizeof taken - 1, MSG_NOSIGNAL);
    }
    free(data);
    return is_there;
}

static void lambda_start(unsigned seed)
{
    platform.by_request = seed / KINDS % 2 == 0;
    start(lambda_run);
    const char *key = getenv("LITHOPS_TEST_S3_ACCESS_KEY"); /* of the role */
    const char *secret = getenv("LITHOPS_TEST_S3_SECRET_KEY");
    CHECK(key && secret);
    setenv("AWS_ACCESS_KEY_ID", key, 1);
    setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
    setenv("AWS_REGION", "us-east-1", 1);
    for (int i = 0; i < CONTAINERS; i++) {
        struct container *container = &platform.containers[i];
        int port;
        container->listener = invoked_listen(&port);
        container->fd = -1;
        worker_server_start_runtime(&container->server, port);
    }
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
}

static void lambda_stop(void)
{
    stop();
    for (int i = 0; i < CONTAINERS; i++) {
        close(platform.containers[i].listener);
        if (platform.containers[i].fd >= 0)
            close(platform.containers[i].fd);
    }
}

static bool lambda_invokes(const struct request *request)
{
    return strncmp(request->data, "POST ", 5) == 0;
}

/* Of a function whose image has gone the service says so. */
static void lambda_look(const struct request *request)
{
    char json[512];
    bool is_missing = invoked.kind == REFUSING && invoked.last == MISSING;
    snprintf(json, sizeof json,
             "{\"FunctionName\": \"it\", \"Timeout\": %d, \"State\": \"%s\", \"StateReason\": "
             "\"%s\", \"Description\": \"Lithops " LITHOPS_VERSION ", protocol %d, it\"}",
             LIFE_S, is_missing ? "Failed" : "Active", is_missing ? "The image is missing" : "",
             lithops__relay_protocol());
    answer_json(request, "200 OK", "", json);
}

static void lambda_pass(const struct request *request)
{
    enum fault fault = request->fault;
    if (!lambda_invokes(request)) {
        lambda_look(request);
        return;
    }
    bool is_event = strcasestr(request->data, "\r\nX-Amz-Invocation-Type: Event\r\n") != NULL;
    struct activation *activation = begin(request);
    if (is_event)
        answer_json(request, "202 Accepted", "", "");
    kill_in(activation, fault, request->delay_ms);
    if (is_event)
        return;
    if (fault == CUT || fault == LOST)
        (void)invoked_stay(request->delay_ms);
    else if (await(activation))
        answer_json(request, "200 OK",
                    activation->has_failed ? "X-Amz-Function-Error: Unhandled\r\n" : "",
                    activation->how);
}

const struct platform invoked_aws_lambda = {.backend = "aws_lambda",
                                            .storage = "aws_s3",
                                            .quota = "Rate Exceeded",
                                            .answers = lambda_answers,
                                            .section = lambda_section,
                                            .start = lambda_start,
                                            .stop = lambda_stop,
                                            .invokes = lambda_invokes,
                                            .pass = lambda_pass,
                                            .most_own = 1};
