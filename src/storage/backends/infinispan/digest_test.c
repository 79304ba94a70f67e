/* SPDX-License-Identifier: Apache-2.0 */
/* Digest authentication, by the examples of RFC 7616. */
#include "base/module.h"
#include "net/test_server.h"
#include "storage/backends/infinispan/infinispan.h"
#include "storage/drivers.h"
#include "storage/handle.h"

#include <lithops/value.h>

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct lithops__crypto_api *crypto;

#define NONCE "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
#define REST                                                                                       \
    "qop=\"auth, auth-int\", nonce=\"" NONCE "\", "                                                \
    "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""

static void expect_answer(const char *header, const char *user, const char *response)
{
    struct lithops__digest_challenge challenge;
    assert_true(lithops__digest_read(header, &challenge));
    char *answer =
        lithops__digest_answer(crypto, &challenge, user, "Circle of Life", "GET", "/dir/index.html",
                               "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ");
    assert_non_null(answer);
    if (!strstr(answer, response))
        fail_msg("%s", answer);
    assert_null(strstr(answer, "Circle"));
    free(answer);
}

static void the_examples_of_the_rfc_are_answered(void **state)
{
    (void)state;
    expect_answer("Digest realm=\"http-auth@example.org\", algorithm=MD5, " REST, "Mufasa",
                  "uri=\"/dir/index.html\", response=\"8ca523f5e9506fed4657c9700eebdbec\", "
                  "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", algorithm=MD5, "
                  "qop=auth, nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\"");
    expect_answer("digest Realm=\"http-auth@example.org\",algorithm=SHA-256," REST, "Mufasa",
                  "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
}

/* As RFC 2069 had it. */
static void a_server_without_a_quality_is_answered(void **state)
{
    (void)state;
    expect_answer("Digest realm=\"http-auth@example.org\", nonce=\"" NONCE "\"", "Mufasa",
                  "response=\"7b2cc3b30e75b4777ea31027084363fd\"");
    expect_answer("Digest realm=\"a \\\"b\\\\\", nonce=\"" NONCE "\"", "x\"y",
                  "Digest username=\"x\\\"y\", realm=\"a \\\"b\\\\\", nonce=");
}

static void answers_are_counted(void **state)
{
    (void)state;
    struct lithops__digest_challenge challenge;
    assert_true(lithops__digest_read("Digest realm=\"r\", " REST, &challenge));
    for (int i = 1; i <= 11; i++) {
        char *answer = lithops__digest_answer(crypto, &challenge, "u", "p", "GET", "/", NULL);
        assert_non_null(strstr(answer, i < 11 ? "nc=0000000" : "nc=0000000b"));
        free(answer);
    }
}

static void what_is_no_challenge_is_passed_over(void **state)
{
    (void)state;
    static const char *const headers[] = {"Basic realm=\"r\"",
                                          "Digest",
                                          "Digest ",
                                          "Digest realm=\"r\"",
                                          "Digest nonce=\"\"",
                                          "Digest nonce=\"n\", algorithm=SHA-512-256",
                                          "Digest nonce=\"n\", algorithm=MD5-sess"};
    struct lithops__digest_challenge challenge;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (lithops__digest_read(headers[i], &challenge))
            fail_msg("%s", headers[i]);
    char *large = malloc(2000);
    memset(large, 'x', 2000);
    memcpy(large, "Digest nonce=\"n\", realm=\"", 25);
    large[1998] = '"';
    large[1999] = '\0';
    (void)lithops__digest_read(large, &challenge); /* nothing is written behind its place */
    free(large);
}

static int forbidden(lithops_bytes data, unsigned char ret_hash[LITHOPS__MD5_BYTES])
{
    (void)data;
    (void)ret_hash;
    return ENOMEM;
}

static void a_hash_that_a_policy_forbids_is_named(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n"
        "WWW-Authenticate: Digest realm=\"r\", " REST "\r\n\r\n"};
    struct lithops__crypto_api policy = *crypto;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_object_info info;
    struct script script;
    char endpoint[64];
    policy.md5 = forbidden;
    script_start(&script, answers, 1);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", script.port);
    lithops_value *settings = lithops_pack("{s:s,s:s,s:s}", "endpoint", endpoint, "username",
                                           "Mufasa", "password", "Circle of Life");
    lithops_storage *storage =
        lithops__storage_open_driver(&lithops__storage_infinispan, settings, NULL, &err);
    lithops_value_free(settings);
    if (!storage)
        fail_msg("%s", err.message);
    ((struct lithops__infinispan *)storage->state)->crypto = &policy;
    assert_int_equal(lithops_storage_head(storage, "cache", "key", &info, &err),
                     LITHOPS_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "wants a digest by MD5, which this machine's policy"));
    lithops_storage_close(storage);
    script_stop(&script);
    assert_int_equal(script.count, 1);
}

int main(void)
{
    setenv("no_proxy", "*", 1);
    lithops_error err = LITHOPS_ERROR_INIT;
    crypto = lithops__module_symbol("crypto", "lithops__crypto", &err);
    if (!crypto || !lithops__module_symbol("http", "lithops__http", &err)) {
        print_message("skipped: %s\n", err.message);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_are_answered),
        cmocka_unit_test(a_server_without_a_quality_is_answered),
        cmocka_unit_test(answers_are_counted),
        cmocka_unit_test(what_is_no_challenge_is_passed_over),
        cmocka_unit_test(a_hash_that_a_policy_forbids_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
