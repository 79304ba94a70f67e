/* SPDX-License-Identifier: Apache-2.0 */
/* What an API server may answer, by script: conflicts, pauses, redirects, watches that end at once,
 * lists in pages. */
#include "base/clock.h"
#include "compute/backends/k8s/k8s.h"
#include "config/config.h"
#include "net/test_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct script script;
static struct lithops__k8s_api *api;
static lithops_error err;

#define ANSWER(status, headers, body)                                                              \
    "HTTP/1.1 " status "\r\nConnection: close\r\n" headers "\r\n" body
#define PRESENT                                                                                    \
    ANSWER("409 Conflict", "", "{\"reason\": \"AlreadyExists\", \"message\": \"it exists\"}")
#define CONFLICT                                                                                   \
    ANSWER("409 Conflict", "", "{\"reason\": \"Conflict\", \"message\": \"the quota changed\"}")
#define DENIED                                                                                     \
    ANSWER("403 Forbidden", "", "{\"reason\": \"Forbidden\", \"message\": \"pods is forbidden\"}")
#define GOOD(body) ANSWER("200 OK", "", body)

static void begin(const char *const *answers, size_t count)
{
    char server[64];
    script_start(&script, answers, count);
    snprintf(server, sizeof server, "http://127.0.0.1:%d", script.port);
    struct lithops__k8s_access access = {.server = strdup(server)};
    err = (lithops_error)LITHOPS_ERROR_INIT;
    if (lithops__k8s_api_new(&access, &api, &err) != 0)
        fail_msg("%s", err.message);
}

static void end(void)
{
    lithops__k8s_api_free(api);
    api = NULL;
    script_stop(&script);
}

static int ask(const char *method, unsigned attempts, lithops_value **ret_answer)
{
    const struct lithops__k8s_request request = {
        .method = method,
        .path = "/x",
        .attempts = attempts,
        .bounds = {.deadline_ns = lithops__now_ns() + 30 * (uint64_t)1000000000}};
    return lithops__k8s_ask(api, &request, ret_answer, &err);
}

static void test_conflicts(void **state)
{
    (void)state;
    static const char *const present[] = {PRESENT, PRESENT};
    static const char *const conflict[] = {CONFLICT, GOOD("{}"), GOOD("{}")};
    begin(present, 2);
    assert_int_equal(ask("POST", 5, NULL), LITHOPS_EEXIST);
    end();
    assert_int_equal(script.count, 1);
    begin(conflict, 3);
    assert_int_equal(ask("POST", 5, NULL), 0);
    end();
    assert_int_equal(script.count, 2);
    begin(conflict, 3);
    assert_int_equal(ask("POST", 1, NULL), LITHOPS_EBACKEND);
    assert_true(err.retryable);
    end();
}

/* It is longer than what is left, in seconds that milliseconds of 32 bits cannot hold. */
static void test_a_long_pause(void **state)
{
    (void)state;
    static const char *const answers[] = {
        ANSWER("429 Too Many Requests", "Retry-After: 4294968\r\n", "later"), GOOD("{}")};
    begin(answers, 2);
    assert_int_equal(ask("GET", 5, NULL), LITHOPS_ETHROTTLED);
    end();
    assert_int_equal(script.count, 1);
}

static void test_a_redirect(void **state)
{
    (void)state;
    static const char *const answers[] = {
        ANSWER("302 Found", "Location: http://127.0.0.1:1/\r\n", "{\"kind\": \"Job\"}")};
    lithops_value *answer = NULL;
    begin(answers, 1);
    assert_int_equal(ask("GET", 1, &answer), LITHOPS_EBACKEND);
    assert_null(answer);
    assert_non_null(strstr(err.message, "302"));
    end();
}

/* ---- pods ------------------------------------------------------------------------------------ */

