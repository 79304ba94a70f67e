/* SPDX-License-Identifier: Apache-2.0 */
/* The API of OpenWhisk, as far as workers need it: an action is invoked without waiting for its
 * result, and the activation that this makes is looked at until it has one. */
#ifndef LITHOPS_COMPUTE_WHISK_H
#define LITHOPS_COMPUTE_WHISK_H

#include <stdint.h>

struct lithops__whisk {
    char *invoke_url, *action_url, *activations_url; /* the last one ends with '/' */
    struct activation *activations; /* of workers, by number; requests for them are `workers` */
    uint64_t looks_ns; /* the relay's thread: until then there are none, as a token is missing */
};

#endif
