/* SPDX-License-Identifier: Apache-2.0 */
/* Activations that are good, and such that are refused. */
#include "net/activation.h"

#include "base/module.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define TEXT "{\"key\": \"lithops.jobs/x/0-0\", \"config\": \"secret_access_key: bond007\"}"
enum { NOW = 1700000000 };

static const struct lithops__crypto_api *crypto;
static struct lithops__activation_seen seen;
static struct lithops__buffer body;
static char header[LITHOPS__ACTIVATION_HEADER], proof[LITHOPS__HEX_HASH];
static lithops_error err;

static int load(void **state)
{
    (void)state;
    crypto = lithops__module_symbol("crypto", "lithops__crypto", &err);
    return crypto ? 0 : lithops_error_print(&err, stderr);
}

static int seal(void **state)
{
    (void)state;
    body = (struct lithops__buffer)LITHOPS__BUFFER_INIT;
    return lithops__activation_seal(crypto, SECRET, TEXT, NOW, header, proof, &body, &err);
}

static int forget(void **state)
{
    (void)state;
    lithops__buffer_deinit(&body);
    lithops__activation_seen_deinit(&seen);
    return 0;
}

static enum lithops__activation_verdict open_with(const char *secret, const char *head, time_t now)
{
    char *text = NULL, other[LITHOPS__HEX_HASH];
    enum lithops__activation_verdict verdict = lithops__activation_open(
        crypto, secret, head, (lithops_bytes){body.data, body.len}, now, &seen, &text, other);
    if (verdict == LITHOPS__ACTIVATION_GOOD) {
        assert_string_equal(text, TEXT);
        assert_string_equal(other, proof);
    } else {
        assert_null(text);
    }
    free(text);
    return verdict;
}

static void it_is_good_once(void **state)
{
    (void)state;
    assert_int_equal(open_with(SECRET, header, NOW + 1), LITHOPS__ACTIVATION_GOOD);
    assert_int_equal(open_with(SECRET, header, NOW + 1), LITHOPS__ACTIVATION_REPLAYED);
    assert_int_equal(open_with(SECRET, header, NOW + 299), LITHOPS__ACTIVATION_REPLAYED);
}

static void it_is_good_for_a_time(void **state)
{
    (void)state;
    assert_int_equal(open_with(SECRET, header, NOW + 301), LITHOPS__ACTIVATION_STALE);
    assert_int_equal(open_with(SECRET, header, NOW - 301), LITHOPS__ACTIVATION_STALE);
    assert_int_equal(seen.count, 0);
    assert_int_equal(open_with(SECRET, header, NOW - 299), LITHOPS__ACTIVATION_GOOD);
    /* Its clock was behind: what is good until NOW + 300 must be known until then. */
    assert_int_equal(open_with(SECRET, header, NOW + 300), LITHOPS__ACTIVATION_REPLAYED);
}

static void nonces_are_forgotten_in_time(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        lithops__buffer_deinit(&body);
        body = (struct lithops__buffer)LITHOPS__BUFFER_INIT;
        assert_int_equal(
            lithops__activation_seal(crypto, SECRET, TEXT, NOW + i, header, proof, &body, &err), 0);
        assert_int_equal(open_with(SECRET, header, NOW + i), LITHOPS__ACTIVATION_GOOD);
    }
    assert_int_equal(seen.count, 200);
    assert_int_equal(open_with(SECRET, header, NOW + 199 + 300), LITHOPS__ACTIVATION_REPLAYED);
    assert_int_equal(seen.count, 1);
}

static void another_secret_is_refused(void **state)
{
    (void)state;
    assert_int_equal(open_with("fedcba9876543210fedcba9876543210", header, NOW),
                     LITHOPS__ACTIVATION_FORGED);
    assert_int_equal(seen.count, 0);
}

static void a_change_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < body.len; i++) {
        body.data[i] ^= 1;
        assert_int_equal(open_with(SECRET, header, NOW), LITHOPS__ACTIVATION_FORGED);
        body.data[i] ^= 1;
    }
    body.len--;
    assert_int_equal(open_with(SECRET, header, NOW), LITHOPS__ACTIVATION_FORGED);
    body.len++;
    for (size_t i = 0; header[i]; i++) {
        char old = header[i];
        header[i] = old == '1' ? '2' : '1';
        enum lithops__activation_verdict verdict = open_with(SECRET, header, NOW);
        assert_true(verdict == LITHOPS__ACTIVATION_FORGED ||
                    verdict == LITHOPS__ACTIVATION_UNSIGNED);
        header[i] = old;
    }
    assert_int_equal(open_with(SECRET, header, NOW), LITHOPS__ACTIVATION_GOOD);
}

static void other_headers_are_refused(void **state)
{
    (void)state;
    static const char *const others[] = {"",
                                         "1",
                                         "1 ",
                                         "1 1700000000",
                                         "2 1700000000 00 00",
                                         "1 -5 0 0",
                                         "1 99999999999999999999999 0 0"};
    assert_int_equal(open_with(SECRET, NULL, NOW), LITHOPS__ACTIVATION_UNSIGNED);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(open_with(SECRET, others[i], NOW), LITHOPS__ACTIVATION_UNSIGNED);
}

static void nothing_is_in_clear(void **state)
{
    (void)state;
    static const char *const words[] = {"bond007", "secret_access_key", "lithops.jobs", SECRET};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_null(memmem(body.data, body.len, words[i], strlen(words[i])));
        assert_null(strstr(header, words[i]));
    }
}

static void a_short_secret_is_an_error(void **state)
{
    (void)state;
    struct lithops__buffer none = LITHOPS__BUFFER_INIT;
    assert_int_equal(
        lithops__activation_seal(crypto, "short", TEXT, NOW, header, proof, &none, &err),
        LITHOPS_ECONFIG);
    lithops__buffer_deinit(&none);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, seal, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_good_once),
        TEST(it_is_good_for_a_time),
        TEST(nonces_are_forgotten_in_time),
        TEST(another_secret_is_refused),
        TEST(a_change_is_refused),
        TEST(other_headers_are_refused),
        TEST(nothing_is_in_clear),
        TEST(a_short_secret_is_an_error),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
