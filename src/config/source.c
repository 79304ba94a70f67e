/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the configuration and turning it into values with line numbers.
 *
 * A named file (options->config_file, LITHOPS_CONFIG_FILE) must exist. Files at the usual places
 * are optional, but one that exists and cannot be read is an error: ignoring it would run the
 * program somewhere else than it says. Environment variables that are empty count as unset. Without
 * HOME there is no ~/.lithops/config; the password database is not consulted, since that may load
 * libraries and use the network.
 *
 * With nothing to read, this is three access() calls: no module is loaded and nothing is parsed.
 *
 * Not here: the keys and their permitted values (config.c, check.c). */
#include "config/source.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/module.h"
#include "config/scalar.h"
#include "config/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lithops/plugin/runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LARGEST_TEXT_BYTES = 1 << 20, /* a file with every key and a page of comments has 20 KiB */
    LONGEST_LABEL = 200,          /* leaves room in an error for what is wrong */
};

/* ---- a parsed document -> values ------------------------------------------------------------- */

/* An alias stands for a copy, so a short text can mean many values: `budget` counts down. */
static int value_of(const struct lithops__yaml_node *node, unsigned depth, size_t *budget,
                    lithops_value **ret)
{
    if ((*budget)-- == 0 || depth > LITHOPS__YAML_MAX_DEPTH) {
        *budget = 0;
        return LITHOPS_ECONFIG;
    }
    lithops_value *value = NULL;
    int rc = 0;
    if (node->kind == LITHOPS__YAML_SCALAR)
        value = node->plain ? lithops__scalar_value(node->text, node->len)
                            : lithops_value_string_n(node->text, node->len);
    else
        value = node->kind == LITHOPS__YAML_LIST ? lithops_value_list() : lithops_value_map();
    if (!value)
        return LITHOPS_ENOMEM;
    bool is_map = node->kind == LITHOPS__YAML_MAP;
    for (size_t i = 0; rc == 0 && i < node->count; i += 1 + is_map) {
        lithops_value *item = NULL;
        rc = value_of(node->items[i + is_map], depth + 1, budget, &item);
        if (rc == 0)
            rc = is_map ? lithops_value_set(value, node->items[i]->text, item)
                        : lithops_value_append(value, item);
    }
    if (rc != 0) {
        lithops_value_free(value);
        return rc;
    }
    *ret = value;
    return 0;
}

static unsigned *lines_of(const struct lithops__yaml_node *root)
{
    size_t count = 0;
    bool is_map = root->kind == LITHOPS__YAML_MAP;
    for (size_t i = 0; is_map && i < root->count; i += 2)
        count += 1 + root->items[i + 1]->count;
    unsigned *lines = calloc(count + 1, sizeof *lines), *next = lines;
    for (size_t i = 0; lines && is_map && i < root->count; i += 2) {
        const struct lithops__yaml_node *section = root->items[i + 1];
        *next++ = root->items[i]->line;
        for (size_t j = 0; section->kind == LITHOPS__YAML_MAP && j < section->count; j += 2)
            *next++ = section->items[j]->line;
    }
    return lines;
}

static int use_document(const struct lithops__yaml_node *root, struct lithops__config_source *ret,
                        lithops_error *err)
{
    size_t budget = LITHOPS__YAML_MAX_NODES;
    int rc = value_of(root, 0, &budget, &ret->owned);
    if (rc == LITHOPS_ECONFIG)
        return lithops__fail(err, rc,
                             "%s: the aliases (*) stand for too many values; write out "
                             "what is meant",
                             ret->label);
    ret->lines = rc == 0 ? lines_of(root) : NULL;
    if (!ret->lines)
        return lithops__fail(err, LITHOPS_ENOMEM, "%s: out of memory", ret->label);
    ret->root = lithops_value_type(ret->owned) == LITHOPS_NULL ? NULL : ret->owned;
    return 0;
}

static int use_json(const char *text, size_t len, struct lithops__config_source *ret,
                    lithops_error *err)
{
    ret->root = ret->owned = lithops_value_from_json(text, len, err);
    if (ret->root)
        return 0;
    if (err) {
        err->code = LITHOPS_ECONFIG;
        lithops__error_prefix(err, "%s", ret->label);
    }
    return LITHOPS_ECONFIG;
}

static int use_text(const char *text, size_t len, struct lithops__config_source *ret,
                    lithops_error *err)
{
    if (len == 0)
        return 0;
    if (len > LARGEST_TEXT_BYTES)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s: larger than %d KiB, which no configuration is; name the right "
                             "file",
                             ret->label, LARGEST_TEXT_BYTES / 1024);
    lithops_error missing = LITHOPS_ERROR_INIT;
    void *parse = lithops__module_symbol("yaml", "lithops__yaml_parse", &missing);
    void *release = parse ? lithops__module_symbol("yaml", "lithops__yaml_free", &missing) : NULL;
    if (!release) {
        if (text[0] == '{') /* JSON, which is YAML too, needs no library */
            return use_json(text, len, ret, err);
        if (err)
            *err = missing;
        lithops__error_prefix(err, "%s cannot be read", ret->label);
        return LITHOPS_EUNSUPPORTED;
    }
    struct lithops__yaml_document document;
    int rc = ((lithops__yaml_parse_function *)parse)(ret->label, text, len, &document, err);
    if (rc == 0 && document.root)
        rc = use_document(document.root, ret, err);
    ((lithops__yaml_free_function *)release)(&document);
    return rc;
}

