/* SPDX-License-Identifier: Apache-2.0 */
/* lithops job list|stop: the jobs of all programs of this user on this machine. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "core/inspect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- list ------------------------------------------------------------------------------------ */

struct listing {
    struct cli_output out;
    lithops_error *err;
    bool titled;
};

static const char *state_of(const struct lithops__inspected_job *job)
{
    return job->running ? "running" : job->pending ? "pending" : "done";
}

static int print_job(const struct lithops__inspected_job *job, void *user)
{
    struct listing *listing = user;
    struct cli_output *out = &listing->out;
    char key[64];
    snprintf(key, sizeof key, "%s-%s", job->executor_id, job->job_id);
    if (out->json) {
        lithops_value *line = lithops_pack(
            "{s:s,s:i,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "job", key, "pid", (int)job->pid,
            "function", job->function, "state", state_of(job), "calls", (int64_t)job->calls,
            "pending", (int64_t)job->pending, "running", (int64_t)job->running, "success",
            (int64_t)job->success, "failed", (int64_t)job->failed, "canceled",
            (int64_t)job->canceled, "age_s", job->age_s);
        int rc = cli_output_line(out, line, listing->err);
        lithops_value_free(line);
        return rc;
    }
    if (!listing->titled)
        lithops__buffer_printf(&out->buffer, "%-24s %8s %-8s %9s %9s %9s %9s %8s  %s\n", "JOB",
                               "PID", "STATE", "PENDING", "RUNNING", "SUCCESS", "FAILED", "AGE",
                               "FUNCTION");
    listing->titled = true;
    lithops__buffer_printf(&out->buffer,
                           "%-24s %8d %-8s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64
                           " %7.1fs  %s\n",
                           key, (int)job->pid, state_of(job), job->pending, job->running,
                           job->success, job->failed + job->canceled, job->age_s, job->function);
    return 0;
}

int cmd_job_list(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct listing listing = {.err = &err};
    int rc = cli_output_init(&listing.out, cli->options.json, false, NULL, &err);
    if (rc == 0)
        rc = lithops__inspect_jobs(print_job, &listing, &err);
    if (rc == 0)
        rc = cli_output_flush(&listing.out, &err);
    cli_output_deinit(&listing.out);
    return rc ? cli_report(&err) : 0;
}

/* ---- stop ------------------------------------------------------------------------------------ */

static int collect_executor(const struct lithops__inspected_job *job, void *user)
{
    struct cli_list *executors = user;
    if (executors->count > 0 &&
        strcmp(executors->items[executors->count - 1], job->executor_id) == 0)
        return 0; /* jobs come executor by executor */
    return cli_list_append_copy(executors, job->executor_id);
}

static int64_t stop_all(lithops_error *err)
{
    struct cli_list executors = {NULL, 0, 0};
    int64_t calls = lithops__inspect_jobs(collect_executor, &executors, err);
    for (size_t i = 0; i < executors.count; i++) {
        int64_t stopped = calls < 0 ? 0 : lithops__inspect_stop(executors.items[i], NULL);
        calls += stopped > 0 ? stopped : 0; /* one that has ended in the meantime is no error */
    }
    cli_list_free_copies(&executors);
    return calls;
}

int cmd_job_stop(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct cli_list *keys = &cli->arguments;
    int64_t calls = 0;
    if ((keys->count > 0) == cli->options.all)
        calls = lithops__fail(&err, LITHOPS_EUSAGE,
                              "job stop: name jobs or executors ('lithops job list' shows them), "
                              "or --all");
    else if (cli->options.all)
        calls = stop_all(&err);
    for (size_t i = 0; calls >= 0 && i < keys->count; i++) {
        int64_t stopped = lithops__inspect_stop(keys->items[i], &err);
        calls = stopped < 0 ? stopped : calls + stopped;
    }
    if (calls < 0)
        return cli_report(&err);
    printf("%lld calls stopped\n", (long long)calls);
    return 0;
}
