/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing executors. */
#include "base/error.h"
#include "base/log.h"
#include "core/core.h"
#include "core/logfile.h"
#include "core/settings.h"
#include "ipc/bell.h"
#include "storage/storage.h"
#include "value/value.h"
#include "worker/init.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

const char *lithops_version(void)
{
    return LITHOPS_VERSION;
}

lithops_executor *lithops__executor_ref(lithops_executor *fexec)
{
    atomic_fetch_add_explicit(&fexec->refs, 1, memory_order_relaxed);
    return fexec;
}

void lithops__executor_unref(lithops_executor *fexec)
{
    if (atomic_fetch_sub_explicit(&fexec->refs, 1, memory_order_acq_rel) != 1)
        return;
    lithops__fork_forget(fexec);
    lithops__table_close(&fexec->table);
    lithops__config_free(fexec->config);
    free(fexec->jobs);
    free(fexec->callbacks);
    free(fexec);
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
    char known[256] = "";
    list_backends(known, sizeof known);
    if (backend)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "compute backend '%s' is not built in; there is: %s", backend, known);
    return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                         "no compute backend for mode '%s' is built in; there is: %s",
                         mode ? mode : "?", known);
}

static uint64_t memory_limit(const struct lithops__config *config)
{
    int64_t mb = lithops__config_int(config, "localhost", "shared_memory");
    if (mb > 0)
        return (uint64_t)mb << 20;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * page / 4 * 3;
}

static int share_config(lithops_executor *fexec, lithops_error *err)
{
    lithops_value *value = lithops__config_value(fexec->config, true);
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    int rc = lithops__value_encode(value, &buffer, err);
    struct lithops__control *control = fexec->table.area.control;
    if (rc == 0) {
        control->config = lithops__table_store(&fexec->table, buffer.data, buffer.len);
        control->config_len = buffer.len;
        if (!control->config)
            rc = lithops__fail(err, LITHOPS_ENOSPACE, "no shared memory left");
    }
    lithops__buffer_deinit(&buffer);
    lithops_value_free(value);
    return rc;
}

static int open_compute(lithops_executor *fexec, const char *const *worker_command,
                        lithops_error *err)
{
    struct lithops__control *control = fexec->table.area.control;
    lithops__tick_clock_update(&fexec->clock);
    control->ticks_per_ms = (uint64_t)(1e6 / fexec->clock.ns_per_tick) + 1;
    fexec->timeout_ticks =
        lithops__settings_timeout_ms(fexec->config, fexec->driver->name) * control->ticks_per_ms;
    int64_t chunk = lithops__config_int(fexec->config, "lithops", "chunksize");
    fexec->chunksize = chunk > 0 ? chunk : LITHOPS_DEFAULT;
    fexec->retries = (uint32_t)lithops__config_int(fexec->config, "lithops", "retries");
    double limit_mib = lithops__config_double(fexec->config, "lithops", "data_limit");
    fexec->data_limit_bytes = limit_mib > 0 ? (uint64_t)(limit_mib * (1 << 20)) : 0;
    int64_t memory_mb = lithops__config_int(fexec->config, fexec->driver->name, "runtime_memory");
    fexec->memory_bytes = memory_mb > 0 ? (uint64_t)memory_mb << 20 : 0;
    fexec->compute = calloc(1, fexec->driver->state_size);
    if (!fexec->compute)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    /* First, since a process starts meanwhile; workers read the configuration when they need it. */
    int rc =
        fexec->driver->ops->open(fexec->compute, &fexec->table, fexec->config, worker_command, err);
    if (rc == 0 && (rc = share_config(fexec, err)) != 0)
        fexec->driver->ops->close(fexec->compute);
    return rc;
}

