/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of detached jobs: what it was asked to start is written into a folder, whose
 * supervisor (supervise.c) starts it; here are futures that follow it. See docs/detached-jobs.md.
 */
#include "core/detach.h"

#include "base/clock.h"
#include "base/error.h"
#include "core/draft.h"
#include "core/executor.h"
#include "core/job.h"
#include "detached/follow.h"
#include "function/elsewhere.h"
#include "function/image.h"
#include "value/value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- executors ------------------------------------------------------------------------------- */

static lithops_value *texts(char *const *words)
{
    lithops_value *list = lithops_value_list();
    for (size_t i = 0; words[i]; i++)
        if (lithops_value_append(list, lithops__value_text(words[i], strlen(words[i]))) != 0) {
            lithops_value_free(list);
            return NULL;
        }
    return list;
}

/* Worker processes are this program: the supervisor is another one, which sends it to other
 * machines, or starts it on this one. It is sent from its file, which may be another one by then:
 * so the supervisor is told which file it is. */
static int take_program(struct lithops__detachment *detachment, bool is_elsewhere,
                        lithops_error *err)
{
    char path[PATH_MAX], *words[] = {path, NULL};
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0)
        return lithops__fail_errno(err, errno, "cannot tell where this program is");
    path[len] = '\0';
    if (is_elsewhere) {
        detachment->program = lithops__value_text(path, (size_t)len);
        detachment->program_file = lithops__image_program_file();
    } else {
        detachment->command = texts(words);
    }
    return (detachment->program && detachment->program_file) || detachment->command
               ? 0
               : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

/* What makes worker processes of a runtime on other machines is this process's, and would be asked
 * for when it is gone. */
static int take_kit(const lithops_executor *fexec, struct lithops__detachment *detachment,
                    lithops_error *err)
{
    if (!fexec->driver->is_elsewhere)
        return 0;
    detachment->kit = lithops__runtime_kit(err);
    return detachment->kit ? 0 : err->code;
}

static int take_command(struct lithops__detachment *detachment, const char *const *worker_command,
                        lithops_error *err)
{
    detachment->command = texts((char *const *)(uintptr_t)worker_command);
    return detachment->command ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

int lithops__detach_open(lithops_executor *fexec, const char *const *worker_command,
                         bool is_attached, lithops_error *err)
{
    struct lithops__detachment *detachment = calloc(1, sizeof *detachment);
    if (!detachment)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = 0;
    if (!is_attached && worker_command)
        rc = take_kit(fexec, detachment, err);
    if (rc == 0 && !is_attached)
        rc = worker_command ? take_command(detachment, worker_command, err)
                            : take_program(detachment, fexec->driver->is_elsewhere, err);
    detachment->driver = *fexec->driver;
    detachment->driver.ops = &lithops__follow_ops;
    detachment->driver.state_size = lithops__follow_size();
    detachment->is_attached = is_attached;
    pthread_mutex_init(&detachment->lock, NULL);
    fexec->driver = &detachment->driver;
    fexec->detachment = detachment;
    return rc;
}

void lithops__detach_close(lithops_executor *fexec)
{
    struct lithops__detachment *detachment = fexec->detachment;
    if (!detachment)
        return;
    lithops_value_free(detachment->command);
    lithops_value_free(detachment->program);
    lithops_value_free(detachment->program_file);
    lithops_value_free(detachment->kit);
    pthread_mutex_destroy(&detachment->lock);
    free(detachment);
    fexec->detachment = NULL;
}

/* ---- plans ----------------------------------------------------------------------------------- */

int lithops__detach_plan(const lithops_executor *fexec, struct lithops__job_plan *plan,
                         struct lithops__draft **ret_draft, lithops_error *err)
{
    if (fexec->detachment->is_attached)
        return lithops__fail(
            err, LITHOPS_EUSAGE,
            "this executor is attached to jobs and starts none: open one for that");
    if (plan->first_state == LITHOPS__DEFERRED)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "a detached job cannot wait for futures of its client, which may be "
                             "gone: get their results, and give it those");
    *ret_draft = lithops__draft_new(plan, err);
    if (!*ret_draft)
        return err && err->code ? err->code : LITHOPS_ENOMEM;
    if (plan->inputs)
        plan->count = lithops_value_size(plan->inputs);
    lithops_value_free(plan->inputs);
    plan->inputs = NULL;
    plan->is_followed = true;
    plan->first_state = LITHOPS__RUNNING;
    return 0;
}

