/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of links through a storage beside a broker have in common, whichever broker it is. */
#ifndef LITHOPS_CARRIER_BROKER_PARTS_H
#define LITHOPS_CARRIER_BROKER_PARTS_H

#include "broker/driver.h"
#include "carrier/carrier_parts.h"
#include "carrier/end.h"

#include <lithops/log.h>

struct kind {
    const char *name;
    lithops_value *(*section)(void);
    const char *pid_file; /* variable of the environment */
};
/* For the next links: with this broker, and a look each `interval` seconds. Clears what was said.
 */
void use(const struct kind *kind, double interval);

/* What broker and carrier have logged since it was cleared. */
extern struct said {
    pthread_mutex_t lock;
    pthread_cond_t news;
    char text[16 << 10];
} said;
void listen_to_log(lithops_log_level level, const char *where, const char *text, void *user);
unsigned count_said(const char *text); /* [lock] */
/* Until it has been said so often. The test's time limit ends it. */
void await_said(const char *text, unsigned times);

/* A look every hour: but for what notices say, nothing would be known. Until of 50 objects no more
 * than `most` were looked for, and twice as many read; one look may have begun before. */
void notices_are_enough(const struct kind *kind, unsigned most);
/* Objects that do not go along with their notices, and others. */
void long_objects_are_fetched(const struct kind *kind);
/* Both sides go on through the storage, and with the broker when it is back. */
void a_broker_may_die(const struct kind *kind);
/* The job goes on, and one warning says why it is slower. */
void goes_on_without(lithops_value *(*section)(void), const char *name, const char *message);

#endif
