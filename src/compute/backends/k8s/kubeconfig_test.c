/* SPDX-License-Identifier: Apache-2.0 */
/* Kubeconfigs, and what exec plugins print: what is read of them, and what hostile ones come to. */
#include "compute/backends/k8s/k8s.h"
#include "net/credentials.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct lithops__k8s_access found;
static lithops_error err;

static int parse_two(const char *one, const char *other, const char *context)
{
    const struct lithops__k8s_file files[] = {
        {.path = "/home/u/.kube/config", .text = one, .len = strlen(one)},
        {.path = "other/kube", .text = other ? other : "", .len = other ? strlen(other) : 0}};
    lithops__k8s_access_deinit(&found);
    err = (lithops_error)LITHOPS_ERROR_INIT;
    return lithops__k8s_access_parse(files, other ? 2 : 1, context, &found, &err);
}

static const char whole[] =
    "apiVersion: v1\n"
    "kind: Config\n"
    "current-context: work\n"
    "clusters:\n"
    "- name: c1\n"
    "  cluster: {server: 'https://10.0.0.1:6443///', certificate-authority: pki/ca.crt,\n"
    "            tls-server-name: kubernetes, proxy-url: 'http://proxy:3128'}\n"
    "- {name: c2, cluster: {server: 'https://[::1]:1', insecure-skip-tls-verify: true}}\n"
    "- {name: c3, cluster: {server: 'http://10.0.0.1:8080'}}\n"
    "contexts:\n"
    "- {name: work, context: {cluster: c1, user: u1, namespace: team}}\n"
    "- {name: other, context: {cluster: c2, user: u2}}\n"
    "- {name: nobody, context: {cluster: c2}}\n"
    "- {name: lost, context: {cluster: c9, user: u1}}\n"
    "- {name: strange, context: {cluster: c1, user: u9}}\n"
    "- {name: old, context: {cluster: c1, user: u3}}\n"
    "- {name: plugged, context: {cluster: c1, user: u4}}\n"
    "- {name: named, context: {cluster: c1, user: u5}}\n"
    "- {name: clear, context: {cluster: c3, user: u1}}\n"
    "users:\n"
    "- {name: u1, user: {token: 1234567890}}\n"
    "- {name: u2, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ,\n"
    "                    client-key: ignored.key}}\n"
    "- {name: u3, user: {auth-provider: {name: gcp}}}\n"
    "- {name: u5, user: {token: x, username: me, password: secret}}\n"
    "- name: u4\n"
    "  user:\n"
    "    exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: bin/login,\n"
    "           args: [get-token, 7], env: [{name: A, value: b}, {name: C}],\n"
    "           installHint: install it, provideClusterInfo: true}\n";

static void test_contexts(void **state)
{
    (void)state;
    assert_int_equal(parse_two(whole, NULL, NULL), 0);
    assert_string_equal(found.context, "work");
    assert_string_equal(found.server, "https://10.0.0.1:6443");
    assert_string_equal(found.server_name, "kubernetes");
    assert_string_equal(found.proxy, "http://proxy:3128");
    assert_string_equal(found.namespace, "team");
    assert_string_equal(found.authorities_file, "/home/u/.kube/pki/ca.crt");
    assert_string_equal(found.token, "1234567890"); /* which is no number */
    assert_false(found.any_certificate);

    assert_int_equal(parse_two(whole, NULL, "other"), 0);
    assert_string_equal(found.server, "https://[::1]:1");
    assert_true(found.any_certificate);
    assert_string_equal(found.certificate, "CERT");
    assert_string_equal(found.key, "KEY");
    assert_null(found.key_file); /* data wins */
    assert_null(found.namespace);

    assert_int_equal(parse_two(whole, NULL, "nobody"), 0);
    assert_null(found.token);

    assert_int_equal(parse_two(whole, NULL, "clear"), 0);
    assert_string_equal(found.server, "http://10.0.0.1:8080");
    assert_null(found.token); /* it would go in the clear */
}

static void test_a_plugin(void **state)
{
    (void)state;
    assert_int_equal(parse_two(whole, NULL, "plugged"), 0);
    lithops_value *expected = lithops_pack(
        "{s:s,s:[ss],s:[ss],s:s,s:s,s:b}", "command", "/home/u/.kube/bin/login", "args",
        "get-token", "7", "env", "A=b", "C=", "version", "client.authentication.k8s.io/v1beta1",
        "hint", "install it", "wants_cluster", 1);
    assert_true(lithops_value_equal(found.exec, expected));
    lithops_value_free(expected);
}

