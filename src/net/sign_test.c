/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures against those that AWS publishes: the examples in the documentation of S3, and its
 * test suite for Signature Version 4. */
#include "net/sign.h"

#include "base/module.h"

#include <lithops/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct lithops__crypto_api *crypto;

static int set_up(void **state)
{
    (void)state;
    crypto = lithops__module_symbol("crypto", "lithops__crypto", NULL);
    if (!crypto)
        print_message("no OpenSSL in this build: nothing can be signed, all are skipped\n");
    return 0;
}

static const struct lithops__sign_key s3_key = {.access_key = "AKIAIOSFODNN7EXAMPLE",
                                                .secret_key =
                                                    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                                .region = "us-east-1",
                                                .service = "s3"};
static const struct lithops__sign_key suite_key = {.access_key = "AKIDEXAMPLE",
                                                   .secret_key =
                                                       "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                                   .region = "us-east-1",
                                                   .service = "service"};

static char *sign(const struct lithops__sign_key *key, const struct lithops__sign_request *request,
                  const char *date)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    if (!crypto)
        skip();
    assert_int_equal(lithops__sign(crypto, key, request, date, &out), 0);
    return lithops__buffer_steal(&out);
}

static void expect_signature(const struct lithops__sign_key *key,
                             const struct lithops__sign_request *request, const char *date,
                             const char *signature)
{
    char *value = sign(key, request, date);
    const char *there = strstr(value, "Signature=");
    assert_non_null(there);
    assert_string_equal(there + strlen("Signature="), signature);
    free(value);
}

