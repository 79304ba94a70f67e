/* SPDX-License-Identifier: Apache-2.0 */
/* What remains of an executor while it, or a job of it, is referenced, even once closed.
 */
#include "core/executor_ref.h"

#include "config/config.h"
#include "config/storage.h"
#include "core/budget.h"
#include "core/detach.h"
#include "core/executor.h"
#include "core/fork.h"
#include "ipc/table.h"

#include <lithops/plugin/runtime.h>

#include <stdlib.h>

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
    lithops__budget_free(fexec->budget);
    lithops__table_close(&fexec->table);
    lithops__config_free(fexec->config);
    pthread_mutex_destroy(&fexec->log_lock);
    pthread_mutex_destroy(&fexec->limits_lock);
    lithops_value_free(fexec->stored);
    lithops__detach_close(fexec);
    free(fexec->callbacks);
    free(fexec->runtime);
    free(fexec);
}

const char *lithops_executor_id(const lithops_executor *fexec)
{
    return fexec ? fexec->id : "";
}

lithops_value *lithops_executor_config(const lithops_executor *fexec)
{
    return fexec ? lithops__config_value(fexec->config, false) : NULL;
}

lithops_value *lithops_executor_findings(const lithops_executor *fexec)
{
    const lithops_value *findings = fexec ? lithops__config_findings(fexec->config) : NULL;
    if (!fexec)
        return NULL;
    return findings ? lithops_value_copy(findings) : lithops_value_list();
}

lithops_value *lithops_executor_config_full(const lithops_executor *fexec)
{
    return fexec ? lithops__config_value(fexec->config, true) : NULL;
}

uint64_t lithops_executor_results_written(const lithops_executor *fexec)
{
    return fexec ? atomic_load_explicit(&fexec->table.area.control->results_written,
                                        memory_order_relaxed)
                 : 0;
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