#define LIST GOOD("{\"metadata\": {\"resourceVersion\": \"7\"}, \"items\": []}")
#define EVENT                                                                                      \
    GOOD("{\"type\": \"ADDED\", \"object\": {\"metadata\": {\"uid\": \"u\", "                      \
         "\"name\": \"p\", \"labels\": {\"lithops/worker\": \"0\", \"lithops/serial\": "           \
         "\"1\"}}}}\n")

/* Begin, and wait until something is heard of the one pod. */
static void hear(struct lithops__k8s_pods **ret_pods, struct lithops__k8s_options *options,
                 const char *const *answers, size_t count)
{
    static char namespace[] = "calls";
    int ends[2];
    struct lithops__k8s_pod pod = {.heard = 0};
    *options = (struct lithops__k8s_options){
        .namespace = namespace, .run = "0123456789abcdef", .max_workers = 1};
    assert_int_equal(pipe(ends), 0);
    begin(answers, count);
    assert_int_equal(lithops__k8s_pods_new(api, options, ret_pods, &err), 0);
    assert_int_equal(lithops__k8s_pods_expect(*ret_pods, 0, 1, &err), 0);
    const uint64_t limit_ns = lithops__now_ns() + 100 * (uint64_t)1000000000;
    while (pod.heard == 0) {
        assert_true(lithops__now_ns() < limit_ns);
        assert_int_equal(lithops__k8s_pods_wait(*ret_pods, 0, 0, ends[0], 1000, &err), 0);
        lithops__k8s_pods_get(*ret_pods, 0, &pod);
    }
    close(ends[0]);
    close(ends[1]);
    assert_string_equal(pod.name, "p");
}

/* Three are no good, in three ways; so there are three pauses, each longer than the last. */
static void test_watches_that_end_at_once(void **state)
{
    (void)state;
    static const char *const answers[] = {
        LIST, GOOD(""), GOOD("{\"type\": \"ERROR\", \"object\": {\"code\": 410}}\n"), LIST, DENIED,
        LIST, EVENT};
    struct lithops__k8s_options options;
    struct lithops__k8s_pods *pods;
    const uint64_t start_ns = lithops__now_ns();
    hear(&pods, &options, answers, 7);
    assert_true(lithops__now_ns() - start_ns >= 690 * (uint64_t)1000000);
    lithops__k8s_pods_free(pods);
    end();
}

static void test_why_nothing_is_heard(void **state)
{
    (void)state;
    static char namespace[] = "calls";
    static const char *const answers[] = {DENIED, DENIED, DENIED, DENIED};
    char why[400] = "";
    const struct lithops__k8s_options options = {
        .namespace = namespace, .run = "0123456789abcdef", .max_workers = 1};
    struct lithops__k8s_pods *pods;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    begin(answers, 4);
    assert_int_equal(lithops__k8s_pods_new(api, &options, &pods, &err), 0);
    assert_int_equal(lithops__k8s_pods_expect(pods, 0, 1, &err), 0);
    const uint64_t limit_ns = lithops__now_ns() + 100 * (uint64_t)1000000000;
    while (!why[0]) {
        assert_true(lithops__now_ns() < limit_ns);
        assert_int_equal(lithops__k8s_pods_wait(pods, 0, 0, ends[0], 20, &err), 0);
        lithops__k8s_pods_trouble(pods, why, sizeof why);
    }
    assert_non_null(strstr(why, "pods is forbidden"));
    lithops__k8s_pods_free(pods);
    end();
    close(ends[0]);
    close(ends[1]);
}

/* ---- Jobs ------------------------------------------------------------------------------------ */

