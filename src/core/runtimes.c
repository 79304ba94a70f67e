/* SPDX-License-Identifier: Apache-2.0 */
#include "core/runtimes.h"

#include "base/error.h"
#include "base/log.h"
#include "config/storage.h"
#include "function/elsewhere.h"
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

#define FOLDER "lithops.runtimes"
#define SUFFIX ".meta.json"

static int open_records(const struct lithops__config *config, lithops_storage **ret_storage,
                        lithops_error *err)
{
    lithops_storage *storage = lithops__storage_open(config, NULL, err);
    int rc = storage ? lithops_storage_set_bounds(storage, STORAGE_MS, NULL, NULL, err) : err->code;
    if (rc == 0)
        *ret_storage = storage;
    else
        lithops_storage_close(storage);
    return rc;
}

static void key_of(const struct lithops__config *config, const char *name, char ret_key[KEY])
{
    snprintf(ret_key, KEY, FOLDER "/%s/%s" SUFFIX,
             lithops__config_string(config, "lithops", "backend"), name);
}

/* Write, or delete, what is known of a runtime. */
static int keep(const struct lithops__config *config, const char *name, const lithops_value *meta,
                lithops_error *err)
{
    lithops_storage *storage = NULL;
    char key[KEY], *text = NULL;
    key_of(config, name, key);
    int rc = open_records(config, &storage, err);
    if (rc == 0 && meta && (rc = lithops_value_to_json(meta, &text, err)) == 0)
        rc = lithops_storage_put(storage, lithops_storage_bucket(storage), key,
                                 (lithops_bytes){text, strlen(text)}, err);
    else if (rc == 0 && !meta)
        rc = lithops_storage_delete(storage, lithops_storage_bucket(storage), key, err);
    free(text);
    lithops_storage_close(storage);
    return rc;
}

/* It is a record only, where the platform knows what there is: that must not fail a deployment. */
static void try_keep(const struct lithops__config *config, const char *name,
                     const lithops_value *meta)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    if (keep(config, name, meta, &err) != 0)
        lithops__log(LITHOPS_LOG_WARNING, "runtime", "the record of %s in the storage: %s", name,
                     err.message);
}

/* ENOTFOUND: there is none. */
static int read_record(lithops_storage *storage, const char *key, lithops_value **ret_meta,
                       lithops_error *err)
{
    void *data = NULL;
    size_t len = 0;
    int rc = lithops_storage_get(storage, lithops_storage_bucket(storage), key, 0, SIZE_MAX, &data,
                                 &len, err);
    if (rc != 0)
        return rc;
    *ret_meta = lithops_value_from_json(data, len, err);
    free(data);
    return *ret_meta ? 0 : err->code;
}

static const char *text_at(const lithops_value *map, const char *key)
{
    const char *text = lithops_value_get_string(lithops_value_get(map, key));
    return text ? text : "";
}

/* ---- what workers run in, and what the client is --------------------------------------------- */

static bool has_python(const char *pythons, const char *version)
{
    size_t len = strlen(version);
    for (const char *at = pythons; (at = strstr(at, version)) != NULL; at += len)
        if ((at == pythons || at[-1] == ' ') && (!at[len] || at[len] == ','))
            return true;
    return false;
}

/* @param python  "3.12"; NULL: functions are not of Python */
static int compare(const char *backend, const char *name, const lithops_value *meta,
                   const char *python, lithops_error *err)
{
    int64_t protocol = lithops_value_get_int(lithops_value_get(meta, "protocol"));
    const char *version = text_at(meta, "version"), *pythons = text_at(meta, "pythons");
    if (strcmp(version, LITHOPS_VERSION) != 0 || protocol != LITHOPS__WIRE_PROTOCOL)
        return lithops__fail(
            err, LITHOPS_ECONFIG,
            "the runtime %s has Lithops %s (protocol %lld), and this is "
            "Lithops " LITHOPS_VERSION " (protocol %d): 'lithops runtime update -b %s %s'",
            name, version, (long long)protocol, LITHOPS__WIRE_PROTOCOL, backend, name);
    bool is_known = *pythons || lithops_value_get(meta, "modules");
    if (python && is_known && !has_python(pythons, python))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the runtime %s has %sPython%s%s, and functions here are of Python "
                             "%s: 'lithops runtime deploy -b %s --base python:%s-slim %s'",
                             name, *pythons ? "" : "no ", *pythons ? " " : "", pythons, python,
                             backend, python, name);
    return 0;
}

/* The client's Python, as workers elsewhere need it. */
static bool find_python(char buf[16])
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *kit = lithops__runtime_kit(&err);
    const char *program = lithops_value_get_string(lithops_value_get(kit, "program"));
    int minor = 0;
    bool found = program && sscanf(program, "python3.%d", &minor) == 1;
    if (found)
        snprintf(buf, 16, "3.%d", minor);
    lithops_value_free(kit);
    return found;
}

