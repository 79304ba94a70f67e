/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker process needs to know of a job: its function, and the environment, extra
 * arguments and modules of its calls.
 *
 * Decoded when the process first works on the job's range and kept for a while. A job's environment
 * is set when its calls begin, and undone when those of another job do. */
#include "worker/job.h"

#include "base/error.h"
#include "function/image.h"
#include "ipc/area.h"
#include "ipc/layout.h"
#include "value/value.h"
#include "worker/call.h"
#include "worker/load.h"
#include "worker/process.h"

#include <stdlib.h>
#include <string.h>

static void restore_environment(struct lithops__worker_process *process)
{
    for (size_t i = process->saved_count; i-- > 0;) {
        struct lithops__saved_variable *saved = &process->saved[i];
        if (saved->value)
            setenv(saved->name, saved->value, 1);
        else
            unsetenv(saved->name);
        free(saved->name);
        free(saved->value);
    }
    free(process->saved);
    process->saved = NULL;
    process->saved_count = 0;
}

/* False: memory is out; what was set is taken back. */
static bool apply_environment(struct lithops__worker_process *process, const lithops_value *env)
{
    size_t count = lithops_value_size(env);
    process->saved = calloc(count ? count : 1, sizeof *process->saved);
    bool applied = process->saved != NULL;
    for (size_t i = 0; applied && i < count; i++) {
        const char *name;
        const lithops_value *value = lithops_value_pair(env, i, &name);
        const char *old = getenv(name);
        struct lithops__saved_variable saved = {strdup(name), old ? strdup(old) : NULL};
        if (saved.name && (saved.value || !old)) {
            process->saved[process->saved_count++] = saved;
            applied = setenv(name, lithops_value_get_string(value), 1) == 0;
        } else {
            free(saved.name);
            free(saved.value);
            applied = false;
        }
    }
    if (!applied)
        restore_environment(process);
    return applied;
}

/* Without memory the calls of this visit fail; the next one reads the job again. */
static void forget_job(struct lithops__job_context *job)
{
    if (job->load_error.code == LITHOPS_ENOMEM)
        job->range = 0;
}

static void make_current(struct lithops__worker_process *process, struct lithops__job_context *job)
{
    if (process->current == job)
        return;
    restore_environment(process);
    process->current = job;
    if (job->env && !apply_environment(process, job->env)) {
        process->current = NULL;
        lithops__fail(&job->load_error, LITHOPS_ENOMEM, "out of memory");
    }
}

static const char *string_at(const struct lithops__area *area, lithops__offset offset)
{
    return offset ? lithops__at(area, offset) : NULL;
}

static int read_spec(const struct lithops__area *area, struct lithops__job_context *job,
                     const struct lithops__range *range, lithops_error *err)
{
    if (!range->spec)
        return 0;
    job->spec = lithops__value_decode(lithops__at(area, range->spec), range->spec_len, err);
    if (!job->spec)
        return err->code;
    job->extra_args = lithops_value_get(job->spec, "extra_args");
    job->env = lithops_value_get(job->spec, "env");
    job->manifest = lithops_value_get(job->spec, "manifest");
    return 0;
}

void lithops__job_load(struct lithops__job_context *job, const struct lithops__area *area,
                       const struct lithops__range *range)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct lithops__function_slot *function = &area->functions[range->function];
    if (lithops__image_attach(job->manifest, &err) == 0)
        lithops__function_load(string_at(area, function->library),
                               string_at(area, function->symbol),
                               string_at(area, function->signature), &job->callable, &err);
    job->load_error = err;
    forget_job(job);
}

struct lithops__job_context *lithops__job_enter(struct lithops__worker_process *process,
                                                uint32_t range_id)
{
    const struct lithops__range *range = &process->area.ranges[range_id];
    uint32_t generation = atomic_load(&range->generation);
    const size_t kept = sizeof process->jobs / sizeof process->jobs[0];
    for (size_t i = 0; i < kept; i++) {
        struct lithops__job_context *job = &process->jobs[i];
        if (job->range == range_id + 1 && job->generation == generation) {
            make_current(process, job);
            forget_job(job);
            return job;
        }
    }
    struct lithops__job_context *job = &process->jobs[process->next_job++ % kept];
    if (process->current == job) {
        restore_environment(process);
        process->current = NULL;
    }
    lithops_value_free(job->spec);
    memset(job, 0, sizeof *job);
    job->range = range_id + 1;
    job->generation = generation;
    job->load_error.code = LITHOPS__NOT_LOADED;
    (void)read_spec(&process->area, job, range, &job->load_error);
    make_current(process, job); /* before loading: constructors of libraries see it */
    forget_job(job);
    return job;
}
