/* SPDX-License-Identifier: Apache-2.0 */
/* The checked configuration: what was given, checked against the tables, with overrides, defaults
 * and the choice of backends.
 *
 * Design. A configuration is one value per row of the tables, in the order of the tables; NULL is
 * unset. It is filled in five steps, each of which only overwrites what the one before has set:
 *   1. the source (a file, LITHOPS_CONFIG, options->config);
 *   2. options->mode, backend, storage, monitoring, log_level;
 *   3. mode and backend out of each other;
 *   4. options->settings, into the section of that backend;
 *   5. defaults: those of the tables, and those that depend on other keys.
 * After that nothing changes it, so any thread may read it.
 *
 * Sections of backends that are not built in are passed over without a look: their keys are their
 * backends' business. An unknown section is an error, since it is most likely a mistyped one. */
#include "config/config.h"

#include "base/error.h"
#include "base/log.h"
#include "config/check.h"
#include "config/keys.h"
#include "config/scalar.h"
#include "config/source.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lithops__config {
    char *origin;
    size_t count;
    lithops_value *values[]; /* one per row of all tables */
};

/* ---- rows ------------------------------------------------------------------------------------ */

static size_t row_count(void)
{
    size_t count = 0;
    for (const struct lithops__config_section *s = lithops__config_sections; s->name; s++)
        for (const struct lithops__config_key *k = s->keys; k->name; k++)
            count++;
    return count;
}

static const struct lithops__config_section *find_section(const char *name)
{
    for (const struct lithops__config_section *s = lithops__config_sections; s->name; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

/* The slot of a key, or NULL when no table has it. */
static lithops_value **find_slot(const struct lithops__config *config, const char *section,
                                 const char *key, const struct lithops__config_key **ret_row)
{
    size_t i = 0;
    for (const struct lithops__config_section *s = lithops__config_sections; s->name; s++) {
        bool here = strcmp(s->name, section) == 0;
        for (const struct lithops__config_key *k = s->keys; k->name; k++, i++)
            if (here && strcmp(k->name, key) == 0) {
                if (ret_row)
                    *ret_row = k;
                return (lithops_value **)&config->values[i];
            }
    }
    return NULL;
}

static const struct lithops__config_backend *find_backend(const char *name)
{
    for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
        if (strcmp(b->name, name) == 0)
            return b;
    return NULL;
}

/* ---- 1. the source --------------------------------------------------------------------------- */

static int set_key(struct lithops__config *config, const struct lithops__config_section *section,
                   const char *name, struct lithops__config_place place, const lithops_value *given,
                   lithops_error *err)
{
    const struct lithops__config_key *key;
    lithops_value *value;
    lithops_value **slot = find_slot(config, section->name, name, &key);
    if (!slot)
        return lithops__config_fail_unknown(name, section, place, err);
    int rc = lithops__config_check(section, key, place, given, &value, err);
    if (rc != 0)
        return rc;
    char where[256];
    if (key->inert && value)
        lithops__log(LITHOPS_LOG_WARNING, "config", "%s: key '%s' in section '%s' has no effect",
                     lithops__config_place_text(place, where, sizeof where), name, section->name);
    lithops_value_free(*slot);
    *slot = value;
    return 0;
}

static bool is_passed_over(const char *section)
{
    if (find_backend(section))
        return true;
    for (const char *const *other = lithops__config_other_sections; *other; other++)
        if (strcmp(section, *other) == 0)
            return true;
    return false;
}

/* One section; `lines` are those of its keys. */
static int set_section(struct lithops__config *config, const char *name, const lithops_value *keys,
                       struct lithops__config_place place, const unsigned *lines,
                       lithops_error *err)
{
    const struct lithops__config_section *section = find_section(name);
    lithops_type type = lithops_value_type(keys);
    if (!section && !is_passed_over(name))
        return lithops__config_fail_unknown(name, NULL, place, err);
    if (!section) {
        char where[256];
        lithops__log(LITHOPS_LOG_DEBUG, "config",
                     "%s: passed over section '%s', whose backend is not built in",
                     lithops__config_place_text(place, where, sizeof where), name);
        return 0;
    }
    if (type != LITHOPS_MAP && type != LITHOPS_NULL) /* not shown: it may hold a password */
        return lithops__config_fail(
            place, err, "section '%s' must hold keys, as in 'key: value', but is of type %s", name,
            lithops_type_name(type));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(keys); i++) {
        const char *key;
        const lithops_value *given = lithops_value_pair(keys, i, &key);
        place.line = lines ? lines[i] : 0;
        rc = set_key(config, section, key, place, given, err);
    }
    return rc;
}

static int set_source(struct lithops__config *config, const struct lithops__config_source *source,
                      lithops_error *err)
{
    struct lithops__config_place place = {source->label, 0};
    const unsigned *lines = source->lines;
    if (!source->root)
        return 0;
    if (lithops_value_type(source->root) != LITHOPS_MAP)
        return lithops__config_fail(place, err,
                                    "a configuration holds sections, as in 'lithops:', but this "
                                    "is of type %s",
                                    lithops_type_name(lithops_value_type(source->root)));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(source->root); i++) {
        const char *name;
        const lithops_value *keys = lithops_value_pair(source->root, i, &name);
        place.line = lines ? *lines++ : 0;
        rc = set_section(config, name, keys, place, lines, err);
        if (lines && lithops_value_type(keys) == LITHOPS_MAP)
            lines += lithops_value_size(keys);
    }
    return rc;
}

