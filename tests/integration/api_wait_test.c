/* SPDX-License-Identifier: Apache-2.0 */
/* wait: for some or all calls, with timeouts, over several executors, in several threads; and
 * cancelling.
 *
 * The calls here end when a file appears, so that a test always knows which are running. */
#include "api.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

LITHOPS_FUNCTION(increment)
{
    return lithops_return_int(call, lithops_call_int(call) + 1);
}

/* Ends when `folder`/name is there; its content, if any, is the message of a failure. */
LITHOPS_FUNCTION(until)
{
    const char *path;
    if (lithops_args(call, "s", "path", &path) != 0)
        return LITHOPS_EARG;
    for (int i = 0; access(path, F_OK) != 0; i++) {
        if (i > 600000)
            return lithops_fail(call, "'%s' does not come", path);
        usleep(100);
    }
    char text[64] = "";
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    return len ? lithops_fail(call, "%s", text) : lithops_return(call, "s", path);
}

static unsigned round_number; /* names of files are used once */

static const char *gate(int i)
{
    static char path[8][128];
    snprintf(path[i], sizeof path[i], "%s/gate-%u-%d", folder, round_number, i);
    return path[i];
}

static void open_gate(int i, const char *text)
{
    char name[64], path[256];
    snprintf(name, sizeof name, "%s.part", strrchr(gate(i), '/') + 1);
    snprintf(path, sizeof path, "%s", api_write_file(name, text, strlen(text)));
    assert_int_equal(rename(path, gate(i)), 0);
}

/* Calls 0 .. count-1, each behind its own gate. */
static lithops_futures *start(lithops_executor *executor, int count)
{
    round_number++;
    lithops_value *list = lithops_value_list();
    for (int i = 0; i < count; i++)
        assert_int_equal(lithops_value_append(list, lithops_value_string(gate(i))), 0);
    return not_null(lithops_map(executor, until, list, NULL, &err));
}

static void wait_one(lithops_futures *futures, size_t index)
{
    lithops_future *future = not_null(lithops_futures_get(futures, index));
    succeeds(lithops_future_wait(future, LIMIT_MS, &err));
    lithops_future_unref(future);
}

static void wait_state(lithops_futures *futures, size_t index, lithops_state state)
{
    double start_time = api_now();
    while (lithops_futures_state(futures, index) != state && api_now() - start_time < 60)
        usleep(100);
    assert_int_equal(lithops_futures_state(futures, index), state);
}

static void finish(lithops_futures *futures)
{
    lithops_futures_cancel(futures);
    lithops_wait_options options = within_limit;
    options.throw_except = false;
    succeeds(lithops_wait(NULL, futures, &options, NULL, NULL, &err));
    lithops_futures_unref(futures);
}

/* Wait and check the two lists: one letter per call, D (done) or n. */
static int wait_and_look(lithops_futures *futures, int return_when, int64_t timeout_ms,
                         const char *expected)
{
    lithops_wait_options options = within_limit;
    options.return_when = return_when;
    options.timeout_ms = timeout_ms;
    lithops_futures *done = NULL, *not_done = NULL;
    int rc = lithops_wait(NULL, futures, &options, &done, &not_done, &err);
    char seen[64] = "";
    size_t size = lithops_futures_size(futures), d = 0, n = 0;
    not_null(done);
    not_null(not_done);
    for (size_t i = 0; i < size; i++) {
        lithops_future *one = lithops_futures_get(futures, i);
        lithops_future *as_done = lithops_futures_get(done, d);
        lithops_future *as_not = lithops_futures_get(not_done, n);
        char a[64], b[64] = "", c[64] = "";
        lithops_future_key(one, a, sizeof a);
        if (as_done && strcmp(a, lithops_future_key(as_done, b, sizeof b)) == 0)
            d++, seen[i] = 'D';
        else if (as_not && strcmp(a, lithops_future_key(as_not, c, sizeof c)) == 0)
            n++, seen[i] = 'n';
        else
            fail_msg("call %zu is in no list", i);
        lithops_future_unref(one);
        lithops_future_unref(as_done);
        lithops_future_unref(as_not);
    }
    assert_int_equal(d, lithops_futures_size(done));
    assert_int_equal(n, lithops_futures_size(not_done));
    assert_string_equal(seen, expected);
    lithops_futures_unref(done);
    lithops_futures_unref(not_done);
    return rc;
}

