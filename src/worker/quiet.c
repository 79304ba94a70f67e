/* SPDX-License-Identifier: Apache-2.0 */
/* What calls have used and freed stays with the allocator, warm for the next ones, and much of it
 * for ever: a small block at the end of the heap is enough. So a process that had no call for a
 * moment gives it back, once; the first calls after that pay for the pages again. */
#include "worker/quiet.h"

#include "base/clock.h"
#include "worker/process.h"

#include <lithops/plugin/runtime.h>

#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

enum { QUIET_NS = 100000000, WORTH_TRIMMING = 4 << 20 };

static struct {
    void (*give_back)(void *user);
    void *user;
} runtime;

void lithops_worker_on_quiet(void (*give_back)(void *user), void *user)
{
    runtime.give_back = give_back;
    runtime.user = user;
}

uint64_t lithops__quiet_ns(const struct lithops__worker_process *process)
{
    return process->has_run ? lithops__now_ns() + QUIET_NS : UINT64_MAX;
}

#if defined(__GLIBC__)
static size_t unused_bytes(void)
{
#if __GLIBC_PREREQ(2, 33)
    return mallinfo2().fordblks;
#else
    return (unsigned)mallinfo().fordblks;
#endif
}

static void trim(void)
{
    if (unused_bytes() > WORTH_TRIMMING)
        malloc_trim(0);
}
#else
static void trim(void)
{
}
#endif

void lithops__quiet(struct lithops__worker_process *process)
{
    process->has_run = false;
    if (runtime.give_back)
        runtime.give_back(runtime.user);
    trim();
}
