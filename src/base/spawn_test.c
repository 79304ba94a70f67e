/* SPDX-License-Identifier: Apache-2.0 */
/* Starting programs whose file is busy for a while, or stays so. */
#include "base/spawn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int busy, asked; /* how often it is yet */

int __real_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const *argv, char *const *env);
int __wrap_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const *argv, char *const *env);

int __wrap_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const *argv, char *const *env)
{
    asked++;
    return busy-- > 0 ? ETXTBSY : __real_posix_spawnp(pid, file, actions, attributes, argv, env);
}

static int spawn(const char *program, pid_t *ret_pid)
{
    char name[] = "it", *argv[] = {name, NULL};
    asked = 0;
    return lithops__spawn(ret_pid, program, NULL, NULL, argv, environ);
}

static void test_busy_for_a_while(void **state)
{
    (void)state;
    pid_t pid;
    int status;
    busy = 3;
    assert_int_equal(spawn("true", &pid), 0);
    assert_int_equal(asked, 4);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_busy_for_ever(void **state)
{
    (void)state;
    pid_t pid;
    busy = 1000000;
    assert_int_equal(spawn("true", &pid), ETXTBSY);
    assert_true(asked > 3);
}

static void test_not_there(void **state)
{
    (void)state;
    pid_t pid;
    busy = 0;
    assert_int_equal(spawn("/no/such/program", &pid), ENOENT);
    assert_int_equal(asked, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_busy_for_a_while),
                                       cmocka_unit_test(test_busy_for_ever),
                                       cmocka_unit_test(test_not_there)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
