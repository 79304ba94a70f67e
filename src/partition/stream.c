/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: one chunk of an object, in whole lines.
 *
 * The plan gives a byte range [start, end). The lines of the chunk are those whose first byte lies
 * in it, so their bytes are [P(start), P(end)), where P(x) is the first start of a line at or
 * behind x. Every method gives exactly these bytes; two chunks that meet at x find the same P(x),
 * each for itself, which is why no line is lost or given twice.
 *
 * Finding P(start): a line starts behind a separator, but what is a separator depends on the bytes
 * before it when a separator can overlap itself. The scan is a small automaton; its state at
 * `start` is found by running it over a window before `start` from all states at once, until they
 * agree (one byte for "\n", nearly always the first window for others), and over earlier windows as
 * long as they do not. At the first byte of the object the state is known.
 *
 * P(end) is not looked for: a reader of lines stops at the first line that starts at or behind
 * `end`. Only lithops_stream_read(), which may stop inside a line, must know it, and then finds it
 * as P(start) is found.
 *
 * One buffer slides over the object. It grows only while one line does not fit. Freed buffers of
 * the usual size are kept for the next stream, because touching fresh memory costs more than
 * reading a cached file into it. */
#include "base/error.h"
#include "partition/count.h"
#include "partition/names.h"
#include "partition/partition.h"
#include "partition/separator.h"
#include "partition/source.h"
#include "partition/spec.h"
#include "storage/backends/client/client.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define LINE_BYTES 64u
#define BLOCK_BYTES ((size_t)256 << 10) /* fits the second-level cache of most CPUs */
#define FILE_OVERSHOOT 4096             /* read behind `end` at once: most lines end in it */
#define REMOTE_OVERSHOOT 65536
#define FIRST_WINDOW 64 /* per byte of the separator; for several states to agree */
#define WINDOW_MAX 65536

struct lithops_stream {
    struct lithops__spec spec;
    struct lithops__source *source;
    struct lithops__separator separator; /* len 0: plain byte ranges */
    uint64_t start, end;                 /* the planned range */
    uint64_t size;                       /* of the object; UINT64_MAX until its end was seen */
    uint64_t limit;                      /* no byte behind it is of interest */

    unsigned char *block; /* the buffer, `capacity` bytes */
    size_t capacity;
    unsigned char *buf; /* in it, the object's bytes [offset, offset + len) */
    size_t len;
    uint64_t offset;

    uint64_t pos;  /* the next byte to give: P(start) at first */
    uint64_t stop; /* P(end) once it was needed, else UINT64_MAX */
    bool aligned;  /* pos has been found */
    bool inside;   /* pos may lie inside a line, after lithops_stream_read() */
    lithops_error error;
};

/* ---- the buffer ------------------------------------------------------------------------------ */

static _Atomic(void *) spare_block; /* of BLOCK_BYTES */

static bool take_block(lithops_stream *stream)
{
    if (stream->block)
        return true;
    stream->block = atomic_exchange(&spare_block, NULL);
    if (!stream->block)
        stream->block = aligned_alloc(PAGE_BYTES, BLOCK_BYTES);
    stream->buf = stream->block;
    stream->capacity = stream->block ? BLOCK_BYTES : 0;
    return stream->block;
}

static void give_block(lithops_stream *stream)
{
    void *block = stream->block;
    if (block && stream->capacity == BLOCK_BYTES)
        block = atomic_exchange(&spare_block, block);
    free(block);
}

static int fail(lithops_stream *stream, int code)
{
    stream->error.code = code;
    return code;
}

static int fail_shorter(lithops_stream *stream, uint64_t size)
{
    return fail(stream,
                lithops__fail(&stream->error, LITHOPS_EIO,
                              "the object has %llu bytes, but had %llu when it was split into "
                              "chunks; run the job again, and do not change its input",
                              (unsigned long long)size, (unsigned long long)stream->size));
}

/* Forget what lies before `keep`. What stays is put where the bytes behind it begin a cache line,
 * as they do in the page cache: the kernel copies a fifth faster then. */
