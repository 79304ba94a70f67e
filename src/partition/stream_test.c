/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of streams: every line of an object is in exactly one chunk, whatever the text, the
 * separator, the chunks, and the way of reading. */
#include "base/error.h"
#include "partition/count.h"
#include "partition/separator.h"
#include "partition/stream_test_tools.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int file = -1; /* a memory file that holds the text under test */
static char path[64];

static int make_file(void **state)
{
    (void)state;
    file = memfd_create("text", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return file < 0;
}

static int close_file(void **state)
{
    (void)state;
    return close(file);
}

static void set_text(const void *text, size_t len)
{
    assert_int_equal(ftruncate(file, (off_t)len), 0);
    assert_int_equal(pwrite(file, text, len, 0), len);
}

static lithops_stream *open_chunk(uint64_t size, uint64_t start, uint64_t end, const char *newline)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_stream *stream = open_range(path, size, start, end, newline, &err);
    if (!stream)
        fail_msg("%s", err.message);
    return stream;
}

static void check_no_error(lithops_stream *stream)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops_stream_error(stream, &err))
        fail_msg("%s", err.message);
}

#if defined(__SANITIZE_THREAD__) /* it looks at all that a memchr() might search, in each call */
enum { SCALE = 20 };
#else
enum { SCALE = 1 };
#endif

/* ---- one chunk, read in every way ------------------------------------------------------------ */

enum { WAYS = 8 };

static uint64_t random_state = 88172645463325252u;
static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

/* What a chunk must give: lines[first, last) of the text, its bytes [from, to). */
struct expected {
    const char *text, *newline;
    uint64_t size, start, end;
    const struct reference_line *lines;
    size_t first, last;
    uint64_t from, to;
};

static void read_way(lithops_stream *stream, int way, const struct expected *expected,
                     struct gathered *all)
{
    lithops_bytes piece;
    char small[3];
    int64_t got;
    switch (way) {
    case 0:
        gather_lines(stream, expected->newline, expected->to - expected->from, all);
        break;
    case 1:
        gather_blocks(stream, all);
        break;
    case 2:
        gather_reads(stream, 1, all);
        break;
    case 3:
        gather_reads(stream, 1 << 20, all);
        break;
    case 4: /* a line, then blocks */
        if (lithops_stream_next_line(stream, &piece)) {
            gather(all, piece.ptr, piece.len);
            if (all->len < expected->to - expected->from)
                gather(all, expected->newline, strlen(expected->newline));
        }
        gather_blocks(stream, all);
        break;
    case 5: /* a few bytes, which stop anywhere, then a block, in turns */
        all->lines = -1;
        while ((got = lithops_stream_read(stream, small, 3)) > 0) {
            gather(all, small, (size_t)got);
            if (lithops_stream_next_block(stream, &piece))
                gather(all, piece.ptr, piece.len);
        }
        break;
    case 6: /* count lines one by one */
        while (lithops_stream_skip_lines(stream, 1) == 1)
            all->lines++;
        break;
    case 7: /* count all of them */
        all->lines = lithops_stream_skip_lines(stream, INT64_MAX);
        break;
    }
}

static void complain(const struct expected *e, const char *what, const char *given, size_t len)
{
    fail_msg("%s, separator of %zu bytes, chunk %llu..%llu of '%.*s': '%.*s' instead of '%.*s' "
             "(%zu lines)",
             what, strlen(e->newline), (unsigned long long)e->start, (unsigned long long)e->end,
             (int)(e->size < 200 ? e->size : 200), e->text, (int)(len < 200 ? len : 200),
             given ? given : "", (int)(e->to - e->from < 200 ? e->to - e->from : 200),
             e->text + e->from, e->last - e->first);
}

static void check_end(lithops_stream *stream)
{
    char byte;
    lithops_bytes none;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops_stream_error(stream, &err))
        fail_msg("%s", err.message);
    assert_false(lithops_stream_next_line(stream, &none));
    assert_false(lithops_stream_next_block(stream, &none));
    assert_int_equal(lithops_stream_read(stream, &byte, 1), 0);
    assert_int_equal(lithops_stream_skip_lines(stream, 5), 0);
}

static void check_chunk(const struct expected *e, int way)
{
    struct gathered all = {.data = NULL};
    lithops_stream *stream = open_chunk(e->size, e->start, e->end, e->newline);
    char what[16];
    snprintf(what, sizeof what, "way %d", way);
    read_way(stream, way, e, &all);
    if (way < 6 && (all.len != e->to - e->from ||
                    (all.len && memcmp(all.data, e->text + e->from, all.len) != 0)))
        complain(e, what, all.data, all.len);
    if (all.lines >= 0 && way != 4 && all.lines != (int64_t)(e->last - e->first))
        fail_msg("way %d counts %lld lines instead of %zu", way, (long long)all.lines,
                 e->last - e->first);
    check_end(stream);
    lithops__stream_close(stream);
    free(all.data);
}

