/* SPDX-License-Identifier: Apache-2.0 */
/* The process backend: `lithops worker` on this machine, at the other end of a socket pair; or of a
 * connection over TCP; or of the storage, with nothing but that between it and the client.
 *
 * For tests: it exercises everything about links without a server. Each worker has its own session,
 * so that it is not in the client's process group, and ends with its socket, or is told to by a
 * signal. Its standard error goes to a memory file, for the message if it is lost. */
#include "base/error.h"
#include "compute/child.h"
#include "compute/linked.h"
#include "tcp/tcp.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { END_MS = 2000, CONNECT_MS = 60000 };

struct process {
    char command[PATH_MAX + 32];
    struct lithops__child *workers;
    uint32_t count;
    int64_t lifetime_ms; /* 0: no end */
    bool through_storage;
    struct lithops__tcplink *tcp; /* NULL: over socket pairs, or the storage */
};

/* ---- the driver of links --------------------------------------------------------------------- */

static int64_t milliseconds(const lithops_value *settings, const char *key)
{
    return (int64_t)(1000 * lithops_value_get_double(lithops_value_get(settings, key)));
}

static void process_close(void *state)
{
    struct process *process = state;
    lithops__tcplink_close(process->tcp);
    free(process->workers);
}

static int process_open(const lithops_link_driver *driver, void *state,
                        const lithops_value *settings, const char *program,
                        lithops_workers *ret_workers, lithops_error *err)
{
    (void)driver;
    (void)program;
    struct process *process = state;
    const char *command = lithops_value_get_string(lithops_value_get(settings, "command"));
    process->count = (uint32_t)lithops_value_get_int(lithops_value_get(settings, "workers"));
    if (process->count == 0)
        process->count = 1;
    process->workers = calloc(process->count, sizeof *process->workers);
    if (!process->workers)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < process->count; i++)
        process->workers[i].log_fd = -1;
    if (command)
        snprintf(process->command, sizeof process->command, "%s", command);
    else
        lithops__own_command(process->command, sizeof process->command);
    process->lifetime_ms = milliseconds(settings, "lifetime");
    ret_workers->idle_timeout_ms = (uint32_t)milliseconds(settings, "idle_timeout");
    ret_workers->kept_workers =
        (uint32_t)lithops_value_get_int(lithops_value_get(settings, "min_workers"));
    const char *transport = lithops_value_get_string(lithops_value_get(settings, "transport"));
    process->through_storage = transport && strcmp(transport, "storage") == 0;
    ret_workers->through_storage = process->through_storage;
    const lithops_value *processes = lithops_value_get(settings, "worker_processes");
    ret_workers->workers = process->count;
    ret_workers->lost_timeout_ms =
        (uint32_t)lithops_value_get_int(lithops_value_get(settings, "worker_lost_timeout")) * 1000;
    if (lithops_value_type(processes) == LITHOPS_INT)
        ret_workers->worker_processes = (uint32_t)lithops_value_get_int(processes);
    if (!transport || strcmp(transport, "tcp") != 0)
        return 0;
    int rc = lithops__tcplink_open(settings, "process", process->count, &process->tcp, err);
    if (rc != 0)
        process_close(process);
    return rc;
}

static void process_name(void *state, uint32_t worker, char *buf, size_t size)
{
    (void)state;
    snprintf(buf, size, "process-%u", worker);
}

static int start(struct process *process, uint32_t number, char *const *argv, char *const *env,
                 lithops_link *ret_link, lithops_error *err)
{
    int fd = -1;
    int rc = lithops__child_start(&process->workers[number], process->command, argv, env, &fd, err);
    if (rc > 0) {
        lithops__fail_errno(err, rc, "cannot start a worker (%s worker)", process->command);
        rc = err->code = LITHOPS_EBACKEND;
    }
    if (rc == 0)
        *ret_link = (lithops_link){
            .read_fd = fd, .write_fd = fd, .id = number, .time_left_ms = process->lifetime_ms};
    return rc;
}

/* The environment of this program, but with one variable of that value. The first one is for
 * free(), as is the list. */
static char **make_environment(const char *name, const char *value)
{
    size_t count = 0, kept = 0, len = strlen(name);
    while (environ[count])
        count++;
    char **env = calloc(count + 2, sizeof *env);
    if (!env || asprintf(&env[kept++], "%s=%s", name, value) < 0) {
        free(env);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], name, len) != 0 || environ[i][len] != '=')
            env[kept++] = environ[i];
    return env;
}

