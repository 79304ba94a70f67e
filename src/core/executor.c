/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing executors. On top of everything else here; what lower files need of an
 * executor is in executor_ref.c. */
#include "core/executor.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options_read.h"
#include "compute/compute.h"
#include "compute/limits.h"
#include "compute/setup.h"
#include "config/config.h"
#include "config/storage.h"
#include "core/budget.h"
#include "core/callback.h"
#include "core/clean.h"
#include "core/detach.h"
#include "core/executor_open.h"
#include "core/executor_ref.h"
#include "core/fork.h"
#include "core/job.h"
#include "core/logfile.h"
#include "core/pages.h"
#include "core/runtimes.h"
#include "core/settings.h"
#include "ipc/bell.h"
#include "ipc/layout.h"
#include "ipc/slotlog.h"
#include "ipc/table.h"
#include "storage/storage.h"
#include "telemetry/telemetry.h"
#include "value/value.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

const char *lithops_version(void)
{
    return LITHOPS_VERSION;
}

/* Upstream's form: six hex digits for the session, and a number. */
static void make_id(char *buf, size_t size)
{
    static _Atomic uint32_t session, counter;
    uint32_t bits = atomic_load(&session);
    if (bits == 0) {
        uint32_t fresh = 0;
        if (getrandom(&fresh, sizeof fresh, GRND_NONBLOCK) != (ssize_t)sizeof fresh)
            fresh = (uint32_t)lithops__ticks() ^ (uint32_t)getpid();
        fresh |= 1u << 24;
        if (!atomic_compare_exchange_strong(&session, &bits, fresh))
            fresh = bits;
        bits = fresh;
    }
    snprintf(buf, size, "%06x-%u", bits & 0xffffff, atomic_fetch_add(&counter, 1));
}

static void list_backends(char *buf, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; lithops__compute_drivers[i] && used < size; i++)
        used +=
            (size_t)snprintf(buf + used, size - used, "%s%s (mode %s)", i ? ", " : "",
                             lithops__compute_drivers[i]->name, lithops__compute_drivers[i]->mode);
}

static int choose_driver(lithops_executor *fexec, lithops_error *err)
{
    const char *backend = lithops__config_string(fexec->config, "lithops", "backend");
    const char *mode = lithops__config_string(fexec->config, "lithops", "mode");
    for (size_t i = 0; lithops__compute_drivers[i]; i++)
        if (backend && strcmp(lithops__compute_drivers[i]->name, backend) == 0) {
            fexec->driver = lithops__compute_drivers[i];
            return 0;
        }
    char known[512] = "";
    list_backends(known, sizeof known);
    if (backend)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "compute backend '%s' is not built in; available: %s", backend, known);
    return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                         "no compute backend for mode '%s' is built in; available: %s",
                         mode ? mode : "?", known);
}

/* The command of the worker processes, where the program makes it for the runtime in use. */
static int make_command(const lithops_executor *fexec, lithops_executor_options *options,
                        lithops_error *err)
{
    if (options->worker_command || !options->make_worker_command)
        return 0;
    const char *runtime =
        fexec->driver->is_elsewhere
            ? NULL
            : lithops__config_string(fexec->config, fexec->driver->name, "runtime");
    err->code = 0;
    options->worker_command = options->make_worker_command(options->user, runtime, err);
    if (options->worker_command)
        return 0;
    return err->code ? err->code
                     : lithops__fail(err, LITHOPS_EUSAGE, "make_worker_command returned NULL");
}

