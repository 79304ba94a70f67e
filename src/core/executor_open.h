/* SPDX-License-Identifier: Apache-2.0 */
/* Opening an executor for those who know more than a program. */
#ifndef LITHOPS_CORE_EXECUTOR_OPEN_H
#define LITHOPS_CORE_EXECUTOR_OPEN_H

#include <lithops/executor.h>

enum lithops__opening {
    LITHOPS__OPEN_BY_CONFIG, /* lithops_executor_open() */
    LITHOPS__OPEN_HERE,      /* a supervisor's: not detached, whatever the configuration says */
    LITHOPS__OPEN_ATTACHED,  /* to jobs that there are */
};
/* `id`: its name; NULL: a new one. */
lithops_executor *lithops__executor_open(const lithops_executor_options *options, const char *id,
                                         enum lithops__opening opening, lithops_error *err);

#endif
