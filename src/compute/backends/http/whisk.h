/* SPDX-License-Identifier: Apache-2.0 */
/* The API of OpenWhisk, as far as workers need it: an action is invoked without waiting for its
 * result, and the activation that this makes is looked at until it has one. */
#ifndef LITHOPS_COMPUTE_WHISK_H
#define LITHOPS_COMPUTE_WHISK_H

#include "base/buffer.h"

#include <lithops/error.h>
#include <lithops/value.h>

#include <stdint.h>

enum {
    LITHOPS__WHISK_ID = 65, /* of an activation, with its NUL; usually 33 */
    LITHOPS__WHISK_HOW = 512,
    /* From when a worker is told to end to when the platform would kill it (agent/http_server.c).
     */
    LITHOPS__WHISK_MARGIN_MS = 6000,
};

struct lithops__whisk {
    char *invoke_url, *action_url, *activations_url; /* the last one ends with '/' */
};

/* From the section of a backend: endpoint, or region; namespace; action. All of it is ECONFIG where
 * it cannot be right. */
int lithops__whisk_open(struct lithops__whisk *whisk, const char *backend,
                        const lithops_value *settings, lithops_error *err);
void lithops__whisk_close(struct lithops__whisk *whisk);

/* The parameters of an activation. */
int lithops__whisk_wrap(const char *activation, lithops_bytes sealed, struct lithops__buffer *body,
                        lithops_error *err);
/* The id in the answer to an invocation; false: there is none. */
bool lithops__whisk_read_id(const char *text, char ret_id[LITHOPS__WHISK_ID]);
/* How an activation has ended, by the answer to a request for its result. */
void lithops__whisk_read_result(const char *text, char ret_how[LITHOPS__WHISK_HOW]);

#endif
