/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that were started elsewhere, in a memory file of this process: they are listed and stopped
 * by the key that whoever started them knows. */
#include "core/inspect.h"

#include "ipc/layout.h"
#include "ipc/table.h"

#include <lithops/error.h>
#include <lithops/function.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct lithops__table table;
static char own_id[32], client_id[32];

static int setup(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    snprintf(own_id, sizeof own_id, "inspect%d-0", (int)getpid());
    snprintf(client_id, sizeof client_id, "inspect%d-7", (int)getpid());
    assert_int_equal(lithops__table_open(&table, own_id, 1, 64 << 20, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lithops__table_close(&table);
    return 0;
}

static const struct lithops__range *make_range(const char *executor_id, uint32_t number)
{
    static const lithops_function nothing = {.name = "nothing", .symbol = "nothing"};
    const struct lithops__job_name name = {executor_id, 'M', number, 1000};
    uint32_t function, id;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__table_function(&table, &nothing, &function, &err), 0);
    assert_int_equal(
        lithops__table_new_range(&table, function, 3, 3, LITHOPS__PENDING, &name, &id, &err), 0);
    lithops__table_publish_range(&table, id);
    return &table.area.ranges[id];
}

static int note_key(const struct lithops__inspected_job *job, void *user)
{
    if (job->pid == getpid()) {
        char *keys = user;
        size_t len = strlen(keys);
        snprintf(keys + len, 256 - len, "%s-%s ", job->executor_id, job->job_id);
    }
    return 0;
}

static int count_parts(const struct lithops__inspected_job *job, void *user)
{
    *(int *)user +=
        job->pid == getpid() && job->is_part && strcmp(job->executor_id, client_id) == 0;
    return 0;
}

static void jobs_are_listed_by_who_started_them(void **state)
{
    (void)state;
    char keys[256] = "", expected[256];
    make_range(own_id, 0);
    make_range(client_id, 42);
    assert_int_equal(lithops__inspect_jobs(note_key, keys, NULL), 0);
    snprintf(expected, sizeof expected, "%s-M000 %s-M042 ", own_id, client_id);
    assert_string_equal(keys, expected);
}

static void jobs_are_stopped_by_who_started_them(void **state)
{
    (void)state;
    const struct lithops__range *own = make_range(own_id, 42), *other = make_range(client_id, 42);
    const struct lithops__range *next = make_range(client_id, 43);
    char key[64];
    bool is_part = true;
    lithops_error err = LITHOPS_ERROR_INIT;
    snprintf(key, sizeof key, "%s-M042", client_id);
    assert_int_equal(lithops__inspect_stop(key, &is_part, &err), 3);
    assert_true(atomic_load(&other->canceled) && !atomic_load(&own->canceled));
    assert_false(atomic_load(&next->canceled));

    assert_int_equal(lithops__inspect_stop(client_id, &is_part, &err),
                     3); /* what is left of it here */
    assert_true(atomic_load(&next->canceled) && !atomic_load(&own->canceled));

    snprintf(key, sizeof key, "%s-M044", client_id);
    assert_int_equal(lithops__inspect_stop(key, &is_part, &err), LITHOPS_ENOTFOUND);
    assert_int_equal(lithops__inspect_stop(own_id, &is_part, &err), 3);
    assert_true(atomic_load(&own->canceled));
    assert_false(is_part);
}

/* In the memory file of a worker, whose client is elsewhere. */
static void parts_of_jobs_are_told_from_jobs(void **state)
{
    (void)state;
    bool is_part = false;
    lithops_error err = LITHOPS_ERROR_INIT;
    table.area.control->is_elsewhere = 1;
    const struct lithops__range *range = make_range(client_id, 1);
    int parts = 0;
    assert_int_equal(lithops__inspect_jobs(count_parts, &parts, NULL), 0);
    assert_int_equal(parts, 1);
    assert_int_equal(lithops__inspect_stop(client_id, &is_part, &err), 3);
    assert_true(is_part && atomic_load(&range->canceled));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_are_listed_by_who_started_them, setup, teardown),
        cmocka_unit_test_setup_teardown(jobs_are_stopped_by_who_started_them, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_of_jobs_are_told_from_jobs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