/* `lithops worker OPTION TEXT`, with that variable. Its standard input and output are of no use. */
static int start_with(struct process *process, uint32_t number, char *option, const char *text,
                      const char *name, const char *value, lithops_link *ret_link,
                      lithops_error *err)
{
    char first[] = "lithops", argument[] = "worker", words[LITHOPS__TCP_WHERE];
    char *argv[] = {first, argument, option, words, NULL};
    snprintf(words, sizeof words, "%s", text);
    char **env = make_environment(name, value);
    if (!env)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = start(process, number, argv, env, ret_link, err);
    if (rc == 0)
        close(ret_link->read_fd);
    free(env[0]);
    free(env);
    return rc;
}

/* @param ret_how  how it ended, and what it said last */
static void reap(struct lithops__child *worker, char *ret_how, size_t size)
{
    siginfo_t status;
    lithops__child_reap(worker, END_MS, &status);
    lithops__child_tell_end(worker, &status, ret_how, size);
}

/* It did not connect. */
static int give_up(struct process *process, uint32_t number, lithops_error *err)
{
    struct lithops__child *worker = &process->workers[number];
    char why[1024], text[512];
    lithops__watch_signal(&worker->watch, SIGKILL); /* if it has not ended */
    reap(worker, why, sizeof why);
    if (err->code == LITHOPS_ECANCELED)
        return err->code;
    snprintf(text, sizeof text, "%.500s", err->message);
    lithops__fail(err, LITHOPS_EBACKEND, "worker process-%u: %s: %s", number, text, why);
    err->retryable = true;
    return err->code;
}

static int connect_over_tcp(struct process *process, uint32_t number, int cancel_fd,
                            lithops_link *ret_link, lithops_error *err)
{
    char secret[LITHOPS__TCP_SECRET], option[] = "--connect";
    int rc = lithops__tcplink_expect(process->tcp, number, secret, err);
    if (rc != 0)
        return rc;
    rc = start_with(process, number, option, lithops__tcplink_where(process->tcp),
                    LITHOPS__TCP_VARIABLE, secret, ret_link, err);
    if (rc == 0) {
        rc = lithops__tcplink_await(process->tcp, number, cancel_fd,
                                    process->workers[number].watch.fd, CONNECT_MS,
                                    &ret_link->read_fd, err);
        ret_link->write_fd = ret_link->read_fd;
        if (rc != 0)
            (void)give_up(process, number, err);
    }
    if (rc == 0)
        return 0;
    lithops__tcplink_forget(process->tcp, number);
    return err->code;
}

/* Over a socket pair starting does not wait for the worker, so there is nothing to cancel. */
static int process_connect(void *state, uint32_t number, int cancel_fd, lithops_link *ret_link,
                           lithops_error *err)
{
    struct process *process = state;
    char name[] = "lithops", argument[] = "worker", *argv[] = {name, argument, NULL};
    return process->tcp ? connect_over_tcp(process, number, cancel_fd, ret_link, err)
                        : start(process, number, argv, environ, ret_link, err);
}

static int process_invoke(void *state, uint32_t number, const char *key, const char *config,
                          int cancel_fd, lithops_link *ret_link, lithops_error *err)
{
    char option[] = "--through";
    (void)cancel_fd;
    return start_with(state, number, option, key, "LITHOPS_CONFIG", config, ret_link, err);
}

static bool process_has_ended(void *state, const lithops_link *link)
{
    const struct process *process = state;
    return lithops__watch_has_ended(&process->workers[link->id].watch);
}

static void process_abandon(void *state, const lithops_link *link)
{
    const struct process *process = state;
    lithops__watch_signal(&process->workers[link->id].watch, SIGKILL);
}

static void process_disconnect(void *state, const lithops_link *link, char *ret_how, size_t size)
{
    struct process *process = state;
    struct lithops__child *worker = &process->workers[link->id];
    if (process->tcp)
        lithops__tcplink_forget(process->tcp, (uint32_t)link->id);
    if (process->through_storage) /* it would hear of it later */
        lithops__watch_signal(&worker->watch, SIGINT);
    reap(worker, ret_how, size);
}

static const lithops_link_ops link_ops = {
    .open = process_open,
    .close = process_close,
    .name = process_name,
    .connect = process_connect,
    .invoke = process_invoke,
    .has_ended = process_has_ended,
    .abandon = process_abandon,
    .disconnect = process_disconnect,
};

static const lithops_link_driver link_driver = {
    .abi = LITHOPS_COMPUTE_ABI,
    .name = "process",
    .state_size = sizeof(struct process),
    .ops = &link_ops,
};

/* ---- the compute backend --------------------------------------------------------------------- */

static const struct lithops__compute_ops process_ops = {
    LITHOPS__LINKED_SLOTS,
};

const struct lithops__compute_driver lithops__compute_process = {
    .name = "process",
    .mode = "localhost",
    .summary = "Workers of this machine, reached as if they were elsewhere; for tests.",
    .state_size = sizeof(struct lithops__linked),
    .ops = &process_ops,
    .links = &link_driver,
    .workers_key = "workers",
};