static void test_return_when(void **state)
{
    (void)state;
    lithops_executor *four = api_open("{\"worker_processes\":4}");
    lithops_futures *futures = start(four, 4);
    assert_int_equal(wait_and_look(futures, LITHOPS_ALWAYS, LIMIT_MS, "nnnn"), 0);
    open_gate(2, "");
    assert_int_equal(wait_and_look(futures, LITHOPS_ANY, LIMIT_MS, "nnDn"), 0);
    assert_int_equal(wait_and_look(futures, LITHOPS_ALWAYS, LIMIT_MS, "nnDn"), 0);
    assert_int_equal(wait_and_look(futures, 25, LIMIT_MS, "nnDn"), 0);
    fails(wait_and_look(futures, 26, 50, "nnDn"), LITHOPS_ETIMEDOUT, "1 of 4");
    open_gate(0, "");
    assert_int_equal(wait_and_look(futures, 50, LIMIT_MS, "DnDn"), 0);
    open_gate(3, "");
    assert_int_equal(wait_and_look(futures, 75, LIMIT_MS, "DnDD"), 0);
    fails(wait_and_look(futures, LITHOPS_ALL, 50, "DnDD"), LITHOPS_ETIMEDOUT, "3 of 4");
    fails(wait_and_look(futures, 76, 50, "DnDD"), LITHOPS_ETIMEDOUT, "3 of 4");
    open_gate(1, "");
    assert_int_equal(wait_and_look(futures, LITHOPS_ALL, LIMIT_MS, "DDDD"), 0);
    assert_int_equal(wait_and_look(futures, LITHOPS_ANY, LIMIT_MS, "DDDD"), 0);
    lithops_futures_unref(futures);
    lithops_executor_close(four);
}

static void test_wrong_options(void **state)
{
    (void)state;
    lithops_futures *futures =
        not_null(lithops_map(fexec, increment, lithops_range(0, 2), NULL, &err));
    lithops_wait_options options = within_limit;
    static const int64_t times[] = {0, -1, -1000, INT64_MIN + 1};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        options.timeout_ms = times[i];
        fails(lithops_wait(NULL, futures, &options, NULL, NULL, &err), LITHOPS_EUSAGE,
              "timeout_ms");
        lithops_value *value;
        fails(lithops_get_result_value(NULL, futures, &options, &value, &err), LITHOPS_EUSAGE,
              "timeout_ms");
    }
    options.timeout_ms = LITHOPS_FOREVER;
    succeeds(lithops_wait(NULL, futures, &options, NULL, NULL, &err));
    static const int whens[] = {-2, 101, 1000};
    for (size_t i = 0; i < sizeof whens / sizeof whens[0]; i++) {
        options.return_when = whens[i];
        fails(lithops_wait(NULL, futures, &options, NULL, NULL, &err), LITHOPS_EUSAGE,
              "return_when");
    }
    options = within_limit;
    options.threadpool_size = 0;
    fails(lithops_wait(NULL, futures, &options, NULL, NULL, &err), LITHOPS_EUSAGE,
          "threadpool_size");
    options = within_limit;
    options.wait_dur_ms = 0;
    fails(lithops_wait(NULL, futures, &options, NULL, NULL, &err), LITHOPS_EUSAGE, "wait_dur_ms");
    fails(lithops_wait(NULL, NULL, NULL, NULL, NULL, &err), LITHOPS_EUSAGE, "executor");
    lithops_futures_unref(futures);
}