static int open_compute(lithops_executor *fexec, const char *const *worker_command,
                        lithops_error *err)
{
    struct lithops__control *control = fexec->table.area.control;
    lithops__compute_setup(&fexec->table, fexec->config, &fexec->clock);
    fexec->log_bytes = (uint64_t)lithops__config_int(fexec->config, "lithops", "output_kept") << 20;
    fexec->timeout_ticks =
        lithops__settings_timeout_ms(fexec->config, fexec->driver->name) * control->ticks_per_ms;
    int64_t chunk = lithops__config_int(fexec->config, "lithops", "chunksize");
    fexec->chunksize = chunk > 0 ? chunk : LITHOPS_DEFAULT;
    fexec->retries = (uint32_t)lithops__config_int(fexec->config, "lithops", "call_retries");
    double limit_mib = lithops__config_double(fexec->config, "lithops", "data_limit");
    fexec->data_limit_bytes = limit_mib > 0 ? (uint64_t)(limit_mib * (1 << 20)) : 0;
    int64_t memory_mb = lithops__config_int(fexec->config, fexec->driver->name, "runtime_memory");
    fexec->memory_bytes = memory_mb > 0 ? (uint64_t)memory_mb << 20 : 0;
    fexec->compute = calloc(1, fexec->driver->state_size);
    if (!fexec->compute)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value *installed = NULL;
    int rc = lithops__runtime_check(fexec->config, fexec->driver, &installed, err);
    if (rc != 0)
        return rc;
    fexec->table.installed = installed;
    /* First, as a process starts meanwhile; workers read the configuration when they need it. */
    rc = fexec->driver->ops->open(fexec->driver, fexec->compute, &fexec->table, fexec->config,
                                  worker_command, err);
    fexec->table.installed = NULL;
    lithops_value_free(installed);
    if (rc == 0 && (rc = lithops__compute_share_config(&fexec->table, fexec->config, err)) != 0)
        fexec->driver->ops->close(fexec->compute);
    return rc;
}

/* The money of detached jobs is their supervisor's. */
static int open_budget(lithops_executor *fexec, lithops_error *err)
{
    return fexec->detachment ? 0 : lithops__budget_open(fexec, err);
}

/* What workers may have and cost, and how many may be started: before the first of them. */
static int open_costs(lithops_executor *fexec, lithops_error *err)
{
    const char *backend = fexec->driver->name;
    int rc = lithops__limits_check(fexec->config, backend, err);
    if (rc == 0)
        rc = lithops__costs_init(&fexec->costs, fexec->config, backend, err);
    if (rc == 0)
        rc = lithops__budget_check(fexec, err);
    if (rc != 0)
        return rc;
    lithops__limits_of_calls(fexec->config, backend, &fexec->most_ms, &fexec->most_mb);
    const struct lithops__prices *worker = &fexec->costs.worker;
    lithops__meter_set(&fexec->table.meter,
                       (uint64_t)lithops__config_int(fexec->config, "lithops", "max_activations"),
                       worker->rounding_ms, worker->minimum_ms);
    return 0;
}

/* A name that no folder of detached jobs has: they outlive processes, whose children share a
 * session. */
static void make_own_id(char *buf, size_t size)
{
    for (int tries = 0; tries < 100; tries++) {
        uint32_t bits = 0;
        if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != (ssize_t)sizeof bits)
            bits = (uint32_t)lithops__ticks() ^ (uint32_t)getpid() << 8;
        snprintf(buf, size, "%06x-0", bits & 0xffffff);
        if (!lithops__home_exists(buf))
            return;
    }
}

/* Where its jobs run: `opening` decides, or the program and its configuration. */
static int choose_place(lithops_executor *fexec, const lithops_executor_options *options,
                        enum lithops__opening opening, lithops_error *err)
{
    if (opening == LITHOPS__OPEN_HERE ||
        (opening == LITHOPS__OPEN_BY_CONFIG && !options->detached &&
         !lithops__config_bool(fexec->config, "lithops", "detached")))
        return 0;
    if (opening == LITHOPS__OPEN_BY_CONFIG)
        make_own_id(fexec->id, sizeof fexec->id);
    return lithops__detach_open(fexec, options->worker_command, opening == LITHOPS__OPEN_ATTACHED,
                                err);
}

/* What functions and supervisors start is not counted: the client's counts are of all its calls,
 * and a machine's counts replace each other. */
static void open_telemetry(lithops_executor *fexec, enum lithops__opening opening)
{
    if (opening == LITHOPS__OPEN_HERE || getenv("LITHOPS_WORKER_OF"))
        return;
    fexec->telemetry = lithops__telemetry_open(fexec->config);
    if (!fexec->telemetry)
        return;
    /* not all have the key */
    lithops_value *section = lithops__config_section(fexec->config, fexec->driver->name, false);
    const char *runtime = lithops_value_get_string(lithops_value_get(section, "runtime"));
    fexec->runtime = strdup(runtime && *runtime ? runtime : "unknown");
    lithops_value_free(section);
    if (fexec->runtime)
        return;
    lithops__telemetry_close(fexec->telemetry);
    fexec->telemetry = NULL;
}

