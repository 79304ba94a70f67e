/* SPDX-License-Identifier: Apache-2.0 */
/* AWS Batch, as its two files share it: names, and requests. */
#ifndef LITHOPS_COMPUTE_BATCH_AWS_H
#define LITHOPS_COMPUTE_BATCH_AWS_H

#include "compute/aws.h"
#include "compute/backends/batch/batch.h"

enum { LITHOPS__AWS_BATCH_NAME = 129 }; /* of what is made there, with its NUL */

struct lithops__aws_batch {
    struct lithops__aws_api api;
    lithops_value *settings;
    char image[512];
    int64_t memory_mb;
    double cpus;
    const char *type; /* of the settings: "FARGATE_SPOT" */
    bool is_fargate;
    char environment[LITHOPS__AWS_BATCH_NAME], queue[LITHOPS__AWS_BATCH_NAME],
        definition[LITHOPS__AWS_BATCH_NAME];
};

/* Read the settings; nothing is requested. For close, on failure too.
 * @param image, memory_mb  NULL, 0: those of the settings */
int lithops__aws_batch_open(struct lithops__aws_batch *aws, const lithops_value *settings,
                            const char *image, int64_t memory_mb, lithops_error *err);
void lithops__aws_batch_close(struct lithops__aws_batch *aws);

/* Make a request: POST /v1/<action>. `body` is freed; NULL: no memory.
 * @param what  could not be done, if it fails: "cannot submit a job"
 * @param ret_answer  a map, for lithops_value_free(); may be NULL */
int lithops__aws_batch_ask(struct lithops__aws_batch *aws, const char *action, lithops_value *body,
                           const char *what, const struct lithops__bounds *bounds,
                           lithops_value **ret_answer, lithops_error *err);
/* Tags of what we make there: those of the user, and ours. NULL: no memory. */
lithops_value *lithops__aws_batch_tags(const struct lithops__aws_batch *aws);

#endif
