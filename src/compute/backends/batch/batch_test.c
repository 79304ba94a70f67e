/* SPDX-License-Identifier: Apache-2.0 */
/* Workers of a batch service, over one that is made here: what is submitted, asked for and ended.
 */
#include "compute/backends/batch/batch.h"

#include "base/error.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_JOBS = 32, MOST_IDS = 64, LIMIT_S = 120 };

/* ---- the service ----------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    unsigned jobs, parts; /* submitted */
    char values[MOST_JOBS][4096];
    uint32_t sizes[MOST_JOBS];
    enum lithops__batch_phase phase; /* of all that are asked for */
    bool has_run, is_hopeless, is_gone;
    const char *why;
    int refusal;  /* of submissions; 0: none */
    bool is_lost; /* the job is there, but its submission fails */
    bool is_held; /* submissions wait until it is false */
    char last_name[LITHOPS__BATCH_NAME];
    unsigned failures; /* of terminations that are still to come */
    unsigned ended;
    char terminated[MOST_IDS][LITHOPS__BATCH_ID];
    unsigned looks;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int fake_open(void *state, const lithops_value *settings, lithops_error *err)
{
    (void)state, (void)settings, (void)err;
    return 0;
}

static void fake_close(void *state)
{
    (void)state;
}

static int fake_submit(void *state, const struct lithops__batch_order *order,
                       char ret_id[LITHOPS__BATCH_ID], bool *ret_is_doubtful, lithops_error *err)
{
    (void)state;
    pthread_mutex_lock(&fake.lock);
    while (fake.is_held) {
        pthread_mutex_unlock(&fake.lock);
        usleep(1000);
        pthread_mutex_lock(&fake.lock);
    }
    snprintf(fake.last_name, sizeof fake.last_name, "%s", order->name);
    int rc = fake.refusal ? lithops__fail(err, fake.refusal, "it was told to refuse") : 0;
    if (rc == 0 && fake.jobs < MOST_JOBS) {
        snprintf(fake.values[fake.jobs], sizeof fake.values[0], "%s", order->value);
        fake.sizes[fake.jobs] = order->parts;
        fake.parts += order->parts;
        snprintf(ret_id, LITHOPS__BATCH_ID, "job%u", fake.jobs++);
    }
    if (rc == 0 && fake.is_lost) {
        *ret_is_doubtful = true;
        rc = lithops__fail(err, LITHOPS_ECANCELED, "its answer was lost");
    }
    pthread_mutex_unlock(&fake.lock);
    return rc;
}

static void fake_part(const char *id, uint32_t index, uint32_t parts,
                      char ret_id[LITHOPS__BATCH_ID])
{
    snprintf(ret_id, LITHOPS__BATCH_ID, parts > 1 ? "%.100s:%u" : "%.100s", id, index);
}

static int fake_describe(void *state, const char *const *ids, size_t count,
                         struct lithops__batch_seen *ret_seen, const struct lithops__bounds *bounds,
                         lithops_error *err)
{
    (void)state, (void)ids, (void)bounds, (void)err;
    assert_true(count > 0 && count <= 3);
    pthread_mutex_lock(&fake.lock);
    fake.looks++;
    for (size_t i = 0; i < count; i++) {
        ret_seen[i] = (struct lithops__batch_seen){.is_known = true,
                                                   .phase = fake.phase,
                                                   .has_run = fake.has_run,
                                                   .is_hopeless = fake.is_hopeless,
                                                   .is_gone = fake.is_gone};
        snprintf(ret_seen[i].why, sizeof ret_seen[i].why, "%s", fake.why ? fake.why : "");
    }
    pthread_mutex_unlock(&fake.lock);
    return 0;
}

static int fake_terminate(void *state, const char *id, const char *reason,
                          const struct lithops__bounds *bounds, lithops_error *err)
{
    int rc = 0;
    (void)state, (void)reason, (void)bounds;
    pthread_mutex_lock(&fake.lock);
    if (fake.failures > 0) {
        fake.failures--;
        rc = lithops__fail(err, LITHOPS_EBACKEND, "it was told to fail");
    } else if (fake.ended < MOST_IDS) {
        snprintf(fake.terminated[fake.ended++], LITHOPS__BATCH_ID, "%s", id);
    }
    pthread_mutex_unlock(&fake.lock);
    return rc;
}

