/* SPDX-License-Identifier: Apache-2.0 */
/* Worker processes are killed at random moments while jobs of all kinds run.
 *
 *     kill_test [KILLS [SEED]]
 *
 * One thread starts jobs and checks them; another one kills (or stops for a while) worker
 * processes, from some nanoseconds to some milliseconds apart, now and then as soon as they start.
 * Whatever happens:
 *   - every call ends, with the right result or with an error that says crash;
 *   - at most as many calls crash as there are kills: only the running call is lost;
 *   - no call is run twice: each counts its runs in a memory file that client and workers share;
 *   - an outcome that was seen does not change;
 *   - afterwards the executor works as if nothing had happened.
 *
 * The test looks into the engine only for process ids to kill, and to print its state when
 * something hangs. */
#include "core/executor.h"
#include "core/future.h"
#include "core/job.h"
#include "fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 3, COUNTERS = 1 << 20, HANG_MS = 20000 * FAULT_SLOWER };

/* ---- the functions
 * ------------------------------------------------------------------------------- */

/* How often each call has run, by its input. Workers learn the client's process id and the
 * descriptor from the environment. */
static _Atomic uint8_t *runs;

static void count_run(int64_t number)
{
    if (!runs) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%s", getenv("KILL_TEST_RUNS"));
        FILE *file = fopen(path, "r+e");
        void *map = file ? mmap(NULL, COUNTERS, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0)
                         : MAP_FAILED;
        if (map == MAP_FAILED)
            abort();
        runs = map;
        fclose(file);
    }
    atomic_fetch_add(&runs[number % COUNTERS], 1);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

static size_t blob_size(int64_t number)
{
    uint64_t m = mix((uint64_t)number);
    return m % 16 == 0 ? m / 16 % 200000 : m / 16 % 300;
}

LITHOPS_FUNCTION(tick)
{
    int64_t number = lithops_call_int(call);
    count_run(number);
    return lithops_return_int(call, number * 3 + 1);
}

LITHOPS_FUNCTION(burn)
{
    int64_t number = lithops_call_int(call);
    count_run(number);
    uint64_t until = lithops__now_ns() + mix((uint64_t)number) % 200000;
    while (lithops__now_ns() < until)
        ;
    return lithops_return_int(call, number * 3 + 1);
}

LITHOPS_FUNCTION(blob)
{
    int64_t number = lithops_call_int(call);
    count_run(number);
    size_t len = blob_size(number);
    char *room = lithops_call_alloc(call, len);
    if (!room)
        return LITHOPS_ENOSPACE;
    memset(room, (int)(number & 0xff), len);
    return lithops_return_bytes(call, room, len);
}

LITHOPS_FUNCTION(print)
{
    int64_t number = lithops_call_int(call);
    count_run(number);
    printf("call %lld\n", (long long)number);
    return lithops_return_int(call, number * 3 + 1);
}

LITHOPS_FUNCTION(add_up)
{
    int64_t sum = 0, one;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &one)) == 1)
        sum += one;
    return rc < 0 ? rc : lithops_return_int(call, sum);
}

/* ---- the test
 * ------------------------------------------------------------------------------------ */

struct counts {
    uint64_t jobs, calls, successes, crashes, inherited, canceled;
    uint64_t kills, stops, at_starting, at_parked, at_running, at_claiming, at_other;
};
static struct counts counts;
static lithops_executor *fexec;
static atomic_bool over;
static _Atomic uint64_t killed;
static uint64_t kills_wanted = 1000, seed = 1;
static int64_t next_number;

static uint64_t random_below(uint64_t *state, uint64_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return mix(*state) % below;
}

static void dump(void)
{
    const struct lithops__control *control = fexec->table.area.control;
    fprintf(stderr, "head %llu tail %llu doorbell %u spinner %u parked %llx landed %u waiting %u\n",
            (unsigned long long)control->head, (unsigned long long)control->tail, control->doorbell,
            control->spinner, (unsigned long long)control->parked[0], control->landed,
            control->waiting);
    for (unsigned w = 0; w < WORKERS; w++) {
        const struct lithops__worker *line = &control->workers[w];
        fprintf(stderr,
                "worker %u: pid %d state %u parked %u range %d claiming %u block %llu-%llu "
                "current %llu\n",
                w, line->pid, line->state, line->parked, (int)line->range - 1, line->claiming,
                (unsigned long long)line->begin, (unsigned long long)line->end,
                (unsigned long long)line->current);
    }
    for (struct lithops__job *job = fexec->jobs.first; job; job = job->links.next) {
        uint64_t count = lithops__job_count(job), shown = 0;
        for (uint64_t i = 0; i < count; i++) {
            uint16_t state = lithops__job_state(job, i);
            if (!lithops__state_is_done(state) && shown++ < 5)
                fprintf(stderr, "range %u (%c of %llu, maps %d): call %llu state %u worker %u\n",
                        job->range, job->kind, (unsigned long long)count,
                        job->maps ? (int)job->maps->range : -1, (unsigned long long)i,
                        lithops__state_of(state), lithops__state_worker(state));
        }
    }
}

