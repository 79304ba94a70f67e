/* SPDX-License-Identifier: Apache-2.0 */
/* Programs compiled against other versions of the headers: every function that takes an option
 * struct gets one that is shorter, or longer, than the library's. The structs are at the end of the
 * last readable page, so reading past one raises a signal. */
#include "api.h"

#include <lithops/command.h>
#include <lithops/plugin/runtime.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

LITHOPS_FUNCTION(square)
{
    int64_t x = lithops_call_int(call);
    return lithops_return_int(call, x * x);
}

LITHOPS_FUNCTION(sum)
{
    int64_t total = 0, x;
    while (lithops_call_next_result(call, "I", &x) > 0)
        total += x;
    return lithops_return_int(call, total);
}

static char *page_end; /* followed by an unreadable page */
enum { ROOM = 65536 };

/* A copy of the first `size` bytes of `options` at the end of readable memory; its member size says
 * so. */
static void *at_end(const void *options, size_t size)
{
    char *copy = page_end - size;
    memcpy(copy, options, size);
    memcpy(copy, &size, sizeof size);
    return copy;
}

/* `options` followed by 64 bytes of unknown members. */
static void *longer(const void *options, size_t size)
{
    size_t all = size + 64;
    char *copy = page_end - all;
    memset(copy, 0xa5, all);
    memcpy(copy, options, size);
    memcpy(copy, &all, sizeof all);
    return copy;
}

/* ---- each function, wrapped to take untyped options and to return its code
 * -------------------- */

static int try_open(const void *options)
{
    lithops_executor *other = lithops_executor_open(options, &err);
    lithops_executor_close(other);
    return other ? 0 : err.code;
}

static int try_open_mode(const void *options)
{
    lithops_executor *other = lithops_localhost_executor_open(options, &err);
    lithops_executor_close(other);
    return other ? 0 : err.code;
}

static int try_call(const void *options)
{
    lithops_future *f = lithops_call_async(fexec, square, lithops_value_int(7), options, &err);
    if (!f)
        return err.code;
    result_is(f, "49");
    return 0;
}

static int try_map(const void *options)
{
    lithops_futures *fs = lithops_map(fexec, square, lithops_range(0, 3), options, &err);
    if (!fs)
        return err.code;
    results_are(fs, "[0, 1, 4]");
    return 0;
}

static int try_map_futures(const void *options)
{
    lithops_futures *first = lithops_map(fexec, square, lithops_range(0, 3), NULL, &err);
    lithops_futures *fs = lithops_map_futures(fexec, square, not_null(first), options, &err);
    lithops_futures_unref(first);
    if (!fs)
        return err.code;
    results_are(fs, "[0, 1, 16]");
    return 0;
}

static int try_map_reduce(const void *options)
{
    lithops_futures *fs = NULL;
    int rc = lithops_map_reduce(fexec, square, lithops_range(0, 4), sum, options, &fs, &err);
    if (rc == 0)
        results_are(fs, "14");
    return rc;
}

static lithops_futures *some_futures(void)
{
    return not_null(lithops_map(fexec, square, lithops_range(0, 3), NULL, &err));
}

static int try_wait(const void *options)
{
    lithops_futures *fs = some_futures();
    int rc = lithops_wait(NULL, fs, options, NULL, NULL, &err);
    lithops_futures_unref(fs);
    return rc;
}

static int try_get_result(const void *options)
{
    lithops_futures *fs = some_futures();
    int64_t a, b, c;
    int rc = lithops_get_result(NULL, fs, options, &err, "[III]", &a, &b, &c);
    lithops_futures_unref(fs);
    if (rc == 0)
        assert_int_equal(a + b + c, 5);
    return rc;
}

static int try_get_value(const void *options)
{
    lithops_futures *fs = some_futures();
    lithops_value *value = NULL;
    int rc = lithops_get_result_value(NULL, fs, options, &value, &err);
    lithops_value_free(value);
    lithops_futures_unref(fs);
    return rc;
}

static int try_next(const void *options)
{
    lithops_futures *fs = some_futures();
    size_t index;
    int rc = lithops_futures_next(fs, options, &index, &err);
    lithops_futures_unref(fs);
    return rc;
}

static int try_plot(const void *options)
{
    lithops_futures *fs = some_futures();
    char prefix[128];
    snprintf(prefix, sizeof prefix, "%s/plot", folder);
    succeeds(lithops_wait(NULL, fs, &within_limit, NULL, NULL, &err));
    int rc = lithops_plot(NULL, fs, prefix, options, &err);
    lithops_futures_unref(fs);
    return rc;
}

static int try_clean(const void *options)
{
    return lithops_clean(fexec, NULL, options, &err);
}

static int try_resolve(const void *options)
{
    lithops_value *config = lithops_config_resolve(options, false, &err);
    lithops_value_free(config);
    return config ? 0 : err.code;
}

static int try_command(const void *options)
{
    lithops_function *function =
        lithops_function_command((const char *const[]){"true", NULL}, options, &err);
    lithops_function_free(function);
    return function ? 0 : err.code;
}

