/* SPDX-License-Identifier: Apache-2.0 */
/* map over objects: files, folders, stored objects and cloudobjects, cut into chunks. However they
 * are cut, each line is in one chunk and none is lost. */
#include "api.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The lines of the chunk, as a list. */
LITHOPS_FUNCTION(lines)
{
    lithops_stream *chunk = lithops_call_object(call);
    if (!chunk)
        return LITHOPS_EARG;
    lithops_bytes line;
    lithops_value *list = lithops_value_list();
    while (lithops_stream_next_line(chunk, &line))
        lithops_value_append(list, lithops_value_bytes(line.ptr, line.len));
    lithops_error own;
    if (lithops_stream_error(chunk, &own) != 0) {
        lithops_value_free(list);
        return lithops_fail_error(call, &own);
    }
    return lithops_return_value(call, list);
}

/* Counts bytes, ignoring errors. */
LITHOPS_FUNCTION(count_carelessly)
{
    lithops_stream *chunk = lithops_call_object(call);
    lithops_bytes block;
    int64_t count = 0;
    while (chunk && lithops_stream_next_block(chunk, &block))
        count += (int64_t)block.len;
    return lithops_return_int(call, count);
}

/* All bytes of the chunk. */
LITHOPS_FUNCTION(content)
{
    lithops_stream *chunk = lithops_call_object(call);
    if (!chunk)
        return LITHOPS_EARG;
    char all[4096];
    size_t len = 0;
    int64_t got;
    while ((got = lithops_stream_read(chunk, all + len, sizeof all - len)) > 0)
        len += (size_t)got;
    return got == 0 ? lithops_return_bytes(call, all, len) : LITHOPS_EIO;
}

LITHOPS_FUNCTION(describe)
{
    lithops_stream *chunk = lithops_call_object(call);
    int64_t scale = 1;
    if (!chunk || lithops_args(call, "o|I", "obj", &(const lithops_value *){NULL}, "scale", &scale))
        return LITHOPS_EARG;
    const lithops_object *o = lithops_stream_object(chunk);
    return lithops_return(call, "{s:I,s:I,s:I,s:I,s:I,s:s?,s:s?,s:s?,s:I}", "part", o->part,
                          "parts", o->total_parts, "start", (int64_t)o->range_start, "end",
                          (int64_t)o->range_end, "size", (int64_t)o->object_size_bytes, "path",
                          o->path, "bucket", o->bucket, "key", o->key, "scale", scale);
}

enum { MOST = 1 << 20 };
static char text[MOST];

/* Lines of many lengths; `last` says whether the last one has a separator too. */
static size_t make_text(const char *separator, int count, bool last)
{
    size_t len = 0, separator_len = strlen(separator);
    for (int i = 0; i < count; i++) {
        int fill = i % 17 == 0 ? 0 : i % 13 == 0 ? 300 : i % 23;
        len += (size_t)sprintf(text + len, "%d:", i);
        memset(text + len, 'a' + i % 26, (size_t)fill);
        len += (size_t)fill;
        if (i % 29 == 0)
            len -= (size_t)fill + 2 + (i >= 10) + (i >= 100) + (i >= 1000); /* an empty line */
        if (i < count - 1 || last) {
            memcpy(text + len, separator, separator_len);
            len += separator_len;
        }
    }
    return len;
}

/* The concatenated lists must be the lines of `text`. */
static void expect_lines(const lithops_value *chunks, size_t len, const char *separator)
{
    size_t at = 0, separator_len = strlen(separator);
    for (size_t c = 0; c < lithops_value_size(chunks); c++) {
        const lithops_value *list = lithops_value_at(chunks, c);
        for (size_t i = 0; i < lithops_value_size(list); i++) {
            lithops_bytes line = lithops_value_get_bytes(lithops_value_at(list, i));
            const char *end = memmem(text + at, len - at, separator, separator_len);
            size_t expected = end ? (size_t)(end - text) - at : len - at;
            if (line.len != expected || memcmp(line.ptr, text + at, expected) != 0)
                fail_msg("line %zu of chunk %zu", i, c);
            at += expected + (end ? separator_len : 0);
        }
    }
    assert_int_equal(at, len);
}

