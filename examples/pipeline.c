/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that follow each other, results as they come, and a call that takes too long.
 *
 * A map over futures starts each call when its input is there: nobody waits for a whole step. */
#include <lithops/lithops.h>

#include <stdio.h>
#include <unistd.h>

LITHOPS_FUNCTION(measure)
{
    int64_t sensor = lithops_call_int(call);
    usleep((useconds_t)(8 - sensor) * 20000); /* the last one is the fastest */
    if (sensor == 3)
        return lithops_fail(call, "sensor %d does not answer", (int)sensor);
    return lithops_return(call, "{s:I, s:f}", "sensor", sensor, "celsius", 20 + (double)sensor / 2);
}

LITHOPS_FUNCTION(to_fahrenheit)
{
    int64_t sensor;
    double celsius;
    if (lithops_args(call, "If", "sensor", &sensor, "celsius", &celsius) != 0)
        return LITHOPS_EARG;
    return lithops_return(call, "[I, f]", sensor, celsius * 9 / 5 + 32);
}

LITHOPS_FUNCTION(never_ends)
{
    while (!lithops_call_is_canceled(call))
        pause();
    return 0;
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = lithops_executor_open(NULL, &err);
    if (!fexec)
        return lithops_error_print(&err, stderr);

    lithops_futures *measured = lithops_map(fexec, measure, lithops_range(1, 8), NULL, &err);
    lithops_futures *converted =
        measured ? lithops_map_futures(fexec, to_fahrenheit, measured, NULL, &err) : NULL;
    if (!converted)
        return lithops_error_print(&err, stderr);

    /* Each as soon as it is done; a failed step fails what follows from it, and nothing else. */
    lithops_future *future;
    while ((future = lithops_futures_as_completed(converted, LITHOPS_FOREVER)) != NULL) {
        int64_t sensor;
        double fahrenheit;
        if (lithops_future_result(future, LITHOPS_FOREVER, &err, "[If]", &sensor, &fahrenheit) == 0)
            printf("sensor %d: %.1f F\n", (int)sensor, fahrenheit);
        else
            printf("as it should: %s\n", err.message);
        lithops_future_unref(future);
    }
    lithops_futures_unref(converted);
    lithops_futures_unref(measured);

    /* Every call can have a limit; its process ends with it, and another one takes its place. */
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    options.timeout_ms = 200;
    future = lithops_call_async(fexec, never_ends, lithops_value_null(), &options, &err);
    if (lithops_future_wait(future, LITHOPS_FOREVER, &err) == 0 &&
        lithops_future_error(future, &err) == LITHOPS_ETIMEOUT)
        printf("as it should: %s\n", err.message);
    lithops_future_unref(future);

    lithops_executor_close(fexec);
    return 0;
}
