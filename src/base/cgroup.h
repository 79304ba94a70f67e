/* SPDX-License-Identifier: Apache-2.0 */
/* What this process may use of the machine: its CPUs and its memory, as the scheduler and control
 * groups (version 1 or 2) allow. In a container that is often far less than the machine has.
 *
 * `root` is put before /proc and /sys; "" everywhere but in tests. Thread-safe. */
#ifndef LITHOPS_BASE_CGROUP_H
#define LITHOPS_BASE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The folder of this process's group, for a controller ("cpu", "memory"). A container that sees its
 * group as the root of the hierarchy gets that root. False when none was found. */
bool lithops__cgroup_folder(const char *root, const char *controller, char *buf, size_t size);

/* How many processes the kernel has killed for want of memory: the number in the line "oom_kill N"
 * of a file, and that of the group whose folder it is. False: it is not told. */
bool lithops__oom_kills_in(const char *path, uint64_t *ret_kills);
bool lithops__cgroup_oom_kills(const char *folder, uint64_t *ret_kills);

/* The smallest CPU quota of this process's groups, in whole CPUs, rounded up; UINT64_MAX: none. */
uint64_t lithops__cgroup_cpus(const char *root);

/* The smallest memory limit of this process's groups; UINT64_MAX or very large: none. */
uint64_t lithops__cgroup_memory_bytes(const char *root);

/* CPUs that this process may use at once: those of its affinity, or of its quota if that is less.
 * At least 1. The quota is read once. */
uint32_t lithops__cpus(void);

/* The memory of the machine, or the limit of this process's groups if that is less. */
uint64_t lithops__memory_bytes(void);

#endif
