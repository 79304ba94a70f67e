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
 * Sections of backends that are not built in are ignored: their keys are their
 * backends' business. They are kept as given, so that the configuration can be handed on whole. So
 * are unknown sections, and unknown keys of known ones. Unknown names are findings: most are
 * mistyped, but files are shared with newer versions and other programs, so they are warnings, and
 * errors only where lithops.strict asks for it, or where they were typed for this very executor
 * (settings). */
#include "config/config.h"

#include "base/cgroup.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options_read.h"
#include "base/utf8.h"
#include "config/check.h"
#include "config/keys.h"
#include "config/scalar.h"
#include "config/source.h"

#include <lithops/plugin/runtime.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lithops__config {
    char *origin;
    lithops_value *others;   /* sections and keys that no table has, and empty sections, as given;
                                NULL: none */
    bool strict;             /* findings are errors */
    bool settings;           /* these are read, for which they are errors, too, */
    bool foreign;            /* but not those that are no typos */
    lithops_value *findings; /* unknown names, as a record each, in their order; NULL: none */
    size_t count;
    lithops_value *values[]; /* one per row of all tables; then a byte each: it is the default */
};

static int out_of_memory(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the configuration");
}

/* ---- rows ------------------------------------------------------------------------------------ */

static size_t row_count(void)
{
    size_t count = 0;
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++)
        for (const lithops_config_key *k = s.keys; k->name; k++)
            count++;
    return count;
}

static unsigned char *defaulted(const struct lithops__config *config)
{
    return (unsigned char *)&config->values[config->count];
}

