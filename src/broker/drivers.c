/* SPDX-License-Identifier: Apache-2.0 */
/* The brokers that are there, and the choice among them. */
#include "base/error.h"
#include "base/log.h"
#include "broker/broker.h"
#include "broker/driver.h"

#include <string.h>

static const struct lithops__broker_driver *const drivers[] = {
    &lithops__broker_rabbitmq, &lithops__broker_redis, &lithops__broker_azure_queue,
    &lithops__broker_aws_sqs, &lithops__broker_gcp_pubsub};

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

static bool has_key(const char *section, const char *key)
{
    struct lithops__config_section table;
    for (size_t i = 0; lithops__config_table(i, &table); i++)
        for (const lithops_config_key *k = table.keys; strcmp(table.name, section) == 0 && k->name;
             k++)
            if (strcmp(k->name, key) == 0)
                return true;
    return false;
}

/* Keys of `section` that `to` lacks. The others may be secrets that are nobody's here. */
static int add_keys(lithops_value *to, const lithops_value *from, const char *section)
{
    int rc = 0;
    const char *key;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(from); i++) {
        const lithops_value *value = lithops_value_pair(from, i, &key);
        const lithops_value *own = lithops_value_get(to, key);
        if ((!own || lithops_value_type(own) == LITHOPS_NULL) && strcmp(key, "endpoint") != 0 &&
            has_key(section, key))
            rc = lithops_value_set(to, key, lithops_value_copy(value));
    }
    return rc;
}

lithops_value *lithops__broker_settings(const struct lithops__config *config)
{
    const struct lithops__broker_driver *driver = choose(config);
    if (!driver)
        return lithops_value_map();
    lithops_value *settings = lithops__config_section(config, driver->name, true);
    int rc = settings ? 0 : LITHOPS_ENOMEM;
    for (size_t i = 0; rc == 0 && driver->sections && driver->sections[i]; i++) {
        lithops_value *other = lithops__config_section(config, driver->sections[i], true);
        rc = !other                                     ? LITHOPS_ENOMEM
             : lithops_value_type(other) == LITHOPS_MAP ? add_keys(settings, other, driver->name)
                                                        : 0;
        lithops_value_free(other);
    }
    if (rc == 0)
        return settings;
    lithops_value_free(settings);
    return NULL;
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
                     "set it to rabbitmq, redis, aws_sqs, gcp_pubsub, azure_queue or storage",
                     name);
    if (!driver)
        return 0;
    lithops_value *settings = lithops__broker_settings(config);
    if (!settings)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = lithops__broker_start(driver, settings, inbox, events, ret, err);
    lithops_value_free(settings);
    return rc;
}

int lithops__broker_clean(const struct lithops__config *config, bool dry_run, uint64_t *ret_removed,
                          lithops_error *err)
{
    const struct lithops__broker_driver *driver = choose(config);
    if (!driver || !driver->clean)
        return 0;
    lithops_value *settings = lithops__broker_settings(config);
    if (!settings)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = driver->clean(settings, dry_run, ret_removed, err);
    lithops_value_free(settings);
    return rc;
}