/* ---- 2. options ------------------------------------------------------------------------------ */

static const char *get_string(const struct lithops__config *config, const char *section,
                              const char *key)
{
    return lithops_value_get_string(*find_slot(config, section, key, NULL));
}

static int set_string(struct lithops__config *config, const char *key, const char *text,
                      lithops_error *err)
{
    if (!text)
        return 0;
    struct lithops__config_place place = {"options", 0};
    lithops_value *given = lithops_value_string(text);
    if (!given)
        return lithops__config_fail(place, err, "'%s' is not UTF-8 text, or memory is out", key);
    int rc = set_key(config, find_section("lithops"), key, place, given, err);
    lithops_value_free(given);
    return rc;
}

static int set_options(struct lithops__config *config, const lithops_executor_options *options,
                       lithops_error *err)
{
    int rc;
    if ((rc = set_string(config, "mode", options->mode, err)) != 0 ||
        (rc = set_string(config, "backend", options->backend, err)) != 0 ||
        (rc = set_string(config, "storage", options->storage, err)) != 0 ||
        (rc = set_string(config, "monitoring", options->monitoring, err)) != 0)
        return rc;
    return set_string(config, "log_level", options->log_level, err);
}

/* ---- 3. mode and backend --------------------------------------------------------------------- */

static const char *default_backend(const struct lithops__config *config, const char *mode)
{
    bool has_key = strcmp(mode, "localhost") != 0;
    const char *named = has_key ? get_string(config, mode, "backend") : NULL;
    if (named)
        return named;
    for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
        if (b->is_default && strcmp(b->mode, mode) == 0)
            return b->name;
    return "localhost";
}

/* A backend that no table has leaves the mode as it is: core will say what there is. */
static int resolve_backend(struct lithops__config *config, const lithops_executor_options *options,
                           lithops_error *err)
{
    const char *backend = get_string(config, "lithops", "backend");
    const char *mode = get_string(config, "lithops", "mode");
    const struct lithops__config_backend *known = backend ? find_backend(backend) : NULL;
    bool asked_for_mode = options && options->mode && !options->backend;
    if (asked_for_mode && known && mode && strcmp(known->mode, mode) != 0)
        backend = NULL; /* the file's, for another mode than the program asks for */
    int rc = 0;
    if (!backend)
        rc = set_string(config, "backend", default_backend(config, mode ? mode : "localhost"), err);
    known = rc == 0 ? find_backend(get_string(config, "lithops", "backend")) : NULL;
    if (known)
        rc = set_string(config, "mode", known->mode, err);
    else if (rc == 0 && !mode)
        rc = set_string(config, "mode", "localhost", err);
    return rc;
}

/* ---- 4. settings ----------------------------------------------------------------------------- */

static int set_settings(struct lithops__config *config, const lithops_value *settings,
                        lithops_error *err)
{
    struct lithops__config_place place = {"settings", 0};
    if (!settings)
        return 0;
    if (lithops_value_type(settings) != LITHOPS_MAP)
        return lithops__config_fail(place, err, "must be a map of keys, but is of type %s",
                                    lithops_type_name(lithops_value_type(settings)));
    const char *backend = get_string(config, "lithops", "backend");
    if (!find_section(backend)) /* not built in: core will say so */
        return 0;
    return set_section(config, backend, settings, place, NULL, err);
}

/* ---- 5. defaults ----------------------------------------------------------------------------- */

/* CPUs that this process may use; sets larger than cpu_set_t make the call fail. */
static int64_t cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? online : 1;
}

static int out_of_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the configuration");
}

static int set_table_defaults(struct lithops__config *config, lithops_error *err)
{
    static const struct lithops__config_place place = {"the tables", 0};
    size_t i = 0;
    for (const struct lithops__config_section *s = lithops__config_sections; s->name; s++)
        for (const struct lithops__config_key *k = s->keys; k->name; k++, i++) {
            if (config->values[i] || !k->fallback)
                continue;
            lithops_value *given = lithops__scalar_value(k->fallback, strlen(k->fallback));
            int rc = given ? lithops__config_check(s, k, place, given, &config->values[i], err)
                           : out_of_memory(err);
            lithops_value_free(given);
            if (rc != 0)
                return rc;
        }
    return 0;
}

