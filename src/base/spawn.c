/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spawn.h"

#include "base/clock.h"

#include <errno.h>
#include <time.h>

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
