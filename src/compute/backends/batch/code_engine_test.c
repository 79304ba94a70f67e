/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of Code Engine, and what its answers are taken for. */
#include "base/clock.h"
#include "base/error.h"
#include "compute/backends/batch/code_engine.h"
#include "net/test_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ANSWER(status, text) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" text
#define TOKEN(text) ANSWER("200 OK", "{\"access_token\": \"" text "\", \"expires_in\": 3600}")
#define MADE ANSWER("201 Created", "{}")
#define TAKEN ANSWER("202 Accepted", "")
#define NONE ANSWER("404 Not Found", "{\"errors\": [{\"code\": \"c\", \"message\": \"none\"}]}")

static const struct lithops__batch_service *const service = &lithops__batch_code_engine;
static struct script script;
static lithops_error err;
static struct lithops__code_engine engine;

static lithops_value *settings_of(double cpus, int memory_mb)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", script.port);
    return lithops_pack("{s:s,s:s,s:s,s:s,s:s,s:f,s:i}", "iam_api_key", "an-api-key", "endpoint",
                        endpoint, "iam_endpoint", endpoint, "project_id", "0123-abcd", "runtime",
                        "us.icr.io/me/Lithops:1", "runtime_cpu", cpus, "runtime_memory", memory_mb);
}

static void open_with(const char *const *answers, size_t count)
{
    err = (lithops_error)LITHOPS_ERROR_INIT;
    script_start(&script, answers, count);
    lithops_value *settings = settings_of(0.5, 2048);
    if (service->open(&engine, settings, &err) != 0)
        fail_msg("%s", err.message);
    lithops_value_free(settings);
}

