/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that a service has asked this process for: `lithops worker --through -`, its child.
 *
 * Starting a program and loading what it needs takes longer than everything else that it does until
 * it is a worker. So one may be made ready before somebody asks for it: then it waits at its
 * standard input for a byte. What it is, secrets included, is in a memory file by then that both
 * have: whoever tells it does not wait until it reads. */
#ifndef LITHOPS_AGENT_THROUGH_H
#define LITHOPS_AGENT_THROUGH_H

#include "carrier/carrier.h"
#include "compute/child.h"

/* A child that waits, or none. */
struct lithops__standby {
    struct lithops__child child;
    int fd;       /* a byte here says that it has been told; -1: there is none */
    int texts_fd; /* what it is told goes here */
};
#define LITHOPS__STANDBY_NONE                                                                      \
    {                                                                                              \
        .child = {.watch = {.fd = -1}, .log_fd = -1}, .fd = -1, .texts_fd = -1                     \
    }

/* Start one, unless there is one. Its environment is this one's without the secret of requests. It
 * is killed when this process ends. One thread only may start children, and the process has no
 * other.
 * @param keeps_log  its standard error is kept, for lithops__child_log_tail(); else it is ours */
int lithops__through_prepare(struct lithops__standby *standby, const char *command, bool keeps_log,
                             lithops_error *err);
/* It is not wanted any more, if there is one. */
void lithops__through_drop(struct lithops__standby *standby);

/* Have the one that waits, or a new one, take the link `key` with `config` as its configuration. */
int lithops__through_start(struct lithops__standby *standby, const char *command, bool keeps_log,
                           const char *key, const char *config, struct lithops__child *ret_child,
                           lithops_error *err);
/* It has ended: reap it, and say how. */
void lithops__through_end(struct lithops__child *child, char *ret_how, size_t size);

/* In the child: wait until it is told. The configuration is in the environment then.
 * @return 0; ECANCELED: it is not wanted; and others */
int lithops__through_await(char ret_key[LITHOPS__CARRIER_KEY], lithops_error *err);

#endif
