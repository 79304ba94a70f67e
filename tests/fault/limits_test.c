/* SPDX-License-Identifier: Apache-2.0 */
/* The client runs into limits: descriptors, address space, file size, processes, shared memory.
 * Each limit causes a clear error, nothing hangs, and the executor works again once there is
 * room. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void set_limit(int resource, uint64_t limit)
{
    struct rlimit both;
    CHECK(getrlimit((__rlimit_resource_t)resource, &both) == 0);
    both.rlim_cur = limit;
    CHECK(setrlimit((__rlimit_resource_t)resource, &both) == 0);
}

/* An error that tells the user what to do. */
static void check_clear(const lithops_error *err)
{
    if (err->code >= 0 || strlen(err->message) < 20 || strchr(err->message, '\n'))
        fprintf(stderr, "unclear: %d \"%s\"\n", err->code, err->message);
    CHECK(err->code < 0);
    CHECK(strlen(err->message) >= 20);
    CHECK(strchr(err->message, '\n') == NULL);
}

/* Run a map, of which every failed call must say clearly why. @return how many succeeded */
static size_t try_map(lithops_executor *fexec, const lithops_function *function, int64_t input,
                      size_t count, lithops_error *ret_err)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.timeout_ms = FAULT_WAIT_MS;
    wait.throw_except = false;
    int64_t *inputs = calloc(count, sizeof *inputs);
    for (size_t i = 0; i < count; i++)
        inputs[i] = input;
    lithops_futures *futures =
        lithops_map(fexec, function, lithops_ints(inputs, count), NULL, ret_err);
    free(inputs);
    if (!futures) {
        check_clear(ret_err);
        return 0;
    }
    CHECK_INT(lithops_wait(NULL, futures, &wait, NULL, NULL, &err), 0);
    size_t succeeded = 0;
    for (size_t i = 0; i < count; i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        if (lithops_future_state(future) == LITHOPS_SUCCESS) {
            succeeded++;
        } else {
            (void)lithops_future_error(future, ret_err);
            check_clear(ret_err);
        }
        lithops_future_unref(future);
    }
    lithops_futures_unref(futures);
    return succeeded;
}

/* ---- descriptors
 * ------------------------------------------------------------------------------------ */

/* Take all free descriptors, to be closed one by one: others may have been taken meanwhile. */
struct taken {
    int fds[256], count;
};
static void take_all(struct taken *taken)
{
    set_limit(RLIMIT_NOFILE, 256);
    taken->count = 0;
    for (int fd; taken->count < 256 && (fd = open("/dev/null", O_RDONLY)) >= 0;)
        taken->fds[taken->count++] = fd;
}

static void give_one(struct taken *taken)
{
    close(taken->fds[--taken->count]);
}

/* From too few free descriptors to open anything, to enough. */
FAULT_CASE(few_descriptors)
{
    lithops_error err;
    struct taken taken;
    take_all(&taken);
    int opened = 0, worked = 0;
    for (int spare = 0; spare < 16; spare++) {
        err = (lithops_error)LITHOPS_ERROR_INIT;
        lithops_executor *fexec = fault_try_open(2, NULL, &err);
        if (fexec) {
            opened++;
            worked += try_map(fexec, fault_square, 3, 100, &err) == 100;
            lithops_executor_close(fexec);
        } else {
            check_clear(&err);
        }
        if (err.code)
            CHECK(strstr(err.message, "files") != NULL ||
                  strstr(err.message, "descriptor") != NULL);
        give_one(&taken);
    }
    CHECK(opened > 0 && opened < 16);
    CHECK(worked > 0 && worked <= opened);
}

/* Descriptors run out while processes are being started, and become free again later. */
FAULT_CASE(descriptors_run_out_later)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct taken taken;
    lithops_executor *fexec = fault_open(4, NULL);
    take_all(&taken);
    for (int i = 0; i < 3; i++)
        (void)try_map(fexec, fault_nap, 5, 20, &err);
    for (int i = 0; i < 20; i++)
        give_one(&taken);
    (void)try_map(fexec, fault_nap, 5, 20, &err); /* a start may be failing just now */
    for (int i = 0; i < 3; i++)
        CHECK_INT(try_map(fexec, fault_nap, 5, 20, &err), 20);
    lithops_executor_close(fexec);
}

/* ---- address space and files
 * ------------------------------------------------------------------------ */

static int try_limit(int resource, uint64_t limit, int workers)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    set_limit(resource, limit);
    lithops_executor *fexec = fault_try_open(workers, NULL, &err);
    if (!fexec) {
        check_clear(&err);
        return 0;
    }
    int worked = try_map(fexec, fault_square, 3, 1000, &err) == 1000;
    lithops_executor_close(fexec);
    return worked;
}

