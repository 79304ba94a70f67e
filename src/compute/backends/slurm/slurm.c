/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of the backend slurm. */
#include "compute/backends/slurm/slurm.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "compute/bootstrap.h"
#include "compute/linked.h"
#include "tcp/tcp.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ANSWER_S = 60,        /* for a running node to say something: its home may be slow */
    LOOK_MS = 15000,      /* how often to ask why jobs wait; once for all of them */
    FIRST_LOOK_MS = 3000, /* by then the scheduler has looked at it */
    RECENT_MS = 1000,     /* of what squeue said */
    ASK_MS = 20000,       /* time limit for one of Slurm's programs */
    END_MS = 1500,        /* for a guard to end, where somebody waits */
    LAST_END_MS = 5000,   /* the same, where nobody does */
    MOST_ASKED = 4,       /* times, for a job to be over */
    COMPLETE_MS = 200,    /* between two of them */
    TEXT_BYTES = 8192,
};

struct job {
    struct lithops__child guard;
    int stream_fd; /* of srun, where the link is another one; -1: none */
    char node[64], id[32];
    int64_t left_s;    /* of its wall time, as the node knows it; 0: it does not */
    bool is_lingering; /* its guard was not awaited */
};

struct slurm {
    struct lithops__slurm_options options;
    lithops_value *settings; /* what strings are borrowed from */
    char python[16];         /* version that workers need; "": none */
    struct job *jobs;        /* one per worker */
    struct lithops__slurm_queue queue;
    struct lithops__tcplink *tcp; /* NULL: the streams of srun are the links */
};

/* ---- a job ----------------------------------------------------------------------------------- */

static void name_job(const struct slurm *slurm, uint32_t worker, char *buf, size_t size)
{
    snprintf(buf, size, "%s-%u", slurm->options.name, worker);
}

/* Options of every srun; the last of an option wins, so these do. */
static const char *const run_words[] = {"--nodes=1", "--ntasks=1", "--unbuffered", "--input=all",
                                        "--output=all", "--error=all",
                                        /* MPI launchers would find nothing to do */
                                        "--mpi=none", NULL};

/* Print a line that says where it runs; then the shell waits for bootstrap.c. */
static int start_job(struct slurm *slurm, uint32_t worker, int *ret_fd, lithops_error *err)
{
    char command[PATH_MAX + 32], name[LITHOPS__SLURM_NAME + 16], option[sizeof name + 16];
    char cancel[sizeof name + 16], script[256];
    lithops__own_command(command, sizeof command);
    name_job(slurm, worker, name, sizeof name);
    snprintf(option, sizeof option, "--job-name=%s", name);
    snprintf(cancel, sizeof cancel, "--name=%s", name);
    snprintf(script, sizeof script,
             "t=${SLURM_JOB_END_TIME:-0}; [ $t = 0 ] || t=$((t - $(date +%%s))); "
             "echo \"LITHOPS-NODE $SLURMD_NODENAME $SLURM_JOB_ID $t\"; %s",
             lithops__bootstrap_script);
    const char *const first[] = {command, "--guard", "scancel", "--quiet",
                                 cancel,  "--",      "srun",    NULL};
    const char *last[16] = {option};
    size_t count = 1;
    for (size_t i = 0; run_words[i]; i++)
        last[count++] = run_words[i];
    last[count++] = "sh";
    last[count++] = "-c";
    last[count++] = script;
    char **words = lithops__slurm_words(first, &slurm->options, last);
    int rc = words ? lithops__slurm_start(words, &slurm->jobs[worker].guard, ret_fd, err)
                   : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    free(words);
    return rc;
}

/* Read the next line of a running job, in pieces as it comes. @return whether it is complete */
static bool read_line(int fd, char *line, size_t size, bool *ret_over)
{
    size_t len = strlen(line);
    char byte;
    ssize_t n = read(fd, &byte, 1); /* others read what follows the line */
    *ret_over = n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
    if (n == 1 && byte == '\n')
        return true;
    if (n == 1 && len + 1 < size) {
        line[len] = byte;
        line[len + 1] = '\0';
    }
    return false;
}

