/* SPDX-License-Identifier: Apache-2.0 */
/* An inbox is a queue, named by a hash of the inbox's name, so that any sender knows it. One
 * request waits for messages; up to 16 others are under way, which send notices and delete what has
 * been taken. Their thread is that of net/posts.h, whose event says that one of them is over, so
 * nothing here waits but connecting and disconnecting.
 *
 * Whether the server is there is told by the request that waits, alone: it is made again after an
 * error that may pass, and the third such error in a row is a failure, as is any other. A new queue
 * may not be found for a second. A notice that cannot be sent is lost, which is no failure: its
 * reader may not be there yet, or any more. */
#include "broker/queue.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/module.h"
#include "ipc/area.h"
#include "net/http.h"
#include "net/sign.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PREFIX "lithops-jobs-"
enum {
    HASH_DIGITS = 40,
    ANSWER_MAX = 16 << 20,
    TRIES = 3,
    FIND_TRIES = 5,
    BEAT_MS = 1000,
    TURN_MS = 100
};
/* FORGETs leave room for notices. */
enum { FORGETS = LITHOPS__QUEUE_FLIGHTS / 2 };
static const uint64_t flight_ns = 10000000000, spare_ns = 15000000000, flush_ns = 1000000000,
                      drop_ns = 5000000000, clean_ns = 60000000000;
/* Between two looks at a service that does not wait. */
static const uint64_t shortest_ns = 20000000, longest_ns = 1000000000;

static int fail_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a request to a broker");
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool name_of(const struct lithops__queue *queue, const char *inbox,
                    char ret_name[LITHOPS__QUEUE_NAME])
{
    char hex[LITHOPS__HEX_HASH];
    if (lithops__hex_sha256(queue->crypto, (lithops_bytes){inbox, strlen(inbox)}, hex) != 0)
        return false;
    snprintf(ret_name, LITHOPS__QUEUE_NAME, PREFIX "%.*s", HASH_DIGITS, hex);
    return true;
}

