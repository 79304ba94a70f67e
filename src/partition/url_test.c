/* SPDX-License-Identifier: Apache-2.0 */
/* Plans and streams over URLs, from nginx: chunks where the server gives ranges, one chunk where it
 * does not, and objects of unknown size. */
#include "net/test_server.h"
#include "partition/stream_test_tools.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Of 4096 bytes so many begin a separator. ThreadSanitizer looks at the whole rest of the buffer at
 * each of them. */
#ifdef __SANITIZE_THREAD__
enum { MAX = 1200007, SEPARATORS = 4 };
#else
enum { MAX = 1200007, SEPARATORS = 80 };
#endif

static struct nginx nginx;
static char folder[64];
static lithops_error err;

static int set_up(void **state)
{
    (void)state;
    char files[80];
    setenv("no_proxy", "*", 1);
    snprintf(folder, sizeof folder, "/tmp/lithops-test-XXXXXX");
    if (!mkdtemp(folder) || chmod(folder, 0755) != 0)
        return -1;
    snprintf(files, sizeof files, "%s/files", folder);
    mkdir(files, 0755);
    if (!nginx_start(&nginx, folder))
        print_message("no nginx here: these tests are skipped (Debian: nginx-light)\n");
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    nginx_stop(&nginx);
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *name, const void *data, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/files/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static int plan_url(const char *path, int64_t chunk_number, const char *newline,
                    lithops_value **ret_specs, size_t *ret_count)
{
    char url[160];
    size_t *counts, objects;
    if (!nginx.pid)
        skip();
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", nginx.port, path);
    lithops_value *names = lithops_pack("[s]", url);
    struct lithops__partition_options options = {LITHOPS_DEFAULT, chunk_number, newline};
    int rc = lithops__partition_plan(NULL, names, &options, ret_specs, &counts, &objects, &err);
    lithops_value_free(names);
    if (rc)
        return rc;
    assert_int_equal(objects, 1);
    *ret_count = counts[0];
    assert_int_equal(lithops_value_size(*ret_specs), counts[0]);
    free(counts);
    return 0;
}

/* Read all chunks of a URL in all ways and compare with the text. */
static void check_url(const char *path, const char *text, size_t len, const char *newline,
                      int64_t chunk_number, size_t chunks)
{
    struct reference_line *lines = calloc(len + 1, sizeof *lines);
    size_t line_count = reference_lines(text, len, newline, strlen(newline), lines);
    free(lines);
    lithops_value *specs = NULL;
    size_t count = 0;
    if (plan_url(path, chunk_number, newline, &specs, &count) != 0)
        fail_msg("%s: %s", path, err.message);
    assert_int_equal(count, chunks);
    for (int way = 0; way < 4; way++) {
        struct gathered all = {.data = NULL};
        for (size_t i = 0; i < count; i++) {
            lithops_stream *stream;
            assert_int_equal(lithops__stream_open(lithops_value_at(specs, i), NULL, &stream, &err),
                             0);
            if (way == 0)
                gather_lines(stream, newline, len, &all);
            else if (way == 1)
                gather_blocks(stream, &all);
            else if (way == 2)
                gather_reads(stream, 50000, &all);
            else
                all.lines += lithops_stream_skip_lines(stream, INT64_MAX);
            if (lithops_stream_error(stream, &err))
                fail_msg("%s: %s", path, err.message);
            assert_non_null(strstr(lithops_stream_object(stream)->url, path));
            lithops__stream_close(stream);
        }
        if (way != 3 && (all.len < len || (len && memcmp(all.data, text, len) != 0)))
            fail_msg("%s: other bytes in way %d", path, way);
        if (way == 1 || way == 2)
            assert_int_equal(all.len, len);
        if (way == 0 || way == 3)
            assert_int_equal(all.lines, line_count);
        free(all.data);
    }
    lithops_value_free(specs);
}

static size_t make_text(char *text, size_t len, const char *newline)
{
    uint32_t random = 7;
    size_t newline_len = strlen(newline);
    for (size_t i = 0; i < len; i++) {
        random = random * 1664525u + 1013904223u;
        text[i] = (char)('a' + (random >> 16) % 26);
        if ((random >> 20) < SEPARATORS && i + newline_len <= len) {
            memcpy(text + i, newline, newline_len); /* NOLINT: not to be a string */
            i += newline_len - 1;
        }
    }
    memset(text + len / 2, 'L', len / 5); /* longer than the buffer and the overshoot */
    return len;
}

static void chunks_of_a_url_are_the_object(void **state)
{
    (void)state;
    char *text = malloc(MAX);
    const char *const newlines[] = {"\n", "\r\n", "\n\n", "aba"};
    for (int i = 0; i < 4; i++) {
        size_t len = make_text(text, MAX, newlines[i]);
        for (int ends = 0; ends < 2; ends++) {
            if (ends)
                memcpy(text + len - strlen(newlines[i]), newlines[i], strlen(newlines[i]));
            write_file("text", text, len);
            check_url("/text", text, len, newlines[i], 6, 6);
            check_url("/noranges/text", text, len, newlines[i], 6, 1);
            check_url("/nosize/text", text, len, newlines[i], 6, 1);
        }
    }
    free(text);
}

static void small_and_empty_urls(void **state)
{
    (void)state;
    const char *const texts[] = {"", "x", "\n", "x\n", "\n\n", "a\nb", "a\nb\n\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t len = strlen(texts[i]);
        write_file("small", texts[i], len);
        check_url("/small", texts[i], len, "\n", 100, len ? len : 1);
        check_url("/noranges/small", texts[i], len, "\n", 100, 1);
        check_url("/nohead/small", texts[i], len, "\n", 100, len ? len : 1);
        check_url("/nosize/small", texts[i], len, "\n", 100, 1);
    }
}

static void a_chunk_costs_one_request(void **state)
{
    (void)state;
    char *text = malloc(MAX);
    size_t len = make_text(text, MAX / 4, "\n"), count;
    write_file("counted", text, len);
    lithops_value *specs;
    assert_int_equal(plan_url("/counted", 3, "\n", &specs, &count), 0);
    size_t before = nginx_count_requests(&nginx, "GET /counted ", 0);
    for (size_t i = 0; i < 3; i++) {
        lithops_stream *stream;
        lithops_bytes line;
        assert_int_equal(lithops__stream_open(lithops_value_at(specs, i), NULL, &stream, &err), 0);
        while (lithops_stream_next_line(stream, &line))
            ;
        assert_int_equal(lithops_stream_error(stream, &err), 0);
        lithops__stream_close(stream);
    }
    assert_int_equal(nginx_count_requests(&nginx, "GET /counted ", before + 3), before + 3);
    lithops_value_free(specs);
    free(text);
}

static void many_urls_are_asked_at_once(void **state)
{
    (void)state;
    enum { URLS = 60 };
    if (!nginx.pid)
        skip();
    lithops_value *names = lithops_value_list();
    char url[128], name[32];
    for (int i = 0; i < URLS; i++) {
        snprintf(name, sizeof name, "many-%d", i);
        write_file(name, "0123456789", (size_t)i % 10);
        snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", nginx.port, name);
        assert_int_equal(lithops_value_append(names, lithops_value_string(url)), 0);
    }
    lithops_value *specs;
    size_t *counts, objects;
    struct lithops__partition_options options = {5, LITHOPS_DEFAULT, "\n"};
    assert_int_equal(
        lithops__partition_plan(NULL, names, &options, &specs, &counts, &objects, &err), 0);
    assert_int_equal(objects, URLS);
    for (size_t i = 0, at = 0; i < URLS; at += counts[i++]) { /* in the order of the names */
        struct lithops__spec spec;
        assert_int_equal(counts[i], i % 10 > 5 ? 2 : 1);
        assert_int_equal(lithops__spec_decode(lithops_value_at(specs, at), &spec, &err), 0);
        snprintf(name, sizeof name, "/many-%zu", i);
        assert_string_equal(strrchr(spec.object.url, '/'), name);
        assert_int_equal(spec.object.object_size_bytes, i % 10);
        lithops__spec_deinit(&spec);
    }
    lithops_value_free(specs);
    free(counts);
    /* The first failure, in their order, is reported. */
    snprintf(url, sizeof url, "http://127.0.0.1:%d/none-1", nginx.port);
    assert_int_equal(lithops_value_append(names, lithops_value_string(url)), 0);
    assert_int_equal(lithops_value_append(names, lithops_value_string("http://")), 0);
    assert_int_equal(
        lithops__partition_plan(NULL, names, &options, &specs, &counts, &objects, &err),
        LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "none-1"));
    lithops_value_free(names);
}

