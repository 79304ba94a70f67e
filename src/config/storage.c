/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the storage that a configuration names, with the settings of its section; and registering
 * drivers, each of which brings a section of its name. */
#include "config/storage.h"

#include "base/error.h"
#include "config/keys.h"
#include "storage/drivers.h"
#include "storage/storage.h"

#include <lithops/plugin/runtime.h>
#include <lithops/plugin/storage.h>

#include <string.h>

const lithops_storage_driver *lithops__storage_choose(const struct lithops__config *config,
                                                      const char *backend, lithops_error *err)
{
    return lithops__storage_find(
        backend ? backend : lithops__config_string(config, "lithops", "storage"), err);
}

lithops_storage *lithops__storage_open(const struct lithops__config *config, const char *backend,
                                       lithops_error *err)
{
    const lithops_storage_driver *driver = lithops__storage_choose(config, backend, err);
    if (!driver)
        return NULL;
    lithops_value *settings = lithops__config_section(config, driver->name, true);
    if (!settings) {
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        return NULL;
    }
    const char *bucket = lithops_value_get_string(lithops_value_get(settings, "storage_bucket"));
    lithops_storage *storage = lithops__storage_open_driver(driver, settings, bucket, err);
    lithops_value_free(settings);
    return storage;
}

static lithops_storage *open_with(const lithops_executor_options *options, lithops_error *err)
{
    struct lithops__config *config;
    if (lithops__config_load(options, &config, err) != 0)
        return NULL;
    lithops_storage *storage = lithops__storage_open(config, options->storage, err);
    lithops__config_free(config);
    return storage;
}

lithops_storage *lithops_storage_open(const char *backend, const char *config_file,
                                      lithops_error *err)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.storage = backend;
    options.config_file = config_file;
    return open_with(&options, err);
}

lithops_storage *lithops_storage_open_config(const char *backend, const lithops_value *config,
                                             lithops_error *err)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.storage = backend;
    options.config = config;
    return open_with(&options, err);
}

int lithops_storage_register(const lithops_storage_driver *driver, lithops_error *err)
{
    if (!driver || !driver->name || !*driver->name)
        return lithops__fail(err, LITHOPS_EUSAGE, "a storage driver needs a name");
    for (const struct lithops__config_section *s = lithops__config_sections; s->name; s++)
        if (strcmp(s->name, driver->name) == 0 && driver != &lithops__storage_localhost)
            return lithops__fail(err, LITHOPS_EEXIST,
                                 "a storage driver cannot be named '%s', which is a section of the "
                                 "engine's own: give it another name",
                                 driver->name);
    return lithops__storage_add(driver, err);
}
