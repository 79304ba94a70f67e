/* SPDX-License-Identifier: Apache-2.0 */
/* The backend slurm over a real Slurm: what it refuses, how workers come and go, how allocations
 * end, and that none is left. */
#include "fault.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *folder; /* of tests/servers/with-slurm */

/* `settings` is JSON for the section slurm. */
static lithops_value *section(const char *settings)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *value = lithops_value_from_json(settings, strlen(settings), &err);
    if (!value)
        fault_fail(__FILE__, __LINE__, err.message);
    return value;
}

static lithops_executor *open_slurm(const char *settings, int retries)
{
    return fault_open_links("slurm", retries, section(settings));
}

/* Run a program of Slurm's, and read what it says. */
static void ask(const char *command, char *buf, size_t size)
{
    FILE *pipe = popen(command, "re");
    CHECK(pipe != NULL);
    buf[fread(buf, 1, size - 1, pipe)] = '\0';
    CHECK_INT(pclose(pipe), 0);
}

static size_t count_jobs(const char *states)
{
    char command[128], text[4096];
    size_t lines = 0;
    snprintf(command, sizeof command, "squeue --noheader --states=%s --format=%%i", states);
    ask(command, text, sizeof text);
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    return lines;
}

/* Until so many jobs are in one of these states. Slurm tells nobody, so it is asked. */
static void await_jobs(const char *states, size_t count)
{
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while (count_jobs(states) != count) {
        if (fault_now() > limit)
            fault_fail(__FILE__, __LINE__, states);
        poll(NULL, 0, 50);
    }
}

static void nothing_is_left(void)
{
    await_jobs("PENDING,RUNNING,CONFIGURING,COMPLETING", 0);
}

static void act(const char *command)
{
    char text[1024];
    ask(command, text, sizeof text);
}

LITHOPS_FUNCTION(square_slowly)
{
    int64_t n = lithops_call_int(call);
    poll(NULL, 0, (int)(n % 7));
    return lithops_return_int(call, n * n);
}

/* ---- what is refused ------------------------------------------------------------------------- */

/* It cannot be opened, and the message has both texts. */
static void is_refused(const char *settings, const char *text, const char *advice)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = lithops_pack("{s:{s:s}}", "lithops", "backend", "slurm");
    lithops_value *own = section(settings);
    options.config = config;
    options.settings = own;
    CHECK(lithops_executor_open(&options, &err) == NULL);
    if (!strstr(err.message, text) || !strstr(err.message, advice))
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_value_free(config);
    lithops_value_free(own);
}

FAULT_CASE(images_are_refused)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *settings = section("{\"runtime\": \"me/science:1\"}");
    options.backend = "slurm";
    options.settings = settings;
    CHECK(lithops_executor_open(&options, &err) == NULL);
    CHECK_INT(err.code, LITHOPS_ECONFIG);
    if (!strstr(err.message, "the runtime of slurm is 'me/science:1', and nodes run no images"))
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_value_free(settings);
}

FAULT_CASE(options_that_slurm_refuses)
{
    is_refused("{\"partition\": \"nowhere\"}", "invalid partition specified: nowhere",
               "set slurm.partition");
    is_refused("{\"memory\": \"900G\"}", "node configuration is not available",
               "lower slurm.cpus_per_worker or slurm.memory");
    is_refused("{\"cpus_per_worker\": 100}", "node configuration is not available", "'sinfo");
    is_refused("{\"time\": \"soon\"}", "Invalid --time specification", "slurm.time is not a time");
    is_refused("{\"memory\": \"much\"}", "Invalid --mem specification",
               "slurm.memory is not a size");
    is_refused("{\"sbatch_args\": [\"--constraint=quantum\"]}", "Invalid feature specification",
               "--constraint in slurm.sbatch_args");
    is_refused("{\"sbatch_args\": [\"--gres=gpu:1\"]}", "generic resource",
               "--gres in slurm.sbatch_args");
    is_refused("{\"sbatch_args\": [\"--bogus\"]}", "unrecognized option '--bogus'",
               "correct slurm.sbatch_args");
    is_refused("{\"time\": [1]}", "slurm.time must be as Slurm writes it", "minutes");
    is_refused("{\"max_workers\": 2, \"min_workers\": 3}", "slurm.min_workers",
               "above slurm.max_workers");
    nothing_is_left();
}

