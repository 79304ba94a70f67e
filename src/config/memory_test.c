/* SPDX-License-Identifier: Apache-2.0 */
/* Lack of memory: the n-th allocation fails, for every n.
 *
 * The linker replaces malloc() and related functions by those below (see CMakeLists.txt), in the
 * engine's own code; the module "yaml" is a shared object of its own and is compiled into this test
 * a second time to be covered too. */
#include "config/test_folder.h"
#include "config/yaml.h"

#include <errno.h>

static long until_failure = -1; /* allocations to go; negative: none fails */

static bool fails_now(void)
{
    if (until_failure < 0 || until_failure-- > 0)
        return false;
    until_failure = -1;
    errno = ENOMEM;
    return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *ptr, size_t size)
{
    return fails_now() ? NULL : __real_realloc(ptr, size);
}
char *__wrap_strdup(const char *s)
{
    return fails_now() ? NULL : __real_strdup(s);
}

static const char text[] = "aws: &a {region: x, list: [1, 2.5, yes, ~, 'q']}\n"
                           "lithops: {include_modules: [a, b], mode: localhost}\n"
                           "redis: {<<: *a, more: *a}\n"
                           "localhost: {worker_processes: AUTO, cost_per_gb_s: 1e-5}\n"
                           "rabbitmq: {amqp_url: 'amqp://x'}\n";

static void loading_survives_each_failure(void **state)
{
    (void)state;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *settings = lithops_pack("{s:i}", "spin_us", 5);
    write_file("conf", text, strlen(text));
    options.config_file = "conf";
    options.settings = settings;
    options.mode = "localhost";
    options.storage = "localhost";
    int rc = LITHOPS_ENOMEM;
    long n = 0;
    for (; rc != 0; n++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        struct lithops__config *config = NULL;
        until_failure = n;
        rc = lithops__config_load(&options, &config, &err);
        until_failure = -1;
        if (rc != 0 && rc != LITHOPS_ENOMEM)
            fail_msg("allocation %ld: %d %s", n, rc, err.message);
        if (rc != 0)
            assert_null(config);
        lithops__config_free(config);
    }
    assert_true(n > 100); /* it did count them */
    lithops_value_free(settings);
    unlink("conf");
}

static void the_whole_survives_each_failure(void **state)
{
    (void)state;
    struct lithops__config *config = load_text(text);
    lithops_value *whole = NULL;
    for (long n = 0; !whole; n++) {
        until_failure = n;
        whole = lithops__config_value(config, false);
        until_failure = -1;
    }
    lithops_value_free(whole);
    lithops__config_free(config);
}

static void parsing_survives_each_failure(void **state)
{
    (void)state;
    int rc = LITHOPS_ENOMEM;
    long n = 0;
    for (; rc != 0; n++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        struct lithops__yaml_document document;
        until_failure = n;
        rc = lithops__yaml_parse("conf", text, strlen(text), &document, &err);
        until_failure = -1;
        if (rc != 0) {
            assert_int_equal(rc, LITHOPS_ENOMEM);
            assert_string_equal(err.message, "conf: out of memory");
        }
        lithops__yaml_free(&document);
    }
    assert_true(n > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_survives_each_failure),
        cmocka_unit_test(the_whole_survives_each_failure),
        cmocka_unit_test(parsing_survives_each_failure),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
