/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the backend slurm: on nodes that a real Slurm allocates, with the
 * transport that LITHOPS_TEST_TRANSPORT names. */
#include "../integration/api.h"
#include "compute_suite.h"
#include "compute_worker.h"

#include <stdlib.h>
#include <unistd.h>

static lithops_value *settings(int workers, int processes)
{
    const char *transport = getenv("LITHOPS_TEST_TRANSPORT");
    return lithops_pack("{s:i,s:i,s:i,s:s}", "max_workers", workers, "worker_processes", processes,
                        "cpus_per_worker", 1, "transport", transport ? transport : "srun");
}

/* Nodes are in the test's own network. */
static bool kill_worker(void)
{
    return compute_worker_kill("net", getpid());
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct compute_suite slurm = {
        .backend = "slurm",
        .settings = settings,
        .kill_worker = kill_worker,
        .sees_files = true, /* the nodes share /tmp */
    };
    return api_finish(compute_suite_run(&slurm));
}
