/* SPDX-License-Identifier: Apache-2.0 */
/* The key lithops.call_retries: how often calls that fail, crash or take too long run again. */
#include "api.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each attempt leaves a byte in a file of its own, so it knows its number, also after a crash. */
static int attempt(const char *where, int64_t id)
{
    char path[128];
    struct stat status;
    snprintf(path, sizeof path, "%s/%lld", where, (long long)id);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &status) != 0)
        return -1;
    close(fd);
    return (int)status.st_size;
}

LITHOPS_FUNCTION(second_time_lucky)
{
    int64_t id;
    const char *where;
    if (lithops_args(call, "Is", "id", &id, "where", &where) != 0)
        return LITHOPS_EARG;
    int number = attempt(where, id);
    if (number < 2 && id % 3 == 0)
        return lithops_fail(call, "attempt %d", number);
    if (number < 2 && id % 3 == 1)
        abort();
    for (volatile bool endless = number < 2; endless;)
        ;
    return lithops_return_int(call, number);
}

static lithops_futures *start(lithops_executor *retrying)
{
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *extra = lithops_pack("{s:s}", "where", folder);
    options.extra_args = extra;
    options.timeout_ms = 200;
    lithops_futures *futures =
        lithops_map(retrying, second_time_lucky, lithops_range(0, 9), &options, &err);
    lithops_value_free(extra);
    assert_non_null(futures);
    return futures;
}

static lithops_executor *open_with_retries(int retries)
{
    char limits[64];
    snprintf(limits, sizeof limits, "{\"call_retries\": %d}", retries);
    return api_open_limited(limits, "{}");
}

static void failed_calls_run_again(void **state)
{
    (void)state;
    lithops_executor *retrying = open_with_retries(1);
    lithops_futures *futures = start(retrying);
    results_are(futures, "[2,2,2,2,2,2,2,2,2]");
    lithops_executor_close(retrying);
}

static void without_retries_they_fail(void **state)
{
    (void)state;
    lithops_executor *once = open_with_retries(0);
    char command[128];
    for (int i = 0; i < 9; i++) {
        snprintf(command, sizeof command, "%s/%d", folder, i);
        unlink(command);
    }
    lithops_futures *futures = start(once);
    lithops_wait_options wait = within_limit;
    wait.throw_except = false;
    succeeds(lithops_wait(NULL, futures, &wait, NULL, NULL, &err));
    const int codes[] = {LITHOPS_ECALL, LITHOPS_ECRASH, LITHOPS_ETIMEOUT};
    for (size_t i = 0; i < 9; i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        assert_int_equal(lithops_future_error(future, NULL), codes[i % 3]);
        lithops_future_unref(future);
    }
    lithops_futures_unref(futures);
    lithops_executor_close(once);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_calls_run_again),
        cmocka_unit_test(without_retries_they_fail),
    };
    return api_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
