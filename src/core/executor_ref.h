/* SPDX-License-Identifier: Apache-2.0 */
/* References to an executor, and what is opened on first use. */
#ifndef LITHOPS_CORE_EXECUTOR_REF_H
#define LITHOPS_CORE_EXECUTOR_REF_H

#include <lithops/executor.h>
#include <lithops/storage.h>

lithops_executor *lithops__executor_ref(lithops_executor *fexec);
void lithops__executor_unref(lithops_executor *fexec);
lithops_storage *lithops__executor_storage(lithops_executor *fexec, lithops_error *err);

#endif
