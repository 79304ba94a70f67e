/* SPDX-License-Identifier: Apache-2.0 */
/* What the command does where calls run on nodes of a Slurm. */
#include "fault.h"

#include <stdio.h>
#include <unistd.h>

static const char *folder; /* of tests/servers/with-slurm */
static const char yaml[] = "lithops: {backend: slurm}\n"
                           "slurm: {max_workers: 2, cpus_per_worker: 1, partition: batch}\n";

static lithops_executor *open_slurm(int nodes)
{
    return fault_open_links("slurm", 0,
                            lithops_pack("{s:i,s:i,s:i}", "max_workers", nodes, "min_workers",
                                         nodes, "cpus_per_worker", 1));
}

/* `lithops ARGUMENTS` ends so, and prints both texts. */
static void says(const char *settings, const char *arguments, int status, const char *text,
                 const char *more)
{
    static char said[65536];
    int ended = fault_command(FAULT_COMMAND, folder, settings, arguments, said, sizeof said);
    if (ended != status || !strstr(said, text) || !strstr(said, more))
        fault_fail(__FILE__, __LINE__, said);
}

FAULT_CASE(config_check_asks_slurm)
{
    says(yaml, "config check --online", 0,
         "slurm: Slurm takes the options; a worker is to start at", "partition batch");
    says("lithops: {backend: slurm}\nslurm: {partition: nowhere}\n", "config check --online", 3,
         "invalid partition specified: nowhere", "set slurm.partition");
}

FAULT_CASE(the_command_tests_nodes)
{
    says(yaml, "test", 0, "passed  map_reduce", "5 passed, 0 failed");
}

FAULT_CASE(a_job_is_stopped_from_elsewhere)
{
    lithops_executor *fexec = open_slurm(2);
    fault_check_works(fexec, 10);
    fault_stops_job(FAULT_COMMAND, folder, yaml, fexec, 5, 2);
    fault_stops_job_elsewhere(FAULT_COMMAND, folder, yaml, fexec, 20, 2);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
}

/* Find the worker of this process's executor, "n1/17", whose call runs; "": none does yet. */
static void find_worker(const char *executor, char *name, size_t size)
{
    char list[65536], *rest = NULL;
    CHECK_INT(fault_command(FAULT_COMMAND, folder, yaml, "worker list", list, sizeof list), 0);
    name[0] = '\0';
    for (char *line = strtok_r(list, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        long running = 0;
        const char *own = strstr(line, executor);
        if (line[0] == 'n' && own && sscanf(own, "%*s %*d %ld", &running) == 1 && running == 1)
            snprintf(name, size, "%.*s", (int)strcspn(line, " "), line);
    }
}

FAULT_CASE(workers_are_listed_and_stopped)
{
    char name[64] = "", arguments[128];
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slurm(1);
    lithops_future *nap =
        lithops_call_async(fexec, fault_nap, lithops_value_int(600000), NULL, &err);
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while (!name[0]) {
        CHECK(fault_now() < limit);
        find_worker(lithops_executor_id(fexec), name, sizeof name);
    }
    snprintf(arguments, sizeof arguments, "worker stop %s", name);
    says(yaml, arguments, 0, "1 workers stopped", "");
    CHECK_INT(fault_outcome(nap, &err), LITHOPS_ECRASH);
    if (!strstr(err.message, "it was stopped there by 'lithops worker stop'"))
        fault_fail(__FILE__, __LINE__, err.message);
    says(yaml, "worker stop n99/1", 2, "no worker of yours runs on a node 'n99'", "worker list");
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    folder = getenv("LITHOPS_TEST_SLURM_DIR");
    if (!folder) {
        fprintf(stderr, "run it by tests/servers/with-slurm\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_check_asks_slurm),
        cmocka_unit_test(the_command_tests_nodes),
        cmocka_unit_test(a_job_is_stopped_from_elsewhere),
        cmocka_unit_test(workers_are_listed_and_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
