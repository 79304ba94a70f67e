/* SPDX-License-Identifier: Apache-2.0 */
/* The backend aws_lambda: each worker is an invocation of a function, whose runtime is `lithops
 * worker --lambda`; calls travel through the storage.
 *
 * Before the first worker the function is asked for: whether it is there, ready, and has this
 * engine; its own time limit is the one that counts. Then, by the key `invocation`:
 *
 *   event    the service takes the event, and runs it when it can. Nobody tells how it ended.
 *   request  the answer comes when the worker has ended, and says how; a thread waits for it, as
 *            long as the worker lives. If the connection is lost, nothing is known any more.
 *
 * `lock` guards what is known of the function; all else of a worker belongs to whoever calls for
 * it, but what is atomic. */
#include "compute/backends/aws_lambda/aws_lambda.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "compute/linked.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    READY_MS = 300000, /* for a function that is being made; in a VPC it takes minutes */
    INVOKE_MS = 120000,
    FIRST_DELAY_MS = 100,
    REFUSED_MS = 300, /* so long is waited for an answer that refuses an invocation */
    MARGIN_MS = 2000, /* the worker stops so long before its function's end */
};

struct lambda;

/* A worker whose answer is waited for. */
struct invocation {
    struct lambda *lambda;
    pthread_t thread;
    bool has_thread;
    int done_fd;      /* an event: the thread is about to end */
    atomic_bool quit; /* it is to end */
    char *payload;
    /* of the thread, until done_fd is readable */
    lithops_error err;
    atomic_bool has_ended; /* the worker has, for certain */
    atomic_bool has_answered;
    char how[512];
};

struct lambda {
    struct lithops__lambda_api api;
    struct lithops__lambda_wanted wanted;
    bool by_request;
    struct invocation *invocations;
    uint32_t count;
    pthread_mutex_t lock;
    /* under lock */
    bool is_known;
    struct lithops__lambda_function function;
};

static uint64_t from_now_ns(int64_t ms)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + (uint64_t)ms * 1000000u;
}

static bool is_readable(int fd, int wait_ms)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&look, 1, wait_ms) > 0;
}

static bool is_canceled(void *user)
{
    const int *fd = user;
    return is_readable(*fd, 0);
}

static void join(struct invocation *invocation)
{
    if (!invocation->has_thread)
        return;
    atomic_store(&invocation->quit, true);
    pthread_join(invocation->thread, NULL);
    invocation->has_thread = false;
}

static void end_invocation(struct invocation *invocation)
{
    join(invocation);
    free(invocation->payload);
    invocation->payload = NULL;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void lambda_close(void *state)
{
    struct lambda *lambda = state;
    for (uint32_t i = 0; lambda->invocations && i < lambda->count; i++)
        atomic_store(&lambda->invocations[i].quit, true);
    for (uint32_t i = 0; lambda->invocations && i < lambda->count; i++) {
        end_invocation(&lambda->invocations[i]);
        if (lambda->invocations[i].done_fd >= 0)
            close(lambda->invocations[i].done_fd);
    }
    free(lambda->invocations);
    lithops__lambda_close(&lambda->api);
    pthread_mutex_destroy(&lambda->lock);
}

static int make_invocations(struct lambda *lambda, lithops_error *err)
{
    lambda->invocations = calloc(lambda->count, sizeof *lambda->invocations);
    if (!lambda->invocations)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < lambda->count; i++)
        lambda->invocations[i] = (struct invocation){.lambda = lambda, .done_fd = -1};
    return 0;
}

static int lambda_open(void *state, const lithops_value *settings, const char *program,
                       lithops_workers *ret_workers, lithops_error *err)
{
    struct lambda *lambda = state;
    const char *way = lithops_value_get_string(lithops_value_get(settings, "invocation"));
    pthread_mutex_init(&lambda->lock, NULL);
    lambda->by_request = way && strcmp(way, "request") == 0;
    lambda->count = (uint32_t)lithops_value_get_int(lithops_value_get(settings, "max_workers"));
    int rc = lithops__lambda_want(settings, NULL, program, 0, 0, &lambda->wanted, err);
    if (rc == 0)
        rc = lithops__lambda_open(&lambda->api, settings, err);
    if (rc == 0)
        rc = make_invocations(lambda, err);
    if (rc != 0) {
        lambda_close(state);
        return rc;
    }
    ret_workers->workers = lambda->count;
    ret_workers->through_storage = true;
    ret_workers->keeps_secrets = ret_workers->keeps_all_secrets = true;
    ret_workers->worker_processes =
        (uint32_t)lithops_value_get_int(lithops_value_get(settings, "worker_processes"));
    ret_workers->idle_timeout_ms =
        (uint32_t)(1000 * lithops_value_get_double(lithops_value_get(settings, "idle_timeout")));
    ret_workers->lost_timeout_ms =
        (uint32_t)lithops_value_get_int(lithops_value_get(settings, "worker_lost_timeout")) * 1000;
    return 0;
}

