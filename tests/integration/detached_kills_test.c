/* SPDX-License-Identifier: Apache-2.0 */
/* Random kills of clients, supervisors and worker processes. Whatever dies when: each call has one
 * outcome, it is the same for whoever reads it and as often as it is read, and nothing is left.
 *
 *     detached_kills_test [kills [calls [seed]]]       `make soak-kills` has more of them
 *
 * Four clients work at a time, each on one job after the other. A client that is killed is followed
 * by another one, which attaches to the job if its handle was written down, and else starts
 * another: what becomes of the first one's is looked at when all is done. */
#include "base/error.h"
#include "core/detached_jobs.h"
#include "detached.h"
#include "detached/home.h"
#include "detached/journal.h"
#include "wire/message.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LANES = 4, REDUCERS_EVERY = 3, LIMIT_S = 100, JOB_CALLS = 400 };

static struct {
    long kills, calls;
    unsigned seed;
} plan = {40, 5000, 1};

struct lane {
    pid_t client;
    unsigned number;       /* of the job */
    long calls;            /* of it */
    long worker_kills;     /* while it ran */
    lithops_value *handle; /* NULL: not known yet */
    bool is_over;
};
static struct lane lanes[LANES];
static long started_calls, done_calls, jobs_checked, kills[3];
static unsigned next_job;
static unsigned long long random_state;

static unsigned draw(unsigned below)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(random_state >> 33) % below;
}

/* ---- what runs ------------------------------------------------------------------------------- */

static int64_t result_of(int64_t x)
{
    return x * 7 + 1;
}

/* Takes from 0 to 8 ms. */
LITHOPS_FUNCTION(work)
{
    int64_t x;
    if (lithops_args(call, "I", "x", &x) != 0)
        return LITHOPS_EARG;
    usleep((useconds_t)(x * 2654435761u % 8000));
    if (x % 16 == 0)
        printf("call %lld\n", (long long)x);
    return lithops_return(call, "I", result_of(x));
}

LITHOPS_FUNCTION(add)
{
    int64_t total = 0, x;
    while (lithops_call_next_result(call, "I", &x) == 1)
        total += x;
    return lithops_return(call, "I", total);
}

/* ---- clients --------------------------------------------------------------------------------- */

static void name_file(char *buf, size_t size, unsigned number, const char *what)
{
    snprintf(buf, size, "%s/%s-%u", folder, what, number);
}

static lithops_value *read_handle(unsigned number)
{
    char path[128], json[4096];
    name_file(path, sizeof path, number, "handle");
    FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    size_t len = fread(json, 1, sizeof json, file);
    fclose(file);
    return not_null(lithops_value_from_json(json, len, &err));
}

static int write_whole(unsigned number, const char *what, const char *text)
{
    char path[128], unready[136];
    name_file(path, sizeof path, number, what);
    snprintf(unready, sizeof unready, "%s.%d", path, (int)getpid());
    FILE *file = fopen(unready, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0 || rename(unready, path) != 0)
        return 1;
    return 0;
}

static void die(const char *message)
{
    fprintf(stderr, "client %d: %s\n", (int)getpid(), message);
    _exit(1);
}

/* What all outcomes are, as one number; `ret_failed`: how many are errors. */
static uint32_t digest(lithops_futures *futures, long *ret_failed)
{
    uint32_t crc = 0;
    *ret_failed = 0;
    for (size_t i = 0; i < lithops_futures_size(futures); i++) {
        lithops_future *future = lithops_futures_get(futures, i);
        const lithops_value *value = NULL;
        lithops_error own = LITHOPS_ERROR_INIT;
        int rc = lithops_future_value(future, LIMIT_S * 1000, &value, &own);
        int64_t word = rc == 0 ? lithops_value_get_int(value) : rc;
        if (rc == 0 && i < lithops_futures_size(futures) - 1 && word != result_of((int64_t)i))
            die("a result that is none of its call");
        if (rc != 0 && rc != LITHOPS_ECRASH && rc != LITHOPS_ECANCELED)
            die(own.message);
        *ret_failed += rc != 0;
        crc = lithops__crc32(crc, &word, sizeof word);
        if (rc != 0)
            crc = lithops__crc32(crc, own.message, strlen(own.message));
        lithops_future_unref(future);
    }
    return crc;
}

static int read_all(const lithops_value *handle, char *text, size_t size)
{
    lithops_futures *futures;
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_executor *attached = lithops_attach(handle, NULL, &futures, &own);
    if (!attached)
        die(own.message);
    long failed;
    uint32_t crc = digest(futures, &failed);
    snprintf(text, size, "%08x %ld %zu", crc, failed, lithops_futures_size(futures));
    lithops_futures_unref(futures);
    lithops_executor_close(attached);
    return 0;
}

