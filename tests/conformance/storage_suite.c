/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite of storage backends.
 *
 * Each test opens its own handle on an empty storage and uses the public functions, so it checks a
 * driver together with the engine's code for all drivers. */
#include "storage_suite.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const struct storage_suite *suite;
static lithops_storage *storage;
static lithops_error err;

static int set_up(void **state)
{
    (void)state;
    err = (lithops_error)LITHOPS_ERROR_INIT;
    storage = suite->open();
    return storage ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    suite->close(storage);
    return 0;
}

#define CHECK(call)                                                                                \
    do {                                                                                           \
        err.message[0] = '\0';                                                                     \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, err.message);                                                \
    } while (0)

static lithops_bytes text(const char *s)
{
    return (lithops_bytes){s, strlen(s)};
}

static void put_text(const char *bucket, const char *key, const char *body)
{
    CHECK(lithops_storage_put(storage, bucket, key, text(body), &err));
}

static void expect_range(const char *bucket, const char *key, uint64_t offset, size_t len,
                         const char *expected)
{
    void *data;
    size_t got;
    CHECK(lithops_storage_get(storage, bucket, key, offset, len, &data, &got, &err));
    assert_int_equal(got, strlen(expected));
    assert_memory_equal(data, expected, got);
    memset(data, '?', got);
    size_t room = len < got ? len : got, again;
    CHECK(lithops_storage_get_into(storage, bucket, key, offset, data, room, &again, &err));
    assert_int_equal(again, got);
    assert_memory_equal(data, expected, got);
    free(data);
}

static void expect_text(const char *bucket, const char *key, const char *expected)
{
    expect_range(bucket, key, 0, SIZE_MAX, expected);
}

static bool is_there(const char *bucket, const char *key)
{
    lithops_object_info info;
    int rc = lithops_storage_head(storage, bucket, key, &info, &err);
    assert_true(rc == 0 || rc == LITHOPS_ENOTFOUND);
    return rc == 0;
}

/* ---- objects --------------------------------------------------------------------------------- */

static void what_is_put_can_be_got(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 4095, 4096, 65537, (9 << 20) + 3};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *body = malloc(sizes[i] + 1);
        for (size_t k = 0; k < sizes[i]; k++)
            body[k] = (unsigned char)(k * 31 + k / 251);
        CHECK(lithops_storage_put(storage, "b", "k", (lithops_bytes){body, sizes[i]}, &err));
        void *data = NULL;
        size_t len = 1;
        CHECK(lithops_storage_get(storage, "b", "k", 0, SIZE_MAX, &data, &len, &err));
        assert_int_equal(len, sizes[i]);
        assert_non_null(data);
        assert_memory_equal(data, body, len);
        lithops_object_info info;
        CHECK(lithops_storage_head(storage, "b", "k", &info, &err));
        assert_string_equal(info.key, "k");
        assert_int_equal(info.size_bytes, sizes[i]);
        free(data);
        free(body);
    }
    CHECK(lithops_storage_put(storage, "b", "empty", (lithops_bytes){NULL, 0}, &err));
    expect_text("b", "empty", "");
}

static void a_put_replaces(void **state)
{
    (void)state;
    lithops_object_info info;
    char etag[64];
    put_text("b", "k", "the first and longer one");
    CHECK(lithops_storage_head(storage, "b", "k", &info, &err));
    snprintf(etag, sizeof etag, "%s", info.etag);
    double now = (double)time(NULL);
    assert_true(suite->has_no_times ||
                (info.last_modified > now - 60 && info.last_modified < now + 60));
    put_text("b", "k", "the second");
    expect_text("b", "k", "the second");
    CHECK(lithops_storage_head(storage, "b", "k", &info, &err));
    assert_int_equal(info.size_bytes, 10);
    if (*etag)
        assert_string_not_equal(info.etag, etag);
}

static void ranges_are_cut_at_the_end(void **state)
{
    (void)state;
    put_text("b", "k", "0123456789");
    expect_range("b", "k", 0, 4, "0123");
    expect_range("b", "k", 3, 4, "3456");
    expect_range("b", "k", 8, 4, "89");
    expect_range("b", "k", 9, SIZE_MAX, "9");
    expect_range("b", "k", 5, 0, "");
    expect_range("b", "k", 10, 1, "");
    expect_range("b", "k", 11, SIZE_MAX, "");
    expect_range("b", "k", (uint64_t)INT64_MAX + 1, 1, "");
    expect_range("b", "k", UINT64_MAX, SIZE_MAX, "");
    expect_range("b", "k", 1, SIZE_MAX - 1, "123456789");
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    put_text("b", "there", "x");
    void *data = NULL;
    size_t len;
    lithops_object_info info;
    lithops_reader *reader = NULL;
    const char *const missing[][2] = {{"b", "not-there"}, {"no-bucket", "k-in-none"}};
    for (int i = 0; i < 2; i++) {
        const char *bucket = missing[i][0], *key = missing[i][1], *name = i ? bucket : key;
        assert_int_equal(lithops_storage_get(storage, bucket, key, 0, SIZE_MAX, &data, &len, &err),
                         LITHOPS_ENOTFOUND);
        assert_non_null(strstr(err.message, name));
        assert_non_null(strstr(err.origin, lithops_storage_backend(storage)));
        assert_int_equal(lithops_storage_head(storage, bucket, key, &info, &err),
                         LITHOPS_ENOTFOUND);
        assert_int_equal(
            lithops_storage_open_reader(storage, bucket, key, 0, UINT64_MAX, &reader, &err),
            LITHOPS_ENOTFOUND);
        assert_int_equal(lithops_storage_head(storage, bucket, key, &info, NULL),
                         LITHOPS_ENOTFOUND);
        CHECK(lithops_storage_delete(storage, bucket, key, &err));
    }
    assert_null(data);
    assert_null(reader);
    assert_false(is_there("b", "there/below"));
    CHECK(lithops_storage_delete(storage, "b", "there/below", &err));
    expect_text("b", "there", "x");
}

