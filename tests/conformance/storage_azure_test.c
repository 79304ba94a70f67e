/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over Azurite, the emulator of Azure's storage, started by
 * tests/servers/with-azurite; and tests of Azure alone: keys, signatures, tokens, pages of lists,
 * blocks, a server that hangs. */
#include "../stop.h"
#include "storage_mapped.h"
#include "storage_suite.h"

#include "base/clock.h"
#include "base/module.h"
#include "net/http.h"
#include "net/test_server.h"
#include "storage/backends/azure/azure.h"
#include "storage/handle.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static lithops_error err;

static lithops_value *settings_with(const char *name, const char *secret)
{
    return lithops_pack("{s:s,s:s,s:s,s:s}", "storage_account_name",
                        getenv("LITHOPS_TEST_AZURE_ACCOUNT"), "endpoint",
                        getenv("LITHOPS_TEST_AZURE_ENDPOINT"), "storage_bucket", "lithops-data",
                        name, secret);
}

static lithops_value *key_settings(void)
{
    return settings_with("storage_account_key", getenv("LITHOPS_TEST_AZURE_KEY"));
}

static lithops_storage *open_mapped(void)
{
    lithops_value *settings = key_settings();
    lithops_storage *storage =
        storage_mapped_open(&lithops__storage_azure, settings, "lithops-data", &err);
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
        lithops__storage_open_driver(&lithops__storage_azure, settings, NULL, &err);
    lithops_value_free(settings);
    return storage;
}

static int put_text(lithops_storage *storage, const char *bucket, const char *key, const char *text)
{
    return lithops_storage_put(storage, bucket, key, (lithops_bytes){text, strlen(text)}, &err);
}

static void expect_text(lithops_storage *storage, const char *key, const char *text)
{
    void *data;
    size_t len;
    if (lithops_storage_get(storage, "lithops-data", key, 0, SIZE_MAX, &data, &len, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(data, text, len);
    free(data);
}

static void the_bucket_of_the_configuration_is_made(void **state)
{
    (void)state;
    lithops_storage *storage = open_with(key_settings());
    if (put_text(storage, "lithops-data", "k", "x") != 0)
        fail_msg("%s", err.message);
    assert_int_equal(put_text(storage, "never-made", "k", "x"), LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "no bucket 'never-made' at https://127.0.0.1:"));
    assert_int_equal(put_text(storage, "No Bucket", "k", "x"), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "3 to 63 small letters"));
    lithops_storage_close(storage);
}

/* A key, a signature or a token each do. */
static void all_credentials_work(void **state)
{
    (void)state;
    static const char *const names[] = {"storage_account_key", "sas_token", "token"},
                             *const variables[] = {"LITHOPS_TEST_AZURE_KEY",
                                                   "LITHOPS_TEST_AZURE_SAS",
                                                   "LITHOPS_TEST_AZURE_TOKEN"};
    for (size_t i = 0; i < 3; i++) {
        lithops_storage *storage = open_with(settings_with(names[i], getenv(variables[i])));
        if (put_text(storage, "lithops-data", names[i], "works") != 0)
            fail_msg("%s: %s", names[i], err.message);
        expect_text(storage, names[i], "works");
        assert_int_equal(lithops_storage_delete(storage, "lithops-data", names[i], &err), 0);
        lithops_storage_close(storage);
    }
}

static const char *answer_with(const char *token, char *buf, size_t size)
{
    snprintf(buf, size,
             "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
             "{\"access_token\": \"%s\", \"expires_in\": \"3599\"}",
             token);
    return buf;
}

/* The first token is one that the service does not take, as if it had expired: another is asked
 * for. */
