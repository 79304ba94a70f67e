/* SPDX-License-Identifier: Apache-2.0 */
/* The backend k8s over a real Kubernetes (tests/servers/with-kubernetes): pods that do not start,
 * pods that end at the wrong time, an API server that is away, and that nothing is left. */
#include "../conformance/compute_k8s.h"
#include "fault.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *folder; /* of with-kubernetes */
static lithops_error err = LITHOPS_ERROR_INIT;

/* It takes memory until it has none. */
LITHOPS_FUNCTION(hog)
{
    size_t mib = 0;
    for (volatile char *block; (block = malloc(1 << 20)); mib++)
        for (size_t i = 0; i < 1 << 20; i += 4096)
            block[i] = 1;
    return lithops_return_int(call, (int64_t)mib);
}

/* ---- the cluster ----------------------------------------------------------------------------- */

/* Ask the API server, as admin. What it says in `buf`. @return whether it did as it was told */
static bool ask(const char *method, const char *path, const char *body, char *buf, size_t size)
{
    char command[1024], rest[4096];
    snprintf(command, sizeof command, "'%s/ask' %s '%s' %s%s%s 2>&1", folder, method, path,
             body ? "'" : "", body ? body : "", body ? "'" : "");
    FILE *pipe = popen(command, "re");
    CHECK(pipe != NULL);
    buf[fread(buf, 1, size - 1, pipe)] = '\0';
    while (fread(rest, 1, sizeof rest, pipe) > 0)
        ;
    return pclose(pipe) == 0;
}

enum { TEXT = 1 << 20 };
static char text[TEXT];

/* How many of a kind, as "/api/v1/namespaces/calls/pods", are of Lithops. */
static size_t count(const char *kind)
{
    char path[256];
    snprintf(path, sizeof path, "%s?labelSelector=app.kubernetes.io%%2Fmanaged-by%%3Dlithops",
             kind);
    if (!ask("GET", path, NULL, text, sizeof text))
        fault_fail(__FILE__, __LINE__, text);
    lithops_value *list = lithops_value_from_json(text, strlen(text), &err);
    CHECK(list != NULL);
    size_t items = lithops_value_size(lithops_value_get(list, "items"));
    lithops_value_free(list);
    return items;
}

static const char *const kinds[] = {"/apis/batch/v1/namespaces/%s/jobs",
                                    "/api/v1/namespaces/%s/pods", "/api/v1/namespaces/%s/secrets"};

/* The cluster tells nobody when it has deleted something, so it is asked. */
static void await_nothing_left(const char *namespace)
{
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    for (size_t i = 0; i < 3; i++) {
        char kind[128];
        snprintf(kind, sizeof kind, kinds[i], namespace);
        while (count(kind) > 0) {
            if (fault_now() > limit)
                fault_fail(__FILE__, __LINE__, text);
            poll(NULL, 0, 100);
        }
    }
}

/* The name of a pod that runs, and is not about to end. */
static void await_pod(char *name, size_t size)
{
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    name[0] = '\0';
    while (!name[0]) {
        if (fault_now() > limit)
            fault_fail(__FILE__, __LINE__, "no pod runs");
        CHECK(
            ask("GET",
                "/api/v1/namespaces/calls/pods?fieldSelector=status.phase%3DRunning&labelSelector="
                "app.kubernetes.io%2Fmanaged-by%3Dlithops",
                NULL, text, sizeof text));
        lithops_value *list = lithops_value_from_json(text, strlen(text), &err);
        const lithops_value *metadata =
            lithops_value_get(lithops_value_at(lithops_value_get(list, "items"), 0), "metadata");
        const char *found = lithops_value_get_string(lithops_value_get(metadata, "name"));
        if (found && !lithops_value_get(metadata, "deletionTimestamp"))
            snprintf(name, size, "%s", found);
        lithops_value_free(list);
        if (!name[0])
            poll(NULL, 0, 50);
    }
}

/* A file that with-kubernetes looks for. */
static void set_file(const char *name, bool hold)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = hold ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    CHECK(hold ? fd >= 0 : unlink(path) == 0);
    if (fd >= 0)
        close(fd);
}