static void drop(lithops_stream *stream, uint64_t keep)
{
    uint64_t gone = keep - stream->offset;
    if (gone == 0)
        return;
    size_t left = gone < stream->len ? stream->len - (size_t)gone : 0;
    unsigned char *to = stream->block + (gone >= LINE_BYTES ? -left % LINE_BYTES : 0);
    if (left)
        memmove(to, stream->buf + gone, left);
    stream->buf = to;
    stream->len = left;
    stream->offset = keep;
}

/* Room behind the bytes at hand: 0 when memory is out. */
static size_t make_room(lithops_stream *stream)
{
    size_t before = stream->block ? (size_t)(stream->buf - stream->block) + stream->len : 0;
    if (take_block(stream) && before < stream->capacity)
        return stream->capacity - before;
    unsigned char *larger = stream->capacity > 0 && stream->capacity <= SIZE_MAX / 2
                                ? realloc(stream->block, 2 * stream->capacity)
                                : NULL;
    if (!larger) {
        fail(stream, lithops__fail(&stream->error, LITHOPS_ENOMEM,
                                   "out of memory for a line of more than %zu bytes", stream->len));
        return 0;
    }
    stream->buf = larger + (before - stream->len);
    stream->block = larger;
    stream->capacity *= 2;
    return stream->capacity - before;
}

/* Read on behind the bytes at hand, of which those before `keep` are not needed any more.
 * 1: there are more now; 0: the end; negative: an error. */
static int fill(lithops_stream *stream, uint64_t keep)
{
    drop(stream, keep);
    uint64_t at = stream->offset + stream->len;
    if (at >= stream->limit)
        return 0;
    size_t room = make_room(stream), got;
    if (!room)
        return stream->error.code;
    /* Up to the end of the chunk and a little more, in which most last lines end; a line that is
     * longer is read in whole blocks. */
    uint64_t overshoot =
        lithops__source_is_file(stream->source) ? FILE_OVERSHOOT : REMOTE_OVERSHOOT;
    uint64_t goal =
        stream->limit - stream->end < overshoot ? stream->limit : stream->end + overshoot;
    uint64_t want = (at < goal ? goal : stream->limit) - at;
    if (want < room)
        room = (size_t)want;
    else if (room > PAGE_BYTES)
        room -= (at + room) % PAGE_BYTES; /* the next read begins a page */
    int rc = lithops__source_read(stream->source, at, goal > at + room ? goal : at + room,
                                  stream->buf + stream->len, room, &got, &stream->error);
    if (rc)
        return fail(stream, rc);
    stream->len += got;
    if (got < room && stream->size != UINT64_MAX)
        return fail_shorter(stream, at + got);
    if (got < room) /* a URL of unknown size, a pipe, a packed object */
        stream->size = stream->limit = stream->end = at + got;
    return got > 0;
}

static size_t at_hand(const lithops_stream *stream, uint64_t from)
{
    uint64_t end = stream->offset + stream->len;
    return from >= stream->offset && from < end ? (size_t)(end - from) : 0;
}

static const unsigned char *bytes_at(const lithops_stream *stream, uint64_t offset)
{
    return stream->buf + (offset - stream->offset);
}

/* ---- where lines start ----------------------------------------------------------------------- */

static bool agree(const struct lithops__phase *phases, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (phases[i].matched != phases[0].matched || phases[i].at_start != phases[0].at_start)
            return false;
    return true;
}

/* The bytes [*ret_from, to), at most `len`: those at hand, else read into *window, which is made
 * when it is first needed. */
static int window_before(lithops_stream *stream, uint64_t to, size_t len, unsigned char **window,
                         const unsigned char **ret_bytes, uint64_t *ret_from)
{
    uint64_t from = len < to ? to - len : 0;
    if (stream->offset < to && to <= stream->offset + stream->len) {
        *ret_from = from > stream->offset ? from : stream->offset;
        *ret_bytes = bytes_at(stream, *ret_from);
        return 0;
    }
    size_t got = 0;
    if (!*window)
        *window = malloc(WINDOW_MAX);
    int rc = *window ? lithops__source_read(stream->source, from, to, *window, (size_t)(to - from),
                                            &got, &stream->error)
                     : lithops__fail(&stream->error, LITHOPS_ENOMEM,
                                     "out of memory for looking for lines");
    if (rc == 0 && got < to - from)
        rc = fail_shorter(stream, from + got);
    *ret_bytes = *window;
    *ret_from = from;
    return rc ? fail(stream, rc) : 0;
}