/* All methods in random order on one stream, which is rewound now and then, each against a position
 * in the reference. */
static void check_mixed(const struct expected *e)
{
    lithops_stream *stream = open_chunk(e->size, e->start, e->end, e->newline);
    uint64_t pos = e->from;
    size_t line = e->first; /* the one that pos is in */
    while (pos < e->to || (e->from < e->to && random_below(4) == 0)) {
        if (pos >= e->to || random_below(40) == 0) {
            assert_int_equal(lithops_stream_rewind(stream), 0);
            pos = e->from;
            line = e->first;
        }
        char buf[64];
        lithops_bytes piece = {NULL, 0};
        bool block = false;
        uint64_t next = line + 1 < e->last ? e->lines[line + 1].start : e->to;
        size_t rest = e->lines[line].end > pos ? (size_t)(e->lines[line].end - pos) : 0;
        switch (random_below(4)) {
        case 0: {
            int64_t got = lithops_stream_read(stream, buf, 1 + random_below(sizeof buf));
            if (got <= 0 || (uint64_t)got > e->to - pos ||
                memcmp(buf, e->text + pos, (size_t)got) != 0)
                complain(e, "mixed read", buf, got > 0 ? (size_t)got : 0);
            pos += (uint64_t)got;
            break;
        }
        case 1:
            if (!lithops_stream_next_line(stream, &piece) || piece.len != rest ||
                (rest && memcmp(piece.ptr, e->text + pos, rest) != 0))
                complain(e, "mixed line", piece.ptr, piece.len);
            pos = next;
            break;
        case 2:
            if (!lithops_stream_next_block(stream, &piece) || piece.len == 0 ||
                piece.len > e->to - pos || memcmp(piece.ptr, e->text + pos, piece.len) != 0)
                complain(e, "mixed block", piece.ptr, piece.len);
            pos += piece.len;
            block = true;
            break;
        default: {
            int64_t max = 1 + (int64_t)random_below(5);
            int64_t there = (int64_t)(e->last - line),
                    skipped = lithops_stream_skip_lines(stream, max);
            assert_int_equal(skipped, max < there ? max : there);
            line += (size_t)skipped;
            pos = line < e->last ? e->lines[line].start : e->to;
            break;
        }
        }
        while (line < e->last && (line + 1 < e->last ? e->lines[line + 1].start : e->to) <= pos)
            line++;
        if (block) /* ends where a line does */
            assert_true(pos == e->to || e->lines[line].start == pos);
    }
    check_end(stream);
    lithops__stream_close(stream);
}

/* All chunks of `chunk_size`, in some ways, against the reference. The file holds the text. */
static void check_text(const char *text, size_t len, const char *newline, size_t chunk_size,
                       int first_way, int last_way)
{
    struct reference_line *lines = calloc(len + 1, sizeof *lines);
    size_t count = reference_lines(text, len, newline, strlen(newline), lines);
    struct expected e = {.text = text, .newline = newline, .size = len, .lines = lines};
    for (e.start = 0; e.start < len; e.start += chunk_size) {
        e.end = e.start + chunk_size < len ? e.start + chunk_size : len;
        e.first = e.last;
        while (e.last < count && lines[e.last].start < e.end)
            e.last++;
        e.from = e.first < count ? lines[e.first].start : len;
        e.to = e.last < count ? lines[e.last].start : len;
        for (int way = first_way; way <= last_way; way++)
            check_chunk(&e, way);
        check_mixed(&e);
    }
    assert_int_equal(e.last, count); /* no line was left over */
    free(lines);
}

/* ---- exhaustive ------------------------------------------------------------------------------ */

static void every_short_text(const char *alphabet, const char *separator, size_t max_len)
{
    size_t letters = strlen(alphabet);
    char text[16];
    for (size_t len = 0; len <= max_len; len++) {
        size_t texts = 1;
        for (size_t i = 0; i < len; i++)
            texts *= letters;
        for (size_t n = 0; n < texts; n++) {
            for (size_t i = 0, rest = n; i < len; i++, rest /= letters)
                text[i] = alphabet[rest % letters];
            set_text(text, len);
            for (size_t chunk_size = 1; chunk_size <= len; chunk_size++)
                check_text(text, len, separator, chunk_size, 0, WAYS - 1);
        }
    }
}

