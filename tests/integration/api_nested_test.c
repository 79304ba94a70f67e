/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that are clients themselves: they open an executor, and return one of its futures'
 * results. Each level has its own worker processes, so one process per level is enough. */
#include "api.h"

#include <stdio.h>
#include <unistd.h>

static lithops_executor *open_inner(lithops_error *own)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = lithops_pack("{s:{s:i}}", "localhost", "worker_processes", 1);
    options.config = config;
    lithops_executor *inner = lithops_executor_open(&options, own);
    lithops_value_free(config);
    return inner;
}

LITHOPS_FUNCTION(leaf)
{
    switch (lithops_call_int(call)) {
    case -1:
        return lithops_fail(call, "no leaf");
    case -2:
        abort();
    case -3:
        for (;;)
            pause();
    case -4:
        return lithops_return(call, "{s:[i,s],s:y}", "list", 1, "two", "bytes", "\0\xff",
                              (size_t)2);
    default:
        return lithops_return_int(call, lithops_call_int(call) + 100);
    }
}

extern lithops_function descend[1];

/* [depth, input of the leaf] */
LITHOPS_FUNCTION(descend)
{
    int64_t depth, input;
    if (lithops_args(call, "II", "depth", &depth, "input", &input) != 0)
        return LITHOPS_EARG;
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_executor *inner = open_inner(&own);
    if (!inner)
        return lithops_fail_error(call, &own);
    lithops_future *future =
        depth == 0 ? lithops_call_async(inner, leaf, lithops_value_int(input), NULL, &own)
                   : lithops_call_async(inner, descend, lithops_pack("[II]", depth - 1, input),
                                        NULL, &own);
    int rc = future ? lithops_return_future(call, future) : lithops_fail_error(call, &own);
    lithops_future_unref(future);
    lithops_executor_close(inner);
    return rc;
}

/* A map and its sum, within a call. */
LITHOPS_FUNCTION(inner_map)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_executor *inner = open_inner(&own);
    lithops_futures *futures =
        inner ? lithops_map(inner, leaf, lithops_range(0, lithops_call_int(call)), NULL, &own)
              : NULL;
    lithops_value *list = NULL;
    int64_t sum = 0;
    if (futures && lithops_get_result_value(inner, futures, NULL, &list, &own) == 0)
        for (size_t i = 0; i < lithops_value_size(list); i++)
            sum += lithops_value_get_int(lithops_value_at(list, i));
    lithops_value_free(list);
    lithops_futures_unref(futures);
    lithops_executor_close(inner);
    return own.code ? lithops_fail_error(call, &own) : lithops_return_int(call, sum);
}

static int open_one_process(void **state)
{
    (void)state;
    fexec = api_open("{\"worker_processes\":1}");
    return 0;
}

static lithops_future *go_down(int64_t depth, int64_t input)
{
    return not_null(
        lithops_call_async(fexec, descend, lithops_pack("[II]", depth, input), NULL, &err));
}

static void test_depths(void **state)
{
    (void)state;
    result_is(go_down(0, 1), "101");
    result_is(go_down(1, 2), "102");
    result_is(go_down(2, 3), "103");
    result_is(go_down(3, 4), "104");
}

static void test_result_types(void **state)
{
    (void)state;
    result_is(go_down(3, -4), "{\"list\":[1,\"two\"],\"bytes\":{\"$bytes\":\"AP8=\"}}");
}

static void test_failures_come_up(void **state)
{
    (void)state;
    call_fails(go_down(3, -1), LITHOPS_ECALL, "no leaf");
    call_fails(go_down(2, -2), LITHOPS_ECRASH, "Abort");
}

/* The outer call runs into its timeout: the processes of the inner executors end too. */
static void test_ends_with_the_outer_call(void **state)
{
    (void)state;
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.timeout_ms = 1500;
    lithops_future *future =
        not_null(lithops_call_async(fexec, descend, lithops_pack("[ii]", 2, -3), &options, &err));
    call_fails(future, LITHOPS_ETIMEOUT, "1.5 s");
    result_is(go_down(1, 5), "105");
}

static void test_maps(void **state)
{
    (void)state;
    results_are(lithops_map(fexec, inner_map, api_json("[0,1,10,100]"), NULL, &err),
                "[0,100,1045,14950]");
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depths),
        cmocka_unit_test(test_result_types),
        cmocka_unit_test(test_failures_come_up),
        cmocka_unit_test(test_ends_with_the_outer_call),
        cmocka_unit_test(test_maps),
    };
    return api_finish(cmocka_run_group_tests(tests, open_one_process, api_close_group));
}
