/* SPDX-License-Identifier: Apache-2.0 */
/* The `lithops` command: the shell face of the engine.
 *
 * It is the engine itself, linked in, and a program like any other that uses it: worker processes
 * are this file, started again, and load the user's shared library. Its public functions are
 * visible to that library, so that both use the one engine. */
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"

#include <fcntl.h>
#include <lithops/lithops.h>
#include <string.h>
#include <unistd.h>

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* A standard stream that is closed would be the next file that is opened, and results would go
 * into it. One that cannot be used that way round says so when it is used. */
static void hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            _exit(1);
    }
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    hold_standard_streams();
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
    } else if (cli.options.help) {
        cli_print_help(stdout, cli.command);
        status = 0;
    } else {
        if (cli.options.debug)
            lithops_log_to(LITHOPS_LOG_DEBUG, NULL, NULL);
        status = cli.command->run(&cli);
    }
    cli_deinit(&cli);
    return status;
}
