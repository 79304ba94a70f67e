/* SPDX-License-Identifier: Apache-2.0 */
/* The contents of a link: bytes to send, and activations.
 *
 * Frames go out in order, but long ones in pieces, one at a time as the output has room: so a beat,
 * which goes straight into the output, never waits behind more than one piece. An answer may lie in
 * a pipe (pipes.h): it has its place in the output, to which no piece is added until it has gone.
 */
#include "base/clock.h"
#include "base/error.h"
#include "ipc/bell.h"
#include "relay/feed.h"
#include "relay/link.h"
#include "relay/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OUT_BYTES = 512 << 10, /* no further piece is prepared while this much is waiting */
    PIECE_BYTES = 256 << 10,
};
static const char zeros[PIECE_BYTES]; /* in place of bytes that nobody needs any more */

/* ---- sending --------------------------------------------------------------------------------- */

struct lithops__parcel *lithops__parcel_new(void)
{
    struct lithops__parcel *parcel = calloc(1, sizeof *parcel);
    if (parcel)
        parcel->fd = -1;
    return parcel;
}

void lithops__parcel_free(struct lithops__parcel *parcel)
{
    if (!parcel)
        return;
    if (parcel->fd >= 0)
        close(parcel->fd);
    free(parcel->blobs);
    lithops__buffer_deinit(&parcel->own);
    lithops__buffer_deinit(&parcel->frame);
    free(parcel);
}

uint32_t lithops__parcel_add(struct lithops__link *link, struct lithops__parcel *parcel,
                             const void *ptr, size_t len)
{
    struct lithops__long_bytes *more =
        realloc(parcel->blobs, (parcel->blob_count + 1) * sizeof *more);
    if (!more)
        return 0;
    parcel->blobs = more;
    uint32_t number = ++link->next_blob ? link->next_blob : ++link->next_blob;
    parcel->blobs[parcel->blob_count++] = (struct lithops__long_bytes){number, ptr, len};
    return number;
}

static size_t waiting(const struct lithops__link *link)
{
    return link->out.len - link->out_begin + (link->pipe ? link->pipe->len : 0);
}

bool lithops__link_has_output(const struct lithops__link *link)
{
    return waiting(link) > 0 || link->parcels || lithops__objects_has_answer(link);
}

/* The next piece of a blob. */
static void put_blob(struct lithops__link *link, struct lithops__parcel *parcel)
{
    const struct lithops__long_bytes *blob = &parcel->blobs[parcel->blob];
    uint64_t length = blob->len;
    size_t len = blob->len - parcel->at < PIECE_BYTES ? blob->len - parcel->at : PIECE_BYTES;
    size_t frame = lithops__frame_begin(&link->out, LITHOPS__MESSAGE_BLOB,
                                        parcel->at == 0 ? LITHOPS__FRAME_FIRST : 0, blob->number);
    if (parcel->at == 0)
        lithops__buffer_append(&link->out, &length, sizeof length);
    lithops__buffer_append(&link->out, blob->ptr ? (const char *)blob->ptr + parcel->at : zeros,
                           len);
    lithops__frame_end(&link->out, frame);
    parcel->at += len;
    if (parcel->at == blob->len) {
        parcel->blob++;
        parcel->at = 0;
    }
}

/* The next piece of a file. If it cannot be read it ends early, which its hash reveals. */
static void put_file(struct lithops__link *link, struct lithops__parcel *parcel)
{
    size_t frame = lithops__frame_begin(&link->out, LITHOPS__MESSAGE_FILE, 0, parcel->stream);
    void *room = lithops__buffer_reserve(&link->out, PIECE_BYTES);
    ssize_t n = room ? read(parcel->fd, room, PIECE_BYTES) : 0;
    if (n > 0)
        link->out.len += (size_t)n;
    if (n <= 0) {
        if (room)
            ((char *)link->out.data + frame)[6] = LITHOPS__FRAME_LAST;
        close(parcel->fd);
        parcel->fd = -1;
    }
    lithops__frame_end(&link->out, frame);
}