static void give_up(const char *what, const lithops_error *err)
{
    fprintf(stderr, "kill_test: %s: %s\n(seed %llu, after %llu kills, %llu calls)\n", what,
            err ? err->message : "", (unsigned long long)seed, (unsigned long long)killed,
            (unsigned long long)counts.calls);
    dump();
    const char *wait = getenv("KILL_TEST_PAUSE"); /* for a debugger */
    if (wait) {
        atomic_store(&over, true);
        sleep(3600);
    }
    _exit(1);
}

/* ---- killing
 * -------------------------------------------------------------------------------------- */

static void note_moment(const struct lithops__worker *line)
{
    if (line->state == LITHOPS__WORKER_STARTING)
        counts.at_starting++;
    else if (line->parked)
        counts.at_parked++;
    else if (line->claiming)
        counts.at_claiming++;
    else if (line->busy_since)
        counts.at_running++;
    else
        counts.at_other++;
}

static void pass_time(uint64_t ns)
{
    if (ns > 100000) {
        nanosleep(&(struct timespec){0, (long)ns}, NULL);
        return;
    }
    for (uint64_t until = lithops__now_ns() + ns; lithops__now_ns() < until;)
        lithops__pause();
}

static int signal_worker(int pidfd, int signal)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

/* If processes start slowly (under a sanitizer, on a busy machine), all might be killed while
 * starting, and the engine gives up after 30 in a row. So after a few, spare them until one has
 * started. */
static bool is_spared(const struct lithops__worker *line)
{
    static unsigned in_a_row;
    bool starting = line->state == LITHOPS__WORKER_STARTING;
    in_a_row = starting ? in_a_row + 1 : 0;
    return in_a_row > 10;
}

/* One attempt on the worker of a slot: kill it, or stop it for a while (and then perhaps kill). */
static void attack(unsigned slot, uint64_t *random)
{
    const struct lithops__worker *line = &fexec->table.area.control->workers[slot];
    pid_t pid = line->pid;
    int pidfd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pidfd < 0)
        return;
    if (line->pid == pid &&
        !is_spared(line)) { /* the id still belonged to the worker when the descriptor was opened */
        bool kill_it = true;
        if (random_below(random, 8) == 0 && signal_worker(pidfd, SIGSTOP) == 0) {
            counts.stops++;
            pass_time(random_below(random, 3000000));
            kill_it = random_below(random, 2);
            if (!kill_it)
                signal_worker(pidfd, SIGCONT);
        }
        if (kill_it && signal_worker(pidfd, SIGKILL) == 0) {
            note_moment(line);
            counts.kills++;
            atomic_fetch_add(&killed, 1);
        }
    }
    close(pidfd);
}

/* Wait (a little) for a process to be there again in a slot, so that it is hit while it starts. */
static void await_start(unsigned slot)
{
    const struct lithops__worker *line = &fexec->table.area.control->workers[slot];
    for (uint64_t until = lithops__now_ns() + 3000000; line->pid == 0 && lithops__now_ns() < until;)
        lithops__pause();
}

static void *kill_workers(void *user)
{
    uint64_t random = seed * 2 + 1;
    (void)user;
    while (!atomic_load(&over) && atomic_load(&killed) < kills_wanted) {
        unsigned slot = (unsigned)random_below(&random, WORKERS);
        attack(slot, &random);
        switch (random_below(&random, 8)) {
        case 0: /* the next process of the same slot, soon */
            await_start(slot);
            pass_time(random_below(&random, 2000000));
            attack(slot, &random);
            break;
        case 1: /* all at once */
            for (unsigned s = 0; s < WORKERS; s++)
                attack(s, &random);
            break;
        default:
            break;
        }
        pass_time(random_below(&random, random_below(&random, 2) ? 20000000 : 2000000));
    }
    return NULL;
}

/* ---- jobs
 * ----------------------------------------------------------------------------------------- */

