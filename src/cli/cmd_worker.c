/* SPDX-License-Identifier: Apache-2.0 */
/* lithops worker: the remote side of a compute backend that uses links. */
#include "agent/agent.h"
#include "agent/batch.h"
#include "agent/fn.h"
#include "agent/http_server.h"
#include "agent/lambda.h"
#include "agent/through.h"
#include "base/error.h"
#include "carrier/carrier.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "config/config.h"
#include "tcp/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Functions read nothing, and what they print goes where errors go. */
static int leave_standard_streams(lithops_error *err)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return lithops__fail_errno(err, errno, "cannot replace standard input and output");
    close(null);
    return 0;
}

/* The link is standard input and output. Move it to other descriptors, so that no output gets into
 * it. */
static int take_link(int *ret_read, int *ret_write, lithops_error *err)
{
    *ret_read = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
    *ret_write = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
    if (*ret_read < 0 || *ret_write < 0)
        return lithops__fail_errno(err, errno, "cannot use standard input and output as a link");
    return leave_standard_streams(err);
}

static int stop_fd = -1;

static void stop(int number)
{
    int old = errno;
    (void)number;
    (void)eventfd_write(stop_fd, 1);
    errno = old;
}

static int heed(int number, lithops_error *err)
{
    const struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESTART};
    return sigaction(number, &action, NULL) == 0
               ? 0
               : lithops__fail_errno(err, errno, "cannot watch for a stop");
}

/* lithops worker stop sends SIGINT, which no terminal does: this is a session of its own. */
static int heed_stop(lithops_error *err)
{
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return stop_fd < 0 ? lithops__fail_errno(err, errno, "cannot watch for a stop")
                       : heed(SIGINT, err);
}

/* The link goes through the configured storage. The configuration may have been made for this
 * worker, so programs that functions start do not get it. */
static int serve_through(const char *key, lithops_error *err)
{
    struct lithops__config *config = NULL;
    struct lithops__carried *carried;
    char told[LITHOPS__CARRIER_KEY];
    int fd, rc = 0;
    if (strcmp(key, "-") == 0) {
        rc = lithops__through_await(told, err);
        key = told;
    }
    if (rc == 0)
        rc = leave_standard_streams(err);
    if (rc == 0)
        rc = lithops__config_load(NULL, &config, err);
    unsetenv("LITHOPS_CONFIG");
    unsetenv("LITHOPS_CONFIG_FILE");
    if (rc == 0)
        rc = heed(SIGTERM, err); /* by which a platform ends it: it deletes its objects first */
    if (rc == 0)
        rc = lithops__carrier_join(config, key, &carried, &fd, err);
    if (rc == 0) {
        rc = lithops__agent_serve(&lithops__compute_localhost, fd, fd, stop_fd,
                                  lithops__carrier_storage(carried), err);
        int lost = lithops__carrier_leave(carried, rc == LITHOPS_ETIMEDOUT, err);
        rc = rc ? rc : lost;
    }
    lithops__config_free(config);
    return rc;
}

/* A part of a job: what all of them are told says which link is this one's. */
static int serve_batch(lithops_error *err)
{
    char key[LITHOPS__CARRIER_KEY];
    int rc = lithops__batch_take(key, sizeof key, err);
    return rc ? rc : serve_through(key, err);
}

/* The link is a connection to the client. Its secret goes at once, so that programs that functions
 * start do not get it. */
static int serve_at(const char *where, lithops_error *err)
{
    struct lithops__pump *pump;
    int fd;
    const char *given = getenv(LITHOPS__TCP_VARIABLE);
    char secret[LITHOPS__TCP_SECRET] = "";
    if (given)
        snprintf(secret, sizeof secret, "%s", given);
    unsetenv(LITHOPS__TCP_VARIABLE);
    int rc = leave_standard_streams(err);
    if (rc == 0 && !given)
        rc = lithops__fail(err, LITHOPS_EUSAGE,
                           "lithops worker --connect needs the secret that the client gave, in the "
                           "environment variable " LITHOPS__TCP_VARIABLE);
    if (rc == 0)
        rc = lithops__tcplink_join(where, secret, &pump, &fd, err);
    explicit_bzero(secret, sizeof secret);
    if (rc != 0)
        return rc;
    rc = lithops__agent_serve(&lithops__compute_localhost, fd, fd, stop_fd, NULL, err);
    lithops__tcplink_leave(pump);
    return rc;
}

/* This program, which children run. `buf` is zeroed. */
static int find_command(char *buf, size_t size, lithops_error *err)
{
    return readlink("/proc/self/exe", buf, size - 1) < 0
               ? lithops__fail_errno(err, errno, "cannot find this program")
               : 0;
}

/* ---- by HTTP --------------------------------------------------------------------------------- */

enum { SECRET_MAX = 4096, USUAL_PORT = 8080, USUAL_DRAIN_MS = 8000 };

static int read_secret_file(const char *path, char secret[SECRET_MAX], lithops_error *err)
{
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(secret, 1, SECRET_MAX - 1, file) : 0;
    int failed = !file ? errno : ferror(file) ? EIO : 0;
    if (file)
        fclose(file);
    if (failed)
        return lithops__fail_errno(err, failed, "cannot read the secret in '%s'", path);
    secret[len] = '\0';
    secret[strcspn(secret, "\r\n")] = '\0';
    return 0;
}