static void many_are_deleted(void **state)
{
    (void)state;
    enum { MANY = 2 * LITHOPS_STORAGE_DELETE_MAX + 3 };
    static char names[MANY][16];
    static const char *keys[MANY];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "m/%zu", i);
        keys[i] = names[i];
        if (i % 100 == 0) /* the others do not exist, which is fine */
            put_text("b", keys[i], "x");
    }
    put_text("b", "stays", "x");
    CHECK(lithops_storage_delete_many(storage, "b", keys, MANY, &err));
    for (size_t i = 0; i < MANY; i += 100)
        assert_false(is_there("b", keys[i]));
    expect_text("b", "stays", "x");
    CHECK(lithops_storage_delete_many(storage, "b", NULL, 0, &err));
    keys[1] = "/bad";
    assert_int_equal(lithops_storage_delete_many(storage, "b", keys, 3, &err), LITHOPS_EUSAGE);
}

static void deleted_is_gone(void **state)
{
    (void)state;
    put_text("b", "k", "x");
    put_text("b", "folder/k", "y");
    CHECK(lithops_storage_delete(storage, "b", "k", &err));
    assert_false(is_there("b", "k"));
    expect_text("b", "folder/k", "y");
    CHECK(lithops_storage_delete(storage, "b", "folder", &err)); /* no object: nothing to do */
    expect_text("b", "folder/k", "y");
    const char *const keys[] = {"folder/k", "not-there", "../bad", "k"};
    put_text("b", "k", "z");
    assert_int_equal(lithops_storage_delete_many(storage, "b", keys, 4, &err), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "../bad"));
    assert_false(is_there("b", "folder/k"));
    assert_false(is_there("b", "k")); /* it went on after the bad one */
    CHECK(lithops_storage_delete_many(storage, "b", NULL, 0, &err));
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct listed {
    char keys[64][1100];
    size_t count, stop_after;
    int result;
    bool delete_too;
};

static int note_key(const lithops_object_info *info, void *user)
{
    struct listed *listed = user;
    assert_true(listed->count < 64);
    snprintf(listed->keys[listed->count++], sizeof *listed->keys, "%s", info->key);
    if (strncmp(info->key, "a", 1) == 0)
        assert_int_equal(info->size_bytes, strlen(info->key));
    if (listed->delete_too)
        CHECK(lithops_storage_delete(storage, "b", listed->keys[listed->count - 1], &err));
    return listed->count == listed->stop_after ? listed->result : 0;
}

static void expect_list(const char *prefix, const char *const *keys, size_t count)
{
    static struct listed listed;
    listed = (struct listed){.count = 0};
    CHECK(lithops_storage_list(storage, "b", prefix, note_key, &listed, &err));
    for (size_t i = 0; i < listed.count && i < count; i++)
        assert_string_equal(listed.keys[i], keys[i]);
    assert_int_equal(listed.count, count);
}

static void lists_come_in_key_order(void **state)
{
    (void)state;
    /* Byte order of whole keys: '/' (2f) lies between '.' (2e) and '0' (30). */
    const char *const keys[] = {"a b",   "a!c",     "a-b",   "a-b/c", "a.b",       "a/b",
                                "a/b-c", "a/b.d/e", "a/b/c", "a/c",   "a0",        "aa",
                                "ab/c",  "b",       "c/d/e", "\x7f",  "\xc3\xa4/x"};
    size_t count = sizeof keys / sizeof *keys;
    const char *files[17];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) /* without keys that only a real object storage can have */
        if (!suite->keys_are_files ||
            (strcmp(keys[i], "a-b/c") != 0 && strcmp(keys[i], "a/b/c") != 0))
            files[used++] = keys[i];
    for (size_t i = 0; i < used; i++) {
        size_t shuffled = i * 7 % used;
        put_text("b", files[shuffled], files[shuffled]);
    }
    expect_list(NULL, files, used);
    expect_list("", files, used);
    size_t a = suite->keys_are_files ? 11 : 13;
    expect_list("a", files, a);
    expect_list("b", files + a, 1);
    const char *const below_a[] = {"a/b", "a/b-c", "a/b.d/e", "a/b/c", "a/c"};
    const char *const below_a_files[] = {"a/b", "a/b-c", "a/b.d/e", "a/c"};
    expect_list("a/", suite->keys_are_files ? below_a_files : below_a, 5 - suite->keys_are_files);
    expect_list("a/b.", below_a + 2, 1);
    expect_list("a/b.d/e", below_a + 2, 1);
    expect_list("a/b.d/e/", NULL, 0);
    expect_list("zzz", NULL, 0);
    expect_list("zzz/yyy/", NULL, 0);
    const char *const umlaut[] = {"\xc3\xa4/x"};
    expect_list(suite->keys_are_text ? "\xc3\xa4" : "\xc3", umlaut, 1);
}

