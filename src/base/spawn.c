/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spawn.h"

#include "base/clock.h"

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { MOST_FDS = 65536 };

static const uint64_t busy_ns = 1000000000; /* a program that was just written */

int lithops__spawn(pid_t *ret_pid, const char *program, const posix_spawn_file_actions_t *actions,
                   const posix_spawnattr_t *attributes, char *const *argv, char *const *env)
{
    uint64_t until_ns = lithops__now_ns() + busy_ns;
    int rc;
    while ((rc = posix_spawnp(ret_pid, program, actions, attributes, argv, env)) == ETXTBSY &&
           lithops__now_ns() < until_ns)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    return rc;
}

/* closefrom() came with glibc 2.34. */
void lithops__close_fds_from(int first)
{
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
        return;
    long most = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd < most && fd < MOST_FDS; fd++) /* a kernel before 5.9 */
        close(fd);
}