static void await_server(void)
{
    double limit = fault_now() + 2 * FAULT_WAIT_MS / 1000.0;
    while (!ask("GET", "/readyz", NULL, text, sizeof text)) {
        if (fault_now() > limit)
            fault_fail(__FILE__, __LINE__, text);
        poll(NULL, 0, 100);
    }
}

/* ---- executors ------------------------------------------------------------------------------- */

/* `settings`: more of the section k8s, as JSON; `limits`: more of the container's resources. */
static lithops_value *make_config(const char *settings, const char *limits)
{
    char json[4096];
    snprintf(
        json, sizeof json,
        "{\"lithops\": {\"backend\": \"k8s\", \"call_retries\": 0, \"storage\": \"aws_s3\"}, "
        "\"aws_s3\": "
        "{\"endpoint\": \"%s\", \"access_key_id\": \"%s\", \"secret_access_key\": \"%s\", "
        "\"storage_bucket\": \"jobs\"}, \"k8s\": {\"runtime\": \"" COMPUTE_K8S_IMAGE
        "\", \"worker_processes\": 1, \"max_workers\": 2, \"job_template\": " COMPUTE_K8S_TEMPLATE(
            "%s") "%s}}",
        getenv("LITHOPS_TEST_S3_ENDPOINT"), getenv("LITHOPS_TEST_S3_ACCESS_KEY"),
        getenv("LITHOPS_TEST_S3_SECRET_KEY"), limits, settings);
    lithops_value *config = lithops_value_from_json(json, strlen(json), &err);
    if (!config)
        fault_fail(__FILE__, __LINE__, err.message);
    return config;
}

static lithops_executor *open_pods(const char *settings, const char *limits)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = make_config(settings, limits);
    options.config = config;
    lithops_executor *fexec = lithops_executor_open(&options, &err);
    if (!fexec)
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_value_free(config);
    return fexec;
}

/* A call fails, and its message has all these. */
static void fails_with(const char *settings, const char *one, const char *other)
{
    lithops_executor *fexec = open_pods(settings, "");
    int code = fault_call(fexec, fault_square, lithops_value_int(3), &err);
    if (code != LITHOPS_EBACKEND || !strstr(err.message, one) || !strstr(err.message, other))
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_executor_close(fexec);
    await_nothing_left("calls");
}

/* ---- cases ----------------------------------------------------------------------------------- */

FAULT_CASE(nothing_is_left)
{
    lithops_executor *fexec = open_pods("", "");
    fault_check_works(fexec, 1000);
    lithops_executor_close(fexec);
    await_nothing_left("calls");
}

FAULT_CASE(an_exec_plugin)
{
    char line[1024] = "", path[256];
    lithops_executor *fexec = open_pods(", \"kubecfg_context\": \"plugin\"", "");
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    snprintf(path, sizeof path, "%s/plugin.asked", folder);
    FILE *file = fopen(path, "re");
    CHECK(file && fgets(line, sizeof line, file));
    fclose(file);
    CHECK(strstr(line, " passed get-token") && strstr(line, "https://127.0.0.1:6443"));
    await_nothing_left("calls");
}

FAULT_CASE(a_strange_certificate_is_refused)
{
    fails_with(", \"kubecfg_context\": \"stranger\"", "certificate", "127.0.0.1:6443");
}

FAULT_CASE(what_is_not_allowed_is_said)
{
    lithops_executor *fexec = open_pods(", \"namespace\": \"small\"", "");
    CHECK_INT(fault_call(fexec, fault_square, lithops_value_int(3), &err), LITHOPS_EDENIED);
    CHECK(strstr(err.message, "forbidden") && strstr(err.message, "docs/kubernetes.md"));
    lithops_executor_close(fexec);
}