static const lithops_wait_options within_limit = {sizeof(lithops_wait_options),
                                                  false,
                                                  LITHOPS_ALL,
                                                  false,
                                                  HANG_MS,
                                                  64,
                                                  LITHOPS_DEFAULT,
                                                  false,
                                                  NULL,
                                                  NULL};

static bool is_right_blob(lithops_future *future, int64_t number)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_bytes bytes = {NULL, 0};
    int rc = lithops_future_bytes(future, 0, &bytes, &err);
    if (rc == 0 && bytes.len == blob_size(number)) {
        const unsigned char *byte = bytes.ptr;
        size_t i = 0;
        while (i < bytes.len && byte[i] == (number & 0xff))
            i++;
        if (i == bytes.len)
            return true;
        fprintf(stderr, "byte %zu of %zu at %p is %02x, not %02x\n", i, bytes.len, bytes.ptr,
                byte[i], (unsigned)(number & 0xff));
    } else {
        fprintf(stderr, "%zu bytes at %p, expected %zu; %s\n", bytes.len, bytes.ptr,
                blob_size(number), err.message);
    }
    return false;
}

/* Whether the result is the one for this call's number. */
static bool is_right(const lithops_function *function, lithops_future *future, int64_t number)
{
    if (function == blob)
        return is_right_blob(future, number);
    lithops_error err = LITHOPS_ERROR_INIT;
    int64_t result = -1;
    int rc = lithops_future_result(future, 0, &err, "I", &result);
    if (rc == 0 && result == number * 3 + 1)
        return true;
    fprintf(stderr, "%s(%lld) gives %lld; %s\n", function->name, (long long)number,
            (long long)result, err.message);
    return false;
}

/* Check one call that must be done. */
static void check_call(const lithops_function *function, lithops_future *future, int64_t number)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    uint8_t run = atomic_load(&runs[number % COUNTERS]);
    counts.calls++;
    switch (lithops_future_state(future)) {
    case LITHOPS_SUCCESS:
        if (!is_right(function, future, number))
            give_up("a wrong result", NULL);
        if (run != 1)
            give_up("a call that succeeded did not run exactly once", NULL);
        counts.successes++;
        return;
    case LITHOPS_FAILED:
        if (lithops_future_error(future, &err) != LITHOPS_ECRASH || !strstr(err.message, "ignal"))
            give_up("an error other than a crash", &err);
        if (run > 1)
            give_up("a call ran twice", &err);
        counts.crashes++;
        return;
    case LITHOPS_CANCELED:
        counts.canceled++;
        if (run > 1)
            give_up("a call ran twice", NULL);
        return;
    default:
        give_up("a call is not done", NULL);
    }
}

static int64_t take_numbers(int64_t count)
{
    if (next_number % COUNTERS + count > COUNTERS)
        next_number += COUNTERS - next_number % COUNTERS;
    int64_t first = next_number;
    next_number += count;
    memset((void *)&runs[first % COUNTERS], 0, (size_t)count);
    return first;
}

static void check_unchanged(lithops_futures *futures, const lithops_state *states, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (lithops_futures_state(futures, i) != states[i])
            give_up("an outcome has changed", NULL);
}

static void check_maps(const lithops_function *function, lithops_futures *futures, int64_t first,
                       size_t count)
{
    lithops_state *states = malloc(count * sizeof *states);
    for (size_t i = 0; i < count; i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        states[i] = lithops_future_state(future);
        check_call(function, future, first + (int64_t)i);
        lithops_future_unref(future);
    }
    check_unchanged(futures, states, count);
    free(states);
}

static void run_map(const lithops_function *function, size_t count, bool cancel)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    int64_t first = take_numbers((int64_t)count);
    lithops_futures *futures =
        lithops_map(fexec, function, lithops_range(first, first + (int64_t)count), NULL, &err);
    if (!futures)
        give_up("map", &err);
    if (cancel)
        lithops_futures_cancel(futures);
    if (lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err) != 0)
        give_up("wait for a map", &err);
    check_maps(function, futures, first, count);
    lithops_futures_unref(futures);
}

