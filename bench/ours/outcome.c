/* SPDX-License-Identifier: Apache-2.0 */
/* The time from the start of a worker, as a platform starts its container, to the first outcome of
 * a function of this program; in between are the worker's start, a request to it, the process that
 * this starts for the storage's sake, and the function image. The client has done it before.
 *
 *     outcome TIMES LITHOPS */
#include "ours/ours.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#define SECRET "0123456789abcdef0123456789abcdef"

LITHOPS_FUNCTION(square)
{
    int64_t x = lithops_call_int(call);
    return lithops_return_int(call, x * x);
}

/* @return the port that it listens on */
static int start_worker(char *program, pid_t *ret_pid)
{
    char *command[] = {program, "worker", "--http", "--port", "0", NULL};
    posix_spawn_file_actions_t actions;
    int out[2], port = 0;
    if (pipe(out) != 0)
        bench_die("no pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    posix_spawn_file_actions_addclose(&actions, out[1]);
    if (posix_spawn(ret_pid, program, &actions, NULL, command, environ) != 0)
        bench_die("cannot start the worker");
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    FILE *lines = fdopen(out[0], "r");
    if (!lines || fscanf(lines, "listening on port %d", &port) != 1)
        bench_die("the worker does not listen");
    fclose(lines);
    return port;
}

/* The storage is the Redis of tests/servers/with-redis, which tells both sides when something is
 * there. */
static lithops_executor *open_at(int port)
{
    char endpoint[64];
    const char *text = getenv("LITHOPS_TEST_STORAGE");
    if (!text)
        bench_die("run this by tests/servers/with-redis");
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", port);
    lithops_value *storage = ours_have(lithops_value_from_json(text, strlen(text), &ours_error));
    lithops_value *config = ours_have(lithops_pack(
        "{s:{s:s,s:s,s:s},s:o,s:{s:s,s:s,s:i,s:i}}", "lithops", "backend", "knative", "storage",
        "redis", "monitoring", "redis", "redis", storage, "knative", "endpoint", endpoint, "secret",
        SECRET, "max_workers", 1, "worker_processes", 1));
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.config = config;
    lithops_executor *fexec = ours_have(lithops_executor_open(&options, &ours_error));
    lithops_value_free(config);
    return fexec;
}

static double run_once(char *program)
{
    pid_t pid;
    int64_t result = 0;
    double begin = bench_now();
    lithops_executor *fexec = open_at(start_worker(program, &pid));
    lithops_future *f =
        ours_have(lithops_call_async(fexec, square, lithops_value_int(7), NULL, &ours_error));
    ours_check(lithops_future_result(f, LITHOPS_FOREVER, &ours_error, "I", &result));
    double seconds = bench_now() - begin;
    if (result != 49)
        bench_die("a wrong result");
    lithops_future_unref(f);
    lithops_executor_close(fexec);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    return seconds;
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (argc != 3)
        bench_die("usage: outcome TIMES LITHOPS");
    int count = (int)bench_argument(argc, argv, 1, 0);
    double *times = calloc((size_t)count + 1, sizeof *times);
    if (!times || setenv("LITHOPS_WORKER_SECRET", SECRET, 1) != 0)
        bench_die("cannot begin");
    run_once(argv[2]);
    for (int i = 0; i < count; i++)
        times[i] = run_once(argv[2]);
    bench_report("seconds", bench_median(times, count));
    free(times);
    return 0;
}
