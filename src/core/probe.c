/* SPDX-License-Identifier: Apache-2.0 */
#include "core/probe.h"

#include "base/error.h"
#include "core/inspect.h"

#include <stdio.h>
#include <string.h>

static const struct lithops__compute_driver *find(const struct lithops__config *config,
                                                  lithops_error *err)
{
    const char *backend = lithops__config_string(config, "lithops", "backend");
    for (size_t i = 0; lithops__compute_drivers[i]; i++)
        if (backend && strcmp(lithops__compute_drivers[i]->name, backend) == 0)
            return lithops__compute_drivers[i];
    lithops__fail(err, LITHOPS_EUNSUPPORTED, "compute backend '%s' is not built in",
                  backend ? backend : "?");
    return NULL;
}

int lithops__probe_backend(const struct lithops__config *config, bool start, lithops__probe_say say,
                           void *user, lithops_error *err)
{
    const struct lithops__compute_driver *driver = find(config, err);
    if (!driver)
        return LITHOPS_EUNSUPPORTED;
    if (driver->ops->probe)
        return driver->ops->probe(driver, config, start, say, user, err);
    struct lithops__capacity capacity;
    char text[64];
    int rc = driver->ops->capacity(driver, config, &capacity, err);
    if (rc != 0)
        return rc;
    snprintf(text, sizeof text, "this machine, up to %u calls at a time", capacity.workers);
    say(user, driver->name, true, text);
    return 0;
}

int lithops__ask_backend(const struct lithops__config *config, const char *machine,
                         const char *arguments, lithops__probe_say say, void *user,
                         lithops_error *err)
{
    const struct lithops__compute_driver *driver = find(config, err);
    if (!driver)
        return LITHOPS_EUNSUPPORTED;
    if (driver->ops->ask)
        return driver->ops->ask(config, machine, arguments, say, user, err);
    if (machine)
        return lithops__fail(err, LITHOPS_EUSAGE, "the backend %s has no host '%s'", driver->name,
                             machine);
    return 0;
}

int lithops__clean_backend(const struct lithops__config *config, bool dry_run,
                           uint64_t *ret_removed, lithops_error *err)
{
    const struct lithops__compute_driver *driver = find(config, NULL);
    return driver && driver->ops->clean
               ? driver->ops->clean(driver, config, lithops__inspect_is_alive, dry_run, ret_removed,
                                    err)
               : 0;
}

int lithops__attach_backend(const struct lithops__config *config, const char *machine,
                            lithops_error *err)
{
    const struct lithops__compute_driver *driver = find(config, err);
    if (!driver)
        return LITHOPS_EUNSUPPORTED;
    if (driver->ops->attach)
        return driver->ops->attach(config, machine, err);
    return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                         "the backend %s has no hosts to attach to: the backend vm has",
                         driver->name);
}

bool lithops__probe_is_untested(const char *backend)
{
    for (size_t i = 0; lithops__compute_drivers[i]; i++)
        if (strcmp(lithops__compute_drivers[i]->name, backend) == 0)
            return lithops__compute_drivers[i]->untested;
    return false;
}