FAULT_CASE(no_slurm_is_here)
{
    setenv("PATH", "/nowhere", 1);
    is_refused("{}", "there is no program 'srun' here", "on a login node");
}

/* Without a database of accounts Slurm takes any, so here srun is a script that says what the real
 * one says. */
FAULT_CASE(an_account_that_is_not_known)
{
    char bin[] = "/tmp/lithops-srun-XXXXXX", path[64];
    CHECK(mkdtemp(bin) != NULL);
    snprintf(path, sizeof path, "%s/srun", bin);
    FILE *script = fopen(path, "we");
    CHECK(script != NULL);
    fputs("#!/bin/sh\necho 'srun: error: Unable to allocate resources: Invalid account or "
          "account/partition combination specified' >&2\nexit 1\n",
          script);
    CHECK_INT(fclose(script), 0);
    CHECK_INT(chmod(path, 0700), 0);
    setenv("PATH", bin, 1);
    is_refused("{\"account\": \"nobody\"}", "slurm.account is 'nobody'",
               "'sacctmgr show assoc user=$USER' lists yours");
    CHECK_INT(unlink(path), 0);
    CHECK_INT(rmdir(bin), 0);
}

/* A call fails, with both texts, and no job is left. */
static void call_fails(const char *settings, const char *text, const char *advice)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slurm(settings, 0);
    CHECK_INT(fault_call(fexec, fault_square, lithops_value_int(3), &err), LITHOPS_EBACKEND);
    if (!strstr(err.message, text) || !strstr(err.message, advice))
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_executor_close(fexec);
    nothing_is_left();
}

/* Slurm takes such a job, and never starts it. */
FAULT_CASE(a_time_that_the_partition_does_not_give)
{
    call_fails("{\"partition\": \"short\", \"time\": 30}", "PartitionTimeLimit",
               "slurm.time is longer than the partition allows");
}

FAULT_CASE(calls_that_come_later_try_again)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slurm("{\"partition\": \"short\", \"time\": 2}", 0);
    CHECK_INT(fault_call(fexec, fault_square, lithops_value_int(3), &err), LITHOPS_EBACKEND);
    act("scontrol update PartitionName=short MaxTime=2");
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    act("scontrol update PartitionName=short MaxTime=1");
    nothing_is_left();
}

/* What fails again and again is paused, and says why. */
FAULT_CASE(jobs_that_are_cancelled_while_they_wait)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slurm("{\"partition\": \"down\", \"max_workers\": 1}", 0);
    lithops_future *future =
        lithops_call_async(fexec, fault_square, lithops_value_int(3), NULL, &err);
    for (int i = 0; i < 3; i++) {
        await_jobs("PENDING", 1);
        act("scancel --state=PENDING --user=$(id -u)");
        await_jobs("PENDING", 0);
    }
    CHECK_INT(fault_outcome(future, &err), LITHOPS_EBACKEND);
    if (!strstr(err.message, "the job was cancelled while it waited"))
        fault_fail(__FILE__, __LINE__, err.message);
    CHECK_INT(count_jobs("PENDING,RUNNING"), 0);
    lithops_executor_close(fexec);
}

/* ---- coming and going ------------------------------------------------------------------------ */

FAULT_CASE(workers_come_with_calls_and_go)
{
    lithops_executor *fexec =
        open_slurm("{\"max_workers\": 3, \"cpus_per_worker\": 2, \"idle_timeout\": 1}", 0);
    CHECK_INT(count_jobs("PENDING,RUNNING"), 0);
    fault_check_works(fexec, 1);
    await_jobs("RUNNING", 1); /* one call needs one */
    fault_check_works(fexec, 1000);
    nothing_is_left(); /* though it is open */
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    nothing_is_left();
}

FAULT_CASE(as_many_as_the_calls_need)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec =
        open_slurm("{\"max_workers\": 4, \"cpus_per_worker\": 2, \"idle_timeout\": 1000}", 0);
    lithops_futures *futures =
        lithops_map(fexec, fault_nap, lithops_range(600000, 600005), NULL, &err);
    await_jobs("RUNNING", 3);
    CHECK(lithops_futures_cancel(futures) > 0);
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
    nothing_is_left();
}

