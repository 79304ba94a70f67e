/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite of compute backends: what its parts share, and the run. */
#include "compute_parts.h"

#include <lithops/plugin/runtime.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct compute_suite *suite;

LITHOPS_FUNCTION(suite_square)
{
    int64_t x = lithops_call_int(call);
    return lithops_return_int(call, x * x);
}

LITHOPS_FUNCTION(suite_echo)
{
    return lithops_return_value(call, lithops_value_copy(lithops_call_input(call)));
}

LITHOPS_FUNCTION(suite_pause)
{
    for (volatile bool for_ever = true; for_ever;)
        pause();
    return lithops_return_int(call, 0);
}

static lithops_value *storage_settings(void)
{
    return suite->storage ? suite->storage_settings()
                          : lithops_pack("{s:s}", "storage_root", folder);
}

static lithops_executor *open_one(int workers, int processes, int retries, bool detached)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    const char *storage = suite->storage ? suite->storage : "localhost";
    lithops_value *config = lithops_pack(
        "{s:{s:s,s:i,s:s,s:f},s:o}", "lithops", "backend", suite->backend, "call_retries", retries,
        "storage", storage, "detached_idle", 0.05, storage, storage_settings());
    lithops_value *settings = suite->settings(workers, processes);
    if (suite->monitoring_settings)
        assert_int_equal(lithops_value_set(config, suite->monitoring, suite->monitoring_settings()),
                         0);
    options.monitoring = suite->monitoring;
    options.config = config;
    options.settings = settings;
    options.detached = detached;
    lithops_executor *opened = lithops_executor_open(&options, &err);
    lithops_value_free(config);
    lithops_value_free(settings);
    return not_null(opened);
}

lithops_executor *suite_open(int workers, int processes, int retries)
{
    return open_one(workers, processes, retries, false);
}

lithops_executor *suite_open_detached(void)
{
    return open_one(WORKERS, PROCESSES, 0, true);
}

int suite_open_group(void **state)
{
    (void)state;
    fexec = suite_open(WORKERS, PROCESSES, 0);
    return 0;
}

lithops_future *suite_call(const lithops_function *function, lithops_value *input)
{
    return not_null(lithops_call_async(fexec, function, input, NULL, &err));
}

lithops_futures *suite_map(const lithops_function *function, lithops_value *list)
{
    return not_null(lithops_map(fexec, function, list, NULL, &err));
}

void suite_works(lithops_executor *opened)
{
    lithops_futures *futures =
        not_null(lithops_map(opened, suite_square, lithops_range(0, 5), NULL, &err));
    results_are(futures, "[0,1,4,9,16]");
}

void suite_await_running(const lithops_futures *futures, size_t count)
{
    size_t running = 0;
    double limit = api_now() + LIMIT_MS / 1000.0;
    while (running < count) {
        running = 0;
        for (size_t i = 0; i < lithops_futures_size(futures); i++)
            running += lithops_futures_state(futures, i) == LITHOPS_RUNNING;
        if (api_now() > limit)
            fail_msg("%zu calls run, not %zu", running, count);
        sched_yield();
    }
}

void suite_settle(lithops_futures *futures)
{
    lithops_wait_options options = within_limit;
    options.throw_except = false;
    succeeds(lithops_wait(NULL, futures, &options, NULL, NULL, &err));
}

/* ---- what is left ---------------------------------------------------------------------------- */

enum { LISTED = 32 };

struct listed {
    char *keys[LISTED];
    int count;
};

static int note_key(const lithops_object_info *info, void *user)
{
    struct listed *listed = user;
    listed->keys[listed->count++] = strdup(info->key);
    return listed->count == LISTED;
}

/* What a list shows, and nobody can read, is none. */
static bool is_there(lithops_storage *storage, const char *key)
{
    void *data;
    size_t len;
    int rc = lithops_storage_get(storage, lithops_storage_bucket(storage), key, 0, SIZE_MAX, &data,
                                 &len, &err);
    fprintf(stderr, "the storage %s %s\n",
            rc == LITHOPS_ENOTFOUND ? "lists, but lacks" : "still has", key);
    if (rc == 0)
        free(data);
    return rc != LITHOPS_ENOTFOUND;
}

int compute_suite_left(void)
{
    struct listed listed = {.count = 0};
    const char *backend = suite->storage ? suite->storage : "localhost";
    int left = 0;
    lithops_value *config = lithops_pack("{s:o}", backend, storage_settings());
    lithops_storage *storage = not_null(lithops_storage_open_config(backend, config, &err));
    int rc = lithops_storage_list(storage, lithops_storage_bucket(storage), "lithops.jobs/",
                                  note_key, &listed, &err);
    for (int i = 0; i < listed.count; i++) {
        left += is_there(storage, listed.keys[i]);
        free(listed.keys[i]);
    }
    lithops_storage_close(storage);
    lithops_value_free(config);
    return rc < 0 ? 1 : left;
}

/* ---- all of it ------------------------------------------------------------------------------- */

int compute_suite_run(const struct compute_suite *the_suite)
{
    suite = the_suite;
    return compute_jobs_run() + compute_views_run() + compute_endings_run() +
           compute_detached_run();
}
