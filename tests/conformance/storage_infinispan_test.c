/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over an Infinispan server, started by tests/servers/with-infinispan; and
 * tests of Infinispan alone: logins, caches that are made, keys, a server that hangs. */
#include "../stop.h"
#include "storage_mapped.h"
#include "storage_suite.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static lithops_error err;

static lithops_value *settings_with(const char *password, const char *mechanism)
{
    return lithops_pack("{s:s,s:s,s:s,s:s,s:s}", "endpoint",
                        getenv("LITHOPS_TEST_INFINISPAN_ENDPOINT"), "username",
                        getenv("LITHOPS_TEST_INFINISPAN_USER"), "password", password, "auth_mech",
                        mechanism, "storage_bucket", "storage");
}

static lithops_value *good_settings(void)
{
    return settings_with(getenv("LITHOPS_TEST_INFINISPAN_PASSWORD"), "DIGEST");
}

static lithops_storage *open_mapped(void)
{
    lithops_value *settings = good_settings();
    lithops_storage *storage =
        storage_mapped_open(&lithops__storage_infinispan, settings, "storage", &err);
    if (!storage)
        print_message("%s\n", err.message);
    lithops_value_free(settings);
    return storage;
}

/* Takes the settings. */
static lithops_storage *open_with(lithops_value *settings)
{
    err = (lithops_error)LITHOPS_ERROR_INIT;
    lithops_storage *storage =
        lithops__storage_open_driver(&lithops__storage_infinispan, settings, NULL, &err);
    lithops_value_free(settings);
    return storage;
}

static int put_text(lithops_storage *storage, const char *bucket, const char *key, const char *text)
{
    return lithops_storage_put(storage, bucket, key, (lithops_bytes){text, strlen(text)}, &err);
}

static void expect_text(lithops_storage *storage, const char *key, const char *text)
{
    void *data;
    size_t len;
    if (lithops_storage_get(storage, "storage", key, 0, SIZE_MAX, &data, &len, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(data, text, len);
    free(data);
}

static void all_logins_work(void **state)
{
    (void)state;
    static const char *const mechanisms[] = {"DIGEST", "BASIC", "digest"};
    for (size_t i = 0; i < 3; i++) {
        lithops_storage *storage =
            open_with(settings_with(getenv("LITHOPS_TEST_INFINISPAN_PASSWORD"), mechanisms[i]));
        /* a read is what asks for a challenge first; a put asks before it sends anything */
        lithops_object_info info;
        if (i == 2)
            assert_int_equal(lithops_storage_head(storage, "storage", "none", &info, &err),
                             LITHOPS_ENOTFOUND);
        if (put_text(storage, "storage", "login", "works") != 0)
            fail_msg("%s: %s", mechanisms[i], err.message);
        expect_text(storage, "login", "works");
        assert_int_equal(lithops_storage_delete(storage, "storage", "login", &err), 0);
        lithops_storage_close(storage);
    }
}

static void wrong_credentials_are_told_without_them(void **state)
{
    (void)state;
    static const char *const mechanisms[] = {"DIGEST", "BASIC"};
    for (size_t i = 0; i < 2; i++) {
        lithops_storage *storage = open_with(settings_with("not-the-secret", mechanisms[i]));
        assert_int_equal(put_text(storage, "storage", "k", "x"), LITHOPS_EDENIED);
        assert_non_null(strstr(err.message, "check username, password and auth_mech"));
        assert_null(strstr(err.message, "not-the-secret"));
        lithops_storage_close(storage);
    }
    lithops_storage *nobody =
        open_with(lithops_pack("{s:s}", "endpoint", getenv("LITHOPS_TEST_INFINISPAN_ENDPOINT")));
    assert_int_equal(put_text(nobody, "storage", "k", "x"), LITHOPS_EDENIED);
    lithops_storage_close(nobody);
}

static void caches_are_made(void **state)
{
    (void)state;
    lithops_value *settings = good_settings(), *names = lithops_value_list();
    lithops_value_append(names, lithops_value_string("second"));
    lithops_value_set(settings, "cache_names", names);
    lithops_value_set(settings, "cache_type", lithops_value_string("org.infinispan.LOCAL"));
    lithops_storage *storage = open_with(settings);
    if (put_text(storage, "second", "k", "x") != 0)
        fail_msg("%s", err.message);
    assert_int_equal(lithops_storage_create_bucket(storage, "second", &err), 0); /* it is there */
    assert_int_equal(put_text(storage, "never-made", "k", "x"), LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "no bucket 'never-made' at http://127.0.0.1:"));
    assert_int_equal(lithops_storage_delete(storage, "second", "k", &err), 0);
    lithops_storage_close(storage);
    settings = good_settings();
    lithops_value_set(settings, "cache_type", lithops_value_string("no.such.TEMPLATE"));
    storage = open_with(settings);
    assert_int_equal(lithops_storage_create_bucket(storage, "third", &err), LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, "no.such.TEMPLATE"));
    lithops_storage_close(storage);
}