static bool is_ours(const char *name)
{
    const size_t prefix = sizeof PREFIX - 1;
    return strlen(name) == prefix + HASH_DIGITS && strncmp(name, PREFIX, prefix) == 0 &&
           strspn(name + prefix, "0123456789abcdef") == HASH_DIGITS;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static const char *const doing[] = {
    [LITHOPS__QUEUE_MAKE] = "create",
    [LITHOPS__QUEUE_FIND] = "find",
    [LITHOPS__QUEUE_MAKE_MORE] = "create a subscription of",
    [LITHOPS__QUEUE_RECEIVE] = "receive from",
    [LITHOPS__QUEUE_SEND] = "send to",
    [LITHOPS__QUEUE_FORGET] = "delete messages of",
    [LITHOPS__QUEUE_DROP_MORE] = "delete the subscription of",
    [LITHOPS__QUEUE_DROP] = "delete",
    [LITHOPS__QUEUE_LIST] = "list queues like",
};

static struct lithops__web_code meaning_of(const struct lithops__queue *queue, const char *code,
                                           long status)
{
    for (const struct lithops__web_code *row = queue->service->codes; row->code; row++)
        if (strcmp(row->code, code) == 0)
            return *row;
    return (struct lithops__web_code){.means = status == 404   ? LITHOPS_ENOTFOUND
                                               : status == 401 ? LITHOPS_EDENIED
                                               : status == 403 ? LITHOPS_EDENIED
                                               : status == 429 ? LITHOPS_ETHROTTLED
                                                               : LITHOPS_EBACKEND,
                                      .passes = status == 429 || status >= 500};
}

static int fail_status(struct lithops__queue *queue, enum lithops__queue_step step,
                       const struct lithops__post_state *state, lithops_error *err)
{
    const struct lithops__queue_service *service = queue->service;
    char code[LITHOPS__QUEUE_CODE] = "";
    service->explain(state->header, state->text, code);
    struct lithops__web_code meaning = meaning_of(queue, code, state->status);
    bool is_denied = meaning.means == LITHOPS_EDENIED, lacks = is_denied && !meaning.advice;
    queue->is_renewed = is_denied && service->renew(queue->state, code, state->header);
    meaning.passes |= queue->is_renewed;
    lithops__fail(err, meaning.means, "%s: cannot %s '%s' at %s: %s%s(HTTP %ld)%s%s%s",
                  service->name, doing[step], queue->name, service->where(queue->state), code,
                  *code ? " " : "", state->status, meaning.advice ? meaning.advice : "",
                  lacks ? "; it needs the permission " : "", lacks ? service->needs[step] : "");
    err->http_status = (int)state->status;
    err->retryable = meaning.passes;
    return meaning.means;
}

static int fail_connection(const struct lithops__queue *queue, enum lithops__queue_step step,
                           const char *message, lithops_error *err)
{
    int rc =
        lithops__fail(err, LITHOPS_EBACKEND, "%s: cannot %s '%s' at %s: %s", queue->service->name,
                      doing[step], queue->name, queue->service->where(queue->state), message);
    err->retryable = true;
    return rc;
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool has_answer(enum lithops__queue_step step)
{
    return step == LITHOPS__QUEUE_MAKE || step == LITHOPS__QUEUE_FIND ||
           step == LITHOPS__QUEUE_RECEIVE || step == LITHOPS__QUEUE_LIST;
}

static void note_change(void *user)
{
    (void)eventfd_write(((const struct lithops__queue *)user)->event_fd, 1);
}

static int open_posts(struct lithops__queue *queue, lithops_error *err)
{
    queue->event_fd = lithops__high_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (queue->event_fd < 0)
        return lithops__fail_errno(err, errno, "cannot wait for answers");
    int rc = queue->api->open(&queue->posts, err);
    if (rc != 0)
        close(queue->event_fd);
    return rc;
}

static void close_posts(struct lithops__queue *queue)
{
    if (!queue->posts)
        return;
    queue->api->close(queue->posts);
    queue->posts = NULL;
    close(queue->event_fd);
}

static int begin(struct lithops__queue *queue, const struct lithops__queue_question *question,
                 const struct lithops__bounds *bounds, struct lithops__queue_flight *ret_flight,
                 lithops_error *err)
{
    struct lithops__queue_request out = {.body = LITHOPS__BUFFER_INIT};
    struct lithops__post *post = NULL;
    int rc = queue->service->ask(queue->state, question, bounds, &out, err);
    if (rc == 0 && out.body.failed)
        rc = fail_memory(err);
    if (rc == 0) {
        out.web.headers[out.web.count] = NULL;
        const struct lithops__post_request request = {
            .method = out.web.method,
            .url = out.web.url,
            .headers = out.web.headers,
            .body = {out.body.data, out.body.len},
            .wanted = queue->service->wanted,
            .is_urgent = true,
            .changed = note_change,
            .user = queue,
            .most = has_answer(question->step) ? ANSWER_MAX : 0};
        rc = queue->api->begin(queue->posts, &request, &post, err);
    }
    lithops__web_request_deinit(&out.web);
    lithops__buffer_deinit(&out.body);
    if (rc == 0)
        *ret_flight = (struct lithops__queue_flight){post, question->step, lithops__now_ns()};
    return rc;
}

static void end(const struct lithops__queue *queue, struct lithops__queue_flight *flight)
{
    if (flight->post)
        queue->api->end(flight->post);
    flight->post = NULL;
}

/* Of a request that is over; ends it.
 * @param reader  NULL: the answer's text does not matter */
static int finish(struct lithops__queue *queue, struct lithops__queue_flight *flight,
                  const struct lithops__queue_reader *reader, lithops_error *err)
{
    struct lithops__post_state state;
    size_t len = 0;
    char *text = NULL;
    int rc = 0;
    queue->api->look(flight->post, &state);
    if (state.failure.code)
        rc = fail_connection(queue, flight->step, state.failure.message, err);
    else if (state.status < 200 || state.status >= 300)
        rc = fail_status(queue, flight->step, &state, err);
    else if (reader && !(text = queue->api->take_body(flight->post, &len)))
        rc = fail_memory(err);
    else if (reader && !queue->service->read(queue->state, flight->step, text, len, reader))
        rc = fail_connection(queue, flight->step,
                             "the answer is not one of this service; is a proxy in between?", err);
    free(text);
    end(queue, flight);
    return rc;
}

/* Until something has changed, or for a moment. */
static void take_turn(const struct lithops__queue *queue)
{
    struct pollfd fd = {queue->event_fd, POLLIN, 0};
    eventfd_t count;
    if (poll(&fd, 1, TURN_MS) > 0)
        (void)eventfd_read(fd.fd, &count);
}

/* Until it is over, or the bounds end. */
static int await(const struct lithops__queue *queue, const struct lithops__queue_flight *flight,
                 const struct lithops__bounds *bounds, lithops_error *err)
{
    int rc = 0;
    while (rc == 0 && !queue->api->is_over(flight->post)) {
        take_turn(queue);
        rc = lithops__bounds_check(bounds, err);
    }
    return rc;
}

/* One limit for all that the end takes: since it has begun. What comes last gets a second at least.
 */
static uint64_t end_of_all(struct lithops__queue *queue)
{
    uint64_t now = lithops__now_ns();
    if (queue->end_ns == 0)
        queue->end_ns = now + drop_ns;
    return queue->end_ns > now + flush_ns ? queue->end_ns : now + flush_ns;
}

/* A server may carry out a request that is given up, and after the one that deletes what it makes:
 * that one is not sent before the answer. */
static int await_made(struct lithops__queue *queue, const struct lithops__queue_flight *flight,
                      lithops_error *err)
{
    struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    bounds.deadline_ns = end_of_all(queue);
    if (err)
        *err = (lithops_error)LITHOPS_ERROR_INIT;
    return await(queue, flight, &bounds, err);
}

static int ask_once(struct lithops__queue *queue, const struct lithops__queue_question *question,
                    const struct lithops__bounds *bounds,
                    const struct lithops__queue_reader *reader, lithops_error *err)
{
    struct lithops__queue_flight flight;
    int rc = begin(queue, question, bounds, &flight, err);
    if (rc)
        return rc;
    rc = await(queue, &flight, bounds, err);
    if (rc == LITHOPS_ECANCELED &&
        (question->step == LITHOPS__QUEUE_MAKE || question->step == LITHOPS__QUEUE_MAKE_MORE))
        rc = await_made(queue, &flight, err);
    if (rc == 0)
        return finish(queue, &flight, reader, err);
    if (rc == LITHOPS_ETIMEDOUT) {
        fail_connection(queue, question->step, "no answer came in time", err);
        err->code = rc;
    }
    end(queue, &flight);
    return rc;
}

static int ask(struct lithops__queue *queue, const struct lithops__queue_question *question,
               const struct lithops__bounds *bounds, const struct lithops__queue_reader *reader,
               lithops_error *err)
{
    queue->is_renewed = false;
    int rc = ask_once(queue, question, bounds, reader, err);
    if (rc == 0 || !queue->is_renewed)
        return rc;
    if (err)
        *err = (lithops_error)LITHOPS_ERROR_INIT;
    return ask_once(queue, question, bounds, reader, err);
}

/* ---- opening and closing --------------------------------------------------------------------- */

int lithops__queue_open(struct lithops__queue *queue, const struct lithops__queue_service *service,
                        const lithops_value *settings, lithops_error *err)
{
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", err);
    queue->service = service;
    queue->crypto = http ? lithops__module_symbol("crypto", "lithops__crypto", err) : NULL;
    if (!queue->crypto)
        return LITHOPS_EUNSUPPORTED;
    queue->api = &http->posts;
    queue->state = calloc(1, service->state_size);
    return queue->state ? service->open(queue->state, settings, err) : fail_memory(err);
}

/* Where the service names it otherwise, and has not told us yet. */
static int find(struct lithops__queue *queue, const struct lithops__bounds *bounds,
                lithops_error *err)
{
    static const struct lithops__queue_reader reader = {NULL, NULL, NULL, NULL};
    const struct lithops__queue_question question = {.step = LITHOPS__QUEUE_FIND,
                                                     .name = queue->name};
    if (!queue->service->has_urls || queue->is_found)
        return 0;
    int rc = ask(queue, &question, bounds, &reader, err);
    queue->is_found = rc == 0;
    return rc;
}

static const enum lithops__queue_step drops[] = {LITHOPS__QUEUE_DROP_MORE, LITHOPS__QUEUE_DROP};

/* The queue is named by what is dropped last. One that is not there is no failure. */
static int drop(struct lithops__queue *queue, const struct lithops__bounds *bounds,
                lithops_error *err)
{
    int rc = find(queue, bounds, err);
    if (rc)
        return rc == LITHOPS_ENOTFOUND ? 0 : rc;
    for (size_t i = queue->service->has_more ? 0 : 1; rc == 0 && i < 2; i++) {
        const struct lithops__queue_question question = {.step = drops[i], .name = queue->name};
        rc = ask(queue, &question, bounds, NULL, err);
        rc = rc == LITHOPS_ENOTFOUND ? 0 : rc;
    }
    return rc;
}

/* As far as the server can be reached; what stays, `lithops clean --all` finds. */
static void leave(struct lithops__queue *queue)
{
    struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    lithops_error err = LITHOPS_ERROR_INIT;
    bounds.deadline_ns = end_of_all(queue);
    if (drop(queue, &bounds, &err) != 0)
        lithops__log(LITHOPS_LOG_WARNING, "broker", "a queue is left: %s", err.message);
    queue->may_be_there = false;
}

void lithops__queue_close(void *state)
{
    struct lithops__queue *queue = state;
    if (queue->api && queue->may_be_there && open_posts(queue, NULL) == 0) {
        leave(queue); /* the connection had been lost */
        close_posts(queue);
    }
    if (queue->state)
        queue->service->close(queue->state);
    free(queue->state);
}

static int make(struct lithops__queue *queue, const struct lithops__bounds *bounds,
                lithops_error *err)
{
    static const struct lithops__queue_reader reader = {NULL, NULL, NULL, NULL};
    struct lithops__queue_question question = {.step = LITHOPS__QUEUE_MAKE, .name = queue->name};
    int rc = ask(queue, &question, bounds, &reader, err);
    queue->is_found |= rc == 0;
    queue->may_be_there |= rc == 0 || rc == LITHOPS_EEXIST || rc == LITHOPS_ECANCELED ||
                           rc == LITHOPS_ETIMEDOUT; /* the last two may have been carried out */
    if (rc == LITHOPS_EEXIST && queue->service->has_urls)
        rc = find(queue, bounds, err);
    question.step = LITHOPS__QUEUE_MAKE_MORE;
    if ((rc == 0 || rc == LITHOPS_EEXIST) && queue->service->has_more)
        rc = ask(queue, &question, bounds, NULL, err);
    if (rc == LITHOPS_EEXIST && err)
        *err = (lithops_error)LITHOPS_ERROR_INIT; /* it is ours */
    return rc == LITHOPS_EEXIST ? 0 : rc;
}

int lithops__queue_connect(void *state, const char *inbox, const struct lithops__bounds *bounds,
                           lithops_error *err)
{
    struct lithops__queue *queue = state;
    queue->is_broken = false;
    queue->failed = 0;
    queue->looked_ns = queue->end_ns = 0;
    queue->traffic_ns = lithops__now_ns();
    if (!name_of(queue, inbox, queue->name))
        return fail_memory(err);
    int rc = open_posts(queue, err);
    if (rc == 0)
        rc = make(queue, bounds, err);
    if (rc != 0)
        close_posts(queue);
    return rc;
}

static void forget_receipts(struct lithops__queue *queue, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(queue->owed[i]);
    queue->owed_count -= count;
    memmove(queue->owed, queue->owed + count, queue->owed_count * sizeof *queue->owed);
}

void lithops__queue_disconnect(void *state)
{
    struct lithops__queue *queue = state;
    struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    const uint64_t sent_ns = lithops__now_ns() + flush_ns;
    end(queue, &queue->receive);
    for (size_t i = 0; i < queue->flying; i++) {
        bounds.deadline_ns =
            queue->flights[i].step == LITHOPS__QUEUE_SEND ? sent_ns : end_of_all(queue);
        if (!queue->is_broken && queue->flights[i].step != LITHOPS__QUEUE_FORGET)
            (void)await(queue, &queue->flights[i], &bounds, NULL);
        end(queue, &queue->flights[i]);
    }
    queue->flying = 0;
    forget_receipts(queue, queue->owed_count);
    if (!queue->is_broken)
        leave(queue);
    close_posts(queue);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* What becomes of a request that sends or deletes; see above. */
static void note_end(struct lithops__queue *queue, struct lithops__queue_flight *flight)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = finish(queue, flight, NULL, &err);
    bool warns = rc == LITHOPS_EDENIED && !err.retryable && !queue->has_warned;
    queue->has_warned |= warns;
    if (warns)
        lithops__log(LITHOPS_LOG_WARNING, "broker", "%s", err.message);
    else if (rc && rc != LITHOPS_ENOTFOUND)
        lithops__log(LITHOPS_LOG_DEBUG, "broker", "%s", err.message);
}

/* Take note of those that are over, or have been under way for too long. */
static void reap(struct lithops__queue *queue)
{
    uint64_t now = lithops__now_ns();
    size_t left = 0;
    for (size_t i = 0; i < queue->flying; i++) {
        struct lithops__queue_flight *flight = &queue->flights[i];
        if (queue->api->is_over(flight->post))
            note_end(queue, flight);
        else if (now - flight->begun_ns > flight_ns)
            end(queue, flight);
        else
            queue->flights[left++] = *flight;
    }
    queue->flying = left;
}

/* Begin what concerns the inbox of somebody else, as soon as there is room for it. */
static int fly(struct lithops__queue *queue, struct lithops__queue_question *question,
               const char *inbox, const struct lithops__bounds *bounds, lithops_error *err)
{
    char name[LITHOPS__QUEUE_NAME];
    int rc = 0;
    reap(queue);
    while (rc == 0 && queue->flying == LITHOPS__QUEUE_FLIGHTS) {
        take_turn(queue);
        reap(queue);
        if (queue->flying == LITHOPS__QUEUE_FLIGHTS)
            rc = lithops__bounds_check(bounds, err);
    }
    if (rc == 0 && !name_of(queue, inbox, name))
        rc = fail_memory(err);
    question->name = name;
    if (rc == 0)
        rc = begin(queue, question, bounds, &queue->flights[queue->flying], err);
    queue->flying += rc == 0;
    queue->is_broken |= rc != 0;
    return rc;
}

int lithops__queue_send(void *state, const char *inbox, lithops_bytes notice,
                        const struct lithops__bounds *bounds, lithops_error *err)
{
    struct lithops__queue *queue = state;
    char *text = malloc(4 * (notice.len / 3) + 5);
    struct lithops__queue_question question = {.step = LITHOPS__QUEUE_SEND, .text = text};
    if (text)
        lithops__base64(notice.ptr, notice.len, text);
    int rc = text ? fly(queue, &question, inbox, bounds, err) : fail_memory(err);
    free(text);
    queue->traffic_ns = lithops__now_ns();
    queue->is_broken |= rc != 0;
    return rc;
}

/* A failure to delete it is no failure: `lithops clean --all` finds what stays. */
int lithops__queue_drop_inbox(void *state, const char *inbox, const struct lithops__bounds *bounds,
                              lithops_error *err)
{
    struct lithops__queue *queue = state;
    int rc = 0;
    for (size_t i = queue->service->has_more ? 0 : 1; rc == 0 && i < 2; i++) {
        struct lithops__queue_question question = {.step = drops[i]};
        rc = fly(queue, &question, inbox, bounds, err);
    }
    return rc;
}

/* ---- receiving ------------------------------------------------------------------------------- */

struct taking {
    struct lithops__queue *queue;
    void (*deliver)(lithops_bytes notice, void *user);
    void *user;
};

static void take(char *text, const char *receipt, void *user)
{
    const struct taking *taking = user;
    struct lithops__queue *queue = taking->queue;
    size_t len = lithops__base64_decode(text);
    if (len) /* else it is nobody's */
        taking->deliver((lithops_bytes){text, len}, taking->user);
    queue->traffic_ns = lithops__now_ns();
    queue->looked_ns = 0; /* there may be more */
    if (queue->owed_count == LITHOPS__QUEUE_OWED)
        forget_receipts(queue, 1); /* it comes again, which does no harm */
    queue->owed[queue->owed_count] = strdup(receipt);
    queue->owed_count += queue->owed[queue->owed_count] != NULL;
}

/* When to look, if nothing is asked now. */
static uint64_t due_ns(const struct lithops__queue *queue)
{
    uint64_t now = lithops__now_ns();
    if (queue->failed)
        return queue->looked_ns + ((uint64_t)TURN_MS * 1000000 << (queue->failed - 1));
    if (queue->looked_ns == 0 || queue->service->wait_s)
        return now;
    uint64_t wait = (now - queue->traffic_ns) / 8;
    wait = wait < shortest_ns ? shortest_ns : wait > longest_ns ? longest_ns : wait;
    return queue->looked_ns + wait;
}

static int pay(struct lithops__queue *queue, const struct lithops__bounds *bounds,
               lithops_error *err)
{
    int rc = 0;
    while (rc == 0 && queue->owed_count && queue->flying < FORGETS) {
        size_t most = queue->service->receipts;
        const struct lithops__queue_question question = {
            .step = LITHOPS__QUEUE_FORGET,
            .name = queue->name,
            .receipts = (const char *const *)queue->owed,
            .count = queue->owed_count < most ? queue->owed_count : most};
        rc = begin(queue, &question, bounds, &queue->flights[queue->flying], err);
        queue->flying += rc == 0;
        forget_receipts(queue, question.count);
    }
    return rc;
}

/* Of the request that waits. */
static int hear(struct lithops__queue *queue, const struct lithops__queue_reader *reader,
                lithops_error *err)
{
    uint64_t limit_ns = queue->service->wait_s * UINT64_C(1000000000) + spare_ns;
    lithops_error own = LITHOPS_ERROR_INIT;
    int rc = 0;
    if (!queue->receive.post)
        return 0;
    if (queue->api->is_over(queue->receive.post)) {
        queue->looked_ns = lithops__now_ns();
        rc = finish(queue, &queue->receive, reader, &own);
        rc = rc == LITHOPS_ETIMEDOUT ? 0 : rc; /* the service says that nothing has come */
    } else if (lithops__now_ns() - queue->receive.begun_ns > limit_ns) {
        end(queue, &queue->receive);
        queue->looked_ns = lithops__now_ns();
        rc = fail_connection(queue, LITHOPS__QUEUE_RECEIVE, "no answer came in time", &own);
    } else {
        return 0;
    }
    queue->failed = rc ? queue->failed + 1 : 0;
    unsigned tries = rc == LITHOPS_ENOTFOUND ? FIND_TRIES : own.retryable ? TRIES : 0;
    if (rc == 0 || queue->failed < tries)
        return 0;
    if (err)
        *err = own;
    return rc;
}

int lithops__queue_receive(void *state, void (*deliver)(lithops_bytes notice, void *user),
                           void *user, const struct lithops__bounds *bounds, lithops_error *err)
{
    struct lithops__queue *queue = state;
    struct taking taking = {queue, deliver, user};
    const struct lithops__queue_reader reader = {.message = take, .user = &taking};
    const struct lithops__queue_question question = {.step = LITHOPS__QUEUE_RECEIVE,
                                                     .name = queue->name};
    eventfd_t count;
    (void)eventfd_read(queue->event_fd, &count);
    reap(queue);
    int rc = hear(queue, &reader, err);
    if (rc == 0)
        rc = pay(queue, bounds, err);
    if (rc == 0 && !queue->receive.post && due_ns(queue) <= lithops__now_ns())
        rc = begin(queue, &question, bounds, &queue->receive, err);
    queue->is_broken |= rc != 0;
    return rc;
}

int lithops__queue_fd(void *state)
{
    const struct lithops__queue *queue = state;
    return queue->event_fd;
}

unsigned lithops__queue_wait_ms(void *state)
{
    const struct lithops__queue *queue = state;
    uint64_t now = lithops__now_ns(), due = queue->receive.post ? UINT64_MAX : due_ns(queue);
    if (due <= now)
        return 0;
    uint64_t ms = (due - now) / 1000000 + 1;
    return ms < BEAT_MS ? (unsigned)ms : BEAT_MS;
}

/* ---- cleaning -------------------------------------------------------------------------------- */

struct found {
    char **names, *after;
    size_t count;
    bool failed;
};

static void note_name(const char *name, void *user)
{
    struct found *found = user;
    if (!is_ours(name))
        return;
    char **longer = realloc(found->names, (found->count + 1) * sizeof *longer);
    char *copy = longer ? strdup(name) : NULL;
    found->names = longer ? longer : found->names;
    if (copy)
        found->names[found->count++] = copy;
    found->failed |= !copy;
}

static void note_after(const char *after, void *user)
{
    struct found *found = user;
    free(found->after);
    found->after = *after ? strdup(after) : NULL;
}

static int find_all(struct lithops__queue *queue, const struct lithops__bounds *bounds,
                    struct found *found, lithops_error *err)
{
    const struct lithops__queue_reader reader = {
        .name = note_name, .after = note_after, .user = found};
    snprintf(queue->name, sizeof queue->name, PREFIX);
    char *after = NULL;
    int rc = 0;
    do {
        const struct lithops__queue_question question = {
            .step = LITHOPS__QUEUE_LIST, .name = queue->name, .after = after};
        found->after = NULL;
        rc = ask(queue, &question, bounds, &reader, err);
        free(after);
        after = found->after;
    } while (rc == 0 && after);
    free(after);
    return rc == 0 && found->failed ? fail_memory(err) : rc;
}

int lithops__queue_clean(const struct lithops__queue_service *service,
                         const lithops_value *settings, bool dry_run, uint64_t *ret_removed,
                         lithops_error *err)
{
    struct lithops__queue queue = {.service = NULL};
    struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    struct found found = {.names = NULL};
    bounds.deadline_ns = lithops__now_ns() + clean_ns;
    int rc = lithops__queue_open(&queue, service, settings, err);
    if (rc == 0)
        rc = open_posts(&queue, err);
    if (rc == 0)
        rc = find_all(&queue, &bounds, &found, err);
    queue.is_found = true; /* the list has told */
    bool is_listed = rc == 0;
    for (size_t i = 0; i < found.count; i++) {
        lithops_error own = LITHOPS_ERROR_INIT;
        snprintf(queue.name, sizeof queue.name, "%s", found.names[i]);
        int one = is_listed && !dry_run ? drop(&queue, &bounds, &own) : 0;
        *ret_removed += is_listed && one == 0;
        if (rc == 0 && one != 0) {
            rc = one;
            if (err)
                *err = own;
        }
        free(found.names[i]);
    }
    free(found.names);
    close_posts(&queue);
    lithops__queue_close(&queue);
    return rc;
}
