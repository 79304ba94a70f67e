/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of objects that are read from front to back: compressed ones, pipes, files of /proc. */
#include "partition/stream_test_tools.h"

#include "base/error.h"

#include <bzlib.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

static char folder[] = "/tmp/lithops-sequence-XXXXXX";

struct bytes {
    char *ptr;
    size_t len;
};

/* ---- making compressed files ----------------------------------------------------------------- */

static struct bytes gzip(const void *data, size_t len)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)len};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&z, len);
    struct bytes packed = {malloc(room), 0};
    z.next_out = (Bytef *)packed.ptr;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    packed.len = z.total_out;
    deflateEnd(&z);
    return packed;
}

static struct bytes zstd(const void *data, size_t len)
{
    size_t room = ZSTD_compressBound(len);
    struct bytes packed = {malloc(room), 0};
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    packed.len = ZSTD_compress2(context, packed.ptr, room, data, len);
    ZSTD_freeCCtx(context);
    assert_false(ZSTD_isError(packed.len));
    return packed;
}

static struct bytes bzip2(const void *data, size_t len)
{
    unsigned room = (unsigned)(len + len / 50 + 700);
    struct bytes packed = {malloc(room), 0};
    assert_int_equal(BZ2_bzBuffToBuffCompress(packed.ptr, &room, (char *)(uintptr_t)data,
                                              (unsigned)len, 1, 0, 0),
                     BZ_OK);
    packed.len = room;
    return packed;
}

static const struct {
    const char *ending;
    struct bytes (*pack)(const void *data, size_t len);

} formats[] = {{"gz", gzip}, {"zst", zstd}, {"bz2", bzip2}};
enum { FORMATS = sizeof formats / sizeof *formats };

/* Write the pieces into the file x.<ending>, and return its path. */
static const char *file_of(const char *ending, const struct bytes *pieces, size_t count)
{
    static char path[100];
    snprintf(path, sizeof path, "%s/x.%s", folder, ending);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (size_t i = 0; i < count; i++)
        if (pieces[i].len)
            assert_int_equal(fwrite(pieces[i].ptr, 1, pieces[i].len, file), pieces[i].len);
    fclose(file);
    return path;
}

static lithops_stream *open_path(const char *path, lithops_error *err)
{
    lithops_value *name = lithops_value_string(path);
    lithops_stream *stream = NULL;
    lithops__stream_open(name, NULL, &stream, err);
    lithops_value_free(name);
    return stream;
}

/* Text of lines of very different lengths. */
static struct bytes make_text(size_t len)
{
    struct bytes text = {malloc(len), len};
    unsigned x = 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1103515245u + 12345u;
        text.ptr[i] = (x >> 16) % 40 == 0 ? '\n' : (char)('a' + (x >> 20) % 16);
    }
    return text;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void assert_content(lithops_stream *stream, struct bytes text, int way)
{
    struct gathered all = {0};
    if (way == 0)
        gather_lines(stream, "\n", text.len, &all);
    else if (way == 1)
        gather_blocks(stream, &all);
    else
        gather_reads(stream, way == 2 ? 7 : 300000, &all);
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops_stream_error(stream, &err))
        fail_msg("%s", err.message);
    assert_int_equal(all.len, text.len);
    assert_memory_equal(all.data, text.ptr, text.len);
    free(all.data);
}

static void content_is_read_in_every_way(void **state)
{
    (void)state;
    struct bytes text = make_text(1500000);
    for (size_t f = 0; f < FORMATS; f++) {
        struct bytes packed = formats[f].pack(text.ptr, text.len);
        const char *path = file_of(formats[f].ending, &packed, 1);
        lithops_stream *stream = open_path(path, NULL);
        assert_non_null(stream);
        assert_true(lithops_stream_object(stream)->object_size_bytes == UINT64_MAX);
        for (int way = 0; way < 4; way++) {
            assert_content(stream, text, way);
            assert_int_equal(lithops_stream_rewind(stream), 0); /* decompressed anew */
        }
        char some[100];
        lithops_bytes line;
        assert_int_equal(lithops_stream_read(stream, some, 3), 3); /* ways may be mixed */
        assert_true(lithops_stream_next_line(stream, &line));
        const char *end = memchr(text.ptr + 3, '\n', text.len - 3);
        assert_int_equal(line.len, end - (text.ptr + 3));
        lithops__stream_close(stream);
        free(packed.ptr);
    }
    free(text.ptr);
}

static void members_follow_each_other(void **state)
{
    (void)state;
    static char zeros[5000];
    for (size_t f = 0; f < FORMATS; f++) {
        struct bytes pieces[] = {formats[f].pack("one\ntw", 6),
                                 formats[f].pack("", 0),
                                 formats[f].pack("o\n", 2),
                                 {zeros, sizeof zeros}};
        lithops_stream *stream = open_path(file_of(formats[f].ending, pieces, 4), NULL);
        assert_content(stream, (struct bytes){(char *)(uintptr_t) "one\ntwo\n", 8}, 0);
        lithops__stream_close(stream);
        for (int i = 0; i < 3; i++)
            free(pieces[i].ptr);
    }
}

