/* SPDX-License-Identifier: Apache-2.0 */
/* Partition specs: one chunk of one object, as a value that travels to a worker. */
#ifndef LITHOPS_PARTITION_SPEC_H
#define LITHOPS_PARTITION_SPEC_H

#include "partition/packing.h"

#include <lithops/stream.h>

/* `object` has its part and range set. NULL newline: plain byte ranges. NULL when memory is out. */
lithops_value *lithops__spec_encode(const lithops_object *object, const char *newline,
                                    enum lithops__packing packing);

/* An object with its own copies of all strings. */
struct lithops__spec {
    lithops_object object;
    lithops_bytes newline; /* len 0: plain byte ranges */
    enum lithops__packing packing;
    char *text; /* holds the strings */
};
/* LITHOPS_EPARSE for what lithops__spec_encode() cannot have made. */
int lithops__spec_decode(const lithops_value *value, struct lithops__spec *ret_spec,
                         lithops_error *err);
/* A spec of all of `object`, its size included. */
int lithops__spec_of(const lithops_object *object, const char *newline,
                     struct lithops__spec *ret_spec, lithops_error *err);
void lithops__spec_deinit(struct lithops__spec *spec);

#endif