static void lambda_name(void *state, uint32_t worker, char *buf, size_t size)
{
    (void)state;
    snprintf(buf, size, "lambda-%u", worker);
}

/* ---- the function ---------------------------------------------------------------------------- */

/* Who may not ask for functions invokes it, and hears what comes. */
static int know_function(struct lambda *lambda, int *cancel_fd, lithops_error *err)
{
    const struct lithops__bounds bounds = {from_now_ns(READY_MS), is_canceled, cancel_fd};
    const char *name = lambda->wanted.name;
    pthread_mutex_lock(&lambda->lock);
    int rc = 0;
    if (!lambda->is_known) {
        rc = lithops__lambda_await(&lambda->api, name, &bounds, &lambda->function, err);
        if (rc == 0)
            rc = lithops__lambda_check(&lambda->function, &lambda->wanted, err);
        else if (rc == LITHOPS_EDENIED && err->http_status == 403) {
            lithops__log(LITHOPS_LOG_DEBUG, "aws_lambda", "%s; it is invoked unseen", err->message);
            *err = (lithops_error)LITHOPS_ERROR_INIT;
            rc = 0;
        }
        lambda->is_known = rc == 0;
    }
    pthread_mutex_unlock(&lambda->lock);
    return rc;
}

static int64_t lifetime_ms(struct lambda *lambda)
{
    pthread_mutex_lock(&lambda->lock);
    int64_t s = lambda->function.timeout_s ? lambda->function.timeout_s : lambda->wanted.timeout_s;
    pthread_mutex_unlock(&lambda->lock);
    return s * 1000 > 2 * MARGIN_MS ? s * 1000 - MARGIN_MS : s * 500;
}

static char *make_payload(const char *key, const char *config, lithops_error *err)
{
    lithops_value *inside = lithops_value_from_json(config, strlen(config), err);
    lithops_value *map =
        inside ? lithops_pack("{s:s,s:i,s:s,s:o}", "version", LITHOPS_VERSION, "protocol",
                              lithops__relay_protocol(), "key", key, "config", inside)
               : NULL;
    char *text = NULL;
    if (inside)
        (void)lithops_value_to_json(map, &text, err);
    lithops_value_free(map);
    return text;
}

static void init_request(const struct lambda *lambda, char *path, size_t size,
                         struct lithops__lambda_request *ret_request)
{
    snprintf(path, size, "/2015-03-31/functions/%s/invocations", lambda->wanted.name);
    *ret_request = (struct lithops__lambda_request){.method = "POST", .path = path};
}

/* ---- event ----------------------------------------------------------------------------------- */

static int send_event(struct lambda *lambda, const char *payload, int *cancel_fd,
                      lithops_error *err)
{
    char path[256];
    struct lithops__lambda_request request;
    struct lithops__lambda_answer answer;
    init_request(lambda, path, sizeof path, &request);
    request.type = "Event";
    request.body = payload;
    request.bounds = (struct lithops__bounds){from_now_ns(INVOKE_MS), is_canceled, cancel_fd};
    int rc = lithops__lambda_do(&lambda->api, &request, &answer, err);
    if (rc != 0)
        return rc;
    if (answer.status >= 300)
        rc = lithops__lambda_fail(&answer, "cannot invoke the function", err);
    lithops__lambda_answer_deinit(&answer);
    return rc;
}

/* ---- request --------------------------------------------------------------------------------- */

static bool is_to_quit(void *user)
{
    const struct invocation *invocation = user;
    return atomic_load(&invocation->quit);
}

/* What the answer says: of the worker, or of the platform. */
static void read_ending(struct invocation *invocation, const struct lithops__lambda_answer *answer)
{
    lithops_value *map = lithops_value_from_json(answer->document, strlen(answer->document), NULL);
    const char *message = lithops_value_get_string(lithops_value_get(map, "errorMessage"));
    if (message)
        snprintf(invocation->how, sizeof invocation->how, "%.500s", message);
    else if (answer->function_error[0])
        snprintf(invocation->how, sizeof invocation->how, "the function failed: %.400s",
                 answer->document);
    lithops_value_free(map);
}

