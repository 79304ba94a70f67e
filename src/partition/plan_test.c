/* SPDX-License-Identifier: Apache-2.0 */
/* From names to partitions: what names stand for, how objects are cut, specs as values, and that
 * the chunks of a plan, read one after the other, are the object. */
#include "storage_memory.h"

#include "base/buffer.h"
#include "partition/stream_test_tools.h"
#include "value/value.h"

#include <fcntl.h>
#include <ftw.h>
#include <lithops/log.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64]; /* the current folder of this test */
static lithops_storage *storage;
static lithops_error err;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/lithops-test-XXXXXX");
    storage = lithops__storage_open_driver(&storage_memory, NULL, NULL, NULL);
    return mkdtemp(folder) && chdir(folder) == 0 && storage ? 0 : -1;
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
    lithops_storage_close(storage);
    return chdir("/") == 0 ? nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) : -1;
}

static void make_file(const char *name, uint64_t size)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static void put(const char *bucket, const char *key, const char *body)
{
    assert_int_equal(
        lithops_storage_put(storage, bucket, key, (lithops_bytes){body, strlen(body)}, &err), 0);
}

struct plan {
    lithops_value *specs;
    size_t *counts, objects;
};

static int make_plan(lithops_value *objects, int64_t chunk_size, int64_t chunk_number,
                     struct plan *ret_plan)
{
    struct lithops__partition_options options = {chunk_size, chunk_number, "\n"};
    *ret_plan = (struct plan){NULL, NULL, 12345};
    err = (lithops_error)LITHOPS_ERROR_INIT;
    int rc = lithops__partition_plan(storage, objects, &options, &ret_plan->specs,
                                     &ret_plan->counts, &ret_plan->objects, &err);
    if (rc) {
        assert_null(ret_plan->specs);
        assert_null(ret_plan->counts);
        assert_int_equal(err.code, rc);
        assert_true(strlen(err.message) > 10);
    }
    lithops_value_free(objects);
    return rc;
}

static void free_plan(struct plan *plan)
{
    lithops_value_free(plan->specs);
    free(plan->counts);
}

/* What the specs of a plan name, as "name:start-end " for each. */
static void expect_plan(lithops_value *objects, int64_t chunk_size, int64_t chunk_number,
                        const char *expected)
{
    struct plan plan;
    if (make_plan(objects, chunk_size, chunk_number, &plan) != 0)
        fail_msg("%s", err.message);
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    size_t in_counts = 0;
    for (size_t i = 0; i < plan.objects; i++)
        in_counts += plan.counts[i];
    assert_int_equal(in_counts, lithops_value_size(plan.specs));
    for (size_t i = 0; i < in_counts; i++) {
        struct lithops__spec spec;
        const lithops_value *value = lithops_value_at(plan.specs, i);
        assert_true(lithops__is_partition(value));
        assert_int_equal(lithops__spec_decode(value, &spec, &err), 0);
        const lithops_object *o = &spec.object;
        if (o->path)
            lithops__buffer_printf(
                &text, "%s",
                o->path + (strncmp(o->path, folder, strlen(folder)) == 0 ? strlen(folder) + 1 : 0));
        else
            lithops__buffer_printf(&text, "%s:%s/%s", o->backend, o->bucket, o->key);
        lithops__buffer_printf(&text, ":%llu-%llu ", (unsigned long long)o->range_start,
                               (unsigned long long)o->range_end);
        assert_int_equal(spec.newline.len, 1);
        lithops__spec_deinit(&spec);
    }
    char *all = lithops__buffer_steal(&text);
    assert_string_equal(all, expected);
    free(all);
    free_plan(&plan);
}

static void expect_failure(lithops_value *objects, int code, const char *in_message)
{
    struct plan plan;
    assert_int_equal(make_plan(objects, LITHOPS_DEFAULT, LITHOPS_DEFAULT, &plan), code);
    if (!strstr(err.message, in_message))
        fail_msg("'%s' is not in '%s'", in_message, err.message);
}

static lithops_value *names(const char *one)
{
    return lithops_pack("[s]", one);
}

