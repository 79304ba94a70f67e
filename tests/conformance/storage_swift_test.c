/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over OpenStack Swift, started by tests/servers/with-swift; and tests of
 * Swift alone: logins, pages of lists, segments, a server that hangs. Keystone is a stand-in, whose
 * tokens Swift checks. */
#include "../stop.h"
#include "storage_mapped.h"
#include "storage_suite.h"

#include "storage/backends/swift/swift.h"
#include "storage/handle.h"

#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static lithops_error err;

static lithops_value *v3_settings(const char *user, const char *password, const char *region)
{
    return lithops_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "auth_url", getenv("LITHOPS_TEST_SWIFT_V3"),
                        "user_id", user, "password", password, "project_id", "testproject",
                        "region", region, "storage_bucket", "lithops-data");
}

static lithops_value *good_settings(void)
{
    return v3_settings("tester", getenv("LITHOPS_TEST_SWIFT_PASSWORD"), "RegionOne");
}

static lithops_value *v1_settings(const char *password)
{
    return lithops_pack("{s:s,s:s,s:s,s:s}", "auth_url", getenv("LITHOPS_TEST_SWIFT_V1"), "user_id",
                        "test:tester", "password", password, "storage_bucket", "lithops-data");
}

static lithops_value *token_settings(const char *token)
{
    return lithops_pack("{s:s,s:s,s:s}", "token", token, "endpoint",
                        getenv("LITHOPS_TEST_SWIFT_ENDPOINT"), "storage_bucket", "lithops-data");
}

static lithops_value *application_settings(const char *secret)
{
    return lithops_pack("{s:s,s:s,s:s,s:s,s:s}", "auth_url", getenv("LITHOPS_TEST_SWIFT_V3"),
                        "application_credential_id", "app", "application_credential_secret", secret,
                        "region", "RegionOne", "storage_bucket", "lithops-data");
}

static lithops_storage *open_mapped(void)
{
    lithops_value *settings = good_settings();
    lithops_storage *storage =
        storage_mapped_open(&lithops__storage_swift, settings, "lithops-data", &err);
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
        lithops__storage_open_driver(&lithops__storage_swift, settings, "lithops-data", &err);
    lithops_value_free(settings);
    return storage;
}

static int put_bytes(lithops_storage *storage, const char *key, const void *bytes, size_t len)
{
    return lithops_storage_put(storage, "lithops-data", key, (lithops_bytes){bytes, len}, &err);
}

