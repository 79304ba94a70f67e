/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of Google and IBM, from a scripted server. */
#include "base/module.h"
#include "net/http.h"
#include "net/oauth.h"
#include "net/test_server.h"

#include <lithops/value.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct script script;
static lithops_error err;
static const struct lithops__transfer_api *http;
static const struct lithops__crypto_api *crypto;

#define ANSWER(status, body) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body

static EVP_PKEY *make_key(int type)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(type, NULL);
    assert_true(EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_keygen(context, &key) == 1);
    EVP_PKEY_CTX_free(context);
    return key;
}

static char *to_pem(EVP_PKEY *key)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *text;
    assert_int_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(out, &text);
    char *pem = strndup(text, (size_t)len);
    BIO_free(out);
    return pem;
}

static void a_signature_is_the_key_s(void **state)
{
    (void)state;
    EVP_PKEY *key = make_key(EVP_PKEY_RSA), *other = make_key(EVP_PKEY_ED25519);
    char *pem = to_pem(key), *wrong = to_pem(other);
    unsigned char signature[LITHOPS__RSA_BYTES];
    size_t len;
    assert_int_equal(crypto->rs256(pem, (lithops_bytes){"abc", 3}, signature, &len), 0);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(context, signature, len, (const unsigned char *)"abc", 3), 1);
    EVP_MD_CTX_free(context);
    assert_int_not_equal(crypto->rs256(wrong, (lithops_bytes){"abc", 3}, signature, &len), 0);
    assert_int_not_equal(crypto->rs256("no key", (lithops_bytes){"abc", 3}, signature, &len), 0);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    free(pem);
    free(wrong);
}

