/* SPDX-License-Identifier: Apache-2.0 */
/* A long call among short ones: no worker process is idle while calls wait.
 *
 * The long call ends once all others have ended. So the other workers must meanwhile run every call
 * queued behind it, in its worker's claim or anywhere else; if one is missed, the test hangs (and
 * fails). It does not depend on a clock. */
#include "api.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

/* A word in a file that all worker processes map: how many calls have ended. */
static _Atomic int64_t *ended;

static _Atomic int64_t *map_word(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *word = mmap(NULL, sizeof *ended, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return word == MAP_FAILED ? NULL : word;
}

/* The input is 0 for a short call; for a long one, how many calls must end before it. */
LITHOPS_FUNCTION(one_of_many)
{
    if (!ended) {
        const lithops_value *path = lithops_value_at(lithops_call_extra_args(call), 0);
        ended = map_word(lithops_value_get_string(path));
        if (!ended)
            return lithops_fail(call, "there is no word");
    }
    int64_t others = lithops_call_int(call);
    for (int ms = 0; atomic_load(ended) < others; ms++) {
        if (ms == PATIENCE_MS)
            return lithops_fail(call, "%lld calls wait behind this one",
                                (long long)(others - atomic_load(ended)));
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    atomic_fetch_add(ended, 1);
    return lithops_return_int(call, others);
}

static const char *word_path;

static lithops_futures *start(const int64_t *inputs, size_t count)
{
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *extra = lithops_pack("[s]", word_path);
    options.extra_args = extra;
    lithops_futures *futures =
        not_null(lithops_map(fexec, one_of_many, lithops_ints(inputs, count), &options, &err));
    lithops_value_free(extra);
    return futures;
}

/* A map of `count` calls, of which `longs` from place `at` on are long. */
static void check_nothing_waits(size_t count, size_t at, size_t longs)
{
    int64_t *inputs = calloc(count, sizeof *inputs);
    for (size_t i = at; i < at + longs; i++)
        inputs[i] = (int64_t)(count - longs);
    atomic_store(ended, 0);
    lithops_futures *futures = start(inputs, count);
    int rc = lithops_wait(fexec, futures, &within_limit, NULL, NULL, &err);
    if (rc != 0)
        fail_msg("long call %zu of %zu: %s", at, count, err.message);
    assert_int_equal(atomic_load(ended), count);
    lithops_futures_unref(futures);
    free(inputs);
    succeeds(lithops_clean(fexec, NULL, NULL, &err));
}

/* Run many short calls, until the engine expects tiny calls and takes them in large claims. */
static void run_tiny_ones(void)
{
    check_nothing_waits(20000, 0, 0);
}

static void check_with(const char *settings, size_t longs)
{
    static const size_t counts[] = {5, 30, 300, 20000};
    lithops_executor *shared = fexec;
    fexec = api_open(settings);
    for (int round = 0; round < 3; round++)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            size_t count = counts[c],
                   places[] = {0, 1, count / 2, count - longs - 1, count - longs};
            for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
                if (round > 0)
                    run_tiny_ones();
                size_t most = count - longs;
                check_nothing_waits(count, places[p] < most ? places[p] : most, longs);
            }
        }
    lithops_executor_close(fexec);
    fexec = shared;
}

static void test_one_long_call(void **state)
{
    (void)state;
    check_with("{\"worker_processes\":2}", 1);
    check_with("{\"worker_processes\":4}", 1);
}

static void test_some_long_calls(void **state)
{
    (void)state;
    check_with("{\"worker_processes\":4}", 3);
    check_with("{\"worker_processes\":9}", 4);
}

/* Calls of another job, too, do not wait for the first one to end. */
static void test_other_jobs_go_on(void **state)
{
    (void)state;
    for (int i = 0; i < api_times(20); i++) {
        static const int64_t waiting = 200, shorts[200];
        atomic_store(ended, 0);
        lithops_futures *first = start(&waiting, 1);
        lithops_futures *second = start(shorts, 200);
        succeeds(lithops_wait(fexec, second, &within_limit, NULL, NULL, &err));
        succeeds(lithops_wait(fexec, first, &within_limit, NULL, NULL, &err));
        lithops_futures_unref(first);
        lithops_futures_unref(second);
    }
}

static int open_word(void **state)
{
    if (api_open_group(state) != 0)
        return -1;
    static char path[128];
    int64_t zero = 0;
    snprintf(path, sizeof path, "%s", api_write_file("ended", &zero, sizeof zero));
    word_path = path;
    ended = map_word(path);
    return ended ? 0 : -1;
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_long_call),
        cmocka_unit_test(test_some_long_calls),
        cmocka_unit_test(test_other_jobs_go_on),
    };
    return api_finish(cmocka_run_group_tests(tests, open_word, api_close_group));
}