static void end(size_t count)
{
    service->close(&engine);
    script_stop(&script);
    assert_int_equal(script.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(strstr(script.requests[i], "an-api-key") != NULL,
                         strstr(script.requests[i], "/identity/token") != NULL);
}

static struct lithops__bounds bounds(void)
{
    return (struct lithops__bounds){lithops__now_ns() + 60 * (uint64_t)1000000000, NULL, NULL};
}

static void has(size_t request, const char *text)
{
    if (!strstr(script.requests[request], text))
        fail_msg("request %zu has no %s:\n%s", request, text, script.requests[request]);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static int submit(uint32_t parts, char id[LITHOPS__BATCH_ID], bool *ret_is_doubtful)
{
    const struct lithops__batch_order order = {.name = "lithops-0123456789abcdef-ab12_0-feed",
                                               .parts = parts,
                                               .value = "{\"hidden\": 1}",
                                               .lifetime_s = 7200,
                                               .bounds = bounds()};
    *ret_is_doubtful = false;
    return service->submit(&engine, &order, id, ret_is_doubtful, &err);
}

/* The service had the run of a request whose answer was lost. */
static void a_run_is_made_once(void **state)
{
    static const char *const answers[] = {TOKEN("one"), MADE, ANSWER("503 Busy", ""),
                                          ANSWER("409 Conflict", "{}")};
    char id[LITHOPS__BATCH_ID];
    bool is_doubtful;
    (void)state;
    open_with(answers, 4);
    assert_int_equal(submit(3, id, &is_doubtful), 0);
    assert_string_equal(id, "lithops-0123456789abcdef-ab12-0-feed-0");
    assert_false(is_doubtful);
    end(4);
    has(0, "POST /identity/token");
    has(1, "POST /v2/projects/0123-abcd/secrets?version=2026-09-01 ");
    has(1, "Authorization: Bearer one\r\n");
    has(1, "\"format\": \"generic\", \"name\": \"lithops-0123456789abcdef-ab12-0-feed-0\"");
    has(1, "\"data\": {\"job\": \"{\\\"hidden\\\": 1}\"}");
    for (size_t i = 2; i < 4; i++) {
        has(i, "POST /v2/projects/0123-abcd/job_runs?version=2026-09-01 ");
        has(i, "\"name\": \"lithops-0123456789abcdef-ab12-0-feed-0\"");
        has(i, "\"job_name\": \"lithops-");
        has(i, "-2048mb-500m\"");
        has(i, "\"scale_array_spec\": \"0-2\", \"scale_max_execution_time\": 7200, "
               "\"scale_retry_limit\": 0");
        has(i, "\"mount_path\": \"/lithops\"");
        assert_null(strstr(script.requests[i], "hidden"));
    }
}

static void a_refused_run_leaves_nothing(void **state)
{
    static const char *const answers[] = {
        TOKEN("one"), MADE,
        ANSWER("404 Not Found",
               "{\"errors\": [{\"code\": \"job_not_found\", \"message\": \"there is none\"}]}"),
        NONE, TAKEN};
    char id[LITHOPS__BATCH_ID];
    bool is_doubtful;
    (void)state;
    open_with(answers, 5);
    assert_int_equal(submit(1, id, &is_doubtful), LITHOPS_ECONFIG);
    assert_false(is_doubtful);
    assert_non_null(strstr(err.message, "cannot run a job: Code Engine answers with status 404, "
                                        "job_not_found: there is none (job lithops-"));
    assert_non_null(strstr(err.message, "'lithops runtime deploy' makes it"));
    end(5);
    has(2, "\"scale_array_spec\": \"0\"");
    has(3, "DELETE /v2/projects/0123-abcd/job_runs/lithops-0123456789abcdef-ab12-0-feed-0?");
    has(4, "DELETE /v2/projects/0123-abcd/secrets/lithops-0123456789abcdef-ab12-0-feed-0?");
}

/* Two runs, of which one is gone; a token that is refused is renewed. */
static void parts_are_as_the_service_says(void **state)
{
    static const char *const answers[] = {
        TOKEN("one"), ANSWER("401 Unauthorized", "{}"), TOKEN("two"),
        ANSWER("200 OK",
               "{\"status\": \"running\", \"status_details\": {\"pending_indices\": \"1,4-5\", "
               "\"indices_details\": {\"0\": {\"status\": \"running\"}, \"2\": {\"status\": "
               "\"failed\", \"last_failure_reason\": \"ImagePullBackOff\"}, \"3\": {\"status\": "
               "\"failed\", \"started_at\": \"then\", \"last_failure_reason\": \"OOMKilled\"}, "
               "\"6\": {\"status\": \"unknown\"}, \"7\": {\"status\": \"succeeded\"}}}}"),
        NONE};
    static const char *const ids[] = {"r:0", "r:1", "r:2", "gone:0", "r:3",
                                      "r:5", "r:6", "r:7", "r:8"};
    enum { COUNT = sizeof ids / sizeof *ids };
    struct lithops__batch_seen seen[COUNT] = {{.is_known = false}};
    const struct lithops__bounds limit = bounds();
    (void)state;
    open_with(answers, 5);
    assert_int_equal(service->describe(&engine, ids, COUNT, seen, &limit, &err), 0);
    end(5);
    has(3, "GET /v2/projects/0123-abcd/job_runs/r?version=2026-09-01 ");
    has(3, "Authorization: Bearer two\r\n");
    has(4, "GET /v2/projects/0123-abcd/job_runs/gone?");
    assert_int_equal(seen[0].phase, LITHOPS__BATCH_RUNS);
    assert_int_equal(seen[1].phase, LITHOPS__BATCH_WAITS);
    assert_true(seen[2].phase == LITHOPS__BATCH_ENDED && seen[2].is_hopeless && !seen[2].has_run);
    assert_string_equal(seen[2].why, "failed: ImagePullBackOff");
    assert_true(seen[3].is_gone && seen[3].phase == LITHOPS__BATCH_ENDED);
    assert_true(seen[4].phase == LITHOPS__BATCH_ENDED && seen[4].has_run && !seen[4].is_hopeless);
    assert_int_equal(seen[5].phase, LITHOPS__BATCH_WAITS);
    assert_false(seen[6].is_known);
    assert_true(seen[7].phase == LITHOPS__BATCH_ENDED && seen[7].has_run);
    assert_true(seen[8].is_known && seen[8].phase == LITHOPS__BATCH_WAITS);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(seen[i].is_gone == (i == 3));
}

enum { LISTED = 200 };

static int note(const char *id, const char *name, void *user)
{
    char *text = user;
    size_t len = strlen(text);
    snprintf(text + len, LISTED - len, "%s=%s ", id, name);
    return 0;
}

static void all_pages_are_listed(void **state)
{
    static const char *const answers[] = {
        TOKEN("one"),
        ANSWER("200 OK", "{\"secrets\": [{\"name\": \"mine-a-0\"}, {\"name\": \"other-a-0\"}], "
                         "\"next\": {\"start\": \"a&b=c\"}}"),
        ANSWER("200 OK", "{\"secrets\": [{\"name\": \"mine-a-1f\"}]}")};
    char text[LISTED] = "";
    const struct lithops__bounds limit = bounds();
    (void)state;
    open_with(answers, 3);
    assert_int_equal(service->list(&engine, "mine-", note, text, &limit, &err), 0);
    end(3);
    has(1, "GET /v2/projects/0123-abcd/secrets?format=generic&limit=100&version=2026-09-01 ");
    has(2, "secrets?format=generic&limit=100&start=a%26b%3Dc&version=2026-09-01 ");
    assert_string_equal(text, "mine-a-0=mine-a mine-a-1f=mine-a ");
}

static void sizes_are_those_of_the_service(void **state)
{
    static const struct {
        double cpus;
        int memory_mb;
        const char *message;
    } cases[] = {
        {0.125, 256, NULL},
        {0.125, 1024, NULL},
        {6, 49152, NULL},
        {8, 32768, NULL},
        {8, 65536, "with 8 CPUs Code Engine has 16384 or 32768 MB of memory: "},
        {1, 256, "with 1 CPUs Code Engine has 2048 or 4096 or 8192 MB of memory: "},
        {3, 8192, "Code Engine has 0.125, 0.25, 0.5, 1, 2, 4, 6, 8, 10 or 12 CPUs: "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lithops_value *settings = settings_of(cases[i].cpus, cases[i].memory_mb);
        int rc = service->open(&engine, settings, &err);
        assert_int_equal(rc, cases[i].message ? LITHOPS_ECONFIG : 0);
        assert_true(!cases[i].message || strstr(err.message, cases[i].message));
        service->close(&engine);
        lithops_value_free(settings);
    }
}

/* Tokens go to nobody in the clear, and what is missing is named. */
static void wrong_settings_are_named(void **state)
{
    static const struct {
        const char *key, *value, *message;
    } cases[] = {
        {"endpoint", "http://example.com", "is not a URL, as in https://host"},
        {"region", "us south", "is none, as us-south"},
        {"iam_api_key", "", "needs the key 'iam_api_key'"},
        {"project_id", "../..", "is no id of a project"},
        {"runtime", "", "must name an image"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lithops_value *settings = settings_of(1, 4096);
        assert_int_equal(
            lithops_value_set(settings, cases[i].key, lithops_value_string(cases[i].value)), 0);
        assert_int_equal(service->open(&engine, settings, &err), LITHOPS_ECONFIG);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s", err.message);
        service->close(&engine);
        lithops_value_free(settings);
    }
}

static int set_up(void **state)
{
    (void)state;
    return setenv("no_proxy", "*", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_made_once),
        cmocka_unit_test(a_refused_run_leaves_nothing),
        cmocka_unit_test(parts_are_as_the_service_says),
        cmocka_unit_test(all_pages_are_listed),
        cmocka_unit_test(sizes_are_those_of_the_service),
        cmocka_unit_test(wrong_settings_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