/* Say whether callers may do with pods what docs/kubernetes.md says, and wait until that is so. */
static void allow_pods(bool allow)
{
    static const char role[] = "/apis/rbac.authorization.k8s.io/v1/namespaces/calls/roles/lithops";
    static lithops_value *rules;
    char said[4096], *body, *yaml;
    CHECK(rules || ask("GET", role, NULL, text, sizeof text));
    if (!rules) {
        lithops_value *found = lithops_value_from_json(text, strlen(text), &err);
        rules = lithops_value_copy(lithops_value_get(found, "rules"));
        lithops_value_free(found);
    }
    lithops_value *some = lithops_value_list();
    for (size_t i = 0; i < lithops_value_size(rules); i++) {
        const lithops_value *rule = lithops_value_at(rules, i);
        const char *first =
            lithops_value_get_string(lithops_value_at(lithops_value_get(rule, "resources"), 0));
        if (allow || strcmp(first, "pods") != 0)
            CHECK_INT(lithops_value_append(some, lithops_value_copy(rule)), 0);
    }
    lithops_value *document =
        lithops_pack("{s:{s:s},s:o}", "metadata", "name", "lithops", "rules", some);
    CHECK_INT(lithops_value_to_json(document, &body, &err), 0);
    if (!ask("PUT", role, body, text, sizeof text))
        fault_fail(__FILE__, __LINE__, text);
    lithops_value *config = make_config("", "");
    CHECK_INT(lithops_value_to_json(config, &yaml, &err), 0);
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    while ((fault_command(FAULT_COMMAND, folder, yaml, "config check --online", said,
                          sizeof said) == 0) != allow ||
           !strstr(said, allow ? "takes Jobs" : "cannot list resource"))
        if (fault_now() > limit)
            fault_fail(__FILE__, __LINE__, said);
    free(yaml);
    free(body);
    lithops_value_free(config);
    lithops_value_free(document);
}

FAULT_CASE(pods_that_are_not_told_of)
{
    allow_pods(false);
    lithops_executor *fexec = open_pods(", \"start_timeout\": 10", "");
    lithops_error why = LITHOPS_ERROR_INIT;
    int code = fault_call(fexec, fault_square, lithops_value_int(3), &why);
    lithops_executor_close(fexec);
    allow_pods(true);
    CHECK_INT(code, LITHOPS_EBACKEND);
    if (!strstr(why.message, "pods cannot be watched") || !strstr(why.message, "forbidden"))
        fault_fail(__FILE__, __LINE__, why.message);
    await_nothing_left("calls");
}

FAULT_CASE(a_missing_image)
{
    fails_with(", \"runtime\": \"docker.io/library/none:1\"", "does not have the image",
               "ErrImageNeverPull");
}

FAULT_CASE(an_image_without_lithops)
{
    fails_with(", \"runtime\": \"docker.io/library/pause:1\"", "must have the command lithops",
               "does not start");
}

FAULT_CASE(no_node_takes_it)
{
    lithops_executor *fexec = open_pods(", \"start_timeout\": 3", ", \"requests\": {\"cpu\": 999}");
    CHECK_INT(fault_call(fexec, fault_square, lithops_value_int(3), &err), LITHOPS_EBACKEND);
    CHECK(strstr(err.message, "Unschedulable") && strstr(err.message, "k8s.start_timeout"));
    lithops_executor_close(fexec);
    await_nothing_left("calls");
}

/* One pod is all that the namespace may have: it runs all calls. */
FAULT_CASE(a_quota)
{
    lithops_executor *fexec =
        open_pods(", \"kubecfg_context\": \"admin\", \"start_timeout\": 15", "");
    fault_check_works(fexec, 200);
    int64_t naps[] = {500, 500, 500, 500};
    lithops_futures *futures = lithops_map(fexec, fault_nap, lithops_ints(naps, 4), NULL, &err);
    CHECK(futures != NULL);
    fault_await_all(futures);
    CHECK_INT(lithops_futures_done(futures), 4);
    lithops_futures_unref(futures);
    lithops_executor_close(fexec);
    await_nothing_left("small");
}

