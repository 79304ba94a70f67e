/* SPDX-License-Identifier: Apache-2.0 */
/* Multipart uploads and conditional puts against a scripted server: what is sent, answers that are
 * lost or say that they failed, and pauses that the server asks for. */
#include "base/clock.h"
#include "net/test_server.h"
#include "storage/backends/s3/s3.h"
#include "storage/handle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct script script;
static lithops_storage *storage;
static lithops_error err;
static char etags[2][128] = {"\"900150983cd24fb0d6963f7d28e17f72\"",
                             "\"4ed9407630eb1000c0f6b63842defa7d\""};
static lithops_storage_upload upload;
static char id[] = "an/id";

#define ANSWER(status, head, body) "HTTP/1.1 " status "\r\nConnection: close\r\n" head "\r\n" body
#define DONE                                                                                       \
    ANSWER("200 OK", "",                                                                           \
           "<CompleteMultipartUploadResult><ETag>&quot;x-2&quot;</ETag>"                           \
           "</CompleteMultipartUploadResult>")

static void begin(const char *const *answers, size_t count)
{
    char endpoint[64];
    script_start(&script, answers, count);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", script.port);
    lithops_value *settings =
        lithops_pack("{s:s,s:s,s:s,s:s}", "endpoint", endpoint, "storage_bucket", "data",
                     "access_key_id", "key", "secret_access_key", "a-secret");
    err = (lithops_error)LITHOPS_ERROR_INIT;
    storage = lithops__storage_open_driver(&lithops__storage_minio, settings, "data", &err);
    lithops_value_free(settings);
    assert_non_null(storage);
    lithops__storage_set_retries(storage, 4, 1);
    upload = (lithops_storage_upload){
        .bucket = "data", .key = "k", .id = id, .etags = etags, .count = 2, .size_bytes = 10};
}

static void end(size_t requests)
{
    lithops_storage_close(storage);
    script_stop(&script);
    assert_int_equal(script.count, requests);
}

/* A slot, repeated as the engine repeats it. */
#define SLOT(rc, call)                                                                             \
    do {                                                                                           \
        struct lithops__request request;                                                           \
        lithops__request_begin(&request, storage);                                                 \
        while (lithops__request_try(&request, &rc))                                                \
            rc = storage->driver->ops->call;                                                       \
        rc = lithops__request_end(&request, rc, &err);                                             \
    } while (0)

static int complete(void)
{
    int rc = 0;
    SLOT(rc, upload_complete(storage->state, &upload, &request.op));
    return rc;
}

static void an_upload_has_an_id_and_parts(void **state)
{
    (void)state;
    const char *const answers[] = {
        ANSWER("200 OK", "",
               "<InitiateMultipartUploadResult><UploadId>2~a/b+c</UploadId>"
               "</InitiateMultipartUploadResult>"),
        ANSWER("200 OK", "ETag: \"900150983cd24fb0d6963f7d28e17f72\"\r\n", ""),
        ANSWER("204 No Content", "", "")};
    char own[1][128] = {""};
    int rc = 0;
    begin(answers, 3);
    upload.etags = own;
    SLOT(rc, upload_begin(storage->state, &upload, &request.op));
    assert_int_equal(rc, 0);
    assert_string_equal(upload.id, "2~a/b+c");
    SLOT(rc, upload_part(storage->state, &upload, 0, (lithops_bytes){"abc", 3}, &request.op));
    assert_int_equal(rc, 0);
    assert_string_equal(own[0], "\"900150983cd24fb0d6963f7d28e17f72\"");
    SLOT(rc, upload_abort(storage->state, &upload, &request.op));
    assert_int_equal(rc, 0);
    free(upload.id);
    end(3);
    assert_non_null(strstr(script.requests[0], "POST /data/k?uploads= HTTP/1.1\r\n"));
    assert_non_null(
        strstr(script.requests[1], "PUT /data/k?partNumber=1&uploadId=2~a%2Fb%2Bc HTTP/1.1\r\n"));
    assert_null(strstr(script.requests[1], "Expect:"));
    assert_non_null(strstr(script.requests[2], "DELETE /data/k?uploadId=2~a%2Fb%2Bc HTTP/1.1\r\n"));
}

static void a_part_without_an_etag_is_sent_again(void **state)
{
    (void)state;
    const char *const answers[] = {ANSWER("200 OK", "", ""),
                                   ANSWER("200 OK", "ETag: \"e\"\r\n", "")};
    char own[1][128] = {""};
    int rc = 0;
    begin(answers, 2);
    upload.etags = own;
    SLOT(rc, upload_part(storage->state, &upload, 0, (lithops_bytes){"abc", 3}, &request.op));
    assert_int_equal(rc, 0);
    assert_string_equal(own[0], "\"e\"");
    end(2);
}

#define MISMATCH                                                                                   \
    ANSWER("400 Bad Request", "", "<Error><Code>XAmzContentSHA256Mismatch</Code></Error>")