/* What the environment says is wiped there: others of this user could read it, as functions do. */
static int read_secret(const struct cli *cli, char secret[SECRET_MAX], lithops_error *err)
{
    char *given = getenv(LITHOPS__TCP_VARIABLE);
    if (given)
        snprintf(secret, SECRET_MAX, "%s", given);
    if (given)
        explicit_bzero(given, strlen(given));
    unsetenv(LITHOPS__TCP_VARIABLE);
    (void)prctl(PR_SET_DUMPABLE, 0); /* nor what is in memory */
    if (cli->options.secret_file)
        return read_secret_file(cli->options.secret_file, secret, err);
    return given || cli->options.openwhisk
               ? 0 /* OpenWhisk gives it when it starts the action */
               : lithops__fail(err, LITHOPS_EUSAGE,
                               "lithops worker --http needs the secret that its clients have: "
                               "give --secret-file, or " LITHOPS__TCP_VARIABLE
                               " in the environment");
}

/* The host of Azure's functions tells it to its custom handler. */
static const char *handler_port(void)
{
    const char *given = getenv("FUNCTIONS_CUSTOMHANDLER_PORT");
    return given && *given ? given : NULL;
}

static int find_port(const struct cli *cli, uint32_t *ret_port, lithops_error *err)
{
    const char *handler = handler_port(), *given = handler ? handler : getenv("PORT");
    *ret_port = USUAL_PORT;
    if (cli->options.port != LITHOPS_DEFAULT) {
        *ret_port = (uint32_t)cli->options.port;
        return 0;
    }
    if (!given || !*given)
        return 0;
    char *end;
    unsigned long port = strtoul(given, &end, 10);
    if (given[0] < '0' || given[0] > '9' || *end || port > 65535)
        return lithops__fail(err, LITHOPS_EUSAGE, "%s in the environment is '%s', not a port",
                             handler ? "FUNCTIONS_CUSTOMHANDLER_PORT" : "PORT", given);
    *ret_port = (uint32_t)port;
    return 0;
}

static int serve_http(const struct cli *cli, lithops_error *err)
{
    const struct cli_options *own = &cli->options;
    char secret[SECRET_MAX] = "", command[PATH_MAX] = "";
    struct lithops__http_server *server;
    struct lithops__http_server_options options = {
        .command = command,
        .secret = secret,
        .is_whisk = own->openwhisk,
        .any_path = handler_port() != NULL,
        .limit = own->concurrency == LITHOPS_DEFAULT ? 1 : (uint32_t)own->concurrency,
        .drain_ms = own->drain_ms == LITHOPS_DEFAULT ? USUAL_DRAIN_MS : (uint64_t)own->drain_ms};
    int rc = read_secret(cli, secret, err);
    if (rc == 0 && own->fn)
        rc = lithops__fn_path(&options.fn_path, err);
    else if (rc == 0)
        rc = find_port(cli, &options.port, err);
    if (rc == 0)
        rc = find_command(command, sizeof command, err);
    if (rc == 0)
        rc = heed(SIGTERM, err);
    if (rc == 0)
        rc = lithops__http_server_open(&options, &server, err);
    if (rc == 0) {
        if (options.fn_path)
            printf("listening on %s\n", options.fn_path);
        else
            printf("listening on port %u\n", lithops__http_server_port(server));
        fflush(stdout);
        rc = lithops__http_server_run(server, stop_fd, err);
        lithops__http_server_close(server);
    }
    explicit_bzero(secret, sizeof secret);
    (void)prctl(PR_SET_DUMPABLE, 1);
    return rc;
}

/* ---- for AWS Lambda -------------------------------------------------------------------------- */

/* This program is the runtime of a function. Workers are processes of their own. */
static int serve_lambda(lithops_error *err)
{
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    char command[PATH_MAX] = "";
    int rc = leave_standard_streams(err);
    if (rc == 0 && (!api || !*api))
        rc = lithops__fail(err, LITHOPS_EUSAGE,
                           "lithops worker --lambda is for functions of AWS Lambda, which have "
                           "AWS_LAMBDA_RUNTIME_API in their environment");
    if (rc == 0)
        rc = heed(SIGTERM, err);
    if (rc == 0)
        rc = find_command(command, sizeof command, err);
    return rc ? rc : lithops__lambda_serve(api, command, stop_fd, err);
}

int cmd_worker(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const char *key = cli->options.through, *where = cli->options.connect;
    int read_fd, write_fd;
    const bool is_server = cli->options.http || cli->options.openwhisk || cli->options.fn ||
                           cli->options.lambda || cli->options.batch;
    if (!key && !where && !is_server && isatty(STDIN_FILENO)) {
        lithops__fail(&err, LITHOPS_EUSAGE,
                      "lithops worker is not for interactive use: a compute backend starts it, and "
                      "talks to it over standard input and output");
        return lithops_error_print(&err, stderr);
    }
    signal(SIGPIPE, SIG_IGN);
    int rc = heed_stop(&err);
    if (rc == 0 && cli->options.lambda)
        rc = serve_lambda(&err);
    else if (rc == 0 && cli->options.batch)
        rc = serve_batch(&err);
    else if (rc == 0 && is_server)
        rc = serve_http(cli, &err);
    else if (rc == 0 && key)
        rc = serve_through(key, &err);
    else if (rc == 0 && where)
        rc = serve_at(where, &err);
    else if (rc == 0 && (rc = take_link(&read_fd, &write_fd, &err)) == 0)
        rc = lithops__agent_serve(&lithops__compute_localhost, read_fd, write_fd, stop_fd, NULL,
                                  &err);
    if (rc == LITHOPS_ECANCELED) /* the client was told */
        return 0;
    return rc ? lithops_error_print(&err, stderr) : 0;
}