static void *await_answer(void *user)
{
    struct invocation *invocation = user;
    struct lambda *lambda = invocation->lambda;
    char path[256];
    struct lithops__lambda_request request;
    struct lithops__lambda_answer answer;
    init_request(lambda, path, sizeof path, &request);
    request.type = "RequestResponse";
    request.body = invocation->payload;
    request.stall_timeout_ms = INT_MAX;
    request.attempts = 1;
    request.bounds = (struct lithops__bounds){UINT64_MAX, is_to_quit, invocation};
    int rc = lithops__lambda_do(&lambda->api, &request, &answer, &invocation->err);
    if (rc == 0 && answer.status >= 300)
        rc = lithops__lambda_fail(&answer, "cannot invoke the function", &invocation->err);
    else if (rc == 0)
        read_ending(invocation, &answer);
    if (rc == 0)
        lithops__lambda_answer_deinit(&answer);
    atomic_store(&invocation->has_answered, true);
    /* A connection that was lost says nothing of the worker. */
    atomic_store(&invocation->has_ended, rc == 0 || invocation->err.http_status != 0);
    (void)eventfd_write(invocation->done_fd, 1);
    return NULL;
}

/* Start the thread that makes the request. One that is refused is refused soon: the caller hears of
 * it, and may try again. */
static int send_once(struct invocation *invocation, int cancel_fd, lithops_error *err)
{
    eventfd_t ignored;
    (void)eventfd_read(invocation->done_fd, &ignored);
    atomic_store(&invocation->quit, false);
    atomic_store(&invocation->has_ended, false);
    atomic_store(&invocation->has_answered, false);
    invocation->err = (lithops_error)LITHOPS_ERROR_INIT;
    invocation->how[0] = '\0';
    int failed = lithops__thread_start(&invocation->thread, await_answer, invocation);
    if (failed) {
        lithops__fail_errno(err, failed, "cannot wait for a worker");
        err->retryable = true;
        return err->code;
    }
    invocation->has_thread = true;
    struct pollfd fds[] = {{.fd = invocation->done_fd, .events = POLLIN},
                           {.fd = cancel_fd, .events = POLLIN}};
    if (poll(fds, 2, REFUSED_MS) <= 0)
        return 0; /* it runs */
    bool has_answered = fds[0].revents != 0;
    join(invocation);
    if (!has_answered)
        return lithops__fail(err, LITHOPS_ECANCELED, "the start of a worker was cancelled");
    if (invocation->err.code) /* else it has ended already */
        *err = invocation->err;
    return invocation->err.code;
}

static int send_request(struct invocation *invocation, char *payload, int *cancel_fd,
                        lithops_error *err)
{
    struct lithops__retry retry = {
        .attempts = UINT_MAX,
        .first_delay_ms = FIRST_DELAY_MS,
        .bounds = {from_now_ns(INVOKE_MS), is_canceled, cancel_fd},
    };
    lithops_error error;
    int rc;
    if (invocation->done_fd < 0)
        invocation->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (invocation->done_fd < 0) {
        free(payload);
        return lithops__fail_errno(err, errno, "cannot wait for a worker");
    }
    end_invocation(invocation); /* the one before */
    invocation->payload = payload;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        rc = send_once(invocation, *cancel_fd, &error);
    } while (rc != 0 && lithops__retry_again(&retry, &error, 0));
    if (rc == 0)
        return 0;
    end_invocation(invocation);
    *err = error;
    return error.code;
}

/* ---- links ----------------------------------------------------------------------------------- */

static int lambda_invoke(void *state, uint32_t worker, const char *key, const char *config,
                         int cancel_fd, lithops_link *ret_link, lithops_error *err)
{
    struct lambda *lambda = state;
    int rc = know_function(lambda, &cancel_fd, err);
    if (rc != 0)
        return rc;
    char *payload = make_payload(key, config, err);
    if (!payload)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (lambda->by_request) {
        rc = send_request(&lambda->invocations[worker], payload, &cancel_fd, err);
    } else {
        rc = send_event(lambda, payload, &cancel_fd, err);
        free(payload);
    }
    *ret_link = (lithops_link){
        .read_fd = -1, .write_fd = -1, .id = worker, .time_left_ms = lifetime_ms(lambda)};
    return rc;
}