static void lists_start_behind_a_key(void **state)
{
    (void)state;
    static const char *const keys[] = {"a-", "a.b", "a/", "a/b", "a/c", "a0", "b"};
    static struct listed listed;
    for (size_t i = 0; i < 7; i++)
        if (i != 2) /* no key, but a place to start after */
            put_text("b", keys[i], keys[i]);
    for (size_t i = 0; i < 7; i++) {
        const char *const prefixes[] = {NULL, "a", "a/"};
        for (size_t p = 0; p < 3; p++) {
            const char *prefix = prefixes[p] ? prefixes[p] : "";
            size_t next = 0;
            listed = (struct listed){.count = 0};
            CHECK(lithops__storage_list_after(storage, "b", prefixes[p], keys[i], note_key, &listed,
                                              &err));
            for (size_t k = i + 1; k < 7; k++)
                if (k != 2 && strncmp(keys[k], prefix, strlen(prefix)) == 0)
                    assert_string_equal(listed.keys[next++], keys[k]);
            assert_int_equal(listed.count, next);
        }
    }
}

static void a_visitor_can_stop_and_delete(void **state)
{
    (void)state;
    static struct listed listed;
    put_text("b", "a/1", "123");
    put_text("b", "a/2", "123");
    put_text("b", "a/3", "123");
    const int results[] = {1, 77, -5, LITHOPS_ENOMEM};
    for (int i = 0; i < 4; i++) {
        listed = (struct listed){.stop_after = 2, .result = results[i]};
        assert_int_equal(lithops_storage_list(storage, "b", "a/", note_key, &listed, &err),
                         results[i]);
        assert_int_equal(listed.count, 2);
    }
    listed = (struct listed){.delete_too = true};
    CHECK(lithops_storage_list(storage, "b", "a/", note_key, &listed, &err));
    assert_int_equal(listed.count, 3);
    assert_false(is_there("b", "a/2"));
    listed = (struct listed){.count = 0};
    assert_int_equal(lithops_storage_list(storage, "no-such", NULL, note_key, &listed, &err),
                     LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "no-such"));
    assert_int_equal(listed.count, 0);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void odd_names_are_kept(void **state)
{
    (void)state;
    static char long_part[256], long_key[1025];
    memset(long_part, 'p', 255);
    for (size_t i = 0; i < 1024; i++)
        long_key[i] = i % 200 == 199 ? '/' : 'k';
    const char *const keys[] = {
        " ",   "a b",        "line\nbreak", "tab\t",    "\xff\xfe", "\xe2\x82\xac/\xf0\x9f\x8e\x88",
        "...", ".hidden/.x", "a..b/c..",    "%2e%2e/x", "a\\b",     "'\"$`*?[",
        "-rf", long_part,    long_key,      "a/~/b",    "\x01\x02"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (suite->keys_are_text && strcmp(keys[i], "\xff\xfe") == 0)
            continue;
        put_text("odd bucket \xc3\xbc", keys[i], keys[i]);
        expect_text("odd bucket \xc3\xbc", keys[i], keys[i]);
        lithops_object_info info;
        CHECK(lithops_storage_head(storage, "odd bucket \xc3\xbc", keys[i], &info, &err));
        assert_string_equal(info.key, keys[i]);
    }
}

static void expect_refused(const char *bucket, const char *key)
{
    void *data;
    size_t len;
    lithops_object_info info;
    lithops_reader *reader;
    char path[8192];
    const int rcs[] = {
        lithops_storage_put(storage, bucket, key, text("x"), &err),
        lithops_storage_put_fd(storage, bucket, key, 0, &err),
        lithops_storage_get(storage, bucket, key, 0, SIZE_MAX, &data, &len, &err),
        lithops_storage_open_reader(storage, bucket, key, 0, 1, &reader, &err),
        lithops_storage_head(storage, bucket, key, &info, &err),
        lithops_storage_delete(storage, bucket, key, &err),
        lithops__storage_path(storage, bucket, key, path, sizeof path, &err),
        lithops_storage_put(storage, bucket, key, text("x"), NULL),
    };
    for (size_t i = 0; i < sizeof rcs / sizeof *rcs; i++)
        if (rcs[i] != LITHOPS_EUSAGE)
            fail_msg("'%s' / '%s' gives %d in call %zu", bucket ? bucket : "(null)",
                     key ? key : "(null)", rcs[i], i);
    assert_int_equal(err.code, LITHOPS_EUSAGE);
    assert_true(strlen(err.message) > 10);
}