static void every_short_text_one_byte(void **state)
{
    (void)state;
    every_short_text("a\n", "\n", 6);
}

static void every_short_text_two_bytes(void **state)
{
    (void)state;
    every_short_text("\r\na", "\r\n", 4);
    every_short_text("a\n", "\n\n", 6);
    every_short_text("ab", "ab", 5);
}

static void every_short_text_overlapping(void **state)
{
    (void)state;
    every_short_text("ab", "aba", 6);
    every_short_text("ab", "aa", 6);
    every_short_text("ab", "aaa", 6);
    every_short_text("ab", "abab", 6);
    every_short_text("ab", "aabaa", 6);
}

/* ---- random ---------------------------------------------------------------------------------- */

static const char *const separators[] = {"\n",  "\r\n",  "\n\n",     "aa",
                                         "aba", "aabaa", "abcabcab", "\xe2\x80\xa8"};
enum { SEPARATORS = sizeof separators / sizeof *separators };

/* Text that is full of separators, of their parts, and of long stretches without them. */
static size_t random_text(char *text, size_t len, const char *separator)
{
    size_t used = 0, separator_len = strlen(separator);
    while (used < len) {
        size_t kind = random_below(16), n;
        if (kind < 6) { /* a separator or a part of one */
            n = kind < 3 ? separator_len : 1 + random_below(separator_len);
            n = n < len - used ? n : len - used;
            memcpy(text + used, separator, n);
        } else if (kind < 9) { /* one letter, many times */
            n = 1 + random_below(kind == 8 ? 3000 : 8);
            n = n < len - used ? n : len - used;
            memset(text + used, separator[random_below(separator_len)], n);
        } else {
            n = 1 + random_below(kind == 15 ? 20000 : 80);
            n = n < len - used ? n : len - used;
            for (size_t i = 0; i < n; i++)
                text[used + i] = (char)('a' + random_below(4));
        }
        used += n;
    }
    return len;
}

static void random_texts(void **state)
{
    (void)state;
    enum { MAX = 200000 / SCALE };
    char *text = malloc(MAX);
    for (int round = 0; round < 160 / SCALE; round++) {
        const char *separator = separators[round % SEPARATORS];
        size_t len =
            random_text(text, 1 + random_below(round < 80 / SCALE ? 2000 : MAX), separator);
        set_text(text, len);
        size_t chunk_size = 1 + random_below(len);
        if (len / chunk_size > 40)
            chunk_size = len / 40 + 1;
        check_text(text, len, separator, chunk_size, 0, len < 2000 ? WAYS - 1 : 1);
        check_text(text, len, separator, chunk_size, 3, 4);
        check_text(text, len, separator, chunk_size, 6, 7);
    }
    free(text);
}

/* Larger than the buffer, so that blocks, windows and lines cross its end. */
static void long_lines_and_big_texts(void **state)
{
    (void)state;
    enum { LEN = (3 << 20) / SCALE };
    char *text = malloc(LEN);
    for (int i = 0; i < SEPARATORS; i++) {
        random_text(text, LEN, separators[i]);
        memset(text + LEN / 3, 'q', LEN / 3); /* one line of a third of the text */
        set_text(text, LEN);
        for (size_t parts = 1; parts <= 7; parts += 3) {
            check_text(text, LEN, separators[i], LEN / parts + 1, 0, 1);
            check_text(text, LEN, separators[i], LEN / parts + 1, 3, 4);
            check_text(text, LEN, separators[i], LEN / parts + 1, 6, 7);
        }
    }
    free(text);
}

/* States that never agree: which "aa" are separators is decided by the first byte. */
static void a_text_that_is_all_separator_bytes(void **state)
{
    (void)state;
    enum { LEN = 700000 / SCALE + 1 };
    char *text = malloc(LEN);
    memset(text, 'a', LEN);
    set_text(text, LEN);
    check_text(text, LEN, "aa", 99999, 0, 1);
    check_text(text, LEN, "aaaaa", 99999, 3, 4);
    check_text(text, LEN, "aaaaa", 99999, 6, 7);
    text[0] = 'b';
    set_text(text, LEN);
    check_text(text, LEN, "aa", 99999, 0, 1);
    free(text);
}

/* ---- plain byte ranges ----------------------------------------------------------------------- */

