/* SPDX-License-Identifier: Apache-2.0 */
/* The backend aws_lambda: each worker is an invocation of a function, whose runtime is `lithops
 * worker --lambda`; calls travel through the storage.
 *
 * Before the first worker the function is asked for: whether it is there, ready, and has this
 * engine; its own time limit is the one that counts. Then, by the key `invocation`:
 *
 *   event    the service takes the event, and runs it when it can. Nobody tells how it ended.
 *   request  the answer comes when the worker has ended, and says how. If the connection is lost,
 *            nothing is known any more.
 *
 * Invocations are posts (net/posts.h): one thread has them all. What is refused for now is asked
 * for again. One that was taken though its answer was lost is a second worker for its link, which
 * gets no calls (carrier/worker.c), so nothing runs twice.
 *
 * `lock` guards what is known of the function; all else of a worker belongs to whoever calls for
 * it. */
#include "compute/backends/aws_lambda/aws_lambda.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "compute/linked.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    READY_MS = 300000, /* for a function that is being made; in a VPC it takes minutes */
    PROBE_MS = 120000,
    FIRST_DELAY_MS = 100,
    REFUSED_MS = 1000, /* so long is waited for an answer that refuses an invocation */
    MARGIN_MS = 2000,  /* the worker stops so long before its function's end */
};

struct lambda {
    struct lithops__aws_api api;
    struct lithops__lambda_wanted wanted;
    struct lithops__posts *posts;
    bool by_request;
    int64_t start_ms;               /* that an invocation may take */
    struct lithops__post **workers; /* by number; NULL: nothing is waited for */
    uint32_t count;
    pthread_mutex_t lock;
    /* under lock */
    bool is_known;
    struct lithops__lambda_function function;
};

static uint64_t from_now_ns(int64_t ms)
{
    return lithops__now_ns() + (uint64_t)ms * 1000000u;
}

static bool is_canceled(void *user)
{
    struct pollfd look = {.fd = *(const int *)user, .events = POLLIN};
    return look.fd >= 0 && poll(&look, 1, 0) > 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void lambda_close(void *state)
{
    struct lambda *lambda = state;
    if (lambda->posts)
        lambda->api.post->close(lambda->posts);
    free(lambda->workers);
    lithops__aws_close(&lambda->api);
    pthread_mutex_destroy(&lambda->lock);
}

static int lambda_open(const lithops_link_driver *driver, void *state,
                       const lithops_value *settings, const char *program,
                       lithops_workers *ret_workers, lithops_error *err)
{
    (void)driver;
    struct lambda *lambda = state;
    const char *way = lithops_value_get_string(lithops_value_get(settings, "invocation"));
    pthread_mutex_init(&lambda->lock, NULL);
    lambda->by_request = way && strcmp(way, "request") == 0;
    lambda->start_ms = 1000 * lithops_value_get_int(lithops_value_get(settings, "start_timeout"));
    lambda->count = (uint32_t)lithops_value_get_int(lithops_value_get(settings, "max_workers"));
    int rc = lithops__lambda_want(settings, NULL, program, 0, 0, &lambda->wanted, err);
    if (rc == 0)
        rc = lithops__aws_open(&lambda->api, &lithops__lambda_service, settings, err);
    if (rc == 0)
        rc = lambda->api.post->open(&lambda->posts, err);
    if (rc == 0 && !(lambda->workers = calloc(lambda->count, sizeof(struct lithops__post *))))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc != 0) {
        lambda_close(state);
        return rc;
    }
    ret_workers->workers = lambda->count;
    ret_workers->through_storage = true;
    ret_workers->keeps_secrets = true;
    ret_workers->ends_when_told = true;
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
    char *text = NULL;
    lithops_value *given = NULL;
    if (lithops__linked_public_config(config, &given, err) != 0)
        return NULL;
    lithops_value *map = lithops_pack("{s:s,s:i,s:s,s:o}", "version", LITHOPS_VERSION, "protocol",
                                      lithops__relay_protocol(), "key", key, "config", given);
    if (!map || lithops_value_to_json(map, &text, NULL) != 0)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(map);
    return text;
}

/* ---- invocations ----------------------------------------------------------------------------- */

/* An attempt. By request, one that is not refused soon runs.
 * @param ret_post  what is still waited for, or NULL
 * @param ret_asked_ms  the pause that the service asks for; 0: none */
static int try_once(struct lambda *lambda, const struct lithops__aws_request *request,
                    int cancel_fd, struct lithops__post **ret_post, unsigned *ret_asked_ms,
                    lithops_error *err)
{
    struct lithops__post *post;
    struct lithops__post_state state;
    struct lithops__credentials used = {.expires = 0};
    int rc = lithops__aws_begin(&lambda->api, lambda->posts, request, &used, &post, err);
    if (rc != 0) {
        lithops__credentials_deinit(&used);
        return rc;
    }
    uint64_t soon_ns = from_now_ns(REFUSED_MS); /* it may have taken a while to sign it */
    bool is_short = lambda->by_request && soon_ns < request->bounds.deadline_ns;
    rc = lambda->api.post->await(post, cancel_fd, is_short ? soon_ns : request->bounds.deadline_ns,
                                 err);
    bool runs = is_short && rc == LITHOPS_ETIMEDOUT;
    if (rc == 0) {
        lambda->api.post->look(post, &state);
        *ret_asked_ms = state.retry_after_s > 0 && state.retry_after_s <= 60
                            ? 1000 * (unsigned)state.retry_after_s
                            : 0;
        rc = lithops__aws_judge(&lambda->api, &state, &used, err);
        if (rc == 0 && !lambda->by_request && state.status != 202)
            rc = lithops__fail(err, LITHOPS_EBACKEND,
                               "cannot invoke the function: something answers there that is not "
                               "the API of Lambda");
        runs = rc == 0 && lambda->by_request; /* the rest of its answer is to come */
    }
    lithops__credentials_deinit(&used);
    *ret_post = runs ? post : NULL;
    if (runs)
        return 0;
    lambda->api.post->end(post);
    return rc;
}

