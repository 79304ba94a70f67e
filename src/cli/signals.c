/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C and similar signals.
 *
 * The library installs no handlers, so the command does. It uses handlers rather than signalfd or a
 * blocked mask, because exec resets handlers but passes blocked and ignored signals on to worker
 * processes. So SIGPIPE gets a handler too, one that does nothing. Signals that were ignored when
 * the command started (nohup, a shell's background job) stay ignored.
 *
 * On the first signal the command cancels its calls, closes the executor and exits with 128 +
 * signal. A second one kills it at once; worker processes always end with their client. */
#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static volatile sig_atomic_t wake_fd = -1;

static void on_signal(int number)
{
    int saved_errno = errno;
    if (caught)
        _exit(128 + number);
    caught = number;
    const uint64_t one = 1;
    ssize_t ignored = write(wake_fd, &one, sizeof one);
    (void)ignored;
    errno = saved_errno;
}

static void on_pipe(int number)
{
    (void)number;
}

void cli_signals_catch(int fd)
{
    static const int asked[] = {SIGINT, SIGTERM, SIGHUP};
    wake_fd = fd;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
        if (sigaction(asked[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(asked[i], &action, NULL);
    }
    struct sigaction quiet = {.sa_handler = on_pipe, .sa_flags = SA_RESTART};
    sigaction(SIGPIPE, &quiet, NULL);
}

int cli_signals_caught(void)
{
    return caught;
}