static void without_separator_chunks_are_byte_ranges(void **state)
{
    (void)state;
    enum { LEN = 1000000 };
    char *text = malloc(LEN);
    random_text(text, LEN, "\n");
    set_text(text, LEN);
    uint64_t ranges[][2] = {{0, LEN}, {0, 1}, {1, 2}, {LEN - 1, LEN}, {300000, 900001}, {7, 7}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        uint64_t start = ranges[i][0], end = ranges[i][1];
        for (int way = 0; way < 3; way++) {
            struct gathered all = {.data = NULL};
            lithops_stream *stream = open_chunk(LEN, start, end, NULL);
            if (way == 0)
                gather_blocks(stream, &all);
            else if (way == 1)
                gather_reads(stream, 1000, &all);
            else
                gather_lines(stream, "", 0, &all);
            check_no_error(stream);
            assert_int_equal(all.len, end - start);
            if (all.len)
                assert_memory_equal(all.data, text + start, all.len);
            if (way == 2)
                assert_int_equal(all.lines, end > start);
            lithops__stream_close(stream);
            stream = open_chunk(LEN, start, end, NULL);
            assert_int_equal(lithops_stream_skip_lines(stream, INT64_MAX), end > start);
            lithops__stream_close(stream);
            free(all.data);
        }
    }
    free(text);
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void an_object_that_shrank_is_an_error(void **state)
{
    (void)state;
    char text[] = "one\ntwo\nthree\n";
    for (int way = 0; way < 4; way++) {
        set_text(text, 14);
        lithops_stream *stream = open_chunk(14, 4, 14, "\n");
        set_text(text, 10);
        struct gathered all = {.data = NULL};
        if (way == 0)
            gather_lines(stream, "\n", 0, &all);
        else if (way == 1)
            gather_blocks(stream, &all);
        else if (way == 2)
            gather_reads(stream, 100, &all);
        else
            lithops_stream_skip_lines(stream, INT64_MAX);
        lithops_error err = LITHOPS_ERROR_INIT;
        assert_int_equal(lithops_stream_error(stream, &err), LITHOPS_EIO);
        assert_non_null(strstr(err.message, "10 bytes"));
        lithops_bytes line;
        assert_false(lithops_stream_next_line(stream, &line));
        assert_int_equal(lithops_stream_read(stream, text, 1), -1);
        lithops__stream_close(stream);
        free(all.data);
    }
}

static void an_object_that_grew_is_read_as_planned(void **state)
{
    (void)state;
    set_text("one\ntwo and more\n", 17);
    struct gathered all = {.data = NULL};
    lithops_stream *stream = open_chunk(7, 4, 7, "\n");
    gather_lines(stream, "\n", 3, &all);
    check_no_error(stream);
    assert_int_equal(all.lines, 1);
    assert_memory_equal(all.data, "two", 3);
    lithops__stream_close(stream);
    free(all.data);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_null(open_range("/no/such/file", 10, 0, 10, "\n", &err));
    assert_int_equal(err.code, LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "/no/such/file"));
    assert_null(open_range("/dev/null", 10, 0, 10, "\n", &err));
    assert_int_equal(err.code, LITHOPS_EUSAGE);
    assert_null(open_range("/tmp", 10, 0, 10, "\n", &err));
    assert_int_equal(err.code, LITHOPS_EUSAGE);
}

static void a_whole_file_by_name(void **state)
{
    (void)state;
    set_text("x\ny\n", 4);
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *name = lithops_value_string(path);
    lithops_stream *stream;
    assert_int_equal(lithops__stream_open(name, NULL, &stream, &err), 0);
    const lithops_object *object = lithops_stream_object(stream);
    char own[100]; /* the name of the descriptor that other processes know */
    snprintf(own, sizeof own, "/proc/%d%s", (int)getpid(), path + strlen("/proc/self"));
    assert_string_equal(object->path, own);
    assert_null(object->url);
    assert_null(object->bucket);
    assert_int_equal(object->object_size_bytes, 4);
    assert_int_equal(object->range_end, 4);
    assert_int_equal(object->total_parts, 1);
    assert_int_equal(lithops_stream_skip_lines(stream, INT64_MAX), 2);
    lithops__stream_close(stream);
    lithops_value_free(name);
    lithops__stream_close(NULL);
}

/* A line of 1 GiB may take memory when it is asked for whole, and must not otherwise. The child's
 * address space is limited, so that a buffer for the line cannot be had. */
