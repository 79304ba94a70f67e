/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of a worker: a Job with one pod, and the Secret that its pod reads.
 *
 * A Job is what the section says, with `job_template` laid upon it, and then what makes it a worker
 * of ours laid upon that. The client's configuration is in the Secret alone, which the pod sees as
 * a file: not in the Job, an argument, or the environment. */
#include "base/error.h"
#include "compute/backends/k8s/k8s.h"
#include "net/credentials.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ENGINE_MB: the engine itself, beside the memory of calls. TTL_S: a Job that has ended is there
 * for people to look at, if nobody deletes it. GRACE_S: for a worker to delete its objects. */
enum { ENGINE_MB = 128, TTL_S = 60, GRACE_S = 10, DEFAULT_MEMORY_MB = 512 };

#define CONFIG_FOLDER "/run/lithops"
#define DOCKER_CONFIG ".dockerconfigjson"

/* ---- merging --------------------------------------------------------------------------------- */

static const char *name_of(const lithops_value *item)
{
    return lithops_value_get_string(lithops_value_get(item, "name"));
}

static bool has_names(const lithops_value *list)
{
    size_t count = lithops_value_size(list);
    for (size_t i = 0; i < count; i++)
        if (lithops_value_type(lithops_value_at(list, i)) != LITHOPS_MAP ||
            !name_of(lithops_value_at(list, i)))
            return false;
    return count > 0;
}

static const lithops_value *find_named(const lithops_value *list, const char *name)
{
    for (size_t i = 0; i < lithops_value_size(list); i++)
        if (strcmp(name_of(lithops_value_at(list, i)), name) == 0)
            return lithops_value_at(list, i);
    return NULL;
}

static lithops_value *merge(const lithops_value *base, const lithops_value *over);

static lithops_value *merge_maps(const lithops_value *base, const lithops_value *over)
{
    lithops_value *out = lithops_value_map();
    const char *key;
    bool good = out != NULL;
    for (size_t i = 0; good && i < lithops_value_size(base); i++) {
        const lithops_value *item = lithops_value_pair(base, i, &key);
        const lithops_value *other = lithops_value_get(over, key);
        if (other && lithops_value_type(other) == LITHOPS_NULL)
            continue;
        good =
            lithops_value_set(out, key, other ? merge(item, other) : lithops_value_copy(item)) == 0;
    }
    for (size_t i = 0; good && i < lithops_value_size(over); i++) {
        const lithops_value *item = lithops_value_pair(over, i, &key);
        if (!lithops_value_get(base, key) && lithops_value_type(item) != LITHOPS_NULL)
            good = lithops_value_set(out, key, lithops_value_copy(item)) == 0;
    }
    if (good)
        return out;
    lithops_value_free(out);
    return NULL;
}

static lithops_value *merge_lists(const lithops_value *base, const lithops_value *over)
{
    lithops_value *out = lithops_value_list();
    bool good = out != NULL;
    for (size_t i = 0; good && i < lithops_value_size(base); i++) {
        const lithops_value *item = lithops_value_at(base, i);
        const lithops_value *other = find_named(over, name_of(item));
        good =
            lithops_value_append(out, other ? merge(item, other) : lithops_value_copy(item)) == 0;
    }
    for (size_t i = 0; good && i < lithops_value_size(over); i++) {
        const lithops_value *item = lithops_value_at(over, i);
        if (!find_named(base, name_of(item)))
            good = lithops_value_append(out, lithops_value_copy(item)) == 0;
    }
    if (good)
        return out;
    lithops_value_free(out);
    return NULL;
}

static lithops_value *merge(const lithops_value *base, const lithops_value *over)
{
    lithops_type type = lithops_value_type(over);
    if (type == LITHOPS_MAP && lithops_value_type(base) == type)
        return merge_maps(base, over);
    if (type == LITHOPS_LIST && lithops_value_type(base) == type && has_names(base) &&
        has_names(over))
        return merge_lists(base, over);
    return lithops_value_copy(over);
}

lithops_value *lithops__k8s_merge(lithops_value *base, const lithops_value *over)
{
    if (!base || !over || lithops_value_type(over) == LITHOPS_NULL)
        return base;
    lithops_value *merged = merge(base, over);
    lithops_value_free(base);
    return merged;
}

