/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted server whose answers do, or do not, match the checksums that it sends with them. */
#include "base/crc.h"
#include "base/module.h"
#include "net/sign.h"
#include "net/test_server.h"
#include "storage/backends/s3/s3.h"
#include "storage/storage.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct script script;
static lithops_storage *storage;
static lithops_error err;

/* All nine bytes of an object. */
#define ANSWER(headers, body)                                                                      \
    "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 9\r\n"                   \
    "Content-Range: bytes 0-8/9\r\n" headers "\r\n\r\n" body
#define ETAG "ETag: \"e\"\r\n"
#define GOOD "123456789"
#define BAD "123456788"
#define CRC64 ETAG "x-amz-checksum-crc64nvme: rosUhgp5mIg="
#define MD5 "ETag: \"25f9e794323b453885f5181f1b624d0b\""

static void begin(const char *const *answers, size_t count)
{
    char endpoint[64];
    script_start(&script, answers, count);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", script.port);
    lithops_value *settings = lithops_pack("{s:s,s:s,s:s}", "endpoint", endpoint, "access_key_id",
                                           "key", "secret_access_key", "a-secret");
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

static void expect_good(void)
{
    void *data;
    size_t len;
    if (lithops_storage_get(storage, "data", "k", 0, SIZE_MAX, &data, &len, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(len, 9);
    assert_memory_equal(data, GOOD, 9);
    free(data);
}

static void what_came_spoiled_is_asked_for_again(void **state)
{
    (void)state;
    static const char *const answers[] = {
        ANSWER(CRC64, BAD),
        ANSWER(CRC64, GOOD),
        ANSWER(ETAG "x-amz-checksum-crc32c: 4waSgw==", BAD),
        ANSWER(ETAG "x-amz-checksum-crc32c: 4waSgw==", GOOD),
        ANSWER(ETAG "x-amz-checksum-crc32: y/Q5Jg==", BAD),
        ANSWER(ETAG "x-amz-checksum-crc32: y/Q5Jg==", GOOD),
        ANSWER(ETAG "x-amz-checksum-sha256: FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", BAD),
        ANSWER(ETAG "x-amz-checksum-sha256: FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", GOOD),
        ANSWER(ETAG "x-amz-checksum-sha1: 98O8HYCOBHMq32eZZczDTKeuNEE=", BAD),
        ANSWER(ETAG "x-amz-checksum-sha1: 98O8HYCOBHMq32eZZczDTKeuNEE=", GOOD),
        ANSWER(MD5, BAD),
        ANSWER(MD5, GOOD)};
    begin(answers, 12);
    for (int i = 0; i < 6; i++)
        expect_good();
    end(12);
    assert_non_null(strstr(script.requests[0], "x-amz-checksum-mode: ENABLED\r\n"));
}

static void what_is_spoiled_for_good_is_told(void **state)
{
    (void)state;
    static const char *const answers[] = {ANSWER(CRC64, BAD), ANSWER(CRC64, BAD),
                                          ANSWER(CRC64, BAD), ANSWER(CRC64, BAD),
                                          ANSWER(CRC64, BAD)};
    void *data;
    size_t len;
    begin(answers, 5);
    assert_int_equal(lithops_storage_get(storage, "data", "k", 0, SIZE_MAX, &data, &len, &err),
                     LITHOPS_EIO);
    assert_non_null(strstr(err.message, "'data/k' did not match its checksum, 5 times"));
    end(5);
}

/* None of these can be compared with the bytes of the answer. */
static void what_is_no_checksum_of_the_answer_is_passed_over(void **state)
{
    (void)state;
    static const char *const answers[] = {
        ANSWER(ETAG "x-amz-checksum-crc32: AAAAAA==-2", GOOD),
        ANSWER("ETag: \"00000000000000000000000000000000-1\"", GOOD),
        ANSWER("ETag: \"00000000000000000000000000000000\"\r\n"
               "x-amz-server-side-encryption: aws:kms",
               GOOD),
        ANSWER("ETag: \"00000000000000000000000000000000\"\r\n"
               "x-amz-server-side-encryption-customer-algorithm: AES256",
               GOOD),
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 9\r\n"
        "Content-Range: bytes 0-8/20\r\n" MD5 "\r\n\r\n" BAD};
    begin(answers, 5);
    for (int i = 0; i < 4; i++)
        expect_good();
    void *data;
    size_t len;
    assert_int_equal(lithops_storage_get(storage, "data", "k", 0, 9, &data, &len, &err), 0);
    free(data); /* a part of an object whose MD5 is known */
    end(5);
}

/* Some servers send the checksum of the whole object with a part of it: a HEAD tells, once. */
static void that_of_the_object_is_not_one_of_a_range(void **state)
{
    (void)state;
#define RANGE(headers, body)                                                                       \
    "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 9\r\n"                   \
    "Content-Range: bytes 0-8/20\r\n" headers "\r\n\r\n" body
#define HEAD(headers)                                                                              \
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 20\r\n" headers "\r\n\r\n"
#define OTHER ETAG "x-amz-checksum-crc64nvme: AAAAAAAAAAA="
    static const char *const answers[] = {
        /* the part's own, and spoiled */
        RANGE(CRC64, BAD), HEAD(OTHER), RANGE(CRC64, GOOD),
        /* the object has none, or there is another by now */
        RANGE(CRC64, BAD), HEAD(ETAG), RANGE(CRC64, BAD),
        HEAD("ETag: \"f\"\r\nx-amz-checksum-crc64nvme: AAAAAAAAAAA="), RANGE(CRC64, GOOD),
        /* the object's */
        RANGE(OTHER, GOOD), HEAD(OTHER), RANGE(OTHER, GOOD), ANSWER(CRC64, BAD),
        ANSWER(CRC64, GOOD)};
    const size_t count = sizeof answers / sizeof *answers;
    begin(answers, count);
    for (int i = 0; i < 4; i++) {
        char bytes[9];
        size_t len;
        if (lithops_storage_get_into(storage, "data", "k", 0, bytes, 9, &len, &err) != 0)
            fail_msg("%d: %s", i, err.message);
        assert_int_equal(len, 9);
        assert_memory_equal(bytes, GOOD, 9);
    }
    expect_good(); /* whole objects still are checked */
    end(count);
    assert_non_null(strstr(script.requests[1], "HEAD /data/k "));
    assert_non_null(strstr(script.requests[1], "x-amz-checksum-mode: ENABLED\r\n"));
    assert_non_null(strstr(script.requests[1], "if-match: \"e\"\r\n"));
}

static void nothing_is_checked_if_the_user_says_so(void **state)
{
    (void)state;
    static const char *const answers[] = {ANSWER(CRC64, BAD)};
    void *data;
    size_t len;
    setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "WHEN_REQUIRED", 1);
    begin(answers, 1);
    unsetenv("AWS_RESPONSE_CHECKSUM_VALIDATION");
    assert_int_equal(lithops_storage_get(storage, "data", "k", 0, SIZE_MAX, &data, &len, &err), 0);
    free(data);
    end(1);
    assert_null(strstr(script.requests[0], "checksum"));
}

/* The checksum of the first answer counts for the second, which goes on where it broke off. */
static void a_cut_answer_is_checked_with_its_rest(void **state)
{
    (void)state;
#define REST(body)                                                                                 \
    "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 5\r\n"                   \
    "Content-Range: bytes 4-8/9\r\n" ETAG "\r\n" body
    static const char *const answers[] = {ANSWER(CRC64, "1234"), REST("56788"),
                                          ANSWER(CRC64, "1234"), REST("56789")};
    begin(answers, 4);
    expect_good();
    end(4);
}

static void a_reader_ends_with_an_error(void **state)
{
    (void)state;
    static const char *const answers[] = {ANSWER(CRC64, BAD), ANSWER(MD5, BAD)};
    begin(answers, 2);
    for (int i = 0; i < 2; i++) {
        lithops_reader *reader;
        char bytes[9];
        size_t got;
        assert_int_equal(
            lithops_storage_open_reader(storage, "data", "k", 0, UINT64_MAX, &reader, &err), 0);
        assert_int_equal(lithops_reader_read(reader, bytes, 4, &got, &err), 0);
        assert_int_equal(lithops_reader_read(reader, bytes, 5, &got, &err), LITHOPS_EIO);
        assert_non_null(strstr(err.message, "does not match its checksum"));
        lithops_reader_close(reader);
    }
    end(2);
}

static void a_file_is_written_again(void **state)
{
    (void)state;
    static const char *const answers[] = {ANSWER(CRC64, BAD), ANSWER(CRC64, GOOD),
                                          ANSWER(CRC64, BAD)};
    char bytes[32];
    uint64_t len;
    int fd = memfd_create("object", MFD_CLOEXEC), ends[2];
    begin(answers, 3);
    assert_int_equal(write(fd, "before ", 7), 7);
    assert_int_equal(lithops_storage_get_fd(storage, "data", "k", fd, &len, &err), 0);
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), 16);
    assert_memory_equal(bytes, "before " GOOD, 16);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(lithops_storage_get_fd(storage, "data", "k", ends[1], &len, &err),
                     LITHOPS_EIO); /* what is in a pipe stays there */
    end(3);
    close(fd);
    close(ends[0]);
    close(ends[1]);
}

