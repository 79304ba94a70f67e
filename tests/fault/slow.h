/* SPDX-License-Identifier: Apache-2.0 */
/* The test program as ssh's ProxyCommand: it passes bytes on late, and only so many of them in a
 * second. Stopped (SIGSTOP) it is a network that was cut and may come back; killed, one whose
 * connections end. */
#ifndef LITHOPS_TESTS_SLOW_H
#define LITHOPS_TESTS_SLOW_H

#include <stddef.h>
#include <sys/types.h>

/* The first line of main(): does not return in the proxy. */
void slow_main(int argc, char **argv);
/* A value for ssh_options: `delay_ms` in each direction, at most `bytes_per_s`. The proxy keeps its
 * process id in `file`. */
void slow_option(int delay_ms, long bytes_per_s, const char *file, char *buf, size_t size);
pid_t slow_pid(const char *file);

#endif
