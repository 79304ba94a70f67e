/* SPDX-License-Identifier: Apache-2.0 */
/* The compute backends that are compiled in. */
#include "compute/compute.h"

const struct lithops__compute_driver *const lithops__compute_drivers[] = {
    &lithops__compute_localhost,
    &lithops__compute_process,
    &lithops__compute_slurm,
    &lithops__compute_vm,
    NULL,
};