static void expect_bytes(lithops_storage *storage, const char *key, const void *bytes, size_t len)
{
    void *data;
    size_t got;
    if (lithops_storage_get(storage, "lithops-data", key, 0, SIZE_MAX, &data, &got, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(got, len);
    assert_memory_equal(data, bytes, len);
    free(data);
}

/* ---- logins ---------------------------------------------------------------------------------- */

/* The first token of the user `late` is one that Swift does not take: it is asked for another. */
static void all_logins_work(void **state)
{
    (void)state;
    const char *password = getenv("LITHOPS_TEST_SWIFT_PASSWORD");
    lithops_value *settings[] = {good_settings(), v3_settings("late", password, "RegionOne"),
                                 v1_settings(password), application_settings("app-secret"),
                                 token_settings(getenv("LITHOPS_TEST_SWIFT_TOKEN"))};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        lithops_storage *storage = open_with(settings[i]);
        if (!storage || put_bytes(storage, "login", "works", 5) != 0)
            fail_msg("%zu: %s", i, err.message);
        expect_bytes(storage, "login", "works", 5);
        assert_int_equal(lithops_storage_delete(storage, "lithops-data", "login", &err), 0);
        lithops_storage_close(storage);
    }
}

static void expect_refused(lithops_value *settings, int code, const char *why)
{
    lithops_storage *storage = open_with(settings);
    assert_non_null(storage);
    assert_int_equal(put_bytes(storage, "k", "x", 1), code);
    if (!strstr(err.message, why) || strstr(err.message, "not-the-secret"))
        fail_msg("%s", err.message);
    lithops_storage_close(storage);
}

static void wrong_credentials_are_told_without_them(void **state)
{
    (void)state;
    const char *password = getenv("LITHOPS_TEST_SWIFT_PASSWORD");
    expect_refused(v3_settings("tester", "not-the-secret", "RegionOne"), LITHOPS_EDENIED,
                   "/v3/auth/tokens gives no token (HTTP 401): The request you have made requires "
                   "authentication.; check user_id");
    expect_refused(v3_settings("tester", password, "Nowhere"), LITHOPS_ECONFIG,
                   "no object store in region 'Nowhere'");
    expect_refused(v1_settings("not-the-secret"), LITHOPS_EDENIED, "check user_id and password");
    expect_refused(application_settings("not-the-secret"), LITHOPS_EDENIED, "gives no token");
    expect_refused(token_settings("not-the-secret"), LITHOPS_EDENIED, "may have expired");
    assert_null(open_with(lithops_pack("{s:s}", "auth_url", getenv("LITHOPS_TEST_SWIFT_V3"))));
    assert_non_null(strstr(err.message, "needs user_id"));
    assert_null(open_with(lithops_pack("{s:s}", "token", "not-the-secret")));
    assert_non_null(strstr(err.message, "needs endpoint, beside token"));
}

/* ---- buckets and lists ----------------------------------------------------------------------- */

static void the_bucket_of_the_configuration_is_made(void **state)
{
    (void)state;
    lithops_storage *storage = open_with(good_settings());
    if (put_bytes(storage, "k", "x", 1) != 0)
        fail_msg("%s", err.message);
    const lithops_bytes body = {"x", 1};
    assert_int_equal(lithops_storage_put(storage, "never-made", "k", body, &err),
                     LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "no bucket 'never-made' at http://127.0.0.1:"));
    lithops_storage_close(storage);
}

static int count_keys(const lithops_object_info *info, void *user)
{
    char expected[32];
    size_t *count = user;
    snprintf(expected, sizeof expected, "page/%05zu", (*count)++);
    assert_string_equal(info->key, expected);
    return 0;
}

static int count_all(const lithops_object_info *info, void *user)
{
    (void)info;
    ++*(size_t *)user;
    return 0;
}

static void lists_have_pages(void **state)
{
    (void)state;
    enum { MANY = 21 };
    lithops_storage *storage = open_with(good_settings());
    ((struct lithops__swift *)storage->state)->page = 7;
    char names[MANY][32];
    const char *keys[MANY];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "page/%05zu", i);
        keys[i] = names[i];
        assert_int_equal(put_bytes(storage, keys[i], "x", 1), 0);
    }
    for (size_t all = MANY; all >= MANY - 1; all--) { /* the last page is full, or is not */
        size_t count = 0;
        assert_int_equal(
            lithops_storage_list(storage, "lithops-data", "page/", count_keys, &count, &err), 0);
        assert_int_equal(count, all);
        assert_int_equal(lithops_storage_delete(storage, "lithops-data", keys[all - 1], &err), 0);
    }
    assert_int_equal(lithops_storage_delete_many(storage, "lithops-data", keys, MANY, &err), 0);
    size_t count = 0;
    assert_int_equal(
        lithops_storage_list(storage, "lithops-data", "page/", count_keys, &count, &err), 0);
    assert_int_equal(count, 0);
    lithops_storage_close(storage);
}

static const char good_bytes[] = "bytes that a disk will spoil";

/* Overwrites them in the file that has them. */
static int spoil(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)place;
    char text[sizeof good_bytes] = "";
    FILE *file = type == FTW_F && info->st_size == sizeof good_bytes - 1 ? fopen(path, "r+") : NULL;
    if (!file)
        return 0;
    bool found = fread(text, 1, sizeof text - 1, file) && strcmp(text, good_bytes) == 0;
    if (found) {
        rewind(file);
        fputs("BYTES", file);
    }
    fclose(file);
    return found;
}