static void a_token_is_renewed(void **state)
{
    (void)state;
    static struct script script;
    char stale[200], good[1200], url[64];
    const char *const answers[] = {
        answer_with("not-a-token", stale, sizeof stale),
        answer_with(getenv("LITHOPS_TEST_AZURE_TOKEN"), good, sizeof good)};
    for (int machine = 0; machine < 2; machine++) {
        script_start(&script, answers, 2);
        snprintf(url, sizeof url, "http://127.0.0.1:%d", script.port);
        setenv("AZURE_AUTHORITY_HOST", url, 1);
        setenv("IDENTITY_ENDPOINT", url, 1);
        setenv("IDENTITY_HEADER", "its-secret", 1);
        lithops_value *settings = settings_with("client_secret", "a-secret/");
        lithops_value_set(settings, "tenant_id", lithops_value_string("tenant"));
        lithops_value_set(settings, "client_id", lithops_value_string("client"));
        lithops_value_set(settings, "managed_identity", lithops_value_bool(machine));
        lithops_storage *storage = open_with(settings);
        if (!storage || put_text(storage, "lithops-data", "renewed", "works") != 0)
            fail_msg("%s", err.message);
        expect_text(storage, "renewed", "works");
        assert_int_equal(lithops_storage_delete(storage, "lithops-data", "renewed", &err), 0);
        lithops_storage_close(storage);
        script_stop(&script);
        for (int i = 0; i < 2; i++) {
            const char *asked = script.requests[i];
            if (machine)
                assert_true(strstr(asked, "GET /?api-version=2019-08-01&resource=https%3A%2F%2F"
                                          "storage.azure.com%2F&client_id=client HTTP/1.1") &&
                            strstr(asked, "X-IDENTITY-HEADER: its-secret"));
            else
                assert_true(strstr(asked, "POST /tenant/oauth2/v2.0/token HTTP/1.1") &&
                            strstr(asked, "client_id=client&grant_type=client_credentials&"
                                          "scope=https%3A%2F%2Fstorage.azure.com%2F.default&"
                                          "client_secret=a-secret%2F"));
        }
    }
    unsetenv("AZURE_AUTHORITY_HOST");
    unsetenv("IDENTITY_ENDPOINT");
    unsetenv("IDENTITY_HEADER");
}

static void expect_refused(lithops_value *settings, const char *secret)
{
    lithops_storage *storage = open_with(settings);
    lithops_object_info info;
    assert_non_null(storage);
    assert_int_equal(put_text(storage, "lithops-data", "k", "x"), LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "lithops-data/k"));
    assert_null(strstr(err.message, secret));
    assert_int_equal(lithops_storage_head(storage, "lithops-data", "k", &info, &err),
                     LITHOPS_EDENIED);
    assert_null(strstr(err.message, secret));
    lithops_storage_close(storage);
}

static void wrong_credentials_are_told_without_them(void **state)
{
    (void)state;
    expect_refused(settings_with("storage_account_key", "bm90LXRoZS1rZXk="), "bm90LXRoZS1rZXk");
    expect_refused(settings_with("sas_token", "sv=2019-12-12&ss=b&srt=sco&sp=rwdlac&se=2999-01-01T"
                                              "00%3A00%3A00Z&sig=bm90LXRoZS1rZXk%3D"),
                   "bm90LXRoZS1rZXk");
    expect_refused(settings_with("token", "bm90LXRoZS1rZXk"), "bm90LXRoZS1rZXk");
    assert_null(open_with(settings_with("storage_account_key", "not base64!")));
    assert_int_equal(err.code, LITHOPS_ECONFIG);
    assert_null(strstr(err.message, "not base64!"));
    assert_null(open_with(settings_with("sas_token", "")));
    assert_non_null(strstr(err.message, "needs storage_account_key, sas_token or token"));
}

static int count_keys(const lithops_object_info *info, void *user)
{
    char expected[32];
    size_t *count = user;
    snprintf(expected, sizeof expected, "page/%05zu", (*count)++);
    assert_string_equal(info->key, expected);
    return *count == 20 ? 20 : 0;
}

/* A block is invisible until the list of blocks names it. */
static void two_uploads_do_not_mix(void **state)
{
    (void)state;
    lithops_storage *storage = open_with(key_settings());
    const size_t len = LITHOPS_STORAGE_PART_BYTES + 1;
    char *body = malloc(len);
    void *data;
    size_t got;
    for (int letter = 'a'; letter <= 'b'; letter++) {
        memset(body, letter, len);
        if (lithops_storage_put(storage, "lithops-data", "large", (lithops_bytes){body, len},
                                &err) != 0)
            fail_msg("%s", err.message);
        assert_int_equal(
            lithops_storage_get(storage, "lithops-data", "large", 0, SIZE_MAX, &data, &got, &err),
            0);
        assert_int_equal(got, len);
        assert_memory_equal(data, body, len);
        free(data);
    }
    free(body);
    lithops_storage_close(storage);
}

