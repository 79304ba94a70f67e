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

static lithops_value *kit_of_another; /* kept until the process ends */

static lithops_value *copy_kit(lithops_error *err)
{
    (void)err;
    return lithops_value_copy(kit_of_another);
}

int lithops__runtime_kit_set(const lithops_value *kit, lithops_error *err)
{
    lithops_value *copy = lithops_value_copy(kit);
    if (!copy)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(kit_of_another);
    kit_of_another = copy;
    lithops_runtime_elsewhere(copy_kit);
    return 0;
}