FAULT_CASE(little_address_space)
{
    if (UNDER_SANITIZER)
        fault_skip("a sanitizer needs all of it");
    const uint64_t mb[] = {30, 100, 200, 400, 700, 1000, 2000, 4000, 16000, 100000, 1000000};
    int worked = 0, count = (int)(sizeof mb / sizeof mb[0]);
    for (int i = 0; i < count; i++)
        worked += try_limit(RLIMIT_AS, mb[i] << 20, i % 2 ? 2 : 8);
    CHECK(worked > 3);
    CHECK(worked < count);
}

/* The limit applies to memory files too, and exceeding it is a signal, which must not happen. */
FAULT_CASE(small_files_only)
{
    const uint64_t mb[] = {0, 1, 10, 100, 300, 1000, 10000, 1000000};
    int worked = 0, count = (int)(sizeof mb / sizeof mb[0]);
    for (int i = 0; i < count; i++)
        worked += try_limit(RLIMIT_FSIZE, mb[i] << 20, 2);
    CHECK(worked > 2);
    CHECK(worked < count);
}

/* ---- processes
 * -------------------------------------------------------------------------------------- */

FAULT_CASE(no_more_processes)
{
    if (getuid() == 0 && (setgid(65533) != 0 || setuid(65533) != 0))
        fault_skip("cannot change to another user, and root has no limit");
    if (access("/proc/self/exe", X_OK) != 0)
        fault_skip("other users cannot run the test program");
    lithops_error err = LITHOPS_ERROR_INIT;
    int opened = 0, worked = 0;
    for (uint64_t limit = 1; limit < 8; limit++) { /* threads count too */
        set_limit(RLIMIT_NPROC, limit);
        lithops_executor *fexec = fault_try_open(3, NULL, &err);
        if (!fexec) {
            check_clear(&err);
            continue;
        }
        opened++;
        worked += try_map(fexec, fault_nap, 2, 20, &err) == 20;
        lithops_executor_close(fexec);
    }
    CHECK(worked > 0 && opened < 7);
    /* none for the first job, then enough */
    set_limit(RLIMIT_NPROC, 20);
    lithops_executor *fexec = fault_open(2, NULL);
    CHECK_INT(try_map(fexec, fault_square, 2, 20, &err), 20);
    lithops_executor_close(fexec);
}

/* ---- shared memory
 * ---------------------------------------------------------------------------------- */

LITHOPS_FUNCTION(make_result)
{
    size_t len = (size_t)lithops_call_int(call) << 10;
    char *room = lithops_call_alloc(call, len);
    if (!room)
        return LITHOPS_ENOSPACE;
    memset(room, 'r', len);
    return lithops_return_bytes(call, room, len);
}

LITHOPS_FUNCTION(length_of)
{
    return lithops_return_int(call, (int64_t)lithops_call_bytes(call).len);
}

static lithops_value *large_inputs(size_t count, size_t len)
{
    char *bytes = calloc(1, len);
    lithops_value *list = lithops_value_list();
    for (size_t i = 0; i < count; i++)
        lithops_value_append(list, lithops_value_bytes(bytes, len));
    free(bytes);
    return list;
}

FAULT_CASE(inputs_too_large_for_shared_memory)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, lithops_pack("{s:i}", "shared_memory", 64));
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.timeout_ms = FAULT_WAIT_MS;
    for (int round = 0; round < 4; round++) {
        CHECK(lithops_map(fexec, length_of, large_inputs(10, 10 << 20), NULL, &err) == NULL);
        CHECK_INT(err.code, LITHOPS_ENOSPACE);
        CHECK(strstr(err.message, "localhost.shared_memory") != NULL);
        CHECK_INT(fault_call(fexec, length_of, lithops_value_bytes("x", 1), &err), 0);
        lithops_futures *futures =
            lithops_map(fexec, length_of, large_inputs(4, 10 << 20), NULL, &err);
        if (!futures)
            fprintf(stderr, "round %d: %s\n", round, err.message);
        CHECK(futures != NULL);
        CHECK_INT(lithops_wait(NULL, futures, &wait, NULL, NULL, &err), 0);
        lithops_futures_unref(futures);
        CHECK_INT(lithops_clean(fexec, NULL, NULL, &err), 0);
    }
    lithops_executor_close(fexec);
}

FAULT_CASE(too_many_calls_for_shared_memory)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, lithops_pack("{s:i}", "shared_memory", 64));
    const int64_t counts[] = {10000000, 10000000000, (int64_t)1 << 40, (int64_t)1 << 60, INT64_MAX};
    for (int i = 0; i < 5; i++) {
        CHECK(lithops_map(fexec, fault_square, lithops_range(0, counts[i]), NULL, &err) == NULL);
        CHECK_INT(err.code, LITHOPS_ENOSPACE);
    }
    fault_check_works(fexec, 100000);
    lithops_executor_close(fexec);
}

