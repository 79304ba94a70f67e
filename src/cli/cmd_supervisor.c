/* SPDX-License-Identifier: Apache-2.0 */
/* lithops supervisor: runs the detached jobs of an executor. Who starts it makes it nobody's child,
 * see detached/home.c. */
#include "base/error.h"
#include "base/spawn.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "core/supervise.h"

#include <signal.h>
#include <unistd.h>

int cmd_supervisor(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (isatty(STDIN_FILENO)) {
        lithops__fail(&err, LITHOPS_EUSAGE,
                      "lithops supervisor is not for interactive use: the first detached job of an "
                      "executor starts it");
        return lithops_error_print(&err, stderr);
    }
    /* What the client had open is nothing to it: who waits for the end of a pipe would wait for
     * this. */
    lithops__close_fds_from(3);
    signal(SIGPIPE, SIG_IGN);
    return lithops__supervise(cli->arguments.items[0], &err) ? lithops_error_print(&err, stderr)
                                                             : 0;
}
