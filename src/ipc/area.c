/* SPDX-License-Identifier: Apache-2.0 */
/* The memory file: made by the client with memfd_create, so that it has no name that could be
 * left behind, and vanishes with the last process that maps it.
 *
 * Its size is virtual. Memory is taken with fallocate before first use: that is where a limit is
 * an error rather than a crash, and it costs a third of taking the same pages by touching them (1.1
 * against 3.2 us a page where this was measured). */
#include "ipc/area.h"

#include "base/clock.h"
#include "base/error.h"
#include "ipc/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t align_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Offsets for a given size of heap and regions; what precedes the heap does not depend on it. */
static void lay_out(struct lithops__control *control, uint64_t heap_bytes, uint64_t region_bytes)
{
    uint64_t at = sizeof *control + control->max_workers * sizeof control->workers[0];
    control->functions = align_up(at, 4096);
    at = control->functions + LITHOPS__MAX_FUNCTIONS * sizeof(struct lithops__function_slot);
    control->spans = align_up(at, 4096);
    at = control->spans + LITHOPS__MAX_SPANS * sizeof(struct lithops__span);
    control->ranges = align_up(at, 4096);
    at = control->ranges + LITHOPS__MAX_RANGES * sizeof(struct lithops__range);
    control->heap = align_up(at, LITHOPS__PAGE);
    control->heap_bytes = align_up(heap_bytes, LITHOPS__PAGE);
    control->regions = control->heap + control->heap_bytes;
    control->region_bytes = align_up(region_bytes, LITHOPS__PAGE);
    control->total_bytes = control->regions + control->max_workers * control->region_bytes;
}

static void set_pointers(struct lithops__area *area)
{
    area->control = (struct lithops__control *)area->base;
    area->spans = lithops__at(area, area->control->spans);
    area->ranges = lithops__at(area, area->control->ranges);
    area->functions = lithops__at(area, area->control->functions);
}

/* How far the file may reach: RLIMIT_FSIZE counts for memory files too, and passing it is a
 * signal, not an error. */
static uint64_t file_size_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

/* Address space costs nothing, and what heap and regions have once used for blocks of one size they
 * do not use for others: so they may be larger than all memory, regions as long as there are few.
 */
static const uint64_t most_region = 1ull << 40;
enum { HEAP_FOLD = 8, REGION_FOLD = 4 };

/* Map as much as the address space gives. Where it is short: first no more than there is memory,
 * then half as much until it fits, but at least 64 MiB for heap and each region. */
static int map_what_fits(struct lithops__area *area, struct lithops__control *plan,
                         lithops_error *err)
{
    uint64_t size = plan->memory_limit, most = file_size_limit();
    bool wide = size < most_region;
    for (;;) {
        bool few = size / plan->max_workers < most_region / REGION_FOLD;
        lay_out(plan, wide ? size * HEAP_FOLD : size, few ? size * REGION_FOLD : size);
        if (plan->total_bytes <= most && ftruncate(area->fd, (off_t)plan->total_bytes) == 0) {
            area->base = mmap(NULL, plan->total_bytes, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_NORESERVE, area->fd, 0);
            if (area->base != MAP_FAILED)
                return 0;
        }
        if (wide) {
            wide = false;
            continue;
        }
        if (size < (64u << 20))
            return lithops__fail(err, LITHOPS_ENOSPACE,
                                 "no address space for shared memory: raise the limits that "
                                 "'ulimit -v' and 'ulimit -f' show, or lower worker_processes");
        size /= 2;
    }
}

int lithops__high_fd(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);
    if (fd >= 0) {
        int saved = high < 0 && errno == EINVAL ? EMFILE : errno; /* the limit is below 10 */
        close(fd);
        errno = saved;
    }
    return high;
}

int lithops__area_create(struct lithops__area *area, const char *executor_id, uint32_t max_workers,
                         uint64_t memory_limit, lithops_error *err)
{
    char name[64];
    snprintf(name, sizeof name, "lithops-%s", executor_id);
    *area = (struct lithops__area){.fd = -1};
    area->fd = lithops__high_fd(memfd_create(name, MFD_CLOEXEC));
    if (area->fd < 0 && errno == EMFILE)
        return lithops__fail(err, LITHOPS_ENOSPACE,
                             "no descriptor is left for shared memory: close some, or raise the "
                             "limit that 'ulimit -n' shows");
    if (area->fd < 0)
        return lithops__fail_errno(err, errno, "cannot make shared memory");

    struct lithops__control plan = {
        .magic = LITHOPS__IPC_MAGIC,
        .abi = LITHOPS__IPC_ABI,
        .max_workers = max_workers,
        .client_pid = getpid(),
        .memory_limit = memory_limit,
        .epoch_ticks = lithops__ticks(),
    };
    snprintf(plan.executor_id, sizeof plan.executor_id, "%s", executor_id);
    int rc = map_what_fits(area, &plan, err);
    if (rc != 0) {
        close(area->fd);
        return rc;
    }
    struct stat status;
    area->inode = fstat(area->fd, &status) == 0 ? status.st_ino : 0;
    area->total_bytes = plan.total_bytes;
    uint64_t first = align_up(sizeof plan + max_workers * sizeof plan.workers[0], 4096);
    if (fallocate(area->fd, 0, 0, (off_t)first) != 0) {
        rc = lithops__fail_errno(err, errno, "no memory for shared memory");
        lithops__area_detach(area);
        return rc;
    }
    plan.client_fd = area->fd;
    memcpy(area->base, &plan, sizeof plan);
    set_pointers(area);
    return 0;
}