static void run_reduce(const lithops_function *function, size_t count)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    int64_t first = take_numbers((int64_t)count), sum = 0, expected = 0;
    lithops_futures *futures;
    if (lithops_map_reduce(fexec, function, lithops_range(first, first + (int64_t)count), add_up,
                           NULL, &futures, &err) != 0)
        give_up("map_reduce", &err);
    if (lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err) != 0)
        give_up("wait for a map_reduce", &err);
    check_maps(function, futures, first, count);
    for (size_t i = 0; i < count; i++)
        expected += (first + (int64_t)i) * 3 + 1;
    counts.calls++;
    lithops_future *reduce = lithops_futures_get(futures, count);
    int rc = lithops_future_result(reduce, 0, &err, "I", &sum);
    if (rc == 0 && sum != expected)
        give_up("a wrong sum", NULL);
    if (rc != 0 && rc != LITHOPS_ECRASH)
        give_up("an error other than a crash", &err);
    if (rc == 0)
        counts.successes++;
    else if (strstr(err.message, "map call"))
        counts.inherited++; /* from a map call that crashed */
    else
        counts.crashes++;
    lithops_future_unref(reduce);
    lithops_futures_unref(futures);
}

static void run_singles(const lithops_function *function, size_t count, bool one_by_one)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    int64_t first = take_numbers((int64_t)count);
    lithops_future **futures = calloc(count, sizeof(lithops_future *));
    for (size_t i = 0; i < count; i++) {
        futures[i] =
            lithops_call_async(fexec, function, lithops_value_int(first + (int64_t)i), NULL, &err);
        if (!futures[i])
            give_up("call_async", &err);
        if (one_by_one && lithops_future_wait(futures[i], HANG_MS, &err) != 0)
            give_up("wait for a call", &err);
    }
    for (size_t i = 0; i < count; i++) {
        if (lithops_future_wait(futures[i], HANG_MS, &err) != 0)
            give_up("wait for a call", &err);
        check_call(function, futures[i], first + (int64_t)i);
        lithops_future_unref(futures[i]);
    }
    free(futures);
}

static void run_job(uint64_t *random)
{
    static const lithops_function *const functions[] = {tick, burn, blob, print};
    const lithops_function *function = functions[random_below(random, 4)];
    size_t most = random_below(random, 3) == 0 ? 3000 : 50;
    size_t count = 1 + random_below(random, function == burn ? most / 5 : most);
    counts.jobs++;
    switch (random_below(random, 6)) {
    case 0:
        run_singles(function, count < 400 ? count : 400, false);
        break;
    case 1:
        run_singles(function, count < 40 ? count : 40, true);
        break;
    case 2:
        run_map(function, count, true);
        break;
    case 3:
    case 4:
        run_map(function, count, false);
        break;
    default:
        run_reduce(function == blob ? tick : function, count);
    }
    if (counts.jobs % 16 == 0)
        (void)lithops_clean(fexec, NULL, NULL, NULL);
}

static void make_counters(void)
{
    int fd = memfd_create("kill-test", MFD_CLOEXEC);
    char text[64];
    if (fd < 0 || ftruncate(fd, COUNTERS) != 0)
        abort();
    runs = mmap(NULL, COUNTERS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    snprintf(text, sizeof text, "%d/fd/%d", (int)getpid(), fd);
    setenv("KILL_TEST_RUNS", text, 1);
}

static void report(double seconds)
{
    printf("%llu kills (%llu running, %llu claiming, %llu parked, %llu starting, %llu else), "
           "%llu stops in %.1f s\n",
           (unsigned long long)counts.kills, (unsigned long long)counts.at_running,
           (unsigned long long)counts.at_claiming, (unsigned long long)counts.at_parked,
           (unsigned long long)counts.at_starting, (unsigned long long)counts.at_other,
           (unsigned long long)counts.stops, seconds);
    printf("%llu jobs, %llu calls: %llu right, %llu crashed, %llu reducers of crashed calls, "
           "%llu canceled\n",
           (unsigned long long)counts.jobs, (unsigned long long)counts.calls,
           (unsigned long long)counts.successes, (unsigned long long)counts.crashes,
           (unsigned long long)counts.inherited, (unsigned long long)counts.canceled);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (argc > 1)
        kills_wanted = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    make_counters();
    fexec = fault_open(WORKERS, NULL);
    double start = fault_now();
    pthread_t killer;
    if (pthread_create(&killer, NULL, kill_workers, NULL) != 0)
        abort();
    uint64_t random = seed;
    while (atomic_load(&killed) < kills_wanted)
        run_job(&random);
    atomic_store(&over, true);
    pthread_join(killer, NULL);
    report(fault_now() - start);
    if (counts.crashes > counts.kills)
        give_up("more calls crashed than processes were killed", NULL);
    if (counts.successes == 0 || counts.crashes == 0)
        give_up("the test tested nothing", NULL);
    for (int i = 0; i < 20; i++)
        fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
    pid_t left;
    if (fault_children(&left, 1) != 0)
        give_up("a worker process is left", NULL);
    printf("kill_test: 1 test passed\n");
    return 0;
}
