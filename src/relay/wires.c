/* SPDX-License-Identifier: Apache-2.0 */
/* A link: connected, read, lost. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "relay/link.h"
#include "relay/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RETRY_NS = 1000000000 };

/* ---- receiving ------------------------------------------------------------------------------- */

static int beat_came(struct lithops__link *link, const struct lithops__frame *frame,
                     lithops_error *err)
{
    struct lithops__beat beat;
    if (frame->payload.len != sizeof beat)
        return lithops__fail(err, LITHOPS_EPARSE, "an invalid beat");
    memcpy(&beat, frame->payload.ptr, sizeof beat);
    lithops__link_note_clock(link, (int64_t)(beat.sent - lithops__now_ns()),
                             (int64_t)(beat.sent - beat.heard));
    return 0;
}

/* A worker that gives up before it has run anything would do so again and again. */
static int end_came(struct lithops__link *link, const struct lithops__frame *frame,
                    lithops_error *err)
{
    link->was_ready &= link->has_run;
    lithops_value *map = lithops__frame_map(frame, err);
    if (!map)
        return err->code;
    const char *message = lithops_value_get_string(lithops_value_get(map, "message"));
    int code = (int)lithops_value_get_int(lithops_value_get(map, "code"));
    link->is_stopped = code == LITHOPS_ECANCELED;
    if (link->is_stopped) /* its calls are lost, nobody has cancelled them */
        code = LITHOPS_EBACKEND;
    lithops__fail(err, code < 0 ? code : LITHOPS_EBACKEND, "%s", message ? message : "it gave up");
    lithops_value_free(map);
    return err->code;
}

static int message_came(void *user, const struct lithops__frame *frame, lithops_error *err)
{
    struct lithops__link *link = user;
    if (link->state == LITHOPS__LINK_STARTING && frame->type != LITHOPS__MESSAGE_HELLO &&
        frame->type != LITHOPS__MESSAGE_END)
        return lithops__fail(err, LITHOPS_EPARSE, "it does not begin with hello");
    switch (frame->type) {
    case LITHOPS__MESSAGE_HELLO:
        return lithops__link_hello_came(link, frame, err);
    case LITHOPS__MESSAGE_BEAT:
        return beat_came(link, frame, err);
    case LITHOPS__MESSAGE_NEED:
        return lithops__link_need_came(link, frame, err);
    case LITHOPS__MESSAGE_BLOB:
        return lithops__link_blob_came(link, frame, err);
    case LITHOPS__MESSAGE_OUTCOMES:
        return lithops__link_outcomes_came(link, frame, err);
    case LITHOPS__MESSAGE_ASK:
        return lithops__objects_asked(link, frame, err);
    case LITHOPS__MESSAGE_END:
        return end_came(link, frame, err);
    default:
        return lithops__fail(err, LITHOPS_EPARSE, "a message of unknown type %u", frame->type);
    }
}

static int piece_began(void *user, const struct lithops__frame *frame, size_t left,
                       struct lithops__rest *ret_rest, lithops_error *err)
{
    struct lithops__link *link = user;
    return link->state == LITHOPS__LINK_READY && frame->type == LITHOPS__MESSAGE_BLOB
               ? lithops__link_blob_began(link, frame, left, ret_rest, err)
               : 0;
}

void lithops__link_read(struct lithops__link *link)
{
    static const struct lithops__intake_user ops = {.came = message_came, .began = piece_began};
    lithops_error err = LITHOPS_ERROR_INIT;
    ssize_t n = lithops__intake_read(&link->in, link->wire.read_fd);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        bool has_ended = n == 0 || errno == ECONNRESET; /* it closed the link with bytes unread */
        lithops__link_break(link, has_ended ? 0 : errno, has_ended ? "it ended" : "the link broke");
        return;
    }
    link->heard_ns = lithops__now_ns();
    if (lithops__intake_take(&link->in, &ops, link, &err) < 0 && link->broken.code == 0)
        link->broken = err;
}

/* ---- up and down ----------------------------------------------------------------------------- */

static void go_down(struct lithops__link *link, uint64_t retry_ns)
{
    link->state = LITHOPS__LINK_DOWN;
    link->state_ns = lithops__now_ns();
    link->retry_ns = retry_ns;
}

