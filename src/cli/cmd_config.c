/* SPDX-License-Identifier: Apache-2.0 */
/* lithops config show|check|path|prices: which configuration is in force, and whether it is right.
 */
#include "base/error.h"
#include "base/near.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/output.h"
#include "config/config.h"
#include "config/prices.h"
#include "core/probe.h"

#include <lithops/log.h>

#include <stdlib.h>
#include <string.h>

/* The configuration that the options of the command line make. */
static struct lithops__config *load(const struct cli *cli, const char *file, lithops_error *err)
{
    lithops_value *settings;
    if (cli_named_values(&cli->options.set, "set", false, &settings, err) != 0)
        return NULL;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.mode = cli->options.mode;
    options.backend = cli->options.backend;
    options.storage = cli->options.storage;
    options.config_file = file ? file : cli->options.config_file;
    options.settings = settings;
    struct lithops__config *config;
    int rc = lithops__config_load(&options, &config, err);
    lithops_value_free(settings);
    return rc == 0 ? config : NULL;
}

/* A scalar as YAML: a string in quotes only where it would be read as something else. */
static void print_scalar(const lithops_value *value)
{
    const char *text = lithops_value_get_string(value);
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/.+*";
    bool is_plain = text && *text && strspn(text, plain) == strlen(text) &&
                    !strchr("-.+*0123456789", *text) && !strchr("nNyYtTfFoO~", *text);
    char *json = NULL;
    if (is_plain)
        printf("%s\n", text);
    else if (lithops_value_to_json(value, &json, NULL) == 0) /* JSON is YAML */
        printf("%s\n", json);
    free(json);
}

static void print_section(const char *name, const char *remark, const lithops_value *section)
{
    const char *key;
    printf("%s:%s\n", name, remark);
    for (size_t i = 0; i < lithops_value_size(section); i++) {
        const lithops_value *value = lithops_value_pair(section, i, &key);
        if (lithops_value_type(value) == LITHOPS_NULL)
            continue;
        printf("  %s: ", key);
        print_scalar(value);
    }
}

static const char *remark_on(const char *section)
{
    return lithops__probe_is_untested(section) ? " # untested against the service" : "";
}

static const char *no_remark(const char *list)
{
    (void)list;
    return "";
}

static int unknown_section(const lithops_value *all, const char *wanted, lithops_error *err)
{
    struct lithops__near near;
    lithops__near_init(&near, wanted, LITHOPS__NEAR_MAX);
    const char *name;
    for (size_t i = 0; lithops_value_pair(all, i, &name); i++)
        lithops__near_offer(&near, name);
    char text[256];
    return lithops__fail(err, LITHOPS_EUSAGE, "config: there is no '%s'%s", wanted,
                         lithops__near_text(&near, text, sizeof text));
}

/* All of it, or what the arguments name. */
static int show(const struct cli *cli, const lithops_value *all,
                const char *(*remark)(const char *name), lithops_error *err)
{
    lithops_value *chosen = cli->arguments.count > 0 ? lithops_value_map() : NULL;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cli->arguments.count; i++) {
        const char *name = cli->arguments.items[i];
        const lithops_value *section = lithops_value_get(all, name);
        rc = section ? lithops_value_set(chosen, name, lithops_value_copy(section))
                     : unknown_section(all, name, err);
    }
    const lithops_value *shown = chosen ? chosen : all;
    char *json = NULL;
    if (rc == 0 && cli->options.json && (rc = lithops_value_to_json(shown, &json, err)) == 0)
        printf("%s\n", json);
    const char *name;
    for (size_t i = 0; rc == 0 && !json && i < lithops_value_size(shown); i++) {
        const lithops_value *section = lithops_value_pair(shown, i, &name);
        print_section(name, remark(name), section);
    }
    free(json);
    lithops_value_free(chosen);
    return rc;
}

int cmd_config_show(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = load(cli, NULL, &err);
    lithops_value *all = config ? lithops__config_value(config, false) : NULL;
    int rc = !config ? err.code : !all ? lithops__fail(&err, LITHOPS_ENOMEM, "out of memory") : 0;
    if (rc == 0 && !cli->options.json)
        printf("# from: %s\n", lithops__config_origin(config));
    if (rc == 0)
        rc = show(cli, all, remark_on, &err);
    lithops_value_free(all);
    lithops__config_free(config);
    return rc ? cli_report(&err) : 0;
}

int cmd_config_check(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const char *file = cli->arguments.count > 0 ? cli->arguments.items[0] : NULL;
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL); /* findings are printed below */
    struct lithops__config *config = load(cli, file, &err);
    if (!config)
        return cli_report(&err);
    const lithops_value *findings = lithops__config_findings(config);
    for (size_t i = 0; i < lithops_value_size(findings); i++) {
        lithops__fail(
            &err, LITHOPS_ECONFIG, "%s",
            lithops_value_get_string(lithops_value_get(lithops_value_at(findings, i), "message")));
        cli_report(&err);
    }
    int status = findings ? 2 : 0;
    if (!findings)
        printf("%s: right\n", lithops__config_origin(config));
    if (cli->options.online && lithops__probe_backend(config, false, cli_say_part, NULL, &err) != 0)
        status = cli_report(&err);
    lithops__config_free(config);
    return status;
}

int cmd_config_path(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = load(cli, NULL, &err);
    if (!config)
        return cli_report(&err);
    printf("%s\n", lithops__config_origin(config));
    lithops__config_free(config);
    return 0;
}

int cmd_config_prices(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = load(cli, NULL, &err);
    lithops_value *all = config ? lithops__prices_all(config, &err) : NULL;
    int rc = all ? show(cli, all, no_remark, &err) : err.code;
    lithops_value_free(all);
    lithops__config_free(config);
    return rc ? cli_report(&err) : 0;
}
