/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of what the backend k8s reads: the input is a kubeconfig, what an exec plugin has printed,
 * and a pod and a list of events of an API server. What is refused must say why. */
#include "compute/backends/k8s/k8s.h"
#include "fuzz.h"
#include "net/credentials.h"

static void read_config(const char *text, size_t size, const char *context)
{
    const struct lithops__k8s_file file = {.path = "a/b", .text = text, .len = size};
    struct lithops__k8s_access access;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops__k8s_access_parse(&file, 1, context, &access, &err) != 0) {
        must(err.code != 0 && err.message[0], "no reason");
        return;
    }
    must(access.context && access.origin && access.server, "a part is missing");
    must(strncmp(access.server, "http", 4) == 0, "the server is no URL");
    lithops__k8s_access_deinit(&access);
}

static void read_documents(const char *text, size_t size)
{
    struct lithops__k8s_granted granted;
    struct lithops__k8s_pod pod;
    lithops_error err = LITHOPS_ERROR_INIT;
    char why[600];
    if (lithops__k8s_read_grant(text, size, &granted, &err) == 0) {
        must(granted.token || (granted.certificate && granted.key), "nothing is granted");
        lithops__secret_free(granted.token);
        lithops__secret_free(granted.certificate);
        lithops__secret_free(granted.key);
    } else {
        must(err.message[0], "no reason");
    }
    lithops_value *value = lithops_value_from_json(text, size, NULL);
    lithops__k8s_read_pod(value, &pod);
    must(memchr(pod.why, '\0', sizeof pod.why) && !strchr(pod.why, '\n'), "not a line");
    lithops__k8s_read_events(value, why, sizeof why);
    must(memchr(why, '\0', sizeof why) && !strchr(why, '\n'), "not a line");
    lithops_value_free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_ready;
    if (!is_ready)
        find_modules();
    is_ready = true;
    char *text = malloc(size + 1);
    must(text != NULL, "out of memory");
    memcpy(text, data, size);
    text[size] = '\0';
    read_config(text, size, NULL);
    read_config(text, size, "x");
    read_documents(text, size);
    free(text);
    return 0;
}
