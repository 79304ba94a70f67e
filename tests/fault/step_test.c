/* SPDX-License-Identifier: Apache-2.0 */
/* A worker process dies after an exact number of instructions.
 *
 *     step_test [POINTS [SEED]]
 *
 * This does systematically what kill_test does at random: it stops a sleeping worker with ptrace,
 * offers a job and waits for it, then lets the worker do N single steps and kills it. N goes from
 * the wake-up to where the worker sleeps again, in POINTS steps, or one by one (POINTS 0). At each
 * N
 *   - the waiter is woken, and finds that all calls have ended, one at most with a crash;
 *   - no worker sleeps for ever: two calls that wait for each other then run at the same time. */
#include "core/executor.h"
#include "core/future.h"
#include "core/futures.h"
#include "core/job.h"
#include "fault.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_MS = 30000 * FAULT_SLOWER, MOST_STEPS = 2000000 };

/* ---- functions
 * ------------------------------------------------------------------------------------ */

LITHOPS_FUNCTION(tick)
{
    return lithops_return_int(call, lithops_call_int(call) * 3 + 1);
}

/* Long enough for another worker to be woken for the rest. */
LITHOPS_FUNCTION(brief)
{
    uint64_t until = lithops__now_ns() + 5000;
    while (lithops__now_ns() < until)
        ;
    return lithops_return_int(call, lithops_call_int(call) * 3 + 1);
}

LITHOPS_FUNCTION(chunk)
{
    return lithops_return_int(call, lithops_call_id(call) * 3 + 1);
}

LITHOPS_FUNCTION(add_up)
{
    int64_t sum = 0, one;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &one)) == 1)
        sum += one;
    return rc < 0 ? rc : lithops_return_int(call, sum);
}

/* Wait for the other call of the pair. */
LITHOPS_FUNCTION(meet)
{
    static _Atomic int32_t *there;
    if (!there) {
        FILE *file = fopen(getenv("STEP_TEST_MEET"), "r+e");
        there = file ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0)
                     : MAP_FAILED;
        if (there == MAP_FAILED)
            abort();
        fclose(file);
    }
    atomic_fetch_add(there, 1);
    for (uint64_t until = lithops__now_ns() + LIMIT_MS * 1000000ull; atomic_load(there) < 2;) {
        if (lithops__now_ns() > until)
            return lithops_fail(call, "the other call does not run");
        sched_yield();
    }
    return lithops_return_int(call, 1);
}

/* ---- the test
 * -------------------------------------------------------------------------------------- */

struct scenario {
    const char *name;
    const lithops_function *function;
    int workers, calls;
    bool nobody_waits; /* a waiter would wake the other worker */
    bool reduce, by_key;
};
static const struct scenario scenarios[] = {
    {"one worker, three short calls", tick, 1, 3, false, false, false},
    {"two workers, the first wakes the second", brief, 2, 40, true, false, false},
    {"map_reduce", tick, 1, 3, false, true, false},
    {"map_reduce with a reducer per object", chunk, 1, 3, false, true, true},
};

static lithops_executor *fexec;
static const struct scenario *scenario;
static char folder[] = "/tmp/lithops-step-XXXXXX";
static _Atomic int32_t *met;
static uint64_t points = 20, seed = 1;

static void die(const char *what, uint64_t steps, const lithops_error *err)
{
    fprintf(stderr, "step_test: %s, %llu instructions after the wake-up: %s: %s\n", scenario->name,
            (unsigned long long)steps, what, err ? err->message : strerror(errno));
    const struct lithops__control *control = fexec->table.area.control;
    for (int w = 0; w < scenario->workers; w++)
        fprintf(stderr, "worker %d: pid %d state %u parked %u bit %u range %d block %llu-%llu\n", w,
                control->workers[w].pid, control->workers[w].state, control->workers[w].parked,
                (unsigned)(control->parked[0] >> w & 1), (int)control->workers[w].range - 1,
                (unsigned long long)control->workers[w].begin,
                (unsigned long long)control->workers[w].end);
    for (struct lithops__job *job = fexec->jobs.first; job; job = job->links.next)
        for (uint64_t i = 0; i < lithops__job_count(job); i++) {
            uint16_t state = lithops__job_state(job, i);
            if (!lithops__state_is_done(state))
                fprintf(stderr, "range %u (%c): call %llu state %u worker %u\n", job->range,
                        job->kind, (unsigned long long)i, lithops__state_of(state),
                        lithops__state_worker(state));
        }
    _exit(1);
}

static bool is_asleep(unsigned slot)
{
    const struct lithops__control *control = fexec->table.area.control;
    return control->workers[slot].pid && control->workers[slot].state == LITHOPS__WORKER_READY &&
           control->workers[slot].parked && (control->parked[0] >> slot & 1);
}

