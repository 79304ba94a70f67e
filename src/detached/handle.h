/* SPDX-License-Identifier: Apache-2.0 */
/* Handles of detached jobs, as maps: what a process must know to attach.
 *
 *     {"type": "lithops.job", "version": 1, "compatible": 1, "host": "ada", "boot": "1f0e...",
 *      "user": 1000, "folder": "/home/ada/.local/state/lithops/jobs/a1b2c3-0",
 *      "jobs": [{"job": "M000", "token": "91ab...", "calls": 100, "begin": 0, "end": 100}]}
 *
 * `compatible` is the oldest version whose readers understand it. Members that are not known are
 * passed over. Whatever it says is checked against the files that it names; a handle that is made
 * up opens nothing that the user cannot open anyway. */
#ifndef LITHOPS_DETACHED_HANDLE_H
#define LITHOPS_DETACHED_HANDLE_H

#include <lithops/error.h>
#include <lithops/value.h>

#include <limits.h>

enum { LITHOPS__HANDLE_VERSION = 1 };

struct lithops__handle_job {
    char name[16]; /* "M000", a file's name */
    uint64_t token, calls, begin, end;
};
struct lithops__handle {
    char folder[PATH_MAX - 40];
    size_t count;
    struct lithops__handle_job jobs[];
};

/* Append a job to a list, of which then a handle is made, that consumes it. -1, NULL: out of
 * memory */
int lithops__handle_add(lithops_value *jobs, const struct lithops__handle_job *job);
lithops_value *lithops__handle_new(const char *folder, lithops_value *jobs);
/* For free(). EPARSE; EDENIED: another user's; ENOTFOUND: another machine's. */
int lithops__handle_read(const lithops_value *handle, struct lithops__handle **ret,
                         lithops_error *err);

struct lithops__home;
struct lithops__journal;
/* The folder that it names. ENOTFOUND */
int lithops__handle_open_home(const struct lithops__handle *handle, struct lithops__home *ret,
                              lithops_error *err);
/* One of its jobs, which must be the very one. ENOTFOUND */
int lithops__handle_open_job(const struct lithops__home *home,
                             const struct lithops__handle_job *job, struct lithops__journal *ret,
                             lithops_error *err);

#endif