static void a_list_can_be_left(void **state)
{
    (void)state;
    lithops_storage *storage = open_with(key_settings());
    char key[32];
    for (int i = 0; i < 25; i++) {
        snprintf(key, sizeof key, "page/%05d", i);
        assert_int_equal(put_text(storage, "lithops-data", key, "x"), 0);
    }
    size_t count = 0;
    assert_int_equal(
        lithops_storage_list(storage, "lithops-data", "page/", count_keys, &count, &err), 20);
    assert_int_equal(count, 20);
    lithops_storage_close(storage);
}

/* ---- requests that stand for several --------------------------------------------------------- */

static size_t count_lines(const char *mark)
{
    char line[4096];
    size_t count = 0;
    FILE *log = fopen(getenv("LITHOPS_TEST_AZURE_LOG"), "r");
    assert_non_null(log);
    while (fgets(line, sizeof line, log))
        count += strstr(line, mark) != NULL;
    fclose(log);
    return count;
}

/* Azurite writes of a request when it has been answered: until it has written of one more. */
static void let_the_log_come(lithops_storage *storage, const char *key)
{
    const uint64_t deadline = lithops__now_ns() + 30000000000u;
    lithops_object_info info;
    assert_int_equal(lithops_storage_head(storage, "lithops-data", key, &info, &err),
                     LITHOPS_ENOTFOUND);
    while (count_lines(key) == 0 && lithops__now_ns() < deadline)
        usleep(5000);
    assert_int_equal(count_lines(key), 1);
}

/* More than fit into one batch; keys with each letter that a request must encode, and ones that
 * are not there. */
static void many_are_deleted_by_few_requests(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static const char *const names[] = {"storage_account_key", "sas_token", "token"},
                             *const variables[] = {"LITHOPS_TEST_AZURE_KEY",
                                                   "LITHOPS_TEST_AZURE_SAS",
                                                   "LITHOPS_TEST_AZURE_TOKEN"},
                             *const there[] = {"many/a b+c%", "many/\xc3\xa4?&=", "many/299"};
    static char text[COUNT][24];
    const char *keys[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(text[i], sizeof text[i], "many/%03zu", i);
        keys[i] = i < 2 ? there[i] : text[i];
    }
    for (size_t c = 0; c < 3; c++) {
        lithops_storage *storage = open_with(settings_with(names[c], getenv(variables[c])));
        /* Azurite takes no batch with a SAS of an account. */
        const size_t count = c == 1 ? 3 : COUNT;
        lithops_object_info info;
        char last[24];
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(put_text(storage, "lithops-data", there[i], "x"), 0);
        snprintf(last, sizeof last, "before-many-%zu", c);
        let_the_log_come(storage, last);
        size_t single = count_lines("\"DELETE "), batches = count_lines("comp=batch");
        keys[2] = count == 3 ? there[2] : text[2];
        if (lithops_storage_delete_many(storage, "lithops-data", keys, count, &err) != 0)
            fail_msg("%s: %s", names[c], err.message);
        snprintf(last, sizeof last, "after-many-%zu", c);
        let_the_log_come(storage, last);
        if (count > 3) {
            assert_int_equal(count_lines("\"DELETE ") - single, 0);
            assert_int_equal(count_lines("comp=batch") - batches, 2);
        }
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(lithops_storage_head(storage, "lithops-data", there[i], &info, &err),
                             LITHOPS_ENOTFOUND);
        assert_int_equal(lithops_storage_delete_many(storage, "none-such", keys, count, &err), 0);
        lithops_storage_close(storage);
    }
}