static size_t first_window(const lithops_stream *stream)
{
    return stream->separator.len == 1 ? 1 : FIRST_WINDOW * stream->separator.len;
}

/* Where the scan of the object stands at `x`. */
static int find_phase(lithops_stream *stream, uint64_t x, struct lithops__phase *ret_phase)
{
    *ret_phase = (struct lithops__phase){0, true};
    if (x == 0)
        return 0;
    size_t states = stream->separator.len, len = first_window(stream);
    struct lithops__phase phases[LITHOPS__SEPARATOR_MAX], earlier[LITHOPS__SEPARATOR_MAX];
    phases[0] = *ret_phase;
    unsigned char *window = NULL;
    uint64_t to = x;
    int rc = 0;
    do {
        const unsigned char *bytes;
        uint64_t from;
        rc = window_before(stream, to, len, &window, &bytes, &from);
        if (rc)
            break;
        lithops__separator_run(&stream->separator, bytes, (size_t)(to - from), earlier);
        for (size_t q = 0; q < states && to < x; q++)
            earlier[q] = phases[earlier[q].matched];
        memcpy(phases, earlier, states * sizeof *phases);
        to = from;
        len = 4 * len < WINDOW_MAX ? 4 * len : WINDOW_MAX;
    } while (to > 0 && !agree(phases, states));
    free(window);
    *ret_phase = phases[0]; /* at the first byte of the object nothing has been matched */
    return rc;
}

/* Find the first separator behind `from`, holding no more than a block. *ret_end: where it ends,
 * at most `limit`; `limit` when none ends before. */
static int find_separator_end(lithops_stream *stream, uint64_t from, uint64_t limit,
                              uint64_t *ret_end)
{
    size_t keep = stream->separator.len - 1;
    for (;;) {
        size_t len = at_hand(stream, from);
        const unsigned char *found =
            len ? lithops__separator_find(&stream->separator, bytes_at(stream, from), len) : NULL;
        uint64_t end = found ? stream->offset + (uint64_t)(found - stream->buf) + keep + 1
                             : stream->offset + stream->len;
        if (found || end >= limit) {
            *ret_end = end < limit ? end : limit;
            return 0;
        }
        if (len > keep)
            from += len - keep;
        int rc = fill(stream, from);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            *ret_end = limit;
            return 0;
        }
    }
}

/* P(x), or `limit` when that is less. */
static int find_line_start(lithops_stream *stream, uint64_t x, uint64_t limit, uint64_t *ret_start)
{
    struct lithops__phase phase = {0};
    int rc = find_phase(stream, x, &phase);
    *ret_start = x;
    if (rc || phase.at_start)
        return rc;
    /* The separator that is begun at x may be the one; it is searched from its first byte. */
    uint64_t from = x - phase.matched;
    if (from < stream->offset || from > stream->offset + stream->len) {
        stream->offset = from;
        stream->len = 0;
    }
    return find_separator_end(stream, from, limit, ret_start);
}

static bool align(lithops_stream *stream)
{
    if (stream->aligned || stream->error.code)
        return !stream->error.code;
    stream->aligned = true;
    stream->pos = stream->offset = stream->start;
    if (stream->start >= stream->end || stream->start == 0 || !stream->separator.len)
        return true;
    /* The window before `start` comes with the first block. */
    size_t window = first_window(stream);
    stream->offset = stream->start > window ? stream->start - window : 0;
    if (lithops__source_is_file(stream->source))
        stream->offset -= stream->offset % PAGE_BYTES;
    return fill(stream, stream->offset) >= 0 &&
           find_line_start(stream, stream->start, stream->end, &stream->pos) == 0;
}

/* ---- giving lines ---------------------------------------------------------------------------- */

/* lithops_stream_read() has stopped at pos: the rest of the line there, without and with its
 * separator. *ret_more is false when a line starts at pos. */
