/* SPDX-License-Identifier: Apache-2.0 */
/* max_cost: a thread adds up, ten times a second, what was spent, and stops the executor when it is
 * too much. There is none where there is no limit.
 *
 * Stopped means: table.stop says why, calls that wait fail with it, calls that run are cancelled,
 * which then fail with it too (table.c), and no job is started. Calls may wait again even so, when
 * their worker was lost, or their inputs have come: so that is done with each look. What is done
 * stays as it is.
 *
 * Workers cost as time passes. Calls, where they have prices of their own, cost when they end
 * (charge.c). */
#include "core/budget.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "core/charge.h"
#include "core/costs.h"
#include "core/executor.h"
#include "core/job.h"
#include "ipc/bell.h"
#include "ipc/layout.h"
#include "ipc/settle.h"

#include <stdlib.h>

static const uint64_t look_ns = 100000000;

struct lithops__budget {
    lithops_executor *fexec;
    double most;
    pthread_t thread;
    pthread_mutex_t lock; /* a leaf; guards what follows */
    pthread_cond_t wanted;
    bool ends;
    double spent; /* as of the last look */

    lithops_error stop; /* [table.lock] code 0: there is money left */
};

/* ---- stopping -------------------------------------------------------------------------------- */

static void say_stop(struct lithops__budget *budget, double spent)
{
    lithops__fail(&budget->stop, LITHOPS_EDENIED,
                  "max_cost of the configuration, %g USD, is reached: %.6g USD were spent; raise "
                  "it to go on. What is done is kept",
                  budget->most, spent);
    budget->fexec->table.stop = &budget->stop;
    lithops__log(LITHOPS_LOG_ERROR, "core", "%s", budget->stop.message);
}

/* [L] */
static bool has_running(const struct lithops__job *job)
{
    uint64_t count = lithops__job_count(job);
    for (uint64_t i = 0; i < count; i++)
        if (lithops__state_of(lithops__job_state(job, i)) == LITHOPS__RUNNING)
            return true;
    return false;
}

/* [L] */
static void stop(struct lithops__budget *budget)
{
    lithops_executor *fexec = budget->fexec;
    lithops__settle_waiting(&fexec->table, &budget->stop);
    for (struct lithops__job *job = fexec->jobs.first; job; job = job->links.next) {
        if (fexec->compute && !fexec->closed && has_running(job))
            fexec->driver->ops->cancel(fexec->compute, job->range, 0, lithops__job_count(job));
        lithops__table_kick_dependents(&fexec->table, job->range);
    }
}

/* @return when to look again */
static uint64_t look(struct lithops__budget *budget)
{
    lithops_executor *fexec = budget->fexec;
    struct lithops__used used;
    uint64_t begun_ns = lithops__now_ns();
    lithops__executor_used(fexec, &used);
    pthread_mutex_lock(&fexec->table.lock);
    double spent = lithops__charge(fexec) + lithops__costs_used(&fexec->costs, &used);
    if (spent >= budget->most && budget->stop.code == 0 && spent > 0)
        say_stop(budget, spent);
    if (budget->stop.code)
        stop(budget);
    pthread_mutex_unlock(&fexec->table.lock);
    uint64_t now = lithops__now_ns(), took_ns = now - begun_ns;
    pthread_mutex_lock(&budget->lock);
    budget->spent = spent;
    pthread_mutex_unlock(&budget->lock);
    return now + (20 * took_ns > look_ns ? 20 * took_ns : look_ns);
}

static void *watch(void *user)
{
    struct lithops__budget *budget = user;
    pthread_mutex_lock(&budget->lock);
    while (!budget->ends) {
        pthread_mutex_unlock(&budget->lock);
        uint64_t until = look(budget);
        const struct timespec at = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
        pthread_mutex_lock(&budget->lock);
        while (!budget->ends && lithops__now_ns() < until)
            pthread_cond_timedwait(&budget->wanted, &budget->lock, &at);
    }
    pthread_mutex_unlock(&budget->lock);
    return NULL;
}

/* ---- the limit ------------------------------------------------------------------------------- */

int lithops__budget_admit(lithops_executor *fexec, uint64_t calls, lithops_error *err)
{
    struct lithops__budget *budget = fexec->budget;
    if (!budget)
        return 0;
    pthread_mutex_lock(&budget->lock);
    double spent = budget->spent;
    pthread_mutex_unlock(&budget->lock);
    double least = fexec->costs.per_call * (double)calls;
    pthread_mutex_lock(&fexec->table.lock);
    lithops_error stopped = budget->stop;
    pthread_mutex_unlock(&fexec->table.lock);
    if (stopped.code && err)
        *err = stopped;
    if (stopped.code)
        return stopped.code;
    return spent + least <= budget->most
               ? 0
               : lithops__fail(err, LITHOPS_EDENIED,
                               "%llu calls cost at least %.6g USD, and %.6g USD were spent: more "
                               "than max_cost of the configuration, %g USD; raise it",
                               (unsigned long long)calls, least, spent, budget->most);
}

static int start(struct lithops__budget *budget, lithops_error *err)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&budget->lock, NULL);
    pthread_cond_init(&budget->wanted, &attributes);
    pthread_condattr_destroy(&attributes);
    int rc = lithops__thread_start(&budget->thread, watch, budget);
    if (rc == 0)
        return 0;
    pthread_cond_destroy(&budget->wanted);
    pthread_mutex_destroy(&budget->lock);
    return lithops__fail_errno(err, rc, "cannot start a thread");
}

int lithops__budget_check(const lithops_executor *fexec, lithops_error *err)
{
    const char *backend = fexec->driver->name;
    if (!lithops__config_get(fexec->config, "lithops", "max_cost") || fexec->costs.is_priced ||
        !fexec->driver->is_elsewhere)
        return 0;
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "max_cost: nothing says what calls on the backend %s cost; set "
                         "%s.price_list, cost_per_gb_s or cost_per_request",
                         backend, backend);
}

int lithops__budget_open(lithops_executor *fexec, lithops_error *err)
{
    if (!lithops__config_get(fexec->config, "lithops", "max_cost") || !fexec->costs.is_priced)
        return 0;
    struct lithops__budget *budget = calloc(1, sizeof *budget);
    if (!budget)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    budget->fexec = fexec;
    budget->most = lithops__config_double(fexec->config, "lithops", "max_cost");
    int rc = start(budget, err);
    if (rc == 0)
        fexec->budget = budget;
    else
        free(budget);
    return rc;
}

void lithops__budget_close(struct lithops__budget *budget)
{
    if (!budget)
        return;
    pthread_mutex_lock(&budget->lock);
    budget->ends = true;
    pthread_cond_signal(&budget->wanted);
    pthread_mutex_unlock(&budget->lock);
    pthread_join(budget->thread, NULL);
    lithops_executor *fexec = budget->fexec;
    pthread_mutex_lock(&fexec->table.lock);
    fexec->table.stop = NULL;
    pthread_mutex_unlock(&fexec->table.lock);
}

void lithops__budget_free(struct lithops__budget *budget)
{
    if (!budget)
        return;
    pthread_cond_destroy(&budget->wanted);
    pthread_mutex_destroy(&budget->lock);
    free(budget);
}