/* A job that is left is told of by its handle. */
static int start_job(unsigned number, long calls)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_executor *opened = open_detached(number % 4 == 3 ? "fail" : "retry");
    lithops_futures *futures = NULL;
    if (number % REDUCERS_EVERY == 2)
        (void)lithops_map_reduce(opened, work, lithops_range(0, calls), add, NULL, &futures, &own);
    else
        futures = lithops_map(opened, work, lithops_range(0, calls), NULL, &own);
    lithops_value *handle = futures ? lithops_job_handle(futures, &own) : NULL;
    char *json = NULL;
    if (!handle || lithops_value_to_json(handle, &json, &own) != 0)
        die(own.message);
    int rc = write_whole(number, "handle", json);
    long failed;
    (void)digest(futures, &failed);
    free(json);
    lithops_value_free(handle);
    lithops_futures_unref(futures);
    lithops_executor_close(opened);
    return rc;
}

static void start_client(struct lane *lane)
{
    fflush(NULL);
    lane->client = fork();
    assert_true(lane->client >= 0);
    if (lane->client > 0)
        return;
    char text[64];
    lithops_value *handle = read_handle(lane->number);
    _exit(handle ? read_all(handle, text, sizeof text) : start_job(lane->number, lane->calls));
}

/* ---- jobs that are done ---------------------------------------------------------------------- */

/* Each call has one outcome in the journal. */
static void check_journal(const lithops_value *handle, const char *name)
{
    struct lithops__home home;
    struct lithops__journal journal;
    uint32_t type;
    lithops_bytes bytes;
    int rc;
    succeeds(lithops__home_open(
        &home, lithops_value_get_string(lithops_value_get(handle, "folder")), &err));
    succeeds(lithops__journal_open(&journal, home.fd, name, &err));
    uint64_t calls = journal.header->calls, count = 0;
    unsigned char *seen = calloc(calls + 1, 1);
    while ((rc = lithops__journal_read(&journal, false, &type, &bytes, &err)) == 1)
        while (type == LITHOPS__JOURNAL_OUTCOMES && bytes.len) {
            struct lithops__outcome outcome;
            succeeds(lithops__outcome_read(&bytes, &outcome, &err));
            assert_true(outcome.call < calls);
            assert_int_equal(seen[outcome.call]++, 0);
            count++;
        }
    assert_int_equal(rc, 0);
    assert_int_equal(count, calls);
    assert_int_equal(lithops__journal_done(journal.header), calls);
    free(seen);
    lithops__journal_close(&journal);
    lithops__home_close(&home);
}

/* By two others at once, and again. */
static void read_by_others(const lithops_value *handle, long most_failed)
{
    char texts[4][64] = {"", "", "", ""};
    for (int round = 0; round < 2; round++) {
        int pipes[2][2], status;
        pid_t readers[2];
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pipe(pipes[i]), 0);
            fflush(NULL);
            readers[i] = fork();
            if (readers[i] == 0) {
                char text[64] = "";
                int rc = read_all(handle, text, sizeof text);
                _exit(rc || write(pipes[i][1], text, sizeof text) != sizeof text);
            }
            close(pipes[i][1]);
        }
        for (int i = 0; i < 2; i++) {
            (void)!read(pipes[i][0], texts[2 * round + i], sizeof texts[0]);
            close(pipes[i][0]);
            assert_int_equal(waitpid(readers[i], &status, 0), readers[i]);
            assert_int_equal(status, 0);
        }
    }
    for (int i = 1; i < 4; i++)
        assert_string_equal(texts[i], texts[0]);
    assert_true(strtol(texts[0] + 9, NULL, 10) <= most_failed);
}