/* The jobs of the last name, all of which it says are there. */
static int fake_list(void *state, const char *prefix,
                     int (*visit)(const char *id, const char *name, void *user), void *user,
                     const struct lithops__bounds *bounds, lithops_error *err)
{
    char id[LITHOPS__BATCH_ID];
    (void)state, (void)bounds, (void)err;
    assert_string_equal(prefix, fake.last_name);
    for (unsigned i = 0; i < fake.jobs; i++) {
        snprintf(id, sizeof id, "job%u", i);
        visit(id, fake.last_name, user);
    }
    visit("another", "lithops-of-another-program", user);
    return 0;
}

static const struct lithops__batch_service service = {
    .most_parts = 4,
    .most_bytes = 2000,
    .most_described = 3,
    .look_ms = 10,
    .state_size = 1,
    .open = fake_open,
    .close = fake_close,
    .submit = fake_submit,
    .part = fake_part,
    .describe = fake_describe,
    .terminate = fake_terminate,
    .list = fake_list,
};

static struct lithops__batch_links links = {
    .driver = {.abi = LITHOPS_COMPUTE_ABI, .name = "fake", .ops = &lithops__batch_link_ops},
    .service = &service,
};

/* The same, with jobs that end as a whole, and stay until they are deleted. */
static struct lithops__batch_service keeping;
static struct lithops__batch_links keeping_links = {
    .driver = {.abi = LITHOPS_COMPUTE_ABI, .name = "fake", .ops = &lithops__batch_link_ops},
    .service = &keeping,
};

/* ---- a client -------------------------------------------------------------------------------- */

static const lithops_link_ops *const ops = &lithops__batch_link_ops;
static lithops_error err;

static void set_phase(enum lithops__batch_phase phase, bool has_run, const char *why)
{
    pthread_mutex_lock(&fake.lock);
    fake.phase = phase;
    fake.has_run = has_run;
    fake.why = why;
    pthread_mutex_unlock(&fake.lock);
}

static void set_refusal(int refusal, bool is_hopeless)
{
    pthread_mutex_lock(&fake.lock);
    fake.refusal = refusal;
    fake.is_hopeless = is_hopeless;
    pthread_mutex_unlock(&fake.lock);
}

static unsigned ended(void)
{
    pthread_mutex_lock(&fake.lock);
    unsigned count = fake.ended;
    pthread_mutex_unlock(&fake.lock);
    return count;
}

/* Until so many were terminated. The time limit of the test ends it. */
static void await_ended(unsigned count)
{
    while (ended() < count)
        usleep(1000);
}

static void *open_links(const struct lithops__batch_links *opened, int start_timeout_s)
{
    lithops_workers workers = {.workers = 0};
    lithops_value *settings =
        lithops_pack("{s:i,s:i,s:i,s:f,s:f}", "max_workers", 16, "start_timeout", start_timeout_s,
                     "lifetime", 100, "idle_timeout", 1.0, "worker_lost_timeout", 15.0);
    void *state = calloc(1, lithops__batch_state_size);
    fake.jobs = fake.parts = fake.ended = fake.looks = 0;
    fake.refusal = 0;
    fake.is_hopeless = fake.is_gone = fake.is_lost = fake.is_held = false;
    fake.failures = 0;
    assert_non_null(state);
    assert_int_equal(ops->open(&opened->driver, state, settings, NULL, &workers, &err), 0);
    assert_int_equal(workers.workers, 16);
    assert_true(workers.through_storage && workers.ends_when_told);
    assert_int_equal(workers.keeps_secrets, !opened->service->takes_secrets);
    lithops_value_free(settings);
    return state;
}

static void *open_batch(int start_timeout_s)
{
    return open_links(&links, start_timeout_s);
}

static void close_batch(void *state)
{
    ops->close(state);
    free(state);
}

static const char config[] =
    "{\"lithops\": {\"storage\": \"aws_s3\", \"monitoring\": \"rabbitmq\"}, \"aws_s3\": "
    "{\"storage_bucket\": \"jobs\", \"secret_access_key\": \"hidden\"}}";

struct start {
    void *state;
    uint32_t worker;
    int cancel_fd, rc;
    lithops_link link;
    lithops_error err;
    pthread_t thread;
};

static void *start_one(void *user)
{
    struct start *start = user;
    char key[64];
    snprintf(key, sizeof key, "lithops.jobs/e1-0-abcd/link%u", start->worker);
    start->err = (lithops_error)LITHOPS_ERROR_INIT;
    start->rc = ops->invoke(start->state, start->worker, key, config, start->cancel_fd,
                            &start->link, &start->err);
    return NULL;
}

