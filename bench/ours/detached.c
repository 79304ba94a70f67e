/* SPDX-License-Identifier: Apache-2.0 */
/* Detached jobs.
 *
 *     detached start|attached ROUNDS   from opening an executor to the first result of its first
 * job detached attach CALLS            futures and state of a finished job, in another process than
 *                                      the one that ran it: how long, and how much memory */
#include "ours/ours.h"
#include "processes.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

LITHOPS_FUNCTION(square)
{
    int64_t x = lithops_call_int(call);
    return lithops_return_int(call, x * x);
}

static char folder[] = "/tmp/lithops-bench-XXXXXX";

static lithops_executor *open_one(bool detached)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = ours_have(lithops_pack("{s:{s:f}}", "lithops", "detached_idle", 0.01));
    options.mode = "localhost";
    options.config = config;
    options.detached = detached;
    lithops_executor *fexec = ours_have(lithops_executor_open(&options, &ours_error));
    lithops_value_free(config);
    return fexec;
}

/* Until the supervisor has taken the folder with it and has ended: the next round is not to share
 * the machine with that. */
static void release(lithops_value *handle)
{
    struct stat status;
    ours_check(lithops_job_release(handle, &ours_error));
    const char *path = lithops_value_get_string(lithops_value_get(handle, "folder"));
    for (int i = 0; stat(path, &status) == 0; i++) {
        if (i == 10000)
            bench_die("the supervisor does not end");
        bench_sleep_ms(1);
    }
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    lithops_value_free(handle);
}

static double start(bool detached)
{
    double begin = bench_now();
    lithops_executor *fexec = open_one(detached);
    lithops_futures *futures =
        ours_have(lithops_map(fexec, square, lithops_range(7, 8), NULL, &ours_error));
    int64_t result = 0;
    ours_check(lithops_get_result(fexec, futures, NULL, &ours_error, "[I]", &result));
    double seconds = bench_now() - begin;
    if (result != 49)
        bench_die("a wrong result");
    lithops_value *handle = detached ? ours_have(lithops_job_handle(futures, &ours_error)) : NULL;
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
    if (handle)
        release(handle);
    return seconds;
}

static int report_start(bool detached, int rounds)
{
    double *seconds = calloc((size_t)rounds, sizeof *seconds);
    for (int i = 0; i < rounds; i++)
        seconds[i] = start(detached);
    bench_report("seconds", bench_median(seconds, rounds));
    free(seconds);
    return 0;
}

/* In a process of its own, which writes the handle to a pipe. */
static int run_job(int64_t calls, int fd)
{
    lithops_executor *fexec = open_one(true);
    lithops_futures *futures =
        ours_have(lithops_map(fexec, square, lithops_range(0, calls), NULL, &ours_error));
    lithops_value *handle = ours_have(lithops_job_handle(futures, &ours_error));
    char *json = NULL;
    ours_check(lithops_value_to_json(handle, &json, &ours_error));
    ours_check(lithops_job_wait(handle, LITHOPS_FOREVER, &ours_error));
    ssize_t len = (ssize_t)strlen(json);
    return write(fd, json, (size_t)len) == len ? 0 : 1;
}

static lithops_value *have_job(int64_t calls)
{
    char json[4096];
    int fds[2], status;
    if (pipe(fds) != 0)
        bench_die("no pipe");
    pid_t child = fork();
    if (child == 0)
        _exit(run_job(calls, fds[1]));
    close(fds[1]);
    ssize_t len = read(fds[0], json, sizeof json);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0 || len <= 0)
        bench_die("the job failed");
    close(fds[0]);
    return ours_have(lithops_value_from_json(json, (size_t)len, &ours_error));
}

static int report_attach(int64_t calls)
{
    lithops_value *handle = have_job(calls);
    lithops_futures *futures = NULL;
    lithops_job_state state = LITHOPS_JOB_STATE_INIT;
    struct process_use before, after;
    processes_use(&before);
    double begin = bench_now();
    lithops_executor *fexec = ours_have(lithops_attach(handle, NULL, &futures, &ours_error));
    ours_check(lithops_job_state_read(handle, &state, &ours_error));
    double seconds = bench_now() - begin;
    processes_use(&after);
    if (state.success != (uint64_t)calls || lithops_futures_size(futures) != (size_t)calls)
        bench_die("a wrong state");
    bench_report("seconds", seconds);
    bench_report("megabytes", ((double)after.pss_bytes - (double)before.pss_bytes) / 1e6);
    ours_check(lithops_wait(fexec, futures, NULL, NULL, NULL, &ours_error));
    bench_report("seconds_all", bench_now() - begin);
    processes_use(&after);
    bench_report("megabytes_all", ((double)after.pss_bytes - (double)before.pss_bytes) / 1e6);
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
    release(handle);
    return 0;
}

static void remove_folder(void)
{
    static const char *const parts[] = {"/lithops/jobs/.swept", "/lithops/jobs", "/lithops", ""};
    char path[128];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%s%s", folder, parts[i]);
        (void)remove(path);
    }
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (argc != 3 || !mkdtemp(folder))
        bench_die("start|attached ROUNDS, or attach CALLS");
    setenv("XDG_STATE_HOME", folder, 1);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) /* supervisors become its children */
        bench_die("prctl");
    int number = (int)bench_argument(argc, argv, 2, 1);
    int rc = strcmp(argv[1], "attach") == 0 ? report_attach(number)
                                            : report_start(strcmp(argv[1], "start") == 0, number);
    remove_folder();
    return rc;
}
