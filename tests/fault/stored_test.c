/* SPDX-License-Identifier: Apache-2.0 */
/* Files that workers get through the storage that carries their links: each has a cache of its own,
 * and none of it is there yet. */
#include "through.h"

#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORKERS = 3, SHORT_FILES = 40, LONG_BYTES = 2 << 20 };

static lithops_error err = LITHOPS_ERROR_INIT;

/* ---- what the client says and does ------------------------------------------------------------
 */

static atomic_uint stored, sent, refused;

static void note(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)level, (void)where, (void)user;
    unsigned files;
    atomic_fetch_add(&stored, sscanf(text, "put %u files", &files) == 1);
    atomic_fetch_add(&sent, strstr(text, " asks for '") != NULL);
    atomic_fetch_add(&refused, strncmp(text, "files go to workers one by one", 30) == 0);
}

static void forget_notes(void)
{
    atomic_store(&stored, 0);
    atomic_store(&sent, 0);
    atomic_store(&refused, 0);
}

/* Each worker has a cache of its own. */
static lithops_executor *open_executor(bool cleans)
{
    const char *command =
        through_script("worker", "XDG_CACHE_HOME=$FOLDER/cache-$$ exec $LITHOPS \"$@\"");
    return through_open(lithops_pack("{s:i,s:i,s:s}", "workers", WORKERS, "worker_processes", 1,
                                     "command", command),
                        lithops_pack("{s:b}", "data_cleaner", (int)cleans));
}

