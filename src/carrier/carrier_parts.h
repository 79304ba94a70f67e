/* SPDX-License-Identifier: Apache-2.0 */
/* Client and worker of a link through a storage, in one process, over a localhost storage whose
 * lists lag and whose requests are counted. What the tests of links share. */
#ifndef LITHOPS_CARRIER_PARTS_H
#define LITHOPS_CARRIER_PARTS_H

#include "carrier/carrier.h"

#include "base/error.h"
#include "wire/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

extern lithops_error err;

struct server {
    atomic_uint puts, lists, reads, deletes;
    atomic_bool lags;    /* a list lacks what was new the last time */
    atomic_bool refuses; /* whatever is to be stored */
    atomic_bool stalls;  /* a put ends when it is given up, and is carried out later */
    atomic_uint known;   /* objects that the last list had */
};
extern struct server server;

/* What is configured besides the storage; defaults: none, 0.1 s. */
extern const char *monitoring;
extern lithops_value *(*broker_section)(void);
extern double monitoring_interval;

int set_up(void **state);
int tear_down(void **state);

struct both {
    struct lithops__config *config;
    struct lithops__carrier *carrier;
    struct lithops__carried *carried;
    char key[LITHOPS__CARRIER_KEY];
    int client, worker;
};

struct lithops__config *configure(void);
/* A link whose two sides have said hello. */
void connect_both(struct both *both);
/* Nothing of it is left in the storage. */
void end_both(struct both *both);
/* Bytes go there and back, five times. */
void talk(struct both *both);
unsigned count_objects(struct lithops__config *config);
/* Carry out the put that has stalled, as somebody asks for its object for the first time, or now.
 */
void carry_out(void);

/* Write a frame whose bytes are that of the stream, and read it. */
void say(int fd, uint16_t type, uint16_t flags, uint32_t stream, size_t len);
void hear(int fd, uint16_t type, uint32_t stream, size_t len);

#endif