/* ---- options --------------------------------------------------------------------------------- */

static const char *text_of(const lithops_value *settings, const char *key)
{
    return lithops_value_get_string(lithops_value_get(settings, key));
}

/* Of a number that has a default. */
static double number_of(const lithops_value *settings, const char *key)
{
    return lithops_value_get_double(lithops_value_get(settings, key));
}

static void hex(uint64_t number, char ret_text[LITHOPS__K8S_RUN])
{
    snprintf(ret_text, LITHOPS__K8S_RUN, "%016llx", (unsigned long long)number);
}

static int check_map(const lithops_value *settings, const char *key, lithops_error *err)
{
    const lithops_value *value = lithops_value_get(settings, key);
    lithops_type type = value ? lithops_value_type(value) : LITHOPS_NULL;
    return type == LITHOPS_MAP || type == LITHOPS_NULL
               ? 0
               : lithops__fail(err, LITHOPS_ECONFIG,
                               "k8s.%s must be a map, as a Job's document has it", key);
}

int lithops__k8s_options_read(const lithops_value *settings,
                              struct lithops__k8s_options *ret_options, lithops_error *err)
{
    static const char *const maps[] = {"job_template", "container_security_context",
                                       "pod_security_context"};
    struct lithops__k8s_options options = {.settings = settings};
    const char *runtime = text_of(settings, "runtime");
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (check_map(settings, maps[i], err) != 0)
            return LITHOPS_ECONFIG;
    if (!runtime || !runtime[0])
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "k8s.runtime must name an image that has the command lithops and, for "
                             "Python, the client's version of it: docs/kubernetes.md says how to "
                             "make one");
    if (!text_of(settings, "docker_user") != !text_of(settings, "docker_password"))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "k8s.docker_user and k8s.docker_password go together: set both");
    options.max_workers = (uint32_t)number_of(settings, "max_workers");
    options.idle_timeout_ms = (uint32_t)(1000 * number_of(settings, "idle_timeout"));
    options.start_timeout_s = (uint32_t)number_of(settings, "start_timeout");
    options.lifetime_s = (uint32_t)number_of(settings, "lifetime");
    options.lost_timeout_ms = (uint32_t)(1000 * number_of(settings, "worker_lost_timeout"));
    const lithops_value *processes = lithops_value_get(settings, "worker_processes");
    bool is_set = lithops_value_type(processes) == LITHOPS_INT;
    options.worker_processes =
        is_set ? (uint32_t)lithops_value_get_int(processes)
               : (uint32_t)ceil(number_of(settings, "runtime_cpu")); /* as it would find itself */
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return lithops__fail(err, LITHOPS_EIO, "there is no random number to be had");
    hex(number, options.run);
    lithops__client_mark(options.client);
    *ret_options = options;
    return 0;
}

void lithops__k8s_options_deinit(struct lithops__k8s_options *options)
{
    free(options->namespace);
    options->namespace = NULL;
}

/* ---- the Job --------------------------------------------------------------------------------- */

void lithops__k8s_name(const struct lithops__k8s_options *options, uint32_t worker, uint32_t serial,
                       char ret_name[LITHOPS__K8S_NAME])
{
    snprintf(ret_name, LITHOPS__K8S_NAME, "lithops-%s-%u-%u", options->run, worker, serial);
}

/* A label has letters, digits, "-", "_" and "."; at most 63. */
static void label_of(const char *text, char ret_label[64])
{
    size_t len = 0;
    for (; text && text[len] && len < 63; len++) {
        bool is_fine = (text[len] >= 'a' && text[len] <= 'z') ||
                       (text[len] >= 'A' && text[len] <= 'Z') ||
                       (text[len] >= '0' && text[len] <= '9') || (len > 0 && text[len] == '-');
        ret_label[len] = text[len];
        if (!is_fine)
            ret_label[len] = 'x';
    }
    if (len > 0 && ret_label[len - 1] == '-')
        ret_label[len - 1] = 'x';
    ret_label[len] = '\0';
}

