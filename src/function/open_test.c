/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of lithops_function_open(): what it finds, what it says, and that it runs nothing. */
#include "function/function.h"

#include <limits.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN TESTLIB "/libplain.so"
#define DECLARED TESTLIB "/libdeclared.so"

LITHOPS_FUNCTION(own)
{
    (void)call;
    return 1;
}

static void assert_opens(const char *spec, const char *name, const char *symbol,
                         const char *signature)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_function *f = lithops_function_open(spec, &err);
    if (!f) {
        fail_msg("%s: %s", spec, err.message);
        return;
    }
    assert_int_equal(lithops__function_check(f, &err), 0);
    assert_string_equal(f->name, name);
    assert_string_equal(f->symbol, symbol);
    assert_int_equal(f->library[0], '/');
    assert_null(f->run);
    if (signature)
        assert_string_equal(f->signature, signature);
    else
        assert_null(f->signature);
    assert_int_equal(err.code, 0); /* never written on success */
    lithops_function_free(f);
}

static void assert_fails(const char *spec, int code, const char *says)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_null(lithops_function_open(spec, &err));
    if (err.code != code || !strstr(err.message, says))
        fail_msg("'%s' gave %d: %s (expected: %s)", spec ? spec : "NULL", err.code, err.message,
                 says);
    assert_null(lithops_function_open(spec, NULL));
}

static void declared_functions_open(void **state)
{
    (void)state;
    assert_opens(DECLARED ":count", "libdeclared.so:count", "count", NULL);
    assert_opens(DECLARED ":basename", "libdeclared.so:basename", "basename", NULL);
}

static void plain_functions_open_with_a_signature(void **state)
{
    (void)state;
    assert_opens(PLAIN ":negate_int:int(int)", "libplain.so:negate_int", "negate_int", "int(int)");
    assert_opens(PLAIN ":weigh:double( int64, double, float )", "libplain.so:weigh", "weigh",
                 "double( int64, double, float )");
    assert_opens(PLAIN ":takes_call:call", "libplain.so:takes_call", "takes_call", "call");
    assert_opens(PLAIN ":add_thousand:int(int)", "libplain.so:add_thousand", "add_thousand",
                 "int(int)"); /* an ifunc */
}

static void the_c_library_is_found_by_name(void **state)
{
    (void)state;
    assert_opens("libm.so.6:pow:double(double,double)", "libm.so.6:pow", "pow",
                 "double(double,double)"); /* two versions, the older one hidden */
    assert_opens("libm.so.6:sin:double(double)", "libm.so.6:sin", "sin", "double(double)");
    assert_opens("libc.so.6:strlen:ulong(string)", "libc.so.6:strlen", "strlen", "ulong(string)");
}

static void relative_paths_and_names_start_here(void **state)
{
    (void)state;
    char before[PATH_MAX];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(TESTLIB), 0);
    assert_opens("./libdeclared.so:count", "libdeclared.so:count", "count", NULL);
    assert_opens("libdeclared.so:count", "libdeclared.so:count", "count", NULL);
    assert_int_equal(chdir(before), 0);
}

static void library_path_is_searched(void **state)
{
    (void)state;
    assert_fails("libdeclared.so:count", LITHOPS_ENOTFOUND, "looked in: ");
    assert_int_equal(setenv("LD_LIBRARY_PATH", "/nonexistent::" TESTLIB, 1), 0);
    assert_opens("libdeclared.so:count", "libdeclared.so:count", "count", NULL);
    assert_fails("libnone.so:count", LITHOPS_ENOTFOUND, "/nonexistent; .; " TESTLIB ";");
    assert_int_equal(unsetenv("LD_LIBRARY_PATH"), 0);
}

static void a_path_may_hold_colons(void **state)
{
    (void)state;
    char folder[] = "/tmp/lithops-a:b-XXXXXX", spec[256], path[128];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x:y.so", folder);
    assert_int_equal(symlink(PLAIN, path), 0);
    snprintf(spec, sizeof spec, "%s:negate_int:int(int)", path);
    assert_opens(spec, "x:y.so:negate_int", "negate_int", "int(int)");
    snprintf(spec, sizeof spec, "%s:takes_call", path);
    assert_fails(spec, LITHOPS_EUSAGE, "plain C function");
    unlink(path);
    rmdir(folder);
}

static void nothing_of_the_library_runs(void **state)
{
    (void)state;
    assert_int_equal(setenv("TESTLIB_FATAL", "1", 1), 0); /* its constructor would abort() */
    assert_opens(DECLARED ":count", "libdeclared.so:count", "count", NULL);
    assert_int_equal(unsetenv("TESTLIB_FATAL"), 0);
    assert_null(lithops__function_find("count")); /* nor is it registered */
}

