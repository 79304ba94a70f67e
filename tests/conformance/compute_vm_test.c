/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the backend vm: on hosts that are reached over SSH. */
#include "../integration/api.h"
#include "compute_suite.h"
#include "compute_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HOSTS = 3 }; /* of tests/servers/with-hosts */

static lithops_value *settings(int workers, int processes)
{
    lithops_value *hosts = lithops_value_list();
    char name[16];
    for (int i = 1; i <= workers; i++) {
        snprintf(name, sizeof name, "host%d", i);
        (void)lithops_value_append(hosts, lithops_value_string(name));
    }
    return lithops_pack("{s:o,s:i}", "hosts", hosts, "worker_processes", processes);
}

static bool kill_worker(void)
{
    bool killed = false;
    const char *hosts = getenv("LITHOPS_TEST_HOSTS_DIR");
    for (int i = 1; !killed && hosts && i <= HOSTS; i++) {
        char path[512];
        int pid = 0;
        snprintf(path, sizeof path, "%s/host%d.pid", hosts, i);
        FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%d", &pid) == 1) /* the host's first process */
            killed = compute_worker_kill("pid", pid);
        if (file)
            fclose(file);
    }
    return killed;
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct compute_suite vm = {
        .backend = "vm",
        .settings = settings,
        .kill_worker = kill_worker,
        .sees_files = true, /* the hosts share /tmp */
    };
    return api_finish(compute_suite_run(&vm));
}
