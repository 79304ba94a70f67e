/* SPDX-License-Identifier: Apache-2.0 */
/* What the client tells all parts of a job of a batch service. */
#ifndef LITHOPS_NET_BATCH_JOB_H
#define LITHOPS_NET_BATCH_JOB_H

/* Variable of a job's environment, with {"prefix": ..., "links": "a,b", "config": {...}}: the key
 * of part 0, for `lithops worker --through`, is prefix and a, that of part 1 is prefix and b. None
 * of it is secret. */
#define LITHOPS__BATCH_VARIABLE "LITHOPS_BATCH"
/* Or the name of a file that has it, with the secrets of the configuration. */
#define LITHOPS__BATCH_FILE_VARIABLE "LITHOPS_BATCH_FILE"

#endif
