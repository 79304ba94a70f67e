/* SPDX-License-Identifier: Apache-2.0 */
/* What the status of a pod means, in words that say what to do.
 *
 * A pod says why it waits in its conditions (nobody schedules it) or in its containers (the image
 * does not come, the Secret is not there); how it ended in its own reason (Evicted), in a condition
 * (preempted, drained), or in that of its container (OOMKilled, an exit status). */
#include "base/error.h"
#include "compute/backends/k8s/k8s.h"

#include <stdio.h>
#include <string.h>

enum { MOST_GRACE_S = 86400 };

static const char *text_of(const lithops_value *map, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, key));
    return text ? text : "";
}

/* ---- pending --------------------------------------------------------------------------------- */

/* Reasons of a waiting container. Those without `is_hopeless` may pass. */
static const struct {
    const char *reason, *advice;
    bool is_hopeless;
} waits[] = {
    {"ErrImagePull", "the image does not come", false},
    {"ImagePullBackOff", "the image does not come", false},
    {"RegistryUnavailable", "the registry does not answer", false},
    {"InvalidImageName", "k8s.runtime is not the name of an image", true},
    {"ErrImageNeverPull", "the node does not have the image, and may not pull it", true},
    {"CreateContainerConfigError", "the container cannot be made", false},
    {"CreateContainerError", "the container cannot be made", false},
    {"RunContainerError",
     "the container does not start: the image of k8s.runtime must have the command lithops on its "
     "PATH",
     true},
};

/* What registries say when asking again is of no use. A name that is not resolved, or "403
 * Forbidden", is none of that: proxies and full registries say it, too, and it passes. */
static bool is_refusal(const char *message)
{
    static const char *const words[] = {
        "not found",     "manifest unknown",      "unauthorized",   "authorization failed",
        "access denied", "no match for platform", "does not exist", "repository name"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(message, words[i]))
            return true;
    return false;
}

static bool read_wait(const lithops_value *waiting, struct lithops__k8s_pod *pod)
{
    const char *reason = text_of(waiting, "reason"), *message = text_of(waiting, "message");
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        if (strcmp(reason, waits[i].reason) != 0)
            continue;
        bool is_image = strcmp(reason, "ErrImagePull") == 0;
        snprintf(pod->why, sizeof pod->why, "%s (%s%s%.380s)", waits[i].advice, reason,
                 message[0] ? ": " : "", message);
        pod->is_hopeless = waits[i].is_hopeless || (is_image && is_refusal(message));
        return true;
    }
    if (reason[0] && strcmp(reason, "ContainerCreating") != 0 &&
        strcmp(reason, "PodInitializing") != 0)
        snprintf(pod->why, sizeof pod->why, "%s%s%.400s", reason, message[0] ? ": " : "", message);
    return pod->why[0] != '\0';
}

static const lithops_value *find_condition(const lithops_value *status, const char *type,
                                           const char *is)
{
    const lithops_value *conditions = lithops_value_get(status, "conditions");
    for (size_t i = 0; i < lithops_value_size(conditions); i++) {
        const lithops_value *condition = lithops_value_at(conditions, i);
        if (strcmp(text_of(condition, "type"), type) == 0 &&
            strcmp(text_of(condition, "status"), is) == 0)
            return condition;
    }
    return NULL;
}

static void explain_pending(const lithops_value *status, struct lithops__k8s_pod *pod)
{
    static const char *const lists[] = {"initContainerStatuses", "containerStatuses"};
    const lithops_value *unscheduled = find_condition(status, "PodScheduled", "False");
    if (unscheduled) {
        const char *message = text_of(unscheduled, "message");
        snprintf(pod->why, sizeof pod->why, "no node takes it (%s%s%.400s)",
                 text_of(unscheduled, "reason"), message[0] ? ": " : "", message);
        return;
    }
    for (size_t l = 0; l < 2; l++) {
        const lithops_value *list = lithops_value_get(status, lists[l]);
        for (size_t i = 0; i < lithops_value_size(list); i++) {
            const lithops_value *state = lithops_value_get(lithops_value_at(list, i), "state");
            if (read_wait(lithops_value_get(state, "waiting"), pod))
                return;
        }
    }
    if (pod->node[0])
        snprintf(pod->why, sizeof pod->why, "node %s prepares it", pod->node);
}

/* ---- ended ----------------------------------------------------------------------------------- */

/* The container that has ended worst. */
static const lithops_value *find_terminated(const lithops_value *status)
{
    const lithops_value *list = lithops_value_get(status, "containerStatuses"), *found = NULL;
    for (size_t i = 0; i < lithops_value_size(list); i++) {
        const lithops_value *ended =
            lithops_value_get(lithops_value_get(lithops_value_at(list, i), "state"), "terminated");
        if (!ended || lithops_value_type(ended) != LITHOPS_MAP)
            continue;
        if (!found || lithops_value_get_int(lithops_value_get(ended, "exitCode")) != 0)
            found = ended;
    }
    return found;
}

/* The last line of what the container said. */
static const char *last_line(const char *text, int *ret_len)
{
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    size_t start = len;
    while (start > 0 && text[start - 1] != '\n')
        start--;
    *ret_len = (int)(len - start);
    return text + start;
}

