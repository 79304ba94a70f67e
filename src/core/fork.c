/* SPDX-License-Identifier: Apache-2.0 */
/* Telling whether this process is the one that opened the executor.
 *
 * A page that the kernel wipes on fork is read instead of asking for the process id: that is a
 * system call, and longer than starting a call. */
#include "base/error.h"
#include "core/core.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint32_t *mark; /* 1 in the process that wrote it, 0 in its children */
static pid_t marked_pid;       /* where there is no such page */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_mark(void)
{
    marked_pid = getpid();
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    if (madvise(page, 4096, MADV_WIPEONFORK) != 0) {
        munmap(page, 4096);
        return;
    }
    mark = page;
    atomic_store(mark, 1);
}

void lithops__fork_mark(void)
{
    pthread_once(&once, make_mark);
    if (mark && atomic_load(mark) == 0) { /* a child opens an executor of its own */
        marked_pid = getpid();
        atomic_store(mark, 1);
    }
}

bool lithops__is_forked(const lithops_executor *fexec)
{
    if (mark && atomic_load_explicit(mark, memory_order_relaxed) == 1)
        return marked_pid != fexec->table.area.control->client_pid;
    return getpid() != fexec->table.area.control->client_pid;
}

int lithops__executor_check(const lithops_executor *fexec, lithops_error *err)
{
    if (!fexec)
        return lithops__fail(err, LITHOPS_EUSAGE, "the executor is NULL: was it opened?");
    if (lithops__is_forked(fexec))
        return lithops__fail(err, LITHOPS_EFORKED,
                             "this executor belongs to the process that opened it (%d): after "
                             "fork(), open another one",
                             (int)fexec->table.area.control->client_pid);
    if (fexec->closed)
        return lithops__fail(err, LITHOPS_ECLOSED, "the executor is closed");
    return 0;
}