#define WHOLE LITHOPS_DEFAULT, LITHOPS_DEFAULT

/* ---- names ----------------------------------------------------------------------------------- */

static void paths_are_files_and_folders(void **state)
{
    (void)state;
    char absolute[128];
    make_file("one", 10);
    snprintf(absolute, sizeof absolute, "%s/one", folder);
    expect_plan(names("one"), WHOLE, "one:0-10 ");
    expect_plan(names("./one"), WHOLE, "one:0-10 ");
    expect_plan(names("././one"), WHOLE, "one:0-10 ");
    expect_plan(names(absolute), WHOLE, "one:0-10 ");
    expect_plan(lithops_pack("[s,s]", "one", "one"), WHOLE, "one:0-10 one:0-10 ");
    expect_plan(lithops_value_list(), WHOLE, "");

    assert_int_equal(mkdir("dir", 0700), 0);
    assert_int_equal(mkdir("dir/b", 0700), 0);
    assert_int_equal(mkdir("dir/empty", 0700), 0);
    make_file("dir/z", 1);
    make_file("dir/.hidden", 2);
    make_file("dir/b/x y", 3);
    make_file("dir/b-", 4);
    make_file("dir/odd\n\xff", 5);
    assert_int_equal(symlink("../one", "dir/link"), 0);
    assert_int_equal(symlink("..", "dir/loop"), 0);
    assert_int_equal(symlink("nowhere", "dir/dangling"), 0);
    assert_int_equal(mkfifo("dir/fifo", 0600), 0);
    const char *all = "dir/.hidden:0-2 dir/b-:0-4 dir/b/x y:0-3 dir/link:0-10 "
                      "dir/odd\n\xff:0-5 dir/z:0-1 ";
    expect_plan(names("dir"), WHOLE, all);
    expect_plan(names("dir/"), WHOLE, all);
    expect_plan(names("dir//"), WHOLE, all);
    expect_plan(names("./dir"), WHOLE, all);
    expect_plan(names("dir/b/../link"), WHOLE, "dir/b/../link:0-10 ");
    expect_plan(lithops_pack("[y]", "dir/odd\n\xff", (size_t)9), WHOLE, "dir/odd\n\xff:0-5 ");

    expect_failure(names("dir/empty"), LITHOPS_ENOTFOUND, "holds no files");
    expect_plan(names("dir/fifo"), 4, LITHOPS_DEFAULT, "dir/fifo:0-18446744073709551615 ");
    expect_failure(names("/dev/null"), LITHOPS_EUSAGE, "/dev/null");
    expect_failure(names("./none"), LITHOPS_ENOTFOUND, "none");
    expect_failure(names("/no/such/file"), LITHOPS_ENOTFOUND, "/no/such/file");
    expect_failure(names("one/below"), LITHOPS_ENOTFOUND, "one/below");
}

