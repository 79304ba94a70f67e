/* SPDX-License-Identifier: Apache-2.0 */
/* What the platform of OpenWhisk says to the container of an action: `/init` once, with the
 * environment, then `/run` for each activation, with its parameters. */
#ifndef LITHOPS_AGENT_WHISK_H
#define LITHOPS_AGENT_WHISK_H

#include <lithops/base.h>
#include <lithops/error.h>
#include <lithops/value.h>

enum { LITHOPS__WHISK_SECRET = 256 };

/* Take what `/init` says into the environment of this process, and of its children.
 * @param secret  that of the workers, which is not put there; "" if there is none
 * @return 0; EUSAGE: it is not such a request, or the secret is too long; ENOMEM */
int lithops__whisk_init(lithops_bytes body, char secret[LITHOPS__WHISK_SECRET], lithops_error *err);

/* The parameters of an activation. What points somewhere is borrowed from `value`. */
struct lithops__whisk_run {
    lithops_value *value;   /* the caller's */
    const char *activation; /* as the header of an activation (net/activation.h), or NULL */
    lithops_bytes sealed;
    int64_t left_ms; /* until the platform kills the container; INT64_MAX: it does not say */
};
/* Read what `/run` says. Its activation's id and deadline go to the environment, but not the API
 * key. @return 0; EUSAGE: it is not such a request; ENOMEM */
int lithops__whisk_run_read(lithops_bytes body, struct lithops__whisk_run *ret_run,
                            lithops_error *err);

/* What ends the log of an activation, on both streams. */
void lithops__whisk_end_log(void);

#endif