static void wrong_specs_are_explained(void **state)
{
    (void)state;
    assert_fails(NULL, LITHOPS_EUSAGE, "no function named");
    assert_fails("", LITHOPS_EUSAGE, "no function named");
    assert_fails("count", LITHOPS_EUSAGE, "write path.so:symbol");
    assert_fails("lib.so", LITHOPS_EUSAGE, "write path.so:symbol");
    assert_fails(":count", LITHOPS_EUSAGE, "write path.so:symbol");
    assert_fails("lib.so:", LITHOPS_EUSAGE, "has no symbol");
    assert_fails("::", LITHOPS_EUSAGE, "");
    assert_fails("lib.so:double(double)", LITHOPS_EUSAGE, "has no symbol");
    assert_fails("lib.so::double(double)", LITHOPS_EUSAGE, "has no symbol");
    assert_fails(PLAIN ":negate_int:int(char)", LITHOPS_EUSAGE, "no type 'char'");
    assert_fails(PLAIN ":negate_int:int", LITHOPS_EUSAGE, "'(' expected");
    assert_fails(PLAIN ":negate_int:", LITHOPS_EUSAGE, "a type is missing");
    char huge[PATH_MAX + 64];
    snprintf(huge, sizeof huge, "%0*d.so:f", PATH_MAX, 1);
    assert_fails(huge, LITHOPS_EUSAGE, "too long");
    snprintf(huge, sizeof huge, "a.so:f%0*d", PATH_MAX, 1);
    assert_fails(huge, LITHOPS_EUSAGE, "too long");
}

static void missing_symbols_get_near_names(void **state)
{
    (void)state;
    assert_fails(DECLARED ":cuont", LITHOPS_ENOTFOUND,
                 "no function 'cuont' in " DECLARED "; did you mean 'count'?");
    assert_fails("libm.so.6:poww:double(double,double)", LITHOPS_ENOTFOUND, "'pow'");
    assert_fails(PLAIN ":xyzzy:int(int)", LITHOPS_ENOTFOUND, "is it static, or hidden");
    assert_fails(PLAIN ":hidden_function:int(int)", LITHOPS_ENOTFOUND, "is it static, or hidden");
    assert_fails(PLAIN ":cpp_square:int(int)", LITHOPS_ENOTFOUND, "declare it extern \"C\"");
    /* Undefined there: it comes from the C library. */
    assert_fails(PLAIN ":strlen:ulong(string)", LITHOPS_ENOTFOUND, "no function 'strlen'");
}

static void wrong_kinds_of_symbols_are_told(void **state)
{
    (void)state;
    assert_fails(PLAIN ":negate_int", LITHOPS_EUSAGE, "say how to call it");
    assert_fails("libm.so.6:sin", LITHOPS_EUSAGE, "say how to call it");
    assert_fails(PLAIN ":plain_variable", LITHOPS_EUSAGE, "is a variable");
    assert_fails(PLAIN ":plain_variable:int(int)", LITHOPS_EUSAGE, "is a variable");
    assert_fails(PLAIN ":thread_variable:int(int)", LITHOPS_EUSAGE, "is a variable");
    assert_fails(DECLARED ":count:int(int)", LITHOPS_EUSAGE, "omit the signature 'int(int)'");
}

static void wrong_files_are_told(void **state)
{
    (void)state;
    char folder[] = "/tmp/lithops-open-XXXXXX", path[64], spec[128];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/lib.so", folder);
    snprintf(spec, sizeof spec, "%s:f", path);
    assert_fails(spec, LITHOPS_ENOTFOUND, "no library");

    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(spec, LITHOPS_EUSAGE, "is a folder");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* opening it must not wait for a writer */
    assert_fails(spec, LITHOPS_EUSAGE, "not a regular file");
    unlink(path);
    assert_fails("/dev/null:f", LITHOPS_EUSAGE, "not a regular file");
    assert_int_equal(symlink(path, path), 0); /* a circle */
    assert_fails(spec, LITHOPS_EIO, "levels of symbolic links");
    unlink(path);

    FILE *file = fopen(path, "w");
    fclose(file);
    assert_fails(spec, LITHOPS_EPARSE, "is empty");
    if (geteuid() != 0) { /* root may read everything */
        assert_int_equal(chmod(path, 0), 0);
        assert_fails(spec, LITHOPS_EDENIED, "Permission denied");
        assert_int_equal(chmod(path, 0600), 0);
    }
    file = fopen(path, "w");
    fputs("/* GNU ld script */\nGROUP ( libm.so.6 )\n", file);
    fclose(file);
    assert_fails(spec, LITHOPS_EPARSE, "a script for the linker");
    file = fopen(path, "w");
    fputs("!<arch>\n", file);
    fclose(file);
    assert_fails(spec, LITHOPS_EPARSE, "a static library");
    file = fopen(path, "w");
    fputs("int f(void) { return 1; }\n", file);
    fclose(file);
    assert_fails(spec, LITHOPS_EPARSE, "not a shared library");
    unlink(path);
    rmdir(folder);

    assert_fails("/proc/self/exe:own", LITHOPS_EUSAGE, "a program or an object file");
    assert_fails("/bin/sh:main:int()", LITHOPS_EUSAGE, "a program or an object file");
    assert_fails(PLAIN "/x:f", LITHOPS_ENOTFOUND, "no library");
}

static void a_declared_function_cannot_be_freed(void **state)
{
    (void)state;
    lithops_function_free(own);
    lithops_function_free(NULL);
    assert_int_equal(own->run(NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(declared_functions_open),
        cmocka_unit_test(plain_functions_open_with_a_signature),
        cmocka_unit_test(the_c_library_is_found_by_name),
        cmocka_unit_test(relative_paths_and_names_start_here),
        cmocka_unit_test(library_path_is_searched),
        cmocka_unit_test(a_path_may_hold_colons),
        cmocka_unit_test(nothing_of_the_library_runs),
        cmocka_unit_test(wrong_specs_are_explained),
        cmocka_unit_test(missing_symbols_get_near_names),
        cmocka_unit_test(wrong_kinds_of_symbols_are_told),
        cmocka_unit_test(wrong_files_are_told),
        cmocka_unit_test(a_declared_function_cannot_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