static void a_huge_line_needs_no_memory_to_be_counted_or_read(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their shadow needs more address space than the limit leaves */
#endif
    const uint64_t size = (uint64_t)1 << 30;
    set_text("a\n", 2);
    assert_int_equal(ftruncate(file, (off_t)size), 0); /* zeros that take no space */
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {200 << 20, 200 << 20};
        setrlimit(RLIMIT_AS, &limit);
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_stream *stream = open_range(path, size, 0, 100, "\n", &err);
        int64_t lines = lithops_stream_skip_lines(stream, INT64_MAX);
        lithops__stream_close(stream);
        stream = open_range(path, size, 0, 100, "\n", &err);
        uint64_t total = 0;
        int64_t got;
        static char buf[1 << 20];
        while ((got = lithops_stream_read(stream, buf, sizeof buf)) > 0)
            total += (uint64_t)got;
        bool read_well = lithops_stream_error(stream, &err) == 0;
        lithops__stream_close(stream);
        /* A chunk inside the line has no lines, and must find that out. */
        stream = open_range(path, size, size / 4, size / 2, "\n", &err);
        int64_t inside = lithops_stream_skip_lines(stream, INT64_MAX);
        lithops__stream_close(stream);
        stream = open_range(path, size, 2, 100, "\n", &err);
        lithops_bytes line;
        bool too_large = !lithops_stream_next_line(stream, &line) &&
                         lithops_stream_error(stream, &err) == LITHOPS_ENOMEM;
        lithops__stream_close(stream);
        _exit(lines == 2 && total == size && read_well && inside == 0 && too_large ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    lithops_stream *stream = open_chunk(size, 2, 100, "\n");
    lithops_bytes line;
    assert_true(lithops_stream_next_line(stream, &line));
    assert_int_equal(line.len, size - 2);
    lithops__stream_close(stream);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void counting_is_the_same_in_all_variants(void **state)
{
    (void)state;
    unsigned char data[2000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)random_below(4) == 0 ? '\n' : (unsigned char)random_below(256);
    memset(data + 700, '\n', 600);
    for (const struct lithops__count_variant *v = lithops__count_variants(); v->name; v++) {
        print_message("count variant: %s\n", v->name);
        for (size_t start = 0; start < 70; start++)
            for (size_t len = 0; start + len <= sizeof data; len += len < 300 ? 1 : 97) {
                size_t expected = 0;
                for (size_t i = start; i < start + len; i++)
                    expected += data[i] == '\n';
                assert_int_equal(v->count(data + start, len, '\n'), expected);
            }
    }
    unsigned char *same = malloc(100000);
    for (int byte = 0; byte < 256; byte += 51) {
        memset(same, byte, 100000);
        for (const struct lithops__count_variant *v = lithops__count_variants(); v->name; v++) {
            assert_int_equal(v->count(same, 99999, (unsigned char)byte), 99999);
            assert_int_equal(v->count(same, 99999, (unsigned char)(byte + 1)), 0);
        }
    }
    free(same);
}

static void separators_have_a_length(void **state)
{
    (void)state;
    struct lithops__separator separator;
    lithops_error err = LITHOPS_ERROR_INIT;
    char longest[LITHOPS__SEPARATOR_MAX + 1];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(lithops__separator_init(&separator, (lithops_bytes){"", 0}, &err),
                     LITHOPS_EUSAGE);
    assert_int_equal(
        lithops__separator_init(&separator, (lithops_bytes){longest, sizeof longest}, &err),
        LITHOPS_EUSAGE);
    assert_int_equal(
        lithops__separator_init(&separator, (lithops_bytes){longest, LITHOPS__SEPARATOR_MAX}, &err),
        0);
    /* All its states stay apart over its own letter, and meet at another one. */
    struct lithops__phase phases[LITHOPS__SEPARATOR_MAX];
    lithops__separator_run(&separator, (const unsigned char *)longest, 1000, phases);
    assert_int_equal(phases[0].matched, 1000);
    assert_int_equal(phases[24].matched, 0);
    assert_true(phases[24].at_start);
    assert_int_equal(phases[25].matched, 1);
    lithops__separator_run(&separator, (const unsigned char *)"aab", 3, phases);
    for (size_t q = 0; q < LITHOPS__SEPARATOR_MAX; q++)
        assert_int_equal(phases[q].matched, 0);
    lithops__separator_deinit(&separator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_text_one_byte),
        cmocka_unit_test(every_short_text_two_bytes),
        cmocka_unit_test(every_short_text_overlapping),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(long_lines_and_big_texts),
        cmocka_unit_test(a_text_that_is_all_separator_bytes),
        cmocka_unit_test(without_separator_chunks_are_byte_ranges),
        cmocka_unit_test(an_object_that_shrank_is_an_error),
        cmocka_unit_test(an_object_that_grew_is_read_as_planned),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_whole_file_by_name),
        cmocka_unit_test(a_huge_line_needs_no_memory_to_be_counted_or_read),
        cmocka_unit_test(counting_is_the_same_in_all_variants),
        cmocka_unit_test(separators_have_a_length),
    };
    return cmocka_run_group_tests(tests, make_file, close_file);
}
