/* SPDX-License-Identifier: Apache-2.0 */
/* Telling whether this process is the one that opened the executor, and keeping children of it out
 * of its memory.
 *
 * It reads a page that the kernel wipes on fork rather than the process id, a system call that
 * takes longer than starting a call.
 *
 * Results are given to the program in place, and it may change them. A child that does so must not
 * change the parent's: its mapping becomes private, copied page by page on write. (It still sees
 * what parent and workers write to the other pages.) */
#include "core/fork.h"

#include "base/error.h"
#include "core/executor.h"
#include "ipc/area.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint32_t *mark; /* 1 in the process that wrote it, 0 in its children */
static pid_t marked_pid;       /* where there is no such page */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static lithops_executor *watched; /* those of this process; under the lock */
static pthread_mutex_t watched_lock = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void)
{
    pthread_mutex_lock(&watched_lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&watched_lock);
}

static void after_fork_in_child(void)
{
    for (; watched; watched = watched->next)
        lithops__area_make_private(&watched->table.area);
    after_fork();
}

void lithops__fork_watch(lithops_executor *fexec)
{
    pthread_mutex_lock(&watched_lock);
    fexec->next = watched;
    watched = fexec;
    pthread_mutex_unlock(&watched_lock);
}

void lithops__fork_forget(const lithops_executor *fexec)
{
    pthread_mutex_lock(&watched_lock);
    for (lithops_executor **at = &watched; *at; at = &(*at)->next)
        if (*at == fexec) {
            *at = fexec->next;
            break;
        }
    pthread_mutex_unlock(&watched_lock);
}

static void make_mark(void)
{
    (void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
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
