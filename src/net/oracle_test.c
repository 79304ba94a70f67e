/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures against the examples that Oracle publishes, with a key that is published for them:
 * docs.oracle.com/iaas/Content/API/Concepts/signingrequests.htm, "Test Values". */
#include "net/oracle.h"

#include "base/module.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COMPARTMENT                                                                                \
    "ocid1.compartment.oc1..aaaaaaaam3we6vgnherjq5q2idnccdflvjsnog7mlr6rtdb25gilchfeyjxa"
#define KEY_ID                                                                                     \
    "ocid1.tenancy.oc1..aaaaaaaaba3pv6wkcr4jqae5f15p2b2m2yt2j6rx32uzr4h25vqstifsfdsq/"             \
    "ocid1.user.oc1..aaaaaaaat5nvwcna5j6aqzjcaty5eqbb6qt2jvpkanghtgdaqedqw3rynjq/"                 \
    "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"
#define DATE "Thu, 05 Jan 2014 21:31:40 GMT"

static const char key[] = "-----BEGIN RSA PRIVATE KEY-----\n"
                          "MIICXgIBAAKBgQDCFENGw33yGihy92pDjZQhl0C36rPJj+CvfSC8+q28hxA161QF\n"
                          "NUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6Z4UMR7EOcpfdUE9Hf3m/hs+F\n"
                          "UR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJwoYi+1hqp1fIekaxsyQIDAQAB\n"
                          "AoGBAJR8ZkCUvx5kzv+utdl7T5MnordT1TvoXXJGXK7ZZ+UuvMNUCdN2QPc4sBiA\n"
                          "QWvLw1cSKt5DsKZ8UETpYPy8pPYnnDEz2dDYiaew9+xEpubyeW2oH4Zx71wqBtOK\n"
                          "kqwrXa/pzdpiucRRjk6vE6YY7EBBs/g7uanVpGibOVAEsqH1AkEA7DkjVH28WDUg\n"
                          "f1nqvfn2Kj6CT7nIcE3jGJsZZ7zlZmBmHFDONMLUrXR/Zm3pR5m0tCmBqa5RK95u\n"
                          "412jt1dPIwJBANJT3v8pnkth48bQo/fKel6uEYyboRtA5/uHuHkZ6FQF7OUkGogc\n"
                          "mSJluOdc5t6hI1VsLn0QZEjQZMEOWr+wKSMCQQCC4kXJEsHAve77oP6HtG/IiEn7\n"
                          "kpyUXRNvFsDE0czpJJBvL/aRFUJxuRK91jhjC68sA7NsKMGg5OXb5I5Jj36xAkEA\n"
                          "gIT7aFOYBFwGgQAQkWNKLvySgKbAZRTeLBacpHMuQdl1DfdntvAyqpAZ0lY0RKmW\n"
                          "G6aFKaqQfOXKCyWoUiVknQJAXrlgySFci/2ueKlIE1QqIiLSZ8V8OlpFLRnb1pzI\n"
                          "7U1yQXnTAEFYM560yJlzUpOb1V4cScGd365tiSMvxLOvTA==\n"
                          "-----END RSA PRIVATE KEY-----\n";

static const struct lithops__crypto_api *crypto;

static int set_up(void **state)
{
    (void)state;
    crypto = lithops__module_symbol("crypto", "lithops__crypto", NULL);
    assert_non_null(crypto);
    return 0;
}

static void a_get(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__oracle_signed made;
    const struct lithops__oracle_request request = {
        .method = "get",
        .url = "https://iaas.us-phoenix-1.oraclecloud.com/20160918/instances"
               "?availabilityDomain=Pjwf%3A%20PHX-AD-1&compartmentId=" COMPARTMENT
               "&displayName=TeamXInstances&volumeId=ocid1.volume.oc1.phx."
               "abyhqljrgvttnlx73nmrwfaux7kcvzfs3s66izvxf2h4lgvyndsdsnoiwr5q",
        .date = DATE};
    assert_int_equal(lithops__oracle_sign(crypto, KEY_ID, key, &request, &made, &err), 0);
    assert_string_equal(
        made.authorization,
        "Authorization: Signature version=\"1\",headers=\"date (request-target) "
        "host\",keyId=\"" KEY_ID "\",algorithm=\"rsa-sha256\",signature=\""
        "GBas7grhyrhSKHP6AVIj/h5/Vp8bd/peM79H9Wv8kjoaCivujVXlpbKLjMPeDUhxkFIWtTtLBj3sUzaFj34XE6YZ"
        "AHc9r2DmE4pMwOAy/kiITcZxa1oHPOeRheC0jP2dqbTll8fmTZVwKZOKHYPtrLJIJQHJjNvxFWeHQjMaR7M=\"");
    assert_string_equal(made.date, "Date: " DATE);
    free(made.authorization);
}

static void a_post(void **state)
{
    (void)state;
    static const char body[] = "{\n    \"compartmentId\": \"" COMPARTMENT "\",\n"
                               "    \"instanceId\": \"ocid1.instance.oc1.phx."
                               "abuw4ljrlsfiqw6vzzxb43vyypt4pkodawglp3wqxjqofakrwvou52gb6s5a\",\n"
                               "    \"volumeId\": \"ocid1.volume.oc1.phx."
                               "abyhqljrgvttnlx73nmrwfaux7kcvzfs3s66izvxf2h4lgvyndsdsnoiwr5q\"\n}";
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__oracle_signed made;
    const struct lithops__oracle_request request = {
        .method = "post",
        .url = "https://iaas.us-phoenix-1.oraclecloud.com/20160918/volumeAttachments",
        .date = DATE,
        .type = "application/json",
        .body = {body, sizeof body - 1}};
    assert_int_equal(sizeof body - 1, 316);
    assert_int_equal(lithops__oracle_sign(crypto, KEY_ID, key, &request, &made, &err), 0);
    assert_string_equal(made.hash,
                        "x-content-sha256: V9Z20UJTvkvpJ50flBzKE32+6m2zJjweHpDMX/U4Uy0=");
    assert_string_equal(
        made.authorization,
        "Authorization: Signature version=\"1\",headers=\"date (request-target) host "
        "content-length "
        "content-type x-content-sha256\",keyId=\"" KEY_ID "\",algorithm=\"rsa-sha256\",signature=\""
        "Mje8vIDPlwIHmD/cTDwRxE7HaAvBg16JnVcsuqaNRim23fFPgQfLoOOxae6WqKb1uPjYEl0qIdazWaBy/Ml8DRhq"
        "locMwoSXv0fbukP8J5N80LCmzT/FFBvIvTB91XuXI3hYfP9Zt1l7S6ieVadHUfqBedWH0itrtPJBgKmrWso=\"");
    free(made.authorization);
}

static void what_is_no_key(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__oracle_signed made;
    const struct lithops__oracle_request request = {
        .method = "get", .url = "https://host", .date = DATE};
    assert_int_equal(lithops__oracle_sign(crypto, KEY_ID, "none", &request, &made, &err),
                     LITHOPS_ECONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get),
        cmocka_unit_test(a_post),
        cmocka_unit_test(what_is_no_key),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