static void storage_names_are_keys_and_prefixes(void **state)
{
    (void)state;
    put("b", "k", "123");
    put("b", "p/2", "12");
    put("b", "p/1", "1");
    put("b", "p/folder-mark/", "");
    put("b", "q", "");
    expect_plan(names("b/k"), WHOLE, "memory:b/k:0-3 ");
    expect_plan(names("memory://b/k"), WHOLE, "memory:b/k:0-3 ");
    expect_plan(names("b/p/"), WHOLE, "memory:b/p/1:0-1 memory:b/p/2:0-2 ");
    expect_plan(names("memory://b/p/"), WHOLE, "memory:b/p/1:0-1 memory:b/p/2:0-2 ");
    const char *all = "memory:b/k:0-3 memory:b/p/1:0-1 memory:b/p/2:0-2 memory:b/q:0-0 ";
    expect_plan(names("b/"), WHOLE, all);
    expect_plan(names("b"), WHOLE, all);
    expect_plan(names("memory://b"), WHOLE, all);
    lithops_value *object =
        lithops_cloudobject_put(storage, (lithops_bytes){"abcd", 4}, "b", "co", &err);
    expect_plan(lithops_pack("[O,s]", object, "b/k"), WHOLE, "memory:b/co:0-4 memory:b/k:0-3 ");
    lithops_value_free(object);

    /* Both are said to have been tried. */
    expect_failure(names("b/none"), LITHOPS_ENOTFOUND, "/b/none'");
    expect_failure(names("b/none"), LITHOPS_ENOTFOUND, "no object 'none' in bucket 'b'");
    expect_failure(names("b/p"), LITHOPS_ENOTFOUND, "a prefix needs a '/' at its end");
    expect_failure(names("none/k"), LITHOPS_ENOTFOUND, "bucket");
    expect_failure(names("b/p/none/"), LITHOPS_ENOTFOUND, "no objects 'p/none/*'");
    expect_failure(names("none"), LITHOPS_ENOTFOUND, "none");
    expect_failure(names("b/../x"), LITHOPS_ENOTFOUND, "'..'");
    expect_failure(names("memory://b/none"), LITHOPS_ENOTFOUND, "none");
    expect_failure(names("aws_s3://b/k"), LITHOPS_EUNSUPPORTED, "memory");
    expect_failure(names("memory://"), LITHOPS_EUSAGE, "bucket");
    expect_failure(lithops_pack("[{s:b,s:s,s:s,s:s}]", "$cloudobject", 1, "backend", "memory",
                                "bucket", "b", "key", "none"),
                   LITHOPS_ENOTFOUND, "none");
    expect_failure(lithops_pack("[{s:b,s:s,s:s,s:s}]", "$cloudobject", 1, "backend", "other",
                                "bucket", "b", "key", "k"),
                   LITHOPS_EUSAGE, "other");
}

static void an_existing_file_wins_over_a_key(void **state)
{
    (void)state;
    put("data", "k", "1234567");
    expect_plan(names("data/k"), WHOLE, "memory:data/k:0-7 ");
    assert_int_equal(mkdir("data", 0700), 0);
    expect_plan(names("data/k"), WHOLE, "memory:data/k:0-7 ");
    make_file("data/k", 2);
    expect_plan(names("data/k"), WHOLE, "data/k:0-2 ");
    expect_plan(names("data/"), WHOLE, "data/k:0-2 ");
    expect_plan(names("memory://data/k"), WHOLE, "memory:data/k:0-7 ");
}

static void without_a_storage_only_paths_are_found(void **state)
{
    (void)state;
    lithops_storage *kept = storage;
    storage = NULL;
    make_file("one", 10);
    expect_plan(names("one"), WHOLE, "one:0-10 ");
    expect_failure(names("b/k"), LITHOPS_ENOTFOUND, "no file or folder");
    expect_failure(names("memory://b/k"), LITHOPS_EUNSUPPORTED, "(none)");
    storage = kept;
}

static void what_is_no_name_is_refused(void **state)
{
    (void)state;
    char long_name[9000];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    expect_failure(NULL, LITHOPS_EUSAGE, "list");
    expect_failure(lithops_value_string("one"), LITHOPS_EUSAGE, "list");
    expect_failure(lithops_pack("[i]", 5), LITHOPS_EUSAGE, "int");
    expect_failure(lithops_pack("[n]"), LITHOPS_EUSAGE, "null");
    expect_failure(lithops_pack("[{}]"), LITHOPS_EUSAGE, "map");
    expect_failure(names(""), LITHOPS_EUSAGE, "empty");
    expect_failure(lithops_pack("[s%]", "a\0b", (size_t)3), LITHOPS_EUSAGE, "zero byte");
    expect_failure(names(long_name), LITHOPS_EIO, "too long");
    expect_failure(names("http://"), LITHOPS_EUSAGE, "URL");
}

/* ---- cutting --------------------------------------------------------------------------------- */