static int send_invocation(struct lambda *lambda, uint32_t worker, const char *payload,
                           int *cancel_fd, lithops_error *err)
{
    char path[256];
    snprintf(path, sizeof path, "/2015-03-31/functions/%s/invocations", lambda->wanted.name);
    const struct lithops__aws_request request = {
        .method = "POST",
        .path = path,
        .type = lambda->by_request ? "RequestResponse" : "Event",
        .body = payload,
        .bounds = {from_now_ns(lambda->start_ms), is_canceled, cancel_fd}};
    struct lithops__retry retry = {
        .attempts = UINT_MAX, .first_delay_ms = FIRST_DELAY_MS, .bounds = request.bounds};
    lithops_error error, refusal = LITHOPS_ERROR_INIT;
    unsigned asked_ms;
    int rc;
    do {
        error = (lithops_error)LITHOPS_ERROR_INIT;
        asked_ms = 0;
        rc = try_once(lambda, &request, *cancel_fd, &lambda->workers[worker], &asked_ms, &error);
        if (rc != 0 && error.retryable)
            lithops__log(LITHOPS_LOG_DEBUG, "aws_lambda", "worker %u: %s", worker, error.message);
        if (rc == LITHOPS_ETIMEDOUT && refusal.code) /* it says more */
            error = refusal;
        else
            refusal = error;
    } while (rc != 0 && lithops__retry_again(&retry, &error, asked_ms));
    if (rc == 0)
        return 0;
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
        return err->code;
    rc = send_invocation(lambda, worker, payload, &cancel_fd, err);
    free(payload);
    int64_t left_ms = lifetime_ms(lambda);
    if (lambda->by_request && left_ms > 2 * REFUSED_MS)
        left_ms -= REFUSED_MS; /* it has run while a refusal was waited for */
    *ret_link =
        (lithops_link){.read_fd = -1, .write_fd = -1, .id = worker, .time_left_ms = left_ms};
    return rc;
}

/* A connection that was lost says nothing of the worker. */
static bool lambda_has_ended(void *state, const lithops_link *link)
{
    const struct lambda *lambda = state;
    struct lithops__post *post = lambda->workers[link->id];
    struct lithops__post_state now;
    if (!post || !lambda->api.post->is_over(post))
        return false;
    lambda->api.post->look(post, &now);
    return now.is_answered && now.failure.code == 0;
}

/* What the answer says: of the worker, of the platform, or of a late refusal. */
static void read_ending(struct lambda *lambda, const struct lithops__post_state *state,
                        char *ret_how, size_t size)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *map = lithops_value_from_json(state->text, strlen(state->text), NULL);
    const char *message = lithops_value_get_string(lithops_value_get(map, "errorMessage"));
    if (state->failure.code)
        snprintf(ret_how, size, "the answer was lost: %s", state->failure.message);
    else if (lithops__aws_judge(&lambda->api, state, NULL, &err) != 0)
        snprintf(ret_how, size, "%s", err.message);
    else if (message)
        snprintf(ret_how, size, "%s", message);
    else if (!lithops_value_get(map, "ended"))
        snprintf(ret_how, size, "the function answers '%.300s'", state->text);
    lithops_value_free(map);
}

static void lambda_disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    struct lambda *lambda = state;
    struct lithops__post *post = lambda->workers[link->id];
    struct lithops__post_state now;
    ret_how[0] = '\0';
    if (!post)
        return;
    lambda->api.post->look(post, &now);
    if (now.is_over)
        read_ending(lambda, &now, ret_how, size);
    lambda->api.post->end(post);
    lambda->workers[link->id] = NULL;
}

static const lithops_link_ops link_ops = {
    .open = lambda_open,
    .close = lambda_close,
    .name = lambda_name,
    .invoke = lambda_invoke,
    .has_ended = lambda_has_ended,
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

static int probe(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 bool start, lithops__probe_say say, void *user, lithops_error *err)
{
    (void)driver;
    const struct lithops__bounds bounds = {from_now_ns(PROBE_MS), NULL, NULL};
    struct lithops__aws_api api = {.credentials = NULL};
    struct lithops__lambda_wanted wanted;
    struct lithops__lambda_function function;
    lithops_value *settings = lithops__linked_settings(config, "aws_lambda");
    (void)start; /* a worker that is started would be paid for */
    int rc = settings ? lithops__lambda_want(settings, NULL, NULL, 0, 0, &wanted, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = lithops__aws_open(&api, &lithops__lambda_service, settings, err);
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
    lithops__aws_close(&api);
    lithops_value_free(settings);
    return rc;
}

static const struct lithops__compute_ops lambda_ops = {
    LITHOPS__LINKED_SLOTS,
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
    .links = &link_driver,
    .workers_key = "max_workers",
    .check = lithops__linked_check_role,
    .runtimes = &lithops__lambda_runtimes,
};
