/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs on workers that HTTP requests start, at an endpoint that throttles, resets, answers late,
 * twice, half or something else, and kills workers and their containers, by plans that seeds make.
 *
 * Each call has one outcome: its own, or an error that says what was lost. Where no worker was
 * killed or started twice each call has run once, and has its own; where all workers are refused
 * from some request on, no more have run than there are; and where some are started twice, no call
 * with retries left is lost. What a quota that is reached says is in the error. The containers are
 * `lithops worker`, run as processes, of which none is left; the storage is that of
 * tests/servers/with-redis or, for aws_lambda, with-s3.
 * invoked_test [BACKEND [COUNT [FIRST]]] runs COUNT plans; `make soak-invoked PLANS=200`. */
#include "invoked.h"

#include <lithops/plugin/runtime.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SQUARES = 24,
    ODD = 8,
    MANY_PLANS = 12,
    AT_A_TIME = 4, /* plans: they mostly wait */
    MOST_NAP_MS = 20,
};

static const char *const kinds[] = {"passing", "double", "killing", "refusing"};

static const struct platform *platform = &invoked_knative;
static unsigned seed;
static lithops_error err = LITHOPS_ERROR_INIT;

/* ---- jobs ------------------------------------------------------------------------------------ */

#define RUNS "LITHOPS_TEST_RUNS" /* names a file, with a byte for each run of a call */

static void note_run(void)
{
    const char *path = getenv(RUNS);
    int fd = open(path ? path : "", O_WRONLY | O_APPEND | O_CLOEXEC);
    (void)!write(fd, ".", 1);
    close(fd);
}

LITHOPS_FUNCTION(slow_square)
{
    int64_t x = lithops_call_int(call);
    note_run();
    poll(NULL, 0, (int)(x % MOST_NAP_MS));
    return lithops_return_int(call, x * x);
}

LITHOPS_FUNCTION(fail_at_odds)
{
    int64_t x = lithops_call_int(call);
    note_run();
    return x % 2 ? lithops_fail(call, "%lld is odd", (long long)x) : lithops_return_int(call, x);
}

static lithops_value *storage_section(void)
{
    const char *json = getenv("LITHOPS_TEST_STORAGE");
    lithops_value *section = lithops_value_from_json(json, strlen(json), &err);
    if (strcmp(platform->storage, "aws_s3") == 0)
        lithops_value_set(section, "storage_bucket", lithops_value_string("plans"));
    return section;
}

static lithops_executor *open_executor(int retries)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    int start_s = invoked.kind != REFUSING   ? FAULT_CASE_S
                  : invoked.last == THROTTLE ? 8 /* it is asked again until then */
                                             : 1;
    lithops_value *config = lithops_pack(
        "{s:{s:s,s:s,s:i},s:o,s:o}", "lithops", "backend", platform->backend, "storage",
        platform->storage, "call_retries", retries, platform->storage, storage_section(),
        platform->backend, platform->section(invoked.url, start_s, invoked.kind));
    options.config = config;
    lithops_executor *fexec = lithops_executor_open(&options, &err);
    lithops_value_free(config);
    if (!fexec)
        fault_fail(__FILE__, __LINE__, err.message);
    return fexec;
}

/* A call that did not end with its own outcome says why, and may be lost: also where workers are
 * started twice, as one that has begun calls may be then. */
static void check_loss(const lithops_error *error, size_t call)
{
    int code = error->code;
    bool is_refused =
        invoked.kind == REFUSING &&
        (code == LITHOPS_EDENIED || code == LITHOPS_ETHROTTLED || code == LITHOPS_ENOTFOUND);
    bool is_lost = invoked.kind != PASSING && (code == LITHOPS_ECRASH || code == LITHOPS_EBACKEND ||
                                               code == LITHOPS_ETIMEDOUT || is_refused);
    bool is_named = invoked.kind != REFUSING || invoked.last != THROTTLE ||
                    strstr(error->message, platform->quota);
    if (!is_lost || !is_named) {
        char text[900];
        snprintf(text, sizeof text, "plan %u (%s): call %zu: code %d: %s", seed,
                 kinds[invoked.kind], call, code, error->message);
        fault_fail(__FILE__, __LINE__, text);
    }
}

