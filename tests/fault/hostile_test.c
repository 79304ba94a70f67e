/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile functions on localhost, and processes that are killed at any moment. */
#include "hostile.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { CALLS = 2000 / FAULT_SLOWER, KILLS = 300 / FAULT_SLOWER, MAP = 20000 };

FAULT_CASE(one_worker)
{
    lithops_executor *fexec = fault_open(1, NULL);
    hostile_run_all(fexec, CALLS);
    lithops_executor_close(fexec);
}

FAULT_CASE(three_workers)
{
    lithops_executor *fexec = fault_open(3, NULL);
    hostile_run_all(fexec, CALLS);
    lithops_executor_close(fexec);
}

#ifdef HOSTILE_OVER_LINKS /* the command was built: a worker is one */
/* Over a link, too, the harm stays with the call, and the link stays up. */
FAULT_CASE(over_a_link)
{
    lithops_executor *fexec = fault_open_links(
        "process", 0, lithops_pack("{s:i,s:i}", "workers", 1, "worker_processes", 2));
    hostile_run_all(fexec, CALLS);
    lithops_executor_close(fexec);
}

#endif

/* A kill costs the running call, if any; every other result is right. */
FAULT_CASE(three_hundred_kills)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = fault_open(3, NULL);
    fault_check_works(fexec, CALLS);
    int kills = 0, lost = 0;
    unsigned seed = 1;
    while (kills < KILLS) {
        lithops_futures *fs = lithops_map(fexec, fault_square, lithops_range(0, MAP), NULL, &err);
        CHECK(fs != NULL);
        while (lithops_futures_done(fs) < MAP && kills < KILLS) {
            pid_t pids[8];
            size_t count = fault_children(pids, 8);
            if (count > 0 && kill(pids[rand_r(&seed) % count], SIGKILL) == 0)
                kills++;
            usleep(rand_r(&seed) % 2000);
        }
        lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
        wait.throw_except = false;
        wait.timeout_ms = FAULT_WAIT_MS;
        CHECK_INT(lithops_wait(NULL, fs, &wait, NULL, NULL, &err), 0);
        for (size_t i = 0; i < MAP; i++) {
            int64_t x;
            if (lithops_futures_int(fs, i, &x, &err) == 0)
                CHECK_INT(x, (int64_t)(i * i));
            else if (err.code == LITHOPS_ECRASH)
                lost++;
            else
                fault_fail(__FILE__, __LINE__, err.message);
        }
        lithops_futures_unref(fs);
        CHECK_INT(lithops_clean(fexec, NULL, NULL, &err), 0);
    }
    fprintf(stderr, "%d kills cost %d calls\n", kills, lost);
    CHECK(lost <= kills);
    fault_check_works(fexec, CALLS);
    lithops_executor_close(fexec);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker),
        cmocka_unit_test(three_workers),
#ifdef HOSTILE_OVER_LINKS
        cmocka_unit_test(over_a_link),
#endif
        cmocka_unit_test(three_hundred_kills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