static void test_several_files(void **state)
{
    (void)state;
    static const char other[] =
        "current-context: mine\n"
        "contexts: [{name: mine, context: {cluster: c1, user: u6}},\n"
        "           {name: work, context: {cluster: c2}}]\n"
        "users: [{name: u6, user: {tokenFile: secret/token}}, {name: u1, user: {token: x}}]\n"
        "clusters: [{name: c1, cluster: {server: 'https://wrong'}}]\n";
    assert_int_equal(parse_two(whole, other, NULL), 0); /* what comes first wins */
    assert_string_equal(found.server, "https://10.0.0.1:6443");
    assert_int_equal(parse_two(whole, other, "mine"), 0);
    assert_string_equal(found.server, "https://10.0.0.1:6443");
    assert_string_equal(found.token_file, "other/secret/token"); /* of its own file's folder */
    assert_int_equal(parse_two(other, whole, "mine"), 0);
    assert_string_equal(found.server, "https://wrong");
}

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *context, *says;
    } rows[] = {
        {whole, "none", "there is no context 'none'"},
        {whole, "lost", "there is no cluster 'c9'"},
        {whole, "strange", "there is no user 'u9'"},
        {whole, "old", "auth-provider"},
        {whole, "named", "a name and a password"},
        {"", NULL, "no current context"},
        {"[]", NULL, "no current context"},
        {"contexts: 7\ncurrent-context: x", NULL, "there is no context 'x'"},
        {"contexts: [7, [], {name: x}]\ncurrent-context: x", NULL, "there is no context 'x'"},
        {"contexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: "
         "'ftp://x'}}]",
         "x", "https URL"},
        {"contexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: "
         "'https://x', certificate-authority-data: '%%secret'}}]",
         "x", "PEM in base64"},
        {"contexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: "
         "{server: 'https://x'}}]\nusers: [{name: u, user: {exec: {command: a}}}]",
         "x", "apiVersion"},
        {"contexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: "
         "{server: 'https://x'}}]\nusers: [{name: u, user: {exec: {command: a, apiVersion: "
         "client.authentication.k8s.io/v1, interactiveMode: Always}}}]",
         "x", "wants a terminal"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(parse_two(rows[i].text, NULL, rows[i].context), LITHOPS_ECONFIG);
        if (!strstr(err.message, rows[i].says))
            fail_msg("row %zu says: %s", i, err.message);
        assert_null(strstr(err.message, "secret"));
    }
}

static void test_data_in_base64(void **state)
{
    (void)state;
    static const struct {
        const char *data, *is;
    } rows[] = {{"QQ==", "A"},   {"QUI=", "AB"}, {"QUJD", "ABC"}, {"QUJDRA==", "ABCD"},
                {"QQ", NULL},    {"QQ=A", NULL}, {"====", NULL},  {"Q", NULL},
                {"QUJD=", NULL}, {"AA==", NULL}, {"QU JD", "ABC"}};
    char text[512];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text,
                 "contexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: "
                 "{server: 'https://x', certificate-authority-data: '%s'}}]",
                 rows[i].data);
        assert_int_equal(parse_two(text, NULL, "x"), rows[i].is ? 0 : LITHOPS_ECONFIG);
        if (rows[i].is)
            assert_string_equal(found.authorities, rows[i].is);
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int find(const char *path, const char *context)
{
    lithops__k8s_access_deinit(&found);
    err = (lithops_error)LITHOPS_ERROR_INIT;
    return lithops__k8s_access_find(path, context, &found, &err);
}

static void test_where_it_is_found(void **state)
{
    (void)state;
    char folder[] = "/tmp/lithops-kubeconfig-XXXXXX", one[64], kube[64], path[160];
    assert_non_null(mkdtemp(folder));
    snprintf(one, sizeof one, "%s/one", folder);
    snprintf(kube, sizeof kube, "%s/.kube", folder);
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_SERVICE_HOST");
    setenv("HOME", folder, 1);
    assert_int_equal(find(NULL, NULL), LITHOPS_ECONFIG);
    assert_non_null(strstr(err.message, "no cluster is configured"));

    write_file(one, whole);
    assert_int_equal(find(one, "other"), 0);
    assert_int_equal(find("~/one", NULL), 0);
    assert_int_equal(find("/nowhere", NULL), LITHOPS_ECONFIG);
    assert_int_equal(find(folder, NULL), LITHOPS_ECONFIG); /* no file */

    snprintf(path, sizeof path, "/nowhere::%s", one);
    setenv("KUBECONFIG", path, 1);
    assert_int_equal(find(NULL, NULL), 0);
    setenv("KUBECONFIG", "/nowhere", 1);
    assert_int_equal(find(NULL, NULL), LITHOPS_ECONFIG);
    unsetenv("KUBECONFIG");

    assert_int_equal(mkdir(kube, 0700), 0);
    snprintf(path, sizeof path, "%s/config", kube);
    write_file(path, whole);
    assert_int_equal(find(NULL, NULL), 0);
    snprintf(path, sizeof path, "%s/pki/ca.crt", kube);
    assert_string_equal(found.authorities_file, path);
    snprintf(path, sizeof path, "%s/config", kube);
    unlink(path);
    rmdir(kube);
    unlink(one);
    rmdir(folder);
}

/* ---- plugins --------------------------------------------------------------------------------- */