static void test_future_wait(void **state)
{
    (void)state;
    lithops_futures *futures = start(fexec, 1);
    lithops_future *future = lithops_futures_get(futures, 0);
    const char *path;
    double begin = api_now();
    fails(lithops_future_wait(future, 0, &err), LITHOPS_ETIMEDOUT, "");
    fails(lithops_future_wait(future, 100, &err), LITHOPS_ETIMEDOUT, "100 ms");
    assert_true(api_now() - begin >= 0.1);
    fails(lithops_future_wait(future, -1, &err), LITHOPS_EUSAGE, "timeout_ms");
    fails(lithops_future_result(future, 20, &err, "s", &path), LITHOPS_ETIMEDOUT, "");
    assert_int_equal(lithops_future_error(future, NULL), 0);
    assert_false(lithops_future_is_done(future));
    lithops_bytes bytes;
    int64_t i;
    fails(lithops_futures_int(futures, 0, &i, &err), LITHOPS_ETIMEDOUT, "");
    fails(lithops_futures_bytes(futures, 0, &bytes, &err), LITHOPS_ETIMEDOUT, "");
    open_gate(0, "");
    succeeds(lithops_future_result(future, LITHOPS_FOREVER, &err, "s", &path));
    assert_string_equal(path, gate(0));
    succeeds(lithops_future_wait(future, 0, &err));
    succeeds(lithops_futures_bytes(futures, 0, &bytes, &err));
    assert_int_equal(bytes.len, strlen(path));
    fails(lithops_futures_int(futures, 0, &i, &err), LITHOPS_ETYPE, "int");
    lithops_future_unref(future);
    lithops_futures_unref(futures);
}

/* A failure ends the wait at once, while the others still run. */
static void test_throw_except(void **state)
{
    (void)state;
    lithops_executor *three = api_open("{\"worker_processes\":3}");
    for (int early = 0; early < 2; early++) {
        lithops_futures *futures = start(three, 3);
        wait_state(futures, 1, LITHOPS_RUNNING);
        if (early) {
            open_gate(1, "I am the one");
            wait_one(futures, 1);
        }
        lithops_wait_options options = within_limit;
        options.throw_except = false;
        options.timeout_ms = 50;
        fails(lithops_wait(NULL, futures, &options, NULL, NULL, &err), LITHOPS_ETIMEDOUT, "of 3");
        if (!early)
            open_gate(1, "I am the one");
        fails(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err), LITHOPS_ECALL,
              "I am the one");
        int64_t value;
        fails(lithops_get_result(NULL, futures, &within_limit, &err, "I", &value), LITHOPS_ECALL,
              "I am the one");
        assert_int_equal(lithops_futures_done(futures), 1);
        open_gate(0, "");
        open_gate(2, "");
        options.timeout_ms = LIMIT_MS;
        succeeds(lithops_wait(NULL, futures, &options, NULL, NULL, &err));
        lithops_futures_unref(futures);
    }
    lithops_executor_close(three);
}