static void write_file(const char *name, size_t len)
{
    char path[128], *bytes = malloc(len);
    snprintf(path, sizeof path, "%s/%s", through_folder, name);
    FILE *file = fopen(path, "w");
    CHECK(bytes && file);
    memset(bytes, (int)len, len);
    CHECK(fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
    free(bytes);
}

/* A folder with many short files and a long one. @return their bytes */
static int64_t write_included(void)
{
    char name[128];
    int64_t total = LONG_BYTES;
    snprintf(name, sizeof name, "%s/included", through_folder);
    (void)mkdir(name, 0700);
    for (size_t i = 1; i <= SHORT_FILES; i++) {
        snprintf(name, sizeof name, "included/%zu", i);
        write_file(name, 100 * i);
        total += (int64_t)(100 * i);
    }
    write_file("included/long", LONG_BYTES);
    return total;
}

/* Sizes of files whose content is right, and how many; < 0: some are not. */
static int64_t measure(const char *at, size_t *ret_count)
{
    char path[4096 + 256];
    struct dirent *entry;
    int64_t total = 0;
    DIR *dir = opendir(at);
    *ret_count = 0;
    while (dir && (entry = readdir(dir)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", at, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (!file)
            continue;
        int64_t len = 0, sum = 0;
        for (int byte; (byte = getc(file)) != EOF; len++)
            sum += byte;
        fclose(file);
        total += sum == len * (len & 255) ? len : INT64_MIN / 1000;
        ++*ret_count;
    }
    if (dir)
        closedir(dir);
    return total;
}

/* So many workers meet in a folder, so none of them runs two of these calls. */
LITHOPS_FUNCTION(meet)
{
    const char *place;
    char path[256];
    int64_t count;
    size_t there = 0;
    if (lithops_args(call, "sI", "place", &place, "count", &count) != 0)
        return LITHOPS_EARG;
    snprintf(path, sizeof path, "%s/%ld", place, (long)getpid());
    FILE *file = fopen(path, "w");
    if (!file || fclose(file) != 0)
        return lithops_fail(call, "cannot write '%s'", path);
    while (measure(place, &there) == 0 && (int64_t)there < count)
        poll(NULL, 0, 5);
    return lithops_return_int(call, measure(lithops_call_file(call, "included"), &there));
}

static void use_workers(lithops_executor *fexec, int count)
{
    static int meetings;
    char place[128], included[128];
    const char *const include[] = {included, NULL};
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *inputs = lithops_value_list();
    int64_t total = write_included(), got;
    snprintf(included, sizeof included, "%s/included", through_folder);
    snprintf(place, sizeof place, "%s/meeting-%d", through_folder, ++meetings);
    CHECK(mkdir(place, 0700) == 0);
    for (int i = 0; i < count; i++)
        CHECK(lithops_value_append(inputs, lithops_pack("[s,i]", place, count)) == 0);
    options.include_modules = include;
    lithops_futures *calls = lithops_map(fexec, meet, inputs, &options, &err);
    CHECK(calls != NULL);
    fault_await_all(calls);
    for (int i = 0; i < count; i++) {
        lithops_future *future = lithops_futures_get(calls, (size_t)i);
        if (lithops_future_result(future, 0, &err, "I", &got) != 0)
            fault_fail(__FILE__, __LINE__, err.message);
        lithops_future_unref(future);
        CHECK_INT(got, total);
    }
    lithops_futures_unref(calls);
}

/* ---- what the storage has ---------------------------------------------------------------------
 */

struct contents {
    size_t objects, bundles;
};

/* @param spoil  what each bundle is replaced by; NULL: it stays; "": it is deleted */
static struct contents look(const char *spoil)
{
    char *keys[16];
    struct contents contents;
    lithops_storage *storage = through_storage();
    const char *bucket = lithops_storage_bucket(storage);
    contents.objects = through_list("lithops.jobs/objects/", keys, 16, &contents.bundles);
    for (size_t i = 0; i < contents.bundles; i++) {
        int rc = !spoil   ? 0
                 : *spoil ? lithops_storage_put(storage, bucket, keys[i],
                                                (lithops_bytes){spoil, strlen(spoil)}, &err)
                          : lithops_storage_delete(storage, bucket, keys[i], &err);
        CHECK_INT(rc, 0);
        free(keys[i]);
    }
    lithops_storage_close(storage);
    return contents;
}

static void set_up(void)
{
    through_set_up();
    forget_notes();
    lithops_log_to(LITHOPS_LOG_DEBUG, note, NULL);
}

static void tear_down(void)
{
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    through_tear_down();
}

/* ---- cases ------------------------------------------------------------------------------------
 */

FAULT_CASE(files_are_put_once_for_all_workers)
{
    set_up();
    lithops_executor *fexec = open_executor(true);
    use_workers(fexec, WORKERS);
    struct contents there = look(NULL);
    CHECK_INT(there.bundles, 3); /* the program, the long file, all others */
    CHECK_INT(atomic_load(&stored), there.bundles);
    CHECK_INT(atomic_load(&sent), 0);
    lithops_executor_close(fexec);
    CHECK_INT(look(NULL).objects, 0);
    tear_down();
}

/* Without a cleaner they stay for who comes next. */
FAULT_CASE(the_next_executor_finds_them)
{
    set_up();
    lithops_executor *fexec = open_executor(false);
    use_workers(fexec, 1);
    lithops_executor_close(fexec);
    struct contents left = look(NULL);
    CHECK(left.bundles > 0);
    CHECK_INT(left.objects, left.bundles);
    forget_notes();
    fexec = open_executor(true);
    use_workers(fexec, WORKERS);
    CHECK_INT(atomic_load(&stored) + atomic_load(&sent), 0);
    lithops_executor_close(fexec);
    CHECK_INT(look(NULL).objects, left.objects); /* they are not its own */
    tear_down();
}

/* @param spoil  as with look() */
static void check_put_again(const char *spoil)
{
    set_up();
    lithops_executor *fexec = open_executor(false);
    use_workers(fexec, 1);
    lithops_executor_close(fexec);
    size_t bundles = look(spoil).bundles;
    forget_notes();
    fexec = open_executor(true);
    use_workers(fexec, WORKERS);
    CHECK_INT(atomic_load(&stored), bundles);
    CHECK_INT(atomic_load(&sent), 0);
    lithops_executor_close(fexec);
    CHECK_INT(look(NULL).objects, 0);
    tear_down();
}

FAULT_CASE(what_is_missing_is_put_again)
{
    check_put_again("");
}

FAULT_CASE(what_was_spoiled_is_put_again)
{
    check_put_again("not what its name says");
}

/* While the executor is open, which thinks that they are there. Its workers get them by its link,
 * and the next one finds them. */
static void check_sent(const char *spoil)
{
    set_up();
    lithops_executor *fexec = open_executor(true);
    use_workers(fexec, 1);
    size_t bundles = look(spoil).bundles;
    forget_notes();
    use_workers(fexec, 2);
    CHECK(atomic_load(&sent) > 0);
    CHECK_INT(atomic_load(&stored), 0);
    forget_notes();
    use_workers(fexec, 3);
    CHECK_INT(atomic_load(&stored), bundles);
    CHECK_INT(atomic_load(&sent), 0);
    lithops_executor_close(fexec);
    CHECK_INT(look(NULL).objects, 0);
    tear_down();
}

FAULT_CASE(what_is_deleted_meanwhile_comes_over_the_link)
{
    check_sent("");
}

FAULT_CASE(what_is_spoiled_meanwhile_comes_over_the_link)
{
    check_sent("not what its name says");
}

/* An object lies where the folder of bundles would be. */
FAULT_CASE(a_storage_that_takes_no_files_does_no_harm)
{
    set_up();
    lithops_executor *fexec = open_executor(true);
    lithops_storage *storage = through_storage();
    const char *bucket = lithops_storage_bucket(storage);
    CHECK_INT(
        lithops_storage_put(storage, bucket, "lithops.jobs/objects", (lithops_bytes){"x", 1}, &err),
        0);
    use_workers(fexec, WORKERS);
    CHECK(atomic_load(&refused) > 0);
    CHECK(atomic_load(&sent) > 0);
    lithops_executor_close(fexec);
    CHECK_INT(look(NULL).objects, 1);
    lithops_storage_close(storage);
    tear_down();
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_put_once_for_all_workers),
        cmocka_unit_test(the_next_executor_finds_them),
        cmocka_unit_test(what_is_missing_is_put_again),
        cmocka_unit_test(what_was_spoiled_is_put_again),
        cmocka_unit_test(what_is_deleted_meanwhile_comes_over_the_link),
        cmocka_unit_test(what_is_spoiled_meanwhile_comes_over_the_link),
        cmocka_unit_test(a_storage_that_takes_no_files_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
