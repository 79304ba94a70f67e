/* SPDX-License-Identifier: Apache-2.0 */
/* The `lithops` command: the engine's interface to the shell.
 *
 * The engine is linked statically. As with any program that uses the engine, worker processes are
 * this program, started again; they load the user's shared library. That library finds the public
 * functions in this program, so there is only one engine in the process. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <lithops/lithops.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* Open closed standard streams, or else the next file opened would get their descriptors, and
 * results would be written into it. They are opened for the opposite direction, so using one is an
 * error. */
static void hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            _exit(1);
    }
}

/* A full disk may show only when stdio writes the rest of its buffer; that must not look like
 * success. */
static int flush_standard_output(int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    lithops_error err = LITHOPS_ERROR_INIT;
    if (errno == 0) /* it was lost before; what comes now is lost for the same reason */
        (void)(putchar('\n') == EOF || fflush(stdout) == EOF);
    if (errno == EPIPE)
        return 128 + SIGPIPE;
    lithops__fail_errno(&err, errno ? errno : EIO, "standard output cannot be written");
    return status ? status : cli_report(&err);
}

/* Started as SSH_ASKPASS by the ssh of the backend vm: print the configured password. Other
 * questions, such as whether to trust a host's key, are not answered. */
static int answer_ssh(const char *question)
{
    const char *password = getenv("LITHOPS_SSH_PASSWORD");
    if (!password || !strcasestr(question, "password"))
        return 1;
    puts(password);
    return 0;
}

static int run(int argc, char **argv)
{
    if (argc == 2 && getenv("LITHOPS_SSH_PASSWORD"))
        return answer_ssh(argv[1]);
    if (argc > 2 && strcmp(argv[1], "--guard") == 0)
        return cli_guard(argv + 2);
    if (argc < 2 || is_help(argv[1])) {
        cli_print_overview(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("lithops %s\n", lithops_version());
        return 0;
    }
    if (argc == 3 && cli_is_group(argv[1]) && is_help(argv[2])) {
        cli_print_group(stdout, argv[1]);
        return 0;
    }
    struct cli cli;
    lithops_error err = LITHOPS_ERROR_INIT;
    int status;
    if (cli_parse(argc - 1, argv + 1, &cli, &err) != 0) {
        status = cli_report(&err);
        if (cli.command && cli.command->bit == CLI_COMMAND)
            status = 255; /* otherwise it is the number of failed calls */
    } else if (cli.options.help) {
        cli_print_help(stdout, cli.command);
        status = 0;
    } else {
        if (cli.options.debug)
            lithops_log_to(LITHOPS_LOG_DEBUG, NULL, NULL);
        else if (!getenv("LITHOPS_LOG_LEVEL"))
            lithops_log_to(LITHOPS_LOG_WARNING, NULL, NULL);
        status = cli.command->run(&cli);
    }
    cli_deinit(&cli);
    return status;
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    hold_standard_streams();
    signal(SIGXFSZ, SIG_IGN); /* make exceeding the file size limit an error, not a signal */
    return flush_standard_output(run(argc, argv));
}
