/* SPDX-License-Identifier: Apache-2.0 */
/* The loop over the Runtime API of AWS Lambda: next, then response or error, and again.
 *
 * The function is frozen between events: `next` waits without a limit, and clocks may have jumped
 * when it returns. An event has a deadline, at which the platform kills everything. The child is
 * told to end some time before, when it can still say so to its client, and killed later. */
#include "agent/lambda.h"

#include "agent/runtime_api.h"
#include "agent/through.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/retry.h"
#include "wire/message.h"

#include <lithops/lithops.h>

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
    TRIES = 5,
    STOP_MS = 2000, /* before the deadline: it is told to end; */
    KILL_MS = 500,  /* it is killed, or after three quarters of what is left then */
    END_MS = 2000,  /* that it may take to end, where nothing else limits it */
    ID_SIZE = 128,
    PYTHONS = 256,
    HOW_BYTES = 512,
};

struct lambda {
    struct lithops__runtime_api *api;
    const char *program;
    int stop_fd;
    struct lithops__standby standby; /* for the next event */
    char id[ID_SIZE];                /* of the event */
    int64_t deadline_ms;             /* since 1970; 0: none */
};

/* What becomes of an event. */
struct ending {
    const char *type; /* of the error; NULL: none */
    char text[768];   /* JSON, where there is no error */
};

/* ---- the API --------------------------------------------------------------------------------- */

static bool is_stopped(void *user)
{
    const struct lambda *lambda = user;
    struct pollfd look = {.fd = lambda->stop_fd, .events = POLLIN};
    return lambda->stop_fd >= 0 && poll(&look, 1, 0) > 0;
}

/* Until an event comes, or the function is frozen, a worker gets ready for it. Where that fails the
 * event is told why. */
static void prepare_worker(void *user)
{
    struct lambda *lambda = user;
    (void)lithops__through_prepare(&lambda->standby, lambda->program, false, NULL);
}

/* @param header  one more header, or NULL */
static int ask(struct lambda *lambda, const char *method, const char *way, const char *header,
               lithops_bytes body, lithops_error *err)
{
    char path[ID_SIZE + 64];
    struct lithops__retry retry = {
        .attempts = TRIES, .first_delay_ms = 20, .bounds = {UINT64_MAX, is_stopped, lambda}};
    const struct lithops__runtime_request request = {
        .method = method,
        .path = path,
        .header = header,
        .has_body = body.ptr != NULL,
        .body = body,
        .meanwhile = strcmp(way, "next") == 0 ? prepare_worker : NULL,
        .user = lambda};
    snprintf(path, sizeof path, "/2018-06-01/runtime/invocation/%s", way);
    lithops_error error;
    int rc;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        rc = lithops__runtime_api_ask(lambda->api, &request, &error);
        long status = rc == 0 ? lithops__runtime_api_status(lambda->api) : 0;
        if (rc == 0 && status >= 300) {
            rc = lithops__fail(&error, LITHOPS_EBACKEND,
                               "the runtime API of Lambda answers %s with status %ld: %.200s", way,
                               status, (const char *)lithops__runtime_api_body(lambda->api).ptr);
            error.retryable = status >= 500;
        }
    } while (rc && lithops__retry_again(&retry, &error, 0));
    if (rc && err)
        *err = error;
    return rc ? error.code : 0;
}

static int next_event(struct lambda *lambda, lithops_error *err)
{
    int rc = ask(lambda, "GET", "next", NULL, (lithops_bytes){NULL, 0}, err);
    if (rc != 0)
        return rc;
    const char *id = lithops__runtime_api_header(lambda->api, "Lambda-Runtime-Aws-Request-Id");
    if (!id || !*id || strlen(id) >= sizeof lambda->id ||
        strspn(id, "0123456789abcdefABCDEF-") != strlen(id))
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "the runtime API of Lambda gives an event without an id");
    snprintf(lambda->id, sizeof lambda->id, "%s", id);
    const char *deadline = lithops__runtime_api_header(lambda->api, "Lambda-Runtime-Deadline-Ms");
    lambda->deadline_ms = deadline ? strtoll(deadline, NULL, 10) : 0;
    const char *trace = lithops__runtime_api_header(lambda->api, "Lambda-Runtime-Trace-Id");
    if (trace)
        setenv("_X_AMZN_TRACE_ID", trace, 1);
    else
        unsetenv("_X_AMZN_TRACE_ID");
    return 0;
}

