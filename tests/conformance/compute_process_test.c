/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the backend process, with the transport that LITHOPS_TEST_TRANSPORT
 * names. */
#include "../integration/api.h"
#include "compute_suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static lithops_value *settings(int workers, int processes)
{
    const char *transport = getenv("LITHOPS_TEST_TRANSPORT");
    return lithops_pack("{s:i,s:i,s:s}", "workers", workers, "worker_processes", processes,
                        "transport", transport ? transport : "socket");
}

static bool kill_worker(void)
{
    pid_t pid = 0;
    return api_child(&pid) && kill(pid, SIGKILL) == 0;
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct compute_suite process = {
        .backend = "process",
        .settings = settings,
        .kill_worker = kill_worker,
        .sees_files = true,
    };
    return api_finish(compute_suite_run(&process));
}