static void missing_urls_are_named(void **state)
{
    (void)state;
    lithops_value *specs = NULL;
    size_t count;
    assert_int_equal(plan_url("/none", 3, "\n", &specs, &count), LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "/none"));
    assert_int_equal(err.http_status, 404);
    assert_int_equal(plan_url("/status/403", 3, "\n", &specs, &count), LITHOPS_EDENIED);
    assert_null(specs);
}

/* What was planned is gone when it is read. */
static void a_url_that_goes_away_ends_the_stream(void **state)
{
    (void)state;
    lithops_value *specs;
    size_t count;
    char path[128];
    write_file("gone", "a\nb\nc\n", 6);
    assert_int_equal(plan_url("/gone", 2, "\n", &specs, &count), 0);
    snprintf(path, sizeof path, "%s/files/gone", folder);
    unlink(path);
    lithops_stream *stream;
    lithops_bytes line;
    assert_int_equal(lithops__stream_open(lithops_value_at(specs, 1), NULL, &stream, &err), 0);
    assert_false(lithops_stream_next_line(stream, &line));
    assert_int_equal(lithops_stream_error(stream, &err), LITHOPS_ENOTFOUND);
    assert_int_equal(lithops_stream_read(stream, path, 1), -1);
    assert_int_equal(lithops_stream_skip_lines(stream, 1), 0);
    lithops__stream_close(stream);
    write_file("gone", "a\nb\n", 4); /* or is shorter */
    assert_int_equal(lithops__stream_open(lithops_value_at(specs, 1), NULL, &stream, &err), 0);
    assert_int_equal(lithops_stream_skip_lines(stream, 100), 0);
    assert_int_equal(lithops_stream_error(stream, &err), LITHOPS_EIO);
    lithops__stream_close(stream);
    lithops_value_free(specs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_of_a_url_are_the_object),
        cmocka_unit_test(small_and_empty_urls),
        cmocka_unit_test(a_chunk_costs_one_request),
        cmocka_unit_test(many_urls_are_asked_at_once),
        cmocka_unit_test(missing_urls_are_named),
        cmocka_unit_test(a_url_that_goes_away_ends_the_stream),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