static void objects_are_cut_by_size_or_number(void **state)
{
    (void)state;
    make_file("ten", 10);
    expect_plan(names("ten"), 4, LITHOPS_DEFAULT, "ten:0-4 ten:4-8 ten:8-10 ");
    expect_plan(names("ten"), 5, LITHOPS_DEFAULT, "ten:0-5 ten:5-10 ");
    expect_plan(names("ten"), 10, LITHOPS_DEFAULT, "ten:0-10 ");
    expect_plan(names("ten"), INT64_MAX, LITHOPS_DEFAULT, "ten:0-10 ");
    expect_plan(names("ten"), 9, LITHOPS_DEFAULT, "ten:0-9 ten:9-10 ");
    expect_plan(names("ten"), LITHOPS_DEFAULT, 1, "ten:0-10 ");
    expect_plan(names("ten"), LITHOPS_DEFAULT, 3, "ten:0-3 ten:3-6 ten:6-10 ");
    expect_plan(names("ten"), LITHOPS_DEFAULT, 4, "ten:0-2 ten:2-5 ten:5-7 ten:7-10 ");
    expect_plan(names("ten"), 2, 2, "ten:0-5 ten:5-10 "); /* the number wins */
    make_file("two", 2); /* more chunks than bytes: one byte each */
    expect_plan(names("two"), LITHOPS_DEFAULT, 1000, "two:0-1 two:1-2 ");
    expect_plan(names("two"), LITHOPS_DEFAULT, INT64_MAX, "two:0-1 two:1-2 ");
    make_file("none", 0); /* one empty chunk */
    expect_plan(names("none"), LITHOPS_DEFAULT, 5, "none:0-0 ");
    expect_plan(names("none"), 5, LITHOPS_DEFAULT, "none:0-0 ");
    expect_plan(lithops_pack("[s,s,s]", "two", "none", "ten"), 6, LITHOPS_DEFAULT,
                "two:0-2 none:0-0 ten:0-6 ten:6-10 ");
}

static void parts_are_described(void **state)
{
    (void)state;
    make_file("ten", 10);
    make_file("one", 1);
    struct plan plan;
    assert_int_equal(make_plan(lithops_pack("[s,s]", "ten", "one"), 4, LITHOPS_DEFAULT, &plan), 0);
    assert_int_equal(plan.objects, 2);
    assert_int_equal(plan.counts[0], 3);
    assert_int_equal(plan.counts[1], 1);
    lithops_stream *stream;
    assert_int_equal(lithops__stream_open(lithops_value_at(plan.specs, 2), NULL, &stream, &err), 0);
    const lithops_object *o = lithops_stream_object(stream);
    assert_int_equal(o->part, 2);
    assert_int_equal(o->total_parts, 3);
    assert_int_equal(o->chunk_size_bytes, 4);
    assert_int_equal(o->object_size_bytes, 10);
    assert_int_equal(o->range_start, 8);
    assert_int_equal(o->range_end, 10);
    assert_int_equal(o->path[0], '/');
    lithops__stream_close(stream);
    free_plan(&plan);
    assert_int_equal(make_plan(names("ten"), LITHOPS_DEFAULT, 3, &plan), 0);
    assert_int_equal(lithops__stream_open(lithops_value_at(plan.specs, 0), NULL, &stream, &err), 0);
    assert_int_equal(lithops_stream_object(stream)->chunk_size_bytes, 4);
    lithops__stream_close(stream);
    free_plan(&plan);
}

static void arguments_behind_a_name_go_with_every_chunk(void **state)
{
    (void)state;
    make_file("ten", 10);
    struct plan plan;
    lithops_value *objects = lithops_pack("[[s,i,{s:s}],s]", "ten", 7, "a", "b", "ten");
    assert_int_equal(make_plan(objects, 4, LITHOPS_DEFAULT, &plan), 0);
    assert_int_equal(lithops_value_size(plan.specs), 6);
    for (size_t i = 0; i < 6; i++) {
        const lithops_value *item = lithops_value_at(plan.specs, i), *spec;
        if (i >= 3) {
            assert_true(lithops__is_partition(item));
            continue;
        }
        const char *text;
        int number;
        assert_int_equal(lithops_unpack(item, &err, "[o,i,{s:s}!]", &spec, &number, "a", &text), 0);
        assert_true(lithops__is_partition(spec));
        assert_int_equal(number, 7);
        assert_string_equal(text, "b");
    }
    free_plan(&plan);
    assert_int_equal(make_plan(lithops_pack("[[]]"), 4, LITHOPS_DEFAULT, &plan), LITHOPS_EUSAGE);
    assert_int_equal(make_plan(lithops_pack("[[i]]", 3), 4, LITHOPS_DEFAULT, &plan),
                     LITHOPS_EUSAGE);
}