static bool rest_of_line(lithops_stream *stream, bool *ret_more, lithops_bytes *ret_line,
                         lithops_bytes *ret_whole)
{
    struct lithops__phase phase;
    *ret_more = false;
    stream->inside = false;
    if (!stream->separator.len || stream->pos >= stream->limit)
        return true;
    if (find_phase(stream, stream->pos, &phase) != 0)
        return false;
    if (phase.at_start)
        return true;
    uint64_t pos = stream->pos, from = pos - phase.matched, end;
    if (from < stream->offset) {
        stream->offset = from;
        stream->len = 0;
    }
    for (size_t searched = 0;;) {
        size_t len = at_hand(stream, from);
        const unsigned char *found = NULL;
        if (len > searched)
            found = lithops__separator_find(&stream->separator, bytes_at(stream, from) + searched,
                                            len - searched);
        if (found) {
            uint64_t line_end = stream->offset + (uint64_t)(found - stream->buf);
            end = line_end + stream->separator.len;
            ret_line->len = line_end > pos ? (size_t)(line_end - pos) : 0;
            break;
        }
        searched = len >= stream->separator.len ? len - (stream->separator.len - 1) : 0;
        int rc = fill(stream, from);
        if (rc < 0)
            return false;
        if (rc == 0) {
            end = stream->limit;
            ret_line->len = (size_t)(end - pos);
            break;
        }
    }
    ret_line->ptr = ret_whole->ptr = bytes_at(stream, pos);
    ret_whole->len = (size_t)(end - pos);
    stream->pos = end;
    *ret_more = true;
    return true;
}

bool lithops_stream_next_line(lithops_stream *stream, lithops_bytes *ret_line)
{
    if (!align(stream))
        return false;
    if (stream->inside) {
        bool more;
        lithops_bytes whole;
        if (!rest_of_line(stream, &more, ret_line, &whole) || more)
            return !stream->error.code;
    }
    const struct lithops__separator *separator = &stream->separator;
    for (size_t searched = 0; stream->pos < stream->end;) {
        size_t len = at_hand(stream, stream->pos);
        if (len > searched) {
            const unsigned char *line = bytes_at(stream, stream->pos);
            const unsigned char *found =
                lithops__separator_find(separator, line + searched, len - searched);
            if (found) {
                *ret_line = (lithops_bytes){line, (size_t)(found - line)};
                stream->pos += ret_line->len + separator->len;
                return true;
            }
            searched = len >= separator->len ? len - (separator->len - 1) : 0;
            if (!separator->len)
                searched = len;
        }
        int rc = fill(stream, stream->pos);
        if (rc < 0)
            return false;
        if (rc == 0 && len) { /* the last line, without a separator */
            *ret_line = (lithops_bytes){bytes_at(stream, stream->pos), len};
            stream->pos += len;
            return true;
        }
        if (rc == 0)
            return false;
    }
    return false;
}

bool lithops_stream_next_block(lithops_stream *stream, lithops_bytes *ret_block)
{
    if (!align(stream))
        return false;
    if (stream->inside) {
        bool more;
        lithops_bytes line;
        if (!rest_of_line(stream, &more, &line, ret_block) || more)
            return !stream->error.code;
    }
    while (stream->pos < stream->end) {
        size_t len = at_hand(stream, stream->pos), whole = 0;
        uint64_t want = stream->end - stream->pos;
        if (len && stream->separator.len)
            whole = lithops__separator_whole(&stream->separator, bytes_at(stream, stream->pos), len,
                                             want < SIZE_MAX ? (size_t)want : SIZE_MAX);
        else
            whole = len;
        int rc = whole ? 1 : fill(stream, stream->pos);
        if (rc < 0)
            return false;
        if (rc == 0)
            whole = len; /* the last line, without a separator */
        if (whole) {
            *ret_block = (lithops_bytes){bytes_at(stream, stream->pos), whole};
            stream->pos += whole;
            return true;
        }
        if (rc == 0)
            return false;
    }
    return false;
}

/* The `count`-th of the separators at data; there are that many. */
static size_t end_of_nth(const unsigned char *data, size_t len, unsigned char byte, int64_t count)
{
    const unsigned char *next = data;
    for (; count > 0; count--)
        next = (const unsigned char *)memchr(next, byte, len - (size_t)(next - data)) + 1;
    return (size_t)(next - data);
}