FAULT_CASE(a_quota_of_nothing)
{
    CHECK(ask("POST", "/api/v1/namespaces/calls/resourcequotas",
              "{\"metadata\": {\"name\": \"none\"}, \"spec\": {\"hard\": {\"pods\": \"0\"}}}", text,
              sizeof text));
    lithops_executor *fexec = open_pods(", \"start_timeout\": 6", "");
    int code = fault_call(fexec, fault_square, lithops_value_int(3), &err);
    CHECK(ask("DELETE", "/api/v1/namespaces/calls/resourcequotas/none", NULL, text, sizeof text));
    CHECK_INT(code, LITHOPS_EBACKEND);
    if (!strstr(err.message, "exceeded quota"))
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_executor_close(fexec);
    await_nothing_left("calls");
}

/* A call whose pod ends so says it, and the next one runs in another pod. Where the client has not
 * heard yet that the call has begun it runs again: then that pod ends so, too. */
static void ends_by(const char *method, const char *path_format, const char *body_format,
                    const char *says)
{
    char name[128], path[256], body[256];
    lithops_executor *fexec = open_pods("", "");
    lithops_future *future =
        lithops_call_async(fexec, fault_nap, lithops_value_int(3600000), NULL, &err);
    CHECK(future != NULL);
    double limit = fault_now() + FAULT_WAIT_MS / 1000.0;
    do {
        CHECK(fault_now() < limit);
        await_pod(name, sizeof name);
        snprintf(path, sizeof path, path_format, name);
        snprintf(body, sizeof body, body_format, name);
        if (!ask(method, path, body, text, sizeof text))
            fault_fail(__FILE__, __LINE__, text);
    } while (lithops_future_wait(future, 8000, &err) == LITHOPS_ETIMEDOUT);
    CHECK_INT(fault_outcome(future, &err), LITHOPS_ECRASH);
    if (!strstr(err.message, name) || !strstr(err.message, says))
        fault_fail(__FILE__, __LINE__, err.message);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    await_nothing_left("calls");
}

FAULT_CASE(a_pod_is_deleted)
{
    ends_by("DELETE", "/api/v1/namespaces/calls/pods/%s", "{\"kind\": \"DeleteOptions\"}%.0s",
            "it was deleted");
}

FAULT_CASE(a_pod_is_evicted)
{
    ends_by("POST", "/api/v1/namespaces/calls/pods/%s/eviction",
            "{\"kind\": \"Eviction\", \"apiVersion\": \"policy/v1\", \"metadata\": {\"name\": "
            "\"%s\"}}",
            "evicted");
}

/* By the worker, or by the cluster, which ends the pod. */
FAULT_CASE(memory_is_out)
{
    lithops_executor *fexec = open_pods("", ", \"limits\": {\"cpu\": null, \"memory\": \"96Mi\"}");
    int code = fault_call(fexec, hog, lithops_value_null(), &err);
    if (code == 0 || (!strstr(err.message, "memory") && !strstr(err.message, "OOMKilled")))
        fault_fail(__FILE__, __LINE__, err.message);
    fault_check_works(fexec, 10);
    lithops_executor_close(fexec);
    await_nothing_left("calls");
}

/* Workers go on, and what is asked for meanwhile is made when it is back. */
FAULT_CASE(the_server_is_away)
{
    alarm(3 * FAULT_CASE_S); /* it needs some time to come back */
    lithops_executor *fexec = open_pods(", \"idle_timeout\": 60", "");
    fault_check_works(fexec, 10);
    pid_t server = fault_pid_in(folder, "kube-apiserver");
    set_file("kube-apiserver.hold", true);
    CHECK_INT(kill(server, SIGKILL), 0);
    fault_check_works(fexec, 100);
    lithops_executor *other = open_pods("", "");
    lithops_future *future =
        lithops_call_async(other, fault_square, lithops_value_int(7), NULL, &err);
    CHECK(future != NULL);
    poll(NULL, 0, 1500); /* so it has found nobody there */
    set_file("kube-apiserver.hold", false);
    await_server();
    if (fault_outcome(future, &err) != 0)
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_executor_close(other);
    lithops_executor_close(fexec);
    await_nothing_left("calls");
}