static size_t check_ints(lithops_futures *calls, size_t count, bool are_squares)
{
    size_t lost = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t result;
        lithops_error error = LITHOPS_ERROR_INIT;
        int rc = lithops_futures_int(calls, i, &result, &error);
        if (rc == 0) {
            CHECK(are_squares || i % 2 == 0);
            CHECK_INT(result, are_squares ? i * i : i);
        } else if (are_squares || rc != LITHOPS_ECALL || !strstr(error.message, "is odd")) {
            check_loss(&error, i);
            lost++;
        }
    }
    lithops_futures_unref(calls);
    return lost;
}

/* Of workers that are started twice `most_own` may be lost, and no call runs out of retries by that
 * alone. */
static size_t run_jobs(lithops_executor *fexec, int retries)
{
    lithops_futures *squares =
        lithops_map(fexec, slow_square, lithops_range(0, SQUARES), NULL, &err);
    lithops_futures *odds = lithops_map(fexec, fail_at_odds, lithops_range(0, ODD), NULL, &err);
    CHECK(squares && odds);
    fault_await_all(squares);
    fault_await_all(odds);
    size_t lost = check_ints(squares, SQUARES, true);
    if (invoked.kind == DOUBLE && retries >= (int)platform->most_own)
        CHECK_INT(lost, 0);
    return lost + check_ints(odds, ODD, false);
}

/* ---- plans ----------------------------------------------------------------------------------- */

static long take_runs(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long runs = (long)lseek(fd, 0, SEEK_END);
    close(fd);
    unlink(path);
    return runs;
}

static void run_plan(void)
{
    char path[] = "/tmp/lithops-invoked-XXXXXX";
    unsigned random = seed * 2654435761u;
    double start = fault_now();
    close(mkstemp(path));
    setenv(RUNS, path, 1); /* the containers, and so their workers, get it, too */
    int retries = rand_r(&random) % 2 ? 2 : 0;
    invoked_start(platform, (enum kind)(seed % KINDS), seed);
    lithops_executor *fexec = open_executor(retries);
    size_t lost = run_jobs(fexec, retries);
    lithops_executor_close(fexec);
    invoked_stop();
    long runs = take_runs(path);
    fprintf(stderr, "%s, plan %u: %s, %u requests disturbed, %zu calls lost, %ld runs, %.1f s\n",
            platform->backend, seed, kinds[invoked.kind], invoked.disturbed, lost, runs,
            fault_now() - start);
    long all = SQUARES + ODD + ODD / 2 * retries; /* one that fails by itself is run again, too */
    if (invoked.kind == PASSING)
        CHECK_INT(runs, all);
    else if (invoked.kind == REFUSING) /* none is run again for that */
        CHECK(runs <= all);
    CHECK(runs + (long)lost >= SQUARES + ODD);
}

static int plans = MANY_PLANS;

/* Every AT_A_TIME-th plan, in a process: fault_run() ends it when one fails. */
static void run_some(unsigned first, unsigned end)
{
    for (seed = first; seed < end; seed += AT_A_TIME)
        fault_run("plan", run_plan);
    exit(0);
}

static void all_plans(void **state)
{
    pid_t pids[AT_A_TIME];
    unsigned end = seed + (unsigned)plans;
    bool good = true;
    (void)state;
    for (unsigned i = 0; i < AT_A_TIME; i++)
        if ((pids[i] = fork()) == 0)
            run_some(seed + i, end);
        else
            assert_true(pids[i] > 0);
    for (unsigned i = 0; i < AT_A_TIME; i++) {
        int status = 1;
        while (waitpid(pids[i], &status, 0) < 0 && errno == EINTR)
            continue;
        good = good && status == 0;
    }
    assert_true(good);
}

