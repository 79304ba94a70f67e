/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for calls. */
#ifndef LITHOPS_CORE_WAIT_H
#define LITHOPS_CORE_WAIT_H

#include "core/futures.h"

struct lithops__job;

struct lithops__wait {
    lithops_futures *futures;
    uint64_t target; /* calls that must be done */
    bool throw_except;
    uint64_t deadline_ns;
    bool progress;
    bool (*interrupted)(void *user); /* as in lithops_wait_options */
    void *user;
};
int lithops__wait(const struct lithops__wait *wait, lithops_error *err);
/* 0, LITHOPS_ETIMEDOUT. */
int lithops__wait_for_call(struct lithops__job *job, uint64_t index, uint64_t deadline_ns);
uint64_t lithops__deadline_ns(int64_t timeout_ms);
/* The caller's options (NULL: none) over the defaults. */
int lithops__wait_options_read(lithops_wait_options *own, const lithops_wait_options *options,
                               lithops_error *err);
/* What lithops_wait() and lithops_get_result() share: check options, wait. `*ret_futures` is the
 * caller's, also on failure; NULL when nothing was waited for. */
int lithops__wait_checked(lithops_executor *fexec, lithops_futures *fs,
                          const lithops_wait_options *options, enum lithops__which which,
                          lithops_futures **ret_futures, lithops_error *err);

#endif
