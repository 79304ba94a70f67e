/* SPDX-License-Identifier: Apache-2.0 */
/* lithops supervisor: runs the detached jobs of an executor. Who starts it makes it nobody's child,
 * see detached/home.c. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "core/supervise.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* What the client had open is nothing to it: who waits for the end of a pipe would wait for this.
 */
static void close_others(void)
{
    int open[256];
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (folder && count < sizeof open / sizeof *open && (entry = readdir(folder)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (fd > 2 && fd != dirfd(folder))
            open[count++] = fd;
    }
    if (folder)
        closedir(folder);
    while (count > 0)
        close(open[--count]);
}

int cmd_supervisor(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (isatty(STDIN_FILENO)) {
        lithops__fail(&err, LITHOPS_EUSAGE,
                      "lithops supervisor is not for interactive use: the first detached job of an "
                      "executor starts it");
        return lithops_error_print(&err, stderr);
    }
    close_others();
    signal(SIGPIPE, SIG_IGN);
    return lithops__supervise(cli->arguments.items[0], &err) ? lithops_error_print(&err, stderr)
                                                             : 0;
}