static void a_part_is_read_from_a_file(void **state)
{
    (void)state;
    const char *const answers[] = {MISMATCH, ANSWER("200 OK", "ETag: \"e\"\r\n", "")};
    char own[1][128] = {""};
    int rc = 0, fd = memfd_create("upload_test", MFD_CLOEXEC);
    assert_int_equal(write(fd, "xyabcz", 6), 6);
    begin(answers, 2);
    upload.etags = own;
    SLOT(rc, upload_part_fd(storage->state, &upload, 0, fd, 2, 3, &request.op));
    assert_int_equal(rc, 0);
    assert_string_equal(own[0], "\"e\"");
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 6);
    SLOT(rc, upload_part_fd(storage->state, &upload, 0, fd, 4, 3, &request.op));
    assert_int_equal(rc, LITHOPS_EIO); /* and nothing was asked for */
    assert_non_null(strstr(err.message, "became shorter"));
    end(2);
    close(fd);
    for (size_t i = 0; i < 2; i++) {
        assert_non_null(strstr(script.requests[i], "Content-Length: 3\r\n"));
        assert_non_null(strstr(script.requests[i],
                               "x-amz-content-sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177"
                               "a9cb410ff61f20015ad\r\n"));
    }
    assert_non_null(strstr(script.requests[1], "\r\n\r\nabc"));
}

static void the_end_names_all_parts(void **state)
{
    (void)state;
    const char *const answers[] = {DONE};
    begin(answers, 1);
    assert_int_equal(complete(), 0);
    end(1);
    assert_non_null(strstr(script.requests[0], "POST /data/k?uploadId=an%2Fid HTTP/1.1\r\n"));
    assert_non_null(strstr(script.requests[0],
                           "<Part><PartNumber>2</PartNumber>"
                           "<ETag>&#34;4ed9407630eb1000c0f6b63842defa7d&#34;</ETag></Part>"));
}

/* Status 200 comes before the server knows. */
static void an_error_within_a_good_answer_is_one(void **state)
{
    (void)state;
    const char *const answers[] = {
        ANSWER("200 OK", "", "  <Error><Code>InternalError</Code></Error>"),
        ANSWER("200 OK", "", ""), ANSWER("200 OK", "", "<Complete"), DONE,
        ANSWER("200 OK", "", "<Error><Code>InvalidPart</Code><Message>bad</Message></Error>")};
    begin(answers, 5);
    assert_int_equal(complete(), 0);
    assert_int_equal(complete(), LITHOPS_EBACKEND);
    assert_non_null(strstr(err.message, "InvalidPart: bad"));
    end(5);
}

#define GONE ANSWER("404 Not Found", "", "<Error><Code>NoSuchUpload</Code></Error>")

static void an_end_whose_answer_was_lost_is_found(void **state)
{
    (void)state;
    static const char there[] = ANSWER(
        "200 OK", "Content-Length: 10\r\nETag: \"11111111111111111111111111111111-2\"\r\n", "");
    const char *const other[] = {"", GONE, there};
    begin(other, 3);
    assert_int_equal(complete(), LITHOPS_ENOTFOUND); /* somebody else's object */
    end(3);
    /* The MD5 of the two MD5s. */
    const char *const ours[] = {
        "", GONE,
        ANSWER("200 OK", "Content-Length: 10\r\nETag: \"4c8e93283780e078db9e0c6b9b3f8043-2\"\r\n",
               "")};
    begin(ours, 3);
    assert_int_equal(complete(), 0);
    end(3);
    assert_non_null(strstr(script.requests[2], "HEAD /data/k HTTP/1.1"));
}

static void a_new_object_is_asked_for(void **state)
{
    (void)state;
    const char *const answers[] = {
        ANSWER("200 OK", "ETag: \"e\"\r\n", ""),
        ANSWER("412 Precondition Failed", "", "<Error><Code>PreconditionFailed</Code></Error>"),
        ANSWER("409 Conflict", "", "<Error><Code>ConditionalRequestConflict</Code></Error>"),
        ANSWER("200 OK", "ETag: \"e\"\r\n", "")};
    const lithops_bytes body = {"x", 1};
    begin(answers, 4);
    assert_int_equal(lithops_storage_put_new(storage, "data", "k", body, &err), 0);
    assert_int_equal(lithops_storage_put_new(storage, "data", "k", body, &err), LITHOPS_EEXIST);
    assert_non_null(strstr(err.message, "object 'k' in bucket 'data' exists already"));
    assert_int_equal(lithops_storage_put_new(storage, "data", "k", body, &err), 0);
    end(4);
    assert_non_null(strstr(script.requests[0], "if-none-match: *\r\n"));
    assert_non_null(strstr(script.requests[0], ";if-none-match;")); /* and it is signed */
}

static void a_pause_that_is_asked_for_is_made(void **state)
{
    (void)state;
    const char *const answers[] = {
        ANSWER("503 Slow Down", "Retry-After: 1\r\n", "<Error><Code>SlowDown</Code></Error>"),
        ANSWER("429 Too Many Requests", "Retry-After: 1000\r\n", "")};
    begin(answers, 2);
    lithops_storage_set_bounds(storage, 20000, NULL, NULL, NULL);
    uint64_t start = lithops__now_ns();
    /* The second pause would be longer than the time that is left: it is not begun. */
    assert_int_equal(lithops_storage_put(storage, "data", "k", (lithops_bytes){"x", 1}, &err),
                     LITHOPS_ETHROTTLED);
    assert_true(lithops__now_ns() - start >= 1000000000u);
    end(2);
}

int main(void)
{
    setenv("no_proxy", "*", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upload_has_an_id_and_parts),
        cmocka_unit_test(a_part_without_an_etag_is_sent_again),
        cmocka_unit_test(a_part_is_read_from_a_file),
        cmocka_unit_test(the_end_names_all_parts),
        cmocka_unit_test(an_error_within_a_good_answer_is_one),
        cmocka_unit_test(an_end_whose_answer_was_lost_is_found),
        cmocka_unit_test(a_new_object_is_asked_for),
        cmocka_unit_test(a_pause_that_is_asked_for_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