static void bad_names_are_refused(void **state)
{
    (void)state;
    static char too_long[1026], long_bucket[257], long_part[300];
    memset(too_long, 'k', 1025);
    for (size_t i = 100; i < 1025; i += 100)
        too_long[i] = '/';
    memset(long_bucket, 'b', 256);
    memset(long_part, 'p', 256);
    const char *const keys[] = {NULL,     "",  "/",   "/a",    "..",  "../a",  "a/..",
                                "a/../b", ".", "./a", "a/./b", "a/.", too_long};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        expect_refused("b", keys[i]);
    const char *const buckets[] = {NULL, "", ".", "..", "a/b", "/", "../b", long_bucket};
    for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++)
        expect_refused(buckets[i], "k");
    static struct listed listed;
    assert_int_equal(lithops_storage_list(storage, "b", "../", note_key, &listed, &err),
                     LITHOPS_EUSAGE);
    assert_int_equal(lithops_storage_list(storage, "b", "/", note_key, &listed, &err),
                     LITHOPS_EUSAGE);
    assert_int_equal(lithops_storage_list(storage, "..", "", note_key, &listed, &err),
                     LITHOPS_EUSAGE);
    if (suite->keys_are_files) {
        const char *const not_files[] = {"a/", "a//b", long_part, "a/.lithops-put-x"};
        for (size_t i = 0; i < sizeof not_files / sizeof *not_files; i++)
            expect_refused("b", not_files[i]);
    }
}

static void a_key_below_another_key(void **state)
{
    (void)state;
    put_text("b", "a", "x");
    put_text("b", "c/d", "y");
    int below = lithops_storage_put(storage, "b", "a/b", text("z"), &err);
    if (suite->keys_are_files) {
        assert_int_equal(below, LITHOPS_EEXIST);
        assert_non_null(strstr(err.message, "a/b"));
        assert_int_equal(lithops_storage_put(storage, "b", "c", text("z"), &err), LITHOPS_EEXIST);
        assert_false(is_there("b", "a/b"));
        assert_false(is_there("b", "c"));
    } else {
        assert_int_equal(below, 0);
        put_text("b", "c", "w");
        expect_text("b", "a/b", "z");
        expect_text("b", "c", "w");
    }
    expect_text("b", "a", "x");
    expect_text("b", "c/d", "y");
}

static void null_handles_are_errors(void **state)
{
    (void)state;
    lithops_storage *none = NULL;
    void *data;
    size_t len;
    lithops_object_info info;
    assert_int_equal(lithops_storage_put(none, "b", "k", text("x"), &err), LITHOPS_EUSAGE);
    assert_int_equal(lithops_storage_get(none, "b", "k", 0, 1, &data, &len, &err), LITHOPS_EUSAGE);
    assert_int_equal(lithops_storage_head(none, "b", "k", &info, &err), LITHOPS_EUSAGE);
    assert_int_equal(lithops_storage_list(none, "b", "k", note_key, NULL, &err), LITHOPS_EUSAGE);
    assert_int_equal(lithops_storage_delete(none, "b", "k", &err), LITHOPS_EUSAGE);
    assert_int_equal(lithops_reader_read(NULL, &data, 1, &len, &err), LITHOPS_EUSAGE);
    assert_int_equal(lithops_storage_put(storage, "b", "k", (lithops_bytes){NULL, 1}, &err),
                     LITHOPS_EUSAGE);
    assert_null(lithops_cloudobject_put(none, text("x"), NULL, NULL, &err));
    assert_int_equal(lithops_storage_set_bounds(none, 1, NULL, NULL, &err), LITHOPS_EUSAGE);
    assert_int_equal(lithops_storage_set_bounds(storage, -1, NULL, NULL, &err), LITHOPS_EUSAGE);
    assert_null(lithops_storage_backend(none));
    assert_null(lithops_storage_bucket(none));
    lithops_storage_close(none);
    lithops_reader_close(NULL);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static bool at_once(void *user)
{
    ++*(unsigned *)user;
    return true;
}

static void expect_all_to_end_with(int code)
{
    void *data;
    size_t len;
    lithops_object_info info;
    struct listed listed = {.count = 0};
    const char *const keys[] = {"k", "l"};
    lithops_reader *reader;
    err = (lithops_error)LITHOPS_ERROR_INIT;
    assert_int_equal(lithops_storage_put(storage, "b", "k", text("new"), &err), code);
    assert_int_equal(err.code, code);
    assert_int_equal(lithops_storage_get(storage, "b", "k", 0, 9, &data, &len, &err), code);
    assert_int_equal(lithops_storage_head(storage, "b", "k", &info, &err), code);
    assert_int_equal(lithops_storage_list(storage, "b", "", note_key, &listed, &err), code);
    assert_int_equal(listed.count, 0);
    assert_int_equal(lithops_storage_delete(storage, "b", "k", &err), code);
    assert_int_equal(lithops_storage_delete_many(storage, "b", keys, 2, &err), code);
    if (!suite->reader_keeps_version) /* else it only opens a file */
        assert_int_equal(lithops_storage_open_reader(storage, "b", "k", 0, 9, &reader, &err), code);
}

static void bounds_are_kept(void **state)
{
    (void)state;
    unsigned looks = 0;
    put_text("b", "k", "old");
    lithops_storage_set_bounds(storage, LITHOPS_FOREVER, at_once, &looks, NULL);
    expect_all_to_end_with(LITHOPS_ECANCELED);
    assert_true(looks >= 6);
    lithops_storage_set_bounds(storage, 0, NULL, NULL, NULL);
    expect_all_to_end_with(LITHOPS_ETIMEDOUT);
    lithops_storage_set_bounds(storage, 60000, NULL, NULL, NULL);
    expect_text("b", "k", "old");
}

/* ---- descriptors and readers ----------------------------------------------------------------- */

static void *write_slowly(void *user)
{
    int fd = *(int *)user;
    for (int i = 0; i < 1000; i++)
        if (write(fd, "0123456789", 10) != 10)
            break;
    close(fd);
    return NULL;
}

static void a_descriptor_is_read_to_its_end(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, &pipe_fds[1]), 0);
    CHECK(lithops_storage_put_fd(storage, "b", "pipe", pipe_fds[0], &err));
    pthread_join(writer, NULL);
    close(pipe_fds[0]);
    lithops_object_info info;
    CHECK(lithops_storage_head(storage, "b", "pipe", &info, &err));
    assert_int_equal(info.size_bytes, 10000);
    expect_range("b", "pipe", 9995, SIZE_MAX, "56789");

    int file = memfd_create("body", MFD_CLOEXEC);
    CHECK(lithops_storage_put_fd(storage, "b", "empty", file, &err));
    expect_text("b", "empty", "");
    assert_int_equal(ftruncate(file, 3000000), 0);
    assert_int_equal(pwrite(file, "end", 3, 2999997), 3);
    assert_int_equal(lseek(file, 1000000, SEEK_SET), 1000000); /* from its present offset */
    CHECK(lithops_storage_put_fd(storage, "b", "file", file, &err));
    CHECK(lithops_storage_head(storage, "b", "file", &info, &err));
    assert_int_equal(info.size_bytes, 2000000);
    expect_range("b", "file", 1999997, SIZE_MAX, "end");
    close(file);

    assert_int_equal(lithops_storage_put_fd(storage, "b", "file", -1, &err), LITHOPS_EIO);
    CHECK(lithops_storage_head(storage, "b", "file", &info, &err));
    assert_int_equal(info.size_bytes, 2000000); /* the old object stays */
}