static int attach(struct lithops__area *area, int fd, int protection, lithops_error *err)
{
    *area = (struct lithops__area){.fd = fd};
    struct stat status;
    struct lithops__control head;
    if (fstat(fd, &status) != 0 || pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        head.magic != LITHOPS__IPC_MAGIC || (uint64_t)status.st_size != head.total_bytes) {
        close(fd);
        return lithops__fail(err, LITHOPS_EPARSE, "this is not the shared memory of an executor");
    }
    if (head.abi != LITHOPS__IPC_ABI) {
        close(fd);
        return lithops__fail(err, LITHOPS_EPARSE,
                             "the executor was made by another version of Lithops");
    }
    area->inode = status.st_ino;
    area->total_bytes = head.total_bytes;
    area->base = mmap(NULL, head.total_bytes, protection, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (area->base == MAP_FAILED) {
        int saved = errno;
        close(fd);
        return lithops__fail_errno(err, saved, "cannot map shared memory");
    }
    set_pointers(area);
    return 0;
}

int lithops__area_attach(struct lithops__area *area, int fd, lithops_error *err)
{
    return attach(area, fd, PROT_READ | PROT_WRITE, err);
}

int lithops__area_peek(struct lithops__area *area, int fd, lithops_error *err)
{
    return attach(area, fd, PROT_READ, err);
}

int lithops__area_move_fd(struct lithops__area *area)
{
    int fd = fcntl(area->fd, F_DUPFD_CLOEXEC, 500);
    if (fd < 0)
        fd = fcntl(area->fd, F_DUPFD_CLOEXEC, 10); /* few descriptors are allowed */
    if (fd < 0)
        return errno;
    close(area->fd);
    area->fd = fd;
    return 0;
}

bool lithops__area_has_fd(const struct lithops__area *area)
{
    struct stat status;
    return fstat(area->fd, &status) == 0 && status.st_ino == area->inode;
}

/* A function has closed the descriptor: get the file from the client. Whatever has that number now
 * is the function's, and left alone. */
static int reopen(struct lithops__area *area)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)area->control->client_pid,
             area->control->client_fd);
    area->fd = open(path, O_RDWR | O_CLOEXEC);
    return lithops__area_has_fd(area) ? 0 : -1;
}

void lithops__area_detach(struct lithops__area *area)
{
    if (area->base)
        munmap(area->base, area->total_bytes);
    if (area->fd >= 0)
        close(area->fd);
    *area = (struct lithops__area){.fd = -1};
}

/* First for reading only: that cannot fail for want of memory, which would leave nothing mapped. */
void lithops__area_make_private(const struct lithops__area *area)
{
    const int flags = MAP_FIXED | MAP_NORESERVE, both = PROT_READ | PROT_WRITE;
    if (lithops__area_has_fd(area) &&
        mmap(area->base, area->total_bytes, PROT_READ, MAP_PRIVATE | flags, area->fd, 0) !=
            MAP_FAILED &&
        mprotect(area->base, area->total_bytes, both) != 0)
        (void)!mmap(area->base, area->total_bytes, both, MAP_SHARED | flags, area->fd, 0);
}

int lithops__area_commit(struct lithops__area *area, lithops__offset offset, uint64_t len)
{
    struct lithops__control *control = area->control;
    if (!lithops__area_has_fd(area) && reopen(area) != 0)
        return EBADF;
    if (atomic_fetch_add(&control->committed, len) + len > control->memory_limit) {
        atomic_fetch_sub(&control->committed, len);
        return ENOSPC;
    }
    int rc;
    do
        rc = fallocate(area->fd, 0, (off_t)offset, (off_t)len) == 0 ? 0 : errno;
    while (rc == EINTR);
    if (rc != 0)
        atomic_fetch_sub(&control->committed, len);
    return rc;
}

void lithops__area_decommit(struct lithops__area *area, lithops__offset offset, uint64_t len)
{
    if (fallocate(area->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                  (off_t)len) != 0)
        return;
    atomic_fetch_sub(&area->control->committed, len);
    lithops__bell_freed(area->control);
}