/* Its name was never given: the answer to its making did not come. */
static void test_a_job_nobody_knows_of(void **state)
{
    (void)state;
    static char namespace[] = "calls";
    static const char *const answers[] = {GOOD("{}")};
    const struct lithops__k8s_options options = {.namespace = namespace, .run = "0123456789abcdef"};
    struct lithops__k8s_sweeper *sweeper;
    begin(answers, 1);
    assert_int_equal(lithops__k8s_sweeper_new(api, &options, &sweeper, &err), 0);
    lithops__k8s_sweeper_expect(sweeper);
    lithops__k8s_sweeper_free(sweeper);
    end();
    assert_int_equal(script.count, 1);
    assert_non_null(strstr(script.requests[0], "DELETE /apis/batch/v1/namespaces/calls/jobs?"));
    assert_non_null(strstr(script.requests[0], "lithops%2Frun%3D0123456789abcdef"));
}

static bool is_alive(const char *executor)
{
    return strcmp(executor, "alive-0") == 0;
}

#define ITEM(name, executor)                                                                       \
    "{\"metadata\": {\"name\": \"" name "\", \"labels\": {\"lithops/executor\": \"" executor "\"}" \
    "}}"

static uint64_t clean(const char *const *answers, size_t count, int expected)
{
    char path[] = "/tmp/lithops-kubeconfig-XXXXXX", text[512];
    uint64_t removed = 0;
    struct lithops__config *config = NULL;
    script_start(&script, answers, count);
    int fd = mkstemp(path);
    int len = snprintf(text, sizeof text,
                       "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
                       "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%d'}}]\n"
                       "users: [{name: u, user: {token: secret}}]\n",
                       script.port);
    assert_true(fd >= 0 && write(fd, text, (size_t)len) == len);
    close(fd);
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *value =
        lithops_pack("{s:{s:s},s:{s:s}}", "lithops", "backend", "k8s", "k8s", "kubecfg_path", path);
    options.config = value;
    err = (lithops_error)LITHOPS_ERROR_INIT;
    if (lithops__config_load(&options, &config, &err) != 0)
        fail_msg("%s", err.message);
    int rc = lithops__k8s_clean(&lithops__compute_k8s, config, is_alive, false, &removed, &err);
    script_stop(&script);
    if (rc != expected)
        fail_msg("%d: %s", rc, err.message);
    lithops__config_free(config);
    lithops_value_free(value);
    unlink(path);
    return removed;
}

/* And with a server in the clear: it gets no token. */
static void test_lists_in_pages(void **state)
{
    (void)state;
    static const char *const answers[] = {
        GOOD("{\"metadata\": {\"continue\": \"abc-_\"}, \"items\": [" ITEM(
            "lithops-1", "dead-0") "," ITEM("other", "dead-0") "]}"),
        GOOD("{}"),
        GOOD("{\"metadata\": {}, \"items\": [" ITEM("lithops-2", "alive-0") "," ITEM(
            "lithops-3", "dead-0") "]}"),
        GOOD("{}")};
    static const char *const strange[] = {
        GOOD("{\"metadata\": {\"continue\": \"a&b=c\"}, \"items\": []}")};
    assert_int_equal(clean(answers, 4, 0), 2);
    assert_int_equal(script.count, 4);
    assert_null(strstr(script.requests[0], "continue="));
    assert_non_null(strstr(script.requests[1], "DELETE "));
    assert_non_null(strstr(script.requests[1], "/jobs/lithops-1?"));
    assert_non_null(strstr(script.requests[2], "&continue=abc-_ "));
    assert_non_null(strstr(script.requests[3], "/jobs/lithops-3?"));
    for (size_t i = 0; i < 4; i++)
        assert_null(strstr(script.requests[i], "secret"));
    assert_int_equal(clean(strange, 1, LITHOPS_EBACKEND), 0);
}

static int set_up(void **state)
{
    (void)state;
    return setenv("no_proxy", "*", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_a_long_pause),
        cmocka_unit_test(test_a_redirect),
        cmocka_unit_test(test_watches_that_end_at_once),
        cmocka_unit_test(test_why_nothing_is_heard),
        cmocka_unit_test(test_a_job_nobody_knows_of),
        cmocka_unit_test(test_lists_in_pages),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