/* ---- what is left ---------------------------------------------------------------------------- */

LITHOPS_FUNCTION(stay)
{
    note_run();
    for (volatile bool for_ever = true; for_ever;)
        pause();
    return lithops_fail(call, "it has ended");
}

static void await_run(const char *path)
{
    struct stat status = {.st_size = 0};
    double limit = fault_now() + FAULT_WAIT_MS / 1e3;
    while (stat(path, &status) != 0 || status.st_size == 0) {
        CHECK(fault_now() < limit);
        poll(NULL, 0, INVOKED_STEP_MS);
    }
}

static int count_one(const lithops_object_info *info, void *user)
{
    fprintf(stderr, "left: %s\n", info->key);
    ++*(int *)user;
    return 0;
}

static int count_objects(const lithops_value *config)
{
    int count = 0;
    lithops_storage *storage = lithops_storage_open_config(platform->storage, config, &err);
    CHECK(storage != NULL);
    CHECK_INT(
        lithops_storage_list(storage, lithops_storage_bucket(storage), "", count_one, &count, &err),
        0);
    lithops_storage_close(storage);
    return count;
}

/* With its containers; then the command takes away what is in the storage. */
FAULT_CASE(a_killed_client_leaves_what_clean_removes)
{
    char path[] = "/tmp/lithops-invoked-XXXXXX", folder[] = "/tmp/lithops-invoked-XXXXXX";
    char said[1024], file[64], *json;
    int ends[2];
    close(mkstemp(path));
    CHECK(mkdtemp(folder) != NULL);
    setenv(RUNS, path, 1);
    CHECK(pipe(ends) == 0);
    pid_t client = fork(); /* before there are threads */
    CHECK(client >= 0);
    if (client == 0) {
        CHECK(read(ends[0], invoked.url, sizeof invoked.url) == sizeof invoked.url);
        lithops_executor *fexec = open_executor(0);
        lithops_futures *calls = lithops_map(fexec, stay, lithops_range(0, 4), NULL, &err);
        (void)lithops_wait(fexec, calls, NULL, NULL, NULL, &err);
        _exit(0);
    }
    invoked_start(platform, PASSING, 0);
    CHECK(write(ends[1], invoked.url, sizeof invoked.url) == sizeof invoked.url);
    close(ends[0]);
    close(ends[1]);
    await_run(path);
    CHECK(kill(client, SIGKILL) == 0 && waitpid(client, NULL, 0) == client);
    invoked_stop();
    lithops_value *config = lithops_pack("{s:{s:s},s:o}", "lithops", "storage", platform->storage,
                                         platform->storage, storage_section());
    CHECK_INT(lithops_value_to_json(config, &json, &err), 0);
    CHECK_INT(fault_command(FAULT_COMMAND, folder, json, "clean --all", said, sizeof said), 0);
    CHECK_INT(count_objects(config), 0);
    free(json);
    lithops_value_free(config);
    snprintf(file, sizeof file, "%s/command.yaml", folder);
    CHECK(unlink(file) == 0 && rmdir(folder) == 0 && unlink(path) == 0);
}

static const struct platform *const platforms[] = {&invoked_knative, &invoked_openwhisk,
                                                   &invoked_aws_lambda};

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    setenv("no_proxy", "*", 1);
    for (size_t i = 0; argc > 1 && i < sizeof platforms / sizeof *platforms; i++)
        if (strcmp(argv[1], platforms[i]->backend) == 0)
            platform = platforms[i];
    if (!getenv("LITHOPS_TEST_STORAGE") ||
        (strcmp(platform->storage, "aws_s3") == 0 && !getenv("LITHOPS_TEST_S3_ENDPOINT"))) {
        print_message("run this by tests/servers/with-redis, or for aws_lambda by with-s3\n");
        return 1;
    }
    plans = argc > 2 ? atoi(argv[2]) : MANY_PLANS;
    seed = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_plans),
        cmocka_unit_test(a_killed_client_leaves_what_clean_removes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
