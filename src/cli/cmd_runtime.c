/* SPDX-License-Identifier: Apache-2.0 */
/* lithops runtime build|deploy|update|list|delete: what a serverless backend runs calls in. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/options.h"
#include "cli/output.h"
#include "core/runtimes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct lithops__config *load(const struct cli *cli, lithops_error *err)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    struct lithops__config *config;
    options.backend = cli->options.backend;
    options.storage = cli->options.storage;
    options.config_file = cli->options.config_file;
    return lithops__config_load(&options, &config, err) == 0 ? config : NULL;
}

static struct lithops__runtime_wish wish_of(const struct cli *cli)
{
    const struct cli_options *o = &cli->options;
    return (struct lithops__runtime_wish){
        .name = cli->arguments.count > 0 ? cli->arguments.items[0] : NULL,
        .memory_mb = o->memory_mb == LITHOPS_DEFAULT ? 0 : o->memory_mb,
        .timeout_s = o->timeout_ms == LITHOPS_DEFAULT ? 0 : (o->timeout_ms + 999) / 1000,
        .file = o->out,
        .dockerfile = o->file,
        .base = o->base};
}

int cmd_runtime_build(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct lithops__runtime_wish wish = wish_of(cli);
    char *text = NULL;
    struct lithops__config *config = load(cli, &err);
    int rc = config ? lithops__runtime_build(config, &wish, &text, &err) : err.code;
    if (rc == 0)
        printf("%s\n", text);
    free(text);
    lithops__config_free(config);
    return rc ? cli_report(&err) : 0;
}

static int deploy(const struct cli *cli, bool must_exist)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct lithops__runtime_wish wish = wish_of(cli);
    char *name = NULL;
    lithops_value *meta = NULL;
    struct lithops__config *config = load(cli, &err);
    int rc =
        config ? lithops__runtime_deploy(config, &wish, must_exist, &name, &meta, &err) : err.code;
    if (rc == 0) {
        const char *pythons = lithops_value_get_string(lithops_value_get(meta, "pythons"));
        printf("%s: Lithops %s%s%s\n", name,
               lithops_value_get_string(lithops_value_get(meta, "version")),
               pythons && *pythons ? ", Python " : "", pythons ? pythons : "");
    }
    free(name);
    lithops_value_free(meta);
    lithops__config_free(config);
    return rc ? cli_report(&err) : 0;
}

int cmd_runtime_deploy(const struct cli *cli)
{
    return deploy(cli, false);
}

int cmd_runtime_update(const struct cli *cli)
{
    return deploy(cli, true);
}

/* ---- list ------------------------------------------------------------------------------------ */

struct listing {
    struct cli_output out;
    const char *wanted; /* NULL: all */
    lithops_error *err;
    bool titled;
};

static int print_seen(const struct lithops__runtime_seen *seen, void *user)
{
    struct listing *listing = user;
    struct cli_output *out = &listing->out;
    if (listing->wanted && strcmp(listing->wanted, seen->name) != 0)
        return 0;
    if (out->json) {
        lithops_value *line =
            lithops_pack("{s:s,s:I,s:I,s:s,s:s}", "runtime", seen->name, "memory", seen->memory_mb,
                         "timeout", seen->timeout_s, "version", seen->engine, "name", seen->where);
        int rc = cli_output_line(out, line, listing->err);
        lithops_value_free(line);
        return rc;
    }
    if (!listing->titled)
        lithops__buffer_printf(&out->buffer, "%-24s %9s %9s %-12s %s\n", "RUNTIME", "MEMORY",
                               "TIMEOUT", "VERSION", "NAME, BASE");
    listing->titled = true;
    char memory[32] = "-", timeout[32] = "-"; /* of an image: they are its containers' */
    if (seen->memory_mb > 0)
        snprintf(memory, sizeof memory, "%" PRId64 " MB", seen->memory_mb);
    if (seen->timeout_s > 0)
        snprintf(timeout, sizeof timeout, "%" PRId64 " s", seen->timeout_s);
    lithops__buffer_printf(&out->buffer, "%-24s %9s %9s %-12s %s\n", seen->name, memory, timeout,
                           seen->engine, seen->where);
    return 0;
}

int cmd_runtime_list(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct listing listing = {.err = &err,
                              .wanted = cli->arguments.count > 0 ? cli->arguments.items[0] : NULL};
    struct lithops__config *config = load(cli, &err);
    int rc =
        config ? cli_output_init(&listing.out, cli->options.json, false, NULL, &err) : err.code;
    if (rc == 0)
        rc = lithops__runtime_list(config, print_seen, &listing, &err);
    if (rc == 0)
        rc = cli_output_flush(&listing.out, &err);
    if (config)
        cli_output_deinit(&listing.out);
    lithops__config_free(config);
    return rc ? cli_report(&err) : 0;
}

int cmd_runtime_delete(const struct cli *cli)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct lithops__runtime_wish wish = wish_of(cli);
    char *name = NULL;
    struct lithops__config *config = load(cli, &err);
    int rc = config ? lithops__runtime_remove(config, &wish, &name, &err) : err.code;
    if (rc == 0)
        printf("%s deleted\n", name);
    free(name);
    lithops__config_free(config);
    return rc ? cli_report(&err) : 0;
}
