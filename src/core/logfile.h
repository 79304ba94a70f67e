/* SPDX-License-Identifier: Apache-2.0 */
/* What the calls of an executor wrote, kept for `lithops logs` after the program has ended. */
#ifndef LITHOPS_CORE_LOGFILE_H
#define LITHOPS_CORE_LOGFILE_H

#include "core/core.h"

/* The folder of log files of this user: <temp>/lithops-<user>/logs. */
void lithops__logfile_folder(char *buf, size_t size);
/* Write <folder>/<executor id>.log if any call wrote something. Nothing is made otherwise. */
void lithops__logfile_save(lithops_executor *fexec);

#endif