static int answer(struct lambda *lambda, const struct ending *ending, lithops_error *err)
{
    char path[ID_SIZE + 16], header[128], *text = NULL;
    lithops_bytes body = {ending->text, strlen(ending->text)};
    snprintf(path, sizeof path, "%s/%s", lambda->id, ending->type ? "error" : "response");
    snprintf(header, sizeof header, "Lambda-Runtime-Function-Error-Type: %s",
             ending->type ? ending->type : "");
    if (ending->type) {
        lithops_value *map = lithops_pack("{s:s,s:s,s:[]}", "errorMessage", ending->text,
                                          "errorType", ending->type, "stackTrace");
        int rc = lithops_value_to_json(map, &text, err);
        lithops_value_free(map);
        if (rc != 0)
            return rc;
        body = (lithops_bytes){text, strlen(text)};
    }
    int rc = ask(lambda, "POST", path, ending->type ? header : NULL, body, err);
    free(text);
    return rc;
}

/* ---- the child ------------------------------------------------------------------------------- */

static int64_t time_left_ms(const struct lambda *lambda)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return lambda->deadline_ms - (int64_t)now.tv_sec * 1000 - now.tv_nsec / 1000000;
}

/* Milliseconds until the child is told to end, and until it is killed; -1: never. Of a short time
 * only a part is kept back. */
static int64_t keep_back(int64_t left_ms, int64_t most_ms)
{
    return left_ms - (left_ms / 10 < most_ms ? left_ms / 10 : most_ms);
}

static bool await(const struct lambda *lambda, struct lithops__watch *watch, int64_t wait_ms,
                  bool heed)
{
    uint64_t end_ns = wait_ms < 0 ? UINT64_MAX : lithops__now_ns() + (uint64_t)wait_ms * 1000000;
    for (;;) {
        uint64_t now = lithops__now_ns();
        uint64_t left_ms = end_ns == UINT64_MAX ? 1000
                           : now >= end_ns      ? 0
                                                : (end_ns - now) / 1000000 + 1;
        struct pollfd fds[] = {{.fd = watch->fd, .events = POLLIN},
                               {.fd = heed ? lambda->stop_fd : -1, .events = POLLIN}};
        int n = poll(fds, 2, (int)(left_ms < 1000 ? left_ms : 1000));
        if (lithops__watch_is_over(watch, n > 0 ? fds[0].revents : 0) ||
            lithops__watch_has_ended(watch))
            return true;
        if ((n > 0 && fds[1].revents) || lithops__now_ns() >= end_ns)
            return false;
    }
}

static void tell(struct lithops__child *child, bool in_time, struct ending *ret_ending)
{
    static const char good[] = "it ended with exit status 0";
    char how[HOW_BYTES] = "";
    lithops__through_end(child, how, sizeof how);
    if (in_time && strcmp(how, good) == 0) {
        snprintf(ret_ending->text, sizeof ret_ending->text, "{\"ended\": \"%s\"}", how);
        return;
    }
    ret_ending->type = in_time ? "Lithops.WorkerEnded" : "Lithops.TimedOut";
    snprintf(ret_ending->text, sizeof ret_ending->text, "%s%s", how,
             in_time ? strstr(how, "signal 9") ? ", as happens when memory runs out" : ""
                     : ", as the time limit of the function was near: raise runtime_timeout, or "
                       "make calls shorter");
}