/* From a line at pos on, which starts in the chunk: each separator before end - 1 ends one line and
 * starts another one of this chunk. So the last line's own end need not be found to count it. */
static int64_t skip_by_counting(lithops_stream *stream, int64_t max)
{
    unsigned char byte = stream->separator.bytes[0];
    int64_t lines = 0;
    bool line_open = false; /* a line has begun before pos */
    while (lines < max && stream->pos < stream->end) {
        size_t len = at_hand(stream, stream->pos);
        if (!len) {
            int rc = fill(stream, stream->pos);
            if (rc < 0)
                return lines;
            if (rc == 0) /* the end of a URL of unknown size; `end` is known now */
                break;
            continue;
        }
        const unsigned char *data = bytes_at(stream, stream->pos);
        bool last = len >= stream->end - stream->pos;
        if (last)
            len = (size_t)(stream->end - stream->pos) - 1;
        size_t found = lithops__count_byte(data, len, byte);
        if (found >= (uint64_t)(max - lines)) {
            stream->pos += end_of_nth(data, len, byte, max - lines);
            return max;
        }
        lines += (int64_t)found;
        line_open = !len || data[len - 1] != byte;
        stream->pos += len;
        if (last) {
            stream->pos = stream->limit;
            return lines + 1;
        }
    }
    return lines + (line_open && lines < max);
}

int64_t lithops_stream_skip_lines(lithops_stream *stream, int64_t max)
{
    int64_t lines = 0;
    lithops_bytes line;
    if (!align(stream))
        return 0;
    if (max > 0 && stream->inside && lithops_stream_next_line(stream, &line))
        lines = 1;
    if (stream->separator.len == 1 && lines < max && !stream->error.code)
        return lines + skip_by_counting(stream, max - lines);
    if (!stream->separator.len && lines < max && stream->pos < stream->end) {
        lithops_bytes block; /* one "line", which need not be held */
        while (lithops_stream_next_block(stream, &block))
            lines = 1;
        return lines;
    }
    while (lines < max && lithops_stream_next_line(stream, &line))
        lines++;
    return lines;
}

int64_t lithops_stream_read(lithops_stream *stream, void *buf, size_t len)
{
    if (!align(stream))
        return -1;
    /* What lies before `end` belongs to the chunk; what lies behind it does up to P(end). */
    if (stream->pos >= stream->end && stream->stop == UINT64_MAX) {
        stream->stop = stream->pos;
        if (stream->inside && stream->separator.len &&
            find_line_start(stream, stream->pos, stream->limit, &stream->stop) != 0)
            return -1;
    }
    uint64_t bound = stream->pos < stream->end ? stream->end : stream->stop;
    if (stream->pos >= bound || !len)
        return 0;
    size_t there = at_hand(stream, stream->pos);
    if (!there) {
        if (stream->pos < stream->offset) { /* the search for P(end) has gone ahead */
            stream->offset = stream->pos;
            stream->len = 0;
        }
        int rc = fill(stream, stream->pos);
        if (rc <= 0)
            return rc < 0 ? -1 : 0;
        there = at_hand(stream, stream->pos);
    }
    if (there > bound - stream->pos)
        there = (size_t)(bound - stream->pos);
    if (there > len)
        there = len;
    memcpy(buf, bytes_at(stream, stream->pos), there);
    stream->pos += there;
    stream->inside = true;
    return (int64_t)there;
}

int lithops_stream_rewind(lithops_stream *stream)
{
    stream->aligned = stream->inside = false; /* the next read looks for P(start) */
    stream->buf = stream->block;
    stream->len = 0;
    return stream->error.code;
}

/* ---- opening --------------------------------------------------------------------------------- */

const lithops_object *lithops_stream_object(const lithops_stream *stream)
{
    return &stream->spec.object;
}

int lithops_stream_error(const lithops_stream *stream, lithops_error *err)
{
    if (stream->error.code && err)
        *err = stream->error;
    return stream->error.code;
}