lithops_executor *lithops_executor_open(const lithops_executor_options *options, lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    err = err ? err : &own;
    if (!lithops__init_was_called() && !(options && options->worker_command)) {
        lithops__fail(err, LITHOPS_EUSAGE,
                      "lithops_init(&argc, &argv) must be the first line of main(): worker "
                      "processes are this program, started again");
        return NULL;
    }
    lithops_executor *fexec = calloc(1, sizeof *fexec);
    if (!fexec) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        return NULL;
    }
    lithops__fork_mark();
    atomic_init(&fexec->refs, 1);
    lithops__tick_clock_init(&fexec->clock); /* early: by the second reading some time has passed */
    make_id(fexec->id, sizeof fexec->id);
    if (lithops__config_load(options, &fexec->config, err) != 0 ||
        lithops__settings_log(fexec->config, err) != 0 || choose_driver(fexec, err) != 0 ||
        !lithops__storage_choose(fexec->config, NULL, err)) /* it is opened when it is needed */
        goto failed;
    lithops__settings_warn(fexec->config, fexec->driver->name);
    uint32_t workers = fexec->driver->ops->workers(fexec->config);
    if (lithops__table_open(&fexec->table, fexec->id, workers, memory_limit(fexec->config), err))
        goto failed;
    if (open_compute(fexec, options ? options->worker_command : NULL, err) != 0) {
        lithops__table_close(&fexec->table);
        goto failed;
    }
    lithops__fork_watch(fexec);
    lithops__log(LITHOPS_LOG_INFO, "core", "executor %s open: %s, %u worker processes", fexec->id,
                 fexec->driver->name, workers);
    return fexec;
failed:
    lithops__config_free(fexec->config);
    free(fexec->compute);
    free(fexec);
    return NULL;
}

static lithops_executor *open_mode(const char *mode, const lithops_executor_options *options,
                                   lithops_error *err)
{
    lithops_executor_options with_mode = LITHOPS_EXECUTOR_OPTIONS_INIT;
    if (options)
        with_mode = *options;
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

const char *lithops_executor_id(const lithops_executor *fexec)
{
    return fexec ? fexec->id : "";
}

lithops_value *lithops_executor_config(const lithops_executor *fexec)
{
    return fexec ? lithops__config_value(fexec->config, false) : NULL;
}

lithops_storage *lithops__executor_storage(lithops_executor *fexec, lithops_error *err)
{
    pthread_mutex_lock(&fexec->table.lock);
    if (!fexec->storage)
        fexec->storage = lithops__storage_open(fexec->config, NULL, err);
    lithops_storage *storage = fexec->storage;
    pthread_mutex_unlock(&fexec->table.lock);
    return storage;
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
    for (size_t j = 0; j < fexec->job_count; j++) {
        struct lithops__job *job = fexec->jobs[j];
        uint64_t count = lithops__job_count(job);
        for (uint64_t i = 0; i < count; i++) {
            uint16_t state = lithops__job_state(job, i);
            if (lithops__state_of(state) < LITHOPS__RUNNING)
                (void)lithops__table_settle(&fexec->table, job->range, i, state, &canceled);
        }
    }
    pthread_mutex_unlock(&fexec->table.lock);
    lithops__logfile_save(fexec);
    pthread_mutex_lock(&fexec->table.lock);
    void *compute = fexec->compute;
    fexec->compute = NULL; /* logs are gone from here on; nothing else uses it when closed */
    pthread_mutex_unlock(&fexec->table.lock);
    fexec->driver->ops->close(compute);
    lithops__bell_landed(fexec->table.area.control);
    lithops__callbacks_stop(fexec);
    free(compute);
    lithops__clean_at_close(fexec);
    lithops_storage_close(fexec->storage);
    fexec->storage = NULL;
    struct lithops__job **jobs = fexec->jobs;
    size_t count = fexec->job_count;
    fexec->jobs = NULL;
    fexec->job_count = 0;
    for (size_t j = 0; j < count; j++)
        lithops__job_unref(jobs[j]);
    free(jobs);
    lithops__executor_unref(fexec);
}