static lithops_value *labels_of(const struct lithops__k8s_options *options,
                                const struct lithops__k8s_link *link)
{
    char executor[64], worker[16], serial[16];
    label_of(link->executor, executor);
    snprintf(worker, sizeof worker, "%u", link->worker);
    snprintf(serial, sizeof serial, "%u", link->serial);
    return lithops_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "app.kubernetes.io/managed-by", "lithops",
                        "lithops/run", options->run, "lithops/client", options->client,
                        "lithops/executor", executor, "lithops/worker", worker, "lithops/serial",
                        serial);
}

/* CPUs and memory of a pod, requested and granted alike. */
static lithops_value *resources_of(const struct lithops__k8s_options *options)
{
    const lithops_value *memory = lithops_value_get(options->settings, "runtime_memory");
    bool is_sized = lithops_value_type(memory) == LITHOPS_INT;
    int64_t mb = is_sized ? lithops_value_get_int(memory) : DEFAULT_MEMORY_MB;
    char cpu_text[32], memory_text[32];
    snprintf(cpu_text, sizeof cpu_text, "%lldm",
             (long long)(number_of(options->settings, "runtime_cpu") * 1000));
    snprintf(memory_text, sizeof memory_text, "%lldMi",
             (long long)(mb * options->worker_processes + ENGINE_MB));
    return lithops_pack("{s:{s:s,s:s},s:{s:s,s:s}}", "requests", "cpu", cpu_text, "memory",
                        memory_text, "limits", "cpu", cpu_text, "memory", memory_text);
}

/* What a template may change. */
static lithops_value *defaults_of(const struct lithops__k8s_options *options)
{
    const lithops_value *settings = options->settings;
    lithops_value *container = lithops_pack("{s:s,s:s,s:[s],s:o}", "name", "lithops", "image",
                                            text_of(settings, "runtime"), "command", "lithops",
                                            "resources", resources_of(options));
    const lithops_value *security = lithops_value_get(settings, "container_security_context");
    if (container && security && lithops_value_type(security) == LITHOPS_MAP)
        (void)lithops_value_set(container, "securityContext", lithops_value_copy(security));
    /* With one process namespace the pod's first process reaps what functions leave, and a worker
     * that is not the first heeds signals. A worker calls no API server. */
    lithops_value *pod = lithops_pack(
        "{s:b,s:b,s:b,s:i,s:[o]}", "shareProcessNamespace", 1, "automountServiceAccountToken", 0,
        "enableServiceLinks", 0, "terminationGracePeriodSeconds", GRACE_S, "containers", container);
    const char *account = text_of(settings, "service_account");
    const char *machine = text_of(settings, "runtime_arch");
    security = lithops_value_get(settings, "pod_security_context");
    if (pod && security && lithops_value_type(security) == LITHOPS_MAP)
        (void)lithops_value_set(pod, "securityContext", lithops_value_copy(security));
    if (pod && account && account[0])
        (void)lithops_value_set(pod, "serviceAccountName", lithops_value_string(account));
    if (pod && machine && machine[0])
        (void)lithops_value_set(pod, "nodeSelector",
                                lithops_pack("{s:s}", "kubernetes.io/arch", machine));
    return lithops_pack("{s:{s:{s:o}}}", "spec", "template", "spec", pod);
}