/* ---- larger ones ----------------------------------------------------------------------------- */

enum { PART = LITHOPS_STORAGE_PART_BYTES, LARGE = PART + PART / 8, MIDDLE = 100000 };

/* An answer with [from, to) of an object of `total` bytes, which the caller frees. */
static char *part_of(size_t from, size_t to, size_t total, bool spoiled)
{
    char *answer = malloc(to - from + 1000), text[16];
    unsigned char crc[4];
    memset(answer, 'x', to - from);
    uint64_t value = lithops__crc_add(LITHOPS__CRC32C, 0, answer, to - from);
    for (int i = 0; i < 4; i++)
        crc[i] = (unsigned char)(value >> (24 - 8 * i));
    lithops__base64(crc, 4, text);
    size_t head =
        (size_t)snprintf(answer, 1000,
                         "HTTP/1.1 206 Partial Content\r\nConnection: close\r\n"
                         "Content-Length: %zu\r\nContent-Range: bytes %zu-%zu/%zu\r\n" ETAG
                         "x-amz-checksum-crc32c: %s\r\n\r\n",
                         to - from, from, to - 1, total, text);
    memset(answer + head, 'x', to - from);
    answer[head + (to - from) / 2] = spoiled ? 'y' : 'x';
    answer[head + to - from] = '\0';
    return answer;
}

