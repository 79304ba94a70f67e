/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over a real S3 server, started by tests/servers/with-s3, directly and
 * behind a proxy that disturbs requests, and tests of S3 alone: credentials, lists of several
 * pages, creating buckets. */
#include "../stop.h"
#include "http_proxy.h"
#include "storage_mapped.h"
#include "storage_suite.h"

#include "base/clock.h"
#include "storage/backends/s3/s3.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static lithops_value *settings_with(const char *secret, const char *bucket)
{
    return lithops_pack("{s:s,s:s,s:s,s:s}", "endpoint", getenv("LITHOPS_TEST_S3_ENDPOINT"),
                        "access_key_id", getenv("LITHOPS_TEST_S3_ACCESS_KEY"), "secret_access_key",
                        secret ? secret : getenv("LITHOPS_TEST_S3_SECRET_KEY"), "storage_bucket",
                        bucket);
}

static lithops_storage *open_mapped(void)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *settings = settings_with(NULL, "lithops-data");
    lithops_storage *storage =
        storage_mapped_open(&lithops__storage_ceph, settings, "lithops-data", &err);
    if (!storage)
        print_message("%s\n", err.message);
    lithops_value_free(settings);
    return storage;
}

enum { ONE_OF = 8, MANY_ATTEMPTS = 30 };

static lithops_storage *open_disturbed(void)
{
    lithops_storage *storage = open_mapped();
    if (storage)
        lithops__storage_set_retries(storage, MANY_ATTEMPTS, 0);
    return storage;
}

/* ---- S3 alone -------------------------------------------------------------------------------- */

static lithops_error err;

static lithops_storage *open_real(const char *secret, const char *bucket)
{
    lithops_value *settings = settings_with(secret, bucket);
    lithops_storage *storage =
        lithops__storage_open_driver(&lithops__storage_minio, settings, bucket, &err);
    lithops_value_free(settings);
    assert_non_null(storage);
    return storage;
}

static void the_bucket_of_the_configuration_is_made(void **state)
{
    (void)state;
    lithops_storage *storage = open_real(NULL, "made-when-needed");
    assert_int_equal(
        lithops_storage_put(storage, "made-when-needed", "k", (lithops_bytes){"x", 1}, &err), 0);
    assert_int_equal(lithops_storage_put(storage, "never-made", "k", (lithops_bytes){"x", 1}, &err),
                     LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "no bucket 'never-made' at http://127.0.0.1:"));
    lithops_storage_close(storage);
}

static void wrong_credentials_are_told_without_them(void **state)
{
    (void)state;
    lithops_storage *storage = open_real("a-wrong-secret", "made-when-needed");
    lithops_object_info info;
    uint64_t start = lithops__now_ns();
    assert_int_equal(
        lithops_storage_put(storage, "made-when-needed", "k", (lithops_bytes){"x", 1}, &err),
        LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "made-when-needed/k"));
    assert_non_null(strstr(err.message, "check the secret key"));
    assert_null(strstr(err.message, "a-wrong-secret"));
    assert_int_equal(err.http_status, 403);
    assert_int_equal(lithops_storage_head(storage, "made-when-needed", "k", &info, &err),
                     LITHOPS_EDENIED);
    assert_true(lithops__now_ns() - start < 5000000000u); /* without retries */
    lithops_storage_close(storage);
}

static int count_keys(const lithops_object_info *info, void *user)
{
    char expected[32];
    size_t *count = user;
    snprintf(expected, sizeof expected, "page/%05zu", (*count)++);
    assert_string_equal(info->key, expected);
    return 0;
}

