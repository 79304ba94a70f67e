/* SPDX-License-Identifier: Apache-2.0 */
/* lithops worker list|start|stop: workers here, and on the hosts that the configuration names.
 *
 * A host is asked by running this command there, with --here and --json. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/options.h"
#include "cli/output.h"
#include "config/config.h"
#include "core/inspect.h"
#include "core/probe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- list ------------------------------------------------------------------------------------ */

struct listing {
    struct cli_output out;
    lithops_error *err;
    bool titled;
    int rc, unreachable;
};

static int print_line(struct listing *listing, const lithops_value *line)
{
    struct cli_output *out = &listing->out;
    if (out->json)
        return cli_output_line(out, line, listing->err);
    const char *worker, *client, *executor;
    int64_t processes, running;
    double age_s;
    int rc = lithops_unpack(line, listing->err, "{s:s,s:s,s:s,s:I,s:I,s:f}", "worker", &worker,
                            "client", &client, "executor", &executor, "processes", &processes,
                            "running", &running, "age_s", &age_s);
    if (rc != 0)
        return rc;
    if (!listing->titled)
        lithops__buffer_printf(&out->buffer, "%-24s %-20s %-12s %9s %9s %9s\n", "WORKER", "CLIENT",
                               "EXECUTOR", "PROCESSES", "RUNNING", "AGE");
    listing->titled = true;
    lithops__buffer_printf(&out->buffer, "%-24s %-20s %-12s %9" PRId64 " %9" PRId64 " %8.1fs\n",
                           worker, client, executor, processes, running, age_s);
    return 0;
}

static int print_worker(const struct lithops__inspected_worker *worker, void *user)
{
    char name[32];
    snprintf(name, sizeof name, "%d", (int)worker->pid);
    lithops_value *line =
        lithops_pack("{s:s,s:s,s:s,s:I,s:I,s:f}", "worker", name, "client", worker->client,
                     "executor", worker->executor_id, "processes", (int64_t)worker->processes,
                     "running", (int64_t)worker->running, "age_s", worker->age_s);
    int rc = line ? print_line(user, line) : LITHOPS_ENOMEM;
    lithops_value_free(line);
    return rc;
}

/* A line of a host's list: its worker gets the host's name in front. */
static int print_line_of(struct listing *listing, const char *host, const char *text, size_t len)
{
    lithops_value *line = lithops_value_from_json(text, len, listing->err);
    const char *pid = lithops_value_get_string(lithops_value_get(line, "worker"));
    char name[320];
    if (!pid) {
        lithops_value_free(line);
        return lithops__fail(listing->err, LITHOPS_EBACKEND,
                             "host %s: its Lithops does not list workers: install one version on "
                             "both",
                             host);
    }
    snprintf(name, sizeof name, "%.255s/%s", host, pid);
    int rc = lithops_value_set(line, "worker", lithops_value_string(name));
    if (rc == 0)
        rc = print_line(listing, line);
    lithops_value_free(line);
    return rc;
}

static void list_host(void *user, const char *host, bool is_there, const char *text)
{
    struct listing *listing = user;
    if (!is_there) {
        lithops_error err = LITHOPS_ERROR_INIT;
        lithops__fail(&err, LITHOPS_EBACKEND, "%s", text);
        listing->unreachable = cli_report(&err);
        return;
    }
    for (size_t len; *text && listing->rc == 0; text += len + (text[len] == '\n')) {
        len = strcspn(text, "\n");
        listing->rc = print_line_of(listing, host, text, len);
    }
}

int cmd_worker_list(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct listing listing = {.err = &err};
    struct lithops__config *config = NULL;
    int rc = cli_output_init(&listing.out, cli->options.json, false, NULL, &err);
    if (rc == 0)
        rc = cli_load_hosts(&cli->options, &config, &err);
    if (rc == 0)
        rc = lithops__inspect_workers(print_worker, &listing, &err);
    if (rc == 0 && config)
        rc = lithops__ask_backend(config, NULL, "worker list --here --json", list_host, &listing,
                                  &err);
    if (rc == 0)
        rc = listing.rc;
    if (rc == 0)
        rc = cli_output_flush(&listing.out, &err);
    cli_output_deinit(&listing.out);
    lithops__config_free(config);
    return rc ? cli_report(&err) : listing.unreachable;
}

