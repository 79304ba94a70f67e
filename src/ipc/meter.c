/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/meter.h"

#include "base/clock.h"
#include "base/error.h"

void lithops__meter_init(struct lithops__meter *meter)
{
    *meter = (struct lithops__meter){.starts = 0};
    pthread_mutex_init(&meter->lock, NULL);
}

void lithops__meter_deinit(struct lithops__meter *meter)
{
    pthread_mutex_destroy(&meter->lock);
}

void lithops__meter_set(struct lithops__meter *meter, uint64_t most_starts, uint64_t rounding_ms,
                        uint64_t minimum_ms)
{
    meter->most_starts = most_starts;
    meter->rounding_ns = rounding_ms * 1000000;
    meter->minimum_ns = minimum_ms * 1000000;
}

int lithops__meter_start(struct lithops__meter *meter, lithops_error *err)
{
    pthread_mutex_lock(&meter->lock);
    bool may = meter->most_starts == 0 || meter->starts < meter->most_starts;
    meter->starts += may;
    pthread_mutex_unlock(&meter->lock);
    return may ? 0
               : lithops__fail(err, LITHOPS_EDENIED,
                               "max_activations of the configuration is reached: %llu workers were "
                               "started, and no more are; raise it, or have each run more calls "
                               "(worker_processes, idle_timeout). What is done is kept",
                               (unsigned long long)meter->most_starts);
}

void lithops__meter_unstart(struct lithops__meter *meter)
{
    pthread_mutex_lock(&meter->lock);
    meter->starts--;
    pthread_mutex_unlock(&meter->lock);
}

void lithops__meter_began(struct lithops__meter *meter, uint64_t began_ns)
{
    pthread_mutex_lock(&meter->lock);
    meter->live++;
    meter->live_began += began_ns;
    pthread_mutex_unlock(&meter->lock);
}

void lithops__meter_has(struct lithops__meter *meter, uint32_t processes)
{
    pthread_mutex_lock(&meter->lock);
    if (processes > meter->processes)
        meter->processes = processes;
    pthread_mutex_unlock(&meter->lock);
}

/* As it is charged. */
static uint64_t round_time(const struct lithops__meter *meter, uint64_t ns)
{
    uint64_t step = meter->rounding_ns ? meter->rounding_ns : 1;
    ns = (ns + step - 1) / step * step;
    return ns > meter->minimum_ns ? ns : meter->minimum_ns;
}

void lithops__meter_ended(struct lithops__meter *meter, uint64_t began_ns)
{
    uint64_t now = lithops__now_ns();
    pthread_mutex_lock(&meter->lock);
    meter->live--;
    meter->live_began -= began_ns;
    meter->ended_ns += round_time(meter, now - began_ns);
    pthread_mutex_unlock(&meter->lock);
}

void lithops__meter_requests(struct lithops__meter *meter, uint64_t reads, uint64_t writes)
{
    pthread_mutex_lock(&meter->lock);
    meter->reads = reads;
    meter->writes = writes;
    pthread_mutex_unlock(&meter->lock);
}

void lithops__meter_worker_requests(struct lithops__meter *meter, uint64_t reads, uint64_t writes)
{
    pthread_mutex_lock(&meter->lock);
    meter->worker_reads += reads;
    meter->worker_writes += writes;
    pthread_mutex_unlock(&meter->lock);
}

void lithops__meter_read(struct lithops__meter *meter, struct lithops__used *ret_used)
{
    uint64_t now = lithops__now_ns();
    pthread_mutex_lock(&meter->lock);
    uint64_t ns = meter->ended_ns + (meter->live * now - meter->live_began);
    *ret_used = (struct lithops__used){.starts = meter->starts,
                                       .processes = meter->processes,
                                       .reads = meter->reads + meter->worker_reads,
                                       .writes = meter->writes + meter->worker_writes,
                                       .seconds = (double)ns / 1e9};
    pthread_mutex_unlock(&meter->lock);
}