void lithops__link_connected(struct lithops__link *link)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops__log(LITHOPS_LOG_DEBUG, "relay", "worker %s is connected after %.1f ms", link->name,
                 (double)(lithops__now_ns() - link->state_ns) / 1e6);
    fcntl(link->wire.read_fd, F_SETFL, fcntl(link->wire.read_fd, F_GETFL) | O_NONBLOCK);
    fcntl(link->wire.write_fd, F_SETFL, fcntl(link->wire.write_fd, F_GETFL) | O_NONBLOCK);
    struct stat status;
    link->may_be_lent = !link->relay->carrier && /* which is not worth spinning for */
                        fstat(link->wire.write_fd, &status) == 0 &&
                        (status.st_mode & S_IFMT) == S_IFSOCK;
    link->began_ns = link->state_ns; /* when it was begun to be started */
    lithops__meter_began(&link->relay->table->meter, link->began_ns);
    link->reads = link->writes = 0;
    link->state = LITHOPS__LINK_STARTING;
    link->state_ns = link->heard_ns = lithops__now_ns();
    link->was_ready = link->has_run = link->is_stopped = link->has_ended = false;
    link->ask_ns = 0;
    link->broken = (lithops_error)LITHOPS_ERROR_INIT;
    link->granted = link->sent = 0;
    link->is_leaving = false;
    link->idle_ns = 0;
    link->end_ns = link->wire.time_left_ms > 0
                       ? link->state_ns + (uint64_t)link->wire.time_left_ms * 1000000
                       : UINT64_MAX;
    link->held_bytes = UINT64_MAX;
    lithops__link_end_rest(link);
    link->hello_ns = link->state_ns;
    link->offset_low = INT64_MIN / 4;
    link->offset_high = INT64_MAX / 4;
    if (lithops__link_hello(link, &err) != 0)
        lithops__link_lost(link, &err);
    else
        lithops__link_write(link);
}

void lithops__link_hang_up(struct lithops__link *link)
{
    close(link->wire.read_fd);
    if (link->wire.write_fd != link->wire.read_fd)
        close(link->wire.write_fd);
    if (link->began_ns)
        lithops__meter_ended(&link->relay->table->meter, link->began_ns);
    link->began_ns = 0;
    lithops__link_drop_bytes(link);
    lithops__link_drop_needs(link);
    if (link->jobs)
        memset(link->jobs, 0, link->job_capacity * sizeof *link->jobs);
}

/* A worker that ends prints the reason that it has sent. */
static bool is_printed(const char *how, const char *reason)
{
    char printed[sizeof((lithops_error *)0)->message + 16];
    snprintf(printed, sizeof printed, "lithops: %s", reason);
    return strstr(how, printed) != NULL;
}

void lithops__link_lost(struct lithops__link *link, const lithops_error *why)
{
    struct lithops__relay *relay = link->relay;
    if (!lithops__link_is_up(link))
        return;
    char how[512] = "";
    if (why->code == LITHOPS_ETIMEDOUT && relay->driver->ops->abandon)
        relay->driver->ops->abandon(relay->state, &link->wire);
    lithops__link_hang_up(link);
    if (relay->carrier && !relay->closing)
        lithops__carrier_lost(relay->carrier, link->worker);
    lithops__link_disconnect(link, &link->wire, how, sizeof how);
    if (is_printed(how, why->message))
        how[0] = '\0';
    lithops_error loss = *why;
    lithops__fail(&loss, why->code, "worker %s was lost: %s%s%s", link->name, why->message,
                  how[0] ? "; " : "", how);
    loss.os_errno = why->os_errno;
    loss.retryable =
        why->retryable || why->code == LITHOPS_EBACKEND || why->code == LITHOPS_ETIMEDOUT;
    if (relay->closing)
        lithops__log(LITHOPS_LOG_DEBUG, "relay", "worker %s is closed%s%s", link->name,
                     how[0] ? ": " : "", how);
    else
        lithops__log(LITHOPS_LOG_WARNING, "relay", "%s", loss.message);
    link->loss = loss;
    if (!lithops__relay_is_elastic(relay))
        link->failures = link->was_ready ? 0 : link->failures + 1;
    else if (!link->was_ready && !relay->closing)
        lithops__relay_start_failed(relay, &loss);
    if (link->is_stopped)
        link->failures = LITHOPS__LINK_HOPELESS;
    go_down(link, link->was_ready ? 0 : lithops__now_ns() + RETRY_NS);
    lithops__link_settle_all(link, &loss);
}
