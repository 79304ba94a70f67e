/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of a scripted server, and how the backend handles them: throttling, cut answers, wrong
 * clocks and regions, errors within good answers. */
#include "base/module.h"
#include "net/test_server.h"
#include "storage/backends/s3/s3.h"
#include "storage/storage.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct script script;
static lithops_storage *storage;
static lithops_error err;

#define OK "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n"
#define LOGIN "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\n<html>log in!"
#define BUSY                                                                                       \
    "HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 40\r\n\r\n"                    \
    "<Error><Code>SlowDown</Code></Error>    "

static void begin(const char *const *answers, size_t count)
{
    char endpoint[64];
    script_start(&script, answers, count);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d/", script.port);
    lithops_value *settings =
        lithops_pack("{s:s,s:s,s:s,s:s}", "endpoint", endpoint, "storage_bucket", "data",
                     "access_key_id", "key", "secret_access_key", "a-secret");
    err = (lithops_error)LITHOPS_ERROR_INIT;
    storage = lithops__storage_open_driver(&lithops__storage_minio, settings, "data", &err);
    lithops_value_free(settings);
    if (!storage)
        fail_msg("%s", err.message);
    lithops__storage_set_retries(storage, 4, 1);
}

static void end(size_t requests)
{
    lithops_storage_close(storage);
    script_stop(&script);
    assert_int_equal(script.count, requests);
}

static int put(void)
{
    return lithops_storage_put(storage, "data", "a key", (lithops_bytes){"body", 4}, &err);
}

static void throttling_passes(void **state)
{
    (void)state;
    const char *const answers[] = {BUSY, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "", OK};
    begin(answers, 4);
    assert_int_equal(put(), 0);
    end(4);
    assert_non_null(strstr(script.requests[3], "PUT /data/a%20key HTTP/1.1"));
    assert_non_null(strstr(script.requests[3], "\r\n\r\nbody"));
}

static void throttling_that_lasts_is_told(void **state)
{
    (void)state;
    const char *const answers[] = {BUSY, BUSY, BUSY, BUSY};
    begin(answers, 4);
    assert_int_equal(put(), LITHOPS_ETHROTTLED);
    assert_int_equal(err.http_status, 503);
    assert_non_null(strstr(err.message, "data/a key"));
    assert_non_null(strstr(err.message, "SlowDown"));
    end(4);
}

static void a_cut_answer_goes_on_where_it_was_cut(void **state)
{
    (void)state;
    const char *const answers[] = {
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: \"v1\"\r\nContent-Length: "
        "10\r\n"
        "Content-Range: bytes 0-9/10\r\n\r\n01234",
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: \"v1\"\r\nContent-Length: 5\r\n"
        "Content-Range: bytes 5-9/10\r\n\r\n56789"};
    begin(answers, 2);
    void *data;
    size_t len;
    assert_int_equal(lithops_storage_get(storage, "data", "k", 0, 10, &data, &len, &err), 0);
    assert_int_equal(len, 10);
    assert_memory_equal(data, "0123456789", 10);
    free(data);
    end(2);
    assert_non_null(strstr(script.requests[1], "range: bytes=5-9\r\n"));
}

static void a_cut_answer_is_not_mixed_with_another_version(void **state)
{
    (void)state;
    const char *const answers[] = {
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: \"v1\"\r\nContent-Length: "
        "10\r\n"
        "Content-Range: bytes 0-9/10\r\n\r\n01234",
        "HTTP/1.1 412 Precondition Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: \"v2\"\r\nContent-Length: "
        "10\r\n"
        "Content-Range: bytes 0-9/10\r\n\r\nabcdefghij"};
    begin(answers, 3);
    void *data;
    size_t len;
    assert_int_equal(lithops_storage_get(storage, "data", "k", 0, 10, &data, &len, &err), 0);
    assert_memory_equal(data, "abcdefghij", 10);
    free(data);
    end(3);
    assert_non_null(strstr(script.requests[1], "if-match: \"v1\"\r\n"));
}

/* A page of a proxy is no object, and not the answer to a put or a deletion. */
static void a_page_is_no_answer(void **state)
{
    (void)state;
    static const char *const answers[] = {LOGIN, OK,    LOGIN, OK,    LOGIN,
                                          LOGIN, LOGIN, LOGIN, LOGIN, OK};
    void *data;
    size_t len;
    lithops_object_info info;
    begin(answers, 10);
    assert_int_equal(put(), 0);
    assert_int_equal(lithops_storage_delete(storage, "data", "k", &err), 0);
    assert_int_equal(lithops_storage_get(storage, "data", "k", 0, SIZE_MAX, &data, &len, &err),
                     LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, "is a proxy in between?"));
    assert_int_equal(lithops_storage_head(storage, "data", "k", &info, &err), 0);
    end(10);
}

