/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of frames that comes in pieces of all sizes: each blob lies where it was to lie, answers
 * are passed on, and the frames between are as they were sent. */
#include "base/error.h"
#include "wire/blobs.h"
#include "wire/intake.h"
#include "wire/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOBS = 4, PIECE = 200 << 10, MOST = 3 * PIECE };
static const size_t lengths[BLOBS] = {MOST, PIECE + 1, 17, 2 * PIECE};

static const char map[40]; /* nobody reads it */

static lithops_error err;
static unsigned char source[BLOBS][MOST];

/* What has come. */
struct client {
    struct lithops__blob *blobs;
    unsigned char *rooms[BLOBS];
    unsigned made, byes, began;
    bool has_room;
    struct lithops__buffer passed; /* what answers carry */
    unsigned maps;
};

static void *make_room(void *user, uint64_t length, uint64_t *ret_at)
{
    struct client *client = user;
    *ret_at = 0;
    if (!client->has_room)
        return NULL;
    assert_true(client->made < BLOBS);
    *ret_at = client->made + 1;
    return client->rooms[client->made++] = calloc(1, length);
}

/* In small parts, as a pipe takes them. */
static ssize_t pass(void *user, int fd, size_t len)
{
    struct client *client = user;
    len = len < 5000 ? len : 5000;
    void *room = lithops__buffer_reserve(&client->passed, len);
    ssize_t n = read(fd, room, len);
    client->passed.len += n > 0 ? (size_t)n : 0;
    return n;
}

static int came(void *user, const struct lithops__frame *frame, lithops_error *error)
{
    struct client *client = user;
    if (frame->type == LITHOPS__MESSAGE_BLOB)
        return lithops__blobs_came(&client->blobs, frame, make_room, client, error);
    if (frame->type == LITHOPS__MESSAGE_ANSWER) {
        lithops__buffer_append(&client->passed, frame->payload.ptr, frame->payload.len);
        client->maps += frame->map.len == sizeof map;
        return 0;
    }
    assert_int_equal(frame->type, LITHOPS__MESSAGE_BYE);
    assert_int_equal(frame->stream, 1 + client->byes++);
    return 0;
}

static int began(void *user, const struct lithops__frame *frame, size_t left,
                 struct lithops__rest *ret_rest, lithops_error *error)
{
    struct client *client = user;
    client->began++;
    if (frame->type == LITHOPS__MESSAGE_ANSWER) {
        lithops__buffer_append(&client->passed, frame->payload.ptr, frame->payload.len);
        client->maps += frame->map.len == sizeof map;
        *ret_rest = (struct lithops__rest){.pass = pass, .user = client};
        return 0;
    }
    return lithops__blobs_began(&client->blobs, frame, left, make_room, client, ret_rest, error);
}

static const struct lithops__intake_user ops = {.came = came, .began = began};

/* Each blob in pieces, and a short frame behind it. */
static void write_stream(struct lithops__buffer *out)
{
    for (uint32_t b = 0; b < BLOBS; b++) {
        for (size_t at = 0; at < lengths[b]; at += PIECE) {
            uint64_t length = lengths[b];
            size_t len = length - at < PIECE ? length - at : PIECE;
            size_t begin = lithops__frame_begin(out, LITHOPS__MESSAGE_BLOB,
                                                at == 0 ? LITHOPS__FRAME_FIRST : 0, b + 1);
            if (at == 0)
                lithops__buffer_append(out, &length, sizeof length);
            if (b % 2) { /* as it is sent from where it lies */
                lithops__frame_end_before(out, begin, len);
                lithops__buffer_append(out, source[b] + at, len);
            } else {
                lithops__buffer_append(out, source[b] + at, len);
                lithops__frame_end(out, begin);
            }
        }
        lithops__frame_end(out, lithops__frame_begin(out, LITHOPS__MESSAGE_BYE, 0, b + 1));
    }
}

/* Send all, `chunk` bytes at a time, each of which is read before the next one is sent. */
static int feed(struct client *client, const struct lithops__buffer *stream, size_t chunk)
{
    int ends[2], rc = 0;
    struct lithops__intake intake = {.in = LITHOPS__BUFFER_INIT};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    for (size_t at = 0; rc == 0 && at < stream->len; at += chunk) {
        size_t len = stream->len - at < chunk ? stream->len - at : chunk;
        assert_int_equal(write(ends[0], stream->data + at, len), len);
        while (rc == 0 && len > 0) {
            ssize_t n = lithops__intake_read(&intake, ends[1]);
            assert_true(n > 0);
            len -= (size_t)n;
            rc = lithops__intake_take(&intake, &ops, client, &err);
        }
    }
    if (rc == 0)
        assert_int_equal(intake.rest_len + intake.in.len, 0);
    close(ends[0]);
    close(ends[1]);
    lithops__intake_deinit(&intake);
    return rc;
}

