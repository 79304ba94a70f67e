/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite over the backend k8s: in pods of a real Kubernetes, with an S3 server
 * between them and the client. */
#include "../integration/api.h"
#include "compute_k8s.h"
#include "compute_suite.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lithops_value *settings(int workers, int processes)
{
    static const char template[] = COMPUTE_K8S_TEMPLATE("");
    return lithops_pack("{s:s,s:i,s:i,s:i,s:o}", "runtime", COMPUTE_K8S_IMAGE, "max_workers",
                        workers, "worker_processes", processes, "runtime_cpu", 1, "job_template",
                        lithops_value_from_json(template, strlen(template), &err));
}

static lithops_value *storage_settings(void)
{
    return lithops_pack("{s:s,s:s,s:s,s:s}", "endpoint", getenv("LITHOPS_TEST_S3_ENDPOINT"),
                        "access_key_id", getenv("LITHOPS_TEST_S3_ACCESS_KEY"), "secret_access_key",
                        getenv("LITHOPS_TEST_S3_SECRET_KEY"), "storage_bucket", "jobs");
}

/* Pods are below this test's process namespace. The name is all that differs from a process that
 * the suite has here. */
static bool kill_worker(void)
{
    bool killed = false;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && !killed && (entry = readdir(dir));) {
        char path[300], text[256] = "";
        static const char words[] = "lithops\0worker\0--through";
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        FILE *file = isdigit((unsigned char)entry->d_name[0]) ? fopen(path, "re") : NULL;
        size_t len = file ? fread(text, 1, sizeof text, file) : 0;
        if (file)
            fclose(file);
        if (len > sizeof words && memcmp(text, words, sizeof words) == 0)
            killed = kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL) == 0;
    }
    if (dir)
        closedir(dir);
    return killed;
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct compute_suite k8s = {
        .backend = "k8s",
        .settings = settings,
        .kill_worker = kill_worker,
        .storage = "aws_s3",
        .storage_settings = storage_settings,
    };
    return api_finish(compute_suite_run(&k8s));
}