/* ---- start ----------------------------------------------------------------------------------- */

int cmd_worker_start(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    int rc = cli_load_hosts(&cli->options, &config, &err);
    if (rc == 0)
        rc = lithops__probe_backend(config, true, cli_say_part, NULL, &err);
    lithops__config_free(config);
    return rc ? cli_report(&err) : 0;
}

/* ---- stop ------------------------------------------------------------------------------------ */

struct stopping {
    int64_t stopped;
    int status;
};

static int stop_one(const struct lithops__inspected_worker *worker, void *user)
{
    struct stopping *stopping = user;
    stopping->stopped += lithops__inspect_stop_worker(worker->pid, NULL) == 0;
    return 0;
}

static void stopped_there(void *user, const char *host, bool is_there, const char *text)
{
    struct stopping *stopping = user;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (is_there) {
        stopping->stopped += strtoll(text, NULL, 10);
        return;
    }
    if (strncmp(text, "host ", 5) == 0)
        lithops__fail(&err, LITHOPS_EBACKEND, "%s", text);
    else
        lithops__fail(&err, LITHOPS_ENOTFOUND, "host %s: %s", host, text);
    stopping->status = cli_report(&err);
}

/* "1234", or "host1/1234". */
static int stop_named(const struct lithops__config *config, const char *name,
                      struct stopping *stopping, lithops_error *err)
{
    const char *slash = strrchr(name, '/'), *digits = slash ? slash + 1 : name;
    char *end, host[256], arguments[64];
    long pid = strtol(digits, &end, 10);
    if (end == digits || *end || pid <= 0 || pid > INT32_MAX ||
        (slash && (size_t)(slash - name) >= sizeof host))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "'%s' is not the name of a worker, such as 1234 or host1/1234", name);
    if (!slash) {
        int rc = lithops__inspect_stop_worker((pid_t)pid, err);
        stopping->stopped += rc == 0;
        return rc;
    }
    snprintf(host, sizeof host, "%.*s", (int)(slash - name), name);
    snprintf(arguments, sizeof arguments, "worker stop --here %ld", pid);
    if (!config)
        return lithops__fail(err, LITHOPS_EUSAGE, "'%s' is not on this machine, which --here wants",
                             name);
    return lithops__ask_backend(config, host, arguments, stopped_there, stopping, err);
}

static int stop_all(const struct lithops__config *config, struct stopping *stopping,
                    lithops_error *err)
{
    int rc = lithops__inspect_workers(stop_one, stopping, err);
    if (rc == 0 && config)
        rc = lithops__ask_backend(config, NULL, "worker stop --here --all", stopped_there, stopping,
                                  err);
    return rc;
}

int cmd_worker_stop(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct cli_list *names = &cli->arguments;
    struct stopping stopping = {.stopped = 0};
    struct lithops__config *config = NULL;
    int rc = cli_load_hosts(&cli->options, &config, &err);
    if (rc == 0 && (names->count > 0) == cli->options.all)
        rc = lithops__fail(&err, LITHOPS_EUSAGE,
                           "worker stop: name workers ('lithops worker list' shows them), or give "
                           "--all");
    else if (rc == 0 && cli->options.all)
        rc = stop_all(config, &stopping, &err);
    for (size_t i = 0; rc == 0 && i < names->count; i++)
        rc = stop_named(config, names->items[i], &stopping, &err);
    lithops__config_free(config);
    if (rc != 0)
        return cli_report(&err);
    printf("%lld workers stopped\n", (long long)stopping.stopped);
    return stopping.status;
}