static void a_ranged_get_of_s3(void **state)
{
    (void)state;
    const char *const headers[] = {"range: bytes=0-9", "x-amz-date: 20130524T000000Z",
                                   "host: examplebucket.s3.amazonaws.com",
                                   "x-amz-content-sha256: " EMPTY, NULL};
    const struct lithops__sign_request request = {"GET", "/test.txt", "", headers, EMPTY};
    char *value = sign(&s3_key, &request, "20130524T000000Z");
    assert_string_equal(
        value, "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
               "aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
               "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    free(value);
}

static void a_put_of_s3(void **state)
{
    (void)state;
    if (!crypto)
        skip();
    char hash[LITHOPS__HEX_HASH], hash_header[128];
    assert_int_equal(
        lithops__hex_sha256(crypto, (lithops_bytes){"Welcome to Amazon S3.", 21}, hash), 0);
    snprintf(hash_header, sizeof hash_header, "x-amz-content-sha256: %s", hash);
    const char *const headers[] = {"date: Fri, 24 May 2013 00:00:00 GMT",
                                   "host: examplebucket.s3.amazonaws.com",
                                   "x-amz-date: 20130524T000000Z",
                                   "x-amz-storage-class: REDUCED_REDUNDANCY",
                                   hash_header,
                                   NULL};
    struct lithops__buffer path = LITHOPS__BUFFER_INIT;
    lithops__url_encode(&path, "/test$file.text", 15, true);
    char *encoded = lithops__buffer_steal(&path);
    assert_string_equal(encoded, "/test%24file.text");
    const struct lithops__sign_request request = {"PUT", encoded, "", headers, hash};
    expect_signature(&s3_key, &request, "20130524T000000Z",
                     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    free(encoded);
}

static void queries_of_s3(void **state)
{
    (void)state;
    const char *const headers[] = {"host: examplebucket.s3.amazonaws.com",
                                   "x-amz-content-sha256: " EMPTY, "x-amz-date: 20130524T000000Z",
                                   NULL};
    const struct lithops__sign_request lifecycle = {"GET", "/", "lifecycle=", headers, EMPTY};
    expect_signature(&s3_key, &lifecycle, "20130524T000000Z",
                     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    const struct lithops__sign_request list = {"GET", "/", "max-keys=2&prefix=J", headers, EMPTY};
    expect_signature(&s3_key, &list, "20130524T000000Z",
                     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define FORM_HASH "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"

/* Signatures and headers as in the suite's header-signed-request.txt files. The signer takes paths
 * and queries encoded and in order, and headers each once. */
static void the_test_suite(void **state)
{
    (void)state;
    const char *const headers[] = {"host:example.amazonaws.com", "x-amz-date:20150830T123600Z",
                                   NULL};
    const char *const spaced[] = {"x-amz-date:  20150830T123600Z\t", "my-header2:  \"a   b   c\"",
                                  "host:example.amazonaws.com", "my-header1:  value1", NULL};
    const char *const with_token[] = {
        "host:example.amazonaws.com", "x-amz-date:20150830T123600Z",
        "x-amz-security-token:6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
        NULL};
    const char *const form[] = {"content-type:application/x-www-form-urlencoded",
                                "host:example.amazonaws.com",
                                "content-length:13",
                                "x-amz-content-sha256:" FORM_HASH,
                                "x-amz-date:20150830T123600Z",
                                NULL};
    const struct {
        const char *method, *path, *query, *signature;
        const char *const *headers;
    } vectors[] = {
        {"GET", "/", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
         headers}, /* get-vanilla */
        {"GET", "/", "Param1=value1&Param2=value2",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
         headers}, /* get-vanilla-query-order-key-case */
        {"GET", "/%E1%88%B4", "",
         "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
         headers}, /* get-utf8 */
        {"POST", "/", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
         headers}, /* post-vanilla */
        {"GET", "/", "", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
         spaced}, /* get-header-value-trim */
        {"GET", "/", "", "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
         with_token}, /* get-vanilla-with-session-token */
        {"GET", "/" UNRESERVED, "",
         "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
         headers}, /* get-unreserved */
        {"GET", "/", UNRESERVED "=" UNRESERVED,
         "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
         headers}, /* get-vanilla-query-unreserved */
        {"GET", "/", "Param1=value1",
         "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
         headers}, /* get-vanilla-empty-query-key */
        {"GET", "/", "%E1%88%B4=bar",
         "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
         headers}, /* get-vanilla-utf8-query */
        {"GET", "/example%20space/", "",
         "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
         headers}, /* get-space-unnormalized */
        {"GET", "/./", "", "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145",
         headers}, /* get-slash-dot-slash-unnormalized */
        {"POST", "/", "", "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
         form}, /* post-x-www-form-urlencoded */
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const char *hash = vectors[i].headers == form ? FORM_HASH : EMPTY;
        const struct lithops__sign_request request = {vectors[i].method, vectors[i].path,
                                                      vectors[i].query, vectors[i].headers, hash};
        expect_signature(&suite_key, &request, "20150830T123600Z", vectors[i].signature);
    }
}

static void every_byte_can_be_encoded(void **state)
{
    (void)state;
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (int slashes = 0; slashes < 2; slashes++)
        for (int c = 0; c < 256; c++) {
            unsigned char byte = (unsigned char)c;
            struct lithops__buffer out = LITHOPS__BUFFER_INIT;
            char expected[8];
            lithops__url_encode(&out, &byte, 1, slashes);
            if ((c && strchr(plain, c)) || (c == '/' && slashes))
                snprintf(expected, sizeof expected, "%c", c);
            else
                snprintf(expected, sizeof expected, "%%%02X", (unsigned)c);
            assert_int_equal(out.len, strlen(expected));
            assert_memory_equal(out.data, expected, out.len);
            lithops__buffer_deinit(&out);
        }
}

static void dates(void **state)
{
    (void)state;
    char date[LITHOPS__AMZ_DATE];
    lithops__amz_date(1369353600, date);
    assert_string_equal(date, "20130524T000000Z");
    lithops__amz_date(1709210096, date);
    assert_string_equal(date, "20240229T123456Z");
}

static int no_memory(lithops_bytes key, lithops_bytes data, unsigned char *mac)
{
    (void)key;
    (void)data;
    (void)mac;
    return ENOMEM;
}

static void failures_are_told(void **state)
{
    (void)state;
    if (!crypto)
        skip();
    struct lithops__crypto_api broken = *crypto;
    broken.hmac_sha256 = no_memory;
    const char *const headers[] = {"host: h", NULL};
    const struct lithops__sign_request request = {"GET", "/", "", headers, EMPTY};
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    assert_int_equal(lithops__sign(&broken, &s3_key, &request, "20130524T000000Z", &out), ENOMEM);
    assert_int_equal(out.len, 0);
    lithops__buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ranged_get_of_s3),
        cmocka_unit_test(a_put_of_s3),
        cmocka_unit_test(queries_of_s3),
        cmocka_unit_test(the_test_suite),
        cmocka_unit_test(every_byte_can_be_encoded),
        cmocka_unit_test(dates),
        cmocka_unit_test(failures_are_told),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