static size_t map_lines(const char *path, int64_t chunk_size, int64_t chunk_number,
                        const char *separator, size_t len)
{
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.obj_chunk_size = chunk_size;
    options.obj_chunk_number = chunk_number;
    options.obj_newline = separator;
    lithops_futures *futures =
        not_null(lithops_map(fexec, lines, lithops_pack("[s]", path), &options, &err));
    lithops_value *chunks;
    succeeds(lithops_get_result_value(fexec, futures, &within_limit, &chunks, &err));
    expect_lines(chunks, len, separator);
    size_t count = lithops_value_size(chunks);
    lithops_value_free(chunks);
    lithops_futures_unref(futures);
    return count;
}

static void test_each_line_once(void **state)
{
    (void)state;
    static const char *const separators[] = {"\n", "\r\n", "|", "ab", "\xe2\x82\xac", "--END--"};
    for (size_t s = 0; s < sizeof separators / sizeof separators[0]; s++)
        for (int last = 0; last < 2; last++) {
            size_t len = make_text(separators[s], 500, last);
            const char *path = api_write_file("lines.txt", text, len);
            static const int64_t sizes[] = {1, 7, 64, 1000, 4096};
            for (size_t i = s ? 1 : 0; i < sizeof sizes / sizeof sizes[0]; i++)
                assert_int_equal(map_lines(path, sizes[i], LITHOPS_DEFAULT, separators[s], len),
                                 (len - 1) / (size_t)sizes[i] + 1);
            map_lines(path, (int64_t)1 << 40, LITHOPS_DEFAULT, separators[s], len);
            for (int64_t number = 1; number < 40; number += 6)
                assert_int_equal(map_lines(path, LITHOPS_DEFAULT, number, separators[s], len),
                                 number);
        }
}

static void test_number_wins(void **state)
{
    (void)state;
    size_t len = make_text("\n", 100, true);
    const char *path = api_write_file("both.txt", text, len);
    assert_int_equal(map_lines(path, 1, 3, "\n", len), 3);
}

static lithops_futures *map_objects(const lithops_function *function, lithops_value *objects,
                                    int64_t chunk_number)
{
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.obj_chunk_number = chunk_number;
    return not_null(lithops_map(fexec, function, lithops_objects(objects), &options, &err));
}

static void test_small_files(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "a", "a\n", "\n\n\n", "a\n\nb"};
    static const char *const expected[] = {
        "[[]]",
        "[[{\"$bytes\":\"\"}]]",
        "[[{\"$bytes\":\"YQ==\"}]]",
        "[[{\"$bytes\":\"YQ==\"}]]",
        "[[{\"$bytes\":\"\"},{\"$bytes\":\"\"},{\"$bytes\":\"\"}]]",
        "[[{\"$bytes\":\"YQ==\"},{\"$bytes\":\"\"},{\"$bytes\":\"Yg==\"}]]"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *path = api_write_file("small.txt", texts[i], strlen(texts[i]));
        results_are(map_objects(lines, lithops_pack("[s]", path), LITHOPS_DEFAULT), expected[i]);
        memcpy(text, texts[i], strlen(texts[i]));
        map_lines(path, LITHOPS_DEFAULT, 100, "\n", strlen(texts[i])); /* more chunks than lines */
    }
}

static void test_plain_ranges(void **state)
{
    (void)state;
    const char *path = api_write_file("plain.txt", "0123456789\nab\n", 14);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.obj_newline = NULL;
    options.obj_chunk_size = 4;
    lithops_futures *futures =
        not_null(lithops_map(fexec, content, lithops_pack("[s]", path), &options, &err));
    static const char *const parts[] = {"0123", "4567", "89\na", "b\n"};
    assert_int_equal(lithops_futures_size(futures), 4);
    for (size_t i = 0; i < 4; i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        lithops_bytes bytes;
        succeeds(lithops_future_bytes(future, LIMIT_MS, &bytes, &err));
        assert_int_equal(bytes.len, strlen(parts[i]));
        assert_memory_equal(bytes.ptr, parts[i], bytes.len);
        lithops_future_unref(future);
    }
    lithops_futures_unref(futures);
}

static void test_described(void **state)
{
    (void)state;
    const char *path = api_write_file("described.txt", "0123456789\n", 11);
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *extra = api_json("{\"scale\":7}");
    options.obj_chunk_number = 2;
    options.extra_args = extra;
    char expected[1000];
    snprintf(expected, sizeof expected,
             "[{\"part\":0,\"parts\":2,\"start\":0,\"end\":5,\"size\":11,\"path\":\"%s\","
             "\"bucket\":null,\"key\":null,\"scale\":7},"
             "{\"part\":1,\"parts\":2,\"start\":5,\"end\":11,\"size\":11,\"path\":\"%s\","
             "\"bucket\":null,\"key\":null,\"scale\":7}]",
             path, path);
    results_are(lithops_map(fexec, describe, lithops_pack("[s]", path), &options, &err), expected);
    lithops_value_free(extra);
}

