/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that the worker knows, and that the client forgets. The client does so as soon as it has all
 * outcomes: its message may come before the reporter is done with them, or, where calls were
 * cancelled, before files that were asked for. So a forgotten job stays until nothing of it is
 * here or on its way; its number may have another job meanwhile. */
#include "agent/agent.h"

#include <stdlib.h>

void lithops__agent_free_job(struct lithops__agent_job *job)
{
    lithops_value_free(job->map);
    lithops__files_deinit(&job->files);
    free(job->library_path);
    lithops__buffer_deinit(&job->moved_spec);
    free(job->code);
    free(job);
}

struct lithops__agent_job *lithops__agent_find_job(struct lithops__agent *agent, uint32_t id)
{
    struct lithops__agent_job *job = agent->jobs;
    while (job && (job->id != id || job->is_forgotten))
        job = job->next;
    return job;
}

/* Files come in the order in which they were asked for, and the oldest job is the last one. */
struct lithops__agent_job *lithops__agent_receiving_job(struct lithops__agent *agent, uint32_t id,
                                                        enum lithops__files_way way)
{
    struct lithops__agent_job *found = NULL;
    pthread_mutex_lock(&agent->table.lock);
    for (struct lithops__agent_job *job = agent->jobs; job; job = job->next)
        if (job->id == id && !job->has_files && job->files.way == way)
            found = job;
    pthread_mutex_unlock(&agent->table.lock);
    return found;
}

void lithops__agent_drop_job(struct lithops__agent *agent, struct lithops__agent_job *job)
{
    struct lithops__agent_job **link = &agent->jobs;
    if (!job->is_forgotten || job->runs > 0 || !job->has_files)
        return;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    lithops__agent_free_job(job);
}

void lithops__agent_forget_job(struct lithops__agent *agent, uint32_t id)
{
    pthread_mutex_lock(&agent->table.lock);
    struct lithops__agent_job *job = lithops__agent_find_job(agent, id);
    if (job) {
        job->is_forgotten = true;
        lithops__agent_drop_job(agent, job);
    }
    pthread_mutex_unlock(&agent->table.lock);
}
