/* SPDX-License-Identifier: Apache-2.0 */
/* What the Fn project, and Oracle's functions, ask of the container of a function: it listens on a
 * Unix socket, and takes one POST to /call at a time, whose answer comes when it is done. */
#ifndef LITHOPS_AGENT_FN_H
#define LITHOPS_AGENT_FN_H

#include "agent/whisk.h"

/* The path in FN_LISTENER. EUSAGE: there is none, or FN_FORMAT is another one than http-stream. */
int lithops__fn_path(const char **ret_path, lithops_error *err);

/* Listen there. Everybody may connect, and is heard as soon as the path is there. 0, or an errno.
 */
int lithops__fn_listen(const char *path, int *ret_fd);

/* Read what a call brings: the same as the parameters of an action of OpenWhisk.
 * @param deadline  the header Fn-Deadline; NULL: there is none
 * @return 0; EUSAGE: it is not such a request */
int lithops__fn_call_read(lithops_bytes body, const char *deadline,
                          struct lithops__whisk_run *ret_run, lithops_error *err);

#endif