static bool is_unused(unsigned slot)
{
    return fexec->table.area.control->workers[slot].state == LITHOPS__WORKER_NONE;
}

static void await_asleep(uint64_t steps)
{
    for (double until = fault_now() + LIMIT_MS / 1e3;;) {
        bool all = true;
        for (int w = 0; w < scenario->workers; w++)
            all = all && (is_asleep((unsigned)w) || (w > 0 && is_unused((unsigned)w)));
        if (all)
            return;
        if (fault_now() > until)
            die("a worker does not come to rest", steps, NULL);
        nanosleep(&(struct timespec){0, 50000}, NULL);
    }
}

/* Kill worker 0, and wait until the engine has noticed. */
static void end_worker(pid_t pid)
{
    kill(pid, SIGKILL);
    while (fexec->table.area.control->workers[0].pid == pid)
        sched_yield();
}

static lithops_futures *start_job(uint64_t steps)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_futures *futures = NULL;
    lithops_value *data = lithops_range(0, scenario->calls);
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    if (scenario->by_key) {
        lithops_value_free(data);
        data = lithops_value_list();
        for (int i = 0; i < scenario->calls; i++) {
            char path[64];
            snprintf(path, sizeof path, "%s/object%d", folder, i);
            lithops_value_append(data, lithops_value_string(path));
        }
        options.obj_chunk_number = 1;
        options.obj_reduce_by_key = true;
    }
    if (scenario->reduce)
        (void)lithops_map_reduce(fexec, scenario->function, data, add_up, &options, &futures, &err);
    else
        futures = lithops_map(fexec, scenario->function, data, NULL, &err);
    if (!futures)
        die("the job cannot be started", steps, &err);
    return futures;
}

static void *wait_for_job(void *futures)
{
    static lithops_error err;
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.timeout_ms = LIMIT_MS;
    options.throw_except = false;
    err = (lithops_error)LITHOPS_ERROR_INIT;
    return lithops_wait(NULL, futures, &options, NULL, NULL, &err) == 0 ? NULL : &err;
}

/* The waiter sleeps, or is about to. */
static void await_waiter(lithops_futures *futures)
{
    struct lithops__control *control = fexec->table.area.control;
    struct lithops__range *range = lithops__job_range(futures->segments[0].job);
    while (!atomic_load(&range->want_end) || !atomic_load(&control->waiting))
        sched_yield();
    nanosleep(&(struct timespec){0, 100000}, NULL); /* into the system call */
}

/* Put both on one CPU: a step is then two context switches, without interrupting another CPU. */
static void share_cpu(pid_t pid, const cpu_set_t *set)
{
    if (sched_setaffinity(0, sizeof *set, set) != 0 ||
        sched_setaffinity(pid, sizeof *set, set) != 0)
        die("the affinity", 0, NULL);
}

/* Wait for the end of a step that may be a system call that sleeps. False: it does. */
static bool step_ends(pid_t pid, lithops_futures *futures, int *ret_status)
{
    pid_t waited;
    while ((waited = waitpid(pid, ret_status, WNOHANG | __WALL)) == 0) {
        if (is_asleep(0) && lithops_futures_done(futures) == lithops_futures_size(futures))
            return false;
        sched_yield();
    }
    return waited == pid;
}

/* Step until the worker sleeps again or has done `most` steps. @return how many it did */
static uint64_t step(pid_t pid, lithops_futures *futures, uint64_t steps)
{
    cpu_set_t before, one;
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    share_cpu(pid, &one);
    uint64_t done = 0;
    for (; done < steps; done++) {
        int status = 0;
        struct user_regs_struct regs;
        ptrace(PTRACE_GETREGS, pid, NULL, &regs);
        long code = ptrace(PTRACE_PEEKTEXT, pid, regs.rip, NULL);
        bool is_call = (code & 0xffff) == 0x050f || done < 4; /* it was in one */
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0)
            die("ptrace", done, NULL);
        if (is_call ? !step_ends(pid, futures, &status) : waitpid(pid, &status, __WALL) != pid)
            break;
        if (!WIFSTOPPED(status))
            die("the worker has ended by itself", done, NULL);
    }
    share_cpu(pid, &before);
    return done;
}

