/* SPDX-License-Identifier: Apache-2.0 */
/* The documents that are sent to an API server, and what is read of a pod's. */
#include "compute/backends/k8s/k8s.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static lithops_error err;

static lithops_value *json(const char *text)
{
    err = (lithops_error)LITHOPS_ERROR_INIT;
    lithops_value *value = lithops_value_from_json(text, strlen(text), &err);
    if (!value)
        fail_msg("%s", err.message);
    return value;
}

/* The value at a path such as "spec.template.0". */
static const lithops_value *at(const lithops_value *value, const char *path)
{
    char part[64];
    while (*path) {
        size_t len = strcspn(path, ".");
        snprintf(part, sizeof part, "%.*s", (int)len, path);
        value = lithops_value_type(value) == LITHOPS_LIST
                    ? lithops_value_at(value, strtoul(part, NULL, 10))
                    : lithops_value_get(value, part);
        path += len + (path[len] == '.');
    }
    return value;
}

static void text_is(const lithops_value *value, const char *path, const char *expected)
{
    const char *text = lithops_value_get_string(at(value, path));
    if (!text || strcmp(text, expected) != 0)
        fail_msg("%s is %s, not %s", path, text ? text : "no text", expected);
}

static void int_is(const lithops_value *value, const char *path, int64_t expected)
{
    assert_int_equal(lithops_value_get_int(at(value, path)), expected);
}

/* ---- documents ------------------------------------------------------------------------------- */

static const struct lithops__k8s_link the_link = {
    .worker = 7, .serial = 2, .key = "lithops.jobs/ab12-0-feed/7", .executor = "ab12-0"};

#define SETTINGS                                                                                   \
    "\"runtime\": \"registry/worker:1\", \"max_workers\": 10, \"runtime_cpu\": 1.5, "              \
    "\"idle_timeout\": 10.0, \"start_timeout\": 100, \"lifetime\": 200, "                          \
    "\"worker_lost_timeout\": 15.0, \"docker_server\": \"docker.io\""

static lithops_value *job_of(const lithops_value *settings, struct lithops__k8s_options *options)
{
    lithops_value *job = NULL;
    err = (lithops_error)LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__k8s_options_read(settings, options, &err), 0);
    assert_int_equal(lithops__k8s_job(options, &the_link, &job, &err), 0);
    return job;
}

static void test_a_job(void **state)
{
    (void)state;
    struct lithops__k8s_options options;
    char name[LITHOPS__K8S_NAME];
    lithops_value *settings = json("{" SETTINGS "}");
    lithops_value *job = job_of(settings, &options);
    lithops__k8s_name(&options, 7, 2, name);
    assert_true(strlen(name) <= 63);
    text_is(job, "kind", "Job");
    text_is(job, "metadata.name", name);
    text_is(job, "metadata.labels.lithops/executor", "ab12-0");
    int_is(job, "spec.backoffLimit", 0);
    int_is(job, "spec.ttlSecondsAfterFinished", 60);
    int_is(job, "spec.activeDeadlineSeconds", 300);
    text_is(job, "spec.template.metadata.labels.lithops/worker", "7");
    text_is(job, "spec.template.metadata.labels.lithops/serial", "2");
    text_is(job, "spec.template.spec.restartPolicy", "Never");
    const lithops_value *container = at(job, "spec.template.spec.containers.0");
    text_is(container, "image", "registry/worker:1");
    text_is(container, "command.0", "lithops");
    text_is(container, "args.2", "lithops.jobs/ab12-0-feed/7");
    text_is(container, "resources.limits.cpu", "1500m");
    text_is(container, "resources.requests.memory", "1152Mi"); /* two processes, and the engine */
    assert_int_equal(options.worker_processes, 2);
    text_is(job, "spec.template.spec.volumes.0.secret.secretName", name);
    assert_null(at(job, "spec.template.spec.imagePullSecrets"));
    lithops_value_free(job);
    lithops_value_free(settings);
    lithops__k8s_options_deinit(&options);
}