static int invoke(void *state, struct start *start)
{
    *start = (struct start){.state = state, .cancel_fd = -1};
    start_one(start);
    return start->rc;
}

/* ---- tests ----------------------------------------------------------------------------------- */

enum { COUNT = 10 };

static void set_held(bool is_held)
{
    pthread_mutex_lock(&fake.lock);
    fake.is_held = is_held;
    pthread_mutex_unlock(&fake.lock);
}

/* Those that come while a job is submitted are the next one: at most 4 in each. */
static void start_all(void *state, struct start *starts)
{
    set_held(true);
    for (uint32_t i = 0; i < COUNT; i++) {
        starts[i] = (struct start){.state = state, .worker = i, .cancel_fd = -1};
        assert_int_equal(pthread_create(&starts[i].thread, NULL, start_one, &starts[i]), 0);
    }
    usleep(20000); /* most of them are there by then */
    set_held(false);
    for (uint32_t i = 0; i < COUNT; i++) {
        pthread_join(starts[i].thread, NULL);
        assert_int_equal(starts[i].rc, 0);
        assert_in_range(starts[i].link.time_left_ms, 1, 95000);
        assert_false(ops->has_ended(state, &starts[i].link));
    }
}

static void end_by_themselves(void *state, const struct start *starts)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        char how[512];
        while (!ops->has_ended(state, &starts[i].link))
            usleep(1000);
        ops->disconnect(state, &starts[i].link, how, sizeof how);
        assert_non_null(strstr(how, "it was reclaimed"));
    }
}

/* Each is told of once, and of nothing secret. */
static void expect_values(void)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        char link[16];
        unsigned times = 0;
        snprintf(link, sizeof link, "link%u", i);
        for (unsigned job = 0; job < fake.jobs; job++) {
            assert_true(fake.sizes[job] <= 4);
            assert_null(strstr(fake.values[job], "hidden"));
            assert_null(strstr(fake.values[job], "rabbitmq"));
            assert_non_null(strstr(fake.values[job], "\"lithops.jobs/e1-0-abcd/\""));
            times += strstr(fake.values[job], link) != NULL;
        }
        assert_int_equal(times, 1);
    }
}

static void workers_that_come_together_are_few_jobs(void **unused)
{
    struct start starts[COUNT];
    bool is_full = false;
    (void)unused;
    while (!is_full) { /* on a slow machine they may come one by one; the test's limit ends it */
        void *state = open_batch(LIMIT_S);
        set_phase(LITHOPS__BATCH_RUNS, true, NULL);
        start_all(state, starts);
        assert_int_equal(fake.parts, COUNT);
        expect_values();
        for (unsigned job = 0; job < fake.jobs; job++)
            is_full = is_full || fake.sizes[job] == 4;
        set_phase(LITHOPS__BATCH_ENDED, true, "FAILED: it was reclaimed");
        end_by_themselves(state, starts);
        close_batch(state);
        assert_int_equal(ended(), 0);
    }
}

/* The service has the job, and nobody knows its name. */
static void a_lost_submission_is_looked_for(void **unused)
{
    struct start start;
    void *state = open_batch(LIMIT_S);
    (void)unused;
    set_phase(LITHOPS__BATCH_RUNS, true, NULL);
    assert_int_equal(invoke(state, &start), 0);
    fake.is_lost = true;
    assert_int_equal(invoke(state, &start), LITHOPS_ECANCELED);
    close_batch(state);
    assert_int_equal(ended(), 2);
    assert_string_equal(fake.terminated[0], "job0");
    assert_string_equal(fake.terminated[1], "job1");
}

/* At the end, at the latest. */
static void what_cannot_be_terminated_is_not_forgotten(void **unused)
{
    char how[512];
    struct start start;
    void *state = open_batch(LIMIT_S);
    (void)unused;
    set_phase(LITHOPS__BATCH_RUNS, true, NULL);
    assert_int_equal(invoke(state, &start), 0);
    pthread_mutex_lock(&fake.lock);
    fake.failures = 1;
    pthread_mutex_unlock(&fake.lock);
    ops->abandon(state, &start.link);
    ops->disconnect(state, &start.link, how, sizeof how);
    for (unsigned failures = 1; failures > 0; usleep(1000)) {
        pthread_mutex_lock(&fake.lock);
        failures = fake.failures;
        pthread_mutex_unlock(&fake.lock);
    }
    close_batch(state);
    assert_int_equal(ended(), 1);
}

