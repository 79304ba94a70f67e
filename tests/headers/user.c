/* SPDX-License-Identifier: Apache-2.0 */
/* A program as a user may write it, in C or C++, with warnings as errors. It uses every macro of
 * the public headers once, and is compiled but never run. */
#include <lithops/lithops.h>
#include <lithops/plugin/storage.h>

LITHOPS_FUNCTION(one)
{
    return lithops_return(call, "i", 1);
}

LITHOPS_FUNCTION(two)
{
    return lithops_fail(call, "no %s", "two");
}

#define WORD(name, value, word) +(sizeof(word) > 0 && (name) == (value))

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options executor = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_call_options call = LITHOPS_CALL_OPTIONS_INIT;
    lithops_map_options map = LITHOPS_MAP_OPTIONS_INIT;
    lithops_map_reduce_options map_reduce = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    lithops_wait_options wait_options = LITHOPS_WAIT_OPTIONS_INIT;
    lithops_plot_options plot = LITHOPS_PLOT_OPTIONS_INIT;
    lithops_clean_options clean = LITHOPS_CLEAN_OPTIONS_INIT;
    lithops_executor *fexec = lithops_executor_open(&executor, &err);
    lithops_future *future = lithops_call_async(fexec, one, lithops_value_null(), &call, &err);
    lithops_futures *futures = lithops_map(fexec, two, lithops_range(0, 2), &map, &err);
    int64_t n = LITHOPS_DEFAULT;
    map_reduce.timeout_ms = LITHOPS_FOREVER;
    wait_options.return_when = LITHOPS_ANY + LITHOPS_ALL + LITHOPS_ALWAYS;
    if (lithops_map_reduce(fexec, one, lithops_strings(argv), two, &map_reduce, NULL, &err) != 0 ||
        lithops_get_result(fexec, NULL, &wait_options, &err, "I", &n) != 0)
        return lithops_error_print(&err, stderr);
    lithops_plot(fexec, futures, NULL, &plot, NULL);
    lithops_clean(fexec, futures, &clean, NULL);
    lithops_futures_unref(futures);
    lithops_future_unref(future);
    lithops_executor_close(fexec);
    return LITHOPS_STORAGE_ABI + LITHOPS_VERSION_MAJOR + LITHOPS_VERSION_MINOR +
           LITHOPS_VERSION_PATCH LITHOPS_ERROR_CODES(WORD) + (LITHOPS_VERSION[0] == 0);
}