static void what_comes_is_compared_with_its_md5(void **state)
{
    (void)state;
    lithops_storage *storage = open_with(good_settings());
    assert_int_equal(put_bytes(storage, "spoiled", good_bytes, sizeof good_bytes - 1), 0);
    expect_bytes(storage, "spoiled", good_bytes, sizeof good_bytes - 1);
    const char *folder = getenv("LITHOPS_TEST_SWIFT_FOLDER");
    assert_int_equal(folder ? nftw(folder, spoil, 16, FTW_PHYS) : 0, 1);
    void *data;
    size_t len;
    assert_int_not_equal(
        lithops_storage_get(storage, "lithops-data", "spoiled", 0, SIZE_MAX, &data, &len, &err), 0);
    lithops_storage_close(storage);
}

/* ---- segments -------------------------------------------------------------------------------- */

static size_t count_segments(lithops_storage *storage)
{
    size_t count = 0;
    if (lithops_storage_list(storage, "lithops-data_segments", NULL, count_all, &count, &err) != 0)
        fail_msg("%s", err.message);
    return count;
}

static char *make_large(size_t len, char letter)
{
    char *body = malloc(len);
    for (size_t i = 0; i < len; i++)
        body[i] = (char)(letter + i % 13);
    return body;
}

/* Segments go with their object: when it is replaced, by a small one or a large one, and when it is
 * deleted, alone or with others. */
static void segments_go_with_their_object(void **state)
{
    (void)state;
    lithops_storage *storage = open_with(good_settings());
    const size_t len = 2 * (size_t)LITHOPS_STORAGE_PART_BYTES + 1;
    char long_key[1024];
    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    const char *const keys[] = {"large/one \xc3\xa4\"\\", long_key, "small"};
    char *a = make_large(len, 'a'), *b = make_large(len, 'b');
    for (size_t i = 0; i < 2; i++) {
        if (put_bytes(storage, keys[i], a, len) != 0)
            fail_msg("%s", err.message);
        expect_bytes(storage, keys[i], a, len);
    }
    assert_int_equal(count_segments(storage), 6);
    assert_int_equal(put_bytes(storage, keys[0], b, len), 0);
    expect_bytes(storage, keys[0], b, len);
    assert_int_equal(count_segments(storage), 6);
    assert_int_equal(put_bytes(storage, keys[0], "small", 5), 0);
    expect_bytes(storage, keys[0], "small", 5);
    assert_int_equal(count_segments(storage), 3);
    assert_int_equal(put_bytes(storage, keys[0], a, len), 0);
    assert_int_equal(lithops_storage_delete(storage, "lithops-data", keys[0], &err), 0);
    assert_int_equal(count_segments(storage), 3);
    assert_int_equal(put_bytes(storage, keys[2], "x", 1), 0);
    assert_int_equal(lithops_storage_delete_many(storage, "lithops-data", keys, 3, &err), 0);
    assert_int_equal(count_segments(storage), 0);
    lithops_object_info info;
    assert_int_equal(lithops_storage_head(storage, "lithops-data", long_key, &info, &err),
                     LITHOPS_ENOTFOUND);
    free(a);
    free(b);
    lithops_storage_close(storage);
}

static void an_object_may_be_a_manifest_of_manifests(void **state)
{
    (void)state;
    enum { PARTS = 7 };
    lithops_storage *storage = open_with(good_settings());
    struct lithops__swift *swift = storage->state;
    swift->manifest = 3;
    unsigned pause;
    const lithops_storage_op op = {.deadline_ns = UINT64_MAX, .err = &err, .retry_after_s = &pause};
    char etags[PARTS][128];
    lithops_storage_upload upload = {.bucket = "lithops-data", .key = "deep", .etags = etags};
    assert_int_equal(lithops__swift_upload_begin(swift, &upload, &op), 0);
    for (size_t i = PARTS; i-- > 0;)
        assert_int_equal(
            lithops__swift_upload_part(swift, &upload, i, (lithops_bytes){&"0123456"[i], 1}, &op),
            0);
    upload.count = upload.size_bytes = PARTS;
    for (int again = 0; again < 2; again++) /* an answer may be lost */
        if (lithops__swift_upload_complete(swift, &upload, &op) != 0)
            fail_msg("%s", err.message);
    assert_int_equal(lithops__swift_upload_abort(swift, &upload, &op), 0); /* it is an object */
    expect_bytes(storage, "deep", "0123456", PARTS);
    assert_int_equal(count_segments(storage), PARTS + 3);
    assert_int_equal(lithops_storage_delete(storage, "lithops-data", "deep", &err), 0);
    assert_int_equal(count_segments(storage), 0);
    free(upload.id);
    lithops_storage_close(storage);
}

