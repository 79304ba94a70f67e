/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the program's registry, with functions of this program and of libraries. */
#include "base/log.h"
#include "function/function.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

LITHOPS_FUNCTION(own_first)
{
    (void)call;
    return 1;
}
LITHOPS_FUNCTION(own_second)
{
    (void)call;
    return 2;
}

static char last_record[1024];
static int records;
static void keep_record(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)user;
    assert_int_equal(level, LITHOPS_LOG_WARNING);
    assert_string_equal(where, "function");
    strncpy(last_record, text, sizeof last_record - 1);
    records++;
}

static void functions_are_there_before_main(void **state)
{
    (void)state;
    const lithops_function *found = lithops__function_find("own_second");
    assert_ptr_equal(found, own_second);
    assert_string_equal(found->name, "own_second");
    assert_null(found->library);
    assert_int_equal(found->run(NULL), 2);
    assert_null(lithops__function_find("own"));
    assert_null(lithops__function_find(""));
}

static void the_first_of_two_wins_and_it_is_told(void **state)
{
    (void)state;
    static lithops_function again = {
        LITHOPS_FUNCTION_MAGIC, "own_first", NULL, NULL, NULL, NULL, NULL, NULL};
    records = 0;
    lithops_log_to(LITHOPS_LOG_WARNING, keep_record, NULL);
    lithops_function_register(&again);
    assert_int_equal(records, 1);
    assert_non_null(strstr(last_record, "'own_first' is defined more than once"));
    assert_ptr_equal(lithops__function_find("own_first"), own_first);
    /* Registering the same one again must not make a circle out of the list. */
    lithops_function_register(own_first);
    assert_int_equal(records, 2);
    assert_null(lithops__function_find("no such function"));
    lithops_function_unregister(&again); /* was never in the list */
    assert_ptr_equal(lithops__function_find("own_first"), own_first);
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
}

static void what_is_no_function_is_refused(void **state)
{
    (void)state;
    static lithops_function junk = {.magic = 1, .name = "junk"};
    lithops_error err = LITHOPS_ERROR_INIT;
    records = 0;
    lithops_log_to(LITHOPS_LOG_WARNING, keep_record, NULL);
    lithops_function_register(&junk);
    lithops_function_register(NULL);
    lithops_function_unregister(NULL);
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    assert_int_equal(records, 1);
    assert_null(lithops__function_find("junk"));
    assert_int_equal(lithops__function_check(&junk, &err), LITHOPS_EUSAGE);
    assert_int_equal(lithops__function_check(NULL, &err), LITHOPS_EUSAGE);
    assert_non_null(strstr(err.message, "NULL"));
    assert_int_equal(lithops__function_check(own_first, &err), 0);
}

static void a_library_brings_and_takes_its_functions(void **state)
{
    (void)state;
    assert_null(lithops__function_find("count_words"));
    void *library = dlopen(TESTLIB "/libdeclared.so", RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    assert_int_equal(lithops__function_find("count_words")->run(NULL), 42);
    assert_int_equal(dlclose(library), 0);
    /* A list with a hole would be walked into unmapped memory. */
    assert_null(lithops__function_find("count_words"));
    assert_ptr_equal(lithops__function_find("own_first"), own_first);
}

static void *load_and_unload(void *path)
{
    for (int i = 0; i < 200; i++) {
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library || dlclose(library) != 0)
            return path;
    }
    return NULL;
}

static void threads_may_load_while_others_look(void **state)
{
    (void)state;
    static char paths[][256] = {TESTLIB "/libdeclared.so", TESTLIB "/libsame_a.so"};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_and_unload, paths[i]), 0);
    for (int i = 0; i < 20000; i++)
        assert_ptr_equal(lithops__function_find("own_first"), own_first);
    for (int i = 0; i < 2; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_there_before_main),
        cmocka_unit_test(the_first_of_two_wins_and_it_is_told),
        cmocka_unit_test(what_is_no_function_is_refused),
        cmocka_unit_test(a_library_brings_and_takes_its_functions),
        cmocka_unit_test(threads_may_load_while_others_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
