/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/encode.h"

#include <lithops/value.h>

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct lithops__otlp_resource resource = {"service", "here", 1, 2};

static char *encoded(const struct lithops__registry *registry, bool otlp)
{
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    if (otlp)
        lithops__otlp_encode(registry, &resource, &out);
    else
        lithops__prometheus_encode(registry, &out);
    return lithops__buffer_steal(&out);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in:\n%s", part, text);
}

static void buckets_are_counted_from_below(void **state)
{
    (void)state;
    struct lithops__registry registry = {NULL, 0};
    struct lithops__scope *scope = lithops__registry_scope(&registry, "here", "python", 256, "f");
    lithops__scope_add(scope, LITHOPS__CALL_RESULT_SIZE, 0, 1024); /* a bound is in its bucket */
    lithops__scope_add(scope, LITHOPS__CALL_RESULT_SIZE, 0, 1025);
    lithops__scope_add(scope, LITHOPS__CALL_RESULT_SIZE, 0, 1e12);
    lithops__scope_add(scope, LITHOPS__WORKER_CPU_SECONDS, LITHOPS__OF_SYSTEM, 0.5);
#define LABELS "backend=\"here\",runtime_name=\"python\",runtime_memory=\"256\",function_name=\"f\""
    char *text = encoded(&registry, false);
    assert_has(text, "# TYPE lithops_call_result_size_bytes histogram\n");
    assert_has(text, "lithops_call_result_size_bytes_bucket{" LABELS ",le=\"1024\"} 1\n");
    assert_has(text, "lithops_call_result_size_bytes_bucket{" LABELS ",le=\"8192\"} 2\n");
    assert_has(text, "lithops_call_result_size_bytes_bucket{" LABELS ",le=\"536870912\"} 2\n");
    assert_has(text, "lithops_call_result_size_bytes_bucket{" LABELS ",le=\"+Inf\"} 3\n");
    assert_has(text, "lithops_call_result_size_bytes_count{" LABELS "} 3\n");
    assert_has(text, "# TYPE lithops_worker_cpu_seconds_total counter\n");
    assert_has(text, "lithops_worker_cpu_seconds_total{" LABELS ",mode=\"system\"} 0.5\n");
    assert_null(strstr(text, "mode=\"user\"")); /* never counted */
    assert_null(strstr(text, "lithops_job_calls"));
    free(text);
    lithops__registry_deinit(&registry);
}

static void any_name_makes_valid_text(void **state)
{
    (void)state;
    struct lithops__registry registry = {NULL, 0};
    struct lithops__scope *scope =
        lithops__registry_scope(&registry, "b", "C:\\py", 0, "a\"b\nc\xff\x01\xc3\xa9");
    lithops__scope_add(scope, LITHOPS__JOBS_SUBMITTED, 0, 1);
    char *text = encoded(&registry, false);
    assert_has(text, "runtime_name=\"C:\\\\py\"");
    assert_has(text, "function_name=\"a\\\"b c? \xc3\xa9\"");
    free(text);
    text = encoded(&registry, true);
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value = lithops_value_from_json(text, strlen(text), &err);
    if (!value)
        fail_msg("%s:\n%s", err.message, text);
    assert_has(text, "\"a\\\"b c? \xc3\xa9\"");
    lithops_value_free(value);
    free(text);
    lithops__registry_deinit(&registry);
}

static void nothing_counted_is_a_document_too(void **state)
{
    (void)state;
    struct lithops__registry registry = {NULL, 0};
    char *text = encoded(&registry, true);
    lithops_value *value = lithops_value_from_json(text, strlen(text), NULL);
    assert_non_null(value);
    lithops_value_free(value);
    free(text);
}

/* lithops_comma is made by the build, where there is localedef. */
static void a_decimal_comma_does_not_matter(void **state)
{
    (void)state;
    if (!setlocale(LC_NUMERIC, "lithops_comma") && !setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        skip();
    struct lithops__registry registry = {NULL, 0};
    struct lithops__scope *scope = lithops__registry_scope(&registry, "b", "r", 0, "f");
    lithops__scope_add(scope, LITHOPS__CALL_DURATION, 0, 0.25);
    char *text = encoded(&registry, false), own[8];
    snprintf(own, sizeof own, "%.1f", 0.5);
    assert_string_equal(own, "0,5");
    setlocale(LC_NUMERIC, "C");
    assert_has(text, "le=\"0.25\"");
    assert_has(text,
               "_sum{backend=\"b\",runtime_name=\"r\",runtime_memory=\"0\",function_name=\"f\"} "
               "0.25\n");
    free(text);
    lithops__registry_deinit(&registry);
}

static void names_have_an_end(void **state)
{
    (void)state;
    struct lithops__registry registry = {NULL, 0}, copy;
    char name[16];
    size_t made = 0;
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "f%d", i);
        made += lithops__registry_scope(&registry, "b", "r", 0, name) != NULL;
    }
    assert_int_equal(made, 1000);
    assert_ptr_equal(lithops__registry_scope(&registry, "b", "r", 0, "f7"),
                     lithops__registry_scope(&registry, "b", "r", 0, "f7"));
    assert_true(lithops__registry_copy(&registry, &copy));
    assert_int_equal(copy.count, 1000);
    lithops__registry_deinit(&registry);
    lithops__registry_deinit(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_are_counted_from_below),
        cmocka_unit_test(any_name_makes_valid_text),
        cmocka_unit_test(nothing_counted_is_a_document_too),
        cmocka_unit_test(a_decimal_comma_does_not_matter),
        cmocka_unit_test(names_have_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
