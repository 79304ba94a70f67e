/* SPDX-License-Identifier: Apache-2.0 */
/* Values in, values out: one call, many calls, a call that fails. */
#include <lithops/lithops.h>

#include <stdio.h>

LITHOPS_FUNCTION(add)
{
    int64_t x, y;
    if (lithops_args(call, "II", "x", &x, "y", &y) != 0) /* by position or by name */
        return LITHOPS_EARG;
    return lithops_return(call, "I", x + y);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = lithops_executor_open(NULL, &err);
    if (!fexec)
        return lithops_error_print(&err, stderr);

    /* One call; arguments by name. */
    int64_t result;
    lithops_future *future =
        lithops_call_async(fexec, add, lithops_pack("{s:i, s:i}", "x", 2, "y", 8), NULL, &err);
    if (!future || lithops_future_result(future, LITHOPS_FOREVER, &err, "I", &result) != 0)
        return lithops_error_print(&err, stderr);
    printf("2 + 8 = %lld\n", (long long)result);
    lithops_future_unref(future);

    /* Many calls; the second argument is the same for all. */
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    lithops_value *extra = lithops_pack("{s:i}", "y", 1);
    options.extra_args = extra;
    lithops_futures *futures = lithops_map(fexec, add, lithops_range(1, 4), &options, &err);
    int64_t a, b, c;
    if (!futures || lithops_get_result(fexec, futures, NULL, &err, "[III]", &a, &b, &c) != 0)
        return lithops_error_print(&err, stderr);
    printf("[1, 2, 3] + 1 = [%lld, %lld, %lld]\n", (long long)a, (long long)b, (long long)c);
    lithops_futures_unref(futures);
    lithops_value_free(extra);

    /* A bad argument fails that call, and says why. */
    future =
        lithops_call_async(fexec, add, lithops_pack("{s:i, s:s}", "x", 2, "y", "two"), NULL, &err);
    if (lithops_future_result(future, LITHOPS_FOREVER, &err, "I", &result) != 0)
        printf("as it should: %s\n", err.message);
    lithops_future_unref(future);

    lithops_executor_close(fexec);
    return 0;
}