static void huge_objects_are_cut_exactly(void **state)
{
    (void)state;
    const uint64_t size = ((uint64_t)15 << 40) + 12345; /* sparse; nearly all that ext4 takes */
    int fd = open("huge", O_WRONLY | O_CREAT, 0600);
    if (ftruncate(fd, (off_t)size) != 0) {
        close(fd);
        skip();
    }
    close(fd);
    const int64_t settings[][2] = {{LITHOPS_DEFAULT, 999}, {(int64_t)7 << 30, LITHOPS_DEFAULT}};
    for (int i = 0; i < 2; i++) {
        struct plan plan;
        assert_int_equal(make_plan(names("huge"), settings[i][0], settings[i][1], &plan), 0);
        uint64_t at = 0;
        for (size_t k = 0; k < plan.counts[0]; k++) {
            struct lithops__spec spec;
            assert_int_equal(lithops__spec_decode(lithops_value_at(plan.specs, k), &spec, &err), 0);
            assert_true(spec.object.range_start == at && spec.object.range_end > at);
            assert_true(spec.object.range_end - at <= spec.object.chunk_size_bytes);
            at = spec.object.range_end;
            lithops__spec_deinit(&spec);
        }
        assert_true(at == size);
        free_plan(&plan);
    }
    struct plan plan; /* a wrong unit must not take all memory */
    assert_int_equal(make_plan(names("huge"), 64, LITHOPS_DEFAULT, &plan), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "obj_chunk_size"));
}

static unsigned warnings;
static void count_warning(lithops_log_level level, const char *where, const char *message,
                          void *user)
{
    (void)user;
    assert_int_equal(level, LITHOPS_LOG_WARNING);
    assert_string_equal(where, "partition");
    assert_non_null(strstr(message, "1 MiB"));
    warnings++;
}

static void options_are_checked(void **state)
{
    (void)state;
    make_file("ten", 10);
    struct plan plan;
    const int64_t bad[] = {0, -1, INT64_MIN + 1};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(make_plan(names("ten"), bad[i], LITHOPS_DEFAULT, &plan), LITHOPS_EUSAGE);
        assert_non_null(strstr(err.message, "obj_chunk_size"));
        assert_int_equal(make_plan(names("ten"), LITHOPS_DEFAULT, bad[i], &plan), LITHOPS_EUSAGE);
        assert_non_null(strstr(err.message, "obj_chunk_number"));
        assert_int_equal(make_plan(names("ten"), bad[i], 5, &plan), LITHOPS_EUSAGE);
    }
    lithops_log_to(LITHOPS_LOG_WARNING, count_warning, NULL);
    expect_plan(names("ten"), 1 << 20, LITHOPS_DEFAULT, "ten:0-10 ");
    expect_plan(names("ten"), LITHOPS_DEFAULT, 1, "ten:0-10 ");
    assert_int_equal(warnings, 0);
    expect_plan(names("ten"), (1 << 20) - 1, LITHOPS_DEFAULT, "ten:0-10 ");
    assert_int_equal(warnings, 1);
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);

    char too_long[1026];
    memset(too_long, 'x', 1025);
    too_long[1025] = '\0';
    const char *const newlines[] = {"", too_long};
    for (int i = 0; i < 2; i++) {
        struct lithops__partition_options options = {10, 10, newlines[i]};
        lithops_value *list = names("ten");
        assert_int_equal(lithops__partition_plan(storage, list, &options, &plan.specs, &plan.counts,
                                                 &plan.objects, &err),
                         LITHOPS_EUSAGE);
        assert_non_null(strstr(err.message, "obj_newline"));
        lithops_value_free(list);
    }
}

/* ---- specs ----------------------------------------------------------------------------------- */

