/* SPDX-License-Identifier: Apache-2.0 */
/* Want of memory in storage, plans and streams: each operation runs again and again, with its
 * first, second, third ... allocation failing, until it runs through. Each failure must be reported
 * as one and leave nothing behind: no block, no descriptor, no file.
 *
 * The linker hands malloc and its kin of the engine's objects to the __wrap_ functions below. */
#include "partition/stream_test_tools.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t len);
void __real_free(void *ptr);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t len);
void __wrap_free(void *ptr);

static long live;               /* blocks */
static long until_failure = -1; /* allocations that still succeed; negative: all do */
static long failures;

static bool fails(void)
{
    if (until_failure < 0 || until_failure-- > 0)
        return false;
    until_failure = -1;
    failures++;
    errno = ENOMEM;
    return true;
}

static void *counted(void *new_block)
{
    live += new_block != NULL;
    return new_block;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *ptr, size_t size)
{
    if (fails())
        return NULL;
    return ptr ? __real_realloc(ptr, size) : counted(__real_malloc(size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : counted(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t len)
{
    return fails() ? NULL : counted(__real_strndup(s, len));
}

void __wrap_free(void *ptr)
{
    live -= ptr != NULL;
    __real_free(ptr);
}

static size_t count_entries(const char *path)
{
    DIR *folder = opendir(path);
    size_t count = 0;
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

static char folder[64];
static lithops_storage *storage;

/* A closed stream leaves one block for the next one. So that blocks can be counted, it is made sure
 * that there is one. */
static void fill_spare_block(void)
{
    char path[128];
    lithops_bytes line;
    snprintf(path, sizeof path, "%s/b/big", folder);
    lithops_stream *stream = open_range(path, 1000000, 0, 10, "\n", NULL);
    assert_true(lithops_stream_next_line(stream, &line));
    lithops__stream_close(stream);
}

/* Run `operation`, which returns a code, with every allocation failing once. */
static void torture(int (*operation)(lithops_error *err), long at_least)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(operation(&err), 0);
    long n;
    for (n = 0;; n++) {
        err = (lithops_error)LITHOPS_ERROR_INIT;
        failures = 0;
        fill_spare_block();
        long live_before = live;
        size_t descriptors = count_entries("/proc/self/fd"), files = count_entries(folder);
        until_failure = n;
        int rc = operation(&err);
        until_failure = -1;
        fill_spare_block();
        assert_int_equal(live, live_before);
        assert_int_equal(count_entries("/proc/self/fd"), descriptors);
        assert_int_equal(count_entries(folder), files);
        if (failures == 0) {
            assert_int_equal(rc, 0);
            break;
        }
        if (rc != LITHOPS_ENOMEM || err.code != rc || !strstr(err.message, "memory"))
            fail_msg("allocation %ld: %d, '%s'", n, rc, err.message);
    }
    assert_true(n >= at_least);
}

/* ---- operations ---------------------------------------------------------------------------- */

static int open_storage(lithops_error *err)
{
    lithops_storage *opened =
        lithops__storage_open_driver(&lithops__storage_localhost, NULL, "b", err);
    lithops_storage_close(opened);
    return opened ? 0 : err->code;
}

static int count_object(const lithops_object_info *info, void *user)
{
    (void)info;
    ++*(int *)user;
    return 0;
}

static int use_storage(lithops_error *err)
{
    void *data = NULL;
    size_t len;
    int count = 0;
    lithops_object_info info;
    lithops_reader *reader = NULL;
    char buf[8];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    int rc = lithops_storage_put(storage, "b", "x/k", (lithops_bytes){"1234567890", 10}, err);
    if (rc == 0)
        rc = lithops_storage_put_fd(storage, "b", "x/fd", fd, err);
    if (rc == 0)
        rc = lithops_storage_get(storage, "b", "x/k", 2, SIZE_MAX, &data, &len, err);
    if (rc == 0)
        rc = lithops_storage_head(storage, "b", "x/k", &info, err);
    if (rc == 0)
        rc = lithops_storage_list(storage, "b", NULL, count_object, &count, err);
    if (rc == 0)
        rc = lithops_storage_open_reader(storage, "b", "x/k", 0, 5, &reader, err);
    if (rc == 0)
        rc = lithops_reader_read(reader, buf, sizeof buf, &len, err);
    lithops_reader_close(reader);
    free(data);
    close(fd);
    return rc;
}

static int make_plan(lithops_error *err)
{
    static char big[] = "b/big", prefix[] = "b/x/";
    char *const names[] = {folder, big, prefix, NULL};
    lithops_value *list = lithops_strings(names), *specs = NULL;
    struct lithops__partition_options options = {3 << 20, LITHOPS_DEFAULT, "\r\n"};
    size_t *counts = NULL, objects;
    int rc = LITHOPS_ENOMEM;
    if (list)
        rc = lithops__partition_plan(storage, list, &options, &specs, &counts, &objects, err);
    else
        snprintf(err->message, sizeof err->message, "memory");
    err->code = rc;
    lithops_value_free(list);
    lithops_value_free(specs);
    free(counts);
    return rc;
}

static int read_stream(lithops_error *err)
{
    char path[128], buf[16];
    lithops_bytes line;
    snprintf(path, sizeof path, "%s/b/big", folder);
    /* Behind 200,000 times "\n": the window must grow, and reading it takes memory. */
    lithops_object object = {.path = path,
                             .total_parts = 2,
                             .part = 1,
                             .range_start = 200001,
                             .range_end = 900000,
                             .object_size_bytes = 1000000};
    lithops_value *spec = lithops__spec_encode(&object, "\n\n", LITHOPS__PACKING_NONE);
    if (!spec) {
        snprintf(err->message, sizeof err->message, "memory");
        return err->code = LITHOPS_ENOMEM;
    }
    lithops_stream *stream = NULL;
    int rc = lithops__stream_open(spec, storage, &stream, err);
    lithops_value_free(spec);
    if (rc)
        return rc;
    lithops_stream_skip_lines(stream, 1);
    lithops_stream_read(stream, buf, sizeof buf);
    while (lithops_stream_next_line(stream, &line)) /* 800,000 bytes: the buffer grows */
        ;
    rc = lithops_stream_error(stream, err);
    lithops__stream_close(stream);
    return rc;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    torture(open_storage, 3);
    torture(use_storage, 8);
    torture(make_plan, 20);
    torture(read_stream, 8);
}

/* ---- set-up -------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/lithops-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    setenv("TMPDIR", folder, 1);
    setenv("USER", "x", 1);
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *settings = lithops_pack("{s:s}", "storage_root", folder);
    storage = lithops__storage_open_driver(&lithops__storage_localhost, settings, NULL, &err);
    lithops_value_free(settings);
    char *big = malloc(1000000);
    memset(big, '\n', 1000000);
    memset(big + 200003, 'x', 799997);
    int rc = lithops_storage_put(storage, "b", "big", (lithops_bytes){big, 1000000}, &err);
    free(big);
    return rc;
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
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
