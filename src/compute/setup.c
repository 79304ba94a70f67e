/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/setup.h"

#include "base/error.h"
#include "value/value.h"

/* How much of calls' output is kept. */
static void bound_output(struct lithops__control *control, const struct lithops__config *config)
{
    uint64_t call = (uint64_t)lithops__config_int(config, "lithops", "output_per_call");
    uint64_t all = (uint64_t)lithops__config_int(config, "lithops", "output_kept");
    control->log_call_bytes = call << 20;
    control->log_slot_bytes = (all << 20) / control->max_workers;
    if (control->log_slot_bytes < 2 * control->log_call_bytes)
        control->log_slot_bytes = 2 * control->log_call_bytes;
}

void lithops__compute_setup(struct lithops__table *table, const struct lithops__config *config,
                            struct lithops__tick_clock *clock)
{
    lithops__tick_clock_update(clock);
    table->area.control->ticks_per_ms = (uint64_t)(1e6 / clock->ns_per_tick) + 1;
    bound_output(table->area.control, config);
}

int lithops__compute_share_config(struct lithops__table *table,
                                  const struct lithops__config *config, lithops_error *err)
{
    lithops_value *value = lithops__config_value(config, true);
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    int rc = value ? lithops__value_encode(value, &buffer, err)
                   : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    struct lithops__control *control = table->area.control;
    if (rc == 0) {
        control->config = lithops__table_store(table, buffer.data, buffer.len);
        control->config_len = buffer.len;
        if (!control->config)
            rc = lithops__fail(err, LITHOPS_ENOSPACE, "no shared memory left");
    }
    lithops__buffer_deinit(&buffer);
    lithops_value_free(value);
    return rc;
}
