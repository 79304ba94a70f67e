/* SPDX-License-Identifier: Apache-2.0 */
#include "detached.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Which calls have run, one line each, in `folder`/runs. */
static void note_run(int64_t x)
{
    const char *at = getenv("LITHOPS_TEST_FOLDER");
    char path[256], line[32];
    snprintf(path, sizeof path, "%s/runs", at);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int len = snprintf(line, sizeof line, "%lld\n", (long long)x);
    if (fd < 0 || write(fd, line, (size_t)len) != len)
        abort();
    close(fd);
}

/* Waits while the file `folder`/gate is there. */
LITHOPS_FUNCTION(gated)
{
    const char *at = getenv("LITHOPS_TEST_FOLDER");
    char path[256];
    int64_t x;
    if (lithops_args(call, "I", "x", &x) != 0)
        return LITHOPS_EARG;
    snprintf(path, sizeof path, "%s/gate", at);
    while (x >= 4 && access(path, F_OK) == 0)
        usleep(2000);
    note_run(x);
    printf("call %lld\n", (long long)x);
    return lithops_return(call, "I", x * x);
}

lithops_executor *open_with(const char *policy, double idle_s, double expiry_s)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    char limits[256];
    snprintf(limits, sizeof limits,
             "{\"on_supervisor_lost\": \"%s\", \"detached_idle\": %g, \"detached_expiry\": %g}",
             policy, idle_s, expiry_s);
    lithops_value *config = api_config(limits), *settings = api_json("{\"worker_processes\": 2}");
    options.config = config;
    options.settings = settings;
    options.backend = api_backend();
    options.detached = true;
    lithops_executor *opened = lithops_executor_open(&options, &err);
    lithops_value_free(settings);
    lithops_value_free(config);
    return not_null(opened);
}

lithops_executor *open_detached(const char *policy)
{
    return open_with(policy, 0.05, 86400);
}

static const char *gate_path(void)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/gate", folder);
    return path;
}

void close_gate(void)
{
    api_write_file("gate", "", 0);
    api_write_file("runs", "", 0);
}

void open_gate(void)
{
    assert_int_equal(unlink(gate_path()), 0);
}

/* How often each of `count` calls has run. */
void count_runs(int *runs, int count)
{
    char path[128];
    long long x;
    memset(runs, 0, (size_t)count * sizeof *runs);
    snprintf(path, sizeof path, "%s/runs", folder);
    FILE *file = not_null(fopen(path, "r"));
    while (fscanf(file, "%lld", &x) == 1)
        if (x >= 0 && x < count)
            runs[x]++;
    fclose(file);
}

lithops_job_state state_of(const lithops_value *handle)
{
    lithops_job_state state = LITHOPS_JOB_STATE_INIT;
    succeeds(lithops_job_state_read(handle, &state, &err));
    return state;
}

/* Until so many calls are done. */
void await_done(const lithops_value *handle, uint64_t count)
{
    double start = api_now();
    while (state_of(handle).success + state_of(handle).failed < count) {
        assert_true(api_now() - start < LIMIT_MS / 1000);
        usleep(2000);
    }
}

pid_t supervisor_of(const lithops_value *handle)
{
    char path[512];
    int32_t words[8] = {0};
    snprintf(path, sizeof path, "%s/page",
             lithops_value_get_string(lithops_value_get(handle, "folder")));
    FILE *file = not_null(fopen(path, "r"));
    assert_int_equal(fread(words, 4, 6, file), 6); /* magic 8, version, bell, waiting, process */
    fclose(file);
    return words[5];
}

/* A map from 0 to `count` by a client that is killed when 4 of them are done. */
lithops_value *leave_job(const char *policy, int64_t count)
{
    char path[128];
    snprintf(path, sizeof path, "%s/handle", folder);
    close_gate();
    pid_t client = fork();
    assert_true(client >= 0);
    if (client == 0) {
        lithops_error own = LITHOPS_ERROR_INIT;
        lithops_executor *opened = open_detached(policy);
        lithops_futures *futures = lithops_map(opened, gated, lithops_range(0, count), NULL, &own);
        lithops_value *handle = lithops_job_handle(futures, &own);
        char *json = NULL;
        if (!handle || lithops_value_to_json(handle, &json, &own) != 0)
            _exit(lithops_error_print(&own, stderr));
        FILE *file = fopen(path, "w");
        if (!file || fputs(json, file) < 0 || fclose(file) != 0)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(client, &status, 0), client);
    assert_true(WIFSIGNALED(status));
    char json[4096];
    FILE *file = not_null(fopen(path, "r"));
    size_t len = fread(json, 1, sizeof json, file);
    fclose(file);
    lithops_value *handle = not_null(lithops_value_from_json(json, len, &err));
    await_done(handle, 4);
    return handle;
}

void release(lithops_value *handle)
{
    succeeds(lithops_job_release(handle, &err));
    lithops_value_free(handle);
}

void end_supervisor(const lithops_value *handle)
{
    assert_true(state_of(handle).is_supervised);
    pid_t supervisor = supervisor_of(handle);
    assert_true(supervisor > 1);
    assert_int_equal(kill(supervisor, SIGKILL), 0);
    while (kill(supervisor, 0) == 0 && state_of(handle).is_supervised)
        usleep(1000);
}

/* Each test has a place of its own for its jobs. */
int prepare(void **state)
{
    static int number;
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/state%d", folder, number++);
    return mkdir(path, 0700) != 0 || setenv("XDG_STATE_HOME", path, 1) != 0;
}
