/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what the kernel tells of a process. */
#include "base/process_stat.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void fields_are_found_behind_any_name(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "a b", ") 1 (", "((", "", ") Z 0"};
    char text[32], before[32];
    assert_true(lithops__process_stat(getpid(), LITHOPS__STAT_NAME, before, sizeof before));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(prctl(PR_SET_NAME, names[i]), 0);
        assert_true(lithops__process_stat(getpid(), LITHOPS__STAT_NAME, text, sizeof text));
        assert_string_equal(text, names[i]);
        assert_true(lithops__process_stat(getpid(), LITHOPS__STAT_STATE, text, sizeof text));
        assert_string_equal(text, "R");
        assert_true(lithops__process_stat(getpid(), LITHOPS__STAT_PARENT, text, sizeof text));
        assert_int_equal(atoi(text), getppid());
        assert_true(lithops__process_stat(getpid(), LITHOPS__STAT_MEMORY, text, sizeof text));
        assert_true(atoll(text) > 4096);
        assert_true(lithops__process_stat(getpid(), LITHOPS__STAT_CODE_START, text, sizeof text));
        assert_true(atoll(text) > 1);
        assert_false(lithops__is_gone(getpid()));
    }
    (void)prctl(PR_SET_NAME, before);
}

static void what_is_not_there_is_empty(void **state)
{
    (void)state;
    char text[4] = "abc";
    assert_true(lithops__process_stat(getpid(), 1000, text, sizeof text));
    assert_string_equal(text, "");
    assert_true(lithops__process_stat(getpid(), LITHOPS__STAT_MEMORY, text, sizeof text));
    assert_int_equal(text[3], 0); /* cut off */
}

static void the_dead_are_gone(void **state)
{
    (void)state;
    char text[32];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(lithops__is_gone(pid)); /* a zombie */
    assert_true(lithops__process_stat(pid, LITHOPS__STAT_STATE, text, sizeof text));
    assert_string_equal(text, "Z");
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(lithops__is_gone(pid));
    assert_false(lithops__process_stat(pid, LITHOPS__STAT_STATE, text, sizeof text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_behind_any_name),
        cmocka_unit_test(what_is_not_there_is_empty),
        cmocka_unit_test(the_dead_are_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