static void end(struct client *client)
{
    while (client->blobs)
        (void)lithops__blobs_drop(&client->blobs);
    for (unsigned b = 0; b < client->made; b++)
        free(client->rooms[b]);
}

static void test_chunks(void **state)
{
    (void)state;
    static const size_t chunks[] = {1009, 4096, 16 << 10, 65537, 100000, 150000};
    struct lithops__buffer stream = LITHOPS__BUFFER_INIT;
    write_stream(&stream);
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        struct client client = {.has_room = true};
        assert_int_equal(feed(&client, &stream, chunks[c]), 0);
        assert_int_equal(client.byes, BLOBS);
        assert_true(client.began > 0);
        for (uint32_t b = 0; b < BLOBS; b++) {
            uint64_t at;
            assert_true(lithops__blobs_take(&client.blobs, b + 1, &at));
            assert_int_equal(at, b + 1);
            assert_memory_equal(client.rooms[b], source[b], lengths[b]);
        }
        end(&client);
    }
    lithops__buffer_deinit(&stream);
}

/* Answers go to who passes them on, whether their rest is passed or they came as a whole. */
static void test_passed_on(void **state)
{
    (void)state;
    enum { ANSWERS = 5, LONG = 100 << 10 };
    static const size_t chunks[] = {1009, 4096, 16 << 10, 60000, 150000};
    struct lithops__buffer stream = LITHOPS__BUFFER_INIT;
    for (unsigned i = 0; i < ANSWERS; i++) { /* the last but one is short */
        size_t len = i == ANSWERS - 2 ? 100 : LONG, begin;
        begin = lithops__frame_begin(&stream, LITHOPS__MESSAGE_ANSWER, 0, 9);
        lithops__buffer_append(&stream, map, sizeof map);
        lithops__frame_end_map(&stream, begin);
        lithops__buffer_append(&stream, source[1] + i * LONG, len);
        lithops__frame_end(&stream, begin);
        if (i % 2)
            lithops__frame_end(&stream,
                               lithops__frame_begin(&stream, LITHOPS__MESSAGE_BYE, 0, i / 2 + 1));
    }
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        struct client client = {.passed = LITHOPS__BUFFER_INIT};
        assert_int_equal(feed(&client, &stream, chunks[c]), 0);
        assert_int_equal(client.maps, ANSWERS);
        assert_int_equal(client.byes, ANSWERS / 2);
        assert_true(client.began > 0);
        assert_int_equal(client.passed.len, (ANSWERS - 1) * LONG + 100);
        assert_memory_equal(client.passed.data, source[1], (ANSWERS - 2) * LONG + 100);
        assert_memory_equal(client.passed.data + (ANSWERS - 2) * LONG + 100,
                            source[1] + (ANSWERS - 1) * LONG, LONG);
        lithops__buffer_deinit(&client.passed);
    }
    lithops__buffer_deinit(&stream);
}

/* Bytes for which there is no room are dropped, and what is between is not. */
static void test_no_room(void **state)
{
    (void)state;
    struct lithops__buffer stream = LITHOPS__BUFFER_INIT;
    struct client client = {.has_room = false};
    write_stream(&stream);
    assert_int_equal(feed(&client, &stream, 60000), 0);
    assert_int_equal(client.byes, BLOBS);
    uint64_t at = 1;
    assert_true(lithops__blobs_take(&client.blobs, 1, &at));
    assert_int_equal(at, 0);
    end(&client);
    lithops__buffer_deinit(&stream);
}

/* A piece that is longer than its blob is refused before a byte of it is stored. */
static void test_too_long(void **state)
{
    (void)state;
    struct lithops__buffer stream = LITHOPS__BUFFER_INIT;
    struct client client = {.has_room = true};
    uint64_t length = 100;
    size_t begin = lithops__frame_begin(&stream, LITHOPS__MESSAGE_BLOB, LITHOPS__FRAME_FIRST, 7);
    lithops__buffer_append(&stream, &length, sizeof length);
    lithops__buffer_append(&stream, source[0], PIECE);
    lithops__frame_end(&stream, begin);
    assert_int_equal(feed(&client, &stream, 64), LITHOPS_EPARSE);
    end(&client);
    lithops__buffer_deinit(&stream);
}

int main(void)
{
    for (size_t b = 0; b < BLOBS; b++)
        for (size_t i = 0; i < MOST; i++)
            source[b][i] = (unsigned char)(i * 31 + (i >> 8) * 7 + b);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_passed_on),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