/* ---- large objects --------------------------------------------------------------------------- */

enum { PART = LITHOPS_STORAGE_PART_BYTES, LARGE = 3 * PART + 12345 };

static unsigned char *large_body(void)
{
    unsigned char *body = malloc(LARGE);
    assert_non_null(body);
    for (size_t i = 0; i < LARGE; i++)
        body[i] = (unsigned char)(i * 2654435761u >> 13);
    return body;
}

struct writer {
    int fd;
    const unsigned char *body;
    size_t len;
};

static void *write_all(void *user)
{
    const struct writer *writer = user;
    for (size_t done = 0; done < writer->len;) {
        ssize_t put = write(writer->fd, writer->body + done, writer->len - done);
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    close(writer->fd);
    return NULL;
}

static void put_through_pipe(const char *key, const unsigned char *body, size_t len)
{
    int ends[2];
    pthread_t thread;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct writer writer = {ends[1], body, suite->requests_fail ? 0 : len};
    assert_int_equal(pthread_create(&thread, NULL, write_all, &writer), 0);
    int fd = ends[0];
    if (suite->requests_fail) { /* the same from a file */
        fd = memfd_create("body", MFD_CLOEXEC);
        assert_int_equal(write(fd, body, len), len);
        lseek(fd, 0, SEEK_SET);
    }
    int rc = lithops_storage_put_fd(storage, "b", key, fd, &err);
    if (fd != ends[0])
        close(fd);
    close(ends[0]);
    pthread_join(thread, NULL);
    if (rc)
        fail_msg("%s", err.message);
}

/* Behind "head", at the descriptor's offset. */
static void expect_file(const char *key, const unsigned char *body, size_t len)
{
    int fd = memfd_create("object", MFD_CLOEXEC);
    uint64_t got = 0;
    unsigned char *back = malloc(len + 1);
    assert_int_equal(write(fd, "head", 4), 4);
    CHECK(lithops_storage_get_fd(storage, "b", key, fd, &got, &err));
    assert_int_equal(got, len);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), len + 4);
    assert_int_equal(pread(fd, back, len + 1, 4), len);
    assert_true(memcmp(back, body, len) == 0);
    close(fd);
    free(back);
}

static void large_objects_are_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, PART - 1, PART, LARGE, LARGE - 12345};
    unsigned char *body = large_body();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *data;
        size_t got;
        CHECK(lithops_storage_put(storage, "b", "large", (lithops_bytes){body, sizes[i]}, &err));
        CHECK(lithops_storage_get(storage, "b", "large", 0, SIZE_MAX, &data, &got, &err));
        assert_int_equal(got, sizes[i]);
        assert_true(memcmp(data, body, got) == 0);
        free(data);
        unsigned char *room = calloc(1, LARGE + 1);
        CHECK(lithops_storage_get_into(storage, "b", "large", 0, room, LARGE + 1, &got, &err));
        assert_int_equal(got, sizes[i]); /* there is no more, and no byte behind it is touched */
        assert_true(memcmp(room, body, got) == 0 && room[got] == 0);
        free(room);
        expect_file("large", body, sizes[i]);
        put_through_pipe("piped", body, sizes[i]);
        expect_file("piped", body, sizes[i]);
    }
    free(body);
}