static int read_all(const char *path, lithops_error *err)
{
    lithops_stream *stream = open_path(path, err);
    if (!stream)
        return err->code;
    lithops_stream_skip_lines(stream, INT64_MAX);
    int rc = lithops_stream_error(stream, err);
    lithops__stream_close(stream);
    return rc;
}

static void what_is_cut_off_or_corrupt_is_an_error(void **state)
{
    (void)state;
    struct bytes text = make_text(3000);
    for (size_t f = 0; f < FORMATS; f++) {
        struct bytes packed = formats[f].pack(text.ptr, text.len);
        for (size_t len = 8; len < packed.len; len += 1 + len / 50) {
            lithops_error err = LITHOPS_ERROR_INIT;
            struct bytes part = {packed.ptr, len};
            assert_int_equal(read_all(file_of(formats[f].ending, &part, 1), &err), LITHOPS_EIO);
            assert_non_null(strstr(err.message, "cut off"));
        }
        size_t found = 0, tried = 0;
        for (size_t at = 10; at < packed.len; at += 7, tried++) {
            lithops_error err = LITHOPS_ERROR_INIT;
            packed.ptr[at] ^= 0x55;
            found += read_all(file_of(formats[f].ending, &packed, 1), &err) != 0;
            packed.ptr[at] ^= 0x55;
        }
        assert_int_equal(found, tried); /* each format has a checksum */
        struct bytes garbage[] = {packed, {(char *)(uintptr_t) "garbage", 7}};
        lithops_error err = LITHOPS_ERROR_INIT;
        int rc = read_all(file_of(formats[f].ending, garbage, 2), &err);
        assert_true(rc == LITHOPS_EPARSE || rc == LITHOPS_EIO);
        free(packed.ptr);
    }
    free(text.ptr);
}

static void a_bomb_takes_no_memory(void **state)
{
    (void)state;
    size_t len = (size_t)8 << 20;
    char *lines = malloc(len);
    memset(lines, '\n', len);
    for (size_t f = 0; f < FORMATS; f++) {
        struct bytes packed = formats[f].pack(lines, len);
        struct bytes often[16];
        for (int i = 0; i < 16; i++)
            often[i] = packed;
        const char *path = file_of(formats[f].ending, often, 16); /* 128 MiB of content */
        struct rusage before, after;
        getrusage(RUSAGE_SELF, &before);
        lithops_stream *stream = open_path(path, NULL);
        int64_t rounds = strcmp(formats[f].ending, "bz2") == 0 ? 1 : 16; /* it takes its time */
        assert_int_equal(lithops_stream_skip_lines(stream, rounds * (int64_t)len),
                         rounds * (int64_t)len);
        lithops__stream_close(stream);
        getrusage(RUSAGE_SELF, &after);
        assert_true(after.ru_maxrss - before.ru_maxrss < 16 << 10);
        free(packed.ptr);
    }
    free(lines);
}

static void a_name_alone_is_not_enough(void **state)
{
    (void)state;
    struct bytes text = {(char *)(uintptr_t) "plain\ntext\n", 11};
    lithops_stream *stream = open_path(file_of("gz", &text, 1), NULL);
    assert_int_equal(lithops_stream_object(stream)->object_size_bytes, 11);
    assert_content(stream, text, 0);
    lithops__stream_close(stream);
    struct bytes packed = gzip(text.ptr, text.len);
    stream = open_path(file_of("data", &packed, 1), NULL); /* nor are the first bytes */
    assert_content(stream, packed, 1);
    lithops__stream_close(stream);
    static const char *const endings[] = {"GZ", "tgz"};
    for (int i = 0; i < 2; i++) {
        stream = open_path(file_of(endings[i], &packed, 1), NULL);
        assert_content(stream, text, 0);
        lithops__stream_close(stream);
    }
    free(packed.ptr);
    struct bytes nothing = {NULL, 0};
    stream = open_path(file_of("gz", &nothing, 1), NULL);
    assert_content(stream, nothing, 0);
    lithops__stream_close(stream);
}

static int plan(const char *path, int64_t chunk_size, int64_t chunk_number, const char *newline,
                size_t *ret_chunks, lithops_error *err)
{
    struct lithops__partition_options options = {chunk_size, chunk_number, newline};
    lithops_value *names = lithops_pack("[s]", path), *specs = NULL;
    size_t *counts = NULL, objects = 0;
    int rc = lithops__partition_plan(NULL, names, &options, &specs, &counts, &objects, err);
    *ret_chunks = lithops_value_size(specs);
    lithops_value_free(names);
    lithops_value_free(specs);
    free(counts);
    return rc;
}

