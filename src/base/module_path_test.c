/* SPDX-License-Identifier: Apache-2.0 */
/* A program that does not hold the engine, as users' programs do not: it is started with
 * LD_LIBRARY_PATH=lib, changes its folder, and then the library needs a module. The parser of the
 * configuration is one. */
#include <lithops/lithops.h>

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void a_library_with_a_relative_name_finds_its_modules(void **state)
{
    (void)state;
    Dl_info library;
    if (access("lib/lithops/yaml.so", F_OK) != 0)
        skip(); /* built without libyaml */
    assert_int_not_equal(dladdr(dlsym(RTLD_DEFAULT, "lithops_version"), &library), 0);
    assert_string_equal(library.dli_fname, "lib/liblithops.so.0");
    assert_int_equal(chdir("/"), 0);

    setenv("LITHOPS_CONFIG", "lithops:\n  mode: [", 1);
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_null(lithops_executor_open(NULL, &err));
    if (err.code != LITHOPS_ECONFIG) /* EUNSUPPORTED: no parser */
        fail_msg("%s", err.message);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_library_with_a_relative_name_finds_its_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