static void specs_travel(void **state)
{
    (void)state;
    const lithops_object objects[] = {
        {.path = "/a/\xff\xfe",
         .part = 1,
         .total_parts = 3,
         .range_start = 5,
         .range_end = 9,
         .object_size_bytes = 12,
         .chunk_size_bytes = 4},
        {.url = "https://x/y?z",
         .total_parts = 1,
         .range_end = UINT64_MAX,
         .object_size_bytes = UINT64_MAX,
         .chunk_size_bytes = UINT64_MAX},
        {.backend = "memory", .bucket = "b", .key = "k/l", .total_parts = 1},
    };
    const char *const newlines[] = {"\r\n", NULL, "\xff"};
    for (int i = 0; i < 3; i++) {
        lithops_value *value =
            lithops__spec_encode(&objects[i], newlines[i], LITHOPS__PACKING_NONE);
        struct lithops__buffer bytes = LITHOPS__BUFFER_INIT;
        assert_int_equal(lithops__value_encode(value, &bytes, &err), 0);
        lithops_value *copy = lithops__value_decode(bytes.data, bytes.len, &err);
        struct lithops__spec spec;
        assert_true(lithops__is_partition(copy));
        assert_int_equal(lithops__spec_decode(copy, &spec, &err), 0);
        lithops_value_free(value);
        lithops_value_free(copy);
        lithops__buffer_deinit(&bytes);
        const lithops_object *a = &objects[i], *b = &spec.object;
        const char *const texts[][2] = {{a->path, b->path},       {a->url, b->url},
                                        {a->backend, b->backend}, {a->bucket, b->bucket},
                                        {a->key, b->key},         {newlines[i], spec.newline.ptr}};
        for (int k = 0; k < 6; k++) {
            assert_int_equal(!texts[k][0], !texts[k][1]);
            if (texts[k][0])
                assert_string_equal(texts[k][0], texts[k][1]);
        }
        assert_true(a->part == b->part && a->total_parts == b->total_parts &&
                    a->range_start == b->range_start && a->range_end == b->range_end &&
                    a->object_size_bytes == b->object_size_bytes &&
                    a->chunk_size_bytes == b->chunk_size_bytes);
        lithops__spec_deinit(&spec);
    }
}

static void bad_specs_are_refused(void **state)
{
    (void)state;
    const char *const bad[] = {
        "{}",
        "{\"$partition\": 1, \"path\": \"/x\"}",
        "{\"$partition\": [], \"path\": \"/x\"}",
        "{\"$partition\": [0,1,0,1,1], \"path\": \"/x\"}",
        "{\"$partition\": [0,1,0,1,1,1,1], \"path\": \"/x\"}",
        "{\"$partition\": [0,1,0,1,1,\"1\"], \"path\": \"/x\"}",
        "{\"$partition\": [1,1,0,1,1,1], \"path\": \"/x\"}",
        "{\"$partition\": [-1,1,0,1,1,1], \"path\": \"/x\"}",
        "{\"$partition\": [0,1,-1,1,1,1], \"path\": \"/x\"}",
        "{\"$partition\": [0,1,2,1,2,1], \"path\": \"/x\"}",
        "{\"$partition\": [0,1,0,2,1,1], \"path\": \"/x\"}",
        "{\"$partition\": [0,2,0,-1,-1,-1], \"path\": \"/x\"}",
        "{\"$partition\": [0,1,5,-1,-1,-1], \"path\": \"/x\"}",
        "{\"$partition\": [0,1,0,1,1,1]}",
        "{\"$partition\": [0,1,0,1,1,1], \"path\": 7}",
        "{\"$partition\": [0,1,0,1,1,1], \"path\": \"\"}",
        "{\"$partition\": [0,1,0,1,1,1], \"path\": \"/a\\u0000b\"}",
        "{\"$partition\": [0,1,0,1,1,1], \"path\": \"/x\", \"url\": \"http://x\"}",
        "{\"$partition\": [0,1,0,1,1,1], \"bucket\": \"b\"}",
        "{\"$partition\": [0,1,0,1,1,1], \"path\": \"/x\", \"newline\": \"\"}",
        "{\"$partition\": [0,1,0,1,1,1], \"path\": \"/x\", \"newline\": []}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lithops_value *value = lithops_value_from_json(bad[i], strlen(bad[i]), &err);
        if (!value)
            fail_msg("%s", err.message);
        struct lithops__spec spec;
        if (lithops__spec_decode(value, &spec, &err) != LITHOPS_EPARSE)
            fail_msg("accepted: %s", bad[i]);
        lithops__spec_deinit(&spec);
        lithops_stream *stream = NULL;
        assert_int_not_equal(lithops__stream_open(value, storage, &stream, &err), 0);
        assert_null(stream);
        lithops_value_free(value);
    }
    lithops_stream *stream = NULL;
    assert_int_equal(lithops__stream_open(NULL, storage, &stream, &err), LITHOPS_EUSAGE);
}