static void what_does_not_answer_is_terminated(void **unused)
{
    char how[512];
    struct start start;
    void *state = open_batch(LIMIT_S);
    (void)unused;
    set_phase(LITHOPS__BATCH_RUNS, true, NULL);
    assert_int_equal(invoke(state, &start), 0);
    ops->abandon(state, &start.link);
    ops->disconnect(state, &start.link, how, sizeof how);
    await_ended(1);
    assert_string_equal(fake.terminated[0], "job0"); /* no other is written */
    /* what runs at the end is ended with its job */
    assert_int_equal(invoke(state, &start), 0);
    close_batch(state);
    assert_int_equal(ended(), 2);
    assert_string_equal(fake.terminated[1], "job1");
}

static void what_does_not_start_is_told(void **unused)
{
    struct start start;
    void *state = open_batch(1);
    (void)unused;
    set_phase(LITHOPS__BATCH_WAITS, false, "RUNNABLE: there is no machine");
    unsigned tries = 0;
    do { /* on a slow machine nobody may have looked in that time */
        assert_int_equal(invoke(state, &start), LITHOPS_EBACKEND);
        assert_non_null(strstr(start.err.message, "does not run after 1 s"));
        await_ended(++tries);
    } while (!strstr(start.err.message, "there is no machine"));

    set_phase(LITHOPS__BATCH_ENDED, false, "FAILED: the host went away");
    assert_int_equal(invoke(state, &start), LITHOPS_EBACKEND);
    assert_true(start.err.retryable);
    set_refusal(0, true);
    assert_int_equal(invoke(state, &start), LITHOPS_EBACKEND);
    assert_false(start.err.retryable);
    assert_non_null(strstr(start.err.message, "the host went away"));

    set_refusal(LITHOPS_EDENIED, false);
    assert_int_equal(invoke(state, &start), LITHOPS_EDENIED);
    close_batch(state);
    assert_int_equal(ended(), tries);
}

static void await_looks(unsigned more)
{
    pthread_mutex_lock(&fake.lock);
    unsigned until = fake.looks + more;
    pthread_mutex_unlock(&fake.lock);
    for (unsigned looks = 0; looks < until; usleep(1000)) {
        pthread_mutex_lock(&fake.lock);
        looks = fake.looks;
        pthread_mutex_unlock(&fake.lock);
    }
}

/* Both are one job, unless the machine is slow: then they are started again. */
static void start_a_pair(void *state, struct start *starts)
{
    unsigned before, pause_us = 50000;
    do {
        before = fake.jobs;
        pause_us *= 2;
        set_held(true);
        for (uint32_t i = 0; i < 3; i++) {
            starts[i] = (struct start){.state = state, .worker = i, .cancel_fd = -1};
            assert_int_equal(pthread_create(&starts[i].thread, NULL, start_one, &starts[i]), 0);
            usleep(i == 0 ? pause_us : 1000); /* the first one is a job of its own */
        }
        usleep(pause_us);
        set_held(false);
        for (uint32_t i = 0; i < 3; i++)
            pthread_join(starts[i].thread, NULL);
    } while (fake.jobs != before + 2 || fake.sizes[before + 1] != 2);
}

static void leave(void *state, const struct start *start)
{
    char how[512];
    ops->abandon(state, &start->link);
    ops->disconnect(state, &start->link, how, sizeof how);
}

/* One that is not needed waits for the others of its job. */
static void jobs_end_as_a_whole(void **unused)
{
    struct start starts[3];
    char pair[LITHOPS__BATCH_ID];
    void *state = open_links(&keeping_links, LIMIT_S);
    (void)unused;
    set_phase(LITHOPS__BATCH_RUNS, true, NULL);
    start_a_pair(state, starts);
    snprintf(pair, sizeof pair, "job%u", fake.jobs - 1);
    assert_non_null(strstr(fake.values[fake.jobs - 1], "hidden"));
    leave(state, &starts[1]);
    await_looks(5);
    assert_int_equal(ended(), 0);
    leave(state, &starts[2]);
    await_ended(1);
    assert_string_equal(fake.terminated[0], pair);
    leave(state, &starts[0]);
    await_ended(2);
    close_batch(state); /* and what a slow machine has started before */
    assert_int_equal(ended(), fake.jobs);
}