static void large_ranges_and_files_are_whole(void **state)
{
    (void)state;
    unsigned char *body = large_body();
    void *data;
    size_t got;
    int fd = memfd_create("large", MFD_CLOEXEC);
    assert_int_equal(write(fd, body, LARGE), LARGE);
    assert_int_equal(lseek(fd, 100, SEEK_SET), 100);
    CHECK(lithops_storage_put_fd(storage, "b", "large", fd, &err));
    close(fd);
    CHECK(lithops_storage_get(storage, "b", "large", 7, LARGE - 200, &data, &got, &err));
    assert_int_equal(got, LARGE - 200);
    assert_true(memcmp(data, body + 107, got) == 0);
    free(data);
    free(body);
}

static void an_object_goes_through_a_pipe(void **state)
{
    (void)state;
    int ends[2];
    uint64_t got = 0;
    char back[16] = "";
    put_text("b", "k", "some text");
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    CHECK(lithops_storage_get_fd(storage, "b", "k", ends[1], &got, &err));
    assert_int_equal(got, 9);
    assert_int_equal(read(ends[0], back, sizeof back), 9);
    assert_string_equal(back, "some text");
    assert_int_equal(lithops_storage_get_fd(storage, "b", "missing", ends[1], &got, &err),
                     LITHOPS_ENOTFOUND);
    close(ends[0]);
    close(ends[1]);
}

static void a_new_object_does_not_replace(void **state)
{
    (void)state;
    int rc = lithops_storage_put_new(storage, "b", "new", text("first"), &err);
    if (rc == LITHOPS_EUNSUPPORTED || suite->requests_fail) /* it may find its own object */
        skip();
    if (rc)
        fail_msg("%s", err.message);
    assert_int_equal(lithops_storage_put_new(storage, "b", "new", text("second"), &err),
                     LITHOPS_EEXIST);
    expect_text("b", "new", "first");
    CHECK(lithops_storage_delete(storage, "b", "new", &err));
    CHECK(lithops_storage_put_new(storage, "b", "new", text("third"), &err));
    expect_text("b", "new", "third");
}

static void the_server_copies(void **state)
{
    (void)state;
    const size_t size = (9 << 20) + 3;
    char *body = malloc(size), *got = malloc(size);
    for (size_t i = 0; i < size; i++)
        body[i] = (char)(i * 31 + i / 251);
    put_text("b", "small one", "content");
    CHECK(lithops_storage_put(storage, "b", "large", (lithops_bytes){body, size}, &err));
    put_text("c", "there", "something else");
    int rc = lithops__storage_copy(storage, "b", "small one", "c", "to/k +%", &err);
    if (rc == LITHOPS_EUNSUPPORTED) {
        assert_false(suite->copies);
        goto out;
    }
    if (rc)
        fail_msg("copy: %s", err.message);
    expect_text("c", "to/k +%", "content");
    expect_text("b", "small one", "content");
    rc = lithops__storage_copy(storage, "b", "large", "c", "there", &err); /* replaces */
    if (rc == LITHOPS_EUNSUPPORTED && !suite->copies_large) {
        expect_text("c", "there", "something else");
        CHECK(lithops_storage_delete(storage, "c", "there", &err));
        goto out;
    }
    if (rc)
        fail_msg("copy: %s", err.message);
    CHECK(lithops_storage_delete(storage, "b", "large", &err));
    size_t len = 0;
    CHECK(lithops_storage_get_into(storage, "c", "there", 0, got, size, &len, &err));
    assert_int_equal(len, size);
    assert_memory_equal(got, body, size);
    assert_int_not_equal(lithops__storage_copy(storage, "b", "none", "c", "there", &err), 0);
    CHECK(lithops_storage_get_into(storage, "c", "there", 0, got, size, &len, &err));
    assert_memory_equal(got, body, size);
    CHECK(lithops_storage_delete(storage, "c", "there", &err));
out:
    free(body);
    free(got);
}

static void buckets_are_created(void **state)
{
    (void)state;
    CHECK(lithops_storage_create_bucket(storage, "made", &err));
    CHECK(lithops_storage_create_bucket(storage, "made", &err));
    put_text("made", "k", "x");
    assert_int_equal(lithops_storage_create_bucket(storage, "a/b", &err), LITHOPS_EUSAGE);
}

