/* SPDX-License-Identifier: Apache-2.0 */
/* What tests share that run by tests/servers/with-hosts. */
#ifndef LITHOPS_TESTS_HOSTS_H
#define LITHOPS_TESTS_HOSTS_H

#include "fault.h"

extern const char *hosts_folder; /* of with-hosts */

/* At the start of a test; ends it where there are no hosts. */
void hosts_init(void);
/* `settings` is JSON for the section vm. */
lithops_executor *hosts_open(const char *settings, int retries);
/* The only host is refused in time, and the message has both texts. */
void hosts_refused(const char *settings, const char *host, const char *text);
pid_t hosts_pid(const char *host); /* of its first process */

#endif