static void check_outcomes(lithops_futures *futures, uint64_t steps)
{
    int64_t result;
    size_t crashes = 0, size = lithops_futures_size(futures);
    for (size_t i = 0; i < size; i++) {
        lithops_error err = LITHOPS_ERROR_INIT;
        int rc = lithops_futures_int(futures, i, &result, &err);
        bool of_reducer = i >= (size_t)scenario->calls;
        if (rc == LITHOPS_ECRASH && !strstr(err.message, "map call"))
            crashes++;
        else if (rc != 0 && !(of_reducer && rc == LITHOPS_ECRASH))
            die("an error other than a crash", steps, &err);
        else if (rc == 0 && !of_reducer && result != (int64_t)i * 3 + 1)
            die("a wrong result", steps, NULL);
    }
    if (crashes > 1)
        die("more than one call crashed", steps, NULL);
}

static void check_both_run(uint64_t steps)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    atomic_store(met, 0);
    lithops_futures *futures = lithops_map(fexec, meet, lithops_range(0, 2), NULL, &err);
    lithops_error *failure = wait_for_job(futures);
    if (failure)
        die("calls that meet", steps, failure);
    for (size_t i = 0; i < 2; i++) {
        int64_t one;
        if (lithops_futures_int(futures, i, &one, &err) != 0)
            die("a worker sleeps though a call waits", steps, &err);
    }
    lithops_futures_unref(futures);
}

/* One attempt. @return the steps that the worker did before it came to rest, or was killed */
static uint64_t die_after(uint64_t steps)
{
    for (int f = 0; f < 8; f++) /* long enough for it to be worth waking another worker */
        atomic_store(&fexec->table.area.functions[f].average_ps, 10000000000u);
    await_asleep(steps);
    pid_t pid = fexec->table.area.control->workers[0].pid;
    int status;
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0 ||
        ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0 || waitpid(pid, &status, __WALL) != pid ||
        !WIFSTOPPED(status))
        die("the worker cannot be traced", steps, NULL);
    lithops_futures *futures = start_job(steps);
    pthread_t waiter;
    uint64_t done = scenario->nobody_waits ? step(pid, futures, steps) : 0;
    if (pthread_create(&waiter, NULL, wait_for_job, futures) != 0)
        die("a thread", steps, NULL);
    if (!scenario->nobody_waits) {
        await_waiter(futures);
        done = step(pid, futures, steps);
    }
    end_worker(pid);
    void *failure;
    pthread_join(waiter, &failure);
    if (failure)
        die("the waiter", steps, failure);
    check_outcomes(futures, steps);
    lithops_futures_unref(futures);
    if (scenario->workers > 1)
        check_both_run(steps);
    (void)lithops_clean(fexec, NULL, NULL, NULL);
    return done;
}

/* Stepped calls take a thousand times as long, and would be treated as long calls (which means
 * reading /proc, some 100,000 instructions). So make the workers believe that a millisecond is
 * longer. */
static void slow_down_clock(void)
{
    struct lithops__control *control = fexec->table.area.control;
    await_asleep(0);
    control->ticks_per_ms *= 1000;
    end_worker(control->workers[0].pid); /* it has read the old value */
}

static void run(void)
{
    fexec = fault_open(scenario->workers, lithops_pack("{s:i}", "spin_us", 0));
    slow_down_clock();
    if (scenario->workers > 1)
        check_both_run(0); /* both are there */
    for (int i = 0; i < 3; i++) {
        lithops_futures *futures = start_job(0);
        if (wait_for_job(futures))
            die("the first jobs", 0, NULL);
        lithops_futures_unref(futures);
    }
    uint64_t all = die_after(MOST_STEPS), count = 0, random = seed;
    uint64_t stride = points ? all / points + 1 : 1;
    for (uint64_t steps = 0; steps < all; steps += stride, count++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        (void)die_after(steps + (random >> 33) % stride);
    }
    printf("%s: killed at %llu of %llu instructions\n", scenario->name, (unsigned long long)count,
           (unsigned long long)all);
    lithops_executor_close(fexec);
}

static void make_files(void)
{
    char path[64];
    if (!mkdtemp(folder))
        abort();
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/object%d", folder, i);
        FILE *file = fopen(path, "w");
        fprintf(file, "a line\n");
        fclose(file);
    }
    snprintf(path, sizeof path, "%s/meet", folder);
    FILE *file = fopen(path, "w+");
    if (!file || ftruncate(fileno(file), 4096) != 0)
        abort();
    met = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
    fclose(file);
    setenv("STEP_TEST_MEET", path, 1);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (argc > 1)
        points = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    make_files();
    size_t count = sizeof scenarios / sizeof scenarios[0];
    for (size_t i = 0; i < count; i++) {
        if (argc > 3 && i != strtoull(argv[3], NULL, 10))
            continue;
        scenario = &scenarios[i];
        run();
    }
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    printf("step_test: %zu tests passed\n", count);
    return 0;
}