FAULT_CASE(some_are_kept)
{
    lithops_executor *fexec =
        open_slurm("{\"max_workers\": 4, \"min_workers\": 1, \"idle_timeout\": 1}", 0);
    await_jobs("RUNNING", 1);
    fault_check_works(fexec, 1000);
    await_jobs("RUNNING", 1);
    lithops_executor_close(fexec);
    nothing_is_left();
}

/* What waits in the queue for calls that are gone is given up, too. */
FAULT_CASE(what_is_not_needed_any_more_leaves_the_queue)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec =
        open_slurm("{\"partition\": \"down\", \"max_workers\": 2, \"idle_timeout\": 1}", 0);
    lithops_futures *futures = lithops_map(fexec, fault_square, lithops_range(0, 9), NULL, &err);
    await_jobs("PENDING", 2);
    CHECK(lithops_futures_cancel(futures) > 0);
    nothing_is_left();
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
}

FAULT_CASE(closing_takes_jobs_out_of_the_queue)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slurm("{\"partition\": \"down\", \"max_workers\": 3}", 0);
    lithops_futures *futures = lithops_map(fexec, fault_square, lithops_range(0, 9), NULL, &err);
    await_jobs("PENDING", 3);
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
    nothing_is_left();
    CHECK_INT(fault_children(NULL, 0), 0);
}

/* ---- how allocations end --------------------------------------------------------------------- */

enum { CALLS = 600 };

/* All calls have the right results, although something happens to one of two workers. */
static void survives(const char *settings, void (*happens)(void))
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slurm(settings, 3);
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.timeout_ms = FAULT_WAIT_MS;
    lithops_futures *futures =
        lithops_map(fexec, square_slowly, lithops_range(0, CALLS), NULL, &err);
    await_jobs("RUNNING", 2);
    while (lithops_futures_done(futures) < CALLS / 10)
        sched_yield();
    happens();
    if (lithops_wait(NULL, futures, &options, NULL, NULL, &err) != 0)
        fault_fail(__FILE__, __LINE__, err.message);
    (void)fault_check_squares(futures, CALLS, 0);
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
    nothing_is_left();
}

#define TWO_WORKERS "{\"max_workers\": 2, \"cpus_per_worker\": 1, \"worker_lost_timeout\": 3}"

static void cancel_one(void)
{
    act("scancel $(squeue --noheader --states=RUNNING --format=%i | head -n 1)");
}

FAULT_CASE(a_job_is_cancelled)
{
    survives(TWO_WORKERS, cancel_one);
}

/* All of this Slurm are in one network, with the test. */
static bool is_of_this_slurm(const char *pid)
{
    char path[300], own[64] = "", other[64] = "";
    snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
    return readlink("/proc/self/ns/net", own, sizeof own - 1) > 0 &&
           readlink(path, other, sizeof other - 1) > 0 && strcmp(own, other) == 0;
}

/* Processes whose command line begins with so. @return how many were sent it */
static size_t send_to(const char *begin, int signal, size_t most)
{
    char path[300], text[256];
    size_t count = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && count < most && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t len = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
        text[len > 0 ? len : 0] = '\0';
        if (fd >= 0)
            close(fd);
        if (len > 0 && strncmp(text, begin, strlen(begin)) == 0 && is_of_this_slurm(entry->d_name))
            count += kill((pid_t)strtol(entry->d_name, NULL, 10), signal) == 0;
    }
    if (dir)
        closedir(dir);
    return count;
}

static void kill_slurmstepd(void)
{
    CHECK(send_to("slurmstepd: [", SIGKILL, 1) == 1);
}

FAULT_CASE(slurmstepd_is_killed)
{
    survives(TWO_WORKERS, kill_slurmstepd);
}

static void kill_srun(void)
{
    CHECK(send_to("srun", SIGKILL, 1) == 1);
}

FAULT_CASE(srun_is_killed)
{
    survives(TWO_WORKERS, kill_srun);
}