/* 8 results of 5 MiB fit, 40 do not; once cleaned, the next ones fit again, whichever worker makes
 * them. */
FAULT_CASE(results_too_large_for_shared_memory)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(3, lithops_pack("{s:i}", "shared_memory", 64));
    for (int round = 0; round < 3; round++) { /* each takes the 5 s that workers wait for room */
        err = (lithops_error)LITHOPS_ERROR_INIT;
        size_t good = try_map(fexec, make_result, 5 << 10, 40, &err);
        CHECK_INT(err.code, LITHOPS_ENOSPACE);
        CHECK(strstr(err.message, "localhost.shared_memory") != NULL);
        if (good < 8 || good > 12)
            fprintf(stderr, "round %d: %zu results fit\n", round, good);
        CHECK(good >= 8 && good <= 12);
        CHECK_INT(lithops_clean(fexec, NULL, NULL, &err), 0);
        err = (lithops_error)LITHOPS_ERROR_INIT;
        size_t again = try_map(fexec, make_result, 5 << 10, 8, &err);
        if (again != 8)
            fprintf(stderr, "round %d: %zu of 8: %s\n", round, again, err.message);
        CHECK_INT(again, 8);
        CHECK_INT(lithops_clean(fexec, NULL, NULL, &err), 0);
    }
    fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
}

/* Sizes change from round to round: memory taken for one size serves the others. */
FAULT_CASE(memory_of_results_serves_other_sizes)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, lithops_pack("{s:i}", "shared_memory", 64));
    const int64_t kb[] = {30000, 1, 60, 7000, 250, 13000, 120, 2500, 25000, 5};
    for (int round = 0; round < 30; round++) {
        int64_t each = kb[round % 10];
        size_t count = (size_t)(30000 / each) < 2000 ? (size_t)(30000 / each) : 2000;
        err = (lithops_error)LITHOPS_ERROR_INIT;
        size_t good = try_map(fexec, make_result, each, count, &err);
        if (good != count)
            fprintf(stderr, "round %d: %zu of %zu results of %lld KiB: %s\n", round, good, count,
                    (long long)each, err.message);
        CHECK_INT(good, count);
        CHECK_INT(lithops_clean(fexec, NULL, NULL, &err), 0);
    }
    lithops_executor_close(fexec);
}

/* Results are consumed as they come: much more passes through than fits into memory. */
FAULT_CASE(released_results_make_room)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, lithops_pack("{s:i}", "shared_memory", 64));
    for (int i = 0; i < 200; i++) {
        lithops_future *future =
            lithops_call_async(fexec, make_result, lithops_value_int(5 << 10), NULL, &err);
        lithops_bytes bytes;
        int rc = lithops_future_bytes(future, FAULT_WAIT_MS, &bytes, &err);
        if (rc != 0)
            fprintf(stderr, "result %d: %s\n", i, err.message);
        CHECK_INT(rc, 0);
        CHECK_INT(bytes.len, 5 << 20);
        lithops_future_release(future);
    }
    lithops_executor_close(fexec);
}

LITHOPS_FUNCTION(fail_at_length)
{
    return lithops_fail(call, "%0*d", 500, (int)lithops_call_int(call));
}

/* Not even room to say why: calls fail all the same. */
FAULT_CASE(no_room_for_errors)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(2, lithops_pack("{s:i}", "shared_memory", 1));
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.timeout_ms = FAULT_WAIT_MS;
    wait.throw_except = false;
    lithops_futures *futures =
        lithops_map(fexec, fail_at_length, lithops_range(0, 5000), NULL, &err);
    if (!futures) {
        check_clear(&err);
    } else {
        CHECK_INT(lithops_wait(NULL, futures, &wait, NULL, NULL, &err), 0);
        for (size_t i = 0; i < 5000; i++)
            CHECK_INT(lithops_futures_state(futures, i), LITHOPS_FAILED);
        lithops_futures_unref(futures);
    }
    CHECK_INT(lithops_clean(fexec, NULL, NULL, &err), 0);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_descriptors),
        cmocka_unit_test(descriptors_run_out_later),
        cmocka_unit_test(little_address_space),
        cmocka_unit_test(small_files_only),
        cmocka_unit_test(no_more_processes),
        cmocka_unit_test(inputs_too_large_for_shared_memory),
        cmocka_unit_test(too_many_calls_for_shared_memory),
        cmocka_unit_test(results_too_large_for_shared_memory),
        cmocka_unit_test(memory_of_results_serves_other_sizes),
        cmocka_unit_test(released_results_make_room),
        cmocka_unit_test(no_room_for_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
