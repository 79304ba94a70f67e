/* SPDX-License-Identifier: Apache-2.0 */
/* A supervisor that has no memory for outcomes loses none: it tries again. */
#include "core/supervised.h"

#include "base/error.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { CALLS = 200 };

void *__real_realloc(void *ptr, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static long until_failure = -1; /* negative: none */

void *__wrap_realloc(void *ptr, size_t size)
{
    return until_failure >= 0 && until_failure-- == 0 ? NULL : __real_realloc(ptr, size);
}

static struct lithops__supervised *open_job(const struct lithops__home *home)
{
    struct lithops__supervised *job;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__supervised_open(home, "M000", &job, &err), 0);
    assert_int_equal(lithops__supervised_read(job, &err), 0);
    return job;
}

/* Each allocation fails in turn. */
static void no_outcome_is_lost_without_memory(void **state)
{
    char path[] = "/tmp/lithops-supervised-XXXXXX";
    struct lithops__home home = LITHOPS__HOME_INIT;
    const struct lithops__journal_header header = {
        .calls = CALLS, .kind = 'M', .executor_id = "a1b2c3-0", .function = "square"};
    lithops_error why = LITHOPS_ERROR_INIT, err = LITHOPS_ERROR_INIT;
    bool has_failed = true;
    (void)state;
    assert_non_null(mkdtemp(path));
    home.fd = open(path, O_RDONLY | O_DIRECTORY);
    assert_true(home.fd >= 0);
    lithops__fail(&why, LITHOPS_ECRASH, "the supervisor was lost");
    for (long failing = 0; has_failed; failing++) {
        struct lithops__journal journal;
        assert_int_equal(lithops__journal_create(&journal, home.fd, "M000", &header, &err), 0);
        lithops__journal_close(&journal);
        struct lithops__supervised *job = open_job(&home);
        until_failure = failing;
        int rc = lithops__supervised_refuse(job, &why, &err);
        has_failed = until_failure < 0;
        until_failure = -1;
        if (has_failed) {
            assert_int_equal(rc, LITHOPS_ENOMEM);
            rc = lithops__supervised_refuse(job, &why, &err);
        }
        assert_int_equal(rc, 0);
        assert_int_equal(job->left, 0);
        assert_int_equal(atomic_load(&job->journal.header->failed), CALLS);
        lithops__supervised_free(job);
        job = open_job(&home); /* and all of them are in the file */
        assert_int_equal(job->left, 0);
        assert_int_equal(atomic_load(&job->journal.header->failed), CALLS);
        lithops__supervised_free(job);
        assert_int_equal(unlinkat(home.fd, "M000", 0), 0);
        assert_true(failing < 1000000);
    }
    close(home.fd);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_outcome_is_lost_without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