/* What makes it a worker. Kubernetes starts no pod again: the client does, when it needs one. */
static lithops_value *essentials_of(const struct lithops__k8s_options *options,
                                    const struct lithops__k8s_link *link)
{
    char name[LITHOPS__K8S_NAME];
    lithops__k8s_name(options, link->worker, link->serial, name);
    bool is_private = text_of(options->settings, "docker_user") != NULL;
    lithops_value *pulls = is_private ? lithops_pack("[{s:s}]", "name", name) : NULL;
    lithops_value *container = lithops_pack(
        "{s:s,s:[sss],s:s,s:[{s:s,s:s}],s:[{s:s,s:s,s:b}]}", "name", "lithops", "args", "worker",
        "--through", link->key, "terminationMessagePolicy", "FallbackToLogsOnError", "env", "name",
        "LITHOPS_CONFIG_FILE", "value", CONFIG_FOLDER "/config", "volumeMounts", "name",
        "lithops-config", "mountPath", CONFIG_FOLDER, "readOnly", 1);
    lithops_value *volume = lithops_pack(
        "{s:s,s:{s:s,s:i,s:[{s:s,s:s}]}}", "name", "lithops-config", "secret", "secretName", name,
        "defaultMode", 0444, "items", "key", "config", "path", "config");
    lithops_value *pod = lithops_pack("{s:s,s:[o],s:[o]}", "restartPolicy", "Never", "containers",
                                      container, "volumes", volume);
    if (pod && pulls)
        (void)lithops_value_set(pod, "imagePullSecrets", pulls);
    lithops_value *spec = lithops_pack(
        "{s:i,s:i,s:i,s:i,s:i,s:s,s:{s:{s:o},s:o}}", "completions", 1, "parallelism", 1,
        "backoffLimit", 0, "ttlSecondsAfterFinished", TTL_S, "activeDeadlineSeconds",
        (int)(options->start_timeout_s + options->lifetime_s), "podReplacementPolicy", "Failed",
        "template", "metadata", "labels", labels_of(options, link), "spec", pod);
    return lithops_pack("{s:s,s:s,s:{s:s,s:o},s:o}", "apiVersion", "batch/v1", "kind", "Job",
                        "metadata", "name", name, "labels", labels_of(options, link), "spec", spec);
}

int lithops__k8s_job(const struct lithops__k8s_options *options,
                     const struct lithops__k8s_link *link, lithops_value **ret_job,
                     lithops_error *err)
{
    lithops_value *essentials = essentials_of(options, link);
    lithops_value *job = defaults_of(options);
    job = lithops__k8s_merge(job, lithops_value_get(options->settings, "job_template"));
    job = essentials ? lithops__k8s_merge(job, essentials) : job;
    bool is_whole = job && essentials;
    lithops_value_free(essentials);
    if (is_whole) {
        *ret_job = job;
        return 0;
    }
    lithops_value_free(job);
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "the Job of a worker cannot be made: is all text of the section k8s "
                         "UTF-8, and is there memory?");
}

/* ---- the Secret ------------------------------------------------------------------------------ */

/* As `docker login` keeps it. */
static lithops_value *registry_of(const lithops_value *settings)
{
    const char *server = text_of(settings, "docker_server");
    bool is_hub = !server || strcmp(server, "docker.io") == 0;
    lithops_value *all = lithops_pack(
        "{s:{s:{s:s,s:s}}}", "auths", is_hub ? "https://index.docker.io/v1/" : server, "username",
        text_of(settings, "docker_user"), "password", text_of(settings, "docker_password"));
    char *text = NULL;
    lithops_value *json = NULL;
    if (all && lithops_value_to_json(all, &text, NULL) == 0)
        json = lithops_value_string(text);
    lithops_value_free(all);
    lithops__secret_free(text);
    return json;
}

int lithops__k8s_secret(const struct lithops__k8s_options *options,
                        const struct lithops__k8s_link *link, const char *job_uid,
                        const char *config, lithops_value **ret_secret, lithops_error *err)
{
    char name[LITHOPS__K8S_NAME];
    lithops__k8s_name(options, link->worker, link->serial, name);
    bool is_private = text_of(options->settings, "docker_user") != NULL;
    lithops_value *data = lithops_pack("{s:s}", "config", config);
    bool good = data && (!is_private || lithops_value_set(data, DOCKER_CONFIG,
                                                          registry_of(options->settings)) == 0);
    lithops_value *secret = lithops_pack(
        "{s:s,s:s,s:s,s:b,s:{s:s,s:o,s:[{s:s,s:s,s:s,s:s,s:b}]},s:o}", "apiVersion", "v1", "kind",
        "Secret", "type", is_private ? "kubernetes.io/dockerconfigjson" : "Opaque", "immutable", 1,
        "metadata", "name", name, "labels", labels_of(options, link), "ownerReferences",
        "apiVersion", "batch/v1", "kind", "Job", "name", name, "uid", job_uid, "blockOwnerDeletion",
        0, "stringData", data);
    if (good && secret) {
        *ret_secret = secret;
        return 0;
    }
    lithops_value_free(secret);
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}