static void what_is_compressed_cannot_be_split(void **state)
{
    (void)state;
    struct bytes text = make_text(30000), packed = gzip(text.ptr, text.len);
    const char *path = file_of("gz", &packed, 1);
    lithops_error err = LITHOPS_ERROR_INIT;
    size_t chunks;
    assert_int_equal(plan(path, 1000, LITHOPS_DEFAULT, "\n", &chunks, &err), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "x.gz' is compressed and cannot be split"));
    assert_int_equal(plan(path, LITHOPS_DEFAULT, 2, "\n", &chunks, &err), LITHOPS_EUSAGE);
    const struct {
        int64_t size, number;
        const char *newline;
        size_t chunks;
    } fine[] = {{LITHOPS_DEFAULT, LITHOPS_DEFAULT, "\n", 1},
                {LITHOPS_DEFAULT, 1, "\n", 1},
                {1 << 20, LITHOPS_DEFAULT, "\n", 1},
                {LITHOPS_DEFAULT, 2, NULL, 2}}; /* bytes as they are */
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        assert_int_equal(plan(path, fine[i].size, fine[i].number, fine[i].newline, &chunks, &err),
                         0);
        assert_int_equal(chunks, fine[i].chunks);
    }
    struct bytes xz = {(char *)(uintptr_t) "\xfd"
                                           "7zXZ\0abc",
                       9};
    path = file_of("xz", &xz, 1);
    assert_int_equal(plan(path, LITHOPS_DEFAULT, 2, "\n", &chunks, &err), LITHOPS_EUSAGE);
    assert_int_equal(plan(path, LITHOPS_DEFAULT, LITHOPS_DEFAULT, "\n", &chunks, &err), 0);
    free(packed.ptr);
    free(text.ptr);
}

/* ---- pipes and files without a size ---------------------------------------------------------- */

static struct bytes piped;

static void *write_pipe(void *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    for (size_t at = 0; at < piped.len;) {
        ssize_t put = write(fd, piped.ptr + at, piped.len - at < 777 ? piped.len - at : 777);
        if (put <= 0)
            break;
        at += (size_t)put;
    }
    close(fd);
    return NULL;
}

static void a_named_pipe_is_one_chunk(void **state)
{
    (void)state;
    char path[100];
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    size_t chunks;
    assert_int_equal(plan(path, LITHOPS_DEFAULT, 4, "\n", &chunks, NULL), 0);
    assert_int_equal(chunks, 1);
    piped = make_text(1000000);
    for (int way = 0; way < 4; way++) {
        pthread_t writer;
        assert_int_equal(pthread_create(&writer, NULL, write_pipe, path), 0);
        lithops_stream *stream = open_path(path, NULL); /* waits for the writer */
        assert_content(stream, piped, way);
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_bytes line;
        lithops_stream_rewind(stream);
        assert_false(lithops_stream_next_line(stream, &line));
        assert_int_equal(lithops_stream_error(stream, &err), LITHOPS_EUSAGE);
        assert_non_null(strstr(err.message, "once"));
        lithops__stream_close(stream);
        pthread_join(writer, NULL);
    }
    free(piped.ptr);
}

static void an_unnamed_pipe_has_a_name_for_others(void **state)
{
    (void)state;
    int ends[2];
    char path[40], own[40];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "a\nb\n", 4), 4);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    snprintf(own, sizeof own, "/proc/%d/fd/%d", (int)getpid(), ends[0]);
    lithops_stream *stream = open_path(path, NULL);
    assert_string_equal(lithops_stream_object(stream)->path, own);
    assert_content(stream, (struct bytes){(char *)(uintptr_t) "a\nb\n", 4}, 0);
    lithops__stream_close(stream);
    close(ends[0]);
}

static void files_that_tell_no_size_are_read_whole(void **state)
{
    (void)state;
    static char expected[1 << 16];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, expected, sizeof expected - 1) > 100);
    close(fd);
    lithops_stream *stream = open_path("/proc/self/status", NULL);
    int64_t lines = 0;
    for (const char *at = expected; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lithops_stream_skip_lines(stream, INT64_MAX), lines);
    lithops__stream_close(stream);
}

/* One of sysfs says 4096 bytes, whatever it holds. */
static void files_of_sysfs_are_read_whole(void **state)
{
    (void)state;
    char expected[4096];
    const char *path = "/sys/devices/system/cpu/possible";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        skip(); /* no sysfs in this sandbox */
    ssize_t len = read(fd, expected, sizeof expected);
    close(fd);
    lithops_stream *stream = open_path(path, NULL);
    assert_content(stream, (struct bytes){expected, (size_t)len}, 0);
    lithops__stream_close(stream);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"x.gz",  "x.GZ", "x.tgz",  "x.zst",
                                        "x.bz2", "x.xz", "x.data", "pipe"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[100];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_is_read_in_every_way),
        cmocka_unit_test(members_follow_each_other),
        cmocka_unit_test(what_is_cut_off_or_corrupt_is_an_error),
        cmocka_unit_test(a_bomb_takes_no_memory),
        cmocka_unit_test(a_name_alone_is_not_enough),
        cmocka_unit_test(what_is_compressed_cannot_be_split),
        cmocka_unit_test(a_named_pipe_is_one_chunk),
        cmocka_unit_test(an_unnamed_pipe_has_a_name_for_others),
        cmocka_unit_test(files_that_tell_no_size_are_read_whole),
        cmocka_unit_test(files_of_sysfs_are_read_whole),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
