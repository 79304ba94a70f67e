/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static lithops_error err;

static struct lithops__config *load(const char *backend, const char *section)
{
    char text[256];
    struct lithops__config *config = NULL;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    snprintf(text, sizeof text, "{\"%s\": {%s}}", backend, section);
    lithops_value *value = lithops_value_from_json(text, strlen(text), &err);
    options.config = value;
    if (!value || lithops__config_load(&options, &config, &err) != 0)
        fail_msg("%s", err.message);
    lithops_value_free(value);
    return config;
}

static void passes(const char *backend, const char *section)
{
    struct lithops__config *config = load(backend, section);
    if (lithops__limits_check(config, backend, &err) != 0)
        fail_msg("%s", err.message);
    lithops__config_free(config);
}

static void fails(const char *backend, const char *section, const char *message)
{
    struct lithops__config *config = load(backend, section);
    assert_int_equal(lithops__limits_check(config, backend, &err), LITHOPS_ECONFIG);
    assert_string_equal(err.message, message);
    lithops__config_free(config);
}

static void defaults_are_within_the_limits(void **state)
{
    (void)state;
    static const char *const backends[] = {"localhost",
                                           "process",
                                           "vm",
                                           "slurm",
                                           "knative",
                                           "gcp_cloudrun",
                                           "code_engine",
                                           "azure_containers",
                                           "openwhisk",
                                           "ibm_cf",
                                           "aws_lambda",
                                           "aws_batch",
                                           "aliyun_fc",
                                           "gcp_functions",
                                           "azure_functions",
                                           "code_engine_apps",
                                           "oracle_f"};
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        passes(backends[i], "");
}

static void the_key_and_the_limit_are_named(void **state)
{
    (void)state;
    fails("gcp_cloudrun", "\"request_timeout\": 3601",
          "gcp_cloudrun.request_timeout is 3601 s, but the service lets a request take at most "
          "3600 s");
    fails("code_engine_apps", "\"runtime_timeout\": 700",
          "code_engine_apps.runtime_timeout is 700 s, but the service lets a request take at most "
          "600 s");
    fails("azure_containers", "\"runtime_cpu\": 4.5",
          "azure_containers.runtime_cpu is 4.5 CPUs, but the service gives a container at most 4 "
          "CPUs");
    passes("azure_containers", "\"runtime_memory\": 4096, \"worker_processes\": 2");
    fails("azure_containers", "\"runtime_memory\": 4096, \"worker_processes\": 3",
          "azure_containers.runtime_memory is 12288 MB (of all worker_processes), but the service "
          "gives a container at most 8192 MB (of all worker_processes)");
    passes("aws_lambda", "\"runtime_memory\": 10240, \"worker_processes\": 6");
    passes("code_engine",
           "\"runtime_cpu\": 12, \"runtime_memory\": 49152, \"worker_processes\": 12");
    fails("code_engine", "\"runtime_memory\": 65536",
          "code_engine.runtime_memory is 65536 MB, but the service gives a container at most 49152 "
          "MB");
    passes("knative", "\"request_timeout\": 100000, \"runtime_memory\": 1000000");
}

static void calls_have_the_limits_of_their_worker(void **state)
{
    (void)state;
    uint64_t ms, mb;
    struct lithops__config *config = load("code_engine_apps", "\"request_timeout\": 90");
    lithops__limits_of_calls(config, "code_engine_apps", &ms, &mb);
    assert_int_equal(ms, 90000);
    assert_int_equal(mb, 49152);
    assert_string_equal(lithops__limits_time_key("code_engine_apps"), "request_timeout");
    lithops__limits_of_calls(config, "localhost", &ms, &mb);
    assert_int_equal(ms, 0);
    assert_int_equal(mb, 0);
    lithops__config_free(config);
    config = load("aws_lambda", "\"runtime_timeout\": 60");
    lithops__limits_of_calls(config, "aws_lambda", &ms, &mb);
    assert_int_equal(ms, 60000);
    assert_string_equal(lithops__limits_time_key("aws_lambda"), "runtime_timeout");
    lithops__config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_within_the_limits),
        cmocka_unit_test(the_key_and_the_limit_are_named),
        cmocka_unit_test(calls_have_the_limits_of_their_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
