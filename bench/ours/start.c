/* SPDX-License-Identifier: Apache-2.0 */
/* A whole program: start, one call, its result, exit. limits/start.c is the same without Lithops.
 */
#include "ours/ours.h"

LITHOPS_FUNCTION(square)
{
    int64_t x = lithops_call_int(call);
    return lithops_return_int(call, x * x);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    lithops_executor *fexec = ours_open();
    int64_t result = 0;
    lithops_future *f =
        ours_have(lithops_call_async(fexec, square, lithops_value_int(7), NULL, &ours_error));
    ours_check(lithops_future_result(f, LITHOPS_FOREVER, &ours_error, "I", &result));
    printf("%lld\n", (long long)result);
    lithops_future_unref(f);
    lithops_executor_close(fexec);
    return 0;
}
