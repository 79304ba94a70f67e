/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C and similar signals, for commands that run calls. */
#ifndef LITHOPS_CLI_SIGNALS_H
#define LITHOPS_CLI_SIGNALS_H

/* From now on SIGINT, SIGTERM and SIGHUP write to `wake_fd` (an eventfd) and are recorded; a second
 * one ends the program at once. A write to a closed pipe gives EPIPE. */
void cli_signals_catch(int wake_fd);
/* The first signal caught, or 0. */
int cli_signals_caught(void);

#endif
