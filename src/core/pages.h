/* SPDX-License-Identifier: Apache-2.0 */
/* Pages: single calls (call_async) of one function share a range that grows, so that starting one
 * is writing a slot and counting up. A page is closed when it is full, or when so many other jobs
 * were started since that keeping it open would hold up the ring. All under the table's lock: [L].
 */
#ifndef LITHOPS_CORE_PAGES_H
#define LITHOPS_CORE_PAGES_H

#include <lithops/function.h>

#include <stdbool.h>

struct lithops_executor;
struct lithops__page_ref;

/* The page of a function: one that is open, or the place for one. */
struct lithops__page_ref *lithops__page_find(struct lithops_executor *fexec,
                                             const lithops_function *function);
/* It is open, and takes one more call. */
bool lithops__page_has_room(struct lithops_executor *fexec, const struct lithops__page_ref *page);
void lithops__page_close(struct lithops__page_ref *page);
/* Close those that are far behind the other jobs. */
void lithops__pages_retire(struct lithops_executor *fexec);

#endif