int lithops__detach_reduce(struct lithops__job *maps, struct lithops__job *reduce,
                           const size_t *counts, int64_t percent, lithops_error *err)
{
    lithops_value *plan = maps->draft->plan, *gates = lithops_value_list();
    uint64_t count = lithops__job_count(reduce);
    int rc = 0;
    for (uint64_t r = 0; rc == 0 && r < count; r++)
        rc = lithops_value_append(gates, lithops_value_int((int64_t)counts[r]));
    if (lithops_value_set(plan, "gates", gates) != 0 || rc != 0 ||
        lithops_value_set(plan, "spawn_reducer", lithops_value_int(percent)) != 0 ||
        lithops_value_set(plan, "reduce", lithops_value_copy(reduce->draft->plan)) != 0)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    maps->draft->reduce = reduce;
    return 0;
}

/* ---- submitting ------------------------------------------------------------------------------ */

/* Nothing where there is no value. */
static int set_copy(lithops_value *map, const char *key, const lithops_value *value)
{
    return value ? lithops_value_set(map, key, lithops_value_copy(value)) : 0;
}

/* How the supervisor runs calls as this process would. */
static lithops_value *describe_executor(const lithops_executor *fexec, lithops_error *err)
{
    char folder[PATH_MAX];
    lithops_value *map = lithops_value_map();
    if (!getcwd(folder, sizeof folder))
        folder[0] = '\0';
    if (lithops_value_set(map, "config", lithops__config_value(fexec->config, true)) == 0 &&
        set_copy(map, "command", fexec->detachment->command) == 0 &&
        set_copy(map, "program", fexec->detachment->program) == 0 &&
        set_copy(map, "program_file", fexec->detachment->program_file) == 0 &&
        set_copy(map, "kit", fexec->detachment->kit) == 0 &&
        lithops_value_set(map, "folder", lithops__value_text(folder, strlen(folder))) == 0 &&
        lithops_value_set(map, "environment", texts(environ)) == 0)
        return map;
    lithops_value_free(map);
    lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return NULL;
}

/* A supervisor is started with the folder, and gets ready while the first job is written: where
 * that fails, it is tried again when the job is there. */
static struct lithops__home *home_of(lithops_executor *fexec, uint64_t *ret_started_ns,
                                     lithops_error *err)
{
    struct lithops__home home;
    struct lithops__home *there = lithops__follow_home(fexec->compute);
    *ret_started_ns = 0;
    if (there)
        return there;
    lithops_value *executor = describe_executor(fexec, err);
    if (executor && lithops__home_make(&home, fexec->id, executor, err) == 0) {
        if (lithops__home_supervise(&home, NULL) == 0)
            *ret_started_ns = lithops__now_ns();
        if (lithops__follow_start(fexec->compute, &home, err) == 0)
            there = lithops__follow_home(fexec->compute);
    }
    lithops_value_free(executor);
    return there;
}

static int create(const struct lithops__job *job, const struct lithops__home *home,
                  const char *name, struct lithops__journal *journal, lithops_error *err)
{
    const lithops_executor *fexec = job->fexec;
    const char *policy = lithops__config_string(fexec->config, "lithops", "on_supervisor_lost");
    double expiry_s = lithops__config_double(fexec->config, "lithops", "detached_expiry");
    struct lithops__journal_header header = {
        .calls = lithops__job_count(job),
        .expiry_ns = (uint64_t)(expiry_s * 1e9),
        .number = job->number,
        .flags = (job->gives_list ? LITHOPS__JOURNAL_GIVES_LIST : 0) |
                 (job->draft->reduce ? LITHOPS__JOURNAL_FEEDS : 0) |
                 (policy && strcmp(policy, "fail") == 0 ? LITHOPS__JOURNAL_FAIL_REST : 0),
        .kind = job->kind};
    snprintf(header.executor_id, sizeof header.executor_id, "%.30s", fexec->id);
    snprintf(header.function, sizeof header.function, "%s", job->function);
    return lithops__journal_create(journal, home->fd, name, &header, err);
}

