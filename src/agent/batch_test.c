/* SPDX-License-Identifier: Apache-2.0 */
/* What parts of jobs make of their environment. */
#include "agent/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char job[] = "{\"prefix\": \"lithops.jobs/e-0/\", \"links\": \"a,b2,c\", \"config\": "
                          "{\"lithops\": {\"storage\": \"aws_s3\"}}}";

static int take(const char *text, const char *variable, const char *index, char *key, size_t size)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    unsetenv("AWS_BATCH_JOB_ARRAY_INDEX");
    unsetenv("JOB_INDEX");
    unsetenv("CE_JOBRUN");
    unsetenv("LITHOPS_CONFIG");
    unsetenv(LITHOPS__BATCH_VARIABLE);
    if (text)
        setenv(LITHOPS__BATCH_VARIABLE, text, 1);
    if (variable)
        setenv(variable, index, 1);
    if (variable && strcmp(variable, "JOB_INDEX") == 0)
        setenv("CE_JOBRUN", "run", 1);
    return lithops__batch_take(key, size, &err);
}

static void parts_have_their_keys(void **state)
{
    char key[64];
    (void)state;
    assert_int_equal(take(job, NULL, NULL, key, sizeof key), 0);
    assert_string_equal(key, "lithops.jobs/e-0/a");
    assert_string_equal(getenv("LITHOPS_CONFIG"), "{\"lithops\": {\"storage\": \"aws_s3\"}}");
    assert_null(getenv(LITHOPS__BATCH_VARIABLE));
    assert_int_equal(take(job, "AWS_BATCH_JOB_ARRAY_INDEX", "1", key, sizeof key), 0);
    assert_string_equal(key, "lithops.jobs/e-0/b2");
    assert_int_equal(take(job, "JOB_INDEX", "2", key, sizeof key), 0);
    assert_string_equal(key, "lithops.jobs/e-0/c");
}

/* Or a file is told of, which has it. */
static void a_file_has_it(void **state)
{
    char key[64], path[] = "/tmp/lithops-batch-test-XXXXXX";
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, job, sizeof job - 1), (ssize_t)sizeof job - 1);
    setenv(LITHOPS__BATCH_FILE_VARIABLE, path, 1);
    assert_int_equal(take(NULL, "JOB_INDEX", "1", key, sizeof key), 0);
    assert_string_equal(key, "lithops.jobs/e-0/b2");
    assert_null(getenv(LITHOPS__BATCH_FILE_VARIABLE));
    close(fd);
    unlink(path);
    setenv(LITHOPS__BATCH_FILE_VARIABLE, path, 1);
    assert_int_not_equal(take(NULL, "JOB_INDEX", "1", key, sizeof key), 0);
    unsetenv(LITHOPS__BATCH_FILE_VARIABLE);
}

static void others_are_refused(void **state)
{
    char key[64];
    (void)state;
    assert_int_not_equal(take(NULL, NULL, NULL, key, sizeof key), 0);
    assert_int_not_equal(take("no JSON", NULL, NULL, key, sizeof key), 0);
    assert_int_not_equal(take("{}", NULL, NULL, key, sizeof key), 0);
    assert_int_not_equal(take(job, "JOB_INDEX", "3", key, sizeof key), 0);
    assert_int_not_equal(take(job, "JOB_INDEX", "-1", key, sizeof key), 0);
    assert_int_not_equal(take(job, "JOB_INDEX", "1x", key, sizeof key), 0);
    assert_int_not_equal(take(job, "JOB_INDEX", "99999999999999999999", key, sizeof key), 0);
    assert_int_not_equal(take(job, NULL, NULL, key, 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_have_their_keys),
        cmocka_unit_test(a_file_has_it),
        cmocka_unit_test(others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