lithops_executor *lithops_executor_open(const lithops_executor_options *options, lithops_error *err)
{
    return lithops__executor_open(options, NULL, LITHOPS__OPEN_BY_CONFIG, err);
}

lithops_executor *lithops__executor_open(const lithops_executor_options *options, const char *id,
                                         enum lithops__opening opening, lithops_error *err)
{
    lithops_error own_error = LITHOPS_ERROR_INIT;
    err = err ? err : &own_error;
    lithops_executor_options own = LITHOPS_EXECUTOR_OPTIONS_INIT;
    if (lithops__options_read(&own, sizeof own, options, "LITHOPS_EXECUTOR_OPTIONS_INIT", err) != 0)
        return NULL;
    lithops_executor *fexec = calloc(1, sizeof *fexec);
    if (!fexec) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        return NULL;
    }
    fexec->save_output = lithops__logfile_add;
    lithops__fork_mark();
    atomic_init(&fexec->refs, 1);
    pthread_mutex_init(&fexec->log_lock, NULL);
    pthread_mutex_init(&fexec->limits_lock, NULL);
    lithops__tick_clock_init(&fexec->clock); /* early: by the second reading some time has passed */
    if (id)
        snprintf(fexec->id, sizeof fexec->id, "%s", id);
    else
        make_id(fexec->id, sizeof fexec->id);
    if (lithops__config_load(&own, &fexec->config, err) != 0 ||
        lithops__settings_log(fexec->config, err) != 0 || choose_driver(fexec, err) != 0 ||
        !lithops__storage_choose(fexec->config, NULL, err) || /* it is opened when it is needed */
        (opening != LITHOPS__OPEN_ATTACHED && make_command(fexec, &own, err) != 0))
        goto failed;
    lithops__settings_warn(fexec->config, fexec->driver);
    struct lithops__capacity capacity;
    if (fexec->driver->ops->capacity(fexec->driver, fexec->config, &capacity, err) != 0 ||
        choose_place(fexec, &own, opening, err) != 0)
        goto failed;
    if (fexec->detachment)
        capacity.workers = 1;
    /* A supervisor's workers are known by a name of their own: those of one that was killed are
     * being ended while the next one starts. */
    char name[sizeof fexec->id];
    if (opening == LITHOPS__OPEN_HERE)
        snprintf(name, sizeof name, "s%ld-%.16s", (long)getpid(), fexec->id);
    else
        snprintf(name, sizeof name, "%s", fexec->id);
    if (lithops__table_open(&fexec->table, name, capacity.workers, capacity.memory_bytes, err) != 0)
        goto failed;
    fexec->table.look = lithops__jobs_look;
    fexec->table.look_user = fexec;
    lithops__table_name_memory(&fexec->table, capacity.memory_key);
    if (open_costs(fexec, err) != 0 || open_compute(fexec, own.worker_command, err) != 0) {
        lithops__table_close(&fexec->table);
        goto failed;
    }
    if (open_budget(fexec, err) != 0) {
        fexec->driver->ops->close(fexec->compute);
        lithops__table_close(&fexec->table);
        goto failed;
    }
    open_telemetry(fexec, opening);
    lithops__fork_watch(fexec);
    lithops__log(LITHOPS_LOG_INFO, "core", "executor %s open: %s, %u worker processes", fexec->id,
                 fexec->driver->name, capacity.workers);
    return fexec;
failed:
    lithops__config_free(fexec->config);
    lithops__detach_close(fexec);
    free(fexec->compute);
    free(fexec);
    return NULL;
}

static lithops_executor *open_mode(const char *mode, const lithops_executor_options *options,
                                   lithops_error *err)
{
    lithops_executor_options with_mode = LITHOPS_EXECUTOR_OPTIONS_INIT;
    if (lithops__options_read(&with_mode, sizeof with_mode, options,
                              "LITHOPS_EXECUTOR_OPTIONS_INIT", err) != 0)
        return NULL;
    if (with_mode.mode && strcmp(with_mode.mode, mode) != 0) {
        lithops__fail(err, LITHOPS_EUSAGE, "mode '%s' given to a %s executor", with_mode.mode,
                      mode);
        return NULL;
    }
    with_mode.mode = mode;
    return lithops_executor_open(&with_mode, err);
}

