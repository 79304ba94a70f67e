/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting many blobs where what answers does not know batches. */
#include "net/test_server.h"
#include "storage/drivers.h"
#include "storage/storage.h"

#include <lithops/value.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct script script;
static lithops_storage *storage;
static lithops_error err;
static const char *const keys[] = {"a/1", "a/2"};

#define ANSWER(status) "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: 0\r\n"
#define MISSING ANSWER("404 Not Found") "x-ms-error-code: ContainerNotFound\r\n\r\n"
#define UNKNOWN ANSWER("404 Not Found") "\r\n"
#define DELETED ANSWER("202 Accepted") "x-ms-request-id: 1\r\n\r\n"
#define DENIED ANSWER("403 Forbidden") "x-ms-error-code: AuthorizationFailure\r\n\r\n"

static void begin(const char *const *answers, size_t count)
{
    char endpoint[64];
    script_start(&script, answers, count);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d/account", script.port);
    lithops_value *settings =
        lithops_pack("{s:s,s:s,s:s,s:s}", "endpoint", endpoint, "storage_account_name", "account",
                     "storage_account_key", "bm90LXRoZS1rZXk=", "storage_bucket", "data");
    err = (lithops_error)LITHOPS_ERROR_INIT;
    storage = lithops__storage_open_driver(&lithops__storage_azure, settings, "data", &err);
    lithops_value_free(settings);
    if (!storage)
        fail_msg("%s", err.message);
    lithops__storage_set_retries(storage, 1, 1);
}

static void end(size_t requests)
{
    lithops_storage_close(storage);
    script_stop(&script);
    assert_int_equal(script.count, requests);
    assert_non_null(strstr(script.requests[0], "POST /account/data?comp=batch"));
}

static void without_batches_each_is_deleted(void **state)
{
    (void)state;
    const char *const answers[] = {UNKNOWN, DELETED, DELETED};
    begin(answers, 3);
    if (lithops_storage_delete_many(storage, "data", keys, 2, &err) != 0)
        fail_msg("%s", err.message);
    end(3);
    assert_non_null(strstr(script.requests[1], "DELETE /account/data/a/1"));
    assert_non_null(strstr(script.requests[2], "DELETE /account/data/a/2"));
}

static void what_is_not_deleted_is_told(void **state)
{
    (void)state;
    const char *const answers[] = {UNKNOWN, DELETED, DENIED};
    begin(answers, 3);
    assert_int_equal(lithops_storage_delete_many(storage, "data", keys, 2, &err), LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "a/2"));
    end(3);
}

static void without_a_container_nothing_is_there(void **state)
{
    (void)state;
    const char *const answers[] = {MISSING};
    begin(answers, 1);
    if (lithops_storage_delete_many(storage, "data", keys, 2, &err) != 0)
        fail_msg("%s", err.message);
    end(1);
}

int main(void)
{
    setenv("no_proxy", "*", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_batches_each_is_deleted),
        cmocka_unit_test(what_is_not_deleted_is_told),
        cmocka_unit_test(without_a_container_nothing_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