/* The plan as a record, and its inputs as the next one. */
static int write_draft(struct lithops__journal *journal, const struct lithops__draft *draft,
                       lithops_error *err)
{
    struct lithops__buffer plan = LITHOPS__BUFFER_INIT;
    int rc = lithops__value_encode(draft->plan, &plan, err);
    if (rc == 0)
        rc = lithops__journal_append(journal, LITHOPS__JOURNAL_PLAN,
                                     (lithops_bytes){plan.data, plan.len}, err);
    if (rc == 0)
        rc = lithops__journal_append(journal, LITHOPS__JOURNAL_INPUTS,
                                     (lithops_bytes){draft->inputs.data, draft->inputs.len}, err);
    lithops__buffer_deinit(&plan);
    return rc;
}

/* All is there once the journal has its name: that of its reducers gets its own after that, here or
 * by the supervisor. */
static int write_job(const struct lithops__job *job, const struct lithops__home *home,
                     struct lithops__journal *journal, struct lithops__journal *reduce,
                     lithops_error *err)
{
    char name[16], unready[24], reducer[24];
    lithops__home_job_name(job->kind, job->number, name);
    snprintf(unready, sizeof unready, "%s.new", name);
    snprintf(reducer, sizeof reducer, "R%s.new", name + 1);
    int rc = create(job, home, unready, journal, err);
    if (rc != 0)
        return rc;
    rc = write_draft(journal, job->draft, err);
    if (rc == 0 && job->draft->reduce)
        rc = create(job->draft->reduce, home, reducer, reduce, err);
    if (rc == 0 && renameat(home->fd, unready, home->fd, name) != 0)
        rc = lithops__fail_errno(err, errno, "cannot make '%s/%s'", home->path, name);
    if (rc == 0 && reduce->header)
        (void)lithops__home_name_reducer(home, job->number);
    if (rc != 0) {
        unlinkat(home->fd, unready, 0);
        if (reduce->header)
            unlinkat(home->fd, reducer, 0);
        lithops__journal_close(reduce);
        lithops__journal_close(journal);
    }
    return rc;
}

static void drop_draft(struct lithops__job *job)
{
    lithops__draft_free(job->draft);
    job->draft = NULL;
}

/* Who was told of an error starts the job again: it must not be there. */
static void take_back(const struct lithops__home *home, const struct lithops__job *job)
{
    char name[16];
    lithops__home_job_name(job->kind, job->number, name);
    unlinkat(home->fd, name, 0);
    lithops__home_job_name('R', job->number, name);
    if (job->kind == 'M') /* a map's reducers have its number */
        unlinkat(home->fd, name, 0);
}

/* The one that was started (when: not 0) may not hear yet, but looks when it does; it waits for its
 * first job for longer than that, see supervise.c. */
static int tell_supervisor(lithops_executor *fexec, uint64_t started_ns, lithops_error *err)
{
    static const uint64_t patience_ns = 1000000000;
    if (lithops__follow_tell(fexec->compute) ||
        (started_ns && lithops__now_ns() - started_ns < patience_ns))
        return 0;
    return lithops__home_supervise(lithops__follow_home(fexec->compute), err);
}

static int submit(struct lithops__job *job, lithops_error *err)
{
    lithops_executor *fexec = job->fexec;
    struct lithops__job *reduce = job->draft->reduce;
    struct lithops__journal journal = LITHOPS__JOURNAL_INIT, reducer = LITHOPS__JOURNAL_INIT;
    uint64_t started_ns;
    const struct lithops__home *home = home_of(fexec, &started_ns, err);
    int rc = home ? write_job(job, home, &journal, &reducer, err) : err->code;
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&fexec->table.lock);
    if (reduce)
        rc = lithops__follow_job(fexec->compute, reduce->range, &reducer, err);
    int other = lithops__follow_job(fexec->compute, job->range, &journal, err);
    pthread_mutex_unlock(&fexec->table.lock);
    if (reduce)
        drop_draft(reduce);
    drop_draft(job);
    if (rc == 0)
        rc = other;
    if (rc == 0)
        rc = tell_supervisor(fexec, started_ns, err);
    if (rc != 0)
        take_back(home, job);
    return rc;
}

/* After this the job is there, whatever becomes of this process. */
int lithops__detach_submit(struct lithops__job *job, lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = job->fexec;
    err = err ? err : &own;
    pthread_mutex_lock(&fexec->detachment->lock);
    int rc = fexec->compute ? submit(job, err)
                            : lithops__fail(err, LITHOPS_ECLOSED, "the executor is closed");
    pthread_mutex_unlock(&fexec->detachment->lock);
    return rc;
}