FAULT_CASE(no_credential_is_in_a_job)
{
    char name[128];
    const char *secret = getenv("LITHOPS_TEST_S3_SECRET_KEY");
    lithops_executor *fexec = open_pods("", "");
    lithops_future *future =
        lithops_call_async(fexec, fault_nap, lithops_value_int(3600000), NULL, &err);
    await_pod(name, sizeof name);
    for (size_t i = 0; i < 2; i++) {
        char kind[128];
        snprintf(kind, sizeof kind, kinds[i], "calls");
        CHECK(count(kind) == 1 && strstr(text, "lithops.jobs/") && !strstr(text, secret));
    }
    (void)lithops_future_cancel(future);
    (void)fault_outcome(future, &err);
    lithops_executor_close(fexec);
    await_nothing_left("calls");
}

/* ---- lithops clean --------------------------------------------------------------------------- */

static void die_running(void)
{
    lithops_executor *fexec = open_pods("", "");
    (void)lithops_call_async(fexec, fault_nap, lithops_value_int(3600000), NULL, &err);
    for (;;)
        pause();
}

FAULT_CASE(a_dead_client)
{
    char name[128], said[4096];
    lithops_value *config = make_config("", "");
    char *yaml;
    CHECK_INT(lithops_value_to_json(config, &yaml, &err), 0);
    pid_t client = fork();
    if (client == 0) {
        die_running();
        _exit(1);
    }
    await_pod(name, sizeof name);
    CHECK_INT(fault_command(FAULT_COMMAND, folder, yaml, "clean", said, sizeof said), 0);
    CHECK(!strstr(said, "workers of dead clients")); /* it lives */
    kill(client, SIGKILL);
    CHECK(waitpid(client, NULL, 0) == client);
    CHECK_INT(fault_command(FAULT_COMMAND, folder, yaml, "clean --dry-run", said, sizeof said), 0);
    CHECK(strstr(said, "1 workers of dead clients"));
    if (fault_command(FAULT_COMMAND, folder, yaml, "clean", said, sizeof said) != 0)
        fault_fail(__FILE__, __LINE__, said);
    await_nothing_left("calls");
    free(yaml);
    lithops_value_free(config);
}

FAULT_CASE(cleaning_without_a_cluster)
{
    char said[4096], *yaml;
    lithops_value *config = make_config(", \"kubecfg_path\": \"/nowhere\"", "");
    CHECK_INT(lithops_value_to_json(config, &yaml, &err), 0);
    CHECK(fault_command(FAULT_COMMAND, folder, yaml, "clean", said, sizeof said) != 0);
    if (!strstr(said, "removed: ") || !strstr(said, "/nowhere"))
        fault_fail(__FILE__, __LINE__, said);
    free(yaml);
    lithops_value_free(config);
}

FAULT_CASE(the_cluster_is_asked)
{
    char said[4096], *yaml;
    lithops_value *config = make_config("", "");
    CHECK_INT(lithops_value_to_json(config, &yaml, &err), 0);
    if (fault_command(FAULT_COMMAND, folder, yaml, "config check --online", said, sizeof said) !=
            0 ||
        !strstr(said, "takes Jobs in the namespace calls"))
        fault_fail(__FILE__, __LINE__, said);
    free(yaml);
    lithops_value_free(config);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    folder = getenv("LITHOPS_TEST_K8S_DIR");
    if (!folder) {
        fprintf(stderr, "run it by tests/servers/with-kubernetes\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cluster_is_asked),
        cmocka_unit_test(cleaning_without_a_cluster),
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(an_exec_plugin),
        cmocka_unit_test(a_strange_certificate_is_refused),
        cmocka_unit_test(what_is_not_allowed_is_said),
        cmocka_unit_test(pods_that_are_not_told_of),
        cmocka_unit_test(a_missing_image),
        cmocka_unit_test(an_image_without_lithops),
        cmocka_unit_test(no_node_takes_it),
        cmocka_unit_test(a_quota),
        cmocka_unit_test(a_quota_of_nothing),
        cmocka_unit_test(a_pod_is_deleted),
        cmocka_unit_test(a_pod_is_evicted),
        cmocka_unit_test(memory_is_out),
        cmocka_unit_test(the_server_is_away),
        cmocka_unit_test(no_credential_is_in_a_job),
        cmocka_unit_test(a_dead_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