static void a_reader_streams(void **state)
{
    (void)state;
    put_text("b", "k", "0123456789");
    const struct {
        uint64_t offset, len;
        const char *expected;
    } ranges[] = {{0, UINT64_MAX, "0123456789"},
                  {3, 4, "3456"},
                  {8, 100, "89"},
                  {10, 1, ""},
                  {11, UINT64_MAX, ""},
                  {2, 0, ""},
                  {UINT64_MAX, UINT64_MAX, ""}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        for (size_t piece = 1; piece < 13; piece += 2) {
            lithops_reader *reader;
            char all[32] = "", buf[16];
            size_t len, total = 0;
            CHECK(lithops_storage_open_reader(storage, "b", "k", ranges[i].offset, ranges[i].len,
                                              &reader, &err));
            do {
                CHECK(lithops_reader_read(reader, buf, piece, &len, &err));
                assert_true(len <= piece && total + len < sizeof all);
                memcpy(all + total, buf, len);
                total += len;
            } while (len);
            assert_string_equal(all, ranges[i].expected);
            lithops_reader_close(reader);
        }
}

static void a_reader_never_mixes_versions(void **state)
{
    (void)state;
    put_text("b", "k", "aaaaaaaaaa");
    lithops_reader *reader;
    char buf[16] = "";
    size_t len;
    CHECK(lithops_storage_open_reader(storage, "b", "k", 0, UINT64_MAX, &reader, &err));
    CHECK(lithops_reader_read(reader, buf, 5, &len, &err));
    assert_int_equal(len, 5);
    put_text("b", "k", "bbbbbbbbbb");
    int rc = lithops_reader_read(reader, buf + 5, 5, &len, &err);
    if (suite->reader_keeps_version || (suite->answers_are_read_on && rc == 0)) {
        assert_int_equal(rc, 0);
        assert_string_equal(buf, "aaaaaaaaaa");
    } else {
        assert_int_equal(rc, LITHOPS_EIO);
        assert_non_null(strstr(err.message, "changed"));
    }
    lithops_reader_close(reader);
}

/* ---- cloudobjects ---------------------------------------------------------------------------- */

static void reads_with_one_cursor_are_of_one_version(void **state)
{
    (void)state;
    char buf[4];
    size_t len;
    lithops_storage_cursor cursor = {.expect_end = UINT64_MAX};
    put_text("b", "k", "0123456789");
    CHECK(lithops__storage_read(storage, "b", "k", &cursor, 3, NULL, 0, &len, &err));
    assert_int_equal(len, 0);
    assert_int_equal(cursor.size_bytes, 10);
    CHECK(lithops__storage_read(storage, "b", "k", &cursor, 3, buf, 4, &len, &err));
    assert_int_equal(len, 4);
    assert_memory_equal(buf, "3456", 4);
    put_text("b", "k", "abcdefghij");
    int rc = lithops__storage_read(storage, "b", "k", &cursor, 7, buf, 3, &len, &err);
    if (suite->answers_are_read_on && rc == 0)
        assert_memory_equal(buf, "789", 3);
    else
        assert_int_equal(rc, LITHOPS_EIO);
    /* A read elsewhere makes a new request, and finds another version now. */
    assert_int_equal(lithops__storage_read(storage, "b", "k", &cursor, 1, buf, 3, &len, &err),
                     LITHOPS_EIO);
    lithops__storage_end_read(storage, &cursor);
    cursor = (lithops_storage_cursor){.expect_end = 0};
    CHECK(lithops__storage_read(storage, "b", "k", &cursor, 7, buf, 4, &len, &err));
    assert_int_equal(len, 3);
    assert_memory_equal(buf, "hij", 3);
    lithops__storage_end_read(storage, &cursor);
}

static void expect_cloudobject(const lithops_value *value, const char *body)
{
    void *data;
    size_t len;
    assert_true(lithops_value_is_cloudobject(value));
    CHECK(lithops_cloudobject_get(storage, value, &data, &len, &err));
    assert_int_equal(len, strlen(body));
    assert_memory_equal(data, body, len);
    free(data);
}

static void cloudobjects_name_objects(void **state)
{
    (void)state;
    lithops_value *one = lithops_cloudobject_put(storage, text("one"), NULL, NULL, &err);
    lithops_value *two = lithops_cloudobject_put(storage, text("two"), NULL, NULL, &err);
    lithops_value *named = lithops_cloudobject_put(storage, text("named"), "b", "x/y", &err);
    assert_non_null(named);
    expect_cloudobject(one, "one");
    expect_cloudobject(two, "two");
    expect_cloudobject(named, "named");
    expect_text("b", "x/y", "named");
    assert_string_equal(lithops_value_get_string(lithops_value_get(one, "bucket")),
                        lithops_storage_bucket(storage));
    const char *key = lithops_value_get_string(lithops_value_get(one, "key"));
    assert_int_equal(strncmp(key, "lithops.jobs/tmp/cloudobject_", 29), 0);

    setenv("__LITHOPS_SESSION_ID", "abc-0-M000-00001", 1);
    lithops_value *in_call = lithops_cloudobject_put(storage, text("c"), NULL, NULL, &err);
    unsetenv("__LITHOPS_SESSION_ID");
    assert_non_null(strstr(lithops_value_get_string(lithops_value_get(in_call, "key")),
                           "lithops.jobs/tmp/abc-0-M000-00001/cloudobject_"));

    lithops_value *copy = lithops_value_copy(named);
    CHECK(lithops_cloudobject_delete(storage, copy, &err));
    assert_false(is_there("b", "x/y"));
    CHECK(lithops_cloudobject_delete(storage, named, &err));
    void *data;
    size_t len;
    assert_int_equal(lithops_cloudobject_get(storage, named, &data, &len, &err), LITHOPS_ENOTFOUND);
    lithops_value_free(one);
    lithops_value_free(two);
    lithops_value_free(named);
    lithops_value_free(in_call);
    lithops_value_free(copy);
}

static void what_is_no_cloudobject_is_refused(void **state)
{
    (void)state;
    const char *backend = lithops_storage_backend(storage);
    lithops_value *values[] = {
        NULL,
        lithops_value_null(),
        lithops_value_string("x"),
        lithops_value_map(),
        lithops_pack("{s:b}", "$cloudobject", 1),
        lithops_pack("{s:b,s:s,s:s,s:s}", "$cloudobject", 0, "backend", backend, "bucket", "b",
                     "key", "k"),
        lithops_pack("{s:b,s:s,s:s,s:i}", "$cloudobject", 1, "backend", backend, "bucket", "b",
                     "key", 7),
        lithops_pack("{s:b,s:s,s:s,s:s%}", "$cloudobject", 1, "backend", backend, "bucket", "b",
                     "key", "a\0b", (size_t)3),
        lithops_pack("{s:b,s:s,s:s,s:s}", "$cloudobject", 1, "backend", "elsewhere", "bucket", "b",
                     "key", "k"),
        lithops_pack("{s:b,s:s,s:s,s:s}", "$cloudobject", 1, "backend", backend, "bucket", "b",
                     "key", "../k"),
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        void *data;
        size_t len;
        assert_int_equal(lithops_cloudobject_get(storage, values[i], &data, &len, &err),
                         LITHOPS_EUSAGE);
        assert_int_equal(lithops_cloudobject_delete(storage, values[i], &err), LITHOPS_EUSAGE);
        assert_int_equal(lithops_value_is_cloudobject(values[i]), i == 4 || i > 5);
        lithops_value_free(values[i]);
    }
    assert_null(lithops_cloudobject_put(storage, text("x"), "b", "\xff", &err));
    assert_int_equal(err.code, LITHOPS_EUSAGE);
    if (!suite->keys_are_text)
        assert_false(is_there("b", "\xff"));
    assert_null(lithops_cloudobject_put(storage, text("x"), "b", "../k", &err));
}

/* ---- many threads ---------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 60, KEYS = 3, BODY = 20000 };

struct worker {
    pthread_t thread;
    unsigned number, bad, got;
    lithops_error err;
};

static int count_whole(const lithops_object_info *info, void *user)
{
    struct worker *worker = user;
    worker->bad += info->size_bytes < BODY || info->size_bytes >= BODY + 256;
    return 0;
}

/* A body repeats one letter, so that a mixture of two is easy to see. */
static void *put_get_list_delete(void *user)
{
    struct worker *worker = user;
    char *body = malloc(BODY + 256);
    for (unsigned i = 0; i < ROUNDS; i++) {
        char key[32];
        snprintf(key, sizeof key, "shared/%u/k", (worker->number + i) % KEYS);
        unsigned char letter = (unsigned char)(worker->number * ROUNDS + i);
        memset(body, letter, BODY + letter);
        worker->bad += lithops_storage_put(storage, "b", key, (lithops_bytes){body, BODY + letter},
                                           &worker->err) != 0;
        unsigned char *data;
        size_t len;
        int rc =
            lithops_storage_get(storage, "b", key, 0, SIZE_MAX, (void **)&data, &len, &worker->err);
        if (rc == 0) {
            worker->got++;
            worker->bad += len != BODY + (size_t)data[0];
            for (size_t k = 1; k < len; k++)
                worker->bad += data[k] != data[0];
            free(data);
        } else {
            worker->bad += rc != LITHOPS_ENOTFOUND;
        }
        worker->bad +=
            lithops_storage_list(storage, "b", "shared/", count_whole, worker, &worker->err) != 0;
        if (i % 3 == 0)
            worker->bad += lithops_storage_delete(storage, "b", key, &worker->err) != 0;
    }
    free(body);
    return NULL;
}

static void threads_see_whole_objects(void **state)
{
    (void)state;
    struct worker workers[THREADS] = {{0}};
    put_text("b", "keeps-the-bucket", "x");
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].number = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, put_get_list_delete, &workers[i]),
                         0);
    }
    unsigned got = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        if (workers[i].bad)
            fail_msg("thread %u: %u bad results; the last error: %s", i, workers[i].bad,
                     workers[i].err.message);
        got += workers[i].got;
    }
    assert_true(got > 0);
}

