/* SPDX-License-Identifier: Apache-2.0 */
/* Retries: the conformance suite while requests fail, and tests of when a request is repeated. */
#include "storage_fault.h"
#include "storage_folder.h"
#include "storage_memory.h"
#include "storage_suite.h"

#include "base/clock.h"

#include <fcntl.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static struct storage_fault_plan plan;

/* Every third request fails, before it is done or after it. */
static lithops_storage *open_failing(bool late)
{
    plan = (struct storage_fault_plan){.every = 3, .late = late};
    lithops_storage *storage =
        open_in_folder(storage_fault_wrap(&lithops__storage_localhost, &plan));
    if (storage)
        lithops__storage_set_retries(storage, 20, 0);
    return storage;
}

static lithops_storage *open_early(void)
{
    return open_failing(false);
}

static lithops_storage *open_late(void)
{
    return open_failing(true);
}

/* ---- when a request is repeated -------------------------------------------------------------- */

static lithops_storage *open_plain(unsigned attempts, unsigned first_delay_ms)
{
    plan = (struct storage_fault_plan){.every = 0};
    lithops_storage *storage =
        lithops__storage_open_driver(storage_fault_wrap(&storage_memory, &plan), NULL, NULL, NULL);
    lithops__storage_set_retries(storage, attempts, first_delay_ms);
    return storage;
}

static const lithops_bytes body = {"0123456789", 10};

static void a_passing_fault_is_not_seen(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_storage *storage = open_plain(5, 0);
    plan.failures = 4;
    assert_int_equal(lithops_storage_put(storage, "b", "k", body, &err), 0);
    assert_int_equal(plan.requests, 5);
    assert_int_equal(err.code, 0); /* not written on success */
    lithops_storage_close(storage);
}

static void after_the_last_attempt_the_error_is_told(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_storage *storage = open_plain(3, 0);
    plan.failures = 100;
    assert_int_equal(lithops_storage_put(storage, "b", "k", body, &err), LITHOPS_ETHROTTLED);
    assert_int_equal(plan.requests, 3);
    assert_string_equal(err.message, "planned fault");
    assert_string_equal(err.origin, "storage/memory");
    assert_true(err.retryable);
    lithops_storage_close(storage);
}

static void a_lasting_error_is_not_repeated(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_storage *storage = open_plain(5, 0);
    plan.failures = 1;
    plan.permanent = true;
    plan.code = LITHOPS_EDENIED;
    assert_int_equal(lithops_storage_put(storage, "b", "k", body, &err), LITHOPS_EDENIED);
    assert_int_equal(plan.requests, 1);
    lithops_object_info info;
    assert_int_equal(lithops_storage_head(storage, "b", "k", &info, &err), LITHOPS_ENOTFOUND);
    assert_int_equal(plan.requests, 2);
    lithops_storage_close(storage);
}

static void attempts_wait_longer_and_longer(void **state)
{
    (void)state;
    lithops_storage *storage = open_plain(4, 20);
    plan.failures = 3;
    uint64_t start = lithops__now_ns();
    assert_int_equal(lithops_storage_put(storage, "b", "k", body, NULL), 0);
    uint64_t took_ms = (lithops__now_ns() - start) / 1000000;
    assert_true(took_ms >= 70); /* at least half of 20 + 40 + 80 */
    lithops_storage_close(storage);
}

static void a_truncated_answer_is_not_taken_for_the_object(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_storage *storage = open_plain(5, 0);
    assert_int_equal(lithops_storage_put(storage, "b", "k", body, &err), 0);
    plan = (struct storage_fault_plan){.every = 1, .half = true};
    void *data;
    size_t len;
    assert_int_equal(lithops_storage_get(storage, "b", "k", 0, SIZE_MAX, &data, &len, &err),
                     LITHOPS_EIO);
    assert_true(plan.requests > 2);
    plan = (struct storage_fault_plan){.failures = 3, .half = true};
    assert_int_equal(lithops_storage_get(storage, "b", "k", 0, SIZE_MAX, &data, &len, &err), 0);
    assert_int_equal(len, 10);
    free(data);
    plan = (struct storage_fault_plan){.every = 2, .half = true};
    lithops_reader *reader;
    char buf[10];
    assert_int_equal(lithops_storage_open_reader(storage, "b", "k", 0, 10, &reader, &err), 0);
    assert_int_equal(lithops_reader_read(reader, buf, 10, &len, &err), LITHOPS_EIO);
    lithops_reader_close(reader);
    lithops_storage_close(storage);
}