/* Append part of the first parcel. False: there is none. */
static bool put_some(struct lithops__link *link)
{
    struct lithops__parcel *parcel = link->parcels;
    if (!parcel)
        return false;
    if (parcel->blob < parcel->blob_count) {
        put_blob(link, parcel);
    } else if (parcel->fd >= 0) {
        put_file(link, parcel);
    } else {
        if (parcel->frame.len)
            lithops__buffer_append(&link->out, parcel->frame.data, parcel->frame.len);
        link->parcels = parcel->next;
        if (!link->parcels)
            link->last_parcel = NULL;
        lithops__parcel_free(parcel);
    }
    return true;
}

/* Parcels and the answers to what workers ask for take turns: neither waits for the other. */
static void fill_output(struct lithops__link *link)
{
    bool any = true, takes_answers = link->state == LITHOPS__LINK_READY && !link->relay->is_guest;
    while (any && !link->pipe && waiting(link) < OUT_BYTES) {
        any = put_some(link);
        if (takes_answers && (link->parcels || waiting(link) == 0))
            any |= lithops__objects_answer(link); /* by itself it waits for room: no copy then */
    }
}

void lithops__link_send(struct lithops__link *link, struct lithops__parcel *parcel)
{
    if (link->last_parcel)
        link->last_parcel->next = parcel;
    else
        link->parcels = parcel;
    link->last_parcel = parcel;
    fill_output(link);
}

void lithops__link_unsend(struct lithops__link *link, uint32_t reader)
{
    struct lithops__parcel *before = NULL, **at = &link->parcels;
    while (*at) {
        struct lithops__parcel *parcel = *at;
        if (parcel->reader == reader && parcel->blob == 0 && parcel->at == 0) {
            *at = parcel->next;
            lithops__parcel_free(parcel);
            continue;
        }
        for (size_t i = parcel->blob; parcel->reader == reader && i < parcel->blob_count; i++)
            parcel->blobs[i].ptr = NULL; /* a part is sent; its memory goes to others */
        before = parcel;
        at = &parcel->next;
    }
    link->last_parcel = before;
}

static void drop_pipe(struct lithops__link *link)
{
    lithops__pipes_give_back(&link->relay->pipes, link->pipe);
    link->pipe = NULL;
    link->pipe_at = 0;
}

static ssize_t write_pipe(struct lithops__link *link)
{
    struct lithops__pipe *pipe = link->pipe;
    ssize_t n = splice(pipe->read_fd, NULL, link->wire.write_fd, NULL, pipe->len,
                       SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    pipe->len -= n > 0 ? (size_t)n : 0;
    if (pipe->len == 0)
        drop_pipe(link);
    return n;
}

/* The thread may be the program's own, whose signals are not blocked; but that has no pipe. */
static ssize_t write_some(struct lithops__link *link)
{
    size_t end = link->pipe ? link->pipe_at : link->out.len, len = end - link->out_begin;
    if (len == 0)
        return write_pipe(link);
    const void *bytes = link->out.data + link->out_begin;
    ssize_t n = link->may_be_lent ? send(link->wire.write_fd, bytes, len, MSG_NOSIGNAL)
                                  : write(link->wire.write_fd, bytes, len);
    link->out_begin += n > 0 ? (size_t)n : 0;
    if (link->out_begin == link->out.len)
        link->out.len = link->out_begin = link->pipe_at = 0;
    return n;
}

void lithops__link_write(struct lithops__link *link)
{
    fill_output(link);
    while (waiting(link) > 0 && link->state != LITHOPS__LINK_DOWN) {
        ssize_t n = write_some(link);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) { /* it may still say why: the reader sees the end */
            link->out.len = link->out_begin = 0;
            drop_pipe(link);
            return;
        }
        fill_output(link);
    }
    if (link->out_begin > OUT_BYTES) {
        link->out.len -= link->out_begin;
        memmove(link->out.data, link->out.data + link->out_begin, link->out.len);
        link->pipe_at -= link->pipe ? link->out_begin : 0;
        link->out_begin = 0;
    }
    if (link->out.failed)
        lithops__link_break(link, ENOMEM, "no memory for what is sent");
}

void lithops__parked_free(struct lithops__parked **at)
{
    struct lithops__parked *parked = *at;
    atomic_fetch_sub(&parked->link->relay->table->area.control->lacking, 1);
    *at = parked->next;
    free(parked);
}