/* What a batch does not delete is asked for by itself, and says why. */
static void a_batch_that_is_denied_is_told(void **state)
{
    (void)state;
    const char *const keys[] = {"denied/1", "denied/2"};
    lithops_storage *good = open_with(key_settings()),
                    *wrong = open_with(settings_with("storage_account_key", "bm90LXRoZS1rZXk="));
    assert_int_equal(put_text(good, "lithops-data", keys[1], "stays"), 0);
    assert_int_equal(lithops_storage_delete_many(wrong, "lithops-data", keys, 2, &err),
                     LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "DELETE 'lithops-data/denied/1'"));
    expect_text(good, keys[1], "stays");
    assert_int_equal(lithops_storage_delete(good, "lithops-data", keys[1], &err), 0);
    lithops_storage_close(wrong);
    lithops_storage_close(good);
}

/* What anybody gets for this URL. */
static long status_of(const char *url)
{
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", &err);
    struct lithops__http_request request = LITHOPS__HTTP_REQUEST("GET", url);
    struct lithops__transfer *transfer;
    size_t none;
    assert_non_null(http);
    assert_int_equal(http->transfer.open(NULL, &transfer, &err), 0);
    assert_int_equal(http->transfer.start(transfer, &request, &err), 0);
    if (http->transfer.pull(transfer, NULL, 0, &none, &err) != 0)
        fail_msg("%s", err.message);
    long status = http->transfer.answer(transfer)->status;
    http->transfer.close(transfer);
    return status;
}

/* Azurite does not check whether it may read the source, Azure does: as everybody else. */
static void the_source_of_a_copy_can_be_read(void **state)
{
    (void)state;
    lithops_storage *storage = open_with(key_settings());
    const char *key = "of a/copy +%\xc3\xa4";
    assert_int_equal(put_text(storage, "lithops-data", key, "x"), 0);
    char *url = lithops__azure_source(storage->state, "lithops-data", key);
    assert_int_equal(status_of(url), 200);
    url[strlen(url) - 6] ^= 1; /* of the signature */
    assert_int_equal(status_of(url), 403);
    free(url);
    assert_int_equal(lithops_storage_delete(storage, "lithops-data", key, &err), 0);
    lithops_storage_close(storage);
}

static void a_server_that_hangs_ends_with_the_deadline(void **state)
{
    (void)state;
    pid_t server = (pid_t)atoi(getenv("LITHOPS_TEST_AZURE_PID"));
    lithops_storage *storage = open_with(key_settings());
    assert_int_equal(put_text(storage, "lithops-data", "k", "x"), 0);
    assert_true(stop_process(server));
    lithops_storage_set_bounds(storage, 300, NULL, NULL, NULL);
    void *data;
    size_t len;
    int rc = lithops_storage_get(storage, "lithops-data", "k", 0, SIZE_MAX, &data, &len, &err);
    assert_int_equal(kill(server, SIGCONT), 0);
    assert_int_equal(rc, LITHOPS_ETIMEDOUT);
    lithops_storage_set_bounds(storage, 20000, NULL, NULL, NULL);
    expect_text(storage, "k", "x");
    lithops_storage_close(storage);
}

int main(void)
{
    if (!getenv("LITHOPS_TEST_AZURE_ENDPOINT")) {
        print_message("run this by tests/servers/with-azurite\n");
        return 1;
    }
    setenv("no_proxy", "*", 1);
    const struct storage_suite suite = {.name = "azure",
                                        .open = open_mapped,
                                        .close = lithops_storage_close,
                                        .keys_are_text = true,
                                        .copies = true,
                                        .copies_large = true,
                                        .answers_are_read_on = true};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bucket_of_the_configuration_is_made),
        cmocka_unit_test(all_credentials_work),
        cmocka_unit_test(a_token_is_renewed),
        cmocka_unit_test(wrong_credentials_are_told_without_them),
        cmocka_unit_test(two_uploads_do_not_mix),
        cmocka_unit_test(a_list_can_be_left),
        cmocka_unit_test(many_are_deleted_by_few_requests),
        cmocka_unit_test(a_batch_that_is_denied_is_told),
        cmocka_unit_test(the_source_of_a_copy_can_be_read),
        cmocka_unit_test(a_server_that_hangs_ends_with_the_deadline),
    };
    int failed = storage_suite_run(&suite);
    return failed + cmocka_run_group_tests_name("azure's own", tests, NULL, NULL);
}