/* A folder is its files; the working directory is the client's. */
static void test_folders_and_relative_paths(void **state)
{
    (void)state;
    char path[128], before[4096];
    snprintf(path, sizeof path, "%s/sub", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    api_write_file("sub/a.txt", "1\n2\n", 4);
    api_write_file("sub/b.txt", "", 0);
    api_write_file("sub/c with blank.txt", "3", 1);
    static const char expected[] =
        "[[{\"$bytes\":\"MQ==\"},{\"$bytes\":\"Mg==\"}],[],[{\"$bytes\":\"Mw==\"}]]";
    results_are(map_objects(lines, lithops_pack("[s]", path), LITHOPS_DEFAULT), expected);
    not_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    results_are(map_objects(lines, lithops_pack("[s]", "sub"), LITHOPS_DEFAULT), expected);
    results_are(map_objects(lines, lithops_pack("[s]", "./sub/a.txt"), 1),
                "[[{\"$bytes\":\"MQ==\"},{\"$bytes\":\"Mg==\"}]]");
    assert_int_equal(chdir(before), 0);
}

static void test_stored_objects(void **state)
{
    (void)state;
    lithops_value *config = lithops_executor_config(fexec);
    char *json = api_to_json(config);
    setenv("LITHOPS_CONFIG", json, 1);
    lithops_storage *storage = not_null(lithops_storage_open(NULL, NULL, &err));
    unsetenv("LITHOPS_CONFIG");
    free(json);
    lithops_value_free(config);
    succeeds(lithops_storage_put(storage, "data", "in/1", (lithops_bytes){"a\n", 2}, &err));
    succeeds(lithops_storage_put(storage, "data", "in/2", (lithops_bytes){"b\nc", 3}, &err));
    lithops_value *object =
        not_null(lithops_cloudobject_put(storage, (lithops_bytes){"d\n", 2}, NULL, NULL, &err));
    lithops_value *same_object = lithops_value_copy(object);
    results_are(map_objects(lines, lithops_pack("[s]", "data/in/"), LITHOPS_DEFAULT),
                "[[{\"$bytes\":\"YQ==\"}],[{\"$bytes\":\"Yg==\"},{\"$bytes\":\"Yw==\"}]]");
    results_are(map_objects(lines,
                            lithops_pack("[s,s,o]", "localhost://data/in/1", "data/in/2", object),
                            LITHOPS_DEFAULT),
                "[[{\"$bytes\":\"YQ==\"}],[{\"$bytes\":\"Yg==\"},{\"$bytes\":\"Yw==\"}],"
                "[{\"$bytes\":\"ZA==\"}]]");
    /* not planned: the function opens what its input names */
    static const char d[] = "[{\"$bytes\":\"ZA==\"}]", a[] = "[{\"$bytes\":\"YQ==\"}]";
    result_is(lithops_call_async(fexec, lines, same_object, NULL, &err), d);
    result_is(lithops_call_async(fexec, lines, lithops_value_string("data/in/1"), NULL, &err), a);
    result_is(lithops_call_async(fexec, lines, lithops_value_bytes("data/in/1", 9), NULL, &err), a);
    lithops_storage_close(storage);
}

static void refused(lithops_value *objects, int64_t size, int64_t number, const char *newline,
                    int code, const char *part)
{
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.obj_chunk_size = size;
    options.obj_chunk_number = number;
    options.obj_newline = newline;
    is_refused(lithops_map(fexec, lines, objects, &options, &err), code, part);
}

static void test_refused(void **state)
{
    (void)state;
    const char *path = api_write_file("some.txt", "a\n", 2);
    refused(lithops_pack("[s]", path), 0, LITHOPS_DEFAULT, "\n", LITHOPS_EUSAGE, "obj_chunk_size");
    refused(lithops_pack("[s]", path), -5, LITHOPS_DEFAULT, "\n", LITHOPS_EUSAGE, "obj_chunk_size");
    refused(lithops_pack("[s]", path), LITHOPS_DEFAULT, 0, "\n", LITHOPS_EUSAGE,
            "obj_chunk_number");
    refused(lithops_pack("[s]", path), 100, -1, "\n", LITHOPS_EUSAGE, "obj_chunk_number");
    refused(lithops_pack("[s]", path), 100, LITHOPS_DEFAULT, "", LITHOPS_EUSAGE, "");
    refused(lithops_pack("[s]", "/nonexistent/data.csv"), 100, LITHOPS_DEFAULT, "\n",
            LITHOPS_ENOTFOUND, "/nonexistent/data.csv");
    refused(lithops_pack("[s]", "nobucket/key"), 100, LITHOPS_DEFAULT, "\n", LITHOPS_ENOTFOUND,
            "nobucket");
    refused(lithops_pack("[s,i]", path, 5), 100, LITHOPS_DEFAULT, "\n", LITHOPS_EUSAGE, "int");
    refused(lithops_pack("[s]", "s4://bucket/key"), 100, LITHOPS_DEFAULT, "\n",
            LITHOPS_EUNSUPPORTED, "s4");
    refused(lithops_value_string(path), 100, LITHOPS_DEFAULT, "\n", LITHOPS_EUSAGE, "list");
    is_refused(lithops_map(fexec, lines, lithops_objects(NULL), NULL, &err), LITHOPS_EUSAGE, "");
}

static void test_not_an_object(void **state)
{
    (void)state;
    call_fails(lithops_call_async(fexec, lines, lithops_value_int(3), NULL, &err), LITHOPS_EARG,
               "int");
    call_fails(lithops_call_async(fexec, lines, lithops_value_string("/nonexistent"), NULL, &err),
               LITHOPS_ENOTFOUND, "/nonexistent");
}

LITHOPS_FUNCTION(wait_for_file)
{
    lithops_bytes path = lithops_call_bytes(call);
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)path.len, (const char *)path.ptr);
    for (int i = 0; access(name, F_OK) != 0; i++) {
        if (i > 600000)
            return lithops_fail(call, "'%s' does not come", name);
        usleep(100);
    }
    return 0;
}