int storage_suite_run(const struct storage_suite *the_suite)
{
    suite = the_suite;
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_can_be_got),
        TEST(a_put_replaces),
        TEST(ranges_are_cut_at_the_end),
        TEST(what_is_missing_is_named),
        TEST(deleted_is_gone),
        TEST(many_are_deleted),
        TEST(lists_come_in_key_order),
        TEST(lists_start_behind_a_key),
        TEST(a_visitor_can_stop_and_delete),
        TEST(odd_names_are_kept),
        TEST(bad_names_are_refused),
        TEST(a_key_below_another_key),
        TEST(null_handles_are_errors),
        TEST(bounds_are_kept),
        TEST(a_descriptor_is_read_to_its_end),
        TEST(large_objects_are_whole),
        TEST(large_ranges_and_files_are_whole),
        TEST(an_object_goes_through_a_pipe),
        TEST(a_new_object_does_not_replace),
        TEST(the_server_copies),
        TEST(buckets_are_created),
        TEST(a_reader_streams),
        TEST(a_reader_never_mixes_versions),
        TEST(reads_with_one_cursor_are_of_one_version),
        TEST(cloudobjects_name_objects),
        TEST(what_is_no_cloudobject_is_refused),
        TEST(threads_see_whole_objects),
    };
#undef TEST
    return cmocka_run_group_tests_name(suite->name, tests, NULL, NULL);
}
