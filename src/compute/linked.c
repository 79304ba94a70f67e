/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/linked.h"

#include "base/error.h"
#include "base/module.h"
#include "ipc/area.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has(const lithops_value *settings, const char *key)
{
    const lithops_value *own = lithops_value_get(settings, key);
    return own && lithops_value_type(own) != LITHOPS_NULL;
}

/* What another section says and this one does not; but no token of another key, and no region
 * beside one of an older name. False: out of memory. */
static bool add(lithops_value *settings, const lithops_value *shared)
{
    const bool has_key = has(settings, "access_key_id"), has_region = has(settings, "region_name");
    bool is_whole = shared != NULL;
    for (size_t i = 0; is_whole && i < lithops_value_size(shared); i++) {
        const char *key;
        const lithops_value *value = lithops_value_pair(shared, i, &key);
        bool is_of_another = (has_key && strcmp(key, "session_token") == 0) ||
                             (has_region && strcmp(key, "region") == 0);
        if (!is_of_another && !has(settings, key))
            is_whole = lithops_value_set(settings, key, lithops_value_copy(value)) == 0;
    }
    return is_whole;
}

/* The section of its provider, as upstream has it: "ibm" of ibm_cf. NULL: it has none. */
static const char *provider_of(const char *section, char buf[32])
{
    size_t len = strcspn(section, "_");
    if (strcmp(section, "code_engine") == 0)
        return "ibm";
    if (!section[len] || len >= 32)
        return NULL;
    memcpy(buf, section, len);
    buf[len] = '\0';
    return buf;
}

lithops_value *lithops__linked_settings(const struct lithops__config *config, const char *section)
{
    char buf[32];
    const char *mode = lithops__config_string(config, "lithops", "mode");
    bool is_standalone = mode && strcmp(mode, "standalone") == 0;
    const char *names[] = {is_standalone ? mode : NULL, provider_of(section, buf)};
    lithops_value *settings = lithops__config_section(config, section, true);
    bool is_whole = settings != NULL;
    for (size_t i = 0; is_whole && i < 2; i++) {
        lithops_value *shared = names[i] ? lithops__config_section(config, names[i], true) : NULL;
        is_whole = !names[i] || add(settings, shared);
        lithops_value_free(shared);
    }
    if (is_whole)
        return settings;
    lithops_value_free(settings);
    return NULL;
}

int lithops__linked_open(const struct lithops__compute_driver *driver, void *state,
                         struct lithops__table *table, const struct lithops__config *config,
                         const char *const *worker_command, lithops_error *err)
{
    struct lithops__linked *own = state;
    int rc = driver->check ? driver->check(driver, config, err) : 0;
    if (rc != 0)
        return rc;
    lithops_value *settings = lithops__linked_settings(config, driver->name);
    if (!settings)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    rc = lithops__relay_open(driver->links, settings, table, config, worker_command, &own->relay,
                             err);
    lithops_value_free(settings);
    return rc;
}

void lithops__linked_close(void *state)
{
    lithops__relay_close(((struct lithops__linked *)state)->relay);
}

/* The bell, which whoever offers calls rings, wakes the relay. */
void lithops__linked_offered(void *state, uint32_t range, uint64_t calls)
{
    (void)state, (void)range, (void)calls;
}

void lithops__linked_cancel(void *state, uint32_t range, uint64_t begin, uint64_t end)
{
    lithops__relay_cancel(((struct lithops__linked *)state)->relay, range, begin, end);
}

void lithops__linked_capacity_of(const struct lithops__config *config, const char *section,
                                 uint32_t workers, struct lithops__capacity *ret_capacity)
{
    int64_t mb = lithops__config_int(config, section, "shared_memory");
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *ret_capacity = (struct lithops__capacity){
        .hosts = workers,
        .workers = workers, /* a slot for each link */
        .memory_bytes =
            mb > 0 ? (uint64_t)mb << 20 : (uint64_t)sysconf(_SC_PHYS_PAGES) * page / 4 * 3,
    };
    snprintf(ret_capacity->memory_key, sizeof ret_capacity->memory_key, "%s.shared_memory",
             section);
}

int lithops__linked_capacity(const struct lithops__compute_driver *driver,
                             const struct lithops__config *config,
                             struct lithops__capacity *ret_capacity, lithops_error *err)
{
    (void)err;
    lithops__linked_capacity_of(
        config, driver->name,
        (uint32_t)lithops__config_int(config, driver->name, driver->workers_key), ret_capacity);
    return 0;
}

int lithops__linked_check_role(const struct lithops__compute_driver *driver,
                               const struct lithops__config *config, lithops_error *err)
{
    const char *storage = lithops__config_string(config, "lithops", "storage");
    if (storage && strcmp(storage, "aws_s3") == 0)
        return 0;
    return lithops__fail(err, LITHOPS_ECONFIG,
                         "workers of %s reach the storage by their role, and get no secrets: the "
                         "storage must be aws_s3, not %s",
                         driver->name, storage ? storage : "?");
}

int lithops__linked_check_storage(const struct lithops__compute_driver *driver,
                                  const struct lithops__config *config, lithops_error *err)
{
    const char *storage = lithops__config_string(config, "lithops", "storage");
    return storage && strcmp(storage, "localhost") == 0
               ? lithops__fail(err, LITHOPS_ECONFIG,
                               "the workers of %s cannot reach the storage 'localhost', which is a "
                               "folder of this machine: name another one with lithops.storage",
                               driver->name)
               : 0;
}

int lithops__linked_public_config(const char *config, lithops_value **ret_config,
                                  lithops_error *err)
{
    lithops_value *given = lithops_value_from_json(config, strlen(config), err);
    if (!given)
        return err->code;
    lithops_value *own = lithops_value_copy(lithops_value_get(given, "lithops"));
    int rc = own ? 0 : LITHOPS_ENOMEM;
    if (rc == 0)
        rc = lithops_value_set(own, "monitoring", lithops_value_string("storage"));
    if (rc == 0)
        rc = lithops_value_set(given, "lithops", own);
    else
        lithops_value_free(own);
    if (rc == 0)
        rc = lithops__config_drop_secrets(given, true);
    if (rc == 0) {
        *ret_config = given;
        return 0;
    }
    lithops_value_free(given);
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

void lithops__own_command(char *buf, size_t size)
{
    static const char *const places[] = {"../bin/lithops", "lithops", "lithops-command",
                                         "../../bin/lithops" /* of lib/<machine> */};
    struct stat status;
    char folder[PATH_MAX];
    lithops__own_folder(folder, sizeof folder);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(buf, size, "%s/%s", folder, places[i]);
        if (stat(buf, &status) == 0 && S_ISREG(status.st_mode) && access(buf, X_OK) == 0)
            return;
    }
    snprintf(buf, size, "lithops");
}