/* The slot of a key, or NULL when no table has it, or had when the configuration was made. */
static lithops_value **find_slot(const struct lithops__config *config, const char *section,
                                 const char *key, const lithops_config_key **ret_row)
{
    size_t row = 0;
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++) {
        bool here = strcmp(s.name, section) == 0;
        for (const lithops_config_key *k = s.keys; k->name && row < config->count; k++, row++)
            if (here && strcmp(k->name, key) == 0) {
                if (ret_row)
                    *ret_row = k;
                return (lithops_value **)&config->values[row];
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

/* Unknown names are kept as records, so that nobody has to read the messages for them. */
static int add_finding(struct lithops__config *config, const char *name, const char *section,
                       struct lithops__config_place place, const char *message, lithops_error *err)
{
    char where[256];
    lithops__config_place_text(place, where, sizeof where);
    if (!config->findings)
        config->findings = lithops_value_list();
    lithops_value *record =
        lithops_pack("{s:s,s:s,s:s}", "name", name, "place", where, "message", message);
    if (record && section &&
        lithops_value_set(record, "section", lithops_value_string(section)) != 0) {
        lithops_value_free(record);
        record = NULL;
    }
    if (config->findings && record && lithops_value_append(config->findings, record) == 0)
        return 0;
    if (!config->findings)
        lithops_value_free(record);
    return out_of_memory(err);
}

/* A name that no table has. */
static int note_unknown(struct lithops__config *config, const char *name, const char *section,
                        struct lithops__config_place place, lithops_error *err)
{
    struct lithops__config_unknown unknown;
    lithops_error finding = LITHOPS_ERROR_INIT;
    int rc = lithops__config_fail_unknown(name, section, place, &unknown, &finding);
    if (config->settings ? unknown.is_typo || !config->foreign : config->strict) {
        if (err)
            *err = finding;
        return rc;
    }
    if (!config->foreign) /* else they were expected */
        lithops__log(LITHOPS_LOG_WARNING, "config", "%s", finding.message);
    return add_finding(config, unknown.name, section, place, finding.message, err);
}

/* Keep a section that no table has, or that is empty. */
static int keep_other(struct lithops__config *config, const char *name, const lithops_value *keys,
                      lithops_error *err)
{
    lithops_value *copy = lithops_value_copy(keys);
    if (copy && !config->others)
        config->others = lithops_value_map();
    if (copy && config->others && lithops_value_set(config->others, name, copy) == 0)
        return 0;
    if (copy && !config->others)
        lithops_value_free(copy);
    return out_of_memory(err);
}

/* The keys of a section of `root`, which is made if need be. NULL: out of memory. */
static lithops_value *keys_in(lithops_value *root, const char *section)
{
    const lithops_value *there = lithops_value_get(root, section);
    if (!there || lithops_value_type(there) != LITHOPS_MAP) /* as given: empty */
        (void)lithops_value_set(root, section, lithops_value_map());
    there = lithops_value_get(root, section);
    return there && lithops_value_type(there) == LITHOPS_MAP ? (lithops_value *)there : NULL;
}

/* A key that no table has. In a strict configuration those of settings are not kept: it could not
 * be read again with them. */
static int set_unknown(struct lithops__config *config, const char *section, const char *name,
                       struct lithops__config_place place, const lithops_value *given,
                       lithops_error *err)
{
    int rc = note_unknown(config, name, section, place, err);
    if (rc != 0 || config->strict)
        return rc;
    if (!config->others)
        config->others = lithops_value_map();
    lithops_value *keys = config->others ? keys_in(config->others, section) : NULL;
    return keys && lithops_value_set(keys, name, lithops_value_copy(given)) == 0
               ? 0
               : out_of_memory(err);
}

static int set_key(struct lithops__config *config, const char *section, const char *name,
                   struct lithops__config_place place, const lithops_value *given,
                   lithops_error *err)
{
    const lithops_config_key *key;
    lithops_value *value;
    lithops_value **slot = find_slot(config, section, name, &key);
    if (!slot)
        return set_unknown(config, section, name, place, given, err);
    int rc = lithops__config_check(section, key, place, given, &value, err);
    if (rc != 0)
        return rc;
    char where[256];
    if (key->inert && value)
        lithops__log(LITHOPS_LOG_WARNING, "config", "%s: key '%s' in section '%s' has no effect",
                     lithops__config_place_text(place, where, sizeof where), name, section);
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
    bool known = lithops__config_has_section(name);
    lithops_type type = lithops_value_type(keys);
    if (!known && !is_passed_over(name)) {
        int rc = note_unknown(config, name, NULL, place, err);
        if (rc != 0)
            return rc;
    } else if (!known) {
        char where[256];
        lithops__log(LITHOPS_LOG_DEBUG, "config",
                     "%s: ignored section '%s', whose backend is not built in",
                     lithops__config_place_text(place, where, sizeof where), name);
    }
    if (!known)
        return keep_other(config, name, keys, err);
    if (type != LITHOPS_MAP && type != LITHOPS_NULL) /* not shown: it may hold a password */
        return lithops__config_fail(
            place, err, "section '%s' must hold keys, as in 'key: value', but is of type %s", name,
            lithops_type_name(type));
    bool is_empty = lithops_value_size(keys) == 0 && !config->settings;
    int rc = is_empty ? keep_other(config, name, keys, err) : 0;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(keys); i++) {
        const char *key;
        const lithops_value *given = lithops_value_pair(keys, i, &key);
        place.line = lines ? lines[i] : 0;
        rc = set_key(config, name, key, place, given, err);
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
    config->strict = lithops_value_get_bool(
        lithops_value_get(lithops_value_get(source->root, "lithops"), "strict"));
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
        return lithops__utf8_is_valid(text)
                   ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory")
                   : lithops__config_fail(place, err, "'%s' is not UTF-8 text", key);
    int rc = set_key(config, "lithops", key, place, given, err);
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

/* A backend that no table has leaves the mode unchanged: core reports it. */
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

static int set_settings(struct lithops__config *config, const lithops_executor_options *options,
                        lithops_error *err)
{
    const lithops_value *settings = options->settings;
    struct lithops__config_place place = {"settings", 0};
    if (!settings)
        return 0;
    if (lithops_value_type(settings) != LITHOPS_MAP)
        return lithops__config_fail(place, err, "must be a map of keys, but is of type %s",
                                    lithops_type_name(lithops_value_type(settings)));
    const char *backend = get_string(config, "lithops", "backend");
    if (!lithops__config_has_section(backend)) /* not built in: core will say so */
        return 0;
    config->settings = true; /* they are for this executor, and shared with nobody */
    config->foreign = options->foreign_settings;
    return set_section(config, backend, settings, place, NULL, err);
}

/* ---- 5. defaults ----------------------------------------------------------------------------- */

static int set_table_defaults(struct lithops__config *config, lithops_error *err)
{
    static const struct lithops__config_place place = {"the tables", 0};
    size_t row = 0;
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++)
        for (const lithops_config_key *k = s.keys; k->name && row < config->count; k++, row++) {
            lithops_value **slot = &config->values[row];
            if (*slot || !k->fallback)
                continue;
            lithops_value *given = lithops__scalar_value(k->fallback, strlen(k->fallback));
            int rc = given ? lithops__config_check(s.name, k, place, given, slot, err)
                           : out_of_memory(err);
            lithops_value_free(given);
            if (rc != 0)
                return rc;
            defaulted(config)[row] = 1;
        }
    return 0;
}

static int set_other_defaults(struct lithops__config *config, lithops_error *err)
{
    const struct lithops__config_backend *known =
        find_backend(get_string(config, "lithops", "backend"));
    bool localhost = known && (strcmp(known->mode, "localhost") == 0 || known->has_links);
    bool serverless = strcmp(get_string(config, "lithops", "mode"), "serverless") == 0;
    const char *level = get_string(config, "lithops", "log_level");
    int rc = 0;
    if (!get_string(config, "lithops", "storage"))
        rc = set_string(config, "storage", localhost ? "localhost" : "aws_s3", err);
    if (rc == 0 && !get_string(config, "lithops", "monitoring"))
        rc = set_string(config, "monitoring", serverless ? "storage" : "direct", err);
    if (rc == 0 && level && strcmp(level, "critical") == 0)
        rc = set_string(config, "log_level", "error", err);
    static const struct {
        const char *section;
        bool is_here;
    } pools[] = {{"localhost", true},
                 {"process", true},
                 {"vm", false},
                 {"slurm", false},
                 {"knative", false},
                 {"gcp_cloudrun", false},
                 {"code_engine_apps", false},
                 {"azure_containers", false},
                 {"k8s", false},
                 {"openwhisk", false},
                 {"ibm_cf", false},
                 {"aliyun_fc", false},
                 {"aws_ec2", false},
                 {"gcp_functions", false},
                 {"azure_functions", false},
                 {"azure_vms", false},
                 {"gcp_compute_engine", false},
                 {"ibm_vpc", false},
                 {"oracle_f", false},
                 {"singularity", false}};
    for (size_t i = 0; rc == 0 && i < sizeof pools / sizeof *pools; i++) {
        lithops_value **processes = find_slot(config, pools[i].section, "worker_processes", NULL);
        if (lithops_value_get_int(*processes) != 0)
            continue; /* else AUTO, which another machine must find out for itself */
        lithops_value_free(*processes);
        *processes =
            pools[i].is_here ? lithops_value_int(lithops__cpus()) : lithops_value_string("AUTO");
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
    struct lithops__config *config =
        calloc(1, sizeof *config + count * (sizeof(lithops_value *) + 1));
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
        (options && (rc = set_settings(config, options, err)) != 0) ||
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
    lithops_value_free(config->others);
    lithops_value_free(config->findings);
    free(config->origin);
    free(config);
}

const char *lithops__config_origin(const struct lithops__config *config)
{
    return config->origin;
}

const lithops_value *lithops__config_findings(const struct lithops__config *config)
{
    return config->findings;
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

bool lithops__config_is_given(const struct lithops__config *config, const char *section,
                              const char *key)
{
    lithops_value **slot = find_slot(config, section, key, NULL);
    return slot && *slot && !defaulted(config)[slot - (lithops_value **)config->values];
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

/* A key into the map of its section; of two tables of a section the first counts, as for
 * find_slot(). */
static int add_key(lithops_value *keys, const lithops_config_key *k, const lithops_value *value,
                   bool secrets)
{
    if (!keys)
        return LITHOPS_ENOMEM;
    if (lithops_value_get(keys, k->name))
        return 0;
    return lithops_value_set(keys, k->name,
                             k->secret && !secrets ? lithops_value_string("******")
                                                   : lithops_value_copy(value));
}

lithops_value *lithops__config_value(const struct lithops__config *config, bool secrets)
{
    lithops_value *root =
        secrets && config->others ? lithops_value_copy(config->others) : lithops_value_map();
    size_t row = 0;
    int rc = root ? 0 : LITHOPS_ENOMEM;
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++)
        for (const lithops_config_key *k = s.keys; k->name && row < config->count; k++, row++)
            if (config->values[row] && rc == 0)
                rc = add_key(keys_in(root, s.name), k, config->values[row], secrets);
    if (rc != 0) {
        lithops_value_free(root);
        return NULL;
    }
    return root;
}

lithops_value *lithops__config_section(const struct lithops__config *config, const char *section,
                                       bool secrets)
{
    const lithops_value *others = secrets ? lithops_value_get(config->others, section) : NULL;
    lithops_value *keys = others ? lithops_value_copy(others) : lithops_value_map();
    size_t row = 0;
    int rc = keys ? 0 : LITHOPS_ENOMEM;
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++) {
        bool is_wanted = strcmp(s.name, section) == 0;
        for (const lithops_config_key *k = s.keys; k->name && row < config->count; k++, row++)
            if (is_wanted && config->values[row] && rc == 0)
                rc = add_key(keys, k, config->values[row], secrets);
    }
    if (rc != 0) {
        lithops_value_free(keys);
        return NULL;
    }
    return keys;
}

/* ---- for programs that hand it on ------------------------------------------------------------ */

lithops_value *lithops_config_find(const char *config_file, lithops_error *err)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    struct lithops__config_source source;
    options.config_file = config_file;
    if (lithops__config_find(&options, &source, err) != 0)
        return NULL;
    lithops_value *value = source.root ? lithops_value_copy(source.root) : lithops_value_null();
    if (!value)
        out_of_memory(err);
    lithops__config_source_deinit(&source);
    return value;
}

lithops_value *lithops_config_resolve(const lithops_executor_options *options, bool secrets,
                                      lithops_error *err)
{
    struct lithops__config *config;
    lithops_executor_options own = LITHOPS_EXECUTOR_OPTIONS_INIT;
    if (lithops__options_read(&own, sizeof own, options, "LITHOPS_EXECUTOR_OPTIONS_INIT", err) !=
            0 ||
        lithops__config_load(&own, &config, err) != 0)
        return NULL;
    lithops_value *value = lithops__config_value(config, secrets);
    if (!value)
        out_of_memory(err);
    lithops__config_free(config);
    return value;
}
