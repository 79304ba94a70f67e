/* SPDX-License-Identifier: Apache-2.0 */
/* The backend slurm where Slurm asks for credentials, and holds jobs to their memory. */
#include "fault.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

static const char *folder; /* of tests/servers/with-slurm */

static lithops_executor *open_slurm(const char *memory, int retries)
{
    return fault_open_links(
        "slurm", retries,
        lithops_pack("{s:i,s:i,s:s}", "max_workers", 1, "cpus_per_worker", 2, "memory", memory));
}

FAULT_CASE(calls_run)
{
    lithops_executor *fexec = open_slurm("200M", 0);
    fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
}

LITHOPS_FUNCTION(fill)
{
    size_t len = (size_t)lithops_call_int(call) << 20;
    char *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return LITHOPS_ENOMEM;
    for (size_t i = 0; i < len; i += 4096)
        ((volatile char *)memory)[i] = 1;
    munmap(memory, len);
    return lithops_return_int(call, 1);
}

/* The kernel kills the process that is over it, or all; the call fails either way, and its worker,
 * or the next one, runs more. */
FAULT_CASE(a_call_takes_more_than_its_job_has)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (!getenv("LITHOPS_TEST_SLURM_MEMORY"))
        fault_skip("no cgroups can be made here, so Slurm holds nobody to its memory");
    lithops_executor *fexec = open_slurm("200M", 0);
    int code = fault_call(fexec, fill, lithops_value_int(600), &err);
    if (code == LITHOPS_EMEMORY ? !strstr(err.message, "out-of-memory killer")
                                : !strstr(err.message, "raise slurm.memory"))
        fault_fail(__FILE__, __LINE__, err.message);
    fault_check_works(fexec, 100);
    lithops_executor_close(fexec);
}

/* Without munged nothing of Slurm works. */
FAULT_CASE(munged_is_killed)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = lithops_pack("{s:{s:s}}", "lithops", "backend", "slurm");
    CHECK_INT(kill(fault_pid_in(folder, "munged"), SIGKILL), 0);
    options.config = config;
    CHECK(lithops_executor_open(&options, &err) == NULL);
    if (!strstr(err.message, "'munge -n' tells when it is back") && /* srun has given up by then */
        !strstr(err.message, "'munge -n' whether munged is"))
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_value_free(config);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    folder = getenv("LITHOPS_TEST_SLURM_DIR");
    if (!folder) {
        fprintf(stderr, "run it by tests/servers/with-strict-slurm\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_run), cmocka_unit_test(a_call_takes_more_than_its_job_has),
        cmocka_unit_test(munged_is_killed), /* the last: it does not come back */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
