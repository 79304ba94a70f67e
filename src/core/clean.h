/* SPDX-License-Identifier: Apache-2.0 */
/* What lithops_clean() leaves for the end of the executor. */
#ifndef LITHOPS_CORE_CLEAN_H
#define LITHOPS_CORE_CLEAN_H

#include <lithops/executor.h>

void lithops__clean_at_close(lithops_executor *fexec);

#endif