/* A job may wait as long as the queue takes, unless its reason for waiting will never end. */
static int look_at_queue(struct slurm *slurm, uint32_t worker, int cancel_fd, lithops_error *err)
{
    struct lithops__slurm_state state;
    char name[LITHOPS__SLURM_NAME + 16];
    const char *advice;
    name_job(slurm, worker, name, sizeof name);
    int rc = lithops__slurm_queue_find(&slurm->queue, name, NULL, LOOK_MS, cancel_fd, &state, err);
    if (rc != 0)
        return rc == LITHOPS_ECANCELED ? rc : 0; /* squeue may fail at times */
    if (!state.is_there)
        return 0;
    if (lithops__slurm_is_hopeless(state.reason, &advice))
        return lithops__fail(err, LITHOPS_EBACKEND, "slurm: %s (job %s would wait for ever: %s)",
                             advice, state.id, state.reason);
    lithops__log(LITHOPS_LOG_INFO, "slurm", "slurm-%u: job %s is %s (%s)", worker, state.id,
                 state.state, state.reason);
    return 0;
}

/* Wait until it says where it runs. */
static int await_node(struct slurm *slurm, uint32_t worker, int fd, int cancel_fd,
                      lithops_error *err)
{
    struct job *job = &slurm->jobs[worker];
    struct pollfd fds[] = {{fd, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    char line[512] = "";
    bool over = false;
    for (int wait_ms = FIRST_LOOK_MS; !over;) {
        int ready = poll(fds, 2, wait_ms);
        if (ready > 0 && fds[1].revents)
            return lithops__fail(err, LITHOPS_ECANCELED, "no worker is needed any more");
        if (ready == 0) {
            int rc = look_at_queue(slurm, worker, cancel_fd, err);
            if (rc != 0)
                return rc;
            wait_ms = LOOK_MS;
        }
        if (ready <= 0 || !read_line(fd, line, sizeof line, &over))
            continue;
        long long left_s = 0;
        if (sscanf(line, "LITHOPS-NODE %63s %31s %lld", job->node, job->id, &left_s) == 3) {
            job->left_s = left_s;
            return 0;
        }
        line[0] = '\0';
    }
    return lithops__fail(err, LITHOPS_EIO, "it hung up");
}

/* What is left of its wall time, which Slurm before 23.02 does not tell the node. */
static int64_t time_left_ms(struct slurm *slurm, uint32_t worker, int cancel_fd)
{
    struct lithops__slurm_state state;
    lithops_error err = LITHOPS_ERROR_INIT;
    char name[LITHOPS__SLURM_NAME + 16];
    int64_t left_s = slurm->jobs[worker].left_s;
    name_job(slurm, worker, name, sizeof name);
    for (uint32_t age_ms = RECENT_MS; left_s == 0; age_ms = 0) {
        int rc = lithops__slurm_queue_find(&slurm->queue, name, slurm->jobs[worker].id, age_ms,
                                           cancel_fd, &state, &err);
        if (rc == 0 && state.is_there && strcmp(state.state, "PENDING") != 0)
            left_s = state.left_s;
        else if (rc != 0 || age_ms == 0)
            break;
    }
    return left_s > 0 ? left_s * 1000 : 0;
}

/* ---- guards ---------------------------------------------------------------------------------- */

/* Without killing it, as long as it has something to undo. False: it goes on. */
static bool end_guard(struct job *job, int wait_ms, siginfo_t *ret_status)
{
    struct pollfd fd = {job->guard.watch.fd, POLLIN, 0};
    *ret_status = (siginfo_t){.si_pid = 0};
    job->is_lingering = fd.fd >= 0 && poll(&fd, 1, wait_ms) == 0;
    if (!job->is_lingering)
        lithops__child_reap(&job->guard, 0, ret_status);
    return !job->is_lingering;
}

/* The one before. After that it ends by itself, and is nobody's. */
static void await_lingering(struct job *job, int wait_ms)
{
    siginfo_t status;
    if (job->is_lingering && !end_guard(job, wait_ms, &status))
        lithops__watch_abandon(&job->guard.watch);
    job->is_lingering = false;
}

/* ---- links ----------------------------------------------------------------------------------- */

static void slurm_close(void *state)
{
    struct slurm *slurm = state;
    for (uint32_t i = 0; slurm->jobs && i < slurm->options.max_workers; i++)
        await_lingering(&slurm->jobs[i], LAST_END_MS);
    lithops__tcplink_close(slurm->tcp);
    lithops__slurm_options_deinit(&slurm->options);
    lithops__slurm_queue_deinit(&slurm->queue);
    free(slurm->jobs);
    lithops_value_free(slurm->settings);
}

static int slurm_open(const lithops_link_driver *driver, void *state, const lithops_value *settings,
                      const char *program, lithops_workers *ret_workers, lithops_error *err)
{
    (void)driver;
    struct slurm *slurm = state;
    if (program && strncmp(program, "python", 6) == 0)
        snprintf(slurm->python, sizeof slurm->python, "%s", program + 6);
    lithops__slurm_queue_init(&slurm->queue);
    slurm->settings = lithops_value_copy(settings);
    int rc = slurm->settings ? lithops__slurm_read_options(slurm->settings, &slurm->options, err)
                             : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    slurm->jobs = rc == 0 ? calloc(slurm->options.max_workers, sizeof *slurm->jobs) : NULL;
    if (rc == 0 && !slurm->jobs)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (uint32_t i = 0; rc == 0 && i < slurm->options.max_workers; i++)
        slurm->jobs[i].guard.log_fd = slurm->jobs[i].stream_fd = -1;
    const char *transport = lithops_value_get_string(lithops_value_get(settings, "transport"));
    if (rc == 0 && transport && strcmp(transport, "tcp") == 0)
        rc = lithops__tcplink_open(settings, "slurm", slurm->options.max_workers, &slurm->tcp, err);
    if (rc != 0) {
        slurm_close(slurm);
        return rc;
    }
    double lost = lithops_value_get_double(lithops_value_get(settings, "worker_lost_timeout"));
    *ret_workers = (lithops_workers){
        .workers = slurm->options.max_workers,
        .lost_timeout_ms = lost > 0 ? (uint32_t)(lost * 1000) : 0,
        .worker_processes = slurm->options.worker_processes,
        .kept_workers = slurm->options.min_workers,
        .idle_timeout_ms = slurm->options.idle_timeout_ms,
    };
    return 0;
}

static void slurm_name(void *state, uint32_t worker, char *buf, size_t size)
{
    (void)state;
    snprintf(buf, size, "slurm-%u", worker);
}

/* No worker started: say why, and make sure that nothing is left. */
static int give_up(struct job *job, lithops_error *err)
{
    char said[TEXT_BYTES], how[64];
    siginfo_t status;
    bool hung_up = err->code == LITHOPS_EIO, is_late = err->code == LITHOPS_ETIMEDOUT;
    if (!hung_up)
        lithops__watch_signal(&job->guard.watch, SIGTERM);
    (void)end_guard(job, LAST_END_MS, &status);
    lithops__child_said(&job->guard, said, sizeof said);
    snprintf(how, sizeof how, "srun ended with exit status %d", status.si_status);
    if (hung_up || is_late)
        (void)lithops__slurm_refuse(said, is_late ? err->message : how, err);
    else if (err->code != LITHOPS_ECANCELED && job->node[0])
        lithops__error_prefix(err, "node %s", job->node);
    lithops__child_close_log(&job->guard);
    return err->code;
}

/* The worker runs, and is to connect. Its stream stays open, as the guard watches that. */
static int await_worker(struct slurm *slurm, uint32_t worker, int cancel_fd, int stream_fd,
                        int *ret_fd, lithops_error *err)
{
    struct job *job = &slurm->jobs[worker];
    char why[512] = "";
    siginfo_t status;
    int rc = lithops__tcplink_await(slurm->tcp, worker, cancel_fd, stream_fd, ANSWER_S * 1000,
                                    ret_fd, err);
    if (rc == 0)
        job->stream_fd = stream_fd;
    if (rc != LITHOPS_EIO && rc != LITHOPS_ETIMEDOUT)
        return rc;
    if (rc == LITHOPS_ETIMEDOUT)
        lithops__watch_signal(&job->guard.watch, SIGTERM);
    (void)end_guard(job, LAST_END_MS, &status);
    lithops__child_log_tail(&job->guard, why, sizeof why);
    lithops__fail(err, LITHOPS_EBACKEND,
                  "the worker has not connected to %.300s%.400s: set slurm.tcp_address and "
                  "slurm.tcp_port to what nodes can reach, or slurm.transport to srun",
                  lithops__tcplink_where(slurm->tcp), why);
    err->retryable = true;
    return err->code;
}

static int start_worker(struct slurm *slurm, uint32_t worker, int cancel_fd,
                        struct lithops__bootstrap *wanted,
                        struct lithops__bootstrap_answer *ret_answer, int *ret_fd,
                        lithops_error *err)
{
    char secret[LITHOPS__TCP_SECRET];
    int fd = *ret_fd;
    int rc = slurm->tcp ? lithops__tcplink_expect(slurm->tcp, worker, secret, err) : 0;
    if (rc != 0)
        return rc;
    if (slurm->tcp) {
        wanted->where = lithops__tcplink_where(slurm->tcp);
        wanted->secret = secret;
    }
    rc = lithops__bootstrap(fd, cancel_fd, wanted, ret_answer, err);
    if (rc == 0 && slurm->tcp)
        rc = await_worker(slurm, worker, cancel_fd, fd, ret_fd, err);
    if (rc != 0 && slurm->tcp)
        lithops__tcplink_forget(slurm->tcp, worker);
    explicit_bzero(secret, sizeof secret);
    return rc;
}

static int slurm_connect(void *state, uint32_t worker, int cancel_fd, lithops_link *ret_link,
                         lithops_error *err)
{
    struct slurm *slurm = state;
    struct job *job = &slurm->jobs[worker];
    struct lithops__bootstrap wanted = {
        .python = slurm->python[0] ? slurm->python : NULL,
        .python_path = slurm->options.python,
        .python_key = "slurm.python",
        .leave_out = "keep off it by --exclude or --constraint in slurm.sbatch_args",
        .timeout_s = ANSWER_S,
    };
    struct lithops__bootstrap_answer answer;
    int fd = -1;
    job->node[0] = '\0';
    await_lingering(job, LAST_END_MS);
    int rc = start_job(slurm, worker, &fd, err);
    if (rc != 0)
        return rc;
    rc = await_node(slurm, worker, fd, cancel_fd, err);
    if (rc == 0)
        rc = start_worker(slurm, worker, cancel_fd, &wanted, &answer, &fd, err);
    if (rc != 0) {
        close(fd);
        return give_up(job, err);
    }
    lithops__log(LITHOPS_LOG_INFO, "slurm", "slurm-%u: job %s on node %s: %s, %s%s", worker,
                 job->id, job->node, answer.machine, answer.libc,
                 answer.has_engine ? "" : "; the engine was sent");
    *ret_link = (lithops_link){.read_fd = fd,
                               .write_fd = fd,
                               .id = worker,
                               .time_left_ms = time_left_ms(slurm, worker, cancel_fd)};
    snprintf(ret_link->program, sizeof ret_link->program, "%s", answer.python);
    return 0;
}

/* The guard cancels the job; whoever waits for it need not. */
static void slurm_abandon(void *state, const lithops_link *link)
{
    const struct slurm *slurm = state;
    lithops__watch_signal(&slurm->jobs[link->id].guard.watch, SIGTERM);
}

/* srun does not always hear why its step is ended; the job's state tells it. */
static const char *ask_for_end(struct slurm *slurm, uint32_t worker)
{
    struct lithops__slurm_state state = {.is_there = true, .state = "COMPLETING"};
    lithops_error err = LITHOPS_ERROR_INIT;
    char name[LITHOPS__SLURM_NAME + 16];
    name_job(slurm, worker, name, sizeof name);
    for (int i = 0; i < MOST_ASKED && strcmp(state.state, "COMPLETING") == 0; i++) {
        (void)poll(NULL, 0, i ? COMPLETE_MS : 0);
        if (lithops__slurm_queue_find(&slurm->queue, name, slurm->jobs[worker].id, 0, -1, &state,
                                      &err) != 0 ||
            !state.is_there)
            return NULL;
    }
    return lithops__slurm_end_state(state.state, state.reason);
}

static void slurm_disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    struct slurm *slurm = state;
    struct job *job = &slurm->jobs[link->id];
    char said[TEXT_BYTES];
    siginfo_t status;
    if (slurm->tcp)
        lithops__tcplink_forget(slurm->tcp, (uint32_t)link->id);
    if (job->stream_fd >= 0)
        close(job->stream_fd);
    job->stream_fd = -1;
    bool has_ended = end_guard(job, END_MS, &status);
    lithops__child_said(&job->guard, said, sizeof said);
    const char *why = lithops__slurm_end(said);
    if (!why && has_ended && status.si_status != 0)
        why = ask_for_end(slurm, (uint32_t)link->id);
    if (why)
        snprintf(ret_how, size, "%s (job %s, node %s)", why, job->id, job->node);
    else if (!has_ended)
        snprintf(ret_how, size, "job %s on node %s is being cancelled", job->id, job->node);
    else
        snprintf(ret_how, size, "job %s on node %s: srun ended with exit status %d", job->id,
                 job->node, status.si_status);
    if (!why)
        lithops__child_log_tail(&job->guard, ret_how, size);
    lithops__child_close_log(&job->guard);
}

static const lithops_link_ops link_ops = {
    .open = slurm_open,
    .close = slurm_close,
    .name = slurm_name,
    .connect = slurm_connect,
    .abandon = slurm_abandon,
    .disconnect = slurm_disconnect,
};

static const lithops_link_driver link_driver = {
    .abi = LITHOPS_COMPUTE_ABI,
    .name = "slurm",
    .is_elsewhere = true,
    .state_size = sizeof(struct slurm),
    .ops = &link_ops,
};

/* ---- the compute backend --------------------------------------------------------------------- */

/* Have Slurm check an allocation without requesting it. Its answer is in `said`. */
static int try_options(const struct lithops__config *config, char *said, size_t size,
                       lithops_error *err)
{
    lithops_value *settings = lithops__linked_settings(config, "slurm");
    struct lithops__slurm_options options = {.arguments = NULL};
    int rc = settings ? lithops__slurm_read_options(settings, &options, err)
                      : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    static const char *const first[] = {"srun", "--test-only", NULL};
    static const char *const last[] = {"--nodes=1", "--ntasks=1", "true", NULL};
    char **words = rc == 0 ? lithops__slurm_words(first, &options, last) : NULL;
    if (rc == 0 && !words)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (words)
        rc = lithops__slurm_run(words, -1, ASK_MS, NULL, 0, said, size, err);
    if (rc > 0 || rc == LITHOPS_ETIMEDOUT) {
        char how[160];
        if (rc > 0)
            snprintf(how, sizeof how, "srun --test-only ended with exit status %d", rc);
        else
            snprintf(how, sizeof how,
                     "%.40s: 'scontrol ping' tells whether slurmctld is up, 'munge -n' whether "
                     "munged is",
                     err->message);
        rc = lithops__slurm_refuse(said, how, err);
        const char *account = lithops_value_get_string(lithops_value_get(settings, "account"));
        if (account && strstr(said, "nvalid account")) /* which srun does not name */
            lithops__error_prefix(err, "slurm.account is '%s'", account);
    }
    free(words);
    lithops__slurm_options_deinit(&options);
    lithops_value_free(settings);
    return rc;
}

static int check_options(const struct lithops__compute_driver *driver,
                         const struct lithops__config *config, lithops_error *err)
{
    char said[TEXT_BYTES];
    (void)driver;
    return try_options(config, said, sizeof said, err);
}

static int probe(const struct lithops__compute_driver *driver, const struct lithops__config *config,
                 bool start, lithops__probe_say say, void *user, lithops_error *err)
{
    (void)driver;
    char said[TEXT_BYTES];
    if (start)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "Slurm gives nodes to calls that wait for them: to keep some, run a "
                             "program with slurm.min_workers");
    int rc = try_options(config, said, sizeof said, err);
    if (rc != 0) {
        say(user, "slurm", false, err->message);
        return rc;
    }
    const char *when = strstr(said, "to start at"); /* "srun: Job 7 to start at ..." */
    char text[512];
    snprintf(text, sizeof text, "Slurm takes the options; a worker is %.400s", when ? when : said);
    lithops__one_line(text, sizeof text);
    say(user, "slurm", true, text);
    return 0;
}

static int ask(const struct lithops__config *config, const char *machine, const char *arguments,
               lithops__probe_say say, void *user, lithops_error *err)
{
    (void)config; /* workers are known by their jobs' names */
    return lithops__slurm_ask(machine, arguments, say, user, err);
}

static const struct lithops__compute_ops slurm_ops = {
    LITHOPS__LINKED_SLOTS,
    .probe = probe,
    .ask = ask,
};

const struct lithops__compute_driver lithops__compute_slurm = {
    .name = "slurm",
    .mode = "standalone",
    .summary = "Nodes that Slurm allocates.",
    .is_direct = true,
    .is_elsewhere = true,
    .state_size = sizeof(struct lithops__linked),
    .ops = &slurm_ops,
    .links = &link_driver,
    .workers_key = "max_workers",
    .check = check_options,
};