/* The service account's file. */
static char *account_file(const char *pem)
{
    char url[64], *path = strdup("/tmp/lithops-test-XXXXXX"), *text;
    int fd = mkstemp(path);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/token", script.port);
    lithops_value *account =
        lithops_pack("{s:s,s:s,s:s,s:s,s:s}", "client_email", "me@project", "private_key", pem,
                     "private_key_id", "kid1", "token_uri", url, "project_id", "project");
    assert_int_equal(lithops_value_to_json(account, &text, NULL), 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    free(text);
    lithops_value_free(account);
    return path;
}

static int get(struct lithops__credential_store *store, struct lithops__credentials *ret)
{
    const struct lithops__bounds bounds = LITHOPS__UNBOUNDED;
    return lithops__credential_store_get(store, &bounds, ret, &err);
}

static void a_service_account_gets_a_token(void **state)
{
    (void)state;
    static const char *const answers[] = {
        ANSWER("200 OK", "{\"access_token\": \"bearer-1\", \"expires_in\": 3599}"),
        ANSWER("400 Bad Request", "{\"error_description\": \"no such account\"}")};
    struct lithops__credential_store *store;
    struct lithops__credentials credentials = {.expires = 0};
    EVP_PKEY *key = make_key(EVP_PKEY_RSA);
    char *pem = to_pem(key), *project;
    script_start(&script, answers, 2);
    char *path = account_file(pem);
    assert_int_equal(
        lithops__google_open(http, crypto, path, LITHOPS__GOOGLE_STORAGE, &store, &project, &err),
        0);
    assert_string_equal(project, "project");
    if (get(store, &credentials) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(credentials.bearer, "bearer-1");
    assert_true(credentials.expires > 0);
    assert_true(lithops__credential_store_expire(store, &credentials));
    lithops__credentials_deinit(&credentials);
    assert_int_equal(get(store, &credentials), LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "no such account"));
    lithops__credential_store_free(store);
    script_stop(&script);
    assert_non_null(strstr(script.requests[0], "POST /token HTTP/1.1"));
    /* {"alg": "RS256", "typ": "JWT", "kid": "kid1"} */
    assert_non_null(
        strstr(script.requests[0],
               "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&"
               "assertion=eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCIsICJraWQiOiAia2lkMSJ9."));
    remove(path);
    free(path);
    free(project);
    free(pem);
    EVP_PKEY_free(key);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct lithops__credential_store *store;
    struct lithops__credentials credentials = {.expires = 0};
    char *project;
    assert_int_equal(lithops__google_open(http, crypto, "/nonexistent", LITHOPS__GOOGLE_STORAGE,
                                          &store, &project, &err),
                     LITHOPS_ECONFIG);
    assert_int_equal(lithops__google_open(http, crypto, "/dev/null", LITHOPS__GOOGLE_STORAGE,
                                          &store, &project, &err),
                     LITHOPS_ECONFIG);
    assert_non_null(strstr(err.message, "lacks client_email or private_key"));
    char *path = account_file("-----BEGIN SECRET-----");
    assert_int_equal(
        lithops__google_open(http, crypto, path, LITHOPS__GOOGLE_STORAGE, &store, &project, &err),
        0);
    assert_int_equal(get(store, &credentials), LITHOPS_ECONFIG);
    assert_null(strstr(err.message, "SECRET"));
    lithops__credential_store_free(store);
    free(project);
    remove(path);
    free(path);
}

/* What is between two dots, as bytes; the caller frees it. */
static unsigned char *decode(const char *text, size_t len, size_t *ret_len)
{
    char padded[4096];
    assert_true(len + 4 < sizeof padded);
    for (size_t i = 0; i < len; i++)
        padded[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    size_t whole = (len + 3) / 4 * 4;
    memset(padded + len, '=', whole - len);
    unsigned char *out = calloc(1, whole + 1);
    int got = EVP_DecodeBlock(out, (const unsigned char *)padded, (int)whole);
    assert_true(got > 0);
    *ret_len = (size_t)got - (whole - len);
    out[*ret_len] = '\0';
    return out;
}

/* The statement is signed with the account's key, and says what the token is for. */
static void is_statement(const char *request, EVP_PKEY *key, const char *audience)
{
    const char *begin = strstr(request, "assertion=");
    assert_non_null(begin);
    begin += strlen("assertion=");
    const char *claims = strchr(begin, '.') + 1, *signature = strchr(claims, '.') + 1;
    size_t len, signature_len;
    unsigned char *text = decode(claims, (size_t)(signature - 1 - claims), &len);
    unsigned char *signed_by =
        decode(signature,
               strspn(signature, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789-_"),
               &signature_len);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(context, signed_by, signature_len,
                                      (const unsigned char *)begin,
                                      (size_t)(signature - 1 - begin)),
                     1);
    EVP_MD_CTX_free(context);
    lithops_value *value = lithops_value_from_json((const char *)text, len, &err);
    assert_non_null(value);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/token", script.port);
    assert_string_equal(lithops_value_get_string(lithops_value_get(value, "iss")), "me@project");
    assert_string_equal(lithops_value_get_string(lithops_value_get(value, "aud")), url);
    assert_string_equal(lithops_value_get_string(lithops_value_get(value, "target_audience")),
                        audience);
    assert_null(lithops_value_get(value, "scope"));
    int64_t from = lithops_value_get_int(lithops_value_get(value, "iat"));
    assert_int_equal(lithops_value_get_int(lithops_value_get(value, "exp")) - from, 3600);
    lithops_value_free(value);
    free(text);
    free(signed_by);
}

static void a_service_account_gets_id_tokens(void **state)
{
    (void)state;
    static const char *const answers[] = {ANSWER("200 OK", "{\"id_token\": \"id-1\"}"),
                                          ANSWER("200 OK", "{\"id_token\": \"id-2\"}"),
                                          ANSWER("200 OK", "{\"access_token\": \"no\"}")};
    static const char audience[] = "https://run.example.com";
    struct lithops__credential_store *store;
    struct lithops__credentials credentials = {.expires = 0};
    EVP_PKEY *key = make_key(EVP_PKEY_RSA);
    char *pem = to_pem(key);
    script_start(&script, answers, 3);
    char *path = account_file(pem);
    assert_int_equal(
        lithops__google_identity_open(http, crypto, path, NULL, audience, &store, &err), 0);
    for (int i = 1; i <= 2; i++) { /* again when the first one is over */
        if (get(store, &credentials) != 0)
            fail_msg("%s", err.message);
        assert_string_equal(credentials.bearer, i == 1 ? "id-1" : "id-2");
        assert_true(credentials.expires > (double)time(NULL) + 3000);
        assert_true(lithops__credential_store_expire(store, &credentials));
        lithops__credentials_deinit(&credentials);
    }
    assert_int_equal(get(store, &credentials), LITHOPS_EBACKEND);
    lithops__credential_store_free(store);
    script_stop(&script);
    is_statement(script.requests[0], key, audience);
    is_statement(script.requests[1], key, audience);
    remove(path);
    free(path);
    free(pem);
    EVP_PKEY_free(key);
}

static void a_machine_gets_id_tokens(void **state)
{
    (void)state;
    /* {"aud":"a","exp":4102444800} and, as it is not a multiple of 3 bytes, {"exp":4102444801} */
    static const char *const answers[] = {
        ANSWER("200 OK", "header.eyJhdWQiOiJhIiwiZXhwIjo0MTAyNDQ0ODAwfQ.signature\n"),
        ANSWER("200 OK", "header.eyJleHAiOjQxMDI0NDQ4MDF9.signature"),
        ANSWER("200 OK", "header.claims.signature\n"), ANSWER("404 Not Found", "no account")};
    struct lithops__credential_store *store;
    struct lithops__credentials credentials = {.expires = 0};
    char host[32];
    script_start(&script, answers, 4);
    snprintf(host, sizeof host, "127.0.0.1:%d", script.port);
    assert_int_equal(lithops__google_identity_open(http, crypto, NULL, host,
                                                   "https://run.example.com/", &store, &err),
                     0);
    for (int i = 0; i < 2; i++) {
        if (get(store, &credentials) != 0)
            fail_msg("%s", err.message);
        assert_true(credentials.expires == 4102444800.0 + i);
        assert_true(lithops__credential_store_expire(store, &credentials));
        lithops__credentials_deinit(&credentials);
    }
    if (get(store, &credentials) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(credentials.bearer, "header.claims.signature");
    assert_true(credentials.expires > (double)time(NULL) + 3000); /* it does not say */
    assert_true(credentials.expires < (double)time(NULL) + 4000);
    assert_true(lithops__credential_store_expire(store, &credentials));
    lithops__credentials_deinit(&credentials);
    assert_int_equal(get(store, &credentials), LITHOPS_EDENIED);
    assert_int_equal(err.code, LITHOPS_EDENIED);
    lithops__credential_store_free(store);
    script_stop(&script);
    assert_non_null(strstr(script.requests[0],
                           "GET /computeMetadata/v1/instance/service-accounts/default/"
                           "identity?audience=https%3A%2F%2Frun.example.com%2F HTTP/1.1"));
    assert_non_null(strstr(script.requests[0], "Metadata-Flavor: Google"));
}

static void an_api_key_gets_a_token(void **state)
{
    (void)state;
    static const char *const answers[] = {
        ANSWER("200 OK", "{\"access_token\": \"bearer-2\", \"expires_in\": 3600}"),
        ANSWER("400 Bad Request", "{\"errorMessage\": \"Provided API key could not be found.\"}"),
        ANSWER("200 OK", "{}")};
    struct lithops__credential_store *store;
    struct lithops__credentials credentials = {.expires = 0};
    char endpoint[64];
    script_start(&script, answers, 3);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", script.port);
    assert_int_equal(lithops__ibm_open(http, "a-secret/key", endpoint, &store, &err), 0);
    if (get(store, &credentials) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(credentials.bearer, "bearer-2");
    assert_true(lithops__credential_store_expire(store, &credentials));
    lithops__credentials_deinit(&credentials);
    assert_int_equal(get(store, &credentials), LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "Provided API key"));
    assert_null(strstr(err.message, "a-secret"));
    assert_int_equal(get(store, &credentials), LITHOPS_EBACKEND);
    lithops__credential_store_free(store);
    script_stop(&script);
    assert_non_null(strstr(script.requests[0], "POST /identity/token HTTP/1.1"));
    assert_non_null(strstr(script.requests[0], "grant-type%3Aapikey&apikey=a-secret%2Fkey"));
}

int main(void)
{
    setenv("no_proxy", "*", 1);
    const struct lithops__http_api *module = lithops__module_symbol("http", "lithops__http", &err);
    crypto = lithops__module_symbol("crypto", "lithops__crypto", &err);
    if (!module || !crypto) {
        print_message("skipped: %s\n", err.message);
        return 77;
    }
    http = &module->transfer;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signature_is_the_key_s),
        cmocka_unit_test(a_service_account_gets_a_token),
        cmocka_unit_test(a_service_account_gets_id_tokens),
        cmocka_unit_test(a_machine_gets_id_tokens),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(an_api_key_gets_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