static void lists_have_pages(void **state)
{
    (void)state;
    enum { MANY = 2105 };
    lithops_storage *storage = open_real(NULL, "pages");
    static char names[MANY][32];
    static const char *keys[MANY];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "page/%05zu", i);
        keys[i] = names[i];
        assert_int_equal(
            lithops_storage_put(storage, "pages", keys[i], (lithops_bytes){"", 0}, &err), 0);
    }
    size_t count = 0;
    assert_int_equal(lithops_storage_list(storage, "pages", NULL, count_keys, &count, &err), 0);
    assert_int_equal(count, MANY);
    assert_int_equal(lithops_storage_delete_many(storage, "pages", keys, MANY, &err), 0);
    count = 0;
    assert_int_equal(lithops_storage_list(storage, "pages", NULL, count_keys, &count, &err), 0);
    assert_int_equal(count, 0);
    lithops_storage_close(storage);
}

static void a_server_that_hangs_ends_with_the_deadline(void **state)
{
    (void)state;
    pid_t server = (pid_t)atoi(getenv("LITHOPS_TEST_S3_PID"));
    lithops_storage *storage = open_real(NULL, "hangs");
    assert_int_equal(lithops_storage_put(storage, "hangs", "k", (lithops_bytes){"x", 1}, &err), 0);
    assert_true(stop_process(server));
    lithops_storage_set_bounds(storage, 300, NULL, NULL, NULL);
    void *data;
    size_t len;
    int rc = lithops_storage_get(storage, "hangs", "k", 0, SIZE_MAX, &data, &len, &err);
    assert_int_equal(kill(server, SIGCONT), 0);
    assert_int_equal(rc, LITHOPS_ETIMEDOUT);
    lithops_storage_set_bounds(storage, 20000, NULL, NULL, NULL);
    assert_int_equal(lithops_storage_get(storage, "hangs", "k", 0, SIZE_MAX, &data, &len, &err), 0);
    assert_int_equal(len, 1);
    free(data);
    lithops_storage_close(storage);
}

/* The suite again, while some requests are cut, delayed, and answered by somebody else. */
static int run_disturbed(unsigned seed)
{
    const char *server = getenv("LITHOPS_TEST_S3_ENDPOINT");
    char *kept = strdup(server), endpoint[64];
    int port;
    struct http_proxy *proxy = http_proxy_start(server, seed, ONE_OF, &port);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", port);
    setenv("LITHOPS_TEST_S3_ENDPOINT", endpoint, 1);
    const struct storage_suite suite = {.name = "s3 behind a proxy that disturbs",
                                        .open = open_disturbed,
                                        .close = lithops_storage_close,
                                        .keys_are_text = true,
                                        .requests_fail = true,
                                        .answers_are_read_on = true};
    int failed = storage_suite_run(&suite);
    size_t disturbed = http_proxy_stop(proxy);
    print_message("seed %u: %zu requests were disturbed\n", seed, disturbed);
    setenv("LITHOPS_TEST_S3_ENDPOINT", kept, 1);
    free(kept);
    return failed + (disturbed < 20);
}

int main(void)
{
    if (!getenv("LITHOPS_TEST_S3_ENDPOINT")) {
        print_message("run this by tests/servers/with-s3\n");
        return 1;
    }
    setenv("no_proxy", "*", 1);
    const struct storage_suite suite = {.name = "s3",
                                        .open = open_mapped,
                                        .close = lithops_storage_close,
                                        .keys_are_text = true,
                                        .copies = true,
                                        .copies_large = true,
                                        .answers_are_read_on = true};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bucket_of_the_configuration_is_made),
        cmocka_unit_test(wrong_credentials_are_told_without_them),
        cmocka_unit_test(lists_have_pages),
        cmocka_unit_test(a_server_that_hangs_ends_with_the_deadline),
    };
    int failed = storage_suite_run(&suite);
    const char *plans = getenv("LITHOPS_TEST_PLANS"); /* how many; 1 */
    for (int seed = 1; seed <= (plans ? atoi(plans) : 1); seed++)
        failed += run_disturbed((unsigned)seed);
    return failed + cmocka_run_group_tests_name("s3's own", tests, NULL, NULL);
}