static void what_has_ended_is_deleted(void **unused)
{
    struct start start;
    char how[512];
    void *state = open_links(&keeping_links, LIMIT_S);
    (void)unused;
    set_phase(LITHOPS__BATCH_RUNS, true, NULL);
    assert_int_equal(invoke(state, &start), 0);
    fake.failures = 1; /* it is tried again at the end */
    set_phase(LITHOPS__BATCH_ENDED, true, "it is over");
    while (!ops->has_ended(state, &start.link))
        usleep(1000);
    ops->disconnect(state, &start.link, how, sizeof how);
    assert_non_null(strstr(how, "it is over"));
    close_batch(state);
    assert_int_equal(ended(), 1);
    assert_string_equal(fake.terminated[0], "job0");
}

/* Though nothing runs, and one of them cannot be. */
static void all_that_has_ended_is_deleted(void **unused)
{
    enum { JOBS = 15 };
    struct start starts[JOBS];
    void *state = open_links(&keeping_links, LIMIT_S);
    (void)unused;
    set_phase(LITHOPS__BATCH_RUNS, true, NULL);
    for (uint32_t i = 0; i < JOBS; i++) {
        starts[i] = (struct start){.state = state, .worker = i, .cancel_fd = -1};
        start_one(&starts[i]);
        assert_int_equal(starts[i].rc, 0);
    }
    pthread_mutex_lock(&fake.lock);
    fake.failures = 1;
    fake.phase = LITHOPS__BATCH_ENDED;
    pthread_mutex_unlock(&fake.lock);
    for (uint32_t i = 0; i < JOBS; i++) {
        char how[512];
        ops->disconnect(state, &starts[i].link, how, sizeof how);
    }
    await_ended(JOBS - 1);
    close_batch(state);
    assert_int_equal(ended(), JOBS);
}

/* That nobody knows of it yet is no news. */
static void what_is_gone_has_ended(void **unused)
{
    struct start start;
    void *state = open_links(&keeping_links, 1);
    (void)unused;
    set_phase(LITHOPS__BATCH_ENDED, false, "it is gone");
    fake.is_gone = true;
    assert_int_equal(invoke(state, &start), LITHOPS_EBACKEND);
    assert_non_null(strstr(start.err.message, "does not run after 1 s"));
    close_batch(state);
    state = open_links(&keeping_links, LIMIT_S);
    set_phase(LITHOPS__BATCH_RUNS, true, NULL);
    assert_int_equal(invoke(state, &start), 0);
    pthread_mutex_lock(&fake.lock);
    fake.is_gone = true;
    fake.phase = LITHOPS__BATCH_ENDED;
    pthread_mutex_unlock(&fake.lock);
    while (!ops->has_ended(state, &start.link))
        usleep(1000);
    leave(state, &start);
    close_batch(state);
}

static void a_start_is_canceled(void **unused)
{
    int ends[2];
    void *state = open_batch(LIMIT_S);
    struct start start = {.state = state};
    (void)unused;
    set_phase(LITHOPS__BATCH_WAITS, false, NULL);
    assert_int_equal(pipe(ends), 0);
    start.cancel_fd = ends[0];
    assert_int_equal(pthread_create(&start.thread, NULL, start_one, &start), 0);
    for (unsigned looks = 0; looks == 0; usleep(1000)) {
        pthread_mutex_lock(&fake.lock);
        looks = fake.looks;
        pthread_mutex_unlock(&fake.lock);
    }
    assert_int_equal(write(ends[1], "", 1), 1);
    pthread_join(start.thread, NULL);
    assert_int_equal(start.rc, LITHOPS_ECANCELED);
    await_ended(1);
    close_batch(state);
    assert_int_equal(ended(), 1);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_that_come_together_are_few_jobs),
        cmocka_unit_test(what_does_not_answer_is_terminated),
        cmocka_unit_test(a_lost_submission_is_looked_for),
        cmocka_unit_test(what_cannot_be_terminated_is_not_forgotten),
        cmocka_unit_test(what_does_not_start_is_told),
        cmocka_unit_test(jobs_end_as_a_whole),
        cmocka_unit_test(what_has_ended_is_deleted),
        cmocka_unit_test(all_that_has_ended_is_deleted),
        cmocka_unit_test(what_is_gone_has_ended),
        cmocka_unit_test(a_start_is_canceled),
    };
    keeping = service;
    keeping.takes_secrets = keeping.ends_whole = keeping.keeps_ended = true;
    alarm(LIMIT_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
