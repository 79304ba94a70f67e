/* SPDX-License-Identifier: Apache-2.0 */
/* A host is asked by running `lithops job list` there. It has jobs whose client is there, and parts
 * of others': of these a job is left out where its client is listed, and parts on several hosts are
 * added up. */
#include "cli/joblist.h"

#include "base/error.h"
#include "cli/output.h"
#include "core/inspect.h"
#include "core/probe.h"

#include <stdlib.h>
#include <string.h>

struct making {
    struct cli_joblist *list;
    lithops_error *err;
    int rc;
};

/* Takes the job. */
static int append(struct cli_joblist *list, lithops_value *job)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 16;
        lithops_value **more = realloc(list->jobs, room * sizeof *more);
        if (!more) {
            lithops_value_free(job);
            return LITHOPS_ENOMEM;
        }
        list->jobs = more;
        list->room = room;
    }
    list->jobs[list->count++] = job;
    return job ? 0 : LITHOPS_ENOMEM;
}

static const char *text_of(const lithops_value *job, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(job, key));
    return text ? text : "";
}

static int64_t number_of(const lithops_value *job, const char *key)
{
    return lithops_value_get_int(lithops_value_get(job, key));
}

static bool is_part(const lithops_value *job)
{
    return lithops_value_get_bool(lithops_value_get(job, "is_part"));
}

/* ---- this machine ---------------------------------------------------------------------------- */

static int add_job(const struct lithops__inspected_job *job, void *user)
{
    const struct making *making = user;
    char key[64];
    snprintf(key, sizeof key, "%s-%s", job->executor_id, job->job_id);
    lithops_value *line = lithops_pack(
        "{s:s,s:s,s:b,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "job", key, "client", job->client,
        "is_part", job->is_part, "function", job->function, "calls", (int64_t)job->calls, "pending",
        (int64_t)job->pending, "running", (int64_t)job->running, "success", (int64_t)job->success,
        "failed", (int64_t)job->failed, "canceled", (int64_t)job->canceled, "age_s", job->age_s);
    if (line)
        (void)lithops_value_set(line, "pid",
                                job->is_part ? lithops_value_null() : lithops_value_int(job->pid));
    return append(making->list, line);
}

/* ---- hosts ----------------------------------------------------------------------------------- */

/* A line of a host's list. A client there gets the host's name in front. */
static int add_line(struct making *making, const char *host, const char *text, size_t len)
{
    lithops_value *job = lithops_value_from_json(text, len, making->err);
    if (!job || !text_of(job, "job")[0] || !text_of(job, "client")[0]) {
        lithops_value_free(job);
        return lithops__fail(making->err, LITHOPS_EBACKEND,
                             "host %s: its Lithops does not list jobs: install one version on both",
                             host);
    }
    if (!is_part(job)) {
        char client[320];
        snprintf(client, sizeof client, "%.200s/%lld", host, (long long)number_of(job, "pid"));
        (void)lithops_value_set(job, "client", lithops_value_string(client));
        (void)lithops_value_set(job, "pid", lithops_value_null());
    }
    return append(making->list, job);
}

static void add_host(void *user, const char *host, bool is_there, const char *text)
{
    struct making *making = user;
    if (!is_there) {
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops__fail(&err, LITHOPS_EBACKEND, "%s", text);
        making->list->unreachable = cli_report(&err);
        return;
    }
    for (size_t len; *text && making->rc == 0; text += len + (text[len] == '\n')) {
        len = strcspn(text, "\n");
        making->rc = add_line(making, host, text, len);
    }
}

/* ---- each once ------------------------------------------------------------------------------- */

static size_t executor_len(const char *key)
{
    const char *dash = strrchr(key, '-');
    return dash ? (size_t)(dash - key) : strlen(key);
}

static bool has_client(const struct cli_joblist *list, const char *key)
{
    size_t len = executor_len(key);
    for (size_t i = 0; i < list->count; i++) {
        const char *other = text_of(list->jobs[i], "job");
        if (!is_part(list->jobs[i]) && executor_len(other) == len && strncmp(other, key, len) == 0)
            return true;
    }
    return false;
}

static void add_up(lithops_value *job, const lithops_value *more)
{
    static const char *const counts[] = {"calls",   "pending", "running",
                                         "success", "failed",  "canceled"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        (void)lithops_value_set(
            job, counts[i],
            lithops_value_int(number_of(job, counts[i]) + number_of(more, counts[i])));
    double age_s = lithops_value_get_double(lithops_value_get(more, "age_s"));
    if (age_s > lithops_value_get_double(lithops_value_get(job, "age_s")))
        (void)lithops_value_set(job, "age_s", lithops_value_double(age_s));
}

static int by_key(const void *a, const void *b)
{
    return strcmp(text_of(*(lithops_value *const *)a, "job"),
                  text_of(*(lithops_value *const *)b, "job"));
}

static int keep_once(struct cli_joblist *list)
{
    struct cli_joblist parts = {.count = 0};
    size_t kept = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < list->count; i++)
        if (is_part(list->jobs[i]) && !has_client(list, text_of(list->jobs[i], "job")))
            rc = append(&parts, lithops_value_copy(list->jobs[i]));
    for (size_t i = 0; i < list->count; i++) {
        if (is_part(list->jobs[i]))
            lithops_value_free(list->jobs[i]);
        else
            list->jobs[kept++] = list->jobs[i];
    }
    size_t clients = list->count = kept;
    if (parts.count)
        qsort(parts.jobs, parts.count, sizeof *parts.jobs, by_key);
    for (size_t i = 0; rc == 0 && i < parts.count; i++) {
        if (list->count > clients && by_key(&list->jobs[list->count - 1], &parts.jobs[i]) == 0)
            add_up(list->jobs[list->count - 1], parts.jobs[i]);
        else
            rc = append(list, lithops_value_copy(parts.jobs[i]));
    }
    cli_joblist_deinit(&parts);
    return rc;
}

int cli_joblist_make(const struct lithops__config *config, struct cli_joblist *ret_list,
                     lithops_error *err)
{
    struct making making = {ret_list, err, 0};
    *ret_list = (struct cli_joblist){.count = 0};
    int rc = lithops__inspect_jobs(add_job, &making, err);
    if (rc == 0 && config)
        rc = lithops__ask_backend(config, NULL, "job list --here --json", add_host, &making, err);
    if (rc == 0)
        rc = making.rc;
    if (rc == 0)
        rc = keep_once(ret_list);
    if (rc != 0 && err->code == 0)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return rc;
}

void cli_joblist_deinit(struct cli_joblist *list)
{
    for (size_t i = 0; i < list->count; i++)
        lithops_value_free(list->jobs[i]);
    free(list->jobs);
    *list = (struct cli_joblist){.count = 0};
}