/* A job of a partition that goes first takes the nodes. */
static void preempt(void)
{
    act("srun --partition=urgent --exclusive --nodes=3 true");
}

FAULT_CASE(a_job_is_preempted)
{
    survives(TWO_WORKERS, preempt);
}

/* path -> never; the file tells that it has begun */
LITHOPS_FUNCTION(begin_and_stay)
{
    const char *path = lithops_value_get_string(lithops_call_input(call));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    for (volatile bool for_ever = true; for_ever;)
        pause();
    return lithops_return_int(call, 0);
}

/* On a worker with two processes. */
static lithops_future *start_and_stay(lithops_executor *fexec)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    char path[512];
    snprintf(path, sizeof path, "%s/begun", folder);
    lithops_future *future =
        lithops_call_async(fexec, begin_and_stay, lithops_value_string(path), NULL, &err);
    while (access(path, F_OK) != 0)
        poll(NULL, 0, 10);
    unlink(path);
    fault_check_works(fexec, 1); /* whose outcome comes behind the news that the other has begun */
    return future;
}

/* A call that runs on when its worker's job is cancelled ends with an error that says so. */
FAULT_CASE(a_lost_call_says_why)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slurm("{\"max_workers\": 1, \"cpus_per_worker\": 2}", 0);
    lithops_future *future = start_and_stay(fexec);
    cancel_one();
    CHECK_INT(fault_outcome(future, &err), LITHOPS_ECRASH);
    if (!strstr(err.message, "its job was cancelled"))
        fault_fail(__FILE__, __LINE__, err.message);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    nothing_is_left();
}

LITHOPS_FUNCTION(which_job)
{
    const char *job = getenv("SLURM_JOB_ID");
    return lithops_return_int(call, job ? strtol(job, NULL, 10) : 0);
}

static int64_t job_of_call(lithops_executor *fexec, int64_t timeout_ms)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_call_options options = LITHOPS_CALL_OPTIONS_INIT;
    int64_t job = 0;
    options.timeout_ms = timeout_ms;
    lithops_future *future =
        lithops_call_async(fexec, which_job, lithops_value_int(0), &options, &err);
    CHECK(future != NULL);
    if (lithops_future_result(future, FAULT_WAIT_MS, &err, "I", &job) != 0)
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_future_unref(future);
    return job;
}

/* Slurm's shortest is a minute, and it looks twice a minute which jobs are over. */
FAULT_CASE(the_wall_time_is_over)
{
    alarm(4 * FAULT_CASE_S);
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = open_slurm(
        "{\"max_workers\": 2, \"cpus_per_worker\": 2, \"time\": 1, \"idle_timeout\": 1000}", 0);
    lithops_future *stays = start_and_stay(fexec);
    int64_t first = job_of_call(fexec, LITHOPS_DEFAULT);
    double start = fault_now();
    CHECK_INT(job_of_call(fexec, 20000), first); /* there is so much time */
    while (fault_now() < start + 15)
        fault_check_works(fexec, 20);
    CHECK(job_of_call(fexec, 55000) != first);             /* there is not */
    while (lithops_future_state(stays) == LITHOPS_RUNNING) /* nothing else is lost meanwhile */
        fault_check_works(fexec, 20);
    CHECK_INT(fault_outcome(stays, &err), LITHOPS_ECRASH);
    if (!strstr(err.message, "the wall time of its allocation was over: slurm.time sets it"))
        fault_fail(__FILE__, __LINE__, err.message);
    fault_check_works(fexec, 20);
    lithops_executor_close(fexec);
    nothing_is_left();
}

/* ---- the controller ends --------------------------------------------------------------------- */

static void hold_path(char *buf, size_t size)
{
    snprintf(buf, size, "%s/hold", folder);
}

/* What it forgets with its end is Slurm's own matter: it writes its state every few seconds. */
static void await_saved_state(void)
{
    char path[512];
    struct stat before, now;
    snprintf(path, sizeof path, "%s/state/job_state", folder);
    if (stat(path, &before) != 0)
        before = (struct stat){.st_ino = 0};
    act("scontrol update Comment=saved JobId=$(squeue --noheader --states=RUNNING --format=%i | "
        "head -n 1)");
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while (stat(path, &now) != 0 || now.st_ino == before.st_ino) { /* it makes a new file */
        CHECK(fault_now() < limit);
        poll(NULL, 0, 50);
    }
}

