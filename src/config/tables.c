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

static int drop_secrets_of(lithops_value *config, const struct lithops__config_section *table)
{
    const lithops_value *section = lithops_value_get(config, table->name);
    lithops_value *left = section ? lithops_value_copy(section) : NULL;
    int failed = 0;
    for (const lithops_config_key *key = table->keys; left && key->name; key++)
        if (key->secret && lithops_value_get(left, key->name))
            failed |= lithops_value_set(left, key->name, lithops_value_null());
    return section ? failed | lithops_value_set(config, table->name, left) : 0;
}

int lithops__config_drop_secrets(lithops_value *config, bool all)
{
    struct lithops__config_section table;
    const char *name;
    int failed = 0;
    for (size_t i = 0; lithops__config_table(i, &table); i++)
        if (all || lithops__config_is_backend(table.name))
            failed |= drop_secrets_of(config, &table);
    for (size_t i = 0; all && lithops_value_pair(config, i, &name); i++)
        if (!lithops__config_has_section(name))
            failed |= lithops_value_set(config, name, lithops_value_map());
    return failed;
}
