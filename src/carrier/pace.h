/* SPDX-License-Identifier: Apache-2.0 */
/* How often the storage is asked, and when bytes go: requests cost money and time. */
#ifndef LITHOPS_CARRIER_PACE_H
#define LITHOPS_CARRIER_PACE_H

#include "wire/frame.h"

struct lithops__pace {
    uint64_t longest_ns; /* between two looks: monitoring_interval */
    uint64_t status_ns;  /* that progress may wait: status_interval */
    uint64_t hello_ns;   /* a worker's, for the first object */
    uint64_t gap_ns;     /* for an object that is missing though later ones are there */
};

/* How long to wait between two looks: little while there is traffic, and the longer the more time
 * has passed since, so that what comes then is late by an eighth of that time. */
uint64_t lithops__pace_look(const struct lithops__pace *pace, uint64_t quiet_ns);

/* What a stream of frames carries. Zeroed at its start. */
struct lithops__scan {
    unsigned char header[LITHOPS__FRAME_HEADER];
    size_t have;   /* bytes of the header */
    uint64_t skip; /* bytes of the frame that are still to come */
};
enum {
    LITHOPS__SCAN_NEWS = 1,   /* more than signs of life */
    LITHOPS__SCAN_URGENT = 2, /* somebody waits for it: not mere progress */
    LITHOPS__SCAN_BYE = 4,    /* the client's last word */
};
/* @return flags of the frames that begin in the bytes which follow */
unsigned lithops__scan_feed(struct lithops__scan *scan, const void *bytes, size_t len);

#endif