/* Requests cost money: an object that fits into the first piece takes one. */
static void a_get_is_one_request(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_storage *storage = open_plain(5, 0);
    static const struct {
        size_t size;
        unsigned requests;
    } cases[] = {{0, 1}, {10, 1}, {32 << 10, 1}, {(32 << 10) + 1, 2}, {3000000, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *bytes = calloc(1, cases[i].size + 1), *data;
        size_t len;
        assert_int_equal(
            lithops_storage_put(storage, "b", "k", (lithops_bytes){bytes, cases[i].size}, &err), 0);
        free(bytes);
        plan = (struct storage_fault_plan){.requests = 0};
        assert_int_equal(lithops_storage_get(storage, "b", "k", 0, SIZE_MAX, &data, &len, &err), 0);
        assert_int_equal(len, cases[i].size);
        assert_int_equal(plan.requests, cases[i].requests);
        free(data);
    }
    const char *keys[2500];
    for (size_t i = 0; i < 2500; i++)
        keys[i] = "k";
    plan = (struct storage_fault_plan){.requests = 0};
    assert_int_equal(lithops_storage_delete_many(storage, "b", keys, 2500, &err), 0);
    assert_int_equal(plan.requests, 3);
    lithops_storage_close(storage);
}

static bool on_fifth_look(void *user)
{
    return ++*(unsigned *)user >= 5;
}

/* With an unreachable server, neither pauses nor attempts hold a caller beyond its time limit. */
static void retries_keep_to_their_bounds(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    unsigned looks = 0;
    lithops_storage *storage = open_plain(1000, 3600 * 1000);
    plan = (struct storage_fault_plan){.every = 1};
    lithops_storage_set_bounds(storage, LITHOPS_FOREVER, on_fifth_look, &looks, NULL);
    assert_int_equal(lithops_storage_put(storage, "b", "k", body, &err), LITHOPS_ECANCELED);
    assert_int_equal(plan.requests, 1);
    lithops_storage_set_bounds(storage, 5000, NULL, NULL, NULL); /* sooner than a second attempt */
    assert_int_equal(lithops_storage_put(storage, "b", "k", body, &err), LITHOPS_ETHROTTLED);
    assert_int_equal(plan.requests, 2);
    lithops_storage_close(storage);
}

/* A call that makes several requests begins none after its time limit. */
static void several_requests_share_one_deadline(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_storage *storage = open_plain(1, 0);
    static char large[100000];
    const char *keys[2500];
    for (size_t i = 0; i < 2500; i++)
        keys[i] = "k";
    assert_int_equal(
        lithops_storage_put(storage, "b", "k", (lithops_bytes){large, sizeof large}, &err), 0);
    plan = (struct storage_fault_plan){.delay_ms = 20};
    lithops_storage_set_bounds(storage, 10, NULL, NULL, NULL);
    void *data;
    size_t len;
    assert_int_equal(lithops_storage_get(storage, "b", "k", 0, SIZE_MAX, &data, &len, &err),
                     LITHOPS_ETIMEDOUT);
    assert_true(plan.requests <= 1);
    plan.requests = 0;
    assert_int_equal(lithops_storage_delete_many(storage, "b", keys, 2500, &err),
                     LITHOPS_ETIMEDOUT);
    assert_true(plan.requests <= 1);
    lithops_storage_close(storage);
}

static int append_key(const lithops_object_info *info, void *user)
{
    strncat(user, info->key, 10);
    return 0;
}

static void a_broken_list_goes_on_where_it_was(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_storage *storage = open_plain(5, 0);
    const char *const keys[] = {"a", "b", "c", "d", "e", "f"};
    for (int i = 0; i < 6; i++)
        assert_int_equal(lithops_storage_put(storage, "b", keys[i], body, &err), 0);
    plan = (struct storage_fault_plan){.failures = 3, .half = true};
    char listed[32] = "";
    assert_int_equal(lithops_storage_list(storage, "b", "", append_key, listed, &err), 0);
    assert_string_equal(listed, "abcdef"); /* each once */
    assert_int_equal(plan.failed, 3);
    lithops_storage_close(storage);
}

static void a_descriptor_is_read_again_only_if_it_can_be(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    plan = (struct storage_fault_plan){.late = true};
    lithops_storage *storage =
        open_in_folder(storage_fault_wrap(&lithops__storage_localhost, &plan));
    lithops__storage_set_retries(storage, 5, 0);
    int file = memfd_create("body", MFD_CLOEXEC);
    assert_int_equal(pwrite(file, "skipped body", 12, 0), 12);
    assert_int_equal(lseek(file, 8, SEEK_SET), 8);
    plan.failures = 2;
    assert_int_equal(lithops_storage_put_fd(storage, "b", "k", file, &err), 0);
    void *data;
    size_t len;
    assert_int_equal(lithops_storage_get(storage, "b", "k", 0, SIZE_MAX, &data, &len, &err), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "body", 4);
    free(data);
    close(file);

    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "once", 4), 4);
    close(fds[1]);
    plan.failures = 1;
    assert_int_equal(lithops_storage_put_fd(storage, "b", "k2", fds[0], &err), LITHOPS_ETHROTTLED);
    assert_string_equal(err.message, "planned fault");
    close(fds[0]);
    close_in_folder(storage);
}

int main(void)
{
    const struct storage_suite early = {.name = "localhost, faults before the request",
                                        .open = open_early,
                                        .close = close_in_folder,
                                        .keys_are_files = true,
                                        .requests_fail = true,
                                        .reader_keeps_version = true};
    struct storage_suite late = early;
    late.name = "localhost, faults after the request";
    late.open = open_late;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_passing_fault_is_not_seen),
        cmocka_unit_test(after_the_last_attempt_the_error_is_told),
        cmocka_unit_test(a_lasting_error_is_not_repeated),
        cmocka_unit_test(attempts_wait_longer_and_longer),
        cmocka_unit_test(a_truncated_answer_is_not_taken_for_the_object),
        cmocka_unit_test(a_get_is_one_request),
        cmocka_unit_test(retries_keep_to_their_bounds),
        cmocka_unit_test(several_requests_share_one_deadline),
        cmocka_unit_test(a_broken_list_goes_on_where_it_was),
        cmocka_unit_test(a_descriptor_is_read_again_only_if_it_can_be),
    };
    int failed = cmocka_run_group_tests_name("retries", tests, NULL, NULL);
    failed += storage_suite_run(&early);
    failed += storage_suite_run(&late);
    return failed;
}