static void test_a_template(void **state)
{
    (void)state;
    struct lithops__k8s_options options;
    lithops_value *settings = json(
        "{" SETTINGS ", \"docker_user\": \"u\", \"docker_password\": \"p\", \"job_template\": {"
        "\"metadata\": {\"labels\": {\"kueue.x-k8s.io/queue-name\": \"q\", \"lithops/run\": "
        "\"x\"}},"
        "\"spec\": {\"suspend\": true, \"backoffLimit\": 6, \"template\": {\"spec\": {"
        "\"hostNetwork\": true, \"shareProcessNamespace\": null, \"restartPolicy\": \"Always\","
        "\"imagePullSecrets\": [{\"name\": \"mine\"}],"
        "\"volumes\": [{\"name\": \"nfs\", \"nfs\": {}}],"
        "\"tolerations\": [{\"key\": \"gpu\"}],"
        "\"containers\": [{\"name\": \"side\", \"image\": \"s\"},"
        "{\"name\": \"lithops\", \"imagePullPolicy\": \"Never\", \"args\": [\"evil\"],"
        "\"resources\": {\"limits\": {\"memory\": null, \"nvidia.com/gpu\": 1}}}]}}}}}");
    lithops_value *job = job_of(settings, &options);
    const lithops_value *labels = at(job, "metadata.labels"), *pod = at(job, "spec.template.spec");
    text_is(lithops_value_get(labels, "kueue.x-k8s.io/queue-name"), "", "q");
    text_is(labels, "lithops/run", options.run); /* ours win */
    assert_true(lithops_value_get_bool(at(job, "spec.suspend")));
    int_is(job, "spec.backoffLimit", 0);
    text_is(pod, "restartPolicy", "Never");
    assert_true(lithops_value_get_bool(at(pod, "hostNetwork")));
    assert_null(at(pod, "shareProcessNamespace"));
    assert_int_equal(lithops_value_size(at(pod, "imagePullSecrets")), 2);
    assert_int_equal(lithops_value_size(at(pod, "volumes")), 2);
    assert_int_equal(lithops_value_size(at(pod, "tolerations")), 1);
    assert_int_equal(lithops_value_size(at(pod, "containers")), 2);
    text_is(pod, "containers.0.imagePullPolicy", "Never");
    text_is(pod, "containers.0.args.0", "worker");
    text_is(pod, "containers.0.resources.limits.cpu", "1500m");
    assert_null(at(pod, "containers.0.resources.limits.memory"));
    text_is(pod, "containers.1.image", "s");
    lithops_value_free(job);
    lithops_value_free(settings);
    lithops__k8s_options_deinit(&options);
}

static void test_merging(void **state)
{
    (void)state;
    static const struct {
        const char *base, *over, *is;
    } rows[] = {
        {"{\"a\": 1, \"b\": {\"c\": 2}}", "{\"b\": {\"d\": 3}}",
         "{\"a\": 1, \"b\": {\"c\": 2, \"d\": 3}}"},
        {"{\"a\": 1, \"b\": 2}", "{\"a\": null, \"z\": null}", "{\"b\": 2}"},
        {"{\"a\": [1, 2]}", "{\"a\": [3]}", "{\"a\": [3]}"},
        {"{\"a\": [{\"name\": \"x\", \"v\": 1}]}",
         "{\"a\": [{\"name\": \"y\"}, {\"name\": \"x\", \"w\": 2}]}",
         "{\"a\": [{\"name\": \"x\", \"v\": 1, \"w\": 2}, {\"name\": \"y\"}]}"},
        {"{\"a\": [{\"name\": \"x\"}]}", "{\"a\": []}", "{\"a\": []}"},
        {"{\"a\": {\"b\": 1}}", "{\"a\": 7}", "{\"a\": 7}"},
        {"{\"a\": 7}", "{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 1}}"},
        {"{\"a\": 7}", "null", "{\"a\": 7}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lithops_value *over = json(rows[i].over), *is = json(rows[i].is);
        lithops_value *merged = lithops__k8s_merge(json(rows[i].base), over);
        if (!lithops_value_equal(merged, is))
            fail_msg("row %zu", i);
        lithops_value_free(merged);
        lithops_value_free(over);
        lithops_value_free(is);
    }
}

static void test_a_secret(void **state)
{
    (void)state;
    struct lithops__k8s_options options;
    lithops_value *settings =
        json("{" SETTINGS ", \"docker_user\": \"u\", \"docker_password\": \"p\\\"\"}");
    lithops_value *job = job_of(settings, &options), *secret = NULL;
    assert_int_equal(
        lithops__k8s_secret(&options, &the_link, "uid-1", "{\"key\": \"hidden\"}", &secret, &err),
        0);
    char *text = NULL;
    assert_int_equal(lithops_value_to_json(job, &text, &err), 0);
    assert_null(strstr(text, "hidden"));
    assert_null(strstr(text, "p\\\""));
    free(text);
    text_is(secret, "metadata.ownerReferences.0.uid", "uid-1");
    text_is(secret, "metadata.ownerReferences.0.name",
            lithops_value_get_string(at(job, "metadata.name")));
    text_is(secret, "type", "kubernetes.io/dockerconfigjson");
    text_is(secret, "stringData.config", "{\"key\": \"hidden\"}");
    const char *registry = lithops_value_get_string(
        lithops_value_get(lithops_value_get(secret, "stringData"), ".dockerconfigjson"));
    assert_non_null(registry);
    lithops_value *auths = json(registry);
    const lithops_value *hub =
        lithops_value_get(lithops_value_get(auths, "auths"), "https://index.docker.io/v1/");
    text_is(hub, "password", "p\"");
    text_is(job, "spec.template.spec.imagePullSecrets.0.name",
            lithops_value_get_string(at(job, "metadata.name")));
    lithops_value_free(auths);
    lithops_value_free(secret);
    lithops_value_free(job);
    lithops_value_free(settings);
    lithops__k8s_options_deinit(&options);
}

static void test_wrong_settings(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "{\"max_workers\": 1}",
        "{\"runtime\": \"\"}",
        "{\"runtime\": \"x\", \"docker_user\": \"u\"}",
        "{\"runtime\": \"x\", \"job_template\": [1]}",
        "{\"runtime\": \"x\", \"pod_security_context\": \"none\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct lithops__k8s_options options;
        lithops_value *settings = json(wrong[i]);
        assert_int_equal(lithops__k8s_options_read(settings, &options, &err), LITHOPS_ECONFIG);
        lithops_value_free(settings);
    }
}

