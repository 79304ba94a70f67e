/* SPDX-License-Identifier: Apache-2.0 */
/* Run a program again and again and report how long it takes from start to exit.
 *
 *     spawn TIMES OUTPUT PROGRAM [ARGUMENT...]
 *
 * Each run must print OUTPUT. This program is small and has no threads, so that starting children
 * is cheap and costs the same for all. */
#include "bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

static double run_once(char **command, const char *expected)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        bench_die("no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    double start = bench_now();
    pid_t pid;
    if (posix_spawn(&pid, command[0], &actions, NULL, command, environ) != 0)
        bench_die("cannot start the program");
    int status;
    waitpid(pid, &status, 0);
    double seconds = bench_now() - start;
    close(fds[1]);
    char output[256] = "";
    ssize_t n = read(fds[0], output, sizeof output - 1);
    close(fds[0]);
    posix_spawn_file_actions_destroy(&actions);
    size_t len = n > 0 ? (size_t)n : 0;
    if (status != 0 || len != strlen(expected) + 1 || memcmp(output, expected, len - 1) != 0)
        bench_die("the program failed, or printed something else");
    return seconds;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        bench_die("usage: spawn TIMES OUTPUT PROGRAM [ARGUMENT...]");
    int count = (int)bench_argument(argc, argv, 1, 0);
    double *times = calloc((size_t)count + 1, sizeof *times);
    for (int i = 0; i < 3; i++)
        run_once(argv + 3, argv[2]);
    for (int i = 0; i < count; i++)
        times[i] = run_once(argv + 3, argv[2]);
    bench_report("seconds", bench_median(times, count));
    return 0;
}