static void test_many_executors(void **state)
{
    (void)state;
    enum { N = 5 };
    lithops_executor *executors[N];
    lithops_futures *all = NULL;
    round_number++;
    for (int e = 0; e < N; e++) {
        executors[e] = api_open("{\"worker_processes\":1}");
        lithops_futures *one =
            not_null(lithops_map(executors[e], until, lithops_pack("[s]", gate(e)), NULL, &err));
        lithops_futures *both = lithops_futures_concat(all, one);
        lithops_futures_unref(all);
        lithops_futures_unref(one);
        all = both;
    }
    fails(wait_and_look(all, LITHOPS_ANY, 50, "nnnnn"), LITHOPS_ETIMEDOUT, "0 of 5");
    open_gate(3, "");
    assert_int_equal(wait_and_look(all, LITHOPS_ANY, LIMIT_MS, "nnnDn"), 0);
    open_gate(0, "");
    assert_int_equal(wait_and_look(all, 40, LIMIT_MS, "DnnDn"), 0);
    lithops_executor_close(executors[1]); /* one of them goes */
    open_gate(2, "");
    open_gate(4, "");
    lithops_wait_options options = within_limit;
    fails(lithops_wait(NULL, all, &options, NULL, NULL, &err), LITHOPS_ECANCELED, "cancel");
    options.throw_except = false;
    succeeds(lithops_wait(executors[0], all, &options, NULL, NULL, &err));
    assert_int_equal(lithops_futures_state(all, 1), LITHOPS_CANCELED);
    lithops_futures_unref(all);
    for (int e = 0; e < N; e++)
        if (e != 1)
            lithops_executor_close(executors[e]);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static void test_cancel(void **state)
{
    (void)state;
    lithops_executor *one = api_open("{\"worker_processes\":1}");
    lithops_futures *futures = start(one, 3);
    wait_state(futures, 0, LITHOPS_RUNNING);
    assert_int_equal(lithops_futures_state(futures, 1), LITHOPS_PENDING);
    lithops_future *waits = lithops_futures_get(futures, 1),
                   *runs = lithops_futures_get(futures, 0);
    assert_true(lithops_future_cancel(waits));
    assert_false(lithops_future_cancel(waits));
    assert_int_equal(lithops_future_state(waits), LITHOPS_CANCELED);
    assert_int_equal(lithops_future_error(waits, &err), LITHOPS_ECANCELED);
    open_gate(1, ""); /* too late: it never runs */
    assert_true(lithops_future_cancel(runs));
    call_fails(runs, LITHOPS_ECANCELED, "cancel");
    call_fails(waits, LITHOPS_ECANCELED, "cancel");
    open_gate(2, "");
    wait_one(futures, 2);
    lithops_future *last = lithops_futures_get(futures, 2);
    assert_false(lithops_future_cancel(last));
    assert_int_equal(lithops_future_state(last), LITHOPS_SUCCESS);
    lithops_future_unref(last);
    assert_int_equal(lithops_futures_cancel(futures), 0);
    assert_int_equal(lithops_futures_done(futures), 3);
    lithops_futures_unref(futures);
    lithops_executor_close(one);
}

static void test_cancel_single_calls(void **state)
{
    (void)state;
    lithops_executor *one = api_open("{\"worker_processes\":1}");
    enum { N = 6 };
    lithops_future *futures[N];
    round_number++;
    for (int i = 0; i < N; i++)
        futures[i] =
            not_null(lithops_call_async(one, until, lithops_value_string(gate(i)), NULL, &err));
    assert_true(lithops_future_cancel(futures[4]));
    assert_true(lithops_future_cancel(futures[0]));
    for (int i = 0; i < N; i++)
        open_gate(i, "");
    for (int i = 0; i < N; i++)
        if (i == 0 || i == 4) {
            call_fails(futures[i], LITHOPS_ECANCELED, "cancel");
        } else {
            succeeds(lithops_future_wait(futures[i], LIMIT_MS, &err));
            assert_int_equal(lithops_future_state(futures[i]), LITHOPS_SUCCESS);
            lithops_future_unref(futures[i]);
        }
    lithops_executor_close(one);
}

/* ---- threads --------------------------------------------------------------------------------- */

struct waiter {
    pthread_t thread;
    lithops_futures *futures;
    lithops_future *one;
    int kind, rc;
};

static void *wait_in_thread(void *user)
{
    struct waiter *waiter = user;
    lithops_wait_options options = within_limit;
    lithops_value *value = NULL;
    size_t count = 0;
    lithops_future *future;
    switch (waiter->kind) {
    case 0:
        waiter->rc = lithops_wait(NULL, waiter->futures, &options, NULL, NULL, NULL);
        break;
    case 1:
        waiter->rc = lithops_get_result_value(NULL, waiter->futures, &options, &value, NULL);
        lithops_value_free(value);
        break;
    case 2: /* all threads of this kind share one sequence */
        while ((future = lithops_futures_as_completed(waiter->futures, LIMIT_MS)) != NULL) {
            count++;
            lithops_future_unref(future);
        }
        waiter->rc = (int)count;
        break;
    default:
        waiter->rc = lithops_future_wait(waiter->one, LIMIT_MS, NULL);
        break;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    enum { N = 12 };
    for (int round = 0; round < 20; round++) {
        struct waiter waiters[N];
        lithops_futures *futures = start(fexec, 2);
        lithops_future *last = lithops_futures_get(futures, 1);
        for (int i = 0; i < N; i++) {
            waiters[i] = (struct waiter){.futures = futures, .one = last, .kind = i % 4, .rc = -99};
            assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_in_thread, &waiters[i]),
                             0);
        }
        if (round % 2)
            usleep(2000); /* so that some already sleep, and some do not */
        open_gate(1, "");
        open_gate(0, "");
        size_t given = 0;
        for (int i = 0; i < N; i++) {
            pthread_join(waiters[i].thread, NULL);
            if (waiters[i].kind == 2)
                given += (size_t)waiters[i].rc;
            else
                assert_int_equal(waiters[i].rc, 0);
        }
        assert_int_equal(given, 2);
        lithops_future_unref(last);
        lithops_futures_unref(futures);
    }
}