/* ---- pods ------------------------------------------------------------------------------------ */

#define POD(status) "{\"metadata\": {\"uid\": \"u\", \"name\": \"p\"}, \"status\": {" status "}}"
#define STATE(state) "\"containerStatuses\": [{\"state\": {" state "}}]"

static void test_pods(void **state)
{
    (void)state;
    static const struct {
        const char *pod;
        enum lithops__k8s_phase phase;
        bool is_hopeless, is_failed;
        const char *says;
    } rows[] = {
        {"{}", LITHOPS__K8S_PENDING, false, false, ""},
        {"[]", LITHOPS__K8S_PENDING, false, false, ""},
        {POD("\"phase\": 7, \"conditions\": {\"a\": 1}, \"containerStatuses\": [1, [], {}]"),
         LITHOPS__K8S_PENDING, false, false, ""},
        {POD("\"phase\": \"Pending\", \"conditions\": [{\"type\": \"PodScheduled\", \"status\": "
             "\"False\", \"reason\": \"Unschedulable\", \"message\": \"0/3 nodes: memory\"}]"),
         LITHOPS__K8S_PENDING, false, false, "no node takes it (Unschedulable: 0/3 nodes: memory)"},
        {POD("\"phase\": \"Pending\", " STATE("\"waiting\": {\"reason\": \"ErrImagePull\", "
                                              "\"message\": \"manifest unknown\"}")),
         LITHOPS__K8S_PENDING, true, false, "(ErrImagePull: manifest unknown)"},
        {POD("\"phase\": \"Pending\", " STATE("\"waiting\": {\"reason\": \"ErrImagePull\", "
                                              "\"message\": \"i/o timeout\"}")),
         LITHOPS__K8S_PENDING, false, false, "the image does not come"},
        {POD("\"phase\": \"Pending\", " STATE("\"waiting\": {\"reason\": \"ErrImagePull\", "
                                              "\"message\": \"403 Forbidden; no such host\"}")),
         LITHOPS__K8S_PENDING, false, false, "the image does not come"},
        {POD("\"phase\": \"Pending\", " STATE("\"waiting\": {\"reason\": \"ImagePullBackOff\"}")),
         LITHOPS__K8S_PENDING, false, false, "(ImagePullBackOff)"},
        {POD("\"phase\": \"Pending\", " STATE("\"waiting\": {\"reason\": \"ContainerCreating\"}")),
         LITHOPS__K8S_PENDING, false, false, ""},
        {POD("\"phase\": \"Running\""), LITHOPS__K8S_RUNNING, false, false, ""},
        {POD("\"phase\": \"Running\", " STATE("\"terminated\": {\"exitCode\": 137, \"reason\": "
                                              "\"OOMKilled\"}")),
         LITHOPS__K8S_ENDED, false, true, "k8s.runtime_memory"},
        {POD("\"phase\": \"Failed\", " STATE("\"terminated\": {\"exitCode\": 3, \"reason\": "
                                             "\"Error\", \"message\": \"one\\nlithops: two\\n\"}")),
         LITHOPS__K8S_ENDED, false, true, "its container ended with exit status 3: lithops: two"},
        {POD("\"phase\": \"Failed\", " STATE("\"terminated\": {\"exitCode\": 128, \"reason\": "
                                             "\"StartError\", \"message\": \"no lithops\"}")),
         LITHOPS__K8S_ENDED, false, true, "must have the command lithops"},
        {POD("\"phase\": \"Failed\", \"reason\": \"Evicted\", \"message\": \"low on memory\""),
         LITHOPS__K8S_ENDED, false, true, "evicted it (Evicted: low on memory)"},
        {POD("\"phase\": \"Failed\", \"conditions\": [{\"type\": \"DisruptionTarget\", \"status\": "
             "\"True\", \"reason\": \"PreemptionByScheduler\"}]"),
         LITHOPS__K8S_ENDED, false, true, "preempted"},
        {POD("\"phase\": \"Failed\", \"reason\": \"DeadlineExceeded\""), LITHOPS__K8S_ENDED, false,
         true, "k8s.lifetime"},
        {POD("\"phase\": \"Succeeded\", " STATE("\"terminated\": {\"exitCode\": 0}")),
         LITHOPS__K8S_ENDED, false, false, "exit status 0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lithops__k8s_pod pod;
        lithops_value *value = json(rows[i].pod);
        lithops__k8s_read_pod(value, &pod);
        if (pod.phase != rows[i].phase || pod.is_hopeless != rows[i].is_hopeless ||
            pod.is_failed != rows[i].is_failed || !strstr(pod.why, rows[i].says))
            fail_msg("row %zu: phase %d, %d, %d: %s", i, pod.phase, pod.is_hopeless, pod.is_failed,
                     pod.why);
        lithops_value_free(value);
    }
}

static void test_graces(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        int64_t is;
    } rows[] = {{"30", 30},
                {"-1", 0},
                {"9223372036854775807", 86400},
                {"\"soon\"", 0},
                {"-9223372036854775808", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[160];
        struct lithops__k8s_pod pod;
        snprintf(text, sizeof text, "{\"metadata\": {\"deletionGracePeriodSeconds\": %s}}",
                 rows[i].says);
        lithops_value *value = json(text);
        lithops__k8s_read_pod(value, &pod);
        assert_int_equal(pod.grace_s, rows[i].is);
        lithops_value_free(value);
    }
}

/* Another container of the same name is not this client. Without the right to make one: skipped. */
static void test_clients(void **state)
{
    (void)state;
    char one[LITHOPS__CLIENT_MARK], other[LITHOPS__CLIENT_MARK] = "";
    int ends[2], status = -1;
    lithops__client_mark(one);
    lithops__client_mark(other);
    assert_string_equal(one, other);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWPID) != 0)
            _exit(77);
        pid_t inner = fork();
        if (inner == 0) {
            lithops__client_mark(other);
            _exit(write(ends[1], other, sizeof other) == sizeof other ? 0 : 1);
        }
        _exit(inner > 0 && waitpid(inner, &status, 0) == inner && status == 0 ? 0 : 1);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    close(ends[1]);
    bool is_read = read(ends[0], other, sizeof other) == sizeof other;
    close(ends[0]);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
    assert_true(is_read);
    assert_string_not_equal(one, other);
}

static void test_events(void **state)
{
    (void)state;
    char why[128];
    lithops_value *list =
        json("{\"items\": [{\"type\": \"Normal\", \"reason\": \"x\"}, {\"type\": \"Warning\", "
             "\"reason\": \"FailedCreate\", \"message\": \"exceeded\\nquota\"}, 7]}");
    lithops__k8s_read_events(list, why, sizeof why);
    assert_string_equal(why, "FailedCreate: exceeded quota");
    lithops_value_free(list);
    lithops__k8s_read_events(NULL, why, sizeof why);
    assert_string_equal(why, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job),          cmocka_unit_test(test_a_template),
        cmocka_unit_test(test_merging),        cmocka_unit_test(test_a_secret),
        cmocka_unit_test(test_wrong_settings), cmocka_unit_test(test_pods),
        cmocka_unit_test(test_events),         cmocka_unit_test(test_graces),
        cmocka_unit_test(test_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
