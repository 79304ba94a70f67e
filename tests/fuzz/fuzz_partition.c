/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of streams: the input is a separator, a number of chunks, a seed, and a text.
 *
 * The text is cut into that many chunks, and each chunk is read twice: by lines, and by methods in
 * an order that the seed gives. Together the chunks must yield each line of the reference split
 * once. */
#include "fuzz.h"
#include "partition/stream_test_tools.h"

#include <sys/mman.h>

static const char *path_of(const char *text, size_t len)
{
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("text", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    must(ftruncate(file, (off_t)len) == 0 && pwrite(file, text, len, 0) == (ssize_t)len,
         "cannot write the text");
    return path;
}

/* The lines [first, last) of the text, whose bytes are [from, to). */
struct chunk {
    const char *text;
    const struct reference_line *lines;
    size_t first, last, from, to;
};

static void read_lines(lithops_stream *stream, const struct chunk *chunk)
{
    lithops_bytes line;
    for (size_t i = chunk->first; i < chunk->last; i++) {
        const struct reference_line *expected = &chunk->lines[i];
        must(lithops_stream_next_line(stream, &line), "a line is missing");
        must(line.len == expected->end - expected->start, "a line has the wrong length");
        must(memcmp(line.ptr, chunk->text + expected->start, line.len) == 0, "another line");
    }
    must(!lithops_stream_next_line(stream, &line), "there is an extra line");
}

static void read_by_seed(lithops_stream *stream, const struct chunk *chunk, uint32_t seed)
{
    size_t at = chunk->from, line = chunk->first;
    while (at < chunk->to) {
        char buf[16];
        lithops_bytes piece = {NULL, 0};
        seed = seed * 1664525u + 1013904223u;
        if (seed >> 30 == 0) {
            int64_t got = lithops_stream_read(stream, buf, 1 + (seed >> 8) % sizeof buf);
            must(got > 0, "bytes are missing");
            piece = (lithops_bytes){buf, (size_t)got};
        } else if (seed >> 30 == 1) {
            must(lithops_stream_next_block(stream, &piece) && piece.len, "a block is missing");
        } else {
            int64_t max = 1 + (seed >> 8) % 4, left = (int64_t)(chunk->last - line);
            int64_t skipped = lithops_stream_skip_lines(stream, max);
            must(skipped == (max < left ? max : left), "the wrong number of lines");
            line += (size_t)skipped;
            at = line < chunk->last ? chunk->lines[line].start : chunk->to;
        }
        must(piece.len <= chunk->to - at, "there are extra bytes");
        must(!piece.len || memcmp(piece.ptr, chunk->text + at, piece.len) == 0, "other bytes");
        at += piece.len;
        while (line + 1 < chunk->last && chunk->lines[line + 1].start <= at)
            line++;
    }
    char byte;
    must(lithops_stream_read(stream, &byte, 1) == 0, "there is an extra byte");
    must(lithops_stream_skip_lines(stream, 1) == 0, "there is an extra line");
}

static void check_chunks(const char *text, size_t len, const char *newline, size_t chunks,
                         uint32_t seed)
{
    struct reference_line *lines = calloc(len + 1, sizeof *lines);
    size_t count = reference_lines(text, len, newline, strlen(newline), lines);
    const char *path = path_of(text, len);
    struct chunk chunk = {.text = text, .lines = lines};
    for (size_t i = 0; i < chunks; i++) {
        size_t start = i * len / chunks, end = (i + 1) * len / chunks;
        chunk.first = chunk.last;
        while (chunk.last < count && lines[chunk.last].start < end)
            chunk.last++;
        chunk.from = chunk.first < count ? lines[chunk.first].start : len;
        chunk.to = chunk.last < count ? lines[chunk.last].start : len;
        for (int way = 0; way < 2; way++) {
            lithops_error err = LITHOPS_ERROR_INIT;
            lithops_stream *stream = open_range(path, len, start, end, newline, &err);
            must(stream != NULL, err.message);
            if (way == 0)
                read_lines(stream, &chunk);
            else
                read_by_seed(stream, &chunk, seed);
            must(lithops_stream_error(stream, &err) == 0, err.message);
            lithops__stream_close(stream);
        }
    }
    must(chunk.last == count, "lines are left over");
    free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    size_t newline_len = 1 + data[0] % 8, chunks = 1 + data[1] % 16;
    uint32_t seed = data[2];
    data += 3;
    size -= 3;
    if (size < newline_len)
        return 0;
    char newline[9] = "";
    for (size_t i = 0; i < newline_len; i++)
        newline[i] = data[i] ? (char)data[i] : 'a'; /* obj_newline is a C string */
    check_chunks((const char *)data + newline_len, size - newline_len, newline, chunks, seed);
    return 0;
}