static int grant(const char *text, struct lithops__k8s_granted *ret)
{
    err = (lithops_error)LITHOPS_ERROR_INIT;
    return lithops__k8s_read_grant(text, strlen(text), ret, &err);
}

static void drop(struct lithops__k8s_granted *granted)
{
    lithops__secret_free(granted->token);
    lithops__secret_free(granted->certificate);
    lithops__secret_free(granted->key);
}

static void test_what_plugins_print(void **state)
{
    (void)state;
    struct lithops__k8s_granted got;
    assert_int_equal(grant("{\"kind\": \"ExecCredential\", \"status\": {\"token\": \"t\", "
                           "\"expirationTimestamp\": \"2026-01-02T03:04:05Z\"}}",
                           &got),
                     0);
    assert_string_equal(got.token, "t");
    assert_true(got.expires == 1767323045);
    drop(&got);
    assert_int_equal(grant("{\"kind\": \"ExecCredential\", \"status\": {"
                           "\"clientCertificateData\": \"c\", \"clientKeyData\": \"k\"}}",
                           &got),
                     0);
    assert_string_equal(got.key, "k");
    assert_true(got.expires == 0);
    drop(&got);
    static const char *const wrong[] = {
        "",
        "{}",
        "[",
        "nothing",
        "{\"kind\": \"ExecCredential\"}",
        "{\"kind\": \"ExecCredential\", \"status\": {\"token\": 7}}",
        "{\"kind\": \"ExecCredential\", \"status\": {\"clientCertificateData\": \"secret\"}}",
        ("{\"kind\": \"ExecCredential\", \"status\": {\"token\": \"secret\", "
         "\"expirationTimestamp\": \"soon\"}}"),
        "{\"kind\": \"Pod\", \"status\": {\"token\": \"secret\"}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(grant(wrong[i], &got), LITHOPS_ECONFIG);
        assert_null(strstr(err.message, "secret"));
    }
}

static int run_plugin(const char *command, const char *const *args,
                      struct lithops__k8s_granted *ret)
{
    lithops_value *list = lithops_value_list();
    for (; args && *args; args++)
        assert_int_equal(lithops_value_append(list, lithops_value_string(*args)), 0);
    char origin[] = "config", context[] = "x", server[] = "https://x";
    struct lithops__k8s_access access = {.origin = origin, .context = context, .server = server};
    access.exec =
        lithops_pack("{s:s,s:o,s:[s],s:s,s:s,s:b}", "command", command, "args", list, "env",
                     "LITHOPS_TEST_TOKEN=from here", "version", "client.authentication.k8s.io/v1",
                     "hint", "get it from there", "wants_cluster", 1);
    err = (lithops_error)LITHOPS_ERROR_INIT;
    int rc = lithops__k8s_plugin(&access, &LITHOPS__UNBOUNDED, ret, &err);
    lithops_value_free(access.exec);
    return rc;
}

static bool is_interrupted(void *user)
{
    (void)user;
    return true;
}

static void test_running_plugins(void **state)
{
    (void)state;
    struct lithops__k8s_granted got;
    static const char *const good[] = {
        "-c",
        "case $KUBERNETES_EXEC_INFO in *'\"https://x\"'*) ;; *) exit 9 ;; esac; "
        "echo '{\"kind\": \"ExecCredential\", \"status\": {\"token\": "
        "\"'\"$LITHOPS_TEST_TOKEN\"'\"}}'",
        NULL};
    static const char *const bad[] = {"-c", "echo secret; exit 3", NULL};
    static const char *const slow[] = {"-c", "exec sleep 1000", NULL};
    assert_int_equal(run_plugin("sh", good, &got), 0);
    assert_string_equal(got.token, "from here");
    drop(&got);
    assert_int_equal(run_plugin("sh", bad, &got), LITHOPS_EDENIED);
    assert_non_null(strstr(err.message, "exit status 3"));
    assert_null(strstr(err.message, "secret"));
    assert_int_equal(run_plugin("/nowhere/login", NULL, &got), LITHOPS_ECONFIG);
    assert_non_null(strstr(err.message, "get it from there"));
    lithops_value *exec = lithops_pack("{s:s,s:[ss],s:[],s:s}", "command", "sh", "args", slow[0],
                                       slow[1], "env", "version", "v");
    struct lithops__k8s_access access = {.exec = exec};
    const struct lithops__bounds at_once = {.deadline_ns = UINT64_MAX,
                                            .interrupted = is_interrupted};
    assert_int_equal(lithops__k8s_plugin(&access, &at_once, &got, &err), LITHOPS_ECANCELED);
    lithops_value_free(exec);
}

static int end(void **state)
{
    (void)state;
    lithops__k8s_access_deinit(&found);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contexts),           cmocka_unit_test(test_a_plugin),
        cmocka_unit_test(test_several_files),      cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_data_in_base64),     cmocka_unit_test(test_where_it_is_found),
        cmocka_unit_test(test_what_plugins_print), cmocka_unit_test(test_running_plugins),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