static int run_worker(struct lambda *lambda, const char *key, const char *config,
                      struct ending *ret_ending, lithops_error *err)
{
    struct lithops__child child;
    int64_t left_ms = lambda->deadline_ms ? time_left_ms(lambda) : -1;
    if (lambda->deadline_ms && left_ms < 0)
        left_ms = 0;
    int rc =
        lithops__through_start(&lambda->standby, lambda->program, false, key, config, &child, err);
    if (rc != 0)
        return rc;
    bool ended = await(lambda, &child.watch, left_ms < 0 ? -1 : keep_back(left_ms, STOP_MS), true);
    bool in_time = ended || is_stopped((void *)(uintptr_t)lambda);
    if (!ended) {
        int64_t rest_ms = left_ms < 0 ? END_MS : time_left_ms(lambda);
        lithops__watch_signal(&child.watch, SIGINT);
        int64_t last_ms = rest_ms / 4 < KILL_MS ? rest_ms / 4 : KILL_MS;
        ended = await(lambda, &child.watch, rest_ms > 0 ? rest_ms - last_ms : 0, false);
    }
    if (!ended)
        lithops__watch_signal(&child.watch, SIGKILL);
    tell(&child, in_time, ret_ending);
    return 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* The Pythons on PATH, as "3.11, 3.12". */
static void list_pythons(char *buf, size_t size)
{
    const char *path = getenv("PATH");
    size_t used = 0;
    buf[0] = '\0';
    for (int minor = 8; minor < 30; minor++)
        for (const char *at = path ? path : ""; *at; at += strcspn(at, ":"), at += *at == ':') {
            char name[PATH_MAX];
            snprintf(name, sizeof name, "%.*s/python3.%d", (int)strcspn(at, ":"), at, minor);
            if (access(name, X_OK) != 0 || used + 8 >= size)
                continue;
            used += (size_t)snprintf(buf + used, size - used, "%s3.%d", used ? ", " : "", minor);
            break;
        }
}

static int describe(struct ending *ret_ending, lithops_error *err)
{
    char pythons[PYTHONS], *text = NULL;
    struct utsname system = {.machine = ""};
    uname(&system);
    list_pythons(pythons, sizeof pythons);
    lithops_value *map =
        lithops_pack("{s:s,s:i,s:s,s:s}", "version", LITHOPS_VERSION, "protocol",
                     LITHOPS__WIRE_PROTOCOL, "machine", system.machine, "pythons", pythons);
    int rc = lithops_value_to_json(map, &text, err);
    lithops_value_free(map);
    if (rc == 0)
        snprintf(ret_ending->text, sizeof ret_ending->text, "%s", text);
    free(text);
    return rc;
}

static int refuse(struct ending *ret_ending, const char *type, const char *text)
{
    ret_ending->type = type;
    snprintf(ret_ending->text, sizeof ret_ending->text, "%s", text);
    return 0;
}

static int serve_event(struct lambda *lambda, const lithops_value *event, struct ending *ret_ending,
                       lithops_error *err)
{
    const char *version = lithops_value_get_string(lithops_value_get(event, "version"));
    const char *key = lithops_value_get_string(lithops_value_get(event, "key"));
    const lithops_value *config = lithops_value_get(event, "config");
    int64_t protocol = lithops_value_get_int(lithops_value_get(event, "protocol"));
    char text[256], *json = NULL;
    if (lithops_value_get_bool(lithops_value_get(event, "describe")))
        return describe(ret_ending, err);
    if (!version || !key || lithops_value_type(config) != LITHOPS_MAP)
        return refuse(ret_ending, "Lithops.BadEvent",
                      "this function runs calls for the compute backend aws_lambda of Lithops, "
                      "which alone makes its events");
    if (strcmp(version, LITHOPS_VERSION) != 0 || protocol != LITHOPS__WIRE_PROTOCOL) {
        snprintf(text, sizeof text,
                 "this function has Lithops " LITHOPS_VERSION
                 " (protocol %d), its client has %.32s "
                 "(protocol %lld): run 'lithops runtime update'",
                 LITHOPS__WIRE_PROTOCOL, version, (long long)protocol);
        return refuse(ret_ending, "Lithops.VersionMismatch", text);
    }
    int rc = lithops_value_to_json(config, &json, err);
    if (rc == 0)
        rc = run_worker(lambda, key, json, ret_ending, err);
    free(json);
    return rc;
}

static int serve_one(struct lambda *lambda, lithops_error *err)
{
    struct ending ending = {.type = NULL, .text = ""};
    lithops_error wrong = LITHOPS_ERROR_INIT;
    int rc = next_event(lambda, err);
    if (rc != 0)
        return rc;
    lithops_bytes text = lithops__runtime_api_body(lambda->api);
    lithops_value *event = lithops_value_from_json(text.ptr, text.len, &wrong);
    rc = event ? serve_event(lambda, event, &ending, &wrong) : wrong.code;
    lithops_value_free(event);
    if (rc != 0)
        refuse(&ending, "Lithops.Failed", wrong.message);
    if (ending.type)
        lithops__log(LITHOPS_LOG_WARNING, "lambda", "%s", ending.text);
    rc = answer(lambda, &ending, err);
    return rc == 0 && is_stopped(lambda)
               ? lithops__fail(err, LITHOPS_ECANCELED, "the function was told to end")
               : rc;
}

/* Only /tmp can be written there, and is what a home must be. */
static void find_home(void)
{
    const char *home = getenv("HOME");
    if (!home || !*home || access(home, W_OK) != 0)
        setenv("HOME", "/tmp", 1);
}

int lithops__lambda_serve(const char *api, const char *program, int stop_fd, lithops_error *err)
{
    struct lambda lambda = {
        .program = program, .stop_fd = stop_fd, .standby = LITHOPS__STANDBY_NONE};
    find_home();
    int rc = lithops__runtime_api_open(api, stop_fd, &lambda.api, err);
    while (rc == 0)
        rc = serve_one(&lambda, err);
    lithops__through_drop(&lambda.standby);
    lithops__runtime_api_close(lambda.api);
    return rc;
}
