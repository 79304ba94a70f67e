/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of module.c. */
#include "base/module.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int use_test_modules(void **state)
{
    (void)state;
    return setenv("LITHOPS_MODULE_PATH", TESTMODULES, 1);
}

static void fails(const char *module, const char *symbol, const char *text)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_null(lithops__module_symbol(module, symbol, &err));
    assert_int_equal(err.code, LITHOPS_EUNSUPPORTED);
    if (!strstr(err.message, text))
        fail_msg("'%s' is not in: %s", text, err.message);
    assert_non_null(strstr(err.message, module));
    assert_null(lithops__module_symbol(module, symbol, NULL));
}

static void a_module_of_this_version_is_loaded(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    const char *symbol = lithops__module_symbol("current", "testmodule_symbol", &err);
    assert_non_null(symbol);
    assert_string_equal(symbol, "loaded");
    assert_ptr_equal(lithops__module_symbol("current", "testmodule_symbol", NULL), symbol);
    fails("current", "no_such_symbol", "no_such_symbol");
}

static void other_versions_are_refused(void **state)
{
    (void)state;
    fails("stale", "testmodule_symbol",
          "version 0.0.9, but the library of version " LITHOPS_VERSION "; install both from");
    fails("stale", "testmodule_symbol", TESTMODULES "/stale.so");
    fails("unknown", "testmodule_symbol", "no known version");
    assert_null(dlopen(TESTMODULES "/stale.so", RTLD_NOW | RTLD_NOLOAD)); /* it is closed again */
}

static void a_missing_module_is_named(void **state)
{
    (void)state;
    fails("no-such-part", "x", "install the package that holds " TESTMODULES "/no-such-part.so");
    fails("../testmodules", "x", "cannot be loaded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_module_of_this_version_is_loaded, use_test_modules),
        cmocka_unit_test_setup(other_versions_are_refused, use_test_modules),
        cmocka_unit_test_setup(a_missing_module_is_named, use_test_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
