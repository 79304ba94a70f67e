/* SPDX-License-Identifier: Apache-2.0 */
/* Batch services: a job is submitted, waits in a queue, and runs a container, of which each is one
 * worker. All that they have in common is in batch.c; what a service does otherwise is a table of
 * requests. */
#ifndef LITHOPS_COMPUTE_BATCH_H
#define LITHOPS_COMPUTE_BATCH_H

#include "base/retry.h"
#include "compute/compute.h"
#include "compute/linked.h"

enum {
    LITHOPS__BATCH_ID = 128,  /* of a job, or of a part of one */
    LITHOPS__BATCH_NAME = 96, /* of a job, as we call it */
    LITHOPS__BATCH_WHY = 400,
};

/* A job to submit: all its parts run the same, and know which one they are. */
struct lithops__batch_order {
    const char *name;     /* letters, digits and '-' */
    uint32_t parts;       /* at least 1 */
    const char *variable; /* of the environment, */
    const char *value;    /* with what the parts are told */
    uint32_t lifetime_s;  /* when the service ends a part that runs still */
    struct lithops__bounds bounds;
};

enum lithops__batch_phase { LITHOPS__BATCH_WAITS, LITHOPS__BATCH_RUNS, LITHOPS__BATCH_ENDED };

/* What the service says of a part. */
struct lithops__batch_seen {
    bool is_known; /* it says anything at all */
    enum lithops__batch_phase phase;
    bool has_run;                 /* its container was started */
    bool is_hopeless;             /* another one would fare alike */
    bool is_gone;                 /* it has ended, if it was known before: it is there no more */
    char why[LITHOPS__BATCH_WHY]; /* why it waits, or how it ended; or "" */
};

/* A service. Slots return 0 or a lithops_code and fill `err`; `bounds` end them. All but open and
 * close are called by several threads at a time. */
struct lithops__batch_service {
    uint32_t most_parts;     /* of a job */
    size_t most_bytes;       /* of what the parts are told */
    uint32_t most_described; /* in one request */
    uint32_t look_ms;        /* between two looks */
    uint32_t state_size;
    bool takes_secrets; /* what the parts are told is kept as a secret, so it may have some in it */
    bool ends_whole;    /* a job is terminated with all its parts, or not */
    bool keeps_ended;   /* what has ended stays, until it is terminated */
    int (*open)(void *state, const lithops_value *settings, lithops_error *err);
    void (*close)(void *state); /* also after a failed open */
    /* @param ret_is_doubtful  set where the service may have one more job of that name than it
     * returns, as when a request was lost on its way or back */
    int (*submit)(void *state, const struct lithops__batch_order *order,
                  char ret_id[LITHOPS__BATCH_ID], bool *ret_is_doubtful, lithops_error *err);
    /* Name of part `index` of a job of `parts`, for describe and terminate. */
    void (*part)(const char *id, uint32_t index, uint32_t parts, char ret_id[LITHOPS__BATCH_ID]);
    /* `count` is at most most_described; *ret_seen is zeroed, and in the order of ids. */
    int (*describe)(void *state, const char *const *ids, size_t count,
                    struct lithops__batch_seen *ret_seen, const struct lithops__bounds *bounds,
                    lithops_error *err);
    /* End a part (unless ends_whole), or a job with all its parts. One that has ended, or is gone,
     * is fine. */
    int (*terminate)(void *state, const char *id, const char *reason,
                     const struct lithops__bounds *bounds, lithops_error *err);
    /* Jobs that have not ended, or were kept, and whose name begins like that. */
    int (*list)(void *state, const char *prefix,
                int (*visit)(const char *id, const char *name, void *user), void *user,
                const struct lithops__bounds *bounds, lithops_error *err);
    /* What config check says of the place that jobs go to. */
    int (*probe)(void *state, char *ret_text, size_t size, const struct lithops__bounds *bounds,
                 lithops_error *err);
};

/* The driver of links to workers that a batch service starts. */
struct lithops__batch_links {
    lithops_link_driver driver; /* first: it is what the relay knows */
    const struct lithops__batch_service *service;
};

/* The slots of such a driver, and the size of its state. */
extern const lithops_link_ops lithops__batch_link_ops;
extern const size_t lithops__batch_state_size;

/* ---- what services share: names.c --------------------------------------------------------------
 */

/* A member of settings or of an answer; NULL: it is not there, or null. Of a text also: it is "".
 */
const lithops_value *lithops__batch_get(const lithops_value *map, const char *key);
const char *lithops__batch_text(const lithops_value *map, const char *key);

/* Of an image, in names of what is deployed for it: of a text, which is cut, letters, digits, and
 * '-' for all else; of an image that without its registry; and a number that tells images apart. */
void lithops__batch_plain(const char *text, char *buf, size_t size);
void lithops__batch_image(const char *image, char *buf, size_t size);
uint32_t lithops__batch_hash(const char *text);
/* What the slots of runtimes return: the name, and (unless NULL) that it is of this engine. ENOMEM:
 * neither. */
int lithops__batch_deployed(const char *name, char **ret_name, lithops_value **ret_meta,
                            lithops_error *err);

/* ---- aws_batch --------------------------------------------------------------------------------
 */

extern const struct lithops__batch_service lithops__batch_aws;
extern const struct lithops__runtime_ops lithops__batch_aws_runtimes;

/* ---- code_engine ------------------------------------------------------------------------------
 */

extern const struct lithops__batch_service lithops__batch_code_engine;
extern const struct lithops__runtime_ops lithops__batch_code_engine_runtimes;
/* As `check` of its driver. */
int lithops__code_engine_check(const struct lithops__compute_driver *driver,
                               const struct lithops__config *config, lithops_error *err);

#endif
