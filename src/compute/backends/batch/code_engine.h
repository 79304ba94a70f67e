/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of IBM Code Engine, as their two files share them: names, and requests. */
#ifndef LITHOPS_COMPUTE_BATCH_CODE_ENGINE_H
#define LITHOPS_COMPUTE_BATCH_CODE_ENGINE_H

#include "compute/backends/batch/batch.h"
#include "compute/ibm.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    LITHOPS__CODE_ENGINE_NAME = 64, /* of what is made there, with its NUL */
    LITHOPS__CODE_ENGINE_SIZE = 24, /* a text as "0.25G" */
    LITHOPS__CODE_ENGINE_STATUS = 32,
};

/* Variable of a job, with the version of the engine that has deployed it: by it ours are known. */
#define LITHOPS__CODE_ENGINE_MARK "LITHOPS_ENGINE"

struct lithops__code_engine {
    struct lithops__ibm_api api;
    lithops_value *settings;
    char image[512];
    char cpus[LITHOPS__CODE_ENGINE_SIZE], memory[LITHOPS__CODE_ENGINE_SIZE]; /* as the API has it */
    char job[LITHOPS__CODE_ENGINE_NAME];
    char project_name[128];
    pthread_mutex_t lock;
    char project[LITHOPS__CODE_ENGINE_NAME]; /* [lock] its id; "": not asked for yet */
    atomic_uint serial;                      /* of runs */
};

/* Read the settings; nothing is requested. For close, on failure too.
 * @param image, memory_mb  NULL, 0: those of the settings */
int lithops__code_engine_open(struct lithops__code_engine *engine, const lithops_value *settings,
                              const char *image, int64_t memory_mb, lithops_error *err);
void lithops__code_engine_close(struct lithops__code_engine *engine);

/* The id of the project; ENOTFOUND: there is none of that name, or it is not ready.
 * @param ret_status  then, if it is not NULL: "", or what it is: "creating" */
int lithops__code_engine_project(struct lithops__code_engine *engine,
                                 const struct lithops__bounds *bounds,
                                 char ret_id[LITHOPS__CODE_ENGINE_NAME],
                                 char ret_status[LITHOPS__CODE_ENGINE_STATUS], lithops_error *err);

/* Make a request for something of the project; its path is in `request->path`, as "/job_runs". */
int lithops__code_engine_do(struct lithops__code_engine *engine,
                            const struct lithops__ibm_request *request, lithops_value **ret_answer,
                            lithops_error *err);
/* Visit all of them, whatever pages there are.
 * @param path  with a query: "/secrets?format=generic"
 * @param list  member of the answer that has them: "secrets"
 * @param visit  returns not 0 to end it */
int lithops__code_engine_each(struct lithops__code_engine *engine, const char *path,
                              const char *list, const char *what,
                              int (*visit)(const lithops_value *one, void *user), void *user,
                              const struct lithops__bounds *bounds, lithops_error *err);

#endif