lithops_executor *lithops_localhost_executor_open(const lithops_executor_options *options,
                                                  lithops_error *err)
{
    return open_mode("localhost", options, err);
}

lithops_executor *lithops_serverless_executor_open(const lithops_executor_options *options,
                                                   lithops_error *err)
{
    return open_mode("serverless", options, err);
}

lithops_executor *lithops_standalone_executor_open(const lithops_executor_options *options,
                                                   lithops_error *err)
{
    return open_mode("standalone", options, err);
}

/* Nothing uses it when the executor is closed. Who submits a detached job has it for longer than
 * the table's lock. */
static void *take_compute(lithops_executor *fexec)
{
    if (fexec->detachment)
        pthread_mutex_lock(&fexec->detachment->lock);
    pthread_mutex_lock(&fexec->table.lock);
    void *compute = fexec->compute;
    fexec->compute = NULL;
    pthread_mutex_unlock(&fexec->table.lock);
    if (fexec->detachment)
        pthread_mutex_unlock(&fexec->detachment->lock);
    return compute;
}

/* Its requests count when it is closed, too: other threads may read a summary meanwhile. */
static void close_storage(lithops_executor *fexec)
{
    uint64_t reads, writes;
    pthread_mutex_lock(&fexec->table.lock);
    lithops_storage *storage = fexec->storage;
    fexec->storage = NULL;
    if (storage) {
        lithops__storage_made(storage, &reads, &writes);
        lithops__meter_worker_requests(&fexec->table.meter, reads, writes);
    }
    pthread_mutex_unlock(&fexec->table.lock);
    lithops_storage_close(storage);
}

void lithops_executor_close(lithops_executor *fexec)
{
    if (!fexec || lithops__is_forked(fexec))
        return; /* the parent's memory and processes are the parent's */
    pthread_mutex_lock(&fexec->table.lock);
    fexec->closed = true;
    for (size_t i = 0; i < LITHOPS__OPEN_PAGES; i++)
        lithops__page_close(&fexec->pages[i]);
    struct lithops__settlement canceled = {.error = LITHOPS_ERROR_INIT};
    lithops__fail(&canceled.error, LITHOPS_ECANCELED, "the executor was closed");
    for (struct lithops__job *job = fexec->jobs.first; job; job = job->links.next) {
        uint64_t count = lithops__job_count(job);
        for (uint64_t i = 0; i < count; i++) {
            uint16_t state = lithops__job_state(job, i);
            if (lithops__state_of(state) < LITHOPS__RUNNING)
                (void)lithops__table_settle(&fexec->table, job->range, i, state, &canceled);
        }
    }
    pthread_mutex_unlock(&fexec->table.lock);
    lithops__budget_close(fexec->budget);
    lithops__logfile_finish(fexec);
    pthread_mutex_lock(&fexec->limits_lock);
    atomic_store(&fexec->limits_prepared, true);
    pthread_mutex_unlock(&fexec->limits_lock);
    void *compute = take_compute(fexec);
    fexec->driver->ops->close(compute);
    pthread_mutex_lock(&fexec->table.lock);
    lithops__slotlogs_close(&fexec->table);
    pthread_mutex_unlock(&fexec->table.lock);
    lithops__bell_landed(fexec->table.area.control);
    lithops__callbacks_stop(fexec);
    free(compute);
    lithops__clean_at_close(fexec);
    close_storage(fexec);
    pthread_mutex_lock(&fexec->table.lock);
    for (struct lithops__job *job = fexec->jobs.first; job; job = job->links.next)
        lithops__job_count_unseen(job);
    while (fexec->jobs.first)
        lithops__job_forget(fexec->jobs.first);
    lithops__unlock(fexec);
    pthread_mutex_lock(&fexec->table.lock);
    lithops__table_trim(&fexec->table); /* somebody may still hold futures */
    pthread_mutex_unlock(&fexec->table.lock);
    lithops__telemetry_close(fexec->telemetry);
    lithops__executor_unref(fexec);
}
