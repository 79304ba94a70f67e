/* SPDX-License-Identifier: Apache-2.0 */
#include "detached/handle.h"

#include "base/error.h"
#include "detached/home.h"
#include "detached/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_JOBS = 1 << 20 };
static const char type[] = "lithops.job";

static void name_host(char *buf, size_t size)
{
    if (gethostname(buf, size) != 0)
        buf[0] = '\0';
    buf[size - 1] = '\0';
}

lithops_value *lithops__handle_new(const char *folder, lithops_value *jobs)
{
    char host[256], boot[24];
    name_host(host, sizeof host);
    snprintf(boot, sizeof boot, "%016" PRIx64, lithops__boot());
    lithops_value *handle =
        lithops_pack("{s:s,s:i,s:i,s:s,s:s,s:i,s:s}", "type", type, "version",
                     (int)LITHOPS__HANDLE_VERSION, "compatible", (int)LITHOPS__HANDLE_VERSION,
                     "host", host, "boot", boot, "user", (int)geteuid(), "folder", folder);
    if (lithops_value_set(handle, "jobs", jobs) == 0)
        return handle;
    lithops_value_free(handle);
    return NULL;
}

int lithops__handle_add(lithops_value *jobs, const struct lithops__handle_job *job)
{
    char token[24];
    snprintf(token, sizeof token, "%016" PRIx64, job->token);
    return lithops_value_append(jobs,
                                lithops_pack("{s:s,s:s,s:I,s:I,s:I}", "job", job->name, "token",
                                             token, "calls", (int64_t)job->calls, "begin",
                                             (int64_t)job->begin, "end", (int64_t)job->end));
}

static int fail_handle(lithops_error *err, const char *what)
{
    return lithops__fail(err, LITHOPS_EPARSE, "this is no handle of a job: %s", what);
}

static bool read_number(const lithops_value *map, const char *key, uint64_t *ret)
{
    const lithops_value *value = lithops_value_get(map, key);
    int64_t number = lithops_value_get_int(value);
    *ret = (uint64_t)number;
    return lithops_value_type(value) == LITHOPS_INT && number >= 0 && number <= UINT32_MAX;
}

static const char *text_of(const lithops_value *map, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, key));
    return text ? text : "";
}

static bool read_token(const char *text, uint64_t *ret)
{
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return false;
    *ret = strtoull(text, NULL, 16);
    return true;
}

static bool read_job(const lithops_value *map, struct lithops__handle_job *job)
{
    const char *name = text_of(map, "job");
    if (strlen(name) >= sizeof job->name || !lithops__home_is_job(name) ||
        !read_token(text_of(map, "token"), &job->token) ||
        !read_number(map, "calls", &job->calls) || !read_number(map, "begin", &job->begin) ||
        !read_number(map, "end", &job->end) || job->begin > job->end || job->end > job->calls)
        return false;
    snprintf(job->name, sizeof job->name, "%s", name);
    return true;
}

static int check_version(const lithops_value *map, lithops_error *err)
{
    uint64_t version, compatible;
    if (strcmp(text_of(map, "type"), type) != 0)
        return fail_handle(err, "its type is not 'lithops.job'");
    if (!read_number(map, "version", &version) || !read_number(map, "compatible", &compatible))
        return fail_handle(err, "it names no version");
    if (compatible > LITHOPS__HANDLE_VERSION || version < 1)
        return lithops__fail(err, LITHOPS_EPARSE,
                             "this handle needs a version of lithops that reads handles of version "
                             "%llu: this one reads up to %d",
                             (unsigned long long)compatible, (int)LITHOPS__HANDLE_VERSION);
    return 0;
}

/* The machine, by its name or, as containers have others, by its start. */
static int check_place(const lithops_value *map, lithops_error *err)
{
    char host[256], boot[24];
    uint64_t user;
    name_host(host, sizeof host);
    snprintf(boot, sizeof boot, "%016" PRIx64, lithops__boot());
    if (!read_number(map, "user", &user))
        return fail_handle(err, "it names no user");
    if (user != geteuid())
        return lithops__fail(err, LITHOPS_EDENIED, "the job belongs to user %llu: this is user %u",
                             (unsigned long long)user, (unsigned)geteuid());
    if (strcmp(host, text_of(map, "host")) != 0 && strcmp(boot, text_of(map, "boot")) != 0)
        return lithops__fail(err, LITHOPS_ENOTFOUND, "the job is on '%s': this is '%s'",
                             text_of(map, "host"), host);
    return 0;
}

int lithops__handle_read(const lithops_value *map, struct lithops__handle **ret, lithops_error *err)
{
    if (lithops_value_type(map) != LITHOPS_MAP)
        return fail_handle(err, "it is not a map");
    int rc = check_version(map, err);
    if (rc == 0)
        rc = check_place(map, err);
    if (rc != 0)
        return rc;
    const lithops_value *jobs = lithops_value_get(map, "jobs");
    const char *folder = text_of(map, "folder");
    size_t count = lithops_value_size(jobs);
    struct lithops__handle *handle;
    if (folder[0] != '/' || strlen(folder) >= sizeof handle->folder ||
        folder[strlen(folder) - 1] == '/')
        return fail_handle(err, "it names no folder");
    if (lithops_value_type(jobs) != LITHOPS_LIST || count == 0 || count > MOST_JOBS)
        return fail_handle(err, "it names no jobs");
    handle = calloc(1, sizeof *handle + count * sizeof handle->jobs[0]);
    if (!handle)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    snprintf(handle->folder, sizeof handle->folder, "%s", folder);
    for (; handle->count < count; handle->count++)
        if (!read_job(lithops_value_at(jobs, handle->count), &handle->jobs[handle->count])) {
            free(handle);
            return fail_handle(err, "one of its jobs is not complete");
        }
    *ret = handle;
    return 0;
}

static int say_gone(const char *what, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOTFOUND,
                         "job %s is not there any more: it was released, or its time was over",
                         what);
}

int lithops__handle_open_home(const struct lithops__handle *handle, struct lithops__home *ret,
                              lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    int rc = lithops__home_open(ret, handle->folder, &own);
    if (rc == LITHOPS_ENOTFOUND)
        return say_gone(handle->jobs[0].name, err);
    if (rc != 0 && err)
        *err = own;
    return rc;
}

int lithops__handle_open_job(const struct lithops__home *home,
                             const struct lithops__handle_job *job, struct lithops__journal *ret,
                             lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    int rc = lithops__journal_open(ret, home->fd, job->name, &own);
    if (rc == LITHOPS_ENOTFOUND)
        return say_gone(job->name, err);
    if (rc != 0) {
        if (err)
            *err = own;
        return rc;
    }
    char name[16];
    lithops__home_job_name(ret->header->kind, ret->header->number, name);
    if (ret->header->token == job->token && ret->header->calls == job->calls &&
        strcmp(name, job->name) == 0 && strcmp(ret->header->executor_id, home->id) == 0)
        return 0;
    lithops__journal_close(ret);
    return say_gone(job->name, err);
}