static bool lambda_has_ended(void *state, const lithops_link *link)
{
    const struct lambda *lambda = state;
    return lambda->by_request && atomic_load(&lambda->invocations[link->id].has_ended);
}

static void lambda_abandon(void *state, const lithops_link *link)
{
    struct lambda *lambda = state;
    atomic_store(&lambda->invocations[link->id].quit, true);
}

/* The thread is not waited for: it ends within a tenth of a second, and many may do so at a time.
 */
static void lambda_disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    struct lambda *lambda = state;
    struct invocation *invocation = &lambda->invocations[link->id];
    bool knows = atomic_load(&invocation->has_answered);
    atomic_store(&invocation->quit, true);
    snprintf(ret_how, size, "%s",
             !knows                 ? ""
             : invocation->err.code ? invocation->err.message
                                    : invocation->how);
}

static const lithops_link_ops link_ops = {
    .open = lambda_open,
    .close = lambda_close,
    .name = lambda_name,
    .invoke = lambda_invoke,
    .has_ended = lambda_has_ended,
    .abandon = lambda_abandon,
    .disconnect = lambda_disconnect,
};

static const lithops_link_driver link_driver = {
    .abi = LITHOPS_COMPUTE_ABI,
    .name = "aws_lambda",
    .is_elsewhere = true,
    .state_size = sizeof(struct lambda),
    .ops = &link_ops,
};

/* ---- the compute backend --------------------------------------------------------------------- */

static int capacity(const struct lithops__config *config, struct lithops__capacity *ret_capacity,
                    lithops_error *err)
{
    (void)err;
    lithops__linked_capacity(config, "aws_lambda", "aws_lambda.shared_memory",
                             (uint32_t)lithops__config_int(config, "aws_lambda", "max_workers"),
                             ret_capacity);
    return 0;
}

/* Workers get no secret, so they must reach the storage by their role. */
static int check_storage(const struct lithops__config *config, lithops_error *err)
{
    const char *storage = lithops__config_string(config, "lithops", "storage");
    if (storage && strcmp(storage, "aws_s3") == 0)
        return 0;
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "functions of aws_lambda reach the storage by their role, and get no "
                         "secrets: the storage must be aws_s3, not %s",
                         storage ? storage : "?");
}

static int open_links(void *state, struct lithops__table *table,
                      const struct lithops__config *config, const char *const *worker_command,
                      lithops_error *err)
{
    int rc = check_storage(config, err);
    return rc ? rc : lithops__linked_open(state, &link_driver, table, config, worker_command, err);
}

static int probe(const struct lithops__config *config, bool start, lithops__probe_say say,
                 void *user, lithops_error *err)
{
    const struct lithops__bounds bounds = {from_now_ns(INVOKE_MS), NULL, NULL};
    struct lithops__lambda_api api = {.credentials = NULL};
    struct lithops__lambda_wanted wanted;
    struct lithops__lambda_function function;
    lithops_value *settings = lithops__linked_settings(config, "aws_lambda");
    (void)start; /* a worker that is started would be paid for */
    int rc = settings ? lithops__lambda_want(settings, NULL, NULL, 0, 0, &wanted, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = lithops__lambda_open(&api, settings, err);
    if (rc == 0)
        rc = lithops__lambda_look(&api, wanted.name, &bounds, &function, err);
    if (rc == 0)
        rc = lithops__lambda_check(&function, &wanted, err);
    char text[128];
    if (rc == 0) {
        snprintf(text, sizeof text, "Lithops %s, %lld MB, up to %lld s at a time", function.engine,
                 (long long)wanted.memory_mb, (long long)function.timeout_s);
        say(user, wanted.name, true, text);
    }
    lithops__lambda_close(&api);
    lithops_value_free(settings);
    return rc;
}

static const struct lithops__compute_ops lambda_ops = {
    .capacity = capacity,
    .open = open_links,
    .close = lithops__linked_close,
    .offered = lithops__linked_offered,
    .cancel = lithops__linked_cancel,
    .probe = probe,
};

const struct lithops__compute_driver lithops__compute_aws_lambda = {
    .name = "aws_lambda",
    .mode = "serverless",
    .summary = "Functions of AWS Lambda, reached through the storage.",
    .is_elsewhere = true,
    .untested = true,
    .state_size = sizeof(struct lithops__linked),
    .ops = &lambda_ops,
    .runtimes = &lithops__lambda_runtimes,
};