static int begin(lithops_stream *stream, bool of_client, lithops_storage *storage,
                 lithops_error *err)
{
    const lithops_object *object = &stream->spec.object;
    stream->start = object->range_start;
    stream->end = object->range_end;
    stream->size = object->object_size_bytes;
    stream->limit = stream->spec.newline.len ? stream->size : stream->end;
    stream->stop = UINT64_MAX;
    int rc = stream->spec.newline.len
                 ? lithops__separator_init(&stream->separator, stream->spec.newline, err)
                 : 0;
    return rc ? rc
              : lithops__source_open(object, stream->spec.packing, of_client, storage,
                                     &stream->source, err);
}

/* The visitor that takes one object and no more. */
static int take_object(const lithops_object *object, bool parts, void *user, lithops_error *err)
{
    (void)parts;
    struct lithops__spec *spec = user;
    if (spec->text)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "the name stands for several objects; one is expected");
    return lithops__spec_of(object, "\n", spec, err);
}

/* As a plan does, of an object that is opened by its name. */
static int look_into(struct lithops__spec *spec, lithops_storage *storage, lithops_error *err)
{
    int rc = lithops__packing_of(&spec->object, storage, &spec->packing, err);
    if (spec->packing == LITHOPS__PACKING_OTHER)
        spec->packing = LITHOPS__PACKING_NONE;
    if (spec->packing != LITHOPS__PACKING_NONE)
        spec->object.object_size_bytes = spec->object.range_end = spec->object.chunk_size_bytes =
            UINT64_MAX;
    return rc;
}

/* What `name` stands for, here. */
static int find_here(const lithops_value *name, lithops_storage *storage,
                     struct lithops__spec *ret_spec, lithops_error *err)
{
    char folder[PATH_MAX];
    int rc = lithops__names_expand(name, getcwd(folder, sizeof folder), storage, take_object,
                                   ret_spec, err);
    return rc == 0 ? look_into(ret_spec, storage, err) : rc;
}

lithops_value *lithops__stream_find(const lithops_value *name, lithops_storage *storage,
                                    lithops_error *err)
{
    struct lithops__spec spec = {.text = NULL};
    lithops_value *value = NULL;
    if (find_here(name, storage, &spec, err) == 0 &&
        !(value = lithops__spec_encode(&spec.object, "\n", spec.packing)))
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the name of an object");
    lithops__spec_deinit(&spec);
    return value;
}

/* What `name` stands for at the client. Cloudobjects need no client to be found. */
static int find_there(const lithops_value *name, lithops_storage *storage,
                      struct lithops__spec *ret_spec, lithops_error *err)
{
    if (lithops_value_is_cloudobject(name))
        return find_here(name, storage, ret_spec, err);
    lithops_value *found = lithops__client_find(name, err);
    int rc = found ? lithops__spec_decode(found, ret_spec, err) : err->code;
    lithops_value_free(found);
    return rc;
}

static int open_stream(const lithops_value *spec, bool of_client, lithops_storage *storage,
                       lithops_stream **ret_stream, lithops_error *err)
{
    lithops_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for a stream");
    int rc = 0;
    if (lithops__is_partition(spec))
        rc = lithops__spec_decode(spec, &stream->spec, err);
    else
        rc = of_client ? find_there(spec, storage, &stream->spec, err)
                       : find_here(spec, storage, &stream->spec, err);
    if (rc == 0)
        rc = begin(stream, of_client, storage, err);
    if (rc) {
        lithops__stream_close(stream);
        return rc;
    }
    *ret_stream = stream;
    return 0;
}

int lithops__stream_open(const lithops_value *spec, lithops_storage *storage,
                         lithops_stream **ret_stream, lithops_error *err)
{
    return open_stream(spec, false, storage, ret_stream, err);
}

int lithops__stream_open_of_client(const lithops_value *spec, lithops_storage *storage,
                                   lithops_stream **ret_stream, lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    return open_stream(spec, lithops__client_is_elsewhere(), storage, ret_stream, err ? err : &own);
}

void lithops__stream_close(lithops_stream *stream)
{
    if (!stream)
        return;
    lithops__source_close(stream->source);
    lithops__separator_deinit(&stream->separator);
    lithops__spec_deinit(&stream->spec);
    give_block(stream);
    free(stream);
}
