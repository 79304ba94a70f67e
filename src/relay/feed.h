/* SPDX-License-Identifier: Apache-2.0 */
/* What a reducer on a link is still to be sent; see reduce.c. */
#ifndef LITHOPS_RELAY_FEED_H
#define LITHOPS_RELAY_FEED_H

#include <stdint.h>

struct lithops__link;

/* A reducer some of whose map calls have not been sent to it. */
struct lithops__feed {
    struct lithops__feed *next;
    uint32_t activation;
    uint32_t maps;        /* the range of its map calls */
    uint32_t failed;      /* of it, when it was last looked through */
    uint64_t begin, end;  /* calls of it */
    uint64_t left;        /* calls that were not sent */
    unsigned char sent[]; /* a bit for each call */
};

/* Remove and free the feed that *at points to, a place in link->feeds. */
void lithops__feed_remove(struct lithops__link *link, struct lithops__feed **at);
/* The reducer is over; it need not have a feed. */
void lithops__feed_end(struct lithops__link *link, uint32_t activation);

#endif