static const lithops_executor_options of_executor = LITHOPS_EXECUTOR_OPTIONS_INIT;
static const lithops_call_options of_call = LITHOPS_CALL_OPTIONS_INIT;
static const lithops_map_options of_map = LITHOPS_MAP_OPTIONS_INIT;
static const lithops_map_reduce_options of_reduce = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
static const lithops_wait_options of_wait = LITHOPS_WAIT_OPTIONS_INIT;
static const lithops_plot_options of_plot = LITHOPS_PLOT_OPTIONS_INIT;
static const lithops_clean_options of_clean = LITHOPS_CLEAN_OPTIONS_INIT;
static const lithops_command_options of_command = LITHOPS_COMMAND_OPTIONS_INIT;

static const struct entry {
    int (*try)(const void *options);
    const void *defaults;
    size_t size;
    const char *init;
} entries[] = {
    {try_open, &of_executor, sizeof of_executor, "LITHOPS_EXECUTOR_OPTIONS_INIT"},
    {try_open_mode, &of_executor, sizeof of_executor, "LITHOPS_EXECUTOR_OPTIONS_INIT"},
    {try_resolve, &of_executor, sizeof of_executor, "LITHOPS_EXECUTOR_OPTIONS_INIT"},
    {try_call, &of_call, sizeof of_call, "LITHOPS_CALL_OPTIONS_INIT"},
    {try_map, &of_map, sizeof of_map, "LITHOPS_MAP_OPTIONS_INIT"},
    {try_map_futures, &of_map, sizeof of_map, "LITHOPS_MAP_OPTIONS_INIT"},
    {try_map_reduce, &of_reduce, sizeof of_reduce, "LITHOPS_MAP_REDUCE_OPTIONS_INIT"},
    {try_wait, &of_wait, sizeof of_wait, "LITHOPS_WAIT_OPTIONS_INIT"},
    {try_get_result, &of_wait, sizeof of_wait, "LITHOPS_WAIT_OPTIONS_INIT"},
    {try_get_value, &of_wait, sizeof of_wait, "LITHOPS_WAIT_OPTIONS_INIT"},
    {try_next, &of_wait, sizeof of_wait, "LITHOPS_WAIT_OPTIONS_INIT"},
    {try_plot, &of_plot, sizeof of_plot, "LITHOPS_PLOT_OPTIONS_INIT"},
    {try_clean, &of_clean, sizeof of_clean, "LITHOPS_CLEAN_OPTIONS_INIT"},
    {try_command, &of_command, sizeof of_command, "LITHOPS_COMMAND_OPTIONS_INIT"},
};
enum { ENTRIES = sizeof entries / sizeof *entries };

static void test_shorter(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENTRIES; i++)
        for (size_t size = sizeof(size_t); size <= entries[i].size; size += sizeof(void *))
            api_succeeds(entries[i].try(at_end(entries[i].defaults, size)), entries[i].init,
                         __FILE__, __LINE__);
}

static void test_longer(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENTRIES; i++)
        api_succeeds(entries[i].try(longer(entries[i].defaults, entries[i].size)), entries[i].init,
                     __FILE__, __LINE__);
}

/* Members that an old program sets take effect, though it does not know later ones. */
static void test_what_shorter_ones_say_counts(void **state)
{
    (void)state;
    lithops_map_options map = LITHOPS_MAP_OPTIONS_INIT;
    map.chunksize = -5;
    is_refused(lithops_map(fexec, square, lithops_range(0, 3),
                           at_end(&map, offsetof(lithops_map_options, extra_args)), &err),
               LITHOPS_EUSAGE, "chunksize is -5");
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.return_when = 1000;
    lithops_futures *fs = some_futures();
    fails(lithops_wait(NULL, fs, at_end(&wait, offsetof(lithops_wait_options, timeout_ms)), NULL,
                       NULL, &err),
          LITHOPS_EUSAGE, "return_when is 1000");
    lithops_futures_unref(fs);
}

/* Zeroed by memset() or by designated initialisers. */
static void test_zeroed(void **state)
{
    (void)state;
    const char zeros[512] = {0};
    for (size_t i = 0; i < ENTRIES; i++) {
        memset(&err, 0, sizeof err);
        api_fails(entries[i].try(zeros), LITHOPS_EUSAGE, entries[i].init, entries[i].init, __FILE__,
                  __LINE__);
        assert_non_null(strstr(err.message, "not initialised"));
    }
}

/* The same, and then the size alone was set. */
static void test_zeroed_but_for_the_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENTRIES; i++) {
        if (entries[i].defaults == &of_executor || entries[i].defaults == &of_plot ||
            entries[i].defaults == &of_clean || entries[i].defaults == &of_command)
            continue; /* zeros are valid, or an error that names its member */
        size_t zeros[64] = {entries[i].size};
        memset(&err, 0, sizeof err);
        api_fails(entries[i].try(zeros), LITHOPS_EUSAGE, entries[i].init, entries[i].init, __FILE__,
                  __LINE__);
        assert_non_null(strstr(err.message, "not initialised"));
    }
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    char *room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return 1;
    page_end = room + ROOM / 2;
    if (mprotect(page_end, ROOM / 2, PROT_NONE) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shorter),
        cmocka_unit_test(test_longer),
        cmocka_unit_test(test_what_shorter_ones_say_counts),
        cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_zeroed_but_for_the_size),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