/* Four threads start, wait and read at the same time, one of them with an executor of its own. */
static void *use_in_thread(void *user)
{
    lithops_executor *executor = user;
    for (int64_t i = 0; i < 300; i++) {
        lithops_future *future =
            lithops_call_async(executor, increment, lithops_value_int(i), NULL, NULL);
        lithops_futures *futures =
            lithops_map(executor, increment, lithops_range(0, i % 40), NULL, NULL);
        int64_t result = 0;
        if (lithops_future_result(future, LIMIT_MS, NULL, "I", &result) != 0 || result != i + 1)
            return (void *)1;
        lithops_value *list = NULL;
        if (lithops_get_result_value(NULL, futures, &within_limit, &list, NULL) != 0 ||
            lithops_value_size(list) != (size_t)(i % 40))
            return (void *)2;
        for (size_t k = 0; k < lithops_value_size(list); k++)
            if (lithops_value_get_int(lithops_value_at(list, k)) != (int64_t)k + 1)
                return (void *)3;
        lithops_value_free(list);
        lithops_future_unref(future);
        lithops_futures_unref(futures);
    }
    return NULL;
}

static void test_everything_from_four_threads(void **state)
{
    (void)state;
    lithops_executor *other = api_open("{\"worker_processes\":1}");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_in_thread, i == 3 ? other : fexec),
                         0);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    lithops_executor_close(other);
}

/* The lists of a wait are a snapshot: whatever ends meanwhile, no call is missing from both. */
static void test_lists_while_calls_end(void **state)
{
    (void)state;
    for (int round = 0; round < api_times(200); round++) {
        lithops_futures *futures =
            not_null(lithops_map(fexec, increment, lithops_range(0, 20000), NULL, &err));
        lithops_wait_options options = within_limit;
        options.return_when = round % 3 ? round % 100 : LITHOPS_ALWAYS;
        lithops_futures *done = NULL, *not_done = NULL;
        succeeds(lithops_wait(NULL, futures, &options, &done, &not_done, &err));
        assert_int_equal(lithops_futures_size(done) + lithops_futures_size(not_done), 20000);
        assert_int_equal(lithops_futures_done(done), lithops_futures_size(done));
        lithops_futures_unref(done);
        lithops_futures_unref(not_done);
        finish(futures);
        succeeds(lithops_clean(fexec, NULL, NULL, &err));
    }
}

int main(int argc, char **argv)
{
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_return_when),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_future_wait),
        cmocka_unit_test(test_throw_except),
        cmocka_unit_test(test_many_executors),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_single_calls),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_everything_from_four_threads),
        cmocka_unit_test(test_lists_while_calls_end),
    };
    return api_finish(cmocka_run_group_tests(tests, api_open_group, api_close_group));
}