static void a_wrong_clock_is_corrected(void **state)
{
    (void)state;
    const char *const answers[] = {
        ("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nDate: Fri, 24 May 2013 00:00:00 GMT\r\n"
         "Content-Length: 48\r\n\r\n<Error><Code>RequestTimeTooSkewed</Code></Error>"),
        OK, OK};
    begin(answers, 3);
    assert_int_equal(put(), 0);
    assert_int_equal(put(), 0); /* and stays corrected */
    end(3);
    assert_non_null(strstr(script.requests[1], "x-amz-date: 20130524T0000"));
    assert_non_null(strstr(script.requests[2], "x-amz-date: 20130524T0000"));
}

static void another_region_is_asked(void **state)
{
    (void)state;
    const char *const answers[] = {
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 82\r\n\r\n"
        "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>",
        OK,
        "HTTP/1.1 301 Moved\r\nConnection: close\r\nx-amz-bucket-region: eu-north-1\r\n"
        "Content-Length: 0\r\n\r\n",
        OK};
    begin(answers, 4);
    assert_int_equal(put(), 0);
    assert_int_equal(put(), 0);
    end(4);
    assert_non_null(strstr(script.requests[0], "/us-east-1/s3/aws4_request"));
    assert_non_null(strstr(script.requests[1], "/eu-west-1/s3/aws4_request"));
    assert_non_null(strstr(script.requests[3], "/eu-north-1/s3/aws4_request"));
}

static void a_region_that_is_always_wrong_is_an_error(void **state)
{
    (void)state;
    static const char moved[] = "HTTP/1.1 301 Moved\r\nConnection: close\r\nx-amz-bucket-region: "
                                "eu-north-1\r\nContent-Length: 0\r\n\r\n";
    const char *const answers[] = {moved, moved};
    begin(answers, 2);
    assert_int_equal(put(), LITHOPS_EBACKEND);
    assert_int_equal(err.http_status, 301);
    end(2);
}

/* The code decides, not what else is said. */
#define CONFLICT(code, message)                                                                    \
    "HTTP/1.1 409 Conflict\r\nConnection: close\r\n\r\n<Error><Code>" code                         \
    "</Code><Message>" message "</Message></Error>"

#define NO_BUCKET                                                                                  \
    "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n<Error><Code>NoSuchBucket</Code></Error>"

/* A put into the bucket of the configuration makes it; somebody may have made it meanwhile. */
static void a_bucket_that_is_there_is_ours_or_not(void **state)
{
    (void)state;
    const char *const answers[] = {NO_BUCKET, CONFLICT("BucketAlreadyOwnedByYou", "you have it"),
                                   OK, NO_BUCKET,
                                   CONFLICT("BucketAlreadyExists", "no BucketAlreadyOwnedByYou")};
    begin(answers, 5);
    assert_int_equal(put(), 0);
    assert_int_equal(put(), LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "choose another name"));
    assert_int_equal(err.http_status, 409);
    end(5);
}

static void errors_within_a_deletion_are_told(void **state)
{
    (void)state;
    const char *const answers[] = {
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 90\r\n\r\n<DeleteResult><Error>"
         "<Key>b</Key><Code>AccessDenied</Code></Error></DeleteResult>           "),
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\n<DeleteResult", OK, OK,
        OK};
    begin(answers, 5);
    const char *const keys[] = {"a<&>\"\n", "b"};
    assert_int_equal(lithops_storage_delete_many(storage, "data", keys, 2, &err), LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "data/b"));
    assert_int_equal(lithops_storage_delete_many(storage, "data", keys, 2, &err), LITHOPS_EBACKEND);
    end(5);
    assert_non_null(strstr(script.requests[0], "<Key>a&#60;&#38;&#62;&#34;&#10;</Key>"));
    assert_non_null(strstr(script.requests[0], "content-md5: "));
}

static int visit_none(const lithops_object_info *info, void *user)
{
    (void)user;
    fail_msg("visited %s", info->key);
    return 0;
}

static void a_list_that_is_no_list_is_an_error(void **state)
{
    (void)state;
    const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 15\r\n\r\n<html>it works!",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 17\r\n\r\n<ListBucketResult",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>well-formed</html>", OK};
    begin(answers, 4);
    assert_int_equal(lithops_storage_list(storage, "data", NULL, visit_none, NULL, &err),
                     LITHOPS_EBACKEND);
    end(4);
}

