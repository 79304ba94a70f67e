/* SPDX-License-Identifier: Apache-2.0 */
/* The open pages of an executor: one for each of the functions that were called last. */
#include "core/pages.h"

#include "core/executor.h"
#include "core/job.h"
#include "function/function.h"
#include "ipc/area.h"
#include "ipc/layout.h"
#include "ipc/table.h"

enum { PAGE_DISTANCE = 16 };

void lithops__page_close(struct lithops__page_ref *page)
{
    struct lithops__job *job = page->job;
    if (!job)
        return;
    lithops__table_close_open(&job->fexec->table, job->range);
    atomic_store(&job->is_closed, true);
    const struct lithops__range *range = lithops__job_range(job);
    uint64_t count = atomic_load(&range->count);
    if (count < range->capacity / 2) /* it was closed early, and so will the next one be */
        page->next_capacity =
            count > LITHOPS__FIRST_PAGE ? (uint32_t)count * 2 : LITHOPS__FIRST_PAGE;
    page->job = NULL;
    lithops__job_unref_locked(job);
}

/* An open page far behind the others would hold up the ring: nothing behind it is freed. */
void lithops__pages_retire(lithops_executor *fexec)
{
    uint64_t tail = atomic_load(&fexec->table.area.control->tail);
    for (unsigned i = 0; i < LITHOPS__OPEN_PAGES; i++) {
        struct lithops__page_ref *page = &fexec->pages[i];
        if (page->job &&
            tail - fexec->table.ranges[page->job->range].open_position >= PAGE_DISTANCE)
            lithops__page_close(page);
    }
}

/* A function of a library may have been freed, and another one allocated at its address. */
static bool is_page_of(const lithops_executor *fexec, const struct lithops__page_ref *page,
                       const lithops_function *function)
{
    return page->function == function &&
           ((!function->library && !function->code) || !page->job ||
            lithops__table_is_function(&fexec->table, page->function_index, function));
}

struct lithops__page_ref *lithops__page_find(lithops_executor *fexec,
                                             const lithops_function *function)
{
    for (unsigned i = 0; i < LITHOPS__OPEN_PAGES; i++)
        if (is_page_of(fexec, &fexec->pages[i], function))
            return &fexec->pages[i];
    struct lithops__page_ref *page = &fexec->pages[fexec->next_page++ % LITHOPS__OPEN_PAGES];
    lithops__page_close(page);
    *page = (struct lithops__page_ref){.function = function, .next_capacity = LITHOPS__FIRST_PAGE};
    return page;
}

bool lithops__page_has_room(lithops_executor *fexec, const struct lithops__page_ref *page)
{
    if (!page->job)
        return false;
    const struct lithops__range *range = lithops__job_range(page->job);
    uint64_t tail = atomic_load(&fexec->table.area.control->tail);
    return atomic_load(&range->count) < range->capacity &&
           tail - fexec->table.ranges[page->job->range].open_position < PAGE_DISTANCE;
}
