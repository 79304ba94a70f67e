/* SPDX-License-Identifier: Apache-2.0 */
/* When credentials are fetched again. The clock is the test's. */
#include "net/credentials.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static time_t now = 1000000;
int __real_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    if (clock != CLOCK_REALTIME)
        return __real_clock_gettime(clock, ret_time);
    *ret_time = (struct timespec){.tv_sec = now};
    return 0;
}

static struct {
    unsigned fetched;
    double life_s; /* of what it gives; 0: for ever */
    bool fails;
    bool has_no_token; /* then its keys change */
} source;

static int fetch(void *user, const struct lithops__bounds *bounds,
                 struct lithops__credentials *ret_credentials, lithops_error *err)
{
    char text[16];
    (void)user;
    (void)bounds;
    snprintf(text, sizeof text, "%u", ++source.fetched);
    if (source.fails)
        return lithops__fail(err, LITHOPS_EBACKEND, "no answer");
    *ret_credentials =
        (struct lithops__credentials){.access_key = strdup(source.has_no_token ? text : "key"),
                                      .secret_key = strdup("secret"),
                                      .session_token = source.has_no_token ? NULL : strdup(text),
                                      .expires = source.life_s ? (double)now + source.life_s : 0};
    return 0;
}

static struct lithops__credential_store *open_store(double life_s)
{
    const struct lithops__credential_source the_source = {.fetch = fetch};
    source.fetched = 0;
    source.life_s = life_s;
    source.fails = false;
    struct lithops__credential_store *store = lithops__credential_store_new(&the_source);
    assert_non_null(store);
    return store;
}

/* Get, and expect what the n-th fetch gave; 0: an error. */
static void expect(struct lithops__credential_store *store, unsigned which)
{
    struct lithops__credentials credentials = {.expires = 0};
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = lithops__credential_store_get(store, &LITHOPS__UNBOUNDED, &credentials, &err);
    assert_int_equal(rc, which ? 0 : LITHOPS_EBACKEND);
    if (which)
        assert_int_equal(atoi(credentials.session_token), which);
    lithops__credentials_deinit(&credentials);
}

static void they_are_renewed_before_they_expire(void **state)
{
    (void)state;
    struct lithops__credential_store *store = open_store(3600);
    expect(store, 1);
    now += 3299;
    expect(store, 1);
    now += 2; /* less than five minutes are left */
    expect(store, 2);
    expect(store, 2);
    lithops__credential_store_free(store);
}

static void what_lasts_is_fetched_once(void **state)
{
    (void)state;
    struct lithops__credential_store *store = open_store(0);
    expect(store, 1);
    now += 1000000;
    expect(store, 1);
    lithops__credential_store_free(store);
}

static void a_failure_is_no_harm_while_they_are_valid(void **state)
{
    (void)state;
    struct lithops__credential_store *store = open_store(3600);
    expect(store, 1);
    now += 3400;
    source.fails = true;
    expect(store, 1);
    assert_int_equal(source.fetched, 2);
    expect(store, 1); /* not asked at each request */
    assert_int_equal(source.fetched, 2);
    now += 60;
    expect(store, 1);
    assert_int_equal(source.fetched, 3);
    now += 200; /* now they have expired */
    expect(store, 0);
    source.fails = false;
    expect(store, 5);
    lithops__credential_store_free(store);
}

/* Services may give what soon expires, and a clock may be ahead: then they still are used. */
static void short_ones_are_used(void **state)
{
    (void)state;
    struct lithops__credential_store *store = open_store(-3600);
    expect(store, 1);
    expect(store, 1);
    now += 40;
    expect(store, 2);
    lithops__credential_store_free(store);
}

static void a_server_may_say_that_they_have_expired(void **state)
{
    (void)state;
    struct lithops__credential_store *store = open_store(3600);
    struct lithops__credentials first = {.expires = 0};
    assert_int_equal(lithops__credential_store_get(store, &LITHOPS__UNBOUNDED, &first, NULL), 0);
    assert_true(lithops__credential_store_expire(store, &first));
    expect(store, 2);
    assert_true(lithops__credential_store_expire(store, &first)); /* another thread's old ones */
    expect(store, 2);
    assert_true(lithops__credential_store_expire(store, &first));
    lithops__credentials_deinit(&first);
    lithops__credential_store_free(store);
    store = lithops__credential_store_of("key", "secret", "token");
    assert_int_equal(lithops__credential_store_get(store, &LITHOPS__UNBOUNDED, &first, NULL), 0);
    assert_false(lithops__credential_store_expire(store, &first)); /* they cannot change */
    lithops__credentials_deinit(&first);
    lithops__credential_store_free(store);
}

/* As those of a program that hands out keys. */
static void keys_without_a_token_expire_as_well(void **state)
{
    (void)state;
    source.has_no_token = true;
    struct lithops__credential_store *store = open_store(3600);
    struct lithops__credentials got = {.expires = 0};
    assert_int_equal(lithops__credential_store_get(store, &LITHOPS__UNBOUNDED, &got, NULL), 0);
    assert_string_equal(got.access_key, "1");
    assert_true(lithops__credential_store_expire(store, &got));
    lithops__credentials_deinit(&got);
    assert_int_equal(lithops__credential_store_get(store, &LITHOPS__UNBOUNDED, &got, NULL), 0);
    assert_string_equal(got.access_key, "2");
    lithops__credentials_deinit(&got);
    lithops__credential_store_free(store);
    source.has_no_token = false;
    store = lithops__credential_store_of("key", "secret", NULL);
    assert_int_equal(lithops__credential_store_get(store, &LITHOPS__UNBOUNDED, &got, NULL), 0);
    assert_false(lithops__credential_store_expire(store, &got)); /* they cannot change */
    lithops__credentials_deinit(&got);
    lithops__credential_store_free(store);
}

static void secrets_go_to_nobody_in_the_clear(void **state)
{
    (void)state;
    static const char *const safe[] = {"https://a.org", "HTTPS://a.org:1/x", "http://localhost",
                                       "http://127.0.0.1:80/x", "http://[::1]/"};
    static const char *const unsafe[] = {"http://a.org",
                                         "http://127.0.0.1.a.org",
                                         "http://localhost:80@a.org/",
                                         "http://localhost@a.org",
                                         "http://",
                                         "https:/a.org",
                                         ""};
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
        assert_true(lithops__is_safe_url(safe[i]));
    for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++)
        assert_false(lithops__is_safe_url(unsafe[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_renewed_before_they_expire),
        cmocka_unit_test(what_lasts_is_fetched_once),
        cmocka_unit_test(a_failure_is_no_harm_while_they_are_valid),
        cmocka_unit_test(short_ones_are_used),
        cmocka_unit_test(a_server_may_say_that_they_have_expired),
        cmocka_unit_test(keys_without_a_token_expire_as_well),
        cmocka_unit_test(secrets_go_to_nobody_in_the_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