int lithops__runtime_check(const struct lithops__config *config,
                           const struct lithops__compute_driver *driver,
                           lithops_value **ret_installed, lithops_error *err)
{
    const char *name = lithops__config_string(config, driver->name, "runtime");
    lithops_error missing = LITHOPS_ERROR_INIT;
    lithops_storage *storage = NULL;
    lithops_value *meta = NULL;
    char key[KEY], python[16];
    if (!driver->runtimes || driver->runtimes->list || !name || !*name)
        return 0;
    int rc = open_records(config, &storage, err);
    if (rc != 0)
        return rc;
    key_of(config, name, key);
    /* Whoever has made the image by other means has no record of it. */
    if (read_record(storage, key, &meta, &missing) == 0) {
        bool has = find_python(python);
        rc = compare(driver->name, name, meta, has ? python : NULL, err);
        const lithops_value *modules =
            has ? lithops_value_get(lithops_value_get(meta, "modules"), python) : NULL;
        if (rc == 0 && lithops_value_type(modules) == LITHOPS_LIST &&
            !(*ret_installed = lithops_value_copy(modules)))
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    lithops_value_free(meta);
    lithops_storage_close(storage);
    return rc;
}

/* ---- the records as a list ------------------------------------------------------------------- */

struct listing {
    lithops_storage *storage;
    const char *prefix;
    int (*visit)(const struct lithops__runtime_seen *seen, void *user);
    void *user;
    lithops_error *err;
};

static int visit_record(const lithops_object_info *info, void *user)
{
    const struct listing *listing = user;
    size_t skip = strlen(listing->prefix), len = strlen(info->key);
    const size_t suffix = sizeof SUFFIX - 1;
    lithops_value *meta = NULL;
    if (len <= skip + suffix || strcmp(info->key + len - suffix, SUFFIX) != 0)
        return 0;
    int rc = read_record(listing->storage, info->key, &meta, listing->err);
    char *name = rc == 0 ? strndup(info->key + skip, len - skip - suffix) : NULL;
    if (name) {
        const struct lithops__runtime_seen seen = {
            .name = name, .where = text_at(meta, "base"), .engine = text_at(meta, "version")};
        rc = listing->visit(&seen, listing->user);
    }
    free(name);
    lithops_value_free(meta);
    return rc;
}

static int list_records(const struct lithops__config *config,
                        int (*visit)(const struct lithops__runtime_seen *seen, void *user),
                        void *user, lithops_error *err)
{
    char prefix[KEY];
    struct listing listing = {.prefix = prefix, .visit = visit, .user = user, .err = err};
    snprintf(prefix, sizeof prefix, FOLDER "/%s/",
             lithops__config_string(config, "lithops", "backend"));
    int rc = open_records(config, &listing.storage, err);
    if (rc != 0)
        return rc;
    rc = lithops_storage_list(listing.storage, lithops_storage_bucket(listing.storage), prefix,
                              visit_record, &listing, err);
    lithops_storage_close(listing.storage);
    return rc;
}

/* There is none is an error, as where a platform is asked. */
static int remove_record(const struct lithops__config *config,
                         const struct lithops__runtime_wish *wish, char **ret_name,
                         lithops_error *err)
{
    const char *backend = lithops__config_string(config, "lithops", "backend");
    const char *name = wish->name ? wish->name : lithops__config_string(config, backend, "runtime");
    lithops_storage *storage = NULL;
    lithops_value *meta = NULL;
    char key[KEY];
    if (!name || !*name)
        return lithops__fail(err, LITHOPS_ECONFIG, "which one? 'lithops runtime list' has names");
    int rc = open_records(config, &storage, err);
    if (rc != 0)
        return rc;
    key_of(config, name, key);
    rc = read_record(storage, key, &meta, err);
    if (rc == LITHOPS_ENOTFOUND)
        rc = lithops__fail(err, rc, "there is no runtime %s: 'lithops runtime list' has names",
                           name);
    lithops_value_free(meta);
    lithops_storage_close(storage);
    if (rc == 0)
        rc = keep(config, name, NULL, err);
    if (rc == 0 && !(*ret_name = strdup(name)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return rc;
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
    if (ops->list)
        try_keep(config, name, meta);
    else if ((rc = keep(config, name, meta, err)) != 0) {
        lithops__error_prefix(err, "%s is there, but cannot be recorded in the storage", name);
        free(name);
        lithops_value_free(meta);
        return rc;
    }
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
    return !ops        ? LITHOPS_EUNSUPPORTED
           : ops->list ? ops->list(config, visit, user, err)
                       : list_records(config, visit, user, err);
}

int lithops__runtime_remove(const struct lithops__config *config,
                            const struct lithops__runtime_wish *wish, char **ret_name,
                            lithops_error *err)
{
    const struct lithops__runtime_ops *ops = find(config, err);
    if (!ops)
        return LITHOPS_EUNSUPPORTED;
    if (!ops->remove)
        return remove_record(config, wish, ret_name, err);
    char *name;
    int rc = ops->remove(config, wish, &name, err);
    if (rc != 0)
        return rc;
    try_keep(config, name, NULL);
    *ret_name = name;
    return 0;
}