static void expect_large(size_t size)
{
    void *data;
    size_t len;
    if (lithops_storage_get(storage, "data", "k", 0, SIZE_MAX, &data, &len, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(len, size);
    for (size_t i = 0; i < len; i++)
        if (((char *)data)[i] != 'x')
            fail_msg("byte %zu is wrong", i);
    free(data);
}

/* The server keeps a checksum for each part, as it got them. The first read of an object takes only
 * its beginning, which is all right in the second one. */
static void a_spoiled_part_is_asked_for_again(void **state)
{
    (void)state;
    char head[200];
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n" ETAG "\r\n", LARGE);
    char *const parts[] = {part_of(0, PART, LARGE, false), part_of(PART, LARGE, LARGE, true),
                           part_of(PART, LARGE, LARGE, false), part_of(0, MIDDLE, MIDDLE, true),
                           part_of(0, MIDDLE, MIDDLE, false)};
    const char *const answers[] = {parts[0], parts[1], head, parts[2], parts[3], parts[4]};
    begin(answers, 6);
    expect_large(LARGE);
    expect_large(MIDDLE);
    end(6);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        free(parts[i]);
}

int main(void)
{
    setenv("no_proxy", "*", 1);
    if (!lithops__module_symbol("http", "lithops__http", &err) ||
        !lithops__module_symbol("crypto", "lithops__crypto", &err)) {
        print_message("skipped: %s\n", err.message);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_spoiled_is_asked_for_again),
        cmocka_unit_test(what_is_spoiled_for_good_is_told),
        cmocka_unit_test(what_is_no_checksum_of_the_answer_is_passed_over),
        cmocka_unit_test(that_of_the_object_is_not_one_of_a_range),
        cmocka_unit_test(nothing_is_checked_if_the_user_says_so),
        cmocka_unit_test(a_cut_answer_is_checked_with_its_rest),
        cmocka_unit_test(a_reader_ends_with_an_error),
        cmocka_unit_test(a_file_is_written_again),
        cmocka_unit_test(a_spoiled_part_is_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