static int compare_key(const lithops_object_info *info, void *user)
{
    assert_string_equal(info->key, (const char *)user);
    assert_int_equal(info->size_bytes, 4);
    return 7;
}

/* The server writes a backslash into its JSON as it is. */
static void any_key_is_listed(void **state)
{
    (void)state;
    static const char *const keys[] = {"odd/a\\b",     "odd/a\"b",     "odd/100%41",
                                       "odd/\x01\x7f", "odd/\xff\xfe", "odd/\xc3\xa4 +&=?#;:@",
                                       "odd/tail\\"};
    lithops_storage *storage = open_with(good_settings());
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (put_text(storage, "storage", keys[i], "four") != 0)
            fail_msg("%s", err.message);
        expect_text(storage, keys[i], "four");
        assert_int_equal(lithops_storage_list(storage, "storage", "odd/", compare_key,
                                              (void *)(uintptr_t)keys[i], &err),
                         7);
        assert_int_equal(lithops_storage_delete(storage, "storage", keys[i], &err), 0);
    }
    lithops_storage_close(storage);
}

static void a_server_that_hangs_ends_with_the_deadline(void **state)
{
    (void)state;
    pid_t server = (pid_t)atoi(getenv("LITHOPS_TEST_INFINISPAN_PID"));
    lithops_storage *storage = open_with(good_settings());
    assert_int_equal(put_text(storage, "storage", "k", "x"), 0);
    assert_true(stop_process(server));
    lithops_storage_set_bounds(storage, 300, NULL, NULL, NULL);
    void *data;
    size_t len;
    int rc = lithops_storage_get(storage, "storage", "k", 0, SIZE_MAX, &data, &len, &err);
    assert_int_equal(kill(server, SIGCONT), 0);
    assert_int_equal(rc, LITHOPS_ETIMEDOUT);
    lithops_storage_set_bounds(storage, 20000, NULL, NULL, NULL);
    expect_text(storage, "k", "x");
    lithops_storage_close(storage);
}

int main(void)
{
    if (!getenv("LITHOPS_TEST_INFINISPAN_ENDPOINT")) {
        print_message("run this by tests/servers/with-infinispan\n");
        return 1;
    }
    setenv("no_proxy", "*", 1);
    const struct storage_suite suite = {.name = "infinispan",
                                        .open = open_mapped,
                                        .close = lithops_storage_close,
                                        .has_no_times = true,
                                        .answers_are_read_on = true};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_logins_work),
        cmocka_unit_test(wrong_credentials_are_told_without_them),
        cmocka_unit_test(caches_are_made),
        cmocka_unit_test(any_key_is_listed),
        cmocka_unit_test(a_server_that_hangs_ends_with_the_deadline),
    };
    int failed = storage_suite_run(&suite);
    return failed + cmocka_run_group_tests_name("infinispan's own", tests, NULL, NULL);
}
