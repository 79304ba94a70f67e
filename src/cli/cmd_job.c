/* SPDX-License-Identifier: Apache-2.0 */
/* lithops job list|stop: the jobs of this user's programs on this machine and on the hosts that the
 * configuration names. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/joblist.h"
#include "cli/options.h"
#include "cli/output.h"
#include "core/inspect.h"
#include "core/probe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- list ------------------------------------------------------------------------------------ */

static const char *state_of(int64_t pending, int64_t running)
{
    return running ? "running" : pending ? "pending" : "done";
}

static int print_job(struct cli_output *out, lithops_value *job, lithops_error *err)
{
    const char *key, *client, *function;
    int64_t pending, running, success, failed, canceled;
    double age_s;
    int rc = lithops_unpack(job, err, "{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:f}", "job", &key,
                            "client", &client, "function", &function, "pending", &pending,
                            "running", &running, "success", &success, "failed", &failed, "canceled",
                            &canceled, "age_s", &age_s);
    const char *state = state_of(pending, running);
    if (rc == 0 && out->json) {
        rc = lithops_value_set(job, "state", lithops_value_string(state));
        return rc ? rc : cli_output_line(out, job, err);
    }
    if (rc == 0)
        lithops__buffer_printf(
            &out->buffer,
            "%-24s %-20s %-8s %9" PRId64 " %9" PRId64 " %9" PRId64 " %9" PRId64 " %7.1fs  %s\n",
            key, client, state, pending, running, success, failed + canceled, age_s, function);
    return rc;
}

static int print_jobs(struct cli_output *out, const struct cli_joblist *list, lithops_error *err)
{
    int rc = 0;
    if (list->count > 0 && !out->json)
        lithops__buffer_printf(&out->buffer, "%-24s %-20s %-8s %9s %9s %9s %9s %8s  %s\n", "JOB",
                               "CLIENT", "STATE", "PENDING", "RUNNING", "SUCCESS", "FAILED", "AGE",
                               "FUNCTION");
    for (size_t i = 0; rc == 0 && i < list->count; i++)
        rc = print_job(out, list->jobs[i], err);
    return rc ? rc : cli_output_flush(out, err);
}

int cmd_job_list(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (cli->options.detach)
        return cli_list_detached(cli);
    struct lithops__config *config = NULL;
    struct cli_joblist list = {.count = 0};
    struct cli_output out;
    int rc = cli_output_init(&out, cli->options.json, false, NULL, &err);
    if (rc == 0)
        rc = cli_load_hosts(&cli->options, &config, &err);
    if (rc == 0)
        rc = cli_joblist_make(config, &list, &err);
    if (rc == 0)
        rc = print_jobs(&out, &list, &err);
    int unreachable = list.unreachable;
    cli_joblist_deinit(&list);
    cli_output_deinit(&out);
    lithops__config_free(config);
    return rc ? cli_report(&err) : unreachable;
}

/* ---- stop ------------------------------------------------------------------------------------ */

static const char of_a_part[] = "their client, which is elsewhere, stops the rest";

/* What hosts say of a job. */
struct stopping {
    int64_t calls, in_parts; /* by the host of the client, which counts all; by others */
    bool found;
    int status;
};

static void stopped_there(void *user, const char *host, bool is_there, const char *text)
{
    struct stopping *stopping = user;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (is_there) {
        stopping->found = true;
        *(strstr(text, of_a_part) ? &stopping->in_parts : &stopping->calls) +=
            strtoll(text, NULL, 10);
    } else if (!strstr(text, "there is no job or executor")) {
        lithops__fail(&err, LITHOPS_EBACKEND, "%s%s%s", strncmp(text, "host ", 5) ? host : "",
                      strncmp(text, "host ", 5) ? ": " : "", text);
        stopping->status = cli_report(&err);
    }
}

static bool is_key(const char *key)
{
    return key[0] && key[0] != '-' &&
           key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] ==
               '\0';
}

/* Stop a job or an executor, here or where its client is.
 * @return the number of calls; *ret_is_part as lithops__inspect_stop() */
static int64_t stop_key(const struct lithops__config *config, const char *key, bool *ret_is_part,
                        int *ret_status, lithops_error *err)
{
    struct stopping stopping = {.calls = 0};
    char arguments[96];
    *ret_is_part = true;
    int64_t here = lithops__inspect_stop(key, ret_is_part, err);
    if (!config || !*ret_is_part || (here < 0 && here != LITHOPS_ENOTFOUND) || !is_key(key) ||
        (size_t)snprintf(arguments, sizeof arguments, "job stop --here %s", key) >=
            sizeof arguments)
        return here;
    lithops_error asking = LITHOPS_ERROR_INIT;
    int rc = lithops__ask_backend(config, NULL, arguments, stopped_there, &stopping, &asking);
    if (rc != 0)
        *err = asking;
    if (stopping.status)
        *ret_status = stopping.status;
    if (rc != 0 || (here < 0 && !stopping.found))
        return rc ? rc : here;
    *err = (lithops_error)LITHOPS_ERROR_INIT;
    *ret_is_part = stopping.calls == 0;
    return stopping.calls ? stopping.calls : stopping.in_parts + (here > 0 ? here : 0);
}

static int64_t stop_all(const struct lithops__config *config, bool *ret_is_part, int *ret_status,
                        lithops_error *err)
{
    struct cli_joblist list;
    char executor[64] = "", last[64] = "";
    bool is_part, all_parts = true;
    int64_t calls = cli_joblist_make(config, &list, err);
    if (list.unreachable)
        *ret_status = list.unreachable;
    for (size_t i = 0; calls >= 0 && i < list.count; i++) { /* jobs of an executor are in a row */
        const char *key = lithops_value_get_string(lithops_value_get(list.jobs[i], "job"));
        const char *dash = strrchr(key, '-');
        snprintf(executor, sizeof executor, "%.*s", dash ? (int)(dash - key) : 0, key);
        if (strcmp(executor, last) == 0)
            continue;
        memcpy(last, executor, sizeof last);
        lithops_error gone = LITHOPS_ERROR_INIT; /* one that has ended meanwhile is no error */
        int64_t stopped = stop_key(config, executor, &is_part, ret_status, &gone);
        calls += stopped > 0 ? stopped : 0;
        all_parts &= is_part;
    }
    *ret_is_part = all_parts;
    cli_joblist_deinit(&list);
    return calls;
}

int cmd_job_stop(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct cli_list *keys = &cli->arguments;
    struct lithops__config *config = NULL;
    bool is_part = false, all_parts = true;
    int status = 0;
    int64_t calls = cli_load_hosts(&cli->options, &config, &err);
    if (calls == 0 && (keys->count > 0) == cli->options.all)
        calls = lithops__fail(
            &err, LITHOPS_EUSAGE,
            "job stop: name jobs or executors ('lithops job list' shows them), or give --all");
    else if (calls == 0 && cli->options.all)
        calls = stop_all(config, &all_parts, &status, &err);
    for (size_t i = 0; calls >= 0 && i < keys->count; i++) {
        int64_t stopped = stop_key(config, keys->items[i], &is_part, &status, &err);
        calls = stopped < 0 ? stopped : calls + stopped;
        all_parts &= is_part;
    }
    lithops__config_free(config);
    if (calls < 0)
        return cli_report(&err);
    bool says_more = all_parts && calls > 0;
    printf("%lld calls stopped%s%s\n", (long long)calls, says_more ? "; " : "",
           says_more ? of_a_part : "");
    return status;
}
