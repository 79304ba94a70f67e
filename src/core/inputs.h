/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs of calls, put into shared memory. All under the table's lock: [L]. */
#ifndef LITHOPS_CORE_INPUTS_H
#define LITHOPS_CORE_INPUTS_H

#include <lithops/error.h>
#include <lithops/value.h>

#include <stdint.h>

struct lithops__area;
struct lithops__range;
struct lithops__record;
struct lithops__slot;
struct lithops__table;

/* Put the inputs of a job, a list, into its range. */
int lithops__store_inputs(struct lithops__table *table, struct lithops__range *range,
                          const lithops_value *inputs, lithops_error *err);
/* Or only slots for them, which are filled one by one. */
int lithops__make_slots(struct lithops__table *table, struct lithops__range *range,
                        uint64_t capacity, lithops_error *err);
/* Encode a value into a slot. NULL fails, as lithops__fail_null_input(). */
int lithops__slot_fill(struct lithops__table *table, struct lithops__slot *slot,
                       const lithops_value *value, lithops_error *err);
/* The same with the result of another call, also of another executor. */
int lithops__slot_copy(struct lithops__table *table, struct lithops__slot *slot,
                       const struct lithops__area *from, const struct lithops__record *record,
                       lithops_error *err);
/* Sizes as they travel: of one input, of all of a job. */
uint64_t lithops__slot_bytes(const struct lithops__table *table, const struct lithops__slot *slot);
uint64_t lithops__input_bytes(const struct lithops__table *table,
                              const struct lithops__range *range);
/* LITHOPS_ENOSPACE, and what to do. */
int lithops__fail_no_space(const struct lithops__table *table, lithops_error *err);
int lithops__fail_null_input(lithops_error *err);

#endif
