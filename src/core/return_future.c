/* SPDX-License-Identifier: Apache-2.0 */
/* Returning the result of another call from a call: a worker process may have executors of its own.
 */
#include "worker/result.h"

#include <lithops/future.h>

int lithops_return_future(lithops_call *call, lithops_future *future)
{
    const lithops_value *value;
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = lithops_future_value(future, LITHOPS_FOREVER, &value, &err);
    return rc == 0 ? lithops__return_borrowed(call, value) : lithops_fail_error(call, &err);
}