/* ---- files ----------------------------------------------------------------------------------- */

static int set_origin(struct lithops__config_source *ret, const char *origin, lithops_error *err)
{
    size_t len = strlen(origin);
    const char *tail = len > LONGEST_LABEL ? origin + (len - LONGEST_LABEL) : origin;
    char label[LONGEST_LABEL + 4];
    while (tail > origin && ((unsigned char)*tail & 0xC0) == 0x80)
        tail++; /* not from within a character of UTF-8 */
    snprintf(label, sizeof label, "%s%s", tail > origin ? "..." : "", tail);
    ret->origin = strdup(origin);
    ret->label = strdup(label);
    if (!ret->origin || !ret->label)
        return lithops__fail(err, LITHOPS_ENOMEM, "%s: out of memory", label);
    return 0;
}

/* All bytes, or one more than is allowed. */
static int read_all(int fd, struct lithops__buffer *buffer)
{
    while (buffer->len <= LARGEST_TEXT_BYTES) {
        size_t room = LARGEST_TEXT_BYTES + 1 - buffer->len;
        if (room > 16384)
            room = 16384;
        void *to = lithops__buffer_reserve(buffer, room);
        if (!to)
            return ENOMEM;
        ssize_t n = read(fd, to, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : 0;
        buffer->len += (size_t)n;
    }
    return 0;
}

/* `named_by` says who asked for this very file, or is NULL. */
static int use_file(const char *path, const char *named_by, struct lithops__config_source *ret,
                    lithops_error *err)
{
    struct lithops__buffer buffer = LITHOPS__BUFFER_INIT;
    struct stat st;
    int rc = set_origin(ret, path, err);
    if (rc != 0)
        return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int os_errno = fd < 0 || fstat(fd, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? EISDIR : 0;
    if (os_errno == 0)
        os_errno = read_all(fd, &buffer);
    if (os_errno != 0)
        rc =
            lithops__fail_errno(err, os_errno, "cannot read the configuration file '%s'%s%s",
                                ret->label, named_by ? " named by " : "", named_by ? named_by : "");
    else
        rc = use_text((const char *)buffer.data, buffer.len, ret, err);
    if (fd >= 0)
        close(fd);
    lithops__buffer_deinit(&buffer);
    return rc;
}

/* NULL when it is unset or empty. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static int use_named_file(const char *path, const char *named_by,
                          struct lithops__config_source *ret, lithops_error *err)
{
    const char *home = environment("HOME");
    char expanded[PATH_MAX];
    if (strncmp(path, "~/", 2) == 0 && home &&
        (size_t)snprintf(expanded, sizeof expanded, "%s%s", home, path + 1) < sizeof expanded)
        path = expanded;
    return use_file(path, named_by, ret, err);
}

static int use_usual_file(struct lithops__config_source *ret, lithops_error *err)
{
    char path[PATH_MAX];
    const char *home = environment("HOME");
    if (access(".lithops_config", F_OK) == 0)
        return use_file(realpath(".lithops_config", path) ? path : ".lithops_config", NULL, ret,
                        err);
    if (home && (size_t)snprintf(path, sizeof path, "%s/.lithops/config", home) < sizeof path &&
        access(path, F_OK) == 0)
        return use_file(path, NULL, ret, err);
    if (access("/etc/lithops/config", F_OK) == 0)
        return use_file("/etc/lithops/config", NULL, ret, err);
    return set_origin(ret, "defaults", err);
}

/* ---- the order ------------------------------------------------------------------------------- */

int lithops__config_find(const lithops_executor_options *options,
                         struct lithops__config_source *ret, lithops_error *err)
{
    const char *text = environment("LITHOPS_CONFIG");
    const char *file = environment("LITHOPS_CONFIG_FILE");
    *ret = (struct lithops__config_source){0};
    int rc;
    if (options && options->config) {
        rc = set_origin(ret, "options", err);
        ret->root = options->config;
    } else if (options && options->config_file && *options->config_file) {
        rc = use_named_file(options->config_file, "config_file", ret, err);
    } else if (text) {
        rc = set_origin(ret, "LITHOPS_CONFIG", err);
        if (rc == 0)
            rc = use_text(text, strlen(text), ret, err);
    } else if (file) {
        rc = use_named_file(file, "LITHOPS_CONFIG_FILE", ret, err);
    } else {
        rc = use_usual_file(ret, err);
    }
    if (rc != 0)
        lithops__config_source_deinit(ret);
    else
        lithops__log(LITHOPS_LOG_DEBUG, "config", "configuration from %s", ret->label);
    return rc;
}

void lithops__config_source_deinit(struct lithops__config_source *source)
{
    lithops_value_free(source->owned);
    free(source->lines);
    free(source->origin);
    free(source->label);
    *source = (struct lithops__config_source){0};
}

lithops_value *lithops_config_read(const char *path, lithops_error *err)
{
    struct lithops__config_source source = {0};
    lithops_value *value = NULL;
    if (!path) {
        lithops__fail(err, LITHOPS_EUSAGE, "the path of the configuration file is NULL");
        return NULL;
    }
    if (use_named_file(path, NULL, &source, err) == 0) {
        value = source.owned ? source.owned : lithops_value_null();
        source.owned = NULL;
        if (!value)
            lithops__fail(err, LITHOPS_ENOMEM, "%s: out of memory", source.label);
    }
    lithops__config_source_deinit(&source);
    return value;
}