static void check_job(lithops_value *handle, long most_failed)
{
    const lithops_value *jobs = lithops_value_get(handle, "jobs");
    succeeds(lithops_job_wait(handle, LIMIT_S * 1000, &err));
    read_by_others(handle, most_failed);
    for (size_t i = 0; i < lithops_value_size(jobs); i++)
        check_journal(
            handle, lithops_value_get_string(lithops_value_get(lithops_value_at(jobs, i), "job")));
    release(handle);
    jobs_checked++;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static void next(struct lane *lane)
{
    long left = plan.calls - started_calls;
    *lane = (struct lane){.number = next_job++, .is_over = left <= 0};
    if (lane->is_over)
        return;
    lane->calls = 1 + (long)draw(2 * JOB_CALLS);
    lane->calls = lane->calls < left ? lane->calls : left;
    started_calls += lane->calls;
    start_client(lane);
}

/* A worker that is killed takes one call with it, and a reducer may fail for that. */
static long most_failed(const struct lane *lane)
{
    return lane->number % 4 == 3 ? lane->calls + 1 : 2 * lane->worker_kills;
}

static void look_at(struct lane *lane)
{
    int status;
    if (lane->is_over)
        return;
    if (!lane->handle)
        lane->handle = read_handle(lane->number);
    if (waitpid(lane->client, &status, WNOHANG) != lane->client)
        return;
    assert_int_equal(status, 0);
    assert_non_null(lane->handle);
    done_calls += lane->calls;
    check_job(lane->handle, most_failed(lane));
    next(lane);
}

static long progress(void)
{
    long sum = done_calls;
    for (int i = 0; i < LANES; i++) {
        lithops_job_state state = LITHOPS_JOB_STATE_INIT;
        lithops_error own = LITHOPS_ERROR_INIT;
        if (lanes[i].handle && lithops_job_state_read(lanes[i].handle, &state, &own) == 0)
            sum += (long)(state.success + state.failed + state.canceled);
    }
    return sum;
}

/* ---- kills ----------------------------------------------------------------------------------- */

static pid_t child_of(pid_t parent)
{
    pid_t found = 0;
    unsigned count = 0;
    DIR *folder_of = opendir("/proc");
    const struct dirent *entry;
    while (folder_of && (entry = readdir(folder_of)) != NULL) {
        char path[300];
        int pid = atoi(entry->d_name), ppid;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = pid > 0 ? fopen(path, "r") : NULL;
        if (!file)
            continue;
        if (fscanf(file, "%*d (%*[^)]) %*c %d", &ppid) == 1 && ppid == parent && draw(++count) == 0)
            found = pid;
        fclose(file);
    }
    if (folder_of)
        closedir(folder_of);
    return found;
}

/* True: somebody was. */
static bool kill_one(void)
{
    struct lane *lane = &lanes[draw(LANES)];
    unsigned kind = draw(3);
    if (lane->is_over)
        return false;
    if (kind == 0) {
        int status;
        kill(lane->client, SIGKILL);
        assert_int_equal(waitpid(lane->client, &status, 0), lane->client);
        assert_true(WIFSIGNALED(status) || status == 0);
        start_client(lane);
        kills[kind]++;
        return true;
    }
    pid_t pid =
        lane->handle && state_of(lane->handle).is_supervised ? supervisor_of(lane->handle) : 0;
    if (pid > 1 && kind == 2)
        pid = child_of(pid);
    if (pid <= 1 || kill(pid, SIGKILL) != 0)
        return false;
    lane->worker_kills += kind == 2;
    kills[kind]++;
    return true;
}

/* Paced by the calls that are done, so that there is progress in between. */
static void kill_and_look(void)
{
    long killed = 0, mean = plan.calls / (plan.kills + 1), due = (long)draw((unsigned)mean);
    double start = api_now(), limit = 300 + (double)plan.kills * 2;
    bool is_busy = true;
    while (is_busy) {
        is_busy = false;
        for (int i = 0; i < LANES; i++) {
            look_at(&lanes[i]);
            is_busy |= !lanes[i].is_over;
        }
        if (killed < plan.kills && progress() >= due && kill_one()) {
            due += (long)draw((unsigned)(2 * mean) + 1);
            if (++killed % 100 == 0)
                print_message("%ld kills, %ld calls, %.0f s\n", killed, progress(),
                              api_now() - start);
        }
        usleep(draw(4000));
        assert_true(api_now() - start < limit);
    }
    print_message("kills of clients %ld, supervisors %ld, workers %ld\n", kills[0], kills[1],
                  kills[2]);
}

/* Of clients that were killed before they could tell. */
static void check_unclaimed(void)
{
    lithops_value *list = not_null(lithops_job_list(&err));
    for (size_t i = 0; i < lithops_value_size(list); i++) {
        const lithops_value *one = lithops_value_at(list, i);
        const char *key = lithops_value_get_string(lithops_value_get(one, "key"));
        if (!strstr(key, "-R")) /* it comes with its map */
            check_job(lithops_value_copy(lithops_value_get(one, "handle")), JOB_CALLS * 2 + 1);
    }
    lithops_value_free(list);
}

static size_t count_folders(void)
{
    char path[512];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/lithops/jobs", getenv("XDG_STATE_HOME"));
    DIR *jobs = not_null(opendir(path));
    const struct dirent *entry;
    while ((entry = readdir(jobs)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(jobs);
    return count;
}

static void each_call_has_one_outcome(void **state)
{
    (void)state;
    print_message("%ld kills, %ld calls, seed %u\n", plan.kills, plan.calls, plan.seed);
    random_state = plan.seed;
    for (int i = 0; i < LANES; i++)
        next(&lanes[i]);
    kill_and_look();
    check_unclaimed();
    print_message("%ld jobs checked\n", jobs_checked);
    double start = api_now();
    while (count_folders() > 0) { /* supervisors end; then what clients have left can be swept */
        struct lithops__job_sweep found;
        succeeds(lithops__detached_sweep(false, &found, &err));
        assert_int_equal(found.jobs + found.kept, 0);
        assert_true(api_now() - start < LIMIT_S);
        usleep(20000);
    }
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    plan.kills = argc > 1 ? atol(argv[1]) : api_times((int)plan.kills);
    plan.calls = argc > 2 ? atol(argv[2]) : plan.calls;
    plan.seed = argc > 3 ? (unsigned)atol(argv[3]) : plan.seed;
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(each_call_has_one_outcome, prepare)};
    return api_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