static void explain_exit(const lithops_value *ended, struct lithops__k8s_pod *pod)
{
    const char *reason = text_of(ended, "reason");
    int64_t status = lithops_value_get_int(lithops_value_get(ended, "exitCode"));
    int len;
    const char *line = last_line(text_of(ended, "message"), &len);
    if (len > 300)
        len = 300;
    if (strcmp(reason, "OOMKilled") == 0)
        snprintf(pod->why, sizeof pod->why,
                 "it took more memory than it may (OOMKilled): raise k8s.runtime_memory");
    else if (strcmp(reason, "ContainerCannotRun") == 0 || strcmp(reason, "StartError") == 0)
        snprintf(pod->why, sizeof pod->why,
                 "its container does not start: the image of k8s.runtime must have the command "
                 "lithops on its PATH (%s%s%.*s)",
                 reason, len ? ": " : "", len, line);
    else
        snprintf(pod->why, sizeof pod->why, "its container ended with exit status %lld%s%.*s",
                 (long long)status, len ? ": " : "", len, line);
}

/* Why the cluster ended it, where it did. */
static bool explain_disruption(const lithops_value *status, struct lithops__k8s_pod *pod)
{
    static const struct {
        const char *reason, *why;
    } known[] = {
        {"PreemptionByScheduler", "it was preempted by a pod of higher priority"},
        {"EvictionByEvictionAPI", "it was evicted, as when its node is drained"},
        {"DeletionByTaintManager", "its node was tainted, as when that does not answer"},
        {"DeletionByPodGC", "its node is gone"},
        {"TerminationByKubelet", "its node ended it"},
    };
    const lithops_value *target = find_condition(status, "DisruptionTarget", "True");
    const char *reason = text_of(target, "reason"), *message = text_of(target, "message");
    const char *of_pod = text_of(status, "reason"), *said = text_of(status, "message");
    if (strcmp(of_pod, "Evicted") == 0)
        snprintf(pod->why, sizeof pod->why, "its node evicted it (Evicted: %.400s)", said);
    else if (strcmp(of_pod, "DeadlineExceeded") == 0)
        snprintf(pod->why, sizeof pod->why, "its time was over: k8s.lifetime sets it");
    else if (of_pod[0])
        snprintf(pod->why, sizeof pod->why, "%s%s%.400s", of_pod, said[0] ? ": " : "", said);
    for (size_t i = 0; target && !of_pod[0] && i < sizeof known / sizeof *known; i++)
        if (strcmp(reason, known[i].reason) == 0)
            snprintf(pod->why, sizeof pod->why, "%s (%s%s%.300s)", known[i].why, reason,
                     message[0] ? ": " : "", message);
    return of_pod[0] || pod->why[0];
}

static void explain_end(const lithops_value *status, const char *phase,
                        struct lithops__k8s_pod *pod)
{
    const lithops_value *ended = find_terminated(status);
    pod->is_failed = strcmp(phase, "Succeeded") != 0;
    if (explain_disruption(status, pod))
        return;
    bool is_memory = strcmp(text_of(ended, "reason"), "OOMKilled") == 0;
    if (pod->is_deleted && !is_memory)
        snprintf(pod->why, sizeof pod->why, "it was deleted");
    else if (ended)
        explain_exit(ended, pod);
    else if (pod->is_failed)
        snprintf(pod->why, sizeof pod->why, "it failed");
}

/* ---- a pod ----------------------------------------------------------------------------------- */

static bool has_ended_container(const lithops_value *status)
{
    const lithops_value *list = lithops_value_get(status, "containerStatuses");
    size_t count = lithops_value_size(list), ended = 0;
    for (size_t i = 0; i < count; i++)
        ended += lithops_value_type(lithops_value_get(
                     lithops_value_get(lithops_value_at(list, i), "state"), "terminated")) ==
                 LITHOPS_MAP;
    return count > 0 && ended == count;
}

void lithops__k8s_read_pod(const lithops_value *pod, struct lithops__k8s_pod *ret_pod)
{
    const lithops_value *metadata = lithops_value_get(pod, "metadata");
    const lithops_value *status = lithops_value_get(pod, "status");
    const lithops_value *spec = lithops_value_get(pod, "spec");
    const char *phase = text_of(status, "phase");
    *ret_pod = (struct lithops__k8s_pod){.phase = LITHOPS__K8S_PENDING};
    snprintf(ret_pod->uid, sizeof ret_pod->uid, "%s", text_of(metadata, "uid"));
    snprintf(ret_pod->name, sizeof ret_pod->name, "%s", text_of(metadata, "name"));
    snprintf(ret_pod->node, sizeof ret_pod->node, "%s", text_of(spec, "nodeName"));
    ret_pod->is_deleted = text_of(metadata, "deletionTimestamp")[0] != '\0';
    int64_t grace_s =
        lithops_value_get_int(lithops_value_get(metadata, "deletionGracePeriodSeconds"));
    ret_pod->grace_s = grace_s < 0 ? 0 : grace_s > MOST_GRACE_S ? MOST_GRACE_S : grace_s;
    if (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0 ||
        has_ended_container(status)) {
        ret_pod->phase = LITHOPS__K8S_ENDED;
        explain_end(status, phase, ret_pod);
    } else if (strcmp(phase, "Running") == 0) {
        ret_pod->phase = LITHOPS__K8S_RUNNING;
        if (ret_pod->is_deleted)
            (void)explain_disruption(status, ret_pod);
    } else {
        explain_pending(status, ret_pod);
    }
    lithops__one_line(ret_pod->why, sizeof ret_pod->why - 1);
}

void lithops__k8s_read_events(const lithops_value *list, char *buf, size_t size)
{
    const lithops_value *items = lithops_value_get(list, "items");
    buf[0] = '\0';
    for (size_t i = 0; i < lithops_value_size(items); i++) {
        const lithops_value *event = lithops_value_at(items, i);
        if (strcmp(text_of(event, "type"), "Warning") == 0)
            snprintf(buf, size, "%s: %.400s", text_of(event, "reason"), text_of(event, "message"));
    }
    lithops__one_line(buf, size - 1);
}
