/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of nearest.c. */
#include "config/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *nearest(const char *wanted)
{
    static const char *const known[] = {"worker_processes", "runtime", "runtime_memory",
                                        "runtime_timeout",  "mode",    "vm"};
    struct lithops__nearest n = {.wanted = wanted};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        lithops__nearest_offer(&n, known[i]);
    return n.best;
}

static void slips_of_the_finger_are_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("worker_proceses"), "worker_processes");
    assert_string_equal(nearest("Worker-Processes"), "worker_processes");
    assert_string_equal(nearest("rutnime"), "runtime"); /* swapped: one step */
    assert_string_equal(nearest("runtime_memry"), "runtime_memory");
    assert_string_equal(nearest("mdoe"), "mode");
    assert_string_equal(nearest("vn"), "vm");
}

static void other_words_are_not(void **state)
{
    (void)state;
    assert_null(nearest("colour"));
    assert_null(nearest("moon"));
    assert_null(nearest(""));
    char longer[200];
    memset(longer, 'r', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_null(nearest(longer));
}

static void the_text_is_a_question(void **state)
{
    (void)state;
    char buf[40];
    struct lithops__nearest n = {.wanted = "mod"};
    assert_string_equal(lithops__nearest_text(&n, buf, sizeof buf), "");
    lithops__nearest_offer(&n, "mode");
    assert_string_equal(lithops__nearest_text(&n, buf, sizeof buf), "; did you mean 'mode'?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slips_of_the_finger_are_found),
        cmocka_unit_test(other_words_are_not),
        cmocka_unit_test(the_text_is_a_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
