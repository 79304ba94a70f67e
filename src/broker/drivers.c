/* SPDX-License-Identifier: Apache-2.0 */
/* The brokers that are there, and the choice among them. */
#include "base/error.h"
#include "base/log.h"
#include "broker/broker.h"
#include "broker/driver.h"

#include <string.h>

static const struct lithops__broker_driver *const drivers[] = {&lithops__broker_rabbitmq,
                                                               &lithops__broker_redis};

static const struct lithops__broker_driver *choose(const struct lithops__config *config)
{
    const char *name = lithops__config_string(config, "lithops", "monitoring");
    for (size_t i = 0; name && i < sizeof drivers / sizeof *drivers; i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}

const char *lithops__broker_section(const struct lithops__config *config)
{
    const struct lithops__broker_driver *driver = choose(config);
    return driver ? driver->name : NULL;
}

int lithops__broker_open(const struct lithops__config *config, const char *inbox,
                         const struct lithops__broker_events *events, struct lithops__broker **ret,
                         lithops_error *err)
{
    const struct lithops__broker_driver *driver = choose(config);
    const char *name = lithops__config_string(config, "lithops", "monitoring");
    *ret = NULL;
    if (!driver && name && strcmp(name, "direct") != 0 && strcmp(name, "storage") != 0)
        lithops__log(LITHOPS_LOG_WARNING, "broker",
                     "'monitoring: %s' is not built in: outcomes are looked for in the storage; "
                     "set it to rabbitmq, redis or storage",
                     name);
    if (!driver)
        return 0;
    lithops_value *settings = lithops__config_section(config, driver->name, true);
    if (!settings)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = lithops__broker_start(driver, settings, inbox, events, ret, err);
    lithops_value_free(settings);
    return rc;
}
