/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the backend singularity, with the image that
 * tests/servers/with-singularity has made for it; and what goes wrong with images. */
#include "../integration/api.h"
#include "compute_parts.h"
#include "compute_suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static lithops_value *settings(int workers, int processes)
{
    return lithops_pack("{s:s,s:i,s:i}", "runtime", getenv("LITHOPS_TEST_SINGULARITY_IMAGE"),
                        "max_workers", workers, "worker_processes", processes);
}

static bool kill_worker(void)
{
    pid_t pid = 0;
    return api_child(&pid) && kill(pid, SIGKILL) == 0;
}

static lithops_executor *open_with(lithops_value *section)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.backend = "singularity";
    options.settings = section;
    lithops_executor *opened = lithops_executor_open(&options, &err);
    lithops_value_free(section);
    return opened;
}

static void is_no_image(const char *image, const char *text)
{
    lithops_executor *own = not_null(open_with(lithops_pack("{s:s}", "runtime", image)));
    lithops_future *future =
        lithops_call_async(own, suite_square, lithops_value_int(2), NULL, &err);
    call_fails(future, LITHOPS_EBACKEND, text);
    assert_non_null(strstr(err.message, "singularity-0"));
    lithops_executor_close(own);
}

static void test_a_file_that_is_no_image(void **state)
{
    (void)state;
    is_no_image(api_write_file("box.sif", "no image", 8), "image format not recognized");
    char path[128];
    snprintf(path, sizeof path, "%s/empty", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    is_no_image(path, path);
    is_no_image("docker://localhost:1/none", "connection refused");
}

/* By its name, in a folder with images. */
static void test_an_image_of_a_folder(void **state)
{
    (void)state;
    char path[512], *slash;
    snprintf(path, sizeof path, "%s", getenv("LITHOPS_TEST_SINGULARITY_IMAGE"));
    slash = not_null(strrchr(path, '/'));
    *slash = '\0';
    char *suffix = strstr(slash + 1, ".sif");
    assert_non_null(suffix);
    *suffix = '\0';
    lithops_executor *own =
        not_null(open_with(lithops_pack("{s:s,s:s}", "runtime", slash + 1, "sif_path", path)));
    suite_works(own);
    lithops_executor_close(own);
}

/* ---- the words that the program gets ----------------------------------------------------------
 */

LITHOPS_FUNCTION(getenv_of)
{
    const char *value = getenv(lithops_value_get_string(lithops_call_input(call)));
    return lithops_return(call, "s", value ? value : "");
}

static void test_options_count(void **state)
{
    (void)state;
    lithops_value *section = settings(1, 1);
    assert_int_equal(lithops_value_set(
                         section, "singularity_options",
                         lithops_pack("[s,s,s]", "--env", "LITHOPS_TEST_OPTION=yes", "--cleanenv")),
                     0);
    lithops_executor *own = not_null(open_with(section));
    result_is(
        lithops_call_async(own, getenv_of, lithops_value_string("LITHOPS_TEST_OPTION"), NULL, &err),
        "\"yes\"");
    result_is(
        lithops_call_async(own, getenv_of, lithops_value_string("SINGULARITY_NAME"), NULL, &err),
        "\"box.sif\"");
    lithops_executor_close(own);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct compute_suite singularity = {
        .backend = "singularity",
        .settings = settings,
        .kill_worker = kill_worker,
        .sees_files = true, /* of /tmp */
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_that_is_no_image),
        cmocka_unit_test(test_an_image_of_a_folder),
        cmocka_unit_test(test_options_count),
    };
    int failed = compute_suite_run(&singularity);
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    return api_finish(failed + compute_suite_left());
}
