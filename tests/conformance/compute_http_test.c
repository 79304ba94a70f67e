/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the backend knative: a real `lithops worker --http`, and the storage
 * that tests/servers/with-redis has started between it and the client. */
#include "../integration/api.h"
#include "compute_suite.h"
#include "worker_server.h"

#include <stdlib.h>
#include <string.h>

static struct worker_server server;

static lithops_value *settings(int workers, int processes)
{
    return lithops_pack("{s:s,s:s,s:i,s:i}", "endpoint", server.url, "secret", WORKER_SERVER_SECRET,
                        "max_workers", workers, "worker_processes", processes);
}

static lithops_value *storage_settings(void)
{
    const char *text = getenv("LITHOPS_TEST_STORAGE");
    return text ? lithops_value_from_json(text, strlen(text), &err) : NULL;
}

static bool kill_worker(void)
{
    return worker_server_kill_worker(&server);
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    worker_server_start(&server, 16);
    const struct compute_suite knative = {
        .backend = "knative",
        .settings = settings,
        .kill_worker = kill_worker,
        .storage = "redis",
        .storage_settings = storage_settings,
        .monitoring = "redis", /* through the storage alone: compute_through_test */
        .sees_files = true,    /* the server is on this machine */
    };
    int failed = compute_suite_run(&knative);
    failed += worker_server_stop(&server) != 0;
    return api_finish(failed + compute_suite_left());
}