/* It is down until release_controller(). */
static void kill_controller(void)
{
    char path[512];
    await_saved_state();
    hold_path(path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
    pid_t controller = fault_pid_in(folder, "slurmctld");
    CHECK_INT(kill(controller, SIGKILL), 0);
    CHECK(fault_is_gone(controller, FAULT_WAIT_MS));
}

/* Nodes report to it anew, and until then get no jobs. */
static void await_nodes(void)
{
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    static const char ready[] = "[ $(sinfo --noheader --Node --partition=batch --format=%T | "
                                "grep -c -E '^(idle|mixed|allocated)$') = 3 ]";
    while (system(ready) != 0) /* NOLINT(cert-env33-c) */
        CHECK(fault_now() < limit);
}

static void release_controller(void)
{
    char path[512];
    hold_path(path, sizeof path);
    CHECK_INT(unlink(path), 0);
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while (system("scontrol ping | grep -q UP") != 0) /* NOLINT(cert-env33-c) */
        CHECK(fault_now() < limit);
}

static void restart_controller(void)
{
    kill_controller();
    release_controller();
}

FAULT_CASE(slurmctld_is_killed_and_restarted)
{
    survives(TWO_WORKERS, restart_controller);
    await_nodes();
}

/* Workers that are there go on without it; it learns of their end when it is back. */
FAULT_CASE(slurmctld_is_away)
{
    lithops_executor *fexec = open_slurm("{\"max_workers\": 1, \"cpus_per_worker\": 2}", 0);
    fault_check_works(fexec, 10);
    kill_controller();
    fault_check_works(fexec, 1000);
    is_refused("{}", "slurmctld does not answer", "scontrol ping");
    lithops_executor_close(fexec);
    release_controller();
    await_jobs("PENDING,RUNNING,CONFIGURING", 0); /* the guard of srun has cancelled it */
    (void)send_to("slurmstepd: [", SIGKILL, 1);   /* it would wait a minute to report its end */
    nothing_is_left();
    await_nodes();
    fexec = open_slurm("{\"max_workers\": 1}", 0);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    nothing_is_left();
}

/* ---- the client ends ------------------------------------------------------------------------- */

static pid_t start_client(const char *settings)
{
    pid_t client = fork();
    if (client == 0) {
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_executor *fexec = open_slurm(settings, 0);
        (void)lithops_map(fexec, fault_nap, lithops_range(600000, 600002), NULL, &err);
        pause();
    }
    return client;
}

static void kill_client(pid_t client)
{
    CHECK_INT(kill(client, SIGKILL), 0);
    CHECK_INT(waitpid(client, NULL, 0), client);
    double start = fault_now();
    nothing_is_left();
    CHECK(fault_now() - start < 20 * FAULT_SLOWER);
}

FAULT_CASE(the_client_is_killed)
{
    pid_t client = start_client("{\"max_workers\": 2}");
    await_jobs("RUNNING", 2);
    kill_client(client);
}

FAULT_CASE(the_client_is_killed_while_jobs_wait)
{
    pid_t client = start_client("{\"max_workers\": 2, \"partition\": \"down\"}");
    await_jobs("PENDING", 2);
    kill_client(client);
}

/* ---- over TCP -------------------------------------------------------------------------------- */

#define OVER_TCP "\"transport\": \"tcp\", \"max_workers\": 2, \"cpus_per_worker\": 1"

FAULT_CASE(a_job_over_tcp_is_cancelled)
{
    survives("{" OVER_TCP ", \"worker_lost_timeout\": 3}", cancel_one);
}

FAULT_CASE(workers_over_tcp_go)
{
    lithops_executor *fexec = open_slurm("{" OVER_TCP ", \"idle_timeout\": 1}", 0);
    fault_check_works(fexec, 1000);
    nothing_is_left(); /* though it is open */
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    nothing_is_left();
    CHECK_INT(fault_children(NULL, 0), 0);
}

FAULT_CASE(nodes_that_cannot_reach_the_client)
{
    call_fails(
        "{" OVER_TCP ", \"tcp_address\": \"192.0.2.7\", \"tcp_port\": \"16900-16999\"}",
        "has not connected to 192.0.2.7:16900: ", "set slurm.tcp_address and slurm.tcp_port");
}

FAULT_CASE(the_client_over_tcp_is_killed)
{
    int ends[2];
    char byte;
    CHECK_INT(pipe(ends), 0);
    pid_t client = fork();
    if (client == 0) {
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops_executor *fexec = open_slurm("{" OVER_TCP "}", 0);
        fault_check_works(fexec, 1);
        (void)lithops_map(fexec, fault_nap, lithops_range(600000, 600002), NULL, &err);
        (void)!write(ends[1], "", 1);
        pause();
    }
    close(ends[1]);
    CHECK_INT(read(ends[0], &byte, 1), 1); /* a link is up */
    kill_client(client);
}

/* ---- a node ends ----------------------------------------------------------------------------- */

/* Only here: a node that is busy with other tests may not answer for so long. */
static void hold_silent_nodes_for_dead(void)
{
    act("sed -i s/^SlurmdTimeout=.*/SlurmdTimeout=3/ $SLURM_CONF && scontrol reconfigure");
}

static pid_t pid_of(const char *node)
{
    return fault_pid_in(folder, node);
}

/* Its steps go on, until Slurm holds the node for dead. */
static void kill_slurmd(void)
{
    hold_silent_nodes_for_dead();
    pid_t children[8];
    size_t count = fault_children_of(pid_of("n3"), children, 8);
    CHECK(count > 0);
    for (size_t i = 0; i < count; i++)
        CHECK_INT(kill(children[i], SIGKILL), 0);
}

FAULT_CASE(slurmd_is_killed)
{
    survives("{\"max_workers\": 2, \"worker_lost_timeout\": 3, \"sbatch_args\": "
             "[\"--exclude=n1\", \"--exclusive\"]}",
             kill_slurmd);
}

static void kill_node(void)
{
    hold_silent_nodes_for_dead();
    CHECK_INT(kill(pid_of("n2"), SIGKILL), 0);
}

/* As a machine that loses its power. */
FAULT_CASE(a_node_is_killed)
{
    survives("{\"max_workers\": 2, \"cpus_per_worker\": 1, \"worker_lost_timeout\": 3, "
             "\"sbatch_args\": [\"--exclusive\", \"--exclude=n3\"]}",
             kill_node);
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
        cmocka_unit_test(images_are_refused),
        cmocka_unit_test(options_that_slurm_refuses),
        cmocka_unit_test(no_slurm_is_here),
        cmocka_unit_test(an_account_that_is_not_known),
        cmocka_unit_test(a_time_that_the_partition_does_not_give),
        cmocka_unit_test(calls_that_come_later_try_again),
        cmocka_unit_test(jobs_that_are_cancelled_while_they_wait),
        cmocka_unit_test(workers_come_with_calls_and_go),
        cmocka_unit_test(as_many_as_the_calls_need),
        cmocka_unit_test(some_are_kept),
        cmocka_unit_test(what_is_not_needed_any_more_leaves_the_queue),
        cmocka_unit_test(closing_takes_jobs_out_of_the_queue),
        cmocka_unit_test(a_job_is_cancelled),
        cmocka_unit_test(slurmstepd_is_killed),
        cmocka_unit_test(srun_is_killed),
        cmocka_unit_test(a_job_is_preempted),
        cmocka_unit_test(a_lost_call_says_why),
        cmocka_unit_test(the_wall_time_is_over),
        cmocka_unit_test(slurmctld_is_killed_and_restarted),
        cmocka_unit_test(slurmctld_is_away),
        cmocka_unit_test(the_client_is_killed),
        cmocka_unit_test(the_client_is_killed_while_jobs_wait),
        cmocka_unit_test(a_job_over_tcp_is_cancelled),
        cmocka_unit_test(workers_over_tcp_go),
        cmocka_unit_test(nodes_that_cannot_reach_the_client),
        cmocka_unit_test(the_client_over_tcp_is_killed),
        cmocka_unit_test(slurmd_is_killed), /* the last ones: they do not come back */
        cmocka_unit_test(a_node_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
