/* SPDX-License-Identifier: Apache-2.0 */
/* lithops test: check that the configured backend works.
 *
 * Small independent checks through the public API, so that the first one to fail shows which part
 * to look at: one call, a map, a map_reduce, a failing call, a storage round trip. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

LITHOPS_FUNCTION(test_square)
{
    int64_t x;
    if (lithops_args(call, "I", "x", &x) != 0)
        return LITHOPS_EARG;
    return lithops_return(call, "I", x * x);
}

LITHOPS_FUNCTION(test_sum)
{
    int64_t total = 0, x;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &x)) == 1)
        total += x;
    return rc < 0 ? rc : lithops_return(call, "I", total);
}

LITHOPS_FUNCTION(test_failure)
{
    return lithops_fail(call, "as it should");
}

struct tested {
    const struct cli_options *options;
    lithops_executor *fexec;
};

static lithops_wait_options bounded(const struct tested *t)
{
    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    int64_t limit = t->options->deadline_ms;
    wait.timeout_ms = limit == LITHOPS_DEFAULT ? 60000 : limit;
    return wait;
}

static int differs(lithops_error *err, int64_t got, int64_t expected)
{
    return lithops__fail(err, LITHOPS_ECALL, "the result is %lld and should be %lld",
                         (long long)got, (long long)expected);
}

static int check_call(struct tested *t, lithops_error *err)
{
    int64_t got = 0;
    lithops_future *future =
        lithops_call_async(t->fexec, test_square, lithops_value_int(12), NULL, err);
    int rc =
        future ? lithops_future_result(future, bounded(t).timeout_ms, err, "I", &got) : err->code;
    lithops_future_unref(future);
    return rc != 0 ? rc : got == 144 ? 0 : differs(err, got, 144);
}

static int check_map(struct tested *t, lithops_error *err)
{
    enum { CALLS = 1000 };
    lithops_futures *futures =
        lithops_map(t->fexec, test_square, lithops_range(0, CALLS), NULL, err);
    lithops_wait_options wait = bounded(t);
    int rc = futures ? lithops_wait(NULL, futures, &wait, NULL, NULL, err) : err->code;
    for (int64_t i = 0; rc == 0 && i < CALLS; i++) {
        int64_t got = 0;
        rc = lithops_futures_int(futures, (size_t)i, &got, err);
        if (rc == 0 && got != i * i)
            rc = differs(err, got, i * i);
    }
    lithops_futures_unref(futures);
    return rc;
}

static int check_map_reduce(struct tested *t, lithops_error *err)
{
    int64_t got = 0;
    lithops_futures *futures = NULL;
    lithops_wait_options wait = bounded(t);
    int rc = lithops_map_reduce(t->fexec, test_square, lithops_range(1, 101), test_sum, NULL,
                                &futures, err);
    if (rc == 0)
        rc = lithops_get_result(t->fexec, futures, &wait, err, "I", &got);
    lithops_futures_unref(futures);
    return rc != 0 ? rc : got == 338350 ? 0 : differs(err, got, 338350);
}

static int check_failure(struct tested *t, lithops_error *err)
{
    lithops_error failure = LITHOPS_ERROR_INIT;
    lithops_future *future =
        lithops_call_async(t->fexec, test_failure, lithops_value_null(), NULL, err);
    if (!future)
        return err->code;
    int rc = lithops_future_wait(future, bounded(t).timeout_ms, err);
    if (rc == 0 && (lithops_future_error(future, &failure) != LITHOPS_ECALL ||
                    !strstr(failure.message, "as it should")))
        rc = lithops__fail(err, LITHOPS_ECALL, "the error of a failed call did not come back: %s",
                           failure.message);
    lithops_future_unref(future);
    return rc;
}

static int check_storage(struct tested *t, lithops_error *err)
{
    static const char body[] = "line one\nline two\n";
    const struct cli_options *o = t->options;
    lithops_storage *storage = lithops_storage_open(o->storage, o->config_file, err);
    if (!storage)
        return err->code;
    const char *bucket = lithops_storage_bucket(storage);
    char key[64];
    snprintf(key, sizeof key, "lithops-test/%ld", (long)getpid());
    void *data = NULL;
    size_t len = 0;
    int rc = lithops_storage_put(storage, bucket, key, (lithops_bytes){body, sizeof body - 1}, err);
    if (rc == 0)
        rc = lithops_storage_get(storage, bucket, key, 5, 3, &data, &len, err);
    if (rc == 0 && (len != 3 || memcmp(data, "one", 3) != 0))
        rc = lithops__fail(err, LITHOPS_EIO, "another content came back than was stored");
    int deleted = lithops_storage_delete(storage, bucket, key, rc == 0 ? err : NULL);
    free(data);
    lithops_storage_close(storage);
    return rc ? rc : deleted;
}

static const struct {
    const char *name;
    int (*run)(struct tested *t, lithops_error *err);
} checks[] = {
    {"call_async", check_call}, {"map", check_map},         {"map_reduce", check_map_reduce},
    {"failure", check_failure}, {"storage", check_storage},
};

static void print_check(const struct tested *t, const char *name, const lithops_error *err)
{
    bool colour = cli_wants_colour(STDOUT_FILENO);
    if (!t->options->json) {
        printf("%s%s%s  %s%s%s\n", colour ? err->code ? "\033[31m" : "\033[32m" : "",
               err->code ? "failed" : "passed", colour ? "\033[0m" : "", name,
               err->code ? ": " : "", err->message);
        return;
    }
    lithops_value *line = lithops_pack("{s:s,s:b}", "check", name, "passed", err->code == 0);
    if (err->code)
        lithops_value_set(line, "message", lithops_value_string(err->message));
    char *text;
    if (lithops_value_to_json(line, &text, NULL) == 0) {
        printf("%s\n", text);
        free(text);
    }
    lithops_value_free(line);
}

/* False without an error: the checks were listed. */
static bool is_some_check(const char *wanted, lithops_error *err)
{
    bool list = strcmp(wanted, "help") == 0;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (list)
            printf("%s\n", checks[i].name);
        else if (strstr(checks[i].name, wanted))
            return true;
    }
    if (!list)
        lithops__fail(err, LITHOPS_EUSAGE,
                      "--test: no check is called '%s'; --test help lists them", wanted);
    return false;
}

/* Signals are not caught here: a Ctrl-C ends the program, and with it the worker processes. */
int cmd_test(const struct cli *cli)
{
    enum { CHECKS = sizeof checks / sizeof *checks };
    lithops_error err = LITHOPS_ERROR_INIT;
    const char *wanted = cli->options.test ? cli->options.test : "";
    if (!is_some_check(wanted, &err))
        return err.code ? cli_report(&err) : 0;
    struct tested t = {&cli->options, cli_executor_open(&cli->options, false, &err)};
    if (!t.fexec)
        return cli_report(&err);
    int failed = 0, passed = 0;
    bool unreachable = false;
    for (size_t i = 0; i < CHECKS && !(failed && cli->options.exit_first); i++) {
        if (!strstr(checks[i].name, wanted))
            continue;
        lithops_error found = LITHOPS_ERROR_INIT;
        checks[i].run(&t, &found);
        print_check(&t, checks[i].name, &found);
        fflush(stdout);
        failed += found.code != 0;
        passed += found.code == 0;
        unreachable = unreachable || found.code == LITHOPS_EBACKEND;
    }
    if (!cli->options.json)
        printf("%d passed, %d failed\n", passed, failed);
    lithops_executor_close(t.fexec);
    return unreachable ? 3 : failed > 0;
}
