/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a program, and what a child does before it is one. */
#ifndef LITHOPS_BASE_SPAWN_H
#define LITHOPS_BASE_SPAWN_H

#include <spawn.h>

/* posix_spawnp(), again for a while if the program's file is busy: a process that wrote it a moment
 * ago may have forked, and its child holds the file open until it runs a program of its own. 0 or
 * an errno. */
int lithops__spawn(pid_t *ret_pid, const char *program, const posix_spawn_file_actions_t *actions,
                   const posix_spawnattr_t *attributes, char *const *argv, char *const *env);

/* Close all descriptors from `first` on: in a child that has not run a program of its own, or in a
 * program that has opened nothing yet and has what others left open. */
void lithops__close_fds_from(int first);

#endif