static void drop_parked(struct lithops__link *link)
{
    for (struct lithops__parked **at = &link->relay->parked; *at;)
        if ((*at)->link == link)
            lithops__parked_free(at);
        else
            at = &(*at)->next;
}

void lithops__link_drop_bytes(struct lithops__link *link)
{
    struct lithops__area *area = &link->relay->table->area;
    while (link->parcels) {
        struct lithops__parcel *parcel = link->parcels;
        link->parcels = parcel->next;
        lithops__parcel_free(parcel);
    }
    link->last_parcel = NULL;
    lithops__objects_drop(link);
    drop_parked(link);
    while (link->arrivals) {
        lithops__offset at = lithops__blobs_drop(&link->arrivals);
        if (at)
            lithops__region_release(area, at);
    }
    lithops__intake_deinit(&link->in);
    lithops__buffer_deinit(&link->out);
    link->out_begin = 0;
    drop_pipe(link);
}

void lithops__link_break(struct lithops__link *link, int os_errno, const char *what)
{
    if (link->broken.code)
        return;
    if (os_errno)
        lithops__fail_errno(&link->broken, os_errno, "%s", what);
    else
        lithops__fail(&link->broken, LITHOPS_EBACKEND, "%s", what);
}

/* ---- activations ----------------------------------------------------------------------------- */

uint32_t lithops__link_add_activation(struct lithops__link *link, uint32_t range, uint64_t begin,
                                      uint32_t count, unsigned char *marks)
{
    const struct lithops__area *area = &link->relay->table->area;
    uint32_t at = link->free_hint;
    while (at < link->capacity && link->activations[at].in_use)
        at++;
    if (at == link->capacity) {
        uint32_t capacity = link->capacity ? link->capacity * 2 : 16;
        struct lithops__activation *more = realloc(link->activations, capacity * sizeof *more);
        if (!more)
            return UINT32_MAX;
        memset(more + link->capacity, 0, (capacity - link->capacity) * sizeof *more);
        link->activations = more;
        link->capacity = capacity;
    }
    link->activations[at] =
        (struct lithops__activation){.in_use = true,
                                     .range = range,
                                     .generation = atomic_load(&area->ranges[range].generation),
                                     .count = count,
                                     .left = count,
                                     .begin = begin,
                                     .sent_ns = lithops__now_ns(),
                                     .marks = marks,
                                     .cancels = marks + count};
    if (link->in_flight == 0) /* it was in peace, and nobody listened */
        link->heard_ns = link->activations[at].sent_ns;
    link->free_hint = at + 1;
    link->sent += count;
    link->in_flight += count;
    return at;
}

void lithops__link_free_activation(struct lithops__link *link,
                                   struct lithops__activation *activation)
{
    uint32_t at = (uint32_t)(activation - link->activations);
    if (activation->is_reducer) { /* nothing more is sent to it */
        lithops__feed_end(link, at);
        lithops__link_unsend(link, at + 1);
    }
    link->in_flight -= activation->left;
    free(activation->marks);
    *activation = (struct lithops__activation){.in_use = false};
    if (at < link->free_hint)
        link->free_hint = at;
}

void lithops__link_fail_calls(struct lithops__link *link, uint32_t range, uint64_t begin,
                              uint64_t count, const lithops_error *error)
{
    struct lithops__table *table = link->relay->table;
    struct lithops__settlement failed = {.error = *error};
    uint16_t running = lithops__state_make(LITHOPS__RUNNING, link->worker);
    for (uint64_t i = 0; i < count; i++)
        (void)lithops__table_settle(table, range, begin + i, running, &failed);
    lithops__table_kick_dependents(table, range);
    lithops__bell_landed(table->area.control);
}

/* ---- clocks ---------------------------------------------------------------------------------- */

/* The order of sending and receiving bounds the difference of the clocks, however long messages
 * take. If bounds contradict each other, the clocks have drifted and the newer bound holds. */
void lithops__link_note_clock(struct lithops__link *link, int64_t low, int64_t high)
{
    if (low > link->offset_low) {
        link->offset_low = low;
        link->offset_high = low > link->offset_high ? low : link->offset_high;
    }
    if (high < link->offset_high) {
        link->offset_high = high;
        link->offset_low = high < link->offset_low ? high : link->offset_low;
    }
}