/* Once there are segments. */
static bool give_up(void *user)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    size_t count = 0;
    return lithops_storage_list(user, "lithops-data_segments", NULL, count_all, &count, &own) ==
               0 &&
           count > 0;
}

static void a_put_that_is_given_up_leaves_nothing(void **state)
{
    (void)state;
    lithops_storage *storage = open_with(good_settings()), *other = open_with(good_settings());
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const size_t len = LITHOPS_STORAGE_PART_BYTES + (64 << 10);
    char *body = make_large(len, 'a');
    pid_t feeder = fork(); /* it fills the pipe, which stays open: the put waits for more */
    if (feeder == 0) {
        for (size_t done = 0; done < len;) {
            ssize_t some = write(ends[1], body + done, len - done);
            done += some > 0 ? (size_t)some : 0;
        }
        _exit(0);
    }
    lithops_storage_set_bounds(storage, LITHOPS_FOREVER, give_up, other, NULL);
    assert_int_equal(lithops_storage_put_fd(storage, "lithops-data", "given-up", ends[0], &err),
                     LITHOPS_ECANCELED);
    assert_int_equal(count_segments(other), 0);
    lithops_object_info info;
    assert_int_equal(lithops_storage_head(other, "lithops-data", "given-up", &info, &err),
                     LITHOPS_ENOTFOUND);
    close(ends[0]);
    close(ends[1]);
    kill(feeder, SIGKILL);
    waitpid(feeder, NULL, 0);
    free(body);
    lithops_storage_close(storage);
    lithops_storage_close(other);
}

static void a_server_that_hangs_ends_with_the_deadline(void **state)
{
    (void)state;
    pid_t server = (pid_t)atoi(getenv("LITHOPS_TEST_SWIFT_PID"));
    lithops_storage *storage = open_with(good_settings());
    assert_int_equal(put_bytes(storage, "k", "x", 1), 0);
    assert_true(stop_process(server));
    lithops_storage_set_bounds(storage, 300, NULL, NULL, NULL);
    void *data;
    size_t len;
    int rc = lithops_storage_get(storage, "lithops-data", "k", 0, SIZE_MAX, &data, &len, &err);
    assert_int_equal(kill(server, SIGCONT), 0);
    assert_int_equal(rc, LITHOPS_ETIMEDOUT);
    lithops_storage_set_bounds(storage, 20000, NULL, NULL, NULL);
    expect_bytes(storage, "k", "x", 1);
    lithops_storage_close(storage);
}

int main(void)
{
    if (!getenv("LITHOPS_TEST_SWIFT_V3")) {
        print_message("run this by tests/servers/with-swift\n");
        return 1;
    }
    setenv("no_proxy", "*", 1);
    const struct storage_suite suite = {.name = "swift",
                                        .open = open_mapped,
                                        .close = lithops_storage_close,
                                        .keys_are_text = true,
                                        .copies = true,
                                        .answers_are_read_on = true};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bucket_of_the_configuration_is_made),
        cmocka_unit_test(all_logins_work),
        cmocka_unit_test(wrong_credentials_are_told_without_them),
        cmocka_unit_test(lists_have_pages),
        cmocka_unit_test(what_comes_is_compared_with_its_md5),
        cmocka_unit_test(segments_go_with_their_object),
        cmocka_unit_test(an_object_may_be_a_manifest_of_manifests),
        cmocka_unit_test(a_put_that_is_given_up_leaves_nothing),
        cmocka_unit_test(a_server_that_hangs_ends_with_the_deadline),
    };
    int failed = storage_suite_run(&suite);
    return failed + cmocka_run_group_tests_name("swift's own", tests, NULL, NULL);
}
