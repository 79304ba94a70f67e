/* SPDX-License-Identifier: Apache-2.0 */
/* All tables of keys, one after the other: the engine's own, and those of the storage drivers. */
#include "config/config.h"
#include "config/keys.h"
#include "storage/drivers.h"

#include <string.h>

bool lithops__config_table(size_t i, struct lithops__config_section *ret)
{
    static const lithops_config_key no_keys[] = {{.name = NULL}};
    for (const struct lithops__config_section *s = lithops__config_sections; s->name; s++)
        if (i-- == 0) {
            *ret = *s;
            return true;
        }
    const lithops_storage_driver *driver = lithops__storage_driver(i);
    if (!driver)
        return false;
    *ret = (struct lithops__config_section){driver->name, driver->summary,
                                            driver->config_keys ? driver->config_keys : no_keys};
    return true;
}

bool lithops__config_has_section(const char *name)
{
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++)
        if (strcmp(s.name, name) == 0)
            return true;
    return false;
}

bool lithops__config_is_backend(const char *section)
{
    for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
        if (strcmp(b->name, section) == 0)
            return true;
    return false;
}
