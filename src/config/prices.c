/* SPDX-License-Identifier: Apache-2.0 */
#include "config/prices.h"

#include "base/error.h"
#include "config/source.h"

#include "prices_json.h"

#include <stddef.h>
#include <string.h>

static const struct row {
    const char *key;
    bool is_text;
    size_t at; /* in struct lithops__prices */
    double units;
} rows[] = {
    {"provider", true, 0, 0},
    {"service", true, 0, 0},
    {"region", true, 0, 0},
    {"source", true, 0, 0},
    {"date", true, 0, 0},
    {"hour", false, offsetof(struct lithops__prices, per_s), 3600},
    {"cpu_hour", false, offsetof(struct lithops__prices, per_cpu_s), 3600},
    {"cpu_second", false, offsetof(struct lithops__prices, per_cpu_s), 1},
    {"gb_hour", false, offsetof(struct lithops__prices, per_gb_s), 3600},
    {"gb_second", false, offsetof(struct lithops__prices, per_gb_s), 1},
    {"million_requests", false, offsetof(struct lithops__prices, per_start), 1e6},
    {"cpus", false, offsetof(struct lithops__prices, cpus), 1},
    {"memory_mb", false, offsetof(struct lithops__prices, memory_mb), 1},
    {"rounding_ms", false, SIZE_MAX, 0},
    {"minimum_ms", false, SIZE_MAX, 0},
    {"thousand_reads", false, offsetof(struct lithops__prices, per_read), 1e3},
    {"thousand_writes", false, offsetof(struct lithops__prices, per_write), 1e3},
};

static const struct row *find_row(const char *key)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].key, key) == 0)
            return &rows[i];
    return NULL;
}

static bool is_price(const lithops_value *value)
{
    lithops_type type = lithops_value_type(value);
    double number = lithops_value_get_double(value);
    return (type == LITHOPS_INT || type == LITHOPS_DOUBLE) && number >= 0 && number < 1e12;
}

static int check_list(const char *file, const char *name, const lithops_value *list,
                      lithops_error *err)
{
    const char *key;
    if (lithops_value_type(list) != LITHOPS_MAP)
        return lithops__fail(err, LITHOPS_ECONFIG, "%s: the price list '%s' must hold keys", file,
                             name);
    for (size_t i = 0; i < lithops_value_size(list); i++) {
        const lithops_value *value = lithops_value_pair(list, i, &key);
        const struct row *row = find_row(key);
        if (!row)
            return lithops__fail(err, LITHOPS_ECONFIG, "%s: price list '%s': unknown key '%s'",
                                 file, name, key);
        if (!row->is_text && !is_price(value))
            return lithops__fail(err, LITHOPS_ECONFIG,
                                 "%s: price list '%s': '%s' must be a number of 0 or more", file,
                                 name, key);
    }
    return 0;
}

/* The lists of `more` into `all`. */
static int add(lithops_value *all, const char *file, const lithops_value *more, lithops_error *err)
{
    int rc = !more || lithops_value_type(more) == LITHOPS_MAP
                 ? 0
                 : lithops__fail(err, LITHOPS_ECONFIG, "%s: price lists must have names", file);
    for (size_t i = 0; rc == 0 && i < lithops_value_size(more); i++) {
        const char *name;
        const lithops_value *list = lithops_value_pair(more, i, &name);
        rc = check_list(file, name, list, err);
        if (rc == 0 && lithops_value_set(all, name, lithops_value_copy(list)) != 0)
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    return rc;
}

static int add_file(lithops_value *all, const char *path, lithops_error *err)
{
    struct lithops__config_source source;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.config_file = path;
    int rc = lithops__config_find(&options, &source, err);
    if (rc != 0)
        return rc;
    rc = add(all, source.label, source.root, err);
    lithops__config_source_deinit(&source);
    return rc;
}

bool lithops__prices_are_needed(const struct lithops__config *config, const char *backend,
                                const char *storage)
{
    return strcmp(backend, "localhost") != 0 || strcmp(storage, "localhost") != 0 ||
           lithops__config_get(config, "lithops", "price_file");
}

lithops_value *lithops__prices_all(const struct lithops__config *config, lithops_error *err)
{
    const char *path = lithops__config_string(config, "lithops", "price_file");
    lithops_value *all = lithops_value_map();
    lithops_value *own =
        lithops_value_from_json((const char *)prices_json, sizeof prices_json - 1, err);
    int rc = !all   ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory")
             : !own ? err->code
                    : add(all, "prices.json", own, err);
    lithops_value_free(own);
    if (rc == 0 && path)
        rc = add_file(all, path, err);
    if (rc == 0)
        return all;
    lithops_value_free(all);
    return NULL;
}

bool lithops__prices_find(const lithops_value *all, const char *name,
                          struct lithops__prices *ret_prices)
{
    const lithops_value *list = lithops_value_get(all, name);
    const char *key;
    *ret_prices = (struct lithops__prices){.cpus = 1};
    for (size_t i = 0; i < lithops_value_size(list); i++) {
        double price = lithops_value_get_double(lithops_value_pair(list, i, &key));
        const struct row *row = find_row(key);
        if (!row || row->is_text || row->at == SIZE_MAX)
            continue;
        price /= row->units;
        memcpy((char *)ret_prices + row->at, &price, sizeof price);
    }
    ret_prices->rounding_ms =
        (uint64_t)lithops_value_get_double(lithops_value_get(list, "rounding_ms"));
    ret_prices->minimum_ms =
        (uint64_t)lithops_value_get_double(lithops_value_get(list, "minimum_ms"));
    return list != NULL;
}