/* Between planning and the calls, one file is removed and one shrinks: their calls fail, even if
 * the function ignores errors. */
static void check_changed_meanwhile(const lithops_function *function)
{
    lithops_executor *shared = fexec;
    fexec = api_open("{\"worker_processes\":1}");
    char go[128];
    snprintf(go, sizeof go, "%s/go", folder);
    lithops_future *gate =
        not_null(lithops_call_async(fexec, wait_for_file, lithops_value_string(go), NULL, &err));
    const char *gone = api_write_file("gone.txt", "a\nb\n", 4);
    lithops_futures *futures = map_objects(function, lithops_pack("[s]", gone), 2);
    memset(text, '\n', 100000);
    const char *shorter = api_write_file("shorter.txt", text, 100000);
    lithops_futures *of_shorter = map_objects(function, lithops_pack("[s]", shorter), 2);
    api_write_file("shorter.txt", text, 90000);
    assert_int_equal(unlink(gone), 0);
    api_write_file("go", "", 0);
    result_is(gate, "null");
    lithops_future *whole = lithops_futures_get(of_shorter, 0);
    succeeds(lithops_future_wait(whole, LIMIT_MS, &err));
    assert_int_equal(lithops_future_state(whole), LITHOPS_SUCCESS);
    lithops_future_unref(whole);
    call_fails(lithops_futures_get(of_shorter, 1), LITHOPS_EIO, "90000");
    lithops_futures_unref(of_shorter);
    call_fails(lithops_futures_get(futures, 0), LITHOPS_ENOTFOUND, "gone.txt");
    call_fails(lithops_futures_get(futures, 1), LITHOPS_ENOTFOUND, "gone.txt");
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
    fexec = shared;
    assert_int_equal(unlink(go), 0);
}

static void test_changed_meanwhile(void **state)
{
    (void)state;
    check_changed_meanwhile(lines);
    check_changed_meanwhile(count_carelessly);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_line_once), cmocka_unit_test(test_number_wins),
        cmocka_unit_test(test_small_files),    cmocka_unit_test(test_plain_ranges),
        cmocka_unit_test(test_described),      cmocka_unit_test(test_folders_and_relative_paths),
        cmocka_unit_test(test_stored_objects), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_not_an_object),  cmocka_unit_test(test_changed_meanwhile),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
