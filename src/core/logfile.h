/* SPDX-License-Identifier: Apache-2.0 */
/* What the calls of an executor wrote, kept for `lithops logs` after the program has ended. */
#ifndef LITHOPS_CORE_LOGFILE_H
#define LITHOPS_CORE_LOGFILE_H

#include "core/job.h"

/* The folder of log files of this user: <temp>/lithops-<user>/logs. */
void lithops__logfile_folder(char *buf, size_t size);
/* The same, made if missing; false, with errno, when that fails. */
bool lithops__logfile_make_folder(char *buf, size_t size);
/* Append what the calls of a job wrote to <folder>/<executor id>.log: before it is freed. Without
 * output no file is made. */
void lithops__logfile_add(lithops_executor *fexec, struct lithops__job *job);
/* The same for all remaining jobs, and close the file. Delete files of past executors, oldest
 * first, down to lithops.output_kept. */
void lithops__logfile_finish(lithops_executor *fexec);

#endif