static void a_stream_opens_one_object_by_name(void **state)
{
    (void)state;
    put("b", "p/1", "x\ny\nz");
    lithops_stream *stream = NULL;
    lithops_value *name = lithops_value_string("b/p/1");
    assert_int_equal(lithops__stream_open(name, storage, &stream, &err), 0);
    assert_int_equal(lithops_stream_skip_lines(stream, INT64_MAX), 3);
    assert_string_equal(lithops_stream_object(stream)->backend, "memory");
    lithops__stream_close(stream);
    lithops_value_free(name);
    stream = NULL;
    put("b", "p/2", "x");
    name = lithops_value_string("b/p/");
    assert_int_equal(lithops__stream_open(name, storage, &stream, &err), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "several"));
    assert_null(stream);
    lithops_value_free(name);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Objects that are read with requests and not as files: the chunks are the object all the same. */
static void chunks_of_stored_objects_are_the_object(void **state)
{
    (void)state;
    enum { LEN = 2000003 };
    char *text = malloc(LEN + 1);
    uint32_t random = 1;
    for (size_t i = 0; i < LEN; i++) {
        random = random * 1664525u + 1013904223u;
        text[i] = random >> 24 < 6 ? '\n' : (char)('a' + (random >> 24) % 26);
    }
    memset(text + LEN / 2, 'L', LEN / 4);
    text[LEN] = '\0';
    put("b", "k", text);
    size_t lines = 0;
    for (size_t i = 0; i < LEN; i++)
        lines += text[i] == '\n';
    lines += text[LEN - 1] != '\n';
    for (int way = 0; way < 4; way++) {
        struct plan plan;
        assert_int_equal(make_plan(names("b/k"), LITHOPS_DEFAULT, 13, &plan), 0);
        struct gathered all = {.data = NULL};
        int64_t counted = 0;
        for (size_t i = 0; i < plan.counts[0]; i++) {
            lithops_stream *stream;
            assert_int_equal(
                lithops__stream_open(lithops_value_at(plan.specs, i), storage, &stream, &err), 0);
            if (way == 0)
                gather_lines(stream, "\n", LEN, &all);
            else if (way == 1)
                gather_blocks(stream, &all);
            else if (way == 2)
                gather_reads(stream, 77777, &all);
            else
                counted += lithops_stream_skip_lines(stream, INT64_MAX);
            assert_int_equal(lithops_stream_error(stream, &err), 0);
            lithops__stream_close(stream);
        }
        if (way == 3)
            assert_int_equal(counted, lines);
        else if (way == 0)
            assert_memory_equal(all.data, text, LEN);
        else
            assert_true(all.len == LEN && memcmp(all.data, text, LEN) == 0);
        free(all.data);
        free_plan(&plan);
    }
    free(text);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(paths_are_files_and_folders),
        TEST(storage_names_are_keys_and_prefixes),
        TEST(an_existing_file_wins_over_a_key),
        TEST(without_a_storage_only_paths_are_found),
        TEST(what_is_no_name_is_refused),
        TEST(objects_are_cut_by_size_or_number),
        TEST(parts_are_described),
        TEST(arguments_behind_a_name_go_with_every_chunk),
        TEST(huge_objects_are_cut_exactly),
        TEST(options_are_checked),
        TEST(specs_travel),
        TEST(bad_specs_are_refused),
        TEST(a_stream_opens_one_object_by_name),
        TEST(chunks_of_stored_objects_are_the_object),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
