/* SPDX-License-Identifier: Apache-2.0 */
/* What jobs tell the telemetry. Nothing where there is none. */
#ifndef LITHOPS_CORE_COUNTED_H
#define LITHOPS_CORE_COUNTED_H

#include <stdint.h>

struct lithops__job;

/* It was started; or, of a page, its call `index`. */
void lithops__count_job(struct lithops__job *job);
void lithops__count_single(struct lithops__job *job, uint64_t index);
/* The client learns at `now`, in ticks, that calls [begin, end) are done; what is not is passed
 * over. Once for each call. */
void lithops__count_ends(struct lithops__job *job, uint64_t begin, uint64_t end, uint64_t now);
/* The same of a result that it has taken, which it has known of since `known`. */
void lithops__count_result(struct lithops__job *job, uint64_t index, uint64_t known, uint64_t now);

#endif
