/* SPDX-License-Identifier: Apache-2.0 */
/* How worker processes of a runtime start where none of this machine's files are. */
#include "function/elsewhere.h"

#include "base/error.h"

#include <stdatomic.h>

static _Atomic(lithops_runtime_kit_fn) kit_of_runtime;

void lithops_runtime_elsewhere(lithops_runtime_kit_fn make)
{
    atomic_store(&kit_of_runtime, make);
}

lithops_value *lithops__runtime_kit(lithops_error *err)
{
    lithops_runtime_kit_fn make = atomic_load(&kit_of_runtime);
    lithops_value *kit = make ? make(err) : lithops_value_map();
    if (!kit && err->code == 0)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return kit;
}