static int set_other_defaults(struct lithops__config *config, lithops_error *err)
{
    bool localhost = strcmp(get_string(config, "lithops", "backend"), "localhost") == 0;
    bool serverless = strcmp(get_string(config, "lithops", "mode"), "serverless") == 0;
    const char *level = get_string(config, "lithops", "log_level");
    int rc = 0;
    if (!get_string(config, "lithops", "storage"))
        rc = set_string(config, "storage", localhost ? "localhost" : "aws_s3", err);
    if (rc == 0 && !get_string(config, "lithops", "monitoring"))
        rc = set_string(config, "monitoring", serverless ? "storage" : "direct", err);
    if (rc == 0 && level && strcmp(level, "critical") == 0)
        rc = set_string(config, "log_level", "error", err);
    lithops_value **processes = find_slot(config, "localhost", "worker_processes", NULL);
    if (rc == 0 && lithops_value_get_int(*processes) == 0) { /* AUTO */
        lithops_value_free(*processes);
        *processes = lithops_value_int(cpu_count());
        rc = *processes ? 0 : out_of_memory(err);
    }
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------- */

int lithops__config_load(const lithops_executor_options *options, struct lithops__config **ret,
                         lithops_error *err)
{
    struct lithops__config_source source;
    int rc = lithops__config_find(options, &source, err);
    if (rc != 0)
        return rc;
    size_t count = row_count();
    struct lithops__config *config = calloc(1, sizeof *config + count * sizeof(lithops_value *));
    if (!config) {
        rc = out_of_memory(err);
        goto out;
    }
    config->count = count;
    config->origin = source.origin;
    source.origin = NULL;
    if ((rc = set_source(config, &source, err)) != 0 ||
        (options && (rc = set_options(config, options, err)) != 0) ||
        (rc = resolve_backend(config, options, err)) != 0 ||
        (options && (rc = set_settings(config, options->settings, err)) != 0) ||
        (rc = set_table_defaults(config, err)) != 0 || (rc = set_other_defaults(config, err)) != 0)
        goto out;
    *ret = config;
    config = NULL;
out:
    lithops__config_free(config);
    lithops__config_source_deinit(&source);
    return rc;
}

void lithops__config_free(struct lithops__config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->count; i++)
        lithops_value_free(config->values[i]);
    free(config->origin);
    free(config);
}

const char *lithops__config_origin(const struct lithops__config *config)
{
    return config->origin;
}

const lithops_value *lithops__config_get(const struct lithops__config *config, const char *section,
                                         const char *key)
{
    lithops_value **slot = find_slot(config, section, key, NULL);
    if (!slot) {
        lithops__log(LITHOPS_LOG_ERROR, "config", "no table has the key '%s' of section '%s'", key,
                     section);
        assert(!"a key that no table has");
        return NULL;
    }
    return *slot;
}

const char *lithops__config_string(const struct lithops__config *config, const char *section,
                                   const char *key)
{
    return lithops_value_get_string(lithops__config_get(config, section, key));
}

int64_t lithops__config_int(const struct lithops__config *config, const char *section,
                            const char *key)
{
    return lithops_value_get_int(lithops__config_get(config, section, key));
}

double lithops__config_double(const struct lithops__config *config, const char *section,
                              const char *key)
{
    return lithops_value_get_double(lithops__config_get(config, section, key));
}

bool lithops__config_bool(const struct lithops__config *config, const char *section,
                          const char *key)
{
    return lithops_value_get_bool(lithops__config_get(config, section, key));
}

lithops_value *lithops__config_value(const struct lithops__config *config, bool secrets)
{
    lithops_value *root = lithops_value_map();
    size_t i = 0;
    int rc = root ? 0 : LITHOPS_ENOMEM;
    for (const struct lithops__config_section *s = lithops__config_sections; s->name; s++) {
        lithops_value *section = lithops_value_map();
        for (const struct lithops__config_key *k = s->keys; k->name; k++, i++) {
            const lithops_value *value = config->values[i];
            if (!value || rc != 0)
                continue;
            rc = lithops_value_set(section, k->name,
                                   k->secret && !secrets ? lithops_value_string("******")
                                                         : lithops_value_copy(value));
        }
        if (section && lithops_value_size(section) == 0)
            lithops_value_free(section);
        else if (rc == 0)
            rc = lithops_value_set(root, s->name, section);
        else
            lithops_value_free(section);
    }
    if (rc != 0) {
        lithops_value_free(root);
        return NULL;
    }
    return root;
}