static void no_server_is_told(void **state)
{
    (void)state;
    begin(NULL, 0);
    script_stop(&script);
    assert_int_equal(put(), LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, "http://127.0.0.1:"));
    assert_null(strstr(err.message, "a-secret"));
    lithops_storage_close(storage);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void refused(const lithops_storage_driver *driver, lithops_value *settings, const char *says)
{
    assert_null(lithops__storage_open_driver(driver, settings, NULL, &err));
    lithops_value_free(settings);
    assert_int_equal(err.code, LITHOPS_ECONFIG);
    if (!strstr(err.message, says))
        fail_msg("'%s' does not say '%s'", err.message, says);
}

static void what_is_missing_in_a_section_is_named(void **state)
{
    (void)state;
    setenv("HOME", "/nonexistent", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    refused(&lithops__storage_minio, lithops_value_map(), "access_key_id and secret_access_key");
    refused(&lithops__storage_aws_s3, lithops_value_map(), "AWS_ACCESS_KEY_ID");
    refused(&lithops__storage_aliyun_oss, lithops_value_map(), "access_key_secret");
    refused(&lithops__storage_ceph,
            lithops_pack("{s:s,s:s}", "access_key_id", "k", "secret_access_key", "s"),
            "needs an endpoint");
    refused(&lithops__storage_aws_s3,
            lithops_pack("{s:s,s:s}", "access_key_id", "k", "secret_access_key", "s"),
            "needs a region");
    refused(&lithops__storage_ceph,
            lithops_pack("{s:s,s:s,s:s}", "access_key_id", "k", "secret_access_key", "s",
                         "endpoint", "ftp://x"),
            "must begin with http");
}

static void open_with(const lithops_storage_driver *driver, lithops_value *settings)
{
    storage = lithops__storage_open_driver(driver, settings, "data", &err);
    lithops_value_free(settings);
    if (!storage)
        fail_msg("%s", err.message);
}

#define ROLE(key)                                                                                  \
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"AccessKeyId\": \"" key                         \
    "\", \"SecretAccessKey\": \"s\", \"Token\": \"token-of-" key "\", \"Expiration\": "            \
    "\"2100-01-01T00:00:00Z\"}"

/* A container's credentials, and the objects, from one server. */
static void expired_credentials_are_renewed(void **state)
{
    (void)state;
    static const char *const answers[] = {ROLE("first"),
                                          "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
                                          "<Error><Code>ExpiredToken</Code></Error>",
                                          ROLE("second"), OK, OK};
    char endpoint[64];
    script_start(&script, answers, 5);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", script.port);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint, 1);
    setenv("AWS_ENDPOINT_URL_S3", endpoint, 1);
    open_with(&lithops__storage_aws_s3, lithops_pack("{s:s}", "region", "eu-west-1"));
    if (put() != 0)
        fail_msg("%s", err.message);
    assert_int_equal(put(), 0);
    end(5);
    unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    unsetenv("AWS_ENDPOINT_URL_S3");
    assert_non_null(strstr(script.requests[1], "x-amz-security-token: token-of-first\r\n"));
    assert_non_null(strstr(script.requests[3], "x-amz-security-token: token-of-second\r\n"));
    assert_non_null(strstr(script.requests[4], "Credential=second/"));
}

static void a_token_takes_the_place_of_signatures(void **state)
{
    (void)state;
#define TOKEN(text)                                                                                \
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"access_token\": \"" text                       \
    "\", \"expires_in\": 3600}"
    static const char *const answers[] = {
        TOKEN("one"), NO_BUCKET,
        OK,           "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        TOKEN("two"), OK};
    char endpoint[64];
    script_start(&script, answers, 6);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", script.port);
    open_with(&lithops__storage_ibm_cos,
              lithops_pack("{s:s,s:s,s:s,s:s,s:s}", "endpoint", endpoint, "iam_endpoint", endpoint,
                           "iam_api_key", "a-secret", "service_instance_id", "instance",
                           "storage_bucket", "data"));
    assert_int_equal(put(), 0);
    end(6);
    assert_non_null(strstr(script.requests[1], "authorization: Bearer one\r\n"));
    assert_null(strstr(script.requests[1], "x-amz-"));
    assert_non_null(strstr(script.requests[2], "ibm-service-instance-id: instance\r\n"));
    assert_non_null(strstr(script.requests[5], "authorization: Bearer two\r\n"));
}

static char account_path[32]; /* "": there is none */

static int remove_account(void **state)
{
    (void)state;
    if (account_path[0])
        (void)remove(account_path);
    account_path[0] = '\0';
    return 0;
}

/* A key of a service account, for remove_account(); NULL: there is no program that makes keys. */
static char *make_account(const char *token_uri)
{
    char pem[4096] = "", *text;
    FILE *made =
        popen("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null", "r");
    size_t len = made ? fread(pem, 1, sizeof pem - 1, made) : 0;
    if (!made || pclose(made) != 0 || len == 0)
        return NULL;
    snprintf(account_path, sizeof account_path, "/tmp/lithops-test-XXXXXX");
    int fd = mkstemp(account_path);
    if (fd < 0) {
        account_path[0] = '\0';
        fail_msg("no file for a key");
    }
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    lithops_value *account =
        lithops_pack("{s:s,s:s,s:s,s:s,s:s}", "client_email", "me@project", "private_key", pem,
                     "private_key_id", "1", "token_uri", token_uri, "project_id", "project");
    assert_int_equal(lithops_value_to_json(account, &text, NULL), 0);
    fputs(text, file);
    fclose(file);
    free(text);
    lithops_value_free(account);
    return account_path;
}

static void a_service_account_of_google_is_taken(void **state)
{
    (void)state;
    static const char *const answers[] = {TOKEN("one"), NO_BUCKET, OK, OK, OK};
    char endpoint[64];
    script_start(&script, answers, 5);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", script.port);
    const char *path = make_account(endpoint);
    if (!path) {
        script_stop(&script);
        skip();
    }
    open_with(&lithops__storage_gcp_storage,
              lithops_pack("{s:s,s:s,s:s}", "endpoint", endpoint, "credentials_path", path,
                           "storage_bucket", "data"));
    assert_int_equal(put(), 0); /* makes the bucket */
    assert_int_equal(lithops_storage_put_new(storage, "data", "new", (lithops_bytes){"x", 1}, &err),
                     0);
    end(5);
    assert_non_null(strstr(script.requests[0], "jwt-bearer&assertion="));
    assert_non_null(strstr(script.requests[1], "authorization: Bearer one\r\n"));
    assert_non_null(strstr(script.requests[2], "x-goog-project-id: project\r\n"));
    assert_non_null(strstr(script.requests[4], "x-goog-if-generation-match: 0\r\n"));
    for (size_t i = 1; i < 5; i++)
        assert_null(strstr(script.requests[i], "x-amz-"));
}

static void credentials_come_from_a_profile(void **state)
{
    (void)state;
    char path[] = "/tmp/lithops-test-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fputs("[default]\naws_access_key_id = of-default\naws_secret_access_key = x\n"
          "[work]\n# a comment = x\naws_access_key_id = of-work\n aws_secret_access_key=y\n"
          "region = eu-west-3\n",
          file);
    fclose(file);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    setenv("AWS_PROFILE", "work", 1);
    static const char *const answers[] = {OK};
    script_start(&script, answers, 1);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", script.port);
    lithops_value *settings = lithops_pack("{s:s}", "endpoint", endpoint);
    storage = lithops__storage_open_driver(&lithops__storage_aws_s3, settings, NULL, &err);
    lithops_value_free(settings);
    if (!storage)
        fail_msg("%s", err.message);
    assert_int_equal(put(), 0);
    end(1);
    assert_non_null(strstr(script.requests[0], "Credential=of-work/"));
    assert_non_null(strstr(script.requests[0], "/eu-west-3/s3/"));
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    unsetenv("AWS_PROFILE");
    remove(path);
}

int main(void)
{
    setenv("no_proxy", "*", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(throttling_passes),
        cmocka_unit_test(throttling_that_lasts_is_told),
        cmocka_unit_test(a_cut_answer_goes_on_where_it_was_cut),
        cmocka_unit_test(a_cut_answer_is_not_mixed_with_another_version),
        cmocka_unit_test(a_page_is_no_answer),
        cmocka_unit_test(a_wrong_clock_is_corrected),
        cmocka_unit_test(another_region_is_asked),
        cmocka_unit_test(a_region_that_is_always_wrong_is_an_error),
        cmocka_unit_test(a_bucket_that_is_there_is_ours_or_not),
        cmocka_unit_test(errors_within_a_deletion_are_told),
        cmocka_unit_test(a_list_that_is_no_list_is_an_error),
        cmocka_unit_test(no_server_is_told),
        cmocka_unit_test(what_is_missing_in_a_section_is_named),
        cmocka_unit_test(expired_credentials_are_renewed),
        cmocka_unit_test(a_token_takes_the_place_of_signatures),
        cmocka_unit_test_teardown(a_service_account_of_google_is_taken, remove_account),
        cmocka_unit_test(credentials_come_from_a_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
