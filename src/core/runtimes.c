/* SPDX-License-Identifier: Apache-2.0 */
#include "core/runtimes.h"

#include "base/error.h"
#include "base/log.h"
#include "config/storage.h"
#include "wire/message.h"

#include <lithops/storage.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 512, STORAGE_MS = 20000 };

static const struct lithops__runtime_ops *find(const struct lithops__config *config,
                                               lithops_error *err)
{
    const char *backend = lithops__config_string(config, "lithops", "backend");
    char known[256] = "";
    for (size_t i = 0, used = 0; lithops__compute_drivers[i] && used < sizeof known; i++) {
        const struct lithops__compute_driver *driver = lithops__compute_drivers[i];
        if (driver->runtimes && backend && strcmp(driver->name, backend) == 0)
            return driver->runtimes;
        if (driver->runtimes)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "",
                                     driver->name);
    }
    lithops__fail(err, LITHOPS_EUNSUPPORTED,
                  "the backend %s needs no runtime to be deployed: its functions run in what is on "
                  "the machine, as the key 'runtime' says; these have some: %s",
                  backend ? backend : "?", known);
    return NULL;
}

/* ---- the record ------------------------------------------------------------------------------ */

/* Write, or delete, what is known of a runtime. It is a record only: it must not fail a deployment.
 */
static void keep(const struct lithops__config *config, const char *name, const lithops_value *meta)
{
    const char *backend = lithops__config_string(config, "lithops", "backend");
    lithops_error err = LITHOPS_ERROR_INIT;
    char key[KEY], *text = NULL;
    int rc = 0;
    snprintf(key, sizeof key, "lithops.runtimes/%s/%s.meta.json", backend, name);
    lithops_storage *storage = lithops__storage_open(config, NULL, &err);
    if (!storage)
        rc = err.code;
    if (rc == 0)
        rc = lithops_storage_set_bounds(storage, STORAGE_MS, NULL, NULL, &err);
    if (rc == 0 && meta && (rc = lithops_value_to_json(meta, &text, &err)) == 0)
        rc = lithops_storage_put(storage, lithops_storage_bucket(storage), key,
                                 (lithops_bytes){text, strlen(text)}, &err);
    else if (rc == 0 && !meta)
        rc = lithops_storage_delete(storage, lithops_storage_bucket(storage), key, &err);
    if (rc != 0)
        lithops__log(LITHOPS_LOG_WARNING, "runtime", "the record of %s in the storage: %s", name,
                     err.message);
    free(text);
    lithops_storage_close(storage);
}

/* ---- what is done ---------------------------------------------------------------------------- */

int lithops__runtime_build(const struct lithops__config *config,
                           const struct lithops__runtime_wish *wish, char **ret_text,
                           lithops_error *err)
{
    const struct lithops__runtime_ops *ops = find(config, err);
    return ops ? ops->build(config, wish, ret_text, err) : LITHOPS_EUNSUPPORTED;
}

int lithops__runtime_deploy(const struct lithops__config *config,
                            const struct lithops__runtime_wish *wish, bool must_exist,
                            char **ret_name, lithops_value **ret_meta, lithops_error *err)
{
    const struct lithops__runtime_ops *ops = find(config, err);
    if (!ops)
        return LITHOPS_EUNSUPPORTED;
    char *name;
    lithops_value *meta;
    int rc = ops->deploy(config, wish, must_exist, &name, &meta, err);
    if (rc != 0)
        return rc;
    keep(config, name, meta);
    const char *version = lithops_value_get_string(lithops_value_get(meta, "version"));
    int64_t protocol = lithops_value_get_int(lithops_value_get(meta, "protocol"));
    if (version && strcmp(version, LITHOPS_VERSION) == 0 && protocol == LITHOPS__WIRE_PROTOCOL) {
        *ret_name = name;
        *ret_meta = meta;
        return 0;
    }
    rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                       "%s is deployed, but has Lithops %s (protocol %lld), and this is "
                       "Lithops " LITHOPS_VERSION " (protocol %d): build its image again",
                       name, version ? version : "?", (long long)protocol, LITHOPS__WIRE_PROTOCOL);
    free(name);
    lithops_value_free(meta);
    return rc;
}

int lithops__runtime_list(const struct lithops__config *config,
                          int (*visit)(const struct lithops__runtime_seen *seen, void *user),
                          void *user, lithops_error *err)
{
    const struct lithops__runtime_ops *ops = find(config, err);
    return ops ? ops->list(config, visit, user, err) : LITHOPS_EUNSUPPORTED;
}

int lithops__runtime_remove(const struct lithops__config *config,
                            const struct lithops__runtime_wish *wish, char **ret_name,
                            lithops_error *err)
{
    const struct lithops__runtime_ops *ops = find(config, err);
    if (!ops)
        return LITHOPS_EUNSUPPORTED;
    char *name;
    int rc = ops->remove(config, wish, &name, err);
    if (rc != 0)
        return rc;
    keep(config, name, NULL);
    *ret_name = name;
    return 0;
}
